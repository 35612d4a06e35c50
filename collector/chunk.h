/* chunk.h - memory that is taken in small pieces and freed as a whole: what an interval holds
 * (interval.h), what a summary is unpacked into (assemble_rows.c).
 *
 * After nothing, before interval.h.  In the header, for it is called for each summary and for each
 * part of one. */
#ifndef PLUMBLINE_CHUNK_H
#define PLUMBLINE_CHUNK_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define CHUNK_SIZE ((size_t)64 << 10)

struct chunk {
    struct chunk *next;
    size_t used, room;
    _Alignas(16) uint8_t bytes[];
};

/* Frees a list of them; NULL is fine. */
static inline void
chunk_free(struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
}

/* 'size' bytes at a multiple of 16 from the list '*chunks', which grows by need; they live as long
 * as the list.  NULL when memory is out. */
static inline void *
chunk_take(struct chunk **chunks, size_t size)
{
    struct chunk *c = *chunks;

    size = (size + 15) & ~(size_t)15;
    if (!c || c->room - c->used < size) {
        size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        c = malloc(sizeof *c + room);
        if (!c) {
            return NULL;
        }
        c->next = *chunks;
        c->used = 0;
        c->room = room;
        *chunks = c;
    }
    void *here = c->bytes + c->used;
    c->used += size;
    return here;
}

#endif
