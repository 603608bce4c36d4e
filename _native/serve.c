/* The loop in which a worker serves a pool: take, run, sleep or nap.
 *
 * Context of every function: the worker's thread, with its own GIL, or none where it has no interpreter; let go
 * while there is nothing to do.
 */
#include "worker.h"

/* Whether others may keep the worker's GIL for as long as they like: threads that tasks have left. Context: own GIL,
 * or none. */
static bool
shares_its_gil(struct ix_worker *self)
{
    if (self->own_ts == NULL)
        return false;
    /* Others may go at any moment: only the worker's own state is looked into. */
    PyInterpreterState *interpreter = PyThreadState_GetInterpreter(self->own_ts);
    return PyInterpreterState_ThreadHead(interpreter) != self->own_ts
           || PyThreadState_Next(self->own_ts) != NULL;
}

/* Waits for work, or until others have given something back. Whoever wakes a worker on the stack counts on it: so nothing
 * runs there that may take long, neither a wait for the GIL nor what becomes of things given back.
 * Context: own GIL, released meanwhile, or none. */
static void
sleep_at_queue(struct ix_worker *self)
{
    struct ix_queue *queue = &self->pool->queue;
    struct ix_releases *releases = self->inside.codec.releases;
    if (self->own_ts != NULL)
        self->own_ts = PyEval_SaveThread();
    /* The seat has told that it waits; what comes back before this look is seen by it, what comes after it nudges
     * the seat. */
    atomic_thread_fence(memory_order_seq_cst);
    bool is_off = releases != NULL && ix_releases_pending(releases)
                  && ix_queue_unpark(queue, &self->seat);
    while (!is_off) {
        if (ix_seat_sleep(&self->seat)) {
            if (self->seat.shares_gil)
                ix_queue_pass_on(queue, &self->seat);
            break;
        }
        is_off = ix_queue_unpark(queue, &self->seat);
    }
    if (self->own_ts != NULL)
        PyEval_RestoreThread(self->own_ts);
    if (is_off)
        ix_releases_drain(releases);
}

/* Context: own GIL, released meanwhile, or none. */
static void
nap_at_queue(struct ix_worker *self)
{
    if (self->own_ts != NULL)
        self->own_ts = PyEval_SaveThread();
    ix_queue_nap(&self->pool->queue, &self->seat);
    if (self->own_ts != NULL)
        PyEval_RestoreThread(self->own_ts);
}

static void
nudge(void *seat)
{
    ix_seat_nudge(seat);
}

/* Whether the lease is over for this worker. */
static bool
is_through(struct ix_worker *self, uint64_t max_runs)
{
    return self->abandoned || (max_runs != 0 && self->runs >= max_runs);
}

/* What was taken is released only once the seat does not show it any more: see ix_crew_present(). */
static void
serve(struct ix_worker *self, uint64_t max_runs)
{
    struct ix_queue *queue = &self->pool->queue;
    struct ix_entry *entry, *last = NULL;
    for (;;) {
        self->seat.shares_gil = shares_its_gil(self);
        enum ix_take took = ix_queue_take(queue, &self->seat, &entry);
        ix_entry_release(last);
        last = NULL;
        if (took == IX_TAKE_LEAVE)
            return;
        if (took == IX_TAKE_EMPTY) {
            sleep_at_queue(self);
            continue;
        }
        if (took == IX_TAKE_NAP) {
            nap_at_queue(self);
            continue;
        }
        ix_worker_run(self, entry);
        if (self->own_ts != NULL)
            ix_releases_drain(self->inside.codec.releases);
        last = entry;
        if (is_through(self, max_runs))
            break;
    }
    self->seat.shares_gil = shares_its_gil(self);
    ix_crew_let_go(queue, &self->seat);
    ix_entry_release(last);
}

void
ix_worker_serve(struct ix_worker *self, uint64_t max_runs)
{
    struct ix_releases *releases = self->inside.codec.releases;
    if (releases != NULL)
        ix_releases_listen(releases, nudge, &self->seat);
    serve(self, max_runs);
    if (releases != NULL)
        ix_releases_ignore(releases, &self->seat);
}
