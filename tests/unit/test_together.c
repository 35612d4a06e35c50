/* test_together.c - groups and services from their parts' states at the same instants. */
#include "together.h"

#include "availability.h"
#include "harness.h"

#define DAY 86400 /* Delta-t of one second. */
#define HOUR 3600

/* --- States of parts ------------------------------------------------------------ */

/* As people write them: 1 up, 0 down, u not known and up before, d not known and down before. */
static void
states_of(const char *letters, uint8_t *states)
{
    for (size_t i = 0; letters[i]; i++) {
        int up = letters[i] == '1' || letters[i] == 'u';
        int doubt = letters[i] == 'u' || letters[i] == 'd';
        states[i] = (uint8_t)((up ? TOGETHER_AVAILABLE : 0) | (doubt ? TOGETHER_UNDETERMINED : 0));
    }
}

#define PARTS_MAX 8

static void
check(size_t need, const char *const *rows, size_t count, const char *expected)
{
    size_t size = strlen(expected);
    uint8_t *states[PARTS_MAX], *out = calloc(1, size), *wanted = calloc(1, size);

    CU_ASSERT_FATAL(out && wanted && count <= PARTS_MAX);
    for (size_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL_FATAL(strlen(rows[i]), size);
        states[i] = calloc(1, size);
        CU_ASSERT_PTR_NOT_NULL_FATAL(states[i]);
        states_of(rows[i], states[i]);
    }
    states_of(expected, wanted);
    together((const uint8_t *const *)states, count, need, size, out);
    CU_ASSERT_EQUAL(memcmp(out, wanted, size), 0);
    for (size_t i = 0; i < count; i++) {
        free(states[i]);
    }
    free(out);
    free(wanted);
}

#define CHECK(need, expected, ...)                                                                 \
    do {                                                                                           \
        const char *const rows_[] = {__VA_ARGS__};                                                 \
        check(need, rows_, sizeof rows_ / sizeof rows_[0], expected);                              \
    } while (0)

static void
group_is_up_while_enough_members_are(void)
{
    CHECK(1, "1110", "1100", "1010");
    CHECK(2, "1000", "1100", "1010");
    CHECK(2, "11101000", "11110000", "11001100", "10101010");
    CHECK(1, "10", "10");
}

static void
service_is_up_while_every_part_is(void)
{
    CHECK(3, "10000000", "11110000", "11001100", "10101010");
}

static void
outcome_that_hangs_on_an_unknown_part_is_unknown(void)
{
    /* One of two: the known one says it when it is up, the unknown one must when it is down. */
    CHECK(1, "11ud", "1100", "udud");
    /* Two of two: the known one says it when it is down. */
    CHECK(2, "ud00", "1100", "udud");
    /* Nothing known: by the last states. */
    CHECK(1, "uuud", "uudd", "udud");
    CHECK(2, "uddd", "uudd", "udud");
    /* Two of three, one not known. */
    CHECK(2, "111ud0", "111110", "111000", "uddudd");
    /* One unknown part cannot make up for two that are down. */
    CHECK(3, "0000", "udud", "0011", "0000");
}

/* --- Against counting at one delta-t --------------------------------------------- */

/* All ways that the unknown parts might be: undetermined if they disagree. */
static uint8_t
by_trying(const uint8_t *part, size_t count, size_t need)
{
    bool can[2] = {false, false};
    size_t last = 0;

    for (uint32_t world = 0; world < UINT32_C(1) << count; world++) {
        size_t up = 0;
        bool possible = true;
        for (size_t i = 0; i < count; i++) {
            bool is_up = world >> i & 1, was_up = part[i] & TOGETHER_AVAILABLE;
            possible = possible && (is_up == was_up || part[i] & TOGETHER_UNDETERMINED);
            up += is_up;
        }
        if (possible) {
            can[up >= need] = true;
        }
    }
    for (size_t i = 0; i < count; i++) {
        last += part[i] & TOGETHER_AVAILABLE ? 1 : 0;
    }
    return (uint8_t)((last >= need ? TOGETHER_AVAILABLE : 0) |
                     (can[0] && can[1] ? TOGETHER_UNDETERMINED : 0));
}

static bool
agrees_once(void)
{
    size_t count = 1 + random_below(6), need = 1 + random_below(count), size = random_below(200);
    size_t over = random_below(count + 1); /* 'out' is this row, or its own. */
    uint8_t *rows[7], *wanted = malloc(size + 1), column[6];
    bool good = true;

    CU_ASSERT_PTR_NOT_NULL_FATAL(wanted);
    for (size_t i = 0; i <= count; i++) {
        rows[i] = malloc(size ? size : 1);
        CU_ASSERT_PTR_NOT_NULL_FATAL(rows[i]);
        for (size_t k = 0; k < size; k++) {
            rows[i][k] = (uint8_t)random_below(4);
        }
    }
    for (size_t k = 0; k < size; k++) {
        for (size_t i = 0; i < count; i++) {
            column[i] = rows[i][k];
        }
        wanted[k] = by_trying(column, count, need);
    }
    together((const uint8_t *const *)rows, count, need, size, rows[over]);
    good = !memcmp(rows[over], wanted, size);
    for (size_t i = 0; i <= count; i++) {
        free(rows[i]);
    }
    free(wanted);
    return good;
}

static void
undetermined_is_what_unknown_parts_could_turn(void)
{
    for (int i = 0; i < 1000; i++) {
        CU_ASSERT_TRUE(agrees_once());
    }
}

/* --- Members as they are measured ---------------------------------------------------- */

/* A member that is up for the whole time but [from, to), by the window machine. */
static uint8_t *
member(size_t dt_count, size_t from, size_t to)
{
    struct availability_params p = {.n = 10, .c_milli = 50000};
    struct availability a = availability_begin(true);
    uint8_t *states = calloc(1, dt_count);
    size_t done = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(states);
    for (size_t k = 0; k < dt_count; k++) {
        uint64_t flip_at, lost = k >= from && k < to ? 10 : 0;
        bool was = a.available;
        uint64_t decided = availability_add(&a, p, availability_input(p, 10, lost), 1, &flip_at);
        for (uint64_t i = 0; i < decided; i++) {
            states[done++] = (i < flip_at ? was : a.available) ? TOGETHER_AVAILABLE : 0;
        }
    }
    while (done < dt_count) { /* As if the period's end were decided by more of the same. */
        states[done++] = a.available ? TOGETHER_AVAILABLE : 0;
    }
    return states;
}

static size_t
available(const uint8_t *states, size_t dt_count)
{
    size_t up = 0, unknown = 0;

    for (size_t k = 0; k < dt_count; k++) {
        up += states[k] & TOGETHER_AVAILABLE ? 1 : 0;
        unknown += states[k] & TOGETHER_UNDETERMINED ? 1 : 0;
    }
    CU_ASSERT_EQUAL(unknown, 0);
    return up;
}

static size_t
group_of_two(size_t dt_count, size_t from0, size_t to0, size_t from1, size_t to1)
{
    uint8_t *a = member(dt_count, from0, to0), *b = member(dt_count, from1, to1);
    const uint8_t *parts[] = {a, b};

    together(parts, 2, 1, dt_count, a);
    size_t n = available(a, dt_count);
    free(a);
    free(b);
    return n;
}

static void
group_of_two_with_one_member_down_all_day_is_available_all_day(void)
{
    CU_ASSERT_EQUAL(group_of_two(DAY, 0, DAY, DAY, DAY), DAY);
    CU_ASSERT_EQUAL(group_of_two(DAY, DAY, DAY, 0, DAY), DAY);
}

static void
both_members_down_for_a_minute_of_an_hour_is_98_33_percent(void)
{
    size_t up = group_of_two(HOUR, 1000, 1060, 1000, 1060);

    CU_ASSERT_EQUAL(up, HOUR - 60);
    CU_ASSERT_EQUAL((up * 10000 + HOUR / 2) / HOUR, 9833);
    /* Only the part of the two outages that meets counts. */
    CU_ASSERT_EQUAL(group_of_two(HOUR, 1000, 1060, 1045, 1105), HOUR - 15);
}

static void
same_two_outages_one_after_the_other_is_100_percent(void)
{
    CU_ASSERT_EQUAL(group_of_two(HOUR, 1000, 1060, 1060, 1120), HOUR);
    CU_ASSERT_EQUAL(group_of_two(HOUR, 1060, 1120, 1000, 1060), HOUR);
    CU_ASSERT_EQUAL(group_of_two(HOUR, 1000, 1061, 1060, 1120), HOUR - 1);
}

static void
trap_17_group_from_product(void)
{
    /* Two members, each down half of the hour. By the product 75 % either way; what is sold is 100
     * % if they take turns, and 50 % if one upgrade took both. */
    CU_ASSERT_EQUAL(group_of_two(HOUR, 0, HOUR / 2, HOUR / 2, HOUR), HOUR);
    CU_ASSERT_EQUAL(group_of_two(HOUR, 0, HOUR / 2, 0, HOUR / 2), HOUR / 2);
}

/* --- Parts of other delta-t ------------------------------------------------------------ */

static void
parts_of_other_delta_t_meet_on_a_finer_grid(void)
{
    uint8_t slow[3], fast[6], fine[6], out[6], wanted[6];
    const uint8_t *parts[] = {fast, fine};

    states_of("10u", slow);
    states_of("101011", fast);
    together_refine(slow, 3, 2000000000, 1000000000, fine);
    states_of("1100uu", wanted);
    CU_ASSERT_EQUAL(memcmp(fine, wanted, 6), 0);
    together(parts, 2, 2, 6, out);
    states_of("1000uu", wanted);
    CU_ASSERT_EQUAL(memcmp(out, wanted, 6), 0);
}

static void
own_grid_is_a_copy(void)
{
    uint8_t states[4], fine[5] = {9, 9, 9, 9, 9};

    states_of("10ud", states);
    together_refine(states, 4, 1000000000, 1000000000, fine);
    CU_ASSERT_EQUAL(memcmp(fine, states, 4), 0);
    CU_ASSERT_EQUAL(fine[4], 9);
    together_refine(states, 1, 30, 10, fine);
    CU_ASSERT_EQUAL(memcmp(fine, "\1\1\1\2\11", 5), 0);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"group_is_up_while_enough_members_are", group_is_up_while_enough_members_are},
        {"service_is_up_while_every_part_is", service_is_up_while_every_part_is},
        {"outcome_that_hangs_on_an_unknown_part_is_unknown",
         outcome_that_hangs_on_an_unknown_part_is_unknown},
        {"undetermined_is_what_unknown_parts_could_turn",
         undetermined_is_what_unknown_parts_could_turn},
        {"group_of_two_with_one_member_down_all_day_is_available_all_day",
         group_of_two_with_one_member_down_all_day_is_available_all_day},
        {"both_members_down_for_a_minute_of_an_hour_is_98_33_percent",
         both_members_down_for_a_minute_of_an_hour_is_98_33_percent},
        {"same_two_outages_one_after_the_other_is_100_percent",
         same_two_outages_one_after_the_other_is_100_percent},
        {"trap_17_group_from_product", trap_17_group_from_product},
        {"parts_of_other_delta_t_meet_on_a_finer_grid",
         parts_of_other_delta_t_meet_on_a_finer_grid},
        {"own_grid_is_a_copy", own_grid_is_a_copy},
        CU_TEST_INFO_NULL,
    };

    return run_suite("together", tests);
}
