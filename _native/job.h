/* A map job: one entry of the queue for any number of items.
 *
 * The owner encodes items and seals them into segments, which never change afterwards. Workers claim
 * items of a segment, first come, and publish the encoded outcomes as ranges; the owner reads them in
 * order. A reader that has waited for long collects what a claim under way has finished, and need not
 * wait for its end. A claim is sized by the measured time of an item: one item at first, then enough for about
 * a millisecond, fewer towards the end, so that long items balance and short ones are batched.
 *
 *                    seal                 claim                    publish
 *   owner: items ----------> segments -----------> worker: a range ----------> ranges -> owner
 *
 * `ranges[i]` of a segment is set once, by the worker that claimed item i, when the range that starts
 * there is complete, with release; the owner reads it with acquire. Nothing of a segment is touched by a
 * worker after it has published the last range of its claim, so the owner frees a segment once it
 * has read its last item.
 */
#ifndef IX_JOB_H
#define IX_JOB_H

#include "queue.h"

#include <pthread.h>

/* The encoded outcomes of `count` consecutive items. */
struct ix_range {
    uint32_t count;
    size_t length;
    char *data;
    struct ix_attachments *attachments; /* what data refers to, or NULL */
};

struct ix_segment {
    struct ix_segment *next; /* protected by the job's lock */
    size_t first;            /* the number of its first item */
    uint32_t count;
    size_t length;
    char *data;
    uint32_t *offsets;                  /* of each item in data */
    struct ix_attachments *attachments; /* what data refers to, or NULL */
    _Atomic(struct ix_range *) ranges[];
};

enum ix_job_end { IX_JOB_GOES_ON, IX_JOB_CANCELLED, IX_JOB_BROKEN };

struct ix_job {
    struct ix_entry entry;
    struct ix_callable *callable; /* one reference */
    struct ix_limits *limits;     /* one reference, or NULL; set before the job is shared */
    uint32_t arity;               /* values per item */
    uint32_t chunksize;           /* 0: by measured time */
    uint8_t lane;                 /* enum ix_lane; set before the first seal */
    pthread_mutex_t lock;
    /* protected by lock: */
    struct ix_segment *oldest, *newest;
    struct ix_segment *cursor; /* the next unclaimed item's, or NULL */
    uint32_t cursor_index;
    struct ix_claim *claims; /* under way */
    size_t sealed, claimed;  /* items; an outcome lost for want of memory takes `claimed` back */
    bool queued;             /* in the queue, or with a worker that will put it back */
    bool complete;           /* no more items will come */
    enum ix_job_end end;     /* why items from `claimed` on will never run */
    int64_t item_ns;         /* moving average; 0: not measured yet */
    /* atomic: */
    _Atomic size_t unclaimed; /* mirrors sealed - claimed; 0 once the job has ended */
    _Atomic uint32_t version; /* counts publications; the reader sleeps on it */
    _Atomic uint32_t sleeping;
    _Atomic bool abandoned; /* nobody will read what is still to come: claims under way stop */
};

/* Items that a worker has claimed, and their outcomes as they come. On the worker's stack, and on the
 * job's list from claim to settle. */
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

/* Returns: one reference, or NULL without memory. Takes its own reference to the callable. */
struct ix_job *ix_job_new(struct ix_callable *callable, uint32_t arity, uint32_t chunksize);
void ix_job_acquire(struct ix_job *job);
void ix_job_release(struct ix_job *job); /* NULL is fine. Context: any */
/* The same for what may be a task or a job, or NULL. */
void ix_entry_release(struct ix_entry *entry);

/* Appends a segment; steals data, offsets and attachments unless it fails for memory (-1). Returns 1 if
 * the job must be put into the queue (with a reference of its own), 0 if it is there. Context: the owner. */
int ix_job_seal(struct ix_job *job, char *data, size_t length, uint32_t *offsets, uint32_t count,
                struct ix_attachments *attachments);
/* No more items will come. Context: the owner. */
void ix_job_complete(struct ix_job *job);

/* Claims the next items; false if there are none. `more`: put the job back into the queue. The claim
 * stays where it is until ix_job_settle(). Context: a worker. `workers`: how many share the rest. */
bool ix_job_claim(struct ix_job *job, unsigned workers, struct ix_claim *claim, bool *more);
/* Adds the outcome of the claim's next item; takes its attachments. Returns false without memory: then settle, which ends the
 * job as broken. Context: a worker. */
bool ix_job_add(struct ix_job *job, struct ix_claim *claim, struct ix_buffer *outcome);
/* Publishes what is left of the claim, which is over. `lost`: the item after the last one added has no
 * outcome for want of memory. Returns false if the claim was forsaken: then it has left the job before,
 * and what it brings is dropped. Context: a worker. */
bool ix_job_settle(struct ix_job *job, struct ix_claim *claim, bool lost);
/* Gives up a claim under way whose worker cannot be stopped: what it has finished is published, then
 * `outcome` for its present item; those after it will not run. Returns false, with nothing changed, if
 * `claim` is not under way any more, or its worker not at `run` (see struct ix_seat). Context: the owner. */
bool ix_job_forsake(struct ix_job *job, void *claim, struct ix_seat *seat, uint64_t run,
                    const struct ix_buffer *outcome);
/* Tells how long `count` items took. Context: a worker. */
void ix_job_measure(struct ix_job *job, uint32_t count, int64_t elapsed_ns);
/* Nothing that is unclaimed will run. Context: any. Idempotent; the first reason stands. */
void ix_job_end(struct ix_job *job, enum ix_job_end end);
/* As above, and claims under way stop after their present item. Context: the owner. */
void ix_job_abandon(struct ix_job *job);

/* The range that starts at `position` (borrowed; valid until the segment is dropped), or NULL: then *end
 * says whether it will ever come, and `version` is what to wait on. Context: the owner. */
struct ix_range *ix_job_range(struct ix_job *job, size_t position, uint32_t *version,
                              enum ix_job_end *end);
/* Frees the segments that end at or before `position`. Context: the owner. */
void ix_job_drop_before(struct ix_job *job, size_t position);
/* Sleeps until the version changes; when that takes long, collects what the claim under way at `position`
 * has finished. Context: no GIL held. Returns as ix_park_wait. */
enum ix_park ix_job_wait(struct ix_job *job, size_t position, uint32_t version, int64_t timeout_ns);

#endif
