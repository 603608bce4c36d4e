/* Pool: the Python face of a queue, with what ends its tasks from outside. */
#include "state.h"

static PyObject *
pool_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    PyObject *outbox, *alarm, *max_workers;
    struct ix_module *state = PyModule_GetState(PyType_GetModuleByDef(type, &ix_module_def));

    if (!PyArg_ParseTuple(args, "OO!O!:Pool", &max_workers, state->outbox_type, &outbox,
                          state->alarm_type, &alarm))
        return NULL;
    Py_ssize_t limit = PyNumber_AsSsize_t(max_workers, NULL); /* clipped: there is a limit anyway */
    if (limit == -1 && PyErr_Occurred())
        return NULL;
    struct ix_pool_object *self = (struct ix_pool_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    if (ix_queue_init(&self->queue, limit < INT_MAX ? (unsigned)limit : INT_MAX) != 0) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->ready = true;
    self->forks = atomic_load(&ix_runtime_forks);
    self->outbox = ((struct ix_outbox_object *)outbox)->outbox;
    ix_outbox_acquire(self->outbox);
    self->alarm = ((struct ix_alarm_object *)alarm)->alarm;
    ix_alarm_acquire(self->alarm);
    return (PyObject *)self;
}

static void
pool_dealloc(struct ix_pool_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->ready && !ix_pool_is_inherited(self)) {
        /* Only a pool whose workers could not be started has entries left. */
        if (ix_pool_discard(self, ix_queue_clear(&self->queue), true) < 0)
            PyErr_WriteUnraisable(NULL);
        ix_queue_fini(&self->queue);
        ix_outbox_release(self->outbox);
        ix_alarm_release(self->alarm);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

void
ix_pool_leave_in_outbox(struct ix_pool_object *pool, struct ix_task *task)
{
    atomic_fetch_add_explicit(&pool->unpublished, 1, memory_order_relaxed);
    ix_outbox_push(pool->outbox, task);
}

void
ix_pool_count_published(struct ix_pool_object *pool)
{
    if (atomic_fetch_sub_explicit(&pool->unpublished, 1, memory_order_release)
        == (IX_POOL_AWAITED | 1))
        ix_park_wake_all(&pool->unpublished);
}

int
ix_pool_abandon_task(struct ix_pool_object *pool, struct ix_task *task, uint32_t why)
{
    uint32_t flags;
    if (!ix_task_abandon(task, why, &flags))
        return 0;
    if (flags & IX_OBSERVED) {
        ix_task_acquire(task); /* the outbox's */
        ix_pool_leave_in_outbox(pool, task);
        ix_outbox_ring(pool->outbox);
    }
    return 1;
}

/* A task that will not run. Returns 0, or -1 with an exception of a future's callbacks. */
static int
discard_task(struct ix_pool_object *pool, struct ix_task *task, bool broken)
{
    int result = 0;
    if (broken) {
        if (ix_task_start(task) && (ix_task_finish(task, IX_OUTCOME_BROKEN) & IX_OBSERVED)) {
            ix_pool_leave_in_outbox(pool, task);
            ix_outbox_ring(pool->outbox);
            return 0;
        }
    }
    else if (task->future != NULL) {
        result = ix_future_cancel(task->future) < 0 ? -1 : 0;
    }
    else {
        ix_task_cancel(task);
    }
    ix_task_release(task);
    return result;
}

int
ix_pool_discard(struct ix_pool_object *pool, struct ix_entry *entries, bool broken)
{
    int result = 0;
    while (entries != NULL) {
        struct ix_entry *next = entries->next;
        if (entries->kind == IX_ENTRY_JOB) {
            ix_job_end((struct ix_job *)entries, broken ? IX_JOB_BROKEN : IX_JOB_CANCELLED);
            ix_job_release((struct ix_job *)entries);
        }
        else if (discard_task(pool, (struct ix_task *)entries, broken) < 0) {
            result = -1;
        }
        entries = next;
    }
    return result;
}

int
ix_pool_check_inherited(struct ix_pool_object *pool)
{
    if (!ix_pool_is_inherited(pool))
        return 0;
    PyErr_SetString(
        PyExc_RuntimeError,
        "this executor was inherited through a fork: its workers are the parent process's. "
        "Make a new InterpreterPoolExecutor in the child");
    return -1;
}

/* The worker that was counted in cannot come: if it was the last, what is queued fails. Keeps an exception that is
 * set. Context: owner GIL. */
static void
miss_worker(struct ix_pool_object *pool)
{
    PyObject *error = PyErr_GetRaisedException();
    if (ix_pool_discard(pool, ix_crew_miss(&pool->queue), true) < 0)
        PyErr_WriteUnraisable((PyObject *)pool);
    PyErr_SetRaisedException(error);
}

int
ix_pool_after_push(struct ix_pool_object *pool, enum ix_push pushed)
{
    if (pushed == IX_PUSH_DONE)
        return 0;
    bool wanted = pushed == IX_PUSH_NEEDS_WORKER;
    PyObject *result = PyObject_CallMethod((PyObject *)pool, wanted ? "start_worker" : "refuse",
                                           NULL);
    bool missing = wanted && result != Py_True;
    if (missing)
        miss_worker(pool); /* here, since a signal may interrupt the call anywhere */
    Py_XDECREF(result);
    return result == NULL ? -1 : missing;
}

PyDoc_STRVAR(pool_close_doc, "close($self, /)\n--\n\n"
"Refuse further tasks; workers leave when the queue is empty.");

static PyObject *
pool_close(struct ix_pool_object *self, PyObject *Py_UNUSED(ignored))
{
    if (ix_pool_check_inherited(self) < 0)
        return NULL;
    ix_queue_close(&self->queue);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(pool_cancel_pending_doc, "cancel_pending($self, /)\n--\n\nCancel every task that is queued.");

static PyObject *
pool_cancel_pending(struct ix_pool_object *self, PyObject *Py_UNUSED(ignored))
{
    if (ix_pool_check_inherited(self) < 0
        || ix_pool_discard(self, ix_queue_clear(&self->queue), false) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(pool_break_doc, "break_($self, /)\n--\n\n"
"Fail what is queued and refuse further tasks; workers leave after the present one.");

static PyObject *
pool_break(struct ix_pool_object *self, PyObject *Py_UNUSED(ignored))
{
    if (ix_pool_check_inherited(self) < 0)
        return NULL;
    ix_queue_break(&self->queue);
    if (ix_pool_discard(self, ix_queue_clear(&self->queue), true) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(pool_join_doc, "join($self, timeout=None, /)\n--\n\n"
"Wait until no worker is left; return whether that came true in time (in seconds).");

static PyObject *
pool_join(struct ix_pool_object *self, PyObject *args)
{
    PyObject *timeout = Py_None;
    int64_t ns;
    if (!PyArg_ParseTuple(args, "|O:join", &timeout) || ix_timeout_ns(timeout, &ns) < 0
        || ix_pool_check_inherited(self) < 0)
        return NULL;
    struct ix_module *state = PyModule_GetState(
        PyType_GetModuleByDef(Py_TYPE(self), &ix_module_def));
    int64_t deadline = ns < 0 ? 0 : ix_now_ns() + ns;
    for (unsigned round = 0;; round++) {
        enum ix_park result;
        int64_t left = ns < 0 ? -1 : deadline - ix_now_ns();
        bool over = ns >= 0 && left <= 0;
        Py_BEGIN_ALLOW_THREADS
        result = ix_crew_join(&self->queue, over ? 0 : ix_slice_ns(left, round));
        Py_END_ALLOW_THREADS
        if (result == IX_PARK_WOKEN)
            Py_RETURN_TRUE;
        if (ix_check_signals(state) < 0)
            return NULL;
        if (over)
            Py_RETURN_FALSE;
    }
}

PyDoc_STRVAR(pool_join_callbacks_doc, "join_callbacks($self, /)\n--\n\n"
"Wait until what is done has been published, callbacks included. Not for the notifier, which does that.");

static PyObject *
pool_join_callbacks(struct ix_pool_object *self, PyObject *Py_UNUSED(ignored))
{
    struct ix_module *state = PyModule_GetState(
        PyType_GetModuleByDef(Py_TYPE(self), &ix_module_def));
    for (unsigned round = 0;; round++) {
        uint32_t word = atomic_fetch_or_explicit(&self->unpublished, IX_POOL_AWAITED,
                                                 memory_order_acquire);
        if ((word & ~IX_POOL_AWAITED) == 0)
            Py_RETURN_NONE;
        Py_BEGIN_ALLOW_THREADS
        ix_park_wait(&self->unpublished, word | IX_POOL_AWAITED, ix_slice_ns(-1, round));
        Py_END_ALLOW_THREADS
        if (ix_check_signals(state) < 0)
            return NULL;
    }
}

PyDoc_STRVAR(pool_count_in_doc, "count_in($self, /)\n--\n\n"
"A worker comes although start_worker() raises, whose caller counts one out.");

static PyObject *
pool_count_in(struct ix_pool_object *self, PyObject *Py_UNUSED(ignored))
{
    if (ix_pool_check_inherited(self) < 0)
        return NULL;
    ix_crew_count_in(&self->queue);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(pool_use_processes_doc, "use_processes($self, /)\n--\n\nRun all tasks in processes from now on.");

static PyObject *
pool_use_processes(struct ix_pool_object *self, PyObject *Py_UNUSED(ignored))
{
    atomic_store(&self->lane, IX_LANE_PROCESS);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(pool_leave_doc, "leave($self, /)\n--\n\n"
"A worker that had been counted in could not come; if it was the last, what is queued fails.");

static PyObject *
pool_leave(struct ix_pool_object *self, PyObject *Py_UNUSED(ignored))
{
    if (ix_pool_check_inherited(self) < 0)
        return NULL;
    miss_worker(self);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(pool_counts_doc, "counts($self, /)\n--\n\n"
"(submitted, finished, failed, cancelled, queued, running, workers, parked, interrupted, late,\n"
"abandoned, mapped)");

static PyObject *
pool_counts(struct ix_pool_object *self, PyObject *Py_UNUSED(ignored))
{
    if (ix_pool_check_inherited(self) < 0)
        return NULL;
    struct ix_queue_counts counts = ix_crew_count(&self->queue);
    return Py_BuildValue("KKKKnIIIKKKK", (unsigned long long)counts.submitted,
                         (unsigned long long)counts.finished, (unsigned long long)counts.failed,
                         (unsigned long long)counts.cancelled, (Py_ssize_t)counts.queued,
                         counts.running, counts.workers, counts.parked,
                         (unsigned long long)counts.interrupted, (unsigned long long)counts.late,
                         (unsigned long long)counts.abandoned, (unsigned long long)counts.mapped);
}

PyDoc_STRVAR(pool_is_inherited_doc, "is_inherited($self, /)\n--\n\n"
"Whether the pool was made before this process was forked from another: it is of no use here.");

static PyObject *
pool_is_inherited(struct ix_pool_object *self, PyObject *Py_UNUSED(ignored))
{
    return PyBool_FromLong(ix_pool_is_inherited(self));
}

PyDoc_STRVAR(pool_bytes_moved_doc, "bytes_moved($self, /)\n--\n\n"
"(bytes that crossed by being copied, bytes that crossed in place)");

static PyObject *
pool_bytes_moved(struct ix_pool_object *self, PyObject *Py_UNUSED(ignored))
{
    struct ix_queue_counts counts = ix_crew_count(&self->queue);
    return Py_BuildValue("KK", (unsigned long long)counts.copied, (unsigned long long)counts.lent);
}

static PyObject *
pool_get_stopped(struct ix_pool_object *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(atomic_load(&self->stopped));
}

static int
pool_set_stopped(struct ix_pool_object *self, PyObject *value, void *Py_UNUSED(closure))
{
    int stopped = value == NULL ? 0 : PyObject_IsTrue(value);
    if (stopped >= 0)
        atomic_store(&self->stopped, stopped != 0);
    return stopped < 0 ? -1 : 0;
}

static PyGetSetDef pool_getset[] = {
    {"stopped", (getter)pool_get_stopped, (setter)pool_set_stopped,
     "Whether nothing of it is to run any more: no further item of a map is begun.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef pool_methods[] = {
    {"is_inherited", (PyCFunction)pool_is_inherited, METH_NOARGS, pool_is_inherited_doc},
    {"close", (PyCFunction)pool_close, METH_NOARGS, pool_close_doc},
    {"cancel_pending", (PyCFunction)pool_cancel_pending, METH_NOARGS, pool_cancel_pending_doc},
    {"break_", (PyCFunction)pool_break, METH_NOARGS, pool_break_doc},
    {"join", (PyCFunction)pool_join, METH_VARARGS, pool_join_doc},
    {"join_callbacks", (PyCFunction)pool_join_callbacks, METH_NOARGS, pool_join_callbacks_doc},
    {"count_in", (PyCFunction)pool_count_in, METH_NOARGS, pool_count_in_doc},
    {"use_processes", (PyCFunction)pool_use_processes, METH_NOARGS, pool_use_processes_doc},
    {"leave", (PyCFunction)pool_leave, METH_NOARGS, pool_leave_doc},
    {"counts", (PyCFunction)pool_counts, METH_NOARGS, pool_counts_doc},
    {"bytes_moved", (PyCFunction)pool_bytes_moved, METH_NOARGS, pool_bytes_moved_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pool_slots[] = {
    {Py_tp_doc,
     "Pool(max_workers, outbox, alarm)\n--\n\nThe queue of an executor and its workers."},
    {Py_tp_new, pool_new},
    {Py_tp_traverse, ix_traverse_type},
    {Py_tp_dealloc, pool_dealloc},
    {Py_tp_methods, pool_methods},
    {Py_tp_getset, pool_getset},
    {0, NULL},
};

PyType_Spec ix_pool_spec = {
    .name = "interp_executor._native.Pool",
    .basicsize = sizeof(struct ix_pool_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = pool_slots,
};
