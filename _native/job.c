#include "job.h"

#include <assert.h>

#define CLAIM_NS 1000000       /* a claim aims at so much work */
#define CLAIM_LEAST_NS 50000   /* and is not cut below so much, where items are that short */
#define SHARES 4               /* towards the end a claim takes 1/SHARES of a worker's share */
#define IMPATIENT_NS 20000000  /* a reader that waited so long asks for what there is */

struct ix_job *
ix_job_new(struct ix_callable *callable, uint32_t arity, uint32_t chunksize)
{
    struct ix_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        return NULL;
    if (pthread_mutex_init(&job->lock, NULL) != 0) {
        free(job);
        return NULL;
    }
    job->entry.kind = IX_ENTRY_JOB;
    atomic_init(&job->refs, 1);
    if (callable != NULL)
        ix_callable_acquire(callable);
    job->callable = callable;
    job->arity = arity;
    job->chunksize = chunksize;
    return job;
}

void
ix_job_acquire(struct ix_job *job)
{
    atomic_fetch_add_explicit(&job->refs, 1, memory_order_relaxed);
}

static void
segment_free(struct ix_segment *segment)
{
    for (uint32_t i = 0; i < segment->count; i++) {
        struct ix_range *range = atomic_load_explicit(&segment->ranges[i], memory_order_relaxed);
        if (range != NULL) {
            free(range->data);
            free(range);
        }
    }
    free(segment->data);
    free(segment->offsets);
    free(segment);
}

void
ix_job_release(struct ix_job *job)
{
    if (job == NULL || atomic_fetch_sub_explicit(&job->refs, 1, memory_order_acq_rel) != 1)
        return;
    while (job->oldest != NULL) {
        struct ix_segment *segment = job->oldest;
        job->oldest = segment->next;
        segment_free(segment);
    }
    ix_callable_release(job->callable);
    pthread_mutex_destroy(&job->lock);
    free(job);
}

static void
mirror_unclaimed_locked(struct ix_job *job)
{
    size_t unclaimed = job->end == IX_JOB_GOES_ON ? job->sealed - job->claimed : 0;
    atomic_store_explicit(&job->unclaimed, unclaimed, memory_order_relaxed);
}

static void
append_segment_locked(struct ix_job *job, struct ix_segment *segment)
{
    segment->first = job->sealed;
    job->sealed += segment->count;
    if (job->newest != NULL)
        job->newest->next = segment;
    else
        job->oldest = segment;
    job->newest = segment;
    if (job->cursor == NULL) {
        job->cursor = segment;
        job->cursor_index = 0;
    }
    mirror_unclaimed_locked(job);
}

int
ix_job_seal(struct ix_job *job, char *data, size_t length, uint32_t *offsets, uint32_t count)
{
    struct ix_segment *segment = calloc(1, sizeof *segment + count * sizeof segment->ranges[0]);
    if (segment == NULL)
        return -1;
    segment->count = count;
    segment->data = data;
    segment->length = length;
    segment->offsets = offsets;
    pthread_mutex_lock(&job->lock);
    append_segment_locked(job, segment);
    bool push = !job->queued && job->end == IX_JOB_GOES_ON;
    if (push)
        job->queued = true;
    pthread_mutex_unlock(&job->lock);
    return push;
}

void
ix_job_complete(struct ix_job *job)
{
    pthread_mutex_lock(&job->lock);
    job->complete = true;
    pthread_mutex_unlock(&job->lock);
}

static size_t
claim_size_locked(struct ix_job *job, unsigned workers)
{
    if (job->chunksize != 0)
        return job->chunksize;
    if (job->item_ns == 0)
        return 1;
    size_t size = (size_t)(CLAIM_NS / job->item_ns);
    if (job->complete) {
        size_t least = (size_t)(CLAIM_LEAST_NS / job->item_ns);
        size_t share = (job->sealed - job->claimed) / ((size_t)SHARES * workers);
        if (share < least)
            share = least;
        if (size > share)
            size = share;
    }
    return size > 0 ? size : 1;
}

bool
ix_job_claim(struct ix_job *job, unsigned workers, struct ix_claim *claim, bool *more)
{
    pthread_mutex_lock(&job->lock);
    struct ix_segment *segment = job->cursor;
    bool claimed = segment != NULL && job->end == IX_JOB_GOES_ON;
    if (claimed) {
        size_t size = claim_size_locked(job, workers);
        uint32_t left = segment->count - job->cursor_index;
        claim->segment = segment;
        claim->index = job->cursor_index;
        claim->count = size < left ? (uint32_t)size : left;
        job->claimed += claim->count;
        job->cursor_index += claim->count;
        if (claim->count == left) {
            job->cursor = segment->next;
            job->cursor_index = 0;
        }
        mirror_unclaimed_locked(job);
    }
    *more = claimed && job->cursor != NULL;
    job->queued = *more;
    pthread_mutex_unlock(&job->lock);
    return claimed;
}

void
ix_job_measure(struct ix_job *job, uint32_t count, int64_t elapsed_ns)
{
    int64_t item_ns = elapsed_ns / count + 1;
    pthread_mutex_lock(&job->lock);
    /* Slower than thought: believe it at once, lest the next claim takes too long. Faster: by halves,
     * since the first items may have paid for an import. */
    if (job->item_ns == 0 || item_ns > job->item_ns)
        job->item_ns = item_ns;
    else
        job->item_ns = (job->item_ns + item_ns + 1) / 2;
    pthread_mutex_unlock(&job->lock);
}

static void
announce(struct ix_job *job)
{
    atomic_fetch_add(&job->version, 1);
    if (atomic_load(&job->sleeping) != 0)
        ix_park_wake_all(&job->version);
}

/* The outcomes from `position` on will never come, although their items were claimed. */
static void
lose(struct ix_job *job, size_t position)
{
    pthread_mutex_lock(&job->lock);
    if (job->claimed > position)
        job->claimed = position;
    if (job->end == IX_JOB_GOES_ON)
        job->end = IX_JOB_BROKEN;
    mirror_unclaimed_locked(job);
    pthread_mutex_unlock(&job->lock);
    announce(job);
}

bool
ix_job_publish(struct ix_job *job, struct ix_segment *segment, uint32_t index, uint32_t count,
               struct ix_buffer *outcomes)
{
    struct ix_range *range = malloc(sizeof *range);
    size_t length = outcomes->length;
    char *data = range == NULL ? NULL : ix_buffer_steal(outcomes);
    if (data == NULL) {
        free(range);
        lose(job, segment->first + index);
        return false;
    }
    *range = (struct ix_range){.count = count, .length = length, .data = data};
    atomic_store_explicit(&segment->ranges[index], range, memory_order_release);
    announce(job);
    return true;
}

void
ix_job_end(struct ix_job *job, enum ix_job_end end)
{
    pthread_mutex_lock(&job->lock);
    if (job->end == IX_JOB_GOES_ON)
        job->end = end;
    mirror_unclaimed_locked(job);
    pthread_mutex_unlock(&job->lock);
    announce(job);
}

void
ix_job_abandon(struct ix_job *job)
{
    ix_job_end(job, IX_JOB_CANCELLED);
    atomic_fetch_or(&job->signal, IX_JOB_STOP);
}

struct ix_range *
ix_job_range(struct ix_job *job, size_t position, uint32_t *version, enum ix_job_end *end)
{
    *version = atomic_load(&job->version); /* before the look: a later change ends the wait */
    *end = IX_JOB_GOES_ON;
    pthread_mutex_lock(&job->lock);
    struct ix_segment *segment = job->oldest;
    while (segment != NULL && position >= segment->first + segment->count)
        segment = segment->next;
    if (position >= job->claimed)
        *end = job->end;
    pthread_mutex_unlock(&job->lock);
    if (segment == NULL)
        return NULL;
    return atomic_load_explicit(&segment->ranges[position - segment->first], memory_order_acquire);
}

void
ix_job_drop_before(struct ix_job *job, size_t position)
{
    for (;;) {
        pthread_mutex_lock(&job->lock);
        struct ix_segment *segment = job->oldest;
        bool over = segment != NULL && segment->first + segment->count <= position;
        if (over) {
            job->oldest = segment->next;
            if (job->oldest == NULL)
                job->newest = NULL;
        }
        pthread_mutex_unlock(&job->lock);
        if (!over)
            return;
        segment_free(segment);
    }
}

enum ix_park
ix_job_wait(struct ix_job *job, uint32_t version, int64_t timeout_ns)
{
    bool patient = timeout_ns < 0 || timeout_ns > IMPATIENT_NS;
    enum ix_park result;

    atomic_fetch_add(&job->sleeping, 1);
    result = ix_park_wait(&job->version, version, patient ? IMPATIENT_NS : timeout_ns);
    atomic_fetch_sub(&job->sleeping, 1);
    if (result == IX_PARK_TIMEOUT && patient) {
        atomic_fetch_add(&job->signal, 1); /* far from reaching IX_JOB_STOP: 20 ms each */
        return IX_PARK_WOKEN;
    }
    return result;
}
