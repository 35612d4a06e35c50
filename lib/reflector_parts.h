/* reflector_parts.h - what reflector.c (socket, packets), reflector_session.c
 * (sessions, peers, sources) and reflector_nat.c (peers without an address) share;
 * for no other file. */
#ifndef PLUMBLINE_REFLECTOR_PARTS_H
#define PLUMBLINE_REFLECTOR_PARTS_H

#include <net/if.h>

#include "reflector.h"

enum { REFLECTOR_NAT_HINTS = 4096 };

struct rsession {
    struct address peer, local;
    uint16_t port;
    uint16_t ssid;
    uint64_t nat; /* Not 0: its peer's number; then the addresses are those of the last packet. */
    bool used;
    bool twamp;                  /* Made by TWAMP-Control; 'ssid' is 0. */
    bool symmetrical;            /* Of TWAMP: see reflector.h. */
    uint8_t dscp;                /* Of TWAMP: the replies'. */
    uint16_t generation;         /* Of this place, for late stamps of who had it before. */
    uint32_t source;             /* Place in sources[]. */
    unsigned ifindex;            /* Reply by this one; 0: routed. */
    struct stampauth_ring *keys; /* The peer's, both. */
    uint64_t dscps;
    uint32_t epoch;
    uint32_t sequence; /* Of the next reply. */
    struct history history;
    uint32_t follow_up_first, follow_up_next;
    struct reflector_follow_up follow_ups[REFLECTOR_FOLLOW_UPS];
};

struct peer {
    struct reflector_peer is;
    char interface[IF_NAMESIZE];
};

/* A token bucket for each source address. */
struct source {
    struct address address;
    uint32_t sessions;
    uint32_t tokens;
    struct span filled;
};

/* Which peer behind NAT an address and port was of. */
struct nat_hint {
    uint32_t tag; /* Their hash; 0: none. */
    uint32_t peer;
};

struct reflector {
    struct tstamp socket;
    struct tstamp_io *io;
    uint16_t error_ntp, error_ptp;
    bool synchronised;
    uint32_t epoch, begun_again; /* Each session made again after one was forgotten has another. */
    struct peer *peers;
    size_t peer_count;
    struct rsession *sessions; /* [1..limit], then REFLECTOR_TWAMP_MAX of TWAMP-Control's. */
    uint32_t twamp_live;
    uint32_t *free_sessions;
    uint32_t free_count;
    uint32_t *table; /* Places in sessions[]; 0: free. */
    uint32_t mask;   /* Of table and sources. */
    struct source *sources;
    uint32_t limit, live, rate;
    uint32_t sweep; /* Next place to look at for expiry. */
    struct span idle;
    struct nat_hint nat_hints[REFLECTOR_NAT_HINTS];
    size_t nat_count; /* Of the peers. */
    uint32_t nat_next;
    int64_t nat_tries; /* Keys that may still be tried. */
    struct span nat_filled;
    struct counter counters[REFLECTOR_COUNTS];
    const char *names[REFLECTOR_COUNTS];
};

static inline void
reflector_count(struct reflector *r, enum reflector_count which)
{
    counter_add(&r->counters[which], 1);
}

/* Memory for so many sessions as r->limit says: 0 or -ENOMEM; tables_free() frees
 * what there is, the peers too. */
int reflector_tables_new(struct reflector *r);
void reflector_tables_free(struct reflector *r);

/* The session of these addresses, this port and SSID, or of this number and SSID; or
 * NULL. */
struct rsession *reflector_session_find(const struct reflector *r, const struct rsession *key);

/* Makes it for 'peer', if there is room; else NULL, counted. */
struct rsession *reflector_session_make(struct reflector *r, const struct rsession *key,
                                        const struct peer *peer, unsigned reply_by,
                                        struct span mono);

/* The interface for replies to what came by 'ifindex', or 0: routed. */
unsigned reflector_reply_by(const struct peer *peer, const struct address *remote,
                            unsigned ifindex);

/* The first peer that these addresses are of, or NULL.  '*reply_by' as above. */
const struct peer *reflector_peer_find(const struct reflector *r, const struct address *remote,
                                       const struct address *local, unsigned ifindex,
                                       unsigned *reply_by);

/* Whether a packet is signed with one of these keys; where its TLVs are what is
 * signed, the reflector must be able to use them. */
static inline enum stampauth_verdict
reflector_signed(const struct stampauth_ring *keys, const struct stamp_request *q,
                 const struct tstamp_packet *p, struct stampauth_key **key)
{
    if (!q->extended && !q->authenticated) {
        return STAMPAUTH_UNSIGNED;
    }
    return stampauth_check(keys, p->data, q->size, q->authenticated, key);
}

/* Whether a source may ask once more now. */
bool reflector_rate_allows(struct reflector *r, struct source *s, struct span mono);

/* Of a packet from nobody's address: the peer behind NAT with whose '*key' it is
 * signed, or NULL, counted. */
const struct peer *reflector_nat_find(struct reflector *r, const struct stamp_request *q,
                                      const struct tstamp_packet *p, struct span mono,
                                      struct stampauth_key **key);

/* A packet of 's', new and authentic: from here on the session is where it came from. */
void reflector_nat_follow(struct reflector *r, struct rsession *s, const struct tstamp_packet *p);

/* There are other peers. */
void reflector_nat_reset(struct reflector *r);

/* The peer of this number, or NULL. */
const struct peer *reflector_nat_peer(const struct reflector *r, uint64_t nat);

/* Looks at so many sessions, and forgets those that are silent for too long. */
void reflector_sweep(struct reflector *r, struct span mono, uint32_t steps);

#endif
