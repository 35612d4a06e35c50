/* inventory_whole.c - whether a service can be put together from its parts, class by class: whoever
 * judges (collector/judgeplan.c, by the same rules) leaves out one that cannot, and only counts it.
 *
 * After inventory_promise.c: what is no reference at all, or has not the class, is told. */
#include "inventory_parts.h"

#include <stdio.h>
#include <string.h>

#include "value.h"

struct whole {
    struct loader *l;
    const struct inv_service *service;
    const struct yaml_node *node;
    const struct inv_class *class_;
    char why[200]; /* A part is none; empty: not known so far. */
};

/* Delta-t of parts that are put together. */
struct parts {
    size_t count;
    int64_t least_ns, divisor_ns; /* The greatest that divides them all. */
};

static void
add_part(struct parts *p, int64_t dt_ns)
{
    int64_t a = p->divisor_ns, b = dt_ns;

    if (dt_ns == 0) {
        return;
    }
    while (a) {
        int64_t rest = b % a;
        b = a;
        a = rest;
    }
    p->divisor_ns = b;
    p->least_ns = p->count++ == 0 || dt_ns < p->least_ns ? dt_ns : p->least_ns;
}

/* They meet on the grid of the least. */
static bool
fit(const struct parts *p)
{
    return p->divisor_ns == p->least_ns;
}

/* Of the class, or of the only one that a connector's test has; 0: it is not judged. */
static int64_t
link_dt(const struct inv_link *link, const struct inv_class *class_)
{
    bool has = false;

    for (size_t i = 0; i < link->class_count; i++) {
        has = has || link->classes[i] == class_;
    }
    if (!inv_link_is_judged(link) || (!has && (!link->attachment || link->class_count != 1))) {
        return 0;
    }
    return has ? class_->dt.ns : link->classes[0]->dt.ns;
}

static void
tell_dt(struct whole *w, const char *key, const struct parts *p)
{
    char least[VALUE_TEXT_SIZE];

    snprintf(w->why, sizeof w->why,
             "%s has parts of which the least dt, %s, does not divide all the others", key,
             value_format_span(span_of_ns(p->least_ns), least, sizeof least));
}

static const struct inv_link *
ref_link(const struct inv_ref *ref)
{
    return ref->link ? ref->link : ref->attachment ? ref->attachment->test : NULL;
}

/* 0: it is not judged, and why. */
static int64_t
group_dt(struct whole *w, const struct inv_group *g)
{
    struct parts parts = {0};

    for (size_t i = 0; i < g->member_count; i++) {
        const struct inv_link *link = ref_link(&g->members[i]);
        add_part(&parts, link ? link_dt(link, w->class_) : 0);
    }
    if (parts.count == 0 || parts.count < g->need) {
        snprintf(w->why, sizeof w->why,
                 "of group '%s' %zu members are judged in that class, and %u are needed", g->key,
                 parts.count, g->need);
    } else if (!fit(&parts)) {
        tell_dt(w, g->key, &parts);
    }
    return w->why[0] ? 0 : parts.least_ns;
}

static int64_t
ref_dt(struct whole *w, const struct inv_ref *ref)
{
    const struct inv_link *link = ref_link(ref);
    int64_t dt_ns = link ? link_dt(link, w->class_) : 0;

    if (ref->group) {
        return group_dt(w, ref->group);
    }
    if (link && dt_ns == 0) {
        snprintf(w->why, sizeof w->why, "link '%s' is %s", link->key,
                 link->state == INV_PLANNED   ? "planned, and has no 'in_service'"
                 : link->state == INV_RETIRED ? "retired"
                                              : "not judged in that class");
    }
    return dt_ns;
}

/* The tail is left out of the promise where too few of it are judged: as if it were not covered. */
static int64_t
tail_dt(struct whole *w, const struct inv_connector *c)
{
    struct parts parts = {0};

    for (size_t i = 0; i < c->attachment_count; i++) {
        const struct inv_link *test = c->attachments[i].test;
        add_part(&parts, test ? link_dt(test, w->class_) : 0);
    }
    if (parts.count && parts.count >= c->need && fit(&parts)) {
        return parts.least_ns;
    }
    fault_warning(w->l->faults, inventory_place(w->node, "ends"),
                  "SLA '%s' covers the tail, and that of connector '%s' is not judged in class "
                  "'%s': %zu of its attachments have a test that is, %u are needed%s",
                  w->service->sla->key, c->key, w->class_->key, parts.count, c->need,
                  fit(&parts) ? "" : ", and their least dt does not divide the others");
    return 0;
}

static void
check_class_of(struct whole *w)
{
    const struct inv_service *s = w->service;
    struct parts parts = {0};

    for (size_t i = 0; i < s->over_count && !w->why[0]; i++) {
        add_part(&parts, ref_dt(w, &s->over[i]));
    }
    for (int end = 0; end < 2 && s->sla && s->sla->covers & INV_COVERS_TAIL; end++) {
        add_part(&parts, s->ends[end] ? tail_dt(w, s->ends[end]) : 0);
    }
    if (!w->why[0] && !fit(&parts)) {
        tell_dt(w, "it", &parts);
    }
    if (w->why[0]) {
        fault_warning(w->l->faults, inventory_place(w->node, "over"),
                      "service '%s' is not judged in class '%s': %s", s->key, w->class_->key,
                      w->why);
    }
}

void
check_wholes(struct loader *l)
{
    for (size_t i = 0; i < l->inv->service_count; i++) {
        const struct inv_service *s = &l->inv->services[i];
        for (size_t c = 0; c < s->class_count && s->state != INV_RETIRED; c++) {
            struct whole w = {
                .l = l, .service = s, .node = l->nodes[KIND_SERVICE][i], .class_ = s->classes[c]};
            check_class_of(&w);
        }
    }
}
