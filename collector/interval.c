/* interval.c - a list of intervals, and of each session's summaries in them. */
#include "interval.h"

#include <stdlib.h>
#include <string.h>

void
interval_free(struct interval *i)
{
    chunk_free(i->chunks);
    free(i->lists);
    assemble_liveness_fini(&i->liveness);
    free(i);
}

struct interval *
interval_at(struct interval **first, struct instant at, struct span length,
            struct instant written_until, struct position before)
{
    struct instant start = instant_floor(at, length);
    struct instant end = instant_add(start, length);
    struct interval **link = first, *i;

    if (instant_before(start, written_until)) {
        start = written_until; /* The length of an interval was changed. */
    }
    while (*link && instant_before((*link)->start, start)) {
        link = &(*link)->next;
    }
    i = *link;
    if (!i || i->start.ns != start.ns) {
        i = calloc(1, sizeof *i);
        if (!i) {
            return NULL;
        }
        *i = (struct interval){.next = *link, .start = start, .end = end, .before = before};
        *link = i;
    }
    if (position_compare(before, i->before) < 0) {
        i->before = before;
    }
    return i;
}

static struct interval_list *
list_of(struct interval *i, uint32_t index, size_t session_count)
{
    if (index >= i->list_count) {
        struct interval_list *more = reallocarray(i->lists, session_count, sizeof *more);
        if (!more) {
            return NULL;
        }
        memset(more + i->list_count, 0, (session_count - i->list_count) * sizeof *more);
        i->lists = more;
        i->list_count = session_count;
    }
    return &i->lists[index];
}

struct interval_held *
interval_hold(struct interval *i, uint32_t index, size_t session_count, uint64_t dt_number,
              size_t size)
{
    struct interval_list *list = list_of(i, index, session_count);
    struct interval_held *h = list ? chunk_take(&i->chunks, sizeof *h + size) : NULL;

    if (!h) {
        return NULL;
    }
    h->next = NULL;
    h->dt_number = dt_number;
    h->size = (uint32_t)size;
    if (list->last) {
        list->last->next = h;
    } else {
        list->first = h;
    }
    list->last = h;
    i->held += sizeof *h + size;
    return h;
}
