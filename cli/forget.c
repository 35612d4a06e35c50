/* forget.c - `plumbline forget`: closes a source that is silent for good, so that
 * nothing waits for it any more. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli.h"
#include "config.h"
#include "livekeys.h"
#include "log.h"
#include "pg.h"

#define DEFAULT_CONFIG "/etc/plumbline/plumbline.yaml"
/* Whom was heard within this, lives. */
#define LIVES_NS (60 * NS_PER_S)

static const char help[] =
    "usage: plumbline forget [OPTION ...] SOURCE\n"
    "\n"
    "Closes SOURCE, a probe that is silent and will not come back: loss towards it is judged\n"
    "without waiting for its word, its last quarter hour and day are merged as they are, and\n"
    "old partitions no longer wait for it.  Collectors do the same by themselves after\n"
    "source_expiry (8 d).  Nothing is deleted; should it speak again, it is open again,\n"
    "and what was judged without it is judged again.\n"
    "\n"
    "  --yes              also if it was heard a minute ago or less, or if Redis cannot say so\n"
    "  --config FILE      default /etc/plumbline/plumbline.yaml\n"
    "  --json             print one JSON object\n"
    "  --help             this text\n"
    "\n"
    "Exit status: 0 it is closed, 2 wrong usage, no such source, or it lives, 3 a server\n"
    "cannot be reached.\n"
    "\n"
    "Examples:\n"
    "  plumbline forget ams1-p1\n"
    "  plumbline forget --json ams1-p1 | jq .waiting\n";

struct forget {
    const char *config_path, *source;
    bool yes, json, was_closed;
    struct cli_config *config;
    char written_until[64];
    int64_t waiting; /* Rows that waited for its word. */
};

/* EXIT_GOOD: it is silent, or it does not matter. */
static int
check_silent(const struct forget *f)
{
    struct livekeys *live = f->yes ? NULL : livekeys_new(&f->config->redis);
    int status = EXIT_GOOD;

    if (f->yes) {
        return EXIT_GOOD;
    }
    if (!live) {
        fprintf(stderr, "plumbline forget: %s: 'redis.address: %s' is no address\n", f->config_path,
                f->config->redis.address);
        return EXIT_USAGE;
    }
    pb_live *m = livekeys_get(live, f->source);
    int64_t silence = m ? instant_now().ns - m->source_at_ns : INT64_MAX;
    if (*livekeys_why(live)) {
        fprintf(stderr,
                "plumbline forget: Redis: %s; whether %s lives is not known: --yes forgets it all "
                "the same\n",
                livekeys_why(live), f->source);
        status = EXIT_UNAVAILABLE;
    } else if (silence < LIVES_NS) {
        fprintf(stderr,
                "plumbline forget: %s lives, it was heard %" PRId64
                " s ago: stop it first, for what it sends opens it again; --yes closes it all the "
                "same\n",
                f->source, silence / NS_PER_S);
        status = EXIT_USAGE;
    }
    if (m) {
        plumbline__telemetry__live__free_unpacked(m, NULL);
    }
    livekeys_free(live);
    return status;
}

static int
failed(PGconn *conn, PGresult *r)
{
    char why[512];

    pg_error(conn, r, why, sizeof why);
    fprintf(stderr, "plumbline forget: PostgreSQL: %s\n", why);
    PQclear(r);
    return EXIT_UNAVAILABLE;
}

static int
close_source(struct forget *f, PGconn *conn)
{
    const char *values[] = {f->source};
    PGresult *r = pg_call(
        conn,
        "WITH was AS (SELECT source_id, closed, written_until FROM plumbline_store.source_position "
        "WHERE source = $1 FOR UPDATE), "
        "now AS (UPDATE plumbline_store.source_position p SET closed = true FROM was "
        "WHERE p.source_id = was.source_id RETURNING p.source_id) "
        "SELECT was.closed, coalesce(was.written_until::text, ''), (SELECT count(*) FROM "
        "plumbline_store.far_pending f WHERE f.far_source_id = was.source_id) FROM was, now",
        1, values);

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        return failed(conn, r);
    }
    bool known = PQntuples(r) == 1;
    if (known) {
        f->was_closed = PQgetvalue(r, 0, 0)[0] == 't';
        snprintf(f->written_until, sizeof f->written_until, "%s", PQgetvalue(r, 0, 1));
        f->waiting = strtoll(PQgetvalue(r, 0, 2), NULL, 10);
    } else {
        fprintf(stderr, "plumbline forget: no collector ever heard of a source '%s'\n", f->source);
    }
    PQclear(r);
    return known ? EXIT_GOOD : EXIT_USAGE;
}

static void
tell(const struct forget *f)
{
    if (!f->json) {
        printf("%s %s: rows end %s; %" PRId64 " rows of others waited for its word\n", f->source,
               f->was_closed ? "was closed already" : "is closed",
               f->written_until[0] ? f->written_until : "nowhere, there are none", f->waiting);
        return;
    }
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "source", f->source);
    cJSON_AddBoolToObject(o, "was_closed", f->was_closed);
    cJSON_AddStringToObject(o, "written_until", f->written_until);
    cJSON_AddNumberToObject(o, "waiting", (double)f->waiting);
    char *text = cJSON_Print(o);
    puts(text ? text : "{}");
    cJSON_free(text);
    cJSON_Delete(o);
}

static int
run(struct forget *f)
{
    const struct pg_options options = {
        .application = "plumbline forget", .role = "plumbline_owner", .connect_timeout_s = 10};
    char why[512];
    int err = cli_config_load(f->config_path, stderr, &f->config);

    if (err) {
        return err == -EINVAL ? EXIT_USAGE : EXIT_UNAVAILABLE;
    }
    int status = check_silent(f);
    if (status == EXIT_GOOD) {
        PGconn *conn = pg_connect(&f->config->postgresql, &options, why, sizeof why);
        if (conn) {
            status = close_source(f, conn);
        } else {
            fprintf(stderr, "plumbline forget: PostgreSQL: %s\n", why);
            status = EXIT_UNAVAILABLE;
        }
        PQfinish(conn);
    }
    if (status == EXIT_GOOD) {
        tell(f);
    }
    cli_config_free(f->config);
    return status;
}

int
cli_forget(int argc, char **argv)
{
    static const struct option options[] = {{"yes", no_argument, NULL, 'y'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct forget f = {.config_path = DEFAULT_CONFIG};
    int o;

    log_set_level(LOG_LEVEL_ERROR);
    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (o == 'c') {
            f.config_path = optarg;
        } else if (o == 'y' || o == 'j') {
            *(o == 'y' ? &f.yes : &f.json) = true;
        } else if (o == 'h') {
            fputs(help, stdout);
            return EXIT_GOOD;
        } else {
            fputs("`plumbline forget --help` shows the options\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (argc - optind != 1) {
        fputs("plumbline forget: one source is needed; `plumbline forget --help` has examples\n",
              stderr);
        return EXIT_USAGE;
    }
    f.source = argv[optind];
    if (!telemetry_name_ok(f.source)) {
        fprintf(stderr, "plumbline forget: '%s' can be no source\n", f.source);
        return EXIT_USAGE;
    }
    return run(&f);
}
