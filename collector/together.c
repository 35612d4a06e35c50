/* together.c - counts parts that are up, delta-t by delta-t. */
#include "together.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* Delta-t at a time: each row is read in order, the counts stay in the first cache. */
#define BLOCK 64

/* How many parts are up for sure, by their last states, and if all who are not known were up. */
struct counts {
    uint32_t sure[BLOCK], last[BLOCK], may[BLOCK];
};

static void
count_part(struct counts *c, const uint8_t *states, size_t dt_count)
{
    for (size_t i = 0; i < dt_count; i++) {
        uint32_t up = states[i] & TOGETHER_AVAILABLE ? 1 : 0;
        uint32_t doubt = states[i] & TOGETHER_UNDETERMINED ? 1 : 0;

        c->last[i] += up;
        c->sure[i] += up & ~doubt;
        c->may[i] += up | doubt;
    }
}

void
together(const uint8_t *const *parts, size_t count, size_t need, size_t dt_count, uint8_t *out)
{
    assert(need >= 1 && count >= need && count <= UINT32_MAX);
    for (size_t from = 0; from < dt_count; from += BLOCK) {
        size_t block = dt_count - from < BLOCK ? dt_count - from : BLOCK;
        struct counts c;

        memset(&c, 0, sizeof c);
        for (size_t i = 0; i < count; i++) {
            count_part(&c, parts[i] + from, block);
        }
        /* Every row of this block is read: 'out' may be one of them. */
        for (size_t i = 0; i < block; i++) {
            bool hangs = c.sure[i] < need && c.may[i] >= need;
            out[from + i] = (uint8_t)((c.last[i] >= need ? TOGETHER_AVAILABLE : 0) |
                                      (hangs ? TOGETHER_UNDETERMINED : 0));
        }
    }
}

void
together_refine(const uint8_t *states, size_t count, uint64_t dt_ns, uint64_t grid_ns, uint8_t *out)
{
    assert(grid_ns >= 1 && dt_ns >= grid_ns && dt_ns % grid_ns == 0);
    size_t each = dt_ns / grid_ns;

    for (size_t i = 0; i < count; i++) {
        memset(out + i * each, states[i], each);
    }
}
