/* Attachments: memory that a message refers to, and that stays where it is.
 *
 * A message (a task's arguments, its outcome, items of a map) carries small values in its bytes. What is large,
 * or lent, it names by the address of an attachment, and holds a reference to it:
 *
 *   kind            the memory is                     the receiver
 *   VIEW            an object's of the home           looks at it through a memoryview
 *   BYTES, TEXT     an immutable object's of the home copies it into an object of its own
 *   BYTEARRAY,      a block of its own: the value     the same
 *   ARRAY           as it was when it was sent
 *   SHARED          a block of its own                maps it as a SharedBuffer
 *   QUEUE           none: an object is kept alive     makes its own handle on what it names
 *
 * The *home* of an attachment is the interpreter whose object (`owner`) it keeps alive. Whoever gives back
 * the last reference, in whichever interpreter, leaves the attachment with its home's release queue, and
 * the home lets go of the owner when it comes by: nobody else touches an object's reference count.
 * A part of an attachment's memory, seen in another shape, is an attachment with a `base`.
 */
#ifndef IX_ATTACHMENT_H
#define IX_ATTACHMENT_H

#include "park.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ix_attachment_kind {
    IX_ATTACHED_VIEW,
    IX_ATTACHED_BYTES,
    IX_ATTACHED_TEXT,
    IX_ATTACHED_BYTEARRAY,
    IX_ATTACHED_ARRAY,
    IX_ATTACHED_SHARED,
    IX_ATTACHED_QUEUE,
};

/* Immutable once made, but for `refs` and `next`. */
struct ix_attachment {
    _Atomic uint32_t refs;
    uint8_t kind;  /* enum ix_attachment_kind */
    bool pickled;  /* part of an object's pickle, as of an array of NumPy's: processes get a copy */
    bool readonly; /* of a VIEW */
    bool owns_data;
    uint32_t ndim; /* of a VIEW, as all of the layout */
    char *data;    /* of a VIEW: the first item, as in a Py_buffer */
    size_t length; /* bytes */
    size_t itemsize;
    uint64_t detail;          /* TEXT: its highest character; ARRAY: its type code; QUEUE: its id */
    uint64_t name;            /* in a list that is `remote`: what the message calls it */
    struct ix_releases *home; /* one reference, or NULL where there is no owner */
    void *owner;              /* an object of the home's */
    struct ix_attachment *base; /* one reference, or NULL; has itself no base */
    struct ix_attachment *next; /* in the release queue */
    ptrdiff_t layout[];         /* shape, strides, and then the format's text */
};

static inline ptrdiff_t *
ix_attachment_shape(struct ix_attachment *attachment)
{
    return attachment->layout;
}

static inline ptrdiff_t *
ix_attachment_strides(struct ix_attachment *attachment)
{
    return attachment->layout + attachment->ndim;
}

static inline char *
ix_attachment_format(const struct ix_attachment *attachment)
{
    return (char *)(attachment->layout + 2 * (size_t)attachment->ndim);
}

/* Where attachments come back to. One per interpreter; outlives it while attachments refer to it. */
struct ix_releases {
    _Atomic uint32_t refs;
    _Atomic(struct ix_attachment *) head;
    _Atomic uint32_t version;  /* counts what the home should look at; it may sleep on it */
    _Atomic uint32_t sleeping; /* whether it does */
    _Atomic bool dismissed;    /* the home ends although something is out */
    _Atomic bool closed;       /* the home has ended: what comes back is of no use to it */
    size_t lent;               /* attachments with an owner here. Under the home's GIL */
    pthread_mutex_t lock;
    /* protected by lock: */
    void (*ring)(void *); /* wakes the home where it waits otherwise, or NULL */
    void *bell;           /* its argument */
};

/* Returns: one reference, or NULL without memory. */
struct ix_releases *ix_releases_new(void);
void ix_releases_acquire(struct ix_releases *releases);
void ix_releases_release(struct ix_releases *releases); /* NULL is fine */

/* Whom to wake from now on, when something comes back. `ring` runs under the lock, in any thread.
 * Returns whether something has come back already. Context: the home's GIL. */
bool ix_releases_listen(struct ix_releases *releases, void (*ring)(void *), void *bell);
/* No longer, if `bell` is who is woken. */
void ix_releases_ignore(struct ix_releases *releases, void *bell);
/* Whether something has come back. After it said no, and the caller had announced that it goes to
 * sleep (to `ring`), what comes back wakes it. Context: any. */
static inline bool
ix_releases_pending(struct ix_releases *releases)
{
    return atomic_load_explicit(&releases->head, memory_order_relaxed) != NULL;
}
/* Takes what has come back, linked by `next`. For each: ix_attachment_free(), and let go of the owner.
 * Context: the home's GIL. */
struct ix_attachment *ix_releases_take(struct ix_releases *releases);
/* Sleeps until the version is another one. Context: the home's thread, no GIL held. */
void ix_releases_sleep(struct ix_releases *releases, uint32_t version);
/* Renews what a thread that did not come along may have held at the fork: nobody is woken any more.
 * Context: the home's GIL, in a forked child whose only thread this is. */
void ix_releases_begin_child(struct ix_releases *releases);
/* Makes the home give up waiting for what is out. Context: any. */
void ix_releases_dismiss(struct ix_releases *releases);

/* Returns: one reference, with room for the layout, or NULL without memory. Context: any. */
struct ix_attachment *ix_attachment_new(enum ix_attachment_kind kind, uint32_t ndim,
                                        const char *format);
/* Makes `owner`, of whom the attachment has got a reference, its owner. Context: the home's GIL. */
void ix_attachment_adopt(struct ix_attachment *attachment, struct ix_releases *home, void *owner);
/* Gives it memory of its own, `length` bytes that are zero or not initialised. False without memory. */
bool ix_attachment_allocate(struct ix_attachment *attachment, size_t length, bool zero);
/* A copy that refers to the same memory and keeps nothing alive. Returns one reference, or NULL. */
struct ix_attachment *ix_attachment_layout(const struct ix_attachment *attachment);
void ix_attachment_acquire(struct ix_attachment *attachment);
/* Gives a reference back. Context: any thread, any GIL or none. */
void ix_attachment_release(struct ix_attachment *attachment);
/* Frees one that ix_releases_take() gave, and returns the owner. Context: the home's GIL. */
void *ix_attachment_free(struct ix_attachment *attachment);

/* What one message refers to. */
struct ix_attachments {
    struct ix_attachments *next; /* of a segment, claim or range: those of another item */
    uint32_t item;               /* which item of the segment, or outcome of the claim */
    uint32_t count, capacity;
    bool shared; /* something here is written to on both sides: it must stay in this process */
    bool
        remote; /* the message is another process's: its addresses are names, and these are sorted by them */
    size_t copied, lent; /* bytes that the receiver copies, and that stay where they are */
    /* While a value is being encoded: an object that can change, borrowed, and the attachment that gets
     * its value once all the rest is known to cross this way. */
    void *changing;
    struct ix_attachment *waiting;
    struct ix_attachment *items[];
};

/* Appends; steals the reference, even when it returns false for want of memory. `list` may lead to NULL. */
bool ix_attachments_add(struct ix_attachments **list, struct ix_attachment *attachment);
/* For a list that is complete: it becomes `remote`, if only an empty one (NULL) for want of anything. False
 * without memory. */
bool ix_attachments_sort(struct ix_attachments **list);
/* The attachment that a message means by an address: `list` is what it came with, or NULL. Returns NULL if a
 * list that is `remote` has none of that name. */
struct ix_attachment *ix_attachments_find(struct ix_attachments *list, uint64_t address);
/* Those of an item in a chain of lists, or NULL. */
struct ix_attachments *ix_attachments_of(struct ix_attachments *chain, uint32_t item);
/* Takes the last ones away again, down to `count`. `list` may be NULL. */
void ix_attachments_cut(struct ix_attachments *list, uint32_t count);
/* Gives all references back and frees the list, and those linked to it. NULL is fine. Context: any. */
void ix_attachments_free(struct ix_attachments *list);

#endif
