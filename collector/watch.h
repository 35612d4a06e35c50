/* watch.h - the alarms of one source: which session is of which cell, and what of them changed.
 *
 * After alarm.h and assemble.h; before alarmstore.h, which writes what changed.  Fed with batches
 * as the worker takes them.  Does no I/O; time comes from the batches, and of silence alone from
 * 'now'.  A watch is of one claim: whoever claims the source anew reads what was written
 * (watch_know) and what was committed (watch_row), and is fed from the committed position on. */
#ifndef PLUMBLINE_WATCH_H
#define PLUMBLINE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alarm.h"
#include "assemble.h"
#include "counter.h"
#include "inventory_sold.h"
#include "nstime.h"
#include "telemetry.h"

/* Episodes of one source that are over, and of which nothing is written yet. */
#define WATCH_PAST_MAX 10000u

enum watch_count {
    WATCH_RAISED,
    WATCH_RAISED_AGAIN,
    WATCH_CLEARED,
    WATCH_CHANGED,  /* More flows were over, or the way of the loss became known. */
    WATCH_OVER,     /* Episodes that were over before they could be written, and too many. */
    WATCH_ROWS,     /* Committed rows that windows began with, and */
    WATCH_ROWS_BAD, /* those that do not decode. */
    WATCH_COUNTS
};
extern const char *const watch_count_names[WATCH_COUNTS];

struct watch;

struct watch_config {
    const char *source;
    const struct inventory *inventory;
    const struct inv_alarm *const *rules; /* In force; outlive the watch, as the inventory does. */
    size_t rule_count;
    struct span hold;
    struct counter *counters; /* WATCH_COUNTS */
};

/* 'now' is when it was claimed; 'told_until' what the source had told by then, 0: it never
 * spoke.  NULL: memory is out. */
struct watch *watch_new(const struct watch_config *config, struct instant now,
                        struct instant told_until);
void watch_free(struct watch *w);

/* What an alarm is about. */
enum watch_scope { WATCH_LINK, WATCH_PROBE };

/* An alarm as it was written. */
struct watch_known {
    const char *rule, *object, *class_name;
    enum watch_scope scope;
    struct alarm_episode episode;
    const struct alarm_progress *flows; /* How far they came. */
    uint32_t flow_count;
    /* Of silence: the last entry that was heard before or in it, and since when there are some
     * again; 0: there are none. */
    struct position heard;
    struct instant good_since;
};

/* What was written, before the first batch.  What this source does not watch any more (it is
 * retired, gone, another probe's; its rule is) is cleared at 'now', with the reason.  0 or
 * -ENOMEM. */
int watch_know(struct watch *w, const struct watch_known *known, struct instant now);

/* What the past was, for relative rules: of link, class, metric and 'against'. */
void watch_baseline(struct watch *w, const char *object, const char *class_name, const char *metric,
                    struct span against, int64_t value);

/* --- What is committed --- */

/* What the windows of a session's cells want of committed rows. */
struct watch_want {
    struct span reach; /* So far back; 0: nothing. */
    bool ways;         /* Rows of both ways too. */
};

/* Rows before 'until'.  Of windows that reach further back than 'most' nothing is wanted: they
 * begin anew.  0 or -ENOMEM. */
int watch_want(struct watch *w, const struct assemble_session *s, struct instant until,
               struct span most, struct watch_want *out);

/* What was committed of a session's interval; made by row_make(), or the same read back. */
struct watch_row {
    struct instant start;
    uint32_t seconds;
    const struct row *of[DIRECTIONS]; /* Of the link; of a way NULL where it is not wanted. */
    uint64_t lost_fwd;                /* Of what was lost, on the link's way there. */
};

/* Tells the session's windows, oldest row first, before the first batch.  Of a clean row only the
 * whole is known: each delta-t of it has the row's delays, and its share of what was not sent, came
 * twice or out of order.  0; -EBADMSG: it does not decode, and nothing was taken; -ENOMEM. */
int watch_row(struct watch *w, const struct assemble_session *s, const struct watch_row *r);

/* That were all rows up to 'until': of what is before it nothing more is taken.  0 or -ENOMEM. */
int watch_rows_end(struct watch *w, struct assemble *a, struct instant until);

/* --- What comes --- */

/* A batch that 'a' has just taken.  0 or -ENOMEM. */
int watch_take(struct watch *w, const struct assemble *a, const pb_batch *batch,
               struct instant now);

/* Something of the source came, up to entry 'at', whether it could be taken or not.  What was heard
 * before it fell silent, and is read again, is nothing new.  0 or -ENOMEM. */
int watch_heard(struct watch *w, struct position at, struct instant now);

/* Each second.  'listening': whether something would have been heard.  0 or -ENOMEM. */
int watch_tick(struct watch *w, struct instant now, bool listening);

/* --- What is to be written ---------------------------------------------------- */

/* Before a commit of the source's rows: how far each raised alarm came is to be written too, but
 * not again within a minute of the source's time.  0 or -ENOMEM. */
int watch_save(struct watch *w);

struct watch_news {
    bool quiet; /* It is the same as before, but for how far it came. */
    const char *rule_key;
    const struct inv_alarm *rule; /* NULL: what it was about is not in the inventory any more. */
    enum watch_scope scope;
    const char *object, *class_name, *observer, *far; /* "": none. */
    const char *text; /* NULL: none.  Without a rule: why it is over. */
    const struct alarm_episode *episode;
    const struct alarm_cell *cell; /* Whose flows came how far; NULL: that is not to be known. */
    struct position heard;         /* As in watch_known. */
    struct instant good_since;
};

size_t watch_waiting(const struct watch *w);

/* The i-th of them, oldest episodes first; valid until the next call that is not of these. */
void watch_news(const struct watch *w, size_t i, struct watch_news *out);

/* The first 'n' are written. */
void watch_written(struct watch *w, size_t n);

/* Memory that it holds. */
size_t watch_bytes(const struct watch *w);

#endif
