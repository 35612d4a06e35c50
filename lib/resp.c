/* resp.c - Redis's replies out of bytes, with bounds on what they may take. */
#include "resp.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* More than the digits of any length. */
#define RESP_LENGTH_MAX 32u
/* So that bounds are looked at often. */
#define RESP_CHUNK (64u << 10)

struct resp {
    redisReader *reader;
    redisReplyObjectFunctions functions;
    void *(*create_array)(const redisReadTask *, int);
    size_t reply_bytes;
    size_t held;  /* Bytes of the reply that is not whole yet. */
    int elements; /* That it announced. */
    const char *error;
};

static void *
create_array(const redisReadTask *task, int elements)
{
    struct resp *p = task->privdata;
    /* The shortest element is of four bytes. */
    size_t most = p->reply_bytes / 4 < RESP_ELEMENTS_MAX ? p->reply_bytes / 4 : RESP_ELEMENTS_MAX;

    if (elements > (int)most - p->elements) {
        p->error = "too many elements";
        return NULL;
    }
    p->elements += elements;
    return p->create_array(task, elements);
}

struct resp *
resp_new(size_t reply_bytes)
{
    struct resp *p = calloc(1, sizeof(*p));

    if (!p) {
        return NULL;
    }
    p->reader = redisReaderCreate();
    if (!p->reader) {
        free(p);
        return NULL;
    }
    p->functions = *p->reader->fn;
    p->create_array = p->functions.createArray;
    p->functions.createArray = create_array;
    p->reader->fn = &p->functions;
    p->reader->privdata = p;
    p->reply_bytes = reply_bytes;
    return p;
}

void
resp_free(struct resp *p)
{
    if (p) {
        redisReaderFree(p->reader);
        free(p);
    }
}

/* What is not whole yet must be on its way to become so. */
static const char *
unfinished(const struct resp *p)
{
    const redisReader *r = p->reader;
    size_t left = r->len - r->pos;

    if (p->held > p->reply_bytes) {
        return "reply too large";
    }
    if (left == 0 || r->ridx < 0) {
        return NULL;
    }
    int type = r->rstack[r->ridx].type;
    const char *at = r->buf + r->pos;
    if (type != REDIS_REPLY_STRING && left > RESP_LINE_MAX) {
        return "line too long";
    }
    if ((type == REDIS_REPLY_STRING || type == REDIS_REPLY_ARRAY) && left > RESP_LENGTH_MAX &&
        !memchr(at, '\r', RESP_LENGTH_MAX)) {
        return "length without an end";
    }
    return NULL;
}

static int
feed_chunk(struct resp *p, const char *bytes, size_t size, resp_fn *fn, void *aux)
{
    if (redisReaderFeed(p->reader, bytes, size) != REDIS_OK) {
        p->error = "out of memory";
        return -EPROTO;
    }
    p->held += size;
    for (;;) {
        void *reply = NULL;
        if (redisReaderGetReply(p->reader, &reply) != REDIS_OK) {
            p->error = p->error ? p->error : p->reader->errstr;
            return -EPROTO;
        }
        if (!reply) {
            p->error = unfinished(p);
            return p->error ? -EPROTO : 0;
        }
        p->held = p->reader->len - p->reader->pos;
        p->elements = 0;
        if (fn(reply, aux) != 0) {
            return 1;
        }
    }
}

int
resp_feed(struct resp *p, const void *bytes, size_t size, resp_fn *fn, void *aux)
{
    const char *at = bytes;
    int err = 0;

    while (!err && size > 0) {
        size_t part = size < RESP_CHUNK ? size : RESP_CHUNK;
        err = feed_chunk(p, at, part, fn, aux);
        at += part;
        size -= part;
    }
    return err;
}

const char *
resp_error(const struct resp *p)
{
    return p->error ? p->error : "none";
}

/* A number of at most 'most' that ends at 'end'; UINT64_MAX: none. */
static uint64_t
number(const char *text, const char *end, uint64_t most)
{
    uint64_t v = 0;

    if (text == end) {
        return UINT64_MAX;
    }
    for (; text < end; text++) {
        if (*text < '0' || *text > '9') {
            return UINT64_MAX;
        }
        v = v * 10 + (uint64_t)(*text - '0');
        if (v > most) {
            return UINT64_MAX;
        }
    }
    return v;
}

bool
resp_redirect(const char *error, struct resp_redirect *out)
{
    bool ask = strncmp(error, "ASK ", 4) == 0;

    if (!ask && strncmp(error, "MOVED ", 6) != 0) {
        return false;
    }
    const char *slot = error + (ask ? 4 : 6), *host = strchr(slot, ' ');
    const char *colon = host ? strrchr(host, ':') : NULL;
    if (!colon || strchr(host + 1, ' ')) {
        return false;
    }
    uint64_t slot_number = number(slot, host, RESP_SLOTS - 1);
    uint64_t port = number(colon + 1, colon + strlen(colon), UINT16_MAX);
    host++;
    if (slot_number == UINT64_MAX || port == UINT64_MAX || port == 0 || colon - host > 255) {
        return false;
    }
    *out = (struct resp_redirect){.ask = ask,
                                  .slot = (unsigned)slot_number,
                                  .host = host,
                                  .host_length = (size_t)(colon - host),
                                  .port = (uint16_t)port};
    return true;
}
