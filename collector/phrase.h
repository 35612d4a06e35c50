/* phrase.h - lists and figures as people read them in a sentence.
 *
 * After inventory_sold.h; before problem.h's steps and notice.h's titles. */
#ifndef PLUMBLINE_PHRASE_H
#define PLUMBLINE_PHRASE_H

#include <stddef.h>

#include "inventory_sold.h"

#define PHRASE_SIZE 1024

/* Makes "a, b and c", or "a, b, c, d, e and 12 more", name by name. */
struct phrase_list {
    char *buf;
    size_t size, length;
    size_t total, done;
};

/* 'total' names will come.  'buf' is empty after this. */
void phrase_begin(struct phrase_list *l, char *buf, size_t size, size_t total);
void phrase_add(struct phrase_list *l, const char *name);

/* "51.2%", "12.3 ms", "4".  Returns 'buf' (24 bytes suffice). */
char *phrase_value(int64_t value, enum inv_unit unit, char *buf, size_t size);

#endif
