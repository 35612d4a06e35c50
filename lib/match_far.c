/* match_far.c - which packets the far end received, as far as its replies tell:
 * reception reports, its own sequence, epochs, reordering, true T3. */
#include "match_far.h"

#include <string.h>

#include "wire.h"

/* How far a reply that comes out of order looks for others. */
#define REORDER_REACH 1024u

/* A reflector's sequence that falls by more than this while ours rises is a new
 * start; also one that falls to the beginning by more than START_DISTANCE. */
#define RESTART_DISTANCE 128
#define START_DISTANCE 8

/* A reflector whose sequence does not fit ours for one reply in 16 or more, over
 * a while: each that does not weighs as much as 16 that do. */
#define ODD_WEIGHT 16
#define ODD_MOST 128

static inline int32_t
sequence_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

/* Ors 64 bits into a bit ring, the lowest for 'sequence'. */
static inline void
bits_or(const struct match *m, uint64_t *bits, uint64_t sequence, uint64_t word)
{
    uint32_t words = m->bit_count / 64;
    uint32_t at = (uint32_t)(sequence / 64) & (words - 1);
    unsigned shift = sequence % 64;

    bits[at] |= word << shift;
    if (shift) {
        bits[(at + 1) & (words - 1)] |= word >> (64 - shift);
    }
}

static void
bit_set(const struct match *m, uint64_t *bits, uint64_t sequence)
{
    bits[(sequence & (m->bit_count - 1)) / 64] |= UINT64_C(1) << sequence % 64;
}

/* A report's bitmap: 'newer' has sequence - 64 in bit 0, 'older' sequence - 128. */
struct bitmap {
    uint64_t newer, older;
};

static struct bitmap
bitmap_of(const struct exchange_report *r)
{
    struct rd rd = rd_of(r->bitmap, sizeof r->bitmap);
    uint64_t newer = rd_be64(&rd);

    return (struct bitmap){.newer = newer, .older = rd_be64(&rd)};
}

static unsigned
bitmap_count(struct bitmap b)
{
    return (unsigned)(__builtin_popcountll(b.newer) + __builtin_popcountll(b.older));
}

/* Least sequence that the report says was received. */
static uint64_t
bitmap_least(struct bitmap b, uint64_t sequence)
{
    if (b.older) {
        return sequence - 128 + (uint64_t)__builtin_ctzll(b.older);
    }
    return b.newer ? sequence - 64 + (uint64_t)__builtin_ctzll(b.newer) : sequence;
}

/* Bits of [first, first + 64) that lie at 'least' or above. */
static uint64_t
from_least(uint64_t first, uint64_t least)
{
    return least <= first ? UINT64_MAX : least - first >= 64 ? 0 : UINT64_MAX << (least - first);
}

/* Sets the bit of each packet of [first, last] that is still in the window. */
static void
set_run(const struct match *m, uint64_t *bits, uint64_t first, uint64_t last)
{
    for (uint64_t s = first < m->low ? m->low : first; s <= last && s < m->next; s++) {
        bit_set(m, bits, s);
    }
}

static void
clear_run(const struct match *m, uint64_t *bits, uint64_t first, uint64_t last)
{
    for (uint64_t s = first < m->low ? m->low : first; s <= last && s < m->next; s++) {
        bits[(s & (m->bit_count - 1)) / 64] &= ~(UINT64_C(1) << s % 64);
    }
}

/* --- Reception reports ---------------------------------------------------- */

/* Packets that the far end may have forgotten about: nobody can tell. */
static void
flag_run(const struct match *m, uint64_t first, uint64_t end)
{
    for (uint64_t s = first < m->low ? m->low : first; s < end; s++) {
        struct packet *p = match_packet_at(m, s);
        if (p) {
            p->dt->summary.flags |= DT_FAR_EPOCH;
        }
    }
}

/* The far end began anew: its sequence and its counts are others, and a clear
 * bit about what came before its first packet says nothing. */
static void
begin_generation(struct match *m, uint64_t least)
{
    struct far_end *f = &m->far;

    counter_add(&m->counters[MATCH_FAR_EPOCH], 1);
    flag_run(m, f->any_max + 1, least);
    f->generation++;
    f->heard = false;
    memset(f->gaps, 0, sizeof f->gaps);
    for (unsigned i = 0; i < MATCH_GAPS; i++) {
        f->gaps[i].first = 1;
    }
}

/* A run too old for the bitmap, between the reports of two replies: all of it
 * was received or none, else nobody can tell. */
static void
split_long_run(struct match *m, uint64_t sequence, const struct exchange_report *r, struct bitmap b)
{
    const struct far_end *f = &m->far;
    uint64_t first = f->report_max + 1, last = sequence - MATCH_REPORT_BITS - 1;
    uint32_t there = r->received - f->received - 1 - bitmap_count(b);

    if (sequence <= f->report_max + MATCH_REPORT_BITS + 1) {
        return;
    }
    if (there == 0) {
        set_run(m, m->no, first, last);
    } else if (there == last - first + 1 && m->skipped < first) {
        set_run(m, m->yes, first, last);
    }
}

/* Forward duplicates since the report before, for the delta-t of the packet
 * that tells. */
static void
take_duplicates(struct match *m, struct packet *p, const struct exchange_report *r)
{
    int32_t more = sequence_diff(r->duplicates, m->far.duplicates);

    if (more > 0) {
        p->dt->summary.duplicate_fwd += (uint32_t)more;
        m->far.duplicates = r->duplicates;
    }
}

/* The first report of an epoch.  Where the sender began anew and the far end did
 * not, its counts speak of an earlier life too: only their growth counts. */
static void
begin_epoch(struct match *m, uint64_t sequence, const struct exchange_report *r, struct bitmap b)
{
    struct far_end *f = &m->far;
    bool fresh = f->reports || r->received == 1 + bitmap_count(b);

    if (f->reports) {
        begin_generation(m, bitmap_least(b, sequence));
        f->old_epoch = f->epoch;
        f->old_epoch_valid = true;
    }
    f->reports = true;
    f->epoch = r->epoch;
    f->epoch_low = bitmap_least(b, sequence);
    f->report_max = sequence;
    f->received = r->received;
    f->duplicates = fresh ? 0 : r->duplicates;
}

static void
take_report(struct match *m, uint64_t sequence, struct packet *p, const struct exchange_report *r)
{
    struct far_end *f = &m->far;
    struct bitmap b = bitmap_of(r);

    bit_set(m, m->yes, sequence);
    bits_or(m, m->yes, sequence - 64, b.newer);
    bits_or(m, m->yes, sequence - 128, b.older);
    if (f->reports && f->old_epoch_valid && r->epoch == f->old_epoch) {
        return; /* Overtaken by the new epoch's replies. */
    }
    if (!f->reports || r->epoch != f->epoch) {
        begin_epoch(m, sequence, r, b);
    }
    uint64_t least = bitmap_least(b, sequence);
    f->epoch_low = least < f->epoch_low ? least : f->epoch_low;
    bits_or(m, m->no, sequence - 64, ~b.newer & from_least(sequence - 64, f->epoch_low));
    bits_or(m, m->no, sequence - 128, ~b.older & from_least(sequence - 128, f->epoch_low));
    take_duplicates(m, p, r);
    if (sequence > f->report_max) {
        split_long_run(m, sequence, r, b);
        f->report_max = sequence;
        f->received = r->received;
    }
}

/* --- A stateful reflector without reports --------------------------------- */

static void
gap_resolve(struct match *m, struct gap *g)
{
    if (g->last < g->first || !m->far.stateful || m->far.other) {
        return;
    }
    if (g->there == 0) {
        set_run(m, m->no, g->first, g->last);
    } else if (g->there == (int64_t)g->missing) {
        set_run(m, m->yes, g->first, g->last);
    }
}

static void
gap_add(struct match *m, uint64_t first, uint64_t last, int64_t there)
{
    struct gap *g = &m->far.gaps[m->far.gap_next++ % MATCH_GAPS];

    *g = (struct gap){.first = first, .last = last, .there = there};
    for (uint64_t s = first; s <= last; s++) {
        g->missing += s < m->low ? 1u : match_packet_at(m, s) != NULL;
    }
    gap_resolve(m, g);
}

/* A reply that fills a gap was received there: one less to wonder about. */
static void
gap_fill(struct match *m, uint64_t sequence)
{
    for (unsigned i = 0; i < MATCH_GAPS; i++) {
        struct gap *g = &m->far.gaps[i];
        if (sequence >= g->first && sequence <= g->last) {
            g->missing--;
            g->there--;
            gap_resolve(m, g);
        }
    }
}

/* The reflector received more than lies between two replies: a packet that was
 * held for not received came there late.  Which one, nobody can tell. */
static void
gaps_doubt(struct match *m, uint64_t sequence)
{
    for (unsigned i = 0; i < MATCH_GAPS; i++) {
        struct gap *g = &m->far.gaps[i];
        if (g->last >= g->first && g->last + REORDER_REACH > sequence) {
            g->there = INT64_MIN / 2;
            clear_run(m, m->no, g->first, g->last);
        }
    }
}

/* A reflector without reports that began anew. */
static bool
restarted(const struct far_end *f, uint64_t sequence, uint32_t reflected)
{
    int32_t rise = sequence_diff(reflected, f->sequence_max);

    return f->heard && sequence > f->reply_max &&
           (rise < -RESTART_DISTANCE || (reflected < START_DISTANCE && rise < -START_DISTANCE));
}

/* 'there' is by how much its sequence rose beyond the reply before, which ought to
 * be no more than 'gap', the packets between.  One counter for all its sessions
 * rises by more, one that stands still by less, and a gap may look whole by
 * chance: so many of them, and its sequence is not believed any more. */
static void
judge_sequence(struct match *m, int64_t there, uint64_t gap)
{
    struct far_end *f = &m->far;

    if (there >= 0 && there <= (int64_t)gap) {
        f->odd -= f->odd > 0;
        return;
    }
    f->odd += ODD_WEIGHT;
    if (f->odd > ODD_MOST && !f->other) {
        counter_add(&m->counters[MATCH_FAR_COUNT_OTHER], 1);
        f->other = true;
        for (unsigned i = 0; i < MATCH_GAPS; i++) {
            struct gap *g = &f->gaps[i];
            if (g->last >= g->first) {
                clear_run(m, m->no, g->first, g->last);
                clear_run(m, m->yes, g->first, g->last);
            }
        }
    }
}

static void
take_own_sequence(struct match *m, uint64_t sequence, uint32_t reflected)
{
    struct far_end *f = &m->far;

    if (!f->stateful && reflected != (uint32_t)sequence) {
        f->stateful = true;
        for (unsigned i = 0; i < MATCH_GAPS; i++) {
            gap_resolve(m, &f->gaps[i]);
        }
    }
    if (!f->heard) {
        return;
    }
    if (sequence < f->reply_max) {
        gap_fill(m, sequence);
        return;
    }
    int64_t there = (int64_t)sequence_diff(reflected, f->sequence_max) - 1;
    judge_sequence(m, there, sequence - f->reply_max - 1);
    if (there > (int64_t)(sequence - f->reply_max - 1)) {
        gaps_doubt(m, sequence);
    } else if (sequence > f->reply_max + 1) {
        gap_add(m, f->reply_max + 1, sequence - 1, there);
    }
}

/* --- Order ---------------------------------------------------------------- */

/* 'p' came back after one that the reflector sent later.  Looks which packets
 * overtook which on the way there, now that its place is known. */
static void
order_among_earlier(struct match *m, uint64_t sequence, struct packet *p)
{
    const struct far_end *f = &m->far;
    uint64_t top =
        f->reply_max < sequence + REORDER_REACH ? f->reply_max : sequence + REORDER_REACH;
    uint64_t bottom = sequence > m->low + REORDER_REACH ? sequence - REORDER_REACH : m->low;

    for (uint64_t s = sequence + 1; s <= top; s++) {
        const struct packet *q = match_packet_at(m, s);
        if (q && q->bits & PACKET_REPLIED && q->generation == p->generation &&
            sequence_diff(q->reflector_sequence, p->reflector_sequence) < 0) {
            p->bits |= PACKET_REORDERED_FWD;
            break;
        }
    }
    for (uint64_t s = sequence; s-- > bottom;) {
        struct packet *q = match_packet_at(m, s);
        if (q && q->bits & PACKET_REPLIED && q->generation == p->generation &&
            sequence_diff(q->reflector_sequence, p->reflector_sequence) > 0) {
            q->bits |= PACKET_REORDERED_FWD;
        }
    }
}

/* RFC 4737: reordered if one with a greater number came earlier; at the
 * reflector the order is its own sequence's, here that of arrival. */
static void
take_order(struct match *m, uint64_t sequence, struct packet *p)
{
    struct far_end *f = &m->far;

    if (!f->heard) {
        f->heard = true;
        f->sequence_max = p->reflector_sequence;
        f->reply_max = sequence;
    } else if (sequence_diff(p->reflector_sequence, f->sequence_max) > 0) {
        if (sequence < f->reply_max) {
            p->bits |= PACKET_REORDERED_FWD;
        }
        f->sequence_max = p->reflector_sequence;
    } else {
        p->bits |= PACKET_REORDERED_BWD;
        order_among_earlier(m, sequence, p);
    }
    f->reply_max = sequence > f->reply_max ? sequence : f->reply_max;
    f->any_max = sequence > f->any_max ? sequence : f->any_max;
}

void
match_far_reply(struct match *m, uint64_t sequence, struct packet *p, const struct exchange *e)
{
    struct far_end *f = &m->far;

    if (m->key.rt_only) {
        return;
    }
    if (e->has_report) {
        take_report(m, sequence, p, &e->report);
        if (e->report.epoch != f->epoch) {
            p->generation = (uint8_t)(f->generation - 1);
            return; /* Its sequence is the old epoch's. */
        }
    } else if (!f->reports) {
        if (restarted(f, sequence, e->reflector_sequence)) {
            begin_generation(m, sequence);
        }
        take_own_sequence(m, sequence, e->reflector_sequence);
        bit_set(m, m->yes, sequence);
    }
    p->generation = f->generation;
    take_order(m, sequence, p);
}

void
match_far_duplicate(struct match *m, uint64_t sequence, struct packet *p, const struct exchange *e)
{
    struct far_end *f = &m->far;

    if (e->has_report && !m->key.rt_only) {
        take_report(m, sequence, p, &e->report);
    }
    if (e->reflector_sequence == p->reflector_sequence || m->key.rt_only) {
        p->duplicates_bwd++;
        return;
    }
    /* The reflector answered it twice: the copy was made on the way there.  One
     * that reports has told so itself. */
    if (e->has_report) {
        return;
    }
    p->dt->summary.duplicate_fwd++;
    if (f->heard && p->generation == f->generation &&
        sequence_diff(e->reflector_sequence, f->sequence_max) > 0) {
        f->sequence_max = e->reflector_sequence;
        f->stateful |= e->reflector_sequence != (uint32_t)sequence;
    }
}

/* --- True T3 -------------------------------------------------------------- */

void
match_far_follow_up(struct match *m, const struct exchange_follow_up *f)
{
    struct follow_up *u = &m->follow_ups[f->reflector_sequence & (m->size - 1)];

    *u = (struct follow_up){.t3 = f->t3.at.ns,
                            .reflector_sequence = f->reflector_sequence,
                            .source = (uint8_t)f->t3.source,
                            .generation = m->far.generation};
}

const struct follow_up *
match_far_true_t3(const struct match *m, const struct packet *p)
{
    const struct follow_up *u = &m->follow_ups[p->reflector_sequence & (m->size - 1)];

    return u->source != TS_NONE && u->reflector_sequence == p->reflector_sequence &&
                   u->generation == p->generation
               ? u
               : NULL;
}
