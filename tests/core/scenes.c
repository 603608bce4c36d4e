/* What a stepped run begins with, what it shows on the way, and what must hold at its end. */
#include "scenes.h"

#include "memory.h"

struct scene scene;

void
scene_check(bool condition, const char *fault)
{
    if (!condition && scene.fault == NULL)
        scene.fault = fault;
}

void
scene_act(int me)
{
    const struct actor_spec *actor = &scene.spec->actors[me];
    int result = scene_play(me, (enum scene_body)actor->body, actor->param);
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
    case ACT_STALL:
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
    for (; task != NULL && waiting < SCENE_ENTRIES; task = (struct ix_task *)task->entry.next)
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
    int workers = count_of(ACT_WORK) + count_of(ACT_STALL);
    ix_queue_init(&scene.queue, (unsigned)workers);
    if (spec->cores != 0)
        scene.queue.cores = (unsigned)spec->cores;
    scene.queue.unawaited = (size_t)spec->streak * 8;
    for (int i = 0; i < spec->count; i++) {
        if (spec->actors[i].body != ACT_WORK && spec->actors[i].body != ACT_STALL)
            continue;
        ix_crew_wants_one(&scene.queue, SCENE_ENTRIES);
        ix_crew_arrive(&scene.queue, &scene.seats[i]);
        __atomic_store_n(&scene.seats[i].spin.score, spec->spins, IX_SC);
        scene.seats[i].streak = (unsigned)spec->streak;
    }
    for (int i = 0; i < SCENE_ENTRIES; i++)
        scene.tasks[i] = scene_make_task();
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
    ix_job_seal(scene.map, malloc(1), 0, offsets, (uint32_t)scene.items, NULL);
    for (int i = 0; i < scene.spec->count; i++) {
        if (scene.spec->actors[i].body == ACT_PUBLISH)
            ix_claim_take(scene.map, 1, &scene.claims[i], &more);
    }
}

void
scene_set_up(const struct scene_spec *spec)
{
    memset(&scene, 0, sizeof scene);
    scene.blocks = ix_test_blocks();
    scene.spec = spec;
    scene.task = scene_make_task();
    scene.outbox = ix_outbox_new();
    scene.alarm = ix_alarm_new();
    set_up_queue(spec);
    set_up_map();
    for (int i = 0; i < spec->before; i++)
        scene_push(1);
}

static void
check_entries(void)
{
    int workers = count_of(ACT_WORK);
    for (int i = 0; i < scene.next_entry; i++) {
        int fates = scene.taken[i] + scene.cleared[i] + scene.refused[i];
        scene_check(fates <= 1, "an entry was taken twice");
        scene_check(fates == 1 || workers == 0, "an entry was lost");
    }
}

static void
check_counts(void)
{
    unsigned parked = 0, napping = 0, doubtful = 0;
    for (struct ix_seat *seat = scene.queue.stack; seat != NULL; seat = seat->below) {
        parked++;
        doubtful += seat->doubtful;
    }
    for (int i = 0; i < scene.spec->count; i++)
        napping += scene.seats[i].naps;
    scene_check(scene.queue.counts.parked == parked, "the parked are miscounted");
    scene_check(scene.queue.doubtful == doubtful, "the doubtful are miscounted");
    scene_check(scene.queue.napping == napping, "the napping are miscounted");
    scene_check(scene.queue.waking == 0, "some are still about to come");
}

static void
check_task(void)
{
    scene_check(scene.runs + scene.cancels <= 1, "a task was run and cancelled");
    scene_check(scene.abandons == scene.late_finishes || scene.runs == 0,
                "a task was both abandoned and finished, or neither");
    scene_check(scene.deliveries <= 1, "a task was delivered twice");
    bool due = scene.flagged && scene.runs && count_of(ACT_NOTIFY) != 0;
    scene_check(!due || scene.deliveries == 1, "an observed task was not delivered");
    scene_check(scene.deliveries == 0 || scene.flagged,
                "a task was delivered that nobody observes");
    scene_check(!(scene.flagged && scene.left_to_owner && count_of(ACT_FLAG) == 1),
                "both sides act");
}

const char *
scene_tear_down(void)
{
    check_task();
    check_entries();
    check_counts();
    ix_outbox_take(scene.outbox);
    ix_outbox_release(scene.outbox);
    ix_task_release(scene.task);
    for (int i = 0; i < SCENE_ENTRIES; i++) {
        ix_task_release(scene.tasks[i]);
        ix_job_release(scene.jobs[i]);
    }
    ix_job_release(scene.map);
    ix_alarm_release(scene.alarm);
    scene_check(ix_test_blocks() == scene.blocks, "memory was not freed");
    return scene.fault;
}
