/* The operations that pairs.h has meet: workers, maps, and what watches over them. */
#include "pairs.h"

#include <assert.h>

/* ---- a worker at the queue ---- */

/* As run_claim in run.c. Returns false if the claim was forsaken meanwhile. */
static bool
run_claim(struct world *world, int me, struct ix_job *job, struct ix_claim *claim)
{
    struct ix_seat *seat = &world->seats[me];
    struct ix_buffer outcome = {0};
    atomic_store_explicit(&seat->claim, claim, memory_order_release);
    for (uint32_t i = 0; i < claim->count && !atomic_load(&claim->forsaken); i++) {
        outcome.length = 0;
        EXPECT(world, ix_buffer_write(&outcome, "value", 5));
        EXPECT(world, ix_claim_add(job, claim, &outcome));
    }
    ix_buffer_fini(&outcome);
    ix_job_measure(job, claim->count, 1000);
    pthread_mutex_lock(&world->gil[me]);
    ix_seat_close_run(seat);
    pthread_mutex_unlock(&world->gil[me]);
    ix_seat_settle(seat, IX_FATE_JOB);
    return ix_claim_settle(job, claim, false);
}

/* As run_job in run.c. Returns as above. */
static bool
run_job(struct world *world, int me, struct ix_job *job)
{
    struct ix_claim claim;
    bool more;
    bool claimed = ix_claim_take(job, 2, &claim, &more);
    if (!more) {
        ix_queue_put_down(&world->queue);
    }
    else {
        ix_job_acquire(job);
        if (!ix_queue_requeue(&world->queue, &job->entry)) {
            ix_queue_put_down(&world->queue);
            ix_job_end(job, IX_JOB_CANCELLED);
            ix_job_release(job);
        }
    }
    if (claimed)
        return run_claim(world, me, job, &claim);
    pthread_mutex_lock(&world->gil[me]);
    ix_seat_close_run(&world->seats[me]);
    pthread_mutex_unlock(&world->gil[me]);
    ix_seat_settle(&world->seats[me], IX_FATE_JOB);
    return true;
}

/* As ix_worker_run(), and then as serve() in worker.c. Steals the reference. */
void
pairs_work_on(struct world *world, int me, struct ix_entry *entry)
{
    struct ix_seat *seat = &world->seats[me];
    bool kept;
    if (entry->kind == IX_ENTRY_JOB) {
        kept = run_job(world, me, (struct ix_job *)entry);
    }
    else {
        ix_task_acquire((struct ix_task *)entry);
        kept = pairs_run_task(world, me, (struct ix_task *)entry);
    }
    ix_crew_let_go(&world->queue, seat);
    ix_entry_release(entry);
    world->gone[me] = !kept; /* then whoever abandoned it has counted it out */
}

/* Takes and works once; where there is nothing, sleeps until there may be. */
void
pairs_work(struct world *world, int me)
{
    struct ix_seat *seat = &world->seats[me];
    struct ix_entry *entry;
    switch (ix_queue_take(&world->queue, seat, &entry)) {
    case IX_TAKE_ENTRY:
        pairs_work_on(world, me, entry);
        break;
    case IX_TAKE_EMPTY:
        while (!ix_seat_sleep(seat))
            ; /* only nudged */
        break;
    case IX_TAKE_NAP:
        ix_queue_nap(&world->queue, seat);
        break;
    case IX_TAKE_LEAVE:
        pairs_leave(world, me);
    }
}

static void
sleep_lightly(struct world *world, struct ix_seat *seat)
{
    bool is_off = false;
    while (!is_off) {
        if (ix_seat_sleep(seat)) {
            ix_queue_pass_on(&world->queue, seat);
            break;
        }
        is_off = ix_queue_unpark(&world->queue, seat);
    }
}

/* The same, where others share the GIL. */
void
pairs_work_lightly(struct world *world, int me)
{
    struct ix_seat *seat = &world->seats[me];
    struct ix_entry *entry;
    seat->shares_gil = true;
    switch (ix_queue_take(&world->queue, seat, &entry)) {
    case IX_TAKE_ENTRY:
        pairs_work_on(world, me, entry);
        break;
    case IX_TAKE_EMPTY:
        sleep_lightly(world, seat);
        break;
    case IX_TAKE_NAP:
        EXPECT(world, false); /* it never naps */
        break;
    case IX_TAKE_LEAVE:
        pairs_leave(world, me);
    }
    seat->shares_gil = false;
}

/* Works as one that keeps pace with a stream of tasks. */
void
pairs_nap(struct world *world, int me)
{
    pthread_mutex_lock(&world->queue.lock);
    world->queue.unawaited = 1000;
    pthread_mutex_unlock(&world->queue.lock);
    world->seats[me].streak = 1000;
    pairs_work(world, me);
}

void
pairs_leave(struct world *world, int me)
{
    ix_crew_leave(&world->queue, &world->seats[me]);
    ix_seat_rest(&world->seats[me]);
    world->gone[me] = true;
}

void
pairs_hand_over(struct world *world, int me)
{
    if (ix_crew_hand_over(&world->queue, &world->seats[me]))
        ix_crew_leave(&world->queue, NULL);
    world->gone[me] = true;
}

/* ---- what others do to a worker ---- */

static bool
forsake(struct world *world, struct ix_seat *seat, const struct ix_present *present)
{
    struct ix_buffer outcome = {0};
    EXPECT(world, ix_buffer_write(&outcome, "given up", 8));
    bool forsaken = ix_claim_forsake((struct ix_job *)present->entry, present->claim, seat,
                                     present->run, &outcome);
    ix_buffer_fini(&outcome);
    return forsaken;
}

static bool
abandon_task(struct world *world, struct ix_task *task)
{
    uint32_t flags;
    if (!ix_task_abandon(task, 0, &flags))
        return false;
    if (flags & IX_OBSERVED) {
        ix_task_acquire(task);
        pairs_deliver(world, task);
    }
    return true;
}

/* As run_abandon in interrupt.c. */
void
pairs_give_up(struct world *world, int me)
{
    struct ix_seat *seat = &world->seats[1 - me];
    pthread_mutex_lock(&world->owner);
    struct ix_present present = ix_crew_present(&world->queue, seat);
    if (present.entry != NULL) {
        bool given_up = present.entry->kind == IX_ENTRY_JOB
                            ? forsake(world, seat, &present)
                            : abandon_task(world, (struct ix_task *)present.entry);
        if (given_up && ix_crew_abandon(&world->queue, seat, &present))
            ix_crew_leave(&world->queue, NULL);
        ix_entry_release(present.entry);
    }
    pthread_mutex_unlock(&world->owner);
}

/* As raise_in_run in interrupt.c. */
void
pairs_interrupt(struct world *world, int me)
{
    struct ix_seat *seat = &world->seats[1 - me];
    struct ix_present present = ix_crew_present(&world->queue, seat);
    if (present.entry == NULL)
        return;
    pthread_mutex_lock(&world->gil[1 - me]);
    bool runs = ix_seat_runs(seat, present.run);
    EXPECT(world, runs == ix_seat_runs(seat, present.run)); /* nobody closes it meanwhile */
    pthread_mutex_unlock(&world->gil[1 - me]);
    ix_entry_release(present.entry);
}

void
pairs_nudge(struct world *world, int me)
{
    ix_seat_nudge(&world->seats[1 - me]);
}

void
pairs_ask_how_long(struct world *world, int me)
{
    EXPECT(world, ix_seat_awake_ns(&world->seats[1 - me]) >= 0);
}

/* ---- a map, at the owner's end ---- */

void
pairs_seal(struct world *world, int me)
{
    (void)me;
    pthread_mutex_lock(&world->owner);
    char *data = ix_test_malloc(1);
    uint32_t *offsets = ix_test_malloc(sizeof *offsets);
    offsets[0] = 0;
    if (ix_job_seal(world->job, data, 1, offsets, 1, NULL) == 1) {
        ix_job_acquire(world->job);
        pairs_push_entry(world, &world->job->entry);
    }
    pthread_mutex_unlock(&world->owner);
}

void
pairs_complete(struct world *world, int me)
{
    (void)me;
    pthread_mutex_lock(&world->owner);
    ix_job_complete(world->job);
    pthread_mutex_unlock(&world->owner);
}

void
pairs_read(struct world *world, int me)
{
    uint32_t version;
    enum ix_job_end end;
    (void)me;
    pthread_mutex_lock(&world->owner);
    struct ix_range *range = ix_job_range(world->job, world->position, &version, &end);
    if (range != NULL) {
        EXPECT(world, range->count != 0 && range->length != 0);
        world->position += range->count;
        ix_job_drop_before(world->job, world->position);
    }
    pthread_mutex_unlock(&world->owner);
    if (range == NULL && end == IX_JOB_GOES_ON)
        ix_claim_wait(world->job, world->position, version, 20000);
}

void
pairs_end_map(struct world *world, int me)
{
    (void)me;
    ix_job_end(world->job, IX_JOB_CANCELLED);
}

void
pairs_abandon_map(struct world *world, int me)
{
    (void)me;
    pthread_mutex_lock(&world->owner);
    ix_job_abandon(world->job);
    pthread_mutex_unlock(&world->owner);
}

/* ---- the gate ---- */

void
pairs_visit(struct world *world, int me)
{
    (void)me;
    if (!ix_gate_enter(&world->gate))
        return;
    EXPECT(world, world->behind); /* not atomic: whoever closes the gate must have waited */
    ix_gate_leave(&world->gate);
}

void
pairs_close_gate(struct world *world, int me)
{
    (void)me;
    ix_gate_close(&world->gate);
    world->behind = false;
}

/* ---- the alarm ---- */

void
pairs_set_deadline(struct world *world, int me)
{
    ix_alarm_set(world->alarm, &world->deadlines[me], ix_now_ns() + 20000);
}

void
pairs_ring(struct world *world, int me)
{
    (void)me;
    ix_alarm_ring(world->alarm);
}

void
pairs_watch(struct world *world, int me)
{
    uint32_t ticket = ix_alarm_prepare(world->alarm);
    int64_t deadline = atomic_load(&world->deadlines[1 - me]);
    if (!(ticket & IX_ALARM_CLOSED))
        ix_alarm_sleep(world->alarm, ticket, deadline == 0 ? INT64_MAX : deadline);
}

void
pairs_close_alarm(struct world *world, int me)
{
    (void)me;
    ix_alarm_close(world->alarm);
}

/* ---- what is lent ---- */

/* Each thread has a reference, and gives it back once. */
void
pairs_give_back(struct world *world, int me)
{
    ix_attachment_acquire(world->lent);
    ix_attachment_release(world->lent);
    ix_attachment_release(world->lent);
    world->gave_back[me] = true;
}

void
pairs_fetch(struct world *world, int me)
{
    (void)me;
    pthread_mutex_lock(&world->owner);
    ix_releases_pending(world->home);
    struct ix_attachment *back = ix_releases_take(world->home);
    if (back != NULL) {
        EXPECT(world, ix_attachment_free(back) == world);
        world->returned++;
    }
    pthread_mutex_unlock(&world->owner);
}

static void
ring_bell(void *world)
{
    ix_alarm_ring(((struct world *)world)->alarm);
}

void
pairs_listen(struct world *world, int me)
{
    (void)me;
    pthread_mutex_lock(&world->owner);
    ix_releases_listen(world->home, ring_bell, world);
    ix_releases_ignore(world->home, world);
    pthread_mutex_unlock(&world->owner);
}

void
pairs_wait_for_lent(struct world *world, int me)
{
    (void)me;
    uint32_t version = atomic_load(&world->home->version);
    if (!ix_releases_pending(world->home) && !atomic_load(&world->home->dismissed))
        ix_releases_sleep(world->home, version);
}

void
pairs_dismiss(struct world *world, int me)
{
    (void)me;
    ix_releases_dismiss(world->home);
}

/* ---- the parker ---- */

void
pairs_park(struct world *world, int me)
{
    (void)me;
    ix_park_wait(&world->word, 0, 50000);
}

void
pairs_wake(struct world *world, int me)
{
    atomic_store(&world->word, 1);
    if (me == 0)
        ix_park_wake_one(&world->word);
    else
        ix_park_wake_all(&world->word);
}
