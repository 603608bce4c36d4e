/* Where there is no futex: a small table of mutexes and condition variables, chosen by the address
 * of the word, as in WebKit's parking lot. A bucket may be shared by several words, so a wake-up
 * wakes the whole bucket and each waiter looks at its own word again. */
#define _POSIX_C_SOURCE 200809L
#define _DARWIN_C_SOURCE /* for pthread_cond_timedwait_relative_np */
#include "park.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define BUCKETS 64
/* Condition variables swallow signals: waits come back this often so that Python can look. */
#define SLICE_NS 20000000

struct bucket {
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static struct bucket buckets[BUCKETS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Waits go by the steady clock: a step of the wall clock must not stretch them. */
static void
init_condition(pthread_cond_t *condition)
{
#ifdef __APPLE__
    pthread_cond_init(condition, NULL); /* has no clock, and waits for a time from now */
#else
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
#endif
}

static void
init_buckets(void)
{
    for (int i = 0; i < BUCKETS; i++) {
        pthread_mutex_init(&buckets[i].lock, NULL);
        init_condition(&buckets[i].changed);
    }
}

static struct bucket *
bucket_of(_Atomic uint32_t *word)
{
    pthread_once(&once, init_buckets);
    return &buckets[((uintptr_t)word >> 4) % BUCKETS];
}

/* Context: the bucket is locked. Returns 0 or ETIMEDOUT. */
static int
wait_locked(struct bucket *bucket, int64_t ns)
{
#ifdef __APPLE__
    struct timespec left = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return pthread_cond_timedwait_relative_np(&bucket->changed, &bucket->lock, &left);
#else
    ns += ix_now_ns();
    struct timespec deadline = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    return pthread_cond_timedwait(&bucket->changed, &bucket->lock, &deadline);
#endif
}

enum ix_park
ix_park_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    bool sliced = timeout_ns < 0 || timeout_ns > SLICE_NS;
    struct bucket *bucket = bucket_of(word);
    int error = 0;

    pthread_mutex_lock(&bucket->lock);
    if (atomic_load(word) == expected)
        error = wait_locked(bucket, sliced ? SLICE_NS : timeout_ns);
    pthread_mutex_unlock(&bucket->lock);
    if (error == ETIMEDOUT)
        return sliced ? IX_PARK_INTERRUPTED : IX_PARK_TIMEOUT;
    return IX_PARK_WOKEN;
}

void
ix_park_wake_all(_Atomic uint32_t *word)
{
    struct bucket *bucket = bucket_of(word);
    /* Taking the lock orders this after a waiter's look at the word, before its sleep. */
    pthread_mutex_lock(&bucket->lock);
    pthread_cond_broadcast(&bucket->changed);
    pthread_mutex_unlock(&bucket->lock);
}

void
ix_park_wake_one(_Atomic uint32_t *word)
{
    ix_park_wake_all(word);
}

void
ix_park_begin_child(void)
{
    pthread_once(&once, init_buckets);
    init_buckets(); /* a thread that is gone may have held one of them */
}

int64_t
ix_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
ix_coarse_now_ns(void)
{
    return ix_now_ns();
}

int
ix_cpu_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int)count : 1;
}
