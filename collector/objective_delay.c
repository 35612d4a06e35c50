/* objective_delay.c - quantiles and means of delay against their limits. */
#include "objective_parts.h"

/* --- Quantiles of delay ------------------------------------------------------ */

/* The samples that a metric is about. */
struct delays {
    const struct hist *hist; /* NULL: none. */
    uint64_t count;
    int64_t min_ns, max_ns;
};

static struct delays
delays_of(enum inv_metric_kind kind, const struct tally *t)
{
    if (kind == INV_IFDV || kind == INV_IPDV_ABS_MEAN) {
        return (struct delays){t->ifdv, t->ifdv ? hist_count(t->ifdv) : 0, 0, INT64_MAX};
    }
    return (struct delays){t->hist && hist_count(t->hist) ? t->hist : NULL, t->delay_count,
                           t->delay_min_ns, t->delay_max_ns};
}

/* How many samples are over a threshold: between 'surely' and 'perhaps'. */
struct over {
    objective_wide threshold_ns;
    int64_t min_ns, max_ns;
    uint64_t surely, perhaps;
};

static void
add_bucket(int64_t lower_ns, int64_t upper_ns, uint64_t count, void *aux)
{
    struct over *over = aux;
    int64_t least = lower_ns < over->min_ns ? over->min_ns : lower_ns;
    int64_t most = upper_ns - 1 > over->max_ns ? over->max_ns : upper_ns - 1;

    over->surely += least > over->threshold_ns ? count : 0;
    over->perhaps += most > over->threshold_ns ? count : 0;
}

static struct over
count_over(const struct objective_question *q, const struct delays *d, int64_t base)
{
    struct over over = {.threshold_ns = (objective_wide)base + q->o->limit,
                        .min_ns = d->min_ns,
                        .max_ns = d->max_ns};

    if (q->limit_index >= 0) {
        over.surely = over.perhaps = q->t->over[q->limit_index];
    } else if (d->hist) {
        hist_each(d->hist, add_bucket, &over);
    } else {
        over.perhaps = d->count;
    }
    return over;
}

/* Samples of 'count' that may be over: those beyond the nearest rank, ceil(P * count). */
static uint64_t
allowed_over(const struct objective_question *q, uint64_t count)
{
    uint32_t quantile = q->o->metric.quantile_milli;

    return count - (uint64_t)objective_divide_up((objective_wide)count * quantile, WHOLE_MILLI);
}

/* Whether so few samples cannot show it.  '*needed' could. */
static bool
is_few(const struct objective_question *q, uint64_t count, uint64_t *needed)
{
    uint32_t rest = WHOLE_MILLI - q->o->metric.quantile_milli;

    *needed =
        q->o->min_samples ? q->o->min_samples : (RULE_OF_THREE * WHOLE_MILLI + rest - 1) / rest;
    return count < *needed;
}

/* Whether 'over' of 'count' are too many for chance, though they are few. */
static bool
is_surely_missed(const struct objective_question *q, uint64_t over, uint64_t count)
{
    uint32_t rest = WHOLE_MILLI - q->o->metric.quantile_milli;
    double low, high;

    if (q->o->min_samples || over > count) {
        return false;
    }
    confidence_interval(over, count, &low, &high);
    return low > (double)rest / WHOLE_MILLI;
}

/* Verdict and doubt of 'count' samples. */
static void
decide_quantile(const struct objective_question *q, const struct over *over, uint64_t count,
                struct objective_result *r)
{
    uint64_t allowed = allowed_over(q, count), needed;
    bool missed = over->surely > allowed, met = over->perhaps <= allowed;

    r->verdict = missed ? VERDICT_MISSED : met ? VERDICT_MET : VERDICT_NOT_DECIDABLE;
    r->doubt = missed || met ? VERDICT_NO_DOUBT : VERDICT_BUCKET;
    r->needed = 0;
    if (is_few(q, count, &needed) && !(missed && is_surely_missed(q, over->surely, count))) {
        r->verdict = VERDICT_NOT_DECIDABLE;
        r->doubt = VERDICT_FEW_SAMPLES;
        r->needed = needed;
    }
}

/* The middle of the rank's bucket, on the side of the limit that the samples are on. */
static void
set_quantile(const struct objective_question *q, const struct delays *d, const struct over *over,
             int64_t base, struct objective_result *r)
{
    uint64_t allowed = allowed_over(q, d->count);
    objective_wide value, limit = (objective_wide)q->o->limit;

    if (!d->hist) {
        return;
    }
    value = hist_quantile(d->hist, q->o->metric.quantile_milli * 10, d->min_ns, d->max_ns);
    value -= base;
    if (over->perhaps <= allowed && value > limit) {
        value = limit;
    } else if (over->surely > allowed && value <= limit) {
        value = limit + 1;
    }
    objective_set_value(r, value);
}

static bool
is_one_way(enum inv_metric_kind kind)
{
    return kind == INV_FD || kind == INV_FD_MEAN;
}

/* One-way delay is no better than the clocks. */
static bool
is_clock_in_doubt(const struct objective_question *q)
{
    uint64_t error = q->t->clock_error_ns;

    return is_one_way(q->o->metric.kind) &&
           (error == UINT64_MAX || (objective_wide)error * 10 > (objective_wide)q->o->limit);
}

/* There are no samples: none came, or one-way delays of wrong clocks were left out. */
static struct objective_result
no_samples(const struct objective_question *q)
{
    bool left_out = is_one_way(q->o->metric.kind) && q->t->received > 0 && q->t->suspect > 0;

    return objective_result_of(VERDICT_NOT_DECIDABLE, left_out ? VERDICT_CLOCK : VERDICT_NO_DATA);
}

static void
doubt_clock(struct objective_result *r)
{
    r->verdict = VERDICT_NOT_DECIDABLE;
    r->doubt = VERDICT_CLOCK;
    r->needed = 0;
}

struct objective_result
objective_judge_quantile(const struct objective_question *q)
{
    enum inv_metric_kind kind = q->o->metric.kind;
    struct delays d = delays_of(kind, q->t);
    int64_t base = kind == INV_FDR || kind == INV_PDV ? d.min_ns : 0;
    struct objective_result r = no_samples(q), end;

    if (d.count == 0) {
        return r;
    }
    struct over over = count_over(q, &d, base);
    r.part = r.used = over.surely;
    r.whole = d.count;
    r.budget = allowed_over(q, objective_projected_packets(q, d.count));
    set_quantile(q, &d, &over, base, &r);
    decide_quantile(q, &over, d.count, &r);
    if (!q->period->over) {
        /* What is over now stays over, and no more packets come than are sent. */
        end = r;
        decide_quantile(q, &over, objective_final_packets(q, d.count), &end);
        r.verdict = end.verdict == VERDICT_MISSED && objective_is_end_known(q) ? VERDICT_MISSED
                                                                               : VERDICT_MET;
        r.doubt = r.verdict == VERDICT_MISSED ? VERDICT_NO_DOUBT : r.doubt;
        r.needed = r.verdict == VERDICT_MISSED ? 0 : r.needed;
    }
    if (is_clock_in_doubt(q)) {
        doubt_clock(&r);
    }
    return r;
}

/* --- Means of delay ---------------------------------------------------------- */

/* Sums of all samples at their buckets' edges. */
struct sums {
    objective_wide low, high;
};

static void
add_edges(int64_t lower_ns, int64_t upper_ns, uint64_t count, void *aux)
{
    struct sums *sums = aux;

    sums->low += (objective_wide)lower_ns * count;
    sums->high += (objective_wide)(upper_ns - 1) * count;
}

/* The sum is kept modulo 2^64: what it is over count * min is right in any case. */
static struct sums
exact_sum(const struct tally *t)
{
    uint64_t rest = (uint64_t)t->delay_sum_ns - t->delay_count * (uint64_t)t->delay_min_ns;
    objective_wide sum = (objective_wide)t->delay_min_ns * t->delay_count + rest;

    return (struct sums){sum, sum};
}

struct objective_result
objective_judge_mean(const struct objective_question *q)
{
    struct delays d = delays_of(q->o->metric.kind, q->t);
    struct objective_result r = no_samples(q);
    struct sums sums = {0, 0};

    if (d.count == 0) {
        return r;
    }
    if (q->o->metric.kind == INV_IPDV_ABS_MEAN) {
        hist_each(d.hist, add_edges, &sums);
    } else {
        sums = exact_sum(q->t);
    }
    objective_wide limit = (objective_wide)q->o->limit;
    bool missed = sums.low > limit * d.count, met = sums.high <= limit * d.count;
    r.whole = d.count;
    objective_set_value(&r, objective_divide_up(sums.low + sums.high, (objective_wide)2 * d.count));
    r.verdict = missed ? VERDICT_MISSED : met ? VERDICT_MET : VERDICT_NOT_DECIDABLE;
    r.doubt = missed || met ? VERDICT_NO_DOUBT : VERDICT_BUCKET;
    if (d.count < q->o->min_samples) {
        r.verdict = VERDICT_NOT_DECIDABLE;
        r.doubt = VERDICT_FEW_SAMPLES;
        r.needed = q->o->min_samples;
    }
    if (!q->period->over) {
        /* At best all that is to come takes no time at all. */
        uint64_t final = objective_final_packets(q, d.count);
        bool spent =
            objective_is_end_known(q) && final >= q->o->min_samples && sums.low > limit * final;
        r.verdict = spent ? VERDICT_MISSED : VERDICT_MET;
        r.doubt = spent ? VERDICT_NO_DOUBT : r.doubt;
        r.needed = spent ? 0 : r.needed;
    }
    if (is_clock_in_doubt(q)) {
        doubt_clock(&r);
    }
    return r;
}
