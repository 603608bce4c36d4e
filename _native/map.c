/* The iterator that map() returns: the owner's end of a job.
 *
 * It feeds the job (all inputs at once, or `buffersize` ahead of the reader) and reads the ranges of
 * outcomes in order. As with the generator of the standard library, work that nobody waits for is given up
 * once iteration has begun and ends early; an iterator that is dropped before that leaves the job be.
 *
 * Context of every function: the owner's GIL, released while waiting.
 */
#include "state.h"

#define SEGMENT_ITEMS 1024    /* a segment is sealed at the latest with so many items */
#define SEGMENT_BYTES 1048576 /* or so many bytes */
#define IDLE_SEAL_NS 100000   /* or, while workers have nothing left to claim, after so long */

/* Items encoded but not sealed yet. */
struct feed {
    struct ix_buffer buffer;
    struct ix_attachments *attachments; /* of the items, the newest first */
    uint32_t *offsets;
    uint32_t count, capacity;
    uint32_t target; /* items of the next segment: doubles, so that work starts at once */
    int64_t sealed_at;
};

struct map {
    PyObject_HEAD
    struct ix_pool_object *pool; /* one reference, as all below */
    struct ix_job *job;
    PyObject *iterators; /* tuple of the inputs; NULL once they are exhausted */
    PyObject *failure;   /* why the item after the last encoded one could not be encoded, or NULL */
    struct feed feed;
    size_t encoded, position; /* items */
    size_t buffersize;
    int64_t deadline; /* 0: none */
    struct ix_reader reader;
    struct ix_attachments *attachments; /* of what the reader reads; borrowed from the range */
    uint32_t left, item; /* items in reader, and the number of the next one in its claim */
    bool started, over, running;
};

/* ---- feeding ---- */

static uint32_t
first_target(uint32_t chunksize)
{
    return chunksize != 0 ? chunksize : 1;
}

static uint32_t
next_target(uint32_t target, uint32_t chunksize)
{
    /* With an explicit chunksize a segment is one chunk or several whole ones: a claim never spans
     * two segments. */
    if (target > SEGMENT_ITEMS / 2)
        return target;
    return chunksize != 0 ? (SEGMENT_ITEMS / chunksize) * chunksize : target * 2;
}

static int
start_workers(struct map *self)
{
    size_t unclaimed = atomic_load_explicit(&self->job->unclaimed, memory_order_relaxed);
    while (unclaimed != 0 && ix_crew_wants_one(&self->pool->queue, unclaimed)) {
        if (ix_pool_after_push(self->pool, IX_PUSH_NEEDS_WORKER) < 0)
            return -1;
    }
    return 0;
}

/* Hands the encoded items to the workers. Returns 0, or -1 with an exception set. */
static int
seal(struct map *self)
{
    struct feed *feed = &self->feed;
    enum ix_push pushed = IX_PUSH_DONE;
    if (feed->count == 0)
        return 0;
    size_t length = feed->buffer.length;
    char *data = ix_buffer_steal(&feed->buffer);
    int push = -1;
    if (data != NULL)
        push = ix_job_seal(self->job, data, length, feed->offsets, feed->count, feed->attachments);
    if (push < 0) {
        free(data);
        PyErr_NoMemory();
        return -1;
    }
    feed->attachments = NULL;
    feed->offsets = NULL;
    feed->count = feed->capacity = 0;
    feed->target = next_target(feed->target, self->job->chunksize);
    feed->sealed_at = ix_now_ns();
    if (push) {
        ix_job_acquire(self->job);
        pushed = ix_queue_push(&self->pool->queue, &self->job->entry);
        if (pushed == IX_PUSH_CLOSED || pushed == IX_PUSH_BROKEN)
            ix_job_release(self->job);
    }
    if (ix_pool_after_push(self->pool, pushed) < 0 || start_workers(self) < 0)
        return -1;
    /* The inputs may be C iterators, which let neither other threads nor signals in. */
    Py_BEGIN_ALLOW_THREADS
    Py_END_ALLOW_THREADS
    return PyErr_CheckSignals();
}

static bool
time_to_seal(struct map *self)
{
    struct feed *feed = &self->feed;
    if (feed->count >= feed->target || feed->buffer.length >= SEGMENT_BYTES)
        return true;
    if (self->job->chunksize != 0
        || atomic_load_explicit(&self->job->unclaimed, memory_order_relaxed) != 0)
        return false;
    return ix_now_ns() - feed->sealed_at > IDLE_SEAL_NS;
}

static bool
reserve_offset(struct feed *feed)
{
    if (feed->count < feed->capacity)
        return true;
    uint32_t capacity = feed->capacity == 0 ? 16 : feed->capacity * 2;
    uint32_t *offsets = realloc(feed->offsets, capacity * sizeof *offsets);
    if (offsets == NULL)
        return false;
    feed->offsets = offsets;
    feed->capacity = capacity;
    return true;
}

/* The next item: the value of the only input, or a tuple of one value of each. NULL at the end of the
 * shortest input, or with an exception set. */
static PyObject *
next_item(struct map *self)
{
    Py_ssize_t n = PyTuple_GET_SIZE(self->iterators);
    if (n == 1)
        return PyIter_Next(PyTuple_GET_ITEM(self->iterators, 0));
    PyObject *item = PyTuple_New(n);
    for (Py_ssize_t i = 0; item != NULL && i < n; i++) {
        PyObject *value = PyIter_Next(PyTuple_GET_ITEM(self->iterators, i));
        if (value == NULL)
            Py_CLEAR(item);
        else
            PyTuple_SET_ITEM(item, i, value);
    }
    return item;
}

/* No more items. */
static int
end_input(struct map *self)
{
    Py_CLEAR(self->iterators);
    int result = seal(self);
    ix_job_complete(self->job);
    return result;
}

/* What cannot cross ends the input: when the reader gets there, it raises. */
static int
end_input_by_failure(struct map *self, struct ix_module *state)
{
    if (!PyErr_ExceptionMatches(state->transfer_error))
        return -1;
    self->failure = PyErr_GetRaisedException();
    return end_input(self);
}

/* Those of the item that has just been encoded. */
static void
keep_attachments(struct feed *feed)
{
    struct ix_attachments *attachments = ix_buffer_detach(&feed->buffer);
    attachments->item = feed->count;
    attachments->next = feed->attachments;
    feed->attachments = attachments;
}

/* Encodes one more item. Returns 0 (look at self->iterators for the end), or -1 with an exception. */
static int
feed_one(struct map *self, struct ix_module *state)
{
    struct feed *feed = &self->feed;
    PyObject *item = next_item(self);
    if (item == NULL)
        return PyErr_Occurred() ? -1 : end_input(self);
    struct ix_mark start = ix_buffer_mark(&feed->buffer);
    int encoded = -1;
    if (reserve_offset(feed))
        encoded = ix_encode_value(&state->codec, &feed->buffer, item);
    else
        PyErr_NoMemory();
    Py_DECREF(item);
    if (encoded < 0) {
        ix_buffer_rewind(&feed->buffer, start);
        return end_input_by_failure(self, state);
    }
    if (feed->buffer.attachments != NULL)
        keep_attachments(feed);
    feed->offsets[feed->count++] = (uint32_t)start.length;
    self->encoded++;
    return time_to_seal(self) ? seal(self) : 0;
}

/* Feeds until the inputs end or are `buffersize` ahead of the reader. */
static int
feed_all(struct map *self, struct ix_module *state)
{
    while (self->iterators != NULL
           && (self->buffersize == 0 || self->encoded - self->position < self->buffersize)) {
        if (feed_one(self, state) < 0)
            return -1;
    }
    return self->iterators != NULL ? seal(self) : 0;
}

/* ---- reading ---- */

/* Iteration ends here: what is unclaimed will not run. */
static void
finish(struct map *self)
{
    self->over = true;
    self->left = 0;
    Py_CLEAR(self->iterators);
    Py_CLEAR(self->failure);
    if (self->job != NULL && !ix_pool_is_inherited(self->pool))
        ix_job_abandon(self->job);
}

static PyObject *
raise_end(struct map *self, struct ix_module *state, enum ix_job_end end)
{
    if (end == IX_JOB_BROKEN) {
        PyObject *error = PyObject_CallOneArg(state->broken_error, (PyObject *)self->pool);
        if (error != NULL)
            PyErr_SetRaisedException(error);
    }
    else {
        PyErr_SetNone(state->cancelled_error);
    }
    return NULL;
}

/* Waits for a change after `version`. Returns 0, or -1 with an exception set. */
static int
wait_for_change(struct map *self, uint32_t version)
{
    int64_t left = -1;
    if (self->deadline != 0) {
        left = self->deadline - ix_now_ns();
        if (left <= 0) {
            PyErr_SetNone(PyExc_TimeoutError);
            return -1;
        }
    }
    Py_BEGIN_ALLOW_THREADS
    ix_queue_nudge(&self->pool->queue);
    ix_claim_wait(self->job, self->position, version,
                  left); /* in any case the caller looks again */
    Py_END_ALLOW_THREADS
    return ix_check_signals(ix_state_of(Py_TYPE(self)));
}

/* Moves on to the next range. Returns 1, 0 at the end, or -1 with an exception set. */
static int
next_range(struct map *self, struct ix_module *state)
{
    ix_job_drop_before(self->job, self->position);
    ix_releases_drain(state->releases);
    if (self->position == self->encoded) {
        if (self->failure != NULL) {
            PyErr_SetRaisedException(Py_NewRef(self->failure));
            return -1;
        }
        return 0;
    }
    for (;;) {
        uint32_t version;
        enum ix_job_end end;
        struct ix_range *range = ix_job_range(self->job, self->position, &version, &end);
        if (range != NULL) {
            self->reader = (struct ix_reader){range->data, range->data + range->length, NULL};
            self->attachments = range->attachments;
            self->item = range->item;
            self->left = range->count;
            return 1;
        }
        if (end != IX_JOB_GOES_ON) {
            raise_end(self, state, end);
            return -1;
        }
        if (wait_for_change(self, version) < 0)
            return -1;
    }
}

/* An item's StopIteration would end the reader's loop as if all were well. Steals it; returns the RuntimeError that
 * a generator raises instead, or NULL with an exception set. */
static PyObject *
stop_iteration_as_error(PyObject *stop)
{
    PyObject *error = PyObject_CallFunction(PyExc_RuntimeError, "s",
                                            "a task of map() raised StopIteration");
    if (error == NULL) {
        Py_DECREF(stop);
        return NULL;
    }
    PyException_SetContext(error, Py_NewRef(stop));
    PyException_SetCause(error, stop);
    return error;
}

static PyObject *
decode_next(struct map *self, struct ix_module *state)
{
    if (self->left == 0 && next_range(self, state) <= 0)
        return NULL;
    if (self->attachments != NULL)
        self->reader.attachments = ix_attachments_of(self->attachments, self->item);
    self->item++;
    self->left--;
    self->position++;
    PyObject *value = NULL, *error = NULL;
    if (*self->reader.at != TAG_RAISED)
        value = ix_decode_value(&state->codec, &self->reader);
    else
        error = ix_decode_exception(state, &self->reader);
    if (value == NULL && error == NULL)
        error = ix_undecodable(state);
    if (error != NULL && PyErr_GivenExceptionMatches(error, PyExc_StopIteration))
        error = stop_iteration_as_error(error);
    if (error != NULL)
        PyErr_SetRaisedException(error);
    return value;
}

/* As with a generator: what feeds the iterator, a signal handler or another thread may come here while it
 * waits or is fed. Returns 0, or -1 with an exception set. */
static int
refuse_while_running(struct map *self)
{
    if (!self->running)
        return 0;
    PyErr_SetString(PyExc_ValueError, "map iterator already executing");
    return -1;
}

/* With a buffersize, one more input is taken for each result. */
static PyObject *
map_next(struct map *self)
{
    struct ix_module *state = ix_state_of(Py_TYPE(self));
    PyObject *value = NULL;
    if (self->over || ix_pool_check_inherited(self->pool) < 0)
        return NULL;
    if (refuse_while_running(self) < 0)
        return NULL;
    self->running = self->started = true;
    value = decode_next(self, state);
    if (value != NULL && self->buffersize != 0 && self->iterators != NULL) {
        if (atomic_load(&self->pool->handles) == 0)
            Py_CLEAR(self->iterators); /* the executor is gone: what is under way still comes */
        else if (feed_all(self, state) < 0)
            Py_CLEAR(value);
    }
    self->running = false;
    if (value == NULL)
        finish(self);
    return value;
}

PyDoc_STRVAR(map_close_doc, "close($self, /)\n--\n\nGive up what has not been started.");

static PyObject *
map_close(struct map *self, PyObject *Py_UNUSED(ignored))
{
    if (refuse_while_running(self) < 0)
        return NULL;
    finish(self);
    Py_RETURN_NONE;
}

/* ---- the type ---- */

static int
map_traverse(struct map *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->pool);
    Py_VISIT(self->iterators);
    Py_VISIT(self->failure);
    return 0;
}

static int
map_clear(struct map *self)
{
    Py_CLEAR(self->iterators);
    Py_CLEAR(self->failure);
    return 0;
}

static void
map_dealloc(struct map *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->started)
        finish(self);
    map_clear(self);
    if (!ix_pool_is_inherited(self->pool))
        ix_job_release(self->job);
    ix_buffer_fini(&self->feed.buffer);
    ix_attachments_free(self->feed.attachments);
    free(self->feed.offsets);
    Py_XDECREF(self->pool);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Returns a map without inputs, or NULL with an exception set. `callable` may be NULL. */
static struct map *
map_alloc(struct ix_module *state, struct ix_pool_object *pool, struct ix_callable *callable,
          uint32_t arity, const struct ix_map_options *options)
{
    struct map *self = (struct map *)state->map_type->tp_alloc(state->map_type, 0);
    if (self == NULL)
        return NULL;
    self->pool = (struct ix_pool_object *)Py_NewRef((PyObject *)pool);
    self->buffersize = options->buffersize;
    self->deadline = options->timeout_ns < 0 ? 0 : ix_now_ns() + options->timeout_ns;
    self->feed.target = first_target(options->chunksize);
    self->job = ix_job_new(callable, arity, options->chunksize);
    if (self->job == NULL) {
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    self->job->lane = options->lane;
    ix_limits_acquire(options->limits);
    self->job->limits = options->limits;
    return self;
}

PyObject *
ix_map_new(struct ix_module *state, struct ix_pool_object *pool, PyObject *fn, PyObject *iterators,
           const struct ix_map_options *options)
{
    struct ix_callable *callable = ix_callable_of(state, fn);
    PyObject *error = callable == NULL ? PyErr_GetRaisedException() : NULL;
    uint32_t arity = (uint32_t)PyTuple_GET_SIZE(iterators);
    struct map *self = map_alloc(state, pool, callable, arity, options);
    ix_callable_release(callable);
    if (self == NULL) {
        Py_XDECREF(error);
        return NULL;
    }
    if (error != NULL) { /* raised to the reader, if it is about crossing */
        PyErr_SetRaisedException(error);
        if (end_input_by_failure(self, state) < 0)
            Py_CLEAR(self);
        return (PyObject *)self;
    }
    self->iterators = Py_NewRef(iterators);
    if (feed_all(self, state) < 0) {
        error = PyErr_GetRaisedException();
        finish(self);
        Py_CLEAR(self);
        PyErr_SetRaisedException(error);
    }
    return (PyObject *)self;
}

static PyMethodDef map_methods[] = {
    {"close", (PyCFunction)map_close, METH_NOARGS, map_close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot map_slots[] = {
    {Py_tp_doc, "The results of a map(), in order, as they come."},
    {Py_tp_traverse, map_traverse},
    {Py_tp_clear, map_clear},
    {Py_tp_dealloc, map_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, map_next},
    {Py_tp_methods, map_methods},
    {0, NULL},
};

PyType_Spec ix_map_spec = {
    .name = "interp_executor._native.MapIterator",
    .basicsize = sizeof(struct map),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = map_slots,
};
