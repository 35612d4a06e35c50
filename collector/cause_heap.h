/* cause_heap.h - candidates for a cause, the one that explains most first.
 *
 * After nothing, before cause.c, which alone uses it and has the room for its entries. */
#ifndef PLUMBLINE_CAUSE_HEAP_H
#define PLUMBLINE_CAUSE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct cause_heap_entry {
    uint32_t explains, candidate;
};

struct cause_heap {
    struct cause_heap_entry *entries; /* The caller's, with room for all that are pushed. */
    size_t count;
};

void cause_heap_push(struct cause_heap *h, struct cause_heap_entry e);

/* Takes the first one out; there must be one. */
struct cause_heap_entry cause_heap_pop(struct cause_heap *h);

#endif
