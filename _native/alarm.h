/* The clock of an owner's watchdog: workers set deadlines, and one thread sleeps until the next.
 *
 * A worker stores its deadline in a word of its own and then looks at the time until which the
 * watchdog means to sleep; it wakes it only if that is later. The watchdog first asks to be woken by
 * anybody, then looks at all deadlines, and then sleeps until the earliest, unless somebody has rung. The
 * store and the look are sequentially consistent on both sides (Dekker's pattern), so at least one of the
 * two sees the other. A call without a deadline does not come near any of this.
 */
#ifndef IX_ALARM_H
#define IX_ALARM_H

#include "park.h"

#define IX_ALARM_CLOSED 1u /* in `word`, which otherwise counts rings by twos */

struct ix_alarm {
    _Atomic uint32_t refs;
    _Atomic uint32_t word;
    _Atomic int64_t until; /* the watchdog sleeps until then; INT64_MAX: it wants every ring */
};

struct ix_alarm *ix_alarm_new(void); /* one reference, or NULL without memory */
void ix_alarm_acquire(struct ix_alarm *alarm);
void ix_alarm_release(struct ix_alarm *alarm); /* NULL is fine */

/* Sets a worker's deadline, a time of ix_now_ns(). Context: any GIL or none. */
void ix_alarm_set(struct ix_alarm *alarm, _Atomic int64_t *deadline, int64_t at);
/* Ends the sleep under way, or the next one. Context: any GIL or none. */
void ix_alarm_ring(struct ix_alarm *alarm);
void ix_alarm_close(struct ix_alarm *alarm);

/* Before the watchdog looks at the deadlines. Returns what to sleep on; IX_ALARM_CLOSED is set in it once
 * the alarm is closed. Context: the watchdog. */
uint32_t ix_alarm_prepare(struct ix_alarm *alarm);
/* Sleeps until the time given (INT64_MAX: for ever) or a ring since `ticket` was drawn. Context: the
 * watchdog, no GIL held. */
void ix_alarm_sleep(struct ix_alarm *alarm, uint32_t ticket, int64_t until);

#endif
