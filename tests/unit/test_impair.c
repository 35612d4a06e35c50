/* test_impair.c - fates and commands of the emulated link, and what its log
 * reads from frames. */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emulog.h"
#include "impair.h"

static struct impair link_[2];
static char error[128];

static void
clean_link(void)
{
    impair_init(&link_[0], 1);
    impair_init(&link_[1], 2);
    error[0] = '\0';
}

static int
command(const char *text)
{
    return impair_command(link_, text, error, sizeof error);
}

static void
clean_link_passes_everything_at_once(void)
{
    clean_link();
    for (int64_t i = 1; i <= 1000; i++) {
        struct impair_fate f = impair_decide(&link_[0], instant_of_ns(i * NS_PER_MS), 46);
        CU_ASSERT_EQUAL_FATAL(f.action, IMPAIR_PASS);
        CU_ASSERT_EQUAL(f.due.ns, i * NS_PER_MS);
        CU_ASSERT_FALSE(f.duplicate || f.reordered);
    }
}

static void
values_are_exact(void)
{
    clean_link();
    CU_ASSERT_EQUAL(command("fwd loss 2% delay 5ms jitter 300us dup 0.5% reorder 1% by 1.5s"), 0);
    CU_ASSERT_EQUAL(link_[0].loss_ppm, 20000);
    CU_ASSERT_EQUAL(link_[0].delay.ns, 5 * NS_PER_MS);
    CU_ASSERT_EQUAL(link_[0].jitter.ns, 300 * NS_PER_US);
    CU_ASSERT_EQUAL(link_[0].duplicate_ppm, 5000);
    CU_ASSERT_EQUAL(link_[0].reorder_ppm, 10000);
    CU_ASSERT_EQUAL(link_[0].hold.ns, 1500 * NS_PER_MS);
    CU_ASSERT_EQUAL(link_[1].delay.ns, 0);
    CU_ASSERT_EQUAL(command("both loss 100% delay 7ns"), 0);
    CU_ASSERT_EQUAL(link_[1].loss_ppm, 1000000);
    CU_ASSERT_EQUAL(link_[0].delay.ns, 7);
    CU_ASSERT_EQUAL(command("reset"), 0);
    CU_ASSERT_EQUAL(link_[0].loss_ppm + link_[1].loss_ppm, 0);
    CU_ASSERT_EQUAL(link_[0].delay.ns, 0);
}

static void
wrong_commands_change_nothing(void)
{
    static const char *const wrong[] = {"",
                                        "fwd",
                                        "fwd loss",
                                        "fwd loss 100.1%",
                                        "fwd loss 2",
                                        "fwd loss -1%",
                                        "fwd delay",
                                        "fwd delay 5",
                                        "fwd delay 5m",
                                        "fwd delay 3601s",
                                        "up loss 1%",
                                        "fwd speed 1%",
                                        "cut",
                                        "cut up",
                                        "cut fwd now",
                                        "lose fwd",
                                        "lose fwd x",
                                        "lose fwd 1.5",
                                        "lose fwd 1 dscp",
                                        "lose fwd 1 dscp 64",
                                        "lose fwd 1000001",
                                        "reset all",
                                        "fwd delay 1ms loss 101%",
                                        "fwd delay 0.0000000001s",
                                        "fwd delay 99999999999999999999s"};
    struct impair before;

    clean_link();
    CU_ASSERT_EQUAL(command("fwd delay 2ms"), 0);
    before = link_[0];
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        error[0] = '\0';
        CU_ASSERT(command(wrong[i]) < 0);
        CU_ASSERT_NOT_EQUAL(error[0], '\0');
        CU_ASSERT_EQUAL(memcmp(&before, &link_[0], sizeof before), 0);
    }
    CU_ASSERT_EQUAL(command("fwd delay 3600s"), 0);
    CU_ASSERT_EQUAL(command("lose fwd 1000000 dscp 63"), 0);
}

static void
one_seed_is_one_sequence_of_fates(void)
{
    bool fates[1000];

    for (unsigned round = 0; round < 2; round++) {
        clean_link();
        /* Delay and jitter draw nothing that loss would miss. */
        CU_ASSERT_EQUAL(
            command(round ? "fwd loss 30% delay 5ms jitter 1ms dup 3%" : "fwd loss 30%"), 0);
        for (int64_t i = 0; i < 1000; i++) {
            bool lost =
                impair_decide(&link_[0], instant_of_ns(i * NS_PER_MS), 0).action == IMPAIR_LOST;
            CU_ASSERT(round == 0 || fates[i] == lost);
            fates[i] = lost;
        }
    }
}

static void
burst_takes_the_next_in_a_row_of_its_dscp(void)
{
    clean_link();
    CU_ASSERT_EQUAL(command("lose fwd 3 dscp 46"), 0);
    for (int64_t i = 0; i < 20; i++) {
        unsigned dscp = i % 2 ? 46 : 0;
        enum impair_action action = impair_decide(&link_[0], instant_of_ns(i), dscp).action;
        CU_ASSERT_EQUAL(action, dscp == 46 && i < 6 ? IMPAIR_BURST : IMPAIR_PASS);
    }
}

static void
cut_loses_all_until_mended(void)
{
    clean_link();
    CU_ASSERT_EQUAL(command("both delay 1ms"), 0);
    CU_ASSERT_EQUAL(command("cut bwd"), 0);
    CU_ASSERT_EQUAL(impair_decide(&link_[0], instant_of_ns(1), 0).action, IMPAIR_PASS);
    CU_ASSERT_EQUAL(impair_decide(&link_[1], instant_of_ns(1), 0).action, IMPAIR_CUT);
    CU_ASSERT_EQUAL(command("mend both"), 0);
    CU_ASSERT_EQUAL(impair_decide(&link_[1], instant_of_ns(1), 0).action, IMPAIR_PASS);
    CU_ASSERT_EQUAL(link_[1].delay.ns, NS_PER_MS);
}

static void
jitter_stays_within_bounds_and_keeps_order(void)
{
    int64_t last = 0, least = INT64_MAX, most = 0;

    clean_link();
    CU_ASSERT_EQUAL(command("fwd delay 5ms jitter 2ms"), 0);
    for (int64_t i = 1; i < 10000; i++) {
        int64_t rx = i * NS_PER_MS, due = impair_decide(&link_[0], instant_of_ns(rx), 0).due.ns;
        CU_ASSERT_FATAL(due >= last);
        last = due;
        least = due - rx < least ? due - rx : least;
        most = due - rx > most ? due - rx : most;
    }
    CU_ASSERT(least >= 3 * NS_PER_MS && least < 3200 * NS_PER_US);
    CU_ASSERT(most <= 7 * NS_PER_MS && most > 6800 * NS_PER_US);
}

static void
shares_are_kept(void)
{
    unsigned lost = 0, twice = 0, held = 0;

    clean_link();
    CU_ASSERT_EQUAL(command("fwd loss 10% dup 5% reorder 2% by 30ms"), 0);
    for (int64_t i = 0; i < 100000; i++) {
        struct impair_fate f = impair_decide(&link_[0], instant_of_ns(i * NS_PER_S), 0);
        lost += f.action == IMPAIR_LOST;
        twice += f.duplicate;
        held += f.reordered;
        CU_ASSERT(f.action == IMPAIR_LOST ||
                  f.due.ns - i * NS_PER_S == (f.reordered ? 30 * NS_PER_MS : 0));
    }
    /* Five standard deviations; dup and reorder are of what is not lost. */
    CU_ASSERT(lost > 10000 - 475 && lost < 10000 + 475);
    CU_ASSERT(twice > 4500 - 328 && twice < 4500 + 328);
    CU_ASSERT(held > 1800 - 211 && held < 1800 + 211);
}

/* An Ethernet frame with IPv4, UDP and 44 octets of a STAMP request. */
static const uint8_t request[14 + 20 + 8 + 44] = {
    2,    0,    0,    0,    0,    1,    2,    0,    0,    0,  0, 2, 0x08, 0x00, /* Ethernet */
    0x45, 0xb8, 0,    72,   0x12, 0x34, 0x40, 0,    255,  17, 0, 0, 10,   0,    0, 1, 10,
    0,    0,    2,                               /* IPv4, EF */
    0xc3, 0x50, 0x03, 0x5e, 0,    52,   0,    0, /* 50000 to 862 */
    0,    0,    0,    9,    0xee, 0xab, 0x62, 0x8a, 0x80, 0,  0, 0, 0,    1,    0, 5, /* 9, T1, NTP,
                                                                                         SSID 5 */
};

static void
request_is_read(void)
{
    struct emulog_packet p;

    CU_ASSERT_FATAL(emulog_parse(request, sizeof request, 862, &p));
    CU_ASSERT_EQUAL(p.kind, EMULOG_REQUEST);
    CU_ASSERT_EQUAL(p.sport, 50000);
    CU_ASSERT_EQUAL(p.dport, 862);
    CU_ASSERT_EQUAL(p.dscp, 46);
    CU_ASSERT_EQUAL(p.ttl, 255);
    CU_ASSERT_EQUAL(p.ip_id, 0x1234);
    CU_ASSERT_EQUAL(p.size, 44);
    CU_ASSERT_EQUAL(p.seq, 9);
    CU_ASSERT_EQUAL(p.sender_seq, 9);
    CU_ASSERT_EQUAL(p.ssid, 5);
    CU_ASSERT_EQUAL(p.t1.ns, (INT64_C(0xeeab628a) - INT64_C(2208988800)) * NS_PER_S + NS_PER_S / 2);
    CU_ASSERT_TRUE(emulog_parse(request, sizeof request, 861, &p));
    CU_ASSERT_EQUAL(p.kind, EMULOG_OTHER);
}

static void
reply_brings_back_what_was_sent(void)
{
    static const uint8_t brought[14] = {0, 0, 0, 9, 0xee, 0xab, 0x62, 0x8a, 0x80, 0, 0, 0, 0, 1};
    uint8_t frame[sizeof request];
    struct emulog_packet p, sent;

    memcpy(frame, request, sizeof frame);
    memcpy(frame + 34, "\x03\x5e\xc3\x50", 4); /* 862 to 50000 */
    frame[45] = 77;                            /* The reflector's own sequence. */
    memcpy(frame + 42 + 24, brought, sizeof brought);
    CU_ASSERT_FATAL(emulog_parse(request, sizeof request, 862, &sent));
    CU_ASSERT_FATAL(emulog_parse(frame, sizeof frame, 862, &p));
    CU_ASSERT_EQUAL(p.kind, EMULOG_REPLY);
    CU_ASSERT_EQUAL(p.seq, 77);
    CU_ASSERT_EQUAL(p.sender_seq, sent.seq);
    CU_ASSERT_EQUAL(p.t1.ns, sent.t1.ns);
    CU_ASSERT_EQUAL(p.ssid, sent.ssid);
}

static void
cut_frames_are_read_as_far_as_they_go(void)
{
    for (size_t size = 0; size <= sizeof request; size++) {
        struct emulog_packet p;
        uint8_t *exact = malloc(size ? size : 1);

        CU_ASSERT_PTR_NOT_NULL_FATAL(exact);
        memcpy(exact, request, size);
        CU_ASSERT_EQUAL(emulog_parse(exact, size, 862, &p), size >= 34);
        if (size >= 34) {
            CU_ASSERT_EQUAL(p.t1.ns != 0, size >= 58);
        }
        free(exact);
    }
}

static void
other_protocols_are_not_udp(void)
{
    struct emulog_packet p;
    uint8_t frame[sizeof request];

    memcpy(frame, request, sizeof frame);
    frame[13] = 6; /* ARP */
    CU_ASSERT_FALSE(emulog_parse(frame, sizeof frame, 862, &p));
    frame[13] = 0;
    frame[23] = 6; /* TCP */
    CU_ASSERT_FALSE(emulog_parse(frame, sizeof frame, 862, &p));
    frame[23] = 17;
    frame[21] = 1; /* A later fragment has no ports. */
    CU_ASSERT_TRUE(emulog_parse(frame, sizeof frame, 862, &p));
    CU_ASSERT_EQUAL(p.kind, EMULOG_OTHER);
    CU_ASSERT_EQUAL(p.sport, 0);
}

int
main(void)
{
    static const struct {
        const char *name;
        CU_TestFunc run;
    } tests[] = {
        {"clean_link_passes_everything_at_once", clean_link_passes_everything_at_once},
        {"values_are_exact", values_are_exact},
        {"wrong_commands_change_nothing", wrong_commands_change_nothing},
        {"one_seed_is_one_sequence_of_fates", one_seed_is_one_sequence_of_fates},
        {"burst_takes_the_next_in_a_row_of_its_dscp", burst_takes_the_next_in_a_row_of_its_dscp},
        {"cut_loses_all_until_mended", cut_loses_all_until_mended},
        {"jitter_stays_within_bounds_and_keeps_order", jitter_stays_within_bounds_and_keeps_order},
        {"shares_are_kept", shares_are_kept},
        {"request_is_read", request_is_read},
        {"reply_brings_back_what_was_sent", reply_brings_back_what_was_sent},
        {"cut_frames_are_read_as_far_as_they_go", cut_frames_are_read_as_far_as_they_go},
        {"other_protocols_are_not_udp", other_protocols_are_not_udp},
    };
    CU_pSuite suite;
    unsigned failed;

    if (CU_initialize_registry() != CUE_SUCCESS || !(suite = CU_add_suite("impair", NULL, NULL))) {
        return 1;
    }
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        CU_add_test(suite, tests[i].name, tests[i].run);
    }
    CU_basic_set_mode(CU_BRM_NORMAL);
    CU_basic_run_tests();
    failed = CU_get_number_of_tests_failed();
    printf("%u passed, %u failed\n", CU_get_number_of_tests_run() - failed, failed);
    CU_cleanup_registry();
    return failed != 0;
}
