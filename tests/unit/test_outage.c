/* test_outage.c - outages from the states of quarter hours: windows, undetermined time, borders,
 * and that they add up to what an availability lacks. */
#include "outage.h"

#include <errno.h>

#include "bytes.h"
#include "harness.h"
#include "line.h"
#include "tally.h"

#define QUARTER INT64_C(1700000100) /* s; a multiple of 900. */
#define DTS 900
#define DOWN 0u
#define UP LINE_STATE_AVAILABLE
#define UNKNOWN LINE_STATE_UNDETERMINED
#define OUT(kind) ((unsigned)(kind) << LINE_STATE_EXCLUDED_SHIFT)

/* --- Making ----------------------------------------------------------------- */

struct quarter {
    struct bytes bytes;
    uint64_t total;
};

static void
put(struct quarter *q, uint64_t count, unsigned state)
{
    if (q->bytes.size == 0) {
        bytes_varint(&q->bytes, LINE_STATES_FORMAT);
    }
    bytes_varint(&q->bytes, count << LINE_STATE_BITS | state);
    q->total += count;
}

/* Fills up to 'total' with what is available, adds it, and empties it. */
static int
add(struct outage_list *o, struct quarter *q, int64_t number, uint64_t total)
{
    if (q->total < total) {
        put(q, total - q->total, UP);
    }
    uint8_t *exact = exact_copy(q->bytes.at, q->bytes.size);
    int err =
        outage_add(o, instant_of_ns((QUARTER + 900 * number) * NS_PER_S), exact, q->bytes.size);
    free(exact);
    bytes_fini(&q->bytes);
    q->total = 0;
    return err;
}

static void
expect(const struct outage_list *o, size_t at, int64_t start, int64_t end, int64_t length)
{
    if (at >= o->count) {
        CU_FAIL("it is not there");
        return;
    }
    CU_ASSERT_EQUAL(o->list[at].start.ns, (QUARTER + start) * NS_PER_S);
    CU_ASSERT_EQUAL(o->list[at].end.ns, (QUARTER + end) * NS_PER_S);
    CU_ASSERT_EQUAL(o->list[at].length.ns, length * NS_PER_S);
}

/* --- Runs ------------------------------------------------------------------- */

static void
time_that_is_available_has_no_outage(void)
{
    struct outage_list o;
    struct quarter q = {.total = 0};

    outage_begin(&o, INV_UNDETERMINED_LAST);
    put(&q, 5, UP | LINE_STATE_HIGH_LOSS);
    CU_ASSERT_EQUAL(add(&o, &q, 0, DTS), 0);
    CU_ASSERT_EQUAL(o.count, 0);
    outage_fini(&o);
}

static void
each_run_is_an_outage(void)
{
    struct outage_list o;
    struct quarter q = {.total = 0};

    outage_begin(&o, INV_UNDETERMINED_LAST);
    put(&q, 10, DOWN);
    put(&q, 1, UP);
    put(&q, 20, DOWN);
    CU_ASSERT_EQUAL(add(&o, &q, 0, DTS), 0);
    CU_ASSERT_EQUAL(o.count, 2);
    expect(&o, 0, 0, 10, 10);
    expect(&o, 1, 11, 31, 20);
    outage_fini(&o);
}

static void
outage_goes_on_over_a_quarter_hours_border(void)
{
    struct outage_list o;
    struct quarter q = {.total = 0};

    outage_begin(&o, INV_UNDETERMINED_LAST);
    put(&q, 870, UP);
    put(&q, 30, DOWN);
    CU_ASSERT_EQUAL(add(&o, &q, 0, DTS), 0);
    put(&q, 900, DOWN);
    CU_ASSERT_EQUAL(add(&o, &q, 1, DTS), 0);
    put(&q, 1, DOWN);
    CU_ASSERT_EQUAL(add(&o, &q, 2, DTS), 0);
    CU_ASSERT_EQUAL(o.count, 1);
    expect(&o, 0, 870, 1801, 931);
    outage_fini(&o);
}

static void
quarter_hour_that_is_passed_over_was_available(void)
{
    struct outage_list o;
    struct quarter q = {.total = 0};

    outage_begin(&o, INV_UNDETERMINED_LAST);
    put(&q, 900, DOWN);
    CU_ASSERT_EQUAL(add(&o, &q, 0, DTS), 0);
    put(&q, 900, DOWN);
    CU_ASSERT_EQUAL(add(&o, &q, 2, DTS), 0);
    CU_ASSERT_EQUAL(o.count, 2);
    expect(&o, 0, 0, 900, 900);
    expect(&o, 1, 1800, 2700, 900);
    outage_fini(&o);
}

static void
delta_t_have_the_length_that_makes_a_quarter_hour(void)
{
    struct outage_list o;
    struct quarter q = {.total = 0};

    outage_begin(&o, INV_UNDETERMINED_LAST);
    put(&q, 60, UP);
    put(&q, 3, DOWN);
    CU_ASSERT_EQUAL(add(&o, &q, 0, 90), 0); /* Delta-t of 10 s. */
    expect(&o, 0, 600, 630, 30);
    CU_ASSERT_EQUAL(add(&o, &q, 1, 90000), 0); /* Of 10 ms. */
    outage_fini(&o);
}

/* --- What does not count ------------------------------------------------------ */

/* Facts: an outage that lasts after a window counts from the window's end, and what was before it
 * is kept: ten delta-t, the second half in a window, are five. */
static void
window_takes_its_part_of_an_outage(void)
{
    struct outage_list o;
    struct quarter q = {.total = 0};

    outage_begin(&o, INV_UNDETERMINED_LAST);
    put(&q, 5, DOWN);
    put(&q, 5, DOWN | OUT(EXCLUSION_MAINTENANCE));
    put(&q, 90, UP | OUT(EXCLUSION_MAINTENANCE));
    put(&q, 100, UP);
    put(&q, 50, DOWN | OUT(EXCLUSION_CUSTOMER));
    put(&q, 7, DOWN);
    CU_ASSERT_EQUAL(add(&o, &q, 0, DTS), 0);
    CU_ASSERT_EQUAL(o.count, 2);
    expect(&o, 0, 0, 5, 5);
    expect(&o, 1, 250, 257, 7);
    outage_fini(&o);
}

static void
window_in_the_middle_makes_it_shorter_and_not_two(void)
{
    struct outage_list o;
    struct quarter q = {.total = 0};

    outage_begin(&o, INV_UNDETERMINED_LAST);
    put(&q, 300, DOWN);
    put(&q, 1, DOWN | OUT(EXCLUSION_AGREED));
    put(&q, 299, DOWN);
    CU_ASSERT_EQUAL(add(&o, &q, 0, DTS), 0);
    CU_ASSERT_EQUAL(o.count, 1);
    expect(&o, 0, 0, 600, 599);
    outage_fini(&o);
}

/* It was there again, though that time does not count. */
static void
outage_ends_in_a_window_if_it_does(void)
{
    struct outage_list o;
    struct quarter q = {.total = 0};

    outage_begin(&o, INV_UNDETERMINED_LAST);
    put(&q, 300, DOWN);
    put(&q, 10, UP | OUT(EXCLUSION_MAINTENANCE));
    put(&q, 300, DOWN);
    CU_ASSERT_EQUAL(add(&o, &q, 0, DTS), 0);
    CU_ASSERT_EQUAL(o.count, 2);
    expect(&o, 0, 0, 300, 300);
    expect(&o, 1, 310, 610, 300);
    outage_fini(&o);
}

static void
all_of_it_out_of_w_is_none(void)
{
    struct outage_list o;
    struct quarter q = {.total = 0};

    outage_begin(&o, INV_UNDETERMINED_LAST);
    put(&q, 900, DOWN | OUT(EXCLUSION_NOT_IN_SERVICE));
    CU_ASSERT_EQUAL(add(&o, &q, 0, DTS), 0);
    CU_ASSERT_EQUAL(o.count, 0);
    CU_ASSERT_FALSE(o.open);
    outage_fini(&o);
}

/* Trap 9 (facts/sla.md 14), and the contract's word on it. */
static void
undetermined_time_counts_as_the_contract_says(void)
{
    static const struct {
        enum inv_undetermined mode;
        size_t count;
        int64_t first, last; /* Lengths. */
    } known[] = {{INV_UNDETERMINED_LAST, 1, 130, 130},
                 {INV_UNDETERMINED_AVAILABLE, 1, 110, 110},
                 {INV_UNDETERMINED_UNAVAILABLE, 2, 130, 40},
                 {INV_UNDETERMINED_EXCLUDED, 1, 110, 110}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct outage_list o;
        struct quarter q = {.total = 0};
        outage_begin(&o, known[i].mode);
        put(&q, 100, DOWN);
        put(&q, 20, DOWN | UNKNOWN);
        put(&q, 10, DOWN);
        put(&q, 50, UP);
        put(&q, 40, UP | UNKNOWN);
        CU_ASSERT_EQUAL(add(&o, &q, 0, DTS), 0);
        CU_ASSERT_EQUAL(o.count, known[i].count);
        if (o.count == known[i].count) {
            CU_ASSERT_EQUAL(o.list[0].length.ns, known[i].first * NS_PER_S);
            CU_ASSERT_EQUAL(o.list[o.count - 1].length.ns, known[i].last * NS_PER_S);
            CU_ASSERT_EQUAL(o.list[0].end.ns, (QUARTER + 130) * NS_PER_S);
        }
        outage_fini(&o);
    }
}

/* --- What is refused ---------------------------------------------------------- */

static int
refused(const uint8_t *bytes, size_t size)
{
    struct outage_list o;
    uint8_t *exact = exact_copy(bytes, size);

    outage_begin(&o, INV_UNDETERMINED_LAST);
    int err = outage_add(&o, instant_of_ns(QUARTER * NS_PER_S), exact, size);
    if (err) {
        CU_ASSERT_EQUAL(o.count, 0);
    }
    free(exact);
    outage_fini(&o);
    return err;
}

static void
states_that_make_no_quarter_hour_are_refused(void)
{
    /* 900 << 6 is 0x84 0xe1 ... as a varint: 57600 = 0x80 0xc2 0x03. */
    CU_ASSERT_EQUAL(refused((const uint8_t[]){1, 0x80, 0xc2, 0x03}, 4), 0);
    CU_ASSERT_EQUAL(refused((const uint8_t[]){2, 0x80, 0xc2, 0x03}, 4), -EBADMSG);
    CU_ASSERT_EQUAL(refused((const uint8_t[]){0, 0x80, 0xc2, 0x03}, 4), -EBADMSG);
    for (size_t size = 0; size < 4; size++) {
        CU_ASSERT_EQUAL(refused((const uint8_t[]){1, 0x80, 0xc2, 0x03}, size), -EBADMSG);
    }
    CU_ASSERT_EQUAL(refused((const uint8_t[]){1, 0x80, 0xc2, 0x03, 0x00}, 5), -EBADMSG);
    CU_ASSERT_EQUAL(refused((const uint8_t[]){1, 0x80, 0xc2, 0x03, 0x40}, 5), -EBADMSG); /* 901 */
    CU_ASSERT_EQUAL(refused((const uint8_t[]){1, 0xc0, 0xc1, 0x03}, 4), -EBADMSG);       /* 899 */
    CU_ASSERT_EQUAL(
        refused((const uint8_t[]){1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
                11),
        -EBADMSG);
}

/* --- Together ----------------------------------------------------------------- */

/* Random states, and each delta-t counted by itself. */
static void
lengths_add_up_to_what_availability_lacks(void)
{
    for (int round = 0; round < 2000; round++) {
        enum inv_undetermined mode = (enum inv_undetermined)random_below(4);
        struct outage_list o;
        struct quarter q = {.total = 0};
        int64_t lacking = 0, sum = 0;

        outage_begin(&o, mode);
        for (int64_t n = 0; n < 4; n++) {
            while (q.total < DTS) {
                uint64_t left = DTS - q.total, count = 1 + random_below(left < 90 ? left : 90);
                unsigned state = (unsigned)random_below(64);
                bool up = state & UP, unknown = state & UNKNOWN;
                if (state >> LINE_STATE_EXCLUDED_SHIFT == 0) {
                    bool down = unknown ? mode == INV_UNDETERMINED_UNAVAILABLE ||
                                              (mode == INV_UNDETERMINED_LAST && !up)
                                        : !up;
                    lacking += down ? (int64_t)count : 0;
                }
                put(&q, count, state);
            }
            CU_ASSERT_EQUAL(add(&o, &q, n, DTS), 0);
        }
        for (size_t i = 0; i < o.count; i++) {
            const struct outage *one = &o.list[i];
            sum += one->length.ns / NS_PER_S;
            CU_ASSERT_TRUE(one->length.ns > 0 && one->length.ns <= one->end.ns - one->start.ns);
            CU_ASSERT_TRUE(i == 0 || one->start.ns >= o.list[i - 1].end.ns);
        }
        CU_ASSERT_EQUAL(sum, lacking);
        outage_fini(&o);
    }
}

/* What line.h writes is what is read here. */
static void
states_of_a_line_are_read(void)
{
    static const uint8_t up[60] = {[0 ... 59] = 1}, down[60] = {[10 ... 19] = 2, [20 ... 59] = 1};
    struct line *l = line_new(LINE_SERVICE, "s", "s", "gold", LINE_BOTH);
    struct outage_list o;
    const uint8_t *bytes;
    size_t size;

    l->dt = span_of_ns(NS_PER_S);
    line_begin(l, instant_of_ns(QUARTER * NS_PER_S), true, 0);
    for (int64_t i = 0; i < 15; i++) {
        CU_ASSERT_EQUAL(line_add_states(l, instant_of_ns((QUARTER + 60 * i) * NS_PER_S),
                                        i == 3 ? down : up, 60),
                        0);
    }
    CU_ASSERT_EQUAL(line_states(l, &bytes, &size), 0);
    outage_begin(&o, INV_UNDETERMINED_AVAILABLE);
    CU_ASSERT_EQUAL(outage_add(&o, l->quarter, bytes, size), 0);
    CU_ASSERT_EQUAL(o.count, 1);
    expect(&o, 0, 180, 190, 10);
    outage_fini(&o);
    line_free(l);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"time_that_is_available_has_no_outage", time_that_is_available_has_no_outage},
        {"each_run_is_an_outage", each_run_is_an_outage},
        {"outage_goes_on_over_a_quarter_hours_border", outage_goes_on_over_a_quarter_hours_border},
        {"quarter_hour_that_is_passed_over_was_available",
         quarter_hour_that_is_passed_over_was_available},
        {"delta_t_have_the_length_that_makes_a_quarter_hour",
         delta_t_have_the_length_that_makes_a_quarter_hour},
        {"window_takes_its_part_of_an_outage", window_takes_its_part_of_an_outage},
        {"window_in_the_middle_makes_it_shorter_and_not_two",
         window_in_the_middle_makes_it_shorter_and_not_two},
        {"outage_ends_in_a_window_if_it_does", outage_ends_in_a_window_if_it_does},
        {"all_of_it_out_of_w_is_none", all_of_it_out_of_w_is_none},
        {"undetermined_time_counts_as_the_contract_says",
         undetermined_time_counts_as_the_contract_says},
        {"states_that_make_no_quarter_hour_are_refused",
         states_that_make_no_quarter_hour_are_refused},
        {"lengths_add_up_to_what_availability_lacks", lengths_add_up_to_what_availability_lacks},
        {"states_of_a_line_are_read", states_of_a_line_are_read},
        CU_TEST_INFO_NULL,
    };
    return run_suite("outage", tests);
}
