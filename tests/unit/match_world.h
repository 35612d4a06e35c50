/* match_world.h - a sender, a network and a reflector in simulated time, with
 * the truth about every packet beside what match.c made of it. */
#ifndef PLUMBLINE_TEST_MATCH_WORLD_H
#define PLUMBLINE_TEST_MATCH_WORLD_H

#include "match.h"

#include "harness.h"

#define WORLD_MOST 4096u
#define WORLD_DAY (INT64_C(20000) * 86400 * NS_PER_S)

enum reflector_kind { REPORTING, STATEFUL, STATELESS };

/* What happens to one packet: set by the test, then filled in by the run. */
struct journey {
    bool lost_fwd, lost_bwd, no_follow_up, not_sent;
    unsigned copies_fwd, copies_bwd; /* Extra ones. */
    int64_t fwd_ns, inside_ns, bwd_ns;
    int64_t t1_after_ns; /* When the kernel's T1 comes; < 0: never. */
    /* Filled in. */
    int64_t sent_at, arrived_at, reply_at; /* 0: never. */
    uint32_t reflected;                    /* Reflector's sequence. */
    int64_t done;                          /* Fates told. */
    struct match_packet told;
};

struct world {
    struct session_key key;
    enum reflector_kind kind;
    uint32_t first; /* Sequence of journey 0. */
    unsigned count;
    struct journey j[WORLD_MOST];
    int64_t restart_at[4]; /* Reflector begins anew; 0: no more. */
    uint32_t epoch, received, duplicates, next_reflected;
    bool seen[WORLD_MOST];
    struct exchange *events;
    size_t event_count, event_room;
    uint64_t steps; /* Summaries. */
    int64_t last_start;
    struct summary sum;
    uint32_t flags_at[4096]; /* By delta-t since the beginning. */
    struct summary *per_dt[64];
    struct early early[64];
    unsigned early_count;
};

static inline struct world *
world_new(enum reflector_kind kind, unsigned count)
{
    struct world *w = calloc(1, sizeof *w);

    if (!w || summary_init(&w->sum, instant_of_ns(WORLD_DAY), true)) {
        abort();
    }
    w->key = (struct session_key){.object = "a--b",
                                  .dt = {NS_PER_S},
                                  .tmax = {3 * NS_PER_S},
                                  .period = {100 * NS_PER_MS},
                                  .ifdv = 1};
    w->kind = kind;
    w->count = count;
    w->epoch = 1000;
    for (unsigned i = 0; i < count; i++) {
        w->j[i] = (struct journey){.fwd_ns = 5 * NS_PER_MS,
                                   .inside_ns = 20 * NS_PER_US,
                                   .bwd_ns = 7 * NS_PER_MS,
                                   .t1_after_ns = 50 * NS_PER_US};
    }
    return w;
}

static inline void
world_free(struct world *w)
{
    summary_fini(&w->sum);
    for (unsigned i = 0; i < 64; i++) {
        if (w->per_dt[i]) {
            summary_fini(w->per_dt[i]);
            free(w->per_dt[i]);
        }
    }
    free(w->events);
    free(w);
}

static inline struct exchange *
world_event(struct world *w, enum exchange_kind kind, unsigned i, int64_t at)
{
    if (w->event_count == w->event_room) {
        w->event_room = w->event_room ? 2 * w->event_room : 1024;
        w->events = realloc(w->events, w->event_room * sizeof *w->events);
        if (!w->events) {
            abort();
        }
    }
    struct exchange *e = &w->events[w->event_count++];
    memset(e, 0, sizeof *e);
    e->kind = kind;
    e->sequence = w->first + i;
    e->at = instant_of_ns(at);
    return e;
}

/* An arrival at the reflector. */
struct arrival {
    int64_t at;
    unsigned i;
};

static inline int
arrival_order(const void *a, const void *b)
{
    const struct arrival *x = a, *y = b;
    return x->at != y->at ? (x->at < y->at ? -1 : 1) : (x->i < y->i ? -1 : x->i > y->i);
}

static inline int
event_order(const void *a, const void *b)
{
    const struct exchange *x = a, *y = b;
    if (x->at.ns != y->at.ns) {
        return x->at.ns < y->at.ns ? -1 : 1;
    }
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    return x->sequence < y->sequence ? -1 : x->sequence > y->sequence;
}

/* True T3 of the reply before, for the follow-up of the next one. */
struct last_reply {
    bool valid;
    uint32_t reflected;
    int64_t t3;
};

static inline void
world_reply(struct world *w, unsigned i, int64_t arrived, bool repeat, struct last_reply *last)
{
    struct journey *j = &w->j[i];
    int64_t t3 = arrived + j->inside_ns, back = t3 + j->bwd_ns;
    uint32_t reflected = w->kind == STATELESS ? w->first + i : w->next_reflected++;
    struct exchange reply = {.kind = EXCHANGE_REPLY, .sequence = w->first + i};

    reply.t2 = (struct stamp_time){instant_of_ns(arrived), TS_KERNEL};
    reply.t3 = (struct stamp_time){instant_of_ns(t3 - 3000), TS_USER};
    reply.reflector_sequence = reflected;
    reply.far_synchronised = true;
    reply.far_error_ns = 700;
    if (w->kind == REPORTING) {
        reply.has_report = true;
        reply.report.epoch = w->epoch;
        reply.report.received = w->received;
        reply.report.duplicates = w->duplicates;
        for (unsigned k = 1; k <= 128 && k <= i; k++) {
            if (w->seen[i - k]) {
                reply.report.bitmap[(k - 1) / 8] |= (uint8_t)(0x80 >> (k - 1) % 8);
            }
        }
    }
    if (last->valid && !j->no_follow_up) {
        reply.has_follow_up = true;
        reply.follow_up.reflector_sequence = last->reflected;
        reply.follow_up.t3 = (struct stamp_time){instant_of_ns(last->t3), TS_KERNEL};
    }
    *last = (struct last_reply){true, reflected, t3};
    if (!repeat) {
        j->arrived_at = arrived;
        j->reflected = reflected;
    }
    if (j->lost_bwd) {
        return;
    }
    if (!repeat) {
        j->reply_at = back;
    }
    for (unsigned c = 0; c <= j->copies_bwd; c++) {
        struct exchange *e = world_event(w, EXCHANGE_REPLY, i, back + c * 1000);
        reply.at = e->at;
        reply.t4 = (struct stamp_time){instant_of_ns(back + c * 1000), TS_KERNEL};
        *e = reply;
    }
}

/* The reflector takes what arrives, in the order of arrival. */
static inline void
world_reflect(struct world *w)
{
    static struct arrival arrivals[WORLD_MOST * 3];
    size_t n = 0;
    unsigned restart = 0;
    struct last_reply last = {0};

    for (unsigned i = 0; i < w->count; i++) {
        struct journey *j = &w->j[i];
        for (unsigned c = 0; !j->not_sent && !j->lost_fwd && c <= j->copies_fwd && c < 3; c++) {
            arrivals[n++] = (struct arrival){j->sent_at + j->fwd_ns + c * 500, i};
        }
    }
    qsort(arrivals, n, sizeof arrivals[0], arrival_order);
    for (size_t k = 0; k < n; k++) {
        unsigned i = arrivals[k].i;
        while (restart < 4 && w->restart_at[restart] && arrivals[k].at >= w->restart_at[restart]) {
            restart++;
            w->epoch++;
            w->received = w->duplicates = w->next_reflected = 0;
            memset(w->seen, 0, sizeof w->seen);
            last.valid = false;
        }
        bool repeat = w->seen[i];
        w->seen[i] = true;
        w->received += !repeat;
        w->duplicates += repeat;
        if (!repeat || w->kind != REPORTING) {
            world_reply(w, i, arrivals[k].at, repeat, &last);
        }
    }
}

static inline void
world_packet(const struct session_key *key, const struct match_packet *p, void *aux)
{
    struct world *w = aux;
    uint32_t i = p->sequence - w->first;

    (void)key;
    CU_ASSERT_FATAL(i < w->count);
    w->j[i].done++;
    w->j[i].told = *p;
}

static inline void
world_final(const struct session_key *key, const struct summary *s, void *aux)
{
    struct world *w = aux;
    int64_t k = (s->start.ns - WORLD_DAY) / key->dt.ns;
    uint64_t fates = s->received + s->lost_fwd + s->lost_bwd + s->lost_undirected + s->unknown;

    CU_ASSERT_EQUAL(fates, s->sent);
    CU_ASSERT(w->steps == 0 || s->start.ns == w->last_start + key->dt.ns);
    CU_ASSERT(s->delay[DIR_RT].count <= s->received);
    CU_ASSERT_EQUAL(hist_count(s->delay[DIR_RT].hist), s->delay[DIR_RT].count);
    w->steps++;
    w->last_start = s->start.ns;
    if (k >= 0 && k < 4096) {
        w->flags_at[k] = s->flags;
    }
    if (k >= 0 && k < 64) {
        w->per_dt[k] = malloc(sizeof *w->per_dt[k]);
        if (!w->per_dt[k] || summary_init(w->per_dt[k], s->start, true)) {
            abort();
        }
        CU_ASSERT_EQUAL(summary_merge(w->per_dt[k], s), 0);
    }
    CU_ASSERT_EQUAL(summary_merge(&w->sum, s), 0);
}

static inline void
world_early(const struct session_key *key, const struct early *e, void *aux)
{
    struct world *w = aux;

    (void)key;
    if (w->early_count < 64) {
        w->early[w->early_count++] = *e;
    }
}

static inline struct match_sinks
world_sinks(struct world *w)
{
    return (struct match_sinks){
        .packet = world_packet, .final = world_final, .early = world_early, .aux = w};
}

/* Sends everything, and puts the events of the session in order. */
static inline void
world_play(struct world *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        struct journey *j = &w->j[i];
        j->sent_at = WORLD_DAY + (int64_t)i * w->key.period.ns + 10 * NS_PER_US;
        if (j->not_sent) {
            world_event(w, EXCHANGE_SEND_ERROR, i, j->sent_at)->error = 105;
            continue;
        }
        struct exchange *e = world_event(w, EXCHANGE_SENT, i, j->sent_at);
        e->t1 = (struct stamp_time){instant_of_ns(j->sent_at - 5000), TS_USER};
        e->scheduled = instant_of_ns(WORLD_DAY + (int64_t)i * w->key.period.ns);
        if (j->t1_after_ns >= 0) {
            e = world_event(w, EXCHANGE_T1, i, j->sent_at + j->t1_after_ns);
            e->t1 = (struct stamp_time){instant_of_ns(j->sent_at), TS_KERNEL};
        }
    }
    world_reflect(w);
    qsort(w->events, w->event_count, sizeof w->events[0], event_order);
}

/* Feeds the events to a new match, advancing it each 'tick', and then lets all
 * become final. */
static inline struct match *
world_match(struct world *w, int64_t tick)
{
    struct match *m = match_new(&w->key, instant_of_ns(WORLD_DAY));
    struct match_sinks sinks = world_sinks(w);
    int64_t next = WORLD_DAY + tick, end = WORLD_DAY;

    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    match_set_clock_error(m, 300);
    for (size_t k = 0; k < w->event_count; k++) {
        while (w->events[k].at.ns >= next) {
            match_advance(m, instant_of_ns(next), &sinks);
            next += tick;
        }
        CU_ASSERT_EQUAL(match_event(m, &w->events[k]), 0);
        end = w->events[k].at.ns;
    }
    int64_t last = WORLD_DAY + (int64_t)w->count * w->key.period.ns;
    end = end > last ? end : last;
    match_advance(m, instant_of_ns(end + w->key.dt.ns + w->key.tmax.ns + MATCH_GRACE_NS), &sinks);
    return m;
}

static inline void
world_run(struct world *w)
{
    world_play(w);
    match_free(world_match(w, NS_PER_S));
}

/* How many packets of [from, until) have this fate. */
static inline unsigned
world_count(const struct world *w, unsigned from, unsigned until, enum fate fate)
{
    unsigned n = 0;

    for (unsigned i = from; i < until; i++) {
        n += w->j[i].done == 1 && w->j[i].told.fate == fate;
    }
    return n;
}

#endif
