/* The iterator that map() returns: the owner's end of a job.
 *
 * It has the job fed (all inputs at once, or `buffersize` ahead of the reader) and reads the ranges of
 * outcomes in order. As with the generator of the standard library, work that nobody waits for is given up
 * once iteration has begun and ends early; an iterator that is dropped before that leaves the job be.
 *
 * Context of every function: the owner's GIL, released while waiting.
 */
#include "feed.h"

struct map {
    PyObject_HEAD
    struct ix_pool_object *pool; /* one reference, as below */
    struct ix_job *job;
    struct ix_feed feed;
    size_t position; /* items that were read */
    size_t buffersize;
    int64_t deadline; /* 0: none */
    struct ix_reader reader;
    struct ix_attachments *attachments; /* of what the reader reads; borrowed from the range */
    uint32_t left, item; /* items in reader, and the number of the next one in its claim */
    bool started, over, running;
};

/* Iteration ends here: what is unclaimed will not run. */
static void
finish(struct map *self)
{
    self->over = true;
    self->left = 0;
    ix_feed_stop(&self->feed);
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
    ix_queue_await(&self->pool->queue);
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
    if (self->position == self->feed.encoded) {
        if (self->feed.failure != NULL) {
            PyErr_SetRaisedException(Py_NewRef(self->feed.failure));
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

/* With a buffersize, one more input is taken for each result. Returns 0, or -1 with an exception set. */
static int
feed_on(struct map *self, struct ix_module *state)
{
    if (self->buffersize == 0 || self->feed.iterators == NULL)
        return 0;
    if (atomic_load(&self->pool->handles) == 0) {
        Py_CLEAR(self->feed.iterators); /* the executor is gone: what is under way still comes */
        return 0;
    }
    return ix_feed_up_to(&self->feed, state, self->position + self->buffersize);
}

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
    if (value != NULL && feed_on(self, state) < 0)
        Py_CLEAR(value);
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
    Py_VISIT(self->feed.iterators);
    Py_VISIT(self->feed.failure);
    return 0;
}

static int
map_clear(struct map *self)
{
    ix_feed_stop(&self->feed);
    return 0;
}

static void
map_dealloc(struct map *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->started)
        finish(self);
    ix_feed_fini(&self->feed);
    if (!ix_pool_is_inherited(self->pool))
        ix_job_release(self->job);
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
    self->job = ix_job_new(callable, arity, options->chunksize);
    if (self->job == NULL) {
        Py_DECREF(self);
        PyErr_NoMemory();
        return NULL;
    }
    self->job->lane = options->lane;
    ix_limits_acquire(options->limits);
    self->job->limits = options->limits;
    ix_feed_init(&self->feed, pool, self->job);
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
        if (ix_feed_fail(&self->feed, state) < 0)
            Py_CLEAR(self);
        return (PyObject *)self;
    }
    self->feed.iterators = Py_NewRef(iterators);
    size_t most = self->buffersize == 0 ? SIZE_MAX : self->buffersize;
    if (ix_feed_up_to(&self->feed, state, most) < 0) {
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
