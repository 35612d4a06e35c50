/* agent_session.c - sessions of the agent: from their plan, through match, to summaries, events and
 * counters.
 *
 * After agent_batch.c. */
#include "agent_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A clock that nobody keeps on UTC has no bound, whatever the kernel says. */
static uint64_t
own_error(const struct agent *a)
{
    return a->clock.synchronised ? a->clock.error_ns : UINT64_MAX;
}

/* --- What match tells ----------------------------------------------------- */

struct sink_call {
    struct agent *agent;
    struct agent_session *session;
};

static void
add_event(struct agent *a, const struct agent_session *s, struct instant at,
          Plumbline__Telemetry__Event__Kind kind, uint32_t from, uint32_t to)
{
    Plumbline__Telemetry__Event m;

    plumbline__telemetry__event__init(&m);
    m.session_id = s->id;
    m.at_ns = at.ns;
    m.kind = kind;
    m.from = from;
    m.to = to;
    agent_add_message(a, TELEMETRY_EVENT, &m.base);
}

static void
log_change(const char *label, enum match_change what, uint32_t from, uint32_t to)
{
    static const char *const names[MATCH_CHANGES] = {[MATCH_TTL_FWD] = "TTL on the way there",
                                                     [MATCH_TTL_BWD] = "TTL on the way back",
                                                     [MATCH_DSCP] = "DSCP",
                                                     [MATCH_DSCP_FWD] = "DSCP on the way there",
                                                     [MATCH_DSCP_BWD] = "DSCP on the way back"};
    bool ttl = what == MATCH_TTL_FWD || what == MATCH_TTL_BWD;

    if (what == MATCH_FLOOR_BROKEN) {
        log_warnx("%s: a packet came back after %u us, under the rt_floor of %u us: a clock lies, "
                  "or the inventory does",
                  label, to, from);
    } else if (what == MATCH_FLOOR_KEPT) {
        log_warnx("%s: the rt_floor of %u us holds again", label, from);
    } else {
        log_warnx("%s: %s changed from %u to %u: %s", label, names[what], from, to,
                  ttl ? "the path is another" : "somebody remarks the class");
    }
}

/* What changed on the way; the first TTL is told, not logged. */
static void
on_change(const struct session_key *key, enum match_change what, uint32_t from, uint32_t to,
          struct instant at, void *aux)
{
    const struct sink_call *call = aux;
    bool ttl = what == MATCH_TTL_FWD || what == MATCH_TTL_BWD;
    char label[2 * SERIES_NAME_MAX + 16];

    add_event(call->agent, call->session, at, (Plumbline__Telemetry__Event__Kind)what, from, to);
    if (ttl && from && call->agent->on_way) {
        call->agent->on_way(key->object, call->agent->way_aux);
    }
    if ((!ttl || from) && log_bucket_pass(&call->session->bucket, mono_now())) {
        log_change(session_label(key, label, sizeof label), what, from, to);
    }
}

static void
on_final(const struct session_key *key, const struct summary *s, void *aux)
{
    const struct sink_call *call = aux;

    while (agent_try_again(
        call->agent, telemetry_add_summary(call->agent->builder, key, call->session->id, s))) {
    }
    agent_cover(call->agent, s->start, instant_add(s->start, key->dt));
}

static void
on_early(const struct session_key *key, const struct early *e, void *aux)
{
    const struct sink_call *call = aux;

    while (agent_try_again(call->agent,
                           telemetry_add_early(call->agent->builder, key, call->session->id, e))) {
    }
}

static const char *
fate_name(enum fate fate)
{
    static const char *const names[] = {"received", "lost_fwd", "lost_bwd", "lost_undirected",
                                        "unknown"};
    return names[fate];
}

static void
on_packet(const struct session_key *key, const struct match_packet *p, void *aux)
{
    const struct sink_call *call = aux;
    const struct stamp_time *t[4] = {&p->t1, &p->t2, &p->t3, &p->t4};
    FILE *log = call->agent->config.sample_log;

    fprintf(log, "%s\t%s\t%u\t%u\t%" PRIu32 "\t%s\t%d\t%u\t%" PRId64, key->object, key->class_name,
            key->flow, key->observer_end, p->sequence, fate_name(p->fate), p->late,
            p->duplicates_bwd, p->t1_user.ns);
    for (int i = 0; i < 4; i++) {
        fprintf(log, "\t%" PRId64 "\t%s", t[i]->source == TS_NONE ? 0 : t[i]->at.ns,
                ts_source_name(t[i]->source));
    }
    fputc('\n', log);
}

static struct match_sinks
sinks_of(struct sink_call *call)
{
    return (struct match_sinks){
        .packet = call->agent->config.sample_log ? on_packet : NULL,
        .final = on_final,
        .early = on_early,
        .change = on_change,
        .aux = call,
    };
}

/* --- Life ----------------------------------------------------------------- */

void
agent_session_free(struct agent_session *s)
{
    if (s) {
        match_free(s->match);
        free(s);
    }
}

int
agent_session_begin(struct agent *a, const struct plan_session *ps, const struct timing_session *ts)
{
    size_t needed = (size_t)ts->index + 1;

    if (needed > a->session_count) {
        void *more = reallocarray(a->sessions, needed, sizeof a->sessions[0]);
        if (!more) {
            return -ENOMEM;
        }
        a->sessions = more;
        memset(a->sessions + a->session_count, 0,
               (needed - a->session_count) * sizeof a->sessions[0]);
        a->session_count = needed;
    }
    if (a->sessions[ts->index]) {
        a->sessions[ts->index]->in_plan = true;
        a->sessions[ts->index]->large = ps->large;
        if (a->sessions[ts->index]->match) {
            match_set_rt_floor(a->sessions[ts->index]->match, ps->rt_floor);
        }
        return 0;
    }
    struct agent_session *s = calloc(1, sizeof *s);
    if (!s) {
        return -ENOMEM;
    }
    s->key = ps->key;
    s->id = ps->id;
    s->large = ps->large;
    s->in_plan = true;
    s->mtu = ps->mtu;
    s->bucket = (struct log_bucket){.burst = 8, .every = span_of_ns(60 * NS_PER_S)};
    mtu_init(&s->watch, ps->key.tmax);
    if (s->mtu) {
        a->sessions[ts->index] = s;
        return 0;
    }
    s->begin = a->config.tell ? ts->begin : instant_of_ns(0);
    s->match = match_new(&ps->key, ts->begin);
    if (!s->match) {
        free(s);
        return -ENOMEM;
    }
    match_set_clock_error(s->match, own_error(a));
    match_set_rt_floor(s->match, ps->rt_floor);
    a->sessions[ts->index] = s;
    a->dictionary_due = true;
    return 0;
}

/* What was counted of a session's far end since the last time. */
static void
take_far_counts(struct agent *a, struct agent_session *s)
{
    struct counter_group g;

    match_counters(s->match, &g);
    for (unsigned i = 0; i < FAR_COUNTS; i++) {
        uint64_t value = counter_get(&g.counters[FAR_FIRST + i]);
        a->far_counts[i] += value - s->far_told[i];
        s->far_told[i] = value;
    }
}

void
agent_session_end(struct agent *a, size_t index, struct instant now)
{
    struct sink_call call = {a, a->sessions[index]};
    struct match_sinks sinks = sinks_of(&call);

    struct counter_group counted;

    if (a->sessions[index]->match) {
        match_finish(a->sessions[index]->match, now, &sinks);
        take_far_counts(a, a->sessions[index]);
        match_counters(a->sessions[index]->match, &counted);
        (void)tally_keep(a->tally, a->sessions[index]->key.object, &counted);
    }
    agent_session_free(a->sessions[index]);
    a->sessions[index] = NULL;
}

void
agent_drop(struct agent *a, uint32_t index)
{
    if (index < a->session_count && a->sessions[index]) {
        agent_session_end(a, index, instant_now());
    }
}

/* --- Events, and time ------------------------------------------------------ */

static void
watch_large(struct agent_session *s, const struct exchange *e)
{
    if (e->kind == EXCHANGE_SENT) {
        mtu_sent(&s->watch, e->sequence, e->at);
    } else if (e->kind == EXCHANGE_REPLY) {
        mtu_returned(&s->watch, e->sequence);
    } else if (e->kind == EXCHANGE_SEND_ERROR && e->error == EMSGSIZE) {
        mtu_refused(&s->watch);
    }
}

/* Whether it is of a packet that was sent before this session is ours. */
static bool
is_before(struct agent_session *s, const struct exchange *e)
{
    bool of_packet = e->kind <= EXCHANGE_REPLY;

    if (s->begin.ns == 0 || !of_packet) {
        return false;
    }
    bool leaves = e->kind == EXCHANGE_SENT || e->kind == EXCHANGE_SEND_ERROR;
    if (!s->begun && leaves && !instant_before(e->at, s->begin)) {
        s->begun = true;
        s->first = e->sequence;
    }
    if (s->begun && leaves && e->sequence - s->first > UINT32_C(1) << 24) {
        s->begin = instant_of_ns(0); /* Nothing of those can come any more. */
    }
    return !s->begun || (int32_t)(e->sequence - s->first) < 0;
}

static void
take_event(struct agent *a, struct agent_session *s, const struct exchange *e)
{
    if (is_before(s, e)) {
        return;
    }
    if (s->mtu) {
        watch_large(s, e);
        return;
    }
    match_event(s->match, e);
    if (e->kind == EXCHANGE_REPLY && s->large < a->session_count && a->sessions[s->large]) {
        mtu_small(&a->sessions[s->large]->watch, e->at);
    }
}

void
agent_event(struct agent *a, const struct exchange *e)
{
    a->clock_steps += e->kind == EXCHANGE_CLOCK_STEP;
    if (e->session == UINT32_MAX) {
        for (size_t i = 0; i < a->session_count; i++) {
            if (a->sessions[i]) {
                take_event(a, a->sessions[i], e);
            }
        }
    } else if (e->session < a->session_count && a->sessions[e->session]) {
        take_event(a, a->sessions[e->session], e);
    }
}

static void
judge_mtu(struct agent *a, struct agent_session *s, struct instant now)
{
    enum mtu_verdict v = mtu_judge(&s->watch, now);

    if (v == MTU_HOLE) {
        add_event(a, s, now, PLUMBLINE__TELEMETRY__EVENT__KIND__MTU_LOST, 0, s->mtu);
        log_warnx("%s: packets of %u octets are lost while small ones pass: the path's MTU is less "
                  "than the inventory says",
                  s->key.object, s->mtu);
    } else if (v == MTU_MENDED) {
        add_event(a, s, now, PLUMBLINE__TELEMETRY__EVENT__KIND__MTU_BACK, 0, s->mtu);
        log_warnx("%s: packets of %u octets pass again", s->key.object, s->mtu);
    }
}

void
agent_session_advance(struct agent *a, size_t index, struct instant now)
{
    struct agent_session *s = a->sessions[index];

    if (s && s->mtu) {
        judge_mtu(a, s, now);
    } else if (s) {
        struct sink_call call = {a, s};
        struct match_sinks sinks = sinks_of(&call);
        match_set_clock_error(s->match, own_error(a));
        match_advance(s->match, now, &sinks);
        take_far_counts(a, s);
    }
}
