/* series.c - canonical keys and the identifiers hashed from them. */
#include "series.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

#include "wire.h"

int64_t
id_of_text(const char *text, size_t length)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int ok = EVP_Digest(text, length, digest, &size, EVP_sha256(), NULL);
    struct rd r = rd_of(digest, sizeof digest);

    assert(ok == 1 && size == 32);
    (void)ok;
    return (int64_t)(rd_be64(&r) >> 1);
}

int64_t
source_id_of(const char *source)
{
    char text[SERIES_NAME_MAX + 32];
    int n = snprintf(text, sizeof text, "source|%s", source);
    return id_of_text(text, (size_t)n);
}

const char *
direction_name(enum direction direction)
{
    static const char *const names[DIRECTIONS] = {"fwd", "bwd", "rt"};
    return (unsigned)direction < DIRECTIONS ? names[direction] : "?";
}

enum direction
session_direction(const struct session_key *key, enum direction direction)
{
    if (direction == DIR_RT || key->observer_end == 0) {
        return direction;
    }
    return direction == DIR_FWD ? DIR_BWD : DIR_FWD;
}

/* Names cannot hold '|', so the text is unambiguous. */
static int
params_text(const struct session_key *key, char *buf, size_t size)
{
    int n = snprintf(buf, size, "%" PRIu32 "|%u|%" PRId64 "|%" PRId64 "|%" PRId64 "|%u|", key->size,
                     key->dscp, key->period.ns, key->dt.ns, key->tmax.ns, key->ifdv);

    for (unsigned i = 0; i < key->limit_count && n < (int)size; i++) {
        const struct series_limit *l = &key->limits[i];
        n += snprintf(buf + n, size - (size_t)n, "%d,%d,%" PRId64 ";", (int)l->metric,
                      (int)l->direction, l->limit.ns);
    }
    assert(n < (int)size);
    return n;
}

static int
identity_text(const struct session_key *key, char *buf, size_t size)
{
    int n = snprintf(buf, size, "%s|%s|%s|%u|%u|%s", key->object, key->observer, key->class_name,
                     key->flow, key->family, key->protocol);
    assert(n < (int)size);
    return n;
}

int64_t
params_id_of(const struct session_key *key)
{
    char text[768] = "params|";
    int n = 7 + params_text(key, text + 7, sizeof text - 7);
    return id_of_text(text, (size_t)n);
}

int64_t
series_id_of(const struct session_key *key, enum direction direction)
{
    char text[512] = "series|";
    int n = 7 + identity_text(key, text + 7, sizeof text - 7);
    n += snprintf(text + n, sizeof text - (size_t)n, "|%s", direction_name(direction));
    return id_of_text(text, (size_t)n);
}

int64_t
session_id_of(const struct session_key *key)
{
    char text[1280] = "session|";
    int n = 8 + identity_text(key, text + 8, sizeof text - 8);
    n += snprintf(text + n, sizeof text - (size_t)n, "|%s|%u|%s", key->far, key->observer_end,
                  key->rt_only ? "rt|" : "");
    n += params_text(key, text + n, sizeof text - (size_t)n);
    return id_of_text(text, (size_t)n);
}

char *
session_label(const struct session_key *key, char *buf, size_t size)
{
    if (key->flow) {
        snprintf(buf, size, "%s/%s/%u", key->object, key->class_name, key->flow);
    } else {
        snprintf(buf, size, "%s/%s", key->object, key->class_name);
    }
    return buf;
}
