/* Packer: where pickles and attachments meet.
 *
 * A plain pickle is streamed into the message, as _pickle.Pickler writes it. The pickler hands anything large
 * to its file apart from its own frames, and out-of-band buffers to a callback; at the first of these the packer
 * stops it, and a second kind of pickle is made, in which a persistent id stands for each attachment.
 * That kind asks about every object in it, which costs some 10 ns each; so it is not made for all.
 */
#include "state.h"

#define FRAMES 262144 /* no frame of a pickler's is so large */
/* A pickler's memo grows with what it writes, to some ten megabytes for the largest that is kept, and clearing it takes
 * time by its size. To keep it saves its pages from being made anew; but one that has grown past the small ones is
 * kept only while what it writes is worth it: a good part of the most it has written. */
#define SMALL_MAX 65536
#define KEPT_MAX 4194304
#define GOOD_PART 4 /* a fourth */

struct packer {
    PyObject_HEAD
    struct ix_codec *codec;   /* NULL once the interpreter has let go of it */
    struct ix_buffer *buffer; /* the message under way, or NULL */
    bool stopped;             /* a plain pickle met something that is to be attached */
    size_t most;              /* that its pickler has written at once: its memo is as large */
    struct ix_attachments
        *attachments; /* what the message came with that is being loaded; or NULL */
    PyObject *memo;   /* dict: id of an object -> (object, persistent id), or that -> object */
};

static int
refuse_use(void)
{
    PyErr_SetString(PyExc_RuntimeError, "interp_executor: a pickler was used after its time");
    return -1;
}

/* ---- plain pickles ---- */

static PyObject *
stop(struct packer *self)
{
    self->stopped = true;
    PyErr_SetString(PyExc_BufferError, "to be attached"); /* cleared by ix_pickle_plain() */
    return NULL;
}

/* The file of the pickler: a frame, or something large. */
static PyObject *
packer_write(struct packer *self, PyObject *data)
{
    Py_buffer view;
    if (self->buffer == NULL) {
        refuse_use();
        return NULL;
    }
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    bool large = view.len >= FRAMES;
    bool ok = large || ix_buffer_write(self->buffer, view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    if (large)
        return stop(self);
    return ok ? Py_NewRef(Py_None) : PyErr_NoMemory();
}

static PyObject *
packer_refuse(struct packer *self, PyObject *buffer)
{
    return ix_is_attachable(self->codec, buffer) ? stop(self) : Py_NewRef(Py_True);
}

/* ---- pickles with attachments ---- */

/* Its copy would have the same descriptor, and close it when it goes. */
static PyObject *
refuse_connection(void)
{
    PyErr_SetString(PyExc_TypeError, "a copy would close its file descriptor");
    return NULL;
}

/* Puts an attachment of `value` into the message; returns its address as an int. */
static PyObject *
attach(struct packer *self, PyObject *value)
{
    struct ix_attachment *attachment = ix_attach(self->codec, value);
    if (attachment == NULL)
        return NULL;
    if (!ix_attachments_add(&self->buffer->attachments, attachment))
        return PyErr_NoMemory();
    return PyLong_FromVoidPtr(attachment);
}

/* persistent_id: the same object gives the same id, and is one object again on the other side. */
static PyObject *
packer_pack(struct packer *self, PyObject *value)
{
    PyObject *known = NULL, *id = NULL;
    if (self->buffer == NULL || self->codec == NULL) {
        refuse_use();
        return NULL;
    }
    if (ix_is_connection(value))
        return refuse_connection();
    if (!ix_is_attachable(self->codec, value))
        Py_RETURN_NONE;
    PyObject *key = PyLong_FromVoidPtr(value);
    if (key == NULL || PyDict_GetItemRef(self->memo, key, &known) < 0)
        goto done;
    if (known != NULL) {
        id = Py_NewRef(PyTuple_GET_ITEM(known, 1));
        goto done;
    }
    id = attach(self, value);
    if (id == NULL)
        goto done;
    known = PyTuple_Pack(2, value, id); /* as long as it is in the memo, its id is its own */
    if (known == NULL || PyDict_SetItem(self->memo, key, known) < 0)
        Py_CLEAR(id);
done:
    Py_XDECREF(key);
    Py_XDECREF(known);
    return id;
}

/* persistent_load */
static PyObject *
packer_unpack(struct packer *self, PyObject *id)
{
    PyObject *object;
    if (self->codec == NULL) {
        refuse_use();
        return NULL;
    }
    if (PyDict_GetItemRef(self->memo, id, &object) != 0)
        return object; /* found, or NULL with an exception */
    uint64_t address = PyLong_AsUnsignedLongLong(id);
    struct ix_attachment *attachment = PyErr_Occurred()
                                           ? NULL
                                           : ix_attachment_at(self->attachments, address);
    if (attachment == NULL)
        return NULL;
    object = ix_attached_object(self->codec, attachment);
    if (object != NULL && PyDict_SetItem(self->memo, id, object) < 0)
        Py_CLEAR(object);
    return object;
}

/* ---- the type ---- */

static int
packer_traverse(struct packer *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->memo);
    return 0;
}

static int
packer_clear(struct packer *self)
{
    Py_CLEAR(self->memo);
    return 0;
}

static void
packer_dealloc(struct packer *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    packer_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef packer_methods[] = {
    {"write", (PyCFunction)packer_write, METH_O, "write($self, data, /)\n--\n\nA pickler's file."},
    {"refuse", (PyCFunction)packer_refuse, METH_O,
     "refuse($self, buffer, /)\n--\n\nStop a pickler."},
    {"pack", (PyCFunction)packer_pack, METH_O, "pack($self, value, /)\n--\n\npersistent_id"},
    {"unpack", (PyCFunction)packer_unpack, METH_O, "unpack($self, id, /)\n--\n\npersistent_load"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot packer_slots[] = {
    {Py_tp_doc, "Puts attachments into a message, or gets them out."},
    {Py_tp_traverse, packer_traverse},
    {Py_tp_clear, packer_clear},
    {Py_tp_dealloc, packer_dealloc},
    {Py_tp_methods, packer_methods},
    {0, NULL},
};

/* Of no module, so that a worker needs none to pickle. */
static PyType_Spec packer_spec = {
    .name = "interp_executor._native.Packer",
    .basicsize = sizeof(struct packer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION
             | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = packer_slots,
};

static struct packer *
packer_new(struct ix_codec *codec)
{
    if (codec->packer_type == NULL)
        codec->packer_type = (PyTypeObject *)PyType_FromSpec(&packer_spec);
    if (codec->packer_type == NULL) {
        if (!PyErr_Occurred()) /* CPython forgets to raise it for the copy of the type's name */
            PyErr_NoMemory();
        return NULL;
    }
    struct packer *self = (struct packer *)codec->packer_type->tp_alloc(codec->packer_type, 0);
    if (self != NULL)
        self->codec = codec;
    return self;
}

/* A new packer's method `name`, with a memo; the packer lives as long as the method. */
static PyObject *
packer_method(struct ix_codec *codec, struct ix_buffer *buffer, const char *name)
{
    struct packer *self = packer_new(codec);
    PyObject *method = NULL;
    if (self == NULL)
        return NULL;
    self->buffer = buffer;
    self->memo = PyDict_New();
    if (self->memo != NULL)
        method = PyObject_GetAttrString((PyObject *)self, name);
    Py_DECREF(self);
    return method;
}

PyObject *
ix_pack_begin(struct ix_codec *codec, struct ix_buffer *buffer)
{
    return packer_method(codec, buffer, "pack");
}

PyObject *
ix_unpack_new(struct ix_codec *codec, struct ix_attachments *attachments)
{
    PyObject *unpack = packer_method(codec, NULL, "unpack");
    if (unpack != NULL)
        ((struct packer *)PyCFunction_GET_SELF(unpack))->attachments = attachments;
    return unpack;
}

void
ix_pack_end(PyObject *pack)
{
    if (pack == NULL)
        return;
    struct packer *self = (struct packer *)PyCFunction_GET_SELF(pack);
    self->buffer = NULL;
    self->codec = NULL;
    PyObject *error = PyErr_GetRaisedException(); /* what is let go may run code */
    if (self->memo != NULL)
        PyDict_Clear(self->memo);
    Py_DECREF(pack);
    PyErr_SetRaisedException(error);
}

/* ---- plain pickles, again ---- */

static PyObject *
new_pickler(struct ix_codec *codec, struct packer *packer)
{
    PyObject *pickler = NULL;
    PyObject *refuse = PyObject_GetAttrString((PyObject *)packer, "refuse");
    PyObject *args = PyTuple_Pack(2, packer, codec->protocol);
    PyObject *kwargs = refuse == NULL ? NULL : Py_BuildValue("{sO}", "buffer_callback", refuse);
    if (args != NULL && kwargs != NULL)
        pickler = PyObject_Call(codec->new_pickler, args, kwargs);
    Py_XDECREF(refuse);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return pickler;
}

/* The pair that is kept, or a new one. It is taken out: pickling runs code of the user's, which may
 * come here again. Returns 0, or -1 with an exception set. */
static int
take_pair(struct ix_codec *codec, struct packer **packer, PyObject **pickler)
{
    *packer = (struct packer *)codec->packer;
    *pickler = codec->pickler;
    codec->packer = codec->pickler = NULL;
    if (*pickler != NULL)
        return 0;
    *packer = packer_new(codec);
    if (*packer == NULL)
        return -1;
    *pickler = new_pickler(codec, *packer);
    if (*pickler != NULL)
        return 0;
    Py_CLEAR(*packer);
    return -1;
}

/* Whether a pair that has just written so much is worth keeping. */
static bool
serves_again(struct packer *packer, size_t length)
{
    if (length > packer->most)
        packer->most = length;
    return packer->most <= SMALL_MAX
           || (packer->most <= KEPT_MAX && length >= packer->most / GOOD_PART);
}

static void
keep_pair(struct ix_codec *codec, struct packer *packer, PyObject *pickler)
{
    PyObject *cleared = PyObject_CallMethodNoArgs(pickler, codec->clear_memo);
    if (cleared == NULL)
        PyErr_Clear(); /* then a new one will be made */
    if (cleared != NULL && codec->pickler == NULL) {
        codec->packer = (PyObject *)packer;
        codec->pickler = pickler;
    }
    else {
        Py_DECREF(pickler);
        Py_DECREF(packer);
    }
    Py_XDECREF(cleared);
}

int
ix_pickle_plain(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value)
{
    struct packer *packer;
    PyObject *pickler;
    struct ix_mark start = ix_buffer_mark(buffer);
    if (ix_codec_import_pickle(codec) < 0 || take_pair(codec, &packer, &pickler) < 0)
        return -1;
    packer->buffer = buffer;
    packer->stopped = false;
    PyObject *result = PyObject_CallMethodOneArg(pickler, codec->dump, value);
    packer->buffer = NULL;
    if (result != NULL && serves_again(packer, buffer->length - start.length)) {
        keep_pair(codec, packer, pickler);
    }
    else {
        Py_DECREF(pickler);
        Py_DECREF(packer);
    }
    if (result != NULL) {
        Py_DECREF(result);
        return 1;
    }
    ix_buffer_rewind(buffer, start);
    if (!PyErr_ExceptionMatches(PyExc_Exception) || PyErr_ExceptionMatches(PyExc_MemoryError))
        return -1;
    PyErr_Clear(); /* not swallowed: the other kind meets the same failure, and it is explained */
    return 0;
}
