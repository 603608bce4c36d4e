/* How values cross: small exact types in a compact form of our own, everything else as a pickle.
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
    TAG_PICKLE = 'P',
    TAG_RAISED = '!',
    TAG_CALL = 'C',
};

/* One per interpreter; its objects belong to that interpreter. */
struct ix_codec {
    PyObject *pickle_dumps; /* _pickle.dumps, imported on first need */
    PyObject *pickle_loads;
    PyObject *protocol;
    PyObject *dumps_value; /* (value) -> bytes: what pickle alone cannot do, or a TransferError */
    PyObject *dumps_call;  /* (args, kwargs) -> bytes: likewise */
    bool main_by_value;    /* pickles that refer to __main__ go to the functions above */
};

/* Borrows the two functions from `helpers`, a module. Returns 0, or -1 with an exception set. */
int ix_codec_init(struct ix_codec *codec, PyObject *helpers);
int ix_codec_traverse(struct ix_codec *codec, visitproc visit, void *arg);
void ix_codec_clear(struct ix_codec *codec);
/* Makes sure of pickle_dumps and pickle_loads. Returns 0, or -1 with an exception set. */
int ix_codec_import_pickle(struct ix_codec *codec);

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
