/* worker_parts.h - what the files of worker.h share, and nobody else: a source, a worker.
 *
 * Each calls those before it: worker_source.c (what a source told), worker_redis.c (what Redis is
 * told), worker_alarm.c (alarms), worker_claim.c (whose a source is), worker_commit.c (rows and
 * positions), worker_read.c (streams), worker.c (the thread). */
#ifndef PLUMBLINE_WORKER_PARTS_H
#define PLUMBLINE_WORKER_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include <event2/event.h>

#include "alarmstore.h"
#include "assemble.h"
#include "cluster.h"
#include "event.h"
#include "farend.h"
#include "log.h"
#include "redis.h"
#include "row.h"
#include "store.h"
#include "telemetry.h"
#include "trace.h"
#include "watch.h"
#include "worker.h"

#define TICK_NS NS_PER_S

/* One XREAD asks for at most so many entries. */
#define READ_ENTRIES_MAX 64u

struct source {
    const char *name;
    int64_t id;
    struct assemble *assemble; /* NULL: not claimed. */
    struct watch *watch;       /* NULL: not claimed, or its alarms could not be read yet. */
    struct span watch_tried, baselines_read;
    struct span answered; /* When Redis answered a question about it last. */
    struct position committed;
    struct span not_before; /* Monotonic: no claim before. */
    struct span read_after; /* Monotonic: not read before. */
    unsigned unreadable;    /* Reads of it alone that failed, in a row. */
    bool owned;             /* Found ours in this tick. */
    bool live_due;
    struct span live_told;
    bool wants; /* 'want' is published until what is missing comes. */
    struct span want_told, ack_told;
    struct position found; /* What came instead. */
    bool full_told;
    char release[64];
    int64_t generation; /* Of its inventory, by its newest liveness. */
    struct instant made_at;
    bool has_health;
    Plumbline__Telemetry__Health health;
    struct store_serving *servings; /* Not stored yet. */
    int64_t *serving_ids;           /* Those seen. */
    size_t serving_count;
    struct event_log events;    /* Told, and not written yet. */
    size_t batch_bytes;         /* Of the newest: how much to ask for. */
    char paths[TRACE_ASK_SIZE]; /* Paths that are wanted of it, as they stand behind its ack. */
    unsigned paths_count, paths_before;
    uint64_t bad_counts;
    struct log_bucket bucket;
    struct counter counters[SOURCE_COUNTS], assemble_counters[ASSEMBLE_COUNTS];
    struct counter watch_counters[WATCH_COUNTS];
};

struct worker {
    const struct collector_config *config;
    const struct inventory *inventory;
    unsigned number;
    pthread_t thread;
    atomic_bool stopping;
    struct event_base *base;
    struct cluster *cluster;
    struct store *store;
    struct telemetry_arena *arena;
    struct row_maker *maker;
    struct farend *farend;
    struct source *sources;
    size_t source_count, claimed, next_read, next_claim;
    unsigned read_entries;
    unsigned read_alone; /* So many reads are of one source each: a group's failed. */
    bool redis_was_up;
    struct span ticked, expired, store_tried;
    struct store_write write;
    struct bytes live;
    struct log_bucket store_bucket, redis_bucket, far_bucket, alarm_bucket, given_up_bucket;
    const struct inv_alarm **rules; /* In force. */
    size_t rule_count;
    struct alarmstore_batch alarms;
    size_t *alarms_taken;     /* Of each source, how many are in 'alarms'. */
    struct span alarms_after; /* They are not written before. */
    struct counter counters[WORKER_COUNTS];
    pthread_mutex_t view_lock;
    struct span viewed;
    struct worker_status status;
    struct worker_source *views; /* Of each source, for other threads. */
};

static inline void
worker_count(struct worker *w, enum worker_count what, uint64_t n)
{
    counter_add(&w->counters[what], n);
}

static inline void
worker_source_count(struct source *s, enum source_count what, uint64_t n)
{
    counter_add(&s->counters[what], n);
}

/* --- worker_source.c -------------------------------------------------------- */

/* Forgets all that was known of a claim; PostgreSQL is not touched. */
void worker_drop(struct worker *w, struct source *s);
void worker_servings_free(struct source *s);

/* What a batch of 'size' bytes tells of its source, and which links it serves.  0 or -ENOMEM. */
int worker_note(struct source *s, const pb_batch *batch, size_t size);
/* Its events, taken at 'p'.  0 or a negative errno. */
int worker_note_events(struct source *s, struct position p, const pb_batch *batch,
                       struct instant now);
/* Its paths, into PostgreSQL.  0, -ENOMEM, or -EIO: PostgreSQL is lost. */
int worker_note_traces(struct worker *w, struct source *s, const pb_batch *batch);
/* Says, naming the source, that a counter of what was refused rose. */
void worker_tell_refusals(struct source *s);

/* --- worker_redis.c: nothing is waited for; what is lost is told again ------- */

void worker_key(char *buf, size_t size, const struct source *s, const char *suffix);
struct redis *worker_redis(struct worker *w, const struct source *s);
void worker_command(struct worker *w, const struct source *s, size_t argc, const char *const *argv,
                    const size_t *sizes);
void worker_ack(struct worker *w, struct source *s);
void worker_trim(struct worker *w, const struct source *s);
/* 'waits': why nothing more is taken of it, or NULL. */
void worker_live(struct worker *w, struct source *s, const char *waits);
/* The same of all sources that told something new, of each at most once a second. */
void worker_tell_live(struct worker *w, struct span now);
/* A slot is elsewhere: cluster.h has noted where. */
bool worker_is_redirect(const redisReply *reply);
void worker_tell_refused(struct worker *w, const redisReply *reply);

/* --- worker_alarm.c: 0, -ENOMEM, or -EIO: PostgreSQL is lost ------------------ */

/* Begins to watch a source that was claimed. */
int worker_watch(struct worker *w, struct source *s);
/* A batch that was taken. */
int worker_watch_batch(struct source *s, const pb_batch *batch, struct instant now);
/* Each second: silence, and what the past was. */
int worker_watch_tick(struct worker *w);
/* Writes what changed, of all sources or of one; what PostgreSQL refuses waits. */
int worker_alarms_write(struct worker *w);
int worker_alarms_write_of(struct worker *w, struct source *s);

/* --- worker_claim.c: 0, or a negative errno: PostgreSQL is lost -------------- */

/* How many sources are its own, of so many workers. */
size_t worker_share(const struct worker *w, unsigned workers);
int worker_claim_some(struct worker *w, size_t share);
int worker_release_some(struct worker *w, size_t share);
int worker_release(struct worker *w, struct source *s);
/* After PostgreSQL said that it is another's. */
int worker_lose(struct worker *w, struct source *s);
/* What is no longer ours by PostgreSQL's word is dropped. */
int worker_verify(struct worker *w);

/* --- worker_commit.c --------------------------------------------------------- */

/* Writes every interval of 's' that is over.  0 or a negative errno. */
int worker_write_over(struct worker *w, struct source *s);

/* --- worker_read.c ----------------------------------------------------------- */

/* Of how many streams something was taken, or a negative errno. */
int worker_read_some(struct worker *w);

#endif
