/* fuzz_spool.c - a segment's bytes: what is read is what was written, or is said
 * to be damaged; nothing is invented.
 *
 * The first octet chooses: even, the rest is a segment file as found on a disk;
 * odd, the rest makes a segment and then damages it, so that checksums do not
 * keep the fuzzer out. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RECORDS_MAX 24
#define MADE_MAX (SEGMENT_HEADER_SIZE + RECORDS_MAX * (RECORD_HEADER_SIZE + 64))

struct made {
    uint8_t bytes[MADE_MAX];
    size_t size;
    uint64_t records;
};

static void
check_header(const uint8_t *bytes, size_t size)
{
    static const uint8_t zero[12];
    struct segment_header h;
    uint8_t again[SEGMENT_HEADER_SIZE];

    if (segment_header_parse(bytes, size, &h) != SEGMENT_OK) {
        return;
    }
    segment_header_format(&h, again);
    if (memcmp(bytes + 48, zero, sizeof zero) == 0) {
        assert(memcmp(bytes, again, sizeof again) == 0);
    }
}

/* Walks a segment; 'made', if there is one, says what it was before damage. */
static void
check_walk(const uint8_t *bytes, size_t size, uint64_t epoch, const struct made *made)
{
    struct segment_view view;
    struct segment_walk walk = {.view = &view, .epoch = epoch, .at = SEGMENT_HEADER_SIZE};
    struct segment_item item;
    uint64_t expected = 0;
    size_t offset = SEGMENT_HEADER_SIZE;

    segment_view_memory(&view, bytes, size);
    while (segment_walk_next(&walk, &item) > 0) {
        int err;
        assert(item.first == expected && item.count > 0);
        assert(item.at >= offset && walk.at <= size);
        expected += item.count;
        offset = walk.at;
        if (!item.whole) {
            continue;
        }
        uint8_t again[RECORD_HEADER_SIZE];
        record_header_format(&item.header, epoch, again);
        assert(memcmp(bytes + item.at, again, sizeof again) == 0);
        const uint8_t *payload = segment_payload(&view, &item, &err);
        assert(err == 0);
        if (payload) {
            assert(crc32c(0, payload, item.header.size) == item.header.crc);
        }
        if (payload && made) {
            assert(item.first < made->records);
            for (size_t i = 0; i < item.header.size; i++) {
                assert(payload[i] == (uint8_t)(item.first * 5 + i));
            }
        }
    }
    assert(expected <= (size - SEGMENT_HEADER_SIZE) / RECORD_HEADER_SIZE + 1);
    assert(!made || expected <= made->records + 1);
}

static void
make(struct made *m, const uint8_t *sizes, size_t count)
{
    struct segment_header h = {.format = SEGMENT_FORMAT, .epoch = 7};

    memset(m, 0, sizeof(*m));
    segment_header_format(&h, m->bytes);
    m->size = SEGMENT_HEADER_SIZE;
    for (size_t i = 0; i < count; i++) {
        uint8_t payload[64];
        struct record_header r = {.sequence = i, .size = sizes[i] % 64};
        for (size_t k = 0; k < r.size; k++) {
            payload[k] = (uint8_t)(i * 5 + k);
        }
        r.crc = crc32c(0, payload, r.size);
        record_header_format(&r, 7, m->bytes + m->size);
        memcpy(m->bytes + m->size + RECORD_HEADER_SIZE, payload, r.size);
        m->size += RECORD_HEADER_SIZE + r.size;
        m->records++;
    }
}

/* Steps of three octets: where, and what. */
static void
damage(struct made *m, const uint8_t *steps, size_t size)
{
    for (; size >= 3; steps += 3, size -= 3) {
        size_t at = ((size_t)steps[0] << 8 | steps[1]) % m->size;
        if (steps[2] == 0 && at >= SEGMENT_HEADER_SIZE) {
            m->size = at;
        } else {
            m->bytes[at] ^= steps[2];
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        check_header(data + 1, size - 1);
        if (size - 1 >= SEGMENT_HEADER_SIZE) {
            struct segment_header h = {.epoch = 7};
            segment_header_parse(data + 1, size - 1, &h);
            check_walk(data + 1, size - 1, h.epoch, NULL);
        }
        return 0;
    }
    struct made made;
    size_t count = data[1] % (RECORDS_MAX + 1);
    if (size - 2 < count) {
        return 0;
    }
    make(&made, data + 2, count);
    damage(&made, data + 2 + count, size - 2 - count);
    uint8_t *exact = malloc(made.size);
    if (exact) {
        memcpy(exact, made.bytes, made.size);
        check_header(exact, made.size);
        check_walk(exact, made.size, 7, &made);
        free(exact);
    }
    return 0;
}
