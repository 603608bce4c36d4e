/* Encoding: the compact form where a value has one, a pickle otherwise. */
#include "codec.h"

#define TUPLE_DEPTH 4
#define TUPLE_LENGTH 255
#define SMALL 65536 /* characters: up to here a string is copied, and needs no further look */

/* ---- the compact form ---- */

/* What the encoders of single types return: a type that has no compact form is not an error. */
enum fit { FIT_ERROR = -1, FIT_NO = 0, FIT_YES = 1 };

static enum fit
written(bool ok)
{
    if (!ok)
        PyErr_NoMemory();
    return ok ? FIT_YES : FIT_ERROR;
}

static enum fit
put_tag(struct ix_buffer *buffer, enum ix_tag tag)
{
    char byte = (char)tag;
    return written(ix_buffer_write(buffer, &byte, 1));
}

static enum fit
put_fixed(struct ix_buffer *buffer, enum ix_tag tag, const void *eight_bytes)
{
    if (!ix_buffer_reserve(buffer, 9))
        return written(false);
    buffer->data[buffer->length] = (char)tag;
    memcpy(buffer->data + buffer->length + 1, eight_bytes, 8);
    buffer->length += 9;
    return FIT_YES;
}

static enum fit
put_sized(struct ix_buffer *buffer, enum ix_tag tag, const void *data, size_t length)
{
    uint64_t size = length;
    return put_fixed(buffer, tag, &size) == FIT_YES ? written(ix_buffer_write(buffer, data, length))
                                                    : FIT_ERROR;
}

static enum fit
put_int(struct ix_buffer *buffer, PyObject *value)
{
    int overflow = 0;
    int64_t number = PyUnstable_Long_IsCompact((PyLongObject *)value)
                         ? (int64_t)PyUnstable_Long_CompactValue((PyLongObject *)value)
                         : PyLong_AsLongLongAndOverflow(value, &overflow);
    return overflow ? FIT_NO : put_fixed(buffer, TAG_INT, &number);
}

static enum fit
put_str(struct ix_buffer *buffer, PyObject *value)
{
    size_t length = (size_t)PyUnicode_GET_LENGTH(value);
    if (PyUnicode_IS_ASCII(value))
        return put_sized(buffer, TAG_ASCII, PyUnicode_DATA(value), length);
    uint64_t header[2] = {length, PyUnicode_MAX_CHAR_VALUE(value)};
    if (put_fixed(buffer, TAG_UNICODE, &header[0]) != FIT_YES
        || !ix_buffer_write(buffer, &header[1], 8))
        return written(false);
    size_t size = length * (size_t)PyUnicode_KIND(value);
    return written(ix_buffer_write(buffer, PyUnicode_DATA(value), size));
}

/* An error of an object's own: not swallowed, since a pickle meets it too, and there it is explained. */
static enum fit
unfit(void)
{
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
        return FIT_ERROR;
    PyErr_Clear();
    return FIT_NO;
}

/* What is large, or lent. */
static enum fit
put_attached(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value)
{
    if (!ix_is_attachable(codec, value))
        return FIT_NO;
    struct ix_attachment *attachment = ix_attach_later(value);
    bool changes = attachment != NULL;
    if (!changes && !PyErr_Occurred())
        attachment = ix_attach(codec, value);
    if (attachment == NULL)
        return unfit();
    if (!ix_attachments_add(&buffer->attachments, attachment))
        return written(false);
    if (changes) {
        /* Whether two of a message are the same object takes a pickle to tell. */
        if (buffer->attachments->changing != NULL)
            return FIT_NO;
        buffer->attachments->changing = value;
        buffer->attachments->waiting = attachment;
    }
    uint64_t address = (uint64_t)(uintptr_t)attachment;
    return put_fixed(buffer, TAG_ATTACHED, &address);
}

/* The value, or the call, crosses in the compact form: takes the value of what can change. */
static enum fit
settle(struct ix_buffer *buffer)
{
    struct ix_attachments *attachments = buffer->attachments;
    if (attachments == NULL || attachments->changing == NULL)
        return FIT_YES;
    PyObject *value = attachments->changing;
    attachments->changing = NULL;
    if (ix_snapshot(attachments->waiting, value) < 0)
        return unfit();
    attachments->copied += attachments->waiting->length;
    return FIT_YES;
}

static enum fit put_compact(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value,
                            int depth);

static enum fit
put_tuple(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value, int depth)
{
    Py_ssize_t length = PyTuple_GET_SIZE(value);
    if (depth == 0 || length > TUPLE_LENGTH)
        return FIT_NO;
    unsigned char header[2] = {TAG_TUPLE, (unsigned char)length};
    if (!ix_buffer_write(buffer, header, 2))
        return written(false);
    for (Py_ssize_t i = 0; i < length; i++) {
        enum fit fit = put_compact(codec, buffer, PyTuple_GET_ITEM(value, i), depth - 1);
        if (fit != FIT_YES)
            return fit;
    }
    return FIT_YES;
}

static bool
is_small(struct ix_codec *codec, PyObject *value, Py_ssize_t length)
{
    return length < SMALL || !ix_is_attachable(codec, value);
}

static enum fit
put_compact(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value, int depth)
{
    if (PyLong_CheckExact(value))
        return put_int(buffer, value);
    if (PyUnicode_CheckExact(value))
        return is_small(codec, value, PyUnicode_GET_LENGTH(value))
                   ? put_str(buffer, value)
                   : put_attached(codec, buffer, value);
    if (value == Py_None)
        return put_tag(buffer, TAG_NONE);
    if (PyFloat_CheckExact(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        return put_fixed(buffer, TAG_FLOAT, &number);
    }
    if (PyBool_Check(value))
        return put_tag(buffer, value == Py_True ? TAG_TRUE : TAG_FALSE);
    if (PyBytes_CheckExact(value))
        return is_small(codec, value, PyBytes_GET_SIZE(value))
                   ? put_sized(buffer, TAG_BYTES, PyBytes_AS_STRING(value),
                               (size_t)PyBytes_GET_SIZE(value))
                   : put_attached(codec, buffer, value);
    if (PyTuple_CheckExact(value))
        return put_tuple(codec, buffer, value, depth);
    return put_attached(codec, buffer, value);
}

/* ---- pickles ---- */

static bool
contains(const char *data, size_t length, const char *word)
{
    size_t n = strlen(word);
    const char *end = data + length;
    while ((size_t)(end - data) >= n) {
        data = memchr(data, word[0], (size_t)(end - data) - n + 1);
        if (data == NULL)
            return false;
        if (memcmp(data, word, n) == 0)
            return true;
        data++;
    }
    return false;
}

/* Whether the pickle, which is complete, may go as it is. */
static bool
is_self_sufficient(struct ix_codec *codec, const char *data, size_t length)
{
    return !codec->main_by_value || !contains(data, length, "__main__");
}

/* Whether the pickle may hold something of that module, whose name is given in both forms. */
static bool
names_module(const char *data, size_t length, PyObject *name, const char *text)
{
    PyObject *modules = PyImport_GetModuleDict(); /* borrowed */
    int loaded = PyDict_Contains(modules, name);
    if (loaded < 0)
        PyErr_Clear(); /* no dict: the interpreter ends */
    return loaded > 0 && contains(data, length, text);
}

/* Some things can be pickled that must not go so: queues of interpreters, which nobody keeps alive on the way, and
 * connections, whose copies close the descriptor. Pickles of the other kind ask about each object. */
static bool
is_suspect(struct ix_codec *codec, const char *data, size_t length)
{
    return names_module(data, length, codec->queues, IX_QUEUES)
           || names_module(data, length, codec->connections, IX_CONNECTIONS);
}

/* A plain pickle, behind its tag and size. As ix_pickle_plain(). */
static int
put_plain(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value)
{
    struct ix_mark start = ix_buffer_mark(buffer);
    uint64_t size = 0;
    if (put_fixed(buffer, TAG_PICKLE, &size) != FIT_YES)
        return -1;
    size_t body = buffer->length;
    int result = ix_pickle_plain(codec, buffer, value);
    if (result > 0) {
        size = buffer->length - body;
        memcpy(buffer->data + body - 8, &size, 8);
        if (is_self_sufficient(codec, buffer->data + body, size)
            && !is_suspect(codec, buffer->data + body, size))
            return 1;
        result = 0;
    }
    ix_buffer_rewind(buffer, start);
    return result;
}

/* Appends what a helper pickled, with attachments if there are some since `start`. Steals `bytes`, which
 * may be NULL. */
static int
put_pickle(struct ix_buffer *buffer, PyObject *bytes, struct ix_mark start)
{
    if (bytes == NULL)
        return -1;
    if (!PyBytes_Check(bytes)) {
        PyErr_Format(PyExc_TypeError, "a pickling helper returned %T", bytes);
        Py_DECREF(bytes);
        return -1;
    }
    bool attached = ix_buffer_mark(buffer).attachments != start.attachments;
    enum fit fit = put_sized(buffer, attached ? TAG_PICKLE_ATTACHED : TAG_PICKLE,
                             PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return fit == FIT_YES ? 0 : -1;
}

/* A pickle with attachments. Returns it; NULL without an exception where the fallback has to look. */
static PyObject *
dumps_attaching(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value)
{
    struct ix_mark start = ix_buffer_mark(buffer);
    PyObject *pack = ix_pack_begin(codec, buffer);
    if (pack == NULL)
        return NULL;
    PyObject *bytes = PyObject_CallFunctionObjArgs(codec->dumps_attaching, value, pack, NULL);
    ix_pack_end(pack); /* it knows attachments that may be taken away again */
    if (bytes != NULL && PyBytes_Check(bytes)
        && is_self_sufficient(codec, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)))
        return bytes;
    /* Not swallowed: the fallback meets the same failure and explains it. */
    if (bytes == NULL && PyErr_ExceptionMatches(PyExc_Exception)
        && !PyErr_ExceptionMatches(PyExc_MemoryError))
        PyErr_Clear();
    Py_XDECREF(bytes);
    ix_buffer_rewind(buffer, start);
    return NULL;
}

/* A pickle by value, with attachments. Returns it, or NULL with an exception set. */
static PyObject *
dumps_by_value(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value, PyObject *tuple,
               PyObject *kwargs)
{
    PyObject *bytes, *pack = ix_pack_begin(codec, buffer);
    if (pack == NULL)
        return NULL;
    if (tuple == NULL)
        bytes = PyObject_CallFunctionObjArgs(codec->dumps_value, value, pack, NULL);
    else
        bytes = PyObject_CallFunctionObjArgs(codec->dumps_call, tuple, kwargs, pack, NULL);
    ix_pack_end(pack);
    return bytes;
}

/* What has no compact form. `tuple` and `kwargs` are those of a call, or NULL. */
static int
put_pickled(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value, PyObject *tuple,
            PyObject *kwargs)
{
    struct ix_mark start = ix_buffer_mark(buffer);
    int plain = ix_seems_to_hold_attachable(codec, value) ? 0 : put_plain(codec, buffer, value);
    if (plain != 0)
        return plain > 0 ? 0 : -1;
    PyObject *bytes = dumps_attaching(codec, buffer, value);
    if (bytes == NULL && !PyErr_Occurred())
        bytes = dumps_by_value(codec, buffer, value, tuple, kwargs);
    int result = put_pickle(buffer, bytes, start);
    if (result < 0)
        ix_buffer_rewind(buffer, start);
    return result;
}

int
ix_encode_value(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value)
{
    struct ix_mark start = ix_buffer_mark(buffer);
    enum fit fit = put_compact(codec, buffer, value, TUPLE_DEPTH);
    if (fit == FIT_YES)
        fit = settle(buffer);
    if (fit == FIT_YES)
        return 0;
    ix_buffer_rewind(buffer, start);
    return fit == FIT_ERROR ? -1 : put_pickled(codec, buffer, value, NULL, NULL);
}

int
ix_encode_raised(struct ix_buffer *buffer, PyObject *bytes)
{
    return put_sized(buffer, TAG_RAISED, PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes))
                   == FIT_YES
               ? 0
               : -1;
}

/* ---- calls ---- */

static enum fit
put_call(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *const *args, Py_ssize_t nargs,
         PyObject *kwnames)
{
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    uint32_t counts[2] = {(uint32_t)nargs, (uint32_t)nkw};
    enum fit fit = put_fixed(buffer, TAG_CALL, counts);
    for (Py_ssize_t i = 0; fit == FIT_YES && i < nargs + nkw; i++) {
        if (i >= nargs)
            fit = put_compact(codec, buffer, PyTuple_GET_ITEM(kwnames, i - nargs), 0);
        if (fit == FIT_YES)
            fit = put_compact(codec, buffer, args[i], TUPLE_DEPTH);
    }
    return fit;
}

static PyObject *
kwargs_dict(PyObject *const *values, PyObject *kwnames)
{
    PyObject *kwargs = PyDict_New();
    Py_ssize_t n = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; kwargs != NULL && i < n; i++) {
        if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(kwnames, i), values[i]) < 0)
            Py_CLEAR(kwargs);
    }
    return kwargs;
}

static PyObject *
args_tuple(PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *tuple = PyTuple_New(nargs);
    for (Py_ssize_t i = 0; tuple != NULL && i < nargs; i++)
        PyTuple_SET_ITEM(tuple, i, Py_NewRef(args[i]));
    return tuple;
}

int
ix_encode_call(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *const *args,
               Py_ssize_t nargs, PyObject *kwnames)
{
    struct ix_mark start = ix_buffer_mark(buffer);
    enum fit fit = put_call(codec, buffer, args, nargs, kwnames);
    if (fit == FIT_YES)
        fit = settle(buffer);
    if (fit == FIT_YES)
        return 0;
    ix_buffer_rewind(buffer, start);
    if (fit == FIT_ERROR)
        return -1;

    PyObject *pair = NULL;
    int result = -1;
    PyObject *tuple = args_tuple(args, nargs);
    PyObject *kwargs = kwargs_dict(args + nargs, kwnames);
    if (tuple != NULL && kwargs != NULL)
        pair = PyTuple_Pack(2, tuple, kwargs);
    if (pair != NULL)
        result = put_pickled(codec, buffer, pair, tuple, kwargs);
    Py_XDECREF(tuple);
    Py_XDECREF(kwargs);
    Py_XDECREF(pair);
    return result;
}
