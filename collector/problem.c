/* problem.c - the life of one problem. */
#include "problem.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "phrase.h"

/* A change that goes on and on is told after so many gathers. */
#define LONGEST_GATHERS 10
/* Texts of changes that one message holds. */
#define CHANGES_MAX 20

static const char *const state_names[] = {"open", "ended", "merged"};
static const char *const step_names[PROBLEM_STEPS] = {
    "opened", "joined", "narrowed", "worsened", "flapping", "held", "told", "acknowledgement_ended",
    "merged", "ended",  "reopened"};

struct problem *
problem_new(enum inv_cause kind, const char *key, struct instant now)
{
    struct problem *p = calloc(1, sizeof *p);

    if (!p || !(p->key = strdup(key))) {
        free(p);
        return NULL;
    }
    p->kind = kind;
    p->severity = INV_INFO;
    p->opened = now;
    p->revision = 1;
    p->touched = p->changed = true;
    return p;
}

static void
forget_changes(struct problem *p)
{
    for (size_t i = 0; i < p->change_count; i++) {
        free(p->changes[i]);
    }
    free(p->changes);
    p->changes = NULL;
    p->change_count = 0;
    p->untold_first = p->untold_last = instant_of_ns(0);
}

void
problem_free(struct problem *p)
{
    if (!p) {
        return;
    }
    for (struct symptom *s = p->symptoms, *next; s; s = next) {
        next = s->next;
        s->problem = NULL;
        s->next = NULL;
    }
    for (size_t i = 0; i < p->step_count; i++) {
        free(p->steps[i].text);
    }
    forget_changes(p);
    extent_fini(&p->extent);
    extent_fini(&p->written);
    cJSON_Delete(p->evidence);
    free(p->steps);
    free(p->heard);
    free(p->ack.by);
    free(p->ack.note);
    free(p->title);
    free(p->held);
    free(p->key);
    free(p);
}

/* --- Steps ---------------------------------------------------------------- */

static int
add_step(struct problem *p, enum problem_what what, struct instant now, const char *text)
{
    struct problem_step *steps = reallocarray(p->steps, p->step_count + 1, sizeof *steps);

    if (!steps) {
        return -ENOMEM;
    }
    p->steps = steps;
    char *copy = strdup(text);
    if (!copy) {
        return -ENOMEM;
    }
    p->steps[p->step_count++] = (struct problem_step){what, copy, now};
    p->changed = true;
    return 0;
}

int
problem_step(struct problem *p, enum problem_what what, struct instant now, const char *format, ...)
{
    char text[PHRASE_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return add_step(p, what, now, text);
}

int
problem_change(struct problem *p, struct instant now, const char *text)
{
    p->untold_last = now;
    p->untold_first = p->untold_first.ns ? p->untold_first : now;
    if (p->change_count == CHANGES_MAX) {
        return 0;
    }
    char **changes = reallocarray(p->changes, p->change_count + 1, sizeof *changes);
    if (!changes) {
        return -ENOMEM;
    }
    p->changes = changes;
    p->changes[p->change_count] = strdup(text);
    return p->changes[p->change_count] ? p->change_count++, 0 : -ENOMEM;
}

/* A step that is worth telling. */
static int __attribute__((format(printf, 4, 5)))
change(struct problem *p, enum problem_what what, struct instant now, const char *format, ...)
{
    char text[PHRASE_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int err = add_step(p, what, now, text);
    return err || !p->told ? err : problem_change(p, now, text);
}

/* --- What it is made of --------------------------------------------------- */

void
problem_join(struct problem *p, struct symptom *s)
{
    assert(!s->problem);
    s->problem = p;
    s->is_new = true;
    s->next = p->symptoms;
    p->symptoms = s;
    p->symptom_count++;
    p->touched = p->changed = true;
}

int
problem_merge(struct problem *p, struct problem *from, struct instant now)
{
    assert(p != from && from->state != PROBLEM_MERGED);
    while (from->symptoms) {
        struct symptom *s = from->symptoms;
        from->symptoms = s->next;
        s->problem = NULL;
        problem_join(p, s);
    }
    from->symptom_count = 0;
    from->state = PROBLEM_MERGED;
    from->merged_into = p->id;
    from->merged = p;
    from->closed = now;
    from->ended = now;
    from->touched = true;
    for (int k = 0; k < EXTENT_KINDS; k++) {
        for (size_t i = 0; i < from->extent.lists[k].count; i++) {
            from->extent.lists[k].at[i].now = from->extent.lists[k].at[i].bad = false;
        }
    }
    char text[PHRASE_SIZE];
    snprintf(text, sizeof text, "it is part of problem %" PRId64 ", %s %s", p->id,
             reach_cause_name(p->kind), p->key);
    int err = problem_step(from, PROBLEM_STEP_MERGED, now, "%s", text);
    return err ? err : problem_change(from, now, text);
}

int
problem_rename(struct problem *p, enum inv_cause kind, const char *key, struct instant now)
{
    if (p->kind == kind && !strcmp(p->key, key)) {
        return 0;
    }
    char *copy = strdup(key);
    if (!copy) {
        return -ENOMEM;
    }
    int err = change(p, PROBLEM_STEP_JOINED, now, "it is all of %s %s, not only %s %s",
                     reach_cause_name(kind), key, reach_cause_name(p->kind), p->key);
    free(p->key);
    p->key = copy;
    p->kind = kind;
    p->touched = p->changed = true;
    return err;
}

bool
problem_is_kept_by(const struct problem *p, const struct symptom *s)
{
    return symptom_is_raised(s) && (p->kind == INV_CAUSE_SERVICE || !symptom_is_passive(s));
}

bool
problem_is_kept(const struct problem *p)
{
    for (const struct symptom *s = p->symptoms; s; s = s->next) {
        if (problem_is_kept_by(p, s)) {
            return true;
        }
    }
    return false;
}

/* --- Reviewing ------------------------------------------------------------ */

/* Severity, what, times, from its symptoms. */
static void
sum_up(struct problem *p, bool kept, enum inv_severity *severity, unsigned *flaps)
{
    const struct symptom *worst = NULL;

    *severity = INV_INFO;
    *flaps = 0;
    for (const struct symptom *s = p->symptoms; s; s = s->next) {
        bool counts = kept ? problem_is_kept_by(p, s) : true;
        if (!worst || s->severity < worst->severity ||
            (s->severity == worst->severity && s->what < worst->what)) {
            worst = s;
        }
        if (counts && s->severity < *severity) {
            *severity = s->severity;
        }
        if (!p->began.ns || s->began.ns < p->began.ns) {
            p->began = s->began;
        }
        if (!symptom_is_passive(s) || p->kind == INV_CAUSE_SERVICE) {
            *flaps = s->flaps > *flaps ? s->flaps : *flaps;
        }
    }
    if (worst) {
        p->what = worst->what;
    }
}

static struct instant
last_end(const struct problem *p, struct instant now)
{
    struct instant end = {0};

    for (const struct symptom *s = p->symptoms; s; s = s->next) {
        if (!symptom_is_raised(s) && s->ended.ns > end.ns) {
            end = s->ended;
        }
    }
    return end.ns ? end : now;
}

/* Names those links whose state is 'bad' now and was another before (NULL: whatever it was). */
static size_t
name_links(const struct reach *r, const struct extent *now, const struct extent *before, bool bad,
           char *buf, size_t size)
{
    const struct extent_list *links = &now->lists[EXTENT_LINK];
    struct phrase_list names;
    size_t count = 0;

    for (int pass = 0; pass < 2; pass++) {
        if (pass) {
            phrase_begin(&names, buf, size, count);
        }
        for (size_t i = 0; i < links->count; i++) {
            const struct extent_item *was =
                before ? extent_find(before, EXTENT_LINK, links->at[i].index) : NULL;
            bool other = !before || (was && was->bad) != bad;
            if (links->at[i].bad != bad || !other) {
                continue;
            }
            if (pass) {
                phrase_add(&names, extent_key(r, EXTENT_LINK, links->at[i].index));
            } else {
                count++;
            }
        }
    }
    return count;
}

/* What went, of what was bad; what came. */
static int
compare(struct problem *p, const struct reach *r, const struct extent *e, struct instant now)
{
    char came[PHRASE_SIZE / 3], stays[PHRASE_SIZE / 3];
    size_t more = name_links(r, e, &p->extent, true, came, sizeof came);
    size_t bad = extent_bad(e, EXTENT_LINK), before = extent_bad(&p->extent, EXTENT_LINK);
    size_t gone = before + more - bad;
    int err = 0;

    if (more) {
        err = change(p, PROBLEM_STEP_JOINED, now, "%zu more link%s: %s", more, more == 1 ? "" : "s",
                     came);
    }
    if (!err && before + more > bad && bad) {
        name_links(r, e, NULL, true, stays, sizeof stays);
        err = change(p, PROBLEM_STEP_NARROWED, now, "%zu link%s clear; %s stay%s", gone,
                     gone == 1 ? " is" : "s are", stays, bad == 1 ? "s" : "");
    }
    return err;
}

static int
open_again(struct problem *p, struct instant now)
{
    p->state = PROBLEM_OPEN;
    p->ended = p->closed = instant_of_ns(0);
    p->reopened++;
    p->told = false;
    forget_changes(p);
    /* What is told of it again waits for the others, as at first. */
    p->untold_first = p->untold_last = now;
    return problem_step(p, PROBLEM_STEP_REOPENED, now, "it is back");
}

static int
end(struct problem *p, struct instant now)
{
    p->state = PROBLEM_ENDED;
    p->ended = last_end(p, now);
    p->closed = now;
    return problem_step(p, PROBLEM_STEP_ENDED, now, "the last of its alarms is clear");
}

/* Said at 2, 4, 8 ... times. */
static int
say_flaps(struct problem *p, unsigned flaps, struct instant now)
{
    bool said = flaps <= p->flaps || (flaps & (flaps - 1)) != 0 || flaps < 2;

    if (said) {
        return 0;
    }
    p->flaps = flaps;
    return problem_step(p, PROBLEM_STEP_FLAPPING, now, "it comes and goes: raised %u times",
                        flaps + 1);
}

int
problem_review(struct problem *p, const struct reach *r, const bool *down, struct instant now)
{
    const bool first = p->id == 0 && !p->step_count, kept = problem_is_kept(p);
    struct extent e;
    enum inv_severity severity;
    unsigned flaps;

    p->touched = false;
    p->changed = true;
    if (p->state == PROBLEM_MERGED) {
        return 0;
    }
    int err = extent_make(&e, r, p->symptoms, down);
    if (err) {
        return err;
    }
    sum_up(p, kept, &severity, &flaps);
    if (first) {
        err = problem_step(p, PROBLEM_STEP_OPENED, now, "%zu alarm%s, %zu link%s", p->symptom_count,
                           p->symptom_count == 1 ? "" : "s", e.lists[EXTENT_LINK].count,
                           e.lists[EXTENT_LINK].count == 1 ? "" : "s");
    } else if (kept && p->state == PROBLEM_ENDED) {
        err = open_again(p, now);
    } else if (kept) {
        err = compare(p, r, &e, now);
        if (!err && severity < p->severity) {
            err = change(p, PROBLEM_STEP_WORSENED, now, "it is %s now, was %s",
                         symptom_severity_name(severity), symptom_severity_name(p->severity));
        }
    }
    p->severity = kept || severity < p->severity ? severity : p->severity;
    err = err ? err : say_flaps(p, flaps, now);
    if (!err && !kept && p->state == PROBLEM_OPEN) {
        err = end(p, now);
    }
    extent_fini(&p->extent);
    p->extent = e;
    return err;
}

/* --- Telling -------------------------------------------------------------- */

static bool
was_heard(const struct problem *p)
{
    for (size_t i = 0; i < p->heard_count; i++) {
        if (p->heard[i].open) {
            return true;
        }
    }
    return false;
}

enum problem_due
problem_due(const struct problem *p, struct instant now, struct span gather)
{
    bool quiet = p->untold_last.ns + gather.ns <= now.ns ||
                 p->untold_first.ns + LONGEST_GATHERS * gather.ns <= now.ns;

    if (p->state != PROBLEM_OPEN) {
        return was_heard(p) ? PROBLEM_TELL_END : PROBLEM_NOTHING;
    }
    if (!p->told) {
        return quiet || !p->untold_last.ns ? PROBLEM_TELL_OPEN : PROBLEM_NOTHING;
    }
    return p->untold_last.ns && quiet ? PROBLEM_TELL_CHANGE : PROBLEM_NOTHING;
}

void
problem_was_told(struct problem *p)
{
    p->told = true;
    forget_changes(p);
}

bool
problem_is_acknowledged(const struct problem *p, struct instant now)
{
    return p->ack.by && (!p->ack.until.ns || p->ack.until.ns > now.ns);
}

bool
problem_reminds(const struct problem *p, const struct problem_heard *heard, struct span every,
                struct instant now)
{
    return p->state == PROBLEM_OPEN && p->told && !problem_is_acknowledged(p, now) && heard &&
           heard->open && every.ns > 0 && heard->at.ns + every.ns <= now.ns;
}

/* Whether nothing of it is outside of a window. */
static bool
probe_is_silenced(const struct reach *r, uint32_t probe, const int64_t *window, int64_t *by)
{
    uint32_t count;
    const uint32_t *list = reach_list(&r->probe_links, probe, &count);
    bool all = count > 0;

    for (uint32_t i = 0; i < count && all; i++) {
        all = window[list[i]] != 0;
        *by = all ? window[list[i]] : *by;
    }
    return all;
}

static bool
service_is_silenced(const struct reach *r, uint32_t service, const int64_t *window, int64_t *by)
{
    const struct inv_service *s = &r->inv->services[service];
    bool all = s->over_count > 0;

    for (size_t i = 0; i < s->over_count && all; i++) {
        const struct inv_group *g = s->over[i].group;
        const struct inv_link *l = s->over[i].link ? s->over[i].link
                                   : g             ? g->members[0].link
                                                   : NULL;
        all = l && window[l - r->inv->links] != 0;
        *by = all ? window[l - r->inv->links] : *by;
    }
    return all;
}

const char *
problem_is_held(const struct problem *p, const struct reach *r, const int64_t *window, char *buf,
                size_t size)
{
    bool all = false;
    int64_t by = 0;

    for (const struct symptom *s = p->symptoms; s; s = s->next) {
        if (!problem_is_kept_by(p, s) || s->place == REACH_NONE) {
            continue;
        }
        if (s->scope == SYMPTOM_LINK) {
            all = window[s->place] != 0;
            by = all ? window[s->place] : by;
        } else if (s->scope == SYMPTOM_PROBE) {
            all = probe_is_silenced(r, s->place - r->links, window, &by);
        } else {
            all = service_is_silenced(r, s->place - r->links - r->probes, window, &by);
        }
        if (!all) {
            return NULL;
        }
    }
    if (!all) {
        return NULL;
    }
    snprintf(buf, size, "maintenance %" PRId64, by);
    return buf;
}

int
problem_hold(struct problem *p, const char *why, struct instant now)
{
    if (p->held && why && !strcmp(p->held, why)) {
        return 0;
    }
    if (!p->held && !why) {
        return 0;
    }
    char *copy = why ? strdup(why) : NULL;
    if (why && !copy) {
        return -ENOMEM;
    }
    free(p->held);
    p->held = copy;
    p->changed = true;
    return why ? problem_step(p, PROBLEM_STEP_HELD, now, "nobody is told: %s", why)
               : problem_step(p, PROBLEM_STEP_HELD, now, "it is held no more");
}

struct problem_heard *
problem_heard(struct problem *p, const char *hook)
{
    for (size_t i = 0; i < p->heard_count; i++) {
        if (!strcmp(p->heard[i].hook, hook)) {
            return &p->heard[i];
        }
    }
    return NULL;
}

struct problem_heard *
problem_hear(struct problem *p, const char *hook)
{
    struct problem_heard *h = problem_heard(p, hook);

    if (h) {
        return h;
    }
    struct problem_heard *heard = reallocarray(p->heard, p->heard_count + 1, sizeof *heard);
    if (!heard) {
        return NULL;
    }
    p->heard = heard;
    p->heard[p->heard_count] = (struct problem_heard){.hook = hook};
    return &p->heard[p->heard_count++];
}

const char *
problem_state_name(enum problem_state state)
{
    return state_names[state];
}

const char *
problem_step_name(enum problem_what what)
{
    return step_names[what];
}
