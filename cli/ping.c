/* ping.c - `plumbline ping`: a one-shot test of a path to any STAMP or
 * TWAMP-Light reflector, or by ICMP echo, without a server.
 *
 * What is asked for is read here, the test is ping_run.h, what came of it ping_result.h. */
#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "cli.h"
#include "ping_result.h"
#include "ping_run.h"
#include "stamp.h"
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
take_far_option(struct ping_run *p, int option, const char *text)
{
    uint64_t n = 0;
    int err;

    switch (option) {
    case 'P':
        for (unsigned i = 0; i < 3; i++) {
            if (strcmp(text, ping_run_protocols[i]) == 0) {
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
take_option(struct ping_run *p, int option, const char *text)
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
resolve(struct ping_run *p, const char *name)
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
take_arguments(struct ping_run *p, int argc, char **argv)
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

int
cli_ping(int argc, char **argv)
{
    static struct ping_run ping = {.count = 10,
                                   .size = 128,
                                   .port = STAMP_PORT,
                                   .interval = {.ns = NS_PER_S},
                                   .tmax = {.ns = 2 * NS_PER_S},
                                   .epoll = -1,
                                   .far_error_ns = UINT64_MAX,
                                   .worst = {TS_HARDWARE, TS_HARDWARE, TS_HARDWARE, TS_HARDWARE}};
    struct ping_run *p = &ping;
    int err = take_arguments(p, argc, argv);

    if (err) {
        return err < 0 ? EXIT_GOOD : err;
    }
    (void)prctl(PR_SET_TIMERSLACK, 1UL);
    err = ping_run_open(p);
    err = err ? err : ping_run_go(p);
    if (err) {
        fprintf(stderr, "plumbline ping: %s\n", strerror(-err));
        ping_run_close(p);
        return EXIT_UNAVAILABLE;
    }
    if (p->json) {
        ping_result_print_json(p);
    } else {
        ping_result_print_text(p);
    }
    err = ping_result_verdict(p);
    ping_run_close(p);
    return err;
}
