/* alarm_parts.h - what the files of alarm.h share, and nobody else: a flow's window.
 *
 * alarm_flow.c fills and judges windows; alarm.c makes episodes of what they came to. */
#ifndef PLUMBLINE_ALARM_PARTS_H
#define PLUMBLINE_ALARM_PARTS_H

#include "alarm.h"

/* Ratios are counted in these. */
#define ALARM_WHOLE 100000
#define ALARM_FINAL (UINT32_C(1) << 31)
#define ALARM_NONE INT64_MIN

/* Sums of one delta-t or a few. */
struct alarm_slot {
    uint32_t count; /* ALARM_FINAL is or-ed to it where an early state can be replaced no more. */
    uint32_t bad;
};

/* Packets: all up to the last bad delta-t, and what became of those that are not there. */
struct alarm_counts {
    uint64_t sent, fwd, bwd, undirected, send_errors;
};

struct alarm_flow {
    struct alarm_slot *slots; /* A ring by number: start / length. */
    uint32_t *values;         /* One of each slot; NULL of ratios. */
    struct span length;
    int64_t newest, judged; /* Slots; or ALARM_NONE. */
    int64_t taken;          /* Start of the newest delta-t that was final. */
    int64_t from;           /* What began before was counted by another claim; 0: there was none. */
    int64_t final_until;    /* End of the newest delta-t that was final. */
    int64_t bad_newest;     /* Newest slot with anything bad in it. */
    int64_t near[2];        /* Slots in which an early and a final delta-t were last. */
    uint16_t number, need, room;
    uint16_t at; /* Where in the ring the newest is. */
    bool early;  /* Early states count: a slot is one delta-t. */
    bool hit;    /* Since alarm_decide(). */
    bool over;   /* The newest window was. */
    struct span dt, tmax;
    int64_t hit_at, hit_from, bad_until;
    int64_t good_ns, good_at; /* How long it is good, and when that was enough; 0: it is not. */
    int64_t value;            /* Of the newest window that was over. */
    int64_t worst;            /* Of all that were since alarm_decide(). */
    /* Of final ones since the first bad one, and since then once more where it is raised again:
     * 'before' is what it was when the alarm was cleared. */
    struct alarm_counts counts, before;
    uint64_t counted; /* 'counts.sent' is what this was at the last bad one. */
};

enum alarm_way { ALARM_WAY_RATIO, ALARM_WAY_DELAY, ALARM_WAY_FACT, ALARM_WAY_NONE };

static inline enum alarm_way
alarm_way_of(enum inv_metric_kind kind)
{
    switch (kind) {
    case INV_FLR:
    case INV_FLR_RAW:
    case INV_REORDER_RATIO:
    case INV_DUPLICATE_RATIO:
        return ALARM_WAY_RATIO;
    case INV_RT:
    case INV_RT_MEAN:
    case INV_FD:
    case INV_FD_MEAN:
    case INV_FDR:
    case INV_IFDV:
        return ALARM_WAY_DELAY;
    case INV_RT_FLOOR:
    case INV_CLOCK_ERROR:
        return ALARM_WAY_FACT;
    default:
        return ALARM_WAY_NONE;
    }
}

/* Of a rule on round trips under a floor the least is the worst. */
static inline bool
alarm_is_worse(const struct alarm_cell *c, int64_t a, int64_t b)
{
    return c->rule->metric.kind == INV_RT_FLOOR ? a < b : a > b;
}

/* Where a slot that is kept is. */
static inline unsigned
alarm_place_of(const struct alarm_flow *f, int64_t number)
{
    unsigned back = (unsigned)(f->newest - number);

    return f->at >= back ? f->at - back : f->at + f->room - back;
}

static inline struct alarm_slot *
alarm_slot_at(const struct alarm_flow *f, int64_t number)
{
    return &f->slots[alarm_place_of(f, number)];
}

static inline int64_t
alarm_end_of(const struct alarm_flow *f, int64_t slot)
{
    return (slot + 1) * f->length.ns;
}

#endif
