/* authority.c - signs the certificates of probes with the operator's key. */
#include "authority.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "file.h"
#include "tls.h"

#define PASSPHRASE_MAX 1024u
#define BEFORE_S 300 /* A probe's clock may be behind. */

struct authority {
    X509 *cert;
    EVP_PKEY *key;
    struct instant until;
};

static const char *
reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "not what was expected";
}

/* --- Reading ---------------------------------------------------------------- */

/* The passphrase is the first line of the file that 'aux' names; NULL: there is none,
 * and nobody is asked for one. */
static int
passphrase(char *buf, int size, int writing, void *aux)
{
    size_t length;
    char *text = aux ? file_read(aux, PASSPHRASE_MAX, &length) : NULL;
    int n = -1;

    (void)writing;
    if (text) {
        size_t line = strcspn(text, "\r\n");
        if (line <= (size_t)size) {
            memcpy(buf, text, line);
            n = (int)line;
        }
        OPENSSL_cleanse(text, length);
        free(text);
    }
    return n;
}

static X509 *
read_cert(const char *path, char *why, size_t why_size)
{
    BIO *in = BIO_new_file(path, "r");
    X509 *cert = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;

    if (!cert) {
        snprintf(why, why_size, "%s: %s", path,
                 in ? "expected a certificate in PEM" : strerror(errno));
    }
    BIO_free(in);
    return cert;
}

static EVP_PKEY *
read_key(const char *path, const char *passphrase_file, char *why, size_t why_size)
{
    /* OpenSSL's callback takes what it does not write to as void *. */
    union {
        const char *in;
        void *out;
    } aux = {.in = passphrase_file};
    BIO *in = BIO_new_file(path, "r");
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, passphrase, aux.out) : NULL;

    if (!in) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
    } else if (!key && passphrase_file && access(passphrase_file, R_OK) != 0) {
        snprintf(why, why_size, "%s: %s", passphrase_file, strerror(errno));
    } else if (!key) {
        snprintf(why, why_size, "%s: expected a private key in PEM: %s%s", path, reason(),
                 passphrase_file ? "" : "; if it has a passphrase, --ca-passphrase-file names it");
    }
    BIO_free(in);
    return key;
}

static bool
is_authority(struct authority *a, const char *cert_file, const char *key_file, char *why,
             size_t why_size)
{
    if (X509_check_private_key(a->cert, a->key) != 1) {
        snprintf(why, why_size, "%s is not the key of %s", key_file, cert_file);
    } else if (X509_check_ca(a->cert) != 1 || !(X509_get_key_usage(a->cert) & KU_KEY_CERT_SIGN)) {
        snprintf(why, why_size, "%s is no CA's: it may not sign certificates", cert_file);
    } else if (!tls_instant(X509_get0_notAfter(a->cert), &a->until) ||
               instant_before(a->until, instant_now())) {
        snprintf(why, why_size, "%s has ended", cert_file);
    } else {
        return true;
    }
    return false;
}

struct authority *
authority_open(const char *cert_file, const char *key_file, const char *passphrase_file, char *why,
               size_t why_size)
{
    struct authority *a = calloc(1, sizeof *a);

    if (!a) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    ERR_clear_error();
    a->cert = read_cert(cert_file, why, why_size);
    a->key = a->cert ? read_key(key_file, passphrase_file, why, why_size) : NULL;
    if (!a->key || !is_authority(a, cert_file, key_file, why, why_size)) {
        authority_free(a);
        a = NULL;
    }
    ERR_clear_error();
    return a;
}

void
authority_free(struct authority *a)
{
    if (a) {
        X509_free(a->cert);
        EVP_PKEY_free(a->key);
        free(a);
    }
}

struct instant
authority_until(const struct authority *a)
{
    return a->until;
}

/* --- Signing ---------------------------------------------------------------- */

static bool
add_extension(const struct authority *a, X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, a->cert, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool good = e && X509_add_ext(cert, e, -1) == 1;
    X509_EXTENSION_free(e);
    return good;
}

/* RFC 5280, section 4.1.2.2: positive, at most 20 octets; one that nobody can guess. */
static bool
set_serial(X509 *cert, char text[AUTHORITY_SERIAL_SIZE])
{
    unsigned char bytes[16];
    bool good = RAND_bytes(bytes, sizeof bytes) == 1;

    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
    BIGNUM *n = good ? BN_bin2bn(bytes, sizeof bytes, NULL) : NULL;
    good = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
    BN_free(n);
    for (size_t i = 0; good && i < sizeof bytes; i++) {
        snprintf(text + 2 * i, 3, "%02X", bytes[i]);
    }
    return good;
}

static bool
set_times(X509 *cert, struct instant now, struct instant until)
{
    return ASN1_TIME_set(X509_getm_notBefore(cert), now.ns / NS_PER_S - BEFORE_S) &&
           ASN1_TIME_set(X509_getm_notAfter(cert), until.ns / NS_PER_S);
}

static bool
set_name(X509 *cert, const char *name)
{
    const unsigned char *text = (const unsigned char *)name;

    return X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, text, -1, -1,
                                      0) == 1;
}

static X509 *
sign(const struct authority *a, const char *name, EVP_PKEY *key, struct instant now,
     struct instant until, char serial[AUTHORITY_SERIAL_SIZE])
{
    char dns[128];
    X509 *cert = X509_new();

    snprintf(dns, sizeof dns, "DNS:%s", name);
    if (cert && X509_set_version(cert, X509_VERSION_3) == 1 && set_serial(cert, serial) &&
        set_times(cert, now, until) && set_name(cert, name) &&
        X509_set_issuer_name(cert, X509_get_subject_name(a->cert)) == 1 &&
        X509_set_pubkey(cert, key) == 1 &&
        add_extension(a, cert, NID_basic_constraints, "critical,CA:FALSE") &&
        add_extension(a, cert, NID_key_usage, "critical,digitalSignature") &&
        add_extension(a, cert, NID_ext_key_usage, "clientAuth") &&
        add_extension(a, cert, NID_subject_alt_name, dns) &&
        add_extension(a, cert, NID_subject_key_identifier, "hash") &&
        add_extension(a, cert, NID_authority_key_identifier, "keyid") &&
        X509_sign(cert, a->key,
                  EVP_PKEY_get_base_id(a->key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256())) {
        return cert;
    }
    X509_free(cert);
    return NULL;
}

/* What was written to 'from', NUL-terminated. */
static char *
text_of(BIO *from)
{
    char *bytes, *text;
    long size = BIO_get_mem_data(from, &bytes);

    if (size <= 0 || !(text = malloc((size_t)size + 1))) {
        return NULL;
    }
    memcpy(text, bytes, (size_t)size);
    text[size] = '\0';
    return text;
}

static bool
print(X509 *cert, EVP_PKEY *key, struct certificate *out)
{
    BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_secmem());

    *out = (struct certificate){0};
    if (c && k && PEM_write_bio_X509(c, cert) == 1 &&
        PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) == 1) {
        out->cert = text_of(c);
        out->key = text_of(k);
    }
    BIO_free(c);
    BIO_free(k);
    if (!out->cert || !out->key) {
        certificate_fini(out);
        return false;
    }
    return true;
}

int
authority_issue(const struct authority *a, const char *name, struct instant now,
                struct instant until, struct certificate *out, char *why, size_t why_size)
{
    char serial[AUTHORITY_SERIAL_SIZE] = "";
    struct instant end = instant_before(a->until, until) ? a->until : until;

    ERR_clear_error();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key ? sign(a, name, key, now, end, serial) : NULL;
    bool good = cert && print(cert, key, out);
    if (good) {
        memcpy(out->serial, serial, sizeof serial);
        out->until = end;
    } else {
        snprintf(why, why_size, "OpenSSL makes no certificate: %s", reason());
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good ? 0 : -EIO;
}

void
certificate_fini(struct certificate *c)
{
    if (c->key) {
        OPENSSL_cleanse(c->key, strlen(c->key));
    }
    free(c->key);
    free(c->cert);
    c->key = c->cert = NULL;
}
