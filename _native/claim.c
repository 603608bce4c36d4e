#include "claim.h"

#define IMPATIENT_NS 20000000 /* a reader that waited so long takes what there is */

/* ---- claiming ---- */

static size_t
size_locked(struct ix_job *job, unsigned workers)
{
    size_t size = job->chunksize;
    if (size == 0 && job->complete)
        size = ix_pace_last_claim(&job->pace, job->sealed - job->claimed, workers);
    else if (size == 0)
        size = ix_pace_claim(&job->pace);
    return size < IX_CLAIM_MAX ? size : IX_CLAIM_MAX;
}

static void
enlist_locked(struct ix_job *job, struct ix_claim *claim)
{
    claim->next = job->claims;
    if (claim->next != NULL)
        claim->next->previous = claim;
    job->claims = claim;
}

static void
delist_locked(struct ix_job *job, struct ix_claim *claim)
{
    if (claim->next != NULL)
        claim->next->previous = claim->previous;
    if (claim->previous != NULL)
        claim->previous->next = claim->next;
    else
        job->claims = claim->next;
}

bool
ix_claim_take(struct ix_job *job, unsigned workers, struct ix_claim *claim, bool *more)
{
    pthread_mutex_lock(&job->lock);
    struct ix_segment *segment = job->cursor;
    bool claimed = segment != NULL && job->end == IX_JOB_GOES_ON;
    if (claimed) {
        size_t size = size_locked(job, workers);
        uint32_t left = segment->count - job->cursor_index;
        *claim = (struct ix_claim){
            .segment = segment,
            .index = job->cursor_index,
            .first = segment->first + job->cursor_index,
            .count = size < left ? (uint32_t)size : left,
        };
        enlist_locked(job, claim);
        job->claimed += claim->count;
        job->cursor_index += claim->count;
        if (claim->count == left) {
            job->cursor = segment->next;
            job->cursor_index = 0;
        }
        ix_job_mirror_unclaimed_locked(job);
    }
    *more = claimed && job->cursor != NULL;
    job->queued = *more;
    pthread_mutex_unlock(&job->lock);
    return claimed;
}

/* ---- outcomes ---- */

static uint64_t
progress_of(struct ix_claim *claim)
{
    return atomic_load_explicit(&claim->progress, memory_order_acquire);
}

static bool
make_room(struct ix_job *job, struct ix_claim *claim, size_t needed)
{
    size_t capacity = claim->capacity < 512 ? 512 : claim->capacity;
    if (needed > IX_CLAIM_MAX_BYTES)
        return false;
    while (capacity < needed)
        capacity *= 2;
    pthread_mutex_lock(&job->lock); /* a reader may be copying */
    char *data = realloc(claim->data, capacity);
    if (data != NULL) {
        claim->data = data;
        claim->capacity = capacity;
    }
    pthread_mutex_unlock(&job->lock);
    return data != NULL;
}

/* They come before the item counts as complete, so whoever publishes it finds them. */
static void
keep_attachments(struct ix_job *job, struct ix_claim *claim, struct ix_buffer *outcome,
                 uint32_t item)
{
    struct ix_attachments *attachments = ix_buffer_detach(outcome);
    attachments->item = item;
    pthread_mutex_lock(&job->lock);
    attachments->next = claim->attachments;
    claim->attachments = attachments;
    pthread_mutex_unlock(&job->lock);
}

/* Takes those of the items below `done`, which are behind those of later ones. */
static struct ix_attachments *
take_attachments_locked(struct ix_claim *claim, uint32_t done)
{
    struct ix_attachments **place = &claim->attachments;
    while (*place != NULL && (*place)->item >= done)
        place = &(*place)->next;
    struct ix_attachments *taken = *place;
    *place = NULL;
    return taken;
}

bool
ix_claim_add(struct ix_job *job, struct ix_claim *claim, struct ix_buffer *outcome)
{
    uint64_t progress = atomic_load_explicit(&claim->progress, memory_order_relaxed);
    size_t length = (size_t)(progress >> IX_PROGRESS_BITS);
    size_t needed = length + outcome->length;
    if (needed > claim->capacity && !make_room(job, claim, needed))
        return false;
    if (outcome->length != 0)
        memcpy(claim->data + length, outcome->data, outcome->length);
    if (outcome->attachments != NULL)
        keep_attachments(job, claim, outcome, (uint32_t)(progress & IX_CLAIM_MAX));
    progress += ((uint64_t)outcome->length << IX_PROGRESS_BITS) + 1;
    atomic_store_explicit(&claim->progress, progress, memory_order_release);
    return true;
}

/* Publishes the outcomes that are complete and not published yet. Steals `data`, which holds just these.
 * Returns false without memory. */
static bool
publish_locked(struct ix_claim *claim, uint64_t progress, char *data)
{
    uint32_t done = (uint32_t)(progress & IX_CLAIM_MAX);
    size_t length = (size_t)(progress >> IX_PROGRESS_BITS);
    struct ix_range *range = data == NULL ? NULL : malloc(sizeof *range);
    if (range == NULL) {
        free(data);
        return false;
    }
    *range = (struct ix_range){
        .item = claim->published,
        .count = done - claim->published,
        .length = length - claim->published_length,
        .data = data,
        .attachments = take_attachments_locked(claim, done),
    };
    atomic_store_explicit(&claim->segment->ranges[claim->index + claim->published], range,
                          memory_order_release);
    claim->published = done;
    claim->published_length = length;
    return true;
}

/* What is complete and not published yet, as a block of its own, or NULL. */
static char *
copy_locked(struct ix_claim *claim, uint64_t progress)
{
    size_t length = (size_t)(progress >> IX_PROGRESS_BITS) - claim->published_length;
    char *copy = malloc(length + 1);
    if (copy != NULL)
        memcpy(copy, claim->data + claim->published_length, length);
    return copy;
}

static bool
has_news_locked(struct ix_claim *claim, uint64_t progress)
{
    return (uint32_t)(progress & IX_CLAIM_MAX) != claim->published;
}

/* The outcomes from `position` on will never come, although their items were claimed. */
static void
lose_locked(struct ix_job *job, size_t position)
{
    if (job->claimed > position)
        job->claimed = position;
    if (job->end == IX_JOB_GOES_ON)
        job->end = IX_JOB_BROKEN;
    ix_job_mirror_unclaimed_locked(job);
}

bool
ix_claim_settle(struct ix_job *job, struct ix_claim *claim, bool cut)
{
    pthread_mutex_lock(&job->lock);
    uint64_t progress = progress_of(claim);
    bool forsaken = atomic_load_explicit(&claim->forsaken, memory_order_relaxed);
    if (!forsaken)
        delist_locked(job, claim);
    if (!forsaken && has_news_locked(claim, progress)) {
        char *data = claim->data;
        if (claim->published == 0)
            claim->data = NULL; /* all of it: no copy */
        else
            data = copy_locked(claim, progress);
        cut = !publish_locked(claim, progress, data) || cut;
    }
    if (!forsaken && cut)
        lose_locked(job, claim->first + claim->published);
    pthread_mutex_unlock(&job->lock);
    ix_attachments_free(claim->attachments); /* of what is lost */
    free(claim->data);
    if (!forsaken)
        ix_job_announce(job);
    return !forsaken;
}

static bool
is_under_way_locked(struct ix_job *job, void *claim)
{
    struct ix_claim *other = job->claims;
    while (other != NULL && other != claim)
        other = other->next;
    return other != NULL;
}

/* Publishes what the claim has finished and `outcome` for the item after that, and ends the job there. */
static void
forsake_locked(struct ix_job *job, struct ix_claim *claim, uint64_t progress,
               const struct ix_buffer *outcome)
{
    bool kept = !has_news_locked(claim, progress)
                || publish_locked(claim, progress, copy_locked(claim, progress));
    char *data = kept ? malloc(outcome->length + 1) : NULL;
    if (data != NULL) {
        memcpy(data, outcome->data, outcome->length);
        progress += ((uint64_t)outcome->length << IX_PROGRESS_BITS) + 1;
        kept = publish_locked(claim, progress, data);
    }
    if (kept && data != NULL && job->end == IX_JOB_GOES_ON)
        job->end = IX_JOB_CANCELLED; /* the reader stops at the outcome that was given */
    atomic_store_explicit(&claim->forsaken, true, memory_order_relaxed);
    delist_locked(job, claim);
    lose_locked(job, claim->first + claim->published);
}

uint32_t
ix_claim_forsake(struct ix_job *job, void *claim, struct ix_seat *seat, uint64_t run,
                 const struct ix_buffer *outcome)
{
    pthread_mutex_lock(&job->lock);
    /* A worker is at a run before it enlists the claim, and closes the run before it adds an item's
     * outcome or delists the claim: so this is that run's claim, and its present item is the next one. */
    bool found = is_under_way_locked(job, claim);
    uint64_t progress = found ? progress_of(claim) : 0;
    found = found && (progress & IX_CLAIM_MAX) < ((struct ix_claim *)claim)->count
            && ix_seat_runs(seat, run);
    if (found)
        forsake_locked(job, claim, progress, outcome);
    pthread_mutex_unlock(&job->lock);
    if (found)
        ix_job_announce(job);
    return found ? (uint32_t)(progress & IX_CLAIM_MAX) + 1 : 0;
}

/* ---- the reader's side ---- */

/* Publishes, in the worker's stead, what the claim at `position` has finished. Context: the reader. */
static void
collect(struct ix_job *job, size_t position)
{
    pthread_mutex_lock(&job->lock);
    for (struct ix_claim *claim = job->claims; claim != NULL; claim = claim->next) {
        if (claim->first + claim->published != position)
            continue;
        uint64_t progress = progress_of(claim);
        if (has_news_locked(claim, progress))
            publish_locked(claim, progress,
                           copy_locked(claim, progress)); /* else: it comes later */
        break;
    }
    pthread_mutex_unlock(&job->lock);
}

enum ix_park
ix_claim_wait(struct ix_job *job, size_t position, uint32_t version, int64_t timeout_ns)
{
    bool patient = timeout_ns < 0 || timeout_ns > IMPATIENT_NS;
    enum ix_park result;

    atomic_fetch_add(&job->sleeping, 1);
    result = ix_park_wait(&job->version, version, patient ? IMPATIENT_NS : timeout_ns);
    atomic_fetch_sub(&job->sleeping, 1);
    if (result == IX_PARK_TIMEOUT)
        collect(job, position);
    return result == IX_PARK_TIMEOUT && patient ? IX_PARK_WOKEN : result;
}
