/* Outbox: the Python face of an outbox, and the notifier's loop. */
#include "state.h"

static PyObject *
outbox_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (!PyArg_ParseTuple(args, ":Outbox") || (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0))
        return NULL;
    struct ix_outbox_object *self = (struct ix_outbox_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->outbox = ix_outbox_new();
    if (self->outbox == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void
outbox_dealloc(struct ix_outbox_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ix_outbox_release(self->outbox);
    type->tp_free(self);
    Py_DECREF(type);
}

static void
nudge(void *outbox)
{
    ix_outbox_nudge(outbox);
}

PyDoc_STRVAR(outbox_serve_doc, "serve($self, /)\n--\n\n"
"Publish finished futures as they come, until the outbox is closed. For the notifier thread.");

static PyObject *
outbox_serve(struct ix_outbox_object *self, PyObject *Py_UNUSED(ignored))
{
    struct ix_releases *releases = ix_state_of(Py_TYPE(self))->releases;
    bool open = true;
    ix_releases_listen(releases, nudge, self->outbox);
    while (open) {
        ix_releases_drain(releases);
        Py_BEGIN_ALLOW_THREADS
        open = ix_outbox_wait(self->outbox);
        Py_END_ALLOW_THREADS
        ix_future_publish_all(self->outbox, ix_outbox_take(self->outbox), false);
    }
    ix_releases_ignore(releases, self->outbox);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(outbox_close_doc, "close($self, /)\n--\n\nLet serve() return once all is published.");

static PyObject *
outbox_close(struct ix_outbox_object *self, PyObject *Py_UNUSED(ignored))
{
    ix_outbox_close(self->outbox);
    Py_RETURN_NONE;
}

static PyMethodDef outbox_methods[] = {
    {"serve", (PyCFunction)outbox_serve, METH_NOARGS, outbox_serve_doc},
    {"close", (PyCFunction)outbox_close, METH_NOARGS, outbox_close_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot outbox_slots[] = {
    {Py_tp_doc, "Where workers leave finished tasks that somebody observes."},
    {Py_tp_new, outbox_new},
    {Py_tp_traverse, ix_traverse_type},
    {Py_tp_dealloc, outbox_dealloc},
    {Py_tp_methods, outbox_methods},
    {0, NULL},
};

PyType_Spec ix_outbox_spec = {
    .name = "interp_executor._native.Outbox",
    .basicsize = sizeof(struct ix_outbox_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = outbox_slots,
};
