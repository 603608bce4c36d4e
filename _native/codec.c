/* What encode.c and decode.c need of an interpreter. */
#include "codec.h"

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

int
ix_codec_import_pickle(struct ix_codec *codec)
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
