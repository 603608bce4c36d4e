/* The operations that pairs.h has meet, as the core's own callers do them: tasks, outbox and queue. */
#include "pairs.h"

#include <assert.h>

/* ---- a task, and its future's side ---- */

struct ix_task *
pairs_make_task(void)
{
    struct ix_buffer arguments = {0};
    bool ok = ix_buffer_write(&arguments, "arguments", 9);
    struct ix_task *task = ix_task_new(NULL, &arguments);
    assert(ok && task != NULL);
    (void)ok;
    ix_buffer_fini(&arguments);
    return task;
}

/* Steals the reference. */
void
pairs_deliver(struct world *world, struct ix_task *task)
{
    ix_outbox_push(world->outbox, task);
    ix_outbox_ring(world->outbox);
}

static void
close_run(struct world *world, int me)
{
    pthread_mutex_lock(&world->gil[me]);
    ix_seat_close_run(&world->seats[me]);
    pthread_mutex_unlock(&world->gil[me]);
}

/* As run_task in run.c. Returns false if the task was abandoned meanwhile. Steals the reference. */
bool
pairs_run_task(struct world *world, int me, struct ix_task *task)
{
    struct ix_seat *seat = &world->seats[me];
    struct ix_buffer outcome = {0};
    if (!ix_task_start(task)) {
        close_run(world, me);
        ix_seat_settle(seat, IX_FATE_CANCELLED);
        ix_task_release(task);
        return true;
    }
    EXPECT(world, task->length == 9);
    ix_seat_account(seat, task->length, task->attachments);
    ix_task_drop_data(task);
    EXPECT(world, ix_buffer_write(&outcome, "an outcome", 10));
    close_run(world, me);
    EXPECT(world, ix_task_set_data(task, &outcome));
    ix_buffer_fini(&outcome);
    ix_seat_settle(seat, IX_FATE_VALUE);
    uint32_t flags = ix_task_finish(task, IX_OUTCOME_VALUE);
    if ((flags & IX_OBSERVED) && !(flags & IX_ABANDONED))
        pairs_deliver(world, task);
    else
        ix_task_release(task);
    return (flags & IX_ABANDONED) == 0;
}

void
pairs_run(struct world *world, int me)
{
    ix_task_acquire(world->task);
    pairs_run_task(world, me, world->task);
}

void
pairs_cancel(struct world *world, int me)
{
    (void)me;
    pthread_mutex_lock(&world->owner);
    if (ix_task_cancel(world->task))
        world->task->future = NULL;
    pthread_mutex_unlock(&world->owner);
}

void
pairs_observe(struct world *world, int me)
{
    (void)me;
    pthread_mutex_lock(&world->owner);
    world->task->future = world;
    if (!ix_task_flag(world->task, IX_OBSERVED)) {
        EXPECT(world, ix_task_is_terminal(world->task));
        world->task->future = NULL;
    }
    ix_task_flag(world->task, IX_LOUD);
    pthread_mutex_unlock(&world->owner);
}

void
pairs_abandon(struct world *world, int me)
{
    uint32_t flags;
    (void)me;
    pthread_mutex_lock(&world->owner);
    if (ix_task_abandon(world->task, IX_LATE, &flags) && (flags & IX_OBSERVED)) {
        ix_task_acquire(world->task);
        pairs_deliver(world, world->task);
    }
    pthread_mutex_unlock(&world->owner);
}

void
pairs_look(struct world *world, int me)
{
    struct ix_task *task = world->task;
    (void)me;
    if (ix_task_state(task) == IX_DONE && ix_task_abandonment(task) == 0)
        EXPECT(world, task->outcome == IX_OUTCOME_VALUE && ix_task_data(task)[0] == 'a');
}

void
pairs_wait_for_task(struct world *world, int me)
{
    while (ix_task_wait(world->task, 50000) != IX_PARK_WOKEN) {
        if (atomic_load(&world->over))
            return;
    }
    pairs_look(world, me);
}

void
pairs_hold_task(struct world *world, int me)
{
    (void)me;
    ix_task_acquire(world->task);
    ix_task_release(world->task);
}

/* ---- the outbox ---- */

void
pairs_empty_outbox(struct world *world)
{
    struct ix_task *task = ix_outbox_take(world->outbox);
    while (task != NULL) {
        struct ix_task *next = (struct ix_task *)task->entry.next;
        task->future = NULL;
        ix_task_release(task);
        task = next;
    }
}

void
pairs_drop(struct world *world, int me)
{
    (void)me;
    pairs_deliver(world, pairs_make_task());
}

void
pairs_publish(struct world *world, int me)
{
    (void)me;
    pthread_mutex_lock(&world->owner);
    pairs_empty_outbox(world);
    pthread_mutex_unlock(&world->owner);
}

void
pairs_notify(struct world *world, int me)
{
    if (ix_outbox_wait(world->outbox))
        pairs_publish(world, me);
}

void
pairs_nudge_notifier(struct world *world, int me)
{
    (void)me;
    ix_outbox_nudge(world->outbox);
}

void
pairs_close_outbox(struct world *world, int me)
{
    (void)me;
    ix_outbox_close(world->outbox);
}

/* ---- the queue, from outside ---- */

void
pairs_push_entry(struct world *world, struct ix_entry *entry)
{
    enum ix_push pushed = ix_queue_push(&world->queue, entry);
    if (pushed == IX_PUSH_NEEDS_WORKER)
        ix_crew_leave(&world->queue, NULL); /* no thread to be had, say */
    else if (pushed != IX_PUSH_DONE)
        ix_entry_release(entry);
}

void
pairs_push(struct world *world, int me)
{
    (void)me;
    pairs_push_entry(world, &pairs_make_task()->entry);
}

void
pairs_ask_for_workers(struct world *world, int me)
{
    (void)me;
    if (ix_crew_wants_one(&world->queue, 5))
        ix_crew_leave(&world->queue, NULL);
    ix_crew_count_in(&world->queue);
    ix_crew_leave(&world->queue, NULL);
}

void
pairs_ask_for_counts(struct world *world, int me)
{
    (void)me;
    struct ix_queue_counts counts = ix_crew_count(&world->queue);
    EXPECT(world, counts.failed <= counts.finished);
    ix_queue_is_empty(&world->queue);
    ix_queue_refuses(&world->queue);
}

void
pairs_await(struct world *world, int me)
{
    (void)me;
    ix_queue_await(&world->queue);
}

void
pairs_close_queue(struct world *world, int me)
{
    (void)me;
    ix_queue_close(&world->queue);
}

void
pairs_break_queue(struct world *world, int me)
{
    (void)me;
    ix_queue_break(&world->queue);
}

void
pairs_discard(struct ix_entry *entries)
{
    while (entries != NULL) {
        struct ix_entry *next = entries->next;
        if (entries->kind == IX_ENTRY_JOB)
            ix_job_end((struct ix_job *)entries, IX_JOB_CANCELLED);
        ix_entry_release(entries);
        entries = next;
    }
}

void
pairs_clear_queue(struct world *world, int me)
{
    (void)me;
    pairs_discard(ix_queue_clear(&world->queue));
}

void
pairs_join_queue(struct world *world, int me)
{
    (void)me;
    ix_crew_join(&world->queue, 50000);
}
