/* segment.c - the bytes of a spool's segment file. */
#include "segment.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire.h"

#define WINDOW_SIZE (256u << 10)
#define DISK_PAGE 4096u

static const char segment_magic[8] = {'P', 'L', 'S', 'P', 'O', 'O', 'L', '1'};
static const uint8_t record_magic[4] = {'P', 'L', 'R', '1'};

void
segment_header_format(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_SIZE])
{
    struct wr w = wr_of(out, SEGMENT_HEADER_SIZE);

    wr_copy(&w, segment_magic, sizeof segment_magic);
    wr_le32(&w, h->format);
    wr_le32(&w, h->flags);
    wr_le64(&w, h->epoch);
    wr_le64(&w, h->first);
    wr_le64(&w, h->previous.epoch);
    wr_le64(&w, h->previous.sequence);
    wr_zero(&w, 12);
    wr_le32(&w, crc32c(0, out, SEGMENT_HEADER_SIZE - 4));
    assert(wr_ok(&w) && wr_size(&w) == SEGMENT_HEADER_SIZE);
}

enum segment_verdict
segment_header_parse(const void *bytes, size_t size, struct segment_header *out)
{
    struct rd r = rd_of(bytes, size);
    const uint8_t *magic = rd_take(&r, sizeof segment_magic);
    struct segment_header h = {.format = rd_le32(&r), .flags = rd_le32(&r)};

    h.epoch = rd_le64(&r);
    h.first = rd_le64(&r);
    h.previous.epoch = rd_le64(&r);
    h.previous.sequence = rd_le64(&r);
    rd_skip(&r, 12);
    uint32_t crc = rd_le32(&r);
    if (!rd_ok(&r)) {
        return SEGMENT_SHORT;
    }
    if (memcmp(magic, segment_magic, sizeof segment_magic) != 0 ||
        crc != crc32c(0, bytes, SEGMENT_HEADER_SIZE - 4)) {
        return SEGMENT_DAMAGED;
    }
    if (h.format > SEGMENT_FORMAT) {
        return SEGMENT_NEWER_FORMAT;
    }
    *out = h;
    return SEGMENT_OK;
}

static uint32_t
record_header_crc(const uint8_t *bytes, uint64_t epoch)
{
    uint8_t seed[8];
    struct wr w = wr_of(seed, sizeof seed);

    wr_le64(&w, epoch);
    return crc32c(crc32c(0, seed, sizeof seed), bytes, RECORD_HEADER_SIZE - 4);
}

void
record_header_format(const struct record_header *h, uint64_t epoch, uint8_t out[RECORD_HEADER_SIZE])
{
    struct wr w = wr_of(out, RECORD_HEADER_SIZE);

    wr_copy(&w, record_magic, sizeof record_magic);
    wr_le32(&w, h->flags);
    wr_le64(&w, h->sequence);
    wr_le64(&w, (uint64_t)h->from.ns);
    wr_le64(&w, (uint64_t)h->until.ns);
    wr_le32(&w, h->size);
    wr_le32(&w, h->crc);
    wr_le32(&w, record_header_crc(out, epoch));
    assert(wr_ok(&w) && wr_size(&w) == RECORD_HEADER_SIZE);
}

bool
record_header_parse(const uint8_t *bytes, uint64_t epoch, struct record_header *out)
{
    struct rd r = rd_of(bytes, RECORD_HEADER_SIZE);
    const uint8_t *magic = rd_take(&r, sizeof record_magic);
    struct record_header h = {.flags = rd_le32(&r)};

    h.sequence = rd_le64(&r);
    h.from.ns = (int64_t)rd_le64(&r);
    h.until.ns = (int64_t)rd_le64(&r);
    h.size = rd_le32(&r);
    h.crc = rd_le32(&r);
    uint32_t crc = rd_le32(&r);
    if (memcmp(magic, record_magic, sizeof record_magic) != 0 ||
        crc != record_header_crc(bytes, epoch) || h.size > SPOOL_RECORD_MAX) {
        return false;
    }
    *out = h;
    return true;
}

void
segment_view_memory(struct segment_view *v, const void *bytes, size_t size)
{
    *v = (struct segment_view){.bytes = bytes, .fd = -1, .size = size};
}

void
segment_view_file(struct segment_view *v, int fd, uint64_t size)
{
    *v = (struct segment_view){.fd = fd, .size = size};
}

void
segment_view_fini(struct segment_view *v)
{
    free(v->window);
    v->window = NULL;
    v->window_room = v->window_held = 0;
}

/* Reads what the disk has; a page that it refuses, or that is no longer there,
 * reads as zeros and so becomes a damaged record. */
static void
view_fill(int fd, uint8_t *to, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t got = pread(fd, to, size, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            size_t page = DISK_PAGE - (size_t)(offset % DISK_PAGE);
            got = (ssize_t)(page < size ? page : size);
            memset(to, 0, (size_t)got);
        }
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
}

const uint8_t *
segment_view_get(struct segment_view *v, uint64_t offset, size_t size)
{
    assert(offset <= v->size && size <= v->size - offset);
    if (v->bytes || size == 0) {
        static const uint8_t nothing[1];
        return v->bytes ? v->bytes + offset : nothing;
    }
    if (offset < v->window_at || offset + size > v->window_at + v->window_held) {
        size_t room = size > WINDOW_SIZE ? size : WINDOW_SIZE;
        if (v->window_room < room) {
            uint8_t *grown = realloc(v->window, room);
            if (!grown) {
                return NULL;
            }
            v->window = grown;
            v->window_room = room;
        }
        uint64_t rest = v->size - offset;
        size_t held = size > WINDOW_SIZE ? size : WINDOW_SIZE;
        v->window_held = rest < held ? (size_t)rest : held;
        v->window_at = offset;
        view_fill(v->fd, v->window, v->window_held, offset);
    }
    return v->window + (offset - v->window_at);
}

/* Whether a whole header at 'at' may be the next after what is at w->at: the
 * records between must have had room there. */
static bool
header_follows(const struct segment_walk *w, const struct record_header *h, uint64_t at)
{
    return h->sequence >= w->expected &&
           h->sequence - w->expected <= (at - w->at) / RECORD_HEADER_SIZE;
}

/* The next whole header from w->at on: 1, 0 if there is none, -ENOMEM. */
static int
find_header(struct segment_walk *w, uint64_t *at, struct record_header *h)
{
    uint64_t p = w->at;

    while (w->view->size - p >= RECORD_HEADER_SIZE) {
        uint64_t rest = w->view->size - p;
        size_t size = rest < WINDOW_SIZE / 4 ? (size_t)rest : WINDOW_SIZE / 4;
        const uint8_t *bytes = segment_view_get(w->view, p, size);
        size_t i = 0;

        if (!bytes) {
            return -ENOMEM;
        }
        for (; i + RECORD_HEADER_SIZE <= size; i++) {
            const uint8_t *hit =
                memchr(bytes + i, record_magic[0], size - i - RECORD_HEADER_SIZE + 1);
            if (!hit) {
                i = size - RECORD_HEADER_SIZE + 1;
                break;
            }
            i = (size_t)(hit - bytes);
            if (record_header_parse(hit, w->epoch, h) && header_follows(w, h, p + i)) {
                *at = p + i;
                return 1;
            }
        }
        p += i;
    }
    return 0;
}

/* A whole record at w->at, which header 'h' begins. */
static void
take_record(struct segment_walk *w, const struct record_header *h, struct segment_item *out)
{
    uint64_t end = w->at + RECORD_HEADER_SIZE + h->size;

    *out = (struct segment_item){
        .whole = true,
        .torn = end > w->view->size,
        .first = h->sequence,
        .count = 1,
        .at = w->at,
        .header = *h,
    };
    w->at = out->torn ? w->view->size : end;
    w->expected = h->sequence + 1;
}

int
segment_walk_next(struct segment_walk *w, struct segment_item *out)
{
    struct record_header h;
    uint64_t at = 0;

    if (w->at >= w->view->size) {
        return 0;
    }
    int found = find_header(w, &at, &h);
    if (found < 0) {
        return found;
    }
    if (found == 0) {
        /* What is left was begun as one record at the least; more is not known. */
        *out = (struct segment_item){.first = w->expected, .count = 1, .at = w->at};
        w->at = w->view->size;
        w->expected++;
        return 1;
    }
    if (h.sequence > w->expected) {
        *out = (struct segment_item){
            .first = w->expected, .count = h.sequence - w->expected, .at = w->at};
        w->at = at;
        w->expected = h.sequence;
        return 1;
    }
    w->at = at;
    take_record(w, &h, out);
    return 1;
}

const uint8_t *
segment_payload(struct segment_view *v, const struct segment_item *item, int *err)
{
    *err = 0;
    if (!item->whole || item->torn) {
        return NULL;
    }
    const uint8_t *bytes = segment_view_get(v, item->at + RECORD_HEADER_SIZE, item->header.size);
    if (!bytes) {
        *err = -ENOMEM;
        return NULL;
    }
    return crc32c(0, bytes, item->header.size) == item->header.crc ? bytes : NULL;
}
