/* exclusion.h - which time does not count: maintenance, exclusions, out of service.
 *
 * After nstime.h, before tally.h.  Does no I/O; judge.c reads windows from PostgreSQL. */
#ifndef PLUMBLINE_EXCLUSION_H
#define PLUMBLINE_EXCLUSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nstime.h"
#include "tally.h"

struct exclusion_window {
    struct instant start, end; /* [start, end). */
    enum exclusion_kind kind;
    struct instant announced; /* Of maintenance: when it was recorded. */
    size_t number;            /* The caller's: goes with it to what counts. */
};

/* A maintenance window counts only if it was announced 'notice' before its start (at the latest
 * instant: it counts), and inside the month's allowance ([month, month_end), UTC borders of the
 * tenant's month; 0: without bound), of which the windows that start earlier use first.  Time that
 * several windows cover is paid for once; a window that does not count uses nothing.  Under an
 * allowance maintenance is cut to the month, too: what lies outside of it is another month's to
 * give.  Windows of other kinds count as they are, empty ones never.
 *
 * Writes to 'out' (room for 'count', not 'windows') those that count, cut to the allowance, sorted
 * by start; returns how many.  The order of 'windows' does not matter. */
size_t exclusion_valid(const struct exclusion_window *windows, size_t count, struct span notice,
                       struct span allowance, struct instant month, struct instant month_end,
                       struct exclusion_window *out);

/* Marks each of 'dt_count' delta-t of 'dt' from 'start' on that a window intersects (both are
 * half-open: to touch is not to intersect).  'kinds' (dt_count of enum exclusion_kind) is written
 * where its value is EXCLUSION_NONE or greater than the window's kind; so the order of the windows
 * does not matter. */
void exclusion_mark(const struct exclusion_window *windows, size_t count, struct instant start,
                    struct span dt, size_t dt_count, uint8_t *kinds);

#endif
