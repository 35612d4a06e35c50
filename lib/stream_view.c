/* stream_view.c - what Redis says of a stream and its ack, out of its words. */
#include "stream_view.h"

static bool
parse_number(const char **at, const char *end, uint64_t *out)
{
    const char *start = *at;
    uint64_t v = 0;

    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        unsigned digit = (unsigned)(**at - '0');
        if (v > (UINT64_MAX - digit) / 10) {
            return false;
        }
        v = v * 10 + digit;
    }
    *out = v;
    return *at > start;
}

static bool
parse_id_at(const char **at, const char *end, struct position *out)
{
    struct position p;

    if (!parse_number(at, end, &p.epoch) || *at == end || *(*at)++ != '-' ||
        !parse_number(at, end, &p.sequence)) {
        return false;
    }
    *out = p;
    return true;
}

bool
stream_parse_id(const char *text, size_t size, struct position *out)
{
    const char *at = text, *end = text + size;
    return parse_id_at(&at, end, out) && at == end;
}

bool
stream_parse_ack(const char *text, size_t size, struct stream_ack *out)
{
    const char *at = text, *end = text + size;
    struct stream_ack ack = {.present = true};

    if (size < 2 || at[0] != '1' || at[1] != ' ') {
        return false;
    }
    at += 2;
    if (!parse_id_at(&at, end, &ack.committed) || at == end || *at++ != ' ' || at == end) {
        return false;
    }
    if (*at == '-') {
        at++;
    } else {
        ack.wanting = true;
        if (!parse_id_at(&at, end, &ack.want)) {
            return false;
        }
    }
    if (at == end || *at != ' ') {
        return false;
    }
    for (at++; at < end && *at != ' '; at++) {
    }
    ack.rest = at < end ? at + 1 : end;
    ack.rest_size = (size_t)(end - ack.rest);
    *out = ack;
    return true;
}

bool
stream_parse_info(const redisReply *info, struct stream_view *view)
{
    bool found = false;

    if (info->type != REDIS_REPLY_ARRAY) {
        return false;
    }
    for (size_t i = 0; i + 1 < info->elements; i += 2) {
        const redisReply *name = info->element[i], *value = info->element[i + 1];
        if (name->type != REDIS_REPLY_STRING && name->type != REDIS_REPLY_STATUS) {
            return false;
        }
        if (strcmp(name->str, "last-generated-id") == 0) {
            found = (value->type == REDIS_REPLY_STRING || value->type == REDIS_REPLY_STATUS) &&
                    stream_parse_id(value->str, value->len, &view->top);
        } else if (strcmp(name->str, "first-entry") == 0 && value->type == REDIS_REPLY_ARRAY &&
                   value->elements > 0 && value->element[0]->type == REDIS_REPLY_STRING) {
            view->has_first =
                stream_parse_id(value->element[0]->str, value->element[0]->len, &view->first);
        }
    }
    view->exists = found;
    return found;
}

struct position
stream_highest(const struct stream_view *view)
{
    return stream_higher(view->top, view->ack.committed);
}
