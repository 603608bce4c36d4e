/* The process lane, seen from the worker's thread: what cannot run in its interpreter, its process runs.
 *
 * The bytes go to the process as they are, and so do the outcomes come back: child.c decodes, calls and encodes
 * there. All that needs Python is done by the pool's methods, in the owner, on the worker's thread, which
 * waits there for the answer with the owner's GIL released.
 *
 * Context of every function: the worker's GIL, or none where the worker has no interpreter.
 */
#include "worker.h"

/* A claim in a process aims at so many times the work of one in an interpreter, since its way is longer. */
#define LONGER_WAY 4

/* Context: owner GIL. Turns an exception that is set into a failure of the machinery. */
static enum ix_outcome
put_failure(struct ix_worker *worker, struct ix_buffer *outcome)
{
    static const char text[] = "no memory for a task of the process lane";
    PyErr_WriteUnraisable((PyObject *)worker->pool);
    ix_buffer_write(outcome, text, sizeof text - 1);
    return IX_OUTCOME_FAILED;
}

/* Context: owner GIL. Copies what a method of the pool returned: an outcome's kind and its bytes, and perhaps
 * how the run was stopped. Steals `pair`, which may be NULL. */
static enum ix_outcome
put_pair(struct ix_worker *worker, PyObject *pair, struct ix_buffer *outcome)
{
    int kind, stopped = IX_STOP_NONE;
    const char *data;
    Py_ssize_t length;
    if (pair == NULL || !PyArg_ParseTuple(pair, "iy#|i", &kind, &data, &length, &stopped)
        || !ix_buffer_write(outcome, data, (size_t)length)) {
        Py_XDECREF(pair);
        return put_failure(worker, outcome);
    }
    Py_DECREF(pair);
    worker->stopped = (enum ix_stop)stopped;
    return (enum ix_outcome)kind;
}

static bool
is_shared(struct ix_attachments *attachments)
{
    return attachments != NULL && attachments->shared;
}

/* Context: owner GIL. What goes along with a message and its callable. None stands for what is written to on
 * both sides, and must not go. Returns a new reference, or NULL with an exception set. */
static PyObject *
describe_attached(struct ix_callable *callable, struct ix_attachments *attachments,
                  const char *data, size_t length)
{
    if (is_shared(callable->attachments) || is_shared(attachments))
        return Py_NewRef(Py_None);
    PyObject *list = PyList_New(0);
    if (list != NULL
        && (ix_remote_describe(list, callable->attachments, callable->data, callable->length) < 0
            || ix_remote_describe(list, attachments, data, length) < 0))
        Py_CLEAR(list);
    return list;
}

enum ix_outcome
ix_lane_run_task(struct ix_worker *worker, struct ix_task *task, struct ix_buffer *outcome)
{
    struct ix_callable *callable = task->callable;
    outcome->length = 0;
    ix_worker_to_owner(worker);
    PyObject *pair = NULL;
    PyObject *attached = describe_attached(callable, task->attachments, ix_task_data(task),
                                           task->length);
    if (attached != NULL)
        pair = PyObject_CallMethod(
            (PyObject *)worker->pool, "run_in_process", "iIIy#y#N", (int)task->lane,
            (unsigned int)callable->id, (unsigned int)callable->form, callable->data,
            (Py_ssize_t)callable->length, ix_task_data(task), (Py_ssize_t)task->length, attached);
    enum ix_outcome kind = put_pair(worker, pair, outcome);
    ix_worker_to_own(worker);
    return kind;
}

bool
ix_lane_moves(struct ix_worker *worker, uint32_t own, struct ix_callable *callable,
              struct ix_buffer *outcome)
{
    ix_worker_to_owner(worker);
    PyObject *pair = PyObject_CallMethod(
        (PyObject *)worker->pool, "refused", "iIy#szy#", (int)own, (unsigned int)callable->form,
        callable->data, (Py_ssize_t)callable->length, worker->refused, worker->unloaded,
        outcome->data, (Py_ssize_t)outcome->length);
    bool moves = pair == Py_None;
    atomic_store_explicit(&callable->lane, IX_LANE_PROCESS, memory_order_relaxed);
    outcome->length = 0;
    if (moves)
        Py_DECREF(pair);
    else
        put_pair(worker, pair, outcome);
    ix_worker_to_own(worker);
    ix_worker_forget_notes(worker);
    return moves;
}

/* ---- claims ---- */

/* Items of a claim that have no outcome yet. */
struct rest {
    struct ix_segment *segment;
    uint32_t first, count; /* of the segment's items */
    size_t start, end;     /* of their bytes */
};

/* The next ones, at most so many. */
static struct rest
rest_of(struct ix_claim *claim, uint32_t most)
{
    struct ix_segment *segment = claim->segment;
    uint32_t done = (uint32_t)(atomic_load(&claim->progress) & IX_CLAIM_MAX);
    uint32_t count = claim->count - done < most ? claim->count - done : most;
    uint32_t first = claim->index + done, after = first + count;
    return (struct rest){
        .segment = segment,
        .first = first,
        .count = count,
        .start = segment->offsets[first],
        .end = after < segment->count ? segment->offsets[after] : segment->length,
    };
}

/* Context: owner GIL. Adds the outcomes; the last one may be a failure. */
static enum ix_verdict
add_outcomes(struct ix_job *job, struct ix_claim *claim, PyObject *outcomes, int verdict)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(outcomes); i++) {
        PyObject *bytes = PyList_GET_ITEM(outcomes, i);
        struct ix_buffer view = {.data = PyBytes_AsString(bytes)};
        if (view.data == NULL)
            return IX_LOST;
        view.length = (size_t)PyBytes_GET_SIZE(bytes);
        if (!ix_claim_add(job, claim, &view))
            return IX_LOST;
    }
    return (enum ix_verdict)verdict;
}

static enum ix_verdict
run_rest(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim, uint32_t most)
{
    struct ix_callable *callable = job->callable;
    struct rest rest = rest_of(claim, most);
    enum ix_verdict verdict = IX_LOST;
    int said, stopped = IX_STOP_NONE;
    long long elapsed_ns;
    PyObject *outcomes;

    ix_worker_to_owner(worker);
    const char *items = rest.segment->data + rest.start;
    size_t length = rest.end - rest.start;
    PyObject *result = NULL;
    PyObject *attached = describe_attached(callable, rest.segment->attachments, items, length);
    if (attached != NULL)
        result = PyObject_CallMethod((PyObject *)worker->pool, "run_items_in_process",
                                     "iIIy#Iy#y#N", (int)job->lane, (unsigned int)callable->id,
                                     (unsigned int)callable->form, callable->data,
                                     (Py_ssize_t)callable->length, (unsigned int)job->arity, items,
                                     (Py_ssize_t)length, rest.segment->offsets + rest.first,
                                     (Py_ssize_t)(rest.count * sizeof(uint32_t)), attached);
    if (result != NULL
        && PyArg_ParseTuple(result, "iLO!i", &said, &elapsed_ns, &PyList_Type, &outcomes, &stopped))
        verdict = add_outcomes(job, claim, outcomes, said);
    if (PyErr_Occurred())
        PyErr_WriteUnraisable((PyObject *)worker->pool);
    if (verdict == IX_ALL_WELL)
        ix_job_measure(job, rest.count, elapsed_ns / LONGER_WAY);
    if (stopped != IX_STOP_NONE)
        ix_seat_count_stop(&worker->seat, stopped == IX_STOP_LATE);
    Py_XDECREF(result);
    ix_worker_to_own(worker);
    return verdict;
}

/* Items that have a time limit each go one by one. */
static enum ix_verdict
run_timed(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim)
{
    enum ix_verdict verdict = IX_ALL_WELL;
    while (verdict == IX_ALL_WELL
           && (uint32_t)(atomic_load(&claim->progress) & IX_CLAIM_MAX) < claim->count) {
        if (atomic_load_explicit(&job->abandoned, memory_order_relaxed))
            return IX_STOPPED;
        ix_seat_open_run(&worker->seat);
        ix_run_set_deadline(worker, job->limits);
        verdict = run_rest(worker, job, claim, 1);
    }
    return verdict;
}

enum ix_verdict
ix_lane_run_claim(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim)
{
    if (job->limits != NULL && job->limits->timeout_ns != 0)
        return run_timed(worker, job, claim);
    return run_rest(worker, job, claim, UINT32_MAX);
}
