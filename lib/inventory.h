/* inventory.h - the network as its operator wrote it: sites, probes, classes,
 * links, tenants.
 *
 * After yaml.h (parsed files with places), before the programs.  Loaded from one
 * file or a folder of *.yaml, merged; all errors are found at once, each with
 * file:line:column and what was expected.  Immutable once loaded; freed whole.
 * Pointers between objects stay inside the same inventory; objects of a kind are
 * sorted by key, so that the order of files and lines changes nothing. */
#ifndef PLUMBLINE_INVENTORY_H
#define PLUMBLINE_INVENTORY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "nstime.h"
#include "series.h"

struct inv_label {
    const char *name, *value;
};

struct inv_site {
    const char *key, *label, *timezone;
};

enum inv_clock { INV_CLOCK_NTP, INV_CLOCK_PTP, INV_CLOCK_GNSS };

struct inv_probe {
    const char *key, *label;
    const struct inv_site *site;
    struct in_addr address; /* Management address; 0 if not given. */
    enum inv_clock clock;
};

struct inv_class {
    const char *key, *label;
    uint8_t dscp;
    struct span period, dt, tmax;
    uint32_t size;    /* Octets of UDP payload. */
    uint32_t n, p;    /* facts: availability window, consecutive HLI. */
    uint32_t c_milli; /* Availability threshold C, milli-percent. */
    bool ifdv;
    uint8_t limit_count;
    struct series_limit limits[SERIES_LIMITS_MAX]; /* Link's frame; from the class key 'limits'. */
};

enum inv_state { INV_PLANNED, INV_ACTIVE, INV_RETIRED };

struct inv_end {
    const struct inv_probe *probe;
    const char *router;    /* NULL: not given.  Whose port it is; not used yet. */
    const char *interface; /* NULL: routed. */
    const char *vrf;       /* NULL: none. */
    struct in_addr address;
    uint16_t port; /* UDP port of the reflector there; default 862. */
};

struct inv_link {
    const char *key, *label;
    enum inv_state state;
    struct instant in_service; /* 0: since ever. */
    struct inv_end ends[2];
    const struct inv_class **classes;
    size_t class_count;
    uint16_t flows; /* >= 1 */
    bool probe_from_both;
    uint64_t capacity_bps; /* 0: not given. */
    uint32_t mtu;          /* 0: not given. */
    struct span rt_floor;  /* 0: not given. */
    const char **risks;
    size_t risk_count;
    struct inv_label *labels;
    size_t label_count;
};

struct inv_tenant {
    const char *key, *label, *timezone;
    struct inv_label *labels;
    size_t label_count;
};

struct inventory {
    struct span interval; /* Of a row; divides 15 min. */
    int64_t generation;   /* First 63 bits of SHA-256 of the canonical text. */
    struct inv_site *sites;
    size_t site_count;
    struct inv_probe *probes;
    size_t probe_count;
    struct inv_class *classes;
    size_t class_count;
    struct inv_link *links;
    size_t link_count;
    struct inv_tenant *tenants;
    size_t tenant_count;
    void *pool; /* Owns all of it. */
};

/* Loads 'path' (a file, or a folder whose *.yaml are read in name order).  On
 * success 0 and '*out' is the caller's.  -EINVAL when there are errors: all have
 * been written to 'errors', at most 'max_errors' (the number in all is in
 * '*error_count'), warnings too.  Other negative errno: the path cannot be
 * read (also told). */
int inventory_load(const char *path, FILE *errors, size_t max_errors, size_t *error_count,
                   size_t *warning_count, struct inventory **out);
void inventory_free(struct inventory *inv);

/* The same, for whoever wants the faults themselves: adds them to 'faults'. */
struct faults;
int inventory_load_into(struct faults *faults, const char *path, struct inventory **out);

/* The same of one file that is in memory already; 'name' is for messages. */
int inventory_read(struct faults *faults, const char *name, const char *bytes, size_t size,
                   struct inventory **out);

/* Canonical YAML: parses to itself. */
int inventory_print(const struct inventory *inv, FILE *to);

const struct inv_probe *inventory_probe(const struct inventory *inv, const char *key);
const struct inv_link *inventory_link(const struct inventory *inv, const char *key);
const struct inv_site *inventory_site(const struct inventory *inv, const char *key);
const struct inv_class *inventory_class(const struct inventory *inv, const char *key);

/* Calls 'fn' for each session that 'probe' sends, in a stable order, until it
 * returns non-zero, which is returned.  'end' is the probe's end of the link. */
typedef int inventory_session_fn(const struct inv_link *link, const struct inv_class *class_,
                                 unsigned end, const struct session_key *key, void *aux);
int inventory_sessions(const struct inventory *inv, const char *probe, inventory_session_fn *fn,
                       void *aux);

#endif
