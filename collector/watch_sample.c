/* watch_sample.c - what a delta-t of a session tells each metric. */
#include "watch_parts.h"

static void
take_loss(const struct session_key *key, const pb_summary *m, struct alarm_sample *out)
{
    uint64_t lost = (uint64_t)m->lost_fwd + m->lost_bwd + m->lost_undirected;
    bool turned = session_direction(key, DIR_FWD) != DIR_FWD;

    /* What could not be sent was not carried either: an interface that is down sends nothing. */
    out->count = (uint64_t)m->sent - m->unknown + m->send_errors;
    out->lost = lost + m->send_errors;
    out->fwd = turned ? m->lost_bwd : m->lost_fwd;
    out->bwd = turned ? m->lost_fwd : m->lost_bwd;
    out->undirected = m->lost_undirected;
    out->send_errors = m->send_errors;
}

static struct dt_delay
delay_of(const pb_delay *d)
{
    if (!d) {
        return (struct dt_delay){.count = 0};
    }
    return (struct dt_delay){.count = d->count,
                             .min_ns = d->min_ns,
                             .range_ns = (uint64_t)d->range_ns,
                             .sum_ns = (uint64_t)d->sum_ns,
                             .hist = d->hist.data,
                             .hist_size = d->hist.len,
                             .ifdv = d->ifdv.data,
                             .ifdv_size = d->ifdv.len};
}

static int64_t
mean(const struct dt_delay *d)
{
    return d->min_ns + (int64_t)d->sum_ns / (int64_t)d->count;
}

static int64_t
quantile(struct hist *scratch, const uint8_t *hist, size_t size, uint32_t milli, int64_t min,
         int64_t max)
{
    hist_clear(scratch);
    if (hist_merge_encoded(scratch, hist, size) != HIST_OK || hist_count(scratch) == 0) {
        return INT64_MIN;
    }
    return hist_quantile(scratch, milli * 10, min, max);
}

/* Of one direction; INT64_MIN: it has none. */
static int64_t
delay_value(struct watch *w, struct inv_metric metric, const struct dt_delay *d)
{
    if (d->count == 0) {
        return INT64_MIN;
    }
    int64_t max = d->min_ns + (int64_t)d->range_ns, v;
    switch (metric.kind) {
    case INV_RT_MEAN:
    case INV_FD_MEAN:
        return mean(d);
    case INV_IFDV:
        return quantile(w->variations, d->ifdv, d->ifdv_size, metric.quantile_milli, 0, INT64_MAX);
    case INV_FDR:
        v = quantile(w->delays, d->hist, d->hist_size, metric.quantile_milli, d->min_ns, max);
        return v == INT64_MIN ? v : v - d->min_ns;
    default:
        return quantile(w->delays, d->hist, d->hist_size, metric.quantile_milli, d->min_ns, max);
    }
}

/* One-way delay that the clocks cannot carry is none: an error of a tenth of the limit. */
static bool
is_believed(const struct inv_alarm *rule, const pb_summary *m)
{
    bool one_way = rule->metric.kind == INV_FD || rule->metric.kind == INV_FD_MEAN;

    return !one_way ||
           (m->clock_error_ns != 0 && (rule->relative || m->clock_error_ns <= rule->raise / 10));
}

static void
take_delay(struct watch *w, const struct inv_alarm *rule, const pb_summary *m,
           const struct dt_delay delays[DIRECTIONS], struct alarm_sample *out)
{
    int64_t value;

    if (!is_believed(rule, m)) {
        return;
    }
    if (rule->metric.kind == INV_RT || rule->metric.kind == INV_RT_MEAN) {
        value = delay_value(w, rule->metric, &delays[DIR_RT]);
    } else {
        int64_t fwd = delay_value(w, rule->metric, &delays[DIR_FWD]);
        int64_t bwd = delay_value(w, rule->metric, &delays[DIR_BWD]);
        value = fwd > bwd ? fwd : bwd;
    }
    if (value != INT64_MIN) {
        out->count = 1;
        out->value_ns = value;
    }
}

void
watch_sample_delays(struct watch *w, const struct inv_alarm *rule, const pb_summary *m,
                    const struct dt_delay delays[DIRECTIONS], struct alarm_sample *out)
{
    out->final = true;
    if (m->flags & (DT_UNKNOWN | DT_UNDETERMINED)) {
        return;
    }
    if (rule->metric.kind != INV_RT_FLOOR) {
        take_delay(w, rule, m, delays, out);
    } else if (delays[DIR_RT].count) {
        out->count = 1;
        out->value_ns = delays[DIR_RT].min_ns;
        out->broken = (m->flags & DT_BELOW_FLOOR) != 0;
    }
}

void
watch_sample_counts(const struct inv_alarm *rule, const struct session_key *key,
                    const pb_summary *m, struct alarm_sample *out)
{
    out->final = true;
    if (m->flags & (DT_UNKNOWN | DT_UNDETERMINED)) {
        return;
    }
    switch (rule->metric.kind) {
    case INV_FLR:
    case INV_FLR_RAW:
        take_loss(key, m, out);
        break;
    case INV_REORDER_RATIO:
        out->count = m->received;
        out->lost = (uint64_t)m->reordered_fwd + m->reordered_bwd;
        break;
    case INV_DUPLICATE_RATIO:
        out->count = m->received;
        out->lost = (uint64_t)m->duplicate_fwd + m->duplicate_bwd;
        break;
    default:
        break;
    }
    out->lost = out->lost < out->count ? out->lost : out->count;
}

void
watch_sample_final(struct watch *w, const struct inv_alarm *rule, const struct session_key *key,
                   const pb_summary *m, struct alarm_sample *out)
{
    if (watch_is_delay(rule)) {
        const struct dt_delay delays[DIRECTIONS] = {
            [DIR_FWD] = delay_of(m->fwd), [DIR_BWD] = delay_of(m->bwd), [DIR_RT] = delay_of(m->rt)};
        watch_sample_delays(w, rule, m, delays, out);
    } else {
        watch_sample_counts(rule, key, m, out);
    }
}

void
watch_sample_early(const struct inv_alarm *rule, const pb_early *m, struct alarm_sample *out)
{
    if (rule->metric.kind == INV_FLR || rule->metric.kind == INV_FLR_RAW) {
        /* The youngest packets are neither here nor there. */
        out->count = (uint64_t)m->received + m->overdue + m->send_errors;
        out->lost = (uint64_t)m->overdue + m->send_errors;
        out->send_errors = m->send_errors;
    } else if (rule->metric.kind == INV_RT && rule->metric.quantile_milli == 50000 && m->received) {
        /* The median of what came is as good as the final one, which is dearer. */
        out->final = true;
        out->count = 1;
        out->value_ns = m->rt_p50_ns;
    }
}
