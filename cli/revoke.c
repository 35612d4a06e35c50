/* revoke.c - `plumbline revoke`: a probe's certificates are no longer good, and what
 * takes it out of Redis. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli.h"
#include "ledger.h"
#include "value.h"

static const char help[] =
    "usage: plumbline revoke [OPTION ...] PROBE\n"
    "\n"
    "Notes in FOLDER/index.txt that PROBE's certificates are revoked, and prints the command\n"
    "that takes it out of Redis and ends its connections.  Redis asks no list of revoked\n"
    "certificates: the probe is out when that command was given to each of its nodes.  What\n"
    "it had sent before stays, and collectors write it; its history stays as it is.\n"
    "`plumbline enrol` makes it anew, for this host or another one.\n"
    "\n"
    "  --folder FOLDER      where it was enrolled; default: enrolled\n"
    "  --json               print one JSON object\n"
    "  --help               this text\n"
    "\n"
    "Exit status: 0 done, 2 wrong usage, or it has no certificate that is good, 3 a file\n"
    "cannot be read or written.\n"
    "\n"
    "Examples:\n"
    "  plumbline revoke par1-p1\n"
    "  redis-cli ACL DELUSER par1-p1 && redis-cli ACL SAVE\n"
    "  openssl ca -gencrl ...    # reads the same index.txt, for others who ask for a list\n";

struct revoke {
    const char *folder, *probe;
    bool json;
    cJSON *serials; /* NULL: print them. */
};

static void
told(const char *serial, struct instant end, void *aux)
{
    struct revoke *r = aux;
    char until[40];

    if (r->serials) {
        cJSON_AddItemToArray(r->serials, cJSON_CreateString(serial));
    } else {
        printf("%s: certificate %s, good until %s, is revoked\n", r->probe, serial,
               instant_format(end, 0, until, sizeof until));
    }
}

static void
tell(const struct revoke *r, cJSON *o)
{
    char command[128];

    snprintf(command, sizeof command, "ACL DELUSER %s", r->probe);
    if (!o) {
        printf("for each node of Redis, and ACL SAVE after it:\n%s\n", command);
        return;
    }
    cJSON_AddStringToObject(o, "probe", r->probe);
    cJSON_AddStringToObject(o, "redis_command", command);
    char *text = cJSON_Print(o);
    puts(text ? text : "{}");
    cJSON_free(text);
}

static int
failed(const struct revoke *r, int err)
{
    fprintf(stderr, "plumbline revoke: %s/index.txt: %s\n", r->folder,
            err == -EBADMSG ? "this is no list of certificates" : strerror(-err));
    return EXIT_UNAVAILABLE;
}

static int
run(struct revoke *r)
{
    struct ledger *ledger;
    cJSON *o = r->json ? cJSON_CreateObject() : NULL;
    int status = EXIT_GOOD, err = ledger_open(r->folder, &ledger);

    if (err) {
        cJSON_Delete(o);
        return failed(r, err);
    }
    r->serials = o ? cJSON_AddArrayToObject(o, "serials") : NULL;
    int count = ledger_revoke(ledger, r->probe, instant_now(), told, r);
    if (count == 0) {
        fprintf(stderr, "plumbline revoke: %s: %s %s/index.txt\n", r->probe,
                ledger_known(ledger, r->probe) ? "no certificate of it is good any more, by"
                                               : "it was never enrolled, by",
                r->folder);
        status = EXIT_USAGE;
    }
    err = count < 0 ? count : count > 0 ? ledger_write(ledger) : 0;
    if (err) {
        status = failed(r, err);
    } else if (count > 0) {
        tell(r, o);
    }
    ledger_close(ledger);
    cJSON_Delete(o);
    return status;
}

int
cli_revoke(int argc, char **argv)
{
    static const struct option options[] = {{"folder", required_argument, NULL, 'f'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct revoke r = {.folder = "enrolled"};
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 'f') {
            r.folder = optarg;
        } else if (o == 'j') {
            r.json = true;
        } else if (o == 'h') {
            fputs(help, stdout);
            return EXIT_GOOD;
        } else {
            fputs("`plumbline revoke --help` shows the options\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (argc - optind != 1 || !value_is_name(argv[optind])) {
        fputs("plumbline revoke: one probe is needed; `plumbline revoke --help` has examples\n",
              stderr);
        return EXIT_USAGE;
    }
    r.probe = argv[optind];
    return run(&r);
}
