/* extent.c - from symptoms to links, from links to what stands over them. */
#include "extent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_names[EXTENT_KINDS] = {"link", "probe", "group", "service", "tenant"};

int
extent_add(struct extent *e, enum extent_kind kind, struct extent_item item)
{
    struct extent_list *l = &e->lists[kind];

    if (l->count == l->room) {
        size_t room = l->room ? 2 * l->room : 8;
        struct extent_item *at = reallocarray(l->at, room, sizeof *at);
        if (!at) {
            return -ENOMEM;
        }
        l->at = at;
        l->room = room;
    }
    l->at[l->count++] = item;
    return 0;
}

static int
by_index(const void *a, const void *b)
{
    const struct extent_item *x = a, *y = b;

    return x->index < y->index ? -1 : x->index > y->index;
}

static void
sort_list(struct extent_list *l)
{
    size_t kept = 0;

    if (l->count) {
        qsort(l->at, l->count, sizeof *l->at, by_index);
    }
    for (size_t i = 0; i < l->count; i++) {
        if (kept && l->at[kept - 1].index == l->at[i].index) {
            l->at[kept - 1].now |= l->at[i].now;
            l->at[kept - 1].bad |= l->at[i].bad;
            l->at[kept - 1].carries |= l->at[i].carries;
        } else {
            l->at[kept++] = l->at[i];
        }
    }
    l->count = kept;
}

void
extent_sort(struct extent *e)
{
    for (int k = 0; k < EXTENT_KINDS; k++) {
        sort_list(&e->lists[k]);
    }
}

void
extent_fini(struct extent *e)
{
    for (int k = 0; k < EXTENT_KINDS; k++) {
        free(e->lists[k].at);
    }
    *e = (struct extent){0};
}

const struct extent_item *
extent_find(const struct extent *e, enum extent_kind kind, uint32_t index)
{
    const struct extent_list *l = &e->lists[kind];
    const struct extent_item wanted = {.index = index};

    return l->count ? bsearch(&wanted, l->at, l->count, sizeof wanted, by_index) : NULL;
}

size_t
extent_bad(const struct extent *e, enum extent_kind kind)
{
    size_t bad = 0;

    for (size_t i = 0; i < e->lists[kind].count; i++) {
        bad += e->lists[kind].at[i].bad;
    }
    return bad;
}

/* --- K of M --------------------------------------------------------------- */

static bool
is_down(const struct reach *r, const struct inv_link *l, const bool *down)
{
    return l && down[l - r->inv->links];
}

uint32_t
extent_members_left(const struct reach *r, const struct inv_group *g, const bool *down)
{
    uint32_t left = 0;

    for (size_t i = 0; i < g->member_count; i++) {
        const struct inv_ref *m = &g->members[i];
        const struct inv_link *l = m->attachment ? m->attachment->test : m->link;
        left += !is_down(r, l, down);
    }
    return left;
}

static bool
connector_is_bad(const struct reach *r, const struct inv_connector *c, const bool *down)
{
    uint32_t left = 0;

    for (size_t i = 0; i < c->attachment_count; i++) {
        left += !is_down(r, c->attachments[i].test, down);
    }
    return left < c->need;
}

static bool
service_is_bad(const struct reach *r, const struct inv_service *s, const bool *down)
{
    for (size_t i = 0; i < s->over_count; i++) {
        const struct inv_ref *over = &s->over[i];
        if (is_down(r, over->link, down) ||
            (over->group && extent_members_left(r, over->group, down) < over->group->need)) {
            return true;
        }
    }
    return connector_is_bad(r, s->ends[0], down) || connector_is_bad(r, s->ends[1], down);
}

/* --- From one to the next ------------------------------------------------- */

static int
add_symptoms(struct extent *out, const struct reach *r, const struct symptom *s)
{
    int err = 0;

    for (; s && !err; s = s->next) {
        bool raised = symptom_is_raised(s);
        struct extent_item i = {.now = raised, .bad = raised};
        if (s->place == REACH_NONE) {
            continue;
        }
        if (s->scope == SYMPTOM_LINK) {
            i.index = s->place;
            i.carries = s->what != SYMPTOM_CLOCK;
            err = extent_add(out, EXTENT_LINK, i);
        } else if (s->scope == SYMPTOM_PROBE) {
            i.index = s->place - r->links;
            err = extent_add(out, EXTENT_PROBE, i);
        } else {
            i.index = s->place - r->links - r->probes;
            err = extent_add(out, EXTENT_SERVICE, i);
        }
    }
    return err;
}

static int
add_over(struct extent *out, const struct reach_map *map, enum extent_kind kind)
{
    const struct extent_list *links = &out->lists[EXTENT_LINK];
    int err = 0;

    for (size_t i = 0; i < links->count && !err; i++) {
        uint32_t count;
        const uint32_t *list = reach_list(map, links->at[i].index, &count);
        for (uint32_t k = 0; k < count && links->at[i].carries && !err; k++) {
            err = extent_add(out, kind,
                             (struct extent_item){.index = list[k], .now = links->at[i].now});
        }
    }
    return err;
}

static int
add_tenants(struct extent *out, const struct reach *r)
{
    const struct extent_list *services = &out->lists[EXTENT_SERVICE];
    int err = 0;

    for (size_t i = 0; i < services->count && !err; i++) {
        const struct inv_service *s = &r->inv->services[services->at[i].index];
        struct extent_item item = services->at[i];
        item.index = (uint32_t)(s->tenant - r->inv->tenants);
        err = extent_add(out, EXTENT_TENANT, item);
    }
    return err;
}

static void
judge_bad(struct extent *e, const struct reach *r, const bool *down)
{
    struct extent_list *groups = &e->lists[EXTENT_GROUP], *services = &e->lists[EXTENT_SERVICE];

    for (size_t i = 0; i < groups->count; i++) {
        const struct inv_group *g = &r->inv->groups[groups->at[i].index];
        groups->at[i].bad = groups->at[i].now && extent_members_left(r, g, down) < g->need;
    }
    for (size_t i = 0; i < services->count; i++) {
        const struct inv_service *s = &r->inv->services[services->at[i].index];
        services->at[i].bad |= services->at[i].now && service_is_bad(r, s, down);
    }
}

int
extent_make(struct extent *out, const struct reach *r, const struct symptom *s, const bool *down)
{
    *out = (struct extent){0};
    int err = add_symptoms(out, r, s);
    sort_list(&out->lists[EXTENT_LINK]);
    sort_list(&out->lists[EXTENT_PROBE]);
    err = err ? err : add_over(out, &r->link_groups, EXTENT_GROUP);
    err = err ? err : add_over(out, &r->link_services, EXTENT_SERVICE);
    sort_list(&out->lists[EXTENT_GROUP]);
    sort_list(&out->lists[EXTENT_SERVICE]);
    judge_bad(out, r, down);
    err = err ? err : add_tenants(out, r);
    sort_list(&out->lists[EXTENT_TENANT]);
    if (err) {
        extent_fini(out);
    }
    return err;
}

/* --- Names ---------------------------------------------------------------- */

const char *
extent_kind_name(enum extent_kind kind)
{
    return kind_names[kind];
}

const char *
extent_key(const struct reach *r, enum extent_kind kind, uint32_t index)
{
    const struct inventory *inv = r->inv;

    switch (kind) {
    case EXTENT_LINK:
        return inv->links[index].key;
    case EXTENT_PROBE:
        return inv->probes[index].key;
    case EXTENT_GROUP:
        return inv->groups[index].key;
    case EXTENT_SERVICE:
        return inv->services[index].key;
    case EXTENT_TENANT:
    case EXTENT_KINDS:
        break;
    }
    return inv->tenants[index].key;
}

uint32_t
extent_index(const struct reach *r, enum extent_kind kind, const char *key)
{
    const struct inventory *inv = r->inv;
    const struct inv_link *l = kind == EXTENT_LINK ? inventory_link(inv, key) : NULL;
    const struct inv_probe *p = kind == EXTENT_PROBE ? inventory_probe(inv, key) : NULL;
    const struct inv_group *g = kind == EXTENT_GROUP ? inventory_group(inv, key) : NULL;
    const struct inv_service *s = kind == EXTENT_SERVICE ? inventory_service(inv, key) : NULL;
    const struct inv_tenant *t = kind == EXTENT_TENANT ? inventory_tenant(inv, key) : NULL;

    return l   ? (uint32_t)(l - inv->links)
           : p ? (uint32_t)(p - inv->probes)
           : g ? (uint32_t)(g - inv->groups)
           : s ? (uint32_t)(s - inv->services)
           : t ? (uint32_t)(t - inv->tenants)
               : REACH_NONE;
}
