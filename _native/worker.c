/* Worker: the Python face of a thread of the owner that has an interpreter of its own.
 *
 * All methods enter and leave with the owner's GIL. They are called on the worker's own thread, but for those that
 * say otherwise: they look, or end a wait.
 */
#include "worker.h"

static int
check_open(struct ix_worker *self, bool open)
{
    if ((self->own_ts != NULL) == open)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, open ? "the worker has no interpreter"
                                             : "the worker has an interpreter already");
    return -1;
}

PyDoc_STRVAR(worker_open_doc, "open($self, path, world, /)\n--\n\n"
"Make the interpreter: path is the tuple for its sys.path, world what _worker.start() gets.\n\n"
"Raises RuntimeError, saying why, when that fails.");

static PyObject *
worker_open(struct ix_worker *self, PyTypeObject *cls, PyObject *const *args, Py_ssize_t nargs,
            PyObject *Py_UNUSED(kwnames))
{
    struct ix_module *state = ix_state_of(cls);
    struct ix_buffer path = {0}, world = {0};
    if (check_open(self, false) < 0)
        return NULL;
    if (nargs != 2 || !PyBytes_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "open() takes a tuple and bytes");
        return NULL;
    }
    if (ix_encode_value(&state->codec, &path, args[0]) < 0) {
        ix_buffer_fini(&path);
        return NULL;
    }
    ix_buffer_init(&world, PyBytes_AS_STRING(args[1]), (size_t)PyBytes_GET_SIZE(args[1]));
    world.length = world.capacity;
    char reason[1024];
    bool opened = ix_interpreter_open(self, &path, &world, reason, sizeof reason);
    ix_buffer_fini(&path);
    if (!opened)
        return PyErr_Format(PyExc_RuntimeError, "cannot start an interpreter: %s", reason);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(worker_serve_doc, "serve($self, pool, max_runs, /)\n--\n\n"
"Run what the pool's queue brings, until it closes or max_runs (0: no limit) are done.\n\n"
"Returns whether the limit was reached. leave(pool) must follow, once the worker is clean, unless\n"
"it is abandoned. Without an interpreter the worker can serve a pool all of whose tasks go to\n"
"processes.");

static PyObject *
worker_serve(struct ix_worker *self, PyTypeObject *cls, PyObject *const *args, Py_ssize_t nargs,
             PyObject *Py_UNUSED(kwnames))
{
    if (nargs != 2 || !PyObject_TypeCheck(args[0], ix_state_of(cls)->pool_type)) {
        PyErr_SetString(PyExc_TypeError, "serve() takes a Pool and an int");
        return NULL;
    }
    Py_ssize_t max_runs = PyNumber_AsSsize_t(args[1], NULL); /* clipped: so many never run */
    if (max_runs == -1 && PyErr_Occurred())
        return NULL;
    struct ix_pool_object *pool = (struct ix_pool_object *)args[0];
    if (atomic_load(&pool->lane) != IX_LANE_PROCESS && check_open(self, true) < 0)
        return NULL;
    self->pool = pool;
    self->runs = 0;
    self->seated = true;
    ix_crew_arrive(&pool->queue, &self->seat);
    ix_gil_to_own(self);
    ix_worker_serve(self, (uint64_t)max_runs);
    ix_gil_to_owner(self);
    return PyBool_FromLong(max_runs != 0 && self->runs >= (uint64_t)max_runs);
}

PyDoc_STRVAR(worker_awake_doc, "awake($self, /)\n--\n\n"
"Seconds that the worker has not waited for work in the present lease, or the last one.\n\n"
"From any thread.");

static PyObject *
worker_awake(struct ix_worker *self, PyObject *Py_UNUSED(ignored))
{
    return PyFloat_FromDouble((double)ix_seat_awake_ns(&self->seat) * 1e-9);
}

PyDoc_STRVAR(worker_computed_doc, "computed($self, /)\n--\n\n"
"Seconds of a processor's time that the threads have had that live in the interpreter and in those\n"
"of its own workers; 0 where nobody can tell, and once the interpreter ends.\n\n"
"It falls when one of them ends. From any thread.");

static PyObject *
worker_computed(struct ix_worker *self, PyObject *Py_UNUSED(ignored))
{
    int64_t computed;
    Py_BEGIN_ALLOW_THREADS
    computed = ix_runtime_computed_ns(&self->resident);
    Py_END_ALLOW_THREADS
    return PyFloat_FromDouble((double)computed * 1e-9);
}

PyDoc_STRVAR(worker_leave_doc, "leave($self, pool, worn, stuck=False, /)\n--\n\n"
"Count the worker out of the pool that it serves, or that it did not get to serve().\n\n"
"A stuck worker is counted out by another thread. Returns whether a successor has been counted in,\n"
"which only a worn worker gets: then start it.");

static PyObject *
worker_leave(struct ix_worker *self, PyObject *args)
{
    struct ix_module *state = ix_state_of(Py_TYPE(self));
    struct ix_pool_object *pool;
    int worn, stuck = false;
    bool successor = false;
    if (!PyArg_ParseTuple(args, "O!p|p:leave", state->pool_type, &pool, &worn, &stuck))
        return NULL;
    if (self->seated && self->pool != pool) {
        PyErr_SetString(PyExc_RuntimeError, "the worker serves another pool");
        return NULL;
    }
    if (!self->seated)
        ix_crew_leave(&pool->queue, NULL);
    else if (worn)
        successor = ix_crew_hand_over(&pool->queue, &self->seat);
    else
        ix_crew_leave(&pool->queue, &self->seat);
    self->seated = false;
    ix_seat_rest(&self->seat);
    if (!stuck) /* what runs in the interpreter may still ask for the pool, which its thread holds */
        self->pool = NULL;
    return PyBool_FromLong(successor);
}

PyDoc_STRVAR(worker_detach_doc, "detach($self, /)\n--\n\n"
"Forget the pool that another thread has counted it out of.");

static PyObject *
worker_detach(struct ix_worker *self, PyObject *Py_UNUSED(ignored))
{
    self->pool = NULL;
    Py_RETURN_NONE;
}

/* Context: own GIL. Opens the run of start(), in which an interrupt is raised that has come before. */
static void
open_start(struct ix_worker *self)
{
    ix_seat_open_run(&self->seat);
    if (atomic_exchange(&self->opening, IX_OPENING_DONE) == IX_OPENING_INTERRUPTED) {
        self->stop = IX_STOP_ASKED;
        PyThreadState_SetAsyncExc(self->access->thread_id, self->inside.interrupt);
    }
}

/* Context: owner GIL. Calls args[1] for the pool args[0]; in a run of its own while `starting`. */
static PyObject *
call_inside(struct ix_worker *self, PyTypeObject *cls, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    struct ix_module *state = ix_state_of(cls);
    struct ix_buffer call = {0}, outcome = {0};
    PyObject *result = NULL;
    bool ok;

    if (nargs < 2 || !PyObject_TypeCheck(args[0], state->pool_type)) {
        PyErr_SetString(PyExc_TypeError, "call() takes a Pool, a callable and its arguments");
        return NULL;
    }
    if (check_open(self, true) < 0)
        return NULL;
    struct ix_callable *callable = ix_callable_of(state, args[1]);
    if (callable == NULL)
        return NULL;
    if (ix_encode_call(&state->codec, &call, args + 2, nargs - 2, kwnames) == 0) {
        struct ix_reader reader = {call.data, call.data + call.length, NULL};
        struct ix_pool_object *pool = self->pool;
        self->pool = (struct ix_pool_object *)args[0]; /* whose world may be asked for */
        ix_gil_to_own(self);
        if (self->starting != NULL)
            open_start(self);
        ok = ix_worker_call(self, callable, &reader, NULL, &outcome) == IX_OUTCOME_VALUE;
        ix_note_nothing(self);
        ix_gil_to_owner(self);
        self->pool = pool;
        reader = (struct ix_reader){outcome.data, outcome.data + outcome.length, NULL};
        if (ok)
            result = ix_decode_value(&state->codec, &reader);
        else if ((result = ix_decode_exception(state, &reader)) != NULL)
            PyErr_SetRaisedException(result), result = NULL;
    }
    ix_buffer_fini(&call);
    ix_buffer_fini(&outcome);
    ix_callable_release(callable);
    return result;
}

PyDoc_STRVAR(worker_call_doc, "call($self, pool, fn, /, *args, **kwargs)\n--\n\n"
"Call fn in the interpreter now; return what it returns or raise what it raises.");

static PyObject *
worker_call(struct ix_worker *self, PyTypeObject *cls, PyObject *const *args, Py_ssize_t nargs,
            PyObject *kwnames)
{
    return call_inside(self, cls, args, nargs, kwnames);
}

PyDoc_STRVAR(worker_start_doc, "start($self, pool, initializer, /, *args)\n--\n\n"
"As call(), but interrupt_start() may interrupt it: then it raises TaskInterrupted.");

static PyObject *
worker_start(struct ix_worker *self, PyTypeObject *cls, PyObject *const *args, Py_ssize_t nargs,
             PyObject *kwnames)
{
    atomic_store(&self->opening, IX_OPENING_AHEAD);
    self->starting = nargs == 0 ? NULL : args[0];
    PyObject *result = call_inside(self, cls, args, nargs, kwnames);
    self->starting = NULL;
    return result;
}

PyDoc_STRVAR(worker_interrupt_start_doc, "interrupt_start($self, pool, /)\n--\n\n"
"Have TaskInterrupt raised in start(), if that is under way for this pool. From any thread; returns\n"
"at once.\n\n"
"Raises RuntimeError if the thread that this takes cannot be started.");

static PyObject *
worker_interrupt_start(struct ix_worker *self, PyObject *pool)
{
    uint8_t opening = IX_OPENING_AHEAD;
    if (self->starting != pool
        || atomic_compare_exchange_strong(&self->opening, &opening, IX_OPENING_INTERRUPTED))
        Py_RETURN_NONE;
    uint64_t run = atomic_load_explicit(&self->seat.run, memory_order_acquire);
    if ((run & 1) && ix_access_interrupt(self->access, run, IX_STOP_ASKED) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(worker_is_viewed_doc, "is_viewed($self, /)\n--\n\n"
"Whether other interpreters still look at memory of this one, or have yet to copy it.");

static PyObject *
worker_is_viewed(struct ix_worker *self, PyObject *Py_UNUSED(ignored))
{
    if (check_open(self, true) < 0)
        return NULL;
    ix_gil_to_own(self);
    ix_releases_drain(self->inside.codec.releases);
    bool viewed = self->inside.codec.releases->lent != 0;
    ix_gil_to_owner(self);
    return PyBool_FromLong(viewed);
}

PyDoc_STRVAR(worker_linger_doc, "linger($self, /)\n--\n\n"
"Wait until is_viewed() would be false, or dismiss() is called.");

static PyObject *
worker_linger(struct ix_worker *self, PyObject *Py_UNUSED(ignored))
{
    if (check_open(self, true) < 0)
        return NULL;
    struct ix_releases *releases = self->inside.codec.releases;
    ix_gil_to_own(self);
    for (;;) {
        uint32_t version = atomic_load(&releases->version);
        ix_releases_drain(releases);
        if (releases->lent == 0 || atomic_load(&releases->dismissed))
            break;
        Py_BEGIN_ALLOW_THREADS
        ix_releases_sleep(releases, version);
        Py_END_ALLOW_THREADS
    }
    ix_gil_to_owner(self);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(worker_dismiss_doc, "dismiss($self, /)\n--\n\n"
"End linger(), in whichever thread it waits: what is viewed will not be freed any more.");

static PyObject *
worker_dismiss(struct ix_worker *self, PyObject *Py_UNUSED(ignored))
{
    if (check_open(self, true) < 0)
        return NULL;
    ix_releases_dismiss(self->inside.codec.releases);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(worker_forget_doc, "forget($self, /)\n--\n\nDrop the callables kept for the present lease.");

static PyObject *
worker_forget(struct ix_worker *self, PyObject *Py_UNUSED(ignored))
{
    if (check_open(self, true) < 0)
        return NULL;
    ix_gil_to_own(self);
    ix_inside_forget(&self->inside);
    ix_gil_to_owner(self);
    Py_RETURN_NONE;
}

/* What the worker runs now, if anything. Returns an entry to be released by the caller. */
static struct ix_present
present_of(struct ix_worker *self)
{
    struct ix_present nothing = {0};
    return self->pool == NULL ? nothing : ix_crew_present(&self->pool->queue, &self->seat);
}

PyDoc_STRVAR(worker_present_doc, "present($self, of=..., /)\n--\n\n"
"The Run that is under way, or None; only if it is a future's task, or one of a pool's.");

static PyObject *
worker_present(struct ix_worker *self, PyTypeObject *cls, PyObject *const *args, Py_ssize_t nargs,
               PyObject *Py_UNUSED(kwnames))
{
    struct ix_module *state = ix_state_of(cls);
    bool of_pool = nargs == 1 && PyObject_TypeCheck(args[0], state->pool_type);
    struct ix_task *task = nargs == 0 || of_pool ? NULL : ix_future_task(state, args[0]);
    if (nargs > 1 || (nargs == 1 && !of_pool && task == NULL)) {
        PyErr_SetString(PyExc_TypeError, "present() takes one argument at most, of a known type");
        return NULL;
    }
    if (of_pool && (PyObject *)self->pool != args[0])
        Py_RETURN_NONE;
    struct ix_present present = present_of(self);
    if (present.entry == NULL)
        Py_RETURN_NONE;
    if (task != NULL && present.entry != &task->entry) {
        ix_entry_release(present.entry);
        Py_RETURN_NONE;
    }
    return ix_run_new(state, self, present);
}

PyDoc_STRVAR(worker_deadline_doc, "deadline($self, /)\n--\n\n"
"The number of the present run and the time until which it may last, or None.");

static PyObject *
worker_deadline(struct ix_worker *self, PyObject *Py_UNUSED(ignored))
{
    uint64_t run = atomic_load(&self->seat.run);
    int64_t deadline = atomic_load(&self->seat.deadline);
    if (deadline == 0 || !ix_seat_runs(&self->seat, run))
        Py_RETURN_NONE;
    return Py_BuildValue("KL", (unsigned long long)run, (long long)deadline);
}

PyDoc_STRVAR(worker_begin_time_limit_doc, "begin_time_limit($self, /)\n--\n\n"
"Set the deadline, if there is a limit, of the present run, whose process is ready for it.");

static PyObject *
worker_begin_time_limit(struct ix_worker *self, PyObject *Py_UNUSED(ignored))
{
    ix_run_set_deadline(self, self->limits);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(worker_close_doc, "close($self, /)\n--\n\n"
"End the interpreter, if there is one: its threads are joined and its exit callbacks run.");

static PyObject *
worker_close(struct ix_worker *self, PyObject *Py_UNUSED(ignored))
{
    if (self->own_ts != NULL)
        ix_interpreter_close(self);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(worker_leave_open_doc, "leave_open($self, /)\n--\n\n"
"Never end the interpreter: the process does, and has no time to lose.");

static PyObject *
worker_leave_open(struct ix_worker *self, PyObject *Py_UNUSED(ignored))
{
    Py_INCREF(self); /* for good: the runtime has it on a list */
    Py_RETURN_NONE;
}

static PyObject *
worker_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    if (!PyArg_ParseTuple(args, ":Worker"))
        return NULL;
    struct ix_worker *self = (struct ix_worker *)type->tp_alloc(type, 0);
    if (self != NULL)
        self->forks = atomic_load(&ix_runtime_forks);
    return (PyObject *)self;
}

static void
worker_dealloc(struct ix_worker *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    /* An interpreter can only be ended on its own thread: close() is the thread's last act. Only a fork
     * takes the thread away first. */
    assert(self->own_ts == NULL || ix_runtime_has_forked(self->forks));
    type->tp_free(self);
    Py_DECREF(type);
}

#define CLASS_METHOD(function) \
    (PyCFunction)(void (*)(void)) function, METH_METHOD | METH_FASTCALL | METH_KEYWORDS

static PyMethodDef worker_methods[] = {
    {"open", CLASS_METHOD(worker_open), worker_open_doc},
    {"serve", CLASS_METHOD(worker_serve), worker_serve_doc},
    {"awake", (PyCFunction)worker_awake, METH_NOARGS, worker_awake_doc},
    {"computed", (PyCFunction)worker_computed, METH_NOARGS, worker_computed_doc},
    {"leave", (PyCFunction)worker_leave, METH_VARARGS, worker_leave_doc},
    {"detach", (PyCFunction)worker_detach, METH_NOARGS, worker_detach_doc},
    {"call", CLASS_METHOD(worker_call), worker_call_doc},
    {"start", CLASS_METHOD(worker_start), worker_start_doc},
    {"interrupt_start", (PyCFunction)worker_interrupt_start, METH_O, worker_interrupt_start_doc},
    {"present", CLASS_METHOD(worker_present), worker_present_doc},
    {"deadline", (PyCFunction)worker_deadline, METH_NOARGS, worker_deadline_doc},
    {"begin_time_limit", (PyCFunction)worker_begin_time_limit, METH_NOARGS,
     worker_begin_time_limit_doc},
    {"is_viewed", (PyCFunction)worker_is_viewed, METH_NOARGS, worker_is_viewed_doc},
    {"linger", (PyCFunction)worker_linger, METH_NOARGS, worker_linger_doc},
    {"dismiss", (PyCFunction)worker_dismiss, METH_NOARGS, worker_dismiss_doc},
    {"forget", (PyCFunction)worker_forget, METH_NOARGS, worker_forget_doc},
    {"leave_open", (PyCFunction)worker_leave_open, METH_NOARGS, worker_leave_open_doc},
    {"close", (PyCFunction)worker_close, METH_NOARGS, worker_close_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef worker_members[] = {
    {"abandoned", Py_T_BOOL, offsetof(struct ix_worker, abandoned), Py_READONLY,
     "Whether it was given up with what it ran; its place at the pool is taken."},
    {"shares_gil", Py_T_BOOL, offsetof(struct ix_worker, seat.shares_gil), Py_READONLY,
     "Whether others of its interpreter might keep it from its GIL, as serve() ended."},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot worker_slots[] = {
    {Py_tp_doc, "An interpreter with a GIL of its own, bound to the thread that opens it."},
    {Py_tp_new, worker_new},
    {Py_tp_traverse, ix_traverse_type},
    {Py_tp_dealloc, worker_dealloc},
    {Py_tp_methods, worker_methods},
    {Py_tp_members, worker_members},
    {0, NULL},
};

PyType_Spec ix_worker_spec = {
    .name = "interp_executor._native.Worker",
    .basicsize = sizeof(struct ix_worker),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = worker_slots,
};
