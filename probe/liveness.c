/* liveness.c - the seconds that a probe vouches for. */
#include "liveness.h"

#include <string.h>

static const struct span one_second = {NS_PER_S};

void
liveness_init(struct liveness *l, struct instant now, struct span mono, struct instant not_before,
              struct liveness_state state)
{
    struct instant first = instant_ceil(now, one_second);

    *l = (struct liveness){.state = state, .since = now, .heard = now, .heard_mono = mono};
    l->not_before = instant_ceil(not_before, one_second);
    l->told = instant_before(first, l->not_before) ? l->not_before : first;
}

static bool
same_state(const struct liveness_state *a, const struct liveness_state *b)
{
    return a->sending == b->sending && a->reflecting == b->reflecting &&
           a->generation == b->generation && a->serving_id == b->serving_id;
}

static void
tell(struct liveness *l, struct instant second, const struct liveness_state *state)
{
    uint64_t number = (uint64_t)(second.ns / NS_PER_S);

    if (l->pending_count) {
        struct liveness_record *last = &l->pending[l->pending_count - 1];
        if (last->second + last->seconds == number && same_state(&last->state, state)) {
            last->seconds++;
            return;
        }
    }
    if (l->pending_count == LIVENESS_PENDING_MAX) {
        l->dropped++;
        return;
    }
    l->pending[l->pending_count++] =
        (struct liveness_record){.second = number, .seconds = 1, .state = *state};
}

/* Tells each whole second from 'told' that ended by 'now'. */
static void
tell_until(struct liveness *l, struct instant now)
{
    while (l->stop.ns == 0 || instant_before(l->told, l->stop)) {
        struct instant end = instant_add(l->told, one_second);
        if (instant_before(now, end)) {
            return;
        }
        /* Of a second in which the state changed, only what held throughout. */
        tell(l, l->told, instant_before(l->told, l->since) ? &l->throughout : &l->state);
        l->told = end;
    }
}

void
liveness_change(struct liveness *l, struct instant now, struct liveness_state state)
{
    if (same_state(&l->state, &state)) {
        return;
    }
    tell_until(l, now);
    struct liveness_state before = instant_before(l->told, l->since) ? l->throughout : l->state;
    l->throughout = (struct liveness_state){
        .sending = before.sending && state.sending,
        .reflecting = before.reflecting && state.reflecting,
        .generation = state.generation,
        .serving_id = before.serving_id == state.serving_id ? state.serving_id : 0,
    };
    l->state = state;
    l->since = now;
}

void
liveness_tick(struct liveness *l, struct instant now, struct span mono, struct span stall)
{
    int64_t passed = instant_sub(now, l->heard).ns;
    int64_t step = passed - (mono.ns - l->heard_mono.ns);

    l->heard = now;
    l->heard_mono = mono;
    if (passed < 0 || stall.ns > LIVENESS_STALL_NS || step > LIVENESS_STEP_NS ||
        step < -LIVENESS_STEP_NS) {
        struct instant next = instant_ceil(now, one_second);
        next = l->stop.ns && instant_before(l->stop, next) ? l->stop : next;
        l->told = instant_before(next, l->told) ? l->told : next;
        l->since = now;
        return;
    }
    tell_until(l, now);
}

struct instant
liveness_stop(struct liveness *l, struct instant now)
{
    l->stop = instant_ceil(now, one_second);
    l->stop = instant_before(l->stop, l->told) ? l->told : l->stop;
    return l->stop;
}

void
liveness_go_on(struct liveness *l)
{
    l->stop = instant_of_ns(0);
}

struct instant
liveness_told(const struct liveness *l)
{
    return l->told;
}

void
liveness_taken(struct liveness *l)
{
    l->pending_count = 0;
}
