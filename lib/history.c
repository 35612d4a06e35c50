/* history.c - what one session has received. */
#include "history.h"

#include <assert.h>
#include <string.h>

static bool
bit_get(const struct history *h, uint32_t back)
{
    return back < HISTORY_BITS && (h->bits[back / 64] >> (back % 64) & 1);
}

static void
shift(struct history *h, uint32_t by)
{
    uint64_t from[HISTORY_BITS / 64];
    uint32_t words = by / 64;
    uint32_t bits = by % 64;

    memcpy(from, h->bits, sizeof from);
    for (uint32_t i = 0; i < HISTORY_BITS / 64; i++) {
        uint64_t v = 0;
        if (i >= words && words < HISTORY_BITS / 64) {
            v = from[i - words] << bits;
            if (bits && i > words) {
                v |= from[i - words - 1] >> (64 - bits);
            }
        }
        h->bits[i] = v;
    }
}

static void
take(struct history *h, uint32_t sequence, int64_t t1_ns, struct span mono)
{
    if (!h->begun) {
        *h = (struct history){
            .bits = {1}, .highest = sequence, .highest_t1_ns = t1_ns, .begun = true};
    } else if (sequence - h->highest - 1 < UINT32_C(1) << 31) {
        shift(h, sequence - h->highest);
        h->bits[0] |= 1;
        h->highest = sequence;
        h->highest_t1_ns = t1_ns;
    } else {
        uint32_t back = h->highest - sequence;
        h->bits[back / 64] |= UINT64_C(1) << (back % 64);
    }
    h->received++;
    h->before = h->last;
    h->last = mono;
}

enum history_verdict
history_add(struct history *h, uint32_t sequence, int64_t t1_ns, struct span mono)
{
    uint32_t back = h->highest - sequence;
    int64_t silence = mono.ns - h->last.ns;

    if (!h->begun || back > UINT32_C(1) << 31) {
        take(h, sequence, t1_ns, mono);
        return HISTORY_NEW;
    }
    bool newer = t1_ns != 0 && h->highest_t1_ns != 0 && t1_ns > h->highest_t1_ns;
    bool known = back >= HISTORY_WINDOW || bit_get(h, back);
    bool after_silence = known && silence > NS_PER_S && silence / 8 > h->last.ns - h->before.ns;
    if (newer || after_silence) {
        *h = (struct history){.begun = false};
        take(h, sequence, t1_ns, mono);
        return HISTORY_RESTARTED;
    }
    if (back >= HISTORY_WINDOW) {
        return HISTORY_REPLAYED;
    }
    if (known) {
        h->duplicates++;
        return HISTORY_DUPLICATE;
    }
    take(h, sequence, t1_ns, mono);
    return HISTORY_NEW;
}

/* Octets from the wire's first bit on: reverse of the bits' order in memory. */
static uint8_t
reversed(uint8_t b)
{
    b = (uint8_t)((b & 0xf0) >> 4 | (b & 0x0f) << 4);
    b = (uint8_t)((b & 0xcc) >> 2 | (b & 0x33) << 2);
    return (uint8_t)((b & 0xaa) >> 1 | (b & 0x55) << 1);
}

void
history_bitmap(const struct history *h, uint32_t sequence, uint8_t bitmap[16])
{
    struct history t = {.begun = true};
    uint32_t from = h->highest - sequence + 1; /* 1..128: shift so much away. */
    uint32_t words = from / 64;
    uint32_t bits = from % 64;

    assert(from - 1 < HISTORY_WINDOW);
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t v = h->bits[i + words] >> bits;
        if (bits && i + words + 1 < HISTORY_BITS / 64) {
            v |= h->bits[i + words + 1] << (64 - bits);
        }
        t.bits[i] = v;
    }
    for (unsigned i = 0; i < 16; i++) {
        bitmap[i] = reversed((uint8_t)(t.bits[i / 8] >> (i % 8 * 8)));
    }
}
