/* assemble_parts.h - what the files of assemble.h share, and nobody else: assemble.c (which entry
 * comes next; what is over, written, safe), assemble_take.c (from an entry to what is held),
 * assemble_rows.c (from what is held to the records of rows).
 *
 * After assemble_session.h and interval.h.  None of the three calls another. */
#ifndef PLUMBLINE_ASSEMBLE_PARTS_H
#define PLUMBLINE_ASSEMBLE_PARTS_H

#include "assemble.h"
#include "interval.h"

/* Where summaries that did not come are unknown. */
struct unknown {
    struct unknown *next;
    struct instant from, until; /* until INT64_MAX: up to the next watermark. */
    struct position before;
};

struct assemble {
    struct assemble_config config;
    char source[SERIES_NAME_MAX + 1];
    struct position read, begin_at;
    struct instant final_until, written_until;
    struct interval *intervals;
    struct unknown *unknowns;
    struct assemble_session_table sessions;
    size_t gap_count;
    struct position gap_before; /* Valid if gap_count. */
    struct instant gap_deadline;
    size_t held;
    struct dt_record *records; /* DIRECTIONS * record_room */
    size_t record_room;
    struct bytes liveness;
    struct chunk *unpacked;
};

/* The interval that holds 'at' (not written yet), made if need be, pinned to
 * 'before'. */
static inline struct interval *
assemble_interval(struct assemble *a, struct instant at, struct position before)
{
    return interval_at(&a->intervals, at, a->config.interval, a->written_until, before);
}

/* 's' has spoken again, or is waited for no more. */
static inline void
assemble_gap_end(struct assemble *a, struct assemble_session *s)
{
    if (s->gap) {
        s->gap = false;
        a->gap_count--;
    }
}

#endif
