/* problem.h - problems as the operator's commands are asked for them, read and show them.
 *
 * After judged.h (rows of PostgreSQL as JSON); before problems.c, problem_show.c, ack.c,
 * handover.c, hooks.c.  Tells on stderr what is wrong; an exit status is one of cli.h. */
#ifndef PLUMBLINE_PROBLEM_H
#define PLUMBLINE_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "judged.h"

/* What a verb was asked; NULL: not given. */
struct problem_options {
    struct judged judged;
    const char *since, *until, *note, *author, *timeout, *limit;
    bool all, check, json;
    char **names; /* What stands between and behind the options. */
    int name_count;
    char user[64]; /* Who asks, if --author does not say. */
};

/* Reads --config, --postgresql, --json, --help, and of the others those that 'accepted' names.
 * 'o->judged.verb' is set before.  EXIT_GOOD to go on; -1: 'help' was printed; EXIT_USAGE. */
int problem_parse(struct problem_options *o, const char *accepted, const char *help, int argc,
                  char **argv);

/* The one problem that is named, "17" or "a1b2c3d4-17", as its number and key ("" where only the
 * number is given): EXIT_GOOD or EXIT_USAGE. */
int problem_named(const struct problem_options *o, char number[24], char key[64]);

/* "24h", "+24h" or a time, as PostgreSQL reads it, so long before now (or after it: 'ahead').
 * EXIT_GOOD or EXIT_USAGE. */
int problem_time(const struct problem_options *o, const char *name, const char *value, bool ahead,
                 char text[40]);

/* --limit: lines of a list, NULL where it is 0, which is all. */
int problem_limit(const struct problem_options *o, const char **limit);

/* Of v_problem AS p: what all verbs show of a problem. */
extern const char problem_columns[];

/* The member 'name', seconds, as "3h12m". */
const char *problem_duration(const cJSON *o, const char *name, char *buf, size_t size);
/* The member 'name', a time, as "2026-11-22T03:14:10Z", with the local time if that is not UTC. */
const char *problem_local(const cJSON *o, const char *name, char *buf, size_t size);
/* 'text' in exactly 'columns' of a terminal, cut or filled; its last two are '..' where it was cut.
 */
const char *problem_fit(const char *text, size_t columns, char *buf, size_t size);
/* The same, not filled: for text of others that stands last in a line. */
const char *problem_cut(const char *text, size_t columns, char *buf, size_t size);

/* "once", "3 times". */
const char *problem_times(int64_t count, char *buf, size_t size);

/* How much is wrong, for `plumbline status`. */
struct problem_tally {
    bool known; /* Else the database has no problems yet, or may not be read. */
    int64_t open, unacknowledged, hooks_amiss;
};
struct problem_tally problem_tally_read(PGconn *conn);
/* A line where there is something to tell. */
void problem_tally_print(const struct problem_tally *t);

/* A line each, under a heading. */
void problem_print(const cJSON *list);
/* "... and 3 more", if there are. */
void problem_print_left_out(int64_t count, const char *where);

#endif
