/* A worker, and what its thread does: serve.c takes, load.c and run.c work inside the interpreter, lane.c and
 * output.c enter the owner. worker.c is the Python face; interpreter.c makes and ends the interpreter.
 *
 * Context of every function: the worker's GIL, on the worker's thread, unless it says otherwise.
 */
#ifndef IX_WORKER_H
#define IX_WORKER_H

#include "gate.h"
#include "state.h"

/* Forms of a callable, as _serialize.py has them. */
#define IX_FORM_IN_MAIN 1 /* the last of those that go by name */
#define IX_FORM_BY_VALUE 3

/* The worker's end of things: objects of its interpreter, and nobody else's. */
struct ix_inside {
    PyObject *load_callable;     /* (form, bytes) -> callable */
    PyObject *refresh_world;     /* (bytes) -> whether anything changed */
    PyObject *encode_raised;     /* (exception) -> bytes */
    PyObject *encode_unloadable; /* (exception, what) -> bytes */
    PyObject *refused;           /* (exception) -> the modules that refused to load, or None */
    PyObject *encode_stopped;    /* (exception, late, timeout in seconds) -> bytes, or None */
    PyObject *interrupt;         /* the class of what is raised in a task that is to stop */
    PyObject *flush;             /* () */
    Py_buffer written;           /* one byte, nonzero once a stream holds output */
    struct ix_codec codec;
    PyObject **callables; /* by number; NULL where unknown */
    uint32_t ncallables;
};

/* How a claim ended. STOPPED: an item failed, or nobody waits for the rest any more. LOST: an outcome, for want
 * of memory. */
enum ix_verdict { IX_ALL_WELL, IX_STOPPED, IX_LOST };
/* Why a run has been interrupted. */
enum ix_stop { IX_STOP_NONE, IX_STOP_ASKED, IX_STOP_LATE };

/* The way into a worker's interpreter for threads that want to interrupt what runs there. Shared by
 * them and the worker by an atomic reference count; all else is valid inside the gate only, which
 * the worker closes before its interpreter ends. */
struct ix_access {
    _Atomic uint32_t refs;
    struct ix_gate gate;
    PyInterpreterState *interpreter;
    pthread_t thread;
    unsigned long thread_id; /* as CPython has it */
    struct ix_worker *worker;
};

/* What is done of start(): an interrupt that comes before its run is open waits for that. */
enum ix_opening { IX_OPENING_AHEAD, IX_OPENING_INTERRUPTED, IX_OPENING_DONE };

struct ix_worker {
    PyObject_HEAD /* of the owner */
    PyThreadState *owner_ts, *own_ts;
    struct ix_resident resident;
    struct ix_pool_object *pool; /* the present lease's; borrowed from serve()'s caller */
    struct ix_seat seat;
    struct ix_inside inside;
    uint64_t runs;  /* tasks and claims begun in the present lease */
    uint32_t forks; /* as ix_runtime_forks when the worker was made */
    /* Of the present call; static and raw memory, so that either side may read them: */
    const char *unloaded; /* "callable" or "arguments": what could not be loaded; or NULL */
    char *refused; /* the extensions that refused to load here, separated by spaces; or NULL */
    struct ix_access *access; /* one reference; NULL without an interpreter */
    enum ix_stop stop;        /* the present run has been interrupted; under the worker's GIL */
    bool reporting;           /* an exception that nobody can catch; as above */
    bool due;                 /* an interrupt that came meanwhile; as above */
    enum ix_stop stopped;     /* the worker's own: that is what ended the last call */
    int64_t timeout_ns;       /* likewise: of the last run that had a deadline */
    struct ix_limits *limits; /* likewise: of what goes to its process; borrowed from the entry */
    PyObject *starting;       /* within start(): its pool, borrowed; under the owner's GIL */
    _Atomic uint8_t opening;  /* meanwhile: enum ix_opening */
    bool seated;              /* at the pool's queue: from serve() to leave() */
    bool abandoned;           /* given up: to leave without a word to the pool */
};

/* Whether no further item of the claim is to begin. What stops the pool also interrupts the present run; but
 * that may end all the same, or find the worker between two items. Context: the worker. */
static inline bool
ix_worker_leaves_claim(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim)
{
    return atomic_load_explicit(&job->abandoned, memory_order_relaxed)
           || atomic_load_explicit(&claim->forsaken, memory_order_relaxed)
           || atomic_load_explicit(&worker->pool->stopped, memory_order_relaxed);
}

/* Runs one entry; its reference stays the caller's. */
void ix_worker_run(struct ix_worker *worker, struct ix_entry *entry);
/* Runs a call, of a task or of none (NULL): whether it returned or raised, `outcome` has it encoded. Sets
 * `unloaded` and `refused` of the worker. */
enum ix_outcome ix_worker_call(struct ix_worker *worker, struct ix_callable *callable,
                               struct ix_reader *arguments, struct ix_task *task,
                               struct ix_buffer *outcome);
/* Calls `fn` with one item of a map and encodes the outcome, as above. */
enum ix_outcome ix_worker_call_item(struct ix_worker *worker, PyObject *fn, uint32_t arity,
                                    struct ix_segment *segment, uint32_t index,
                                    struct ix_buffer *outcome);
/* Encodes the exception that is set, raised while `what` was being loaded, or by the call (NULL). */
enum ix_outcome ix_worker_put_raised(struct ix_worker *worker, struct ix_buffer *buffer,
                                     const char *what);

/* Sets sys.path (encoded by the owner; NULL: it is right already), imports the Python side and gives it the
 * world. Returns 0, or -1 with an exception set. */
int ix_inside_init(struct ix_inside *inside, const struct ix_buffer *path,
                   const struct ix_buffer *world);
void ix_inside_clear(struct ix_inside *inside);
/* Drops the callables that were kept: the next lease loads its own. */
void ix_inside_forget(struct ix_inside *inside);

/* A task's callable. Returns a new reference, or NULL with an exception set. */
PyObject *ix_load_callable(struct ix_worker *worker, struct ix_callable *callable);
/* A task's arguments. Returns 0, or -1 with an exception set and nothing to clear. */
int ix_load_arguments(struct ix_worker *worker, struct ix_reader *reader, struct ix_call *call);
/* The argument, or for several inputs the tuple of arguments, of one item of a map. Returns a new
 * reference, or NULL with an exception set. */
PyObject *ix_load_item(struct ix_worker *worker, struct ix_segment *segment, uint32_t index);

/* Notes which extensions refused to load, if that is what the exception says that is set: any, when it was
 * raised while something was `loading`; an ImportError, when user code raised it. Returns whether it is. */
bool ix_note_refusal(struct ix_worker *worker, bool loading);
/* Forgets what the last call has noted. Context: any. */
void ix_note_nothing(struct ix_worker *worker);

/* lane.c: the process lane, seen from the worker's thread. It asks its pool, in the owner. */
/* Whether what has these lanes goes to a process. */
static inline bool
ix_lane_is_process(struct ix_worker *worker, uint32_t own, struct ix_callable *callable)
{
    uint32_t lane = own | atomic_load_explicit(&callable->lane, memory_order_relaxed)
                    | atomic_load_explicit(&worker->pool->lane, memory_order_relaxed);
    if (lane == IX_LANE_ANY)
        return false;
    /* Where there is no interpreter, the process lane explains that to who has asked for one. */
    return (own & IX_LANE_INTERPRETER) == 0 || worker->own_ts == NULL;
}
/* Runs a task in the worker's process and waits for its outcome. */
enum ix_outcome ix_lane_run_task(struct ix_worker *worker, struct ix_task *task,
                                 struct ix_buffer *outcome);
/* An extension has refused to load in the call whose outcome is given, and nobody has seen it yet. True: the
 * callable goes to processes from now on, and so must this call. False: `outcome` tells the user why
 * it does not. */
bool ix_lane_moves(struct ix_worker *worker, uint32_t own, struct ix_callable *callable,
                   struct ix_buffer *outcome);
/* The items of a claim go to a process by so much work at a time: between two such questions it may be stopped, and
 * what it has done is seen. The process ends a question that takes longer after the present item. */
#define IX_QUESTION_NS 20000000
/* Runs, in the worker's process, those items of a claim that have no outcome yet. */
enum ix_verdict ix_lane_run_claim(struct ix_worker *worker, struct ix_job *job,
                                  struct ix_claim *claim);
/* interrupt.c */
/* Returns: one reference, or NULL without memory. */
struct ix_access *ix_access_new(struct ix_worker *worker);
/* Has the run of that number interrupted, by a thread of nobody's, which belongs to it from now on. Returns 0,
 * or -1 with an exception set if that thread is not to be had. Context: any GIL; the access must be held. */
int ix_access_interrupt(struct ix_access *access, uint64_t run, enum ix_stop stop);
/* Lets nobody in any more and gives the reference away. Context: the worker's thread, no GIL. */
void ix_access_close(struct ix_access *access);
/* Sets the deadline of the run that has been opened last. Context: any GIL, or none. */
void ix_run_set_deadline(struct ix_worker *worker, struct ix_limits *limits);
/* Closes the present run: from now on no interrupt comes, and one that has not been raised yet will not
 * be. Returns whether and why one was sent. An exception may be set. */
enum ix_stop ix_run_close(struct ix_worker *worker);
/* Encodes the exception that is set after the run was `stopped`. Returns 1, or 0 if it is not the
 * interrupt's doing and still set, or -1 with another set. */
int ix_run_encode_stop(struct ix_worker *worker, struct ix_buffer *buffer);

/* unraisablehook(unraisable): sys.unraisablehook of workers. An interrupt that was raised where no exception can
 * leave, in a finalizer or a weak reference's callback, is sent again; of all else the hook that CPython has by
 * itself is told. Context: any GIL. Returns None, or NULL with an exception set. */
PyObject *ix_interrupt_unraisable(PyObject *module, PyObject *unraisable);

/* signal.c: ends the system call in which a thread is blocked, where that lets Python look for
 * interrupts. Context: any; the thread is alive. */
void ix_break_system_call(pthread_t thread);

/* output.c. Functions of the module, for streams of workers.
 * write_whole(fd, data): writes all of it, apart from what other interpreters write so. Context: any GIL,
 * released while writing. Locks: one of the process, without a GIL. */
PyObject *ix_output_write_whole(PyObject *module, PyObject *args);
/* send_whole(socket, data): sends all of it before Python's handlers of signals run. Context: any GIL, released
 * while sending. */
PyObject *ix_output_send_whole(PyObject *module, PyObject *args);
/* Renews that lock, which a thread of the parent may have held. Context: a forked child's only thread. */
void ix_output_begin_child(void);
/* report_unraisable(error, where): tells sys.unraisablehook of an exception that nobody can catch. Context: any
 * GIL. Returns None, or NULL with an exception set. */
PyObject *ix_output_report_unraisable(PyObject *module, PyObject *args);
/* tell_owner(bytes): has the owner's pool deliver_output() them; whether that was possible, which it is on
 * the worker's own thread while it serves a pool. Context: the worker's GIL, let go for the owner's. */
PyObject *ix_output_tell_owner(PyObject *module, PyObject *bytes);

/* gil.c. Moves the thread to the owner's interpreter and back. Context: on entry the worker's GIL, on
 * return the owner's; and the other way round. A worker without an interpreter, whose pool needs processes
 * alone, holds no GIL where another would hold its own. */
void ix_gil_to_owner(struct ix_worker *worker);
void ix_gil_to_own(struct ix_worker *worker);

/* interpreter.c. Context of both: the worker's thread, with the owner's GIL, which is let go meanwhile.
 * Makes the interpreter. Returns false, with the reason written, if there is none. */
bool ix_interpreter_open(struct ix_worker *worker, const struct ix_buffer *path,
                         const struct ix_buffer *world, char *reason, size_t size);
/* Ends it: its threads are joined, its exit callbacks run. */
void ix_interpreter_close(struct ix_worker *worker);
/* The worker whose interpreter the caller runs, on that worker's own thread; or NULL. Context: any GIL. Returns:
 * borrowed. */
struct ix_worker *ix_worker_here(void);
/* How many workers' interpreters have ended in this process so far. Context: any. */
uint64_t ix_interpreter_count_ended(void);

/* serve.c. Runs what the pool's queue brings, until the worker has to leave, is given up, or has run so much (0: no
 * limit). Context: the worker's thread and GIL, or none where it has no interpreter. */
void ix_worker_serve(struct ix_worker *worker, uint64_t max_runs);

#endif
