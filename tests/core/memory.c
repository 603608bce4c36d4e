/* The build has renamed these for the core's files; here the real ones are meant. */
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef pthread_mutex_init
#include "memory.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

void *ix_test_calloc(size_t count, size_t size);
void *ix_test_realloc(void *block, size_t size);
int ix_test_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes);

/* No C11 atomics: in the stepped variant each of those is a step. */
static long blocks;
static _Thread_local long fails_in;
static _Thread_local int mutex_error;

long
ix_test_blocks(void)
{
    return __atomic_load_n(&blocks, __ATOMIC_SEQ_CST);
}

void
ix_test_fail_allocation(long nth)
{
    fails_in = nth;
}

void
ix_test_fail_mutex(int error)
{
    mutex_error = error;
}

static bool
fails(void)
{
    return fails_in > 0 && --fails_in == 0;
}

static void *
counted(void *block)
{
    if (block != NULL)
        __atomic_add_fetch(&blocks, 1, __ATOMIC_SEQ_CST);
    return block;
}

void *
ix_test_malloc(size_t size)
{
    return fails() ? NULL : counted(malloc(size));
}

void *
ix_test_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(calloc(count, size));
}

void *
ix_test_realloc(void *block, size_t size)
{
    if (block == NULL)
        return ix_test_malloc(size);
    return fails() ? NULL : realloc(block, size);
}

void
ix_test_free(void *block)
{
    if (block != NULL)
        __atomic_sub_fetch(&blocks, 1, __ATOMIC_SEQ_CST);
    free(block);
}

int
ix_test_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attributes)
{
    int error = mutex_error;
    mutex_error = 0;
    return error != 0 ? error : pthread_mutex_init(mutex, attributes);
}
