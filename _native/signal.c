/* Signals and interrupts: looking for them, and ending the system call in which a thread is blocked.
 *
 * From 3.15 on, a signal that ends a blocking call lets Python look for interrupts, too, in
 * time.sleep() or select(). Before that it would go on sleeping, so none is sent. The signal is SIGURG,
 * which everything ignores by default, and its handler does nothing; a program that has a use for
 * SIGURG keeps it, and goes without.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* for sigaction() under -std=c11, where Python.h has not asked for it */
#endif
#include "worker.h"

int
ix_check_signals(struct ix_module *state)
{
    if (PyErr_CheckSignals() < 0)
        return -1;
    if (PyInterpreterState_Get() == PyInterpreterState_Main())
        return 0;
    PyObject *result = PyObject_CallNoArgs(state->run_bytecode);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

#if PY_VERSION_HEX >= 0x030F0000 && !defined(_WIN32)

#include <signal.h>

static void
do_nothing(int Py_UNUSED(signal))
{
}

/* Whether the handler is ours. */
static bool
has_handler(void)
{
    struct sigaction action;
    if (sigaction(SIGURG, NULL, &action) != 0 || (action.sa_flags & SA_SIGINFO))
        return false;
    if (action.sa_handler != SIG_DFL)
        return action.sa_handler == do_nothing;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = do_nothing;
    action.sa_flags = SA_ONSTACK; /* not SA_RESTART: the call is to end */
    return sigaction(SIGURG, &action, NULL) == 0;
}

void
ix_break_system_call(pthread_t thread)
{
    if (has_handler())
        pthread_kill(thread, SIGURG);
}

#else

void
ix_break_system_call(pthread_t Py_UNUSED(thread))
{
}

#endif
