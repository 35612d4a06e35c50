/* hist.h - log-linear histogram of signed nanoseconds: merges without loss,
 * answers any quantile within a stated error, stores as a few bytes.
 *
 * After wire.h; before summary.h.  Layout (design.md, truth plane): values of
 * one sign fall into buckets that are 'floor' wide up to floor * per-octave and
 * then per-octave buckets to each doubling.  Zero is a border: bucket 0 is
 * [0, floor), bucket -1 is [-floor, 0).  Index i < 0 mirrors -1 - i: the value v
 * < 0 falls where -1 - v falls, mirrored.
 *
 *   HIST_DELAY  floor 64 ns, 512 an octave: error <= 0.1 % or 64 ns
 *   HIST_IFDV   floor 1 us,   32 an octave: error <= 1.6 % or 1 us
 *
 * A quantile is nearest rank (index ceil(P*N), no interpolation) and yields the
 * middle of its bucket, clamped to the [min, max] that the caller kept.
 *
 * Encoding (stays; doc/wire-format.md): u8 layout; varint number of non-empty
 * buckets; then for each, ascending: the first index as zigzag varint, later
 * ones as varint(index - previous - 1), each shifted left by one, lowest bit 1
 * if a varint(count - 2) follows, 0 if the count is 1.  No empty bucket is ever
 * written; an empty histogram is zero bytes. */
#ifndef PLUMBLINE_HIST_H
#define PLUMBLINE_HIST_H

#include <stddef.h>
#include <stdint.h>

enum hist_layout { HIST_DELAY = 1, HIST_IFDV = 2 };

/* SHORT: it ends too early.  BAD_ORDER: an index leaves the layout.  BAD_COUNT:
 * no buckets, or more samples than HIST_COUNT_MAX.  TRAILING: bytes are left. */
enum hist_verdict {
    HIST_OK,
    HIST_SHORT,
    HIST_BAD_LAYOUT,
    HIST_OTHER_LAYOUT,
    HIST_BAD_ORDER,
    HIST_BAD_COUNT,
    HIST_TRAILING,
    HIST_NO_MEMORY
};

struct hist;

/* Never NULL but when memory is out.  hist_free(NULL) is fine. */
struct hist *hist_new(enum hist_layout layout);
void hist_free(struct hist *h);

/* The same for all callers, but kept as it is encoded: a few hundred bytes where another has
 * thousands.  Adding to it costs what it holds: for what is added to seldom, and there are many
 * of. */
struct hist *hist_new_packed(enum hist_layout layout);

/* Empties 'h'; costs what it held, not what it could hold. */
void hist_clear(struct hist *h);

/* No histogram holds more samples. */
#define HIST_COUNT_MAX ((uint64_t)INT64_MAX)

/* 0; -ENOMEM, or -EOVERFLOW if 'h' would pass HIST_COUNT_MAX, leave 'h' as it
 * was. */
int hist_add(struct hist *h, int64_t value_ns, uint64_t count);

/* Adds 'from' (another one) to 'h'.  0, -EINVAL if the layouts differ, -ENOMEM,
 * -EOVERFLOW; on an error 'h' is unchanged. */
int hist_merge(struct hist *h, const struct hist *from);

/* Adds what 'size' bytes of encoding hold.  On any verdict but HIST_OK 'h' is
 * unchanged. */
enum hist_verdict hist_merge_encoded(struct hist *h, const void *bytes, size_t size);

/* Checks an encoding as hist_merge_encoded() does and writes its number of
 * samples to '*count' (on HIST_OK only).  Allocates nothing. */
enum hist_verdict hist_check_encoded(enum hist_layout layout, const void *bytes, size_t size,
                                     uint64_t *count);

/* "ok", "short", ...: names that stay. */
const char *hist_verdict_name(enum hist_verdict v);

uint64_t hist_count(const struct hist *h);

/* Value at rank ceil(count * per_million / 1e6), 1 <= per_million <= 1e6; the
 * histogram is not empty.  min_ns and max_ns clamp. */
int64_t hist_quantile(const struct hist *h, uint32_t per_million, int64_t min_ns, int64_t max_ns);

/* Hands each bucket that is not empty to 'fn', upwards: its samples are >= lower_ns and < upper_ns.
 */
typedef void hist_bucket_fn(int64_t lower_ns, int64_t upper_ns, uint64_t count, void *aux);
void hist_each(const struct hist *h, hist_bucket_fn *fn, void *aux);

/* Bytes that hist_encode would write. */
size_t hist_encoded_size(const struct hist *h);

/* Writes the encoding; returns its size, or 0 if 'size' is too small (nothing
 * useful is then in 'bytes') or 'h' is empty. */
size_t hist_encode(const struct hist *h, void *bytes, size_t size);

/* Bucket arithmetic, for SQL's hist_buckets() to be checked against.  lower is
 * inclusive, upper exclusive. */
int32_t hist_bucket_of(enum hist_layout layout, int64_t value_ns);
void hist_bucket_bounds(enum hist_layout layout, int32_t index, int64_t *lower_ns,
                        int64_t *upper_ns);

#endif
