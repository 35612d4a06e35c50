/* tls.c - a verified TLS client session out of files. */
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* A key with a passphrase must fail, not ask on the terminal. */
static int
no_passphrase(char *buf, int size, int writing, void *aux)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)aux;
    return 0;
}

static const char *
reason(unsigned long code)
{
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    return text ? text : "not what was expected";
}

/* A file that cannot be read says so itself; else OpenSSL knows what is wrong. */
static bool
refuse(const char *what, const char *path, char *why, size_t why_size)
{
    unsigned long code = ERR_peek_error();

    if (access(path, R_OK) != 0) {
        snprintf(why, why_size, "TLS: %s %s: %s", what, path, strerror(errno));
    } else {
        snprintf(why, why_size, "TLS: %s %s: %s", what, path, reason(code));
    }
    ERR_clear_error();
    return false;
}

static bool
read_files(SSL_CTX *ctx, const struct tls_config *config, char *why, size_t why_size)
{
    if (SSL_CTX_load_verify_file(ctx, config->ca_file) != 1) {
        return refuse("ca_file", config->ca_file, why, why_size);
    }
    if (!config->cert_file) {
        return true;
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, config->cert_file) != 1) {
        return refuse("cert_file", config->cert_file, why, why_size);
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, config->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1) {
        return refuse("key_file", config->key_file, why, why_size);
    }
    return true;
}

static bool
expect_name(SSL *ssl, const char *name)
{
    unsigned char ip[16];
    /* OpenSSL's macro casts away what it does not write to. */
    union {
        const char *from;
        char *to;
    } unconst = {.from = name};
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, unconst.to) == 1;
}

SSL *
tls_session(const struct tls_config *config, const char *host, char *why, size_t why_size)
{
    SSL *ssl = NULL;

    ERR_clear_error();
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx) {
        snprintf(why, why_size, "TLS: out of memory");
        return NULL;
    }
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
        read_files(ctx, config, why, why_size)) {
        ssl = SSL_new(ctx);
        if (!ssl || !expect_name(ssl, config->server_name ? config->server_name : host)) {
            snprintf(why, why_size, "TLS: out of memory");
            SSL_free(ssl);
            ssl = NULL;
        }
    }
    SSL_CTX_free(ctx); /* The session holds it. */
    return ssl;
}

bool
tls_failure(const SSL *session, unsigned long code, char *why, size_t why_size)
{
    long verdict = SSL_get_verify_result(session);

    if (verdict != X509_V_OK) {
        snprintf(why, why_size, "TLS: the server's certificate is refused: %s",
                 X509_verify_cert_error_string(verdict));
        return true;
    }
    /* libevent also hands on SSL_get_error()'s small numbers. */
    if (ERR_SYSTEM_ERROR(code) || ERR_GET_LIB(code) == ERR_LIB_NONE || ERR_GET_LIB(code) == 0) {
        return false;
    }
    bool plain = ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER;
    snprintf(why, why_size, "TLS: %s%s", reason(code),
             plain ? " (does the server speak TLS on this port?)" : "");
    return true;
}

bool
tls_is_up(const SSL *session)
{
    return SSL_is_init_finished(session) == 1;
}

bool
tls_instant(const struct asn1_string_st *time, struct instant *out)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1) {
        return false;
    }
    time_t s = timegm(&tm);
    if (s < 0 || s > INT64_MAX / NS_PER_S) {
        return false;
    }
    *out = instant_of_ns((int64_t)s * NS_PER_S);
    return true;
}

bool
tls_certificate_end(const char *cert_file, struct instant *end)
{
    BIO *in = BIO_new_file(cert_file, "r");
    X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
    bool good = cert && tls_instant(X509_get0_notAfter(cert), end);

    X509_free(cert);
    BIO_free(in);
    ERR_clear_error();
    return good;
}

static bool
copy_text(const char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return !from || *to;
}

bool
tls_config_copy(struct tls_config *to, const struct tls_config *from)
{
    return copy_text(&to->ca_file, from->ca_file) && copy_text(&to->cert_file, from->cert_file) &&
           copy_text(&to->key_file, from->key_file) &&
           copy_text(&to->server_name, from->server_name);
}

static void
free_text(const char *text)
{
    union {
        const char *from;
        char *to;
    } unconst = {.from = text};
    free(unconst.to);
}

void
tls_config_fini(struct tls_config *config)
{
    free_text(config->ca_file);
    free_text(config->cert_file);
    free_text(config->key_file);
    free_text(config->server_name);
}
