/* plan.c - the inventory, as one probe sees it. */
#include "plan.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "stamp.h"
#include "stampauth.h"
#include "wire.h"

/* An SSID is 16 bits, and 0 means "none" (RFC 8972, section 3). */
#define PLAN_SESSIONS_MAX 65535u

/* Which indexes are taken: by this plan, and by the one before, whose packets may
 * still be out. */
struct plan_indexes {
    uint64_t words[(PLAN_SESSIONS_MAX + 64) / 64];
};

struct plan_builder {
    struct plan *plan;
    struct plan_indexes *taken;
    const struct probe_config *config;
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

/* The way that a session's packets go. */
static bool
same_path(const struct timing_session *t, const struct inv_end *near, const struct inv_end *far,
          uint16_t source_port)
{
    return t->source.s_addr == near->address.s_addr &&
           t->destination.s_addr == far->address.s_addr && t->source_port == source_port &&
           t->destination_port == far->port &&
           strcmp(t->interface ? t->interface : "", near->interface ? near->interface : "") == 0;
}

/* One that goes another way now counts its packets anew, so it is not the same:
 * it takes a new index, and what was out on the old way is the old one's. */
static const struct timing_session *
old_session(const struct plan *old, int64_t id, const struct inv_end *near,
            const struct inv_end *far, uint16_t source_port)
{
    for (size_t i = 0; old && i < old->timing.session_count; i++) {
        if (old->sessions[i].id == id &&
            same_path(&old->timing.sessions[i], near, far, source_port)) {
            return &old->timing.sessions[i];
        }
    }
    return NULL;
}

/* With a reference for whom it is given to; NULL: the link has no keys. */
static struct stampauth_ring *
keys_of(const struct probe_config *config, const struct inv_link *link)
{
    for (size_t i = 0; i < config->link_key_count; i++) {
        if (strcmp(config->link_keys[i].link, link->key) == 0) {
            return stampauth_ref(config->link_keys[i].ring);
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

static int
add_session(const struct inv_link *link, const struct inv_class *class_, unsigned end,
            const struct session_key *key, void *aux)
{
    struct plan_builder *b = aux;
    struct plan *p = b->plan;
    size_t i = p->timing.session_count;
    const struct inv_end *near = &link->ends[end], *far = &link->ends[1 - end];
    int64_t id = session_id_of(key);
    uint16_t source_port = (uint16_t)(b->config->source_port + key->flow);
    const struct timing_session *old = old_session(b->old, id, near, far, source_port);
    void *more = reallocarray(p->sessions, i + 1, sizeof p->sessions[0]);

    if (!more) {
        return -ENOMEM;
    }
    p->sessions = more;
    more = reallocarray(p->timing.sessions, i + 1, sizeof p->timing.sessions[0]);
    if (!more) {
        return -ENOMEM;
    }
    p->timing.sessions = more;
    uint32_t index = old ? old->index : new_index(b->taken, b->next_index);
    if (index == PLAN_SESSIONS_MAX) {
        return -EUSERS;
    }
    p->sessions[i] = (struct plan_session){.key = *key, .id = id};
    p->timing.sessions[i] = (struct timing_session){
        .index = index,
        .source = near->address,
        .destination = far->address,
        .source_port = source_port,
        .destination_port = far->port,
        .ssid = (uint16_t)(index + 1),
        .dscp = class_->dscp,
        .size = class_->size,
        .period = class_->period,
        .begin = old ? old->begin : instant_ceil(b->not_before, class_->dt),
        .dt = class_->dt,
    };
    p->timing.session_count++;
    p->timing.sessions[i].keys = keys_of(b->config, link);
    if (p->timing.sessions[i].keys && class_->size < STAMP_SIZE_AUTH) {
        return -EMSGSIZE;
    }
    return copy_interface(&p->timing.sessions[i].interface, near->interface);
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
    p->timing.peers[i].keys = keys_of(b->config, link);
    p->timing.peer_count++;
    return copy_interface(&p->timing.peers[i].interface, link->ends[end].interface);
}

static int
compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int64_t
serving_id_of(const struct plan *p)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);

    for (size_t i = 0; i < p->object_count; i++) {
        /* With its terminating zero, so that names cannot run together. */
        ok = ok && EVP_DigestUpdate(md, p->objects[i], strlen(p->objects[i]) + 1);
    }
    ok = ok && EVP_DigestFinal_ex(md, digest, &size);
    EVP_MD_CTX_free(md);
    assert(ok);
    struct rd r = rd_of(digest, size);
    int64_t id = (int64_t)(rd_be64(&r) >> 1);
    return id ? id : 1;
}

int
plan_make(struct plan **out, const struct inventory *inv, const struct probe_config *config,
          const struct plan *old, uint32_t *next_index, struct instant not_before)
{
    const struct inv_probe *probe = inventory_probe(inv, config->probe);
    struct plan *p = probe ? calloc(1, sizeof *p) : NULL;
    struct plan_indexes taken = {{0}};
    struct plan_builder b = {p, &taken, config, old, next_index, not_before};
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
            if (link->ends[end].probe == probe) {
                err = add_peer(&b, link, end);
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
    p->serving_id = serving_id_of(p);
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
    free(p->timing.sessions);
    free(p->timing.peers);
    free(p->sessions);
    free(p);
}
