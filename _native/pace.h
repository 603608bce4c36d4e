/* How fast the items of a map go, and so how many a worker takes at a time.
 *
 * One item at first, then enough for about a millisecond, fewer towards the end: long items balance, and
 * short ones are batched. Context: any. Locks: none of its own; a job's pace is protected by its lock.
 */
#ifndef IX_PACE_H
#define IX_PACE_H

#include <stddef.h>
#include <stdint.h>

struct ix_pace {
    int64_t item_ns; /* moving average; 0: not measured yet */
};

/* Takes in that `count` items, at least one, took so long. */
void ix_pace_learn(struct ix_pace *pace, uint32_t count, int64_t elapsed_ns);
/* So many items make a claim, at least one, while more may come. */
size_t ix_pace_claim(const struct ix_pace *pace);
/* The same where only `left` items are left, which so many workers share. */
size_t ix_pace_last_claim(const struct ix_pace *pace, size_t left, unsigned workers);

#endif
