/* rounds_windows.c - what does not count, and what changed behind us. */
#include "rounds_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "judge.h"
#include "promise.h"

struct placed {
    int64_t id, revision;
    char exclusion[16], kind[16], key[2 * SERIES_NAME_MAX + 2], tenant[2 * SERIES_NAME_MAX + 2];
};

struct placing {
    struct exclusion_window *list;
    struct placed *placed; /* Of the same number. */
    size_t count, room;
};

static int
on_window(const struct judgestore_window *w, void *aux)
{
    struct placing *p = aux;

    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        struct exclusion_window *list = realloc(p->list, room * sizeof *list);
        p->list = list ? list : p->list;
        struct placed *placed = realloc(p->placed, room * sizeof *placed);
        p->placed = placed ? placed : p->placed;
        if (!list || !placed) {
            return -ENOMEM;
        }
        p->room = room;
    }
    struct placed *to = &p->placed[p->count];
    to->id = w->id;
    to->revision = w->revision;
    snprintf(to->exclusion, sizeof to->exclusion, "%s", w->exclusion);
    snprintf(to->kind, sizeof to->kind, "%s", w->kind);
    snprintf(to->key, sizeof to->key, "%s", w->key);
    snprintf(to->tenant, sizeof to->tenant, "%s", w->tenant ? w->tenant : "");
    p->list[p->count] = w->window;
    p->list[p->count].number = p->count;
    p->count++;
    return 0;
}

static bool
is_over(const struct inv_service *s, const char *kind, const char *key)
{
    for (size_t i = 0; i < s->over_count; i++) {
        const struct inv_ref *o = &s->over[i];
        bool link = o->link && strcmp(o->link->key, key) == 0;
        bool group = o->group && strcmp(o->group->key, key) == 0;
        if ((link && (strcmp(kind, "link") == 0 || strcmp(kind, "attachment") == 0)) ||
            (group && strcmp(kind, "group") == 0)) {
            return true;
        }
    }
    return false;
}

/* Whether a window on that object excludes time of this line.  A member of a group counts by its
 * measured state: a window on it alone excludes nothing of the group. */
static bool
concerns(const struct line *l, const struct inv_service *service, const char *kind, const char *key)
{
    if (l->scope_kind == LINE_SERVICE && service) {
        return (strcmp(kind, "service") == 0 && strcmp(service->key, key) == 0) ||
               is_over(service, kind, key);
    }
    bool same_kind = strcmp(kind, line_scope_name(l->scope_kind)) == 0 ||
                     (l->scope_kind == LINE_LINK && strcmp(kind, "attachment") == 0);
    return same_kind && strcmp(l->scope, key) == 0;
}

/* The windows that concern a line, and those of them that count. */
struct choice {
    struct exclusion_window *mine, *valid;
    size_t count, valid_count;
};

static void
choose(const struct placing *p, const struct line *l, const struct promise *promise,
       struct choice *c)
{
    const struct inv_service *service = promise ? promise->service : NULL;
    const struct inv_sla *sla = promise ? promise->sla : NULL;

    c->count = c->valid_count = 0;
    for (size_t i = 0; i < p->count; i++) {
        const struct placed *w = &p->placed[i];
        bool theirs = w->tenant[0] && (!service || strcmp(service->tenant->key, w->tenant) != 0);
        if (!theirs && concerns(l, service, w->kind, w->key)) {
            c->mine[c->count++] = p->list[i];
        }
    }
    if (c->count) {
        c->valid_count =
            exclusion_valid(c->mine, c->count, sla ? sla->notice : span_of_ns(0),
                            sla ? sla->maintenance_allowance : span_of_ns(0),
                            promise ? promise->period : instant_of_ns(0),
                            promise ? promise->period_end : instant_of_ns(INT64_MAX), c->valid);
    }
}

static int
give(struct line *l, const struct choice *c)
{
    free(l->windows);
    l->windows = NULL;
    l->window_count = 0;
    if (c->count) {
        l->windows = calloc(c->count, sizeof *l->windows);
        if (!l->windows) {
            return -ENOMEM;
        }
        l->window_count = c->valid_count;
        memcpy(l->windows, c->valid, c->valid_count * sizeof *l->windows);
    }
    return 0;
}

static bool
add_time(cJSON *o, const char *name, struct instant at)
{
    char text[48];

    snprintf(text, sizeof text, "%" PRId64 ".%06d", at.ns / NS_PER_S,
             (int)(at.ns % NS_PER_S / NS_PER_US));
    return cJSON_AddRawToObject(o, name, text);
}

/* One window 'w', of which 'v' excludes (NULL: nothing).  false: memory is out. */
static bool
add_decided(cJSON *list, const struct placed *named, const struct exclusion_window *w,
            const struct exclusion_window *v, struct span notice)
{
    bool late = w->kind == EXCLUSION_MAINTENANCE && w->announced.ns > w->start.ns - notice.ns;
    cJSON *o = cJSON_CreateObject();

    if (!o || !cJSON_AddItemToArray(list, o)) {
        cJSON_Delete(o);
        return false;
    }
    return cJSON_AddStringToObject(o, "exclusion", named->exclusion) &&
           cJSON_AddNumberToObject(o, "id", (double)named->id) &&
           cJSON_AddNumberToObject(o, "revision", (double)named->revision) &&
           cJSON_AddStringToObject(o, "kind", named->kind) &&
           cJSON_AddStringToObject(o, "key", named->key) &&
           (!v ||
            (add_time(o, "excluded_from", v->start) && add_time(o, "excluded_until", v->end))) &&
           ((v && v->end.ns >= w->end.ns) ||
            cJSON_AddStringToObject(o, "why", late ? "notice" : "allowance"));
}

/* What was decided about each window, as promise_decided() keeps it.  NULL: memory is out. */
static char *
decided_text(const struct placing *p, const struct choice *c, struct span notice)
{
    cJSON *list = cJSON_CreateArray();
    bool good = list != NULL;

    for (size_t i = 0; i < c->count && good; i++) {
        const struct exclusion_window *w = &c->mine[i], *v = NULL;
        for (size_t k = 0; k < c->valid_count && !v; k++) {
            v = c->valid[k].number == w->number ? &c->valid[k] : NULL;
        }
        good = add_decided(list, &p->placed[w->number], w, v, notice);
    }
    char *text = good ? cJSON_PrintUnformatted(list) : NULL;
    cJSON_Delete(list);
    return text;
}

/* All lines of a service have the same windows. */
static int
place_promise(struct rounds *r, const struct placing *p, struct promise *s, struct choice *c)
{
    const struct line *any = s->whole_count ? s->wholes[0]->line : NULL;
    int err = 0;

    if (any) {
        choose(p, any, s, c);
    }
    for (size_t i = 0; i < s->way_count && !err; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
            err = s->ways[i].lines[d] ? give(s->ways[i].lines[d], c) : 0;
        }
    }
    for (size_t i = 0; i < s->whole_count && !err; i++) {
        err = give(s->wholes[i]->line, c);
    }
    if (!any || err) {
        return err;
    }
    char *text = decided_text(p, c, s->sla ? s->sla->notice : span_of_ns(0));
    err = text ? promise_decided(r->store, s, text) : -ENOMEM;
    free(text);
    return err;
}

int
rounds_windows(struct rounds *r, struct instant now)
{
    struct placing p = {0};
    struct choice c = {0};
    int err =
        judgestore_windows(r->store, instant_of_ns(now.ns - 2 * ROUNDS_BACK_NS), on_window, &p);

    if (!err) {
        c.mine = calloc(p.count + 1, sizeof *c.mine);
        c.valid = calloc(p.count + 1, sizeof *c.valid);
        err = c.mine && c.valid ? 0 : -ENOMEM;
    }
    for (size_t i = 0; i < r->line_count && !err; i++) {
        if (r->lines[i]->scope_kind != LINE_SERVICE) {
            choose(&p, r->lines[i], NULL, &c);
            err = give(r->lines[i], &c);
        }
    }
    for (size_t i = 0; i < r->plan->promise_count && !err; i++) {
        err = place_promise(r, &p, &r->plan->promises[i], &c);
    }
    free(c.mine);
    free(c.valid);
    free(p.list);
    free(p.placed);
    return err;
}

/* --- What changed behind us ----------------------------------------------- */

struct staling {
    struct rounds *r;
    bool any;
};

/* Lines of the service that it concerns, into 'ids'; how many. */
static size_t
concerned(const struct promise *p, const struct judgestore_change *c, int64_t *ids)
{
    size_t count = 0;

    for (size_t w = 0; w < p->way_count; w++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS; d++) {
            const struct line *l = p->ways[w].lines[d];
            if (l && concerns(l, p->service, c->kind, c->key)) {
                ids[count++] = l->id;
            }
        }
    }
    for (size_t w = 0; w < p->whole_count; w++) {
        if (concerns(p->wholes[w]->line, p->service, c->kind, c->key)) {
            ids[count++] = p->wholes[w]->line->id;
        }
    }
    return count;
}

/* A window or an exclusion: whose time it takes out. */
static int
on_window_change(struct rounds *r, const struct judgestore_change *c, int64_t *ids, size_t *count)
{
    int err = 0;

    for (size_t i = 0; i < r->line_count; i++) {
        struct line *l = r->lines[i];
        if (l->scope_kind != LINE_SERVICE && concerns(l, NULL, c->kind, c->key)) {
            ids[(*count)++] = l->id;
        }
    }
    for (size_t i = 0; i < r->plan->promise_count && !err; i++) {
        const struct promise *p = &r->plan->promises[i];
        size_t before = *count;
        *count += concerned(p, c, ids + *count);
        err = *count > before ? promise_reopen(r->store, p, c->from, c->why) : 0;
    }
    return err;
}

static bool
has_link(const struct bond *b, const char *link)
{
    for (size_t i = 0; i < b->part_count; i++) {
        const struct bond_part *p = &b->parts[i];
        if (p->way ? strcmp(p->way->link->key, link) == 0 : has_link(p->bond, link)) {
            return true;
        }
    }
    return false;
}

static bool
is_sold_over(const struct promise *p, const char *link)
{
    bool found = false;

    for (size_t i = 0; i < p->way_count && !found; i++) {
        found = strcmp(p->ways[i].way->link->key, link) == 0;
    }
    for (size_t i = 0; i < p->whole_count && !found; i++) {
        found = has_link(p->wholes[i], link);
    }
    return found;
}

/* Rows of a link that came after it was judged without them: all that hangs on them, and from
 * '*from' on, for they decide the n - 1 delta-t before them. */
static int
on_data_change(struct rounds *r, const struct judgestore_change *c, int64_t *ids, size_t *count,
               struct instant *from)
{
    int err = 0;

    for (size_t i = 0; i < r->plan->way_count; i++) {
        const struct way *w = r->plan->ways[i];
        bool theirs = strcmp(w->link->key, c->key) == 0;
        int64_t first = c->from.ns - (int64_t)(w->class_->n - 1) * w->class_->dt.ns;
        from->ns = theirs && first < from->ns ? (first < 0 ? 0 : first) : from->ns;
        for (enum direction d = DIR_FWD; d < DIRECTIONS && theirs; d++) {
            for (const struct line *l = w->lines[d]; l; l = l->next) {
                ids[(*count)++] = l->id;
            }
        }
    }
    for (size_t i = 0; i < r->plan->bond_count; i++) {
        if (has_link(r->plan->bonds[i], c->key)) {
            ids[(*count)++] = r->plan->bonds[i]->line->id;
        }
    }
    for (size_t i = 0; i < r->plan->promise_count && !err; i++) {
        const struct promise *p = &r->plan->promises[i];
        err = is_sold_over(p, c->key) ? promise_reopen(r->store, p, *from, c->why) : 0;
    }
    return err;
}

static int
on_change(const struct judgestore_change *c, void *aux)
{
    struct staling *s = aux;
    struct rounds *r = s->r;
    int64_t *ids = calloc(r->line_count + 1, sizeof *ids);
    size_t count = 0;

    if (!ids) {
        return -ENOMEM;
    }
    struct instant from = c->from;
    int err = strcmp(c->kind, "data") == 0 ? on_data_change(r, c, ids, &count, &from)
                                           : on_window_change(r, c, ids, &count);
    err = err ? err : count ? judgestore_stale(r->store, ids, count, from) : 0;
    s->any = s->any || count;
    counter_add(&r->counters[JUDGE_CHANGES], 1);
    free(ids);
    return err;
}

/* Whether something is to be judged again: then begin anew. */
int
rounds_changes(struct rounds *r, bool *any)
{
    struct staling s = {.r = r};
    int err = judgestore_begin(r->store);

    err = err ? err : judgestore_changes(r->store, on_change, &s);
    err = err ? err : judgestore_commit(r->store);
    *any = s.any;
    return err;
}
