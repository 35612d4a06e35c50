/* inventory.c - the objects of an inventory: their kinds, by number and by key; what one object
 * says of itself.  Nothing is read, judged or written here; inventory_parts.h names the files that
 * do. */
#include "inventory.h"

#include <string.h>

#include "inventory_parts.h"

const struct bind_word inventory_state_words[] = {
    {"planned", INV_PLANNED}, {"active", INV_ACTIVE}, {"retired", INV_RETIRED}, {NULL, 0}};

const struct bind_word inventory_protocol_words[] = {
    {"stamp", INV_STAMP}, {"twamp-light", INV_TWAMP_LIGHT}, {"icmp", INV_ICMP}, {NULL, 0}};

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

struct inventory_slot
inventory_slot(struct inventory *inv, enum kind kind)
{
    return (struct inventory_slot){.list = (void *)((char *)inv + kinds[kind].list),
                                   .count = (void *)((char *)inv + kinds[kind].count),
                                   .size = kinds[kind].size};
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

const void *
inventory_find(const struct inventory *inv, enum kind kind, const char *key)
{
    size_t low = 0, high = inventory_count(inv, kind);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const void *at = inventory_object(inv, kind, middle);
        int order = strcmp(key, inventory_key_of(at));
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
    return inventory_find(inv, KIND_PROBE, key);
}

const struct inv_link *
inventory_link(const struct inventory *inv, const char *key)
{
    return inventory_find(inv, KIND_LINK, key);
}

const struct inv_site *
inventory_site(const struct inventory *inv, const char *key)
{
    return inventory_find(inv, KIND_SITE, key);
}

const struct inv_class *
inventory_class(const struct inventory *inv, const char *key)
{
    return inventory_find(inv, KIND_CLASS, key);
}

const struct inv_router *
inventory_router(const struct inventory *inv, const char *key)
{
    return inventory_find(inv, KIND_ROUTER, key);
}

const struct inv_tenant *
inventory_tenant(const struct inventory *inv, const char *key)
{
    return inventory_find(inv, KIND_TENANT, key);
}

const struct inv_group *
inventory_group(const struct inventory *inv, const char *key)
{
    return inventory_find(inv, KIND_GROUP, key);
}

const struct inv_connector *
inventory_connector(const struct inventory *inv, const char *key)
{
    return inventory_find(inv, KIND_CONNECTOR, key);
}

const struct inv_service *
inventory_service(const struct inventory *inv, const char *key)
{
    return inventory_find(inv, KIND_SERVICE, key);
}

const struct inv_profile *
inventory_profile(const struct inventory *inv, const char *key)
{
    return inventory_find(inv, KIND_PROFILE, key);
}

const struct inv_sla *
inventory_sla(const struct inventory *inv, const char *key)
{
    return inventory_find(inv, KIND_SLA, key);
}

const char *
inv_protocol_name(enum inv_protocol p)
{
    return inventory_protocol_words[p].word;
}

bool
inv_link_is_judged(const struct inv_link *link)
{
    bool evidence = !link->ends[1].probe && link->ends[1].use == INV_USE_EVIDENCE;

    return !evidence &&
           (link->state == INV_ACTIVE || (link->state == INV_PLANNED && link->in_service.ns > 0));
}

bool
inv_link_has_directions(const struct inv_link *link)
{
    const struct inv_end *far = &link->ends[1];
    return far->probe || (far->protocol != INV_ICMP && far->reflector == INV_STATEFUL);
}
