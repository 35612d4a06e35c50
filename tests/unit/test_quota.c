/* test_quota.c - what is counted of a stream is never too little, and too much by a
 * run at most. */
#include "quota.h"

#include "harness.h"

static struct position
at(uint64_t sequence)
{
    return (struct position){1, sequence};
}

static void
no_bound_takes_everything(void)
{
    struct quota q;

    quota_init(&q, 0);
    for (uint64_t i = 1; i < 1000; i++) {
        CU_ASSERT_TRUE(quota_fits(&q, SIZE_MAX / 2));
        quota_sent(&q, at(i), 1 << 20);
    }
    CU_ASSERT_EQUAL(q.bytes, 0);
}

static void
the_bound_holds_to_the_byte(void)
{
    struct quota q;

    quota_init(&q, 1000 + 2 * QUOTA_ENTRY_BYTES);
    CU_ASSERT_TRUE(quota_fits(&q, 1 << 20)); /* One always fits into an empty stream. */
    quota_sent(&q, at(1), 400);
    CU_ASSERT_TRUE(quota_fits(&q, 600));
    CU_ASSERT_FALSE(quota_fits(&q, 601));
    quota_sent(&q, at(2), 600);
    CU_ASSERT_FALSE(quota_fits(&q, 0));
    quota_acked(&q, at(1));
    CU_ASSERT_TRUE(quota_fits(&q, 400 - 0));
    quota_acked(&q, at(2));
    CU_ASSERT_EQUAL(q.bytes, 0);
}

static void
an_entry_that_is_sent_again_is_counted_once(void)
{
    struct quota q;

    quota_init(&q, 10000);
    quota_sent(&q, at(5), 100);
    quota_sent(&q, at(5), 100);
    quota_sent(&q, at(4), 100);
    CU_ASSERT_EQUAL(q.bytes, 100 + QUOTA_ENTRY_BYTES);
    quota_reset(&q);
    CU_ASSERT_EQUAL(q.bytes, 0);
    quota_sent(&q, at(4), 100);
    CU_ASSERT_EQUAL(q.bytes, 100 + QUOTA_ENTRY_BYTES);
}

static void
what_is_counted_begins_after_the_ack(void)
{
    struct quota q;

    quota_init(&q, 10000);
    quota_acked(&q, at(7));
    CU_ASSERT_EQUAL(quota_counted(&q).sequence, 7);
    quota_sent(&q, at(9), 1);
    CU_ASSERT_EQUAL(quota_counted(&q).sequence, 9);
    quota_reset(&q);
    CU_ASSERT_EQUAL(quota_counted(&q).sequence, 7);
}

/* Beside a count of each entry: never less, more by a run and its last entry. */
static void
the_count_stays_near_the_truth(void)
{
    static uint64_t sizes[20001];
    struct quota q;
    const uint64_t bound = 200000;
    uint64_t next = 1, acked = 0;

    quota_init(&q, bound);
    for (int step = 0; step < 200000 && next <= 20000; step++) {
        size_t size = (size_t)random_below(3000);
        if (random_chance(700) && quota_fits(&q, size)) {
            sizes[next] = size + QUOTA_ENTRY_BYTES;
            quota_sent(&q, at(next++), size);
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
        {"what_is_counted_begins_after_the_ack", what_is_counted_begins_after_the_ack},
        {"the_count_stays_near_the_truth", the_count_stays_near_the_truth},
        CU_TEST_INFO_NULL};

    random_begin();
    return run_suite("quota", tests);
}
