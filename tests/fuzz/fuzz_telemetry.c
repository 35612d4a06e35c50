/* fuzz_telemetry.c - batches: what parses, without the fields that nobody knows,
 * packs again to something that parses to the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Forgets unknown fields, here and in all that 'm' holds. */
static void
forget_unknown(ProtobufCMessage *m)
{
    m->n_unknown_fields = 0;
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        uint8_t *member = (uint8_t *)m + f->offset;
        if (f->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        ProtobufCMessage *one, **many;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count;
            memcpy(&count, (uint8_t *)m + f->quantifier_offset, sizeof count);
            memcpy(&many, member, sizeof many);
            for (size_t k = 0; k < count; k++) {
                forget_unknown(many[k]);
            }
        } else {
            memcpy(&one, member, sizeof one);
            if (one) {
                forget_unknown(one);
            }
        }
    }
}

static uint8_t *
pack(const pb_batch *b, size_t *size)
{
    uint8_t *bytes;

    *size = plumbline__telemetry__batch__get_packed_size(b);
    bytes = malloc(*size + 1);
    assert(bytes && plumbline__telemetry__batch__pack(b, bytes) == *size);
    return bytes;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct telemetry_arena *arena, *arena_again;
    const pb_batch *b = NULL, *again = NULL;

    if (!arena) {
        arena = telemetry_arena_new();
        arena_again = telemetry_arena_new();
        assert(arena && arena_again);
    }
    telemetry_arena_reset(arena);
    telemetry_arena_reset(arena_again);
    enum telemetry_verdict v = telemetry_parse(arena, "ams-1", data, size, &b);
    if (v != TELEMETRY_OK) {
        assert(!b);
        return 0;
    }
    union { /* The arena is ours. */
        const pb_batch *given;
        pb_batch *ours;
    } u = {.given = b};
    size_t packed, packed_again;
    forget_unknown(&u.ours->base);
    uint8_t *bytes = pack(b, &packed);
    v = telemetry_parse(arena_again, "ams-1", bytes, packed, &again);
    assert(v == TELEMETRY_OK);
    assert(again->n_summaries == b->n_summaries && again->n_sessions == b->n_sessions);
    uint8_t *bytes_again = pack(again, &packed_again);
    assert(packed == packed_again && memcmp(bytes, bytes_again, packed) == 0);
    free(bytes);
    free(bytes_again);
    return 0;
}
