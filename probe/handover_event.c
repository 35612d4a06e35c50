/* handover_event.c - one event, one record, both ways. */
#include "handover_event.h"

#include "handover_record.h"

static void
put_exchange(const struct exchange *e, struct wr *w)
{
    const bool flags[] = {e->has_report, e->has_follow_up, e->far_synchronised};
    const struct stamp_time *t[] = {&e->t1, &e->t2, &e->t3, &e->t4};

    wr_u8(w, (uint8_t)e->kind);
    wr_u8(w, handover_flags_of(flags, 3));
    wr_be32(w, e->session);
    wr_be32(w, e->sequence);
    handover_put_i64(w, e->at.ns);
    for (unsigned i = 0; i < 4; i++) {
        handover_put_time(w, t[i]);
    }
    handover_put_i64(w, e->scheduled.ns);
    wr_be32(w, e->reflector_sequence);
    wr_be16(w, e->error);
    wr_u8(w, e->ttl);
    wr_u8(w, e->reply_ttl);
    wr_u8(w, e->reply_dscp);
    wr_be64(w, e->far_error_ns);
    wr_be32(w, e->report.epoch);
    wr_be32(w, e->report.received);
    wr_be32(w, e->report.duplicates);
    wr_copy(w, e->report.bitmap, sizeof e->report.bitmap);
    wr_be32(w, e->follow_up.reflector_sequence);
    handover_put_time(w, &e->follow_up.t3);
    handover_put_i64(w, e->since.ns);
    handover_put_i64(w, e->step.ns);
}

static bool
get_exchange(struct rd *r, struct exchange *e)
{
    struct stamp_time *t[] = {&e->t1, &e->t2, &e->t3, &e->t4};
    unsigned kind = rd_u8(r), flags = rd_u8(r);
    bool good = kind <= EXCHANGE_CLOCK_STEP;

    *e = (struct exchange){.kind = good ? (enum exchange_kind)kind : EXCHANGE_SENT};
    e->session = rd_be32(r);
    e->sequence = rd_be32(r);
    e->at = instant_of_ns(handover_get_i64(r));
    for (unsigned i = 0; i < 4; i++) {
        good = handover_get_time(r, t[i]) && good;
    }
    e->scheduled = instant_of_ns(handover_get_i64(r));
    e->reflector_sequence = rd_be32(r);
    e->error = rd_be16(r);
    e->ttl = rd_u8(r);
    e->reply_ttl = rd_u8(r);
    e->reply_dscp = rd_u8(r);
    e->far_error_ns = rd_be64(r);
    e->report.epoch = rd_be32(r);
    e->report.received = rd_be32(r);
    e->report.duplicates = rd_be32(r);
    rd_copy(r, e->report.bitmap, sizeof e->report.bitmap);
    e->follow_up.reflector_sequence = rd_be32(r);
    good = handover_get_time(r, &e->follow_up.t3) && good;
    e->since = instant_of_ns(handover_get_i64(r));
    e->step = span_of_ns(handover_get_i64(r));
    e->has_report = flags & 1;
    e->has_follow_up = flags >> 1 & 1;
    e->far_synchronised = flags >> 2 & 1;
    return good && rd_ok(r);
}

void
handover_event_format(const struct exchange *e, struct wr *w)
{
    uint8_t *room = handover_begin_record(w, HANDOVER_RECORD_EVENT);

    put_exchange(e, w);
    handover_end_record(w, room);
}

bool
handover_event_parse(struct rd *r, struct exchange *out)
{
    unsigned type;

    do {
        struct rd body = handover_next_record(r, &type);
        if (type == HANDOVER_RECORD_EVENT && get_exchange(&body, out)) {
            return true;
        }
    } while (type != 0);
    return false;
}
