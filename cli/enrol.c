/* enrol.c - `plumbline enrol`: all that a host needs to be a probe, in a folder that
 * the operator copies there, and the line that lets it into Redis. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <openssl/crypto.h>

#include "authority.h"
#include "cli.h"
#include "config.h"
#include "enrolment.h"
#include "file.h"
#include "inventory.h"
#include "ledger.h"
#include "value.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"
#define SHOWN_MAX 200u
#define ALLOW_MAX 64u
#define PEM_SIZE_MAX ((size_t)1 << 20)
#define VALID_DAYS 365

static const char help[] =
    "usage: plumbline enrol --ca FILE --ca-key FILE [OPTION ...] PROBE\n"
    "\n"
    "Makes a folder with what a host needs to be PROBE: probe.yaml, its slice of the\n"
    "inventory, a key and a certificate signed by your CA, a password for Redis, a drop-in\n"
    "for the unit; and redis.acl, the line that lets it write its own stream, read its own\n"
    "ack, and nothing else.  Nothing is sent anywhere.\n"
    "\n"
    "  --ca FILE            certificate of the CA that signs; required\n"
    "  --ca-key FILE        its private key; required\n"
    "  --ca-passphrase-file FILE   the passphrase of that key, if it has one\n"
    "  --folder FOLDER      where FOLDER/PROBE and the list of certificates FOLDER/index.txt\n"
    "                       are written; default: enrolled\n"
    "  --valid TIME         how long the certificate is good; default 365d\n"
    "  --allow PREFIX       the unit may speak with these addresses alone; may be given again.\n"
    "                       All far ends and Redis must be in them.  Default: any unicast\n"
    "  --redis ADDRESS      Redis as the probe reaches it; default: the configuration's\n"
    "  --inventory PATH     file or folder; default: the configuration's\n"
    "  --renew              a new key and certificate for a probe that is enrolled; its\n"
    "                       password, and so its line in Redis, stay\n"
    "  --config FILE        default /etc/plumbline/plumbline.yaml\n"
    "  --json               print one JSON object\n"
    "  --help               this text\n"
    "\n"
    "Exit status: 0 done, 2 wrong usage, no such probe, or it is enrolled already, 3 a file\n"
    "cannot be read or written.\n"
    "\n"
    "Examples:\n"
    "  plumbline enrol --ca ca.pem --ca-key ca.key par1-p1\n"
    "  tar -C enrolled/par1-p1 -cf - etc | ssh root@par1 'tar -C / --no-same-owner \\\n"
    "      --no-overwrite-dir -xf - && chgrp -R plumbline /etc/plumbline'\n"
    "  redis-cli ACL SETUSER $(sed 's/^user //' enrolled/par1-p1/redis.acl)\n";

struct enrol {
    const char *config_path, *inventory_path, *ca, *ca_key, *passphrase_file, *redis, *folder;
    const char *probe;
    struct span valid;
    struct prefix allow[ALLOW_MAX];
    size_t allow_count;
    bool renew, json;
    struct cli_config *config;
    struct inventory *inv, *slice;
    struct authority *authority;
    struct certificate certificate;
    char *ca_text;
    struct enrolment made;
};

static int
refuse(const char *what, const char *why)
{
    fprintf(stderr, "plumbline enrol: %s: %s\n", what, why);
    return EXIT_USAGE;
}

static int
unavailable(const char *what, const char *why)
{
    refuse(what, why);
    return EXIT_UNAVAILABLE;
}

/* --- What it is made of ----------------------------------------------------- */

static int
load_slice(struct enrol *e)
{
    size_t errors, warnings;
    const char *path = e->inventory_path ? e->inventory_path : e->config->inventory;

    if (!path) {
        return refuse(e->config_path, "it names no inventory; --inventory does");
    }
    int err = inventory_load(path, stderr, SHOWN_MAX, &errors, &warnings, &e->inv);
    if (err) {
        return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
    }
    if (e->inv->slice_of) {
        return refuse(path, "this is one probe's slice; the whole inventory is needed");
    }
    if (inventory_slice(e->inv, e->probe, &e->slice)) {
        fprintf(stderr, "plumbline enrol: there is no probe '%s' in %s\n", e->probe, path);
        return EXIT_USAGE;
    }
    if (inventory_probe(e->inv, e->probe)->state == INV_RETIRED) {
        return refuse(e->probe, "it is retired in the inventory");
    }
    return EXIT_GOOD;
}

/* The probe verifies Redis as this command does; without that by the CA that signs it. */
static int
load_ca(struct enrol *e)
{
    const char *path = e->config->redis.tls.ca_file ? e->config->redis.tls.ca_file : e->ca;
    char why[512];
    size_t size;

    e->ca_text = file_read(path, PEM_SIZE_MAX, &size);
    if (!e->ca_text) {
        return unavailable(path, strerror(errno));
    }
    e->authority = authority_open(e->ca, e->ca_key, e->passphrase_file, why, sizeof why);
    if (!e->authority) {
        fprintf(stderr, "plumbline enrol: %s\n", why);
        return EXIT_UNAVAILABLE;
    }
    return EXIT_GOOD;
}

static void
tell_left_out(const char *what, const struct address *address, void *aux)
{
    char text[VALUE_TEXT_SIZE];

    (void)aux;
    fprintf(stderr, "plumbline enrol: %s: %s is in no --allow\n", what,
            value_format_address(address, text, sizeof text));
}

static int
check_allowed(const struct enrol *e)
{
    bool by_name;

    if (enrolment_left_out(&e->made, tell_left_out, NULL, &by_name)) {
        return EXIT_USAGE;
    }
    if (e->allow_count && by_name) {
        fprintf(stderr,
                "plumbline enrol: note: '%s' is a name: its addresses, and those of who resolves "
                "it, must be in --allow\n",
                e->made.redis->address);
    }
    return EXIT_GOOD;
}

static int
prepare(struct enrol *e)
{
    int err = cli_config_load(e->config_path, stderr, &e->config);

    if (err) {
        return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
    }
    if (e->redis) {
        e->config->redis.address = e->redis;
    }
    if (strpbrk(e->config->redis.address, "\"\\\n")) {
        return refuse(e->config->redis.address, "this is no address");
    }
    int status = load_slice(e);
    if (status == EXIT_GOOD) {
        status = load_ca(e);
    }
    if (status == EXIT_GOOD) {
        e->made = (struct enrolment){.probe = e->probe,
                                     .slice = e->slice,
                                     .redis = &e->config->redis,
                                     .ca = e->ca_text,
                                     .allow = e->allow,
                                     .allow_count = e->allow_count};
        status = check_allowed(e);
    }
    return status;
}

/* --- Writing ---------------------------------------------------------------- */

static int
write_file(const struct enrol *e, const struct enrolment_file *f)
{
    char path[PATH_MAX], folder[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s/%s", e->folder, e->probe, f->path);

    if (n >= (int)sizeof path) {
        return unavailable(e->folder, strerror(ENAMETOOLONG));
    }
    memcpy(folder, path, sizeof folder);
    *strrchr(folder, '/') = '\0';
    /* Only the operator's own folder is closed: modes below go to the probe's host. */
    int err = file_folders(folder, strcmp(f->path, "redis.acl") == 0 ? 0700 : 0755);
    if (!err) {
        err = file_write(path, f->mode, f->text, f->size);
    }
    return err ? unavailable(path, strerror(-err)) : EXIT_GOOD;
}

static int
write_files(struct enrol *e)
{
    struct enrolment_set set;
    int status = EXIT_GOOD;

    e->made.cert = e->certificate.cert;
    e->made.key = e->certificate.key;
    if ((!e->renew && enrolment_password(e->made.password)) ||
        enrolment_make(&e->made, e->renew, &set)) {
        return unavailable(e->probe, "out of memory");
    }
    for (size_t i = 0; i < set.count && status == EXIT_GOOD; i++) {
        status = write_file(e, &set.files[i]);
    }
    enrolment_fini(&set);
    return status;
}

static int
may_enrol(const struct enrol *e, const struct ledger *ledger, struct instant now)
{
    if (!e->renew && ledger_good(ledger, e->probe, now)) {
        return refuse(e->probe, "it is enrolled already: --renew makes another certificate, "
                                "`plumbline revoke` takes it out");
    }
    if (e->renew && !ledger_good(ledger, e->probe, now)) {
        return refuse(e->probe, "it has no certificate that is good: enrol it without --renew");
    }
    return EXIT_GOOD;
}

/* The certificate is in the list before its files are there: none is unknown. */
static int
issue(struct enrol *e, struct ledger *ledger, struct instant now)
{
    char why[512];
    struct instant until = instant_add(now, e->valid);
    int status = may_enrol(e, ledger, now);

    if (status != EXIT_GOOD) {
        return status;
    }
    if (authority_issue(e->authority, e->probe, now, until, &e->certificate, why, sizeof why)) {
        return unavailable(e->probe, why);
    }
    int err = ledger_add(ledger, e->probe, e->certificate.serial, e->certificate.until);
    if (!err) {
        err = ledger_write(ledger);
    }
    return err ? unavailable(e->folder, strerror(-err)) : write_files(e);
}

static int
issue_alone(struct enrol *e)
{
    struct ledger *ledger;
    int err = file_folders(e->folder, 0700);

    if (!err) {
        err = ledger_open(e->folder, &ledger);
    }
    if (err) {
        return unavailable(e->folder, err == -EBADMSG ? "index.txt is no list of certificates"
                                                      : strerror(-err));
    }
    int status = issue(e, ledger, instant_now());
    ledger_close(ledger);
    return status;
}

/* --- Telling ---------------------------------------------------------------- */

static void
print_json(const struct enrol *e, const char *until, const char *acl)
{
    cJSON *o = cJSON_CreateObject();
    char folder[PATH_MAX];

    snprintf(folder, sizeof folder, "%s/%s", e->folder, e->probe);
    cJSON_AddStringToObject(o, "probe", e->probe);
    cJSON_AddStringToObject(o, "folder", folder);
    cJSON_AddStringToObject(o, "serial", e->certificate.serial);
    cJSON_AddStringToObject(o, "certificate_end", until);
    if (acl) {
        cJSON_AddStringToObject(o, "redis_acl", acl);
    } else {
        cJSON_AddNullToObject(o, "redis_acl");
    }
    char *text = cJSON_Print(o);
    puts(text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(o);
}

static void
tell(const struct enrol *e)
{
    char until[40];
    char *acl = e->renew ? NULL : enrolment_acl(&e->made);

    instant_format(e->certificate.until, 0, until, sizeof until);
    if (e->json) {
        print_json(e, until, acl);
    } else {
        printf("%s: certificate %s, good until %s\n", e->probe, e->certificate.serial, until);
        printf("%s/%s/etc is for the /etc of its host\n", e->folder, e->probe);
        if (acl) {
            printf("%s/%s/redis.acl is for each node of Redis:\n%s\n", e->folder, e->probe, acl);
        }
    }
    if (instant_before(e->certificate.until, instant_add(instant_now(), e->valid)) &&
        e->certificate.until.ns == authority_until(e->authority).ns) {
        fprintf(stderr, "plumbline enrol: note: the CA itself is good no longer than that\n");
    }
    free(acl);
}

static int
run(struct enrol *e)
{
    int status = prepare(e);

    if (status == EXIT_GOOD) {
        status = issue_alone(e);
    }
    if (status == EXIT_GOOD) {
        tell(e);
    }
    OPENSSL_cleanse(e->made.password, sizeof e->made.password);
    certificate_fini(&e->certificate);
    authority_free(e->authority);
    inventory_free(e->slice);
    inventory_free(e->inv);
    cli_config_free(e->config);
    free(e->ca_text);
    return status;
}

/* --- Verb ------------------------------------------------------------------- */

static bool
take_option(struct enrol *e, int o)
{
    const char **text = o == 'c'   ? &e->config_path
                        : o == 'a' ? &e->ca
                        : o == 'k' ? &e->ca_key
                        : o == 'w' ? &e->passphrase_file
                        : o == 'f' ? &e->folder
                        : o == 'r' ? &e->redis
                        : o == 'i' ? &e->inventory_path
                                   : NULL;
    if (text) {
        *text = optarg;
    } else if (o == 'n' || o == 'j') {
        *(o == 'n' ? &e->renew : &e->json) = true;
    } else if (o == 'v') {
        return value_parse_span(optarg, &e->valid) && e->valid.ns >= 60 * NS_PER_S;
    } else if (o == 'l') {
        return e->allow_count < ALLOW_MAX &&
               value_parse_prefix(optarg, &e->allow[e->allow_count]) && ++e->allow_count;
    } else {
        return false;
    }
    return true;
}

int
cli_enrol(int argc, char **argv)
{
    static const struct option options[] = {{"ca", required_argument, NULL, 'a'},
                                            {"ca-key", required_argument, NULL, 'k'},
                                            {"ca-passphrase-file", required_argument, NULL, 'w'},
                                            {"folder", required_argument, NULL, 'f'},
                                            {"valid", required_argument, NULL, 'v'},
                                            {"allow", required_argument, NULL, 'l'},
                                            {"redis", required_argument, NULL, 'r'},
                                            {"inventory", required_argument, NULL, 'i'},
                                            {"renew", no_argument, NULL, 'n'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct enrol e = {.config_path = DEFAULT_CONFIG,
                      .folder = "enrolled",
                      .valid = {VALID_DAYS * 86400 * NS_PER_S}};
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 'h') {
            fputs(help, stdout);
            return EXIT_GOOD;
        }
        if (!take_option(&e, o)) {
            fprintf(stderr,
                    o == 'v'   ? "plumbline enrol: --valid %s: expected a time such as 365d\n"
                    : o == 'l' ? "plumbline enrol: --allow %s: expected a prefix such as "
                                 "10.0.0.0/8, 64 of them at most\n"
                               : "`plumbline enrol --help` shows the options%.0s\n",
                    optarg ? optarg : "");
            return EXIT_USAGE;
        }
    }
    if (!e.ca || !e.ca_key || argc - optind != 1) {
        fputs("plumbline enrol: --ca, --ca-key and one probe are needed; `plumbline enrol --help` "
              "has examples\n",
              stderr);
        return EXIT_USAGE;
    }
    e.probe = argv[optind];
    return run(&e);
}
