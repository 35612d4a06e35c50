/* spool_parts.h - what the files of spool.h share; for no other file.
 *
 * Each stands on those before it: spool_epochs.c and spool_segments.c; spool_ackfile.c,
 * spool_tombstone.c, spool_waiting.c; spool_read.c and spool_write.c; spool_rebase.c; spool.c. */
#ifndef PLUMBLINE_SPOOL_PARTS_H
#define PLUMBLINE_SPOOL_PARTS_H

#include <sys/queue.h>

#include "segment.h"
#include "spool.h"

/* One mark for so many bytes of a segment: 16 bytes of memory a 64 KiB. */
#define SPOOL_MARK_EVERY (64u << 10)
#define SPOOL_SUPERSEDED_MAX 64

struct mark {
    uint64_t sequence;
    uint64_t at;
};

struct segment {
    uint64_t epoch;
    uint64_t first, next;     /* Sequences: of the first record, after the last. */
    uint64_t size;            /* Bytes on disk. */
    uint64_t damaged;         /* Records found damaged when it was opened. */
    struct position previous; /* From its header; {0,0}: not known. */
    uint32_t flags;
    struct instant head_from, head_until; /* Of its first record that covers something. */
    struct instant tail_from, tail_until; /* Of its last one. */
    struct instant covered;               /* Greatest 'until'. */
    struct instant written;               /* When, by the file system. */
    struct mark *marks;
    size_t mark_count, mark_room;
};

/* A record, or a run of dropped ones, that is not on disk. */
struct waiting {
    TAILQ_ENTRY(waiting) entry;
    uint64_t epoch, first, count;
    struct instant from, until;
    bool dropped;
    size_t size;
    uint8_t bytes[];
};

TAILQ_HEAD(waiting_list, waiting);

/* What IDs there were: of 'epoch', all sequences before 'next'. */
struct epoch_entry {
    uint64_t epoch, next;
    struct position previous;
    bool own; /* Records of it are kept. */
};

/* IDs that were given anew by spool_rebase() as records of epoch 'by'. */
struct superseded {
    struct position from, to;
    uint64_t by;
};

struct spool_reader {
    struct segment *segment; /* NULL: nowhere. */
    int fd;
    struct segment_view view;
    struct segment_walk walk;
    struct segment_item item; /* Where the reader stands, if 'standing'. */
    bool standing;
    struct instant gap_from, gap_until; /* Of an item that is not whole. */
    struct waiting *hint;               /* Last one read from memory. */
};

struct spool {
    char *source;
    struct spool_config config; /* Without its strings. */
    int folder_fd, lock_fd;

    struct segment **segments; /* By epoch and first sequence. */
    size_t segment_count, segment_room;
    struct epoch_entry *epochs; /* By epoch. */
    size_t epoch_count, epoch_room;
    struct superseded superseded[SPOOL_SUPERSEDED_MAX];
    size_t superseded_count;

    struct position acked;
    struct position last_kept; /* Last record ever, as the ack file knows it. */
    struct instant covered;

    /* Writing. */
    struct segment *active;
    int active_fd;
    bool dirty;
    uint64_t epoch, next;
    struct position previous;
    struct waiting_list waiting;
    size_t waiting_bytes;
    uint64_t waiting_count;
    bool disk_full;
    int last_errno;
    uint64_t dropped;

    /* Reading. */
    struct spool_reader reader;
    uint8_t *made; /* The last tombstone made. */
    size_t made_room;
    struct position counted; /* Damage up to here is counted. */
    uint64_t damaged;
};

/* A record as it is to be written. */
struct spool_entry {
    uint64_t epoch, sequence;
    struct instant from, until;
    const void *bytes;
    size_t size;
    uint32_t flags;         /* RECORD_ */
    uint32_t segment_flags; /* SEGMENT_ */
};

/* spool_epochs.c: also spool_last() and spool_knows(). */
struct epoch_entry *spool_epoch(const struct spool *s, uint64_t epoch);
/* Makes the table of known IDs from what is kept.  On -ENOMEM the table lacks some. */
int spool_epochs_rebuild(struct spool *s);

/* spool_segments.c */
#define SPOOL_NAME_SIZE 48
void spool_segment_name(char name[SPOOL_NAME_SIZE], uint64_t epoch, uint64_t first);
int spool_segment_insert(struct spool *s, struct segment *segment);
void spool_segment_delete(struct spool *s, size_t i);
void spool_segment_free(struct segment *segment);
/* Takes the record that 'item' is into the segment's summary and marks. */
int spool_segment_note(struct segment *segment, const struct segment_item *item);
/* Whether every record of it is acknowledged or goes by another ID now. */
bool spool_segment_let_go(const struct spool *s, const struct segment *segment);
/* Reads the folder.  What spool_ackfile_load() says is known by then. */
int spool_segments_load(struct spool *s);
/* Lets the reader stand nowhere. */
void spool_reader_reset(struct spool *s);

/* spool_ackfile.c: needs spool_epochs.c. */
int spool_ackfile_load(struct spool *s);
/* On an error the old file is still there. */
int spool_ackfile_save(struct spool *s);

/* spool_tombstone.c: needs spool_epochs.c.  A tombstone batch for the ID 'id' in s->made. */
int spool_tombstone(struct spool *s, struct position id, struct instant from, struct instant until,
                    int reason, struct spool_record *out);

/* spool_waiting.c */
int spool_waiting_add(struct spool *s, const struct spool_entry *e);
void spool_waiting_free(struct spool *s, struct waiting *w);
/* Keeps to 'memory_bytes': acknowledged ones go first, then the oldest become tombstones. */
void spool_waiting_bound(struct spool *s);

/* spool_write.c: needs all of the above, as spool_read.c does; for spool_rebase.c and spool.c. */
int spool_write_record(struct spool *s, const struct spool_entry *e);
/* Writes what waits, oldest first, as far as there is room. */
int spool_write_waiting(struct spool *s);
/* fsync of the active segment. */
int spool_sync_active(struct spool *s);
void spool_close_active(struct spool *s);

#endif
