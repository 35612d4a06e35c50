/* livekeys.h - what collectors tell of each source, out of Redis: pl:{SOURCE}:live.
 *
 * After redis.h and telemetry.h; used by status.c, probes.c and forget.c. */
#ifndef PLUMBLINE_LIVEKEYS_H
#define PLUMBLINE_LIVEKEYS_H

#include "config.h"
#include "telemetry.h"

struct livekeys;

/* NULL: the address is none, or memory is out. */
struct livekeys *livekeys_new(const struct config_redis *config);
void livekeys_free(struct livekeys *l);

/* The source's key, to be freed by plumbline__telemetry__live__free_unpacked(); NULL: there
 * is none, or, where livekeys_why() has a text, Redis is not there. */
pb_live *livekeys_get(struct livekeys *l, const char *source);

/* Why Redis did not answer the last time; "": it did. */
const char *livekeys_why(const struct livekeys *l);

#endif
