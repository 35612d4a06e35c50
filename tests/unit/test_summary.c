/* test_summary.c - adding up what a session did. */
#include "summary.h"

#include "harness.h"

static const struct session_key key = {
    .object = "a--b",
    .limit_count = 3,
    .limits = {{LIMIT_DELAY, DIR_RT, {1000}},
               {LIMIT_DELAY, DIR_FWD, {0}},
               {LIMIT_IFDV, DIR_RT, {7}}},
};

static void
over_counts_strictly_greater_and_its_own_direction(void)
{
    struct summary s;

    CU_ASSERT_EQUAL_FATAL(summary_init(&s, instant_of_ns(0), true), 0);
    CU_ASSERT_EQUAL(summary_add_delay(&s, &key, DIR_RT, span_of_ns(999)), 0);
    CU_ASSERT_EQUAL(summary_add_delay(&s, &key, DIR_RT, span_of_ns(1000)), 0);
    CU_ASSERT_EQUAL(s.over[0], 0);
    CU_ASSERT_EQUAL(summary_add_delay(&s, &key, DIR_RT, span_of_ns(1001)), 0);
    CU_ASSERT_EQUAL(s.over[0], 1);
    CU_ASSERT_EQUAL(summary_add_delay(&s, &key, DIR_BWD, span_of_ns(5000)), 0);
    CU_ASSERT_EQUAL(s.over[0], 1);
    CU_ASSERT_EQUAL(s.over[1], 0);
    CU_ASSERT_EQUAL(summary_add_delay(&s, &key, DIR_FWD, span_of_ns(1)), 0);
    CU_ASSERT_EQUAL(s.over[1], 1);
    CU_ASSERT_EQUAL(summary_add_ifdv(&s, &key, DIR_RT, span_of_ns(7)), 0);
    CU_ASSERT_EQUAL(s.over[2], 0);
    CU_ASSERT_EQUAL(summary_add_ifdv(&s, &key, DIR_RT, span_of_ns(8)), 0);
    CU_ASSERT_EQUAL(s.over[2], 1);
    CU_ASSERT_EQUAL(hist_count(s.delay[DIR_RT].ifdv), 2);
    summary_fini(&s);
}

static void
a_negative_delay_is_kept_and_flagged(void)
{
    struct summary s;

    CU_ASSERT_EQUAL_FATAL(summary_init(&s, instant_of_ns(0), false), 0);
    CU_ASSERT_PTR_NULL(s.delay[DIR_FWD].ifdv);
    CU_ASSERT_EQUAL(summary_add_delay(&s, &key, DIR_FWD, span_of_ns(0)), 0);
    CU_ASSERT_EQUAL(s.flags, 0);
    CU_ASSERT_EQUAL(summary_add_delay(&s, &key, DIR_FWD, span_of_ns(-1)), 0);
    CU_ASSERT_EQUAL(s.flags, DT_NEGATIVE);
    CU_ASSERT_EQUAL(s.delay[DIR_FWD].min_ns, -1);
    CU_ASSERT_EQUAL(s.delay[DIR_FWD].max_ns, 0);
    CU_ASSERT_EQUAL(s.delay[DIR_FWD].sum_ns, -1);
    CU_ASSERT_EQUAL(s.delay[DIR_FWD].count, 2);
    summary_fini(&s);
}

static uint64_t *
counter_at(struct summary *s, unsigned i)
{
    uint64_t *const all[] = {&s->scheduled,
                             &s->sent,
                             &s->send_errors,
                             &s->received,
                             &s->lost_fwd,
                             &s->lost_bwd,
                             &s->lost_undirected,
                             &s->unknown,
                             &s->late,
                             &s->duplicate_fwd,
                             &s->duplicate_bwd,
                             &s->reordered_fwd,
                             &s->reordered_bwd,
                             &s->stamped[TS_USER],
                             &s->stamped[TS_KERNEL],
                             &s->stamped[TS_HARDWARE],
                             &s->over[5]};
    return i < sizeof all / sizeof all[0] ? all[i] : NULL;
}

static void
fill(struct summary *s, struct summary *all)
{
    unsigned n = (unsigned)random_below(30);

    for (unsigned i = 0; i < n; i++) {
        struct span v = span_of_ns(random_value() / 1024);
        enum direction d = (enum direction)random_below(DIRECTIONS);
        struct span w = span_of_ns((int64_t)(random_u64() >> 40));
        CU_ASSERT_EQUAL(summary_add_delay(s, &key, d, v), 0);
        CU_ASSERT_EQUAL(summary_add_delay(all, &key, d, v), 0);
        CU_ASSERT_EQUAL(summary_add_ifdv(s, &key, d, w), 0);
        CU_ASSERT_EQUAL(summary_add_ifdv(all, &key, d, w), 0);
    }
    for (unsigned i = 0; counter_at(s, i); i++) {
        uint64_t v = random_below(1000);
        *counter_at(s, i) += v;
        *counter_at(all, i) += v;
    }
    uint32_t flag = 1u << random_below(7);
    s->flags |= flag;
    all->flags |= flag;
    s->clock_error_ns = random_chance(100) ? UINT64_MAX : random_below(5000);
    all->clock_error_ns =
        s->clock_error_ns > all->clock_error_ns ? s->clock_error_ns : all->clock_error_ns;
}

static int
hists_equal(const struct hist *a, const struct hist *b)
{
    uint8_t x[4096], y[4096];
    size_t n = hist_encode(a, x, sizeof x), m = hist_encode(b, y, sizeof y);
    return n == m && memcmp(x, y, n) == 0;
}

static void
check_equal(struct summary *a, struct summary *b)
{
    CU_ASSERT_EQUAL(a->start.ns, b->start.ns);
    CU_ASSERT_EQUAL(a->flags, b->flags);
    CU_ASSERT_EQUAL(a->clock_error_ns, b->clock_error_ns);
    for (unsigned i = 0; counter_at(a, i); i++) {
        CU_ASSERT_EQUAL(*counter_at(a, i), *counter_at(b, i));
    }
    CU_ASSERT_EQUAL(memcmp(a->over, b->over, sizeof a->over), 0);
    for (int d = 0; d < DIRECTIONS; d++) {
        const struct delay *x = &a->delay[d], *y = &b->delay[d];
        CU_ASSERT_EQUAL(x->count, y->count);
        CU_ASSERT(x->count == 0 || (x->min_ns == y->min_ns && x->max_ns == y->max_ns));
        CU_ASSERT_EQUAL(x->sum_ns, y->sum_ns);
        CU_ASSERT(hists_equal(x->hist, y->hist));
        CU_ASSERT(hists_equal(x->ifdv, y->ifdv));
    }
}

static void
merging_commutes_and_equals_adding_together(void)
{
    struct summary a, b, ab, ba, all;
    struct summary *const five[] = {&a, &b, &ab, &ba, &all};

    for (unsigned i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL_FATAL(summary_init(five[i], instant_of_ns(0), true), 0);
    }
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 5; i++) {
            summary_reset(five[i], instant_of_ns(i == 1 ? 2 : 1));
        }
        fill(&a, &all);
        fill(&b, &all);
        summary_reset(&ab, a.start);
        CU_ASSERT_EQUAL(summary_merge(&ab, &a), 0);
        CU_ASSERT_EQUAL(summary_merge(&ab, &b), 0);
        summary_reset(&ba, b.start);
        CU_ASSERT_EQUAL(summary_merge(&ba, &b), 0);
        CU_ASSERT_EQUAL(summary_merge(&ba, &a), 0);
        check_equal(&ab, &ba);
        check_equal(&ab, &all);
    }
    for (unsigned i = 0; i < 5; i++) {
        summary_fini(five[i]);
    }
}

static void
delays_of_clocks_decades_apart_keep_their_mean(void)
{
    const int64_t decades = INT64_C(1700000000000000000);
    struct summary s;

    CU_ASSERT_EQUAL_FATAL(summary_init(&s, instant_of_ns(0), false), 0);
    for (int i = 0; i < 20; i++) {
        CU_ASSERT_EQUAL(summary_add_delay(&s, &key, DIR_BWD, span_of_ns(decades + i)), 0);
    }
    const struct delay *d = &s.delay[DIR_BWD];
    CU_ASSERT_EQUAL((uint64_t)d->sum_ns - d->count * (uint64_t)d->min_ns, 190);
    summary_fini(&s);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"over_counts_strictly_greater_and_its_own_direction",
         over_counts_strictly_greater_and_its_own_direction},
        {"a_negative_delay_is_kept_and_flagged", a_negative_delay_is_kept_and_flagged},
        {"merging_commutes_and_equals_adding_together",
         merging_commutes_and_equals_adding_together},
        {"delays_of_clocks_decades_apart_keep_their_mean",
         delays_of_clocks_decades_apart_keep_their_mean},
        CU_TEST_INFO_NULL};
    return run_suite("summary", tests);
}
