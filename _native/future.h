/* What the files of a future share: future.c, the contract; settle.c, where its outcome comes from;
 * cancel.c, how it ends early; publish.c, its observed side.
 *
 * Context of everything here: the owner's GIL, which also protects the fields.
 */
#ifndef IX_FUTURE_H
#define IX_FUTURE_H

#include "state.h"

enum ix_stage { IX_STAGE_UNOBSERVED, IX_STAGE_OBSERVED, IX_STAGE_PUBLISHED };

/* What the base class keeps for those who observe a future. Each is NULL until it is touched. */
struct ix_observers {
    PyObject *condition, *waiters, *callbacks;
    bool renewed; /* the condition was made in this forked child */
};

/* Kept small: a program may have a million of them queued. */
struct ix_future {
    struct ix_task *task;           /* one reference */
    struct ix_pool_object *pool;    /* one reference */
    PyObject *outcome;              /* the value or the exception, once decoded */
    struct ix_observers *observers; /* NULL until one is touched */
    uint32_t decoders;              /* threads that are reading the task's data */
    uint8_t stage;
    bool raised; /* the outcome is an exception */
    bool loud;   /* has a callback of the user's */
};

static inline struct ix_future *
ix_future_of(PyObject *self)
{
    return (struct ix_future *)PyObject_GetTypeData(self, Py_TYPE(self));
}

static inline struct ix_module *
ix_future_state(PyObject *self)
{
    return ix_state_of(Py_TYPE(self)); /* not a base type: no subclasses */
}

/* Whether the outside may see the task as done. */
static inline bool
ix_future_is_settled(struct ix_future *future)
{
    if (future->stage == IX_STAGE_UNOBSERVED)
        return ix_task_is_terminal(future->task);
    return future->stage == IX_STAGE_PUBLISHED;
}

/* A future that holds nothing of the user's can be in no cycle, and is kept from the collector: a million
 * queued ones would cost it more than they cost us. Called before it gets hold of anything. */
static inline void
ix_future_track(PyObject *self)
{
    if (!PyObject_GC_IsTracked(self))
        PyObject_GC_Track(self);
}

/* Takes in a decoded outcome, of which there must be none yet. */
static inline void
ix_future_keep(PyObject *self, PyObject *outcome, bool raised)
{
    struct ix_future *future = ix_future_of(self);
    if (raised || PyObject_IS_GC(outcome))
        ix_future_track(self);
    future->outcome = Py_NewRef(outcome);
    future->raised = raised;
}

/* settle.c */
/* Decodes the outcome of a DONE task. Returns 0, or -1 with an exception that is not the outcome (a
 * signal's, say): a later call tries again. */
int ix_future_decode(PyObject *self);
/* Waits, at most `timeout` seconds or None, and decodes; an observed future is published on the way,
 * so that done() agrees. The GIL is let go meanwhile. Returns 0, or -1: CancelledError, TimeoutError or a
 * signal's exception. */
int ix_future_settle(PyObject *self, PyObject *timeout);

/* cancel.c: the methods cancel() and interrupt(). */
PyObject *ix_future_cancel_method(PyObject *self, PyObject *ignored);
PyObject *ix_future_interrupt_method(PyObject *self, PyObject *ignored);

/* publish.c */
/* Any touch of the contract beyond the task. Afterwards the stage is OBSERVED, and the outbox will bring
 * the future back, or PUBLISHED. */
void ix_future_observe(PyObject *self);
/* Makes a terminal task visible as such, to its waiters too. Returns 0, or -1 with an exception set. */
int ix_future_publish(PyObject *self);
/* Calls all callbacks. An Exception of one is logged, as the base class does; another kind ends in -1,
 * with the exception set. */
int ix_future_run_callbacks(PyObject *self);
/* The method add_done_callback(), and the getters of what the base class keeps: they observe. */
PyObject *ix_future_add_done_callback(PyObject *self, PyObject *callback);
PyObject *ix_future_get_condition(PyObject *self, void *closure);
PyObject *ix_future_get_waiters(PyObject *self, void *closure);
PyObject *ix_future_get_callbacks(PyObject *self, void *closure);
int ix_future_traverse_observers(PyObject *self, visitproc visit, void *arg);
void ix_future_clear_observers(PyObject *self);

#endif
