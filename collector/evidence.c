/* evidence.c - the kinds of evidence, each a function. */
#include "evidence.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "phrase.h"

/* Of one kind at most so many. */
#define EACH_MAX 5
/* A risk with more links is not looked through for one link's problem. */
#define RISK_MAX 64
/* A source writes an interval when the next has begun. */
#define SERVES_NS (180 * NS_PER_S)
#define REROUTE_BEFORE_NS (600 * NS_PER_S)

struct evidence {
    const struct evidence_facts *f;
    const struct reach *r;
    const struct problem *p;
    const struct inv_link *link; /* Of a problem of one link; NULL. */
    cJSON *list;
};

static cJSON *__attribute__((format(printf, 3, 4)))
add(const struct evidence *e, const char *kind, const char *format, ...)
{
    cJSON *item = cJSON_CreateObject();
    char text[PHRASE_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cJSON_AddStringToObject(item, "kind", kind);
    cJSON_AddStringToObject(item, "text", text);
    cJSON_AddItemToArray(e->list, item);
    return item;
}

static const struct extent_list *
list_of(const struct evidence *e, enum extent_kind kind)
{
    return &e->p->extent.lists[kind];
}

/* --- Of one link ---------------------------------------------------------- */

static bool
is_bad_class(const struct evidence *e, const char *class_)
{
    for (const struct symptom *s = e->p->symptoms; s; s = s->next) {
        if (symptom_is_raised(s) && s->scope == SYMPTOM_LINK && !strcmp(s->class_, class_)) {
            return true;
        }
    }
    return false;
}

static void
other_classes(const struct evidence *e)
{
    struct phrase_list names;
    char text[2][PHRASE_SIZE / 4];
    size_t count[2] = {0, 0};

    if (!e->link || e->link->class_count < 2) {
        return;
    }
    for (int bad = 0; bad < 2; bad++) {
        for (size_t i = 0; i < e->link->class_count; i++) {
            count[bad] += is_bad_class(e, e->link->classes[i]->key) == bad;
        }
        phrase_begin(&names, text[bad], sizeof text[bad], count[bad]);
        for (size_t i = 0; i < e->link->class_count; i++) {
            if (is_bad_class(e, e->link->classes[i]->key) == bad) {
                phrase_add(&names, e->link->classes[i]->key);
            }
        }
    }
    if (count[1] && count[0]) {
        add(e, "other_classes", "%s %s bad, %s %s not", text[1], count[1] == 1 ? "is" : "are",
            text[0], count[0] == 1 ? "is" : "are");
    } else if (count[1]) {
        add(e, "other_classes", "all classes are bad: %s", text[1]);
    }
}

static const char *
end_name(const struct inv_end *end)
{
    return end->probe ? end->probe->key : "the far end";
}

static void
other_direction(const struct evidence *e)
{
    bool known = false, fwd = false, bwd = false;

    for (const struct symptom *s = e->p->symptoms; s && e->link; s = s->next) {
        if (symptom_is_raised(s) && s->what == SYMPTOM_LOSS) {
            known = known || s->details.has_ways;
            fwd = fwd || s->details.lost_fwd > 0;
            bwd = bwd || s->details.lost_bwd > 0;
        }
    }
    if (known && fwd && bwd) {
        add(e, "other_direction", "both directions lose");
    } else if (known && (fwd || bwd)) {
        add(e, "other_direction", "from %s to %s it loses, on the way back it does not",
            end_name(&e->link->ends[fwd ? 0 : 1]), end_name(&e->link->ends[fwd ? 1 : 0]));
    }
}

static void
paths(const struct evidence *e)
{
    for (const struct symptom *s = e->p->symptoms; s && e->link; s = s->next) {
        const struct symptom_details *d = &s->details;
        if (symptom_is_raised(s) && d->has_paths && d->paths > 1 && d->paths_over) {
            cJSON *item = d->paths_over < d->paths
                              ? add(e, "paths", "%u of %u flows: %s of several", d->paths_over,
                                    d->paths, d->paths_over == 1 ? "one path" : "some paths")
                              : add(e, "paths", "all %u flows", d->paths);
            cJSON_AddNumberToObject(item, "over", d->paths_over);
            cJSON_AddNumberToObject(item, "of", d->paths);
            return;
        }
    }
}

/* Rules of one class and probe tell of the same packets: that of the longest window of most. */
static bool
tells_most_errors(const struct problem *p, const struct symptom *s)
{
    bool before = true;

    for (const struct symptom *o = p->symptoms; o; o = o->next) {
        if (o == s) {
            before = false;
        } else if (symptom_is_raised(o) && !strcmp(o->class_, s->class_) &&
                   !strcmp(o->observer, s->observer) &&
                   (o->details.send_errors > s->details.send_errors ||
                    (before && o->details.send_errors == s->details.send_errors))) {
            return false;
        }
    }
    return true;
}

static void
send_errors(const struct evidence *e)
{
    int64_t errors = 0;

    for (const struct symptom *s = e->p->symptoms; s && e->link; s = s->next) {
        if (symptom_is_raised(s) && tells_most_errors(e->p, s)) {
            errors += s->details.send_errors;
        }
    }
    if (errors) {
        add(e, "send_errors",
            "%" PRId64 " packet%s could not even be sent: the interface or a route "
            "is gone",
            errors, errors == 1 ? "" : "s");
    }
}

/* All of it is bad by now, though not at once. */
static void
same_risk(const struct evidence *e)
{
    uint32_t count = 0, under_count;
    const uint32_t *of =
        e->link ? reach_list(&e->r->of_object, (uint32_t)(e->link - e->r->inv->links), &count)
                : NULL;

    for (uint32_t i = 0; i < count; i++) {
        const struct reach_candidate *c = &e->r->candidates[of[i]];
        const uint32_t *under = reach_list(&e->r->under, of[i], &under_count);
        size_t measured = 0, bad = 0;
        if (c->kind != INV_CAUSE_RISK || under_count > RISK_MAX) {
            continue;
        }
        for (uint32_t k = 0; k < under_count; k++) {
            bool is = reach_is_measured(e->r, under[k], e->f->now);
            measured += is;
            bad += is && e->f->down[under[k]];
        }
        if (measured > 1) {
            add(e, "same_risk", "of risk %s %zu of %zu links %s bad", c->key, bad, measured,
                bad == 1 ? "is" : "are");
        }
    }
}

/* --- Who is at the ends --------------------------------------------------- */

static void
tell_end(const struct evidence *e, const struct inv_probe *probe)
{
    const struct evidence_source *s = &e->f->sources[probe - e->r->inv->probes];
    char at[40];

    if (s->silence) {
        add(e, "far_end", "probe %s has said nothing since %s: it may be the cause", probe->key,
            instant_format(s->silence->began, 0, at, sizeof at));
    } else if (s->closed) {
        add(e, "far_end", "probe %s is given up", probe->key);
    } else if (s->committed.ns && s->committed.ns + SERVES_NS >= e->f->now.ns) {
        add(e, "far_end", "probe %s serves, its stream was written %" PRId64 " s ago", probe->key,
            (e->f->now.ns - s->committed.ns) / NS_PER_S);
    } else if (s->committed.ns) {
        add(e, "far_end", "probe %s: its stream was last written at %s", probe->key,
            instant_format(s->committed, 0, at, sizeof at));
    }
    if (s->clock) {
        add(e, "clock", "the clock of probe %s is bad: %s since %s", probe->key, s->clock->rule,
            instant_format(s->clock->began, 0, at, sizeof at));
    }
}

static void
ends(const struct evidence *e)
{
    const struct inv_probe *probe =
        e->p->kind == INV_CAUSE_PROBE ? inventory_probe(e->r->inv, e->p->key) : NULL;

    for (int i = 0; i < 2 && e->link; i++) {
        if (e->link->ends[i].probe) {
            tell_end(e, e->link->ends[i].probe);
        }
    }
    if (probe) {
        tell_end(e, probe);
    }
    for (uint32_t i = 0, told = 0; e->p->kind == INV_CAUSE_SITE && i < e->r->probes; i++) {
        const struct inv_probe *p = &e->r->inv->probes[i];
        if (!strcmp(p->site->key, e->p->key) && told++ < EACH_MAX) {
            tell_end(e, p);
        }
    }
}

/* --- What is sold over it ------------------------------------------------- */

static void
members(const struct evidence *e)
{
    const struct extent_list *groups = list_of(e, EXTENT_GROUP);

    for (size_t i = 0, told = 0; i < groups->count && told < EACH_MAX; i++) {
        const struct inv_group *g = &e->r->inv->groups[groups->at[i].index];
        if (groups->at[i].now) {
            cJSON *item =
                add(e, "members", "group %s has %u of %zu members left, and needs %u", g->key,
                    extent_members_left(e->r, g, e->f->down), g->member_count, g->need);
            cJSON_AddStringToObject(item, "group", g->key);
            told++;
        }
    }
}

static int
by_service(const void *a, const void *b)
{
    const struct evidence_budget *x = a, *y = b;

    return x->service < y->service ? -1 : x->service > y->service;
}

/* The first of a service. */
static const struct evidence_budget *
budgets_of(const struct evidence *e, uint32_t service)
{
    const struct evidence_budget wanted = {.service = service};
    const struct evidence_budget *b =
        e->f->budget_count
            ? bsearch(&wanted, e->f->budgets, e->f->budget_count, sizeof wanted, by_service)
            : NULL;

    while (b && b > e->f->budgets && b[-1].service == service) {
        b--;
    }
    return b;
}

static double
used(const struct evidence_budget *b)
{
    return (double)b->used / (double)b->budget;
}

/* The service that has least left. */
static void
budget(const struct evidence *e)
{
    const struct extent_list *services = list_of(e, EXTENT_SERVICE);
    const struct evidence_budget *end = e->f->budgets + e->f->budget_count, *worst = NULL;
    size_t spent = 0;

    for (size_t i = 0; i < services->count; i++) {
        const struct evidence_budget *b = budgets_of(e, services->at[i].index);
        bool all = false;
        for (; b && b < end && b->service == services->at[i].index; b++) {
            all = all || b->used >= b->budget;
            worst = !worst || used(b) > used(worst) ? b : worst;
        }
        spent += all;
    }
    if (worst) {
        add(e, "budget", "service %s has used %.0f%% of what its month allows (%s %s)%s",
            e->r->inv->services[worst->service].key, used(worst) * 100, worst->class_,
            worst->metric,
            spent > 2   ? "; others have used all"
            : spent > 1 ? "; another has used all"
                        : "");
    }
}

/* --- What happened beside it ---------------------------------------------- */

static int
by_window(const void *a, const void *b)
{
    const struct evidence_window *x = a, *y = b;

    if (x->link != y->link) {
        return x->link < y->link ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

/* The first of a link. */
static size_t
windows_of(const struct evidence_facts *f, uint32_t link)
{
    const struct evidence_window wanted = {.link = link, .id = INT64_MIN};
    size_t from = 0, until = f->window_count;

    while (from < until) {
        size_t middle = from + (until - from) / 2;
        if (by_window(&f->windows[middle], &wanted) < 0) {
            from = middle + 1;
        } else {
            until = middle;
        }
    }
    return from;
}

static void
maintenance(const struct evidence *e)
{
    const struct extent_list *links = list_of(e, EXTENT_LINK);
    int64_t told[EACH_MAX];
    size_t count = 0;
    char end[40];

    for (size_t i = 0; i < links->count; i++) {
        const uint32_t link = links->at[i].index;
        for (size_t n = windows_of(e->f, link);
             n < e->f->window_count && e->f->windows[n].link == link && count < EACH_MAX; n++) {
            const struct evidence_window *w = &e->f->windows[n];
            bool known = false;
            for (size_t k = 0; k < count; k++) {
                known = known || told[k] == w->id;
            }
            if (known) {
                continue;
            }
            told[count++] = w->id;
            cJSON *item = add(e, "maintenance", "maintenance %" PRId64 " of link %s %s %s", w->id,
                              reach_link(e->r, link)->key, w->runs ? "runs until" : "ended at",
                              instant_format(w->end, 0, end, sizeof end));
            cJSON_AddNumberToObject(item, "maintenance", (double)w->id);
        }
    }
}

static int
by_link(const void *a, const void *b)
{
    const struct evidence_event *x = a, *y = b;

    if (x->link != y->link) {
        return x->link < y->link ? -1 : 1;
    }
    return x->at.ns < y->at.ns ? -1 : x->at.ns > y->at.ns;
}

/* A delay that changed with the number of hops: the way is another. */
static void
re_route(const struct evidence *e)
{
    const struct extent_list *links = list_of(e, EXTENT_LINK);
    char at[40];

    for (size_t i = 0, told = 0; e->p->what == SYMPTOM_DELAY && i < links->count && told < EACH_MAX;
         i++) {
        const struct evidence_event wanted = {.link = links->at[i].index,
                                              .at = {e->p->began.ns - REROUTE_BEFORE_NS}};
        size_t from = 0, until = e->f->event_count;
        while (from < until) {
            size_t middle = from + (until - from) / 2;
            if (by_link(&e->f->events[middle], &wanted) < 0) {
                from = middle + 1;
            } else {
                until = middle;
            }
        }
        if (from < e->f->event_count && e->f->events[from].link == links->at[i].index) {
            const struct evidence_event *v = &e->f->events[from];
            cJSON *item =
                add(e, "re_route",
                    "link %s is re-routed: received TTL %" PRId64 " instead of %" PRId64
                    "%s%s since %s",
                    reach_link(e->r, v->link)->key, v->to, v->from, *v->direction ? ", " : "",
                    v->direction, instant_format(v->at, 0, at, sizeof at));
            cJSON_AddStringToObject(item, "link", reach_link(e->r, v->link)->key);
            told++;
        }
    }
}

/* --- All of it ------------------------------------------------------------ */

typedef void evidence_fn(const struct evidence *e);
static evidence_fn *const kinds[] = {re_route,    other_classes, other_direction, paths,
                                     send_errors, members,       same_risk,       ends,
                                     maintenance, budget};

void
evidence_sort(struct evidence_facts *f)
{
    if (f->event_count) {
        qsort(f->events, f->event_count, sizeof *f->events, by_link);
    }
    if (f->budget_count) {
        qsort(f->budgets, f->budget_count, sizeof *f->budgets, by_service);
    }
    if (f->window_count) {
        qsort(f->windows, f->window_count, sizeof *f->windows, by_window);
    }
}

cJSON *
evidence_find(const struct evidence_facts *f, const struct reach *r, const struct problem *p)
{
    const struct extent_list *links = &p->extent.lists[EXTENT_LINK];
    const struct evidence e = {.f = f,
                               .r = r,
                               .p = p,
                               .link = links->count == 1 ? reach_link(r, links->at[0].index) : NULL,
                               .list = cJSON_CreateArray()};

    for (size_t i = 0; e.list && i < sizeof kinds / sizeof kinds[0]; i++) {
        kinds[i](&e);
    }
    return e.list;
}
