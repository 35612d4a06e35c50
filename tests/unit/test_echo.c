/* test_echo.c - ICMP echo as a test packet: the RFC's octets, each refusal, any
 * truncation. */
#include "harness.h"

#include "echo.h"

static const struct echo sample = {
    .identifier = 0x1234, .sequence = 0x00050007, .t1 = UINT64_C(0x0102030405060708)};

/* What a host answers: type turned, checksum made good again (RFC 1624 by hand). */
static void
answer(uint8_t *buf, uint8_t family)
{
    uint32_t sum;

    if (family == 6) {
        buf[0] = 129;
        return;
    }
    buf[0] = 0;
    sum = (uint32_t)(buf[2] << 8 | buf[3]) + 0x0800;
    sum = (sum & 0xffff) + (sum >> 16);
    buf[2] = (uint8_t)(sum >> 8);
    buf[3] = (uint8_t)sum;
}

static void
a_request_has_the_octets_of_the_rfc(void)
{
    static const uint8_t rest[20] = {0x12, 0x34, 0, 7, 0, 5, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8};
    uint8_t buf[24];

    echo_request_format(&sample, 4, buf, sizeof buf);
    /* The sum of all words is all ones. */
    uint32_t sum = 0;
    for (unsigned i = 0; i < sizeof buf; i += 2) {
        sum += (uint32_t)(buf[i] << 8 | buf[i + 1]);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    CU_ASSERT_EQUAL(sum, 0xffff);
    CU_ASSERT_EQUAL(memcmp(buf + 4, rest, sizeof rest), 0);
    CU_ASSERT_EQUAL(buf[0], 8);
    echo_request_format(&sample, 6, buf, sizeof buf);
    CU_ASSERT_EQUAL(buf[0], 128);
    CU_ASSERT_EQUAL(buf[2] | buf[3], 0);
}

static void
what_was_sent_comes_back_in_both_families_and_any_size(void)
{
    for (unsigned i = 0; i < 5000; i++) {
        size_t size = ECHO_SIZE_MIN + random_below(200);
        uint8_t family = random_u64() & 1 ? 4 : 6;
        struct echo e = {(uint16_t)random_u64(), (uint32_t)random_u64(), random_u64()}, back;
        uint8_t *buf = malloc(size);
        echo_request_format(&e, family, buf, size);
        CU_ASSERT_EQUAL(echo_reply_parse(buf, size, family, &back), ECHO_OTHER);
        answer(buf, family);
        CU_ASSERT_EQUAL_FATAL(echo_reply_parse(buf, size, family, &back), ECHO_OK);
        CU_ASSERT(back.identifier == e.identifier && back.sequence == e.sequence &&
                  back.t1 == e.t1);
        free(buf);
    }
}

static void
each_refusal_has_its_verdict(void)
{
    uint8_t buf[24];
    struct echo out;

    for (size_t size = 0; size <= 24; size++) {
        echo_request_format(&sample, 6, buf, sizeof buf);
        answer(buf, 6);
        uint8_t *b = exact_copy(buf, size);
        CU_ASSERT_EQUAL(echo_reply_parse(b, size, 6, &out),
                        size < ECHO_SIZE_MIN ? ECHO_SHORT : ECHO_OK);
        free(b);
    }
    echo_request_format(&sample, 4, buf, sizeof buf);
    answer(buf, 4);
    CU_ASSERT_EQUAL(echo_reply_parse(buf, sizeof buf, 6, &out), ECHO_OTHER);
    buf[23] ^= 1;
    CU_ASSERT_EQUAL(echo_reply_parse(buf, sizeof buf, 4, &out), ECHO_CHECKSUM);
    echo_request_format(&sample, 6, buf, sizeof buf);
    answer(buf, 6);
    buf[1] = 1;
    CU_ASSERT_EQUAL(echo_reply_parse(buf, sizeof buf, 6, &out), ECHO_OTHER);
    buf[1] = 0;
    buf[7]++;
    CU_ASSERT_EQUAL(echo_reply_parse(buf, sizeof buf, 6, &out), ECHO_FOREIGN);
}

int
main(void)
{
    static CU_TestInfo tests[] = {
#define T(name) {(char *)(uintptr_t) #name, name}
        T(a_request_has_the_octets_of_the_rfc),
        T(what_was_sent_comes_back_in_both_families_and_any_size),
        T(each_refusal_has_its_verdict),
        CU_TEST_INFO_NULL,
    };

    return run_suite("echo", tests);
}
