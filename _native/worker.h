/* What a worker's thread does inside its own interpreter: load.c and run.c. Apart from worker.c, which
 * creates, enters and ends the interpreter, so that each file stays on one side of the switch.
 *
 * Context of every function: the worker's GIL, on the worker's thread, unless it says otherwise.
 */
#ifndef IX_WORKER_H
#define IX_WORKER_H

#include "state.h"

/* The form of a callable that goes by value: BY_VALUE of _serialize.py. */
#define IX_FORM_BY_VALUE 3

/* The worker's end of things: objects of its interpreter, and nobody else's. */
struct ix_inside {
    PyObject *load_callable;     /* (form, bytes) -> callable */
    PyObject *update_world;      /* (bytes) -> whether anything changed */
    PyObject *encode_raised;     /* (exception) -> bytes */
    PyObject *encode_unloadable; /* (exception, what) -> bytes */
    PyObject *flush;             /* () */
    Py_buffer written;           /* one byte, nonzero once a stream holds output */
    struct ix_codec codec;
    PyObject **callables; /* by number; NULL where unknown */
    uint32_t ncallables;
};

struct ix_worker {
    PyObject_HEAD /* of the owner */
    PyThreadState *owner_ts, *own_ts;
    struct ix_pool_object *pool; /* the present lease's; borrowed from serve()'s caller */
    struct ix_seat seat;
    struct ix_inside inside;
    uint64_t runs;  /* tasks and claims in the present lease */
    uint32_t forks; /* as ix_runtime_forks when the worker was made */
};

/* Runs one entry and gives its reference away. */
void ix_worker_run(struct ix_worker *worker, struct ix_entry *entry);
/* Runs a call that belongs to no task. Returns the outcome's encoding in `outcome`, and whether it
 * is a value. */
bool ix_worker_call(struct ix_worker *worker, struct ix_callable *callable,
                    struct ix_reader *arguments, struct ix_buffer *outcome);

/* Sets sys.path (encoded by the owner), imports the Python side and gives it the world. Returns 0, or -1
 * with an exception set. */
int ix_inside_init(struct ix_inside *inside, const struct ix_buffer *path,
                   const struct ix_buffer *world);
void ix_inside_clear(struct ix_inside *inside);
/* Drops the callables that were kept: the next lease loads its own. */
void ix_inside_forget(struct ix_inside *inside);

/* A task's callable. Returns a new reference, or NULL with an exception set. */
PyObject *ix_load_callable(struct ix_worker *worker, struct ix_callable *callable);
/* A task's arguments. Returns 0, or -1 with an exception set and nothing to clear. */
int ix_load_arguments(struct ix_worker *worker, struct ix_reader *reader, struct ix_call *call);
/* The argument, or for several inputs the tuple of arguments, of one item of a map. Returns a new
 * reference, or NULL with an exception set. */
PyObject *ix_load_item(struct ix_worker *worker, struct ix_segment *segment, uint32_t index);

/* worker.c. Moves the thread to the owner's interpreter and back. Context: on entry the worker's GIL, on
 * return the owner's; and the other way round. */
void ix_worker_to_owner(struct ix_worker *worker);
void ix_worker_to_own(struct ix_worker *worker);

#endif
