/* What the module keeps per interpreter, and what its C files share with one another.
 *
 * Context: everything declared here that takes or returns a PyObject needs the GIL of the interpreter it
 * belongs to; the owner's, that is, unless a comment says otherwise.
 */
#ifndef IX_STATE_H
#define IX_STATE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "alarm.h"
#include "codec.h"
#include "claim.h"
#include "outbox.h"
#include "crew.h"
#include "runtime.h"

struct ix_module {
    PyTypeObject *callable_type, *outbox_type, *pool_type, *executor_type, *map_type, *worker_type,
        *child_type, *alarm_type, *run_type, *foreign_type, *shared_type;
    PyTypeObject *future_type;    /* made by configure(): it needs concurrent.futures */
    struct ix_releases *releases; /* the interpreter's; one reference */
    /* The owner's side, set by configure(); NULL in an interpreter that only works for another. */
    struct ix_codec codec;
    PyObject *callables; /* dict: function -> Callable, for those that workers keep */
    uint32_t next_callable_id;
    PyObject *encode_callable;   /* (fn) -> (keep, form, bytes, lane) */
    PyObject *decode_exception;  /* (bytes) -> exception */
    PyObject *broken_error;      /* (pool) -> exception */
    PyObject *failed_error;      /* (text) -> exception */
    PyObject *run_bytecode;      /* () -> None */
    PyObject *abandoned_error;   /* (late, killed, timeout in seconds) -> exception */
    PyObject *undecodable_error; /* (exception) -> exception, for a result that cannot be rebuilt */
    PyObject *log_callback;      /* (future, exception): logs what a callback raised */
    PyObject *new_condition;     /* threading.Condition */
    PyObject *transfer_error, *cancelled_error, *invalid_state_error;
};

extern PyModuleDef ix_module_def;

/* The tp_traverse of objects that hold nothing but their type. They need one all the same: the type leads
 * to the module and from there to everything, and the collector must know who holds the type. */
int ix_traverse_type(PyObject *self, visitproc visit, void *arg);

static inline struct ix_module *
ix_state_of(PyTypeObject *type)
{
    return (struct ix_module *)PyType_GetModuleState(type);
}

/* callable.c: a callable in the form in which it crosses. */
struct ix_callable_object {
    PyObject_HEAD
    struct ix_callable *callable;
};
extern PyType_Spec ix_callable_spec;
/* Returns a new C reference, or NULL with an exception set. */
struct ix_callable *ix_callable_of(struct ix_module *state, PyObject *fn);

/* outbox.c's Python face, in notifier.c. */
struct ix_outbox_object {
    PyObject_HEAD
    struct ix_outbox *outbox;
};
extern PyType_Spec ix_outbox_spec;

/* alarm.c's, in watch.c. */
struct ix_alarm_object {
    PyObject_HEAD
    struct ix_alarm *alarm;
};
extern PyType_Spec ix_alarm_spec;

/* pool.c: the queue of an executor, its workers' meeting point. */
struct ix_pool_object {
    PyObject_HEAD
    struct ix_queue queue;
    bool ready;                   /* the queue is initialised */
    struct ix_outbox *outbox;     /* one reference */
    struct ix_alarm *alarm;       /* one reference */
    _Atomic uint32_t handles;     /* executors and views that can still submit */
    struct ix_spin spin;          /* of those who wait for results */
    bool waits_briefly;           /* one of them did, the last time; under the owner's GIL */
    uint32_t forks;               /* as ix_runtime_forks when the pool was made */
    _Atomic uint32_t unpublished; /* tasks in the outbox; with IX_POOL_AWAITED if somebody waits */
    _Atomic bool stopped;         /* no further item of a map is to begin */
    _Atomic uint32_t lane; /* IX_LANE_PROCESS once the initializer has proved to need a process */
};
extern PyType_Spec ix_pool_spec;
/* Whether the pool was made before this process was forked from another. Its workers live there, and its
 * locks may have been held at the moment of the fork: an inherited pool, its jobs and the conditions of
 * its futures are never touched again, and never freed. */
static inline bool
ix_pool_is_inherited(struct ix_pool_object *pool)
{
    return ix_runtime_has_forked(pool->forks);
}
#define IX_POOL_AWAITED 0x80000000u
/* Leaves a task that somebody observes in the outbox, without ringing it: steals a reference.
 * Context: any, GIL or none. */
void ix_pool_leave_in_outbox(struct ix_pool_object *pool, struct ix_task *task);
/* One of those has been published, its callbacks included. Context: the owner's GIL. */
void ix_pool_count_published(struct ix_pool_object *pool);
/* Returns 0, or -1 with the RuntimeError that says so. */
int ix_pool_check_inherited(struct ix_pool_object *pool);
/* After a push: asks Python to start the worker that was counted in (and counts it out if none comes), or
 * raises what refuses the push.
 * Returns 0, or 1 if no worker comes (those that the pool has do the work; where there are none, what is
 * queued has failed), or -1 with an exception set. */
int ix_pool_after_push(struct ix_pool_object *pool, enum ix_push pushed);
/* Gives up a running task: its future fails, as `why` says (IX_LATE, IX_KILLED). Returns 1, or 0 if it is over by
 * itself. */
int ix_pool_abandon_task(struct ix_pool_object *pool, struct ix_task *task, uint32_t why);
/* Ends what a queue gave up: cancelled, or broken. Steals the list and its references. */
int ix_pool_discard(struct ix_pool_object *pool, struct ix_entry *entries, bool broken);

/* executor.c: submit() and map() as C methods. */
extern PyType_Spec ix_executor_spec;

/* future.c */
/* Rebuilds an exception from what `reader` stands at. New reference, or NULL with another set. */
PyObject *ix_decode_exception(struct ix_module *state, struct ix_reader *reader);
/* Turns the Exception that is set, of a decoding that failed, into what the reader is told: a new
 * reference. NULL with an exception set if it is none of these but a signal's, say. */
PyObject *ix_undecodable(struct ix_module *state);
PyTypeObject *ix_future_type_new(PyObject *module, PyObject *base);
/* Returns: a new reference. Steals the task's reference, even when it fails. */
PyObject *ix_future_new(struct ix_module *state, struct ix_pool_object *pool, struct ix_task *task);
/* A future that is done and raises `error`: of a call that could not be sent. */
PyObject *ix_future_failed(struct ix_module *state, struct ix_pool_object *pool, PyObject *error);
/* The task of a future of ours (borrowed), or NULL. */
struct ix_task *ix_future_task(struct ix_module *state, PyObject *object);
/* Cancels; 1 if the future is cancelled now, 0 if not, -1 with an exception set. */
int ix_future_cancel(PyObject *future);
/* Publishes finished tasks, oldest first; steals the list and its references.
 * `deputy`: the caller is a worker and must not run the user's callbacks; tasks that have some are
 * left in the outbox for the notifier. */
void ix_future_publish_all(struct ix_outbox *outbox, struct ix_task *tasks, bool deputy);

/* map.c */
extern PyType_Spec ix_map_spec;
struct ix_map_options {
    uint32_t chunksize;       /* 0: by measured time */
    size_t buffersize;        /* 0: consume the inputs at once */
    int64_t timeout_ns;       /* negative: none */
    struct ix_limits *limits; /* borrowed, or NULL */
    uint8_t lane;             /* enum ix_lane */
};
/* Returns the iterator, with the inputs consumed as the options say, or NULL with an exception set. */
PyObject *ix_map_new(struct ix_module *state, struct ix_pool_object *pool, PyObject *fn,
                     PyObject *iterators, const struct ix_map_options *options);

/* child.c: the far end of the process lane. */
extern PyType_Spec ix_child_spec;

/* borrow.c */
extern PyType_Spec ix_foreign_spec;

/* shared.c */
#define IX_SHARED_NAME "interp_executor.SharedBuffer"
struct ix_shared_object {
    PyObject_HEAD
    struct ix_attachment *attachment; /* one reference */
};
extern PyType_Spec ix_shared_spec;
/* A handle on memory of the kind SHARED. Steals the reference, even when it fails. */
PyObject *ix_shared_new(PyTypeObject *type, struct ix_attachment *attachment);

struct ix_worker;
/* worker.c */
extern PyType_Spec ix_worker_spec;
/* interrupt.c: what a worker runs at a moment, as those see it who may want to stop it. */
extern PyType_Spec ix_run_spec;
/* Returns: a Run. Steals the reference to the entry, even when it fails. */
PyObject *ix_run_new(struct ix_module *state, struct ix_worker *worker, struct ix_present present);

/* signal.c: lets Python handle signals and, in a worker, interrupts of the task that waits here: CPython
 * raises these between two instructions. Returns 0, or -1 with an exception set. */
int ix_check_signals(struct ix_module *state);

/* timeout.c */
/* Turns a timeout in seconds into nanoseconds from now; None gives -1. Returns 0, or -1 with an exception
 * set. */
int ix_timeout_ns(PyObject *timeout, int64_t *ns);
/* How long to sleep in round 0, 1, ... of a wait that has `left_ns` to go (negative: no
 * limit). A signal that comes just before a sleep begins does not end it, so nobody who must answer to
 * Ctrl-C sleeps for long without a look: a millisecond at first, a quarter of a second in the end. */
int64_t ix_slice_ns(int64_t left_ns, unsigned round);

#endif
