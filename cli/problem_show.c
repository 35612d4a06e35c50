/* problem_show.c - `plumbline show`: all that is known of one problem. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "nstime.h"
#include "problem.h"

#define LINES "20"

static const char help[] =
    "usage: plumbline show [OPTION ...] PROBLEM\n"
    "\n"
    "All that is known of a problem: since when, its cause and why we think so, what it touches,\n"
    "its alarms with their values, what happened step by step, tickets, what waits to be sent,\n"
    "and the path as both ends traced it.  PROBLEM is the number that `plumbline problems` shows\n"
    "(17), or the key that tickets have (a1b2c3d4-17).\n"
    "\n"
    "  --limit NUMBER     lines of each list; default " LINES ", 0: all\n"
    "  --config FILE      default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT  connection in libpq's form, in the place of the file's\n"
    "  --json             print one JSON object, with all of it\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 it is printed, 2 wrong usage or no such problem, 3 PostgreSQL cannot be read.\n"
    "\n"
    "Examples:\n"
    "  plumbline show 17\n"
    "  plumbline show a1b2c3d4-17 --limit 0\n"
    "  plumbline show 17 --json | jq -r '.objects[] | select(.bad) | .key'\n";

/* --- Reading ------------------------------------------------------------------- */

/* The lists of a problem, and where they come from; $1 is its number. */
static const struct {
    const char *name, *sql;
} lists[] = {
    {"objects", "SELECT kind, key, label, labels, tenant, bad FROM plumbline.v_problem_object "
                "WHERE problem = $1::bigint ORDER BY bad DESC, kind, key"},
    {"alarms", "SELECT id, rule, metric, severity, scope, object, class, observer, "
     /* */ JUDGED_UTC("began") " AS began, " JUDGED_UTC("raised") " AS raised, " //
     JUDGED_UTC("cleared") " AS cleared, " JUDGED_UTC(
         "ended") " AS ended, flaps, details "
                  "FROM plumbline.v_alarm WHERE problem = $1::bigint "
                  "ORDER BY cleared IS NOT NULL, "
                  "array_position('{critical,major,minor,warning,info}', severity), "
                  "v_alarm.began, object, class, observer"},
    {"steps", "SELECT number, " JUDGED_UTC("at") " AS at, what, text FROM plumbline.v_problem_step "
                                                 "WHERE problem = $1::bigint ORDER BY number"},
    {"acknowledgements",
     "SELECT number, note, author, written_by, " JUDGED_UTC("until") " AS until, " //
     JUDGED_UTC("at") " AS at, " JUDGED_UTC(
         "ended_at") " AS ended_at "
                     "FROM plumbline.v_acknowledgement WHERE problem = $1::bigint ORDER BY number"},
    {"outbox",
     "SELECT id, hook, action, state, tries, " JUDGED_UTC("next_try") " AS next_try, " //
     JUDGED_UTC("last_try") " AS last_try, last_error, " JUDGED_UTC("created_at") " AS created_at, "
     /* */ JUDGED_UTC("ended_at") " AS ended_at FROM plumbline.v_outbox "
                                  "WHERE problem = $1::bigint ORDER BY id"},
    {"traces",
     "SELECT t.link, t.probe, t.class, t.flow, " JUDGED_UTC(
         "t.at") " AS at, t.reached, t.hops, "
                 "t.error, " JUDGED_UTC(
                     "g.at") " AS good_at, g.hops AS good_hops "
                             "FROM plumbline.v_trace t LEFT JOIN LATERAL (SELECT x.at, x.hops FROM "
                             "plumbline.v_trace x "
                             "WHERE (x.link, x.probe, x.class, x.flow) = (t.link, t.probe, "
                             "t.class, t.flow) "
                             "AND x.why = 'good' AND x.at < t.at ORDER BY x.at DESC LIMIT 1) g ON "
                             "true "
                             "WHERE t.problem = $1::bigint ORDER BY t.link, t.probe, t.at"},
};
#define LISTS (sizeof lists / sizeof lists[0])

/* NULL after it was told. */
static cJSON *
read_problem(struct judged *j, const char *number, const char *key, int *status)
{
    const char *values[] = {number, key};
    char sql[4096];

    snprintf(sql, sizeof sql,
             "SELECT %s, p.evidence FROM plumbline.v_problem p "
             "WHERE p.id = $1::bigint AND $2 IN ('', p.key)",
             problem_columns);
    cJSON *list = judged_read(j, sql, 2, values, NULL, status);
    cJSON *p = cJSON_DetachItemFromArray(list, 0);
    if (list && !p) {
        fprintf(stderr,
                "plumbline show: there is no problem '%s'%s; `plumbline problems --all` lists "
                "those that there were\n",
                key[0] ? key : number, key[0] ? " of this installation" : "");
        *status = EXIT_USAGE;
    }
    cJSON_Delete(list);
    for (size_t i = 0; p && i < LISTS; i++) {
        cJSON *rows = judged_read(j, lists[i].sql, 1, values, NULL, status);
        if (!rows) {
            cJSON_Delete(p);
            return NULL;
        }
        cJSON_AddItemToObject(p, lists[i].name, rows);
    }
    return p;
}

/* --- Showing: what it is ---------------------------------------------------------- */

static void
show_head(const cJSON *p)
{
    char text[128], lasted[JUDGED_TEXT_SIZE];
    bool ended = judged_has(p, "ended");

    printf("problem %" PRId64 " (%s): %s\n", judged_number(p, "id"), judged_text(p, "key"),
           judged_text(p, "title"));
    printf("%s, %s, %s; revision %" PRId64, judged_text(p, "state"), judged_text(p, "severity"),
           judged_text(p, "what"), judged_number(p, "revision"));
    if (judged_number(p, "reopened")) {
        printf("; reopened %s", problem_times(judged_number(p, "reopened"), text, sizeof text));
    }
    if (judged_number(p, "flaps")) {
        printf("; %s, raised again %s",
               cJSON_IsTrue(cJSON_GetObjectItem(p, "flapping")) ? "flapping" : "flapped",
               problem_times(judged_number(p, "flaps"), text, sizeof text));
    }
    if (judged_has(p, "merged_into")) {
        printf("; part of problem %" PRId64, judged_number(p, "merged_into"));
    }
    printf("\n\nbegan         %s%s%s%s\n", problem_local(p, "began", text, sizeof text),
           ended ? "" : ", ", ended ? "" : problem_duration(p, "lasted_s", lasted, sizeof lasted),
           ended ? "" : " ago");
    if (ended) {
        printf("ended         %s, after %s\n", problem_local(p, "ended", text, sizeof text),
               problem_duration(p, "lasted_s", lasted, sizeof lasted));
    }
    printf("cause         %s %s", judged_text(p, "cause_kind"), judged_text(p, "cause"));
    if (strcmp(judged_text(p, "cause_label"), judged_text(p, "cause")) != 0) {
        printf(" (%s)", judged_text(p, "cause_label"));
    }
    puts("");
    if (judged_has(p, "held")) {
        printf("held          %s: nobody was told\n", judged_text(p, "held"));
    }
    if (judged_has(p, "acknowledged_by")) {
        printf("acknowledged  by %s%s%s: %s\n", judged_text(p, "acknowledged_by"),
               judged_has(p, "acknowledged_until") ? ", until " : "",
               judged_text(p, "acknowledged_until"), judged_text(p, "acknowledged_note"));
    }
}

static void
show_evidence(const cJSON *p)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(p, "evidence"), *one;

    if (cJSON_GetArraySize(list) > 0) {
        puts("\nEVIDENCE");
    }
    cJSON_ArrayForEach(one, list)
    {
        printf("  %-16s %s\n", judged_text(one, "kind"), judged_text(one, "text"));
    }
}

static void
show_objects(const cJSON *p, const char *kind, const char *heading, int64_t limit)
{
    /* A group that lost one of several was never bad. */
    const char *good = strcmp(kind, "link") == 0 ? "clear" : "ok";
    const cJSON *one;
    int64_t shown = 0, all = 0, bad = 0;

    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(p, "objects"))
    {
        bool right = strcmp(judged_text(one, "kind"), kind) == 0;
        all += right;
        bad += right && cJSON_IsTrue(cJSON_GetObjectItem(one, "bad"));
    }
    if (all) {
        printf("\n%s: %" PRId64 " bad, %" PRId64 " %s\n", heading, bad, all - bad, good);
    }
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(p, "objects"))
    {
        const char *key = judged_text(one, "key"), *label = judged_text(one, "label");
        const char *tenant = strcmp(kind, "tenant") == 0 ? "" : judged_text(one, "tenant");
        if (strcmp(judged_text(one, "kind"), kind) == 0 && shown++ < limit) {
            bool same = strcmp(label, key) == 0;
            printf("  %-5s %s%s%s%s%s\n",
                   cJSON_IsTrue(cJSON_GetObjectItem(one, "bad")) ? "bad" : good, key,
                   same ? "" : "  ", same ? "" : label, tenant[0] ? ", of " : "", tenant);
        }
    }
    problem_print_left_out(all - limit, "--limit 0 shows all");
}

/* --- Showing: alarms, steps, tickets ----------------------------------------------- */

/* "51.2%, worst 100% (limit 50%), 1 of 4 paths": of an alarm's details, what is there. */
static const char *
details_text(const cJSON *alarm, char *buf, size_t size)
{
    const cJSON *d = cJSON_GetObjectItemCaseSensitive(alarm, "details");
    const cJSON *flows = cJSON_GetObjectItemCaseSensitive(d, "flows");
    static const struct {
        const char *name, *before;
    } values[] = {{"value", ""}, {"worst", "worst "}, {"limit", "limit "}, {"baseline", "usual "}};
    char value[JUDGED_TEXT_SIZE];
    size_t used = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        if (judged_has(d, values[i].name) && used < size) {
            used += (size_t)snprintf(
                buf + used, size - used, "%s%s%s", used ? ", " : "", values[i].before,
                judged_value(judged_text(d, "unit"), judged_number(d, values[i].name), value,
                             sizeof value));
        }
    }
    if (judged_number(flows, "of") > 1 && used < size) {
        used +=
            (size_t)snprintf(buf + used, size - used, "%s%d of %" PRId64 " paths", used ? ", " : "",
                             cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(flows, "over")),
                             judged_number(flows, "of"));
    }
    if (judged_number(d, "send_errors") > 0 && used < size) {
        used += (size_t)snprintf(buf + used, size - used, "%s%" PRId64 " could not be sent",
                                 used ? ", " : "", judged_number(d, "send_errors"));
    }
    if (judged_text(d, "text")[0] && used < size) {
        snprintf(buf + used, size - used, "%s%s", used ? ", " : "", judged_text(d, "text"));
    }
    return buf;
}

static void
show_alarms(const cJSON *p, int64_t limit)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(p, "alarms"), *one;
    int64_t all = cJSON_GetArraySize(list), shown = 0;
    char details[512];

    if (all) {
        printf("\nALARMS\n");
    }
    cJSON_ArrayForEach(one, list)
    {
        const char *observer = judged_text(one, "observer"), *class_ = judged_text(one, "class");
        if (shown++ == limit) {
            break;
        }
        printf("  %-8s %-8s %s %s%s%s%s%s  %s to %s%s\n", judged_text(one, "rule"),
               judged_text(one, "severity"), judged_text(one, "scope"), judged_text(one, "object"),
               class_[0] ? ", " : "", class_, observer[0] ? ", seen by " : "", observer,
               judged_text(one, "began"),
               judged_has(one, "cleared") ? judged_text(one, "ended") : "now",
               judged_number(one, "flaps") ? ", flapping" : "");
        details_text(one, details, sizeof details);
        printf(details[0] ? "           %s\n" : "%s", details);
    }
    problem_print_left_out(all - limit, "--limit 0 shows all");
}

/* Of a long story the end is what is read first. */
static void
show_steps(const cJSON *p, int64_t limit)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(p, "steps"), *one;
    int64_t all = cJSON_GetArraySize(list), number = 0;

    if (all) {
        puts("\nSTEPS");
    }
    if (all > limit) {
        printf("... %" PRId64 " before; --limit 0 shows all\n", all - limit);
    }
    cJSON_ArrayForEach(one, list)
    {
        const char *what = judged_text(one, "what");
        if (number++ >= all - limit) {
            printf("  %s  %-12s %s\n", judged_text(one, "at"),
                   strcmp(what, "acknowledgement_ended") == 0 ? "ack ended" : what,
                   judged_text(one, "text"));
        }
    }
}

static void
show_tickets(const cJSON *p)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(p, "tickets"), *one;

    if (cJSON_GetArraySize(list) > 0) {
        puts("\nTICKETS");
    }
    cJSON_ArrayForEach(one, list)
    {
        const char *shown = judged_text(one, "shown"), *ref = judged_text(one, "ref");
        bool resolved = strcmp(judged_text(one, "said"), "resolve") == 0;
        printf("  %-16s %-8s %s  %s\n", judged_text(one, "hook"),
               resolved ? "resolved" : judged_text(one, "state"),
               shown[0] ? shown
               : ref[0] ? ref
                        : "(the target gives no number)",
               judged_text(one, "url"));
    }
}

/* "10.0.0.1 0.8ms > * > 10.1.1.1 4.1ms". */
static void
print_path(const char *name, const cJSON *hops)
{
    const char *between = "";
    const cJSON *hop;
    char delay[32];

    printf("    %-5s ", name);
    cJSON_ArrayForEach(hop, hops)
    {
        const char *address = judged_text(hop, "address");
        bool timed = judged_has(hop, "rt_us");
        printf("%s%s%s%s", between, address[0] ? address : "*", timed ? " " : "",
               timed ? span_format(span_of_ns(judged_number(hop, "rt_us") * NS_PER_US), delay,
                                   sizeof delay)
                     : "");
        between = " > ";
    }
    puts(cJSON_GetArraySize(hops) ? "" : "(nobody answered)");
}

/* The path as it is, over the last one that was good. */
static void
show_traces(const cJSON *p, int64_t limit)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(p, "traces"), *one;
    int64_t all = cJSON_GetArraySize(list), shown = 0;

    if (all) {
        puts("\nTRACES");
    }
    cJSON_ArrayForEach(one, list)
    {
        const char *error = judged_text(one, "error");
        if (shown++ == limit) {
            break;
        }
        printf("  %s from %s, %s flow %" PRId64 ", %s: %s%s%s\n", judged_text(one, "link"),
               judged_text(one, "probe"), judged_text(one, "class"), judged_number(one, "flow"),
               judged_text(one, "at"),
               cJSON_IsTrue(cJSON_GetObjectItem(one, "reached")) ? "it reaches the far end"
                                                                 : "it does not reach the far end",
               error[0] ? "; " : "", error);
        print_path("now", cJSON_GetObjectItemCaseSensitive(one, "hops"));
        if (judged_has(one, "good_at")) {
            print_path("good", cJSON_GetObjectItemCaseSensitive(one, "good_hops"));
            printf("          (%s)\n", judged_text(one, "good_at"));
        }
    }
    problem_print_left_out(all - limit, "--limit 0 shows all");
}

/* What was delivered is in the steps. */
static void
show_outbox(const cJSON *p, int64_t limit)
{
    const cJSON *one;
    int64_t shown = 0;

    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(p, "outbox"))
    {
        const char *state = judged_text(one, "state");
        bool dead = strcmp(state, "dead") == 0;
        if ((!dead && strcmp(state, "waiting") != 0) || shown++ >= limit) {
            continue;
        }
        printf("%s  %-16s %-8s %s, %" PRId64 " tries%s%s%s%s\n", shown == 1 ? "\nTO BE SENT\n" : "",
               judged_text(one, "hook"), judged_text(one, "action"), state,
               judged_number(one, "tries"), dead ? "" : ", next ",
               dead ? "" : judged_text(one, "next_try"), judged_has(one, "last_error") ? ": " : "",
               judged_text(one, "last_error"));
    }
    problem_print_left_out(shown - limit, "--limit 0 shows all");
}

static void
show_next(const cJSON *p)
{
    int64_t id = judged_number(p, "id");
    const cJSON *one;

    puts("");
    if (judged_has(p, "merged_into")) {
        printf("what became of it:      plumbline show %" PRId64 "\n",
               judged_number(p, "merged_into"));
    }
    if (strcmp(judged_text(p, "state"), "open") == 0 && !judged_has(p, "acknowledged_by")) {
        printf("to take it:             plumbline ack %" PRId64 " --note TEXT\n", id);
    }
    const cJSON *links = cJSON_GetObjectItemCaseSensitive(p, "links");
    if (cJSON_GetArraySize(links) > 0) {
        printf("what was measured:      plumbline explain link:%s\n",
               cJSON_GetStringValue(cJSON_GetArrayItem(links, 0)));
    }
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(p, "outbox"))
    {
        if (strcmp(judged_text(one, "state"), "dead") == 0) {
            printf("what was not delivered: plumbline hooks retry %s\n", judged_text(one, "hook"));
            break;
        }
    }
}

static void
show(const cJSON *p, int64_t limit)
{
    show_head(p);
    show_evidence(p);
    show_objects(p, "link", "LINKS", limit);
    show_objects(p, "probe", "PROBES", limit);
    show_objects(p, "group", "GROUPS", limit);
    show_objects(p, "service", "SERVICES", limit);
    show_objects(p, "tenant", "TENANTS", limit);
    show_alarms(p, limit);
    show_steps(p, limit);
    show_tickets(p);
    show_outbox(p, limit);
    show_traces(p, limit);
    show_next(p);
}

/* --- Verb ------------------------------------------------------------------------- */

static int
run(struct problem_options *o, const char *number, const char *key, const char *limit)
{
    int status = judged_open(&o->judged);
    cJSON *p = status == EXIT_GOOD ? read_problem(&o->judged, number, key, &status) : NULL;

    judged_close(&o->judged);
    if (!p) {
        return status;
    }
    if (o->json) {
        judged_print(p);
        return EXIT_GOOD;
    }
    judged_tame(p);
    show(p, limit ? strtoll(limit, NULL, 10) : INT32_MAX);
    cJSON_Delete(p);
    return EXIT_GOOD;
}

int
cli_show(int argc, char **argv)
{
    struct problem_options o = {.judged = {.verb = "show"}, .limit = LINES};
    int status = problem_parse(&o, "limit", help, argc, argv);
    char number[24], key[64];
    const char *limit = NULL;

    if (status == EXIT_GOOD) {
        status = problem_limit(&o, &limit);
    }
    if (status == EXIT_GOOD) {
        status = problem_named(&o, number, key);
    }
    return status == EXIT_GOOD ? run(&o, number, key, limit) : status < 0 ? EXIT_GOOD : status;
}
