/* A task: one call on its way to a worker and its outcome on the way back.
 *
 * Both sides share the struct through an atomic reference count. It holds no object of any
 * interpreter but `future`, which only the owner may touch. The state word is the whole protocol:
 *
 *   transition            made by                    by means of
 *   PENDING -> RUNNING    the worker that took it    compare-and-swap
 *   PENDING -> CANCELLED  the owner                  compare-and-swap
 *   RUNNING -> DONE       the same worker            compare-and-swap (release)
 *   RUNNING -> DONE       the owner, who abandons it compare-and-swap, with ABANDONED
 *   PENDING -> DONE       whoever breaks the pool    start, then finish
 *
 * The owner sets flags (WAITED, OBSERVED, LOUD) while the task is not terminal. The swap that makes
 * it DONE returns them, so that exactly one side acts: a WAITED task has sleepers to wake, an OBSERVED
 * one goes to the outbox. If the owner's attempt finds the task terminal, the owner acts itself.
 *
 * Memory ordering: the owner writes the arguments before the task enters the queue (whose mutex
 * publishes them); the worker writes the outcome before the releasing swap to DONE, and readers
 * load the state with acquire. The data therefore never needs a lock. The outcome of a task that was
 * abandoned is in its state word alone: the data and `outcome` stay the worker's, which may be writing
 * them, and nobody else reads them or gives them back before the last reference goes.
 */
#ifndef IX_TASK_H
#define IX_TASK_H

#include "buffer.h"
#include "entry.h"
#include "park.h"

enum ix_state {
    IX_PENDING = 0,
    IX_RUNNING = 1,
    IX_DONE = 2,
    IX_CANCELLED = 3,
};

#define IX_STATE_MASK 3u
#define IX_TERMINAL 2u /* set in DONE and CANCELLED, clear in the others */
#define IX_WAITED 4u
#define IX_OBSERVED 8u
#define IX_LOUD 16u /* publishing runs code of the user's: only the notifier may do it */
/* With DONE: */
#define IX_ABANDONED 32u /* no outcome came: the owner has given up waiting for the worker */
#define IX_LATE 64u      /* and that because the task was over its time */
#define IX_KILLED 128u   /* the process that it ran in has been killed for it */

enum ix_outcome {
    IX_OUTCOME_NONE,   /* not done yet */
    IX_OUTCOME_VALUE,  /* data: an encoded value */
    IX_OUTCOME_RAISED, /* data: an encoded exception */
    IX_OUTCOME_BROKEN, /* the pool broke before the task could run; no data */
    IX_OUTCOME_FAILED, /* data: the text of a failure of the machinery (no memory, say) */
};

/* Where a task runs, as bits that are combined: its own (or its job's), its callable's, its pool's. A word
 * without IX_LANE_PROCESS means an interpreter, which is the case that costs nothing to find out. */
enum ix_lane {
    IX_LANE_ANY = 0,
    IX_LANE_PROCESS = 1, /* chosen by hand; or the callable, or the initializer, needs a process */
    IX_LANE_INTERPRETER = 2, /* chosen by hand */
};

/* What a view asks for of its calls. Immutable once made; shared by tasks and jobs. */
struct ix_limits {
    _Atomic uint32_t refs;
    int64_t timeout_ns; /* of a task, or an item of a map, from its start; 0: none */
    int64_t grace_ns;   /* between an interrupt and the giving up; negative: as the pool has it */
    bool interrupt_on_cancel;
};

/* Whether there is a limit of time; `limits` may be NULL. */
static inline bool
ix_limits_are_timed(const struct ix_limits *limits)
{
    return limits != NULL && limits->timeout_ns != 0;
}

/* A callable in the form in which it crosses. Immutable once made, but for its lane; shared by its tasks. */
struct ix_callable {
    _Atomic uint32_t refs;
    _Atomic uint32_t lane; /* IX_LANE_PROCESS once it has proved to need a process */
    uint32_t id;           /* nonzero: workers keep the decoded callable under this number */
    uint32_t form; /* how `data` is to be read: agreed between _serialize.py and _worker.py */
    struct ix_attachments *attachments; /* what the data refers to, or NULL */
    size_t length;
    char data[];
};

/* Kept small: a program may have a million of them queued. */
struct ix_task {
    struct ix_entry entry;
    _Atomic uint32_t state;
    uint16_t capacity;            /* of room: at least the size of a pointer */
    uint8_t outcome;              /* enum ix_outcome */
    uint8_t lane;                 /* enum ix_lane; set before the push */
    struct ix_callable *callable; /* one reference */
    struct ix_limits *limits;     /* one reference, or NULL */
    void *future; /* the owner's, one reference while observed; under the owner's GIL only */
    struct ix_attachments *attachments; /* what the data refers to, or NULL */
    size_t length;                      /* of the data; if more than capacity, room points to it */
    char room[];
};

/* Returns: a new reference, or NULL without memory. */
struct ix_limits *ix_limits_new(int64_t timeout_ns, int64_t grace_ns, bool interrupt_on_cancel);
void ix_limits_acquire(struct ix_limits *limits); /* NULL is fine, here and below */
void ix_limits_release(struct ix_limits *limits);

/* Returns: a new reference, or NULL without memory. Copies `length` bytes; the attachments, if there are
 * some, are for the caller to put in. */
struct ix_callable *ix_callable_new(uint32_t id, uint32_t form, const char *data, size_t length);
void ix_callable_acquire(struct ix_callable *callable);
void ix_callable_release(struct ix_callable *callable); /* NULL is fine */

/* Returns: a PENDING task with one reference, or NULL without memory.
 * Takes a reference of its own to the callable (NULL for a task that never runs) and the arguments out of the buffer. */
struct ix_task *ix_task_new(struct ix_callable *callable, struct ix_buffer *arguments);
void ix_task_acquire(struct ix_task *task);
void ix_task_release(struct ix_task *task); /* NULL is fine. Context: any, `future` must be gone */

/* Replaces the data by the buffer's contents and attachments; false (and no data) without memory.
 * Context: the worker that runs the task. */
bool ix_task_set_data(struct ix_task *task, struct ix_buffer *buffer);
/* Frees a heap block of arguments, and gives back their attachments, as soon as they are decoded.
 * Context: as above. */
void ix_task_drop_data(struct ix_task *task);

/* PENDING -> RUNNING; false if it was cancelled. Context: the worker that took it. */
bool ix_task_start(struct ix_task *task);
/* RUNNING -> DONE, wakes the waiters. Returns the flags: with IX_OBSERVED among them, the caller hands
 * a reference to the outbox. IX_ABANDONED alone: it was abandoned before, and the outcome is nobody's.
 * Context: the same worker, its GIL or none. */
uint32_t ix_task_finish(struct ix_task *task, enum ix_outcome outcome);
/* RUNNING -> DONE without the worker, wakes the waiters; false if it is not running. `why`: IX_LATE, IX_KILLED, both
 * or 0. `flags`: as above. Context: owner GIL. */
bool ix_task_abandon(struct ix_task *task, uint32_t why, uint32_t *flags);
/* PENDING -> CANCELLED, wakes the waiters; false if a worker was first. Context: the owner. */
bool ix_task_cancel(struct ix_task *task);
/* Sets flags; false, with nothing set, if the task is terminal already. Context: owner GIL. */
bool ix_task_flag(struct ix_task *task, uint32_t flags);

/* The arguments until RUNNING, the outcome once DONE: `length` bytes. */
static inline char *
ix_task_data(struct ix_task *task)
{
    char *block;
    if (task->length <= task->capacity)
        return task->room;
    memcpy(&block, task->room, sizeof block);
    return block;
}

/* Whether what the call carries is written to on both sides, or means something in this process
 * only (a writable view, a SharedBuffer, an interpreters' queue): such a task must not be sent elsewhere.
 * Context: the owner before the push, or whoever holds the task and has not decoded it yet. */
static inline bool
ix_task_is_shared(struct ix_task *task)
{
    struct ix_attachments *called = task->callable == NULL ? NULL : task->callable->attachments;
    return (task->attachments != NULL && task->attachments->shared)
           || (called != NULL && called->shared);
}

static inline enum ix_state
ix_task_state(struct ix_task *task)
{
    return atomic_load_explicit(&task->state, memory_order_acquire) & IX_STATE_MASK;
}

static inline bool
ix_task_is_terminal(struct ix_task *task)
{
    return (atomic_load_explicit(&task->state, memory_order_acquire) & IX_TERMINAL) != 0;
}

static inline bool
ix_task_is_running(struct ix_task *task)
{
    return (atomic_load_explicit(&task->state, memory_order_acquire) & IX_STATE_MASK) == IX_RUNNING;
}

/* IX_ABANDONED and why, or 0. Context: any, once the task is DONE. */
static inline uint32_t
ix_task_abandonment(struct ix_task *task)
{
    return atomic_load_explicit(&task->state, memory_order_acquire)
           & (IX_ABANDONED | IX_LATE | IX_KILLED);
}

/* Sleeps until the task is terminal, the time (negative: none) is over or a signal came.
 * Context: no GIL held. Returns IX_PARK_WOKEN exactly if the task is terminal. */
enum ix_park ix_task_wait(struct ix_task *task, int64_t timeout_ns);
/* Sleeps until the time is over, or a signal came, or for less: nobody is asked to wake the sleeper.
 * Context: as above. */
enum ix_park ix_task_nap(struct ix_task *task, int64_t ns);

#endif
