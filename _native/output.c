/* What a worker writes: to a file descriptor without mixing with other workers, or to its owner. */
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

/* One for the process: interpreters share its descriptors. Held across a write, but never with a GIL. */
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

void
ix_output_begin_child(void)
{
    pthread_mutex_init(&writing, NULL);
}

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: _channel.py has set an option of the socket */
#endif

static ssize_t
send_some(int fd, const void *data, size_t length)
{
    return send(fd, data, length, MSG_NOSIGNAL);
}

/* By write() or the like, and past all signals. Context: no GIL. Returns 0, or an errno. */
static int
pass_all(ssize_t (*pass)(int, const void *, size_t), int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = pass(fd, data, length);
        if (n >= 0) {
            data += n;
            length -= (size_t)n;
        }
        else if (errno == EAGAIN) {
            struct pollfd full = {fd, POLLOUT, 0}; /* somebody made it non-blocking */
            poll(&full, 1, -1);
        }
        else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Context: no GIL. Returns 0, or an errno. */
static int
write_all(int fd, const char *data, size_t length)
{
    pthread_mutex_lock(&writing);
    int error = pass_all(write, fd, data, length);
    pthread_mutex_unlock(&writing);
    return error;
}

/* The same. */
static int
send_all(int fd, const char *data, size_t length)
{
    return pass_all(send_some, fd, data, length);
}

/* What both are to Python: takes a descriptor and a buffer, returns None. */
static PyObject *
without_gil(int (*pass)(int, const char *, size_t), PyObject *args)
{
    int fd, error;
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "iy*", &fd, &data))
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    error = pass(fd, data.buf, (size_t)data.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&data);
    if (error == 0)
        Py_RETURN_NONE;
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *
ix_output_write_whole(PyObject *Py_UNUSED(module), PyObject *args)
{
    return without_gil(write_all, args);
}

PyObject *
ix_output_send_whole(PyObject *Py_UNUSED(module), PyObject *args)
{
    return without_gil(send_all, args);
}

PyObject *
ix_output_report_unraisable(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *error, *where;
    if (!PyArg_ParseTuple(args, "O!O:report_unraisable", PyExc_BaseException, &error, &where))
        return NULL;
    PyErr_SetRaisedException(Py_NewRef(error));
    PyErr_WriteUnraisable(where);
    Py_RETURN_NONE;
}

PyObject *
ix_output_tell_owner(PyObject *Py_UNUSED(module), PyObject *bytes)
{
    struct ix_worker *worker = ix_worker_here();
    if (!PyBytes_Check(bytes)) {
        PyErr_SetString(PyExc_TypeError, "tell_owner() takes bytes");
        return NULL;
    }
    if (worker == NULL || worker->pool == NULL)
        Py_RETURN_FALSE;
    const char *data = PyBytes_AS_STRING(bytes); /* nobody changes it while the GIL is let go */
    Py_ssize_t length = PyBytes_GET_SIZE(bytes);
    ix_gil_to_owner(worker);
    PyObject *pool = (PyObject *)worker->pool;
    PyObject *result = PyObject_CallMethod(pool, "deliver_output", "y#", data, length);
    if (result == NULL)
        PyErr_WriteUnraisable(pool); /* the owner's stream failed: the task has not */
    Py_XDECREF(result);
    ix_gil_to_own(worker);
    Py_RETURN_TRUE;
}
