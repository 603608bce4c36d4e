#include "outbox.h"

#include <assert.h>

struct ix_outbox *
ix_outbox_new(void)
{
    struct ix_outbox *outbox = malloc(sizeof *outbox);
    if (outbox == NULL)
        return NULL;
    atomic_init(&outbox->refs, 1);
    atomic_init(&outbox->word, IX_OUTBOX_AWAKE);
    atomic_init(&outbox->head, NULL);
    return outbox;
}

void
ix_outbox_acquire(struct ix_outbox *outbox)
{
    atomic_fetch_add_explicit(&outbox->refs, 1, memory_order_relaxed);
}

void
ix_outbox_release(struct ix_outbox *outbox)
{
    if (outbox == NULL || atomic_fetch_sub_explicit(&outbox->refs, 1, memory_order_acq_rel) != 1)
        return;
    assert(atomic_load(&outbox->head) == NULL);
    free(outbox);
}

static struct ix_task *
next_of(struct ix_task *task)
{
    return (struct ix_task *)task->entry.next; /* the entry is a task's first member */
}

void
ix_outbox_push(struct ix_outbox *outbox, struct ix_task *task)
{
    struct ix_task *head = atomic_load_explicit(&outbox->head, memory_order_relaxed);
    do {
        task->entry.next = head == NULL ? NULL : &head->entry;
    } while (!atomic_compare_exchange_weak_explicit(&outbox->head, &head, task,
                                                    memory_order_seq_cst, memory_order_relaxed));
}

void
ix_outbox_ring(struct ix_outbox *outbox)
{
    /* The push and this look are sequentially consistent, and so are the notifier's "asleep" and its
     * look at the head: at least one of the two sees the other. */
    uint32_t asleep = IX_OUTBOX_ASLEEP;
    if (atomic_load(&outbox->word) == IX_OUTBOX_ASLEEP
        && atomic_compare_exchange_strong(&outbox->word, &asleep, IX_OUTBOX_AWAKE))
        ix_park_wake_all(&outbox->word);
}

void
ix_outbox_nudge(struct ix_outbox *outbox)
{
    uint32_t word = atomic_load(&outbox->word);
    while (word == IX_OUTBOX_AWAKE || word == IX_OUTBOX_ASLEEP) {
        if (atomic_compare_exchange_weak(&outbox->word, &word, IX_OUTBOX_NUDGED)) {
            if (word == IX_OUTBOX_ASLEEP)
                ix_park_wake_all(&outbox->word);
            return;
        }
    }
}

struct ix_task *
ix_outbox_take(struct ix_outbox *outbox)
{
    struct ix_task *newest = atomic_exchange(&outbox->head, NULL);
    struct ix_task *oldest = NULL;
    while (newest != NULL) {
        struct ix_task *next = next_of(newest);
        newest->entry.next = oldest == NULL ? NULL : &oldest->entry;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

bool
ix_outbox_wait(struct ix_outbox *outbox)
{
    for (;;) {
        uint32_t awake = IX_OUTBOX_AWAKE;
        if (atomic_load(&outbox->head) != NULL)
            return true;
        if (!atomic_compare_exchange_strong(&outbox->word, &awake, IX_OUTBOX_ASLEEP)) {
            if (awake == IX_OUTBOX_CLOSED)
                return atomic_load(&outbox->head) != NULL;
            /* nudged; if it is closed just now, the next call sees that */
            atomic_compare_exchange_strong(&outbox->word, &awake, IX_OUTBOX_AWAKE);
            return true;
        }
        if (atomic_load(&outbox->head) == NULL)
            ix_park_wait(&outbox->word, IX_OUTBOX_ASLEEP, -1);
        uint32_t asleep = IX_OUTBOX_ASLEEP;
        atomic_compare_exchange_strong(&outbox->word, &asleep, IX_OUTBOX_AWAKE);
    }
}

void
ix_outbox_close(struct ix_outbox *outbox)
{
    atomic_store(&outbox->word, IX_OUTBOX_CLOSED);
    ix_park_wake_all(&outbox->word);
}
