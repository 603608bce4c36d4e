/* Running tasks and claims in the worker's interpreter: call, encode the outcome, publish it. */
#include "worker.h"

#define OUTCOME_MEMORY 1024

/* ---- outcomes ---- */

/* Encodes the exception that is set as a raised outcome, by `helper` (and `what`, if not NULL). If even
 * that fails (no memory), the outcome says so in plain text. */
static enum ix_outcome
put_raised(struct ix_buffer *buffer, PyObject *helper, const char *what)
{
    PyObject *error = PyErr_GetRaisedException();
    PyObject *bytes = what == NULL ? PyObject_CallOneArg(helper, error)
                                   : PyObject_CallFunction(helper, "Os", error, what);
    Py_DECREF(error);
    if (bytes != NULL && PyBytes_Check(bytes) && ix_encode_raised(buffer, bytes) == 0) {
        Py_DECREF(bytes);
        return IX_OUTCOME_RAISED;
    }
    static const char text[] = "the task raised an exception that could not be described";
    Py_XDECREF(bytes);
    PyErr_Clear();
    ix_buffer_write(buffer, text, sizeof text - 1);
    return IX_OUTCOME_FAILED;
}

/* Encodes what the call returned, or what it raised. Steals `result`, which may be NULL. */
static enum ix_outcome
put_outcome(struct ix_inside *inside, struct ix_buffer *buffer, PyObject *result)
{
    size_t start = buffer->length;
    if (result != NULL) {
        int encoded = ix_encode_value(&inside->codec, buffer, result);
        if (encoded == 0) {
            Py_DECREF(result);
            return IX_OUTCOME_VALUE;
        }
        buffer->length = start;
    }
    enum ix_outcome outcome = put_raised(buffer, inside->encode_raised, NULL);
    Py_XDECREF(result);
    return outcome;
}

/* What tasks printed must be out before they are seen to be done. */
static void
flush_output(struct ix_inside *inside)
{
    char *written = inside->written.buf;
    if (*written == 0)
        return;
    *written = 0;
    PyObject *result = PyObject_CallNoArgs(inside->flush);
    if (result == NULL)
        PyErr_WriteUnraisable(inside->flush);
    Py_XDECREF(result);
}

/* ---- calls ---- */

static enum ix_outcome
run_call(struct ix_worker *worker, struct ix_callable *callable, struct ix_reader *arguments,
         struct ix_task *task, struct ix_buffer *outcome)
{
    struct ix_inside *inside = &worker->inside;
    struct ix_call call;
    PyObject *fn = ix_load_callable(worker, callable);
    if (fn == NULL)
        return put_raised(outcome, inside->encode_unloadable, "callable");
    if (ix_load_arguments(worker, arguments, &call) < 0) {
        Py_DECREF(fn);
        return put_raised(outcome, inside->encode_unloadable, "arguments");
    }
    if (task != NULL)
        ix_task_drop_data(task);
    PyObject *result = ix_call_apply(&call, fn);
    ix_call_clear(&call);
    Py_DECREF(fn);
    enum ix_outcome kind = put_outcome(inside, outcome, result);
    flush_output(inside);
    return kind;
}

bool
ix_worker_call(struct ix_worker *worker, struct ix_callable *callable, struct ix_reader *arguments,
               struct ix_buffer *outcome)
{
    return run_call(worker, callable, arguments, NULL, outcome) == IX_OUTCOME_VALUE;
}

/* ---- tasks ---- */

/* Somebody observes the task: publishing it needs the owner's GIL. The notifier does that, unless this
 * worker has nothing else to do and no code of the user's would run: then it saves a thread switch. */
static void
deliver(struct ix_worker *worker, struct ix_task *task, uint32_t flags)
{
    struct ix_outbox *outbox = worker->pool->outbox;
    ix_outbox_push(outbox, task);
    if ((flags & IX_LOUD) || !ix_queue_is_empty(&worker->pool->queue)) {
        ix_outbox_ring(outbox);
        return;
    }
    ix_worker_to_owner(worker);
    ix_future_publish_all(outbox, ix_outbox_take(outbox), true);
    ix_worker_to_own(worker);
}

static void
run_task(struct ix_worker *worker, struct ix_task *task)
{
    char memory[OUTCOME_MEMORY];
    struct ix_buffer buffer;
    struct ix_reader arguments = {task->data, task->data + task->length};

    if (!ix_task_start(task)) {
        ix_seat_settle(&worker->seat, IX_FATE_CANCELLED);
        ix_task_release(task);
        return;
    }
    ix_buffer_init(&buffer, memory, sizeof memory);
    enum ix_outcome outcome = run_call(worker, task->callable, &arguments, task, &buffer);
    if (!ix_task_set_data(task, &buffer))
        outcome = IX_OUTCOME_FAILED; /* no memory; the text is empty */
    ix_buffer_fini(&buffer);
    ix_seat_settle(&worker->seat, outcome == IX_OUTCOME_VALUE ? IX_FATE_VALUE : IX_FATE_FAILED);
    uint32_t flags = ix_task_finish(task, outcome);
    if (flags & IX_OBSERVED)
        deliver(worker, task, flags);
    else
        ix_task_release(task);
}

/* ---- claims of a map job ---- */

static PyObject *
call_with_item(PyObject *fn, uint32_t arity, PyObject *item)
{
    PyObject *stack[2] = {NULL, item};
    if (arity != 1)
        return PyObject_Call(fn, item, NULL);
    return PyObject_Vectorcall(fn, stack + 1, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static enum ix_outcome
run_item(struct ix_worker *worker, PyObject *fn, struct ix_job *job, struct ix_segment *segment,
         uint32_t index, struct ix_buffer *buffer)
{
    PyObject *item = ix_load_item(worker, segment, index);
    if (item == NULL)
        return put_raised(buffer, worker->inside.encode_unloadable, "arguments");
    PyObject *result = call_with_item(fn, job->arity, item);
    Py_DECREF(item);
    return put_outcome(&worker->inside, buffer, result);
}

enum verdict { ALL_WELL, STOPPED, LOST };

/* Runs the claimed items. STOPPED: one failed, or nobody waits for the rest any more. */
static enum verdict
run_items(struct ix_worker *worker, PyObject *fn, struct ix_job *job, struct ix_claim *claim)
{
    char memory[OUTCOME_MEMORY];
    struct ix_buffer buffer;
    enum verdict verdict = ALL_WELL;
    ix_buffer_init(&buffer, memory, sizeof memory);
    for (uint32_t i = 0; i < claim->count && verdict == ALL_WELL; i++) {
        if (atomic_load_explicit(&job->abandoned, memory_order_relaxed)) {
            verdict = STOPPED;
            break;
        }
        buffer.length = 0;
        enum ix_outcome outcome = run_item(worker, fn, job, claim->segment, claim->index + i,
                                           &buffer);
        flush_output(&worker->inside);
        if (outcome == IX_OUTCOME_FAILED || !ix_job_add(job, claim, &buffer))
            verdict = LOST;
        else if (outcome != IX_OUTCOME_VALUE)
            verdict = STOPPED;
    }
    ix_buffer_fini(&buffer);
    return verdict;
}

/* The only outcome of a claim whose callable cannot be loaded. */
static enum verdict
fail_claim(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim)
{
    struct ix_buffer buffer = {0};
    put_raised(&buffer, worker->inside.encode_unloadable, "callable");
    bool added = ix_job_add(job, claim, &buffer);
    ix_buffer_fini(&buffer);
    return added ? STOPPED : LOST;
}

static void
run_claim(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim)
{
    enum verdict verdict;
    PyObject *fn = ix_load_callable(worker, job->callable);
    if (fn == NULL) {
        verdict = fail_claim(worker, job, claim);
    }
    else {
        int64_t start = ix_now_ns();
        verdict = run_items(worker, fn, job, claim);
        Py_DECREF(fn);
        if (verdict == ALL_WELL)
            ix_job_measure(job, claim->count, ix_now_ns() - start);
    }
    if (verdict == STOPPED)
        ix_job_end(job, IX_JOB_CANCELLED); /* the reader stops at the failure */
    ix_seat_settle(&worker->seat, IX_FATE_JOB);
    ix_job_settle(job, claim, verdict == LOST);
}

static void
run_job(struct ix_worker *worker, struct ix_job *job)
{
    struct ix_queue *queue = &worker->pool->queue;
    struct ix_claim claim;
    bool more;
    bool claimed = ix_job_claim(job, queue->max_workers, &claim, &more);
    if (!more) {
        ix_queue_put_down(queue);
    }
    else {
        ix_job_acquire(job);
        if (!ix_queue_requeue(queue, &job->entry)) {
            ix_queue_put_down(queue);
            bool broken = ix_queue_refuses(queue) == IX_PUSH_BROKEN;
            ix_job_end(job, broken ? IX_JOB_BROKEN : IX_JOB_CANCELLED);
            ix_job_release(job);
        }
    }
    if (claimed)
        run_claim(worker, job, &claim);
    else
        ix_seat_settle(&worker->seat, IX_FATE_JOB);
    ix_job_release(job);
}

void
ix_worker_run(struct ix_worker *worker, struct ix_entry *entry)
{
    worker->runs++;
    if (entry->kind == IX_ENTRY_JOB)
        run_job(worker, (struct ix_job *)entry);
    else
        run_task(worker, (struct ix_task *)entry);
}
