/* bond.h - groups and services as wholes, one for each class: available while enough of their parts
 * are, delta-t by delta-t.
 *
 * After way.h, before judge.c.  Does no I/O.  Parts are ways and other bonds; a part whose delta-t
 * is longer counts in each delta-t of the whole that it holds. */
#ifndef PLUMBLINE_BOND_H
#define PLUMBLINE_BOND_H

#include "inventory_sold.h"
#include "line.h"
#include "way.h"

struct bond;

struct bond_part {
    struct way *way; /* One of the two. */
    struct bond *bond;
};

struct bond {
    enum line_scope kind; /* Not LINE_LINK. */
    const char *key;
    const struct inv_class *class_;
    struct span dt; /* The shortest of the parts. */
    struct span interval;
    struct bond_part *parts;
    size_t part_count, need;
    struct line *line;
    struct instant next, began; /* As of a way. */
    struct way_states states;   /* For bonds over it. */
    unsigned users;
    struct instant keep; /* rounds.c's: states from here on are needed. */
};

/* NULL: memory is out.  'key' is borrowed. */
struct bond *bond_new(enum line_scope kind, const char *key, const struct inv_class *class_,
                      struct span interval);
void bond_free(struct bond *b);
/* The same of one that was not put together: its parts have a user less. */
void bond_discard(struct bond *b);

/* Each counts as a user of its part.  0 or -ENOMEM. */
int bond_add_way(struct bond *b, struct way *way);
int bond_add_bond(struct bond *b, struct bond *part);

/* Where the last part ended is known: sets delta-t and need (0: all). 0, -EINVAL (parts' delta-t do
 * not divide one another) or -ENOMEM. */
int bond_ready(struct bond *b, size_t need);

/* Judges one interval if all parts have it.  Where its own line is further, because a bond over it
 * is judged again, only the states are made.  1, 0 (not yet), or a negative errno. */
int bond_step(struct bond *b);

#endif
