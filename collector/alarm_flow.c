/* alarm_flow.c - windows of flows: what samples fill, and when they are over the limit. */
#include "alarm_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A final summary comes Tmax and some 2 s after its delta-t: so much longer early ones are kept. */
#define GRACE_NS (4 * NS_PER_S)
#define ROOM_MAX 256u
/* One slot of so many may be without data, but not the first. */
#define MISSING 10u
/* How far a flow came is written each minute: one that is so far behind had nothing to tell. */
#define BEHIND_NS (3600 * NS_PER_S)
/* Delays are kept in these, up to 68 s. */
#define VALUE_NS 16

/* --- Life ------------------------------------------------------------------- */

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

static const struct alarm_progress *
left_of(const struct alarm_cell *c, uint16_t number, struct span dt)
{
    for (uint32_t i = 0; i < c->left_count; i++) {
        if (c->left[i].number == number && c->left[i].dt.ns == dt.ns) {
            return &c->left[i];
        }
    }
    return NULL;
}

/* Goes on where another claim was. */
static void
resume(struct alarm_cell *c, struct alarm_flow *f)
{
    const struct alarm_progress *p = left_of(c, f->number, f->dt);

    if (!p) {
        return;
    }
    f->from = f->final_until = p->until.ns;
    f->judged = p->judged.ns ? p->judged.ns / f->length.ns - 1 : ALARM_NONE;
    f->bad_until = p->bad_until.ns ? p->bad_until.ns : ALARM_NONE;
    f->good_ns = p->good.ns;
    f->good_at = p->good_at.ns;
    f->over = p->over;
    f->counted = p->counted;
    f->counts = (struct alarm_counts){p->sent, p->fwd, p->bwd, p->undirected, p->send_errors};
    if (p->none) {
        f->before = f->counts;
    }
    c->left[p - c->left] = c->left[--c->left_count];
}

void
alarm_progress(const struct alarm_cell *c, uint32_t flow, struct alarm_progress *out)
{
    const struct alarm_flow *f = &c->flows[flow];

    *out = (struct alarm_progress){
        .number = f->number,
        .over = f->over,
        .none = f->counts.sent == f->before.sent,
        .dt = f->dt,
        .until = {f->final_until},
        .judged = {f->judged == ALARM_NONE ? 0 : alarm_end_of(f, f->judged)},
        .bad_until = {f->bad_until == ALARM_NONE ? 0 : f->bad_until},
        .good_at = {f->good_at},
        .good = {f->good_ns},
        .counted = f->counted,
        .sent = f->counts.sent,
        .fwd = f->counts.fwd,
        .bwd = f->counts.bwd,
        .undirected = f->counts.undirected,
        .send_errors = f->counts.send_errors};
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
        resume(c, &more[i]);
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
    f->counts = f->before;
    f->counted = f->counts.sent;
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

static void
hit(const struct alarm_cell *c, struct alarm_flow *f, int64_t slot, const struct sums *w)
{
    if (!f->hit || alarm_end_of(f, slot) < f->hit_at) {
        f->hit_at = alarm_end_of(f, slot);
        f->hit_from = (w->bad_from == ALARM_NONE ? slot : w->bad_from) * f->length.ns;
    }
    f->over = f->over || slot >= f->judged;
    f->value = value_of(f, slot, w);
    f->worst = !f->hit || alarm_is_worse(c, f->value, f->worst) ? f->value : f->worst;
    f->hit = true;
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
        hit(c, f, slot, &w);
    } else if (newer) {
        f->over = false;
        f->good_ns += f->length.ns;
        if (raised && !f->good_at && f->good_ns >= alarm_clear_time(c).ns) {
            f->good_at = alarm_end_of(f, slot);
        }
    }
    f->judged = newer ? slot : f->judged;
}

/* Whether the window that ends with 'slot' says nothing yet, and may when more final ones came. */
static bool
waits(const struct alarm_cell *c, const struct alarm_flow *f, int64_t slot)
{
    const struct sums w = sum_window(c, f, slot);
    const int64_t told = f->final_until / f->length.ns;

    if (w.missing <= f->need / MISSING && !w.headless) {
        return false;
    }
    for (int64_t n = slot - f->need + 1; n <= slot; n++) {
        if (n >= told && is_kept(f, n) && !(alarm_slot_at(f, n)->count & ~ALARM_FINAL)) {
            return true;
        }
    }
    return false;
}

/* How long it is good is counted in order: where early states are missing (another claim had them)
 * final ones fill the gap, and windows behind it wait for them. */
static void
judge_in_order(struct alarm_cell *c, struct alarm_flow *f, int64_t slot)
{
    if (f->judged == ALARM_NONE || slot <= f->judged) {
        judge(c, f, slot);
    }
    if (f->judged == ALARM_NONE) {
        return;
    }
    int64_t n = f->newest - f->room > f->judged ? f->newest - f->room + 1 : f->judged + 1;
    for (; n <= f->newest && !waits(c, f, n); n++) {
        judge(c, f, n);
        f->judged = n;
    }
}

/* --- Samples ---------------------------------------------------------------- */

static void
add_counts(struct alarm_flow *f, const struct alarm_sample *s)
{
    if (s->lost && f->counts.sent == f->before.sent) {
        f->counted = f->before.sent; /* It was an early state that was bad first. */
    }
    f->counted += s->count;
    f->counts.sent = s->lost ? f->counted : f->counts.sent;
    f->counts.fwd += s->fwd;
    f->counts.bwd += s->bwd;
    f->counts.undirected += s->undirected;
    f->counts.send_errors += s->send_errors;
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
alarm_reach(const struct alarm_cell *c, uint16_t number, struct span dt, struct instant until)
{
    const struct alarm_progress *p = left_of(c, number, dt);
    struct alarm_flow f = {.dt = dt};
    int64_t since = p && p->until.ns < until.ns ? until.ns - p->until.ns : 0;

    since = since > BEHIND_NS ? 0 : since;
    measure(c, &f);
    /* A window need not end with the slot in which 'until' is. */
    return span_of_ns(f.early && !p ? 0 : since + (f.need + 1) * f.length.ns);
}

bool
alarm_wants_rows(const struct alarm_cell *c, int flow)
{
    return !c->flows[flow].early || c->flows[flow].from;
}

void
alarm_told(struct alarm_cell *c, int flow, struct instant until)
{
    struct alarm_flow *f = &c->flows[flow];

    if (!f->early && until.ns - 1 > f->taken) {
        f->taken = until.ns - 1;
    }
    /* Flow after flow was told: which were over at once is not known. */
    if (f->hit && alarm_is_raised(c)) {
        int64_t *worst = &c->episode->worst;
        *worst = alarm_is_worse(c, f->worst, *worst) ? f->worst : *worst;
        f->hit = false;
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

/* Of what another claim has counted: it only fills the window. */
static void
fill(struct alarm_flow *f, int64_t number, const struct alarm_sample *s, uint64_t bad)
{
    if (number > f->newest) {
        advance(f, number);
    }
    if (keep(f, number, s, bad) && bad && number > f->bad_newest) {
        f->bad_newest = number;
    }
}

static void
note_bad(const struct alarm_cell *c, struct alarm_flow *f, int64_t number)
{
    if (!alarm_is_raised(c) && !f->hit &&
        (f->bad_newest == ALARM_NONE || number - f->bad_newest >= f->need)) {
        forget_counts(f);
    }
    f->bad_newest = number > f->bad_newest ? number : f->bad_newest;
}

bool
alarm_take(struct alarm_cell *c, int flow, const struct alarm_sample *s)
{
    struct alarm_flow *f = &c->flows[flow];
    bool in_order = f->early && alarm_is_raised(c);
    uint64_t bad;

    assert(s->start.ns >= 0 && flow >= 0 && (uint32_t)flow < c->flow_count);
    if ((!s->final && !f->early) || !weigh(c, s, &bad)) {
        return false;
    }
    int64_t number = number_of(f, s);
    if (!is_kept(f, number)) {
        return false;
    }
    if (s->start.ns < f->from) {
        fill(f, number, s, bad);
        return false;
    }
    if (f->newest == ALARM_NONE || number > f->newest) {
        if (f->newest != ALARM_NONE && f->judged < f->newest && !in_order) {
            judge(c, f, f->newest); /* Its last delta-t did not come. */
        }
        advance(f, number);
    }
    if (!keep(f, number, s, bad)) {
        return f->hit;
    }
    if (bad) {
        note_bad(c, f, number);
    }
    if (s->final) {
        const int64_t end = s->start.ns + f->dt.ns;
        add_counts(f, s);
        f->final_until = end > f->final_until ? end : f->final_until;
    }
    if (in_order) {
        judge_in_order(c, f, number);
    } else if (f->early || s->start.ns + f->dt.ns >= alarm_end_of(f, number)) {
        judge(c, f, number);
    }
    return f->hit || alarm_is_raised(c);
}
