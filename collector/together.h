/* together.h - groups (K of M) and services, delta-t by delta-t, from their parts' states.
 *
 * After availability.h, before objective.h.  Does no I/O.  Never the product of the parts' figures:
 * that two failures do not meet is just what a group sells.
 *
 * Group (MEF 10.4): G(k) = 1 while at least K members have A(k) = 1.  Service: available while
 * each of its parts is.  A delta-t whose outcome hangs on parts that are undetermined is
 * undetermined too; its value is that of the parts' last states. */
#ifndef PLUMBLINE_TOGETHER_H
#define PLUMBLINE_TOGETHER_H

#include <stddef.h>
#include <stdint.h>

/* State of one part in one delta-t. */
enum together_bit { TOGETHER_AVAILABLE = 1 << 0, TOGETHER_UNDETERMINED = 1 << 1 };

/* 'parts': count rows of dt_count states (enum together_bit); need of them must be available.
 * A service has need == count.  count >= need >= 1.  Writes dt_count states to 'out', which may be
 * one of the rows.  The rows are of the same delta-t, at the same instants. */
void together(const uint8_t *const *parts, size_t count, size_t need, size_t dt_count,
              uint8_t *out);

/* Parts whose classes have other delta-t meet on a grid that divides them all.  Writes the 'count'
 * states of delta-t of 'dt_ns' as count * (dt_ns / grid_ns) states; grid_ns divides dt_ns; 'out' is
 * not 'states'. */
void together_refine(const uint8_t *states, size_t count, uint64_t dt_ns, uint64_t grid_ns,
                     uint8_t *out);

#endif
