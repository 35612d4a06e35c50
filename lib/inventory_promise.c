/* inventory_promise.c - whether what is sold can be measured: each objective on
 * each link under a service, each credit, each tunnel on its underlay.
 *
 * After all else: it goes from object to object, so all references are good. */
#include "inventory_parts.h"

#include <string.h>

#include "value.h"

/* One objective while its links are looked at. */
struct promise {
    struct loader *l;
    const struct inv_service *service;
    const struct inv_objective *objective;
    struct place at;
    size_t links; /* On which it is measured. */
};

typedef void link_fn(const struct inv_link *link, void *aux);

/* The links, and tests, that a reference leads to. */
static void
each_link(const struct inv_ref *ref, link_fn *fn, void *aux)
{
    const struct inv_group *g = ref->group;

    if (ref->link) {
        fn(ref->link, aux);
    } else if (ref->attachment && ref->attachment->test) {
        fn(ref->attachment->test, aux);
    }
    for (size_t i = 0; g && i < g->member_count; i++) {
        const struct inv_ref *m = &g->members[i];
        const struct inv_link *link = m->link         ? m->link
                                      : m->attachment ? m->attachment->test
                                                      : NULL;
        if (link) {
            fn(link, aux);
        }
    }
}

static bool
has_class(const struct inv_class *const *classes, size_t count, const struct inv_class *class_)
{
    for (size_t i = 0; i < count; i++) {
        if (classes[i] == class_) {
            return true;
        }
    }
    return false;
}

/* --- Objectives ------------------------------------------------------------ */

/* What a far end that answers without a number of its own leaves unknown even of the round trip:
 * lib/match_far.c counts no reordering there. */
static bool
needs_numbers(enum inv_metric_kind kind)
{
    return kind == INV_REORDER_RATIO;
}

/* Tells what cannot be measured to a far end that gives the round trip only. */
static void
check_round_trip_only(const struct promise *p, const struct inv_link *link)
{
    const struct inv_objective *o = p->objective;
    const char *why = link->ends[1].protocol == INV_ICMP ? "answers ICMP echo" : "is stateless";
    char name[INV_METRIC_SIZE], instead[64];

    inv_metric_format(o->metric, name, sizeof name);
    if (needs_numbers(o->metric.kind)) {
        fault_error(p->l->faults, p->at,
                    "%s cannot be measured on '%s' (service '%s'): its far end %s, and does not "
                    "number its replies, so that nothing tells in which order packets came there",
                    name, link->key, p->service->key, why);
    } else if (o->direction != INV_ROUND_TRIP) {
        fault_error(p->l->faults, p->at,
                    "%s cannot be measured each way on '%s' (service '%s'): its far end %s, which "
                    "gives the round trip only; %s could be",
                    name, link->key, p->service->key, why,
                    round_trip_instead(o, instead, sizeof instead));
    }
}

static void
check_objective_on(const struct inv_link *link, void *aux)
{
    struct promise *p = aux;
    const struct inv_objective *o = p->objective;
    const struct inv_end *far = &link->ends[1];

    if (!has_class(link->classes, link->class_count, o->class_) ||
        (!far->probe && far->use == INV_USE_EVIDENCE)) {
        return;
    }
    p->links++;
    if (!inv_link_has_directions(link)) {
        check_round_trip_only(p, link);
    }
    check_carried(p->l, p->at, p->service, o, link);
}

/* Where an SLA's objective is written: in one of its profiles, or in itself. */
static const struct yaml_node *
objective_node(struct loader *l, const struct inv_sla *sla, size_t number)
{
    const struct yaml_node *in = l->nodes[KIND_SLA][sla - l->inv->slas];

    for (size_t i = 0; i < sla->profile_count; i++) {
        const struct inv_profile *profile = sla->profiles[i];
        if (number < profile->objective_count) {
            in = l->nodes[KIND_PROFILE][profile - l->inv->profiles];
            break;
        }
        number -= profile->objective_count;
    }
    const struct yaml_node *n = yaml_get(in, "objectives")->first;
    while (number--) {
        n = n->next;
    }
    return n;
}

/* The place of the objective's metric. */
static struct place
objective_place(struct loader *l, const struct inv_sla *sla, size_t number)
{
    return inventory_place(objective_node(l, sla, number), "metric");
}

static void
check_objective(struct loader *l, size_t service, size_t number)
{
    const struct inv_service *s = &l->inv->services[service];
    struct promise p = {.l = l,
                        .service = s,
                        .objective = &s->sla->objectives[number],
                        .at = objective_place(l, s->sla, number)};

    for (size_t i = 0; i < s->over_count && s->sla->covers & INV_COVERS_OVER; i++) {
        each_link(&s->over[i], check_objective_on, &p);
    }
    for (unsigned end = 0; end < 2 && s->sla->covers & INV_COVERS_TAIL; end++) {
        for (size_t a = 0; a < s->ends[end]->attachment_count; a++) {
            const struct inv_link *test = s->ends[end]->attachments[a].test;
            if (test) {
                check_objective_on(test, &p);
            }
        }
    }
    if (p.links == 0) {
        fault_error(l->faults, inventory_place(l->nodes[KIND_SERVICE][service], "sla"),
                    "SLA '%s' promises something on class '%s', which nothing that it covers "
                    "measures for service '%s'",
                    s->sla->key, p.objective->class_->key, s->key);
    }
}

/* --- Services -------------------------------------------------------------- */

struct sold_class {
    struct loader *l;
    size_t service;
    const struct inv_class *class_;
};

static void
check_class_on(const struct inv_link *link, void *aux)
{
    const struct sold_class *c = aux;

    if (!link->attachment && !has_class(link->classes, link->class_count, c->class_)) {
        fault_error(c->l->faults, inventory_place(c->l->nodes[KIND_SERVICE][c->service], "classes"),
                    "class '%s' is not measured on link '%s', over which service '%s' is",
                    c->class_->key, link->key, c->l->inv->services[c->service].key);
    }
}

static void
check_service(struct loader *l, size_t number)
{
    const struct inv_service *s = &l->inv->services[number];

    for (size_t c = 0; c < s->class_count; c++) {
        struct sold_class sold = {l, number, s->classes[c]};
        for (size_t i = 0; i < s->over_count; i++) {
            each_link(&s->over[i], check_class_on, &sold);
        }
    }
    for (size_t i = 0; s->sla && i < s->sla->objective_count; i++) {
        check_objective(l, number, i);
    }
}

/* --- SLAs ------------------------------------------------------------------ */

/* Of a profile's objective, or an SLA's own. */
static void
check_ifdv(struct loader *l, const struct inv_objective *o, struct place at)
{
    char name[INV_METRIC_SIZE];

    if ((o->metric.kind == INV_IFDV || o->metric.kind == INV_IPDV_ABS_MEAN) && !o->class_->ifdv) {
        fault_error(l->faults, at,
                    "%s needs 'ifdv: true' in class '%s', which keeps no such histogram",
                    inv_metric_format(o->metric, name, sizeof name), o->class_->key);
    }
}

static void
check_profile(struct loader *l, size_t number)
{
    const struct inv_profile *profile = &l->inv->profiles[number];
    const struct yaml_node *n = yaml_get(l->nodes[KIND_PROFILE][number], "objectives")->first;

    for (size_t i = 0; i < profile->objective_count; i++, n = n->next) {
        check_ifdv(l, &profile->objectives[i], inventory_place(n, "metric"));
    }
}

/* What a profile has is not promised by another, or by the SLA itself, again. */
static void
check_twice(struct loader *l, const struct inv_sla *sla)
{
    for (size_t i = 1; sla->profile_count && i < sla->objective_count; i++) {
        for (size_t before = 0; before < i; before++) {
            if (inventory_same_objective(&sla->objectives[before], &sla->objectives[i])) {
                inventory_tell_same(l, objective_node(l, sla, i)->at,
                                    objective_node(l, sla, before)->at);
                break;
            }
        }
    }
}

/* Tiers by value that begin before the limit is broken. */
static void
check_first_tier(struct loader *l, const struct inv_sla *sla, const struct inv_credit *credit)
{
    bool down = credit->metric.kind == INV_AVAILABILITY, met = true;
    uint64_t bound = credit->tiers[0].bound;
    char name[INV_METRIC_SIZE];

    for (size_t i = 0; i < sla->objective_count; i++) {
        const struct inv_objective *o = &sla->objectives[i];
        met = met && !(inv_metric_equal(o->metric, credit->metric) &&
                       (down ? bound <= o->limit : bound >= o->limit));
    }
    if (met) {
        fault_warning(l->faults, inventory_place(l->nodes[KIND_SLA][sla - l->inv->slas], "credits"),
                      "the first tier of %s gives credit while every objective on it is met",
                      inv_metric_format(credit->metric, name, sizeof name));
    }
}

static void
check_sla(struct loader *l, size_t number)
{
    const struct inv_sla *sla = &l->inv->slas[number];

    check_twice(l, sla);
    for (size_t i = sla->own_first; i < sla->objective_count; i++) {
        check_ifdv(l, &sla->objectives[i], objective_place(l, sla, i));
    }
    for (size_t c = 0; c < sla->credit_count; c++) {
        if (sla->credits[c].by == INV_CREDIT_BY_VALUE) {
            check_first_tier(l, sla, &sla->credits[c]);
        }
    }
}

/* --- Tunnels ---------------------------------------------------------------- */

struct carried {
    struct loader *l;
    size_t tunnel;
    bool told, joins; /* Some link joins the tunnel's two probes. */
};

/* Octets that the outer headers add to an inner IP packet. */
static uint32_t
overhead(const struct inv_tunnel *t)
{
    uint32_t ip = t->ends[0].address.family == 6 ? 40 : 20;

    if (t->encapsulation == INV_GRE) {
        return ip + (t->vni ? 8 : 4);
    }
    return ip + 8 + 8 + 14;
}

static void
check_tunnel_on(const struct inv_link *link, void *aux)
{
    struct carried *c = aux;
    const struct inv_tunnel *t = &c->l->inv->tunnels[c->tunnel];
    const struct inv_probe *one = t->ends[0].probe, *two = t->ends[1].probe;

    c->joins = c->joins || (link->ends[0].probe == one && link->ends[1].probe == two) ||
               (link->ends[0].probe == two && link->ends[1].probe == one);
    if (link->mtu && t->inner_mtu + overhead(t) > link->mtu && !c->told) {
        c->told = true;
        fault_error(c->l->faults, inventory_place(c->l->nodes[KIND_TUNNEL][c->tunnel], "inner_mtu"),
                    "packets of %u octets and %u of outer headers do not fit in mtu %u of link "
                    "'%s'",
                    t->inner_mtu, overhead(t), link->mtu, link->key);
    }
}

static void
check_tunnel(struct loader *l, size_t number)
{
    struct carried c = {.l = l, .tunnel = number};

    each_link(&l->inv->tunnels[number].over, check_tunnel_on, &c);
    if (!c.joins) {
        fault_warning(l->faults, inventory_place(l->nodes[KIND_TUNNEL][number], "over"),
                      "no link there joins probe '%s' and probe '%s', between which the tunnel is",
                      l->inv->tunnels[number].ends[0].probe->key,
                      l->inv->tunnels[number].ends[1].probe->key);
    }
}

void
check_promises(struct loader *l)
{
    for (size_t i = 0; i < l->inv->profile_count; i++) {
        check_profile(l, i);
    }
    for (size_t i = 0; i < l->inv->sla_count; i++) {
        check_sla(l, i);
    }
    for (size_t i = 0; i < l->inv->service_count && faults_errors(l->faults) < FAULTS_KEPT; i++) {
        if (l->inv->services[i].state != INV_RETIRED) {
            check_service(l, i);
        }
    }
    for (size_t i = 0; i < l->inv->tunnel_count; i++) {
        if (l->inv->tunnels[i].state != INV_RETIRED) {
            check_tunnel(l, i);
        }
    }
}
