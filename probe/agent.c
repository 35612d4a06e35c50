/* agent.c - events in, batches out: the probe's slow half. */
#include "agent_parts.h"

#include <errno.h>
#include <stdlib.h>

#include "sender.h"

/* After the last delta-t that is ours should be final we wait so long for it. */
#define DONE_SLACK_NS (5 * NS_PER_S)

/* How often the ring is emptied; it holds far more than comes in this time. */
#define DRAIN_INTERVAL_US 20000

/* The whole dictionary goes out again after so many seconds, so that a reader
 * that lost the batch with it waits no longer. */
#define DICTIONARY_SECONDS 60

/* More than this between the clocks from one tick to the next is a step; the
 * timing thread has told of it by the next tick. */
#define STEP_NS NS_PER_MS

/* Where chrony listens for questions about itself. */
#define CHRONY_PORT 323

/* The tick comes this long after the full second, when its packets' events are
 * through the ring. */
#define TICK_PHASE_NS (30 * NS_PER_MS)

/* --- Events ----------------------------------------------------------------- */

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

/* --- Each second ------------------------------------------------------------ */

/* Thousands of delta-t that become final at once take longer than the ring lasts, so events are
 * taken meanwhile, each time it is an eighth full.  If one of them says that the clock has stepped,
 * the other sessions wait for the next tick: 'now' is of the clock before, and by it what is still
 * out would pass for lost. */
static void
advance(struct agent *a, struct instant now)
{
    uint32_t enough = ring_capacity(a->config.events) / 8;
    uint64_t steps = a->clock_steps;

    for (size_t i = 0; i < a->session_count && a->clock_steps == steps; i++) {
        agent_session_advance(a, i, now);
        if (ring_waiting(a->config.events) >= enough) {
            drain(a);
        }
    }
}

static void
make_batch(struct agent *a, struct instant now)
{
    if (!a->epoch_told) {
        agent_add_epoch_start(a);
        a->epoch_told = true;
        a->dictionary_due = true;
    }
    if (a->dictionary_due || a->ticks % DICTIONARY_SECONDS == 0) {
        agent_add_dictionary(a);
        a->dictionary_due = false;
    }
    advance(a, now);
    agent_add_liveness(a);
    agent_add_refused(a);
    agent_add_health(a);
    agent_flush(a, now, true);
    if (a->config.sample_log) {
        fflush(a->config.sample_log);
    }
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
        int err = agent_session_begin(a, &plan->sessions[i], &plan->timing.sessions[i]);
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
            agent_session_end(a, i, now);
        }
    }
    liveness_change(&a->liveness, now, state_of(plan));
    a->dictionary_due = true;
    plan_free(a->plan);
    a->plan = plan;
    return err;
}

bool
agent_takes_traces(const struct agent *a)
{
    return a->transport.stream && stream_is_open(a->transport.stream) && a->epoch_told;
}

bool
agent_add_trace(struct agent *a, const Plumbline__Telemetry__Trace *t)
{
    if (!agent_takes_traces(a)) {
        return false;
    }
    agent_add_message(a, TELEMETRY_TRACE, &t->base);
    return true;
}

void
agent_on_way(struct agent *a, agent_way_fn *on_way, void *aux)
{
    a->on_way = on_way;
    a->way_aux = aux;
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
            agent_session_end(a, i, now);
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
        agent_session_free(a->sessions[i]);
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
