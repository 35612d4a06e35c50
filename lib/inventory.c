/* inventory.c - from one tree to the network: goes through the sections in the
 * order in which they need each other, and resolves what names what.  The tree
 * comes from inventory_files.c; each section's reader is in the file that
 * inventory_parts.h names. */
#include "inventory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "inventory_parts.h"
#include "value.h"

#define LABELS_MAX 64u
/* So many comparisons may go into suggestions: with many objects and many faults
 * they would take longer than all the rest. */
#define COMPARISONS_MAX 200000u

const struct bind_word inventory_state_words[] = {
    {"planned", INV_PLANNED}, {"active", INV_ACTIVE}, {"retired", INV_RETIRED}, {NULL, 0}};

static const struct bind_key top_keys[] = {
    {.key = "interval",
     .type = BIND_SPAN,
     .offset = offsetof(struct inventory, interval),
     .min = (uint64_t)NS_PER_S,
     .max = 900 * (uint64_t)NS_PER_S,
     .fallback = "60s"},
    {.key = NULL},
};

#define KIND(kind_name, list_name, count_name, type)                                               \
    {                                                                                              \
        .name = kind_name, .section = #list_name, .list = offsetof(struct inventory, list_name),   \
        .count = offsetof(struct inventory, count_name), .size = sizeof(struct type)               \
    }

static const struct {
    const char *name, *section;
    size_t list, count, size;
} kinds[KINDS] = {
    [KIND_SITE] = KIND("site", sites, site_count, inv_site),
    [KIND_PROBE] = KIND("probe", probes, probe_count, inv_probe),
    [KIND_ROUTER] = KIND("router", routers, router_count, inv_router),
    [KIND_CLASS] = KIND("class", classes, class_count, inv_class),
    [KIND_LINK] = KIND("link", links, link_count, inv_link),
    [KIND_ALARM] = KIND("alarm", alarms, alarm_count, inv_alarm),
    [KIND_GROUP] = KIND("group", groups, group_count, inv_group),
    [KIND_TENANT] = KIND("tenant", tenants, tenant_count, inv_tenant),
    [KIND_CONNECTOR] = KIND("connector", connectors, connector_count, inv_connector),
    [KIND_TUNNEL] = KIND("tunnel", tunnels, tunnel_count, inv_tunnel),
    [KIND_SERVICE] = KIND("service", services, service_count, inv_service),
    [KIND_PROFILE] = KIND("profile", profiles, profile_count, inv_profile),
    [KIND_SLA] = KIND("SLA", slas, sla_count, inv_sla),
    [KIND_HOOK] = KIND("hook", hooks, hook_count, inv_hook),
};

const char *
inventory_kind_name(enum kind kind)
{
    return kinds[kind].name;
}

const char *
inventory_kind_section(enum kind kind)
{
    return kinds[kind].section;
}

/* Where the inventory holds how many there are. */
static size_t *
count_of(struct inventory *inv, enum kind kind)
{
    return (size_t *)(void *)((char *)inv + kinds[kind].count);
}

static void **
list_of(struct inventory *inv, enum kind kind)
{
    return (void **)(void *)((char *)inv + kinds[kind].list);
}

size_t
inventory_count(const struct inventory *inv, enum kind kind)
{
    return *(const size_t *)(const void *)((const char *)inv + kinds[kind].count);
}

const void *
inventory_object(const struct inventory *inv, enum kind kind, size_t i)
{
    const char *const *list = (const void *)((const char *)inv + kinds[kind].list);
    return *list + i * kinds[kind].size;
}

/* Every object begins with its key. */
static const char *
key_of(const void *object)
{
    return *(const char *const *)object;
}

static bool
is_retired(const void *object)
{
    enum inv_state state;
    memcpy(&state, (const char *)object + offsetof(struct inv_head, state), sizeof state);
    return state == INV_RETIRED;
}

struct place
inventory_place(const struct yaml_node *object, const char *key)
{
    const struct yaml_node *n = object->kind == YAML_MAP ? yaml_get(object, key) : NULL;
    return n ? n->at : object->key ? object->key_at : object->at;
}

const char *
inventory_key(struct loader *l, const struct yaml_node *member)
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
    const struct yaml_node **members = pool_array(l->trees, map->count, sizeof(struct yaml_node *));
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        members[(*count)++] = n;
    }
    if (*count) {
        qsort(members, *count, sizeof members[0], member_compare);
    }
    return members;
}

void
inventory_read_kind(struct loader *l, enum kind kind, inventory_reader *read)
{
    size_t count;
    const struct yaml_node **members = section(l, kinds[kind].section, &count);
    size_t *used = count_of(l->inv, kind);
    char *list = pool_array(l->pool, count, kinds[kind].size);

    *list_of(l->inv, kind) = list;
    l->nodes[kind] = pool_array(l->trees, count, sizeof(struct yaml_node *));
    for (size_t i = 0; i < count; i++) {
        void *object = list + *used * kinds[kind].size;
        const char *key = inventory_key(l, members[i]);
        *(const char **)object = key ? key : "";
        read(l, members[i], object);
        if (key) {
            l->nodes[kind][(*used)++] = members[i];
        } else {
            memset(object, 0, kinds[kind].size);
        }
    }
}

/* Objects begin with their key, so one search serves all kinds. */
static const void *
find(const struct inventory *inv, enum kind kind, const char *key)
{
    size_t low = 0, high = inventory_count(inv, kind);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const void *at = inventory_object(inv, kind, middle);
        int order = strcmp(key, key_of(at));
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

static void
offer_all(struct loader *l, struct nearest *near, enum kind kind)
{
    size_t count = inventory_count(l->inv, kind);

    for (size_t i = 0; i < count && l->comparisons < COMPARISONS_MAX; i++) {
        l->comparisons++;
        nearest_offer(near, key_of(inventory_object(l->inv, kind, i)));
    }
}

/* What is there must not name what is retired. */
static void
refuse_retired(struct loader *l, const struct yaml_node *node, const char *kind, const void *found)
{
    if (!l->retired && is_retired(found)) {
        fault_error(l->faults, node->at, "%s '%s' is retired", kind, key_of(found));
    }
}

const void *
inventory_resolve(struct loader *l, const struct yaml_node *node, enum kind kind)
{
    const char *name = kinds[kind].name;
    char hint[96], got[64];

    if (node->kind != YAML_SCALAR || yaml_is_null(node)) {
        fault_error(l->faults, node->at, "expected the key of a %s, got %s", name,
                    yaml_describe(node, got, sizeof got));
        return NULL;
    }
    const void *found = find(l->inv, kind, node->text);
    if (found) {
        refuse_retired(l, node, name, found);
        return found;
    }
    struct nearest near = {.wanted = node->text};
    offer_all(l, &near, kind);
    fault_error(l->faults, node->at, "there is no %s %s%s", name,
                yaml_describe(node, got, sizeof got), nearest_text(&near, hint, sizeof hint));
    return NULL;
}

/* --- References that may be of several kinds ------------------------------- */

/* "connector.attachment"; either may have dots in it. */
static const struct inv_attachment *
find_attachment(const struct inventory *inv, const char *name)
{
    char key[SERIES_NAME_MAX + 1];

    for (const char *dot = strchr(name, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t length = (size_t)(dot - name);
        if (length >= sizeof key) {
            return NULL;
        }
        memcpy(key, name, length);
        key[length] = '\0';
        const struct inv_connector *c = inventory_connector(inv, key);
        for (size_t a = 0; c && a < c->attachment_count; a++) {
            if (strcmp(c->attachments[a].key, dot + 1) == 0) {
                return &c->attachments[a];
            }
        }
    }
    return NULL;
}

/* "link, attachment or service" */
static const char *
describe_kinds(unsigned which, char *buf, size_t size)
{
    const char *names[KINDS + 1];
    size_t count = 0, length = 0;

    for (unsigned k = 0; k < KINDS; k++) {
        if (which & (1u << k)) {
            names[count++] = kinds[k].name;
        }
    }
    if (which & MAY_ATTACHMENT) {
        names[count++] = "attachment";
    }
    for (size_t i = 0; i < count; i++) {
        const char *between = i == 0 ? "" : i + 1 == count ? " or " : ", ";
        length += (size_t)snprintf(buf + length, size - length, "%s%s", between, names[i]);
    }
    return buf;
}

bool
inventory_resolve_ref(struct loader *l, const struct yaml_node *node, unsigned which,
                      struct inv_ref *out)
{
    char names[96], got[64], hint[96];

    *out = (struct inv_ref){0};
    describe_kinds(which, names, sizeof names);
    if (node->kind != YAML_SCALAR || yaml_is_null(node)) {
        fault_error(l->faults, node->at, "expected the key of a %s, got %s", names,
                    yaml_describe(node, got, sizeof got));
        return false;
    }
    struct nearest near = {.wanted = node->text};
    const struct inv_link *link =
        which & (1u << KIND_LINK) ? find(l->inv, KIND_LINK, node->text) : NULL;
    const void *found = NULL;
    if (link && !link->attachment) {
        out->link = found = link;
    } else if (which & (1u << KIND_GROUP) && (out->group = find(l->inv, KIND_GROUP, node->text))) {
        found = out->group;
    } else if (which & (1u << KIND_SERVICE) &&
               (out->service = find(l->inv, KIND_SERVICE, node->text))) {
        found = out->service;
    } else if (which & MAY_ATTACHMENT && (out->attachment = find_attachment(l->inv, node->text))) {
        found = out->attachment;
    }
    if (found) {
        refuse_retired(l, node, names, found);
        return true;
    }
    for (unsigned k = 0; k < KINDS; k++) {
        if (which & (1u << k)) {
            offer_all(l, &near, (enum kind)k);
        }
    }
    fault_error(l->faults, node->at, "there is no %s %s%s", names,
                yaml_describe(node, got, sizeof got), nearest_text(&near, hint, sizeof hint));
    return false;
}

static bool
same_ref(const struct inv_ref *a, const struct inv_ref *b)
{
    return a->link == b->link && a->group == b->group && a->service == b->service &&
           a->attachment == b->attachment;
}

void
inventory_resolve_refs(struct loader *l, const struct yaml_node *list, unsigned which,
                       struct inv_ref **out, size_t *count)
{
    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of keys")) {
        return;
    }
    if (list->count == 0 || list->count > NAMES_MAX) {
        fault_error(l->faults, list->at, "expected 1 to %u keys, got %zu", NAMES_MAX, list->count);
        return;
    }
    *out = pool_array(l->pool, list->count, sizeof **out);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        struct inv_ref ref;
        bool good = inventory_resolve_ref(l, n, which, &ref);
        for (size_t i = 0; good && i < *count; i++) {
            if (same_ref(&(*out)[i], &ref)) {
                fault_error(l->faults, n->at, "'%s' is in this list twice", n->text);
                good = false;
            }
        }
        if (good) {
            (*out)[(*count)++] = ref;
        }
    }
}

void
inventory_resolve_classes(struct loader *l, const struct yaml_node *list,
                          const struct inv_class ***out, size_t *count)
{
    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of classes, such as [gold, be]")) {
        return;
    }
    if (list->count == 0 || list->count > NAMES_MAX) {
        fault_error(l->faults, list->at, "expected 1 to %u classes, got %zu", NAMES_MAX,
                    list->count);
        return;
    }
    *out = pool_array(l->pool, list->count, sizeof **out);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        const struct inv_class *class_ = inventory_resolve(l, n, KIND_CLASS);
        for (size_t i = 0; class_ && i < *count; i++) {
            if ((*out)[i] == class_) {
                fault_error(l->faults, n->at, "'%s' is in this list twice", class_->key);
                class_ = NULL;
            }
        }
        if (class_) {
            (*out)[(*count)++] = class_;
        }
    }
}

/* --- Labels --------------------------------------------------------------- */

static int
label_compare(const void *left, const void *right)
{
    const struct inv_label *a = left, *b = right;
    return strcmp(a->name, b->name);
}

/* ServiceNow's names have underscores and capitals. */
static bool
is_label_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= SERIES_NAME_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") ==
               length;
}

void
inventory_read_labels(struct loader *l, const struct yaml_node *map, struct inv_labels *out)
{
    static const struct bind_key text = {
        .key = "", .type = BIND_STRING, .offset = offsetof(struct inv_label, value)};

    if (!map || !bind_expect(&l->bind, map, YAML_MAP, "a map of texts by name")) {
        return;
    }
    if (map->count > LABELS_MAX) {
        fault_error(l->faults, map->at, "expected at most %u labels, got %zu", LABELS_MAX,
                    map->count);
        return;
    }
    out->list = pool_array(l->pool, map->count, sizeof *out->list);
    for (const struct yaml_node *n = map->first; n; n = n->next) {
        struct inv_label *label = &out->list[out->count];
        if (!is_label_name(n->key)) {
            fault_error(l->faults, n->key_at,
                        "'%.63s' is not the name of a label: letters, digits, '.', '_', '-', at "
                        "most 63",
                        n->key);
        } else if (bind_value(&l->bind, &text, n, label)) {
            label->name = pool_text(l->pool, n->key, strlen(n->key));
            out->count++;
        }
    }
    if (out->count) {
        qsort(out->list, out->count, sizeof *out->list, label_compare);
    }
}

/* --- The whole ------------------------------------------------------------ */

static void
read_top(struct loader *l)
{
    if (!l->format_seen && faults_errors(l->faults) == 0) {
        fault_error(l->faults, l->first_place,
                    "key 'inventory' is missing: 'inventory: 1' says the format");
    }
    if (l->slice_seen && !l->inv->slice_of && faults_errors(l->faults) == 0) {
        fault_error(l->faults, l->first_place, "key 'slice_of' is missing: for which probe it is");
    }
    if (bind_map(&l->bind, NULL, l->first_place, top_keys, l->inv)) {
        const struct yaml_node *interval = yaml_get(l->root, "interval");
        if (interval && bind_value(&l->bind, &top_keys[0], interval, l->inv)) {
            check_interval(l, interval);
        }
    }
}

static void
read_sections(struct loader *l)
{
    inventory_read_kind(l, KIND_SITE, inventory_read_site);
    inventory_read_kind(l, KIND_PROBE, inventory_read_probe);
    inventory_read_kind(l, KIND_ROUTER, inventory_read_router);
    inventory_read_kind(l, KIND_CLASS, inventory_read_class);
    inventory_read_kind(l, KIND_TENANT, inventory_read_tenant);
    inventory_read_links(l);
    inventory_read_kind(l, KIND_CONNECTOR, inventory_read_connector);
    inventory_sort_links(l);
    inventory_read_kind(l, KIND_GROUP, inventory_read_group);
    inventory_read_kind(l, KIND_PROFILE, inventory_read_profile);
    inventory_read_kind(l, KIND_SLA, inventory_read_sla);
    inventory_read_kind(l, KIND_SERVICE, inventory_read_service);
    inventory_read_members(l);
    inventory_read_kind(l, KIND_TUNNEL, inventory_read_tunnel);
    inventory_read_kind(l, KIND_ALARM, inventory_read_alarm);
    inventory_read_kind(l, KIND_HOOK, inventory_read_hook);
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
    read_top(l);
    read_sections(l);
    check_links(l);
    check_cross(l);
    if (faults_errors(l->faults) == 0) {
        check_promises(l); /* Walks from object to object: all must be there. */
    }
    if (faults_errors(l->faults) == 0) {
        inventory_derive_limits(l);
    }
    if (faults_errors(l->faults)) {
        return -EINVAL;
    }
    if (!l->inv->slice_of) {
        l->inv->generation = inventory_generation(l->inv);
    }
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
    return find(inv, KIND_PROBE, key);
}

const struct inv_link *
inventory_link(const struct inventory *inv, const char *key)
{
    return find(inv, KIND_LINK, key);
}

const struct inv_site *
inventory_site(const struct inventory *inv, const char *key)
{
    return find(inv, KIND_SITE, key);
}

const struct inv_class *
inventory_class(const struct inventory *inv, const char *key)
{
    return find(inv, KIND_CLASS, key);
}

const struct inv_router *
inventory_router(const struct inventory *inv, const char *key)
{
    return find(inv, KIND_ROUTER, key);
}

const struct inv_tenant *
inventory_tenant(const struct inventory *inv, const char *key)
{
    return find(inv, KIND_TENANT, key);
}

const struct inv_group *
inventory_group(const struct inventory *inv, const char *key)
{
    return find(inv, KIND_GROUP, key);
}

const struct inv_connector *
inventory_connector(const struct inventory *inv, const char *key)
{
    return find(inv, KIND_CONNECTOR, key);
}

const struct inv_service *
inventory_service(const struct inventory *inv, const char *key)
{
    return find(inv, KIND_SERVICE, key);
}

const struct inv_profile *
inventory_profile(const struct inventory *inv, const char *key)
{
    return find(inv, KIND_PROFILE, key);
}

const struct inv_sla *
inventory_sla(const struct inventory *inv, const char *key)
{
    return find(inv, KIND_SLA, key);
}
