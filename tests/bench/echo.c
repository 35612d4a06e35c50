/* echo.c - the least that a stamping reflector can be: sends each datagram back
 * as it came and collects the kernel's transmit stamps.
 *
 * The peer of reflector.cpu_us: same batches, same socket options, no protocol.
 * Ends on SIGTERM or SIGINT and prints packets and stamps. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64, SIZE_MAX_OCTETS = 9000, CONTROL = 256 };

static volatile sig_atomic_t stopping;

static void
on_signal(int number)
{
    (void)number;
    stopping = 1;
}

struct batch {
    struct mmsghdr messages[BATCH];
    struct iovec parts[BATCH];
    struct sockaddr_in peers[BATCH];
    uint8_t control[BATCH][CONTROL];
    uint8_t bytes[BATCH][SIZE_MAX_OCTETS];
};

static void
prepare(struct batch *b, bool with_control)
{
    for (int i = 0; i < BATCH; i++) {
        b->parts[i] = (struct iovec){b->bytes[i], SIZE_MAX_OCTETS};
        b->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &b->peers[i],
            .msg_namelen = sizeof b->peers[i],
            .msg_iov = &b->parts[i],
            .msg_iovlen = 1,
            .msg_control = with_control ? b->control[i] : NULL,
            .msg_controllen = with_control ? CONTROL : 0,
        };
    }
}

/* The stamps are read and counted, as whoever uses them would. */
static uint64_t
drain_stamps(int fd, struct batch *b)
{
    uint64_t stamps = 0;
    int n;

    do {
        prepare(b, true);
        n = recvmmsg(fd, b->messages, BATCH, MSG_ERRQUEUE | MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) {
            struct msghdr *m = &b->messages[i].msg_hdr;
            for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
                stamps += c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPING;
            }
        }
    } while (n == BATCH);
    return stamps;
}

static int
open_socket(uint16_t port)
{
    const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
    int flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_TX_SOFTWARE |
                SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
    int room = 4 << 20, on = 1;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&at, sizeof at) < 0) {
        perror("echo: socket");
        exit(3);
    }
    return fd;
}

int
main(int argc, char **argv)
{
    static struct batch in, stamps_in;
    const struct sigaction action = {.sa_handler = on_signal};
    uint64_t packets = 0, stamps = 0;

    if (argc != 2) {
        fputs("usage: echo PORT\n", stderr);
        return 2;
    }
    int fd = open_socket((uint16_t)strtoul(argv[1], NULL, 10));
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    while (!stopping) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 200) <= 0) {
            continue;
        }
        stamps += drain_stamps(fd, &stamps_in);
        prepare(&in, true);
        int n = recvmmsg(fd, in.messages, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < n; i++) {
            in.parts[i].iov_len = in.messages[i].msg_len;
            in.messages[i].msg_hdr.msg_control = NULL;
            in.messages[i].msg_hdr.msg_controllen = 0;
        }
        if (n > 0) {
            int sent = sendmmsg(fd, in.messages, (unsigned)n, 0);
            packets += sent > 0 ? (uint64_t)sent : 0;
            stamps += drain_stamps(fd, &stamps_in);
        }
    }
    stamps += drain_stamps(fd, &stamps_in);
    printf("%llu packets, %llu stamps\n", (unsigned long long)packets, (unsigned long long)stamps);
    close(fd);
    return 0;
}
