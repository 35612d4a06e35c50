/* pool.c - a list of blocks; big requests get a block of their own. */
#include "pool.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define POOL_BLOCK_SIZE 65536u

struct block {
    struct block *next;
    size_t used, size;
    alignas(max_align_t) unsigned char bytes[];
};

struct pool {
    struct block *head;
};

static struct block *
block_new(size_t size)
{
    assert(size <= SIZE_MAX - sizeof(struct block));
    struct block *b = calloc(1, sizeof *b + size);
    assert(b != NULL);
    b->size = size;
    return b;
}

struct pool *
pool_new(void)
{
    struct pool *p = calloc(1, sizeof *p);
    assert(p != NULL);
    p->head = block_new(POOL_BLOCK_SIZE);
    return p;
}

void
pool_free(struct pool *p)
{
    if (!p) {
        return;
    }
    for (struct block *b = p->head; b;) {
        struct block *next = b->next;
        free(b);
        b = next;
    }
    free(p);
}

void *
pool_alloc(struct pool *p, size_t size)
{
    assert(size <= SIZE_MAX - alignof(max_align_t));
    size_t room = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    struct block *b = p->head;

    if (room > POOL_BLOCK_SIZE / 4) {
        /* Behind the head, whose room stays in use. */
        struct block *own = block_new(room);
        own->used = room;
        own->next = b->next;
        b->next = own;
        return own->bytes;
    }
    if (b->size - b->used < room) {
        b = block_new(POOL_BLOCK_SIZE);
        b->next = p->head;
        p->head = b;
    }
    void *here = b->bytes + b->used;
    b->used += room;
    return here;
}

void *
pool_array(struct pool *p, size_t count, size_t size)
{
    assert(size == 0 || count <= SIZE_MAX / size);
    return pool_alloc(p, count * size);
}

char *
pool_text(struct pool *p, const char *text, size_t length)
{
    assert(length < SIZE_MAX);
    char *copy = pool_alloc(p, length + 1);
    if (length) {
        memcpy(copy, text, length);
    }
    return copy;
}
