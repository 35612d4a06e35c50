/* exposition.c - what this probe shows at /metrics. */
#include "exposition.h"

#include "plan.h"

static double
seconds(int64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

static void
fill_sessions(const struct exposition *e, struct metrics *m)
{
    const struct plan *plan = agent_plan(e->agent);
    const struct metrics_label who[] = {
        {"probe", e->config->probe}, {"version", PLUMBLINE_VERSION}, {NULL, NULL}};

    metrics_gauge(m, "info", "This probe's key and release; always 1.", who, 1);
    metrics_gauge(m, "sessions", "Sessions that this probe sends.", NULL,
                  (double)plan->timing.session_count);
    metrics_gauge(m, "serving_links", "Links on which this probe answers.", NULL,
                  (double)plan->object_count);
    metrics_gauge(m, "reflector_epoch", "Epoch of the reflector; 0: it does not answer.", NULL,
                  (double)timing_epoch(e->timing));
}

static void
fill_agent(const struct exposition *e, struct metrics *m)
{
    struct agent_status s;

    agent_status(e->agent, &s);
    metrics_gauge(m, "clock_synchronised", "Whether the clock is kept on UTC by an outside source.",
                  NULL, s.clock.synchronised);
    if (s.clock.error_ns != UINT64_MAX) {
        metrics_gauge(m, "clock_error_bound_seconds",
                      "How far the clock may be from UTC; absent when nobody knows.", NULL,
                      (double)s.clock.error_ns / (double)NS_PER_S);
    }
    metrics_gauge(m, "clock_asks_daemon",
                  "Whether a clock daemon gives the bound; if not, the kernel does.", NULL,
                  s.clock.authority != CLOCK_AUTHORITY_KERNEL);
    if (s.final_until.ns) {
        metrics_gauge(m, "agent_lag_seconds",
                      "Age of the newest instant of which all is summarised.", NULL,
                      seconds(instant_sub(instant_now(), s.final_until).ns));
    }
    metrics_counter(m, "agent_batches_lost", "Batches that could not be kept.", NULL,
                    s.batches_refused);
    metrics_counter(m, "agent_parts_lost", "Parts of batches that found no room.", NULL,
                    s.parts_refused);
    metrics_counter(m, "agent_liveness_lost", "Seconds of liveness that found no room.", NULL,
                    s.liveness_dropped);
}

/* How long what no collector has committed yet has been waiting. */
static double
lag(const struct exposition *e)
{
    struct spool_record r;
    int64_t waited = 0;

    if (spool_next(e->spool, spool_acked(e->spool), &r) == 1 && r.from.ns > 0) {
        waited = instant_sub(instant_now(), r.from).ns;
    }
    return waited > 0 ? seconds(waited) : 0;
}

static void
fill_spool(const struct exposition *e, struct metrics *m)
{
    struct spool_health h;

    spool_health(e->spool, &h);
    metrics_gauge(m, "spool_bytes", "Bytes of the spool on disk.", NULL, (double)h.bytes);
    metrics_gauge(m, "spool_limit_bytes", "The spool's own bound; 0: what the disk has.", NULL,
                  (double)e->config->spool.disk_size);
    metrics_gauge(m, "spool_keep_bytes", "So much is kept of what is committed already.", NULL,
                  (double)e->config->spool.keep_size);
    metrics_gauge(m, "spool_memory_limit_bytes", "So much may wait in memory with a full disk.",
                  NULL, (double)e->config->spool.memory_size);
    metrics_gauge(m, "spool_unacked_records", "Records that no collector has committed.", NULL,
                  (double)h.unacked);
    metrics_gauge(m, "spool_memory_records", "Records that wait in memory for the disk.", NULL,
                  (double)h.in_memory);
    metrics_gauge(m, "spool_disk_full", "Whether the disk refuses.", NULL, h.disk_full);
    metrics_gauge(m, "spool_lag_seconds", "Age of the oldest record that is not committed.", NULL,
                  lag(e));
    metrics_counter(m, "spool_damaged", "Records found damaged; what they held is unknown.", NULL,
                    h.damaged);
    metrics_counter(m, "spool_dropped", "Batches for which there was no room; unknown.", NULL,
                    h.dropped);
}

static void
fill_stream(const struct exposition *e, struct metrics *m)
{
    struct stream_health h;

    stream_health(e->stream, &h);
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"resends", h.resends},         {"refused_out_of_memory", h.refused_oom},
                  {"want_obeyed", h.want_obeyed}, {"conflicts", h.conflicts},
                  {"bad_acks", h.bad_acks},       {"full", h.full}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        /* Health, not a counter_group: the stream has no other thread to tell. */
        struct counter one = {counts[i].value};
        metrics_group(m, &(struct counter_group){"stream", &counts[i].name, &one, 1}, NULL);
    }
    metrics_gauge(m, "stream_connected", "Whether Redis is connected.", NULL, h.connected);
    metrics_gauge(m, "stream_caught_up", "Whether Redis has taken all that is spooled.", NULL,
                  h.caught_up);
    metrics_gauge(m, "stream_full",
                  "Whether the stream is at its bound, and the spool keeps the rest.", NULL,
                  h.is_full);
    metrics_gauge(m, "stream_bytes", "Bytes in the stream that are not committed.", NULL,
                  (double)h.bytes);
    metrics_gauge(m, "stream_limit_bytes", "The bound of these; 0: none.", NULL,
                  (double)e->config->stream_size);
    metrics_gauge(m, "stream_epoch", "Epoch of the source: one life of this process.", NULL,
                  (double)spool_upcoming(e->spool).epoch);
    metrics_gauge(m, "stream_sequence", "Sequence of the next record in the epoch.", NULL,
                  (double)spool_upcoming(e->spool).sequence);
}

static void
fill_twamp(const struct exposition *e, struct metrics *m)
{
    struct counter_group g;

    twampserver_counters(e->twamp, &g);
    metrics_group(m, &g, NULL);
    metrics_gauge(m, "twamp_control_connections", "Connections of TWAMP-Control.", NULL,
                  twampserver_connections(e->twamp));
    metrics_gauge(m, "twamp_control_sessions", "Sessions of TWAMP-Test, in whatever state.", NULL,
                  twampserver_sessions(e->twamp));
}

static void
add_link(const char *object, const struct counter_group *group, size_t sessions, void *aux)
{
    const struct metrics_label link[] = {{"link", object}, {NULL, NULL}};

    metrics_group(aux, group, link);
    metrics_gauge(aux, "link_sessions", "Sessions that are summarised, of each link.", link,
                  (double)sessions);
}

void
exposition_fill(const struct exposition *e, struct metrics *m)
{
    struct counter_group groups[TIMING_GROUPS];

    fill_sessions(e, m);
    fill_agent(e, m);
    fill_spool(e, m);
    fill_stream(e, m);
    timing_counters_all(e->timing, groups);
    for (size_t i = 0; i < TIMING_GROUPS; i++) {
        metrics_group(m, &groups[i], NULL);
    }
    if (e->tracer) {
        struct counter_group g = tracer_counters(e->tracer);
        metrics_group(m, &g, NULL);
    }
    if (e->twamp) {
        fill_twamp(e, m);
    }
    agent_links(e->agent, add_link, m);
}
