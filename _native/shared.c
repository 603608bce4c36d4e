/* SharedBuffer: raw memory that interpreters pass to one another by handle and all may write to.
 *
 * The memory belongs to no interpreter: it is an attachment without a home, freed by the last handle, view or
 * message that refers to it. A slice is a handle on a part of it.
 */
#include "state.h"

PyObject *
ix_shared_new(PyTypeObject *type, struct ix_attachment *attachment)
{
    struct ix_shared_object *self = (struct ix_shared_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        ix_attachment_release(attachment);
    else
        self->attachment = attachment;
    return (PyObject *)self;
}

/* Fresh memory of so many bytes. Returns one reference, or NULL with an exception set. */
static struct ix_attachment *
allocate(size_t size, bool zero)
{
    struct ix_attachment *attachment = ix_attachment_new(IX_ATTACHED_SHARED, 0, "B");
    if (attachment != NULL && ix_attachment_allocate(attachment, size, zero))
        return attachment;
    if (attachment != NULL)
        ix_attachment_release(attachment);
    PyErr_NoMemory();
    return NULL;
}

/* A part of the memory. Returns a new SharedBuffer, or NULL with an exception set. */
static PyObject *
slice(struct ix_shared_object *self, size_t start, size_t size)
{
    struct ix_attachment *whole = self->attachment;
    struct ix_attachment *part = ix_attachment_new(IX_ATTACHED_SHARED, 0, "B");
    if (part == NULL)
        return PyErr_NoMemory();
    part->data = whole->data + start;
    part->length = size;
    part->base = whole->base != NULL ? whole->base : whole;
    ix_attachment_acquire(part->base);
    return ix_shared_new(Py_TYPE(self), part);
}

static PyObject *
shared_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"nbytes", NULL};
    Py_ssize_t size;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n:SharedBuffer", names, &size))
        return NULL;
    if (size < 0) {
        PyErr_Format(PyExc_ValueError, "nbytes must be at least 0, not %zd", size);
        return NULL;
    }
    struct ix_attachment *attachment = allocate((size_t)size, true);
    return attachment == NULL ? NULL : ix_shared_new(type, attachment);
}

PyDoc_STRVAR(shared_from_buffer_doc, "from_buffer($type, obj, /)\n--\n\n"
"Return a SharedBuffer that holds a copy of obj's bytes, in C order.\n\n"
"Parameters\n----------\n"
"obj : bytes-like object\n"
"    Anything with the buffer protocol; it is not referred to afterwards.");

static PyObject *
shared_from_buffer(PyTypeObject *type, PyObject *object)
{
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_FULL_RO) < 0)
        return NULL;
    PyObject *self = NULL;
    struct ix_attachment *attachment = allocate((size_t)view.len, false);
    if (attachment != NULL) {
        if (PyBuffer_ToContiguous(attachment->data, &view, view.len, 'C') < 0)
            ix_attachment_release(attachment);
        else
            self = ix_shared_new(type, attachment);
    }
    PyBuffer_Release(&view);
    return self;
}

PyDoc_STRVAR(shared_split_doc, "split($self, n, /, itemsize=1)\n--\n\n"
"Return n SharedBuffers on successive parts of this memory, none of which overlap.\n\n"
"Parameters\n----------\n"
"n : int\n"
"    How many; at least 1. Their sizes differ by one item at most.\n"
"itemsize : int\n"
"    The parts begin and end between items of so many bytes, so that each can be cast.\n\n"
"Raises ValueError if the memory is not a whole number of items.");

static PyObject *
shared_split(struct ix_shared_object *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"", "itemsize", NULL};
    Py_ssize_t n, itemsize = 1, size = (Py_ssize_t)self->attachment->length;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n|n:split", names, &n, &itemsize))
        return NULL;
    if (n < 1 || itemsize < 1)
        return PyErr_Format(PyExc_ValueError, "n and itemsize must be at least 1");
    if (size % itemsize != 0)
        return PyErr_Format(PyExc_ValueError, "%zd bytes are not a whole number of items of %zd",
                            size, itemsize);
    Py_ssize_t each = size / itemsize / n, larger = size / itemsize % n, start = 0;
    PyObject *parts = PyList_New(n);
    for (Py_ssize_t i = 0; parts != NULL && i < n; i++) {
        Py_ssize_t length = (each + (i < larger)) * itemsize;
        PyObject *part = slice(self, (size_t)start, (size_t)length);
        if (part == NULL)
            Py_CLEAR(parts);
        else
            PyList_SET_ITEM(parts, i, part);
        start += length;
    }
    return parts;
}

static PyObject *
shared_reduce(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(protocol))
{
    PyErr_SetString(PyExc_TypeError,
                    "a SharedBuffer is memory of this process: pass it to tasks of an "
                    "InterpreterPoolExecutor, it cannot be pickled");
    return NULL;
}

static int
shared_getbuffer(struct ix_shared_object *self, Py_buffer *view, int flags)
{
    return PyBuffer_FillInfo(view, (PyObject *)self, self->attachment->data,
                             (Py_ssize_t)self->attachment->length, 0, flags);
}

static Py_ssize_t
shared_length(struct ix_shared_object *self)
{
    return (Py_ssize_t)self->attachment->length;
}

static PyObject *
shared_get_nbytes(struct ix_shared_object *self, void *Py_UNUSED(closure))
{
    return PyLong_FromSize_t(self->attachment->length);
}

static PyObject *
shared_repr(struct ix_shared_object *self)
{
    return PyUnicode_FromFormat("<SharedBuffer of %zu bytes at %p>", self->attachment->length,
                                self->attachment->data);
}

static void
shared_dealloc(struct ix_shared_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ix_attachment_release(self->attachment);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(shared_doc, "SharedBuffer(nbytes)\n--\n\n"
"Memory that all interpreters of the process can read and write at the same time.\n\n"
"It goes to tasks, and comes back in results, as a handle: nothing is copied, and what one\n"
"interpreter writes the others see. It has the buffer protocol: memoryview(buffer) can be sliced\n"
"and cast, and NumPy, ctypes and cffi take it as it is. The memory is freed with its last user.\n\n"
"Nothing orders accesses but the tasks themselves: a task sees what was written before it was\n"
"submitted, and whoever has its result sees what it wrote. Tasks that run at the same time should write\n"
"to different parts, which split() hands out.\n\n"
"Parameters\n----------\n"
"nbytes : int\n"
"    Its size; the memory is zero at first.");

static PyMethodDef shared_methods[] = {
    {"from_buffer", (PyCFunction)shared_from_buffer, METH_O | METH_CLASS, shared_from_buffer_doc},
    {"split", (PyCFunction)(void (*)(void))shared_split, METH_VARARGS | METH_KEYWORDS,
     shared_split_doc},
    {"__reduce_ex__", shared_reduce, METH_O, "Raise TypeError."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef shared_getset[] = {
    {"nbytes", (getter)shared_get_nbytes, NULL, "The size in bytes.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot shared_slots[] = {
    {Py_tp_doc, (void *)shared_doc},     {Py_tp_new, shared_new},
    {Py_tp_dealloc, shared_dealloc},     {Py_tp_traverse, ix_traverse_type},
    {Py_tp_repr, shared_repr},           {Py_tp_methods, shared_methods},
    {Py_tp_getset, shared_getset},       {Py_sq_length, shared_length},
    {Py_bf_getbuffer, shared_getbuffer}, {0, NULL},
};

PyType_Spec ix_shared_spec = {
    .name = IX_SHARED_NAME,
    .basicsize = sizeof(struct ix_shared_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = shared_slots,
};
