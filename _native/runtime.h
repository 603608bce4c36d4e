/* The one thing that the public C API of CPython does not offer: to make its runtime forget interpreters.
 *
 * CPython kills a forked child inside the call to fork while any interpreter but the main one lives (it
 * tries to end those from the wrong thread), and a thread that still runs in one when the runtime
 * finalises hangs or crashes it. What both trip over is the runtime's list of interpreters. It is newest
 * first, and so the main interpreter, the oldest, is its end: making it the head too hides the others.
 *
 * The list's head is found by the offsets that the runtime publishes for debuggers. They are trusted only
 * on the versions this was tested on, and only if what is found agrees with the public API. Elsewhere
 * nothing is ever written, and the Python side works around it: see _endings.py.
 */
#ifndef IX_RUNTIME_H
#define IX_RUNTIME_H

#include <Python.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* How many forks lie between this process and the one that imported the module. What was made before
 * the last one has lost its threads, and its locks may be held for ever: see ix_pool_is_inherited(). */
extern _Atomic uint32_t ix_runtime_forks;
/* Whether this process was forked since there were so many forks. Context: any. */
static inline bool
ix_runtime_has_forked(uint32_t forks)
{
    return forks != atomic_load_explicit(&ix_runtime_forks, memory_order_relaxed);
}

/* Finds the list, the first time it is called, and sees to it that forked children begin with the main
 * interpreter alone. Context: any GIL. */
void ix_runtime_init(void);
/* Whether the list was found. Context: any. */
bool ix_runtime_is_known(void);

/* A worker's interpreter, on the list of those that live. Owned by the worker. */
struct ix_resident {
    PyInterpreterState *interpreter;     /* NULL while it is not on the list */
    PyInterpreterState *owner;           /* that of its worker's thread, by birth */
    unsigned long thread;                /* the system's id of that */
    struct ix_resident *previous, *next; /* protected by the list's lock */
};

/* An interpreter is about to be made; it has been made, or could not be (NULL).
 * Context: its GIL, or none. Locks: takes the list's. Neither these nor the next two return once
 * ix_runtime_hide() was called: the process ends. */
void ix_runtime_before_start(void);
void ix_runtime_enlist(struct ix_resident *resident, PyInterpreterState *interpreter,
                       PyInterpreterState *owner);
/* The interpreter is about to be ended, and no code of the user's is left to run in it; it has ended. */
void ix_runtime_strike(struct ix_resident *resident);
void ix_runtime_after_end(void);

/* How much of a processor's time the threads have had, in nanoseconds, that live in the interpreter and in
 * those of its own workers: what a thread has had goes with it when it ends. 0 where nobody can tell, and
 * once the interpreter is struck. Context: no GIL. Locks: takes the list's and, within, CPython's own. */
int64_t ix_runtime_computed_ns(struct ix_resident *resident);

/* Whether any worker's interpreter lives, is being made or ended. Context: any. */
bool ix_runtime_has_residents(void);

/* Stops the worker interpreters that are left, and hides all but the main one, for good; false, with nothing
 * done, if the runtime is not known. A stopped interpreter runs no Python any more: a thread of ours holds
 * its GIL for ever. Waits for those GILs at most so long; what does not let go of one by then is in C code
 * that does nothing of Python's, and will not get it back. Context: the main interpreter's GIL, as the
 * process ends: what follows is its finalisation. */
bool ix_runtime_hide(int64_t timeout_ns);
/* Where that returned false: ends the process after a second with this exit code, come what may, unless it
 * has ended before. Returns false if there is no thread to be had. */
bool ix_runtime_exit_soon(int code);
/* When all else is done, the process ends as one that SIGINT has killed, as if KeyboardInterrupt had ended
 * the main program. Returns false if CPython has no room for that. Context: the main interpreter's GIL. */
bool ix_runtime_end_by_interrupt(void);

#endif
