/* The table of operations, and how two of them meet: see pairs.h. */
#include "pairs.h"

#include <assert.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum role { ANYBODY, RUNNER, NOTIFIER, READER, CLOSER, WATCHDOG };

static const struct operation {
    const char *name;
    enum role role;
    void (*act)(struct world *world, int me);
} operations[] = {
#define PAIRS_ROW(name, role) {#name, role, pairs_##name},
    PAIRS_OPERATIONS(PAIRS_ROW)};

int
pairs_count(void)
{
    return (int)(sizeof operations / sizeof operations[0]);
}

const char *
pairs_name(int operation)
{
    return operations[operation].name;
}

bool
pairs_may_meet(int first, int second)
{
    return operations[first].role == ANYBODY || operations[first].role != operations[second].role;
}

/* ---- the world ---- */

static struct ix_job *
make_map(void)
{
    struct ix_job *job = ix_job_new(NULL, 1, 0);
    char *data = ix_test_malloc(PAIRS_ITEMS);
    uint32_t *offsets = ix_test_malloc(PAIRS_ITEMS * sizeof *offsets);
    assert(job != NULL && data != NULL && offsets != NULL);
    memset(data, 0, PAIRS_ITEMS);
    for (uint32_t i = 0; i < PAIRS_ITEMS; i++)
        offsets[i] = i;
    ix_job_seal(job, data, PAIRS_ITEMS, offsets, PAIRS_ITEMS, NULL);
    return job;
}

static void
init_queue(struct world *world)
{
    ix_queue_init(&world->queue, 4);
    for (int me = 0; me < 2; me++) {
        ix_crew_count_in(&world->queue);
        ix_crew_arrive(&world->queue, &world->seats[me]);
    }
    pairs_push_entry(world, &pairs_make_task()->entry);
    ix_job_acquire(world->job);
    pairs_push_entry(world, &world->job->entry);
}

static void
init(struct world *world)
{
    memset(world, 0, sizeof *world);
    pthread_mutex_init(&world->owner, NULL);
    world->outbox = ix_outbox_new();
    world->alarm = ix_alarm_new();
    world->home = ix_releases_new();
    world->task = pairs_make_task();
    world->job = make_map();
    world->behind = true;
    world->lent = ix_attachment_new(IX_ATTACHED_BYTES, 0, "B");
    ix_attachment_adopt(world->lent, world->home, world);
    ix_attachment_acquire(world->lent);
    for (int me = 0; me < 2; me++)
        pthread_mutex_init(&world->gil[me], NULL);
    init_queue(world);
}

/* Makes whoever sleeps come back. */
static void
wake_sleepers(struct world *world)
{
    atomic_store(&world->over, true);
    ix_queue_close(&world->queue);
    ix_outbox_close(world->outbox);
    ix_alarm_close(world->alarm);
    ix_releases_dismiss(world->home);
}

/* The workers that are left work on until they may leave. */
static void
drain(struct world *world, int me)
{
    while (!world->gone[me])
        pairs_work(world, me);
}

static void
fini(struct world *world)
{
    ix_queue_close(&world->queue);
    for (int me = 0; me < 2; me++) {
        drain(world, me);
        if (!world->gave_back[me])
            ix_attachment_release(world->lent);
        pthread_mutex_destroy(&world->gil[me]);
    }
    EXPECT(world, ix_crew_join(&world->queue, 0) == IX_PARK_WOKEN);
    pairs_discard(ix_queue_clear(&world->queue));
    pairs_fetch(world, 0);
    EXPECT(world, world->returned == 1);
    pairs_empty_outbox(world);
    ix_queue_fini(&world->queue);
    ix_outbox_release(world->outbox);
    ix_alarm_release(world->alarm);
    ix_releases_release(world->home);
    world->task->future = NULL;
    ix_task_release(world->task);
    ix_job_release(world->job);
    pthread_mutex_destroy(&world->owner);
}

/* ---- a meeting ---- */

struct meeting {
    struct world world;
    int operations[2];
    uint32_t times;
    _Atomic uint32_t round; /* that may begin */
    _Atomic uint32_t here;  /* threads that are about to, in all rounds */
    _Atomic uint32_t ended; /* operations of this round */
};

struct part {
    struct meeting *meeting;
    int me;
};

/* Sleeps until the round begins, and watches for the other to be as far. */
static void
begin(struct meeting *meeting, unsigned round)
{
    uint32_t now;
    while ((now = atomic_load(&meeting->round)) != round)
        ix_park_wait(&meeting->round, now, -1);
    atomic_fetch_add(&meeting->here, 1);
    while (atomic_load(&meeting->here) < 2 * round)
        sched_yield();
}

static void
end(struct meeting *meeting)
{
    atomic_fetch_add(&meeting->ended, 1);
    ix_park_wake_all(&meeting->ended);
}

static void *
play(void *arg)
{
    struct part *part = arg;
    struct meeting *meeting = part->meeting;
    void (*act)(struct world *, int) = operations[meeting->operations[part->me]].act;
    for (unsigned round = 1; round <= meeting->times; round++) {
        begin(meeting, round);
        act(&meeting->world, part->me);
        end(meeting);
    }
    return NULL;
}

/* Waits until both operations have ended, so long at most (negative: for ever). */
static void
await(struct meeting *meeting, int64_t timeout_ns)
{
    int64_t deadline = ix_now_ns() + timeout_ns;
    uint32_t ended;
    while ((ended = atomic_load(&meeting->ended)) != 2) {
        int64_t left = timeout_ns < 0 ? -1 : deadline - ix_now_ns();
        if (timeout_ns >= 0 && left <= 0)
            return;
        ix_park_wait(&meeting->ended, ended, left);
    }
}

/* Those operations that do not end by themselves, because they wait, are woken after a moment. */
static void
let_meet(struct meeting *meeting, unsigned round)
{
    init(&meeting->world);
    atomic_store(&meeting->ended, 0);
    atomic_store(&meeting->round, round);
    ix_park_wake_all(&meeting->round);
    await(meeting, 200000);
    wake_sleepers(&meeting->world);
    await(meeting, -1);
    fini(&meeting->world);
}

const char *
pairs_meet(int first, int second, unsigned times)
{
    long blocks = ix_test_blocks();
    struct meeting *meeting = calloc(1, sizeof *meeting);
    struct part parts[2] = {{meeting, 0}, {meeting, 1}};
    pthread_t threads[2];
    const char *fault = NULL;
    assert(meeting != NULL);
    meeting->operations[0] = first;
    meeting->operations[1] = second;
    meeting->times = times;
    for (int me = 0; me < 2; me++) {
        if (pthread_create(&threads[me], NULL, play, &parts[me]) != 0)
            abort();
    }
    for (unsigned round = 1; round <= times; round++) {
        let_meet(meeting, round);
        if (fault == NULL)
            fault = meeting->world.fault;
    }
    for (int me = 0; me < 2; me++)
        pthread_join(threads[me], NULL);
    free(meeting);
    return fault != NULL || ix_test_blocks() == blocks ? fault : "not every block was freed";
}
