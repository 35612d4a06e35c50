/* authority.h - the operator's certification authority, out of files: keys and
 * certificates for probes.
 *
 * Beside lib/tls.h, which uses what is made here; used by enrol.c.  OpenSSL's
 * library does it all, in this process. */
#ifndef PLUMBLINE_AUTHORITY_H
#define PLUMBLINE_AUTHORITY_H

#include <stddef.h>

#include "nstime.h"

#define AUTHORITY_SERIAL_SIZE 41u

struct authority;

/* Reads the authority's certificate (the first one in 'cert_file') and its key;
 * 'passphrase_file' may be NULL.  NULL: 'why' names the file and what is wrong with it. */
struct authority *authority_open(const char *cert_file, const char *key_file,
                                 const char *passphrase_file, char *why, size_t why_size);
void authority_free(struct authority *a);

/* Until when the authority itself is good. */
struct instant authority_until(const struct authority *a);

struct certificate {
    char *cert, *key;                   /* PEM, NUL-terminated; certificate_fini() wipes the key. */
    char serial[AUTHORITY_SERIAL_SIZE]; /* Hexadecimal, upper case. */
    struct instant until;
};

/* A new key (EC, P-256) and a certificate of a TLS client for it, whose subject
 * and DNS name are 'name' (a key of the inventory), good from five minutes before
 * 'now' to 'until', or to the authority's own end if that is sooner.  0, or -EIO with 'why'. */
int authority_issue(const struct authority *a, const char *name, struct instant now,
                    struct instant until, struct certificate *out, char *why, size_t why_size);
void certificate_fini(struct certificate *c);

#endif
