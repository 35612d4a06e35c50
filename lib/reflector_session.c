/* reflector_session.c - the reflector's sessions, whom they are with, and how much
 * each source may ask. */
#include "reflector_parts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hops.h"

enum { NO_SESSION = 0 };

/* The list of places that are free, the least on top. */
static void
free_make(struct reflector *r)
{
    r->free_count = 0;
    for (uint32_t i = r->limit; i > 0; i--) {
        if (!r->sessions[i].used) {
            r->free_sessions[r->free_count++] = i;
        }
    }
}

int
reflector_tables_new(struct reflector *r)
{
    uint32_t size = 16;

    while (size < 2 * (r->limit + REFLECTOR_TWAMP_MAX)) {
        size *= 2;
    }
    r->mask = size - 1;
    r->sessions =
        (struct rsession *)calloc((size_t)r->limit + REFLECTOR_TWAMP_MAX + 1, sizeof *r->sessions);
    r->free_sessions = (uint32_t *)calloc((size_t)r->limit + 1, sizeof *r->free_sessions);
    r->table = (uint32_t *)calloc(size, sizeof *r->table);
    r->sources = (struct source *)calloc(size, sizeof *r->sources);
    if (!r->sessions || !r->free_sessions || !r->table || !r->sources) {
        return -ENOMEM;
    }
    free_make(r);
    return 0;
}

static void
peers_free(struct peer *peers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        stampauth_unref(peers[i].is.keys);
    }
    free(peers);
}

void
reflector_tables_free(struct reflector *r)
{
    free(r->sessions);
    free(r->free_sessions);
    free(r->table);
    free(r->sources);
    peers_free(r->peers, r->peer_count);
}

/* --- Sources and sessions. --- */

static uint32_t
hash(uint64_t a, uint64_t b, uint32_t c)
{
    uint64_t h = (a << 32 ^ a >> 32 ^ b) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ h >> 29 ^ c) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(h >> 32);
}

static uint32_t
session_home(const struct reflector *r, const struct rsession *s)
{
    uint64_t kind = s->twamp ? UINT64_C(0x5357) : 0;

    if (s->nat) {
        return hash(s->nat, 0, s->ssid) & r->mask;
    }
    return hash(address_hash(&s->peer) ^ kind, address_hash(&s->local),
                (uint32_t)s->port << 16 | s->ssid) &
           r->mask;
}

static bool
same_session(const struct rsession *a, const struct rsession *b)
{
    if (a->ssid != b->ssid || a->nat != b->nat || a->nat) {
        return a->ssid == b->ssid && a->nat == b->nat;
    }
    return a->port == b->port && a->twamp == b->twamp && address_equal(&a->peer, &b->peer) &&
           address_equal(&a->local, &b->local);
}

struct rsession *
reflector_session_find(const struct reflector *r, const struct rsession *key)
{
    for (uint32_t i = session_home(r, key);; i++) {
        struct rsession *s = &r->sessions[r->table[i & r->mask]];
        if (r->table[i & r->mask] == NO_SESSION) {
            return NULL;
        }
        if (same_session(s, key)) {
            return s;
        }
    }
}

/* Takes place 'hole' out of the open addressing table, moving back what would
 * not be found any more. */
static void
table_remove(struct reflector *r, uint32_t hole)
{
    for (uint32_t i = (hole + 1) & r->mask; r->table[i] != NO_SESSION; i = (i + 1) & r->mask) {
        uint32_t home = session_home(r, &r->sessions[r->table[i]]);
        if (((i - home) & r->mask) >= ((i - hole) & r->mask)) {
            r->table[hole] = r->table[i];
            hole = i;
        }
    }
    r->table[hole] = NO_SESSION;
}

/* So that it is found. */
static void
session_link(struct reflector *r, const struct rsession *s)
{
    uint32_t i = session_home(r, s);

    while (r->table[i] != NO_SESSION) {
        i = (i + 1) & r->mask;
    }
    r->table[i] = (uint32_t)(s - r->sessions);
}

/* So that it is found no more. */
static void
session_unlink(struct reflector *r, struct rsession *s)
{
    uint32_t place = (uint32_t)(s - r->sessions);
    uint32_t i = session_home(r, s);

    while (r->table[i] != place) {
        i = (i + 1) & r->mask;
    }
    table_remove(r, i);
    r->sources[s->source].sessions--;
    s->used = false;
}

static void
session_forget(struct reflector *r, struct rsession *s)
{
    uint32_t place = (uint32_t)(s - r->sessions);

    session_unlink(r, s);
    r->free_sessions[r->free_count++] = place;
    r->live--;
    /* Whoever has a session from now on has another epoch: its counts begin at
     * zero, and nobody may take that for loss. */
    r->begun_again++;
}

/* A source without sessions is as good as a free place, so places are never
 * removed, only taken over. */
static uint32_t
source_find(const struct reflector *r, const struct address *address)
{
    uint32_t unused = UINT32_MAX;
    uint32_t home = hash(address_hash(address), 0, 1);

    for (uint32_t i = 0; i <= r->mask; i++) {
        uint32_t at = (home + i) & r->mask;
        const struct source *s = &r->sources[at];
        if (address_equal(&s->address, address)) {
            return at;
        }
        if (s->sessions == 0 && unused == UINT32_MAX) {
            unused = at;
        }
        if (!address_is_set(&s->address)) {
            break;
        }
    }
    assert(unused != UINT32_MAX); /* There are twice as many places as sessions. */
    return unused;
}

bool
reflector_rate_allows(struct reflector *r, struct source *s, struct span mono)
{
    /* A tenth of a second's worth at once. */
    uint32_t most = r->rate / 10 + TSTAMP_BATCH;
    int64_t passed = mono.ns - s->filled.ns;

    if (passed > NS_PER_MS) {
        uint64_t gained =
            passed > NS_PER_S ? most : (uint64_t)passed * r->rate / (uint64_t)NS_PER_S;
        s->tokens = s->tokens + gained > most ? most : s->tokens + (uint32_t)gained;
        s->filled = mono;
    }
    if (s->tokens == 0) {
        return false;
    }
    s->tokens--;
    return true;
}

unsigned
reflector_reply_by(const struct peer *peer, const struct address *remote, unsigned ifindex)
{
    return peer->interface[0] || address_is_link_local(remote) ? ifindex : 0;
}

const struct peer *
reflector_peer_find(const struct reflector *r, const struct address *remote,
                    const struct address *local, unsigned ifindex, unsigned *reply_by)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        const struct peer *p = &r->peers[i];
        if (p->is.nat ||
            (address_is_set(&p->is.remote) &&
             !address_in_prefix(remote, &p->is.remote, p->is.remote_bits)) ||
            (address_is_host(&p->is.local) && !address_equal(&p->is.local, local))) {
            continue;
        }
        *reply_by = reflector_reply_by(p, remote, ifindex);
        if (!p->interface[0] || if_nametoindex(p->interface) == ifindex) {
            return p;
        }
    }
    return NULL;
}

static bool
expired(const struct reflector *r, const struct rsession *s, struct span mono)
{
    return s->used && mono.ns - s->history.last.ns > r->idle.ns;
}

/* Looks at a few sessions each time: all of them within a few seconds of work. */
void
reflector_sweep(struct reflector *r, struct span mono, uint32_t steps)
{
    for (uint32_t i = 0; i < steps && r->live > 0; i++) {
        struct rsession *s = &r->sessions[1 + r->sweep++ % r->limit];
        if (expired(r, s, mono)) {
            if (s->ssid != HOPS_SSID) { /* A path is no session that fell silent. */
                reflector_count(r, REFLECTOR_EXPIRED);
            }
            session_forget(r, s);
        }
    }
}

/* Counts and links 's', whose 'source' is its place there. */
static void
session_enter(struct reflector *r, struct rsession *s)
{
    struct source *source = &r->sources[s->source];

    if (!address_equal(&source->address, &s->peer)) {
        *source = (struct source){.address = s->peer};
    }
    source->sessions++;
    r->live++;
    session_link(r, s);
}

struct rsession *
reflector_session_make(struct reflector *r, const struct rsession *key, const struct peer *peer,
                       unsigned reply_by, struct span mono)
{
    struct rsession *s;

    if (r->free_count == 0) {
        reflector_sweep(r, mono, 64);
    }
    if (r->free_count == 0) {
        reflector_count(r, REFLECTOR_FULL);
        return NULL;
    }
    uint32_t place = source_find(r, &key->peer);
    struct source *source = &r->sources[place];
    bool known = address_equal(&source->address, &key->peer);
    /* No source may have more than it leaves to the others, so that one that forges
     * SSIDs cannot shut them out. */
    if (known && source->sessions >= r->free_count) {
        reflector_count(r, REFLECTOR_SOURCE_FULL);
        return NULL;
    }
    s = &r->sessions[r->free_sessions[--r->free_count]];
    *s = (struct rsession){
        .peer = key->peer,
        .local = key->local,
        .port = key->port,
        .ssid = key->ssid,
        .nat = key->nat,
        .used = true,
        .generation = (uint16_t)(s->generation + 1),
        .source = place,
        .ifindex = reply_by,
        .keys = peer->is.keys,
        .dscps = peer->is.dscps,
        .epoch = r->epoch + r->begun_again,
        .history.last = mono,
    };
    session_enter(r, s);
    return s;
}

/* Each session takes on what its peer says now; those without one are forgotten. */
static void
sessions_follow(struct reflector *r)
{
    for (uint32_t i = 1; i <= r->limit; i++) {
        struct rsession *s = &r->sessions[i];
        const struct peer *p;
        unsigned reply_by;
        if (!s->used) {
            continue;
        }
        p = s->nat ? reflector_nat_peer(r, s->nat)
                   : reflector_peer_find(r, &s->peer, &s->local, s->ifindex, &reply_by);
        if (p) {
            s->keys = p->is.keys;
            s->dscps = p->is.dscps;
        } else {
            session_forget(r, s);
        }
    }
}

int
reflector_allow(struct reflector *r, const struct reflector_peer *peers, size_t peer_count)
{
    struct peer *copy = (struct peer *)calloc(peer_count + 1, sizeof *copy);

    if (!copy) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < peer_count; i++) {
        copy[i].is = peers[i];
        copy[i].is.interface = NULL;
        assert(peers[i].keys || !peers[i].nat);
        if (peers[i].remote_bits > 8 * address_size(&peers[i].remote) ||
            (peers[i].interface && strlen(peers[i].interface) >= IF_NAMESIZE)) {
            free(copy);
            return -EINVAL;
        }
        if (peers[i].interface) {
            strcpy(copy[i].interface, peers[i].interface);
        }
    }
    for (size_t i = 0; i < peer_count; i++) {
        (void)stampauth_ref(copy[i].is.keys);
    }
    peers_free(r->peers, r->peer_count);
    r->peers = copy;
    r->peer_count = peer_count;
    reflector_nat_reset(r);
    sessions_follow(r);
    return 0;
}

/* --- From one process to the next. --- */

bool
reflector_keep(const struct reflector *r, uint32_t *from, struct reflector_kept *out)
{
    uint32_t place = *from ? *from : 1;

    while (place <= r->limit && !r->sessions[place].used) {
        place++;
    }
    *from = place + 1;
    if (place > r->limit) {
        return false;
    }
    const struct rsession *s = &r->sessions[place];
    *out = (struct reflector_kept){.place = place,
                                   .peer = s->peer,
                                   .local = s->local,
                                   .port = s->port,
                                   .ssid = s->ssid,
                                   .nat = s->nat,
                                   .generation = s->generation,
                                   .ifindex = s->ifindex,
                                   .epoch = s->epoch,
                                   .sequence = s->sequence,
                                   .history = s->history};
    for (uint32_t i = s->follow_up_first; i != s->follow_up_next; i++) {
        out->follow_ups[out->follow_up_count++] = s->follow_ups[i % REFLECTOR_FOLLOW_UPS];
    }
    return true;
}

void
reflector_keep_epoch(const struct reflector *r, uint32_t *epoch, uint32_t *begun_again)
{
    *epoch = r->epoch;
    *begun_again = r->begun_again;
}

static void
session_resume(struct reflector *r, const struct reflector_kept *k)
{
    struct rsession key = {
        .peer = k->peer, .local = k->local, .port = k->port, .ssid = k->ssid, .nat = k->nat};
    struct rsession *s = &r->sessions[k->place];

    if (k->place == 0 || k->place > r->limit || s->used || reflector_session_find(r, &key)) {
        reflector_count(r, REFLECTOR_FULL);
        return;
    }
    *s = key;
    s->used = true;
    s->generation = k->generation;
    s->source = source_find(r, &k->peer);
    s->ifindex = k->ifindex;
    s->epoch = k->epoch;
    s->sequence = k->sequence;
    s->history = k->history;
    s->follow_up_next = k->follow_up_count;
    memcpy(s->follow_ups, k->follow_ups, k->follow_up_count * sizeof s->follow_ups[0]);
    session_enter(r, s);
}

void
reflector_resume(struct reflector *r, uint32_t epoch, uint32_t begun_again,
                 const struct reflector_kept *kept, size_t kept_count)
{
    for (uint32_t i = 1; i <= r->limit; i++) {
        if (r->sessions[i].used) {
            session_forget(r, &r->sessions[i]);
        }
    }
    r->epoch = epoch;
    r->begun_again = begun_again;
    for (size_t i = 0; i < kept_count; i++) {
        session_resume(r, &kept[i]);
    }
    free_make(r);
}

/* --- Sessions of TWAMP-Control. --- */

int
reflector_twamp_open(struct reflector *r, const struct reflector_twamp *t)
{
    struct rsession key = {.peer = t->peer,
                           .local = t->local,
                           .port = t->port,
                           .twamp = true,
                           .symmetrical = t->symmetrical,
                           .dscp = t->dscp,
                           .used = true,
                           .history.last = mono_now()};
    struct rsession *s = &r->sessions[r->limit + 1];
    int handle = 0;

    if (reflector_session_find(r, &key)) {
        return -EEXIST;
    }
    while (handle < REFLECTOR_TWAMP_MAX && s[handle].used) {
        handle++;
    }
    if (handle == REFLECTOR_TWAMP_MAX) {
        return -ENOSPC;
    }
    s += handle;
    key.generation = (uint16_t)(s->generation + 1);
    key.source = source_find(r, &t->peer);
    *s = key;
    if (!address_equal(&r->sources[s->source].address, &t->peer)) {
        r->sources[s->source] = (struct source){.address = t->peer};
    }
    r->sources[s->source].sessions++;
    session_link(r, s);
    r->twamp_live++;
    return handle;
}

static struct rsession *
twamp_session(const struct reflector *r, int handle)
{
    assert(handle >= 0 && handle < REFLECTOR_TWAMP_MAX);
    struct rsession *s = &r->sessions[r->limit + 1 + (uint32_t)handle];
    assert(s->used);
    return s;
}

void
reflector_twamp_close(struct reflector *r, int handle)
{
    session_unlink(r, twamp_session(r, handle));
    r->twamp_live--;
}

struct span
reflector_twamp_heard(const struct reflector *r, int handle)
{
    return twamp_session(r, handle)->history.last;
}
