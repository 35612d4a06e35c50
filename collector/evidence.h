/* evidence.h - why a problem's cause is what it is taken for, and what else is known beside it.
 *
 * After problem.h; before notice.h, which prints it, and desk.h, which brings the facts.  Does no
 * I/O.  A list of objects {"kind", "text", ...} (doc/problems.md).  To add a kind: a function in
 * the table of evidence.c; what it needs of the database is a list in evidence_facts. */
#ifndef PLUMBLINE_EVIDENCE_H
#define PLUMBLINE_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "problem.h"
#include "reach.h"

/* The received TTL of a link's packets changed. */
struct evidence_event {
    uint32_t link;
    struct instant at;
    char direction[8];
    int64_t from, to;
};

/* What an objective of a service may spend in its month, and has. */
struct evidence_budget {
    uint32_t service; /* Of the inventory's. */
    char class_[64], metric[24];
    int64_t used, budget;
};

/* A window of maintenance, a link each. */
struct evidence_window {
    int64_t id;
    uint32_t link;
    struct instant start, end;
    bool runs, silences;
};

/* Of a probe. */
struct evidence_source {
    struct instant committed; /* When its stream was last written; ns 0: never. */
    bool closed;
    const struct symptom *silence, *clock; /* Raised; NULL: none. */
};

struct evidence_facts {
    struct instant now;
    const bool *down; /* Links of which something is bad. */
    struct evidence_event *events;
    size_t event_count;
    struct evidence_budget *budgets;
    size_t budget_count;
    struct evidence_window *windows;
    size_t window_count;
    struct evidence_source *sources; /* Of each probe. */
};

/* Once all is in. */
void evidence_sort(struct evidence_facts *f);

/* The array; the caller's.  NULL: memory is out. */
cJSON *evidence_find(const struct evidence_facts *f, const struct reach *r,
                     const struct problem *p);

#endif
