/* stream_parts.h - what the files stream*.c share; for no other.
 *
 * On stream_view.h (what Redis says); below stream_multi.h (one request), stream_open.c
 * (epochs), stream_room.c (the bound) and stream.c (what is done next). */
#ifndef PLUMBLINE_STREAM_PARTS_H
#define PLUMBLINE_STREAM_PARTS_H

#include "log.h"
#include "quota.h"
#include "stream.h"
#include "stream_view.h"

#define STREAM_SEND_MAX 64
#define STREAM_ID_SIZE 44

enum stream_phase {
    STREAM_OFFLINE,
    STREAM_ASKING,  /* What does Redis hold?  The answer is under way. */
    STREAM_READY,   /* Nothing is unanswered. */
    STREAM_SENDING, /* Entries are under way. */
    STREAM_POLLING, /* The ack is under way. */
    STREAM_PAUSED,  /* After a refusal, or until the collector deletes the stream. */
};

struct stream {
    stream_ask_fn *on_ask; /* NULL: nobody listens. */
    void *ask_aux;
    struct event_base *base;
    struct spool *spool;
    struct redis *redis;
    char *source, *release, *key, *ack_key;
    struct instant (*now)(void);
    stream_open_fn *on_open;
    void *aux;

    bool open;
    bool start_due; /* The caller's batch with EpochStart has not come yet. */
    struct instant started_at;
    enum stream_phase phase;
    struct event *tick, *pause, *kick, *wait_first;
    struct span pause_next;

    struct position cursor; /* What is sent next comes after this. */
    struct position taken;  /* Last of ours that Redis is known to have. */
    struct position tried;  /* Last that was ever sent. */
    bool wanting;           /* 'want' was found obeyed; asked again each second. */
    struct position want;
    struct span asked_at; /* Monotonic. */

    struct position sending[STREAM_SEND_MAX];
    size_t sending_count;
    unsigned again;    /* "Equal or smaller" in a row. */
    char refusal[128]; /* First error inside the MULTI under way. */

    struct quota quota;
    struct span bytes_for;
    struct log_bucket full_bucket;

    struct stream_health health;
};

/* stream_open.c */
/* Whether there is an ID of somebody else in the way of ours. */
bool stream_in_conflict(struct stream *s, struct position highest);
/* Opens an epoch above 'highest' ({0,0}: Redis was not asked).  0; negative errno
 * if records need new IDs and could not get them. */
int stream_open_epoch(struct stream *s, struct position highest);

/* stream_room.c */
/* Whether 'next', which comes after the cursor, may go to the stream; its bytes are void
 * afterwards.  If not, Redis is asked each second what it holds, and that says when. */
bool stream_has_room(struct stream *s, const struct spool_record *next);
/* Takes the bound's measure from what Redis holds; the cursor is set. */
void stream_measure(struct stream *s, const struct stream_view *view);

#endif
