/* rounds_windows.c - what does not count, and what changed behind us. */
#include "rounds_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"
#include "promise.h"

struct placing {
    struct exclusion_window *list;
    char (*names)[3][2 * SERIES_NAME_MAX + 2]; /* Kind, key, tenant. */
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
        void *names = realloc(p->names, room * sizeof *p->names);
        p->names = names ? names : p->names;
        if (!list || !names) {
            return -ENOMEM;
        }
        p->room = room;
    }
    p->list[p->count] = w->window;
    snprintf(p->names[p->count][0], sizeof p->names[0][0], "%s", w->kind);
    snprintf(p->names[p->count][1], sizeof p->names[0][1], "%s", w->key);
    snprintf(p->names[p->count][2], sizeof p->names[0][2], "%s", w->tenant ? w->tenant : "");
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

/* The windows of one line that count. */
static int
place(const struct placing *p, struct line *l, const struct promise *promise)
{
    const struct inv_service *service = promise ? promise->service : NULL;
    const struct inv_sla *sla = promise ? promise->sla : NULL;
    struct exclusion_window *mine = calloc(p->count + 1, sizeof *mine);
    size_t count = 0;

    free(l->windows);
    l->windows = NULL;
    l->window_count = 0;
    if (!mine) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < p->count; i++) {
        const char *tenant = p->names[i][2];
        bool theirs = tenant[0] && (!service || strcmp(service->tenant->key, tenant) != 0);
        if (!theirs && concerns(l, service, p->names[i][0], p->names[i][1])) {
            mine[count++] = p->list[i];
        }
    }
    if (count) {
        l->windows = calloc(count, sizeof *l->windows);
        if (!l->windows) {
            free(mine);
            return -ENOMEM;
        }
        l->window_count =
            exclusion_valid(mine, count, sla ? sla->notice : span_of_ns(0),
                            sla ? sla->maintenance_allowance : span_of_ns(0),
                            promise ? promise->period : instant_of_ns(0),
                            promise ? promise->period_end : instant_of_ns(INT64_MAX), l->windows);
    }
    free(mine);
    return 0;
}

static int
place_promise(const struct placing *p, const struct promise *s)
{
    int err = 0;

    for (size_t i = 0; i < s->way_count && !err; i++) {
        for (enum direction d = DIR_FWD; d < DIRECTIONS && !err; d++) {
            err = s->ways[i].lines[d] ? place(p, s->ways[i].lines[d], s) : 0;
        }
    }
    for (size_t i = 0; i < s->whole_count && !err; i++) {
        err = place(p, s->wholes[i]->line, s);
    }
    return err;
}

int
rounds_windows(struct rounds *r, struct instant now)
{
    struct placing p = {0};
    int err =
        judgestore_windows(r->store, instant_of_ns(now.ns - 2 * ROUNDS_BACK_NS), on_window, &p);

    for (size_t i = 0; i < r->line_count && !err; i++) {
        if (r->lines[i]->scope_kind != LINE_SERVICE) {
            err = place(&p, r->lines[i], NULL);
        }
    }
    for (size_t i = 0; i < r->plan->promise_count && !err; i++) {
        err = place_promise(&p, &r->plan->promises[i]);
    }
    free(p.list);
    free(p.names);
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
