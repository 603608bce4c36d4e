/* Running tasks and claims: decode, call, encode, publish. */
#include "worker.h"

#define OUTCOME_MEMORY 1024

/* ---- the Python side ---- */

static int
set_sys_path(const struct ix_buffer *encoded)
{
    struct ix_codec codec = {0}; /* for decoding nothing more is needed */
    struct ix_reader reader = {encoded->data, encoded->data + encoded->length};
    PyObject *path = ix_decode_value(&codec, &reader);
    PyObject *list = path == NULL ? NULL : PySequence_List(path);
    int result = list == NULL ? -1 : PySys_SetObject("path", list);
    Py_XDECREF(path);
    Py_XDECREF(list);
    ix_codec_clear(&codec);
    return result;
}

static int
start_python_side(struct ix_inside *inside, PyObject *module, PyObject *world)
{
    PyObject *written = PyObject_CallMethod(module, "start", "O", world);
    int result = -1;
    if (written != NULL)
        result = PyObject_GetBuffer(written, &inside->written, PyBUF_WRITABLE);
    Py_XDECREF(written);
    if (result < 0)
        return -1;
    inside->load_callable = PyObject_GetAttrString(module, "load_callable");
    inside->update_world = PyObject_GetAttrString(module, "update_world");
    inside->encode_raised = PyObject_GetAttrString(module, "encode_raised");
    inside->encode_unloadable = PyObject_GetAttrString(module, "encode_unloadable");
    inside->flush = PyObject_GetAttrString(module, "flush");
    if (PyErr_Occurred())
        return -1;
    return ix_codec_init(&inside->codec, module);
}

int
ix_inside_init(struct ix_inside *inside, const struct ix_buffer *path, const struct ix_buffer *world)
{
    int result = -1;
    if (set_sys_path(path) < 0)
        return -1;
    PyObject *module = PyImport_ImportModule("interp_executor._worker");
    PyObject *bytes = PyBytes_FromStringAndSize(world->data, (Py_ssize_t)world->length);
    if (module != NULL && bytes != NULL)
        result = start_python_side(inside, module, bytes);
    Py_XDECREF(module);
    Py_XDECREF(bytes);
    return result;
}

void
ix_inside_forget(struct ix_inside *inside)
{
    for (uint32_t i = 0; i < inside->ncallables; i++)
        Py_CLEAR(inside->callables[i]);
}

void
ix_inside_clear(struct ix_inside *inside)
{
    ix_inside_forget(inside);
    PyMem_RawFree(inside->callables);
    inside->callables = NULL;
    inside->ncallables = 0;
    Py_CLEAR(inside->load_callable);
    Py_CLEAR(inside->update_world);
    Py_CLEAR(inside->encode_raised);
    Py_CLEAR(inside->encode_unloadable);
    Py_CLEAR(inside->flush);
    ix_codec_clear(&inside->codec);
    if (inside->written.obj != NULL)
        PyBuffer_Release(&inside->written);
}

/* ---- loading ---- */

/* Asks the owner's pool for bytes: calls its method `name`, with a callable if one is given. Returns them
 * in memory that the caller frees, or NULL; a failure is reported on the owner's side. No exception may
 * be set. Context: own GIL, which is let go meanwhile. */
static char *
ask_owner(struct ix_worker *worker, const char *name, struct ix_callable *callable, size_t *length)
{
    PyObject *bytes, *pool = (PyObject *)worker->pool;
    char *copy = NULL;

    ix_worker_to_owner(worker);
    if (callable == NULL)
        bytes = PyObject_CallMethod(pool, name, NULL);
    else
        bytes = PyObject_CallMethod(pool, name, "Iy#", (unsigned int)callable->form,
                                    callable->data, (Py_ssize_t)callable->length);
    if (bytes != NULL && PyBytes_Check(bytes)) {
        *length = (size_t)PyBytes_GET_SIZE(bytes);
        copy = malloc(*length + 1);
        if (copy != NULL)
            memcpy(copy, PyBytes_AS_STRING(bytes), *length);
    }
    if (bytes == NULL)
        PyErr_Clear(); /* what led here is the task's outcome, and says more */
    Py_XDECREF(bytes);
    ix_worker_to_own(worker);
    return copy;
}

/* After an ImportError: the owner's world may have changed since the worker took it over. Returns whether it
 * had, and then clears the exception. */
static bool
refresh_world(struct ix_worker *worker)
{
    size_t length;
    bool changed = false;
    if (!PyErr_ExceptionMatches(PyExc_ImportError))
        return false;
    PyObject *error = PyErr_GetRaisedException();
    char *world = ask_owner(worker, "world", NULL, &length);
    if (world != NULL) {
        PyObject *result = PyObject_CallFunction(worker->inside.update_world, "y#", world,
                                                 (Py_ssize_t)length);
        changed = result == Py_True;
        if (result == NULL)
            PyErr_Clear(); /* as above */
        Py_XDECREF(result);
        free(world);
    }
    if (changed)
        Py_DECREF(error);
    else
        PyErr_SetRaisedException(error);
    return changed;
}

static PyObject *
load_bytes(struct ix_inside *inside, uint32_t form, const char *data, size_t length)
{
    return PyObject_CallFunction(inside->load_callable, "Iy#", (unsigned int)form, data,
                                 (Py_ssize_t)length);
}

static PyObject *
load_once(struct ix_inside *inside, struct ix_callable *callable)
{
    return load_bytes(inside, callable->form, callable->data, callable->length);
}

/* After a failure to find a callable by its name: it may exist in the owner alone, and go by value.
 * Returns a new reference, or NULL with the former exception set. */
static PyObject *
load_by_value(struct ix_worker *worker, struct ix_callable *callable)
{
    size_t length;
    PyObject *loaded = NULL;
    if (callable->id == 0
        || !(PyErr_ExceptionMatches(PyExc_ImportError)
             || PyErr_ExceptionMatches(PyExc_AttributeError)))
        return NULL;
    PyObject *error = PyErr_GetRaisedException();
    char *data = ask_owner(worker, "by_value", callable, &length);
    if (data != NULL) {
        loaded = load_bytes(&worker->inside, IX_FORM_BY_VALUE, data, length);
        if (loaded == NULL)
            PyErr_Clear(); /* the first failure says more */
        free(data);
    }
    if (loaded == NULL)
        PyErr_SetRaisedException(error);
    else
        Py_DECREF(error);
    return loaded;
}

static int
remember(struct ix_inside *inside, uint32_t id, PyObject *loaded)
{
    if (id >= inside->ncallables) {
        uint32_t n = id + 32;
        PyObject **grown = PyMem_RawRealloc(inside->callables, n * sizeof *grown);
        if (grown == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memset(grown + inside->ncallables, 0, (n - inside->ncallables) * sizeof *grown);
        inside->callables = grown;
        inside->ncallables = n;
    }
    inside->callables[id] = Py_NewRef(loaded);
    return 0;
}

/* Returns a new reference, or NULL with an exception set. */
static PyObject *
load_callable(struct ix_worker *worker, struct ix_callable *callable)
{
    struct ix_inside *inside = &worker->inside;
    uint32_t id = callable->id;
    if (id < inside->ncallables && inside->callables[id] != NULL)
        return Py_NewRef(inside->callables[id]);
    PyObject *loaded = load_once(inside, callable);
    if (loaded == NULL && refresh_world(worker))
        loaded = load_once(inside, callable);
    if (loaded == NULL)
        return load_by_value(worker, callable); /* not remembered: a fresh copy for each task */
    if (id != 0 && remember(inside, id, loaded) < 0)
        Py_CLEAR(loaded);
    return loaded;
}

static int
load_arguments(struct ix_worker *worker, struct ix_reader *reader, struct ix_call *call)
{
    struct ix_reader start = *reader;
    int result = ix_decode_call(&worker->inside.codec, reader, call);
    if (result < 0 && refresh_world(worker)) {
        *reader = start;
        result = ix_decode_call(&worker->inside.codec, reader, call);
    }
    return result;
}

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
    PyObject *fn = load_callable(worker, callable);
    if (fn == NULL)
        return put_raised(outcome, inside->encode_unloadable, "callable");
    if (load_arguments(worker, arguments, &call) < 0) {
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

/* The argument, or for several inputs the tuple of arguments, of one item. */
static PyObject *
load_item(struct ix_worker *worker, struct ix_segment *segment, uint32_t index)
{
    struct ix_codec *codec = &worker->inside.codec;
    const char *data = segment->data + segment->offsets[index];
    struct ix_reader reader = {data, segment->data + segment->length};
    PyObject *item = ix_decode_value(codec, &reader);
    if (item == NULL && refresh_world(worker)) {
        reader.at = data;
        item = ix_decode_value(codec, &reader);
    }
    return item;
}

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
    PyObject *item = load_item(worker, segment, index);
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
    PyObject *fn = load_callable(worker, job->callable);
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
    if (verdict != ALL_WELL)
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
