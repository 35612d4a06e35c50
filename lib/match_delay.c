/* match_delay.c - what a replied packet tells of time. */
#include "match_delay.h"

#include "match_far.h"

/* A foreign far end's stamps that are further from ours are of another epoch ... */
#define FAR_EPOCH_NS (86400 * NS_PER_S)
/* ... and those that lie so far outside our own are of no clock of UTC. */
#define FAR_OFF_NS NS_PER_S

static bool
apart(int64_t a, int64_t b, int64_t most)
{
    int64_t d;

    return __builtin_sub_overflow(a, b, &d) || d > most || d < -most;
}

/* Whether the reflector's stamps can be true between our own; then fills the
 * delays.  What is wrong with them goes to d->bad. */
static bool
split_delay(const struct match *m, struct delays *d, const int64_t t[4])
{
    bool foreign = match_is_foreign(m);
    int64_t inside;

    d->bad = MATCH_BAD_REFLECTOR_TIME;
    if (__builtin_sub_overflow(t[2], t[1], &inside) || inside < 0 || inside > t[3] - t[0]) {
        return false;
    }
    if (apart(t[1], t[0], foreign ? FAR_EPOCH_NS : MATCH_ONE_WAY_MAX_NS) ||
        apart(t[3], t[2], foreign ? FAR_EPOCH_NS : MATCH_ONE_WAY_MAX_NS)) {
        d->bad = foreign ? MATCH_FAR_TIME_EPOCH : MATCH_BAD_REFLECTOR_TIME;
        return false;
    }
    d->bad = MATCH_COUNTS;
    d->delay[DIR_FWD] = t[1] - t[0];
    d->delay[DIR_BWD] = t[3] - t[2];
    d->delay[DIR_RT] = (t[3] - t[0]) - inside;
    d->subtracted = true;
    d->one_way = !m->key.rt_only;
    if (foreign && (d->delay[DIR_FWD] < -FAR_OFF_NS || d->delay[DIR_BWD] < -FAR_OFF_NS)) {
        d->bad = MATCH_FAR_TIME_OFF;
        d->one_way = false;
    }
    return true;
}

struct delays
match_delays_of(const struct match *m, const struct packet *p)
{
    const struct follow_up *u = match_far_true_t3(m, p);
    int64_t t[4] = {match_t1(p), p->t2, p->t3, p->t4};
    struct delays d = {
        .t = {{instant_of_ns(t[0]),
               t[0] == p->t1_user && p->source1 == TS_NONE ? TS_USER : (enum ts_source)p->source1},
              {instant_of_ns(p->t2), (enum ts_source)p->source2},
              {instant_of_ns(p->t3), (enum ts_source)p->source3},
              {instant_of_ns(p->t4), (enum ts_source)p->source4}},
        .bad = MATCH_COUNTS,
    };

    if (p->source2 != TS_NONE && u) {
        t[2] = u->t3;
        d.follow_up = split_delay(m, &d, t);
        t[2] = p->t3;
    }
    if (d.follow_up) {
        d.t[2] = (struct stamp_time){instant_of_ns(u->t3), (enum ts_source)u->source};
    } else if (p->source2 == TS_NONE || p->source3 == TS_NONE || p->t2 == 0 || p->t3 == 0) {
        d.bad = m->echo ? MATCH_COUNTS : MATCH_FAR_TIME_ZERO;
    } else {
        (void)split_delay(m, &d, t);
    }
    if (!d.subtracted) {
        d.delay[DIR_RT] = p->t4 - t[0];
    }
    return d;
}

enum ts_source
match_delays_worst(const struct delays *d)
{
    enum ts_source worst = d->t[0].source < d->t[3].source ? d->t[0].source : d->t[3].source;

    if (d->subtracted) {
        worst = d->t[1].source < worst ? d->t[1].source : worst;
        worst = d->t[2].source < worst ? d->t[2].source : worst;
    }
    return worst;
}
