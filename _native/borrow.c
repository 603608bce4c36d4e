/* The borrower's side of attachments: what they stand for in another interpreter.
 *
 * ForeignBuffer is the object behind a memoryview on memory of another interpreter: it exports the memory as
 * its owner does, with format, shape, strides and whether it may be written to, and gives the
 * attachment back when the last view on it is gone. If the memory turns out to be this interpreter's own,
 * come home, it holds the owner instead: an interpreter that waits for what it has lent must not wait for
 * itself.
 */
#include "state.h"

#include "fill.h"

#define WITHOUT_GIL 1048576 /* a copy of so many bytes lets others run meanwhile */

/* ---- ForeignBuffer ---- */

struct foreign {
    PyObject_HEAD
    struct ix_attachment *attachment; /* one reference */
    PyObject *owner;                  /* whose memory it is, if it is this interpreter's, or NULL */
};

static int
refuse(Py_buffer *view, const char *reason)
{
    view->obj = NULL;
    PyErr_SetString(PyExc_BufferError, reason);
    return -1;
}

static bool
is_contiguous_enough(const Py_buffer *view, int flags)
{
    if ((flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS)
        return PyBuffer_IsContiguous(view, 'C');
    if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS)
        return PyBuffer_IsContiguous(view, 'F');
    if ((flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS)
        return PyBuffer_IsContiguous(view, 'A');
    return (flags & PyBUF_STRIDES) == PyBUF_STRIDES || PyBuffer_IsContiguous(view, 'C');
}

static int
foreign_getbuffer(struct foreign *self, Py_buffer *view, int flags)
{
    struct ix_attachment *attachment = self->attachment;
    *view = (Py_buffer){
        .buf = attachment->data,
        .len = (Py_ssize_t)attachment->length,
        .itemsize = (Py_ssize_t)attachment->itemsize,
        .readonly = attachment->readonly,
        .ndim = (int)attachment->ndim,
        .format = ix_attachment_format(attachment),
        .shape = ix_attachment_shape(attachment),
        .strides = ix_attachment_strides(attachment),
    };
    if ((flags & PyBUF_WRITABLE) && attachment->readonly)
        return refuse(view, "the memory is read-only in the interpreter that owns it");
    if (!is_contiguous_enough(view, flags))
        return refuse(view, "the memory is not contiguous");
    if (!(flags & PyBUF_FORMAT))
        view->format = NULL;
    if ((flags & PyBUF_STRIDES) != PyBUF_STRIDES)
        view->strides = NULL;
    if ((flags & PyBUF_ND) != PyBUF_ND)
        view->shape = NULL;
    view->obj = Py_NewRef((PyObject *)self);
    return 0;
}

static int
foreign_traverse(struct foreign *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->owner);
    return 0;
}

static void
foreign_dealloc(struct foreign *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->attachment != NULL)
        ix_attachment_release(self->attachment);
    Py_XDECREF(self->owner);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot foreign_slots[] = {
    {Py_tp_doc, "Memory that belongs to another interpreter, or that came back from one."},
    {Py_tp_dealloc, foreign_dealloc},
    {Py_tp_traverse, foreign_traverse},
    {Py_bf_getbuffer, foreign_getbuffer},
    {0, NULL},
};

PyType_Spec ix_foreign_spec = {
    .name = "interp_executor.ForeignBuffer",
    .basicsize = sizeof(struct foreign),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = foreign_slots,
};

struct ix_attachment *
ix_attachment_behind(struct ix_codec *codec, PyObject *object)
{
    struct ix_module *state = PyModule_GetState(codec->module);
    if (Py_TYPE(object) == state->foreign_type) {
        struct foreign *foreign = (struct foreign *)object;
        return foreign->owner == NULL ? foreign->attachment : NULL;
    }
    if (Py_TYPE(object) == state->shared_type)
        return ((struct ix_shared_object *)object)->attachment;
    return NULL;
}

static PyObject *
view_of(struct ix_codec *codec, struct ix_attachment *attachment)
{
    struct ix_module *state = ix_codec_module(codec);
    if (state == NULL)
        return NULL;
    struct foreign *foreign = (struct foreign *)state->foreign_type->tp_alloc(state->foreign_type,
                                                                              0);
    if (foreign == NULL)
        return NULL;
    struct ix_attachment *root = attachment->base != NULL ? attachment->base : attachment;
    if (root->home == codec->releases) {
        foreign->owner = Py_NewRef((PyObject *)root->owner);
        foreign->attachment = ix_attachment_layout(attachment);
    }
    else {
        ix_attachment_acquire(attachment);
        foreign->attachment = attachment;
    }
    PyObject *view = NULL;
    if (foreign->attachment != NULL)
        view = PyMemoryView_FromObject((PyObject *)foreign);
    else
        PyErr_NoMemory();
    Py_DECREF(foreign);
    return view;
}

/* ---- copies ---- */

/* Fills a new object that nobody else knows yet. */
static void
copy_into(void *memory, struct ix_attachment *attachment)
{
    if (attachment->length < WITHOUT_GIL) {
        ix_fill(memory, attachment->data, attachment->length);
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    ix_fill(memory, attachment->data, attachment->length);
    Py_END_ALLOW_THREADS
}

static PyObject *
bytes_of(struct ix_attachment *attachment)
{
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)attachment->length);
    if (bytes != NULL)
        copy_into(PyBytes_AS_STRING(bytes), attachment);
    return bytes;
}

static PyObject *
text_of(struct ix_attachment *attachment)
{
    Py_ssize_t length = (Py_ssize_t)(attachment->length / attachment->itemsize);
    PyObject *text = PyUnicode_New(length, (Py_UCS4)attachment->detail);
    if (text != NULL)
        copy_into(PyUnicode_DATA(text), attachment);
    return text;
}

static PyObject *
bytearray_of(struct ix_attachment *attachment)
{
    PyObject *bytes = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)attachment->length);
    if (bytes != NULL)
        copy_into(PyByteArray_AS_STRING(bytes), attachment);
    return bytes;
}

static PyObject *
array_of(struct ix_attachment *attachment)
{
    PyObject *array = NULL, *result = NULL;
    PyObject *module = PyImport_ImportModule("array");
    PyObject *view = PyMemoryView_FromMemory(attachment->data, (Py_ssize_t)attachment->length,
                                             PyBUF_READ);
    if (module != NULL && view != NULL)
        array = PyObject_CallMethod(module, "array", "C", (int)attachment->detail);
    if (array != NULL)
        result = PyObject_CallMethod(array, "frombytes", "O", view);
    if (result == NULL)
        Py_CLEAR(array);
    Py_XDECREF(result);
    Py_XDECREF(view);
    Py_XDECREF(module);
    return array;
}

/* ---- what is shared ---- */

static PyObject *
queue_of(struct ix_attachment *attachment)
{
    PyObject *module = PyImport_ImportModule(IX_QUEUES);
    PyObject *queue = NULL;
    if (module != NULL)
        queue = PyObject_CallMethod(module, "Queue", "K", (unsigned long long)attachment->detail);
    Py_XDECREF(module);
    return queue;
}

static PyObject *
shared_of(struct ix_codec *codec, struct ix_attachment *attachment)
{
    struct ix_module *state = ix_codec_module(codec);
    if (state == NULL)
        return NULL;
    ix_attachment_acquire(attachment);
    return ix_shared_new(state->shared_type, attachment);
}

PyObject *
ix_attached_object(struct ix_codec *codec, struct ix_attachment *attachment)
{
    switch ((enum ix_attachment_kind)attachment->kind) {
    case IX_ATTACHED_VIEW:
        return view_of(codec, attachment);
    case IX_ATTACHED_BYTES:
        return bytes_of(attachment);
    case IX_ATTACHED_TEXT:
        return text_of(attachment);
    case IX_ATTACHED_BYTEARRAY:
        return bytearray_of(attachment);
    case IX_ATTACHED_ARRAY:
        return array_of(attachment);
    case IX_ATTACHED_SHARED:
        return shared_of(codec, attachment);
    case IX_ATTACHED_QUEUE:
        return queue_of(attachment);
    }
    return PyErr_Format(PyExc_SystemError, "interp_executor: unknown attachment %d",
                        attachment->kind);
}
