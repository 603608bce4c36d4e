/* Interrupting what a worker runs, and giving it up.
 *
 * An interrupt is an exception that another thread has raised in the worker's (PyThreadState_SetAsyncExc).
 * For that the thread must hold the worker's GIL, which may take seconds while C code keeps it: so a
 * thread is made for each interrupt, and belongs to nobody.
 *
 *   owner                     that thread                       worker
 *   -----                     -----------                       ------
 *   run = what runs now
 *   run.interrupt() --------> through the gate, take its GIL
 *                             the same run, and open?           ... runs on
 *                             set the exception, note why -----> raises it, or returns all the same
 *                             leave                             close the run: what was not raised
 *                                                               is cleared; encode the outcome
 *
 * A worker changes the number of its run only while it holds its GIL. So an interrupt either finds its
 * own run, and is raised or cleared before the next one, or finds another and does nothing.
 */
#include "worker.h"

#include <pythread.h>

/* ---- the way in ---- */

struct ix_access *
ix_access_new(struct ix_worker *worker)
{
    struct ix_access *access = calloc(1, sizeof *access);
    if (access == NULL)
        return NULL;
    atomic_init(&access->refs, 1);
    access->interpreter = PyInterpreterState_Get();
    access->thread = pthread_self();
    access->thread_id = PyThread_get_thread_ident();
    access->worker = worker;
    return access;
}

static void
release_access(struct ix_access *access)
{
    if (access != NULL && atomic_fetch_sub_explicit(&access->refs, 1, memory_order_acq_rel) == 1)
        free(access);
}

void
ix_access_close(struct ix_access *access)
{
    ix_gate_close(&access->gate);
    release_access(access);
}

/* ---- the worker's side. Context: the worker's GIL, on its thread ---- */

void
ix_run_set_deadline(struct ix_worker *worker, struct ix_limits *limits)
{
    if (!ix_limits_are_timed(limits))
        return;
    worker->timeout_ns = limits->timeout_ns;
    ix_alarm_set(worker->pool->alarm, &worker->seat.deadline, ix_now_ns() + limits->timeout_ns);
}

enum ix_stop
ix_run_close(struct ix_worker *worker)
{
    enum ix_stop stop = worker->stop;
    ix_seat_close_run(&worker->seat);
    if (stop != IX_STOP_NONE) {
        worker->stop = IX_STOP_NONE;
        PyThreadState_SetAsyncExc(worker->access->thread_id, NULL);
    }
    return stop;
}

int
ix_run_encode_stop(struct ix_worker *worker, struct ix_buffer *buffer)
{
    PyObject *error = PyErr_GetRaisedException();
    PyObject *bytes = PyObject_CallFunction(worker->inside.encode_stopped, "Oid", error,
                                            worker->stopped == IX_STOP_LATE,
                                            (double)worker->timeout_ns * 1e-9);
    int result = -1;
    if (bytes == Py_None)
        result = 0;
    else if (bytes != NULL && PyBytes_Check(bytes) && ix_encode_raised(buffer, bytes) == 0)
        result = 1;
    Py_XDECREF(bytes);
    if (result == 0)
        PyErr_SetRaisedException(error);
    else
        Py_DECREF(error);
    return result;
}

/* ---- the thread that delivers ---- */

struct delivery {
    struct ix_access *access; /* one reference */
    uint64_t run;
    enum ix_stop stop;
};

/* Context: the worker's GIL, on another thread. Returns whether the run was still there. */
static bool
raise_in_run(struct delivery *delivery)
{
    struct ix_worker *worker = delivery->access->worker;
    if (!ix_seat_runs(&worker->seat, delivery->run))
        return false;
    worker->stop = delivery->stop;
    if (worker->reporting)
        worker->due = true;
    else
        PyThreadState_SetAsyncExc(delivery->access->thread_id, worker->inside.interrupt);
    return true;
}

/* Context: no GIL, a thread of nobody's. */
static void
deliver(void *arg)
{
    struct delivery delivery = *(struct delivery *)arg;
    struct ix_access *access = delivery.access;
    free(arg);
    if (ix_gate_enter(&access->gate)) {
        PyThreadState *state = PyThreadState_New(access->interpreter);
        if (state != NULL) { /* without memory nothing can be delivered: the grace period goes on */
            PyEval_RestoreThread(state);
            bool raised = raise_in_run(&delivery);
            PyThreadState_Clear(state);
            PyThreadState_DeleteCurrent();
            if (raised)
                ix_break_system_call(access->thread);
        }
        ix_gate_leave(&access->gate);
    }
    release_access(access);
}

int
ix_access_interrupt(struct ix_access *access, uint64_t run, enum ix_stop stop)
{
    struct delivery *delivery = malloc(sizeof *delivery);
    if (delivery == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *delivery = (struct delivery){access, run, stop};
    atomic_fetch_add_explicit(&access->refs, 1, memory_order_relaxed);
    if (PyThread_start_new_thread(deliver, delivery) == PYTHREAD_INVALID_THREAD_ID) {
        release_access(access);
        free(delivery);
        PyErr_SetString(PyExc_RuntimeError, "cannot start a thread to interrupt a task");
        return -1;
    }
    return 0;
}

/* ---- interrupts that nobody can catch. Context: the worker's GIL, on its thread ---- */

/* Sent by a thread once more, and not set at once: it would be raised in the next of the finalizers that are being
 * called, in each of them before it begins. */
static void
send_again(struct ix_worker *worker)
{
    uint64_t run = atomic_load_explicit(&worker->seat.run, memory_order_relaxed);
    if (ix_access_interrupt(worker->access, run, worker->stop) < 0) {
        PyErr_Clear(); /* no thread is to be had: so be it */
        PyThreadState_SetAsyncExc(worker->access->thread_id, worker->inside.interrupt);
    }
}

static PyObject *
tell_default_hook(PyObject *unraisable)
{
    PyObject *hook = PySys_GetObject("__unraisablehook__"); /* borrowed */
    if (hook == NULL)
        return PyErr_Format(PyExc_RuntimeError, "lost sys.__unraisablehook__");
    return PyObject_CallOneArg(hook, unraisable);
}

/* To tell runs Python, the stream's, where an interrupt would be lost: it is raised afterwards. */
static PyObject *
tell_undisturbed(struct ix_worker *worker, PyObject *unraisable)
{
    bool outer = worker->reporting;
    worker->reporting = true;
    PyObject *result = tell_default_hook(unraisable);
    worker->reporting = outer;
    if (result == NULL && worker->stop != IX_STOP_NONE
        && PyErr_ExceptionMatches(worker->inside.interrupt)) { /* it was on its way already */
        PyErr_Clear();
        worker->due = true;
        result = Py_NewRef(Py_None);
    }
    if (worker->due && !outer) {
        worker->due = false;
        PyThreadState_SetAsyncExc(worker->access->thread_id, worker->inside.interrupt);
    }
    return result;
}

PyObject *
ix_interrupt_unraisable(PyObject *Py_UNUSED(module), PyObject *unraisable)
{
    struct ix_worker *worker = ix_worker_here();
    if (worker == NULL || worker->access == NULL)
        return tell_default_hook(unraisable);
    PyObject *type = PyObject_GetAttrString(unraisable, "exc_type");
    if (type == NULL)
        return NULL;
    Py_DECREF(type); /* the argument has it */
    if (worker->stop == IX_STOP_NONE || type != worker->inside.interrupt)
        return tell_undisturbed(worker, unraisable);
    send_again(worker);
    Py_RETURN_NONE;
}

/* ---- Run. Context of all that follows: the owner's GIL ---- */

struct run {
    PyObject_HEAD
    struct ix_worker *worker;    /* one reference, as all below */
    struct ix_pool_object *pool; /* whose lease it is */
    struct ix_access *access;
    struct ix_present present;
};

static bool
is_task(struct run *self)
{
    return self->present.entry->kind == IX_ENTRY_TASK;
}

PyObject *
ix_run_new(struct ix_module *state, struct ix_worker *worker, struct ix_present present)
{
    struct run *self = (struct run *)state->run_type->tp_alloc(state->run_type, 0);
    if (self == NULL) {
        ix_entry_release(present.entry);
        return NULL;
    }
    self->worker = (struct ix_worker *)Py_NewRef((PyObject *)worker);
    self->pool = (struct ix_pool_object *)Py_NewRef((PyObject *)worker->pool);
    self->access = worker->access;
    if (self->access != NULL)
        atomic_fetch_add_explicit(&self->access->refs, 1, memory_order_relaxed);
    self->present = present;
    return (PyObject *)self;
}

static void
run_dealloc(struct run *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ix_entry_release(self->present.entry);
    release_access(self->access);
    Py_XDECREF(self->pool);
    Py_XDECREF(self->worker);
    type->tp_free(self);
    Py_DECREF(type);
}

static int
run_traverse(struct run *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->pool);
    Py_VISIT(self->worker);
    return 0;
}

PyDoc_STRVAR(run_interrupt_doc, "interrupt($self, late, /)\n--\n\n"
"Have TaskInterrupt raised in it; late: since it is over its time. Returns at once.\n\n"
"Raises RuntimeError if the thread that this takes cannot be started.");

static PyObject *
run_interrupt(struct run *self, PyObject *late)
{
    if (self->access == NULL)
        Py_RETURN_NONE; /* a worker without an interpreter: only its process can be stopped */
    int is_late = PyObject_IsTrue(late);
    if (is_late < 0
        || ix_access_interrupt(self->access, self->present.run,
                               is_late ? IX_STOP_LATE : IX_STOP_ASKED)
               < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(run_nudge_doc, "nudge($self, /)\n--\n\n"
"End the blocking system call it may be in, where that helps: a signal that comes just before\n"
"such a call begins is lost.");

static PyObject *
run_nudge(struct run *self, PyObject *Py_UNUSED(ignored))
{
    if (self->access != NULL && ix_gate_enter(&self->access->gate)) {
        if (ix_seat_runs(&self->worker->seat, self->present.run))
            ix_break_system_call(self->access->thread);
        ix_gate_leave(&self->access->gate);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(run_is_over_doc, "is_over($self, /)\n--\n\nWhether it has ended or was abandoned.");

static PyObject *
run_is_over(struct run *self, PyObject *Py_UNUSED(ignored))
{
    if (is_task(self))
        return PyBool_FromLong(ix_task_is_terminal((struct ix_task *)self->present.entry));
    return PyBool_FromLong(!ix_seat_runs(&self->worker->seat, self->present.run));
}

static struct ix_limits *
limits_of(struct run *self)
{
    return is_task(self) ? ((struct ix_task *)self->present.entry)->limits
                         : ((struct ix_job *)self->present.entry)->limits;
}

PyDoc_STRVAR(run_limits_doc, "limits($self, /)\n--\n\n"
"(timeout, grace) in seconds, None where the view it was submitted to has not set them.");

static PyObject *
run_limits(struct run *self, PyObject *Py_UNUSED(ignored))
{
    struct ix_limits *limits = limits_of(self);
    PyObject *timeout = ix_limits_are_timed(limits)
                            ? PyFloat_FromDouble((double)limits->timeout_ns * 1e-9)
                            : Py_NewRef(Py_None);
    PyObject *grace = limits == NULL || limits->grace_ns < 0
                          ? Py_NewRef(Py_None)
                          : PyFloat_FromDouble((double)limits->grace_ns * 1e-9);
    return Py_BuildValue("(NN)", timeout, grace);
}

static bool
forsake_claim(struct run *self, PyObject *error)
{
    struct ix_buffer outcome = {0};
    if (ix_encode_raised(&outcome, error) == 0)
        self->present.items = ix_claim_forsake((struct ix_job *)self->present.entry,
                                               self->present.claim, &self->worker->seat,
                                               self->present.run, &outcome);
    ix_buffer_fini(&outcome);
    return self->present.items != 0;
}

PyDoc_STRVAR(run_abandon_doc, "abandon($self, late, killed, error, /)\n--\n\n"
"Give it up together with its worker, since it was over its time or asked to stop; killed tells whether its\n"
"process has been killed for it, and error is the encoded exception for an item of a map.\n\n"
"Returns None if it is over by itself; otherwise whether the worker's successor has been counted\n"
"in at the pool, so that the caller must start it.");

static PyObject *
run_abandon(struct run *self, PyObject *args)
{
    int late, killed, abandoned;
    PyObject *error;
    if (!PyArg_ParseTuple(args, "ppO!:abandon", &late, &killed, &PyBytes_Type, &error))
        return NULL;
    if (is_task(self))
        abandoned = ix_pool_abandon_task(self->pool, (struct ix_task *)self->present.entry,
                                         (late ? IX_LATE : 0) | (killed ? IX_KILLED : 0));
    else
        abandoned = forsake_claim(self, error);
    if (PyErr_Occurred())
        return NULL;
    if (!abandoned)
        Py_RETURN_NONE;
    return PyBool_FromLong(
        ix_crew_abandon(&self->pool->queue, &self->worker->seat, &self->present));
}

static PyMethodDef run_methods[] = {
    {"interrupt", (PyCFunction)run_interrupt, METH_O, run_interrupt_doc},
    {"nudge", (PyCFunction)run_nudge, METH_NOARGS, run_nudge_doc},
    {"is_over", (PyCFunction)run_is_over, METH_NOARGS, run_is_over_doc},
    {"limits", (PyCFunction)run_limits, METH_NOARGS, run_limits_doc},
    {"abandon", (PyCFunction)run_abandon, METH_VARARGS, run_abandon_doc},
    {NULL, NULL, 0, NULL},
};

static PyObject *
run_get_number(struct run *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLongLong(self->present.run);
}

static PyGetSetDef run_getset[] = {
    {"number", (getter)run_get_number, NULL, "Of all runs of its worker; never used again.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot run_slots[] = {
    {Py_tp_doc, "What a worker runs at a moment: a task, an item or a claim of a map."},
    {Py_tp_traverse, run_traverse},
    {Py_tp_dealloc, run_dealloc},
    {Py_tp_methods, run_methods},
    {Py_tp_getset, run_getset},
    {0, NULL},
};

PyType_Spec ix_run_spec = {
    .name = "interp_executor._native.Run",
    .basicsize = sizeof(struct run),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = run_slots,
};
