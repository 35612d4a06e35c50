/* stream.c - the source's side of the transport: one request at a time, in order,
 * and after anything unexpected first the question what Redis holds. */
#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "stream_multi.h"
#include "stream_parts.h"

#define SEND_BYTES (1u << 20)

static void ask(struct stream *s);
static void go_on(struct stream *s);

static void
format_id(char out[STREAM_ID_SIZE], struct position p)
{
    snprintf(out, STREAM_ID_SIZE, "%" PRIu64 "-%" PRIu64, p.epoch, p.sequence);
}

/* Takes what the collector said.  false if it was nothing that can be read. */
static bool
take_ack(struct stream *s, const redisReply *reply, struct stream_ack *ack)
{
    *ack = (struct stream_ack){.present = false};
    if (reply->type == REDIS_REPLY_NIL) {
        return true;
    }
    if (reply->type != REDIS_REPLY_STRING || !stream_parse_ack(reply->str, reply->len, ack)) {
        s->health.bad_acks++;
        stream_set_error(s, "the ack key has a value that cannot be read");
        return false;
    }
    if (ack->rest_size && s->on_ask) {
        s->on_ask(ack->rest, ack->rest_size, s->ask_aux);
    }
    quota_acked(&s->quota, ack->committed);
    if (position_compare(ack->committed, spool_acked(s->spool)) > 0 &&
        spool_knows(s->spool, ack->committed)) {
        int err = spool_ack(s->spool, ack->committed, s->now());
        if (err) {
            stream_set_error(s, strerror(-err));
        }
    }
    return true;
}

static void
on_poll(struct redis *r, const redisReply *reply, void *aux)
{
    struct stream *s = aux;
    struct stream_ack ack;

    (void)r;
    if (!stream_executed(s, reply, 2)) {
        return;
    }
    s->phase = STREAM_READY;
    take_ack(s, reply->element[1], &ack);
    bool lost = stream_is_error(reply->element[0], "ERR no such key") &&
                position_compare(s->taken, spool_acked(s->spool)) > 0;
    if (lost || ack.wanting) {
        ask(s);
        return;
    }
    s->wanting = false;
    go_on(s);
}

/* Each second: the ack, and whether the stream is still there. */
static void
poll_ack(struct stream *s)
{
    const char *groups[3] = {"XINFO", "GROUPS", s->key};

    s->phase = STREAM_POLLING;
    stream_begin(s);
    stream_command(s, 3, groups, NULL);
    stream_end(s, on_poll);
}

/* One XADD's reply: true if the entry is in the stream by it. */
static bool
entry_taken(struct stream *s, const redisReply *reply, struct position id)
{
    struct position given;

    if (reply->type == REDIS_REPLY_STRING && stream_parse_id(reply->str, reply->len, &given) &&
        position_compare(given, id) == 0) {
        s->cursor = s->taken = id;
        return true;
    }
    if (s->refusal[0] == '\0') {
        snprintf(s->refusal, sizeof s->refusal, "%s",
                 reply->type == REDIS_REPLY_ERROR ? reply->str : "XADD: not what was asked");
    }
    return false;
}

static void
on_sent(struct redis *r, const redisReply *reply, void *aux)
{
    struct stream *s = aux;
    struct stream_ack ack;
    size_t i = 0;

    (void)r;
    if (!stream_executed(s, reply, s->sending_count + 1)) {
        return;
    }
    while (i < s->sending_count && entry_taken(s, reply->element[i], s->sending[i])) {
        i++;
    }
    bool all = i == s->sending_count;
    if (i > 0) {
        s->pause_next.ns = STREAM_PAUSE_MIN;
        s->again = 0;
        s->health.last_error[0] = '\0';
    }
    take_ack(s, reply->element[s->sending_count], &ack);
    s->phase = STREAM_READY;
    bool smaller = strstr(s->refusal, "equal or smaller") != NULL;
    if (!all && smaller && s->again++ == 0) {
        /* Whether it was sent before is what Redis's top and our spool say. */
        ask(s);
    } else if (!all) {
        stream_refused(s, s->refusal);
    } else if (ack.wanting && (!s->wanting || position_compare(ack.want, s->want) != 0 ||
                               mono_now().ns - s->asked_at.ns >= NS_PER_S)) {
        ask(s);
    } else {
        go_on(s);
    }
}

/* The record 'r', which comes after 'after'. */
static void
send_entry(struct stream *s, struct position after, const struct spool_record *r)
{
    char id[STREAM_ID_SIZE];
    union {
        const uint8_t *bytes;
        const char *text;
    } payload = {.bytes = r->bytes};
    const char *argv[5] = {"XADD", s->key, id, "b", payload.text};

    format_id(id, r->position);
    size_t sizes[5] = {4, strlen(s->key), strlen(id), 1, r->size};
    quota_count(&s->quota, after, r);
    stream_command(s, 5, argv, sizes);
    s->sending[s->sending_count++] = r->position;
    if (position_compare(r->position, s->tried) <= 0) {
        s->health.resends++;
    } else {
        s->tried = r->position;
    }
}

/* Sends the next entries; false if there are none, or no room. */
static bool
send_some(struct stream *s)
{
    struct position at = s->cursor;
    struct spool_record r;
    size_t bytes = 0;

    if (spool_next(s->spool, at, &r) != 1) {
        s->health.is_full = false;
        return false;
    }
    if (!stream_has_room(s, &r)) {
        return false;
    }
    /* On disk before it is sent.  A disk that refuses does not stop us. */
    spool_sync(s->spool);
    s->phase = STREAM_SENDING;
    s->sending_count = 0;
    stream_begin(s);
    while (s->sending_count < STREAM_SEND_MAX && spool_next(s->spool, at, &r) == 1) {
        if (s->sending_count > 0 &&
            (bytes + r.size > SEND_BYTES || !quota_fits(&s->quota, r.size))) {
            break;
        }
        bytes += r.size;
        send_entry(s, at, &r);
        at = r.position;
    }
    stream_end(s, on_sent);
    return true;
}

static void
go_on(struct stream *s)
{
    if (s->phase == STREAM_READY && s->open) {
        send_some(s);
    }
}

/* Sets the cursor for a collector that wants something.  false: what it wants
 * cannot enter before the stream is deleted. */
static bool
obey_want(struct stream *s, const struct stream_view *view)
{
    struct position want = view->ack.want, before = position_before(want);
    struct spool_record r;

    bool news = !s->wanting || position_compare(want, s->want) != 0;
    s->wanting = true;
    s->want = want;
    if (spool_next(s->spool, before, &r) != 1) {
        /* It is still to come. */
        s->cursor = spool_last(s->spool);
        return true;
    }
    if (position_compare(view->top, r.position) < 0) {
        s->cursor = before;
        s->health.want_obeyed += news || position_compare(s->taken, before) > 0;
        s->taken = position_compare(s->taken, before) < 0 ? s->taken : before;
        return true;
    }
    if (view->has_first && position_compare(view->first, r.position) <= 0) {
        s->cursor = s->taken = view->top;
        return true;
    }
    return false;
}

static void
set_cursor(struct stream *s, const struct stream_view *view)
{
    struct position acked = spool_acked(s->spool);

    s->cursor = position_compare(view->top, acked) > 0 ? view->top : acked;
    if (spool_knows(s->spool, view->top) || view->top.epoch == 0) {
        s->taken = s->cursor;
    }
}

static bool
open_above(struct stream *s, struct position highest)
{
    int err = stream_open_epoch(s, highest);

    if (err) {
        log_warnx("stream %s: no new IDs for records that Redis cannot take: %s", s->source,
                  strerror(-err));
        stream_set_error(s, strerror(-err));
        return false;
    }
    return true;
}

static void
tell_open(struct stream *s)
{
    struct position opened = {spool_upcoming(s->spool).epoch, 0};

    s->open = true;
    event_del(s->wait_first);
    log_info("stream %s: epoch %" PRIu64 " after %" PRIu64 "-%" PRIu64, s->source, opened.epoch,
             spool_previous(s->spool).epoch, spool_previous(s->spool).sequence);
    if (s->on_open) {
        s->on_open(s, &opened, s->aux);
    }
}

/* Sees to it that an epoch is open and that nothing of somebody else's stands in
 * the way of ours. */
static bool
settle_epoch(struct stream *s, const struct stream_view *view)
{
    struct position highest = stream_highest(view);

    if (s->open && !stream_in_conflict(s, highest)) {
        return true;
    }
    if (s->open) {
        log_warnx("stream %s: Redis holds %" PRIu64 "-%" PRIu64 ", which is not ours", s->source,
                  highest.epoch, highest.sequence);
        return open_above(s, highest);
    }
    if (open_above(s, highest)) {
        tell_open(s);
        return true;
    }
    return false;
}

static void
on_view(struct redis *r, const redisReply *reply, void *aux)
{
    struct stream *s = aux;
    struct stream_view view = {.exists = false};

    (void)r;
    if (!stream_executed(s, reply, 2)) {
        return;
    }
    const redisReply *info = reply->element[0];
    if (!stream_is_error(info, "ERR no such key") && !stream_parse_info(info, &view)) {
        stream_refused(s,
                       info->type == REDIS_REPLY_ERROR ? info->str : "XINFO: not what was asked");
        return;
    }
    if (reply->element[1]->type == REDIS_REPLY_ERROR) {
        stream_refused(s, reply->element[1]->str);
        return;
    }
    take_ack(s, reply->element[1], &view.ack);
    s->phase = STREAM_READY;
    if (!settle_epoch(s, &view)) {
        stream_pause(s, STREAM_PAUSE_MAX);
        return;
    }
    if (!view.ack.wanting) {
        s->wanting = false;
        set_cursor(s, &view);
    } else if (!obey_want(s, &view)) {
        stream_pause(s, STREAM_PAUSE_MIN);
        return;
    }
    stream_measure(s, &view);
    if (s->again > 0) {
        /* Redis refused what its own answer says it should take. */
        stream_pause(s, s->pause_next.ns);
        s->again = 0;
        return;
    }
    go_on(s);
}

/* What does Redis hold? */
static void
ask(struct stream *s)
{
    const char *info[3] = {"XINFO", "STREAM", s->key};

    s->phase = STREAM_ASKING;
    s->asked_at = mono_now();
    stream_begin(s);
    stream_command(s, 3, info, NULL);
    stream_end(s, on_view);
}

static void
on_state(struct redis *r, enum redis_state state, const char *why, void *aux)
{
    struct stream *s = aux;

    (void)r;
    if (state == REDIS_UP) {
        log_info("stream %s: connected", s->source);
        s->health.connected = true;
        s->pause_next.ns = STREAM_PAUSE_MIN;
        s->again = 0;
        ask(s);
        return;
    }
    if (state == REDIS_DOWN) {
        if (s->health.connected || strcmp(s->health.last_error, why) != 0) {
            log_warnx("stream %s: no Redis: %s", s->source, why);
        }
        stream_set_error(s, why);
    }
    s->health.connected = s->health.is_full = false;
    s->phase = STREAM_OFFLINE;
    event_del(s->pause);
}

static void
on_tick(evutil_socket_t fd, short what, void *aux)
{
    struct stream *s = aux;

    (void)fd;
    (void)what;
    if (s->phase == STREAM_READY && s->health.is_full) {
        ask(s);
    } else if (s->phase == STREAM_READY) {
        poll_ack(s);
    }
}

static void
on_pause(evutil_socket_t fd, short what, void *aux)
{
    struct stream *s = aux;

    (void)fd;
    (void)what;
    if (s->phase == STREAM_PAUSED) {
        ask(s);
    }
}

static void
on_kick(evutil_socket_t fd, short what, void *aux)
{
    (void)fd;
    (void)what;
    go_on(aux);
}

static void
on_wait_first(evutil_socket_t fd, short what, void *aux)
{
    struct stream *s = aux;

    (void)fd;
    (void)what;
    if (!s->open && open_above(s, (struct position){0, 0})) {
        tell_open(s);
    }
}

static char *
make_key(const char *source, const char *suffix)
{
    char *key;
    return asprintf(&key, "pl:{%s}:%s", source, suffix) < 0 ? NULL : key;
}

struct stream *
stream_new(struct event_base *base, struct spool *spool, const struct stream_config *config,
           stream_open_fn *on_open, void *aux)
{
    struct stream *s = calloc(1, sizeof(*s));
    struct timeval second = {1, 0};

    if (!s) {
        return NULL;
    }
    s->base = base;
    s->spool = spool;
    s->now = config->now ? config->now : instant_now;
    s->on_open = on_open;
    s->aux = aux;
    s->start_due = true;
    s->pause_next.ns = STREAM_PAUSE_MIN;
    s->started_at = s->now();
    s->taken = spool_acked(spool);
    quota_init(&s->quota, config->bytes_max);
    s->bytes_for = config->bytes_for;
    s->full_bucket = (struct log_bucket){.burst = 1, .every = span_of_ns(60 * NS_PER_S)};
    s->source = strdup(config->source);
    s->release = strdup(config->release ? config->release : "");
    s->key = make_key(config->source, "t");
    s->ack_key = make_key(config->source, "ack");
    s->tick = event_new(base, -1, EV_PERSIST, on_tick, s);
    s->pause = evtimer_new(base, on_pause, s);
    s->kick = evtimer_new(base, on_kick, s);
    s->wait_first = evtimer_new(base, on_wait_first, s);
    s->redis = redis_new(base, &config->redis, on_state, s);
    if (!s->source || !s->release || !s->key || !s->ack_key || !s->tick || !s->pause || !s->kick ||
        !s->wait_first || !s->redis) {
        stream_free(s);
        return NULL;
    }
    event_add(s->tick, &second);
    stream_timer_set(s->wait_first, config->wait_first.ns);
    return s;
}

static void
event_drop(struct event *e)
{
    if (e) {
        event_free(e);
    }
}

void
stream_free(struct stream *s)
{
    if (!s) {
        return;
    }
    redis_free(s->redis);
    event_drop(s->tick);
    event_drop(s->pause);
    event_drop(s->kick);
    event_drop(s->wait_first);
    free(s->source);
    free(s->release);
    free(s->key);
    free(s->ack_key);
    free(s);
}

bool
stream_is_open(const struct stream *s)
{
    return s->open;
}

void
stream_epoch_start(const struct stream *s, Plumbline__Telemetry__EpochStart *out)
{
    struct position previous = spool_previous(s->spool);

    plumbline__telemetry__epoch_start__init(out);
    out->epoch = spool_upcoming(s->spool).epoch;
    out->previous_epoch = previous.epoch;
    out->previous_last_sequence = previous.sequence;
    out->release = s->release;
    out->started_at_ns = s->started_at.ns;
}

/* The caller's first batch, with the EpochStart that is right now: the epoch may
 * be another than when the batch was made, and may have its first entry
 * already. */
static int
append_first(struct stream *s, const void *bytes, size_t size, struct instant from,
             struct instant until, struct position *position)
{
    Plumbline__Telemetry__Batch *batch = plumbline__telemetry__batch__unpack(NULL, size, bytes);
    Plumbline__Telemetry__EpochStart start, *was;
    int err = -ENOMEM;

    if (!batch) {
        return -EINVAL;
    }
    was = batch->epoch_start;
    stream_epoch_start(s, &start);
    batch->epoch_start = spool_upcoming(s->spool).sequence == 0 ? &start : NULL;
    size_t room = plumbline__telemetry__batch__get_packed_size(batch);
    uint8_t *packed = room <= SPOOL_RECORD_MAX ? malloc(room ? room : 1) : NULL;
    if (packed) {
        plumbline__telemetry__batch__pack(batch, packed);
        err = spool_append(s->spool, packed, room, from, until, position);
        free(packed);
    }
    batch->epoch_start = was;
    plumbline__telemetry__batch__free_unpacked(batch, NULL);
    return err;
}

int
stream_append(struct stream *s, const void *bytes, size_t size, struct instant from,
              struct instant until)
{
    struct position position;
    int err;

    if (!s->open) {
        return -EBUSY;
    }
    if (s->start_due) {
        err = append_first(s, bytes, size, from, until, &position);
        s->start_due = err != 0;
    } else {
        err = spool_append(s->spool, bytes, size, from, until, &position);
    }
    if (!err && s->phase == STREAM_READY && !evtimer_pending(s->kick, NULL)) {
        stream_timer_set(s->kick, 0);
    }
    return err;
}

void
stream_on_ask(struct stream *s, stream_ask_fn *on_ask, void *aux)
{
    s->on_ask = on_ask;
    s->ask_aux = aux;
}

void
stream_health(const struct stream *s, struct stream_health *out)
{
    *out = s->health;
    out->sent = s->taken;
    out->bytes = s->quota.bytes;
    out->acked = spool_acked(s->spool);
    out->caught_up =
        s->health.connected && s->open && position_compare(s->taken, spool_last(s->spool)) >= 0;
}
