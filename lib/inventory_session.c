/* inventory_session.c - the sessions that a probe sends, as they follow from the inventory. */
#include "inventory_parts.h"

#include <assert.h>
#include <string.h>

static void
copy_name(char to[SERIES_NAME_MAX + 1], const char *name)
{
    size_t length = strlen(name);
    assert(length <= SERIES_NAME_MAX);
    memcpy(to, name, length + 1);
}

static void
session_key_of(const struct inv_link *link, const struct inv_class *class_, unsigned end,
               uint16_t flow, struct session_key *key)
{
    const struct inv_probe *far = link->ends[1 - end].probe;
    const char *protocol = inv_protocol_name(far ? INV_STAMP : link->ends[1 - end].protocol);

    memset(key, 0, sizeof *key);
    copy_name(key->object, link->key);
    copy_name(key->observer, link->ends[end].probe->key);
    copy_name(key->far, far ? far->key : "");
    copy_name(key->class_name, class_->key);
    snprintf(key->protocol, sizeof key->protocol, "%s", protocol);
    key->flow = flow;
    key->family = link->ends[1].address.family;
    key->observer_end = (uint8_t)end;
    key->dt = class_->dt;
    key->tmax = class_->tmax;
    key->period = class_->period;
    key->size = class_->size;
    key->dscp = class_->dscp;
    key->ifdv = class_->ifdv;
    key->rt_only = !inv_link_has_directions(link);
    for (unsigned i = 0; i < class_->limit_count; i++) {
        key->limits[key->limit_count++] = class_->limits[i];
    }
    for (size_t i = 0; i < link->limit_count && key->limit_count < SERIES_LIMITS_MAX; i++) {
        if (link->limits[i].class_ == class_) {
            key->limits[key->limit_count++] = link->limits[i].limit;
        }
    }
    for (unsigned i = 0; i < key->limit_count; i++) {
        key->limits[i].direction = session_direction(key, key->limits[i].direction);
    }
}

int
inventory_link_sessions(const struct inv_link *link, const struct inv_class *class_, unsigned end,
                        inventory_session_fn *fn, void *aux)
{
    int stop = 0;

    if (link->state == INV_RETIRED || !link->ends[end].probe ||
        (end == 1 && !link->probe_from_both)) {
        return 0;
    }
    for (uint16_t flow = 0; flow < link->flows && !stop; flow++) {
        struct session_key key;
        session_key_of(link, class_, end, flow, &key);
        stop = fn(link, class_, end, &key, aux);
    }
    return stop;
}

bool
inventory_link_sends(const struct inv_link *link, const char *probe)
{
    const struct inv_probe *witness = link->probe_from_both ? link->ends[1].probe : NULL;

    return strcmp(link->ends[0].probe->key, probe) == 0 ||
           (witness && strcmp(witness->key, probe) == 0);
}

int
inventory_sessions(const struct inventory *inv, const char *probe, inventory_session_fn *fn,
                   void *aux)
{
    for (size_t i = 0; i < inv->link_count; i++) {
        const struct inv_link *link = &inv->links[i];
        unsigned end = strcmp(link->ends[0].probe->key, probe) == 0 ? 0 : 1;
        const struct inv_probe *near = link->ends[end].probe;
        if (!near || strcmp(near->key, probe) != 0) {
            continue;
        }
        for (size_t c = 0; c < link->class_count; c++) {
            int stop = inventory_link_sessions(link, link->classes[c], end, fn, aux);
            if (stop) {
                return stop;
            }
        }
    }
    return 0;
}
