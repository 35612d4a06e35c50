/* tstamp_socket.c - a socket that stamps, from opening to closing: its options, its
 * filter, its binding. */
#include "tstamp_socket.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/net_tstamp.h>
#include <netinet/icmp6.h>
#include <stdlib.h>
#include <unistd.h>

int
tstamp_set_stamping(const struct tstamp *s, bool tx)
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

int
tstamp_rebind(struct tstamp *s, const char *interface)
{
    if (setsockopt(s->fd, SOL_SOCKET, SO_BINDTODEVICE, interface,
                   (socklen_t)strlen(interface) + 1) < 0) {
        return -errno;
    }
    return 0;
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
    if (s->tx == TS_KERNEL && tstamp_set_stamping(s, true) < 0) {
        s->tx = TS_USER;
    }
    if (s->tx == TS_USER) {
        (void)tstamp_set_stamping(
            s, false); /* Without it each packet is stamped by the user and counted. */
        s->retry_at_ns = INT64_MAX;
    }
    return 0;
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
    union tstamp_name name;
    socklen_t size = tstamp_name_of(&config->address, config->port, s->family, &name);

    if (bind(s->fd, &name.any, size) < 0) {
        return -errno;
    }
    size = sizeof name;
    if (s->port == 0) {
        if (getsockname(s->fd, &name.any, &size) < 0) {
            return -errno;
        }
        s->port = tstamp_port_of(&name);
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
