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

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* How many forks lie between this process and the one that imported the module. What was made before
 * the last one has lost its threads, and its locks may be held for ever: see ix_pool_is_inherited(). */
extern _Atomic uint32_t ix_runtime_forks;

/* Finds the list, the first time it is called, and sees to it that forked children begin with the main
 * interpreter alone. Context: any GIL. */
void ix_runtime_init(void);
/* Whether the list was found. Context: any. */
bool ix_runtime_is_known(void);
/* Hides every interpreter but the main one, for good; false if the list is not known. Nothing may end
 * an interpreter afterwards: see ix_runtime_is_hidden(). Context: the main interpreter's GIL, as the
 * process ends. */
bool ix_runtime_hide(void);
/* Whether ix_runtime_hide() was called in this process. Context: any. */
bool ix_runtime_is_hidden(void);

#endif
