/* Copying into large fresh memory, most of whose cost is that of the system's giving the pages. */
#ifndef IX_FILL_H
#define IX_FILL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __linux__
#include <sys/mman.h>
#endif

#define IX_HUGE_PAGE ((uintptr_t)2 << 20)

/* Copies into memory that has not been touched yet and will be filled from end to end: so the system may as
 * well give it in large pages, where it has such. Context: any. */
static inline void
ix_fill(void *memory, const void *data, size_t length)
{
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    uintptr_t start = ((uintptr_t)memory + IX_HUGE_PAGE - 1) & ~(IX_HUGE_PAGE - 1);
    uintptr_t end = ((uintptr_t)memory + length) & ~(IX_HUGE_PAGE - 1);
    if (length >= 2 * IX_HUGE_PAGE && start < end)
        (void)madvise((void *)start, end - start,
                      MADV_HUGEPAGE); /* advice: a refusal costs time alone */
#endif
    memcpy(memory, data, length);
}

#endif
