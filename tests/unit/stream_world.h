/* stream_world.h - a Redis, a libevent and a clock that are none: what stream.c is
 * linked with where a test needs thousands of hours of its life in minutes.
 *
 * Defines the functions of redis.h, event.h and the C library that the stream and the
 * spool call.  Time stands still but for world_run(), which goes from one due thing to
 * the next.  The server does what Redis does with the commands that a source sends:
 * XADD, XINFO, GET in a MULTI; and can lose what it was told last, all of it, its
 * connection before or after it has carried a MULTI out, and its memory. */
#ifndef PLUMBLINE_TEST_STREAM_WORLD_H
#define PLUMBLINE_TEST_STREAM_WORLD_H

#include <event2/event.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>

#include "folder.h"
#include "redis.h"
#include "spool.h"

#define WORLD_ENTRIES_MAX 20000
#define WORLD_TIMERS_MAX 8
#define WORLD_QUEUE_MAX 128

/* --- Time ------------------------------------------------------------------ */

static int64_t world_ns;
static int64_t world_wall_ns; /* Of UTC, when world_ns was 0. */

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int64_t ns = id == CLOCK_REALTIME ? world_wall_ns + world_ns : world_ns;

    ts->tv_sec = ns / NS_PER_S;
    ts->tv_nsec = ns % NS_PER_S;
    return 0;
}

/* Nothing that a test looks for survives it; the disk is spared. */
int
fsync(int fd)
{
    (void)fd;
    return 0;
}

int
fdatasync(int fd)
{
    (void)fd;
    return 0;
}

/* --- libevent: timers ------------------------------------------------------- */

struct event {
    event_callback_fn fn;
    void *arg;
    bool persist, used;
    int64_t due, period; /* due -1: not pending. */
};

static struct event world_timers[WORLD_TIMERS_MAX];

struct event *
event_new(struct event_base *base, evutil_socket_t fd, short what, event_callback_fn fn, void *arg)
{
    (void)base;
    (void)fd;
    for (size_t i = 0; i < WORLD_TIMERS_MAX; i++) {
        if (!world_timers[i].used) {
            world_timers[i] = (struct event){fn, arg, (what & EV_PERSIST) != 0, true, -1, 0};
            return &world_timers[i];
        }
    }
    abort();
}

int
event_add(struct event *e, const struct timeval *tv)
{
    e->period = tv->tv_sec * NS_PER_S + tv->tv_usec * NS_PER_US;
    e->due = world_ns + e->period;
    return 0;
}

int
event_del(struct event *e)
{
    e->due = -1;
    return 0;
}

void
event_free(struct event *e)
{
    e->used = false;
    e->due = -1;
}

int
event_pending(const struct event *e, short what, struct timeval *tv)
{
    (void)what;
    (void)tv;
    return e->due >= 0;
}

/* --- The server -------------------------------------------------------------- */

struct world_entry {
    struct position id;
    uint8_t *bytes; /* Kept until world_begin(). */
    size_t size;
};

struct world_data {
    bool exists;
    struct position top;
    struct world_entry *entries;
    size_t count;
    char ack[160]; /* "": none. */
};

static struct {
    bool up, out_of_memory;
    struct world_data now, second, backup; /* As it is; on disk, a second old at most; older. */
    uint8_t **bytes;                       /* All payloads there were. */
    size_t byte_count, byte_room;
} server;

static void
data_copy(struct world_data *to, const struct world_data *from)
{
    struct world_entry *entries = to->entries;

    memcpy(entries, from->entries, from->count * sizeof *entries);
    *to = *from;
    to->entries = entries;
}

static void
data_clear(struct world_data *d)
{
    d->exists = false;
    d->top = (struct position){0, 0};
    d->count = 0;
    d->ack[0] = '\0';
}

static void
data_delete(struct world_data *d)
{
    d->exists = false;
    d->top = (struct position){0, 0};
    d->count = 0;
}

/* XTRIM MINID: what lies up to 'p' goes. */
static void
data_trim(struct world_data *d, struct position p)
{
    size_t n = 0;

    while (n < d->count && position_compare(d->entries[n].id, p) <= 0) {
        n++;
    }
    d->count -= n;
    memmove(d->entries, d->entries + n, d->count * sizeof *d->entries);
}

static uint8_t *
keep_bytes(const void *bytes, size_t size)
{
    if (server.byte_count == server.byte_room) {
        server.byte_room = server.byte_room ? 2 * server.byte_room : 1024;
        server.bytes = reallocarray(server.bytes, server.byte_room, sizeof *server.bytes);
    }
    uint8_t *copy = malloc(size ? size : 1);
    if (!server.bytes || !copy) {
        abort();
    }
    memcpy(copy, bytes, size);
    server.bytes[server.byte_count++] = copy;
    return copy;
}

/* --- Replies ------------------------------------------------------------------ */

static redisReply *reply_text(int type, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static redisReply *
reply_text(int type, const char *format, ...)
{
    redisReply *r = calloc(1, sizeof *r);
    va_list ap;

    if (!r) {
        abort();
    }
    r->type = type;
    va_start(ap, format);
    int n = vasprintf(&r->str, format, ap);
    va_end(ap);
    if (n < 0) {
        abort();
    }
    r->len = (size_t)n;
    return r;
}

static redisReply *
reply_list(size_t count, ...)
{
    redisReply *r = calloc(1, sizeof *r);
    va_list ap;

    if (!r || !(r->element = calloc(count ? count : 1, sizeof *r->element))) {
        abort();
    }
    r->type = REDIS_REPLY_ARRAY;
    r->elements = count;
    va_start(ap, count);
    for (size_t i = 0; i < count; i++) {
        r->element[i] = va_arg(ap, redisReply *);
    }
    va_end(ap);
    return r;
}

static void
reply_free(redisReply *r)
{
    for (size_t i = 0; i < r->elements; i++) {
        if (r->element[i]) {
            reply_free(r->element[i]);
        }
    }
    free(r->element);
    free(r->str);
    free(r);
}

static redisReply *
reply_id(struct position p)
{
    return reply_text(REDIS_REPLY_STRING, "%" PRIu64 "-%" PRIu64, p.epoch, p.sequence);
}

/* --- Commands ------------------------------------------------------------------- */

struct world_command {
    redis_reply_fn *fn;
    void *aux;
    char verb[8], word[8];
    struct position id;
    uint8_t *bytes;
    size_t size;
};

struct redis {
    redis_state_fn *on_state;
    void *aux;
    enum redis_state state;
    int64_t due; /* Of connecting, or of what is queued. */
    struct world_command queue[WORLD_QUEUE_MAX];
    size_t count;
};

static struct redis *world_client;

struct redis *
redis_new(struct event_base *base, const struct redis_config *config, redis_state_fn *on_state,
          void *aux)
{
    struct redis *r = calloc(1, sizeof *r);

    (void)base;
    (void)config;
    if (r) {
        r->on_state = on_state;
        r->aux = aux;
        r->due = world_ns + (int64_t)random_below(100) * NS_PER_MS;
    }
    return world_client = r;
}

void
redis_free(struct redis *r)
{
    free(r);
    world_client = NULL;
}

enum redis_state
redis_state(const struct redis *r)
{
    return r->state;
}

int
redis_command(struct redis *r, redis_reply_fn *fn, void *aux, size_t argc, const char *const *argv,
              const size_t *sizes)
{
    struct world_command *c = &r->queue[r->count++];

    if (r->count > WORLD_QUEUE_MAX) {
        abort();
    }
    *c = (struct world_command){.fn = fn, .aux = aux};
    snprintf(c->verb, sizeof c->verb, "%s", argv[0]);
    snprintf(c->word, sizeof c->word, "%s", argc > 1 ? argv[1] : "");
    if (strcmp(argv[0], "XADD") == 0) {
        if (sscanf(argv[2], "%" SCNu64 "-%" SCNu64, &c->id.epoch, &c->id.sequence) != 2) {
            abort();
        }
        c->bytes = keep_bytes(argv[4], sizes[4]);
        c->size = sizes[4];
    } else if (strcmp(argv[0], "EXEC") == 0) {
        r->due = world_ns + (int64_t)random_below(20) * NS_PER_MS / 10;
    }
    return 0;
}

/* The connection ends; what was queued may have been carried out or not. */
static void
world_cut(struct redis *r)
{
    struct world_command queue[WORLD_QUEUE_MAX];
    size_t count = r->count;

    if (r->state != REDIS_UP) {
        return;
    }
    memcpy(queue, r->queue, count * sizeof *queue);
    r->count = 0;
    r->state = REDIS_DOWN;
    r->due = world_ns + (int64_t)random_below(2000) * NS_PER_MS;
    for (size_t i = 0; i < count; i++) {
        queue[i].fn(r, NULL, queue[i].aux);
    }
    r->on_state(r, REDIS_DOWN, "cut", r->aux);
}

void
redis_reset(struct redis *r, const char *why)
{
    (void)why;
    world_cut(r);
}

static redisReply *
do_add(const struct world_command *c)
{
    struct world_data *d = &server.now;

    if (d->exists && position_compare(c->id, d->top) <= 0) {
        return reply_text(REDIS_REPLY_ERROR, "ERR The ID specified in XADD is equal or smaller "
                                             "than the target stream top item");
    }
    if (d->count == WORLD_ENTRIES_MAX) {
        abort();
    }
    d->exists = true;
    d->top = c->id;
    d->entries[d->count++] = (struct world_entry){c->id, c->bytes, c->size};
    return reply_id(c->id);
}

static redisReply *
do_info(const char *what)
{
    const struct world_data *d = &server.now;

    if (!d->exists) {
        return reply_text(REDIS_REPLY_ERROR, "ERR no such key");
    }
    if (strcmp(what, "GROUPS") == 0) {
        return reply_list(0);
    }
    redisReply *first = d->count ? reply_list(2, reply_id(d->entries[0].id), reply_list(0))
                                 : reply_text(REDIS_REPLY_NIL, " ");
    return reply_list(4, reply_text(REDIS_REPLY_STRING, "last-generated-id"), reply_id(d->top),
                      reply_text(REDIS_REPLY_STRING, "first-entry"), first);
}

static redisReply *
do_command(const struct world_command *c)
{
    if (strcmp(c->verb, "XADD") == 0) {
        return do_add(c);
    }
    if (strcmp(c->verb, "XINFO") == 0) {
        return do_info(c->word);
    }
    return server.now.ack[0] ? reply_text(REDIS_REPLY_STRING, "%s", server.now.ack)
                             : reply_text(REDIS_REPLY_NIL, " ");
}

/* Carries out MULTI ... EXEC; 'replies' are what came for each. */
static void
do_multi(struct redis *r, redisReply **replies)
{
    size_t last = r->count - 1;
    bool refused = false;

    replies[0] = reply_text(REDIS_REPLY_STATUS, "OK");
    for (size_t i = 1; i < last; i++) {
        bool oom = server.out_of_memory && strcmp(r->queue[i].verb, "XADD") == 0;
        replies[i] = oom ? reply_text(REDIS_REPLY_ERROR, "OOM command not allowed")
                         : reply_text(REDIS_REPLY_STATUS, "QUEUED");
        refused = refused || oom;
    }
    if (refused) {
        replies[last] = reply_text(REDIS_REPLY_ERROR, "EXECABORT Transaction discarded");
        return;
    }
    replies[last] = reply_list(0);
    free(replies[last]->element);
    replies[last]->element = calloc(last, sizeof(redisReply *));
    for (size_t i = 1; i < last; i++) {
        replies[last]->element[replies[last]->elements++] = do_command(&r->queue[i]);
    }
}

/* What is queued is whole: it is carried out and answered, or one of them. */
static void
world_answer(struct redis *r)
{
    struct world_command queue[WORLD_QUEUE_MAX];
    redisReply *replies[WORLD_QUEUE_MAX];
    size_t count = r->count;
    bool lost = random_below(200) == 0;

    if (lost && random_below(2) == 0) {
        world_cut(r); /* Before. */
        return;
    }
    do_multi(r, replies);
    if (lost) {
        world_cut(r); /* After. */
    } else {
        memcpy(queue, r->queue, count * sizeof *queue);
        r->count = 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (!lost) {
            queue[i].fn(r, replies[i], queue[i].aux);
        }
        reply_free(replies[i]);
    }
}

/* --- Going on -------------------------------------------------------------------- */

static bool
client_waits(const struct redis *r)
{
    return r && (r->state == REDIS_UP ? r->count > 0 : server.up);
}

static void
client_turn(struct redis *r)
{
    if (r->state == REDIS_UP) {
        world_answer(r);
    } else {
        r->state = REDIS_UP;
        r->on_state(r, REDIS_UP, "", r->aux);
    }
}

/* Goes to 'until', from one timer or answer to the next. */
static void
world_run(int64_t until)
{
    for (;;) {
        struct event *next = NULL;
        int64_t due = until;
        for (size_t i = 0; i < WORLD_TIMERS_MAX; i++) {
            struct event *e = &world_timers[i];
            if (e->used && e->due >= 0 && e->due < due) {
                next = e;
                due = e->due;
            }
        }
        bool client = client_waits(world_client) && world_client->due < due;
        due = client ? world_client->due : due;
        world_ns = due > world_ns ? due : world_ns;
        if (client) {
            client_turn(world_client);
        } else if (next) {
            next->due = next->persist ? world_ns + next->period : -1;
            next->fn(-1, EV_TIMEOUT, next->arg);
        } else {
            return;
        }
    }
}

/* Killed and started again: what it was told in the last second may be lost. */
static void
server_restart(bool loses)
{
    if (loses) {
        data_copy(&server.now, &server.second);
    }
    server.up = true;
}

static void
server_down(void)
{
    server.up = false;
    if (world_client) {
        world_cut(world_client);
    }
}

/* A new world: an empty server, no timer. */
static void
world_begin(void)
{
    struct world_data *const all[] = {&server.now, &server.second, &server.backup};

    for (size_t i = 0; i < server.byte_count; i++) {
        free(server.bytes[i]);
    }
    server.byte_count = 0;
    for (size_t i = 0; i < 3; i++) {
        if (!all[i]->entries &&
            !(all[i]->entries = calloc(WORLD_ENTRIES_MAX, sizeof *all[i]->entries))) {
            abort();
        }
        data_clear(all[i]);
    }
    server.up = true;
    server.out_of_memory = false;
    memset(world_timers, 0, sizeof world_timers);
    world_ns = NS_PER_S;
    world_wall_ns = INT64_C(1700000000) * NS_PER_S;
}

static void
world_end(void)
{
    world_begin();
    free(server.now.entries);
    free(server.second.entries);
    free(server.backup.entries);
    free(server.bytes);
}

#endif
