/* watch_parts.h - what the files of watch.h share, and nobody else.
 *
 * Each calls those before it: watch_cell.c (cells, what waits to be written), watch_sample.c (what
 * a summary tells of a metric), watch.c (batches, and the source itself), watch_row.c (what was
 * committed). */
#ifndef PLUMBLINE_WATCH_PARTS_H
#define PLUMBLINE_WATCH_PARTS_H

#include "texthash.h"

#include "hist.h"
#include "row.h"
#include "watch.h"

struct watch_path;

struct watch_cell {
    struct alarm_cell cell;
    const struct watch_path *path; /* NULL: of the source itself. */
    bool waits;                    /* Its episode is to be written, */
    bool quiet;                    /* which is the same as before. */
    int64_t good_since;            /* Of silence: when it spoke again; 0: it does not. */
    int64_t silent_since;          /* Of a silence that was restored; 0: since 'heard'. */
};

/* A link and class that the source observes. */
struct watch_path {
    char key[2 * (SERIES_NAME_MAX + 1)]; /* "link/class" */
    const struct inv_link *link;
    const struct inv_class *class_;
    const char *far;
    struct instant in_service;
    size_t count;
    UT_hash_handle hh;
    struct watch_cell cells[];
};

/* Of assemble_session.index. */
struct watch_session {
    bool known;
    int flow;                /* In each cell of the path. */
    struct watch_path *path; /* NULL: it is not watched. */
};

/* What is in the inventory no more. */
struct watch_gone {
    enum watch_scope scope;
    const char *why; /* A literal. */
    char rule[SERIES_NAME_MAX + 1], object[SERIES_NAME_MAX + 1], class_name[SERIES_NAME_MAX + 1];
};

/* An episode that is over and that waits. */
struct watch_past {
    struct alarm_episode episode;
    const struct watch_cell *cell;
    struct watch_gone *gone; /* Its own; then there is no cell. */
};

struct watch {
    struct watch_config config;
    struct watch_path *paths;
    struct watch_session *sessions;
    size_t session_room;
    const struct assemble_session *next; /* Probably whose summary comes next. */
    struct watch_cell *own; /* Of the source: silence, clock_error; NULL if it is not active. */
    size_t own_count;
    struct watch_cell **touched;
    size_t touched_count, touched_room;
    struct watch_cell **waiting;
    size_t waiting_count, waiting_room;
    struct watch_past *past;
    size_t past_count, past_room;
    struct hist *delays, *variations; /* To take a quantile from. */
    struct dt_record *records;        /* Of a row, of each direction. */
    size_t record_room;
    struct instant told_until; /* By the source's time; 0: it never spoke. */
    struct instant saved;      /* 'told_until' at the last watch_save(). */
    struct instant heard;      /* By ours: the claim, or when something came. */
    struct position heard_at;  /* The newest entry that did, and */
    struct position silent_at; /* that of a silence that was restored. */
    struct instant ticked;     /* 0: it was not listened to. */
    bool unsynchronised;
};

static inline void
watch_note(struct watch *w, enum watch_count what)
{
    counter_add(&w->config.counters[what], 1);
}

/* Whether it goes by a summary's delays, and not by its counts. */
static inline bool
watch_is_delay(const struct inv_alarm *rule)
{
    return inv_metric_unit(rule->metric.kind) == INV_NS || rule->metric.kind == INV_RT_FLOOR;
}

/* --- watch_cell.c ------------------------------------------------------------- */

/* The path of that link and class, made if need be; NULL and '*err' 0: no rule asks for it. */
struct watch_path *watch_path(struct watch *w, const struct inv_link *link,
                              const struct inv_class *class_, int *err);

/* Why nothing watches it any more, as people read it. */
const char *watch_why_gone(const struct watch *w, const struct watch_gone *g);

/* How far it came is to be written.  0 or -ENOMEM. */
int watch_keep(struct watch *w, struct watch_cell *c);

/* Its episode changed: it waits to be written.  'before' is what it was.  0 or -ENOMEM. */
int watch_change(struct watch *w, struct watch_cell *c, enum alarm_change change,
                 const struct alarm_episode *before);

/* An alarm of what is not in the inventory is over.  0 or -ENOMEM. */
int watch_gone(struct watch *w, const struct watch_gone *gone, const struct alarm_episode *e);

/* --- watch_sample.c ----------------------------------------------------------- */

/* What a summary, or an early state, tells a rule.  'count' 0: nothing. */
void watch_sample_final(struct watch *w, const struct inv_alarm *rule,
                        const struct session_key *key, const pb_summary *m,
                        struct alarm_sample *out);
/* The same of a rule on delays (watch_is_delay()), with delays of the session's directions, and of
 * one on counts. */
void watch_sample_delays(struct watch *w, const struct inv_alarm *rule, const pb_summary *m,
                         const struct dt_delay delays[DIRECTIONS], struct alarm_sample *out);
void watch_sample_counts(const struct inv_alarm *rule, const struct session_key *key,
                         const pb_summary *m, struct alarm_sample *out);
void watch_sample_early(const struct inv_alarm *rule, const pb_early *m, struct alarm_sample *out);

/* --- watch.c: 0 or -ENOMEM ---------------------------------------------------- */

/* What the session is of, once it is known which cells it has. */
int watch_learn(struct watch *w, const struct assemble_session *s, struct watch_session **out);
/* The cell has news for watch_decide(). */
int watch_touch(struct watch *w, struct watch_cell *c);
int watch_decide(struct watch *w);

#endif
