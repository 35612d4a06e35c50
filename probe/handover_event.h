/* handover_event.h - the events of packets that the old process still waits for, in bytes.
 *
 * After handover_record.h and exchange.h; predecessor.h sends them, successor.h takes them. */
#ifndef PLUMBLINE_HANDOVER_EVENT_H
#define PLUMBLINE_HANDOVER_EVENT_H

#include <stdbool.h>

#include "exchange.h"
#include "wire.h"

/* One event is a record of its own, at most so many bytes. */
enum { HANDOVER_EVENT_MAX = 256 };
void handover_event_format(const struct exchange *e, struct wr *w);

/* The next event of 'r'; other records are passed over.  false: there is none, or 'r' is
 * bad. */
bool handover_event_parse(struct rd *r, struct exchange *out);

#endif
