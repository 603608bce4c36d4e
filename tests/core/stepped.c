/* The scheduler of the stepped variant: coroutines, and the parker and mutexes as they see them. */
#include "park.h"
#include "spin.h"

#include <pthread.h>
#include <setjmp.h>
#include <string.h>
#include <ucontext.h>

#define STACK 65536
#define CLOCK_STEP 50000 /* a look at the clock takes so long: a spin ends after one round */

enum status { READY, ASLEEP, BLOCKED, ENDED };

struct actor {
    jmp_buf place; /* where it goes on, once it has a stack */
    bool has_stack;
    enum status status;
    const void *on;     /* the word it sleeps on, or the mutex */
    int64_t timeout_ns; /* of the sleep */
    enum ix_park woken; /* why the sleep ended */
};

static struct actor actors[STEPPED_ACTORS];
static char stacks[STEPPED_ACTORS][STACK];
static jmp_buf scheduler;
static int current = -1; /* the actor that runs, or -1: set-up and tear-down take no steps */
static int nactors;
static int64_t now;
static const void *held[4]; /* mutexes that are locked */

/* ---- what the core calls ---- */

static void
switch_to_scheduler(void)
{
    if (_setjmp(actors[current].place) == 0)
        _longjmp(scheduler, 1);
}

void
ix_step(void)
{
    if (current >= 0)
        switch_to_scheduler();
}

enum ix_park
ix_park_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct actor *actor = &actors[current];
    ix_step();
    if (__atomic_load_n(word, IX_SC) != expected)
        return IX_PARK_WOKEN;
    actor->status = ASLEEP;
    actor->on = (const void *)word;
    actor->timeout_ns = timeout_ns;
    switch_to_scheduler();
    return actor->woken;
}

static void
end_sleep(struct actor *actor, enum ix_park reason)
{
    actor->status = READY;
    actor->woken = reason;
}

static void
wake(const void *word, int most)
{
    ix_step();
    for (int i = 0; i < nactors && most > 0; i++) {
        if (actors[i].status == ASLEEP && actors[i].on == word) {
            end_sleep(&actors[i], IX_PARK_WOKEN);
            most--;
        }
    }
}

void
ix_park_wake_one(_Atomic uint32_t *word)
{
    wake((const void *)word, 1);
}

void
ix_park_wake_all(_Atomic uint32_t *word)
{
    wake((const void *)word, STEPPED_ACTORS);
}

int64_t
ix_now_ns(void)
{
    return now += CLOCK_STEP;
}

int64_t
ix_coarse_now_ns(void)
{
    return now;
}

int
ix_cpu_count(void)
{
    return 2;
}

static const void **
place_of(const void *mutex)
{
    for (int i = 0; i < 4; i++) {
        if (held[i] == mutex)
            return &held[i];
    }
    return NULL;
}

int ix_step_pthread_mutex_lock(pthread_mutex_t *mutex);
int ix_step_pthread_mutex_unlock(pthread_mutex_t *mutex);

int
ix_step_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    ix_step();
    while (place_of(mutex) != NULL) {
        actors[current].status = BLOCKED;
        actors[current].on = mutex;
        switch_to_scheduler();
    }
    *place_of(NULL) = mutex;
    return 0;
}

/* Part of the step before it: nobody can tell the difference but by taking the lock. */
int
ix_step_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    *place_of(mutex) = NULL;
    for (int i = 0; i < nactors; i++) {
        if (actors[i].status == BLOCKED && actors[i].on == mutex)
            actors[i].status = READY;
    }
    return 0;
}

/* ---- one run ---- */

/* An actor keeps its stack from run to run. */
static void
live(int i)
{
    for (;;) {
        scene_act(i);
        actors[i].status = ENDED;
        switch_to_scheduler();
    }
}

static void
start(int i)
{
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks[i];
    context.uc_stack.ss_size = STACK;
    context.uc_link = NULL;
    makecontext(&context, (void (*)(void))live, 1, i);
    actors[i].has_stack = true;
    setcontext(&context);
}

/* Switching by setcontext each time would cost two system calls. */
static void
go_on(int i)
{
    current = i;
    if (_setjmp(scheduler) == 0) {
        if (actors[current].has_stack)
            _longjmp(actors[current].place, 1);
        start(current);
    }
    current = -1;
}

/* Takes each actor to its first step. */
static void
begin(int count)
{
    nactors = count;
    now = 0;
    memset(held, 0, sizeof held);
    for (int i = 0; i < count; i++)
        actors[i].status = READY;
    for (int i = 0; i < count; i++)
        go_on(i);
}

static unsigned
bit(enum choice_kind kind, int actor)
{
    return 1u << ((int)kind * STEPPED_ACTORS + actor);
}

static unsigned
enabled_choices(const unsigned char *budget)
{
    unsigned enabled = 0;
    for (int i = 0; i < nactors; i++) {
        if (actors[i].status == READY)
            enabled |= bit(GO_ON, i);
        if (actors[i].status == ASLEEP && actors[i].timeout_ns >= 0 && budget[TIME_OUT] > 0)
            enabled |= bit(TIME_OUT, i);
        if (actors[i].status == ASLEEP && budget[INTERRUPT] > 0)
            enabled |= bit(INTERRUPT, i);
    }
    return enabled;
}

static void
take_step(int choice, unsigned char *budget)
{
    enum choice_kind kind = (enum choice_kind)(choice / STEPPED_ACTORS);
    int actor = choice % STEPPED_ACTORS;
    if (kind != GO_ON)
        budget[kind]--;
    if (kind == TIME_OUT) {
        now += actors[actor].timeout_ns;
        end_sleep(&actors[actor], IX_PARK_TIMEOUT);
    }
    if (kind == INTERRUPT)
        end_sleep(&actors[actor], IX_PARK_INTERRUPTED);
    go_on(actor);
}

/* Going on with the same actor comes first, then the others in turn: `rank` counts in that order. */
static int
choice_of_rank(unsigned enabled, int last, int rank)
{
    if (last >= 0 && (enabled & bit(GO_ON, last)) && rank-- == 0)
        return last;
    for (int choice = 0; choice < STEPPED_ACTORS * CHOICE_KINDS; choice++) {
        if ((enabled & 1u << choice) && choice != last && rank-- == 0)
            return choice;
    }
    return -1;
}

static int
last_actor(const struct stepped_run *run, int count)
{
    return count == 0 ? -1 : run->steps[count - 1].choice % STEPPED_ACTORS;
}

static const char *
why_stuck(void)
{
    for (int i = 0; i < nactors; i++) {
        if (actors[i].status == BLOCKED)
            return "deadlock: a mutex is never unlocked";
        if (actors[i].status == ASLEEP && !scene_may_sleep(i))
            return "a lost wake-up: an actor sleeps for ever";
    }
    return NULL;
}

/* Those that sleep for ever begin the next run on a fresh stack. */
static void
renew_stuck(void)
{
    for (int i = 0; i < nactors; i++) {
        if (actors[i].status != ENDED)
            actors[i].has_stack = false;
    }
}

void
stepped_run(const struct scene_spec *spec, const unsigned char *schedule, int count,
            struct stepped_run *run)
{
    unsigned char budget[CHOICE_KINDS] = {255, spec->timeouts, spec->interrupts};
    unsigned enabled;
    scene_set_up(spec);
    begin(spec->count);
    run->verdict = RUN_FINISHED;
    run->fault = NULL;
    for (run->count = 0; (enabled = enabled_choices(budget)) != 0; run->count++) {
        if (run->count == STEPPED_STEPS) {
            run->verdict = RUN_TOO_LONG;
            renew_stuck(); /* what they hold is lost */
            return;
        }
        struct stepped_step *step = &run->steps[run->count];
        int choice = run->count < count ? schedule[run->count]
                                        : choice_of_rank(enabled, last_actor(run, run->count), 0);
        step->choice = (unsigned char)choice;
        step->enabled = enabled;
        take_step(choice, budget);
        scene_words(step->words);
    }
    run->fault = why_stuck();
    renew_stuck();
    run->result = scene_result();
    const char *fault = scene_tear_down();
    if (run->fault == NULL)
        run->fault = fault;
    if (run->fault != NULL)
        run->verdict = RUN_FAULT;
}

/* ---- every run ---- */

static void
note(struct stepped_summary *summary, unsigned long long result)
{
    int i = 0;
    while (i < summary->count && summary->results[i] != result)
        i++;
    if (i == STEPPED_RESULTS)
        return;
    if (i == summary->count) {
        summary->results[i] = result;
        summary->times[i] = 0;
        summary->count++;
    }
    summary->times[i]++;
}

/* How many switches before this step left an actor that could have gone on. */
static int
preemptions_before(const struct stepped_run *run, int count)
{
    int preemptions = 0;
    for (int i = 1; i < count; i++) {
        int last = last_actor(run, i);
        preemptions += run->steps[i].choice != last && (run->steps[i].enabled & bit(GO_ON, last));
    }
    return preemptions;
}

static int
rank_of(const struct stepped_step *step, int last)
{
    int rank = 0;
    while (choice_of_rank(step->enabled, last, rank) != step->choice)
        rank++;
    return rank;
}

/* Writes the schedule that comes after this run's; returns its length, 0 if there is none. */
static int
next_schedule(const struct stepped_run *run, int preemptions, unsigned char *schedule)
{
    for (int i = run->count - 1; i >= 0; i--) {
        const struct stepped_step *step = &run->steps[i];
        int last = last_actor(run, i);
        int next = choice_of_rank(step->enabled, last, rank_of(step, last) + 1);
        bool preempts = last >= 0 && (step->enabled & bit(GO_ON, last));
        if (next < 0 || (preempts && preemptions >= 0 && preemptions_before(run, i) >= preemptions))
            continue;
        for (int j = 0; j < i; j++)
            schedule[j] = run->steps[j].choice;
        schedule[i] = (unsigned char)next;
        return i + 1;
    }
    return 0;
}

void
stepped_explore(const struct scene_spec *spec, int preemptions, long limit,
                struct stepped_summary *summary)
{
    unsigned char schedule[STEPPED_STEPS];
    int count = 0;
    summary->runs = 0;
    summary->count = 0;
    do {
        stepped_run(spec, schedule, count, &summary->worst);
        summary->runs++;
        if (summary->worst.verdict != RUN_FINISHED)
            return;
        note(summary, summary->worst.result);
        count = next_schedule(&summary->worst, preemptions, schedule);
    } while (count != 0 && summary->runs < limit);
}
