/* courierstore_parts.h - between courierstore.c (what there is), courierstore_write.c (what became
 * of it) and courierstore_tidy.c (what need not be said, and what is old). */
#ifndef PLUMBLINE_COURIERSTORE_PARTS_H
#define PLUMBLINE_COURIERSTORE_PARTS_H

#include "courierstore.h"

#define COURIERSTORE_NUMBER_SIZE 32
#define COURIERSTORE_OUTBOX "plumbline_store.outbox"
/* Why a resolve was given up. */
#define COURIERSTORE_NEVER_OPENED "its open is dead: there is nothing to resolve"

/* As a parameter; both return 'buf'. */
const char *courierstore_number(char buf[COURIERSTORE_NUMBER_SIZE], int64_t v);
/* For make_interval(). */
const char *courierstore_seconds(char buf[COURIERSTORE_NUMBER_SIZE], struct span s);

/* "{1,2}", of 'b'; NULL: memory is out. */
const char *courierstore_array(struct bytes *b, const int64_t *ids, size_t count);

/* What is away. */
const char *courierstore_away(struct courierstore *s);
/* {"noc","acme"}, of 'b'; NULL: memory is out. */
const char *courierstore_names(struct bytes *b, const char *const *keys, size_t count);

/* Rows, which are the caller's; NULL: -EIO. */
PGresult *courierstore_ask(struct courierstore *s, const char *sql, int count,
                           const char *const *values);
/* For its effect; 0 or -EIO. */
int courierstore_run(struct courierstore *s, const char *sql, int count, const char *const *values);

#endif
