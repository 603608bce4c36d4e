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
#include "future.h"

/* ---- results ---- */

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
    if (parse_timeout("result", args, nargs, kwnames, &timeout) < 0
        || ix_future_settle(self, timeout) < 0)
        return NULL;
    struct ix_future *future = ix_future_of(self);
    if (!future->raised)
        return Py_NewRef(future->outcome);
    PyErr_SetRaisedException(Py_NewRef(future->outcome));
    return NULL;
}

PyDoc_STRVAR(future_exception_doc, "exception($self, /, timeout=None)\n--\n\n"
"Return the exception the task raised, or None if it returned. Waits as result() does.");

static PyObject *
future_exception(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *timeout;
    if (parse_timeout("exception", args, nargs, kwnames, &timeout) < 0
        || ix_future_settle(self, timeout) < 0)
        return NULL;
    struct ix_future *future = ix_future_of(self);
    return Py_NewRef(future->raised ? future->outcome : Py_None);
}

/* ---- state ---- */

static PyObject *
future_done(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct ix_future *future = ix_future_of(self);
    if (future->stage == IX_STAGE_OBSERVED && ix_task_is_terminal(future->task)
        && ix_future_publish(self) < 0)
        return NULL;
    return PyBool_FromLong(ix_future_is_settled(future));
}

static PyObject *
future_running(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct ix_future *future = ix_future_of(self);
    return PyBool_FromLong(!ix_future_is_settled(future)
                           && ix_task_state(future->task) != IX_PENDING);
}

static PyObject *
future_cancelled(PyObject *self, PyObject *Py_UNUSED(ignored))
{
    struct ix_future *future = ix_future_of(self);
    return PyBool_FromLong(ix_future_is_settled(future)
                           && ix_task_state(future->task) == IX_CANCELLED);
}

static const char *
state_name(struct ix_future *future)
{
    enum ix_state state = ix_task_state(future->task);
    if (ix_future_is_settled(future))
        return state == IX_CANCELLED ? "CANCELLED_AND_NOTIFIED" : "FINISHED";
    return state == IX_PENDING ? "PENDING" : "RUNNING";
}

static PyObject *
future_repr(PyObject *self)
{
    struct ix_future *future = ix_future_of(self);
    if (!ix_future_is_settled(future))
        return PyUnicode_FromFormat("<Future at %p state=%s>", self,
                                    ix_task_state(future->task) == IX_PENDING ? "pending"
                                                                              : "running");
    if (ix_task_state(future->task) == IX_CANCELLED)
        return PyUnicode_FromFormat("<Future at %p state=cancelled>", self);
    if (ix_future_decode(self) < 0)
        return NULL;
    PyObject *name = PyType_GetName(Py_TYPE(future->outcome));
    if (name == NULL)
        return NULL;
    PyObject *repr = PyUnicode_FromFormat("<Future at %p state=finished %s %U>", self,
                                          future->raised ? "raised" : "returned", name);
    Py_DECREF(name);
    return repr;
}

/* ---- what only a worker may do ---- */

static PyObject *
invalid_state(PyObject *self)
{
    PyObject *repr = PyObject_Repr(self);
    if (repr != NULL) {
        PyErr_Format(ix_future_state(self)->invalid_state_error, "%s: %U",
                     state_name(ix_future_of(self)), repr);
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
    if (ix_task_state(ix_future_of(self)->task) == IX_CANCELLED)
        Py_RETURN_FALSE;
    PyErr_SetString(PyExc_RuntimeError, "Future in unexpected state: a worker sets it running");
    return NULL;
}

/* ---- the base class's attributes ---- */

static PyObject *
future_get_state(PyObject *self, void *Py_UNUSED(closure))
{
    return PyUnicode_InternFromString(state_name(ix_future_of(self)));
}

/* The outcome if it is there to be seen and of that kind; otherwise None, as in the base class. */
static PyObject *
get_outcome(PyObject *self, bool raised)
{
    struct ix_future *future = ix_future_of(self);
    bool finished = ix_future_is_settled(future) && ix_task_state(future->task) == IX_DONE;
    if (finished && ix_future_decode(self) < 0)
        return NULL;
    bool matches = finished && future->raised == raised;
    return Py_NewRef(matches ? future->outcome : Py_None);
}

static PyObject *
future_get_result(PyObject *self, void *Py_UNUSED(closure))
{
    return get_outcome(self, false);
}

static PyObject *
future_get_exception(PyObject *self, void *Py_UNUSED(closure))
{
    return get_outcome(self, true);
}

/* Attributes that users set: the future may be in a cycle from now on. */
static int
future_setattro(PyObject *self, PyObject *name, PyObject *value)
{
    ix_future_track(self);
    return PyObject_GenericSetAttr(self, name, value);
}

static PyObject *
future_get_dict(PyObject *self, void *closure)
{
    ix_future_track(self);
    return PyObject_GenericGetDict(self, closure);
}

static int
future_set_dict(PyObject *self, PyObject *value, void *closure)
{
    ix_future_track(self);
    return PyObject_GenericSetDict(self, value, closure);
}

/* ---- the type ---- */

static int
future_traverse(PyObject *self, visitproc visit, void *arg)
{
    struct ix_future *future = ix_future_of(self);
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(future->pool);
    Py_VISIT(future->outcome);
    int result = ix_future_traverse_observers(self, visit, arg);
    return result != 0 ? result : PyObject_VisitManagedDict(self, visit, arg);
}

static int
future_clear(PyObject *self)
{
    Py_CLEAR(ix_future_of(self)->outcome);
    ix_future_clear_observers(self);
    PyObject_ClearManagedDict(self);
    return 0;
}

/* Not delegated to the base: its slot is subtype_dealloc, which would call this one again. */
static void
future_dealloc(PyObject *self)
{
    struct ix_future *future = ix_future_of(self);
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
    struct ix_future *future = ix_future_of(self);
    future->task = task;
    future->pool = (struct ix_pool_object *)Py_NewRef((PyObject *)pool);
    PyObject_GC_UnTrack(self); /* for now */
    return self;
}

struct ix_task *
ix_future_task(struct ix_module *state, PyObject *object)
{
    return Py_IS_TYPE(object, state->future_type) ? ix_future_of(object)->task : NULL;
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
        ix_future_keep(self, error, true);
    return self;
}

PyDoc_STRVAR(future_add_done_callback_doc, "add_done_callback($self, fn, /)\n--\n\n"
"Call fn(future) when the future is done or cancelled; at once if it is already.\n\n"
"Callbacks run in the order in which they were added, in a thread of this interpreter.\n"
"Exceptions they raise are logged by the logger concurrent.futures.");

PyDoc_STRVAR(future_interrupt_doc, "interrupt($self, /)\n--\n\n"
"Ask the running task to stop, or cancel a pending one; return whether that could be done.\n\n"
"TaskInterrupt, a BaseException, is raised in the task. If that ends it, result() raises\n"
"TaskInterrupted; if the task returns all the same, its result stands. A task that does not end\n"
"within the grace period is abandoned: result() raises TaskInterrupted, and another worker takes\n"
"the place of the task's.");

PyDoc_STRVAR(future_cancel_doc, "cancel($self, /)\n--\n\n"
"Cancel the task unless a worker has taken it; return whether it is cancelled.\n\n"
"A running task that was submitted with interrupt_on_cancel=True is interrupted.");

static PyMethodDef future_methods[] = {
    {"result", (PyCFunction)(void (*)(void))future_result, METH_FASTCALL | METH_KEYWORDS,
     future_result_doc},
    {"exception", (PyCFunction)(void (*)(void))future_exception, METH_FASTCALL | METH_KEYWORDS,
     future_exception_doc},
    {"done", future_done, METH_NOARGS,
     "done($self, /)\n--\n\nWhether it finished or was cancelled."},
    {"running", future_running, METH_NOARGS, "running($self, /)\n--\n\nWhether a worker runs it."},
    {"cancelled", future_cancelled, METH_NOARGS, "cancelled($self, /)\n--\n\nWhether cancelled."},
    {"cancel", ix_future_cancel_method, METH_NOARGS, future_cancel_doc},
    {"interrupt", ix_future_interrupt_method, METH_NOARGS, future_interrupt_doc},
    {"add_done_callback", ix_future_add_done_callback, METH_O, future_add_done_callback_doc},
    {"set_result", future_set, METH_O, "Raise InvalidStateError: a worker sets it."},
    {"set_exception", future_set, METH_O, "Raise InvalidStateError: a worker sets it."},
    {"set_running_or_notify_cancel", future_set_running_or_notify_cancel, METH_NOARGS,
     "Return False if cancelled; otherwise raise RuntimeError: a worker does it."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef future_getset[] = {
    {"__dict__", future_get_dict, future_set_dict, NULL, NULL},
    {"_state", future_get_state, NULL, NULL, NULL},
    {"_condition", ix_future_get_condition, NULL, NULL, NULL},
    {"_waiters", ix_future_get_waiters, NULL, NULL, NULL},
    {"_done_callbacks", ix_future_get_callbacks, NULL, NULL, NULL},
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
    {Py_tp_setattro, future_setattro},
    {Py_tp_methods, future_methods},
    {Py_tp_getset, future_getset},
    {0, NULL},
};

static PyType_Spec future_spec = {
    .name = "interp_executor._native.Future",
    .basicsize = -(int)sizeof(struct ix_future),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = future_slots,
};

PyTypeObject *
ix_future_type_new(PyObject *module, PyObject *base)
{
    return (PyTypeObject *)PyType_FromModuleAndSpec(module, &future_spec, base);
}
