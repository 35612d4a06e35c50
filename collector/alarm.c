/* alarm.c - windows of flows, and the episodes that they make. */
#include "alarm.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Ratios are counted in these. */
#define ALARM_WHOLE 100000
/* A final summary comes Tmax and some 2 s after its delta-t: so much longer early ones are kept. */
#define GRACE_NS (4 * NS_PER_S)
#define ROOM_MAX 256u
/* One slot of so many may be without data, but not the first. */
#define MISSING 10u
/* A flow that is so far behind the others of its cell is not waited for. */
#define SILENT_NS (600 * NS_PER_S)
/* Delays are kept in these, up to 68 s. */
#define VALUE_NS 16
#define ALARM_FINAL (UINT32_C(1) << 31)
#define ALARM_NONE INT64_MIN

/* Sums of one delta-t or a few. */
struct alarm_slot {
    uint32_t count; /* ALARM_FINAL is or-ed to it where an early state can be replaced no more. */
    uint32_t bad;
};

struct alarm_flow {
    struct alarm_slot *slots; /* A ring by number: start / length. */
    uint32_t *values;         /* One of each slot; NULL of ratios. */
    struct span length;
    int64_t newest, judged; /* Slots; or ALARM_NONE. */
    int64_t taken;          /* Start of the newest delta-t that was final. */
    int64_t bad_newest;     /* Newest slot with anything bad in it. */
    int64_t near[2];        /* Slots in which an early and a final delta-t were last. */
    uint16_t number, need, room;
    uint16_t at; /* Where in the ring the newest is. */
    bool early;  /* Early states count: a slot is one delta-t. */
    bool hit;    /* Since alarm_decide(). */
    bool over;   /* The newest window was. */
    struct span dt, tmax;
    int64_t hit_at, hit_from, bad_until;
    int64_t good_ns, good_at; /* How long it is good, and when that was enough; 0: it is not. */
    int64_t value;            /* Of the newest window that was over. */
    /* Of final ones, since the first bad one; 'sent' is what 'counted' was at the last bad one. */
    uint64_t counted, sent, fwd, bwd, undirected, send_errors;
};

enum alarm_way { ALARM_WAY_RATIO, ALARM_WAY_DELAY, ALARM_WAY_FACT, ALARM_WAY_NONE };

static enum alarm_way
alarm_way_of(enum inv_metric_kind kind)
{
    switch (kind) {
    case INV_FLR:
    case INV_FLR_RAW:
    case INV_REORDER_RATIO:
    case INV_DUPLICATE_RATIO:
        return ALARM_WAY_RATIO;
    case INV_RT:
    case INV_RT_MEAN:
    case INV_FD:
    case INV_FD_MEAN:
    case INV_FDR:
    case INV_IFDV:
        return ALARM_WAY_DELAY;
    case INV_RT_FLOOR:
    case INV_CLOCK_ERROR:
        return ALARM_WAY_FACT;
    default:
        return ALARM_WAY_NONE;
    }
}

bool
alarm_knows(enum inv_metric_kind kind)
{
    return alarm_way_of(kind) != ALARM_WAY_NONE;
}

static int64_t
limit_of(const struct alarm_cell *c)
{
    const struct inv_alarm *rule = c->rule;

    if (rule->relative) {
        __int128 limit =
            (__int128)c->baseline * (ALARM_WHOLE + (__int128)rule->raise) / ALARM_WHOLE;
        if (c->baseline <= 0) {
            return -1;
        }
        /* Both medians are of buckets (hist.h, 512 an octave), and hosts had their part in what
         * was: who asks for +20 % is told of a step of 20 %. */
        limit -= limit / 512;
        return limit > INT64_MAX ? INT64_MAX : (int64_t)limit;
    }
    /* Over 100 % there is nothing: all lost is over that limit. */
    if (alarm_way_of(rule->metric.kind) == ALARM_WAY_RATIO && rule->raise >= ALARM_WHOLE) {
        return ALARM_WHOLE - 1;
    }
    return rule->raise > INT64_MAX ? INT64_MAX : (int64_t)rule->raise;
}

/* --- Life ------------------------------------------------------------------- */

void
alarm_cell_init(struct alarm_cell *c, const struct inv_alarm *rule, struct span hold)
{
    *c = (struct alarm_cell){.rule = rule, .hold = hold};
    c->limit = limit_of(c);
}

void
alarm_set_baseline(struct alarm_cell *c, int64_t baseline)
{
    c->baseline = baseline;
    c->limit = limit_of(c);
}

void
alarm_cell_fini(struct alarm_cell *c)
{
    for (uint32_t i = 0; i < c->flow_count; i++) {
        free(c->flows[i].slots);
        free(c->flows[i].values);
    }
    free(c->flows);
    free(c->episode);
    c->flows = NULL;
    c->episode = NULL;
    c->flow_count = 0;
}

size_t
alarm_cell_bytes(const struct alarm_cell *c)
{
    size_t bytes = c->episode ? sizeof *c->episode : 0;

    for (uint32_t i = 0; i < c->flow_count; i++) {
        const struct alarm_flow *f = &c->flows[i];
        bytes += sizeof *f + f->room * (sizeof f->slots[0] + (f->values ? sizeof f->values[0] : 0));
    }
    return bytes;
}

static struct alarm_episode *
episode_of(struct alarm_cell *c)
{
    if (!c->episode) {
        c->episode = calloc(1, sizeof *c->episode);
    }
    return c->episode;
}

int
alarm_restore(struct alarm_cell *c, const struct alarm_episode *e)
{
    struct alarm_episode *to = episode_of(c);

    if (!to) {
        return -ENOMEM;
    }
    *to = *e;
    c->answered = c->answered || alarm_is_raised(c);
    c->told_way = true;
    return 0;
}

/* How a window of 'over' is cut into slots. */
static void
measure(const struct alarm_cell *c, struct alarm_flow *f)
{
    int64_t over = c->rule->over.ns > f->dt.ns ? c->rule->over.ns : f->dt.ns;
    int64_t count = (over + f->dt.ns - 1) / f->dt.ns;
    int64_t each = (count + ALARM_SLOTS_MAX - 1) / ALARM_SLOTS_MAX;
    int64_t late = (f->tmax.ns + GRACE_NS) / f->dt.ns + 1;

    f->length = span_of_ns(f->dt.ns * each);
    f->need = (uint16_t)((count + each - 1) / each);
    f->early = each == 1 && over <= ALARM_EARLY_NS;
    f->room = f->need;
    if (f->early) {
        f->room = (uint16_t)(late < ROOM_MAX - f->need ? f->need + late : ROOM_MAX);
    }
}

static int
flow_begin(const struct alarm_cell *c, struct alarm_flow *f, uint16_t number, struct span dt,
           struct span tmax)
{
    struct alarm_flow fresh = {.number = number,
                               .dt = dt,
                               .tmax = tmax,
                               .newest = ALARM_NONE,
                               .judged = ALARM_NONE,
                               .taken = ALARM_NONE,
                               .bad_newest = ALARM_NONE,
                               .bad_until = ALARM_NONE};

    measure(c, &fresh);
    fresh.slots = calloc(fresh.room, sizeof fresh.slots[0]);
    if (alarm_way_of(c->rule->metric.kind) != ALARM_WAY_RATIO) {
        fresh.values = calloc(fresh.room, sizeof fresh.values[0]);
    }
    if (!fresh.slots || (!fresh.values && alarm_way_of(c->rule->metric.kind) != ALARM_WAY_RATIO)) {
        free(fresh.slots);
        free(fresh.values);
        return -ENOMEM;
    }
    free(f->slots);
    free(f->values);
    *f = fresh;
    return 0;
}

int
alarm_flow(struct alarm_cell *c, uint16_t number, struct span dt, struct span tmax)
{
    uint32_t i = 0;

    while (i < c->flow_count && c->flows[i].number != number) {
        i++;
    }
    if (i == c->flow_count) {
        struct alarm_flow *more = reallocarray(c->flows, i + 1, sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        c->flows = more;
        memset(&more[i], 0, sizeof more[i]);
        int err = flow_begin(c, &more[i], number, dt, tmax);
        if (err) {
            return err;
        }
        c->flow_count++;
    } else if (c->flows[i].dt.ns != dt.ns || c->flows[i].tmax.ns != tmax.ns) {
        int err = flow_begin(c, &c->flows[i], number, dt, tmax);
        if (err) {
            return err;
        }
    }
    return (int)i;
}

bool
alarm_wants_early(const struct alarm_cell *c, int flow)
{
    return c->flows[flow].early;
}

/* --- Windows ---------------------------------------------------------------- */

/* Of a rule on values more than half are over: so is their median. */
static bool
is_over(const struct alarm_cell *c, uint64_t count, uint64_t bad)
{
    if (alarm_way_of(c->rule->metric.kind) != ALARM_WAY_RATIO) {
        return bad * 2 > count;
    }
    return (__int128)bad * ALARM_WHOLE > (__int128)c->limit * (__int128)count;
}

/* Where a slot that is kept is. */
static unsigned
alarm_place_of(const struct alarm_flow *f, int64_t number)
{
    unsigned back = (unsigned)(f->newest - number);

    return f->at >= back ? f->at - back : f->at + f->room - back;
}

static struct alarm_slot *
alarm_slot_at(const struct alarm_flow *f, int64_t number)
{
    return &f->slots[alarm_place_of(f, number)];
}

/* start / length, mostly without the division: it is that of the one before, or the next. */
static int64_t
number_of(struct alarm_flow *f, const struct alarm_sample *s)
{
    int64_t *near = &f->near[s->final], behind = s->start.ns - *near * f->length.ns;

    if (behind < 0 || behind >= 2 * f->length.ns) {
        *near = s->start.ns / f->length.ns;
    } else if (behind >= f->length.ns) {
        ++*near;
    }
    return *near;
}

/* Whether slot 'number' is still kept, or yet to come. */
static bool
is_kept(const struct alarm_flow *f, int64_t number)
{
    return f->newest == ALARM_NONE || number > f->newest - f->room;
}

static void
forget_counts(struct alarm_flow *f)
{
    f->counted = f->sent = f->fwd = f->bwd = f->undirected = f->send_errors = 0;
}

/* Makes 'number' the newest slot. */
static void
advance(struct alarm_flow *f, int64_t number)
{
    bool far = f->newest == ALARM_NONE || number - f->newest > f->room;

    for (int64_t steps = far ? f->room : number - f->newest; steps > 0; steps--) {
        f->at = (uint16_t)(f->at + 1 < f->room ? f->at + 1 : 0);
        f->slots[f->at] = (struct alarm_slot){0, 0};
    }
    f->newest = number;
}

struct sums {
    uint64_t count, bad;
    unsigned missing;
    bool headless;               /* Its first is missing. */
    int64_t bad_from, bad_until; /* Slots; ALARM_NONE. */
};

static struct sums
sum_window(const struct alarm_cell *c, const struct alarm_flow *f, int64_t last)
{
    struct sums w = {.bad_from = ALARM_NONE, .bad_until = ALARM_NONE};

    for (int64_t n = last - f->need + 1; n <= last; n++) {
        const struct alarm_slot *slot = is_kept(f, n) ? alarm_slot_at(f, n) : NULL;
        uint32_t count = slot ? slot->count & ~ALARM_FINAL : 0;
        if (count == 0) {
            w.missing++;
            w.headless = w.headless || n == last - f->need + 1;
            continue;
        }
        w.count += count;
        w.bad += slot->bad;
        if (slot->bad && is_over(c, count, slot->bad)) {
            w.bad_from = w.bad_from == ALARM_NONE ? n : w.bad_from;
            w.bad_until = n;
        }
    }
    return w;
}

static int
compare_values(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The ratio, or the median of what the slots have. */
static int64_t
value_of(const struct alarm_flow *f, int64_t last, const struct sums *w)
{
    uint32_t values[ALARM_SLOTS_MAX];
    size_t count = 0;

    if (!f->values) {
        return (int64_t)((__int128)w->bad * ALARM_WHOLE / w->count);
    }
    for (int64_t n = last - f->need + 1; n <= last; n++) {
        if (is_kept(f, n) && (alarm_slot_at(f, n)->count & ~ALARM_FINAL)) {
            values[count++] = f->values[alarm_place_of(f, n)];
        }
    }
    qsort(values, count, sizeof values[0], compare_values);
    return (int64_t)values[(count - 1) / 2] * VALUE_NS;
}

static int64_t
alarm_end_of(const struct alarm_flow *f, int64_t slot)
{
    return (slot + 1) * f->length.ns;
}

static void
hit(struct alarm_flow *f, int64_t slot, const struct sums *w)
{
    if (!f->hit || alarm_end_of(f, slot) < f->hit_at) {
        f->hit_at = alarm_end_of(f, slot);
        f->hit_from = (w->bad_from == ALARM_NONE ? slot : w->bad_from) * f->length.ns;
    }
    f->hit = true;
    f->over = f->over || slot >= f->judged;
    f->value = value_of(f, slot, w);
    /* A final summary tells again what an early state told, when it is good already. */
    int64_t since =
        f->judged == ALARM_NONE || slot >= f->judged ? 0 : (f->judged - slot) * f->length.ns;
    if (since < f->good_ns) {
        f->good_ns = since;
        f->good_at = 0;
    }
}

/* Looks at the window that ends with 'slot'. */
static void
judge(struct alarm_cell *c, struct alarm_flow *f, int64_t slot)
{
    bool raised = alarm_is_raised(c), newer = f->judged == ALARM_NONE || slot > f->judged;

    if (c->episode && alarm_end_of(f, slot) <= c->episode->decided.ns) {
        f->judged = newer ? slot : f->judged;
        return;
    }
    if (!raised && !f->over && (f->bad_newest == ALARM_NONE || slot - f->bad_newest >= f->need)) {
        f->judged = newer ? slot : f->judged;
        return;
    }
    struct sums w = sum_window(c, f, slot);
    if (w.missing > f->need / MISSING || w.headless) {
        return;
    }
    if (w.bad_until != ALARM_NONE && alarm_end_of(f, w.bad_until) > f->bad_until) {
        f->bad_until = alarm_end_of(f, w.bad_until);
    }
    if (is_over(c, w.count, w.bad)) {
        hit(f, slot, &w);
    } else if (newer) {
        f->over = false;
        f->good_ns += f->length.ns;
        if (raised && !f->good_at && f->good_ns >= alarm_clear_time(c).ns) {
            f->good_at = alarm_end_of(f, slot);
        }
    }
    f->judged = newer ? slot : f->judged;
}

/* --- Samples ---------------------------------------------------------------- */

static void
add_counts(struct alarm_flow *f, const struct alarm_sample *s)
{
    if (s->lost && f->sent == 0) {
        f->counted = 0; /* It was an early state that was bad first. */
    }
    f->counted += s->count;
    f->sent = s->lost ? f->counted : f->sent;
    f->fwd += s->fwd;
    f->bwd += s->bwd;
    f->undirected += s->undirected;
    f->send_errors += s->send_errors;
}

static uint32_t
bounded(uint64_t n)
{
    return n < ALARM_FINAL - 1 ? (uint32_t)n : ALARM_FINAL - 1;
}

static void
put_value(struct alarm_flow *f, int64_t slot, int64_t value_ns)
{
    int64_t scaled = value_ns < 0 ? 0 : value_ns / VALUE_NS;

    if (f->values) {
        f->values[alarm_place_of(f, slot)] = scaled > UINT32_MAX ? UINT32_MAX : (uint32_t)scaled;
    }
}

/* How many of the sample are bad; false: it says nothing. */
static bool
weigh(struct alarm_cell *c, const struct alarm_sample *s, uint64_t *bad)
{
    if (s->count == 0 || c->limit < 0) {
        return false;
    }
    switch (alarm_way_of(c->rule->metric.kind)) {
    case ALARM_WAY_RATIO:
        c->answered = c->answered || s->count > s->lost;
        *bad = s->lost;
        return c->answered;
    case ALARM_WAY_DELAY:
        *bad = s->value_ns > c->limit;
        return true;
    default:
        *bad = s->broken;
        return true;
    }
}

/* Puts it into its slot.  false: it is known already. */
static bool
keep(struct alarm_flow *f, int64_t number, const struct alarm_sample *s, uint64_t bad)
{
    struct alarm_slot *slot = alarm_slot_at(f, number);

    if (f->early) {
        if (slot->count & ALARM_FINAL) {
            return false;
        }
        *slot = (struct alarm_slot){bounded(s->count) | (s->final ? ALARM_FINAL : 0), bounded(bad)};
    } else {
        if (s->start.ns <= f->taken) {
            return false;
        }
        f->taken = s->start.ns;
        slot->count = bounded((uint64_t)slot->count + s->count);
        slot->bad = bounded((uint64_t)slot->bad + bad);
    }
    put_value(f, number, s->value_ns);
    return true;
}

bool
alarm_has(const struct alarm_cell *c, int flow, struct instant start)
{
    const struct alarm_flow *f = &c->flows[flow];

    if (!f->early) {
        return start.ns <= f->taken;
    }
    int64_t number = start.ns / f->length.ns;
    return f->newest != ALARM_NONE && number <= f->newest &&
           (!is_kept(f, number) || (alarm_slot_at(f, number)->count & ALARM_FINAL));
}

struct span
alarm_reach(const struct alarm_cell *c, struct span dt)
{
    struct alarm_flow f = {.dt = dt};

    measure(c, &f);
    /* A window need not end with the slot in which 'until' is. */
    return span_of_ns(f.early ? 0 : (f.need + 1) * f.length.ns);
}

void
alarm_told(struct alarm_cell *c, int flow, struct instant until)
{
    struct alarm_flow *f = &c->flows[flow];

    if (!f->early && until.ns - 1 > f->taken) {
        f->taken = until.ns - 1;
    }
}

void
alarm_prefetch(const struct alarm_cell *c, int flow)
{
    const char *f = (const char *)&c->flows[flow];

    for (size_t at = 0; at < sizeof c->flows[0]; at += 64) {
        __builtin_prefetch(f + at, 1);
    }
}

bool
alarm_take(struct alarm_cell *c, int flow, const struct alarm_sample *s)
{
    struct alarm_flow *f = &c->flows[flow];
    uint64_t bad;

    assert(s->start.ns >= 0 && flow >= 0 && (uint32_t)flow < c->flow_count);
    if ((!s->final && !f->early) || !weigh(c, s, &bad)) {
        return false;
    }
    int64_t number = number_of(f, s);
    if (!is_kept(f, number)) {
        return false;
    }
    if (f->newest == ALARM_NONE || number > f->newest) {
        if (f->newest != ALARM_NONE && (f->judged == ALARM_NONE || f->judged < f->newest)) {
            judge(c, f, f->newest); /* Its last delta-t did not come. */
        }
        advance(f, number);
    }
    if (!keep(f, number, s, bad)) {
        return f->hit;
    }
    if (bad) {
        if (!alarm_is_raised(c) && !f->hit &&
            (f->bad_newest == ALARM_NONE || number - f->bad_newest >= f->need)) {
            forget_counts(f);
        }
        f->bad_newest =
            f->bad_newest == ALARM_NONE || number > f->bad_newest ? number : f->bad_newest;
    }
    if (s->final) {
        add_counts(f, s);
    }
    if (f->early || s->start.ns + f->dt.ns >= alarm_end_of(f, number)) {
        judge(c, f, number);
    }
    return f->hit || alarm_is_raised(c);
}

/* --- Episodes --------------------------------------------------------------- */

struct span
alarm_clear_time(const struct alarm_cell *c)
{
    uint32_t flaps = c->episode ? c->episode->flaps : 0;
    int64_t clear = c->rule->clear.ns;
    int64_t most = clear > ALARM_CLEAR_MAX_NS ? clear : ALARM_CLEAR_MAX_NS;
    int64_t longer = clear << (flaps < ALARM_FLAPS_MAX ? flaps : ALARM_FLAPS_MAX);

    return span_of_ns(longer < most ? longer : most);
}

int
alarm_raise(struct alarm_cell *c, struct instant at, struct instant began,
            enum alarm_change *change)
{
    struct alarm_episode *e = episode_of(c);

    *change = ALARM_SAME;
    if (!e) {
        return -ENOMEM;
    }
    bool before = e->raised.ns != 0;
    if (before && e->cleared.ns == 0) {
        return 0;
    }
    if (before && at.ns - e->cleared.ns <= c->hold.ns) {
        e->flaps++;
        e->cleared = e->ended = instant_of_ns(0);
        *change = ALARM_RAISED_AGAIN;
    } else {
        /* What was told as ended before is not part of it. */
        struct instant from = before && instant_before(began, e->ended) ? e->ended : began;
        *e = (struct alarm_episode){.began = from, .raised = at};
        *change = ALARM_RAISED;
    }
    e->decided = at;
    c->told_way = false;
    return 0;
}

void
alarm_clear(struct alarm_cell *c, struct instant at, struct instant ended,
            enum alarm_change *change)
{
    *change = ALARM_SAME;
    if (alarm_is_raised(c)) {
        struct alarm_episode *e = c->episode;
        e->cleared = e->decided = at;
        e->ended = instant_before(ended, e->began) ? e->raised : ended;
        *change = ALARM_CLEARED;
    }
}

static uint64_t
greater(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What is told of it beside when. */
static void
describe(struct alarm_cell *c)
{
    struct alarm_episode *e = c->episode, sum = {.flaps = 0};

    e->limit = c->limit;
    e->baseline = c->rule->relative ? c->baseline : 0;
    e->flow_count = c->flow_count;
    e->overdue = 0;
    for (uint32_t i = 0; i < c->flow_count; i++) {
        const struct alarm_flow *f = &c->flows[i];
        sum.sent += f->sent;
        sum.fwd += f->fwd;
        sum.bwd += f->bwd;
        sum.undirected += f->undirected;
        sum.send_errors += f->send_errors;
        for (int64_t n = f->newest - f->room + 1;
             f->early && f->newest != ALARM_NONE && n <= f->newest; n++) {
            const struct alarm_slot *slot = alarm_slot_at(f, n);
            if (!(slot->count & ALARM_FINAL) && slot->bad) {
                sum.sent += slot->count;
                e->overdue += slot->bad;
            }
        }
    }
    /* Of one that was restored we have seen less than was told before. */
    e->sent = greater(sum.sent, e->sent);
    e->fwd = greater(sum.fwd, e->fwd);
    e->bwd = greater(sum.bwd, e->bwd);
    e->undirected = greater(sum.undirected, e->undirected);
    e->send_errors = greater(sum.send_errors, e->send_errors);
}

/* Which flows are over; whether there are more than were told. */
static bool
name_flows(struct alarm_cell *c)
{
    struct alarm_episode *e = c->episode;
    uint32_t count = 0, before = e->over_count;

    for (uint32_t i = 0; i < c->flow_count; i++) {
        count += c->flows[i].over || c->flows[i].hit;
    }
    if (count <= before) {
        return false;
    }
    e->over_count = 0;
    for (uint32_t i = 0; i < c->flow_count; i++) {
        if (c->flows[i].over || c->flows[i].hit) {
            if (e->over_count < ALARM_FLOWS_NAMED) {
                e->over[e->over_count] = c->flows[i].number;
            }
            e->over_count++;
        }
    }
    return true;
}

/* Of a rule on round trips under a floor the least is the worst. */
static bool
is_worse(const struct alarm_cell *c, int64_t a, int64_t b)
{
    return c->rule->metric.kind == INV_RT_FLOOR ? a < b : a > b;
}

static int
decide_raise(struct alarm_cell *c, enum alarm_change *change)
{
    int64_t at = INT64_MAX, from = INT64_MAX, value = 0;
    bool any = false;

    for (uint32_t i = 0; i < c->flow_count; i++) {
        const struct alarm_flow *f = &c->flows[i];
        if (f->hit) {
            at = f->hit_at < at ? f->hit_at : at;
            from = f->hit_from < from ? f->hit_from : from;
            value = !any || is_worse(c, f->value, value) ? f->value : value;
            any = true;
        }
    }
    if (!any) {
        return 0;
    }
    int err = alarm_raise(c, instant_of_ns(at), instant_of_ns(from), change);
    if (err) {
        return err;
    }
    struct alarm_episode *e = c->episode;
    e->value = value;
    e->worst = *change == ALARM_RAISED || is_worse(c, value, e->worst) ? value : e->worst;
    e->over_count = 0;
    name_flows(c);
    describe(c);
    c->told_way = e->fwd || e->bwd || e->undirected || e->send_errors;
    return 0;
}

/* Whether all flows that still speak are good for long enough, since when, and until when one was
 * bad. */
static bool
is_good(const struct alarm_cell *c, int64_t *at, int64_t *bad_until)
{
    int64_t newest = ALARM_NONE;
    bool any = false;

    *at = *bad_until = ALARM_NONE;
    for (uint32_t i = 0; i < c->flow_count; i++) {
        const struct alarm_flow *f = &c->flows[i];
        if (f->newest != ALARM_NONE && alarm_end_of(f, f->newest) > newest) {
            newest = alarm_end_of(f, f->newest);
        }
        *bad_until = f->bad_until > *bad_until ? f->bad_until : *bad_until;
    }
    for (uint32_t i = 0; i < c->flow_count; i++) {
        const struct alarm_flow *f = &c->flows[i];
        if (f->newest == ALARM_NONE || alarm_end_of(f, f->newest) < newest - SILENT_NS) {
            continue;
        }
        if (!f->good_at) {
            return false;
        }
        *at = f->good_at > *at ? f->good_at : *at;
        any = true;
    }
    return any;
}

static void
decide_clear(struct alarm_cell *c, enum alarm_change *change)
{
    struct alarm_episode *e = c->episode;
    int64_t at, bad_until;

    if (is_good(c, &at, &bad_until)) {
        describe(c);
        alarm_clear(c, instant_of_ns(at), instant_of_ns(bad_until), change);
        return;
    }
    bool more = false, way = false;
    for (uint32_t i = 0; i < c->flow_count; i++) {
        const struct alarm_flow *f = &c->flows[i];
        if (f->hit) {
            e->worst = is_worse(c, f->value, e->worst) ? f->value : e->worst;
            more = true;
        }
        way = way || f->fwd || f->bwd || f->undirected || f->send_errors;
    }
    if ((more && name_flows(c)) || (way && !c->told_way)) {
        c->told_way = c->told_way || way;
        describe(c);
        *change = ALARM_MORE;
    }
}

int
alarm_decide(struct alarm_cell *c, enum alarm_change *change)
{
    bool raised = alarm_is_raised(c);
    int err = 0;

    *change = ALARM_SAME;
    if (raised) {
        decide_clear(c, change);
    } else {
        err = decide_raise(c, change);
    }
    if (err) {
        return err;
    }
    for (uint32_t i = 0; i < c->flow_count; i++) {
        struct alarm_flow *f = &c->flows[i];
        f->hit = false;
        if (*change != ALARM_SAME && *change != ALARM_MORE) {
            f->good_ns = f->good_at = 0;
        }
    }
    return 0;
}
