/* judgeplan.c - from the inventory's links, groups and services to what is fed. */
#include "judgeplan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Whoever runs out of memory begins anew, and does not end the process. */
#define HASH_NONFATAL_OOM 1
#include "texthash.h"

/* --- Ways ----------------------------------------------------------------- */

static int
add_ways(struct judgeplan *p)
{
    const struct inventory *inv = p->inventory;
    size_t room = 0;

    for (size_t i = 0; i < inv->link_count; i++) {
        room += inv->links[i].class_count;
    }
    p->ways = calloc(room + 1, sizeof(struct way *));
    if (!p->ways) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < inv->link_count; i++) {
        for (size_t c = 0; c < inv->links[i].class_count && inv_link_is_judged(&inv->links[i]);
             c++) {
            struct way *w = way_new(inv, &inv->links[i], inv->links[i].classes[c]);
            if (!w) {
                return -ENOMEM;
            }
            p->ways[p->way_count++] = w;
        }
    }
    return 0;
}

static int
compare_way(const void *a, const void *b)
{
    const struct way *x = a, *y = *(struct way *const *)b;

    if (x->link != y->link) {
        return x->link < y->link ? -1 : 1;
    }
    return x->class_ < y->class_ ? -1 : x->class_ > y->class_;
}

/* Links are in the order of the inventory, and so are a link's classes once sorted. */
static int
compare_ways(const void *a, const void *b)
{
    return compare_way(*(struct way *const *)a, b);
}

struct way *
judgeplan_way(const struct judgeplan *p, const struct inv_link *link,
              const struct inv_class *class_)
{
    const struct way wanted = {.link = link, .class_ = class_};
    struct way **found =
        p->way_count ? bsearch(&wanted, p->ways, p->way_count, sizeof *p->ways, compare_way) : NULL;

    return found ? *found : NULL;
}

/* The way of that class; of a connector's test the only one that there is, for it has a class of
 * its own. */
static struct way *
way_for(const struct judgeplan *p, const struct inv_link *link, const struct inv_class *class_)
{
    struct way *w = judgeplan_way(p, link, class_);

    return w || !link->attachment || link->class_count != 1
               ? w
               : judgeplan_way(p, link, link->classes[0]);
}

/* --- Groups and services -------------------------------------------------- */

/* A whole by what it is made from: keys are the inventory's own, so where they are tells them
 * apart. */
struct judgeplan_key {
    const char *key;
    const struct inv_class *class_;
    uintptr_t kind;
};

struct judgeplan_bond {
    struct judgeplan_key name;
    struct bond *bond;
    UT_hash_handle hh;
};

static void
forget_names(struct judgeplan *p)
{
    struct judgeplan_bond *name, *next;

    HASH_ITER(hh, p->by_key, name, next)
    {
        HASH_DEL(p->by_key, name);
        free(name);
    }
}

static int
add_bond(struct judgeplan *p, struct bond *b)
{
    struct bond **more = realloc(p->bonds, (p->bond_count + 1) * sizeof(struct bond *));

    if (!more) {
        bond_free(b);
        return -ENOMEM;
    }
    p->bonds = more;
    p->bonds[p->bond_count++] = b;
    struct judgeplan_bond *name = calloc(1, sizeof *name);
    if (!name) {
        return -ENOMEM;
    }
    name->name.key = b->key;
    name->name.class_ = b->class_;
    name->name.kind = b->kind;
    name->bond = b;
    HASH_ADD(hh, p->by_key, name, sizeof name->name, name);
    if (!name->hh.tbl) {
        free(name);
        return -ENOMEM;
    }
    return 0;
}

static struct bond *
find_bond(const struct judgeplan *p, enum line_scope kind, const char *key,
          const struct inv_class *class_)
{
    struct judgeplan_bond *found;
    struct judgeplan_key wanted;

    memset(&wanted, 0, sizeof wanted);
    wanted.key = key;
    wanted.class_ = class_;
    wanted.kind = kind;
    HASH_FIND(hh, p->by_key, &wanted, sizeof wanted, found);
    return found ? found->bond : NULL;
}

static int build_group(struct judgeplan *p, const struct inv_group *g,
                       const struct inv_class *class_, struct bond **out);
static int build_service(struct judgeplan *p, const struct inv_service *s,
                         const struct inv_class *class_, struct bond **out);

/* Adds what 'ref' is to 'b'.  -ENOENT: it has nothing of that class. */
static int
add_ref(struct judgeplan *p, struct bond *b, const struct inv_ref *ref)
{
    const struct inv_link *link = ref->link         ? ref->link
                                  : ref->attachment ? ref->attachment->test
                                                    : NULL;
    struct bond *part = NULL;
    int err = 0;

    if (link) {
        struct way *w = way_for(p, link, b->class_);
        return w ? bond_add_way(b, w) : -ENOENT;
    }
    if (ref->group) {
        err = build_group(p, ref->group, b->class_, &part);
    } else if (ref->service) {
        err = build_service(p, ref->service, b->class_, &part);
    }
    return err ? err : part ? bond_add_bond(b, part) : -ENOENT;
}

/* Ends a bond's making: '*out' is NULL where it has too few parts of that class. */
static int
end_bond(struct judgeplan *p, struct bond *b, size_t need, int err, struct bond **out)
{
    *out = NULL;
    if (!err && b->part_count > 0 && need <= b->part_count) {
        err = bond_ready(b, need);
        if (!err) {
            *out = b;
            return add_bond(p, b);
        }
    }
    bond_discard(b);
    return err == -EINVAL || err == -ENOENT ? 0 : err;
}

/* Each member that has this class: the check says where one has not. */
static int
build_group(struct judgeplan *p, const struct inv_group *g, const struct inv_class *class_,
            struct bond **out)
{
    *out = find_bond(p, LINE_GROUP, g->key, class_);
    if (*out) {
        return 0;
    }
    struct bond *b = bond_new(LINE_GROUP, g->key, class_, p->inventory->interval);
    int err = b ? 0 : -ENOMEM;
    for (size_t i = 0; i < g->member_count && !err; i++) {
        err = add_ref(p, b, &g->members[i]);
        err = err == -ENOENT ? 0 : err;
    }
    return b ? end_bond(p, b, g->need, err, out) : err;
}

/* The tails of a connector: its attachments' tests, of which so many are needed. */
static int
build_tail(struct judgeplan *p, const struct inv_connector *c, const struct inv_class *class_,
           struct bond **out)
{
    *out = find_bond(p, LINE_CONNECTOR, c->key, class_);
    if (*out) {
        return 0;
    }
    struct bond *b = bond_new(LINE_CONNECTOR, c->key, class_, p->inventory->interval);
    int err = b ? 0 : -ENOMEM;
    for (size_t i = 0; i < c->attachment_count && !err; i++) {
        const struct inv_link *test = c->attachments[i].test;
        struct way *w = test ? way_for(p, test, class_) : NULL;
        err = w ? bond_add_way(b, w) : 0;
    }
    return b ? end_bond(p, b, c->need, err, out) : err;
}

static int
add_tail(struct judgeplan *p, struct bond *b, const struct inv_connector *c)
{
    struct bond *tail;
    int err = build_tail(p, c, b->class_, &tail);

    return err ? err : tail ? bond_add_bond(b, tail) : 0;
}

static int
build_service(struct judgeplan *p, const struct inv_service *s, const struct inv_class *class_,
              struct bond **out)
{
    unsigned covers = s->sla ? s->sla->covers : INV_COVERS_OVER;

    *out = find_bond(p, LINE_SERVICE, s->key, class_);
    if (*out) {
        return 0;
    }
    struct bond *b = bond_new(LINE_SERVICE, s->key, class_, p->inventory->interval);
    int err = b ? 0 : -ENOMEM;
    for (size_t i = 0; i < s->over_count && !err; i++) {
        err = add_ref(p, b, &s->over[i]);
    }
    for (int i = 0; i < 2 && !err && covers & INV_COVERS_TAIL; i++) {
        err = s->ends[i] ? add_tail(p, b, s->ends[i]) : 0;
    }
    err = b ? end_bond(p, b, 0, err, out) : err;
    if (!err && *out && (*out)->line->in_service.ns == 0) {
        (*out)->line->in_service = s->in_service;
    }
    if (!err && *out) {
        (*out)->line->out_of_service = s->out_of_service;
    }
    return err;
}

static int
add_groups(struct judgeplan *p)
{
    const struct inventory *inv = p->inventory;
    int err = 0;

    for (size_t i = 0; i < inv->group_count && !err; i++) {
        for (size_t c = 0; c < inv->class_count && !err; c++) {
            struct bond *made;
            if (inv->groups[i].state != INV_RETIRED) {
                err = build_group(p, &inv->groups[i], &inv->classes[c], &made);
            }
        }
    }
    return err;
}

/* --- Promises ------------------------------------------------------------- */

uint64_t
judgeplan_suspect_bound(const struct inv_sla *sla, const char *class_name, unsigned direction)
{
    uint64_t bound = UINT64_MAX;

    for (size_t i = 0; i < sla->objective_count && direction < DIR_RT; i++) {
        const struct inv_objective *o = &sla->objectives[i];
        bool one_way = o->metric.kind == INV_FD || o->metric.kind == INV_FD_MEAN;
        if (one_way && strcmp(o->class_->key, class_name) == 0 && o->limit / 10 < bound) {
            bound = o->limit / 10;
        }
    }
    return bound;
}

static int
add_promise_way(struct promise *s, struct way *w, bool direct)
{
    for (size_t i = 0; i < s->way_count; i++) {
        if (s->ways[i].way == w) {
            s->ways[i].direct = s->ways[i].direct || direct;
            return 0;
        }
    }
    struct promise_way *more = realloc(s->ways, (s->way_count + 1) * sizeof *more);
    if (!more) {
        return -ENOMEM;
    }
    s->ways = more;
    struct promise_way *one = &s->ways[s->way_count++];
    *one = (struct promise_way){.way = w, .direct = direct};
    for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
        struct line *l = w->used[d] ? way_add_line(w, d, s->service->key) : NULL;
        if (w->used[d] && !l) {
            return -ENOMEM;
        }
        if (l) {
            l->in_service = s->service->in_service.ns > l->in_service.ns ? s->service->in_service
                                                                         : l->in_service;
            l->out_of_service = s->service->out_of_service;
            one->lines[d] = l;
        }
    }
    return 0;
}

static int
add_promise_bond(struct promise *s, const struct bond *b, bool direct)
{
    int err = 0;

    for (size_t i = 0; i < b->part_count && !err; i++) {
        err = b->parts[i].way ? add_promise_way(s, b->parts[i].way, direct)
                              : add_promise_bond(s, b->parts[i].bond, false);
    }
    return err;
}

static int
add_whole(struct judgeplan *p, struct promise *s, const struct inv_class *class_, bool *left_out)
{
    struct bond *whole;
    int err = build_service(p, s->service, class_, &whole);

    if (err || !whole) {
        *left_out = *left_out || !whole;
        return err;
    }
    s->wholes[s->whole_count++] = whole;
    return add_promise_bond(s, whole, true);
}

static int
add_promises(struct judgeplan *p, size_t *left_out)
{
    const struct inventory *inv = p->inventory;
    int err = 0;

    p->promises = calloc(inv->service_count + 1, sizeof *p->promises);
    if (!p->promises) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < inv->service_count && !err; i++) {
        const struct inv_service *service = &inv->services[i];
        struct promise *s = &p->promises[p->promise_count];
        bool incomplete = false;
        if (service->state == INV_RETIRED) {
            continue;
        }
        p->promise_count++;
        s->service = service;
        s->wholes = calloc(service->class_count + 1, sizeof(struct bond *));
        err = s->wholes ? 0 : -ENOMEM;
        for (size_t c = 0; c < service->class_count && !err; c++) {
            err = add_whole(p, s, service->classes[c], &incomplete);
        }
        *left_out += incomplete;
    }
    return err;
}

int
judgeplan_new(const struct inventory *inv, struct judgeplan **out, size_t *left_out)
{
    struct judgeplan *p = calloc(1, sizeof *p);
    int err = p ? 0 : -ENOMEM;

    *left_out = 0;
    if (p) {
        p->inventory = inv;
        err = add_ways(p);
    }
    if (!err) {
        qsort(p->ways, p->way_count, sizeof *p->ways, compare_ways);
        err = add_groups(p);
    }
    err = err ? err : add_promises(p, left_out);
    if (p) {
        forget_names(p);
    }
    if (err) {
        judgeplan_free(p);
        return err;
    }
    *out = p;
    return 0;
}

void
judgeplan_free(struct judgeplan *p)
{
    if (!p) {
        return;
    }
    for (size_t i = 0; i < p->promise_count; i++) {
        inventory_free(p->promises[i].older);
        free(p->promises[i].decided);
        free(p->promises[i].ways);
        free(p->promises[i].wholes);
    }
    for (size_t i = 0; i < p->bond_count; i++) {
        bond_free(p->bonds[i]);
    }
    for (size_t i = 0; i < p->way_count; i++) {
        way_free(p->ways[i]);
    }
    free(p->promises);
    free(p->bonds);
    free(p->ways);
    free(p);
}
