/* match_state.h - what one session remembers: for the files match*.c, and for
 * nobody else.
 *
 * From the bottom up: match_window.h (delta-t that are not final, places of packets),
 * match_far.h (what the far end tells), match_way.h (what is seen of the way),
 * match_delay.h, match_fate.h; match_event.c takes events, match.c hands delta-t out.
 *
 * Sequences are extended to 64 bits; the window of packets whose delta-t is not
 * final is [low, next), in a ring of a power of two.  The rings of bits have at
 * least MATCH_REPORT_BITS more places than that of packets, so that the bits of a
 * report about packets just left behind fall on places that are cleared before they
 * are used; a slow session needs few slots, and they are what costs memory. */
#ifndef PLUMBLINE_MATCH_STATE_H
#define PLUMBLINE_MATCH_STATE_H

#include "match.h"

#define MATCH_REPORT_BITS 128u
#define MATCH_GAPS 16u

enum packet_bit {
    PACKET_SENT = 1 << 0,
    PACKET_REPLIED = 1 << 1,
    PACKET_OVERRUN = 1 << 2, /* Events were lost while it was out. */
    PACKET_STEPPED = 1 << 3, /* The clock stepped while it was out: no delays. */
    PACKET_REORDERED_FWD = 1 << 4,
    PACKET_REORDERED_BWD = 1 << 5
};

/* TTL there and back, and the DSCP that got there and came back, of a delta-t's last packet. */
struct way {
    uint8_t seen[MATCH_CHANGES]; /* By enum match_change. */
    bool known[MATCH_CHANGES];
};

/* A delta-t that is not final. */
struct open_dt {
    struct open_dt *next;
    int64_t number; /* start / dt */
    int64_t offset; /* match.offset when it began. */
    uint64_t first; /* Its first packet; valid if 'packets'. */
    bool packets;
    struct way way;
    struct summary summary;
};

struct packet {
    int64_t t1_user, t1, t2, t3, t4;
    int64_t scheduled; /* Of a stepped packet: by how much its T1 was moved. */
    struct open_dt *dt;
    uint32_t sequence;
    uint32_t reflector_sequence; /* Valid if replied. */
    uint32_t duplicates_bwd;
    uint8_t source1, source2, source3, source4; /* enum ts_source; source1 NONE: t1 not yet. */
    uint8_t ttl, reply_ttl;
    uint8_t bits;       /* enum packet_bit */
    uint8_t generation; /* Of the far end, as the reply was counted. */
};

/* True T3 of a reply, by the reflector's sequence. */
struct follow_up {
    int64_t t3;
    uint32_t reflector_sequence;
    uint8_t source; /* TS_NONE: nothing here. */
    uint8_t generation;
};

/* Packets without a reply between two replies of a reflector that sends no
 * reports; 'there' of them it received. */
struct gap {
    uint64_t first, last; /* 'last' < 'first': free. */
    uint32_t missing;     /* Of them without a reply so far. */
    int64_t there;        /* Of the missing, how many it received. */
};

/* What is known of the far end. */
struct far_end {
    bool heard;    /* A reply of this generation came: the sequences are valid. */
    bool reports;  /* A report came in this session. */
    bool stateful; /* Its own sequence is not a copy of ours. */
    bool other;    /* ... but counts something else than what it got of this session. */
    unsigned odd;  /* How often lately: up with each, down with each that fits. */
    uint8_t generation;
    uint32_t sequence_max; /* Greatest of its own, of this generation. */
    uint64_t reply_max;    /* Greatest of ours that it answered in this generation. */
    uint64_t any_max;      /* ... in any generation. */
    uint32_t epoch, old_epoch;
    bool old_epoch_valid;
    uint64_t epoch_low;            /* Least of ours known received in this epoch. */
    uint64_t report_max;           /* Greatest of ours with a report of this epoch. */
    uint32_t received, duplicates; /* As that one, or the last increase, said. */
    struct gap gaps[MATCH_GAPS];
    unsigned gap_next;
};

struct match {
    struct session_key key;
    uint64_t low, next; /* Window of sequences; 'next' is one after the newest sent. */
    uint64_t newest;    /* Newest sequence of any packet sent. */
    uint64_t skipped;   /* Newest sequence that was passed over; 0: none. */
    bool started;       /* A packet was sent. */
    bool overrun;       /* Events were lost since the last SENT. */
    bool late_known;    /* 'usual' is valid. */
    bool echo;          /* ICMP: there is no T2 and no T3. */
    uint32_t size;      /* Slots of packets and follow-ups. */
    uint32_t size_max;
    uint32_t bit_count; /* Places of 'yes' and 'no'. */
    struct packet *packets;
    struct follow_up *follow_ups; /* By reflector's sequence. */
    uint64_t *yes, *no;           /* A bit a packet: received there, not received there. */
    struct open_dt *front, *tail, *pool;
    int64_t next_number;              /* Oldest not final. */
    int64_t early_number;             /* Oldest not told early. */
    int64_t least_number;             /* Packets go to this delta-t or later. */
    int64_t stop_number;              /* This delta-t and later ones are not handed out. */
    int64_t offset;                   /* Sum of the clock's steps. */
    int64_t step_number, step_offset; /* Up to this delta-t the clock was so. */
    uint64_t carried; /* Packets that no delta-t had room for: unknown in the next. */
    uint64_t clock_error_ns;
    int64_t rt_floor_ns; /* 0: none. */
    bool floor_broken;   /* As the sinks know it. */
    int64_t usual_rt_ns;
    struct {
        uint64_t sequence;
        int64_t scheduled;
        int64_t delay[DIRECTIONS];
        bool valid[DIRECTIONS];
    } before;              /* The packet made final last: for IFDV. */
    struct way last, told; /* Of the packet before; of what the sinks know. */
    struct hist *early_hists[DIRECTIONS];
    struct far_end far;
    struct counter counters[MATCH_COUNTS];
};

/* Whether the far end is not one of ours: what it stamps may mean anything. */
static inline bool
match_is_foreign(const struct match *m)
{
    return !m->key.far[0] && !m->far.reports;
}

static inline struct packet *
match_slot(const struct match *m, uint64_t sequence)
{
    return &m->packets[sequence & (m->size - 1)];
}

/* The packet if it is in the window and was sent, else NULL. */
static inline struct packet *
match_packet_at(const struct match *m, uint64_t sequence)
{
    struct packet *p = match_slot(m, sequence);

    return sequence >= m->low && sequence < m->next && p->bits & PACKET_SENT ? p : NULL;
}

/* 'sequence' in 64 bits: the nearest to the newest. */
static inline uint64_t
match_extend(const struct match *m, uint32_t sequence)
{
    return m->next + (uint64_t)(int64_t)(int32_t)(sequence - (uint32_t)m->next);
}

static inline bool
match_bit(const struct match *m, const uint64_t *bits, uint64_t sequence)
{
    return bits[(sequence & (m->bit_count - 1)) / 64] >> sequence % 64 & 1;
}

#endif
