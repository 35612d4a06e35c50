/* test_tally_stored.c - a tally as it is stored. */
#include "tally_world.h"

#include <errno.h>

static void
random_tally(struct tally *t)
{
    static struct world_row row;
    struct tally_state s = tally_state_begin(true);
    uint8_t available[WORLD_DTS], excluded[WORLD_DTS];

    tally_init(t);
    if (random_chance(100)) {
        return;
    }
    for (size_t k = 0; k < WORLD_DTS; k++) {
        available[k] = random_below(10) < 8;
        excluded[k] =
            random_below(10) < 8 ? EXCLUSION_NONE : (uint8_t)random_below(EXCLUSION_KINDS);
    }
    world_random_row(&row, maker, 0, false, WORLD_DTS, false);
    world_measure(measured, &row, 1, WORLD_DTS);
    CU_ASSERT_EQUAL_FATAL(tally_add(t, &s, &config, params, measured, available, excluded), 0);
    world_free(&row);
}

static void
a_tally_comes_back_as_it_was_stored(void)
{
    struct bytes a = {0}, b = {0};
    struct tally back;

    tally_init(&back);
    for (int i = 0; i < 300; i++) {
        struct tally t;
        random_tally(&t);
        bytes_clear(&a);
        bytes_clear(&b);
        tally_encode(&t, &a);
        uint8_t *exact = exact_copy(a.at, a.size);
        CU_ASSERT_EQUAL_FATAL(tally_decode(&back, exact, a.size), 0);
        tally_encode(&back, &b);
        CU_ASSERT_EQUAL_FATAL(b.size, a.size);
        CU_ASSERT_EQUAL(memcmp(a.at, b.at, a.size), 0);
        CU_ASSERT_EQUAL(back.delay_sum_ns, t.delay_sum_ns);
        CU_ASSERT_EQUAL(back.delay_max_ns, t.delay_max_ns);
        CU_ASSERT_EQUAL(back.clock_error_ns, t.clock_error_ns);
        CU_ASSERT_EQUAL(back.over[1], t.over[1]);
        free(exact);
        tally_fini(&t);
    }
    tally_fini(&back);
    bytes_fini(&a);
    bytes_fini(&b);
}

static void
every_truncation_and_every_other_format_is_refused(void)
{
    struct bytes a = {0};
    struct tally t, back;

    do {
        random_tally(&t);
    } while (t.delay_count == 0);
    tally_init(&back);
    tally_encode(&t, &a);
    for (size_t size = 0; size < a.size; size++) {
        uint8_t *exact = exact_copy(a.at, size);
        CU_ASSERT_EQUAL(tally_decode(&back, exact, size), -EBADMSG);
        CU_ASSERT_EQUAL(back.sent | back.delay_count, 0);
        free(exact);
    }
    CU_ASSERT_EQUAL(tally_decode(&back, a.at, a.size), 0);
    bytes_text(&a, "x");
    CU_ASSERT_EQUAL(tally_decode(&back, a.at, a.size), -EBADMSG);
    for (uint8_t format = 0; format < 3; format++) {
        a.at[0] = format;
        CU_ASSERT_EQUAL(tally_decode(&back, a.at, a.size - 1), format == 1 ? 0 : -EBADMSG);
    }
    tally_fini(&t);
    tally_fini(&back);
    bytes_fini(&a);
}

/* As tests/fixtures/tally-1.bin has it: no two figures are the same. */
static void
fixture_tally(struct tally *t)
{
    static const uint8_t hist[] = {1, 4, 2, 1, 1, 0, 16}; /* Indices -1, 0 (3 times), 1, 10. */

    *t = (struct tally){
        .excluded = {900, 1, 22, 3, 4, 5, 6, 7},
        .available = 880,
        .undetermined_available = 31,
        .undetermined_unavailable = 12,
        .suspect = 33,
        .witness = 34,
        .not_whole = 35,
        .high_loss = {.intervals = 36, .runs = 2, .run_intervals = 37},
        .outages = 9,
        .sent = 8800,
        .lost = 300,
        .lost_undirected = 50,
        .received = 8500,
        .duplicate = 13,
        .reordered = 14,
        .late = 15,
        .sent_raw = 9000,
        .lost_raw = 499,
        .delay_count = 6,
        .delay_sum_ns = 704,
        .delay_min_ns = -1,
        .delay_max_ns = 640,
        .over = {16, 0, 17, 0, 0, 0, 0, 18},
        .not_compared = {0, 6, 0, 4, 0, 0, 0, 5},
        .delay_left_out = 600,
        .clock_error_ns = 1500,
        .hist = hist_new(HIST_DELAY),
        .ifdv = hist_new(HIST_IFDV),
    };
    hist_merge_encoded(t->hist, hist, sizeof hist);
    hist_add(t->ifdv, 2500, 5);
}

static void
expect_decode(struct tally *t, int want)
{
    struct bytes a = {0};
    struct tally back;

    tally_init(&back);
    tally_encode(t, &a);
    CU_ASSERT_EQUAL(tally_decode(&back, a.at, a.size), want);
    tally_fini(&back);
    bytes_fini(&a);
}

/* Sets one figure to the last value that is good, then to the next. */
static void
expect_most(struct tally *t, uint64_t *figure, uint64_t most)
{
    uint64_t was = *figure;

    *figure = most;
    expect_decode(t, 0);
    *figure = most + 1;
    expect_decode(t, -EBADMSG);
    *figure = was;
}

static void
figures_that_contradict_each_other_are_refused(void)
{
    struct tally t;

    fixture_tally(&t);
    expect_decode(&t, 0);
    expect_most(&t, &t.available, 888); /* W less the 12 that were unavailable. */
    expect_most(&t, &t.undetermined_available, 880);
    expect_most(&t, &t.undetermined_unavailable, 20);
    expect_most(&t, &t.suspect, 900);
    expect_most(&t, &t.witness, 900);
    expect_most(&t, &t.not_whole, 900);
    expect_most(&t, &t.high_loss.intervals, 880);
    expect_most(&t, &t.outages, 20);
    expect_most(&t, &t.lost_undirected, 300);
    expect_most(&t, &t.received, 8500);
    expect_most(&t, &t.lost_raw, 500); /* The rest of 9000 holds what qualified came back. */
    expect_most(&t, &t.delay_count, 6);
    expect_most(&t, &t.excluded[EXCLUSION_UNDETERMINED], UINT64_MAX - 941);
    t.received--;
    expect_decode(&t, -EBADMSG);
    t.received++;
    t.delay_max_ns = t.delay_min_ns;
    expect_decode(&t, 0);
    t.delay_max_ns--;
    expect_decode(&t, -EBADMSG);
    t.delay_max_ns = 640;
    t.undetermined_unavailable = t.outages = 0;
    expect_most(&t, &t.available, 900);
    t.sent_raw = t.sent;
    t.lost_raw = t.lost;
    expect_decode(&t, 0);
    t.sent_raw--;
    expect_decode(&t, -EBADMSG);
    t.sent_raw++;
    t.lost_raw--;
    expect_decode(&t, -EBADMSG);
    tally_fini(&t);
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
limits_in_another_order_keep_what_is_over_them(void)
{
    /* Where limit 0, 1 ... of today is in the tally: the fourth it does not have, nor the fifth. */
    static const int8_t map[SERIES_LIMITS_MAX] = {2, 0, 1, -1, -1, 7, 6, 5};
    struct tally t, was;

    fixture_tally(&t);
    fixture_tally(&was);
    tally_map_limits(&t, map, 1u << 4);
    for (unsigned i = 0; i < SERIES_LIMITS_MAX; i++) {
        uint64_t all = i == 4 ? (was.ifdv ? hist_count(was.ifdv) : 0) : was.delay_count;
        CU_ASSERT_EQUAL(t.over[i], map[i] < 0 ? 0 : was.over[map[i]]);
        CU_ASSERT_EQUAL(t.not_compared[i], map[i] < 0 ? all : was.not_compared[map[i]]);
    }
    CU_ASSERT(was.delay_count > 0 && hist_count(was.ifdv) > 0);
    tally_fini(&t);
    tally_fini(&was);
}

static void
the_stored_tally_of_format_1_is_read_and_written_as_the_fixture_has_it(void)
{
    uint8_t bytes[1024];
    size_t size = read_fixture("tally-1.bin", bytes, sizeof bytes);
    struct bytes written = {0};
    struct tally want, got;

    fixture_tally(&want);
    tally_init(&got);
    CU_ASSERT_EQUAL_FATAL(tally_decode(&got, bytes, size), 0);
    CU_ASSERT_EQUAL(memcmp(got.excluded, want.excluded, sizeof want.excluded), 0);
    CU_ASSERT_EQUAL(got.available, want.available);
    CU_ASSERT_EQUAL(got.undetermined_available, want.undetermined_available);
    CU_ASSERT_EQUAL(got.undetermined_unavailable, want.undetermined_unavailable);
    CU_ASSERT_EQUAL(got.suspect, want.suspect);
    CU_ASSERT_EQUAL(got.witness, want.witness);
    CU_ASSERT_EQUAL(got.not_whole, want.not_whole);
    CU_ASSERT_EQUAL(got.high_loss.intervals, want.high_loss.intervals);
    CU_ASSERT_EQUAL(got.high_loss.runs, want.high_loss.runs);
    CU_ASSERT_EQUAL(got.high_loss.run_intervals, want.high_loss.run_intervals);
    CU_ASSERT_EQUAL(got.outages, want.outages);
    CU_ASSERT_EQUAL(got.sent, want.sent);
    CU_ASSERT_EQUAL(got.lost, want.lost);
    CU_ASSERT_EQUAL(got.lost_undirected, want.lost_undirected);
    CU_ASSERT_EQUAL(got.received, want.received);
    CU_ASSERT_EQUAL(got.duplicate, want.duplicate);
    CU_ASSERT_EQUAL(got.reordered, want.reordered);
    CU_ASSERT_EQUAL(got.late, want.late);
    CU_ASSERT_EQUAL(got.sent_raw, want.sent_raw);
    CU_ASSERT_EQUAL(got.lost_raw, want.lost_raw);
    CU_ASSERT_EQUAL(got.delay_count, want.delay_count);
    CU_ASSERT_EQUAL(got.delay_sum_ns, want.delay_sum_ns);
    CU_ASSERT_EQUAL(got.delay_min_ns, want.delay_min_ns);
    CU_ASSERT_EQUAL(got.delay_max_ns, want.delay_max_ns);
    CU_ASSERT_EQUAL(memcmp(got.over, want.over, sizeof want.over), 0);
    CU_ASSERT_EQUAL(memcmp(got.not_compared, want.not_compared, sizeof want.not_compared), 0);
    CU_ASSERT_EQUAL(got.delay_left_out, want.delay_left_out);
    CU_ASSERT_EQUAL(got.clock_error_ns, want.clock_error_ns);
    CU_ASSERT_EQUAL(hist_count(got.hist), 6);
    CU_ASSERT_EQUAL(hist_count(got.ifdv), 5);
    tally_encode(&want, &written);
    CU_ASSERT_EQUAL_FATAL(written.size, size);
    CU_ASSERT_EQUAL(memcmp(written.at, bytes, size), 0);
    bytes_fini(&written);
    tally_fini(&want);
    tally_fini(&got);
}

/* Only when the format's number changes, under a new name. */
static int
write_fixture(const char *path)
{
    struct bytes out = {0};
    struct tally t;
    FILE *f = fopen(path, "wb");

    fixture_tally(&t);
    tally_encode(&t, &out);
    if (!f || !bytes_ok(&out) || fwrite(out.at, 1, out.size, f) != out.size || fclose(f)) {
        return 2;
    }
    tally_fini(&t);
    bytes_fini(&out);
    return 0;
}

int
main(int argc, char **argv)
{
    CU_TestInfo tests[] = {
        {"a tally comes back as it was stored", a_tally_comes_back_as_it_was_stored},
        {"every truncation and every other format is refused",
         every_truncation_and_every_other_format_is_refused},
        {"figures that contradict each other are refused",
         figures_that_contradict_each_other_are_refused},
        {"limits in another order keep what is over them",
         limits_in_another_order_keep_what_is_over_them},
        {"the stored tally of format 1 is read and written as the fixture has it",
         the_stored_tally_of_format_1_is_read_and_written_as_the_fixture_has_it},
        CU_TEST_INFO_NULL};

    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        return write_fixture(argv[2]);
    }
    return run_tally_suite("tally_stored", tests);
}
