#include "crew.h"

#include <assert.h>

/* ---- coming ---- */

static void
count_in_locked(struct ix_queue *queue)
{
    queue->counts.workers++;
    queue->starting++;
    atomic_store_explicit(&queue->leased, queue->counts.workers, memory_order_release);
}

/* Workers that will come to take, or do so when woken. */
static size_t
unoccupied_locked(struct ix_queue *queue)
{
    size_t coming = (size_t)queue->starting + queue->waking + queue->napping;
    return coming + queue->counts.parked - queue->doubtful;
}

bool
ix_crew_wants_one_locked(struct ix_queue *queue, size_t demand)
{
    if (queue->counts.workers >= queue->max_workers || demand <= unoccupied_locked(queue))
        return false;
    count_in_locked(queue);
    return true;
}

void
ix_crew_count_in(struct ix_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    count_in_locked(queue);
    pthread_mutex_unlock(&queue->lock);
}

bool
ix_crew_wants_one(struct ix_queue *queue, size_t demand)
{
    pthread_mutex_lock(&queue->lock);
    if (demand == 0)
        demand = queue->counts.queued;
    bool wanted = !ix_queue_leaves_locked(queue) && ix_crew_wants_one_locked(queue, demand);
    pthread_mutex_unlock(&queue->lock);
    return wanted;
}

void
ix_crew_arrive(struct ix_queue *queue, struct ix_seat *seat)
{
    ix_seat_begin(seat);
    pthread_mutex_lock(&queue->lock);
    assert(queue->starting > 0);
    queue->starting--;
    seat->next = queue->members;
    if (seat->next != NULL)
        seat->next->previous = seat;
    queue->members = seat;
    pthread_mutex_unlock(&queue->lock);
}

/* ---- going ---- */

static void
count_seat(struct ix_queue_counts *counts, struct ix_seat *seat)
{
    /* Read in the opposite order of writing: no more are seen to have failed than to have finished. */
    counts->failed += atomic_load_explicit(&seat->failed, memory_order_acquire);
    counts->finished += atomic_load_explicit(&seat->finished, memory_order_relaxed);
    counts->cancelled += atomic_load_explicit(&seat->cancelled, memory_order_relaxed);
    counts->interrupted += atomic_load_explicit(&seat->interrupted, memory_order_relaxed);
    counts->late += atomic_load_explicit(&seat->late, memory_order_relaxed);
    counts->copied += atomic_load_explicit(&seat->copied, memory_order_relaxed);
    counts->lent += atomic_load_explicit(&seat->lent, memory_order_relaxed);
    counts->mapped += atomic_load_explicit(&seat->mapped, memory_order_relaxed);
    counts->running += atomic_load_explicit(&seat->busy, memory_order_relaxed);
}

static void
remove_seat_locked(struct ix_queue *queue, struct ix_seat *seat)
{
    if (seat->next != NULL)
        seat->next->previous = seat->previous;
    if (seat->previous != NULL)
        seat->previous->next = seat->next;
    else
        queue->members = seat->next;
    count_seat(&queue->counts, seat);
    queue->counts.running = 0;
}

static void
count_out_locked(struct ix_queue *queue)
{
    uint32_t left = --queue->counts.workers;
    atomic_store_explicit(&queue->leased, left, memory_order_release);
    ix_park_wake_all(&queue->leased);
}

void
ix_crew_leave(struct ix_queue *queue, struct ix_seat *seat)
{
    pthread_mutex_lock(&queue->lock);
    if (seat != NULL)
        remove_seat_locked(queue, seat);
    else
        queue->starting--;
    count_out_locked(queue);
    pthread_mutex_unlock(&queue->lock);
}

struct ix_entry *
ix_crew_miss(struct ix_queue *queue)
{
    struct ix_entry *stranded = NULL;
    pthread_mutex_lock(&queue->lock);
    queue->starting--;
    count_out_locked(queue);
    if (queue->counts.workers == 0)
        stranded = ix_queue_clear_locked(queue);
    pthread_mutex_unlock(&queue->lock);
    return stranded;
}

bool
ix_crew_hand_over(struct ix_queue *queue, struct ix_seat *seat)
{
    pthread_mutex_lock(&queue->lock);
    bool job_waits = queue->head != NULL
                     && queue->head->kind == IX_ENTRY_JOB; /* work for several */
    bool wanted = !queue->broken && (job_waits || queue->counts.queued > unoccupied_locked(queue));
    remove_seat_locked(queue, seat);
    if (wanted)
        queue->starting++; /* the count stays: no joiner sees a gap between the two */
    else
        count_out_locked(queue);
    pthread_mutex_unlock(&queue->lock);
    return wanted;
}

void
ix_crew_let_go(struct ix_queue *queue, struct ix_seat *seat)
{
    pthread_mutex_lock(&queue->lock);
    seat->entry = NULL;
    pthread_mutex_unlock(&queue->lock);
}

bool
ix_crew_abandon(struct ix_queue *queue, struct ix_seat *seat, const struct ix_present *present)
{
    pthread_mutex_lock(&queue->lock);
    bool wanted = !ix_queue_leaves_locked(queue);
    uint64_t finished = queue->counts.finished + present->finished;
    remove_seat_locked(queue, seat);
    queue->counts.abandoned++;
    queue->counts.mapped += present->items;
    /* The worker may have counted its outcome already, just before it found that it came too late. */
    if (present->entry->kind == IX_ENTRY_TASK && queue->counts.finished == finished) {
        queue->counts.finished++;
        queue->counts.failed++;
    }
    if (wanted)
        queue->starting++;
    else
        count_out_locked(queue);
    pthread_mutex_unlock(&queue->lock);
    return wanted;
}

/* While no run of it is open, either its outcome is being encoded or it moves to a process. */
static bool
is_running_task(struct ix_entry *entry)
{
    return entry->kind == IX_ENTRY_TASK && ix_task_is_running((struct ix_task *)entry);
}

struct ix_present
ix_crew_present(struct ix_queue *queue, struct ix_seat *seat)
{
    struct ix_present present = {0};
    pthread_mutex_lock(&queue->lock); /* neither the entry nor its last reference goes meanwhile */
    present.finished = atomic_load_explicit(&seat->finished, memory_order_acquire);
    present.run = atomic_load_explicit(&seat->run, memory_order_acquire);
    if (seat->entry != NULL && ((present.run & 1) || is_running_task(seat->entry))) {
        present.entry = seat->entry;
        present.claim = atomic_load_explicit(&seat->claim, memory_order_acquire);
        ix_entry_acquire(present.entry);
    }
    pthread_mutex_unlock(&queue->lock);
    return present;
}

/* ---- from outside ---- */

enum ix_park
ix_crew_join(struct ix_queue *queue, int64_t timeout_ns)
{
    int64_t deadline = timeout_ns < 0 ? 0 : ix_now_ns() + timeout_ns;
    uint32_t leased;
    while ((leased = atomic_load_explicit(&queue->leased, memory_order_acquire)) != 0) {
        int64_t left = timeout_ns < 0 ? -1 : deadline - ix_now_ns();
        if (timeout_ns >= 0 && left <= 0)
            return IX_PARK_TIMEOUT;
        if (ix_park_wait(&queue->leased, leased, left) == IX_PARK_INTERRUPTED)
            return IX_PARK_INTERRUPTED;
    }
    pthread_mutex_lock(&queue->lock); /* the last to leave has let go of it now */
    pthread_mutex_unlock(&queue->lock);
    return IX_PARK_WOKEN;
}

struct ix_queue_counts
ix_crew_count(struct ix_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct ix_queue_counts counts = queue->counts;
    for (struct ix_seat *seat = queue->members; seat != NULL; seat = seat->next)
        count_seat(&counts, seat);
    pthread_mutex_unlock(&queue->lock);
    return counts;
}
