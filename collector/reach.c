/* reach.c - the maps from links and probes to what stands over them. */
#include "reach.h"

#include <stdlib.h>
#include <string.h>

static const char *const cause_names[] = {"link", "risk", "router", "probe", "site", "service"};
#define CAUSES (sizeof cause_names / sizeof cause_names[0])

/* Pairs that become a map. */
struct pairs {
    struct pair {
        uint32_t from, to;
    } * at;
    size_t count, room;
    bool bad;
};

static void
pairs_add(struct pairs *p, uint32_t from, uint32_t to)
{
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        struct pair *at = reallocarray(p->at, room, sizeof *at);
        if (!at) {
            p->bad = true;
            return;
        }
        p->at = at;
        p->room = room;
    }
    p->at[p->count++] = (struct pair){from, to};
}

static int
by_pair(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;

    if (x->from != y->from) {
        return x->from < y->from ? -1 : 1;
    }
    return x->to < y->to ? -1 : x->to > y->to;
}

/* Makes the map, each pair once, and empties 'p'. */
static bool
map_make(struct reach_map *map, struct pairs *p, uint32_t objects)
{
    size_t kept = 0;

    map->start = calloc((size_t)objects + 1, sizeof *map->start);
    map->list = calloc(p->count + 1, sizeof *map->list);
    bool good = map->start && map->list && !p->bad;
    if (good && p->count) {
        qsort(p->at, p->count, sizeof *p->at, by_pair);
    }
    for (size_t i = 0; good && i < p->count; i++) {
        if (i == 0 || by_pair(&p->at[i - 1], &p->at[i])) {
            map->list[kept++] = p->at[i].to;
            map->start[p->at[i].from + 1]++;
        }
    }
    for (uint32_t i = 0; good && i < objects; i++) {
        map->start[i + 1] += map->start[i];
    }
    free(p->at);
    *p = (struct pairs){0};
    return good;
}

static void
map_fini(struct reach_map *map)
{
    free(map->start);
    free(map->list);
}

const uint32_t *
reach_list(const struct reach_map *map, uint32_t number, uint32_t *count)
{
    *count = map->start[number + 1] - map->start[number];
    return map->list + map->start[number];
}

/* --- Candidates ----------------------------------------------------------- */

static int
by_candidate(const void *a, const void *b)
{
    const struct reach_candidate *x = a, *y = b;

    return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->key, y->key);
}

static void
add_candidate(struct reach *r, enum inv_cause kind, const char *key, const char *label)
{
    r->candidates[r->candidate_count++] = (struct reach_candidate){kind, key, label ? label : key};
}

/* Risks have no section of their own: links name them. */
static bool
find_candidates(struct reach *r)
{
    const struct inventory *inv = r->inv;
    size_t room = inv->router_count + inv->probe_count + inv->site_count + 1;
    uint32_t kept = 0;

    for (size_t i = 0; i < inv->link_count; i++) {
        room += inv->links[i].risk_count;
    }
    r->candidates = calloc(room, sizeof *r->candidates);
    if (!r->candidates) {
        return false;
    }
    for (size_t i = 0; i < inv->link_count; i++) {
        for (size_t k = 0; k < inv->links[i].risk_count; k++) {
            add_candidate(r, INV_CAUSE_RISK, inv->links[i].risks[k], NULL);
        }
    }
    for (size_t i = 0; i < inv->router_count; i++) {
        add_candidate(r, INV_CAUSE_ROUTER, inv->routers[i].key, inv->routers[i].label);
    }
    for (size_t i = 0; i < inv->probe_count; i++) {
        add_candidate(r, INV_CAUSE_PROBE, inv->probes[i].key, inv->probes[i].label);
    }
    for (size_t i = 0; i < inv->site_count; i++) {
        add_candidate(r, INV_CAUSE_SITE, inv->sites[i].key, inv->sites[i].label);
    }
    qsort(r->candidates, r->candidate_count, sizeof *r->candidates, by_candidate);
    for (uint32_t i = 0; i < r->candidate_count; i++) {
        if (i == 0 || by_candidate(&r->candidates[i], &r->candidates[kept - 1])) {
            r->candidates[kept++] = r->candidates[i];
        }
    }
    r->candidate_count = kept;
    return true;
}

uint32_t
reach_candidate(const struct reach *r, enum inv_cause kind, const char *key)
{
    const struct reach_candidate wanted = {.kind = kind, .key = key};
    const struct reach_candidate *c =
        r->candidate_count
            ? bsearch(&wanted, r->candidates, r->candidate_count, sizeof wanted, by_candidate)
            : NULL;
    return c ? (uint32_t)(c - r->candidates) : REACH_NONE;
}

static void
tie(struct reach *r, struct pairs *p, uint32_t object, enum inv_cause kind, const char *key)
{
    uint32_t c = reach_candidate(r, kind, key);

    if (c != REACH_NONE) {
        pairs_add(p, object, c);
    }
}

static void
tie_end(struct reach *r, struct pairs *p, uint32_t link, const struct inv_end *end)
{
    if (end->router) {
        tie(r, p, link, INV_CAUSE_ROUTER, end->router->key);
        tie(r, p, link, INV_CAUSE_SITE, end->router->site->key);
    }
    if (end->probe) {
        tie(r, p, link, INV_CAUSE_PROBE, end->probe->key);
        tie(r, p, link, INV_CAUSE_SITE, end->probe->site->key);
    }
}

static bool
tie_objects(struct reach *r)
{
    struct pairs of = {0}, under = {0}, ends = {0};

    for (uint32_t i = 0; i < r->links; i++) {
        const struct inv_link *l = reach_link(r, i);
        for (size_t k = 0; k < l->risk_count; k++) {
            tie(r, &of, i, INV_CAUSE_RISK, l->risks[k]);
        }
        for (int e = 0; e < 2; e++) {
            tie_end(r, &of, i, &l->ends[e]);
            if (l->ends[e].probe) {
                pairs_add(&ends, (uint32_t)(l->ends[e].probe - r->inv->probes), i);
            }
        }
    }
    for (uint32_t i = 0; i < r->probes; i++) {
        const struct inv_probe *p = &r->inv->probes[i];
        tie(r, &of, r->links + i, INV_CAUSE_PROBE, p->key);
        tie(r, &of, r->links + i, INV_CAUSE_SITE, p->site->key);
    }
    for (size_t i = 0; i < of.count; i++) {
        if (of.at[i].from < r->links && reach_link(r, of.at[i].from)->state != INV_RETIRED) {
            pairs_add(&under, of.at[i].to, of.at[i].from);
        }
    }
    bool good = map_make(&r->of_object, &of, r->links + r->probes);
    good = map_make(&r->under, &under, r->candidate_count) && good;
    return map_make(&r->probe_links, &ends, r->probes) && good;
}

/* --- What is sold over them ----------------------------------------------- */

static void
tie_group(struct reach *r, struct pairs *p, const struct inv_group *g)
{
    uint32_t number = (uint32_t)(g - r->inv->groups);

    for (size_t i = 0; i < g->member_count; i++) {
        const struct inv_ref *m = &g->members[i];
        const struct inv_link *l = m->link ? m->link : m->attachment ? m->attachment->test : NULL;
        if (l) {
            pairs_add(p, (uint32_t)(l - r->inv->links), number);
        }
    }
}

static void
tie_tests(struct reach *r, struct pairs *p, uint32_t service, const struct inv_connector *c)
{
    for (size_t i = 0; i < c->attachment_count; i++) {
        if (c->attachments[i].test) {
            pairs_add(p, (uint32_t)(c->attachments[i].test - r->inv->links), service);
        }
    }
}

static void
tie_service(struct reach *r, struct pairs *p, const struct inv_service *s)
{
    uint32_t number = (uint32_t)(s - r->inv->services);

    for (size_t i = 0; i < s->over_count; i++) {
        const struct inv_ref *over = &s->over[i];
        if (over->link) {
            pairs_add(p, (uint32_t)(over->link - r->inv->links), number);
        }
        for (size_t k = 0; over->group && k < over->group->member_count; k++) {
            const struct inv_ref *m = &over->group->members[k];
            const struct inv_link *l = m->link         ? m->link
                                       : m->attachment ? m->attachment->test
                                                       : NULL;
            if (l) {
                pairs_add(p, (uint32_t)(l - r->inv->links), number);
            }
        }
    }
    tie_tests(r, p, number, s->ends[0]);
    tie_tests(r, p, number, s->ends[1]);
}

static bool
tie_sold(struct reach *r)
{
    struct pairs groups = {0}, services = {0};

    for (uint32_t i = 0; i < r->services; i++) {
        const struct inv_service *s = &r->inv->services[i];
        if (s->state == INV_ACTIVE) {
            tie_service(r, &services, s);
        }
    }
    if (!map_make(&r->link_services, &services, r->links)) {
        return false;
    }
    for (size_t i = 0; i < r->inv->group_count; i++) {
        const struct inv_group *g = &r->inv->groups[i];
        if (g->state == INV_ACTIVE) {
            tie_group(r, &groups, g);
        }
    }
    return map_make(&r->link_groups, &groups, r->links);
}

struct reach *
reach_new(const struct inventory *inv)
{
    struct reach *r = calloc(1, sizeof *r);

    if (!r) {
        return NULL;
    }
    r->inv = inv;
    r->links = (uint32_t)inv->link_count;
    r->probes = (uint32_t)inv->probe_count;
    r->services = (uint32_t)inv->service_count;
    if (!find_candidates(r) || !tie_objects(r) || !tie_sold(r)) {
        reach_free(r);
        return NULL;
    }
    return r;
}

void
reach_free(struct reach *r)
{
    if (r) {
        free(r->candidates);
        map_fini(&r->of_object);
        map_fini(&r->under);
        map_fini(&r->link_groups);
        map_fini(&r->link_services);
        map_fini(&r->probe_links);
        free(r);
    }
}

/* --- Questions ------------------------------------------------------------ */

uint32_t
reach_place(const struct reach *r, enum symptom_scope scope, const char *key)
{
    const struct inv_link *l;
    const struct inv_probe *p;
    const struct inv_service *s;

    switch (scope) {
    case SYMPTOM_LINK:
        l = inventory_link(r->inv, key);
        return l && l->state == INV_ACTIVE ? (uint32_t)(l - r->inv->links) : REACH_NONE;
    case SYMPTOM_PROBE:
        p = inventory_probe(r->inv, key);
        return p && p->state != INV_RETIRED ? reach_probe_place(r, p) : REACH_NONE;
    case SYMPTOM_SERVICE:
        s = inventory_service(r->inv, key);
        return s && s->state != INV_RETIRED ? reach_service_place(r, s) : REACH_NONE;
    }
    return REACH_NONE;
}

bool
reach_is_measured(const struct reach *r, uint32_t link, struct instant now)
{
    const struct inv_link *l = reach_link(r, link);

    return l->state == INV_ACTIVE && l->in_service.ns <= now.ns;
}

const char *
reach_key(const struct reach *r, uint32_t place)
{
    return place < r->links               ? r->inv->links[place].key
           : place < r->links + r->probes ? r->inv->probes[place - r->links].key
                                          : r->inv->services[place - r->links - r->probes].key;
}

const char *
reach_cause_name(enum inv_cause kind)
{
    return cause_names[kind];
}

bool
reach_cause_parse(const char *text, enum inv_cause *out)
{
    for (unsigned i = 0; i < CAUSES; i++) {
        if (!strcmp(cause_names[i], text)) {
            *out = (enum inv_cause)i;
            return true;
        }
    }
    *out = INV_CAUSE_LINK;
    return false;
}
