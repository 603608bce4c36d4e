/* What a queue holds: the first member of a task and of a map job, with their reference count. */
#ifndef IX_ENTRY_H
#define IX_ENTRY_H

#include <stdatomic.h>
#include <stdint.h>

enum ix_entry_kind { IX_ENTRY_TASK, IX_ENTRY_JOB };

struct ix_entry {
    struct ix_entry *next; /* protected by the queue's lock, or by whoever holds the entry */
    _Atomic uint32_t refs;
    enum ix_entry_kind kind;
};

/* Context: any, with a reference, or under the lock of something that holds one. */
static inline void
ix_entry_acquire(struct ix_entry *entry)
{
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
}

/* Gives a reference to a task or job back; the last one frees it. NULL is fine. Context: any. */
void ix_entry_release(struct ix_entry *entry);

#endif
