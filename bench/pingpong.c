/* A bare ping-pong between two threads: what a wake-up costs here, at least.
 *
 * The caller stores a number in `ping` and wakes the other thread, which stores
 * it in `pong` and wakes the caller. No Python, no lock, no queue: a round trip
 * through any executor pays at least this, unless somebody spins.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct side {
    _Atomic unsigned value;
#ifndef __linux__
    pthread_mutex_t mutex;
    pthread_cond_t changed;
#endif
};

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
side_init(struct side *side)
{
    atomic_init(&side->value, 0);
}

static void
side_set(struct side *side, unsigned value)
{
    atomic_store(&side->value, value);
    syscall(SYS_futex, &side->value, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void
side_await(struct side *side, unsigned value)
{
    unsigned seen;
    while ((seen = atomic_load(&side->value)) != value) {
        syscall(SYS_futex, &side->value, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    }
}
#else
static void
side_init(struct side *side)
{
    atomic_init(&side->value, 0);
    pthread_mutex_init(&side->mutex, NULL);
    pthread_cond_init(&side->changed, NULL);
}

static void
side_set(struct side *side, unsigned value)
{
    pthread_mutex_lock(&side->mutex);
    atomic_store(&side->value, value);
    pthread_cond_signal(&side->changed);
    pthread_mutex_unlock(&side->mutex);
}

static void
side_await(struct side *side, unsigned value)
{
    pthread_mutex_lock(&side->mutex);
    while (atomic_load(&side->value) != value) {
        pthread_cond_wait(&side->changed, &side->mutex);
    }
    pthread_mutex_unlock(&side->mutex);
}
#endif

struct table {
    struct side ping, pong;
    unsigned rounds;
};

static void *
answer(void *argument)
{
    struct table *table = argument;
    for (unsigned i = 1; i <= table->rounds; i++) {
        side_await(&table->ping, i);
        side_set(&table->pong, i);
    }
    return NULL;
}

static double
now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Play `rounds` round trips and store the seconds of each in `durations`.
 * Returns 0, or the errno with which the second thread could not start. */
int
bench_pingpong(unsigned rounds, double *durations)
{
    struct table table = {.rounds = rounds};
    pthread_t other;

    side_init(&table.ping);
    side_init(&table.pong);
    int error = pthread_create(&other, NULL, answer, &table);
    if (error != 0) {
        return error;
    }
    for (unsigned i = 1; i <= rounds; i++) {
        double started = now();
        side_set(&table.ping, i);
        side_await(&table.pong, i);
        durations[i - 1] = now() - started;
    }
    pthread_join(other, NULL);
    return 0;
}
