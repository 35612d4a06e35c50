/* way.h - one class of one link as it is judged: which series and sources it has, from which
 * interval on it is not judged yet, and the step that judges some intervals of it.
 *
 * After line.h, before bond.h (groups, services) and judge.c, which reads the rows.  Does no I/O.
 *
 * Of a link whose far end tells no direction only the round trip is judged. */
#ifndef PLUMBLINE_WAY_H
#define PLUMBLINE_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inventory.h"
#include "line.h"
#include "measured.h"

/* A step reads so many intervals at most, and as many as n delta-t need. */
#define WAY_INTERVALS_MAX 64

/* A series of it, for whoever reads rows. */
struct way_series {
    int64_t series_id, source_id;
    struct way *way;
    enum direction direction;
    uint16_t flow;
    bool witness;
};

/* Decided states (enum together_bit) of consecutive delta-t, kept while somebody needs them. */
struct way_states {
    struct instant start; /* Of states[0]. */
    uint8_t *states;
    size_t count, room;
};

struct way {
    const struct inv_link *link;
    const struct inv_class *class_;
    struct span interval;
    uint32_t dt_count; /* Of an interval. */
    bool used[DIRECTIONS];
    struct way_series *series;
    size_t series_count;
    struct series_limit limits[SERIES_LIMITS_MAX]; /* Counted in over[], link's frame. */
    int64_t limit_ids[SERIES_LIMITS_MAX]; /* What each is, for whoever stores what was counted. */
    unsigned limit_count;
    struct line *lines[DIRECTIONS]; /* Each a list: the link's own first, then the services'. */
    struct instant next;            /* Intervals from here on are not judged. */
    struct instant began;           /* From here on they are, as far as a new whole is to know. */
    bool available[DIRECTIONS];     /* A right before 'next'. */
    /* rounds.c's: rows before 'horizon' are final, up to 'tried' they were read in vain, and states
     * from 'keep' on are needed. */
    struct instant horizon, tried, keep;
    size_t slot;              /* rounds.c's: its place among those that are read at once. */
    struct way_states states; /* Of both ways together. */
    unsigned users;           /* Groups and services that need them. */
};

/* NULL: memory is out. */
struct way *way_new(const struct inventory *inv, const struct inv_link *link,
                    const struct inv_class *class_);
void way_free(struct way *w);

/* Adds a service's line of that direction, after the link's own.  NULL: memory is out. */
struct line *way_add_line(struct way *w, enum direction d, const char *service);

/* How many intervals a step has to read so that the first of them is decided. */
unsigned way_intervals_needed(const struct way *w);

/* Judges 'count' consecutive intervals from 'next' on: measured[direction][interval].  Those at the
 * end that later ones have yet to decide are left for the next step.  Returns how many were judged,
 * or a negative errno. */
int way_step(struct way *w, struct measured *const measured[DIRECTIONS][WAY_INTERVALS_MAX],
             unsigned count);

/* Keeps states from 'from' on only. */
void way_states_trim(struct way_states *s, struct instant from, struct span dt);
int way_states_add(struct way_states *s, struct instant start, const uint8_t *states, size_t count,
                   struct span dt);

#endif
