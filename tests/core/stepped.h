/* The core's threads as coroutines of one thread, which a schedule moves one shared step at a time.
 *
 * The build includes this file before all others, so that each operation on an atomic, each lock of a
 * mutex and each call of the parker first gives control to the scheduler: see stepped.c. What lies
 * between two such steps touches nothing that is shared, so the schedules are all the interleavings there
 * are (sequentially consistent ones: orderings weaker than that are the thread sanitizer's matter).
 */
#ifndef IX_STEPPED_H
#define IX_STEPPED_H

#include <stdatomic.h>
#include <stdbool.h>

/* Gives control to the scheduler, which comes back when the schedule says so. */
void ix_step(void);

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_exchange
#undef atomic_exchange_explicit
#undef atomic_fetch_add
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit

#define IX_SC __ATOMIC_SEQ_CST
#define atomic_load(object) (ix_step(), __atomic_load_n(object, IX_SC))
#define atomic_load_explicit(object, order) atomic_load(object)
#define atomic_store(object, value) (ix_step(), __atomic_store_n(object, value, IX_SC))
#define atomic_store_explicit(object, value, order) atomic_store(object, value)
#define atomic_exchange(object, value) (ix_step(), __atomic_exchange_n(object, value, IX_SC))
#define atomic_exchange_explicit(object, value, order) atomic_exchange(object, value)
#define atomic_fetch_add(object, value) (ix_step(), __atomic_fetch_add(object, value, IX_SC))
#define atomic_fetch_add_explicit(object, value, order) atomic_fetch_add(object, value)
#define atomic_fetch_sub(object, value) (ix_step(), __atomic_fetch_sub(object, value, IX_SC))
#define atomic_fetch_sub_explicit(object, value, order) atomic_fetch_sub(object, value)
#define atomic_fetch_or(object, value) (ix_step(), __atomic_fetch_or(object, value, IX_SC))
#define atomic_fetch_or_explicit(object, value, order) atomic_fetch_or(object, value)
#define atomic_compare_exchange_strong(object, expected, value) \
    (ix_step(), __atomic_compare_exchange_n(object, expected, value, 0, IX_SC, IX_SC))
#define atomic_compare_exchange_strong_explicit(object, expected, value, success, failure) \
    atomic_compare_exchange_strong(object, expected, value)
#define atomic_compare_exchange_weak_explicit(object, expected, value, success, failure) \
    atomic_compare_exchange_strong(object, expected, value)

/* ---- for scenes.c and cffi ---- */

#define STEPPED_ACTORS 6
#define STEPPED_STEPS 240
#define STEPPED_WORDS 4

/* What a schedule may choose: that an actor goes on, or that its sleep ends for another reason than a
 * wake-up. A choice is a kind times STEPPED_ACTORS plus the actor's number. */
enum choice_kind { GO_ON, TIME_OUT, INTERRUPT, CHOICE_KINDS };

enum verdict {
    RUN_FINISHED, /* every actor has ended, or may sleep for ever where it is */
    RUN_FAULT,    /* something happened that must not: `fault` says what */
    RUN_TOO_LONG,
};

struct stepped_step {
    unsigned char choice;
    unsigned int enabled;              /* a bit for each choice there was */
    unsigned int words[STEPPED_WORDS]; /* the shared words after it: see scene_words() */
};

struct stepped_run {
    enum verdict verdict;
    const char *fault;
    unsigned long long result; /* see scene_result() */
    int count;
    struct stepped_step steps[STEPPED_STEPS];
};

#define STEPPED_RESULTS 400
struct stepped_summary {
    long runs;
    int count;
    unsigned long long results[STEPPED_RESULTS];
    long times[STEPPED_RESULTS];
    struct stepped_run worst; /* the first that was not RUN_FINISHED, or the last */
};

struct actor_spec {
    int body; /* enum scene_body */
    int param;
};

struct scene_spec {
    int count;
    struct actor_spec actors[STEPPED_ACTORS];
    unsigned char timeouts, interrupts; /* how many may happen in a run */
    int cores;                          /* as the queue sees them; 0: two */
    int before;                         /* so many entries are queued from the start */
    int entries, jobs; /* what is pushed: so many tasks, then so many jobs of two turns */
    int items_each;    /* a map's items for each that publishes */
    int spins;         /* the score with which workers begin: above 0, they spin */
    int streak;        /* of tasks that workers have taken before: from 8 on, they nap */
};

/* Runs a scene once: by the schedule as far as it goes, then with as few switches as can be. */
void stepped_run(const struct scene_spec *spec, const unsigned char *schedule, int count,
                 struct stepped_run *run);
/* Runs a scene in every way there is with at most so many preemptions (negative: any number), until
 * one goes wrong or `limit` have been run. */
void stepped_explore(const struct scene_spec *spec, int preemptions, long limit,
                     struct stepped_summary *summary);

/* scenes.c */
void scene_set_up(const struct scene_spec *spec);
void scene_act(int actor);
/* Whether an actor that sleeps for ever has every right to. */
bool scene_may_sleep(int actor);
/* What is wrong at the end, or NULL. Frees everything. */
const char *scene_tear_down(void);
unsigned long long scene_result(void);
void scene_words(unsigned int *words);

#endif
