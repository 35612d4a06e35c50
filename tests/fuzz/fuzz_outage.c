/* fuzz_outage.c - stored states of quarter hours: outages of what is accepted are in order, inside
 * the time, and of a length that fits; what is not accepted leaves nothing behind. */
#include <assert.h>
#include <stdint.h>

#include "line.h"
#include "outage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_list(const struct outage_list *o, struct instant from)
{
    int64_t at = from.ns;

    for (size_t i = 0; i < o->count; i++) {
        const struct outage *one = &o->list[i];
        assert(one->start.ns >= at && one->end.ns <= o->until.ns);
        assert(one->length.ns > 0 && one->length.ns <= one->end.ns - one->start.ns);
        at = one->end.ns;
    }
}

/* The first byte says how undetermined time counts; what follows comes twice. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct instant from = instant_of_ns(1700000100 * NS_PER_S);
    struct instant then = instant_of_ns(from.ns + LINE_QUARTER_NS);
    struct outage_list o;

    if (size == 0) {
        return 0;
    }
    outage_begin(&o, (enum inv_undetermined)(data[0] & 3));
    if (outage_add(&o, from, data + 1, size - 1) == 0) {
        assert(o.until.ns == then.ns);
        size_t count = o.count;
        int err = outage_add(&o, then, data + 1, size - 1);
        assert(err == 0 && o.count >= 2 * count - (count > 0));
        check_list(&o, from);
    } else {
        assert(o.count == 0);
    }
    outage_fini(&o);
    return 0;
}
