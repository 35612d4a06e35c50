/* apply.c - `plumbline apply`: what an inventory would change, and, when told so,
 * the writing of it to PostgreSQL as a generation.
 *
 * The rules by which one generation follows another are in
 * sql/0005-inventory.sql; here they are asked and told. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli.h"
#include "commit.h"
#include "config.h"
#include "inventory_sold.h"
#include "objects.h"
#include "pg.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"
#define SHOWN_MAX 200u

static const char help[] =
    "usage: plumbline apply [OPTION ...] [INVENTORY]\n"
    "\n"
    "Shows what INVENTORY (a YAML file, or a folder of them; default: the one that the\n"
    "configuration names) would change in PostgreSQL: what is added, changed, retired, taken\n"
    "out.  With --yes it is written, as the next generation, with its git commit, author and\n"
    "time.  Refused: to take out what is not retired, a key that was changed or is used again,\n"
    "other content of an SLA (its profiles' too) under the same version, a new version that is\n"
    "not valid from a later day than those before it.\n"
    "\n"
    "  --yes                write it\n"
    "  --config FILE        default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT    connection in libpq's form, in the place of the file's\n"
    "  --commit TEXT        commit of the inventory; default: what git says\n"
    "  --author TEXT        its author; default: what git says, else the user\n"
    "  --json               print one JSON object\n"
    "  --help               this text\n"
    "\n"
    "Exit status: 0 written, or nothing speaks against it; 2 the inventory is wrong, or\n"
    "something is refused; 3 no server, or a file cannot be read.\n"
    "\n"
    "Examples:\n"
    "  plumbline apply inventory/\n"
    "  plumbline apply --yes inventory/\n"
    "  plumbline apply --json | jq '.plan[] | select(.action == \"refused\")'\n";

struct apply {
    const char *config, *postgresql, *commit, *author, *path;
    bool yes, json;
    struct inventory *inv;
    char *canonical, *objects;
    struct commit git;
    char user[64];
    int base;    /* Generation in force; 0: none. */
    bool same;   /* Its canonical text is this one's. */
    int written; /* Generation that was made; 0: none. */
    PGresult *plan;
    int refused;
};

/* --- Asking ----------------------------------------------------------------- */

static int
failed(PGconn *conn, PGresult *r, const char *doing)
{
    char why[512];

    pg_error(conn, r, why, sizeof why);
    fprintf(stderr, "plumbline apply: %s: %s\n", doing, why);
    PQclear(r);
    return EXIT_UNAVAILABLE;
}

static int
read_base(struct apply *a, PGconn *conn)
{
    char generation[24];
    const char *values[] = {generation};

    snprintf(generation, sizeof generation, "%" PRId64, a->inv->generation);
    PGresult *r = pg_call(conn,
                          "SELECT coalesce(max(number), 0), (SELECT g.generation = $1::bigint "
                          "FROM plumbline_store.inventory_generation g ORDER BY number DESC LIMIT "
                          "1) FROM plumbline_store.inventory_generation",
                          1, values);

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        if (state && (strcmp(state, "42P01") == 0 || strcmp(state, "3F000") == 0)) {
            fputs("plumbline apply: the database has no place for an inventory yet: run `plumbline "
                  "migrate` first\n",
                  stderr);
            PQclear(r);
            return EXIT_UNAVAILABLE;
        }
        return failed(conn, r, "looking for the generation in force");
    }
    a->base = atoi(PQgetvalue(r, 0, 0));
    a->same = strcmp(PQgetvalue(r, 0, 1), "t") == 0;
    PQclear(r);
    return EXIT_GOOD;
}

static int
read_plan(struct apply *a, PGconn *conn)
{
    const char *values[] = {a->objects};
    PGresult *r = pg_call(conn,
                          "SELECT action, kind, key, detail FROM "
                          "plumbline_store.inventory_plan($1::jsonb)",
                          1, values);

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        return failed(conn, r, "making the plan");
    }
    a->plan = r;
    for (int i = 0; i < PQntuples(r); i++) {
        a->refused += strcmp(PQgetvalue(r, i, 0), "refused") == 0;
    }
    return EXIT_GOOD;
}

static int
write_generation(struct apply *a, PGconn *conn)
{
    char base[16], generation[24], interval[24];
    const char *values[] = {a->objects,
                            base,
                            generation,
                            interval,
                            a->git.hash[0] ? a->git.hash : NULL,
                            a->git.dirty ? "true" : "false",
                            a->git.author,
                            PLUMBLINE_VERSION,
                            a->canonical};

    snprintf(base, sizeof base, "%d", a->base);
    snprintf(generation, sizeof generation, "%" PRId64, a->inv->generation);
    snprintf(interval, sizeof interval, "%" PRId64, a->inv->interval.ns);
    PGresult *r = pg_call(conn,
                          "SELECT plumbline_store.inventory_apply($1::jsonb, $2::integer, "
                          "$3::bigint, $4::bigint, $5, $6::boolean, $7, $8, $9)",
                          9, values);
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        return failed(conn, r, "writing the generation");
    }
    a->written = atoi(PQgetvalue(r, 0, 0));
    PQclear(r);
    return EXIT_GOOD;
}

/* --- Telling ---------------------------------------------------------------- */

/* "file:line:column" of what is refused, or NULL: what the SLA's version is about. */
static const char *
place_of(const struct apply *a, int row)
{
    const struct inv_sla *sla = strcmp(PQgetvalue(a->plan, row, 0), "refused") == 0 &&
                                        strcmp(PQgetvalue(a->plan, row, 1), "sla") == 0
                                    ? inventory_sla(a->inv, PQgetvalue(a->plan, row, 2))
                                    : NULL;
    const char *detail = PQgetvalue(a->plan, row, 3);

    return !sla                                     ? NULL
           : strncmp(detail, "valid_from", 10) == 0 ? sla->valid_from_at
                                                    : sla->version_at;
}

static void
print_plan(const struct apply *a)
{
    int count = PQntuples(a->plan);

    for (int i = 0; i < count; i++) {
        const char *action = PQgetvalue(a->plan, i, 0), *detail = PQgetvalue(a->plan, i, 3);
        FILE *to = strcmp(action, "refused") == 0 ? stderr : stdout;
        fprintf(to, "%-8s %-10s %s%s%s\n", action, PQgetvalue(a->plan, i, 1),
                PQgetvalue(a->plan, i, 2), *detail ? ": " : "", detail);
        if (place_of(a, i)) {
            fprintf(to, "%-8s %-10s at %s\n", "", "", place_of(a, i));
        }
    }
    if (a->refused) {
        fprintf(stderr, "plumbline apply: %d refused; nothing was written\n", a->refused);
    } else if (count == 0 && a->same) {
        printf("nothing to do: generation %d is this inventory\n", a->base);
    } else if (a->written) {
        printf("generation %d is in force: %016" PRIx64 ", %s%s, by %s\n", a->written,
               (uint64_t)a->inv->generation, a->git.hash[0] ? a->git.hash : "of no git commit",
               a->git.dirty ? " and changes that are not committed" : "", a->git.author);
    } else if (count == 0) {
        printf("no object changes after generation %d, its text does; nothing was written: --yes "
               "writes it\n",
               a->base);
    } else {
        printf("%d to do after generation %d; nothing was written: --yes writes it\n", count,
               a->base);
    }
}

static void
print_json(const struct apply *a)
{
    cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "plan");
    char generation[24];

    for (int i = 0; i < PQntuples(a->plan); i++) {
        static const char *const names[] = {"action", "kind", "key", "detail"};
        cJSON *one = cJSON_CreateObject();
        for (int f = 0; f < 4; f++) {
            cJSON_AddStringToObject(one, names[f], PQgetvalue(a->plan, i, f));
        }
        if (place_of(a, i)) {
            cJSON_AddStringToObject(one, "place", place_of(a, i));
        }
        cJSON_AddItemToArray(list, one);
    }
    snprintf(generation, sizeof generation, "%016" PRIx64, (uint64_t)a->inv->generation);
    cJSON_AddBoolToObject(o, "ok", a->refused == 0);
    cJSON_AddNumberToObject(o, "refused", a->refused);
    cJSON_AddStringToObject(o, "generation", generation);
    cJSON_AddNumberToObject(o, "number_before", a->base);
    cJSON_AddNumberToObject(o, "number", a->written ? a->written : a->base);
    cJSON_AddBoolToObject(o, "written", a->written != 0);
    cJSON_AddStringToObject(o, "commit", a->git.hash);
    cJSON_AddBoolToObject(o, "dirty", a->git.dirty);
    cJSON_AddStringToObject(o, "author", a->git.author);
    char *text = cJSON_Print(o);
    puts(text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(o);
}

/* --- Doing ------------------------------------------------------------------ */

/* What git says, under what the operator says. */
static void
find_author(struct apply *a)
{
    const struct passwd *user = getpwuid(geteuid());

    commit_of(a->path, &a->git);
    if (a->commit) {
        snprintf(a->git.hash, sizeof a->git.hash, "%s", a->commit);
        a->git.dirty = false;
    }
    if (a->author || !a->git.author[0]) {
        snprintf(a->git.author, sizeof a->git.author, "%s",
                 a->author ? a->author
                 : user    ? user->pw_name
                           : "unknown");
    }
}

static int
work(struct apply *a, PGconn *conn)
{
    int status = read_base(a, conn);

    if (status == EXIT_GOOD) {
        status = read_plan(a, conn);
    }
    /* A new text of the same objects is a generation too: the interval is of no object, and an
     * objective may move into a profile. */
    if (status == EXIT_GOOD && a->yes && !a->refused && (PQntuples(a->plan) || !a->same)) {
        status = write_generation(a, conn);
    }
    if (status == EXIT_GOOD) {
        (a->json ? print_json : print_plan)(a);
        status = a->refused ? EXIT_USAGE : EXIT_GOOD;
    }
    PQclear(a->plan);
    return status;
}

static int
connect_and_work(struct apply *a, const struct config_postgresql *server)
{
    const struct pg_options options = {
        .application = "plumbline apply", .role = "plumbline_owner", .connect_timeout_s = 10};
    char why[512];
    PGconn *conn = pg_connect(server, &options, why, sizeof why);

    if (!conn) {
        fprintf(stderr, "plumbline apply: PostgreSQL: %s%s\n", why,
                strstr(why, "plumbline_owner")
                    ? "; run `plumbline migrate` first, or log in as a member of that role"
                    : "");
        return EXIT_UNAVAILABLE;
    }
    int status = work(a, conn);
    PQfinish(conn);
    return status;
}

static int
load(struct apply *a)
{
    size_t errors, warnings;
    int err = inventory_load(a->path, stderr, SHOWN_MAX, &errors, &warnings, &a->inv);

    if (err) {
        fprintf(stderr, "plumbline apply: %s: %zu error%s; nothing was written\n", a->path, errors,
                errors == 1 ? "" : "s");
        return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
    }
    if (a->inv->slice_of) {
        fprintf(stderr,
                "plumbline apply: %s is a slice for probe '%s'; apply the inventory it was made "
                "from\n",
                a->path, a->inv->slice_of);
        return EXIT_USAGE;
    }
    if (objects_of(a->inv, &a->canonical, &a->objects)) {
        fprintf(stderr, "plumbline apply: %s: its canonical form is larger than 8 MiB\n", a->path);
        return EXIT_USAGE;
    }
    find_author(a);
    return EXIT_GOOD;
}

static int
run(struct apply *a)
{
    struct config_postgresql server = {.conninfo = a->postgresql};
    struct cli_config *config = NULL;
    int status = EXIT_GOOD;

    if (!a->postgresql || !a->path) {
        int err = cli_config_load(a->config, stderr, &config);
        if (err) {
            return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
        }
        a->path = a->path ? a->path : config->inventory;
        server = a->postgresql ? server : config->postgresql;
    }
    if (!a->path) {
        fprintf(stderr, "plumbline apply: which inventory? %s names none\n", a->config);
        status = EXIT_USAGE;
    }
    if (status == EXIT_GOOD) {
        status = load(a);
    }
    if (status == EXIT_GOOD) {
        status = connect_and_work(a, &server);
    }
    inventory_free(a->inv);
    free(a->canonical);
    free(a->objects);
    cli_config_free(config);
    return status;
}

int
cli_apply(int argc, char **argv)
{
    static const struct option options[] = {{"yes", no_argument, NULL, 'y'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"postgresql", required_argument, NULL, 'p'},
                                            {"commit", required_argument, NULL, 'g'},
                                            {"author", required_argument, NULL, 'a'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct apply a = {.config = DEFAULT_CONFIG};
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        const char **text = o == 'c'   ? &a.config
                            : o == 'p' ? &a.postgresql
                            : o == 'g' ? &a.commit
                            : o == 'a' ? &a.author
                                       : NULL;
        if (text) {
            *text = optarg;
        } else if (o == 'h') {
            fputs(help, stdout);
            return EXIT_GOOD;
        } else if (o == 'y' || o == 'j') {
            *(o == 'y' ? &a.yes : &a.json) = true;
        } else {
            fputs("`plumbline apply --help` shows the options\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (argc - optind > 1) {
        fputs("plumbline apply: one inventory at a time; a folder's files are merged\n", stderr);
        return EXIT_USAGE;
    }
    a.path = argv[optind];
    return run(&a);
}
