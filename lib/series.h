/* series.h - what is measured: the key of a series, the session that feeds three
 * of them, and the identifiers made from both.
 *
 * After nstime.h; used by aggregates, transport and collector.  A session is one
 * sender towards one reflector for one link, class, flow and address family.
 * Its summaries feed three series (design.md, measurement plane). */
#ifndef PLUMBLINE_SERIES_H
#define PLUMBLINE_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nstime.h"

/* Keys of the inventory are [a-z0-9][a-z0-9.-]*, at most this many bytes. */
#define SERIES_NAME_MAX 63

/* Limits for which a session counts exactly what was over (over[]). */
#define SERIES_LIMITS_MAX 8

/* Direction of a series.  'fwd' goes from the link's first end to its second.
 * In a *session* (packets, match, summary, telemetry) fwd is sender to
 * reflector, as in the RFCs; session_direction() turns one into the other. */
enum direction { DIR_FWD, DIR_BWD, DIR_RT, DIRECTIONS };

/* Delay metrics that a limit can be on. */
enum limit_metric { LIMIT_DELAY, LIMIT_IFDV };

struct series_limit {
    enum limit_metric metric;
    enum direction direction; /* Of the session. */
    struct span limit;        /* Over means strictly greater. */
};

/* A session as the dictionary carries it: identity first, then parameters.  All
 * names are keys of the inventory. */
struct session_key {
    char object[SERIES_NAME_MAX + 1];   /* The link. */
    char observer[SERIES_NAME_MAX + 1]; /* The probe that sends. */
    char far[SERIES_NAME_MAX + 1];      /* The probe that reflects; empty if foreign. */
    char class_name[SERIES_NAME_MAX + 1];
    char protocol[16];    /* "stamp", "twamp-light", "icmp". */
    uint16_t flow;        /* 0 is the first. */
    uint8_t family;       /* 4 or 6. */
    uint8_t observer_end; /* 0: the observer is the link's first end; 1: second. */
    /* Parameters: part of params_id, not of the series. */
    struct span dt;     /* Length of a delta-t; > 0. */
    struct span tmax;   /* Later than this is lost. */
    struct span period; /* Between two packets. */
    uint32_t size;      /* Octets of UDP payload. */
    uint8_t dscp;       /* 0..63. */
    uint8_t ifdv;       /* 1: keep IFDV histograms (layout 2). */
    bool rt_only;       /* The far end tells no direction: it feeds the series rt alone. */
    uint8_t limit_count;
    struct series_limit limits[SERIES_LIMITS_MAX];
};

/* First 63 bits of SHA-256 over a text; never negative. */
int64_t id_of_text(const char *text, size_t length);

/* The same over the canonical text of a source. */
int64_t source_id_of(const char *source);

/* Identity and parameters together: a changed parameter is a new session. */
int64_t session_id_of(const struct session_key *key);

/* The series of 'key' that carries 'direction' *of the series* (link's frame). */
int64_t series_id_of(const struct session_key *key, enum direction direction);

/* Size, DSCP, period, dt, Tmax, layouts and limits.  Rows of different
 * params_id never merge. */
int64_t params_id_of(const struct session_key *key);

/* Maps a direction of the session to the link's frame; it is its own inverse. */
enum direction session_direction(const struct session_key *key, enum direction direction);

/* "fwd", "bwd", "rt". */
const char *direction_name(enum direction direction);

/* Writes "link/class" or "link/class/flow" (flow > 0) into 'buf'; returns it. */
char *session_label(const struct session_key *key, char *buf, size_t size);

#endif
