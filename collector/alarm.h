/* alarm.h - one rule over one cell: what its flows lose or take, delta-t by delta-t, becomes
 * raised, cleared, raised again.
 *
 * After inventory_sold.h (rules); before watch.h, which knows which session is of which cell.
 * Does no I/O and knows no clock: time is the starts of the delta-t.  doc/problems.md says when a
 * rule is broken. */
#ifndef PLUMBLINE_ALARM_H
#define PLUMBLINE_ALARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inventory_sold.h"
#include "nstime.h"

/* A window is kept as at most so many sums. */
#define ALARM_SLOTS_MAX 60u
/* Rules of a longer 'over' go by final summaries alone: they gain nothing by an early state. */
#define ALARM_EARLY_NS (30 * NS_PER_S)
/* However often it is raised again, a good time of so much ends it; or of 'clear' if that is
 * longer. */
#define ALARM_CLEAR_MAX_NS (900 * NS_PER_S)
#define ALARM_FLAPS_MAX 5u
/* So many flows that are over are named. */
#define ALARM_FLOWS_NAMED 16u

/* What one delta-t of one flow tells. */
struct alarm_sample {
    struct instant start;
    bool final;        /* Else it is an early state, which the final one replaces. */
    bool broken;       /* Of rt_floor, clock_error: the rule is broken in it. */
    uint64_t count;    /* Packets of a known fate; of a rule on delays: 1.  0: nothing is known. */
    uint64_t lost;     /* Of them. */
    int64_t value_ns;  /* Of rules on delays, rt_floor and clock_error. */
    uint64_t fwd, bwd; /* Of what was lost, in the link's frame; of a final one. */
    uint64_t undirected, send_errors;
};

/* From raise to clear; what is known of the newest one of a cell. */
struct alarm_episode {
    struct instant began;   /* Start of the first bad delta-t. */
    struct instant raised;  /* End of the window that broke the rule. */
    struct instant decided; /* When it last changed; nothing up to there is judged again. */
    struct instant cleared; /* 0: it is raised. */
    struct instant ended;   /* End of the last bad delta-t; 0 while it is raised. */
    uint32_t flaps;
    int64_t value, worst, limit; /* As the metric is counted: milli-percent, ns. */
    int64_t baseline;            /* 0: none. */
    /* Since it began, of all flows; 'overdue' is what is not final yet. */
    uint64_t sent, fwd, bwd, undirected, overdue, send_errors;
    uint32_t flow_count, over_count;
    uint16_t over[ALARM_FLOWS_NAMED];
};

/* How far a flow of a raised alarm came: whoever takes it over goes on from there. */
struct alarm_progress {
    uint16_t number;
    bool over;                /* Its newest window was. */
    bool none;                /* Nothing bad was counted since it was raised, or raised again. */
    struct span dt;           /* Of another one it is not the same flow. */
    struct instant until;     /* Final samples up to there are counted. */
    struct instant judged;    /* End of the newest window that was looked at; 0: none. */
    struct instant bad_until; /* End of the last bad delta-t; 0: none. */
    struct instant good_at;   /* When it was good for long enough; 0: it is not. */
    struct span good;         /* How long it is good. */
    uint64_t counted, sent, fwd, bwd, undirected, send_errors;
};

struct alarm_flow;

struct alarm_cell {
    const struct inv_alarm *rule;
    struct span hold;
    int64_t baseline; /* Of a relative rule: what the past was; 0: not known. */
    int64_t limit;    /* What a value or ratio is compared with; < 0: the past is not known. */
    struct alarm_flow *flows;
    uint32_t flow_count;
    struct alarm_progress *left; /* Of flows that are not there yet. */
    uint32_t left_count;
    bool touched;                  /* The caller's: it has news for alarm_decide(). */
    bool answered;                 /* A packet came back once: both ends run it. */
    bool told_way;                 /* The loss of the episode was told with its directions. */
    struct alarm_episode *episode; /* The newest; NULL: there was none. */
};

enum alarm_change {
    ALARM_SAME,
    ALARM_RAISED,       /* A new episode. */
    ALARM_RAISED_AGAIN, /* The same, within 'hold'. */
    ALARM_CLEARED,
    ALARM_MORE /* It is raised; more flows are over, or the way of the loss is known. */
};

/* Whether rules on this metric are decided from summaries: those that say how often or for how
 * long in a period are not. */
bool alarm_knows(enum inv_metric_kind kind);

/* 'rule' outlives the cell.  alarm_cell_fini() frees what it holds. */
void alarm_cell_init(struct alarm_cell *c, const struct inv_alarm *rule, struct span hold);
void alarm_cell_fini(struct alarm_cell *c);

/* What the past was, for a relative rule; <= 0: that is not known. */
void alarm_set_baseline(struct alarm_cell *c, int64_t baseline);

/* What another claim left of it, and of its flows: nothing up to 'e->decided' is judged again, and
 * nothing is counted twice.  Before the first alarm_flow().  0 or -ENOMEM. */
int alarm_restore(struct alarm_cell *c, const struct alarm_episode *e,
                  const struct alarm_progress *flows, uint32_t count);

/* How far the cell's flow came. */
void alarm_progress(const struct alarm_cell *c, uint32_t flow, struct alarm_progress *out);

/* Number of the cell's flow 'number', of delta-t 'dt' and 'tmax', made if need be; one whose dt
 * has changed begins anew.  -ENOMEM. */
int alarm_flow(struct alarm_cell *c, uint16_t number, struct span dt, struct span tmax);

/* Whether an early state counts for the flow. */
bool alarm_wants_early(const struct alarm_cell *c, int flow);

/* Whether what is known of the flow's delta-t at 'start' cannot change any more. */
bool alarm_has(const struct alarm_cell *c, int flow, struct instant start);

/* That flow's samples come next. */
void alarm_prefetch(const struct alarm_cell *c, int flow);

/* Adds what one delta-t tells of a flow.  What came before, or is older than the window, changes
 * nothing.  Returns whether alarm_decide() may have something to say. */
bool alarm_take(struct alarm_cell *c, int flow, const struct alarm_sample *s);

/* How far before 'until' lies what the flow 'number', of delta-t 'dt', wants of what was committed:
 * its window, and what came since it was restored.  0: early states count for it, and it was not
 * restored. */
struct span alarm_reach(const struct alarm_cell *c, uint16_t number, struct span dt,
                        struct instant until);

/* Whether the flow takes what was committed. */
bool alarm_wants_rows(const struct alarm_cell *c, int flow);

/* All that was committed before 'until' was told of a flow: where it goes by final summaries alone,
 * what comes of it again changes nothing. */
void alarm_told(struct alarm_cell *c, int flow, struct instant until);

/* What follows, once all flows' samples of a delta-t were taken.  0 and '*change'; -ENOMEM, and
 * nothing has changed. */
int alarm_decide(struct alarm_cell *c, enum alarm_change *change);

/* The same life for what has no window (silence): raises or clears at 'at'.  A cell that is
 * raised, or cleared, already is left alone. */
int alarm_raise(struct alarm_cell *c, struct instant at, struct instant began,
                enum alarm_change *change);
void alarm_clear(struct alarm_cell *c, struct instant at, struct instant ended,
                 enum alarm_change *change);

static inline bool
alarm_is_raised(const struct alarm_cell *c)
{
    return c->episode && c->episode->cleared.ns == 0;
}

/* How long it must be good to clear: longer with each flap. */
struct span alarm_clear_time(const struct alarm_cell *c);

/* Memory that the cell holds. */
size_t alarm_cell_bytes(const struct alarm_cell *c);

#endif
