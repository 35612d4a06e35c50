/* cause_heap.c - the one that explains most. */
#include "cause_heap.h"

#include <stdbool.h>

/* Candidates are numbered by kind: of equals the lower number is first. */
static bool
is_less(const struct cause_heap_entry *a, const struct cause_heap_entry *b)
{
    return a->explains != b->explains ? a->explains > b->explains : a->candidate < b->candidate;
}

void
cause_heap_push(struct cause_heap *h, struct cause_heap_entry e)
{
    size_t i = h->count++;

    for (; i > 0 && is_less(&e, &h->entries[(i - 1) / 2]); i = (i - 1) / 2) {
        h->entries[i] = h->entries[(i - 1) / 2];
    }
    h->entries[i] = e;
}

struct cause_heap_entry
cause_heap_pop(struct cause_heap *h)
{
    const struct cause_heap_entry top = h->entries[0], last = h->entries[--h->count];
    size_t i = 0;

    for (size_t child = 1; child < h->count; i = child, child = 2 * i + 1) {
        if (child + 1 < h->count && is_less(&h->entries[child + 1], &h->entries[child])) {
            child++;
        }
        if (!is_less(&h->entries[child], &last)) {
            break;
        }
        h->entries[i] = h->entries[child];
    }
    h->entries[i] = last;
    return top;
}
