/* extent.h - what a problem touches: links and probes by its symptoms, and the groups, services
 * and tenants over those links.
 *
 * After reach.h, symptom.h; before problem.h, notice.h.  Does no I/O.  A group or service is
 * *touched* by one link, and *bad* when fewer members are left than it needs, whatever problem took
 * the others. */
#ifndef PLUMBLINE_EXTENT_H
#define PLUMBLINE_EXTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "reach.h"
#include "symptom.h"

enum extent_kind {
    EXTENT_LINK,
    EXTENT_PROBE,
    EXTENT_GROUP,
    EXTENT_SERVICE,
    EXTENT_TENANT,
    EXTENT_KINDS
};

struct extent_item {
    uint32_t index; /* Of the inventory's list of its kind. */
    bool now;       /* Something of the problem still touches it. */
    bool bad;       /* Of links and probes the same as 'now'. */
    bool carries;   /* Of links: what is wrong hurts what is sold over it (not: a clock). */
};

struct extent {
    struct extent_list {
        struct extent_item *at; /* Sorted by index, each once. */
        size_t count, room;
    } lists[EXTENT_KINDS];
};

/* Of the list that begins with 's'.  'down' says of each link whether anything of it is bad.  0 or
 * -ENOMEM, and then 'out' is empty. */
int extent_make(struct extent *out, const struct reach *r, const struct symptom *s,
                const bool *down);
void extent_fini(struct extent *e);

/* For whoever reads one back: adds, and sorts what was added. */
int extent_add(struct extent *e, enum extent_kind kind, struct extent_item item);
void extent_sort(struct extent *e);

const struct extent_item *extent_find(const struct extent *e, enum extent_kind kind,
                                      uint32_t index);
/* How many are bad. */
size_t extent_bad(const struct extent *e, enum extent_kind kind);

/* "link", ... as problem_object.kind has them; the key of an item. */
const char *extent_kind_name(enum extent_kind kind);
const char *extent_key(const struct reach *r, enum extent_kind kind, uint32_t index);
/* REACH_NONE: the inventory has none. */
uint32_t extent_index(const struct reach *r, enum extent_kind kind, const char *key);

/* How many of a group's members are left, of those not in 'down'. */
uint32_t extent_members_left(const struct reach *r, const struct inv_group *g, const bool *down);

#endif
