/* A map job: one entry of the queue for any number of items.
 *
 * The owner encodes items and seals them into segments, which never change afterwards. Workers claim
 * items of a segment, first come, and publish the encoded outcomes as ranges; the owner reads them in
 * order. What a worker does with its items is in claim.h, how many it takes at a time in pace.h.
 *
 *                    seal                 claim                    publish
 *   owner: items ----------> segments -----------> worker: a range ----------> ranges -> owner
 *
 * `ranges[i]` of a segment is set once, by the worker that claimed item i, when the range that starts
 * there is complete, with release; the owner reads it with acquire. Nothing of a segment is touched by a
 * worker after it has published the last range of its claim, so the owner frees a segment once it
 * has read its last item.
 *
 * Locks: all functions but acquire take the job's.
 */
#ifndef IX_JOB_H
#define IX_JOB_H

#include "pace.h"
#include "task.h"

#include <pthread.h>

/* The encoded outcomes of `count` consecutive items. */
struct ix_range {
    uint32_t item, count; /* the number of its first item in its claim */
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
    struct ix_attachments *attachments; /* what data refers to, the last item's first; or NULL */
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
    struct ix_claim *claims; /* under way; see claim.h */
    size_t sealed, claimed;  /* items; a claim that is cut short takes `claimed` back */
    bool queued;             /* in the queue, or with a worker that will put it back */
    bool complete;           /* no more items will come */
    enum ix_job_end end;     /* why items from `claimed` on will never run */
    struct ix_pace pace;     /* of its items */
    /* atomic: */
    _Atomic size_t unclaimed; /* mirrors sealed - claimed; 0 once the job has ended */
    _Atomic uint32_t version; /* counts publications; the reader sleeps on it */
    _Atomic uint32_t sleeping;
    _Atomic bool abandoned; /* nobody will read what is still to come: claims under way stop */
};

/* Returns: one reference, or NULL without memory. Takes its own reference to the callable. */
struct ix_job *ix_job_new(struct ix_callable *callable, uint32_t arity, uint32_t chunksize);
void ix_job_acquire(struct ix_job *job);
void ix_job_release(struct ix_job *job); /* NULL is fine. Context: any */

/* Appends a segment; steals data, offsets and attachments unless it fails for memory (-1). Returns 1 if
 * the job must be put into the queue (with a reference of its own), 0 if it is there. Context: the owner. */
int ix_job_seal(struct ix_job *job, char *data, size_t length, uint32_t *offsets, uint32_t count,
                struct ix_attachments *attachments);
/* No more items will come. Context: the owner. */
void ix_job_complete(struct ix_job *job);

/* Tells how long `count` items took. Context: a worker. */
void ix_job_measure(struct ix_job *job, uint32_t count, int64_t elapsed_ns);
/* How long an item takes, by what has been told so far; 0: nothing yet. Context: a worker. */
int64_t ix_job_item_ns(struct ix_job *job);
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

/* For claim.c: brings `unclaimed` up to date. Context: any. Locks: requires the job's. */
void ix_job_mirror_unclaimed_locked(struct ix_job *job);
/* Counts a publication and wakes the reader. Context: any. Locks: none. */
void ix_job_announce(struct ix_job *job);

#endif
