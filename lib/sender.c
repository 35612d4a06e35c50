/* sender.c - the sender's sessions: schedule, sockets, replies. */
#include "sender.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "echo.h"

/* In the table of replies: any SSID of this peer (foreign ones do not echo it). */
#define ANY_SSID UINT32_C(0x10000)
/* ... and where several sessions share a peer, it stands for none of them. */
#define AMBIGUOUS UINT32_C(0xfffffffe)
#define NO_SESSION UINT32_MAX

enum { RUN_MAX = 512 };

/* A foreign far end's time that is further from ours is of another epoch. */
#define EPOCH_NS (86400 * NS_PER_S)

static const char *const own_names[SENDER_SOCKET] = {
    "reply_short",        "reply_overlong",           "reply_bad_tlv",           "reply_stranger",
    "reply_unknown_ssid", "reply_bad_error_estimate", "reply_other_format",      "reply_bad_echo",
    "reply_wrong_key",    "reply_unauthenticated",    "reply_bad_tlv_integrity", "sends_skipped",
    "events_lost",
};

struct session {
    struct sender_session is;
    char interface[IF_NAMESIZE]; /* Empty: routed. */
    uint16_t socket;             /* Slot. */
    uint32_t sequence;           /* Of the next packet. */
    struct span due;             /* Monotonic. */
    uint32_t planned;            /* Of 'packets'. */
    uint8_t ptp_quarters; /* Of our second, in which its times could be PTP's against its Z bit. */
    bool ptp_denied;      /* One could not. */
};

struct socket_slot {
    bool used, wanted; /* wanted: by the sessions being set. */
    char interface[IF_NAMESIZE];
    uint16_t port; /* As asked for. */
    uint8_t family;
    enum tstamp_kind kind;
    bool whole;
    struct span rebound;
    uint32_t first_due, last_due; /* List through run[]; NO_SESSION: none. */
    struct tstamp socket;
};

/* A packet of this run. */
struct due_packet {
    uint32_t session, next;
    struct instant scheduled;
};

struct heap_entry {
    struct span due;
    uint32_t session;
};

struct reply_key {
    struct address address;
    uint32_t ssid; /* Or ANY_SSID. */
    uint16_t port;
    uint16_t socket;
    uint32_t session; /* NO_SESSION: this place is free. */
};

/* All that belongs to one set of sessions; replaced whole. */
struct set {
    struct session *sessions;
    struct heap_entry *heap;
    struct reply_key *table;
    uint32_t *by_index; /* Index to place in 'sessions'; NO_SESSION: none. */
    uint32_t index_count;
    uint32_t count;
    uint32_t mask; /* Of the table. */
};

struct sender {
    struct ring *events;
    struct tstamp_io *io;
    int epoll;
    uint16_t error, error_ptp; /* Raw Error Estimate, without Z and with it. */
    struct set set;
    struct socket_slot *sockets;
    unsigned socket_count; /* Slots ever used. */
    struct due_packet run[RUN_MAX];
    struct counter counters[SENDER_COUNTS];
    const char *names[SENDER_COUNTS];
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

static void
set_fini(struct set *t)
{
    for (uint32_t i = 0; t->sessions && i < t->count; i++) {
        stampauth_unref(t->sessions[i].is.keys);
    }
    free(t->sessions);
    free(t->heap);
    free(t->table);
    free(t->by_index);
    *t = (struct set){.sessions = NULL};
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
    set_fini(&s->set);
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

static void
count(struct sender *s, enum sender_count which)
{
    counter_add(&s->counters[which], 1);
}

static void
emit(struct sender *s, const struct exchange *e)
{
    if (!ring_put(s->events, e)) {
        count(s, SENDER_EVENTS_LOST);
    }
}

/* --- The heap of due times: the root is the earliest. --- */

static void
heap_down(struct set *t, uint32_t i)
{
    struct heap_entry e = t->heap[i];

    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child >= t->count) {
            break;
        }
        if (child + 1 < t->count && t->heap[child + 1].due.ns < t->heap[child].due.ns) {
            child++;
        }
        if (t->heap[child].due.ns >= e.due.ns) {
            break;
        }
        t->heap[i] = t->heap[child];
        i = child;
    }
    t->heap[i] = e;
}

/* Of entries in any order. */
static void
heap_make(struct set *t)
{
    for (uint32_t i = t->count / 2; i-- > 0;) {
        heap_down(t, i);
    }
}

struct span
sender_due(const struct sender *s)
{
    return s->set.count > 0 ? s->set.heap[0].due : span_of_ns(INT64_MAX);
}

/* --- The table from a reply to its session. --- */

static uint32_t
reply_hash(const struct address *address, uint16_t port, uint32_t ssid, uint16_t socket)
{
    uint64_t h = address_hash(address) ^ ((uint64_t)ssid << 32 | (uint32_t)port << 16 | socket);
    return (uint32_t)(h * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static struct reply_key *
reply_find(const struct set *t, const struct address *address, uint16_t port, uint32_t ssid,
           uint16_t socket)
{
    uint32_t i = reply_hash(address, port, ssid, socket);

    for (;; i++) {
        struct reply_key *k = &t->table[i & t->mask];
        if (k->session == NO_SESSION ||
            (k->ssid == ssid && k->port == port && k->socket == socket &&
             address_equal(&k->address, address))) {
            return k;
        }
    }
}

/* -EEXIST if two sessions could not be told apart. */
static int
reply_add(struct set *t, uint32_t place)
{
    const struct session *n = &t->sessions[place];
    const struct address *address = &n->is.destination;
    uint16_t port = n->is.destination_port;
    struct reply_key key = {
        .address = *address, .port = port, .socket = n->socket, .session = place};
    struct reply_key *k;

    if (!n->is.foreign) {
        k = reply_find(t, address, port, n->is.ssid, n->socket);
        if (k->session != NO_SESSION) {
            return -EEXIST;
        }
        *k = key;
        k->ssid = n->is.ssid;
    }
    k = reply_find(t, address, port, ANY_SSID, n->socket);
    if (k->session != NO_SESSION && n->is.foreign) {
        return -EEXIST;
    }
    key.ssid = ANY_SSID;
    key.session = k->session == NO_SESSION ? place : AMBIGUOUS;
    *k = key;
    return 0;
}

/* --- Sockets. --- */

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

static int
socket_for(struct sender *s, const struct session *n)
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
static void
sockets_sweep(struct sender *s)
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

static void
sockets_want(struct sender *s, const struct set *t)
{
    for (unsigned i = 0; i < s->socket_count; i++) {
        s->sockets[i].wanted = false;
    }
    for (uint32_t i = 0; i < t->count; i++) {
        s->sockets[t->sessions[i].socket].wanted = true;
    }
}

/* --- Sets of sessions. --- */

static int
set_init(struct set *t, const struct sender_session *sessions, size_t session_count)
{
    uint32_t size = 16;

    *t = (struct set){.count = (uint32_t)session_count};
    for (size_t i = 0; i < session_count; i++) {
        if (sessions[i].index >= SENDER_SESSIONS_MAX) {
            return -EINVAL;
        }
        t->index_count =
            sessions[i].index >= t->index_count ? sessions[i].index + 1 : t->index_count;
    }
    while (size < 4 * t->count) {
        size *= 2;
    }
    t->mask = size - 1;
    t->sessions = (struct session *)calloc(session_count + 1, sizeof *t->sessions);
    t->heap = (struct heap_entry *)calloc(session_count + 1, sizeof *t->heap);
    t->table = (struct reply_key *)malloc(size * sizeof *t->table);
    t->by_index = (uint32_t *)malloc((t->index_count + 1) * sizeof *t->by_index);
    if (!t->sessions || !t->heap || !t->table || !t->by_index) {
        set_fini(t);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < size; i++) {
        t->table[i].session = NO_SESSION;
    }
    memset(t->by_index, 0xff, (t->index_count + 1) * sizeof *t->by_index);
    return 0;
}

static bool
same_parameters(const struct session *o, const struct sender_session *n)
{
    return address_equal(&o->is.source, &n->source) &&
           address_equal(&o->is.destination, &n->destination) && o->is.protocol == n->protocol &&
           o->is.foreign == n->foreign && o->is.ptp == n->ptp && o->is.whole == n->whole &&
           o->is.source_port == n->source_port && o->is.destination_port == n->destination_port &&
           o->is.ssid == n->ssid && o->is.dscp == n->dscp && o->is.size == n->size &&
           o->is.period.ns == n->period.ns && o->is.packets == n->packets &&
           stampauth_mode(o->is.keys) == stampauth_mode(n->keys) && o->is.dt.ns == n->dt.ns &&
           strcmp(o->interface, n->interface ? n->interface : "") == 0;
}

/* Sessions of one period are spread over it by the golden ratio: any number of
 * them, added at any time, stays even. */
static struct span
phase_of(const struct sender_session *n)
{
    uint32_t turn = n->index * UINT32_C(2654435769) >> 16;
    /* Never at the border itself, where the clocks' reading jitters. */
    int64_t margin = n->period.ns / 16 < 20 * NS_PER_US ? n->period.ns / 16 : 20 * NS_PER_US;
    int64_t free = n->period.ns - margin;
    /* In 1/2^16 of it, which leaves room for an hour in 64 bits. */
    return span_of_ns(margin + (free >> 16) * turn + (((free & 0xffff) * turn) >> 16));
}

static struct span
first_due(const struct sender_session *n, struct sender_clock now)
{
    struct instant first = instant_add(instant_ceil(n->begin, n->dt), phase_of(n));

    if (instant_before(first, now.real)) {
        /* Late already: go on where the schedule is now. */
        int64_t missed = (now.real.ns - first.ns + n->period.ns - 1) / n->period.ns;
        first.ns += missed * n->period.ns;
    }
    return span_of_ns(now.mono.ns + (first.ns - now.real.ns));
}

static int
add_session(struct sender *s, struct set *t, uint32_t place, const struct sender_session *n,
            struct sender_clock now)
{
    struct session *to = &t->sessions[place];
    const struct session *old = NULL;
    int slot;

    if (n->size < stampauth_size(n->keys) || n->size > STAMP_SIZE_MAX || n->period.ns <= 0 ||
        n->dt.ns <= 0 || (n->interface && strlen(n->interface) >= IF_NAMESIZE) ||
        (n->keys && n->protocol != SENDER_STAMP) || t->by_index[n->index] != NO_SESSION ||
        (n->destination.family != 4 && n->destination.family != 6) ||
        (n->source.family && n->source.family != n->destination.family)) {
        return -EINVAL;
    }
    if (n->index < s->set.index_count && s->set.by_index[n->index] != NO_SESSION) {
        old = &s->set.sessions[s->set.by_index[n->index]];
    }
    to->is = *n;
    to->is.keys = stampauth_ref(n->keys);
    to->is.interface = NULL;
    if (n->interface) {
        strcpy(to->interface, n->interface);
    }
    slot = socket_for(s, to);
    if (slot < 0) {
        return slot;
    }
    to->socket = (uint16_t)slot;
    if (old && same_parameters(old, n)) {
        to->sequence = old->sequence;
        to->due = old->due;
        to->planned = old->planned;
        to->ptp_quarters = old->ptp_quarters;
        to->ptp_denied = old->ptp_denied;
    } else {
        to->due = first_due(n, now);
    }
    t->by_index[n->index] = place;
    t->heap[place] = (struct heap_entry){.due = to->due, .session = place};
    return reply_add(t, place);
}

int
sender_set(struct sender *s, const struct sender_session *sessions, size_t session_count,
           struct sender_clock now)
{
    struct set t;
    int err;

    if (session_count > SENDER_SESSIONS_MAX) {
        return -E2BIG;
    }
    err = set_init(&t, sessions, session_count);
    if (err) {
        return err;
    }
    for (uint32_t i = 0; i < t.count; i++) {
        err = add_session(s, &t, i, &sessions[i], now);
        if (err) {
            /* Back to the sockets of the set that goes on. */
            set_fini(&t);
            sockets_want(s, &s->set);
            sockets_sweep(s);
            return err;
        }
    }
    heap_make(&t);
    set_fini(&s->set);
    s->set = t;
    sockets_want(s, &s->set);
    sockets_sweep(s);
    return 0;
}

uint32_t
sender_index_count(const struct sender *s)
{
    return s->set.index_count;
}

bool
sender_progress(const struct sender *s, uint32_t index, struct sender_progress *out)
{
    const struct session *n;

    if (index >= s->set.index_count || s->set.by_index[index] == NO_SESSION) {
        return false;
    }
    n = &s->set.sessions[s->set.by_index[index]];
    *out = (struct sender_progress){.index = index,
                                    .sequence = n->sequence,
                                    .due = n->due,
                                    .ptp_quarters = n->ptp_quarters,
                                    .ptp_denied = n->ptp_denied};
    return true;
}

void
sender_resume(struct sender *s, const struct sender_progress *p, size_t progress_count)
{
    struct set *t = &s->set;

    for (size_t i = 0; i < progress_count; i++) {
        if (p[i].index < t->index_count && t->by_index[p[i].index] != NO_SESSION) {
            struct session *n = &t->sessions[t->by_index[p[i].index]];
            n->sequence = p[i].sequence;
            n->due = p[i].due;
            n->ptp_quarters = p[i].ptp_quarters;
            n->ptp_denied = p[i].ptp_denied;
        }
    }
    for (uint32_t i = 0; i < t->count; i++) {
        t->heap[i] = (struct heap_entry){.due = t->sessions[i].due, .session = i};
    }
    heap_make(t);
}

void
sender_close(struct sender *s)
{
    set_fini(&s->set);
    sockets_want(s, &s->set);
    sockets_sweep(s);
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

/* A transmit stamp: the cookie is index and sequence. */
static void
on_sent(uint64_t cookie, struct instant at, void *aux)
{
    struct sender *s = (struct sender *)aux;

    emit(s, &(struct exchange){.kind = EXCHANGE_T1,
                               .session = (uint32_t)(cookie >> 32),
                               .sequence = (uint32_t)cookie,
                               .at = at,
                               .t1 = {.at = at, .source = TS_KERNEL}});
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
    emit(s, &e);
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
        tstamp_send(&k->socket, s->io, n, on_sent, s);
        for (unsigned i = 0; i < n; i++, first = s->run[first].next) {
            tell_sent(s, &s->run[first], &outs[i]);
            heal(k, outs[i].error, mono);
        }
        if (k->socket.outstanding > 0) {
            tstamp_drain(&k->socket, s->io, outs[n - 1].at, on_sent, s);
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
        heap_down(t, 0);
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

/* --- Replies. --- */

static struct stamp_time
stamp_of(uint64_t raw, bool ptp)
{
    struct stamp_time t = {.source = TS_USER};

    if (!stamp_time_parse(raw, ptp, &t.at)) {
        t.source = TS_NONE;
    }
    return t;
}

static bool
is_near(const struct stamp_time *t, struct instant now)
{
    return t->source != TS_NONE && t->at.ns - now.ns < EPOCH_NS && now.ns - t->at.ns < EPOCH_NS;
}

/* Whether times that say NTP's format are PTP's.  By their seconds they may as well
 * be NTP's of the wrong epoch, 1970: a fraction of 1e9 or more proves that, and it
 * comes in all but 0.233 of a second.  So none has come in three quarters of it. */
static bool
proves_ptp(struct session *n, const struct stamp_reply *r, struct instant now)
{
    const uint64_t raw[2] = {r->t2, r->t3};
    int64_t phase = now.ns - instant_floor(now, span_of_ns(NS_PER_S)).ns;

    for (unsigned i = 0; i < 2; i++) {
        int64_t off = (int64_t)(raw[i] >> 32) * NS_PER_S - now.ns;
        if (raw[i] == 0) {
            continue;
        }
        if (off > EPOCH_NS || off < -EPOCH_NS) {
            return false;
        }
        n->ptp_denied = n->ptp_denied || (raw[i] & UINT32_MAX) >= (uint64_t)NS_PER_S;
    }
    n->ptp_quarters = (uint8_t)(n->ptp_quarters | 1U << phase / (NS_PER_S / 4));
    return !n->ptp_denied && __builtin_popcount(n->ptp_quarters) >= 3;
}

/* T2 and T3.  Some peers give our Z bit back and stamp in the other format: read
 * so their times are 66 years away, and if the other reading is of today, that is
 * the one.  Returns the format. */
static bool
read_times(struct sender *s, struct session *n, const struct stamp_reply *r, struct exchange *e)
{
    bool ptp = stamp_error_is_ptp(r->error);

    e->t2 = stamp_of(r->t2, ptp);
    e->t3 = stamp_of(r->t3, ptp);
    if (!e->has_report && (r->t2 || r->t3) && !is_near(&e->t2, e->t4.at) &&
        !is_near(&e->t3, e->t4.at)) {
        struct stamp_time t2 = stamp_of(r->t2, !ptp), t3 = stamp_of(r->t3, !ptp);
        bool near =
            (r->t2 == 0 || is_near(&t2, e->t4.at)) && (r->t3 == 0 || is_near(&t3, e->t4.at));
        if (ptp ? near : proves_ptp(n, r, e->t4.at)) {
            count(s, SENDER_REPLY_OTHER_FORMAT);
            e->t2 = t2;
            e->t3 = t3;
            ptp = !ptp;
        }
    }
    return ptp;
}

static void
tell_reply(struct sender *s, struct session *n, const struct tstamp_packet *p,
           const struct stamp_reply *r)
{
    struct stamp_error error = stamp_error_parse(r->error);
    bool has_report = r->has_report && !n->is.foreign;
    struct exchange e = {
        .kind = EXCHANGE_REPLY,
        .session = n->is.index,
        .sequence = r->sender_sequence,
        .at = p->at.at,
        .t1 = stamp_of(r->t1, stamp_error_is_ptp(r->sender_error)),
        .t4 = p->at,
        .reflector_sequence = r->sequence,
        .ttl = r->sender_ttl,
        .reply_ttl = p->ttl,
        .reply_dscp = p->tos >> 2,
        .has_cos = r->has_cos,
        .dscp_seen = r->dscp_seen,
        .dscp_refused = r->dscp_refused,
        .has_report = has_report,
        .far_synchronised = error.synchronised && error.error_ns != UINT64_MAX,
        .far_error_ns = error.error_ns,
        .report = r->report,
    };
    bool ptp = read_times(s, n, r, &e);

    if (has_report && !r->t2_user && e.t2.source != TS_NONE) {
        e.t2.source = TS_KERNEL;
    }
    if (r->has_follow_up) {
        e.follow_up.reflector_sequence = r->follow_up_sequence;
        e.follow_up.t3 = stamp_of(r->follow_up_t3, ptp);
        e.follow_up.t3.source = r->follow_up_mode == STAMP_MODE_HARDWARE   ? TS_HARDWARE
                                : r->follow_up_mode == STAMP_MODE_SOFTWARE ? TS_KERNEL
                                                                           : TS_USER;
        e.has_follow_up = true;
    }
    if ((r->error & 0xff) == 0) {
        count(s, SENDER_REPLY_BAD_ERROR);
    }
    if (r->bad_tlv) {
        count(s, SENDER_REPLY_BAD_TLV);
    }
    emit(s, &e);
}

/* The place of a reply's session, by SSID if it has one; NO_SESSION: from whom none
 * sends to; AMBIGUOUS: from such a one, of none. */
static uint32_t
place_of(const struct set *t, uint16_t slot, const struct tstamp_packet *p, uint16_t ssid)
{
    uint32_t place = reply_find(t, &p->peer, p->port, ssid, slot)->session;

    if (place == NO_SESSION) {
        place = reply_find(t, &p->peer, p->port, ANY_SSID, slot)->session;
        /* One that does not echo the SSID gives zero there; a foreign one, anything. */
        if (place < AMBIGUOUS && ssid != 0 && !t->sessions[place].is.foreign) {
            return AMBIGUOUS;
        }
    }
    return place;
}

/* The session of a reply, or NULL (counted). */
static struct session *
session_of(struct sender *s, uint16_t slot, const struct tstamp_packet *p, uint16_t ssid)
{
    uint32_t place = place_of(&s->set, slot, p, ssid);

    if (place >= AMBIGUOUS) {
        count(s, place == AMBIGUOUS ? SENDER_REPLY_UNKNOWN_SSID : SENDER_REPLY_STRANGER);
        return NULL;
    }
    return &s->set.sessions[place];
}

static void
take_echo(struct sender *s, uint16_t slot, const struct tstamp_packet *p)
{
    struct echo r;
    enum echo_verdict v = echo_reply_parse(p->data, p->size, p->peer.family, &r);
    const struct session *n;

    if (v != ECHO_OK) {
        count(s, v == ECHO_SHORT ? SENDER_REPLY_SHORT : SENDER_REPLY_BAD_ECHO);
        return;
    }
    if (r.identifier != s->sockets[slot].socket.port) {
        count(s, SENDER_REPLY_STRANGER);
        return;
    }
    n = session_of(s, slot, p, 0);
    if (n) {
        emit(s, &(struct exchange){
                    .kind = EXCHANGE_REPLY,
                    .session = n->is.index,
                    .sequence = r.sequence,
                    .at = p->at.at,
                    .t1 = stamp_of(r.t1, false),
                    .t4 = p->at,
                    .reflector_sequence = r.sequence,
                    .reply_ttl = p->ttl,
                    .reply_dscp = p->tos >> 2,
                    .far_error_ns = UINT64_MAX,
                });
    }
}

/* Whether a reply is signed with '*key' as its session, which has keys, must have it;
 * else counted. */
static bool
is_authentic(struct sender *s, const struct session *n, const struct tstamp_packet *p,
             bool authenticated, struct stampauth_key **key)
{
    enum stampauth_verdict v = stampauth_check(n->is.keys, p->data, p->size, authenticated, key);

    if (v != STAMPAUTH_OK) {
        count(s, v == STAMPAUTH_UNSIGNED ? SENDER_REPLY_UNAUTHENTICATED : SENDER_REPLY_WRONG_KEY);
    }
    return v == STAMPAUTH_OK;
}

/* A reply of the authenticated layout, if its session has keys: whether it was one,
 * taken or not. */
static bool
take_auth_reply(struct sender *s, uint16_t slot, const struct tstamp_packet *p)
{
    struct session *n;
    struct stampauth_key *key;
    struct stamp_reply r;
    uint32_t place;

    if (!stamp_is_authenticated(p->data, p->size) ||
        stamp_auth_reply_parse(p->data, p->size, false, &r) != STAMP_OK) {
        return false;
    }
    place = place_of(&s->set, slot, p, r.ssid);
    if (place >= AMBIGUOUS || stampauth_mode(s->set.sessions[place].is.keys) != STAMPAUTH_PACKET) {
        return false;
    }
    n = &s->set.sessions[place];
    if (!is_authentic(s, n, p, true, &key)) {
        return true;
    }
    if (stampauth_tlvs_check(key, p->data, p->size)) {
        (void)stamp_auth_reply_parse(p->data, p->size, true, &r);
    } else {
        count(s, SENDER_REPLY_BAD_INTEGRITY);
    }
    tell_reply(s, n, p, &r);
    return true;
}

static void
take_reply(struct sender *s, uint16_t slot, const struct tstamp_packet *p)
{
    struct session *n;
    struct stampauth_key *key;
    struct stamp_reply r;
    enum stamp_verdict v;

    if (take_auth_reply(s, slot, p)) {
        return;
    }
    v = stamp_reply_parse(p->data, p->size, &r);
    if (v != STAMP_OK) {
        count(s, v == STAMP_SHORT ? SENDER_REPLY_SHORT : SENDER_REPLY_OVERLONG);
        return;
    }
    n = session_of(s, slot, p, r.ssid);
    if (!n) {
        return;
    }
    if (n->is.keys && !is_authentic(s, n, p, false, &key)) {
        return;
    }
    if (n->is.protocol == SENDER_TWAMP_LIGHT && p->size > STAMP_SIZE_REPLY_TTL) {
        /* What follows is padding, whatever it looks like. */
        v = stamp_reply_parse(p->data, STAMP_SIZE_REPLY_TTL, &r);
        assert(v == STAMP_OK);
    }
    tell_reply(s, n, p, &r);
}

unsigned
sender_receive(struct sender *s, unsigned slot, bool replies, bool stamps)
{
    struct socket_slot *k = &s->sockets[slot];
    unsigned taken = 0;
    int n;

    if (slot >= s->socket_count || !k->used) {
        return 0;
    }
    if (stamps) {
        tstamp_drain(&k->socket, s->io, instant_now(), on_sent, s);
    }
    if (replies && s->set.count > 0) {
        /* Bounded, so that a flood does not keep us from sending. */
        do {
            n = tstamp_receive(&k->socket, s->io);
            for (int i = 0; i < n; i++) {
                const struct tstamp_packet *p = &tstamp_io_packets(s->io)[i];
                if (k->kind == TSTAMP_ICMP) {
                    take_echo(s, (uint16_t)slot, p);
                } else {
                    take_reply(s, (uint16_t)slot, p);
                }
            }
            taken += n > 0 ? (unsigned)n : 0;
        } while (n == TSTAMP_BATCH && taken < 8 * TSTAMP_BATCH);
    }
    return taken;
}

void
sender_receive_all(struct sender *s)
{
    for (unsigned i = 0; i < s->socket_count; i++) {
        sender_receive(s, i, true, true);
    }
}
