/* starved.c - a judge that memory, and PostgreSQL, are refused to at each place in turn: its round
 * fails, and the next one has the same verdicts; or it did without, and has them at once.
 *
 * usage: starved CONNINFO INVENTORY FROM [COUNT]
 *
 * Of what is judged in CONNINFO's database, quarter hours from FROM (s) on and all verdicts are
 * taken away and judged again, first undisturbed, then with one refusal in each further round.  A
 * place is where our own code asks: for memory (malloc() and the like, of our objects alone, and of
 * cJSON), or for a statement of PostgreSQL, which is refused before it is done, or is done and
 * nobody hears of it.  Each place is refused its first and its last request; with COUNT, so many of
 * all these, drawn by a seed that is printed (PLUMBLINE_TEST_SEED draws the same again).
 *
 * No collector may run meanwhile. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <libpq-fe.h>

#include "inventory.h"
#include "judge.h"
#include "judgestore.h"
#include "log.h"
#include "rounds.h"

#define PLACES_MAX 1000

/* --- Refusing --------------------------------------------------------------- */

enum kind { MEMORY, STATEMENT };

struct place_of {
    const void *at; /* The instruction after the call, or the statement's text. */
    enum kind kind;
    unsigned count;
};

static struct place_of places[PLACES_MAX];
static size_t place_count;
static bool recording;
/* What is refused: request 'nth' (from 1 on) at 'at'. */
static const void *at;
static unsigned nth, seen;
static bool refused, afterwards;

static bool
is_refused(const void *where, enum kind kind)
{
    if (recording) {
        size_t i = 0;
        while (i < place_count && places[i].at != where) {
            i++;
        }
        if (i == place_count && place_count < PLACES_MAX) {
            places[place_count++] = (struct place_of){.at = where, .kind = kind};
        }
        if (i < PLACES_MAX) {
            places[i].count++;
        }
    }
    if (!at || where != at || ++seen != nth) {
        return false;
    }
    return refused = true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
PGresult *__real_PQexec(PGconn *conn, const char *sql);
PGresult *__real_PQexecParams(PGconn *conn, const char *sql, int count, const Oid *types,
                              const char *const *values, const int *lengths, const int *formats,
                              int format);
int __real_PQputCopyData(PGconn *conn, const char *bytes, int size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
PGresult *__wrap_PQexec(PGconn *conn, const char *sql);
PGresult *__wrap_PQexecParams(PGconn *conn, const char *sql, int count, const Oid *types,
                              const char *const *values, const int *lengths, const int *formats,
                              int format);
int __wrap_PQputCopyData(PGconn *conn, const char *bytes, int size);

void *
__wrap_malloc(size_t size)
{
    return is_refused(__builtin_return_address(0), MEMORY) ? NULL : __real_malloc(size);
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return is_refused(__builtin_return_address(0), MEMORY) ? NULL : __real_calloc(count, size);
}

void *
__wrap_realloc(void *old, size_t size)
{
    return is_refused(__builtin_return_address(0), MEMORY) ? NULL : __real_realloc(old, size);
}

void *
__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return is_refused(__builtin_return_address(0), MEMORY) ? NULL
                                                           : __real_reallocarray(old, count, size);
}

/* cJSON's. */
static void *
json_malloc(size_t size)
{
    return is_refused(__builtin_return_address(0), MEMORY) ? NULL : __real_malloc(size);
}

/* Of a statement that is done and nobody hears of. */
static PGresult *
unheard(PGresult *r)
{
    PQclear(r);
    return NULL;
}

PGresult *
__wrap_PQexec(PGconn *conn, const char *sql)
{
    if (!is_refused(sql, STATEMENT)) {
        return __real_PQexec(conn, sql);
    }
    return afterwards ? unheard(__real_PQexec(conn, sql)) : NULL;
}

PGresult *
__wrap_PQexecParams(PGconn *conn, const char *sql, int count, const Oid *types,
                    const char *const *values, const int *lengths, const int *formats, int format)
{
    if (!is_refused(sql, STATEMENT)) {
        return __real_PQexecParams(conn, sql, count, types, values, lengths, formats, format);
    }
    return afterwards ? unheard(__real_PQexecParams(conn, sql, count, types, values, lengths,
                                                    formats, format))
                      : NULL;
}

int
__wrap_PQputCopyData(PGconn *conn, const char *bytes, int size)
{
    return is_refused(__builtin_return_address(0), STATEMENT)
               ? -1
               : __real_PQputCopyData(conn, bytes, size);
}

/* --- The database ------------------------------------------------------------- */

static const char *conninfo, *from;
static const struct inventory *inventory;
static struct counter counters[JUDGE_COUNTS];

static PGconn *
connect_as(const char *role)
{
    PGconn *conn = PQconnectdb(conninfo);
    char sql[128];

    snprintf(sql, sizeof sql,
             "SET client_min_messages = warning; SET timezone = 'UTC'; SET ROLE %s", role);
    PGresult *r = __real_PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK) {
        fprintf(stderr, "starved: %s", PQerrorMessage(conn));
        exit(2);
    }
    PQclear(r);
    return conn;
}

/* As it was before the quarter hours from 'from' on were judged. */
static void
take_away(PGconn *conn)
{
    char sql[1024];

    snprintf(sql, sizeof sql,
             "TRUNCATE plumbline_store.judged_period, plumbline_store.objective_state, "
             "plumbline_store.verdict, plumbline_store.credit, plumbline_store.credit_step, "
             "plumbline_store.credit_outage, plumbline_store.rejudge; "
             "DELETE FROM plumbline_store.judged_quarter WHERE start >= to_timestamp(%s); "
             "DELETE FROM plumbline_store.transition WHERE at >= to_timestamp(%s); "
             "INSERT INTO plumbline_store.rejudge (kind, key, from_at, why) "
             "SELECT 'service', key, to_timestamp(%s), 'again' FROM "
             "plumbline_store.inventory_object WHERE kind = 'service' ORDER BY key LIMIT 1",
             from, from, from);
    PGresult *r = __real_PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK) {
        fprintf(stderr, "starved: %s", PQerrorMessage(conn));
        exit(2);
    }
    PQclear(r);
}

/* All that was judged but for the time that it was written at. */
static void
digest(PGconn *conn, char out[256])
{
    static const char sql[] =
        "SELECT (SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM "
        "plumbline_store.judged_quarter t), (SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) "
        "FROM plumbline_store.transition t), (SELECT md5(string_agg(t::text, '|' ORDER BY "
        "t::text)) "
        "FROM plumbline_store.judged_period t), (SELECT md5(string_agg((to_jsonb(t) - "
        "'updated_at')::text, '|' ORDER BY service, period_start, number)) FROM "
        "plumbline_store.objective_state t), (SELECT md5(string_agg((to_jsonb(t) - "
        "'published_at')::text, '|' ORDER BY service, period_start, number, revision)) FROM "
        "plumbline_store.verdict t), (SELECT md5(string_agg((to_jsonb(t) - 'claim_until')::text, "
        "'|' ORDER BY service, period_start, revision)) FROM plumbline_store.credit t), "
        "(SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM "
        "plumbline_store.credit_outage t)";
    PGresult *r = __real_PQexec(conn, sql);
    size_t used = 0;

    if (PQntuples(r) != 1) {
        fprintf(stderr, "starved: %s", PQerrorMessage(conn));
        exit(2);
    }
    for (int i = 0; i < PQnfields(r); i++) {
        used += (size_t)snprintf(out + used, 256 - used, "%.8s ", PQgetvalue(r, 0, i));
    }
    PQclear(r);
}

/* As judge.c does: after an error all is begun anew. */
static int
round_of(struct instant now, char *why, size_t why_size)
{
    struct judgestore store = {.conn = connect_as("plumbline_writer")};
    struct rounds *rounds = NULL;
    int err = rounds_new(inventory, &store, counters, &rounds);

    err = err ? err : rounds_run(rounds, now);
    rounds_free(rounds);
    snprintf(why, why_size, "%s", err == -EIO ? store.why : strerror(-err));
    PQfinish(store.conn);
    judgestore_fini(&store);
    return err;
}

/* --- Places one by one -------------------------------------------------------- */

static int failed, done, gone_without;

static void
refuse(PGconn *conn, const struct place_of *p, unsigned number, struct instant now,
       const char *wanted)
{
    char got[256], why[256];

    take_away(conn);
    at = p->at;
    nth = number;
    seen = 0;
    refused = false;
    int first = round_of(now, why, sizeof why), next = 0;
    at = NULL;
    if (first) {
        next = round_of(now, why, sizeof why);
    }
    digest(conn, got);
    done++;
    gone_without += refused && !first;
    if (!refused || next || strcmp(got, wanted) != 0) {
        failed++;
        fprintf(stderr,
                "starved: %s%s%p, request %u of %u%s: %s; then %d (%s)\n  wanted %s\n  got    %s\n",
                p->kind == STATEMENT ? "statement " : "memory at ",
                p->kind == STATEMENT ? (const char *)p->at : "", p->at, number, p->count,
                afterwards ? ", unheard" : "",
                !refused ? "it was not asked for"
                : first  ? "the round failed"
                         : "the round went well",
                next, why, wanted, got);
    }
}

struct refusal {
    const struct place_of *place;
    unsigned number;
    bool afterwards;
};

/* All that there are, into 'list'; how many. */
static size_t
list_refusals(struct refusal list[3 * PLACES_MAX])
{
    size_t count = 0;

    for (size_t i = 0; i < place_count; i++) {
        const struct place_of *p = &places[i];
        list[count++] = (struct refusal){p, 1, false};
        if (p->count > 1) {
            list[count++] = (struct refusal){p, p->count, false};
        }
        if (p->kind == STATEMENT) {
            list[count++] = (struct refusal){p, (p->count + 1) / 2, true};
        }
    }
    return count;
}

static void
refuse_each(PGconn *conn, struct instant now, const char *wanted, size_t most)
{
    static struct refusal list[3 * PLACES_MAX];
    size_t count = list_refusals(list);
    const char *given = getenv("PLUMBLINE_TEST_SEED");
    unsigned seed = given ? (unsigned)strtoul(given, NULL, 0) : (unsigned)now.ns;

    printf("%zu places, %zu refusals, seed %u\n", place_count, count, seed);
    fflush(stdout);
    srandom(seed);
    for (size_t i = 0; i < count && i < most; i++) {
        size_t other = i + (most < count ? (size_t)random() % (count - i) : 0);
        struct refusal r = list[other];
        list[other] = list[i];
        afterwards = r.afterwards;
        refuse(conn, r.place, r.number, now, wanted);
    }
}

int
main(int argc, char **argv)
{
    cJSON_Hooks hooks = {.malloc_fn = json_malloc, .free_fn = free};
    struct inventory *inv = NULL;
    size_t errors, warnings;
    char wanted[256], why[256];

    if (argc < 4 || argc > 5 || inventory_load(argv[2], stderr, 10, &errors, &warnings, &inv)) {
        fprintf(stderr, "usage: starved CONNINFO INVENTORY FROM [COUNT]\n");
        return 2;
    }
    conninfo = argv[1];
    from = argv[3];
    inventory = inv;
    cJSON_InitHooks(&hooks);
    log_set_level(LOG_LEVEL_ERROR);
    PGconn *conn = connect_as("postgres");
    struct instant now = instant_now();
    take_away(conn);
    recording = true;
    int err = round_of(now, why, sizeof why);
    recording = false;
    digest(conn, wanted);
    if (err || place_count == PLACES_MAX) {
        fprintf(stderr, "starved: undisturbed: %s\n", why);
        return 2;
    }
    refuse_each(conn, now, wanted, argc == 5 ? strtoul(argv[4], NULL, 10) : SIZE_MAX);
    printf("%d refused, %d that it did without, %d wrong\n", done, gone_without, failed);
    PQfinish(conn);
    inventory_free(inv);
    return failed ? 1 : 0;
}
