/* alarmstore_parts.h - what the files of alarmstore.h share, and nobody else: alarmstore.c writes
 * rows of alarms, alarmstore_load.c reads them. */
#ifndef PLUMBLINE_ALARMSTORE_PARTS_H
#define PLUMBLINE_ALARMSTORE_PARTS_H

#include <errno.h>

#include "alarmstore.h"

/* So many numbers say how far a flow came (sql/0021-progress.sql). */
#define ALARMSTORE_PROGRESS 15

static inline int
alarmstore_failed(PGconn *conn)
{
    return PQstatus(conn) == CONNECTION_OK ? -EBADMSG : -EIO;
}

#endif
