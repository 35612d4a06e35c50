/* status_figures.h - what is measured now, as far as it can be read: live figures from the keys
 * that collectors write to Redis, positions, events and problems from PostgreSQL.
 *
 * Stands on livekeys.h, events.h and problem.h; before status.c, which shows it. */
#ifndef PLUMBLINE_STATUS_FIGURES_H
#define PLUMBLINE_STATUS_FIGURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pg.h"
#include "problem.h"
#include "series.h"

struct cli_config;
struct livekeys;

enum status_state { STATUS_OK, STATUS_UNKNOWN, STATUS_LOSS, STATUS_STALE };

struct status_line {
    char object[SERIES_NAME_MAX + 1], class_name[SERIES_NAME_MAX + 1];
    char observer[SERIES_NAME_MAX + 1], far[SERIES_NAME_MAX + 1];
    unsigned flow, observer_end;
    enum status_state state;
    bool has_delay, has_one_way;
    int64_t rt_ns, one_way_ns[2];     /* Medians; one-way in the link's frame: fwd, bwd. */
    uint64_t sent, received, overdue; /* Of the newest delta-t that just ended. */
    bool has_last;
    uint64_t last_sent, lost[2], undirected; /* Of the newest final one; link's frame. */
    uint64_t clock_error_ns;
    int64_t age_ns;
};

struct status_source {
    char name[SERIES_NAME_MAX + 1];
    char release[32], position[48], committed[48], written_until[40], collector[64];
    char waits[128]; /* Why no collector takes more of it; empty: they do. */
    bool live, has_health, has_position, closed;
    int64_t age_ns, written_age_s;
    uint64_t spool_bytes, spool_unsent, tombstones, clock_error_ns;
    bool disk_full, stream_full, clock_synchronised;
};

struct status_figures {
    /* Where from; 'config' is the caller's. */
    const struct cli_config *config;
    struct livekeys *live;
    PGconn *conn;

    /* Why one of them could not be read; empty: it could. */
    char redis_why[256], postgresql_why[512];
    struct status_source *sources;
    size_t source_count, source_room;
    struct status_line *lines; /* Worst first. */
    size_t line_count, line_room;
    PGresult *events; /* NULL: none could be read. */
    struct problem_tally problems;
};

/* Opens what 'config' names; 'f' is zeros before.  0, or -EINVAL: 'redis.address' is no address.
 * PostgreSQL is connected to when it is first read. */
int status_figures_open(struct status_figures *f, const struct cli_config *config);
void status_figures_close(struct status_figures *f);

/* Reads everything anew.  What cannot be reached says why, the rest is there. */
void status_figures_collect(struct status_figures *f);

/* Says nothing, or has said nothing for too long. */
bool status_source_is_stale(const struct status_source *one);

/* The exit status (cli.h) that these figures have. */
int status_figures_verdict(const struct status_figures *f);

#endif
