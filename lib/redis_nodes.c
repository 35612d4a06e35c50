/* redis_nodes.c - where a connection to Redis goes. */
#include "redis_nodes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

bool
redis_nodes_go(struct redis_nodes *n, const char *host, size_t length, uint16_t port)
{
    for (unsigned i = 0; i < n->count; i++) {
        if (n->list[i].port == port && strlen(n->list[i].host) == length &&
            memcmp(n->list[i].host, host, length) == 0) {
            n->at = i;
            return true;
        }
    }
    char *copy = strndup(host, length);
    if (!copy) {
        return false;
    }
    unsigned at = n->count;
    if (at == REDIS_NODES_MAX) {
        at = n->given < REDIS_NODES_MAX ? n->given : REDIS_NODES_MAX - 1;
        free(n->list[at].host);
        memmove(&n->list[at], &n->list[at + 1], (REDIS_NODES_MAX - 1 - at) * sizeof n->list[0]);
        at = REDIS_NODES_MAX - 1;
    } else {
        n->count++;
    }
    n->list[at] = (struct redis_node){copy, port};
    n->at = at;
    return true;
}

void
redis_nodes_go_on(struct redis_nodes *n)
{
    n->at = (n->at + 1) % n->count;
}

/* "host:port" or "[v6]:port", of that length. */
static bool
parse_node(struct redis_nodes *n, const char *host, size_t length)
{
    const char *colon = memrchr(host, ':', length);
    unsigned long port = 0;

    if (!colon || colon == host || n->count == REDIS_NODES_MAX) {
        return false;
    }
    for (const char *c = colon + 1; c < host + length; c++) {
        if (*c < '0' || *c > '9' || port > UINT16_MAX) {
            return false;
        }
        port = port * 10 + (unsigned long)(*c - '0');
    }
    if (port == 0 || port > UINT16_MAX) {
        return false;
    }
    length = (size_t)(colon - host);
    if (*host == '[' && length > 2 && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    return redis_nodes_go(n, host, length, (uint16_t)port);
}

bool
redis_nodes_parse(struct redis_nodes *n, const char *address)
{
    struct sockaddr_un un;

    if (strncmp(address, "unix:", 5) == 0) {
        n->is_unix = true;
        return address[5] == '/' && strlen(address + 5) < sizeof un.sun_path &&
               redis_nodes_go(n, address + 5, strlen(address + 5), 0);
    }
    for (;;) {
        size_t length = strcspn(address, ",");
        if (!parse_node(n, address, length)) {
            return false;
        }
        if (address[length] == '\0') {
            break;
        }
        address += length + 1;
    }
    n->given = n->count;
    n->at = 0;
    return true;
}

void
redis_nodes_fini(struct redis_nodes *n)
{
    for (unsigned i = 0; i < n->count; i++) {
        free(n->list[i].host);
    }
}
