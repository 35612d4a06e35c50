/* main.c - plumbline-probe: reads its configuration, opens what needs
 * privileges, wires the parts, and waits for signals. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "cpulatency.h"
#include "exposition.h"
#include "log.h"
#include "probe.h"
#include "successor.h"
#include "upgrade.h"
#include "value.h"

enum { EXIT_CONFIG = 2, EXIT_SYSTEM = 3 };

/* A probe that stops waits so long for Redis to take the last batch. */
#define STOP_WAIT_S 2

/* ... and for its answer, when the stream has just been begun. */
#define OPEN_WAIT_S 4

static void
usage(FILE *to)
{
    fputs("usage: plumbline-probe [--config FILE] [--check]\n"
          "\n"
          "Sends and reflects STAMP test packets on each link of this PoP and streams what\n"
          "it measured to Redis.  Runs in the foreground; stops on SIGTERM, reads its\n"
          "inventory and the keys of links again on SIGHUP; on SIGUSR2 lets the file that it was\n"
          "started from, which may be a new release by now, go on in its place.\n"
          "\n"
          "  --config FILE  default /etc/plumbline/probe.yaml\n"
          "  --check        read configuration and inventory, say what is wrong, and end\n"
          "  --version      print the release\n"
          "\n"
          "examples:\n"
          "  plumbline-probe --check --config ./probe.yaml\n"
          "  systemctl reload plumbline-probe\n"
          "  systemctl kill --kill-whom=main --signal=USR2 plumbline-probe\n",
          to);
}

/* A wrong inventory never replaces a good one. */
static void
reload(struct probe *p)
{
    struct probe_config *with; /* For its link_keys and key_folder; no more of it is taken on. */
    struct plan *plan;
    int err = probe_config_load(p->config_path, stderr, &with);

    if (!err) {
        err = probe_load_plan(p, with, agent_plan(p->agent), probe_first_start(p), &plan);
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
    if (p->tracer) {
        tracer_replan(p->tracer);
    }
    if (err) {
        errno = -err;
        log_warn("%s: some sessions of the new inventory are not summarised", p->config->probe);
        return;
    }
    log_info("%s: inventory generation %" PRId64 " is in force: %zu sessions, %zu links",
             p->config->probe, plan->generation, plan->timing.session_count, plan->object_count);
}

static void
reload_now(struct probe *p)
{
    p->reload_due = false;
    service_reloading(p->service);
    reload(p);
    service_reloaded(p->service, "measuring");
}

static void
on_reload(void *aux)
{
    struct probe *p = aux;

    if (upgrade_has_left(p)) {
        log_info("%s: SIGHUP is for the process that has taken over", p->config->probe);
    } else if (upgrade_is_under_way(p)) {
        log_info("%s: reload waits for the upgrade under way", p->config->probe);
        p->reload_due = true;
    } else {
        reload_now(p);
    }
}

static void
on_upgrade(void *aux)
{
    upgrade_begin(aux);
}

/* A successor has nowhere to put what it has measured until the one before has ended,
 * which is told to stop too. */
static void
on_stop(void *aux)
{
    struct probe *p = aux;

    if (p->agent && !p->stream) {
        log_info("%s: stops as soon as the process before it has ended", p->config->probe);
        p->stop_due = true;
    } else {
        event_base_loopbreak(p->base);
    }
}

static bool
is_open(const struct probe *p)
{
    return stream_is_open(p->stream);
}

static bool
is_caught_up(const struct probe *p)
{
    struct stream_health health;

    stream_health(p->stream, &health);
    return health.caught_up;
}

/* Runs the loop until 'holds' does, for so long at most. */
static void
wait_until(struct probe *p, bool (*holds)(const struct probe *), int64_t seconds)
{
    struct span until = span_of_ns(mono_now().ns + seconds * NS_PER_S);

    while (!holds(p) && mono_now().ns <= until.ns) {
        const struct timeval slice = {.tv_usec = 50000};
        event_base_loopexit(p->base, &slice);
        event_base_dispatch(p->base);
    }
}

/* What is left goes to disk, and to Redis if it takes it soon. */
static void
finish(struct probe *p)
{
    timing_stop(p->timing); /* Its counters are read once more. */
    if (!p->stream) {
        return; /* It was not to be had. */
    }
    if (p->stop_due) {
        wait_until(p, is_open, OPEN_WAIT_S);
    }
    agent_finish(p->agent);
    wait_until(p, is_caught_up, STOP_WAIT_S);
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
                                 .tracer = p->tracer,
                                 .twamp = p->twamp};

    exposition_fill(&e, m);
}

/* All is open. */
static void
begin(struct probe *p)
{
    const struct plan *plan = agent_plan(p->agent);
    const char *listen = p->config->metrics.listen;
    int err = listen ? scrape_new(&p->scrape, p->base, listen, "probe", fill_metrics, p) : 0;

    if (err) {
        p->failed = true;
        event_base_loopbreak(p->base);
        return;
    }
    log_info("%s: release %s, %zu sessions, answers on %zu links", p->config->probe,
             PLUMBLINE_VERSION, plan->timing.session_count, plan->object_count);
    service_ready(p->service, "measuring");
    if (p->stop_due) {
        event_base_loopbreak(p->base);
    } else if (p->reload_due) {
        reload_now(p);
    }
}

/* Before privileges are put down, for its file is root's; a successor has it from the process
 * before.  Measuring goes on without. */
static void
bound_cpu_latency(struct probe *p)
{
    const struct span at_most = p->config->cpu_latency;
    const bool wanted = at_most.ns < CPULATENCY_ANY_NS;
    const char *inherited = getenv(SUCCESSOR_CPU_LATENCY);
    char text[32];
    int err = 0;

    if (inherited) {
        p->cpu_latency = atoi(inherited);
        (void)fcntl(p->cpu_latency, F_SETFD, FD_CLOEXEC);
        (void)unsetenv(SUCCESSOR_CPU_LATENCY);
        err = cpulatency_change(p->cpu_latency, at_most);
        if (err || !wanted) {
            (void)close(p->cpu_latency);
            p->cpu_latency = -1;
        }
    } else if (wanted) {
        err = p->cpu_latency = cpulatency_open(CPULATENCY_FILE, at_most);
    }
    if (!wanted) {
        return;
    }
    if (err < 0) {
        p->cpu_latency = -1;
        log_warnx("%s: 'cpu_latency' is without effect: %s: %s; see PRIVILEGES in "
                  "plumbline-probe(8)",
                  p->config_path, CPULATENCY_FILE, strerror(-err));
    } else {
        value_format_span(at_most, text, sizeof text);
        log_info("%s: this host's processors wake within %s", p->config->probe, text);
    }
}

static int
run(struct probe *p, int predecessor)
{
    const struct service_config config = {.base = p->base,
                                          .on_stop = on_stop,
                                          .on_reload = on_reload,
                                          .on_upgrade = on_upgrade,
                                          .aux = p};
    /* Port 862, binding to interfaces, large buffers and real-time priority are
     * needed again at each reload. */
    static const int keep[] = {CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_NET_ADMIN, CAP_SYS_NICE};

    bound_cpu_latency(p);
    int err = service_drop_to(p->config->user, keep, sizeof keep / sizeof keep[0]);

    if (err) {
        errno = -err;
        log_error("%s: 'user: %s' cannot be taken on", p->config_path, p->config->user);
        return EXIT_SYSTEM;
    }
    err = service_new(&p->service, &config);
    if (!err) {
        err = predecessor >= 0 ? upgrade_open(p, predecessor) : probe_open(p);
    }
    if (!err && predecessor < 0) {
        begin(p);
    }
    if (!err && !p->failed) {
        event_base_dispatch(p->base);
        service_stopping(p->service);
        scrape_free(p->scrape);
        p->scrape = NULL;
        finish(p);
    }
    scrape_free(p->scrape);
    service_free(p->service);
    probe_close(p);
    upgrade_free(p); /* After the spool was let go of. */
    return err || p->failed ? EXIT_SYSTEM : EXIT_SUCCESS;
}

static int
check_only(struct probe *p)
{
    struct plan *plan;

    if (probe_load_plan(p, p->config, NULL, instant_now(), &plan)) {
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
                                            {"successor", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    struct probe p = {.config_path = "/etc/plumbline/probe.yaml",
                      .opened = begin,
                      .reload = reload_now,
                      .cpu_latency = -1};
    int predecessor = -1; /* The channel to the probe that started this one. */
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
        case 's':
            predecessor = atoi(optarg);
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
        (void)readlink("/proc/self/exe", p.program, sizeof p.program - 1);
        status = check ? check_only(&p) : run(&p, predecessor);
        event_base_free(p.base);
    }
    probe_config_free(p.config);
    return status;
}
