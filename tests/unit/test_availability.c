/* test_availability.c - the sliding window against vectors, against a batch form straight from the
 * definition, and the traps that windows have. */
#include "availability.h"

#include <cjson/cJSON.h>

#include "availability_world.h"

static void
check_states(const struct outcome *o, const char *expected)
{
    char got[DT_MAX + 1] = "";

    for (size_t i = 0; i < o->decided; i++) {
        got[i] = o->a[i] ? '1' : '0';
    }
    CU_ASSERT_STRING_EQUAL(got, expected);
    if (strcmp(got, expected)) {
        printf("\n  got      %s\n  expected %s\n", got, expected);
    }
}

/* --- Vectors ------------------------------------------------------------------- */

static cJSON *
vectors_read(void)
{
    FILE *from = fopen(FIXTURES_FOLDER "/sla-vectors.json", "r");
    static char text[16384];

    CU_ASSERT_PTR_NOT_NULL_FATAL(from);
    text[fread(text, 1, sizeof text - 1, from)] = '\0';
    fclose(from);
    cJSON *vectors = cJSON_Parse(text);
    CU_ASSERT_TRUE_FATAL(cJSON_IsArray(vectors));
    return vectors;
}

static double
number(const cJSON *vector, const char *key)
{
    const cJSON *item = cJSON_GetObjectItem(vector, key);

    CU_ASSERT_TRUE_FATAL(cJSON_IsNumber(item));
    return item->valuedouble;
}

/* Ten packets in each delta-t: a loss ratio is a count of them. */
static struct sequence
vector_sequence(const cJSON *vector)
{
    const cJSON *flr = cJSON_GetObjectItem(vector, "flr"), *mi = cJSON_GetObjectItem(vector, "mi");
    struct sequence s = {.params = {.n = (uint32_t)number(vector, "n"),
                                    .c_milli = (uint32_t)(number(vector, "C") * 100000)},
                         .p = (uint32_t)number(vector, "p"),
                         .before = number(vector, "start") > 0};
    const cJSON *item;

    cJSON_ArrayForEach(item, flr)
    {
        uint64_t sent = cJSON_IsNull(item) ? 0 : 10;
        uint64_t lost = cJSON_IsNull(item) ? 0 : (uint64_t)(item->valuedouble * 10);
        CU_ASSERT_FATAL(s.length < DT_MAX);
        const cJSON *mask = mi ? cJSON_GetArrayItem(mi, (int)s.length) : NULL;
        s.outside[s.length] = mask && mask->valueint;
        s.input[s.length++] = availability_input(s.params, sent, lost);
    }
    return s;
}

static void
check_vector(const cJSON *vector)
{
    struct sequence s = vector_sequence(vector);
    struct outcome o = judged(&s);
    unsigned failed = CU_get_number_of_failures();
    /* An empty W is 100 %. */
    double percent = o.w ? 100.0 * (double)o.available / (double)o.w : 100.0;

    check_states(&o, cJSON_GetObjectItem(vector, "A")->valuestring);
    CU_ASSERT_DOUBLE_EQUAL(percent, number(vector, "avail_pct"), 0.00005);
    CU_ASSERT_EQUAL(o.high_loss.intervals, (uint64_t)number(vector, "hli"));
    CU_ASSERT_EQUAL(o.high_loss.runs, (uint64_t)number(vector, "chli_runs"));
    CU_ASSERT_EQUAL(o.high_loss.run_intervals, (uint64_t)number(vector, "chli_intervals"));
    if (CU_get_number_of_failures() != failed) {
        printf("  in vector '%s'\n", cJSON_GetObjectItem(vector, "name")->valuestring);
    }
}

static void
vectors_of_the_definition_hold(void)
{
    cJSON *vectors = vectors_read();
    const cJSON *vector;

    CU_ASSERT_EQUAL(cJSON_GetArraySize(vectors), 10);
    cJSON_ArrayForEach(vector, vectors)
    {
        check_vector(vector);
    }
    cJSON_Delete(vectors);
}

/* --- Late data, restarts, midnight ------------------------------------------------ */

/* A block of 's' is not known at first, or looks otherwise; it comes late, and is judged again from
 * some place not after the first that it touches. */
static bool
late_block_agrees(const struct sequence *s)
{
    size_t start = random_below(s->length), end = start + 1 + random_below(s->length - start);
    struct sequence early = *s;
    bool nothing = random_chance(700);

    for (size_t i = start; i < end; i++) {
        early.input[i] = nothing ? AVAILABILITY_NONE : (enum availability_input)random_below(3);
    }
    struct stream t = stream_begin(&early);
    stream_advance(&t, end + random_below(s->length - end + 1), 50);
    stream_over_midnight(&t);
    stream_advance(&t, s->length, 50);
    struct outcome expected = batch(&early);
    if (!same(&t.o, &expected)) {
        return false;
    }
    size_t touched = availability_touched(s->params, start);
    size_t from = random_chance(500) ? touched : random_below(touched + 1);
    t.s = s;
    if (from > t.o.decided) {
        from = t.o.decided;
    }
    stream_again_from(&t, from);
    stream_advance(&t, s->length, 50);
    expected = batch(s);
    return !t.wrong && same(&t.o, &expected);
}

static void
stream_form_equals_batch_form(void)
{
    size_t changes = 0, whole = 0, high_loss_runs = 0;

    for (int i = 0; i < 100000; i++) {
        struct sequence s = random_sequence();
        struct outcome expected = batch(&s);
        struct stream t = stream_begin(&s);

        stream_advance(&t, s.length, 50);
        bool agrees = !t.wrong && same(&t.o, &expected) && late_block_agrees(&s);
        CU_ASSERT_TRUE(agrees);
        if (!agrees) {
            printf("\n  sequence %d: n %u, p %u, length %zu\n", i, s.params.n, s.p, s.length);
            return;
        }
        changes += expected.outages;
        whole += expected.decided == s.length;
        high_loss_runs += expected.high_loss.runs;
    }
    /* The sequences are such that something happens in them. */
    CU_ASSERT(changes > 50000 && high_loss_runs > 20000 && whole > 10000 && whole < 90000);
}

/* --- The input: C, and nothing sent ---------------------------------------------------- */

static void
nothing_sent_is_not_good_and_not_bad(void)
{
    struct availability_params p = {.n = 10, .c_milli = C_HALF};

    CU_ASSERT_EQUAL(availability_input(p, 0, 0), AVAILABILITY_NONE);
    CU_ASSERT_EQUAL(availability_input(p, 1, 0), AVAILABILITY_GOOD);
    CU_ASSERT_EQUAL(availability_input(p, 1, 1), AVAILABILITY_BAD);
}

static void
bounds_of_c_mean_any_loss_and_never(void)
{
    struct availability_params any = {.n = 10, .c_milli = 0}, never = {.n = 10, .c_milli = 100000};

    CU_ASSERT_EQUAL(availability_input(any, UINT64_MAX, 0), AVAILABILITY_GOOD);
    CU_ASSERT_EQUAL(availability_input(any, UINT64_MAX, 1), AVAILABILITY_BAD);
    CU_ASSERT_EQUAL(availability_input(never, UINT64_MAX, UINT64_MAX), AVAILABILITY_GOOD);
    CU_ASSERT_EQUAL(availability_input(never, 10, 10), AVAILABILITY_GOOD);
}

/* --- In bulk ------------------------------------------------------------------------------ */

static void
bulk_of_any_size_is_decided_in_one_call(void)
{
    struct availability_params p = {.n = 10, .c_milli = C_HALF};
    struct availability a = availability_begin(true);
    uint64_t flip_at, month = UINT64_C(31) * 86400;

    CU_ASSERT_EQUAL(availability_add(&a, p, AVAILABILITY_BAD, 0, &flip_at), 0);
    CU_ASSERT_EQUAL(flip_at, 0);
    CU_ASSERT_EQUAL(availability_add(&a, p, AVAILABILITY_GOOD, month, &flip_at), month);
    CU_ASSERT_EQUAL(flip_at, month);
    CU_ASSERT_EQUAL(availability_add(&a, p, AVAILABILITY_BAD, 9, &flip_at), 0);
    CU_ASSERT_EQUAL(flip_at, 0);
    CU_ASSERT_EQUAL(a.run, 9);
    CU_ASSERT_TRUE(a.available);
    /* None added decides nothing, whatever they would have been. */
    CU_ASSERT_EQUAL(availability_add(&a, p, AVAILABILITY_NONE, 0, &flip_at), 0);
    CU_ASSERT_EQUAL(availability_add(&a, p, AVAILABILITY_BAD, 0, &flip_at), 0);
    CU_ASSERT_EQUAL(a.run, 9);
    CU_ASSERT_EQUAL(availability_add(&a, p, AVAILABILITY_BAD, UINT64_C(1) << 60, &flip_at),
                    (UINT64_C(1) << 60) + 9);
    CU_ASSERT_EQUAL(flip_at, 0);
    CU_ASSERT_FALSE(a.available);
    CU_ASSERT_EQUAL(availability_add(&a, p, AVAILABILITY_GOOD, 4, &flip_at), 0);
    CU_ASSERT_EQUAL(availability_add(&a, p, AVAILABILITY_NONE, 3, &flip_at), 7);
    CU_ASSERT_EQUAL(flip_at, 7);
    CU_ASSERT_FALSE(a.available);
    CU_ASSERT_EQUAL(a.run, 0);
}

static void
window_of_one_follows_each_delta_t(void)
{
    struct sequence s = sequence_of("gbg.b.ggb");

    s.params.n = 1;
    struct outcome o = judged(&s);
    check_states(&o, "101100110");
}

static void
high_loss_run_counts_when_it_reaches_p_and_once(void)
{
    struct high_loss h = {0};
    struct high_loss_counts c = {0};

    for (int i = 1; i <= 7; i++) {
        high_loss_add(&h, 3, true, &c);
        CU_ASSERT_EQUAL(c.intervals, (uint64_t)i);
        CU_ASSERT_EQUAL(c.runs, (uint64_t)(i >= 3));
        CU_ASSERT_EQUAL(c.run_intervals, (uint64_t)(i >= 3 ? i : 0));
    }
    high_loss_add(&h, 3, false, &c);
    CU_ASSERT_EQUAL(h.run, 0);
    high_loss_add(&h, 3, true, &c);
    high_loss_add(&h, 3, true, &c);
    CU_ASSERT_EQUAL(c.runs, 1);
    CU_ASSERT_EQUAL(c.run_intervals, 7);
    high_loss_add(&h, 3, true, &c);
    CU_ASSERT_EQUAL(c.runs, 2);
    CU_ASSERT_EQUAL(c.run_intervals, 10);
}

/* --- Traps ---------------------------------------------------------------------------------- */

static void
trap_04_availability_window_looking_backward(void)
{
    /* The change is dated to the first of the n, not to the last, both ways. */
    struct sequence s = sequence_of(G5 B10 B5 G10 G5);
    struct outcome o = judged(&s);

    check_states(&o, "11111"
                     "000000000000000"
                     "111111111111111");
}

static void
trap_05_at_least_instead_of_over_C(void)
{
    struct availability_params p = {.n = 10, .c_milli = C_HALF};

    CU_ASSERT_EQUAL(availability_input(p, 10, 4), AVAILABILITY_GOOD);
    CU_ASSERT_EQUAL(availability_input(p, 10, 5), AVAILABILITY_GOOD);
    CU_ASSERT_EQUAL(availability_input(p, 10, 6), AVAILABILITY_BAD);
    /* 0.3 %, which no floating point number is. */
    p.c_milli = 300;
    CU_ASSERT_EQUAL(availability_input(p, 1000, 3), AVAILABILITY_GOOD);
    CU_ASSERT_EQUAL(availability_input(p, 1000, 4), AVAILABILITY_BAD);
}

static void
trap_06_state_lost_at_midnight_or_restart(void)
{
    struct sequence s = sequence_of(G5 B10 G9 B5 G10);

    /* Wherever the collector stops, in the 9th of 10 bad ones too, it goes on with A of the last
     * that was decided, and reads again what was pending. */
    struct outcome expected = judged(&s);
    check_states(&expected, "11111"
                            "000000000000000000000000"
                            "1111111111");
    for (size_t stop = 1; stop < s.length; stop++) {
        struct stream t = stream_begin(&s);
        stream_advance(&t, stop, 0);
        stream_again_from(&t, t.o.decided);
        stream_advance(&t, s.length, 0);
        CU_ASSERT_TRUE(same(&t.o, &expected));
    }
    /* A day that begins at any delta-t begins with A of the one before, unavailable or not. */
    for (size_t midnight = 1; midnight < s.length; midnight++) {
        struct stream t = stream_begin(&s);
        stream_advance(&t, s.length, 0);
        stream_again_from(&t, midnight);
        stream_advance(&t, s.length, 0);
        CU_ASSERT_TRUE(same(&t.o, &expected));
    }
}

static void
trap_08_hli_counted_inside_unavailable_time(void)
{
    /* Ten bad ones are unavailable time, all of them; the bad one in it is none either; the four
     * after it are high loss intervals. */
    struct sequence s = sequence_of(G5 B10 G9 "b" G10 "bbbb" G5);
    struct outcome o = judged(&s);

    CU_ASSERT_EQUAL(o.outages, 1);
    CU_ASSERT_EQUAL(o.high_loss.intervals, 4);
    CU_ASSERT_EQUAL(o.high_loss.runs, 0);
}

static void
trap_09_dead_probe_is_not_an_outage(void)
{
    /* Nothing known for longer than n: nothing changes, neither way. */
    struct sequence up = sequence_of(G10 N10 N10 G5), down = sequence_of(B10 N10 N10 G5 B5);
    struct outcome o = judged(&up);

    CU_ASSERT_EQUAL(o.available, 35);
    CU_ASSERT_EQUAL(o.high_loss.intervals, 0);
    o = judged(&down);
    CU_ASSERT_EQUAL(o.decided, 40);
    CU_ASSERT_EQUAL(o.available, 0);

    /* Not known between bad ones does not make the run grow, and breaks it. */
    struct sequence broken = sequence_of(B9 "." B9 "." G10);
    o = judged(&broken);
    CU_ASSERT_EQUAL(o.outages, 0);
    CU_ASSERT_EQUAL(o.high_loss.intervals, 18);
    CU_ASSERT_EQUAL(o.high_loss.runs, 2);
}

static void
trap_19_late_data_re_evaluates_the_delta_t_before_it(void)
{
    /* Five bad, then ten of which nothing is known, then good.  The ten arrive: five more bad. */
    struct sequence early = sequence_of(G10 B5 N10 G10), late = sequence_of(G10 B5 B5 G5 G10);
    struct stream t = stream_begin(&early);

    stream_advance(&t, early.length, 0);
    CU_ASSERT_EQUAL(t.o.outages, 0);
    CU_ASSERT_EQUAL(t.o.high_loss.runs, 1);
    /* The first that came late is number 15; those from 6 on looked at it. */
    CU_ASSERT_EQUAL(availability_touched(late.params, 15), 6);
    CU_ASSERT_EQUAL(availability_touched(late.params, 9), 0);
    CU_ASSERT_EQUAL(availability_touched(late.params, 10), 1);
    CU_ASSERT_EQUAL(availability_touched(late.params, 3), 0);
    t.s = &late;
    stream_again_from(&t, availability_touched(late.params, 15));
    stream_advance(&t, late.length, 0);
    check_states(&t.o, "1111111111"
                       "0000000000"
                       "111111111111111");
    CU_ASSERT_EQUAL(t.o.high_loss.intervals, 0);
    CU_ASSERT_EQUAL(t.o.high_loss.runs, 0);
}

static void
trap_20_float_compare_at_the_limit(void)
{
    struct availability_params p = {.n = 10, .c_milli = 10};
    uint64_t sent = UINT64_MAX / 100000 * 10000, lost = UINT64_MAX / 100000;

    /* 0.01 % of some 1.8e18 packets: one more is under the resolution of a double. */
    CU_ASSERT_EQUAL(availability_input(p, sent, lost), AVAILABILITY_GOOD);
    CU_ASSERT_EQUAL(availability_input(p, sent, lost + 1), AVAILABILITY_BAD);
    CU_ASSERT_EQUAL(availability_input(p, sent - 1, lost), AVAILABILITY_BAD);
    CU_ASSERT_EQUAL(availability_input(p, sent + 1, lost), AVAILABILITY_GOOD);

    /* The greatest counters there are. */
    p.c_milli = C_HALF;
    CU_ASSERT_EQUAL(availability_input(p, UINT64_MAX, UINT64_MAX / 2), AVAILABILITY_GOOD);
    CU_ASSERT_EQUAL(availability_input(p, UINT64_MAX, UINT64_MAX / 2 + 1), AVAILABILITY_BAD);
    CU_ASSERT_EQUAL(availability_input(p, UINT64_MAX, UINT64_MAX), AVAILABILITY_BAD);

    /* And at random: sent = 100,000 m, so that the limit is hit at lost = c m exactly. */
    for (int i = 0; i < 100000; i++) {
        uint64_t m = 1 + random_u64() % (UINT64_MAX / 100000 - 1);
        p.c_milli = (uint32_t)random_below(100000);
        CU_ASSERT_EQUAL(availability_input(p, m * 100000, m * p.c_milli), AVAILABILITY_GOOD);
        CU_ASSERT_EQUAL(availability_input(p, m * 100000, m * p.c_milli + 1), AVAILABILITY_BAD);
    }
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"vectors_of_the_definition_hold", vectors_of_the_definition_hold},
        {"stream_form_equals_batch_form", stream_form_equals_batch_form},
        {"nothing_sent_is_not_good_and_not_bad", nothing_sent_is_not_good_and_not_bad},
        {"bounds_of_c_mean_any_loss_and_never", bounds_of_c_mean_any_loss_and_never},
        {"bulk_of_any_size_is_decided_in_one_call", bulk_of_any_size_is_decided_in_one_call},
        {"window_of_one_follows_each_delta_t", window_of_one_follows_each_delta_t},
        {"high_loss_run_counts_when_it_reaches_p_and_once",
         high_loss_run_counts_when_it_reaches_p_and_once},
        {"trap_04_availability_window_looking_backward",
         trap_04_availability_window_looking_backward},
        {"trap_05_at_least_instead_of_over_C", trap_05_at_least_instead_of_over_C},
        {"trap_06_state_lost_at_midnight_or_restart", trap_06_state_lost_at_midnight_or_restart},
        {"trap_08_hli_counted_inside_unavailable_time",
         trap_08_hli_counted_inside_unavailable_time},
        {"trap_09_dead_probe_is_not_an_outage", trap_09_dead_probe_is_not_an_outage},
        {"trap_19_late_data_re_evaluates_the_delta_t_before_it",
         trap_19_late_data_re_evaluates_the_delta_t_before_it},
        {"trap_20_float_compare_at_the_limit", trap_20_float_compare_at_the_limit},
        CU_TEST_INFO_NULL,
    };

    return run_suite("availability", tests);
}
