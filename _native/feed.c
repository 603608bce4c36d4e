#include "feed.h"

#define SEGMENT_ITEMS 1024    /* a segment is sealed at the latest with so many items */
#define SEGMENT_BYTES 1048576 /* or so many bytes */
#define IDLE_SEAL_NS 100000   /* or, while workers have nothing left to claim, after so long */

void
ix_feed_init(struct ix_feed *feed, struct ix_pool_object *pool, struct ix_job *job)
{
    *feed = (struct ix_feed){.pool = pool, .job = job};
    feed->target = job->chunksize != 0 ? job->chunksize : 1;
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
start_workers(struct ix_feed *feed)
{
    size_t unclaimed = atomic_load_explicit(&feed->job->unclaimed, memory_order_relaxed);
    int missing = 0; /* no thread is to be had: before the next segment none is asked for again */
    while (missing == 0 && unclaimed != 0 && ix_crew_wants_one(&feed->pool->queue, unclaimed))
        missing = ix_pool_after_push(feed->pool, IX_PUSH_NEEDS_WORKER);
    return missing < 0 ? -1 : 0;
}

/* Puts the job into the queue. Returns 0, or -1 with an exception set. */
static int
push_job(struct ix_feed *feed)
{
    ix_job_acquire(feed->job);
    enum ix_push pushed = ix_queue_push(&feed->pool->queue, &feed->job->entry);
    if (pushed == IX_PUSH_CLOSED || pushed == IX_PUSH_BROKEN)
        ix_job_release(feed->job);
    return ix_pool_after_push(feed->pool, pushed);
}

/* Makes a segment of the encoded items. Returns as ix_job_seal(), with an exception set for -1. */
static int
seal_segment(struct ix_feed *feed)
{
    size_t length = feed->buffer.length;
    char *data = ix_buffer_steal(&feed->buffer);
    int push = -1;
    if (data != NULL)
        push = ix_job_seal(feed->job, data, length, feed->offsets, feed->count, feed->attachments);
    if (push < 0) {
        free(data);
        PyErr_NoMemory();
        return -1;
    }
    feed->attachments = NULL;
    feed->offsets = NULL;
    feed->count = feed->capacity = 0;
    feed->target = next_target(feed->target, feed->job->chunksize);
    feed->sealed_at = ix_now_ns();
    return push;
}

/* Hands the encoded items to the workers. Returns 0, or -1 with an exception set. */
static int
seal(struct ix_feed *feed)
{
    if (feed->count == 0)
        return 0;
    int push = seal_segment(feed);
    if (push < 0 || (push && push_job(feed) < 0) || start_workers(feed) < 0)
        return -1;
    /* The inputs may be C iterators, which let neither other threads nor signals in. */
    Py_BEGIN_ALLOW_THREADS
    Py_END_ALLOW_THREADS
    return PyErr_CheckSignals();
}

static bool
time_to_seal(struct ix_feed *feed)
{
    if (feed->count >= feed->target || feed->buffer.length >= SEGMENT_BYTES)
        return true;
    if (feed->job->chunksize != 0
        || atomic_load_explicit(&feed->job->unclaimed, memory_order_relaxed) != 0)
        return false;
    return ix_now_ns() - feed->sealed_at > IDLE_SEAL_NS;
}

static bool
reserve_offset(struct ix_feed *feed)
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
next_item(struct ix_feed *feed)
{
    Py_ssize_t n = PyTuple_GET_SIZE(feed->iterators);
    if (n == 1)
        return PyIter_Next(PyTuple_GET_ITEM(feed->iterators, 0));
    PyObject *item = PyTuple_New(n);
    for (Py_ssize_t i = 0; item != NULL && i < n; i++) {
        PyObject *value = PyIter_Next(PyTuple_GET_ITEM(feed->iterators, i));
        if (value == NULL)
            Py_CLEAR(item);
        else
            PyTuple_SET_ITEM(item, i, value);
    }
    return item;
}

/* No more items. */
static int
end_input(struct ix_feed *feed)
{
    Py_CLEAR(feed->iterators);
    int result = seal(feed);
    ix_job_complete(feed->job);
    return result;
}

int
ix_feed_fail(struct ix_feed *feed, struct ix_module *state)
{
    if (!PyErr_ExceptionMatches(state->transfer_error))
        return -1;
    feed->failure = PyErr_GetRaisedException();
    return end_input(feed);
}

/* Those of the item that has just been encoded. */
static void
keep_attachments(struct ix_feed *feed)
{
    struct ix_attachments *attachments = ix_buffer_detach(&feed->buffer);
    attachments->item = feed->count;
    attachments->next = feed->attachments;
    feed->attachments = attachments;
}

/* Encodes one more item. Returns 0 (look at feed->iterators for the end), or -1 with an exception. */
static int
feed_one(struct ix_feed *feed, struct ix_module *state)
{
    PyObject *item = next_item(feed);
    if (item == NULL)
        return PyErr_Occurred() ? -1 : end_input(feed);
    struct ix_mark start = ix_buffer_mark(&feed->buffer);
    int encoded = -1;
    if (reserve_offset(feed))
        encoded = ix_encode_value(&state->codec, &feed->buffer, item);
    else
        PyErr_NoMemory();
    Py_DECREF(item);
    if (encoded < 0) {
        ix_buffer_rewind(&feed->buffer, start);
        return ix_feed_fail(feed, state);
    }
    if (feed->buffer.attachments != NULL)
        keep_attachments(feed);
    feed->offsets[feed->count++] = (uint32_t)start.length;
    feed->encoded++;
    return time_to_seal(feed) ? seal(feed) : 0;
}

int
ix_feed_up_to(struct ix_feed *feed, struct ix_module *state, size_t most)
{
    while (feed->iterators != NULL && feed->encoded < most) {
        if (feed_one(feed, state) < 0)
            return -1;
    }
    return feed->iterators != NULL ? seal(feed) : 0;
}

void
ix_feed_stop(struct ix_feed *feed)
{
    Py_CLEAR(feed->iterators);
    Py_CLEAR(feed->failure);
}

void
ix_feed_fini(struct ix_feed *feed)
{
    ix_feed_stop(feed);
    ix_buffer_fini(&feed->buffer);
    ix_attachments_free(feed->attachments);
    free(feed->offsets);
}
