/* sender.c - what is due is sent; the life of a sender. */
#include "sender_parts.h"

#include <errno.h>
#include <stdlib.h>

#include "echo.h"

static const char *const own_names[SENDER_SOCKET] = {
    "reply_short",        "reply_overlong",           "reply_bad_tlv",           "reply_stranger",
    "reply_unknown_ssid", "reply_bad_error_estimate", "reply_other_format",      "reply_bad_echo",
    "reply_wrong_key",    "reply_unauthenticated",    "reply_bad_tlv_integrity", "sends_skipped",
    "events_lost",
};

struct sender_clock
sender_clock_now(void)
{
    struct sender_clock c;
    struct span before, after;

    /* Again if we were interrupted between the two. */
    for (unsigned i = 0; i < 4; i++) {
        before = mono_now();
        c.real = instant_now();
        after = mono_now();
        c.mono = after;
        c.doubt = span_of_ns(after.ns - before.ns);
        if (c.doubt.ns < 20 * NS_PER_US) {
            break;
        }
    }
    return c;
}

struct sender *
sender_new(struct ring *events, struct tstamp_io *io, int epoll)
{
    struct sender *s = (struct sender *)calloc(1, sizeof *s);

    if (!s) {
        return NULL;
    }
    s->sockets = (struct socket_slot *)calloc(SENDER_SOCKETS_MAX, sizeof *s->sockets);
    if (!s->sockets) {
        free(s);
        return NULL;
    }
    s->events = events;
    s->io = io;
    s->epoll = epoll;
    sender_set_error(s, (struct stamp_error){.error_ns = UINT64_MAX});
    for (unsigned i = 0; i < SENDER_COUNTS; i++) {
        s->names[i] = i < SENDER_SOCKET ? own_names[i] : tstamp_count_names[i - SENDER_SOCKET];
    }
    return s;
}

void
sender_free(struct sender *s)
{
    if (!s) {
        return;
    }
    for (unsigned i = 0; i < s->socket_count; i++) {
        if (s->sockets[i].used) {
            tstamp_close(&s->sockets[i].socket);
        }
    }
    sender_set_fini(&s->set);
    free(s->sockets);
    free(s);
}

void
sender_set_error(struct sender *s, struct stamp_error error)
{
    error.ptp = false;
    s->error = stamp_error_format(&error);
    error.ptp = true;
    s->error_ptp = stamp_error_format(&error);
}

void
sender_counters(const struct sender *s, struct counter_group *out)
{
    *out = (struct counter_group){.name = "sender",
                                  .names = s->names,
                                  .counters = (struct counter *)(uintptr_t)s->counters,
                                  .count = SENDER_COUNTS};
}

void
sender_close(struct sender *s)
{
    sender_set_fini(&s->set);
    sender_sockets_want(s, &s->set);
    sender_sockets_sweep(s);
}

int
sender_fd(const struct sender *s, uint32_t index, uint16_t *port)
{
    if (index >= s->set.index_count || s->set.by_index[index] == NO_SESSION) {
        return -1;
    }
    const struct socket_slot *k = &s->sockets[s->set.sessions[s->set.by_index[index]].socket];
    *port = k->socket.port;
    return k->socket.fd;
}

enum ts_source
sender_tx_source(const struct sender *s)
{
    for (unsigned i = 0; i < s->socket_count; i++) {
        if (s->sockets[i].used && s->sockets[i].socket.tx != TS_KERNEL) {
            return TS_USER;
        }
    }
    return TS_KERNEL;
}

/* --- Sending. --- */

struct span
sender_due(const struct sender *s)
{
    return s->set.count > 0 ? s->set.heap[0].due : span_of_ns(INT64_MAX);
}

/* An echo is as long on the wire as a UDP packet of that payload: both headers
 * have eight octets. */
static void
format_echo(const struct socket_slot *k, const struct session *n, struct tstamp_out *o)
{
    struct echo e = {.identifier = k->socket.port,
                     .sequence = n->sequence,
                     .t1 = stamp_time_format(o->at, false)};

    o->size += ECHO_HEADER;
    echo_request_format(&e, k->family, o->data, o->size);
}

static void
prepare(struct sender *s, const struct socket_slot *k, const struct session *n, unsigned i)
{
    struct tstamp_out *o = &tstamp_io_outs(s->io)[i];
    bool light = n->is.protocol == SENDER_TWAMP_LIGHT;
    enum stampauth_mode mode = stampauth_mode(n->is.keys);
    struct stamp_request q = {.error = n->is.ptp ? s->error_ptp : s->error,
                              .ssid = light ? 0 : n->is.ssid,
                              .authenticated = mode == STAMPAUTH_PACKET,
                              .hmac_tlv = mode == STAMPAUTH_TLV,
                              .size = n->is.size,
                              .no_report = n->is.foreign,
                              .no_tlvs = light,
                              .cos = true,
                              .dscp = n->is.dscp};

    *o = (struct tstamp_out){
        .data = tstamp_io_buffer(s->io, i),
        .size = n->is.size,
        .to = n->is.destination,
        .port = n->is.destination_port,
        .source = n->is.source,
        .tos = (uint8_t)(n->is.dscp << 2),
        .cookie = (uint64_t)n->is.index << 32 | n->sequence,
        .at = instant_now(),
    };
    if (n->is.protocol == SENDER_ICMP) {
        format_echo(k, n, o);
        return;
    }
    q.sequence = n->sequence;
    q.t1 = stamp_time_format(o->at, n->is.ptp);
    stamp_request_format(&q, o->data);
    if (mode == STAMPAUTH_PACKET) {
        stampauth_sign(stampauth_sender(n->is.keys), o->data, o->size, true);
    } else if (mode == STAMPAUTH_TLV) {
        stampauth_sign_tlvs(stampauth_sender(n->is.keys), o->data, o->size);
    }
}

/* An interface that was made anew has another number: bind again. */
static void
heal(struct socket_slot *k, int error, struct span mono)
{
    if (error == ENODEV && k->interface[0] && mono.ns - k->rebound.ns > NS_PER_S) {
        k->rebound = mono;
        (void)tstamp_rebind(&k->socket, k->interface);
    }
}

static void
tell_sent(struct sender *s, const struct due_packet *p, const struct tstamp_out *o)
{
    struct exchange e = {
        .kind = o->error ? EXCHANGE_SEND_ERROR : EXCHANGE_SENT,
        .session = (uint32_t)(o->cookie >> 32),
        .sequence = (uint32_t)o->cookie,
        .at = o->at,
        .t1 = {.at = o->at, .source = TS_USER},
        .scheduled = p->scheduled,
        .error = (uint16_t)o->error,
    };
    sender_emit(s, &e);
}

/* Sends the packets of this run that leave by socket 'k'. */
static void
send_socket(struct sender *s, struct socket_slot *k, struct span mono)
{
    const struct tstamp_out *outs = tstamp_io_outs(s->io);
    unsigned most = tstamp_batch(&k->socket);
    uint32_t at = k->first_due;

    while (at != NO_SESSION) {
        uint32_t first = at;
        unsigned n = 0;
        while (at != NO_SESSION && n < most) {
            struct session *c = &s->set.sessions[s->run[at].session];
            prepare(s, k, c, n++);
            c->sequence++;
            at = s->run[at].next;
        }
        tstamp_send(&k->socket, s->io, n, sender_on_sent, s);
        for (unsigned i = 0; i < n; i++, first = s->run[first].next) {
            tell_sent(s, &s->run[first], &outs[i]);
            heal(k, outs[i].error, mono);
        }
        if (k->socket.outstanding > 0) {
            tstamp_drain(&k->socket, s->io, outs[n - 1].at, sender_on_sent, s);
        }
    }
    k->first_due = k->last_due = NO_SESSION;
}

/* Leaves out what is hopelessly late (the thread was stopped): a burst of old
 * packets would measure nothing but itself. */
static void
skip_late(struct sender *s, struct session *n, struct span mono)
{
    int64_t late = mono.ns - n->due.ns;

    if (late > 100 * NS_PER_MS && late > n->is.period.ns) {
        int64_t missed = late / n->is.period.ns;
        counter_add(&s->counters[SENDER_SKIPPED], (uint64_t)missed);
        n->due.ns += missed * n->is.period.ns;
    }
}

/* Takes what is due from the heap into run[], a list for each socket.  Returns
 * how many. */
static uint32_t
collect(struct sender *s, struct sender_clock now, unsigned *touched, unsigned *touched_count)
{
    struct set *t = &s->set;
    uint32_t n = 0;

    *touched_count = 0;
    while (n < RUN_MAX && t->count > 0 && t->heap[0].due.ns <= now.mono.ns) {
        uint32_t place = t->heap[0].session;
        struct session *c = &t->sessions[place];
        struct socket_slot *k = &s->sockets[c->socket];
        skip_late(s, c, now.mono);
        s->run[n] = (struct due_packet){
            .session = place,
            .next = NO_SESSION,
            .scheduled = instant_of_ns(now.real.ns + (c->due.ns - now.mono.ns)),
        };
        if (k->first_due == NO_SESSION) {
            k->first_due = n;
            touched[(*touched_count)++] = c->socket;
        } else {
            s->run[k->last_due].next = n;
        }
        k->last_due = n++;
        c->due.ns += c->is.period.ns;
        if (c->is.packets > 0 && ++c->planned >= c->is.packets) {
            c->due = span_of_ns(INT64_MAX);
        }
        t->heap[0].due = c->due;
        sender_heap_down(t, 0);
    }
    return n;
}

void
sender_send(struct sender *s, struct sender_clock now)
{
    unsigned touched[RUN_MAX];
    unsigned touched_count;
    uint32_t n;

    /* A bounded number of runs, so that replies are read too when we are behind. */
    for (unsigned runs = 0; runs < 4; runs++) {
        n = collect(s, now, touched, &touched_count);
        for (unsigned i = 0; i < touched_count; i++) {
            send_socket(s, &s->sockets[touched[i]], now.mono);
        }
        if (n < RUN_MAX) {
            break;
        }
    }
}
