/* store.h - PostgreSQL as one worker sees it: claims, fence, lockstep commit.
 *
 * After copy.h, rollwrite.h and pg.h, before worker.h.  One connection a worker; with each
 * connection begins a new *run*, a random number that source_position.owner_run
 * keeps, so that what an earlier connection believed can change nothing.  Calls
 * block.  After any negative result the connection is done for: store_close(),
 * and everything that was claimed on it is gone. */
#ifndef PLUMBLINE_STORE_H
#define PLUMBLINE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "assemble.h"
#include "bytes.h"
#include "config.h"
#include "nstime.h"
#include "rollup.h"
#include "spool.h"

struct store;

/* NULL: not connected, 'why' says why. */
struct store *store_open(const struct config_postgresql *config, const char *collector, char *why,
                         size_t why_size);
void store_close(struct store *s);
int64_t store_run(const struct store *s);
const char *store_why(const struct store *s); /* Of the last negative result. */
void *store_connection(struct store *s);      /* PGconn, for farend.c. */

/* Says that this worker lives and holds 'sources'; '*workers' is
 * how many live.  0 or -EIO. */
int store_heartbeat(struct store *s, size_t sources, unsigned *workers);

/* Ends the heartbeat, so that others take our share at once. */
void store_leave(struct store *s);

struct store_claim {
    struct position position;
    struct instant written_until; /* 0: nothing. */
    bool closed;
};

/* Takes 'source': the advisory lock, then owner_run.  1: it is ours; 0: another
 * holds it; -EIO. */
int store_claim(struct store *s, const char *source, struct store_claim *out);

/* Calls 'fn' with each entry of the source's stored dictionary. */
typedef int store_session_fn(const struct session_key *key, void *aux);
int store_sessions(struct store *s, int64_t source_id, store_session_fn *fn, void *aux);

/* Lets go of a claim. */
int store_release(struct store *s, int64_t source_id);

/* Calls 'fn' with each source_id whose owner_run is still ours.  0 or -EIO. */
typedef void store_owned_fn(int64_t source_id, void *aux);
int store_owned(struct store *s, store_owned_fn *fn, void *aux);

/* Keeps the bytes of a batch that does not decode.  1: kept; 0: they were kept
 * before; -EIO. */
int store_quarantine(struct store *s, const char *source, struct position p, const char *verdict,
                     const void *bytes, size_t size);

/* Makes today's and tomorrow's partitions. */
int store_days(struct store *s, struct instant now);

/* Marks sources closed that have committed nothing for 'expiry', and those never
 * heard of for which a far end's word has been awaited so long; how many. */
int store_expire(struct store *s, struct span expiry);

/* Merges what is left of a source that was closed into a quarter hour and a day.  1:
 * of one source, there may be more; 0: nothing is left; -EBADMSG: PostgreSQL refused it,
 * and the connection is good; -EIO. */
int store_roll_closed(struct store *s);

struct store_serving {
    int64_t id;
    char **objects;
    size_t object_count;
    struct store_serving *next;
};

/* A commit has no more intervals. */
#define STORE_INTERVALS_MAX 64

/* What one commit writes. */
struct store_write {
    int64_t source_id;
    struct position old, safe;
    struct instant written_until;         /* 0: nothing yet. */
    const char *release;                  /* NULL: as it was. */
    struct assemble_session *sessions;    /* List; those not 'stored' are. */
    bool sessions_new;                    /* Whether there is any such. */
    const struct store_serving *servings; /* New ones. */
    struct bytes rows, liveness;          /* COPY streams, ended. */
    size_t row_count, liveness_count;
    struct bytes pending_session, pending_start, pending_until, pending_far; /* "{1,2" */
    size_t pending_count;
    struct bytes events, refusals; /* JSON arrays of event.h, */
    size_t event_count;            /* and how many are in both. */
    int64_t day_first, day_last;   /* Days since 1970 that rows are in; if there are rows. */
    struct instant written_before; /* What 'written_until' was; 0: nothing. */
    int64_t quarters_s[STORE_INTERVALS_MAX]; /* Quarter hours that rows are in. */
    size_t quarter_count;
    uint64_t rolled; /* Quarter hours and days of series that the commit wrote. */
};

/* Begins a commit of what comes after 'written_before': rows may be added to it. */
void store_write_begin(struct store_write *w, int64_t source_id, struct instant written_before);

/* The interval from 'start' on is in it, after those before. */
void store_write_interval(struct store_write *w, struct instant start);

/* Frees what it holds. */
void store_write_fini(struct store_write *w);

/* 1: committed; 0: the fence refused (nothing was changed: the claim is lost);
 * -EBADMSG: PostgreSQL refused what is in it, and the connection is good; -EIO. */
int store_commit(struct store *s, struct store_write *w);

#endif
