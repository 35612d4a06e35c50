/* fuzz_handover.c - any bytes as the state of a probe, or as its events: what is accepted
 * formats to what parses to the same again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "handover.h"
#include "handover_event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_events(const uint8_t *data, size_t size)
{
    struct rd r = rd_of(data, size);
    struct exchange e;

    while (handover_event_parse(&r, &e)) {
        uint8_t bytes[HANDOVER_EVENT_MAX];
        struct wr w = wr_of(bytes, sizeof bytes);
        handover_event_format(&e, &w);
        assert(wr_ok(&w));
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct handover h, again;
    uint8_t *first, *second;
    size_t first_size, second_size;

    try_events(data, size);
    if (handover_parse(data, size, &h) != HANDOVER_OK) {
        return 0;
    }
    plan_free(handover_plan(&h));
    int err = handover_format(&h, &first, &first_size);
    assert(!err && handover_parse(first, first_size, &again) == HANDOVER_OK);
    err = handover_format(&again, &second, &second_size);
    assert(!err && first_size == second_size && memcmp(first, second, first_size) == 0);
    free(first);
    free(second);
    handover_fini(&h);
    handover_fini(&again);
    return 0;
}
