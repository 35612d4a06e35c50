/* inventory_sold.c - the sections of what is sold: tenants, connectors, groups,
 * services, tunnels. */
#include "inventory_parts.h"

#include <stdlib.h>
#include <string.h>

#include "value.h"

#define OVER ((1u << KIND_LINK) | (1u << KIND_GROUP))
#define MEMBERS ((1u << KIND_LINK) | (1u << KIND_SERVICE) | MAY_ATTACHMENT)

/* --- Tenants -------------------------------------------------------------- */

struct tenant_draft {
    struct inv_tenant tenant;
    const struct yaml_node *labels;
};

static const struct bind_key tenant_keys[] = {
    HEAD_KEYS,
    {.key = "timezone",
     .type = BIND_STRING,
     .offset = offsetof(struct tenant_draft, tenant.timezone)},
    {.key = "labels", .type = BIND_NODE, .offset = offsetof(struct tenant_draft, labels)},
    {.key = NULL},
};

void
inventory_read_tenant(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_tenant *tenant = object;
    struct tenant_draft d = {.tenant.key = tenant->key};

    bind_map(&l->bind, member, member->key_at, tenant_keys, &d);
    check_timezone(l, member, d.tenant.timezone);
    inventory_read_labels(l, d.labels, &d.tenant.labels);
    *tenant = d.tenant;
}

/* --- Attachments ---------------------------------------------------------- */

struct attachment_draft {
    struct inv_attachment a;
    const struct yaml_node *port, *bgp, *test;
};

static const struct bind_key attachment_keys[] = {
    HEAD_KEYS,
    {.key = "port", .type = BIND_NODE, .offset = offsetof(struct attachment_draft, port)},
    {.key = "bgp", .type = BIND_NODE, .offset = offsetof(struct attachment_draft, bgp)},
    {.key = "test", .type = BIND_NODE, .offset = offsetof(struct attachment_draft, test)},
    {.key = NULL},
};

struct port_draft {
    struct inv_port port;
    const struct yaml_node *router;
};

static const struct bind_key port_keys[] = {
    {.key = "router",
     .type = BIND_NODE,
     .offset = offsetof(struct port_draft, router),
     .required = true},
    {.key = "interface",
     .type = BIND_STRING,
     .offset = offsetof(struct port_draft, port.interface),
     .required = true},
    {.key = "capacity",
     .type = BIND_RATE,
     .offset = offsetof(struct port_draft, port.capacity_bps),
     .min = 1000,
     .max = UINT64_C(1000000000000000)},
    {.key = NULL},
};

struct bgp_draft {
    struct inv_bgp bgp;
    const struct yaml_node *expect;
};

static const struct bind_key bgp_keys[] = {
    {.key = "vrf", .type = BIND_NAME, .offset = offsetof(struct bgp_draft, bgp.vrf)},
    {.key = "peer",
     .type = BIND_ADDRESS,
     .offset = offsetof(struct bgp_draft, bgp.peer),
     .required = true},
    {.key = "asn",
     .type = BIND_UNSIGNED,
     .offset = offsetof(struct bgp_draft, bgp.asn),
     .width = 4,
     .min = 1,
     .max = UINT32_MAX - 1,
     .required = true},
    {.key = "expect", .type = BIND_NODE, .offset = offsetof(struct bgp_draft, expect)},
    {.key = NULL},
};

static void
read_port(struct loader *l, const struct yaml_node *node, struct inv_port *out)
{
    struct port_draft d = {0};

    bind_map(&l->bind, node, node->at, port_keys, &d);
    if (d.router) {
        d.port.router = inventory_resolve(l, d.router, KIND_ROUTER);
    }
    *out = d.port;
}

static void
read_expect(struct loader *l, const struct yaml_node *list, struct inv_bgp *bgp)
{
    char got[64];

    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of prefixes, such as [10.20.0.0/16]")) {
        return;
    }
    if (list->count > NAMES_MAX) {
        fault_error(l->faults, list->at, "expected at most %u prefixes, got %zu", NAMES_MAX,
                    list->count);
        return;
    }
    bgp->expect = pool_array(l->pool, list->count, sizeof *bgp->expect);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        if (n->kind == YAML_SCALAR &&
            value_parse_prefix(n->text, &bgp->expect[bgp->expect_count])) {
            bgp->expect_count++;
        } else {
            fault_error(l->faults, n->at,
                        "expected a prefix with no bit behind its length, such as 10.20.0.0/16, "
                        "got %s",
                        yaml_describe(n, got, sizeof got));
        }
    }
}

static void
read_bgp(struct loader *l, const struct yaml_node *node, struct inv_attachment *a)
{
    struct bgp_draft d = {0};

    bind_map(&l->bind, node, node->at, bgp_keys, &d);
    if (d.expect) {
        read_expect(l, d.expect, &d.bgp);
    }
    if (!a->port.router) {
        fault_error(l->faults, node->key_at,
                    "'bgp' needs a 'port' beside it: its router has the session");
    }
    a->bgp = d.bgp;
}

static void
read_attachment(struct loader *l, const struct yaml_node *member, struct inv_connector *connector,
                struct inv_attachment *to)
{
    struct attachment_draft d = {.a = *to};
    size_t length = strlen(connector->key) + 1 + strlen(d.a.key);
    char *name = pool_alloc(l->pool, length + 1);

    snprintf(name, length + 1, "%s.%s", connector->key, d.a.key);
    if (length > SERIES_NAME_MAX) {
        fault_error(l->faults, member->key_at,
                    "'%.63s...' would be %zu long; a connector's and an attachment's key have %d "
                    "together, with the dot between",
                    name, length, SERIES_NAME_MAX);
        return;
    }
    bind_map(&l->bind, member, member->key_at, attachment_keys, &d);
    *to = d.a;
    to->name = name;
    to->connector = connector;
    l->retired = connector->state == INV_RETIRED || to->state == INV_RETIRED;
    if (!d.port && !d.bgp && !d.test && (member->kind == YAML_MAP || yaml_is_null(member))) {
        fault_error(l->faults, member->key_at, "expected one of port, bgp, test at least");
    }
    if (d.port) {
        read_port(l, d.port, &to->port);
    }
    if (d.bgp) {
        read_bgp(l, d.bgp, to);
    }
    if (d.test) {
        inventory_read_test(l, d.test, to);
    }
}

/* --- Connectors ----------------------------------------------------------- */

struct connector_draft {
    struct inv_connector c;
    const struct yaml_node *tenant, *site, *attachments, *labels;
};

static const struct bind_key connector_keys[] = {
    HEAD_KEYS,
    {.key = "tenant",
     .type = BIND_NODE,
     .offset = offsetof(struct connector_draft, tenant),
     .required = true},
    {.key = "site",
     .type = BIND_NODE,
     .offset = offsetof(struct connector_draft, site),
     .required = true},
    {.key = "need",
     .type = BIND_UNSIGNED,
     .offset = offsetof(struct connector_draft, c.need),
     .width = 4,
     .min = 1,
     .max = NAMES_MAX},
    {.key = "attachments",
     .type = BIND_NODE,
     .offset = offsetof(struct connector_draft, attachments),
     .required = true},
    {.key = "labels", .type = BIND_NODE, .offset = offsetof(struct connector_draft, labels)},
    {.key = NULL},
};

static int
attachment_compare(const void *left, const void *right)
{
    const struct yaml_node *const *a = left, *const *b = right;
    return strcmp((*a)->key, (*b)->key);
}

static void
read_attachments(struct loader *l, const struct yaml_node *map, struct inv_connector *c)
{
    const struct yaml_node *members[NAMES_MAX];
    size_t count = 0;

    if (!bind_expect(&l->bind, map, YAML_MAP, "a map of attachments by key")) {
        return;
    }
    if (map->count == 0 || map->count > NAMES_MAX) {
        fault_error(l->faults, map->at, "expected 1 to %u attachments, got %zu", NAMES_MAX,
                    map->count);
        return;
    }
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        members[count++] = n;
    }
    qsort(members, count, sizeof members[0], attachment_compare);
    c->attachments = pool_array(l->pool, count, sizeof *c->attachments);
    for (size_t i = 0; i < count; i++) {
        struct inv_attachment *to = &c->attachments[c->attachment_count];
        to->key = inventory_key(l, members[i]);
        if (to->key) {
            read_attachment(l, members[i], c, to);
            c->attachment_count += to->name != NULL;
        }
    }
}

static void
check_need(struct loader *l, const struct yaml_node *node, struct inv_connector *c)
{
    size_t live = 0;

    for (size_t i = 0; i < c->attachment_count; i++) {
        live += c->attachments[i].state != INV_RETIRED;
    }
    if (c->need == 0 && live > 1) {
        fault_error(l->faults, node->key_at,
                    "key 'need' is missing: how many of the %zu attachments must be up", live);
    } else if (c->need > live && c->state != INV_RETIRED) {
        fault_error(l->faults, inventory_place(node, "need"),
                    "%u are needed, but there are %zu attachments", c->need, live);
    }
    c->need = c->need ? c->need : 1;
}

void
inventory_read_connector(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_connector *c = object;
    struct connector_draft d = {.c.key = c->key};

    bind_map(&l->bind, member, member->key_at, connector_keys, &d);
    l->retired = d.c.state == INV_RETIRED;
    if (d.tenant) {
        d.c.tenant = inventory_resolve(l, d.tenant, KIND_TENANT);
    }
    if (d.site) {
        d.c.site = inventory_resolve(l, d.site, KIND_SITE);
    }
    inventory_read_labels(l, d.labels, &d.c.labels);
    *c = d.c;
    if (d.attachments) {
        read_attachments(l, d.attachments, c);
        if (c->attachment_count) {
            check_need(l, member, c);
        }
    }
}

/* --- Groups --------------------------------------------------------------- */

struct group_draft {
    struct inv_group group;
    const struct yaml_node *members, *labels;
};

static const struct bind_key group_keys[] = {
    HEAD_KEYS,
    {.key = "need",
     .type = BIND_UNSIGNED,
     .offset = offsetof(struct group_draft, group.need),
     .width = 4,
     .min = 1,
     .max = NAMES_MAX,
     .required = true},
    {.key = "members",
     .type = BIND_NODE,
     .offset = offsetof(struct group_draft, members),
     .required = true},
    {.key = "labels", .type = BIND_NODE, .offset = offsetof(struct group_draft, labels)},
    {.key = NULL},
};

void
inventory_read_group(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_group *group = object;
    struct group_draft d = {.group.key = group->key};

    bind_map(&l->bind, member, member->key_at, group_keys, &d);
    inventory_read_labels(l, d.labels, &d.group.labels);
    *group = d.group;
}

/* Once links, connectors and services are there. */
void
inventory_read_members(struct loader *l)
{
    for (size_t i = 0; i < l->inv->group_count; i++) {
        struct inv_group *group = &l->inv->groups[i];
        const struct yaml_node *node = l->nodes[KIND_GROUP][i];
        const struct yaml_node *list = node->kind == YAML_MAP ? yaml_get(node, "members") : NULL;

        l->retired = group->state == INV_RETIRED;
        if (list) {
            inventory_resolve_refs(l, list, MEMBERS, &group->members, &group->member_count);
            if (list->kind == YAML_LIST && group->need > list->count) {
                fault_error(l->faults, inventory_place(node, "need"),
                            "%u are needed, but there are %zu members", group->need, list->count);
            }
        }
    }
}

/* --- Services ------------------------------------------------------------- */

struct service_draft {
    struct inv_service s;
    const struct yaml_node *tenant, *ends, *over, *classes, *sla, *labels;
};

static const struct bind_key service_keys[] = {
    HEAD_KEYS,
    {.key = "tenant",
     .type = BIND_NODE,
     .offset = offsetof(struct service_draft, tenant),
     .required = true},
    {.key = "ends",
     .type = BIND_NODE,
     .offset = offsetof(struct service_draft, ends),
     .required = true},
    {.key = "over",
     .type = BIND_NODE,
     .offset = offsetof(struct service_draft, over),
     .required = true},
    {.key = "classes",
     .type = BIND_NODE,
     .offset = offsetof(struct service_draft, classes),
     .required = true},
    {.key = "sla", .type = BIND_NODE, .offset = offsetof(struct service_draft, sla)},
    {.key = "in_service",
     .type = BIND_INSTANT,
     .offset = offsetof(struct service_draft, s.in_service)},
    {.key = "out_of_service",
     .type = BIND_INSTANT,
     .offset = offsetof(struct service_draft, s.out_of_service)},
    {.key = "labels", .type = BIND_NODE, .offset = offsetof(struct service_draft, labels)},
    {.key = NULL},
};

static void
read_service_ends(struct loader *l, const struct yaml_node *list, struct inv_service *s)
{
    unsigned i = 0;

    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of two connectors")) {
        return;
    }
    if (list->count != 2) {
        fault_error(l->faults, list->at, "expected two connectors, got %zu", list->count);
        return;
    }
    for (const struct yaml_node *n = list->first; n; n = n->next, i++) {
        s->ends[i] = inventory_resolve(l, n, KIND_CONNECTOR);
        if (s->ends[i] && s->tenant && s->ends[i]->tenant && s->ends[i]->tenant != s->tenant) {
            fault_error(l->faults, n->at, "connector '%s' is of tenant '%s', not of '%s'",
                        s->ends[i]->key, s->ends[i]->tenant->key, s->tenant->key);
        }
    }
    if (s->ends[0] && s->ends[0] == s->ends[1]) {
        fault_error(l->faults, list->last->at, "both ends are connector '%s'", s->ends[0]->key);
    }
}

void
inventory_read_service(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_service *s = object;
    struct service_draft d = {.s.key = s->key};

    bind_map(&l->bind, member, member->key_at, service_keys, &d);
    l->retired = d.s.state == INV_RETIRED;
    if (d.tenant) {
        d.s.tenant = inventory_resolve(l, d.tenant, KIND_TENANT);
    }
    if (d.ends) {
        read_service_ends(l, d.ends, &d.s);
    }
    if (d.over) {
        inventory_resolve_refs(l, d.over, OVER, &d.s.over, &d.s.over_count);
    }
    if (d.classes) {
        inventory_resolve_classes(l, d.classes, &d.s.classes, &d.s.class_count);
    }
    if (d.sla) {
        d.s.sla = inventory_resolve(l, d.sla, KIND_SLA);
    }
    if (d.s.out_of_service.ns && d.s.out_of_service.ns <= d.s.in_service.ns) {
        fault_error(l->faults, inventory_place(member, "out_of_service"),
                    "the service would end before it begins: expected a time after in_service");
    }
    inventory_read_labels(l, d.labels, &d.s.labels);
    *s = d.s;
}

/* --- Tunnels -------------------------------------------------------------- */

static const struct bind_word encapsulation_words[] = {
    {"vxlan", INV_VXLAN}, {"geneve", INV_GENEVE}, {"gre", INV_GRE}, {NULL, 0}};

struct tunnel_draft {
    struct inv_tunnel t;
    const struct yaml_node *tenant, *over, *ends, *labels;
};

static const struct bind_key tunnel_keys[] = {
    HEAD_KEYS,
    {.key = "tenant",
     .type = BIND_NODE,
     .offset = offsetof(struct tunnel_draft, tenant),
     .required = true},
    {.key = "over",
     .type = BIND_NODE,
     .offset = offsetof(struct tunnel_draft, over),
     .required = true},
    {.key = "encapsulation",
     .type = BIND_WORD,
     .offset = offsetof(struct tunnel_draft, t.encapsulation),
     .words = encapsulation_words,
     .required = true},
    {.key = "vni",
     .type = BIND_UNSIGNED,
     .offset = offsetof(struct tunnel_draft, t.vni),
     .width = 4,
     .min = 1,
     .max = 0xffffff},
    {.key = "port",
     .type = BIND_UNSIGNED,
     .offset = offsetof(struct tunnel_draft, t.port),
     .width = 2,
     .min = 1,
     .max = 65535},
    {.key = "inner_mtu",
     .type = BIND_UNSIGNED,
     .offset = offsetof(struct tunnel_draft, t.inner_mtu),
     .width = 4,
     .min = 68,
     .max = 65535},
    {.key = "ends",
     .type = BIND_NODE,
     .offset = offsetof(struct tunnel_draft, ends),
     .required = true},
    {.key = "labels", .type = BIND_NODE, .offset = offsetof(struct tunnel_draft, labels)},
    {.key = NULL},
};

struct tunnel_end_draft {
    struct inv_tunnel_end end;
    const struct yaml_node *probe;
};

static const struct bind_key tunnel_end_keys[] = {
    {.key = "probe",
     .type = BIND_NODE,
     .offset = offsetof(struct tunnel_end_draft, probe),
     .required = true},
    {.key = "address",
     .type = BIND_ADDRESS,
     .offset = offsetof(struct tunnel_end_draft, end.address),
     .required = true},
    {.key = NULL},
};

static void
read_tunnel_ends(struct loader *l, const struct yaml_node *list, struct inv_tunnel *t)
{
    unsigned i = 0;

    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of two ends")) {
        return;
    }
    if (list->count != 2) {
        fault_error(l->faults, list->at, "expected two ends, got %zu", list->count);
        return;
    }
    for (const struct yaml_node *n = list->first; n; n = n->next, i++) {
        struct tunnel_end_draft d = {0};
        bind_map(&l->bind, n, n->at, tunnel_end_keys, &d);
        if (d.probe) {
            d.end.probe = inventory_resolve(l, d.probe, KIND_PROBE);
        }
        t->ends[i] = d.end;
    }
    const struct inv_tunnel_end *one = &t->ends[0], *two = &t->ends[1];
    if (one->probe && one->probe == two->probe) {
        fault_error(l->faults, inventory_place(list->last, "probe"),
                    "both ends are at probe '%s'; a tunnel goes from one probe to another",
                    one->probe->key);
    }
    if (address_is_set(&one->address) && address_is_set(&two->address)) {
        if (one->address.family != two->address.family) {
            fault_error(l->faults, inventory_place(list->last, "address"),
                        "one end has IPv4, the other IPv6");
        } else if (address_equal(&one->address, &two->address)) {
            fault_error(l->faults, inventory_place(list->last, "address"),
                        "both ends have this address");
        }
    }
}

/* What each encapsulation must and must not have. */
static void
settle_encapsulation(struct loader *l, const struct yaml_node *node, struct inv_tunnel *t)
{
    if (t->encapsulation == INV_GRE) {
        if (t->port) {
            fault_error(l->faults, yaml_get(node, "port")->key_at,
                        "'port' is of vxlan and geneve; GRE has none");
        }
        return;
    }
    if (!t->vni) {
        fault_error(l->faults, node->key_at, "key 'vni' is missing: 1 to 16777215");
    }
    t->port = t->port ? t->port : t->encapsulation == INV_VXLAN ? 4789 : 6081;
}

void
inventory_read_tunnel(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_tunnel *t = object;
    struct tunnel_draft d = {.t.key = t->key};
    bool good = bind_map(&l->bind, member, member->key_at, tunnel_keys, &d);

    l->retired = d.t.state == INV_RETIRED;
    if (d.tenant) {
        d.t.tenant = inventory_resolve(l, d.tenant, KIND_TENANT);
    }
    if (d.over) {
        inventory_resolve_ref(l, d.over, OVER, &d.t.over);
    }
    if (d.ends) {
        read_tunnel_ends(l, d.ends, &d.t);
    }
    if (good) {
        settle_encapsulation(l, member, &d.t);
    }
    inventory_read_labels(l, d.labels, &d.t.labels);
    *t = d.t;
}
