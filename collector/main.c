/* main.c - plumbline-collector: reads its configuration, starts its workers, and
 * waits for signals. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/thread.h>

#include "config.h"
#include "courier.h"
#include "desk.h"
#include "exposition.h"
#include "inventory.h"
#include "judge.h"
#include "keeper.h"
#include "log.h"
#include "past.h"
#include "purse.h"
#include "scrape.h"
#include "service.h"
#include "worker.h"

enum { EXIT_CONFIG = 2, EXIT_SYSTEM = 3 };

#define ERRORS_MAX 50
#define WORKERS_MAX 64

struct collector {
    const char *config_path;
    struct collector_config *config;
    struct inventory *inventory;
    struct event_base *base;
    struct service *service;
    struct worker *workers[WORKERS_MAX];
    unsigned worker_count;
    struct keeper *keeper;
    struct judge *judge;
    struct courier *courier;
    struct past *past;
    struct purse *purse;
    struct desk *desk;
    struct scrape *scrape;
};

static void
usage(FILE *to)
{
    fputs("usage: plumbline-collector [--config FILE] [--check]\n"
          "\n"
          "Reads what the probes stream to Redis and writes it to PostgreSQL, once.  Runs\n"
          "in the foreground; stops on SIGTERM, reads its inventory again on SIGHUP.  Any\n"
          "number of collectors share the sources evenly.\n"
          "\n"
          "  --config FILE  default /etc/plumbline/collector.yaml\n"
          "  --check        read configuration and inventory, say what is wrong, and end\n"
          "  --version      print the release\n"
          "\n"
          "examples:\n"
          "  plumbline-collector --check --config ./collector.yaml\n"
          "  systemctl reload plumbline-collector\n",
          to);
}

static int
load_inventory(const struct collector *c, struct inventory **out)
{
    size_t errors, warnings;
    return inventory_load(c->config->inventory, stderr, ERRORS_MAX, &errors, &warnings, out);
}

static void
stop_workers(struct collector *c)
{
    for (unsigned i = 0; i < c->worker_count; i++) {
        worker_stop(c->workers[i]);
    }
    for (unsigned i = 0; i < c->worker_count; i++) {
        worker_join(c->workers[i]);
    }
    c->worker_count = 0;
}

static int
start_workers(struct collector *c)
{
    while (c->worker_count < c->config->workers) {
        int err = worker_start(&c->workers[c->worker_count], c->config, c->inventory,
                               c->worker_count + 1);
        if (err) {
            errno = -err;
            log_error("%s: worker %u cannot start", c->config->collector, c->worker_count + 1);
            stop_workers(c);
            return err;
        }
        c->worker_count++;
    }
    return 0;
}

static void
stop_jobs(struct collector *c)
{
    purse_stop(c->purse);
    past_stop(c->past);
    courier_stop(c->courier);
    desk_stop(c->desk);
    judge_stop(c->judge);
    c->purse = NULL;
    c->past = NULL;
    c->courier = NULL;
    c->desk = NULL;
    c->judge = NULL;
}

/* Those that go by the inventory. */
static int
start_jobs(struct collector *c)
{
    int err = judge_start(&c->judge, c->config, c->inventory);

    if (!err) {
        err = desk_start(&c->desk, c->config, c->inventory);
    }
    if (!err) {
        err = courier_start(&c->courier, c->config, c->inventory);
    }
    if (!err) {
        err = past_start(&c->past, c->config, c->inventory);
    }
    if (!err) {
        err = purse_start(&c->purse, c->config, c->inventory);
    }
    return err;
}

/* A wrong inventory never replaces a good one.  Workers let go of their sources
 * and claim them again: what they had not written is read again. */
static void
on_reload(void *aux)
{
    struct collector *c = aux;
    struct inventory *inventory;

    service_reloading(c->service);
    if (load_inventory(c, &inventory)) {
        log_warnx("%s: the new inventory has errors; the old one stays in force",
                  c->config->collector);
        service_reloaded(c->service, "collecting, with the old inventory");
        return;
    }
    stop_workers(c);
    stop_jobs(c);
    inventory_free(c->inventory);
    c->inventory = inventory;
    if (start_workers(c) || start_jobs(c)) {
        event_base_loopbreak(c->base);
        return;
    }
    log_info("%s: inventory generation %" PRId64 " is in force: %zu sources", c->config->collector,
             inventory->generation, inventory->probe_count);
    service_reloaded(c->service, "collecting");
}

static void
on_stop(void *aux)
{
    struct collector *c = aux;

    event_base_loopbreak(c->base);
}

static void
fill_metrics(struct metrics *m, void *aux)
{
    const struct collector *c = aux;
    const struct exposition e = {.config = c->config,
                                 .inventory = c->inventory,
                                 .workers = c->workers,
                                 .worker_count = c->worker_count,
                                 .judge = c->judge,
                                 .past = c->past,
                                 .purse = c->purse,
                                 .desk = c->desk,
                                 .keeper = c->keeper,
                                 .courier = c->courier};

    exposition_fill(&e, m);
}

static int
run(struct collector *c)
{
    const struct service_config config = {
        .base = c->base, .on_stop = on_stop, .on_reload = on_reload, .aux = c};
    int err = service_drop_to(c->config->user, NULL, 0);

    if (err) {
        errno = -err;
        log_error("%s: 'user: %s' cannot be taken on", c->config_path, c->config->user);
        return EXIT_SYSTEM;
    }
    err = service_new(&c->service, &config);
    if (!err) {
        err = start_workers(c);
    }
    if (!err) {
        err = keeper_start(&c->keeper, c->config);
    }
    if (!err) {
        err = start_jobs(c);
    }
    if (!err && c->config->metrics.listen) {
        err = scrape_new(&c->scrape, c->base, c->config->metrics.listen, "collector", fill_metrics,
                         c);
    }
    if (!err) {
        log_info("%s: release %s, %zu sources, %u workers", c->config->collector, PLUMBLINE_VERSION,
                 c->inventory->probe_count, c->worker_count);
        service_ready(c->service, "collecting");
        event_base_dispatch(c->base);
        service_stopping(c->service);
        err = c->worker_count ? 0 : -EIO;
    }
    scrape_free(c->scrape);
    stop_jobs(c);
    keeper_stop(c->keeper);
    stop_workers(c);
    service_free(c->service);
    return err ? EXIT_SYSTEM : EXIT_SUCCESS;
}

static int
start(struct collector *c, bool check)
{
    int err = collector_config_load(c->config_path, stderr, &c->config);
    int status = EXIT_CONFIG;

    if (!err) {
        err = load_inventory(c, &c->inventory);
    }
    if (!err && check) {
        printf("%s: %zu sources, %zu links\n", c->config->collector, c->inventory->probe_count,
               c->inventory->link_count);
        status = EXIT_SUCCESS;
    } else if (!err) {
        log_set_level(c->config->log_level);
        c->base = event_base_new();
        status = c->base ? run(c) : EXIT_SYSTEM;
        if (c->base) {
            event_base_free(c->base);
        }
    }
    inventory_free(c->inventory);
    collector_config_free(c->config);
    return status;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"check", no_argument, NULL, 'n'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {NULL, 0, NULL, 0}};
    struct collector c = {.config_path = "/etc/plumbline/collector.yaml"};
    bool check = false;
    int o;

    while ((o = getopt_long(argc, argv, "c:nhV", options, NULL)) != -1) {
        switch (o) {
        case 'c':
            c.config_path = optarg;
            break;
        case 'n':
            check = true;
            break;
        case 'h':
            usage(stdout);
            return EXIT_SUCCESS;
        case 'V':
            puts("plumbline-collector " PLUMBLINE_VERSION);
            return EXIT_SUCCESS;
        default:
            usage(stderr);
            return EXIT_CONFIG;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "plumbline-collector: '%s' is not an option\n", argv[optind]);
        usage(stderr);
        return EXIT_CONFIG;
    }
    evthread_use_pthreads();
    return start(&c, check);
}
