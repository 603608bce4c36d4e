/* Feeding a map job: taking items from the inputs, encoding them, and sealing them into segments for workers.
 *
 * Context of every function: the owner's GIL, which the inputs' code may let go of; one call at a time.
 */
#ifndef IX_FEED_H
#define IX_FEED_H

#include "state.h"

struct ix_feed {
    struct ix_pool_object *pool; /* borrowed, as the next: whoever has the feed keeps them */
    struct ix_job *job;
    PyObject *iterators; /* tuple of the inputs, to be set once; NULL once they are exhausted */
    PyObject *failure;   /* why the item after the last encoded one could not be encoded, or NULL */
    size_t encoded;      /* items */
    /* Encoded, but not sealed yet: */
    struct ix_buffer buffer;
    struct ix_attachments *attachments; /* of the items, the newest first */
    uint32_t *offsets;
    uint32_t count, capacity;
    uint32_t target; /* items of the next segment: doubles, so that work starts at once */
    int64_t sealed_at;
};

void ix_feed_init(struct ix_feed *feed, struct ix_pool_object *pool, struct ix_job *job);
/* Feeds until the inputs end or there are `most` items in all, and has workers started for them. What cannot
 * cross ends the inputs: it is `failure` then. Returns 0, or -1 with an exception set. */
int ix_feed_up_to(struct ix_feed *feed, struct ix_module *state, size_t most);
/* Ends the inputs by the TransferError that is set. Returns 0, or -1 where another exception is. */
int ix_feed_fail(struct ix_feed *feed, struct ix_module *state);
/* Lets go of the inputs and the failure. */
void ix_feed_stop(struct ix_feed *feed);
/* The same, and of what was not sealed. A feed that is zero is fine. */
void ix_feed_fini(struct ix_feed *feed);

#endif
