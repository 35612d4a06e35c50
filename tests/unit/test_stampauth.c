/* test_stampauth.c - authenticated packets and the HMAC TLV: fixed vectors, every
 * bit that is signed and none that is not, rings, and files of keys. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

#include "stamp_answer.h"
#include "stampauth.h"

static const struct stampauth_secret none = {.size = 0};

static struct stampauth_secret
secret(uint8_t first, size_t size)
{
    struct stampauth_secret s = {.size = size};

    for (size_t i = 0; i < size; i++) {
        s.octets[i] = (uint8_t)(first + i);
    }
    return s;
}

static struct stampauth_ring *
ring(uint8_t current, uint8_t next, bool send_next)
{
    struct stampauth_secret a = secret(current, 16), b = next ? secret(next, 32) : none;
    struct stampauth_ring *r = stampauth_new(STAMPAUTH_PACKET, &a, &b, send_next);

    if (!r) {
        abort();
    }
    return r;
}

static const struct stamp_request plain = {.sequence = 1,
                                           .t1 = 0xeeab628a0f2f0c00,
                                           .error = 0x8001,
                                           .ssid = 5,
                                           .extended = true,
                                           .authenticated = true,
                                           .size = 112};

static const struct stamp_answer answer = {.sequence = 0x0a0b0c0d,
                                           .error = 0x4002,
                                           .ttl = 253,
                                           .t2 = 0x1112131415161718,
                                           .t3 = 0x2122232425262728};

/* The key that signed a packet of the authenticated layout, or NULL. */
static struct stampauth_key *
signer(const struct stampauth_ring *r, const uint8_t *packet)
{
    struct stampauth_key *key;

    (void)stampauth_check(r, packet, 112, true, &key);
    return key;
}

/* A signed request of this size in a block of its own. */
static uint8_t *
request_of(struct stampauth_ring *r, uint32_t size)
{
    struct stamp_request q = plain;
    uint8_t *b = malloc(size);

    if (!b) {
        abort();
    }
    q.size = size;
    stamp_request_format(&q, b);
    stampauth_sign(stampauth_sender(r), b, size, true);
    return b;
}

static void
hmacs_are_those_of_the_vectors(void)
{
    static const uint8_t packet_mac[] = {0x18, 0xb1, 0xdb, 0x6e, 0x79, 0x71, 0xbd, 0x04,
                                         0xc2, 0x53, 0xaa, 0x0a, 0xb3, 0xc4, 0xd7, 0x50};
    static const uint8_t tlv_mac[] = {0xc6, 0x55, 0xd6, 0x8c, 0xd9, 0xfb, 0xa0, 0xcb,
                                      0x43, 0xb2, 0x52, 0xbd, 0x12, 0x04, 0xb0, 0x0a};
    static const uint8_t tlv[] = {0x80, 4, 0, 4, 0xb8, 0, 0, 0};
    struct stampauth_ring *r = ring(0, 0, false);
    uint8_t *b = request_of(r, 112);
    uint8_t mac[16];

    CU_ASSERT(memcmp(b + 96, packet_mac, 16) == 0);
    stampauth_mac(stampauth_sender(r), b, 4, tlv, sizeof tlv, mac);
    CU_ASSERT(memcmp(mac, tlv_mac, 16) == 0);
    free(b);
    b = calloc(1, 112 + 8 + 20);
    stamp_request_format(&plain, b);
    memcpy(b + 112, tlv, 8);
    memcpy(b + 120, "\x80\x08\0\x10", 4);
    stampauth_sign(stampauth_sender(r), b, 140, true);
    CU_ASSERT(memcmp(b + 124, tlv_mac, 16) == 0);
    free(b);
    stampauth_unref(r);
}

static void
packets_have_the_octets_of_the_rfc(void)
{
    static const uint8_t head[] = {0,    0,    0,    1, 0,    0, 0,    0,    0,    0,
                                   0,    0,    0,    0, 0,    0, 0xee, 0xab, 0x62, 0x8a,
                                   0x0f, 0x2f, 0x0c, 0, 0x80, 1, 0,    5};
    struct stampauth_ring *r = ring(0, 0, false);
    uint8_t *b = request_of(r, 112);
    struct stamp_request q;
    struct stamp_reply p;
    enum stamp_verdict tlv;
    bool took;

    CU_ASSERT(memcmp(b, head, sizeof head) == 0);
    CU_ASSERT_EQUAL(stamp_request_parse(b, 112, &q), STAMP_OK);
    CU_ASSERT(q.authenticated && q.extended && q.ssid == 5 && q.t1 == plain.t1);
    CU_ASSERT_EQUAL(stamp_reply_make(b, &q, &answer, &tlv, &took), 112);
    CU_ASSERT(b[3] == 0x0d && b[4] == 0 && b[15] == 0 && b[16] == 0x21 && b[23] == 0x28);
    CU_ASSERT(b[24] == 0x40 && b[25] == 2 && b[27] == 5 && b[28] == 0 && b[32] == 0x11);
    CU_ASSERT(b[39] == 0x18 && b[40] == 0 && b[51] == 1 && b[52] == 0 && b[64] == 0xee);
    CU_ASSERT(b[71] == 0 && b[72] == 0x80 && b[73] == 1 && b[74] == 0 && b[80] == 253);
    CU_ASSERT(b[81] == 0 && b[95] == 0);
    CU_ASSERT_TRUE(stamp_is_authenticated(b, 112));
    CU_ASSERT_EQUAL(stamp_auth_reply_parse(b, 112, true, &p), STAMP_OK);
    CU_ASSERT(p.sequence == answer.sequence && p.t2 == answer.t2 && p.t3 == answer.t3 &&
              p.t1 == plain.t1 && p.sender_sequence == 1 && p.sender_ttl == 253 && p.ssid == 5 &&
              p.error == 0x4002 && p.sender_error == 0x8001);
    CU_ASSERT_EQUAL(stamp_auth_reply_parse(b, 111, true, &p), STAMP_SHORT);
    free(b);
    stampauth_unref(r);
}

/* Follow-up telemetry needs the HMAC TLV; padding in the report's place does not. */
/* Of each layout, eight octets after what else there is. */
static void
a_class_is_asked_for_where_there_is_room(void)
{
    static const struct {
        bool authenticated, hmac_tlv, no_report;
        uint32_t from;
    } cases[] = {{false, false, false, 104},
                 {false, false, true, 104},
                 {true, false, false, 192},
                 {false, true, false, 124}};
    struct stamp_request q = plain;
    uint8_t b[200];

    q.cos = true;
    q.dscp = 46;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        q.authenticated = cases[i].authenticated;
        q.hmac_tlv = cases[i].hmac_tlv;
        q.no_report = cases[i].no_report;
        for (q.size = q.authenticated ? 112 : 64; q.size <= sizeof b; q.size++) {
            struct stamp_request parsed = q;
            struct stamp_seen seen = {.tos = 8 << 2 | 1};
            struct stamp_answer a = answer;
            struct stamp_reply p;
            enum stamp_verdict tlv;
            bool took, there = q.size >= cases[i].from;
            stamp_request_format(&q, b);
            CU_ASSERT_EQUAL(stamp_request_has(b, &q, STAMP_TLV_COS), there);
            CU_ASSERT_EQUAL(stamp_request_has(b, &q, STAMP_TLV_FOLLOW_UP),
                            q.size >= cases[i].from - 8);
            a.seen = &seen;
            stamp_reply_make(b, &parsed, &a, &tlv, &took);
            CU_ASSERT_EQUAL(seen.reply_dscp, there ? 46 : 8);
            CU_ASSERT_EQUAL(q.authenticated ? stamp_auth_reply_parse(b, q.size, true, &p)
                                            : stamp_reply_parse(b, q.size, &p),
                            STAMP_OK);
            CU_ASSERT_EQUAL(p.has_cos, there);
            CU_ASSERT(!there || (p.dscp_seen == 8 && p.ecn_seen == 1 && !p.dscp_refused));
        }
    }
}

static void
a_foreign_far_end_is_not_asked_for_a_report(void)
{
    struct stampauth_ring *r = ring(1, 0, false);
    struct stamp_request q = plain;
    uint8_t b[300];

    q.no_report = true;
    for (q.size = 112; q.size <= sizeof b; q.size++) {
        bool follow_up = q.size >= STAMP_SIZE_AUTH_FULL;
        size_t at;
        stamp_request_format(&q, b);
        stampauth_sign(stampauth_sender(r), b, q.size, true);
        CU_ASSERT_EQUAL(stamp_request_has(b, &q, STAMP_TLV_FOLLOW_UP), follow_up);
        CU_ASSERT_FALSE(stamp_request_has(b, &q, STAMP_TLV_REPORT));
        CU_ASSERT_EQUAL(stamp_hmac_find(b, q.size, STAMP_SIZE_AUTH, &at),
                        follow_up ? STAMP_HMAC_THERE : STAMP_HMAC_NONE);
        CU_ASSERT_TRUE(stampauth_tlvs_check(stampauth_sender(r), b, q.size));
    }
    stampauth_unref(r);
}

/* An unsigned packet is never taken for a signed one, nor the other way round. */
static void
the_two_layouts_are_told_apart(void)
{
    struct stamp_request q = plain, back;
    uint8_t b[184] = {0};

    for (uint32_t size = 112; size <= 184; size++) {
        q.size = size;
        q.authenticated = true;
        stamp_request_format(&q, b);
        CU_ASSERT_EQUAL(stamp_request_parse(b, size, &back), STAMP_OK);
        CU_ASSERT_TRUE(back.authenticated);
        b[25] = 0; /* Multiplier. */
        CU_ASSERT_EQUAL(stamp_request_parse(b, size, &back), STAMP_BAD_ERROR);
        q.authenticated = false;
        stamp_request_format(&q, b);
        CU_ASSERT_EQUAL(stamp_request_parse(b, size, &back), STAMP_OK);
        CU_ASSERT_FALSE(back.authenticated);
        CU_ASSERT_FALSE(stamp_is_authenticated(b, size));
    }
    memset(b, 0, sizeof b);
    b[25] = 1;
    CU_ASSERT_EQUAL(stamp_request_parse(b, 111, &back), STAMP_BAD_ERROR); /* Cut off. */
    CU_ASSERT_EQUAL(stamp_request_parse(b, 112, &back), STAMP_OK);
}

static void
every_bit_before_the_hmac_is_signed(void)
{
    struct stampauth_ring *r = ring(7, 0, false);
    uint8_t *b = request_of(r, 120);

    CU_ASSERT_PTR_EQUAL(signer(r, b), stampauth_sender(r));
    for (unsigned bit = 0; bit < 120 * 8; bit++) {
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CU_ASSERT_EQUAL(signer(r, b) == NULL, bit < 112 * 8);
        b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    CU_ASSERT_PTR_NOT_NULL(signer(r, b));
    free(b);
    stampauth_unref(r);
}

static void
both_keys_are_good_and_no_other(void)
{
    struct stampauth_ring *before = ring(1, 0, false), *both = ring(1, 2, false);
    struct stampauth_ring *over = ring(1, 2, true), *stranger = ring(3, 4, true);
    /* The next one alone, of as many octets as it had beside the other. */
    struct stampauth_secret s = secret(2, 32);
    struct stampauth_ring *after = stampauth_new(STAMPAUTH_PACKET, &s, &none, false);
    struct {
        struct stampauth_ring *from, *to;
        bool good;
    } cases[] = {{before, both, true},   {both, before, true},    {both, both, true},
                 {over, both, true},     {both, over, true},      {over, over, true},
                 {after, over, true},    {over, after, true},     {after, both, true},
                 {before, over, true},   {over, before, false},   {both, after, false},
                 {before, after, false}, {stranger, both, false}, {both, stranger, false}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *b = request_of(cases[i].from, 112);
        CU_ASSERT_EQUAL(signer(cases[i].to, b) != NULL, cases[i].good);
        free(b);
    }
    /* What one was asked with is what one answers with. */
    uint8_t *b = request_of(over, 112);
    struct stampauth_key *k = signer(both, b);
    CU_ASSERT(k != NULL && k != stampauth_sender(both));
    free(b);
    stampauth_unref(before);
    stampauth_unref(both);
    stampauth_unref(over);
    stampauth_unref(stranger);
    stampauth_unref(after);
}

static void
room_for_tlvs_depends_on_the_size(void)
{
    static const struct {
        uint32_t size;
        bool report, follow_up;
        enum stamp_hmac hmac;
    } cases[] = {{112, false, false, STAMP_HMAC_NONE}, {116, false, false, STAMP_HMAC_NONE},
                 {163, false, false, STAMP_HMAC_NONE}, {164, true, false, STAMP_HMAC_THERE},
                 {183, true, false, STAMP_HMAC_THERE}, {184, true, true, STAMP_HMAC_THERE},
                 {1400, true, true, STAMP_HMAC_THERE}};
    struct stampauth_ring *r = ring(9, 0, false);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *b = request_of(r, cases[i].size);
        struct stamp_request q;
        size_t offset;
        CU_ASSERT_EQUAL(stamp_request_parse(b, cases[i].size, &q), STAMP_OK);
        CU_ASSERT_EQUAL(stamp_request_has(b, &q, STAMP_TLV_REPORT), cases[i].report);
        CU_ASSERT_EQUAL(stamp_request_has(b, &q, STAMP_TLV_FOLLOW_UP), cases[i].follow_up);
        CU_ASSERT_EQUAL(stamp_hmac_find(b, cases[i].size, 112, &offset), cases[i].hmac);
        CU_ASSERT_TRUE(stampauth_tlvs_check(stampauth_sender(r), b, cases[i].size));
        free(b);
    }
    stampauth_unref(r);
}

static void
every_bit_of_the_tlvs_is_signed_but_padding(void)
{
    struct stampauth_ring *r = ring(9, 0, false);
    struct stampauth_key *k = stampauth_sender(r);
    uint8_t *b = request_of(r, 200);

    /* Follow-up 112..131, report 132..163, HMAC 164..183, padding 184..199.  A bit of
     * the padding's header makes something else of it. */
    for (unsigned bit = 0; bit < 200 * 8; bit++) {
        unsigned at = bit / 8;
        b[at] ^= (uint8_t)(1u << bit % 8);
        if (at < 4 || (at >= 112 && at < 164) || (at > 164 && at < 184)) {
            CU_ASSERT_FALSE(stampauth_tlvs_check(k, b, 200));
        } else if (at < 112 || at >= 188 || at == 164) { /* 164: flags of the HMAC itself. */
            CU_ASSERT_TRUE(stampauth_tlvs_check(k, b, 200));
        }
        b[at] ^= (uint8_t)(1u << bit % 8);
    }
    free(b);
    stampauth_unref(r);
}

/* Octets of TLVs, and what the look for the HMAC finds. */
static void
the_hmac_tlv_has_its_place(void)
{
#define HMAC                                                                                       \
    "\x80\x08\0\x10"                                                                               \
    "0123456789abcdef"
#define PAD                                                                                        \
    "\x80\x01\0\x02"                                                                               \
    "xx"
#define COS                                                                                        \
    "\x80\x04\0\x04"                                                                               \
    "yyyy"
    static const struct {
        const char *octets;
        size_t size;
        enum stamp_hmac found;
    } cases[] = {
        {"", 0, STAMP_HMAC_NONE},
        {PAD, 6, STAMP_HMAC_NONE},
        {"\0\0\0\0", 4, STAMP_HMAC_NONE}, /* Padding that is no TLV. */
        {PAD PAD, 12, STAMP_HMAC_MISSING},
        {COS, 8, STAMP_HMAC_MISSING},
        {COS PAD, 14, STAMP_HMAC_MISSING},
        {HMAC, 20, STAMP_HMAC_THERE},
        {COS HMAC, 28, STAMP_HMAC_THERE},
        {COS HMAC PAD, 34, STAMP_HMAC_THERE},
        {PAD HMAC PAD PAD, 38, STAMP_HMAC_THERE},
        {HMAC COS, 28, STAMP_HMAC_MISPLACED},
        {HMAC HMAC, 40, STAMP_HMAC_MISPLACED},
        {COS HMAC PAD COS, 42, STAMP_HMAC_MISPLACED},
        {"\x80\x08\0\x0f"
         "0123456789abcde",
         19, STAMP_HMAC_MISSING},
        {"\x80\x08\0\x10"
         "0123456789abcde",
         19, STAMP_HMAC_MISSING},
        {"\x80\x04\0\x09"
         "yyyy",
         8, STAMP_HMAC_MISSING},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t *b = exact_copy(cases[i].octets, cases[i].size);
        size_t offset = 99;
        enum stamp_hmac found = stamp_hmac_find(b, cases[i].size, 0, &offset);
        CU_ASSERT_EQUAL(found, cases[i].found);
        if (found == STAMP_HMAC_THERE) {
            CU_ASSERT_EQUAL(b[offset + 1], STAMP_TLV_HMAC);
        }
        free(b);
    }
}

static void
a_reply_is_signed_anew_and_its_tlvs_with_it(void)
{
    struct stampauth_ring *r = ring(9, 0, false);
    struct stampauth_key *k = stampauth_sender(r);
    const struct exchange_report report = {.epoch = 5, .received = 6};
    struct stamp_answer a = answer;
    uint8_t *b = request_of(r, 184);
    struct stamp_request q;
    struct stamp_reply p;
    enum stamp_verdict tlv;
    bool took;

    a.report = &report;
    CU_ASSERT_EQUAL(stamp_request_parse(b, 184, &q), STAMP_OK);
    CU_ASSERT_EQUAL(stamp_reply_make(b, &q, &a, &tlv, &took), 184);
    CU_ASSERT_PTR_NULL(signer(r, b));
    CU_ASSERT_FALSE(stampauth_tlvs_check(k, b, 184));
    stampauth_sign(k, b, 184, true);
    CU_ASSERT_PTR_NOT_NULL(signer(r, b));
    CU_ASSERT_TRUE(stampauth_tlvs_check(k, b, 184));
    CU_ASSERT_EQUAL(b[164], 0); /* The HMAC TLV is known: U is clear. */
    CU_ASSERT_EQUAL(stamp_auth_reply_parse(b, 184, true, &p), STAMP_OK);
    CU_ASSERT(p.has_report && p.report.epoch == 5 && !p.bad_tlv);
    CU_ASSERT_EQUAL(stamp_auth_reply_parse(b, 184, false, &p), STAMP_OK);
    CU_ASSERT_FALSE(p.has_report);
    free(b);
    stampauth_unref(r);
}

static void
tlvs_without_integrity_go_back_with_i_set(void)
{
    struct stampauth_ring *r = ring(9, 0, false);
    struct stamp_answer a = answer;
    const struct exchange_report report = {.epoch = 5};
    uint8_t *b = request_of(r, 200), was[200];
    struct stamp_request q;
    enum stamp_verdict tlv;
    bool took;

    memcpy(was, b, 200);
    a.report = &report;
    a.has_follow_up = true;
    a.integrity_failed = true;
    CU_ASSERT_EQUAL(stamp_request_parse(b, 200, &q), STAMP_OK);
    stamp_reply_make(b, &q, &a, &tlv, &took);
    CU_ASSERT_FALSE(took);
    CU_ASSERT_EQUAL(tlv, STAMP_OK);
    static const size_t heads[] = {112, 132, 164, 184};
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(b[heads[i]], 0xa0);
        was[heads[i]] = 0xa0;
    }
    CU_ASSERT(memcmp(b + 112, was + 112, 88) == 0);
    free(b);
    stampauth_unref(r);
}

static void
an_unsigned_packet_with_an_hmac_tlv_is_not_believed(void)
{
    uint8_t b[44 + 20] = {0};

    CU_ASSERT_TRUE(stampauth_tlvs_check(NULL, b, 44));
    memcpy(b + 44, COS, 8);
    CU_ASSERT_TRUE(stampauth_tlvs_check(NULL, b, 52));
    memcpy(b + 44, HMAC, 20);
    CU_ASSERT_FALSE(stampauth_tlvs_check(NULL, b, 64));
}

/* Each size from the least on: report first, then follow-up telemetry. */
static void
the_hmac_tlv_alone_signs_sequence_and_tlvs(void)
{
    struct stampauth_secret s = secret(1, 16), t = secret(9, 16);
    struct stampauth_ring *r = stampauth_new(STAMPAUTH_TLV, &s, &none, false);
    struct stampauth_ring *other = stampauth_new(STAMPAUTH_TLV, &t, &none, false);
    struct stamp_request q = plain;
    struct stampauth_key *key;
    uint8_t b[200];
    size_t at;

    CU_ASSERT_EQUAL(stampauth_size(r), 64);
    q.authenticated = false;
    q.hmac_tlv = true;
    for (q.size = 64; q.size <= sizeof b; q.size++) {
        stamp_request_format(&q, b);
        CU_ASSERT_EQUAL(stampauth_check(r, b, q.size, false, &key), STAMPAUTH_WRONG_KEY);
        stampauth_sign_tlvs(stampauth_sender(r), b, q.size);
        CU_ASSERT_EQUAL(stampauth_check(r, b, q.size, false, &key), STAMPAUTH_OK);
        CU_ASSERT_PTR_EQUAL(key, stampauth_sender(r));
        CU_ASSERT_EQUAL(stampauth_check(other, b, q.size, false, &key), STAMPAUTH_WRONG_KEY);
        CU_ASSERT_EQUAL(stampauth_check(r, b, q.size, true, &key), STAMPAUTH_UNSIGNED);
        CU_ASSERT_EQUAL(stamp_request_has(b, &q, STAMP_TLV_REPORT), q.size >= 96);
        CU_ASSERT_EQUAL(stamp_request_has(b, &q, STAMP_TLV_FOLLOW_UP), q.size >= 116);
        CU_ASSERT_EQUAL_FATAL(stamp_hmac_find(b, q.size, 44, &at), STAMP_HMAC_THERE);
        for (size_t i = 0; i < at + 20; i++) {
            bool covered = i < 4 || (i >= 44 && i != at); /* Not its own flags. */
            b[i] ^= 1;
            CU_ASSERT_EQUAL(stampauth_check(r, b, q.size, false, &key) == STAMPAUTH_OK, !covered);
            b[i] ^= 1;
        }
    }
    b[at + 1] = STAMP_TLV_PADDING;
    CU_ASSERT_EQUAL(stampauth_check(r, b, sizeof b, false, &key), STAMPAUTH_UNSIGNED);
    stampauth_unref(r);
    stampauth_unref(other);
}

/* What reading a file of this text and mode gives. */
static int
read_of(const char *text, mode_t mode, struct stampauth_secret *out)
{
    char path[] = "/tmp/plumbline-key-XXXXXX";
    int fd = mkstemp(path), err;
    size_t size = strlen(text);

    CU_ASSERT_FATAL(fd >= 0 && write(fd, text, size) == (ssize_t)size && fchmod(fd, mode) == 0);
    close(fd);
    err = stampauth_read(path, out);
    unlink(path);
    return err;
}

static void
keys_are_read_from_files(void)
{
#define K16 "000102030405060708090a0b0c0d0e0f"
#define K64 K16 K16 K16 K16
    static const struct {
        const char *text;
        int err;
        size_t size;
    } cases[] = {{K16, 0, 16},
                 {K16 "\n", 0, 16},
                 {"  " K16 " \r\n\n", 0, 16},
                 {"000102030405060708090A0B0C0D0E0F", 0, 16},
                 {K16 "ff", 0, 17},
                 {K64, 0, 64},
                 {K64 "00", -EINVAL, 0},
                 {K16 "f", -EINVAL, 0},
                 {"000102030405060708090a0b0c0d0e", -EINVAL, 0},
                 {"", -EINVAL, 0},
                 {"\n", -EINVAL, 0},
                 {"000102030405060708090a0b0c0d0e0g", -EINVAL, 0},
                 {"00010203 0405060708090a0b0c0d0e0", -EINVAL, 0},
                 {"correct horse battery staple 123", -EINVAL, 0}};
    struct stampauth_secret s;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CU_ASSERT_EQUAL(read_of(cases[i].text, 0640, &s), cases[i].err);
        CU_ASSERT_EQUAL(s.size, cases[i].size);
        CU_ASSERT(s.size < 16 || (s.octets[0] == 0 && s.octets[10] == 10 && s.octets[15] == 15));
    }
    CU_ASSERT_EQUAL(read_of(K16, 0600, &s), 0);
    CU_ASSERT_EQUAL(read_of(K16, 0644, &s), -EACCES);
    CU_ASSERT_EQUAL(s.size, 0);
    CU_ASSERT_EQUAL(stampauth_read("/nowhere/key", &s), -ENOENT);
    CU_ASSERT(stampauth_read("/tmp", &s) < 0);
}

int
main(void)
{
    CU_TestInfo tests[] = {
        {"HMACs are those of the vectors", hmacs_are_those_of_the_vectors},
        {"packets have the octets of the RFC", packets_have_the_octets_of_the_rfc},
        {"the two layouts are told apart", the_two_layouts_are_told_apart},
        {"every bit before the HMAC is signed", every_bit_before_the_hmac_is_signed},
        {"both keys are good and no other", both_keys_are_good_and_no_other},
        {"room for TLVs depends on the size", room_for_tlvs_depends_on_the_size},
        {"a class is asked for where there is room", a_class_is_asked_for_where_there_is_room},
        {"a foreign far end is not asked for a report",
         a_foreign_far_end_is_not_asked_for_a_report},
        {"every bit of the TLVs is signed but padding",
         every_bit_of_the_tlvs_is_signed_but_padding},
        {"the HMAC TLV has its place", the_hmac_tlv_has_its_place},
        {"a reply is signed anew, and its TLVs with it",
         a_reply_is_signed_anew_and_its_tlvs_with_it},
        {"TLVs without integrity go back with I set", tlvs_without_integrity_go_back_with_i_set},
        {"an unsigned packet with an HMAC TLV is not believed",
         an_unsigned_packet_with_an_hmac_tlv_is_not_believed},
        {"the HMAC TLV alone signs sequence and TLVs", the_hmac_tlv_alone_signs_sequence_and_tlvs},
        {"keys are read from files", keys_are_read_from_files},
        CU_TEST_INFO_NULL};

    return run_suite("authenticated packets", tests);
}
