/* main.c - plumbline-probe: reads its configuration, opens what needs
 * privileges, wires the parts, and waits for signals. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "agent.h"
#include "config.h"
#include "exposition.h"
#include "inventory.h"
#include "linkkeys.h"
#include "log.h"
#include "plan.h"
#include "ring.h"
#include "scrape.h"
#include "service.h"
#include "spool.h"
#include "stream.h"
#include "timing.h"
#include "twampserver.h"

enum { EXIT_CONFIG = 2, EXIT_SYSTEM = 3 };

/* 2^16 events are 0.4 s of 150,000 a second (50,000 packets, three events each);
 * the ring is emptied each 20 ms. */
#define RING_CAPACITY (1u << 16)

/* A probe that stops waits so long for Redis to take the last batch. */
#define STOP_WAIT_S 2

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

struct probe {
    const char *config_path;
    struct probe_config *config;
    struct event_base *base;
    struct ring *ring;
    struct timing *timing;
    struct spool *spool;
    struct stream *stream;
    struct agent *agent;
    struct service *service;
    struct scrape *scrape;
    struct twampserver *twamp; /* NULL: nobody is allowed. */
    struct counter_group twamp_counters;
    FILE *sample_log;
    uint32_t next_index;
    struct span interval; /* The inventory's. */
};

static void
usage(FILE *to)
{
    fputs("usage: plumbline-probe [--config FILE] [--check]\n"
          "\n"
          "Sends and reflects STAMP test packets on each link of this PoP and streams what\n"
          "it measured to Redis.  Runs in the foreground; stops on SIGTERM, reads its\n"
          "inventory and the keys of links again on SIGHUP.\n"
          "\n"
          "  --config FILE  default /etc/plumbline/probe.yaml\n"
          "  --check        read configuration and inventory, say what is wrong, and end\n"
          "  --version      print the release\n"
          "\n"
          "examples:\n"
          "  plumbline-probe --check --config ./probe.yaml\n"
          "  systemctl reload plumbline-probe\n",
          to);
}

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

/* Loads the inventory and the keys that it and 'with' name, and makes the plan of
 * this probe, of which nothing new begins before 'not_before' nor, if there is an
 * 'old' one, before that has ended; tells every error. */
static int
load_plan(struct probe *p, const struct probe_config *with, const struct plan *old,
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

static int
open_spool(struct probe *p)
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

/* The first instant of which nothing was told yet, now and in earlier lives. */
static struct instant
first_start(const struct probe *p)
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

static int
open_parts(struct probe *p)
{
    struct plan *plan = NULL;
    int err = open_spool(p);
    if (err) {
        return err;
    }
    struct instant not_before = first_start(p);
    err = load_plan(p, p->config, NULL, not_before, &plan);
    if (!err) {
        err = open_sample_log(p);
    }
    if (!err) {
        p->ring = ring_new(RING_CAPACITY);
        err = p->ring ? 0 : -ENOMEM;
    }
    if (!err) {
        const struct timing_config config = {.events = p->ring, .priority = p->config->priority};
        err = timing_start(&p->timing, &config, &plan->timing);
        if (err) {
            errno = -err;
            log_error("%s: no test packets can be sent or reflected", p->config->probe);
        }
    }
    if (!err) {
        err = open_twamp(p);
    }
    if (!err) {
        const struct agent_config config = {
            .base = p->base,
            .events = p->ring,
            .timing = p->timing,
            .counters = p->twamp ? &p->twamp_counters : NULL,
            .spool = p->spool,
            .source = p->config->probe,
            .release = PLUMBLINE_VERSION,
            .cert_file = p->config->redis.tls.cert_file,
            .sample_log = p->sample_log,
            .not_before = not_before,
        };
        err = agent_new(&p->agent, &config, plan);
    }
    if (err) {
        plan_free(plan);
        return err;
    }
    err = open_stream(p);
    if (!err) {
        agent_attach(p->agent, p->stream);
    }
    return err;
}

static void
close_parts(struct probe *p)
{
    timing_stop(p->timing);
    stream_free(p->stream);
    agent_free(p->agent);
    twampserver_free(p->twamp);
    timing_free(p->timing);
    ring_free(p->ring);
    spool_close(p->spool);
    if (p->sample_log) {
        fclose(p->sample_log);
    }
}

/* A wrong inventory never replaces a good one. */
static void
reload(struct probe *p)
{
    struct probe_config *with; /* For its link_keys and key_folder; no more of it is taken on. */
    struct plan *plan;
    int err = probe_config_load(p->config_path, stderr, &with);

    if (!err) {
        err = load_plan(p, with, agent_plan(p->agent), first_start(p), &plan);
        probe_config_free(with);
    }
    if (err) {
        log_warnx("%s: the new inventory or its keys have errors; the old ones stay in force",
                  p->config->probe);
        return;
    }
    err = timing_replace(p->timing, &plan->timing);
    if (err) {
        errno = -err;
        log_warn("%s: the new inventory could not be put in force; the old one stays",
                 p->config->probe);
        plan_free(plan);
        return;
    }
    err = agent_replace(p->agent, plan);
    if (err) {
        errno = -err;
        log_warn("%s: some sessions of the new inventory are not summarised", p->config->probe);
        return;
    }
    log_info("%s: inventory generation %" PRId64 " is in force: %zu sessions, %zu links",
             p->config->probe, plan->generation, plan->timing.session_count, plan->object_count);
}

static void
on_reload(void *aux)
{
    struct probe *p = aux;

    service_reloading(p->service);
    reload(p);
    service_reloaded(p->service, "measuring");
}

static void
on_stop(void *aux)
{
    struct probe *p = aux;

    event_base_loopbreak(p->base);
}

/* What is left goes to disk, and to Redis if it takes it soon. */
static void
finish(struct probe *p)
{
    struct span until = span_of_ns(mono_now().ns + STOP_WAIT_S * NS_PER_S);
    struct stream_health health;

    timing_stop(p->timing); /* Its counters are read once more. */
    agent_finish(p->agent);
    for (;;) {
        const struct timeval slice = {.tv_usec = 50000};
        stream_health(p->stream, &health);
        if (health.caught_up || mono_now().ns > until.ns) {
            break;
        }
        event_base_loopexit(p->base, &slice);
        event_base_dispatch(p->base);
    }
}

static void
fill_metrics(struct metrics *m, void *aux)
{
    const struct probe *p = aux;
    const struct exposition e = {.config = p->config,
                                 .agent = p->agent,
                                 .timing = p->timing,
                                 .spool = p->spool,
                                 .stream = p->stream,
                                 .twamp = p->twamp};

    exposition_fill(&e, m);
}

static int
run(struct probe *p)
{
    const struct service_config config = {
        .base = p->base, .on_stop = on_stop, .on_reload = on_reload, .aux = p};
    /* Port 862, binding to interfaces, large buffers and real-time priority are
     * needed again at each reload. */
    static const int keep[] = {CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_NET_ADMIN, CAP_SYS_NICE};
    int err = service_drop_to(p->config->user, keep, sizeof keep / sizeof keep[0]);

    if (err) {
        errno = -err;
        log_error("%s: 'user: %s' cannot be taken on", p->config_path, p->config->user);
        return EXIT_SYSTEM;
    }
    err = service_new(&p->service, &config);
    if (!err) {
        err = open_parts(p);
    }
    if (!err && p->config->metrics.listen) {
        err = scrape_new(&p->scrape, p->base, p->config->metrics.listen, "probe", fill_metrics, p);
    }
    if (!err) {
        const struct plan *plan = agent_plan(p->agent);
        log_info("%s: release %s, %zu sessions, answers on %zu links", p->config->probe,
                 PLUMBLINE_VERSION, plan->timing.session_count, plan->object_count);
        service_ready(p->service, "measuring");
        event_base_dispatch(p->base);
        service_stopping(p->service);
        scrape_free(p->scrape);
        p->scrape = NULL;
        finish(p);
    }
    scrape_free(p->scrape);
    service_free(p->service);
    close_parts(p);
    return err ? EXIT_SYSTEM : EXIT_SUCCESS;
}

static int
check_only(struct probe *p)
{
    struct plan *plan;

    if (load_plan(p, p->config, NULL, instant_now(), &plan)) {
        return EXIT_CONFIG;
    }
    printf("%s: %zu sessions, answers on %zu links\n", p->config->probe, plan->timing.session_count,
           plan->object_count);
    plan_free(plan);
    return EXIT_SUCCESS;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    struct probe p = {.config_path = "/etc/plumbline/probe.yaml"};
    bool check = false;
    int c, status;

    while ((c = getopt_long(argc, argv, "c:nhV", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            p.config_path = optarg;
            break;
        case 'n':
            check = true;
            break;
        case 'h':
            usage(stdout);
            return EXIT_SUCCESS;
        case 'V':
            puts("plumbline-probe " PLUMBLINE_VERSION);
            return EXIT_SUCCESS;
        default:
            usage(stderr);
            return EXIT_CONFIG;
        }
    }
    if (probe_config_load(p.config_path, stderr, &p.config)) {
        return EXIT_CONFIG;
    }
    log_set_level(p.config->log_level);
    p.base = event_base_new();
    if (!p.base) {
        log_error("event_base_new");
        status = EXIT_SYSTEM;
    } else {
        status = check ? check_only(&p) : run(&p);
        event_base_free(p.base);
    }
    probe_config_free(p.config);
    return status;
}
