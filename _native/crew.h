/* The workers of a pool: who is coming, who has a seat, who goes, and what they have done.
 *
 * A worker is *counted in* by whoever finds that one is wanted, and who then has it started; it arrives, serves,
 * and is counted out when it leaves. While one is counted in nobody who joins the crew comes back. A worker
 * that goes although work is left hands its place to a successor under one lock, so that no joiner sees a
 * gap between the two.
 *
 * Context: any GIL or none, unless a function says otherwise. Locks: each takes the queue's, but those whose
 * name ends in _locked, which require it.
 */
#ifndef IX_CREW_H
#define IX_CREW_H

#include "queue.h"

/* What a worker runs at one moment. */
struct ix_present {
    struct ix_entry *entry; /* one reference, or NULL: nothing that could be interrupted */
    uint64_t run;
    uint64_t finished; /* tasks, before this run */
    void *claim;
    uint32_t items; /* of that, with an outcome when it was given up */
};

/* ---- coming ---- */

/* Counts in one more worker if fewer than `demand` are unoccupied or on their way, and the pool may have
 * more; then the caller starts it, or calls ix_crew_leave(queue, NULL). */
bool ix_crew_wants_one_locked(struct ix_queue *queue, size_t demand);
/* The same, unless it would have to leave at once. demand 0: as many as there are entries. */
bool ix_crew_wants_one(struct ix_queue *queue, size_t demand);
/* Counts in one more worker whatever the demand: balances an ix_crew_leave() of one that comes after all. */
void ix_crew_count_in(struct ix_queue *queue);
/* A worker that was counted in takes its seat. Context: the worker, before it takes. */
void ix_crew_arrive(struct ix_queue *queue, struct ix_seat *seat);

/* ---- going ---- */

/* The worker will not take again: what it took last may be released. Context: the worker. */
void ix_crew_let_go(struct ix_queue *queue, struct ix_seat *seat);
/* The worker is gone; `seat` is NULL if it never arrived. Wakes those in ix_crew_join(). */
void ix_crew_leave(struct ix_queue *queue, struct ix_seat *seat);
/* A worker that was counted in cannot come. Where it was the last one, what is queued would wait for ever:
 * that is taken out, a list as ix_queue_clear() returns it, and the queue stays in use. */
struct ix_entry *ix_crew_miss(struct ix_queue *queue);
/* The same for a worker that goes although work may be left. True: its successor has been counted in; the
 * caller starts it, or calls ix_crew_leave(queue, NULL). */
bool ix_crew_hand_over(struct ix_queue *queue, struct ix_seat *seat);
/* The worker has been given up together with what it runs, which `present` says: it is counted out.
 * True: a successor has been counted in, as above. Context: whoever abandons. */
bool ix_crew_abandon(struct ix_queue *queue, struct ix_seat *seat,
                     const struct ix_present *present);

/* ---- from outside ---- */

/* What the worker runs now. The caller releases the entry. */
struct ix_present ix_crew_present(struct ix_queue *queue, struct ix_seat *seat);
/* Sleeps until no worker is left. Context: no GIL held. Returns as ix_park_wait. */
enum ix_park ix_crew_join(struct ix_queue *queue, int64_t timeout_ns);
/* What has been done, by those who have left too. */
struct ix_queue_counts ix_crew_count(struct ix_queue *queue);

#endif
