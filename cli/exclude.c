/* exclude.c - `plumbline exclude`: time that a promise does not count, agreed with whom.
 *
 * The rules are in sql/0009-maintenance.sql; here they are asked and told. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "pg.h"
#include "window.h"

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
print_row(const cJSON *row, bool alone)
{
    char start[32], end[32], objects[400], reason[200], approval[120];

    (void)alone;
    printf("%4d.%-2d %-10s %-14s %-21s %-21s %s; %s; approved by %s\n",
           cJSON_GetObjectItem(row, "id")->valueint, cJSON_GetObjectItem(row, "revision")->valueint,
           cJSON_IsTrue(cJSON_GetObjectItem(row, "withdrawn")) ? "withdrawn" : "in force",
           window_text(row, "kind"), window_time_text(row, "start_at", start, sizeof start),
           window_time_text(row, "end_at", end, sizeof end),
           window_objects_text(row, objects, sizeof objects),
           window_shown(window_text(row, "reason"), reason, sizeof reason),
           window_shown(window_text(row, "approval"), approval, sizeof approval));
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
    return window_show_written(o, conn, r);
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
run_add(struct window_options *o)
{
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
    static const struct window_verb verbs[] = {
        {"add", "plumbline exclude add", "kind start end reason approval tenant author", run_add},
        {"list", "plumbline exclude list", "all history", window_list},
        {"withdraw", "plumbline exclude withdraw", "reason author", window_end},
    };
    static const struct window_kind kind = {
        .verb = "plumbline exclude",
        .help = help,
        .verbs = verbs,
        .verb_count = sizeof verbs / sizeof verbs[0],
        .which = "add, list or withdraw",
        .select = "to_jsonb(v)",
        .view = "plumbline.v_exclusion",
        .member = "exclusions",
        .hidden = "withdrawn",
        .none = "no exclusions",
        .none_at_all = "no exclusions",
        .heading = "NUMBER  STATE      KIND           START                 END                   "
                   "OBJECTS; REASON; APPROVAL",
        .print_row = print_row,
        .end = "SELECT id FROM plumbline_store.exclusion_withdraw($1::bigint, $2, $3)",
    };

    return window_command(&kind, argc, argv);
}
