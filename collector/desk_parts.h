/* desk_parts.h - what the desk has on it, for desk*.c only.
 *
 * desk.c has the thread and its loop; desk_load.c what comes from the tables; desk_sort.c what
 * becomes of it: causes, problems; desk_facts.c what else is known; desk_tell.c what is said. */
#ifndef PLUMBLINE_DESK_PARTS_H
#define PLUMBLINE_DESK_PARTS_H

#include "cause.h"
#include "desk.h"
#include "deskstore.h"
#include "evidence.h"
#include "notice.h"

struct table {
    const struct collector_config *config;
    const struct inventory *inventory;
    struct counter *counters;
    struct deskstore store;
    struct reach *reach;
    char installation[64];
    struct symptom *symptoms; /* By id. */
    struct problem *problems; /* By id: open ones, and those that ended lately. */
    struct problem **fresh;   /* Made in this round, without a number. */
    size_t fresh_count, fresh_room;
    size_t waiting;              /* Symptoms of no problem. */
    bool *down;                  /* Links of which something is raised. */
    int64_t *window;             /* Links: of the window that silences it, or 0. */
    struct evidence_facts facts; /* Its windows run, or lately did. */
    struct instant now;
    struct instant second; /* When what is done each second was done. */
    int64_t *wanted;       /* Problems that are to be loaded. */
    size_t wanted_count, wanted_room;
    struct deskstore_batch batch;
};

/* All from the tables.  0, -EIO with the reason in store.why, or -ENOMEM; so do all below. */
int table_load(struct table *t);
void table_fini(struct table *t);

/* Takes what the inbox has. */
int table_take_news(struct table *t, size_t *taken);
/* Windows, acknowledgements, alarms that nobody looks after. */
int table_look_round(struct table *t);

/* Causes are looked for, problems made, joined, merged, reviewed. */
int table_sort(struct table *t);
/* What is due is put into the batch. */
int table_tell(struct table *t);
/* Writes the batch; then it is as written. */
int table_write(struct table *t);
void table_forget(struct table *t);

/* Looks for evidence for those problems that are marked. */
int table_find_evidence(struct table *t);
void table_fini_facts(struct table *t);

/* Makes the title. */
int table_look_at(struct table *t, struct problem *p);

int table_compare_ids(const void *a, const void *b);

#endif
