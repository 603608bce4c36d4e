/* Executor: submit() and map() as C methods, for InterpreterPoolExecutor to inherit.
 *
 * An executor and the views made by with_options() share one pool. The last of them to go closes it, as
 * the garbage collection of a ThreadPoolExecutor lets its workers finish and leave.
 */
#include "state.h"

struct executor {
    PyObject_HEAD
    struct ix_pool_object *pool; /* NULL until attached */
    uint8_t lane;                /* enum ix_lane, of what is submitted here */
    struct ix_limits *limits;    /* one reference, or NULL: what the view asks for of its calls */
};

static int
executor_traverse(struct executor *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->pool);
    return 0;
}

/* Gives up the handle; the last one closes the queue. */
static int
executor_clear(struct executor *self)
{
    struct ix_pool_object *pool = self->pool;
    self->pool = NULL;
    if (pool != NULL) {
        if (atomic_fetch_sub(&pool->handles, 1) == 1 && !ix_pool_is_inherited(pool))
            ix_queue_close(&pool->queue);
        Py_DECREF(pool);
    }
    return 0;
}

static void
executor_dealloc(struct executor *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    executor_clear(self);
    ix_limits_release(self->limits);
    type->tp_free(self);
    Py_DECREF(type);
}

/* timeout, grace, interrupt_on_cancel */
static int
set_limits(struct executor *self, PyObject *const *args)
{
    int64_t timeout_ns, grace_ns;
    int interrupt_on_cancel = PyObject_IsTrue(args[2]);
    if (interrupt_on_cancel < 0 || ix_timeout_ns(args[0], &timeout_ns) < 0
        || ix_timeout_ns(args[1], &grace_ns) < 0)
        return -1;
    if (timeout_ns < 0)
        timeout_ns = 0;
    if (timeout_ns == 0 && grace_ns < 0 && !interrupt_on_cancel)
        return 0;
    self->limits = ix_limits_new(timeout_ns, grace_ns, interrupt_on_cancel);
    if (self->limits == NULL)
        PyErr_NoMemory();
    return self->limits == NULL ? -1 : 0;
}

PyDoc_STRVAR(executor_attach_doc, "_attach($self, pool, lane=0, timeout=None, grace=None,\n"
"        interrupt_on_cancel=False, /)\n--\n\n"
"Use this pool, this lane (0: chosen task by task, 1: processes, 2: interpreters) and these limits (in\n"
"seconds) to each task or item. To be called once.");

static PyObject *
executor_attach(struct executor *self, PyTypeObject *cls, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    long lane = nargs > 1 ? PyLong_AsLong(args[1]) : IX_LANE_ANY;
    if (PyErr_Occurred())
        return NULL;
    if ((nargs != 1 && nargs != 2 && nargs != 5) || kwnames != NULL || self->pool != NULL
        || lane < 0 || lane > IX_LANE_INTERPRETER
        || !PyObject_TypeCheck(args[0], ix_state_of(cls)->pool_type)) {
        PyErr_SetString(PyExc_TypeError, "_attach() takes a Pool, a lane and limits, once");
        return NULL;
    }
    if (nargs == 5 && set_limits(self, args + 2) < 0)
        return NULL;
    self->lane = (uint8_t)lane;
    self->pool = (struct ix_pool_object *)Py_NewRef(args[0]);
    atomic_fetch_add(&self->pool->handles, 1);
    Py_RETURN_NONE;
}

static int
check_pool(struct executor *self)
{
    if (self->pool != NULL)
        return ix_pool_check_inherited(self->pool);
    PyErr_SetString(PyExc_RuntimeError, "the executor is not initialised: was "
                                        "InterpreterPoolExecutor.__init__() called?");
    return -1;
}

/* Returns: a new task with one reference, or NULL with an exception set. */
static struct ix_task *
encode_task(struct ix_module *state, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    char memory[512];
    struct ix_buffer buffer;
    struct ix_task *task = NULL;
    struct ix_callable *callable = ix_callable_of(state, args[0]);
    if (callable == NULL)
        return NULL;
    ix_buffer_init(&buffer, memory, sizeof memory);
    if (ix_encode_call(&state->codec, &buffer, args + 1, nargs - 1, kwnames) == 0) {
        task = ix_task_new(callable, &buffer);
        if (task == NULL)
            PyErr_NoMemory();
    }
    ix_buffer_fini(&buffer);
    ix_callable_release(callable);
    return task;
}

/* The call cannot be sent: that is a matter of its future's, if the pool would have taken it. */
static PyObject *
fail_submit(struct ix_module *state, struct ix_pool_object *pool)
{
    if (!PyErr_ExceptionMatches(state->transfer_error))
        return NULL;
    PyObject *error = PyErr_GetRaisedException();
    PyObject *future = NULL;
    if (ix_pool_after_push(pool, ix_queue_refuses(&pool->queue)) == 0)
        future = ix_future_failed(state, pool, error);
    Py_DECREF(error);
    return future;
}

PyDoc_STRVAR(executor_submit_doc, "submit($self, fn, /, *args, **kwargs)\n--\n\n"
"Schedule fn(*args, **kwargs) to run in a worker's interpreter and return its future.\n\n"
"A callable or an argument that cannot cross makes the future raise TransferError. Raises\n"
"RuntimeError after shutdown, and BrokenInterpreterPool once an initializer has failed.");

static PyObject *
executor_submit(struct executor *self, PyTypeObject *cls, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    struct ix_module *state = ix_state_of(cls);
    struct ix_pool_object *pool = self->pool;
    if (nargs == 0) {
        PyErr_SetString(PyExc_TypeError, "submit() missing 1 required positional argument: 'fn'");
        return NULL;
    }
    if (check_pool(self) < 0)
        return NULL;
    ix_releases_drain(state->releases);
    struct ix_task *task = encode_task(state, args, nargs, kwnames);
    if (task == NULL)
        return fail_submit(state, pool);
    task->lane = self->lane;
    if (self->limits != NULL) {
        ix_limits_acquire(self->limits);
        task->limits = self->limits;
    }
    ix_task_acquire(task); /* one reference for the future, one for the queue */
    PyObject *future = ix_future_new(state, pool, task);
    if (future == NULL) {
        ix_task_release(task);
        return NULL;
    }
    enum ix_push pushed = ix_queue_push(&pool->queue, &task->entry);
    if (pushed == IX_PUSH_CLOSED || pushed == IX_PUSH_BROKEN)
        ix_task_release(task);
    if (ix_pool_after_push(pool, pushed) < 0)
        Py_CLEAR(future);
    return future;
}

PyDoc_STRVAR(executor_map_doc, "_map($self, fn, iterators, chunksize, buffersize, timeout, /)\n--\n\n"
"The iterator of map(): one job for all items. chunksize 0: by measured time;\n"
"buffersize 0: no limit; timeout in seconds or None.");

static PyObject *
executor_map(struct executor *self, PyTypeObject *cls, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    if (nargs != 5 || kwnames != NULL || !PyTuple_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "_map() takes exactly 5 arguments");
        return NULL;
    }
    if (check_pool(self) < 0)
        return NULL;
    struct ix_map_options options = {.limits = self->limits};
    Py_ssize_t chunksize = PyNumber_AsSsize_t(args[2], NULL); /* both clipped */
    options.chunksize = chunksize < INT32_MAX ? (uint32_t)chunksize : INT32_MAX;
    options.buffersize = (size_t)PyNumber_AsSsize_t(args[3], NULL);
    options.lane = self->lane;
    if (PyErr_Occurred() || ix_timeout_ns(args[4], &options.timeout_ns) < 0)
        return NULL;
    return ix_map_new(ix_state_of(cls), self->pool, args[0], args[1], &options);
}

#define CLASS_METHOD(function) \
    (PyCFunction)(void (*)(void)) function, METH_METHOD | METH_FASTCALL | METH_KEYWORDS

static PyMethodDef executor_methods[] = {
    {"submit", CLASS_METHOD(executor_submit), executor_submit_doc},
    {"_map", CLASS_METHOD(executor_map), executor_map_doc},
    {"_attach", CLASS_METHOD(executor_attach), executor_attach_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot executor_slots[] = {
    {Py_tp_doc, "What InterpreterPoolExecutor does in C."},
    {Py_tp_traverse, executor_traverse},
    {Py_tp_clear, executor_clear},
    {Py_tp_dealloc, executor_dealloc},
    {Py_tp_methods, executor_methods},
    {0, NULL},
};

PyType_Spec ix_executor_spec = {
    .name = "interp_executor._native.Executor",
    .basicsize = sizeof(struct executor),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = executor_slots,
};
