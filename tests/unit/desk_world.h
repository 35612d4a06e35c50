/* desk_world.h - inventories for tests of causes, problems and notices: so many sites, each with a
 * probe and a router, and links between them as a test wants. */
#ifndef PLUMBLINE_TEST_DESK_WORLD_H
#define PLUMBLINE_TEST_DESK_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "harness.h"
#include "inventory.h"
#include "reach.h"
#include "symptom.h"

#define DESK_NOW (INT64_C(1800000000) * NS_PER_S)

struct desk_world {
    char *text;
    size_t size;
    FILE *to;
    unsigned links, sites;
    struct inventory *inv;
    struct reach *reach;
};

/* Sites s0 ..., probes p0 ... and a second one at s0, q0; routers r0 ...; then links. */
static inline void
desk_world_begin(struct desk_world *w, unsigned sites)
{
    *w = (struct desk_world){.sites = sites};
    w->to = open_memstream(&w->text, &w->size);
    fprintf(w->to, "inventory: 1\nsites:\n");
    for (unsigned i = 0; i < sites; i++) {
        fprintf(w->to, "  s%u: {}\n", i);
    }
    fprintf(w->to, "probes:\n");
    for (unsigned i = 0; i < sites; i++) {
        fprintf(w->to, "  p%u: {site: s%u, address: 192.0.2.%u}\n", i, i, i + 1);
    }
    fprintf(w->to, "  q0: {site: s0, address: 192.0.3.1}\nrouters:\n");
    for (unsigned i = 0; i < sites; i++) {
        fprintf(w->to, "  r%u: {site: s%u}\n", i, i);
    }
    fprintf(w->to, "classes: {gold: {}, be: {}}\nlinks:\n");
}

/* Link l<number>; 'more' is what it has beside its ends: "risks: [duct]". */
static inline void
desk_world_link(struct desk_world *w, unsigned from, unsigned to, bool routers, const char *more)
{
    unsigned n = w->links++;

    fprintf(w->to, "  l%u: {classes: [gold, be], %s%sends: [", n, more ? more : "",
            more ? ", " : "");
    for (int e = 0; e < 2; e++) {
        unsigned site = e ? to : from;
        char router[32] = "";
        if (routers) {
            snprintf(router, sizeof router, ", router: r%u", site);
        }
        fprintf(w->to, "%s{probe: p%u%s, address: 10.%u.%u.%u}", e ? ", " : "", site, router, 1 + e,
                n / 250, n % 250);
    }
    fprintf(w->to, "]}\n");
}

/* 'more': further sections. */
static inline void
desk_world_end(struct desk_world *w, const char *more)
{
    struct faults *faults = faults_new();

    fprintf(w->to, "%s", more ? more : "");
    fclose(w->to);
    if (inventory_read(faults, "world", w->text, w->size, &w->inv)) {
        faults_print(faults, stderr, 10);
        fprintf(stderr, "%.2000s\n", w->text);
        abort();
    }
    faults_free(faults);
    w->reach = reach_new(w->inv);
}

static inline void
desk_world_fini(struct desk_world *w)
{
    reach_free(w->reach);
    inventory_free(w->inv);
    free(w->text);
}

static inline uint32_t
desk_world_place(const struct desk_world *w, unsigned link)
{
    char key[16];

    snprintf(key, sizeof key, "l%u", link);
    return reach_place(w->reach, SYMPTOM_LINK, key);
}

static inline struct instant
desk_world_at(int64_t ms)
{
    return instant_of_ns(DESK_NOW + ms * NS_PER_MS);
}

#endif
