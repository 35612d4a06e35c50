/* maintenance.c - `plumbline maintenance`: windows of maintenance, by hand.
 *
 * The rules are in sql/0009-maintenance.sql; here they are asked and told.  Calendars:
 * calendar.c. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calendar.h"
#include "cli.h"
#include "pg.h"
#include "window.h"

static const char help[] =
    "usage: plumbline maintenance add --start TIME --end TIME [OPTION ...] OBJECT ...\n"
    "       plumbline maintenance move [--start TIME] [--end TIME] [OPTION ...] NUMBER\n"
    "       plumbline maintenance cancel [--reason TEXT] NUMBER\n"
    "       plumbline maintenance list [--all | --history] [OBJECT ...]\n"
    "       plumbline maintenance import [OPTION ...] FILE.ics\n"
    "\n"
    "Announces maintenance of OBJECT: a link, group, service, attachment (connector.name), or\n"
    "a connector, router, site or risk, of which it takes the links and attachments that there\n"
    "are now.  It is announced when it is recorded; nobody types that.  An SLA excludes what\n"
    "was announced its `notice` before the start, and counts the rest.  Moving a window out of\n"
    "the time that was announced announces it anew.  Nothing that was recorded is changed: each\n"
    "change is another revision, and what was judged is judged again, as another revision.\n"
    "\n"
    "Windows that leave a group fewer members than it needs, or a connector fewer attachments,\n"
    "are refused.  A window of the group itself is not: all know then that it is down.\n"
    "\n"
    "`import` takes calendars as carriers send them (iCalendar with X-MAINTNOTE properties).\n"
    "Their object ids are matched to links by the label `circuit`; a greater SEQUENCE\n"
    "replaces, an equal one changes nothing, a lower one is refused.  NO-IMPACT is recorded,\n"
    "and suppresses and excludes nothing, as does TENTATIVE until it is confirmed.\n"
    "\n"
    "  --start TIME         2026-12-01T22:00:00Z, 2026-12-01T23:00:00+01:00, now, +2h\n"
    "  --end TIME           the same; +2h is behind the start\n"
    "  --label TEXT         what people read\n"
    "  --impact IMPACT      outage (default), degraded, reduced (redundancy) or none\n"
    "  --tenant NAME        excluded for this tenant alone; default: for all\n"
    "  --no-exclude         alerts are silent, but the SLA counts it\n"
    "  --no-suppress        the SLA excludes it, but alerts are raised\n"
    "  --override REASON    also if a group loses too many members; REASON is recorded\n"
    "  --reason TEXT        why it is moved or cancelled\n"
    "  --author WHO         default: the user\n"
    "  --timezone ZONE      of a calendar's times that name none: Europe/Paris\n"
    "  --all                list what is over or cancelled, too\n"
    "  --history            list each revision as it was recorded\n"
    "  --config FILE        default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT    connection in libpq's form, in the place of the file's\n"
    "  --json               print one JSON object\n"
    "  --help               this text\n"
    "\n"
    "Exit status: 0 done; 1 imported, but not all of it; 2 wrong usage, or it is refused; 3 no\n"
    "server, or a file cannot be read.\n"
    "\n"
    "Examples:\n"
    "  plumbline maintenance add --start 2026-12-01T22:00:00Z --end +4h --label 'new line card' "
    "\\\n"
    "      lon1-pe2\n"
    "  plumbline maintenance move --end 2026-12-02T04:00:00Z 17\n"
    "  plumbline maintenance cancel --reason 'parts are late' 17\n"
    "  plumbline maintenance import colt.ics\n"
    "  plumbline maintenance list --json | jq '.maintenance[] | select(.state == \"running\")'\n";

/* --- Telling -------------------------------------------------------------------- */

/* "7d 1h", "35m", "-2h 5m": how long before its start it was announced. */
static const char *
lead_text(const cJSON *row, char *buf, size_t size)
{
    const cJSON *lead = cJSON_GetObjectItemCaseSensitive(row, "lead_s");
    int64_t s = cJSON_IsNumber(lead) ? (int64_t)lead->valuedouble : 0, m = llabs(s) / 60;
    const char *sign = s < 0 ? "-" : "";

    if (m >= 1440) {
        snprintf(buf, size, "%s%" PRId64 "d %" PRId64 "h", sign, m / 1440, m % 1440 / 60);
    } else if (m >= 60) {
        snprintf(buf, size, "%s%" PRId64 "h %" PRId64 "m", sign, m / 60, m % 60);
    } else {
        snprintf(buf, size, "%s%" PRId64 "m", sign, m);
    }
    return buf;
}

static bool
is_true(const cJSON *row, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(row, name));
}

/* How an SLA takes it. */
static const char *
sla_text(const cJSON *row)
{
    const cJSON *late = cJSON_GetObjectItemCaseSensitive(row, "too_late");

    return !is_true(row, "exclude_from_sla") ? "counts"
           : cJSON_GetArraySize(late) > 0    ? "too late"
                                             : "excluded";
}

/* Services that count it, for they heard of it too late. */
static void
print_late(const cJSON *row)
{
    const cJSON *late;

    cJSON_ArrayForEach(late, cJSON_GetObjectItemCaseSensitive(row, "too_late"))
    {
        printf("too late for %s, which counts it: SLA %s asks for a notice of %s\n",
               window_text(late, "service"), window_text(late, "sla"), window_text(late, "notice"));
    }
}

static void
print_row(const cJSON *row, bool alone)
{
    char start[32], end[32], lead[32], objects[400], label[160];

    printf("%4d.%-2d %-10s %-21s %-21s %-9s %-9s %-8s %s%s%s\n",
           cJSON_GetObjectItem(row, "id")->valueint, cJSON_GetObjectItem(row, "revision")->valueint,
           window_text(row, "state"), window_time_text(row, "start_at", start, sizeof start),
           window_time_text(row, "end_at", end, sizeof end), lead_text(row, lead, sizeof lead),
           sla_text(row), is_true(row, "suppress_alerts") ? "silent" : "raised",
           window_objects_text(row, objects, sizeof objects),
           *window_text(row, "label") ? "; " : "",
           window_shown(window_text(row, "label"), label, sizeof label));
    if (alone) {
        print_late(row);
    }
}

/* --- Verbs ---------------------------------------------------------------------- */

static int
add(struct window_options *o, PGconn *conn)
{
    char start[40], end[40];
    bool none = o->impact && strcmp(o->impact, "none") == 0;
    int status = window_times(o, start, end);
    char *objects = status == EXIT_GOOD ? window_objects(o, conn, &status) : NULL;

    if (!objects) {
        return status;
    }
    const char *values[] = {objects,
                            o->label ? o->label : "",
                            o->tenant,
                            start,
                            end,
                            o->impact ? o->impact : "outage",
                            none || o->no_suppress ? "false" : "true",
                            none || o->no_exclude ? "false" : "true",
                            o->override,
                            o->author};
    PGresult *r =
        pg_call(conn,
                "SELECT id FROM plumbline_store.maintenance_add($1::jsonb, $2, $3, "
                "$4::timestamptz, $5::timestamptz, $6, $7::boolean, $8::boolean, $9, $10)",
                10, values);
    cJSON_free(objects);
    return window_show_written(o, conn, r);
}

/* What --end '+2h' is behind: the start that is given, or the one that it has. */
static int
read_start(const struct window_options *o, PGconn *conn, const char *id, struct instant *start)
{
    const char *values[] = {id};
    PGresult *r = pg_call(conn,
                          "SELECT to_char(start_at AT TIME ZONE 'UTC', "
                          "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM "
                          "plumbline_store.maintenance_current WHERE id = $1::bigint",
                          1, values);
    char text[40];

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        return window_failed(o, conn, r);
    }
    int status = EXIT_GOOD;
    if (PQntuples(r) == 1) {
        status = window_time(o, "start", PQgetvalue(r, 0, 0), *start, start, text);
    } else {
        fprintf(stderr, "%s: there is no maintenance %s\n", o->verb, id);
        status = EXIT_USAGE;
    }
    PQclear(r);
    return status;
}

static int
move(struct window_options *o, PGconn *conn)
{
    struct instant from = instant_now(), until;
    char start[40], end[40];
    const char *values[] = {NULL, NULL, NULL, o->override, o->reason, o->author};
    int status = window_id(o, &values[0]);

    if (status == EXIT_GOOD && o->start) {
        status = window_time(o, "start", o->start, from, &from, start);
        values[1] = start;
    } else if (status == EXIT_GOOD) {
        status = read_start(o, conn, values[0], &from);
    }
    if (status == EXIT_GOOD && o->end) {
        status = window_time(o, "end", o->end, from, &until, end);
        values[2] = end;
    }
    if (status != EXIT_GOOD) {
        return status;
    }
    return window_show_written(
        o, conn,
        pg_call(conn,
                "SELECT id FROM plumbline_store.maintenance_move($1::bigint, "
                "$2::timestamptz, $3::timestamptz, $4, $5, $6)",
                6, values));
}

static int
run_add(struct window_options *o)
{
    static const char *const impacts[] = {"outage", "degraded", "reduced", "none"};
    bool good = !o->impact;

    for (size_t i = 0; o->impact && i < sizeof impacts / sizeof impacts[0]; i++) {
        good = good || strcmp(o->impact, impacts[i]) == 0;
    }
    if (!good) {
        fprintf(stderr, "%s: --impact %s: expected outage, degraded, reduced or none\n", o->verb,
                o->impact);
        return EXIT_USAGE;
    }
    if (o->name_count == 0) {
        fprintf(stderr,
                "%s: at least one object is needed; `plumbline maintenance --help` has examples\n",
                o->verb);
        return EXIT_USAGE;
    }
    return window_run(o, add);
}

static int
run_move(struct window_options *o)
{
    if (!o->start && !o->end) {
        fprintf(stderr, "%s: --start, --end or both are needed\n", o->verb);
        return EXIT_USAGE;
    }
    return window_run(o, move);
}

int
cli_maintenance(int argc, char **argv)
{
    static const struct window_verb verbs[] = {
        {"add", "plumbline maintenance add",
         "start end label impact tenant no-exclude no-suppress override author", run_add},
        {"move", "plumbline maintenance move", "start end override reason author", run_move},
        {"cancel", "plumbline maintenance cancel", "reason author", window_end},
        {"list", "plumbline maintenance list", "all history", window_list},
        {"import", "plumbline maintenance import",
         "timezone no-exclude no-suppress override author", calendar_import},
    };
    static const struct window_kind kind = {
        .verb = "plumbline maintenance",
        .help = help,
        .verbs = verbs,
        .verb_count = sizeof verbs / sizeof verbs[0],
        .which = "add, move, cancel, list or import",
        .select = "to_jsonb(v) || jsonb_build_object("
                  "'lead_s', floor(extract(epoch FROM v.lead)), "
                  "'too_late', (SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') FROM "
                  "plumbline_store.maintenance_too_late(v.id, v.revision) t))",
        .view = "plumbline.v_maintenance",
        .member = "maintenance",
        .hidden = "state IN ('over', 'cancelled')",
        .none = "no maintenance; --all shows what is over",
        .none_at_all = "no maintenance",
        /* LEAD: how long before its start it was announced. */
        .heading = "NUMBER  STATE      START                 END                   LEAD      SLA "
                   "      ALERTS   OBJECTS; LABEL",
        .print_row = print_row,
        .end = "SELECT id FROM plumbline_store.maintenance_cancel($1::bigint, $2, $3)",
    };

    return window_command(&kind, argc, argv);
}
