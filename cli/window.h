/* window.h - what `plumbline maintenance` and `plumbline exclude` have in common: options,
 * the server, times and objects as people write them, lists.
 *
 * After config.h, pg.h, value.h; before maintenance.c and exclude.c.  Tells on stderr what
 * is wrong; what is returned is an exit status of cli.h. */
#ifndef PLUMBLINE_WINDOW_H
#define PLUMBLINE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>
#include <libpq-fe.h>

#include "nstime.h"

struct window_options;

/* One of the verbs behind "plumbline maintenance". */
struct window_verb {
    const char *name, *whole; /* "add", "plumbline maintenance add". */
    const char *accepted;     /* The options, separated by spaces, each of them a long one. */
    int (*run)(struct window_options *o);
};

/* What there is of either: all in which the two differ. */
struct window_kind {
    const char *verb; /* "plumbline maintenance" */
    const char *help;
    const struct window_verb *verbs;
    size_t verb_count;
    const char *which; /* "add, list or withdraw" */

    /* A row is one JSON object, 'select' made of a row 'v' of 'view'. */
    const char *select, *view, *member;
    const char *hidden; /* Rows of 'view' that a list without --all leaves out: a condition. */
    const char *none, *none_at_all;
    const char *heading;
    void (*print_row)(const cJSON *row, bool alone);

    const char *end; /* Cancels or withdraws: SQL of id, reason, author. */
};

/* What either was asked; NULL: not given. */
struct window_options {
    const struct window_kind *of;
    const char *verb; /* "plumbline maintenance add", for messages. */
    const char *config, *postgresql;
    const char *start, *end, *tenant, *author;
    const char *label, *impact, *override, *reason, *approval, *kind, *timezone;
    bool no_suppress, no_exclude, all, history, json, help;
    char **names; /* What stands behind the options. */
    int name_count;
    void *aux;     /* The verb's own. */
    char user[64]; /* Who asks, if --author does not say. */
};

/* Runs the verb that argv[1] names. */
int window_command(const struct window_kind *kind, int argc, char **argv);

/* Connects and calls 'work', with what it returns; EXIT_UNAVAILABLE if that fails. */
int window_run(struct window_options *o, int (*work)(struct window_options *o, PGconn *conn));

/* "2026-12-01T22:00:00Z", with an offset, "now", or "+2h" behind 'base'.  Into '*out', and
 * as the server reads it into 'text' (40 bytes). */
int window_time(const struct window_options *o, const char *name, const char *value,
                struct instant base, struct instant *out, char *text);

/* --start and --end, both needed: "+2h" is behind now, and behind the start. */
int window_times(const struct window_options *o, char *start, char *end);

/* The objects named, each "par1-lon1-a", or "link:par1-lon1-a" where the name alone is
 * several things; as JSON, the caller's to cJSON_free().  NULL after '*status' was set and
 * the reason told, with what is near. */
char *window_objects(const struct window_options *o, PGconn *conn, int *status);

/* An id: decimal digits. */
int window_id(const struct window_options *o, const char **id);

/* What the server said; the result is cleared.  Refused by a rule is EXIT_USAGE. */
int window_failed(const struct window_options *o, PGconn *conn, PGresult *r);

/* Shows the one whose id 'r' has, and clears 'r'. */
int window_show_written(const struct window_options *o, PGconn *conn, PGresult *r);
/* The verb that lists those over the objects named; the one that ends the one of that id. */
int window_list(struct window_options *o);
int window_end(struct window_options *o);

/* Prints it, and deletes it. */
void window_print_json(cJSON *o);

/* A member's text; "" if it is none. */
const char *window_text(const cJSON *o, const char *name);
/* "link par1-lon1-a, link par1-lon1-b (router par1-pe1)" of the member objects; 'buf' is
 * cut at 'size'. */
const char *window_objects_text(const cJSON *o, char *buf, size_t size);
/* A time of the server ("2026-12-01T22:00:00+00:00") as it is shown, with a Z. */
const char *window_time_text(const cJSON *o, const char *name, char *buf, size_t size);

/* Text for a terminal: what could move the cursor is '?'. */
const char *window_shown(const char *text, char *buf, size_t size);

#endif
