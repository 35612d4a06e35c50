/* wire.h - the only code that touches bytes: a read and a write cursor.
 *
 * After nstime.h, before every codec.  A cursor goes bad at the first step over
 * its end; from then on reads yield zeros and writes write nothing.  So a codec
 * reads everything, asks rd_ok() once, and only then believes.  Big-endian is
 * the network's order (be), little-endian the spool's (le); varint is LEB128,
 * zigzag for signed values, as in Protocol Buffers. */
#ifndef PLUMBLINE_WIRE_H
#define PLUMBLINE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Reads 'left' bytes from 'at'; the bytes stay the caller's. */
struct rd {
    const uint8_t *at;
    size_t left;
    bool bad;
};

/* Writes into 'left' bytes from 'at'; 'start' is where it began. */
struct wr {
    uint8_t *start;
    uint8_t *at;
    size_t left;
    bool bad;
};

static inline struct rd
rd_of(const void *bytes, size_t size)
{
    return (struct rd){.at = (const uint8_t *)bytes, .left = size, .bad = false};
}

static inline bool
rd_ok(const struct rd *r)
{
    return !r->bad;
}

/* Takes 'size' bytes and returns where they are, or NULL (and goes bad) if
 * there are fewer. */
static inline const uint8_t *
rd_take(struct rd *r, size_t size)
{
    const uint8_t *here = r->at;

    if (r->bad || r->left < size) {
        r->bad = true;
        r->left = 0;
        return NULL;
    }
    r->at += size;
    r->left -= size;
    return here;
}

static inline void
rd_skip(struct rd *r, size_t size)
{
    (void)rd_take(r, size);
}

/* A cursor over the next 'size' bytes, which 'r' steps over.  Bad if they are
 * not all there, so that an inner structure cannot leave its parent. */
static inline struct rd
rd_sub(struct rd *r, size_t size)
{
    const uint8_t *here = rd_take(r, size);
    return (struct rd){.at = here, .left = here ? size : 0, .bad = here == NULL};
}

static inline void
rd_copy(struct rd *r, void *to, size_t size)
{
    const uint8_t *from = rd_take(r, size);

    if (from) {
        memcpy(to, from, size);
    } else {
        memset(to, 0, size);
    }
}

static inline uint8_t
rd_u8(struct rd *r)
{
    const uint8_t *b = rd_take(r, 1);
    return b ? b[0] : 0;
}

static inline uint16_t
rd_be16(struct rd *r)
{
    const uint8_t *b = rd_take(r, 2);
    return b ? (uint16_t)((unsigned)b[0] << 8 | b[1]) : 0;
}

static inline uint32_t
rd_be32(struct rd *r)
{
    const uint8_t *b = rd_take(r, 4);
    return b ? (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3] : 0;
}

static inline uint64_t
rd_be64(struct rd *r)
{
    uint64_t high = rd_be32(r);
    return high << 32 | rd_be32(r);
}

static inline uint32_t
rd_le32(struct rd *r)
{
    const uint8_t *b = rd_take(r, 4);
    return b ? (uint32_t)b[3] << 24 | (uint32_t)b[2] << 16 | (uint32_t)b[1] << 8 | b[0] : 0;
}

static inline uint64_t
rd_le64(struct rd *r)
{
    uint64_t low = rd_le32(r);
    return low | (uint64_t)rd_le32(r) << 32;
}

/* At most ten bytes; a longer one, or one whose tenth byte does not fit in 64
 * bits, is bad. */
static inline uint64_t
rd_varint(struct rd *r)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t b = rd_u8(r);
        if (shift == 63 && b > 1) {
            break;
        }
        value |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            return r->bad ? 0 : value;
        }
    }
    r->bad = true;
    r->left = 0;
    return 0;
}

static inline int64_t
rd_zigzag(struct rd *r)
{
    uint64_t v = rd_varint(r);
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

static inline struct wr
wr_of(void *bytes, size_t size)
{
    return (struct wr){
        .start = (uint8_t *)bytes, .at = (uint8_t *)bytes, .left = size, .bad = false};
}

static inline bool
wr_ok(const struct wr *w)
{
    return !w->bad;
}

/* Bytes written so far. */
static inline size_t
wr_size(const struct wr *w)
{
    return (size_t)(w->at - w->start);
}

/* Room for 'size' bytes, or NULL (and goes bad). */
static inline uint8_t *
wr_room(struct wr *w, size_t size)
{
    uint8_t *here = w->at;

    if (w->bad || w->left < size) {
        w->bad = true;
        w->left = 0;
        return NULL;
    }
    w->at += size;
    w->left -= size;
    return here;
}

static inline void
wr_copy(struct wr *w, const void *from, size_t size)
{
    uint8_t *to = wr_room(w, size);
    if (to && size) {
        memcpy(to, from, size);
    }
}

static inline void
wr_zero(struct wr *w, size_t size)
{
    uint8_t *to = wr_room(w, size);
    if (to) {
        memset(to, 0, size);
    }
}

static inline void
wr_u8(struct wr *w, uint8_t v)
{
    wr_copy(w, &v, 1);
}

static inline void
wr_be16(struct wr *w, uint16_t v)
{
    uint8_t *b = wr_room(w, 2);
    if (b) {
        b[0] = (uint8_t)(v >> 8);
        b[1] = (uint8_t)v;
    }
}

static inline void
wr_be32(struct wr *w, uint32_t v)
{
    uint8_t *b = wr_room(w, 4);
    if (b) {
        b[0] = (uint8_t)(v >> 24);
        b[1] = (uint8_t)(v >> 16);
        b[2] = (uint8_t)(v >> 8);
        b[3] = (uint8_t)v;
    }
}

static inline void
wr_be64(struct wr *w, uint64_t v)
{
    wr_be32(w, (uint32_t)(v >> 32));
    wr_be32(w, (uint32_t)v);
}

static inline void
wr_le32(struct wr *w, uint32_t v)
{
    uint8_t *b = wr_room(w, 4);
    if (b) {
        b[0] = (uint8_t)v;
        b[1] = (uint8_t)(v >> 8);
        b[2] = (uint8_t)(v >> 16);
        b[3] = (uint8_t)(v >> 24);
    }
}

static inline void
wr_le64(struct wr *w, uint64_t v)
{
    wr_le32(w, (uint32_t)v);
    wr_le32(w, (uint32_t)(v >> 32));
}

static inline void
wr_varint(struct wr *w, uint64_t v)
{
    while (v >= 0x80) {
        wr_u8(w, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    wr_u8(w, (uint8_t)v);
}

static inline void
wr_zigzag(struct wr *w, int64_t v)
{
    wr_varint(w, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

#endif
