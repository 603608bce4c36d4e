/* What the actors of a stepped run do: a task, an outbox, a queue and a job among them. */
#include "scenes.h"

#include "job.h"
#include "memory.h"
#include "outbox.h"
#include "queue.h"

#include <assert.h>

#define ENTRIES 8

static struct {
    const struct scene_spec *spec;
    long blocks;
    const char *fault;
    unsigned char results[STEPPED_ACTORS];
    /* one task, and the outbox */
    struct ix_task *task;
    struct ix_outbox *outbox;
    int runs, cancels, flagged, deliveries, left_to_owner;
    /* the queue; what it holds: tasks, then jobs that take `turns` */
    struct ix_queue queue;
    struct ix_seat seats[STEPPED_ACTORS];
    struct ix_task *tasks[ENTRIES];
    struct ix_job *jobs[ENTRIES];
    int turns[ENTRIES], taken[ENTRIES], cleared[ENTRIES], refused[ENTRIES];
    int next_entry;
    /* a map of as many items as there are publishers */
    struct ix_job *map;
    struct ix_claim claims[STEPPED_ACTORS];
    int items;
} scene;

static void
check(bool condition, const char *fault)
{
    if (!condition && scene.fault == NULL)
        scene.fault = fault;
}

/* ---- the actors of a task ---- */

static struct ix_task *
make_task(void)
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
    check((flags & IX_STATE_MASK) == 0, "finish returned more than flags");
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
        check(word & IX_TERMINAL, "a wait was over before the task");
        check(word & 1 || scene.task->length == 7, "a wait saw the end but not the outcome");
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

static int
push(int count)
{
    int accepted = 0;
    while (count-- > 0) {
        int number = scene.next_entry++; /* no step between: nobody else can get it */
        enum ix_push pushed = ix_queue_push(&scene.queue, entry_of(number));
        check(pushed != IX_PUSH_NEEDS_WORKER, "more workers were asked for than there may be");
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
            ix_queue_sleep(seat);
            continue;
        }
        work_on(entry);
        if (++count == max_runs)
            break;
    }
    if (took == IX_TAKE_LEAVE)
        ix_queue_leave(&scene.queue, seat);
    else if (ix_queue_hand_over(&scene.queue, seat))
        ix_queue_arrive(&scene.queue, seat), count += work(me, 0); /* the successor, in its place */
    return count + (max_runs != 0 || took == IX_TAKE_LEAVE);
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
    enum ix_park result = ix_queue_join(&scene.queue, -1);
    if (result == IX_PARK_WOKEN)
        check(__atomic_load_n(&scene.queue.leased, IX_SC) == 0,
              "a join was over before the workers");
    return (int)result + 1;
}

/* ---- a map ---- */

/* A worker with its claim: the outcomes one by one, then all of them. */
static int
publish(int me)
{
    struct ix_buffer outcome = {0};
    struct ix_claim *claim = &scene.claims[me];
    ix_buffer_write(&outcome, "x", 1);
    for (uint32_t i = 0; i < claim->count; i++)
        check(ix_job_add(scene.map, claim, &outcome), "no memory");
    ix_job_settle(scene.map, claim, false);
    ix_buffer_fini(&outcome);
    return 1;
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
            check(range->length == range->count, "a range with more or less than its items");
            position += range->count;
            ix_job_drop_before(scene.map, position);
        }
        else if (end != IX_JOB_GOES_ON) {
            break;
        }
        else {
            ix_job_wait(scene.map, position, version, -1);
        }
    }
    return 1 + (int)position;
}

/* ---- what stepped.c calls ---- */

void
scene_act(int me)
{
    int param = scene.spec->actors[me].param, result = 0;
    switch ((enum scene_body)scene.spec->actors[me].body) {
    case ACT_RUN:
        result = run(param);
        break;
    case ACT_CANCEL:
        result = cancel();
        break;
    case ACT_FLAG:
        result = flag(param);
        break;
    case ACT_WAIT:
        result = wait_for_task(param);
        break;
    case ACT_NOTIFY:
        result = notify();
        break;
    case ACT_DROP:
        result = drop_and_ring(param);
        break;
    case ACT_CLOSE_OUTBOX:
        ix_outbox_close(scene.outbox);
        break;
    case ACT_WORK:
        result = work(me, param);
        break;
    case ACT_PUSH:
        result = push(param);
        break;
    case ACT_END_QUEUE:
        result = end_queue(param);
        break;
    case ACT_JOIN:
        result = join();
        break;
    case ACT_PUBLISH:
        result = publish(me);
        break;
    case ACT_READ:
        result = read_all();
        break;
    case ACT_END_MAP:
        ix_job_end(scene.map, IX_JOB_BROKEN);
        break;
    }
    scene.results[me] = (unsigned char)result;
}

bool
scene_may_sleep(int actor)
{
    bool no_work = scene.queue.head == NULL && scene.queue.in_hand == 0;
    switch ((enum scene_body)scene.spec->actors[actor].body) {
    case ACT_WAIT:
        return (__atomic_load_n(&scene.task->state, IX_SC) & IX_TERMINAL) == 0;
    case ACT_NOTIFY:
        return __atomic_load_n(&scene.outbox->head, IX_SC) == NULL
               && __atomic_load_n(&scene.outbox->word, IX_SC) == IX_OUTBOX_ASLEEP;
    case ACT_WORK:
        return no_work && !scene.queue.closed;
    case ACT_JOIN:
        return scene.queue.counts.workers != 0;
    default:
        return false;
    }
}

unsigned long long
scene_result(void)
{
    unsigned long long result = 0;
    for (int i = 0; i < scene.spec->count; i++)
        result |= (unsigned long long)scene.results[i] << 8 * i;
    return result | (unsigned long long)(scene.task->state & IX_STATE_MASK) << 56;
}

void
scene_words(unsigned int *words)
{
    unsigned int waiting = 0;
    struct ix_task *task = __atomic_load_n(&scene.outbox->head, IX_SC);
    for (; task != NULL && waiting < ENTRIES; task = (struct ix_task *)task->entry.next)
        waiting++;
    words[0] = __atomic_load_n(&scene.task->state, IX_SC);
    words[1] = __atomic_load_n(&scene.outbox->word, IX_SC) | waiting << 8;
    words[2] = __atomic_load_n(&scene.seats[0].word, IX_SC);
    words[3] = (unsigned)scene.queue.counts.queued | scene.queue.counts.parked << 8
               | scene.queue.waking << 16;
}

static int
count_of(enum scene_body body)
{
    int count = 0;
    for (int i = 0; i < scene.spec->count; i++)
        count += scene.spec->actors[i].body == (int)body;
    return count;
}

static void
set_up_queue(const struct scene_spec *spec)
{
    int workers = count_of(ACT_WORK);
    ix_queue_init(&scene.queue, (unsigned)workers);
    if (spec->max_waking != 0)
        scene.queue.cores = (unsigned)spec->max_waking;
    for (int i = 0; i < spec->count; i++) {
        if (spec->actors[i].body != ACT_WORK)
            continue;
        ix_queue_wants_worker(&scene.queue, ENTRIES);
        ix_queue_arrive(&scene.queue, &scene.seats[i]);
        __atomic_store_n(&scene.seats[i].spin.score, spec->spins, IX_SC);
    }
    for (int i = 0; i < ENTRIES; i++)
        scene.tasks[i] = make_task();
    for (int i = 0; i < spec->jobs; i++) {
        scene.jobs[i] = ix_job_new(NULL, 1, 0);
        scene.turns[spec->entries + i] = 2;
    }
}

static void
set_up_map(void)
{
    bool more;
    int each = scene.spec->items_each;
    scene.items = count_of(ACT_PUBLISH) * each;
    scene.map = ix_job_new(NULL, 1, (uint32_t)each);
    if (scene.items == 0)
        return;
    uint32_t *offsets = calloc((size_t)scene.items, sizeof *offsets);
    ix_job_seal(scene.map, malloc(1), 0, offsets, (uint32_t)scene.items);
    for (int i = 0; i < scene.spec->count; i++) {
        if (scene.spec->actors[i].body == ACT_PUBLISH)
            ix_job_claim(scene.map, 1, &scene.claims[i], &more);
    }
}

void
scene_set_up(const struct scene_spec *spec)
{
    memset(&scene, 0, sizeof scene);
    scene.blocks = ix_test_blocks();
    scene.spec = spec;
    scene.task = make_task();
    scene.outbox = ix_outbox_new();
    set_up_queue(spec);
    set_up_map();
    for (int i = 0; i < spec->before; i++)
        push(1);
}

static void
check_entries(void)
{
    int workers = count_of(ACT_WORK);
    for (int i = 0; i < scene.next_entry; i++) {
        int fates = scene.taken[i] + scene.cleared[i] + scene.refused[i];
        check(fates <= 1, "an entry was taken twice");
        check(fates == 1 || workers == 0, "an entry was lost");
    }
}

static void
check_task(void)
{
    check(scene.runs + scene.cancels <= 1, "a task was run and cancelled");
    check(scene.deliveries <= 1, "a task was delivered twice");
    bool due = scene.flagged && scene.runs && count_of(ACT_NOTIFY) != 0;
    check(!due || scene.deliveries == 1, "an observed task was not delivered");
    check(scene.deliveries == 0 || scene.flagged, "a task was delivered that nobody observes");
    check(!(scene.flagged && scene.left_to_owner && count_of(ACT_FLAG) == 1), "both sides act");
}

const char *
scene_tear_down(void)
{
    check_task();
    check_entries();
    ix_outbox_take(scene.outbox);
    ix_outbox_release(scene.outbox);
    ix_task_release(scene.task);
    for (int i = 0; i < ENTRIES; i++) {
        ix_task_release(scene.tasks[i]);
        ix_job_release(scene.jobs[i]);
    }
    ix_job_release(scene.map);
    check(ix_test_blocks() == scene.blocks, "memory was not freed");
    return scene.fault;
}
