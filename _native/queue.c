#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* for adaptive mutexes */
#endif

#include "queue.h"

#include "crew.h"

#include <assert.h>

#define NAP_NS 50000 /* in which about as many tasks can be submitted */
/* A worker naps after so many tasks without a wait in between, while so many entries came since somebody waited. */
#define NAP_STREAK 8
#define NAP_UNAWAITED 64

#define CROWD 64 /* so many more entries than workers: who reads them one by one may nap, too */

/* Whoever finds the lock taken watches it for a moment before sleeping, where the system knows how: it is
 * held for so few instructions that the two system calls of a sleep cost more than all of them. */
static int
init_lock(pthread_mutex_t *lock)
{
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);
    if (error != 0)
        return error;
    error = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    if (error == 0)
        error = pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return error;
#else
    return pthread_mutex_init(lock, NULL);
#endif
}

int
ix_queue_init(struct ix_queue *queue, unsigned max_workers)
{
    memset(queue, 0, sizeof *queue);
    queue->max_workers = max_workers;
    queue->cores = (unsigned)ix_cpu_count();
    queue->nap_ns = NAP_NS;
    atomic_init(&queue->leased, 0);
    return init_lock(&queue->lock);
}

void
ix_queue_fini(struct ix_queue *queue)
{
    assert(queue->head == NULL && queue->counts.workers == 0);
    pthread_mutex_destroy(&queue->lock);
}

/* Context: the lock may be held. Between the exchange and the system call the worker may wake by
 * itself, leave, and free its seat; a wake-up of memory that is gone wakes at worst somebody else for
 * no reason, which every waiter allows for. */
static void
notify(struct ix_seat *seat)
{
    if (seat == NULL)
        return;
    uint32_t word = atomic_exchange_explicit(&seat->word, IX_SEAT_NOTIFIED, memory_order_acq_rel);
    if (word == IX_SEAT_SLEEPING)
        ix_park_wake_one(&seat->word);
}

static struct ix_seat *
pop_seat_locked(struct ix_queue *queue)
{
    struct ix_seat *seat = queue->stack;
    if (seat != NULL) {
        queue->stack = seat->below;
        queue->counts.parked--;
        queue->waking++;
    }
    return seat;
}

/* Returns whether the seat was on the stack. */
static bool
unlink_seat_locked(struct ix_queue *queue, struct ix_seat *seat)
{
    struct ix_seat **place = &queue->stack;
    while (*place != NULL && *place != seat)
        place = &(*place)->below;
    if (*place == NULL)
        return false;
    *place = seat->below;
    queue->counts.parked--;
    return true;
}

static void
wake_all_locked(struct ix_queue *queue)
{
    struct ix_seat *seat;
    while ((seat = pop_seat_locked(queue)) != NULL)
        notify(seat);
}

/* The worker to wake for the entries there are now, or NULL. Those that nap and those that are waking come without
 * it: none is counted there that others may keep from coming. */
static struct ix_seat *
next_to_wake_locked(struct ix_queue *queue)
{
    if (queue->head == NULL || queue->napping != 0 || queue->waking >= queue->cores)
        return NULL;
    return pop_seat_locked(queue);
}

static struct ix_seat *
append_locked(struct ix_queue *queue, struct ix_entry *entry)
{
    entry->next = NULL;
    if (queue->tail != NULL)
        queue->tail->next = entry;
    else
        queue->head = entry;
    queue->tail = entry;
    queue->counts.queued++;
    queue->unawaited++;
    return next_to_wake_locked(queue);
}

static enum ix_push
refusal_locked(struct ix_queue *queue)
{
    if (queue->broken)
        return IX_PUSH_BROKEN;
    return queue->closed ? IX_PUSH_CLOSED : IX_PUSH_DONE;
}

enum ix_push
ix_queue_refuses(struct ix_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    enum ix_push result = refusal_locked(queue);
    pthread_mutex_unlock(&queue->lock);
    return result;
}

bool
ix_queue_is_empty(struct ix_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    bool empty = queue->head == NULL;
    pthread_mutex_unlock(&queue->lock);
    return empty;
}

enum ix_push
ix_queue_push(struct ix_queue *queue, struct ix_entry *entry)
{
    struct ix_seat *wake = NULL;

    pthread_mutex_lock(&queue->lock);
    enum ix_push result = refusal_locked(queue);
    if (result == IX_PUSH_DONE) {
        queue->counts.submitted += entry->kind == IX_ENTRY_TASK;
        wake = append_locked(queue, entry);
        if (ix_crew_wants_one_locked(queue, queue->counts.queued))
            result = IX_PUSH_NEEDS_WORKER;
    }
    pthread_mutex_unlock(&queue->lock);
    notify(wake);
    return result;
}

bool
ix_queue_requeue(struct ix_queue *queue, struct ix_entry *entry)
{
    struct ix_seat *wake = NULL;

    pthread_mutex_lock(&queue->lock);
    bool deserted = queue->closed && queue->counts.workers == 0;
    bool taken = !queue->broken && !queue->cleared && !deserted;
    if (taken) {
        queue->in_hand--;
        wake = append_locked(queue, entry);
    }
    pthread_mutex_unlock(&queue->lock);
    notify(wake);
    return taken;
}

static bool
has_idle_core_locked(struct ix_queue *queue, unsigned others)
{
    return queue->counts.workers - queue->counts.parked + others < queue->cores;
}

enum ix_await
ix_queue_await(struct ix_queue *queue)
{
    enum ix_await result = IX_AWAIT_SLEEP;
    pthread_mutex_lock(&queue->lock);
    if (has_idle_core_locked(queue, 0))
        result = IX_AWAIT_SPIN;
    else if (queue->counts.queued > queue->counts.workers + CROWD)
        result = IX_AWAIT_NAP;
    queue->unawaited = 0; /* those who wait come before those who keep pace */
    bool rouse = queue->napping != 0 && queue->head != NULL;
    if (rouse)
        atomic_fetch_add_explicit(&queue->roused, 1, memory_order_relaxed);
    pthread_mutex_unlock(&queue->lock);
    if (rouse)
        ix_park_wake_one(&queue->roused);
    return result;
}

void
ix_queue_put_down(struct ix_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->in_hand--;
    if (queue->closed && queue->head == NULL && queue->in_hand == 0)
        wake_all_locked(queue);
    pthread_mutex_unlock(&queue->lock);
}

static struct ix_entry *
pop_locked(struct ix_queue *queue)
{
    struct ix_entry *entry = queue->head;
    queue->head = entry->next;
    if (queue->head == NULL)
        queue->tail = NULL;
    entry->next = NULL;
    queue->counts.queued--;
    return entry;
}

static void
push_seat_locked(struct ix_queue *queue, struct ix_seat *seat)
{
    struct ix_seat **place = &queue->stack;
    seat->doubtful = seat->shares_gil;
    while (seat->doubtful && *place != NULL)
        place = &(*place)->below;
    atomic_store_explicit(&seat->word, IX_SEAT_WATCHING, memory_order_relaxed);
    seat->below = *place;
    *place = seat;
    queue->counts.parked++;
    queue->doubtful += seat->doubtful;
    /* The owner is awake, if work is to be expected. */
    seat->may_spin = has_idle_core_locked(queue, 1);
}

/* Whether a worker that finds nothing is to look again after a moment, before it parks. */
static bool
begins_nap_locked(struct ix_queue *queue, struct ix_seat *seat)
{
    seat->naps = seat->streak >= NAP_STREAK && queue->unawaited >= NAP_UNAWAITED
                 && queue->in_hand == 0 && !seat->shares_gil;
    seat->streak = 0;
    if (seat->naps) {
        queue->napping++;
        seat->roused = atomic_load_explicit(&queue->roused, memory_order_relaxed);
    }
    return seat->naps;
}

void
ix_queue_nap(struct ix_queue *queue, struct ix_seat *seat)
{
    ix_seat_nap(seat, &queue->roused, queue->nap_ns);
}

static void
uncount_waking_locked(struct ix_queue *queue, struct ix_seat *seat)
{
    queue->waking -= seat->woken;
    queue->doubtful -= seat->woken && seat->doubtful;
    seat->woken = false;
}

/* A worker has come to take. */
static void
welcome_locked(struct ix_queue *queue, struct ix_seat *seat)
{
    uncount_waking_locked(queue, seat);
    queue->napping -= seat->naps;
    seat->naps = seat->doubtful = false;
    seat->entry = NULL;
}

void
ix_queue_pass_on(struct ix_queue *queue, struct ix_seat *seat)
{
    pthread_mutex_lock(&queue->lock);
    uncount_waking_locked(queue, seat);
    struct ix_seat *wake = next_to_wake_locked(queue);
    if (ix_queue_leaves_locked(queue))
        wake_all_locked(queue);
    pthread_mutex_unlock(&queue->lock);
    notify(wake);
}

bool
ix_queue_unpark(struct ix_queue *queue, struct ix_seat *seat)
{
    pthread_mutex_lock(&queue->lock);
    bool found = unlink_seat_locked(queue, seat);
    queue->doubtful -= found && seat->doubtful;
    pthread_mutex_unlock(&queue->lock);
    return found;
}

/* The worker's own job is the oldest entry again: what came during the claim goes before the next one. */
static void
let_others_first_locked(struct ix_queue *queue)
{
    struct ix_entry *job = queue->head;
    queue->tail->next = job;
    queue->tail = job;
    queue->head = job->next;
    job->next = NULL;
}

enum ix_take
ix_queue_take(struct ix_queue *queue, struct ix_seat *seat, struct ix_entry **entry)
{
    struct ix_seat *wake = NULL;
    enum ix_take result = IX_TAKE_ENTRY;

    pthread_mutex_lock(&queue->lock);
    struct ix_entry *last = seat->entry;
    welcome_locked(queue, seat);
    if (ix_queue_leaves_locked(queue)) {
        result = IX_TAKE_LEAVE;
        wake_all_locked(queue); /* those that parked while a job was in hand may leave, too */
    }
    else if (queue->head == NULL && begins_nap_locked(queue, seat)) {
        result = IX_TAKE_NAP;
    }
    else if (queue->head == NULL) {
        push_seat_locked(queue, seat);
        result = IX_TAKE_EMPTY;
    }
    else {
        if (queue->head == last && last->next != NULL)
            let_others_first_locked(queue);
        *entry = seat->entry = pop_locked(queue);
        ix_seat_open_run(seat);
        seat->streak = (*entry)->kind == IX_ENTRY_TASK ? seat->streak + 1 : 0;
        queue->in_hand += (*entry)->kind == IX_ENTRY_JOB;
        atomic_store_explicit(&seat->busy, true, memory_order_relaxed);
        wake = next_to_wake_locked(queue);
    }
    pthread_mutex_unlock(&queue->lock);
    notify(wake);
    return result;
}

void
ix_queue_close(struct ix_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    wake_all_locked(queue);
    pthread_mutex_unlock(&queue->lock);
}

void
ix_queue_break(struct ix_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = queue->broken = true;
    wake_all_locked(queue);
    pthread_mutex_unlock(&queue->lock);
}

struct ix_entry *
ix_queue_clear_locked(struct ix_queue *queue)
{
    struct ix_entry *entries = queue->head;
    for (struct ix_entry *entry = entries; entry != NULL; entry = entry->next)
        queue->counts.cancelled += entry->kind == IX_ENTRY_TASK;
    queue->head = queue->tail = NULL;
    queue->counts.queued = 0;
    return entries;
}

struct ix_entry *
ix_queue_clear(struct ix_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    struct ix_entry *entries = ix_queue_clear_locked(queue);
    queue->cleared = true;
    pthread_mutex_unlock(&queue->lock);
    return entries;
}
