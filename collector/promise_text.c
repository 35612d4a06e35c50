/* promise_text.c - numbers, names and units as PostgreSQL takes them. */
#include "promise_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

const char *
promise_number(char buf[PROMISE_NUMBER_SIZE], int64_t v)
{
    snprintf(buf, PROMISE_NUMBER_SIZE, "%" PRId64, v);
    return buf;
}

static const char *
number_u(char buf[PROMISE_NUMBER_SIZE], uint64_t v)
{
    return promise_number(buf, v > INT64_MAX ? INT64_MAX : (int64_t)v);
}

void
promise_text_fill(struct promise_text *t, const struct promise *p, size_t place,
                  const struct judged *j)
{
    static const char *const units[] = {
        [INV_MILLI_PERCENT] = "milli_percent", [INV_NS] = "ns", [INV_COUNT] = "count"};
    static const char *const ways[] = {
        [INV_FWD] = "fwd", [INV_BWD] = "bwd", [INV_BOTH] = "both", [INV_ROUND_TRIP] = "rt"};
    const struct inv_objective *o = j->objective;
    const struct objective_result *r = &j->result;

    t->values[PROMISE_AT_SERVICE] = p->service->key;
    t->values[PROMISE_AT_PERIOD] =
        promise_number(t->buf[PROMISE_AT_PERIOD], p->period.ns / NS_PER_S);
    t->values[PROMISE_AT_NUMBER] = promise_number(t->buf[PROMISE_AT_NUMBER], (int64_t)place + 1);
    t->values[PROMISE_AT_CLASS] = o->class_->key;
    t->values[PROMISE_AT_METRIC] = inv_metric_format(o->metric, t->metric, sizeof t->metric);
    t->values[PROMISE_AT_DIRECTION] = ways[o->direction];
    t->values[PROMISE_AT_LIMIT] = number_u(t->buf[PROMISE_AT_LIMIT], o->limit);
    t->values[PROMISE_AT_UNIT] = units[inv_metric_unit(o->metric.kind)];
    t->values[PROMISE_AT_VERDICT] = verdict_name(r->verdict);
    t->values[PROMISE_AT_DOUBT] = verdict_doubt_name(r->doubt);
    t->values[PROMISE_AT_VALUE] =
        r->has_value ? promise_number(t->buf[PROMISE_AT_VALUE], r->value) : NULL;
    t->values[PROMISE_AT_WORST] = j->any ? j->worst : NULL;
    t->values[PROMISE_AT_PART] = number_u(t->buf[PROMISE_AT_PART], r->part);
    t->values[PROMISE_AT_WHOLE] = number_u(t->buf[PROMISE_AT_WHOLE], r->whole);
    snprintf(t->buf[PROMISE_AT_LOW], PROMISE_NUMBER_SIZE, "%.9g", r->low);
    snprintf(t->buf[PROMISE_AT_HIGH], PROMISE_NUMBER_SIZE, "%.9g", r->high);
    t->values[PROMISE_AT_LOW] = isnan(r->low) ? NULL : t->buf[PROMISE_AT_LOW];
    t->values[PROMISE_AT_HIGH] = isnan(r->high) ? NULL : t->buf[PROMISE_AT_HIGH];
    t->values[PROMISE_AT_NEEDED] = number_u(t->buf[PROMISE_AT_NEEDED], r->needed);
    t->values[PROMISE_AT_BUDGET] = number_u(t->buf[PROMISE_AT_BUDGET], r->budget);
    t->values[PROMISE_AT_USED] = number_u(t->buf[PROMISE_AT_USED], r->used);
}

void
promise_text_period(struct promise_period_text *t, const struct promise *p, struct instant until,
                    int revision)
{
    t->values[0] = p->service->key;
    t->values[1] = promise_number(t->buf[0], p->period.ns / NS_PER_S);
    t->values[2] = promise_number(t->buf[1], p->period_end.ns / NS_PER_S);
    t->values[3] = p->sla->key;
    t->values[4] = promise_number(t->buf[2], p->sla->version);
    t->values[5] = promise_number(t->buf[3], p->from.ns / NS_PER_S);
    t->values[6] = promise_number(t->buf[4], until.ns / NS_PER_S);
    t->values[7] = revision < 0 ? NULL : promise_number(t->buf[5], revision);
}
