/* test_wire.c - the cursors: what is written is read again, and nothing beyond
 * the end. */
#include "wire.h"

#include "harness.h"

static void
what_is_written_is_read_again(void)
{
    uint8_t bytes[64];
    struct wr w = wr_of(bytes, sizeof bytes);

    wr_u8(&w, 0xab);
    wr_be16(&w, 0x1234);
    wr_be32(&w, 0x89abcdef);
    wr_be64(&w, 0x0123456789abcdef);
    wr_le32(&w, 0x89abcdef);
    wr_le64(&w, 0x0123456789abcdef);
    wr_zero(&w, 3);
    wr_copy(&w, "xyz", 3);
    CU_ASSERT_TRUE(wr_ok(&w));
    CU_ASSERT_EQUAL(wr_size(&w), 33);
    CU_ASSERT_EQUAL(bytes[1], 0x12);
    CU_ASSERT_EQUAL(bytes[15], 0xef);
    struct rd r = rd_of(bytes, wr_size(&w));
    char text[3];
    CU_ASSERT_EQUAL(rd_u8(&r), 0xab);
    CU_ASSERT_EQUAL(rd_be16(&r), 0x1234);
    CU_ASSERT_EQUAL(rd_be32(&r), 0x89abcdef);
    CU_ASSERT_EQUAL(rd_be64(&r), 0x0123456789abcdef);
    CU_ASSERT_EQUAL(rd_le32(&r), 0x89abcdef);
    CU_ASSERT_EQUAL(rd_le64(&r), 0x0123456789abcdef);
    rd_skip(&r, 3);
    rd_copy(&r, text, 3);
    CU_ASSERT_EQUAL(memcmp(text, "xyz", 3), 0);
    CU_ASSERT_TRUE(rd_ok(&r));
    CU_ASSERT_EQUAL(r.left, 0);
}

static void
a_cursor_past_its_end_stays_bad_and_yields_zero(void)
{
    static const uint8_t three[] = {1, 2, 3};
    uint8_t *exact = exact_copy(three, 3);
    struct rd r = rd_of(exact, 3);
    uint8_t text[2] = {9, 9};

    CU_ASSERT_EQUAL(rd_be32(&r), 0);
    CU_ASSERT_FALSE(rd_ok(&r));
    CU_ASSERT_EQUAL(rd_u8(&r), 0);
    rd_copy(&r, text, 1);
    CU_ASSERT_EQUAL(text[0], 0);
    CU_ASSERT_EQUAL(text[1], 9);
    CU_ASSERT_FALSE(rd_ok(&r));
    free(exact);
    uint8_t room[3] = {7, 7, 7};
    struct wr w = wr_of(room, 3);
    wr_be32(&w, 1);
    wr_u8(&w, 1);
    CU_ASSERT_FALSE(wr_ok(&w));
    CU_ASSERT_EQUAL(wr_size(&w), 0);
    CU_ASSERT_EQUAL(room[0], 7);
}

static void
an_inner_cursor_cannot_leave_its_parent(void)
{
    static const uint8_t four[] = {1, 2, 3, 4};
    struct rd r = rd_of(four, 4), inner = rd_sub(&r, 2);

    CU_ASSERT_EQUAL(rd_be16(&inner), 0x0102);
    CU_ASSERT_EQUAL(rd_u8(&inner), 0);
    CU_ASSERT_FALSE(rd_ok(&inner));
    CU_ASSERT_TRUE(rd_ok(&r));
    inner = rd_sub(&r, 3);
    CU_ASSERT_FALSE(rd_ok(&inner));
    CU_ASSERT_FALSE(rd_ok(&r));
}

static void
varints_of_every_length_come_back(void)
{
    for (unsigned i = 0; i < 5000; i++) {
        uint64_t v = i < 64    ? UINT64_C(1) << i
                     : i < 128 ? (UINT64_C(1) << (i - 64)) - 1
                               : random_u64() >> random_below(64);
        int64_t z = i % 2 ? (int64_t)v : (int64_t)(0 - v);
        uint8_t bytes[20];
        struct wr w = wr_of(bytes, sizeof bytes);
        wr_varint(&w, v);
        size_t size = wr_size(&w);
        wr_zigzag(&w, z);
        struct rd r = rd_of(bytes, wr_size(&w));
        CU_ASSERT_EQUAL(rd_varint(&r), v);
        CU_ASSERT_EQUAL(rd_zigzag(&r), z);
        CU_ASSERT(rd_ok(&r) && r.left == 0);
        for (size_t cut = 0; cut < size; cut++) {
            uint8_t *exact = exact_copy(bytes, cut);
            r = rd_of(exact, cut);
            CU_ASSERT_EQUAL(rd_varint(&r), 0);
            CU_ASSERT_FALSE(rd_ok(&r));
            free(exact);
        }
    }
}

static void
a_varint_of_more_than_64_bits_is_bad(void)
{
    uint8_t bytes[11] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0};
    struct rd r = rd_of(bytes, sizeof bytes);

    CU_ASSERT_EQUAL(rd_varint(&r), UINT64_C(1) << 63);
    bytes[9] = 0x02;
    r = rd_of(bytes, sizeof bytes);
    CU_ASSERT_EQUAL(rd_varint(&r), 0);
    CU_ASSERT_FALSE(rd_ok(&r));
    bytes[9] = 0x81;
    r = rd_of(bytes, sizeof bytes);
    (void)rd_varint(&r);
    CU_ASSERT_FALSE(rd_ok(&r));
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"what_is_written_is_read_again", what_is_written_is_read_again},
        {"a_cursor_past_its_end_stays_bad_and_yields_zero",
         a_cursor_past_its_end_stays_bad_and_yields_zero},
        {"an_inner_cursor_cannot_leave_its_parent", an_inner_cursor_cannot_leave_its_parent},
        {"varints_of_every_length_come_back", varints_of_every_length_come_back},
        {"a_varint_of_more_than_64_bits_is_bad", a_varint_of_more_than_64_bits_is_bad},
        CU_TEST_INFO_NULL};
    return run_suite("wire", tests);
}
