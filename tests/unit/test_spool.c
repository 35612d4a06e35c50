/* test_spool.c - what is appended comes back as it was, or as a tombstone with
 * its own ID; never otherwise, whatever happens to disk or process. */
#include "spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/wait.h>

#include "folder.h"
#include "log.h"
#include "segment.h"
#include "telemetry.pb-c.h"

#define REASON(x) PLUMBLINE__TELEMETRY__TOMBSTONE__REASON__##x

static const struct spool_config plain = {
    .source = "pop-a",
    .keep = {3600 * NS_PER_S},
    .keep_bytes = 1u << 30,
    .segment_bytes = 1u << 20,
    .memory_bytes = 1u << 20,
};

static struct spool *
open_config(const char *name, struct spool_config config)
{
    struct spool *s = NULL;

    config.folder = in_folder(name);
    int err = spool_open(&s, &config);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    return s;
}

static struct spool *
open_plain(const char *name)
{
    return open_config(name, plain);
}

/* The payload of an ID: its size and bytes follow from it. */
static size_t
payload_of(struct position p, uint8_t *out, size_t room)
{
    size_t size = (size_t)(p.sequence * 7 % 50) + 10;

    for (size_t i = 0; i < size && i < room; i++) {
        out[i] = (uint8_t)(p.epoch * 31 + p.sequence * 17 + i * 3);
    }
    return size;
}

static struct position
append(struct spool *s)
{
    struct position p, expected = spool_upcoming(s);
    uint8_t bytes[64];
    size_t size = payload_of(expected, bytes, sizeof bytes);
    struct instant from = {(int64_t)(1000 + expected.sequence) * NS_PER_S};
    struct instant until = {from.ns + NS_PER_S};

    int err = spool_append(s, bytes, size, from, until, &p);
    CU_ASSERT_EQUAL_FATAL(err, 0);
    CU_ASSERT_EQUAL(position_compare(p, expected), 0);
    return p;
}

static void
append_many(struct spool *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        append(s);
    }
}

static bool
is_payload(const struct spool_record *r)
{
    uint8_t bytes[64];
    size_t size = payload_of(r->position, bytes, sizeof bytes);
    return !r->tombstone && r->size == size && memcmp(bytes, r->bytes, size) == 0;
}

static Plumbline__Telemetry__Batch *
open_tombstone(const struct spool_record *r)
{
    Plumbline__Telemetry__Batch *b = plumbline__telemetry__batch__unpack(NULL, r->size, r->bytes);

    CU_ASSERT_FATAL(r->tombstone && b != NULL && b->tombstone != NULL);
    CU_ASSERT_EQUAL(b->format, 1);
    CU_ASSERT_STRING_EQUAL(b->source, "pop-a");
    CU_ASSERT_EQUAL(b->tombstone->from_ns, r->from.ns);
    CU_ASSERT_EQUAL(b->tombstone->until_ns, r->until.ns);
    CU_ASSERT_EQUAL(b->epoch_start != NULL, r->position.sequence == 0);
    return b;
}

static void
check_tombstone(const struct spool_record *r, int reason, int64_t from, int64_t until)
{
    Plumbline__Telemetry__Batch *b = open_tombstone(r);

    CU_ASSERT_EQUAL((int)b->tombstone->reason, reason);
    CU_ASSERT_EQUAL(r->from.ns, from * NS_PER_S);
    CU_ASSERT_EQUAL(r->until.ns, until * NS_PER_S);
    plumbline__telemetry__batch__free_unpacked(b, NULL);
}

/* Reads all after 'after': each is the payload of its ID or a tombstone, each ID
 * is the one after the ID before.  Returns how many; '*tombstones' of them. */
static unsigned
read_all(struct spool *s, struct position after, unsigned *tombstones)
{
    struct spool_record r;
    unsigned count = 0;
    int got;

    *tombstones = 0;
    while ((got = spool_next(s, after, &r)) == 1) {
        if (r.position.epoch == after.epoch) {
            CU_ASSERT_EQUAL(r.position.sequence, after.sequence + 1);
        } else {
            CU_ASSERT(r.position.epoch > after.epoch);
        }
        if (r.tombstone) {
            plumbline__telemetry__batch__free_unpacked(open_tombstone(&r), NULL);
            ++*tombstones;
        } else {
            CU_ASSERT(is_payload(&r));
        }
        after = r.position;
        count++;
    }
    CU_ASSERT_EQUAL(got, 0);
    return count;
}

static const struct position none = {0, 0};

static void
checksum_is_the_known_one(void)
{
    uint8_t bytes[300];

    CU_ASSERT_EQUAL(crc32c(0, "123456789", 9), 0xe3069283u);
    CU_ASSERT_EQUAL(crc32c_by_table(0, "123456789", 9), 0xe3069283u);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)random_below(256);
    }
    for (size_t size = 0; size < sizeof bytes; size++) {
        uint32_t whole = crc32c(0, bytes, size);
        CU_ASSERT_EQUAL(whole, crc32c_by_table(0, bytes, size));
        CU_ASSERT_EQUAL(whole,
                        crc32c(crc32c(0, bytes, size / 3), bytes + size / 3, size - size / 3));
    }
}

static void
restart_continues_where_it_was(void)
{
    struct spool *s = open_plain("restart");
    unsigned tombstones;

    CU_ASSERT_EQUAL(position_compare(spool_last(s), none), 0);
    CU_ASSERT_EQUAL(spool_covered_until(s).ns, 0);
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 100), 0);
    append_many(s, 10);
    CU_ASSERT_EQUAL(spool_sync(s), 0);
    spool_close(s);

    s = open_plain("restart");
    CU_ASSERT_EQUAL(position_compare(spool_last(s), (struct position){100, 9}), 0);
    CU_ASSERT_EQUAL(spool_covered_until(s).ns, 1010 * NS_PER_S);
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 100), -EINVAL);
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 99), -EINVAL);
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 101), 0);
    CU_ASSERT_EQUAL(position_compare(spool_previous(s), (struct position){100, 9}), 0);
    append_many(s, 5);
    CU_ASSERT_EQUAL(read_all(s, none, &tombstones), 15);
    CU_ASSERT_EQUAL(tombstones, 0);
    CU_ASSERT_EQUAL(read_all(s, (struct position){100, 7}, &tombstones), 7);
    spool_close(s);

    /* An epoch in which nothing was appended leaves no trace. */
    s = open_plain("restart");
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 102), 0);
    spool_close(s);
    s = open_plain("restart");
    CU_ASSERT_EQUAL(position_compare(spool_last(s), (struct position){101, 4}), 0);
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 102), 0);
    append(s);
    CU_ASSERT_EQUAL(read_all(s, none, &tombstones), 16);
    spool_close(s);
}

static void
second_process_is_kept_out(void)
{
    struct spool *s = open_plain("lock"), *other = NULL;
    struct spool_config config = plain;

    config.folder = in_folder("lock");
    CU_ASSERT_EQUAL(spool_open(&other, &config), -EWOULDBLOCK);
    spool_close(s);
    s = open_plain("lock");
    spool_close(s);
}

static const char *
segment_path(const char *folder, uint64_t epoch, uint64_t first)
{
    char name[128];

    snprintf(name, sizeof name, "%s/%020" PRIu64 "-%020" PRIu64 ".seg", folder, epoch, first);
    return in_folder(name);
}

static void
last_record_torn_at_each_byte_is_a_tombstone(void)
{
    struct spool *s = open_plain("torn");
    size_t size, before;
    unsigned tombstones;

    spool_begin_epoch(s, 7);
    append_many(s, 4);
    struct spool_health health;
    spool_health(s, &health);
    before = health.bytes;
    append(s);
    spool_close(s);
    const char *path = segment_path("torn", 7, 0);
    uint8_t *whole = read_whole(path, &size);
    CU_ASSERT_FATAL(whole != NULL && size > before);
    for (size_t cut = before; cut < size; cut++) {
        write_whole(segment_path("torn", 7, 0), whole, cut);
        s = open_plain("torn");
        unsigned begun = cut > before ? 1 : 0;
        CU_ASSERT_EQUAL(read_all(s, none, &tombstones), 4 + begun);
        CU_ASSERT_EQUAL(tombstones, begun);
        CU_ASSERT_EQUAL(spool_last(s).sequence, 3 + begun);
        if (begun) {
            struct spool_record r;
            CU_ASSERT_EQUAL(spool_next(s, (struct position){7, 3}, &r), 1);
            /* With its header whole it says what it covered. */
            check_tombstone(&r, REASON(DAMAGED), 1004,
                            cut >= before + RECORD_HEADER_SIZE ? 1005 : 0);
            spool_health(s, &health);
            CU_ASSERT_EQUAL(health.damaged, 1);
        }
        /* The next epoch goes on behind it. */
        CU_ASSERT_EQUAL(spool_begin_epoch(s, 8), 0);
        CU_ASSERT_EQUAL(position_compare(spool_previous(s), spool_last(s)), 0);
        spool_close(s);
    }
    free(whole);
}

static void
flipped_bit_never_gives_wrong_data(void)
{
    struct spool *s = open_plain("flip");
    unsigned tombstones;
    size_t size;

    spool_begin_epoch(s, 7);
    append_many(s, 12);
    spool_close(s);
    uint8_t *whole = read_whole(segment_path("flip", 7, 0), &size);
    CU_ASSERT_FATAL(whole != NULL);
    for (size_t i = 0; i < size; i++) {
        uint8_t flip = (uint8_t)(1u << random_below(8));
        whole[i] ^= flip;
        write_whole(segment_path("flip", 7, 0), whole, size);
        whole[i] ^= flip;
        s = open_plain("flip");
        CU_ASSERT_EQUAL(read_all(s, none, &tombstones), 12);
        /* The segment's header is not needed: its name says the same. */
        CU_ASSERT_EQUAL(tombstones, i < SEGMENT_HEADER_SIZE ? 0 : 1);
        spool_close(s);
    }
    for (int round = 0; round < 300; round++) {
        uint8_t *hurt = malloc(size);
        CU_ASSERT_FATAL(hurt != NULL);
        memcpy(hurt, whole, size);
        size_t from = random_below(size), count = random_below(size - from) + 1;
        for (size_t i = from; i < from + count; i++) {
            hurt[i] = round % 2 ? 0 : (uint8_t)random_below(256);
        }
        write_whole(segment_path("flip", 7, 0), hurt, size);
        free(hurt);
        s = open_plain("flip");
        unsigned all = read_all(s, none, &tombstones);
        /* Records before the damage are whole; none is invented. */
        CU_ASSERT(all <= 12);
        CU_ASSERT(from >= SEGMENT_HEADER_SIZE + 1 ? all >= 1 : true);
        spool_close(s);
    }
    free(whole);
}

static void
damage_in_the_middle_gets_its_span_from_its_neighbours(void)
{
    struct spool *s = open_plain("middle");
    struct spool_record r;
    size_t size;
    size_t at = SEGMENT_HEADER_SIZE;
    uint8_t unused[64];

    spool_begin_epoch(s, 7);
    append_many(s, 10);
    spool_close(s);
    uint8_t *whole = read_whole(segment_path("middle", 7, 0), &size);
    CU_ASSERT_FATAL(whole != NULL);
    /* The headers of records 3, 4 and 5. */
    for (uint64_t i = 0; i < 6; i++) {
        whole[at] ^= i >= 3 ? 0xff : 0;
        at += RECORD_HEADER_SIZE + payload_of((struct position){7, i}, unused, sizeof unused);
    }
    write_whole(segment_path("middle", 7, 0), whole, size);
    free(whole);
    s = open_plain("middle");
    for (uint64_t i = 3; i < 6; i++) {
        CU_ASSERT_EQUAL(spool_next(s, (struct position){7, i - 1}, &r), 1);
        CU_ASSERT_EQUAL(r.position.sequence, i);
        check_tombstone(&r, REASON(DAMAGED), 1003, 1006);
    }
    CU_ASSERT_EQUAL(spool_next(s, (struct position){7, 5}, &r), 1);
    CU_ASSERT(is_payload(&r));
    spool_close(s);
}

/* A header of ours where so many records cannot have been is not believed. */
static void
no_more_records_than_had_room_are_lost(void)
{
    static const uint64_t sequences[] = {1, 2, 3, 1000, UINT64_MAX};
    static const unsigned counts[] = {2, 3, 2, 2, 2};

    for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
        uint8_t bytes[SEGMENT_HEADER_SIZE + 3 * RECORD_HEADER_SIZE] = {0};
        struct segment_header h = {.format = SEGMENT_FORMAT, .epoch = 7};
        struct record_header r = {.sequence = 0};
        unsigned tombstones, count = 0;
        struct spool_record record;
        struct position at = none;

        folder_remove(in_folder("room"));
        mkdir(in_folder("room"), 0700);
        segment_header_format(&h, bytes);
        record_header_format(&r, 7, bytes + SEGMENT_HEADER_SIZE);
        /* One header's room between the two. */
        r.sequence = sequences[i];
        record_header_format(&r, 7, bytes + sizeof bytes - RECORD_HEADER_SIZE);
        write_whole(segment_path("room", 7, 0), bytes, sizeof bytes);
        struct spool *s = open_plain("room");
        for (tombstones = 0; spool_next(s, at, &record) == 1 && count < 5000; count++) {
            at = record.position;
            tombstones += record.tombstone;
        }
        CU_ASSERT_EQUAL(count, counts[i]);
        CU_ASSERT_EQUAL(tombstones, sequences[i] == 1 ? 0 : 1);
        spool_close(s);
    }
}

static void
lost_segment_becomes_tombstones(void)
{
    struct spool_config config = plain;
    unsigned tombstones;

    config.segment_bytes = 400;
    struct spool *s = open_config("lost", config);
    spool_begin_epoch(s, 7);
    append_many(s, 40);
    spool_close(s);
    DIR *dir = opendir(in_folder("lost"));
    CU_ASSERT_FATAL(dir != NULL);
    const struct dirent *e;
    uint64_t victim = 0;
    while ((e = readdir(dir)) != NULL) {
        uint64_t first = strlen(e->d_name) == 45 ? strtoull(e->d_name + 21, NULL, 10) : 0;
        if (first > 8 && first < 20) {
            victim = first;
        }
    }
    closedir(dir);
    CU_ASSERT_FATAL(victim > 0);
    unlink(segment_path("lost", 7, victim));
    s = open_config("lost", config);
    CU_ASSERT_EQUAL(read_all(s, none, &tombstones), 40);
    CU_ASSERT(tombstones >= 2 && tombstones < 10);
    spool_close(s);
}

static void
ack_lets_go_of_what_is_too_old_or_too_much(void)
{
    struct spool_config config = plain;
    struct spool_health before, after;
    struct spool_record r;
    struct instant now = instant_now();

    config.segment_bytes = 500;
    config.keep_bytes = 2000;
    struct spool *s = open_config("ack", config);
    spool_begin_epoch(s, 7);
    append_many(s, 200);
    spool_health(s, &before);
    CU_ASSERT_EQUAL(before.unacked, 200);
    CU_ASSERT_EQUAL(spool_ack(s, (struct position){7, 149}, now), 0);
    spool_health(s, &after);
    CU_ASSERT_EQUAL(after.unacked, 50);
    CU_ASSERT(after.bytes < before.bytes / 2);
    CU_ASSERT(after.bytes > 2000);
    CU_ASSERT_EQUAL(spool_ack(s, (struct position){7, 10}, now), 0);
    CU_ASSERT_EQUAL(spool_acked(s).sequence, 149);
    CU_ASSERT_EQUAL(spool_next(s, none, &r), 1);
    uint64_t first = r.position.sequence;
    CU_ASSERT(is_payload(&r));
    CU_ASSERT(first > 50 && first <= 150);
    /* What is gone was given: asked for by name it is a tombstone. */
    CU_ASSERT_EQUAL(spool_next(s, (struct position){7, 20}, &r), 1);
    CU_ASSERT_EQUAL(r.position.sequence, 21);
    check_tombstone(&r, REASON(EXPIRED), 0, (int64_t)(1000 + first));
    CU_ASSERT_EQUAL(spool_next(s, position_before((struct position){7, 0}), &r), 1);
    CU_ASSERT_EQUAL(r.position.sequence, 0);
    check_tombstone(&r, REASON(EXPIRED), 0, (int64_t)(1000 + first));
    spool_close(s);

    s = open_config("ack", config);
    CU_ASSERT_EQUAL(spool_acked(s).sequence, 149);
    spool_health(s, &before);
    CU_ASSERT_EQUAL(spool_ack(s, (struct position){7, 199}, now), 0);
    CU_ASSERT_EQUAL(spool_ack(s, (struct position){7, 199},
                              instant_add(instant_now(), span_of_ns(3601 * NS_PER_S))),
                    0);
    spool_health(s, &after);
    CU_ASSERT_EQUAL(after.bytes, 0);
    /* All gone, nothing forgotten. */
    CU_ASSERT_EQUAL(position_compare(spool_last(s), (struct position){7, 199}), 0);
    spool_close(s);
    s = open_config("ack", config);
    CU_ASSERT_EQUAL(position_compare(spool_last(s), (struct position){7, 199}), 0);
    CU_ASSERT_EQUAL(spool_covered_until(s).ns, 1200 * NS_PER_S);
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 8), 0);
    append(s);
    spool_close(s);
    /* The epoch before the oldest kept one is known from its successor. */
    s = open_config("ack", config);
    CU_ASSERT_EQUAL(spool_next(s, (struct position){7, 198}, &r), 1);
    CU_ASSERT_EQUAL(position_compare(r.position, (struct position){7, 199}), 0);
    check_tombstone(&r, REASON(EXPIRED), 0, 1000);
    CU_ASSERT_EQUAL(spool_next(s, r.position, &r), 1);
    CU_ASSERT(is_payload(&r));
    CU_ASSERT_EQUAL(spool_next(s, none, &r), 1);
    CU_ASSERT_EQUAL(position_compare(r.position, (struct position){8, 0}), 0);
    spool_close(s);
}

static void
damaged_ack_file_sends_all_again(void)
{
    struct spool *s = open_plain("ackbad");
    unsigned tombstones;
    size_t size;

    spool_begin_epoch(s, 7);
    append_many(s, 20);
    spool_ack(s, (struct position){7, 5}, instant_now());
    spool_close(s);
    uint8_t *bytes = read_whole(in_folder("ackbad/ack"), &size);
    CU_ASSERT_FATAL(bytes != NULL);
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 4;
        write_whole(in_folder("ackbad/ack"), bytes, size);
        bytes[i] ^= 4;
        s = open_plain("ackbad");
        CU_ASSERT_EQUAL(position_compare(spool_acked(s), none), 0);
        CU_ASSERT_EQUAL(read_all(s, none, &tombstones), 20);
        spool_close(s);
    }
    free(bytes);
}

static void
newer_format_is_not_touched(void)
{
    struct spool *s = open_plain("newer"), *again = NULL;
    struct spool_config config = plain;
    struct segment_header h = {.format = SEGMENT_FORMAT + 1, .epoch = 9, .first = 0};
    uint8_t bytes[SEGMENT_HEADER_SIZE];
    size_t size;

    spool_close(s);
    segment_header_format(&h, bytes);
    write_whole(segment_path("newer", 9, 0), bytes, sizeof bytes);
    config.folder = in_folder("newer");
    CU_ASSERT_EQUAL(spool_open(&again, &config), -EPROTONOSUPPORT);
    free(read_whole(segment_path("newer", 9, 0), &size));
    CU_ASSERT_EQUAL(size, sizeof bytes);
}

/* With a bound of 'disk_bytes' and nothing acknowledged. */
static void
full_disk_keeps_in_memory_and_then_drops_the_oldest(void)
{
    struct spool_config config = plain;
    struct spool_health h;
    struct spool_record r;
    unsigned tombstones;

    config.disk_bytes = 8000;
    config.memory_bytes = 6000;
    struct spool *s = open_config("full", config);
    spool_begin_epoch(s, 7);
    do {
        append(s);
        spool_health(s, &h);
        CU_ASSERT(h.bytes <= 8000);
    } while (!h.disk_full);
    CU_ASSERT_EQUAL(h.last_errno, ENOSPC);
    CU_ASSERT_EQUAL(h.in_memory, 1);
    /* Everything is still there, and what is in memory may be read. */
    unsigned count = (unsigned)spool_upcoming(s).sequence;
    CU_ASSERT_EQUAL(read_all(s, none, &tombstones), count);
    CU_ASSERT_EQUAL(tombstones, 0);
    append_many(s, 200);
    spool_health(s, &h);
    CU_ASSERT(h.dropped > 50 && h.dropped < 200);
    CU_ASSERT_EQUAL(h.in_memory, 201);
    CU_ASSERT_EQUAL(read_all(s, none, &tombstones), count + 200);
    CU_ASSERT_EQUAL(tombstones, h.dropped);
    CU_ASSERT_EQUAL(spool_next(s, (struct position){7, count - 2}, &r), 1);
    check_tombstone(&r, REASON(DISK_FULL), 1000 + count - 1,
                    (int64_t)(1000 + count - 1 + h.dropped));
    uint64_t dropped = h.dropped;

    /* Room comes back: all of it goes to disk, in order, tombstones too. */
    CU_ASSERT_EQUAL(spool_ack(s, (struct position){7, count - 2}, instant_now()), 0);
    spool_sync(s);
    spool_health(s, &h);
    CU_ASSERT(h.in_memory < 201);
    CU_ASSERT_EQUAL(h.unacked, 201);
    CU_ASSERT(h.bytes <= 8000);
    CU_ASSERT_EQUAL(read_all(s, (struct position){7, count - 2}, &tombstones), 201);
    CU_ASSERT_EQUAL(tombstones, dropped);
    spool_ack(s, (struct position){7, count + 150}, instant_now());
    CU_ASSERT_EQUAL(spool_sync(s), 0);
    spool_health(s, &h);
    CU_ASSERT_EQUAL(h.in_memory, 0);
    CU_ASSERT_FALSE(h.disk_full);
    append_many(s, 10);
    spool_close(s);
    s = open_config("full", config);
    CU_ASSERT_EQUAL(read_all(s, (struct position){7, count + 150}, &tombstones), 59);
    CU_ASSERT_EQUAL(tombstones, 0);
    spool_close(s);
}

static int
rewrite_same(void *aux, const struct spool_record *old, const uint8_t **bytes, size_t *size)
{
    const unsigned *stop_after = aux;
    static unsigned done;

    if (stop_after && done++ == *stop_after) {
        _exit(0);
    }
    *bytes = old->bytes;
    *size = old->size;
    return 0;
}

/* The record now at 'at' is what was appended as 'was'. */
static bool
is_moved(struct spool *s, struct position at, struct position was)
{
    struct spool_record r;

    if (spool_next(s, position_before(at), &r) != 1 || position_compare(r.position, at) != 0) {
        return false;
    }
    r.position = was;
    return is_payload(&r);
}

static void
rebase_gives_new_positions_once(void)
{
    struct spool *s = open_plain("rebase");
    struct spool_record r;
    struct spool_health h;
    unsigned count = 0;

    spool_begin_epoch(s, 7);
    append_many(s, 10);
    CU_ASSERT_EQUAL(spool_rebase(s, 7, none, none, "start", 5, rewrite_same, NULL), -EINVAL);
    spool_ack(s, (struct position){7, 3}, instant_now());
    CU_ASSERT_EQUAL(spool_rebase(s, 50, (struct position){49, 12}, (struct position){7, 5}, "start",
                                 5, rewrite_same, NULL),
                    0);
    for (int again = 0; again < 2; again++) {
        CU_ASSERT_EQUAL(position_compare(spool_last(s), (struct position){50, 4}), 0);
        CU_ASSERT_EQUAL(spool_next(s, (struct position){7, 5}, &r), 1);
        /* The ID named as the one before the epoch is known too. */
        CU_ASSERT_EQUAL(position_compare(r.position, (struct position){49, 0}), 0);
        CU_ASSERT_EQUAL(spool_next(s, (struct position){49, 12}, &r), 1);
        CU_ASSERT_EQUAL(position_compare(r.position, (struct position){50, 0}), 0);
        CU_ASSERT(r.size == 5 && memcmp(r.bytes, "start", 5) == 0);
        for (uint64_t i = 0; i < 4; i++) {
            CU_ASSERT(is_moved(s, (struct position){50, i + 1}, (struct position){7, i + 6}));
        }
        CU_ASSERT_FALSE(spool_knows(s, (struct position){7, 6}));
        CU_ASSERT_TRUE(spool_knows(s, (struct position){7, 5}));
        spool_health(s, &h);
        CU_ASSERT_EQUAL(h.unacked, 7);
        spool_close(s);
        s = open_plain("rebase");
    }
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 51), 0);
    append_many(s, 3);
    for (struct position at = {49, 12}; spool_next(s, at, &r) == 1; at = r.position) {
        count++;
    }
    CU_ASSERT_EQUAL(count, 8);
    spool_close(s);
}

static void
rebase_cut_off_anywhere_has_not_happened(void)
{
    unsigned tombstones;

    for (unsigned stop = 0; stop < 6; stop++) {
        folder_remove(in_folder("cut"));
        struct spool *s = open_plain("cut");
        spool_begin_epoch(s, 6);
        append_many(s, 3);
        /* One that was finished is not mistaken for this one. */
        CU_ASSERT_EQUAL(spool_rebase(s, 7, none, none, "start", 5, rewrite_same, NULL), 0);
        spool_ack(s, (struct position){7, 3}, instant_now());
        append_many(s, 6);
        spool_close(s);
        pid_t child = fork();
        if (child == 0) {
            struct spool_config config = plain;
            config.folder = in_folder("cut");
            if (spool_open(&s, &config) == 0) {
                spool_rebase(s, 50, none, (struct position){7, 3}, "start", 5, rewrite_same, &stop);
            }
            _exit(1);
        }
        int status = 1;
        CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
        CU_ASSERT_EQUAL(status, 0);
        CU_ASSERT_EQUAL(access(segment_path("cut", 50, 0), F_OK), 0);
        s = open_plain("cut");
        CU_ASSERT_EQUAL(position_compare(spool_last(s), (struct position){7, 9}), 0);
        CU_ASSERT_EQUAL(read_all(s, (struct position){7, 3}, &tombstones), 6);
        CU_ASSERT_EQUAL(tombstones, 0);
        CU_ASSERT_NOT_EQUAL(access(segment_path("cut", 50, 0), F_OK), 0);
        spool_close(s);
    }
}

/* Anything in any order, against what must be: each ID once, in order. */
static void
random_life_loses_nothing(void)
{
    struct spool_config config = plain;
    unsigned tombstones;

    config.segment_bytes = 700;
    config.disk_bytes = 20000;
    config.memory_bytes = 100000;
    struct spool *s = open_config("life", config);
    uint64_t epoch = 10, appended = 0;
    struct position acked = none;
    spool_begin_epoch(s, epoch);
    for (int step = 0; step < 3000; step++) {
        switch (random_below(40)) {
        case 0: {
            struct spool_health h;
            spool_health(s, &h);
            if (h.in_memory == 0) {
                spool_close(s);
                s = open_config("life", config);
                epoch += 1 + random_below(3);
                spool_begin_epoch(s, epoch);
            }
            break;
        }
        case 1:
        case 2: {
            struct spool_record r;
            uint64_t go = random_below(60);
            while (go-- > 0 && spool_next(s, acked, &r) == 1) {
                acked = r.position;
                appended--;
            }
            spool_ack(s, acked, instant_now());
            break;
        }
        case 3:
            spool_sync(s);
            break;
        default:
            append(s);
            appended++;
        }
        if (step % 100 == 0) {
            CU_ASSERT_EQUAL(read_all(s, acked, &tombstones), appended);
            CU_ASSERT_EQUAL(tombstones, 0);
        }
    }
    spool_close(s);
}

static void
large_records_and_long_segments_are_found_by_mark(void)
{
    struct spool *s = open_plain("large");
    struct position p;
    struct spool_record r;
    size_t size = 600000;
    uint8_t *bytes = malloc(size);

    CU_ASSERT_FATAL(bytes != NULL);
    spool_begin_epoch(s, 7);
    for (unsigned i = 0; i < 60; i++) {
        memset(bytes, (int)i, size);
        size_t part = i % 3 ? 20000 : size;
        CU_ASSERT_EQUAL(spool_append(s, bytes, part, (struct instant){0}, (struct instant){0}, &p),
                        0);
    }
    for (int round = 0; round < 300; round++) {
        uint64_t i = random_below(60);
        CU_ASSERT_EQUAL(spool_next(s, position_before((struct position){7, i}), &r), 1);
        CU_ASSERT_EQUAL(r.position.sequence, i);
        CU_ASSERT_EQUAL(r.size, i % 3 ? 20000 : size);
        CU_ASSERT(r.bytes[0] == i && r.bytes[r.size - 1] == i);
    }
    free(bytes);
    spool_close(s);
}

static const char *
fixture(const char *name)
{
    static char path[512];
    const char *source = getenv("srcdir");

    snprintf(path, sizeof path, "%s/tests/fixtures/%s", source ? source : ".", name);
    return path;
}

/* A segment that the first release wrote.  It stays readable. */
static void
fixture_of_format_one_reads(void)
{
    struct spool *s = open_plain("fixture");
    struct spool_record r;
    unsigned tombstones;
    size_t size;

    spool_begin_epoch(s, 1700000000123);
    append_many(s, 5);
    spool_close(s);
    const char *made = segment_path("fixture", 1700000000123, 0);
    uint8_t *ours = read_whole(made, &size);
    CU_ASSERT_FATAL(ours != NULL);
    if (getenv("PLUMBLINE_WRITE_FIXTURES")) {
        write_whole(fixture("spool-1.seg"), ours, size);
    }
    size_t kept_size = 0;
    uint8_t *kept = read_whole(fixture("spool-1.seg"), &kept_size);
    CU_ASSERT_FATAL(kept != NULL);
    CU_ASSERT(kept_size == size && memcmp(ours, kept, size) == 0);
    write_whole(made, kept, kept_size);
    free(ours);
    free(kept);
    s = open_plain("fixture");
    CU_ASSERT_EQUAL(read_all(s, none, &tombstones), 5);
    CU_ASSERT_EQUAL(tombstones, 0);
    CU_ASSERT_EQUAL(spool_next(s, (struct position){1700000000123, 3}, &r), 1);
    CU_ASSERT_EQUAL(r.from.ns, 1004 * NS_PER_S);
    CU_ASSERT_EQUAL(r.until.ns, 1005 * NS_PER_S);
    spool_close(s);
}

static CU_TestInfo tests[] = {
    {"checksum_is_the_known_one", checksum_is_the_known_one},
    {"restart_continues_where_it_was", restart_continues_where_it_was},
    {"second_process_is_kept_out", second_process_is_kept_out},
    {"last_record_torn_at_each_byte_is_a_tombstone", last_record_torn_at_each_byte_is_a_tombstone},
    {"flipped_bit_never_gives_wrong_data", flipped_bit_never_gives_wrong_data},
    {"damage_in_the_middle_gets_its_span_from_its_neighbours",
     damage_in_the_middle_gets_its_span_from_its_neighbours},
    {"no_more_records_than_had_room_are_lost", no_more_records_than_had_room_are_lost},
    {"lost_segment_becomes_tombstones", lost_segment_becomes_tombstones},
    {"ack_lets_go_of_what_is_too_old_or_too_much", ack_lets_go_of_what_is_too_old_or_too_much},
    {"damaged_ack_file_sends_all_again", damaged_ack_file_sends_all_again},
    {"newer_format_is_not_touched", newer_format_is_not_touched},
    {"full_disk_keeps_in_memory_and_then_drops_the_oldest",
     full_disk_keeps_in_memory_and_then_drops_the_oldest},
    {"rebase_gives_new_positions_once", rebase_gives_new_positions_once},
    {"rebase_cut_off_anywhere_has_not_happened", rebase_cut_off_anywhere_has_not_happened},
    {"random_life_loses_nothing", random_life_loses_nothing},
    {"large_records_and_long_segments_are_found_by_mark",
     large_records_and_long_segments_are_found_by_mark},
    {"fixture_of_format_one_reads", fixture_of_format_one_reads},
    CU_TEST_INFO_NULL,
};

int
main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    return folder_run_suite("spool", tests);
}
