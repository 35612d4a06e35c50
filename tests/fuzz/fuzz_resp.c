/* fuzz_resp.c - Redis's replies out of anything: bounded, the same whatever the
 * pieces that the bytes come in, and what is accepted formats back to what reads
 * the same.  The first octet is the size of the pieces. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BOUND 4096
#define REPLIES_MAX 64

struct replies {
    redisReply *list[REPLIES_MAX];
    size_t count;
};

/* Grows by doubling: 'size' of 'room' bytes are used. */
struct text {
    char *bytes;
    size_t size, room;
};

/* What an error says of another node lies within its text. */
static void
check_redirect(const redisReply *reply)
{
    struct resp_redirect to;

    if (reply->type == REDIS_REPLY_ERROR && resp_redirect(reply->str, &to)) {
        assert(to.slot < RESP_SLOTS && to.port > 0);
        assert(to.host > reply->str && to.host + to.host_length < reply->str + strlen(reply->str));
    }
}

static int
keep(redisReply *reply, void *aux)
{
    struct replies *r = aux;

    if (r->count == REPLIES_MAX) {
        freeReplyObject(reply);
        return 1;
    }
    check_redirect(reply);
    r->list[r->count++] = reply;
    return 0;
}

static void
drop_all(struct replies *r)
{
    while (r->count > 0) {
        freeReplyObject(r->list[--r->count]);
    }
}

static void
put(struct text *t, const char *bytes, size_t size)
{
    if (t->room - t->size < size) {
        t->room = (t->room + size) * 2;
        t->bytes = realloc(t->bytes, t->room);
        assert(t->bytes);
    }
    if (size > 0) {
        memcpy(t->bytes + t->size, bytes, size);
    }
    t->size += size;
}

static void
put_line(struct text *t, char type, long long value)
{
    char line[32];
    int size = snprintf(line, sizeof line, "%c%lld\r\n", type, value);
    put(t, line, (size_t)size);
}

static void
format(struct text *t, const redisReply *r)
{
    switch (r->type) {
    case REDIS_REPLY_STRING:
        put_line(t, '$', (long long)r->len);
        put(t, r->str, r->len);
        put(t, "\r\n", 2);
        break;
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        put(t, r->type == REDIS_REPLY_STATUS ? "+" : "-", 1);
        put(t, r->str, r->len);
        put(t, "\r\n", 2);
        break;
    case REDIS_REPLY_INTEGER:
        put_line(t, ':', r->integer);
        break;
    case REDIS_REPLY_NIL:
        put_line(t, '$', -1);
        break;
    default:
        assert(r->type == REDIS_REPLY_ARRAY);
        put_line(t, '*', (long long)r->elements);
        for (size_t i = 0; i < r->elements; i++) {
            format(t, r->element[i]);
        }
    }
}

static bool
same(const redisReply *a, const redisReply *b)
{
    if (a->type != b->type) {
        return false;
    }
    if (a->type == REDIS_REPLY_INTEGER) {
        return a->integer == b->integer;
    }
    if (a->type == REDIS_REPLY_ARRAY) {
        bool ok = a->elements == b->elements;
        for (size_t i = 0; ok && i < a->elements; i++) {
            ok = same(a->element[i], b->element[i]);
        }
        return ok;
    }
    return a->type == REDIS_REPLY_NIL || (a->len == b->len && memcmp(a->str, b->str, a->len) == 0);
}

static int
feed(const void *bytes, size_t size, size_t piece, struct replies *out)
{
    struct resp *p = resp_new(BOUND);
    const uint8_t *at = bytes;
    int err = 0;

    assert(p);
    while (!err && size > 0) {
        size_t part = piece < size ? piece : size;
        err = resp_feed(p, at, part, keep, out);
        at += part;
        size -= part;
    }
    resp_free(p);
    return err;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct replies first = {.count = 0}, other = {.count = 0}, back = {.count = 0};
    struct text text = {NULL, 0, 0};

    if (size < 2) {
        return 0;
    }
    feed(data + 1, size - 1, (size_t)data[0] + 1, &first);
    feed(data + 1, size - 1, 1, &other);
    /* A bound may be met sooner in large pieces, never in other replies. */
    for (size_t i = 0; i < first.count && i < other.count; i++) {
        assert(same(first.list[i], other.list[i]));
    }
    for (size_t i = 0; i < first.count; i++) {
        text.size = 0;
        format(&text, first.list[i]);
        if (text.size <= BOUND) {
            assert(feed(text.bytes, text.size, text.size, &back) == 0);
            assert(back.count == 1 && same(first.list[i], back.list[0]));
        }
        drop_all(&back);
    }
    free(text.bytes);
    drop_all(&first);
    drop_all(&other);
    return 0;
}
