#include "buffer.h"

bool
ix_buffer_grow(struct ix_buffer *buffer, size_t extra)
{
    if (extra > SIZE_MAX / 2 - buffer->length)
        return false;
    size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
    while (capacity - buffer->length < extra)
        capacity *= 2;
    bool on_heap = buffer->data != buffer->borrowed;
    char *data = on_heap ? realloc(buffer->data, capacity) : malloc(capacity);
    if (data == NULL)
        return false;
    if (!on_heap && buffer->length != 0)
        memcpy(data, buffer->data, buffer->length);
    buffer->data = data;
    buffer->borrowed = NULL;
    buffer->capacity = capacity;
    return true;
}

char *
ix_buffer_steal(struct ix_buffer *buffer)
{
    char *data = buffer->data;
    if (data == buffer->borrowed) {
        data = malloc(buffer->length ? buffer->length : 1);
        if (data != NULL && buffer->length != 0)
            memcpy(data, buffer->data, buffer->length);
    }
    buffer->data = buffer->borrowed = NULL;
    buffer->length = buffer->capacity = 0;
    return data;
}
