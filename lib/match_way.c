/* match_way.c - what replies show of the way of a session (TTL, DSCP), and that it
 * changed. */
#include "match_state.h"

static void
note_seen(struct match *m, struct open_dt *o, enum match_change what, uint8_t value)
{
    bool changed = m->last.known[what] && m->last.seen[what] != value;

    if (what != MATCH_DSCP && changed) {
        counter_add(&m->counters[MATCH_TTL_CHANGED], 1);
    }
    m->last.seen[what] = o->way.seen[what] = value;
    m->last.known[what] = o->way.known[what] = true;
}

/* What a reply shows of the way.  Only a probe of ours gives back the DSCP that it
 * got; of others it may be anything, as long as it stays. */
void
match_way_reply(struct match *m, struct open_dt *o, const struct exchange *e)
{
    if (e->ttl) {
        note_seen(m, o, MATCH_TTL_FWD, e->ttl);
    }
    if (e->reply_ttl) {
        note_seen(m, o, MATCH_TTL_BWD, e->reply_ttl);
    }
    note_seen(m, o, MATCH_DSCP, e->reply_dscp);
    if (m->key.far[0] && e->reply_dscp != m->key.dscp) {
        counter_add(&m->counters[MATCH_REMARKED], 1);
    }
}

void
match_way_tell(struct match *m, const struct open_dt *o, const struct match_sinks *sinks)
{
    for (int what = MATCH_TTL_FWD; what <= MATCH_DSCP; what++) {
        uint8_t from = m->told.seen[what], to = o->way.seen[what];
        bool first = !m->told.known[what];
        if (what == MATCH_DSCP && first && m->key.far[0]) {
            from = m->key.dscp;
            first = false;
        }
        if (!o->way.known[what]) {
            continue;
        }
        m->told.seen[what] = to;
        m->told.known[what] = true;
        if (sinks->change && (first ? what != MATCH_DSCP : from != to)) {
            sinks->change(&m->key, (enum match_change)what, first ? 0 : from, to, o->summary.start,
                          sinks->aux);
        }
    }
}
