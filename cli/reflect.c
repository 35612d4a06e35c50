/* reflect.c - `plumbline reflect`: the other end of a test, in the foreground. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli.h"
#include "clockstate.h"
#include "reflector.h"
#include "value.h"

static const char help[] =
    "usage: plumbline reflect [OPTION ...]\n"
    "\n"
    "Answers STAMP and TWAMP-Light test packets until Ctrl-C, then prints what came.\n"
    "\n"
    "  --port PORT       to listen on (862; under 1024 needs privileges)\n"
    "  --address ADDRESS to listen on (all)\n"
    "  --allow PREFIX    answer only these, such as 192.0.2.0/24 (may be given again; without\n"
    "                    it anybody is answered)\n"
    "  --json            print one JSON object at the end instead of text\n"
    "  --help            this text\n"
    "\n"
    "Exit status: 0 ended by a signal, 2 wrong usage, 3 the port cannot be opened.\n"
    "\n"
    "Examples:\n"
    "  plumbline reflect --allow 192.0.2.0/24 --allow 198.51.100.7\n"
    "  plumbline reflect --port 8620 --json\n";

enum { ALLOW_MAX = 1024 };

struct reflect {
    struct in_addr address;
    uint16_t port;
    bool json;
    struct reflector_peer peers[ALLOW_MAX];
    size_t peer_count;
};

static volatile sig_atomic_t interrupted;

static void
on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* "ADDRESS" or "ADDRESS/BITS". */
static bool
parse_prefix(const char *text, struct reflector_peer *out)
{
    *out = (struct reflector_peer){.remote_bits = 32};
    return value_parse_ipv4_prefix(text, &out->remote, &out->remote_bits);
}

static int
wrong(const char *what, const char *value, const char *expected)
{
    fprintf(stderr, "plumbline reflect: %s '%s': expected %s\n", what, value, expected);
    return EXIT_USAGE;
}

static int
take_option(struct reflect *r, int option, const char *text)
{
    uint64_t n;

    switch (option) {
    case 'p':
        if (!value_parse_unsigned(text, &n) || n == 0 || n > UINT16_MAX) {
            return wrong("--port", text, "a number from 1 to 65535");
        }
        r->port = (uint16_t)n;
        return EXIT_GOOD;
    case 'a':
        return value_parse_ipv4(text, &r->address) ? EXIT_GOOD
                                                   : wrong("--address", text, "an IPv4 address");
    case 'A':
        if (r->peer_count == ALLOW_MAX) {
            return wrong("--allow", text, "at most 1024 prefixes");
        }
        return parse_prefix(text, &r->peers[r->peer_count++])
                   ? EXIT_GOOD
                   : wrong("--allow", text, "an IPv4 prefix such as 192.0.2.0/24");
    case 'j':
        r->json = true;
        return EXIT_GOOD;
    default:
        fputs("`plumbline reflect --help` shows the options\n", stderr);
        return EXIT_USAGE;
    }
}

static int
take_arguments(struct reflect *r, int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},  {"address", required_argument, NULL, 'a'},
        {"allow", required_argument, NULL, 'A'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "p:h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return -1;
        }
        int err = take_option(r, option, optarg);
        if (err) {
            return err;
        }
    }
    if (optind != argc) {
        return wrong("argument", argv[optind], "options only");
    }
    if (r->peer_count == 0) {
        r->peers[r->peer_count++] = (struct reflector_peer){.remote_bits = 0};
    }
    return EXIT_GOOD;
}

static void
run(struct reflector *r)
{
    struct span told = {.ns = 0};

    while (!interrupted) {
        struct pollfd p = {.fd = reflector_fd(r), .events = POLLIN};
        struct span mono = mono_now();
        if (told.ns == 0 || mono.ns - told.ns > NS_PER_S) {
            struct clockstate c;
            told = mono;
            clockstate_read(&c);
            reflector_set_error(
                r, (struct stamp_error){.synchronised = c.synchronised, .error_ns = c.error_ns});
        }
        if (poll(&p, 1, 500) > 0) {
            reflector_receive(r, (p.revents & POLLIN) != 0, (p.revents & POLLERR) != 0);
        }
    }
}

static void
print_counters(const struct reflector *r, bool json)
{
    struct counter_group g;
    cJSON *o = json ? cJSON_CreateObject() : NULL;

    reflector_counters(r, &g);
    /* Requests and replies first: they are last in the table. */
    for (unsigned i = 0; i < g.count; i++) {
        unsigned k = (i + REFLECTOR_BAD) % g.count;
        uint64_t value = counter_get(&g.counters[k]);
        if (o) {
            cJSON_AddNumberToObject(o, g.names[k], (double)value);
        } else if (value > 0 || k >= REFLECTOR_BAD) {
            printf("%-20s %" PRIu64 "\n", g.names[k], value);
        }
    }
    if (o) {
        cJSON_AddNumberToObject(o, "sessions", reflector_sessions(r));
        char *text = cJSON_PrintUnformatted(o);
        puts(text ? text : "{}");
        cJSON_free(text);
        cJSON_Delete(o);
    }
}

int
cli_reflect(int argc, char **argv)
{
    static struct reflect c = {.port = STAMP_PORT};
    const struct sigaction action = {.sa_handler = on_signal};
    const struct reflector_config config = {.sessions = 65536};
    struct tstamp_io *io;
    struct reflector *r;
    int err = take_arguments(&c, argc, argv);

    if (err) {
        return err < 0 ? EXIT_GOOD : err;
    }
    io = tstamp_io_new();
    r = io ? reflector_new(&config, io) : NULL;
    err = r ? reflector_allow(r, c.peers, c.peer_count) : -ENOMEM;
    if (!err) {
        err = reflector_listen(r, c.address, c.port);
    }
    if (err) {
        fprintf(stderr, "plumbline reflect: port %u: %s\n", c.port, strerror(-err));
        reflector_free(r);
        tstamp_io_free(io);
        return EXIT_UNAVAILABLE;
    }
    (void)tstamp_warm_up(io);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    fprintf(stderr, "answering on port %u; Ctrl-C ends it\n", c.port);
    run(r);
    print_counters(r, c.json);
    reflector_free(r);
    tstamp_io_free(io);
    return EXIT_GOOD;
}
