/* inventory_slice.c - what one probe needs of an inventory.  The strictness about
 * what may be written is the compiler's; a slice that holds more than a probe
 * knows is read all the same. */
#include "inventory_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The first of a sorted list of objects that begin with their key and are not
 * this one: copies go in once each, in the order of the inventory. */
static void
keep_probe(struct inventory *s, const struct inv_probe *probe)
{
    struct inv_probe bare = {.key = probe->key, .site = probe->site, .clock = probe->clock};

    for (size_t i = 0; i < s->probe_count; i++) {
        if (strcmp(s->probes[i].key, probe->key) == 0) {
            return;
        }
    }
    bare.state = probe->state;
    s->probes[s->probe_count++] = bare;
}

static int
key_compare(const void *left, const void *right)
{
    const char *const *a = left, *const *b = right;
    return strcmp(*a, *b);
}

/* A link without what only people and reports need. */
static void
keep_link(struct inventory *s, const struct inv_link *link)
{
    struct inv_link *to = &s->links[s->link_count++];

    *to = *link;
    to->label = NULL;
    to->labels = (struct inv_labels){0};
    to->risks = NULL;
    to->risk_count = 0;
    to->capacity_bps = 0;
    to->attachment = NULL;
    for (unsigned end = 0; end < 2; end++) {
        to->ends[end].router = NULL;
        if (to->ends[end].probe) {
            keep_probe(s, to->ends[end].probe);
        }
    }
}

/* The sites of probes and the classes of links, each once. */
static void
keep_rest(struct inventory *s, const struct inventory *inv)
{
    for (size_t i = 0; i < inv->site_count; i++) {
        bool used = false;
        for (size_t p = 0; p < s->probe_count; p++) {
            used = used || s->probes[p].site == &inv->sites[i];
        }
        if (used) {
            s->sites[s->site_count++] =
                (struct inv_site){.key = inv->sites[i].key, .state = inv->sites[i].state};
        }
    }
    for (size_t i = 0; i < inv->class_count; i++) {
        bool used = false;
        for (size_t l = 0; l < s->link_count && !used; l++) {
            for (size_t c = 0; c < s->links[l].class_count && !used; c++) {
                used = s->links[l].classes[c] == &inv->classes[i];
            }
        }
        if (used) {
            s->classes[s->class_count] = inv->classes[i];
            s->classes[s->class_count++].label = NULL;
        }
    }
}

/* References go to the slice's own objects, as in any inventory. */
static void
point_inside(struct inventory *s)
{
    for (size_t i = 0; i < s->probe_count; i++) {
        s->probes[i].site = inventory_site(s, s->probes[i].site->key);
    }
    for (size_t i = 0; i < s->link_count; i++) {
        struct inv_link *link = &s->links[i];
        const struct inv_class **classes =
            pool_array(s->pool, link->class_count, sizeof classes[0]);
        for (size_t c = 0; c < link->class_count; c++) {
            classes[c] = inventory_class(s, link->classes[c]->key);
        }
        link->classes = classes;
        struct inv_limit *limits = pool_array(s->pool, link->limit_count, sizeof *limits);
        for (size_t n = 0; n < link->limit_count; n++) {
            limits[n] = link->limits[n];
            limits[n].class_ = inventory_class(s, limits[n].class_->key);
        }
        link->limits = limits;
        for (unsigned end = 0; end < 2; end++) {
            if (link->ends[end].probe) {
                link->ends[end].probe = inventory_probe(s, link->ends[end].probe->key);
            }
        }
    }
}

int
inventory_slice(const struct inventory *inv, const char *key, struct inventory **out)
{
    const struct inv_probe *self = inventory_probe(inv, key);

    if (!self) {
        return -ENOENT;
    }
    struct pool *pool = pool_new();
    struct inventory *s = pool_alloc(pool, sizeof *s);
    *s = (struct inventory){
        .interval = inv->interval, .generation = inv->generation, .slice_of = self->key};
    s->pool = pool;
    s->sites = pool_array(pool, inv->site_count, sizeof *s->sites);
    s->probes = pool_array(pool, inv->probe_count, sizeof *s->probes);
    s->classes = pool_array(pool, inv->class_count, sizeof *s->classes);
    s->links = pool_array(pool, inv->link_count, sizeof *s->links);
    keep_probe(s, self);
    for (size_t i = 0; i < inv->link_count; i++) {
        const struct inv_link *link = &inv->links[i];
        if (link->state != INV_RETIRED &&
            (link->ends[0].probe == self || link->ends[1].probe == self)) {
            keep_link(s, link);
        }
    }
    qsort(s->probes, s->probe_count, sizeof *s->probes, key_compare);
    keep_rest(s, inv);
    point_inside(s);
    *out = s;
    return 0;
}
