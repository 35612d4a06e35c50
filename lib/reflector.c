/* reflector.c - sessions of the reflector, and the packets that they get back. */
#include "reflector.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

enum { NO_SESSION = 0 };

static const char *const own_names[REFLECTOR_SOCKET] = {
    "short",
    "overlong",
    "bad_error_estimate",
    "bad_tlv",
    "wrong_key",
    "unauthenticated",
    "unknown_key",
    "bad_tlv_integrity",
    "stranger",
    "duplicate",
    "replayed",
    "rate_limited",
    "full",
    "source_full",
    "expired",
    "sender_began_anew",
    "follow_up_lost",
};

struct rsession {
    struct address peer, local;
    uint16_t port;
    uint16_t ssid;
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
    struct counter counters[REFLECTOR_COUNTS];
    const char *names[REFLECTOR_COUNTS];
};

/* --- History. --- */

static bool
bit_get(const struct history *h, uint32_t back)
{
    return back < HISTORY_BITS && (h->bits[back / 64] >> (back % 64) & 1);
}

static void
shift(struct history *h, uint32_t by)
{
    uint64_t from[HISTORY_BITS / 64];
    uint32_t words = by / 64;
    uint32_t bits = by % 64;

    memcpy(from, h->bits, sizeof from);
    for (uint32_t i = 0; i < HISTORY_BITS / 64; i++) {
        uint64_t v = 0;
        if (i >= words && words < HISTORY_BITS / 64) {
            v = from[i - words] << bits;
            if (bits && i > words) {
                v |= from[i - words - 1] >> (64 - bits);
            }
        }
        h->bits[i] = v;
    }
}

static void
take(struct history *h, uint32_t sequence, int64_t t1_ns, struct span mono)
{
    if (!h->begun) {
        *h = (struct history){
            .bits = {1}, .highest = sequence, .highest_t1_ns = t1_ns, .begun = true};
    } else if (sequence - h->highest - 1 < UINT32_C(1) << 31) {
        shift(h, sequence - h->highest);
        h->bits[0] |= 1;
        h->highest = sequence;
        h->highest_t1_ns = t1_ns;
    } else {
        uint32_t back = h->highest - sequence;
        h->bits[back / 64] |= UINT64_C(1) << (back % 64);
    }
    h->received++;
    h->before = h->last;
    h->last = mono;
}

enum history_verdict
history_add(struct history *h, uint32_t sequence, int64_t t1_ns, struct span mono)
{
    uint32_t back = h->highest - sequence;
    int64_t silence = mono.ns - h->last.ns;

    if (!h->begun || back > UINT32_C(1) << 31) {
        take(h, sequence, t1_ns, mono);
        return HISTORY_NEW;
    }
    bool newer = t1_ns != 0 && h->highest_t1_ns != 0 && t1_ns > h->highest_t1_ns;
    bool known = back >= HISTORY_WINDOW || bit_get(h, back);
    bool after_silence = known && silence > NS_PER_S && silence / 8 > h->last.ns - h->before.ns;
    if (newer || after_silence) {
        *h = (struct history){.begun = false};
        take(h, sequence, t1_ns, mono);
        return HISTORY_RESTARTED;
    }
    if (back >= HISTORY_WINDOW) {
        return HISTORY_REPLAYED;
    }
    if (known) {
        h->duplicates++;
        return HISTORY_DUPLICATE;
    }
    take(h, sequence, t1_ns, mono);
    return HISTORY_NEW;
}

/* Octets from the wire's first bit on: reverse of the bits' order in memory. */
static uint8_t
reversed(uint8_t b)
{
    b = (uint8_t)((b & 0xf0) >> 4 | (b & 0x0f) << 4);
    b = (uint8_t)((b & 0xcc) >> 2 | (b & 0x33) << 2);
    return (uint8_t)((b & 0xaa) >> 1 | (b & 0x55) << 1);
}

void
history_bitmap(const struct history *h, uint32_t sequence, uint8_t bitmap[16])
{
    struct history t = {.begun = true};
    uint32_t from = h->highest - sequence + 1; /* 1..128: shift so much away. */
    uint32_t words = from / 64;
    uint32_t bits = from % 64;

    assert(from - 1 < HISTORY_WINDOW);
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t v = h->bits[i + words] >> bits;
        if (bits && i + words + 1 < HISTORY_BITS / 64) {
            v |= h->bits[i + words + 1] << (64 - bits);
        }
        t.bits[i] = v;
    }
    for (unsigned i = 0; i < 16; i++) {
        bitmap[i] = reversed((uint8_t)(t.bits[i / 8] >> (i % 8 * 8)));
    }
}

/* --- Life. --- */

static uint32_t
epoch_of_clock(void)
{
    uint64_t x = (uint64_t)instant_now().ns ^ (uint64_t)mono_now().ns << 20;

    x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 29;
    return (uint32_t)x ? (uint32_t)x : 1;
}

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

static int
tables_new(struct reflector *r)
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
    if (tables_new(r) < 0) {
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

static void
peers_free(struct peer *peers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        stampauth_unref(peers[i].is.keys);
    }
    free(peers);
}

void
reflector_free(struct reflector *r)
{
    if (r) {
        reflector_close(r);
        free(r->sessions);
        free(r->free_sessions);
        free(r->table);
        free(r->sources);
        peers_free(r->peers, r->peer_count);
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

static void
count(struct reflector *r, enum reflector_count which)
{
    counter_add(&r->counters[which], 1);
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
    return hash(address_hash(&s->peer) ^ kind, address_hash(&s->local),
                (uint32_t)s->port << 16 | s->ssid) &
           r->mask;
}

static struct rsession *
session_find(const struct reflector *r, const struct rsession *key)
{
    for (uint32_t i = session_home(r, key);; i++) {
        struct rsession *s = &r->sessions[r->table[i & r->mask]];
        if (r->table[i & r->mask] == NO_SESSION) {
            return NULL;
        }
        if (s->port == key->port && s->ssid == key->ssid && s->twamp == key->twamp &&
            address_equal(&s->peer, &key->peer) && address_equal(&s->local, &key->local)) {
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

static bool
rate_allows(struct reflector *r, struct source *s, struct span mono)
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

static const struct peer *
peer_find(const struct reflector *r, const struct address *remote, const struct address *local,
          unsigned ifindex, unsigned *reply_by)
{
    for (size_t i = 0; i < r->peer_count; i++) {
        const struct peer *p = &r->peers[i];
        if ((address_is_set(&p->is.remote) &&
             !address_in_prefix(remote, &p->is.remote, p->is.remote_bits)) ||
            (address_is_host(&p->is.local) && !address_equal(&p->is.local, local))) {
            continue;
        }
        *reply_by = p->interface[0] || address_is_link_local(remote) ? ifindex : 0;
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
static void
sweep(struct reflector *r, struct span mono, uint32_t steps)
{
    for (uint32_t i = 0; i < steps && r->live > 0; i++) {
        struct rsession *s = &r->sessions[1 + r->sweep++ % r->limit];
        if (expired(r, s, mono)) {
            count(r, REFLECTOR_EXPIRED);
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

static struct rsession *
session_make(struct reflector *r, const struct rsession *key, unsigned ifindex, struct span mono)
{
    unsigned reply_by;
    struct rsession *s;

    if (!peer_find(r, &key->peer, &key->local, ifindex, &reply_by)) {
        count(r, REFLECTOR_STRANGER);
        return NULL;
    }
    if (r->free_count == 0) {
        sweep(r, mono, 64);
    }
    if (r->free_count == 0) {
        count(r, REFLECTOR_FULL);
        return NULL;
    }
    uint32_t place = source_find(r, &key->peer);
    struct source *source = &r->sources[place];
    bool known = address_equal(&source->address, &key->peer);
    /* No source may have more than it leaves to the others, so that one that forges
     * SSIDs cannot shut them out. */
    if (known && source->sessions >= r->free_count) {
        count(r, REFLECTOR_SOURCE_FULL);
        return NULL;
    }
    s = &r->sessions[r->free_sessions[--r->free_count]];
    *s = (struct rsession){
        .peer = key->peer,
        .local = key->local,
        .port = key->port,
        .ssid = key->ssid,
        .used = true,
        .generation = (uint16_t)(s->generation + 1),
        .source = place,
        .ifindex = reply_by,
        .epoch = r->epoch + r->begun_again,
        .history.last = mono,
    };
    session_enter(r, s);
    return s;
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
    for (uint32_t i = 1; i <= r->limit; i++) {
        struct rsession *s = &r->sessions[i];
        const struct peer *p;
        unsigned reply_by;
        if (!s->used) {
            continue;
        }
        p = peer_find(r, &s->peer, &s->local, s->ifindex, &reply_by);
        if (p) {
            s->keys = p->is.keys;
            s->dscps = p->is.dscps;
        } else {
            session_forget(r, s);
        }
    }
    return 0;
}

/* --- From one process to the next. --- */

struct tstamp *
reflector_socket(const struct reflector *r)
{
    return (struct tstamp *)(uintptr_t)&r->socket;
}

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

static void
session_resume(struct reflector *r, const struct reflector_kept *k)
{
    struct rsession key = {.peer = k->peer, .local = k->local, .port = k->port, .ssid = k->ssid};
    struct rsession *s = &r->sessions[k->place];

    if (k->place == 0 || k->place > r->limit || s->used || session_find(r, &key)) {
        count(r, REFLECTOR_FULL);
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

    if (session_find(r, &key)) {
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
        count(r, REFLECTOR_T3_LOST);
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

    if (!rate_allows(r, &r->sources[s->source], mono)) {
        count(r, REFLECTOR_RATE);
        return false;
    }
    (void)stamp_time_parse(q->t1, stamp_error_is_ptp(q->error), &t1);
    v = history_add(&s->history, q->sequence, t1.ns, mono);
    if (v == HISTORY_DUPLICATE) {
        count(r, REFLECTOR_DUPLICATE);
        return false;
    }
    if (v == HISTORY_REPLAYED) {
        count(r, REFLECTOR_REPLAYED);
        return false;
    }
    if (v == HISTORY_RESTARTED) {
        count(r, REFLECTOR_RESTARTED);
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
        count(r, REFLECTOR_T3_LOST);
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
        .integrity_failed = q->extended && !stampauth_tlvs_check(key, p->data, q->size),
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
        count(r, REFLECTOR_BAD_TLV);
    }
    if (a.integrity_failed) {
        count(r, REFLECTOR_BAD_INTEGRITY);
    }
    if (key) {
        stampauth_sign(key, p->data, o->size, !a.integrity_failed);
    }
}

/* A packet of a session of TWAMP-Control. */
static bool
reflect_twamp(struct reflector *r, struct rsession *s, const struct stamp_request *q,
              const struct tstamp_packet *p, struct instant now, struct span mono,
              struct tstamp_out *o)
{
    bool ptp = stamp_error_is_ptp(q->error);

    if (!rate_allows(r, &r->sources[s->source], mono)) {
        count(r, REFLECTOR_RATE);
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
    if (!q->authenticated) {
        if (keys) {
            count(r, REFLECTOR_UNAUTHENTICATED);
        }
        return !keys;
    }
    if (!keys) {
        count(r, REFLECTOR_UNKNOWN_KEY);
        return false;
    }
    *key = stampauth_check(keys, p->data);
    if (!*key) {
        count(r, REFLECTOR_WRONG_KEY);
    }
    return *key != NULL;
}

/* The session of an authentic packet, made if need be; NULL: it is not answered.
 * What is not authentic makes no session and moves none. */
static struct rsession *
session_of(struct reflector *r, const struct rsession *k, const struct stamp_request *q,
           const struct tstamp_packet *p, struct span mono, struct stampauth_key **key)
{
    struct rsession *s = session_find(r, k);
    const struct peer *peer;
    unsigned reply_by;

    if (s) {
        return authentic(r, s->keys, q, p, key) ? s : NULL;
    }
    peer = peer_find(r, &k->peer, &k->local, p->ifindex, &reply_by);
    if (peer && !authentic(r, peer->is.keys, q, p, key)) {
        return NULL;
    }
    s = session_make(r, k, p->ifindex, mono); /* Counts the stranger. */
    if (s) {
        s->keys = peer->is.keys;
        s->dscps = peer->is.dscps;
    }
    return s;
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
        count(r, refused[v]);
        return false;
    }
    if (r->twamp_live > 0 && !q.authenticated) {
        key.twamp = true;
        s = session_find(r, &key);
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
    sweep(r, mono, 4);
    return taken;
}
