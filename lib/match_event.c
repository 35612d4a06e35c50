/* match_event.c - an event of a session into what it remembers. */
#include <errno.h>
#include <string.h>

#include "match_delay.h"
#include "match_far.h"
#include "match_way.h"
#include "match_window.h"

/* A kernel stamp may seem this much earlier than the user's (a card's clock). */
#define T1_SLACK_NS (1 * NS_PER_MS)

/* --- Sending -------------------------------------------------------------- */

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

/* Room for 'sequence' and all before it down to the oldest that is not final. */
static int
reserve_slot(struct match *m, uint64_t sequence)
{
    uint64_t needed;

    if (m->low == m->next) {
        m->low = m->next = sequence;
    }
    needed = sequence + 1 - m->low;
    return needed <= m->size ? 0 : match_window_grow(m, needed);
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
    int64_t own = match_dt_number(m, t1);
    int64_t number = own < m->least_number ? m->least_number : own;

    *flag = own == number           ? 0
            : own <= m->step_number ? DT_CLOCK_STEP
            : own < m->next_number  ? DT_OVERRUN
                                    : 0;
    *near = instant_sub(match_dt_start(m, number), t1).ns <= 2 * m->key.dt.ns;
    return number;
}

static int
take_sent(struct match *m, const struct exchange *e)
{
    uint32_t flag;
    bool near;
    uint64_t sequence =
        m->started ? match_extend(m, e->sequence) : (UINT64_C(1) << 32) + e->sequence;
    struct open_dt *o = match_dt_at(m, number_for(m, e->t1.at, &flag, &near));
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
    struct open_dt *o = match_dt_at(m, number_for(m, at, &flag, &near));

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

/* --- Replies -------------------------------------------------------------- */

/* Whether the reflector's stamps lie so far outside ours that one of the clocks is
 * further from UTC than both say. */
static bool
denies_error(const struct packet *p, uint64_t error)
{
    int64_t bound = error < (uint64_t)MATCH_ONE_WAY_MAX_NS ? (int64_t)error : MATCH_ONE_WAY_MAX_NS;

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
    int64_t rt = p->t4 - match_t1(p);
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

/* --- What befell all that was out ----------------------------------------- */

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
        int64_t rt = p->t4 - match_t1(p), moved = rt - step;
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
    int64_t number = match_dt_number(m, instant_of_ns(e->at.ns - step));

    counter_add(&m->counters[MATCH_CLOCK_STEP], 1);
    for (uint64_t s = m->low; s < m->next; s++) {
        struct packet *p = match_packet_at(m, s);
        if (p) {
            move_packet(m, p, step);
        }
    }
    number = number < m->least_number ? m->least_number : number;
    struct open_dt *o = match_dt_at(m, number);
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
