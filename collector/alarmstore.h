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
    struct bytes json;     /* Rows: objects, parted by commas. */
    struct bytes starts;   /* A size_t each: where it begins. */
    struct bytes some;     /* Those of one statement. */
    struct bytes given_up; /* Two texts each: the row, and why. */
    size_t count;
    size_t loud; /* Of them: what the desk must know of. */
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
/* How far an alarm came goes into the row that is there, and the desk is not told. */
void alarmstore_add(struct alarmstore_batch *b, int64_t source_id, const struct watch_news *n);
/* A row, as JSON, that PostgreSQL will never take, and why. */
typedef void alarmstore_given_up_fn(const char *row, const char *why, void *aux);
/* Written twice it is the same, but for the row of the desk.  Where a row cannot be written (a
 * value that no column takes; a constraint that keeps it out while another row of the batch goes
 * in) the others are, and 'given_up' is called with each that is not once they are committed.  What
 * keeps all rows out may be mended: then nothing is written, and -EBADMSG. */
int alarmstore_write(PGconn *conn, struct alarmstore_batch *b, alarmstore_given_up_fn *given_up,
                     void *aux, char *why, size_t why_size);
void alarmstore_fini(struct alarmstore_batch *b);

#endif
