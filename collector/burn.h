/* burn.h - alarms of metric 'budget': how fast an objective of a service spends what its month may.
 *
 * After inventory_sold.h (rules), pg.h and what judge.c wrote (plumbline_store.objective_state);
 * before purse.c, which calls it each minute.  Remembers in plumbline_store.burn what was spent and
 * when, and nothing in memory.
 *
 * An alarm is of a rule and a service; of its objectives the one that burns fastest decides.  Time
 * is that up to which the service is judged: a source that is late raises nothing, and clears
 * nothing. */
#ifndef PLUMBLINE_BURN_H
#define PLUMBLINE_BURN_H

#include <stddef.h>

#include <libpq-fe.h>

#include "inventory.h"
#include "nstime.h"

/* Looks once: notes what was spent, writes alarms and alarm_news, in one transaction of its own on
 * 'conn' (none is open).  What is raised again within 'hold' after it cleared is the same alarm.
 * 0; -EIO with the reason in 'why', and nothing was changed; -ENOMEM. */
int burn_round(PGconn *conn, const struct inventory *inv, struct span hold, struct instant now,
               char *why, size_t why_size);

#endif
