#include "job.h"

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
    atomic_init(&job->entry.refs, 1);
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
    atomic_fetch_add_explicit(&job->entry.refs, 1, memory_order_relaxed);
}

static void
segment_free(struct ix_segment *segment)
{
    for (uint32_t i = 0; i < segment->count; i++) {
        struct ix_range *range = atomic_load_explicit(&segment->ranges[i], memory_order_relaxed);
        if (range != NULL) {
            ix_attachments_free(range->attachments);
            free(range->data);
            free(range);
        }
    }
    ix_attachments_free(segment->attachments);
    free(segment->data);
    free(segment->offsets);
    free(segment);
}

void
ix_job_release(struct ix_job *job)
{
    if (job == NULL || atomic_fetch_sub_explicit(&job->entry.refs, 1, memory_order_acq_rel) != 1)
        return;
    while (job->oldest != NULL) {
        struct ix_segment *segment = job->oldest;
        job->oldest = segment->next;
        segment_free(segment);
    }
    ix_callable_release(job->callable);
    ix_limits_release(job->limits);
    pthread_mutex_destroy(&job->lock);
    free(job);
}

void
ix_job_mirror_unclaimed_locked(struct ix_job *job)
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
    ix_job_mirror_unclaimed_locked(job);
}

int
ix_job_seal(struct ix_job *job, char *data, size_t length, uint32_t *offsets, uint32_t count,
            struct ix_attachments *attachments)
{
    struct ix_segment *segment = calloc(1, sizeof *segment + count * sizeof segment->ranges[0]);
    if (segment == NULL)
        return -1;
    segment->count = count;
    segment->data = data;
    segment->length = length;
    segment->offsets = offsets;
    segment->attachments = attachments;
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

void
ix_job_measure(struct ix_job *job, uint32_t count, int64_t elapsed_ns)
{
    pthread_mutex_lock(&job->lock);
    ix_pace_learn(&job->pace, count, elapsed_ns);
    pthread_mutex_unlock(&job->lock);
}

int64_t
ix_job_item_ns(struct ix_job *job)
{
    pthread_mutex_lock(&job->lock);
    int64_t item_ns = job->pace.item_ns;
    pthread_mutex_unlock(&job->lock);
    return item_ns;
}

void
ix_job_announce(struct ix_job *job)
{
    atomic_fetch_add(&job->version, 1);
    if (atomic_load(&job->sleeping) != 0)
        ix_park_wake_all(&job->version);
}

void
ix_job_end(struct ix_job *job, enum ix_job_end end)
{
    pthread_mutex_lock(&job->lock);
    if (job->end == IX_JOB_GOES_ON)
        job->end = end;
    ix_job_mirror_unclaimed_locked(job);
    pthread_mutex_unlock(&job->lock);
    ix_job_announce(job);
}

void
ix_job_abandon(struct ix_job *job)
{
    ix_job_end(job, IX_JOB_CANCELLED);
    atomic_store(&job->abandoned, true);
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
