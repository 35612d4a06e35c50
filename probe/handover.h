/* handover.h - what a probe leaves to the process that goes on in its place, in bytes
 * (doc/wire-format.md): sessions and how far each is, sockets, what the reflector has
 * received of whom.  The events of packets that the old process still waits for:
 * handover_event.h.
 *
 * After plan.h and timing_kept.h, before successor.h (who says what to whom).  The two processes
 * may be of neighbouring releases: fields are only ever added at the end of a record, and
 * records that are not known are passed over.  What would be read wrongly gets another
 * format number.  Pure but for memory. */
#ifndef PLUMBLINE_HANDOVER_H
#define PLUMBLINE_HANDOVER_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan.h"
#include "timing_kept.h"

/* Formats that this release reads, and writes. */
enum { HANDOVER_FORMAT_OLDEST = 1, HANDOVER_FORMAT_NEWEST = 1 };

/* A session's index is below this. */
enum { HANDOVER_INDEXES = 65535 };

/* A session of the plan in force. */
struct handover_session {
    int64_t id;               /* session_id_of() */
    struct timing_session is; /* 'interface' is NULL or the one below; 'keys' NULL. */
    char interface[IF_NAMESIZE];
    enum stampauth_mode mode; /* How its packets are signed; the keys do not come. */
    struct instant border;    /* From here on the delta-t are the successor's. */
};

struct handover {
    char probe[SERIES_NAME_MAX + 1]; /* Whose state it is. */
    uint32_t next_index;             /* Of plan_make(). */
    struct instant covered_until;    /* spool_covered_until() */
    struct instant liveness_from;    /* Seconds from here on are the successor's. */
    struct handover_session *sessions;
    size_t session_count;
    struct timing_kept timing; /* Descriptors go beside it. */
};

enum handover_verdict {
    HANDOVER_OK,
    HANDOVER_SHORT,   /* Ends within a record, or without its last one. */
    HANDOVER_FOREIGN, /* Does not begin as a state does. */
    HANDOVER_FORMAT,  /* Of a format that is not read here. */
    HANDOVER_BAD,     /* A value that cannot be. */
    HANDOVER_NO_MEMORY,
    HANDOVER_VERDICTS
};
extern const char *const handover_verdict_names[HANDOVER_VERDICTS];

/* The sessions of 'plan'; borders are their begins.  0 or -ENOMEM. */
int handover_of_plan(struct handover *h, const struct plan *plan);

/* The plan that 'h' speaks of, as plan_make() wants an old one: enough to recognise its
 * sessions by.  NULL when memory is out. */
struct plan *handover_plan(const struct handover *h);

/* Indexes of sessions that 'plan' does not have, at most 'room', into 'gone'.  How many. */
size_t handover_gone(const struct handover *h, const struct plan *plan, uint32_t *gone,
                     size_t room);

/* Lets the sessions of 'plan' begin where those of the old process end; those that it did
 * not have, after all of them. */
void handover_begin(const struct handover *h, struct plan *plan);

/* '*bytes' is the caller's to free().  0 or -ENOMEM. */
int handover_format(const struct handover *h, uint8_t **bytes, size_t *size);

/* On any verdict but OK there is nothing to free.  Descriptors are -1. */
enum handover_verdict handover_parse(const void *bytes, size_t size, struct handover *out);
void handover_fini(struct handover *h);

#endif
