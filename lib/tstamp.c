/* tstamp.c - packets and their kernel timestamps, in batches.
 *
 * On tstamp_socket.h, which opens the sockets; tstamp_kept.c hands them over. */
#include "tstamp_socket.h"

#include <assert.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <stdlib.h>
#include <unistd.h>

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

struct tstamp_io {
    struct mmsghdr rx[TSTAMP_BATCH], tx[TSTAMP_BATCH], err[TSTAMP_BATCH];
    struct iovec rx_iov[TSTAMP_BATCH], tx_iov[TSTAMP_BATCH];
    union tstamp_name rx_name[TSTAMP_BATCH], tx_name[TSTAMP_BATCH];
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
    const union tstamp_name *n = &io->rx_name[i];

    *p = (struct tstamp_packet){.data = (uint8_t *)io->rx_iov[i].iov_base,
                                .size = io->rx[i].msg_len,
                                .peer = tstamp_address_of(n),
                                .port = tstamp_port_of(n),
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
    if (tstamp_set_stamping(s, s->tx == TS_KERNEL) < 0) {
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
    m->msg_namelen = tstamp_name_of(&o->to, o->port, s->family, &io->tx_name[i]);
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
    union tstamp_name to;

    if (tstamp_open(&s, &config, counters) < 0) {
        return TS_USER;
    }
    socklen_t size = tstamp_name_of(&here, s.port, 4, &to);
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
