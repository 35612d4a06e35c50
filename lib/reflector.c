/* reflector.c - the reflector's socket, and the packets that go back. */
#include "reflector_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stamp_answer.h"

static const char *const own_names[REFLECTOR_SOCKET] = {
    "short",           "overlong",    "bad_error_estimate", "bad_tlv",        "wrong_key",
    "unauthenticated", "unknown_key", "bad_tlv_integrity",  "stranger",       "nat_moved",
    "nat_limited",     "duplicate",   "replayed",           "rate_limited",   "full",
    "source_full",     "expired",     "sender_began_anew",  "follow_up_lost",
};

/* --- Life. --- */

static uint32_t
epoch_of_clock(void)
{
    uint64_t x = (uint64_t)instant_now().ns ^ (uint64_t)mono_now().ns << 20;

    x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 29;
    return (uint32_t)x ? (uint32_t)x : 1;
}

struct reflector *
reflector_new(const struct reflector_config *config, struct tstamp_io *io)
{
    struct reflector *r = (struct reflector *)calloc(1, sizeof *r);

    if (!r) {
        return NULL;
    }
    r->io = io;
    r->socket.fd = -1;
    r->limit = config->sessions ? config->sessions : 32768;
    r->rate = config->rate ? config->rate : 200000;
    r->idle = config->idle.ns ? config->idle : span_of_ns(600 * NS_PER_S);
    r->epoch = config->epoch ? config->epoch : epoch_of_clock();
    r->names[REFLECTOR_REQUESTS] = "requests";
    r->names[REFLECTOR_REPLIES] = "replies";
    for (unsigned i = 0; i < REFLECTOR_BAD; i++) {
        r->names[i] =
            i < REFLECTOR_SOCKET ? own_names[i] : tstamp_count_names[i - REFLECTOR_SOCKET];
    }
    reflector_set_error(r, (struct stamp_error){.error_ns = UINT64_MAX});
    if (reflector_tables_new(r) < 0) {
        reflector_free(r);
        return NULL;
    }
    return r;
}

int
reflector_listen(struct reflector *r, struct address address, uint16_t port)
{
    struct tstamp_config config = {.address = address, .port = port};
    struct tstamp socket;
    int err;

    if (!address_is_set(&address)) {
        config.address = address_any(6);
        config.dual = true;
    }
    err = tstamp_open(&socket, &config, r->counters + REFLECTOR_SOCKET);
    if (err == -EAFNOSUPPORT && config.dual) {
        config.address = address_any(4);
        config.dual = false;
        err = tstamp_open(&socket, &config, r->counters + REFLECTOR_SOCKET);
    }
    if (err) {
        return err;
    }
    reflector_close(r);
    r->socket = socket;
    return 0;
}

void
reflector_close(struct reflector *r)
{
    if (r->socket.fd >= 0) {
        tstamp_close(&r->socket);
    }
}

struct tstamp *
reflector_socket(const struct reflector *r)
{
    return (struct tstamp *)(uintptr_t)&r->socket;
}

int
reflector_adopt(struct reflector *r, int fd, const struct tstamp_kept *k)
{
    struct tstamp socket;
    int err = tstamp_adopt(&socket, fd, k, r->counters + REFLECTOR_SOCKET);

    if (!err) {
        reflector_close(r);
        r->socket = socket;
    }
    return err;
}

void
reflector_free(struct reflector *r)
{
    if (r) {
        reflector_close(r);
        reflector_tables_free(r);
        free(r);
    }
}

void
reflector_set_error(struct reflector *r, struct stamp_error error)
{
    r->synchronised = error.synchronised;
    error.ptp = false;
    r->error_ntp = stamp_error_format(&error);
    error.ptp = true;
    r->error_ptp = stamp_error_format(&error);
}

int
reflector_fd(const struct reflector *r)
{
    return r->socket.fd;
}

uint16_t
reflector_port(const struct reflector *r)
{
    return r->socket.port;
}

uint32_t
reflector_epoch(const struct reflector *r)
{
    return r->epoch;
}

uint32_t
reflector_sessions(const struct reflector *r)
{
    return r->live;
}

enum ts_source
reflector_tx_source(const struct reflector *r)
{
    return r->socket.tx;
}

void
reflector_counters(const struct reflector *r, struct counter_group *out)
{
    *out = (struct counter_group){.name = "reflector",
                                  .names = r->names,
                                  .counters = (struct counter *)(uintptr_t)r->counters,
                                  .count = REFLECTOR_COUNTS};
}

/* --- Packets. --- */

/* A transmit stamp: the cookie is generation, place and reply sequence. */
static void
on_sent(uint64_t cookie, struct instant at, void *aux)
{
    struct reflector *r = (struct reflector *)aux;
    uint32_t place = (uint32_t)(cookie >> 32) & 0xffffff;
    struct rsession *s = &r->sessions[place];

    if (!s->used || (s->generation & 0xff) != cookie >> 56) {
        return; /* Its session is gone. */
    }
    if (s->twamp) {
        return; /* No packet of TWAMP has room for it. */
    }
    if (s->follow_up_next - s->follow_up_first == REFLECTOR_FOLLOW_UPS) {
        reflector_count(r, REFLECTOR_T3_LOST);
        s->follow_up_first++;
    }
    s->follow_ups[s->follow_up_next++ % REFLECTOR_FOLLOW_UPS] =
        (struct reflector_follow_up){.sequence = (uint32_t)cookie, .t3_ns = at.ns};
}

/* Whether to answer; updates what the session has received. */
static bool
admit(struct reflector *r, struct rsession *s, const struct stamp_request *q, struct span mono)
{
    struct instant t1;
    enum history_verdict v;

    if (!reflector_rate_allows(r, &r->sources[s->source], mono)) {
        reflector_count(r, REFLECTOR_RATE);
        return false;
    }
    (void)stamp_time_parse(q->t1, stamp_error_is_ptp(q->error), &t1);
    v = history_add(&s->history, q->sequence, t1.ns, mono);
    if (v == HISTORY_DUPLICATE) {
        reflector_count(r, REFLECTOR_DUPLICATE);
        return false;
    }
    if (v == HISTORY_REPLAYED) {
        reflector_count(r, REFLECTOR_REPLAYED);
        return false;
    }
    if (v == HISTORY_RESTARTED) {
        reflector_count(r, REFLECTOR_RESTARTED);
        s->sequence = 0;
        s->follow_up_first = s->follow_up_next;
        s->generation++;
        s->epoch = r->epoch + ++r->begun_again;
    }
    return true;
}

/* Follow-ups that fell behind (a stall makes several at once, and each reply takes
 * one) come too late to be used: leave them out, but for the newest. */
static void
drop_stale(struct reflector *r, struct rsession *s, struct instant now)
{
    while (s->follow_up_next - s->follow_up_first > 1 &&
           now.ns - s->follow_ups[s->follow_up_first % REFLECTOR_FOLLOW_UPS].t3_ns > NS_PER_S) {
        s->follow_up_first++;
        reflector_count(r, REFLECTOR_T3_LOST);
    }
}

/* The reply to 'p', but for its data and its DSCP. */
static struct tstamp_out
reply_to(const struct reflector *r, const struct rsession *s, const struct tstamp_packet *p,
         uint32_t sequence, struct instant now)
{
    return (struct tstamp_out){
        .data = p->data,
        .to = p->peer,
        .port = p->port,
        .source = p->local,
        .ifindex = s->ifindex,
        .cookie =
            (uint64_t)(s->generation & 0xff) << 56 | (uint64_t)(s - r->sessions) << 32 | sequence,
        .at = now,
    };
}

static struct stamp_seen
seen_of(const struct reflector *r, const struct rsession *s, const struct tstamp_packet *p)
{
    struct stamp_seen seen = {
        .ipv6 = s->peer.family == 6,
        .source_port = s->port,
        .destination_port = r->socket.port,
        .tos = p->tos,
        .dscps = s->dscps,
        .sync = r->synchronised ? STAMP_SYNC_NTP : STAMP_SYNC_LOCAL,
    };

    memcpy(seen.source, &s->peer.v6, sizeof seen.source);
    memcpy(seen.destination, &s->local.v6, sizeof seen.destination);
    return seen;
}

static void
answer(struct reflector *r, struct rsession *s, const struct stamp_request *q,
       struct stampauth_key *key, const struct tstamp_packet *p, struct instant now,
       struct tstamp_out *o)
{
    bool ptp = stamp_error_is_ptp(q->error);
    struct stamp_seen seen = seen_of(r, s, p);
    bool checked = key && !q->authenticated; /* The TLVs are what is signed. */

    drop_stale(r, s, now);
    struct exchange_report report = {
        .epoch = s->epoch, .received = s->history.received, .duplicates = s->history.duplicates};
    const struct reflector_follow_up *f = &s->follow_ups[s->follow_up_first % REFLECTOR_FOLLOW_UPS];
    struct stamp_answer a = {
        .sequence = s->sequence++,
        .error = ptp ? r->error_ptp : r->error_ntp,
        .ttl = p->ttl,
        .t2 = stamp_time_format(p->at.at, ptp),
        .t3 = stamp_time_format(now, ptp),
        .t2_user = p->at.source != TS_KERNEL,
        .report = &report,
        .has_follow_up = s->follow_up_first != s->follow_up_next,
        .seen = &seen,
        .integrity_failed = q->extended && !checked && !stampauth_tlvs_check(key, p->data, q->size),
    };
    enum stamp_verdict tlv;
    bool took;

    history_bitmap(&s->history, q->sequence, report.bitmap);
    if (a.has_follow_up) {
        a.follow_up_sequence = f->sequence;
        a.follow_up_t3 = stamp_time_format(instant_of_ns(f->t3_ns), ptp);
    }
    *o = reply_to(r, s, p, a.sequence, now);
    o->size = stamp_reply_make(p->data, q, &a, &tlv, &took);
    o->tos = (uint8_t)(seen.reply_dscp << 2); /* ECN is not ours to copy. */
    s->follow_up_first += took;
    if (tlv != STAMP_OK) {
        reflector_count(r, REFLECTOR_BAD_TLV);
    }
    if (a.integrity_failed) {
        reflector_count(r, REFLECTOR_BAD_INTEGRITY);
    }
    if (q->authenticated && key) {
        stampauth_sign(key, p->data, o->size, !a.integrity_failed);
    } else if (key) {
        stampauth_sign_tlvs(key, p->data, o->size);
    }
}

/* A packet of a session of TWAMP-Control. */
static bool
reflect_twamp(struct reflector *r, struct rsession *s, const struct stamp_request *q,
              const struct tstamp_packet *p, struct instant now, struct span mono,
              struct tstamp_out *o)
{
    bool ptp = stamp_error_is_ptp(q->error);

    if (!reflector_rate_allows(r, &r->sources[s->source], mono)) {
        reflector_count(r, REFLECTOR_RATE);
        return false;
    }
    s->history.last = mono;
    struct stamp_answer a = {
        .sequence = s->sequence++,
        .error = ptp ? r->error_ptp : r->error_ntp,
        .ttl = p->ttl,
        .t2 = stamp_time_format(p->at.at, ptp),
        .t3 = stamp_time_format(now, ptp),
    };
    *o = reply_to(r, s, p, a.sequence, now);
    o->tos = (uint8_t)(s->dscp << 2);
    o->size = stamp_twamp_reply_make(p->data, q, &a, s->symmetrical);
    return true;
}

/* Whether the packet is signed as a peer with 'keys' must; by which, if at all. */
static bool
authentic(struct reflector *r, const struct stampauth_ring *keys, const struct stamp_request *q,
          const struct tstamp_packet *p, struct stampauth_key **key)
{
    *key = NULL;
    if (!keys) {
        if (q->authenticated) {
            reflector_count(r, REFLECTOR_UNKNOWN_KEY);
        }
        return !q->authenticated;
    }
    switch (reflector_signed(keys, q, p, key)) {
    case STAMPAUTH_OK:
        return true;
    case STAMPAUTH_UNSIGNED:
        reflector_count(r, REFLECTOR_UNAUTHENTICATED);
        return false;
    case STAMPAUTH_WRONG_KEY:
        reflector_count(r, REFLECTOR_WRONG_KEY);
        return false;
    }
    return false;
}

/* The session of an authentic packet, made if need be; NULL: it is not answered.
 * What is not authentic makes no session and moves none. */
static struct rsession *
session_of(struct reflector *r, struct rsession *k, const struct stamp_request *q,
           const struct tstamp_packet *p, struct span mono, struct stampauth_key **key)
{
    struct rsession *s = reflector_session_find(r, k);
    const struct peer *peer;
    unsigned reply_by;

    if (s) {
        return authentic(r, s->keys, q, p, key) ? s : NULL;
    }
    peer = reflector_peer_find(r, &k->peer, &k->local, p->ifindex, &reply_by);
    if (peer) {
        return authentic(r, peer->is.keys, q, p, key)
                   ? reflector_session_make(r, k, peer, reply_by, mono)
                   : NULL;
    }
    peer = reflector_nat_find(r, q, p, mono, key); /* Counts the stranger. */
    if (!peer) {
        return NULL;
    }
    k->nat = peer->is.nat;
    s = reflector_session_find(r, k);
    return s ? s
             : reflector_session_make(r, k, peer, reflector_reply_by(peer, &p->peer, p->ifindex),
                                      mono);
}

/* Whether 'p' is answered, by 'o'. */
static bool
reflect(struct reflector *r, const struct tstamp_packet *p, struct instant now, struct span mono,
        struct tstamp_out *o)
{
    static const enum reflector_count refused[STAMP_VERDICTS] = {
        [STAMP_SHORT] = REFLECTOR_SHORT,
        [STAMP_OVERLONG] = REFLECTOR_OVERLONG,
        [STAMP_BAD_ERROR] = REFLECTOR_BAD_ERROR,
    };
    struct rsession key = {.peer = p->peer, .local = p->local, .port = p->port};
    struct stamp_request q;
    enum stamp_verdict v = stamp_request_parse(p->data, p->size, &q);
    struct stampauth_key *signed_by = NULL;
    struct rsession *s;

    if (v != STAMP_OK) {
        reflector_count(r, refused[v]);
        return false;
    }
    if (r->twamp_live > 0 && !q.authenticated) {
        key.twamp = true;
        s = reflector_session_find(r, &key);
        if (s) {
            return reflect_twamp(r, s, &q, p, now, mono, o);
        }
        key.twamp = false;
    }
    key.ssid = q.ssid;
    s = session_of(r, &key, &q, p, mono, &signed_by);
    if (!s || !admit(r, s, &q, mono)) {
        return false;
    }
    if (s->nat) {
        reflector_nat_follow(r, s, p);
    }
    answer(r, s, &q, signed_by, p, now, o);
    return true;
}

/* Answers one batch.  T3 is taken anew for each, so that a reply without
 * follow-up is as right as can be. */
static void
reflect_batch(struct reflector *r, const struct tstamp_packet *packets, int n, struct span mono)
{
    struct tstamp_out *outs = tstamp_io_outs(r->io);
    unsigned most = tstamp_batch(&r->socket);
    unsigned ready = 0;
    unsigned refused = 0;
    unsigned answered = 0;

    for (int i = 0; i < n; i++) {
        ready += reflect(r, &packets[i], instant_now(), mono, &outs[ready]);
        if (ready > 0 && (ready == most || i == n - 1)) {
            tstamp_send(&r->socket, r->io, ready, on_sent, r);
            for (unsigned k = 0; k < ready; k++) {
                refused += outs[k].error != 0;
            }
            answered += ready;
            ready = 0;
        }
    }
    counter_add(&r->counters[REFLECTOR_REQUESTS], (uint64_t)n);
    counter_add(&r->counters[REFLECTOR_REPLIES], answered - refused);
}

unsigned
reflector_receive(struct reflector *r, bool requests, bool stamps)
{
    struct span mono = mono_now();
    unsigned taken = 0;
    int n = 0;

    if (stamps) {
        tstamp_drain(&r->socket, r->io, instant_now(), on_sent, r);
    }
    for (unsigned batches = 0; requests && batches < 8; batches++) {
        n = tstamp_receive(&r->socket, r->io);
        if (n <= 0) {
            break;
        }
        reflect_batch(r, tstamp_io_packets(r->io), n, mono);
        if (r->socket.outstanding > 0) {
            tstamp_drain(&r->socket, r->io, instant_now(), on_sent, r);
        }
        taken += (unsigned)n;
        if (n < TSTAMP_BATCH) {
            break;
        }
    }
    reflector_sweep(r, mono, 4);
    return taken;
}
