/* stamp_time.c - timestamps and Error Estimates of the wire. */
#include "stamp_time.h"

/* Unix epoch in NTP's seconds. */
#define NTP_UNIX INT64_C(2208988800)

__extension__ typedef unsigned __int128 stamp_u128;

uint64_t
stamp_time_format(struct instant at, bool ptp)
{
    int64_t seconds = instant_floor(at, span_of_ns(NS_PER_S)).ns / NS_PER_S;
    uint64_t ns = (uint64_t)(at.ns - seconds * NS_PER_S);

    if (ptp) {
        return (uint64_t)(uint32_t)seconds << 32 | ns;
    }
    /* Nearest: a unit is 0.23 ns, so parsing gives the same nanosecond. */
    uint64_t fraction = ((ns << 32) + NS_PER_S / 2) / (uint64_t)NS_PER_S;
    uint64_t raw = (uint64_t)(uint32_t)(seconds + NTP_UNIX + (int64_t)(fraction >> 32)) << 32 |
                   (fraction & UINT32_MAX);
    /* Zero says "none"; the instant in 2036 that would be zero moves by 0.23 ns. */
    return raw ? raw : 1;
}

bool
stamp_time_parse(uint64_t raw, bool ptp, struct instant *out)
{
    int64_t seconds = (int64_t)(raw >> 32);
    uint64_t fraction = raw & UINT32_MAX;

    *out = instant_of_ns(0);
    if (raw == 0) {
        return false;
    }
    if (ptp) {
        if (fraction >= (uint64_t)NS_PER_S) {
            return false;
        }
        out->ns = seconds * NS_PER_S + (int64_t)fraction;
        return true;
    }
    /* What would be before 1970 is of the era that begins in 2036. */
    seconds += seconds < NTP_UNIX ? (INT64_C(1) << 32) - NTP_UNIX : -NTP_UNIX;
    out->ns = seconds * NS_PER_S + (int64_t)((fraction * NS_PER_S + (UINT64_C(1) << 31)) >> 32);
    return true;
}

uint16_t
stamp_error_format(const struct stamp_error *e)
{
    unsigned flags = (e->ptp ? 0x4000U : 0);
    stamp_u128 units = ((stamp_u128)e->error_ns << 32) / (uint64_t)NS_PER_S + 1;
    unsigned scale = 0;

    if (e->error_ns == UINT64_MAX) {
        return (uint16_t)(flags | 0x3fff);
    }
    while (units > 255) {
        units = (units + 1) >> 1;
        scale++;
    }
    return (uint16_t)(flags | (e->synchronised ? 0x8000U : 0) | scale << 8 | (unsigned)units);
}

struct stamp_error
stamp_error_parse(uint16_t raw)
{
    unsigned multiplier = raw & 0xff;
    stamp_u128 ns = (((stamp_u128)multiplier << (raw >> 8 & 0x3f)) * (uint64_t)NS_PER_S) >> 32;

    return (struct stamp_error){
        .synchronised = (raw & 0x8000) != 0,
        .ptp = stamp_error_is_ptp(raw),
        .error_ns = multiplier == 0 || ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns,
    };
}
