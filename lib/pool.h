/* pool.h - memory that is freed in one call: one configuration, one inventory.
 *
 * The bottom of lib/, beside nstime.h.  Never used where packets go.  What a
 * pool gives out is zeroed and aligned for anything; it lives until pool_free().
 * Configurations are bounded in size before they are read, so memory that is out
 * here is out everywhere: the process aborts rather than run half configured. */
#ifndef PLUMBLINE_POOL_H
#define PLUMBLINE_POOL_H

#include <stddef.h>

struct pool;

struct pool *pool_new(void);
void pool_free(struct pool *p);

/* 'size' zeroed bytes; size 0 gives a pointer that must not be followed. */
void *pool_alloc(struct pool *p, size_t size);

/* 'count' zeroed items of 'size' bytes each. */
void *pool_array(struct pool *p, size_t count, size_t size);

/* A copy of 'length' bytes with a NUL behind. */
char *pool_text(struct pool *p, const char *text, size_t length);

#endif
