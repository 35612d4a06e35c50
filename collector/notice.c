/* notice.c - who is told, and the event. */
#include "notice.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX 200

/* --- What is the same for all --------------------------------------------- */

static int
by_place(const void *a, const void *b)
{
    const struct symptom *x = *(const struct symptom *const *)a;
    const struct symptom *y = *(const struct symptom *const *)b;

    if (x->place != y->place) {
        return x->place < y->place ? -1 : 1;
    }
    if (symptom_is_raised(x) != symptom_is_raised(y)) {
        return symptom_is_raised(x) ? -1 : 1;
    }
    if (x->severity != y->severity) {
        return x->severity < y->severity ? -1 : 1;
    }
    return x->id < y->id ? -1 : x->id > y->id;
}

int
notice_init(struct notice *n, const struct notice_context *c, const struct problem *p)
{
    *n = (struct notice){.c = c, .p = p};
    n->symptoms = calloc(p->symptom_count + 1, sizeof(void *));
    if (!n->symptoms) {
        return -ENOMEM;
    }
    for (const struct symptom *s = p->symptoms; s; s = s->next) {
        if (s->scope == SYMPTOM_LINK && s->place != REACH_NONE) {
            n->symptoms[n->symptom_count++] = s;
        }
    }
    qsort(n->symptoms, n->symptom_count, sizeof(void *), by_place);
    notice_title(n, n->title, sizeof n->title);
    return 0;
}

void
notice_fini(struct notice *n)
{
    free(n->symptoms);
    n->symptoms = NULL;
}

size_t
notice_next_link(const struct notice *n, size_t from)
{
    size_t until = from + 1;

    while (until < n->symptom_count && n->symptoms[until]->place == n->symptoms[from]->place) {
        until++;
    }
    return until;
}

/* --- Who wants it --------------------------------------------------------- */

static const struct inv_service *
service_at(const struct notice *n, const struct extent_item *i)
{
    return &n->c->reach->inv->services[i->index];
}

static const struct extent_list *
list_of(const struct notice *n, enum extent_kind kind)
{
    return &n->p->extent.lists[kind];
}

static bool
has_labels(const struct inv_labels *has, const struct inv_labels *wanted)
{
    size_t found = 0;

    for (size_t i = 0; i < wanted->count; i++) {
        for (size_t k = 0; k < has->count; k++) {
            found += !strcmp(has->list[k].name, wanted->list[i].name) &&
                     !strcmp(has->list[k].value, wanted->list[i].value);
        }
    }
    return found == wanted->count;
}

/* A tenant's hook goes by his services only: by what it hears he could else find out what is said
 * of links. */
static bool
labels_match(const struct notice *n, const struct inv_hook *h)
{
    const struct extent_list *links = list_of(n, EXTENT_LINK);
    const struct extent_list *services = list_of(n, EXTENT_SERVICE);
    bool match = h->labels.count == 0;

    for (size_t i = 0; i < links->count && !match && !h->tenant_view; i++) {
        match = has_labels(&reach_link(n->c->reach, links->at[i].index)->labels, &h->labels);
    }
    for (size_t i = 0; i < services->count && !match; i++) {
        const struct inv_service *s = service_at(n, &services->at[i]);
        match = (!h->tenant || h->tenant == s->tenant) && has_labels(&s->labels, &h->labels);
    }
    return match;
}

static const struct extent_item *
tenant_item(const struct notice *n, const struct inv_tenant *t)
{
    return extent_find(&n->p->extent, EXTENT_TENANT, (uint32_t)(t - n->c->reach->inv->tenants));
}

bool
notice_is_wanted(const struct notice *n, const struct inv_hook *h)
{
    return h->state == INV_ACTIVE && (!h->severities || h->severities & 1u << n->p->severity) &&
           (!h->causes || h->causes & 1u << n->p->kind) &&
           (!h->tenant || tenant_item(n, h->tenant)) && labels_match(n, h);
}

bool
notice_is_open(const struct notice *n, const struct inv_hook *h)
{
    const struct extent_item *t = h->tenant ? tenant_item(n, h->tenant) : NULL;

    return n->p->state == PROBLEM_OPEN && (!h->tenant || (t && t->now));
}

/* --- The event ------------------------------------------------------------ */

static void
add_instant(cJSON *to, const char *name, struct instant i)
{
    char text[40];

    if (i.ns) {
        cJSON_AddStringToObject(to, name, instant_format(i, 3, text, sizeof text));
    } else {
        cJSON_AddNullToObject(to, name);
    }
}

static void
add_labels(cJSON *to, const struct inv_labels *labels)
{
    cJSON *object = cJSON_AddObjectToObject(to, "labels");

    for (size_t i = 0; i < labels->count; i++) {
        cJSON_AddStringToObject(object, labels->list[i].name, labels->list[i].value);
    }
}

static cJSON *
add_item(cJSON *list, const char *key, const char *label)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "key", key);
    if (label) {
        cJSON_AddStringToObject(item, "label", label);
    }
    cJSON_AddItemToArray(list, item);
    return item;
}

static const char *
label_or_key(const char *label, const char *key)
{
    return label ? label : key;
}

/* Those that are bad come first: where the list is cut, they stay. */
static void
add_links(const struct notice *n, cJSON *event)
{
    cJSON *list = cJSON_AddArrayToObject(event, "links");
    int count = 0;

    for (int bad = 1; bad >= 0; bad--) {
        for (size_t i = 0, next; i < n->symptom_count && count < LIST_MAX; i = next) {
            const struct inv_link *l = reach_link(n->c->reach, n->symptoms[i]->place);
            char text[512];
            next = notice_next_link(n, i);
            if (symptom_is_raised(n->symptoms[i]) != (bad == 1)) {
                continue;
            }
            cJSON *item = add_item(list, l->key, label_or_key(l->label, l->key));
            add_labels(item, &l->labels);
            cJSON_AddBoolToObject(item, "bad", bad == 1);
            notice_link_text(n, i, next, text, sizeof text);
            cJSON_AddStringToObject(item, "text", text);
            count++;
        }
    }
}

static void
add_keys(const struct notice *n, cJSON *event, enum extent_kind kind, const char *name)
{
    const struct extent_list *items = list_of(n, kind);
    cJSON *list = cJSON_AddArrayToObject(event, name);
    int count = 0;

    for (int bad = 1; bad >= 0; bad--) {
        for (size_t i = 0; i < items->count && count < LIST_MAX; i++) {
            if (items->at[i].bad == (bad == 1)) {
                cJSON *item =
                    add_item(list, extent_key(n->c->reach, kind, items->at[i].index), NULL);
                cJSON_AddBoolToObject(item, "bad", bad == 1);
                count++;
            }
        }
    }
}

/* Of one tenant, or (NULL) of all; how many there are. */
static size_t
add_services(const struct notice *n, cJSON *event, const struct inv_tenant *of)
{
    const struct extent_list *items = list_of(n, EXTENT_SERVICE);
    cJSON *list = cJSON_AddArrayToObject(event, "services");
    size_t count = 0;

    for (int bad = 1; bad >= 0; bad--) {
        for (size_t i = 0; i < items->count; i++) {
            const struct inv_service *s = service_at(n, &items->at[i]);
            if (items->at[i].bad != (bad == 1) || (of && s->tenant != of) || ++count > LIST_MAX) {
                continue;
            }
            cJSON *item = add_item(list, s->key, label_or_key(s->label, s->key));
            cJSON_AddStringToObject(item, "tenant", s->tenant->key);
            add_labels(item, &s->labels);
            cJSON_AddBoolToObject(item, "bad", bad == 1);
        }
    }
    return count;
}

static size_t
add_tenants(const struct notice *n, cJSON *event, const struct inv_tenant *of)
{
    const struct extent_list *items = list_of(n, EXTENT_TENANT);
    cJSON *list = cJSON_AddArrayToObject(event, "tenants");
    size_t count = 0;

    for (size_t i = 0; i < items->count; i++) {
        const struct inv_tenant *t = &n->c->reach->inv->tenants[items->at[i].index];
        if ((!of || t == of) && ++count <= LIST_MAX) {
            add_item(list, t->key, label_or_key(t->label, t->key));
        }
    }
    return count;
}

static const char *
cause_label(const struct notice *n)
{
    const struct reach *r = n->c->reach;
    const struct problem *p = n->p;
    uint32_t c = reach_candidate(r, p->kind, p->key);
    const struct inv_link *l = p->kind == INV_CAUSE_LINK ? inventory_link(r->inv, p->key) : NULL;
    const struct inv_service *s =
        p->kind == INV_CAUSE_SERVICE ? inventory_service(r->inv, p->key) : NULL;

    if (c != REACH_NONE) {
        return r->candidates[c].label;
    }
    return l ? label_or_key(l->label, p->key) : s ? label_or_key(s->label, p->key) : p->key;
}

static void
add_cause(const struct notice *n, cJSON *event, bool tenant)
{
    cJSON *cause = cJSON_AddObjectToObject(event, "cause");
    static const char *const why[] = {
        [INV_CAUSE_LINK] = "no other link shows the same at the same time",
        [INV_CAUSE_RISK] = "all measured links that share this risk went",
        [INV_CAUSE_ROUTER] = "all measured links of this router went",
        [INV_CAUSE_PROBE] = "it is this probe that says so, or all links measured to it went",
        [INV_CAUSE_SITE] = "all measured links of this site went",
        [INV_CAUSE_SERVICE] = "it is of this service alone"};

    cJSON_AddStringToObject(cause, "kind", reach_cause_name(n->p->kind));
    cJSON_AddStringToObject(cause, "key", tenant ? "" : n->p->key);
    if (!tenant) {
        cJSON_AddStringToObject(cause, "label", cause_label(n));
    }
    cJSON_AddStringToObject(cause, "text", tenant ? "in the provider's network" : why[n->p->kind]);
}

/* Each rule once, the worst first. */
static void
add_rules(const struct notice *n, cJSON *event)
{
    cJSON *rules = cJSON_AddArrayToObject(event, "rules");
    int count = 0;

    for (unsigned severity = 0; severity < INV_SEVERITIES; severity++) {
        for (const struct symptom *s = n->p->symptoms; s && count < 20; s = s->next) {
            bool there = (unsigned)s->severity != severity;
            const cJSON *rule;
            cJSON_ArrayForEach(rule, rules)
            {
                there = there || !strcmp(cJSON_GetStringValue(rule), s->rule);
            }
            if (!there) {
                cJSON_AddItemToArray(rules, cJSON_CreateString(s->rule));
                count++;
            }
        }
    }
}

static void
add_changes(const struct notice *n, cJSON *event)
{
    cJSON *changes = cJSON_AddArrayToObject(event, "changes");

    for (size_t i = 0; i < n->p->change_count; i++) {
        cJSON_AddItemToArray(changes, cJSON_CreateString(n->p->changes[i]));
    }
}

static void
add_ack(const struct notice *n, cJSON *event)
{
    if (!problem_is_acknowledged(n->p, n->c->now)) {
        cJSON_AddNullToObject(event, "acknowledged");
        return;
    }
    cJSON *ack = cJSON_AddObjectToObject(event, "acknowledged");
    cJSON_AddStringToObject(ack, "by", n->p->ack.by);
    cJSON_AddStringToObject(ack, "note", n->p->ack.note ? n->p->ack.note : "");
    add_instant(ack, "until", n->p->ack.until);
}

/* What every view has. */
static void
add_head(const struct notice *n, cJSON *event, const struct inv_hook *h, const char *action)
{
    const struct problem *p = n->p;
    bool open = notice_is_open(n, h);
    char id[64];

    snprintf(id, sizeof id, "%s-%" PRId64, n->c->installation, p->id);
    cJSON_AddStringToObject(event, "id", id);
    cJSON_AddNumberToObject(event, "number", (double)p->id);
    cJSON_AddNumberToObject(event, "revision", p->revision);
    cJSON_AddStringToObject(event, "installation", n->c->installation);
    cJSON_AddStringToObject(event, "action", action);
    add_instant(event, "at", n->c->now);
    cJSON_AddStringToObject(event, "state", open ? "open" : "ended");
    cJSON_AddStringToObject(event, "severity", symptom_severity_name(p->severity));
    cJSON_AddStringToObject(event, "what", symptom_what_name(p->what));
    add_instant(event, "began", p->began);
    add_instant(event, "ended", open ? instant_of_ns(0) : p->ended.ns != 0 ? p->ended : n->c->now);
}

static void
add_counts(cJSON *event, size_t links, size_t bad, size_t services, size_t tenants, size_t alarms)
{
    cJSON *counts = cJSON_AddObjectToObject(event, "counts");

    cJSON_AddNumberToObject(counts, "links", (double)links);
    cJSON_AddNumberToObject(counts, "links_bad", (double)bad);
    cJSON_AddNumberToObject(counts, "services", (double)services);
    cJSON_AddNumberToObject(counts, "tenants", (double)tenants);
    cJSON_AddNumberToObject(counts, "alarms", (double)alarms);
}

static void
add_operator(const struct notice *n, cJSON *event)
{
    const struct problem *p = n->p;
    char *text = notice_text(n);

    cJSON_AddStringToObject(event, "title", n->title);
    cJSON_AddStringToObject(event, "text", text ? text : n->title);
    free(text);
    add_rules(n, event);
    add_cause(n, event, false);
    add_links(n, event);
    add_keys(n, event, EXTENT_PROBE, "probes");
    add_keys(n, event, EXTENT_GROUP, "groups");
    size_t services = add_services(n, event, NULL);
    size_t tenants = add_tenants(n, event, NULL);
    add_counts(event, list_of(n, EXTENT_LINK)->count, extent_bad(&p->extent, EXTENT_LINK), services,
               tenants, p->symptom_count);
    cJSON_AddItemToObject(event, "evidence",
                          p->evidence ? cJSON_Duplicate(p->evidence, true) : cJSON_CreateArray());
    add_changes(n, event);
    add_ack(n, event);
}

/* Nothing of the provider's network, nor of what people there wrote. */
static void
add_tenant(const struct notice *n, cJSON *event, const struct inv_tenant *t)
{
    char title[512];
    char *text = notice_tenant_text(n, t, title, sizeof title);

    cJSON_AddStringToObject(event, "title", title);
    cJSON_AddStringToObject(event, "text", text ? text : title);
    free(text);
    cJSON_AddArrayToObject(event, "rules");
    add_cause(n, event, true);
    cJSON_AddArrayToObject(event, "links");
    cJSON_AddArrayToObject(event, "probes");
    cJSON_AddArrayToObject(event, "groups");
    size_t services = add_services(n, event, t);
    size_t tenants = add_tenants(n, event, t);
    add_counts(event, 0, 0, services, tenants, 0);
    cJSON_AddArrayToObject(event, "evidence");
    cJSON_AddArrayToObject(event, "changes");
    cJSON_AddNullToObject(event, "acknowledged");
}

cJSON *
notice_event(const struct notice *n, const struct inv_hook *h, const char *action)
{
    cJSON *event = cJSON_CreateObject();

    if (!event) {
        return NULL;
    }
    add_head(n, event, h, action);
    if (h->tenant_view && h->tenant) {
        add_tenant(n, event, h->tenant);
    } else {
        add_operator(n, event);
    }
    return event;
}

static void
mix(uint64_t *print, const char *text)
{
    for (; text && *text; text++) {
        *print = (*print ^ (unsigned char)*text) * UINT64_C(1099511628211);
    }
    *print = (*print ^ 0xff) * UINT64_C(1099511628211);
}

uint64_t
notice_print(const cJSON *event)
{
    uint64_t print = UINT64_C(14695981039346656037);
    const cJSON *service;

    mix(&print, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(event, "severity")));
    cJSON_ArrayForEach(service, cJSON_GetObjectItemCaseSensitive(event, "services"))
    {
        mix(&print, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(service, "key")));
        mix(&print, cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(service, "bad")) ? "bad" : "");
    }
    return print;
}
