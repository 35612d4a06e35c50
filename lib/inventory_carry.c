/* inventory_carry.c - whether clocks and packets carry what is promised: warnings at the start, so
 * that nobody learns at the end of a month that it cannot be decided.
 *
 * After inventory_promise.c, which asks for each objective on each link under a service. */
#include "inventory_parts.h"

#include <inttypes.h>
#include <string.h>

#include "value.h"

/* The shortest month: what it cannot show, some month will not. */
#define MONTH_NS (28 * 86400 * NS_PER_S)
#define WHOLE_MILLI UINT64_C(100000)

/* What a clock of each kind is good for, in order of magnitude; what it really is, each summary
 * says.  In the order of enum inv_clock. */
static const struct {
    const char *name;
    int64_t error_ns;
} clocks[] = {{"ntp", 5 * NS_PER_MS}, {"ptp", 10000}, {"gnss", 1000}};

/* --- Clocks ----------------------------------------------------------------- */

static bool
is_one_way_delay(enum inv_metric_kind kind)
{
    return kind == INV_FD || kind == INV_FD_MEAN;
}

const char *
round_trip_instead(const struct inv_objective *o, char *buf, size_t size)
{
    struct inv_metric m = o->metric;
    char name[INV_METRIC_SIZE];

    if (is_one_way_delay(m.kind)) {
        m.kind = m.kind == INV_FD ? INV_RT : INV_RT_MEAN;
        snprintf(buf, size, "%s", inv_metric_format(m, name, sizeof name));
    } else {
        snprintf(buf, size, "%s with 'direction: rt'", inv_metric_format(m, name, sizeof name));
    }
    return buf;
}

/* One-way delay has the error of both clocks in it; over a tenth of the limit a delta-t is suspect
 * (facts: clocks and suspect data). */
static void
check_clocks(struct loader *l, struct place at, const char *what, const struct inv_objective *o,
             const struct inv_link *link)
{
    const struct inv_probe *one = link->ends[0].probe, *two = link->ends[1].probe;
    char error[VALUE_TEXT_SIZE], instead[64];

    round_trip_instead(o, instead, sizeof instead);
    if (!two) {
        fault_warning(l->faults, at,
                      "%s: the clock of the foreign far end is not known, which does not carry "
                      "one-way delay: it is shown with its error bound, and cannot be decided; %s "
                      "could be",
                      what, instead);
        return;
    }
    int64_t sum = clocks[one->clock].error_ns + clocks[two->clock].error_ns;
    if ((uint64_t)sum > o->limit / 10) {
        const struct inv_probe *worst = two->clock < one->clock ? two : one;
        value_format_span(span_of_ns(sum), error, sizeof error);
        fault_warning(l->faults, at,
                      "%s: the clock of probe '%s' is %s, which does not carry one-way delay of "
                      "this limit: both ends' error is about %s, and over a tenth of the limit it "
                      "cannot be decided; %s could be",
                      what, worst->key, clocks[worst->clock].name, error, instead);
    }
}

/* --- Numbers ---------------------------------------------------------------- */

/* Which part of its packets the objective allows to be bad, in milli-percent; 0: it is decided by
 * counting, however few they are. */
static uint64_t
allowed_part(const struct inv_objective *o)
{
    bool ratio = o->metric.kind == INV_FLR || o->metric.kind == INV_FLR_RAW ||
                 o->metric.kind == INV_REORDER_RATIO || o->metric.kind == INV_DUPLICATE_RATIO;

    if (o->metric.quantile_milli && !o->min_samples) {
        return WHOLE_MILLI - o->metric.quantile_milli;
    }
    return ratio ? o->limit : 0;
}

/* To show at 95 % that no more than X are bad takes 3 / X packets at least, of which none is
 * (doc/sla.md: confidence). */
static void
check_packets(struct loader *l, struct place at, const char *what, const struct inv_objective *o,
              const struct inv_link *link)
{
    uint64_t sent = link->flows * (uint64_t)(MONTH_NS / o->class_->period.ns);
    uint64_t part = allowed_part(o), needed = part ? (3 * WHOLE_MILLI + part - 1) / part : 0;

    if (sent < needed) {
        fault_warning(l->faults, at,
                      "%s: a month of 28 days has %" PRIu64 " packets; to show that it is met "
                      "takes %" PRIu64 " at least: give class '%s' a shorter period, or the link "
                      "more flows",
                      what, sent, needed, o->class_->key);
    }
}

/* min_samples are packets, or delta-t where those are counted. */
static void
check_samples(struct loader *l, struct place at, const char *what, const struct inv_objective *o,
              const struct inv_link *link)
{
    bool by_dt = o->metric.kind == INV_AVAILABILITY || o->metric.kind == INV_HLI ||
                 o->metric.kind == INV_CHLI;
    uint64_t most = by_dt ? (uint64_t)(MONTH_NS / o->class_->dt.ns)
                          : link->flows * (uint64_t)(MONTH_NS / o->class_->period.ns);

    if (o->min_samples > most) {
        fault_warning(l->faults, at,
                      "%s: min_samples is %" PRIu64 ", and a month of 28 days has %" PRIu64
                      " %s: it can never be decided",
                      what, o->min_samples, most, by_dt ? "delta-t" : "packets");
    }
}

/* A limit between all delta-t and all but one is the same as 100 %. */
static void
check_delta_t(struct loader *l, struct place at, const char *what, const struct inv_objective *o)
{
    uint64_t count = (uint64_t)(MONTH_NS / o->class_->dt.ns);
    char dt[VALUE_TEXT_SIZE];

    if (o->limit < WHOLE_MILLI && (WHOLE_MILLI - o->limit) * count < WHOLE_MILLI) {
        fault_warning(l->faults, at,
                      "%s: a month of 28 days has %" PRIu64 " delta-t of %s, and the limit allows "
                      "less than one of them: it is finer than can be measured",
                      what, count, value_format_span(o->class_->dt, dt, sizeof dt));
    }
}

void
check_carried(struct loader *l, struct place at, const struct inv_service *service,
              const struct inv_objective *o, const struct inv_link *link)
{
    char what[INV_METRIC_SIZE + VALUE_TEXT_SIZE + 2 * SERIES_NAME_MAX + 64];
    char name[INV_METRIC_SIZE], limit[VALUE_TEXT_SIZE];

    snprintf(what, sizeof what, "%s of %s on '%s' (service '%s')",
             inv_metric_format(o->metric, name, sizeof name),
             print_limit(o->metric, o->limit, limit, sizeof limit), link->key, service->key);
    if (o->metric.kind == INV_AVAILABILITY) {
        check_delta_t(l, at, what, o);
    }
    if (is_one_way_delay(o->metric.kind) && inv_link_has_directions(link)) {
        check_clocks(l, at, what, o, link);
    }
    check_packets(l, at, what, o, link);
    check_samples(l, at, what, o, link);
}
