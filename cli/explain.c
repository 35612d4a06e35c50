/* explain.c - `plumbline explain`: how a verdict came about. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "account.h"
#include "cli.h"
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
    "each outage that it is for.\n"
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

static const cJSON *
part(const cJSON *account, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(account, name);
}

static void
print_left_out(const cJSON *account, const char *name)
{
    char more[64];

    snprintf(more, sizeof more, "%s_left_out", name);
    if (judged_number(account, more)) {
        printf("... and %" PRId64 " more; --limit 0 shows all\n", judged_number(account, more));
    }
}

/* --- The promise ---------------------------------------------------------------- */

static const char *
covers_words(const char *word)
{
    return strcmp(word, "over") == 0      ? "the links and groups that it is over"
           : strcmp(word, "tail") == 0    ? "the customer's tail, as the attachments' tests see it"
           : strcmp(word, "bgp") == 0     ? "the BGP sessions of the attachments"
           : strcmp(word, "tunnels") == 0 ? "the tunnels"
                                          : word;
}

static void
print_contract(const cJSON *p)
{
    char text[512];
    const cJSON *one;
    int count = 0;

    printf("SLA %s, version %" PRId64 ", valid from %s; it covers ", judged_text(p, "sla"),
           judged_number(p, "version"), judged_text(p, "valid_from"));
    cJSON_ArrayForEach(one, part(p, "covers"))
    {
        printf("%s%s", count++ ? ", " : "", covers_words(cJSON_GetStringValue(one)));
    }
    printf(": what is behind that line is not promised\n");
    printf("over %s", judged_list(p, "parts", text, sizeof text));
    printf("; between %s\n", judged_list(p, "ends", text, sizeof text));
    printf("delta-t of which nobody knows: %s; maintenance is announced %s ahead%s%s\n",
           strcmp(judged_text(p, "undetermined"), "last") == 0
               ? "counted as the last state that was known"
               : judged_text(p, "undetermined"),
           judged_has(p, "notice") ? judged_text(p, "notice") : "0s",
           judged_has(p, "maintenance_allowance") ? ", in a month at most " : "",
           judged_text(p, "maintenance_allowance"));
}

static void
print_head(const cJSON *account)
{
    const cJSON *p = part(account, "period");

    printf("%s %s", judged_text(account, "kind"), judged_text(account, "object"));
    if (strcmp(judged_text(p, "label"), judged_text(account, "object")) != 0) {
        printf(" (%s)", judged_text(p, "label"));
    }
    printf("%s%s\n", judged_has(p, "tenant") ? ", tenant " : "", judged_text(p, "tenant"));
    if (judged_has(p, "sla")) {
        print_contract(p);
    }
    printf("period %s in %s: %s to %s\n", judged_text(p, "period"), judged_text(p, "timezone"),
           judged_text(p, "period_start"), judged_text(p, "period_end"));
    if (judged_has(p, "judged_until")) {
        printf("judged from %s to %s; ", judged_text(p, "judged_from"),
               judged_text(p, "judged_until"));
        if (judged_has(p, "revision")) {
            printf("published, revision %" PRId64 "\n", judged_number(p, "revision"));
        } else {
            puts("it is not published yet");
        }
    }
}

/* What was compared, in the objective's own words. */
static void
print_counts(const cJSON *o)
{
    const char *metric = judged_text(o, "metric");
    const char *what = strcmp(metric, "availability") == 0      ? "delta-t were available"
                       : strcmp(metric, "hli") == 0             ? "delta-t were such"
                       : strcmp(metric, "chli") == 0            ? "delta-t had such runs"
                       : strncmp(metric, "flr", 3) == 0         ? "packets were lost"
                       : strcmp(metric, "reorder_ratio") == 0   ? "packets were late in order"
                       : strcmp(metric, "duplicate_ratio") == 0 ? "packets came again"
                                                                : "samples were over the limit";
    const cJSON *low = part(o, "low"), *high = part(o, "high");

    if (strstr(metric, "mean")) {
        printf("   %" PRId64 " samples\n", judged_number(o, "whole"));
        return;
    }
    printf("   %" PRId64 " of %" PRId64 " %s", judged_number(o, "part"), judged_number(o, "whole"),
           what);
    if (cJSON_IsNumber(low) && cJSON_IsNumber(high)) {
        printf("; 95 %% interval %.5f%% to %.5f%%", low->valuedouble * 100,
               high->valuedouble * 100);
    }
    puts("");
}

static void
print_budget(const cJSON *o)
{
    char budget[JUDGED_TEXT_SIZE], used[JUDGED_TEXT_SIZE], left[JUDGED_TEXT_SIZE];

    if (!judged_has(o, "budget")) {
        return;
    }
    printf("   the period may spend %s; %s spent, %s left",
           judged_budget(o, "budget", budget, sizeof budget),
           judged_budget(o, "used", used, sizeof used),
           judged_budget(o, "budget_left", left, sizeof left));
    if (judged_has(o, "burn")) {
        printf("; %.2f times as fast as the period goes", part(o, "burn")->valuedouble);
    }
    puts("");
}

/* What would take the doubt away. */
static void
print_doubt(const cJSON *o)
{
    const char *doubt = judged_text(o, "doubt");

    if (!judged_doubt(o)[0]) {
        return;
    }
    printf("   doubt: %s", judged_doubt(o));
    if (strcmp(doubt, "few_samples") == 0 || strcmp(doubt, "in_interval") == 0) {
        if (judged_number(o, "needed") > 0) {
            printf("; %" PRId64 " in all would decide, if it stays as it is",
                   judged_number(o, "needed"));
        } else if (!judged_has(o, "needed")) {
            printf("; no number of packets would decide, if it stays as it is");
        }
    } else if (strcmp(doubt, "clock") == 0) {
        printf("; clocks at both ends that know their error would decide, or a promise of the "
               "round trip");
    } else if (strcmp(doubt, "undetermined") == 0) {
        printf("; what the probes have not told yet would decide");
    } else if (strcmp(doubt, "bucket") == 0) {
        printf("; probes that have this limit count it exactly, from then on");
    }
    puts("");
}

static void
print_objectives(const cJSON *account)
{
    char value[JUDGED_TEXT_SIZE], limit[JUDGED_TEXT_SIZE];
    const cJSON *o;

    cJSON_ArrayForEach(o, part(account, "objectives"))
    {
        printf("\n%" PRId64 ". %s, %s %s %s: %s", judged_number(o, "number"),
               judged_text(o, "class"), judged_text(o, "metric"), judged_text(o, "direction"),
               judged_limit(o, limit, sizeof limit), judged_verdict(o));
        if (judged_has(o, "value")) {
            printf(", %s", judged_value(judged_text(o, "unit"), judged_number(o, "value"), value,
                                        sizeof value));
        }
        printf("\n   %s\n", judged_formula(judged_text(o, "metric")));
        if (judged_has(o, "worst")) {
            printf("   the worst is %s\n", judged_text(o, "worst"));
        }
        print_counts(o);
        print_budget(o);
        print_doubt(o);
    }
}

/* --- What was counted ------------------------------------------------------------- */

static void
print_lines(const cJSON *account)
{
    char share[JUDGED_TEXT_SIZE];
    const cJSON *l;

    printf("\n%-28s %-12s %-5s %9s %9s %9s %12s %12s %9s %8s %6s %5s\n", "DELTA-T OF", "CLASS",
           "WAY", "JUDGED", "COUNTED", "AVAILABLE", "AVAILABILITY", "UNDETERMINED", "EXCLUDED",
           "OUTAGES", "HLI", "CHLI");
    cJSON_ArrayForEach(l, part(account, "lines"))
    {
        printf("%-28s %-12s %-5s %9" PRId64 " %9" PRId64 " %9" PRId64 " %12s %12" PRId64
               " %9" PRId64 " %8" PRId64 " %6" PRId64 " %5" PRId64 "\n",
               judged_text(l, "object"), judged_text(l, "class"), judged_text(l, "direction"),
               judged_number(l, "dt_total"), judged_number(l, "dt_counted"),
               judged_number(l, "dt_available"),
               judged_has(l, "availability_milli")
                   ? judged_value("milli_percent", judged_number(l, "availability_milli"), share,
                                  sizeof share)
                   : "-",
               judged_number(l, "dt_undetermined"), judged_number(l, "dt_excluded"),
               judged_number(l, "outages"), judged_number(l, "hli"), judged_number(l, "chli_runs"));
    }
    if (cJSON_GetArraySize(part(account, "lines")) == 0) {
        puts("nothing was judged in this period");
    }
}

static void
print_run(const cJSON *r)
{
    const char *state = judged_text(r, "state");
    bool available = cJSON_IsTrue(part(r, "available"));

    printf("%-20s %-20s %8" PRId64 "  %-28s %-12s %-5s %s", judged_text(r, "from"),
           judged_text(r, "until"), judged_number(r, "count"), judged_text(r, "object"),
           judged_text(r, "class"), judged_text(r, "direction"), state);
    if (strcmp(state, "excluded") == 0) {
        printf(": %s%s", judged_text(r, "exclusion"), available ? "" : " (was unavailable)");
    } else if (strcmp(state, "undetermined") == 0) {
        printf(", last state %s", available ? "available" : "unavailable");
    }
    puts("");
}

static void
print_runs(const cJSON *account)
{
    const cJSON *one;

    if (cJSON_GetArraySize(part(account, "lines")) == 0) {
        return;
    }
    if (cJSON_GetArraySize(part(account, "runs")) == 0) {
        puts("\nevery delta-t was available, and counts");
        return;
    }
    printf("\n%-20s %-20s %8s  %-28s %-12s %-5s %s\n", "FROM", "UNTIL", "DELTA-T", "OBJECT",
           "CLASS", "WAY", "WHAT");
    cJSON_ArrayForEach(one, part(account, "runs"))
    {
        print_run(one);
    }
    print_left_out(account, "runs");
}

static void
print_transitions(const cJSON *account)
{
    const cJSON *t;

    if (cJSON_GetArraySize(part(account, "transitions")) == 0) {
        return;
    }
    printf("\n%-20s %-28s %-12s %-5s %s\n", "AT", "OBJECT", "CLASS", "WAY", "BECAME");
    cJSON_ArrayForEach(t, part(account, "transitions"))
    {
        printf("%-20s %-28s %-12s %-5s %s\n", judged_text(t, "at"), judged_text(t, "object"),
               judged_text(t, "class"), judged_text(t, "direction"),
               cJSON_IsTrue(part(t, "available")) ? "available" : "unavailable");
    }
    print_left_out(account, "transitions");
}

/* --- What was recorded -------------------------------------------------------------- */

static void
print_windows(const cJSON *account)
{
    char objects[256], lead[JUDGED_TEXT_SIZE] = "";
    const cJSON *w;

    if (cJSON_GetArraySize(part(account, "windows")) == 0) {
        return;
    }
    printf("\n%-20s %-20s %-20s %s\n", "FROM", "UNTIL", "WINDOW", "WHAT");
    cJSON_ArrayForEach(w, part(account, "windows"))
    {
        char name[48];
        snprintf(name, sizeof name, "%.20s %" PRId64, judged_text(w, "kind"),
                 judged_number(w, "id"));
        printf("%-20s %-20s %-20s ", judged_text(w, "start"), judged_text(w, "end"), name);
        if (cJSON_IsTrue(part(w, "excludes"))) {
            fputs("excluded", stdout);
        } else {
            printf("not excluded: %s", judged_text(w, "why_not"));
        }
        if (judged_has(w, "lead_s")) {
            printf("; announced %s ahead",
                   judged_duration(judged_number(w, "lead_s") * NS_PER_S, lead, sizeof lead));
        }
        printf("; %s; %s%s%s\n", judged_list(w, "objects", objects, sizeof objects),
               judged_text(w, "reason"), judged_has(w, "approval") ? "; approved by " : "",
               judged_text(w, "approval"));
    }
    print_left_out(account, "windows");
}

static void
print_revisions(const cJSON *account)
{
    char value[JUDGED_TEXT_SIZE];
    const cJSON *r, *v;

    if (cJSON_GetArraySize(part(account, "revisions")) > 0) {
        printf("\n%-9s %-20s %s\n", "REVISION", "PUBLISHED", "WHY");
    }
    cJSON_ArrayForEach(r, part(account, "revisions"))
    {
        printf("%-9" PRId64 " %-20s %s:", judged_number(r, "revision"),
               judged_text(r, "published_at"), judged_text(r, "why"));
        cJSON_ArrayForEach(v, part(r, "verdicts"))
        {
            printf(" %" PRId64 ". %s", judged_number(v, "number"), judged_text(v, "verdict"));
            if (judged_has(v, "value")) {
                printf(" (%s)", judged_value(judged_text(v, "unit"), judged_number(v, "value"),
                                             value, sizeof value));
            }
        }
        puts("");
    }
}

static void
print_credit(const cJSON *account, const char *limit)
{
    char share[JUDGED_TEXT_SIZE];
    const cJSON *c = cJSON_GetArrayItem(part(account, "credit"), 0), *reason;

    if (!judged_number(c, "credit_milli")) {
        return;
    }
    printf("\ncredit %s of the month's charge, %s",
           judged_value("milli_percent", judged_number(c, "credit_milli"), share, sizeof share),
           judged_text(c, "state"));
    if (judged_has(c, "claim_until")) {
        printf(", to be claimed by %s", judged_text(c, "claim_until"));
    }
    cJSON_ArrayForEach(reason, part(c, "reasons"))
    {
        if (!judged_is_outage(reason)) {
            printf("; %s %s%s", judged_text(reason, "metric"),
                   judged_value("milli_percent", judged_number(reason, "credit_milli"), share,
                                sizeof share),
                   judged_counts(reason) ? "" : JUDGED_NOT_ADDED);
        }
    }
    puts("");
    judged_print_outages(part(c, "reasons"), limit ? strtoll(limit, NULL, 10) : INT64_MAX, "",
                         "--limit 0 shows all");
}

static void
print_steps(const cJSON *account)
{
    char share[JUDGED_TEXT_SIZE] = "";
    const cJSON *step;

    cJSON_ArrayForEach(step, part(account, "credit_steps"))
    {
        const char *author = judged_text(step, "author"), *note = judged_text(step, "note");
        printf("%-20s %s by %s", judged_text(step, "at"), judged_text(step, "state"),
               author[0] ? author : judged_text(step, "by"));
        if (judged_has(step, "credit_milli")) {
            printf(", %s", judged_value("milli_percent", judged_number(step, "credit_milli"), share,
                                        sizeof share));
        }
        printf("%s%s\n", note[0] ? ": " : "", note);
    }
}

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
    print_head(account);
    print_objectives(account);
    print_lines(account);
    print_runs(account);
    print_windows(account);
    print_transitions(account);
    print_revisions(account);
    print_credit(account, e->limit);
    print_steps(account);
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
