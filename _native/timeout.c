/* How long to wait: what users ask for, and how much of it at a stretch. */
#include "state.h"

#include <math.h>

int
ix_timeout_ns(PyObject *timeout, int64_t *ns)
{
    *ns = -1;
    if (timeout == Py_None)
        return 0;
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred())
        return -1;
    if (isnan(seconds)) {
        PyErr_SetString(PyExc_ValueError, "the timeout is not a number (NaN)");
        return -1;
    }
    if (seconds < 0)
        seconds = 0;
    if (seconds < 9e9) /* longer than 285 years is for ever */
        *ns = (int64_t)(seconds * 1e9);
    return 0;
}

int64_t
ix_slice_ns(int64_t left_ns, unsigned round)
{
    int64_t slice = (int64_t)1000000 << (round < 8 ? round : 8);
    return left_ns >= 0 && left_ns < slice ? left_ns : slice;
}
