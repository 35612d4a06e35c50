/* handover_record.h - one record of a state that is handed over (doc/wire-format.md), and the
 * fields that records are made of.
 *
 * After wire.h; before handover.h (states) and handover_event.h (events), and for no other file. */
#ifndef PLUMBLINE_HANDOVER_RECORD_H
#define PLUMBLINE_HANDOVER_RECORD_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "exchange.h"
#include "nstime.h"
#include "wire.h"

enum handover_record {
    HANDOVER_RECORD_HEAD = 1,
    HANDOVER_RECORD_SESSION,
    HANDOVER_RECORD_SOCKET,
    HANDOVER_RECORD_WAITING, /* Of the socket before it. */
    HANDOVER_RECORD_PROGRESS,
    HANDOVER_RECORD_REFLECTED,
    HANDOVER_RECORD_EVENT,
    HANDOVER_RECORD_END = 255
};

/* Begins a record; what it returns is for handover_end_record(), which writes the size. */
uint8_t *handover_begin_record(struct wr *w, enum handover_record type);
void handover_end_record(struct wr *w, uint8_t *room);

/* The next record, as a cursor over its body; 'type' 0: none, or bad. */
struct rd handover_next_record(struct rd *r, unsigned *type);

/* Fields.  Those that can be read wrongly return whether they can be; 'needed': not none. */
void handover_put_address(struct wr *w, const struct address *a);
bool handover_get_address(struct rd *r, struct address *a, bool needed);
void handover_put_name(struct wr *w, const char *name);
bool handover_get_name(struct rd *r, char text[IF_NAMESIZE]);
void handover_put_i64(struct wr *w, int64_t v);
int64_t handover_get_i64(struct rd *r);
void handover_put_time(struct wr *w, const struct stamp_time *t);
bool handover_get_time(struct rd *r, struct stamp_time *t);

/* Up to 8 of them, the first the lowest bit. */
uint8_t handover_flags_of(const bool *flags, unsigned count);

#endif
