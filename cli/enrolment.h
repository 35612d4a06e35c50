/* enrolment.h - what a host needs to be a probe, as files under a folder, and what
 * Redis needs to know of it.
 *
 * After authority.h and lib/inventory.h, before enrol.c.  Pure: makes texts. */
#ifndef PLUMBLINE_ENROLMENT_H
#define PLUMBLINE_ENROLMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config.h"
#include "inventory.h"

#define ENROLMENT_FILES_MAX 8u
#define ENROLMENT_PASSWORD_SIZE 65u /* 32 octets in hexadecimal; also of its SHA-256. */

struct enrolment {
    const char *probe;
    const struct inventory *slice;
    const struct config_redis *redis; /* 'address' and 'tls.server_name' count. */
    const char *ca, *cert, *key;      /* PEM. */
    char password[ENROLMENT_PASSWORD_SIZE];
    const struct prefix *allow; /* None: whom the unit allows. */
    size_t allow_count;
};

struct enrolment_file {
    char *path; /* Below the probe's folder. */
    char *text;
    size_t size;
    mode_t mode;
};

struct enrolment_set {
    struct enrolment_file files[ENROLMENT_FILES_MAX];
    size_t count;
};

/* A password that nobody can guess.  0 or -EIO. */
int enrolment_password(char out[ENROLMENT_PASSWORD_SIZE]);

/* The line of an ACL file that lets the source write its stream and read its ack,
 * and nothing else; the password only as its SHA-256.  The caller's to free(); NULL:
 * out of memory. */
char *enrolment_acl(const struct enrolment *e);

/* All files; with 'renew' those of the certificate alone.  0, or -ENOMEM. */
int enrolment_make(const struct enrolment *e, bool renew, struct enrolment_set *out);
void enrolment_fini(struct enrolment_set *s);

/* Calls 'fn' with each address that the probe speaks with and that 'allow' leaves out:
 * 'what' is the link, or "redis.address".  How many.  Redis by name is not looked up: then
 * '*by_name' is true. */
typedef void enrolment_fn(const char *what, const struct address *address, void *aux);
size_t enrolment_left_out(const struct enrolment *e, enrolment_fn *fn, void *aux, bool *by_name);

#endif
