/* match.c - a session from its first delta-t to its last: each handed out once,
 * early when it is over, and whole when it is final.
 *
 * Events come in by match_event.c; what becomes of a packet is match_fate.c's.  Per
 * packet nothing is allocated; a session of 10 packets a second with a Tmax of 3 s
 * takes 31 KiB (bench_match), so 1,000 of them 31 MiB. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "match_delay.h"
#include "match_fate.h"
#include "match_way.h"
#include "match_window.h"

const char *const match_count_names[MATCH_COUNTS] = {
    "reply_unknown", "t1_unknown",     "t1_missing",   "t3_missing",       "bad_reflector_time",
    "far_time_zero", "far_time_epoch", "far_time_off", "far_clock_denied", "far_count_other",
    "ttl_changed",   "remarked",       "remarked_fwd", "remarked_bwd",     "below_rt_floor",
    "far_epoch",     "clock_step",     "overrun",
};

/* --- Life ----------------------------------------------------------------- */

struct match *
match_new(const struct session_key *key, struct instant begin)
{
    struct match *m = calloc(1, sizeof *m);

    assert(key->dt.ns > 0 && key->period.ns > 0 && begin.ns % key->dt.ns == 0);
    if (!m) {
        return NULL;
    }
    m->key = *key;
    m->echo = strcmp(key->protocol, "icmp") == 0;
    m->next_number = m->early_number = m->least_number = begin.ns / key->dt.ns;
    m->step_number = INT64_MIN;
    m->stop_number = INT64_MAX;
    m->clock_error_ns = UINT64_MAX;
    for (unsigned i = 0; i < MATCH_GAPS; i++) {
        m->far.gaps[i].first = 1;
    }
    int err = match_window_init(m);
    for (int d = 0; d < DIRECTIONS; d++) {
        m->early_hists[d] = hist_new(HIST_DELAY);
        err = m->early_hists[d] ? err : -ENOMEM;
    }
    if (err) {
        match_free(m);
        return NULL;
    }
    return m;
}

void
match_free(struct match *m)
{
    if (m) {
        match_window_fini(m);
        for (int d = 0; d < DIRECTIONS; d++) {
            hist_free(m->early_hists[d]);
        }
        free(m);
    }
}

/* --- Becoming final ------------------------------------------------------- */

/* Hands out the oldest delta-t.  0 or -ENOMEM (it stays the oldest). */
static int
finalise_oldest(struct match *m, struct instant end, const struct match_sinks *sinks)
{
    struct open_dt *o = m->front && m->front->number == m->next_number ? m->front : NULL;

    if (o) {
        m->front = o->next;
        m->tail = m->front ? m->tail : NULL;
    } else if (!(o = match_dt_take(m, m->next_number))) {
        return -ENOMEM;
    }
    match_fate_settle(m, o, end, sinks);
    struct summary *s = &o->summary;
    s->scheduled = (uint64_t)((m->key.dt.ns + m->key.period.ns / 2) / m->key.period.ns);
    if (s->sent * 10 < s->scheduled * 9) {
        s->flags |= DT_UNDERSENT;
    }
    m->next_number++;
    m->least_number = m->least_number < m->next_number ? m->next_number : m->least_number;
    sinks->final(&m->key, s, sinks->aux);
    match_way_tell(m, o, sinks);
    match_dt_give(m, o);
    return 0;
}

/* --- Early state ---------------------------------------------------------- */

static void
early_packet(struct match *m, struct early *e, const struct packet *p, struct instant now)
{
    int64_t patience = m->late_known ? 4 * m->usual_rt_ns : m->key.tmax.ns;

    if (!(p->bits & PACKET_REPLIED)) {
        e->overdue += now.ns - p->t1_user > patience;
        return;
    }
    if (match_is_late(m, p)) {
        e->overdue++;
        return;
    }
    e->received++;
    if (p->bits & PACKET_STEPPED) {
        return;
    }
    struct delays d = match_delays_of(m, p);
    bool first = hist_count(m->early_hists[DIR_RT]) == 0;
    int64_t rt = d.delay[DIR_RT];
    e->rt_min_ns = first || rt < e->rt_min_ns ? rt : e->rt_min_ns;
    e->rt_max_ns = first || rt > e->rt_max_ns ? rt : e->rt_max_ns;
    for (int i = 0; i < DIRECTIONS; i++) {
        if (i == DIR_RT || d.one_way) {
            /* Without memory the early median is of fewer samples. */
            (void)hist_add(m->early_hists[i], d.delay[i], 1);
        }
    }
}

static int64_t
early_median(const struct match *m, enum direction d, int64_t min, int64_t max)
{
    const struct hist *h = m->early_hists[d];

    return hist_count(h) ? hist_quantile(h, 500000, min, max) : 0;
}

static void
tell_early(struct match *m, struct instant now, const struct match_sinks *sinks)
{
    struct early e = {.start = match_dt_start(m, m->early_number)};
    const struct open_dt *o = m->front;

    while (o && o->number < m->early_number) {
        o = o->next;
    }
    if (o && o->number == m->early_number) {
        e.sent = o->summary.sent;
        e.send_errors = o->summary.send_errors;
        e.clock_error_ns = o->summary.clock_error_ns;
        for (uint64_t s = o->first; o->packets && s < m->next; s++) {
            const struct packet *p = match_slot(m, s);
            if (p->bits & PACKET_SENT) {
                if (p->dt != o) {
                    break;
                }
                early_packet(m, &e, p, now);
            }
        }
        e.rt_p50_ns = early_median(m, DIR_RT, e.rt_min_ns, e.rt_max_ns);
        e.fwd_p50_ns = early_median(m, DIR_FWD, INT64_MIN, INT64_MAX);
        e.bwd_p50_ns = early_median(m, DIR_BWD, INT64_MIN, INT64_MAX);
        for (int i = 0; i < DIRECTIONS; i++) {
            hist_clear(m->early_hists[i]);
        }
    }
    sinks->early(&m->key, &e, sinks->aux);
}

/* --- Time passes ---------------------------------------------------------- */

/* How long ago delta-t 'number' ended, in the clock that it was in. */
static int64_t
since_end(const struct match *m, int64_t number, struct instant now)
{
    int64_t offset = number <= m->step_number ? m->step_offset : m->offset;

    for (const struct open_dt *o = m->front; o && o->number <= number; o = o->next) {
        offset = o->number == number ? o->offset : offset;
    }
    return now.ns - (m->offset - offset) - match_dt_start(m, number + 1).ns;
}

/* A clock that leapt, or a process that slept for days, leaves a hole that is
 * not worth a summary a delta-t. */
static void
skip_hole(struct match *m, struct instant now)
{
    int64_t upto = m->front ? m->front->number : match_dt_number(m, now);

    if (upto - m->next_number > MATCH_HOLE_MAX &&
        since_end(m, upto - MATCH_HOLE_MAX, now) >= m->key.tmax.ns + MATCH_GRACE_NS) {
        m->next_number = upto - MATCH_HOLE_MAX;
        m->early_number = m->early_number < m->next_number ? m->next_number : m->early_number;
        m->least_number = m->least_number < m->next_number ? m->next_number : m->least_number;
    }
}

void
match_advance(struct match *m, struct instant now, const struct match_sinks *sinks)
{
    const struct instant whole = instant_of_ns(INT64_MAX); /* Nothing is cut short. */

    skip_hole(m, now);
    while (since_end(m, m->early_number, now) >= 0) {
        if (sinks->early) {
            tell_early(m, now, sinks);
        }
        m->early_number++;
    }
    while (m->next_number < m->stop_number &&
           since_end(m, m->next_number, now) >= m->key.tmax.ns + MATCH_GRACE_NS &&
           finalise_oldest(m, whole, sinks) == 0) {
    }
}

void
match_finish(struct match *m, struct instant end, const struct match_sinks *sinks)
{
    int64_t last = match_dt_number(m, end);

    last = m->tail && m->tail->number > last ? m->tail->number : last;
    last = last < m->stop_number ? last : m->stop_number - 1;
    skip_hole(m, end);
    while (m->next_number <= last && finalise_oldest(m, end, sinks) == 0) {
    }
    m->early_number = m->early_number < m->next_number ? m->next_number : m->early_number;
}

struct instant
match_stop(struct match *m, struct instant now)
{
    int64_t border = instant_ceil(now, m->key.dt).ns / m->key.dt.ns;

    border = border < m->least_number ? m->least_number : border;
    m->stop_number = m->tail && m->tail->number >= border ? m->tail->number + 1 : border;
    return match_dt_start(m, m->stop_number);
}

void
match_go_on(struct match *m)
{
    m->stop_number = INT64_MAX;
}

bool
match_is_done(const struct match *m)
{
    return m->next_number >= m->stop_number;
}

struct instant
match_next_start(const struct match *m)
{
    return match_dt_start(m, m->next_number);
}

void
match_set_clock_error(struct match *m, uint64_t own_error_ns)
{
    m->clock_error_ns = own_error_ns;
}

void
match_set_rt_floor(struct match *m, struct span floor)
{
    m->rt_floor_ns = floor.ns;
}

void
match_counters(struct match *m, struct counter_group *out)
{
    *out = (struct counter_group){.name = "match",
                                  .names = match_count_names,
                                  .counters = m->counters,
                                  .count = MATCH_COUNTS};
}
