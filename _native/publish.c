/* The observed side of futures: waiters, callbacks, and the visible change of state. */
#include "future.h"

void
ix_future_observe(PyObject *self)
{
    struct ix_future *future = ix_future_of(self);
    ix_future_track(self);
    if (future->stage != IX_STAGE_UNOBSERVED)
        return;
    /* The pin comes first: the worker's exchange orders it before whoever reads the outbox. */
    future->task->future = Py_NewRef(self);
    if (ix_task_flag(future->task, IX_OBSERVED)) {
        future->stage = IX_STAGE_OBSERVED;
    }
    else {
        future->stage = IX_STAGE_PUBLISHED;
        future->task->future = NULL;
        Py_DECREF(self);
    }
}

static int
call_method(PyObject *object, const char *name)
{
    PyObject *result = PyObject_CallMethod(object, name, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static const char *
waiter_method(struct ix_task *task)
{
    if (ix_task_state(task) == IX_CANCELLED)
        return "add_cancelled";
    return task->outcome == IX_OUTCOME_VALUE ? "add_result" : "add_exception";
}

/* Context: as the whole file, and the condition is held. */
static int
tell_waiters_locked(PyObject *self, struct ix_future *future)
{
    const char *method = waiter_method(future->task);
    Py_ssize_t n = future->waiters == NULL ? 0 : PyList_GET_SIZE(future->waiters);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *waiter = PyList_GetItemRef(future->waiters, i);
        PyObject *result = waiter == NULL ? NULL : PyObject_CallMethod(waiter, method, "O", self);
        Py_XDECREF(waiter);
        if (result == NULL)
            return -1;
        Py_DECREF(result);
    }
    return call_method(future->condition, "notify_all");
}

int
ix_future_publish(PyObject *self)
{
    struct ix_future *future = ix_future_of(self);
    int result = 0;
    if (future->condition == NULL) {
        future->stage = IX_STAGE_PUBLISHED;
        return 0;
    }
    if (future->stage == IX_STAGE_PUBLISHED)
        return 0;
    if (call_method(future->condition, "acquire") < 0)
        return -1;
    if (future->stage != IX_STAGE_PUBLISHED) { /* another thread may have been first */
        future->stage = IX_STAGE_PUBLISHED;
        result = tell_waiters_locked(self, future);
    }
    PyObject *error = result < 0 ? PyErr_GetRaisedException() : NULL;
    if (call_method(future->condition, "release") < 0)
        result = -1;
    if (error != NULL)
        PyErr_SetRaisedException(error);
    return result;
}

int
ix_future_run_callback(PyObject *self, PyObject *callback)
{
    PyObject *result = PyObject_CallOneArg(callback, self);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyObject *error = PyErr_GetRaisedException();
        result = PyObject_CallFunctionObjArgs(ix_future_state(self)->log_callback, self, error,
                                              NULL);
        Py_DECREF(error);
    }
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
ix_future_run_callbacks(PyObject *self)
{
    PyObject *callbacks = ix_future_of(self)->callbacks;
    int result = 0;
    ix_future_of(self)->callbacks = NULL;
    for (Py_ssize_t i = 0; callbacks != NULL && result == 0 && i < PyList_GET_SIZE(callbacks);
         i++) {
        PyObject *callback = PyList_GetItemRef(callbacks, i);
        result = callback == NULL ? -1 : ix_future_run_callback(self, callback);
        Py_XDECREF(callback);
    }
    Py_XDECREF(callbacks);
    return result;
}

/* Steals the task's reference and gives back the pin. */
static void
publish_one(struct ix_task *task)
{
    PyObject *self = task->future;
    task->future = NULL;
    if (ix_future_publish(self) < 0 || ix_future_run_callbacks(self) < 0)
        PyErr_WriteUnraisable(self); /* SystemExit of a callback, say: the others still run */
    Py_DECREF(self);
    ix_task_release(task);
}

void
ix_future_publish_all(struct ix_outbox *outbox, struct ix_task *tasks, bool deputy)
{
    bool left = false;
    while (tasks != NULL) {
        struct ix_task *next = (struct ix_task *)tasks->entry.next;
        if (deputy && ix_future_of(tasks->future)->loud) {
            ix_outbox_push(outbox, tasks);
            left = true;
        }
        else {
            publish_one(tasks);
        }
        tasks = next;
    }
    if (left)
        ix_outbox_ring(outbox);
}
