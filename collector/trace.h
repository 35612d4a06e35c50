/* trace.h - paths, hop by hop: what is asked of the probes, and what they answer.
 *
 * After telemetry.h and inventory.h; before worker.h.  A request is a row that the desk wrote; the
 * worker that reads the probe's stream tells it behind the ack (doc/wire-format.md).  An answer
 * comes with a batch and is written at once, for a ticket waits for it; the same answer read again
 * changes nothing.  Tables: sql/0018-trace.sql. */
#ifndef PLUMBLINE_TRACE_H
#define PLUMBLINE_TRACE_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>
#include <libpq-fe.h>

#include "inventory.h"
#include "nstime.h"
#include "telemetry.h"

enum { TRACE_HOPS_MAX = 30, TRACE_ERROR_MAX = 200 };

/* What is asked of one probe at a time, as text behind its ack: " 17:par1-lon1-a,18:par1-lon1-b".
 */
enum { TRACE_ASK_MAX = 4, TRACE_ASK_SIZE = 4 * (24 + 2 * SERIES_NAME_MAX + 2) };

/* Asks 'probe' to follow 'link' for this problem, once: asked again, it changes nothing.  For the
 * desk, inside of its transaction or not.  0, or -EIO with the reason in 'why'. */
int trace_ask(PGconn *conn, int64_t problem, const char *probe, const char *link, char *why,
              size_t why_size);

/* Calls 'fn' for each request that waits for its probe; each is repeated until it is answered, or
 * two minutes old, when it is given up.  0, or -EIO with the reason in 'why'. */
typedef void trace_ask_fn(const char *probe, const char *number, const char *link, void *aux);
int trace_requests(PGconn *conn, trace_ask_fn *fn, void *aux, char *why, size_t why_size);

/* Whether that is a path of one of the source's own links, as a probe can have seen it; from over
 * 60 s ahead of 'now' it cannot be. */
bool trace_is_sound(const struct inventory *inv, const char *source,
                    const Plumbline__Telemetry__Trace *t, struct instant now);

/* The hops as sql/0018-trace.sql has them.  The caller's; NULL: memory is out. */
cJSON *trace_hops(const Plumbline__Telemetry__Trace *t);

/* Writes the batch's: how many were none ('*refused' is added to).  Of what nobody asked for, which
 * is there to compare with, a link and probe keep a week, and always the newest.  0, -ENOMEM, or
 * -EIO with the reason in 'why'. */
int trace_write(PGconn *conn, const struct inventory *inv, const char *source,
                const pb_batch *batch, uint64_t *refused, char *why, size_t why_size);

#endif
