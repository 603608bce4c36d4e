/* The two GILs of a worker's thread: the owner's, and that of its own interpreter.
 *
 * The thread holds at most one at a time, and lets go of it before it takes the other: no thread ever waits
 * for a GIL while it holds another, so GILs cannot deadlock.
 */
#include "worker.h"

void
ix_gil_to_owner(struct ix_worker *self)
{
    if (self->own_ts != NULL)
        self->own_ts = PyEval_SaveThread();
    PyEval_RestoreThread(self->owner_ts);
}

void
ix_gil_to_own(struct ix_worker *self)
{
    self->owner_ts = PyEval_SaveThread();
    if (self->own_ts != NULL)
        PyEval_RestoreThread(self->own_ts);
}
