/* match_way.c - what replies show of the way of a session (TTL, DSCP), and that it
 * changed. */
#include "match_way.h"

/* What is compared from packet to packet. */
static const enum match_change seen_values[] = {MATCH_TTL_FWD, MATCH_TTL_BWD, MATCH_DSCP,
                                                MATCH_DSCP_FWD, MATCH_DSCP_BWD};
enum { SEEN_VALUES = sizeof seen_values / sizeof seen_values[0] };

static bool
is_ttl(enum match_change what)
{
    return what == MATCH_TTL_FWD || what == MATCH_TTL_BWD;
}

static void
note_seen(struct match *m, struct open_dt *o, enum match_change what, uint8_t value)
{
    bool changed = m->last.known[what] && m->last.seen[what] != value;

    if (is_ttl(what) && changed) {
        counter_add(&m->counters[MATCH_TTL_CHANGED], 1);
    }
    m->last.seen[what] = o->way.seen[what] = value;
    m->last.known[what] = o->way.known[what] = true;
}

/* A far end that tells the DSCP that it saw sends its reply with the one that the
 * session has; any other gives back the one that it got. */
static void
note_dscp(struct match *m, struct open_dt *o, const struct exchange *e)
{
    bool fwd = e->has_cos && e->dscp_seen != m->key.dscp;
    bool bwd = e->has_cos && !e->dscp_refused && e->reply_dscp != m->key.dscp;

    if (e->has_cos && !e->dscp_refused) {
        note_seen(m, o, MATCH_DSCP_FWD, e->dscp_seen);
        note_seen(m, o, MATCH_DSCP_BWD, e->reply_dscp);
    } else {
        note_seen(m, o, MATCH_DSCP, e->reply_dscp);
    }
    /* Of one that is not ours it may be anything, as long as it stays. */
    if (m->key.far[0]) {
        counter_add(&m->counters[MATCH_REMARKED], fwd || e->reply_dscp != m->key.dscp);
        counter_add(&m->counters[MATCH_REMARKED_FWD], fwd);
        counter_add(&m->counters[MATCH_REMARKED_BWD], bwd);
    }
}

void
match_way_reply(struct match *m, struct open_dt *o, const struct exchange *e)
{
    if (e->ttl) {
        note_seen(m, o, MATCH_TTL_FWD, e->ttl);
    }
    if (e->reply_ttl) {
        note_seen(m, o, MATCH_TTL_BWD, e->reply_ttl);
    }
    note_dscp(m, o, e);
}

static void
tell_seen(struct match *m, const struct open_dt *o, enum match_change what,
          const struct match_sinks *sinks)
{
    uint8_t from = m->told.seen[what], to = o->way.seen[what];
    bool first = !m->told.known[what];

    if (!o->way.known[what]) {
        return;
    }
    if (!is_ttl(what) && first && m->key.far[0]) {
        from = m->key.dscp;
        first = false;
    }
    m->told.seen[what] = to;
    m->told.known[what] = true;
    if (first ? is_ttl(what) : from != to) {
        sinks->change(&m->key, what, first ? 0 : from, to, o->summary.start, sinks->aux);
    }
}

/* A delta-t without samples says nothing. */
static void
tell_floor(struct match *m, const struct open_dt *o, const struct match_sinks *sinks)
{
    const struct delay *rt = &o->summary.delay[DIR_RT];
    bool broken = (o->summary.flags & DT_BELOW_FLOOR) != 0;

    if (broken == m->floor_broken || rt->count == 0) {
        return;
    }
    m->floor_broken = broken;
    int64_t floor = m->rt_floor_ns / NS_PER_US, least = rt->min_ns / NS_PER_US;
    sinks->change(&m->key, broken ? MATCH_FLOOR_BROKEN : MATCH_FLOOR_KEPT, (uint32_t)floor,
                  least < 0 ? 0 : (uint32_t)least, o->summary.start, sinks->aux);
}

void
match_way_tell(struct match *m, const struct open_dt *o, const struct match_sinks *sinks)
{
    if (!sinks->change) {
        return;
    }
    for (unsigned i = 0; i < SEEN_VALUES; i++) {
        tell_seen(m, o, seen_values[i], sinks);
    }
    tell_floor(m, o, sinks);
}
