/* calendar.h - `plumbline maintenance import`: a carrier's calendar to PostgreSQL, event by
 * event.
 *
 * After ics.h (what is in the file) and window.h; used by maintenance.c.  The rules are in
 * sql/0009-maintenance.sql, maintenance_import(). */
#ifndef PLUMBLINE_CALENDAR_H
#define PLUMBLINE_CALENDAR_H

#include "window.h"

/* EXIT_GOOD: all of it is in force; EXIT_BAD: some is not, which was told; EXIT_USAGE: the
 * file is wrong, and nothing was imported; EXIT_UNAVAILABLE. */
int calendar_import(struct window_options *o);

#endif
