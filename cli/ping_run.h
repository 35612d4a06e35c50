/* ping_run.h - a one-shot test of a path to a reflector: its packets, what became of each, and
 * the sum.
 *
 * Stands on lib/ sender.h and match.h; before ping_result.h (what is told at the end) and ping.c
 * (the verb). */
#ifndef PLUMBLINE_PING_RUN_H
#define PLUMBLINE_PING_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "address.h"
#include "clockstate.h"
#include "exchange.h"
#include "nstime.h"
#include "sender.h"
#include "series.h"
#include "summary.h"

struct match;
struct ring;

/* The newest packets, for the lines. */
enum { PING_RUN_RECENT = 4096 };

struct ping_run_recent {
    uint32_t sequence;
    bool replied;
    struct stamp_time t1;
};

struct ping_run {
    /* What is asked for; the caller's, before ping_run_open(). */
    struct address to, source;
    enum sender_protocol protocol;
    bool stateless, ptp;
    uint16_t source_port;
    uint32_t count, size;
    uint16_t port;
    uint8_t dscp;
    struct span interval, tmax;
    bool json, quiet;

    /* The machinery. */
    struct session_key key;
    struct ring *ring;
    struct tstamp_io *io;
    struct sender *sender;
    struct match *match;
    int epoll;

    /* What came of it. */
    uint32_t done;     /* Packets sent or refused. */
    uint32_t answered; /* Distinct ones. */
    struct span answered_at;
    int error;        /* Of the last send that was refused. */
    struct span last; /* Monotonic, of the last one. */
    bool far_synchronised, heard;
    uint64_t far_error_ns;
    struct clockstate clock;
    struct ping_run_recent recent[PING_RUN_RECENT];

    struct summary total;
    bool out_of_memory;      /* 'total' lacks something: no more is sent. */
    enum ts_source worst[4]; /* Of T1..T4 of received packets. */
    uint64_t kernel[4];      /* How many of each were the kernel's or better. */
};

/* By enum sender_protocol. */
extern const char *const ping_run_protocols[3];

/* Opens sockets and the rest for what is asked for.  0 or negative errno; ping_run_close()
 * whatever it was. */
int ping_run_open(struct ping_run *p);

/* Sends all packets and waits for their replies, printing a line for each unless 'json' or
 * 'quiet'.  SIGINT and SIGTERM end it early; what is out then is unknown in 'total'.  0, or
 * -ENOMEM: then 'total' says too little. */
int ping_run_go(struct ping_run *p);

/* Closes what ping_run_open() opened, and frees 'total'. */
void ping_run_close(struct ping_run *p);

#endif
