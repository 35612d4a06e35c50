/* capture.c - when test packets passed an interface, by the kernel's stamps: the
 * truth that accuracy.* compares with.
 *
 * Prints a line a packet: time in ns, "request" or "reply", sequence number.
 * Understands STAMP, irtt (no HMAC) and ICMP echo.  Ends on SIGTERM/SIGINT.
 *
 * The kernel stamps a packet that leaves, hands the capture its copy, and only then gives the
 * packet to the driver: what the copy costs is in every round-trip time that we compare.  So this
 * is a plain packet socket that nobody waits at, emptied from time to time: 3.2 us between the
 * capture's stamp and the driver's, where the ring of libpcap takes 5.7 to 7.2 (p50, AMD EPYC, 200
 * packets a second).
 *
 * Tried beside it and dearer or no better (p50 of the round-trip error in us, in the same
 * calls, 5 to 8 s each): a TPACKET_V2 ring that nobody waits at 8.7-10.1 against 4.9-6.0; emptied
 * every 4 ms 4.6-5.5 against 4.3-4.5; every 200 ms 5.4-5.7 against 4.9-6.0; a BPF program at tcx
 * egress that stamps last, with the socket for what comes in only, 5.8-6.1 against 4.8-5.0.  The
 * last copies nothing of what leaves to a socket, but stamps earlier on the way; 3.5 to 3.9 us lie
 * between its stamp and that of the sender's driver, so the way itself may be most of the distance.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

enum {
    IPV4_HEADER_MIN = 20,
    IPV4_PROTOCOL = 9,
    IRTT_OPEN_OR_CLOSE = 0x05,
    IRTT_REPLY = 0x02,
    SNAPLEN = 128,
    QUEUE_OCTETS = 32 << 20, /* Some 30,000 packets. */
    EMPTIED_EVERY_NS = 20 * 1000 * 1000,
};

enum dialect { DIALECT_STAMP, DIALECT_IRTT, DIALECT_ICMP };

struct capture {
    enum dialect dialect;
    uint16_t port;
};

static volatile sig_atomic_t told_to_end;

static void
on_signal(int number)
{
    (void)number;
    told_to_end = 1;
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
    uint16_t destination = rd_be16(&r);
    if (source != c->port && destination != c->port) {
        return false;
    }
    rd_skip(&r, 4);
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
on_packet(const struct capture *c, const struct timespec *at, const uint8_t *bytes, size_t size)
{
    struct rd r = rd_of(bytes, size);
    bool reply;
    uint32_t sequence;

    rd_skip(&r, ETH_HLEN - 2);
    uint16_t type = rd_be16(&r);
    size_t header = (size_t)(rd_u8(&r) & 0x0f) * 4;
    rd_skip(&r, IPV4_PROTOCOL - 1);
    uint8_t protocol = rd_u8(&r);
    rd_skip(&r, header > IPV4_HEADER_MIN ? header - IPV4_PROTOCOL - 1
                                         : IPV4_HEADER_MIN - IPV4_PROTOCOL - 1);
    if (rd_ok(&r) && type == ETH_P_IP &&
        protocol == (c->dialect == DIALECT_ICMP ? IPPROTO_ICMP : IPPROTO_UDP) &&
        look(c, r, &reply, &sequence)) {
        printf("%" PRId64 "\t%s\t%" PRIu32 "\n",
               (int64_t)at->tv_sec * 1000000000 + (int64_t)at->tv_nsec, reply ? "reply" : "request",
               sequence);
    }
}

/* All that is there.  Whether the socket could be read. */
static bool
empty(int fd, const struct capture *c)
{
    uint8_t bytes[SNAPLEN];
    char control[CMSG_SPACE(sizeof(struct timespec)) + 64];
    ssize_t got;

    for (;;) {
        struct iovec part = {bytes, sizeof bytes};
        struct msghdr m = {.msg_iov = &part,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        struct timespec at = {0};
        got = recvmsg(fd, &m, MSG_DONTWAIT);
        if (got < 0) {
            return errno == EAGAIN || errno == EINTR;
        }
        for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
            if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_TIMESTAMPNS) {
                memcpy(&at, CMSG_DATA(h), sizeof at);
            }
        }
        on_packet(c, &at, bytes, (size_t)got);
    }
}

/* All that passes, in and out; -1 with errno.  Without a filter in the kernel, whose run alone
 * takes another microsecond of each packet: nothing else passes here. */
static int
open_capture(const char *interface)
{
    const int on = 1, octets = QUEUE_OCTETS;
    struct sockaddr_ll where = {.sll_family = AF_PACKET,
                                .sll_protocol = htons(ETH_P_ALL),
                                .sll_ifindex = (int)if_nametoindex(interface)};

    /* No protocol until it is bound: nothing of another interface comes in. */
    int fd = where.sll_ifindex ? socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0) : -1;
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets) ||
                    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) ||
                    bind(fd, (const struct sockaddr *)&where, sizeof where))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* What to look for, of the words of the command line; c is for ICMP. */
static bool
capture_parse(struct capture *c, int argc, char **argv)
{
    unsigned port = 0;

    if (argc == 3 && strcmp(argv[2], "icmp") == 0) {
        return true;
    }
    if (argc != 4) {
        return false;
    }
    for (const char *d = argv[3]; *d >= '0' && *d <= '9' && port < 65536; d++) {
        port = port * 10 + (unsigned)(*d - '0');
    }
    c->dialect = strcmp(argv[2], "irtt") == 0 ? DIALECT_IRTT : DIALECT_STAMP;
    c->port = (uint16_t)port;
    return port > 0 && port < 65536;
}

int
main(int argc, char **argv)
{
    const struct sigaction action = {.sa_handler = on_signal};
    const struct timespec pause = {0, EMPTIED_EVERY_NS};
    struct tpacket_stats stats;
    socklen_t size = sizeof stats;
    struct capture c = {.dialect = DIALECT_ICMP};
    bool readable, last;

    if (!capture_parse(&c, argc, argv)) {
        fputs("usage: capture INTERFACE stamp|irtt PORT\n       capture INTERFACE icmp\n", stderr);
        return 2;
    }
    int fd = open_capture(argv[1]);
    if (fd < 0) {
        fprintf(stderr, "capture: %s: %s\n", argv[1], strerror(errno));
        return 3;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    fputs("ready\n", stderr);
    do {
        last = told_to_end;
        readable = empty(fd, &c);
        if (!last && readable) {
            nanosleep(&pause, NULL);
        }
    } while (!last && readable);
    if (!readable) {
        fprintf(stderr, "capture: %s: %s\n", argv[1], strerror(errno));
    }
    if (getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0 && stats.tp_drops > 0) {
        fprintf(stderr, "capture: %u packets were dropped\n", stats.tp_drops);
    }
    close(fd);
    return readable ? 0 : 3;
}
