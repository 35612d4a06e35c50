/* alarmstore.h - alarms in PostgreSQL: what was written of a source, and what is to be.
 *
 * After watch.h and pg.h; before worker.h.  What a watch has waiting goes out in one small
 * transaction, with a row for the desk (alarm_news) each, and the channel plumbline_alarm is
 * notified.  Calls block, a few seconds at most. */
#ifndef PLUMBLINE_ALARMSTORE_H
#define PLUMBLINE_ALARMSTORE_H

#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "bytes.h"
#include "watch.h"

/* Channel on which the desk may listen. */
#define ALARMSTORE_CHANNEL "plumbline_alarm"
/* One transaction holds at most so many. */
#define ALARMSTORE_BATCH 10000u

struct alarmstore_batch {
    struct bytes json;
    size_t count;
};

/* 0; -EBADMSG: PostgreSQL refused, and the connection is good; -EIO: it is not; -ENOMEM.  'why'
 * says what it was. */

/* Tells 'w' of the source's alarms that are raised, or were decided after 'since'. */
int alarmstore_load(PGconn *conn, int64_t source_id, struct instant since, struct instant now,
                    struct watch *w, char *why, size_t why_size);

/* Tells 'w' what the past was (plumbline_store.baseline), if somebody has written that. */
int alarmstore_baselines(PGconn *conn, const char *observer, struct watch *w, char *why,
                         size_t why_size);

void alarmstore_begin(struct alarmstore_batch *b);
void alarmstore_add(struct alarmstore_batch *b, int64_t source_id, const struct watch_news *n);
/* Written twice it is the same, but for the row of the desk. */
int alarmstore_write(PGconn *conn, struct alarmstore_batch *b, char *why, size_t why_size);
void alarmstore_fini(struct alarmstore_batch *b);

#endif
