/* bytes.c - a growing run of bytes. */
#include "bytes.h"

#include <stdlib.h>

void
bytes_fini(struct bytes *b)
{
    free(b->at);
    *b = (struct bytes){0};
}

uint8_t *
bytes_grow(struct bytes *b, size_t size)
{
    if (b->bad) {
        return NULL;
    }
    if (b->room - b->size < size) {
        size_t room = b->room ? b->room * 2 : 256;
        while (room - b->size < size) {
            room *= 2;
        }
        uint8_t *more = realloc(b->at, room);
        if (!more) {
            b->bad = true;
            return NULL;
        }
        b->at = more;
        b->room = room;
    }
    uint8_t *here = b->at + b->size;
    b->size += size;
    return here;
}
