#include "alarm.h"

#include <stdlib.h>

struct ix_alarm *
ix_alarm_new(void)
{
    struct ix_alarm *alarm = malloc(sizeof *alarm);
    if (alarm == NULL)
        return NULL;
    atomic_init(&alarm->refs, 1);
    atomic_init(&alarm->word, 0);
    atomic_init(&alarm->until, INT64_MAX);
    return alarm;
}

void
ix_alarm_acquire(struct ix_alarm *alarm)
{
    atomic_fetch_add_explicit(&alarm->refs, 1, memory_order_relaxed);
}

void
ix_alarm_release(struct ix_alarm *alarm)
{
    if (alarm != NULL && atomic_fetch_sub_explicit(&alarm->refs, 1, memory_order_acq_rel) == 1)
        free(alarm);
}

void
ix_alarm_set(struct ix_alarm *alarm, _Atomic int64_t *deadline, int64_t at)
{
    atomic_store(deadline, at);
    if (at < atomic_load(&alarm->until))
        ix_alarm_ring(alarm);
}

void
ix_alarm_ring(struct ix_alarm *alarm)
{
    atomic_fetch_add(&alarm->word, 2);
    ix_park_wake_all(&alarm->word);
}

void
ix_alarm_close(struct ix_alarm *alarm)
{
    atomic_fetch_or(&alarm->word, IX_ALARM_CLOSED);
    ix_park_wake_all(&alarm->word);
}

uint32_t
ix_alarm_prepare(struct ix_alarm *alarm)
{
    uint32_t ticket = atomic_load(&alarm->word);
    atomic_store(&alarm->until, INT64_MAX);
    return ticket;
}

void
ix_alarm_sleep(struct ix_alarm *alarm, uint32_t ticket, int64_t until)
{
    int64_t left = -1;
    atomic_store(&alarm->until, until);
    if (until != INT64_MAX) {
        left = until - ix_now_ns();
        if (left <= 0)
            return;
    }
    ix_park_wait(&alarm->word, ticket, left);
}
