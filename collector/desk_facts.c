/* desk_facts.c - what else is known of the problems that are to be told: brings it together for
 * evidence.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk_parts.h"

#define BEFORE_NS (600 * NS_PER_S)

static void
empty(struct evidence_facts *f)
{
    free(f->events);
    free(f->budgets);
    free(f->sources);
    f->events = NULL;
    f->budgets = NULL;
    f->sources = NULL;
    f->event_count = f->budget_count = 0;
}

void
table_fini_facts(struct table *t)
{
    empty(&t->facts);
    free(t->facts.windows);
    t->facts.windows = NULL;
}

static int
take_event(const struct deskstore_event *d, void *aux)
{
    struct table *t = aux;
    struct evidence_facts *f = &t->facts;
    uint32_t link = extent_index(t->reach, EXTENT_LINK, d->link);
    struct evidence_event *events = reallocarray(f->events, f->event_count + 1, sizeof *events);

    if (!events) {
        return -ENOMEM;
    }
    f->events = events;
    if (link != REACH_NONE) {
        struct evidence_event *e = &f->events[f->event_count++];
        *e = (struct evidence_event){.link = link, .at = d->at, .from = d->from, .to = d->to};
        snprintf(e->direction, sizeof e->direction, "%s", d->direction);
    }
    return 0;
}

static int
take_budget(const struct deskstore_budget *d, void *aux)
{
    struct table *t = aux;
    struct evidence_facts *f = &t->facts;
    uint32_t service = extent_index(t->reach, EXTENT_SERVICE, d->service);
    struct evidence_budget *budgets =
        reallocarray(f->budgets, f->budget_count + 1, sizeof *budgets);

    if (!budgets) {
        return -ENOMEM;
    }
    f->budgets = budgets;
    if (service != REACH_NONE) {
        struct evidence_budget *b = &f->budgets[f->budget_count++];
        *b = (struct evidence_budget){.service = service, .used = d->used, .budget = d->budget};
        snprintf(b->class_, sizeof b->class_, "%s", d->class_);
        snprintf(b->metric, sizeof b->metric, "%s", d->metric);
    }
    return 0;
}

static int
take_source(const struct deskstore_source *d, void *aux)
{
    struct table *t = aux;
    uint32_t probe = extent_index(t->reach, EXTENT_PROBE, d->probe);

    if (probe != REACH_NONE) {
        t->facts.sources[probe].committed = d->committed;
        t->facts.sources[probe].closed = d->closed;
    }
    return 0;
}

static void
find_probes(struct table *t)
{
    for (const struct symptom *s = t->symptoms; s; s = s->hh.next) {
        if (s->scope != SYMPTOM_PROBE || s->place == REACH_NONE || !symptom_is_raised(s)) {
            continue;
        }
        struct evidence_source *p = &t->facts.sources[s->place - t->reach->links];
        if (s->what == SYMPTOM_SILENCE) {
            p->silence = s;
        } else if (s->what == SYMPTOM_CLOCK) {
            p->clock = s;
        }
    }
}

static void
add_keys(const struct table *t, cJSON *to, const struct problem *p, enum extent_kind kind)
{
    for (size_t i = 0; i < p->extent.lists[kind].count; i++) {
        const char *key = extent_key(t->reach, kind, p->extent.lists[kind].at[i].index);
        cJSON_AddItemToArray(to, cJSON_CreateString(key));
    }
}

/* Asks once for all of them. */
static int
bring(struct table *t)
{
    cJSON *links = cJSON_CreateArray(), *services = cJSON_CreateArray();
    struct instant since = t->now;
    int err = 0;

    empty(&t->facts);
    t->facts.now = t->now;
    t->facts.down = t->down;
    t->facts.sources = calloc((size_t)t->reach->probes + 1, sizeof *t->facts.sources);
    for (const struct problem *p = t->problems; p; p = p->hh.next) {
        if (!p->look) {
            continue;
        }
        add_keys(t, services, p, EXTENT_SERVICE);
        if (p->what == SYMPTOM_DELAY) {
            add_keys(t, links, p, EXTENT_LINK);
            since = p->began.ns < since.ns ? p->began : since;
        }
    }
    since.ns -= BEFORE_NS;
    if (!links || !services || !t->facts.sources) {
        err = -ENOMEM;
    }
    if (!err && cJSON_GetArraySize(links)) {
        err = deskstore_events(&t->store, links, since, take_event, t);
    }
    if (!err && cJSON_GetArraySize(services)) {
        err = deskstore_budgets(&t->store, services, take_budget, t);
    }
    err = err ? err : deskstore_sources(&t->store, take_source, t);
    cJSON_Delete(links);
    cJSON_Delete(services);
    return err;
}

/* It is told now: what is held is not, however long. */
static bool
is_due(const struct table *t, const struct problem *p)
{
    char buf[48];

    return problem_due(p, t->now, t->config->gather) != PROBLEM_NOTHING &&
           !problem_is_held(p, t->reach, t->window, buf, sizeof buf);
}

int
table_find_evidence(struct table *t)
{
    bool any = false;

    for (struct problem *p = t->problems; p; p = p->hh.next) {
        p->look = p->state == PROBLEM_OPEN && (!p->evidence || is_due(t, p));
        any = any || p->look;
    }
    int err = any ? bring(t) : 0;
    if (err || !any) {
        return err;
    }
    find_probes(t);
    evidence_sort(&t->facts);
    for (struct problem *p = t->problems; p; p = p->hh.next) {
        if (p->look) {
            cJSON_Delete(p->evidence);
            p->evidence = evidence_find(&t->facts, t->reach, p);
            p->changed = true;
            if (!p->evidence) {
                return -ENOMEM;
            }
        }
    }
    return 0;
}
