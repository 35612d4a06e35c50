/* test_row.c - delta-t of one session become three rows. */
#include "row.h"

#include <errno.h>

#include "harness.h"

static const struct session_key first_end = {
    .object = "a-b",
    .limit_count = 2,
    .limits = {{LIMIT_DELAY, DIR_RT, {1000}}, {LIMIT_DELAY, DIR_FWD, {500}}},
    .dt = {NS_PER_S}};

static pb_summary
summary_of(uint32_t r, uint32_t f, uint32_t b, uint32_t u, uint32_t k)
{
    pb_summary s;

    plumbline__telemetry__summary__init(&s);
    s.received = r;
    s.lost_fwd = f;
    s.lost_bwd = b;
    s.lost_undirected = u;
    s.unknown = k;
    s.sent = r + f + b + u + k;
    return s;
}

static void
sent_is_received_and_lost_in_every_series(void)
{
    for (int i = 0; i < 2000; i++) {
        pb_summary s = summary_of((uint32_t)random_below(20), (uint32_t)random_below(5),
                                  (uint32_t)random_below(5), (uint32_t)random_below(5),
                                  (uint32_t)random_below(3));
        struct session_key key = first_end;
        struct dt_record out[DIRECTIONS];
        key.observer_end = (uint8_t)random_below(2);
        row_split(&key, &s, out);
        for (int d = 0; d < DIRECTIONS; d++) {
            CU_ASSERT_EQUAL(out[d].sent, out[d].received + out[d].lost);
            CU_ASSERT_EQUAL(out[d].unknown, s.unknown);
        }
        CU_ASSERT_EQUAL(out[DIR_RT].lost, s.lost_fwd + s.lost_bwd + s.lost_undirected);
        CU_ASSERT_EQUAL(out[session_direction(&key, DIR_FWD)].lost, s.lost_fwd + s.lost_undirected);
        CU_ASSERT_EQUAL(out[session_direction(&key, DIR_BWD)].sent,
                        s.sent - s.unknown - s.lost_fwd);
    }
}

static void
the_second_ends_forward_is_the_links_backward(void)
{
    pb_summary s = summary_of(7, 2, 1, 0, 0);
    uint32_t over[2] = {4, 3};
    struct session_key key = first_end;
    struct dt_record out[DIRECTIONS];

    s.n_over = 2;
    s.over = over;
    s.duplicate_fwd = 5;
    key.observer_end = 1;
    row_split(&key, &s, out);
    CU_ASSERT_EQUAL(out[DIR_BWD].lost, 2);
    CU_ASSERT_EQUAL(out[DIR_FWD].lost, 1);
    CU_ASSERT_EQUAL(out[DIR_BWD].duplicate, 5);
    CU_ASSERT_EQUAL(out[DIR_RT].over[0], 4);
    CU_ASSERT_EQUAL(out[DIR_BWD].over[1], 3);
    CU_ASSERT_EQUAL(out[DIR_FWD].over[1], 0);
}

static void
only_what_has_neither_loss_nor_flag_is_clean(void)
{
    pb_summary s = summary_of(10, 0, 0, 0, 0);
    uint32_t *const bad[] = {&s.lost_fwd, &s.lost_bwd, &s.lost_undirected, &s.unknown, &s.flags};

    CU_ASSERT_TRUE(row_summary_is_clean(&s));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        *bad[i] = 1;
        CU_ASSERT_FALSE(row_summary_is_clean(&s));
        *bad[i] = 0;
    }
}

/* A record with everything drawn; its histogram goes to 'bytes'. */
static struct dt_record
random_record(uint8_t bytes[256])
{
    struct dt_record r = {.kind = (enum dt_kind)random_below(4), .clock_error_ns = UINT64_MAX};

    if (r.kind == DT_PLAIN) {
        r.kind = DT_FULL;
    }
    if (r.kind != DT_FULL) {
        return r;
    }
    r.flags = random_chance(200) ? (uint32_t)random_below(128) : 0;
    r.received = random_below(20);
    r.lost = random_below(4);
    r.sent = r.received + r.lost;
    r.lost_undirected = random_below(r.lost + 1);
    r.scheduled = r.sent + random_below(2);
    r.duplicate = random_below(3);
    r.over[1] = random_below(3);
    r.clock_error_ns = random_chance(500) ? UINT64_MAX : random_below(100000);
    if (r.received) {
        struct hist *h = hist_new(HIST_DELAY);
        int64_t min = INT64_MAX, max = INT64_MIN, sum = 0;
        for (uint64_t i = 0; i < r.received; i++) {
            int64_t v = (int64_t)random_below(5000000) - 1000;
            hist_add(h, v, 1);
            min = v < min ? v : min;
            max = v > max ? v : max;
            sum += v;
        }
        r.delay = (struct dt_delay){.count = r.received,
                                    .min_ns = min,
                                    .range_ns = (uint64_t)(max - min),
                                    .sum_ns = (uint64_t)(sum - min * (int64_t)r.received),
                                    .hist = bytes,
                                    .hist_size = hist_encode(h, bytes, 256)};
        hist_free(h);
    }
    return r;
}

static void
records_come_back_as_they_were_stored(void)
{
    static uint8_t bytes[60][256];
    struct row_maker *m = row_maker_new();
    struct dt_record in[60], out[60];

    for (int k = 0; k < 200; k++) {
        struct row a, b;
        for (int i = 0; i < 60; i++) {
            in[i] = i && random_chance(300) ? in[i - 1] : random_record(bytes[i]);
        }
        CU_ASSERT_EQUAL_FATAL(row_make(m, in, 60, 2, false, &a), 0);
        uint8_t *exact = exact_copy(a.dt, a.dt_size);
        size_t size = a.dt_size;
        CU_ASSERT_EQUAL_FATAL(row_decode_dt(exact, size, out, 60), 60);
        CU_ASSERT_EQUAL(row_decode_dt(exact, size, out, 59), -EBADMSG);
        CU_ASSERT_EQUAL_FATAL(row_decode_dt(exact, size, out, 60), 60);
        for (int i = 0; i < 60; i++) {
            CU_ASSERT_EQUAL(in[i].kind, out[i].kind);
            CU_ASSERT_EQUAL(in[i].lost, out[i].lost);
            CU_ASSERT_EQUAL(in[i].clock_error_ns, out[i].clock_error_ns);
        }
        /* A row made of what was stored is the same row. */
        CU_ASSERT_EQUAL_FATAL(row_make(m, out, 60, 2, false, &b), 0);
        CU_ASSERT_EQUAL(b.dt_size, size);
        CU_ASSERT_EQUAL(memcmp(b.dt, exact, size), 0);
        CU_ASSERT_EQUAL(a.sent, b.sent);
        CU_ASSERT_EQUAL(a.delay_sum_ns, b.delay_sum_ns);
        CU_ASSERT_EQUAL(a.quantile_ns[ROW_P99], b.quantile_ns[ROW_P99]);
        CU_ASSERT_EQUAL(a.over[1], b.over[1]);
        free(exact);
    }
    row_maker_free(m);
}

static void
every_truncation_of_the_dt_column_is_refused_or_shorter(void)
{
    static uint8_t bytes[8][256];
    struct row_maker *m = row_maker_new();
    struct dt_record in[8], out[8];
    struct row row;

    for (int i = 0; i < 8; i++) {
        do {
            in[i] = random_record(bytes[i]);
        } while (in[i].kind != DT_FULL);
    }
    CU_ASSERT_EQUAL_FATAL(row_make(m, in, 8, 2, false, &row), 0);
    for (size_t size = 0; size < row.dt_size; size++) {
        uint8_t *exact = exact_copy(row.dt, size);
        CU_ASSERT_TRUE(row_decode_dt(exact, size, out, 8) < 8);
        free(exact);
    }
    row_maker_free(m);
}

static void
a_clean_row_is_short_and_has_one_histogram(void)
{
    uint8_t bytes[256];
    struct row_maker *m = row_maker_new();
    struct dt_record in[60];
    struct row row;

    do {
        in[0] = random_record(bytes);
    } while (in[0].kind != DT_FULL || in[0].received == 0);
    in[0].flags = 0;
    in[0].lost = in[0].lost_undirected = 0;
    in[0].sent = in[0].received;
    for (int i = 1; i < 60; i++) {
        in[i] = in[0];
    }
    CU_ASSERT_EQUAL_FATAL(row_make(m, in, 60, 0, true, &row), 0);
    CU_ASSERT_EQUAL(row.flags, 0);
    CU_ASSERT_EQUAL(row.dt_count, 60);
    CU_ASSERT_EQUAL(row.delay_count, 60 * in[0].received);
    CU_ASSERT_TRUE(row.dt_size <= 5);
    struct hist *h = hist_new(HIST_DELAY);
    CU_ASSERT_EQUAL(hist_merge_encoded(h, row.hist, row.hist_size), HIST_OK);
    CU_ASSERT_EQUAL(hist_count(h), row.delay_count);
    hist_free(h);
    row_maker_free(m);
}

static void
what_is_undetermined_counts_in_nothing_but_unknown_dt(void)
{
    static uint8_t bytes[3][256];
    struct row_maker *m = row_maker_new();
    struct dt_record in[3];
    struct row all, two;

    for (int i = 0; i < 3; i++) {
        do {
            in[i] = random_record(bytes[i]);
        } while (in[i].kind != DT_FULL);
        in[i].flags = 0;
    }
    in[2].flags = DT_UNDETERMINED;
    CU_ASSERT_EQUAL(row_make(m, in, 3, 2, false, &all), 0);
    CU_ASSERT_EQUAL(row_make(m, in, 2, 2, false, &two), 0);
    CU_ASSERT_EQUAL(all.unknown_dt, 1);
    CU_ASSERT_EQUAL(all.dt_count, 2);
    CU_ASSERT_EQUAL(all.sent, two.sent);
    CU_ASSERT_EQUAL(all.lost, two.lost);
    CU_ASSERT_EQUAL(all.delay_sum_ns, two.delay_sum_ns);
    CU_ASSERT_EQUAL(all.quantile_ns[ROW_P50], two.quantile_ns[ROW_P50]);
    CU_ASSERT_TRUE(all.flags & ROW_UNDETERMINED);
    row_maker_free(m);
}

/* --- What earlier releases stored must be read for ever ------------------- */

/* As tests/fixtures/row-dt-1.bin has it. */
static void
fixture_records(struct dt_record out[5])
{
    /* Indices -1, 0 (3 times), 1, 10 of layout 1. */
    static const uint8_t hist[] = {1, 4, 2, 1, 1, 0, 16};

    memset(out, 0, 5 * sizeof out[0]);
    out[0].clock_error_ns = out[1].clock_error_ns = out[2].clock_error_ns = UINT64_MAX;
    out[2].kind = DT_NOT_TOLD;
    out[3] = (struct dt_record){
        .kind = DT_FULL,
        .flags = DT_NEGATIVE | DT_UNDERSENT,
        .sent = 9,
        .received = 6,
        .lost = 3,
        .lost_undirected = 1,
        .unknown = 2,
        .scheduled = 12,
        .send_errors = 1,
        .late = 1,
        .duplicate = 300,
        .reordered = 4,
        .stamped_user = 5,
        .stamped_hardware = 1,
        .clock_error_ns = 1500,
        .delay = {.count = 6,
                  .min_ns = -1,
                  .range_ns = 641,
                  .sum_ns = 710,
                  .hist = hist,
                  .hist_size = sizeof hist},
        .over = {4, 0, 7},
    };
    out[4] = out[3];
    out[4].flags |= DT_UNDETERMINED;
    out[4].clock_error_ns = UINT64_MAX;
}

static size_t
read_fixture(const char *name, uint8_t *bytes, size_t room)
{
    char path[512];
    const char *folder = getenv("srcdir");

    snprintf(path, sizeof path, "%s/tests/fixtures/%s", folder ? folder : ".", name);
    FILE *f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    size_t size = fread(bytes, 1, room, f);
    fclose(f);
    return size;
}

static void
the_stored_dt_column_of_format_1_is_read_field_by_field(void)
{
    uint8_t bytes[1024];
    size_t size = read_fixture("row-dt-1.bin", bytes, sizeof bytes);
    struct dt_record want[5], got[5];

    fixture_records(want);
    CU_ASSERT_EQUAL_FATAL(row_decode_dt(bytes, size, got, 5), 5);
    for (int i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(got[i].delay.hist_size, want[i].delay.hist_size);
        CU_ASSERT_TRUE(want[i].delay.hist_size == 0 ||
                       memcmp(got[i].delay.hist, want[i].delay.hist, want[i].delay.hist_size) == 0);
        got[i].delay.hist = want[i].delay.hist;
        got[i].delay.ifdv = want[i].delay.ifdv;
        CU_ASSERT_EQUAL(got[i].kind, want[i].kind);
        CU_ASSERT_EQUAL(got[i].flags, want[i].flags);
        CU_ASSERT_EQUAL(got[i].sent, want[i].sent);
        CU_ASSERT_EQUAL(got[i].received, want[i].received);
        CU_ASSERT_EQUAL(got[i].lost, want[i].lost);
        CU_ASSERT_EQUAL(got[i].lost_undirected, want[i].lost_undirected);
        CU_ASSERT_EQUAL(got[i].unknown, want[i].unknown);
        CU_ASSERT_EQUAL(got[i].scheduled, want[i].scheduled);
        CU_ASSERT_EQUAL(got[i].send_errors, want[i].send_errors);
        CU_ASSERT_EQUAL(got[i].late, want[i].late);
        CU_ASSERT_EQUAL(got[i].duplicate, want[i].duplicate);
        CU_ASSERT_EQUAL(got[i].reordered, want[i].reordered);
        CU_ASSERT_EQUAL(got[i].stamped_user, want[i].stamped_user);
        CU_ASSERT_EQUAL(got[i].stamped_hardware, want[i].stamped_hardware);
        CU_ASSERT_EQUAL(got[i].clock_error_ns, want[i].clock_error_ns);
        CU_ASSERT_EQUAL(got[i].delay.count, want[i].delay.count);
        CU_ASSERT_EQUAL(got[i].delay.min_ns, want[i].delay.min_ns);
        CU_ASSERT_EQUAL(got[i].delay.range_ns, want[i].delay.range_ns);
        CU_ASSERT_EQUAL(got[i].delay.sum_ns, want[i].delay.sum_ns);
        CU_ASSERT_EQUAL(memcmp(got[i].over, want[i].over, sizeof want[i].over), 0);
    }
}

static void
rows_are_still_stored_as_the_fixture_has_them(void)
{
    uint8_t bytes[1024];
    size_t size = read_fixture("row-dt-1.bin", bytes, sizeof bytes);
    struct row_maker *m = row_maker_new();
    struct dt_record records[5];
    struct row row;

    fixture_records(records);
    CU_ASSERT_EQUAL_FATAL(row_make(m, records, 5, 3, false, &row), 0);
    CU_ASSERT_EQUAL_FATAL(row.dt_size, size);
    CU_ASSERT_EQUAL(memcmp(row.dt, bytes, size), 0);
    row_maker_free(m);
}

/* Only when the format's number changes, under a new name. */
static int
write_fixture(const char *path)
{
    struct row_maker *m = row_maker_new();
    struct dt_record records[5];
    struct row row;
    FILE *f = fopen(path, "wb");

    fixture_records(records);
    if (!f || !m || row_make(m, records, 5, 3, false, &row) ||
        fwrite(row.dt, 1, row.dt_size, f) != row.dt_size || fclose(f)) {
        return 2;
    }
    row_maker_free(m);
    return 0;
}

int
main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"sent is received and lost in every series", sent_is_received_and_lost_in_every_series},
        {"the second end's forward is the link's backward",
         the_second_ends_forward_is_the_links_backward},
        {"only what has neither loss nor flag is clean",
         only_what_has_neither_loss_nor_flag_is_clean},
        {"records come back as they were stored", records_come_back_as_they_were_stored},
        {"every truncation of the dt column is refused or shorter",
         every_truncation_of_the_dt_column_is_refused_or_shorter},
        {"a clean row is short and has one histogram", a_clean_row_is_short_and_has_one_histogram},
        {"what is undetermined counts in nothing but unknown_dt",
         what_is_undetermined_counts_in_nothing_but_unknown_dt},
        {"the stored dt column of format 1 is read field by field",
         the_stored_dt_column_of_format_1_is_read_field_by_field},
        {"rows are still stored as the fixture has them",
         rows_are_still_stored_as_the_fixture_has_them},
        CU_TEST_INFO_NULL};
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        return write_fixture(argv[2]);
    }
    return run_suite("row", tests);
}
