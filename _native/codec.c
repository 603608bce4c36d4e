#include "codec.h"

#define TUPLE_DEPTH 4
#define TUPLE_LENGTH 255

enum tag {
    TAG_NONE = 'N',
    TAG_TRUE = 'T',
    TAG_FALSE = 'F',
    TAG_INT = 'i',
    TAG_FLOAT = 'f',
    TAG_ASCII = 's',
    TAG_UNICODE = 'u',
    TAG_BYTES = 'b',
    TAG_TUPLE = '(',
    TAG_PICKLE = 'P',
    TAG_RAISED = '!',
    TAG_CALL = 'C',
};

int
ix_codec_init(struct ix_codec *codec, PyObject *helpers)
{
    codec->protocol = PyLong_FromLong(5);
    codec->dumps_value = PyObject_GetAttrString(helpers, "dumps_value");
    codec->dumps_call = PyObject_GetAttrString(helpers, "dumps_call");
    if (codec->protocol == NULL || codec->dumps_value == NULL || codec->dumps_call == NULL)
        return -1;
    return 0;
}

int
ix_codec_traverse(struct ix_codec *codec, visitproc visit, void *arg)
{
    Py_VISIT(codec->pickle_dumps);
    Py_VISIT(codec->pickle_loads);
    Py_VISIT(codec->dumps_value);
    Py_VISIT(codec->dumps_call);
    return 0;
}

void
ix_codec_clear(struct ix_codec *codec)
{
    Py_CLEAR(codec->pickle_dumps);
    Py_CLEAR(codec->pickle_loads);
    Py_CLEAR(codec->protocol);
    Py_CLEAR(codec->dumps_value);
    Py_CLEAR(codec->dumps_call);
}

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
put_tag(struct ix_buffer *buffer, enum tag tag)
{
    char byte = (char)tag;
    return written(ix_buffer_write(buffer, &byte, 1));
}

static enum fit
put_fixed(struct ix_buffer *buffer, enum tag tag, const void *eight_bytes)
{
    if (!ix_buffer_reserve(buffer, 9))
        return written(false);
    buffer->data[buffer->length] = (char)tag;
    memcpy(buffer->data + buffer->length + 1, eight_bytes, 8);
    buffer->length += 9;
    return FIT_YES;
}

static enum fit
put_sized(struct ix_buffer *buffer, enum tag tag, const void *data, size_t length)
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

static int
import_pickle(struct ix_codec *codec)
{
    if (codec->pickle_loads != NULL)
        return 0;
    PyObject *module = PyImport_ImportModule("_pickle");
    if (module == NULL)
        return -1;
    Py_XSETREF(codec->pickle_dumps, PyObject_GetAttrString(module, "dumps"));
    if (codec->pickle_dumps != NULL)
        codec->pickle_loads = PyObject_GetAttrString(module, "loads");
    Py_DECREF(module);
    return codec->pickle_loads == NULL ? -1 : 0;
}

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
    if (import_pickle(codec) < 0)
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

/* ---- decoding ---- */

/* The next n bytes, or NULL with an exception. */
static const char *
take(struct ix_reader *reader, size_t n)
{
    if ((size_t)(reader->end - reader->at) < n) {
        PyErr_SetString(PyExc_SystemError, "interp_executor: a truncated message");
        return NULL;
    }
    const char *at = reader->at;
    reader->at += n;
    return at;
}

static const char *
take_sized(struct ix_reader *reader, uint64_t *size)
{
    const char *at = take(reader, 8);
    if (at == NULL)
        return NULL;
    memcpy(size, at, 8);
    return take(reader, *size);
}

static PyObject *
get_int(struct ix_reader *reader)
{
    int64_t number;
    const char *at = take(reader, 8);
    if (at == NULL)
        return NULL;
    memcpy(&number, at, 8);
    return PyLong_FromLongLong(number);
}

static PyObject *
get_float(struct ix_reader *reader)
{
    double number;
    const char *at = take(reader, 8);
    if (at == NULL)
        return NULL;
    memcpy(&number, at, 8);
    return PyFloat_FromDouble(number);
}

static PyObject *
get_ascii(struct ix_reader *reader)
{
    uint64_t length;
    const char *at = take_sized(reader, &length);
    PyObject *text = at == NULL ? NULL : PyUnicode_New((Py_ssize_t)length, 127);
    if (text != NULL && length != 0)
        memcpy(PyUnicode_DATA(text), at, length);
    return text;
}

static PyObject *
get_unicode(struct ix_reader *reader)
{
    uint64_t header[2];
    const char *at = take(reader, 16);
    if (at == NULL)
        return NULL;
    memcpy(header, at, 16);
    PyObject *text = PyUnicode_New((Py_ssize_t)header[0], (Py_UCS4)header[1]);
    if (text == NULL)
        return NULL;
    size_t size = header[0] * (size_t)PyUnicode_KIND(text);
    at = take(reader, size);
    if (at == NULL) {
        Py_DECREF(text);
        return NULL;
    }
    memcpy(PyUnicode_DATA(text), at, size);
    return text;
}

static PyObject *
get_bytes(struct ix_reader *reader)
{
    uint64_t length;
    const char *at = take_sized(reader, &length);
    return at == NULL ? NULL : PyBytes_FromStringAndSize(at, (Py_ssize_t)length);
}

static PyObject *
get_tuple(struct ix_codec *codec, struct ix_reader *reader)
{
    const char *at = take(reader, 1);
    PyObject *tuple = at == NULL ? NULL : PyTuple_New((unsigned char)*at);
    for (Py_ssize_t i = 0; tuple != NULL && i < PyTuple_GET_SIZE(tuple); i++) {
        PyObject *item = ix_decode_value(codec, reader);
        if (item == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, i, item);
    }
    return tuple;
}

static PyObject *
get_pickle(struct ix_codec *codec, struct ix_reader *reader)
{
    uint64_t length;
    const char *at = take_sized(reader, &length);
    if (at == NULL || import_pickle(codec) < 0)
        return NULL;
    PyObject *view = PyMemoryView_FromMemory((char *)at, (Py_ssize_t)length, PyBUF_READ);
    if (view == NULL)
        return NULL;
    PyObject *value = PyObject_CallOneArg(codec->pickle_loads, view);
    Py_DECREF(view);
    return value;
}

PyObject *
ix_decode_value(struct ix_codec *codec, struct ix_reader *reader)
{
    const char *tag = take(reader, 1);
    if (tag == NULL)
        return NULL;
    switch ((enum tag)*tag) {
    case TAG_NONE:
        Py_RETURN_NONE;
    case TAG_TRUE:
        Py_RETURN_TRUE;
    case TAG_FALSE:
        Py_RETURN_FALSE;
    case TAG_INT:
        return get_int(reader);
    case TAG_FLOAT:
        return get_float(reader);
    case TAG_ASCII:
        return get_ascii(reader);
    case TAG_UNICODE:
        return get_unicode(reader);
    case TAG_BYTES:
        return get_bytes(reader);
    case TAG_TUPLE:
        return get_tuple(codec, reader);
    case TAG_PICKLE:
        return get_pickle(codec, reader);
    default:
        return PyErr_Format(PyExc_SystemError, "interp_executor: unknown tag %d", *tag);
    }
}

bool
ix_decode_raised(struct ix_reader *reader, const char **data, size_t *length)
{
    if (reader->at == reader->end || *reader->at != TAG_RAISED)
        return false;
    uint64_t size;
    memcpy(&size, reader->at + 1, 8);
    *data = reader->at + 9;
    *length = size;
    reader->at += 9 + size;
    return true;
}

static int
decode_pickled_call(struct ix_codec *codec, struct ix_reader *reader, struct ix_call *call)
{
    PyObject *pair = ix_decode_value(codec, reader);
    if (pair == NULL)
        return -1;
    call->tuple = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
    call->kwargs = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
    Py_DECREF(pair);
    return 0;
}

static int
call_reserve(struct ix_call *call, uint32_t nargs, uint32_t nkw)
{
    call->nargs = nargs;
    call->values = call->stack + 1;
    if (nargs + nkw > IX_CALL_STACK) {
        PyObject **block = PyMem_New(PyObject *, (size_t)nargs + nkw + 1);
        if (block == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        call->values = block + 1;
    }
    if (nkw != 0 && (call->kwnames = PyTuple_New(nkw)) == NULL)
        return -1;
    return 0;
}

static int
decode_vector(struct ix_codec *codec, struct ix_reader *reader, struct ix_call *call)
{
    uint32_t counts[2];
    const char *at = take(reader, 9);
    if (at == NULL)
        return -1;
    memcpy(counts, at + 1, 8);
    if (call_reserve(call, counts[0], counts[1]) < 0)
        return -1;
    for (uint32_t i = 0; i < counts[0] + counts[1]; i++) {
        if (i >= counts[0]) {
            PyObject *name = ix_decode_value(codec, reader);
            if (name == NULL)
                return -1;
            PyUnicode_InternInPlace(&name);
            PyTuple_SET_ITEM(call->kwnames, i - counts[0], name);
        }
        PyObject *value = ix_decode_value(codec, reader);
        if (value == NULL)
            return -1;
        call->values[call->nvalues++] = value;
    }
    return 0;
}

int
ix_decode_call(struct ix_codec *codec, struct ix_reader *reader, struct ix_call *call)
{
    int result;
    call->values = call->stack + 1;
    call->nargs = call->nvalues = 0;
    call->kwnames = call->tuple = call->kwargs = NULL;
    if (reader->at < reader->end && *reader->at == TAG_CALL)
        result = decode_vector(codec, reader, call);
    else
        result = decode_pickled_call(codec, reader, call);
    if (result < 0)
        ix_call_clear(call);
    return result;
}

PyObject *
ix_call_apply(struct ix_call *call, PyObject *callable)
{
    if (call->tuple != NULL)
        return PyObject_Call(callable, call->tuple, call->kwargs);
    size_t nargs = (size_t)call->nargs | PY_VECTORCALL_ARGUMENTS_OFFSET;
    return PyObject_Vectorcall(callable, call->values, nargs, call->kwnames);
}

void
ix_call_clear(struct ix_call *call)
{
    for (Py_ssize_t i = 0; i < call->nvalues; i++)
        Py_DECREF(call->values[i]);
    call->nvalues = 0;
    if (call->values != call->stack + 1)
        PyMem_Free(call->values - 1);
    call->values = call->stack + 1;
    Py_CLEAR(call->kwnames);
    Py_CLEAR(call->tuple);
    Py_CLEAR(call->kwargs);
}
