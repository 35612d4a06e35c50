/* test_mtu.c - when full-size packets are called lost, in simulated time. */
#include "harness.h"

#include "mtu.h"

#define PATIENCE (2 * NS_PER_S)

struct run {
    struct mtu_watch w;
    int64_t now;
    uint32_t sequence;
    unsigned holes, mended;
};

/* One second: a large packet goes out, answered or not; small ones pass or not. */
static void
second(struct run *r, bool large, bool small)
{
    mtu_sent(&r->w, r->sequence, instant_of_ns(r->now));
    if (large) {
        mtu_returned(&r->w, r->sequence);
    }
    if (small) {
        mtu_small(&r->w, instant_of_ns(r->now + NS_PER_S / 2));
    }
    r->sequence++;
    r->now += NS_PER_S;
    enum mtu_verdict v = mtu_judge(&r->w, instant_of_ns(r->now));
    r->holes += v == MTU_HOLE;
    r->mended += v == MTU_MENDED;
}

static struct run
begin(void)
{
    struct run r = {.now = INT64_C(1000) * NS_PER_S, .sequence = UINT32_MAX - 5};

    mtu_init(&r.w, span_of_ns(PATIENCE));
    for (unsigned i = 0; i < 10; i++) {
        second(&r, true, true);
    }
    CU_ASSERT_EQUAL(r.holes + r.mended, 0);
    return r;
}

static void
three_in_a_row_are_a_hole_and_two_are_not(void)
{
    for (unsigned lost = 2; lost <= 3; lost++) {
        struct run r = begin();
        for (unsigned i = 0; i < lost; i++) {
            second(&r, false, true);
        }
        for (unsigned i = 0; i < 10; i++) {
            second(&r, true, true);
        }
        /* Answers of later ones come before the last are given up. */
        CU_ASSERT_EQUAL(r.holes, 0);
        r = begin();
        for (unsigned i = 0; i < lost + 2; i++) {
            second(&r, false, true);
        }
        CU_ASSERT_EQUAL(r.holes, lost == 3);
    }
}

static void
it_is_told_once_and_ends_after_three(void)
{
    struct run r = begin();

    for (unsigned i = 0; i < 60; i++) {
        second(&r, false, true);
    }
    CU_ASSERT_EQUAL(r.holes, 1);
    for (unsigned i = 0; i < 2; i++) {
        second(&r, true, true);
    }
    second(&r, false, true);
    CU_ASSERT_EQUAL(r.mended, 0);
    for (unsigned i = 0; i < 60; i++) {
        second(&r, true, true);
    }
    CU_ASSERT_EQUAL(r.holes, 1);
    CU_ASSERT_EQUAL(r.mended, 1);
}

static void
a_link_that_is_down_has_no_hole(void)
{
    struct run r = begin();

    for (unsigned i = 0; i < 60; i++) {
        second(&r, false, false);
    }
    for (unsigned i = 0; i < 10; i++) {
        second(&r, true, true);
    }
    CU_ASSERT_EQUAL(r.holes + r.mended, 0);
}

static void
what_our_own_interface_refuses_is_lost(void)
{
    struct run r = begin();

    for (unsigned i = 0; i < MTU_RUN; i++) {
        CU_ASSERT_EQUAL(mtu_judge(&r.w, instant_of_ns(r.now)), MTU_AS_BEFORE);
        mtu_refused(&r.w);
    }
    CU_ASSERT_EQUAL(mtu_judge(&r.w, instant_of_ns(r.now)), MTU_HOLE);
}

static void
an_answer_to_what_was_not_sent_says_nothing(void)
{
    struct run r = begin();

    for (unsigned i = 0; i < 10; i++) {
        mtu_returned(&r.w, 12345);
        mtu_returned(&r.w, r.sequence);           /* Not yet. */
        mtu_returned(&r.w, r.sequence - MTU_OUT); /* Its place is another's now. */
        second(&r, false, true);
    }
    CU_ASSERT_EQUAL(r.holes, 1);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
#define T(name) {(char *)(uintptr_t) #name, name}
        T(three_in_a_row_are_a_hole_and_two_are_not),
        T(it_is_told_once_and_ends_after_three),
        T(a_link_that_is_down_has_no_hole),
        T(what_our_own_interface_refuses_is_lost),
        T(an_answer_to_what_was_not_sent_says_nothing),
        CU_TEST_INFO_NULL,
    };

    return run_suite("mtu", tests);
}
