/* ledger.h - which certificates were made for whom, and which of them are revoked:
 * the file index.txt of the folder that probes are enrolled in.
 *
 * Used by enrol.c and revoke.c.  It has the layout of `openssl ca`, so that openssl
 * makes a revocation list of it: "V" or "R", end, time of revocation, serial,
 * "unknown", subject; tabs between them.  Other lines stay as they are.  Whoever has
 * it open has it alone. */
#ifndef PLUMBLINE_LEDGER_H
#define PLUMBLINE_LEDGER_H

#include <stddef.h>

#include "nstime.h"

struct ledger;

/* Waits for whoever has it open.  A ledger that is not there yet is empty.  0 or
 * negative errno; -EBADMSG: the file is no such index. */
int ledger_open(const char *folder, struct ledger **out);
void ledger_close(struct ledger *l);

/* How many certificates of 'name' are neither revoked nor over at 'now'. */
size_t ledger_good(const struct ledger *l, const char *name, struct instant now);

/* Whether there is any of 'name', good or not. */
size_t ledger_known(const struct ledger *l, const char *name);

/* Adds one: 0 or -ENOMEM.  Nothing is written before ledger_write(). */
int ledger_add(struct ledger *l, const char *name, const char *serial, struct instant end);

/* Revokes those of 'name' that are good; calls 'fn' with the serial of each.  How many, or
 * -ENOMEM. */
typedef void ledger_fn(const char *serial, struct instant end, void *aux);
int ledger_revoke(struct ledger *l, const char *name, struct instant now, ledger_fn *fn, void *aux);

/* 0 or negative errno; the file is as before then. */
int ledger_write(const struct ledger *l);

#endif
