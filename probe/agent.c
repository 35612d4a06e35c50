/* agent.c - events in, batches out: the probe's slow half. */
#include "agent.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clockstate.h"
#include "liveness.h"
#include "log.h"
#include "match.h"
#include "mtu.h"
#include "sender.h"
#include "tally.h"
#include "telemetry.h"
#include "tls.h"

/* After the last delta-t that is ours should be final we wait so long for it. */
#define DONE_SLACK_NS (5 * NS_PER_S)

/* How often the ring is emptied; it holds far more than comes in this time. */
#define DRAIN_INTERVAL_US 20000

/* The whole dictionary goes out again after so many seconds, so that a reader
 * that lost the batch with it waits no longer. */
#define DICTIONARY_SECONDS 60

/* The certificate's file is looked at every so many batches of health. */
#define CERTIFICATE_EVERY 10

/* More than this between the clocks from one tick to the next is a step; the
 * timing thread has told of it by the next tick. */
#define STEP_NS NS_PER_MS

/* Where chrony listens for questions about itself. */
#define CHRONY_PORT 323

/* The tick comes this long after the full second, when its packets' events are
 * through the ring. */
#define TICK_PHASE_NS (30 * NS_PER_MS)

/* What match counts of a far end that is not to be believed, and of changes on the
 * way: told by name. */
enum {
    FAR_FIRST = MATCH_BAD_REFLECTOR_TIME,
    FAR_LAST = MATCH_BELOW_FLOOR,
    FAR_COUNTS = FAR_LAST - FAR_FIRST + 1
};

struct agent_session {
    struct session_key key;
    uint64_t far_told[FAR_COUNTS];
    int64_t id;
    struct match *match; /* NULL: of full-size packets, which are watched and not measured. */
    uint32_t mtu;        /* ... of so many IP octets. */
    struct mtu_watch watch;
    uint32_t large; /* Index of the link's full-size packets; UINT32_MAX: none. */
    struct log_bucket bucket;
    bool in_plan; /* Used while a plan is replaced. */
    /* Of a process that goes on where another stopped: its packets are those from the first
     * on that is sent at 'begin' or later. */
    struct instant begin; /* 0: all are. */
    bool begun;
    uint32_t first;
};

struct agent {
    struct agent_config config;
    struct plan *plan;
    struct agent_transport transport;
    struct agent_session **sessions; /* By index; NULL where gone. */
    size_t session_count;
    struct telemetry_builder *builder;
    struct event *drain_event, *tick_event;
    struct liveness liveness;
    struct clockdaemon clock_daemon;
    struct clockstate clock;
    struct instant final_until; /* Of the last batch. */
    struct instant covers_from, covers_until;
    struct span offset; /* Realtime - monotonic, at the last tick. */
    unsigned ticks;
    bool epoch_told, dictionary_due;
    uint64_t *counts_told; /* Values of the counters, timing's first, in their order. */
    size_t count_count;
    uint64_t far_counts[FAR_COUNTS]; /* Since the batch before, of all sessions. */
    struct log_bucket batch_bucket;
    bool flushed_for_room;
    uint64_t batches_refused, parts_refused; /* Lost, and told in the log. */
    struct tally *tally;                     /* Counters of links. */
    struct instant certificate_end;
    unsigned certificate_age;
    struct instant left_from; /* agent_leave(): all from here on may be somebody else's; 0: no. */
    struct span done_at;      /* Monotonic: when all that is ours is final, at the latest. */
    struct span gap;          /* agent_left() */
    bool left;
};

static void agent_flush(struct agent *a, struct instant now, bool last);

/* A clock that nobody keeps on UTC has no bound, whatever the kernel says. */
static uint64_t
own_error(const struct agent *a)
{
    return a->clock.synchronised ? a->clock.error_ns : UINT64_MAX;
}

/* --- Sessions ------------------------------------------------------------- */

static void
session_free(struct agent_session *s)
{
    if (s) {
        match_free(s->match);
        free(s);
    }
}

static int
session_begin(struct agent *a, const struct plan_session *ps, const struct timing_session *ts)
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

/* --- Sinks of match ------------------------------------------------------- */

static void
cover(struct agent *a, struct instant from, struct instant until)
{
    if (a->covers_from.ns == 0 || instant_before(from, a->covers_from)) {
        a->covers_from = from;
    }
    if (instant_before(a->covers_until, until)) {
        a->covers_until = until;
    }
}

/* After an 'add': whether to try it again, which is once, in a fresh batch, when
 * the batch was full. */
static bool
try_again(struct agent *a, int err)
{
    if (err == -ENOSPC && !a->flushed_for_room) {
        agent_flush(a, instant_now(), false);
        a->flushed_for_room = true;
        return true;
    }
    if (err) {
        a->parts_refused++;
    }
    a->flushed_for_room = false;
    return false;
}

static void
add_message(struct agent *a, enum telemetry_field field, const ProtobufCMessage *message)
{
    while (try_again(a, telemetry_add_message(a->builder, field, message))) {
    }
}

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
    add_message(a, TELEMETRY_EVENT, &m.base);
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
    if ((!ttl || from) && log_bucket_pass(&call->session->bucket, mono_now())) {
        log_change(session_label(key, label, sizeof label), what, from, to);
    }
}

static void
on_final(const struct session_key *key, const struct summary *s, void *aux)
{
    const struct sink_call *call = aux;

    while (try_again(call->agent,
                     telemetry_add_summary(call->agent->builder, key, call->session->id, s))) {
    }
    cover(call->agent, s->start, instant_add(s->start, key->dt));
}

static void
on_early(const struct session_key *key, const struct early *e, void *aux)
{
    const struct sink_call *call = aux;

    while (try_again(call->agent,
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

/* --- Batches -------------------------------------------------------------- */

static void
add_dictionary(struct agent *a)
{
    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i] && a->sessions[i]->match) {
            while (try_again(a, telemetry_add_session(a->builder, &a->sessions[i]->key))) {
            }
        }
    }
    Plumbline__Telemetry__Serving serving;
    plumbline__telemetry__serving__init(&serving);
    serving.serving_id = a->plan->serving_id;
    serving.n_objects = a->plan->object_count;
    serving.objects = a->plan->objects;
    add_message(a, TELEMETRY_SERVING, &serving.base);
}

static void
add_epoch_start(struct agent *a)
{
    Plumbline__Telemetry__EpochStart start;

    plumbline__telemetry__epoch_start__init(&start);
    stream_epoch_start(a->transport.stream, &start);
    add_message(a, TELEMETRY_EPOCH_START, &start.base);
}

static void
add_liveness(struct agent *a)
{
    for (unsigned i = 0; i < a->liveness.pending_count; i++) {
        const struct liveness_record *r = &a->liveness.pending[i];
        Plumbline__Telemetry__Liveness m;
        plumbline__telemetry__liveness__init(&m);
        m.second = r->second;
        m.seconds = r->seconds;
        m.sending = r->state.sending;
        m.reflecting = r->state.reflecting;
        m.generation = r->state.generation;
        m.serving_id = r->state.serving_id;
        add_message(a, TELEMETRY_LIVENESS, &m.base);
        cover(a, instant_of_ns((int64_t)r->second * NS_PER_S),
              instant_of_ns((int64_t)(r->second + r->seconds) * NS_PER_S));
    }
    liveness_taken(&a->liveness);
}

static void
add_count(struct agent *a, const char *group, const char *what, uint64_t count)
{
    char name[96];
    Plumbline__Telemetry__Refused m;

    plumbline__telemetry__refused__init(&m);
    snprintf(name, sizeof name, "%s.%s", group, what);
    m.name = name;
    m.count = count;
    add_message(a, TELEMETRY_REFUSED, &m.base);
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

/* What 'group' counted since the batch before; its first is number 'k' of all. */
static void
add_refused_of(struct agent *a, const struct counter_group *group, size_t k)
{
    for (unsigned i = 0; i < group->count && k < a->count_count; i++, k++) {
        uint64_t value = counter_get(&group->counters[i]);
        if (value != a->counts_told[k]) {
            add_count(a, group->name, group->names[i], value - a->counts_told[k]);
            a->counts_told[k] = value;
        }
    }
}

/* What the timing thread, the TWAMP server and the sessions counted since the
 * batch before. */
static void
add_refused(struct agent *a)
{
    const struct counter_group *groups;
    size_t group_count = timing_counters(a->config.timing, &groups), k = 0;

    for (size_t g = 0; g < group_count; g++) {
        add_refused_of(a, &groups[g], k);
        k += groups[g].count;
    }
    if (a->transport.counters) {
        add_refused_of(a, a->transport.counters, k);
    }
    for (unsigned i = 0; i < FAR_COUNTS; i++) {
        if (a->far_counts[i]) {
            add_count(a, "match", match_count_names[FAR_FIRST + i], a->far_counts[i]);
            a->far_counts[i] = 0;
        }
    }
}

/* Of the certificate for Redis, which somebody may have renewed meanwhile. */
static int64_t
certificate_end(struct agent *a)
{
    if (a->config.cert_file && a->certificate_age++ % CERTIFICATE_EVERY == 0 &&
        !tls_certificate_end(a->config.cert_file, &a->certificate_end)) {
        a->certificate_end = instant_of_ns(0);
    }
    return a->certificate_end.ns;
}

static uint64_t
kernel_drops(const struct agent *a)
{
    const struct counter_group *groups;
    size_t count = timing_counters(a->config.timing, &groups);
    uint64_t drops = 0;

    for (size_t g = 0; g < count; g++) {
        for (unsigned i = 0; i < groups[g].count; i++) {
            bool is = strcmp(groups[g].names[i], "kernel_drops") == 0;
            drops += is ? counter_get(&groups[g].counters[i]) : 0;
        }
    }
    return drops;
}

static void
add_health(struct agent *a)
{
    Plumbline__Telemetry__Health m;
    struct spool_health spool;
    struct stream_health stream;

    spool_health(a->transport.spool, &spool);
    stream_health(a->transport.stream, &stream);
    plumbline__telemetry__health__init(&m);
    m.spool_bytes = spool.bytes;
    m.spool_unsent = spool.unacked;
    m.disk_full = spool.disk_full;
    m.stream_full = stream.is_full;
    m.tombstones = spool.damaged + spool.dropped;
    m.clock_synchronised = a->clock.synchronised;
    m.clock_error_ns = a->clock.error_ns == UINT64_MAX ? 0 : a->clock.error_ns;
    m.certificate_end_ns = certificate_end(a);
    m.kernel_drops = kernel_drops(a);
    add_message(a, TELEMETRY_HEALTH, &m.base);
}

/* Nothing that starts before this will come any more. */
static struct instant
watermark(const struct agent *a, struct instant now)
{
    struct instant until = liveness_told(&a->liveness);

    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i] && a->sessions[i]->match) {
            struct instant next = match_next_start(a->sessions[i]->match);
            if (instant_before(next, until)) {
                until = next;
            }
        }
    }
    if (a->left_from.ns && instant_before(a->left_from, until)) {
        until = a->left_from;
    }
    return instant_before(now, until) ? now : until;
}

/* Ends the batch and hands it on.  Only the last batch of a tick moves the
 * watermark: what it vouches for is spread over all of them. */
static void
agent_flush(struct agent *a, struct instant now, bool last)
{
    size_t size;

    if (last) {
        struct instant until = watermark(a, now);
        if (instant_before(a->final_until, until)) {
            a->final_until = until;
        }
    }
    if (a->covers_from.ns == 0) {
        a->covers_from = a->covers_until = now; /* It covers nothing, and says so. */
    }
    const uint8_t *bytes = telemetry_finish(a->builder, now, a->final_until, &size);
    int err = bytes
                  ? stream_append(a->transport.stream, bytes, size, a->covers_from, a->covers_until)
                  : -ENOMEM;
    if (err) {
        a->batches_refused++;
        if (log_bucket_pass(&a->batch_bucket, mono_now())) {
            errno = -err;
            log_warn("%s: a batch of %zu bytes could not be kept and is lost (%" PRIu64
                     " batches, %" PRIu64 " parts since the start)",
                     a->config.source, size, a->batches_refused, a->parts_refused);
        }
    }
    a->covers_from = a->covers_until = instant_of_ns(0);
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

static void
advance_sessions(struct agent *a, struct instant now)
{
    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i] && a->sessions[i]->mtu) {
            judge_mtu(a, a->sessions[i], now);
        } else if (a->sessions[i]) {
            struct sink_call call = {a, a->sessions[i]};
            struct match_sinks sinks = sinks_of(&call);
            match_set_clock_error(a->sessions[i]->match, own_error(a));
            match_advance(a->sessions[i]->match, now, &sinks);
            take_far_counts(a, a->sessions[i]);
        }
    }
}

static void
make_batch(struct agent *a, struct instant now)
{
    if (!a->epoch_told) {
        add_epoch_start(a);
        a->epoch_told = true;
        a->dictionary_due = true;
    }
    if (a->dictionary_due || a->ticks % DICTIONARY_SECONDS == 0) {
        add_dictionary(a);
        a->dictionary_due = false;
    }
    advance_sessions(a, now);
    add_liveness(a);
    add_refused(a);
    add_health(a);
    agent_flush(a, now, true);
    if (a->config.sample_log) {
        fflush(a->config.sample_log);
    }
}

/* --- Timers --------------------------------------------------------------- */

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

/* What is in the ring now, and not what comes meanwhile: where events come faster than
 * they can be taken, they are lost and told as such; signals, ticks and Redis get
 * their turn all the same. */
static void
drain(struct agent *a)
{
    struct exchange e;

    for (uint32_t n = ring_waiting(a->config.events); n > 0; n--) {
        if (!ring_pop(a->config.events, &e)) {
            break;
        }
        if (a->config.tell) {
            a->config.tell(&e, a->config.aux);
        }
        agent_event(a, &e);
    }
    if (a->config.tell) {
        a->config.tell(NULL, a->config.aux);
    }
}

static void
on_drain(evutil_socket_t fd, short what, void *aux)
{
    (void)fd;
    (void)what;
    drain(aux);
}

static void
arm_tick(struct agent *a)
{
    struct instant now = instant_now();
    struct instant next =
        instant_add(instant_floor(now, span_of_ns(NS_PER_S)), span_of_ns(NS_PER_S + TICK_PHASE_NS));
    int64_t wait = instant_sub(next, now).ns;
    struct timeval tv = {.tv_sec = wait / NS_PER_S, .tv_usec = wait % NS_PER_S / 1000};

    event_add(a->tick_event, &tv);
}

/* Whether the clock stepped since the last tick. */
static bool
stepped(struct agent *a)
{
    struct sender_clock now = sender_clock_now();
    int64_t offset = now.real.ns - now.mono.ns, step = offset - a->offset.ns;

    if (now.doubt.ns > STEP_NS / 10) {
        return false; /* We were interrupted while reading. */
    }
    a->offset = span_of_ns(offset);
    return step > STEP_NS || step < -STEP_NS;
}

/* For how long nobody sent and reflected. */
static struct span
stall(struct agent *a)
{
    struct span s = a->left ? a->gap : timing_stall(a->config.timing);

    a->gap = span_of_ns(0);
    return s;
}

static void
on_tick(evutil_socket_t fd, short what, void *aux)
{
    struct agent *a = aux;
    struct instant now = instant_now();
    /* Its event may not be in the ring yet, and by the new clock alone what is
     * still out would pass for lost. */
    bool wait = stepped(a);

    (void)fd;
    (void)what;
    drain(a);
    liveness_tick(&a->liveness, now, mono_now(), stall(a));
    clockdaemon_read(&a->clock_daemon, &a->clock);
    if (a->transport.stream) {
        if (stream_is_open(a->transport.stream) && !wait) {
            make_batch(a, now);
            a->ticks++;
        }
        spool_sync(a->transport.spool);
    }
    arm_tick(a);
}

/* --- Life ----------------------------------------------------------------- */

static struct liveness_state
state_of(const struct plan *p)
{
    return (struct liveness_state){
        .sending = p->timing.session_count > 0,
        .reflecting = p->timing.reflector_port != 0,
        .generation = p->generation,
        .serving_id = p->serving_id,
    };
}

static int
begin_sessions(struct agent *a, const struct plan *plan)
{
    for (size_t i = 0; i < plan->timing.session_count; i++) {
        int err = session_begin(a, &plan->sessions[i], &plan->timing.sessions[i]);
        if (err) {
            return err;
        }
    }
    return 0;
}

static int
count_counters(struct agent *a)
{
    const struct counter_group *groups;
    size_t group_count = timing_counters(a->config.timing, &groups);

    for (size_t g = 0; g < group_count; g++) {
        a->count_count += groups[g].count;
    }
    a->count_count += a->transport.counters ? a->transport.counters->count : 0;
    a->counts_told = calloc(a->count_count ? a->count_count : 1, sizeof a->counts_told[0]);
    return a->counts_told ? 0 : -ENOMEM;
}

/* Who goes on where another stopped has its first second whole, though it came a moment
 * after that began. */
static void
begin_liveness(struct agent *a, const struct plan *plan)
{
    struct instant now = instant_now(), from = a->config.not_before;
    struct span mono = mono_now(), late = instant_sub(now, from);

    if (a->config.tell && late.ns > 0 && late.ns < NS_PER_S) {
        now = from;
        mono = span_of_ns(mono.ns - late.ns);
    }
    liveness_init(&a->liveness, now, mono, from, state_of(plan));
}

int
agent_new(struct agent **out, const struct agent_config *config, struct plan *plan)
{
    struct agent *a = calloc(1, sizeof *a);
    int err = -ENOMEM;

    if (!a) {
        return -ENOMEM;
    }
    a->config = *config;
    a->batch_bucket = (struct log_bucket){.burst = 3, .every = span_of_ns(60 * NS_PER_S)};
    clockdaemon_open(&a->clock_daemon, CHRONY_PORT);
    clockdaemon_read(&a->clock_daemon, &a->clock);
    a->builder = telemetry_builder_new(config->source);
    a->drain_event = event_new(config->base, -1, EV_PERSIST, on_drain, a);
    a->tick_event = event_new(config->base, -1, 0, on_tick, a);
    a->tally = tally_new();
    if (a->builder && a->drain_event && a->tick_event && a->tally) {
        err = begin_sessions(a, plan);
    }
    if (err) {
        agent_free(a);
        return err;
    }
    begin_liveness(a, plan);
    a->plan = plan;
    (void)stepped(a); /* From here on. */
    *out = a;
    return 0;
}

void
agent_run(struct agent *a)
{
    static const struct timeval every = {.tv_usec = DRAIN_INTERVAL_US};

    event_add(a->drain_event, &every);
    arm_tick(a);
}

int
agent_attach(struct agent *a, const struct agent_transport *t)
{
    a->transport = *t;
    a->config.tell = NULL;
    return count_counters(a);
}

struct instant
agent_leave(struct agent *a, struct instant *borders)
{
    struct instant now = instant_now(), last = now;

    drain(a);
    a->left_from = liveness_stop(&a->liveness, now);
    struct instant seconds_from = a->left_from;
    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i] && a->sessions[i]->match) {
            const struct session_key *key = &a->sessions[i]->key;
            borders[i] = match_stop(a->sessions[i]->match, now);
            struct instant final =
                instant_add(borders[i], span_of_ns(key->tmax.ns + MATCH_GRACE_NS));
            a->left_from = instant_before(borders[i], a->left_from) ? borders[i] : a->left_from;
            last = instant_before(last, final) ? final : last;
        }
    }
    a->done_at = span_of_ns(mono_now().ns + instant_sub(last, now).ns + DONE_SLACK_NS);
    return seconds_from;
}

void
agent_take_back(struct agent *a)
{
    liveness_go_on(&a->liveness);
    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i] && a->sessions[i]->match) {
            match_go_on(a->sessions[i]->match);
        }
    }
    a->left_from = instant_of_ns(0);
}

void
agent_left(struct agent *a, struct span gap)
{
    a->left = true;
    a->gap = gap;
}

bool
agent_is_done(const struct agent *a)
{
    if (mono_now().ns > a->done_at.ns) {
        return true;
    }
    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i] && a->sessions[i]->match && !match_is_done(a->sessions[i]->match)) {
            return false;
        }
    }
    return !instant_before(liveness_told(&a->liveness), a->liveness.stop);
}

static void
session_end(struct agent *a, size_t index, struct instant now)
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
    session_free(a->sessions[index]);
    a->sessions[index] = NULL;
}

void
agent_drop(struct agent *a, uint32_t index)
{
    if (index < a->session_count && a->sessions[index]) {
        session_end(a, index, instant_now());
    }
}

int
agent_replace(struct agent *a, struct plan *plan)
{
    struct instant now = instant_now();

    drain(a);
    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i]) {
            a->sessions[i]->in_plan = false;
        }
    }
    int err = begin_sessions(a, plan);
    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i] && !a->sessions[i]->in_plan) {
            session_end(a, i, now);
        }
    }
    liveness_change(&a->liveness, now, state_of(plan));
    a->dictionary_due = true;
    plan_free(a->plan);
    a->plan = plan;
    return err;
}

const struct plan *
agent_plan(const struct agent *a)
{
    return a->plan;
}

void
agent_status(const struct agent *a, struct agent_status *out)
{
    *out = (struct agent_status){.clock = a->clock,
                                 .session_count = a->plan->timing.session_count,
                                 .final_until = a->final_until,
                                 .batches_refused = a->batches_refused,
                                 .parts_refused = a->parts_refused,
                                 .liveness_dropped = a->liveness.dropped};
}

void
agent_links(struct agent *a, agent_link_fn *fn, void *aux)
{
    struct counter_group group;

    tally_begin(a->tally);
    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i] && a->sessions[i]->match) {
            match_counters(a->sessions[i]->match, &group);
            (void)tally_add(a->tally, a->sessions[i]->key.object, &group);
        }
    }
    tally_each(a->tally, fn, aux);
}

void
agent_finish(struct agent *a)
{
    struct instant now = instant_now();

    drain(a);
    /* The timing thread has ended, a moment ago as a rule. */
    struct span mono = mono_now();
    struct span silent = a->left ? stall(a) : span_of_ns(mono.ns - a->liveness.heard_mono.ns);
    liveness_tick(&a->liveness, now, mono, silent);
    for (size_t i = 0; i < a->session_count; i++) {
        if (a->sessions[i]) {
            session_end(a, i, now);
        }
    }
    if (a->transport.stream && stream_is_open(a->transport.stream)) {
        make_batch(a, now);
    }
    spool_sync(a->transport.spool);
}

void
agent_free(struct agent *a)
{
    if (!a) {
        return;
    }
    for (size_t i = 0; i < a->session_count; i++) {
        session_free(a->sessions[i]);
    }
    free(a->sessions);
    if (a->drain_event) {
        event_free(a->drain_event);
    }
    if (a->tick_event) {
        event_free(a->tick_event);
    }
    clockdaemon_close(&a->clock_daemon);
    telemetry_builder_free(a->builder);
    plan_free(a->plan);
    tally_free(a->tally);
    free(a->counts_told);
    free(a);
}
