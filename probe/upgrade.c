/* upgrade.c - one probe, two processes. */
#include "upgrade.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cpulatency.h"
#include "log.h"
#include "predecessor.h"
#include "successor.h"

/* The spool is let go of a moment before or after the channel closes. */
#define SPOOL_WAIT_NS (30 * NS_PER_S)
#define STEP_US 50000

enum stage {
    STAGE_NONE,
    STAGE_STARTED, /* A successor was started. */
    STAGE_LEFT,    /* It has taken over: this process waits for its last packets. */
    STAGE_TAKEN,   /* This process is one, without the spool as yet. */
};

struct upgrade {
    struct probe *probe;
    enum stage stage;
    struct event *timer;
    struct successor *successor;
    struct span stopped_at; /* Monotonic. */
    struct predecessor *predecessor;
    struct span spool_until; /* Monotonic. */
};

static struct upgrade *
upgrade_of(struct probe *p, event_callback_fn on_timer)
{
    const struct upgrade none = {.probe = p, .stage = STAGE_NONE};
    struct upgrade *u = p->upgrade ? p->upgrade : calloc(1, sizeof *u);

    if (!u) {
        return NULL;
    }
    p->upgrade = u;
    successor_free(u->successor); /* Of one that failed. */
    predecessor_free(u->predecessor);
    if (u->timer) {
        event_free(u->timer);
    }
    *u = none;
    u->timer = event_new(p->base, -1, EV_PERSIST, on_timer, u);
    return u->timer ? u : NULL;
}

void
upgrade_free(struct probe *p)
{
    struct upgrade *u = p->upgrade;

    if (u) {
        successor_free(u->successor);
        predecessor_free(u->predecessor);
        if (u->timer) {
            event_free(u->timer);
        }
        free(u);
        p->upgrade = NULL;
    }
}

bool
upgrade_is_under_way(const struct probe *p)
{
    return p->upgrade && (p->upgrade->stage == STAGE_STARTED || p->upgrade->stage == STAGE_TAKEN);
}

bool
upgrade_has_left(const struct probe *p)
{
    return p->upgrade && p->upgrade->stage == STAGE_LEFT;
}

static void
run_timer(struct upgrade *u)
{
    const struct timeval step = {.tv_usec = STEP_US};

    event_add(u->timer, &step);
}

/* --- The old process. --- */

static int
fill(struct upgrade *u, struct handover *h, bool whole)
{
    const struct probe *p = u->probe;
    int err = handover_of_plan(h, agent_plan(p->agent));

    if (!err) {
        err = timing_keep(p->timing, whole, &h->timing);
    }
    snprintf(h->probe, sizeof h->probe, "%s", p->config->probe);
    h->next_index = p->next_index;
    h->covered_until = spool_covered_until(p->spool);
    return err;
}

static int
offer(struct handover *h, void *aux)
{
    return fill(aux, h, false);
}

static int
leave(struct handover *h, void *aux)
{
    struct upgrade *u = aux;
    struct instant *borders = calloc(HANDOVER_INDEXES, sizeof *borders);

    u->stopped_at = mono_now();
    timing_stop(u->probe->timing);
    if (!borders) {
        return -ENOMEM;
    }
    int err = fill(u, h, true);
    h->liveness_from = agent_leave(u->probe->agent, borders);
    for (size_t i = 0; i < h->session_count; i++) {
        struct handover_session *s = &h->sessions[i];
        s->border = borders[s->is.index].ns ? borders[s->is.index] : s->border;
    }
    free(borders);
    return err;
}

static void
failed(bool left, const char *why, void *aux)
{
    struct upgrade *u = aux;
    struct probe *p = u->probe;

    log_warnx("%s: the upgrade failed: %s; release %s goes on", p->config->probe, why,
              PLUMBLINE_VERSION);
    if (p->cpu_latency >= 0) {
        /* One file of two processes: the other may have asked for what its configuration says. */
        (void)cpulatency_change(p->cpu_latency, p->config->cpu_latency);
    }
    u->stage = STAGE_NONE;
    if (left) {
        int err = timing_resume(p->timing, NULL, NULL);
        agent_take_back(p->agent);
        if (err) {
            errno = -err;
            log_error("%s: no test packets can be sent any more", p->config->probe);
            p->failed = true;
            event_base_loopbreak(p->base);
            return;
        }
    }
    service_status(p->service, "measuring; an upgrade failed, the log says why");
    if (p->reload_due) {
        p->reload(p);
    }
}

static void
taken(pid_t pid, const char *release, void *aux)
{
    struct upgrade *u = aux;
    struct probe *p = u->probe;
    struct span gap = span_of_ns(mono_now().ns - u->stopped_at.ns);
    char text[24];

    u->stage = STAGE_LEFT;
    agent_left(p->agent, gap);
    timing_let_go(p->timing);
    service_hand_on(p->service, pid);
    scrape_free(p->scrape);
    p->scrape = NULL;
    run_timer(u);
    log_info("%s: release %s, process %ld, has taken over in %s; release %s waits for its last "
             "packets",
             p->config->probe, release, (long)pid, span_format(gap, text, sizeof text),
             PLUMBLINE_VERSION);
}

static void
dropped(uint32_t index, void *aux)
{
    const struct upgrade *u = aux;

    agent_drop(u->probe->agent, index);
}

static void
on_event(const struct exchange *e, void *aux)
{
    const struct upgrade *u = aux;

    agent_event(u->probe->agent, e);
}

static void
gone(void *aux)
{
    const struct upgrade *u = aux;

    log_errorx("%s: the process that took over has ended; what was still out is unknown",
               u->probe->config->probe);
    u->probe->failed = true;
    event_base_loopbreak(u->probe->base);
}

static void
on_waiting(evutil_socket_t fd, short what, void *aux)
{
    const struct upgrade *u = aux;

    (void)fd;
    (void)what;
    if (agent_is_done(u->probe->agent)) {
        event_base_loopbreak(u->probe->base);
    }
}

void
upgrade_begin(struct probe *p)
{
    if (upgrade_is_under_way(p) || upgrade_has_left(p)) {
        log_warnx("%s: an upgrade is under way already", p->config->probe);
        return;
    }
    struct upgrade *u = upgrade_of(p, on_waiting);
    const struct successor_config config = {.base = p->base,
                                            .program = p->program,
                                            .config_path = p->config_path,
                                            .cpu_latency = p->cpu_latency,
                                            .offer = offer,
                                            .leave = leave,
                                            .failed = failed,
                                            .taken = taken,
                                            .dropped = dropped,
                                            .event = on_event,
                                            .gone = gone,
                                            .aux = u};
    int err = u ? successor_start(&u->successor, &config) : -ENOMEM;
    if (err) {
        errno = -err;
        log_warn("%s: the upgrade failed: %s cannot be started; release %s goes on",
                 p->config->probe, p->program, PLUMBLINE_VERSION);
        return;
    }
    u->stage = STAGE_STARTED;
    log_info("%s: upgrade: %s was started", p->config->probe, p->program);
}

/* --- The new one. --- */

static void
tell(const struct exchange *e, void *aux)
{
    predecessor_tell(((const struct upgrade *)aux)->predecessor, e);
}

static void
on_spool(evutil_socket_t fd, short what, void *aux)
{
    struct upgrade *u = aux;
    struct probe *p = u->probe;
    int err = probe_open_spool(p, mono_now().ns < u->spool_until.ns);

    (void)fd;
    (void)what;
    if (err == -EWOULDBLOCK && mono_now().ns < u->spool_until.ns) {
        return;
    }
    event_del(u->timer);
    if (!err) {
        err = probe_open_transport(p);
    }
    u->stage = STAGE_NONE;
    if (err) {
        errno = -err;
        log_error("%s: what was measured cannot be kept", p->config->probe);
        p->failed = true;
        event_base_loopbreak(p->base);
        return;
    }
    predecessor_free(u->predecessor);
    u->predecessor = NULL;
    p->opened(p);
}

/* The old process has ended, or will in a moment. */
static void
on_end(void *aux)
{
    struct upgrade *u = aux;

    u->spool_until = span_of_ns(mono_now().ns + SPOOL_WAIT_NS);
    run_timer(u);
}

/* All but the threads, while the old process goes on. */
static int
prepare(struct probe *p, struct handover *h, struct plan **plan)
{
    struct plan *old;
    struct instant now = instant_now();

    if (strcmp(h->probe, p->config->probe) != 0) {
        log_errorx("%s: the running probe is '%s'; restart the service to make it another one",
                   p->config_path, h->probe);
        return -EINVAL;
    }
    old = handover_plan(h);
    if (!old) {
        return -ENOMEM;
    }
    p->next_index = h->next_index;
    int err = probe_load_plan(p, p->config, old,
                              instant_before(now, h->covered_until) ? h->covered_until : now, plan);
    plan_free(old);
    if (!err) {
        err = probe_open_measuring(p);
    }
    if (!err) {
        err = probe_start_timing(p, &(*plan)->timing, &h->timing);
    }
    return err;
}

/* The old process has stopped. */
static int
take(struct upgrade *u, const struct handover *h, struct plan *plan)
{
    struct probe *p = u->probe;
    uint32_t gone[PREDECESSOR_GONE_MAX];
    int err;

    handover_begin(h, plan);
    err = timing_resume(p->timing, &h->timing, &plan->timing);
    if (!err) {
        err = predecessor_taken(u->predecessor, gone,
                                handover_gone(h, plan, gone, PREDECESSOR_GONE_MAX), p->base, on_end,
                                u);
    }
    if (err) {
        errno = -err;
        log_error("%s: cannot go on where the running probe stopped", p->config->probe);
        return err;
    }
    u->stage = STAGE_TAKEN;
    return probe_start_agent(
        p, plan, (struct agent_config){.not_before = h->liveness_from, .tell = tell, .aux = u});
}

int
upgrade_open(struct probe *p, int fd)
{
    struct upgrade *u = upgrade_of(p, on_spool);
    struct handover h = {.sessions = NULL};
    struct plan *plan = NULL;
    int err = u ? predecessor_greet(&u->predecessor, fd, PLUMBLINE_VERSION, &h) : -ENOMEM;

    if (!err) {
        err = prepare(p, &h, &plan);
        handover_fini(&h);
    }
    if (!err) {
        err = predecessor_ready(u->predecessor, &h);
    }
    if (!err) {
        err = take(u, &h, plan);
        handover_fini(&h);
    }
    if (err) {
        plan_free(plan);
    }
    return err;
}
