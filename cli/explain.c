/* explain.c - `plumbline explain`: how a verdict came about. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "cli.h"
#include "explained.h"
#include "judged.h"
#include "log.h"
#include "value.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"
#define DEFAULT_LIMIT "100"

static const char help[] =
    "usage: plumbline explain [OPTION ...] OBJECT [YYYY-MM]\n"
    "\n"
    "How the verdict on a service came about: the version of the SLA and what it covers; each\n"
    "objective with its formula, what was counted of how many, the 95 % interval, and what would\n"
    "decide it; then each run of delta-t that was not simply available: from, until, unavailable,\n"
    "high loss, undetermined, or excluded and by what; the windows of maintenance and the\n"
    "exclusions that meet it; changes of state; revisions and why there is each; the credit, with\n"
    "each outage that it is for; after a miss, what to do next.\n"
    "Of a group or link: the same without the promise.\n"
    "\n"
    "OBJECT is a key, or service:KEY, group:KEY, link:KEY where a key is several things.\n"
    "YYYY-MM is a month in the tenant's time zone (of groups and links: in UTC); without it the\n"
    "one that runs.\n"
    "\n"
    "  --limit NUMBER     lines of runs, of windows, of changes and of outages; default 100,\n"
    "                     0: all\n"
    "  --config FILE      default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT  connection in libpq's form, in the place of the file's\n"
    "  --json             print one JSON object\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 it is printed, 2 wrong usage, or nothing was judged of it, 3 PostgreSQL\n"
    "cannot be read.\n"
    "\n"
    "Examples:\n"
    "  plumbline explain acme-cloud\n"
    "  plumbline explain acme-cloud 2026-02 --limit 0\n"
    "  plumbline explain link:par1-lon1-a --json | jq '.runs[] | select(.state == "
    "\"unavailable\")'\n";

struct explain {
    struct judged judged;
    const char *object, *period, *limit;
    bool json;
};

static int
run(struct explain *e)
{
    int status = judged_open(&e->judged);
    cJSON *account = status == EXIT_GOOD
                         ? account_read(&e->judged, e->object, e->period, e->limit, &status)
                         : NULL;

    judged_close(&e->judged);
    if (!account) {
        return status;
    }
    if (e->json) {
        judged_print(account);
        return status;
    }
    judged_tame(account);
    explained_promise(account);
    explained_counted(account, e->limit ? strtoll(e->limit, NULL, 10) : INT64_MAX);
    cJSON_Delete(account);
    return status;
}

/* --- Options ------------------------------------------------------------------------ */

static bool
is_object(const char *text)
{
    const char *colon = strchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : 0;

    if (!colon) {
        return value_is_name(text);
    }
    return ((length == 7 && strncmp(text, "service", length) == 0) ||
            (length == 5 && strncmp(text, "group", length) == 0) ||
            (length == 4 && strncmp(text, "link", length) == 0)) &&
           value_is_name(colon + 1);
}

static int
take_arguments(struct explain *e, int count, char *const *arguments)
{
    uint64_t limit;

    if (count < 1 || count > 2) {
        fputs("plumbline explain: a service, group or link is needed, and a month may follow; "
              "`plumbline explain --help` has examples\n",
              stderr);
        return EXIT_USAGE;
    }
    e->object = arguments[0];
    e->period = count == 2 ? arguments[1] : NULL;
    if (!is_object(e->object)) {
        fprintf(stderr, "plumbline explain: '%s' can be no service, group or link\n", e->object);
        return EXIT_USAGE;
    }
    if (e->period && !judged_is_month(e->period)) {
        fprintf(stderr, "plumbline explain: '%s': expected a month such as 2026-02\n", e->period);
        return EXIT_USAGE;
    }
    if (!value_parse_unsigned(e->limit, &limit) || limit > INT32_MAX) {
        fprintf(stderr, "plumbline explain: --limit %s: expected a number of lines; 0: all\n",
                e->limit);
        return EXIT_USAGE;
    }
    e->limit = limit ? e->limit : NULL;
    return EXIT_GOOD;
}

int
cli_explain(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"postgresql", required_argument, NULL, 'p'},
        {"limit", required_argument, NULL, 'l'},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    struct explain e = {.judged = {.verb = "explain", .config = DEFAULT_CONFIG},
                        .limit = DEFAULT_LIMIT};
    int o;

    log_set_level(LOG_LEVEL_ERROR);
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char **text = o == 'c'   ? &e.judged.config
                            : o == 'p' ? &e.judged.postgresql
                            : o == 'l' ? &e.limit
                                       : NULL;
        if (text) {
            *text = optarg;
        } else if (o == 'j') {
            e.json = true;
        } else if (o == 'h') {
            fputs(help, stdout);
            return EXIT_GOOD;
        } else {
            fputs("`plumbline explain --help` shows the options\n", stderr);
            return EXIT_USAGE;
        }
    }
    int status = take_arguments(&e, argc - optind, argv + optind);
    return status == EXIT_GOOD ? run(&e) : status;
}
