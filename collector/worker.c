/* worker.c - claim, read, commit, acknowledge. */
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "assemble.h"
#include "cluster.h"
#include "copy.h"
#include "event.h"
#include "farend.h"
#include "live.h"
#include "log.h"
#include "redis.h"
#include "row.h"
#include "store.h"
#include "telemetry.h"

#define TICK_NS NS_PER_S
#define IDLE_US 100000
#define CALL_TIMEOUT_NS (10 * NS_PER_S)

/* One XREAD asks for at most so many entries of so many sources, and for about so
 * many bytes. */
#define READ_ENTRIES_MAX 64u
#define READ_SOURCES_MAX 64u
#define READ_BYTES_TARGET ((size_t)8 << 20)
/* Of a batch of a source that was not read yet. */
#define READ_BATCH_GUESS ((size_t)128 << 10)

/* One transaction holds about so much. */
#define COMMIT_BYTES ((size_t)8 << 20)
#define COMMIT_INTERVALS STORE_INTERVALS_MAX

#define EXPIRE_EVERY_NS (60 * NS_PER_S)
#define NEWER_WAIT_NS (60 * NS_PER_S)
#define REFUSED_WAIT_NS (10 * NS_PER_S)
/* A source whose stream gives nothing that can be taken is not asked for so long. */
#define STUCK_WAIT_NS (NS_PER_S / 5)
/* One whose stream cannot be read at all, by itself, so many times in a row: */
#define UNREADABLE_TRIES 3
#define UNREADABLE_WAIT_NS (60 * NS_PER_S)
#define CLAIMS_A_TICK 16
#define LIVE_KEPT_S "691200"
/* Redis may have lost the last ack, and a source that does not know what is committed
 * sends it again, and no more than its stream may hold: so it is told again. */
#define ACK_EVERY_NS (10 * NS_PER_S)

static const char *const count_names[WORKER_COUNTS] = {"far_judged", "postgresql_lost",
                                                       "redis_lost", "redis_refused", "rollups"};
static const char *const source_count_names[SOURCE_COUNTS] = {
    "batches",    "rows",          "commits",        "claims",       "releases",
    "gaps",       "fence_refused", "quarantined",    "newer_format", "commits_refused",
    "unreadable", "events",        "events_refused", "events_over"};

struct source {
    const char *name;
    int64_t id;
    struct assemble *assemble; /* NULL: not claimed. */
    struct position committed;
    struct span not_before; /* Monotonic: no claim before. */
    struct span read_after; /* Monotonic: not read before. */
    unsigned unreadable;    /* Reads of it alone that failed, in a row. */
    bool owned;             /* Found ours in this tick. */
    bool live_due;
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
    struct event_log events; /* Told, and not written yet. */
    size_t batch_bytes;      /* Of the newest: how much to ask for. */
    uint64_t bad_counts;
    struct log_bucket bucket;
    struct counter counters[SOURCE_COUNTS], assemble_counters[ASSEMBLE_COUNTS];
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
    struct log_bucket store_bucket, redis_bucket, far_bucket;
    struct counter counters[WORKER_COUNTS];
    pthread_mutex_t view_lock;
    struct span viewed;
    struct worker_status status;
    struct worker_source *views; /* Of each source, for other threads. */
};

static void
count(struct worker *w, enum worker_count what, uint64_t n)
{
    counter_add(&w->counters[what], n);
}

static void
note_count(struct source *s, enum source_count what, uint64_t n)
{
    counter_add(&s->counters[what], n);
}

/* --- Sources -------------------------------------------------------------- */

static void
servings_free(struct source *s)
{
    while (s->servings) {
        struct store_serving *next = s->servings->next;
        for (size_t i = 0; i < s->servings->object_count; i++) {
            free(s->servings->objects[i]);
        }
        free(s->servings->objects);
        free(s->servings);
        s->servings = next;
    }
}

/* Forgets all that was known of a claim; PostgreSQL is not touched. */
static void
drop(struct worker *w, struct source *s)
{
    if (!s->assemble) {
        return;
    }
    assemble_free(s->assemble);
    s->assemble = NULL;
    servings_free(s);
    event_clear(&s->events);
    free(s->serving_ids);
    s->serving_ids = NULL;
    s->serving_count = 0;
    s->wants = s->full_told = s->has_health = s->live_due = false;
    s->release[0] = '\0';
    s->generation = 0;
    w->claimed--;
}

static void
store_lost(struct worker *w, const char *doing)
{
    log_warnx("worker %u: PostgreSQL, %s: %s; sources spool until it is back", w->number, doing,
              store_why(w->store));
    count(w, WORKER_POSTGRESQL_LOST, 1);
    for (size_t i = 0; i < w->source_count; i++) {
        drop(w, &w->sources[i]);
    }
    store_close(w->store);
    w->store = NULL;
}

static bool
trusted(const char *source, const struct session_key *key, void *aux)
{
    const struct worker *w = aux;
    const struct inv_link *link = inventory_link(w->inventory, key->object);

    if (!link || strcmp(source, key->observer) != 0 || key->observer_end > 1) {
        return false;
    }
    const struct inv_probe *own = link->ends[key->observer_end].probe;
    const struct inv_probe *far = link->ends[1 - key->observer_end].probe;
    return own && strcmp(own->key, source) == 0 && strcmp(far ? far->key : "", key->far) == 0;
}

static int
know(const struct session_key *key, void *aux)
{
    return assemble_know(aux, key);
}

static int
current(const struct inv_link *link, const struct inv_class *class_, unsigned end,
        const struct session_key *key, void *aux)
{
    (void)link;
    (void)class_;
    (void)end;
    assemble_current(aux, session_id_of(key));
    return 0;
}

/* --- Redis ---------------------------------------------------------------- */

/* Redis refuses what an ACL forbids or what it has no memory for. */
static void
tell_refused(struct worker *w, const redisReply *reply)
{
    count(w, WORKER_REDIS_REFUSED, 1);
    if (log_bucket_pass(&w->redis_bucket, mono_now())) {
        log_warnx("worker %u: Redis refuses: %s", w->number, reply->str);
    }
}

/* A slot is elsewhere: cluster.h has noted where. */
static bool
is_redirect(const redisReply *reply)
{
    return strncmp(reply->str, "MOVED ", 6) == 0 || strncmp(reply->str, "ASK ", 4) == 0 ||
           strncmp(reply->str, "TRYAGAIN", 8) == 0 || strncmp(reply->str, "CLUSTERDOWN", 11) == 0;
}

static void
on_command(struct redis *r, const redisReply *reply, void *aux)
{
    (void)r;
    if (reply && reply->type == REDIS_REPLY_ERROR && !is_redirect(reply)) {
        tell_refused(aux, reply);
    }
}

static void
key_of(char *buf, size_t size, const struct source *s, const char *suffix)
{
    snprintf(buf, size, "pl:{%s}:%s", s->name, suffix);
}

static struct redis *
redis_of(struct worker *w, const struct source *s)
{
    char key[96];

    key_of(key, sizeof key, s, "t");
    return cluster_of(w->cluster, key);
}

static void
command(struct worker *w, const struct source *s, size_t argc, const char *const *argv,
        const size_t *sizes)
{
    /* Lost commands are told again: acks and trims after the next commit, live
     * each second. */
    (void)redis_command(redis_of(w, s), on_command, w, argc, argv, sizes);
}

static void
publish_ack(struct worker *w, struct source *s)
{
    char key[96], value[160], want[48] = "-";
    const char *argv[] = {"SET", key, value};
    size_t sizes[3];

    key_of(key, sizeof key, s, "ack");
    if (s->wants) {
        struct position p = assemble_wanted(s->assemble);
        snprintf(want, sizeof want, "%" PRIu64 "-%" PRIu64, p.epoch, p.sequence);
    }
    snprintf(value, sizeof value, "1 %" PRIu64 "-%" PRIu64 " %s %" PRId64, s->committed.epoch,
             s->committed.sequence, want, store_run(w->store));
    for (int i = 0; i < 3; i++) {
        sizes[i] = strlen(argv[i]);
    }
    s->ack_told = mono_now();
    command(w, s, 3, argv, sizes);
}

static void
trim(struct worker *w, const struct source *s)
{
    char key[96], id[48];
    const char *argv[] = {"XTRIM", key, "MINID", id};
    size_t sizes[4];

    if (s->committed.epoch == 0) {
        return;
    }
    key_of(key, sizeof key, s, "t");
    snprintf(id, sizeof id, "%" PRIu64 "-%" PRIu64, s->committed.epoch, s->committed.sequence + 1);
    for (int i = 0; i < 4; i++) {
        sizes[i] = strlen(argv[i]);
    }
    command(w, s, 4, argv, sizes);
}

/* 'waits': why nothing more is taken of it, or NULL. */
static void
publish_live(struct worker *w, struct source *s, const char *waits)
{
    char key[96];
    const struct live_facts facts = {.now = instant_now(),
                                     .source_at = s->made_at,
                                     .release = s->release[0] ? s->release : NULL,
                                     .waits = waits,
                                     .generation = s->generation,
                                     .has_health = s->has_health,
                                     .health = s->health};
    if (live_make(s->assemble, s->name, &facts, &w->live)) {
        return;
    }
    key_of(key, sizeof key, s, "live");
    const char *argv[] = {"SET", key, (const char *)w->live.at, "EX", LIVE_KEPT_S};
    const size_t sizes[] = {3, strlen(key), w->live.size, 2, strlen(LIVE_KEPT_S)};
    command(w, s, 5, argv, sizes);
    s->live_due = false;
}

/* --- Claims --------------------------------------------------------------- */

/* 1: claimed; 0: another has it; -EIO. */
static int
claim(struct worker *w, struct source *s)
{
    struct store_claim c;
    int got = store_claim(w->store, s->name, &c);

    if (got <= 0) {
        return got;
    }
    const struct assemble_config config = {.source = s->name,
                                           .interval = w->inventory->interval,
                                           .expiry = w->config->source_expiry,
                                           .trust = trusted,
                                           .aux = w,
                                           .counters = s->assemble_counters};
    s->assemble = assemble_new(&config, c.position, c.written_until);
    if (!s->assemble) {
        return -ENOMEM;
    }
    w->claimed++;
    s->committed = c.position;
    s->owned = true;
    note_count(s, SOURCE_CLAIMS, 1);
    int err = store_sessions(w->store, s->id, know, s->assemble);
    if (err) {
        return err;
    }
    inventory_sessions(w->inventory, s->name, current, s->assemble);
    log_info("%s: claimed by worker %u at %" PRIu64 "-%" PRIu64, s->name, w->number,
             s->committed.epoch, s->committed.sequence);
    publish_ack(w, s);
    trim(w, s);
    return 1;
}

static int
release(struct worker *w, struct source *s)
{
    log_info("%s: worker %u lets go of it", s->name, w->number);
    drop(w, s);
    note_count(s, SOURCE_RELEASES, 1);
    return store_release(w->store, s->id);
}

/* The row says that it is another's.  Our lock goes too: locks of one session
 * add up, and one that is left would keep the source from everybody else. */
static int
lose(struct worker *w, struct source *s)
{
    drop(w, s);
    return store_release(w->store, s->id);
}

static size_t
fair_share(const struct worker *w, unsigned workers)
{
    return (w->source_count + workers - 1) / (workers ? workers : 1);
}

static int
claim_some(struct worker *w, size_t share)
{
    struct span now = mono_now();
    unsigned tries = 0;

    for (size_t i = 0; i < w->source_count && w->claimed < share && tries < CLAIMS_A_TICK; i++) {
        struct source *s = &w->sources[w->next_claim++ % w->source_count];
        if (s->assemble || now.ns < s->not_before.ns) {
            continue;
        }
        int got = claim(w, s);
        tries += got == 0;
        if (got < 0) {
            return got;
        }
    }
    return 0;
}

/* Lets go of what is beyond our share: the next owner reads from the committed
 * position, which is a border of intervals. */
static int
release_some(struct worker *w, size_t share)
{
    int err = 0;

    for (size_t i = w->source_count; i-- > 0 && w->claimed > share && !err;) {
        if (w->sources[i].assemble) {
            err = release(w, &w->sources[i]);
        }
    }
    return err;
}

static void
mark_owned(int64_t source_id, void *aux)
{
    struct worker *w = aux;

    for (size_t i = 0; i < w->source_count; i++) {
        if (w->sources[i].id == source_id) {
            w->sources[i].owned = true;
        }
    }
}

/* What is no longer ours by PostgreSQL's word is dropped. */
static int
verify(struct worker *w)
{
    for (size_t i = 0; i < w->source_count; i++) {
        w->sources[i].owned = false;
    }
    int err = store_owned(w->store, mark_owned, w);
    for (size_t i = 0; i < w->source_count && !err; i++) {
        struct source *s = &w->sources[i];
        if (s->assemble && !s->owned) {
            log_warnx("%s: another collector took it", s->name);
            err = lose(w, s);
        }
    }
    return err;
}

/* --- Commit --------------------------------------------------------------- */

static void
pend(struct store_write *out, const struct assemble_session *s, struct instant start,
     uint32_t seconds)
{
    struct bytes *const columns[] = {&out->pending_session, &out->pending_start,
                                     &out->pending_until, &out->pending_far};
    const int64_t values[] = {s->id, start.ns / NS_PER_S, start.ns / NS_PER_S + seconds,
                              source_id_of(s->key.far)};
    char text[32];

    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "%s%" PRId64, out->pending_count ? "," : "{", values[i]);
        bytes_text(columns[i], text);
    }
    out->pending_count++;
}

struct making {
    struct worker *w;
    struct instant start;
    uint32_t seconds;
};

static int
make_rows(const struct assemble_session *s, struct dt_record *const records[DIRECTIONS], size_t n,
          bool clean, bool lost, void *aux)
{
    const struct making *m = aux;
    struct store_write *out = &m->w->write;

    for (int d = s->key.rt_only ? DIR_RT : 0; d < DIRECTIONS; d++) {
        const struct copy_place place = {.series_id = s->series[d],
                                         .params_id = s->params_id,
                                         .start = m->start,
                                         .seconds = m->seconds,
                                         .limit_count = s->key.limit_count};
        struct row row;
        int err = row_make(m->w->maker, records[d], n, s->key.limit_count, clean, &row);
        if (err) {
            return err;
        }
        copy_row(&out->rows, &place, &row);
        out->row_count++;
    }
    if (lost && s->key.far[0]) {
        pend(out, s, m->start, m->seconds);
    }
    return 0;
}

static int
make_interval(struct worker *w, struct source *s, struct instant start, uint32_t seconds)
{
    struct making m = {w, start, seconds};
    int err = assemble_rows(s->assemble, make_rows, &m);
    size_t size;

    if (err) {
        return err;
    }
    const uint8_t *record = assemble_liveness(s->assemble, &size);
    if (size) {
        copy_liveness(&w->write.liveness, s->id, start, seconds, record, size);
        w->write.liveness_count++;
    }
    store_write_interval(&w->write, start);
    assemble_done(s->assemble);
    return 0;
}

/* PostgreSQL takes nothing of this source: it waits, and the others go on. */
static int
refuse(struct worker *w, struct source *s)
{
    note_count(s, SOURCE_COMMITS_REFUSED, 1);
    if (log_bucket_pass(&s->bucket, mono_now())) {
        log_errorx("%s: PostgreSQL refuses its rows: %s; the source waits un-acknowledged and is "
                   "tried again",
                   s->name, store_why(w->store));
    }
    s->not_before = span_of_ns(mono_now().ns + REFUSED_WAIT_NS);
    return release(w, s);
}

static int
commit(struct worker *w, struct source *s)
{
    struct store_write *out = &w->write;

    copy_end(&out->rows);
    copy_end(&out->liveness);
    if (!bytes_ok(&out->rows) || !bytes_ok(&out->liveness)) {
        return -ENOMEM;
    }
    out->old = s->committed;
    out->safe = assemble_safe(s->assemble);
    out->written_until = assemble_written_until(s->assemble);
    out->release = s->release[0] ? s->release : NULL;
    out->sessions = assemble_sessions(s->assemble);
    out->servings = s->servings;
    out->sessions_new = false;
    for (const struct assemble_session *a = out->sessions; a && !out->sessions_new; a = a->next) {
        out->sessions_new = assemble_session_due(a, out->safe);
    }
    out->event_count = event_json(&s->events, out->safe, &out->events, &out->refusals);
    int done = store_commit(w->store, out);
    if (done == 0) {
        log_warnx("%s: not ours any more: a commit was refused and changed nothing", s->name);
        note_count(s, SOURCE_FENCE_REFUSED, 1);
        return lose(w, s);
    }
    if (done == -EBADMSG) {
        return refuse(w, s);
    }
    if (done < 0) {
        return done;
    }
    s->committed = out->safe;
    servings_free(s);
    event_drop(&s->events, s->committed);
    note_count(s, SOURCE_COMMITS, 1);
    note_count(s, SOURCE_ROWS, out->row_count);
    count(w, WORKER_ROLLUPS, out->rolled);
    publish_ack(w, s);
    trim(w, s);
    return 0;
}

/* One transaction makes the partitions of all days that it spans: a source whose
 * clock leapt over years gets one for each side. */
static bool
near(const struct store_write *out, struct instant start)
{
    return start.ns / (86400 * NS_PER_S) - out->day_last <= 1;
}

/* Writes every interval of 's' that is over. */
static int
write_over(struct worker *w, struct source *s)
{
    struct instant start;
    uint32_t seconds;
    int err = 0;

    while (!err && s->assemble && assemble_over(s->assemble, &start, &seconds)) {
        int n = 0;
        store_write_begin(&w->write, s->id, assemble_written_until(s->assemble));
        do {
            err = make_interval(w, s, start, seconds);
        } while (!err && ++n < COMMIT_INTERVALS && w->write.rows.size < COMMIT_BYTES &&
                 assemble_over(s->assemble, &start, &seconds) && near(&w->write, start));
        if (!err) {
            err = commit(w, s);
        }
    }
    return err;
}

/* --- Reading -------------------------------------------------------------- */

static int
note_serving(struct source *s, const Plumbline__Telemetry__Serving *m)
{
    for (size_t i = 0; i < s->serving_count; i++) {
        if (s->serving_ids[i] == m->serving_id) {
            return 0;
        }
    }
    int64_t *ids = reallocarray(s->serving_ids, s->serving_count + 1, sizeof *ids);
    struct store_serving *v = calloc(1, sizeof *v);
    if (ids) {
        s->serving_ids = ids;
    }
    if (!ids || !v) {
        free(v);
        return -ENOMEM;
    }
    v->id = m->serving_id;
    v->objects = calloc(m->n_objects ? m->n_objects : 1, sizeof v->objects[0]);
    for (size_t i = 0; v->objects && i < m->n_objects; i++) {
        /* Names that are no keys can be no link either. */
        if (telemetry_name_ok(m->objects[i]) &&
            (v->objects[v->object_count] = strdup(m->objects[i]))) {
            v->object_count++;
        }
    }
    ids[s->serving_count++] = m->serving_id;
    v->next = s->servings;
    s->servings = v;
    return 0;
}

/* What it tells beside its measurements. */
static int
note_events(struct source *s, struct position p, const pb_batch *batch, struct instant now)
{
    struct event_tally t = {0};
    int err = event_take(&s->events, s->assemble, p, batch, now, &t);

    note_count(s, SOURCE_EVENTS, t.taken);
    note_count(s, SOURCE_EVENTS_REFUSED, t.refused);
    note_count(s, SOURCE_EVENTS_OVER, t.over);
    return err;
}

static int
note(struct source *s, const pb_batch *batch, size_t size)
{
    if (batch->made_at_ns) {
        s->made_at = instant_of_ns(batch->made_at_ns);
    }
    if (batch->epoch_start && batch->epoch_start->release[0] &&
        telemetry_name_ok(batch->epoch_start->release)) {
        snprintf(s->release, sizeof s->release, "%s", batch->epoch_start->release);
    }
    if (batch->n_liveness) {
        s->generation = batch->liveness[batch->n_liveness - 1]->generation;
    }
    if (batch->health) {
        s->health = *batch->health;
        s->health.base.n_unknown_fields = 0;
        s->health.base.unknown_fields = NULL;
        s->has_health = true;
    }
    s->batch_bytes = size;
    s->live_due = true;
    return batch->serving ? note_serving(s, batch->serving) : 0;
}

/* A counter of what was refused rose: says so, naming the source. */
static void
tell_refusals(struct source *s)
{
    uint64_t bad = 0;

    for (int i = ASSEMBLE_EPOCH_UNLINKED; i < ASSEMBLE_COUNTS; i++) {
        bad += counter_get(&s->assemble_counters[i]);
    }
    if (bad != s->bad_counts && log_bucket_pass(&s->bucket, mono_now())) {
        char text[512];
        int n = 0;
        for (int i = ASSEMBLE_EPOCH_UNLINKED; i < ASSEMBLE_COUNTS; i++) {
            uint64_t v = counter_get(&s->assemble_counters[i]);
            if (v && n < (int)sizeof text) {
                n += snprintf(text + n, sizeof text - (size_t)n, " %s=%" PRIu64,
                              assemble_count_names[i], v);
            }
        }
        log_warnx("%s: some of what it sent was refused; in all:%s", s->name, text);
    }
    s->bad_counts = bad;
}

/* The stream is not continuous: it goes, and the source is asked to send again
 * from what is missing on.  Only while PostgreSQL says that the source is ours. */
static int
ask_again(struct worker *w, struct source *s, struct position found)
{
    struct span now = mono_now();
    char key[96];
    const char *argv[] = {"DEL", key};

    if (s->wants && now.ns - s->want_told.ns < NS_PER_S) {
        return 0;
    }
    int err = verify(w);
    if (err || !s->assemble) {
        return err;
    }
    struct position p = assemble_wanted(s->assemble);
    if (p.epoch == 0 && s->wants && found.epoch <= INT64_MAX &&
        position_compare(found, s->found) == 0) {
        /* All was asked for, and it begins here again. */
        assemble_begin_at(s->assemble, found);
        return 0;
    }
    s->found = found;
    log_warnx("%s: entry %" PRIu64 "-%" PRIu64 " came where %" PRIu64 "-%" PRIu64
              " was due; asked for again",
              s->name, found.epoch, found.sequence, p.epoch, p.sequence);
    note_count(s, SOURCE_GAPS, 1);
    s->wants = true;
    s->want_told = now;
    key_of(key, sizeof key, s, "t");
    const size_t sizes[] = {3, strlen(key)};
    const char *multi[] = {"MULTI"}, *exec[] = {"EXEC"};
    const size_t five[] = {5}, four[] = {4};
    command(w, s, 1, multi, five);
    command(w, s, 2, argv, sizes);
    publish_ack(w, s);
    command(w, s, 1, exec, four);
    return 0;
}

/* What follows once an entry was taken. */
static void
took(struct worker *w, struct source *s)
{
    note_count(s, SOURCE_BATCHES, 1);
    if (s->wants) {
        s->wants = false;
        publish_ack(w, s);
    }
}

enum entry_result { ENTRY_NEXT, ENTRY_STOP };

static int
take_bad(struct worker *w, struct source *s, struct position p, enum telemetry_verdict verdict,
         const void *bytes, size_t size)
{
    const char *name = telemetry_verdict_name(verdict);
    int kept = store_quarantine(w->store, s->name, p, name, bytes, size);

    if (kept < 0) {
        return kept;
    }
    if (kept > 0) {
        /* Whoever reads it again, from an older position, tells it no more. */
        log_warnx("%s: entry %" PRIu64 "-%" PRIu64
                  " does not decode (%s): %zu bytes kept in quarantine",
                  s->name, p.epoch, p.sequence, name, size);
        note_count(s, SOURCE_QUARANTINED, 1);
    }
    int err = assemble_take_lost(s->assemble, p);
    took(w, s);
    return err;
}

static int
stop_source(struct worker *w, struct source *s, struct position p)
{
    char why[128];

    snprintf(why, sizeof why,
             "entry %" PRIu64 "-%" PRIu64 " is of a newer format than this release (%s) reads",
             p.epoch, p.sequence, PLUMBLINE_VERSION);
    log_errorx("%s: %s; the source waits un-acknowledged: upgrade the collectors", s->name, why);
    publish_live(w, s, why);
    note_count(s, SOURCE_NEWER_FORMAT, 1);
    s->not_before = span_of_ns(mono_now().ns + NEWER_WAIT_NS);
    return release(w, s);
}

/* One entry of the stream.  '*more' is false when the rest cannot be used. */
static int
take_entry(struct worker *w, struct source *s, struct position p, const char *bytes, size_t size,
           bool *more)
{
    const pb_batch *batch = NULL;
    struct instant now = instant_now();

    telemetry_arena_reset(w->arena);
    enum telemetry_verdict verdict = telemetry_parse(w->arena, s->name, bytes, size, &batch);
    *more = false;
    if (verdict == TELEMETRY_NEWER_FORMAT) {
        return stop_source(w, s, p);
    }
    if (verdict == TELEMETRY_NO_MEMORY) {
        return -ENOMEM;
    }
    if (verdict != TELEMETRY_OK) {
        batch = NULL;
    }
    switch (assemble_expect(s->assemble, p, batch)) {
    case ASSEMBLE_OLD:
        *more = true;
        return 0;
    case ASSEMBLE_GAP:
        return ask_again(w, s, p);
    case ASSEMBLE_TAKE:
        break;
    }
    if (!batch) {
        *more = true;
        return take_bad(w, s, p, verdict, bytes, size);
    }
    int err = assemble_take(s->assemble, p, batch, bytes, size, now);
    if (err == -ENOBUFS) {
        if (!s->full_told) {
            log_errorx(
                "%s: %zu bytes wait for its watermark, which does not move; the source waits "
                "un-acknowledged",
                s->name, assemble_held(s->assemble));
            s->full_told = true;
        }
        return 0;
    }
    if (!err) {
        took(w, s);
        err = note(s, batch, size);
        err = err ? err : note_events(s, p, batch, now);
    }
    *more = !err;
    return err;
}

static bool
parse_id(const char *text, struct position *out)
{
    char *end;

    errno = 0;
    out->epoch = strtoull(text, &end, 10);
    if (end == text || *end != '-') {
        return false;
    }
    text = end + 1;
    out->sequence = strtoull(text, &end, 10);
    return end != text && *end == '\0' && errno == 0 && out->epoch <= INT64_MAX &&
           out->sequence <= INT64_MAX;
}

/* An entry is [id, [field, value, ...]]; ours has one field, "b". */
static bool
open_entry(const redisReply *entry, struct position *p, const char **bytes, size_t *size)
{
    *bytes = "";
    *size = 0;
    if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
        entry->element[0]->type != REDIS_REPLY_STRING || !parse_id(entry->element[0]->str, p)) {
        return false;
    }
    const redisReply *fields = entry->element[1];
    for (size_t i = 0; fields->type == REDIS_REPLY_ARRAY && i + 1 < fields->elements; i += 2) {
        if (fields->element[i]->type == REDIS_REPLY_STRING &&
            strcmp(fields->element[i]->str, "b") == 0) {
            *bytes = fields->element[i + 1]->str;
            *size = (size_t)fields->element[i + 1]->len;
        }
    }
    return true;
}

static int
take_entries(struct worker *w, struct source *s, const redisReply *entries)
{
    bool more = true;
    int err = 0;

    for (size_t i = 0; i < entries->elements && more && !err && s->assemble; i++) {
        struct position p;
        const char *bytes;
        size_t size;
        if (!open_entry(entries->element[i], &p, &bytes, &size)) {
            /* No source of ours made that; nothing can come after it. */
            err = ask_again(w, s, (struct position){UINT64_MAX, UINT64_MAX});
            break;
        }
        err = take_entry(w, s, p, bytes, size, &more);
        if (!err && s->assemble) {
            err = write_over(w, s);
        }
    }
    return err;
}

struct reading {
    struct source *sources[READ_SOURCES_MAX];
    char keys[READ_SOURCES_MAX][96], ids[READ_SOURCES_MAX][48];
    size_t count, bytes;
};

/* The next few claimed sources, and from where to read them. */
static void
choose(struct worker *w, struct reading *r)
{
    /* Keys of two slots may not stand in one question, not even of one node. */
    const size_t most = w->read_alone || cluster_is_spread(w->cluster) ? 1 : READ_SOURCES_MAX;
    struct span now = mono_now();

    r->count = r->bytes = 0;
    for (size_t i = 0; i < w->source_count && r->count < most; i++) {
        struct source *s = &w->sources[w->next_read++ % w->source_count];
        if (!s->assemble || now.ns < s->read_after.ns) {
            continue;
        }
        struct position p = assemble_read(s->assemble);
        key_of(r->keys[r->count], sizeof r->keys[0], s, "t");
        snprintf(r->ids[r->count], sizeof r->ids[0], "%" PRIu64 "-%" PRIu64, p.epoch, p.sequence);
        r->bytes += (s->batch_bytes ? s->batch_bytes : READ_BATCH_GUESS) + 256;
        r->sources[r->count++] = s;
    }
    if (w->read_alone) {
        w->read_alone--;
    }
}

/* Nothing came of this question: too much for an answer, or of the wrong type.  The
 * sources are asked one by one then, and one that cannot be read by itself waits, so
 * that the others go on. */
static void
read_failed(struct worker *w, const struct reading *r, const char *why)
{
    w->read_entries = 1;
    if (r->count > 1) {
        w->read_alone = (unsigned)w->claimed;
        return;
    }
    struct source *s = r->sources[0];
    if (++s->unreadable < UNREADABLE_TRIES) {
        return;
    }
    s->unreadable = 0;
    s->read_after = span_of_ns(mono_now().ns + UNREADABLE_WAIT_NS);
    note_count(s, SOURCE_UNREADABLE, 1);
    if (log_bucket_pass(&s->bucket, mono_now())) {
        log_errorx(
            "%s: its stream cannot be read (%s); it is tried again in 60 s.  If it stays so, "
            "delete the key pl:{%s}:t: the source sends what is not committed again",
            s->name, why, s->name);
    }
}

/* Whose 'key' is, if it is still claimed.  Redis answers in the order of the
 * question: '*at' is where to go on. */
static struct source *
source_of_key(const struct reading *r, size_t *at, const char *key)
{
    while (*at < r->count) {
        size_t i = (*at)++;
        if (strcmp(r->keys[i], key) == 0) {
            return r->sources[i]->assemble ? r->sources[i] : NULL;
        }
    }
    return NULL;
}

static redisReply *
read_streams(struct worker *w, const struct reading *r)
{
    const char *argv[2 * READ_SOURCES_MAX + 4] = {"XREAD", "COUNT"};
    size_t sizes[2 * READ_SOURCES_MAX + 4], argc = 2, n = READ_BYTES_TARGET / r->bytes;
    char entries[16];

    n = n < 1 ? 1 : n > w->read_entries ? w->read_entries : n;
    snprintf(entries, sizeof entries, "%zu", n);
    argv[argc++] = entries;
    argv[argc++] = "STREAMS";
    for (size_t i = 0; i < r->count; i++) {
        argv[argc + i] = r->keys[i];
        argv[argc + r->count + i] = r->ids[i];
    }
    argc += 2 * r->count;
    for (size_t i = 0; i < argc; i++) {
        sizes[i] = strlen(argv[i]);
    }
    return redis_call(redis_of(w, r->sources[0]), span_of_ns(CALL_TIMEOUT_NS), argc, argv, sizes);
}

/* 1: something of it was taken, 0: nothing could be, and it waits a little. */
static int
take_stream(struct worker *w, struct source *s, const redisReply *entries)
{
    struct position before = assemble_read(s->assemble);
    int err = take_entries(w, s, entries);

    tell_refusals(s);
    if (err) {
        return err;
    }
    if (s->assemble && position_compare(assemble_read(s->assemble), before) == 0) {
        s->read_after = span_of_ns(mono_now().ns + STUCK_WAIT_NS);
        return 0;
    }
    return 1;
}

/* Reads once.  Returns of how many streams something was taken, or a negative
 * errno. */
static int
read_once(struct worker *w)
{
    struct reading r;
    size_t at = 0;
    int found = 0, got = 0;

    choose(w, &r);
    if (r.count == 0 || redis_state(redis_of(w, r.sources[0])) != REDIS_UP) {
        return 0;
    }
    redisReply *reply = read_streams(w, &r);
    if (!reply) {
        read_failed(w, &r, "no answer, or one of more than 64 MiB");
        return 0;
    }
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "CROSSSLOT", 9) == 0) {
        cluster_set_spread(w->cluster);
        freeReplyObject(reply);
        return 0;
    }
    if (reply->type == REDIS_REPLY_ERROR && is_redirect(reply)) {
        freeReplyObject(reply);
        return 0;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        tell_refused(w, reply);
        if (strncmp(reply->str, "WRONGTYPE", 9) == 0) {
            read_failed(w, &r, reply->str);
        }
        freeReplyObject(reply);
        return 0;
    }
    for (size_t i = 0; i < r.count; i++) {
        r.sources[i]->unreadable = 0;
    }
    w->read_entries =
        w->read_entries * 2 < READ_ENTRIES_MAX ? w->read_entries * 2 : READ_ENTRIES_MAX;
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements && got >= 0; i++) {
        const redisReply *stream = reply->element[i];
        if (stream->type != REDIS_REPLY_ARRAY || stream->elements != 2) {
            continue;
        }
        struct source *s = source_of_key(&r, &at, stream->element[0]->str);
        if (s) {
            got = take_stream(w, s, stream->element[1]);
            found += got > 0;
        }
    }
    freeReplyObject(reply);
    return got < 0 ? got : found;
}

/* Each source once where they must be asked one by one, else as many as one question
 * holds. */
static int
read_some(struct worker *w)
{
    size_t rounds = cluster_is_spread(w->cluster) ? w->claimed : 1;
    int found = 0;

    do {
        int got = read_once(w);
        if (got < 0) {
            return got;
        }
        found += got;
    } while (rounds-- > 1 && mono_now().ns - w->ticked.ns < TICK_NS);
    return found;
}

/* --- Each second ---------------------------------------------------------- */

static void
on_redis(struct redis *r, enum redis_state state, const char *why, void *aux)
{
    struct worker *w = aux;

    (void)r;
    if (state == REDIS_UP) {
        log_info("worker %u: connected to Redis", w->number);
        for (size_t i = 0; i < w->source_count; i++) {
            if (w->sources[i].assemble && w->store) {
                publish_ack(w, &w->sources[i]); /* It may have come back empty. */
            }
        }
    } else if (w->redis_was_up && state == REDIS_DOWN) {
        log_warnx("worker %u: Redis: %s; sources spool until it is back", w->number,
                  why ? why : "connection lost");
        count(w, WORKER_REDIS_LOST, 1);
    }
    w->redis_was_up = state == REDIS_UP;
}

static bool
store_ready(struct worker *w)
{
    char why[512];
    struct span now = mono_now();

    if (w->store) {
        return true;
    }
    if (w->store_tried.ns && now.ns - w->store_tried.ns < NS_PER_S) {
        return false;
    }
    w->store_tried = now;
    w->store = store_open(&w->config->postgresql, w->config->collector, why, sizeof why);
    if (!w->store) {
        if (log_bucket_pass(&w->store_bucket, now)) {
            log_warnx("worker %u: PostgreSQL: %s; sources spool until it is back", w->number, why);
        }
        return false;
    }
    log_info("worker %u: connected to PostgreSQL", w->number);
    w->ticked = span_of_ns(0);
    return true;
}

static int
keep_house(struct worker *w, struct span now)
{
    char why[256];
    int err = store_days(w->store, instant_now());

    if (!err && now.ns - w->expired.ns > EXPIRE_EVERY_NS) {
        err = store_expire(w->store, w->config->source_expiry) < 0 ? -EIO : 0;
        w->expired = now;
    }
    if (!err) {
        int merged = store_roll_closed(w->store);
        if (merged < 0 && log_bucket_pass(&w->far_bucket, now)) {
            log_warnx("worker %u: what a closed source left is not merged yet: %s", w->number,
                      store_why(w->store));
        }
        err = merged == -EIO ? -EIO : 0;
    }
    if (!err) {
        int judged = farend_run(w->farend, store_connection(w->store), why, sizeof why);
        if (judged < 0 && PQtransactionStatus(store_connection(w->store)) != PQTRANS_IDLE) {
            log_warnx("worker %u: far ends could not be asked about: %s", w->number, why);
            return -EIO;
        }
        if (judged < 0 && log_bucket_pass(&w->far_bucket, now)) {
            log_warnx("worker %u: far ends wait to be asked about: %s", w->number, why);
        }
        count(w, WORKER_FAR_JUDGED, judged > 0 ? (uint64_t)judged : 0);
    }
    return err;
}

static int
tick(struct worker *w)
{
    struct span now = mono_now();
    unsigned workers;

    if (w->ticked.ns && now.ns - w->ticked.ns < TICK_NS) {
        return 0;
    }
    w->ticked = now;
    int err = store_heartbeat(w->store, w->claimed, &workers);
    if (!err) {
        err = verify(w);
    }
    if (!err) {
        size_t share = fair_share(w, workers);
        err = w->claimed > share ? release_some(w, share) : claim_some(w, share);
    }
    for (size_t i = 0; i < w->source_count && !err; i++) {
        struct source *s = &w->sources[i];
        if (s->assemble && s->live_due) {
            publish_live(w, s, NULL);
        }
        if (s->assemble && now.ns - s->ack_told.ns >= ACK_EVERY_NS) {
            publish_ack(w, s);
            trim(w, s);
        }
    }
    return err ? err : keep_house(w, now);
}

static void
rest(struct worker *w, long us)
{
    const struct timeval tv = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};

    event_base_loopexit(w->base, &tv);
    event_base_dispatch(w->base);
}

/* What other threads may see, each second, also while PostgreSQL is away. */
static void
publish_view(struct worker *w)
{
    struct span now = mono_now();

    if (w->viewed.ns && now.ns - w->viewed.ns < TICK_NS) {
        return;
    }
    w->viewed = now;
    pthread_mutex_lock(&w->view_lock);
    w->status = (struct worker_status){
        .redis = cluster_is_up(w->cluster), .postgresql = w->store != NULL, .claimed = w->claimed};
    for (size_t i = 0; i < w->source_count; i++) {
        const struct source *s = &w->sources[i];
        struct worker_source *v = &w->views[i];
        *v = (struct worker_source){.owned = s->assemble != NULL};
        if (!v->owned) {
            continue;
        }
        v->read = assemble_read(s->assemble);
        v->written_until = assemble_written_until(s->assemble);
        v->made_at = s->made_at;
        v->sessions = assemble_session_count(s->assemble);
        v->held_bytes = assemble_held(s->assemble);
        v->has_health = s->has_health;
        v->spool_bytes = s->health.spool_bytes;
        v->spool_unsent = s->health.spool_unsent;
        v->disk_full = s->health.disk_full;
        v->clock_synchronised = s->health.clock_synchronised;
    }
    pthread_mutex_unlock(&w->view_lock);
}

static void *
work(void *aux)
{
    struct worker *w = aux;

    while (!atomic_load(&w->stopping)) {
        int n = 0;
        publish_view(w);
        if (!store_ready(w)) {
            rest(w, IDLE_US);
            continue;
        }
        int err = tick(w);
        if (!err && cluster_is_up(w->cluster)) {
            n = read_some(w);
            err = n < 0 ? n : 0;
        }
        if (err) {
            store_lost(w, "working");
        } else if (n == 0) {
            rest(w, IDLE_US);
        }
    }
    for (size_t i = 0; i < w->source_count && w->store; i++) {
        if (w->sources[i].assemble && release(w, &w->sources[i])) {
            break;
        }
    }
    if (w->store) {
        store_leave(w->store);
    }
    rest(w, IDLE_US); /* What is queued for Redis goes out. */
    return NULL;
}

/* --- Life ----------------------------------------------------------------- */

static void
worker_free(struct worker *w)
{
    for (size_t i = 0; i < w->source_count; i++) {
        drop(w, &w->sources[i]);
    }
    store_write_fini(&w->write);
    bytes_fini(&w->live);
    store_close(w->store);
    cluster_free(w->cluster);
    if (w->base) {
        event_base_free(w->base);
    }
    if (w->arena) {
        telemetry_arena_free(w->arena);
    }
    row_maker_free(w->maker);
    farend_free(w->farend);
    free(w->sources);
    free(w->views);
    pthread_mutex_destroy(&w->view_lock);
    free(w);
}

static int
open_parts(struct worker *w)
{
    const struct redis_config redis = {.address = w->config->redis.address,
                                       .user = w->config->redis.user,
                                       .password_file = w->config->redis.password_file,
                                       .tls = w->config->redis.tls,
                                       .timeout = w->config->redis.timeout};
    w->source_count = w->inventory->probe_count;
    w->sources = calloc(w->source_count ? w->source_count : 1, sizeof w->sources[0]);
    w->views = calloc(w->source_count ? w->source_count : 1, sizeof w->views[0]);
    w->base = event_base_new();
    w->arena = telemetry_arena_new();
    w->maker = row_maker_new();
    w->farend = farend_new();
    if (!w->sources || !w->views || !w->base || !w->arena || !w->maker || !w->farend) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < w->source_count; i++) {
        w->sources[i].name = w->inventory->probes[i].key;
        w->sources[i].id = source_id_of(w->sources[i].name);
        w->sources[i].bucket = (struct log_bucket){.burst = 3, .every = span_of_ns(60 * NS_PER_S)};
    }
    w->cluster = cluster_new(w->base, &redis, on_redis, w);
    return w->cluster ? 0 : -EINVAL;
}

int
worker_start(struct worker **out, const struct collector_config *config,
             const struct inventory *inventory, unsigned number)
{
    struct worker *w = calloc(1, sizeof *w);

    if (!w) {
        return -ENOMEM;
    }
    pthread_mutex_init(&w->view_lock, NULL);
    w->config = config;
    w->inventory = inventory;
    w->number = number;
    w->next_claim = number * 7919u; /* Workers begin at different sources. */
    w->read_entries = READ_ENTRIES_MAX;
    w->store_bucket = w->redis_bucket = w->far_bucket =
        (struct log_bucket){.burst = 1, .every = span_of_ns(60 * NS_PER_S)};
    atomic_init(&w->stopping, false);
    int err = open_parts(w);
    if (!err) {
        err = -pthread_create(&w->thread, NULL, work, w);
    }
    if (err) {
        worker_free(w);
        return err;
    }
    *out = w;
    return 0;
}

void
worker_stop(struct worker *w)
{
    atomic_store(&w->stopping, true);
}

void
worker_join(struct worker *w)
{
    int err = pthread_join(w->thread, NULL);

    assert(err == 0);
    (void)err;
    worker_free(w);
}

void
worker_view(struct worker *w, struct worker_status *status, struct worker_source *sources)
{
    pthread_mutex_lock(&w->view_lock);
    *status = w->status;
    memcpy(sources, w->views, w->source_count * sizeof w->views[0]);
    pthread_mutex_unlock(&w->view_lock);
}

void
worker_counters(struct worker *w, struct counter_group *out)
{
    *out = (struct counter_group){"worker", count_names, w->counters, WORKER_COUNTS};
}

void
worker_source_counters(struct worker *w, size_t source,
                       struct counter_group groups[WORKER_SOURCE_GROUPS])
{
    struct source *s = &w->sources[source];

    groups[0] = (struct counter_group){"source", source_count_names, s->counters, SOURCE_COUNTS};
    groups[1] = (struct counter_group){"assemble", assemble_count_names, s->assemble_counters,
                                       ASSEMBLE_COUNTS};
}
