/* bench_hist.c - what adding up histograms costs: delta-t of ten samples into a
 * minute, and minute rows of a month into one.
 *
 * Prints a tab-separated line a figure: name, value, unit. */
#include "hist.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DT_COUNT 6000u
#define ROW_COUNT 43200u
#define ROW_SAMPLES 600u

struct encoded {
    uint8_t *bytes;
    size_t size;
};

static uint64_t state = 88172645463325252u;

static uint64_t
random_u64(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t
now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* 'samples' delays around 10 ms with a tail, as a busy link has them. */
static void
make(struct hist *scratch, struct encoded *e, unsigned samples)
{
    hist_clear(scratch);
    for (unsigned i = 0; i < samples; i++) {
        uint64_t spread = random_u64() % 400000;
        uint64_t tail = random_u64() % 50 == 0 ? random_u64() % 5000000 : 0;
        if (hist_add(scratch, (int64_t)(10000000 + spread + tail), 1)) {
            exit(1);
        }
    }
    e->size = hist_encoded_size(scratch);
    e->bytes = malloc(e->size);
    if (!e->bytes || hist_encode(scratch, e->bytes, e->size) != e->size) {
        exit(1);
    }
}

static void
measure(const char *name, unsigned count, unsigned samples, unsigned per_merge, unsigned rounds)
{
    struct hist *h = hist_new(HIST_DELAY);
    struct encoded *all = calloc(count, sizeof *all);
    uint64_t bytes = 0, check = 0, best = UINT64_MAX;

    if (!h || !all) {
        exit(1);
    }
    for (unsigned i = 0; i < count; i++) {
        make(h, &all[i], samples);
        bytes += all[i].size;
    }
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t begin = now_ns();
        for (unsigned i = 0; i < count; i++) {
            if (i % per_merge == 0) {
                hist_clear(h);
            }
            if (hist_merge_encoded(h, all[i].bytes, all[i].size) != HIST_OK) {
                exit(1);
            }
        }
        check += (uint64_t)hist_quantile(h, 999000, INT64_MIN, INT64_MAX);
        uint64_t took = now_ns() - begin;
        best = took < best ? took : best;
    }
    printf("%s\t%.1f\tns\t%" PRIu64 " bytes each\t%" PRIu64 "\n", name, (double)best / count,
           bytes / count, check & 1);
    for (unsigned i = 0; i < count; i++) {
        free(all[i].bytes);
    }
    free(all);
    hist_free(h);
}

int
main(void)
{
    measure("histogram.merge_dt_ns", DT_COUNT, 10, 60, 20);
    measure("histogram.merge_row_ns", ROW_COUNT, ROW_SAMPLES, ROW_COUNT, 3);
    return 0;
}
