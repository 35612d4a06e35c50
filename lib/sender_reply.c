/* sender_reply.c - what comes back to the sender: whose a reply is, whether it is to be believed,
 * what its times say; transmit stamps. */
#include "sender_parts.h"

#include <assert.h>
#include <errno.h>

#include "echo.h"
#include "hops.h"

/* A foreign far end's time that is further from ours is of another epoch. */
#define EPOCH_NS (86400 * NS_PER_S)

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
int
sender_reply_add(struct set *t, uint32_t place)
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
            sender_count(s, SENDER_REPLY_OTHER_FORMAT);
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
        sender_count(s, SENDER_REPLY_BAD_ERROR);
    }
    if (r->bad_tlv) {
        sender_count(s, SENDER_REPLY_BAD_TLV);
    }
    sender_emit(s, &e);
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
        if (ssid == HOPS_SSID && place == AMBIGUOUS) {
            return NULL; /* Of a path (hops.h), which has its own socket for it. */
        }
        sender_count(s, place == AMBIGUOUS ? SENDER_REPLY_UNKNOWN_SSID : SENDER_REPLY_STRANGER);
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
        sender_count(s, v == ECHO_SHORT ? SENDER_REPLY_SHORT : SENDER_REPLY_BAD_ECHO);
        return;
    }
    if (r.identifier != s->sockets[slot].socket.port) {
        sender_count(s, SENDER_REPLY_STRANGER);
        return;
    }
    n = session_of(s, slot, p, 0);
    if (n) {
        sender_emit(s, &(struct exchange){
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
        sender_count(s, v == STAMPAUTH_UNSIGNED ? SENDER_REPLY_UNAUTHENTICATED
                                                : SENDER_REPLY_WRONG_KEY);
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
        sender_count(s, SENDER_REPLY_BAD_INTEGRITY);
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
        sender_count(s, v == STAMP_SHORT ? SENDER_REPLY_SHORT : SENDER_REPLY_OVERLONG);
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

/* --- Reading. --- */

/* A transmit stamp: the cookie is index and sequence. */
void
sender_on_sent(uint64_t cookie, struct instant at, void *aux)
{
    struct sender *s = (struct sender *)aux;

    sender_emit(s, &(struct exchange){.kind = EXCHANGE_T1,
                                      .session = (uint32_t)(cookie >> 32),
                                      .sequence = (uint32_t)cookie,
                                      .at = at,
                                      .t1 = {.at = at, .source = TS_KERNEL}});
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
        tstamp_drain(&k->socket, s->io, instant_now(), sender_on_sent, s);
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
