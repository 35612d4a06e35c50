/* explained.h - an account (account.h) as people read it.
 *
 * After account.h and judged.h, before explain.c.  Prints on stdout what `plumbline explain --json`
 * prints too; texts in it were tamed (judged_tame()). */
#ifndef PLUMBLINE_EXPLAINED_H
#define PLUMBLINE_EXPLAINED_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

/* What was promised, the outcome in a few words, and each objective. */
void explained_promise(const cJSON *account);

/* What was counted, delta-t by delta-t, and what was recorded: windows, changes of state,
 * revisions, the credit with at most 'limit' outages; after a miss what to do next. */
void explained_counted(const cJSON *account, int64_t limit);

/* Whether 'worst', of an objective, is the object as a whole, "acme-cloud both": no part of it is
 * to blame. */
bool explained_is_whole(const cJSON *account, const char *worst);

#endif
