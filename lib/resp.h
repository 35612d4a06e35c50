/* resp.h - Redis's replies out of bytes, with bounds on what they may take.
 *
 * Before redis.c, which feeds it from a connection.  hiredis reads; here is what
 * keeps a peer from making it allocate or scan without end: the size of a reply,
 * the number of its elements, the length of a line. */
#ifndef PLUMBLINE_RESP_H
#define PLUMBLINE_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#define RESP_ELEMENTS_MAX (1 << 20)
#define RESP_LINE_MAX (64u << 10)

struct resp;

/* 'reply' is the callee's (freeReplyObject).  Not 0: stop feeding. */
typedef int resp_fn(redisReply *reply, void *aux);

/* NULL: out of memory. */
struct resp *resp_new(size_t reply_bytes);
void resp_free(struct resp *p);

/* Reads on with 'size' bytes, and calls 'fn' for each reply that is whole.  0; 1
 * if 'fn' said stop; -EPROTO: no RESP, or past a bound, and '*p' is of no more
 * use, resp_error() says why. */
int resp_feed(struct resp *p, const void *bytes, size_t size, resp_fn *fn, void *aux);
const char *resp_error(const struct resp *p);

/* "MOVED 3999 127.0.0.1:6381", "ASK 3999 [host]:port": where Redis Cluster says that
 * a slot is.  'host' points into the error's text; of length 0: the host that was
 * asked.  The last colon ends the host, so that ::1:6381 is one.  false: none. */
struct resp_redirect {
    bool ask; /* For one command alone. */
    unsigned slot;
    const char *host;
    size_t host_length;
    uint16_t port;
};
#define RESP_SLOTS 16384u
bool resp_redirect(const char *error, struct resp_redirect *out);

#endif
