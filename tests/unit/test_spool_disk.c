/* test_spool_disk.c - a disk that is really full, and one that refuses: on a small
 * tmpfs in a mount namespace of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "folder.h"
#include "log.h"
#include "spool.h"

#define PAYLOAD 900

static const struct spool_config plain = {
    .source = "pop-a",
    .keep = {3600 * NS_PER_S},
    .keep_bytes = 1u << 30,
    .segment_bytes = 16u << 10,
    .memory_bytes = 32u << 10,
};

static struct spool *
open_spool(void)
{
    struct spool_config config = plain;
    struct spool *s = NULL;

    config.folder = "/mnt/spool";
    CU_ASSERT_EQUAL_FATAL(spool_open(&s, &config), 0);
    return s;
}

static void
append(struct spool *s, unsigned count)
{
    uint8_t bytes[PAYLOAD];
    struct position p;

    while (count-- > 0) {
        uint64_t n = spool_upcoming(s).sequence;
        memset(bytes, (int)(n % 251), sizeof bytes);
        struct instant from = {(int64_t)(n + 1) * NS_PER_S};
        CU_ASSERT_EQUAL(
            spool_append(s, bytes, sizeof bytes, from, instant_add(from, span_of_ns(NS_PER_S)), &p),
            0);
    }
}

/* Every ID is there, once; returns how many are tombstones. */
static unsigned
check(struct spool *s, struct position after, uint64_t count)
{
    struct spool_record r;
    unsigned tombstones = 0;

    for (uint64_t i = 0; i < count; i++) {
        CU_ASSERT_EQUAL_FATAL(spool_next(s, after, &r), 1);
        CU_ASSERT(r.position.sequence ==
                  (r.position.epoch == after.epoch ? after.sequence + 1 : 0));
        if (r.tombstone) {
            tombstones++;
        } else {
            uint8_t byte = (uint8_t)(r.position.sequence % 251);
            CU_ASSERT(r.size == PAYLOAD && r.bytes[0] == byte && r.bytes[PAYLOAD - 1] == byte);
        }
        after = r.position;
    }
    CU_ASSERT_EQUAL(spool_next(s, after, &r), 0);
    return tombstones;
}

static void
fill_disk(bool full)
{
    static uint8_t zeros[4096];

    unlink("/mnt/filler");
    if (!full) {
        return;
    }
    int fd = open("/mnt/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    while (write(fd, zeros, sizeof zeros) > 0) {
    }
    close(fd);
}

static void
full_disk_is_memory_then_tombstones_then_disk_again(void)
{
    struct position none = {0, 0};
    struct spool_health h;
    struct spool *s = open_spool();

    CU_ASSERT_EQUAL(spool_begin_epoch(s, 7), 0);
    append(s, 20);
    fill_disk(true);
    append(s, 20);
    spool_health(s, &h);
    CU_ASSERT_TRUE(h.disk_full);
    CU_ASSERT_EQUAL(h.last_errno, ENOSPC);
    CU_ASSERT(h.in_memory > 10);
    CU_ASSERT_EQUAL(h.dropped, 0);
    CU_ASSERT_EQUAL(check(s, none, 40), 0);
    append(s, 60);
    spool_health(s, &h);
    CU_ASSERT(h.dropped > 20 && h.dropped < 80);
    CU_ASSERT_EQUAL(check(s, none, 100), h.dropped);
    /* The ack needs room too: what it lets go of makes it. */
    CU_ASSERT_EQUAL(spool_ack(s, (struct position){7, 14}, instant_now()), -ENOSPC);
    spool_sync(s);
    spool_health(s, &h);
    uint64_t in_memory = h.in_memory;
    CU_ASSERT(in_memory > 0);
    fill_disk(false);
    CU_ASSERT_EQUAL(spool_sync(s), 0);
    spool_health(s, &h);
    CU_ASSERT_EQUAL(h.in_memory, 0);
    CU_ASSERT_FALSE(h.disk_full);
    CU_ASSERT_EQUAL(check(s, (struct position){7, 14}, 85), h.dropped);
    append(s, 5);
    spool_close(s);
    s = open_spool();
    CU_ASSERT_EQUAL(check(s, (struct position){7, 14}, 90), h.dropped);
    spool_close(s);
}

static void
epoch_begins_on_a_full_disk(void)
{
    struct spool_health h;
    struct spool *s = open_spool();
    struct position last = spool_last(s);

    fill_disk(true);
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 8), -ENOSPC);
    append(s, 5);
    spool_health(s, &h);
    CU_ASSERT_EQUAL(h.in_memory, 5);
    CU_ASSERT_EQUAL(check(s, last, 5), 0);
    fill_disk(false);
    CU_ASSERT_EQUAL(spool_sync(s), 0);
    spool_close(s);
    s = open_spool();
    CU_ASSERT_EQUAL(check(s, last, 5), 0);
    /* It still knows what came before. */
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 9), 0);
    CU_ASSERT_EQUAL(spool_previous(s).epoch, 8);
    spool_close(s);
}

/* Files may not grow past a limit: writes are cut short or fail with EFBIG. */
static void
file_that_refuses_is_left_for_another(void)
{
    struct rlimit old, small;
    struct spool_health h;
    struct spool *s = open_spool();
    struct position last = spool_last(s);

    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 5000;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 10), 0);
    append(s, 40);
    spool_sync(s);
    setrlimit(RLIMIT_FSIZE, &old);
    spool_sync(s);
    spool_health(s, &h);
    CU_ASSERT_EQUAL(h.in_memory, 0);
    CU_ASSERT_EQUAL(h.last_errno, EFBIG);
    CU_ASSERT_EQUAL(check(s, last, 40), 0);
    spool_close(s);
    s = open_spool();
    CU_ASSERT_EQUAL(check(s, last, 40), 0);
    spool_close(s);
}

/* Nor does a write that was cut short look like a record begun, if the process
 * dies before there is room again. */
static void
write_cut_short_leaves_nothing_behind(void)
{
    struct rlimit old, small;
    struct spool *s = open_spool();
    struct position last = spool_last(s), begun;

    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 5000;
    CU_ASSERT_EQUAL(spool_begin_epoch(s, 20), 0);
    append(s, 5);
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_FSIZE, &small), 0);
    append(s, 1);
    setrlimit(RLIMIT_FSIZE, &old);
    begun = spool_last(s);
    CU_ASSERT_EQUAL(begun.sequence, 5);
    fill_disk(true);
    spool_close(s);
    fill_disk(false);
    s = open_spool();
    CU_ASSERT_EQUAL(spool_last(s).sequence, 4);
    CU_ASSERT_EQUAL(check(s, last, 5), 0);
    spool_close(s);
}

static CU_TestInfo tests[] = {
    {"full_disk_is_memory_then_tombstones_then_disk_again",
     full_disk_is_memory_then_tombstones_then_disk_again},
    {"epoch_begins_on_a_full_disk", epoch_begins_on_a_full_disk},
    {"file_that_refuses_is_left_for_another", file_that_refuses_is_left_for_another},
    {"write_cut_short_leaves_nothing_behind", write_cut_short_leaves_nothing_behind},
    CU_TEST_INFO_NULL,
};

/* Everything is on the tmpfs, which goes with the namespace. */
static bool
private_disk(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", "/mnt", "tmpfs", 0, "size=320k") == 0;
}

int
main(void)
{
    if (!private_disk()) {
        printf("not permitted: %s\n", strerror(errno));
        return 77;
    }
    log_set_level(LOG_LEVEL_ERROR);
    signal(SIGXFSZ, SIG_IGN);
    return folder_run_suite("spool_disk", tests);
}
