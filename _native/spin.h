/* When to spin before parking.
 *
 * Waking a sleeping thread costs a system call on one side and, on a virtual machine with idle
 * cores, tens of microseconds on the other. A thread that expects its word to change soon saves
 * both by watching it for a moment first. That pays only while another core makes the change, so
 * each waiter keeps score: it spins while spinning has lately paid, and otherwise tries again once
 * in a while. Pinned to one core it never pays, and the score finds that out without being told. Nor does
 * anybody spin while the pool's workers have use for every core: see ix_queue_await().
 *
 * Context: no GIL held while spinning. Locks: none. A score belongs to one waiter; where several
 * threads share one (a pool's callers of result()), a lost update costs a guess, not correctness.
 */
#ifndef IX_SPIN_H
#define IX_SPIN_H

#include "park.h"

#define IX_SPIN_NS 40000       /* about what a wake-up costs on two idle virtual cores */
#define IX_SPIN_MAX_SCORE 16   /* so many failures in a row end the spinning */
#define IX_SPIN_PROBE_EVERY 64 /* and so seldom it is tried again */

struct ix_spin {
    _Atomic int32_t score;   /* > 0: spin */
    _Atomic int32_t skipped; /* waits since the last try, while the score is 0 */
};

static inline bool
ix_spin_worth_it(struct ix_spin *spin)
{
    if (atomic_load_explicit(&spin->score, memory_order_relaxed) > 0)
        return true;
    int32_t skipped = atomic_load_explicit(&spin->skipped, memory_order_relaxed) + 1;
    bool probe = skipped >= IX_SPIN_PROBE_EVERY;
    atomic_store_explicit(&spin->skipped, probe ? 0 : skipped, memory_order_relaxed);
    return probe;
}

static inline void
ix_spin_learn(struct ix_spin *spin, bool paid)
{
    int32_t score = atomic_load_explicit(&spin->score, memory_order_relaxed);
    score += paid ? 2 : -1;
    if (score < 0)
        score = 0;
    if (score > IX_SPIN_MAX_SCORE)
        score = IX_SPIN_MAX_SCORE;
    atomic_store_explicit(&spin->score, score, memory_order_relaxed);
}

/* Watches the word until (*word & mask) != expected or the time is over; true if it changed. */
static inline bool
ix_spin_wait(struct ix_spin *spin, _Atomic uint32_t *word, uint32_t mask, uint32_t expected)
{
    if (!ix_spin_worth_it(spin))
        return false;
    int64_t end = ix_now_ns() + IX_SPIN_NS;
    do {
        for (int i = 0; i < 16; i++) {
            if ((atomic_load_explicit(word, memory_order_acquire) & mask) != expected) {
                ix_spin_learn(spin, true);
                return true;
            }
            ix_cpu_relax();
        }
    } while (ix_now_ns() < end);
    ix_spin_learn(spin, false);
    return false;
}

#endif
