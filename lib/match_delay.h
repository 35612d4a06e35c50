/* match_delay.h - what a replied packet tells of time: its four timestamps as they are
 * used, its delays, and whether the reflector's can be true.
 *
 * After match_far.h; before match_fate.h, match_event.c and match.c. */
#ifndef PLUMBLINE_MATCH_DELAY_H
#define PLUMBLINE_MATCH_DELAY_H

#include "match_state.h"

/* One-way delays of more than this are of clocks that are not set. */
#define MATCH_ONE_WAY_MAX_NS (INT64_C(1) << 60)

struct delays {
    struct stamp_time t[4]; /* As used. */
    int64_t delay[DIRECTIONS];
    bool subtracted;      /* rt is without the time in the reflector. */
    bool one_way;         /* fwd and bwd are valid too. */
    bool follow_up;       /* T3 is the true one. */
    enum match_count bad; /* What is wrong with T2 and T3; MATCH_COUNTS: nothing. */
};

/* The best T1 there is. */
static inline int64_t
match_t1(const struct packet *p)
{
    return p->source1 == TS_NONE || (p->bits & PACKET_REPLIED && p->t1 > p->t4) ? p->t1_user
                                                                                : p->t1;
}

static inline bool
match_is_late(const struct match *m, const struct packet *p)
{
    return p->bits & PACKET_REPLIED && p->t4 - match_t1(p) > m->key.tmax.ns;
}

/* What a replied packet tells of time. */
struct delays match_delays_of(const struct match *m, const struct packet *p);

/* The worst of the timestamps that went into the round trip. */
enum ts_source match_delays_worst(const struct delays *d);

#endif
