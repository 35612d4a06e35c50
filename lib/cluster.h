/* cluster.h - one connection to each node of a Redis Cluster, for who speaks of keys in
 * many slots; on a Redis that is none, the one connection.
 *
 * After redis.h, before the collector.  Which node has a slot is learned from MOVED
 * alone: a command for a slot that moved is refused, its caller sends it again when it
 * would anyway, and it goes the right way then. */
#ifndef PLUMBLINE_CLUSTER_H
#define PLUMBLINE_CLUSTER_H

#include <stdbool.h>

#include "redis.h"

struct cluster;

/* As redis_new(); 'on_state' is called for each connection. */
struct cluster *cluster_new(struct event_base *base, const struct redis_config *config,
                            redis_state_fn *on_state, void *aux);
void cluster_free(struct cluster *c);

/* The connection of the node that has 'key'; of any other that is up while that one is
 * not, so that a failover shows; the first one when none is. */
struct redis *cluster_of(struct cluster *c, const char *key);

/* Whether some connection is up. */
bool cluster_is_up(const struct cluster *c);

/* Whether keys are spread over slots: then a command has keys of one slot alone.  The
 * other form says so when a CROSSSLOT was seen. */
bool cluster_is_spread(const struct cluster *c);
void cluster_set_spread(struct cluster *c);

/* Key to slot (the hash tag's CRC-16/XMODEM mod 16384; Redis Cluster specification). */
unsigned cluster_slot(const char *key);

#endif
