/* crc32c.c - CRC-32C (Castagnoli), with the processor's instruction where it
 * has one.  Declared in spool.h, whose records it guards. */
#include "spool.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

static uint32_t crc_table[256];
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

static void
crc_table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++) {
            c = c & 1 ? c >> 1 ^ UINT32_C(0x82f63b78) : c >> 1;
        }
        crc_table[i] = c;
    }
}

uint32_t
crc32c_by_table(uint32_t crc, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    pthread_once(&crc_once, crc_table_fill);
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc = crc >> 8 ^ crc_table[(crc ^ at[i]) & 0xff];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t
crc32c_by_instruction(uint32_t crc, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    uint64_t c = ~crc;

    for (; size >= 8; size -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        c = _mm_crc32_u64(c, word);
    }
    for (; size > 0; size--, at++) {
        c = _mm_crc32_u8((uint32_t)c, *at);
    }
    return ~(uint32_t)c;
}
#endif

uint32_t
crc32c(uint32_t crc, const void *bytes, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return crc32c_by_instruction(crc, bytes, size);
    }
#endif
    return crc32c_by_table(crc, bytes, size);
}
