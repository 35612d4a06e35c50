/* inventory_compile.c - from one tree to the network: goes through the sections in the order in
 * which they need each other, then judges the whole.
 *
 * After the files that read and that judge; before inventory_files.c, from which the tree comes. */
#include "inventory_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct bind_key top_keys[] = {
    {.key = "interval",
     .type = BIND_SPAN,
     .offset = offsetof(struct inventory, interval),
     .min = (uint64_t)NS_PER_S,
     .max = 900 * (uint64_t)NS_PER_S,
     .fallback = "60s"},
    {.key = NULL},
};

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

/* All objects of a section, sorted by key. */
static void
read_kind(struct loader *l, enum kind kind, inventory_reader *read)
{
    size_t count;
    const struct yaml_node **members = section(l, inventory_kind_section(kind), &count);
    struct inventory_slot slot = inventory_slot(l->inv, kind);
    char *list = pool_array(l->pool, count, slot.size);

    *slot.list = list;
    l->nodes[kind] = pool_array(l->trees, count, sizeof(struct yaml_node *));
    for (size_t i = 0; i < count; i++) {
        void *object = list + *slot.count * slot.size;
        const char *key = inventory_key(l, members[i]);
        *(const char **)object = key ? key : "";
        read(l, members[i], object);
        if (key) {
            l->nodes[kind][(*slot.count)++] = members[i];
        } else {
            memset(object, 0, slot.size);
        }
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
    read_kind(l, KIND_SITE, inventory_read_site);
    read_kind(l, KIND_PROBE, inventory_read_probe);
    read_kind(l, KIND_ROUTER, inventory_read_router);
    read_kind(l, KIND_CLASS, inventory_read_class);
    read_kind(l, KIND_TENANT, inventory_read_tenant);
    inventory_read_links(l);
    read_kind(l, KIND_CONNECTOR, inventory_read_connector);
    inventory_sort_links(l);
    read_kind(l, KIND_GROUP, inventory_read_group);
    read_kind(l, KIND_PROFILE, inventory_read_profile);
    read_kind(l, KIND_SLA, inventory_read_sla);
    read_kind(l, KIND_SERVICE, inventory_read_service);
    inventory_read_members(l);
    read_kind(l, KIND_TUNNEL, inventory_read_tunnel);
    read_kind(l, KIND_ALARM, inventory_read_alarm);
    read_kind(l, KIND_HOOK, inventory_read_hook);
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
        check_wholes(l);
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
