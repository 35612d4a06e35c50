/* inventory_parts.h - what the files of inventory.h share, and nobody else.
 *
 * inventory_files.c merges, inventory.c reads, inventory_check.c judges,
 * inventory_print.c writes. */
#ifndef PLUMBLINE_INVENTORY_PARTS_H
#define PLUMBLINE_INVENTORY_PARTS_H

#include "bind.h"
#include "fault.h"
#include "inventory.h"
#include "pool.h"
#include "yaml.h"

/* Most packets that a session may have in one delta-t: the probe keeps each
 * until it is final. */
#define PACKETS_PER_DT_MAX 1000000

/* One object while it is read: the tables' offsets are in here. */
struct draft {
    struct inv_site site;
    struct inv_probe probe;
    struct inv_class class_;
    struct inv_link link;
    struct inv_end end;
    struct inv_tenant tenant;
    struct span limit;
    int word, second_word; /* Enumerations, before they become one. */
    const struct yaml_node *first_ref, *second_ref, *address, *labels, *limits;
};

struct loader {
    struct faults *faults;
    struct pool *pool;  /* Of the inventory. */
    struct pool *trees; /* Of the YAML, gone after loading. */
    struct inventory *inv;
    struct yaml_node *root; /* All files' top levels as one map. */
    struct bind bind;
    const struct yaml_node **link_nodes; /* As many as links. */
    struct place first_place;            /* Where the first file begins. */
    bool format_seen;
    size_t comparisons; /* That went into suggestions. */
};

/* From the merged tree: binds, resolves, checks.  0, or -EINVAL when the loader's
 * faults have an error. */
int inventory_compile(struct loader *l, struct inventory **out);

/* Each adds the faults that it finds. */
void check_format(struct loader *l, const struct yaml_node *node);
void check_interval(struct loader *l, const struct yaml_node *node);
void check_timezone(struct loader *l, const struct yaml_node *object, const char *zone);
void check_class(struct loader *l, const struct yaml_node *node, const struct inv_class *class_);
void check_ends(struct loader *l, const struct yaml_node *ends, const struct inv_link *link);
void check_links(struct loader *l);

/* First 63 bits of SHA-256 over the canonical text. */
int64_t inventory_generation(const struct inventory *inv);

#endif
