/* What the threads of an episode do with tasks. A task's number is the id of its callable. */
#include "stress.h"

#include <assert.h>
#include <sched.h>

/* ---- payloads: what has crossed can be checked ---- */

enum tag { ARGUMENTS = 0x41, OUTCOME = 0x4f };

static char
filler(uint32_t id, enum tag tag)
{
    return (char)(id * 31 + (uint32_t)tag);
}

/* Mostly small, now and then too long for a task's own room. */
static void
put_payload(struct ix_buffer *buffer, uint32_t id, enum tag tag, struct random *random)
{
    uint32_t length = stress_random(random, stress_random(random, 16) == 0 ? 6000 : 64);
    bool ok = ix_buffer_write(buffer, &id, sizeof id) && ix_buffer_reserve(buffer, length);
    assert(ok);
    (void)ok;
    memset(buffer->data + buffer->length, filler(id, tag), length);
    buffer->length += length;
}

static bool
is_payload(struct ix_task *task, enum tag tag)
{
    uint32_t id;
    if (task->length < sizeof id)
        return false;
    memcpy(&id, ix_task_data(task), sizeof id);
    for (size_t i = sizeof id; i < task->length; i++) {
        if (ix_task_data(task)[i] != filler(id, tag))
            return false;
    }
    return id == task->callable->id;
}

/* Context: the task is terminal, so its data stays as it is. */
static void
check_outcome(struct episode *episode, struct ix_task *task)
{
    enum ix_outcome outcome = task->outcome;
    if (ix_task_state(task) == IX_CANCELLED || outcome == IX_OUTCOME_BROKEN)
        return;
    CHECK(episode, outcome == IX_OUTCOME_VALUE || outcome == IX_OUTCOME_RAISED, outcome);
    CHECK(episode, is_payload(task, OUTCOME), task->length);
}

static struct record *
record_of(struct episode *episode, struct ix_task *task)
{
    return &episode->records[task->callable->id];
}

static struct slot *
slot_of(struct episode *episode, struct ix_task *task)
{
    return &episode->slots[task->callable->id % STRESS_SLOTS];
}

/* ---- producers ---- */

static struct ix_task *
make_task(struct episode *episode, uint32_t id, struct random *random)
{
    char memory[128];
    struct ix_buffer buffer;
    struct ix_callable *callable = ix_callable_new(id, 0, NULL, 0);
    ix_buffer_init(&buffer, memory, sizeof memory);
    put_payload(&buffer, id, ARGUMENTS, random);
    struct ix_task *task = ix_task_new(callable, &buffer);
    assert(callable != NULL && task != NULL);
    ix_callable_release(callable);
    ix_buffer_fini(&buffer);
    COUNT(episode, created);
    return task;
}

/* The slot's former future is dropped, whatever has become of its task. */
static void
show(struct episode *episode, struct ix_task *task)
{
    struct slot *slot = slot_of(episode, task);
    ix_task_acquire(task);
    pthread_mutex_lock(&slot->lock);
    struct ix_task *former = slot->task;
    slot->task = task;
    pthread_mutex_unlock(&slot->lock);
    ix_task_release(former);
}

/* As the owner's cancel() does. Context: the slot is locked. */
static bool
cancel_locked(struct episode *episode, struct ix_task *task)
{
    if (!ix_task_cancel(task))
        return false;
    task->future = NULL;
    record_of(episode, task)->cancelled++;
    COUNT(episode, cancelled);
    return true;
}

static void
cancel(struct episode *episode, struct ix_task *task)
{
    struct slot *slot = slot_of(episode, task);
    pthread_mutex_lock(&slot->lock);
    cancel_locked(episode, task);
    pthread_mutex_unlock(&slot->lock);
}

/* Steals the task's reference. */
static void
push(struct episode *episode, struct ix_task *task, struct random *random)
{
    struct record *record = record_of(episode, task);
    ix_task_acquire(task);
    enum ix_push pushed = ix_queue_push(&episode->queue, &task->entry);
    if (pushed == IX_PUSH_CLOSED || pushed == IX_PUSH_BROKEN) {
        record->refused++;
        COUNT(episode, refused);
        cancel(episode, task); /* waiters may have it already, and nobody else will end it */
        ix_task_release(task);
    }
    else if (pushed == IX_PUSH_NEEDS_WORKER) {
        stress_start_worker(episode, random);
    }
    ix_task_release(task);
    episode->moves++;
}

void *
stress_produce(void *arg)
{
    struct episode *episode = arg;
    struct random random = stress_stream(episode);
    for (unsigned i = 0; i < episode->plan->tasks; i++) {
        struct ix_task *task = make_task(episode, episode->next_id++, &random);
        bool shown_first = stress_random(&random, 2) != 0;
        if (shown_first)
            show(episode, task);
        ix_task_acquire(task);
        push(episode, task, &random);
        if (!shown_first)
            show(episode, task);
        ix_task_release(task);
        if (stress_random(&random, 64) == 0)
            sched_yield();
    }
    episode->producing--;
    return NULL;
}

/* ---- those who have a future ---- */

void *
stress_cancel(void *arg)
{
    struct episode *episode = arg;
    struct random random = stress_stream(episode);
    while (!episode->over) {
        struct slot *slot = &episode->slots[stress_random(&random, STRESS_SLOTS)];
        pthread_mutex_lock(&slot->lock);
        struct ix_task *task = slot->task;
        if (task != NULL && !cancel_locked(episode, task))
            CHECK(episode, ix_task_state(task) != IX_PENDING, ix_task_state(task));
        pthread_mutex_unlock(&slot->lock);
        for (uint32_t i = stress_random(&random, 8); i > 0; i--)
            sched_yield();
    }
    return NULL;
}

/* As a future's first touch: the pin, then the flag. Context: the slot is locked. */
static void
observe_locked(struct episode *episode, struct slot *slot, uint32_t flags)
{
    struct ix_task *task = slot->task;
    struct record *record = record_of(episode, task);
    if (record->flagged || record->owner) {
        ix_task_flag(task, IX_LOUD);
        return;
    }
    task->future = slot;
    if (ix_task_flag(task, flags)) {
        record->flagged++;
        COUNT(episode, flagged);
        return;
    }
    task->future = NULL;
    record->owner++;
    COUNT(episode, published_by_owner);
    CHECK(episode, ix_task_is_terminal(task), ix_task_state(task));
    check_outcome(episode, task);
}

void *
stress_observe(void *arg)
{
    struct episode *episode = arg;
    struct random random = stress_stream(episode);
    while (!episode->over) {
        struct slot *slot = &episode->slots[stress_random(&random, STRESS_SLOTS)];
        uint32_t flags = IX_OBSERVED | (stress_random(&random, 3) == 0 ? IX_LOUD : 0);
        pthread_mutex_lock(&slot->lock);
        if (slot->task != NULL)
            observe_locked(episode, slot, flags);
        pthread_mutex_unlock(&slot->lock);
        if (stress_random(&random, 4) == 0)
            sched_yield();
    }
    return NULL;
}

static void
wait_for(struct episode *episode, struct ix_task *task, int64_t timeout_ns)
{
    enum ix_park result;
    if (ix_queue_await(&episode->queue) == IX_AWAIT_NAP)
        ix_task_nap(task, 50000);
    do {
        result = ix_task_wait(task, timeout_ns);
        CHECK(episode, result != IX_PARK_TIMEOUT || timeout_ns >= 0, timeout_ns);
    } while (timeout_ns < 0 && result == IX_PARK_INTERRUPTED);
    COUNT(episode, waits);
    if (result != IX_PARK_WOKEN) {
        COUNT(episode, timeouts);
        return;
    }
    CHECK(episode, ix_task_is_terminal(task), ix_task_state(task));
    check_outcome(episode, task);
}

void *
stress_wait(void *arg)
{
    struct episode *episode = arg;
    struct random random = stress_stream(episode);
    while (!episode->over) {
        struct slot *slot = &episode->slots[stress_random(&random, STRESS_SLOTS)];
        int64_t timeout_ns = -1;
        if (stress_random(&random, 2) == 0)
            timeout_ns = stress_random(&random, 2) * stress_random(&random, 200000);
        pthread_mutex_lock(&slot->lock);
        struct ix_task *task = slot->task;
        if (task != NULL)
            ix_task_acquire(task);
        pthread_mutex_unlock(&slot->lock);
        if (task == NULL || ix_task_is_terminal(task))
            sched_yield();
        if (task != NULL)
            wait_for(episode, task, timeout_ns);
        ix_task_release(task);
    }
    return NULL;
}

/* ---- publishing ---- */

static void
publish(struct episode *episode, struct ix_task *task)
{
    struct slot *slot = slot_of(episode, task);
    pthread_mutex_lock(&slot->lock);
    CHECK(episode, task->future == slot, task->callable->id);
    CHECK(episode, ix_task_state(task) == IX_DONE, ix_task_state(task));
    check_outcome(episode, task);
    task->future = NULL;
    record_of(episode, task)->delivered++;
    pthread_mutex_unlock(&slot->lock);
    COUNT(episode, delivered);
    ix_task_release(task);
}

/* As ix_future_publish_all: a deputy leaves some to the notifier. */
static void
publish_all(struct episode *episode, struct random *deputy)
{
    struct ix_task *tasks = ix_outbox_take(episode->outbox);
    bool left = false;
    while (tasks != NULL) {
        struct ix_task *next = (struct ix_task *)tasks->entry.next;
        if (deputy != NULL && stress_random(deputy, 4) == 0) {
            ix_outbox_push(episode->outbox, tasks);
            left = true;
        }
        else {
            publish(episode, tasks);
        }
        tasks = next;
    }
    if (left)
        ix_outbox_ring(episode->outbox);
}

void *
stress_notify(void *arg)
{
    struct episode *episode = arg;
    while (ix_outbox_wait(episode->outbox))
        publish_all(episode, NULL);
    return NULL;
}

/* ---- workers ---- */

static void
deliver(struct episode *episode, struct ix_task *task, uint32_t flags, struct random *random)
{
    ix_outbox_push(episode->outbox, task);
    if ((flags & IX_LOUD) || !ix_queue_is_empty(&episode->queue))
        ix_outbox_ring(episode->outbox);
    else
        publish_all(episode, random);
}

static enum ix_outcome
make_outcome(struct episode *episode, struct ix_task *task, struct random *random)
{
    char memory[256];
    struct ix_buffer buffer;
    CHECK(episode, is_payload(task, ARGUMENTS), task->callable->id);
    ix_task_drop_data(task);
    ix_buffer_init(&buffer, memory, sizeof memory);
    put_payload(&buffer, task->callable->id, OUTCOME, random);
    CHECK(episode, ix_task_set_data(task, &buffer), task->callable->id);
    ix_buffer_fini(&buffer);
    return stress_random(random, 8) == 0 ? IX_OUTCOME_RAISED : IX_OUTCOME_VALUE;
}

/* As run_task in inside.c. Steals the reference. */
void
stress_run_task(struct episode *episode, struct ix_seat *seat, struct ix_task *task,
                struct random *random)
{
    struct record *record = record_of(episode, task);
    if (!ix_task_start(task)) {
        record->skipped++;
        COUNT(episode, skipped);
        ix_seat_settle(seat, IX_FATE_CANCELLED);
        ix_task_release(task);
        return;
    }
    record->ran++;
    COUNT(episode, ran);
    enum ix_outcome outcome = make_outcome(episode, task, random);
    if (outcome != IX_OUTCOME_VALUE)
        COUNT(episode, failed);
    ix_seat_settle(seat, outcome == IX_OUTCOME_VALUE ? IX_FATE_VALUE : IX_FATE_FAILED);
    uint32_t flags = ix_task_finish(task, outcome);
    if (flags & IX_OBSERVED)
        deliver(episode, task, flags, random);
    else
        ix_task_release(task);
}

/* ---- endings ---- */

/* As discard_task in pool.c. Steals the reference. */
static void
discard_task(struct episode *episode, struct ix_task *task, bool broken)
{
    struct record *record = record_of(episode, task);
    if (broken) {
        record->broken++;
        COUNT(episode, broken);
        if (ix_task_start(task) && (ix_task_finish(task, IX_OUTCOME_BROKEN) & IX_OBSERVED)) {
            ix_outbox_push(episode->outbox, task);
            ix_outbox_ring(episode->outbox);
            return;
        }
    }
    else {
        record->cleared++;
        COUNT(episode, cleared);
        cancel(episode, task);
    }
    ix_task_release(task);
}

void
stress_discard(struct episode *episode, struct ix_entry *entries, bool broken)
{
    while (entries != NULL) {
        struct ix_entry *next = entries->next;
        if (entries->kind == IX_ENTRY_JOB) {
            ix_job_end((struct ix_job *)entries, broken ? IX_JOB_BROKEN : IX_JOB_CANCELLED);
            ix_job_release((struct ix_job *)entries);
        }
        else {
            discard_task(episode, (struct ix_task *)entries, broken);
        }
        entries = next;
    }
}
