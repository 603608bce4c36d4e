/* How values cross: small exact types in a compact form of our own, everything else as a pickle, and
 * what is large, or lent, as attachments (attachment.h) that either form refers to.
 *
 * A value is a tag byte and what the tag asks for. Integers of 64 bits, floats, strings, bytes, None, booleans
 * and tuples of these need no pickler on either side; identity among them does not survive, which for
 * immutable values nobody can tell but by `is`. Anything else is one pickle for the whole call or the
 * whole result, so that what was shared inside it stays shared.
 *
 * Context of all: the GIL of the interpreter whose objects are encoded or decoded.
 */
#ifndef IX_CODEC_H
#define IX_CODEC_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "buffer.h"

/* Where the queues of interpreters are at home, from 3.14 on. */
#define IX_QUEUES "concurrent.interpreters._queues"
/* And multiprocessing's ends of pipes. */
#define IX_CONNECTIONS "multiprocessing.connection"

/* The first byte of everything that is encoded. */
enum ix_tag {
    TAG_NONE = 'N',
    TAG_TRUE = 'T',
    TAG_FALSE = 'F',
    TAG_INT = 'i',
    TAG_FLOAT = 'f',
    TAG_ASCII = 's',
    TAG_UNICODE = 'u',
    TAG_BYTES = 'b',
    TAG_TUPLE = '(',
    TAG_ATTACHED = '@', /* the address of an attachment */
    TAG_PICKLE = 'P',
    TAG_PICKLE_ATTACHED = 'Q', /* a pickle whose persistent ids are addresses of attachments */
    TAG_RAISED = '!',
    TAG_CALL = 'C',
};

/* One per interpreter; its objects belong to that interpreter. */
struct ix_codec {
    PyObject *new_pickler; /* _pickle.Pickler, imported on first need */
    PyObject *pickle_loads;
    PyObject *protocol, *dump, *clear_memo, *queues, *connections; /* constants */
    PyObject *dumps_attaching; /* (value, pack) -> bytes: a pickle; pack is its persistent_id */
    PyObject *loads_attached;  /* (bytes, unpack) -> value: and back again */
    PyObject
        *dumps_value; /* (value, pack) -> bytes: what pickle alone cannot do, or TransferError */
    PyObject *dumps_call;         /* (args, kwargs, pack) -> bytes: likewise */
    bool main_by_value;           /* pickles that refer to __main__ go to the functions above */
    PyTypeObject *packer_type;    /* made on first need */
    PyObject *packer, *pickler;   /* a pair kept for the next pickle; NULL while in use */
    PyObject *module;             /* interp_executor._native, imported on first need */
    struct ix_releases *releases; /* the interpreter's; one reference */
    bool leaves; /* in a child of the process lane: what is encoded goes to another process */
};

/* Borrows the functions from `helpers`, a module. Returns 0, or -1 with an exception set. */
int ix_codec_init(struct ix_codec *codec, PyObject *helpers);
int ix_codec_traverse(struct ix_codec *codec, visitproc visit, void *arg);
void ix_codec_clear(struct ix_codec *codec);
/* Makes sure of new_pickler and pickle_loads. Returns 0, or -1 with an exception set. */
int ix_codec_import_pickle(struct ix_codec *codec);
/* The state of interp_executor._native in this interpreter, or NULL with an exception set. */
struct ix_module *ix_codec_module(struct ix_codec *codec);

/* ---- attachments ---- */

/* The interpreter's release queue, made on first need. Returns a new reference, or NULL with an exception
 * set. */
struct ix_releases *ix_releases_here(void);
/* Lets go of the owners of what has come back. */
void ix_releases_drain_all(struct ix_releases *releases);

static inline void
ix_releases_drain(struct ix_releases *releases)
{
    if (ix_releases_pending(releases))
        ix_releases_drain_all(releases);
}

/* lend.c. Whether `value` is of a kind that is attached: large enough, or something to be lent. */
bool ix_is_attachable(struct ix_codec *codec, PyObject *value);
/* Whether it is an end of a pipe of multiprocessing's, which pickles as the number of its descriptor. */
bool ix_is_connection(PyObject *value);
/* Whether one is found in the lists, tuples, dicts and attributes that `value` is made of. It does not look everywhere: a
 * pickler finds the rest, when it has copied a bytearray, or left its UTF-8 form in a str. */
bool ix_seems_to_hold_attachable(struct ix_codec *codec, PyObject *value);
/* Makes an attachment of it, or finds the one it looks at. Returns a reference, or NULL with an
 * exception set. */
struct ix_attachment *ix_attach(struct ix_codec *codec, PyObject *value);
/* The same in two steps for an object that can change: the attachment, and later its value. The first returns
 * NULL, without an exception, for all other objects; the second returns 0, or -1 with an exception set. */
struct ix_attachment *ix_attach_later(PyObject *value);
int ix_snapshot(struct ix_attachment *attachment, PyObject *value);
/* borrow.c. What the attachment stands for in this interpreter. Returns a new reference, or NULL with an
 * exception set. */
PyObject *ix_attached_object(struct ix_codec *codec, struct ix_attachment *attachment);
/* The attachment that `object`, which exports memory, got that memory from; borrowed, NULL if none. */
struct ix_attachment *ix_attachment_behind(struct ix_codec *codec, PyObject *object);

/* From so many bytes on, contents of attachments go to another process in shared memory: less goes through the pipe
 * in less time. */
#define IX_SHARED_FROM 131072

/* remote.c. Appends to `descriptions` what another process needs to know of each attachment. Contents that are
 * large are appended to `large`, as objects that keep and export them. `attachments` may be
 * NULL. Returns 0, or -1 with an exception set. */
int ix_remote_describe(struct ix_codec *codec, PyObject *descriptions, PyObject *large,
                       struct ix_attachments *attachments);
/* encode_call(*args) of the module: the arguments of a call with such descriptions and large contents. Context: the
 * interpreter's GIL. Returns a new tuple, or NULL with an exception set. */
PyObject *ix_remote_encode_call(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
/* Makes attachments of such descriptions, and of `large` as it has arrived, in a list that the caller frees
 * whatever is returned. Returns 0, or -1 with an exception set. */
int ix_remote_adopt(struct ix_codec *codec, struct ix_attachments **attachments,
                    PyObject *descriptions, PyObject *large);

/* What a message means by an address. Borrowed, NULL with an exception set if there is no such thing. */
static inline struct ix_attachment *
ix_attachment_at(struct ix_attachments *list, uint64_t address)
{
    struct ix_attachment *found = ix_attachments_find(list, address);
    if (found == NULL)
        PyErr_SetString(PyExc_SystemError, "interp_executor: an attachment is missing");
    return found;
}

/* packer.c. A function for one pickle to call as persistent_id, which puts attachments into `buffer`; once
 * these are taken away from there, it is of no more use. Returns a new reference, or NULL with an exception
 * set. To be followed by ix_pack_end(). */
PyObject *ix_pack_begin(struct ix_codec *codec, struct ix_buffer *buffer);
/* Ends that: the function, if somebody kept it, works no more. Steals it; NULL is fine. An exception that
 * is set stays set. */
void ix_pack_end(PyObject *pack);
/* The way back: a function for use as persistent_load, for a message that came with `attachments` (borrowed
 * until ix_pack_end()). New reference, or NULL. */
PyObject *ix_unpack_new(struct ix_codec *codec, struct ix_attachments *attachments);
/* Appends a plain pickle of the value. Returns 1; 0 if a pickle of another kind is needed, or would say
 * better why it fails (then no exception is set, and the buffer is as it was); or -1. */
int ix_pickle_plain(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value);

/* ---- values ---- */

/* Appends a value. Returns 0, or -1 with an exception set (TransferError if it cannot cross). */
int ix_encode_value(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *value);
/* Appends the text of an exception that a helper has encoded as `bytes`. Returns 0 or -1. */
int ix_encode_raised(struct ix_buffer *buffer, PyObject *bytes);
/* Appends the arguments of a vectorcall; kwnames may be NULL. Returns 0 or -1, as above. */
int ix_encode_call(struct ix_codec *codec, struct ix_buffer *buffer, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames);

/* What is left to decode. */
struct ix_reader {
    const char *at, *end;
    struct ix_attachments
        *attachments; /* what the message came with; NULL will do if it is not remote */
};

/* Reads one value. Returns a new reference, or NULL with an exception set. */
PyObject *ix_decode_value(struct ix_codec *codec, struct ix_reader *reader);
/* True, and skips the tag, if an encoded exception comes next: its bytes are then *data, *length. */
bool ix_decode_raised(struct ix_reader *reader, const char **data, size_t *length);

#define IX_CALL_STACK 8

/* Decoded arguments, ready for PyObject_Vectorcall or PyObject_Call. */
struct ix_call {
    PyObject *stack[IX_CALL_STACK + 1]; /* one in front for PY_VECTORCALL_ARGUMENTS_OFFSET */
    PyObject **values;                  /* stack + 1, or a heap block + 1 */
    Py_ssize_t nargs, nvalues;
    PyObject *kwnames;        /* or NULL */
    PyObject *tuple, *kwargs; /* instead of the above, for a pickled call */
};

/* Reads the arguments of one call. Returns 0, or -1 with an exception set and nothing to clear. */
int ix_decode_call(struct ix_codec *codec, struct ix_reader *reader, struct ix_call *call);
PyObject *ix_call_apply(struct ix_call *call, PyObject *callable);
void ix_call_clear(struct ix_call *call);

#endif
