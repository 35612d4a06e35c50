/* sender_socket.c - the sender's sockets: one for each interface, family, source port and kind. */
#include "sender_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

/* Room for two seconds of packets at one each 'period'. */
static uint32_t
flight_for(struct span period)
{
    uint32_t flight = TSTAMP_FLIGHT_LEAST;

    while (flight < TSTAMP_FLIGHT && flight * period.ns < 2 * NS_PER_S) {
        flight *= 2;
    }
    return flight;
}

static int
socket_watch(struct sender *s, unsigned slot)
{
    struct socket_slot *k = &s->sockets[slot];
    struct epoll_event ev = {.events = EPOLLIN, .data.u64 = slot};

    if (s->epoll >= 0 && epoll_ctl(s->epoll, EPOLL_CTL_ADD, k->socket.fd, &ev) < 0) {
        return -errno;
    }
    k->used = true;
    return 0;
}

static int
socket_open(struct sender *s, unsigned slot, const struct session *n)
{
    struct socket_slot *k = &s->sockets[slot];
    struct tstamp_config config = {
        .kind = n->is.protocol == SENDER_ICMP ? TSTAMP_ICMP : TSTAMP_UDP,
        .address = address_any(n->is.destination.family),
        .port = n->is.source_port,
        .interface = n->interface[0] ? n->interface : NULL,
        .shared = n->is.source_port != 0,
        .whole = n->is.whole,
        /* A socket for many sends more than its first session does. */
        .flight = n->is.foreign || n->is.whole ? flight_for(n->is.period) : TSTAMP_FLIGHT,
    };
    int err;

    *k = (struct socket_slot){.port = n->is.source_port,
                              .family = n->is.destination.family,
                              .kind = config.kind,
                              .whole = config.whole,
                              .first_due = NO_SESSION,
                              .last_due = NO_SESSION};
    memcpy(k->interface, n->interface, sizeof k->interface);
    err = tstamp_open(&k->socket, &config, s->counters + SENDER_SOCKET);
    if (err) {
        return err;
    }
    err = socket_watch(s, slot);
    if (err) {
        tstamp_close(&k->socket);
    }
    return err;
}

unsigned
sender_socket_count(const struct sender *s)
{
    return s->socket_count;
}

struct tstamp *
sender_socket(const struct sender *s, unsigned slot, struct sender_socket *out)
{
    struct socket_slot *k = &s->sockets[slot];

    if (slot >= s->socket_count || !k->used) {
        return NULL;
    }
    *out = (struct sender_socket){.port = k->port, .whole = k->whole};
    memcpy(out->interface, k->interface, sizeof out->interface);
    tstamp_keep(&k->socket, &out->kept);
    return &k->socket;
}

int
sender_adopt(struct sender *s, unsigned slot, int fd, const struct sender_socket *n)
{
    struct socket_slot *k = &s->sockets[slot];
    int err;

    if (slot >= SENDER_SOCKETS_MAX || k->used) {
        return -EINVAL;
    }
    *k = (struct socket_slot){.port = n->port,
                              .family = n->kept.family,
                              .kind = n->kept.kind,
                              .whole = n->whole,
                              .first_due = NO_SESSION,
                              .last_due = NO_SESSION};
    memcpy(k->interface, n->interface, sizeof k->interface);
    err = tstamp_adopt(&k->socket, fd, &n->kept, s->counters + SENDER_SOCKET);
    if (err) {
        return err;
    }
    s->socket_count = slot >= s->socket_count ? slot + 1 : s->socket_count;
    err = socket_watch(s, slot);
    if (err) {
        k->socket.fd = -1; /* The caller's. */
        tstamp_close(&k->socket);
    }
    return err;
}

static bool
socket_fits(const struct socket_slot *k, const struct session *n)
{
    return k->port == n->is.source_port && k->family == n->is.destination.family &&
           (k->kind == TSTAMP_ICMP) == (n->is.protocol == SENDER_ICMP) && k->whole == n->is.whole &&
           strcmp(k->interface, n->interface) == 0;
}

int
sender_socket_for(struct sender *s, const struct session *n)
{
    unsigned unused = SENDER_SOCKETS_MAX;
    int err;

    for (unsigned i = s->socket_count; i-- > 0;) {
        struct socket_slot *k = &s->sockets[i];
        if (!k->used) {
            unused = i;
        } else if (socket_fits(k, n)) {
            k->wanted = true;
            return (int)i;
        }
    }
    if (unused == SENDER_SOCKETS_MAX) {
        unused = s->socket_count;
    }
    if (unused >= SENDER_SOCKETS_MAX) {
        return -EMFILE;
    }
    err = socket_open(s, unused, n);
    if (err) {
        return err;
    }
    if (unused == s->socket_count) {
        s->socket_count++;
    }
    s->sockets[unused].wanted = true;
    return (int)unused;
}

/* Closes the sockets that are not wanted. */
void
sender_sockets_sweep(struct sender *s)
{
    for (unsigned i = 0; i < s->socket_count; i++) {
        struct socket_slot *k = &s->sockets[i];
        if (k->used && !k->wanted) {
            if (s->epoll >= 0) { /* Not by itself while another process has it open too. */
                (void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, k->socket.fd, NULL);
            }
            tstamp_close(&k->socket);
            k->used = false;
        }
    }
}

void
sender_sockets_want(struct sender *s, const struct set *t)
{
    for (unsigned i = 0; i < s->socket_count; i++) {
        s->sockets[i].wanted = false;
    }
    for (uint32_t i = 0; i < t->count; i++) {
        s->sockets[t->sessions[i].socket].wanted = true;
    }
}
