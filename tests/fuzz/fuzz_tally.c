/* fuzz_tally.c - stored tallies: what is accepted encodes again to what means the same, and twice
 * of it adds up; what is not leaves nothing behind. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "tally.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_accepted(const struct tally *t)
{
    struct bytes a = {0}, b = {0};
    struct tally again, twice;

    tally_init(&again);
    tally_init(&twice);
    tally_encode(t, &a);
    assert(bytes_ok(&a));
    int err = tally_decode(&again, a.at, a.size);
    assert(err == 0);
    tally_encode(&again, &b);
    assert(a.size == b.size && memcmp(a.at, b.at, a.size) == 0);
    err = tally_merge(&twice, t);
    err = err ? err : tally_merge(&twice, t);
    assert(err == 0 || err == -EOVERFLOW);
    assert(err || (twice.sent == 2 * t->sent && twice.delay_count == 2 * t->delay_count &&
                   twice.delay_min_ns == t->delay_min_ns));
    tally_fini(&again);
    tally_fini(&twice);
    bytes_fini(&a);
    bytes_fini(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tally t;

    tally_init(&t);
    if (tally_decode(&t, data, size) == 0) {
        check_accepted(&t);
    } else {
        assert(t.sent == 0 && t.delay_count == 0 && (!t.hist || hist_count(t.hist) == 0) &&
               (!t.ifdv || hist_count(t.ifdv) == 0));
    }
    tally_fini(&t);
    return 0;
}
