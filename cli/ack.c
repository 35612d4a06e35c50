/* ack.c - `plumbline ack`: somebody has a problem in hand, and need not be reminded. */
#include <inttypes.h>
#include <stdio.h>

#include "cli.h"
#include "problem.h"

static const char help[] =
    "usage: plumbline ack [OPTION ...] --note TEXT PROBLEM\n"
    "\n"
    "Acknowledges PROBLEM, which `plumbline problems` lists: reminders of it stop, and nothing\n"
    "else; it is measured, judged and resolved as before.  It holds until the problem ends, or\n"
    "until --until.  Another one takes its place.\n"
    "\n"
    "  --note TEXT        who does what about it; needed, 1000 characters at most\n"
    "  --until TIME       4h, or 2026-12-01T22:00:00Z\n"
    "  --author NAME      who asks; default the user's name\n"
    "  --config FILE      default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT  connection in libpq's form, in the place of the file's\n"
    "  --json             print one JSON object\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 done, 2 wrong usage, no such problem, or it ended, 3 PostgreSQL cannot be\n"
    "written.\n"
    "\n"
    "Examples:\n"
    "  plumbline ack 17 --note 'called Colt, case 4711'\n"
    "  plumbline ack 17 --note 'splicing at the site' --until 4h\n";

/* NULL after it was told. */
static cJSON *
acknowledge(struct problem_options *o, const char *until, int *status)
{
    char number[24], key[64];

    *status = problem_named(o, number, key);
    if (*status == EXIT_GOOD) {
        *status = judged_open(&o->judged);
    }
    if (*status != EXIT_GOOD) {
        return NULL;
    }
    const char *values[] = {number, o->note, until, o->author, key};
    cJSON *list = judged_read(
        &o->judged,
        "SELECT a.problem, p.key, p.title, a.number, a.note, a.author, a.written_by, " //
        /* */ JUDGED_UTC("a.until") " AS until, " JUDGED_UTC(
            "a.at") " AS at "
                    "FROM plumbline.v_problem p CROSS JOIN LATERAL "
                    "plumbline_store.problem_acknowledge(p.id, $2, $3::timestamptz, $4) a "
                    "WHERE p.id = $1::bigint AND $5 IN ('', p.key)",
        5, values, NULL, status);
    cJSON *done = cJSON_DetachItemFromArray(list, 0);
    if (list && !done) {
        fprintf(stderr,
                "plumbline ack: there is no problem '%s'%s; `plumbline problems` lists what is "
                "open\n",
                key[0] ? key : number, key[0] ? " of this installation" : "");
        *status = EXIT_USAGE;
    }
    cJSON_Delete(list);
    return done;
}

int
cli_ack(int argc, char **argv)
{
    struct problem_options o = {.judged = {.verb = "ack", .role = "plumbline_owner"}};
    int status = problem_parse(&o, "note until author", help, argc, argv);
    char until[40];

    if (status == EXIT_GOOD && !o.note) {
        fputs("plumbline ack: --note is needed: who does what about it; `plumbline ack --help` has "
              "examples\n",
              stderr);
        return EXIT_USAGE;
    }
    if (status == EXIT_GOOD && o.until) {
        status = problem_time(&o, "until", o.until, true, until);
    }
    if (status != EXIT_GOOD) {
        return status < 0 ? EXIT_GOOD : status;
    }
    cJSON *done = acknowledge(&o, o.until ? until : NULL, &status);
    judged_close(&o.judged);
    if (done && o.json) {
        judged_print(done);
        return EXIT_GOOD;
    }
    if (done) {
        judged_tame(done);
        printf(
            "problem %" PRId64 " (%s): acknowledged by %s; nobody is reminded until it ends%s%s\n",
            judged_number(done, "problem"), judged_text(done, "title"), judged_text(done, "author"),
            judged_has(done, "until") ? ", or until " : "", judged_text(done, "until"));
    }
    cJSON_Delete(done);
    return status;
}
