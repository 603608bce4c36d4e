/* Loading what a task needs into the worker's interpreter: its Python side, callables, arguments. */
#include "worker.h"

/* ---- the Python side ---- */

static int
set_sys_path(const struct ix_buffer *encoded)
{
    struct ix_codec codec = {0}; /* for decoding nothing more is needed */
    struct ix_reader reader = {encoded->data, encoded->data + encoded->length, NULL};
    PyObject *path = ix_decode_value(&codec, &reader);
    PyObject *list = path == NULL ? NULL : PySequence_List(path);
    int result = list == NULL ? -1 : PySys_SetObject("path", list);
    Py_XDECREF(path);
    Py_XDECREF(list);
    ix_codec_clear(&codec);
    return result;
}

static int
start_python_side(struct ix_inside *inside, PyObject *module, PyObject *world)
{
    PyObject *written = PyObject_CallMethod(module, "start", "O", world);
    int result = -1;
    if (written != NULL)
        result = PyObject_GetBuffer(written, &inside->written, PyBUF_WRITABLE);
    Py_XDECREF(written);
    if (result < 0)
        return -1;
    inside->load_callable = PyObject_GetAttrString(module, "load_callable");
    inside->refresh_world = PyObject_GetAttrString(module, "refresh_world");
    inside->encode_raised = PyObject_GetAttrString(module, "encode_raised");
    inside->encode_unloadable = PyObject_GetAttrString(module, "encode_unloadable");
    inside->refused = PyObject_GetAttrString(module, "refused");
    inside->encode_stopped = PyObject_GetAttrString(module, "encode_stopped");
    inside->interrupt = PyObject_GetAttrString(module, "TaskInterrupt");
    inside->flush = PyObject_GetAttrString(module, "flush");
    if (PyErr_Occurred())
        return -1;
    return ix_codec_init(&inside->codec, module);
}

int
ix_inside_init(struct ix_inside *inside, const struct ix_buffer *path,
               const struct ix_buffer *world)
{
    int result = -1;
    if (path != NULL && set_sys_path(path) < 0)
        return -1;
    PyObject *module = PyImport_ImportModule("interp_executor._worker");
    PyObject *bytes = PyBytes_FromStringAndSize(world->data, (Py_ssize_t)world->length);
    if (module != NULL && bytes != NULL)
        result = start_python_side(inside, module, bytes);
    Py_XDECREF(module);
    Py_XDECREF(bytes);
    return result;
}

void
ix_inside_forget(struct ix_inside *inside)
{
    for (uint32_t i = 0; i < inside->ncallables; i++)
        Py_CLEAR(inside->callables[i]);
}

void
ix_inside_clear(struct ix_inside *inside)
{
    ix_inside_forget(inside);
    PyMem_RawFree(inside->callables);
    inside->callables = NULL;
    inside->ncallables = 0;
    Py_CLEAR(inside->load_callable);
    Py_CLEAR(inside->refresh_world);
    Py_CLEAR(inside->encode_raised);
    Py_CLEAR(inside->encode_unloadable);
    Py_CLEAR(inside->refused);
    Py_CLEAR(inside->encode_stopped);
    Py_CLEAR(inside->interrupt);
    Py_CLEAR(inside->flush);
    ix_codec_clear(&inside->codec);
    if (inside->written.obj != NULL)
        PyBuffer_Release(&inside->written);
}

/* ---- refusals ---- */

bool
ix_note_refusal(struct ix_worker *worker, bool loading)
{
    if (worker->refused != NULL)
        return true;
    PyObject *error = PyErr_GetRaisedException();
    if (loading || PyErr_GivenExceptionMatches(error, PyExc_ImportError)) {
        PyObject *modules = PyObject_CallOneArg(worker->inside.refused, error);
        const char *text = modules == NULL || modules == Py_None ? NULL : PyUnicode_AsUTF8(modules);
        if (text != NULL)
            worker->refused = strdup(text);
        Py_XDECREF(modules);
        PyErr_Clear(); /* what led here is the outcome */
    }
    PyErr_SetRaisedException(error);
    return worker->refused != NULL;
}

void
ix_note_nothing(struct ix_worker *worker)
{
    worker->unloaded = NULL;
    free(worker->refused);
    worker->refused = NULL;
}

/* ---- loading ---- */

/* Asks the owner's pool for bytes: calls its method `name`, with a callable if one is given. Returns them
 * in memory that the caller frees, or NULL, without an exception, when that fails: the failure that made the worker
 * ask says more. No exception may be set before. Context: own GIL, which is let go meanwhile. */
static char *
ask_owner(struct ix_worker *worker, const char *name, struct ix_callable *callable, size_t *length)
{
    PyObject *bytes, *pool = (PyObject *)worker->pool;
    char *copy = NULL;

    if (pool == NULL)
        return NULL; /* in a child process: its owner sees why, and asks again */
    ix_gil_to_owner(worker);
    if (callable == NULL)
        bytes = PyObject_CallMethod(pool, name, NULL);
    else
        bytes = PyObject_CallMethod(pool, name, "Iy#", (unsigned int)callable->form, callable->data,
                                    (Py_ssize_t)callable->length);
    if (bytes != NULL && PyBytes_Check(bytes)) {
        *length = (size_t)PyBytes_GET_SIZE(bytes);
        copy = malloc(*length + 1);
        if (copy != NULL)
            memcpy(copy, PyBytes_AS_STRING(bytes), *length);
    }
    if (bytes == NULL)
        PyErr_Clear(); /* see above */
    Py_XDECREF(bytes);
    ix_gil_to_own(worker);
    return copy;
}

/* After an ImportError: the owner's world may have changed since the worker took it over. Returns whether it
 * had, and then clears the exception. */
static bool
refresh_world(struct ix_worker *worker)
{
    size_t length;
    bool changed = false;
    if (ix_note_refusal(worker, true) || !PyErr_ExceptionMatches(PyExc_ImportError))
        return false;
    PyObject *error = PyErr_GetRaisedException();
    char *world = ask_owner(worker, "world", NULL, &length);
    if (world != NULL) {
        PyObject *result = PyObject_CallFunction(worker->inside.refresh_world, "y#", world,
                                                 (Py_ssize_t)length);
        changed = result == Py_True;
        if (result == NULL)
            PyErr_Clear(); /* as above */
        Py_XDECREF(result);
        free(world);
    }
    if (changed)
        Py_DECREF(error);
    else
        PyErr_SetRaisedException(error);
    return changed;
}

static PyObject *
load_bytes(struct ix_inside *inside, uint32_t form, const char *data, size_t length,
           PyObject *unpack)
{
    return PyObject_CallFunction(inside->load_callable, "Iy#O", (unsigned int)form, data,
                                 (Py_ssize_t)length, unpack);
}

static PyObject *
load_once(struct ix_inside *inside, struct ix_callable *callable)
{
    struct ix_attachments *attached = callable->attachments;
    PyObject *unpack = attached != NULL ? ix_unpack_new(&inside->codec, attached)
                                        : Py_NewRef(Py_None);
    if (unpack == NULL)
        return NULL;
    PyObject *loaded = load_bytes(inside, callable->form, callable->data, callable->length, unpack);
    if (attached != NULL)
        ix_pack_end(unpack);
    else
        Py_DECREF(unpack);
    return loaded;
}

/* After a failure to find a callable by its name: it may exist in the owner alone, and go by value.
 * Returns a new reference, or NULL with the former exception set. */
static PyObject *
load_by_value(struct ix_worker *worker, struct ix_callable *callable)
{
    size_t length;
    PyObject *loaded = NULL;
    if (callable->form > IX_FORM_IN_MAIN || worker->refused != NULL
        || !(PyErr_ExceptionMatches(PyExc_ImportError)
             || PyErr_ExceptionMatches(PyExc_AttributeError)))
        return NULL;
    PyObject *error = PyErr_GetRaisedException();
    char *data = ask_owner(worker, "by_value", callable, &length);
    if (data != NULL) {
        loaded = load_bytes(&worker->inside, IX_FORM_BY_VALUE, data, length, Py_None);
        if (loaded == NULL)
            PyErr_Clear(); /* the first failure says more */
        free(data);
    }
    if (loaded == NULL)
        PyErr_SetRaisedException(error);
    else
        Py_DECREF(error);
    return loaded;
}

static int
remember(struct ix_inside *inside, uint32_t id, PyObject *loaded)
{
    if (id >= inside->ncallables) {
        uint32_t n = id + 32;
        PyObject **grown = PyMem_RawRealloc(inside->callables, n * sizeof *grown);
        if (grown == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        memset(grown + inside->ncallables, 0, (n - inside->ncallables) * sizeof *grown);
        inside->callables = grown;
        inside->ncallables = n;
    }
    inside->callables[id] = Py_NewRef(loaded);
    return 0;
}

PyObject *
ix_load_callable(struct ix_worker *worker, struct ix_callable *callable)
{
    struct ix_inside *inside = &worker->inside;
    uint32_t id = callable->id;
    if (id < inside->ncallables && inside->callables[id] != NULL)
        return Py_NewRef(inside->callables[id]);
    PyObject *loaded = load_once(inside, callable);
    if (loaded == NULL && refresh_world(worker))
        loaded = load_once(inside, callable);
    if (loaded == NULL)
        return load_by_value(worker, callable); /* not remembered: a fresh copy for each task */
    if (id != 0 && remember(inside, id, loaded) < 0)
        Py_CLEAR(loaded);
    return loaded;
}

int
ix_load_arguments(struct ix_worker *worker, struct ix_reader *reader, struct ix_call *call)
{
    struct ix_reader start = *reader;
    int result = ix_decode_call(&worker->inside.codec, reader, call);
    if (result < 0 && refresh_world(worker)) {
        *reader = start;
        result = ix_decode_call(&worker->inside.codec, reader, call);
    }
    return result;
}

PyObject *
ix_load_item(struct ix_worker *worker, struct ix_segment *segment, uint32_t index)
{
    struct ix_codec *codec = &worker->inside.codec;
    const char *data = segment->data + segment->offsets[index];
    struct ix_reader reader = {data, segment->data + segment->length, segment->attachments};
    PyObject *item = ix_decode_value(codec, &reader);
    if (item == NULL && refresh_world(worker)) {
        reader.at = data;
        item = ix_decode_value(codec, &reader);
    }
    return item;
}
