/* What happens at the very end of a queue: it is freed as soon as the join is over. */
#include "stress.h"

static void *
come_and_go(void *arg)
{
    struct ix_queue *queue = arg;
    struct ix_seat seat = {0};
    struct ix_entry *entry;
    ix_crew_arrive(queue, &seat);
    while (ix_queue_take(queue, &seat, &entry) == IX_TAKE_EMPTY)
        ix_seat_sleep(&seat);
    ix_crew_leave(queue, &seat);
    return NULL;
}

void
stress_join(unsigned rounds)
{
    for (unsigned round = 0; round < rounds; round++) {
        struct ix_queue *queue = malloc(sizeof *queue);
        pthread_t threads[2];
        ix_queue_init(queue, 2);
        for (int i = 0; i < 2; i++) {
            if (!ix_crew_wants_one(queue, (size_t)i + 1)
                || pthread_create(&threads[i], NULL, come_and_go, queue) != 0)
                abort();
        }
        ix_queue_close(queue);
        while (ix_crew_join(queue, -1) != IX_PARK_WOKEN)
            ;
        ix_queue_fini(queue);
        free(queue);
        for (int i = 0; i < 2; i++)
            pthread_join(threads[i], NULL);
    }
}
