/* Where workers leave finished tasks that somebody observes, for a thread of the owner to publish.
 *
 * A stack that any worker pushes to with one compare-and-swap and a reader empties with one exchange; the
 * reader reverses what it took, so tasks are published in the order in which they finished.
 */
#ifndef IX_OUTBOX_H
#define IX_OUTBOX_H

#include "task.h"

struct ix_outbox {
    _Atomic uint32_t refs;
    _Atomic uint32_t word; /* enum ix_outbox_word */
    _Atomic(struct ix_task *) head;
};

enum ix_outbox_word {
    IX_OUTBOX_AWAKE,
    IX_OUTBOX_ASLEEP,
    IX_OUTBOX_NUDGED, /* awake, and has something else to do before it may sleep */
    IX_OUTBOX_CLOSED,
};

struct ix_outbox *ix_outbox_new(void); /* one reference, or NULL without memory */
void ix_outbox_acquire(struct ix_outbox *outbox);
void ix_outbox_release(struct ix_outbox *outbox); /* the last one: must be empty */

/* Leaves a DONE task; steals the reference. Context: any GIL or none. */
void ix_outbox_push(struct ix_outbox *outbox, struct ix_task *task);
/* Wakes the notifier if it sleeps. Context: any GIL or none. */
void ix_outbox_ring(struct ix_outbox *outbox);
/* Lets ix_outbox_wait() return once although there may be nothing. Context: any GIL or none. */
void ix_outbox_nudge(struct ix_outbox *outbox);
/* Takes all, oldest first, linked by entry.next; NULL if there is none. Context: any. */
struct ix_task *ix_outbox_take(struct ix_outbox *outbox);
/* Sleeps until there is something, it is nudged or closed; false if closed and empty.
 * Context: the notifier, no GIL held. */
bool ix_outbox_wait(struct ix_outbox *outbox);
void ix_outbox_close(struct ix_outbox *outbox);

#endif
