/* events.h - the newest of what the sources told beside their measurements, as
 * `plumbline status` shows it.
 *
 * After pg.h, before status.c.  Reads the view plumbline.v_event. */
#ifndef PLUMBLINE_EVENTS_H
#define PLUMBLINE_EVENTS_H

#include <stddef.h>

#include <cjson/cJSON.h>
#include <libpq-fe.h>

/* Those of the last day, newest first, at most 'limit'.  The caller's: PQclear().  NULL if
 * they cannot be read: 'why' says why ("" where the database is of an earlier release and
 * has none). */
PGresult *events_read(PGconn *conn, unsigned limit, char *why, size_t why_size);

/* A table of them, with a heading; nothing if there are none. */
void events_print(const PGresult *r);

/* An array; empty for NULL. */
cJSON *events_json(const PGresult *r);

#endif
