/* reach.h - what stands over what in an inventory: which causes a link could go down with, which
 * groups, services and tenants a link or probe carries.
 *
 * After inventory_sold.h; before cause.h, extent.h, notice.h.  Made once an inventory, then only
 * read; every question is answered in the time that its answer is long. */
#ifndef PLUMBLINE_REACH_H
#define PLUMBLINE_REACH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inventory_sold.h"
#include "symptom.h"

#define REACH_NONE UINT32_MAX

/* Lists of numbers, one an object. */
struct reach_map {
    uint32_t *start; /* One more than there are objects. */
    uint32_t *list;
};

/* What could be the one cause of several links' symptoms. */
struct reach_candidate {
    enum inv_cause kind; /* RISK, ROUTER, PROBE, SITE. */
    const char *key, *label;
};

/* Objects are numbered: the inventory's links, then its probes, then its services, each in the
 * inventory's order. */
struct reach {
    const struct inventory *inv;
    uint32_t links, probes, services;   /* How many. */
    struct reach_candidate *candidates; /* Sorted by kind, then key. */
    uint32_t candidate_count;
    struct reach_map of_object;   /* Links and probes: their candidates. */
    struct reach_map under;       /* Candidates: their links, not retired. */
    struct reach_map link_groups; /* Links: groups that have them, or of an attachment its test. */
    struct reach_map link_services; /* Links: services over them, directly, by groups, or by a
                                       connector of which they are the test. */
    struct reach_map probe_links;   /* Probes: links of which they are an end. */
};

/* 'inv' outlives it.  NULL: memory is out. */
struct reach *reach_new(const struct inventory *inv);
void reach_free(struct reach *r);

/* The list of 'number', '*count' long. */
const uint32_t *reach_list(const struct reach_map *map, uint32_t number, uint32_t *count);

/* The number of an object that is there and not retired, of a link: active.  Else REACH_NONE. */
uint32_t reach_place(const struct reach *r, enum symptom_scope scope, const char *key);
/* The candidate's number; REACH_NONE: there is none. */
uint32_t reach_candidate(const struct reach *r, enum inv_cause kind, const char *key);

/* Whether a link is one that alarms are looked for on: active and in service. */
bool reach_is_measured(const struct reach *r, uint32_t link, struct instant now);

static inline const struct inv_link *
reach_link(const struct reach *r, uint32_t place)
{
    return &r->inv->links[place];
}

static inline uint32_t
reach_probe_place(const struct reach *r, const struct inv_probe *p)
{
    return r->links + (uint32_t)(p - r->inv->probes);
}

static inline uint32_t
reach_service_place(const struct reach *r, const struct inv_service *s)
{
    return r->links + r->probes + (uint32_t)(s - r->inv->services);
}

/* The key of any object. */
const char *reach_key(const struct reach *r, uint32_t place);

/* "link", "risk", ...: as problem.cause_kind and the inventory's 'scope' have them. */
const char *reach_cause_name(enum inv_cause kind);
bool reach_cause_parse(const char *text, enum inv_cause *out);

#endif
