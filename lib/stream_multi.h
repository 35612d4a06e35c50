/* stream_multi.h - one request of a source to Redis: commands between MULTI and EXEC, the
 * ack with them; and the pause where it is refused.
 *
 * After redis.h and stream_parts.h; before stream.c, which says what is asked. */
#ifndef PLUMBLINE_STREAM_MULTI_H
#define PLUMBLINE_STREAM_MULTI_H

#include "stream_parts.h"

#define STREAM_PAUSE_MIN (200 * NS_PER_MS)
#define STREAM_PAUSE_MAX (5 * NS_PER_S)

void stream_timer_set(struct event *timer, int64_t ns);

/* For the health. */
void stream_set_error(struct stream *s, const char *text);

/* Stops until a timer is over, then Redis is asked anew. */
void stream_pause(struct stream *s, int64_t ns);

/* Redis said 'text': logs what is new, and pauses, each time longer. */
void stream_refused(struct stream *s, const char *text);

/* A request: its begin, its commands, its end, which asks for the ack too.  'fn' gets
 * EXEC's reply.  Where a part cannot be queued the connection is reset. */
void stream_begin(struct stream *s);
void stream_command(struct stream *s, size_t argc, const char *const *argv, const size_t *sizes);
void stream_end(struct stream *s, redis_reply_fn *fn);

/* Whether EXEC gave 'count' replies; if not, or if the connection is gone, that
 * is dealt with. */
bool stream_executed(struct stream *s, const redisReply *reply, size_t count);

#endif
