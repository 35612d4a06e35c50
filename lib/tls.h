/* tls.h - a verified TLS client session out of files, for redis_link.c.
 *
 * After log.h and nstime.h, before redis.h and config.h.  Files are read for each session, so
 * that a renewed certificate is in force from the next connection on.  There is no
 * way to leave verification out. */
#ifndef PLUMBLINE_TLS_H
#define PLUMBLINE_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "nstime.h"

struct ssl_st;         /* OpenSSL's SSL. */
struct asn1_string_st; /* Its ASN1_TIME. */

struct tls_config {
    const char *ca_file;   /* PEM: who may have signed the server.  NULL: no TLS at all. */
    const char *cert_file; /* PEM: our certificate, and those between it and the CA.  NULL: none. */
    const char *key_file;  /* PEM, without a passphrase. */
    const char *server_name; /* The name in the server's certificate; NULL: the host asked for. */
};

/* Copies what 'from' points to; 'to' is all NULL.  false: out of memory; then too there is
 * tls_config_fini() to be called, which is only for copies. */
bool tls_config_copy(struct tls_config *to, const struct tls_config *from);
void tls_config_fini(struct tls_config *config);

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

/* When the first certificate in 'cert_file' ends.  false: there is none that can be read. */
bool tls_certificate_end(const char *cert_file, struct instant *end);

/* A certificate's time; false if it is none, or past what an instant holds. */
bool tls_instant(const struct asn1_string_st *time, struct instant *out);

#endif
