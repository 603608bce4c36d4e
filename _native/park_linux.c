#define _GNU_SOURCE
#include "park.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long
futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
    return syscall(SYS_futex, (uint32_t *)word, operation | FUTEX_PRIVATE_FLAG, value, timeout,
                   NULL, 0);
}

enum ix_park
ix_park_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct timespec timeout = {
        .tv_sec = timeout_ns / 1000000000,
        .tv_nsec = timeout_ns % 1000000000,
    };
    if (futex(word, FUTEX_WAIT, expected, timeout_ns < 0 ? NULL : &timeout) == 0)
        return IX_PARK_WOKEN;
    switch (errno) {
    case ETIMEDOUT:
        return IX_PARK_TIMEOUT;
    case EINTR:
        return IX_PARK_INTERRUPTED;
    default: /* EAGAIN: the word changed first */
        return IX_PARK_WOKEN;
    }
}

void
ix_park_wake_one(_Atomic uint32_t *word)
{
    futex(word, FUTEX_WAKE, 1, NULL);
}

void
ix_park_wake_all(_Atomic uint32_t *word)
{
    futex(word, FUTEX_WAKE, INT_MAX, NULL);
}

void
ix_park_begin_child(void)
{
    /* The kernel keeps what there is, and nothing of it crosses a fork. */
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
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int
ix_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
    return 1;
}
