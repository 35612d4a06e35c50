/* feed.c - a source made of a script: writes batches to its stream as a probe
 * would, and wrong ones on purpose.
 *
 * usage: feed SOCKET|spool:FOLDER < SCRIPT
 *
 * With spool: into the spool of one source, as a probe leaves it that cannot reach Redis.
 *
 *   source NAME                 the lines after it are of this source
 *   epoch E [PE PS]             begins epoch E; its first batch names PE-PS
 *   link OBJECT FAR END [N]     adds N sessions (classes c0..; default one, c0)
 *   period MS                   of the links that follow (100); they are named in
 *                               the next batch
 *   flows N                     of the links that follow (1)
 *   health NS SYNC              of the batches that follow: bound of the clock's error, and
 *                               whether it is synchronised (1, 0); before, none is told
 *   second T [sent=N] [fwd=N] [bwd=N] [lost=N] [dup=N] [errors=N] [overdue=N] [slow=US] [below]
 *            [flow=N] [early] [final] [deaf] [mute]
 *                               one batch: delta-t [T, T+1) of each session, and
 *                               second T of the source's life.  fwd, bwd, lost:
 *                               packets lost that way, or undirected; errors: that could
 *                               not be sent; overdue: in the early state; slow: round trips
 *                               are longer by that; below: flagged as under the floor; flow: the
 *                               loss is of that flow alone; early, final: only the early
 *                               state, only the summary; deaf: not
 *                               reflecting; mute: nothing about its life
 *   seconds T N [...]           N of these, from T on
 *   lag SECONDS                 the watermark of what follows is so far behind it (0)
 *   limit NS ...                of the links that follow: round trips over these are counted
 *   unclean PERMILLE            of the sessions' intervals lose a packet
 *   skip                        uses up an ID
 *   sequence N                  the next ID
 *   garbage, tombstone FROM UNTIL
 *   format N                    of the batches that follow; default is today's
 *   event T KIND FROM TO        of the first session, in the next batch; KIND is its number
 *   refused NAME N              in the next batch
 *   untrusted                   adds a session of a link that is not the source's
 *   observer NAME               the links that follow say that NAME observes them
 *   claim NAME                  batches say that they are of source NAME
 *   auth USER PASSWORD          to Redis
 *
 * Prints the number of entries and of summaries. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "spool.h"
#include "summary.h"
#include "telemetry.h"

#define SESSIONS_MAX 4096
#define PENDING_MAX 64
#define INTERVAL_S 60

struct feed {
    redisContext *redis; /* NULL: into the spool. */
    const char *folder;
    struct spool *spool;
    uint32_t format;
    struct instant from, until; /* Of the batch. */
    char source[SERIES_NAME_MAX + 1], observer[SERIES_NAME_MAX + 1];
    struct telemetry_builder *builder;
    uint64_t epoch, sequence, previous_epoch, previous_sequence;
    struct session_key keys[SESSIONS_MAX];
    int64_t ids[SESSIONS_MAX];
    size_t key_count;
    struct summary summary;
    unsigned pending, unclean;
    int64_t period_ms, lag_s;
    unsigned flows;
    bool has_health, synchronised;
    uint64_t clock_error_ns;
    struct series_limit limits[SERIES_LIMITS_MAX];
    uint8_t limit_count;
    bool dictionary_due;
    uint64_t entries, summaries;
    int64_t made_at_ns, final_until_ns;
    uint64_t random;
};

struct second {
    int64_t at;
    unsigned sent, fwd, bwd, undirected, duplicates, errors, overdue, slow_us;
    int flow; /* -1: all. */
    bool deaf, mute, below, no_early, no_final;
};

static void
die(const char *what)
{
    fprintf(stderr, "feed: %s\n", what);
    exit(2);
}

static uint64_t
draw(struct feed *f)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return f->random;
}

static void
drain(struct feed *f)
{
    while (f->pending) {
        redisReply *r;
        if (redisGetReply(f->redis, (void **)&r) != REDIS_OK) {
            die("Redis went away");
        }
        if (r->type == REDIS_REPLY_ERROR) {
            die(r->str);
        }
        freeReplyObject(r);
        f->pending--;
    }
}

static void
keep_bytes(struct feed *f, const void *bytes, size_t size)
{
    struct position p;

    if (spool_append(f->spool, bytes, size, f->from, f->until, &p) || p.epoch != f->epoch ||
        p.sequence != f->sequence) {
        die("the spool does not take it");
    }
    f->sequence++;
    f->entries++;
}

static void
send_bytes(struct feed *f, const void *bytes, size_t size)
{
    char key[96], id[48];

    if (f->spool) {
        keep_bytes(f, bytes, size);
        return;
    }
    snprintf(key, sizeof key, "pl:{%s}:t", f->source);
    snprintf(id, sizeof id, "%" PRIu64 "-%" PRIu64, f->epoch, f->sequence++);
    redisAppendCommand(f->redis, "XADD %s %s b %b", key, id, bytes, size);
    f->entries++;
    if (++f->pending == PENDING_MAX) {
        drain(f);
    }
}

static void
finish(struct feed *f)
{
    size_t size;
    const uint8_t *bytes = telemetry_finish(f->builder, instant_of_ns(f->made_at_ns),
                                            instant_of_ns(f->final_until_ns), &size);
    if (!bytes) {
        die("out of memory");
    }
    if (f->format == TELEMETRY_FORMAT) {
        send_bytes(f, bytes, size);
        return;
    }
    Plumbline__Telemetry__Batch *b = plumbline__telemetry__batch__unpack(NULL, size, bytes);
    if (!b) {
        die("no batch");
    }
    b->format = f->format;
    uint8_t *packed = malloc(plumbline__telemetry__batch__get_packed_size(b));
    if (!packed) {
        die("out of memory");
    }
    send_bytes(f, packed, plumbline__telemetry__batch__pack(b, packed));
    free(packed);
    plumbline__telemetry__batch__free_unpacked(b, NULL);
}

static void
add_epoch(struct feed *f)
{
    Plumbline__Telemetry__EpochStart start;
    Plumbline__Telemetry__Serving serving;
    char *objects[SESSIONS_MAX];
    char release[] = "0.1.0";

    plumbline__telemetry__epoch_start__init(&start);
    start.epoch = f->epoch;
    start.previous_epoch = f->previous_epoch;
    start.previous_last_sequence = f->previous_sequence;
    start.release = release;
    telemetry_add_message(f->builder, TELEMETRY_EPOCH_START, &start.base);
    plumbline__telemetry__serving__init(&serving);
    serving.serving_id = 4711;
    for (size_t i = 0; i < f->key_count; i++) {
        telemetry_add_session(f->builder, &f->keys[i]);
        objects[i] = f->keys[i].object;
    }
    serving.n_objects = f->key_count;
    serving.objects = objects;
    telemetry_add_message(f->builder, TELEMETRY_SERVING, &serving.base);
}

static void
add_early(struct feed *f, size_t i, const struct second *s, uint64_t received)
{
    int64_t slow = (int64_t)s->slow_us * NS_PER_US;
    struct early e = {.start = f->summary.start,
                      .sent = s->sent,
                      .received = received,
                      .overdue = s->overdue,
                      .send_errors = s->errors,
                      .rt_min_ns = 5000000 + slow,
                      .rt_p50_ns = 5015000 + slow,
                      .rt_max_ns = 5030000 + slow,
                      .fwd_p50_ns = 2010000,
                      .bwd_p50_ns = 3005000,
                      .clock_error_ns = 1500};

    telemetry_add_early(f->builder, &f->keys[i], f->ids[i], &e);
}

static void
add_summary(struct feed *f, size_t i, const struct second *all)
{
    struct second one = *all;
    const struct second *s = &one;
    if (all->flow >= 0 && f->keys[i].flow != all->flow) {
        one.fwd = one.bwd = one.undirected = one.errors = one.overdue = 0;
    }
    struct summary *m = &f->summary;
    bool unclean = f->unclean && (f->ids[i] + s->at / INTERVAL_S) % 1000 < f->unclean &&
                   s->at % INTERVAL_S == 7;

    summary_reset(m, instant_of_ns(s->at * NS_PER_S));
    m->scheduled = m->sent = s->sent;
    m->send_errors = s->errors;
    m->flags |= s->below ? DT_BELOW_FLOOR : 0;
    m->lost_fwd = s->fwd;
    m->lost_bwd = s->bwd;
    m->lost_undirected = s->undirected + unclean;
    m->received = m->sent - m->lost_fwd - m->lost_bwd - m->lost_undirected;
    m->duplicate_fwd = s->duplicates;
    m->stamped[TS_KERNEL] = m->received;
    m->clock_error_ns = 1500;
    /* Delays hang on the session and the second alone: a script may be cut anywhere. */
    f->random = ((uint64_t)f->ids[i] ^ (uint64_t)s->at * UINT64_C(0x9e3779b97f4a7c15)) | 1;
    for (int k = 0; k < 4; k++) {
        draw(f);
    }
    for (uint64_t k = 0; k < m->received; k++) {
        int64_t jitter = (int64_t)(draw(f) % 20000);
        summary_add_delay(m, &f->keys[i], DIR_FWD, span_of_ns(2000000 + jitter));
        summary_add_delay(m, &f->keys[i], DIR_BWD, span_of_ns(3000000 + jitter / 2));
        summary_add_delay(
            m, &f->keys[i], DIR_RT,
            span_of_ns(5000000 + (int64_t)s->slow_us * NS_PER_US + jitter + jitter / 2));
    }
    if (!s->no_final && telemetry_add_summary(f->builder, &f->keys[i], f->ids[i], m)) {
        die("a summary was refused");
    }
    f->summaries += !s->no_final;
    if (!s->no_early) {
        add_early(f, i, s, s->no_final ? s->sent - s->overdue : m->received);
    }
}

static void
add_second(struct feed *f, const struct second *s)
{
    if (f->sequence == 0) {
        add_epoch(f);
    }
    for (size_t i = 0; f->dictionary_due && f->sequence && i < f->key_count; i++) {
        telemetry_add_session(f->builder, &f->keys[i]);
    }
    f->dictionary_due = false;
    for (size_t i = 0; i < f->key_count; i++) {
        add_summary(f, i, s);
    }
    if (!s->mute) {
        Plumbline__Telemetry__Liveness l;
        plumbline__telemetry__liveness__init(&l);
        l.second = (uint64_t)s->at;
        l.sending = true;
        l.reflecting = !s->deaf;
        l.serving_id = 4711;
        telemetry_add_message(f->builder, TELEMETRY_LIVENESS, &l.base);
    }
    if (f->has_health) {
        Plumbline__Telemetry__Health h;
        plumbline__telemetry__health__init(&h);
        h.clock_synchronised = f->synchronised;
        h.clock_error_ns = f->clock_error_ns;
        telemetry_add_message(f->builder, TELEMETRY_HEALTH, &h.base);
    }
    f->from = instant_of_ns(s->at * NS_PER_S);
    f->until = instant_of_ns((s->at + 1) * NS_PER_S);
    f->final_until_ns = f->until.ns - f->lag_s * NS_PER_S;
    f->made_at_ns = f->until.ns + 5 * NS_PER_S;
    finish(f);
}

static void
parse_second(struct second *s, char *words)
{
    unsigned flow = UINT32_MAX;
    const struct {
        const char *name;
        unsigned *number;
        bool *is;
    } options[] = {{"sent", &s->sent, NULL},       {"fwd", &s->fwd, NULL},
                   {"bwd", &s->bwd, NULL},         {"lost", &s->undirected, NULL},
                   {"dup", &s->duplicates, NULL},  {"errors", &s->errors, NULL},
                   {"overdue", &s->overdue, NULL}, {"slow", &s->slow_us, NULL},
                   {"flow", &flow, NULL},          {"below", NULL, &s->below},
                   {"early", NULL, &s->no_final},  {"final", NULL, &s->no_early},
                   {"deaf", NULL, &s->deaf},       {"mute", NULL, &s->mute}};
    const size_t count = sizeof options / sizeof options[0];

    *s = (struct second){.at = s->at, .sent = 10};
    for (char *w = words ? strtok(words, " ") : NULL; w; w = strtok(NULL, " ")) {
        size_t i = 0, length = strcspn(w, "=");
        while (i < count &&
               (strlen(options[i].name) != length || strncmp(w, options[i].name, length) != 0)) {
            i++;
        }
        if (i == count || (options[i].number && w[length] != '=')) {
            die(w);
        } else if (options[i].number) {
            *options[i].number = (unsigned)strtoul(w + length + 1, NULL, 10);
        } else {
            *options[i].is = true;
        }
    }
    s->flow = (int)flow;
}

static void
add_session(struct feed *f, const char *object, const char *far, unsigned end, unsigned n,
            unsigned flow)
{
    if (f->key_count == SESSIONS_MAX) {
        die("too many sessions");
    }
    struct session_key *k = &f->keys[f->key_count];
    *k = (struct session_key){.flow = (uint16_t)flow,
                              .family = 4,
                              .observer_end = (uint8_t)end,
                              .dt = {NS_PER_S},
                              .tmax = {3 * NS_PER_S},
                              .period = {f->period_ms * NS_PER_MS},
                              .size = 128,
                              .dscp = 46};
    k->limit_count = f->limit_count;
    memcpy(k->limits, f->limits, sizeof f->limits);
    snprintf(k->object, sizeof k->object, "%s", object);
    snprintf(k->observer, sizeof k->observer, "%s", f->observer);
    snprintf(k->far, sizeof k->far, "%s", far);
    snprintf(k->class_name, sizeof k->class_name, "c%u", n);
    snprintf(k->protocol, sizeof k->protocol, "stamp");
    f->ids[f->key_count++] = session_id_of(k);
}

static void
claim(struct feed *f, const char *name)
{
    telemetry_builder_free(f->builder);
    f->builder = telemetry_builder_new(name);
    if (!f->builder) {
        die("out of memory");
    }
}

static void
authenticate(struct feed *f, const char *user, const char *password)
{
    redisReply *r =
        redisCommand(f->redis, "AUTH %s %s", user ? user : "", password ? password : "");

    if (!r || r->type == REDIS_REPLY_ERROR) {
        die(r ? r->str : "Redis went away");
    }
    freeReplyObject(r);
}

static void
begin_source(struct feed *f, const char *name)
{
    snprintf(f->source, sizeof f->source, "%s", name);
    snprintf(f->observer, sizeof f->observer, "%s", name);
    claim(f, name);
    f->key_count = 0;
    f->period_ms = 100;
    f->limit_count = 0;
    f->lag_s = 0;
    f->flows = 1;
    f->has_health = false;
    f->format = TELEMETRY_FORMAT;
    f->epoch = f->sequence = 0;
    const struct spool_config config = {.folder = f->folder,
                                        .source = f->source,
                                        .keep = {INT64_C(86400) * NS_PER_S},
                                        .keep_bytes = 1u << 30,
                                        .segment_bytes = 8u << 20,
                                        .memory_bytes = 1u << 20};
    if (f->folder && (f->spool || spool_open(&f->spool, &config))) {
        die("no spool there, or of two sources");
    }
}

static void
begin_epoch(struct feed *f, uint64_t epoch, uint64_t previous_epoch, uint64_t previous_sequence)
{
    f->epoch = epoch;
    f->sequence = 0;
    f->previous_epoch = previous_epoch;
    f->previous_sequence = previous_sequence;
    if (f->spool && spool_begin_epoch(f->spool, epoch)) {
        die("the spool does not take the epoch");
    }
}

static void
add_event(struct feed *f, int64_t at, char *words)
{
    Plumbline__Telemetry__Event e;

    plumbline__telemetry__event__init(&e);
    e.session_id = f->key_count ? f->ids[0] : 0;
    e.at_ns = at * NS_PER_S;
    e.kind = (Plumbline__Telemetry__Event__Kind)strtol(words, &words, 10);
    e.from = (uint32_t)strtoul(words, &words, 10);
    e.to = (uint32_t)strtoul(words, &words, 10);
    telemetry_add_message(f->builder, TELEMETRY_EVENT, &e.base);
}

static void
add_refused(struct feed *f, char *words)
{
    Plumbline__Telemetry__Refused r;
    char *name = strtok(words, " "), *number = strtok(NULL, " ");

    plumbline__telemetry__refused__init(&r);
    r.name = name;
    r.count = number ? strtoull(number, NULL, 10) : 0;
    telemetry_add_message(f->builder, TELEMETRY_REFUSED, &r.base);
}

static void
add_tombstone(struct feed *f, int64_t from, int64_t until)
{
    Plumbline__Telemetry__Tombstone t;

    plumbline__telemetry__tombstone__init(&t);
    t.from_ns = from * NS_PER_S;
    t.until_ns = until * NS_PER_S;
    t.reason = PLUMBLINE__TELEMETRY__TOMBSTONE__REASON__DAMAGED;
    telemetry_add_message(f->builder, TELEMETRY_TOMBSTONE, &t.base);
    finish(f);
}

static void
set_limits(struct feed *f, char *words)
{
    f->limit_count = 0;
    f->dictionary_due = true;
    for (char *w = strtok(words, " "); w && f->limit_count < SERIES_LIMITS_MAX;
         w = strtok(NULL, " ")) {
        f->limits[f->limit_count++] = (struct series_limit){
            .metric = LIMIT_DELAY, .direction = DIR_RT, .limit = span_of_ns(strtoll(w, NULL, 10))};
    }
}

static void
add_links(struct feed *f, char *words)
{
    char *object = strtok(words, " "), *far = strtok(NULL, " "), *end = strtok(NULL, " ");
    char *many = strtok(NULL, " ");
    unsigned n = many ? (unsigned)strtoul(many, NULL, 10) : 1;

    for (unsigned i = 0; i < n; i++) {
        for (unsigned flow = 0; flow < f->flows; flow++) {
            add_session(f, object ? object : "", far && strcmp(far, "-") ? far : "",
                        end ? (unsigned)strtoul(end, NULL, 10) : 0, i, flow);
        }
    }
}

static void
add_seconds(struct feed *f, int64_t at, long long n, char *words)
{
    struct second s = {.at = at};

    parse_second(&s, words);
    for (; n > 0; n--, s.at++) {
        add_second(f, &s);
    }
}

/* Lines whose first argument is a number. */
static bool
obey_number(struct feed *f, const char *word, char *rest)
{
    char *end;
    long long x = strtoll(rest, &end, 10), y;

    if (strcmp(word, "second") == 0) {
        add_seconds(f, x, 1, end);
    } else if (strcmp(word, "seconds") == 0) {
        y = strtoll(end, &end, 10);
        add_seconds(f, x, y, end);
    } else if (strcmp(word, "event") == 0) {
        add_event(f, x, end);
    } else if (strcmp(word, "unclean") == 0) {
        f->unclean = (unsigned)x;
    } else if (strcmp(word, "lag") == 0) {
        f->lag_s = x;
    } else if (strcmp(word, "flows") == 0) {
        f->flows = (unsigned)x;
    } else if (strcmp(word, "health") == 0) {
        f->has_health = true;
        f->clock_error_ns = (uint64_t)x;
        f->synchronised = strtol(end, NULL, 10) != 0;
    } else if (strcmp(word, "format") == 0) {
        f->format = (uint32_t)x;
    } else if (strcmp(word, "period") == 0) {
        f->period_ms = x;
        f->dictionary_due = true;
    } else if (strcmp(word, "epoch") == 0) {
        y = strtoll(end, &end, 10);
        begin_epoch(f, (uint64_t)x, (uint64_t)y, (uint64_t)strtoll(end, NULL, 10));
    } else if (strcmp(word, "sequence") == 0) {
        f->sequence = (uint64_t)x;
    } else if (strcmp(word, "tombstone") == 0) {
        add_tombstone(f, x, strtoll(end, NULL, 10));
    } else {
        return false;
    }
    return true;
}

/* Who it says it is, and whom it speaks of. */
static bool
obey_name(struct feed *f, const char *word, char *rest)
{
    const char *name = rest + strspn(rest, " ");

    if (strcmp(word, "source") == 0) {
        begin_source(f, name);
    } else if (strcmp(word, "observer") == 0) {
        snprintf(f->observer, sizeof f->observer, "%s", name);
    } else if (strcmp(word, "claim") == 0) {
        claim(f, name);
    } else if (strcmp(word, "auth") == 0) {
        const char *user = strtok(rest, " ");
        authenticate(f, user, strtok(NULL, " "));
    } else {
        return false;
    }
    return true;
}

static void
obey(struct feed *f, char *line)
{
    char *rest = line + strcspn(line, " ");
    char word[32];

    snprintf(word, sizeof word, "%.*s", (int)(rest - line), line);
    if (obey_name(f, word, rest)) {
        return;
    }
    if (strcmp(word, "link") == 0) {
        add_links(f, rest);
    } else if (strcmp(word, "limit") == 0) {
        set_limits(f, rest);
    } else if (strcmp(word, "untrusted") == 0) {
        add_session(f, "not-mine", "", 0, 0, 0);
    } else if (strcmp(word, "skip") == 0) {
        f->sequence++;
    } else if (strcmp(word, "garbage") == 0) {
        send_bytes(f, "\377garbage that is no batch", 24);
    } else if (strcmp(word, "refused") == 0) {
        add_refused(f, rest);
    } else if (*word && !obey_number(f, word, rest)) {
        die(word);
    }
}

static void
open_target(struct feed *f, const char *target)
{
    if (strncmp(target, "spool:", 6) == 0) {
        f->folder = target + 6;
        return;
    }
    f->redis = redisConnectUnix(target);
    if (!f->redis || f->redis->err) {
        die("no Redis there");
    }
}

int
main(int argc, char **argv)
{
    static struct feed f = {.random = 88172645463325252u};
    char line[512];

    if (argc != 2) {
        die("usage: feed SOCKET|spool:FOLDER < SCRIPT");
    }
    open_target(&f, argv[1]);
    if (summary_init(&f.summary, instant_of_ns(0), false)) {
        die("out of memory");
    }
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        obey(&f, line);
    }
    drain(&f);
    printf("%" PRIu64 " entries, %" PRIu64 " summaries\n", f.entries, f.summaries);
    summary_fini(&f.summary);
    telemetry_builder_free(f.builder);
    if (f.spool) {
        spool_sync(f.spool);
        spool_close(f.spool);
    }
    if (f.redis) {
        redisFree(f.redis);
    }
    return 0;
}
