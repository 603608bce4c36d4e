/* From a task to a future's outcome: waiting for the task, and decoding what it brought. */
#include "future.h"

/* Whoever reads the outcomes of a crowd, one after the other, would be woken for each, and its processor taken from a
 * worker. So who has just waited for less than BRIEF_NS, and sees that many are to come, naps and finds several. */
#define BRIEF_NS 200000
#define NAP_NS 50000

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

PyObject *
ix_undecodable(struct ix_module *state)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception))
        return NULL;
    PyObject *reason = PyErr_GetRaisedException();
    PyObject *error = PyObject_CallOneArg(state->undecodable_error, reason);
    Py_DECREF(reason);
    return error;
}

/* Returns a new reference to the value or, with *raised set, to the exception; NULL with an exception
 * set if neither can be had. */
static PyObject *
decode_task(struct ix_module *state, struct ix_future *future, bool *raised)
{
    struct ix_task *task = future->task;
    struct ix_reader reader = {ix_task_data(task), ix_task_data(task) + task->length,
                               task->attachments};
    uint32_t abandonment = ix_task_abandonment(task);
    *raised = abandonment != 0 || task->outcome != IX_OUTCOME_VALUE;
    if (abandonment != 0) {
        double timeout = task->limits == NULL ? 0.0 : (double)task->limits->timeout_ns * 1e-9;
        return PyObject_CallFunction(state->abandoned_error, "iid", (abandonment & IX_LATE) != 0,
                                     (abandonment & IX_KILLED) != 0, timeout);
    }
    switch ((enum ix_outcome)task->outcome) {
    case IX_OUTCOME_VALUE:
        return ix_decode_value(&state->codec, &reader);
    case IX_OUTCOME_RAISED:
        return ix_decode_exception(state, &reader);
    case IX_OUTCOME_BROKEN:
        return PyObject_CallOneArg(state->broken_error, (PyObject *)future->pool);
    default:
        return PyObject_CallFunction(state->failed_error, "s#", ix_task_data(task),
                                     (Py_ssize_t)task->length);
    }
}

int
ix_future_decode(PyObject *self)
{
    struct ix_module *state = ix_future_state(self);
    struct ix_future *future = ix_future_of(self);
    bool raised;

    if (future->outcome != NULL)
        return 0;
    future->decoders++;
    PyObject *outcome = decode_task(state, future, &raised);
    if (outcome == NULL) {
        outcome = ix_undecodable(state);
        raised = true;
    }
    future->decoders--;
    if (outcome == NULL)
        return -1;
    if (future->outcome == NULL) /* unless another thread was first */
        ix_future_keep(self, outcome, raised);
    if (future->decoders == 0
        && ix_task_abandonment(future->task) == 0) /* else it is the worker's */
        ix_task_drop_data(future->task);
    ix_releases_drain(state->releases); /* the task's arguments are back by now */
    Py_DECREF(outcome);
    return 0;
}

/* Waits for the task, or for a while. Context: no GIL. Returns as ix_park_wait. */
static enum ix_park
wait_a_while(struct ix_future *future, enum ix_await how, int64_t left, unsigned round)
{
    struct ix_task *task = future->task;
    struct ix_pool_object *pool = future->pool;
    if (round == 0 && how == IX_AWAIT_NAP)
        return ix_task_nap(task, left < 0 || left > NAP_NS ? NAP_NS : left);
    if (round == 0 && how == IX_AWAIT_SPIN
        && ix_spin_wait(&pool->spin, &task->state, IX_TERMINAL, 0))
        return IX_PARK_WOKEN;
    return ix_task_wait(task, ix_slice_ns(left, round));
}

/* Context: the owner's GIL, released while waiting. Returns 0 once the task is terminal, or -1. */
static int
wait_for_task(struct ix_module *state, struct ix_future *future, PyObject *timeout)
{
    struct ix_task *task = future->task;
    struct ix_pool_object *pool = future->pool;
    enum ix_park result;
    int64_t ns;

    if (ix_task_is_terminal(task))
        return 0;
    if (ix_pool_is_inherited(pool))
        return ix_pool_check_inherited(pool);
    if (ix_timeout_ns(timeout, &ns) < 0)
        return -1;
    enum ix_await how = ix_queue_await(&pool->queue);
    if (how == IX_AWAIT_NAP && !pool->waits_briefly)
        how = IX_AWAIT_SLEEP;
    int64_t began = ix_now_ns();
    for (unsigned round = 0; !ix_task_is_terminal(task); round++) {
        int64_t left = ns < 0 ? -1 : began + ns - ix_now_ns();
        if (ns >= 0 && left <= 0) {
            PyErr_SetNone(PyExc_TimeoutError);
            return -1;
        }
        Py_BEGIN_ALLOW_THREADS
        result = wait_a_while(future, how, left, round);
        Py_END_ALLOW_THREADS
        if (result != IX_PARK_WOKEN && ix_check_signals(state) < 0)
            return -1;
    }
    pool->waits_briefly = ix_now_ns() - began < BRIEF_NS;
    return 0;
}

int
ix_future_settle(PyObject *self, PyObject *timeout)
{
    struct ix_future *future = ix_future_of(self);
    if (wait_for_task(ix_future_state(self), future, timeout) < 0)
        return -1;
    if (future->stage == IX_STAGE_OBSERVED && ix_future_publish(self) < 0)
        return -1;
    if (ix_task_state(future->task) == IX_CANCELLED) {
        PyErr_SetNone(ix_future_state(self)->cancelled_error);
        return -1;
    }
    return ix_future_decode(self);
}
