/* line.h - one thing that is counted, quarter hour by quarter hour: a way (link, class, direction)
 * for one scope, or a group or service as a whole.
 *
 * After tally.h and exclusion.h, before way.h and bond.h (who feed it) and judgestore.h
 * (PostgreSQL). Does no I/O.  What is counted of the quarter hour that is open is here alone:
 * whoever begins anew begins at a quarter hour's start, where 'available_before' and
 * 'high_loss_before' are all that goes on from before (availability.h says why). */
#ifndef PLUMBLINE_LINE_H
#define PLUMBLINE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "exclusion.h"
#include "inventory_sold.h"
#include "nstime.h"
#include "tally.h"

#define LINE_QUARTER_NS (900 * NS_PER_S)

/* Connector: its tails together, where a contract covers them. */
enum line_scope { LINE_LINK, LINE_GROUP, LINE_SERVICE, LINE_CONNECTOR, LINE_SCOPES };

/* enum direction, and DIRECTIONS for both ways together. */
#define LINE_BOTH DIRECTIONS

/* The states of a quarter hour as they are stored: LINE_STATES_FORMAT in a byte, then a varint a
 * run, 'count << LINE_STATE_BITS | state'.  judged_states() in sql/0010-sla.sql and outage.c read
 * it. */
enum { LINE_STATES_FORMAT = 1 };
enum line_state {
    LINE_STATE_AVAILABLE = 1 << 0,
    LINE_STATE_UNDETERMINED = 1 << 1,
    LINE_STATE_HIGH_LOSS = 1 << 2,
    LINE_STATE_EXCLUDED_SHIFT = 3, /* enum exclusion_kind from this bit on. */
    LINE_STATE_BITS = 6
};

struct line_transition {
    struct instant at;
    bool available;
};

/* What a contract says of it. */
struct line_terms {
    enum inv_undetermined undetermined;
    bool suspect_excluded;           /* As in struct tally_config. */
    uint64_t suspect_clock_error_ns; /* The same. */
};

struct line {
    int64_t id;
    enum line_scope scope_kind;
    const char *scope, *object, *class_name; /* The inventory's. */
    unsigned direction;                      /* enum direction or LINE_BOTH. */
    struct span dt;
    struct availability_params params;
    struct tally_config config;
    const int64_t *limit_ids; /* Of the limits that the tally counts, in its order: the way's. */
    unsigned limit_count;
    struct line_terms terms, next_terms; /* Before terms_until, and from there on. */
    struct instant terms_until;
    struct instant in_service;        /* 0: since ever. */
    struct instant out_of_service;    /* Nothing counts from then on; 0: without end. */
    struct exclusion_window *windows; /* Its own; that count, sorted by start. */
    size_t window_count;
    bool stored;                 /* judged_line has it. */
    struct instant stored_until; /* What is stored of the open quarter hour. */
    /* The open quarter hour. */
    struct instant quarter, until; /* quarter.ns < 0: nothing was begun. */
    bool available_before;
    uint32_t high_loss_before;
    bool available; /* A of the last delta-t, */
    struct tally tally;
    struct tally_state state; /* and of the last that counts: here an outage may begin. */
    struct bytes states;      /* Encoded but for the last run. */
    uint8_t run_state;
    uint64_t run_count;
    struct line_transition *transitions; /* Of the open quarter hour. */
    size_t transition_count, transition_room;
    /* Complete quarter hours of the period that runs; promise_period.c's. */
    struct instant period_start, period_end; /* Empty: of no promise. */
    struct tally period;
    struct line *next; /* Of the same way, bond. */
};

/* Names are borrowed.  NULL: memory is out. */
struct line *line_new(enum line_scope kind, const char *scope, const char *object,
                      const char *class_name, unsigned direction);
void line_free(struct line *l);

const char *line_scope_name(enum line_scope kind); /* "link", "group" ... */
const char *line_direction_name(unsigned direction);

/* Begins the quarter hour that starts at 'quarter'; what was open is forgotten. */
void line_begin(struct line *l, struct instant quarter, bool available_before,
                uint32_t high_loss_before);

/* Adds the interval from 'start' on (== until): availability of each delta-t (0 or 1) and what was
 * measured.  0 or a negative errno, after which the line has to begin anew. */
int line_add(struct line *l, struct instant start, const struct measured *m,
             const uint8_t *available);

/* The same of a whole: 'count' states (enum together_bit) and nothing measured. */
int line_add_states(struct line *l, struct instant start, const uint8_t *states, size_t count);

/* Whether the quarter hour is complete. */
bool line_is_complete(const struct line *l);

/* The encoding of the states (judged_states() in sql/0010-sla.sql reads it), which is good until
 * something is added.  The same states have the same bytes, however often this was asked for. */
int line_states(struct line *l, const uint8_t **bytes, size_t *size);

/* Goes on with the next quarter hour; what is complete is added to the period that it lies in.  0
 * or a negative errno. */
int line_next(struct line *l);

#endif
