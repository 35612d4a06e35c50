/* test_measured.c - rows of flows and ends become what is judged. */
#include "measured.h"

#include <errno.h>

#include "bytes.h"
#include "measured_world.h"

static struct row_maker *maker;
static struct measured *measured;

/* --- Summing --------------------------------------------------------------- */

#define FLOWS 3

/* Rows of each flow, of the first end and the witness; some are missing. */
struct pair {
    bool has[2];
    struct world_row row[2];
};

static struct pair pairs[FLOWS];

static void
pairs_draw(size_t dt_count)
{
    for (uint16_t f = 0; f < FLOWS; f++) {
        pairs[f].has[0] = !random_chance(150);
        pairs[f].has[1] = random_chance(600);
        for (int w = 0; w < 2; w++) {
            world_random_row(&pairs[f].row[w], maker, f, w == 1, dt_count, random_chance(400));
        }
    }
}

static void
pairs_free(void)
{
    for (int f = 0; f < FLOWS; f++) {
        world_free(&pairs[f].row[0]);
        world_free(&pairs[f].row[1]);
    }
}

/* In any order. */
static void
pairs_measure(size_t dt_count)
{
    size_t order[FLOWS * 2];

    measured_begin(measured, (uint32_t)dt_count);
    for (size_t i = 0; i < FLOWS * 2; i++) {
        size_t j = random_below(i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (size_t i = 0; i < FLOWS * 2; i++) {
        const struct pair *p = &pairs[order[i] / 2];
        struct measured_row row = world_read(&p->row[order[i] % 2]);
        if (p->has[order[i] % 2]) {
            CU_ASSERT_EQUAL_FATAL(measured_add(measured, &row), 0);
        }
    }
    CU_ASSERT_EQUAL_FATAL(measured_end(measured), 0);
}

/* Which end's figures hold, as sql/0007-witness.sql says; NULL: nobody's. */
static const struct world_row *
judged(const struct pair *p, size_t k)
{
    for (int w = 0; w < 2; w++) {
        if (p->has[w] && world_known(&p->row[w].dt[k].record)) {
            return &p->row[w];
        }
    }
    return NULL;
}

static struct measured_dt
expected_dt(size_t k)
{
    struct measured_dt e = {0};
    bool any = false, missing = false, has_rows = false;

    for (int f = 0; f < FLOWS; f++) {
        const struct world_row *w = judged(&pairs[f], k);
        has_rows = pairs[f].has[0] || pairs[f].has[1];
        missing |= has_rows && !w;
        if (w) {
            const struct dt_record *r = &w->dt[k].record;
            any = true;
            e.sent += r->sent;
            e.received += r->received;
            e.lost += r->lost;
            e.lost_undirected += r->lost_undirected;
            e.duplicate += w->clean ? 0 : r->duplicate;
            e.reordered += w->clean ? 0 : r->reordered;
            e.late += r->late;
            if (r->received && r->clock_error_ns > e.clock_error_ns) {
                e.clock_error_ns = r->clock_error_ns;
            }
            e.flags |= w->witness ? MEASURED_WITNESS : 0;
            e.flags |= r->flags & DT_NEGATIVE ? MEASURED_NEGATIVE : 0;
            e.flags |= r->flags & (DT_UNDERSENT | DT_CLOCK_STEP | DT_OVERRUN | DT_FAR_EPOCH |
                                   DT_BELOW_FLOOR)
                           ? MEASURED_SUSPECT
                           : 0;
        }
    }
    e.flags |= any && missing ? MEASURED_NOT_WHOLE : 0;
    e.flags |= e.sent == 0 ? MEASURED_UNDETERMINED : 0;
    return e;
}

static void
flows_are_summed_and_the_witness_stands_in_where_the_first_end_did_not_measure(void)
{
    for (int i = 0; i < 200; i++) {
        size_t dt_count = 1 + random_below(WORLD_DTS);
        struct measured_dt sum = {0};
        bool clean = true;
        pairs_draw(dt_count);
        pairs_measure(dt_count);
        CU_ASSERT_EQUAL(measured_count(measured), dt_count);
        for (size_t k = 0; k < dt_count; k++) {
            struct measured_dt e = expected_dt(k);
            const struct measured_dt *d = &measured_dts(measured)[k];
            CU_ASSERT_EQUAL(d->flags, e.flags);
            CU_ASSERT_EQUAL(d->sent, e.sent);
            CU_ASSERT_EQUAL(d->received, e.received);
            CU_ASSERT_EQUAL(d->lost, e.lost);
            CU_ASSERT_EQUAL(d->lost_undirected, e.lost_undirected);
            CU_ASSERT_EQUAL(d->duplicate, e.duplicate);
            CU_ASSERT_EQUAL(d->reordered, e.reordered);
            CU_ASSERT_EQUAL(d->late, e.late);
            CU_ASSERT_EQUAL(d->clock_error_ns, e.clock_error_ns);
            sum.sent += e.sent;
            sum.lost += e.lost;
            sum.duplicate += e.duplicate;
            clean = clean && e.flags == 0 && e.lost == 0;
        }
        CU_ASSERT_EQUAL(measured_total(measured)->sent, sum.sent);
        CU_ASSERT_EQUAL(measured_total(measured)->lost, sum.lost);
        CU_ASSERT_EQUAL(measured_total(measured)->duplicate, sum.duplicate);
        CU_ASSERT_EQUAL(measured_is_clean(measured), clean);
        pairs_free();
    }
}

static void
each_sample_of_what_is_judged_is_told_once(void)
{
    for (int i = 0; i < 200; i++) {
        size_t dt_count = 1 + random_below(WORLD_DTS), n;
        uint64_t want = 0, over = 0, got = 0, got_over = 0;
        pairs_draw(dt_count);
        pairs_measure(dt_count);
        for (size_t k = 0; k < dt_count; k++) {
            for (int f = 0; f < FLOWS; f++) {
                const struct world_row *w = judged(&pairs[f], k);
                want += w ? w->dt[k].delay_count : 0;
                over += w && !w->witness && !w->before ? w->dt[k].record.over[WORLD_DELAY] : 0;
            }
        }
        const struct measured_delay *d = measured_delays(measured, &n);
        for (size_t j = 0; j < n; j++) {
            got += d[j].count;
            got_over += d[j].flags & MEASURED_WITNESS ? 0 : d[j].over[world_map[WORLD_DELAY]];
            CU_ASSERT_EQUAL(d[j].over[WORLD_NARROW], 0);
            CU_ASSERT_TRUE(d[j].number == MEASURED_PART || (d[j].limits & ~8u) == 2);
        }
        CU_ASSERT_EQUAL(got, want);
        CU_ASSERT_EQUAL(got_over, over);
        pairs_free();
    }
}

static void
two_rows_of_one_flow_and_end_are_one_sender(void)
{
    static struct world_row rows[2];

    for (int i = 0; i < 2; i++) {
        rows[i] = (struct world_row){.dt_count = 4};
        for (size_t k = 0; k < 4; k++) {
            rows[i].dt[k] = (struct world_dt){.record.clock_error_ns = UINT64_MAX};
        }
    }
    world_set(&rows[0].dt[0], 10, 0);
    world_set(&rows[0].dt[1], 4, 1);
    world_set(&rows[1].dt[1], 3, 2);
    world_set(&rows[1].dt[2], 9, 1);
    world_make(&rows[0], maker);
    world_make(&rows[1], maker);
    world_measure(measured, rows, 2, 4);
    const struct measured_dt *d = measured_dts(measured);
    CU_ASSERT_EQUAL(d[0].sent, 10);
    CU_ASSERT_EQUAL(d[1].sent, 10);
    CU_ASSERT_EQUAL(d[1].lost, 3);
    CU_ASSERT_EQUAL(d[2].lost, 1);
    CU_ASSERT_EQUAL(d[0].flags | d[1].flags | d[2].flags, 0);
    CU_ASSERT_EQUAL(d[3].flags, MEASURED_UNDETERMINED);
    world_free(&rows[0]);
    world_free(&rows[1]);
}

/* --- Clean rows ------------------------------------------------------------ */

static void
a_clean_row_tells_its_delays_as_a_whole(void)
{
    static struct world_row row;
    size_t n;

    world_random_row(&row, maker, 0, false, WORLD_DTS, true);
    world_measure(measured, &row, 1, WORLD_DTS);
    CU_ASSERT_TRUE(measured_is_clean(measured));
    const struct measured_delay *d = measured_delays(measured, &n);
    CU_ASSERT_EQUAL_FATAL(n, 1);
    CU_ASSERT_EQUAL(d->number, MEASURED_WHOLE);
    CU_ASSERT_EQUAL(d->flags, 0);
    CU_ASSERT_EQUAL(d->count, WORLD_DTS * WORLD_PACKETS);
    CU_ASSERT_EQUAL(d->sum_ns, row.row.delay_sum_ns);
    CU_ASSERT_EQUAL(d->min_ns, row.row.delay_min_ns);
    CU_ASSERT_EQUAL(d->max_ns, row.row.delay_max_ns);
    CU_ASSERT_EQUAL(d->duplicate, row.row.duplicate);
    CU_ASSERT_EQUAL(d->reordered, row.row.reordered);
    CU_ASSERT_EQUAL(d->over[1], row.row.over[WORLD_IFDV]);
    CU_ASSERT_EQUAL(d->clock_error_ns, 1000);
    CU_ASSERT_EQUAL(measured_total(measured)->clock_error_ns, 1000);
    CU_ASSERT_EQUAL(measured_total(measured)->received, WORLD_DTS * WORLD_PACKETS);
    CU_ASSERT_EQUAL(measured_total(measured)->duplicate, 0);
    world_free(&row);
}

static void
the_witness_with_a_clean_row_stands_in_whole_or_without_its_delays(void)
{
    static struct world_row rows[2];
    size_t n;

    world_random_row(&rows[1], maker, 0, true, WORLD_DTS, true);
    world_measure(measured, &rows[1], 1, WORLD_DTS);
    const struct measured_delay *d = measured_delays(measured, &n);
    CU_ASSERT_EQUAL_FATAL(n, 1);
    CU_ASSERT_EQUAL(d->number, MEASURED_WHOLE);
    CU_ASSERT_EQUAL(d->flags, MEASURED_WITNESS);
    CU_ASSERT_FALSE(measured_is_clean(measured));

    /* Of all delta-t but one, and of one. */
    for (size_t known = 1; known < WORLD_DTS; known += WORLD_DTS - 2) {
        rows[0] = (struct world_row){.dt_count = WORLD_DTS};
        for (size_t k = 0; k < WORLD_DTS; k++) {
            world_set(&rows[0].dt[k], 10, 0);
            rows[0].dt[k].record.flags = k < known ? 0 : DT_UNDETERMINED;
        }
        world_make(&rows[0], maker);
        world_measure(measured, rows, 2, WORLD_DTS);
        d = measured_delays(measured, &n);
        CU_ASSERT_EQUAL_FATAL(n, known + 1);
        CU_ASSERT_EQUAL(d[n - 1].number, MEASURED_PART);
        CU_ASSERT_EQUAL(d[n - 1].count, (WORLD_DTS - known) * WORLD_PACKETS);
        CU_ASSERT_EQUAL(d[n - 1].hist_size, 0);
        CU_ASSERT_EQUAL(measured_dts(measured)[known - 1].flags, 0);
        CU_ASSERT_EQUAL(measured_dts(measured)[known].flags, MEASURED_WITNESS);
        world_free(&rows[0]);
    }
    /* Where the first end measured all, the witness has no say. */
    world_random_row(&rows[0], maker, 0, false, WORLD_DTS, true);
    world_measure(measured, rows, 2, WORLD_DTS);
    CU_ASSERT_TRUE(measured_is_clean(measured));
    measured_delays(measured, &n);
    CU_ASSERT_EQUAL(n, 1);
    world_free(&rows[0]);
    world_free(&rows[1]);
}

/* --- Doubt ----------------------------------------------------------------- */

static void
each_flag_of_a_delta_t_means_what_the_header_says(void)
{
    static const struct {
        uint32_t flag, want;
    } cases[] = {{0, 0},
                 {DT_UNKNOWN, MEASURED_UNDETERMINED},
                 {DT_UNDERSENT, MEASURED_SUSPECT},
                 {DT_CLOCK_STEP, MEASURED_SUSPECT},
                 {DT_OVERRUN, MEASURED_SUSPECT},
                 {DT_FAR_EPOCH, MEASURED_SUSPECT},
                 {DT_NEGATIVE, MEASURED_NEGATIVE},
                 {DT_UNDETERMINED, MEASURED_UNDETERMINED},
                 {DT_BELOW_FLOOR, MEASURED_SUSPECT},
                 {DT_NEGATIVE | DT_OVERRUN, MEASURED_NEGATIVE | MEASURED_SUSPECT},
                 {DT_UNDETERMINED | DT_OVERRUN, MEASURED_UNDETERMINED}};
    static struct world_row row;
    size_t n;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        row = (struct world_row){.dt_count = 1};
        world_set(&row.dt[0], 6, 4);
        row.dt[0].record.flags = cases[i].flag;
        world_make(&row, maker);
        world_measure(measured, &row, 1, 1);
        const struct measured_dt *d = measured_dts(measured);
        const struct measured_delay *delays = measured_delays(measured, &n);
        bool known = cases[i].want != MEASURED_UNDETERMINED;
        CU_ASSERT_EQUAL(d->flags, cases[i].want);
        CU_ASSERT_EQUAL(d->sent, known ? 10 : 0);
        CU_ASSERT_EQUAL(d->lost, known ? 4 : 0);
        CU_ASSERT_EQUAL_FATAL(n, known);
        CU_ASSERT_TRUE(!known || delays->flags == cases[i].want);
        world_free(&row);
    }
}

static void
what_nobody_sent_is_undetermined(void)
{
    static struct world_row row;

    row = (struct world_row){.dt_count = 2};
    world_set(&row.dt[0], 0, 0);
    world_set(&row.dt[1], 0, 1);
    world_make(&row, maker);
    world_measure(measured, &row, 1, 2);
    CU_ASSERT_EQUAL(measured_dts(measured)[0].flags, MEASURED_UNDETERMINED);
    CU_ASSERT_EQUAL(measured_dts(measured)[1].flags, 0);
    CU_ASSERT_FALSE(measured_is_clean(measured));
    world_free(&row);

    world_measure(measured, NULL, 0, 3);
    for (int k = 0; k < 3; k++) {
        CU_ASSERT_EQUAL(measured_dts(measured)[k].flags, MEASURED_UNDETERMINED);
        CU_ASSERT_EQUAL(measured_dts(measured)[k].sent, 0);
    }
}

static void
the_clock_error_is_the_greatest_of_those_with_delays(void)
{
    static struct world_row rows[2];

    for (uint16_t f = 0; f < 2; f++) {
        rows[f] = (struct world_row){.flow = f, .dt_count = 3};
        for (size_t k = 0; k < 3; k++) {
            world_set(&rows[f].dt[k], 10, 0);
        }
    }
    rows[1].dt[0].record.clock_error_ns = 1001;
    rows[1].dt[1].record.clock_error_ns = UINT64_MAX;
    world_set(&rows[1].dt[2], 0, 10); /* No sample: no error to speak of. */
    world_make(&rows[0], maker);
    world_make(&rows[1], maker);
    world_measure(measured, rows, 2, 3);
    CU_ASSERT_EQUAL(measured_dts(measured)[0].clock_error_ns, 1001);
    CU_ASSERT_EQUAL(measured_dts(measured)[1].clock_error_ns, UINT64_MAX);
    CU_ASSERT_EQUAL(measured_dts(measured)[2].clock_error_ns, 1000);
    CU_ASSERT_EQUAL(measured_total(measured)->clock_error_ns, UINT64_MAX);
    world_free(&rows[0]);
    world_free(&rows[1]);
}

/* --- What is refused ------------------------------------------------------- */

static int
add_alone(const struct world_row *w, uint32_t dt_count)
{
    struct measured_row row = world_read(w);

    measured_begin(measured, dt_count);
    return measured_add(measured, &row);
}

static void
another_number_of_delta_t_is_refused(void)
{
    static struct world_row row;

    for (int clean = 0; clean < 2; clean++) {
        world_random_row(&row, maker, 0, false, 30, clean);
        CU_ASSERT_EQUAL(add_alone(&row, 29), -EBADMSG);
        CU_ASSERT_EQUAL(add_alone(&row, 30), 0);
        CU_ASSERT_EQUAL(add_alone(&row, 31), -EBADMSG);
        row.row.dt_size--;
        CU_ASSERT_EQUAL(add_alone(&row, 30), -EBADMSG);
        world_free(&row);
    }
}

static void
counters_that_contradict_each_other_are_refused(void)
{
    static const int steps[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    static struct world_row row;

    for (int i = 0; i < 3; i++) {
        for (int by = -1; by <= 1; by++) {
            row = (struct world_row){.dt_count = 1};
            world_set(&row.dt[0], 5, 4);
            row.dt[0].record.sent += (uint64_t)(steps[i][0] * by);
            row.dt[0].record.received += (uint64_t)(steps[i][1] * by);
            row.dt[0].record.lost += (uint64_t)(steps[i][2] * by);
            world_make(&row, maker);
            CU_ASSERT_EQUAL(add_alone(&row, 1), by ? -EBADMSG : 0);
            world_free(&row);
        }
    }
    /* Where the difference would go round. */
    row = (struct world_row){.dt_count = 1};
    world_set(&row.dt[0], 0, 1);
    row.dt[0].record.sent = 0;
    row.dt[0].record.received = UINT64_MAX;
    world_make(&row, maker);
    CU_ASSERT_EQUAL(add_alone(&row, 1), -EBADMSG);
    world_free(&row);
    /* A clean row whose records are not a clean row's. */
    row = (struct world_row){.dt_count = 1};
    world_set(&row.dt[0], 10, 0);
    world_make(&row, maker);
    CU_ASSERT_EQUAL(add_alone(&row, 1), 0);
    row.clean = true;
    CU_ASSERT_EQUAL(add_alone(&row, 1), -EBADMSG);
    world_free(&row);
}

static void
delays_that_pass_what_a_number_holds_are_refused(void)
{
    static struct world_row row;
    static const uint8_t before[] = {10, 2 * 5, 0xfa, 0xff}; /* Count, min, range. */

    row = (struct world_row){.dt_count = 1};
    world_set(&row.dt[0], 10, 0);
    row.dt[0].record.delay.min_ns = 5;
    row.dt[0].record.delay.range_ns = (uint64_t)INT64_MAX - 5;
    row.dt[0].record.delay.sum_ns = 0;
    world_make(&row, maker);
    uint8_t *at = memmem(row.bytes[2], row.row.dt_size, before, sizeof before);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    for (uint8_t by = 0; by < 2; by++) {
        at[1] = (uint8_t)(2 * (5 + by));
        CU_ASSERT_EQUAL(add_alone(&row, 1), 0);
        CU_ASSERT_EQUAL(measured_end(measured), by ? -EBADMSG : 0);
    }
    world_free(&row);
}

static void
sums_that_pass_what_a_number_holds_are_refused(void)
{
    static struct world_row rows[2];

    for (unsigned by = 0; by < 2; by++) {
        for (uint16_t f = 0; f < 2; f++) {
            rows[f] = (struct world_row){.flow = f, .dt_count = 1};
            world_set(&rows[f].dt[0], 0, 10);
        }
        rows[1].dt[0].record.lost = rows[1].dt[0].record.sent = UINT64_MAX - 10 + by;
        world_make(&rows[0], maker);
        world_make(&rows[1], maker);
        measured_begin(measured, 1);
        for (int i = 0; i < 2; i++) {
            struct measured_row row = world_read(&rows[i]);
            CU_ASSERT_EQUAL(measured_add(measured, &row), 0);
        }
        CU_ASSERT_EQUAL(measured_end(measured), by ? -EOVERFLOW : 0);
        world_free(&rows[0]);
        world_free(&rows[1]);
    }
}

static void
memory_stays_where_it_is_once_warm(void)
{
    const struct measured_dt *dts = NULL;
    const struct measured_delay *delays = NULL;

    for (int i = 0; i < 20; i++) {
        size_t n;
        pairs_draw(WORLD_DTS);
        for (int f = 0; i == 0 && f < FLOWS; f++) {
            pairs[f].has[0] = pairs[f].has[1] = true; /* The most first. */
            for (int w = 0; w < 2; w++) {
                world_free(&pairs[f].row[w]);
                world_random_row(&pairs[f].row[w], maker, (uint16_t)f, w == 1, WORLD_DTS, false);
            }
        }
        pairs_measure(WORLD_DTS);
        dts = dts ? dts : measured_dts(measured);
        delays = delays ? delays : measured_delays(measured, &n);
        CU_ASSERT_PTR_EQUAL(dts, measured_dts(measured));
        CU_ASSERT_PTR_EQUAL(delays, measured_delays(measured, &n));
        pairs_free();
    }
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"flows are summed, and the witness stands in where the first end did not measure",
         flows_are_summed_and_the_witness_stands_in_where_the_first_end_did_not_measure},
        {"each sample of what is judged is told once", each_sample_of_what_is_judged_is_told_once},
        {"two rows of one flow and end are one sender",
         two_rows_of_one_flow_and_end_are_one_sender},
        {"a clean row tells its delays as a whole", a_clean_row_tells_its_delays_as_a_whole},
        {"the witness with a clean row stands in whole or without its delays",
         the_witness_with_a_clean_row_stands_in_whole_or_without_its_delays},
        {"each flag of a delta-t means what the header says",
         each_flag_of_a_delta_t_means_what_the_header_says},
        {"what nobody sent is undetermined", what_nobody_sent_is_undetermined},
        {"the clock error is the greatest of those with delays",
         the_clock_error_is_the_greatest_of_those_with_delays},
        {"another number of delta-t is refused", another_number_of_delta_t_is_refused},
        {"counters that contradict each other are refused",
         counters_that_contradict_each_other_are_refused},
        {"delays that pass what a number holds are refused",
         delays_that_pass_what_a_number_holds_are_refused},
        {"sums that pass what a number holds are refused",
         sums_that_pass_what_a_number_holds_are_refused},
        {"memory stays where it is once warm", memory_stays_where_it_is_once_warm},
        CU_TEST_INFO_NULL};
    int status;

    maker = row_maker_new();
    measured = measured_new();
    if (!maker || !measured) {
        return 2;
    }
    status = run_suite("measured", tests);
    measured_free(measured);
    row_maker_free(maker);
    return status;
}
