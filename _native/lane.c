/* The process lane, seen from the worker's thread: what cannot run in its interpreter, its process runs.
 *
 * The bytes go to the process as they are, and so do the outcomes come back: child.c decodes, calls and encodes
 * there. All that needs Python is done by the pool's methods, in the owner, on the worker's thread, which
 * waits there for the answer with the owner's GIL released. A run has no deadline until its process is ready for it:
 * then the pool sets that.
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

static struct ix_codec *
codec_of(struct ix_worker *worker)
{
    return &ix_state_of(Py_TYPE(worker))->codec;
}

/* Context: owner GIL. Copies what a method of the pool returned: an outcome's kind and its bytes, and perhaps
 * how the run was stopped, and what the outcome refers to. Steals `answer`, which may be NULL. */
static enum ix_outcome
put_answer(struct ix_worker *worker, PyObject *answer, struct ix_buffer *outcome)
{
    int kind, stopped = IX_STOP_NONE;
    const char *data;
    Py_ssize_t length;
    PyObject *descriptions = NULL, *large = NULL;
    if (answer == NULL
        || !PyArg_ParseTuple(answer, "iy#|iO!O!", &kind, &data, &length, &stopped, &PyList_Type,
                             &descriptions, &PyList_Type, &large)
        || !ix_buffer_write(outcome, data, (size_t)length)
        || (descriptions != NULL && PyList_GET_SIZE(descriptions) != 0
            && ix_remote_adopt(codec_of(worker), &outcome->attachments, descriptions, large) < 0)) {
        Py_XDECREF(answer);
        outcome->length = 0;
        return put_failure(worker, outcome);
    }
    Py_DECREF(answer);
    worker->stopped = (enum ix_stop)stopped;
    return (enum ix_outcome)kind;
}

/* ---- what goes along ---- */

/* What a message and its callable refer to, as _process.py sends it. */
struct luggage {
    PyObject *
        attached; /* (descriptions of the callable's, of the message's), or None: it must not leave */
    PyObject *large; /* list: what the descriptions number */
};

static bool
is_shared(struct ix_attachments *attachments)
{
    return attachments != NULL && attachments->shared;
}

static void
unpack_luggage(struct luggage *luggage)
{
    Py_CLEAR(luggage->attached);
    Py_CLEAR(luggage->large);
}

/* Context: owner GIL. `callable`: NULL if it does not go along. `attachments`: a chain of the lists of items, of which those count from `first` on and before
 * `after`. None stands for what is written to on both sides, and must not go. Returns 0, or -1 with an
 * exception set and nothing to unpack. */
static int
pack_luggage(struct luggage *luggage, struct ix_worker *worker, struct ix_callable *callable,
             struct ix_attachments *attachments, uint32_t first, uint32_t after)
{
    struct ix_codec *codec = codec_of(worker);
    PyObject *of_callable = PyList_New(0), *of_message = PyList_New(0);
    luggage->attached = luggage->large = NULL;
    struct ix_attachments *of_fn = callable == NULL ? NULL : callable->attachments;
    bool shared = is_shared(of_fn);
    int result = -1;
    if (of_callable != NULL && of_message != NULL && (luggage->large = PyList_New(0)) != NULL)
        result = ix_remote_describe(codec, of_callable, luggage->large, of_fn);
    for (; result == 0 && attachments != NULL; attachments = attachments->next) {
        if (attachments->item < first || attachments->item >= after)
            continue;
        shared |= is_shared(attachments);
        if (!shared)
            result = ix_remote_describe(codec, of_message, luggage->large, attachments);
    }
    if (result == 0)
        luggage->attached = shared ? Py_NewRef(Py_None) : PyTuple_Pack(2, of_callable, of_message);
    if (luggage->attached == NULL)
        unpack_luggage(luggage);
    Py_XDECREF(of_callable);
    Py_XDECREF(of_message);
    return luggage->attached == NULL ? -1 : 0;
}

/* ---- tasks ---- */

enum ix_outcome
ix_lane_run_task(struct ix_worker *worker, struct ix_task *task, struct ix_buffer *outcome)
{
    struct ix_callable *callable = task->callable;
    struct luggage luggage;
    PyObject *answer = NULL;
    outcome->length = 0;
    worker->limits = task->limits;
    ix_gil_to_owner(worker);
    if (pack_luggage(&luggage, worker, callable, task->attachments, 0, UINT32_MAX) == 0)
        answer = PyObject_CallMethod((PyObject *)worker->pool, "run_in_process", "iIIy#y#NN",
                                     (int)task->lane, (unsigned int)callable->id,
                                     (unsigned int)callable->form, callable->data,
                                     (Py_ssize_t)callable->length, ix_task_data(task),
                                     (Py_ssize_t)task->length, luggage.attached, luggage.large);
    enum ix_outcome kind = put_answer(worker, answer, outcome);
    worker->limits = NULL;
    ix_gil_to_own(worker);
    return kind;
}

bool
ix_lane_moves(struct ix_worker *worker, uint32_t own, struct ix_callable *callable,
              struct ix_buffer *outcome)
{
    ix_gil_to_owner(worker);
    PyObject *answer = PyObject_CallMethod(
        (PyObject *)worker->pool, "refused", "iIy#szy#", (int)own, (unsigned int)callable->form,
        callable->data, (Py_ssize_t)callable->length, worker->refused, worker->unloaded,
        outcome->data, (Py_ssize_t)outcome->length);
    bool moves = answer == Py_None;
    atomic_store_explicit(&callable->lane, IX_LANE_PROCESS, memory_order_relaxed);
    outcome->length = 0;
    if (moves)
        Py_DECREF(answer);
    else
        put_answer(worker, answer, outcome);
    ix_gil_to_own(worker);
    ix_note_nothing(worker);
    return moves;
}

/* ---- claims ---- */

/* A claim is put to the process in several questions, each of about so much work (see IX_QUESTION_NS): between them
 * the job may end and its reader find what is done, and a crash or a refusal costs no outcome of an earlier one. */
struct course {
    uint32_t most;      /* items of the next question */
    uint32_t asked;     /* questions so far */
    int64_t elapsed_ns; /* in all of them, in the process */
    bool goes_on;       /* the process has the callable from the last one */
};

/* The next question may have so many times the items of the last one: how long these took may say little. */
#define GROWTH 4

static uint32_t
clip(int64_t items, int64_t most)
{
    int64_t clipped = items < most ? items : most;
    return clipped < 1 ? 1 : (uint32_t)clipped;
}

static struct course
begin_course(struct ix_job *job)
{
    int64_t item_ns = ix_job_item_ns(job) * LONGER_WAY;
    return (struct course){.most = item_ns == 0 ? 1 : clip(IX_QUESTION_NS / item_ns, IX_CLAIM_MAX)};
}

static void
go_on(struct course *course, uint32_t items, int64_t elapsed_ns)
{
    course->elapsed_ns += elapsed_ns;
    course->most = clip(IX_QUESTION_NS * (int64_t)items / (elapsed_ns + 1),
                        GROWTH * (int64_t)items);
}

/* Items of a claim that have no outcome yet. */
struct rest {
    struct ix_segment *segment;
    uint32_t first, count; /* of the segment's items */
    bool more;             /* others of the claim follow */
    size_t start, end;     /* of their bytes */
};

static uint32_t
done_of(struct ix_claim *claim)
{
    return (uint32_t)(atomic_load(&claim->progress) & IX_CLAIM_MAX);
}

/* How many of these items can go together. The first that refers to what is shared is refused, alone. */
static uint32_t
count_before_shared(struct ix_segment *segment, uint32_t first, uint32_t count)
{
    struct ix_attachments *attachments = segment->attachments;
    for (; attachments != NULL; attachments = attachments->next) {
        uint32_t item = attachments->item;
        if (attachments->shared && item > first && item - first < count)
            count = item - first;
    }
    return count;
}

/* The next ones, at most so many. */
static struct rest
rest_of(struct ix_claim *claim, uint32_t most)
{
    struct ix_segment *segment = claim->segment;
    uint32_t done = done_of(claim), left = claim->count - done;
    uint32_t first = claim->index + done;
    uint32_t count = count_before_shared(segment, first, left < most ? left : most);
    uint32_t after = first + count;
    return (struct rest){
        .segment = segment,
        .first = first,
        .count = count,
        .more = count < left,
        .start = segment->offsets[first],
        .end = after < segment->count ? segment->offsets[after] : segment->length,
    };
}

/* Context: owner GIL. Adds an outcome: bytes, or these and descriptions of what they refer to. */
static bool
add_outcome(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim, PyObject *given,
            PyObject *large)
{
    PyObject *bytes = given, *descriptions = NULL;
    if (PyTuple_Check(given)
        && !PyArg_ParseTuple(given, "SO!", &bytes, &PyList_Type, &descriptions))
        return false;
    struct ix_buffer view = {.data = PyBytes_AsString(bytes)};
    if (view.data == NULL)
        return false;
    view.length = (size_t)PyBytes_GET_SIZE(bytes);
    bool added = (descriptions == NULL
                  || ix_remote_adopt(codec_of(worker), &view.attachments, descriptions, large) == 0)
                 && ix_claim_add(job, claim, &view);
    ix_attachments_free(view.attachments);
    return added;
}

/* Context: owner GIL. Adds the outcomes; the last one may be a failure. */
static enum ix_verdict
add_outcomes(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim,
             PyObject *outcomes, PyObject *large, int verdict)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(outcomes); i++) {
        if (!add_outcome(worker, job, claim, PyList_GET_ITEM(outcomes, i), large))
            return IX_LOST;
    }
    return (enum ix_verdict)verdict;
}

/* Context: owner GIL. Has the pool put these items to the process. Returns what it says, or NULL with an exception
 * set. */
static PyObject *
ask(struct ix_worker *worker, struct ix_job *job, const struct rest *rest, struct course *course)
{
    struct ix_callable *callable = job->callable;
    struct luggage luggage;
    if (pack_luggage(&luggage, worker, course->goes_on ? NULL : callable,
                     rest->segment->attachments, rest->first, rest->first + rest->count)
        < 0)
        return NULL;
    return PyObject_CallMethod(
        (PyObject *)worker->pool, "run_items_in_process", "iiIIy#Iy#y#iNN", (int)job->lane,
        (int)(course->asked++ == 0), (unsigned int)callable->id, (unsigned int)callable->form,
        course->goes_on ? NULL : callable->data, (Py_ssize_t)callable->length,
        (unsigned int)job->arity, rest->segment->data + rest->start,
        (Py_ssize_t)(rest->end - rest->start), rest->segment->offsets + rest->first,
        (Py_ssize_t)(rest->count * sizeof(uint32_t)), (int)rest->more, luggage.attached,
        luggage.large);
}

static enum ix_verdict
run_rest(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim,
         struct course *course)
{
    struct rest rest = rest_of(claim, course->most);
    enum ix_verdict verdict = IX_LOST;
    int said, stopped = IX_STOP_NONE;
    long long elapsed_ns;
    PyObject *outcomes, *large;

    worker->limits = job->limits;
    ix_gil_to_owner(worker);
    PyObject *result = ask(worker, job, &rest, course);
    if (result != NULL
        && PyArg_ParseTuple(result, "iLO!iO!", &said, &elapsed_ns, &PyList_Type, &outcomes,
                            &stopped, &PyList_Type, &large)) {
        uint32_t count = (uint32_t)PyList_GET_SIZE(outcomes);
        if (count != 0)
            verdict = add_outcomes(worker, job, claim, outcomes, large, said);
        else if (course->goes_on && said == IX_ALL_WELL)
            verdict = IX_ALL_WELL; /* the process is another: once more, and with the callable */
        course->goes_on = count != 0;
        if (course->goes_on && verdict == IX_ALL_WELL)
            go_on(course, count, elapsed_ns);
    }
    if (PyErr_Occurred())
        PyErr_WriteUnraisable((PyObject *)worker->pool);
    if (stopped != IX_STOP_NONE)
        ix_seat_count_stop(&worker->seat, stopped == IX_STOP_LATE);
    Py_XDECREF(result);
    worker->limits = NULL;
    ix_gil_to_own(worker);
    return verdict;
}

enum ix_verdict
ix_lane_run_claim(struct ix_worker *worker, struct ix_job *job, struct ix_claim *claim)
{
    bool timed = ix_limits_are_timed(job->limits);
    uint32_t before = done_of(claim);
    struct course course = begin_course(job);
    enum ix_verdict verdict = IX_ALL_WELL;
    while (verdict == IX_ALL_WELL && done_of(claim) < claim->count) {
        if (ix_worker_leaves_claim(worker, job, claim))
            return IX_STOPPED;
        if (timed) { /* each item has a run of its own */
            course.most = 1;
            ix_run_close(worker); /* the last one's deadline goes before the next has a number */
            ix_seat_open_run(&worker->seat);
        }
        verdict = run_rest(worker, job, claim, &course);
    }
    if (verdict == IX_ALL_WELL)
        ix_job_measure(job, claim->count - before, course.elapsed_ns / LONGER_WAY);
    return verdict;
}
