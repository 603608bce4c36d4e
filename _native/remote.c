/* Attachments on their way to another process and back: the process lane, whose far end does not see this
 * process's memory.
 *
 * The message goes as it is, with the addresses it has for its attachments. Beside it go descriptions of
 * these; at the other end, attachments are made of them under the same names. Small contents are in the
 * description, large ones in memory that both processes map (_channel.py): there they are a number, and
 * what it stands for is in a list.
 *
 * Context of every function: the GIL of the interpreter it runs in, on either end.
 */
#include "state.h"

/* ---- the near end ---- */

/* All of the memory in C order, as bytes. */
static PyObject *
copy_of(struct ix_attachment *attachment, const Py_buffer *view)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, view->len);
    if (bytes == NULL)
        return NULL;
    if (attachment->kind != IX_ATTACHED_VIEW)
        memcpy(PyBytes_AS_STRING(bytes), attachment->data, attachment->length);
    else if (PyBuffer_ToContiguous(PyBytes_AS_STRING(bytes), view, view->len, 'C') < 0)
        Py_CLEAR(bytes);
    return bytes;
}

/* A view of the memory, which keeps it. */
static PyObject *
view_of(struct ix_codec *codec, struct ix_attachment *attachment)
{
    struct ix_attachment *flat = ix_attachment_new(IX_ATTACHED_VIEW, 1, "B");
    if (flat == NULL)
        return PyErr_NoMemory();
    flat->data = attachment->data;
    flat->length = attachment->length;
    flat->itemsize = 1;
    flat->readonly = true;
    ix_attachment_shape(flat)[0] = (ptrdiff_t)attachment->length;
    ix_attachment_strides(flat)[0] = 1;
    flat->base = attachment->base != NULL ? attachment->base : attachment;
    ix_attachment_acquire(flat->base);
    PyObject *view = ix_attached_object(codec, flat);
    ix_attachment_release(flat);
    return view;
}

/* Bytes, or the number in `large` of what stands for them. */
static PyObject *
contents(struct ix_codec *codec, struct ix_attachment *attachment, PyObject *large)
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
    bool in_order = attachment->kind != IX_ATTACHED_VIEW || PyBuffer_IsContiguous(&view, 'C');
    if (view.len < IX_SHARED_FROM)
        return copy_of(attachment, &view);
    PyObject *memory = in_order ? view_of(codec, attachment) : copy_of(attachment, &view);
    if (memory == NULL || PyList_Append(large, memory) < 0) {
        Py_XDECREF(memory);
        return NULL;
    }
    Py_DECREF(memory);
    return PyLong_FromSsize_t(PyList_GET_SIZE(large) - 1);
}

static PyObject *
describe(struct ix_codec *codec, struct ix_attachment *attachment, PyObject *large)
{
    PyObject *shape = PyTuple_New((Py_ssize_t)attachment->ndim);
    for (uint32_t i = 0; shape != NULL && i < attachment->ndim; i++) {
        PyObject *length = PyLong_FromSsize_t(ix_attachment_shape(attachment)[i]);
        if (length == NULL)
            Py_CLEAR(shape);
        else
            PyTuple_SET_ITEM(shape, i, length);
    }
    PyObject *memory = shape == NULL ? NULL : contents(codec, attachment, large);
    if (memory == NULL) {
        Py_XDECREF(shape);
        return NULL;
    }
    return Py_BuildValue("KiiKnsNN", (unsigned long long)(uintptr_t)attachment,
                         (int)attachment->kind, (int)attachment->readonly,
                         (unsigned long long)attachment->detail, (Py_ssize_t)attachment->itemsize,
                         ix_attachment_format(attachment), shape, memory);
}

int
ix_remote_describe(struct ix_codec *codec, PyObject *descriptions, PyObject *large,
                   struct ix_attachments *attachments)
{
    uint32_t count = attachments == NULL ? 0 : attachments->count;
    for (uint32_t i = 0; i < count; i++) {
        PyObject *description = describe(codec, attachments->items[i], large);
        int result = description == NULL ? -1 : PyList_Append(descriptions, description);
        Py_XDECREF(description);
        if (result < 0)
            return -1;
    }
    return 0;
}

PyObject *
ix_remote_encode_call(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    struct ix_codec *codec = &((struct ix_module *)PyModule_GetState(module))->codec;
    struct ix_buffer buffer = {0};
    PyObject *result = NULL, *descriptions = PyList_New(0), *large = PyList_New(0);
    if (descriptions != NULL && large != NULL
        && ix_encode_call(codec, &buffer, args, nargs, NULL) == 0
        && ix_remote_describe(codec, descriptions, large, buffer.attachments) == 0) {
        bool shared = buffer.attachments != NULL && buffer.attachments->shared;
        result = Py_BuildValue("y#OO", buffer.data, (Py_ssize_t)buffer.length,
                               shared ? Py_None : descriptions, large);
    }
    ix_attachments_free(ix_buffer_detach(&buffer));
    ix_buffer_fini(&buffer);
    Py_XDECREF(descriptions);
    Py_XDECREF(large);
    return result;
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

/* Gives it its contents: they stay where they are, unless that is an immutable object and they may change. */
static int
fill(struct ix_codec *codec, struct ix_attachment *attachment, PyObject *memory)
{
    PyObject *view = PyMemoryView_FromObject(memory);
    if (view == NULL)
        return -1;
    const Py_buffer *buffer = PyMemoryView_GET_BUFFER(view);
    bool may_change = attachment->kind == IX_ATTACHED_VIEW && !attachment->readonly;
    if (!may_change || !buffer->readonly) {
        attachment->data = buffer->buf;
        attachment->length = (size_t)buffer->len;
        ix_attachment_adopt(attachment, codec->releases, view);
        return 0;
    }
    bool allocated = ix_attachment_allocate(attachment, (size_t)buffer->len, false);
    if (allocated && buffer->len != 0)
        memcpy(attachment->data, buffer->buf, (size_t)buffer->len);
    Py_DECREF(view);
    if (!allocated)
        PyErr_NoMemory();
    return allocated ? 0 : -1;
}

/* What the last item of a description stands for; borrowed, NULL with an exception set. */
static PyObject *
memory_of(PyObject *contents, PyObject *large)
{
    if (!PyLong_Check(contents))
        return contents;
    Py_ssize_t number = PyLong_AsSsize_t(contents);
    if (number >= 0 && number < PyList_GET_SIZE(large))
        return PyList_GET_ITEM(large, number);
    PyErr_SetString(PyExc_SystemError, "interp_executor: the memory of an attachment is missing");
    return NULL;
}

static int
adopt(struct ix_codec *codec, struct ix_attachments **attachments, PyObject *description,
      PyObject *large)
{
    unsigned long long name, detail;
    int kind, readonly;
    Py_ssize_t itemsize;
    const char *format;
    PyObject *shape, *memory;
    if (!PyArg_ParseTuple(description, "KiiKnsO!O", &name, &kind, &readonly, &detail, &itemsize,
                          &format, &PyTuple_Type, &shape, &memory)
        || (memory = memory_of(memory, large)) == NULL)
        return -1;
    struct ix_attachment *attachment = ix_attachment_new((enum ix_attachment_kind)kind,
                                                         (uint32_t)PyTuple_GET_SIZE(shape), format);
    if (attachment == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    attachment->name = name;
    attachment->detail = detail;
    attachment->itemsize = (size_t)itemsize;
    attachment->readonly = readonly;
    set_layout(attachment, shape);
    if (fill(codec, attachment, memory) < 0) {
        ix_attachment_release(attachment);
        return -1;
    }
    if (ix_attachments_add(attachments, attachment))
        return 0;
    PyErr_NoMemory();
    return -1;
}

int
ix_remote_adopt(struct ix_codec *codec, struct ix_attachments **attachments, PyObject *descriptions,
                PyObject *large)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(descriptions); i++) {
        if (adopt(codec, attachments, PyList_GET_ITEM(descriptions, i), large) < 0)
            return -1;
    }
    if (ix_attachments_sort(attachments))
        return 0;
    PyErr_NoMemory();
    return -1;
}
