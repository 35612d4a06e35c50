/* account.h - how a verdict came about: all that PostgreSQL knows of one object and period,
 * put together as `plumbline explain --json` prints it.
 *
 * After judged.h, before explained.h (which shows it) and explain.c. */
#ifndef PLUMBLINE_ACCOUNT_H
#define PLUMBLINE_ACCOUNT_H

#include <cjson/cJSON.h>

#include "judged.h"

/* Of 'object' ("acme-cloud", or "service:acme-cloud" where a name is several things) in
 * 'period' ("2026-02"; NULL: the newest); runs, transitions and windows are at most 'limit'
 * (decimal; NULL: all).  The caller's: {"object", "kind", "period", "lines", "runs",
 * "runs_left_out", "transitions", "transitions_left_out", "windows", "windows_left_out"}, while
 * the period runs {"down"}, and of a service {"objectives", "revisions", "credit", "credit_steps"}
 * too.  NULL after it was told, and '*status' is then the exit status. */
cJSON *account_read(struct judged *j, const char *object, const char *period, const char *limit,
                    int *status);

#endif
