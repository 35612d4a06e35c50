/* match_fate.c - what became of a packet, and what it adds to the summary of its
 * delta-t. */
#include "match_fate.h"

#include "match_delay.h"

/* The reply came after Tmax: lost on the way on which it was late. */
static enum fate
late_fate(const struct match *m, const struct packet *p)
{
    struct delays d = match_delays_of(m, p);

    if (m->key.rt_only || (!m->far.reports && (!m->far.stateful || m->far.other))) {
        return FATE_LOST_UNDIRECTED;
    }
    return d.one_way && d.delay[DIR_BWD] >= 0 && d.delay[DIR_FWD] > m->key.tmax.ns ? FATE_LOST_FWD
                                                                                   : FATE_LOST_BWD;
}

/* 'end': what is out since less than Tmax then is unknown. */
static enum fate
fate_of(const struct match *m, uint64_t sequence, const struct packet *p, struct instant end)
{
    if (p->bits & PACKET_REPLIED) {
        return match_is_late(m, p) ? late_fate(m, p) : FATE_RECEIVED;
    }
    if (p->bits & PACKET_OVERRUN || p->t1_user > end.ns - m->key.tmax.ns) {
        return FATE_UNKNOWN;
    }
    if (match_bit(m, m->yes, sequence)) {
        return FATE_LOST_BWD;
    }
    return match_bit(m, m->no, sequence) ? FATE_LOST_FWD : FATE_LOST_UNDIRECTED;
}

/* IFDV against the packet before, if that was due one period earlier. */
static void
add_ifdv(struct match *m, struct summary *s, uint64_t sequence, const struct packet *p,
         const struct delays *d)
{
    int64_t apart = p->scheduled - m->before.scheduled - m->key.period.ns;
    bool neighbour = m->before.sequence + 1 == sequence && apart <= m->key.period.ns / 2 &&
                     -apart <= m->key.period.ns / 2;

    for (int i = 0; i < DIRECTIONS; i++) {
        bool valid = i == DIR_RT || d->one_way;
        if (valid && neighbour && m->before.valid[i]) {
            int64_t v = d->delay[i] - m->before.delay[i];
            if (summary_add_ifdv(s, &m->key, (enum direction)i, span_of_ns(v < 0 ? -v : v))) {
                s->flags |= DT_OVERRUN;
            }
        }
        m->before.valid[i] = valid;
        m->before.delay[i] = d->delay[i];
    }
    m->before.sequence = sequence;
    m->before.scheduled = p->scheduled;
}

static void
add_received(struct match *m, struct summary *s, uint64_t sequence, const struct packet *p,
             const struct delays *d)
{
    s->received++;
    s->stamped[match_delays_worst(d)]++;
    if (m->far.reports || (m->far.stateful && !m->far.other)) {
        s->reordered_fwd += (p->bits & PACKET_REORDERED_FWD) != 0;
        s->reordered_bwd += (p->bits & PACKET_REORDERED_BWD) != 0;
    }
    if (!d->follow_up && !m->echo) {
        counter_add(&m->counters[MATCH_T3_MISSING], 1);
    }
    if (p->bits & PACKET_STEPPED) {
        return;
    }
    if (d->bad != MATCH_COUNTS) {
        counter_add(&m->counters[d->bad], 1);
    }
    for (int i = 0; i < DIRECTIONS; i++) {
        if ((i == DIR_RT || d->one_way) &&
            summary_add_delay(s, &m->key, (enum direction)i, span_of_ns(d->delay[i]))) {
            s->flags |= DT_OVERRUN;
        }
    }
    if (d->delay[DIR_RT] < m->rt_floor_ns) {
        counter_add(&m->counters[MATCH_BELOW_FLOOR], 1);
        s->flags |= DT_BELOW_FLOOR;
    }
    add_ifdv(m, s, sequence, p, d);
}

static void
add_lost(struct summary *s, enum fate fate, bool late)
{
    s->lost_fwd += fate == FATE_LOST_FWD;
    s->lost_bwd += fate == FATE_LOST_BWD;
    s->lost_undirected += fate == FATE_LOST_UNDIRECTED;
    s->unknown += fate == FATE_UNKNOWN;
    s->flags |= fate == FATE_UNKNOWN ? DT_OVERRUN : 0;
    s->late += late;
}

static void
tell_packet(const struct match *m, const struct packet *p, enum fate fate, const struct delays *d,
            const struct match_sinks *sinks)
{
    int64_t moved = p->bits & PACKET_STEPPED ? p->scheduled : 0;
    struct match_packet out = {.sequence = p->sequence,
                               .fate = fate,
                               .late = fate != FATE_RECEIVED && p->bits & PACKET_REPLIED,
                               .duplicates_bwd = p->duplicates_bwd,
                               .t1_user = instant_of_ns(p->t1_user - moved),
                               .ttl = p->ttl,
                               .reply_ttl = p->reply_ttl};

    out.t1 = d->t[0];
    out.t2 = d->t[1];
    out.t3 = d->t[2];
    out.t4 = d->t[3];
    sinks->packet(&m->key, &out, sinks->aux);
}

static void
settle_packet(struct match *m, uint64_t sequence, struct packet *p, struct instant end,
              const struct match_sinks *sinks)
{
    struct summary *s = &p->dt->summary;
    struct delays d = match_delays_of(m, p);
    enum fate fate = fate_of(m, sequence, p, end);

    if (p->source1 == TS_NONE) {
        counter_add(&m->counters[MATCH_T1_MISSING], 1);
    }
    s->duplicate_bwd += p->duplicates_bwd;
    if (fate == FATE_RECEIVED) {
        add_received(m, s, sequence, p, &d);
    } else {
        add_lost(s, fate, p->bits & PACKET_REPLIED);
    }
    if (sinks->packet) {
        tell_packet(m, p, fate, &d, sinks);
    }
    p->bits = 0;
}

void
match_fate_settle(struct match *m, const struct open_dt *o, struct instant end,
                  const struct match_sinks *sinks)
{
    for (; m->low < m->next; m->low++) {
        struct packet *p = match_slot(m, m->low);
        if (p->bits & PACKET_SENT) {
            if (p->dt != o) {
                break;
            }
            settle_packet(m, m->low, p, end, sinks);
        }
    }
}
