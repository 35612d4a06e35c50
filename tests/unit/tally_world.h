/* tally_world.h - what the tests of the tally share: a class, a way, and the tally of one row.
 *
 * After measured_world.h. */
#ifndef PLUMBLINE_TEST_TALLY_WORLD_H
#define PLUMBLINE_TEST_TALLY_WORLD_H

#include "tally.h"

#include "measured_world.h"

static const struct availability_params params = {.n = 10, .c_milli = 50000};
static const struct tally_config config = {.direction = DIR_FWD,
                                           .p = 5,
                                           .suspect_clock_error_ns = 100000,
                                           .suspect_excluded = true,
                                           .ifdv = true,
                                           .ifdv_limits = 1u << 1};

static struct row_maker *maker;
static struct measured *measured;

static inline int
run_tally_suite(const char *name, CU_TestInfo *tests)
{
    int status;

    maker = row_maker_new();
    measured = measured_new();
    if (!maker || !measured) {
        return 2;
    }
    status = run_suite(name, tests);
    measured_free(measured);
    row_maker_free(maker);
    return status;
}

/* Whether two hold the same, by their encoding. */
static inline bool
same(const struct tally *a, const struct tally *b)
{
    struct bytes x = {0}, y = {0};

    tally_encode(a, &x);
    tally_encode(b, &y);
    bool equal = x.size == y.size && memcmp(x.at, y.at, x.size) == 0;
    bytes_fini(&x);
    bytes_fini(&y);
    return equal;
}

/* The tally of one row, of which 'rows' (1 or 0) is there of the way. */
static inline void
tally_as(struct tally *t, const struct tally_config *c, struct world_row *row, size_t rows,
         const uint8_t *available, const uint8_t *excluded)
{
    struct tally_state s = tally_state_begin(true);

    tally_init(t);
    world_make(row, maker);
    world_measure(measured, row, rows, row->dt_count);
    CU_ASSERT_EQUAL(tally_add(t, &s, c, params, measured, available, excluded), 0);
    world_free(row);
}

static const uint8_t none_excluded[WORLD_DTS];

/* The same, all available, none excluded. */
static inline void
tally_of(struct tally *t, const struct tally_config *c, struct world_row *row)
{
    uint8_t available[WORLD_DTS];

    memset(available, 1, sizeof available);
    tally_as(t, c, row, 1, available, none_excluded);
}

#endif
