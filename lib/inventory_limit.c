/* inventory_limit.c - limits that links count exactly because an SLA over them
 * has an objective there; in a slice they are written out. */
#include "inventory_parts.h"

#include <stdlib.h>
#include <string.h>

#include "value.h"

#define LINK_LIMITS_MAX (NAMES_MAX * SERIES_LIMITS_MAX)

static const struct bind_word metric_words[] = {
    {"delay", LIMIT_DELAY}, {"ifdv", LIMIT_IFDV}, {NULL, 0}};
static const struct bind_word direction_words[] = {
    {"fwd", DIR_FWD}, {"bwd", DIR_BWD}, {"rt", DIR_RT}, {NULL, 0}};

/* --- From objectives -------------------------------------------------------- */

static bool
same_limit(const struct series_limit *a, const struct series_limit *b)
{
    return a->metric == b->metric && a->direction == b->direction && a->limit.ns == b->limit.ns;
}

/* Adds it unless the class, or another SLA, has it already. */
static void
add_limit(struct loader *l, struct inv_link *link, const struct inv_class *class_,
          struct series_limit limit)
{
    size_t count = class_->limit_count;

    for (unsigned i = 0; i < class_->limit_count; i++) {
        if (same_limit(&class_->limits[i], &limit)) {
            return;
        }
    }
    for (size_t i = 0; i < link->limit_count; i++) {
        bool mine = link->limits[i].class_ == class_;
        if (mine && same_limit(&link->limits[i].limit, &limit)) {
            return;
        }
        count += mine;
    }
    if (count >= SERIES_LIMITS_MAX) {
        fault_error(l->faults, l->nodes[KIND_LINK][link - l->inv->links]->key_at,
                    "SLAs over '%s' have more than %d limits on class '%s' with its own: so many "
                    "are counted exactly",
                    link->key, SERIES_LIMITS_MAX, class_->key);
        return;
    }
    /* In steps of eight: few links have more. */
    if (link->limit_count % SERIES_LIMITS_MAX == 0) {
        struct inv_limit *more =
            pool_array(l->pool, link->limit_count + SERIES_LIMITS_MAX, sizeof *more);
        if (link->limit_count) {
            memcpy(more, link->limits, link->limit_count * sizeof *more);
        }
        link->limits = more;
    }
    link->limits[link->limit_count++] = (struct inv_limit){class_, limit};
}

static void
add_objective(struct loader *l, const struct inv_link *on, const struct inv_objective *o)
{
    static const enum direction ways[] = {
        [INV_FWD] = DIR_FWD, [INV_BWD] = DIR_BWD, [INV_BOTH] = DIR_FWD, [INV_ROUND_TRIP] = DIR_RT};
    struct inv_link *link = &l->inv->links[on - l->inv->links];
    struct series_limit limit = {.metric = o->metric.kind == INV_IFDV ? LIMIT_IFDV : LIMIT_DELAY,
                                 .direction = ways[o->direction],
                                 .limit = span_of_ns((int64_t)o->limit)};
    bool has_class = false;

    for (size_t i = 0; i < link->class_count; i++) {
        has_class = has_class || link->classes[i] == o->class_;
    }
    if (!has_class || o->limit == 0) {
        return;
    }
    add_limit(l, link, o->class_, limit);
    if (o->direction == INV_BOTH) {
        limit.direction = DIR_BWD;
        add_limit(l, link, o->class_, limit);
    }
}

static void
add_service(struct loader *l, const struct inv_service *s, const struct inv_objective *o)
{
    for (size_t i = 0; i < s->over_count && s->sla->covers & INV_COVERS_OVER; i++) {
        const struct inv_group *g = s->over[i].group;
        if (s->over[i].link) {
            add_objective(l, s->over[i].link, o);
        }
        for (size_t m = 0; g && m < g->member_count; m++) {
            const struct inv_attachment *a = g->members[m].attachment;
            const struct inv_link *link = a ? a->test : g->members[m].link;
            if (link) {
                add_objective(l, link, o);
            }
        }
    }
    for (unsigned end = 0; end < 2 && s->sla->covers & INV_COVERS_TAIL; end++) {
        for (size_t a = 0; a < s->ends[end]->attachment_count; a++) {
            if (s->ends[end]->attachments[a].test) {
                add_objective(l, s->ends[end]->attachments[a].test, o);
            }
        }
    }
}

static int
limit_compare(const void *left, const void *right)
{
    const struct inv_limit *a = left, *b = right;
    int order = strcmp(a->class_->key, b->class_->key);

    if (order == 0) {
        order = (int)a->limit.metric - (int)b->limit.metric;
    }
    if (order == 0) {
        order = (int)a->limit.direction - (int)b->limit.direction;
    }
    return order                                   ? order
           : a->limit.limit.ns < b->limit.limit.ns ? -1
                                                   : a->limit.limit.ns > b->limit.limit.ns;
}

void
inventory_derive_limits(struct loader *l)
{
    for (size_t i = 0; i < l->inv->service_count; i++) {
        const struct inv_service *s = &l->inv->services[i];
        for (size_t n = 0; s->sla && s->state != INV_RETIRED && n < s->sla->objective_count; n++) {
            const struct inv_objective *o = &s->sla->objectives[n];
            if (o->metric.kind == INV_RT || o->metric.kind == INV_FD ||
                o->metric.kind == INV_IFDV) {
                add_service(l, s, o);
            }
        }
    }
    for (size_t i = 0; i < l->inv->link_count; i++) {
        struct inv_link *link = &l->inv->links[i];
        if (link->limit_count) {
            qsort(link->limits, link->limit_count, sizeof *link->limits, limit_compare);
        }
    }
}

/* --- In slices -------------------------------------------------------------- */

struct limit_draft {
    struct series_limit limit;
    const struct yaml_node *class_;
};

static const struct bind_key limit_keys[] = {
    {.key = "class",
     .type = BIND_NODE,
     .offset = offsetof(struct limit_draft, class_),
     .required = true},
    {.key = "metric",
     .type = BIND_WORD,
     .offset = offsetof(struct limit_draft, limit.metric),
     .words = metric_words,
     .required = true},
    {.key = "direction",
     .type = BIND_WORD,
     .offset = offsetof(struct limit_draft, limit.direction),
     .words = direction_words,
     .required = true},
    {.key = "limit",
     .type = BIND_SPAN,
     .offset = offsetof(struct limit_draft, limit.limit),
     .min = 1,
     .max = INT64_MAX,
     .required = true},
    {.key = NULL},
};

void
inventory_read_link_limits(struct loader *l, const struct yaml_node *list, struct inv_link *link)
{
    if (!l->slice_seen) {
        fault_error(l->faults, list->key_at,
                    "'limits' of a link are a slice's; a class has them, or an SLA");
        return;
    }
    if (!bind_expect(&l->bind, list, YAML_LIST, "a list of {class, metric, direction, limit}")) {
        return;
    }
    if (list->count > LINK_LIMITS_MAX) {
        fault_error(l->faults, list->at, "expected at most %d limits, got %zu", LINK_LIMITS_MAX,
                    list->count);
        return;
    }
    link->limits = pool_array(l->pool, list->count, sizeof *link->limits);
    for (const struct yaml_node *n = list->first; n; n = n->next) {
        struct limit_draft d = {0};
        bool good = bind_map(&l->bind, n, n->at, limit_keys, &d);
        const struct inv_class *class_ =
            d.class_ ? inventory_resolve(l, d.class_, KIND_CLASS) : NULL;
        size_t count = class_ ? class_->limit_count : 0;
        for (size_t i = 0; i < link->limit_count; i++) {
            count += link->limits[i].class_ == class_;
        }
        if (good && count >= SERIES_LIMITS_MAX) {
            fault_error(l->faults, n->at, "more than %d limits on class '%s'", SERIES_LIMITS_MAX,
                        class_ ? class_->key : "");
        } else if (good && class_) {
            link->limits[link->limit_count++] = (struct inv_limit){class_, d.limit};
        }
    }
    if (link->limit_count) {
        qsort(link->limits, link->limit_count, sizeof *link->limits, limit_compare);
    }
}

void
print_link_limits(FILE *to, const struct inv_link *link)
{
    char buf[VALUE_TEXT_SIZE];

    if (link->limit_count) {
        fputs("    limits:\n", to);
    }
    for (size_t i = 0; i < link->limit_count; i++) {
        const struct inv_limit *l = &link->limits[i];
        fprintf(to, "      - { class: \"%s\", metric: %s, direction: %s, limit: %s }\n",
                l->class_->key, metric_words[l->limit.metric].word,
                direction_name(l->limit.direction),
                value_format_span(l->limit.limit, buf, sizeof buf));
    }
}
