/* assemble_session.h - one session of a source as assemble.h keeps it, and the table of all of
 * them: the source's dictionary.
 *
 * After series.h and telemetry.h, before assemble.h.  What is found in the table stays where it is
 * until the table is freed. */
#ifndef PLUMBLINE_ASSEMBLE_SESSION_H
#define PLUMBLINE_ASSEMBLE_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nstime.h"
#include "series.h"
#include "spool.h"
#include "telemetry.h"

struct assemble_session {
    int64_t id, params_id, series[DIRECTIONS]; /* Series of the link's direction. */
    struct session_key key;
    uint32_t index; /* Dense, in this source. */
    bool trusted;
    bool stored; /* In the session table. */
    /* For live. */
    bool has_early, has_last;
    pb_early early;
    pb_summary last;                 /* Without delays but ... */
    pb_delay last_delay[DIRECTIONS]; /* ... these, without histograms; session's frame. */
    /* The assembler's. */
    uint64_t next_dt;          /* All before came, or never will; 0: it has not spoken. */
    struct instant since;      /* It was not there before: what was final when it was announced. */
    struct position announced; /* In which batch of ours; 0-0: before we began. */
    bool written;              /* Has had a row. */
    uint64_t epoch;            /* In whose dictionary it was seen last. */
    bool gap;                  /* From next_dt on unknown until it speaks again. */
    struct assemble_session *next;
};

struct assemble_session_slot {
    int64_t id;
    struct assemble_session *session;
};

struct assemble_session_table {
    struct assemble_session *first, **end; /* In the order in which they were added. */
    size_t count;
    struct assemble_session_slot *slots; /* Open addressing; a power of two. */
    size_t slot_count;
};

static inline void
assemble_session_init(struct assemble_session_table *t)
{
    *t = (struct assemble_session_table){.end = &t->first};
}

/* Frees the sessions, too. */
void assemble_session_fini(struct assemble_session_table *t);

/* Adds a session that is not in it, with its identifiers and index, and everything else 0.  NULL
 * when memory is out; the table is as it was. */
struct assemble_session *assemble_session_add(struct assemble_session_table *t,
                                              const struct session_key *key);

/* Where 'id' is, or would be put; of a table that has slots. */
static inline struct assemble_session_slot *
assemble_session_slot(const struct assemble_session_table *t, int64_t id)
{
    size_t mask = t->slot_count - 1;
    size_t at = (size_t)id & mask; /* Already a hash. */

    while (t->slots[at].session && t->slots[at].id != id) {
        at = (at + 1) & mask;
    }
    return &t->slots[at];
}

/* NULL: there is none.  Asked for each summary. */
static inline struct assemble_session *
assemble_session_find(const struct assemble_session_table *t, int64_t id)
{
    return t->slot_count ? assemble_session_slot(t, id)->session : NULL;
}

/* Whether the session is to be stored by a commit of 'safe'.  One that will be
 * announced again to whoever begins there, and has no row yet, is not: it would
 * be missed from before it was. */
bool assemble_session_due(const struct assemble_session *s, struct position safe);

#endif
