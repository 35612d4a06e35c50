/* credit.c - tiers, and a sum in which no outage is paid for twice. */
#include "credit.h"

#include <assert.h>
#include <stdbool.h>

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

/* Whether two claims are about the same thing. */
static bool
is_same(const struct credit_claim *a, const struct credit_claim *b)
{
    if (a->outage.ns || b->outage.ns) {
        return a->outage.ns == b->outage.ns;
    }
    return a->metric.kind == b->metric.kind && a->metric.quantile_milli == b->metric.quantile_milli;
}

/* Whether another claim about the same thing stands for this one: a higher one, or an earlier one
 * of the same height. */
static bool
is_covered(const struct credit_claim *claims, size_t count, size_t at)
{
    for (size_t i = 0; i < count; i++) {
        if (i != at && is_same(&claims[i], &claims[at]) &&
            (claims[i].credit_milli > claims[at].credit_milli ||
             (claims[i].credit_milli == claims[at].credit_milli && i < at))) {
            return true;
        }
    }
    return false;
}

uint32_t
credit_sum(const struct credit_claim *claims, size_t count, uint32_t cap_milli)
{
    uint64_t outages = 0, rest = 0;
    uint32_t shown = 0; /* Where outages show as well. */

    for (size_t i = 0; i < count; i++) {
        const struct credit_claim *c = &claims[i];
        if (is_covered(claims, count, i)) {
            continue;
        }
        if (c->outage.ns) {
            outages += c->credit_milli;
        } else if (c->metric.kind == INV_AVAILABILITY || c->metric.kind == INV_FLR_RAW) {
            shown = greater(shown, c->credit_milli);
        } else {
            rest += c->credit_milli;
        }
    }
    uint64_t sum = rest + (outages > shown ? outages : shown);
    return sum < cap_milli ? (uint32_t)sum : cap_milli;
}
