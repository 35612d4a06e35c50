/* watch_cell.c - cells of a link and class, and what of them waits to be written. */
#include "watch_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAVE_EVERY_NS (60 * NS_PER_S)

/* --- Cells ---------------------------------------------------------------------- */

static bool
has_class(const struct inv_class *const *list, size_t count, const struct inv_class *class_)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == class_) {
            return true;
        }
    }
    return false;
}

static bool
is_of_link(const struct inv_alarm *rule, const struct inv_link *link,
           const struct inv_class *class_)
{
    return alarm_knows(rule->metric.kind) && rule->metric.kind != INV_CLOCK_ERROR &&
           (rule->metric.kind != INV_RT_FLOOR || link->rt_floor.ns > 0) &&
           (!rule->classes ||
            has_class((const struct inv_class *const *)rule->classes, rule->class_count, class_));
}

static struct watch_path *
path_new(struct watch *w, const struct inv_link *link, const struct inv_class *class_, size_t count)
{
    struct watch_path *p = calloc(1, sizeof *p + count * sizeof p->cells[0]);

    if (!p) {
        return NULL;
    }
    const struct inv_probe *first = link->ends[0].probe, *second = link->ends[1].probe;
    const bool is_first = first && strcmp(first->key, w->config.source) == 0;
    const struct inv_probe *far = is_first ? second : first;
    snprintf(p->key, sizeof p->key, "%s/%s", link->key, class_->key);
    p->link = link;
    p->class_ = class_;
    p->in_service = link->in_service;
    p->far = far ? far->key : "";
    for (size_t i = 0; i < w->config.rule_count; i++) {
        if (is_of_link(w->config.rules[i], link, class_)) {
            struct watch_cell *c = &p->cells[p->count++];
            alarm_cell_init(&c->cell, w->config.rules[i], w->config.hold);
            c->path = p;
        }
    }
    HASH_ADD_STR(w->paths, key, p);
    return p;
}

struct watch_path *
watch_path(struct watch *w, const struct inv_link *link, const struct inv_class *class_, int *err)
{
    char key[2 * (SERIES_NAME_MAX + 1)];
    struct watch_path *p;
    size_t count = 0;

    *err = 0;
    snprintf(key, sizeof key, "%s/%s", link->key, class_->key);
    HASH_FIND_STR(w->paths, key, p);
    if (p) {
        return p;
    }
    for (size_t i = 0; i < w->config.rule_count; i++) {
        count += is_of_link(w->config.rules[i], link, class_);
    }
    /* What is planned wakes nobody, nor what another probe measures now. */
    if (count == 0 || link->state != INV_ACTIVE || !inventory_link_sends(link, w->config.source) ||
        !has_class((const struct inv_class *const *)link->classes, link->class_count, class_)) {
        return NULL;
    }
    p = path_new(w, link, class_, count);
    *err = p ? 0 : -ENOMEM;
    return p;
}

/* --- What is gone ----------------------------------------------------------------- */

static const char *
why_link(const struct watch *w, const char *key, const char *class_name)
{
    const struct inv_link *link = inventory_link(w->config.inventory, key);
    const struct inv_class *class_ = inventory_class(w->config.inventory, class_name);

    if (!link) {
        return "the link is not in the inventory any more";
    }
    if (link->state != INV_ACTIVE) {
        return link->state == INV_RETIRED ? "the link is retired" : "the link is planned only";
    }
    if (!class_ ||
        !has_class((const struct inv_class *const *)link->classes, link->class_count, class_)) {
        return "the link has this class no more";
    }
    return inventory_link_sends(link, w->config.source) ? NULL
                                                        : "the probe measures the link no more";
}

static const char *
why_probe(const struct watch *w, const char *key)
{
    const struct inv_probe *probe = inventory_probe(w->config.inventory, key);

    return !probe                        ? "the probe is not in the inventory any more"
           : probe->state == INV_ACTIVE  ? NULL
           : probe->state == INV_RETIRED ? "the probe is retired"
                                         : "the probe is planned only";
}

const char *
watch_why_gone(const struct watch *w, const struct watch_gone *g)
{
    const struct inventory *inv = w->config.inventory;
    const char *why =
        g->scope == WATCH_PROBE ? why_probe(w, g->object) : why_link(w, g->object, g->class_name);

    for (size_t i = 0; !why && i < w->config.rule_count; i++) {
        if (strcmp(w->config.rules[i]->key, g->rule) == 0) {
            why = "the rule is not for it any more";
        }
    }
    for (size_t i = 0; !why && i < inv->alarm_count; i++) {
        if (strcmp(inv->alarms[i].key, g->rule) == 0) {
            why = "the rule is retired";
        }
    }
    return why ? why : "the rule is not in the inventory any more";
}

/* --- What waits ------------------------------------------------------------------ */

static int
past_room(struct watch *w)
{
    if (w->past_count == w->past_room) {
        size_t room = w->past_room ? w->past_room * 2 : 16;
        struct watch_past *more = reallocarray(w->past, room, sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        w->past = more;
        w->past_room = room;
    }
    return 0;
}

int
watch_gone(struct watch *w, const struct watch_gone *gone, const struct alarm_episode *e)
{
    struct watch_gone *copy = malloc(sizeof *copy);

    if (!copy || past_room(w)) {
        free(copy);
        return -ENOMEM;
    }
    *copy = *gone;
    w->past[w->past_count++] = (struct watch_past){.episode = *e, .gone = copy};
    return 0;
}

/* Another episode begins before the one before was written: that one waits by itself. */
static int
keep_past(struct watch *w, const struct watch_cell *c, const struct alarm_episode *before)
{
    if (w->past_count >= WATCH_PAST_MAX) {
        watch_note(w, WATCH_OVER);
        return 0;
    }
    if (past_room(w)) {
        return -ENOMEM;
    }
    w->past[w->past_count++] = (struct watch_past){.episode = *before, .cell = c};
    return 0;
}

static int
wait_for(struct watch *w, struct watch_cell *c)
{
    if (w->waiting_count == w->waiting_room) {
        size_t room = w->waiting_room ? w->waiting_room * 2 : 64;
        struct watch_cell **more = reallocarray(w->waiting, room, sizeof *more);
        if (!more) {
            return -ENOMEM;
        }
        w->waiting = more;
        w->waiting_room = room;
    }
    w->waiting[w->waiting_count++] = c;
    c->waits = true;
    return 0;
}

int
watch_keep(struct watch *w, struct watch_cell *c)
{
    if (c->waits) {
        return 0;
    }
    c->quiet = true;
    return wait_for(w, c);
}

int
watch_save(struct watch *w)
{
    struct watch_path *p, *next;
    int err = 0;

    if (w->told_until.ns - w->saved.ns < SAVE_EVERY_NS) {
        return 0;
    }
    w->saved = w->told_until;
    for (size_t i = 0; i < w->own_count && !err; i++) {
        err = alarm_is_raised(&w->own[i].cell) ? watch_keep(w, &w->own[i]) : 0;
    }
    HASH_ITER(hh, w->paths, p, next)
    {
        for (size_t i = 0; i < p->count && !err; i++) {
            err = alarm_is_raised(&p->cells[i].cell) ? watch_keep(w, &p->cells[i]) : 0;
        }
    }
    return err;
}

int
watch_change(struct watch *w, struct watch_cell *c, enum alarm_change change,
             const struct alarm_episode *before)
{
    static const enum watch_count counts[] = {[ALARM_RAISED] = WATCH_RAISED,
                                              [ALARM_RAISED_AGAIN] = WATCH_RAISED_AGAIN,
                                              [ALARM_CLEARED] = WATCH_CLEARED,
                                              [ALARM_MORE] = WATCH_CHANGED};
    if (change == ALARM_SAME) {
        return 0;
    }
    watch_note(w, counts[change]);
    c->quiet = false;
    if (c->waits) {
        return change == ALARM_RAISED ? keep_past(w, c, before) : 0;
    }
    return wait_for(w, c);
}

size_t
watch_waiting(const struct watch *w)
{
    return w->past_count + w->waiting_count;
}

static const char *
text_of(const struct watch *w, const struct inv_alarm *rule)
{
    return rule->metric.kind == INV_CLOCK_ERROR && w->unsynchronised
               ? "the clock is not synchronised"
               : NULL;
}

static void
tell_cell(const struct watch *w, const struct watch_cell *c, struct watch_news *out)
{
    const struct watch_path *p = c->path;

    out->rule = c->cell.rule;
    out->rule_key = c->cell.rule->key;
    out->scope = p ? WATCH_LINK : WATCH_PROBE;
    out->object = p ? p->link->key : w->config.source;
    out->class_name = p ? p->class_->key : "";
    out->observer = w->config.source;
    out->far = p ? p->far : "";
    out->text = text_of(w, c->cell.rule);
}

void
watch_news(const struct watch *w, size_t i, struct watch_news *out)
{
    *out = (struct watch_news){.far = ""};
    if (i >= w->past_count) {
        const struct watch_cell *c = w->waiting[i - w->past_count];
        tell_cell(w, c, out);
        out->episode = c->cell.episode;
        out->quiet = c->quiet;
        out->cell = &c->cell;
        if (c->cell.rule->metric.kind == INV_SILENCE) {
            out->heard = w->heard_at;
            out->good_since = instant_of_ns(c->good_since);
        }
        return;
    }
    const struct watch_past *past = &w->past[i];
    if (past->gone) {
        out->rule_key = past->gone->rule;
        out->scope = past->gone->scope;
        out->object = past->gone->object;
        out->class_name = past->gone->class_name;
        out->observer = w->config.source;
        out->text = past->gone->why;
    } else {
        tell_cell(w, past->cell, out);
    }
    out->episode = &past->episode;
}

void
watch_written(struct watch *w, size_t n)
{
    size_t past = n < w->past_count ? n : w->past_count, cells = n - past;

    for (size_t i = 0; i < past; i++) {
        free(w->past[i].gone);
    }
    w->past_count -= past;
    if (past) {
        memmove(w->past, w->past + past, w->past_count * sizeof w->past[0]);
    }
    for (size_t i = 0; i < cells; i++) {
        w->waiting[i]->waits = w->waiting[i]->quiet = false;
    }
    w->waiting_count -= cells;
    if (cells) {
        memmove(w->waiting, w->waiting + cells, w->waiting_count * sizeof(void *));
    }
}
