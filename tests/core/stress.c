/* One episode: its threads, its end and its reckoning. */
#define _GNU_SOURCE
#include "stress.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>

#define PATIENCE_NS 60000000000

/* ---- chance ---- */

uint32_t
stress_random(struct random *random, uint32_t below)
{
    random->state ^= random->state << 13;
    random->state ^= random->state >> 7;
    random->state ^= random->state << 17;
    return below == 0 ? 0 : (uint32_t)(random->state >> 20) % below;
}

struct random
stress_stream(struct episode *episode)
{
    uint64_t number = ++episode->streams;
    struct random random = {(episode->plan->seed * 1000003 + number) * 0x9e3779b97f4a7c15u | 1};
    for (int i = 0; i < 8; i++)
        stress_random(&random, 1);
    return random;
}

void
stress_fault(struct episode *episode, const char *what, uint64_t detail)
{
    pthread_mutex_lock(&episode->lock);
    if (episode->tally->faults++ == 0)
        snprintf(episode->tally->fault, sizeof episode->tally->fault, "not %s (%llu)", what,
                 (unsigned long long)detail);
    pthread_mutex_unlock(&episode->lock);
}

/* ---- threads ---- */

struct start {
    struct episode *episode;
    void *(*body)(void *);
};

static void *
begin(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    start.body(start.episode);
    start.episode->threads--; /* the last touch */
    return NULL;
}

static bool
spawn(struct episode *episode, void *(*body)(void *))
{
    struct start *start = malloc(sizeof *start);
    pthread_attr_t attributes;
    pthread_t thread;
    *start = (struct start){episode, body};
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 512 * 1024);
    episode->threads++;
    int error = pthread_create(&thread, &attributes, begin, start);
    pthread_attr_destroy(&attributes);
    if (error != 0) {
        episode->threads--;
        free(start);
    }
    return error == 0;
}

static void
nap(void)
{
    struct timespec pause = {.tv_nsec = 50000};
    nanosleep(&pause, NULL);
}

/* Sleeps a little; aborts if nothing has moved for too long. */
static void
nap_and_watch(struct episode *episode, const char *what)
{
    uint64_t moves = episode->moves;
    int64_t now = ix_now_ns();
    if (moves != episode->watched_moves) {
        episode->watched_moves = moves;
        episode->watched_since = now;
    }
    if (now - episode->watched_since > PATIENCE_NS) {
        struct ix_queue_counts counts = ix_crew_count(&episode->queue);
        fprintf(stderr,
                "stress, seed %llu: %s for ever; %zu queued, %u running, %u workers, "
                "%u parked, %u threads, %llu faults %s\n",
                (unsigned long long)episode->plan->seed, what, counts.queued, counts.running,
                counts.workers, counts.parked, (unsigned)episode->threads,
                (unsigned long long)episode->tally->faults, episode->tally->fault);
        abort();
    }
    nap();
}

/* ---- workers ---- */

static void
run_entry(struct episode *episode, struct ix_seat *seat, struct ix_entry *entry,
          struct random *random)
{
    CHECK(episode, entry->next == NULL, entry->kind);
    if (entry->kind == IX_ENTRY_JOB)
        stress_run_job(episode, seat, (struct ix_job *)entry, random);
    else
        stress_run_task(episode, seat, (struct ix_task *)entry, random);
    episode->moves++;
}

/* Returns true if the worker has reached its limit, false if it is to leave for good. */
static bool
serve(struct episode *episode, struct ix_seat *seat, struct random *random)
{
    struct ix_entry *entry = NULL;
    unsigned max_runs = episode->plan->max_runs, runs = 0;
    for (;;) {
        switch (ix_queue_take(&episode->queue, seat, &entry)) {
        case IX_TAKE_ENTRY:
            run_entry(episode, seat, entry, random);
            if (++runs == max_runs)
                return true;
            break;
        case IX_TAKE_EMPTY:
            ix_seat_sleep(seat);
            break;
        case IX_TAKE_NAP:
            ix_queue_nap(&episode->queue, seat);
            COUNT(episode, naps);
            break;
        case IX_TAKE_LEAVE:
            return false;
        }
    }
}

static void start_worker(struct episode *episode);

static void *
work(void *arg)
{
    struct episode *episode = arg;
    struct random random = stress_stream(episode);
    struct ix_seat *seat = calloc(1, sizeof *seat);
    ix_crew_arrive(&episode->queue, seat);
    bool worn = serve(episode, seat, &random);
    episode->alive--;
    if (!worn) {
        ix_crew_leave(&episode->queue, seat);
    }
    else if (ix_crew_hand_over(&episode->queue, seat)) {
        COUNT(episode, replaced);
        start_worker(episode);
    }
    free(seat);
    return NULL;
}

static void
start_worker(struct episode *episode)
{
    CHECK(episode, ++episode->alive <= episode->plan->workers, episode->alive);
    COUNT(episode, started);
    CHECK(episode, spawn(episode, work), episode->threads);
}

void
stress_start_worker(struct episode *episode, struct random *random)
{
    while (stress_random(random, 16) == 0) { /* no thread to be had, say */
        COUNT(episode, not_started);
        ix_crew_leave(&episode->queue, NULL);
        if (!ix_crew_wants_one(&episode->queue, 0))
            return;
    }
    start_worker(episode);
}

static void *
watch(void *arg)
{
    struct episode *episode = arg;
    struct ix_queue *queue = &episode->queue;
    while (!episode->over) {
        struct ix_queue_counts counts = ix_crew_count(queue);
        CHECK(episode, counts.workers <= episode->plan->workers, counts.workers);
        CHECK(episode, counts.running + counts.parked <= counts.workers, counts.running);
        CHECK(episode, counts.failed <= counts.finished, counts.failed);
        CHECK(episode, counts.finished + counts.cancelled <= counts.submitted, counts.finished);
        enum ix_push refusal = ix_queue_refuses(queue);
        CHECK(episode, refusal != IX_PUSH_NEEDS_WORKER, refusal);
        ix_queue_is_empty(queue);
        nap();
    }
    return NULL;
}

/* ---- an episode ---- */

static void
init(struct episode *episode, const struct stress_plan *plan, struct stress_tally *tally)
{
    memset(tally, 0, sizeof *tally);
    memset(episode, 0, sizeof *episode);
    episode->plan = plan;
    episode->tally = tally;
    episode->watched_since = ix_now_ns();
    pthread_mutex_init(&episode->lock, NULL);
    for (int i = 0; i < STRESS_SLOTS; i++)
        pthread_mutex_init(&episode->slots[i].lock, NULL);
    episode->records = calloc((size_t)plan->producers * plan->tasks + 1, sizeof(struct record));
    episode->maps = calloc((size_t)plan->mappers * STRESS_MAPS + 1, sizeof(struct map *));
    episode->outbox = ix_outbox_new();
    ix_queue_init(&episode->queue, plan->workers);
}

static void
spawn_some(struct episode *episode, unsigned n, void *(*body)(void *))
{
    for (unsigned i = 0; i < n; i++)
        CHECK(episode, spawn(episode, body), i);
}

static void
spawn_all(struct episode *episode)
{
    const struct stress_plan *plan = episode->plan;
    episode->producing = plan->producers + plan->mappers;
    spawn_some(episode, plan->cancellers, stress_cancel);
    spawn_some(episode, plan->observers, stress_observe);
    spawn_some(episode, plan->waiters, stress_wait);
    spawn_some(episode, plan->watchers, watch);
    spawn_some(episode, plan->producers, stress_produce);
    spawn_some(episode, plan->mappers, stress_map);
}

/* Lets the episode run for a random part of its moves, or until all is pushed. */
static void
let_run(struct episode *episode, struct random *random)
{
    const struct stress_plan *plan = episode->plan;
    uint64_t end = UINT64_MAX;
    if (plan->ending != STRESS_DRAIN)
        end = stress_random(random,
                            plan->producers * plan->tasks + plan->mappers * plan->items + 1);
    while (episode->producing != 0 && episode->moves < end)
        nap_and_watch(episode, "producing");
}

static void
end_queue(struct episode *episode, struct random *random)
{
    struct ix_queue *queue = &episode->queue;
    bool clear_first = stress_random(random, 2) != 0;
    switch (episode->plan->ending) {
    case STRESS_BREAK:
        ix_queue_break(queue);
        stress_discard(episode, ix_queue_clear(queue), true);
        break;
    case STRESS_CLEAR:
        if (clear_first)
            stress_discard(episode, ix_queue_clear(queue), false);
        ix_queue_close(queue);
        stress_discard(episode, ix_queue_clear(queue), false);
        break;
    default:
        ix_queue_close(queue);
    }
}

static void
join_queue(struct episode *episode, struct random *random)
{
    while (ix_crew_join(&episode->queue, stress_random(random, 2000000)) != IX_PARK_WOKEN)
        nap_and_watch(episode, "joining");
}

static void
check_counts(struct episode *episode)
{
    struct stress_tally *tally = episode->tally;
    struct ix_queue_counts counts = ix_crew_count(&episode->queue);
    CHECK(episode, counts.submitted == tally->created - tally->refused, counts.submitted);
    CHECK(episode, counts.finished == tally->ran, counts.finished);
    CHECK(episode, counts.failed == tally->failed, counts.failed);
    CHECK(episode, counts.cancelled == tally->skipped + tally->cleared + tally->broken,
          counts.cancelled);
    CHECK(episode, counts.queued + counts.running + counts.workers + counts.parked == 0,
          counts.queued);
    struct ix_queue *queue = &episode->queue;
    CHECK(episode,
          queue->waking + queue->starting + queue->in_hand + queue->napping + queue->doubtful == 0,
          queue->in_hand);
}

static void
check_record(struct episode *episode, struct record *record, uint32_t id)
{
    int fates = record->refused + record->ran + record->skipped + record->cleared + record->broken;
    CHECK(episode, fates == 1, id);
    CHECK(episode, record->cancelled <= 1, id);
    if (record->ran)
        CHECK(episode, record->cancelled == 0, id);
    else if (!record->broken)
        CHECK(episode, record->cancelled == 1, id);
    CHECK(episode, !(record->flagged && record->owner), id);
    CHECK(episode, record->delivered == (record->flagged && !record->cancelled), id);
}

/* The futures go: releases what the slots hold, and looks at every record. */
static void
check_records(struct episode *episode)
{
    for (int i = 0; i < STRESS_SLOTS; i++) {
        ix_task_release(episode->slots[i].task);
        episode->slots[i].task = NULL;
    }
    for (uint32_t id = 0; id < episode->next_id; id++)
        check_record(episode, &episode->records[id], id);
}

/* All threads but the notifier have ended, and then that one too. */
static void
end_threads(struct episode *episode)
{
    while (episode->producing != 0)
        nap_and_watch(episode, "producing");
    episode->over = true;
    while (episode->threads != 1)
        nap_and_watch(episode, "ending");
    ix_outbox_close(episode->outbox);
    while (episode->threads != 0)
        nap_and_watch(episode, "publishing");
}

static void
fini(struct episode *episode)
{
    stress_free_maps(episode);
    free(episode->records);
    free(episode->maps);
    for (int i = 0; i < STRESS_SLOTS; i++)
        pthread_mutex_destroy(&episode->slots[i].lock);
    pthread_mutex_destroy(&episode->lock);
}

void
stress_run(const struct stress_plan *plan, struct stress_tally *tally)
{
    struct episode episode;
    long blocks = ix_test_blocks();
    init(&episode, plan, tally);
    struct random random = stress_stream(&episode);
    CHECK(&episode, spawn(&episode, stress_notify), 0);
    spawn_all(&episode);
    let_run(&episode, &random);
    end_queue(&episode, &random);
    join_queue(&episode, &random);
    while (episode.producing != 0) /* those may have started a worker again */
        nap_and_watch(&episode, "producing");
    join_queue(&episode, &random);
    check_counts(&episode);
    end_threads(&episode);
    ix_queue_fini(&episode.queue);
    ix_outbox_release(episode.outbox);
    check_records(&episode);
    fini(&episode);
    if (ix_test_blocks() != blocks)
        stress_fault(&episode, "every block of memory freed",
                     (uint64_t)(ix_test_blocks() - blocks));
}
