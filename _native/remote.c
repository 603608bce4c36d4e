/* Attachments by value: for the process lane, whose far end does not see this process's memory.
 *
 * The message goes as it is, with the addresses it has for its attachments; what is there goes with it,
 * and at the far end the addresses are names for attachments made anew.
 *
 * Context of every function: the GIL of the interpreter it runs in, on either end.
 */
#include "state.h"

/* ---- the near end ---- */

/* The memory in C order, as bytes. */
static PyObject *
contents(struct ix_attachment *attachment)
{
    Py_buffer view = {
        .buf = attachment->data,
        .len = (Py_ssize_t)attachment->length,
        .itemsize = (Py_ssize_t)attachment->itemsize,
        .readonly = 1,
        .ndim = (int)attachment->ndim,
        .shape = ix_attachment_shape(attachment),
        .strides = ix_attachment_strides(attachment),
    };
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, view.len);
    if (bytes == NULL)
        return NULL;
    if (attachment->kind != IX_ATTACHED_VIEW)
        memcpy(PyBytes_AS_STRING(bytes), attachment->data, attachment->length);
    else if (PyBuffer_ToContiguous(PyBytes_AS_STRING(bytes), &view, view.len, 'C') < 0)
        Py_CLEAR(bytes);
    return bytes;
}

static PyObject *
describe(struct ix_attachment *attachment)
{
    PyObject *shape = PyTuple_New((Py_ssize_t)attachment->ndim);
    for (uint32_t i = 0; shape != NULL && i < attachment->ndim; i++) {
        PyObject *length = PyLong_FromSsize_t(ix_attachment_shape(attachment)[i]);
        if (length == NULL)
            Py_CLEAR(shape);
        else
            PyTuple_SET_ITEM(shape, i, length);
    }
    PyObject *bytes = shape == NULL ? NULL : contents(attachment);
    if (bytes == NULL) {
        Py_XDECREF(shape);
        return NULL;
    }
    return Py_BuildValue("KiKnsNN", (unsigned long long)(uintptr_t)attachment,
                         (int)attachment->kind, (unsigned long long)attachment->detail,
                         (Py_ssize_t)attachment->itemsize, ix_attachment_format(attachment), shape,
                         bytes);
}

/* Whether a message, compact or pickled, may name the attachment: both write addresses as little-endian
 * numbers, with zeros behind or without. */
static bool
is_named(struct ix_attachment *attachment, const char *data, size_t length)
{
    char name[sizeof(uintptr_t)];
    size_t size = 0;
    for (uintptr_t rest = (uintptr_t)attachment; rest != 0; rest >>= 8)
        name[size++] = (char)rest;
    for (size_t at = 0; at + size <= length; at++) {
        const char *found = memchr(data + at, name[0], length - size + 1 - at);
        if (found == NULL)
            return false;
        if (memcmp(found, name, size) == 0)
            return true;
        at = (size_t)(found - data);
    }
    return false;
}

int
ix_remote_describe(PyObject *list, struct ix_attachments *attachments, const char *data,
                   size_t length)
{
    uint32_t count = attachments == NULL ? 0 : attachments->count;
    for (uint32_t i = 0; i < count; i++) {
        if (!is_named(attachments->items[i], data, length))
            continue;
        PyObject *description = describe(attachments->items[i]);
        int result = description == NULL ? -1 : PyList_Append(list, description);
        Py_XDECREF(description);
        if (result < 0)
            return -1;
    }
    return 0;
}

/* ---- the far end ---- */

static void
set_layout(struct ix_attachment *attachment, PyObject *shape)
{
    ptrdiff_t stride = (ptrdiff_t)attachment->itemsize;
    for (uint32_t i = attachment->ndim; i > 0; i--) {
        ptrdiff_t length = PyLong_AsSsize_t(PyTuple_GET_ITEM(shape, i - 1));
        ix_attachment_shape(attachment)[i - 1] = length;
        ix_attachment_strides(attachment)[i - 1] = stride;
        stride *= length;
    }
}

/* An attachment with memory of its own, under the address that the message has for it. */
static int
adopt(struct ix_codec *codec, struct ix_attachments **attachments, PyObject *description)
{
    unsigned long long address, detail;
    int kind;
    Py_ssize_t itemsize;
    const char *format;
    PyObject *shape, *bytes;
    if (!PyArg_ParseTuple(description, "KiKnsO!O!", &address, &kind, &detail, &itemsize, &format,
                          &PyTuple_Type, &shape, &PyBytes_Type, &bytes))
        return -1;
    size_t length = (size_t)PyBytes_GET_SIZE(bytes);
    struct ix_attachment *attachment = ix_attachment_new((enum ix_attachment_kind)kind,
                                                         (uint32_t)PyTuple_GET_SIZE(shape), format);
    if (attachment == NULL || !ix_attachment_allocate(attachment, length, false)) {
        if (attachment != NULL)
            ix_attachment_release(attachment);
        PyErr_NoMemory();
        return -1;
    }
    memcpy(attachment->data, PyBytes_AS_STRING(bytes), length);
    attachment->detail = detail;
    attachment->itemsize = (size_t)itemsize;
    attachment->readonly = true;
    set_layout(attachment, shape);
    PyObject *name = PyLong_FromUnsignedLongLong(address);
    PyObject *place = PyLong_FromVoidPtr(attachment);
    int result = -1;
    if (!ix_attachments_add(attachments, attachment))
        PyErr_NoMemory();
    else if (name != NULL && place != NULL)
        result = PyDict_SetItem(codec->renamed, name, place);
    Py_XDECREF(name);
    Py_XDECREF(place);
    return result;
}

int
ix_remote_adopt(struct ix_codec *codec, struct ix_attachments **attachments, PyObject *list)
{
    if (codec->renamed == NULL && (codec->renamed = PyDict_New()) == NULL)
        return -1;
    PyDict_Clear(codec->renamed);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        if (adopt(codec, attachments, PyList_GET_ITEM(list, i)) < 0)
            return -1;
    }
    return 0;
}

struct ix_attachment *
ix_remote_find(struct ix_codec *codec, uint64_t address)
{
    PyObject *place = NULL, *name = PyLong_FromUnsignedLongLong(address);
    if (name != NULL && PyDict_GetItemRef(codec->renamed, name, &place) == 0)
        PyErr_SetString(PyExc_SystemError, "interp_executor: an attachment is missing");
    struct ix_attachment *found = place == NULL ? NULL : PyLong_AsVoidPtr(place);
    Py_XDECREF(name);
    Py_XDECREF(place);
    return found;
}
