/* judgestore.h - PostgreSQL as the judge sees it: rows and horizons are read, judged quarter hours
 * and verdicts written.
 *
 * After way.h, bond.h and pg.h, before judge.c.  Calls block; they return 0, -EIO with the reason
 * in 'why' (roll back and begin anew), or -ENOMEM. */
#ifndef PLUMBLINE_JUDGESTORE_H
#define PLUMBLINE_JUDGESTORE_H

#include <libpq-fe.h>

#include "bytes.h"
#include "line.h"
#include "nstime.h"
#include "series.h"
#include "way.h"

struct judgestore {
    PGconn *conn;
    char why[256];
    struct bytes ids, caps, quarters, transitions, lines; /* Used again for each call. */
    size_t added, added_lines;                            /* Quarter hours, lines in them. */
    /* promise_period.c's last month: of neighbours it is the same. */
    struct {
        const char *timezone; /* The inventory's own text. */
        struct instant at, start, end;
    } month;
};

void judgestore_fini(struct judgestore *s);

/* --- Horizons ------------------------------------------------------------- */

/* Calls 'fn' with each source's written_until (closed: INT64_MAX), ns.  What it returns but 0 ends
 * it and is returned, here and below. */
typedef int judgestore_source_fn(int64_t source_id, int64_t until_ns, void *aux);
int judgestore_sources(struct judgestore *s, judgestore_source_fn *fn, void *aux);

/* Calls 'fn' with each session that has rows whose far end has not spoken, and the first's start.
 */
typedef int judgestore_pending_fn(int64_t session_id, int64_t start_ns, void *aux);
int judgestore_pending(struct judgestore *s, judgestore_pending_fn *fn, void *aux);

/* --- Where to begin ------------------------------------------------------- */

struct judgestore_quarter {
    bool found, stale;
    struct instant start, until;
    bool available_before, available_after;
    uint32_t high_loss_before, high_loss_after;
};

/* Of each line the first quarter hour that is stale, else the newest; 'caps' (NULL: none): the
 * newest that starts no later than that, stale or not. */
int judgestore_quarters(struct judgestore *s, const int64_t *lines, const struct instant *caps,
                        size_t count, struct judgestore_quarter *out);

/* Start of each line's first quarter hour that is stored, of those not before 'since'; ns < 0:
 * there is none. */
int judgestore_began(struct judgestore *s, const int64_t *lines, size_t count, struct instant since,
                     struct instant *out);

/* Quarter hours of these lines from 'from' on are to be judged again. */
int judgestore_stale(struct judgestore *s, const int64_t *lines, size_t count, struct instant from);

/* Calls 'fn' with what changed behind what was judged (kind: of the object on which a window
 * lies, or "data": rows of a link came late), and forgets it ('number') when the
 * transaction is committed. */
struct judgestore_change {
    const char *kind, *key, *why;
    struct instant from;
};
typedef int judgestore_change_fn(const struct judgestore_change *c, void *aux);
int judgestore_changes(struct judgestore *s, judgestore_change_fn *fn, void *aux);

/* Calls 'fn' with each window that excludes something from 'from' on. */
struct judgestore_window {
    int64_t id, revision;
    const char *exclusion;           /* "maintenance", "customer", ... */
    const char *kind, *key, *tenant; /* NULL: all tenants. */
    struct exclusion_window window;
};
typedef int judgestore_window_fn(const struct judgestore_window *w, void *aux);
int judgestore_windows(struct judgestore *s, struct instant from, judgestore_window_fn *fn,
                       void *aux);

/* Of each way the start of the first row of any of its series from 'since' on; ns < 0: there is
 * none. */
int judgestore_first_rows(struct judgestore *s, struct way *const *ways, size_t count,
                          struct instant since, struct instant *out);

/* Merges the complete quarter hours of [from, until) that are before the open one into each line's
 * period, which is emptied before. */
int judgestore_periods(struct judgestore *s, struct line *const *lines, size_t count,
                       struct instant from, struct instant until);

/* Calls 'fn' with the states (line_states()) of each complete quarter hour in [from, until) that
 * was not available and known all through. */
typedef int judgestore_states_fn(struct instant start, const void *states, size_t size, void *aux);
int judgestore_states(struct judgestore *s, const struct line *l, struct instant from,
                      struct instant until, judgestore_states_fn *fn, void *aux);

/* --- Rows ----------------------------------------------------------------- */

enum judgestore_column {
    ROW_SERIES,
    ROW_START,
    ROW_PARAMS,
    ROW_FLAGS,
    ROW_CLOCK_ERROR,
    ROW_DELAY_COUNT,
    ROW_DELAY_SUM,
    ROW_DELAY_MIN,
    ROW_DELAY_MAX,
    ROW_DUPLICATE,
    ROW_REORDERED,
    ROW_LATE,
    ROW_OVER,
    ROW_HIST,
    ROW_IFDV,
    ROW_DT
};

/* Rows of the ways' series in [from, until); the result is the caller's; NULL: -EIO.  ROW_SERIES is
 * the series' place among all of these ways', from 0. */
PGresult *judgestore_rows(struct judgestore *s, struct way *const *ways, size_t count,
                          struct instant from, struct instant until);
size_t judgestore_series(const PGresult *r, int row);
struct instant judgestore_start(const PGresult *r, int row);
int64_t judgestore_params_id(const PGresult *r, int row);

/* Dt and limits of a params_id. */
struct judgestore_params {
    int64_t params_id;
    struct span dt;
    struct series_limit limits[SERIES_LIMITS_MAX]; /* The session's frame. */
    unsigned limit_count;
    int8_t map[SERIES_LIMITS_MAX]; /* Of the series asked for last. */
};
int judgestore_params(struct judgestore *s, int64_t params_id, struct judgestore_params *out);

/* The row for measured_add(); bytes stay the result's.  false: it cannot be of this way (other
 * delta-t). */
bool judgestore_measured(const PGresult *r, int row, const struct way_series *series,
                         struct judgestore_params *params, struct measured_row *out);

/* --- Writing -------------------------------------------------------------- */

int judgestore_begin(struct judgestore *s);
int judgestore_commit(struct judgestore *s);
void judgestore_rollback(struct judgestore *s);

/* Collects what the line has counted of its open quarter hour; written by judgestore_flush(), once
 * in a transaction. */
int judgestore_add(struct judgestore *s, struct line *l);
int judgestore_flush(struct judgestore *s);
/* Where much was collected, writes it, commits and begins the next transaction. */
int judgestore_next(struct judgestore *s);

/* Makes the partitions of that day. */
int judgestore_day(struct judgestore *s, struct instant at);

#endif
