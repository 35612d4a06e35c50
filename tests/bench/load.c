/* load.c - a stream of STAMP requests for benchmarks of what answers them: many
 * sessions, a steady rate, groups of 200 us, replies counted and not looked at.
 *
 * Not a measurement: the sender under test is plumbline's own.  Prints "sent N
 * received M" at the end. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "nstime.h"
#include "stamp.h"
#include "stampauth.h"

enum { BATCH = 64, SESSIONS_MAX = 4096, OCTETS = 128, OCTETS_MAX = 256 };
#define GROUP_NS (200 * NS_PER_US)

struct load {
    struct sockaddr_in to, from;
    uint32_t sessions, pps, seconds;
    uint32_t sequence[SESSIONS_MAX];
    uint32_t next;
    uint64_t sent, received;
    uint32_t octets;
    struct stampauth_ring *keys; /* NULL: not authenticated. */
    int fd;
};

static void
make_request(const struct load *l, uint8_t *bytes, uint32_t sequence, uint16_t ssid)
{
    struct stamp_request q = {.sequence = sequence,
                              .t1 = stamp_time_format(instant_now(), false),
                              .error = 0x0001,
                              .ssid = ssid,
                              .authenticated = l->keys != NULL,
                              .size = l->octets};

    stamp_request_format(&q, bytes);
    if (l->keys) {
        stampauth_sign(stampauth_sender(l->keys), bytes, l->octets, true);
    }
}

static void
send_group(struct load *l, uint32_t count)
{
    static uint8_t bytes[BATCH][OCTETS_MAX];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];

    while (count > 0) {
        uint32_t n = count < BATCH ? count : BATCH;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t s = l->next++ % l->sessions;
            make_request(l, bytes[i], l->sequence[s]++, (uint16_t)(s + 1));
            parts[i] = (struct iovec){bytes[i], l->octets};
            messages[i].msg_hdr = (struct msghdr){.msg_name = &l->to,
                                                  .msg_namelen = sizeof l->to,
                                                  .msg_iov = &parts[i],
                                                  .msg_iovlen = 1};
        }
        int done = sendmmsg(l->fd, messages, n, 0);
        l->sent += done > 0 ? (uint64_t)done : 0;
        count -= n;
    }
}

static void
receive_all(struct load *l)
{
    static uint8_t bytes[BATCH][256];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    int n;

    do {
        for (int i = 0; i < BATCH; i++) {
            parts[i] = (struct iovec){bytes[i], sizeof bytes[i]};
            messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
        }
        n = recvmmsg(l->fd, messages, BATCH, MSG_DONTWAIT, NULL);
        l->received += n > 0 ? (uint64_t)n : 0;
    } while (n == BATCH);
}

static void
run(struct load *l)
{
    struct span begin = mono_now();
    uint64_t total = (uint64_t)l->pps * l->seconds, due = 0;

    while (due < total) {
        int64_t next = begin.ns + (int64_t)(due * (uint64_t)NS_PER_S / l->pps);
        int64_t wake = (next - begin.ns + GROUP_NS - 1) / GROUP_NS * GROUP_NS + begin.ns;
        struct timespec ts = instant_to_timespec(instant_of_ns(wake));
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
        uint64_t until = (uint64_t)(mono_now().ns - begin.ns) * l->pps / (uint64_t)NS_PER_S;
        until = until < total ? until : total;
        if (until > due) {
            send_group(l, (uint32_t)(until - due));
            due = until;
        }
        receive_all(l);
    }
    for (int i = 0; i < 50; i++) {
        usleep(10000);
        receive_all(l);
    }
}

static struct stampauth_ring *
keys_of(const char *path)
{
    struct stampauth_secret key, none = {.size = 0};

    if (stampauth_read(path, &key)) {
        fprintf(stderr, "load: %s: no key\n", path);
        exit(2);
    }
    return stampauth_new(STAMPAUTH_PACKET, &key, &none, false);
}

static void
usage(void)
{
    fputs("usage: load --to ADDRESS --port PORT [--from ADDRESS] [--sessions N] [--pps N] "
          "[--seconds N] [--octets N] [--key FILE]\n",
          stderr);
    exit(2);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"to", required_argument, NULL, 't'},
                                            {"port", required_argument, NULL, 'p'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"sessions", required_argument, NULL, 'n'},
                                            {"pps", required_argument, NULL, 'r'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"octets", required_argument, NULL, 'o'},
                                            {"key", required_argument, NULL, 'k'},
                                            {NULL, 0, NULL, 0}};
    static struct load l = {.to.sin_family = AF_INET,
                            .from = {.sin_family = AF_INET, .sin_port = 0},
                            .sessions = 10,
                            .pps = 10000,
                            .seconds = 5,
                            .octets = OCTETS};
    int c, room = 4 << 20;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 't':
            if (inet_pton(AF_INET, optarg, &l.to.sin_addr) != 1) {
                usage();
            }
            break;
        case 'f':
            if (inet_pton(AF_INET, optarg, &l.from.sin_addr) != 1) {
                usage();
            }
            break;
        case 'p':
            l.to.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10));
            break;
        case 'n':
            l.sessions = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'r':
            l.pps = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 's':
            l.seconds = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'o':
            l.octets = (uint32_t)strtoul(optarg, NULL, 10);
            break;
        case 'k':
            l.keys = keys_of(optarg);
            break;
        default:
            usage();
        }
    }
    if (l.octets < STAMP_SIZE_AUTH || l.octets > OCTETS_MAX || !l.to.sin_port || !l.sessions ||
        l.sessions > SESSIONS_MAX || !l.pps || !l.seconds) {
        usage();
    }
    prctl(PR_SET_TIMERSLACK, 1);
    l.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (l.fd < 0 || setsockopt(l.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0 ||
        bind(l.fd, (const struct sockaddr *)&l.from, sizeof l.from) < 0) {
        perror("load: socket");
        return 3;
    }
    run(&l);
    printf("sent %llu received %llu\n", (unsigned long long)l.sent, (unsigned long long)l.received);
    close(l.fd);
    return 0;
}
