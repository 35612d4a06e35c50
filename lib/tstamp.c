/* tstamp.c - UDP sockets with kernel timestamps, in batches. */
#include "tstamp.h"

#include <assert.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
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
    CONTROL_TX = CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int)),
    CONTROL_ERR = 256,
    GIVE_UP_SENDS = 32,
};

#define GIVE_UP_AFTER NS_PER_S
#define RETRY_AFTER (60 * NS_PER_S)

struct tstamp_io {
    struct mmsghdr rx[TSTAMP_BATCH], tx[TSTAMP_BATCH], err[TSTAMP_BATCH];
    struct iovec rx_iov[TSTAMP_BATCH], tx_iov[TSTAMP_BATCH];
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
        io->packets[i].data = io->buffers + (size_t)i * TSTAMP_BUFFER;
        io->rx_iov[i] = (struct iovec){.iov_base = io->packets[i].data, .iov_len = TSTAMP_BUFFER};
        io->rx[i].msg_hdr = (struct msghdr){.msg_name = &io->packets[i].peer,
                                            .msg_iov = &io->rx_iov[i],
                                            .msg_iovlen = 1,
                                            .msg_control = io->rx_control[i]};
        io->tx[i].msg_hdr = (struct msghdr){.msg_name = &io->outs[i].to,
                                            .msg_namelen = sizeof io->outs[i].to,
                                            .msg_iov = &io->tx_iov[i],
                                            .msg_iovlen = 1,
                                            .msg_control = io->tx_control[i],
                                            .msg_controllen = CONTROL_TX};
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

static int
set_options(struct tstamp *s, const struct tstamp_config *config)
{
    static const int options[][3] = {
        {SOL_IP, IP_PKTINFO, 1},      {SOL_IP, IP_RECVTTL, 1},
        {SOL_IP, IP_RECVTOS, 1},      {SOL_IP, IP_TTL, 255},
        {SOL_SOCKET, SO_RXQ_OVFL, 1}, {SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT},
    };

    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        int err = set_flag(s->fd, options[i][0], options[i][1], options[i][2]);
        if (err) {
            return err;
        }
    }
    set_buffer(s->fd, SO_RCVBUFFORCE, SO_RCVBUF);
    set_buffer(s->fd, SO_SNDBUFFORCE, SO_SNDBUF);
    if (config->shared) {
        (void)set_flag(s->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (config->interface) {
        int err = tstamp_rebind(s, config->interface);
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

int
tstamp_open(struct tstamp *s, const struct tstamp_config *config, struct counter *counters)
{
    struct sockaddr_in name = {
        .sin_family = AF_INET, .sin_addr = config->address, .sin_port = htons(config->port)};
    socklen_t size = sizeof name;
    int err;

    *s = (struct tstamp){.counters = counters};
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->fd < 0) {
        return -errno;
    }
    err = set_options(s, config);
    if (err) {
        goto fail;
    }
    if (bind(s->fd, (const struct sockaddr *)&name, sizeof name) < 0 ||
        getsockname(s->fd, (struct sockaddr *)&name, &size) < 0) {
        err = -errno;
        goto fail;
    }
    s->port = ntohs(name.sin_port);
    s->flight = (struct tstamp_flight *)calloc(TSTAMP_FLIGHT, sizeof *s->flight);
    if (!s->flight) {
        err = -ENOMEM;
        goto fail;
    }
    return 0;

fail:
    close(s->fd);
    s->fd = -1;
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
take_control(struct tstamp *s, struct msghdr *m, struct tstamp_packet *p)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPING) {
            p->at = (struct stamp_time){.at = stamping_of(c), .source = TS_KERNEL};
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL) {
            count_drops(s, c);
        } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            p->local = info.ipi_spec_dst;
            p->ifindex = (unsigned)info.ipi_ifindex;
        } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_TTL) {
            int ttl;
            memcpy(&ttl, CMSG_DATA(c), sizeof ttl);
            p->ttl = (uint8_t)ttl;
        } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_TOS) {
            p->tos = *CMSG_DATA(c);
        }
    }
}

int
tstamp_receive(struct tstamp *s, struct tstamp_io *io)
{
    int n;

    for (unsigned i = 0; i < TSTAMP_BATCH; i++) {
        io->rx[i].msg_hdr.msg_namelen = sizeof io->packets[i].peer;
        io->rx[i].msg_hdr.msg_controllen = CONTROL_RX;
    }
    do {
        n = recvmmsg(s->fd, io->rx, TSTAMP_BATCH, MSG_DONTWAIT, NULL);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == EAGAIN ? 0 : -errno;
    }
    for (int i = 0; i < n; i++) {
        struct tstamp_packet *p = &io->packets[i];
        p->size = io->rx[i].msg_len;
        p->local.s_addr = INADDR_ANY;
        p->ifindex = 0;
        p->ttl = p->tos = 0;
        p->at.source = TS_NONE;
        take_control(s, &io->rx[i].msg_hdr, p);
        if (p->at.source == TS_NONE || p->at.at.ns == 0) {
            p->at = (struct stamp_time){.at = instant_now(), .source = TS_USER};
            count(s, TSTAMP_RX_UNSTAMPED, 1);
        }
    }
    return n;
}

/* One transmit stamp. */
static void
take_stamp(struct tstamp *s, uint32_t id, struct instant at, tstamp_sent_fn *sent, void *aux)
{
    struct tstamp_flight *f = &s->flight[id % TSTAMP_FLIGHT];

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
        } else if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR) {
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
        struct tstamp_flight *f = &s->flight[s->oldest % TSTAMP_FLIGHT];
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
fill_control(uint8_t *control, const struct tstamp_out *o)
{
    struct msghdr m = {.msg_control = control, .msg_controllen = CONTROL_TX};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    struct in_pktinfo info = {.ipi_ifindex = (int)o->ifindex, .ipi_spec_dst = o->source};
    int tos = o->tos;

    c->cmsg_level = SOL_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    c = CMSG_NXTHDR(&m, c);
    c->cmsg_level = SOL_IP;
    c->cmsg_type = IP_TOS;
    c->cmsg_len = CMSG_LEN(sizeof tos);
    memcpy(CMSG_DATA(c), &tos, sizeof tos);
}

static void
register_sent(struct tstamp *s, const struct tstamp_out *outs, int n)
{
    for (int i = 0; i < n && s->tx == TS_KERNEL; i++) {
        struct tstamp_flight *f = &s->flight[s->next % TSTAMP_FLIGHT];
        if (s->next - s->oldest == TSTAMP_FLIGHT) {
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
        fill_control(io->tx_control[i], o);
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
    struct in_addr here = {.s_addr = htonl(INADDR_LOOPBACK)};
    struct tstamp_config config = {.address = here, .plain = true};
    struct counter counters[TSTAMP_COUNTS] = {{.value = 0}};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = here};
    enum ts_source best = TS_USER;
    struct tstamp s;

    if (tstamp_open(&s, &config, counters) < 0) {
        return TS_USER;
    }
    to.sin_port = htons(s.port);
    for (unsigned i = 0; i < 100 && best != TS_KERNEL; i++) {
        if (sendto(s.fd, "", 1, MSG_DONTWAIT, (const struct sockaddr *)&to, sizeof to) < 0) {
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
