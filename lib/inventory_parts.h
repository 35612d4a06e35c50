/* inventory_parts.h - what the files of inventory.h share, and nobody else.
 *
 * Each calls those above it, and no other:
 *   inventory.c                       objects by kind and key
 *   inventory_ref.c, inventory_text.c what readers have in common, and what writers have
 *   inventory_session.c               what a probe sends
 *   inventory_nat.c, _check.c         judge one object; then links among each other
 *   inventory_metric.c, _credit.c, _limit.c, _net.c, _link.c, _sold.c, _sla.c,
 *   _alarm.c, _told.c                 read
 *   inventory_cross.c, _carry.c, _promise.c, _whole.c  judge what needs several kinds
 *   inventory_print_sla.c, _print_sold.c, _print.c  write
 *   inventory_compile.c               from one tree to the whole
 *   inventory_files.c, inventory_slice.c  from files to one tree; one probe's part */
#ifndef PLUMBLINE_INVENTORY_PARTS_H
#define PLUMBLINE_INVENTORY_PARTS_H

#include "bind.h"
#include "fault.h"
#include "inventory.h"
#include "inventory_sold.h"
#include "pool.h"
#include "yaml.h"

/* Most packets that a session may have in one delta-t: the probe keeps each
 * until it is final. */
#define PACKETS_PER_DT_MAX 1000000

/* Most things in one list of keys, most members of one map of objects inside an
 * object. */
#define NAMES_MAX 64u

enum kind {
    KIND_SITE,
    KIND_PROBE,
    KIND_ROUTER,
    KIND_CLASS,
    KIND_LINK,
    KIND_ALARM,
    KIND_GROUP,
    KIND_TENANT,
    KIND_CONNECTOR,
    KIND_TUNNEL,
    KIND_SERVICE,
    KIND_PROFILE,
    KIND_SLA,
    KIND_HOOK,
    KINDS
};

struct loader {
    struct faults *faults;
    struct pool *pool;  /* Of the inventory. */
    struct pool *trees; /* Of the YAML, gone after loading. */
    struct inventory *inv;
    struct yaml_node *root; /* All files' top levels as one map. */
    struct bind bind;
    const struct yaml_node **nodes[KINDS];  /* Of each object, in the objects' order. */
    const struct yaml_node **group_members; /* Until all that can be a member is read. */
    struct draft_link *links; /* Links and tests while they are read; then they are sorted. */
    size_t link_count;
    struct place first_place; /* Where the first file begins. */
    bool format_seen, slice_seen;
    bool retired;       /* The object that is being read: it may name what is retired. */
    size_t comparisons; /* That went into suggestions. */
};

/* A link that may still move, and the test of a connector from which it comes. */
struct draft_link {
    struct inv_link link;
    const struct yaml_node *node;
    struct inv_attachment *attachment; /* NULL: from 'links'. */
};

/* --- inventory.c: objects by kind and key ---------------------------------- */

extern const struct bind_word inventory_state_words[], inventory_protocol_words[];

const char *inventory_kind_name(enum kind kind);
const char *inventory_kind_section(enum kind kind);

/* Where 'inv' holds the objects of a kind, how many, of which size each. */
struct inventory_slot {
    void **list;
    size_t *count, size;
};
struct inventory_slot inventory_slot(struct inventory *inv, enum kind kind);

size_t inventory_count(const struct inventory *inv, enum kind kind);
const void *inventory_object(const struct inventory *inv, enum kind kind, size_t i);
/* They are sorted by key. */
const void *inventory_find(const struct inventory *inv, enum kind kind, const char *key);

/* Every object begins with its key. */
static inline const char *
inventory_key_of(const void *object)
{
    return *(const char *const *)object;
}

/* --- inventory_ref.c: what all readers use ---------------------------------- */

/* The table lines of struct inv_head, for a draft that begins with its object. */
#define HEAD_KEYS                                                                                  \
    {.key = "label", .type = BIND_STRING, .offset = offsetof(struct inv_head, label)},             \
    {                                                                                              \
        .key = "state", .type = BIND_WORD, .offset = offsetof(struct inv_head, state),             \
        .words = inventory_state_words, .fallback = "active"                                       \
    }

/* The place of a member, or of the object where it is a default that is wrong. */
struct place inventory_place(const struct yaml_node *object, const char *key);

/* The key of a member as an object's name, or NULL (told). */
const char *inventory_key(struct loader *l, const struct yaml_node *member);

/* Reads one object whose key is set. */
typedef void inventory_reader(struct loader *l, const struct yaml_node *member, void *object);

/* The object of 'kind' that 'node' names, or NULL (told, with the nearest). */
const void *inventory_resolve(struct loader *l, const struct yaml_node *node, enum kind kind);

/* Which kinds a reference may be of: bits 1 << enum kind; MAY_ATTACHMENT too. */
#define MAY_ATTACHMENT (1u << KINDS)
bool inventory_resolve_ref(struct loader *l, const struct yaml_node *node, unsigned kinds,
                           struct inv_ref *out);
/* A list of at least one, none twice. */
void inventory_resolve_refs(struct loader *l, const struct yaml_node *list, unsigned kinds,
                            struct inv_ref **out, size_t *count);
void inventory_resolve_classes(struct loader *l, const struct yaml_node *list,
                               const struct inv_class ***out, size_t *count);

/* Free text by name.  'map' may be NULL. */
void inventory_read_labels(struct loader *l, const struct yaml_node *map, struct inv_labels *out);

/* inventory_compile.c: from the merged tree: binds, resolves, checks.  0, or -EINVAL when the
 * loader's faults have an error. */
int inventory_compile(struct loader *l, struct inventory **out);

/* --- Readers of one kind each --------------------------------------------- */

inventory_reader inventory_read_site, inventory_read_probe, inventory_read_router,
    inventory_read_class;                    /* inventory_net.c */
void inventory_read_links(struct loader *l); /* inventory_link.c */
/* inventory_limit.c: what SLAs ask links to count; what a slice says of it. */
void inventory_derive_limits(struct loader *l);
void inventory_read_link_limits(struct loader *l, const struct yaml_node *list,
                                struct inv_link *link);
void print_link_limits(FILE *to, const struct inv_link *link);
void inventory_read_test(struct loader *l, const struct yaml_node *node,
                         struct inv_attachment *attachment);
void inventory_sort_links(struct loader *l);
inventory_reader inventory_read_group, inventory_read_tenant, inventory_read_connector,
    inventory_read_tunnel, inventory_read_service; /* inventory_sold.c */
void inventory_read_members(struct loader *l);
inventory_reader inventory_read_profile, inventory_read_sla; /* inventory_sla.c */
bool inventory_same_objective(const struct inv_objective *a, const struct inv_objective *b);
/* That the one at 'at' is the same as the one at 'first'. */
void inventory_tell_same(struct loader *l, struct place at, struct place first);
/* inventory_credit.c: once the SLA's objectives are there. */
void inventory_read_credits(struct loader *l, const struct yaml_node *map, struct inv_sla *sla);
/* The keys under a metric of 'credits', by enum inv_credit_by. */
extern const char *const inventory_credit_kinds[INV_CREDIT_KINDS];
inventory_reader inventory_read_alarm; /* inventory_alarm.c */
extern const struct bind_word inventory_severity_words[];
inventory_reader inventory_read_hook; /* inventory_told.c */

/* inventory_metric.c: "flr", "rt_p99" ...; told if it is none, or one of alarms only. */
bool inventory_read_metric(struct loader *l, const struct yaml_node *node, struct inv_metric *out);
/* The same with those of alarms only. */
bool inventory_read_alarm_metric(struct loader *l, const struct yaml_node *node,
                                 struct inv_metric *out);
/* A value in the unit of 'metric'. */
bool inventory_read_limit(struct loader *l, const struct yaml_node *node, struct inv_metric metric,
                          uint64_t *out);

/* --- Checks: each adds the faults that it finds ---------------------------- */

void check_format(struct loader *l, const struct yaml_node *node);
void check_slice_of(struct loader *l, const struct yaml_node *node);
void check_generation(struct loader *l, const struct yaml_node *node);
void check_interval(struct loader *l, const struct yaml_node *node);
void check_timezone(struct loader *l, const struct yaml_node *object, const char *zone);
void check_class(struct loader *l, const struct yaml_node *node, const struct inv_class *class_);
void check_link(struct loader *l, const struct yaml_node *node, const struct inv_link *link);
void check_links(struct loader *l);
void check_nat(struct loader *l, const struct yaml_node *node, const struct inv_link *link);
void check_nat_keys(struct loader *l);
void check_cross(struct loader *l);    /* inventory_cross.c: between objects of many kinds. */
void check_promises(struct loader *l); /* inventory_promise.c: can it be measured? */
void check_wholes(struct loader *l);   /* inventory_whole.c: can it be judged? */
/* What of the round trip could be promised in place of 'o'. */
const char *round_trip_instead(const struct inv_objective *o, char *buf, size_t size);
/* inventory_carry.c: whether the link's clocks and packets suffice for the objective, which is
 * written at 'at' and is promised for 'service'. */
void check_carried(struct loader *l, struct place at, const struct inv_service *service,
                   const struct inv_objective *o, const struct inv_link *link);

/* --- Writing: inventory_text.c ---------------------------------------------- */

void print_head(FILE *to, const void *object);
void print_quoted(FILE *to, const char *text);
void print_text(FILE *to, const char *indent, const char *key, const char *text);
void print_span(FILE *to, const char *indent, const char *key, struct span s);
void print_address(FILE *to, const char *indent, const char *key, const struct address *address);
void print_labels(FILE *to, const char *key, const struct inv_labels *labels);
void print_class_list(FILE *to, const struct inv_class *const *classes, size_t count);
void print_far(FILE *to, const char *indent, const struct inv_end *e);
void print_auth(FILE *to, const char *indent, const struct inv_auth *auth);
/* A value in the metric's own unit. */
const char *print_limit(struct inv_metric metric, uint64_t value, char *buf, size_t size);

/* --- Writing: a part each --------------------------------------------------- */

void print_sold(FILE *to, const struct inventory *inv);
void print_slas(FILE *to, const struct inventory *inv); /* Profiles, and SLAs. */

/* First 63 bits of SHA-256 over the canonical text. */
int64_t inventory_generation(const struct inventory *inv);

#endif
