/* A worker's place at a queue: where it sleeps, what it runs, and what it has done there.
 *
 * `run` numbers what may be interrupted. It is odd from the taking of an entry until the worker
 * closes the run: the call is over and its outcome encoded, or it was not made at all. A number never
 * comes again, so that whoever wants to stop a run cannot hit another.
 *
 * Locks: none is taken here. What the queue's lock protects only the queue's own functions touch.
 */
#ifndef IX_SEAT_H
#define IX_SEAT_H

#include "spin.h"
#include "task.h"

enum ix_seat_word {
    IX_SEAT_NOTIFIED,
    IX_SEAT_WATCHING, /* on the stack; its thread is awake and watches the word */
    IX_SEAT_SLEEPING, /* on the stack; its thread sleeps: a wake-up needs the system call */
    IX_SEAT_NUDGED,   /* on the stack; its thread has something else to do */
};

/* Owned by the worker, and zero when it is made; on the queue's list from arrive to leave, and on its stack
 * while the worker waits. */
struct ix_seat {
    _Atomic uint64_t run;  /* written by the worker alone, in this lease and the next ones */
    _Atomic uint32_t word; /* enum ix_seat_word */
    /* The worker's own: */
    bool shares_gil; /* as it came to take, or left: others may keep it from its GIL */
    bool woken;      /* notified, and counted in `waking` until it takes or passes on */
    bool may_spin;   /* when it parked, a core was left over */
    bool naps;       /* counted in `napping` until it takes */
    uint32_t roused; /* how often nappers had been roused when its nap began */
    unsigned streak; /* tasks it has taken without a wait in between */
    struct ix_spin spin;
    /* protected by the queue's lock: */
    bool doubtful; /* from parking until it takes: it may never come, since it shares its GIL */
    struct ix_seat *below;           /* on the stack */
    struct ix_seat *previous, *next; /* on the list */
    struct ix_entry *entry; /* taken last: the worker keeps its reference until it has taken again,
                             * or has let go */
    /* Written by the worker alone, read by anybody: */
    _Atomic int64_t deadline; /* of the run, on the clock of ix_now_ns(); 0: none */
    _Atomic(void *) claim;    /* of the run, where it is a map's */
    /* Likewise, before the worker publishes the outcome, so that whoever has seen that sees the count: */
    _Atomic uint64_t finished, failed, cancelled, interrupted, late;
    _Atomic uint64_t copied, lent; /* bytes of messages, there and back */
    _Atomic uint64_t mapped;       /* items of claims that are over */
    _Atomic bool busy;
    /* Likewise, but looked at only around the waits: */
    _Atomic int64_t awake_ns;    /* how long the worker was awake, up to its last wait */
    _Atomic int64_t awake_since; /* by the coarse clock; 0 while it waits */
};

/* ---- waiting ---- */

/* Waits until notified; false if it was only nudged: step off the stack, or wait again.
 * Context: the worker, no GIL held. */
bool ix_seat_sleep(struct ix_seat *seat);
/* Waits for so long, or until the word is no more as it was when the nap began. Context: as above. */
void ix_seat_nap(struct ix_seat *seat, _Atomic uint32_t *roused, int64_t ns);
/* Makes a worker that waits return from ix_seat_sleep(). One that has just stepped off the stack is told in vain, and
 * one at work not at all. Context: any; the seat must stay while this runs. */
void ix_seat_nudge(struct ix_seat *seat);
/* All is as in a new seat, but that the numbers of runs go on; the worker is awake from now on. Context: the
 * worker. Locks: none; the seat is at no queue. */
void ix_seat_begin(struct ix_seat *seat);
/* The worker has left; it has been awake for no time as yet. Context: the worker. */
void ix_seat_rest(struct ix_seat *seat);
/* How long the worker has been awake since it arrived, in nanoseconds, to some milliseconds. Context: any. */
int64_t ix_seat_awake_ns(struct ix_seat *seat);

/* ---- what it runs, and has run ---- */

/* Closes the present run, if it is open: from now on it cannot be interrupted. Context: the worker,
 * its GIL, so that nobody who holds that sees it change. */
void ix_seat_close_run(struct ix_seat *seat);
/* Opens another run of the same entry: the next item. Context: as above. */
void ix_seat_open_run(struct ix_seat *seat);
/* Whether `run` is the present run and open. Context: any; with the worker's GIL it stays so. */
static inline bool
ix_seat_runs(struct ix_seat *seat, uint64_t run)
{
    return (run & 1) && atomic_load_explicit(&seat->run, memory_order_acquire) == run;
}

/* What became of the entry a worker took: called before the outcome is published. */
enum ix_fate {
    IX_FATE_JOB,
    IX_FATE_VALUE,
    IX_FATE_FAILED,
    IX_FATE_CANCELLED,
    IX_FATE_INTERRUPTED, /* failed, too */
    IX_FATE_LATE,        /* likewise */
};
void ix_seat_settle(struct ix_seat *seat, enum ix_fate fate);
/* Counts a message of so many bytes, and what it refers to. Context: the worker. */
void ix_seat_account(struct ix_seat *seat, size_t length, struct ix_attachments *attachments);
/* So many items of a claim have an outcome, which is about to be published. Context: the worker. */
void ix_seat_count_items(struct ix_seat *seat, uint32_t items);
/* An item of a map ended by an interrupt. */
void ix_seat_count_stop(struct ix_seat *seat, bool late);

#endif
