/* tally.c - counting what is judged. */
#include "tally.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

#define TALLY_ENCODING 1

/* What is a plain sum, in the order of the encoding: it stays. */
static const size_t sums[] = {
    offsetof(struct tally, excluded[EXCLUSION_NONE]),
    offsetof(struct tally, excluded[EXCLUSION_NOT_IN_SERVICE]),
    offsetof(struct tally, excluded[EXCLUSION_MAINTENANCE]),
    offsetof(struct tally, excluded[EXCLUSION_CUSTOMER]),
    offsetof(struct tally, excluded[EXCLUSION_THIRD_PARTY]),
    offsetof(struct tally, excluded[EXCLUSION_FORCE_MAJEURE]),
    offsetof(struct tally, excluded[EXCLUSION_AGREED]),
    offsetof(struct tally, excluded[EXCLUSION_UNDETERMINED]),
    offsetof(struct tally, available),
    offsetof(struct tally, undetermined_available),
    offsetof(struct tally, undetermined_unavailable),
    offsetof(struct tally, suspect),
    offsetof(struct tally, witness),
    offsetof(struct tally, not_whole),
    offsetof(struct tally, high_loss.intervals),
    offsetof(struct tally, high_loss.runs),
    offsetof(struct tally, high_loss.run_intervals),
    offsetof(struct tally, outages),
    offsetof(struct tally, sent),
    offsetof(struct tally, lost),
    offsetof(struct tally, lost_undirected),
    offsetof(struct tally, received),
    offsetof(struct tally, duplicate),
    offsetof(struct tally, reordered),
    offsetof(struct tally, late),
    offsetof(struct tally, sent_raw),
    offsetof(struct tally, lost_raw),
    offsetof(struct tally, over[0]),
    offsetof(struct tally, over[1]),
    offsetof(struct tally, over[2]),
    offsetof(struct tally, over[3]),
    offsetof(struct tally, over[4]),
    offsetof(struct tally, over[5]),
    offsetof(struct tally, over[6]),
    offsetof(struct tally, over[7]),
    offsetof(struct tally, not_compared[0]),
    offsetof(struct tally, not_compared[1]),
    offsetof(struct tally, not_compared[2]),
    offsetof(struct tally, not_compared[3]),
    offsetof(struct tally, not_compared[4]),
    offsetof(struct tally, not_compared[5]),
    offsetof(struct tally, not_compared[6]),
    offsetof(struct tally, not_compared[7]),
    offsetof(struct tally, delay_left_out),
    offsetof(struct tally, delay_count),
};
#define SUMS (sizeof sums / sizeof sums[0])

_Static_assert(EXCLUSION_KINDS == 8 && SERIES_LIMITS_MAX == 8, "another list is another format");

static uint64_t *
sum_of(struct tally *t, size_t i)
{
    return (uint64_t *)(void *)((char *)t + sums[i]);
}

static uint64_t
sum_value(const struct tally *t, size_t i)
{
    return *(const uint64_t *)(const void *)((const char *)t + sums[i]);
}

void
tally_init(struct tally *t)
{
    *t = (struct tally){0};
}

void
tally_fini(struct tally *t)
{
    hist_free(t->hist);
    hist_free(t->ifdv);
    *t = (struct tally){0};
}

void
tally_clear(struct tally *t)
{
    struct hist *hist = t->hist, *ifdv = t->ifdv;

    if (hist) {
        hist_clear(hist);
    }
    if (ifdv) {
        hist_clear(ifdv);
    }
    *t = (struct tally){.hist = hist, .ifdv = ifdv};
}

struct tally_state
tally_state_begin(bool available)
{
    return (struct tally_state){.available = available};
}

static void
plus(bool *overflow, uint64_t *to, uint64_t more)
{
    *overflow |= __builtin_add_overflow(*to, more, to);
}

static int
error_of(enum hist_verdict v)
{
    return v == HIST_OK ? 0 : v == HIST_NO_MEMORY ? -ENOMEM : -EBADMSG;
}

/* '*h', made when it is not there yet; NULL when memory is out. */
static struct hist *
hist_of(struct hist **h, enum hist_layout layout)
{
    if (!*h) {
        *h = hist_new_packed(layout);
    }
    return *h;
}

/* --- Delta-t -------------------------------------------------------------- */

static bool
is_suspect(const struct tally_config *c, uint32_t flags, uint64_t clock_error_ns)
{
    return flags & MEASURED_SUSPECT ||
           (c->direction != DIR_RT &&
            (flags & MEASURED_NEGATIVE || clock_error_ns > c->suspect_clock_error_ns));
}

static void
add_packets(struct tally *t, const struct measured_dt *d, bool *overflow)
{
    plus(overflow, &t->sent, d->sent);
    plus(overflow, &t->lost, d->lost);
    plus(overflow, &t->lost_undirected, d->lost_undirected);
    plus(overflow, &t->received, d->received);
    plus(overflow, &t->duplicate, d->duplicate);
    plus(overflow, &t->reordered, d->reordered);
    plus(overflow, &t->late, d->late);
}

/* One delta-t of W. */
static void
add_dt(struct tally *t, struct tally_state *s, const struct tally_config *c,
       struct availability_params p, const struct measured_dt *d, bool available, bool *overflow)
{
    bool high_loss = available && availability_input(p, d->sent, d->lost) == AVAILABILITY_BAD;
    bool undetermined = d->flags & MEASURED_UNDETERMINED;

    high_loss_add(&s->high_loss, c->p, high_loss, &t->high_loss);
    t->outages += s->available && !available;
    s->available = available;
    t->available += available;
    t->undetermined_available += undetermined && available;
    t->undetermined_unavailable += undetermined && !available;
    t->suspect += is_suspect(c, d->flags, d->clock_error_ns);
    t->witness += (d->flags & MEASURED_WITNESS) != 0;
    t->not_whole += (d->flags & MEASURED_NOT_WHOLE) != 0;
    plus(overflow, &t->sent_raw, d->sent);
    plus(overflow, &t->lost_raw, d->lost);
    if (available) {
        add_packets(t, d, overflow);
    }
}

/* One after the other.  Returns how many qualify. */
static uint32_t
add_each(struct tally *t, struct tally_state *s, const struct tally_config *c,
         struct availability_params p, const struct measured *m, const uint8_t *available,
         const uint8_t *excluded, bool *overflow)
{
    const struct measured_dt *dts = measured_dts(m);
    uint32_t count = measured_count(m), qualified = 0;

    for (uint32_t k = 0; k < count; k++) {
        assert(excluded[k] < EXCLUSION_KINDS);
        t->excluded[excluded[k]]++;
        if (excluded[k] == EXCLUSION_NONE) {
            add_dt(t, s, c, p, &dts[k], available[k], overflow);
            qualified += available[k] != 0;
        } else {
            high_loss_add(&s->high_loss, c->p, false, &t->high_loss);
        }
    }
    return qualified;
}

/* Whether all is well and all counts, so that an interval is one step. */
static bool
is_plain(const struct tally_config *c, const struct measured *m, const uint8_t *available,
         const uint8_t *excluded)
{
    uint32_t count = measured_count(m);
    unsigned bad = 0;

    if (!measured_is_clean(m) || count == 0 ||
        is_suspect(c, 0, measured_total(m)->clock_error_ns)) {
        return false;
    }
    for (uint32_t k = 0; k < count; k++) {
        bad |= (unsigned)!available[k] | excluded[k];
    }
    return bad == 0;
}

static void
add_plain(struct tally *t, struct tally_state *s, const struct tally_config *c,
          const struct measured *m, bool *overflow)
{
    const struct measured_dt *total = measured_total(m);

    t->excluded[EXCLUSION_NONE] += measured_count(m);
    t->available += measured_count(m);
    s->available = true;
    high_loss_add(&s->high_loss, c->p, false, &t->high_loss);
    plus(overflow, &t->sent_raw, total->sent);
    add_packets(t, total, overflow);
}

/* --- Delays --------------------------------------------------------------- */

/* Over which limits: those on IFDV, or those on delay. */
static void
add_over(struct tally *t, const struct tally_config *c, const struct measured_delay *d, bool ifdv,
         bool *overflow)
{
    for (unsigned i = 0; i < SERIES_LIMITS_MAX; i++) {
        if ((c->ifdv_limits >> i & 1) == ifdv) {
            plus(overflow, &t->over[i], d->over[i]);
            plus(overflow, &t->not_compared[i], d->limits >> i & 1 ? 0 : d->count);
        }
    }
}

static int
add_samples(struct tally *t, const struct measured_delay *d, bool *overflow)
{
    struct hist *h = hist_of(&t->hist, HIST_DELAY);
    int err;

    if (!h) {
        return -ENOMEM;
    }
    uint64_t before = hist_count(h);
    if (d->count > HIST_COUNT_MAX - before) {
        return -EOVERFLOW;
    }
    err = error_of(hist_merge_encoded(h, d->hist, d->hist_size));
    if (err) {
        return err;
    }
    if (hist_count(h) - before != d->count) {
        return -EBADMSG;
    }
    if (t->delay_count == 0 || d->min_ns < t->delay_min_ns) {
        t->delay_min_ns = d->min_ns;
    }
    if (t->delay_count == 0 || d->max_ns > t->delay_max_ns) {
        t->delay_max_ns = d->max_ns;
    }
    plus(overflow, &t->delay_count, d->count);
    t->delay_sum_ns = (int64_t)((uint64_t)t->delay_sum_ns + (uint64_t)d->sum_ns);
    if (d->clock_error_ns > t->clock_error_ns) {
        t->clock_error_ns = d->clock_error_ns;
    }
    return 0;
}

/* Delays that qualify. */
static int
add_delay(struct tally *t, const struct tally_config *c, const struct measured_delay *d,
          bool *overflow)
{
    bool broken = c->suspect_excluded && d->flags & MEASURED_SUSPECT;
    bool wrong_clock = c->suspect_excluded && is_suspect(c, d->flags, d->clock_error_ns);
    int err = 0;

    if (d->count && !wrong_clock) {
        add_over(t, c, d, false, overflow);
        err = add_samples(t, d, overflow);
    }
    if (d->count && !broken && !err) {
        add_over(t, c, d, true, overflow);
        if (c->ifdv && d->ifdv_size) {
            struct hist *h = hist_of(&t->ifdv, HIST_IFDV);
            err = h ? error_of(hist_merge_encoded(h, d->ifdv, d->ifdv_size)) : -ENOMEM;
        }
    }
    return err;
}

/* Of a clean row; all delta-t qualify. */
static int
add_whole(struct tally *t, const struct tally_config *c, const struct measured_delay *d,
          bool *overflow)
{
    plus(overflow, &t->duplicate, d->duplicate);
    plus(overflow, &t->reordered, d->reordered);
    plus(overflow, &t->late, d->late);
    return add_delay(t, c, d, overflow);
}

/* 'qualified' of the delta-t qualify. */
static int
add_delays(struct tally *t, const struct tally_config *c, const struct measured *m,
           const uint8_t *available, const uint8_t *excluded, uint32_t qualified, bool *overflow)
{
    size_t count;
    const struct measured_delay *delays = measured_delays(m, &count);
    int err = 0;

    for (size_t i = 0; i < count && qualified && !err; i++) {
        const struct measured_delay *d = &delays[i];
        if (d->number >= 0) {
            if (available[d->number] && excluded[d->number] == EXCLUSION_NONE) {
                err = add_delay(t, c, d, overflow);
            }
        } else if (d->number == MEASURED_WHOLE && qualified == measured_count(m)) {
            err = add_whole(t, c, d, overflow);
        } else {
            plus(overflow, &t->delay_left_out, d->count);
        }
    }
    return err;
}

int
tally_add(struct tally *t, struct tally_state *s, const struct tally_config *c,
          struct availability_params p, const struct measured *m, const uint8_t *available,
          const uint8_t *excluded)
{
    uint32_t qualified = measured_count(m);
    bool overflow = false;
    int err;

    if (is_plain(c, m, available, excluded)) {
        add_plain(t, s, c, m, &overflow);
    } else {
        qualified = add_each(t, s, c, p, m, available, excluded, &overflow);
    }
    err = add_delays(t, c, m, available, excluded, qualified, &overflow);
    return err ? err : overflow ? -EOVERFLOW : 0;
}

/* --- Merging -------------------------------------------------------------- */

static int
merge_hist(struct hist **to, const struct hist *from, enum hist_layout layout)
{
    if (!from || hist_count(from) == 0) {
        return 0;
    }
    return hist_of(to, layout) ? hist_merge(*to, from) : -ENOMEM;
}

int
tally_merge(struct tally *t, const struct tally *from)
{
    bool overflow = false;
    int err;

    if (from->delay_count && (t->delay_count == 0 || from->delay_min_ns < t->delay_min_ns)) {
        t->delay_min_ns = from->delay_min_ns;
    }
    if (from->delay_count && (t->delay_count == 0 || from->delay_max_ns > t->delay_max_ns)) {
        t->delay_max_ns = from->delay_max_ns;
    }
    for (size_t i = 0; i < SUMS; i++) {
        plus(&overflow, sum_of(t, i), sum_value(from, i));
    }
    t->delay_sum_ns = (int64_t)((uint64_t)t->delay_sum_ns + (uint64_t)from->delay_sum_ns);
    if (from->clock_error_ns > t->clock_error_ns) {
        t->clock_error_ns = from->clock_error_ns;
    }
    err = merge_hist(&t->hist, from->hist, HIST_DELAY);
    err = err ? err : merge_hist(&t->ifdv, from->ifdv, HIST_IFDV);
    return err ? err : overflow ? -EOVERFLOW : 0;
}

void
tally_map_limits(struct tally *t, const int8_t map[SERIES_LIMITS_MAX], uint32_t ifdv_limits)
{
    const struct tally was = *t;

    for (unsigned i = 0; i < SERIES_LIMITS_MAX; i++) {
        uint64_t ifdv = was.ifdv ? hist_count(was.ifdv) : 0;
        uint64_t all = ifdv_limits >> i & 1 ? ifdv : was.delay_count;
        assert(map[i] < (int)SERIES_LIMITS_MAX);
        t->over[i] = map[i] >= 0 ? was.over[map[i]] : 0;
        t->not_compared[i] = map[i] >= 0 ? was.not_compared[map[i]] : all;
    }
}

/* --- Bytes ---------------------------------------------------------------- */

static void
encode_hist(const struct hist *h, struct bytes *out)
{
    size_t size = h ? hist_encoded_size(h) : 0;
    uint8_t *to;

    bytes_varint(out, size);
    to = size ? bytes_grow(out, size) : NULL;
    if (to) {
        size_t written = hist_encode(h, to, size);
        assert(written == size);
        (void)written;
    }
}

void
tally_encode(const struct tally *t, struct bytes *out)
{
    static const uint8_t format = TALLY_ENCODING;

    bytes_add(out, &format, 1);
    for (size_t i = 0; i < SUMS; i++) {
        bytes_varint(out, sum_value(t, i));
    }
    bytes_varint(out, t->clock_error_ns + 1); /* 0: not known. */
    if (t->delay_count) {
        bytes_zigzag(out, t->delay_min_ns);
        bytes_varint(out, (uint64_t)t->delay_max_ns - (uint64_t)t->delay_min_ns);
        bytes_zigzag(out, t->delay_sum_ns);
    }
    encode_hist(t->hist, out);
    encode_hist(t->ifdv, out);
}

/* Each sum is part of another one. */
static bool
adds_up(const struct tally *t)
{
    uint64_t w = t->excluded[EXCLUSION_NONE];
    uint64_t all = 0, packets;
    bool overflow = false;

    for (int i = 0; i < EXCLUSION_KINDS; i++) {
        plus(&overflow, &all, t->excluded[i]);
    }
    packets = t->lost;
    plus(&overflow, &packets, t->received);
    return !overflow && t->available <= w && t->undetermined_available <= t->available &&
           t->undetermined_unavailable <= w - t->available && t->suspect <= w && t->witness <= w &&
           t->not_whole <= w && t->high_loss.intervals <= t->available && packets == t->sent &&
           t->lost_undirected <= t->lost && t->sent <= t->sent_raw && t->lost <= t->lost_raw &&
           t->lost_raw <= t->sent_raw && t->received <= t->sent_raw - t->lost_raw &&
           t->outages <= w - t->available;
}

static int
decode_hist(struct rd *r, struct hist **h, enum hist_layout layout)
{
    uint64_t size = rd_varint(r);
    const uint8_t *bytes = rd_take(r, size);

    if (!bytes || size == 0) {
        return 0;
    }
    return hist_of(h, layout) ? error_of(hist_merge_encoded(*h, bytes, size)) : -ENOMEM;
}

static int
decode_delays(struct rd *r, struct tally *t)
{
    int err;

    if (t->delay_count) {
        t->delay_min_ns = rd_zigzag(r);
        uint64_t range = rd_varint(r);
        t->delay_max_ns = (int64_t)((uint64_t)t->delay_min_ns + range);
        t->delay_sum_ns = rd_zigzag(r);
        if (range > (uint64_t)INT64_MAX - (uint64_t)t->delay_min_ns) {
            return -EBADMSG;
        }
    }
    err = decode_hist(r, &t->hist, HIST_DELAY);
    return err ? err : decode_hist(r, &t->ifdv, HIST_IFDV);
}

int
tally_decode(struct tally *t, const void *bytes, size_t size)
{
    struct rd r = rd_of(bytes, size);
    int err = 0;

    tally_clear(t);
    if (rd_u8(&r) != TALLY_ENCODING) {
        return -EBADMSG;
    }
    for (size_t i = 0; i < SUMS; i++) {
        *sum_of(t, i) = rd_varint(&r);
    }
    t->clock_error_ns = rd_varint(&r) - 1;
    err = decode_delays(&r, t);
    if (!err && (!rd_ok(&r) || r.left || !adds_up(t) ||
                 (t->hist ? hist_count(t->hist) : 0) != t->delay_count)) {
        err = -EBADMSG;
    }
    if (err) {
        tally_clear(t);
    }
    return err;
}
