/* Blocking on a 32-bit word, and the clock: all that the core asks of a platform.
 *
 * Context: no GIL is needed by anything here; callers release theirs before they block.
 * Lost wake-ups cannot happen: a waiter sleeps only while the word still holds `expected`, and a
 * waker changes the word before it wakes.
 */
#ifndef IX_PARK_H
#define IX_PARK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum ix_park {
    IX_PARK_WOKEN,       /* woken, or the word had changed, or for no reason: look at the word */
    IX_PARK_TIMEOUT,     /* the time given is over */
    IX_PARK_INTERRUPTED, /* a signal handler ran, or a slice ended: let Python look for signals */
};

/* Sleeps while *word == expected, for at most timeout_ns (negative: for ever).
 * Context: no GIL held. Locks: excludes all. */
enum ix_park ix_park_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);

/* Wakes one, or all, of those that sleep on the word. Context: any. Locks: may be held. */
void ix_park_wake_one(_Atomic uint32_t *word);
void ix_park_wake_all(_Atomic uint32_t *word);

/* Makes waiting and waking work in a forked child, whatever the parent's threads were at. Context: the
 * child's only thread, inside fork(). */
void ix_park_begin_child(void);

/* Nanoseconds on a clock that never goes back. */
int64_t ix_now_ns(void);

/* The same clock, as it was at the last tick of the system's timer, some milliseconds ago at most: it costs
 * a fifth, and adds up to the right sum. Where there is no such clock, ix_now_ns(). */
int64_t ix_coarse_now_ns(void);

/* How many processors this process may run on: 1 means that spinning can never pay. */
int ix_cpu_count(void);

static inline void
ix_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
