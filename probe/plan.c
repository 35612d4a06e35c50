/* plan.c - the inventory, as one probe sees it. */
#include "plan.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "stamp.h"
#include "stampauth.h"
#include "wire.h"

/* An SSID is 16 bits, and 0 means "none" (RFC 8972, section 3); HOPS_SSID is no session's. */
#define PLAN_SESSIONS_MAX 65534u

/* Which indexes are taken: by this plan, and by the one before, whose packets may
 * still be out. */
struct plan_indexes {
    uint64_t words[(PLAN_SESSIONS_MAX + 64) / 64];
};

/* A link with an 'mtu' has one session more, of so many octets each second, by a
 * socket of its own, whose port comes after those of 256 flows. */
#define LARGE_PORT 256
#define LARGE_PERIOD NS_PER_S

struct plan_builder {
    struct plan *plan;
    const struct inv_link *link; /* The last one. */
    uint32_t large;              /* Its session of full-size packets; UINT32_MAX: none. */
    bool path_added;             /* Of that link. */
    struct plan_indexes *taken;
    const struct probe_config *config;
    const struct linkkeys *keys;
    const struct plan *old;
    uint32_t *next_index;
    struct instant not_before;
};

static void
take_index(struct plan_indexes *t, uint32_t index)
{
    t->words[index / 64] |= UINT64_C(1) << index % 64;
}

/* The next that is free, from '*next' on and round again: one that was let go of is
 * used again as late as can be.  PLAN_SESSIONS_MAX: none is. */
static uint32_t
new_index(struct plan_indexes *t, uint32_t *next)
{
    for (uint32_t i = 0; i < PLAN_SESSIONS_MAX; i++) {
        uint32_t index = (*next + i) % PLAN_SESSIONS_MAX;
        if (!(t->words[index / 64] >> index % 64 & 1)) {
            take_index(t, index);
            *next = index + 1;
            return index;
        }
    }
    return PLAN_SESSIONS_MAX;
}

/* What a session's packets are bound to. */
static const char *
device_of(const struct inv_end *end)
{
    return end->interface ? end->interface : end->vrf;
}

static bool
same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Whether two sessions would share a socket towards one peer. */
static bool
same_socket(const struct timing_session *a, const struct timing_session *b)
{
    return a->whole == b->whole && a->source_port == b->source_port &&
           a->destination_port == b->destination_port &&
           (a->protocol == SENDER_ICMP) == (b->protocol == SENDER_ICMP) &&
           address_equal(&a->destination, &b->destination) && same_text(a->interface, b->interface);
}

/* A foreign far end may not give the SSID back, so that the port (of ICMP the
 * identifier) alone tells its sessions apart: the next that is free. */
static int
choose_port(const struct timing_plan *p, struct timing_session *t)
{
    for (size_t i = 0; t->foreign && i < p->session_count; i++) {
        if (same_socket(&p->sessions[i], t)) {
            if (++t->source_port == 0) {
                return -EADDRINUSE;
            }
            i = SIZE_MAX; /* From the first again. */
        }
    }
    return 0;
}

/* The way that a session's packets go. */
static bool
same_path(const struct timing_session *a, const struct timing_session *b)
{
    return a->protocol == b->protocol && address_equal(&a->source, &b->source) &&
           a->foreign == b->foreign && a->ptp == b->ptp &&
           stampauth_mode(a->keys) == stampauth_mode(b->keys) && same_socket(a, b);
}

/* One that goes another way now counts its packets anew, so it is not the same:
 * it takes a new index, and what was out on the old way is the old one's. */
static const struct timing_session *
old_session(const struct plan *old, int64_t id, const struct timing_session *t)
{
    for (size_t i = 0; old && i < old->timing.session_count; i++) {
        if (old->sessions[i].id == id && same_path(&old->timing.sessions[i], t)) {
            return &old->timing.sessions[i];
        }
    }
    return NULL;
}

static int
copy_interface(const char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return from && !*to ? -ENOMEM : 0;
}

/* One more place in both lists. */
static int
grow(struct plan *p)
{
    size_t n = p->timing.session_count + 1;
    void *more = reallocarray(p->sessions, n, sizeof p->sessions[0]);

    if (!more) {
        return -ENOMEM;
    }
    p->sessions = more;
    more = reallocarray(p->timing.sessions, n, sizeof p->timing.sessions[0]);
    if (!more) {
        return -ENOMEM;
    }
    p->timing.sessions = more;
    return 0;
}

static struct timing_session
session_of(const struct inv_link *link, const struct inv_class *class_, unsigned end,
           const struct session_key *key, const struct plan_builder *b)
{
    static const enum sender_protocol protocols[] = {[INV_STAMP] = SENDER_STAMP,
                                                     [INV_TWAMP_LIGHT] = SENDER_TWAMP_LIGHT,
                                                     [INV_ICMP] = SENDER_ICMP};
    const struct inv_end *near = &link->ends[end], *far = &link->ends[1 - end];
    bool foreign = !far->probe;
    uint16_t base = foreign && far->source_port ? far->source_port : b->config->source_port;

    return (struct timing_session){
        .protocol = foreign ? protocols[far->protocol] : SENDER_STAMP,
        .foreign = foreign,
        .ptp = foreign && far->timestamp == INV_TIMESTAMP_PTP,
        .source = near->address,
        .destination = far->address,
        .source_port = (uint16_t)(base + key->flow),
        .destination_port = foreign && far->protocol == INV_ICMP ? 0 : far->port,
        .dscp = class_->dscp,
        .size = class_->size,
        .period = class_->period,
        .interface = device_of(near),
        .dt = class_->dt,
        .keys = linkkeys_of(b->keys, link->key),
    };
}

/* 0 too where it has no keys. */
static int
can_be_signed(const struct timing_session *t)
{
    if (t->keys && t->protocol != SENDER_STAMP) {
        return -EPROTONOSUPPORT;
    }
    return t->size < stampauth_size(t->keys) ? -EMSGSIZE : 0;
}

/* Adds 't' with a port, an index and a begin; 'key' names it. */
static int
add_timed(struct plan_builder *b, struct timing_session t, const struct session_key *key,
          uint32_t mtu)
{
    struct plan *p = b->plan;
    int64_t id = session_id_of(key);
    int err = can_be_signed(&t);

    if (!err) {
        err = choose_port(&p->timing, &t);
    }
    if (!err) {
        err = grow(p);
    }
    if (err) {
        return err;
    }
    const struct timing_session *old = old_session(b->old, id, &t);
    t.index = old ? old->index : new_index(b->taken, b->next_index);
    if (t.index == PLAN_SESSIONS_MAX) {
        return -EUSERS;
    }
    t.ssid = (uint16_t)(t.index + 1);
    t.begin = old ? old->begin : instant_ceil(b->not_before, t.dt);
    size_t i = p->timing.session_count++;
    p->sessions[i] = (struct plan_session){.key = *key, .id = id, .mtu = mtu, .large = UINT32_MAX};
    p->timing.sessions[i] = t;
    (void)stampauth_ref(t.keys);
    return copy_interface(&p->timing.sessions[i].interface, t.interface);
}

/* Full-size packets beside those of the link's first class. */
static int
add_large(struct plan_builder *b, const struct inv_link *link, struct timing_session t,
          const struct session_key *key)
{
    uint32_t headers = t.destination.family == 4 ? 28 : 48;

    t.size = link->mtu - headers;
    t.size = t.size > STAMP_SIZE_MAX ? STAMP_SIZE_MAX : t.size;
    t.period = t.dt = span_of_ns(LARGE_PERIOD);
    t.source_port = (uint16_t)(t.source_port + LARGE_PORT);
    t.whole = true;
    int err = add_timed(b, t, key, t.size + headers);
    if (!err) {
        b->large = b->plan->timing.sessions[b->plan->timing.session_count - 1].index;
    }
    return err;
}

/* By which its packets go: those of session 's', the replies to the far end's where there is none.
 */
static int
add_path(struct plan_builder *b, const struct inv_link *link, unsigned end,
         const struct plan_session *s)
{
    struct plan *p = b->plan;
    const struct inv_end *near = &link->ends[end], *far = &link->ends[1 - end];
    const struct timing_session *t = s ? &p->timing.sessions[s - p->sessions] : NULL;

    if ((t && t->protocol == SENDER_ICMP) || (!t && !far->probe) || link->class_count == 0 ||
        link->nat || !address_is_host(&far->address)) {
        return 0;
    }
    void *more = reallocarray(p->paths, p->path_count + 1, sizeof p->paths[0]);
    if (!more) {
        return -ENOMEM;
    }
    p->paths = more;
    struct plan_path *path = &p->paths[p->path_count];
    *path = (struct plan_path){
        .object = strdup(link->key),
        .flow = t ? s->key.flow : 0,
        .way = {.near = near->address,
                .far = far->address,
                .near_port = t ? t->source_port : b->config->port,
                .far_port = t ? t->destination_port : b->config->source_port,
                .mute = !t || t->foreign || t->keys},
        .dscp = link->classes[0]->dscp,
    };
    snprintf(path->class_name, sizeof path->class_name, "%s", link->classes[0]->key);
    if (!path->object) {
        return -ENOMEM;
    }
    p->path_count++;
    return copy_interface(&path->interface, device_of(near));
}

static int
add_session(const struct inv_link *link, const struct inv_class *class_, unsigned end,
            const struct session_key *key, void *aux)
{
    struct plan_builder *b = aux;
    struct timing_session t = session_of(link, class_, end, key, b);
    int err = 0;

    if (b->link != link) {
        b->link = link;
        b->large = UINT32_MAX;
        b->path_added = false;
        if (link->mtu >= stampauth_size(t.keys) + 48) {
            err = add_large(b, link, t, key);
        }
    }
    if (!err) {
        err = add_timed(b, t, key, 0);
    }
    if (!err) {
        struct plan_session *added = &b->plan->sessions[b->plan->timing.session_count - 1];
        added->large = b->large;
        added->rt_floor = link->rt_floor;
        if (!b->path_added) {
            b->path_added = true;
            err = add_path(b, link, end, added);
        }
    }
    return err;
}

/* The first 63 bits of SHA-256 over these names, each with its terminating zero, so
 * that they cannot run together; never 0. */
static int64_t
id_of_names(char *const *names, size_t count)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);

    for (size_t i = 0; i < count; i++) {
        ok = ok && EVP_DigestUpdate(md, names[i], strlen(names[i]) + 1);
    }
    ok = ok && EVP_DigestFinal_ex(md, digest, &size);
    EVP_MD_CTX_free(md);
    assert(ok);
    struct rd r = rd_of(digest, size);
    int64_t id = (int64_t)(rd_be64(&r) >> 1);
    return id ? id : 1;
}

/* The probe answers on every link that it is an end of, whichever end sends. */
static int
add_peer(struct plan_builder *b, const struct inv_link *link, unsigned end)
{
    struct plan *p = b->plan;
    size_t i = p->timing.peer_count, n = p->object_count;
    void *more = reallocarray(p->timing.peers, i + 1, sizeof p->timing.peers[0]);

    if (!more) {
        return -ENOMEM;
    }
    p->timing.peers = more;
    more = reallocarray(p->objects, n + 1, sizeof p->objects[0]);
    if (!more) {
        return -ENOMEM;
    }
    p->objects = more;
    p->objects[n] = strdup(link->key);
    if (!p->objects[n]) {
        return -ENOMEM;
    }
    p->object_count++;
    p->timing.peers[i] = (struct timing_peer){.local = link->ends[end].address,
                                              .remote = link->ends[1 - end].address};
    for (size_t k = 0; k < link->class_count; k++) {
        p->timing.peers[i].dscps |= UINT64_C(1) << link->classes[k]->dscp;
    }
    p->timing.peers[i].keys = stampauth_ref(linkkeys_of(b->keys, link->key));
    if (link->nat && end == 1 && p->timing.peers[i].keys) {
        p->timing.peers[i].nat = (uint64_t)id_of_names(&p->objects[n], 1);
    }
    p->timing.peer_count++;
    return copy_interface(&p->timing.peers[i].interface, device_of(&link->ends[end]));
}

static int
compare_paths(const void *a, const void *b)
{
    return strcmp(((const struct plan_path *)a)->object, ((const struct plan_path *)b)->object);
}

const struct plan_path *
plan_path(const struct plan *p, const char *object)
{
    const struct plan_path wanted = {.object = object};

    return p->path_count
               ? bsearch(&wanted, p->paths, p->path_count, sizeof p->paths[0], compare_paths)
               : NULL;
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int
plan_make(struct plan **out, const struct inventory *inv, const struct probe_config *config,
          const struct linkkeys *keys, const struct plan *old, uint32_t *next_index,
          struct instant not_before)
{
    const struct inv_probe *probe = inventory_probe(inv, config->probe);
    struct plan *p = probe ? calloc(1, sizeof *p) : NULL;
    struct plan_indexes taken = {{0}};
    struct plan_builder b = {.plan = p,
                             .taken = &taken,
                             .config = config,
                             .keys = keys,
                             .old = old,
                             .next_index = next_index,
                             .not_before = not_before};
    int err;

    if (!p) {
        return probe ? -ENOMEM : -ENOENT;
    }
    for (size_t i = 0; old && i < old->timing.session_count; i++) {
        take_index(&taken, old->timing.sessions[i].index);
    }
    err = inventory_sessions(inv, config->probe, add_session, &b);
    for (size_t i = 0; !err && i < inv->link_count; i++) {
        const struct inv_link *link = &inv->links[i];
        for (unsigned end = 0; !err && end < 2 && link->state != INV_RETIRED; end++) {
            if (link->ends[end].probe == probe && link->ends[1 - end].probe) {
                err = add_peer(&b, link, end);
            }
            if (!err && link->ends[end].probe == probe && end == 1 && !link->probe_from_both) {
                err = add_path(&b, link, end, NULL);
            }
        }
    }
    if (err) {
        plan_free(p);
        return err;
    }
    if (p->object_count) {
        qsort(p->objects, p->object_count, sizeof p->objects[0], compare_names);
    }
    if (p->path_count) {
        qsort(p->paths, p->path_count, sizeof p->paths[0], compare_paths);
    }
    p->serving_id = id_of_names(p->objects, p->object_count);
    p->generation = inv->generation;
    p->timing.reflector_port = config->port;
    *out = p;
    return 0;
}

/* Interface names are const to the timing thread and ours to free. */
static void
free_name(const char *name)
{
    free((void *)(uintptr_t)name);
}

void
plan_free(struct plan *p)
{
    if (!p) {
        return;
    }
    for (size_t i = 0; i < p->timing.session_count; i++) {
        free_name(p->timing.sessions[i].interface);
        stampauth_unref(p->timing.sessions[i].keys);
    }
    for (size_t i = 0; i < p->timing.peer_count; i++) {
        free_name(p->timing.peers[i].interface);
        stampauth_unref(p->timing.peers[i].keys);
    }
    for (size_t i = 0; i < p->object_count; i++) {
        free(p->objects[i]);
    }
    free(p->objects);
    for (size_t i = 0; i < p->path_count; i++) {
        free_name(p->paths[i].object);
        free_name(p->paths[i].interface);
    }
    free(p->paths);
    free(p->timing.sessions);
    free(p->timing.peers);
    free(p->sessions);
    free(p);
}
