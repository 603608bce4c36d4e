/* Encoding: the compact form where a value has one, a pickle otherwise. */
#include "codec.h"

#define TUPLE_DEPTH 4
#define TUPLE_LENGTH 255

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

static enum fit put_compact(struct ix_buffer *buffer, PyObject *value, int depth);

static enum fit
put_tuple(struct ix_buffer *buffer, PyObject *value, int depth)
{
    Py_ssize_t length = PyTuple_GET_SIZE(value);
    if (depth == 0 || length > TUPLE_LENGTH)
        return FIT_NO;
    unsigned char header[2] = {TAG_TUPLE, (unsigned char)length};
    if (!ix_buffer_write(buffer, header, 2))
        return written(false);
    for (Py_ssize_t i = 0; i < length; i++) {
        enum fit fit = put_compact(buffer, PyTuple_GET_ITEM(value, i), depth - 1);
        if (fit != FIT_YES)
            return fit;
    }
    return FIT_YES;
}

static enum fit
put_compact(struct ix_buffer *buffer, PyObject *value, int depth)
{
    if (PyLong_CheckExact(value))
        return put_int(buffer, value);
    if (PyUnicode_CheckExact(value))
        return put_str(buffer, value);
    if (value == Py_None)
        return put_tag(buffer, TAG_NONE);
    if (PyFloat_CheckExact(value)) {
        double number = PyFloat_AS_DOUBLE(value);
        return put_fixed(buffer, TAG_FLOAT, &number);
    }
    if (PyBool_Check(value))
        return put_tag(buffer, value == Py_True ? TAG_TRUE : TAG_FALSE);
    if (PyBytes_CheckExact(value))
        return put_sized(buffer, TAG_BYTES, PyBytes_AS_STRING(value),
                         (size_t)PyBytes_GET_SIZE(value));
    if (PyTuple_CheckExact(value))
        return put_tuple(buffer, value, depth);
    return FIT_NO;
}

/* ---- pickles ---- */

static bool
contains(const char *data, Py_ssize_t length, const char *word)
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

/* Pickles `value`; NULL without an exception where the fallback has to look at it. */
static PyObject *
try_pickle(struct ix_codec *codec, PyObject *value)
{
    PyObject *args[2] = {value, codec->protocol};
    if (ix_codec_import_pickle(codec) < 0)
        return NULL;
    PyObject *bytes = PyObject_Vectorcall(codec->pickle_dumps, args, 2, NULL);
    if (bytes == NULL) {
        /* Not swallowed: the fallback meets the same failure and explains it. */
        if (PyErr_ExceptionMatches(PyExc_Exception))
            PyErr_Clear();
        return NULL;
    }
    if (codec->main_by_value
        && contains(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes), "__main__"))
        Py_CLEAR(bytes);
    return bytes;
}

/* Appends what was pickled; steals `bytes`, which may be NULL. */
static int
put_pickle(struct ix_buffer *buffer, PyObject *bytes)
{
    if (bytes == NULL)
        return -1;
    if (!PyBytes_Check(bytes)) {
        PyErr_Format(PyExc_TypeError, "a pickling helper returned %T", bytes);
        Py_DECREF(bytes);
        return -1;
    }
    enum fit fit = put_sized(buffer, TAG_PICKLE, PyBytes_AS_STRING(bytes),
                             (size_t)PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    return fit == FIT_YES ? 0 : -1;
}

int
ix_encode_value(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value)
{
    size_t start = buffer->length;
    enum fit fit = put_compact(buffer, value, TUPLE_DEPTH);
    if (fit != FIT_NO)
        return fit == FIT_YES ? 0 : -1;
    buffer->length = start;
    PyObject *bytes = try_pickle(codec, value);
    if (bytes == NULL && !PyErr_Occurred())
        bytes = PyObject_CallOneArg(codec->dumps_value, value);
    return put_pickle(buffer, bytes);
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
put_call(struct ix_buffer *buffer, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    uint32_t counts[2] = {(uint32_t)nargs, (uint32_t)nkw};
    enum fit fit = put_fixed(buffer, TAG_CALL, counts);
    for (Py_ssize_t i = 0; fit == FIT_YES && i < nargs + nkw; i++) {
        if (i >= nargs)
            fit = put_compact(buffer, PyTuple_GET_ITEM(kwnames, i - nargs), 0);
        if (fit == FIT_YES)
            fit = put_compact(buffer, args[i], TUPLE_DEPTH);
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
    size_t start = buffer->length;
    enum fit fit = put_call(buffer, args, nargs, kwnames);
    if (fit != FIT_NO)
        return fit == FIT_YES ? 0 : -1;
    buffer->length = start;

    PyObject *pair = NULL, *bytes = NULL;
    PyObject *tuple = args_tuple(args, nargs);
    PyObject *kwargs = kwargs_dict(args + nargs, kwnames);
    if (tuple != NULL && kwargs != NULL)
        pair = PyTuple_Pack(2, tuple, kwargs);
    if (pair != NULL) {
        bytes = try_pickle(codec, pair);
        if (bytes == NULL && !PyErr_Occurred())
            bytes = PyObject_CallFunctionObjArgs(codec->dumps_call, tuple, kwargs, NULL);
    }
    Py_XDECREF(tuple);
    Py_XDECREF(kwargs);
    Py_XDECREF(pair);
    return put_pickle(buffer, bytes);
}
