/* metrics.h - counters and gauges in Prometheus's text format.
 *
 * After counter.h; before scrape.h, which serves the page.  Does no I/O and knows
 * no program: callers add samples in any order, the page has them by family, each
 * with HELP and TYPE.  Prometheus text exposition format, version 0.0.4. */
#ifndef PLUMBLINE_METRICS_H
#define PLUMBLINE_METRICS_H

#include <stdint.h>

#include <event2/buffer.h>

#include "counter.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics_label {
    const char *name; /* NULL ends the list. */
    const char *value;
};

struct metrics;

/* A page whose names begin with "plumbline_<program>_".  NULL: out of memory. */
struct metrics *metrics_new(const char *program);
void metrics_free(struct metrics *m);

/* One sample.  'name' is without the prefix; what may not stand in a name becomes
 * '_'.  The first sample of a name gives the family its help and its type, which
 * must stay; no two samples of a family have the same labels (Prometheus refuses
 * such a page).  'labels' may be NULL.  Memory that is out shows in
 * metrics_format().
 *
 * A gauge that is not known is left out, not set to zero. */
void metrics_gauge(struct metrics *m, const char *name, const char *help,
                   const struct metrics_label *labels, double value);
/* 'name' without "_total", which is added. */
void metrics_counter(struct metrics *m, const char *name, const char *help,
                     const struct metrics_label *labels, uint64_t value);

/* Every counter of the group, as <group>_<name>_total. */
void metrics_group(struct metrics *m, const struct counter_group *group,
                   const struct metrics_label *labels);

/* Adds the page to 'out'.  0 or -ENOMEM ('out' then has a part of it, or none). */
int metrics_format(struct metrics *m, struct evbuffer *out);

/* What a counter means, in one sentence (metrics_help.c); NULL: nobody wrote it. */
const char *metrics_help(const char *group, const char *name);

#endif
