/* tstamp.c - sockets with kernel timestamps, in batches. */
#include "tstamp.h"

#include <assert.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/net_tstamp.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_TIMESTAMPING
#define SO_TIMESTAMPING 37
#endif

const char *const tstamp_count_names[TSTAMP_COUNTS] = {
    "kernel_drops", "rx_unstamped", "tx_stamp_missing", "tx_stamp_forgotten", "tx_stamp_unknown",
    "tx_stamp_bad", "send_errors",  "tx_id_resets",     "tx_stamps_given_up",
};

enum {
    CONTROL_RX = 256,
    CONTROL_TX4 = CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int)),
    CONTROL_TX6 = CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)),
    CONTROL_TX = CONTROL_TX6,
    CONTROL_ERR = 256,
    GIVE_UP_SENDS = 32,
};

#define GIVE_UP_AFTER NS_PER_S
#define RETRY_AFTER (60 * NS_PER_S)

/* An address as the kernel has it. */
union name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct tstamp_io {
    struct mmsghdr rx[TSTAMP_BATCH], tx[TSTAMP_BATCH], err[TSTAMP_BATCH];
    struct iovec rx_iov[TSTAMP_BATCH], tx_iov[TSTAMP_BATCH];
    union name rx_name[TSTAMP_BATCH], tx_name[TSTAMP_BATCH];
    struct tstamp_packet packets[TSTAMP_BATCH];
    struct tstamp_out outs[TSTAMP_BATCH];
    _Alignas(16) uint8_t rx_control[TSTAMP_BATCH][CONTROL_RX];
    _Alignas(16) uint8_t tx_control[TSTAMP_BATCH][CONTROL_TX];
    _Alignas(16) uint8_t err_control[TSTAMP_BATCH][CONTROL_ERR];
    uint8_t *buffers; /* First the received, then the sent. */
};

struct tstamp_io *
tstamp_io_new(void)
{
    struct tstamp_io *io = (struct tstamp_io *)aligned_alloc(16, (sizeof *io + 15) / 16 * 16);

    if (!io) {
        return NULL;
    }
    memset(io, 0, sizeof *io);
    io->buffers = (uint8_t *)calloc(2 * TSTAMP_BATCH, TSTAMP_BUFFER);
    if (!io->buffers) {
        free(io);
        return NULL;
    }
    for (unsigned i = 0; i < TSTAMP_BATCH; i++) {
        io->rx_iov[i] = (struct iovec){.iov_base = io->buffers + (size_t)i * TSTAMP_BUFFER,
                                       .iov_len = TSTAMP_BUFFER};
        io->rx[i].msg_hdr = (struct msghdr){.msg_name = &io->rx_name[i],
                                            .msg_iov = &io->rx_iov[i],
                                            .msg_iovlen = 1,
                                            .msg_control = io->rx_control[i]};
        io->tx[i].msg_hdr = (struct msghdr){.msg_name = &io->tx_name[i],
                                            .msg_iov = &io->tx_iov[i],
                                            .msg_iovlen = 1,
                                            .msg_control = io->tx_control[i]};
        io->err[i].msg_hdr = (struct msghdr){.msg_control = io->err_control[i]};
    }
    return io;
}

void
tstamp_io_free(struct tstamp_io *io)
{
    if (io) {
        free(io->buffers);
        free(io);
    }
}

struct tstamp_packet *
tstamp_io_packets(struct tstamp_io *io)
{
    return io->packets;
}

struct tstamp_out *
tstamp_io_outs(struct tstamp_io *io)
{
    return io->outs;
}

uint8_t *
tstamp_io_buffer(struct tstamp_io *io, unsigned i)
{
    assert(i < TSTAMP_BATCH);
    return io->buffers + (size_t)(TSTAMP_BATCH + i) * TSTAMP_BUFFER;
}

/* Asks for the stamps.  Setting OPT_ID after it was clear lets ids begin at 0. */
static int
set_stamping(const struct tstamp *s, bool tx)
{
    unsigned flags = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;

    if (setsockopt(s->fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags) < 0) {
        return -errno;
    }
    if (tx) {
        flags |=
            SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
        if (setsockopt(s->fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags) < 0) {
            return -errno;
        }
    }
    return 0;
}

static int
set_flag(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

static void
set_buffer(int fd, int forced, int plain)
{
    if (set_flag(fd, SOL_SOCKET, forced, TSTAMP_SOCKET_BUFFER) < 0) {
        /* Not privileged: as much as the system allows. */
        (void)set_flag(fd, SOL_SOCKET, plain, TSTAMP_SOCKET_BUFFER);
    }
}

struct option {
    int level, name, value;
};

static int
set_all(int fd, const struct option *options, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int err = set_flag(fd, options[i].level, options[i].name, options[i].value);
        if (err) {
            return err;
        }
    }
    return 0;
}

/* What the family has: where a packet came to, its TTL and class; ours go with
 * TTL 255.  A packet that must stay whole goes out whatever the kernel believes
 * of the path's MTU, for that belief may be the fault that is looked for. */
static int
set_family(int fd, uint8_t family, bool whole)
{
    const struct option four[] = {
        {SOL_IP, IP_PKTINFO, 1},
        {SOL_IP, IP_RECVTTL, 1},
        {SOL_IP, IP_RECVTOS, 1},
        {SOL_IP, IP_TTL, 255},
        {SOL_IP, IP_MTU_DISCOVER, whole ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT},
    };
    const struct option six[] = {
        {SOL_IPV6, IPV6_RECVPKTINFO, 1},
        {SOL_IPV6, IPV6_RECVHOPLIMIT, 1},
        {SOL_IPV6, IPV6_RECVTCLASS, 1},
        {SOL_IPV6, IPV6_UNICAST_HOPS, 255},
        {SOL_IPV6, IPV6_MTU_DISCOVER, whole ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_DONT},
        {SOL_IPV6, IPV6_DONTFRAG, whole},
    };
    return family == 4 ? set_all(fd, four, sizeof four / sizeof four[0])
                       : set_all(fd, six, sizeof six / sizeof six[0]);
}

static int
set_options(struct tstamp *s, const struct tstamp_config *config)
{
    int err = set_family(s->fd, s->family, config->whole);

    if (!err && s->family == 6 && s->kind == TSTAMP_UDP) {
        err = set_flag(s->fd, SOL_IPV6, IPV6_V6ONLY, !s->dual);
    }
    if (!err && s->dual) {
        err = set_family(s->fd, 4, config->whole);
    }
    if (!err) {
        err = set_flag(s->fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
    }
    if (err) {
        return err;
    }
    set_buffer(s->fd, SO_RCVBUFFORCE, SO_RCVBUF);
    set_buffer(s->fd, SO_SNDBUFFORCE, SO_SNDBUF);
    if (config->shared) {
        (void)set_flag(s->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (config->interface) {
        err = tstamp_rebind(s, config->interface);
        if (err) {
            return err;
        }
    }
    s->tx = config->plain ? TS_USER : TS_KERNEL;
    if (s->tx == TS_KERNEL && set_stamping(s, true) < 0) {
        s->tx = TS_USER;
    }
    if (s->tx == TS_USER) {
        (void)set_stamping(s,
                           false); /* Without it each packet is stamped by the user and counted. */
        s->retry_at_ns = INT64_MAX;
    }
    return 0;
}

int
tstamp_rebind(struct tstamp *s, const char *interface)
{
    if (setsockopt(s->fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
                   (socklen_t)strlen(interface) + 1) < 0) {
        return -errno;
    }
    return 0;
}

/* The name of an address for a socket of 'family'; returns its size. */
static socklen_t
name_of(const struct address *a, uint16_t port, uint8_t family, union name *out)
{
    if (family == 4) {
        out->v4 =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = a->v4, .sin_port = htons(port)};
        return sizeof out->v4;
    }
    out->v6 = (struct sockaddr_in6){
        .sin6_family = AF_INET6, .sin6_addr = a->v6, .sin6_port = htons(port)};
    if (a->family == 4) {
        /* ::ffff:a.b.c.d, on a socket for both. */
        memset(out->v6.sin6_addr.s6_addr, 0, 10);
        memset(out->v6.sin6_addr.s6_addr + 10, 0xff, 2);
        memcpy(out->v6.sin6_addr.s6_addr + 12, &a->v4, sizeof a->v4);
    }
    return sizeof out->v6;
}

static struct address
address_of(const union name *n)
{
    if (n->any.sa_family == AF_INET) {
        return address_of_v4(n->v4.sin_addr);
    }
    return address_of_dual(&n->v6.sin6_addr);
}

static uint16_t
port_of(const union name *n)
{
    return ntohs(n->any.sa_family == AF_INET ? n->v4.sin_port : n->v6.sin6_port);
}

/* A raw socket hears every echo reply of the host: only those of our identifier. */
static int
filter_identifier(const struct tstamp *s)
{
    struct sock_filter four[] = {
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* Octets of the IP header. */
        BPF_STMT(BPF_LD | BPF_B | BPF_IND, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP_ECHOREPLY, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, s->port, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_filter six[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ICMP6_ECHO_REPLY, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, s->port, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    struct sock_fprog program = {.len = s->family == 4 ? sizeof four / sizeof four[0]
                                                       : sizeof six / sizeof six[0],
                                 .filter = s->family == 4 ? four : six};

    return setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno
                                                                                         : 0;
}

/* Takes an identifier of its own where none was asked for. */
static int
open_raw(struct tstamp *s, const struct tstamp_config *config)
{
    uint64_t mix = (uint64_t)mono_now().ns * UINT64_C(0x9e3779b97f4a7c15);

    s->raw = s->family == 4;
    s->port = config->port ? config->port : (uint16_t)(mix >> 48 | 1);
    return filter_identifier(s);
}

static int
open_socket(struct tstamp *s, const struct tstamp_config *config)
{
    int family = s->family == 4 ? AF_INET : AF_INET6;
    int protocol = config->kind == TSTAMP_UDP ? 0 : s->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
    int flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
    int err = 0;

    s->fd = socket(family, SOCK_DGRAM | flags, protocol);
    if (s->fd < 0 && config->kind == TSTAMP_ICMP && (errno == EACCES || errno == EPERM)) {
        /* Our group is not in net.ipv4.ping_group_range. */
        s->fd = socket(family, SOCK_RAW | flags, protocol);
        err = s->fd < 0 ? -errno : open_raw(s, config);
    } else if (s->fd < 0) {
        err = -errno;
    }
    return err;
}

static int
bind_socket(struct tstamp *s, const struct tstamp_config *config)
{
    union name name;
    socklen_t size = name_of(&config->address, config->port, s->family, &name);

    if (bind(s->fd, &name.any, size) < 0) {
        return -errno;
    }
    size = sizeof name;
    if (s->port == 0) {
        if (getsockname(s->fd, &name.any, &size) < 0) {
            return -errno;
        }
        s->port = port_of(&name);
    }
    return 0;
}

int
tstamp_open(struct tstamp *s, const struct tstamp_config *config, struct counter *counters)
{
    int err;

    assert(config->address.family == 4 || config->address.family == 6);
    *s = (struct tstamp){.counters = counters,
                         .fd = -1,
                         .family = config->address.family,
                         .kind = config->kind,
                         .dual = config->dual,
                         .flight_size = config->flight ? config->flight : TSTAMP_FLIGHT};
    assert(s->flight_size >= TSTAMP_FLIGHT_LEAST && (s->flight_size & (s->flight_size - 1)) == 0);
    err = open_socket(s, config);
    if (!err) {
        err = set_options(s, config);
    }
    if (!err) {
        err = bind_socket(s, config);
    }
    if (!err) {
        s->flight = (struct tstamp_flight *)calloc(s->flight_size, sizeof *s->flight);
        err = s->flight ? 0 : -ENOMEM;
    }
    if (err) {
        tstamp_close(s);
    }
    return err;
}

void
tstamp_close(struct tstamp *s)
{
    if (s->fd >= 0) {
        close(s->fd);
    }
    free(s->flight);
    s->fd = -1;
    s->flight = NULL;
}

void
tstamp_keep(const struct tstamp *s, struct tstamp_kept *out)
{
    *out = (struct tstamp_kept){.port = s->port,
                                .family = s->family,
                                .kind = s->kind,
                                .dual = s->dual,
                                .raw = s->raw,
                                .tx_kernel = s->tx == TS_KERNEL,
                                .tx_seen = s->tx_seen,
                                .flight_size = s->flight_size,
                                .oldest = s->oldest,
                                .next = s->next,
                                .drops = s->drops};
}

bool
tstamp_next_waiting(const struct tstamp *s, uint32_t *from, struct tstamp_waiting *out)
{
    for (uint32_t id = *from; id - s->oldest < s->next - s->oldest; id++) {
        const struct tstamp_flight *f = &s->flight[id % s->flight_size];
        if (f->user_ns != 0) {
            *out = (struct tstamp_waiting){.id = id, .cookie = f->cookie, .user_ns = f->user_ns};
            *from = id + 1;
            return true;
        }
    }
    return false;
}

static bool
can_keep(const struct tstamp_kept *k)
{
    return (k->family == 4 || k->family == 6) && k->flight_size >= TSTAMP_FLIGHT_LEAST &&
           k->flight_size <= TSTAMP_FLIGHT && (k->flight_size & (k->flight_size - 1)) == 0 &&
           k->next - k->oldest <= k->flight_size;
}

int
tstamp_adopt(struct tstamp *s, int fd, const struct tstamp_kept *k, struct counter *counters)
{
    if (!can_keep(k)) {
        return -EINVAL;
    }
    *s = (struct tstamp){.counters = counters,
                         .fd = fd,
                         .port = k->port,
                         .family = k->family,
                         .kind = k->kind,
                         .dual = k->dual,
                         .raw = k->raw,
                         .flight_size = k->flight_size};
    s->flight = (struct tstamp_flight *)calloc(s->flight_size, sizeof *s->flight);
    if (!s->flight) {
        s->fd = -1;
        return -ENOMEM;
    }
    return tstamp_resume(s, k);
}

int
tstamp_resume(struct tstamp *s, const struct tstamp_kept *k)
{
    if (!can_keep(k) || k->port != s->port || k->family != s->family || k->kind != s->kind ||
        k->flight_size != s->flight_size) {
        return -EINVAL;
    }
    memset(s->flight, 0, s->flight_size * sizeof *s->flight);
    s->tx = k->tx_kernel ? TS_KERNEL : TS_USER;
    s->tx_seen = k->tx_seen;
    s->sent = 0;
    s->retry_at_ns = 0; /* Where stamps were given up, they are tried again at once. */
    s->oldest = k->oldest;
    s->next = k->next;
    s->outstanding = 0;
    s->drops = k->drops;
    return 0;
}

int
tstamp_expect(struct tstamp *s, const struct tstamp_waiting *w)
{
    struct tstamp_flight *f = &s->flight[w->id % s->flight_size];

    if (w->id - s->oldest >= s->next - s->oldest || f->user_ns != 0 || w->user_ns == 0) {
        return -EINVAL;
    }
    *f = (struct tstamp_flight){.cookie = w->cookie, .user_ns = w->user_ns};
    s->outstanding++;
    return 0;
}

static void
count(struct tstamp *s, enum tstamp_count which, uint64_t n)
{
    counter_add(&s->counters[which], n);
}

static struct instant
stamping_of(const struct cmsghdr *c)
{
    struct timespec ts;
    memcpy(&ts, CMSG_DATA(c), sizeof ts); /* The first of three is the software stamp. */
    return instant_of_timespec(ts);
}

static void
count_drops(struct tstamp *s, const struct cmsghdr *c)
{
    uint32_t drops;

    memcpy(&drops, CMSG_DATA(c), sizeof drops);
    count(s, TSTAMP_KERNEL_DROPS, drops - s->drops);
    s->drops = drops;
}

static void
take_control4(const struct cmsghdr *c, struct tstamp_packet *p)
{
    if (c->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        p->local = address_of_v4(info.ipi_spec_dst);
        p->ifindex = (unsigned)info.ipi_ifindex;
    } else if (c->cmsg_type == IP_TTL) {
        int ttl;
        memcpy(&ttl, CMSG_DATA(c), sizeof ttl);
        p->ttl = (uint8_t)ttl;
    } else if (c->cmsg_type == IP_TOS) {
        p->tos = *CMSG_DATA(c);
    }
}

static void
take_control6(const struct cmsghdr *c, struct tstamp_packet *p)
{
    int value;

    if (c->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        if (p->peer.family == 4) {
            return; /* On a socket for both: IP_PKTINFO says it. */
        }
        p->local = address_of_v6(&info.ipi6_addr);
        p->ifindex = info.ipi6_ifindex;
    } else if (c->cmsg_type == IPV6_HOPLIMIT) {
        memcpy(&value, CMSG_DATA(c), sizeof value);
        p->ttl = (uint8_t)value;
    } else if (c->cmsg_type == IPV6_TCLASS) {
        memcpy(&value, CMSG_DATA(c), sizeof value);
        p->tos = (uint8_t)value;
    }
}

static void
take_control(struct tstamp *s, struct msghdr *m, struct tstamp_packet *p)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_IP) {
            take_control4(c, p);
        } else if (c->cmsg_level == SOL_IPV6) {
            take_control6(c, p);
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPING) {
            p->at = (struct stamp_time){.at = stamping_of(c), .source = TS_KERNEL};
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            count_drops(s, c);
        }
    }
}

/* A raw IPv4 socket gives the IP header too. */
static void
strip_header(struct tstamp_packet *p)
{
    size_t header = p->size ? (size_t)(p->data[0] & 0x0f) * 4 : 0;

    header = header < p->size ? header : p->size;
    p->data += header;
    p->size -= header;
}

static void
take_packet(struct tstamp *s, struct tstamp_io *io, unsigned i)
{
    struct tstamp_packet *p = &io->packets[i];
    const union name *n = &io->rx_name[i];

    *p = (struct tstamp_packet){.data = (uint8_t *)io->rx_iov[i].iov_base,
                                .size = io->rx[i].msg_len,
                                .peer = address_of(n),
                                .port = port_of(n),
                                .at.source = TS_NONE};
    take_control(s, &io->rx[i].msg_hdr, p);
    if (s->kind == TSTAMP_ICMP) {
        p->port = 0;
        if (s->raw) {
            strip_header(p);
        }
    }
    if (p->at.source == TS_NONE || p->at.at.ns == 0) {
        p->at = (struct stamp_time){.at = instant_now(), .source = TS_USER};
        count(s, TSTAMP_RX_UNSTAMPED, 1);
    }
}

int
tstamp_receive(struct tstamp *s, struct tstamp_io *io)
{
    int n;

    for (unsigned i = 0; i < TSTAMP_BATCH; i++) {
        io->rx[i].msg_hdr.msg_namelen = sizeof io->rx_name[i];
        io->rx[i].msg_hdr.msg_controllen = CONTROL_RX;
    }
    do {
        n = recvmmsg(s->fd, io->rx, TSTAMP_BATCH, MSG_DONTWAIT, NULL);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == EAGAIN ? 0 : -errno;
    }
    for (int i = 0; i < n; i++) {
        take_packet(s, io, (unsigned)i);
    }
    return n;
}

/* One transmit stamp. */
static void
take_stamp(struct tstamp *s, uint32_t id, struct instant at, tstamp_sent_fn *sent, void *aux)
{
    struct tstamp_flight *f = &s->flight[id % s->flight_size];

    if (id - s->oldest >= s->next - s->oldest || f->user_ns == 0) {
        count(s, TSTAMP_TX_UNKNOWN, 1);
        return;
    }
    if (at.ns < f->user_ns) {
        count(s, TSTAMP_TX_IMPOSSIBLE, 1);
        return;
    }
    s->tx_seen = true;
    f->user_ns = 0;
    s->outstanding--;
    sent(f->cookie, at, aux);
}

static void
take_error(struct tstamp *s, struct msghdr *m, tstamp_sent_fn *sent, void *aux)
{
    struct instant at = {.ns = 0};
    struct sock_extended_err e = {.ee_errno = 0};

    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPING) {
            at = stamping_of(c);
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            count_drops(s, c);
        } else if ((c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) ||
                   (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR)) {
            memcpy(&e, CMSG_DATA(c), sizeof e);
        }
    }
    if (e.ee_errno == ENOMSG && e.ee_origin == SO_EE_ORIGIN_TIMESTAMPING && at.ns != 0) {
        take_stamp(s, e.ee_data, at, sent, aux);
    }
}

/* Lets go of the oldest that have their stamp, or for which none will come. */
static void
advance(struct tstamp *s, struct instant now)
{
    while (s->oldest != s->next) {
        struct tstamp_flight *f = &s->flight[s->oldest % s->flight_size];
        if (f->user_ns != 0) {
            if (now.ns - f->user_ns < NS_PER_S) {
                break;
            }
            s->outstanding--;
            count(s, TSTAMP_TX_MISSING, 1);
        }
        s->oldest++;
    }
}

/* Ids begin anew; what is in flight is forgotten. */
static void
reset_ids(struct tstamp *s)
{
    count(s, TSTAMP_ID_RESETS, 1);
    count(s, TSTAMP_TX_FORGOTTEN, s->outstanding);
    s->oldest = s->next = s->outstanding = 0;
    if (set_stamping(s, s->tx == TS_KERNEL) < 0) {
        s->tx = TS_USER;
    }
}

/* Real sends show whether stamps come: none for 32 packets and a second, and the
 * socket goes over to the user's; a minute later it tries again. */
static void
judge_stamps(struct tstamp *s, struct instant now)
{
    if (s->tx == TS_KERNEL && !s->tx_seen && s->sent >= GIVE_UP_SENDS &&
        now.ns - s->first_send_ns > GIVE_UP_AFTER) {
        count(s, TSTAMP_TX_GIVEN_UP, 1);
        s->tx = TS_USER;
        s->retry_at_ns = now.ns + RETRY_AFTER;
        reset_ids(s);
    } else if (s->tx == TS_USER && now.ns > s->retry_at_ns) {
        s->tx = TS_KERNEL;
        s->sent = 0;
        reset_ids(s);
    }
}

void
tstamp_drain(struct tstamp *s, struct tstamp_io *io, struct instant now, tstamp_sent_fn *sent,
             void *aux)
{
    int n;

    do {
        for (unsigned i = 0; i < TSTAMP_BATCH; i++) {
            io->err[i].msg_hdr.msg_controllen = CONTROL_ERR;
        }
        n = recvmmsg(s->fd, io->err, TSTAMP_BATCH, MSG_DONTWAIT | MSG_ERRQUEUE, NULL);
        for (int i = 0; i < n; i++) {
            take_error(s, &io->err[i].msg_hdr, sent, aux);
        }
    } while (n == TSTAMP_BATCH || (n < 0 && errno == EINTR));
    advance(s, now);
}

static void
put_control(struct tstamp_io *io, unsigned i, size_t offset, int level, int type, const void *value,
            size_t size)
{
    /* By offset: the library's walk believes what a message of the other family left. */
    struct cmsghdr *c = (struct cmsghdr *)(void *)(io->tx_control[i] + offset);

    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), value, size);
}

/* Name, source, interface and class of one message. */
static void
fill_header(const struct tstamp *s, struct tstamp_io *io, unsigned i)
{
    const struct tstamp_out *o = &io->outs[i];
    struct msghdr *m = &io->tx[i].msg_hdr;
    uint8_t family = o->to.family;
    int tos = o->tos;

    assert((family == s->family || (family == 4 && s->dual)) &&
           (o->source.family == family || o->source.family == 0));
    m->msg_namelen = name_of(&o->to, o->port, s->family, &io->tx_name[i]);
    m->msg_controllen = family == 4 ? CONTROL_TX4 : CONTROL_TX6;
    if (family == 4) {
        struct in_pktinfo info = {.ipi_ifindex = (int)o->ifindex, .ipi_spec_dst = o->source.v4};
        put_control(io, i, 0, SOL_IP, IP_PKTINFO, &info, sizeof info);
        put_control(io, i, CMSG_SPACE(sizeof info), SOL_IP, IP_TOS, &tos, sizeof tos);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = o->ifindex, .ipi6_addr = o->source.v6};
        put_control(io, i, 0, SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
        put_control(io, i, CMSG_SPACE(sizeof info), SOL_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    }
}

static void
register_sent(struct tstamp *s, const struct tstamp_out *outs, int n)
{
    for (int i = 0; i < n && s->tx == TS_KERNEL; i++) {
        struct tstamp_flight *f = &s->flight[s->next % s->flight_size];
        if (s->next - s->oldest == s->flight_size) {
            if (f->user_ns != 0) {
                s->outstanding--;
                count(s, TSTAMP_TX_MISSING, 1);
            }
            s->oldest++;
        }
        *f = (struct tstamp_flight){.cookie = outs[i].cookie, .user_ns = outs[i].at.ns};
        s->next++;
        s->outstanding++;
        if (!s->tx_seen && s->sent++ == 0) {
            s->first_send_ns = outs[i].at.ns;
        }
    }
}

void
tstamp_send(struct tstamp *s, struct tstamp_io *io, unsigned count_, tstamp_sent_fn *sent,
            void *aux)
{
    unsigned done = 0;

    assert(count_ > 0 && count_ <= TSTAMP_BATCH);
    for (unsigned i = 0; i < count_; i++) {
        struct tstamp_out *o = &io->outs[i];
        fill_header(s, io, i);
        io->tx_iov[i] = (struct iovec){.iov_base = o->data, .iov_len = o->size};
        o->error = 0;
    }
    judge_stamps(s, io->outs[0].at);
    while (done < count_) {
        int n = sendmmsg(s->fd, io->tx + done, count_ - done, MSG_DONTWAIT);
        int error = errno;
        if (n > 0) {
            register_sent(s, io->outs + done, n);
            done += (unsigned)n;
        } else if (error == EINTR) {
            continue;
        } else {
            io->outs[done++].error = error;
            count(s, TSTAMP_SEND_ERRORS, 1);
        }
        if (n <= 0 || done < count_) {
            /* The one that was refused may have used up an id. */
            tstamp_drain(s, io, io->outs[done - 1].at, sent, aux);
            reset_ids(s);
        }
    }
}

enum ts_source
tstamp_warm_up(struct tstamp_io *io)
{
    struct address here = address_of_v4((struct in_addr){.s_addr = htonl(INADDR_LOOPBACK)});
    struct tstamp_config config = {.address = here, .plain = true, .flight = TSTAMP_FLIGHT_LEAST};
    struct counter counters[TSTAMP_COUNTS] = {{.value = 0}};
    enum ts_source best = TS_USER;
    struct tstamp s;
    union name to;

    if (tstamp_open(&s, &config, counters) < 0) {
        return TS_USER;
    }
    socklen_t size = name_of(&here, s.port, 4, &to);
    for (unsigned i = 0; i < 100 && best != TS_KERNEL; i++) {
        if (sendto(s.fd, "", 1, MSG_DONTWAIT, &to.any, size) < 0) {
            break;
        }
        if (tstamp_receive(&s, io) > 0) {
            best = io->packets[0].at.source;
        }
        if (best != TS_KERNEL) {
            usleep(2000);
        }
    }
    tstamp_close(&s);
    return best;
}
