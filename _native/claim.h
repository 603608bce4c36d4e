/* Items of a map job that a worker has claimed, and their outcomes as they come.
 *
 * The worker adds outcomes to a buffer of the claim's, and says in one atomic word how far it is. In the end
 * it publishes them as a range. Two others may do so before, in its stead and under the job's lock: a
 * reader that has waited for long, and the owner, when it gives the claim up together with its worker.
 *
 * Locks: every function but ix_claim_wait() takes the job's; ix_claim_add() only where it moves the buffer or
 * keeps attachments.
 */
#ifndef IX_CLAIM_H
#define IX_CLAIM_H

#include "job.h"
#include "seat.h"

/* On the worker's stack, and on the job's list from take to settle. */
struct ix_claim {
    struct ix_segment *segment;
    uint32_t index, count; /* the claimed items */
    size_t first; /* the number of the first: the reader may free a segment that it has read
                   * before the worker has settled */
    /* protected by the job's lock: */
    struct ix_claim *previous, *next;
    uint32_t published;      /* items */
    size_t published_length; /* and bytes of their outcomes */
    char *data;              /* the outcomes; the worker moves it, and only under the lock */
    struct ix_attachments *attachments; /* of outcomes that are not published, the newest first */
    /* the worker's own: */
    size_t capacity;
    /* atomic: */
    _Atomic bool forsaken; /* the owner has given up waiting for the worker; set under the lock */
    _Atomic uint64_t progress; /* bytes << IX_PROGRESS_BITS | items that are complete in data */
};

#define IX_PROGRESS_BITS 24
#define IX_CLAIM_MAX ((1u << IX_PROGRESS_BITS) - 1)
#define IX_CLAIM_MAX_BYTES ((size_t)1 << (64 - IX_PROGRESS_BITS - 1)) /* half a terabyte */

/* Claims the next items; false if there are none. `more`: put the job back into the queue. The claim
 * stays where it is until ix_claim_settle(). `workers`: how many share the rest. Context: a worker. */
bool ix_claim_take(struct ix_job *job, unsigned workers, struct ix_claim *claim, bool *more);
/* Adds the outcome of the claim's next item; takes its attachments. Returns false without memory: then
 * settle, which ends the job as broken. Context: the claim's worker. */
bool ix_claim_add(struct ix_job *job, struct ix_claim *claim, struct ix_buffer *outcome);
/* Publishes what is left of the claim, which is over. `cut`: the items after the last one added will have no
 * outcome, and the job ends there: as it has been ended, or as broken (no memory for one). Returns false if
 * the claim was forsaken: then it has left the job before, and what it brings is dropped. Context: the
 * claim's worker. */
bool ix_claim_settle(struct ix_job *job, struct ix_claim *claim, bool cut);
/* Gives up a claim under way whose worker cannot be stopped: what it has finished is published, then
 * `outcome` for its present item; those after it will not run. Returns how many of its items have an outcome
 * then, or 0, with nothing changed, if `claim` is not under way any more, or its worker not at `run` (see struct
 * ix_seat). Context: the owner. */
uint32_t ix_claim_forsake(struct ix_job *job, void *claim, struct ix_seat *seat, uint64_t run,
                          const struct ix_buffer *outcome);
/* Sleeps until the job's version changes; when that takes long, collects what the claim under way at
 * `position` has finished. Context: the reader, no GIL held. Locks: takes the job's, not while it sleeps.
 * Returns as ix_park_wait. */
enum ix_park ix_claim_wait(struct ix_job *job, size_t position, uint32_t version,
                           int64_t timeout_ns);

#endif
