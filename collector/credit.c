/* credit.c - tiers, and a sum in which no outage is paid for twice. */
#include "credit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WHOLE_MILLI 100000u /* 100 % in milli-percent. */

/* A value times a share. */
__extension__ typedef unsigned __int128 credit_wide;

/* --- Tiers ------------------------------------------------------------------- */

static uint32_t
greater(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

uint32_t
credit_by_value(const struct inv_credit *c, uint64_t value)
{
    uint32_t credit = 0;

    assert(c->by == INV_CREDIT_BY_VALUE);
    for (size_t i = 0; i < c->tier_count; i++) {
        uint64_t bound = c->tiers[i].bound;
        if (c->metric.kind == INV_AVAILABILITY ? value < bound : value > bound) {
            credit = greater(credit, c->tiers[i].credit_milli);
        }
    }
    return credit;
}

uint32_t
credit_by_excess(const struct inv_credit *c, uint64_t value, uint64_t limit)
{
    bool down = c->metric.kind == INV_AVAILABILITY;
    uint64_t past = down ? limit - value : value - limit;
    uint32_t credit = 0;

    assert(c->by == INV_CREDIT_BY_EXCESS);
    if (down ? value >= limit : value <= limit) {
        return 0;
    }
    for (size_t i = 0; i < c->tier_count; i++) {
        if ((credit_wide)past * WHOLE_MILLI > (credit_wide)c->tiers[i].bound * limit) {
            credit = greater(credit, c->tiers[i].credit_milli);
        }
    }
    return credit;
}

uint32_t
credit_by_outage(const struct inv_credit *c, struct span length)
{
    uint32_t credit = 0;

    assert(c->by == INV_CREDIT_BY_OUTAGE);
    for (size_t i = 0; i < c->tier_count; i++) {
        if (length.ns > 0 && (uint64_t)length.ns > c->tiers[i].bound) {
            credit = greater(credit, c->tiers[i].credit_milli);
        }
    }
    return credit;
}

/* --- The sum ------------------------------------------------------------------ */

static bool
is_outage(const struct credit_claim *c)
{
    return c->outage.length.ns > 0;
}

static int
compare(int64_t a, int64_t b)
{
    return a < b ? -1 : a > b;
}

/* Outages by their start, then metrics; the highest first. */
static int
compare_claims(const void *left, const void *right)
{
    const struct credit_claim *a = left, *b = right;
    int order = compare(is_outage(b), is_outage(a));

    order = order ? order : compare(a->outage.start.ns, b->outage.start.ns);
    order = order ? order : compare(a->metric.kind, b->metric.kind);
    order = order ? order : compare(a->metric.quantile_milli, b->metric.quantile_milli);
    order = order ? order : compare(b->credit_milli, a->credit_milli);
    order = order ? order : compare(b->outage.length.ns, a->outage.length.ns);
    return order ? order : strcmp(a->class_name, b->class_name);
}

/* Whether the claim is on what those are on of which 'kept' is the highest; their outages end at
 * 'end'. */
static bool
is_same(const struct credit_claim *kept, struct instant end, const struct credit_claim *c)
{
    if (is_outage(kept) || is_outage(c)) {
        return is_outage(kept) && is_outage(c) && c->outage.start.ns < end.ns;
    }
    return inv_metric_equal(kept->metric, c->metric);
}

/* Of claims on the same thing the highest to the front; how many are left. */
static size_t
keep_highest(struct credit_claim *claims, size_t count)
{
    struct instant end = {0};
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        struct credit_claim c = claims[i];
        if (kept && is_same(&claims[kept - 1], end, &c)) {
            end = c.outage.end.ns > end.ns ? c.outage.end : end;
            if (c.credit_milli > claims[kept - 1].credit_milli) {
                claims[kept - 1] = c;
            }
        } else {
            end = c.outage.end;
            claims[kept++] = c;
        }
    }
    return kept;
}

/* What one outage may give through: by its length, in availability, in flr_raw. */
enum through { BY_OUTAGES, BY_AVAILABILITY, BY_FLR_RAW, THROUGHS, BY_ITSELF = THROUGHS };

static enum through
through_of(const struct credit_claim *c)
{
    return is_outage(c)                         ? BY_OUTAGES
           : c->metric.kind == INV_AVAILABILITY ? BY_AVAILABILITY
           : c->metric.kind == INV_FLR_RAW      ? BY_FLR_RAW
                                                : BY_ITSELF;
}

size_t
credit_settle(struct credit_claim *claims, size_t count, uint32_t cap_milli, uint32_t *sum_milli)
{
    uint64_t sums[THROUGHS + 1] = {0};
    enum through best = BY_OUTAGES;

    if (count) {
        qsort(claims, count, sizeof *claims, compare_claims);
    }
    count = keep_highest(claims, count);
    for (size_t i = 0; i < count; i++) {
        sums[through_of(&claims[i])] += claims[i].credit_milli;
    }
    for (enum through w = BY_OUTAGES; w < THROUGHS; w++) {
        best = sums[w] > sums[best] ? w : best;
    }
    for (size_t i = 0; i < count; i++) {
        claims[i].counts = through_of(&claims[i]) == best || through_of(&claims[i]) == BY_ITSELF;
    }
    uint64_t sum = sums[best] + sums[BY_ITSELF];
    *sum_milli = sum < cap_milli ? (uint32_t)sum : cap_milli;
    return count;
}
