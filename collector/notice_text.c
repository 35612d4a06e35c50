/* notice_text.c - a problem in words: a line that says what, where and how much; then the rest. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "notice.h"
#include "phrase.h"

#define LINES_MAX 20

/* --- How much ------------------------------------------------------------- */

static void
put(char *buf, size_t size, const char *before, const char *text)
{
    size_t n = strlen(buf);

    if (*text) {
        snprintf(buf + n, size - n, "%s%s", n ? before : "", text);
    }
}

/* "100% lost", "12.3ms instead of 10.1ms". */
static void
put_value(const struct symptom *s, char *buf, size_t size)
{
    const struct symptom_details *d = &s->details;
    char value[24], other[24], text[96];

    if (!d->has_value) {
        return;
    }
    phrase_value(d->worst, d->unit, value, sizeof value);
    phrase_value(d->has_baseline ? d->baseline : d->limit, d->unit, other, sizeof other);
    switch (s->what) {
    case SYMPTOM_LOSS:
        snprintf(text, sizeof text, "%s lost", value);
        break;
    case SYMPTOM_DELAY:
        snprintf(text, sizeof text, d->has_baseline ? "%s %s instead of %s" : "%s %s, more than %s",
                 s->metric, value, other);
        break;
    case SYMPTOM_CLOCK:
        snprintf(text, sizeof text, "%s %s", s->metric, value);
        break;
    case SYMPTOM_BUDGET:
        snprintf(text, sizeof text, "%s of the month's budget gone", value);
        break;
    case SYMPTOM_SILENCE:
    case SYMPTOM_OTHER:
    case SYMPTOM_WHATS:
        snprintf(text, sizeof text, "%s %s", s->metric, value);
        break;
    }
    put(buf, size, ", ", text);
}

static const char *
end_name(const struct inv_end *e)
{
    return e->probe ? e->probe->key : "the far end";
}

/* "both directions", "from a to b", where it is known. */
static void
put_ways(const struct notice *n, size_t from, size_t until, char *buf, size_t size)
{
    const struct inv_link *l = reach_link(n->c->reach, n->symptoms[from]->place);
    bool fwd = false, bwd = false, known = false;
    char text[160] = "";

    for (size_t i = from; i < until; i++) {
        const struct symptom_details *d = &n->symptoms[i]->details;
        known = known || d->has_ways;
        fwd = fwd || d->lost_fwd > 0;
        bwd = bwd || d->lost_bwd > 0;
    }
    if (known && fwd && bwd) {
        snprintf(text, sizeof text, "both directions");
    } else if (known && (fwd || bwd)) {
        snprintf(text, sizeof text, "from %s to %s", end_name(&l->ends[fwd ? 0 : 1]),
                 end_name(&l->ends[fwd ? 1 : 0]));
    }
    put(buf, size, ", ", text);
}

/* "gold and be", each once. */
static void
put_classes(const struct notice *n, size_t from, size_t until, char *buf, size_t size)
{
    struct phrase_list names;
    char text[PHRASE_SIZE / 4];
    size_t count = 0;

    for (int pass = 0; pass < 2; pass++) {
        if (pass) {
            phrase_begin(&names, text, sizeof text, count);
        }
        for (size_t i = from; i < until; i++) {
            bool there = !*n->symptoms[i]->class_;
            for (size_t k = from; k < i; k++) {
                there = there || !strcmp(n->symptoms[k]->class_, n->symptoms[i]->class_);
            }
            if (!there && pass) {
                phrase_add(&names, n->symptoms[i]->class_);
            }
            count += !there && !pass;
        }
    }
    put(buf, size, ", ", text);
}

static void
put_paths(const struct symptom *s, char *buf, size_t size)
{
    char text[64];

    if (s->details.has_paths && s->details.paths > 1 && s->details.paths_over &&
        s->details.paths_over < s->details.paths) {
        snprintf(text, sizeof text, "%u of %u paths", s->details.paths_over, s->details.paths);
        put(buf, size, ", ", text);
    }
}

void
notice_link_text(const struct notice *n, size_t from, size_t until, char *buf, size_t size)
{
    size_t raised = from;

    buf[0] = '\0';
    while (raised < until && symptom_is_raised(n->symptoms[raised])) {
        raised++;
    }
    if (raised == from) {
        snprintf(buf, size, "clear");
        return;
    }
    put_value(n->symptoms[from], buf, size);
    put_classes(n, from, raised, buf, size);
    put_ways(n, from, raised, buf, size);
    put_paths(n->symptoms[from], buf, size);
}

/* --- The title ------------------------------------------------------------ */

/* A budget that burns is what a problem costs, and not what it is. */
static bool
is_aside(const struct problem *p, const struct symptom *s)
{
    return s->what == SYMPTOM_BUDGET && p->what != SYMPTOM_BUDGET;
}

/* What names it: what is raised before what is clear, then the worst. */
static const struct symptom *
worst(const struct problem *p)
{
    const struct symptom *w = NULL;

    for (const struct symptom *s = p->symptoms; s; s = s->next) {
        if (w && is_aside(p, s)) {
            continue;
        }
        if (!w || is_aside(p, w) || symptom_is_raised(s) > symptom_is_raised(w) ||
            (symptom_is_raised(s) == symptom_is_raised(w) &&
             (s->severity < w->severity ||
              (s->severity == w->severity &&
               (s->what < w->what || (s->what == w->what && s->id < w->id)))))) {
            w = s;
        }
    }
    return w;
}

/* Something says that the way is another (evidence.h). */
static bool
is_rerouted(const struct problem *p)
{
    const cJSON *e;

    cJSON_ArrayForEach(e, p->evidence)
    {
        const char *kind = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "kind"));
        if (kind && !strcmp(kind, "re_route")) {
            return true;
        }
    }
    return false;
}

/* ", 2 of 400 links: a and b". */
static void
put_links(const struct notice *n, char *buf, size_t size)
{
    const struct reach *r = n->c->reach;
    const struct extent_list *links = &n->p->extent.lists[EXTENT_LINK];
    size_t bad = extent_bad(&n->p->extent, EXTENT_LINK), all = links->count;
    size_t shown = n->p->state == PROBLEM_OPEN ? bad : all;
    uint32_t candidate = reach_candidate(r, n->p->kind, n->p->key), count = 0;
    char text[PHRASE_SIZE / 2], names[PHRASE_SIZE / 4];
    struct phrase_list list;

    if (candidate != REACH_NONE) {
        const uint32_t *under = reach_list(&r->under, candidate, &count);
        size_t measured = 0;
        for (uint32_t i = 0; i < count; i++) {
            measured += reach_is_measured(r, under[i], n->c->now);
        }
        all = measured > all ? measured : all;
    }
    if (!shown) {
        return;
    }
    snprintf(text, sizeof text, "%zu of %zu link%s", shown, all, all == 1 ? "" : "s");
    put(buf, size, ", ", text);
    if (shown < all && shown <= 5) {
        phrase_begin(&list, names, sizeof names, shown);
        for (size_t i = 0; i < links->count; i++) {
            if (links->at[i].bad || n->p->state != PROBLEM_OPEN) {
                phrase_add(&list, extent_key(r, EXTENT_LINK, links->at[i].index));
            }
        }
        put(buf, size, ": ", names);
    }
}

void
notice_title(const struct notice *n, char *buf, size_t size)
{
    const struct problem *p = n->p;
    const struct symptom *w = worst(p);
    size_t from = 0;

    /* What was merged has none left, and is called as it was. */
    if (!w && p->title) {
        snprintf(buf, size, "%s", p->title);
        return;
    }
    snprintf(buf, size, "%s: %s %s",
             is_rerouted(p) ? "re-routed"
             : w            ? w->rule
                            : symptom_what_name(p->what),
             reach_cause_name(p->kind), p->key);
    if (!w) {
        return;
    }
    if (p->kind != INV_CAUSE_LINK || w->scope != SYMPTOM_LINK) {
        put_links(n, buf, size);
        put_value(w, buf, size);
        return;
    }
    while (from < n->symptom_count && n->symptoms[from]->place != w->place) {
        from = notice_next_link(n, from);
    }
    if (from == n->symptom_count) {
        put_value(w, buf, size);
    } else if (symptom_is_raised(w)) {
        char text[512];
        notice_link_text(n, from, notice_next_link(n, from), text, sizeof text);
        put(buf, size, ", ", text);
    } else {
        put_value(w, buf, size);
        put_classes(n, from, notice_next_link(n, from), buf, size);
        put_ways(n, from, notice_next_link(n, from), buf, size);
    }
}

/* --- The lines behind it -------------------------------------------------- */

static void
write_times(const struct notice *n, bool open, FILE *to)
{
    char began[40], ended[40];

    fprintf(to, "since %s", instant_format(n->p->began, 0, began, sizeof began));
    if (!open) {
        fprintf(to, ", over since %s",
                instant_format(n->p->ended.ns ? n->p->ended : n->c->now, 0, ended, sizeof ended));
    }
    fprintf(to, "\n");
}

static void
write_links(const struct notice *n, FILE *to)
{
    int lines = 0;

    for (size_t i = 0, next; i < n->symptom_count && lines < LINES_MAX; i = next) {
        char text[512];
        next = notice_next_link(n, i);
        if (!symptom_is_raised(n->symptoms[i])) {
            continue;
        }
        notice_link_text(n, i, next, text, sizeof text);
        fprintf(to, "link %s: %s\n", reach_link(n->c->reach, n->symptoms[i]->place)->key, text);
        lines++;
    }
    if (extent_bad(&n->p->extent, EXTENT_LINK) > LINES_MAX) {
        fprintf(to, "and %zu more\n", extent_bad(&n->p->extent, EXTENT_LINK) - LINES_MAX);
    }
}

static void
write_sold(const struct notice *n, FILE *to)
{
    const struct extent *e = &n->p->extent;

    if (e->lists[EXTENT_SERVICE].count) {
        fprintf(to, "%zu services of %zu tenants are touched, %zu of them are bad\n",
                e->lists[EXTENT_SERVICE].count, e->lists[EXTENT_TENANT].count,
                extent_bad(e, EXTENT_SERVICE));
    }
}

static void
write_evidence(const struct notice *n, FILE *to)
{
    const cJSON *e;

    for (size_t i = 0; i < n->p->change_count; i++) {
        fprintf(to, "%s\n", n->p->changes[i]);
    }
    cJSON_ArrayForEach(e, n->p->evidence)
    {
        const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(e, "text"));
        if (text) {
            fprintf(to, "%s\n", text);
        }
    }
}

/* Without its last line end.  NULL: memory was out. */
static char *
finish(FILE *to, char **text, const size_t *size)
{
    if (fclose(to)) {
        free(*text);
        return NULL;
    }
    if (*size && (*text)[*size - 1] == '\n') {
        (*text)[*size - 1] = '\0';
    }
    return *text;
}

char *
notice_text(const struct notice *n)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    if (!to) {
        return NULL;
    }
    fprintf(to, "%s\n", n->title);
    write_times(n, n->p->state == PROBLEM_OPEN, to);
    write_links(n, to);
    write_sold(n, to);
    write_evidence(n, to);
    return finish(to, &text, &size);
}

/* --- To a tenant ---------------------------------------------------------- */

char *
notice_tenant_text(const struct notice *n, const struct inv_tenant *t, char *title,
                   size_t title_size)
{
    const struct extent_list *services = &n->p->extent.lists[EXTENT_SERVICE];
    const struct inv_service *one = NULL;
    char *text = NULL;
    size_t size = 0, count = 0, touched = 0;
    FILE *to = open_memstream(&text, &size);

    for (size_t i = 0; i < services->count; i++) {
        const struct inv_service *s = &n->c->reach->inv->services[services->at[i].index];
        if (s->tenant != t) {
            continue;
        }
        one = s;
        touched += services->at[i].now;
        if (to && count++ < LINES_MAX) {
            fprintf(to, "service %s: %s\n", s->label ? s->label : s->key,
                    n->p->state == PROBLEM_MERGED ? "goes on as part of another problem"
                    : services->at[i].bad         ? "impaired"
                    : services->at[i].now         ? "works, with less in reserve"
                                                  : "good again");
        }
    }
    if (count == 1) {
        snprintf(title, title_size, "%s: service %s", symptom_what_name(n->p->what),
                 one->label ? one->label : one->key);
    } else {
        snprintf(title, title_size, "%s: %zu services", symptom_what_name(n->p->what), count);
    }
    if (!to) {
        return NULL;
    }
    write_times(n, n->p->state == PROBLEM_OPEN && touched, to);
    return finish(to, &text, &size);
}
