/* inventory.c - from one tree to the network: objects bound by tables, references
 * resolved.  The tree comes from inventory_files.c; what a good inventory must
 * also be is in inventory_check.c; its canonical text in inventory_print.c. */
#include "inventory.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "fault.h"
#include "inventory_parts.h"
#include "pool.h"
#include "value.h"
#include "yaml.h"

#define NAMES_MAX 64u
#define LABELS_MAX 64u
/* So many comparisons may go into suggestions: with many objects and many faults
 * they would take longer than all the rest. */
#define COMPARISONS_MAX 200000u

#define OFFSET(member) .offset = offsetof(struct draft, member)

static const struct bind_word clock_words[] = {
    {"ntp", INV_CLOCK_NTP}, {"ptp", INV_CLOCK_PTP}, {"gnss", INV_CLOCK_GNSS}, {NULL, 0}};
static const struct bind_word state_words[] = {
    {"planned", INV_PLANNED}, {"active", INV_ACTIVE}, {"retired", INV_RETIRED}, {NULL, 0}};
static const struct bind_word from_words[] = {{"first", 0}, {"both", 1}, {NULL, 0}};
static const struct bind_word metric_words[] = {
    {"delay", LIMIT_DELAY}, {"ifdv", LIMIT_IFDV}, {NULL, 0}};
static const struct bind_word direction_words[] = {
    {"fwd", DIR_FWD}, {"bwd", DIR_BWD}, {"rt", DIR_RT}, {NULL, 0}};

static const struct bind_key site_keys[] = {
    {.key = "label", .type = BIND_STRING, OFFSET(site.label)},
    {.key = "timezone", .type = BIND_STRING, OFFSET(site.timezone)},
    {.key = NULL},
};

static const struct bind_key probe_keys[] = {
    {.key = "label", .type = BIND_STRING, OFFSET(probe.label)},
    {.key = "site", .type = BIND_NODE, OFFSET(first_ref), .required = true},
    {.key = "address", .type = BIND_NODE, OFFSET(address)},
    {.key = "clock", .type = BIND_WORD, OFFSET(word), .words = clock_words, .fallback = "ntp"},
    {.key = NULL},
};

static const struct bind_key class_keys[] = {
    {.key = "label", .type = BIND_STRING, OFFSET(class_.label)},
    {.key = "dscp", .type = BIND_DSCP, OFFSET(class_.dscp), .fallback = "cs0"},
    {.key = "period",
     .type = BIND_SPAN,
     OFFSET(class_.period),
     .min = 100000,
     .max = 60 * (uint64_t)NS_PER_S,
     .fallback = "100ms"},
    {.key = "size",
     .type = BIND_UNSIGNED,
     OFFSET(class_.size),
     .width = 4,
     .min = 44,
     .max = 9000,
     .fallback = "128"},
    {.key = "dt",
     .type = BIND_SPAN,
     OFFSET(class_.dt),
     .min = 100 * (uint64_t)NS_PER_MS,
     .max = 900 * (uint64_t)NS_PER_S,
     .fallback = "1s"},
    {.key = "tmax",
     .type = BIND_SPAN,
     OFFSET(class_.tmax),
     .min = 100 * (uint64_t)NS_PER_MS,
     .max = 60 * (uint64_t)NS_PER_S,
     .fallback = "3s"},
    {.key = "n",
     .type = BIND_UNSIGNED,
     OFFSET(class_.n),
     .width = 4,
     .min = 1,
     .max = 1000,
     .fallback = "10"},
    {.key = "p",
     .type = BIND_UNSIGNED,
     OFFSET(class_.p),
     .width = 4,
     .min = 1,
     .max = 1000,
     .fallback = "5"},
    {.key = "loss_threshold",
     .type = BIND_PERCENT,
     OFFSET(class_.c_milli),
     .min = 0,
     .max = 100000,
     .fallback = "50%"},
    {.key = "ifdv", .type = BIND_BOOL, OFFSET(class_.ifdv), .fallback = "false"},
    {.key = "limits", .type = BIND_NODE, OFFSET(limits)},
    {.key = NULL},
};

static const struct bind_key limit_keys[] = {
    {.key = "metric", .type = BIND_WORD, OFFSET(word), .words = metric_words, .required = true},
    {.key = "direction",
     .type = BIND_WORD,
     OFFSET(second_word),
     .words = direction_words,
     .required = true},
    {.key = "limit",
     .type = BIND_SPAN,
     OFFSET(limit),
     .min = 1,
     .max = 60 * (uint64_t)NS_PER_S,
     .required = true},
    {.key = NULL},
};

static const struct bind_key link_keys[] = {
    {.key = "label", .type = BIND_STRING, OFFSET(link.label)},
    {.key = "state", .type = BIND_WORD, OFFSET(word), .words = state_words, .fallback = "active"},
    {.key = "in_service", .type = BIND_INSTANT, OFFSET(link.in_service)},
    {.key = "ends", .type = BIND_NODE, OFFSET(first_ref), .required = true},
    {.key = "classes", .type = BIND_NODE, OFFSET(second_ref), .required = true},
    {.key = "flows",
     .type = BIND_UNSIGNED,
     OFFSET(link.flows),
     .width = 2,
     .min = 1,
     .max = 256,
     .fallback = "1"},
    {.key = "probe_from",
     .type = BIND_WORD,
     OFFSET(second_word),
     .words = from_words,
     .fallback = "first"},
    {.key = "capacity",
     .type = BIND_RATE,
     OFFSET(link.capacity_bps),
     .min = 1000,
     .max = UINT64_C(1000000000000000)},
    {.key = "mtu", .type = BIND_UNSIGNED, OFFSET(link.mtu), .width = 4, .min = 68, .max = 65535},
    {.key = "rt_floor",
     .type = BIND_SPAN,
     OFFSET(link.rt_floor),
     .min = 1,
     .max = 10 * (uint64_t)NS_PER_S},
    {.key = "risks",
     .type = BIND_NAMES,
     OFFSET(link.risks),
     .max = NAMES_MAX,
     .count_offset = offsetof(struct draft, link.risk_count)},
    {.key = "labels", .type = BIND_NODE, OFFSET(labels)},
    {.key = NULL},
};

static const struct bind_key end_keys[] = {
    {.key = "probe", .type = BIND_NODE, OFFSET(first_ref), .required = true},
    {.key = "address", .type = BIND_IPV4, OFFSET(end.address), .required = true},
    {.key = "port",
     .type = BIND_UNSIGNED,
     OFFSET(end.port),
     .width = 2,
     .min = 1,
     .max = 65535,
     .fallback = "862"},
    {.key = "router", .type = BIND_NAME, OFFSET(end.router)},
    {.key = "interface", .type = BIND_STRING, OFFSET(end.interface)},
    {.key = "vrf",
     .type = BIND_NAME,
     OFFSET(end.vrf),
     .unused = "not used yet by this release: packets of this end take the main routing table, or "
               "'interface' where that is given"},
    {.key = NULL},
};

static const struct bind_key tenant_keys[] = {
    {.key = "label", .type = BIND_STRING, OFFSET(tenant.label)},
    {.key = "timezone", .type = BIND_STRING, OFFSET(tenant.timezone)},
    {.key = "labels", .type = BIND_NODE, OFFSET(labels)},
    {.key = NULL},
};

static const struct bind_key top_keys[] = {
    {.key = "interval",
     .type = BIND_SPAN,
     .offset = offsetof(struct inventory, interval),
     .min = (uint64_t)NS_PER_S,
     .max = 900 * (uint64_t)NS_PER_S,
     .fallback = "60s"},
    {.key = NULL},
};

/* The key of a member as an object's name, or NULL (told). */
static const char *
object_key(struct loader *l, const struct yaml_node *member)
{
    if (!value_is_name(member->key)) {
        fault_error(l->faults, member->key_at,
                    "'%.63s' is not a key: a-z, 0-9, '.', '-', beginning with a letter or digit, "
                    "at most 63",
                    member->key);
        return NULL;
    }
    return pool_text(l->pool, member->key, strlen(member->key));
}

static int
member_compare(const void *left, const void *right)
{
    const struct yaml_node *const *a = left, *const *b = right;
    return strcmp((*a)->key, (*b)->key);
}

/* The members of section 'name', sorted by key; '*count' of them. */
static const struct yaml_node **
section(struct loader *l, const char *name, size_t *count)
{
    const struct yaml_node *map = yaml_get(l->root, name);

    *count = 0;
    if (!map || yaml_is_null(map) ||
        !bind_expect(&l->bind, map, YAML_MAP, "a map of objects by key")) {
        return NULL;
    }
    const struct yaml_node **members = pool_array(l->pool, map->count, sizeof(struct yaml_node *));
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        members[(*count)++] = n;
    }
    if (*count) {
        qsort(members, *count, sizeof members[0], member_compare);
    }
    return members;
}

/* Objects begin with their key, so one search serves all kinds. */
static const void *
find(const void *objects, size_t count, size_t size, const char *key)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const char *const *at = (const void *)((const char *)objects + middle * size);
        int order = strcmp(key, *at);
        if (order == 0) {
            return at;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* The object of 'kind' that 'node' names, or NULL (told, with the nearest). */
static const void *
resolve(struct loader *l, const struct yaml_node *node, const char *kind, const void *objects,
        size_t count, size_t size)
{
    char hint[96], got[64];

    if (node->kind != YAML_SCALAR || yaml_is_null(node)) {
        fault_error(l->faults, node->at, "expected the key of a %s, got %s", kind,
                    yaml_describe(node, got, sizeof got));
        return NULL;
    }
    const void *found = find(objects, count, size, node->text);
    if (found) {
        return found;
    }
    struct nearest near = {.wanted = node->text};
    for (size_t i = 0; i < count && l->comparisons < COMPARISONS_MAX; i++) {
        l->comparisons++;
        nearest_offer(&near,
                      *(const char *const *)(const void *)((const char *)objects + i * size));
    }
    fault_error(l->faults, node->at, "there is no %s %s%s", kind,
                yaml_describe(node, got, sizeof got), nearest_text(&near, hint, sizeof hint));
    return NULL;
}

static int
label_compare(const void *left, const void *right)
{
    const struct inv_label *a = left, *b = right;
    return strcmp(a->name, b->name);
}

/* Free text by name, sorted by name. */
static void
read_labels(struct loader *l, const struct yaml_node *map, struct inv_label **out, size_t *count)
{
    static const struct bind_key text = {
        .key = "", .type = BIND_STRING, .offset = offsetof(struct inv_label, value)};
    size_t used = 0;

    if (!map || !bind_expect(&l->bind, map, YAML_MAP, "a map of texts by name")) {
        return;
    }
    if (map->count > LABELS_MAX) {
        fault_error(l->faults, map->at, "expected at most %u labels, got %zu", LABELS_MAX,
                    map->count);
        return;
    }
    *out = pool_array(l->pool, map->count, sizeof **out);
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        struct inv_label *label = &(*out)[used];
        label->name = object_key(l, n);
        if (label->name && bind_value(&l->bind, &text, n, label)) {
            used++;
        }
    }
    if (used) {
        qsort(*out, used, sizeof **out, label_compare);
    }
    *count = used;
}

static void
read_sites(struct loader *l)
{
    size_t count;
    const struct yaml_node **members = section(l, "sites", &count);

    l->inv->sites = pool_array(l->pool, count, sizeof *l->inv->sites);
    for (size_t i = 0; i < count; i++) {
        struct draft d = {.site.key = object_key(l, members[i])};
        bind_map(&l->bind, members[i], members[i]->key_at, site_keys, &d);
        if (d.site.key) {
            check_timezone(l, members[i], d.site.timezone);
            l->inv->sites[l->inv->site_count++] = d.site;
        }
    }
}

/* A management address is not measured, so an IPv6 one is only not kept. */
static void
read_probe_address(struct loader *l, struct draft *d)
{
    static const struct bind_key address = {
        .key = "address", .type = BIND_IPV4, OFFSET(probe.address)};
    struct in6_addr six;

    if (!d->address) {
        return;
    }
    if (d->address->kind == YAML_SCALAR && inet_pton(AF_INET6, d->address->text, &six) == 1) {
        fault_warning(l->faults, d->address->at,
                      "'%s' is an IPv6 address; not used by this release, which knows IPv4 only",
                      d->address->text);
        return;
    }
    bind_value(&l->bind, &address, d->address, d);
}

static void
read_probes(struct loader *l)
{
    size_t count;
    const struct yaml_node **members = section(l, "probes", &count);

    l->inv->probes = pool_array(l->pool, count, sizeof *l->inv->probes);
    for (size_t i = 0; i < count; i++) {
        struct draft d = {.probe.key = object_key(l, members[i])};
        bind_map(&l->bind, members[i], members[i]->key_at, probe_keys, &d);
        d.probe.clock = (enum inv_clock)d.word;
        read_probe_address(l, &d);
        if (d.first_ref) {
            d.probe.site = resolve(l, d.first_ref, "site", l->inv->sites, l->inv->site_count,
                                   sizeof *l->inv->sites);
        }
        if (d.probe.key) {
            l->inv->probes[l->inv->probe_count++] = d.probe;
        }
    }
}

static void
read_limits(struct loader *l, struct draft *class_draft)
{
    struct inv_class *class_ = &class_draft->class_;
    const struct yaml_node *list = class_draft->limits;

    if (!list || !bind_expect(&l->bind, list, YAML_LIST, "a list of {metric, direction, limit}")) {
        return;
    }
    if (list->count > SERIES_LIMITS_MAX) {
        fault_error(l->faults, list->at, "expected at most %d limits, got %zu", SERIES_LIMITS_MAX,
                    list->count);
        return;
    }
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        struct draft d = {0};
        if (!bind_map(&l->bind, n, n->at, limit_keys, &d)) {
            continue;
        }
        if (d.word == LIMIT_IFDV && !class_->ifdv) {
            fault_error(l->faults, n->at,
                        "a limit on ifdv counts nothing unless the class has 'ifdv: true'");
        }
        class_->limits[class_->limit_count++] = (struct series_limit){
            .metric = (enum limit_metric)d.word,
            .direction = (enum direction)d.second_word,
            .limit = d.limit,
        };
    }
}

static void
read_classes(struct loader *l)
{
    size_t count;
    const struct yaml_node **members = section(l, "classes", &count);

    l->inv->classes = pool_array(l->pool, count, sizeof *l->inv->classes);
    for (size_t i = 0; i < count; i++) {
        struct draft d = {.class_.key = object_key(l, members[i])};
        bool good = bind_map(&l->bind, members[i], members[i]->key_at, class_keys, &d);
        read_limits(l, &d);
        if (good) {
            check_class(l, members[i], &d.class_);
        }
        if (d.class_.key) {
            l->inv->classes[l->inv->class_count++] = d.class_;
        }
    }
}

static bool
read_end(struct loader *l, const struct yaml_node *node, struct inv_end *out)
{
    struct draft d = {0};
    bool good = bind_map(&l->bind, node, node->at, end_keys, &d);

    if (d.first_ref) {
        d.end.probe = resolve(l, d.first_ref, "probe", l->inv->probes, l->inv->probe_count,
                              sizeof *l->inv->probes);
    }
    if (d.end.interface && (strlen(d.end.interface) > 15 || strpbrk(d.end.interface, "/ "))) {
        fault_error(
            l->faults, yaml_get(node, "interface")->at,
            "'%.40s' is not the name of an interface: at most 15 characters, no '/', no space",
            d.end.interface);
        good = false;
    }
    *out = d.end;
    return good && d.end.probe;
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
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        good = read_end(l, n, &link->ends[i++]) && good;
    }
    if (good) {
        check_ends(l, list, link);
    }
}

static void
read_link_classes(struct loader *l, const struct yaml_node *list, struct inv_link *link)
{
    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of classes, such as [gold, be]")) {
        return;
    }
    if (list->count == 0 || list->count > NAMES_MAX) {
        fault_error(l->faults, list->at, "expected 1 to %u classes, got %zu", NAMES_MAX,
                    list->count);
        return;
    }
    link->classes = pool_array(l->pool, list->count, sizeof link->classes[0]);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        const struct inv_class *class_ =
            resolve(l, n, "class", l->inv->classes, l->inv->class_count, sizeof *l->inv->classes);
        for (size_t i = 0; class_ && i < link->class_count; i++) {
            if (link->classes[i] == class_) {
                fault_error(l->faults, n->at, "'%s' is in this list twice", class_->key);
                class_ = NULL;
            }
        }
        if (class_) {
            link->classes[link->class_count++] = class_;
        }
    }
}

static void
read_links(struct loader *l)
{
    size_t count;
    const struct yaml_node **members = section(l, "links", &count);

    l->inv->links = pool_array(l->pool, count, sizeof *l->inv->links);
    l->link_nodes = pool_array(l->pool, count, sizeof(struct yaml_node *));
    for (size_t i = 0; i < count; i++) {
        struct draft d = {.link.key = object_key(l, members[i])};
        bind_map(&l->bind, members[i], members[i]->key_at, link_keys, &d);
        d.link.state = (enum inv_state)d.word;
        d.link.probe_from_both = d.second_word == 1;
        read_labels(l, d.labels, &d.link.labels, &d.link.label_count);
        if (d.first_ref) {
            read_ends(l, d.first_ref, &d.link);
        }
        if (d.second_ref) {
            read_link_classes(l, d.second_ref, &d.link);
        }
        if (d.link.key) {
            l->link_nodes[l->inv->link_count] = members[i];
            l->inv->links[l->inv->link_count++] = d.link;
        }
    }
}

static void
read_tenants(struct loader *l)
{
    size_t count;
    const struct yaml_node **members = section(l, "tenants", &count);

    l->inv->tenants = pool_array(l->pool, count, sizeof *l->inv->tenants);
    for (size_t i = 0; i < count; i++) {
        struct draft d = {.tenant.key = object_key(l, members[i])};
        bind_map(&l->bind, members[i], members[i]->key_at, tenant_keys, &d);
        read_labels(l, d.labels, &d.tenant.labels, &d.tenant.label_count);
        if (d.tenant.key) {
            check_timezone(l, members[i], d.tenant.timezone);
            l->inv->tenants[l->inv->tenant_count++] = d.tenant;
        }
    }
}

int
inventory_compile(struct loader *l, struct inventory **out)
{
    yaml_drop_duplicates(l->faults, l->root);
    for (struct yaml_node *n = l->root->first; n; n = n->next) {
        if (n->kind == YAML_MAP) {
            yaml_drop_duplicates(l->faults, n);
        }
    }
    if (!l->format_seen && faults_errors(l->faults) == 0) {
        fault_error(l->faults, l->first_place,
                    "key 'inventory' is missing: 'inventory: 1' says the format");
    }
    if (bind_map(&l->bind, NULL, l->first_place, top_keys, l->inv)) {
        const struct yaml_node *interval = yaml_get(l->root, "interval");
        if (interval && bind_value(&l->bind, &top_keys[0], interval, l->inv)) {
            check_interval(l, interval);
        }
    }
    read_sites(l);
    read_probes(l);
    read_classes(l);
    read_links(l);
    read_tenants(l);
    check_links(l);
    if (faults_errors(l->faults)) {
        return -EINVAL;
    }
    l->inv->generation = inventory_generation(l->inv);
    *out = l->inv;
    return 0;
}

void
inventory_free(struct inventory *inv)
{
    if (inv) {
        pool_free(inv->pool);
    }
}

const struct inv_probe *
inventory_probe(const struct inventory *inv, const char *key)
{
    return find(inv->probes, inv->probe_count, sizeof *inv->probes, key);
}

const struct inv_link *
inventory_link(const struct inventory *inv, const char *key)
{
    return find(inv->links, inv->link_count, sizeof *inv->links, key);
}

const struct inv_site *
inventory_site(const struct inventory *inv, const char *key)
{
    return find(inv->sites, inv->site_count, sizeof *inv->sites, key);
}

const struct inv_class *
inventory_class(const struct inventory *inv, const char *key)
{
    return find(inv->classes, inv->class_count, sizeof *inv->classes, key);
}
