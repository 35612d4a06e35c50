/* judged.h - what was judged, as the operator's commands read and show it: rows of
 * PostgreSQL as JSON, values with their units, metrics and doubts in words.
 *
 * After pg.h, value.h; before sla.c, explain.c, credits.c.  A table is printed from the
 * JSON that --json prints, so both say the same.  Tells on stderr what is wrong; an exit
 * status is one of cli.h. */
#ifndef PLUMBLINE_JUDGED_H
#define PLUMBLINE_JUDGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <libpq-fe.h>

/* Enough for each text below. */
#define JUDGED_TEXT_SIZE 64

/* Of an SQL expression of type timestamptz, as it is shown. */
#define JUDGED_UTC(expression)                                                                     \
    "to_char((" expression ") AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

/* Whose words these are, and where the server is. */
struct judged {
    const char *verb; /* "sla": for messages. */
    const char *config, *postgresql;
    const char *role; /* NULL: who logs in. */
    PGconn *conn;
};

/* EXIT_GOOD, or EXIT_USAGE, EXIT_UNAVAILABLE after it was told.  Close in any case. */
int judged_open(struct judged *j);
void judged_close(struct judged *j);

/* Rows as an array of objects, a member a column, and '*left_out' (may be NULL) the rows
 * that were more than asked for: the column "rows_in_all", which is in no object, less what
 * is there.  NULL after it was told, and '*status' is then the exit status: EXIT_USAGE if a
 * rule refused it. */
cJSON *judged_read(struct judged *j, const char *sql, int count, const char *const *values,
                   int64_t *left_out, int *status);

/* Objectives with their states: of 'services' ("{a,b}"; NULL: all) and of 'period' ("2026-02";
 * NULL: of what runs; "": of each), at most 'limit' (decimal; NULL: all), worst first, or
 * 'by_number'.  As judged_read(). */
cJSON *judged_objectives(struct judged *j, const char *services, const char *period,
                         const char *limit, bool by_number, int64_t *left_out, int *status);

/* A member's text, "" if there is none; its number, or 0, and whether there is one. */
const char *judged_text(const cJSON *o, const char *name);
int64_t judged_number(const cJSON *o, const char *name);
bool judged_has(const cJSON *o, const char *name);
/* "a, b" of the member, an array of texts; cut at 'size'. */
const char *judged_list(const cJSON *o, const char *name, char *buf, size_t size);
/* For a terminal: what could move the cursor, or turn text around, becomes '?' in each text of it.
 */
void judged_tame(cJSON *o);
/* Prints it, and deletes it. */
void judged_print(cJSON *o);

/* "18.30ms", "99.95%", "3"; 'unit' is a verdict's. */
const char *judged_value(const char *unit, int64_t value, char *buf, size_t size);
/* Of an objective: ">= 99.95%", "<= 18ms". */
const char *judged_limit(const cJSON *objective, char *buf, size_t size);
/* "43m12s", "1h0m", "1d3h", "12.3s". */
const char *judged_duration(int64_t ns, char *buf, size_t size);
/* The member 'name' of an objective, counted in its "budget_unit" ("delta_t", "packets",
 * "intervals", "runs"): "43m12s", "120 packets"; "-" if it has no budget. */
const char *judged_budget(const cJSON *objective, const char *name, char *buf, size_t size);
/* "missed so far", "met": of an objective, and whether that is published. */
const char *judged_verdict(const cJSON *objective);

/* How the metric is counted; why it cannot be decided, "" if there is no doubt. */
const char *judged_formula(const char *metric);
const char *judged_doubt(const cJSON *objective);

/* Of a credit's reason: whether it is one outage, and whether it is in the sum (where an outage
 * gives more by another reason it is not). */
bool judged_is_outage(const cJSON *reason);
bool judged_counts(const cJSON *reason);
#define JUDGED_NOT_ADDED " (not added: another reason gives more for the same outages)"
/* Prints the first 'limit' outages among the reasons, a line each after 'indent', and in a line how
 * many there are more, and where ('more'). */
void judged_print_outages(const cJSON *reasons, int64_t limit, const char *indent,
                          const char *more);

/* Whether 'text' is a month: "2026-02". */
bool judged_is_month(const char *text);

#endif
