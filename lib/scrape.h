/* scrape.h - serves /metrics to Prometheus over HTTP.
 *
 * After metrics.h; used by main.c of each daemon, on its event base, which is
 * never the one of what is timed.  No TLS and no password: listen on loopback, or
 * where a firewall lets only Prometheus in. */
#ifndef PLUMBLINE_SCRAPE_H
#define PLUMBLINE_SCRAPE_H

#include <event2/event.h>

#include "metrics.h"

struct scrape;

/* Adds all samples to 'm'.  Called in the base's thread, once a second at most
 * however many ask. */
typedef void scrape_fill_fn(struct metrics *m, void *aux);

/* Begins to listen on 'listen' ("address:port", "[v6]:port"; numbers only), and
 * tries again each few seconds while somebody else holds that: metrics never keep
 * a daemon from its work.  'program' is the one of metrics_new(); strings are
 * copied.  0; -EINVAL: no such address; -ENOMEM. */
int scrape_new(struct scrape **out, struct event_base *base, const char *listen,
               const char *program, scrape_fill_fn *fill, void *aux);
void scrape_free(struct scrape *s);

#endif
