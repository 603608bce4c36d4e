/* What the threads of an episode do with map jobs. */
#include "stress.h"

#include <assert.h>
#include <sched.h>

/* How the workers find out about a map: its address is the data of the job's callable. It outlives them. */
struct map {
    struct ix_job *job;
    _Atomic uint8_t *runs; /* how often each item has run */
    size_t items, sealed, position;
    size_t window;     /* so far is sealing ahead of reading */
    uint32_t cost;     /* of an item, in turns of a loop */
    uint32_t fails_at; /* this item raises; `items`: none does */
};

struct outcome {
    uint32_t position;
    uint32_t value;
};

#define RAISED UINT32_MAX

static uint32_t
value_of(uint32_t position)
{
    return (position * 2654435761u) >> 1; /* never RAISED */
}

/* ---- the worker's end: as run_job and what it calls in inside.c ---- */

/* Returns false if the item raised. */
static bool
run_item(struct episode *episode, struct map *map, struct ix_segment *segment, uint32_t index,
         struct ix_buffer *buffer)
{
    struct outcome outcome;
    memcpy(&outcome.position, segment->data + segment->offsets[index], sizeof outcome.position);
    CHECK(episode, outcome.position == segment->first + index, outcome.position);
    CHECK(episode, map->runs[outcome.position]++ == 0, outcome.position);
    COUNT(episode, items_run);
    for (volatile uint32_t turn = 0; turn < map->cost; turn++)
        ;
    outcome.value = outcome.position == map->fails_at ? RAISED : value_of(outcome.position);
    CHECK(episode, ix_buffer_write(buffer, &outcome, sizeof outcome), outcome.position);
    return outcome.value != RAISED;
}

static bool
run_items(struct episode *episode, struct ix_job *job, struct map *map, struct ix_claim *claim)
{
    char memory[64];
    struct ix_buffer buffer;
    bool ok = true;
    ix_buffer_init(&buffer, memory, sizeof memory);
    for (uint32_t i = 0; i < claim->count && ok; i++) {
        buffer.length = 0;
        ok = !job->abandoned && run_item(episode, map, claim->segment, claim->index + i, &buffer);
        if (buffer.length != 0)
            CHECK(episode, ix_claim_add(job, claim, &buffer), i);
    }
    ix_buffer_fini(&buffer);
    return ok;
}

static void
run_claim(struct episode *episode, struct ix_seat *seat, struct ix_job *job, struct ix_claim *claim,
          struct random *random)
{
    struct map *map;
    memcpy(&map, job->callable->data, sizeof map);
    int64_t start = ix_now_ns();
    if (run_items(episode, job, map, claim))
        ix_job_measure(job, claim->count, ix_now_ns() - start);
    else
        ix_job_end(job, IX_JOB_CANCELLED);
    ix_seat_settle(seat, IX_FATE_JOB);
    if (stress_random(random, 8) == 0)
        sched_yield(); /* the reader may collect it all, and drop the segment */
    ix_claim_settle(job, claim, false);
}

/* Steals the reference. */
void
stress_run_job(struct episode *episode, struct ix_seat *seat, struct ix_job *job,
               struct random *random)
{
    struct ix_queue *queue = &episode->queue;
    struct ix_claim claim;
    bool more;
    bool claimed = ix_claim_take(job, queue->max_workers, &claim, &more);
    if (stress_random(random, 8) == 0)
        sched_yield();
    if (!more) {
        ix_queue_put_down(queue);
    }
    else {
        ix_job_acquire(job);
        if (!ix_queue_requeue(queue, &job->entry)) {
            ix_queue_put_down(queue);
            bool broken = ix_queue_refuses(queue) == IX_PUSH_BROKEN;
            ix_job_end(job, broken ? IX_JOB_BROKEN : IX_JOB_CANCELLED);
            ix_job_release(job);
        }
    }
    if (claimed)
        run_claim(episode, seat, job, &claim, random);
    else
        ix_seat_settle(seat, IX_FATE_JOB);
    ix_job_release(job);
}

/* ---- the owner's end: as map.c ---- */

/* Returns false if the queue refuses. */
static bool
put_into_queue(struct episode *episode, struct map *map, struct random *random)
{
    ix_job_acquire(map->job);
    enum ix_push pushed = ix_queue_push(&episode->queue, &map->job->entry);
    if (pushed == IX_PUSH_NEEDS_WORKER)
        stress_start_worker(episode, random);
    if (pushed != IX_PUSH_CLOSED && pushed != IX_PUSH_BROKEN)
        return true;
    ix_job_release(map->job);
    return false;
}

static bool
seal_one(struct episode *episode, struct map *map, struct random *random)
{
    size_t left = map->items - map->sealed;
    uint32_t count = 1 + stress_random(random, 100);
    if (count > left)
        count = (uint32_t)left;
    uint32_t *data = malloc(count * sizeof *data), *offsets = malloc(count * sizeof *offsets);
    assert(data != NULL && offsets != NULL);
    for (uint32_t i = 0; i < count; i++) {
        data[i] = (uint32_t)map->sealed + i;
        offsets[i] = i * (uint32_t)sizeof *data;
    }
    map->sealed += count;
    int push = ix_job_seal(map->job, (char *)data, count * sizeof *data, offsets, count, NULL);
    CHECK(episode, push >= 0, count);
    if (push == 1 && !put_into_queue(episode, map, random))
        return false;
    size_t unclaimed = map->job->unclaimed;
    while (unclaimed != 0 && ix_crew_wants_one(&episode->queue, unclaimed))
        stress_start_worker(episode, random);
    return true;
}

static bool
seal_ahead(struct episode *episode, struct map *map, struct random *random)
{
    bool complete = map->sealed == map->items;
    while (map->sealed < map->items && map->sealed - map->position < map->window) {
        if (!seal_one(episode, map, random))
            return false;
    }
    if (!complete && map->sealed == map->items)
        ix_job_complete(map->job);
    return true;
}

/* Returns false if the range ends in an item that raised. */
static bool
read_range(struct episode *episode, struct map *map, struct ix_range *range)
{
    struct outcome outcome = {0};
    CHECK(episode, range->count > 0 && range->length == range->count * sizeof outcome,
          range->count);
    COUNT(episode, ranges);
    for (uint32_t i = 0; i < range->count; i++, map->position++) {
        memcpy(&outcome, range->data + i * sizeof outcome, sizeof outcome);
        CHECK(episode, outcome.position == map->position, map->position);
        CHECK(episode, map->runs[map->position] == 1, map->position);
        if (map->position == map->fails_at)
            CHECK(episode, outcome.value == RAISED && i + 1 == range->count, map->position);
        else
            CHECK(episode, outcome.value == value_of(outcome.position), map->position);
        COUNT(episode, items_read);
    }
    ix_job_drop_before(map->job, map->position);
    return outcome.value != RAISED;
}

static void
wait_for_range(struct map *map, uint32_t version, struct random *random)
{
    int64_t timeout_ns = -1;
    if (stress_random(random, 2) == 0)
        timeout_ns = stress_random(random, 100000); /* then it collects what is there */
    ix_claim_wait(map->job, map->position, version, timeout_ns);
}

/* Returns false when there is no more to read. */
static bool
read_next(struct episode *episode, struct map *map, struct random *random)
{
    uint32_t version;
    enum ix_job_end end;
    struct ix_range *range = ix_job_range(map->job, map->position, &version, &end);
    episode->moves++;
    if (range != NULL)
        return read_range(episode, map, range);
    if (end != IX_JOB_GOES_ON) {
        CHECK(episode, episode->plan->ending != STRESS_DRAIN || map->fails_at < map->items, end);
        COUNT(episode, jobs_ended);
        return false;
    }
    wait_for_range(map, version, random);
    return true;
}

static struct map *
map_new(struct episode *episode, struct random *random)
{
    struct map *map = calloc(1, sizeof *map);
    size_t items = 1 + stress_random(random, episode->plan->items);
    assert(map != NULL);
    map->items = items;
    map->runs = calloc(items, sizeof *map->runs);
    map->window = stress_random(random, 2) ? SIZE_MAX : 1 + stress_random(random, 300);
    map->cost = stress_random(random, 2) ? 0 : stress_random(random, 2000);
    map->fails_at = stress_random(random, (uint32_t)items * 2);
    uint32_t chunksize = stress_random(random, 2) ? 0 : 1 + stress_random(random, 50);
    struct ix_callable *callable = ix_callable_new(0, 0, (const char *)&map, sizeof map);
    map->job = ix_job_new(callable, 1, chunksize);
    ix_callable_release(callable);
    assert(map->job != NULL && map->runs != NULL);
    COUNT(episode, jobs);
    return map;
}

static void
run_map(struct episode *episode, struct map *map, struct random *random)
{
    size_t gives_up_at = stress_random(random, (uint32_t)map->items * 3);
    bool goes_on = true;
    while (goes_on && map->position < map->items && map->position < gives_up_at)
        goes_on = seal_ahead(episode, map, random) && read_next(episode, map, random);
    if (episode->plan->ending == STRESS_DRAIN && goes_on && gives_up_at >= map->items)
        CHECK(episode, map->position == map->items, map->position);
    ix_job_abandon(map->job);
    ix_job_release(map->job);
}

/* Workers may still run a claim of a map that was given up: its record goes when they are gone. */
void *
stress_map(void *arg)
{
    struct episode *episode = arg;
    struct random random = stress_stream(episode);
    for (unsigned i = 0; i < STRESS_MAPS; i++) {
        struct map *map = map_new(episode, &random);
        run_map(episode, map, &random);
        episode->maps[episode->nmaps++] = map;
    }
    episode->producing--;
    return NULL;
}

void
stress_free_maps(struct episode *episode)
{
    for (unsigned i = 0; i < episode->nmaps; i++) {
        struct map *map = episode->maps[i];
        free((void *)map->runs);
        free(map);
    }
}
