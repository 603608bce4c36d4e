/* Counts the blocks that the core holds, and makes allocations fail when a test asks for it.
 *
 * The build renames malloc, calloc, realloc, free and pthread_mutex_init in the core's files to what
 * memory.c defines. Context: any thread.
 */
#ifndef IX_TEST_MEMORY_H
#define IX_TEST_MEMORY_H

#include <stddef.h>

/* malloc and free as the core's files have them: for memory that the core takes over. */
void *ix_test_malloc(size_t size);
void ix_test_free(void *block);

/* How many blocks have been allocated and not freed. */
long ix_test_blocks(void);
/* The nth allocation of the calling thread from now on fails, 1 being the next; 0: none does. */
void ix_test_fail_allocation(long nth);
/* The next initialisation of a mutex by the calling thread fails with this errno. */
void ix_test_fail_mutex(int error);

#endif
