/* What encode.c and decode.c need of an interpreter. */
#include "state.h"

static int
bind(PyObject **field, PyObject *helpers, const char *name)
{
    *field = PyObject_GetAttrString(helpers, name);
    return *field == NULL ? -1 : 0;
}

int
ix_codec_init(struct ix_codec *codec, PyObject *helpers)
{
    codec->protocol = PyLong_FromLong(5);
    codec->dump = PyUnicode_InternFromString("dump");
    codec->clear_memo = PyUnicode_InternFromString("clear_memo");
    codec->queues = PyUnicode_InternFromString(IX_QUEUES);
    codec->connections = PyUnicode_InternFromString(IX_CONNECTIONS);
    codec->releases = ix_releases_here();
    if (codec->protocol == NULL || codec->dump == NULL || codec->clear_memo == NULL
        || codec->queues == NULL || codec->connections == NULL || codec->releases == NULL
        || bind(&codec->dumps_attaching, helpers, "dumps_attaching") < 0
        || bind(&codec->loads_attached, helpers, "loads_attached") < 0
        || bind(&codec->dumps_value, helpers, "dumps_value") < 0
        || bind(&codec->dumps_call, helpers, "dumps_call") < 0)
        return -1;
    return 0;
}

int
ix_codec_traverse(struct ix_codec *codec, visitproc visit, void *arg)
{
    Py_VISIT(codec->new_pickler);
    Py_VISIT(codec->pickle_loads);
    Py_VISIT(codec->dumps_attaching);
    Py_VISIT(codec->loads_attached);
    Py_VISIT(codec->dumps_value);
    Py_VISIT(codec->dumps_call);
    Py_VISIT(codec->packer_type);
    Py_VISIT(codec->packer);
    Py_VISIT(codec->pickler);
    Py_VISIT(codec->module);
    return 0;
}

void
ix_codec_clear(struct ix_codec *codec)
{
    Py_CLEAR(codec->new_pickler);
    Py_CLEAR(codec->pickle_loads);
    Py_CLEAR(codec->protocol);
    Py_CLEAR(codec->dump);
    Py_CLEAR(codec->clear_memo);
    Py_CLEAR(codec->queues);
    Py_CLEAR(codec->connections);
    Py_CLEAR(codec->dumps_attaching);
    Py_CLEAR(codec->loads_attached);
    Py_CLEAR(codec->dumps_value);
    Py_CLEAR(codec->dumps_call);
    Py_CLEAR(codec->pickler);
    Py_CLEAR(codec->packer);
    Py_CLEAR(codec->packer_type);
    Py_CLEAR(codec->module);
    ix_releases_release(codec->releases);
    codec->releases = NULL;
}

int
ix_codec_import_pickle(struct ix_codec *codec)
{
    if (codec->pickle_loads != NULL)
        return 0;
    PyObject *module = PyImport_ImportModule("_pickle");
    if (module == NULL)
        return -1;
    Py_XSETREF(codec->new_pickler, PyObject_GetAttrString(module, "Pickler"));
    if (codec->new_pickler != NULL)
        codec->pickle_loads = PyObject_GetAttrString(module, "loads");
    Py_DECREF(module);
    return codec->pickle_loads == NULL ? -1 : 0;
}

struct ix_module *
ix_codec_module(struct ix_codec *codec)
{
    if (codec->module == NULL)
        codec->module = PyImport_ImportModule("interp_executor._native");
    return codec->module == NULL ? NULL : PyModule_GetState(codec->module);
}

/* ---- the interpreter's release queue ---- */

#define RELEASES "interp_executor.releases"

static void
forget_releases(PyObject *capsule)
{
    ix_releases_release(PyCapsule_GetPointer(capsule, RELEASES));
}

/* Returns a borrowed pointer, or NULL with an exception set. */
static struct ix_releases *
make_releases(PyObject *dict)
{
    struct ix_releases *releases = ix_releases_new();
    if (releases == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(releases, RELEASES, forget_releases);
    if (capsule == NULL) {
        ix_releases_release(releases);
        return NULL;
    }
    int result = PyDict_SetItemString(dict, RELEASES, capsule);
    Py_DECREF(capsule); /* and with it the queue, if the dict does not hold it */
    return result < 0 ? NULL : releases;
}

struct ix_releases *
ix_releases_here(void)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get()); /* borrowed */
    struct ix_releases *releases = NULL;
    PyObject *capsule;
    if (dict == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    int found = PyDict_GetItemStringRef(dict, RELEASES, &capsule);
    if (found > 0) {
        releases = PyCapsule_GetPointer(capsule, RELEASES);
        Py_DECREF(capsule);
    }
    else if (found == 0) {
        releases = make_releases(dict);
    }
    if (releases != NULL)
        ix_releases_acquire(releases);
    return releases;
}

void
ix_releases_drain_all(struct ix_releases *releases)
{
    struct ix_attachment *attachment = ix_releases_take(releases);
    while (attachment != NULL) {
        struct ix_attachment *next = attachment->next;
        Py_DECREF((PyObject *)ix_attachment_free(attachment));
        attachment = next;
    }
}
