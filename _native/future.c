/* Future: a subclass of concurrent.futures.Future that is the owner's handle on a task.
 *
 * A future starts out *unobserved*: result(), done(), running() and cancel() read the task itself, and
 * nothing of the base class exists. The first touch of anything else (a callback, `_condition`,
 * `_waiters`, and so wait(), as_completed() and asyncio.wrap_future()) makes it *observed*: from
 * then on the task holds a reference to it, its completion passes through the outbox, and its
 * visible state changes only when it is *published*, under its `_condition` if there is one, in the
 * section that notifies the waiters. That is what the functions of concurrent.futures rely on.
 *
 * Context of every function: the owner's GIL, which also protects the fields.
 */
#include "state.h"

enum stage { UNOBSERVED, OBSERVED, PUBLISHED };

struct future {
    struct ix_task *task;        /* one reference */
    struct ix_pool_object *pool; /* one reference */
    PyObject *value, *error;     /* the decoded outcome: at most one is set */
    PyObject *condition, *waiters, *callbacks; /* NULL until touched */
    unsigned decoders;           /* threads that are reading the task's data */
    uint8_t stage;
    bool loud; /* has a callback of the user's */
};

static inline struct future *
future_of(PyObject *self)
{
    return (struct future *)PyObject_GetTypeData(self, Py_TYPE(self));
}

static inline struct ix_module *
state_of(PyObject *self)
{
    return ix_state_of(Py_TYPE(self)); /* not a base type: no subclasses */
}

/* Whether the outside may see the task as done. */
static bool
is_settled(struct future *future)
{
    if (future->stage == UNOBSERVED)
        return ix_task_is_terminal(future->task);
    return future->stage == PUBLISHED;
}

/* ---- observing and publishing ---- */

/* Any touch of the contract beyond the task. Afterwards the stage is OBSERVED, and the outbox will bring
 * the future back, or PUBLISHED. */
static void
observe(PyObject *self)
{
    struct future *future = future_of(self);
    if (future->stage != UNOBSERVED)
        return;
    /* The pin comes first: the worker's exchange orders it before whoever reads the outbox. */
    future->task->future = Py_NewRef(self);
    if (ix_task_flag(future->task, IX_OBSERVED)) {
        future->stage = OBSERVED;
    }
    else {
        future->stage = PUBLISHED;
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
tell_waiters_locked(PyObject *self, struct future *future)
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

/* Makes a terminal task visible as such. Returns 0, or -1 with an exception set. */
static int
publish(PyObject *self)
{
    struct future *future = future_of(self);
    int result = 0;
    if (future->condition == NULL) {
        future->stage = PUBLISHED;
        return 0;
    }
    if (future->stage == PUBLISHED)
        return 0;
    if (call_method(future->condition, "acquire") < 0)
        return -1;
    if (future->stage != PUBLISHED) { /* another thread may have been first */
        future->stage = PUBLISHED;
        result = tell_waiters_locked(self, future);
    }
    PyObject *error = result < 0 ? PyErr_GetRaisedException() : NULL;
    if (call_method(future->condition, "release") < 0)
        result = -1;
    if (error != NULL)
        PyErr_SetRaisedException(error);
    return result;
}

/* Calls one callback. An Exception is logged, as the base class does; another ends in -1. */
static int
run_callback(PyObject *self, PyObject *callback)
{
    PyObject *result = PyObject_CallOneArg(callback, self);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyObject *error = PyErr_GetRaisedException();
        result = PyObject_CallFunctionObjArgs(state_of(self)->log_callback, self, error, NULL);
        Py_DECREF(error);
    }
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int
run_callbacks(PyObject *self)
{
    PyObject *callbacks = future_of(self)->callbacks;
    int result = 0;
    future_of(self)->callbacks = NULL;
    for (Py_ssize_t i = 0; callbacks != NULL && result == 0 && i < PyList_GET_SIZE(callbacks); i++) {
        PyObject *callback = PyList_GetItemRef(callbacks, i);
        result = callback == NULL ? -1 : run_callback(self, callback);
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
    if (publish(self) < 0 || run_callbacks(self) < 0)
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
        if (deputy && future_of(tasks->future)->loud) {
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

/* ---- the outcome ---- */

PyObject *
ix_decode_exception(struct ix_module *state, struct ix_reader *reader)
{
    const char *data;
    size_t length;
    if (!ix_decode_raised(reader, &data, &length)) {
        PyErr_SetString(PyExc_SystemError, "interp_executor: no exception where one was expected");
        return NULL;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(data, (Py_ssize_t)length);
    PyObject *error = bytes == NULL ? NULL : PyObject_CallOneArg(state->decode_exception, bytes);
    Py_XDECREF(bytes);
    return error;
}

static void
decode_outcome(struct ix_module *state, struct future *future, PyObject **value, PyObject **error)
{
    struct ix_task *task = future->task;
    struct ix_reader reader = {task->data, task->data + task->length};
    switch ((enum ix_outcome)task->outcome) {
    case IX_OUTCOME_VALUE:
        *value = ix_decode_value(&state->codec, &reader);
        break;
    case IX_OUTCOME_RAISED:
        *error = ix_decode_exception(state, &reader);
        break;
    case IX_OUTCOME_BROKEN:
        *error = PyObject_CallOneArg(state->broken_error, (PyObject *)future->pool);
        break;
    default:
        *error = PyObject_CallFunction(state->failed_error, "s#", task->data,
                                       (Py_ssize_t)task->length);
    }
}

/* Fills value or error from the DONE task. Returns 0, or -1 with an exception that is not the
 * outcome (a signal's, say): a later call tries again. */
static int
decode(PyObject *self)
{
    struct ix_module *state = state_of(self);
    struct future *future = future_of(self);
    PyObject *value = NULL, *error = NULL;

    if (future->value != NULL || future->error != NULL)
        return 0;
    future->decoders++;
    decode_outcome(state, future, &value, &error);
    if (value == NULL && error == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyObject *reason = PyErr_GetRaisedException();
        error = PyObject_CallOneArg(state->undecodable_error, reason);
        Py_DECREF(reason);
    }
    future->decoders--;
    if (value == NULL && error == NULL)
        return -1;
    if (future->value == NULL && future->error == NULL) { /* unless another thread was first */
        future->value = Py_XNewRef(value);
        future->error = Py_XNewRef(error);
    }
    if (future->decoders == 0)
        ix_task_drop_data(future->task);
    Py_XDECREF(value);
    Py_XDECREF(error);
    return 0;
}

/* Context: the owner's GIL, released while waiting. Returns 0 once the task is terminal, or -1. */
static int
wait_for_task(struct future *future, PyObject *timeout)
{
    struct ix_task *task = future->task;
    struct ix_spin *spin = &future->pool->spin;
    enum ix_park result = IX_PARK_TIMEOUT;
    int64_t ns;

    if (ix_timeout_ns(timeout, &ns) < 0)
        return -1;
    int64_t deadline = ns < 0 ? 0 : ix_now_ns() + ns;
    for (unsigned round = 0; !ix_task_is_terminal(task); round++) {
        int64_t left = ns < 0 ? -1 : deadline - ix_now_ns();
        if (ns >= 0 && left <= 0) {
            PyErr_SetNone(PyExc_TimeoutError);
            return -1;
        }
        Py_BEGIN_ALLOW_THREADS
        if (spin == NULL || !ix_spin_wait(spin, &task->state, IX_TERMINAL, 0))
            result = ix_task_wait(task, ix_slice_ns(left, round));
        Py_END_ALLOW_THREADS
        spin = NULL;
        if (result != IX_PARK_WOKEN && PyErr_CheckSignals() < 0)
            return -1;
    }
    return 0;
}

/* Waits and decodes; an observed future is published on the way, so that done() agrees. */
static int
settle(PyObject *self, PyObject *timeout)
{
    struct future *future = future_of(self);
    if (wait_for_task(future, timeout) < 0)
        return -1;
    if (future->stage == OBSERVED && publish(self) < 0)
        return -1;
    if (ix_task_state(future->task) == IX_CANCELLED) {
        PyErr_SetNone(state_of(self)->cancelled_error);
        return -1;
    }
    return decode(self);
}

static int
parse_timeout(const char *name, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
              PyObject **timeout)
{
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    *timeout = Py_None;
    if (nargs + nkw == 0)
        return 0;
    if (nargs + nkw == 1
        && (nkw == 0
            || PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "timeout") == 0)) {
        *timeout = args[0];
        return 0;
    }
    PyErr_Format(PyExc_TypeError, "%s() takes at most one argument, timeout", name);
    return -1;
}

PyDoc_STRVAR(future_result_doc, "result($self, /, timeout=None)\n--\n\n"
"Return the value the task returned, or raise what it raised.\n\n"
"Waits at most timeout seconds (None: without limit), then raises TimeoutError. Raises\n"
"CancelledError if the future was cancelled.");

static PyObject *
future_result(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *timeout;
    if (parse_timeout("result", args, nargs, kwnames, &timeout) < 0 || settle(self, timeout) < 0)
        return NULL;
    struct future *future = future_of(self);
    if (future->error == NULL)
        return Py_NewRef(future->value);
    PyErr_SetRaisedException(Py_NewRef(future->error));
    return NULL;
}

PyDoc_STRVAR(future_exception_doc, "exception($self, /, timeout=None)\n--\n\n"
"Return the exception the task raised, or None if it returned. Waits as result() does.");

static PyObject *
future_exception(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *timeout;
    if (parse_timeout("exception", args, nargs, kwnames, &timeout) < 0 || settle(self, timeout) < 0)
        return NULL;
    struct future *future = future_of(self);
    return Py_NewRef(future->error == NULL ? Py_None : future->error);
}

/* ---- state ---- */

static PyObject *
future_done(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct future *future = future_of(self);
    if (future->stage == OBSERVED && ix_task_is_terminal(future->task) && publish(self) < 0)
        return NULL;
    return PyBool_FromLong(is_settled(future));
}

static PyObject *
future_running(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct future *future = future_of(self);
    return PyBool_FromLong(!is_settled(future) && ix_task_state(future->task) != IX_PENDING);
}

static PyObject *
future_cancelled(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct future *future = future_of(self);
    return PyBool_FromLong(is_settled(future) && ix_task_state(future->task) == IX_CANCELLED);
}

int
ix_future_cancel(PyObject *self)
{
    struct future *future = future_of(self);
    struct ix_task *task = future->task;
    if (!ix_task_cancel(task))
        return ix_task_state(task) == IX_CANCELLED;
    if (future->stage == UNOBSERVED) {
        future->stage = PUBLISHED;
        return 1;
    }
    task->future = NULL; /* the pin: a cancelled task never comes to the outbox */
    int result = publish(self) < 0 || run_callbacks(self) < 0 ? -1 : 1;
    Py_DECREF(self);
    return result;
}

PyDoc_STRVAR(future_cancel_doc, "cancel($self, /)\n--\n\n"
"Cancel the task unless a worker has taken it; return whether it is cancelled.");

static PyObject *
future_cancel(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    Py_INCREF(self); /* a callback may drop the caller's last reference */
    int cancelled = ix_future_cancel(self);
    Py_DECREF(self);
    return cancelled < 0 ? NULL : PyBool_FromLong(cancelled);
}

static const char *
state_name(struct future *future)
{
    enum ix_state state = ix_task_state(future->task);
    if (is_settled(future))
        return state == IX_CANCELLED ? "CANCELLED_AND_NOTIFIED" : "FINISHED";
    return state == IX_PENDING ? "PENDING" : "RUNNING";
}

static PyObject *
future_repr(PyObject *self)
{
    struct future *future = future_of(self);
    if (!is_settled(future))
        return PyUnicode_FromFormat(
            "<Future at %p state=%s>", self,
            ix_task_state(future->task) == IX_PENDING ? "pending" : "running");
    if (ix_task_state(future->task) == IX_CANCELLED)
        return PyUnicode_FromFormat("<Future at %p state=cancelled>", self);
    if (decode(self) < 0)
        return NULL;
    bool raised = future->error != NULL;
    PyObject *outcome = raised ? future->error : future->value;
    PyObject *name = PyType_GetName(Py_TYPE(outcome));
    if (name == NULL)
        return NULL;
    PyObject *repr = PyUnicode_FromFormat("<Future at %p state=finished %s %U>", self,
                                          raised ? "raised" : "returned", name);
    Py_DECREF(name);
    return repr;
}

/* ---- callbacks ---- */

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

PyDoc_STRVAR(future_add_done_callback_doc, "add_done_callback($self, fn, /)\n--\n\n"
"Call fn(future) when the future is done or cancelled; at once if it is already.\n\n"
"Callbacks run in the order in which they were added, in a thread of this interpreter.\n"
"Exceptions they raise are logged by the logger concurrent.futures.");

static PyObject *
future_add_done_callback(PyObject *self, PyObject *callback)
{
    struct future *future = future_of(self);
    bool quiet = is_quiet(callback);
    observe(self);
    if (future->stage == PUBLISHED) {
        if (run_callback(self, callback) < 0)
            return NULL;
        Py_RETURN_NONE;
    }
    if (future->callbacks == NULL && (future->callbacks = PyList_New(0)) == NULL)
        return NULL;
    if (!quiet) {
        future->loud = true;
        ix_task_flag(future->task, IX_LOUD);
    }
    if (PyList_Append(future->callbacks, callback) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *
invalid_state(PyObject *self)
{
    PyObject *repr = PyObject_Repr(self);
    if (repr != NULL) {
        PyErr_Format(state_of(self)->invalid_state_error, "%s: %U", state_name(future_of(self)), repr);
        Py_DECREF(repr);
    }
    return NULL;
}

static PyObject *
future_set(PyObject *self, PyObject *Py_UNUSED(outcome))
{
    return invalid_state(self);
}

static PyObject *
future_set_running_or_notify_cancel(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    if (ix_task_state(future_of(self)->task) == IX_CANCELLED)
        Py_RETURN_FALSE;
    PyErr_SetString(PyExc_RuntimeError, "Future in unexpected state: a worker sets it running");
    return NULL;
}

/* ---- the base class's attributes ---- */

static PyObject *
future_get_state(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_InternFromString(state_name(future_of(self)));
}

static PyObject *
future_get_condition(PyObject *self, void *Py_UNUSED(closure))
{
    struct future *future = future_of(self);
    if (future->condition == NULL) {
        PyObject *condition = PyObject_CallNoArgs(state_of(self)->new_condition);
        if (condition == NULL)
            return NULL;
        if (future->condition == NULL) /* the call may have let another thread in */
            future->condition = Py_NewRef(condition);
        Py_DECREF(condition);
        observe(self);
    }
    return Py_NewRef(future->condition);
}

static PyObject *
get_list(PyObject *self, PyObject **field)
{
    observe(self);
    if (*field == NULL)
        *field = PyList_New(0);
    return Py_XNewRef(*field);
}

static PyObject *
future_get_waiters(PyObject *self, void *Py_UNUSED(closure))
{
    return get_list(self, &future_of(self)->waiters);
}

static PyObject *
future_get_callbacks(PyObject *self, void *Py_UNUSED(closure))
{
    return get_list(self, &future_of(self)->callbacks);
}

/* The decoded outcome if there is one to be seen. */
static int
decode_if_finished(PyObject *self)
{
    struct future *future = future_of(self);
    bool finished = is_settled(future) && ix_task_state(future->task) == IX_DONE;
    return finished ? decode(self) : 0;
}

static PyObject *
future_get_result(PyObject *self, void *Py_UNUSED(closure))
{
    if (decode_if_finished(self) < 0)
        return NULL;
    PyObject *value = future_of(self)->value;
    return Py_NewRef(value == NULL ? Py_None : value);
}

static PyObject *
future_get_exception(PyObject *self, void *Py_UNUSED(closure))
{
    if (decode_if_finished(self) < 0)
        return NULL;
    PyObject *error = future_of(self)->error;
    return Py_NewRef(error == NULL ? Py_None : error);
}

/* ---- the type ---- */

static int
future_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct future *future = future_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(future->pool);
    Py_VISIT(future->value);
    Py_VISIT(future->error);
    Py_VISIT(future->condition);
    Py_VISIT(future->waiters);
    Py_VISIT(future->callbacks);
    return PyObject_VisitManagedDict(self, visit, arg);
}

static int
future_clear(PyObject *self)
{
    struct future *future = future_of(self);
    Py_CLEAR(future->value);
    Py_CLEAR(future->error);
    Py_CLEAR(future->condition);
    Py_CLEAR(future->waiters);
    Py_CLEAR(future->callbacks);
    PyObject_ClearManagedDict(self);
    return 0;
}

/* Not delegated to the base: its slot is subtype_dealloc, which would call this one again. */
static void
future_dealloc(PyObject *self)
{
    struct future *future = future_of(self);
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    PyObject_ClearWeakRefs(self);
    future_clear(self);
    ix_task_release(future->task);
    Py_XDECREF(future->pool);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject *
ix_future_new(struct ix_module *state, struct ix_pool_object *pool, struct ix_task *task)
{
    PyObject *self = state->future_type->tp_alloc(state->future_type, 0);
    if (self == NULL) {
        ix_task_release(task);
        return NULL;
    }
    struct future *future = future_of(self);
    future->task = task;
    future->pool = (struct ix_pool_object *)Py_NewRef((PyObject *)pool);
    return self;
}

PyObject *
ix_future_failed(struct ix_module *state, struct ix_pool_object *pool, PyObject *error)
{
    struct ix_buffer nothing;
    ix_buffer_init(&nothing, NULL, 0);
    struct ix_task *task = ix_task_new(NULL, &nothing);
    if (task == NULL)
        return PyErr_NoMemory();
    ix_task_start(task);
    ix_task_finish(task, IX_OUTCOME_RAISED);
    PyObject *self = ix_future_new(state, pool, task);
    if (self != NULL)
        future_of(self)->error = Py_NewRef(error);
    return self;
}

static PyMethodDef future_methods[] = {
    {"result", (PyCFunction)(void (*)(void))future_result, METH_FASTCALL | METH_KEYWORDS,
     future_result_doc},
    {"exception", (PyCFunction)(void (*)(void))future_exception, METH_FASTCALL | METH_KEYWORDS,
     future_exception_doc},
    {"done", future_done, METH_NOARGS, "done($self, /)\n--\n\nWhether it finished or was cancelled."},
    {"running", future_running, METH_NOARGS, "running($self, /)\n--\n\nWhether a worker runs it."},
    {"cancelled", future_cancelled, METH_NOARGS, "cancelled($self, /)\n--\n\nWhether cancelled."},
    {"cancel", future_cancel, METH_NOARGS, future_cancel_doc},
    {"add_done_callback", future_add_done_callback, METH_O, future_add_done_callback_doc},
    {"set_result", future_set, METH_O, "Raise InvalidStateError: a worker sets it."},
    {"set_exception", future_set, METH_O, "Raise InvalidStateError: a worker sets it."},
    {"set_running_or_notify_cancel", future_set_running_or_notify_cancel, METH_NOARGS,
     "Return False if cancelled; otherwise raise RuntimeError: a worker does it."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef future_getset[] = {
    {"_state", future_get_state, NULL, NULL, NULL},
    {"_condition", future_get_condition, NULL, NULL, NULL},
    {"_waiters", future_get_waiters, NULL, NULL, NULL},
    {"_done_callbacks", future_get_callbacks, NULL, NULL, NULL},
    {"_result", future_get_result, NULL, NULL, NULL},
    {"_exception", future_get_exception, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot future_slots[] = {
    {Py_tp_doc, "The result, to come, of a call that a worker makes."},
    {Py_tp_dealloc, future_dealloc},
    {Py_tp_traverse, future_traverse},
    {Py_tp_clear, future_clear},
    {Py_tp_repr, future_repr},
    {Py_tp_methods, future_methods},
    {Py_tp_getset, future_getset},
    {0, NULL},
};

static PyType_Spec future_spec = {
    .name = "interp_executor._native.Future",
    .basicsize = -(int)sizeof(struct future),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = future_slots,
};

PyTypeObject *
ix_future_type_new(PyObject *module, PyObject *base)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &future_spec, base);
}
