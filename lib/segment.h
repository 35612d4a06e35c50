/* segment.h - the bytes of a spool's segment file: headers, and the walk over
 * its records that comes through damage.
 *
 * After wire.h, before spool.c.  A segment is a header and records of one epoch
 * with sequences that follow one another; layout in doc/wire-format.md.  The
 * walk goes over a file or over memory alike. */
#ifndef PLUMBLINE_SEGMENT_H
#define PLUMBLINE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "spool.h"

#define SEGMENT_FORMAT 1
#define SEGMENT_HEADER_SIZE 64
#define RECORD_HEADER_SIZE 44

/* Its records stand in for others: none of them counts before the ack file says
 * that all are there. */
#define SEGMENT_REPLACES 1u

/* The payload is a tombstone that the spool made. */
#define RECORD_TOMBSTONE 1u

struct segment_header {
    uint32_t format;
    uint32_t flags;
    uint64_t epoch;
    uint64_t first;           /* Sequence of the first record. */
    struct position previous; /* The last ID before this epoch; {0,0}: not known. */
};

enum segment_verdict {
    SEGMENT_OK,
    SEGMENT_SHORT,
    SEGMENT_DAMAGED,
    SEGMENT_NEWER_FORMAT, /* Whole, and not ours to read. */
};

void segment_header_format(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_SIZE]);
enum segment_verdict segment_header_parse(const void *bytes, size_t size,
                                          struct segment_header *out);

struct record_header {
    uint32_t flags;
    uint64_t sequence;
    struct instant from, until; /* Delta-t starts covered, [from, until); both 0: none. */
    uint32_t size;              /* Of the payload. */
    uint32_t crc;               /* Of the payload. */
};

/* 'epoch' goes into the header's checksum: a record of another epoch is not
 * taken for one of this. */
void record_header_format(const struct record_header *h, uint64_t epoch,
                          uint8_t out[RECORD_HEADER_SIZE]);
/* 'bytes' are RECORD_HEADER_SIZE; false if they are not a whole header. */
bool record_header_parse(const uint8_t *bytes, uint64_t epoch, struct record_header *out);

/* A segment's bytes: in memory ('bytes'), or in a file ('fd', borrowed) behind a
 * window.  Bytes that the disk will not yield read as zeros. */
struct segment_view {
    const uint8_t *bytes;
    int fd;
    uint64_t size;
    uint8_t *window;
    size_t window_room;
    size_t window_held;
    uint64_t window_at;
};

void segment_view_memory(struct segment_view *v, const void *bytes, size_t size);
void segment_view_file(struct segment_view *v, int fd, uint64_t size);
/* Frees the window, not the file. */
void segment_view_fini(struct segment_view *v);

/* 'size' bytes at 'offset', which the caller knows to be inside; valid until the
 * next call.  NULL: out of memory. */
const uint8_t *segment_view_get(struct segment_view *v, uint64_t offset, size_t size);

/* One step of the walk: a record whose header is whole, or a run of records of
 * which nothing is whole. */
struct segment_item {
    bool whole;            /* There is a header: 'header', count 1. */
    bool torn;             /* The payload is not all there. */
    uint64_t first, count; /* Sequences. */
    uint64_t at;           /* Of the header. */
    struct record_header header;
};

struct segment_walk {
    struct segment_view *view;
    uint64_t epoch;
    uint64_t at;
    uint64_t expected; /* Sequence of what is at 'at'. */
};

/* Next item: 1, 0 at the end, -ENOMEM.  The number of sequences that it yields is
 * never more than there were records begun: at most one for what is torn off at
 * the end, and in the middle as many as the next whole header says. */
int segment_walk_next(struct segment_walk *w, struct segment_item *out);

/* The payload of a whole item, valid until the next use of the view; NULL if it
 * is torn or its checksum does not hold, with '*err' 0, or -ENOMEM. */
const uint8_t *segment_payload(struct segment_view *v, const struct segment_item *item, int *err);

#endif
