/* keeper.h - the collector's slow chores in PostgreSQL: days that are over are
 * rewritten in (series, time) order.
 *
 * After pg.h.  A thread and a connection of its own, so that no worker waits for
 * it; an advisory lock, so that of all collectors one does it. */
#ifndef PLUMBLINE_KEEPER_H
#define PLUMBLINE_KEEPER_H

#include "config.h"

struct keeper;

/* 0 or negative errno.  'config' outlives it. */
int keeper_start(struct keeper **out, const struct config_postgresql *config);

/* Ends it, also in the middle of a chore (which leaves the day as it was).  NULL
 * is fine. */
void keeper_stop(struct keeper *k);

#endif
