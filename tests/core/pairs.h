/* Every operation of the core against every other, at the same moment, from two threads.
 *
 * stress.h has everything race with everything for a while, as chance will have it. Here a table names
 * the operations; two of them *meet* in a small world of their own, many times: two threads leave a
 * barrier together, each does its operation, and what is left must be in order. Made for the thread
 * sanitizer, which judges each meeting.
 */
#ifndef IX_PAIRS_H
#define IX_PAIRS_H

#include "alarm.h"
#include "claim.h"
#include "crew.h"
#include "gate.h"
#include "memory.h"
#include "outbox.h"

/* How many operations there are, and the name of one. */
int pairs_count(void);
const char *pairs_name(int operation);
/* Whether the contract lets both take place at once: of some roles there is one thread only. */
bool pairs_may_meet(int first, int second);
/* Lets two operations meet so many times; returns what went wrong, or NULL. Context: no GIL. */
const char *pairs_meet(int first, int second, unsigned times);

/* ---- shared by the files that play it ---- */

#define PAIRS_ITEMS 3u

/* What two operations meet in. `me` in what follows is 0 or 1: which of the two threads. */
struct world {
    pthread_mutex_t owner; /* stands for the owner's GIL */
    struct ix_queue queue; /* a task and a map are queued */
    struct ix_outbox *outbox;
    struct ix_task *task; /* pending, and not queued */
    /* Two workers at the queue, one played by each thread: */
    pthread_mutex_t gil[2]; /* their GILs */
    struct ix_seat seats[2];
    bool gone[2]; /* each thread's own: its worker has left the queue, or was counted out */
    struct ix_job *job;
    size_t position; /* of its reader */
    struct ix_gate gate;
    bool behind; /* the gate keeps it as it is */
    struct ix_alarm *alarm;
    _Atomic int64_t deadlines[2];
    struct ix_releases *home;
    struct ix_attachment *lent; /* a reference of each thread's */
    bool gave_back[2];          /* each thread's own */
    int returned;               /* under the owner's GIL */
    _Atomic uint32_t word;      /* to park at */
    _Atomic bool over;          /* whoever waits is to come back */
    const char *_Atomic fault;
};

#define EXPECT(world, condition) \
    ((condition) ? (void)0 : atomic_store(&(world)->fault, "not " #condition))

struct ix_task *pairs_make_task(void);
/* Runs a task as a worker does; false if it was abandoned meanwhile. Steals the reference. */
bool pairs_run_task(struct world *world, int me, struct ix_task *task);
/* Leaves a finished task in the outbox, and rings. Steals the reference. */
void pairs_deliver(struct world *world, struct ix_task *task);
void pairs_empty_outbox(struct world *world);
/* Steals the reference. */
void pairs_push_entry(struct world *world, struct ix_entry *entry);
/* Ends what was taken out of a queue. Steals the references. */
void pairs_discard(struct ix_entry *entries);
/* Runs what a worker has taken. Steals the reference. */
void pairs_work_on(struct world *world, int me, struct ix_entry *entry);

/* The operations: each is named once here, and gets its prototype and its place in the table. The second
 * word is the role: of each but ANYBODY there is one thread at a time. */
#define PAIRS_OPERATIONS(OPERATION) \
    OPERATION(run, RUNNER) \
    OPERATION(cancel, ANYBODY) \
    OPERATION(observe, ANYBODY) \
    OPERATION(abandon, ANYBODY) \
    OPERATION(look, ANYBODY) \
    OPERATION(wait_for_task, ANYBODY) \
    OPERATION(hold_task, ANYBODY) \
    OPERATION(drop, ANYBODY) \
    OPERATION(publish, ANYBODY) \
    OPERATION(notify, NOTIFIER) \
    OPERATION(nudge_notifier, ANYBODY) \
    OPERATION(close_outbox, ANYBODY) \
    OPERATION(push, ANYBODY) \
    OPERATION(ask_for_workers, ANYBODY) \
    OPERATION(ask_for_counts, ANYBODY) \
    OPERATION(await, ANYBODY) \
    OPERATION(close_queue, ANYBODY) \
    OPERATION(break_queue, ANYBODY) \
    OPERATION(clear_queue, ANYBODY) \
    OPERATION(join_queue, ANYBODY) \
    OPERATION(work, ANYBODY) \
    OPERATION(nap, ANYBODY) \
    OPERATION(work_lightly, ANYBODY) \
    OPERATION(leave, ANYBODY) \
    OPERATION(hand_over, ANYBODY) \
    OPERATION(give_up, ANYBODY) \
    OPERATION(interrupt, ANYBODY) \
    OPERATION(nudge, ANYBODY) \
    OPERATION(ask_how_long, ANYBODY) \
    OPERATION(seal, ANYBODY) \
    OPERATION(complete, ANYBODY) \
    OPERATION(read, READER) \
    OPERATION(end_map, ANYBODY) \
    OPERATION(abandon_map, ANYBODY) \
    OPERATION(visit, ANYBODY) \
    OPERATION(close_gate, CLOSER) \
    OPERATION(set_deadline, ANYBODY) \
    OPERATION(ring, ANYBODY) \
    OPERATION(watch, WATCHDOG) \
    OPERATION(close_alarm, ANYBODY) \
    OPERATION(give_back, ANYBODY) \
    OPERATION(fetch, ANYBODY) \
    OPERATION(listen, ANYBODY) \
    OPERATION(wait_for_lent, ANYBODY) \
    OPERATION(dismiss, ANYBODY) \
    OPERATION(park, ANYBODY) \
    OPERATION(wake, ANYBODY)

#define PAIRS_PROTOTYPE(name, role) void pairs_##name(struct world *world, int me);
PAIRS_OPERATIONS(PAIRS_PROTOTYPE)

#endif
