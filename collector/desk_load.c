/* desk_load.c - from the tables onto the desk. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk_parts.h"
#include "log.h"
#include "phrase.h"

#define NEWS_AT_ONCE 5000
/* Collectors get a new inventory one by one: what one does not know another may. */
#define UNKNOWN_AFTER_NS (60 * NS_PER_S)

/* --- Alarms --------------------------------------------------------------- */

static struct symptom *
find_symptom(const struct table *t, int64_t id)
{
    struct symptom *s;

    HASH_FIND(hh, t->symptoms, &id, sizeof id, s);
    return s;
}

static struct problem *
find_problem(const struct table *t, int64_t id)
{
    struct problem *p;

    HASH_FIND(hh, t->problems, &id, sizeof id, p);
    return p;
}

static int
want(struct table *t, int64_t problem)
{
    if (t->wanted_count == t->wanted_room) {
        size_t room = t->wanted_room ? 2 * t->wanted_room : 64;
        int64_t *wanted = reallocarray(t->wanted, room, sizeof *wanted);
        if (!wanted) {
            return -ENOMEM;
        }
        t->wanted = wanted;
        t->wanted_room = room;
    }
    t->wanted[t->wanted_count++] = problem;
    return 0;
}

/* It is over because nobody watches it any more, which is no good news: so it is told why. */
static int
note_gone(struct table *t, struct symptom *s, const char *why)
{
    struct problem *p = s->problem;
    char text[PHRASE_SIZE];

    if (!p) {
        return 0;
    }
    snprintf(text, sizeof text, "%s of %s %s: %s", s->rule, symptom_scope_name(s->scope), s->object,
             why);
    int err = problem_step(p, PROBLEM_STEP_NARROWED, t->now, "%s", text);
    return err || !p->told ? err : problem_change(p, t->now, text);
}

/* What may be another than it was. */
static int
refresh(struct table *t, struct symptom *s, const struct deskstore_alarm *a, bool known)
{
    bool ends = known && symptom_is_raised(s) && a->cleared.ns;

    s->began = a->began;
    s->raised = a->raised;
    s->cleared = a->cleared;
    s->ended = a->ended;
    s->flaps = a->flaps;
    if (s->problem) {
        s->problem->touched = true;
    }
    int err = symptom_read_details(s, a->details);
    return err || !ends || !s->gone ? err : note_gone(t, s, s->gone);
}

static int
add_symptom(struct table *t, const struct deskstore_alarm *a, struct symptom **out)
{
    enum inv_severity severity;
    enum symptom_scope scope;

    *out = NULL;
    if (!symptom_severity_parse(a->severity, &severity) || !symptom_scope_parse(a->scope, &scope)) {
        counter_add(&t->counters[DESK_BAD_ROWS], 1);
        return 0;
    }
    struct symptom *s = symptom_new(a->rule, a->metric, a->object, a->class_, a->observer);
    if (!s) {
        return -ENOMEM;
    }
    s->id = a->id;
    s->source_id = a->source_id;
    s->severity = severity;
    s->scope = scope;
    s->recorded = a->recorded;
    s->place = reach_place(t->reach, scope, s->object);
    HASH_ADD(hh, t->symptoms, id, sizeof s->id, s);
    *out = s;
    return 0;
}

/* One row, known or not. */
static int
take_alarm(const struct deskstore_alarm *a, void *aux)
{
    struct table *t = aux;
    struct symptom *s = find_symptom(t, a->id);
    bool known = s;
    int err = s ? 0 : add_symptom(t, a, &s);

    if (err || !s) {
        return err;
    }
    err = refresh(t, s, a, known);
    if (!err && !s->problem && a->problem) {
        struct problem *p = find_problem(t, a->problem);
        if (!p) {
            return want(t, a->problem);
        }
        problem_join(p, s);
        s->is_new = false;
    }
    return err;
}

/* --- Problems ------------------------------------------------------------- */

static enum problem_state
state_of(const char *text)
{
    return !strcmp(text, "open")    ? PROBLEM_OPEN
           : !strcmp(text, "ended") ? PROBLEM_ENDED
                                    : PROBLEM_MERGED;
}

static int
take_problem(const struct deskstore_problem *d, void *aux)
{
    struct table *t = aux;
    enum inv_cause kind;

    if (find_problem(t, d->id) || !reach_cause_parse(d->kind, &kind)) {
        return 0;
    }
    struct problem *p = problem_new(kind, d->key, d->opened);
    if (!p) {
        return -ENOMEM;
    }
    p->id = d->id;
    p->state = state_of(d->state);
    symptom_severity_parse(d->severity, &p->severity);
    symptom_what_parse(d->what, &p->what);
    p->title = strdup(d->title);
    p->held = d->held ? strdup(d->held) : NULL;
    p->began = d->began;
    p->ended = d->ended;
    p->closed = d->closed;
    p->revision = d->revision;
    p->reopened = d->reopened;
    p->merged_into = d->merged_into;
    p->evidence = cJSON_Parse(d->evidence);
    p->changed = false;
    /* What it has of alarms may be newer than its last review. */
    p->touched = p->state == PROBLEM_OPEN;
    HASH_ADD(hh, t->problems, id, sizeof p->id, p);
    return p->title ? 0 : -ENOMEM;
}

static int
take_object(const struct deskstore_object *o, void *aux)
{
    struct table *t = aux;
    struct problem *p = find_problem(t, o->problem);

    for (int k = 0; p && k < EXTENT_KINDS; k++) {
        const enum extent_kind kind = (enum extent_kind)k;
        uint32_t index = !strcmp(o->kind, extent_kind_name(kind))
                             ? extent_index(t->reach, kind, o->key)
                             : REACH_NONE;
        const struct extent_item item = {.index = index, .now = o->bad, .bad = o->bad};
        if (index != REACH_NONE) {
            int err = extent_add(&p->written, kind, item);
            return err ? err : extent_add(&p->extent, kind, item);
        }
    }
    return 0;
}

/* The steps say what was told, and what was not. */
static int
take_step(const struct deskstore_step *d, void *aux)
{
    struct table *t = aux;
    struct problem *p = find_problem(t, d->problem);
    const char *what = d->what;

    if (!p || p->state != PROBLEM_OPEN) {
        return 0;
    }
    if (!strcmp(what, "told")) {
        /* A reminder, or that a tenant's services are good again, tells nothing of what changed. */
        if (strstr(d->text, "open:") || strstr(d->text, "change:")) {
            problem_was_told(p);
        }
    } else if (!strcmp(what, "opened") || !strcmp(what, "reopened")) {
        problem_was_told(p);
        p->told = false;
        p->untold_first = p->untold_last = *what == 'r' ? d->at : instant_of_ns(0);
    } else if (p->told && (!strcmp(what, "joined") || !strcmp(what, "narrowed") ||
                           !strcmp(what, "worsened"))) {
        return problem_change(p, d->at, d->text);
    }
    return 0;
}

static int
take_heard(const struct deskstore_heard *d, void *aux)
{
    struct table *t = aux;
    struct problem *p = find_problem(t, d->problem);
    const char *hook = NULL;

    for (size_t i = 0; i < t->inventory->hook_count && !hook; i++) {
        hook = strcmp(t->inventory->hooks[i].key, d->hook) ? NULL : t->inventory->hooks[i].key;
    }
    if (!p || !hook) {
        return 0;
    }
    struct problem_heard *h = problem_hear(p, hook);
    cJSON *event = cJSON_Parse(d->event);
    if (h) {
        h->open = strcmp(d->action, "resolve") != 0;
        h->at = d->at;
        h->print = notice_print(event);
    }
    cJSON_Delete(event);
    return h ? 0 : -ENOMEM;
}

/* What hangs on these problems. */
static int
load_details(struct table *t, const int64_t *ids, size_t count)
{
    int err = deskstore_objects(&t->store, ids, count, take_object, t);

    for (size_t i = 0; i < count && !err; i++) {
        struct problem *p = find_problem(t, ids[i]);
        if (p) {
            extent_sort(&p->extent);
            extent_sort(&p->written);
        }
    }
    err = err ? err : deskstore_steps(&t->store, ids, count, take_step, t);
    err = err ? err : deskstore_heard(&t->store, ids, count, take_heard, t);
    return err ? err : deskstore_alarms_of(&t->store, ids, count, take_alarm, t);
}

int
table_compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

/* Problems that were over for long, and of which an alarm is back. */
static int
load_wanted(struct table *t)
{
    size_t count = 0;

    if (!t->wanted_count) {
        return 0;
    }
    qsort(t->wanted, t->wanted_count, sizeof *t->wanted, table_compare_ids);
    for (size_t i = 0; i < t->wanted_count; i++) {
        if (count == 0 || t->wanted[count - 1] != t->wanted[i]) {
            t->wanted[count++] = t->wanted[i];
        }
    }
    t->wanted_count = 0;
    int err = deskstore_problems_of(&t->store, t->wanted, count, take_problem, t);
    err = err ? err : load_details(t, t->wanted, count);
    for (size_t i = 0; i < count && !err; i++) {
        struct problem *p = find_problem(t, t->wanted[i]);
        if (p) {
            p->touched = true;
        }
    }
    return err;
}

int
table_load(struct table *t)
{
    size_t count = 0;

    t->reach = reach_new(t->inventory);
    t->rules = inventory_alarms_in_force(t->inventory, &t->rule_count);
    t->down = calloc(t->inventory->link_count + 1, sizeof *t->down);
    t->window = calloc(t->inventory->link_count + 1, sizeof *t->window);
    if (!t->reach || !t->rules || !t->down || !t->window) {
        return -ENOMEM;
    }
    int err = deskstore_installation(&t->store, t->installation, sizeof t->installation);
    err = err ? err : deskstore_problems(&t->store, t->config->hold, take_problem, t);
    unsigned all = HASH_COUNT(t->problems);
    int64_t *ids = calloc((size_t)all + 1, sizeof *ids);
    if (!err && !ids) {
        err = -ENOMEM;
    }
    for (struct problem *p = t->problems; p && !err; p = p->hh.next) {
        ids[count++] = p->id;
    }
    err = err || !count ? err : load_details(t, ids, count);
    free(ids);
    err = err ? err : deskstore_alarms(&t->store, take_alarm, t);
    return err ? err : load_wanted(t);
}

void
table_fini(struct table *t)
{
    struct problem *p, *next_p;
    struct symptom *s, *next_s;

    HASH_ITER(hh, t->problems, p, next_p)
    {
        HASH_DEL(t->problems, p);
        problem_free(p);
    }
    for (size_t i = 0; i < t->fresh_count; i++) {
        problem_free(t->fresh[i]);
    }
    HASH_ITER(hh, t->symptoms, s, next_s)
    {
        HASH_DEL(t->symptoms, s);
        symptom_free(s);
    }
    deskstore_batch_fini(&t->batch);
    reach_free(t->reach);
    free(t->fresh);
    free(t->rules);
    free(t->down);
    free(t->window);
    table_fini_facts(t);
    free(t->wanted);
    deskstore_fini(&t->store);
    *t = (struct table){0};
}

int
table_take_news(struct table *t, size_t *taken)
{
    int err = deskstore_now(&t->store, &t->now);

    err = err ? err : deskstore_news(&t->store, NEWS_AT_ONCE, take_alarm, t, taken);
    if (!err) {
        counter_add(&t->counters[DESK_NEWS], *taken);
    }
    return err ? err : load_wanted(t);
}

/* --- Each second ---------------------------------------------------------- */

static int
add_window(struct table *t, const struct deskstore_window *w, uint32_t link)
{
    struct evidence_facts *f = &t->facts;
    struct evidence_window *windows =
        reallocarray(f->windows, f->window_count + 1, sizeof *windows);

    if (!windows) {
        return -ENOMEM;
    }
    f->windows = windows;
    f->windows[f->window_count++] =
        (struct evidence_window){w->id, link, w->start, w->end, w->runs, w->silences};
    if (w->runs && w->silences) {
        t->window[link] = w->id;
    }
    return 0;
}

static int
add_group_window(struct table *t, const struct deskstore_window *w, const struct inv_group *g)
{
    int err = 0;

    for (size_t i = 0; g && i < g->member_count && !err; i++) {
        const struct inv_ref *m = &g->members[i];
        const struct inv_link *l = m->attachment ? m->attachment->test : m->link;
        err = l ? add_window(t, w, (uint32_t)(l - t->inventory->links)) : 0;
    }
    return err;
}

/* A window of one tenant alone silences nothing: others are sold over the same. */
static int
take_window(const struct deskstore_window *w, void *aux)
{
    struct table *t = aux;
    const struct inventory *inv = t->inventory;
    int err = 0;

    if (w->tenant) {
        return 0;
    }
    if (!strcmp(w->kind, "link") || !strcmp(w->kind, "attachment")) {
        const struct inv_link *l = inventory_link(inv, w->key);
        return l ? add_window(t, w, (uint32_t)(l - inv->links)) : 0;
    }
    if (!strcmp(w->kind, "group")) {
        return add_group_window(t, w, inventory_group(inv, w->key));
    }
    const struct inv_service *s =
        strcmp(w->kind, "service") ? NULL : inventory_service(inv, w->key);
    for (size_t i = 0; s && i < s->over_count && !err; i++) {
        err = s->over[i].link ? add_window(t, w, (uint32_t)(s->over[i].link - inv->links))
                              : add_group_window(t, w, s->over[i].group);
    }
    return err;
}

static int
take_ack(const struct deskstore_ack *a, void *aux)
{
    struct table *t = aux;
    struct problem *p = find_problem(t, a->problem);

    if (!p || p->ack.by) {
        return 0;
    }
    p->ack.by = strdup(a->by);
    p->ack.note = strdup(a->note);
    p->ack.until = a->until;
    return p->ack.by && p->ack.note ? 0 : -ENOMEM;
}

/* Orphans, and what the inventory has no more. */
struct ends {
    int64_t *ids;
    size_t count, room;
};

static int
add_end(int64_t id, void *aux)
{
    struct ends *e = aux;

    if (e->count == e->room) {
        size_t room = e->room ? 2 * e->room : 64;
        int64_t *ids = reallocarray(e->ids, room, sizeof *ids);
        if (!ids) {
            return -ENOMEM;
        }
        e->ids = ids;
        e->room = room;
    }
    e->ids[e->count++] = id;
    return 0;
}

static int
end_alarms(struct table *t, const struct ends *e, const char *why)
{
    int err = e->count ? deskstore_end_alarms(&t->store, e->ids, e->count, why) : 0;

    for (size_t i = 0; i < e->count && !err; i++) {
        struct symptom *s = find_symptom(t, e->ids[i]);
        counter_add(&t->counters[DESK_ENDED_FOR], 1);
        if (!s) {
            continue;
        }
        s->cleared = t->now;
        s->ended = t->now;
        if (s->problem) {
            s->problem->touched = true;
            err = note_gone(t, s, why);
        }
    }
    return err;
}

static bool
has_class(const struct table *t, const struct symptom *s)
{
    bool has = s->scope != SYMPTOM_LINK || !*s->class_;

    for (size_t i = 0; !has && i < reach_link(t->reach, s->place)->class_count; i++) {
        has = !strcmp(reach_link(t->reach, s->place)->classes[i]->key, s->class_);
    }
    return has;
}

static bool
is_observed(const struct table *t, const struct symptom *s)
{
    return s->scope != SYMPTOM_LINK || !*s->observer ||
           inventory_link_sends(reach_link(t->reach, s->place), s->observer);
}

static bool
has_rule(const struct table *t, const struct symptom *s)
{
    bool has = false;

    for (size_t i = 0; !has && i < t->rule_count; i++) {
        has = !strcmp(t->rules[i]->key, s->rule);
    }
    return has;
}

enum gone { GONE_OBJECT, GONE_CLASS, GONE_OBSERVER, GONE_RULE, GONE_KINDS };

/* GONE_KINDS: it is all there. */
static enum gone
what_is_gone(const struct table *t, const struct symptom *s)
{
    return s->place == REACH_NONE ? GONE_OBJECT
           : !has_class(t, s)     ? GONE_CLASS
           : !is_observed(t, s)   ? GONE_OBSERVER
           : !has_rule(t, s)      ? GONE_RULE
                                  : GONE_KINDS;
}

/* Those whose worker does not do it: it knows what it watches, and may be away. */
static int
end_unknown(struct table *t)
{
    static const char *const why[GONE_KINDS] = {
        [GONE_OBJECT] = "it is retired, or not in the inventory any more",
        [GONE_CLASS] = "the link has this class no more",
        [GONE_OBSERVER] = "the probe measures the link no more",
        [GONE_RULE] = "the rule is in force no more"};
    struct ends gone[GONE_KINDS] = {{0}}, orphans = {0};
    int err = 0;

    for (struct symptom *s = t->symptoms; s && !err; s = s->hh.next) {
        if (symptom_is_raised(s) && s->recorded.ns + UNKNOWN_AFTER_NS < t->now.ns) {
            enum gone what = what_is_gone(t, s);
            err = what == GONE_KINDS ? 0 : add_end(s->id, &gone[what]);
        }
    }
    for (int i = 0; i < GONE_KINDS; i++) {
        err = err ? err : end_alarms(t, &gone[i], why[i]);
        free(gone[i].ids);
    }
    err = err ? err : deskstore_orphans(&t->store, add_end, &orphans);
    err = err ? err : end_alarms(t, &orphans, "its source was closed");
    free(orphans.ids);
    return err;
}

int
table_look_round(struct table *t)
{
    t->second = t->now;
    t->facts.window_count = 0;
    memset(t->window, 0, t->inventory->link_count * sizeof *t->window);
    int err = deskstore_windows(&t->store, take_window, t);
    for (struct problem *p = t->problems; p; p = p->hh.next) {
        free(p->ack.by);
        free(p->ack.note);
        p->ack.by = p->ack.note = NULL;
    }
    err = err ? err : deskstore_acks(&t->store, take_ack, t);
    return err ? err : end_unknown(t);
}
