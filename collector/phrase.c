/* phrase.c - lists and figures as people read them. */
#include "phrase.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "nstime.h"

#define NAMES 5

void
phrase_begin(struct phrase_list *l, char *buf, size_t size, size_t total)
{
    *l = (struct phrase_list){.buf = buf, .size = size, .total = total};
    buf[0] = '\0';
}

static void
put(struct phrase_list *l, const char *text)
{
    size_t n = strlen(text);

    if (n >= l->size - l->length) {
        n = l->size - l->length - 1;
    }
    memcpy(l->buf + l->length, text, n);
    l->length += n;
    l->buf[l->length] = '\0';
}

void
phrase_add(struct phrase_list *l, const char *name)
{
    char more[32];
    size_t shown = l->total <= NAMES + 1 ? l->total : NAMES;

    if (l->done < shown) {
        put(l, l->done == 0 ? "" : l->done + 1 == l->total ? " and " : ", ");
        put(l, name);
    } else if (l->done == shown) {
        snprintf(more, sizeof more, " and %zu more", l->total - shown);
        put(l, more);
    }
    l->done++;
}

char *
phrase_value(int64_t value, enum inv_unit unit, char *buf, size_t size)
{
    if (unit == INV_MILLI_PERCENT) {
        snprintf(buf, size, "%" PRId64 ".%03d", value / 1000, (int)(value < 0 ? 0 : value % 1000));
        size_t n = strlen(buf);
        while (n > 1 && buf[n - 1] == '0') {
            buf[--n] = '\0';
        }
        if (buf[n - 1] == '.') {
            buf[--n] = '\0';
        }
        snprintf(buf + n, size - n, "%%");
    } else if (unit == INV_NS) {
        span_format(span_of_ns(value), buf, size);
    } else {
        snprintf(buf, size, "%" PRId64, value);
    }
    return buf;
}
