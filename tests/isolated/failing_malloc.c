/* To be preloaded: lets the nth allocation fail that the code of one library makes, on whatever thread. What
 * others allocate, CPython above all, is none of its business. For glibc, whose own names it uses. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);

static uintptr_t begin, end; /* the library's code; set before the first arming */
static _Atomic long left;

/* What code to watch. */
void
failing_malloc_watch(uintptr_t first, uintptr_t after)
{
    begin = first;
    end = after;
}

/* The nth allocation from now on fails, 1 being the next; 0: none does. */
void
failing_malloc_arm(long nth)
{
    atomic_store(&left, nth);
}

/* Whether it has failed. */
bool
failing_malloc_has_failed(void)
{
    return atomic_load(&left) < 0;
}

static bool
fails(const void *caller)
{
    if (atomic_load_explicit(&left, memory_order_relaxed) <= 0)
        return false;
    if ((uintptr_t)caller < begin || (uintptr_t)caller >= end)
        return false;
    long before = atomic_fetch_sub(&left, 1);
    if (before == 1)
        atomic_store(&left, -1);
    return before == 1;
}

void *
malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *block, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(block, size);
}
