/* test_stream.c - nothing lost, nothing twice: a source, a real Redis and a
 * consumer that keeps to stream.h, through everything that can happen between
 * them. */
#include "log.h"
#include "stream_pair.h"

static void
batches_arrive_once_in_order(void)
{
    struct stream_health h;

    begin();
    source_start(5000);
    CU_ASSERT_EQUAL(stream_append(source.stream, "", 0, clock_now, clock_now), -EBUSY);
    CU_ASSERT_TRUE_FATAL(wait_open());
    CU_ASSERT_EQUAL(source.opened, 1);
    CU_ASSERT_EQUAL(spool_upcoming(source.spool).epoch, UINT64_C(1700000000000));
    append(700);
    CU_ASSERT_TRUE(run(true, 60));
    redisReply *all = redis_do(&server, "XRANGE %s - +", KEY);
    CU_ASSERT_EQUAL_FATAL(all->elements, 700);
    for (size_t i = 0; i < all->elements; i++) {
        char id[64];
        snprintf(id, sizeof id, "1700000000000-%zu", i);
        CU_ASSERT_STRING_EQUAL(all->element[i]->element[0]->str, id);
    }
    freeReplyObject(all);
    append(300);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    CU_ASSERT_EQUAL(consumer.gaps, 0);
    stream_health(source.stream, &h);
    CU_ASSERT_EQUAL(h.resends, 0);
    CU_ASSERT_EQUAL(h.conflicts, 0);
    CU_ASSERT_STRING_EQUAL(h.last_error, "");
    source_stop();
    /* The next boot names this epoch. */
    clock_now.ns += 60 * NS_PER_S;
    source_start(5000);
    CU_ASSERT_TRUE(wait_open());
    CU_ASSERT_EQUAL(spool_previous(source.spool).epoch, UINT64_C(1700000000000));
    CU_ASSERT_EQUAL(spool_previous(source.spool).sequence, 999);
    append(10);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    CU_ASSERT_EQUAL(consumer.starts, 2);
    CU_ASSERT_EQUAL(consumer.gaps, 0);
    source_stop();
}

static void
redis_killed_and_restarted(void)
{
    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    for (int round = 0; round < 4; round++) {
        append(150);
        run_for((int64_t)random_below(40) + 1, round % 2);
        redis_server_kill(&server);
        append(100);
        run_for(20, false);
        redis_server_start(&server);
    }
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    source_stop();
}

static void
redis_wiped(void)
{
    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    for (int round = 0; round < 4; round++) {
        append(200);
        run_for((int64_t)random_below(30) + 1, true);
        if (round == 2) {
            /* Idle, with entries that nobody has read yet, and nothing that a collector
             * who stands still would have to delete first. */
            CU_ASSERT_TRUE(run(false, 120));
            append(100);
            CU_ASSERT_TRUE(run(true, 60));
        }
        redis_run(&server, "FLUSHALL");
        append(round == 2 ? 0 : 50);
    }
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    source_stop();
}

/* Nothing more is appended, nobody reads: the source finds out by itself. */
static void
redis_wiped_while_idle(void)
{
    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(80);
    CU_ASSERT_TRUE(run(true, 60));
    redis_run(&server, "FLUSHALL");
    run_for(1500, false);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    CU_ASSERT_EQUAL(consumer.entries, 80);
    CU_ASSERT_EQUAL(consumer.gaps, 0);
    source_stop();
}

static void
want_is_seen_while_idle(void)
{
    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(80);
    CU_ASSERT_TRUE(run(false, 120));
    run_for(1200, false);
    consumer.position.sequence = 19;
    memset(consumer.times, 0, sizeof consumer.times);
    consumer_gap();
    struct span end = {mono_now().ns + 60 * NS_PER_S};
    while (consumer.position.sequence < 79 && mono_now().ns < end.ns) {
        run_for(5, true);
    }
    for (uint64_t i = 1; i <= 80; i++) {
        CU_ASSERT_EQUAL(consumer.times[i], i > 20 ? 1 : 0);
    }
    CU_ASSERT_EQUAL(consumer.gaps, 1);
    source_stop();
}

/* What is wanted cannot enter below what is there: nothing is sent until the
 * stream is deleted, then all of it. */
static void
want_waits_for_the_stream_to_be_deleted(void)
{
    char want[64];

    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(20);
    CU_ASSERT_TRUE(run(true, 60));
    uint64_t epoch = spool_upcoming(source.spool).epoch;
    redis_run(&server, "XTRIM %s MINID %" PRIu64 "-10", KEY, epoch);
    snprintf(want, sizeof want, "%" PRIu64 "-4", epoch);
    set_ack((struct position){epoch, 3}, want);
    run_for(1300, false);
    append(20);
    run_for(500, false);
    CU_ASSERT_EQUAL(stream_length(), 10);
    redis_run(&server, "DEL %s", KEY);
    run_for(1500, false);
    CU_ASSERT_EQUAL(stream_length(), 36);
    source_stop();
}

/* What was spooled while Redis was away has IDs below what another host of the
 * same name has written since. */
static void
records_shut_out_at_start_get_new_positions(void)
{
    struct stream_health h;
    struct position theirs = {UINT64_C(1700000500000), 7};

    begin();
    redis_server_kill(&server);
    source_start(50);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(70);
    source_stop();
    redis_server_start(&server);
    redis_run(&server, "XADD %s %" PRIu64 "-7 b x", KEY, theirs.epoch);
    redis_run(&server, "XTRIM %s MAXLEN 0", KEY);
    set_ack(theirs, "-");
    consumer.position = theirs;
    clock_now.ns -= 3600 * NS_PER_S;
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    CU_ASSERT_EQUAL(spool_upcoming(source.spool).epoch, theirs.epoch + 1);
    append(30);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    stream_health(source.stream, &h);
    CU_ASSERT_EQUAL(h.conflicts, 1);
    CU_ASSERT_EQUAL(consumer.starts, 1);
    CU_ASSERT_EQUAL(consumer.gaps, 0);
    source_stop();
}

static void
redis_out_of_memory_and_back(void)
{
    struct stream_health h;

    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(100);
    run_for(20, true);
    redis_run(&server, "CONFIG SET maxmemory 1");
    append(100);
    run_for(500, false);
    append(100);
    run_for(500, false);
    stream_health(source.stream, &h);
    CU_ASSERT(h.refused_oom >= 2 && h.refused_oom <= 6);
    CU_ASSERT_FALSE(h.caught_up);
    CU_ASSERT_PTR_NOT_NULL(strstr(h.last_error, "OOM"));
    redis_run(&server, "CONFIG SET maxmemory 0");
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    CU_ASSERT_EQUAL(consumer.gaps, 0);
    source_stop();
}

static void
older_append_only_file_restored(void)
{
    char command[400];

    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(200);
    CU_ASSERT_TRUE(run(true, 60));
    /* Half of it is read, then the file is copied. */
    consumer_turn();
    consumer_turn();
    usleep(1200000);
    snprintf(command, sizeof command, "cp -a %s/redis/appendonlydir %s/old", folder_path,
             folder_path);
    CU_ASSERT_EQUAL(system(command), 0);
    CU_ASSERT_TRUE(run(false, 120));
    append(300);
    run_for(50, true);
    append(20);
    redis_server_kill(&server);
    snprintf(command, sizeof command,
             "rm -r %s/redis/appendonlydir && mv %s/old %s/redis/appendonlydir", folder_path,
             folder_path, folder_path);
    CU_ASSERT_EQUAL(system(command), 0);
    redis_server_start(&server);
    append(30);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    source_stop();
}

static void
clock_stepped_back_between_boots(void)
{
    begin();
    for (int boot = 0; boot < 4; boot++) {
        source_start(5000);
        CU_ASSERT_TRUE_FATAL(wait_open());
        append(60);
        if (boot % 2 == 0) {
            run_for(15, boot == 0);
        } else {
            CU_ASSERT_TRUE(run(false, 120));
        }
        source_stop();
        clock_now.ns -= 3600 * NS_PER_S;
    }
    source_start(5000);
    append(wait_open() ? 5 : 0);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    CU_ASSERT_EQUAL(consumer.starts, 5);
    source_stop();
}

/* The spool's folder is gone and the clock is an hour back; what Redis holds says
 * where to go on. */
static void
lost_spool_goes_on_above_what_redis_holds(void)
{
    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(100);
    CU_ASSERT_TRUE(run(true, 60));
    source_stop();
    folder_remove(in_folder("spool"));
    clock_now.ns -= 3600 * NS_PER_S;
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    CU_ASSERT_EQUAL(spool_upcoming(source.spool).epoch, UINT64_C(1700000000001));
    append(50);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    CU_ASSERT_EQUAL(consumer.gaps, 0);
    source_stop();
}

/* The same, but Redis is away when the source starts: its epoch is below what
 * Redis holds, and what it has written so far needs new IDs. */
static void
epoch_opened_without_redis_moves_above_what_it_holds(void)
{
    struct stream_health h;

    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(100);
    CU_ASSERT_TRUE(run(true, 60));
    consumer_turn();
    source_stop();
    folder_remove(in_folder("spool"));
    clock_now.ns -= 3600 * NS_PER_S;
    sleep(1);
    redis_server_kill(&server);

    source_start(50);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(150);
    run_for(20, false);
    /* Another boot, before Redis is there again. */
    source_stop();
    clock_now.ns += NS_PER_S;
    source_start(50);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(40);
    redis_server_start(&server);
    CU_ASSERT_TRUE(run(false, 120));
    append(40);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    stream_health(source.stream, &h);
    CU_ASSERT_EQUAL(h.conflicts, 1);
    CU_ASSERT(h.sent.epoch > UINT64_C(1700000000000));
    source_stop();
}

/* Somebody else wrote to the stream, above all of ours. */
static void
foreign_entries_are_gone_around(void)
{
    struct stream_health h;

    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(100);
    CU_ASSERT_TRUE(run(true, 60));
    redis_run(&server, "XADD %s 1800000000000-7 b x", KEY);
    append(100);
    CU_ASSERT_TRUE(run(true, 60));
    stream_health(source.stream, &h);
    CU_ASSERT_EQUAL(h.conflicts, 1);
    redisReply *all = redis_do(&server, "XRANGE %s - +", KEY);
    /* 100, theirs, a start of an epoch, 100. */
    CU_ASSERT_EQUAL_FATAL(all->elements, 202);
    CU_ASSERT_STRING_EQUAL(all->element[101]->element[0]->str, "1800000000001-0");
    CU_ASSERT_STRING_EQUAL(all->element[201]->element[0]->str, "1800000000001-100");
    freeReplyObject(all);
    /* A collector that takes theirs for a gap gets ours all the same. */
    redis_run(&server, "XDEL %s 1800000000000-7", KEY);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    source_stop();
}

static void
restored_database_gets_what_it_wants(void)
{
    struct stream_health h;

    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(120);
    CU_ASSERT_TRUE(run(false, 120));
    struct position backup = consumer.position;
    unsigned times[BATCHES_MAX + 1];
    memcpy(times, consumer.times, sizeof times);
    append(200);
    CU_ASSERT_TRUE(run(false, 120));
    source_stop();
    clock_now.ns += 10 * NS_PER_S;
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(100);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    /* The database is as it was. */
    consumer.position = backup;
    memcpy(consumer.times, times, sizeof times);
    append(10);
    CU_ASSERT_TRUE(run(true, 60));
    struct span end = {mono_now().ns + 60 * NS_PER_S};
    while (position_compare(consumer.position, spool_last(source.spool)) < 0 &&
           mono_now().ns < end.ns) {
        run_for(5, true);
    }
    check_all_once();
    stream_health(source.stream, &h);
    CU_ASSERT(h.want_obeyed >= 1);
    CU_ASSERT(consumer.gaps >= 1);
    /* A committed below what the source knows of changes nothing. */
    run_for(1300, false);
    CU_ASSERT_EQUAL(position_compare(spool_acked(source.spool), spool_last(source.spool)), 0);
    set_ack(backup, "-");
    run_for(1300, false);
    CU_ASSERT_EQUAL(position_compare(spool_acked(source.spool), spool_last(source.spool)), 0);
    source_stop();
}

static void
wanted_but_no_longer_kept_comes_as_tombstones(void)
{
    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(900);
    CU_ASSERT_TRUE(run(false, 120));
    struct position first = {spool_upcoming(source.spool).epoch, 0};
    /* All closed segments go. */
    spool_ack(source.spool, spool_acked(source.spool),
              instant_add(instant_now(), span_of_ns(7200 * NS_PER_S)));
    memset(&consumer.times, 0, sizeof consumer.times);
    consumer.position = (struct position){first.epoch, 99};
    consumer.entries = 0;
    append(5);
    CU_ASSERT_TRUE(run(true, 60));
    struct span end = {mono_now().ns + 60 * NS_PER_S};
    while (position_compare(consumer.position, spool_last(source.spool)) < 0 &&
           mono_now().ns < end.ns) {
        run_for(5, true);
    }
    CU_ASSERT_EQUAL(consumer.entries, 805);
    CU_ASSERT(consumer.tombstones > 400 && consumer.tombstones < 800);
    for (uint64_t i = 1; i <= 905; i++) {
        CU_ASSERT_EQUAL(consumer.times[i], i > 100 + consumer.tombstones ? 1 : 0);
    }
    /* An epoch that the source no longer knows: it goes on with the first it does. */
    consumer.position = (struct position){first.epoch - 1000, 3};
    consumer.entries = 0;
    consumer_gap();
    end.ns = mono_now().ns + 60 * NS_PER_S;
    while (position_compare(consumer.position, spool_last(source.spool)) < 0 &&
           mono_now().ns < end.ns) {
        run_for(5, true);
    }
    CU_ASSERT_EQUAL(consumer.entries, 905);
    CU_ASSERT_EQUAL(position_compare(consumer.position, spool_last(source.spool)), 0);
    source_stop();
}

static void
unreadable_ack_is_counted_and_changes_nothing(void)
{
    static const char *const bad[] = {"",          "2 1-1 - run", "1 1-1",
                                      "1 1 - run", "1 1-1 x run", "1 -1-1 - run",
                                      "1 1-1 -",   "1 1-1 1-",    "1 99999999999999999999-1 - run"};
    struct stream_health h;

    begin();
    source_start(5000);
    CU_ASSERT_TRUE_FATAL(wait_open());
    append(10);
    CU_ASSERT_TRUE(run(true, 60));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        redis_run(&server, "SET %s %s", ACK, bad[i]);
        append(1);
        CU_ASSERT_TRUE(run(true, 60));
        stream_health(source.stream, &h);
        CU_ASSERT(h.bad_acks > i);
    }
    CU_ASSERT_EQUAL(spool_acked(source.spool).epoch, 0);
    CU_ASSERT_TRUE(run(false, 120));
    check_all_once();
    source_stop();
}

/* All of it in any order. */
static void
random_life_loses_nothing(void)
{
    begin();
    bytes_max = 600 * QUOTA_ENTRY_BYTES;
    source_start(300);
    CU_ASSERT_TRUE_FATAL(wait_open());
    for (int step = 0; step < 150; step++) {
        append((unsigned)random_below(40));
        run_for((int64_t)random_below(8) + 1, server.pid != 0 && random_below(3) > 0);
        switch (random_below(14)) {
        case 0:
            redis_run(&server, "FLUSHALL");
            break;
        case 1:
            redis_server_kill(&server);
            append((unsigned)random_below(40));
            run_for((int64_t)random_below(30) + 1, false);
            redis_server_start(&server);
            break;
        case 2:
            source_stop();
            clock_now.ns += ((int64_t)random_below(7200) - 3600) * NS_PER_S;
            source_start(300);
            CU_ASSERT_TRUE_FATAL(wait_open());
            break;
        case 3:
            redis_run(&server, "CONFIG SET maxmemory 1");
            break;
        case 4:
        case 5:
            redis_run(&server, "CONFIG SET maxmemory 0");
            break;
        case 6:
            /* As after a claim that does not find what it needs. */
            consumer_gap();
            break;
        default:
            break;
        }
    }
    redis_run(&server, "CONFIG SET maxmemory 0");
    CU_ASSERT_TRUE(run(false, 60));
    check_all_once();
    source_stop();
}

/* The ack as collectors of format 1 write it. */
static void
the_ack_of_format_1_is_read_field_by_field(void)
{
    char path[512], line[128];
    const char *folder = getenv("srcdir");
    struct stream_ack ack;

    snprintf(path, sizeof path, "%s/tests/fixtures/ack-1.txt", folder ? folder : ".");
    FILE *f = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(line, sizeof line, f));
    CU_ASSERT_TRUE(stream_parse_ack(line, strlen(line), &ack));
    CU_ASSERT_EQUAL(ack.committed.epoch, UINT64_C(1795251956000));
    CU_ASSERT_EQUAL(ack.committed.sequence, 41);
    CU_ASSERT_FALSE(ack.wanting);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(line, sizeof line, f));
    CU_ASSERT_TRUE(stream_parse_ack(line, strlen(line), &ack));
    CU_ASSERT_EQUAL(position_compare(ack.committed, (struct position){0, 0}), 0);
    CU_ASSERT_TRUE(ack.wanting);
    CU_ASSERT_EQUAL(ack.want.epoch, UINT64_C(1795251956000));
    CU_ASSERT_EQUAL(ack.want.sequence, 42);
    fclose(f);
    CU_ASSERT_FALSE(stream_parse_ack("2 1-1 - 7", 9, &ack));
    CU_ASSERT_FALSE(stream_parse_ack("1 1-1 -", 7, &ack));
}

/* What a collector asks stands behind its run; a probe of before did not look there. */
static void
what_is_asked_stands_behind_the_ack(void)
{
    static const struct {
        const char *line, *rest;
    } cases[] = {{"1 1-1 - 7", ""},          {"1 1-1 - 7 ", ""},
                 {"1 1-1 - 7 17:a", "17:a"}, {"1 1-1 2-3 -7 17:a,18:b", "17:a,18:b"},
                 {"1 1-1 -  17:a", "17:a"},  {"1 1-1 - 7  x y", " x y"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t size = strlen(cases[i].line);
        struct stream_ack ack;
        char *copy = malloc(size); /* Of that size, for the sanitizer. */
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy, cases[i].line, size);
        CU_ASSERT_TRUE_FATAL(stream_parse_ack(copy, size, &ack));
        CU_ASSERT_EQUAL(ack.rest_size, strlen(cases[i].rest));
        CU_ASSERT_EQUAL(memcmp(ack.rest, cases[i].rest, ack.rest_size), 0);
        free(copy);
    }
}

static CU_TestInfo tests[] = {
    {"what_is_asked_stands_behind_the_ack", what_is_asked_stands_behind_the_ack},
    {"the_ack_of_format_1_is_read_field_by_field", the_ack_of_format_1_is_read_field_by_field},
    {"batches_arrive_once_in_order", batches_arrive_once_in_order},
    {"redis_killed_and_restarted", redis_killed_and_restarted},
    {"redis_wiped", redis_wiped},
    {"redis_wiped_while_idle", redis_wiped_while_idle},
    {"want_is_seen_while_idle", want_is_seen_while_idle},
    {"want_waits_for_the_stream_to_be_deleted", want_waits_for_the_stream_to_be_deleted},
    {"records_shut_out_at_start_get_new_positions", records_shut_out_at_start_get_new_positions},
    {"redis_out_of_memory_and_back", redis_out_of_memory_and_back},
    {"older_append_only_file_restored", older_append_only_file_restored},
    {"clock_stepped_back_between_boots", clock_stepped_back_between_boots},
    {"lost_spool_goes_on_above_what_redis_holds", lost_spool_goes_on_above_what_redis_holds},
    {"epoch_opened_without_redis_moves_above_what_it_holds",
     epoch_opened_without_redis_moves_above_what_it_holds},
    {"foreign_entries_are_gone_around", foreign_entries_are_gone_around},
    {"restored_database_gets_what_it_wants", restored_database_gets_what_it_wants},
    {"wanted_but_no_longer_kept_comes_as_tombstones",
     wanted_but_no_longer_kept_comes_as_tombstones},
    {"unreadable_ack_is_counted_and_changes_nothing",
     unreadable_ack_is_counted_and_changes_nothing},
    {"random_life_loses_nothing", random_life_loses_nothing},
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
    return folder_run_suite("stream", tests);
}
