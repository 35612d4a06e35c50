/* sla.c - `plumbline sla`: where each promise stands, worst first, and what groups and
 * links were worth. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "judged.h"
#include "log.h"
#include "value.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"
#define DEFAULT_LIMIT "100"
#define NAMES_SIZE 8192

static const char help[] =
    "usage: plumbline sla [OPTION ...] [SERVICE ...]\n"
    "\n"
    "A line for each objective of each service, in the period that runs, worst first:\n"
    "\n"
    "  VERDICT  met so far        kept until now\n"
    "           missed for good   its budget is spent: no remainder of the period mends it\n"
    "           not decidable     too few packets, clocks that do not know, ...: explain says\n"
    "           met, missed       published, of a service that went out of service this month\n"
    "  VALUE    and what was promised, LIMIT\n"
    "  LEFT     of the budget: time that may still be unavailable, packets that may still be\n"
    "           lost or late; under 0: spent by so much too much\n"
    "  BURN     how fast it goes: at 1.00 it lasts exactly as long as the period\n"
    "  WORST    the link, and the way of it, that the value is of\n"
    "\n"
    "Then groups and links, longest down first: availability of the month so far (in UTC), how\n"
    "long they were down, outages, high loss intervals.  How each came about, and what to do\n"
    "next, says `plumbline explain SERVICE`.\n"
    "\n"
    "  --period YYYY-MM   that month, the verdicts as they are published\n"
    "  --all-periods      every period; no groups and links\n"
    "  --services         no groups and links\n"
    "  --limit NUMBER     lines of each table; default 100, 0: all, which may take long\n"
    "  --check            exit status 1 if a promise is missed\n"
    "  --config FILE      default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT  connection in libpq's form, in the place of the file's\n"
    "  --json             print one JSON object\n"
    "  --help             this text\n"
    "\n"
    "With SERVICE: these, and the groups and links under them.\n"
    "\n"
    "Exit status: 0 it is printed, 1 a promise is missed (--check), 2 wrong usage or no such\n"
    "service, 3 PostgreSQL cannot be read.\n"
    "\n"
    "Examples:\n"
    "  plumbline sla\n"
    "  plumbline sla --period 2026-02 acme-cloud\n"
    "  plumbline sla --json | jq '.objectives[] | select(.burn > 1)'\n";

struct sla {
    struct judged judged;
    const char *period; /* NULL: what runs; "": all. */
    const char *limit;  /* NULL: none. */
    const char *names;  /* "{a,b}"; NULL: all. */
    bool json, check, help, services;
    cJSON *objectives, *groups, *links;
    int64_t objectives_left_out, groups_left_out, links_left_out;
};

/* --- Reading ------------------------------------------------------------------ */

/* Of the services that were named, those of which nothing was ever judged. */
static int
check_names(struct sla *s)
{
    const char *values[] = {s->names};
    int status = EXIT_GOOD;
    const cJSON *one;
    cJSON *list = s->names ? judged_read(&s->judged,
                                         "SELECT u.name FROM unnest($1::text[]) AS u(name) "
                                         "WHERE NOT EXISTS (SELECT FROM plumbline.v_period p "
                                         "WHERE p.service = u.name)",
                                         1, values, NULL, &status)
                           : NULL;
    cJSON_ArrayForEach(one, list)
    {
        fprintf(stderr,
                "plumbline sla: nothing was judged of a service '%s'; `plumbline sla` alone lists "
                "those that are\n",
                judged_text(one, "name"));
        status = EXIT_USAGE;
    }
    cJSON_Delete(list);
    return status;
}

/* What is amiss in a quarter hour, as the index judged_quarter_trouble has it: the planner takes
 * that for these words alone. */
#define TROUBLE "(dt_available < dt_counted OR dt_undetermined > 0 OR hli > 0)"
#define IN_MONTH "start >= $2::timestamptz AND start < $3::timestamptz"

/* The month, UTC, as two timestamps: the planner then knows which days it need not open. */
struct month {
    char start[32], until[32];
};

static struct month
month_of(const char *period)
{
    time_t now = time(NULL);
    struct tm utc;
    struct month m;
    int year, month;

    gmtime_r(&now, &utc);
    year = utc.tm_year + 1900;
    month = utc.tm_mon + 1;
    if (period) {
        year = (int)strtol(period, NULL, 10);
        month = (int)strtol(period + 5, NULL, 10);
    }
    snprintf(m.start, sizeof m.start, "%04d-%02d-01 00:00:00+00", year, month);
    snprintf(m.until, sizeof m.until, "%04d-%02d-01 00:00:00+00", year + month / 12,
             month % 12 + 1);
    return m;
}

#define SUMS                                                                                       \
    "sum(q.dt_total) AS dt_total, sum(q.dt_counted) AS dt_counted, sum(q.dt_available) AS "        \
    "dt_available, sum(q.dt_undetermined) AS dt_undetermined, sum(q.outages) AS outages, "         \
    "sum(q.hli) AS hli, sum(q.chli_runs) AS chli_runs, max(q.until) AS until "                     \
    "FROM plumbline.v_line_quarter q "
/* Line by line where they are few; where all are asked for, in one go. */
#define EACH_WHOLE                                                                                 \
    "FROM shown s CROSS JOIN LATERAL (SELECT " SUMS "WHERE q.line_id = s.line_id AND " IN_MONTH    \
    ") AS a "
#define ALL_WHOLE                                                                                  \
    "FROM shown s JOIN (SELECT q.line_id, " SUMS "WHERE " IN_MONTH                                 \
    " GROUP BY q.line_id) AS a USING (line_id) "
#define LINES_SQL(whole)                                                                           \
    "WITH line AS MATERIALIZED (SELECT l.* FROM plumbline.v_line l WHERE l.scope_kind = "          \
    "$1::text AND ($4::text[] IS NULL OR l.scope IN (SELECT p.part FROM plumbline.v_part p "       \
    "WHERE p.kind = 'service' AND p.key = ANY ($4::text[])))), "                                   \
    "trouble AS (SELECT line_id, sum(dt_counted - dt_available) AS down, sum(hli) AS hli, "        \
    "sum(dt_undetermined) AS unknown FROM plumbline.v_line_quarter WHERE " IN_MONTH                \
    " AND " TROUBLE " GROUP BY line_id), "                                                         \
    "worst AS MATERIALIZED (SELECT l.*, t.down * l.dt_ns AS down, t.hli, t.unknown FROM "          \
    "line l JOIN trouble t USING (line_id) ORDER BY t.down * l.dt_ns DESC, t.hli DESC, "           \
    "t.unknown DESC, l.scope, l.class, l.direction LIMIT $5::bigint), "                            \
    "judged AS MATERIALIZED (SELECT l.* FROM line l CROSS JOIN LATERAL (SELECT FROM "              \
    "plumbline.v_line_quarter q WHERE q.line_id = l.line_id AND " IN_MONTH " LIMIT 1) AS there), " \
    "other AS (SELECT j.*, 0::bigint AS down, 0::bigint AS hli, 0::bigint AS unknown "             \
    "FROM judged j WHERE NOT EXISTS (SELECT FROM trouble t WHERE t.line_id = j.line_id) "          \
    "ORDER BY j.scope, j.class, j.direction "                                                      \
    "LIMIT $5::bigint - (SELECT count(*) FROM worst)), "                                           \
    "shown AS (SELECT * FROM worst UNION ALL SELECT * FROM other) "                                \
    "SELECT s.scope AS object, s.class, s.direction, "                                             \
    "a.dt_available * 100000 / nullif(a.dt_counted, 0) AS availability_milli, s.dt_ns, "           \
    "a.dt_total, a.dt_counted, a.dt_available, a.dt_counted - a.dt_available AS "                  \
    "dt_unavailable, a.dt_undetermined, a.outages, a.hli, a.chli_runs, " JUDGED_UTC(               \
        "a.until") " AS judged_until, (SELECT count(*) FROM judged) AS rows_in_all " whole         \
                   "ORDER BY s.down DESC, s.hli DESC, s.unknown DESC, s.scope, s.class, "          \
                   "s.direction"

/* Links, or groups, of the month: those in trouble, longest down first, from an index that has only
 * these; where they are few, some others.  Whole sums are made of what is shown, and of no more: a
 * month of a hundred thousand lines has hundreds of millions of quarter hours. */
static cJSON *
read_lines(struct sla *s, const char *kind, int64_t *left_out, int *status)
{
    const struct month month = month_of(s->period);
    const char *values[] = {kind, month.start, month.until, s->names, s->limit};

    return judged_read(&s->judged, s->limit ? LINES_SQL(EACH_WHOLE) : LINES_SQL(ALL_WHOLE), 5,
                       values, left_out, status);
}

static int
collect(struct sla *s)
{
    int status = check_names(s);
    bool lines = !s->services && (!s->period || s->period[0]);

    if (status == EXIT_GOOD) {
        s->objectives = judged_objectives(&s->judged, s->names, s->period, s->limit, false,
                                          &s->objectives_left_out, &status);
    }
    if (status == EXIT_GOOD && lines) {
        s->groups = read_lines(s, "group", &s->groups_left_out, &status);
    }
    if (status == EXIT_GOOD && lines) {
        s->links = read_lines(s, "link", &s->links_left_out, &status);
    }
    return status;
}

/* --- Showing ------------------------------------------------------------------ */

static void
print_left_out(int64_t count)
{
    if (count) {
        printf("... and %" PRId64 " more; --limit 0 shows all\n", count);
    }
}

static void
print_objective(const cJSON *o)
{
    char value[JUDGED_TEXT_SIZE] = "-", limit[JUDGED_TEXT_SIZE], left[JUDGED_TEXT_SIZE];
    const char *service = judged_text(o, "service"), *worst = judged_text(o, "worst");
    char burn[16] = "-", metric[48];

    if (judged_has(o, "value")) {
        judged_value(judged_text(o, "unit"), judged_number(o, "value"), value, sizeof value);
    }
    if (judged_has(o, "burn")) {
        snprintf(burn, sizeof burn, "%.2f",
                 cJSON_GetObjectItemCaseSensitive(o, "burn")->valuedouble);
    }
    snprintf(metric, sizeof metric, "%.24s %.8s", judged_text(o, "metric"),
             judged_text(o, "direction"));
    /* Of the service as a whole there is no part that is worse. */
    if (strncmp(worst, service, strlen(service)) == 0 && worst[strlen(service)] == ' ') {
        worst = "-";
    }
    printf("%-15s %-20s %-7s %-12s %-18s %10s %-11s %14s %6s  %s\n", judged_verdict(o), service,
           judged_text(o, "period"), judged_text(o, "class"), metric, value,
           judged_limit(o, limit, sizeof limit), judged_budget(o, "budget_left", left, sizeof left),
           burn, worst);
}

static void
print_line(const cJSON *l)
{
    char value[JUDGED_TEXT_SIZE] = "-", down[JUDGED_TEXT_SIZE], unknown[JUDGED_TEXT_SIZE];
    int64_t dt = judged_number(l, "dt_ns");

    if (judged_has(l, "availability_milli")) {
        value_format_percent((uint64_t)judged_number(l, "availability_milli"), value, sizeof value);
    }
    printf("%-28s %-12s %-5s %12s %10s %12s %8" PRId64 " %8" PRId64 " %6" PRId64 "\n",
           judged_text(l, "object"), judged_text(l, "class"), judged_text(l, "direction"), value,
           judged_duration(judged_number(l, "dt_unavailable") * dt, down, sizeof down),
           judged_duration(judged_number(l, "dt_undetermined") * dt, unknown, sizeof unknown),
           judged_number(l, "outages"), judged_number(l, "hli"), judged_number(l, "chli_runs"));
}

static void
print_lines(const char *title, const cJSON *lines, int64_t left_out)
{
    const cJSON *one;

    if (cJSON_GetArraySize(lines) == 0) {
        return;
    }
    printf("\n%-28s %-12s %-5s %12s %10s %12s %8s %8s %6s\n", title, "CLASS", "WAY", "AVAILABILITY",
           "DOWN", "UNDETERMINED", "OUTAGES", "HLI", "CHLI");
    cJSON_ArrayForEach(one, lines)
    {
        print_line(one);
    }
    print_left_out(left_out);
}

static void
print_table(const struct sla *s)
{
    const cJSON *one;

    if (cJSON_GetArraySize(s->objectives) == 0) {
        puts(s->period && s->period[0]
                 ? "no promise is judged of that period"
                 : "no promise is judged in this month: a collector does, once rows of a service's "
                   "links are committed, while the service is in force and has a valid SLA; "
                   "--all-periods shows what was before");
    } else {
        printf("%-15s %-20s %-7s %-12s %-18s %10s %-11s %14s %6s  %s\n", "VERDICT", "SERVICE",
               "PERIOD", "CLASS", "METRIC", "VALUE", "LIMIT", "LEFT", "BURN", "WORST");
    }
    cJSON_ArrayForEach(one, s->objectives)
    {
        print_objective(one);
    }
    print_left_out(s->objectives_left_out);
    print_lines("GROUP", s->groups, s->groups_left_out);
    print_lines("LINK", s->links, s->links_left_out);
}

/* The lists go into what is printed, and with it. */
static void
print_json(struct sla *s)
{
    cJSON *o = cJSON_CreateObject();

    cJSON_AddItemToObject(o, "objectives", s->objectives);
    cJSON_AddNumberToObject(o, "objectives_left_out", (double)s->objectives_left_out);
    cJSON_AddItemToObject(o, "groups", s->groups ? s->groups : cJSON_CreateArray());
    cJSON_AddNumberToObject(o, "groups_left_out", (double)s->groups_left_out);
    cJSON_AddItemToObject(o, "links", s->links ? s->links : cJSON_CreateArray());
    cJSON_AddNumberToObject(o, "links_left_out", (double)s->links_left_out);
    s->objectives = s->groups = s->links = NULL;
    judged_print(o);
}

/* What is missed stands first. */
static bool
is_missed(const struct sla *s)
{
    return strcmp(judged_text(cJSON_GetArrayItem(s->objectives, 0), "verdict"), "missed") == 0;
}

static int
run(struct sla *s)
{
    int status = judged_open(&s->judged);

    if (status == EXIT_GOOD) {
        status = collect(s);
    }
    if (status == EXIT_GOOD && s->check && is_missed(s)) {
        status = EXIT_BAD;
    }
    /* Promises are shown also where links take too long to add up. */
    if (s->objectives) {
        if (s->json) {
            print_json(s);
        } else {
            print_table(s);
        }
    }
    cJSON_Delete(s->objectives);
    cJSON_Delete(s->groups);
    cJSON_Delete(s->links);
    judged_close(&s->judged);
    return status;
}

/* --- Options ------------------------------------------------------------------ */

/* "{a,b}" of the names; keys need no quotes there. */
static int
list_names(char *const *names, int count, char *buf, size_t size)
{
    size_t used = 0;

    for (int i = 0; i < count; i++) {
        if (!value_is_name(names[i])) {
            fprintf(stderr, "plumbline sla: '%s' can be no service\n", names[i]);
            return EXIT_USAGE;
        }
        int n = snprintf(buf + used, size - used, "%c%s", i ? ',' : '{', names[i]);
        if (n < 0 || (size_t)n + 2 > size - used) {
            fputs("plumbline sla: so many services cannot be named at once\n", stderr);
            return EXIT_USAGE;
        }
        used += (size_t)n;
    }
    snprintf(buf + used, size - used, "}");
    return EXIT_GOOD;
}

static int
parse(struct sla *s, int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"postgresql", required_argument, NULL, 'p'},
        {"period", required_argument, NULL, 'm'}, {"all-periods", no_argument, NULL, 'a'},
        {"limit", required_argument, NULL, 'l'},  {"services", no_argument, NULL, 's'},
        {"check", no_argument, NULL, 'k'},        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    uint64_t limit;
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char **text = o == 'c'   ? &s->judged.config
                            : o == 'p' ? &s->judged.postgresql
                            : o == 'm' ? &s->period
                            : o == 'l' ? &s->limit
                                       : NULL;
        if (text) {
            *text = optarg;
        } else if (o == 'a') {
            s->period = "";
        } else if (o == 'k' || o == 'j' || o == 's') {
            *(o == 'k' ? &s->check : o == 'j' ? &s->json : &s->services) = true;
        } else if (o == 'h') {
            s->help = true;
            return EXIT_GOOD;
        } else {
            fputs("`plumbline sla --help` shows the options\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (s->period && s->period[0] && !judged_is_month(s->period)) {
        fprintf(stderr, "plumbline sla: --period %s: expected a month such as 2026-02\n",
                s->period);
        return EXIT_USAGE;
    }
    if (!value_parse_unsigned(s->limit, &limit) || limit > INT32_MAX) {
        fprintf(stderr, "plumbline sla: --limit %s: expected a number of lines; 0: all\n",
                s->limit);
        return EXIT_USAGE;
    }
    s->limit = limit ? s->limit : NULL;
    return EXIT_GOOD;
}

int
cli_sla(int argc, char **argv)
{
    struct sla s = {.judged = {.verb = "sla", .config = DEFAULT_CONFIG}, .limit = DEFAULT_LIMIT};
    char names[NAMES_SIZE];
    int status = parse(&s, argc, argv);

    log_set_level(LOG_LEVEL_ERROR);
    if (s.help) {
        fputs(help, stdout);
        return EXIT_GOOD;
    }
    if (status == EXIT_GOOD && optind < argc) {
        status = list_names(argv + optind, argc - optind, names, sizeof names);
        s.names = names;
    }
    return status == EXIT_GOOD ? run(&s) : status;
}
