/* example_truth.c - the truth by plain arithmetic. */
#include "example_truth.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "summary.h"

#define WHOLE 100000u /* Milli-percent. */
#define SUSPECT (DT_UNDERSENT | DT_CLOCK_STEP | DT_OVERRUN | DT_FAR_EPOCH | DT_BELOW_FLOOR)

static void *
room(size_t count, size_t size)
{
    void *at = calloc(count + 1, size);

    if (!at) {
        fprintf(stderr, "example: out of memory\n");
        exit(2);
    }
    return at;
}

/* --- What became of each delta-t ---------------------------------------------- */

/* Whether the session's figures of delta-t 'k' are known, and count. */
static bool
is_known(const struct world *w, const struct world_session *s, size_t k)
{
    const struct world_cell *c = &s->cells[k];
    int64_t from = w->begin + (int64_t)k * s->dt, until = from + s->dt;

    if (!c->ran || world_is_silent(w, s->key.observer, from, until, false)) {
        return false;
    }
    /* Loss towards a probe that nobody heard of is not loss of the link. */
    return world_received(s, c) == s->packets || !s->key.far[0] ||
           !world_is_silent(w, s->key.far, from, until, false);
}

/* Whose figures stand for a flow of delta-t 'k': the first end's, the second's, or nobody's. */
static const struct world_session *
who_stands(const struct truth *t, const struct truth_way *way, unsigned flow, size_t k)
{
    const struct world_session *found = NULL;

    for (size_t i = 0; i < way->session_count; i++) {
        const struct world_session *s = way->sessions[i];
        if (s->key.flow == flow && is_known(t->world, s, k) && (!found || s->end < found->end)) {
            found = s;
        }
    }
    return found;
}

static void
add_cell(struct truth_dt dt[DIRECTIONS], const struct world_session *s, const struct world_cell *c)
{
    unsigned r = world_received(s, c), u = c->undirected;
    unsigned there = s->end ? c->bwd : c->fwd, back = s->end ? c->fwd : c->bwd;
    struct truth_dt *to = &dt[s->end ? DIR_BWD : DIR_FWD], *from = &dt[s->end ? DIR_FWD : DIR_BWD];
    bool negative = false;

    to->sent += r + there + back + u;
    to->lost += there + u;
    from->sent += r + back + u;
    from->lost += back + u;
    dt[DIR_RT].sent += r + there + back + u;
    dt[DIR_RT].lost += there + back + u;
    to->copies += c->copies;
    from->disorder += c->copies;
    dt[DIR_RT].copies += c->copies;
    dt[DIR_RT].disorder += c->copies;
    negative = r > 0 && c->flags & DT_NEGATIVE;
    for (int d = 0; d < DIRECTIONS; d++) {
        dt[d].undirected += u;
        dt[d].known = true;
        dt[d].witness = dt[d].witness || s->end == 1;
        dt[d].suspect = dt[d].suspect || c->flags & SUSPECT || (negative && d != DIR_RT);
    }
}

static void
look(const struct truth *t, struct truth_way *way)
{
    for (size_t k = 0; k < way->count; k++) {
        struct truth_dt sum[DIRECTIONS] = {{0}};
        for (unsigned flow = 0; flow < way->link->flows; flow++) {
            const struct world_session *s = who_stands(t, way, flow, k);
            if (s) {
                add_cell(sum, s, &s->cells[k]);
            }
        }
        for (int d = 0; d < DIRECTIONS; d++) {
            sum[d].known = sum[d].known && sum[d].sent > 0;
            way->dts[d][k] = sum[d];
        }
    }
}

static bool
is_bad(const struct truth_way *way, const struct truth_dt *dt)
{
    return dt->known && (uint64_t)dt->lost * WHOLE > (uint64_t)dt->sent * way->class_->c_milli;
}

/* As the definition reads: n in a row, from k on. */
static void
decide(struct truth_way *way, int d)
{
    struct truth_dt *dts = way->dts[d];
    bool up = true;

    for (size_t k = 0; k < way->count; k++) {
        size_t run = 0;
        while (run < way->class_->n && k + run < way->count && dts[k + run].known &&
               is_bad(way, &dts[k + run]) == up) {
            run++;
        }
        up = run == way->class_->n ? !up : up;
        dts[k].up = up;
    }
}

static struct truth_way *
find(const struct truth *t, const struct inv_link *link, const struct inv_class *class_)
{
    for (size_t i = 0; i < t->way_count; i++) {
        if (t->ways[i].link == link && t->ways[i].class_ == class_) {
            return &t->ways[i];
        }
    }
    return NULL;
}

const struct truth_way *
truth_way(const struct truth *t, const char *link, const char *class_name)
{
    const struct inventory *inv = t->world->inventory;

    return find(t, inventory_link(inv, link), inventory_class(inv, class_name));
}

static void
add_session(struct truth *t, const struct world_session *s)
{
    struct truth_way *way = find(t, s->link, s->class_);

    /* What is measured as evidence is judged by nobody. */
    if (!s->key.far[0] && s->link->ends[1].use == INV_USE_EVIDENCE) {
        return;
    }
    if (!way) {
        way = &t->ways[t->way_count++];
        *way = (struct truth_way){
            .link = s->link, .class_ = s->class_, .dt = s->dt, .count = s->cell_count};
        for (int d = 0; d < DIRECTIONS; d++) {
            way->used[d] = d == DIR_RT || !s->key.rt_only;
            way->dts[d] = room(way->count, sizeof *way->dts[d]);
        }
    }
    way->sessions[way->session_count++] = s;
}

void
truth_init(struct truth *t, const struct world *w)
{
    *t = (struct truth){.world = w, .ways = room(w->session_count, sizeof *t->ways)};
    for (size_t i = 0; i < w->session_count; i++) {
        add_session(t, &w->sessions[i]);
    }
    for (size_t i = 0; i < t->way_count; i++) {
        look(t, &t->ways[i]);
        for (int d = 0; d < DIRECTIONS; d++) {
            decide(&t->ways[i], d);
        }
    }
}

void
truth_fini(struct truth *t)
{
    for (size_t i = 0; i < t->way_count; i++) {
        for (int d = 0; d < DIRECTIONS; d++) {
            free(t->ways[i].dts[d]);
        }
    }
    free(t->ways);
}

/* --- What counts --------------------------------------------------------------- */

/* A span of delta-t for which something is counted. */
struct scope {
    int64_t from, until;
    bool service; /* With the service's windows. */
};

static struct scope
scope_of(const struct world *w, int period, bool service)
{
    return (struct scope){period ? w->month : w->begin, period ? w->end : w->month, service};
}

static bool
is_excluded(const struct world *w, const struct scope *s, int64_t from, int64_t until)
{
    for (size_t i = 0; s->service && i < w->window_count; i++) {
        if (from < w->windows[i].until && until > w->windows[i].from) {
            return true;
        }
    }
    return false;
}

static bool
in_w(const struct world *w, const struct scope *s, int64_t dt, size_t k)
{
    int64_t at = w->begin + (int64_t)k * dt;

    return at >= s->from && at < s->until && !is_excluded(w, s, at, at + dt);
}

bool
truth_counts(const struct truth *t, const struct truth_way *way, size_t k)
{
    const struct scope s = scope_of(t->world, 0, true);

    return in_w(t->world, &s, way->dt, k);
}

struct counts {
    uint64_t total, counted, up, undetermined, suspect, witness, outages, hli, runs, run_intervals;
    uint64_t sent, lost, undirected, sent_raw, lost_raw, copies, disorder, samples;
    uint64_t undetermined_up;
};

/* A run of high loss that ended. */
static void
end_run(struct counts *c, uint64_t *run, uint32_t p)
{
    c->runs += *run >= p;
    c->run_intervals += *run >= p ? *run : 0;
    *run = 0;
}

static void
count_dt(struct counts *c, const struct truth_dt *dt)
{
    c->counted++;
    c->up += dt->up;
    c->undetermined += !dt->known;
    c->undetermined_up += !dt->known && dt->up;
    c->suspect += dt->suspect;
    c->witness += dt->witness;
    c->sent_raw += dt->sent;
    c->lost_raw += dt->lost;
    if (dt->up) {
        c->sent += dt->sent;
        c->lost += dt->lost;
        c->undirected += dt->undirected;
        c->copies += dt->copies;
        c->disorder += dt->disorder;
    }
}

/* Delays of one flow count unless they are suspect and the contract leaves those out. */
static bool
gives_samples(const struct world_cell *c, int d, bool service)
{
    return !service || !(c->flags & SUSPECT || (c->flags & DT_NEGATIVE && d != DIR_RT));
}

static uint64_t
samples_of(const struct truth *t, const struct truth_way *way, int d, const struct scope *s,
           int64_t *to)
{
    uint64_t count = 0;

    for (size_t k = 0; k < way->count; k++) {
        if (!way->dts[d][k].up || !way->dts[d][k].known || !in_w(t->world, s, way->dt, k)) {
            continue;
        }
        for (unsigned flow = 0; flow < way->link->flows; flow++) {
            const struct world_session *who = who_stands(t, way, flow, k);
            if (!who || !gives_samples(&who->cells[k], d, s->service)) {
                continue;
            }
            for (unsigned i = 0; i < world_received(who, &who->cells[k]); i++, count++) {
                int64_t fwd, bwd;
                world_delay(t->world, who, k, i, &fwd, &bwd);
                if (to) {
                    to[count] = d == DIR_FWD ? fwd : d == DIR_BWD ? bwd : fwd + bwd;
                }
            }
        }
    }
    return count;
}

static struct counts
count_way(const struct truth *t, const struct truth_way *way, int d, const struct scope *s)
{
    struct counts c = {0};
    uint64_t run = 0;
    bool was = true;

    for (size_t k = 0; k < way->count; k++) {
        const struct truth_dt *dt = &way->dts[d][k];
        int64_t at = t->world->begin + (int64_t)k * way->dt;
        if (at % 900 == 0) {
            was = k == 0 || dt[-1].up; /* A quarter hour begins with the A before it. */
        }
        bool here = at >= s->from && at < s->until;
        bool counts = here && in_w(t->world, s, way->dt, k);
        bool high = counts && dt->up && is_bad(way, dt);
        c.total += here;
        if (counts) {
            count_dt(&c, dt);
            c.outages += was && !dt->up;
            was = dt->up;
        }
        c.hli += high;
        run += high;
        if (!high) {
            end_run(&c, &run, way->class_->p);
        }
    }
    end_run(&c, &run, way->class_->p);
    c.samples = samples_of(t, way, d, s, NULL);
    return c;
}

void
truth_qualified(const struct truth *t, const struct truth_way *way, enum direction d,
                uint64_t *sent, uint64_t *samples)
{
    const struct scope s = scope_of(t->world, 0, true);
    struct counts c = count_way(t, way, (int)d, &s);

    *sent = c.sent;
    *samples = c.samples;
}

/* --- Groups and services ------------------------------------------------------- */

struct state {
    bool up, known;
};

/* So many of the parts are needed; those that are not known have their last state, unless it
 * hangs on them. */
static struct state
of_parts(const struct state *parts, size_t count, size_t need)
{
    size_t up = 0, sure = 0, unknown = 0;

    for (size_t i = 0; i < count; i++) {
        up += parts[i].up;
        sure += parts[i].up && parts[i].known;
        unknown += !parts[i].known && !(parts[i].up && parts[i].known);
    }
    size_t may = sure + unknown;
    return (struct state){up >= need, !(sure < need && may >= need)};
}

static struct state
of_link(const struct truth_way *way, size_t k)
{
    const struct truth_dt *fwd = &way->dts[DIR_FWD][k], *bwd = &way->dts[DIR_BWD][k];
    const struct state both[] = {{fwd->up, fwd->known}, {bwd->up, bwd->known}};

    return of_parts(both, 2, 2);
}

static struct state
of_group(const struct truth *t, const struct inv_group *g, const struct inv_class *c, size_t k)
{
    struct state parts[16];
    size_t count = 0;

    for (size_t m = 0; m < g->member_count && count < 16; m++) {
        const struct truth_way *way = find(t, g->members[m].link, c);
        if (way) {
            parts[count++] = of_link(way, k);
        }
    }
    return of_parts(parts, count, g->need);
}

static struct state
of_service(const struct truth *t, const struct inv_service *s, const struct inv_class *c, size_t k)
{
    struct state parts[16];

    assert(s->over_count <= 16);
    for (size_t i = 0; i < s->over_count; i++) {
        const struct truth_way *way = find(t, s->over[i].link, c);
        assert(way || s->over[i].group);
        parts[i] = s->over[i].group ? of_group(t, s->over[i].group, c, k) : of_link(way, k);
    }
    return of_parts(parts, s->over_count, s->over_count);
}

/* Of the whole: 'service', or else 'group'. */
static struct counts
count_whole(const struct truth *t, const struct inv_service *service, const struct inv_group *group,
            const struct inv_class *class_, int period)
{
    const struct scope s = scope_of(t->world, period, service != NULL);
    int64_t dt = class_->dt.ns / NS_PER_S;
    struct counts c = {0};
    struct state before = {true, true};
    bool was = true;

    for (size_t k = 0; k < (size_t)((t->world->end - t->world->begin) / dt); k++) {
        struct state now =
            service ? of_service(t, service, class_, k) : of_group(t, group, class_, k);
        int64_t at = t->world->begin + (int64_t)k * dt;
        bool here = at >= s.from && at < s.until;
        was = at % 900 == 0 ? before.up : was;
        c.total += here;
        if (here && in_w(t->world, &s, dt, k)) {
            const struct truth_dt as = {.up = now.up, .known = now.known};
            count_dt(&c, &as);
            c.outages += was && !now.up;
            was = now.up;
        }
        before = now;
    }
    return c;
}

/* --- Objectives ---------------------------------------------------------------- */

double
truth_at_most(uint64_t k, uint64_t n, double p)
{
    double sum = 0;

    for (uint64_t i = 0; i <= k && i <= n; i++) {
        sum += exp(lgamma((double)n + 1) - lgamma((double)i + 1) - lgamma((double)(n - i) + 1) +
                   (double)i * log(p) + (double)(n - i) * log1p(-p));
    }
    return sum;
}

double
truth_at_least(uint64_t k, uint64_t n, double p)
{
    return k ? 1 - truth_at_most(k - 1, n, p) : 1;
}

enum { MISSED, OPEN, MET };

struct result {
    int verdict;
    const char *doubt;
    uint64_t part, whole;
    bool has_value;
    int64_t value, tolerance;
    double order; /* Greater is worse. */
};

/* Where a period runs: whether what is over is spent for good, of 'final' at the end. */
static bool
is_spent(uint64_t over, uint64_t final, uint64_t allowed_milli)
{
    return over * WHOLE > final * allowed_milli;
}

static void
set_running(const struct world *w, struct result *r, bool spent)
{
    (void)w;
    assert(!spent); /* None of the worlds spends a month's budget in minutes. */
    r->verdict = MET;
}

static struct result
judge_availability(const struct truth *t, const struct inv_objective *o, const struct counts *c,
                   int period)
{
    uint64_t dt = (uint64_t)(o->class_->dt.ns / NS_PER_S), final = c->counted;
    uint64_t allowed = WHOLE - o->limit, used = c->counted - c->up;
    uint64_t down = c->undetermined - c->undetermined_up;

    if (c->counted == 0) {
        return (struct result){c->total ? MET : OPEN, "no_data", 0, 0, false, 0, 0, 0};
    }
    if (period) {
        final = (uint64_t)(t->world->next_month - t->world->month) / dt - (c->total - c->counted);
    }
    bool missed = is_spent(used, final, allowed);
    bool turns = is_spent(used - down, final, allowed) !=
                 is_spent(used + c->undetermined_up, final, allowed);
    struct result r = {.verdict = missed ? MISSED : MET,
                       .doubt = turns ? "undetermined" : "none",
                       .part = c->up,
                       .whole = c->counted,
                       .has_value = true,
                       .value = (int64_t)(c->up * WHOLE / c->counted),
                       .order = (double)used / (double)c->counted};
    if (period) {
        set_running(t->world, &r, missed);
    }
    return r;
}

static struct result
judge_loss(const struct truth *t, const struct inv_objective *o, const struct truth_way *way,
           const struct counts *c, int period)
{
    double limit = (double)o->limit / WHOLE;
    struct result r = {.verdict = OPEN, .doubt = "no_data", .part = c->lost, .whole = c->sent};

    if (c->sent == 0) {
        return r;
    }
    r.has_value = true;
    r.value = (int64_t)((c->lost * WHOLE + c->sent - 1) / c->sent);
    r.order = (double)c->lost / (double)c->sent;
    r.doubt = "none";
    if (r.order > limit && truth_at_least(c->lost, c->sent, limit) < 0.025) {
        r.verdict = MISSED;
    } else if (r.order <= limit && truth_at_most(c->lost, c->sent, limit) < 0.025) {
        r.verdict = MET;
    } else {
        r.doubt = c->sent * o->limit < 3 * (uint64_t)WHOLE ? "few_samples" : "in_interval";
    }
    if (period) {
        uint64_t final = (uint64_t)((t->world->next_month - t->world->month) * NS_PER_S /
                                    way->class_->period.ns) *
                         way->link->flows;
        set_running(t->world, &r, is_spent(c->lost, final, o->limit));
    }
    return r;
}

static int
compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The bucket of a delay in layout 1: 512 an octave, 64 ns below the first. */
static int64_t
bucket_width(int64_t delay)
{
    int64_t width = 64;

    for (int64_t octave = 512 * 64; delay >= 2 * octave; octave *= 2) {
        width *= 2;
    }
    return width;
}

/* Samples over 'threshold' as the histogram tells them: surely, and perhaps. */
static void
over_by_bucket(const int64_t *d, uint64_t n, int64_t threshold, uint64_t *surely, uint64_t *perhaps)
{
    *surely = *perhaps = 0;
    for (uint64_t i = 0; i < n; i++) {
        int64_t width = bucket_width(d[i]), lower = d[i] / width * width, most = lower + width - 1;
        *surely += lower > threshold;
        *perhaps += (most < d[n - 1] ? most : d[n - 1]) > threshold;
    }
}

static struct result
judge_delay(const struct truth *t, const struct inv_objective *o, const struct truth_way *way,
            int d, int period)
{
    const struct scope s = scope_of(t->world, period, true);
    uint64_t n = samples_of(t, way, d, &s, NULL), over = 0, perhaps = 0;
    int64_t *all = room(n, sizeof *all), limit = (int64_t)o->limit, base = 0;
    uint64_t quantile = o->metric.quantile_milli, rank = (n * quantile + WHOLE - 1) / WHOLE;
    struct result r = {.verdict = OPEN, .doubt = "no_data"};

    if (n) {
        (void)samples_of(t, way, d, &s, all);
        qsort(all, n, sizeof *all, compare);
        if (o->metric.kind == INV_FDR) {
            base = all[0];
            over_by_bucket(all, n, base + limit, &over, &perhaps);
        } else {
            for (uint64_t i = 0; i < n; i++) {
                over += all[i] > limit;
            }
            perhaps = over;
        }
        bool few = n * (WHOLE - quantile) < 3 * (uint64_t)WHOLE;
        r = (struct result){.verdict = over > n - rank      ? MISSED
                                       : perhaps > n - rank ? OPEN
                                                            : MET,
                            .doubt = over <= n - rank && perhaps > n - rank ? "bucket" : "none",
                            .part = over,
                            .whole = n,
                            .has_value = true,
                            .value = all[rank - 1] - base,
                            .tolerance = all[rank - 1] / 1000 + 64,
                            .order = (double)(all[rank - 1] - base)};
        if (few && !(r.verdict == MISSED &&
                     truth_at_least(over, n, 1 - (double)quantile / WHOLE) < 0.025)) {
            r.verdict = OPEN;
            r.doubt = "few_samples";
        }
        if (period) {
            set_running(t->world, &r, over * WHOLE > (WHOLE - quantile) * UINT64_C(10000000));
        }
    }
    free(all);
    return r;
}

static bool
is_worse(const struct result *a, const struct result *b)
{
    if (a->verdict != b->verdict) {
        return a->verdict < b->verdict;
    }
    return a->has_value != b->has_value ? a->has_value : a->order > b->order;
}

/* --- Printing ------------------------------------------------------------------- */

static const char *const directions[] = {"fwd", "bwd", "rt"};

static void
print_line(FILE *to, int period, const char *kind, const char *scope, const char *object,
           const char *class_name, const char *direction, const struct counts *c)
{
    fprintf(to, "line\t%d\t%s\t%s\t%s\t%s\t%s", period, kind, scope, object, class_name, direction);
    const uint64_t all[] = {
        c->total,      c->counted,  c->up,       c->undetermined,  c->suspect,  c->witness,
        c->outages,    c->hli,      c->runs,     c->run_intervals, c->sent,     c->lost,
        c->undirected, c->sent_raw, c->lost_raw, c->copies,        c->disorder, c->samples};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        fprintf(to, "\t%" PRIu64, all[i]);
    }
    fputc('\n', to);
}

static bool
is_under(const struct inv_service *s, const struct inv_link *link)
{
    for (size_t i = 0; i < s->over_count; i++) {
        const struct inv_group *g = s->over[i].group;
        for (size_t m = 0; g && m < g->member_count; m++) {
            if (g->members[m].link == link) {
                return true;
            }
        }
        if (s->over[i].link == link) {
            return true;
        }
    }
    return false;
}

static bool
has_class(const struct inv_service *s, const struct inv_class *class_)
{
    for (size_t i = 0; i < s->class_count; i++) {
        if (s->classes[i] == class_) {
            return true;
        }
    }
    return false;
}

static void
print_lines(const struct truth *t, int period, FILE *to)
{
    const struct inventory *inv = t->world->inventory;

    for (size_t i = 0; i < t->way_count; i++) {
        const struct truth_way *way = &t->ways[i];
        for (int d = 0; d < DIRECTIONS; d++) {
            if (!way->used[d]) {
                continue;
            }
            struct scope s = scope_of(t->world, period, false);
            struct counts c = count_way(t, way, d, &s);
            print_line(to, period, "link", way->link->key, way->link->key, way->class_->key,
                       directions[d], &c);
            for (size_t k = 0; k < inv->service_count; k++) {
                if (is_under(&inv->services[k], way->link) &&
                    has_class(&inv->services[k], way->class_)) {
                    s = scope_of(t->world, period, true);
                    c = count_way(t, way, d, &s);
                    print_line(to, period, "service", inv->services[k].key, way->link->key,
                               way->class_->key, directions[d], &c);
                }
            }
        }
    }
}

static void
print_wholes(const struct truth *t, int period, FILE *to)
{
    const struct inventory *inv = t->world->inventory;

    for (size_t c = 0; c < inv->class_count; c++) {
        for (size_t i = 0; i < inv->group_count; i++) {
            const struct inv_group *g = &inv->groups[i];
            if (find(t, g->members[0].link, &inv->classes[c])) {
                struct counts n = count_whole(t, NULL, g, &inv->classes[c], period);
                print_line(to, period, "group", g->key, g->key, inv->classes[c].key, "both", &n);
            }
        }
        for (size_t i = 0; i < inv->service_count; i++) {
            const struct inv_service *s = &inv->services[i];
            if (has_class(s, &inv->classes[c])) {
                struct counts n = count_whole(t, s, NULL, &inv->classes[c], period);
                print_line(to, period, "service", s->key, s->key, inv->classes[c].key, "both", &n);
            }
        }
    }
}

/* The worst of the ways that the objective is about. */
static struct result
judge(const struct truth *t, const struct inv_service *s, const struct inv_objective *o, int period)
{
    struct result worst = {.verdict = MET + 1, .doubt = "none"};

    if (o->metric.kind == INV_AVAILABILITY) {
        struct counts c = count_whole(t, s, NULL, o->class_, period);
        return judge_availability(t, o, &c, period);
    }
    assert(o->metric.kind == INV_FLR || o->metric.kind == INV_RT || o->metric.kind == INV_FDR);
    for (size_t i = 0; i < t->way_count; i++) {
        const struct truth_way *way = &t->ways[i];
        for (int d = 0; d < DIRECTIONS; d++) {
            const struct scope scope = scope_of(t->world, period, true);
            if (way->class_ != o->class_ || !is_under(s, way->link) || !way->used[d] ||
                (o->metric.kind == INV_RT) != (d == DIR_RT)) {
                continue;
            }
            struct counts c = count_way(t, way, d, &scope);
            struct result r = o->metric.kind == INV_FLR ? judge_loss(t, o, way, &c, period)
                                                        : judge_delay(t, o, way, d, period);
            worst = is_worse(&r, &worst) ? r : worst;
        }
    }
    return worst;
}

void
truth_print(const struct truth *t, FILE *to)
{
    static const char *const verdicts[] = {"missed", "not decidable", "met"};
    static const char *const ways[] = {
        [INV_FWD] = "fwd", [INV_BWD] = "bwd", [INV_BOTH] = "both", [INV_ROUND_TRIP] = "rt"};
    const struct inventory *inv = t->world->inventory;

    for (int period = 0; period < 2; period++) {
        print_lines(t, period, to);
        print_wholes(t, period, to);
        for (size_t i = 0; i < inv->service_count; i++) {
            const struct inv_service *s = &inv->services[i];
            for (size_t k = 0; s->sla && k < s->sla->objective_count; k++) {
                const struct inv_objective *o = &s->sla->objectives[k];
                char metric[INV_METRIC_SIZE];
                struct result r = judge(t, s, o, period);
                fprintf(to,
                        "objective\t%d\t%s\t%zu\t%s\t%s\t%s\t%s\t%s\t%" PRIu64 "\t%" PRIu64
                        "\t%" PRId64 "\t%" PRId64 "\n",
                        period, s->key, k + 1, o->class_->key,
                        inv_metric_format(o->metric, metric, sizeof metric), ways[o->direction],
                        verdicts[r.verdict], r.doubt, r.part, r.whole, r.value, r.tolerance);
            }
        }
    }
}
