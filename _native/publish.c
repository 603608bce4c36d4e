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
        if (!ix_pool_is_inherited(future->pool))
            ix_queue_await(&future->pool->queue);
    }
    else {
        future->stage = IX_STAGE_PUBLISHED;
        future->task->future = NULL;
        Py_DECREF(self);
    }
}

/* The observers, to hold something. Returns NULL with MemoryError set. */
static struct ix_observers *
observers_of(PyObject *self)
{
    struct ix_future *future = ix_future_of(self);
    if (future->observers == NULL) {
        future->observers = PyMem_Calloc(1, sizeof *future->observers);
        if (future->observers == NULL)
            PyErr_NoMemory();
    }
    return future->observers;
}

int
ix_future_traverse_observers(PyObject *self, visitproc visit, void *arg)
{
    struct ix_observers *observers = ix_future_of(self)->observers;
    if (observers != NULL) {
        Py_VISIT(observers->condition);
        Py_VISIT(observers->waiters);
        Py_VISIT(observers->callbacks);
    }
    return 0;
}

void
ix_future_clear_observers(PyObject *self)
{
    struct ix_observers *observers = ix_future_of(self)->observers;
    ix_future_of(self)->observers = NULL;
    if (observers != NULL) {
        Py_XDECREF(observers->condition);
        Py_XDECREF(observers->waiters);
        Py_XDECREF(observers->callbacks);
        PyMem_Free(observers);
    }
}

/* ---- the change of state ---- */

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
    bool returned = ix_task_abandonment(task) == 0 && task->outcome == IX_OUTCOME_VALUE;
    return returned ? "add_result" : "add_exception";
}

/* Context: as the whole file, and the condition is held. */
static int
tell_waiters_locked(PyObject *self, struct ix_observers *observers)
{
    const char *method = waiter_method(ix_future_of(self)->task);
    Py_ssize_t n = observers->waiters == NULL ? 0 : PyList_GET_SIZE(observers->waiters);
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *waiter = PyList_GetItemRef(observers->waiters, i);
        PyObject *result = waiter == NULL ? NULL : PyObject_CallMethod(waiter, method, "O", self);
        Py_XDECREF(waiter);
        if (result == NULL)
            return -1;
        Py_DECREF(result);
    }
    return call_method(observers->condition, "notify_all");
}

int
ix_future_publish(PyObject *self)
{
    struct ix_future *future = ix_future_of(self);
    struct ix_observers *observers = future->observers;
    int result = 0;
    if (observers == NULL || observers->condition == NULL || ix_pool_is_inherited(future->pool)) {
        future->stage = IX_STAGE_PUBLISHED;
        return 0;
    }
    if (future->stage == IX_STAGE_PUBLISHED)
        return 0;
    if (call_method(observers->condition, "acquire") < 0)
        return -1;
    if (future->stage != IX_STAGE_PUBLISHED) { /* another thread may have been first */
        future->stage = IX_STAGE_PUBLISHED;
        result = tell_waiters_locked(self, observers);
    }
    PyObject *error = result < 0 ? PyErr_GetRaisedException() : NULL;
    if (call_method(observers->condition, "release") < 0)
        result = -1;
    if (error != NULL)
        PyErr_SetRaisedException(error);
    return result;
}

/* ---- callbacks ---- */

static int
run_callback(PyObject *self, PyObject *callback)
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
    struct ix_observers *observers = ix_future_of(self)->observers;
    PyObject *callbacks = observers == NULL ? NULL : observers->callbacks;
    int result = 0;
    if (observers != NULL)
        observers->callbacks = NULL;
    for (Py_ssize_t i = 0; callbacks != NULL && result == 0 && i < PyList_GET_SIZE(callbacks);
         i++) {
        PyObject *callback = PyList_GetItemRef(callbacks, i);
        result = callback == NULL ? -1 : run_callback(self, callback);
        Py_XDECREF(callback);
    }
    Py_XDECREF(callbacks);
    return result;
}

/* asyncio's own callback only hands the result to its loop: it never blocks. */
static bool
is_quiet(PyObject *callback)
{
    if (!PyFunction_Check(callback))
        return false;
    PyObject *module = PyFunction_GetModule(callback); /* borrowed */
    return module != NULL && PyUnicode_Check(module)
           && PyUnicode_CompareWithASCIIString(module, "asyncio.futures") == 0;
}

PyObject *
ix_future_add_done_callback(PyObject *self, PyObject *callback)
{
    struct ix_future *future = ix_future_of(self);
    bool quiet = is_quiet(callback);
    if (!ix_task_is_terminal(future->task) && ix_pool_check_inherited(future->pool) < 0)
        return NULL;
    ix_future_observe(self);
    if (ix_pool_is_inherited(future->pool))
        future->stage = IX_STAGE_PUBLISHED; /* nobody else would */
    if (future->stage == IX_STAGE_PUBLISHED) {
        if (run_callback(self, callback) < 0)
            return NULL;
        Py_RETURN_NONE;
    }
    struct ix_observers *observers = observers_of(self);
    if (observers == NULL)
        return NULL;
    if (observers->callbacks == NULL && (observers->callbacks = PyList_New(0)) == NULL)
        return NULL;
    if (!quiet) {
        future->loud = true;
        ix_task_flag(future->task, IX_LOUD);
    }
    if (PyList_Append(observers->callbacks, callback) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- the base class's attributes ---- */

/* In a forked child the lock of an inherited condition may be held by a thread that is gone: make a new one.
 * That of a task which is not done would be waited for in vain. Returns 0, or -1 with an exception set. */
static int
renew_condition(PyObject *self, struct ix_observers *observers)
{
    struct ix_future *future = ix_future_of(self);
    if (!ix_task_is_terminal(future->task) && ix_pool_check_inherited(future->pool) < 0)
        return -1;
    future->stage = IX_STAGE_PUBLISHED;
    if (!observers->renewed) {
        observers->renewed = true;
        Py_CLEAR(observers->condition);
    }
    return 0;
}

PyObject *
ix_future_get_condition(PyObject *self, void *Py_UNUSED(closure))
{
    struct ix_observers *observers = observers_of(self);
    if (observers == NULL)
        return NULL;
    if (ix_pool_is_inherited(ix_future_of(self)->pool) && renew_condition(self, observers) < 0)
        return NULL;
    if (observers->condition == NULL) {
        ix_future_track(self);
        PyObject *condition = PyObject_CallNoArgs(ix_future_state(self)->new_condition);
        if (condition == NULL)
            return NULL;
        if (observers->condition == NULL) /* the call may have let another thread in */
            observers->condition = Py_NewRef(condition);
        Py_DECREF(condition);
        ix_future_observe(self);
    }
    return Py_NewRef(observers->condition);
}

static PyObject *
get_list(PyObject *self, PyObject **field)
{
    ix_future_observe(self);
    if (*field == NULL)
        *field = PyList_New(0);
    return Py_XNewRef(*field);
}

PyObject *
ix_future_get_waiters(PyObject *self, void *Py_UNUSED(closure))
{
    struct ix_observers *observers = observers_of(self);
    return observers == NULL ? NULL : get_list(self, &observers->waiters);
}

PyObject *
ix_future_get_callbacks(PyObject *self, void *Py_UNUSED(closure))
{
    struct ix_observers *observers = observers_of(self);
    return observers == NULL ? NULL : get_list(self, &observers->callbacks);
}

/* ---- delivery ---- */

/* Steals the task's reference and gives back the pin. */
static void
publish_one(struct ix_task *task)
{
    PyObject *self = task->future;
    task->future = NULL;
    if (ix_future_publish(self) < 0 || ix_future_run_callbacks(self) < 0)
        PyErr_WriteUnraisable(self); /* SystemExit of a callback, say: the others still run */
    ix_pool_count_published(ix_future_of(self)->pool);
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
