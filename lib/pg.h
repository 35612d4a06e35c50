/* pg.h - a connection to PostgreSQL as the configuration says it.
 *
 * After config.h; used by the collector and by the command line.  Calls block;
 * a dead peer is found within seconds by keepalives of both sides and by
 * tcp_user_timeout. */
#ifndef PLUMBLINE_PG_H
#define PLUMBLINE_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "config.h"

struct pg_options {
    const char *application; /* Shown in pg_stat_activity. */
    const char *role;        /* SET ROLE; NULL: who we log in as. */
    int connect_timeout_s;
    int statement_timeout_ms; /* 0: none. */
};

/* A connection that is ready, or NULL and the reason in 'why'. */
PGconn *pg_connect(const struct config_postgresql *config, const struct pg_options *options,
                   char *why, size_t why_size);

/* Runs one statement with text parameters.  The result is the caller's; never
 * NULL (PQresultStatus() of NULL is a fatal error). */
PGresult *pg_call(PGconn *conn, const char *sql, int count, const char *const *values);

/* Asks for rows, 'binary' ones or text.  The result is the caller's; NULL with the reason in
 * 'why'. */
PGresult *pg_rows(PGconn *conn, const char *sql, int count, const char *const *values, bool binary,
                  char *why, size_t why_size);

/* Runs it for its effect: rows affected, or -EIO with the reason in 'why'. */
int64_t pg_run(PGconn *conn, const char *sql, int count, const char *const *values, char *why,
               size_t why_size);

/* Runs a COPY FROM STDIN with 'size' bytes, in its form, as the data.  0, or -EIO with
 * the reason in 'why'. */
int pg_copy(PGconn *conn, const char *sql, const void *bytes, size_t size, char *why,
            size_t why_size);

/* First line of what the server said, without its line end. */
void pg_error(const PGconn *conn, const PGresult *result, char *why, size_t why_size);

#endif
