/* example_world.h - what really happens to the test packets of an inventory, for a test that
 * knows the truth: every session's delta-t, packet by packet.
 *
 * Before example_truth.h (what is to be expected of it, by plain arithmetic) and example.c, which
 * plays it to a collector as the probes would.  Of the product it takes the inventory and its
 * sessions, and nothing that judges.
 *
 * Times are seconds of UTC.  Losses are of the link's frame: fwd from its first end to its
 * second. */
#ifndef PLUMBLINE_EXAMPLE_WORLD_H
#define PLUMBLINE_EXAMPLE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inventory.h"
#include "inventory_sold.h"
#include "series.h"

#define WORLD_SESSIONS_MAX 128
#define WORLD_SILENCES_MAX 8
#define WORLD_WINDOWS_MAX 4

/* One delta-t of one session. */
struct world_cell {
    bool ran;
    uint8_t fwd, bwd, undirected; /* Packets lost. */
    uint8_t copies;               /* Duplicates on the way there, and as many out of order back. */
    uint8_t over, at;             /* Round trips that are 1 ns over the limit, or just at it. */
    uint8_t slow;                 /* Packets that are slow on the first end's way. */
    uint32_t flags;               /* enum dt_flag, as the probe would say. */
};

struct world_session {
    struct session_key key;
    int64_t id;
    const struct inv_link *link;
    const struct inv_class *class_;
    unsigned end;     /* Of the link, which sends. */
    int64_t dt;       /* Seconds. */
    unsigned packets; /* Of a delta-t. */
    struct world_cell *cells;
    size_t cell_count;
};

/* [from, until) in which nothing is heard of a probe; both are multiples of 10 s. */
struct world_silence {
    const char *probe;
    int64_t from, until;
    bool dead; /* It does not answer either; else what it measured was lost on its way. */
};

/* [from, until) that the service's customer agreed not to count. */
struct world_window {
    int64_t from, until;
};

struct world {
    const struct inventory *inventory;
    int64_t begin, end, month, next_month; /* 'month' is where one ends and the next begins. */
    int64_t slow_ns; /* A slow packet is slower than the least delay by so much. */
    uint64_t random;
    struct world_session sessions[WORLD_SESSIONS_MAX];
    size_t session_count;
    struct world_silence silences[WORLD_SILENCES_MAX];
    size_t silence_count;
    struct world_window windows[WORLD_WINDOWS_MAX];
    size_t window_count;
};

/* All sessions of all probes, each of which runs and loses nothing. */
void world_init(struct world *w, const struct inventory *inv, int64_t begin, int64_t month,
                int64_t next_month, int64_t end, uint64_t seed);
void world_fini(struct world *w);

/* --- What befalls them; whole delta-t within [from, from + seconds) ---------- */

enum world_way { WORLD_FWD, WORLD_BWD, WORLD_UNDIRECTED };

/* So many packets of each delta-t of each flow are lost (more than there are: all). NULL: every
 * class. */
void world_lose(struct world *w, const char *link, const char *class_name, enum world_way way,
                unsigned packets, int64_t from, int64_t seconds);
/* Sessions of the link did not run. */
void world_idle(struct world *w, const char *link, int64_t from, int64_t seconds);
void world_mark(struct world *w, const char *link, const char *class_name, unsigned flow,
                uint32_t flags, int64_t from, int64_t seconds);
void world_copy(struct world *w, const char *link, const char *class_name, unsigned packets,
                int64_t from, int64_t seconds);
/* All sources are silent, and nothing is lost of what they say. */
void world_gap(struct world *w, int64_t from, int64_t until);
void world_silence(struct world *w, const char *probe, bool dead, int64_t from, int64_t seconds);
void world_exclude(struct world *w, int64_t from, int64_t seconds);

/* --- Looking ----------------------------------------------------------------- */

uint64_t world_draw(struct world *w);

/* Whether 'probe' is silent in any of [from, until); of the dead alone, or of all. */
bool world_is_silent(const struct world *w, const char *probe, int64_t from, int64_t until,
                     bool dead_only);
unsigned world_received(const struct world_session *s, const struct world_cell *c);
/* Delays of the packet 'i' of those received, link's frame. */
void world_delay(const struct world *w, const struct world_session *s, size_t cell, unsigned i,
                 int64_t *fwd, int64_t *bwd);

#endif
