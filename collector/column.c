/* column.c - text arrays of PostgreSQL. */
#include "column.h"

#include <inttypes.h>
#include <stdio.h>

static void
column_next(struct column *c)
{
    bytes_text(&c->text, c->text.size ? "," : "{");
}

void
column_number(struct column *c, int64_t v)
{
    char text[24];

    column_next(c);
    snprintf(text, sizeof text, "%" PRId64, v);
    bytes_text(&c->text, text);
}

void
column_text(struct column *c, const char *v)
{
    column_next(c);
    bytes_text(&c->text, "\"");
    bytes_text(&c->text, v);
    bytes_text(&c->text, "\"");
}

void
column_hex(struct column *c, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";

    column_next(c);
    uint8_t *to = bytes_grow(&c->text, size * 2);
    for (size_t i = 0; to && i < size; i++) {
        to[2 * i] = (uint8_t)digits[bytes[i] >> 4];
        to[2 * i + 1] = (uint8_t)digits[bytes[i] & 15];
    }
}

const char *
column_end(struct column *c)
{
    bytes_text(&c->text, c->text.size ? "}" : "{}");
    bytes_add(&c->text, "", 1);
    return bytes_ok(&c->text) ? (const char *)c->text.at : NULL;
}

void
column_fini(struct column *columns, int count)
{
    for (int i = 0; i < count; i++) {
        bytes_fini(&columns[i].text);
    }
}
