/* What future.c, the contract, and publish.c, the observed side of it, share.
 *
 * Context of everything here: the owner's GIL, which also protects the fields.
 */
#ifndef IX_FUTURE_H
#define IX_FUTURE_H

#include "state.h"

enum ix_stage { IX_STAGE_UNOBSERVED, IX_STAGE_OBSERVED, IX_STAGE_PUBLISHED };

struct ix_future {
    struct ix_task *task;                      /* one reference */
    struct ix_pool_object *pool;               /* one reference */
    PyObject *value, *error;                   /* the decoded outcome: at most one is set */
    PyObject *condition, *waiters, *callbacks; /* NULL until touched */
    unsigned decoders;                         /* threads that are reading the task's data */
    uint8_t stage;
    bool loud; /* has a callback of the user's */
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

/* Any touch of the contract beyond the task. Afterwards the stage is OBSERVED, and the outbox will bring
 * the future back, or PUBLISHED. */
void ix_future_observe(PyObject *self);
/* Makes a terminal task visible as such, to its waiters too. Returns 0, or -1 with an exception set. */
int ix_future_publish(PyObject *self);
/* Calls one callback, or all of them. An Exception is logged, as the base class does; another ends in
 * -1, with the exception set. */
int ix_future_run_callback(PyObject *self, PyObject *callback);
int ix_future_run_callbacks(PyObject *self);

#endif
