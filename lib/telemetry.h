/* telemetry.h - batches between probe and collector: struct to bytes and back.
 *
 * After summary.h, before spool.h.  A batch is made with a builder and read with
 * telemetry_parse(); both keep to telemetry.proto.  Limits: a batch is at most
 * TELEMETRY_BATCH_MAX bytes; the builder says when it is full, and the caller
 * begins another. */
#ifndef PLUMBLINE_TELEMETRY_H
#define PLUMBLINE_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "series.h"
#include "summary.h"
#include "telemetry.pb-c.h"

#define TELEMETRY_FORMAT 1
/* The newest that telemetry_parse() reads.  A test builds a collector of a release to come
 * with another. */
#ifndef TELEMETRY_FORMAT_READ
#define TELEMETRY_FORMAT_READ TELEMETRY_FORMAT
#endif
#define TELEMETRY_BATCH_MAX (4u << 20)

/* The protobuf-c types are long to say. */
typedef Plumbline__Telemetry__Batch pb_batch;
typedef Plumbline__Telemetry__Summary pb_summary;
typedef Plumbline__Telemetry__Delay pb_delay;
typedef Plumbline__Telemetry__Session pb_session;
typedef Plumbline__Telemetry__Early pb_early;
typedef Plumbline__Telemetry__Liveness pb_liveness;
typedef Plumbline__Telemetry__Live pb_live;

/* Numbers in Batch of the messages that telemetry_add_message() takes
 * (protobuf-c generates none). */
enum telemetry_field {
    TELEMETRY_EPOCH_START = 5,
    TELEMETRY_LIVENESS = 8,
    TELEMETRY_REFUSED = 10,
    TELEMETRY_TOMBSTONE = 11,
    TELEMETRY_SERVING = 12,
    TELEMETRY_HEALTH = 13,
    TELEMETRY_EVENT = 14,
    TELEMETRY_TRACE = 15
};

struct telemetry_builder;

/* A builder appends encoded sub-messages to one growing buffer; nothing is kept
 * of its arguments.  NULL only when memory is out. */
struct telemetry_builder *telemetry_builder_new(const char *source);
void telemetry_builder_free(struct telemetry_builder *b);

/* Each adds one sub-message: 0, -ENOMEM, -ENOSPC if the batch would pass
 * TELEMETRY_BATCH_MAX, or -ERANGE if a counter does not fit the wire or the
 * start is not a multiple of dt (then the batch is as before). */
int telemetry_add_session(struct telemetry_builder *b, const struct session_key *key);
int telemetry_add_summary(struct telemetry_builder *b, const struct session_key *key,
                          int64_t session_id, const struct summary *s);
int telemetry_add_early(struct telemetry_builder *b, const struct session_key *key,
                        int64_t session_id, const struct early *e);
/* 'message' is the one of telemetry.pb-c.h that 'field' says. */
int telemetry_add_message(struct telemetry_builder *b, enum telemetry_field field,
                          const ProtobufCMessage *message);

/* [from, until) that the summaries added so far cover: from the first start to
 * the last one's end.  'from' is 0 if there are none. */
void telemetry_covers(const struct telemetry_builder *b, struct instant *from,
                      struct instant *until);

/* Ends the batch: its bytes are the builder's until the next call on it, which
 * begins a new batch. */
const uint8_t *telemetry_finish(struct telemetry_builder *b, struct instant made_at,
                                struct instant final_until, size_t *size);

enum telemetry_verdict {
    TELEMETRY_OK,
    TELEMETRY_MALFORMED,    /* Not protobuf of this schema. */
    TELEMETRY_NEWER_FORMAT, /* Stop the source, un-acked. */
    TELEMETRY_WRONG_SOURCE, /* It names another source. */
    TELEMETRY_BAD_SESSION,  /* A dictionary entry whose id or values cannot be. */
    TELEMETRY_BAD_SUMMARY,  /* Counters do not add up, or a histogram does not decode. */
    TELEMETRY_TOO_LARGE,
    TELEMETRY_NO_MEMORY /* Not the batch's fault: it may be tried again. */
};

/* Parses and checks everything; 'arena' memory (telemetry_arena_new) holds the
 * result until the arena is reset.  '*out' is written on TELEMETRY_OK only. */
struct telemetry_arena;
struct telemetry_arena *telemetry_arena_new(void);
void telemetry_arena_free(struct telemetry_arena *a);
void telemetry_arena_reset(struct telemetry_arena *a);
enum telemetry_verdict telemetry_parse(struct telemetry_arena *a, const char *source,
                                       const void *bytes, size_t size, const pb_batch **out);
const char *telemetry_verdict_name(enum telemetry_verdict v);

/* Start of delta-t 'number'; false if it is past what an instant holds. */
bool telemetry_start(uint64_t number, struct span dt, struct instant *start);

/* Whether 'name' is a key of the inventory (series.h). */
bool telemetry_name_ok(const char *name);

/* A dictionary entry back to a key.  false if a name is too long or not a key,
 * a number is out of range, or the id is not the hash of the rest. */
bool telemetry_session_key(const pb_session *s, struct session_key *out);

#endif
