/* tls.h - a verified TLS client session out of files, for redis.c.
 *
 * After log.h, before redis.h and config.h.  Files are read for each session, so
 * that a renewed certificate is in force from the next connection on.  There is no
 * way to leave verification out. */
#ifndef PLUMBLINE_TLS_H
#define PLUMBLINE_TLS_H

#include <stdbool.h>
#include <stddef.h>

struct ssl_st; /* OpenSSL's SSL. */

struct tls_config {
    const char *ca_file;   /* PEM: who may have signed the server.  NULL: no TLS at all. */
    const char *cert_file; /* PEM: our certificate, and those between it and the CA.  NULL: none. */
    const char *key_file;  /* PEM, without a passphrase. */
    const char *server_name; /* The name in the server's certificate; NULL: the host asked for. */
};

/* A client session of TLS 1.2 or later that takes only a server whose certificate
 * ca_file vouches for and that has the name 'host' (or config->server_name), which
 * may be an IP address.  It is the caller's (a bufferevent takes it).  NULL: 'why'
 * says which file is wrong. */
struct ssl_st *tls_session(const struct tls_config *config, const char *host, char *why,
                           size_t why_size);

/* What failed: the server's certificate as we see it, else 'code' (OpenSSL's).
 * false: neither; the system refused, or the peer closed. */
bool tls_failure(const struct ssl_st *session, unsigned long code, char *why, size_t why_size);

/* Whether the handshake is done, on our side. */
bool tls_is_up(const struct ssl_st *session);

#endif
