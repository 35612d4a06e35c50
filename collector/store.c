/* store.c - the connection of a worker, its heartbeat, its claims. */
#include "store_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A worker is dead to the others after so long a silence.  It speaks each second.
 * One that only stood still keeps its locks, so the others gain nothing by this but
 * what is free. */
#define HEARTBEAT_EXPIRY "5 seconds"

/* --- Connection ------------------------------------------------------------ */

struct store *
store_open(const struct config_postgresql *config, const char *collector, char *why,
           size_t why_size)
{
    const struct pg_options options = {.application = "plumbline-collector",
                                       .role = "plumbline_writer",
                                       .connect_timeout_s = 5,
                                       .statement_timeout_ms = 60000};
    struct store *s = calloc(1, sizeof *s);
    uint64_t random;

    if (!s || getrandom(&random, sizeof random, 0) != sizeof random) {
        snprintf(why, why_size, "no memory or no random numbers");
        free(s);
        return NULL;
    }
    s->run = (int64_t)(random >> 1 | 1);
    snprintf(s->name, sizeof s->name, "%s", collector);
    s->rollwrite = rollwrite_new();
    if (!s->rollwrite) {
        snprintf(why, why_size, "no memory");
        free(s);
        return NULL;
    }
    s->conn = pg_connect(config, &options, why, why_size);
    if (!s->conn) {
        rollwrite_free(s->rollwrite);
        free(s);
        return NULL;
    }
    return s;
}

void
store_close(struct store *s)
{
    if (s) {
        PQfinish(s->conn);
        rollwrite_free(s->rollwrite);
        free(s);
    }
}

int64_t
store_run(const struct store *s)
{
    return s->run;
}

const char *
store_why(const struct store *s)
{
    return s->why;
}

void *
store_connection(struct store *s)
{
    return s->conn;
}

int
store_give_up(struct store *s)
{
    char why[sizeof s->why];

    memcpy(why, s->why, sizeof why);
    bool good = store_do(s, "ROLLBACK", 0, NULL) >= 0;
    memcpy(s->why, why, sizeof why);
    return good ? -EBADMSG : -EIO;
}

/* --- Claims ---------------------------------------------------------------- */

int
store_heartbeat(struct store *s, size_t sources, unsigned *workers)
{
    char run_text[STORE_NUMBER_SIZE], held[STORE_NUMBER_SIZE];
    const char *values[] = {store_number(run_text, s->run), s->name,
                            store_number(held, (int64_t)sources)};
    PGresult *r;

    if (store_do(s,
                 "INSERT INTO plumbline_store.collector_heartbeat (run, name, sources) "
                 "VALUES ($1, $2, $3) "
                 "ON CONFLICT (run) DO UPDATE SET sources = EXCLUDED.sources, seen = now()",
                 3, values) < 0) {
        return -EIO;
    }
    if (store_do(s,
                 "DELETE FROM plumbline_store.collector_heartbeat "
                 "WHERE seen < now() - interval '1 hour'",
                 0, NULL) < 0) {
        return -EIO;
    }
    r = store_ask(s,
                  "SELECT count(*) FROM plumbline_store.collector_heartbeat "
                  "WHERE seen > now() - interval '" HEARTBEAT_EXPIRY "'",
                  0, NULL);
    if (!r) {
        return -EIO;
    }
    *workers = (unsigned)strtoul(PQgetvalue(r, 0, 0), NULL, 10);
    PQclear(r);
    return 0;
}

void
store_leave(struct store *s)
{
    char run_text[STORE_NUMBER_SIZE];
    const char *values[] = {store_number(run_text, s->run)};

    /* If it fails it expires. */
    (void)store_do(s, "DELETE FROM plumbline_store.collector_heartbeat WHERE run = $1", 1, values);
}

static int
read_claim(struct store *s, const char *source, int64_t id, struct store_claim *out)
{
    char id_text[STORE_NUMBER_SIZE], run_text[STORE_NUMBER_SIZE];
    const char *insert[] = {store_number(id_text, id), source};
    const char *values[] = {id_text, store_number(run_text, s->run), s->name, source};

    if (store_do(s,
                 "INSERT INTO plumbline_store.source_position (source_id, source) VALUES ($1, $2) "
                 "ON CONFLICT (source_id) DO NOTHING",
                 2, insert) < 0) {
        return -EIO;
    }
    PGresult *r = store_ask(s,
                            "UPDATE plumbline_store.source_position "
                            "SET owner_run = $2, owner = $3, claimed_at = now() "
                            "WHERE source_id = $1 AND source = $4 "
                            "RETURNING epoch, sequence, "
                            "coalesce(extract(epoch FROM written_until)::bigint, 0), closed",
                            4, values);
    if (!r) {
        return -EIO;
    }
    if (PQntuples(r) != 1) {
        snprintf(s->why, sizeof s->why, "source_id %" PRId64 " is already another source's", id);
        PQclear(r);
        return -EIO;
    }
    *out = (struct store_claim){
        .position = {strtoull(PQgetvalue(r, 0, 0), NULL, 10),
                     strtoull(PQgetvalue(r, 0, 1), NULL, 10)},
        .written_until = instant_of_ns(strtoll(PQgetvalue(r, 0, 2), NULL, 10) * NS_PER_S),
        .closed = PQgetvalue(r, 0, 3)[0] == 't',
    };
    PQclear(r);
    return 1;
}

int
store_claim(struct store *s, const char *source, struct store_claim *out)
{
    int64_t id = source_id_of(source);
    char id_text[STORE_NUMBER_SIZE];
    const char *values[] = {store_number(id_text, id)};
    PGresult *r = store_ask(s, "SELECT pg_try_advisory_lock($1)", 1, values);
    if (!r) {
        return -EIO;
    }
    bool locked = PQgetvalue(r, 0, 0)[0] == 't';
    PQclear(r);
    return locked ? read_claim(s, source, id, out) : 0;
}

int
store_sessions(struct store *s, int64_t source_id, store_session_fn *fn, void *aux)
{
    char id_text[STORE_NUMBER_SIZE];
    const char *values[] = {store_number(id_text, source_id)};
    PGresult *r = PQexecParams(s->conn,
                               "SELECT entry FROM plumbline_store.session WHERE source_id = $1 "
                               "ORDER BY session_id",
                               1, NULL, values, NULL, NULL, 1);
    int err = 0;

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        pg_error(s->conn, r, s->why, sizeof s->why);
        err = -EIO;
    }
    for (int i = 0; !err && i < PQntuples(r); i++) {
        struct session_key key;
        pb_session *entry = plumbline__telemetry__session__unpack(
            NULL, (size_t)PQgetlength(r, i, 0), (const uint8_t *)PQgetvalue(r, i, 0));
        if (entry && telemetry_session_key(entry, &key)) {
            err = fn(&key, aux);
        }
        if (entry) {
            plumbline__telemetry__session__free_unpacked(entry, NULL);
        }
    }
    PQclear(r);
    return err;
}

int
store_release(struct store *s, int64_t source_id)
{
    char id_text[STORE_NUMBER_SIZE], run_text[STORE_NUMBER_SIZE];
    const char *values[] = {store_number(id_text, source_id), store_number(run_text, s->run)};

    if (store_do(s,
                 "UPDATE plumbline_store.source_position SET owner_run = NULL, owner = NULL "
                 "WHERE source_id = $1 AND owner_run = $2",
                 2, values) < 0) {
        return -EIO;
    }
    return store_do(s, "SELECT pg_advisory_unlock($1)", 1, values) < 0 ? -EIO : 0;
}

int
store_owned(struct store *s, store_owned_fn *fn, void *aux)
{
    char run_text[STORE_NUMBER_SIZE];
    const char *values[] = {store_number(run_text, s->run)};
    PGresult *r = store_ask(
        s, "SELECT source_id FROM plumbline_store.source_position WHERE owner_run = $1", 1, values);
    if (!r) {
        return -EIO;
    }
    for (int i = 0; i < PQntuples(r); i++) {
        fn(strtoll(PQgetvalue(r, i, 0), NULL, 10), aux);
    }
    PQclear(r);
    return 0;
}

int
store_quarantine(struct store *s, const char *source, struct position p, const char *verdict,
                 const void *bytes, size_t size)
{
    char id[STORE_NUMBER_SIZE], epoch[STORE_NUMBER_SIZE], sequence[STORE_NUMBER_SIZE];
    const char *values[] = {store_number(id, source_id_of(source)),
                            store_number(epoch, (int64_t)p.epoch),
                            store_number(sequence, (int64_t)p.sequence),
                            source,
                            verdict,
                            bytes};
    const int lengths[] = {0, 0, 0, 0, 0, (int)size};
    const int formats[] = {0, 0, 0, 0, 0, 1};
    PGresult *r = PQexecParams(s->conn,
                               "INSERT INTO plumbline_store.quarantine (source_id, epoch, "
                               "sequence, source, verdict, bytes) "
                               "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                               6, NULL, values, lengths, formats, 0);
    int kept;

    if (PQresultStatus(r) != PGRES_COMMAND_OK) {
        pg_error(s->conn, r, s->why, sizeof s->why);
        kept = -EIO;
    } else {
        kept = strcmp(PQcmdTuples(r), "1") == 0;
    }
    PQclear(r);
    return kept;
}

int
store_expire(struct store *s, struct span expiry)
{
    char seconds[STORE_NUMBER_SIZE];
    const char *values[] = {store_number(seconds, expiry.ns / NS_PER_S)};

    return (int)store_do(
        s,
        "UPDATE plumbline_store.source_position SET closed = true "
        "WHERE NOT closed AND (committed_at < now() - make_interval(secs => $1::bigint) "
        "OR (committed_at IS NULL AND EXISTS (SELECT FROM plumbline_store.far_pending p "
        "WHERE p.far_source_id = source_position.source_id "
        "AND p.until < now() - make_interval(secs => $1::bigint))))",
        1, values);
}
