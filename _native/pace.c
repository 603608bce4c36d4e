#include "pace.h"

#define CLAIM_NS 1000000     /* a claim aims at so much work */
#define CLAIM_LEAST_NS 50000 /* and is not cut below so much, where items are that short */
#define SHARES 4             /* towards the end a claim takes 1/SHARES of a worker's share */

void
ix_pace_learn(struct ix_pace *pace, uint32_t count, int64_t elapsed_ns)
{
    int64_t item_ns = elapsed_ns / count + 1;
    /* Slower than thought: believe it at once, lest the next claim takes too long. Faster: by halves,
     * since the first items may have paid for an import. */
    if (pace->item_ns == 0 || item_ns > pace->item_ns)
        pace->item_ns = item_ns;
    else
        pace->item_ns = (pace->item_ns + item_ns + 1) / 2;
}

size_t
ix_pace_claim(const struct ix_pace *pace)
{
    size_t size = pace->item_ns == 0 ? 1 : (size_t)(CLAIM_NS / pace->item_ns);
    return size > 0 ? size : 1;
}

size_t
ix_pace_last_claim(const struct ix_pace *pace, size_t left, unsigned workers)
{
    size_t size = ix_pace_claim(pace);
    size_t share = left / ((size_t)SHARES * workers);
    size_t least = pace->item_ns == 0 ? 1 : (size_t)(CLAIM_LEAST_NS / pace->item_ns);
    if (share < least)
        share = least;
    if (size > share)
        size = share;
    return size > 0 ? size : 1;
}
