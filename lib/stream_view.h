/* stream_view.h - what Redis holds of a source at one moment, out of its replies.
 *
 * After spool.h (positions) and hiredis; before stream_parts.h.  Does no I/O. */
#ifndef PLUMBLINE_STREAM_VIEW_H
#define PLUMBLINE_STREAM_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "spool.h"

/* What the key pl:{SOURCE}:ack says. */
struct stream_ack {
    bool present;
    struct position committed;
    bool wanting;
    struct position want;
    const char *rest; /* What stands behind the collector's run; the reply's. */
    size_t rest_size;
};

/* What Redis holds, at one moment. */
struct stream_view {
    struct stream_ack ack;
    bool exists;
    struct position top; /* Last ID ever added; {0,0}: none. */
    bool has_first;      /* There are entries; 'first' is the first one's ID. */
    struct position first;
};

/* "<epoch>-<sequence>".  false: it is none. */
bool stream_parse_id(const char *text, size_t size, struct position *out);

/* "1 <committed> <want|-> <collector run> [<what is asked>]"; out->rest points into 'text'.
 * false: it cannot be read. */
bool stream_parse_ack(const char *text, size_t size, struct stream_ack *out);

/* "last-generated-id" and "first-entry" of XINFO STREAM. */
bool stream_parse_info(const redisReply *info, struct stream_view *view);

static inline bool
stream_is_error(const redisReply *reply, const char *prefix)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, prefix, strlen(prefix)) == 0;
}

static inline struct position
stream_higher(struct position a, struct position b)
{
    return position_compare(a, b) >= 0 ? a : b;
}

/* The highest ID that Redis or a collector knows. */
struct position stream_highest(const struct stream_view *view);

#endif
