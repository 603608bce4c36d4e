/* The FIFO of a pool, and the stack of workers that wait for it; those who serve it are in crew.h.
 *
 * Everything is protected by one mutex, held for a few dozen instructions and never across a wait or any call
 * into Python. Wake-ups come after it, but for those by which the last workers leave. A push wakes at most one
 * parked worker, the one that parked last (its caches are warm), and none while as many woken workers as there
 * are processors have yet to arrive: each that arrives wakes the next if entries remain, so a burst does not
 * become a storm of wake-ups.
 *
 * A worker that keeps pace with a stream of short tasks would park after every few of them, and who submits
 * them would wake it each time, for more than the tasks cost. It *naps* instead: it stays off the stack for a moment
 * and comes back by itself. Nobody waits for that: who is about to wait for an outcome rouses it.
 *
 * So a worker that was woken, or naps, is counted on to come, and it must. One that shares its GIL, with threads that
 * a task has left in its interpreter, may never get it. It does not nap, is below all others on the stack, passes a
 * wake-up on before it asks for its GIL, and whether another worker is wanted is decided without it. Nor is one
 * counted on that has stepped off the stack, to let go of what has come back to it.
 *
 * Context: any GIL or none, unless a function says otherwise. Locks: each takes the queue's.
 */
#ifndef IX_QUEUE_H
#define IX_QUEUE_H

#include "seat.h"

#include <pthread.h>

/* What has been done, and what is under way. */
struct ix_queue_counts {
    uint64_t copied, lent; /* bytes that crossed by being copied, and without */
    uint64_t mapped;       /* items of maps that have an outcome */
    uint64_t submitted;    /* tasks pushed */
    uint64_t finished;     /* tasks that ran to an outcome */
    uint64_t failed;       /* of these, those whose outcome is not a value */
    uint64_t cancelled;    /* tasks that a worker found cancelled, or that were cleared */
    uint64_t interrupted;  /* tasks and items of maps that ended by an interrupt, */
    uint64_t late;         /* that ended by one because they were over their time, */
    uint64_t abandoned;    /* or whose end was not waited for */
    size_t queued;         /* entries */
    unsigned running;      /* workers that hold an entry */
    unsigned workers;      /* leased: starting or serving */
    unsigned parked;
};

struct ix_queue {
    pthread_mutex_t lock;
    /* protected by lock: */
    struct ix_entry *head, *tail;
    struct ix_seat *stack;
    struct ix_seat *members;
    unsigned starting; /* workers asked for that have not arrived yet */
    unsigned in_hand;  /* jobs that a worker has taken and may put back */
    unsigned waking;   /* workers notified that have not come to take yet */
    unsigned napping;  /* workers that will come back by themselves */
    unsigned doubtful; /* of those that are parked or waking: who shares its GIL */
    size_t unawaited;  /* entries that came since somebody last waited for an outcome */
    unsigned max_workers;
    unsigned cores; /* so many may be waking at a time, and more at work make spinning useless */
    int64_t nap_ns; /* constant */
    bool closed;    /* no more pushes; workers leave once it is empty */
    bool broken;    /* no more pushes; workers leave at once */
    bool cleared;   /* what had been queued was taken out for good */
    struct ix_queue_counts counts; /* without what the members have counted themselves */
    /* atomic: */
    _Atomic uint32_t roused; /* so often were workers that nap, which sleep on it */
    _Atomic uint32_t leased; /* mirrors counts.workers; joiners sleep on it */
};

enum ix_push { IX_PUSH_DONE, IX_PUSH_NEEDS_WORKER, IX_PUSH_CLOSED, IX_PUSH_BROKEN };
enum ix_take { IX_TAKE_ENTRY, IX_TAKE_EMPTY, IX_TAKE_NAP, IX_TAKE_LEAVE };

/* What may pay, for those who wait for an outcome, before they sleep until they are woken. */
enum ix_await {
    IX_AWAIT_SLEEP, /* nothing */
    IX_AWAIT_SPIN,  /* a core is left over beside the workers that are awake */
    IX_AWAIT_NAP,   /* many are to come beside those that the workers have in hand */
};

/* Whether a worker that comes to take has to leave. Locks: requires the queue's. */
static inline bool
ix_queue_leaves_locked(const struct ix_queue *queue)
{
    return queue->broken || (queue->closed && queue->head == NULL && queue->in_hand == 0);
}

/* Returns: 0, or an errno. */
int ix_queue_init(struct ix_queue *queue, unsigned max_workers);
void ix_queue_fini(struct ix_queue *queue); /* must be empty and without workers */

/* Appends an entry; steals the reference unless it returns CLOSED or BROKEN.
 * NEEDS_WORKER: a worker has been counted in, and the caller must start one, or call
 * ix_crew_leave(). */
enum ix_push ix_queue_push(struct ix_queue *queue, struct ix_entry *entry);
/* Somebody is about to wait for an outcome. If any entry waits, a worker that naps comes now. */
enum ix_await ix_queue_await(struct ix_queue *queue);
/* What a push would return now: IX_PUSH_DONE, CLOSED or BROKEN. */
enum ix_push ix_queue_refuses(struct ix_queue *queue);
/* Whether nothing is queued. */
bool ix_queue_is_empty(struct ix_queue *queue);
/* Puts a job back that was taken, behind what came meanwhile. A closed queue takes it too
 * while it has workers; one that is broken or was cleared does not: then it returns false and steals
 * nothing. */
bool ix_queue_requeue(struct ix_queue *queue, struct ix_entry *entry);
/* The worker that took a job will not put it back: if the queue is closed, the others may leave. */
void ix_queue_put_down(struct ix_queue *queue);
/* Takes the oldest entry (the caller gets its reference), or puts the seat on the stack and returns
 * EMPTY: then ix_seat_sleep() follows, and another take. NAP: ix_queue_nap() follows. LEAVE: nothing more will
 * come. Of the job that it has just claimed from, a worker makes no further claim before what came meanwhile.
 * Context: the worker, its GIL held or not; `shares_gil` is up to date. */
enum ix_take ix_queue_take(struct ix_queue *queue, struct ix_seat *seat, struct ix_entry **entry);
/* A worker that was notified, and shares its GIL, is not counted on any more: another is woken for what waits.
 * Context: the worker, after ix_seat_sleep() has returned true; no GIL held. */
void ix_queue_pass_on(struct ix_queue *queue, struct ix_seat *seat);
/* Takes the seat off the stack again, and another take may follow; false where it was popped: it is about to be
 * notified, and ix_seat_sleep() must see that first. Context: the worker. */
bool ix_queue_unpark(struct ix_queue *queue, struct ix_seat *seat);
/* Sleeps for a moment, or until somebody is about to wait; another take follows. Context: the worker, to which
 * a take has returned NAP; no GIL held. */
void ix_queue_nap(struct ix_queue *queue, struct ix_seat *seat);
/* No more pushes; parked workers are woken to leave. Idempotent. */
void ix_queue_close(struct ix_queue *queue);
/* Closes, and refuses pushes as BROKEN; workers leave at once. Idempotent. */
void ix_queue_break(struct ix_queue *queue);
/* Takes every queued entry out for good: a list, oldest first, whose references are the caller's. */
struct ix_entry *ix_queue_clear(struct ix_queue *queue);
/* The same, but jobs in hand may still be put back. Locks: requires the queue's. */
struct ix_entry *ix_queue_clear_locked(struct ix_queue *queue);

#endif
