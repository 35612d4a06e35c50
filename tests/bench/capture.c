/* capture.c - when test packets passed an interface, by the kernel's stamps: the
 * truth that accuracy.* compares with.
 *
 * Prints a line a packet: time in ns, "request" or "reply", sequence number.
 * Understands STAMP, irtt (no HMAC) and ICMP echo.  Ends on SIGTERM/SIGINT. */
#include <pcap/pcap.h>

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "wire.h"

enum { IPV4_HEADER_MIN = 20, ETHERNET_HEADER = 14, IRTT_OPEN_OR_CLOSE = 0x05, IRTT_REPLY = 0x02 };

enum dialect { DIALECT_STAMP, DIALECT_IRTT, DIALECT_ICMP };

struct capture {
    enum dialect dialect;
    uint16_t port;
};

static pcap_t *handle;

static void
on_signal(int number)
{
    (void)number;
    pcap_breakloop(handle);
}

/* Whether this is a test packet; which, and which way. */
static bool
look(const struct capture *c, struct rd r, bool *reply, uint32_t *sequence)
{
    if (c->dialect == DIALECT_ICMP) {
        uint8_t type = rd_u8(&r);
        rd_skip(&r, 5);
        *reply = type == 0;
        *sequence = rd_be16(&r);
        return rd_ok(&r) && (type == 0 || type == 8);
    }
    uint16_t source = rd_be16(&r);
    rd_skip(&r, 6);
    *reply = source == c->port;
    if (c->dialect == DIALECT_STAMP) {
        rd_skip(&r, *reply ? 24 : 0);
        *sequence = rd_be32(&r);
        return rd_ok(&r);
    }
    rd_skip(&r, 3);
    uint8_t flags = rd_u8(&r);
    rd_skip(&r, 8);
    *sequence = rd_le32(&r);
    return rd_ok(&r) && !(flags & IRTT_OPEN_OR_CLOSE) && *reply == !!(flags & IRTT_REPLY);
}

static void
on_packet(u_char *aux, const struct pcap_pkthdr *h, const u_char *bytes)
{
    const struct capture *c = (const struct capture *)(const void *)aux;
    struct rd r = rd_of(bytes, h->caplen);
    bool reply;
    uint32_t sequence;

    rd_skip(&r, ETHERNET_HEADER);
    size_t header = (size_t)(rd_u8(&r) & 0x0f) * 4;
    rd_skip(&r, header > 0 ? header - 1 : IPV4_HEADER_MIN);
    if (rd_ok(&r) && look(c, r, &reply, &sequence)) {
        /* With nanosecond precision tv_usec holds nanoseconds. */
        printf("%" PRId64 "\t%s\t%" PRIu32 "\n",
               (int64_t)h->ts.tv_sec * 1000000000 + (int64_t)h->ts.tv_usec,
               reply ? "reply" : "request", sequence);
    }
}

static pcap_t *
open_capture(const char *interface, const char *filter, char *error)
{
    struct bpf_program program;
    pcap_t *p = pcap_create(interface, error);

    if (!p) {
        return NULL;
    }
    if (pcap_set_snaplen(p, 128) || pcap_set_buffer_size(p, 32 << 20) ||
        pcap_set_immediate_mode(p, 0) || pcap_set_timeout(p, 100) ||
        pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO) || pcap_activate(p) ||
        pcap_compile(p, &program, filter, 1, PCAP_NETMASK_UNKNOWN) || pcap_setfilter(p, &program)) {
        snprintf(error, PCAP_ERRBUF_SIZE, "%s", pcap_geterr(p));
        pcap_close(p);
        return NULL;
    }
    pcap_freecode(&program);
    return p;
}

int
main(int argc, char **argv)
{
    const struct sigaction action = {.sa_handler = on_signal};
    char error[PCAP_ERRBUF_SIZE], filter[64];
    struct pcap_stat stat;
    struct capture c = {.dialect = DIALECT_ICMP};

    if (argc < 3 || (strcmp(argv[2], "icmp") != 0 && argc != 4)) {
        fputs("usage: capture INTERFACE stamp|irtt PORT\n       capture INTERFACE icmp\n", stderr);
        return 2;
    }
    if (strcmp(argv[2], "icmp") == 0) {
        snprintf(filter, sizeof filter, "icmp");
    } else {
        unsigned port;
        c.dialect = strcmp(argv[2], "irtt") == 0 ? DIALECT_IRTT : DIALECT_STAMP;
        port = 0;
        for (const char *d = argv[3]; *d >= '0' && *d <= '9' && port < 65536; d++) {
            port = port * 10 + (unsigned)(*d - '0');
        }
        c.port = (uint16_t)port;
        snprintf(filter, sizeof filter, "udp port %u", port);
    }
    handle = open_capture(argv[1], filter, error);
    if (!handle) {
        fprintf(stderr, "capture: %s: %s\n", argv[1], error);
        return 3;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    fputs("ready\n", stderr);
    pcap_loop(handle, -1, on_packet, (u_char *)(void *)&c);
    if (pcap_stats(handle, &stat) == 0 && stat.ps_drop) {
        fprintf(stderr, "capture: %u packets were dropped\n", stat.ps_drop);
    }
    pcap_close(handle);
    return 0;
}
