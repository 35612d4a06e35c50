/* cluster.c - one connection to each node of a Redis Cluster. */
#include "cluster.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resp.h"

#define NODES_MAX 32u
#define ADDRESS_SIZE 280

struct node {
    struct redis *redis;
    char address[ADDRESS_SIZE];
};

struct cluster {
    struct event_base *base;
    struct redis_config config; /* Strings are the caller's, of the nodes' making alone. */
    redis_state_fn *on_state;
    void *aux;
    bool spread;
    struct node nodes[NODES_MAX]; /* The first is the configuration's. */
    unsigned node_count;
    uint8_t route[RESP_SLOTS];
};

unsigned
cluster_slot(const char *key)
{
    const char *open = strchr(key, '{'), *close = open ? strchr(open + 1, '}') : NULL;
    size_t size = strlen(key);
    uint16_t crc = 0;

    if (close && close > open + 1) {
        key = open + 1;
        size = (size_t)(close - key);
    }
    for (size_t i = 0; i < size; i++) {
        crc = (uint16_t)(crc ^ (uint16_t)((unsigned)(unsigned char)key[i] << 8));
        for (int bit = 0; bit < 8; bit++) {
            unsigned next = (unsigned)crc << 1;
            crc = (uint16_t)(crc & 0x8000 ? next ^ 0x1021 : next);
        }
    }
    return crc % RESP_SLOTS;
}

static void
on_node(struct redis *r, enum redis_state state, const char *why, void *aux)
{
    struct cluster *c = aux;

    c->on_state(r, state, why, c->aux);
}

static void on_redirect(struct redis *r, const struct resp_redirect *to, void *aux);

/* The node of that address; a new one if there is room.  0 if not. */
static unsigned
node_of(struct cluster *c, const char *address)
{
    struct redis_config config = c->config;

    for (unsigned i = 1; i < c->node_count; i++) {
        if (strcmp(c->nodes[i].address, address) == 0) {
            return i;
        }
    }
    if (c->node_count == NODES_MAX) {
        return 0;
    }
    config.address = address;
    config.on_redirect = on_redirect;
    struct node *n = &c->nodes[c->node_count];
    n->redis = redis_new(c->base, &config, on_node, c);
    if (!n->redis) {
        return 0;
    }
    snprintf(n->address, sizeof n->address, "%s", address);
    return c->node_count++;
}

static void
on_redirect(struct redis *r, const struct resp_redirect *to, void *aux)
{
    struct cluster *c = aux;
    char address[ADDRESS_SIZE];
    bool v6 = memchr(to->host, ':', to->host_length) != NULL;

    (void)r;
    c->spread = true;
    /* A slot on its way answers again when it has arrived. */
    if (to->ask || to->host_length == 0) {
        return;
    }
    snprintf(address, sizeof address, v6 ? "[%.*s]:%u" : "%.*s:%u", (int)to->host_length, to->host,
             (unsigned)to->port);
    c->route[to->slot] = (uint8_t)node_of(c, address);
}

struct cluster *
cluster_new(struct event_base *base, const struct redis_config *config, redis_state_fn *on_state,
            void *aux)
{
    struct cluster *c = calloc(1, sizeof *c);

    if (!c) {
        return NULL;
    }
    c->base = base;
    c->config = *config;
    c->config.on_redirect = on_redirect;
    c->on_state = on_state;
    c->aux = aux;
    c->nodes[0].redis = redis_new(base, &c->config, on_node, c);
    if (!c->nodes[0].redis) {
        free(c);
        return NULL;
    }
    c->node_count = 1;
    return c;
}

void
cluster_free(struct cluster *c)
{
    if (!c) {
        return;
    }
    for (unsigned i = 0; i < c->node_count; i++) {
        redis_free(c->nodes[i].redis);
    }
    free(c);
}

struct redis *
cluster_of(struct cluster *c, const char *key)
{
    struct redis *r = c->nodes[c->route[cluster_slot(key)]].redis;

    for (unsigned i = 0; i < c->node_count && redis_state(r) != REDIS_UP; i++) {
        if (redis_state(c->nodes[i].redis) == REDIS_UP) {
            r = c->nodes[i].redis;
        }
    }
    return r;
}

bool
cluster_is_up(const struct cluster *c)
{
    for (unsigned i = 0; i < c->node_count; i++) {
        if (redis_state(c->nodes[i].redis) == REDIS_UP) {
            return true;
        }
    }
    return false;
}

bool
cluster_is_spread(const struct cluster *c)
{
    return c->spread;
}

void
cluster_set_spread(struct cluster *c)
{
    c->spread = true;
}
