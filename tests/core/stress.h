/* Every operation of the core racing with every other, from C threads, and counted exactly.
 *
 * An episode has its own queue, outbox and tasks, and these threads:
 *
 *   producers    make tasks and push them; start the workers that the queue asks for
 *   workers      take, run, settle, finish; leave for good or are replaced after max_runs
 *   cancellers   cancel tasks at random
 *   observers    set flags at random, and act themselves when the task is over
 *   waiters      wait for tasks, with and without a timeout, and check their outcomes
 *   watchers     ask for the counts, and whether the queue is empty or refuses
 *   mappers      seal segments and read the outcomes of their jobs; some give up on the way
 *   a notifier   publishes what comes to the outbox
 *   the caller   ends it all in one of the ways of enum stress_ending, and joins
 *
 * What happens to a task is noted in its record; when all threads are gone, each record must tell one
 * of the stories that the state table allows, and no block of memory may be left.
 */
#ifndef IX_STRESS_H
#define IX_STRESS_H

#include "claim.h"
#include "memory.h"
#include "outbox.h"
#include "crew.h"

enum stress_ending {
    STRESS_DRAIN, /* close once all is pushed: everything runs */
    STRESS_CLOSE, /* close in the midst: the rest is refused, what is queued runs */
    STRESS_CLEAR, /* close and cancel what is queued */
    STRESS_BREAK, /* break: what is queued fails */
};

struct stress_plan {
    uint64_t seed;
    unsigned producers, tasks; /* tasks of each */
    unsigned workers;          /* at most so many at once */
    unsigned cancellers, observers, waiters, watchers;
    unsigned mappers, items; /* items of each */
    unsigned max_runs;       /* a worker is replaced after so many entries; 0: never */
    enum stress_ending ending;
};

struct stress_tally {
    uint64_t created, refused, ran, failed, cancelled, cleared, broken, skipped;
    uint64_t flagged, delivered, published_by_owner, waits, timeouts;
    uint64_t jobs, items_read, items_run, ranges, jobs_ended;
    uint64_t started, not_started, replaced, naps; /* of workers */
    uint64_t faults; /* what must not happen; the first is described */
    char fault[200];
};

/* Runs one episode. Context: no GIL. Aborts the process, saying where, if nothing moves for a minute. */
void stress_run(const struct stress_plan *plan, struct stress_tally *tally);
/* Frees queues as soon as the join says that the last worker has left. Context: no GIL. */
void stress_join(unsigned rounds);

/* ---- shared by the stress files ---- */

/* What has happened to one task. */
struct record {
    _Atomic uint8_t refused, ran, skipped, cancelled, cleared, broken, flagged, delivered, owner;
};

/* Stands for a future under the owner's GIL: whoever holds the lock may touch the newest of the tasks whose
 * number falls to this slot, and the `future` field of all of them. */
struct slot {
    pthread_mutex_t lock;
    struct ix_task *task; /* one reference, or NULL */
};

#define STRESS_SLOTS 16
#define STRESS_MAPS 3 /* one after the other, by each mapper */

struct map;

struct episode {
    const struct stress_plan *plan;
    struct stress_tally *tally;
    struct ix_queue queue;
    struct ix_outbox *outbox;
    struct slot slots[STRESS_SLOTS];
    struct record *records; /* by task number */
    struct map **maps;
    _Atomic uint32_t next_id, nmaps, streams;
    _Atomic uint32_t producing; /* producers and mappers that are not done */
    _Atomic uint32_t threads;   /* all of them */
    _Atomic uint32_t alive;     /* workers between start and leaving */
    _Atomic bool over;
    _Atomic uint64_t moves; /* grows while anything happens */
    pthread_mutex_t lock;   /* of the first fault's description */
    /* the caller's own: */
    uint64_t watched_moves;
    int64_t watched_since;
};

struct random {
    uint64_t state;
};
uint32_t stress_random(struct random *random, uint32_t below);
/* A stream of its own for each thread. */
struct random stress_stream(struct episode *episode);

#define COUNT(episode, field) __atomic_add_fetch(&(episode)->tally->field, 1, __ATOMIC_RELAXED)
void stress_fault(struct episode *episode, const char *what, uint64_t detail);
#define CHECK(episode, condition, detail) \
    ((condition) ? (void)0 : stress_fault(episode, #condition, (uint64_t)(detail)))

/* stress_tasks.c: the bodies of threads, and the end of what a queue gave up. */
void *stress_produce(void *episode);
void *stress_cancel(void *episode);
void *stress_observe(void *episode);
void *stress_wait(void *episode);
void *stress_notify(void *episode);
void stress_run_task(struct episode *episode, struct ix_seat *seat, struct ix_task *task,
                     struct random *random);
void stress_discard(struct episode *episode, struct ix_entry *entries, bool broken);

/* stress_maps.c */
void *stress_map(void *episode);
void stress_run_job(struct episode *episode, struct ix_seat *seat, struct ix_job *job,
                    struct random *random);
void stress_free_maps(struct episode *episode);

/* stress.c: starts the worker that was counted in, or fails to, and then asks again whether. */
void stress_start_worker(struct episode *episode, struct random *random);

#endif
