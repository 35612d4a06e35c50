/* test_stamp.c - STAMP packets: layouts against fixed bytes, sizes one unit to
 * either side, properties over random packets. */
#include <CUnit/Basic.h>
#include <CUnit/TestRun.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stamp_answer.h"

static uint64_t rng_state;

static uint64_t
rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}

/* 'size' octets of their own, so that a read beyond them is seen. */
static uint8_t *
exact(const uint8_t *from, size_t size)
{
    uint8_t *b = (uint8_t *)malloc(size ? size : 1);
    if (!b) {
        abort();
    }
    memcpy(b, from, size);
    return b;
}

static const struct stamp_request plain = {.sequence = 0x01020304,
                                           .t1 = 0xeeab628a0f2f0c00,
                                           .error = 0x8001,
                                           .ssid = 5,
                                           .extended = true,
                                           .size = 120};

static void
a_request_has_the_octets_of_the_rfc(void)
{
    static const uint8_t head[] = {1,    2,    3,    4, 0xee, 0xab, 0x62, 0x8a,
                                   0x0f, 0x2f, 0x0c, 0, 0x80, 1,    0,    5};
    static const uint8_t report[] = {0x80, 240, 0, 28};
    static const uint8_t follow[] = {0x80, 7, 0, 16};
    static const uint8_t padding[] = {0x80, 1, 0, 20};
    uint8_t buf[121];

    memset(buf, 0xa5, sizeof buf);
    stamp_request_format(&plain, buf);
    CU_ASSERT(memcmp(buf, head, sizeof head) == 0);
    CU_ASSERT(memcmp(buf + 44, follow, 4) == 0);
    CU_ASSERT(memcmp(buf + 64, report, 4) == 0);
    CU_ASSERT(memcmp(buf + 96, padding, 4) == 0);
    CU_ASSERT_EQUAL(buf[119], 0);
    CU_ASSERT_EQUAL(buf[120], 0xa5);
}

static void
room_for_tlvs_depends_on_the_size(void)
{
    static const struct {
        uint32_t size;
        bool report, follow_up;
    } cases[] = {{44, false, false}, {75, false, false}, {76, true, false},
                 {95, true, false},  {96, true, true},   {99, true, true}};
    uint8_t buf[128];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stamp_request q = plain;
        struct stamp_request back;
        q.size = cases[i].size;
        stamp_request_format(&q, buf);
        CU_ASSERT_EQUAL(stamp_request_parse(buf, q.size, &back), STAMP_OK);
        CU_ASSERT_EQUAL(stamp_request_has(buf, &back, STAMP_TLV_REPORT), cases[i].report);
        CU_ASSERT_EQUAL(stamp_request_has(buf, &back, STAMP_TLV_FOLLOW_UP), cases[i].follow_up);
    }
}

static void
sizes_are_refused_one_octet_to_either_side(void)
{
    uint8_t *big = (uint8_t *)calloc(1, 9001);
    struct stamp_request q;
    struct stamp_reply p;

    big[13] = 1;
    for (size_t size = 0; size <= 9001; size = size < 60 ? size + 1 : size + 8941 - 60) {
        uint8_t *b = exact(big, size);
        enum stamp_verdict v = stamp_request_parse(b, size, &q);
        enum stamp_verdict w = stamp_reply_parse(b, size, &p);
        CU_ASSERT_EQUAL(v, size < 14 ? STAMP_SHORT : STAMP_OK);
        CU_ASSERT_EQUAL(w, size < 38 ? STAMP_SHORT : STAMP_OK);
        free(b);
    }
    CU_ASSERT_EQUAL(stamp_request_parse(big, 9000, &q), STAMP_OK);
    CU_ASSERT_EQUAL(stamp_request_parse(big, 9001, &q), STAMP_OVERLONG);
    CU_ASSERT_EQUAL(stamp_reply_parse(big, 9000, &p), STAMP_OK);
    CU_ASSERT_EQUAL(stamp_reply_parse(big, 9001, &p), STAMP_OVERLONG);
    free(big);
}

static void
a_multiplier_of_zero_is_a_corrupt_request(void)
{
    uint8_t b[14] = {0};
    struct stamp_request q;

    b[12] = 0x80;
    CU_ASSERT_EQUAL(stamp_request_parse(b, 14, &q), STAMP_BAD_ERROR);
    b[13] = 1;
    CU_ASSERT_EQUAL(stamp_request_parse(b, 14, &q), STAMP_OK);
    CU_ASSERT_EQUAL(stamp_error_parse(0x8000).error_ns, UINT64_MAX);
}

static void
error_estimates_round_up_and_keep_their_flags(void)
{
    for (unsigned i = 0; i < 20000; i++) {
        struct stamp_error e = {
            .synchronised = rng() & 1, .ptp = rng() & 1, .error_ns = rng() >> (rng() % 63 + 1)};
        struct stamp_error back = stamp_error_parse(stamp_error_format(&e));
        CU_ASSERT_EQUAL_FATAL(back.synchronised, e.synchronised);
        CU_ASSERT_EQUAL_FATAL(back.ptp, e.ptp);
        CU_ASSERT_FATAL(back.error_ns >= e.error_ns);
        CU_ASSERT_FATAL(back.error_ns <= e.error_ns + e.error_ns / 64 + 1);
    }
    struct stamp_error unknown = {.synchronised = true, .error_ns = UINT64_MAX};
    CU_ASSERT_EQUAL(stamp_error_format(&unknown), 0x3fff);
    CU_ASSERT_EQUAL(stamp_error_parse(0x3fff).error_ns, UINT64_MAX);
    CU_ASSERT_EQUAL(stamp_error_parse(0x8001).error_ns, 0);
    CU_ASSERT_EQUAL(stamp_error_parse(0x2001).error_ns, NS_PER_S);
}

static void
timestamps_keep_each_nanosecond_in_both_formats(void)
{
    struct instant at;

    for (unsigned i = 0; i < 50000; i++) {
        struct instant in = instant_of_ns((int64_t)(rng() % ((UINT64_C(1) << 32) * NS_PER_S)) + 1);
        CU_ASSERT_FATAL(stamp_time_parse(stamp_time_format(in, true), true, &at));
        CU_ASSERT_EQUAL_FATAL(at.ns, in.ns);
        CU_ASSERT_FATAL(stamp_time_parse(stamp_time_format(in, false), false, &at));
        CU_ASSERT_EQUAL_FATAL(at.ns, in.ns);
    }
    CU_ASSERT_EQUAL(stamp_time_format(instant_of_ns(NS_PER_S / 2), false), 0x83aa7e8080000000);
    CU_ASSERT_EQUAL(stamp_time_format(instant_of_ns(3 * NS_PER_S + 7), true), 0x0000000300000007);
    /* The second before and at the end of the first NTP era. */
    CU_ASSERT_TRUE(stamp_time_parse(0xffffffff00000000, false, &at));
    CU_ASSERT_EQUAL(at.ns, INT64_C(2085978495) * NS_PER_S);
    CU_ASSERT_TRUE(stamp_time_parse(1, false, &at));
    CU_ASSERT_EQUAL(at.ns, INT64_C(2085978496) * NS_PER_S);
    CU_ASSERT_EQUAL(stamp_time_format(at, false), 1);
    CU_ASSERT_FALSE(stamp_time_parse(0, false, &at));
    CU_ASSERT_TRUE(stamp_time_parse(0x100000000 + 999999999, true, &at));
    CU_ASSERT_FALSE(stamp_time_parse(0x100000000 + 1000000000, true, &at));
}

static const struct exchange_report report_in = {
    .epoch = 0xdeadbeef, .received = 77, .duplicates = 3, .bitmap = {0x80, [15] = 1}};

static const struct stamp_answer answer = {.sequence = 76,
                                           .error = 0xc102,
                                           .ttl = 61,
                                           .t2 = 0x1111111122222222,
                                           .t3 = 0x3333333344444444,
                                           .report = &report_in,
                                           .has_follow_up = true,
                                           .follow_up_sequence = 75,
                                           .follow_up_t3 = 0x5555555566666666};

static void
a_reply_carries_everything_back(void)
{
    uint8_t buf[120];
    struct stamp_request q;
    struct stamp_reply p;
    enum stamp_verdict tlv;
    bool took;

    stamp_request_format(&plain, buf);
    CU_ASSERT_EQUAL(stamp_request_parse(buf, 120, &q), STAMP_OK);
    CU_ASSERT_EQUAL(stamp_reply_make(buf, &q, &answer, &tlv, &took), 120);
    CU_ASSERT_EQUAL(tlv, STAMP_OK);
    CU_ASSERT_TRUE(took);
    CU_ASSERT_EQUAL(stamp_reply_parse(buf, 120, &p), STAMP_OK);
    CU_ASSERT_EQUAL(p.sequence, 76);
    CU_ASSERT_EQUAL(p.t3, answer.t3);
    CU_ASSERT_EQUAL(p.t2, answer.t2);
    CU_ASSERT_EQUAL(p.error, 0xc102);
    CU_ASSERT_EQUAL(p.ssid, 5);
    CU_ASSERT_EQUAL(p.sender_sequence, plain.sequence);
    CU_ASSERT_EQUAL(p.t1, plain.t1);
    CU_ASSERT_EQUAL(p.sender_error, plain.error);
    CU_ASSERT_EQUAL(p.sender_ttl, 61);
    CU_ASSERT_TRUE(p.has_report);
    CU_ASSERT_EQUAL(p.report.epoch, report_in.epoch);
    CU_ASSERT_EQUAL(p.report.received, 77);
    CU_ASSERT_EQUAL(p.report.duplicates, 3);
    CU_ASSERT(memcmp(p.report.bitmap, report_in.bitmap, 16) == 0);
    CU_ASSERT_TRUE(p.has_follow_up);
    CU_ASSERT_EQUAL(p.follow_up_sequence, 75);
    CU_ASSERT_EQUAL(p.follow_up_t3, answer.follow_up_t3);
    CU_ASSERT_EQUAL(p.follow_up_mode, STAMP_MODE_SOFTWARE);
    stamp_reply_set_t3(buf, 9);
    CU_ASSERT_EQUAL(stamp_reply_parse(buf, 120, &p), STAMP_OK);
    CU_ASSERT_EQUAL(p.t3, 9);
}

static void
a_reflector_without_reports_says_so(void)
{
    uint8_t buf[120];
    struct stamp_request q;
    struct stamp_answer a = answer;
    struct stamp_reply p;
    enum stamp_verdict tlv;
    bool took;

    a.report = NULL;
    a.has_follow_up = false;
    stamp_request_format(&plain, buf);
    CU_ASSERT_EQUAL(stamp_request_parse(buf, 120, &q), STAMP_OK);
    stamp_reply_make(buf, &q, &a, &tlv, &took);
    CU_ASSERT_EQUAL(buf[64], STAMP_TLV_UNRECOGNISED);
    CU_ASSERT_EQUAL(buf[44], 0);
    CU_ASSERT_FALSE(took);
    CU_ASSERT_EQUAL(stamp_reply_parse(buf, 120, &p), STAMP_OK);
    CU_ASSERT_FALSE(p.has_report);
    CU_ASSERT_FALSE(p.has_follow_up);
}

static void
an_unknown_tlv_comes_back_with_u_set(void)
{
    uint8_t buf[56];
    struct stamp_request q = plain;
    enum stamp_verdict tlv;
    bool took;

    q.size = 56;
    stamp_request_format(&q, buf);
    memcpy(buf + 44, "\x80\x09\0\x08onetwo34", 12);
    stamp_reply_make(buf, &q, &answer, &tlv, &took);
    CU_ASSERT_EQUAL(tlv, STAMP_OK);
    CU_ASSERT(memcmp(buf + 44, "\x80\x09\0\x08onetwo34", 12) == 0);
}

static void
a_malformed_tlv_comes_back_with_m_set_and_the_rest_untouched(void)
{
    static const uint8_t longer[] = {0x80, 9, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t wrong[] = {0x80, 7, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8};
    const uint8_t *const cases[] = {longer, wrong};

    for (size_t i = 0; i < 2; i++) {
        uint8_t buf[56];
        struct stamp_request q = plain;
        struct stamp_reply p;
        enum stamp_verdict tlv;
        bool took;
        q.size = 56;
        stamp_request_format(&q, buf);
        memcpy(buf + 44, cases[i], 12);
        uint8_t *b = exact(buf, 56);
        CU_ASSERT_EQUAL(stamp_reply_make(b, &q, &answer, &tlv, &took), 56);
        CU_ASSERT_EQUAL(tlv, STAMP_BAD_TLV);
        CU_ASSERT_EQUAL(b[44], STAMP_TLV_UNRECOGNISED | STAMP_TLV_MALFORMED);
        CU_ASSERT(memcmp(b + 45, cases[i] + 1, 11) == 0);
        CU_ASSERT_EQUAL(stamp_reply_parse(b, 56, &p), STAMP_OK);
        CU_ASSERT_TRUE(p.bad_tlv);
        free(b);
    }
}

static void
twamp_light_gets_its_base_and_no_more(void)
{
    uint8_t buf[STAMP_SIZE_BASE];
    struct stamp_request q;
    struct stamp_reply p;
    enum stamp_verdict tlv;
    bool took;

    memset(buf, 0xff, sizeof buf);
    CU_ASSERT_EQUAL(stamp_request_parse(buf, 14, &q), STAMP_OK);
    CU_ASSERT_FALSE(q.extended);
    CU_ASSERT_EQUAL(stamp_reply_make(buf, &q, &answer, &tlv, &took), STAMP_SIZE_BASE);
    CU_ASSERT_EQUAL(stamp_reply_parse(buf, STAMP_SIZE_BASE, &p), STAMP_OK);
    CU_ASSERT_EQUAL(p.sender_sequence, UINT32_MAX);
    CU_ASSERT_EQUAL(p.ssid, 0);
    CU_ASSERT(memcmp(buf + 41, "\0\0\0", 3) == 0);
}

static void
twamp_padding_is_not_taken_for_ssid_or_tlvs(void)
{
    uint8_t buf[100], was[100];
    struct stamp_request q;
    enum stamp_verdict tlv;
    bool took;

    for (size_t i = 0; i < sizeof buf; i++) {
        buf[i] = (uint8_t)(rng() | 1);
    }
    memcpy(was, buf, sizeof buf);
    CU_ASSERT_EQUAL(stamp_request_parse(buf, 100, &q), STAMP_OK);
    CU_ASSERT_EQUAL(q.ssid, 0);
    CU_ASSERT_EQUAL(stamp_reply_make(buf, &q, &answer, &tlv, &took), 100);
    CU_ASSERT_EQUAL(tlv, STAMP_OK);
    CU_ASSERT(memcmp(buf + 44, was + 44, 56) == 0);
}

/* RFC 5357: 41 octets and the sender's padding, its end cut off; RFC 6038: the
 * padding is where it was. */
static void
a_twamp_reply_is_as_long_as_its_request_and_gives_back_the_padding(void)
{
    static const size_t sizes[] = {14, 15, 40, 41, 42, 44, 68, 100, 1414};
    uint8_t was[1414];

    for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++) {
        bool symmetrical = i & 1;
        size_t size = sizes[i / 2], reply = size < 41 ? 41 : size;
        struct stamp_request q;
        struct stamp_reply p;
        for (size_t k = 0; k < size; k++) {
            was[k] = (uint8_t)(rng() | 1);
        }
        uint8_t *b = exact(was, reply);
        CU_ASSERT_EQUAL_FATAL(stamp_request_parse(b, size, &q), STAMP_OK);
        CU_ASSERT_EQUAL(stamp_twamp_reply_make(b, &q, &answer, symmetrical), reply);
        CU_ASSERT(memcmp(b + 41, was + (symmetrical ? 41 : 14), reply - 41) == 0);
        CU_ASSERT(b[14] == 0 && b[15] == 0); /* No SSID in TWAMP. */
        CU_ASSERT(memcmp(b + 24, was, 14) == 0);
        CU_ASSERT_EQUAL(stamp_reply_parse(b, reply < 44 ? 41 : reply, &p), STAMP_OK);
        CU_ASSERT(p.sequence == answer.sequence && p.t2 == answer.t2 && p.t3 == answer.t3 &&
                  p.sender_ttl == answer.ttl);
        free(b);
    }
}

/* --- TLVs that a reflector fills in. --- */

/* What it sees: 192.0.2.1 port 0x1234 to 198.51.100.2 port 862, EF with ECT(1). */
static const struct stamp_seen looked = {.source = {192, 0, 2, 1},
                                         .destination = {198, 51, 100, 2},
                                         .source_port = 0x1234,
                                         .destination_port = 862,
                                         .tos = 46 << 2 | 1,
                                         .sync = STAMP_SYNC_NTP};

/* Answers a request with these TLVs, whose reply's are then in 'tlvs'. */
static enum stamp_verdict
reflect_tlvs(uint8_t *tlvs, size_t size, struct stamp_seen *seen)
{
    struct stamp_request q = plain;
    struct stamp_answer a = answer;
    enum stamp_verdict tlv;
    bool took;
    uint8_t head[STAMP_SIZE_BASE];

    q.size = STAMP_SIZE_BASE;
    stamp_request_format(&q, head);
    uint8_t *b = (uint8_t *)malloc(STAMP_SIZE_BASE + size);
    if (!b) {
        abort();
    }
    memcpy(b, head, sizeof head);
    memcpy(b + STAMP_SIZE_BASE, tlvs, size);
    q.size = (uint32_t)(STAMP_SIZE_BASE + size);
    a.seen = seen;
    CU_ASSERT_EQUAL(stamp_reply_make(b, &q, &a, &tlv, &took), q.size);
    memcpy(tlvs, b + STAMP_SIZE_BASE, size);
    free(b);
    return tlv;
}

static void
timestamp_information_says_what_keeps_the_clock(void)
{
    struct stamp_seen seen = looked;
    uint8_t t[] = {0x80, 3, 0, 4, 0, 0, 0, 0};

    CU_ASSERT_EQUAL(reflect_tlvs(t, 8, &seen), STAMP_OK);
    CU_ASSERT(memcmp(t, "\0\3\0\4\1\2\1\2", 8) == 0);
    seen.sync = STAMP_SYNC_LOCAL;
    t[0] = 0x80;
    CU_ASSERT_EQUAL(reflect_tlvs(t, 8, &seen), STAMP_OK);
    CU_ASSERT(memcmp(t, "\0\3\0\4\5\2\5\2", 8) == 0);
    uint8_t shorter[] = {0x80, 3, 0, 3, 9, 9, 9}, longer[] = {0x80, 3, 0, 5, 9, 9, 9, 9, 9};
    CU_ASSERT_EQUAL(reflect_tlvs(shorter, 7, &seen), STAMP_BAD_TLV);
    CU_ASSERT(memcmp(shorter, "\xc0\3\0\3\x9\x9\x9", 7) == 0);
    CU_ASSERT_EQUAL(reflect_tlvs(longer, 9, &seen), STAMP_BAD_TLV);
    CU_ASSERT(longer[0] == 0xc0 && longer[8] == 9);
}

/* DSCP1, DSCP2, ECN, RP in 16 bits. */
static void
class_of_service_says_what_came_and_chooses_what_goes(void)
{
    static const struct {
        uint64_t dscps;
        uint8_t asked, reply;
        unsigned rp;
    } cases[] = {{0, 10, 10, 0},
                 {0, 0, 0, 0},
                 {0, 63, 63, 0},
                 {UINT64_C(1) << 10, 10, 10, 0},
                 {UINT64_C(1) << 10, 9, 46, 1},
                 {UINT64_C(1) << 10, 11, 46, 1},
                 {UINT64_C(1) << 63 | 1, 63, 63, 0},
                 {UINT64_C(1) << 63 | 1, 62, 46, 1},
                 {UINT64_C(1) << 63 | 1, 0, 0, 0}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct stamp_seen seen = looked;
        struct stamp_reply p;
        /* What the sender should have left zero does not come back. */
        uint8_t t[] = {0x80, 4, 0, 4, (uint8_t)(cases[i].asked << 2 | 3), 0xff, 0xff, 0xff};
        unsigned cos = (unsigned)cases[i].asked << 10 | 46u << 4 | 1u << 2 | cases[i].rp;
        seen.dscps = cases[i].dscps;
        CU_ASSERT_EQUAL(reflect_tlvs(t, 8, &seen), STAMP_OK);
        CU_ASSERT_EQUAL(seen.reply_dscp, cases[i].reply);
        CU_ASSERT(t[0] == 0 && t[4] == cos >> 8 && t[5] == (cos & 0xff) && t[6] == 0 && t[7] == 0);
        uint8_t b[52] = {0};
        memcpy(b + 44, t, 8);
        CU_ASSERT_EQUAL(stamp_reply_parse(b, 52, &p), STAMP_OK);
        CU_ASSERT(p.has_cos && p.dscp_seen == 46 && p.ecn_seen == 1);
        CU_ASSERT_EQUAL(p.dscp_refused, cases[i].rp == 1);
    }
    struct stamp_seen seen = looked;
    uint8_t none[] = {0x80, 1, 0, 0}, bad[] = {0x80, 4, 0, 3, 0, 0, 0};
    CU_ASSERT_EQUAL(reflect_tlvs(none, 4, &seen), STAMP_OK);
    CU_ASSERT_EQUAL(seen.reply_dscp, 46); /* Not asked for: as it came. */
    CU_ASSERT_EQUAL(reflect_tlvs(bad, 7, &seen), STAMP_BAD_TLV);
    CU_ASSERT_EQUAL(bad[0], 0xc0);
    CU_ASSERT_EQUAL(seen.reply_dscp, 46);
}

static void
location_says_where_the_packet_came_from(void)
{
    struct stamp_seen seen = looked;
    uint8_t t[8 + 12 + 20 + 20] = {0x80, 2, 0, 56};
    static const uint8_t want[8 + 12 + 20 + 20] = {
        0, 2, 0, 56, 3,   0x5e, 0x12, 0x34, 0, 3, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 5, 0, 16, 198, 51,   100,  2,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 8, 0, 16, 192, 0,    2,    1,    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

    memcpy(t + 8, "\x80\1\0\x8", 4);
    memcpy(t + 20, "\x80\4\0\x10", 4);
    memcpy(t + 40, "\x80\7\0\x10", 4);
    CU_ASSERT_EQUAL(reflect_tlvs(t, sizeof t, &seen), STAMP_OK);
    CU_ASSERT(memcmp(t, want, sizeof t) == 0);

    uint8_t six[8 + 20] = {0x80, 2, 0, 24, 0, 0, 0, 0, 0x80, 7, 0, 16};
    seen.ipv6 = true;
    memset(seen.source, 0x6f, 16);
    CU_ASSERT_EQUAL(reflect_tlvs(six, sizeof six, &seen), STAMP_OK);
    CU_ASSERT(six[8] == 0 && six[9] == 9 && six[12] == 0x6f && six[27] == 0x6f);

    uint8_t ports[] = {0x80, 2, 0, 4, 0, 0, 0, 0}, bad[] = {0x80, 2, 0, 3, 0, 0, 0};
    CU_ASSERT_EQUAL(reflect_tlvs(ports, 8, &seen), STAMP_OK);
    CU_ASSERT(memcmp(ports, "\0\2\0\4\3\x5e\x12\x34", 8) == 0);
    CU_ASSERT_EQUAL(reflect_tlvs(bad, 7, &seen), STAMP_BAD_TLV);
    CU_ASSERT(bad[0] == 0xc0 && bad[4] == 0);
}

/* Flags of sub-TLVs are theirs alone; the rest of the packet goes on. */
static void
parts_of_location_are_unknown_or_malformed_by_themselves(void)
{
    struct stamp_seen seen = looked;
    uint8_t t[] = {0x80, 2, 0, 24, 0, 0, 0, 0,  /* Location. */
                   0x80, 9, 0, 2,  7, 7,        /* Not to be asked for. */
                   0x80, 4, 0, 2,  7, 7,        /* Too short. */
                   0x80, 7, 0, 4,  7, 7, 7, 7,  /* Behind it: left alone. */
                   0x80, 3, 0, 4,  0, 0, 0, 0}; /* Timestamp Information. */
    uint8_t beyond[] = {0x80, 2, 0, 12, 0, 0, 0, 0, 0x80, 7, 0, 16, 7, 7, 7, 7};

    CU_ASSERT_EQUAL(reflect_tlvs(t, sizeof t, &seen), STAMP_OK);
    CU_ASSERT(t[0] == 0 && t[8] == 0x80 && t[9] == 9 && t[12] == 7);
    CU_ASSERT(t[14] == 0x40 && t[15] == 4 && t[18] == 7);
    CU_ASSERT(t[20] == 0x80 && t[21] == 7 && t[24] == 7);
    CU_ASSERT(t[28] == 0 && t[32] == 1);
    CU_ASSERT_EQUAL(reflect_tlvs(beyond, sizeof beyond, &seen), STAMP_OK);
    CU_ASSERT(beyond[0] == 0 && beyond[8] == 0x40 && beyond[12] == 7);
}

static void
padding_comes_back_as_it_was_and_unknown_types_with_u(void)
{
    struct stamp_seen seen = looked;

    for (unsigned type = 1; type < 256; type++) {
        bool known = type <= 4 || type == 7 || type == 8 || type == 240;
        uint8_t t[] = {0, (uint8_t)type, 0, 4, 1, 2, 3, 4};
        bool fits = type != 7 && type != 8 && type != 240;
        CU_ASSERT_EQUAL(reflect_tlvs(t, 8, &seen), fits ? STAMP_OK : STAMP_BAD_TLV);
        CU_ASSERT_EQUAL(t[0], !fits ? 0x40 : known ? 0 : 0x80);
        CU_ASSERT((type >= 2 && type <= 4) || memcmp(t + 4, "\1\2\3\4", 4) == 0);
    }
    /* A reflector that looks at nothing knows none of them. */
    for (uint8_t type = 2; type <= 4; type++) {
        uint8_t t[] = {0, type, 0, 4, 1, 2, 3, 4};
        CU_ASSERT_EQUAL(reflect_tlvs(t, 8, NULL), STAMP_OK);
        CU_ASSERT(t[0] == 0x80 && t[4] == 1);
    }
}

static void
a_request_to_a_foreign_end_asks_for_no_report(void)
{
    uint8_t buf[128], zeros[84] = {0};
    struct stamp_request q = plain, back;

    q.size = sizeof buf;
    q.no_report = true;
    stamp_request_format(&q, buf);
    CU_ASSERT_EQUAL(stamp_request_parse(buf, q.size, &back), STAMP_OK);
    CU_ASSERT_TRUE(stamp_request_has(buf, &back, STAMP_TLV_FOLLOW_UP));
    CU_ASSERT_FALSE(stamp_request_has(buf, &back, STAMP_TLV_REPORT));
    CU_ASSERT_TRUE(stamp_request_has(buf, &back, STAMP_TLV_PADDING));
    q.no_tlvs = true;
    stamp_request_format(&q, buf);
    CU_ASSERT_EQUAL(memcmp(buf + STAMP_SIZE_BASE, zeros, sizeof zeros), 0);
}

static void
a_reply_of_38_octets_has_everything_but_the_ttl(void)
{
    uint8_t buf[120];
    struct stamp_request q = plain;
    struct stamp_reply whole, cut;
    enum stamp_verdict tlv;
    bool took;

    stamp_request_format(&q, buf);
    stamp_reply_make(buf, &q, &answer, &tlv, &took);
    CU_ASSERT_EQUAL(stamp_reply_parse(buf, 41, &whole), STAMP_OK);
    CU_ASSERT(whole.sender_ttl != 0);
    for (size_t size = 38; size < 41; size++) {
        uint8_t *b = exact(buf, size);
        CU_ASSERT_EQUAL(stamp_reply_parse(b, size, &cut), STAMP_OK);
        CU_ASSERT_EQUAL(cut.sender_ttl, 0);
        CU_ASSERT(cut.t2 == whole.t2 && cut.t3 == whole.t3 && cut.t1 == whole.t1);
        CU_ASSERT_EQUAL(cut.sender_sequence, whole.sender_sequence);
        CU_ASSERT_EQUAL(cut.sender_error, whole.sender_error);
        free(b);
    }
}

static void
every_truncation_of_a_reply_is_safe(void)
{
    uint8_t buf[120];
    struct stamp_request q = plain;
    struct stamp_reply p;
    enum stamp_verdict tlv;
    bool took;

    stamp_request_format(&q, buf);
    stamp_reply_make(buf, &q, &answer, &tlv, &took);
    for (size_t size = 0; size < 120; size++) {
        uint8_t *b = exact(buf, size);
        enum stamp_verdict v = stamp_reply_parse(b, size, &p);
        CU_ASSERT_EQUAL(v, size < STAMP_SIZE_REPLY_MIN ? STAMP_SHORT : STAMP_OK);
        if (v == STAMP_OK) {
            CU_ASSERT_EQUAL(p.has_follow_up, size >= 64);
            CU_ASSERT_EQUAL(p.has_report, size >= 96);
        }
        free(b);
    }
}

/* Packets of this release, for later ones to read. */
static size_t
fixture(const char *name, uint8_t *buf, size_t size)
{
    char path[1024];
    const char *srcdir = getenv("srcdir");
    FILE *f;
    size_t n;

    snprintf(path, sizeof path, "%s/tests/fixtures/%s", srcdir ? srcdir : ".", name);
    f = fopen(path, "rb");
    if (!f) {
        CU_FAIL_FATAL("fixture is not there (set srcdir)");
        return 0;
    }
    n = fread(buf, 1, size, f);
    fclose(f);
    return n;
}

static void
fixtures_are_what_we_write(void)
{
    uint8_t was[256], buf[120];
    struct stamp_request q;
    struct stamp_reply p;
    enum stamp_verdict tlv;
    bool took;

    stamp_request_format(&plain, buf);
    CU_ASSERT_EQUAL(fixture("stamp-request.bin", was, sizeof was), 120);
    CU_ASSERT(memcmp(buf, was, 120) == 0);
    CU_ASSERT_EQUAL(stamp_request_parse(was, 120, &q), STAMP_OK);
    stamp_reply_make(buf, &q, &answer, &tlv, &took);
    CU_ASSERT_EQUAL(fixture("stamp-reply.bin", was, sizeof was), 120);
    CU_ASSERT(memcmp(buf, was, 120) == 0);
    CU_ASSERT_EQUAL(stamp_reply_parse(was, 120, &p), STAMP_OK);
    CU_ASSERT_TRUE(p.has_report && p.has_follow_up && !p.t2_user);
}

static void
a_reply_says_when_its_t2_is_not_the_kernels(void)
{
    uint8_t buf[120];
    struct stamp_request q = plain;
    struct stamp_answer a = answer;
    struct stamp_reply p;
    enum stamp_verdict tlv;
    bool took;

    a.t2_user = true;
    stamp_request_format(&q, buf);
    stamp_reply_make(buf, &q, &a, &tlv, &took);
    CU_ASSERT_EQUAL(buf[64], STAMP_TLV_T2_USER);
    CU_ASSERT_EQUAL(stamp_reply_parse(buf, 120, &p), STAMP_OK);
    CU_ASSERT_TRUE(p.has_report && p.t2_user);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
#define T(name) {(char *)(uintptr_t) #name, name}
        T(a_request_has_the_octets_of_the_rfc),
        T(room_for_tlvs_depends_on_the_size),
        T(a_request_to_a_foreign_end_asks_for_no_report),
        T(a_reply_of_38_octets_has_everything_but_the_ttl),
        T(sizes_are_refused_one_octet_to_either_side),
        T(a_multiplier_of_zero_is_a_corrupt_request),
        T(error_estimates_round_up_and_keep_their_flags),
        T(timestamps_keep_each_nanosecond_in_both_formats),
        T(a_reply_carries_everything_back),
        T(a_reflector_without_reports_says_so),
        T(an_unknown_tlv_comes_back_with_u_set),
        T(a_malformed_tlv_comes_back_with_m_set_and_the_rest_untouched),
        T(twamp_light_gets_its_base_and_no_more),
        T(twamp_padding_is_not_taken_for_ssid_or_tlvs),
        T(a_twamp_reply_is_as_long_as_its_request_and_gives_back_the_padding),
        T(timestamp_information_says_what_keeps_the_clock),
        T(class_of_service_says_what_came_and_chooses_what_goes),
        T(location_says_where_the_packet_came_from),
        T(parts_of_location_are_unknown_or_malformed_by_themselves),
        T(padding_comes_back_as_it_was_and_unknown_types_with_u),
        T(every_truncation_of_a_reply_is_safe),
        T(fixtures_are_what_we_write),
        T(a_reply_says_when_its_t2_is_not_the_kernels),
        CU_TEST_INFO_NULL,
    };
    CU_SuiteInfo suites[] = {
        {(char *)(uintptr_t) "stamp", NULL, NULL, NULL, NULL, tests},
        CU_SUITE_INFO_NULL,
    };
    const char *seed = getenv("SEED");

    rng_state = seed ? strtoull(seed, NULL, 0) : (uint64_t)instant_now().ns | 1;
    printf("SEED=%" PRIu64 "\n", rng_state);
    if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) {
        return EXIT_FAILURE;
    }
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_tests_failed();
    printf("%u passed, %u failed\n", CU_get_number_of_tests_run() - failed, failed);
    CU_cleanup_registry();
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
