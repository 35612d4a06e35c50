/* test_quota.c - what is counted of a stream is never too little, and too much by a
 * run at most, and what was counted wrongly is put right by what Redis says. */
#include "quota.h"

#include "harness.h"

static struct position
at(uint64_t sequence)
{
    return (struct position){1, sequence};
}

/* The entry after the last one counted: a second of delta-t each. */
static void
count(struct quota *q, uint64_t sequence, size_t size)
{
    const struct spool_record r = {.position = at(sequence),
                                   .size = size,
                                   .from = {(int64_t)sequence * NS_PER_S},
                                   .until = {((int64_t)sequence + 1) * NS_PER_S}};
    quota_count(q, at(sequence - 1), &r);
}

static void
begin(struct quota *q, uint64_t bound)
{
    quota_init(q, bound);
    quota_place(q, at(0), at(0));
}

static void
no_bound_takes_everything(void)
{
    struct quota q;

    begin(&q, 0);
    for (uint64_t i = 1; i < 1000; i++) {
        CU_ASSERT_TRUE(quota_fits(&q, SIZE_MAX / 2));
        count(&q, i, 1 << 20);
    }
    CU_ASSERT_EQUAL(q.bytes, 0);
    CU_ASSERT_TRUE(quota_has(&q, at(UINT64_MAX)));
}

static void
the_bound_holds_to_the_byte(void)
{
    struct quota q;

    begin(&q, 1000 + 2 * QUOTA_ENTRY_BYTES);
    CU_ASSERT_TRUE(quota_fits(&q, 1 << 20)); /* One always fits into an empty stream. */
    count(&q, 1, 400);
    CU_ASSERT_TRUE(quota_fits(&q, 600));
    CU_ASSERT_FALSE(quota_fits(&q, 601));
    count(&q, 2, 600);
    CU_ASSERT_FALSE(quota_fits(&q, 0));
    quota_acked(&q, at(1));
    CU_ASSERT_TRUE(quota_fits(&q, 400));
    CU_ASSERT_FALSE(quota_fits(&q, 401));
    quota_acked(&q, at(2));
    CU_ASSERT_EQUAL(q.bytes, 0);
}

static void
an_entry_that_is_sent_again_is_counted_once(void)
{
    struct quota q;

    begin(&q, 10000);
    count(&q, 1, 100);
    count(&q, 1, 100);
    count(&q, 2, 100);
    count(&q, 1, 100);
    CU_ASSERT_EQUAL(q.bytes, 2 * (100 + QUOTA_ENTRY_BYTES));
}

/* A count that stopped at the bound: what comes after what it passed over waits. */
static void
what_lies_behind_what_is_not_counted_is_counted_later(void)
{
    struct quota q;

    begin(&q, 10000);
    count(&q, 1, 100);
    count(&q, 5, 100);
    CU_ASSERT_EQUAL(q.bytes, 100 + QUOTA_ENTRY_BYTES);
    CU_ASSERT_FALSE(quota_has(&q, at(5)));
    for (uint64_t i = 2; i <= 5; i++) {
        count(&q, i, 100);
    }
    CU_ASSERT_TRUE(quota_has(&q, at(5)));
    CU_ASSERT_EQUAL(q.bytes, 5 * (100 + QUOTA_ENTRY_BYTES));
}

static void
what_redis_says_is_what_there_is(void)
{
    struct quota q;

    begin(&q, 100000);
    for (uint64_t i = 1; i <= 9; i++) {
        count(&q, i, 1000);
    }
    /* As it was counted. */
    quota_place(&q, at(0), at(9));
    CU_ASSERT_EQUAL(q.bytes, 9 * (1000 + QUOTA_ENTRY_BYTES));
    /* The first four are gone, by runs of 1/64 of the bound, two entries each. */
    quota_place(&q, at(4), at(9));
    CU_ASSERT_EQUAL(q.bytes, 5 * (1000 + QUOTA_ENTRY_BYTES));
    /* The last ones are gone: all is counted anew. */
    quota_place(&q, at(4), at(7));
    CU_ASSERT_EQUAL(q.bytes, 0);
    CU_ASSERT_FALSE(quota_has(&q, at(7)));
    count(&q, 5, 1000);
    CU_ASSERT_EQUAL(q.bytes, 1000 + QUOTA_ENTRY_BYTES);
    /* Older ones are back. */
    quota_place(&q, at(2), at(7));
    CU_ASSERT_EQUAL(q.bytes, 0);
    CU_ASSERT_EQUAL(q.high.sequence, 2);
    /* The stream is gone. */
    quota_place(&q, at(7), at(7));
    CU_ASSERT_TRUE(quota_has(&q, at(7)));
    CU_ASSERT_EQUAL(q.bytes, 0);
}

static void
an_ack_beyond_what_was_counted_begins_anew_and_a_lower_one_does_nothing(void)
{
    struct quota q;

    begin(&q, 10000);
    count(&q, 1, 100);
    quota_acked(&q, at(7));
    CU_ASSERT_EQUAL(q.bytes, 0);
    CU_ASSERT_TRUE(quota_has(&q, at(7)));
    count(&q, 8, 100);
    quota_acked(&q, at(3));
    CU_ASSERT_EQUAL(q.bytes, 100 + QUOTA_ENTRY_BYTES);
    CU_ASSERT_EQUAL(q.low.sequence, 7);
}

static void
a_stretch_reaches_from_the_oldest_to_the_newest(void)
{
    struct quota q;

    begin(&q, 10000);
    CU_ASSERT_EQUAL(quota_stretch(&q, instant_of_ns(5), instant_of_ns(7)).ns, 2);
    CU_ASSERT_EQUAL(quota_stretch(&q, instant_of_ns(5), instant_of_ns(0)).ns, 0);
    count(&q, 1, 100);
    count(&q, 2, 100);
    CU_ASSERT_EQUAL(quota_stretch(&q, instant_of_ns(NS_PER_S), instant_of_ns(0)).ns, 2 * NS_PER_S);
    CU_ASSERT_EQUAL(quota_stretch(&q, instant_of_ns(NS_PER_S), instant_of_ns(4 * NS_PER_S)).ns,
                    3 * NS_PER_S);
    /* A clock that went back makes it no shorter. */
    CU_ASSERT_EQUAL(quota_stretch(&q, instant_of_ns(NS_PER_S), instant_of_ns(1)).ns, 2 * NS_PER_S);
}

/* Beside a count of each entry: never less, more by a run and its last entry. */
static void
the_count_stays_near_the_truth(void)
{
    static uint64_t sizes[20001];
    struct quota q;
    const uint64_t bound = 200000;
    uint64_t next = 1, acked = 0;

    begin(&q, bound);
    for (int step = 0; step < 200000 && next <= 20000; step++) {
        size_t size = (size_t)random_below(3000);
        if (random_chance(700) && quota_fits(&q, size)) {
            sizes[next] = size + QUOTA_ENTRY_BYTES;
            count(&q, next++, size);
        } else {
            acked += random_below(next - acked);
            quota_acked(&q, at(acked));
        }
        uint64_t truth = 0;
        for (uint64_t i = acked + 1; i < next; i++) {
            truth += sizes[i];
        }
        CU_ASSERT_TRUE(q.bytes >= truth);
        CU_ASSERT_TRUE(q.bytes <= truth + bound / QUOTA_RUNS + 3000 + QUOTA_ENTRY_BYTES);
        CU_ASSERT_TRUE(q.bytes <= bound);
    }
    quota_acked(&q, at(next));
    CU_ASSERT_EQUAL(q.bytes, 0);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"no_bound_takes_everything", no_bound_takes_everything},
        {"the_bound_holds_to_the_byte", the_bound_holds_to_the_byte},
        {"an_entry_that_is_sent_again_is_counted_once",
         an_entry_that_is_sent_again_is_counted_once},
        {"what_lies_behind_what_is_not_counted_is_counted_later",
         what_lies_behind_what_is_not_counted_is_counted_later},
        {"what_redis_says_is_what_there_is", what_redis_says_is_what_there_is},
        {"an_ack_beyond_what_was_counted_begins_anew_and_a_lower_one_does_nothing",
         an_ack_beyond_what_was_counted_begins_anew_and_a_lower_one_does_nothing},
        {"a_stretch_reaches_from_the_oldest_to_the_newest",
         a_stretch_reaches_from_the_oldest_to_the_newest},
        {"the_count_stays_near_the_truth", the_count_stays_near_the_truth},
        CU_TEST_INFO_NULL};

    return run_suite("quota", tests);
}
