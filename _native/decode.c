/* Decoding what encode.c has written, in another interpreter. */
#include "codec.h"

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
    if (at == NULL || ix_codec_import_pickle(codec) < 0)
        return NULL;
    PyObject *view = PyMemoryView_FromMemory((char *)at, (Py_ssize_t)length, PyBUF_READ);
    if (view == NULL)
        return NULL;
    PyObject *value = PyObject_CallOneArg(codec->pickle_loads, view);
    Py_DECREF(view);
    return value;
}

static PyObject *
get_attached(struct ix_codec *codec, struct ix_reader *reader)
{
    uint64_t address;
    const char *at = take(reader, 8);
    if (at == NULL)
        return NULL;
    memcpy(&address, at, 8);
    struct ix_attachment *attachment = ix_attachment_at(reader->attachments, address);
    return attachment == NULL ? NULL : ix_attached_object(codec, attachment);
}

/* A pickle with attachments. */
static PyObject *
get_pickle_attached(struct ix_codec *codec, struct ix_reader *reader)
{
    uint64_t length;
    const char *at = take_sized(reader, &length);
    PyObject *value = NULL;
    if (at == NULL)
        return NULL;
    PyObject *view = PyMemoryView_FromMemory((char *)at, (Py_ssize_t)length, PyBUF_READ);
    PyObject *unpack = ix_unpack_new(codec, reader->attachments);
    if (view != NULL && unpack != NULL)
        value = PyObject_CallFunctionObjArgs(codec->loads_attached, view, unpack, NULL);
    ix_pack_end(unpack);
    Py_XDECREF(view);
    return value;
}

PyObject *
ix_decode_value(struct ix_codec *codec, struct ix_reader *reader)
{
    const char *tag = take(reader, 1);
    if (tag == NULL)
        return NULL;
    switch ((enum ix_tag) * tag) {
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
    case TAG_ATTACHED:
        return get_attached(codec, reader);
    case TAG_PICKLE_ATTACHED:
        return get_pickle_attached(codec, reader);
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
