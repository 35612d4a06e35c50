/* ping.c - `plumbline ping`: a one-shot test of a path to any STAMP or
 * TWAMP-Light reflector, or by ICMP echo, without a server. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli.h"
#include "clockstate.h"
#include "match.h"
#include "ring.h"
#include "sender.h"
#include "value.h"

static const char help[] =
    "usage: plumbline ping [OPTION ...] ADDRESS\n"
    "\n"
    "Sends test packets to a STAMP or TWAMP-Light reflector, or ICMP echo requests; prints a\n"
    "line a packet, then loss (by direction, where the reflector tells it) and delay.  Ctrl-C\n"
    "ends it early.\n"
    "\n"
    "  --protocol NAME   stamp (default), twamp-light or icmp (round trip only)\n"
    "  --stateless       the reflector copies our sequence: no direction of anything is told\n"
    "  --timestamp FORM  ntp (default) or ptp: how our send time is written\n"
    "  --count N         packets to send (10)\n"
    "  --interval SPAN   between two packets (1s; not under 100us)\n"
    "  --size OCTETS     of UDP payload, 44 to 9000 (128).  From 76 on a plumbline\n"
    "                    reflector reports what it received, from 96 on it gives its true\n"
    "                    send times too\n"
    "  --dscp DSCP       0 to 63, or a name such as ef (0)\n"
    "  --port PORT       of the reflector (862)\n"
    "  --source ADDRESS  send from this address\n"
    "  --source-port PORT  send from this port (one is chosen); of icmp the identifier\n"
    "  --tmax SPAN       later than this is lost (2s)\n"
    "  --quiet           no line a packet\n"
    "  --json            print one JSON object at the end instead of text\n"
    "  --help            this text\n"
    "\n"
    "Exit status: 0 no loss, 1 loss, 2 wrong usage, 3 nothing could be sent.\n"
    "\n"
    "Examples:\n"
    "  plumbline ping 192.0.2.7\n"
    "  plumbline ping --protocol icmp 2001:db8::7\n"
    "  plumbline ping --protocol twamp-light --stateless --source-port 50310 192.0.2.7\n"
    "  plumbline ping --count 1000 --interval 10ms --dscp ef 192.0.2.7\n"
    "  plumbline ping --json --count 100 --interval 20ms 192.0.2.7 | jq .rt_ns.p99\n";

/* The newest packets, for the lines. */
enum { RECENT = 4096 };

#define LINGER_NS (50 * NS_PER_MS)

/* A reflector's time that is further from ours is of another epoch. */
#define DAY_NS (86400 * NS_PER_S)

struct recent {
    uint32_t sequence;
    bool replied;
    struct stamp_time t1;
};

struct ping {
    struct address to, source;
    enum sender_protocol protocol;
    bool stateless, ptp;
    uint16_t source_port;
    uint32_t count, size;
    uint16_t port;
    uint8_t dscp;
    struct span interval, tmax;
    bool json, quiet;

    struct session_key key;
    struct ring *ring;
    struct tstamp_io *io;
    struct sender *sender;
    struct match *match;
    int epoll;

    uint32_t done;     /* Packets sent or refused. */
    uint32_t answered; /* Distinct ones. */
    struct span answered_at;
    int error;        /* Of the last send that was refused. */
    struct span last; /* Monotonic, of the last one. */
    bool far_synchronised, heard;
    uint64_t far_error_ns;
    struct clockstate clock;
    struct recent recent[RECENT];

    struct summary total;
    enum ts_source worst[4]; /* Of T1..T4 of received packets. */
    uint64_t kernel[4];      /* How many of each were the kernel's or better. */
    uint64_t untimed;        /* Received, with T2/T3 that could not be true or were not there. */
};

/* By enum sender_protocol. */
static const char *const protocol_names[] = {"stamp", "twamp-light", "icmp"};

static volatile sig_atomic_t interrupted;

static void
on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* --- Arguments. --- */

static int
wrong(const char *what, const char *value, const char *expected)
{
    fprintf(stderr, "plumbline ping: %s '%s': expected %s\n", what, value, expected);
    return EXIT_USAGE;
}

static int
take_number(const char *what, const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char expected[64];

    if (value_parse_unsigned(text, out) && *out >= least && *out <= most) {
        return EXIT_GOOD;
    }
    snprintf(expected, sizeof expected, "a number from %" PRIu64 " to %" PRIu64, least, most);
    return wrong(what, text, expected);
}

/* What the far end is. */
static int
take_far_option(struct ping *p, int option, const char *text)
{
    uint64_t n = 0;
    int err;

    switch (option) {
    case 'P':
        for (unsigned i = 0; i < 3; i++) {
            if (strcmp(text, protocol_names[i]) == 0) {
                p->protocol = (enum sender_protocol)i;
                return EXIT_GOOD;
            }
        }
        return wrong("--protocol", text, "stamp, twamp-light or icmp");
    case 'T':
        p->ptp = strcmp(text, "ptp") == 0;
        return p->ptp || strcmp(text, "ntp") == 0 ? EXIT_GOOD
                                                  : wrong("--timestamp", text, "ntp or ptp");
    case 'r':
        err = take_number("--source-port", text, 1, UINT16_MAX, &n);
        p->source_port = (uint16_t)n;
        return err;
    case 'l':
        p->stateless = true;
        return EXIT_GOOD;
    default:
        fputs("`plumbline ping --help` shows the options\n", stderr);
        return EXIT_USAGE;
    }
}

static int
take_option(struct ping *p, int option, const char *text)
{
    uint64_t n = 0;
    int err = EXIT_GOOD;

    switch (option) {
    case 'c':
        err = take_number("--count", text, 1, 100000000, &n);
        p->count = (uint32_t)n;
        return err;
    case 's':
        err = take_number("--size", text, STAMP_SIZE_BASE, STAMP_SIZE_MAX, &n);
        p->size = (uint32_t)n;
        return err;
    case 'p':
        err = take_number("--port", text, 1, UINT16_MAX, &n);
        p->port = (uint16_t)n;
        return err;
    case 'i':
        return value_parse_span(text, &p->interval) && p->interval.ns >= 100 * NS_PER_US &&
                       p->interval.ns <= 3600 * NS_PER_S
                   ? EXIT_GOOD
                   : wrong("--interval", text, "a span from 100us to 1h, such as 20ms");
    case 't':
        return value_parse_span(text, &p->tmax) && p->tmax.ns > 0 && p->tmax.ns <= 60 * NS_PER_S
                   ? EXIT_GOOD
                   : wrong("--tmax", text, "a span up to 1m, such as 2s");
    case 'd':
        return value_parse_dscp(text, &p->dscp) ? EXIT_GOOD
                                                : wrong("--dscp", text, "0 to 63, or a name");
    case 'S':
        return value_parse_address(text, &p->source)
                   ? EXIT_GOOD
                   : wrong("--source", text, "an IPv4 or IPv6 address");
    case 'j':
        p->json = true;
        return EXIT_GOOD;
    case 'q':
        p->quiet = true;
        return EXIT_GOOD;
    default:
        return take_far_option(p, option, text);
    }
}

static int
resolve(struct ping *p, const char *name)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found;
    int err;

    if (value_parse_address(name, &p->to)) {
        return EXIT_GOOD;
    }
    if (p->source.family) {
        hints.ai_family = p->source.family == 4 ? AF_INET : AF_INET6;
    }
    err = getaddrinfo(name, NULL, &hints, &found);
    if (err) {
        fprintf(stderr, "plumbline ping: '%s': %s\n", name, gai_strerror(err));
        return err == EAI_NONAME ? EXIT_USAGE : EXIT_UNAVAILABLE;
    }
    if (found->ai_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, found->ai_addr, sizeof in);
        p->to = address_of_v4(in.sin_addr);
    } else {
        struct sockaddr_in6 in6;
        memcpy(&in6, found->ai_addr, sizeof in6);
        p->to = address_of_v6(&in6.sin6_addr);
    }
    freeaddrinfo(found);
    return EXIT_GOOD;
}

/* Returns EXIT_GOOD to go on, -1 when all is done (help), else an exit code. */
static int
take_arguments(struct ping *p, int argc, char **argv)
{
    static const struct option options[] = {{"count", required_argument, NULL, 'c'},
                                            {"interval", required_argument, NULL, 'i'},
                                            {"size", required_argument, NULL, 's'},
                                            {"dscp", required_argument, NULL, 'd'},
                                            {"port", required_argument, NULL, 'p'},
                                            {"source", required_argument, NULL, 'S'},
                                            {"source-port", required_argument, NULL, 'r'},
                                            {"protocol", required_argument, NULL, 'P'},
                                            {"timestamp", required_argument, NULL, 'T'},
                                            {"stateless", no_argument, NULL, 'l'},
                                            {"tmax", required_argument, NULL, 't'},
                                            {"quiet", no_argument, NULL, 'q'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "c:i:s:p:qh", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return -1;
        }
        int err = take_option(p, option, optarg);
        if (err) {
            return err;
        }
    }
    if (optind != argc - 1) {
        fputs("plumbline ping: expected one address; `plumbline ping --help` shows examples\n",
              stderr);
        return EXIT_USAGE;
    }
    int err = resolve(p, argv[optind]);
    if (!err && p->source.family && p->source.family != p->to.family) {
        err = wrong("--source", "of the other family", "one of the same family as the address");
    }
    return err;
}

/* --- Events. --- */

/* As match_fate.c judges them, at a glance. */
static bool
times_can_be_used(const struct exchange *e, int64_t around)
{
    int64_t there = e->t3.at.ns - e->t2.at.ns;
    int64_t off = e->t2.at.ns - e->t4.at.ns;

    return e->t2.source != TS_NONE && e->t3.source != TS_NONE && there >= 0 && there <= around &&
           (e->has_report || (off < DAY_NS && off > -DAY_NS));
}

static void
print_reply(const struct ping *p, const struct exchange *e)
{
    const struct recent *r = &p->recent[e->sequence % RECENT];
    struct stamp_time t1 = r->sequence == e->sequence ? r->t1 : e->t1;
    int64_t there = e->t3.at.ns - e->t2.at.ns;
    int64_t around = e->t4.at.ns - t1.at.ns;
    char rt[24], fwd[24], bwd[24];

    bool echo = p->protocol == SENDER_ICMP;

    if (echo || !times_can_be_used(e, around)) {
        printf("seq %" PRIu32 "  rt %s", e->sequence,
               span_format(span_of_ns(around), rt, sizeof rt));
        if (echo) {
            printf("  ttl %u\n", e->reply_ttl);
        } else {
            puts("  (the reflector's times cannot be used)");
        }
        return;
    }
    printf("seq %" PRIu32 "  rt %s", e->sequence,
           span_format(span_of_ns(around - there), rt, sizeof rt));
    if (p->clock.synchronised && e->far_synchronised && !p->stateless) {
        printf("  fwd %s  bwd %s", span_format(span_of_ns(e->t2.at.ns - t1.at.ns), fwd, sizeof fwd),
               span_format(span_of_ns(e->t4.at.ns - e->t3.at.ns), bwd, sizeof bwd));
    }
    printf("  ttl %u/%u\n", e->ttl, e->reply_ttl);
}

static void
take_event(struct ping *p, const struct exchange *e)
{
    struct recent *r = &p->recent[e->sequence % RECENT];
    bool lines = !p->json && !p->quiet;

    (void)match_event(p->match, e);
    switch (e->kind) {
    case EXCHANGE_SENT:
        *r = (struct recent){.sequence = e->sequence, .t1 = e->t1};
        p->done++;
        p->last = mono_now();
        break;
    case EXCHANGE_SEND_ERROR:
        p->done++;
        p->error = e->error;
        p->last = mono_now();
        if (lines) {
            printf("seq %" PRIu32 "  not sent: %s\n", e->sequence, strerror(e->error));
        }
        break;
    case EXCHANGE_T1:
        if (r->sequence == e->sequence) {
            r->t1 = e->t1;
        }
        break;
    case EXCHANGE_REPLY:
        if (r->sequence == e->sequence && !r->replied) {
            r->replied = true;
            p->answered++;
            p->answered_at = mono_now();
        }
        p->heard = true;
        p->far_synchronised = e->far_synchronised;
        p->far_error_ns = e->far_error_ns;
        if (lines) {
            print_reply(p, e);
        }
        break;
    case EXCHANGE_OVERRUN:
    case EXCHANGE_CLOCK_STEP:
        break;
    }
}

static void
on_packet(const struct session_key *key, const struct match_packet *m, void *aux)
{
    struct ping *p = (struct ping *)aux;
    const struct stamp_time *t[4] = {&m->t1, &m->t2, &m->t3, &m->t4};
    static const char *const words[] = {
        [FATE_LOST_FWD] = "lost on the way there",
        [FATE_LOST_BWD] = "lost on the way back",
        [FATE_LOST_UNDIRECTED] = "lost, nobody can tell which way",
        [FATE_UNKNOWN] = "unanswered when the test ended",
    };

    (void)key;
    if (m->fate != FATE_RECEIVED) {
        if (!p->json && !p->quiet) {
            printf("seq %" PRIu32 "  %s%s\n", m->sequence, words[m->fate],
                   m->late ? " (late)" : "");
        }
        return;
    }
    p->untimed += m->t2.source == TS_NONE || m->t3.source == TS_NONE;
    for (unsigned i = 0; i < 4; i++) {
        p->worst[i] = t[i]->source < p->worst[i] ? t[i]->source : p->worst[i];
        p->kernel[i] += t[i]->source >= TS_KERNEL;
    }
}

static void
on_final(const struct session_key *key, const struct summary *s, void *aux)
{
    struct ping *p = (struct ping *)aux;

    (void)key;
    if (summary_merge(&p->total, s) < 0) {
        fputs("plumbline ping: out of memory\n", stderr);
        exit(EXIT_UNAVAILABLE);
    }
}

static void
take_events(struct ping *p, bool finish)
{
    const struct match_sinks sinks = {.packet = on_packet, .final = on_final, .aux = p};
    struct exchange e;

    while (ring_pop(p->ring, &e)) {
        take_event(p, &e);
    }
    fflush(stdout);
    if (finish) {
        match_finish(p->match, instant_now(), &sinks);
    } else {
        match_advance(p->match, instant_now(), &sinks);
    }
}

/* --- The run. --- */

static bool
finished(const struct ping *p, struct span mono)
{
    if (interrupted) {
        return true;
    }
    if (p->done < p->count) {
        return false;
    }
    if (p->answered >= p->count) {
        /* A second copy comes soon after the first. */
        return mono.ns - p->answered_at.ns > LINGER_NS;
    }
    return mono.ns - p->last.ns > p->tmax.ns + NS_PER_MS;
}

static void
run(struct ping *p)
{
    struct span told = {.ns = 0}; /* When the clock state was last read. */

    for (;;) {
        struct sender_clock now = sender_clock_now();
        struct epoll_event events[1];
        int64_t wait = sender_due(p->sender).ns - now.mono.ns;

        if (now.mono.ns - told.ns > NS_PER_S) {
            told = now.mono;
            clockstate_read(&p->clock);
            sender_set_error(p->sender, (struct stamp_error){.synchronised = p->clock.synchronised,
                                                             .error_ns = p->clock.error_ns});
            match_set_clock_error(p->match, p->clock.synchronised ? p->clock.error_ns : UINT64_MAX);
        }
        if (wait <= 0) {
            sender_send(p->sender, now);
        } else {
            wait = wait < 50 * NS_PER_MS ? wait : 50 * NS_PER_MS;
            struct timespec ts = instant_to_timespec(instant_of_ns(wait));
            int n = epoll_pwait2(p->epoll, events, 1, &ts, NULL);
            if (n > 0) {
                sender_receive(p->sender, (unsigned)events[0].data.u64,
                               (events[0].events & EPOLLIN) != 0,
                               (events[0].events & EPOLLERR) != 0);
            }
        }
        take_events(p, false);
        if (finished(p, mono_now())) {
            break;
        }
    }
    sender_receive_all(p->sender);
    take_events(p, true);
}

static struct session_key
make_key(const struct ping *p)
{
    int64_t periods = (100 * NS_PER_MS + p->interval.ns - 1) / p->interval.ns;
    struct session_key k = {
        .object = "ping",
        .observer = "here",
        .far = "",
        .class_name = "ping",
        .family = p->to.family,
        .rt_only = p->stateless || p->protocol == SENDER_ICMP,
        .dt = span_of_ns(p->interval.ns * periods),
        .tmax = p->tmax,
        .period = p->interval,
        .size = p->size,
        .dscp = p->dscp,
    };
    strcpy(k.protocol, protocol_names[p->protocol]);
    return k;
}

static int
open_all(struct ping *p)
{
    struct sender_clock now;
    struct sender_session s = {
        .protocol = p->protocol,
        .ptp = p->ptp,
        .source = p->source,
        .destination = p->to,
        .source_port = p->source_port,
        .destination_port = p->protocol == SENDER_ICMP ? 0 : p->port,
        .dscp = p->dscp,
        .size = p->size,
        .period = p->interval,
        .dt = span_of_ns(10 * NS_PER_MS),
        .packets = p->count,
    };

    p->key = make_key(p);
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    p->ring = ring_new(1 << 14);
    p->io = tstamp_io_new();
    if (p->epoll < 0 || !p->ring || !p->io ||
        summary_init(&p->total, instant_of_ns(0), false) < 0) {
        return -ENOMEM;
    }
    p->sender = sender_new(p->ring, p->io, p->epoll);
    now = sender_clock_now();
    s.begin = instant_add(now.real, span_of_ns(20 * NS_PER_MS));
    /* Any but zero; a second ping to the same reflector gets another. */
    s.ssid = (uint16_t)((uint64_t)now.real.ns / 1000 % UINT16_MAX + 1);
    p->match = match_new(&p->key, instant_floor(now.real, p->key.dt));
    if (!p->sender || !p->match) {
        return -ENOMEM;
    }
    int err = sender_set(p->sender, &s, 1, now);
    if (!err) {
        (void)tstamp_warm_up(p->io);
    }
    return err;
}

static void
close_all(struct ping *p)
{
    match_free(p->match);
    sender_free(p->sender);
    tstamp_io_free(p->io);
    ring_free(p->ring);
    summary_fini(&p->total);
    if (p->epoll >= 0) {
        close(p->epoll);
    }
}

/* --- What came of it. --- */

static uint64_t
lost(const struct summary *s)
{
    return s->lost_fwd + s->lost_bwd + s->lost_undirected;
}

static int64_t
quantile(const struct delay *d, uint32_t per_million)
{
    return hist_quantile(d->hist, per_million, d->min_ns, d->max_ns);
}

static cJSON *
delay_object(const struct delay *d)
{
    cJSON *o;

    if (d->count == 0) {
        return cJSON_CreateNull();
    }
    o = cJSON_CreateObject();
    cJSON_AddNumberToObject(o, "count", (double)d->count);
    cJSON_AddNumberToObject(o, "min", (double)d->min_ns);
    cJSON_AddNumberToObject(o, "mean", (double)(d->sum_ns / (int64_t)d->count));
    cJSON_AddNumberToObject(o, "p50", (double)quantile(d, 500000));
    cJSON_AddNumberToObject(o, "p95", (double)quantile(d, 950000));
    cJSON_AddNumberToObject(o, "p99", (double)quantile(d, 990000));
    cJSON_AddNumberToObject(o, "max", (double)d->max_ns);
    return o;
}

static cJSON *
clock_object(bool known, bool synchronised, uint64_t error_ns)
{
    cJSON *o = cJSON_CreateObject();

    if (known) {
        cJSON_AddBoolToObject(o, "synchronised", synchronised);
    } else {
        cJSON_AddNullToObject(o, "synchronised");
    }
    if (known && error_ns != UINT64_MAX) {
        cJSON_AddNumberToObject(o, "error_ns", (double)error_ns);
    } else {
        cJSON_AddNullToObject(o, "error_ns");
    }
    return o;
}

/* What was odd about the replies, by name. */
static cJSON *
far_object(const struct ping *p)
{
    struct counter_group groups[2];
    cJSON *o = cJSON_CreateObject();

    match_counters(p->match, &groups[0]);
    sender_counters(p->sender, &groups[1]);
    for (unsigned g = 0; g < 2; g++) {
        unsigned end = g == 0 ? groups[g].count : (unsigned)SENDER_SKIPPED;
        for (unsigned i = g == 0 ? MATCH_BAD_REFLECTOR_TIME : 0; i < end; i++) {
            uint64_t value = counter_get(&groups[g].counters[i]);
            if (value) {
                cJSON_AddNumberToObject(o, groups[g].names[i], (double)value);
            }
        }
    }
    return o;
}

static void
print_json(const struct ping *p)
{
    const struct summary *s = &p->total;
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        {"sent", s->sent},
        {"received", s->received},
        {"lost_fwd", s->lost_fwd},
        {"lost_bwd", s->lost_bwd},
        {"lost_undirected", s->lost_undirected},
        {"unknown", s->unknown},
        {"late", s->late},
        {"duplicates", s->duplicate_fwd + s->duplicate_bwd},
        {"duplicate_fwd", s->duplicate_fwd},
        {"duplicate_bwd", s->duplicate_bwd},
        {"reordered_fwd", s->reordered_fwd},
        {"reordered_bwd", s->reordered_bwd},
        {"send_errors", s->send_errors},
    };
    static const char *const names[4] = {"t1", "t2", "t3", "t4"};
    cJSON *o = cJSON_CreateObject();
    cJSON *stamps;
    char address[VALUE_TEXT_SIZE];
    char *text;

    cJSON_AddStringToObject(o, "address", value_format_address(&p->to, address, sizeof address));
    cJSON_AddStringToObject(o, "protocol", protocol_names[p->protocol]);
    cJSON_AddNumberToObject(o, "port", p->protocol == SENDER_ICMP ? 0 : p->port);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        cJSON_AddNumberToObject(o, counts[i].name, (double)counts[i].value);
    }
    cJSON_AddItemToObject(o, "rt_ns", delay_object(&s->delay[DIR_RT]));
    cJSON_AddItemToObject(o, "fwd_ns", delay_object(&s->delay[DIR_FWD]));
    cJSON_AddItemToObject(o, "bwd_ns", delay_object(&s->delay[DIR_BWD]));
    stamps = cJSON_AddObjectToObject(o, "timestamps");
    for (unsigned i = 0; i < 4; i++) {
        cJSON *t = cJSON_AddObjectToObject(stamps, names[i]);
        cJSON_AddStringToObject(t, "worst", s->received ? ts_source_name(p->worst[i]) : "none");
        cJSON_AddNumberToObject(t, "kernel", (double)p->kernel[i]);
    }
    cJSON_AddItemToObject(o, "far", far_object(p));
    cJSON_AddItemToObject(o, "clock", clock_object(true, p->clock.synchronised, p->clock.error_ns));
    cJSON_AddItemToObject(o, "reflector_clock",
                          clock_object(p->heard, p->far_synchronised, p->far_error_ns));
    text = cJSON_PrintUnformatted(o);
    if (text) {
        puts(text);
    }
    cJSON_free(text);
    cJSON_Delete(o);
}

static void
print_delay(const char *name, const struct delay *d)
{
    int64_t values[6];
    static const char *const names[6] = {"min", "mean", "p50", "p95", "p99", "max"};
    char text[24];

    if (d->count == 0) {
        return;
    }
    values[0] = d->min_ns;
    values[1] = d->sum_ns / (int64_t)d->count;
    values[2] = quantile(d, 500000);
    values[3] = quantile(d, 950000);
    values[4] = quantile(d, 990000);
    values[5] = d->max_ns;
    printf("%-4s", name);
    for (unsigned i = 0; i < 6; i++) {
        printf("  %s %s", names[i], span_format(span_of_ns(values[i]), text, sizeof text));
    }
    putchar('\n');
}

static const char *
variation(const struct delay *d, char *buf, size_t size)
{
    return span_format(span_of_ns(quantile(d, 990000) - d->min_ns), buf, size);
}

static void
print_one_way(const struct ping *p)
{
    const struct summary *s = &p->total;
    char bound[24], other[24];

    if (p->key.rt_only) {
        return; /* Nobody asked for it. */
    }
    if (s->delay[DIR_FWD].count == 0) {
        puts("one-way delay: the reflector's times cannot be used");
        return;
    }
    if (!p->clock.synchronised || !p->far_synchronised ||
        p->far_error_ns > (uint64_t)INT64_MAX / 2 || p->clock.error_ns > (uint64_t)INT64_MAX / 2) {
        printf("one-way delay: not told, for %s not synchronised (--json has the bare numbers)\n",
               p->clock.synchronised ? "the reflector's clock is" : "this host's clock is");
        printf("one-way variation (p99 - min): fwd %s, bwd %s\n",
               variation(&s->delay[DIR_FWD], bound, sizeof bound),
               variation(&s->delay[DIR_BWD], other, sizeof other));
        return;
    }
    print_delay("fwd", &s->delay[DIR_FWD]);
    print_delay("bwd", &s->delay[DIR_BWD]);
    printf("      one-way delays are within %s\n",
           span_format(span_of_ns((int64_t)(p->clock.error_ns + p->far_error_ns)), bound,
                       sizeof bound));
}

static void
print_text(const struct ping *p)
{
    const struct summary *s = &p->total;

    printf("\n%" PRIu64 " sent, %" PRIu64 " received, %" PRIu64 " lost", s->sent, s->received,
           lost(s));
    if (lost(s) > 0) {
        printf(" (%" PRIu64 " there, %" PRIu64 " back, %" PRIu64 " undirected)", s->lost_fwd,
               s->lost_bwd, s->lost_undirected);
    }
    printf(", %" PRIu64 " duplicates", s->duplicate_fwd + s->duplicate_bwd);
    if (s->unknown > 0) {
        printf(", %" PRIu64 " unanswered at the end", s->unknown);
    }
    if (s->send_errors > 0) {
        printf(", %" PRIu64 " not sent", s->send_errors);
    }
    putchar('\n');
    print_delay("rt", &s->delay[DIR_RT]);
    if (s->received > 0) {
        print_one_way(p);
        printf("timestamps: T1 %" PRIu64 ", T2 %" PRIu64 ", T3 %" PRIu64 ", T4 %" PRIu64
               " of %" PRIu64 " by the kernel\n",
               p->kernel[0], p->kernel[1], p->kernel[2], p->kernel[3], s->received);
    }
    printf("clock: %s", p->clock.synchronised ? "synchronised" : "not synchronised");
    if (p->clock.synchronised && p->clock.error_ns <= (uint64_t)INT64_MAX) {
        char bound[24];
        printf(", within %s",
               span_format(span_of_ns((int64_t)p->clock.error_ns), bound, sizeof bound));
    }
    if (p->heard) {
        printf("; the reflector's: %s", p->far_synchronised ? "synchronised" : "not synchronised");
    }
    putchar('\n');
}

static int
verdict(const struct ping *p)
{
    if (p->total.sent == 0) {
        fprintf(stderr, "plumbline ping: nothing was sent%s%s\n", p->error ? ": " : "",
                p->error ? strerror(p->error) : "");
        return EXIT_UNAVAILABLE;
    }
    return lost(&p->total) > 0 || p->total.received == 0 ? EXIT_BAD : EXIT_GOOD;
}

int
cli_ping(int argc, char **argv)
{
    static struct ping ping = {.count = 10,
                               .size = 128,
                               .port = STAMP_PORT,
                               .interval = {.ns = NS_PER_S},
                               .tmax = {.ns = 2 * NS_PER_S},
                               .epoll = -1,
                               .far_error_ns = UINT64_MAX,
                               .worst = {TS_HARDWARE, TS_HARDWARE, TS_HARDWARE, TS_HARDWARE}};
    const struct sigaction action = {.sa_handler = on_signal};
    struct ping *p = &ping;
    int err = take_arguments(p, argc, argv);

    if (err) {
        return err < 0 ? EXIT_GOOD : err;
    }
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    err = open_all(p);
    if (err) {
        fprintf(stderr, "plumbline ping: %s\n", strerror(-err));
        close_all(p);
        return EXIT_UNAVAILABLE;
    }
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    run(p);
    if (p->json) {
        print_json(p);
    } else {
        print_text(p);
    }
    err = verdict(p);
    close_all(p);
    return err;
}
