/* inventory_cross.c - what must hold between objects of several kinds: names that
 * are told apart, what may be there only once, and nothing that contains itself. */
#include "inventory_parts.h"

#include <stdlib.h>
#include <string.h>

#include "value.h"

/* --- One name, one thing ---------------------------------------------------- */

/* What must be unlike all others of its list. */
struct claim {
    const char *text; /* What is claimed. */
    const char *kind, *owner;
    struct place at;
    size_t order;
};

struct claims {
    struct loader *l;
    struct claim *list;
    size_t count, room;
};

static void
claim_add(struct claims *c, const char *text, const char *kind, const char *owner, struct place at)
{
    if (c->count == c->room) {
        struct claim *more;
        c->room = c->room ? 2 * c->room : 64;
        more = pool_array(c->l->trees, c->room, sizeof *more);
        if (c->count) {
            memcpy(more, c->list, c->count * sizeof *more);
        }
        c->list = more;
    }
    c->list[c->count] = (struct claim){text, kind, owner, at, c->count};
    c->count++;
}

static int
claim_compare(const void *left, const void *right)
{
    const struct claim *a = left, *b = right;
    int order = strcmp(a->text, b->text);

    return order ? order : a->order < b->order ? -1 : a->order > b->order;
}

/* Tells each that claims what another has; 'what' is what that is. */
static void
claims_tell(struct claims *c, const char *what)
{
    if (c->count) {
        qsort(c->list, c->count, sizeof *c->list, claim_compare);
    }
    for (size_t i = 1; i < c->count; i++) {
        const struct claim *first = &c->list[i - 1], *second = &c->list[i];
        if (strcmp(first->text, second->text) == 0) {
            fault_error(c->l->faults, second->at, "%s of %s '%s' is that of %s '%s' too (%s:%u:%u)",
                        what, second->kind, second->owner, first->kind, first->owner,
                        first->at.file ? fault_file_name(first->at.file) : "", first->at.line,
                        first->at.column);
        }
    }
    c->count = 0;
}

/* Links, groups, services, tunnels and tests are named in the same places, and
 * series are named after them. */
static void
check_names(struct loader *l)
{
    static const enum kind together[] = {KIND_LINK, KIND_GROUP, KIND_SERVICE, KIND_TUNNEL};
    struct claims c = {.l = l};

    for (size_t k = 0; k < sizeof together / sizeof together[0]; k++) {
        for (size_t i = 0; i < inventory_count(l->inv, together[k]); i++) {
            const char *key = *(const char *const *)inventory_object(l->inv, together[k], i);
            const struct yaml_node *node = l->nodes[together[k]][i];
            bool test = together[k] == KIND_LINK && l->inv->links[i].attachment;
            claim_add(&c, key, test ? "attachment" : inventory_kind_name(together[k]), key,
                      test ? node->at : node->key_at);
        }
    }
    claims_tell(&c, "the key");
}

/* --- What may be there only once ------------------------------------------- */

static const char *
joined(struct loader *l, const char *one, const char *two, const char *three)
{
    size_t size = strlen(one) + strlen(two) + strlen(three) + 3;
    char *text = pool_alloc(l->trees, size);

    snprintf(text, size, "%s|%s|%s", one, two, three);
    return text;
}

static void
check_bmp(struct loader *l)
{
    struct claims c = {.l = l};
    char buf[VALUE_TEXT_SIZE];

    for (size_t i = 0; i < l->inv->router_count; i++) {
        const struct inv_router *r = &l->inv->routers[i];
        for (size_t a = 0; a < r->bmp_from_count && r->state != INV_RETIRED; a++) {
            value_format_address(&r->bmp_from[a], buf, sizeof buf);
            claim_add(&c, pool_text(l->trees, buf, strlen(buf)), "router", r->key,
                      inventory_place(l->nodes[KIND_ROUTER][i], "bmp"));
        }
    }
    claims_tell(&c, "a BMP address");
}

/* Where the attachment stands in its connector. */
static const struct yaml_node *
attachment_node(struct loader *l, size_t connector, const char *key)
{
    return yaml_get(yaml_get(l->nodes[KIND_CONNECTOR][connector], "attachments"), key);
}

static void
check_ports(struct loader *l)
{
    struct claims ports = {.l = l}, peers = {.l = l};
    char buf[VALUE_TEXT_SIZE];

    for (size_t i = 0; i < l->inv->connector_count; i++) {
        const struct inv_connector *c = &l->inv->connectors[i];
        for (size_t a = 0; a < c->attachment_count; a++) {
            const struct inv_attachment *at = &c->attachments[a];
            const struct yaml_node *node = attachment_node(l, i, at->key);
            if (!at->port.router || !at->port.interface || at->state == INV_RETIRED ||
                c->state == INV_RETIRED) {
                continue;
            }
            claim_add(&ports, joined(l, at->port.router->key, at->port.interface, ""), "attachment",
                      at->name, inventory_place(yaml_get(node, "port"), "interface"));
            if (at->bgp.peer.family) {
                value_format_address(&at->bgp.peer, buf, sizeof buf);
                claim_add(&peers,
                          joined(l, at->port.router->key, at->bgp.vrf ? at->bgp.vrf : "", buf),
                          "attachment", at->name, inventory_place(yaml_get(node, "bgp"), "peer"));
            }
        }
    }
    claims_tell(&ports, "the port");
    claims_tell(&peers, "the BGP peer");
}

static void
check_tunnels(struct loader *l)
{
    struct claims c = {.l = l};
    char one[VALUE_TEXT_SIZE], two[VALUE_TEXT_SIZE], net[48];

    for (size_t i = 0; i < l->inv->tunnel_count; i++) {
        const struct inv_tunnel *t = &l->inv->tunnels[i];
        value_format_address(&t->ends[0].address, one, sizeof one);
        value_format_address(&t->ends[1].address, two, sizeof two);
        if (t->state == INV_RETIRED || !*one || !*two) {
            continue;
        }
        snprintf(net, sizeof net, "%u %u %u", (unsigned)t->encapsulation, t->vni, t->port);
        bool swap = strcmp(one, two) > 0;
        claim_add(&c, joined(l, swap ? two : one, swap ? one : two, net), "tunnel", t->key,
                  inventory_place(l->nodes[KIND_TUNNEL][i], t->vni ? "vni" : "ends"));
    }
    claims_tell(&c, "the way (ends, encapsulation, vni)");
}

/* --- Sites ----------------------------------------------------------------- */

/* A test from another site measures the way there too. */
static void
check_sites(struct loader *l)
{
    for (size_t i = 0; i < l->inv->link_count; i++) {
        const struct inv_link *link = &l->inv->links[i];
        const struct inv_connector *c = link->attachment ? link->attachment->connector : NULL;
        const struct inv_probe *probe = link->ends[0].probe;
        if (c && c->site && probe && probe->site && probe->site != c->site) {
            fault_warning(l->faults, inventory_place(l->nodes[KIND_LINK][i], "probe"),
                          "probe '%s' is at site '%s', connector '%s' at '%s': the test measures "
                          "what is between them too",
                          probe->key, probe->site->key, c->key, c->site->key);
        }
    }
}

/* --- Nothing contains itself ----------------------------------------------- */

/* A group of services stands for itself: if a service were over it, promises
 * would go in circles. */
static void
check_nesting(struct loader *l)
{
    for (size_t i = 0; i < l->inv->service_count; i++) {
        const struct inv_service *s = &l->inv->services[i];
        for (size_t o = 0; o < s->over_count; o++) {
            const struct inv_group *g = s->over[o].group;
            for (size_t m = 0; g && m < g->member_count; m++) {
                if (g->members[m].service) {
                    fault_error(l->faults, inventory_place(l->nodes[KIND_SERVICE][i], "over"),
                                "group '%s' has service '%s' in it; a service is over links and "
                                "groups of links",
                                g->key, g->members[m].service->key);
                    break;
                }
            }
        }
    }
}

void
check_cross(struct loader *l)
{
    check_names(l);
    check_bmp(l);
    check_ports(l);
    check_tunnels(l);
    check_sites(l);
    check_nesting(l);
}
