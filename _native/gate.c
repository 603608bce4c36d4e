#include "gate.h"

bool
ix_gate_enter(struct ix_gate *gate)
{
    uint32_t word = atomic_load_explicit(&gate->word, memory_order_relaxed);
    do {
        if (word & IX_GATE_CLOSED)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&gate->word, &word, word + 1,
                                                    memory_order_acq_rel, memory_order_relaxed));
    return true;
}

void
ix_gate_leave(struct ix_gate *gate)
{
    uint32_t word = atomic_fetch_sub_explicit(&gate->word, 1, memory_order_acq_rel);
    if (word == (IX_GATE_CLOSED | 1))
        ix_park_wake_all(&gate->word);
}

void
ix_gate_close(struct ix_gate *gate)
{
    uint32_t word = atomic_fetch_or_explicit(&gate->word, IX_GATE_CLOSED, memory_order_acq_rel)
                    | IX_GATE_CLOSED;
    while (word != IX_GATE_CLOSED) {
        ix_park_wait(&gate->word, word, -1);
        word = atomic_load_explicit(&gate->word, memory_order_acquire);
    }
}
