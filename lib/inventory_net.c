/* inventory_net.c - the sections of what measures and how: sites, probes,
 * routers, classes. */
#include "inventory_parts.h"

#include <string.h>

#define BMP_ADDRESSES_MAX 16u

static const struct bind_word clock_words[] = {
    {"ntp", INV_CLOCK_NTP}, {"ptp", INV_CLOCK_PTP}, {"gnss", INV_CLOCK_GNSS}, {NULL, 0}};
static const struct bind_word metric_words[] = {
    {"delay", LIMIT_DELAY}, {"ifdv", LIMIT_IFDV}, {NULL, 0}};
static const struct bind_word direction_words[] = {
    {"fwd", DIR_FWD}, {"bwd", DIR_BWD}, {"rt", DIR_RT}, {NULL, 0}};

/* --- Sites ---------------------------------------------------------------- */

struct site_draft {
    struct inv_site site;
    const struct yaml_node *labels;
};

static const struct bind_key site_keys[] = {
    HEAD_KEYS,
    {.key = "timezone", .type = BIND_STRING, .offset = offsetof(struct site_draft, site.timezone)},
    {.key = "labels", .type = BIND_NODE, .offset = offsetof(struct site_draft, labels)},
    {.key = NULL},
};

void
inventory_read_site(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_site *site = object;
    struct site_draft d = {.site.key = site->key};

    bind_map(&l->bind, member, member->key_at, site_keys, &d);
    check_timezone(l, member, d.site.timezone);
    inventory_read_labels(l, d.labels, &d.site.labels);
    *site = d.site;
}

/* --- Probes --------------------------------------------------------------- */

struct probe_draft {
    struct inv_probe probe;
    const struct yaml_node *site, *labels;
};

static const struct bind_key probe_keys[] = {
    HEAD_KEYS,
    {.key = "site",
     .type = BIND_NODE,
     .offset = offsetof(struct probe_draft, site),
     .required = true},
    {.key = "address", .type = BIND_ADDRESS, .offset = offsetof(struct probe_draft, probe.address)},
    {.key = "clock",
     .type = BIND_WORD,
     .offset = offsetof(struct probe_draft, probe.clock),
     .words = clock_words,
     .fallback = "ntp"},
    {.key = "labels", .type = BIND_NODE, .offset = offsetof(struct probe_draft, labels)},
    {.key = NULL},
};

void
inventory_read_probe(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_probe *probe = object;
    struct probe_draft d = {.probe.key = probe->key};

    bind_map(&l->bind, member, member->key_at, probe_keys, &d);
    l->retired = d.probe.state == INV_RETIRED;
    if (d.site) {
        d.probe.site = inventory_resolve(l, d.site, KIND_SITE);
    }
    inventory_read_labels(l, d.labels, &d.probe.labels);
    *probe = d.probe;
}

/* --- Routers -------------------------------------------------------------- */

struct router_draft {
    struct inv_router router;
    const struct yaml_node *site, *labels, *from;
};

static const struct bind_key bmp_keys[] = {
    {.key = "from", .type = BIND_NODE, .offset = offsetof(struct router_draft, from)},
    {.key = NULL},
};

static const struct bind_key router_keys[] = {
    HEAD_KEYS,
    {.key = "site",
     .type = BIND_NODE,
     .offset = offsetof(struct router_draft, site),
     .required = true},
    {.key = "bmp", .type = BIND_TABLE, .table = bmp_keys},
    {.key = "labels", .type = BIND_NODE, .offset = offsetof(struct router_draft, labels)},
    {.key = NULL},
};

static void
read_bmp(struct loader *l, const struct yaml_node *list, struct inv_router *router)
{
    static const struct bind_key address = {.key = "from", .type = BIND_ADDRESS};

    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of addresses, such as [192.0.2.11]")) {
        return;
    }
    if (list->count == 0 || list->count > BMP_ADDRESSES_MAX) {
        fault_error(l->faults, list->at, "expected 1 to %u addresses, got %zu", BMP_ADDRESSES_MAX,
                    list->count);
        return;
    }
    router->bmp_from = pool_array(l->pool, list->count, sizeof *router->bmp_from);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        if (bind_value(&l->bind, &address, n, &router->bmp_from[router->bmp_from_count])) {
            router->bmp_from_count++;
        }
    }
}

void
inventory_read_router(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_router *router = object;
    struct router_draft d = {.router.key = router->key};
    const struct yaml_node *bmp = member->kind == YAML_MAP ? yaml_get(member, "bmp") : NULL;

    bind_map(&l->bind, member, member->key_at, router_keys, &d);
    l->retired = d.router.state == INV_RETIRED;
    if (d.site) {
        d.router.site = inventory_resolve(l, d.site, KIND_SITE);
    }
    if (d.from) {
        read_bmp(l, d.from, &d.router);
    } else if (bmp) {
        fault_error(l->faults, bmp->key_at,
                    "key 'from' is missing: the addresses from which BMP comes");
    }
    inventory_read_labels(l, d.labels, &d.router.labels);
    *router = d.router;
}

/* --- Classes -------------------------------------------------------------- */

struct class_draft {
    struct inv_class class_;
    const struct yaml_node *limits;
};

struct limit_draft {
    enum limit_metric metric;
    enum direction direction;
    struct span limit;
};

#define OFFSET(member) .offset = offsetof(struct class_draft, member)

static const struct bind_key class_keys[] = {
    HEAD_KEYS,
    {.key = "dscp", .type = BIND_DSCP, OFFSET(class_.dscp), .fallback = "cs0"},
    {.key = "period",
     .type = BIND_SPAN,
     OFFSET(class_.period),
     .min = 100000,
     .max = 60 * (uint64_t)NS_PER_S,
     .fallback = "100ms"},
    {.key = "size",
     .type = BIND_UNSIGNED,
     OFFSET(class_.size),
     .width = 4,
     .min = 44,
     .max = 9000,
     .fallback = "128"},
    {.key = "dt",
     .type = BIND_SPAN,
     OFFSET(class_.dt),
     .min = 100 * (uint64_t)NS_PER_MS,
     .max = 900 * (uint64_t)NS_PER_S,
     .fallback = "1s"},
    {.key = "tmax",
     .type = BIND_SPAN,
     OFFSET(class_.tmax),
     .min = 100 * (uint64_t)NS_PER_MS,
     .max = 60 * (uint64_t)NS_PER_S,
     .fallback = "3s"},
    {.key = "n",
     .type = BIND_UNSIGNED,
     OFFSET(class_.n),
     .width = 4,
     .min = 1,
     .max = 1000,
     .fallback = "10"},
    {.key = "p",
     .type = BIND_UNSIGNED,
     OFFSET(class_.p),
     .width = 4,
     .min = 1,
     .max = 1000,
     .fallback = "5"},
    {.key = "loss_threshold",
     .type = BIND_PERCENT,
     OFFSET(class_.c_milli),
     .min = 0,
     .max = 100000,
     .fallback = "50%"},
    {.key = "ifdv", .type = BIND_BOOL, OFFSET(class_.ifdv), .fallback = "false"},
    {.key = "limits", .type = BIND_NODE, OFFSET(limits)},
    {.key = NULL},
};

#define LIMIT(member) .offset = offsetof(struct limit_draft, member)

static const struct bind_key limit_keys[] = {
    {.key = "metric", .type = BIND_WORD, LIMIT(metric), .words = metric_words, .required = true},
    {.key = "direction",
     .type = BIND_WORD,
     LIMIT(direction),
     .words = direction_words,
     .required = true},
    {.key = "limit",
     .type = BIND_SPAN,
     LIMIT(limit),
     .min = 1,
     .max = 60 * (uint64_t)NS_PER_S,
     .required = true},
    {.key = NULL},
};

static void
read_limits(struct loader *l, struct class_draft *class_draft)
{
    struct inv_class *class_ = &class_draft->class_;
    const struct yaml_node *list = class_draft->limits;

    if (!list || !bind_expect(&l->bind, list, YAML_LIST, "a list of {metric, direction, limit}")) {
        return;
    }
    if (list->count > SERIES_LIMITS_MAX) {
        fault_error(l->faults, list->at, "expected at most %d limits, got %zu", SERIES_LIMITS_MAX,
                    list->count);
        return;
    }
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        struct limit_draft d = {0};
        if (!bind_map(&l->bind, n, n->at, limit_keys, &d)) {
            continue;
        }
        if (d.metric == LIMIT_IFDV && !class_->ifdv) {
            fault_error(l->faults, n->at,
                        "a limit on ifdv counts nothing unless the class has 'ifdv: true'");
        }
        class_->limits[class_->limit_count++] = (struct series_limit){
            .metric = d.metric,
            .direction = d.direction,
            .limit = d.limit,
        };
    }
}

void
inventory_read_class(struct loader *l, const struct yaml_node *member, void *object)
{
    struct inv_class *class_ = object;
    struct class_draft d = {.class_.key = class_->key};
    bool good = bind_map(&l->bind, member, member->key_at, class_keys, &d);

    read_limits(l, &d);
    if (good) {
        check_class(l, member, &d.class_);
    }
    *class_ = d.class_;
}
