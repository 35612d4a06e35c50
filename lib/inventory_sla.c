/* inventory_sla.c - metrics by name, and the section 'slas': objectives and
 * credits. */
#include "inventory_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "value.h"

/* --- Metrics -------------------------------------------------------------- */

static const struct {
    const char *name; /* Of one with a quantile: what stands before "_p". */
    enum inv_metric_kind kind;
    bool quantile;
    enum inv_unit unit;
} metrics[] = {
    {"flr", INV_FLR, false, INV_MILLI_PERCENT},
    {"availability", INV_AVAILABILITY, false, INV_MILLI_PERCENT},
    {"hli", INV_HLI, false, INV_COUNT},
    {"chli", INV_CHLI, false, INV_COUNT},
    {"rt", INV_RT, true, INV_NS},
    {"rt_mean", INV_RT_MEAN, false, INV_NS},
    {"fd", INV_FD, true, INV_NS},
    {"fd_mean", INV_FD_MEAN, false, INV_NS},
    {"fdr", INV_FDR, true, INV_NS},
    {"ifdv", INV_IFDV, true, INV_NS},
    {"pdv", INV_PDV, true, INV_NS},
    {"ipdv_abs_mean", INV_IPDV_ABS_MEAN, false, INV_NS},
};
#define METRICS (sizeof metrics / sizeof metrics[0])

/* Words that people use, and what they could have meant. */
static const struct {
    const char *word, *meaning;
} vague[] = {
    {"jitter",
     "'jitter' has many meanings; say which: fdr_p99_9 (the delay's p99.9 less its least), "
     "pdv_p99_9 (the same, as RFC 5481), ifdv_p99_9 (difference of neighbours), ipdv_abs_mean "
     "(the mean of that)"},
    {"rfc3550",
     "'rfc3550' cannot be merged over time, so nothing can be promised on it; ifdv_p99_9 or "
     "ipdv_abs_mean can be measured"},
    {"latency", "'latency' may be rt_p99 (round trip) or fd_p99 (one way); say which, and of which "
                "quantile"},
    {"delay", "'delay' may be rt_p99 (round trip) or fd_p99 (one way); say which, and of which "
              "quantile"},
    {"rtt", "'rtt' needs its quantile: rt_p50, rt_p99 or rt_p99_9; or rt_mean"},
    {"loss", "'loss' is flr here: lost of sent"},
    {"packet_loss", "'packet_loss' is flr here: lost of sent"},
    {"uptime", "'uptime' is availability here"},
};

enum inv_unit
inv_metric_unit(enum inv_metric_kind kind)
{
    return metrics[kind].unit;
}

char *
inv_metric_format(struct inv_metric metric, char *buf, size_t size)
{
    uint32_t whole = metric.quantile_milli / 1000, rest = metric.quantile_milli % 1000;
    char digits[8];

    if (!metrics[metric.kind].quantile) {
        snprintf(buf, size, "%s", metrics[metric.kind].name);
    } else if (rest == 0) {
        snprintf(buf, size, "%s_p%" PRIu32, metrics[metric.kind].name, whole);
    } else {
        snprintf(digits, sizeof digits, "%03" PRIu32, rest);
        for (size_t n = strlen(digits); digits[n - 1] == '0'; n--) {
            digits[n - 1] = '\0';
        }
        snprintf(buf, size, "%s_p%" PRIu32 "_%s", metrics[metric.kind].name, whole, digits);
    }
    return buf;
}

/* "99_9" is 99900: more than 0, less than 100, at most three decimals. */
static bool
parse_quantile(const char *text, uint32_t *out)
{
    size_t whole = strspn(text, "0123456789");
    uint32_t value = 0, scale = 1000;

    if (whole == 0 || whole > 2 || (whole == 2 && text[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < whole; i++) {
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    value *= 1000;
    const char *at = text + whole;
    if (*at == '_') {
        size_t digits = strspn(at + 1, "0123456789");
        if (digits == 0 || digits > 3 || at[digits] == '0') {
            return false; /* One spelling each: no zero at the end. */
        }
        for (at++; digits > 0; digits--, at++) {
            scale /= 10;
            value += (uint32_t)(*at - '0') * scale;
        }
    }
    *out = value;
    return *at == '\0' && value > 0;
}

static bool
parse_metric(const char *text, struct inv_metric *out)
{
    for (size_t i = 0; i < METRICS; i++) {
        size_t length = strlen(metrics[i].name);
        struct inv_metric m = {.kind = metrics[i].kind};
        if (strncmp(text, metrics[i].name, length) != 0) {
            continue;
        }
        if (metrics[i].quantile ? strncmp(text + length, "_p", 2) == 0 &&
                                      parse_quantile(text + length + 2, &m.quantile_milli)
                                : text[length] == '\0') {
            *out = m;
            return true;
        }
    }
    return false;
}

bool
inventory_read_metric(struct loader *l, const struct yaml_node *node, struct inv_metric *out)
{
    struct nearest near = {.wanted = node->text ? node->text : ""};
    char hint[96], got[64];

    if (node->kind == YAML_SCALAR && parse_metric(node->text, out)) {
        return true;
    }
    for (size_t i = 0; node->kind == YAML_SCALAR && i < sizeof vague / sizeof vague[0]; i++) {
        if (strcmp(node->text, vague[i].word) == 0) {
            fault_error(l->faults, node->at, "%s", vague[i].meaning);
            return false;
        }
    }
    for (size_t i = 0; i < METRICS; i++) {
        if (!metrics[i].quantile) {
            nearest_offer(&near, metrics[i].name);
        }
    }
    fault_error(l->faults, node->at,
                "expected a metric: flr, availability, hli, chli, rt_mean, fd_mean, ipdv_abs_mean, "
                "or rt_pN, fd_pN, fdr_pN, ifdv_pN, pdv_pN with a quantile such as p99 or p99_9; "
                "got %s%s",
                yaml_describe(node, got, sizeof got), nearest_text(&near, hint, sizeof hint));
    return false;
}

bool
inventory_read_limit(struct loader *l, const struct yaml_node *node, struct inv_metric metric,
                     uint64_t *out)
{
    static const char *const wanted[] = {
        [INV_MILLI_PERCENT] = "a percentage with at most three decimals, such as 99.95%",
        [INV_NS] = "a time with its unit (ns us ms s m h d), such as 18ms",
        [INV_COUNT] = "a whole number",
    };
    enum inv_unit unit = inv_metric_unit(metric.kind);
    char name[INV_METRIC_SIZE], got[64];
    struct span span = {0};
    bool good = node->kind == YAML_SCALAR;

    if (good && unit == INV_NS) {
        good = value_parse_span(node->text, &span);
        *out = (uint64_t)span.ns;
    } else if (good && unit == INV_MILLI_PERCENT) {
        good = value_parse_percent(node->text, out) && *out <= 100000;
    } else if (good) {
        good = value_parse_unsigned(node->text, out);
    }
    if (!good) {
        fault_error(l->faults, node->at, "expected %s, as %s is counted, got %s", wanted[unit],
                    inv_metric_format(metric, name, sizeof name),
                    yaml_describe(node, got, sizeof got));
    }
    return good;
}

/* --- Objectives ----------------------------------------------------------- */

#define OBJECTIVES_MAX 64u
#define TIERS_MAX 16u

static const struct bind_word direction_words[] = {
    {"fwd", INV_FWD}, {"bwd", INV_BWD}, {"both", INV_BOTH}, {"rt", INV_ROUND_TRIP}, {NULL, 0}};

struct objective_draft {
    int direction; /* -1: not given. */
    uint64_t min_samples;
    const struct yaml_node *class_, *metric, *limit;
};

static const struct bind_key objective_keys[] = {
    {.key = "class",
     .type = BIND_NODE,
     .offset = offsetof(struct objective_draft, class_),
     .required = true},
    {.key = "metric",
     .type = BIND_NODE,
     .offset = offsetof(struct objective_draft, metric),
     .required = true},
    {.key = "direction",
     .type = BIND_WORD,
     .offset = offsetof(struct objective_draft, direction),
     .words = direction_words},
    {.key = "limit",
     .type = BIND_NODE,
     .offset = offsetof(struct objective_draft, limit),
     .required = true},
    {.key = "min_samples",
     .type = BIND_UNSIGNED,
     .offset = offsetof(struct objective_draft, min_samples),
     .width = 8,
     .min = 1,
     .max = 1000000000},
    {.key = NULL},
};

/* The direction that was said, or what the metric has. */
static bool
settle_direction(struct loader *l, const struct yaml_node *node, int said,
                 struct inv_objective *out)
{
    enum inv_metric_kind kind = out->metric.kind;
    bool round_trip = kind == INV_RT || kind == INV_RT_MEAN;
    bool one_way = kind == INV_FD || kind == INV_FD_MEAN;
    char name[INV_METRIC_SIZE];

    out->direction = said >= 0 ? (enum inv_direction)said : round_trip ? INV_ROUND_TRIP : INV_BOTH;
    if (round_trip && out->direction != INV_ROUND_TRIP) {
        fault_error(l->faults, inventory_place(node, "direction"),
                    "%s is of the round trip; of one way it would be fd",
                    inv_metric_format(out->metric, name, sizeof name));
        return false;
    }
    if (one_way && out->direction == INV_ROUND_TRIP) {
        fault_error(l->faults, inventory_place(node, "direction"),
                    "%s is of one way; of the round trip it would be rt",
                    inv_metric_format(out->metric, name, sizeof name));
        return false;
    }
    return true;
}

static bool
same_objective(const struct inv_objective *a, const struct inv_objective *b)
{
    return a->class_ == b->class_ && a->metric.kind == b->metric.kind &&
           a->metric.quantile_milli == b->metric.quantile_milli && a->direction == b->direction;
}

static bool
read_objective(struct loader *l, const struct yaml_node *node, struct inv_objective *out)
{
    struct objective_draft d = {.direction = -1};
    bool good = bind_map(&l->bind, node, node->at, objective_keys, &d);

    if (d.class_) {
        out->class_ = inventory_resolve(l, d.class_, KIND_CLASS);
    }
    out->min_samples = d.min_samples;
    if (!d.metric || !inventory_read_metric(l, d.metric, &out->metric)) {
        return false;
    }
    if (d.limit) {
        good = inventory_read_limit(l, d.limit, out->metric, &out->limit) && good;
    }
    return settle_direction(l, node, d.direction, out) && good && out->class_;
}

static void
read_objectives(struct loader *l, const struct yaml_node *list, struct inv_sla *sla)
{
    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of {class, metric, limit}")) {
        return;
    }
    if (list->count == 0 || list->count > OBJECTIVES_MAX) {
        fault_error(l->faults, list->at, "expected 1 to %u objectives, got %zu", OBJECTIVES_MAX,
                    list->count);
        return;
    }
    sla->objectives = pool_array(l->pool, list->count, sizeof *sla->objectives);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        struct inv_objective *to = &sla->objectives[sla->objective_count];
        bool good = read_objective(l, n, to);
        for (size_t i = 0; good && i < sla->objective_count; i++) {
            if (same_objective(&sla->objectives[i], to)) {
                fault_error(l->faults, n->at,
                            "this class, metric and direction have an objective already");
                good = false;
            }
        }
        if (good) {
            sla->objective_count++;
        } else {
            memset(to, 0, sizeof *to);
        }
    }
}

/* --- Credits -------------------------------------------------------------- */

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

static const struct bind_key cap_key = {.key = "cap",
                                        .type = BIND_PERCENT,
                                        .offset = offsetof(struct inv_sla, cap_milli),
                                        .min = 1,
                                        .max = 100000};

static bool
read_tier(struct loader *l, const struct yaml_node *node, struct inv_metric metric,
          struct inv_tier *out)
{
    struct tier_draft d = {0};
    bool down = metric.kind == INV_AVAILABILITY;
    bool good = bind_map(&l->bind, node, node->at, tier_keys, &d);
    const struct yaml_node *bound = down ? d.below : d.above, *other = down ? d.above : d.below;

    if (other) {
        fault_error(l->faults, other->key_at, "'%s' here: %s is missed when it is %s", other->key,
                    node->kind == YAML_MAP && down ? "availability" : "this metric",
                    down ? "below its limit" : "above its limit");
        return false;
    }
    if (node->kind == YAML_MAP && !bound) {
        fault_error(l->faults, node->at, "key '%s' is missing", down ? "below" : "above");
        return false;
    }
    out->credit_milli = d.credit;
    return bound && inventory_read_limit(l, bound, metric, &out->bound) && good;
}

/* From the mildest to the worst: each step further out, and worth more. */
static void
check_tiers(struct loader *l, const struct yaml_node *list, const struct inv_credit *credit)
{
    const struct yaml_node *n = list->first ? list->first->next : NULL;
    bool down = credit->metric.kind == INV_AVAILABILITY;

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

static bool
has_objective(const struct inv_sla *sla, struct inv_metric metric)
{
    for (size_t i = 0; i < sla->objective_count; i++) {
        if (sla->objectives[i].metric.kind == metric.kind &&
            sla->objectives[i].metric.quantile_milli == metric.quantile_milli) {
            return true;
        }
    }
    return false;
}

static void
read_credit(struct loader *l, const struct yaml_node *list, struct inv_sla *sla)
{
    struct inv_credit *to = &sla->credits[sla->credit_count];
    struct yaml_node name = {.kind = YAML_SCALAR, .at = list->key_at, .text = list->key};
    bool good = true;

    if (!inventory_read_metric(l, &name, &to->metric) ||
        !bind_expect(&l->bind, list, YAML_LIST, "a list of {below, credit}")) {
        return;
    }
    if (list->count == 0 || list->count > TIERS_MAX) {
        fault_error(l->faults, list->at, "expected 1 to %u tiers, got %zu", TIERS_MAX, list->count);
        return;
    }
    if (!has_objective(sla, to->metric)) {
        fault_error(l->faults, list->key_at, "no objective of this SLA is on '%.63s'", list->key);
    }
    to->tiers = pool_array(l->pool, list->count, sizeof *to->tiers);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        good = read_tier(l, n, to->metric, &to->tiers[to->tier_count++]) && good;
    }
    if (good) {
        check_tiers(l, list, to);
    }
    sla->credit_count++;
}

static int
credit_compare(const void *left, const void *right)
{
    const struct inv_credit *a = left, *b = right;
    if (a->metric.kind != b->metric.kind) {
        return a->metric.kind < b->metric.kind ? -1 : 1;
    }
    return a->metric.quantile_milli < b->metric.quantile_milli ? -1 : 1;
}

static void
read_credits(struct loader *l, const struct yaml_node *map, struct inv_sla *sla)
{
    if (!bind_expect(&l->bind, map, YAML_MAP, "a map of tiers by metric, and a cap")) {
        return;
    }
    sla->credits = pool_array(l->pool, map->count, sizeof *sla->credits);
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

/* --- SLAs ----------------------------------------------------------------- */

static const struct bind_word undetermined_words[] = {{"last", INV_UNDETERMINED_LAST},
                                                      {"available", INV_UNDETERMINED_AVAILABLE},
                                                      {"unavailable", INV_UNDETERMINED_UNAVAILABLE},
                                                      {"excluded", INV_UNDETERMINED_EXCLUDED},
                                                      {NULL, 0}};
static const struct bind_word covers_words[] = {{"over", INV_COVERS_OVER},
                                                {"bgp", INV_COVERS_BGP},
                                                {"tail", INV_COVERS_TAIL},
                                                {"tunnels", INV_COVERS_TUNNELS},
                                                {NULL, 0}};

struct sla_draft {
    struct inv_sla sla;
    const struct yaml_node *covers, *objectives, *credits;
};

#define SLA(member) .offset = offsetof(struct sla_draft, member)
#define DAYS(count) ((count)*86400 * (uint64_t)NS_PER_S)

static const struct bind_key sla_keys[] = {
    HEAD_KEYS,
    {.key = "version",
     .type = BIND_UNSIGNED,
     SLA(sla.version),
     .width = 4,
     .min = 1,
     .max = 1000000,
     .required = true},
    {.key = "valid_from", .type = BIND_DATE, SLA(sla.valid_from), .required = true},
    {.key = "covers", .type = BIND_NODE, SLA(covers)},
    {.key = "objectives", .type = BIND_NODE, SLA(objectives), .required = true},
    {.key = "notice", .type = BIND_SPAN, SLA(sla.notice), .max = DAYS(366), .fallback = "7d"},
    {.key = "claim_within", .type = BIND_SPAN, SLA(sla.claim_within), .max = DAYS(3660)},
    {.key = "maintenance_allowance",
     .type = BIND_SPAN,
     SLA(sla.maintenance_allowance),
     .max = DAYS(31)},
    {.key = "undetermined",
     .type = BIND_WORD,
     SLA(sla.undetermined),
     .words = undetermined_words,
     .fallback = "last"},
    {.key = "credits", .type = BIND_NODE, SLA(credits)},
    {.key = NULL},
};

static void
read_covers(struct loader *l, const struct yaml_node *list, struct inv_sla *sla)
{
    static const struct bind_key word = {.key = "covers", .type = BIND_WORD, .words = covers_words};

    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of over, bgp, tail, tunnels")) {
        return;
    }
    if (list->count == 0) {
        fault_error(l->faults, list->at, "expected at least one of over, bgp, tail, tunnels");
    }
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        int bit;
        if (!bind_value(&l->bind, &word, n, &bit)) {
            continue;
        }
        if (sla->covers & (unsigned)bit) {
            fault_error(l->faults, n->at, "'%s' is in this list twice", n->text);
        }
        sla->covers |= (unsigned)bit;
    }
}

void
inventory_read_sla(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_sla *sla = object;
    struct sla_draft d = {.sla = {.key = sla->key, .cap_milli = 100000}};

    bind_map(&l->bind, member, member->key_at, sla_keys, &d);
    l->retired = d.sla.state == INV_RETIRED;
    if (d.covers) {
        read_covers(l, d.covers, &d.sla);
    } else {
        d.sla.covers = INV_COVERS_OVER;
    }
    if (d.objectives) {
        read_objectives(l, d.objectives, &d.sla);
    }
    if (d.credits) {
        read_credits(l, d.credits, &d.sla);
    }
    *sla = d.sla;
}
