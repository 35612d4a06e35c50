/* problems.c - `plumbline problems`: what is wrong now, and what was. */
#include <stdio.h>

#include "cli.h"
#include "problem.h"

static const char help[] =
    "usage: plumbline problems [OPTION ...]\n"
    "\n"
    "A line for each problem that is open, newest first; with --since those that ended since then\n"
    "too, behind them.  A problem is what a ticket is about: alarms of one cause.\n"
    "\n"
    "  STATE    open; held: under maintenance, so nobody is told yet; flaps: it comes and goes;\n"
    "           ended; merged: it turned out to be part of another\n"
    "  SINCE    when it began, UTC; FOR: how long it lasts, or lasted\n"
    "  WHERE    the link, or the risk, router, probe, site or service that explains it\n"
    "  ACK      who has it; reminders are silent then\n"
    "  TICKETS  the target's number, and how many there are besides\n"
    "\n"
    "  --since TIME       24h, 7d or 2026-12-01T22:00:00Z\n"
    "  --all              all that there ever were\n"
    "  --limit NUMBER     lines; default 100, 0: all\n"
    "  --check            exit status 1 if a problem is open\n"
    "  --config FILE      default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT  connection in libpq's form, in the place of the file's\n"
    "  --json             print one JSON object\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 it is printed, 1 a problem is open (--check), 2 wrong usage, 3 PostgreSQL\n"
    "cannot be read.\n"
    "\n"
    "Examples:\n"
    "  plumbline problems\n"
    "  plumbline problems --since 24h\n"
    "  plumbline problems --json | jq '.problems[] | select(.acknowledged_by == null) | .title'\n"
    "  plumbline show 17\n";

struct problems {
    struct problem_options o;
    const char *since, *limit; /* NULL: what is open; all. */
};

static cJSON *
read_problems(struct problems *v, int64_t *left_out, int *status)
{
    const char *values[] = {v->since, v->o.all ? "t" : "f", v->limit};
    char sql[4096];

    snprintf(sql, sizeof sql,
             "SELECT %s, count(*) OVER () AS rows_in_all FROM plumbline.v_problem p "
             "WHERE p.state = 'open' OR $2::boolean "
             "OR $1::timestamptz IS NOT NULL AND p.state = 'ended' AND p.ended >= $1::timestamptz "
             "ORDER BY p.state = 'open' DESC, p.began DESC, p.id DESC LIMIT $3::bigint",
             problem_columns);
    return judged_read(&v->o.judged, sql, 3, values, left_out, status);
}

static bool
is_open(const cJSON *list)
{
    return judged_has(cJSON_GetArrayItem(list, 0), "id") &&
           judged_text(cJSON_GetArrayItem(list, 0), "state")[0] == 'o';
}

static int
run(struct problems *v)
{
    int64_t left_out = 0;
    int status = judged_open(&v->o.judged);
    cJSON *list = status == EXIT_GOOD ? read_problems(v, &left_out, &status) : NULL;

    judged_close(&v->o.judged);
    if (!list) {
        return status;
    }
    status = v->o.check && is_open(list) ? EXIT_BAD : EXIT_GOOD;
    if (v->o.json) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddItemToObject(o, "problems", list);
        cJSON_AddNumberToObject(o, "left_out", (double)left_out);
        judged_print(o);
        return status;
    }
    judged_tame(list);
    if (cJSON_GetArraySize(list) == 0) {
        puts(v->o.all   ? "there was never a problem"
             : v->since ? "no problem is open, and none ended since then"
                        : "no problem is open");
    } else {
        problem_print(list);
        problem_print_left_out(left_out, "--limit 0 shows all");
    }
    cJSON_Delete(list);
    return status;
}

int
cli_problems(int argc, char **argv)
{
    struct problems v = {.o = {.judged = {.verb = "problems"}, .limit = "100"}};
    int status = problem_parse(&v.o, "since all limit check", help, argc, argv);
    char since[40];

    if (status == EXIT_GOOD && v.o.name_count > 0) {
        fprintf(stderr,
                "plumbline problems: '%s' is not an option; `plumbline show %s` tells of one\n",
                v.o.names[0], v.o.names[0]);
        return EXIT_USAGE;
    }
    if (status == EXIT_GOOD) {
        status = problem_limit(&v.o, &v.limit);
    }
    if (status == EXIT_GOOD && v.o.since) {
        status = problem_time(&v.o, "since", v.o.since, false, since);
        v.since = since;
    }
    return status == EXIT_GOOD ? run(&v) : status < 0 ? EXIT_GOOD : status;
}
