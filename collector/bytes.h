/* bytes.h - a growing run of bytes: what COPY, arrays and dt records are made in.
 *
 * After wire.h.  Goes bad when memory is out and then takes nothing more, so
 * that a maker writes everything and asks bytes_ok() once. */
#ifndef PLUMBLINE_BYTES_H
#define PLUMBLINE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    uint8_t *at;
    size_t size, room;
    bool bad;
};

void bytes_fini(struct bytes *b);

/* Room for 'size' more bytes, counted as written; NULL when memory is out. */
uint8_t *bytes_grow(struct bytes *b, size_t size);

static inline void
bytes_clear(struct bytes *b)
{
    b->size = 0;
    b->bad = false;
}

static inline bool
bytes_ok(const struct bytes *b)
{
    return !b->bad;
}

static inline void
bytes_add(struct bytes *b, const void *from, size_t size)
{
    uint8_t *to = bytes_grow(b, size);
    if (to && size) {
        memcpy(to, from, size);
    }
}

static inline void
bytes_text(struct bytes *b, const char *text)
{
    bytes_add(b, text, strlen(text));
}

static inline void
bytes_be16(struct bytes *b, uint16_t v)
{
    uint8_t *to = bytes_grow(b, 2);
    if (to) {
        to[0] = (uint8_t)(v >> 8);
        to[1] = (uint8_t)v;
    }
}

static inline void
bytes_be32(struct bytes *b, uint32_t v)
{
    bytes_be16(b, (uint16_t)(v >> 16));
    bytes_be16(b, (uint16_t)v);
}

static inline void
bytes_be64(struct bytes *b, uint64_t v)
{
    bytes_be32(b, (uint32_t)(v >> 32));
    bytes_be32(b, (uint32_t)v);
}

static inline void
bytes_varint(struct bytes *b, uint64_t v)
{
    uint8_t coded[10];
    size_t n = 0;

    while (v >= 0x80) {
        coded[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    coded[n++] = (uint8_t)v;
    bytes_add(b, coded, n);
}

static inline void
bytes_zigzag(struct bytes *b, int64_t v)
{
    bytes_varint(b, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

#endif
