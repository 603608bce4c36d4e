/* Child: the far end of the process lane, in the main interpreter of a child process.
 *
 * It decodes, calls and encodes as a worker does, with the same code, so that a call has the same outcome in
 * either lane. It is a struct ix_worker without threads to move between: nobody else is there, and what it
 * would ask its owner for it reports as missing instead; the owner then asks again with more.
 *
 * Context of every function: the GIL of the child's main interpreter.
 */
#include "worker.h"

static PyObject *
child_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    PyObject *path;
    Py_buffer world;
    if (!PyArg_ParseTuple(args, "O!y*:Child", &PyTuple_Type, &path, &world))
        return NULL;
    struct ix_buffer encoded_path = {0}, encoded_world = {0};
    struct ix_codec codec = {0}; /* a tuple of strings needs no pickler */
    struct ix_worker *self = (struct ix_worker *)type->tp_alloc(type, 0);
    ix_buffer_init(&encoded_world, world.buf, (size_t)world.len);
    encoded_world.length = encoded_world.capacity;
    if (self != NULL
        && (ix_encode_value(&codec, &encoded_path, path) < 0
            || ix_inside_init(&self->inside, &encoded_path, &encoded_world) < 0))
        Py_CLEAR(self);
    if (self != NULL)
        self->inside.codec.in_band = true;
    ix_buffer_fini(&encoded_path);
    PyBuffer_Release(&world);
    return (PyObject *)self;
}

static int
child_traverse(struct ix_worker *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->inside.load_callable);
    return ix_codec_traverse(&self->inside.codec, visit, arg);
}

static void
child_dealloc(struct ix_worker *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ix_worker_forget_notes(self);
    ix_inside_clear(&self->inside);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(child_run_doc, "run($self, number, form, callable_, arguments, attached, /)\n--\n\n"
"Run one call. Returns the outcome's kind, its bytes, and \"callable\" or \"arguments\" if these could not\n"
"be loaded, else None.");

static PyObject *
child_run(struct ix_worker *self, PyObject *args)
{
    unsigned int id, form;
    Py_buffer callable_bytes, arguments;
    PyObject *attached, *result = NULL;
    if (!PyArg_ParseTuple(args, "IIy*y*O!:run", &id, &form, &callable_bytes, &arguments,
                          &PyList_Type, &attached))
        return NULL;
    struct ix_attachments *attachments = NULL;
    struct ix_buffer outcome = {0};
    struct ix_reader reader = {arguments.buf, (char *)arguments.buf + arguments.len};
    struct ix_callable *callable = ix_callable_new(id, form, callable_bytes.buf,
                                                   (size_t)callable_bytes.len);
    if (callable == NULL) {
        PyErr_NoMemory();
    }
    else if (ix_remote_adopt(&self->inside.codec, &attachments, attached) == 0) {
        self->unloaded = NULL;
        enum ix_outcome kind = ix_worker_call(self, callable, &reader, NULL, &outcome);
        result = Py_BuildValue("iy#z", (int)kind, outcome.data, (Py_ssize_t)outcome.length,
                               self->unloaded);
    }
    ix_callable_release(callable);
    ix_attachments_free(attachments);
    ix_worker_forget_notes(self);
    ix_buffer_fini(&outcome);
    PyBuffer_Release(&callable_bytes);
    PyBuffer_Release(&arguments);
    return result;
}

/* Appends the outcome of one item to a list. Returns the verdict; IX_LOST also means an exception is set. */
static enum ix_verdict
append(PyObject *outcomes, enum ix_outcome kind, struct ix_buffer *outcome)
{
    PyObject *bytes = PyBytes_FromStringAndSize(outcome->data, (Py_ssize_t)outcome->length);
    if (bytes == NULL || PyList_Append(outcomes, bytes) < 0) {
        Py_XDECREF(bytes);
        return IX_LOST;
    }
    Py_DECREF(bytes);
    return kind == IX_OUTCOME_VALUE ? IX_ALL_WELL : IX_STOPPED;
}

/* Runs the items of a segment, up to the first that fails. Context: `outcomes` is a new list. */
static enum ix_verdict
run_items(struct ix_worker *self, struct ix_callable *callable, uint32_t arity,
          struct ix_segment *segment, PyObject *outcomes)
{
    struct ix_buffer outcome = {0};
    enum ix_verdict verdict = IX_ALL_WELL;
    PyObject *fn = ix_load_callable(self, callable);
    if (fn == NULL)
        verdict = append(outcomes, ix_worker_put_raised(self, &outcome, "callable"), &outcome);
    for (uint32_t i = 0; verdict == IX_ALL_WELL && i < segment->count; i++) {
        outcome.length = 0;
        enum ix_outcome kind = ix_worker_call_item(self, fn, arity, segment, i, &outcome);
        verdict = kind == IX_OUTCOME_FAILED ? IX_LOST : append(outcomes, kind, &outcome);
    }
    Py_XDECREF(fn);
    ix_buffer_fini(&outcome);
    return verdict;
}

PyDoc_STRVAR(child_run_items_doc, "run_items($self, number, form, callable_, arity, items, offsets, attached, /)\n--\n\n"
"Run a callable on items of a map, up to the first that fails. offsets are native 32-bit numbers;\n"
"the first stands for the beginning of items. Returns a verdict (0: all is well, 1: one failed, 2: an\n"
"outcome is lost), the nanoseconds it took, the outcomes, and what could not be loaded, as run() does.");

static PyObject *
child_run_items(struct ix_worker *self, PyObject *args)
{
    unsigned int id, form, arity;
    Py_buffer callable_bytes, items, offsets;
    PyObject *attached;
    if (!PyArg_ParseTuple(args, "IIy*Iy*y*O!:run_items", &id, &form, &callable_bytes, &arity,
                          &items, &offsets, &PyList_Type, &attached))
        return NULL;
    struct ix_attachments *attachments = NULL;
    uint32_t count = (uint32_t)((size_t)offsets.len / sizeof(uint32_t));
    PyObject *result = NULL, *outcomes = PyList_New(0);
    struct ix_callable *callable = ix_callable_new(id, form, callable_bytes.buf,
                                                   (size_t)callable_bytes.len);
    uint32_t *places = malloc((size_t)offsets.len + 1);
    if (callable != NULL && places != NULL && outcomes != NULL
        && ix_remote_adopt(&self->inside.codec, &attachments, attached) == 0) {
        struct ix_segment segment = {
            .count = count, .length = (size_t)items.len, .data = items.buf, .offsets = places};
        memcpy(places, offsets.buf, (size_t)offsets.len);
        for (uint32_t i = count; i > 0; i--)
            places[i - 1] -= places[0];
        self->unloaded = NULL;
        int64_t start = ix_now_ns();
        enum ix_verdict verdict = run_items(self, callable, arity, &segment, outcomes);
        if (!PyErr_Occurred())
            result = Py_BuildValue("iLOz", (int)verdict, (long long)(ix_now_ns() - start), outcomes,
                                   self->unloaded);
    }
    else if (!PyErr_Occurred()) {
        PyErr_NoMemory();
    }
    ix_worker_forget_notes(self);
    ix_callable_release(callable);
    ix_attachments_free(attachments);
    free(places);
    Py_XDECREF(outcomes);
    PyBuffer_Release(&callable_bytes);
    PyBuffer_Release(&items);
    PyBuffer_Release(&offsets);
    return result;
}

static PyMethodDef child_methods[] = {
    {"run", (PyCFunction)child_run, METH_VARARGS, child_run_doc},
    {"run_items", (PyCFunction)child_run_items, METH_VARARGS, child_run_items_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot child_slots[] = {
    {Py_tp_doc, "Child(path, world)\n--\n\nRuns, in a child process, what a worker sends it."},
    {Py_tp_new, child_new},
    {Py_tp_traverse, child_traverse},
    {Py_tp_dealloc, child_dealloc},
    {Py_tp_methods, child_methods},
    {0, NULL},
};

PyType_Spec ix_child_spec = {
    .name = "interp_executor._native.Child",
    .basicsize = sizeof(struct ix_worker),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = child_slots,
};
