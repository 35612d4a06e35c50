/* pg.c - connecting to PostgreSQL, and one statement at a time. */
#include "pg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PASSWORD_MAX 1024

void
pg_error(const PGconn *conn, const PGresult *result, char *why, size_t why_size)
{
    const char *text = result ? PQresultErrorMessage(result) : "";

    if (!*text) {
        text = PQerrorMessage(conn);
    }
    snprintf(why, why_size, "%s", text);
    why[strcspn(why, "\n")] = '\0';
}

/* The file's first line. */
static int
read_password(const char *path, char password[PASSWORD_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, password, PASSWORD_MAX - 1);
    int saved = errno;

    if (fd >= 0) {
        close(fd);
    }
    if (n < 0) {
        return -saved;
    }
    password[n] = '\0';
    password[strcspn(password, "\r\n")] = '\0';
    return 0;
}

static int
prepare(PGconn *conn, const struct pg_options *options, char *why, size_t why_size)
{
    char sql[512];
    char *role =
        options->role ? PQescapeIdentifier(conn, options->role, strlen(options->role)) : NULL;

    /* A collector speaks each second: of one that is cut off the locks are free when
     * its heartbeat is too old, after 5 s, and not later.  Statements are short, but over
     * partitions without statistics they look long: to compile one takes longer than to run it. */
    snprintf(sql, sizeof sql,
             "SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1;"
             "SET tcp_keepalives_count = 3; SET tcp_user_timeout = 5000;"
             "SET statement_timeout = %d; SET idle_in_transaction_session_timeout = %d;"
             "SET lock_timeout = %d; SET client_min_messages = warning; SET timezone = 'UTC';"
             "SET jit = off;"
             "%s%s",
             options->statement_timeout_ms, options->statement_timeout_ms,
             options->statement_timeout_ms / 2, role ? "SET ROLE " : "", role ? role : "");
    PQfreemem(role);
    PGresult *r = PQexec(conn, sql);
    int err = PQresultStatus(r) == PGRES_COMMAND_OK ? 0 : -EIO;
    if (err) {
        pg_error(conn, r, why, why_size);
    }
    PQclear(r);
    return err;
}

PGconn *
pg_connect(const struct config_postgresql *config, const struct pg_options *options, char *why,
           size_t why_size)
{
    char timeout[16], password[PASSWORD_MAX] = "";
    /* Later ones override: what the operator wrote in 'conninfo' is first, so
     * that only 'password' can stand over it. */
    const char *names[] = {"connect_timeout",  "keepalives_idle",  "keepalives_interval",
                           "keepalives_count", "tcp_user_timeout", "fallback_application_name",
                           "dbname",           "password",         NULL};
    const char *values[] = {timeout,          "5",      "2", "3", "10000", options->application,
                            config->conninfo, password, NULL};

    snprintf(timeout, sizeof timeout, "%d", options->connect_timeout_s);
    if (config->password_file) {
        int err = read_password(config->password_file, password);
        if (err) {
            snprintf(why, why_size, "%s: %s", config->password_file, strerror(-err));
            return NULL;
        }
    } else {
        names[7] = NULL;
    }
    PGconn *conn = PQconnectdbParams(names, values, 1);
    explicit_bzero(password, sizeof password);
    if (!conn) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    if (PQstatus(conn) != CONNECTION_OK) {
        pg_error(conn, NULL, why, why_size);
        PQfinish(conn);
        return NULL;
    }
    if (prepare(conn, options, why, why_size)) {
        PQfinish(conn);
        return NULL;
    }
    return conn;
}

PGresult *
pg_call(PGconn *conn, const char *sql, int count, const char *const *values)
{
    return PQexecParams(conn, sql, count, NULL, values, NULL, NULL, 0);
}

PGresult *
pg_rows(PGconn *conn, const char *sql, int count, const char *const *values, bool binary, char *why,
        size_t why_size)
{
    PGresult *r = PQexecParams(conn, sql, count, NULL, values, NULL, NULL, binary);

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        pg_error(conn, r, why, why_size);
        PQclear(r);
        return NULL;
    }
    return r;
}

int64_t
pg_run(PGconn *conn, const char *sql, int count, const char *const *values, char *why,
       size_t why_size)
{
    PGresult *r = pg_call(conn, sql, count, values);
    ExecStatusType status = PQresultStatus(r);
    int64_t done = -EIO;

    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        const char *tuples = PQcmdTuples(r);
        done = *tuples ? strtoll(tuples, NULL, 10) : 0;
    } else {
        pg_error(conn, r, why, why_size);
    }
    PQclear(r);
    return done;
}

int
pg_copy(PGconn *conn, const char *sql, const void *bytes, size_t size, char *why, size_t why_size)
{
    PGresult *r = PQexec(conn, sql);
    int err = PQresultStatus(r) == PGRES_COPY_IN ? 0 : -EIO;

    if (!err) {
        for (size_t at = 0; at < size && !err;) {
            size_t part = size - at < (1u << 20) ? size - at : 1u << 20;
            err = PQputCopyData(conn, (const char *)bytes + at, (int)part) == 1 ? 0 : -EIO;
            at += part;
        }
        PQclear(r);
        if (PQputCopyEnd(conn, err ? "given up" : NULL) != 1) {
            err = -EIO;
        }
        r = PQgetResult(conn);
        if (PQresultStatus(r) != PGRES_COMMAND_OK) {
            err = -EIO;
        }
    }
    if (err) {
        pg_error(conn, r, why, why_size);
    }
    PQclear(r);
    /* A COPY whose begin was not heard of says for ever that it waits for data. */
    for (bool waits = false; !waits && (r = PQgetResult(conn)); PQclear(r)) {
        waits = PQresultStatus(r) == PGRES_COPY_IN;
    }
    return err;
}
