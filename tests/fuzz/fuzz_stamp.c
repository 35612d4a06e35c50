/* fuzz_stamp.c - any bytes as a request, as a reply and as TLVs: what is accepted
 * formats back, and a reply made of a request is its size and parses. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "stamp_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
tlvs_format_back(const uint8_t *data, size_t size)
{
    struct rd r = rd_of(data, size);
    uint8_t *copy = (uint8_t *)malloc(size + 1);
    struct wr w = wr_of(copy, size);
    struct stamp_tlv t;

    assert(copy);
    while (!stamp_tlv_at_end(&r) && stamp_tlv_parse(&r, &t) == STAMP_OK) {
        assert(t.size <= size);
        stamp_tlv_format(&w, &t);
    }
    assert(wr_ok(&w));
    assert(memcmp(copy, data, wr_size(&w)) == 0);
    free(copy);
}

static void
times_format_back(uint64_t raw)
{
    struct instant at, again;

    for (unsigned ptp = 0; ptp < 2; ptp++) {
        if (stamp_time_parse(raw, ptp, &at)) {
            assert(stamp_time_parse(stamp_time_format(at, ptp), ptp, &again));
            assert(again.ns == at.ns);
        }
    }
}

static void
request_formats_back(const uint8_t *data, size_t size)
{
    struct stamp_request q, again;
    struct exchange_report report = {.epoch = 1, .received = 2};
    struct stamp_seen seen = {.tos = 0xb9, .ipv6 = size & 1, .dscps = size & 2 ? 1 : 0};
    struct stamp_answer a = {.sequence = 7,
                             .seen = &seen,
                             .error = 1,
                             .ttl = 64,
                             .report = &report,
                             .has_follow_up = true,
                             .follow_up_sequence = 6,
                             .follow_up_t3 = 9};
    struct stamp_reply p;
    enum stamp_verdict tlv;
    bool took;

    if (stamp_request_parse(data, size, &q) != STAMP_OK) {
        return;
    }
    size_t room = size < STAMP_SIZE_BASE ? STAMP_SIZE_BASE : size;
    uint8_t *buf = (uint8_t *)malloc(room);
    assert(buf);
    if (q.extended) {
        stamp_request_format(&q, buf);
        assert(memcmp(buf, data, STAMP_SIZE_BASE) == 0);
        assert(stamp_request_parse(buf, size, &again) == STAMP_OK);
        assert(again.ssid == q.ssid && again.extended);
    }
    memcpy(buf, data, size);
    assert(stamp_reply_make(buf, &q, &a, &tlv, &took) == room);
    assert(!q.authenticated || stamp_is_authenticated(buf, room));
    assert((q.authenticated ? stamp_auth_reply_parse(buf, room, true, &p)
                            : stamp_reply_parse(buf, room, &p)) == STAMP_OK);
    assert(p.sender_sequence == q.sequence && p.t1 == q.t1 && p.sender_error == q.error);
    assert(!q.extended || p.bad_tlv == (tlv == STAMP_BAD_TLV));
    assert(seen.reply_dscp < 64);
    assert(!took || (p.has_follow_up && p.follow_up_sequence == 6));
    free(buf);
}

static void
reply_formats_back(const uint8_t *data, size_t size)
{
    struct stamp_reply p, again;
    uint8_t buf[STAMP_SIZE_BASE];

    if (stamp_reply_parse(data, size, &p) != STAMP_OK) {
        return;
    }
    stamp_reply_format(&p, buf);
    assert(memcmp(buf, data, 38) == 0);
    assert(buf[40] == (size < STAMP_SIZE_REPLY_TTL ? 0 : data[40]));
    assert(stamp_reply_parse(buf, sizeof buf, &again) == STAMP_OK);
    assert(again.t3 == p.t3 && again.t2 == p.t2 && again.ssid == p.ssid);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rd r = rd_of(data, size);
    struct stamp_error e = stamp_error_parse(rd_be16(&r));

    if (e.error_ns < UINT64_MAX / 2) { /* Above it rounding up may reach "not known". */
        struct stamp_error back = stamp_error_parse(stamp_error_format(&e));
        assert(back.error_ns >= e.error_ns && back.error_ns <= e.error_ns + e.error_ns / 64 + 1);
        assert(back.ptp == e.ptp && back.synchronised == e.synchronised);
    }
    times_format_back(rd_be64(&r));
    tlvs_format_back(data, size);
    size_t offset = size;
    if (stamp_hmac_find(data, size, 0, &offset) == STAMP_HMAC_THERE) {
        assert(offset + STAMP_TLV_HEADER + STAMP_HMAC_SIZE <= size);
        assert(data[offset + 1] == STAMP_TLV_HMAC);
    }
    request_formats_back(data, size);
    reply_formats_back(data, size);
    return 0;
}
