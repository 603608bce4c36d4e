/* Alarm: the Python face of the watchdog's clock. */
#include "state.h"

static PyObject *
alarm_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (!PyArg_ParseTuple(args, ":Alarm") || (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0))
        return NULL;
    struct ix_alarm_object *self = (struct ix_alarm_object *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->alarm = ix_alarm_new();
    if (self->alarm == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void
alarm_dealloc(struct ix_alarm_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    ix_alarm_release(self->alarm);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(alarm_now_doc, "now($self, /)\n--\n\nThe time of deadlines, in nanoseconds.");

static PyObject *
alarm_now(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLongLong(ix_now_ns());
}

PyDoc_STRVAR(alarm_prepare_doc, "prepare($self, /)\n--\n\n"
"Before looking at the deadlines: a ticket for sleep(), or None once the alarm is closed.");

static PyObject *
alarm_prepare(struct ix_alarm_object *self, PyObject *Py_UNUSED(ignored))
{
    uint32_t ticket = ix_alarm_prepare(self->alarm);
    if (ticket & IX_ALARM_CLOSED)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLong(ticket);
}

PyDoc_STRVAR(alarm_sleep_doc, "sleep($self, ticket, until, /)\n--\n\n"
"Sleep until that time (None: without end) or a ring since the ticket was drawn.");

static PyObject *
alarm_sleep(struct ix_alarm_object *self, PyObject *args)
{
    unsigned long ticket;
    PyObject *until;
    if (!PyArg_ParseTuple(args, "kO:sleep", &ticket, &until))
        return NULL;
    long long at = until == Py_None ? INT64_MAX : PyLong_AsLongLong(until);
    if (PyErr_Occurred())
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    ix_alarm_sleep(self->alarm, (uint32_t)ticket, at);
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *
alarm_ring(struct ix_alarm_object *self, PyObject *Py_UNUSED(ignored))
{
    ix_alarm_ring(self->alarm);
    Py_RETURN_NONE;
}

static PyObject *
alarm_close(struct ix_alarm_object *self, PyObject *Py_UNUSED(ignored))
{
    ix_alarm_close(self->alarm);
    Py_RETURN_NONE;
}

static PyMethodDef alarm_methods[] = {
    {"now", alarm_now, METH_NOARGS, alarm_now_doc},
    {"prepare", (PyCFunction)alarm_prepare, METH_NOARGS, alarm_prepare_doc},
    {"sleep", (PyCFunction)alarm_sleep, METH_VARARGS, alarm_sleep_doc},
    {"ring", (PyCFunction)alarm_ring, METH_NOARGS,
     "ring($self, /)\n--\n\nEnd the sleep under way, or the next one."},
    {"close", (PyCFunction)alarm_close, METH_NOARGS,
     "close($self, /)\n--\n\nEnd the sleep under way; there will be no other."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot alarm_slots[] = {
    {Py_tp_doc, "Alarm()\n--\n\nThe clock of a hive's watchdog."},
    {Py_tp_new, alarm_new},
    {Py_tp_traverse, ix_traverse_type},
    {Py_tp_dealloc, alarm_dealloc},
    {Py_tp_methods, alarm_methods},
    {0, NULL},
};

PyType_Spec ix_alarm_spec = {
    .name = "interp_executor._native.Alarm",
    .basicsize = sizeof(struct ix_alarm_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = alarm_slots,
};
