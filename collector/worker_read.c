/* worker_read.c - reads the streams of a worker's sources: asks Redis, opens entries, hands batches
 * to the assembler, and says what is missing.
 *
 * After worker_claim.c, worker_commit.c, telemetry.h. */
#include "worker_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define CALL_TIMEOUT_NS (10 * NS_PER_S)

/* One XREAD asks for entries of at most so many sources, and for about so many bytes. */
#define READ_SOURCES_MAX 64u
#define READ_BYTES_TARGET ((size_t)8 << 20)
/* Of a batch of a source that was not read yet. */
#define READ_BATCH_GUESS ((size_t)128 << 10)

#define NEWER_WAIT_NS (60 * NS_PER_S)
/* A source whose stream gives nothing that can be taken is not asked for so long. */
#define STUCK_WAIT_NS (NS_PER_S / 5)
/* One whose stream cannot be read at all, by itself, so many times in a row: */
#define UNREADABLE_TRIES 3
#define UNREADABLE_WAIT_NS (60 * NS_PER_S)

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
    int err = worker_verify(w);
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
    worker_source_count(s, SOURCE_GAPS, 1);
    s->wants = true;
    s->want_told = now;
    worker_key(key, sizeof key, s, "t");
    const size_t sizes[] = {3, strlen(key)};
    const char *multi[] = {"MULTI"}, *exec[] = {"EXEC"};
    const size_t five[] = {5}, four[] = {4};
    worker_command(w, s, 1, multi, five);
    worker_command(w, s, 2, argv, sizes);
    worker_ack(w, s);
    worker_command(w, s, 1, exec, four);
    return 0;
}

/* What follows once an entry was taken. */
static void
took(struct worker *w, struct source *s)
{
    worker_source_count(s, SOURCE_BATCHES, 1);
    if (s->wants) {
        s->wants = false;
        worker_ack(w, s);
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
        worker_source_count(s, SOURCE_QUARANTINED, 1);
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
    worker_live(w, s, why);
    worker_source_count(s, SOURCE_NEWER_FORMAT, 1);
    s->not_before = span_of_ns(mono_now().ns + NEWER_WAIT_NS);
    return worker_release(w, s);
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
        err = worker_note(s, batch, size);
        err = err ? err : worker_note_events(s, p, batch, now);
        err = err ? err : worker_note_traces(w, s, batch);
        err = err ? err : worker_watch_batch(s, batch, now);
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
            err = worker_write_over(w, s);
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
        worker_key(r->keys[r->count], sizeof r->keys[0], s, "t");
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
    worker_source_count(s, SOURCE_UNREADABLE, 1);
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
    return redis_call(worker_redis(w, r->sources[0]), span_of_ns(CALL_TIMEOUT_NS), argc, argv,
                      sizes);
}

static int
hear(struct source *s, const redisReply *entries)
{
    struct position last;
    const char *bytes;
    size_t size;

    if (!s->watch || entries->type != REDIS_REPLY_ARRAY || entries->elements == 0 ||
        !open_entry(entries->element[entries->elements - 1], &last, &bytes, &size)) {
        return 0;
    }
    return watch_heard(s->watch, last, instant_now());
}

/* 1: something of it was taken, 0: nothing could be, and it waits a little. */
static int
take_stream(struct worker *w, struct source *s, const redisReply *entries)
{
    struct position before = assemble_read(s->assemble);
    int err = hear(s, entries);

    err = err ? err : take_entries(w, s, entries);

    worker_tell_refusals(s);
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
    if (r.count == 0 || redis_state(worker_redis(w, r.sources[0])) != REDIS_UP) {
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
    if (reply->type == REDIS_REPLY_ERROR && worker_is_redirect(reply)) {
        freeReplyObject(reply);
        return 0;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        worker_tell_refused(w, reply);
        if (strncmp(reply->str, "WRONGTYPE", 9) == 0) {
            read_failed(w, &r, reply->str);
        }
        freeReplyObject(reply);
        return 0;
    }
    for (size_t i = 0; i < r.count; i++) {
        r.sources[i]->unreadable = 0;
        r.sources[i]->answered = mono_now();
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
int
worker_read_some(struct worker *w)
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
