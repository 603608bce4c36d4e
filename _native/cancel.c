/* Ending a future early: cancelling what is pending, interrupting what runs. */
#include "future.h"

int
ix_future_cancel(PyObject *self)
{
    struct ix_future *future = ix_future_of(self);
    struct ix_task *task = future->task;
    if (!ix_task_cancel(task))
        return ix_task_state(task) == IX_CANCELLED;
    if (future->stage == IX_STAGE_UNOBSERVED) {
        future->stage = IX_STAGE_PUBLISHED;
        return 1;
    }
    task->future = NULL; /* the pin: a cancelled task never comes to the outbox */
    int result = ix_future_publish(self) < 0 || ix_future_run_callbacks(self) < 0 ? -1 : 1;
    Py_DECREF(self);
    return result;
}

/* Asks what runs the task to stop it. Returns 1 or 0, or -1 with an exception set. */
static int
interrupt(PyObject *self)
{
    struct ix_future *future = ix_future_of(self);
    if (ix_task_is_terminal(future->task))
        return 0;
    if (ix_pool_check_inherited(future->pool) < 0)
        return -1;
    PyObject *asked = PyObject_CallMethod((PyObject *)future->pool, "interrupt", "O", self);
    int result = asked == NULL ? -1 : PyObject_IsTrue(asked);
    Py_XDECREF(asked);
    return result;
}

PyObject *
ix_future_interrupt_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Py_INCREF(self);
    int done = 0;
    if (ix_task_state(ix_future_of(self)->task) == IX_PENDING)
        done = ix_future_cancel(self);
    if (done == 0)
        done = interrupt(self);
    Py_DECREF(self);
    return done < 0 ? NULL : PyBool_FromLong(done);
}

PyObject *
ix_future_cancel_method(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Py_INCREF(self); /* a callback may drop the caller's last reference */
    int cancelled = ix_future_cancel(self);
    struct ix_limits *limits = ix_future_of(self)->task->limits;
    if (cancelled == 0 && limits != NULL && limits->interrupt_on_cancel && interrupt(self) < 0)
        cancelled = -1;
    Py_DECREF(self);
    return cancelled < 0 ? NULL : PyBool_FromLong(cancelled);
}
