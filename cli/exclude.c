/* exclude.c - `plumbline exclude`: time that a promise does not count, agreed with whom.
 *
 * The rules are in sql/0009-maintenance.sql; here they are asked and told. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "pg.h"
#include "window.h"

#define LIST_SQL                                                                                   \
    "SELECT to_jsonb(v) FROM (SELECT * FROM plumbline.v_exclusion%s WHERE ($1::bigint IS NULL OR " \
    "id = $1::bigint)%s) v "                                                                       \
    "WHERE $2::jsonb = '[]' OR EXISTS (SELECT FROM jsonb_array_elements(v.objects) o, "            \
    "plumbline_store.window_reach($2::jsonb) n WHERE (n.kind, n.key) = (o->>'kind', o->>'key')) "  \
    "ORDER BY v.start_at, v.id, v.revision"

static const char help[] =
    "usage: plumbline exclude add --kind KIND --start TIME --end TIME --reason TEXT\n"
    "           --approval WHO [OPTION ...] OBJECT ...\n"
    "       plumbline exclude list [--all | --history] [OBJECT ...]\n"
    "       plumbline exclude withdraw [--reason TEXT] NUMBER\n"
    "\n"
    "Excludes [start, end) from what was promised about OBJECT: a link, group, service,\n"
    "attachment (connector.name), or a connector, router, site or risk, of which it takes the\n"
    "links and attachments that there are now.  What was judged is judged again, as another\n"
    "revision; nothing that was published changes.  An exclusion is never changed: withdraw\n"
    "it, and add another.\n"
    "\n"
    "  --kind KIND          customer, third_party, force_majeure or agreed\n"
    "  --start TIME         2026-12-01T22:00:00Z, 2026-12-01T23:00:00+01:00, now, +2h\n"
    "  --end TIME           the same; +2h is behind the start\n"
    "  --reason TEXT        why: what the report prints\n"
    "  --approval WHO       who approved it, and where that is written\n"
    "  --tenant NAME        for this tenant alone; default: for all\n"
    "  --author WHO         default: the user\n"
    "  --all                list those that were withdrawn, too\n"
    "  --history            list each revision\n"
    "  --config FILE        default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT    connection in libpq's form, in the place of the file's\n"
    "  --json               print one JSON object\n"
    "  --help               this text\n"
    "\n"
    "Exit status: 0 done, 2 wrong usage, or it is refused, 3 no server.\n"
    "\n"
    "Examples:\n"
    "  plumbline exclude add --kind customer --start 2026-11-20T08:00:00Z --end +3h \\\n"
    "      --reason 'power off in their rack' --approval 'J. Doe, mail of 21 Nov' acme-hq-azure\n"
    "  plumbline exclude list --json | jq '.exclusions[].reason'\n"
    "  plumbline exclude withdraw --reason 'wrong day' 3\n";

static void
print_row(const cJSON *row)
{
    char start[32], end[32], objects[400], reason[200], approval[120];

    printf("%4d.%-2d %-10s %-14s %-21s %-21s %s; %s; approved by %s\n",
           cJSON_GetObjectItem(row, "id")->valueint, cJSON_GetObjectItem(row, "revision")->valueint,
           cJSON_IsTrue(cJSON_GetObjectItem(row, "withdrawn")) ? "withdrawn" : "in force",
           window_text(row, "kind"), window_time_text(row, "start_at", start, sizeof start),
           window_time_text(row, "end_at", end, sizeof end),
           window_objects_text(row, objects, sizeof objects),
           window_shown(window_text(row, "reason"), reason, sizeof reason),
           window_shown(window_text(row, "approval"), approval, sizeof approval));
}

/* Shows what 'objects' (or, if 'id' is given, that one) has. */
static int
show(struct window_options *o, PGconn *conn, const char *id, const char *objects)
{
    const char *values[] = {id, objects};
    char sql[2048];

    snprintf(sql, sizeof sql, LIST_SQL, o->history ? "_history" : "",
             o->all || o->history || id ? "" : " AND NOT withdrawn");
    PGresult *r = pg_call(conn, sql, 2, values);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        return window_failed(o, conn, r);
    }
    cJSON *rows = window_rows(r, "exclusions");
    PQclear(r);
    if (o->json) {
        window_print_json(rows);
        return EXIT_GOOD;
    }
    const cJSON *row, *list = cJSON_GetObjectItem(rows, "exclusions");
    if (cJSON_GetArraySize(list) == 0) {
        puts("no exclusions");
    } else {
        printf("%-7s %-10s %-14s %-21s %-21s %s\n", "NUMBER", "STATE", "KIND", "START", "END",
               "OBJECTS; REASON; APPROVAL");
    }
    cJSON_ArrayForEach(row, list)
    {
        print_row(row);
    }
    cJSON_Delete(rows);
    return EXIT_GOOD;
}

/* Shows the exclusion that 'r' names, and clears 'r'. */
static int
show_written(struct window_options *o, PGconn *conn, PGresult *r)
{
    char id[24];

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        return window_failed(o, conn, r);
    }
    snprintf(id, sizeof id, "%s", PQgetvalue(r, 0, 0));
    PQclear(r);
    return show(o, conn, id, "[]");
}

static int
add(struct window_options *o, PGconn *conn)
{
    char start[40], end[40];
    int status = window_times(o, start, end);
    char *objects = status == EXIT_GOOD ? window_objects(o, conn, &status) : NULL;

    if (!objects) {
        return status;
    }
    const char *values[] = {o->kind, objects,   o->tenant,   start,
                            end,     o->reason, o->approval, o->author};
    PGresult *r = pg_call(conn,
                          "SELECT id FROM plumbline_store.exclusion_add($1, $2::jsonb, $3, "
                          "$4::timestamptz, $5::timestamptz, $6, $7, $8)",
                          8, values);
    cJSON_free(objects);
    return show_written(o, conn, r);
}

static int
list(struct window_options *o, PGconn *conn)
{
    int status;
    char *objects = window_objects(o, conn, &status);

    if (objects) {
        status = show(o, conn, NULL, objects);
    }
    cJSON_free(objects);
    return status;
}

static int
withdraw(struct window_options *o, PGconn *conn)
{
    const char *values[] = {NULL, o->reason, o->author};
    int status = window_id(o, &values[0]);

    if (status != EXIT_GOOD) {
        return status;
    }
    return show_written(
        o, conn,
        pg_call(conn, "SELECT id FROM plumbline_store.exclusion_withdraw($1::bigint, $2, $3)", 3,
                values));
}

static bool
is_kind(const char *kind)
{
    static const char *const kinds[] = {"customer", "third_party", "force_majeure", "agreed"};

    for (size_t i = 0; kind && i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kind, kinds[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int
run_add(struct window_options *o, int argc, char **argv)
{
    int status = window_parse(o, "kind start end reason approval tenant author", argc, argv);

    if (status != EXIT_GOOD || o->help) {
        return status;
    }
    if (!is_kind(o->kind)) {
        fprintf(stderr, "%s: --kind %s: expected customer, third_party, force_majeure or agreed\n",
                o->verb, o->kind ? o->kind : "is needed");
        return EXIT_USAGE;
    }
    if (!o->reason || !o->approval || o->name_count == 0) {
        fprintf(stderr,
                "%s: --reason, --approval and at least one object are needed; `plumbline exclude "
                "--help` has examples\n",
                o->verb);
        return EXIT_USAGE;
    }
    return window_run(o, add);
}

int
cli_exclude(int argc, char **argv)
{
    struct window_options o = {.verb = "plumbline exclude"};
    const char *what = argc > 1 ? argv[1] : "";
    int status = EXIT_USAGE;

    if (strcmp(what, "add") == 0) {
        o.verb = "plumbline exclude add";
        status = run_add(&o, argc - 1, argv + 1);
    } else if (strcmp(what, "list") == 0) {
        o.verb = "plumbline exclude list";
        status = window_parse(&o, "all history", argc - 1, argv + 1);
        status = status != EXIT_GOOD || o.help ? status : window_run(&o, list);
    } else if (strcmp(what, "withdraw") == 0) {
        o.verb = "plumbline exclude withdraw";
        status = window_parse(&o, "reason author", argc - 1, argv + 1);
        status = status != EXIT_GOOD || o.help ? status : window_run(&o, withdraw);
    } else if (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0) {
        o.help = true;
        status = EXIT_GOOD;
    } else {
        fputs("plumbline exclude: add, list or withdraw? `plumbline exclude --help` has examples\n",
              stderr);
    }
    if (status == EXIT_GOOD && o.help) {
        fputs(help, stdout);
    }
    return status;
}
