/* migrate.c - `plumbline migrate`: brings the database to this release's schema.
 *
 * Migrations are plain SQL files, NNNN-name.sql, applied in order, each in one
 * transaction with the line that says so.  One at a time: an advisory lock. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cjson/cJSON.h>
#include <openssl/evp.h>

#include "cli.h"
#include "config.h"
#include "pg.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"
#define CHECKSUM_SIZE 65
#define FILE_MAX (4u << 20)
#define LOCK "1886157934, 0"

static const char help[] =
    "usage: plumbline migrate [OPTION ...]\n"
    "\n"
    "Brings the PostgreSQL database to this release's schema.  Each migration is one\n"
    "SQL file, applied in one transaction; those applied before are compared, not run.\n"
    "\n"
    "  --config FILE        default /etc/plumbline/plumbline.yaml\n"
    "  --postgresql TEXT    connection in libpq's form, in the place of the file's\n"
    "  --sql-dir FOLDER     default " PLUMBLINE_SQLDIR "\n"
    "                       (the variable PLUMBLINE_SQLDIR overrides it)\n"
    "  --dry-run            say what would be applied, change nothing\n"
    "  --json               print one JSON object\n"
    "  --help               this text\n"
    "\n"
    "Exit status: 0 the schema is this release's, 2 wrong usage or a migration that\n"
    "was changed after it was applied or that fails, 3 no server or no files.\n"
    "\n"
    "Examples:\n"
    "  plumbline migrate --dry-run\n"
    "  plumbline migrate --postgresql 'host=db1 dbname=plumbline user=admin'\n";

struct migration {
    int number;
    char name[NAME_MAX + 1];
    char checksum[CHECKSUM_SIZE];
    char *sql;
    bool applied; /* Before this call. */
    bool done;    /* By this call (or would be). */
};

struct migrate {
    const char *config, *postgresql, *folder;
    bool dry_run, json;
    struct migration *list;
    size_t count;
    int newer; /* Greatest number in the database that we have no file of. */
};

/* --- Files ---------------------------------------------------------------- */

static void
checksum_of(const char *text, size_t size, char out[CHECKSUM_SIZE])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;

    EVP_Digest(text, size, digest, &length, EVP_sha256(), NULL);
    for (unsigned i = 0; i < length && i < 32; i++) {
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    }
}

static char *
read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "re");
    char *text = f ? malloc(FILE_MAX + 1) : NULL;

    if (text) {
        *size = fread(text, 1, FILE_MAX + 1, f);
        if (ferror(f) || *size > FILE_MAX) {
            errno = ferror(f) ? EIO : EFBIG;
            free(text);
            text = NULL;
        } else {
            text[*size] = '\0';
        }
    }
    if (f) {
        fclose(f);
    }
    return text;
}

/* NNNN-name.sql */
static bool
number_of(const char *name, int *number)
{
    size_t length = strlen(name);

    if (length < 10 || strcmp(name + length - 4, ".sql") != 0 || name[4] != '-') {
        return false;
    }
    *number = 0;
    for (int i = 0; i < 4; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return false;
        }
        *number = *number * 10 + (name[i] - '0');
    }
    return *number > 0;
}

static int
by_number(const void *a, const void *b)
{
    const struct migration *x = a, *y = b;
    return x->number - y->number;
}

static int
add_file(struct migrate *m, const char *name, int number)
{
    char path[4096];
    size_t size;
    struct migration *more = reallocarray(m->list, m->count + 1, sizeof *more);

    if (!more) {
        return -ENOMEM;
    }
    m->list = more;
    struct migration *one = &m->list[m->count];
    *one = (struct migration){.number = number};
    snprintf(one->name, sizeof one->name, "%s", name);
    snprintf(path, sizeof path, "%s/%s", m->folder, name);
    one->sql = read_file(path, &size);
    if (!one->sql) {
        fprintf(stderr, "plumbline migrate: %s: %s\n", path, strerror(errno));
        return -EIO;
    }
    checksum_of(one->sql, size, one->checksum);
    m->count++;
    return 0;
}

static int
read_folder(struct migrate *m)
{
    DIR *d = opendir(m->folder);
    struct dirent *e;
    int err = 0, number;

    if (!d) {
        fprintf(stderr, "plumbline migrate: %s: %s; --sql-dir says where the migrations are\n",
                m->folder, strerror(errno));
        return -ENOENT;
    }
    while (!err && (e = readdir(d))) {
        if (number_of(e->d_name, &number)) {
            err = add_file(m, e->d_name, number);
        }
    }
    closedir(d);
    if (!err && m->count == 0) {
        fprintf(stderr, "plumbline migrate: %s: no NNNN-name.sql in it\n", m->folder);
        return -ENOENT;
    }
    qsort(m->list, m->count, sizeof m->list[0], by_number);
    for (size_t i = 0; i < m->count && !err; i++) {
        if (m->list[i].number != (int)i + 1) {
            fprintf(stderr, "plumbline migrate: %s: %s is where number %04zu should be\n",
                    m->folder, m->list[i].name, i + 1);
            err = -EINVAL;
        }
    }
    return err;
}

/* --- Database ------------------------------------------------------------- */

static int
failed(PGconn *conn, const char *doing)
{
    fprintf(stderr, "plumbline migrate: %s: %s", doing, PQerrorMessage(conn));
    return -EINVAL;
}

static int
compare(struct migrate *m, const PGresult *r)
{
    for (int i = 0; i < PQntuples(r); i++) {
        int number = atoi(PQgetvalue(r, i, 0));
        if (number < 1 || (size_t)number > m->count) {
            m->newer = number;
            continue;
        }
        struct migration *one = &m->list[number - 1];
        one->applied = true;
        if (strcmp(one->checksum, PQgetvalue(r, i, 1)) != 0) {
            fprintf(
                stderr,
                "plumbline migrate: %s was changed after it was applied (%s); put back the file "
                "that was released, and write what is new as another migration\n",
                one->name, PQgetvalue(r, i, 2));
            return -EINVAL;
        }
    }
    return 0;
}

static int
read_applied(struct migrate *m, PGconn *conn)
{
    PGresult *r = PQexec(conn, "SELECT to_regclass('plumbline_store.migration') IS NOT NULL");
    bool there = PQresultStatus(r) == PGRES_TUPLES_OK && PQgetvalue(r, 0, 0)[0] == 't';
    int err =
        PQresultStatus(r) == PGRES_TUPLES_OK ? 0 : failed(conn, "looking for what is applied");

    PQclear(r);
    if (err || !there) {
        return err;
    }
    r = PQexec(conn,
               "SELECT number, checksum, applied_at FROM plumbline_store.migration ORDER BY 1");
    err = PQresultStatus(r) == PGRES_TUPLES_OK ? compare(m, r)
                                               : failed(conn, "reading what is applied");
    PQclear(r);
    return err;
}

static int
step(PGconn *conn, const char *sql, const char *doing)
{
    PGresult *r = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(r);
    int err = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? 0 : failed(conn, doing);

    PQclear(r);
    return err;
}

static int
apply(PGconn *conn, struct migration *one)
{
    char number[16];
    const char *values[] = {number, one->name, one->checksum, PLUMBLINE_VERSION};
    int err = step(conn, "BEGIN", one->name);

    snprintf(number, sizeof number, "%d", one->number);
    if (!err) {
        err = step(conn, one->sql, one->name);
    }
    if (!err) {
        PGresult *r =
            pg_call(conn,
                    "INSERT INTO plumbline_store.migration (number, name, checksum, release) "
                    "VALUES ($1, $2, $3, $4)",
                    4, values);
        err = PQresultStatus(r) == PGRES_COMMAND_OK ? 0 : failed(conn, one->name);
        PQclear(r);
    }
    if (err) {
        PQclear(PQexec(conn, "ROLLBACK"));
        return err;
    }
    one->done = true;
    return step(conn, "COMMIT", one->name);
}

static int
migrate(struct migrate *m, PGconn *conn)
{
    int err = step(conn, "SELECT pg_advisory_lock(" LOCK ")", "waiting for another migration");

    if (!err) {
        err = read_applied(m, conn);
    }
    for (size_t i = 0; i < m->count && !err; i++) {
        if (m->list[i].applied) {
            continue;
        }
        if (m->dry_run) {
            m->list[i].done = true;
        } else {
            err = apply(conn, &m->list[i]);
        }
    }
    return err;
}

/* --- Answers -------------------------------------------------------------- */

static void
print_json(const struct migrate *m, int err)
{
    cJSON *o = cJSON_CreateObject(), *applied = cJSON_AddArrayToObject(o, "applied");
    cJSON *before = cJSON_AddArrayToObject(o, "applied_before");

    for (size_t i = 0; i < m->count; i++) {
        const struct migration *one = &m->list[i];
        if (one->done || one->applied) {
            cJSON *line = cJSON_CreateObject();
            cJSON_AddNumberToObject(line, "number", one->number);
            cJSON_AddStringToObject(line, "name", one->name);
            cJSON_AddStringToObject(line, "checksum", one->checksum);
            cJSON_AddItemToArray(one->done ? applied : before, line);
        }
    }
    cJSON_AddBoolToObject(o, "dry_run", m->dry_run);
    cJSON_AddBoolToObject(o, "ok", err == 0);
    cJSON_AddNumberToObject(o, "newest_known", (double)m->count);
    cJSON_AddNumberToObject(o, "newer_in_database", m->newer);
    char *text = cJSON_Print(o);
    if (text) {
        puts(text);
        cJSON_free(text);
    }
    cJSON_Delete(o);
}

static void
print_text(const struct migrate *m, int err)
{
    size_t done = 0;

    for (size_t i = 0; i < m->count; i++) {
        if (m->list[i].done) {
            printf("%s %s\n", m->dry_run ? "would apply" : "applied", m->list[i].name);
            done++;
        }
    }
    if (!err && done == 0) {
        printf("nothing to do: %zu migrations are applied\n", m->count);
    }
    if (m->newer) {
        printf("the database is at migration %d, newer than this release (%zu)\n", m->newer,
               m->count);
    }
}

static int
run(struct migrate *m)
{
    const struct pg_options options = {.application = "plumbline migrate", .connect_timeout_s = 10};
    struct config_postgresql server = {.conninfo = m->postgresql};
    struct cli_config *config = NULL;
    char why[512];

    if (!m->postgresql) {
        int err = cli_config_load(m->config, stderr, &config);
        if (err) {
            return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
        }
        server = config->postgresql;
    }
    if (read_folder(m)) {
        cli_config_free(config);
        return EXIT_UNAVAILABLE;
    }
    PGconn *conn = pg_connect(&server, &options, why, sizeof why);
    cli_config_free(config);
    if (!conn) {
        fprintf(stderr, "plumbline migrate: PostgreSQL: %s\n", why);
        return EXIT_UNAVAILABLE;
    }
    int err = migrate(m, conn);
    PQfinish(conn);
    (m->json ? print_json : print_text)(m, err);
    return err ? EXIT_USAGE : EXIT_GOOD;
}

int
cli_migrate(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"postgresql", required_argument, NULL, 'p'},
                                            {"sql-dir", required_argument, NULL, 's'},
                                            {"dry-run", no_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *folder = getenv("PLUMBLINE_SQLDIR");
    struct migrate m = {.config = DEFAULT_CONFIG, .folder = folder ? folder : PLUMBLINE_SQLDIR};
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (o) {
        case 'c':
            m.config = optarg;
            break;
        case 'p':
            m.postgresql = optarg;
            break;
        case 's':
            m.folder = optarg;
            break;
        case 'n':
            m.dry_run = true;
            break;
        case 'j':
            m.json = true;
            break;
        case 'h':
            fputs(help, stdout);
            return EXIT_GOOD;
        default:
            fputs("`plumbline migrate --help` shows the options\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "plumbline migrate: '%s' is not an option\n", argv[optind]);
        return EXIT_USAGE;
    }
    int status = run(&m);
    for (size_t i = 0; i < m.count; i++) {
        free(m.list[i].sql);
    }
    free(m.list);
    return status;
}
