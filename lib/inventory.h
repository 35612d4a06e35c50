/* inventory.h - the network as its operator wrote it, first half: what is measured
 * (sites, probes, routers, classes, links), and the loading of all of it.
 *
 * After yaml.h (parsed files with places), before the programs; what is sold is
 * in inventory_sold.h.  Loaded from one file or a folder of *.yaml, merged; all
 * errors are found at once, each with file:line:column and what was expected.
 * Immutable once loaded; freed whole.  Pointers between objects stay inside the
 * same inventory; objects of a kind are sorted by key, so that the order of files
 * and lines changes nothing.
 *
 * A slice (inventory_slice()) is an inventory of what one probe needs, and reads
 * as one. */
#ifndef PLUMBLINE_INVENTORY_H
#define PLUMBLINE_INVENTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "address.h"
#include "nstime.h"
#include "series.h"

struct inv_label {
    const char *name, *value;
};

struct inv_labels {
    struct inv_label *list; /* Sorted by name. */
    size_t count;
};

/* Planned: measured, not judged before 'in_service'.  Retired: not measured any
 * more; only then may a key be taken out of the files. */
enum inv_state { INV_PLANNED, INV_ACTIVE, INV_RETIRED };

/* Each kind of object begins with these three, in this order. */
struct inv_head {
    const char *key;   /* Identity: never changed, never used again. */
    const char *label; /* What people read; NULL: the key. */
    enum inv_state state;
};

struct inv_site {
    const char *key, *label;
    enum inv_state state;
    const char *timezone; /* NULL: UTC. */
    struct inv_labels labels;
};

/* What the probe's clock can carry: one-way delay is judged where both ends' error
 * is at most a tenth of the limit.  inventory_carry.c warns where that is not to be
 * expected of such clocks; what the error was, each summary says. */
enum inv_clock { INV_CLOCK_NTP, INV_CLOCK_PTP, INV_CLOCK_GNSS };

struct inv_probe {
    const char *key, *label;
    enum inv_state state;
    const struct inv_site *site;
    struct address address; /* Management address; nothing is measured to it. */
    enum inv_clock clock;
    struct inv_labels labels;
};

/* Who speaks BMP, and whose death explains the rest. */
struct inv_router {
    const char *key, *label;
    enum inv_state state;
    const struct inv_site *site;
    struct address *bmp_from; /* Addresses from which its BMP session comes. */
    size_t bmp_from_count;    /* 0: it does not speak BMP to us. */
    struct inv_labels labels;
};

struct inv_class {
    const char *key, *label;
    enum inv_state state;
    uint8_t dscp;
    struct span period, dt, tmax;
    uint32_t size;    /* Octets of UDP payload. */
    uint32_t n, p;    /* facts: availability window, consecutive HLI. */
    uint32_t c_milli; /* Availability threshold C, milli-percent. */
    bool ifdv;
    uint8_t limit_count;
    struct series_limit limits[SERIES_LIMITS_MAX]; /* Link's frame; from the class key 'limits'. */
};

/* What answers at the far end, and how.  Between two probes it is always
 * INV_STAMP. */
enum inv_protocol {
    INV_STAMP,       /* RFC 8762, RFC 8972. */
    INV_TWAMP_LIGHT, /* RFC 5357, appendix I: no SSID, no TLV. */
    INV_ICMP         /* Echo: round trip only; no ports. */
};

/* How the sender writes T1, and how the reflector is expected to write T2 and T3
 * (RFC 8762, section 4.2.1: the Z bit). */
enum inv_timestamp { INV_TIMESTAMP_NTP, INV_TIMESTAMP_PTP };

/* Whether the reflector numbers its replies itself.  A stateless one copies the
 * sender's number: nothing then tells on which way a packet was lost. */
enum inv_reflector { INV_STATEFUL, INV_STATELESS };

/* Whether verdicts may hang on it. */
enum inv_use { INV_USE_SLA, INV_USE_EVIDENCE };

/* One end of a link.  With 'probe' it is ours: packets of this end leave from
 * 'address' by 'interface' or 'vrf', and come to 'port'.  Without it the end is
 * foreign (a customer's or a cloud's router): always ends[1], it only reflects,
 * and protocol, timestamp, reflector, source_port and use have a meaning. */
struct inv_end {
    const struct inv_probe *probe;   /* NULL: foreign. */
    const struct inv_router *router; /* NULL: not given.  Whose port it is. */
    const char *interface;           /* NULL: as the routing table says. */
    const char *vrf;                 /* NULL: the main table.  Else the VRF device's name. */
    struct address address; /* Both ends have the same family.  Family 0 only at ends[0] of a link
                               with a foreign end: whatever source the routing table gives. */
    uint16_t port;          /* UDP port of the reflector there; default 862; 0 for ICMP. */
    /* Of a foreign end only: */
    enum inv_protocol protocol;
    enum inv_timestamp timestamp;
    enum inv_reflector reflector;
    enum inv_use use;
    uint16_t source_port; /* The only one that we may send from; 0: base + flow. */
};

/* STAMP's authenticated packets, or unauthenticated ones with the HMAC TLV. */
enum inv_auth_mode { INV_AUTH_NONE, INV_AUTH_PACKET, INV_AUTH_TLV };

struct inv_auth {
    enum inv_auth_mode mode;
    /* Names of files, without a folder: each program has its own.  Sent with
     * 'key_file'; a reply or request made with either is good.  NULL: none. */
    const char *key_file, *next_key_file;
};

/* A limit that an SLA over the link has on a class: counted exactly, so that no
 * verdict hangs on a bucket's width. */
struct inv_limit {
    const struct inv_class *class_;
    struct series_limit limit; /* Link's frame. */
};

/* What is measured.  'fwd' goes from ends[0] to ends[1]. */
struct inv_link {
    const char *key, *label; /* Of an attachment's test: "connector.attachment". */
    enum inv_state state;
    struct instant in_service; /* 0: since ever. */
    struct inv_end ends[2];
    const struct inv_class **classes;
    size_t class_count;
    struct inv_limit *limits; /* Beside those of the classes; with them at most SERIES_LIMITS_MAX of
                                 one class.  In the order of class, metric, direction, limit. */
    size_t limit_count;
    uint16_t flows;       /* >= 1: so many source ports, one path of an ECMP group each. */
    bool probe_from_both; /* ends[1] sends too, as a witness. */
    bool nat;             /* Addresses change on the way: the reflector goes by key and SSID. */
    struct inv_auth auth;
    uint64_t capacity_bps; /* 0: not given. */
    uint32_t mtu;          /* IP octets; 0: not given, and not tested. */
    struct span rt_floor;  /* 0: not given.  Less than this is a clock that lies. */
    const char **risks;
    size_t risk_count;
    struct inv_labels labels;
    /* Made from this test of a connector; NULL: written under 'links'.  Such a
     * link is not printed, its connector is; in a slice it is a link as others. */
    const struct inv_attachment *attachment;
};

struct inv_alarm;
struct inv_group;
struct inv_tenant;
struct inv_connector;
struct inv_tunnel;
struct inv_service;
struct inv_profile;
struct inv_sla;
struct inv_hook;

struct inventory {
    struct span interval; /* Of a row; divides 15 min. */
    int64_t generation;   /* First 63 bits of SHA-256 of the canonical text; of a slice:
                             that of the inventory that it was cut from. */
    const char *slice_of; /* The probe for which this is a slice; NULL: a whole inventory. */
    struct inv_site *sites;
    size_t site_count;
    struct inv_probe *probes;
    size_t probe_count;
    struct inv_router *routers;
    size_t router_count;
    struct inv_class *classes;
    size_t class_count;
    struct inv_link *links; /* With those made from attachments' tests. */
    size_t link_count;
    /* inventory_sold.h */
    struct inv_alarm *alarms;
    size_t alarm_count;
    struct inv_group *groups;
    size_t group_count;
    struct inv_tenant *tenants;
    size_t tenant_count;
    struct inv_connector *connectors;
    size_t connector_count;
    struct inv_tunnel *tunnels;
    size_t tunnel_count;
    struct inv_service *services;
    size_t service_count;
    struct inv_profile *profiles;
    size_t profile_count;
    struct inv_sla *slas;
    size_t sla_count;
    struct inv_hook *hooks;
    size_t hook_count;
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

/* Canonical YAML: parses to itself; of a slice: a slice.  0, or -EIO. */
int inventory_print(const struct inventory *inv, FILE *to);

/* What probe 'key' needs of 'inv' into '*out': the links that it is an end of,
 * their classes, far probes and addresses; no label, no router, nothing of tenants
 * or contracts.  It borrows from 'inv', which must outlive it; inventory_free()
 * frees it.  0; -ENOENT: there is no such probe. */
int inventory_slice(const struct inventory *inv, const char *key, struct inventory **out);

const struct inv_probe *inventory_probe(const struct inventory *inv, const char *key);
const struct inv_link *inventory_link(const struct inventory *inv, const char *key);
const struct inv_site *inventory_site(const struct inventory *inv, const char *key);
const struct inv_class *inventory_class(const struct inventory *inv, const char *key);
const struct inv_router *inventory_router(const struct inventory *inv, const char *key);

/* "stamp", "twamp-light", "icmp": what session_key.protocol says. */
const char *inv_protocol_name(enum inv_protocol p);

/* Whether the far end of 'link' gives loss and delay a direction. */
bool inv_link_has_directions(const struct inv_link *link);
/* Whether it counts in what is judged: not as evidence only, and a planned one from its in_service
 * on. */
bool inv_link_is_judged(const struct inv_link *link);

/* Calls 'fn' for each session that 'probe' sends, in a stable order, until it
 * returns non-zero, which is returned.  'end' is the probe's end of the link.  A
 * foreign end sends none. */
typedef int inventory_session_fn(const struct inv_link *link, const struct inv_class *class_,
                                 unsigned end, const struct session_key *key, void *aux);
/* The same of one link and class, that the link's end 'end' sends. */
int inventory_link_sessions(const struct inv_link *link, const struct inv_class *class_,
                            unsigned end, inventory_session_fn *fn, void *aux);
int inventory_sessions(const struct inventory *inv, const char *probe, inventory_session_fn *fn,
                       void *aux);

/* Whether that probe sends over the link: it is the first end, or the second and a witness. */
bool inventory_link_sends(const struct inv_link *link, const char *probe);

#endif
