/* inventory_link.c - the section 'links', and the links that connectors' tests
 * make. */
#include "inventory_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stamp.h"
#include "value.h"

#define STAMP_PORT 862

static const struct bind_word from_words[] = {{"first", false}, {"both", true}, {NULL, 0}};
static const struct bind_word timestamp_words[] = {
    {"ntp", INV_TIMESTAMP_NTP}, {"ptp", INV_TIMESTAMP_PTP}, {NULL, 0}};
static const struct bind_word reflector_words[] = {
    {"stateful", INV_STATEFUL}, {"stateless", INV_STATELESS}, {NULL, 0}};
static const struct bind_word use_words[] = {
    {"sla", INV_USE_SLA}, {"evidence", INV_USE_EVIDENCE}, {NULL, 0}};
static const struct bind_word auth_words[] = {
    {"packet", INV_AUTH_PACKET}, {"tlv", INV_AUTH_TLV}, {NULL, 0}};

/* --- Authentication ------------------------------------------------------- */

static const struct bind_key auth_keys[] = {
    {.key = "mode",
     .type = BIND_WORD,
     .offset = offsetof(struct inv_auth, mode),
     .words = auth_words,
     .fallback = "packet"},
    {.key = "key_file",
     .type = BIND_FILE,
     .offset = offsetof(struct inv_auth, key_file),
     .required = true},
    {.key = "next_key_file", .type = BIND_FILE, .offset = offsetof(struct inv_auth, next_key_file)},
    {.key = NULL},
};

static void
read_auth(struct loader *l, const struct yaml_node *node, struct inv_auth *auth)
{
    bool good = bind_map(&l->bind, node, node->at, auth_keys, auth);

    if (good && auth->next_key_file && strcmp(auth->key_file, auth->next_key_file) == 0) {
        fault_error(l->faults, inventory_place(node, "next_key_file"),
                    "the next key is the current one; name another file");
    }
}

/* --- Ends ----------------------------------------------------------------- */

/* What an end, or a test of an attachment, may say. */
struct end_draft {
    struct inv_end end;
    struct address source;
    struct inv_auth auth;
    bool nat;
    const struct yaml_node *probe, *router, *class_, *auth_node;
};

#define END(member) .offset = offsetof(struct end_draft, member)

/* Where a reflector is, and what it is. */
#define FAR_KEYS                                                                                   \
    {.key = "port", .type = BIND_UNSIGNED, END(end.port), .width = 2, .min = 1, .max = 65535},     \
        {.key = "source_port",                                                                     \
         .type = BIND_UNSIGNED,                                                                    \
         END(end.source_port),                                                                     \
         .width = 2,                                                                               \
         .min = 1,                                                                                 \
         .max = 65535},                                                                            \
        {.key = "timestamp",                                                                       \
         .type = BIND_WORD,                                                                        \
         END(end.timestamp),                                                                       \
         .words = timestamp_words,                                                                 \
         .fallback = "ntp"},                                                                       \
        {.key = "reflector",                                                                       \
         .type = BIND_WORD,                                                                        \
         END(end.reflector),                                                                       \
         .words = reflector_words,                                                                 \
         .fallback = "stateful"},                                                                  \
    {                                                                                              \
        .key = "use", .type = BIND_WORD, END(end.use), .words = use_words, .fallback = "sla"       \
    }

static const struct bind_key end_keys[] = {
    {.key = "probe", .type = BIND_NODE, END(probe)},
    {.key = "protocol", .type = BIND_WORD, END(end.protocol), .words = inventory_protocol_words},
    {.key = "address", .type = BIND_ADDRESS, END(end.address)},
    {.key = "router", .type = BIND_NODE, END(router)},
    {.key = "interface", .type = BIND_STRING, END(end.interface)},
    {.key = "vrf", .type = BIND_NAME, END(end.vrf)},
    FAR_KEYS,
    {.key = NULL},
};

static const struct bind_key test_keys[] = {
    {.key = "probe", .type = BIND_NODE, END(probe), .required = true},
    {.key = "protocol",
     .type = BIND_WORD,
     END(end.protocol),
     .words = inventory_protocol_words,
     .required = true},
    {.key = "address", .type = BIND_ADDRESS, END(end.address), .required = true},
    {.key = "class", .type = BIND_NODE, END(class_), .required = true},
    {.key = "source", .type = BIND_ADDRESS, END(source)},
    {.key = "interface", .type = BIND_STRING, END(end.interface)},
    {.key = "vrf", .type = BIND_NAME, END(end.vrf)},
    FAR_KEYS,
    {.key = "auth", .type = BIND_NODE, END(auth_node)},
    {.key = "nat", .type = BIND_BOOL, END(nat)},
    {.key = NULL},
};

/* Names of network devices, as the kernel takes them. */
static bool
read_interface(struct loader *l, const struct yaml_node *node, const char *name)
{
    if (name && (strlen(name) > 15 || strpbrk(name, "/ "))) {
        fault_error(
            l->faults, yaml_get(node, "interface")->at,
            "'%.40s' is not the name of an interface: at most 15 characters, no '/', no space",
            name);
        return false;
    }
    return true;
}

/* Of an end that is ours: what only a foreign one says. */
static bool
refuse_foreign_keys(struct loader *l, const struct yaml_node *node)
{
    static const char *const keys[] = {"protocol", "source_port", "timestamp", "reflector", "use"};
    bool good = true;

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (yaml_get(node, keys[i])) {
            fault_error(l->faults, yaml_get(node, keys[i])->key_at,
                        "'%s' is of a foreign end, which has no probe; between probes it is known",
                        keys[i]);
            good = false;
        }
    }
    return good;
}

/* What makes no sense without UDP, and the default port with it. */
static bool
settle_far(struct loader *l, const struct yaml_node *node, struct inv_end *far)
{
    static const char *const keys[] = {"port", "source_port", "timestamp", "reflector"};
    bool good = true;

    if (far->protocol != INV_ICMP) {
        far->port = far->port ? far->port : STAMP_PORT;
        return true;
    }
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (yaml_get(node, keys[i])) {
            fault_error(l->faults, yaml_get(node, keys[i])->key_at,
                        "'%s' is of stamp and twamp-light; an ICMP echo has none", keys[i]);
            good = false;
        }
    }
    return good;
}

static bool
read_end(struct loader *l, const struct yaml_node *node, bool second, struct inv_end *out)
{
    struct end_draft d = {0};
    bool good = bind_map(&l->bind, node, node->at, end_keys, &d);

    *out = d.end;
    if (node->kind != YAML_MAP && !yaml_is_null(node)) {
        return false; /* Told. */
    }
    if (d.router) {
        out->router = inventory_resolve(l, d.router, KIND_ROUTER);
    }
    good = read_interface(l, node, d.end.interface) && good;
    if (d.probe) {
        out->probe = inventory_resolve(l, d.probe, KIND_PROBE);
        out->port = d.end.port ? d.end.port : STAMP_PORT;
        return refuse_foreign_keys(l, node) && out->probe && good;
    }
    if (!second || node->kind != YAML_MAP || !yaml_get(node, "protocol")) {
        fault_error(l->faults, node->at,
                    second ? "key 'probe' is missing; of a foreign end: 'protocol'"
                           : "key 'probe' is missing; only the second end may be foreign");
        return false;
    }
    if (d.end.interface || d.end.vrf) {
        fault_error(l->faults, inventory_place(node, d.end.vrf ? "vrf" : "interface"),
                    "a foreign end has neither interface nor vrf; say them at the probe's end");
        good = false;
    }
    return settle_far(l, node, out) && good;
}

static void
read_ends(struct loader *l, const struct yaml_node *list, struct inv_link *link)
{
    bool good = true;
    unsigned i = 0;

    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of two ends")) {
        return;
    }
    if (list->count != 2) {
        fault_error(l->faults, list->at, "expected two ends, got %zu", list->count);
        return;
    }
    for (const struct yaml_node *n = list->first; n; n = n->next, i++) {
        good = read_end(l, n, i == 1, &link->ends[i]) && good;
    }
    i = 0;
    for (const struct yaml_node *n = list->first; n && good; n = n->next, i++) {
        bool may_lack = i == 0 && !link->ends[1].probe;
        if (!address_is_set(&link->ends[i].address) && !may_lack) {
            fault_error(l->faults, n->at,
                        "key 'address' is missing: an IP address, such as "
                        "192.0.2.1 or 2001:db8::1");
        }
    }
}

/* --- Links ---------------------------------------------------------------- */

struct link_draft {
    struct inv_link link;
    int both;
    const struct yaml_node *ends, *classes, *limits, *labels, *auth;
};

#define LINK(member) .offset = offsetof(struct link_draft, member)

static const struct bind_key link_keys[] = {
    HEAD_KEYS,
    {.key = "in_service", .type = BIND_INSTANT, LINK(link.in_service)},
    {.key = "ends", .type = BIND_NODE, LINK(ends), .required = true},
    {.key = "classes", .type = BIND_NODE, LINK(classes), .required = true},
    {.key = "limits", .type = BIND_NODE, LINK(limits)},
    {.key = "flows",
     .type = BIND_UNSIGNED,
     LINK(link.flows),
     .width = 2,
     .min = 1,
     .max = 256,
     .fallback = "1"},
    {.key = "probe_from", .type = BIND_WORD, LINK(both), .words = from_words, .fallback = "first"},
    {.key = "nat", .type = BIND_BOOL, LINK(link.nat)},
    {.key = "auth", .type = BIND_NODE, LINK(auth)},
    {.key = "capacity",
     .type = BIND_RATE,
     LINK(link.capacity_bps),
     .min = 1000,
     .max = UINT64_C(1000000000000000)},
    {.key = "mtu", .type = BIND_UNSIGNED, LINK(link.mtu), .width = 4, .min = 68, .max = 65535},
    {.key = "rt_floor",
     .type = BIND_SPAN,
     LINK(link.rt_floor),
     .min = 1,
     .max = 10 * (uint64_t)NS_PER_S},
    {.key = "risks",
     .type = BIND_NAMES,
     LINK(link.risks),
     .max = NAMES_MAX,
     .count_offset = offsetof(struct link_draft, link.risk_count)},
    {.key = "labels", .type = BIND_NODE, LINK(labels)},
    {.key = NULL},
};

static size_t
member_count(const struct yaml_node *map)
{
    return map && map->kind == YAML_MAP ? map->count : 0;
}

/* How many tests there can be: one an attachment. */
static size_t
tests_max(const struct loader *l)
{
    const struct yaml_node *connectors = yaml_get(l->root, "connectors");
    size_t count = 0;

    for (const struct yaml_node *n = member_count(connectors) ? connectors->first : NULL; n;
         n = n->next) {
        count += n->kind == YAML_MAP ? member_count(yaml_get(n, "attachments")) : 0;
    }
    return count;
}

static void
read_link(struct loader *l, const struct yaml_node *member, const char *key)
{
    struct link_draft d = {.link.key = key};
    struct draft_link *to = &l->links[l->link_count++];

    bind_map(&l->bind, member, member->key_at, link_keys, &d);
    l->retired = d.link.state == INV_RETIRED;
    d.link.probe_from_both = d.both;
    inventory_read_labels(l, d.labels, &d.link.labels);
    if (d.auth) {
        read_auth(l, d.auth, &d.link.auth);
    }
    if (d.classes) {
        inventory_resolve_classes(l, d.classes, &d.link.classes, &d.link.class_count);
    }
    if (d.limits) {
        inventory_read_link_limits(l, d.limits, &d.link);
    }
    if (d.ends) {
        read_ends(l, d.ends, &d.link);
    }
    check_link(l, member, &d.link);
    *to = (struct draft_link){.link = d.link, .node = member};
}

void
inventory_read_links(struct loader *l)
{
    const struct yaml_node *map = yaml_get(l->root, "links");
    size_t room = member_count(map) + tests_max(l);

    l->links = pool_array(l->trees, room, sizeof *l->links);
    if (!map || yaml_is_null(map) ||
        !bind_expect(&l->bind, map, YAML_MAP, "a map of objects by key")) {
        return;
    }
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        const char *key = inventory_key(l, n);
        if (key) {
            read_link(l, n, key);
        }
    }
}

void
inventory_read_test(struct loader *l, const struct yaml_node *node,
                    struct inv_attachment *attachment)
{
    struct end_draft d = {0};
    bool good = bind_map(&l->bind, node, node->at, test_keys, &d);
    struct inv_link link = {.key = attachment->name,
                            .label = attachment->label,
                            .state = attachment->state,
                            .flows = 1,
                            .nat = d.nat,
                            .attachment = attachment};

    if (node->kind != YAML_MAP) {
        return;
    }
    good = read_interface(l, node, d.end.interface) && good;
    link.ends[0] = (struct inv_end){
        .interface = d.end.interface, .vrf = d.end.vrf, .address = d.source, .port = STAMP_PORT};
    link.ends[1] = d.end;
    link.ends[1].interface = link.ends[1].vrf = NULL;
    good = settle_far(l, node, &link.ends[1]) && good;
    if (d.auth_node) {
        read_auth(l, d.auth_node, &link.auth);
    }
    if (d.probe) {
        link.ends[0].probe = inventory_resolve(l, d.probe, KIND_PROBE);
    }
    link.classes = pool_array(l->pool, 1, sizeof link.classes[0]);
    link.classes[0] = d.class_ ? inventory_resolve(l, d.class_, KIND_CLASS) : NULL;
    link.class_count = link.classes[0] != NULL;
    if (good && link.ends[0].probe) {
        check_link(l, node, &link);
        l->links[l->link_count++] =
            (struct draft_link){.link = link, .node = node, .attachment = attachment};
    }
}

static int
link_compare(const void *left, const void *right)
{
    const struct draft_link *a = left, *b = right;
    return strcmp(a->link.key, b->link.key);
}

void
inventory_sort_links(struct loader *l)
{
    struct inventory *inv = l->inv;

    if (l->link_count) {
        qsort(l->links, l->link_count, sizeof *l->links, link_compare);
    }
    inv->links = pool_array(l->pool, l->link_count, sizeof *inv->links);
    l->nodes[KIND_LINK] = pool_array(l->trees, l->link_count, sizeof(struct yaml_node *));
    for (size_t i = 0; i < l->link_count; i++) {
        inv->links[i] = l->links[i].link;
        l->nodes[KIND_LINK][i] = l->links[i].node;
        if (l->links[i].attachment) {
            l->links[i].attachment->test = &inv->links[i];
        }
    }
    inv->link_count = l->link_count;
}
