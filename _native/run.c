/* Running tasks and claims in the worker's interpreter: call, encode the outcome, publish it. */
#include "worker.h"

#define OUTCOME_MEMORY 1024

/* ---- outcomes ---- */

/* If even the encoding fails (no memory), the outcome says so in plain text. What a refusal is called is for the
 * owner to say, which knows whether the call can move: until then it goes as it is. */
enum ix_outcome
ix_worker_put_raised(struct ix_worker *worker, struct ix_buffer *buffer, const char *what)
{
    struct ix_inside *inside = &worker->inside;
    worker->unloaded = what;
    bool refused = ix_note_refusal(worker, what != NULL);
    PyObject *error = PyErr_GetRaisedException();
    PyObject *bytes = what == NULL || refused
                          ? PyObject_CallOneArg(inside->encode_raised, error)
                          : PyObject_CallFunction(inside->encode_unloadable, "Os", error, what);
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
put_outcome(struct ix_worker *worker, struct ix_buffer *buffer, PyObject *result)
{
    size_t start = buffer->length;
    if (result != NULL) {
        int encoded = ix_encode_value(&worker->inside.codec, buffer, result);
        if (encoded == 0) {
            Py_DECREF(result);
            return IX_OUTCOME_VALUE;
        }
        buffer->length = start;
    }
    enum ix_outcome outcome = ix_worker_put_raised(worker, buffer, NULL);
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

void
ix_worker_forget_notes(struct ix_worker *worker)
{
    worker->unloaded = NULL;
    free(worker->refused);
    worker->refused = NULL;
}

enum ix_outcome
ix_worker_call(struct ix_worker *worker, struct ix_callable *callable, struct ix_reader *arguments,
               struct ix_task *task, struct ix_buffer *outcome)
{
    struct ix_inside *inside = &worker->inside;
    struct ix_call call;
    PyObject *fn = ix_load_callable(worker, callable);
    if (fn == NULL)
        return ix_worker_put_raised(worker, outcome, "callable");
    if (ix_load_arguments(worker, arguments, &call) < 0) {
        Py_DECREF(fn);
        return ix_worker_put_raised(worker, outcome, "arguments");
    }
    if (task != NULL)
        ix_task_drop_data(task);
    PyObject *result = ix_call_apply(&call, fn);
    ix_call_clear(&call);
    Py_DECREF(fn);
    enum ix_outcome kind = put_outcome(worker, outcome, result);
    flush_output(inside);
    return kind;
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

static enum ix_outcome
run_somewhere(struct ix_worker *worker, struct ix_task *task, struct ix_buffer *buffer)
{
    struct ix_reader arguments = {task->data, task->data + task->length};
    if (ix_lane_is_process(worker, task->lane, task->callable))
        return ix_lane_run_task(worker, task, buffer);
    enum ix_outcome outcome = ix_worker_call(worker, task->callable, &arguments, task, buffer);
    if (worker->refused != NULL && ix_lane_moves(worker, task->lane, task->callable, buffer))
        return ix_lane_run_task(worker, task, buffer);
    return outcome;
}

static void
run_task(struct ix_worker *worker, struct ix_task *task)
{
    char memory[OUTCOME_MEMORY];
    struct ix_buffer buffer;

    if (!ix_task_start(task)) {
        ix_seat_settle(&worker->seat, IX_FATE_CANCELLED);
        ix_task_release(task);
        return;
    }
    ix_buffer_init(&buffer, memory, sizeof memory);
    enum ix_outcome outcome = run_somewhere(worker, task, &buffer);
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

enum ix_outcome
ix_worker_call_item(struct ix_worker *worker, PyObject *fn, uint32_t arity,
                    struct ix_segment *segment, uint32_t index, struct ix_buffer *outcome)
{
    PyObject *item = ix_load_item(worker, segment, index);
    if (item == NULL)
        return ix_worker_put_raised(worker, outcome, "arguments");
    PyObject *result = call_with_item(fn, arity, item);
    Py_DECREF(item);
    enum ix_outcome kind = put_outcome(worker, outcome, result);
    flush_output(&worker->inside);
    return kind;
}

/* Runs the claimed items; once a module refuses to load for one, it and those after it may move. */
static enum ix_verdict
run_items(struct ix_worker *worker, PyObject *fn, struct ix_job *job, struct ix_claim *claim)
{
    char memory[OUTCOME_MEMORY];
    struct ix_buffer buffer;
    enum ix_verdict verdict = IX_ALL_WELL;
    ix_buffer_init(&buffer, memory, sizeof memory);
    for (uint32_t i = 0; i < claim->count && verdict == IX_ALL_WELL; i++) {
        if (atomic_load_explicit(&job->abandoned, memory_order_relaxed)) {
            verdict = IX_STOPPED;
            break;
        }
        buffer.length = 0;
        enum ix_outcome outcome = ix_worker_call_item(worker, fn, job->arity, claim->segment,
                                                      claim->index + i, &buffer);
        if (worker->refused != NULL && ix_lane_moves(worker, job->lane, job->callable, &buffer)) {
            verdict = ix_lane_run_claim(worker, job, claim);
            break;
        }
        if (outcome == IX_OUTCOME_FAILED || !ix_job_add(job, claim, &buffer))
            verdict = IX_LOST;
        else if (outcome != IX_OUTCOME_VALUE)
            verdict = IX_STOPPED;
    }
    ix_buffer_fini(&buffer);
    return verdict;
}

/* A claim whose callable cannot be loaded has one outcome, unless it moves. */
static enum ix_verdict
fail_claim(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim)
{
    struct ix_buffer buffer = {0};
    enum ix_verdict verdict;
    ix_worker_put_raised(worker, &buffer, "callable");
    if (worker->refused != NULL && ix_lane_moves(worker, job->lane, job->callable, &buffer))
        verdict = ix_lane_run_claim(worker, job, claim);
    else
        verdict = ix_job_add(job, claim, &buffer) ? IX_STOPPED : IX_LOST;
    ix_buffer_fini(&buffer);
    return verdict;
}

static enum ix_verdict
run_claim_here(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim)
{
    PyObject *fn = ix_load_callable(worker, job->callable);
    if (fn == NULL)
        return fail_claim(worker, job, claim);
    int64_t start = ix_now_ns();
    enum ix_verdict verdict = run_items(worker, fn, job, claim);
    Py_DECREF(fn);
    if (verdict == IX_ALL_WELL)
        ix_job_measure(job, claim->count, ix_now_ns() - start);
    return verdict;
}

static void
run_claim(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim)
{
    enum ix_verdict verdict = ix_lane_is_process(worker, job->lane, job->callable)
                                  ? ix_lane_run_claim(worker, job, claim)
                                  : run_claim_here(worker, job, claim);
    if (verdict == IX_STOPPED)
        ix_job_end(job, IX_JOB_CANCELLED); /* the reader stops at the failure */
    ix_seat_settle(&worker->seat, IX_FATE_JOB);
    ix_job_settle(job, claim, verdict == IX_LOST);
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
