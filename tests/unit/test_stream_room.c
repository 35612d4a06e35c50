/* test_stream_room.c - a stream that has a bound: what does not fit waits in the spool, and nothing
 * is lost by it. */
#include "log.h"
#include "stream_pair.h"

/* Turns the source alone until it says that the stream is full. */
static bool
wait_full(void)
{
    struct span end = {mono_now().ns + 60 * NS_PER_S};
    struct stream_health h;

    do {
        run_for(5, false);
        stream_health(source.stream, &h);
    } while (h.full == 0 && mono_now().ns < end.ns);
    return h.full > 0;
}

/* A source looks for room once a second: so many at once that the last of 200 do not take long. */
#define ROOM 80

static void
a_full_stream_waits_for_the_collector(void)
{
    struct stream_health h;

    begin();
    bytes_max = ROOM * (QUOTA_ENTRY_BYTES + 16);
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(200);
    CU_ASSERT_TRUE(wait_full());
    long long full = stream_length();
    CU_ASSERT_TRUE(full > ROOM / 4 && full <= ROOM + 2);
    run_for(300, false);
    CU_ASSERT_EQUAL(stream_length(), full);

    /* A new process counts from spool and stream, and does not begin anew. */
    source_stop();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(1);
    CU_ASSERT_TRUE(wait_full());
    CU_ASSERT_EQUAL(stream_length(), full);
    stream_health(source.stream, &h);
    CU_ASSERT_TRUE(h.bytes > 0 && h.bytes <= bytes_max);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    source_stop();
}

static void
the_bound_does_not_hold_within_what_an_interval_needs(void)
{
    begin();
    bytes_max = 20 * (QUOTA_ENTRY_BYTES + 16);
    bytes_for = span_of_ns(100 * NS_PER_S); /* Batches of a second each. */
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(100);
    CU_ASSERT_TRUE(run(true, 60));
    CU_ASSERT_EQUAL(stream_length(), 100);
    append(1);
    CU_ASSERT_TRUE(wait_full());
    CU_ASSERT_EQUAL(stream_length(), 100);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    source_stop();
}

/* Redis lost the ack with its last second, and a collector of an earlier release tells
 * it no more: what it has trimmed is room all the same. */
static void
what_is_trimmed_without_an_ack_is_room_too(void)
{
    begin();
    bytes_max = 20 * (QUOTA_ENTRY_BYTES + 16);
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(60);
    CU_ASSERT_TRUE(wait_full());
    for (int i = 0; i < 30 && !run(true, 2); i++) {
        redis_run(&server, "XTRIM %s MAXLEN 0", KEY);
    }
    struct stream_health h;
    stream_health(source.stream, &h);
    CU_ASSERT_TRUE(h.caught_up);
    CU_ASSERT_FALSE(h.is_full);
    CU_ASSERT_EQUAL(spool_acked(source.spool).epoch, 0);
    source_stop();
}

static void
a_wiped_or_wanted_stream_has_room_again(void)
{
    begin();
    bytes_max = ROOM * (QUOTA_ENTRY_BYTES + 16);
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(200);
    CU_ASSERT_TRUE(wait_full());
    consumer_gap();
    CU_ASSERT_TRUE(run(false, 120));
    append(200);
    redis_run(&server, "FLUSHALL");
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    source_stop();
}

static CU_TestInfo tests[] = {
    {"a_full_stream_waits_for_the_collector", a_full_stream_waits_for_the_collector},
    {"the_bound_does_not_hold_within_what_an_interval_needs",
     the_bound_does_not_hold_within_what_an_interval_needs},
    {"what_is_trimmed_without_an_ack_is_room_too", what_is_trimmed_without_an_ack_is_room_too},
    {"a_wiped_or_wanted_stream_has_room_again", a_wiped_or_wanted_stream_has_room_again},
    {"server_stops", server_stops},
    CU_TEST_INFO_NULL,
};

int
main(void)
{
    if (!redis_server_found()) {
        printf("no redis-server\n");
        return 77;
    }
    log_set_level(getenv("PLUMBLINE_TEST_VERBOSE") ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    return folder_run_suite("stream-room", tests);
}
