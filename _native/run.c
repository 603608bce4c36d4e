/* Running tasks and claims in the worker's interpreter: call, encode the outcome, publish it. */
#include "worker.h"

#include <marshal.h>

#define OUTCOME_MEMORY 1024

/* ---- outcomes ---- */

/* Returns str() of an object, or "" where that raises: a new reference, NULL without memory. */
static PyObject *
text_of(PyObject *object)
{
    PyObject *text = PyObject_Str(object);
    if (text == NULL) {
        PyErr_Clear(); /* of the object's own making */
        text = PyUnicode_FromString("");
    }
    return text;
}

/* What is left where a worker's Python side fails, since tasks have taken the path or modules away: the name of what
 * the task raised, its text and that failure, which is the exception set. Returns bytes for _outcome.decode(), or
 * NULL with an exception set. */
static PyObject *
put_named(PyObject *error)
{
    PyObject *failure = PyErr_GetRaisedException();
    if (PyErr_GivenExceptionMatches(failure, PyExc_MemoryError)) {
        PyErr_SetRaisedException(failure);
        return NULL;
    }
    PyObject *bytes = NULL;
    PyObject *named = Py_BuildValue("sNN", Py_TYPE(error)->tp_name, text_of(error),
                                    text_of(failure));
    Py_DECREF(failure);
    if (named != NULL)
        bytes = PyMarshal_WriteObjectToString(named, Py_MARSHAL_VERSION);
    Py_XDECREF(named);
    return bytes;
}

/* If even the naming fails (no memory), the outcome says so in plain text. What a refusal is called is for the
 * owner to say, which knows whether the call can move: until then it goes as it is. */
enum ix_outcome
ix_worker_put_raised(struct ix_worker *worker, struct ix_buffer *buffer, const char *what)
{
    struct ix_inside *inside = &worker->inside;
    worker->unloaded = what;
    worker->stopped = ix_run_close(worker);
    if (worker->stopped != IX_STOP_NONE) {
        int encoded = ix_run_encode_stop(worker, buffer);
        if (encoded == 0 && what != NULL) { /* whatever the loading came to, nothing goes on */
            PyErr_SetNone(inside->interrupt);
            encoded = ix_run_encode_stop(worker, buffer);
        }
        if (encoded > 0) {
            ix_note_nothing(worker);
            return IX_OUTCOME_RAISED;
        }
        worker->stopped = IX_STOP_NONE; /* the exception came about by itself */
    }
    bool refused = ix_note_refusal(worker, what != NULL);
    PyObject *error = PyErr_GetRaisedException();
    PyObject *bytes = what == NULL || refused
                          ? PyObject_CallOneArg(inside->encode_raised, error)
                          : PyObject_CallFunction(inside->encode_unloadable, "Os", error, what);
    if (bytes == NULL)
        bytes = put_named(error);
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
flush_output(struct ix_worker *worker)
{
    struct ix_inside *inside = &worker->inside;
    char *written = inside->written.buf;
    if (*written == 0)
        return;
    *written = 0;
    PyObject *result = PyObject_CallNoArgs(inside->flush);
    if (result == NULL && worker->stop != IX_STOP_NONE)
        PyErr_Clear(); /* the interrupt: it came between two items of a claim, which stops now */
    else if (result == NULL)
        PyErr_WriteUnraisable(inside->flush);
    Py_XDECREF(result);
}

/* ---- calls ---- */

enum ix_outcome
ix_worker_call(struct ix_worker *worker, struct ix_callable *callable, struct ix_reader *arguments,
               struct ix_task *task, struct ix_buffer *outcome)
{
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
    if (worker->inside.codec.leaves)
        ix_releases_drain(worker->inside.codec.releases); /* the mappings of what has been copied */
    PyObject *result = ix_call_apply(&call, fn);
    ix_call_clear(&call);
    Py_DECREF(fn);
    enum ix_outcome kind = put_outcome(worker, outcome, result);
    ix_run_close(worker); /* if it was interrupted, it returned all the same */
    flush_output(worker);
    return kind;
}

/* ---- tasks ---- */

/* Somebody observes the task: publishing it needs the owner's GIL. The notifier does that, unless this
 * worker has nothing else to do and no code of the user's would run: then it saves a thread switch. */
static void
deliver(struct ix_worker *worker, struct ix_task *task, uint32_t flags)
{
    struct ix_outbox *outbox = worker->pool->outbox;
    ix_task_acquire(task); /* the outbox's */
    ix_pool_leave_in_outbox(worker->pool, task);
    if ((flags & IX_LOUD) || !ix_queue_is_empty(&worker->pool->queue)) {
        ix_outbox_ring(outbox);
        return;
    }
    ix_gil_to_owner(worker);
    ix_future_publish_all(outbox, ix_outbox_take(outbox), true);
    ix_gil_to_own(worker);
}

/* Opens a run of its own for an item that has a time limit. What goes on in a process has its limit from lane.c. */
static void
open_run(struct ix_worker *worker, struct ix_limits *limits)
{
    ix_seat_open_run(&worker->seat);
    ix_run_set_deadline(worker, limits);
}

static enum ix_outcome
run_somewhere(struct ix_worker *worker, struct ix_task *task, struct ix_buffer *buffer)
{
    struct ix_reader arguments = {ix_task_data(task), ix_task_data(task) + task->length,
                                  task->attachments};
    if (ix_lane_is_process(worker, task->lane, task->callable))
        return ix_lane_run_task(worker, task, buffer);
    ix_run_set_deadline(worker, task->limits);
    enum ix_outcome outcome = ix_worker_call(worker, task->callable, &arguments, task, buffer);
    if (worker->refused == NULL || !ix_lane_moves(worker, task->lane, task->callable, buffer))
        return outcome;
    ix_seat_open_run(&worker->seat);
    return ix_lane_run_task(worker, task, buffer);
}

static enum ix_fate
fate_of(enum ix_outcome outcome, enum ix_stop stopped)
{
    if (stopped != IX_STOP_NONE)
        return stopped == IX_STOP_LATE ? IX_FATE_LATE : IX_FATE_INTERRUPTED;
    return outcome == IX_OUTCOME_VALUE ? IX_FATE_VALUE : IX_FATE_FAILED;
}

static void
run_task(struct ix_worker *worker, struct ix_task *task)
{
    char memory[OUTCOME_MEMORY];
    struct ix_buffer buffer;

    if (!ix_task_start(task)) {
        ix_seat_close_run(&worker->seat);
        ix_seat_settle(&worker->seat, IX_FATE_CANCELLED);
        return;
    }
    worker->runs++;
    worker->stopped = IX_STOP_NONE;
    ix_buffer_init(&buffer, memory, sizeof memory);
    ix_seat_account(&worker->seat, task->length, task->attachments);
    enum ix_outcome outcome = run_somewhere(worker, task, &buffer);
    ix_seat_account(&worker->seat, buffer.length, buffer.attachments);
    ix_run_close(worker);
    if (!ix_task_set_data(task, &buffer))
        outcome = IX_OUTCOME_FAILED; /* no memory; the text is empty */
    ix_buffer_fini(&buffer);
    ix_seat_settle(&worker->seat, fate_of(outcome, worker->stopped));
    uint32_t flags = ix_task_finish(task, outcome);
    if (flags & IX_ABANDONED)
        worker->abandoned = true;
    else if (flags & IX_OBSERVED)
        deliver(worker, task, flags);
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
    uint32_t next = index + 1;
    size_t end = next < segment->count ? segment->offsets[next] : segment->length;
    ix_seat_account(&worker->seat, end - segment->offsets[index],
                    index == 0 ? segment->attachments : NULL); /* the whole segment's, once */
    PyObject *item = ix_load_item(worker, segment, index);
    if (item == NULL)
        return ix_worker_put_raised(worker, outcome, "arguments");
    PyObject *result = call_with_item(fn, arity, item);
    Py_DECREF(item);
    enum ix_outcome kind = put_outcome(worker, outcome, result);
    ix_seat_account(&worker->seat, outcome->length, outcome->attachments);
    if (atomic_load_explicit(&worker->seat.deadline, memory_order_relaxed) != 0)
        ix_run_close(worker); /* a run of its own; otherwise the claim is one */
    flush_output(worker);
    return kind;
}

/* If the item that is over was stopped. */
static void
count_stop(struct ix_worker *worker)
{
    if (worker->stopped != IX_STOP_NONE)
        ix_seat_count_stop(&worker->seat, worker->stopped == IX_STOP_LATE);
    worker->stopped = IX_STOP_NONE;
}

/* What follows from the outcome of an item for those after it. */
static enum ix_verdict
add_outcome(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim,
            struct ix_buffer *buffer, enum ix_outcome outcome)
{
    count_stop(worker);
    if (outcome == IX_OUTCOME_FAILED || !ix_claim_add(job, claim, buffer))
        return IX_LOST;
    /* An interrupt that an item has outlived stops the claim. */
    return outcome == IX_OUTCOME_VALUE && worker->stop == IX_STOP_NONE ? IX_ALL_WELL : IX_STOPPED;
}

/* Runs the claimed items; once a module refuses to load for one, it and those after it may move. */
static enum ix_verdict
run_items(struct ix_worker *worker, PyObject *fn, struct ix_job *job, struct ix_claim *claim)
{
    char memory[OUTCOME_MEMORY];
    struct ix_buffer buffer;
    enum ix_verdict verdict = IX_ALL_WELL;
    bool timed = ix_limits_are_timed(job->limits);
    ix_buffer_init(&buffer, memory, sizeof memory);
    for (uint32_t i = 0; i < claim->count && verdict == IX_ALL_WELL; i++) {
        if (ix_worker_leaves_claim(worker, job, claim)) {
            verdict = IX_STOPPED;
            break;
        }
        if (timed)
            open_run(worker, job->limits);
        buffer.length = 0;
        enum ix_outcome outcome = ix_worker_call_item(worker, fn, job->arity, claim->segment,
                                                      claim->index + i, &buffer);
        if (worker->refused != NULL && ix_lane_moves(worker, job->lane, job->callable, &buffer)) {
            ix_seat_open_run(&worker->seat);
            verdict = ix_lane_run_claim(worker, job, claim);
            break;
        }
        verdict = add_outcome(worker, job, claim, &buffer, outcome);
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
    enum ix_outcome outcome = ix_worker_put_raised(worker, &buffer, "callable");
    count_stop(worker);
    if (worker->refused != NULL && ix_lane_moves(worker, job->lane, job->callable, &buffer)) {
        ix_seat_open_run(&worker->seat);
        verdict = ix_lane_run_claim(worker, job, claim);
    }
    else {
        bool added = outcome != IX_OUTCOME_FAILED && ix_claim_add(job, claim, &buffer);
        verdict = added ? IX_STOPPED : IX_LOST;
    }
    ix_buffer_fini(&buffer);
    return verdict;
}

static enum ix_verdict
run_claim_here(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim)
{
    ix_run_set_deadline(worker, job->limits); /* loading may take as long as an item, at most */
    PyObject *fn = ix_load_callable(worker, job->callable);
    if (fn == NULL)
        return fail_claim(worker, job, claim);
    if (ix_limits_are_timed(job->limits))
        ix_run_close(worker);
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
    worker->stopped = IX_STOP_NONE;
    atomic_store_explicit(&worker->seat.claim, claim, memory_order_release);
    enum ix_verdict verdict = ix_lane_is_process(worker, job->lane, job->callable)
                                  ? ix_lane_run_claim(worker, job, claim)
                                  : run_claim_here(worker, job, claim);
    ix_run_close(worker);
    if (verdict == IX_STOPPED)
        ix_job_end(job, IX_JOB_CANCELLED); /* the reader stops at the failure, if not before */
    ix_seat_count_items(&worker->seat, (uint32_t)(atomic_load(&claim->progress) & IX_CLAIM_MAX));
    ix_seat_settle(&worker->seat, IX_FATE_JOB);
    if (!ix_claim_settle(job, claim, verdict != IX_ALL_WELL))
        worker->abandoned = true;
}

static void
run_job(struct ix_worker *worker, struct ix_job *job)
{
    struct ix_queue *queue = &worker->pool->queue;
    struct ix_claim claim;
    bool more;
    bool claimed = ix_claim_take(job, queue->max_workers, &claim, &more);
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
    if (claimed) {
        worker->runs++;
        run_claim(worker, job, &claim);
    }
    else {
        ix_seat_close_run(&worker->seat);
        ix_seat_settle(&worker->seat, IX_FATE_JOB);
    }
}

void
ix_worker_run(struct ix_worker *worker, struct ix_entry *entry)
{
    if (entry->kind == IX_ENTRY_JOB)
        run_job(worker, (struct ix_job *)entry);
    else
        run_task(worker, (struct ix_task *)entry);
}
