/* symptom.h - an alarm as the desk sees it: one rule that one object breaks, from raise to clear.
 *
 * After reach.h (the object's place); before cause.h, problem.h.  A symptom is one row of
 * plumbline_store.alarm, whoever wrote it; the desk knows those that are raised, and those of
 * problems that are open or were lately. */
#ifndef PLUMBLINE_SYMPTOM_H
#define PLUMBLINE_SYMPTOM_H

#include <stdbool.h>
#include <stdint.h>

#include "inventory_sold.h"
#include "nstime.h"
#include "texthash.h"

/* What is wrong; a problem's 'what'.  Silence counts as loss where causes are looked for: what a
 * dead probe's neighbours see of it is loss. */
enum symptom_what {
    SYMPTOM_LOSS,
    SYMPTOM_DELAY,
    SYMPTOM_SILENCE,
    SYMPTOM_CLOCK,
    SYMPTOM_BUDGET,
    SYMPTOM_OTHER,
    SYMPTOM_WHATS
};

enum symptom_scope { SYMPTOM_LINK, SYMPTOM_PROBE, SYMPTOM_SERVICE };

/* Of alarm.details (doc/problems.md); what it does not have is 0, 'has_...' false. */
struct symptom_details {
    bool has_value, has_baseline, has_ways, has_paths;
    int64_t value, worst, limit, baseline;
    enum inv_unit unit;
    unsigned paths, paths_over;
    int64_t lost_fwd, lost_bwd, undirected, sent, send_errors;
};

struct problem;

struct symptom {
    int64_t id;
    int64_t source_id;                                      /* 0: none. */
    const char *rule, *metric, *object, *class_, *observer; /* class_, observer: "" of all. */
    char *far, *objective_class, *objective_metric;         /* Of the details; NULL. */
    char *gone; /* Why nobody watches it any more; NULL. */
    enum symptom_what what;
    enum inv_severity severity;
    enum symptom_scope scope;
    uint32_t place; /* Of the object in struct reach; REACH_NONE: the inventory has none. */
    struct instant began, raised, recorded;
    struct instant cleared, ended; /* 0: it is raised. */
    unsigned flaps;
    struct symptom_details details;
    /* The problem's. */
    struct problem *problem; /* NULL: not yet of one. */
    struct symptom *next;    /* Of the same problem. */
    bool is_new;             /* That it is of it is not written. */
    /* The desk's. */
    uint32_t item;            /* Of cause.h, while causes are looked for. */
    struct UT_hash_handle hh; /* By id. */
    void *text;               /* What rule ... observer are in. */
};

/* Copies the texts.  NULL: memory is out. */
struct symptom *symptom_new(const char *rule, const char *metric, const char *object,
                            const char *class_, const char *observer);
void symptom_free(struct symptom *s);

/* Takes what 'json' has; what is of another type than it should be counts as not there.  0 or
 * -ENOMEM. */
int symptom_read_details(struct symptom *s, const char *json);

static inline bool
symptom_is_raised(const struct symptom *s)
{
    return s->cleared.ns == 0;
}

/* Budgets tell of what is past: they do not keep a problem of links open. */
static inline bool
symptom_is_passive(const struct symptom *s)
{
    return s->what == SYMPTOM_BUDGET;
}

enum symptom_what symptom_what_of(const char *metric);
/* "loss", "critical", "link": as the tables have them.  _parse: whether the text is one. */
const char *symptom_what_name(enum symptom_what what);
bool symptom_what_parse(const char *text, enum symptom_what *out);
const char *symptom_severity_name(enum inv_severity severity);
bool symptom_severity_parse(const char *text, enum inv_severity *out);
const char *symptom_scope_name(enum symptom_scope scope);
bool symptom_scope_parse(const char *text, enum symptom_scope *out);

#endif
