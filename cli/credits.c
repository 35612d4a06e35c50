/* credits.c - `plumbline credits`: what missed promises give back, and how far that has
 * come.  No money is known here: shares of the month's charge. */
#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "judged.h"
#include "log.h"
#include "value.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"
#define OWNER "plumbline_owner"
/* Of each credit, in the table. */
#define OUTAGES_SHOWN 10

static const char help[] =
    "usage: plumbline credits [list] [OPTION ...]\n"
    "       plumbline credits claim|approve|reject|issue [OPTION ...] SERVICE YYYY-MM\n"
    "       plumbline credits export [OPTION ...]\n"
    "\n"
    "What missed promises give back, as a share of the month's charge.  A credit is eligible\n"
    "when the verdict is published, then claimed (until the SLA's claim_within is over),\n"
    "approved or rejected, and what was approved is issued.  Each step is kept, with who and\n"
    "when.  Where a contract gives credit for each outage, each is shown, from when to when.\n"
    "export prints CSV (service, tenant, period, per mille, reasons, state) for whoever writes\n"
    "invoices.\n"
    "\n"
    "  --note TEXT        why; a rejection needs one\n"
    "  --author NAME      who asks; default the user's name\n"
    "  --state STATE      list, export: only eligible, claimed, approved, rejected or issued\n"
    "  --period YYYY-MM   list, export: only that month\n"
    "  --config FILE      default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT  connection in libpq's form, in the place of the file's\n"
    "  --json             print one JSON object; not for export\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 it is done, 2 wrong usage, or the step is refused, 3 PostgreSQL cannot be\n"
    "read or written.\n"
    "\n"
    "Examples:\n"
    "  plumbline credits --state claimed\n"
    "  plumbline credits claim acme-cloud 2026-02 --note 'mail of 3 March'\n"
    "  plumbline credits reject acme-cloud 2026-02 --note 'the customer had cut the power'\n"
    "  plumbline credits export --period 2026-02 --state approved >approved.csv\n";

struct credits {
    struct judged judged;
    const char *action;
    const char *service, *period, *state, *note, *author;
    bool json;
};

/* The actions that are a step, and the state that it leads to. */
static const struct {
    const char *action, *state;
} steps[] = {
    {"claim", "claimed"}, {"approve", "approved"}, {"reject", "rejected"}, {"issue", "issued"}};

static const char *
step_of(const char *action)
{
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (strcmp(action, steps[i].action) == 0) {
            return steps[i].state;
        }
    }
    return NULL;
}

/* --- Reading ------------------------------------------------------------------------ */

/* What was decided counts once it was; until then what the newest verdict gives. */
static cJSON *
read_credits(struct credits *c, int *status)
{
    const char *values[] = {c->period, c->state, c->service};

    return judged_read(
        &c->judged,
        "SELECT v.service, x.tenant, x.period, v.sla, v.version, v.revision, "
        "v.state, CASE WHEN v.state IN ('approved', 'issued') THEN v.step_credit_milli "
        "ELSE v.credit_milli END AS credit_milli, v.credit_milli AS newest_credit_milli, "
        "v.step_revision, v.reasons, " JUDGED_UTC(
            "v.claim_until") " AS claim_until, "
                             "coalesce(v.state = 'eligible' AND v.claim_until < now(), false) AS "
                             "lapsed, "
                             "v.note, v.author, v.by, " JUDGED_UTC(
                                 "v.at") " AS at FROM plumbline.v_credit v "
                                         "JOIN plumbline.v_period x ON (x.service, x.period_start) "
                                         "= (v.service, v.period_start) "
                                         "WHERE v.state IS NOT NULL AND ($1::text IS NULL OR "
                                         "x.period = $1) "
                                         "AND ($2::text IS NULL OR v.state = $2) AND ($3::text IS "
                                         "NULL OR v.service = $3) "
                                         "ORDER BY v.period_start DESC, v.service",
        3, values, NULL, status);
}

static void
print_list(const cJSON *list)
{
    char share[JUDGED_TEXT_SIZE], newest[JUDGED_TEXT_SIZE];
    const cJSON *one;

    if (cJSON_GetArraySize(list) == 0) {
        puts("there are no such credits");
        return;
    }
    printf("%-9s %-20s %-16s %-7s %8s %-20s %-20s %s\n", "STATE", "SERVICE", "TENANT", "PERIOD",
           "CREDIT", "SINCE", "CLAIM UNTIL", "BY");
    cJSON_ArrayForEach(one, list)
    {
        int64_t milli = judged_number(one, "credit_milli");
        bool lapsed = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(one, "lapsed"));
        const char *author = judged_text(one, "author");
        printf("%-9s %-20s %-16s %-7s %8s %-20s %-20s %s",
               lapsed ? "lapsed" : judged_text(one, "state"), judged_text(one, "service"),
               judged_text(one, "tenant"), judged_text(one, "period"),
               judged_value("milli_percent", milli, share, sizeof share), judged_text(one, "at"),
               judged_has(one, "claim_until") ? judged_text(one, "claim_until") : "-",
               author[0] ? author : judged_text(one, "by"));
        if (judged_number(one, "newest_credit_milli") != milli) {
            printf("; revision %" PRId64 " of the verdict gives %s", judged_number(one, "revision"),
                   judged_value("milli_percent", judged_number(one, "newest_credit_milli"), newest,
                                sizeof newest));
        }
        printf("%s%s\n", judged_text(one, "note")[0] ? ": " : "", judged_text(one, "note"));
        judged_print_outages(cJSON_GetObjectItemCaseSensitive(one, "reasons"), OUTAGES_SHOWN,
                             "          ", "--json has all");
    }
}

/* --- CSV ------------------------------------------------------------------------------ */

/* RFC 4180.  Keys, months, metrics, instants and numbers need no quotes, and none of them begins as
 * a formula does.  Reasons that are in the sum are "availability 100; flr 50", per mille too, and
 * "availability of 2026-02-10T10:14:30Z/2026-02-10T10:25:40Z 50" where it is for one outage. */
static void
print_export(const cJSON *list)
{
    const cJSON *one, *reason;

    fputs("service,tenant,period,per_mille,reasons,state\r\n", stdout);
    cJSON_ArrayForEach(one, list)
    {
        const char *between = "";
        printf("%s,%s,%s,%g,", judged_text(one, "service"), judged_text(one, "tenant"),
               judged_text(one, "period"), (double)judged_number(one, "credit_milli") / 100);
        cJSON_ArrayForEach(reason, cJSON_GetObjectItemCaseSensitive(one, "reasons"))
        {
            bool outage = judged_is_outage(reason), ends = judged_has(reason, "until");
            if (judged_counts(reason)) {
                printf("%s%s%s%s%s%s %g", between, judged_text(reason, "metric"),
                       outage ? " of " : "", judged_text(reason, "outage"), ends ? "/" : "",
                       judged_text(reason, "until"),
                       (double)judged_number(reason, "credit_milli") / 100);
                between = "; ";
            }
        }
        printf(",%s\r\n", judged_text(one, "state"));
    }
}

/* --- Doing ---------------------------------------------------------------------------- */

static int
take_step(struct credits *c, const char *state)
{
    const struct passwd *user = getpwuid(geteuid());
    const char *values[] = {c->service, c->period, state, c->note,
                            c->author ? c->author
                            : user    ? user->pw_name
                                      : "unknown"};
    char share[JUDGED_TEXT_SIZE];
    int status = EXIT_GOOD;
    cJSON *list = judged_read(
        &c->judged,
        "SELECT d.service, $2::text AS period, d.state, d.number, d.note, d.author, d.by, "
        "d.revision, d.credit_milli, " JUDGED_UTC(
            "d.at") " AS at FROM plumbline.v_period x "
                    "CROSS JOIN LATERAL plumbline_store.credit_act(x.service, x.period_start, $3, "
                    "$4, $5) d "
                    "WHERE x.service = $1 AND x.period = $2",
        5, values, NULL, &status);

    if (list && cJSON_GetArraySize(list) == 0) {
        fprintf(stderr,
                "plumbline credits: nothing was judged of a service '%s' in %s; `plumbline "
                "credits` lists what there is\n",
                c->service, c->period);
        status = EXIT_USAGE;
    } else if (list && c->json) {
        judged_print(cJSON_DetachItemFromArray(list, 0));
    } else if (list) {
        const cJSON *one = cJSON_GetArrayItem(list, 0);
        judged_tame(list);
        printf(
            "%s %s: %s of the month's charge is %s, by %s\n", c->service, c->period,
            judged_value("milli_percent", judged_number(one, "credit_milli"), share, sizeof share),
            judged_text(one, "state"), judged_text(one, "author"));
    }
    cJSON_Delete(list);
    return status;
}

static int
show(struct credits *c)
{
    int status = EXIT_GOOD;
    cJSON *list = read_credits(c, &status);

    if (!list) {
        return status;
    }
    if (strcmp(c->action, "export") == 0) {
        print_export(list);
    } else if (c->json) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToObject(o, "credits", list);
        judged_print(o);
        return status;
    } else {
        judged_tame(list);
        print_list(list);
    }
    cJSON_Delete(list);
    return status;
}

static int
run(struct credits *c)
{
    const char *state = step_of(c->action);

    c->judged.role = state ? OWNER : NULL;
    int status = judged_open(&c->judged);
    if (status == EXIT_GOOD) {
        status = state ? take_step(c, state) : show(c);
    }
    judged_close(&c->judged);
    return status;
}

/* --- Options -------------------------------------------------------------------------- */

static int
refuse(const char *why, const char *text)
{
    fprintf(stderr, "plumbline credits: '%s' %s; `plumbline credits --help` has examples\n", text,
            why);
    return EXIT_USAGE;
}

/* What stands behind the options: the action, and of a step what it is about. */
static int
take_arguments(struct credits *c, int count, char *const *arguments)
{
    c->action = count ? arguments[0] : "list";
    bool step = step_of(c->action) != NULL;

    if (!step && strcmp(c->action, "list") != 0 && strcmp(c->action, "export") != 0) {
        return refuse("is no action: list, claim, approve, reject, issue, export are", c->action);
    }
    if (step ? count != 3 : count > 1) {
        return refuse(step ? "needs a service and a month" : "takes nothing", c->action);
    }
    if (step && (c->state || c->period)) {
        return refuse("takes no --state and no --period", c->action);
    }
    if (!step && (c->note || c->author)) {
        return refuse("takes no --note and no --author", c->action);
    }
    if (step) {
        c->service = arguments[1];
        c->period = arguments[2];
    }
    if (c->service && !value_is_name(c->service)) {
        return refuse("can be no service", c->service);
    }
    if (c->period && !judged_is_month(c->period)) {
        return refuse("is no month such as 2026-02", c->period);
    }
    if (c->state && strcmp(c->state, "eligible") != 0) {
        bool known = false;
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            known = known || strcmp(c->state, steps[i].state) == 0;
        }
        return known ? EXIT_GOOD : refuse("is no state of a credit", c->state);
    }
    return EXIT_GOOD;
}

int
cli_credits(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"postgresql", required_argument, NULL, 'p'},
                                            {"note", required_argument, NULL, 'n'},
                                            {"author", required_argument, NULL, 'a'},
                                            {"state", required_argument, NULL, 's'},
                                            {"period", required_argument, NULL, 'm'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct credits c = {.judged = {.verb = "credits", .config = DEFAULT_CONFIG}};
    int o;

    log_set_level(LOG_LEVEL_ERROR);
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char **text = o == 'c'   ? &c.judged.config
                            : o == 'p' ? &c.judged.postgresql
                            : o == 'n' ? &c.note
                            : o == 'a' ? &c.author
                            : o == 's' ? &c.state
                            : o == 'm' ? &c.period
                                       : NULL;
        if (text) {
            *text = optarg;
        } else if (o == 'j') {
            c.json = true;
        } else if (o == 'h') {
            fputs(help, stdout);
            return EXIT_GOOD;
        } else {
            fputs("`plumbline credits --help` shows the options\n", stderr);
            return EXIT_USAGE;
        }
    }
    int status = take_arguments(&c, argc - optind, argv + optind);
    return status == EXIT_GOOD ? run(&c) : status;
}
