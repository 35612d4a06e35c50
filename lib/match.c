/* match.c - packets into delta-t, delta-t into summaries.
 *
 * What the far end tells is match_far.c's.  Per packet nothing is allocated; a
 * session of 10 packets a second with a Tmax of 3 s takes 31 KiB (bench_match),
 * so 1,000 of them 31 MiB. */
#include "match_state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_LEAST 16u
#define SIZE_MAX_LEAST 2048u
#define SIZE_MOST (1u << 21)

/* A kernel stamp may seem this much earlier than the user's (a card's clock). */
#define T1_SLACK_NS (1 * NS_PER_MS)

/* One-way delays of more than this are of clocks that are not set. */
#define ONE_WAY_MAX_NS (INT64_C(1) << 60)

/* A foreign far end's stamps that are further from ours are of another epoch ... */
#define FAR_EPOCH_NS (86400 * NS_PER_S)
/* ... and those that lie so far outside our own are of no clock of UTC. */
#define FAR_OFF_NS NS_PER_S

const char *const match_count_names[MATCH_COUNTS] = {
    "reply_unknown", "t1_unknown",     "t1_missing",   "t3_missing",       "bad_reflector_time",
    "far_time_zero", "far_time_epoch", "far_time_off", "far_clock_denied", "far_count_other",
    "ttl_changed",   "remarked",       "remarked_fwd", "remarked_bwd",     "below_rt_floor",
    "far_epoch",     "clock_step",     "overrun",
};

/* --- Life ----------------------------------------------------------------- */

static struct open_dt *
open_new(const struct match *m)
{
    struct open_dt *o = malloc(sizeof *o);

    if (o && summary_init(&o->summary, instant_of_ns(0), m->key.ifdv)) {
        free(o);
        return NULL;
    }
    return o;
}

static void
open_free(struct open_dt *o)
{
    while (o) {
        struct open_dt *next = o->next;
        summary_fini(&o->summary);
        free(o);
        o = next;
    }
}

/* Slots for all that is not final at the scheduled rate, and half as much again
 * for an advance that comes late. */
static uint32_t
slots_for(const struct session_key *key)
{
    uint64_t span = (uint64_t)key->dt.ns + (uint64_t)key->tmax.ns + (uint64_t)MATCH_GRACE_NS +
                    (uint64_t)NS_PER_S;
    uint64_t packets = span / (uint64_t)key->period.ns;
    uint64_t needed = packets + packets / 2 + 8;
    uint32_t size = SIZE_LEAST;

    while (size < needed && size < SIZE_MOST) {
        size *= 2;
    }
    return size;
}

static int
slots_alloc(struct match *m, uint32_t size)
{
    m->packets = calloc(size, sizeof *m->packets);
    m->follow_ups = calloc(size, sizeof *m->follow_ups);
    m->size = size;
    for (m->bit_count = 64; m->bit_count < size + MATCH_REPORT_BITS;) {
        m->bit_count *= 2;
    }
    m->yes = calloc(m->bit_count / 64, sizeof *m->yes);
    m->no = calloc(m->bit_count / 64, sizeof *m->no);
    return m->packets && m->follow_ups && m->yes && m->no ? 0 : -ENOMEM;
}

static void
slots_free(struct match *m)
{
    free(m->packets);
    free(m->follow_ups);
    free(m->yes);
    free(m->no);
}

struct match *
match_new(const struct session_key *key, struct instant begin)
{
    struct match *m = calloc(1, sizeof *m);

    assert(key->dt.ns > 0 && key->period.ns > 0 && begin.ns % key->dt.ns == 0);
    if (!m) {
        return NULL;
    }
    m->key = *key;
    m->echo = strcmp(key->protocol, "icmp") == 0;
    m->next_number = m->early_number = m->least_number = begin.ns / key->dt.ns;
    m->step_number = INT64_MIN;
    m->stop_number = INT64_MAX;
    m->clock_error_ns = UINT64_MAX;
    for (unsigned i = 0; i < MATCH_GAPS; i++) {
        m->far.gaps[i].first = 1;
    }
    m->size_max = 8 * slots_for(key);
    m->size_max = m->size_max < SIZE_MAX_LEAST ? SIZE_MAX_LEAST : m->size_max;
    m->size_max = m->size_max > SIZE_MOST ? SIZE_MOST : m->size_max;
    int err = slots_alloc(m, slots_for(key));
    m->pool = open_new(m);
    if (m->pool) {
        m->pool->next = NULL;
    }
    for (int d = 0; d < DIRECTIONS; d++) {
        m->early_hists[d] = hist_new(HIST_DELAY);
        err = m->early_hists[d] ? err : -ENOMEM;
    }
    if (err || !m->pool) {
        match_free(m);
        return NULL;
    }
    return m;
}

void
match_free(struct match *m)
{
    if (m) {
        slots_free(m);
        open_free(m->front);
        open_free(m->pool);
        for (int d = 0; d < DIRECTIONS; d++) {
            hist_free(m->early_hists[d]);
        }
        free(m);
    }
}

/* Twice the slots, or more: what is in the window keeps its place. */
static int
slots_grow(struct match *m, uint64_t needed)
{
    struct match old = *m;
    uint32_t size = m->size;

    while (size < needed && size < m->size_max) {
        size *= 2;
    }
    if (size < needed) {
        return -ENOMEM;
    }
    if (slots_alloc(m, size)) {
        slots_free(m);
        m->packets = old.packets;
        m->follow_ups = old.follow_ups;
        m->yes = old.yes;
        m->no = old.no;
        m->size = old.size;
        m->bit_count = old.bit_count;
        return -ENOMEM;
    }
    for (uint64_t s = m->low; s < m->next; s++) {
        uint64_t bit = UINT64_C(1) << s % 64;
        *match_slot(m, s) = *match_slot(&old, s);
        m->yes[(s & (m->bit_count - 1)) / 64] |= match_bit(&old, old.yes, s) ? bit : 0;
        m->no[(s & (m->bit_count - 1)) / 64] |= match_bit(&old, old.no, s) ? bit : 0;
    }
    for (uint32_t i = 0; i < old.size; i++) {
        const struct follow_up *u = &old.follow_ups[i];
        if (u->source != TS_NONE) {
            m->follow_ups[u->reflector_sequence & (size - 1)] = *u;
        }
    }
    slots_free(&old);
    return 0;
}

/* --- Delta-t -------------------------------------------------------------- */

static struct instant
start_of(const struct match *m, int64_t number)
{
    return instant_of_ns(number * m->key.dt.ns);
}

static int64_t
number_of(const struct match *m, struct instant at)
{
    return instant_floor(at, m->key.dt).ns / m->key.dt.ns;
}

/* An unused delta-t, reset; NULL when memory is out. */
static struct open_dt *
open_take(struct match *m, int64_t number)
{
    struct open_dt *o = m->pool;

    if (o) {
        m->pool = o->next;
    } else {
        o = open_new(m);
    }
    if (o) {
        summary_reset(&o->summary, start_of(m, number));
        o->next = NULL;
        o->number = number;
        o->offset = number <= m->step_number ? m->step_offset : m->offset;
        o->packets = false;
        o->way = (struct way){.known = {false}};
    }
    return o;
}

static void
open_give(struct match *m, struct open_dt *o)
{
    o->next = m->pool;
    m->pool = o;
}

/* The delta-t 'number', which is not before the newest open one; NULL when
 * memory is out. */
static struct open_dt *
open_at(struct match *m, int64_t number)
{
    if (m->tail && m->tail->number == number) {
        return m->tail;
    }
    assert(!m->tail || m->tail->number < number);
    struct open_dt *o = open_take(m, number);
    if (!o) {
        return NULL;
    }
    if (m->tail) {
        m->tail->next = o;
    } else {
        m->front = o;
    }
    m->tail = o;
    m->least_number = number;
    o->summary.sent += m->carried;
    o->summary.unknown += m->carried;
    o->summary.flags |= m->carried ? DT_OVERRUN : 0;
    m->carried = 0;
    return o;
}

/* Packets that were sent, and of which nothing more can be known. */
static void
count_unknown(struct match *m, struct open_dt *o, uint64_t packets, uint32_t flag)
{
    if (o) {
        o->summary.sent += packets;
        o->summary.unknown += packets;
        o->summary.flags |= flag;
    } else {
        m->carried += packets;
    }
}

/* --- Events --------------------------------------------------------------- */

/* Room for 'sequence' and all before it down to the oldest that is not final. */
static int
reserve_slot(struct match *m, uint64_t sequence)
{
    uint64_t needed;

    if (m->low == m->next) {
        m->low = m->next = sequence;
    }
    needed = sequence + 1 - m->low;
    return needed <= m->size ? 0 : slots_grow(m, needed);
}

/* Steps over the sequences up to 'sequence' that were not sent, as far as
 * anybody knows, and takes its slot. */
static struct packet *
claim_slot(struct match *m, uint64_t sequence)
{
    for (uint64_t s = m->next; s <= sequence; s++) {
        uint64_t clear = ~(UINT64_C(1) << s % 64);
        memset(match_slot(m, s), 0, sizeof *m->packets);
        m->yes[(s & (m->bit_count - 1)) / 64] &= clear;
        m->no[(s & (m->bit_count - 1)) / 64] &= clear;
    }
    m->next = sequence + 1;
    return match_slot(m, sequence);
}

/* The delta-t for a packet with this T1; '*flag' says what is wrong with it,
 * and '*near' whether it is near enough to be there as usual. */
static int64_t
number_for(const struct match *m, struct instant t1, uint32_t *flag, bool *near)
{
    int64_t own = number_of(m, t1);
    int64_t number = own < m->least_number ? m->least_number : own;

    *flag = own == number           ? 0
            : own <= m->step_number ? DT_CLOCK_STEP
            : own < m->next_number  ? DT_OVERRUN
                                    : 0;
    *near = instant_sub(start_of(m, number), t1).ns <= 2 * m->key.dt.ns;
    return number;
}

static int
take_sent(struct match *m, const struct exchange *e)
{
    uint32_t flag;
    bool near;
    uint64_t sequence =
        m->started ? match_extend(m, e->sequence) : (UINT64_C(1) << 32) + e->sequence;
    struct open_dt *o = open_at(m, number_for(m, e->t1.at, &flag, &near));
    uint64_t missed = m->started && sequence > m->newest + 1 ? sequence - m->newest - 1 : 0;
    bool again = m->started && sequence <= m->newest;

    if (missed && m->overrun && o) {
        count_unknown(m, o, missed, DT_OVERRUN); /* Their events were lost. */
    }
    m->skipped = missed ? sequence - 1 : m->skipped;
    m->overrun = false;
    m->newest = again ? m->newest : sequence;
    if (!o || !near || again || reserve_slot(m, sequence)) {
        counter_add(&m->counters[near ? MATCH_OVERRUN : MATCH_CLOCK_STEP], 1);
        count_unknown(m, o, 1, near ? DT_OVERRUN : flag);
        return near ? -ENOMEM : 0;
    }
    m->started = true;
    struct packet *p = claim_slot(m, sequence);
    *p = (struct packet){.t1_user = e->t1.at.ns,
                         .scheduled = e->scheduled.ns,
                         .dt = o,
                         .sequence = e->sequence,
                         .bits = PACKET_SENT};
    o->summary.sent++;
    o->summary.flags |= flag;
    if (!o->packets) {
        o->packets = true;
        o->first = sequence;
    }
    return 0;
}

static int
take_send_error(struct match *m, const struct exchange *e)
{
    uint32_t flag;
    bool near;
    struct instant at = e->t1.source == TS_NONE ? e->at : e->t1.at;
    struct open_dt *o = open_at(m, number_for(m, at, &flag, &near));

    if (!o) {
        return -ENOMEM;
    }
    o->summary.send_errors++;
    return 0;
}

static void
take_t1(struct match *m, const struct exchange *e)
{
    struct packet *p = match_packet_at(m, match_extend(m, e->sequence));

    if (!m->started || !p) {
        counter_add(&m->counters[MATCH_T1_UNKNOWN], 1);
    } else if (!(p->bits & PACKET_STEPPED) && e->t1.at.ns >= p->t1_user - T1_SLACK_NS) {
        p->t1 = e->t1.at.ns;
        p->source1 = (uint8_t)e->t1.source;
    }
}

/* The best T1 there is. */
static int64_t
best_t1(const struct packet *p)
{
    return p->source1 == TS_NONE || (p->bits & PACKET_REPLIED && p->t1 > p->t4) ? p->t1_user
                                                                                : p->t1;
}

/* Whether the reflector's stamps lie so far outside ours that one of the clocks is
 * further from UTC than both say. */
static bool
denies_error(const struct packet *p, uint64_t error)
{
    int64_t bound = error < (uint64_t)ONE_WAY_MAX_NS ? (int64_t)error : ONE_WAY_MAX_NS;

    return (p->source2 != TS_NONE && p->t2 < p->t1_user - bound) ||
           (p->source3 != TS_NONE && p->t3 - bound > p->t4);
}

static void
note_clock_error(struct match *m, const struct packet *p, const struct exchange *e)
{
    struct summary *s = &p->dt->summary;
    uint64_t error = UINT64_MAX;

    if (e->far_synchronised && m->clock_error_ns <= UINT64_MAX - e->far_error_ns) {
        error = m->clock_error_ns + e->far_error_ns;
        if (match_is_foreign(m) && denies_error(p, error)) {
            counter_add(&m->counters[MATCH_FAR_CLOCK_DENIED], 1);
            error = UINT64_MAX;
        }
    }
    s->clock_error_ns = error > s->clock_error_ns ? error : s->clock_error_ns;
}

static void
take_first_reply(struct match *m, uint64_t sequence, struct packet *p, const struct exchange *e)
{
    p->t2 = e->t2.at.ns;
    p->t3 = e->t3.at.ns;
    p->t4 = e->t4.source == TS_NONE ? e->at.ns : e->t4.at.ns;
    p->source2 = (uint8_t)e->t2.source;
    p->source3 = (uint8_t)e->t3.source;
    p->source4 = (uint8_t)(e->t4.source == TS_NONE ? TS_USER : e->t4.source);
    p->reflector_sequence = e->reflector_sequence;
    p->ttl = e->ttl;
    p->reply_ttl = e->reply_ttl;
    p->bits |= PACKET_REPLIED;
    int64_t rt = p->t4 - best_t1(p);
    if (rt >= 0 && rt <= m->key.tmax.ns) {
        m->usual_rt_ns = m->late_known ? m->usual_rt_ns + (rt - m->usual_rt_ns) / 16 : rt;
        m->late_known = true;
    }
    match_far_reply(m, sequence, p, e);
    note_clock_error(m, p, e);
    match_way_reply(m, p->dt, e);
}

static void
take_reply(struct match *m, const struct exchange *e)
{
    uint64_t sequence = match_extend(m, e->sequence);
    struct packet *p = m->started ? match_packet_at(m, sequence) : NULL;

    if (!p) {
        counter_add(&m->counters[MATCH_REPLY_UNKNOWN], 1);
    } else if (p->bits & PACKET_REPLIED) {
        match_far_duplicate(m, sequence, p, e);
    } else {
        take_first_reply(m, sequence, p, e);
    }
    if (e->has_follow_up) {
        match_far_follow_up(m, &e->follow_up);
    }
}

/* Of a packet without a reply, nobody can say more if it was out at any moment
 * between 'since' and 'at'. */
static void
take_overrun(struct match *m, const struct exchange *e)
{
    counter_add(&m->counters[MATCH_OVERRUN], 1);
    m->overrun = true;
    for (uint64_t s = m->low; s < m->next; s++) {
        struct packet *p = match_packet_at(m, s);
        if (p && !(p->bits & PACKET_REPLIED) && p->t1_user <= e->at.ns &&
            p->t1_user + m->key.tmax.ns >= e->since.ns) {
            p->bits |= PACKET_OVERRUN;
        }
    }
    for (struct open_dt *o = m->front; o; o = o->next) {
        int64_t start = o->summary.start.ns;
        if (start <= e->at.ns && start + m->key.dt.ns > e->since.ns) {
            o->summary.flags |= DT_OVERRUN;
        }
    }
}

/* Moves the T1 of what was out when the clock stepped, and of what came back
 * between the step and its discovery, into the new clock. */
static void
move_packet(const struct match *m, struct packet *p, int64_t step)
{
    if (p->bits & PACKET_REPLIED) {
        int64_t rt = p->t4 - best_t1(p), moved = rt - step;
        bool plausible = rt >= 0 && rt <= m->key.tmax.ns;
        if (plausible || moved < 0 || moved > m->key.tmax.ns) {
            return;
        }
    }
    p->scheduled = step + (p->bits & PACKET_STEPPED ? p->scheduled : 0);
    p->bits |= PACKET_STEPPED;
    p->t1_user += step;
    p->t1 = 0;
    p->source1 = TS_NONE;
    p->dt->summary.flags |= DT_CLOCK_STEP;
}

static void
take_clock_step(struct match *m, const struct exchange *e)
{
    int64_t step = e->step.ns;
    int64_t number = number_of(m, instant_of_ns(e->at.ns - step));

    counter_add(&m->counters[MATCH_CLOCK_STEP], 1);
    for (uint64_t s = m->low; s < m->next; s++) {
        struct packet *p = match_packet_at(m, s);
        if (p) {
            move_packet(m, p, step);
        }
    }
    number = number < m->least_number ? m->least_number : number;
    struct open_dt *o = open_at(m, number);
    if (o) {
        o->summary.flags |= DT_CLOCK_STEP;
    }
    if (step > m->key.dt.ns / 2 || -step > m->key.dt.ns / 2) {
        m->step_number = number;
        m->step_offset = o ? o->offset : m->offset;
        m->least_number = number + 1;
    }
    m->offset += step;
}

int
match_event(struct match *m, const struct exchange *e)
{
    switch (e->kind) {
    case EXCHANGE_SENT:
        return take_sent(m, e);
    case EXCHANGE_SEND_ERROR:
        return take_send_error(m, e);
    case EXCHANGE_T1:
        take_t1(m, e);
        return 0;
    case EXCHANGE_REPLY:
        take_reply(m, e);
        return 0;
    case EXCHANGE_OVERRUN:
        take_overrun(m, e);
        return 0;
    case EXCHANGE_CLOCK_STEP:
        take_clock_step(m, e);
        return 0;
    }
    return 0;
}

/* --- A packet's delays ---------------------------------------------------- */

struct delays {
    struct stamp_time t[4]; /* As used. */
    int64_t delay[DIRECTIONS];
    bool subtracted;      /* rt is without the time in the reflector. */
    bool one_way;         /* fwd and bwd are valid too. */
    bool follow_up;       /* T3 is the true one. */
    enum match_count bad; /* What is wrong with T2 and T3; MATCH_COUNTS: nothing. */
};

static bool
apart(int64_t a, int64_t b, int64_t most)
{
    int64_t d;

    return __builtin_sub_overflow(a, b, &d) || d > most || d < -most;
}

/* Whether the reflector's stamps can be true between our own; then fills the
 * delays.  What is wrong with them goes to d->bad. */
static bool
split_delay(const struct match *m, struct delays *d, const int64_t t[4])
{
    bool foreign = match_is_foreign(m);
    int64_t inside;

    d->bad = MATCH_BAD_REFLECTOR_TIME;
    if (__builtin_sub_overflow(t[2], t[1], &inside) || inside < 0 || inside > t[3] - t[0]) {
        return false;
    }
    if (apart(t[1], t[0], foreign ? FAR_EPOCH_NS : ONE_WAY_MAX_NS) ||
        apart(t[3], t[2], foreign ? FAR_EPOCH_NS : ONE_WAY_MAX_NS)) {
        d->bad = foreign ? MATCH_FAR_TIME_EPOCH : MATCH_BAD_REFLECTOR_TIME;
        return false;
    }
    d->bad = MATCH_COUNTS;
    d->delay[DIR_FWD] = t[1] - t[0];
    d->delay[DIR_BWD] = t[3] - t[2];
    d->delay[DIR_RT] = (t[3] - t[0]) - inside;
    d->subtracted = true;
    d->one_way = !m->key.rt_only;
    if (foreign && (d->delay[DIR_FWD] < -FAR_OFF_NS || d->delay[DIR_BWD] < -FAR_OFF_NS)) {
        d->bad = MATCH_FAR_TIME_OFF;
        d->one_way = false;
    }
    return true;
}

/* What a replied packet tells of time. */
static struct delays
delays_of(const struct match *m, const struct packet *p)
{
    const struct follow_up *u = match_far_true_t3(m, p);
    int64_t t[4] = {best_t1(p), p->t2, p->t3, p->t4};
    struct delays d = {
        .t = {{instant_of_ns(t[0]),
               t[0] == p->t1_user && p->source1 == TS_NONE ? TS_USER : (enum ts_source)p->source1},
              {instant_of_ns(p->t2), (enum ts_source)p->source2},
              {instant_of_ns(p->t3), (enum ts_source)p->source3},
              {instant_of_ns(p->t4), (enum ts_source)p->source4}},
        .bad = MATCH_COUNTS,
    };

    if (p->source2 != TS_NONE && u) {
        t[2] = u->t3;
        d.follow_up = split_delay(m, &d, t);
        t[2] = p->t3;
    }
    if (d.follow_up) {
        d.t[2] = (struct stamp_time){instant_of_ns(u->t3), (enum ts_source)u->source};
    } else if (p->source2 == TS_NONE || p->source3 == TS_NONE || p->t2 == 0 || p->t3 == 0) {
        d.bad = m->echo ? MATCH_COUNTS : MATCH_FAR_TIME_ZERO;
    } else {
        (void)split_delay(m, &d, t);
    }
    if (!d.subtracted) {
        d.delay[DIR_RT] = p->t4 - t[0];
    }
    return d;
}

static enum ts_source
worst_source(const struct delays *d)
{
    enum ts_source worst = d->t[0].source < d->t[3].source ? d->t[0].source : d->t[3].source;

    if (d->subtracted) {
        worst = d->t[1].source < worst ? d->t[1].source : worst;
        worst = d->t[2].source < worst ? d->t[2].source : worst;
    }
    return worst;
}

/* --- Becoming final ------------------------------------------------------- */

static bool
is_late(const struct match *m, const struct packet *p)
{
    return p->bits & PACKET_REPLIED && p->t4 - best_t1(p) > m->key.tmax.ns;
}

/* The reply came after Tmax: lost on the way on which it was late. */
static enum fate
late_fate(const struct match *m, const struct packet *p)
{
    struct delays d = delays_of(m, p);

    if (m->key.rt_only || (!m->far.reports && (!m->far.stateful || m->far.other))) {
        return FATE_LOST_UNDIRECTED;
    }
    return d.one_way && d.delay[DIR_BWD] >= 0 && d.delay[DIR_FWD] > m->key.tmax.ns ? FATE_LOST_FWD
                                                                                   : FATE_LOST_BWD;
}

/* 'end': what is out since less than Tmax then is unknown. */
static enum fate
fate_of(const struct match *m, uint64_t sequence, const struct packet *p, struct instant end)
{
    if (p->bits & PACKET_REPLIED) {
        return is_late(m, p) ? late_fate(m, p) : FATE_RECEIVED;
    }
    if (p->bits & PACKET_OVERRUN || p->t1_user > end.ns - m->key.tmax.ns) {
        return FATE_UNKNOWN;
    }
    if (match_bit(m, m->yes, sequence)) {
        return FATE_LOST_BWD;
    }
    return match_bit(m, m->no, sequence) ? FATE_LOST_FWD : FATE_LOST_UNDIRECTED;
}

/* IFDV against the packet before, if that was due one period earlier. */
static void
add_ifdv(struct match *m, struct summary *s, uint64_t sequence, const struct packet *p,
         const struct delays *d)
{
    int64_t apart = p->scheduled - m->before.scheduled - m->key.period.ns;
    bool neighbour = m->before.sequence + 1 == sequence && apart <= m->key.period.ns / 2 &&
                     -apart <= m->key.period.ns / 2;

    for (int i = 0; i < DIRECTIONS; i++) {
        bool valid = i == DIR_RT || d->one_way;
        if (valid && neighbour && m->before.valid[i]) {
            int64_t v = d->delay[i] - m->before.delay[i];
            if (summary_add_ifdv(s, &m->key, (enum direction)i, span_of_ns(v < 0 ? -v : v))) {
                s->flags |= DT_OVERRUN;
            }
        }
        m->before.valid[i] = valid;
        m->before.delay[i] = d->delay[i];
    }
    m->before.sequence = sequence;
    m->before.scheduled = p->scheduled;
}

static void
add_received(struct match *m, struct summary *s, uint64_t sequence, const struct packet *p,
             const struct delays *d)
{
    s->received++;
    s->stamped[worst_source(d)]++;
    if (m->far.reports || (m->far.stateful && !m->far.other)) {
        s->reordered_fwd += (p->bits & PACKET_REORDERED_FWD) != 0;
        s->reordered_bwd += (p->bits & PACKET_REORDERED_BWD) != 0;
    }
    if (!d->follow_up && !m->echo) {
        counter_add(&m->counters[MATCH_T3_MISSING], 1);
    }
    if (p->bits & PACKET_STEPPED) {
        return;
    }
    if (d->bad != MATCH_COUNTS) {
        counter_add(&m->counters[d->bad], 1);
    }
    for (int i = 0; i < DIRECTIONS; i++) {
        if ((i == DIR_RT || d->one_way) &&
            summary_add_delay(s, &m->key, (enum direction)i, span_of_ns(d->delay[i]))) {
            s->flags |= DT_OVERRUN;
        }
    }
    if (d->delay[DIR_RT] < m->rt_floor_ns) {
        counter_add(&m->counters[MATCH_BELOW_FLOOR], 1);
        s->flags |= DT_BELOW_FLOOR;
    }
    add_ifdv(m, s, sequence, p, d);
}

static void
add_lost(struct summary *s, enum fate fate, bool late)
{
    s->lost_fwd += fate == FATE_LOST_FWD;
    s->lost_bwd += fate == FATE_LOST_BWD;
    s->lost_undirected += fate == FATE_LOST_UNDIRECTED;
    s->unknown += fate == FATE_UNKNOWN;
    s->flags |= fate == FATE_UNKNOWN ? DT_OVERRUN : 0;
    s->late += late;
}

static void
tell_packet(const struct match *m, const struct packet *p, enum fate fate, const struct delays *d,
            const struct match_sinks *sinks)
{
    int64_t moved = p->bits & PACKET_STEPPED ? p->scheduled : 0;
    struct match_packet out = {.sequence = p->sequence,
                               .fate = fate,
                               .late = fate != FATE_RECEIVED && p->bits & PACKET_REPLIED,
                               .duplicates_bwd = p->duplicates_bwd,
                               .t1_user = instant_of_ns(p->t1_user - moved),
                               .ttl = p->ttl,
                               .reply_ttl = p->reply_ttl};

    out.t1 = d->t[0];
    out.t2 = d->t[1];
    out.t3 = d->t[2];
    out.t4 = d->t[3];
    sinks->packet(&m->key, &out, sinks->aux);
}

static void
finalise_packet(struct match *m, uint64_t sequence, struct packet *p, struct instant end,
                const struct match_sinks *sinks)
{
    struct summary *s = &p->dt->summary;
    struct delays d = delays_of(m, p);
    enum fate fate = fate_of(m, sequence, p, end);

    if (p->source1 == TS_NONE) {
        counter_add(&m->counters[MATCH_T1_MISSING], 1);
    }
    s->duplicate_bwd += p->duplicates_bwd;
    if (fate == FATE_RECEIVED) {
        add_received(m, s, sequence, p, &d);
    } else {
        add_lost(s, fate, p->bits & PACKET_REPLIED);
    }
    if (sinks->packet) {
        tell_packet(m, p, fate, &d, sinks);
    }
    p->bits = 0;
}

/* Hands out the oldest delta-t.  0 or -ENOMEM (it stays the oldest). */
static int
finalise_oldest(struct match *m, struct instant end, const struct match_sinks *sinks)
{
    struct open_dt *o = m->front && m->front->number == m->next_number ? m->front : NULL;

    if (o) {
        m->front = o->next;
        m->tail = m->front ? m->tail : NULL;
    } else if (!(o = open_take(m, m->next_number))) {
        return -ENOMEM;
    }
    for (; m->low < m->next; m->low++) {
        struct packet *p = match_slot(m, m->low);
        if (p->bits & PACKET_SENT) {
            if (p->dt != o) {
                break;
            }
            finalise_packet(m, m->low, p, end, sinks);
        }
    }
    struct summary *s = &o->summary;
    s->scheduled = (uint64_t)((m->key.dt.ns + m->key.period.ns / 2) / m->key.period.ns);
    if (s->sent * 10 < s->scheduled * 9) {
        s->flags |= DT_UNDERSENT;
    }
    m->next_number++;
    m->least_number = m->least_number < m->next_number ? m->next_number : m->least_number;
    sinks->final(&m->key, s, sinks->aux);
    match_way_tell(m, o, sinks);
    open_give(m, o);
    return 0;
}

/* --- Early state ---------------------------------------------------------- */

static void
early_packet(struct match *m, struct early *e, const struct packet *p, struct instant now)
{
    int64_t patience = m->late_known ? 4 * m->usual_rt_ns : m->key.tmax.ns;

    if (!(p->bits & PACKET_REPLIED)) {
        e->overdue += now.ns - p->t1_user > patience;
        return;
    }
    if (is_late(m, p)) {
        e->overdue++;
        return;
    }
    e->received++;
    if (p->bits & PACKET_STEPPED) {
        return;
    }
    struct delays d = delays_of(m, p);
    bool first = hist_count(m->early_hists[DIR_RT]) == 0;
    int64_t rt = d.delay[DIR_RT];
    e->rt_min_ns = first || rt < e->rt_min_ns ? rt : e->rt_min_ns;
    e->rt_max_ns = first || rt > e->rt_max_ns ? rt : e->rt_max_ns;
    for (int i = 0; i < DIRECTIONS; i++) {
        if (i == DIR_RT || d.one_way) {
            /* Without memory the early median is of fewer samples. */
            (void)hist_add(m->early_hists[i], d.delay[i], 1);
        }
    }
}

static int64_t
early_median(const struct match *m, enum direction d, int64_t min, int64_t max)
{
    const struct hist *h = m->early_hists[d];

    return hist_count(h) ? hist_quantile(h, 500000, min, max) : 0;
}

static void
tell_early(struct match *m, struct instant now, const struct match_sinks *sinks)
{
    struct early e = {.start = start_of(m, m->early_number)};
    const struct open_dt *o = m->front;

    while (o && o->number < m->early_number) {
        o = o->next;
    }
    if (o && o->number == m->early_number) {
        e.sent = o->summary.sent;
        e.send_errors = o->summary.send_errors;
        e.clock_error_ns = o->summary.clock_error_ns;
        for (uint64_t s = o->first; o->packets && s < m->next; s++) {
            const struct packet *p = match_slot(m, s);
            if (p->bits & PACKET_SENT) {
                if (p->dt != o) {
                    break;
                }
                early_packet(m, &e, p, now);
            }
        }
        e.rt_p50_ns = early_median(m, DIR_RT, e.rt_min_ns, e.rt_max_ns);
        e.fwd_p50_ns = early_median(m, DIR_FWD, INT64_MIN, INT64_MAX);
        e.bwd_p50_ns = early_median(m, DIR_BWD, INT64_MIN, INT64_MAX);
        for (int i = 0; i < DIRECTIONS; i++) {
            hist_clear(m->early_hists[i]);
        }
    }
    sinks->early(&m->key, &e, sinks->aux);
}

/* --- Time passes ---------------------------------------------------------- */

/* How long ago delta-t 'number' ended, in the clock that it was in. */
static int64_t
since_end(const struct match *m, int64_t number, struct instant now)
{
    int64_t offset = number <= m->step_number ? m->step_offset : m->offset;

    for (const struct open_dt *o = m->front; o && o->number <= number; o = o->next) {
        offset = o->number == number ? o->offset : offset;
    }
    return now.ns - (m->offset - offset) - start_of(m, number + 1).ns;
}

/* A clock that leapt, or a process that slept for days, leaves a hole that is
 * not worth a summary a delta-t. */
static void
skip_hole(struct match *m, struct instant now)
{
    int64_t upto = m->front ? m->front->number : number_of(m, now);

    if (upto - m->next_number > MATCH_HOLE_MAX &&
        since_end(m, upto - MATCH_HOLE_MAX, now) >= m->key.tmax.ns + MATCH_GRACE_NS) {
        m->next_number = upto - MATCH_HOLE_MAX;
        m->early_number = m->early_number < m->next_number ? m->next_number : m->early_number;
        m->least_number = m->least_number < m->next_number ? m->next_number : m->least_number;
    }
}

void
match_advance(struct match *m, struct instant now, const struct match_sinks *sinks)
{
    const struct instant whole = instant_of_ns(INT64_MAX); /* Nothing is cut short. */

    skip_hole(m, now);
    while (since_end(m, m->early_number, now) >= 0) {
        if (sinks->early) {
            tell_early(m, now, sinks);
        }
        m->early_number++;
    }
    while (m->next_number < m->stop_number &&
           since_end(m, m->next_number, now) >= m->key.tmax.ns + MATCH_GRACE_NS &&
           finalise_oldest(m, whole, sinks) == 0) {
    }
}

void
match_finish(struct match *m, struct instant end, const struct match_sinks *sinks)
{
    int64_t last = number_of(m, end);

    last = m->tail && m->tail->number > last ? m->tail->number : last;
    last = last < m->stop_number ? last : m->stop_number - 1;
    skip_hole(m, end);
    while (m->next_number <= last && finalise_oldest(m, end, sinks) == 0) {
    }
    m->early_number = m->early_number < m->next_number ? m->next_number : m->early_number;
}

struct instant
match_stop(struct match *m, struct instant now)
{
    int64_t border = instant_ceil(now, m->key.dt).ns / m->key.dt.ns;

    border = border < m->least_number ? m->least_number : border;
    m->stop_number = m->tail && m->tail->number >= border ? m->tail->number + 1 : border;
    return start_of(m, m->stop_number);
}

void
match_go_on(struct match *m)
{
    m->stop_number = INT64_MAX;
}

bool
match_is_done(const struct match *m)
{
    return m->next_number >= m->stop_number;
}

struct instant
match_next_start(const struct match *m)
{
    return start_of(m, m->next_number);
}

void
match_set_clock_error(struct match *m, uint64_t own_error_ns)
{
    m->clock_error_ns = own_error_ns;
}

void
match_set_rt_floor(struct match *m, struct span floor)
{
    m->rt_floor_ns = floor.ns;
}

void
match_counters(struct match *m, struct counter_group *out)
{
    *out = (struct counter_group){.name = "match",
                                  .names = match_count_names,
                                  .counters = m->counters,
                                  .count = MATCH_COUNTS};
}
