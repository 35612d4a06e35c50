/* test_credit.c - credits by the contracts that are public (datahub-ix, PacketFabric, Packet), one
 * unit to either side of each tier, and the sum of a month. */
#include "credit.h"

#include "harness.h"

#define MINUTE (60 * NS_PER_S)
#define COUNT(list) (sizeof(list) / sizeof(list)[0])

/* --- Contracts -------------------------------------------------------------- */

/* By monthly availability: from 99.0 to the target 10 % of the charge, from 97 25 %, from 95 50 %,
 * below all of it. */
static struct inv_tier datahub_tiers[] = {
    {99900, 10000}, {99000, 25000}, {97000, 50000}, {95000, 100000}};
static const struct inv_credit datahub = {
    {INV_AVAILABILITY, 0}, INV_CREDIT_BY_VALUE, datahub_tiers, COUNT(datahub_tiers)};

static void
datahub_ix_pays_by_availability(void)
{
    static const struct {
        uint64_t value;
        uint32_t credit;
    } known[] = {{100000, 0},    {99900, 0},     {99899, 10000}, {99000, 10000},  {98999, 25000},
                 {97000, 25000}, {96999, 50000}, {95000, 50000}, {94999, 100000}, {0, 100000}};

    for (size_t i = 0; i < COUNT(known); i++) {
        CU_ASSERT_EQUAL(credit_by_value(&datahub, known[i].value), known[i].credit);
    }
}

/* By how far the limit was exceeded: 10, 25, 50, 75, 100 % over give 10, 20, 30, 40, 50 %. */
static struct inv_tier packetfabric_tiers[] = {
    {10000, 10000}, {25000, 20000}, {50000, 30000}, {75000, 40000}, {100000, 50000}};
static const struct inv_credit packetfabric = {
    {INV_RT, 99000}, INV_CREDIT_BY_EXCESS, packetfabric_tiers, COUNT(packetfabric_tiers)};

static void
packetfabric_pays_by_how_far_a_limit_was_exceeded(void)
{
    const uint64_t limit = 20 * (uint64_t)NS_PER_MS;
    static const struct {
        uint64_t percent;
        uint32_t credit;
    } known[] = {{10, 10000}, {25, 20000}, {50, 30000}, {75, 40000}, {100, 50000}};
    uint32_t before = 0;

    CU_ASSERT_EQUAL(credit_by_excess(&packetfabric, 0, limit), 0);
    CU_ASSERT_EQUAL(credit_by_excess(&packetfabric, limit, limit), 0);
    CU_ASSERT_EQUAL(credit_by_excess(&packetfabric, limit + 1, limit), 0);
    for (size_t i = 0; i < COUNT(known); i++) {
        uint64_t value = limit + limit / 100 * known[i].percent;
        CU_ASSERT_EQUAL(credit_by_excess(&packetfabric, value, limit), before);
        CU_ASSERT_EQUAL(credit_by_excess(&packetfabric, value + 1, limit), known[i].credit);
        before = known[i].credit;
    }
    CU_ASSERT_EQUAL(credit_by_excess(&packetfabric, 1000 * limit, limit), 50000);
}

/* By the length of one outage: 5 to 30 minutes, 30 to 90, 90 and more. */
static struct inv_tier packet_tiers[] = {
    {5 * MINUTE, 5000}, {30 * MINUTE, 10000}, {90 * MINUTE, 25000}};
static const struct inv_credit packet = {
    {INV_AVAILABILITY, 0}, INV_CREDIT_BY_OUTAGE, packet_tiers, COUNT(packet_tiers)};

static void
packet_pays_by_the_length_of_an_outage(void)
{
    static const struct {
        int64_t length;
        uint32_t credit;
    } known[] = {{0, 0},
                 {5 * MINUTE, 0},
                 {5 * MINUTE + 1, 5000},
                 {30 * MINUTE, 5000},
                 {30 * MINUTE + 1, 10000},
                 {90 * MINUTE, 10000},
                 {90 * MINUTE + 1, 25000},
                 {INT64_MAX, 25000}};

    for (size_t i = 0; i < COUNT(known); i++) {
        CU_ASSERT_EQUAL(credit_by_outage(&packet, span_of_ns(known[i].length)), known[i].credit);
    }
}

/* --- Tiers -------------------------------------------------------------------- */

static void
value_above_a_tier_is_worse_but_for_availability(void)
{
    struct inv_tier tiers[] = {{100, 10000}, {1000, 20000}};
    struct inv_credit flr = {{INV_FLR, 0}, INV_CREDIT_BY_VALUE, tiers, 2};

    CU_ASSERT_EQUAL(credit_by_value(&flr, 100), 0);
    CU_ASSERT_EQUAL(credit_by_value(&flr, 101), 10000);
    CU_ASSERT_EQUAL(credit_by_value(&flr, 1000), 10000);
    CU_ASSERT_EQUAL(credit_by_value(&flr, 1001), 20000);
}

static void
excess_of_availability_is_what_is_missing(void)
{
    struct inv_tier tiers[] = {{1000, 10000}};
    struct inv_credit c = {{INV_AVAILABILITY, 0}, INV_CREDIT_BY_EXCESS, tiers, 1};

    CU_ASSERT_EQUAL(credit_by_excess(&c, 99000, 99000), 0);
    CU_ASSERT_EQUAL(credit_by_excess(&c, 98010, 99000), 0);
    CU_ASSERT_EQUAL(credit_by_excess(&c, 98009, 99000), 10000);
    CU_ASSERT_EQUAL(credit_by_excess(&c, 100000, 99000), 0);
}

static void
limit_of_zero_is_exceeded_beyond_every_tier(void)
{
    CU_ASSERT_EQUAL(credit_by_excess(&packetfabric, 0, 0), 0);
    CU_ASSERT_EQUAL(credit_by_excess(&packetfabric, 1, 0), 50000);
}

static void
tier_above_nothing_is_any_excess(void)
{
    struct inv_tier tiers[] = {{0, 10000}};
    struct inv_credit c = {{INV_FLR, 0}, INV_CREDIT_BY_EXCESS, tiers, 1};

    CU_ASSERT_EQUAL(credit_by_excess(&c, 100, 100), 0);
    CU_ASSERT_EQUAL(credit_by_excess(&c, 101, 100), 10000);
}

/* --- A month -------------------------------------------------------------------- */

/* 'outage' > 0: its start, and it is 10 long. */
static struct credit_claim
claim(enum inv_metric_kind kind, int64_t outage, uint32_t credit)
{
    struct credit_claim c = {.metric = {kind, 0}, .class_name = "gold", .credit_milli = credit};

    if (outage) {
        c.outage = (struct outage){{outage}, {outage + 10}, {10}};
    }
    return c;
}

/* Of claims that stay as they are. */
static uint32_t
credit_sum(const struct credit_claim *claims, size_t count, uint32_t cap_milli)
{
    struct credit_claim copy[64];
    uint32_t sum = 0, counted = 0;

    if (count) {
        memcpy(copy, claims, count * sizeof *claims);
    }
    size_t left = credit_settle(copy, count, cap_milli, &sum);
    CU_ASSERT_TRUE(left <= count);
    for (size_t i = 0; i < left; i++) {
        counted += copy[i].counts ? copy[i].credit_milli : 0;
    }
    CU_ASSERT_EQUAL(sum, counted < cap_milli ? counted : cap_milli);
    return sum;
}

static void
nothing_is_claimed(void)
{
    CU_ASSERT_EQUAL(credit_sum(NULL, 0, 100000), 0);
}

static void
one_outage_gives_one_credit(void)
{
    const struct credit_claim claims[] = {
        claim(INV_AVAILABILITY, 1000, 5000), claim(INV_AVAILABILITY, 2000, 10000),
        claim(INV_AVAILABILITY, 1000, 7000), claim(INV_AVAILABILITY, 1000, 7000)};

    CU_ASSERT_EQUAL(credit_sum(claims, 1, 100000), 5000);
    CU_ASSERT_EQUAL(credit_sum(claims, 2, 100000), 15000);
    CU_ASSERT_EQUAL(credit_sum(claims, 3, 100000), 17000);
    CU_ASSERT_EQUAL(credit_sum(claims, 4, 100000), 17000);
}

/* An outage is in the month's availability and in flr_raw as well. */
static void
outage_is_not_paid_again_as_availability(void)
{
    const struct credit_claim claims[] = {
        claim(INV_AVAILABILITY, 1000, 5000), claim(INV_AVAILABILITY, 2000, 10000),
        claim(INV_AVAILABILITY, 0, 12000), claim(INV_FLR_RAW, 0, 14000),
        claim(INV_FLR_RAW, 0, 20000)};

    CU_ASSERT_EQUAL(credit_sum(claims, 3, 100000), 15000);
    CU_ASSERT_EQUAL(credit_sum(claims, 4, 100000), 15000);
    CU_ASSERT_EQUAL(credit_sum(claims, 5, 100000), 20000);
    CU_ASSERT_EQUAL(credit_sum(claims + 2, 1, 100000), 12000);
}

/* The same outage, as two classes saw it: it begins and ends with the one and lasts with the other.
 */
static void
outages_of_classes_that_overlap_are_one(void)
{
    struct credit_claim claims[] = {
        claim(INV_AVAILABILITY, 1000, 5000), claim(INV_AVAILABILITY, 1009, 7000),
        claim(INV_AVAILABILITY, 1018, 6000), claim(INV_AVAILABILITY, 1028, 4000)};
    uint32_t sum;

    CU_ASSERT_EQUAL(credit_sum(claims, 4, 100000), 11000);
    CU_ASSERT_EQUAL(credit_settle(claims, 4, 100000, &sum), 2);
    CU_ASSERT_EQUAL(claims[0].outage.start.ns, 1009);
    CU_ASSERT_EQUAL(claims[0].credit_milli, 7000);
    CU_ASSERT_EQUAL(claims[1].outage.start.ns, 1028);
}

/* What stands beside each other, and of what shows in one another only one way counts. */
static void
settled_claims_say_which_of_them_count(void)
{
    struct credit_claim claims[] = {claim(INV_FLR, 0, 3000),
                                    claim(INV_AVAILABILITY, 0, 12000),
                                    claim(INV_AVAILABILITY, 2000, 10000),
                                    claim(INV_AVAILABILITY, 1000, 5000),
                                    claim(INV_FLR_RAW, 0, 14000),
                                    claim(INV_FLR, 0, 2000)};
    uint32_t sum;

    CU_ASSERT_EQUAL(credit_settle(claims, COUNT(claims), 100000, &sum), 5);
    CU_ASSERT_EQUAL(sum, 18000);
    CU_ASSERT_EQUAL(claims[0].outage.start.ns, 1000);
    CU_ASSERT_EQUAL(claims[1].outage.start.ns, 2000);
    for (size_t i = 0; i < 5; i++) {
        bool counts = claims[i].outage.length.ns > 0 || claims[i].metric.kind == INV_FLR;
        CU_ASSERT_EQUAL(claims[i].counts, counts);
    }
    claims[2].credit_milli = 15001; /* INV_AVAILABILITY or INV_FLR_RAW: past the outages. */
    CU_ASSERT_TRUE(claims[2].outage.length.ns == 0);
    bool flr = claims[2].metric.kind == INV_FLR;
    CU_ASSERT_EQUAL(credit_settle(claims, 5, 100000, &sum), 5);
    CU_ASSERT_EQUAL(sum, flr ? 30001 : 18001);
    CU_ASSERT_EQUAL(claims[0].counts, flr);
}

/* Both directions are over the limit: one metric, one credit; another metric is another. */
static void
one_metric_gives_one_credit(void)
{
    const struct credit_claim claims[] = {claim(INV_FLR, 0, 5000), claim(INV_FLR, 0, 8000),
                                          claim(INV_RT_MEAN, 0, 3000),
                                          claim(INV_AVAILABILITY, 0, 10000)};
    struct credit_claim quantiles[] = {claim(INV_RT, 0, 5000), claim(INV_RT, 0, 5000)};

    CU_ASSERT_EQUAL(credit_sum(claims, 2, 100000), 8000);
    CU_ASSERT_EQUAL(credit_sum(claims, 3, 100000), 11000);
    CU_ASSERT_EQUAL(credit_sum(claims, 4, 100000), 21000);
    CU_ASSERT_EQUAL(credit_sum(quantiles, 2, 100000), 5000);
    quantiles[1].metric.quantile_milli = 99000;
    CU_ASSERT_EQUAL(credit_sum(quantiles, 2, 100000), 10000);
}

static void
cap_bounds_the_sum(void)
{
    struct credit_claim claims[40];

    for (int i = 0; i < 40; i++) {
        claims[i] =
            claim(INV_AVAILABILITY, 1 + 10 * i, 10000); /* One ends where the next begins. */
    }
    CU_ASSERT_EQUAL(credit_sum(claims, 40, 100000), 100000);
    CU_ASSERT_EQUAL(credit_sum(claims, 10, 100000), 100000);
    CU_ASSERT_EQUAL(credit_sum(claims, 9, 100000), 90000);
    CU_ASSERT_EQUAL(credit_sum(claims, 9, 89999), 89999);
}

/* Whatever order the claims come in. */
static void
order_of_claims_changes_nothing(void)
{
    struct credit_claim claims[12];

    for (int i = 0; i < 500; i++) {
        size_t count = 1 + random_below(12);
        for (size_t c = 0; c < count; c++) {
            int64_t outage = 20 * (int64_t)random_below(4);
            claims[c] = claim(outage || random_chance(500) ? INV_AVAILABILITY : INV_FLR, outage,
                              1000 * (1 + (uint32_t)random_below(5)));
        }
        uint32_t sum = credit_sum(claims, count, 100000);
        for (size_t c = count - 1; c > 0; c--) {
            size_t other = random_below(c + 1);
            struct credit_claim swap = claims[c];
            claims[c] = claims[other];
            claims[other] = swap;
        }
        CU_ASSERT_EQUAL(credit_sum(claims, count, 100000), sum);
    }
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"datahub_ix_pays_by_availability", datahub_ix_pays_by_availability},
        {"packetfabric_pays_by_how_far_a_limit_was_exceeded",
         packetfabric_pays_by_how_far_a_limit_was_exceeded},
        {"packet_pays_by_the_length_of_an_outage", packet_pays_by_the_length_of_an_outage},
        {"value_above_a_tier_is_worse_but_for_availability",
         value_above_a_tier_is_worse_but_for_availability},
        {"excess_of_availability_is_what_is_missing", excess_of_availability_is_what_is_missing},
        {"limit_of_zero_is_exceeded_beyond_every_tier",
         limit_of_zero_is_exceeded_beyond_every_tier},
        {"tier_above_nothing_is_any_excess", tier_above_nothing_is_any_excess},
        {"nothing_is_claimed", nothing_is_claimed},
        {"one_outage_gives_one_credit", one_outage_gives_one_credit},
        {"outage_is_not_paid_again_as_availability", outage_is_not_paid_again_as_availability},
        {"outages_of_classes_that_overlap_are_one", outages_of_classes_that_overlap_are_one},
        {"settled_claims_say_which_of_them_count", settled_claims_say_which_of_them_count},
        {"one_metric_gives_one_credit", one_metric_gives_one_credit},
        {"cap_bounds_the_sum", cap_bounds_the_sum},
        {"order_of_claims_changes_nothing", order_of_claims_changes_nothing},
        CU_TEST_INFO_NULL,
    };
    return run_suite("credit", tests);
}
