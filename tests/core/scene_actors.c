/* The parts themselves. */
#include "scenes.h"

#include <assert.h>

/* ---- the actors of a task ---- */

struct ix_task *
scene_make_task(void)
{
    struct ix_buffer nothing = {0};
    struct ix_task *task = ix_task_new(NULL, &nothing);
    assert(task != NULL);
    return task;
}

static int
publish_all(void)
{
    int count = 0;
    struct ix_task *task = ix_outbox_take(scene.outbox);
    for (; task != NULL; task = (struct ix_task *)task->entry.next, count++)
        scene.deliveries += task == scene.task;
    return count;
}

/* The worker: as run_task. */
static int
run(int deputy)
{
    struct ix_task *task = scene.task;
    if (!ix_task_start(task))
        return 0;
    scene.runs++;
    task->length = 7; /* the outcome, which waiters must see */
    uint32_t flags = ix_task_finish(task, IX_OUTCOME_VALUE);
    scene_check((flags & IX_STATE_MASK) == 0, "finish returned more than flags");
    if (flags & IX_ABANDONED) {
        scene.late_finishes++;
        return (int)flags;
    }
    if (flags & IX_OBSERVED) {
        ix_outbox_push(scene.outbox, task);
        if (!deputy || (flags & IX_LOUD))
            ix_outbox_ring(scene.outbox);
        else
            publish_all();
    }
    return 1 | (int)flags;
}

static int
cancel(void)
{
    bool cancelled = ix_task_cancel(scene.task);
    scene.cancels += cancelled;
    return cancelled;
}

static int
abandon(void)
{
    uint32_t flags;
    if (!ix_task_abandon(scene.task, 0, &flags))
        return 0;
    scene.abandons++;
    if (flags & IX_OBSERVED) {
        ix_outbox_push(scene.outbox, scene.task);
        ix_outbox_ring(scene.outbox);
    }
    return 1 | (int)flags;
}

static int
flag(int flags)
{
    bool flagged = ix_task_flag(scene.task, (uint32_t)flags);
    if (flags & (int)IX_OBSERVED) {
        scene.flagged |= flagged;
        scene.left_to_owner += !flagged;
    }
    return flagged;
}

static int
wait_for_task(int timeout)
{
    enum ix_park result = ix_task_wait(scene.task, timeout < 0 ? -1 : (int64_t)timeout * 1000000);
    uint32_t word = __atomic_load_n(&scene.task->state, IX_SC);
    if (result == IX_PARK_WOKEN) {
        scene_check(word & IX_TERMINAL, "a wait was over before the task");
        bool has_outcome = (word & IX_STATE_MASK) == IX_DONE && !(word & IX_ABANDONED);
        scene_check(!has_outcome || scene.task->length == 7,
                    "a wait saw the end but not the outcome");
    }
    return (int)result + 1;
}

/* ---- the outbox ---- */

static int
notify(void)
{
    int count = 0;
    while (ix_outbox_wait(scene.outbox))
        count += publish_all();
    return count;
}

static int
drop_and_ring(int number)
{
    ix_outbox_push(scene.outbox, scene.tasks[number]);
    ix_outbox_ring(scene.outbox);
    return 1;
}

/* ---- the queue ---- */

static struct ix_entry *
entry_of(int number)
{
    int jobs_from = scene.spec->entries;
    return number < jobs_from ? &scene.tasks[number]->entry
                              : &scene.jobs[number - jobs_from]->entry;
}

static int
number_of(struct ix_entry *entry)
{
    int number = 0;
    while (entry_of(number) != entry)
        number++;
    return number;
}

int
scene_push(int count)
{
    int accepted = 0;
    while (count-- > 0) {
        int number = scene.next_entry++; /* no step between: nobody else can get it */
        enum ix_push pushed = ix_queue_push(&scene.queue, entry_of(number));
        scene_check(pushed != IX_PUSH_NEEDS_WORKER,
                    "more workers were asked for than there may be");
        if (pushed == IX_PUSH_DONE)
            accepted++;
        else
            scene.refused[number]++;
    }
    return accepted;
}

/* As run_job, the claim being the turn. */
static void
work_on(struct ix_entry *entry)
{
    int number = number_of(entry);
    if (entry->kind == IX_ENTRY_TASK) {
        scene.taken[number]++;
        return;
    }
    bool more = --scene.turns[number] > 0;
    if (more && ix_queue_requeue(&scene.queue, entry))
        return;
    if (more)
        scene.cleared[number]++;
    else
        scene.taken[number]++;
    ix_queue_put_down(&scene.queue);
}

static int
push_and_await(int count)
{
    int accepted = scene_push(count);
    ix_queue_await(&scene.queue);
    return accepted;
}

/* Returns 1 plus how many it took. */
static int
work(int me, int max_runs)
{
    struct ix_seat *seat = &scene.seats[me];
    struct ix_entry *entry;
    enum ix_take took;
    int count = 0;
    while ((took = ix_queue_take(&scene.queue, seat, &entry)) != IX_TAKE_LEAVE) {
        if (took == IX_TAKE_EMPTY) {
            ix_seat_sleep(seat);
            continue;
        }
        if (took == IX_TAKE_NAP) {
            ix_queue_nap(&scene.queue, seat);
            continue;
        }
        work_on(entry);
        if (++count == max_runs)
            break;
    }
    if (took == IX_TAKE_LEAVE)
        ix_crew_leave(&scene.queue, seat);
    else if (ix_crew_hand_over(&scene.queue, seat))
        ix_crew_arrive(&scene.queue, seat), count += work(me, 0); /* the successor, in its place */
    return count + (max_runs != 0 || took == IX_TAKE_LEAVE);
}

/* As serve() and sleep_at_queue() in serve.c, up to where it asks for the GIL. Returns 1 plus how many entries it took before. */
static int
stall(int me)
{
    struct ix_seat *seat = &scene.seats[me];
    struct ix_entry *entry;
    enum ix_take took;
    int count = 0;
    bool is_off = false;
    seat->shares_gil = true;
    while ((took = ix_queue_take(&scene.queue, seat, &entry)) == IX_TAKE_ENTRY) {
        work_on(entry);
        count++;
    }
    while (took == IX_TAKE_EMPTY && !is_off) {
        if (ix_seat_sleep(seat)) {
            ix_queue_pass_on(&scene.queue, seat);
            break;
        }
        is_off = ix_queue_unpark(&scene.queue, seat);
    }
    return 1 + count; /* and nobody hears of it again */
}

static int
clear(void)
{
    int count = 0;
    for (struct ix_entry *entry = ix_queue_clear(&scene.queue); entry != NULL;
         entry = entry->next) {
        scene.cleared[number_of(entry)]++;
        count++;
    }
    return count;
}

static int
end_queue(int how)
{
    if (how & END_CLEAR_FIRST)
        clear();
    if (how & END_BREAK)
        ix_queue_break(&scene.queue);
    if (how & END_CLOSE)
        ix_queue_close(&scene.queue);
    return how & END_CLEAR ? clear() : 0;
}

static int
join(void)
{
    enum ix_park result = ix_crew_join(&scene.queue, -1);
    if (result == IX_PARK_WOKEN)
        scene_check(__atomic_load_n(&scene.queue.leased, IX_SC) == 0,
                    "a join was over before the workers");
    return (int)result + 1;
}

/* ---- a map ---- */

/* A worker with its claim: the outcomes one by one, then all of them. */
static int
publish(int me, int param)
{
    struct ix_buffer outcome = {0};
    struct ix_claim *claim = &scene.claims[me];
    ix_buffer_write(&outcome, "x", 1);
    for (uint32_t i = 0; i < claim->count; i++) {
        if (param) { /* a run for each item, as where there is a time limit */
            ix_seat_open_run(&scene.seats[me]);
            ix_seat_close_run(&scene.seats[me]);
        }
        scene_check(ix_claim_add(scene.map, claim, &outcome), "no memory");
    }
    bool settled = ix_claim_settle(scene.map, claim, false);
    ix_buffer_fini(&outcome);
    return settled ? 1 : 2;
}

/* Returns 1 plus the number of items it got. */
static int
read_all(void)
{
    size_t position = 0, items = (size_t)scene.items;
    while (position < items) {
        uint32_t version;
        enum ix_job_end end;
        struct ix_range *range = ix_job_range(scene.map, position, &version, &end);
        if (range != NULL) {
            scene_check(range->length == range->count, "a range with more or less than its items");
            position += range->count;
            ix_job_drop_before(scene.map, position);
        }
        else if (end != IX_JOB_GOES_ON) {
            break;
        }
        else {
            ix_claim_wait(scene.map, position, version, -1);
        }
    }
    return 1 + (int)position;
}

static int
forsake(int worker)
{
    struct ix_buffer outcome = {0};
    ix_buffer_write(&outcome, "!", 1);
    struct ix_seat *seat = &scene.seats[worker];
    uint64_t run = atomic_load(&seat->run);
    bool forsaken = ix_claim_forsake(scene.map, &scene.claims[worker], seat, run, &outcome);
    ix_buffer_fini(&outcome);
    scene.forsaken += forsaken;
    return forsaken;
}

/* ---- the gate ---- */

static int
visit(void)
{
    if (!ix_gate_enter(&scene.gate))
        return 0;
    ix_step();
    scene_check(!scene.ended, "a guest is inside of what has ended");
    ix_gate_leave(&scene.gate);
    return 1;
}

/* ---- the alarm ---- */

/* Returns how many deadlines it has seen. */
static int
watch(void)
{
    int seen = 0, due = 0;
    for (int i = 0; i < scene.spec->count; i++)
        due += scene.spec->actors[i].body == ACT_SET_ALARM;
    while (seen < due) {
        int64_t next = INT64_MAX;
        uint32_t ticket = ix_alarm_prepare(scene.alarm);
        for (int i = 0; i < scene.spec->count; i++) {
            int64_t at = atomic_load(&scene.deadlines[i]);
            if (at == 1) { /* over: seen in time */
                seen++;
                atomic_store(&scene.deadlines[i], 0);
            }
            else if (at != 0 && at < next) {
                next = at;
            }
        }
        if (seen < due)
            ix_alarm_sleep(scene.alarm, ticket, INT64_MAX);
    }
    return seen;
}

int
scene_play(int me, enum scene_body body, int param)
{
    switch (body) {
    case ACT_RUN:
        return run(param);
    case ACT_CANCEL:
        return cancel();
    case ACT_ABANDON:
        return abandon();
    case ACT_FLAG:
        return flag(param);
    case ACT_WAIT:
        return wait_for_task(param);
    case ACT_NOTIFY:
        return notify();
    case ACT_DROP:
        return drop_and_ring(param);
    case ACT_CLOSE_OUTBOX:
        ix_outbox_close(scene.outbox);
        return 0;
    case ACT_WORK:
        return work(me, param);
    case ACT_STALL:
        return stall(me);
    case ACT_NUDGE:
        ix_seat_nudge(&scene.seats[param]);
        return 0;
    case ACT_PUSH:
        return scene_push(param);
    case ACT_PUSH_AND_AWAIT:
        return push_and_await(param);
    case ACT_END_QUEUE:
        return end_queue(param);
    case ACT_JOIN:
        return join();
    case ACT_PUBLISH:
        return publish(me, param);
    case ACT_READ:
        return read_all();
    case ACT_FORSAKE:
        return forsake(param);
    case ACT_VISIT:
        return visit();
    case ACT_CLOSE_GATE:
        ix_gate_close(&scene.gate);
        scene.ended = 1;
        return 1;
    case ACT_SET_ALARM:
        ix_alarm_set(scene.alarm, &scene.deadlines[me], param);
        return 1;
    case ACT_WATCH:
        return watch();
    case ACT_END_MAP:
        ix_job_end(scene.map, IX_JOB_BROKEN);
        return 0;
    }
    return 0;
}
