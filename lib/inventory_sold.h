/* inventory_sold.h - the network as its operator wrote it, second half: what is
 * sold (tenants, connectors, tunnels, services, SLAs) and who is told (alarms,
 * hooks).
 *
 * After inventory.h, which loads it.  All of it goes to PostgreSQL with `plumbline
 * apply`; nothing of it is in a slice. */
#ifndef PLUMBLINE_INVENTORY_SOLD_H
#define PLUMBLINE_INVENTORY_SOLD_H

#include "inventory.h"

/* --- Metrics (doc/sla.md has their definitions) --------------------------- */

enum inv_metric_kind {
    INV_FLR,          /* Lost of sent, in available time. */
    INV_AVAILABILITY, /* Of the time outside maintenance. */
    INV_HLI,          /* Number of high loss intervals. */
    INV_CHLI,         /* Number of runs of them. */
    INV_RT,           /* Round trip: a quantile. */
    INV_RT_MEAN,
    INV_FD, /* One-way delay: a quantile. */
    INV_FD_MEAN,
    INV_FDR, /* Quantile less the least delay. */
    INV_IFDV,
    INV_PDV,
    INV_IPDV_ABS_MEAN,
    INV_FLR_RAW, /* Lost of sent, whether available or not. */
    INV_REORDER_RATIO,
    INV_DUPLICATE_RATIO,
    /* Of alarms only. */
    INV_SILENCE,     /* A probe's stream says nothing new; 'raise' is none. */
    INV_CLOCK_ERROR, /* A probe's own bound of its clock's error, or it is not synchronised. */
    INV_RT_FLOOR,    /* Round trips under a link's rt_floor: a clock lies; 'raise' is none. */
    INV_BUDGET /* Of what an objective may spend in its month, so much was spent within 'over'. */
};

struct inv_metric {
    enum inv_metric_kind kind;
    uint32_t quantile_milli; /* Of RT, FD, FDR, IFDV, PDV: p99_9 is 99900.  Else 0. */
};

/* In what a limit on the metric is counted. */
enum inv_unit { INV_MILLI_PERCENT, INV_NS, INV_COUNT };
enum inv_unit inv_metric_unit(enum inv_metric_kind kind);

/* "rt_p99", "fdr_p99_9", "flr": writes into 'buf' (INV_METRIC_SIZE), returns it. */
#define INV_METRIC_SIZE 24
bool inv_metric_equal(struct inv_metric a, struct inv_metric b);
char *inv_metric_format(struct inv_metric metric, char *buf, size_t size);

/* --- Alarms and groups ---------------------------------------------------- */

enum inv_severity { INV_CRITICAL, INV_MAJOR, INV_MINOR, INV_WARNING, INV_INFO, INV_SEVERITIES };

/* What wakes people; nothing to do with the contract. */
struct inv_alarm {
    const char *key, *label;
    enum inv_state state;
    struct inv_metric metric;
    struct span over;    /* So long the metric must be over 'raise'. */
    struct span clear;   /* So long it must be under, to clear. */
    bool relative;       /* 'raise' is milli-percent over the same metric of 'against'. */
    uint64_t raise;      /* By inv_metric_unit(), or relative. */
    struct span against; /* How far back the comparison goes; 0 unless relative. */
    enum inv_severity severity;
    const struct inv_class **classes; /* NULL: all. */
    size_t class_count;
};

struct inv_service;
struct inv_group;

/* A link (also one made from an attachment's test), a service, a group, or an
 * attachment: one of the four. */
struct inv_ref {
    const struct inv_link *link;
    const struct inv_group *group;
    const struct inv_service *service;
    const struct inv_attachment *attachment;
};

/* K of M. */
struct inv_group {
    const char *key, *label;
    enum inv_state state;
    uint32_t need;
    struct inv_ref *members; /* Links, attachments ("connector.attachment"), services. */
    size_t member_count;
    struct inv_labels labels;
};

/* --- What is sold --------------------------------------------------------- */

struct inv_tenant {
    const char *key, *label;
    enum inv_state state;
    const char *timezone; /* NULL: UTC. */
    struct inv_labels labels;
};

struct inv_port {
    const struct inv_router *router; /* NULL: no port was given. */
    const char *interface;           /* As the router calls it. */
    uint64_t capacity_bps;           /* 0: not given. */
};

struct inv_bgp {
    const char *vrf;       /* NULL: the global table. */
    struct address peer;   /* Family 0: no BGP session was given. */
    uint32_t asn;          /* The peer's. */
    struct prefix *expect; /* Prefixes that must be there for the session to count as up. */
    size_t expect_count;
};

/* One way into a connector.  Each of port, bgp, test may be absent. */
struct inv_attachment {
    const char *key, *label; /* Key within its connector. */
    enum inv_state state;
    const char *name; /* "connector.attachment": the object of its series. */
    const struct inv_connector *connector;
    struct inv_port port;
    struct inv_bgp bgp;
    const struct inv_link *test; /* NULL: none.  ends[1] is foreign. */
};

struct inv_connector {
    const char *key, *label;
    enum inv_state state;
    const struct inv_tenant *tenant;
    const struct inv_site *site;
    uint32_t need;                      /* Of the attachments. */
    struct inv_attachment *attachments; /* Sorted by key; at least one. */
    size_t attachment_count;
    struct inv_labels labels;
};

enum inv_encapsulation { INV_VXLAN, INV_GENEVE, INV_GRE };

struct inv_tunnel_end {
    const struct inv_probe *probe;
    struct address address; /* Outer; both ends of one family. */
};

struct inv_tunnel {
    const char *key, *label;
    enum inv_state state;
    const struct inv_tenant *tenant;
    struct inv_ref over; /* A link or a group. */
    enum inv_encapsulation encapsulation;
    uint32_t vni;       /* 24 bits; 0: GRE without a key. */
    uint16_t port;      /* UDP; 0 for GRE. */
    uint32_t inner_mtu; /* IP octets inside; 0: not given. */
    struct inv_tunnel_end ends[2];
    struct inv_labels labels;
};

/* The customer's "link". */
struct inv_service {
    const char *key, *label;
    enum inv_state state;
    struct instant in_service;     /* 0: since ever. */
    struct instant out_of_service; /* From then on it is sold no more; 0: without end. */
    const struct inv_tenant *tenant;
    const struct inv_connector *ends[2];
    struct inv_ref *over; /* Links or groups under it; all are needed. */
    size_t over_count;
    const struct inv_class **classes;
    size_t class_count;
    const struct inv_sla *sla; /* NULL: measured and reported, nothing promised. */
    struct inv_labels labels;
};

/* --- Contracts ------------------------------------------------------------ */

enum inv_direction { INV_FWD, INV_BWD, INV_BOTH, INV_ROUND_TRIP };

struct inv_objective {
    const struct inv_class *class_;
    struct inv_metric metric;
    enum inv_direction direction;
    uint64_t limit;       /* By inv_metric_unit(). Availability: at least; the rest: at most. */
    uint64_t min_samples; /* Fewer: not decidable.  0: as the metric asks. */
};

/* Objectives by a name of their own, which SLAs use. */
struct inv_profile {
    const char *key, *label;
    enum inv_state state;
    struct inv_objective *objectives; /* At least one. */
    size_t objective_count;
};

struct inv_tier {
    uint64_t bound;        /* As 'by' says; strictly below or above it. */
    uint32_t credit_milli; /* Of the month's charge, milli-percent. */
};

/* What a tier's bound is compared with. */
enum inv_credit_by {
    INV_CREDIT_BY_VALUE,  /* The metric's value: availability below, the rest above the bound. */
    INV_CREDIT_BY_EXCESS, /* By how much the value is over the limit, milli-percent of the limit. */
    INV_CREDIT_BY_OUTAGE  /* Availability only: length of one outage, ns. */
};
#define INV_CREDIT_KINDS 3u

/* A metric may have one of each kind. */
struct inv_credit {
    struct inv_metric metric; /* Some objective of the SLA is on it. */
    enum inv_credit_by by;
    struct inv_tier *tiers; /* From the mildest to the worst. */
    size_t tier_count;
};

/* What a service's promise covers: bits. */
enum inv_covers {
    INV_COVERS_OVER = 1,   /* The links and groups under it. */
    INV_COVERS_BGP = 2,    /* BGP sessions of its connectors. */
    INV_COVERS_TAIL = 4,   /* Attachments' tests to the customer's end. */
    INV_COVERS_TUNNELS = 8 /* Tunnels of the tenant over the same links. */
};

/* How delta-t count of which nothing is known (facts: undetermined). */
enum inv_undetermined {
    INV_UNDETERMINED_LAST,
    INV_UNDETERMINED_AVAILABLE,
    INV_UNDETERMINED_UNAVAILABLE,
    INV_UNDETERMINED_EXCLUDED
};

struct inv_sla {
    const char *key, *label;
    enum inv_state state;
    uint32_t version;                       /* Other content needs another version. */
    const char *valid_from;                 /* "2026-02-01", in the tenant's time zone. */
    const char *version_at, *valid_from_at; /* "file:line:column", for whoever refuses them. */
    unsigned covers;
    const struct inv_profile **profiles; /* In the order of the file. */
    size_t profile_count;
    struct inv_objective
        *objectives; /* The profiles' in their order, then its own; at least one. */
    size_t objective_count;
    size_t own_first;                  /* Where its own begin. */
    struct span notice;                /* Of maintenance, so that it is excluded. */
    struct span claim_within;          /* After the report; 0: not given. */
    struct span maintenance_allowance; /* A month; 0: without bound. */
    enum inv_undetermined undetermined;
    bool suspect_excluded; /* Delta-t that are suspect give no delay samples; the default.  Loss and
                              availability count them always. */
    struct inv_credit *credits; /* Sorted by metric, then kind. */
    size_t credit_count;
    uint32_t cap_milli; /* Of all credits of a month; 100000 by default. */
};

/* --- Who is told ---------------------------------------------------------- */

enum inv_hook_kind {
    INV_HOOK_WEBHOOK,
    INV_HOOK_SERVICENOW_INCIDENT,
    INV_HOOK_SERVICENOW_EVENT,
    INV_HOOK_PAGERDUTY,
    INV_HOOK_ALERTMANAGER,
    INV_HOOK_EXEC,
    INV_HOOK_MAIL
};

/* By what a problem is caused: what 'scope' under 'when' names. */
enum inv_cause {
    INV_CAUSE_LINK,
    INV_CAUSE_RISK,
    INV_CAUSE_ROUTER,
    INV_CAUSE_PROBE,
    INV_CAUSE_SITE,
    INV_CAUSE_SERVICE
};

struct inv_hook {
    const char *key, *label;
    enum inv_state state;
    enum inv_hook_kind kind;
    const char *url;    /* NULL for exec; smtp:// or smtps:// for mail. */
    const char **peers; /* Alertmanager's other members: each is told. */
    size_t peer_count;
    const char **to; /* Mail addresses; of mail only, at least one. */
    size_t to_count;
    const char *from;
    const char *template_file; /* Of a webhook's body, name without a folder; NULL: CloudEvents. */
    const char *ca_file;       /* Name without a folder; NULL: the system's. */
    struct span timeout;       /* Of one try; 15s. */
    struct span remind;        /* While a problem is open and not acknowledged; 0: never. */
    unsigned causes;           /* Bits 1 << enum inv_cause; 0: all. */
    struct inv_labels labels;  /* That a link or service that is touched must have; none: any. */
    const char *command;       /* Of exec only: an absolute path. */
    const char *auth_file;     /* Name without a folder; NULL: none. */
    const char *secret_file;   /* That signs webhooks; NULL: none. */
    struct span heartbeat;     /* 0: none. */
    unsigned severities;       /* Bits 1 << enum inv_severity; 0: all. */
    const struct inv_tenant *tenant; /* Only what concerns it; NULL: everything. */
    bool tenant_view;                /* Names nothing of other tenants. */
    struct inv_labels fields;        /* Sent as they are. */
};

/* The alarms that are in force: the inventory's active ones, and of the built-in ones (cut, brown,
 * slow, silent, clock, floor, burn: doc/problems.md) those whose key the inventory does not use,
 * not even for a retired one.  The array is the caller's, what it points to the inventory's or
 * static.  NULL: memory is out. */
const struct inv_alarm **inventory_alarms_in_force(const struct inventory *inv, size_t *count);

const struct inv_tenant *inventory_tenant(const struct inventory *inv, const char *key);
const struct inv_group *inventory_group(const struct inventory *inv, const char *key);
const struct inv_connector *inventory_connector(const struct inventory *inv, const char *key);
const struct inv_service *inventory_service(const struct inventory *inv, const char *key);
const struct inv_profile *inventory_profile(const struct inventory *inv, const char *key);
const struct inv_sla *inventory_sla(const struct inventory *inv, const char *key);

#endif
