/* reflector_nat.c - peers whose addresses change on the way: a packet's key says
 * which link it is of, whatever address it comes from.
 *
 * Each key tried costs an HMAC, so what an address was last time is remembered
 * as a hint, and keys are tried only so often without one: a stranger who signs
 * with anything cannot keep the thread busy. */
#include "reflector_parts.h"

#include <string.h>

/* Keys tried without a hint in a second: about 2 % of a core. */
#define TRIES 20000

/* Places that an address may have, from its home on. */
enum { HINT_REACH = 4 };

static uint32_t
hint_tag(const struct tstamp_packet *p)
{
    uint64_t h = (address_hash(&p->peer) ^ p->port) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32) | 1; /* Never 0, which is no hint. */
}

static struct nat_hint *
hint_at(struct reflector *r, uint32_t tag, unsigned step)
{
    return &r->nat_hints[((tag >> 1) + step) % REFLECTOR_NAT_HINTS];
}

/* The peer that this address was of, or NULL. */
static const struct peer *
hinted(struct reflector *r, uint32_t tag)
{
    for (unsigned i = 0; i < HINT_REACH; i++) {
        const struct nat_hint *h = hint_at(r, tag, i);
        if (h->tag == tag) {
            return &r->peers[h->peer];
        }
    }
    return NULL;
}

static void
hint_keep(struct reflector *r, uint32_t tag, const struct peer *peer)
{
    struct nat_hint *to = hint_at(r, tag, r->nat_next++ % HINT_REACH);

    for (unsigned i = HINT_REACH; i-- > 0;) {
        struct nat_hint *h = hint_at(r, tag, i);
        to = h->tag == 0 || h->tag == tag ? h : to;
    }
    *to = (struct nat_hint){.tag = tag, .peer = (uint32_t)(peer - r->peers)};
}

/* The peer that signed 'p', tried with all that have a number, or NULL. */
static const struct peer *
search(struct reflector *r, const struct stamp_request *q, const struct tstamp_packet *p,
       struct stampauth_key **key)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        const struct peer *peer = &r->peers[i];
        if (peer->is.nat && reflector_signed(peer->is.keys, q, p, key) == STAMPAUTH_OK) {
            return peer;
        }
    }
    return NULL;
}

static bool
may_search(struct reflector *r, struct span mono)
{
    int64_t passed = mono.ns - r->nat_filled.ns;
    int64_t least = (int64_t)r->nat_count;

    if (passed > NS_PER_MS) {
        int64_t gained = passed > NS_PER_S ? TRIES : passed * TRIES / NS_PER_S;
        int64_t most = TRIES > least ? TRIES : least;
        r->nat_tries = r->nat_tries + gained > most ? most : r->nat_tries + gained;
        r->nat_filled = mono;
    }
    if (r->nat_tries < least) {
        return false;
    }
    r->nat_tries -= least;
    return true;
}

static bool
is_signed(const struct stamp_request *q, const struct tstamp_packet *p)
{
    return q->authenticated || stamp_request_has(p->data, q, STAMP_TLV_HMAC);
}

const struct peer *
reflector_nat_find(struct reflector *r, const struct stamp_request *q,
                   const struct tstamp_packet *p, struct span mono, struct stampauth_key **key)
{
    uint32_t tag = hint_tag(p);
    const struct peer *peer;

    if (r->nat_count == 0 || !is_signed(q, p)) {
        reflector_count(r, REFLECTOR_STRANGER);
        return NULL;
    }
    peer = hinted(r, tag);
    if (peer && reflector_signed(peer->is.keys, q, p, key) == STAMPAUTH_OK) {
        return peer;
    }
    if (!may_search(r, mono)) {
        reflector_count(r, REFLECTOR_NAT_LIMITED);
        return NULL;
    }
    peer = search(r, q, p, key);
    if (!peer) {
        reflector_count(r, REFLECTOR_WRONG_KEY);
        return NULL;
    }
    hint_keep(r, tag, peer);
    return peer;
}

void
reflector_nat_follow(struct reflector *r, struct rsession *s, const struct tstamp_packet *p)
{
    if (s->port == p->port && address_equal(&s->peer, &p->peer) &&
        address_equal(&s->local, &p->local)) {
        return;
    }
    reflector_count(r, REFLECTOR_NAT_MOVED);
    s->peer = p->peer;
    s->port = p->port;
    s->local = p->local;
}

void
reflector_nat_reset(struct reflector *r)
{
    memset(r->nat_hints, 0, sizeof r->nat_hints);
    r->nat_count = 0;
    for (size_t i = 0; i < r->peer_count; i++) {
        r->nat_count += r->peers[i].is.nat != 0;
    }
}

const struct peer *
reflector_nat_peer(const struct reflector *r, uint64_t nat)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        if (r->peers[i].is.nat == nat) {
            return &r->peers[i];
        }
    }
    return NULL;
}
