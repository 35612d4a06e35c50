/* texthash.h - uthash for keys that are texts.
 *
 * At the bottom, beside nstime.h.  uthash's own function falls through its cases,
 * which clang warns of; FNV-1a is as good for names. */
#ifndef PLUMBLINE_TEXTHASH_H
#define PLUMBLINE_TEXTHASH_H

#include <stddef.h>

static inline unsigned
texthash(const void *key, size_t size)
{
    const unsigned char *at = key;
    unsigned hash = 2166136261u;

    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ at[i]) * 16777619u;
    }
    return hash;
}

#define HASH_FUNCTION(key, size, hash) ((hash) = texthash((key), (size)))
#include <uthash.h>

#endif
