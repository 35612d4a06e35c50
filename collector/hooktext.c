/* hooktext.c - see hooktext.h. */
#include "hooktext.h"

#include <string.h>

#include <openssl/evp.h>

#define REPLACEMENT 0xfffdu
#define KEY_MAX 200u

/* How many octets a sequence has by its first; 0: it cannot be one. */
static size_t
sequence_size(uint8_t first)
{
    if (first < 0x80) {
        return 1;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        return 2;
    }
    if (first >= 0xe0 && first <= 0xef) {
        return 3;
    }
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

uint32_t
hooktext_next(const char **at, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t *p = (const uint8_t *)*at;
    size_t count = sequence_size(p[0]);
    uint32_t c = count > 1 ? p[0] & (0x7fu >> count) : p[0];

    (*at)++;
    if (count == 0 || count > size) {
        return REPLACEMENT;
    }
    for (size_t i = 1; i < count; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return REPLACEMENT;
        }
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[count] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        return REPLACEMENT;
    }
    *at += count - 1;
    return c;
}

static size_t
put_character(char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3f));
        to[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 0x3f));
    to[2] = (char)(0x80 | (c >> 6 & 0x3f));
    to[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static uint32_t
harmless(uint32_t c)
{
    if (c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029) {
        return ' ';
    }
    if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069)) {
        return REPLACEMENT;
    }
    return c;
}

char *
hooktext_clean(struct pool *pool, const char *text, size_t size, bool lines)
{
    char *out = pool_alloc(pool, 3 * size + 1), *to = out;
    const char *at = text, *end = text + size;

    while (at < end) {
        uint32_t c = hooktext_next(&at, (size_t)(end - at));
        if (lines && c == '\r') {
            at += at < end && *at == '\n';
            c = '\n';
        }
        to += put_character(to, lines && c == '\n' ? c : harmless(c));
    }
    *to = '\0';
    return out;
}

size_t
hooktext_fit(const char *text, size_t max)
{
    size_t length = strnlen(text, max + 1);

    if (length <= max) {
        return length;
    }
    while (max > 0 && ((uint8_t)text[max] & 0xc0) == 0x80) {
        max--;
    }
    return max;
}

char *
hooktext_cut(struct pool *pool, const char *text, size_t max)
{
    size_t length = strnlen(text, max + 1);

    if (length <= max) {
        return pool_text(pool, text, length);
    }
    length = hooktext_fit(text, max > 3 ? max - 3 : 0);
    char *out = pool_alloc(pool, length + 4);
    memcpy(out, text, length);
    memcpy(out + length, "...", max > 3 ? 4 : 1);
    out[length + (max > 3 ? 3 : 0)] = '\0';
    return out;
}

static bool
is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_';
}

char *
hooktext_url(struct pool *pool, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    char *out = pool_alloc(pool, 3 * strlen(text) + 1), *to = out;

    for (const char *p = text; *p; p++) {
        uint8_t c = (uint8_t)*p;
        if (is_plain(*p) || c == '-' || c == '~') {
            *to++ = *p;
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    *to = '\0';
    return out;
}

char *
hooktext_key(struct pool *pool, const char *text)
{
    char *out = pool_text(pool, text, strnlen(text, KEY_MAX));

    for (char *p = out; *p; p++) {
        *p = is_plain(*p) ? *p : '-';
    }
    return out;
}

char *
hooktext_base64(struct pool *pool, const void *bytes, size_t size)
{
    char *out = pool_alloc(pool, (size + 2) / 3 * 4 + 1);

    EVP_EncodeBlock((unsigned char *)out, bytes, (int)size);
    return out;
}

uint8_t *
hooktext_unbase64(struct pool *pool, const char *text, size_t length, size_t *size)
{
    uint8_t *out = pool_alloc(pool, length / 4 * 3 + 4);
    size_t padding = 0;

    while (padding < 2 && padding < length && text[length - 1 - padding] == '=') {
        padding++;
    }
    /* EVP_DecodeBlock() passes over spaces at the ends. */
    if (length == 0 || length % 4 != 0 ||
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "abcdefghijklmnopqrstuvwxyz"
                     "0123456789+/") < length - padding) {
        return NULL;
    }
    int got = EVP_DecodeBlock(out, (const unsigned char *)text, (int)length);
    if (got < (int)padding) {
        return NULL;
    }
    *size = (size_t)got - padding;
    return out;
}
