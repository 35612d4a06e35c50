/* hooks.c - `plumbline hooks`: whether those who are to be told can be told.
 *
 * A collector delivers what is in the outbox; here that is looked at, a test is put into it, and
 * what was given up is taken up again (sql/0020-problem-views.sql). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "nstime.h"
#include "problem.h"
#include "value.h"

#define OWNER "plumbline_owner"
#define ERROR_COLUMNS 200
#define POLL_US 100000
/* A collector that has just taken over may be between two rounds. */
#define LOOK_NS (3 * NS_PER_S)

static const char help[] =
    "usage: plumbline hooks [list] [OPTION ...]\n"
    "       plumbline hooks test [--timeout TIME] [OPTION ...] NAME\n"
    "       plumbline hooks retry [OPTION ...] NAME\n"
    "\n"
    "list shows each hook of the inventory: whether its target answers, what waits for it, and\n"
    "what is dead: given up after the last try, or refused for good.\n"
    "\n"
    "  STATE    good; failing: the last try failed, and it is tried again; disabled: the target\n"
    "           wants nothing more (410); unused: nothing was sent yet; gone: the inventory has\n"
    "           it no more\n"
    "\n"
    "test sends a test message, whatever the hook is for, and says what became of it.  A\n"
    "collector that runs delivers it: the files that the hook names are the collector's.\n"
    "\n"
    "retry takes up again what is dead, in order, and switches on what was disabled.  What the\n"
    "target knows better by now is left out: a message of a problem of which a later one was\n"
    "delivered, reminders, tests and heartbeats.\n"
    "\n"
    "  --timeout TIME     test: wait for so long; default 60s\n"
    "  --author NAME      who tests; default the user's name\n"
    "  --check            list: exit status 1 if a hook fails, is disabled, or has dead messages\n"
    "  --config FILE      default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT  connection in libpq's form, in the place of the file's\n"
    "  --json             print one JSON object\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 done; 1 the test did not arrive, or (--check) a hook is amiss; 2 wrong usage,\n"
    "or it is refused; 3 PostgreSQL cannot be read or written, or no collector delivers.\n"
    "\n"
    "Examples:\n"
    "  plumbline hooks\n"
    "  plumbline hooks test noc\n"
    "  plumbline hooks retry noc\n"
    "  plumbline hooks --json | jq '.hooks[] | select(.dead > 0) | .hook'\n";

/* --- Reading ------------------------------------------------------------------- */

/* Whether some collector has the lock of those who deliver: 1, 0, or -1 after it was told. */
static int
is_delivering(struct judged *j)
{
    int status;
    cJSON *list = judged_read(
        j,
        "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
        "WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.granted "
        "AND (l.classid, l.objid, l.objsubid) = (1886157934, 7, 2)) AS runs",
        0, NULL, NULL, &status);
    int runs = list ? cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetArrayItem(list, 0), "runs")) : -1;

    cJSON_Delete(list);
    return runs;
}

static int
is_delivering_soon(struct judged *j)
{
    int64_t until = mono_now().ns + LOOK_NS;
    int runs;

    while ((runs = is_delivering(j)) == 0 && mono_now().ns < until) {
        usleep(POLL_US);
    }
    return runs;
}

static cJSON *
read_hooks(struct judged *j, int *status)
{
    return judged_read(
        j,
        "SELECT hook, label, kind, target, view, tenant, heartbeat, in_force, state, "
        /* */ JUDGED_UTC(
            "since") " AS since, extract(epoch FROM now() - since)::bigint AS since_s, "
                     "failures, " JUDGED_UTC("not_before") " AS not_before, " JUDGED_UTC(
                         "last_good") " AS "
                                      "last_good, extract(epoch FROM now() - last_good)::bigint AS "
                                      "last_good_s, last_error, "
        /* */ JUDGED_UTC("last_error_at") " AS last_error_at, waiting, "
        /* */ JUDGED_UTC(
            "oldest_waiting") " AS oldest_waiting, "
                              "extract(epoch FROM now() - oldest_waiting)::bigint AS waiting_s, "
                              "dead "
                              "FROM plumbline.v_hook ORDER BY "
                              "array_position('{disabled,failing,good,unused}', state), "
                              "dead DESC, hook",
        0, NULL, NULL, status);
}

/* --- List ---------------------------------------------------------------------- */

static const char *
state_text(const cJSON *hook)
{
    return cJSON_IsTrue(cJSON_GetObjectItem(hook, "in_force")) ? judged_text(hook, "state")
                                                               : "gone";
}

static bool
is_amiss(const cJSON *hook)
{
    const char *state = judged_text(hook, "state");

    return strcmp(state, "failing") == 0 || strcmp(state, "disabled") == 0 ||
           judged_number(hook, "dead") > 0;
}

static void
print_hook(const cJSON *hook)
{
    char since[JUDGED_TEXT_SIZE] = "-", good[JUDGED_TEXT_SIZE] = "-", name[128], kind[128];
    char why[4 * ERROR_COLUMNS + 8];

    if (judged_has(hook, "since")) {
        problem_duration(hook, "since_s", since, sizeof since);
    }
    if (judged_has(hook, "last_good")) {
        problem_duration(hook, "last_good_s", good, sizeof good);
    }
    printf("%s %s %-8s %-6s %-9s %7" PRId64 " %4" PRId64 " %s\n",
           problem_fit(judged_text(hook, "hook"), 16, name, sizeof name),
           problem_fit(judged_text(hook, "kind"), 19, kind, sizeof kind), state_text(hook), since,
           good, judged_number(hook, "waiting"), judged_number(hook, "dead"),
           judged_text(hook, "target"));
    /* Of a hook that works, an error that is over tells nobody anything. */
    if (is_amiss(hook) && judged_has(hook, "last_error")) {
        printf("    last error, %s: %s\n", judged_text(hook, "last_error_at"),
               problem_cut(judged_text(hook, "last_error"), ERROR_COLUMNS, why, sizeof why));
    }
}

static int
list(struct problem_options *o)
{
    int status = EXIT_GOOD, runs = is_delivering(&o->judged);
    cJSON *hooks = runs < 0 ? NULL : read_hooks(&o->judged, &status);
    bool amiss = false;
    const cJSON *one;

    if (!hooks) {
        return runs < 0 ? EXIT_UNAVAILABLE : status;
    }
    cJSON_ArrayForEach(one, hooks)
    {
        amiss = amiss || is_amiss(one);
    }
    status = o->check && amiss ? EXIT_BAD : EXIT_GOOD;
    if (o->json) {
        cJSON *all = cJSON_CreateObject();
        cJSON_AddItemToObject(all, "hooks", hooks);
        cJSON_AddBoolToObject(all, "delivering", runs);
        judged_print(all);
        return status;
    }
    judged_tame(hooks);
    if (cJSON_GetArraySize(hooks) == 0) {
        puts("the inventory that is in force has no hooks: nobody is told");
    } else {
        printf("%-16s %-19s %-8s %-6s %-9s %7s %4s %s\n", "HOOK", "KIND", "STATE", "FOR",
               "LAST GOOD", "WAITING", "DEAD", "TARGET");
    }
    cJSON_ArrayForEach(one, hooks)
    {
        print_hook(one);
    }
    if (!runs) {
        puts("no collector delivers just now: is a plumbline-collector running?");
    }
    cJSON_Delete(hooks);
    return status;
}

/* --- Test ---------------------------------------------------------------------- */

/* What became of test 'number': the row, which is the caller's.  NULL after it was told. */
static cJSON *
look(struct judged *j, const char *number, int *status)
{
    const char *values[] = {number};
    cJSON *rows = judged_read(
        j,
        "SELECT o.id, o.hook, o.state, o.tries, o.last_error, "
        "extract(epoch FROM coalesce(o.ended_at, now()) - o.created_at)::float8 AS took_s, "
        "(SELECT count(*) FROM plumbline.v_outbox b WHERE b.hook = o.hook AND b.state = 'waiting' "
        "AND b.id < o.id) AS waiting_before, h.last_error AS hook_error "
        "FROM plumbline.v_outbox o LEFT JOIN plumbline.v_hook h USING (hook) "
        "WHERE o.id = $1::bigint",
        1, values, NULL, status);
    cJSON *row = cJSON_DetachItemFromArray(rows, 0);

    if (rows && !row) {
        fprintf(stderr, "plumbline hooks: test %s is not in the outbox any more\n", number);
        *status = EXIT_UNAVAILABLE;
    }
    cJSON_Delete(rows);
    return row;
}

/* A test that failed once has told what it is for. */
static bool
is_decided(const cJSON *row)
{
    return strcmp(judged_text(row, "state"), "waiting") != 0 || judged_has(row, "last_error");
}

static cJSON *
wait_for(struct judged *j, const char *number, struct span timeout, int *status)
{
    int64_t until = mono_now().ns + timeout.ns;
    cJSON *row;

    while ((row = look(j, number, status)) && !is_decided(row) && mono_now().ns < until) {
        cJSON_Delete(row);
        usleep(POLL_US);
    }
    return row;
}

/* Puts the test into the outbox; its number there.  EXIT_GOOD, or what was told. */
static int
begin_test(struct problem_options *o, const char *name, char number[24])
{
    const char *values[] = {name, o->author};
    int status = EXIT_GOOD, runs = is_delivering_soon(&o->judged);

    if (runs == 0) {
        fputs("plumbline hooks: no collector delivers: start plumbline-collector, or look at its "
              "log if it runs (`journalctl -u plumbline-collector`)\n",
              stderr);
    }
    if (runs <= 0) {
        return EXIT_UNAVAILABLE;
    }
    cJSON *rows = judged_read(&o->judged, "SELECT plumbline_store.hook_test($1, $2) AS number", 2,
                              values, NULL, &status);
    if (rows) {
        snprintf(number, 24, "%" PRId64, judged_number(cJSON_GetArrayItem(rows, 0), "number"));
    }
    cJSON_Delete(rows);
    return status;
}

static void
tell_test(const cJSON *row, const char *name, const char *timeout)
{
    const char *state = judged_text(row, "state");
    const cJSON *took = cJSON_GetObjectItemCaseSensitive(row, "took_s");

    if (strcmp(state, "done") == 0) {
        printf("%s: the test was delivered in %.1f s\n", name, cJSON_GetNumberValue(took));
    } else if (is_decided(row)) {
        const char *why = judged_text(row, "last_error");
        printf("%s: the test was not delivered: %s\n", name, why[0] ? why : "no reason was told");
    } else {
        const char *why = judged_text(row, "hook_error");
        printf("%s: nobody tried to deliver the test within %s; %" PRId64 " messages wait before "
               "it%s%s\n",
               name, timeout, judged_number(row, "waiting_before"),
               why[0] ? "; last error of the hook: " : "", why);
    }
}

static int
test(struct problem_options *o, const char *name)
{
    const char *timeout_text = o->timeout ? o->timeout : "60s";
    char number[24];
    struct span timeout;

    if (!value_parse_span(timeout_text, &timeout) || timeout.ns <= 0 ||
        timeout.ns > 3600 * NS_PER_S) {
        fprintf(stderr, "plumbline hooks: --timeout %s: expected a time up to 1h, such as 60s\n",
                timeout_text);
        return EXIT_USAGE;
    }
    int status = begin_test(o, name, number);
    if (status != EXIT_GOOD) {
        return status;
    }
    cJSON *row = wait_for(&o->judged, number, timeout, &status);
    if (!row) {
        return status;
    }
    bool delivered = strcmp(judged_text(row, "state"), "done") == 0;
    if (!delivered) {
        const char *values[] = {number};
        int ignored;
        cJSON_Delete(judged_read(&o->judged, "SELECT plumbline_store.hook_test_end($1::bigint)", 1,
                                 values, NULL, &ignored));
    }
    cJSON_AddBoolToObject(row, "delivered", delivered);
    if (o->json) {
        judged_print(row);
        return delivered ? EXIT_GOOD : EXIT_BAD;
    }
    judged_tame(row);
    tell_test(row, name, timeout_text);
    cJSON_Delete(row);
    return delivered ? EXIT_GOOD : EXIT_BAD;
}

/* --- Retry --------------------------------------------------------------------- */

static int
retry(struct problem_options *o, const char *name)
{
    const char *values[] = {name};
    int status = EXIT_GOOD;
    cJSON *rows = judged_read(&o->judged,
                              "SELECT $1::text AS hook, before, again, left_out "
                              "FROM plumbline_store.hook_retry($1)",
                              1, values, NULL, &status);
    cJSON *row = cJSON_DetachItemFromArray(rows, 0);

    cJSON_Delete(rows);
    if (!row) {
        return status;
    }
    if (o->json) {
        judged_print(row);
        return EXIT_GOOD;
    }
    int64_t again = judged_number(row, "again"), left_out = judged_number(row, "left_out");
    printf("%s: %" PRId64 " %s tried again", name, again,
           again == 1 ? "message is" : "messages are");
    if (left_out) {
        printf("; %" PRId64 " left out, the target knows better by now", left_out);
    }
    puts(strcmp(judged_text(row, "before"), "disabled") == 0 ? "; it is switched on again" : "");
    cJSON_Delete(row);
    return EXIT_GOOD;
}

/* --- Verb ---------------------------------------------------------------------- */

static int
refuse(const char *text, const char *why)
{
    fprintf(stderr, "plumbline hooks: '%s' %s; `plumbline hooks --help` has examples\n", text, why);
    return EXIT_USAGE;
}

int
cli_hooks(int argc, char **argv)
{
    struct problem_options o = {.judged = {.verb = "hooks"}};
    int status = problem_parse(&o, "timeout author check", help, argc, argv);

    if (status != EXIT_GOOD) {
        return status < 0 ? EXIT_GOOD : status;
    }
    const char *action = o.name_count ? o.names[0] : "list";
    bool tests = strcmp(action, "test") == 0, lists = strcmp(action, "list") == 0;
    if (!tests && !lists && strcmp(action, "retry") != 0) {
        return refuse(action, "is no action: list, test and retry are");
    }
    if (lists ? o.name_count > 1 : o.name_count != 2) {
        return refuse(action, lists ? "takes nothing" : "needs one hook");
    }
    if ((o.timeout && !tests) || (o.check && !lists)) {
        return refuse(action, tests ? "takes no --check" : "takes no --timeout");
    }
    if (!lists && !value_is_name(o.names[1])) {
        return refuse(o.names[1], "can be no hook");
    }
    o.judged.role = lists ? NULL : OWNER;
    status = judged_open(&o.judged);
    if (status == EXIT_GOOD) {
        status = lists ? list(&o) : tests ? test(&o, o.names[1]) : retry(&o, o.names[1]);
    }
    judged_close(&o.judged);
    return status;
}
