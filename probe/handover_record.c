/* handover_record.c - records and their fields, each both ways. */
#include "handover_record.h"

#include <string.h>

uint8_t *
handover_begin_record(struct wr *w, enum handover_record type)
{
    wr_u8(w, (uint8_t)type);
    return wr_room(w, 4);
}

void
handover_end_record(struct wr *w, uint8_t *room)
{
    if (wr_ok(w) && room) {
        struct wr size = wr_of(room, 4);
        wr_be32(&size, (uint32_t)(w->at - room - 4));
    }
}

void
handover_put_address(struct wr *w, const struct address *a)
{
    wr_u8(w, a->family);
    wr_copy(w, &a->v6, sizeof a->v6);
}

bool
handover_get_address(struct rd *r, struct address *a, bool needed)
{
    memset(a, 0, sizeof *a);
    a->family = rd_u8(r);
    rd_copy(r, &a->v6, sizeof a->v6);
    return a->family == 4 || a->family == 6 || (a->family == 0 && !needed);
}

void
handover_put_name(struct wr *w, const char *name)
{
    char text[IF_NAMESIZE] = {0};

    if (name) {
        memcpy(text, name, strnlen(name, sizeof text - 1));
    }
    wr_copy(w, text, sizeof text);
}

bool
handover_get_name(struct rd *r, char text[IF_NAMESIZE])
{
    rd_copy(r, text, IF_NAMESIZE);
    return text[IF_NAMESIZE - 1] == '\0';
}

void
handover_put_i64(struct wr *w, int64_t v)
{
    wr_be64(w, (uint64_t)v);
}

int64_t
handover_get_i64(struct rd *r)
{
    return (int64_t)rd_be64(r);
}

uint8_t
handover_flags_of(const bool *flags, unsigned count)
{
    unsigned v = 0;

    for (unsigned i = 0; i < count; i++) {
        v |= (unsigned)flags[i] << i;
    }
    return (uint8_t)v;
}

void
handover_put_time(struct wr *w, const struct stamp_time *t)
{
    handover_put_i64(w, t->at.ns);
    wr_u8(w, (uint8_t)t->source);
}

bool
handover_get_time(struct rd *r, struct stamp_time *t)
{
    t->at = instant_of_ns(handover_get_i64(r));
    unsigned source = rd_u8(r);
    t->source = source < TS_SOURCES ? (enum ts_source)source : TS_NONE;
    return source < TS_SOURCES;
}

struct rd
handover_next_record(struct rd *r, unsigned *type)
{
    uint8_t t = rd_u8(r);
    uint32_t size = rd_be32(r);
    struct rd body = rd_sub(r, size);

    *type = rd_ok(&body) ? t : 0;
    return body;
}
