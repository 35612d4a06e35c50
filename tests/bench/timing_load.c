/* timing_load.c - the probe's timing thread under load: sends N sessions, or
 * reflects them, and says what became of every packet.
 *
 * For sender.*: the sending side prints one line of "name value" pairs: sent,
 * received, lost, unknown, missing_t1, refused, pacing_p50_ns, pacing_p99_ns,
 * cpu_ns (of the whole process) and timing_cpu_ns (of the timing thread).  The
 * reflecting side runs until SIGTERM. */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "match.h"
#include "nstime.h"
#include "ring.h"
#include "stampauth.h"
#include "timing.h"
#include "value.h"

#define RING_CAPACITY (1u << 16)

struct totals {
    uint64_t sent, received, lost, unknown, refused, packets, missing_t1;
    struct hist *pacing;
    int64_t pacing_min, pacing_max;
};

struct load {
    struct timing_session *sessions;
    struct session_key *keys;
    struct match **matches;
    uint32_t count, pps, seconds;
    struct address local, remote;
    bool reflect;
    const char *interface;
    const char *key_file; /* Of the reflector's peer; NULL: not authenticated. */
};

static volatile sig_atomic_t stopping;

static void
on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static void
on_packet(const struct session_key *key, const struct match_packet *p, void *aux)
{
    struct totals *t = aux;

    (void)key;
    t->packets++;
    t->missing_t1 += p->t1.source < TS_KERNEL;
}

static void
on_final(const struct session_key *key, const struct summary *s, void *aux)
{
    struct totals *t = aux;

    (void)key;
    t->sent += s->sent;
    t->received += s->received;
    t->lost += s->lost_fwd + s->lost_bwd + s->lost_undirected;
    t->unknown += s->unknown;
    t->refused += s->send_errors;
}

static void
make_sessions(struct load *l, struct instant begin)
{
    for (uint32_t i = 0; i < l->count; i++) {
        struct session_key *k = &l->keys[i];
        snprintf(k->object, sizeof k->object, "load");
        snprintf(k->observer, sizeof k->observer, "near");
        snprintf(k->far, sizeof k->far, "far");
        snprintf(k->class_name, sizeof k->class_name, "c%u", i);
        snprintf(k->protocol, sizeof k->protocol, "stamp");
        k->family = l->remote.family;
        k->dt = span_of_ns(NS_PER_S);
        k->tmax = span_of_ns(NS_PER_S);
        k->period = span_of_ns(NS_PER_S * l->count / l->pps);
        k->size = 128;
        l->sessions[i] = (struct timing_session){
            .index = i,
            .source = l->local,
            .destination = l->remote,
            .source_port = 50000,
            .destination_port = 862,
            .ssid = (uint16_t)(i + 1),
            .size = k->size,
            .period = k->period,
            .interface = l->interface,
            .begin = begin,
            .dt = k->dt,
        };
        l->matches[i] = match_new(k, begin);
        if (!l->matches[i]) {
            abort();
        }
    }
}

static void
take_event(struct load *l, struct totals *t, const struct exchange *e)
{
    if (e->kind == EXCHANGE_SENT) {
        int64_t late = e->t1.at.ns - e->scheduled.ns;
        hist_add(t->pacing, late, 1);
        t->pacing_min = late < t->pacing_min ? late : t->pacing_min;
        t->pacing_max = late > t->pacing_max ? late : t->pacing_max;
    }
    if (e->session == UINT32_MAX) {
        for (uint32_t i = 0; i < l->count; i++) {
            match_event(l->matches[i], e);
        }
    } else if (e->session < l->count) {
        match_event(l->matches[e->session], e);
    }
}

static void
take_events(struct load *l, struct ring *ring, struct totals *t, struct instant now)
{
    const struct match_sinks sinks = {.packet = on_packet, .final = on_final, .aux = t};
    struct exchange e;

    while (ring_pop(ring, &e)) {
        take_event(l, t, &e);
    }
    for (uint32_t i = 0; now.ns && i < l->count; i++) {
        match_advance(l->matches[i], now, &sinks);
    }
}

static int64_t
cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return instant_of_timespec(ts).ns;
}

static void
print_totals(const struct totals *t, int64_t cpu, int64_t timing_cpu)
{
    printf("sent %" PRIu64 " received %" PRIu64 " lost %" PRIu64 " unknown %" PRIu64
           " missing_t1 %" PRIu64 " refused %" PRIu64 " pacing_p50_ns %" PRId64
           " pacing_p99_ns %" PRId64 " cpu_ns %" PRId64 " timing_cpu_ns %" PRId64 "\n",
           t->sent, t->received, t->lost, t->unknown, t->missing_t1, t->refused,
           hist_quantile(t->pacing, 500000, t->pacing_min, t->pacing_max),
           hist_quantile(t->pacing, 990000, t->pacing_min, t->pacing_max), cpu, timing_cpu);
}

/* Everything but the main thread is the timing thread. */
static int64_t
timing_cpu_ns(int64_t main_cpu, int64_t all)
{
    return all - main_cpu;
}

static int64_t
thread_cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return instant_of_timespec(ts).ns;
}

static int
run_sender(struct load *l)
{
    struct ring *ring = ring_new(RING_CAPACITY);
    const struct timing_config config = {.events = ring, .priority = 40};
    struct instant begin =
        instant_add(instant_ceil(instant_now(), span_of_ns(NS_PER_S)), span_of_ns(NS_PER_S));
    struct totals t = {
        .pacing = hist_new(HIST_DELAY), .pacing_min = INT64_MAX, .pacing_max = INT64_MIN};
    struct timing_plan plan = {.session_count = l->count};
    struct timing *timing;

    l->sessions = calloc(l->count, sizeof l->sessions[0]);
    l->keys = calloc(l->count, sizeof l->keys[0]);
    l->matches = calloc(l->count, sizeof(struct match *));
    if (!ring || !t.pacing || !l->sessions || !l->keys || !l->matches) {
        return 3;
    }
    make_sessions(l, begin);
    plan.sessions = l->sessions;
    int err = timing_start(&timing, &config, &plan);
    if (err) {
        fprintf(stderr, "timing_load: timing_start: %s\n", strerror(-err));
        return 3;
    }
    int64_t cpu = cpu_ns(), main_cpu = thread_cpu_ns();
    struct instant stop = instant_add(begin, span_of_ns((int64_t)l->seconds * NS_PER_S));
    while (instant_before(instant_now(), stop)) {
        usleep(20000);
        take_events(l, ring, &t, instant_of_ns(0));
    }
    cpu = cpu_ns() - cpu;
    main_cpu = thread_cpu_ns() - main_cpu;
    /* Whole delta-t only: what was sent after 'stop' is not looked at. */
    struct instant settled = instant_add(stop, span_of_ns(4 * NS_PER_S));
    while (instant_before(instant_now(), settled)) {
        usleep(20000);
        take_events(l, ring, &t, instant_of_ns(0));
    }
    take_events(l, ring, &t,
                instant_sub(settled, stop).ns > 0 ? instant_of_ns(stop.ns + 3 * NS_PER_S) : stop);
    timing_free(timing);
    print_totals(&t, cpu, timing_cpu_ns(main_cpu, cpu));
    for (uint32_t i = 0; i < l->count; i++) {
        match_free(l->matches[i]);
    }
    free(l->sessions);
    free(l->keys);
    free(l->matches);
    hist_free(t.pacing);
    ring_free(ring);
    return 0;
}

/* NULL where there is no key. */
static struct stampauth_ring *
ring_of(const char *path)
{
    struct stampauth_secret key, none = {.size = 0};

    if (!path) {
        return NULL;
    }
    if (stampauth_read(path, &key)) {
        fprintf(stderr, "timing_load: %s: no key\n", path);
        exit(2);
    }
    return stampauth_new(STAMPAUTH_PACKET, &key, &none, false);
}

static int
run_reflector(const struct load *l)
{
    const struct sigaction action = {.sa_handler = on_signal};
    struct ring *ring = ring_new(1024);
    const struct timing_config config = {.events = ring, .priority = 40};
    struct timing_peer peer = {.local = l->local,
                               .remote = l->remote,
                               .interface = l->interface,
                               .keys = ring_of(l->key_file)};
    struct timing_plan plan = {.peers = &peer, .peer_count = 1, .reflector_port = 862};
    struct timing *timing;

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    int err = ring ? timing_start(&timing, &config, &plan) : -1;
    if (err) {
        fprintf(stderr, "timing_load: timing_start: %s\n", strerror(-err));
        return 3;
    }
    fputs("ready\n", stderr);
    while (!stopping) {
        pause();
    }
    timing_free(timing);
    ring_free(ring);
    stampauth_unref(peer.keys);
    return 0;
}

static void
usage(void)
{
    fputs("usage: timing_load --local ADDRESS --remote ADDRESS [--interface NAME] --reflect "
          "[--key FILE]\n"
          "       timing_load --local ADDRESS --remote ADDRESS [--interface NAME] [--sessions N] "
          "[--pps N] [--seconds N]\n",
          stderr);
    exit(2);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"local", required_argument, NULL, 'l'},
                                            {"remote", required_argument, NULL, 'r'},
                                            {"sessions", required_argument, NULL, 'n'},
                                            {"pps", required_argument, NULL, 'p'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"interface", required_argument, NULL, 'i'},
                                            {"reflect", no_argument, NULL, 'R'},
                                            {"key", required_argument, NULL, 'k'},
                                            {NULL, 0, NULL, 0}};
    struct load l = {.count = 1, .pps = 10000, .seconds = 30};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'l':
        case 'r':
            if (!value_parse_address(optarg, c == 'l' ? &l.local : &l.remote)) {
                usage();
            }
            break;
        case 'n':
            l.count = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'p':
            l.pps = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 's':
            l.seconds = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'i':
            l.interface = optarg;
            break;
        case 'R':
            l.reflect = true;
            break;
        case 'k':
            l.key_file = optarg;
            break;
        default:
            usage();
        }
    }
    if (!l.local.family || !l.remote.family || !l.count || !l.pps || !l.seconds) {
        usage();
    }
    return l.reflect ? run_reflector(&l) : run_sender(&l);
}
