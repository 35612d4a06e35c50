/* assemble_liveness.c - runs of seconds, in memory and as they are stored. */
#include "assemble_liveness.h"

#include <errno.h>
#include <stdlib.h>

#include "wire.h"

#define LIVENESS_ENCODING 1

void
assemble_liveness_fini(struct assemble_liveness_list *list)
{
    free(list->runs);
}

int
assemble_liveness_add(struct assemble_liveness_list *list, const struct assemble_liveness *l)
{
    struct assemble_liveness *last = list->count ? &list->runs[list->count - 1] : NULL;

    if (last && last->second + last->seconds == l->second && last->sending == l->sending &&
        last->reflecting == l->reflecting && last->generation == l->generation &&
        last->serving_id == l->serving_id) {
        last->seconds += l->seconds;
        return 0;
    }
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 4;
        void *more = reallocarray(list->runs, room, sizeof *l);
        if (!more) {
            return -ENOMEM;
        }
        list->runs = more;
        list->room = room;
    }
    list->runs[list->count++] = *l;
    return 0;
}

void
assemble_liveness_write(const struct assemble_liveness_list *list, struct instant start,
                        struct bytes *out)
{
    static const uint8_t format = LIVENESS_ENCODING;
    uint64_t base = (uint64_t)(instant_floor(start, span_of_ns(NS_PER_S)).ns / NS_PER_S);

    bytes_clear(out);
    if (list->count) {
        bytes_add(out, &format, 1);
    }
    for (size_t k = 0; k < list->count; k++) {
        const struct assemble_liveness *l = &list->runs[k];
        bytes_varint(out, l->second - base);
        bytes_varint(out, l->seconds);
        bytes_varint(out, (uint64_t)l->sending | (uint64_t)l->reflecting << 1);
        bytes_be64(out, (uint64_t)l->generation);
        bytes_be64(out, (uint64_t)l->serving_id);
    }
}

bool
assemble_liveness_read(const void *bytes, size_t size, struct instant start,
                       assemble_liveness_fn *fn, void *aux)
{
    struct rd r = rd_of(bytes, size);
    uint64_t base = (uint64_t)(instant_floor(start, span_of_ns(NS_PER_S)).ns / NS_PER_S);

    if (rd_u8(&r) != LIVENESS_ENCODING) {
        return false;
    }
    while (rd_ok(&r) && r.left) {
        struct assemble_liveness l = {.second = base + rd_varint(&r)};
        l.seconds = (uint32_t)rd_varint(&r);
        uint64_t bits = rd_varint(&r);
        l.sending = bits & 1;
        l.reflecting = bits >> 1 & 1;
        l.generation = (int64_t)rd_be64(&r);
        l.serving_id = (int64_t)rd_be64(&r);
        if (rd_ok(&r)) {
            fn(&l, aux);
        }
    }
    return rd_ok(&r);
}
