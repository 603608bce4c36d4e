/* Child: the far end of the process lane, in the main interpreter of a child process.
 *
 * It decodes, calls and encodes as a worker does, with the same code, so that a call has the same outcome in
 * either lane. It is a struct ix_worker without threads to move between: nobody else is there, and what it
 * would ask its owner for it reports as missing instead; the owner then asks again with more.
 *
 * Context of every function: the GIL of the child's main interpreter.
 */
#include "worker.h"

struct child {
    struct ix_worker worker;
    /* What the last question came with that is to be asked again, since something could not be loaded. */
    struct ix_attachments *of_callable, *of_message;
    PyObject
        *fn; /* the claim's of which the last question was, if there may be more of it; or NULL */
};

static PyObject *
child_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    Py_buffer world;
    if (!PyArg_ParseTuple(args, "y*:Child", &world))
        return NULL;
    struct ix_buffer encoded_world = {0};
    struct ix_worker *self = (struct ix_worker *)type->tp_alloc(type, 0);
    ix_buffer_init(&encoded_world, world.buf, (size_t)world.len);
    encoded_world.length = encoded_world.capacity;
    if (self != NULL && ix_inside_init(&self->inside, NULL, &encoded_world) < 0)
        Py_CLEAR(self);
    if (self != NULL) {
        self->inside.codec.leaves = true;
        self->forks = atomic_load(&ix_runtime_forks);
    }
    PyBuffer_Release(&world);
    return (PyObject *)self;
}

static int
child_traverse(struct child *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->fn);
    Py_VISIT(self->worker.inside.load_callable);
    return ix_codec_traverse(&self->worker.inside.codec, visit, arg);
}

static void
drop_kept(struct child *self)
{
    ix_attachments_free(self->of_callable);
    ix_attachments_free(self->of_message);
    self->of_callable = self->of_message = NULL;
}

static void
child_dealloc(struct child *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    drop_kept(self);
    Py_CLEAR(self->fn);
    ix_note_nothing(&self->worker);
    ix_inside_clear(&self->worker.inside);
    type->tp_free(self);
    Py_DECREF(type);
}

/* Unpacks what a question came with, unless that has been kept (None). Returns 0, or -1 with an exception. */
static int
receive(struct child *self, PyObject *attached, PyObject *large)
{
    struct ix_codec *codec = &self->worker.inside.codec;
    PyObject *of_callable, *of_message;
    if (attached == Py_None)
        return 0;
    drop_kept(self);
    if (!PyArg_ParseTuple(attached, "O!O!", &PyList_Type, &of_callable, &PyList_Type, &of_message)
        || ix_remote_adopt(codec, &self->of_callable, of_callable, large) < 0)
        return -1;
    int result = ix_remote_adopt(codec, &self->of_message, of_message, large);
    return result < 0 ? -1 : PyList_Clear(large); /* who copies it need not keep it */
}

static struct ix_attachments *
move(struct ix_attachments **from)
{
    struct ix_attachments *attachments = *from;
    *from = NULL;
    return attachments;
}

/* Returns: one reference, with what has been received for it; or NULL with an exception set. */
static struct ix_callable *
new_callable(struct child *self, uint32_t id, uint32_t form, const Py_buffer *data)
{
    struct ix_callable *callable = ix_callable_new(id, form, data->buf, (size_t)data->len);
    if (callable == NULL)
        PyErr_NoMemory();
    else
        callable->attachments = move(&self->of_callable);
    return callable;
}

/* After the question: keeps what came with it if it will be asked again. `callable`: NULL if it came without. */
static void
keep(struct child *self, struct ix_callable *callable, struct ix_attachments **of_message)
{
    if (self->worker.unloaded != NULL) {
        if (callable != NULL)
            self->of_callable = move(&callable->attachments);
        self->of_message = move(of_message);
    }
    ix_callable_release(callable);
    ix_note_nothing(&self->worker);
}

/* Descriptions of what the outcome refers to. Returns a new list, or NULL with an exception set. */
static PyObject *
describe(struct child *self, struct ix_buffer *outcome, PyObject *large)
{
    PyObject *descriptions = PyList_New(0);
    if (descriptions != NULL
        && ix_remote_describe(&self->worker.inside.codec, descriptions, large, outcome->attachments)
               < 0)
        Py_CLEAR(descriptions);
    ix_attachments_free(ix_buffer_detach(outcome));
    return descriptions;
}

/* ---- calls ---- */

static PyObject *
run(struct child *self, struct ix_task *task)
{
    struct ix_buffer outcome = {0};
    struct ix_reader reader = {ix_task_data(task), ix_task_data(task) + task->length,
                               task->attachments};
    enum ix_outcome kind = ix_worker_call(&self->worker, task->callable, &reader, task, &outcome);
    PyObject *result = NULL, *large = PyList_New(0);
    PyObject *descriptions = large == NULL ? NULL : describe(self, &outcome, large);
    if (descriptions != NULL)
        result = Py_BuildValue("iy#OzO", (int)kind, outcome.data, (Py_ssize_t)outcome.length,
                               descriptions, self->worker.unloaded, large);
    Py_XDECREF(descriptions);
    Py_XDECREF(large);
    ix_buffer_fini(&outcome);
    return result;
}

PyDoc_STRVAR(child_run_doc, "run($self, number, form, callable_, arguments, attached, large, /)\n--\n\n"
"Run one call. attached describes what the callable and the arguments refer to, and large holds the large\n"
"contents of that, and is emptied; None: what came with the last question, of which something could not be loaded.\n"
"Returns the outcome's kind, its bytes, likewise what it refers to, \"callable\" or \"arguments\" if these\n"
"could not be loaded, else None, and large contents.");

static PyObject *
child_run(struct child *self, PyObject *args)
{
    unsigned int id, form;
    Py_buffer data, arguments;
    PyObject *attached, *large, *result = NULL;
    if (!PyArg_ParseTuple(args, "IIy*y*OO!:run", &id, &form, &data, &arguments, &attached,
                          &PyList_Type, &large))
        return NULL;
    self->worker.unloaded = NULL;
    Py_CLEAR(self->fn); /* of a claim that was stopped between two questions */
    struct ix_callable *callable = NULL;
    struct ix_task *task = NULL;
    if (receive(self, attached, large) == 0)
        callable = new_callable(self, id, form, &data);
    if (callable != NULL) {
        struct ix_buffer buffer;
        ix_buffer_init(&buffer, arguments.buf, (size_t)arguments.len);
        buffer.length = buffer.capacity;
        buffer.attachments = move(&self->of_message);
        task = ix_task_new(callable, &buffer);
        ix_buffer_fini(&buffer);
        if (task == NULL)
            PyErr_NoMemory();
    }
    if (task != NULL) {
        result = run(self, task);
        keep(self, callable, &task->attachments);
    }
    else {
        ix_callable_release(callable);
    }
    ix_task_release(task);
    PyBuffer_Release(&data);
    PyBuffer_Release(&arguments);
    return result;
}

/* ---- items of a map ---- */

/* Appends the outcome of one item to a list: its bytes, or these and what they refer to. Returns the verdict;
 * IX_LOST also means an exception is set. */
static enum ix_verdict
append(struct child *self, PyObject *outcomes, PyObject *large, enum ix_outcome kind,
       struct ix_buffer *outcome)
{
    PyObject *given = PyBytes_FromStringAndSize(outcome->data, (Py_ssize_t)outcome->length);
    if (given != NULL && outcome->attachments != NULL)
        given = Py_BuildValue("NN", given, describe(self, outcome, large));
    int result = given == NULL ? -1 : PyList_Append(outcomes, given);
    Py_XDECREF(given);
    if (result < 0)
        return IX_LOST;
    return kind == IX_OUTCOME_VALUE ? IX_ALL_WELL : IX_STOPPED;
}

/* Runs self->fn on the items of a segment, up to the first that fails or until so much time has gone by; a copy runs no more
 * than that in which it was made. One that cannot be loaded has an outcome only if it is the first: the owner may
 * help and ask for the whole question again, so nothing of it may have run. Context: the lists are new. */
static enum ix_verdict
run_items(struct child *self, uint32_t arity, struct ix_segment *segment, PyObject *outcomes,
          PyObject *large)
{
    struct ix_worker *worker = &self->worker;
    struct ix_buffer outcome = {0};
    enum ix_verdict verdict = IX_ALL_WELL;
    int64_t end = ix_coarse_now_ns() + IX_QUESTION_NS;
    for (uint32_t i = 0; verdict == IX_ALL_WELL && i < segment->count; i++) {
        if (ix_runtime_has_forked(worker->forks) || (i > 0 && ix_coarse_now_ns() >= end))
            break;
        outcome.length = 0;
        enum ix_outcome kind = ix_worker_call_item(worker, self->fn, arity, segment, i, &outcome);
        if (i > 0 && worker->unloaded != NULL) {
            ix_note_nothing(worker);
            break;
        }
        verdict = kind == IX_OUTCOME_FAILED ? IX_LOST
                                            : append(self, outcomes, large, kind, &outcome);
    }
    ix_buffer_fini(&outcome);
    return verdict;
}

/* Instead: the outcome of the first item, where the callable could not be loaded. */
static enum ix_verdict
fail_first(struct child *self, PyObject *outcomes, PyObject *large)
{
    struct ix_buffer outcome = {0};
    enum ix_outcome kind = ix_worker_put_raised(&self->worker, &outcome, "callable");
    enum ix_verdict verdict = append(self, outcomes, large, kind, &outcome);
    ix_buffer_fini(&outcome);
    return verdict;
}

/* Returns the offsets, counted from the first, on the heap; NULL without memory. */
static uint32_t *
places_of(const Py_buffer *offsets, uint32_t count)
{
    uint32_t *places = malloc((size_t)offsets->len + 1);
    if (places == NULL)
        return NULL;
    memcpy(places, offsets->buf, (size_t)offsets->len);
    for (uint32_t i = count; i > 0; i--)
        places[i - 1] -= places[0];
    return places;
}

/* `callable`: NULL for the one that was loaded for the last question. `more`: the claim has items after these. */
static PyObject *
run_claim(struct child *self, struct ix_callable *callable, uint32_t arity,
          struct ix_segment *segment, bool more)
{
    PyObject *result = NULL, *outcomes = PyList_New(0), *large = PyList_New(0);
    if (callable != NULL)
        Py_XSETREF(self->fn, ix_load_callable(&self->worker, callable));
    if (outcomes != NULL && large != NULL) {
        int64_t start = ix_now_ns();
        enum ix_verdict verdict = self->fn == NULL
                                      ? fail_first(self, outcomes, large)
                                      : run_items(self, arity, segment, outcomes, large);
        more |= PyList_GET_SIZE(outcomes) < segment->count;
        more &= verdict == IX_ALL_WELL;
        more |= self->worker.unloaded != NULL; /* the same question may come again */
        if (!PyErr_Occurred())
            result = Py_BuildValue("iLOzO", (int)verdict, (long long)(ix_now_ns() - start),
                                   outcomes, self->worker.unloaded, large);
    }
    if (!more)
        Py_CLEAR(self->fn);
    Py_XDECREF(outcomes);
    Py_XDECREF(large);
    return result;
}

PyDoc_STRVAR(child_run_items_doc, "run_items($self, number, form, callable_, arity, items, offsets, more, attached, large, /)\n--\n\n"
"Run a callable on items of a map, up to the first that fails, or until that has taken some time. callable_ is None\n"
"if the items are of the last question's claim, and more tells whether others follow. offsets are native\n"
"32-bit numbers; the first stands for the beginning of items. attached and large are those of run(). Returns a verdict\n"
"(0: all is well, 1: one failed, 2: an outcome is lost), the nanoseconds it took, the outcomes, one at least, what\n"
"could not be loaded, and large contents. An outcome is its bytes, or these and what they refer to.");

static PyObject *
child_run_items(struct child *self, PyObject *args)
{
    unsigned int id, form, arity;
    int more;
    Py_buffer data, items, offsets;
    PyObject *attached, *large, *result = NULL;
    if (!PyArg_ParseTuple(args, "IIz*Iy*y*pOO!:run_items", &id, &form, &data, &arity, &items,
                          &offsets, &more, &attached, &PyList_Type, &large))
        return NULL;
    self->worker.unloaded = NULL;
    struct ix_callable *callable = NULL;
    struct ix_segment segment = {
        .count = (uint32_t)((size_t)offsets.len / sizeof(uint32_t)),
        .length = (size_t)items.len,
        .data = items.buf,
    };
    segment.offsets = places_of(&offsets, segment.count);
    if (segment.offsets == NULL)
        PyErr_NoMemory();
    else if (data.buf == NULL && self->fn == NULL)
        PyErr_SetString(PyExc_RuntimeError, "the callable of a map is not here");
    else if (receive(self, attached, large) == 0
             && (data.buf == NULL || (callable = new_callable(self, id, form, &data)) != NULL)) {
        segment.attachments = move(&self->of_message);
        result = run_claim(self, callable, arity, &segment, more);
        keep(self, callable, &segment.attachments);
    }
    ix_attachments_free(segment.attachments);
    free(segment.offsets);
    PyBuffer_Release(&data);
    PyBuffer_Release(&items);
    PyBuffer_Release(&offsets);
    return result;
}

PyDoc_STRVAR(child_let_go_doc, "let_go($self, /)\n--\n\n"
"Let go of what outcomes and arguments referred to that are gone.");

static PyObject *
child_let_go(struct child *self, PyObject *Py_UNUSED(ignored))
{
    ix_releases_drain(self->worker.inside.codec.releases);
    Py_RETURN_NONE;
}

static PyMethodDef child_methods[] = {
    {"run", (PyCFunction)child_run, METH_VARARGS, child_run_doc},
    {"run_items", (PyCFunction)child_run_items, METH_VARARGS, child_run_items_doc},
    {"let_go", (PyCFunction)child_let_go, METH_NOARGS, child_let_go_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot child_slots[] = {
    {Py_tp_doc, "Child(world)\n--\n\nRuns, in a child process, what a worker sends it."},
    {Py_tp_new, child_new},
    {Py_tp_traverse, child_traverse},
    {Py_tp_dealloc, child_dealloc},
    {Py_tp_methods, child_methods},
    {0, NULL},
};

PyType_Spec ix_child_spec = {
    .name = "interp_executor._native.Child",
    .basicsize = sizeof(struct child),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = child_slots,
};
