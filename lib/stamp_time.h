/* stamp_time.h - timestamps of the wire and their Error Estimates: raw to instant and
 * back.
 *
 * On nstime.h; before stamp.h. */
#ifndef PLUMBLINE_STAMP_TIME_H
#define PLUMBLINE_STAMP_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "nstime.h"

/* Timestamps: NTP's 64 bits (1900 epoch), or truncated PTPv2 (32-bit seconds,
 * 32-bit nanoseconds) where 'ptp'; both are taken as UTC.  The parser yields
 * false for zero ("no timestamp") and for 1e9 ns or more.  Valid for 1970-2106,
 * which covers both NTP eras. */
uint64_t stamp_time_format(struct instant at, bool ptp);
bool stamp_time_parse(uint64_t raw, bool ptp, struct instant *out);

/* Error Estimate.  Formatting rounds up; UINT64_MAX (not known) becomes the
 * greatest that there is and is never called synchronised.  'error_ns' of a
 * parsed one is UINT64_MAX when the multiplier is 0 or the bound says nothing. */
struct stamp_error {
    bool synchronised; /* S: to UTC, by an outside source. */
    bool ptp;          /* Z. */
    uint64_t error_ns;
};
uint16_t stamp_error_format(const struct stamp_error *e);
struct stamp_error stamp_error_parse(uint16_t raw);

/* The Z bit alone, of a raw Error Estimate. */
static inline bool
stamp_error_is_ptp(uint16_t raw)
{
    return (raw & 0x4000) != 0;
}

#endif
