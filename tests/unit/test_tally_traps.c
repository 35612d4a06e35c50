/* test_tally_traps.c - what is suspect, what is an outage, and the traps that figures of an SLA
 * fall into: each has a test that bears its name. */
#include "tally_world.h"

/* 'count' delta-t, all alike. */
static void
row_of(struct world_row *row, size_t count, unsigned received, unsigned lost)
{
    *row = (struct world_row){.dt_count = count};
    for (size_t k = 0; k < count; k++) {
        world_set(&row->dt[k], received, lost);
    }
}

/* --- Clocks and doubt ------------------------------------------------------ */

static void
a_clock_error_over_the_bound_makes_one_way_delay_suspect(void)
{
    static struct world_row row;

    for (uint64_t by = 0; by < 3; by++) {
        for (int rt = 0; rt < 2; rt++) {
            struct tally_config c = config;
            struct tally t;
            bool out = by > 0 && !rt;
            c.direction = rt ? DIR_RT : DIR_BWD;
            row_of(&row, 2, 10, 0);
            row.dt[1].record.clock_error_ns =
                by == 2 ? UINT64_MAX : c.suspect_clock_error_ns + by; /* 2: not known. */
            tally_of(&t, &c, &row);
            CU_ASSERT_EQUAL(t.suspect, out);
            CU_ASSERT_EQUAL(t.delay_count, out ? 10 : 20);
            CU_ASSERT_EQUAL(hist_count(t.ifdv), 18); /* A wrong clock cancels. */
            CU_ASSERT_EQUAL(t.clock_error_ns, out ? 1000 : row.dt[1].record.clock_error_ns);
            tally_fini(&t);
            /* Included by contract. */
            c.suspect_excluded = false;
            tally_of(&t, &c, &row);
            CU_ASSERT_EQUAL(t.suspect, out);
            CU_ASSERT_EQUAL(t.delay_count, 20);
            tally_fini(&t);
        }
    }
}

/* The same of a clean row, where all is one. */
static void
a_clean_row_with_a_bad_clock_gives_no_one_way_delay(void)
{
    static struct world_row row;

    for (uint64_t by = 0; by < 2; by++) {
        struct tally_config c = config;
        struct tally t;
        c.suspect_clock_error_ns = 1000 - by;
        row_of(&row, 3, 10, 0);
        row.clean = true;
        tally_of(&t, &c, &row);
        CU_ASSERT_EQUAL(t.suspect, by ? 3 : 0);
        CU_ASSERT_EQUAL(t.delay_count, by ? 0 : 30);
        CU_ASSERT_EQUAL(t.delay_left_out, 0);
        CU_ASSERT_EQUAL(hist_count(t.ifdv), 27);
        CU_ASSERT_EQUAL(t.sent, 30);
        tally_fini(&t);
    }
}

static void
suspect_delta_t_still_count_for_loss_and_availability(void)
{
    static struct world_row row;
    struct tally t;

    row_of(&row, 2, 10, 0);
    world_set(&row.dt[0], 7, 3);
    row.dt[0].record.flags = DT_OVERRUN;
    tally_of(&t, &config, &row);
    CU_ASSERT_EQUAL(t.suspect, 1);
    CU_ASSERT_EQUAL(t.available, 2);
    CU_ASSERT_EQUAL(t.sent, 20);
    CU_ASSERT_EQUAL(t.lost, 3);
    CU_ASSERT_EQUAL(t.delay_count, 10);
    CU_ASSERT_EQUAL(hist_count(t.ifdv), 9);
    tally_fini(&t);
}

/* --- Outages --------------------------------------------------------------- */

static uint64_t
outages_of(const char *available, const char *excluded)
{
    static struct world_row row;
    struct tally t;
    uint8_t a[WORLD_DTS], x[WORLD_DTS];

    row_of(&row, strlen(available), 10, 0);
    for (size_t k = 0; k < row.dt_count; k++) {
        a[k] = available[k] == '1';
        x[k] = excluded[k] == 'm' ? EXCLUSION_MAINTENANCE : EXCLUSION_NONE;
    }
    tally_as(&t, &config, &row, 1, a, x);
    uint64_t outages = t.outages;
    tally_fini(&t);
    return outages;
}

static void
an_outage_is_a_change_to_unavailable_in_w(void)
{
    CU_ASSERT_EQUAL(outages_of("111111", "......"), 0);
    CU_ASSERT_EQUAL(outages_of("110011", "......"), 1);
    CU_ASSERT_EQUAL(outages_of("010101", "......"), 3);
    CU_ASSERT_EQUAL(outages_of("110011", "..mm.."), 0);
    CU_ASSERT_EQUAL(outages_of("100011", ".mm..."), 1); /* It goes on after the window. */
    CU_ASSERT_EQUAL(outages_of("100001", "..mm.."), 1); /* One, with a window in it. */
    CU_ASSERT_EQUAL(outages_of("101101", "..mm.."), 1); /* What lies out of W is not seen. */
}

/* --- Traps (facts of SLA figures, section 14) ------------------------------ */

static void
trap_03_late_packet_counted_twice(void)
{
    static struct world_row row;
    struct tally t;

    row_of(&row, 1, 9, 1);
    row.dt[0].record.late = 1; /* The lost one came after Tmax. */
    tally_of(&t, &config, &row);
    CU_ASSERT_EQUAL(t.sent, 10);
    CU_ASSERT_EQUAL(t.lost, 1);
    CU_ASSERT_EQUAL(t.received, 9);
    CU_ASSERT_EQUAL(t.late, 1);
    CU_ASSERT_EQUAL(t.delay_count, 9);
    tally_fini(&t);
}

/* 10 good, 10 lost, 10 good: the middle is an outage. */
static void
outage_row(struct world_row *row)
{
    row_of(row, 30, 10, 0);
    for (size_t k = 10; k < 20; k++) {
        world_set(&row->dt[k], 0, 10);
    }
    row->dt[25].record.lost = 1; /* And one packet elsewhere. */
    row->dt[25].record.received = 9;
}

static void
outage_tally(struct tally *t)
{
    static struct world_row row;
    uint8_t available[30];

    outage_row(&row);
    for (size_t k = 0; k < 30; k++) {
        available[k] = k < 10 || k >= 20;
    }
    tally_as(t, &config, &row, 1, available, none_excluded);
}

static void
trap_07_flr_including_unavailable_time(void)
{
    struct tally t;

    outage_tally(&t);
    CU_ASSERT_EQUAL(t.sent, 200);
    CU_ASSERT_EQUAL(t.lost, 1);
    CU_ASSERT_EQUAL(t.sent_raw, 300);
    CU_ASSERT_EQUAL(t.lost_raw, 101);
    CU_ASSERT_EQUAL(t.available, 20);
    CU_ASSERT_EQUAL(t.excluded[EXCLUSION_NONE], 30);
    tally_fini(&t);
}

static void
trap_08_hli_counted_inside_unavailable_time(void)
{
    static struct world_row row;
    struct tally t;

    outage_tally(&t);
    CU_ASSERT_EQUAL(t.outages, 1);
    CU_ASSERT_EQUAL(t.high_loss.intervals, 0);
    CU_ASSERT_EQUAL(t.high_loss.runs, 0);
    tally_fini(&t);
    outage_row(&row); /* The same packets where it is available are ten. */
    tally_of(&t, &config, &row);
    CU_ASSERT_EQUAL(t.high_loss.intervals, 10);
    CU_ASSERT_EQUAL(t.high_loss.runs, 1);
    CU_ASSERT_EQUAL(t.high_loss.run_intervals, 10);
    tally_fini(&t);
}

static void
trap_09_dead_probe_is_not_an_outage(void)
{
    static struct world_row row;
    struct tally t;

    row_of(&row, 40, 10, 0);
    for (size_t k = 10; k < 30; k++) {
        if (k < 20) { /* The far end was found not to serve. */
            world_set(&row.dt[k], 0, 10);
            row.dt[k].record.flags = DT_UNDETERMINED;
        } else { /* The probe itself told nothing. */
            row.dt[k] =
                (struct world_dt){.record = {.kind = DT_NOT_TOLD, .clock_error_ns = UINT64_MAX}};
        }
    }
    tally_of(&t, &config, &row);
    for (size_t k = 10; k < 30; k++) {
        const struct measured_dt *d = &measured_dts(measured)[k];
        CU_ASSERT_EQUAL(availability_input(params, d->sent, d->lost), AVAILABILITY_NONE);
    }
    CU_ASSERT_EQUAL(t.outages, 0);
    CU_ASSERT_EQUAL(t.available, 40);
    CU_ASSERT_EQUAL(t.undetermined_available, 20);
    CU_ASSERT_EQUAL(t.undetermined_unavailable, 0);
    CU_ASSERT_EQUAL(t.high_loss.intervals, 0);
    CU_ASSERT_EQUAL(t.lost_raw, 0);
    CU_ASSERT_EQUAL(t.sent_raw, 200);
    tally_fini(&t);
}

static void
trap_10_clamped_negative_delays(void)
{
    static struct world_row row;
    struct tally_config c = config;
    struct tally t;

    for (int excluded = 0; excluded < 2; excluded++) {
        row_of(&row, 2, 10, 0);
        row.dt[1].delay[4] = -300;
        world_samples(&row.dt[1]);
        row.dt[1].record.flags = DT_NEGATIVE;
        c.suspect_excluded = excluded;
        tally_of(&t, &c, &row);
        CU_ASSERT_EQUAL(t.suspect, 1);
        CU_ASSERT_EQUAL(t.delay_count, excluded ? 10 : 20);
        CU_ASSERT_TRUE(excluded ? t.delay_min_ns >= 700000 : t.delay_min_ns == -300);
        CU_ASSERT_TRUE(excluded || hist_quantile(t.hist, 1, INT64_MIN, INT64_MAX) < 0);
        CU_ASSERT_EQUAL(t.sent, 20);
        tally_fini(&t);
    }
}

static void
trap_12_duplicates_inflating_received(void)
{
    static struct world_row row;
    struct tally t;

    row_of(&row, 1, 8, 2);
    row.dt[0].record.duplicate = 5;
    tally_of(&t, &config, &row);
    CU_ASSERT_EQUAL(t.sent, 10);
    CU_ASSERT_EQUAL(t.received, 8);
    CU_ASSERT_EQUAL(t.lost, 2);
    CU_ASSERT_EQUAL(t.duplicate, 5);
    CU_ASSERT_EQUAL(t.delay_count, 8);
    tally_fini(&t);
}

/* A far end that tells no direction: rows of the round trip alone.  What the other two ways have is
 * not known, whatever the round trip lost. */
/* A probe that begins anew: what it had out is unknown, what it did not measure is not told, the
 * reflector's new start is marked.  None of it is loss, nor bad. */
static void
trap_13_a_restart_is_no_loss(void)
{
    static struct world_row row;
    struct tally t;

    row = (struct world_row){.dt_count = 30};
    for (size_t k = 0; k < 30; k++) {
        world_set(&row.dt[k], 10, 0);
        if (k >= 10 && k < 22) {
            row.dt[k] =
                (struct world_dt){.record = {.kind = DT_NOT_TOLD, .clock_error_ns = UINT64_MAX}};
        }
    }
    world_set(&row.dt[9], 3, 0);
    row.dt[9].record.unknown = 7;
    row.dt[25].record.flags = DT_FAR_EPOCH;
    tally_of(&t, &config, &row);
    CU_ASSERT_EQUAL(t.sent_raw, 17 * 10 + 3);
    CU_ASSERT_EQUAL(t.lost_raw, 0);
    CU_ASSERT_EQUAL(t.undetermined_available, 12);
    CU_ASSERT_EQUAL(t.outages, 0);
    CU_ASSERT_EQUAL(t.high_loss.intervals, 0);
    for (size_t k = 0; k < 30; k++) {
        const struct measured_dt *d = &measured_dts(measured)[k];
        CU_ASSERT_NOT_EQUAL(availability_input(params, d->sent, d->lost), AVAILABILITY_BAD);
    }
    tally_fini(&t);
}

static void
trap_18_direction_guessed_from_round_trip(void)
{
    static struct world_row row;
    uint8_t available[10];
    struct tally_config c = config;
    struct tally t;

    memset(available, 1, sizeof available);
    for (int d = 0; d < DIRECTIONS; d++) {
        row_of(&row, 10, 6, 4);
        c.direction = (enum direction)d;
        tally_as(&t, &c, &row, d == DIR_RT, available, none_excluded);
        CU_ASSERT_EQUAL(t.sent, d == DIR_RT ? 100 : 0);
        CU_ASSERT_EQUAL(t.sent_raw, d == DIR_RT ? 100 : 0);
        CU_ASSERT_EQUAL(t.lost, d == DIR_RT ? 40 : 0);
        CU_ASSERT_EQUAL(t.delay_count, d == DIR_RT ? 60 : 0);
        CU_ASSERT_EQUAL(t.undetermined_available, d == DIR_RT ? 0 : 10);
        CU_ASSERT_TRUE(d == DIR_RT || t.hist == NULL);
        tally_fini(&t);
    }
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"a clock error over the bound makes one-way delay suspect",
         a_clock_error_over_the_bound_makes_one_way_delay_suspect},
        {"a clean row with a bad clock gives no one-way delay",
         a_clean_row_with_a_bad_clock_gives_no_one_way_delay},
        {"suspect delta-t still count for loss and availability",
         suspect_delta_t_still_count_for_loss_and_availability},
        {"an outage is a change to unavailable in W", an_outage_is_a_change_to_unavailable_in_w},
        {"trap 03: late packet counted twice", trap_03_late_packet_counted_twice},
        {"trap 07: FLR including unavailable time", trap_07_flr_including_unavailable_time},
        {"trap 08: HLI counted inside unavailable time",
         trap_08_hli_counted_inside_unavailable_time},
        {"trap 09: dead probe is not an outage", trap_09_dead_probe_is_not_an_outage},
        {"trap 10: clamped negative delays", trap_10_clamped_negative_delays},
        {"trap 12: duplicates inflating received", trap_12_duplicates_inflating_received},
        {"trap 13: a restart is no loss", trap_13_a_restart_is_no_loss},
        {"trap 18: direction guessed from round trip", trap_18_direction_guessed_from_round_trip},
        CU_TEST_INFO_NULL};

    return run_tally_suite("tally_traps", tests);
}
