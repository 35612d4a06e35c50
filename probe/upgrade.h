/* upgrade.h - a probe of one release goes over to a process of another, with its sockets,
 * sessions and sequences.
 *
 * On successor.h (seen from the old process) and predecessor.h (from the new one); wired by
 * main.c.  The old process finishes what was sent before the border of each session and
 * tells it under its own epoch; then it lets go of the spool, and the new one opens an epoch
 * with what it has measured from those borders on. */
#ifndef PLUMBLINE_UPGRADE_H
#define PLUMBLINE_UPGRADE_H

#include "probe.h"

/* SIGUSR2: starts the successor.  What goes wrong is told, and this process goes on. */
void upgrade_begin(struct probe *p);

/* The successor's probe_open(): 'fd' is the channel to the running probe, and is taken.
 * What needs the spool is opened later, and p->opened() called then. */
int upgrade_open(struct probe *p, int fd);

/* Whether a reload or a stop must wait: p->opened() or p->reload() is called then. */
bool upgrade_is_under_way(const struct probe *p);

/* Whether this process only waits for its last packets. */
bool upgrade_has_left(const struct probe *p);

void upgrade_free(struct probe *p);

#endif
