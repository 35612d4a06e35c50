/* objective.c - one objective against one tally, counts and ratios; delays are in
 * objective_delay.c. */
#include "objective_parts.h"

#include <assert.h>
#include <math.h>

const char *
verdict_name(enum verdict v)
{
    static const char *const names[] = {"met", "missed", "not decidable"};
    return (unsigned)v < sizeof names / sizeof names[0] ? names[v] : "?";
}

const char *
verdict_doubt_name(enum verdict_doubt d)
{
    static const char *const names[] = {"none",  "no_data",      "few_samples", "in_interval",
                                        "clock", "undetermined", "bucket"};
    return (unsigned)d < sizeof names / sizeof names[0] ? names[d] : "?";
}

/* --- What all sections need ------------------------------------------------ */

struct objective_result
objective_result_of(enum verdict verdict, enum verdict_doubt doubt)
{
    return (struct objective_result){
        .verdict = verdict, .doubt = doubt, .low = (double)NAN, .high = (double)NAN};
}

void
objective_set_value(struct objective_result *r, objective_wide value)
{
    r->has_value = true;
    r->value = value > INT64_MAX ? INT64_MAX : value < INT64_MIN ? INT64_MIN : (int64_t)value;
}

objective_wide
objective_divide_up(objective_wide a, objective_wide b)
{
    return a / b + (a % b > 0);
}

/* What a share of 'whole' comes to, down. */
static uint64_t
share_of(uint64_t milli, uint64_t whole)
{
    return (uint64_t)((objective_wide)milli * whole / WHOLE_MILLI);
}

/* Whether part out of whole is over the share. */
static bool
is_over_share(uint64_t part, uint64_t whole, uint64_t milli)
{
    return (objective_wide)part * WHOLE_MILLI > (objective_wide)milli * whole;
}

static uint64_t
excluded_dt(const struct tally *t)
{
    uint64_t sum = 0;

    for (int kind = EXCLUSION_NONE + 1; kind < EXCLUSION_KINDS; kind++) {
        sum += t->excluded[kind];
    }
    return sum;
}

/* Delta-t of W at the end of the period, 'counted' of them so far. */
static uint64_t
final_dt(const struct objective_question *q, uint64_t counted, uint64_t excluded)
{
    uint64_t total = q->period->dt_total;

    if (q->period->over || total < excluded || total - excluded < counted) {
        return counted;
    }
    return total - excluded;
}

uint64_t
objective_final_packets(const struct objective_question *q, uint64_t counted)
{
    uint64_t total = q->period->packets_total;

    return q->period->over || total < counted ? counted : total;
}

uint64_t
objective_projected_packets(const struct objective_question *q, uint64_t counted)
{
    uint64_t in_w = q->t->excluded[EXCLUSION_NONE];

    if (q->period->over || q->period->packets_total || in_w == 0) {
        return objective_final_packets(q, counted);
    }
    uint64_t final = final_dt(q, in_w, excluded_dt(q->t));
    objective_wide sum = (objective_wide)counted * final / in_w;
    return sum > INT64_MAX ? INT64_MAX : (uint64_t)sum;
}

bool
objective_is_end_known(const struct objective_question *q)
{
    return q->period->over || q->period->packets_total > 0;
}

/* --- Counts of delta-t: availability, HLI, CHLI ----------------------------- */

/* W is empty.  If all of the time is excluded by agreement the promise is kept, but whoever reads
 * it should know; if nobody knows anything, it is not. */
static struct objective_result
judge_unobserved(const struct objective_question *q, uint64_t unknown)
{
    if (unknown + q->t->excluded[EXCLUSION_UNDETERMINED] > 0 || excluded_dt(q->t) == 0) {
        return objective_result_of(VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);
    }
    return objective_result_of(VERDICT_MET, VERDICT_NO_DATA);
}

/* Fewer delta-t than the contract asks for; 'final' are there at the end. */
static void
ask_enough_dt(const struct objective_question *q, uint64_t final, struct objective_result *r)
{
    bool missed = r->verdict == VERDICT_MISSED;

    if ((missed ? final : r->whole) >= q->o->min_samples) {
        return;
    }
    r->doubt = VERDICT_FEW_SAMPLES;
    r->needed = q->o->min_samples;
    if (missed || q->period->over) {
        r->verdict = VERDICT_NOT_DECIDABLE;
    }
}

static struct objective_result
judge_availability(const struct objective_question *q)
{
    const struct tally *t = q->t;
    uint64_t whole = t->excluded[EXCLUSION_NONE], part = t->available, left_out = 0;
    uint64_t up = t->undetermined_available, down = t->undetermined_unavailable;

    if (q->undetermined == INV_UNDETERMINED_AVAILABLE) {
        part += down;
    } else if (q->undetermined == INV_UNDETERMINED_UNAVAILABLE) {
        part -= up;
    } else if (q->undetermined == INV_UNDETERMINED_EXCLUDED) {
        part -= up;
        left_out = up + down;
        whole -= left_out;
    }
    if (whole == 0) {
        return judge_unobserved(q, left_out);
    }

    uint64_t allowed = q->o->limit < WHOLE_MILLI ? WHOLE_MILLI - q->o->limit : 0;
    uint64_t final = final_dt(q, whole, excluded_dt(t) + left_out);
    struct objective_result r = objective_result_of(VERDICT_MET, VERDICT_NO_DOUBT);
    r.part = part;
    r.whole = whole;
    r.used = whole - part;
    r.budget = share_of(allowed, final);
    objective_set_value(&r, (objective_wide)part * WHOLE_MILLI / whole);
    if (is_over_share(r.used, final, allowed)) {
        r.verdict = VERDICT_MISSED;
    }
    if (q->undetermined == INV_UNDETERMINED_LAST &&
        is_over_share(r.used - down, final, allowed) !=
            is_over_share(r.used + up, final, allowed)) {
        r.doubt = VERDICT_UNDETERMINED;
    }
    ask_enough_dt(q, final, &r);
    return r;
}

static struct objective_result
judge_count(const struct objective_question *q)
{
    const struct tally *t = q->t;
    uint64_t count = q->o->metric.kind == INV_HLI ? t->high_loss.intervals : t->high_loss.runs;
    struct objective_result r = objective_result_of(VERDICT_MET, VERDICT_NO_DOUBT);

    if (t->excluded[EXCLUSION_NONE] == 0) {
        return judge_unobserved(q, 0);
    }
    r.part = r.used = count;
    r.whole = t->excluded[EXCLUSION_NONE];
    r.budget = q->o->limit < INT64_MAX ? q->o->limit : INT64_MAX;
    objective_set_value(&r, count);
    if (count > q->o->limit) {
        r.verdict = VERDICT_MISSED;
    }
    ask_enough_dt(q, final_dt(q, r.whole, excluded_dt(t)), &r);
    return r;
}

/* --- Ratios of packets ------------------------------------------------------ */

static void
ratio_parts(enum inv_metric_kind kind, const struct tally *t, uint64_t *part, uint64_t *whole)
{
    *part = kind == INV_FLR             ? t->lost
            : kind == INV_FLR_RAW       ? t->lost_raw
            : kind == INV_REORDER_RATIO ? t->reordered
                                        : t->duplicate;
    *whole = kind == INV_FLR_RAW ? t->sent_raw : kind == INV_REORDER_RATIO ? t->received : t->sent;
}

/* Whether the limit is one of a count, to which an interval says nothing; also more copies than
 * packets are no sample of them. */
static bool
has_interval(uint64_t part, uint64_t whole, uint64_t limit)
{
    return limit > 0 && limit < WHOLE_MILLI && part <= whole;
}

/* Verdict and doubt of part out of whole whose interval is that of 'r'. */
static void
decide_ratio(const struct inv_objective *o, uint64_t part, uint64_t whole,
             struct objective_result *r)
{
    bool over = is_over_share(part, whole, o->limit);
    double limit = (double)o->limit / WHOLE_MILLI;

    r->verdict = VERDICT_NOT_DECIDABLE;
    r->doubt = VERDICT_NO_DOUBT;
    if (whole < o->min_samples) {
        r->doubt = VERDICT_FEW_SAMPLES;
    } else if (!has_interval(part, whole, o->limit)) {
        r->verdict = over ? VERDICT_MISSED : VERDICT_MET;
    } else if (over && limit < r->low) {
        r->verdict = VERDICT_MISSED;
    } else if (!over && limit > r->high) {
        r->verdict = VERDICT_MET;
    } else if (!o->min_samples && (objective_wide)whole * o->limit < RULE_OF_THREE * WHOLE_MILLI) {
        r->doubt = VERDICT_FEW_SAMPLES;
    } else {
        r->doubt = VERDICT_IN_INTERVAL;
    }
}

/* The period runs, 'r' is as if it were over now. */
static void
ratio_so_far(const struct objective_question *q, struct objective_result *r)
{
    uint64_t final = objective_final_packets(q, r->whole), limit = q->o->limit;
    struct objective_result end = *r;

    r->verdict = VERDICT_MET;
    if (!is_over_share(r->part, final, limit) || !(objective_is_end_known(q) || limit == 0)) {
        return;
    }
    /* At best not one more is lost until the end. */
    if (r->part <= final) {
        confidence_interval(r->part, final, &end.low, &end.high);
    }
    decide_ratio(q->o, r->part, final, &end);
    r->verdict = end.verdict;
    r->doubt = end.doubt;
    r->needed = end.verdict == VERDICT_MISSED ? 0 : r->needed;
}

static struct objective_result
judge_ratio(const struct objective_question *q)
{
    struct objective_result r = objective_result_of(VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);

    ratio_parts(q->o->metric.kind, q->t, &r.part, &r.whole);
    if (r.whole == 0) {
        return r;
    }
    objective_set_value(&r, objective_divide_up((objective_wide)r.part * WHOLE_MILLI, r.whole));
    if (r.part <= r.whole) {
        confidence_interval(r.part, r.whole, &r.low, &r.high);
    }
    r.used = r.part;
    r.budget = share_of(q->o->limit, objective_projected_packets(q, r.whole));
    decide_ratio(q->o, r.part, r.whole, &r);
    if (r.doubt != VERDICT_NO_DOUBT) {
        r.needed = has_interval(r.part, r.whole, q->o->limit)
                       ? confidence_needed(r.part, r.whole, (double)q->o->limit / WHOLE_MILLI)
                       : 0;
        r.needed = r.needed < q->o->min_samples ? q->o->min_samples : r.needed;
    }
    if (!q->period->over) {
        ratio_so_far(q, &r);
    }
    return r;
}

/* --- All together ------------------------------------------------------------ */

struct objective_result
objective_judge(const struct inv_objective *o, enum inv_undetermined undetermined,
                const struct tally *t, int limit_index, const struct objective_period *period)
{
    enum inv_metric_kind kind = o->metric.kind;
    bool counted = kind == INV_RT || kind == INV_FD || kind == INV_IFDV;
    struct objective_question q = {.o = o,
                                   .t = t,
                                   .period = period,
                                   .undetermined = undetermined,
                                   .limit_index = counted ? limit_index : -1};

    assert(limit_index < SERIES_LIMITS_MAX);
    switch (kind) {
    case INV_AVAILABILITY:
        return judge_availability(&q);
    case INV_HLI:
    case INV_CHLI:
        return judge_count(&q);
    case INV_FLR:
    case INV_FLR_RAW:
    case INV_REORDER_RATIO:
    case INV_DUPLICATE_RATIO:
        return judge_ratio(&q);
    case INV_RT:
    case INV_FD:
    case INV_FDR:
    case INV_IFDV:
    case INV_PDV:
        return objective_judge_quantile(&q);
    case INV_RT_MEAN:
    case INV_FD_MEAN:
    case INV_IPDV_ABS_MEAN:
        return objective_judge_mean(&q);
    case INV_SILENCE:
    case INV_CLOCK_ERROR:
    case INV_RT_FLOOR:
    case INV_BUDGET:
        break; /* Of alarms; no objective has it. */
    }
    assert(false);
    return objective_result_of(VERDICT_NOT_DECIDABLE, VERDICT_NO_DATA);
}

/* --- Worst first ------------------------------------------------------------- */

/* Less than 0 if a/b is greater than c/d, a denominator of 0 making it the greatest. */
static int
greater_first(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    __extension__ unsigned __int128 left = a, right = c;

    if (b == 0 || d == 0) {
        bool top = b == 0 && a > 0, other = d == 0 && c > 0;
        return top != other ? (top ? -1 : 1) : (c > a) - (c < a);
    }
    left *= d;
    right *= b;
    return (right > left) - (right < left);
}

static int
compare_value(const struct inv_objective *o, const struct objective_result *a,
              const struct objective_result *b)
{
    enum inv_unit unit = inv_metric_unit(o->metric.kind);

    if (o->metric.kind == INV_AVAILABILITY) {
        return greater_first(a->whole - a->part, a->whole, b->whole - b->part, b->whole);
    }
    if (unit == INV_MILLI_PERCENT) {
        return greater_first(a->part, a->whole, b->part, b->whole);
    }
    return (b->value > a->value) - (b->value < a->value);
}

int
objective_compare(const struct inv_objective *o, const struct objective_result *a,
                  const struct objective_result *b)
{
    static const int rank[] = {
        [VERDICT_MISSED] = 0, [VERDICT_NOT_DECIDABLE] = 1, [VERDICT_MET] = 2};
    int order = rank[a->verdict] - rank[b->verdict];

    if (order == 0) {
        order = (int)b->has_value - (int)a->has_value;
    }
    if (order == 0 && a->has_value) {
        order = compare_value(o, a, b);
    }
    return order ? order : greater_first(a->used, a->budget, b->used, b->budget);
}

uint32_t
objective_nearness(const struct inv_objective *o, const struct objective_result *r)
{
    objective_wide part = r->value, whole = (objective_wide)o->limit;

    if (!r->has_value) {
        return 0;
    }
    if (o->metric.kind == INV_AVAILABILITY) {
        part = r->used;
        whole = r->budget;
    } else if (inv_metric_unit(o->metric.kind) == INV_MILLI_PERCENT) {
        part = (objective_wide)r->part * WHOLE_MILLI;
        whole *= r->whole;
    }
    if (part <= 0) {
        return 0;
    }
    if (whole == 0 || part / whole >= UINT32_MAX / WHOLE_MILLI) {
        return UINT32_MAX;
    }
    return (uint32_t)(part * WHOLE_MILLI / whole);
}
