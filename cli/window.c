/* window.c - what the verbs about windows have in common. */
#include "window.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "config.h"
#include "fault.h"
#include "log.h"
#include "pg.h"
#include "value.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"
#define REFUSED "P0001"
#define UNDEFINED_FUNCTION "42883"
#define UNDEFINED_TABLE "42P01"

/* --- Options ------------------------------------------------------------------- */

/* Names that take a text, and where it goes. */
static const char **
text_of(struct window_options *o, const char *name)
{
    const struct {
        const char *name;
        const char **text;
    } texts[] = {
        {"config", &o->config},     {"postgresql", &o->postgresql}, {"start", &o->start},
        {"end", &o->end},           {"tenant", &o->tenant},         {"author", &o->author},
        {"label", &o->label},       {"impact", &o->impact},         {"override", &o->override},
        {"reason", &o->reason},     {"approval", &o->approval},     {"kind", &o->kind},
        {"timezone", &o->timezone},
    };

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(texts[i].name, name) == 0) {
            return texts[i].text;
        }
    }
    return NULL;
}

static bool *
flag_of(struct window_options *o, const char *name)
{
    return strcmp(name, "json") == 0          ? &o->json
           : strcmp(name, "help") == 0        ? &o->help
           : strcmp(name, "all") == 0         ? &o->all
           : strcmp(name, "history") == 0     ? &o->history
           : strcmp(name, "no-suppress") == 0 ? &o->no_suppress
                                              : &o->no_exclude;
}

static bool
is_accepted(const char *accepted, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = accepted; (at = strstr(at, name)); at += length) {
        if ((at == accepted || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
            return true;
        }
    }
    return false;
}

static void
name_user(struct window_options *o)
{
    const struct passwd *user = getpwuid(geteuid());

    snprintf(o->user, sizeof o->user, "%s", user ? user->pw_name : "unknown");
    o->author = o->author ? o->author : o->user;
}

/* Reads those that 'accepted' names, and --config, --postgresql, --json, --help. */
static int
parse(struct window_options *o, const char *accepted, int argc, char **argv)
{
    static const char *const names[] = {
        "config", "postgresql", "start",   "end",         "tenant",    "author",   "label",
        "impact", "override",   "reason",  "approval",    "kind",      "timezone", "json",
        "help",   "all",        "history", "no-suppress", "no-exclude"};
    enum { COUNT = sizeof names / sizeof names[0] };
    struct option options[COUNT + 1] = {{.name = NULL}};
    size_t count = 0;
    int index, c;

    o->config = DEFAULT_CONFIG;
    for (size_t i = 0; i < COUNT; i++) {
        if (is_accepted("config postgresql json help", names[i]) ||
            is_accepted(accepted, names[i])) {
            options[count++] = (struct option){
                names[i], text_of(o, names[i]) ? required_argument : no_argument, NULL, 'x'};
        }
    }
    optind = 1;
    while ((c = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (c != 'x') {
            fprintf(stderr, "`%s --help` shows the options\n", o->verb);
            return EXIT_USAGE;
        }
        const char **text = text_of(o, options[index].name);
        if (text) {
            *text = optarg;
        } else {
            *flag_of(o, options[index].name) = true;
        }
    }
    o->names = argv + optind;
    o->name_count = argc - optind;
    name_user(o);
    return EXIT_GOOD;
}

int
window_command(const struct window_kind *kind, int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    bool wants_help = strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0;

    for (size_t i = 0; i < kind->verb_count && !wants_help; i++) {
        const struct window_verb *verb = &kind->verbs[i];
        if (strcmp(what, verb->name) == 0) {
            struct window_options o = {.of = kind, .verb = verb->whole};
            int status = parse(&o, verb->accepted, argc - 1, argv + 1);
            if (status != EXIT_GOOD || !o.help) {
                return status == EXIT_GOOD ? verb->run(&o) : status;
            }
            wants_help = true;
        }
    }
    if (!wants_help) {
        fprintf(stderr, "%s: %s? `%s --help` has examples\n", kind->verb, kind->which, kind->verb);
        return EXIT_USAGE;
    }
    fputs(kind->help, stdout);
    return EXIT_GOOD;
}

/* --- Server -------------------------------------------------------------------- */

int
window_run(struct window_options *o, int (*work)(struct window_options *o, PGconn *conn))
{
    const struct pg_options options = {
        .application = o->verb, .role = "plumbline_owner", .connect_timeout_s = 10};
    struct config_postgresql server = {.conninfo = o->postgresql};
    struct cli_config *config = NULL;
    char why[512];

    log_set_level(LOG_LEVEL_ERROR);
    if (!o->postgresql) {
        int err = cli_config_load(o->config, stderr, &config);
        if (err) {
            return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
        }
        server = config->postgresql;
    }
    PGconn *conn = pg_connect(&server, &options, why, sizeof why);
    int status = EXIT_UNAVAILABLE;
    if (conn) {
        status = work(o, conn);
    } else {
        fprintf(stderr, "%s: PostgreSQL: %s%s\n", o->verb, why,
                strstr(why, "plumbline_owner")
                    ? "; run `plumbline migrate` first, or log in as a member of that role"
                    : "");
    }
    PQfinish(conn);
    cli_config_free(config);
    return status;
}

int
window_failed(const struct window_options *o, PGconn *conn, PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    char why[512];

    pg_error(conn, r, why, sizeof why);
    bool refused = state && strcmp(state, REFUSED) == 0;
    bool old = state && (strcmp(state, UNDEFINED_FUNCTION) == 0 ||
                         strcmp(state, UNDEFINED_TABLE) == 0 || strcmp(state, "3F000") == 0);
    if (old) {
        fprintf(stderr, "%s: the database has no place for windows yet: run `plumbline migrate`\n",
                o->verb);
    } else {
        fprintf(stderr, "%s: %s%s\n", o->verb,
                refused ? "" : "PostgreSQL: ", refused && text ? text : why);
    }
    PQclear(r);
    return refused ? EXIT_USAGE : EXIT_UNAVAILABLE;
}

/* --- What people write ---------------------------------------------------------- */

int
window_time(const struct window_options *o, const char *name, const char *value,
            struct instant base, struct instant *out, char *text)
{
    struct span span;
    bool good = true;

    if (strcmp(value, "now") == 0) {
        *out = instant_now();
    } else if (value[0] == '+') {
        good = value_parse_span(value + 1, &span) && span.ns < INT64_MAX - base.ns;
        *out = good ? instant_add(base, span) : base;
    } else {
        good = value_parse_instant(value, out);
    }
    if (!good) {
        fprintf(stderr,
                "%s: --%s '%s': expected a time with its zone, such as 2026-12-01T22:00:00Z or "
                "2026-12-01T23:00:00+01:00, `now`, or +2h\n",
                o->verb, name, value);
        return EXIT_USAGE;
    }
    instant_format(*out, 6, text, 40);
    return EXIT_GOOD;
}

int
window_times(const struct window_options *o, char *start, char *end)
{
    struct instant from = {0}, until = {0};

    if (!o->start || !o->end) {
        fprintf(stderr, "%s: --start and --end are needed; `%s --help` has examples\n", o->verb,
                o->verb);
        return EXIT_USAGE;
    }
    int status = window_time(o, "start", o->start, instant_now(), &from, start);
    if (status == EXIT_GOOD) {
        status = window_time(o, "end", o->end, from, &until, end);
    }
    if (status == EXIT_GOOD && !instant_before(from, until)) {
        fprintf(stderr, "%s: it ends (%s) before it begins (%s)\n", o->verb, o->end, o->start);
        status = EXIT_USAGE;
    }
    return status;
}

int
window_id(const struct window_options *o, const char **id)
{
    uint64_t number;

    if (o->name_count != 1 || !value_parse_unsigned(o->names[0], &number) || number > INT64_MAX) {
        fprintf(stderr,
                "%s: one number is needed, as the list shows it; `%s --help` has examples\n",
                o->verb, o->verb);
        return EXIT_USAGE;
    }
    *id = o->names[0];
    return EXIT_GOOD;
}

/* Finds 'name' among the rows (kind, key): the row, or -1 after it was told. */
static int
find_object(const struct window_options *o, const PGresult *r, const char *name)
{
    const char *colon = strchr(name, ':'), *key = colon ? colon + 1 : name;
    size_t kind_length = colon ? (size_t)(colon - name) : 0;
    struct nearest near = {.wanted = key};
    char hint[128], kinds[160] = "";
    int found = -1, count = 0;

    for (int i = 0; i < PQntuples(r); i++) {
        const char *kind = PQgetvalue(r, i, 0);
        bool right = !colon || (strlen(kind) == kind_length && !strncmp(kind, name, kind_length));
        if (right && strcmp(PQgetvalue(r, i, 1), key) == 0) {
            size_t used = strlen(kinds);
            snprintf(kinds + used, sizeof kinds - used, "%s%s:%s", count ? ", " : "", kind, key);
            found = i;
            count++;
        } else if (right) {
            nearest_offer(&near, PQgetvalue(r, i, 1));
        }
    }
    if (count == 1) {
        return found;
    }
    if (count > 1) {
        fprintf(stderr, "%s: '%s' is several things; say which: %s\n", o->verb, name, kinds);
    } else {
        fprintf(stderr,
                "%s: there is no link, attachment, group, service, connector, router, site or risk "
                "'%s'%s\n",
                o->verb, name, nearest_text(&near, hint, sizeof hint));
    }
    return -1;
}

char *
window_objects(const struct window_options *o, PGconn *conn, int *status)
{
    PGresult *r =
        pg_call(conn, "SELECT kind, key FROM plumbline_store.window_name ORDER BY 1, 2", 0, NULL);

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        *status = window_failed(o, conn, r);
        return NULL;
    }
    cJSON *list = cJSON_CreateArray();
    bool good = true;
    for (int i = 0; i < o->name_count; i++) {
        int row = find_object(o, r, o->names[i]);
        good = good && row >= 0;
        if (row >= 0) {
            cJSON *one = cJSON_CreateObject();
            cJSON_AddStringToObject(one, "kind", PQgetvalue(r, row, 0));
            cJSON_AddStringToObject(one, "key", PQgetvalue(r, row, 1));
            cJSON_AddItemToArray(list, one);
        }
    }
    if (PQntuples(r) == 0) {
        fprintf(stderr, "%s: no inventory is in force; `plumbline apply` first\n", o->verb);
    }
    char *text = good ? cJSON_PrintUnformatted(list) : NULL;
    *status = good ? EXIT_GOOD : EXIT_USAGE;
    cJSON_Delete(list);
    PQclear(r);
    return text;
}

/* --- Answers -------------------------------------------------------------------- */

/* Rows of one JSON column as an array named 'name' in an object, which is the caller's. */
static cJSON *
rows_of(const PGresult *r, const char *name)
{
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, name);

    for (int i = 0; i < PQntuples(r); i++) {
        cJSON *row = cJSON_Parse(PQgetvalue(r, i, 0));
        cJSON_AddItemToArray(list, row ? row : cJSON_CreateNull());
    }
    return o;
}

void
window_print_json(cJSON *o)
{
    char *text = cJSON_Print(o);

    puts(text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(o);
}

static void
print_rows(const struct window_options *o, const cJSON *list, bool alone)
{
    const cJSON *row;

    if (cJSON_GetArraySize(list) == 0) {
        puts(o->all || o->history ? o->of->none_at_all : o->of->none);
    } else {
        puts(o->of->heading);
    }
    cJSON_ArrayForEach(row, list)
    {
        o->of->print_row(row, alone);
    }
}

/* Prints those that lie over 'objects' (JSON; "[]": all), or the one with 'id' if that is not NULL.
 */
static int
show(const struct window_options *o, PGconn *conn, const char *id, const char *objects)
{
    const char *values[] = {id, objects};
    const struct window_kind *of = o->of;
    bool hide = !o->all && !o->history && !id;
    char sql[2048];

    snprintf(sql, sizeof sql,
             "SELECT %s FROM (SELECT * FROM %s%s WHERE ($1::bigint IS NULL OR id = $1::bigint) "
             "AND NOT (%s)) v "
             "WHERE $2::jsonb = '[]' OR EXISTS (SELECT FROM jsonb_array_elements(v.objects) o, "
             "plumbline_store.window_reach($2::jsonb) n "
             "WHERE (n.kind, n.key) = (o->>'kind', o->>'key')) "
             "ORDER BY v.start_at, v.id, v.revision",
             of->select, of->view, o->history ? "_history" : "", hide ? of->hidden : "false");
    PGresult *r = pg_call(conn, sql, 2, values);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        return window_failed(o, conn, r);
    }
    cJSON *rows = rows_of(r, of->member);
    PQclear(r);
    if (o->json) {
        window_print_json(rows);
        return EXIT_GOOD;
    }
    print_rows(o, cJSON_GetObjectItem(rows, of->member), id != NULL);
    cJSON_Delete(rows);
    return EXIT_GOOD;
}

int
window_show_written(const struct window_options *o, PGconn *conn, PGresult *r)
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

int
window_list(struct window_options *o)
{
    return window_run(o, list);
}

static int
end(struct window_options *o, PGconn *conn)
{
    const char *values[] = {NULL, o->reason, o->author};
    int status = window_id(o, &values[0]);

    return status == EXIT_GOOD ? window_show_written(o, conn, pg_call(conn, o->of->end, 3, values))
                               : status;
}

int
window_end(struct window_options *o)
{
    return window_run(o, end);
}

const char *
window_text(const cJSON *o, const char *name)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(o, name);

    return cJSON_IsString(text) ? text->valuestring : "";
}

const char *
window_objects_text(const cJSON *o, char *buf, size_t size)
{
    const cJSON *one;
    size_t used = 0;

    buf[0] = '\0';
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(o, "objects"))
    {
        const char *via = window_text(one, "via");
        int n = snprintf(buf + used, size - used, "%s%s %s%s%s%s", used ? ", " : "",
                         window_text(one, "kind"), window_text(one, "key"), *via ? " (" : "", via,
                         *via ? ")" : "");
        if (n < 0 || (size_t)n >= size - used) {
            break;
        }
        used += (size_t)n;
    }
    return buf;
}

const char *
window_time_text(const cJSON *o, const char *name, char *buf, size_t size)
{
    const char *text = window_text(o, name);
    size_t length = strlen(text);

    /* Parts of a second are of no use to people here. */
    snprintf(buf, size, "%.19s%s", text, length >= 19 ? "Z" : "");
    return buf;
}

const char *
window_shown(const char *text, char *buf, size_t size)
{
    size_t i = 0;

    for (; text[i] && i + 1 < size; i++) {
        unsigned char c = (unsigned char)text[i];
        buf[i] = c < 0x20 || c == 0x7f ? '?' : text[i];
    }
    buf[i] = '\0';
    return buf;
}
