/* Callables: encoded once, kept under a number on both sides.
 *
 * Only functions, builtins and classes that go by reference are kept: workers decode each once. What goes by
 * value is encoded at each submit and decoded for each task, so that every task sees a fresh copy.
 */
#include "state.h"

/* So many kept callables before all are forgotten; workers keep theirs, a few words each. */
#define CALLABLES_MAX 1024

static void
callable_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ix_callable_release(((struct ix_callable_object *)self)->callable);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyType_Slot callable_slots[] = {
    {Py_tp_doc, "A callable in the form in which it crosses."},
    {Py_tp_dealloc, callable_dealloc},
    {Py_tp_traverse, ix_traverse_type},
    {0, NULL},
};

PyType_Spec ix_callable_spec = {
    .name = "interp_executor._native.Callable",
    .basicsize = sizeof(struct ix_callable_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = callable_slots,
};

/* Hashing these runs no code of the user's, and equality is identity. */
static bool
may_be_kept(PyObject *fn)
{
    return PyFunction_Check(fn) || PyCFunction_CheckExact(fn) || PyType_CheckExact(fn);
}

static int
keep(struct ix_module *state, PyObject *fn, struct ix_callable *callable)
{
    if (PyDict_GET_SIZE(state->callables) >= CALLABLES_MAX)
        PyDict_Clear(state->callables);
    PyTypeObject *type = state->callable_type;
    PyObject *object = type->tp_alloc(type, 0);
    if (object == NULL)
        return -1;
    ix_callable_acquire(callable);
    ((struct ix_callable_object *)object)->callable = callable;
    int result = PyDict_SetItem(state->callables, fn, object);
    Py_DECREF(object);
    return result;
}

static struct ix_callable *
encode(struct ix_module *state, PyObject *fn)
{
    int kept, lane;
    unsigned int form;
    const char *data;
    Py_ssize_t length;
    struct ix_callable *callable = NULL;
    struct ix_buffer carried = {0}; /* for its attachments alone */
    PyObject *pack = ix_pack_begin(&state->codec, &carried), *encoded = NULL;

    if (pack != NULL)
        encoded = PyObject_CallFunctionObjArgs(state->encode_callable, fn, pack, NULL);
    if (encoded == NULL || !PyArg_ParseTuple(encoded, "pIy#i", &kept, &form, &data, &length, &lane))
        goto done;
    kept = kept && may_be_kept(fn);
    callable = ix_callable_new(kept ? ++state->next_callable_id : 0, form, data, (size_t)length);
    if (callable == NULL) {
        PyErr_NoMemory();
    }
    else {
        atomic_store_explicit(&callable->lane, (uint32_t)lane, memory_order_relaxed);
        if (kept && keep(state, fn, callable) < 0) {
            ix_callable_release(callable);
            callable = NULL;
        }
    }
    if (callable != NULL)
        callable->attachments = ix_buffer_detach(&carried);
done:
    ix_pack_end(pack);
    ix_buffer_fini(&carried);
    Py_XDECREF(encoded);
    return callable;
}

struct ix_callable *
ix_callable_of(struct ix_module *state, PyObject *fn)
{
    if (may_be_kept(fn)) {
        PyObject *kept = PyDict_GetItemWithError(state->callables, fn);
        if (kept != NULL) {
            struct ix_callable *callable = ((struct ix_callable_object *)kept)->callable;
            ix_callable_acquire(callable);
            return callable;
        }
        if (PyErr_Occurred())
            return NULL;
    }
    return encode(state, fn);
}
