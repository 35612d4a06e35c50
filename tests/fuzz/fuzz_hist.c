/* fuzz_hist.c - histogram encodings: what is accepted encodes again to something
 * that means the same, in a small, a large and a packed histogram; what is not
 * changes nothing.  The first byte chooses the layout. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The encoding of 'h' in a block of its own. */
static uint8_t *
encode(const struct hist *h, size_t *size)
{
    uint8_t *bytes;

    *size = hist_encoded_size(h);
    bytes = malloc(*size + 1);
    assert(bytes && hist_encode(h, bytes, *size) == *size);
    return bytes;
}

static void
check_accepted(enum hist_layout layout, const struct hist *h, uint64_t count)
{
    struct hist *again = hist_new(layout);
    size_t size, size_again;
    uint8_t *bytes = encode(h, &size), *bytes_again;
    uint64_t counted = 0;

    assert(again && hist_count(h) == count);
    assert(hist_check_encoded(layout, bytes, size, &counted) == HIST_OK && counted == count);
    assert(hist_merge_encoded(again, bytes, size) == HIST_OK);
    bytes_again = encode(again, &size_again);
    assert(size == size_again && memcmp(bytes, bytes_again, size) == 0);
    if (count) {
        int64_t low = hist_quantile(h, 1, INT64_MIN, INT64_MAX);
        int64_t high = hist_quantile(h, 1000000, INT64_MIN, INT64_MAX);
        assert(low <= high);
    }
    free(bytes);
    free(bytes_again);
    hist_free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum hist_layout layout;
    uint64_t count = 0;

    if (size < 1) {
        return 0;
    }
    layout = data[0] & 1 ? HIST_DELAY : HIST_IFDV;
    data++;
    size--;
    enum hist_verdict v = hist_check_encoded(layout, data, size, &count);
    struct hist *small = hist_new(layout), *large = hist_new(layout);
    struct hist *packed = hist_new_packed(layout);
    assert(small && large && packed);
    for (int64_t i = 0; i < 100; i++) {
        int err = hist_add(large, i * 4000, 1);
        assert(err == 0);
        err = hist_add(packed, i * 4000, 1);
        assert(err == 0);
    }
    enum hist_verdict s = hist_merge_encoded(small, data, size);
    enum hist_verdict l = hist_merge_encoded(large, data, size);
    enum hist_verdict p = hist_merge_encoded(packed, data, size);
    assert(s == v && p == l);
    assert(l == v || l == HIST_BAD_COUNT);
    if (v == HIST_OK) {
        check_accepted(layout, small, count);
    } else {
        assert(hist_count(small) == 0 && hist_encoded_size(small) == 0);
    }
    check_accepted(layout, large, 100 + (l == HIST_OK ? count : 0));
    check_accepted(layout, packed, hist_count(large));
    hist_free(small);
    hist_free(large);
    hist_free(packed);
    return 0;
}
