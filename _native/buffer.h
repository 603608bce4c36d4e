/* A growing byte buffer that starts in memory its caller provides (the stack, mostly), so that small
 * payloads cost no allocation. Raw memory: it may be freed by any thread, under any GIL or none. */
#ifndef IX_BUFFER_H
#define IX_BUFFER_H

#include "attachment.h"

#include <stdlib.h>
#include <string.h>

struct ix_buffer {
    char *data;
    size_t length;
    size_t capacity;
    char *borrowed; /* the caller's memory; data points there until it grows out of it */
    struct ix_attachments *attachments; /* what the contents refer to, or NULL */
};

static inline void
ix_buffer_init(struct ix_buffer *buffer, char *memory, size_t capacity)
{
    buffer->data = buffer->borrowed = memory;
    buffer->length = 0;
    buffer->capacity = capacity;
    buffer->attachments = NULL;
}

static inline void
ix_buffer_fini(struct ix_buffer *buffer)
{
    if (buffer->data != buffer->borrowed)
        free(buffer->data);
    buffer->data = buffer->borrowed = NULL;
    if (buffer->attachments != NULL) {
        ix_attachments_free(buffer->attachments);
        buffer->attachments = NULL;
    }
}

/* Makes room for `extra` more bytes. Returns false when memory is exhausted. */
bool ix_buffer_grow(struct ix_buffer *buffer, size_t extra);

static inline bool
ix_buffer_reserve(struct ix_buffer *buffer, size_t extra)
{
    return buffer->capacity - buffer->length >= extra || ix_buffer_grow(buffer, extra);
}

static inline bool
ix_buffer_write(struct ix_buffer *buffer, const void *bytes, size_t n)
{
    if (!ix_buffer_reserve(buffer, n))
        return false;
    if (n != 0) /* an empty buffer may have no memory at all */
        memcpy(buffer->data + buffer->length, bytes, n);
    buffer->length += n;
    return true;
}

/* Gives the contents away as a heap block that the caller frees, or NULL without memory.
 * The buffer is empty afterwards and owns nothing but its attachments. */
char *ix_buffer_steal(struct ix_buffer *buffer);
/* Gives the attachments away: the caller frees them. Returns NULL where there are none. */
static inline struct ix_attachments *
ix_buffer_detach(struct ix_buffer *buffer)
{
    struct ix_attachments *attachments = buffer->attachments;
    buffer->attachments = NULL;
    return attachments;
}

/* A place to go back to: the length, and how many attachments there were. */
struct ix_mark {
    size_t length;
    uint32_t attachments;
};

static inline struct ix_mark
ix_buffer_mark(struct ix_buffer *buffer)
{
    uint32_t count = buffer->attachments == NULL ? 0 : buffer->attachments->count;
    return (struct ix_mark){buffer->length, count};
}

static inline void
ix_buffer_rewind(struct ix_buffer *buffer, struct ix_mark mark)
{
    buffer->length = mark.length;
    ix_attachments_cut(buffer->attachments, mark.attachments);
}

#endif
