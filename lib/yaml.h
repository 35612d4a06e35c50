/* yaml.h - a YAML file as a tree in which every node knows its place.
 *
 * After fault.h, before bind.h.  libfyaml's events become a tree of our own, so
 * that nothing of a hostile file is believed before its bounds are checked.  Of
 * YAML 1.2 only what configurations need is read: one document of maps, lists and
 * scalars.  Anchors, aliases, merge keys, tags and tabs as indentation are
 * refused, so no file can grow to more than it is.  Keys are scalars, and no map
 * has one twice. */
#ifndef PLUMBLINE_YAML_H
#define PLUMBLINE_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "fault.h"
#include "pool.h"

#define YAML_FILE_SIZE_MAX (8u << 20)
#define YAML_LINE_SIZE_MAX                                                                         \
    (64u << 10) /* libfyaml holds a line's tokens until it knows what is a key. */
#define YAML_DEPTH_MAX 32u
#define YAML_NODES_MAX 1000000u

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    bool plain; /* A scalar without quotes. */
    struct place at;
    const char *text; /* Of a scalar: NUL-terminated, no NUL inside. */
    const char *key;  /* Of a map's member; else NULL. */
    struct place key_at;
    struct yaml_node *first, *last; /* Children of a list or a map, in order. */
    struct yaml_node *next;
    size_t count;
};

/* Reads 'bytes' into a tree that lives in 'pool'; its places live as long as
 * 'faults'.  NULL if it could not be read whole; then faults were added.  A key
 * that is there twice is a fault, and the first one stays. */
struct yaml_node *yaml_read(struct pool *pool, struct faults *faults, const char *name,
                            const char *bytes, size_t size);

/* The same of a file.  '*err' is 0, or the negative errno for which it could not
 * be opened or read (added as a fault too), or -EINVAL. */
struct yaml_node *yaml_load(struct pool *pool, struct faults *faults, const char *path, int *err);

/* The member of 'map' with this key, or NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* "a list", "a map", "nothing", "'text'": for messages.  Writes into 'buf',
 * returns it. */
const char *yaml_describe(const struct yaml_node *node, char *buf, size_t size);

/* Nothing was written: "key:", "~" or "null". */
bool yaml_is_null(const struct yaml_node *node);

/* Moves the children of map 'from' to the end of map 'into'. */
void yaml_append(struct yaml_node *into, struct yaml_node *from);

/* Adds a fault, with both places, for each key that is twice in 'map', and takes
 * the later one out. */
void yaml_drop_duplicates(struct faults *faults, struct yaml_node *map);

#endif
