/* desk_tell.c - what is due is said to whom wants to know; then all of the round is written. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk_parts.h"
#include "phrase.h"
#include "trace.h"

/* --- What one problem is -------------------------------------------------- */

static struct notice_context
context(const struct table *t)
{
    return (struct notice_context){
        .reach = t->reach, .installation = t->installation, .now = t->now};
}

int
table_look_at(struct table *t, struct problem *p)
{
    const struct notice_context c = context(t);
    struct notice n;
    int err = notice_init(&n, &c, p);

    if (err) {
        return err;
    }
    char *title = strdup(n.title);
    notice_fini(&n);
    if (!title) {
        return -ENOMEM;
    }
    free(p->title);
    p->title = title;
    return 0;
}

/* --- Telling -------------------------------------------------------------- */

struct telling {
    struct table *t;
    struct problem *p;
    enum problem_due due;
    struct notice notice;
    size_t told[4]; /* By action. */
};

enum { OPEN, CHANGE, REMIND, RESOLVE };
static const char *const actions[] = {"open", "change", "remind", "resolve"};

static int
say(struct telling *w, const struct inv_hook *h, struct problem_heard *heard, int action)
{
    cJSON *event = notice_event(&w->notice, h, actions[action]);
    uint64_t print = notice_print(event);

    if (!event) {
        return -ENOMEM;
    }
    if (action == CHANGE && h->tenant_view && print == heard->print) {
        cJSON_Delete(event);
        return 0;
    }
    heard->open = action != RESOLVE;
    heard->at = w->t->now;
    heard->print = print;
    w->told[action]++;
    counter_add(&w->t->counters[DESK_TOLD], 1);
    return deskstore_add_told(&w->t->batch, w->p, h->key, actions[action], event);
}

static int
say_to(struct telling *w, const struct inv_hook *h)
{
    struct problem_heard *heard = problem_heard(w->p, h->key);
    bool open = notice_is_open(&w->notice, h);

    if (!heard || !heard->open) {
        bool wanted = (w->due == PROBLEM_TELL_OPEN || w->due == PROBLEM_TELL_CHANGE) && open &&
                      notice_is_wanted(&w->notice, h);
        heard = wanted ? problem_hear(w->p, h->key) : heard;
        return !wanted ? 0 : heard ? say(w, h, heard, OPEN) : -ENOMEM;
    }
    if (!open) {
        return say(w, h, heard, RESOLVE);
    }
    return w->due == PROBLEM_TELL_CHANGE || w->due == PROBLEM_TELL_OPEN ? say(w, h, heard, CHANGE)
                                                                        : 0;
}

static int
note_told(struct telling *w)
{
    struct problem *p = w->p;
    char text[160] = "";

    for (int a = 0; a < 4; a++) {
        size_t n = strlen(text);
        if (w->told[a]) {
            snprintf(text + n, sizeof text - n, "%s%s: %zu hook%s", n ? ", " : "", actions[a],
                     w->told[a], w->told[a] == 1 ? "" : "s");
        }
    }
    return *text ? problem_step(p, PROBLEM_STEP_TOLD, w->t->now, "%s", text) : 0;
}

/* Whether nobody heard of it so far. */
static bool
is_unheard(const struct problem *p)
{
    for (size_t i = 0; i < p->heard_count; i++) {
        if (p->heard[i].open) {
            return false;
        }
    }
    return true;
}

static int
tell(struct table *t, struct problem *p, enum problem_due due)
{
    const struct notice_context c = context(t);
    struct telling w = {.t = t, .p = p, .due = due};
    int err = 0;

    if (due != PROBLEM_NOTHING) {
        p->revision += p->heard_count || p->reopened || due != PROBLEM_TELL_OPEN;
        p->changed = true;
        err = table_look_at(t, p);
    }
    err = err ? err : notice_init(&w.notice, &c, p);
    if (err) {
        return err;
    }
    for (size_t i = 0; i < t->inventory->hook_count && !err; i++) {
        err = say_to(&w, &t->inventory->hooks[i]);
    }
    notice_fini(&w.notice);
    err = err ? err : note_told(&w);
    if (!err && due != PROBLEM_NOTHING) {
        problem_was_told(p);
    }
    return err;
}

/* What maintenance silences waits; what was told is not silenced when it ends. */
static int
tell_due(struct table *t, struct problem *p)
{
    enum problem_due due = problem_due(p, t->now, t->config->gather);
    char buf[48];
    const char *why = NULL;

    if (p->later) {
        return 0;
    }
    if (p->state == PROBLEM_OPEN && due != PROBLEM_NOTHING) {
        why = problem_is_held(p, t->reach, t->window, buf, sizeof buf);
    }
    if (p->state == PROBLEM_OPEN && is_unheard(p) && due == PROBLEM_TELL_OPEN) {
        int err = problem_hold(p, why, t->now);
        if (err) {
            return err;
        }
    }
    if (why) {
        due = PROBLEM_NOTHING;
    }
    /* A tenant whose services are good again hears it at once, whoever else still waits. */
    return due != PROBLEM_NOTHING || (p->changed && p->heard_count) ? tell(t, p, due) : 0;
}

static int
remind(struct table *t, struct problem *p)
{
    const struct notice_context c = context(t);
    struct telling w = {.t = t, .p = p};
    char buf[48];
    int err = 0;

    if (p->state != PROBLEM_OPEN || problem_is_held(p, t->reach, t->window, buf, sizeof buf)) {
        return 0;
    }
    for (size_t i = 0; i < t->inventory->hook_count && !err; i++) {
        const struct inv_hook *h = &t->inventory->hooks[i];
        struct problem_heard *heard = h->remind.ns ? problem_heard(p, h->key) : NULL;
        if (h->state != INV_ACTIVE || !problem_reminds(p, heard, h->remind, t->now)) {
            continue;
        }
        if (!w.notice.p) {
            err = notice_init(&w.notice, &c, p);
        }
        err = err ? err : say(&w, h, heard, REMIND);
    }
    notice_fini(&w.notice);
    return err ? err : note_told(&w);
}

int
table_tell(struct table *t)
{
    int err = deskstore_batch_init(&t->batch);
    err = err ? err : table_find_evidence(t);
    bool each_second = t->second.ns == t->now.ns;

    for (struct problem *p = t->problems; p && !err; p = p->hh.next) {
        err = tell_due(t, p);
        err = err || !each_second ? err : remind(t, p);
        if (!err && p->changed) {
            err = table_look_at(t, p);
            err = err ? err : deskstore_add(&t->batch, t->reach, p);
        }
    }
    return err;
}

/* --- Paths ------------------------------------------------------------------ */

/* Of one problem, and of all that open in one round: the probes follow one path at a time. */
enum { TRACED_LINKS = 4, TRACED_A_ROUND = 64 };

static bool
opens(const struct problem *p)
{
    bool opened = false;

    for (size_t i = 0; i < p->step_count; i++) {
        opened = opened || p->steps[i].what == PROBLEM_STEP_OPENED;
    }
    return p->changed && opened && (p->what == SYMPTOM_LOSS || p->what == SYMPTOM_DELAY);
}

/* Both ends are asked which way the packets go now. */
static int
ask_for_paths(struct table *t, const struct problem *p, unsigned *asked)
{
    const struct extent_list *links = &p->extent.lists[EXTENT_LINK];
    unsigned traced = 0;
    int err = 0;

    for (size_t i = 0; i < links->count && traced < TRACED_LINKS && *asked < TRACED_A_ROUND && !err;
         i++) {
        const struct inv_link *link = reach_link(t->reach, links->at[i].index);
        for (int end = 0; links->at[i].bad && end < 2 && !err; end++) {
            if (link->ends[end].probe) {
                err = trace_ask(t->store.conn, p->id, link->ends[end].probe->key, link->key,
                                t->store.why, sizeof t->store.why);
            }
        }
        traced += links->at[i].bad;
        *asked += links->at[i].bad;
    }
    return err;
}

int
table_write(struct table *t)
{
    unsigned asked = 0;
    int err = deskstore_write(&t->store, &t->batch);

    for (const struct problem *p = t->problems; p && !err; p = p->hh.next) {
        err = opens(p) ? ask_for_paths(t, p, &asked) : 0;
    }
    return err;
}

/* --- What is written is known --------------------------------------------- */

static void
is_written(struct problem *p)
{
    for (size_t i = 0; i < p->step_count; i++) {
        free(p->steps[i].text);
    }
    p->step_count = 0;
    for (struct symptom *s = p->symptoms; s; s = s->next) {
        s->is_new = false;
    }
    p->changed = false;
}

/* A copy; memory that is out costs that it is written again. */
static void
copy_extent(struct problem *p)
{
    extent_fini(&p->written);
    for (int k = 0; k < EXTENT_KINDS; k++) {
        const struct extent_list *from = &p->extent.lists[k];
        for (size_t i = 0; i < from->count; i++) {
            if (extent_add(&p->written, (enum extent_kind)k, from->at[i])) {
                return;
            }
        }
    }
}

static void
drop(struct table *t, struct problem *p)
{
    for (struct symptom *s = p->symptoms, *next; s; s = next) {
        next = s->next;
        HASH_DEL(t->symptoms, s);
        symptom_free(s);
    }
    p->symptoms = NULL;
    HASH_DEL(t->problems, p);
    problem_free(p);
}

void
table_forget(struct table *t)
{
    struct problem *p, *next;

    deskstore_batch_fini(&t->batch);
    HASH_ITER(hh, t->problems, p, next)
    {
        if (p->changed) {
            is_written(p);
            copy_extent(p);
        }
        if (p->state == PROBLEM_MERGED ||
            (p->state == PROBLEM_ENDED && p->closed.ns + t->config->hold.ns < t->now.ns)) {
            drop(t, p);
        }
    }
}
