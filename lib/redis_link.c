/* redis_link.c - one connection's bytes, from connecting to why it ended. */
#include "redis_link.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/util.h>

struct bufferevent *
redis_link_new(struct event_base *base, const struct tls_config *tls, const char *host, char *why,
               size_t size)
{
    struct bufferevent *bev;

    snprintf(why, size, "out of memory");
    if (!tls->ca_file) {
        return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    }
    struct ssl_st *ssl = tls_session(tls, host, why, size);
    if (!ssl) {
        return NULL;
    }
    bev = bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
                                         BEV_OPT_CLOSE_ON_FREE);
    if (bev) {
        /* Redis does not say goodbye. */
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    }
    return bev;
}

int
redis_link_connect(struct bufferevent *bev, struct evdns_base **dns,
                   const struct redis_nodes *nodes)
{
    const struct redis_node *here = redis_nodes_here(nodes);

    if (nodes->is_unix) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        union {
            const struct sockaddr_un *un;
            const struct sockaddr *any;
        } address = {.un = &un};
        union {
            const struct sockaddr *from;
            struct sockaddr *to;
        } unconst = {.from = address.any};
        memcpy(un.sun_path, here->host, strlen(here->host) + 1);
        return bufferevent_socket_connect(bev, unconst.to, (int)sizeof un);
    }
    struct in6_addr ip;
    bool numeric =
        inet_pton(AF_INET, here->host, &ip) == 1 || inet_pton(AF_INET6, here->host, &ip) == 1;
    if (!numeric && !*dns) {
        *dns = evdns_base_new(bufferevent_get_base(bev),
                              EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    }
    return bufferevent_socket_connect_hostname(bev, numeric ? NULL : *dns, AF_UNSPEC, here->host,
                                               here->port);
}

void
redis_link_ready(struct bufferevent *bev, bool is_unix)
{
    evutil_socket_t fd = bufferevent_getfd(bev);
    int one = 1;

    if (!is_unix) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
}

size_t
redis_link_unsent(struct bufferevent *bev)
{
    size_t unsent = evbuffer_get_length(bufferevent_get_output(bev));
    int kernel = 0;

    if (ioctl(bufferevent_getfd(bev), SIOCOUTQ, &kernel) == 0 && kernel > 0) {
        unsent += (size_t)kernel;
    }
    return unsent;
}

bool
redis_link_is_there(struct bufferevent *bev)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    union {
        struct sockaddr_storage *storage;
        struct sockaddr *any;
    } to = {.storage = &peer};

    return getpeername(bufferevent_getfd(bev), to.any, &size) == 0;
}

void
redis_link_why(struct bufferevent *bev, const struct tls_config *tls, bool answered, short what,
               char *why, size_t size)
{
    int err = EVUTIL_SOCKET_ERROR(), dns = bufferevent_socket_get_dns_error(bev);
    struct ssl_st *ssl = tls->ca_file ? bufferevent_openssl_get_ssl(bev) : NULL;

    if (ssl && tls_failure(ssl, bufferevent_get_openssl_error(bev), why, size)) {
        return;
    }
    if (dns) {
        snprintf(why, size, "%s", evutil_gai_strerror(dns));
    } else if (ssl && !answered && ((what & BEV_EVENT_EOF) || tls_is_up(ssl))) {
        /* Its alert is lost when it closes with our bytes unread. */
        snprintf(why, size, "TLS: the server ended the connection%s",
                 tls->cert_file ? "; does it trust our cert_file, and is that still valid?"
                                : "; it wants a client certificate: cert_file and key_file");
    } else if (what & BEV_EVENT_EOF) {
        snprintf(why, size, "closed by the server");
    } else {
        snprintf(why, size, "%s", evutil_socket_error_to_string(err));
    }
}
