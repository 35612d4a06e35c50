/* alarm.c - rules, and the episodes that windows of flows make. */
#include "alarm_parts.h"

#include <errno.h>
#include <stdlib.h>

/* A flow that is so far behind the others of its cell is not waited for. */
#define SILENT_NS (600 * NS_PER_S)

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
    free(c->left);
    c->flows = NULL;
    c->episode = NULL;
    c->left = NULL;
    c->flow_count = c->left_count = 0;
}

size_t
alarm_cell_bytes(const struct alarm_cell *c)
{
    size_t bytes = (c->episode ? sizeof *c->episode : 0) + c->left_count * sizeof *c->left;

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
alarm_restore(struct alarm_cell *c, const struct alarm_episode *e,
              const struct alarm_progress *flows, uint32_t count)
{
    struct alarm_episode *to = episode_of(c);
    struct alarm_progress *left = count ? calloc(count, sizeof *left) : NULL;

    if (!to || (count && !left)) {
        free(left);
        return -ENOMEM;
    }
    *to = *e;
    for (uint32_t i = 0; i < count; i++) {
        left[i] = flows[i];
    }
    free(c->left);
    c->left = left;
    c->left_count = count;
    c->answered = c->answered || alarm_is_raised(c);
    c->told_way = e->fwd || e->bwd || e->undirected || e->send_errors;
    return 0;
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
        sum.sent += f->counts.sent;
        sum.fwd += f->counts.fwd;
        sum.bwd += f->counts.bwd;
        sum.undirected += f->counts.undirected;
        sum.send_errors += f->counts.send_errors;
        for (int64_t n = f->newest - f->room + 1;
             f->early && f->newest != ALARM_NONE && n <= f->newest; n++) {
            const struct alarm_slot *slot = alarm_slot_at(f, n);
            if (!(slot->count & ALARM_FINAL) && slot->bad) {
                sum.sent += slot->count;
                e->overdue += slot->bad;
            }
        }
    }
    for (uint32_t i = 0; i < c->left_count; i++) {
        sum.sent += c->left[i].sent;
        sum.fwd += c->left[i].fwd;
        sum.bwd += c->left[i].bwd;
        sum.undirected += c->left[i].undirected;
        sum.send_errors += c->left[i].send_errors;
    }
    /* Of one that was restored we may have seen less than was told before. */
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

/* What was counted of the episode before is not of this one. */
static void
count_anew(struct alarm_cell *c)
{
    for (uint32_t i = 0; i < c->flow_count; i++) {
        struct alarm_flow *f = &c->flows[i];
        f->counted -= f->before.sent;
        f->counts.sent -= f->before.sent;
        f->counts.fwd -= f->before.fwd;
        f->counts.bwd -= f->before.bwd;
        f->counts.undirected -= f->before.undirected;
        f->counts.send_errors -= f->before.send_errors;
        f->before = (struct alarm_counts){.sent = 0};
    }
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
            value = !any || alarm_is_worse(c, f->value, value) ? f->value : value;
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
    if (*change == ALARM_RAISED) {
        count_anew(c);
    }
    struct alarm_episode *e = c->episode;
    e->value = value;
    e->worst = *change == ALARM_RAISED || alarm_is_worse(c, value, e->worst) ? value : e->worst;
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
            e->worst = alarm_is_worse(c, f->worst, e->worst) ? f->worst : e->worst;
            more = true;
        }
        way =
            way || f->counts.fwd || f->counts.bwd || f->counts.undirected || f->counts.send_errors;
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
        if (*change == ALARM_CLEARED) {
            f->before = f->counts;
            f->counted = f->counts.sent;
        }
    }
    return 0;
}
