/* bind.h - from a YAML map to a struct, by a table: key, type, range, unit,
 * default, offset.
 *
 * After yaml.h and value.h, before config.c and inventory.c.  A table says all
 * that may stand in a map; what else stands there, what is missing and what is
 * out of range becomes a fault at its place that says what was expected. */
#ifndef PLUMBLINE_BIND_H
#define PLUMBLINE_BIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "pool.h"
#include "yaml.h"

enum bind_type {
    BIND_STRING,   /* const char *: text of one line, 1..255 bytes. */
    BIND_NAME,     /* const char *: a key of the inventory. */
    BIND_BOOL,     /* bool */
    BIND_UNSIGNED, /* uint8_t to uint64_t by 'width'. */
    BIND_SPAN,     /* struct span; range in ns. */
    BIND_RATE,     /* uint64_t, bit/s. */
    BIND_SIZE,     /* uint64_t, bytes. */
    BIND_PERCENT,  /* uint32_t, milli-percent. */
    BIND_ADDRESS,  /* struct address: one host's, of either family. */
    BIND_DATE,     /* const char *: "2026-02-01". */
    BIND_FILE,     /* const char *: a file's name without a folder. */
    BIND_URL,      /* const char *: http, https, smtp or smtps, no password in it. */
    BIND_MAIL,     /* const char *: a mail address, which can stand in a header as it is. */
    BIND_DSCP,     /* uint8_t */
    BIND_INSTANT,  /* struct instant */
    BIND_WORD,     /* int (an enum): one of 'words'. */
    BIND_NAMES, /* const char **, number of them at 'count_offset': a list of names, none twice. */
    BIND_TABLE, /* A map by 'table', into the struct at 'offset'. */
    BIND_NODE   /* const struct yaml_node *: read by the caller. */
};

struct bind_word {
    const char *word; /* NULL ends the list. */
    int value;
};

struct bind_key {
    const char *key; /* NULL ends the table. */
    enum bind_type type;
    size_t offset;
    unsigned width;
    uint64_t min, max;    /* Both 0: what the type holds. */
    const char *fallback; /* Default, as people would write it; NULL: zero. */
    bool required;
    const struct bind_word *words;
    const struct bind_key *table;
    size_t count_offset;
    const char *unused; /* Read and checked, with this warning, because nothing uses it yet. */
};

struct bind {
    struct pool *pool; /* Texts and lists go there. */
    struct faults *faults;
    bool lenient; /* What a table does not know is a warning: it was written by a newer release. */
};

/* Sets all of 'object' that 'table' speaks of.  'map' NULL, or a null:
 * all defaults, and what is required is a fault at 'at'.  Returns whether no error was found. */
bool bind_map(const struct bind *b, const struct yaml_node *map, struct place at,
              const struct bind_key *table, void *object);

/* One value into the field of 'object' that 'k' names. */
bool bind_value(const struct bind *b, const struct bind_key *k, const struct yaml_node *node,
                void *object);

/* A fault unless 'node' is of this kind; 'what' says what was expected. */
bool bind_expect(const struct bind *b, const struct yaml_node *node, enum yaml_kind kind,
                 const char *what);

#endif
