/* baseline.c - from rules to pasts, from rows of a past to its value. */
#include "baseline.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "series.h"

#define HOUR_NS (3600 * NS_PER_S)
#define DAY_NS (24 * HOUR_NS)
#define QUARTER_NS (900 * NS_PER_S)
#define INTERVALS_UP_TO_NS (3 * HOUR_NS)
#define QUARTERS_UP_TO_NS (2 * DAY_NS)

bool
baseline_has(enum inv_metric_kind kind)
{
    return kind == INV_RT || kind == INV_RT_MEAN;
}

/* --- Which there are -------------------------------------------------------- */

struct planning {
    struct baseline_plan *plan;
    const struct inv_alarm **rules;
    size_t rule_count;
    struct baseline_cell cell; /* Of the sessions that are gone through. */
};

static int
on_session(const struct inv_link *link, const struct inv_class *class_, unsigned end,
           const struct session_key *key, void *aux)
{
    struct planning *g = aux;
    struct baseline_plan *p = g->plan;

    if (p->series_count == p->series_room) {
        size_t room = p->series_room ? 2 * p->series_room : 256;
        int64_t *more = reallocarray(p->series, room, sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        p->series = more;
        p->series_room = room;
    }
    p->series[p->series_count++] = series_id_of(key, DIR_RT);
    g->cell.count++;
    g->cell.observer = link->ends[end].probe->key;
    g->cell.size = key->size;
    g->cell.dscp = key->dscp;
    (void)class_;
    return 0;
}

static bool
rule_wants(const struct inv_alarm *rule, const struct inv_class *class_)
{
    bool wants = rule->class_count == 0;

    for (size_t i = 0; i < rule->class_count; i++) {
        wants = wants || rule->classes[i] == class_;
    }
    return wants && rule->relative && baseline_has(rule->metric.kind);
}

/* Two rules with the same metric and 'against' need one past, which is none of either's present. */
static bool
is_there(struct baseline_plan *p, size_t from, const struct inv_alarm *rule)
{
    for (size_t i = from; i < p->count; i++) {
        struct baseline_cell *c = &p->cells[i];
        if (inv_metric_equal(c->metric, rule->metric) && c->against.ns == rule->against.ns) {
            c->over = c->over.ns > rule->over.ns ? c->over : rule->over;
            return true;
        }
    }
    return false;
}

static int
add_cell(struct planning *g, const struct inv_alarm *rule)
{
    struct baseline_plan *p = g->plan;

    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 256;
        struct baseline_cell *more = reallocarray(p->cells, room, sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        p->cells = more;
        p->room = room;
    }
    struct baseline_cell *c = &p->cells[p->count++];
    *c = g->cell;
    c->metric = rule->metric;
    c->against = rule->against;
    c->over = rule->over;
    return 0;
}

/* What one end of a link observes of a class. */
static int
plan_end(struct planning *g, const struct inv_link *link, const struct inv_class *class_,
         unsigned end)
{
    size_t from = g->plan->count;

    g->cell = (struct baseline_cell){
        .object = link->key, .class_name = class_->key, .first = g->plan->series_count};
    int err = inventory_link_sessions(link, class_, end, on_session, g);
    for (size_t r = 0; r < g->rule_count && !err && g->cell.count; r++) {
        const struct inv_alarm *rule = g->rules[r];
        if (rule_wants(rule, class_) && !is_there(g->plan, from, rule)) {
            err = add_cell(g, rule);
        }
    }
    if (g->plan->count == from) {
        g->plan->series_count = g->cell.first;
    }
    return err;
}

/* As they are written in the table's key. */
static int
cell_compare(const void *left, const void *right)
{
    const struct baseline_cell *a = left, *b = right;
    char one[INV_METRIC_SIZE], two[INV_METRIC_SIZE];
    int order = strcmp(a->object, b->object);

    order = order ? order : strcmp(a->class_name, b->class_name);
    order = order ? order : strcmp(a->observer, b->observer);
    order = order ? order
                  : strcmp(inv_metric_format(a->metric, one, sizeof one),
                           inv_metric_format(b->metric, two, sizeof two));
    return order ? order : a->against.ns < b->against.ns ? -1 : a->against.ns > b->against.ns;
}

static int
plan_links(struct planning *g, const struct inventory *inv)
{
    int err = 0;

    for (size_t i = 0; i < inv->link_count; i++) {
        const struct inv_link *link = &inv->links[i];
        for (size_t c = 0; c < link->class_count && link->state == INV_ACTIVE; c++) {
            for (unsigned end = 0; end < 2 && !err; end++) {
                err = plan_end(g, link, link->classes[c], end);
            }
        }
    }
    if (!err && g->plan->count) {
        qsort(g->plan->cells, g->plan->count, sizeof *g->plan->cells, cell_compare);
    }
    return err;
}

struct baseline_plan *
baseline_plan_new(const struct inventory *inv)
{
    struct planning g = {.plan = calloc(1, sizeof *g.plan)};
    int err = g.plan ? 0 : -ENOMEM;

    g.rules = inventory_alarms_in_force(inv, &g.rule_count);
    if (err || !g.rules || plan_links(&g, inv)) {
        baseline_plan_free(g.plan);
        g.plan = NULL;
    } else {
        g.plan->interval = inv->interval;
    }
    free(g.rules);
    return g.plan;
}

void
baseline_plan_free(struct baseline_plan *p)
{
    if (p) {
        free(p->cells);
        free(p->series);
        free(p);
    }
}

struct baseline_wanted_key {
    const char *object, *class_name, *observer, *metric;
    int64_t against_s;
};

static int
find_compare(const void *key, const void *element)
{
    const struct baseline_wanted_key *k = key;
    const struct baseline_cell *c = element;
    char metric[INV_METRIC_SIZE];
    int64_t against_s = c->against.ns / NS_PER_S;
    int order = strcmp(k->object, c->object);

    order = order ? order : strcmp(k->class_name, c->class_name);
    order = order ? order : strcmp(k->observer, c->observer);
    order = order ? order : strcmp(k->metric, inv_metric_format(c->metric, metric, sizeof metric));
    return order ? order : k->against_s < against_s ? -1 : k->against_s > against_s;
}

struct baseline_cell *
baseline_find(struct baseline_plan *p, const char *object, const char *class_name,
              const char *observer, const char *metric, int64_t against_s)
{
    const struct baseline_wanted_key key = {object, class_name, observer, metric, against_s};

    return p->count ? bsearch(&key, p->cells, p->count, sizeof *p->cells, find_compare) : NULL;
}

/* --- When, and of what ------------------------------------------------------ */

struct span
baseline_every(struct span against)
{
    int64_t ns = against.ns / 50;

    ns = ns > HOUR_NS ? HOUR_NS : ns;
    return span_of_ns(ns < 10 * NS_PER_S ? 10 * NS_PER_S : ns);
}

bool
baseline_is_due(const struct baseline_cell *c, struct instant now)
{
    /* One of which a clock that was set said that it is to come is due as well. */
    return now.ns - c->tried.ns >= baseline_every(c->against).ns || c->tried.ns > now.ns;
}

struct span
baseline_wanted(const struct baseline_cell *c)
{
    int64_t ten = 10 * c->over.ns, tenth = c->against.ns / 10;

    return span_of_ns(ten < tenth ? ten : tenth);
}

static struct instant
floor_to(int64_t ns, int64_t step_ns)
{
    return instant_floor(instant_of_ns(ns > 0 ? ns : 0), span_of_ns(step_ns));
}

struct baseline_range
baseline_range(const struct baseline_cell *c, struct span interval, struct instant now)
{
    int64_t until = now.ns - c->over.ns, from = until - c->against.ns;
    struct baseline_range r = {.rows = c->against.ns <= INTERVALS_UP_TO_NS  ? BASELINE_INTERVALS
                                       : c->against.ns <= QUARTERS_UP_TO_NS ? BASELINE_QUARTERS
                                                                            : BASELINE_DAYS};
    int64_t length = r.rows == BASELINE_INTERVALS  ? interval.ns
                     : r.rows == BASELINE_QUARTERS ? QUARTER_NS
                                                   : DAY_NS;

    r.from = floor_to(from, length);
    r.last = instant_of_ns(until - length);
    r.most = (size_t)(c->against.ns / length) + 2;
    if (r.rows == BASELINE_DAYS) {
        /* Yesterday has no row where its source is late. */
        r.quarter_from = floor_to(until - DAY_NS, DAY_NS);
        r.quarter_last = instant_of_ns(until - QUARTER_NS);
        r.most += (size_t)(2 * DAY_NS / QUARTER_NS);
    }
    return r;
}

/* --- Its value ---------------------------------------------------------------- */

int
baseline_sum_init(struct baseline_sum *s)
{
    *s = (struct baseline_sum){.hist = hist_new(HIST_DELAY)};
    return s->hist ? 0 : -ENOMEM;
}

void
baseline_sum_fini(struct baseline_sum *s)
{
    hist_free(s->hist);
    s->hist = NULL;
}

void
baseline_begin(struct baseline_sum *s)
{
    hist_clear(s->hist);
    s->seconds = s->count = 0;
    s->sum_ns = s->min_ns = s->max_ns = 0;
}

int
baseline_add(struct baseline_sum *s, const struct baseline_row *row)
{
    uint64_t count = 0;
    enum hist_verdict v = HIST_OK;

    if (row->hist_size) {
        v = hist_check_encoded(HIST_DELAY, row->hist, row->hist_size, &count);
    }
    if (v != HIST_OK || count != row->count) {
        return -EBADMSG;
    }
    if (count) {
        v = hist_merge_encoded(s->hist, row->hist, row->hist_size);
    }
    if (v != HIST_OK) {
        return v == HIST_NO_MEMORY ? -ENOMEM : -EBADMSG;
    }
    if (count) {
        s->min_ns = s->count == 0 || row->min_ns < s->min_ns ? row->min_ns : s->min_ns;
        s->max_ns = s->count == 0 || row->max_ns > s->max_ns ? row->max_ns : s->max_ns;
        s->sum_ns += row->sum_ns;
    }
    s->count += count;
    s->seconds += row->seconds;
    return 0;
}

bool
baseline_value(const struct baseline_sum *s, const struct baseline_cell *c, int64_t *value_ns)
{
    /* Of all flows together: each has its share of what is wanted. */
    int64_t known_ns = (int64_t)(s->seconds / c->count) * NS_PER_S;

    if (s->count == 0 || known_ns < baseline_wanted(c).ns) {
        return false;
    }
    *value_ns = c->metric.kind == INV_RT
                    ? hist_quantile(s->hist, c->metric.quantile_milli * 10, s->min_ns, s->max_ns)
                    : s->sum_ns / (int64_t)s->count;
    return true;
}

bool
baseline_stays(const struct baseline_cell *c, struct instant now)
{
    return c->at.ns && c->at.ns <= now.ns && now.ns - c->at.ns < c->against.ns;
}
