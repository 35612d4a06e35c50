/* handover.c - `plumbline handover`: what whoever comes next must know, on one page. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "problem.h"

#define LINES "20"
/* Of what others wrote, characters and room for them. */
#define COLUMNS 160
#define TEXT_SIZE (4 * COLUMNS + 8)

static const char help[] =
    "usage: plumbline handover [OPTION ...]\n"
    "\n"
    "One page for whoever takes over: problems that are open, with who has them; those that ended\n"
    "in this time; what flaps; probes that are silent; maintenance that runs or begins within 12 "
    "h;\n"
    "hooks that fail and messages that were given up; SLA budgets that go too fast or are spent.\n"
    "Sections in which there is nothing are named in the last line.\n"
    "\n"
    "  --since TIME       8h (default), 1d or 2026-12-01T22:00:00Z\n"
    "  --limit NUMBER     lines of each section; default " LINES ", 0: all\n"
    "  --config FILE      default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT  connection in libpq's form, in the place of the file's\n"
    "  --json             print one JSON object\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 it is printed, 2 wrong usage, 3 PostgreSQL cannot be read.\n"
    "\n"
    "Examples:\n"
    "  plumbline handover\n"
    "  plumbline handover --since 12h | mail -s 'handover' noc@example.net\n"
    "  plumbline handover --json | jq '.open[] | select(.acknowledged_by == null) | .title'\n";

struct handover {
    struct problem_options o;
    char since[40];
    const char *limit; /* NULL: all. */
};

/* --- Reading ------------------------------------------------------------------- */

/* $1: since; $2: lines.  "%s" stands for what is shown of a problem. */
static const struct {
    const char *name, *sql;
} sections[] = {
    {"open", "SELECT %s, p.opened_at >= $1::timestamptz AS is_new, count(*) OVER () AS rows_in_all "
             "FROM plumbline.v_problem p WHERE p.state = 'open' "
             "ORDER BY array_position('{critical,major,minor,warning,info}', p.severity), p.began, "
             "p.id LIMIT $2::bigint"},
    {"ended", "SELECT %s, p.opened_at >= $1::timestamptz AS is_new, count(*) OVER () AS "
              "rows_in_all FROM plumbline.v_problem p "
              "WHERE p.state = 'ended' AND p.closed_at >= $1::timestamptz "
              "ORDER BY p.closed_at DESC, p.id LIMIT $2::bigint"},
    {"flapping",
     "SELECT p.id, p.state, p.title, p.flaps, p.reopened, count(*) OVER () AS rows_in_all "
     "FROM plumbline.v_problem p WHERE (p.flaps > 0 OR p.reopened > 0) "
     "AND (p.state = 'open' OR p.state = 'ended' AND p.closed_at >= $1::timestamptz) "
     "ORDER BY p.state = 'open' DESC, p.flaps DESC, p.id LIMIT $2::bigint"},
    /* What was never silent enough for an alarm is told too, where nothing of it is written. */
    {"silent",
     "SELECT x.source, " JUDGED_UTC(
         "x.since") " AS since, "
                    "extract(epoch FROM now() - x.since)::bigint AS since_s, count(*) OVER () AS "
                    "rows_in_all "
                    "FROM (SELECT u.source, min(u.since) AS since FROM ("
                    "SELECT a.object AS source, a.began AS since FROM plumbline.v_alarm a "
                    "WHERE a.metric = 'silence' AND a.cleared IS NULL UNION ALL "
                    "SELECT s.source, s.committed_at FROM plumbline.source_position s WHERE NOT "
                    "s.closed "
                    "AND s.committed_at < now() - interval '5 minutes') u GROUP BY u.source) x "
                    "WHERE $1::timestamptz IS NOT NULL ORDER BY x.since, x.source LIMIT "
                    "$2::bigint"},
    {"maintenance",
     "SELECT m.id, m.state, m.label, " JUDGED_UTC("m.start_at") " AS start_at, " //
     JUDGED_UTC(
         "m.end_at") " AS end_at, m.suppress_alerts, m.author, m.objects, "
                     "count(*) OVER () AS rows_in_all FROM plumbline.v_maintenance m "
                     "WHERE m.state IN ('running', 'planned', 'tentative') "
                     "AND m.start_at < now() + interval '12 hours' AND $1::timestamptz IS NOT NULL "
                     "ORDER BY m.start_at, m.id LIMIT $2::bigint"},
    {"hooks",
     "SELECT h.hook, h.state, extract(epoch FROM now() - h.since)::bigint AS since_s, h.waiting, "
     "h.dead, h.last_error, count(*) OVER () AS rows_in_all FROM plumbline.v_hook h "
     "WHERE (h.state IN ('failing', 'disabled') OR h.dead > 0) AND $1::timestamptz IS NOT NULL "
     "ORDER BY h.state = 'disabled' DESC, h.dead DESC, h.hook LIMIT $2::bigint"},
    {"dead",
     "SELECT o.id, o.hook, o.problem, o.action, o.tries, " JUDGED_UTC(
         "o.ended_at") " AS ended_at, "
                       "o.last_error, count(*) OVER () AS rows_in_all FROM plumbline.v_outbox o "
                       "WHERE o.state = 'dead' AND o.problem IS NOT NULL AND $1::timestamptz IS "
                       "NOT NULL ORDER BY o.id DESC "
                       "LIMIT $2::bigint"},
};
#define SECTIONS (sizeof sections / sizeof sections[0])
#define BUDGETS "budgets"

static bool
is_burning(const cJSON *objective)
{
    const cJSON *burn = cJSON_GetObjectItemCaseSensitive(objective, "burn");

    return strcmp(judged_text(objective, "verdict"), "missed") == 0 ||
           (cJSON_IsNumber(burn) && burn->valuedouble > 1);
}

/* The objectives that are missed or will be: worst first, so those that matter are among the
 * first. */
static cJSON *
read_budgets(struct handover *h, int64_t *left_out, int *status)
{
    cJSON *all = judged_objectives(&h->o.judged, NULL, NULL, NULL, false, NULL, status);
    int64_t limit = h->limit ? strtoll(h->limit, NULL, 10) : INT32_MAX, count = 0;
    cJSON *burning = all ? cJSON_CreateArray() : NULL;

    for (cJSON *one = all ? all->child : NULL, *next; one; one = next) {
        next = one->next;
        if (is_burning(one) && count++ < limit) {
            cJSON_AddItemToArray(burning, cJSON_DetachItemViaPointer(all, one));
        }
    }
    cJSON_Delete(all);
    *left_out = count > limit ? count - limit : 0;
    return burning;
}

static cJSON *
read_all(struct handover *h, int *status)
{
    const char *values[] = {h->since, h->limit};
    cJSON *page = cJSON_CreateObject(), *left = cJSON_CreateObject();
    int64_t left_out = 0;
    char sql[4096];

    cJSON_AddStringToObject(page, "since", h->since);
    for (size_t i = 0; i <= SECTIONS; i++) {
        bool last = i == SECTIONS;
        const char *name = last ? BUDGETS : sections[i].name;
        if (!last) {
            bool problems = strncmp(sections[i].sql, "SELECT %s", 9) == 0;
            snprintf(sql, sizeof sql, "SELECT %s%s", problems ? problem_columns : "",
                     sections[i].sql + (problems ? 9 : 7));
        }
        cJSON *rows = last ? read_budgets(h, &left_out, status)
                           : judged_read(&h->o.judged, sql, 2, values, &left_out, status);
        if (!rows) {
            cJSON_Delete(page);
            cJSON_Delete(left);
            return NULL;
        }
        cJSON_AddItemToObject(page, name, rows);
        cJSON_AddNumberToObject(left, name, (double)left_out);
    }
    cJSON_AddItemToObject(page, "left_out", left);
    return page;
}

/* --- Showing ------------------------------------------------------------------- */

static void
print_notes(const cJSON *list)
{
    char note[TEXT_SIZE], by[TEXT_SIZE];
    const cJSON *p;

    cJSON_ArrayForEach(p, list)
    {
        if (judged_has(p, "acknowledged_by")) {
            printf("  %" PRId64 ": %s%s%s: %s\n", judged_number(p, "id"),
                   problem_cut(judged_text(p, "acknowledged_by"), 40, by, sizeof by),
                   judged_has(p, "acknowledged_until") ? ", until " : "",
                   judged_text(p, "acknowledged_until"),
                   problem_cut(judged_text(p, "acknowledged_note"), COLUMNS, note, sizeof note));
        }
    }
}

static void
print_flapping(const cJSON *p)
{
    char title[TEXT_SIZE], raised[32], reopened[32];

    printf("  %" PRId64 ", %s: %s; raised again %s", judged_number(p, "id"),
           judged_text(p, "state"),
           problem_cut(judged_text(p, "title"), COLUMNS, title, sizeof title),
           problem_times(judged_number(p, "flaps"), raised, sizeof raised));
    if (judged_number(p, "reopened")) {
        printf(", reopened %s",
               problem_times(judged_number(p, "reopened"), reopened, sizeof reopened));
    }
    puts("");
}

static void
print_silent(const cJSON *s)
{
    char since[JUDGED_TEXT_SIZE];

    printf("  %s, since %s (%s)\n", judged_text(s, "source"), judged_text(s, "since"),
           problem_duration(s, "since_s", since, sizeof since));
}

static void
print_maintenance(const cJSON *m)
{
    const cJSON *objects = cJSON_GetObjectItemCaseSensitive(m, "objects");
    const cJSON *first = cJSON_GetArrayItem(objects, 0);
    int count = cJSON_GetArraySize(objects);
    char more[32] = "", label[TEXT_SIZE];

    if (count > 1) {
        snprintf(more, sizeof more, " and %d more", count - 1);
    }
    printf("  %" PRId64 ", %s: %s to %s, %s %s%s%s; %s, by %s\n", judged_number(m, "id"),
           judged_text(m, "state"), judged_text(m, "start_at"), judged_text(m, "end_at"),
           judged_text(first, "kind"), judged_text(first, "key"), more,
           cJSON_IsTrue(cJSON_GetObjectItem(m, "suppress_alerts")) ? "" : ", alerts are raised",
           problem_cut(judged_text(m, "label"), COLUMNS, label, sizeof label),
           judged_text(m, "author"));
}

static void
print_hook(const cJSON *h)
{
    char since[JUDGED_TEXT_SIZE], why[TEXT_SIZE];

    printf("  %s: %s for %s, %" PRId64 " waiting, %" PRId64 " dead%s%s\n", judged_text(h, "hook"),
           judged_text(h, "state"), problem_duration(h, "since_s", since, sizeof since),
           judged_number(h, "waiting"), judged_number(h, "dead"),
           judged_has(h, "last_error") ? "; " : "",
           problem_cut(judged_text(h, "last_error"), COLUMNS, why, sizeof why));
}

static void
print_dead(const cJSON *d)
{
    char problem[48] = "", why[TEXT_SIZE];

    if (judged_has(d, "problem")) {
        snprintf(problem, sizeof problem, " of problem %" PRId64, judged_number(d, "problem"));
    }
    printf("  %s: %s%s, %s: %s\n", judged_text(d, "hook"), judged_text(d, "action"), problem,
           judged_text(d, "ended_at"),
           problem_cut(judged_text(d, "last_error"), COLUMNS, why, sizeof why));
}

static void
print_budget(const cJSON *b)
{
    const cJSON *burn = cJSON_GetObjectItemCaseSensitive(b, "burn");
    char left[JUDGED_TEXT_SIZE], speed[48] = "";

    if (cJSON_IsNumber(burn)) {
        snprintf(speed, sizeof speed, ", burns at %.2f", burn->valuedouble);
    }
    printf("  %s, %s %s: %s, left of the budget %s%s\n", judged_text(b, "service"),
           judged_text(b, "class"), judged_text(b, "metric"), judged_verdict(b),
           judged_budget(b, "budget_left", left, sizeof left), speed);
}

/* What is told of a section where there is something, and where there is nothing. */
static const struct {
    const char *name, *heading, *none, *more;
    void (*print)(const cJSON *row); /* NULL: a table of problems. */
} shown[] = {
    {"open", "OPEN", "open problems", "plumbline problems", NULL},
    {"ended", "ENDED", "problems that ended", "plumbline problems --since TIME", NULL},
    {"flapping", "FLAPPING", "flapping", "plumbline problems", print_flapping},
    {"silent", "SILENT PROBES", "silent probes", "plumbline probes", print_silent},
    {"maintenance", "MAINTENANCE", "maintenance", "plumbline maintenance list", print_maintenance},
    {"hooks", "HOOKS THAT NEED A LOOK", "hooks that fail", "plumbline hooks", print_hook},
    {"dead", "MESSAGES THAT WERE GIVEN UP", "dead messages", "plumbline hooks retry NAME",
     print_dead},
    {BUDGETS, "SLA BUDGETS", "SLA budgets that burn", "plumbline sla", print_budget},
};

/* "OPEN: 4, 2 of them new". */
static void
print_section(const cJSON *page, size_t i)
{
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(page, shown[i].name), *row;
    int64_t left_out =
        judged_number(cJSON_GetObjectItemCaseSensitive(page, "left_out"), shown[i].name);
    int fresh = 0;

    cJSON_ArrayForEach(row, rows)
    {
        fresh += cJSON_IsTrue(cJSON_GetObjectItem(row, "is_new"));
    }
    printf("\n%s: %" PRId64, shown[i].heading, cJSON_GetArraySize(rows) + left_out);
    /* Of a list that is cut the new ones are not all counted. */
    if (!shown[i].print && left_out == 0) {
        printf(", %d of them began since then", fresh);
    }
    puts("");
    if (!shown[i].print) {
        problem_print(rows);
        print_notes(rows);
    } else {
        cJSON_ArrayForEach(row, rows)
        {
            shown[i].print(row);
        }
    }
    problem_print_left_out(left_out, shown[i].more);
}

static void
print_page(const cJSON *page)
{
    const char *between = "\nnothing to tell of: ";

    printf("HANDOVER: what happened since %.19sZ\n", judged_text(page, "since"));
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        if (cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(page, shown[i].name)) > 0) {
            print_section(page, i);
        }
    }
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        if (cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(page, shown[i].name)) == 0) {
            printf("%s%s", between, shown[i].none);
            between = ", ";
        }
    }
    if (between[0] == ',') {
        puts("");
    }
}

/* --- Verb ---------------------------------------------------------------------- */

static int
run(struct handover *h)
{
    int status = judged_open(&h->o.judged);
    cJSON *page = status == EXIT_GOOD ? read_all(h, &status) : NULL;

    judged_close(&h->o.judged);
    if (!page) {
        return status;
    }
    if (h->o.json) {
        judged_print(page);
        return EXIT_GOOD;
    }
    judged_tame(page);
    print_page(page);
    cJSON_Delete(page);
    return EXIT_GOOD;
}

int
cli_handover(int argc, char **argv)
{
    struct handover h = {.o = {.judged = {.verb = "handover"}, .limit = LINES, .since = "8h"}};
    int status = problem_parse(&h.o, "since limit", help, argc, argv);

    if (status == EXIT_GOOD && h.o.name_count > 0) {
        fprintf(stderr, "plumbline handover: '%s' is not an option\n", h.o.names[0]);
        return EXIT_USAGE;
    }
    if (status == EXIT_GOOD) {
        status = problem_limit(&h.o, &h.limit);
    }
    if (status == EXIT_GOOD) {
        status = problem_time(&h.o, "since", h.o.since, false, h.since);
    }
    return status == EXIT_GOOD ? run(&h) : status < 0 ? EXIT_GOOD : status;
}
