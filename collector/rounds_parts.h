/* rounds_parts.h - what the files of rounds.h share, and nobody else: rounds.c (the order of
 * things), rounds_begin.c (where to begin), rounds_windows.c (what does not count, and what changed
 * behind us), rounds_rows.c (rows by way, direction, interval). */
#ifndef PLUMBLINE_ROUNDS_PARTS_H
#define PLUMBLINE_ROUNDS_PARTS_H

#include "judgeplan.h"
#include "judgestore.h"
#include "promise.h"
#include "rounds.h"

/* Ways, and of all of them intervals, whose rows are read at once: bounds what is held of them. */
#define ROUNDS_CHUNK 256
#define ROUNDS_CHUNK_INTERVALS 4096
/* What was never judged is judged from so long ago on. */
#define ROUNDS_BACK_NS (62 * 86400 * NS_PER_S)

/* --- Maps by identifier --------------------------------------------------- */

struct entry {
    int64_t id;
    union {
        int64_t ns;
        struct judgestore_params *params;
    };
};

struct map {
    struct entry *list; /* Sorted by id. */
    size_t count, room;
};

/* 0 or -ENOMEM. */
int map_add(struct map *m, struct entry e);
void map_sort(struct map *m); /* After adding, before finding. */
struct entry *map_find(const struct map *m, int64_t id);

struct rounds {
    struct judgestore *store;
    struct counter *counters;
    struct judgeplan *plan;
    struct map sources, pending, params;
    struct line **lines; /* All. */
    size_t line_count;
    /* Of this round: those that have something to judge, and those of which something was. */
    struct way **ready, **moved;
    struct bond **moved_bonds;
    size_t moved_count, moved_bond_count;
    const struct way_series **asked; /* Series whose rows are read, in their order. */
    size_t asked_count, asked_room;
    struct promise_states states;
    struct measured *measured[DIRECTIONS][WAY_INTERVALS_MAX];
    int heads[ROUNDS_CHUNK][DIRECTIONS]
             [WAY_INTERVALS_MAX]; /* Rows by way, direction, interval ... */
    int *next;                    /* ... as lists. */
    size_t next_room;
    int64_t day;               /* Whose partitions there are. */
    struct instant look_again; /* For ways that were never measured. */
};

/* Where what is stored ends, for everything.  0 or a negative errno, as all of these. */
int rounds_begin(struct rounds *r, struct instant now);
/* Whether what was never measured is now, so that it can begin. */
int rounds_look_again(struct rounds *r, struct instant now, bool *any);
/* How far all of a promise is, in one number: it grows whenever something of it was judged. */
int64_t rounds_stamp(const struct promise *p);
/* The same for a whole whose parts have begun meanwhile. */
void rounds_begin_bond(struct bond *b);

/* The windows that count, into every line. */
int rounds_windows(struct rounds *r, struct instant now);
/* Takes what changed behind us from the inbox; '*any': something is to be judged again, so begin
 * anew. */
int rounds_changes(struct rounds *r, bool *any);

/* Sorts rows into r->heads, by way (its place in 'ways'), direction and interval. */
int rounds_sort_rows(struct rounds *r, const PGresult *rows, struct way *const *ways, size_t count);
/* One interval of one direction from its rows; '*at' is made if it is NULL. */
int rounds_measure(struct rounds *r, const PGresult *rows, int first, const struct way *w,
                   struct measured **at);

#endif
