#include "seat.h"

static void
begin_work(struct ix_seat *seat)
{
    atomic_store_explicit(&seat->awake_since, ix_coarse_now_ns(), memory_order_relaxed);
}

void
ix_seat_begin(struct ix_seat *seat)
{
    /* Whoever has come too late for a run of the last lease may still look at its number. */
    const size_t kept = sizeof seat->run;
    memset((char *)seat + kept, 0, sizeof *seat - kept);
    begin_work(seat);
}

void
ix_seat_rest(struct ix_seat *seat)
{
    atomic_store_explicit(&seat->awake_since, 0, memory_order_relaxed);
    atomic_store_explicit(&seat->awake_ns, 0, memory_order_relaxed);
}

static void
begin_wait(struct ix_seat *seat)
{
    int64_t awake = ix_seat_awake_ns(seat);
    atomic_store_explicit(&seat->awake_since, 0, memory_order_relaxed);
    atomic_store_explicit(&seat->awake_ns, awake, memory_order_relaxed);
}

int64_t
ix_seat_awake_ns(struct ix_seat *seat)
{
    int64_t awake = atomic_load_explicit(&seat->awake_ns, memory_order_relaxed);
    int64_t since = atomic_load_explicit(&seat->awake_since, memory_order_relaxed);
    return since == 0 ? awake : awake + ix_coarse_now_ns() - since;
}

bool
ix_seat_sleep(struct ix_seat *seat)
{
    uint32_t word = IX_SEAT_WATCHING;
    begin_wait(seat);
    bool changed = seat->may_spin && ix_spin_wait(&seat->spin, &seat->word, ~0u, IX_SEAT_WATCHING);
    if (!changed
        && atomic_compare_exchange_strong_explicit(&seat->word, &word, IX_SEAT_SLEEPING,
                                                   memory_order_acq_rel, memory_order_acquire)) {
        while (atomic_load_explicit(&seat->word, memory_order_acquire) == IX_SEAT_SLEEPING)
            ix_park_wait(&seat->word, IX_SEAT_SLEEPING, -1);
    }
    word = IX_SEAT_NUDGED;
    seat->woken = !atomic_compare_exchange_strong(&seat->word, &word, IX_SEAT_WATCHING);
    begin_work(seat);
    return seat->woken;
}

void
ix_seat_nap(struct ix_seat *seat, _Atomic uint32_t *roused, int64_t ns)
{
    begin_wait(seat);
    ix_park_wait(roused, seat->roused, ns);
    begin_work(seat);
}

void
ix_seat_nudge(struct ix_seat *seat)
{
    uint32_t word = atomic_load(&seat->word);
    while (word == IX_SEAT_WATCHING || word == IX_SEAT_SLEEPING) {
        if (atomic_compare_exchange_weak(&seat->word, &word, IX_SEAT_NUDGED)) {
            if (word == IX_SEAT_SLEEPING)
                ix_park_wake_one(&seat->word);
            return;
        }
    }
}

static void
add(_Atomic uint64_t *count)
{
    uint64_t value = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, value + 1, memory_order_release); /* one writer: no need to lock */
}

void
ix_seat_open_run(struct ix_seat *seat)
{
    uint64_t run = atomic_load_explicit(&seat->run, memory_order_relaxed);
    atomic_store_explicit(&seat->run, (run + 1) | 1, memory_order_release); /* the next odd one */
}

void
ix_seat_close_run(struct ix_seat *seat)
{
    uint64_t run = atomic_load_explicit(&seat->run, memory_order_relaxed);
    atomic_store_explicit(&seat->deadline, 0, memory_order_release);
    atomic_store_explicit(&seat->run, run + (run & 1), memory_order_release);
}

void
ix_seat_count_stop(struct ix_seat *seat, bool late)
{
    add(late ? &seat->late : &seat->interrupted);
}

static void
add_many(_Atomic uint64_t *count, size_t many)
{
    uint64_t value = atomic_load_explicit(count, memory_order_relaxed);
    atomic_store_explicit(count, value + many, memory_order_relaxed);
}

void
ix_seat_count_items(struct ix_seat *seat, uint32_t items)
{
    add_many(&seat->mapped, items);
}

void
ix_seat_account(struct ix_seat *seat, size_t length, struct ix_attachments *attachments)
{
    for (; attachments != NULL; attachments = attachments->next) {
        length += attachments->copied;
        add_many(&seat->lent, attachments->lent);
    }
    add_many(&seat->copied, length);
}

void
ix_seat_settle(struct ix_seat *seat, enum ix_fate fate)
{
    bool stopped = fate == IX_FATE_INTERRUPTED || fate == IX_FATE_LATE;
    bool failed = stopped || fate == IX_FATE_FAILED;
    atomic_store_explicit(&seat->busy, false, memory_order_relaxed);
    if (failed || fate == IX_FATE_VALUE)
        add(&seat->finished);
    if (failed)
        add(&seat->failed);
    if (fate == IX_FATE_CANCELLED)
        add(&seat->cancelled);
    if (stopped)
        ix_seat_count_stop(seat, fate == IX_FATE_LATE);
}
