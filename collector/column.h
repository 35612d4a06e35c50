/* column.h - text arrays of PostgreSQL, "{a,b}", one a column: many rows in the parameters of one
 * statement.
 *
 * After bytes.h, before store.h's files.  A column is {0} before the first value, and goes bad as
 * bytes.h does when memory is out. */
#ifndef PLUMBLINE_COLUMN_H
#define PLUMBLINE_COLUMN_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"

struct column {
    struct bytes text;
};

/* Each adds a value. */
void column_number(struct column *c, int64_t v);
/* Of a key of the inventory, or what else holds nothing that must be escaped. */
void column_text(struct column *c, const char *v);
/* For decode(..., 'hex'). */
void column_hex(struct column *c, const uint8_t *bytes, size_t size);

/* Ends it: the parameter, the column's; NULL when memory was out. */
const char *column_end(struct column *c);

/* Of 'count' columns. */
void column_fini(struct column *columns, int count);

#endif
