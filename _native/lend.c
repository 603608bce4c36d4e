/* The lender's side of attachments: what of an object's memory a message can refer to. */
#include "state.h"

#include "fill.h"

/* From this size on a copy by the receiver, straight into its new object, is cheaper than one into the
 * message and another out of it, although the receiver's thanks cost the lender a wake-up. */
#define LARGE 262144

/* ---- types ---- */

/* Whether the type is the attribute `name` of a module that is loaded. Cheap for all whose tp_name differs. */
static bool
is_type_of(PyTypeObject *type, const char *tp_name, const char *module_name, const char *name)
{
    if (strcmp(type->tp_name, tp_name) != 0)
        return false;
    PyObject *key = PyUnicode_FromString(module_name);
    PyObject *module = key == NULL ? NULL : PyImport_GetModule(key);
    PyObject *found = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    if (found == NULL)
        PyErr_Clear(); /* a namesake */
    bool result = found == (PyObject *)type;
    Py_XDECREF(key);
    Py_XDECREF(module);
    Py_XDECREF(found);
    return result;
}

static bool
is_array(PyTypeObject *type)
{
    return is_type_of(type, "array.array", "array", "array");
}

static bool
is_queue(PyTypeObject *type)
{
    return is_type_of(type, "Queue", IX_QUEUES, "Queue");
}

static bool
is_shared(struct ix_codec *codec, PyTypeObject *type)
{
    if (strcmp(type->tp_name, IX_SHARED_NAME) != 0)
        return false;
    struct ix_module *state = ix_codec_module(codec);
    if (state == NULL)
        PyErr_Clear(); /* then none of its objects exists */
    return state != NULL && type == state->shared_type;
}

static size_t
size_of_text(PyObject *text)
{
    return (size_t)PyUnicode_GET_LENGTH(text) * (size_t)PyUnicode_KIND(text);
}

static bool
is_large_array(PyObject *array)
{
    Py_ssize_t length = PyObject_Size(array);
    if (length < 0)
        PyErr_Clear();
    return length >= LARGE / 8; /* whatever its items are, the way is right for so many */
}

/* Of what leaves for another process: smaller buffers are in good hands with the pickle. */
static bool
is_worth_sharing(PyObject *buffer)
{
    const Py_buffer *view = PyPickleBuffer_GetBuffer(buffer);
    if (view == NULL)
        PyErr_Clear(); /* released: pickling it says so */
    return view != NULL && view->len >= IX_SHARED_FROM;
}

bool
ix_is_attachable(struct ix_codec *codec, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyLong_Type)
        return false;
    if (type == &PyUnicode_Type)
        return size_of_text(value) >= LARGE;
    if (type == &PyBytes_Type)
        return PyBytes_GET_SIZE(value) >= LARGE;
    if (type == &PyPickleBuffer_Type)
        return !codec->leaves || is_worth_sharing(value);
    if (type == &PyMemoryView_Type)
        return true;
    if (type == &PyByteArray_Type)
        return PyByteArray_GET_SIZE(value) >= LARGE;
    if (!(type->tp_flags & Py_TPFLAGS_HEAPTYPE))
        return false;
    if (is_array(type))
        return is_large_array(value);
    return !codec->leaves && (is_shared(codec, type) || is_queue(type));
}

bool
ix_is_connection(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    return (type->tp_flags & Py_TPFLAGS_HEAPTYPE)
           && is_type_of(type, "Connection", IX_CONNECTIONS, "Connection");
}

#define LOOKS 1024    /* at so many objects, which costs little beside pickling them */
#define LOOKS_EACH 64 /* of one container, so that the first does not take them all */

static bool look_for_attachable(struct ix_codec *codec, PyObject *value, int *looks);

static bool
look_into_dict(struct ix_codec *codec, PyObject *dict, int *looks)
{
    Py_ssize_t at = 0;
    PyObject *item;
    bool found = false;
    for (int i = 0; !found && i < LOOKS_EACH && PyDict_Next(dict, &at, NULL, &item); i++)
        found = look_for_attachable(codec, item, looks);
    return found;
}

/* An instance of a class, whose dict its pickle asks for too. */
static bool
look_into_attributes(struct ix_codec *codec, PyObject *value, int *looks)
{
    PyObject *dict = PyObject_GenericGetDict(value, NULL);
    if (dict == NULL)
        PyErr_Clear(); /* its pickle meets that too */
    bool found = dict != NULL && look_into_dict(codec, dict, looks);
    Py_XDECREF(dict);
    return found;
}

static bool
look_for_attachable(struct ix_codec *codec, PyObject *value, int *looks)
{
    if (--*looks < 0)
        return false;
    Py_INCREF(
        value); /* an import in the depths of ix_is_attachable() lets others at what holds it */
    bool found = ix_is_attachable(codec, value);
    if (PyList_CheckExact(value) || PyTuple_CheckExact(value)) {
        for (Py_ssize_t i = 0; !found && i < Py_SIZE(value) && i < LOOKS_EACH; i++)
            found = look_for_attachable(codec, PySequence_Fast_GET_ITEM(value, i), looks);
    }
    else if (PyDict_CheckExact(value))
        found = look_into_dict(codec, value, looks);
    else if (!found && PyType_HasFeature(Py_TYPE(value), Py_TPFLAGS_MANAGED_DICT))
        found = look_into_attributes(codec, value, looks);
    Py_DECREF(value);
    return found;
}

bool
ix_seems_to_hold_attachable(struct ix_codec *codec, PyObject *value)
{
    int looks = LOOKS;
    return look_for_attachable(codec, value, &looks);
}

/* ---- views ---- */

/* A new attachment with the buffer's memory and layout, and neither owner nor base. */
static struct ix_attachment *
attachment_of(const Py_buffer *view)
{
    const char *format = view->format == NULL ? "B" : view->format;
    struct ix_attachment *attachment = ix_attachment_new(IX_ATTACHED_VIEW, (uint32_t)view->ndim,
                                                         format);
    if (attachment == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    attachment->data = view->buf;
    attachment->length = (size_t)view->len;
    attachment->itemsize = (size_t)view->itemsize;
    attachment->readonly = view->readonly;
    size_t size = (size_t)view->ndim * sizeof(ptrdiff_t);
    if (size != 0) {
        memcpy(ix_attachment_shape(attachment), view->shape, size);
        memcpy(ix_attachment_strides(attachment), view->strides, size);
    }
    return attachment;
}

static bool
is_the_same(struct ix_attachment *attachment, const Py_buffer *view)
{
    size_t size = (size_t)view->ndim * sizeof(ptrdiff_t);
    return attachment->kind == IX_ATTACHED_VIEW && attachment->data == view->buf
           && attachment->ndim == (uint32_t)view->ndim
           && attachment->itemsize == (size_t)view->itemsize
           && attachment->readonly == (bool)view->readonly
           && strcmp(ix_attachment_format(attachment), view->format) == 0
           && (size == 0 /* without dimensions there are no arrays to compare */
               || (memcmp(ix_attachment_shape(attachment), view->shape, size) == 0
                   && memcmp(ix_attachment_strides(attachment), view->strides, size) == 0));
}

/* Memory that is somebody's already: it stays his, and goes on without a detour through us. */
static struct ix_attachment *
pass_on(struct ix_attachment *behind, const Py_buffer *view)
{
    if (is_the_same(behind, view)) {
        ix_attachment_acquire(behind);
        return behind;
    }
    struct ix_attachment *attachment = attachment_of(view);
    if (attachment != NULL) {
        attachment->base = behind->base != NULL ? behind->base : behind;
        ix_attachment_acquire(attachment->base);
    }
    return attachment;
}

static struct ix_attachment *
lend_view(struct ix_codec *codec, PyObject *value)
{
    /* A view of our own on the same memory, so that the sender may release his. */
    PyObject *own = PyMemoryView_FromObject(value);
    if (own == NULL)
        return NULL;
    const Py_buffer *view = PyMemoryView_GET_BUFFER(own);
    struct ix_attachment *attachment = NULL, *behind = NULL;
    if (view->suboffsets != NULL)
        PyErr_SetString(PyExc_BufferError, "a memoryview with suboffsets (of memory in several "
                                           "pieces) cannot be lent; pass its tobytes()");
    else if (ix_codec_module(codec) != NULL) {
        behind = view->obj == NULL ? NULL : ix_attachment_behind(codec, view->obj);
        attachment = behind != NULL ? pass_on(behind, view) : attachment_of(view);
    }
    if (attachment != NULL && behind == NULL)
        ix_attachment_adopt(attachment, codec->releases, own);
    else
        Py_DECREF(own);
    return attachment;
}

/* ---- copies ---- */

static struct ix_attachment *
new_attachment(enum ix_attachment_kind kind)
{
    struct ix_attachment *attachment = ix_attachment_new(kind, 0, "");
    if (attachment == NULL)
        PyErr_NoMemory();
    return attachment;
}

/* An immutable object: the receiver copies it. */
static struct ix_attachment *
lend_object(struct ix_codec *codec, PyObject *value, enum ix_attachment_kind kind, const void *data,
            size_t length)
{
    struct ix_attachment *attachment = new_attachment(kind);
    if (attachment == NULL)
        return NULL;
    attachment->data = (char *)data;
    attachment->length = length;
    ix_attachment_adopt(attachment, codec->releases, Py_NewRef(value));
    return attachment;
}

struct ix_attachment *
ix_attach_later(PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyByteArray_Type)
        return new_attachment(IX_ATTACHED_BYTEARRAY);
    return is_array(type) ? new_attachment(IX_ATTACHED_ARRAY) : NULL;
}

static int
note_type_code(struct ix_attachment *attachment, PyObject *array)
{
    PyObject *code = PyObject_GetAttrString(array, "typecode");
    Py_UCS4 character = code == NULL ? (Py_UCS4)-1 : PyUnicode_ReadChar(code, 0);
    Py_XDECREF(code);
    attachment->detail = character;
    return character == (Py_UCS4)-1 ? -1 : 0;
}

/* Its value as it is now, in memory of the attachment's own. */
int
ix_snapshot(struct ix_attachment *attachment, PyObject *value)
{
    Py_buffer view;
    if (attachment->kind == IX_ATTACHED_ARRAY && note_type_code(attachment, value) < 0)
        return -1;
    if (PyObject_GetBuffer(value, &view, PyBUF_SIMPLE) < 0)
        return -1;
    bool allocated = ix_attachment_allocate(attachment, (size_t)view.len, false);
    if (allocated) {
        Py_BEGIN_ALLOW_THREADS /* while it is exported, nobody can resize it */
        ix_fill(attachment->data, view.buf, (size_t)view.len);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&view);
    if (!allocated)
        PyErr_NoMemory();
    return allocated ? 0 : -1;
}

/* ---- what is shared ---- */

static struct ix_attachment *
lend_shared(struct ix_codec *codec, PyObject *value)
{
    struct ix_attachment *attachment = ix_attachment_behind(codec, value);
    ix_attachment_acquire(attachment);
    return attachment;
}

/* Its number names it in every interpreter, as long as an object somewhere holds it. */
static struct ix_attachment *
lend_queue(struct ix_codec *codec, PyObject *value)
{
    PyObject *number = PyObject_GetAttrString(value, "id");
    if (number == NULL)
        return NULL;
    uint64_t id = PyLong_AsUnsignedLongLong(number);
    Py_DECREF(number);
    if (PyErr_Occurred())
        return NULL;
    struct ix_attachment *attachment = lend_object(codec, value, IX_ATTACHED_QUEUE, NULL, 0);
    if (attachment != NULL)
        attachment->detail = id;
    return attachment;
}

static struct ix_attachment *
lend_text(struct ix_codec *codec, PyObject *value)
{
    struct ix_attachment *attachment = lend_object(codec, value, IX_ATTACHED_TEXT,
                                                   PyUnicode_DATA(value), size_of_text(value));
    if (attachment != NULL) {
        attachment->detail = PyUnicode_MAX_CHAR_VALUE(value);
        attachment->itemsize = (size_t)PyUnicode_KIND(value);
    }
    return attachment;
}

struct ix_attachment *
ix_attach(struct ix_codec *codec, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyBytes_Type)
        return lend_object(codec, value, IX_ATTACHED_BYTES, PyBytes_AS_STRING(value),
                           (size_t)PyBytes_GET_SIZE(value));
    if (type == &PyUnicode_Type)
        return lend_text(codec, value);
    if (type == &PyMemoryView_Type)
        return lend_view(codec, value);
    if (type == &PyPickleBuffer_Type) {
        struct ix_attachment *view = lend_view(codec, value);
        if (view != NULL)
            view->pickled = true;
        return view;
    }
    if (is_shared(codec, type))
        return lend_shared(codec, value);
    if (is_queue(type))
        return lend_queue(codec, value);
    struct ix_attachment *attachment = ix_attach_later(value);
    if (attachment != NULL && ix_snapshot(attachment, value) < 0) {
        ix_attachment_release(attachment);
        attachment = NULL;
    }
    return attachment;
}
