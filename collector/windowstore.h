/* windowstore.h - what is committed of the windows of a source's alarms, read from PostgreSQL.
 *
 * After watch.h, row.h, pg.h; before worker_alarm.c, which asks for it when it takes a source.  One
 * statement for all series of the source, ended by PostgreSQL after some seconds: what is asked for
 * is bounded, so that other sources of the worker do not wait. */
#ifndef PLUMBLINE_WINDOWSTORE_H
#define PLUMBLINE_WINDOWSTORE_H

#include <stddef.h>

#include <libpq-fe.h>

#include "assemble.h"
#include "watch.h"

/* So many intervals of sessions are asked for at most, or about: windows that would need more begin
 * anew. */
#define WINDOWSTORE_INTERVALS_MAX 50000u

/* Tells 'w' of the rows before 'until', in intervals of 'interval', of all sessions that 'a' knows.
 * No transaction is open.  0; -EBADMSG with the reason in 'why': PostgreSQL refused, the connection
 * is good, and windows have what came until then; -EIO: it is not good; -ENOMEM. */
int windowstore_read(PGconn *conn, struct assemble *a, struct watch *w, struct instant until,
                     struct span interval, char *why, size_t why_size);

#endif
