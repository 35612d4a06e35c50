/* probe.c - opens and closes the parts of a probe. */
#include "probe.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "linkkeys.h"
#include "log.h"

/* 2^16 events are 0.4 s of 150,000 a second (50,000 packets, three events each);
 * the ring is emptied each 20 ms, and where a batch takes longer, while it is made. */
#define RING_CAPACITY (1u << 16)

/* From making a new plan until the old one has ended. */
#define REPLACE_NS (100 * NS_PER_MS)

/* What a collector needs at most to commit again: it waits for the sessions of an epoch
 * for three intervals after the next one began, and then for the end of the one that it
 * is in; the position before that may lie in the interval before.  Beside it the longest
 * Tmax, and some. */
#define STRETCH_INTERVALS 6
#define STRETCH_NS (120 * NS_PER_S)
/* Late packets of a TWAMP session are answered so long at most. */
#define TWAMP_LINGER_NS (10 * NS_PER_S)

#define ERRORS_MAX 50

/* Tells why there is no plan. */
static void
tell_no_plan(const struct probe *p, int err)
{
    if (err == -ENOENT) {
        log_errorx("%s: 'probe: %s' is not in the inventory %s; add it under 'probes:' there, or "
                   "correct the name",
                   p->config_path, p->config->probe, p->config->inventory);
    } else if (err == -EMSGSIZE) {
        log_errorx("%s: a link that has keys has a class under 112 octets (64 where 'auth' is "
                   "'mode: tlv'), and authenticated packets are not shorter; give it a larger "
                   "'size', or the link other classes",
                   p->config->probe);
    } else if (err == -EPROTONOSUPPORT) {
        log_errorx("%s: the far end of a link that has keys speaks twamp-light or icmp, in which "
                   "nothing is signed; take it out of 'link_keys:', or make it 'protocol: stamp'",
                   p->config_path);
    } else {
        errno = -err;
        log_error("%s: no plan could be made", p->config->probe);
    }
}

int
probe_load_plan(struct probe *p, const struct probe_config *with, const struct plan *old,
                struct instant not_before, struct plan **out)
{
    struct linkkeys keys;
    struct inventory *inv;
    size_t errors, warnings;
    int err = inventory_load(p->config->inventory, stderr, ERRORS_MAX, &errors, &warnings, &inv);

    if (err) {
        return err;
    }
    if (inv->slice_of && strcmp(inv->slice_of, p->config->probe) != 0) {
        log_errorx("%s: %s is the slice of probe '%s'; `plumbline slice --probe %s` makes this "
                   "one's",
                   p->config_path, p->config->inventory, inv->slice_of, p->config->probe);
        inventory_free(inv);
        return -EINVAL;
    }
    if (old) {
        struct instant in_force = instant_add(instant_now(), span_of_ns(REPLACE_NS));
        not_before = instant_before(not_before, in_force) ? in_force : not_before;
    }
    p->interval = inv->interval;
    err = linkkeys_load(with, inv, &keys);
    if (!err) {
        err = plan_make(out, inv, p->config, &keys, old, &p->next_index, not_before);
        linkkeys_fini(&keys);
        if (err) {
            tell_no_plan(p, err);
        }
    }
    inventory_free(inv);
    return err;
}

int
probe_open_spool(struct probe *p, bool patient)
{
    const struct spool_config config = {
        .folder = p->config->spool.folder,
        .source = p->config->probe,
        .keep = p->config->spool.keep,
        .keep_bytes = p->config->spool.keep_size,
        .segment_bytes = p->config->spool.segment_size,
        .memory_bytes = p->config->spool.memory_size,
        .disk_bytes = p->config->spool.disk_size,
    };
    int err = spool_open(&p->spool, &config);

    if (err == -EWOULDBLOCK && patient) {
        return err;
    }
    if (err == -EWOULDBLOCK) {
        log_errorx("spool %s: another probe has it open; give each its own 'spool.folder'",
                   config.folder);
    } else if (err) {
        errno = -err;
        log_error("spool %s", config.folder);
    }
    return err;
}

static int
open_sample_log(struct probe *p)
{
    static const char header[] =
        "#object\tclass\tflow\tobserver_end\tsequence\tfate\tlate\tduplicates_bwd\tt1_packet\t"
        "t1\tt1_source\tt2\tt2_source\tt3\tt3_source\tt4\tt4_source\n";

    if (!p->config->sample_log) {
        return 0;
    }
    p->sample_log = fopen(p->config->sample_log, "ae");
    if (!p->sample_log) {
        int err = -errno;
        log_error("sample_log %s", p->config->sample_log);
        return err;
    }
    if (ftell(p->sample_log) == 0) {
        fputs(header, p->sample_log);
    }
    return 0;
}

struct instant
probe_first_start(const struct probe *p)
{
    struct instant now = instant_now(), covered = spool_covered_until(p->spool);
    char text[40];

    if (instant_sub(covered, now).ns > NS_PER_S) {
        log_warnx("%s: the clock is behind what this probe has already told; it measures again "
                  "from %s on",
                  p->config->probe, instant_format(covered, 0, text, sizeof text));
    }
    return instant_before(now, covered) ? covered : now;
}

static void
on_open(struct stream *s, const struct position *opened, void *aux)
{
    const struct probe *p = aux;

    (void)s;
    log_info("%s: epoch %" PRIu64 " is open", p->config->probe, opened->epoch);
}

static int
open_stream(struct probe *p)
{
    const struct stream_config config = {
        .source = p->config->probe,
        .release = PLUMBLINE_VERSION,
        .redis = {.address = p->config->redis.address,
                  .user = p->config->redis.user,
                  .password_file = p->config->redis.password_file,
                  .tls = p->config->redis.tls,
                  .timeout = p->config->redis.timeout},
        .bytes_max = p->config->stream_size,
        .bytes_for = span_of_ns(STRETCH_INTERVALS * p->interval.ns + STRETCH_NS),
        .wait_first = span_of_ns(3 * NS_PER_S),
    };

    p->stream = stream_new(p->base, p->spool, &config, on_open, p);
    return p->stream ? 0 : -ENOMEM;
}

static int
twamp_open(void *aux, const struct reflector_twamp *session)
{
    return timing_twamp_open(((struct probe *)aux)->timing, session);
}

static void
twamp_close(void *aux, int handle)
{
    timing_twamp_close(((struct probe *)aux)->timing, handle);
}

static struct span
twamp_heard(void *aux, int handle)
{
    return timing_twamp_heard(((struct probe *)aux)->timing, handle);
}

/* TWAMP-Control, if the configuration allows it to anybody. */
static int
open_twamp(struct probe *p)
{
    const struct probe_config *c = p->config;
    int err;

    if (c->twamp_control.allow_count == 0) {
        return 0;
    }
    const struct twampserver_config config = {
        .base = p->base,
        .address = c->twamp_control.address,
        .port = c->twamp_control.port,
        .test_port = c->port,
        .allow = c->twamp_control.allow,
        .allow_count = c->twamp_control.allow_count,
        .connections = c->twamp_control.connections,
        .sessions = c->twamp_control.sessions,
        .timeout = c->twamp_control.timeout,
        .linger = span_of_ns(TWAMP_LINGER_NS),
        .reflector = {twamp_open, twamp_close, twamp_heard, p},
    };
    err = twampserver_new(&p->twamp, &config);
    if (err) {
        errno = -err;
        log_error("%s: TWAMP-Control cannot listen on TCP port %u; see 'twamp_control:' in %s",
                  c->probe, c->twamp_control.port, p->config_path);
        return err;
    }
    twampserver_counters(p->twamp, &p->twamp_counters);
    p->twamp_counters.count = TWAMPSERVER_BAD; /* What went well is not told. */
    return 0;
}

int
probe_open_measuring(struct probe *p)
{
    int err = open_sample_log(p);

    if (!err) {
        p->ring = ring_new(RING_CAPACITY);
        err = p->ring ? 0 : -ENOMEM;
    }
    return err;
}

int
probe_start_timing(struct probe *p, const struct timing_plan *plan, struct timing_kept *kept)
{
    const struct timing_config config = {.events = p->ring, .priority = p->config->priority};
    int err = kept ? timing_prepare(&p->timing, &config, plan, kept)
                   : timing_start(&p->timing, &config, plan);

    if (err) {
        errno = -err;
        log_error("%s: no test packets can be sent or reflected", p->config->probe);
    }
    return err;
}

int
probe_start_agent(struct probe *p, struct plan *plan, struct agent_config config)
{
    config.base = p->base;
    config.events = p->ring;
    config.timing = p->timing;
    config.source = p->config->probe;
    config.release = PLUMBLINE_VERSION;
    config.cert_file = p->config->redis.tls.cert_file;
    config.sample_log = p->sample_log;
    int err = agent_new(&p->agent, &config, plan);
    if (!err) {
        agent_run(p->agent);
    }
    return err;
}

static bool
on_trace(const Plumbline__Telemetry__Trace *t, void *aux)
{
    return agent_add_trace(((struct probe *)aux)->agent, t);
}

static const struct plan *
plan_in_force(void *aux)
{
    return agent_plan(((struct probe *)aux)->agent);
}

static void
on_ask(const char *text, size_t size, void *aux)
{
    struct probe *p = aux;

    /* The ack is read before the stream is open, and again each second from then on. */
    if (agent_takes_traces(p->agent)) {
        tracer_ask(p->tracer, text, size);
    }
}

static void
on_way(const char *object, void *aux)
{
    tracer_want(((struct probe *)aux)->tracer, object);
}

static int
open_tracer(struct probe *p)
{
    const struct tracer_config config = {
        .base = p->base, .tell = on_trace, .plan = plan_in_force, .aux = p};

    if (!p->config->trace) {
        return 0;
    }
    p->tracer = tracer_new(&config);
    if (!p->tracer) {
        return -ENOMEM;
    }
    agent_on_way(p->agent, on_way, p);
    stream_on_ask(p->stream, on_ask, p);
    return 0;
}

int
probe_open_transport(struct probe *p)
{
    int err = open_twamp(p);

    if (!err) {
        err = open_stream(p);
    }
    if (!err) {
        const struct agent_transport t = {.spool = p->spool,
                                          .stream = p->stream,
                                          .counters = p->twamp ? &p->twamp_counters : NULL};
        err = agent_attach(p->agent, &t);
    }
    return err ? err : open_tracer(p);
}

int
probe_open(struct probe *p)
{
    struct plan *plan = NULL;
    int err = probe_open_spool(p, false);
    if (err) {
        return err;
    }
    struct instant not_before = probe_first_start(p);
    err = probe_load_plan(p, p->config, NULL, not_before, &plan);
    if (!err) {
        err = probe_open_measuring(p);
    }
    if (!err) {
        err = probe_start_timing(p, &plan->timing, NULL);
    }
    if (!err) {
        err = probe_start_agent(p, plan, (struct agent_config){.not_before = not_before});
    }
    if (err) {
        plan_free(plan);
        return err;
    }
    return probe_open_transport(p);
}

void
probe_close(struct probe *p)
{
    timing_stop(p->timing);
    stream_free(p->stream);
    tracer_free(p->tracer);
    agent_free(p->agent);
    twampserver_free(p->twamp);
    timing_free(p->timing);
    ring_free(p->ring);
    spool_close(p->spool);
    if (p->sample_log) {
        fclose(p->sample_log);
    }
}
