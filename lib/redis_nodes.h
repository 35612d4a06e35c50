/* redis_nodes.h - where a connection to Redis goes: the servers of its configuration, and
 * those of the cluster that were heard of since.
 *
 * Before redis_link.h, which connects, and redis.c, which decides when.  Does no I/O. */
#ifndef PLUMBLINE_REDIS_NODES_H
#define PLUMBLINE_REDIS_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* So many of a cluster are kept in mind: those of the configuration, and the last
 * that were heard of. */
#define REDIS_NODES_MAX 32u

struct redis_node {
    char *host; /* Of a socket of this host the path. */
    uint16_t port;
};

struct redis_nodes {
    struct redis_node list[REDIS_NODES_MAX];
    unsigned count, given, at; /* Known; of those, in the configuration; the one in use. */
    bool is_unix;
};

/* Fills 'n', which is all zero, with "unix:/path", or nodes with commas between, and goes
 * to the first.  false: it is none of these, or memory is out. */
bool redis_nodes_parse(struct redis_nodes *n, const char *address);
void redis_nodes_fini(struct redis_nodes *n);

static inline const struct redis_node *
redis_nodes_here(const struct redis_nodes *n)
{
    return &n->list[n->at];
}

/* To the node of that address among those in mind; the oldest that was only heard of
 * gives way.  false: out of memory. */
bool redis_nodes_go(struct redis_nodes *n, const char *host, size_t length, uint16_t port);

/* To the one after it. */
void redis_nodes_go_on(struct redis_nodes *n);

#endif
