/* inventory_credit.c - what an SLA gives back: the key 'credits'.
 *
 * After inventory_metric.c (metrics and limits) and inventory_sla.c, which reads the objectives
 * first; before collector/credit.h, which reckons with the tiers. */
#include "inventory_parts.h"

#include <stdlib.h>
#include <string.h>

#include "value.h"

#define TIERS_MAX 16u
/* 10000 %, and the longest period: more is a slip of the pen. */
#define EXCESS_MAX_MILLI UINT64_C(10000000)
#define OUTAGE_MAX_NS (31 * 86400 * NS_PER_S)

/* In the order of enum inv_credit_by. */
const char *const inventory_credit_kinds[INV_CREDIT_KINDS] = {"value", "excess", "outage"};

/* --- One tier --------------------------------------------------------------- */

struct tier_draft {
    uint32_t credit;
    const struct yaml_node *below, *above;
};

static const struct bind_key tier_keys[] = {
    {.key = "below", .type = BIND_NODE, .offset = offsetof(struct tier_draft, below)},
    {.key = "above", .type = BIND_NODE, .offset = offsetof(struct tier_draft, above)},
    {.key = "credit",
     .type = BIND_PERCENT,
     .offset = offsetof(struct tier_draft, credit),
     .min = 1,
     .max = 100000,
     .required = true},
    {.key = NULL},
};

/* Only availability itself falls below; all else goes above. */
static bool
goes_down(const struct inv_credit *credit)
{
    return credit->by == INV_CREDIT_BY_VALUE && credit->metric.kind == INV_AVAILABILITY;
}

static bool
read_excess(struct loader *l, const struct yaml_node *node, uint64_t *out)
{
    char got[64];

    if (node->kind == YAML_SCALAR && value_parse_percent(node->text, out) &&
        *out <= EXCESS_MAX_MILLI) {
        return true;
    }
    fault_error(l->faults, node->at,
                "expected by how much of the limit it is exceeded, 0%% to 10000%%, such as 25%%, "
                "got %s",
                yaml_describe(node, got, sizeof got));
    return false;
}

static bool
read_outage(struct loader *l, const struct yaml_node *node, uint64_t *out)
{
    struct span length;
    char got[64];

    if (node->kind == YAML_SCALAR && value_parse_span(node->text, &length) &&
        length.ns <= OUTAGE_MAX_NS) {
        *out = (uint64_t)length.ns;
        return true;
    }
    fault_error(l->faults, node->at,
                "expected how long one outage is, 0s to 31d with its unit, such as 5m, got %s",
                yaml_describe(node, got, sizeof got));
    return false;
}

static bool
read_bound(struct loader *l, const struct yaml_node *node, const struct inv_credit *credit,
           uint64_t *out)
{
    switch (credit->by) {
    case INV_CREDIT_BY_EXCESS:
        return read_excess(l, node, out);
    case INV_CREDIT_BY_OUTAGE:
        return read_outage(l, node, out);
    case INV_CREDIT_BY_VALUE:
        break;
    }
    return inventory_read_limit(l, node, credit->metric, out);
}

static bool
read_tier(struct loader *l, const struct yaml_node *node, const struct inv_credit *credit,
          struct inv_tier *out)
{
    struct tier_draft d = {0};
    bool down = goes_down(credit);
    bool good = bind_map(&l->bind, node, node->at, tier_keys, &d);
    const struct yaml_node *bound = down ? d.below : d.above, *other = down ? d.above : d.below;

    if (other) {
        static const char *const why[] = {
            [INV_CREDIT_BY_VALUE] = "this metric is missed when it is above its limit",
            [INV_CREDIT_BY_EXCESS] = "a limit is exceeded by more than something: 'above'",
            [INV_CREDIT_BY_OUTAGE] = "an outage is longer than something: 'above'"};
        fault_error(l->faults, other->key_at, "'%s' here: %s", other->key,
                    down ? "availability is missed when it is below its limit" : why[credit->by]);
        return false;
    }
    if (node->kind == YAML_MAP && !bound) {
        fault_error(l->faults, node->at, "key '%s' is missing", down ? "below" : "above");
        return false;
    }
    out->credit_milli = d.credit;
    return bound && read_bound(l, bound, credit, &out->bound) && good;
}

/* From the mildest to the worst: each step further out, and worth more. */
static void
check_tiers(struct loader *l, const struct yaml_node *list, const struct inv_credit *credit)
{
    const struct yaml_node *n = list->first ? list->first->next : NULL;
    bool down = goes_down(credit);

    for (size_t i = 1; n && i < credit->tier_count; i++, n = n->next) {
        const struct inv_tier *milder = &credit->tiers[i - 1], *worse = &credit->tiers[i];
        if (down ? worse->bound >= milder->bound : worse->bound <= milder->bound) {
            fault_error(l->faults, n->at,
                        "tiers go from the mildest to the worst: this one is not "
                        "worse than the one before");
        } else if (worse->credit_milli <= milder->credit_milli) {
            fault_error(l->faults, n->at,
                        "this tier is worse than the one before, and gives no "
                        "more credit");
        }
    }
}

/* --- One metric ------------------------------------------------------------- */

static void
read_tiers(struct loader *l, const struct yaml_node *list, struct inv_credit credit,
           struct inv_sla *sla)
{
    bool good = true;

    if (!bind_expect(&l->bind, list, YAML_LIST,
                     goes_down(&credit) ? "a list of {below, credit}"
                                        : "a list of {above, credit}")) {
        return;
    }
    if (list->count == 0 || list->count > TIERS_MAX) {
        fault_error(l->faults, list->at, "expected 1 to %u tiers, got %zu", TIERS_MAX, list->count);
        return;
    }
    credit.tiers = pool_array(l->pool, list->count, sizeof *credit.tiers);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        good = read_tier(l, n, &credit, &credit.tiers[credit.tier_count++]) && good;
    }
    if (good) {
        check_tiers(l, list, &credit);
    }
    sla->credits[sla->credit_count++] = credit;
}

/* Whether the SLA has an objective on it; '*zero': one whose limit is 0. */
static bool
has_objective(const struct inv_sla *sla, struct inv_metric metric, bool *zero)
{
    bool found = false;

    *zero = false;
    for (size_t i = 0; i < sla->objective_count; i++) {
        if (inv_metric_equal(sla->objectives[i].metric, metric)) {
            found = true;
            *zero = *zero || sla->objectives[i].limit == 0;
        }
    }
    return found;
}

/* Which of the kinds 'name' is, or INV_CREDIT_KINDS. */
static unsigned
kind_of(const char *name)
{
    unsigned by = 0;

    while (by < INV_CREDIT_KINDS && strcmp(name, inventory_credit_kinds[by]) != 0) {
        by++;
    }
    return by;
}

static void
read_kind(struct loader *l, const struct yaml_node *list, struct inv_metric metric, bool zero,
          struct inv_sla *sla)
{
    struct nearest near = {.wanted = list->key};
    unsigned by = kind_of(list->key);
    bool availability = metric.kind == INV_AVAILABILITY;
    char hint[96];

    if (by == INV_CREDIT_KINDS) {
        for (unsigned i = 0; i < INV_CREDIT_KINDS; i++) {
            nearest_offer(&near, inventory_credit_kinds[i]);
        }
        fault_error(l->faults, list->key_at,
                    "unknown key '%.63s'%s (expected: value, excess, outage)", list->key,
                    nearest_text(&near, hint, sizeof hint));
    } else if (by == INV_CREDIT_BY_OUTAGE && !availability) {
        fault_error(l->faults, list->key_at,
                    "'outage' is of availability: this metric has no outages");
    } else if (by == INV_CREDIT_BY_EXCESS && availability) {
        fault_error(l->faults, list->key_at,
                    "'excess' is of metrics with a greatest value; availability has 'value' "
                    "(tiers below a percentage) and 'outage'");
    } else if (by == INV_CREDIT_BY_EXCESS && zero) {
        fault_error(l->faults, list->key_at,
                    "an objective on it has the limit 0, of which an excess is no percentage; "
                    "give tiers by 'value'");
    } else {
        read_tiers(l, list, (struct inv_credit){.metric = metric, .by = (enum inv_credit_by)by},
                   sla);
    }
}

/* A list is tiers by value; a map says by what. */
static void
read_credit(struct loader *l, const struct yaml_node *node, struct inv_sla *sla)
{
    struct yaml_node name = {.kind = YAML_SCALAR, .at = node->key_at, .text = node->key};
    struct inv_metric metric;
    bool zero;

    if (!inventory_read_metric(l, &name, &metric)) {
        return;
    }
    if (!has_objective(sla, metric, &zero)) {
        fault_error(l->faults, node->key_at, "no objective of this SLA is on '%.63s'", node->key);
    }
    if (node->kind != YAML_MAP) {
        read_tiers(l, node, (struct inv_credit){.metric = metric}, sla);
        return;
    }
    if (node->count == 0) {
        fault_error(l->faults, node->at, "expected one of value, excess, outage at least");
    }
    for (const struct yaml_node *n = node->first; n; n = n->next) {
        read_kind(l, n, metric, zero, sla);
    }
}

/* --- All of them ------------------------------------------------------------ */

static const struct bind_key cap_key = {.key = "cap",
                                        .type = BIND_PERCENT,
                                        .offset = offsetof(struct inv_sla, cap_milli),
                                        .min = 1,
                                        .max = 100000};

static int
credit_compare(const void *left, const void *right)
{
    const struct inv_credit *a = left, *b = right;

    if (a->metric.kind != b->metric.kind) {
        return a->metric.kind < b->metric.kind ? -1 : 1;
    }
    if (a->metric.quantile_milli != b->metric.quantile_milli) {
        return a->metric.quantile_milli < b->metric.quantile_milli ? -1 : 1;
    }
    return a->by < b->by ? -1 : a->by > b->by;
}

void
inventory_read_credits(struct loader *l, const struct yaml_node *map, struct inv_sla *sla)
{
    if (!bind_expect(&l->bind, map, YAML_MAP, "a map of tiers by metric, and a cap")) {
        return;
    }
    sla->credits = pool_array(l->pool, map->count * INV_CREDIT_KINDS, sizeof *sla->credits);
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        if (strcmp(n->key, "cap") == 0) {
            bind_value(&l->bind, &cap_key, n, sla);
        } else {
            read_credit(l, n, sla);
        }
    }
    if (sla->credit_count) {
        qsort(sla->credits, sla->credit_count, sizeof *sla->credits, credit_compare);
    }
}
