/* test_redis.c - commands out, replies in order, and what happens when the server
 * goes away, says nothing, says nonsense, or announces a gigabyte. */
#include "redis.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <event2/listener.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "folder.h"
#include "log.h"
#include "redis_server.h"
#include "resp.h"

static struct redis_server server;
static unsigned ups, downs;
static char last_why[200];

static void
note_state(struct redis *r, enum redis_state state, const char *why, void *aux)
{
    (void)r;
    (void)aux;
    ups += state == REDIS_UP;
    downs += state == REDIS_DOWN;
    if (state == REDIS_DOWN) {
        snprintf(last_why, sizeof last_why, "%s", why);
    }
}

static struct redis_config
config_for(const char *address)
{
    ups = downs = 0;
    last_why[0] = '\0';
    return (struct redis_config){.address = address, .timeout = {2 * NS_PER_S}};
}

/* From one turn of the loop to the next, at most: when the machine let us wait. */
static int64_t longest_turn_ns;

/* Turns the loop until '*count' is at least 'least', for a minute at most. */
static bool
turn_until(struct event_base *base, const unsigned *count, unsigned least)
{
    struct span turn = mono_now(), end = {turn.ns + 60 * NS_PER_S};

    while (*count < least && mono_now().ns < end.ns) {
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        usleep(500);
        int64_t took = mono_now().ns - turn.ns;
        longest_turn_ns = took > longest_turn_ns ? took : longest_turn_ns;
        turn = mono_now();
    }
    return *count >= least;
}

static void
replies_come_in_order(void)
{
    struct event_base *base = event_base_new();
    struct redis_config config = config_for(redis_server_address());
    struct redis *r = redis_new(base, &config, note_state, NULL);
    struct span wait = {2 * NS_PER_S};
    const char *multi[] = {"MULTI"}, *exec[] = {"EXEC"}, *echo[] = {"ECHO", "a\0b"},
               *get[] = {"GET", "none"}, *wrong[] = {"NONSENSE"};
    size_t sizes[] = {4, 3};

    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    redisReply *a = redis_call(r, wait, 2, echo, sizes);
    CU_ASSERT_FATAL(a != NULL);
    CU_ASSERT(a->type == REDIS_REPLY_STRING && a->len == 3 && memcmp(a->str, "a\0b", 3) == 0);
    freeReplyObject(a);
    CU_ASSERT_EQUAL(redis_command(r, NULL, NULL, 1, multi, NULL), 0);
    CU_ASSERT_EQUAL(redis_command(r, NULL, NULL, 2, echo, sizes), 0);
    CU_ASSERT_EQUAL(redis_command(r, NULL, NULL, 2, get, NULL), 0);
    a = redis_call(r, wait, 1, exec, NULL);
    CU_ASSERT_FATAL(a != NULL && a->type == REDIS_REPLY_ARRAY && a->elements == 2);
    CU_ASSERT_EQUAL(a->element[0]->type, REDIS_REPLY_STRING);
    CU_ASSERT_EQUAL(a->element[1]->type, REDIS_REPLY_NIL);
    freeReplyObject(a);
    a = redis_call(r, wait, 1, wrong, NULL);
    CU_ASSERT_FATAL(a != NULL && a->type == REDIS_REPLY_ERROR);
    freeReplyObject(a);
    CU_ASSERT_EQUAL(ups, 1);
    CU_ASSERT_EQUAL(downs, 0);
    redis_free(r);
    event_base_free(base);
}

static void
user_and_password_are_given(void)
{
    struct event_base *base = event_base_new();
    struct redis_config config = config_for(redis_server_address());
    struct span wait = {2 * NS_PER_S};
    const char *get[] = {"GET", "pl:{pop-a}:ack"}, *other[] = {"GET", "pl:{pop-b}:ack"};

    config.user = "pop-a";
    config.password_file = in_folder("password");
    struct redis *r = redis_new(base, &config, note_state, NULL);
    redisReply *a = redis_call(r, wait, 2, get, NULL);
    CU_ASSERT_FATAL(a != NULL && a->type == REDIS_REPLY_NIL);
    freeReplyObject(a);
    a = redis_call(r, wait, 2, other, NULL);
    CU_ASSERT_FATAL(a != NULL && a->type == REDIS_REPLY_ERROR);
    freeReplyObject(a);
    redis_free(r);

    write_whole(in_folder("wrong"), "not it", 6);
    config.password_file = in_folder("wrong");
    ups = downs = 0;
    r = redis_new(base, &config, note_state, NULL);
    CU_ASSERT_TRUE(turn_until(base, &downs, 2));
    CU_ASSERT_EQUAL(ups, 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(last_why, "WRONGPASS"));
    redis_free(r);
    event_base_free(base);
}

static unsigned nulls, answers, calls;

static void
count_reply(struct redis *r, const redisReply *reply, void *aux)
{
    (void)r;
    (void)aux;
    nulls += reply == NULL;
    answers += reply != NULL;
    calls++;
}

static void
dead_server_is_told_to_who_waits_and_comes_back(void)
{
    struct event_base *base = event_base_new();
    struct redis_config config = config_for(redis_server_address());
    struct redis *r = redis_new(base, &config, note_state, NULL);
    const char *ping[] = {"PING"};

    nulls = answers = 0;
    CU_ASSERT_EQUAL(redis_command(r, count_reply, NULL, 1, ping, NULL), -ENOTCONN);
    CU_ASSERT_TRUE(turn_until(base, &ups, 1));
    kill(server.pid, SIGSTOP); /* So that it answers neither before it is dead. */
    CU_ASSERT_EQUAL(redis_command(r, count_reply, NULL, 1, ping, NULL), 0);
    CU_ASSERT_EQUAL(redis_command(r, count_reply, NULL, 1, ping, NULL), 0);
    event_base_loop(base, EVLOOP_NONBLOCK);
    redis_server_kill(&server);
    CU_ASSERT_TRUE(turn_until(base, &downs, 1));
    CU_ASSERT_EQUAL(nulls, 2);
    CU_ASSERT_EQUAL(answers, 0);
    CU_ASSERT_EQUAL(redis_command(r, count_reply, NULL, 1, ping, NULL), -ENOTCONN);
    redis_server_start(&server);
    CU_ASSERT_TRUE(turn_until(base, &ups, 2));
    CU_ASSERT_EQUAL(redis_command(r, count_reply, NULL, 1, ping, NULL), 0);
    unsigned before = answers;
    CU_ASSERT_TRUE(turn_until(base, &answers, before + 1));
    redis_free(r);
    event_base_free(base);
}

/* A server that says what it is told to. */
struct liar {
    struct evconnlistener *listener;
    const char *says;
    char address[64];
    struct bufferevent *open[4];
    unsigned count;
};

static void
liar_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *a, int size, void *aux)
{
    struct liar *liar = aux;

    (void)a;
    (void)size;
    struct bufferevent *b =
        bufferevent_socket_new(evconnlistener_get_base(l), fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_enable(b, EV_READ | EV_WRITE);
    bufferevent_write(b, liar->says, strlen(liar->says));
    /* It stays open: silence. */
    CU_ASSERT_FATAL(liar->count < 4);
    liar->open[liar->count++] = b;
}

static void
liar_start(struct liar *l, struct event_base *base, const char *says)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    union {
        struct sockaddr_in *in;
        struct sockaddr *any;
    } address = {.in = &in};
    socklen_t size = sizeof in;

    *l = (struct liar){.says = says};
    l->listener = evconnlistener_new_bind(base, liar_accept, l, LEV_OPT_CLOSE_ON_FREE, 8,
                                          address.any, (int)size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l->listener);
    getsockname(evconnlistener_get_fd(l->listener), address.any, &size);
    snprintf(l->address, sizeof l->address, "127.0.0.1:%u", ntohs(in.sin_port));
}

static void
liars_end(const char *says, const char *why)
{
    struct event_base *base = event_base_new();
    struct liar liar;

    liar_start(&liar, base, says);
    struct redis_config config = config_for(liar.address);
    config.timeout.ns = 300 * NS_PER_MS;
    struct redis *r = redis_new(base, &config, note_state, NULL);
    const char *ping[] = {"PING"};
    CU_ASSERT_PTR_NOT_NULL_FATAL(r);
    nulls = answers = 0;
    CU_ASSERT_TRUE(turn_until(base, &ups, 1));
    redis_command(r, count_reply, NULL, 1, ping, NULL);
    CU_ASSERT_TRUE(turn_until(base, &downs, 1));
    CU_ASSERT_PTR_NOT_NULL(strstr(last_why, why));
    CU_ASSERT_EQUAL(nulls, 1);
    redis_free(r);
    while (liar.count > 0) {
        bufferevent_free(liar.open[--liar.count]);
    }
    evconnlistener_free(liar.listener);
    event_base_free(base);
}

#define THIN_BYTES (12u << 20)

static void
thin_read(struct bufferevent *b, void *aux)
{
    size_t *had = aux;
    struct evbuffer *input = bufferevent_get_input(b);

    *had += evbuffer_get_length(input);
    evbuffer_drain(input, evbuffer_get_length(input));
    if (*had > THIN_BYTES) {
        bufferevent_write(b, "+OK\r\n", 5);
        *had = 0;
    }
}

/* A line on which one command takes ten times the time-out.  Both ends are ours, so
 * when we are not let run it is as if the line stood still: false then. */
static bool
thin_line_held(void)
{
    struct event_base *base = event_base_new();
    struct timeval tick = {0, 50000};
    struct ev_token_bucket_cfg *rate =
        ev_token_bucket_cfg_new(200u << 10, 200u << 10, 200u << 10, 200u << 10, &tick);
    struct liar liar;
    size_t had = 0, sizes[] = {3, 1, THIN_BYTES};
    char *bytes = calloc(1, THIN_BYTES);
    const char *set[] = {"SET", "k", bytes};

    liar_start(&liar, base, "");
    struct redis_config config = config_for(liar.address);
    config.timeout.ns = 300 * NS_PER_MS;
    struct redis *r = redis_new(base, &config, note_state, NULL);
    CU_ASSERT_TRUE(turn_until(base, &ups, 1) && turn_until(base, &liar.count, 1));
    bufferevent_set_rate_limit(liar.open[0], rate);
    bufferevent_setcb(liar.open[0], thin_read, NULL, NULL, &had);
    nulls = answers = calls = 0;
    longest_turn_ns = 0;
    struct span start = mono_now();
    CU_ASSERT_EQUAL(redis_command(r, count_reply, NULL, 3, set, sizes), 0);
    CU_ASSERT_TRUE(turn_until(base, &calls, 1));
    bool held = nulls == 0 && downs == 0;
    if (held) {
        CU_ASSERT(mono_now().ns - start.ns > 900 * NS_PER_MS);
        /* And when it stops taking anything it is given up. */
        bufferevent_disable(liar.open[0], EV_READ);
        CU_ASSERT_EQUAL(redis_command(r, count_reply, NULL, 3, set, sizes), 0);
        CU_ASSERT_TRUE(turn_until(base, &downs, 1));
    }
    redis_free(r);
    while (liar.count > 0) {
        bufferevent_free(liar.open[--liar.count]);
    }
    evconnlistener_free(liar.listener);
    event_base_free(base);
    ev_token_bucket_cfg_free(rate);
    free(bytes);
    return held;
}

static void
thin_line_is_given_its_time(void)
{
    bool held = false;

    for (int i = 0; i < 20 && !held; i++) {
        held = thin_line_held();
        if (!held && longest_turn_ns < 100 * NS_PER_MS) {
            break; /* Nobody kept us from running. */
        }
    }
    CU_ASSERT_TRUE(held);
}

static void
silence_times_out(void)
{
    liars_end("", "timed out");
}

static void
nonsense_resets_the_connection(void)
{
    liars_end("HTTP/1.1 200 OK\r\n", "Protocol error");
}

static void
refused_connection_is_tried_again_with_pauses(void)
{
    struct event_base *base = event_base_new();
    struct redis_config config = config_for("127.0.0.1:1");
    struct redis *r = redis_new(base, &config, note_state, NULL);
    struct span start = mono_now();

    CU_ASSERT_TRUE(turn_until(base, &downs, 4));
    /* 100 + 200 + 400 ms, less a quarter of each. */
    CU_ASSERT(mono_now().ns - start.ns >= 500 * NS_PER_MS);
    CU_ASSERT_EQUAL(ups, 0);
    redis_free(r);
    event_base_free(base);
}

static void
addresses_that_are_none_are_refused(void)
{
    static const char *const bad[] = {"",           "localhost", ":6379",         "host:0",
                                      "host:65536", "host:12x",  "unix:relative", "host:-1"};
    struct event_base *base = event_base_new();

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct redis_config config = config_for(bad[i]);
        CU_ASSERT_PTR_NULL(redis_new(base, &config, NULL, NULL));
    }
    struct redis_config config = config_for("[::1]:65535");
    struct redis *r = redis_new(base, &config, NULL, NULL);
    CU_ASSERT_PTR_NOT_NULL(r);
    redis_free(r);
    event_base_free(base);
}

static void
output_is_bounded(void)
{
    struct event_base *base = event_base_new();
    struct redis_config config = config_for(redis_server_address());
    struct redis *r = redis_new(base, &config, note_state, NULL);
    size_t size = 8u << 20;
    char *bytes = calloc(1, size);
    const char *set[] = {"SET", "k", bytes};
    size_t sizes[] = {3, 1, size};
    unsigned queued = 0;

    CU_ASSERT_TRUE(turn_until(base, &ups, 1));
    nulls = answers = 0;
    while (redis_command(r, count_reply, NULL, 3, set, sizes) == 0 && queued < 100) {
        queued++;
    }
    CU_ASSERT(queued >= 3 && queued < 5);
    CU_ASSERT_TRUE(turn_until(base, &answers, queued));
    CU_ASSERT_EQUAL(redis_command(r, count_reply, NULL, 3, set, sizes), 0);
    CU_ASSERT_TRUE(turn_until(base, &answers, queued + 1));
    free(bytes);
    redis_free(r);
    event_base_free(base);
}

static void
free_in_a_callback_is_allowed(void)
{
    struct event_base *base = event_base_new();
    struct redis_config config = config_for(redis_server_address());
    struct redis *r = redis_new(base, &config, note_state, NULL);
    const char *ping[] = {"PING"};

    CU_ASSERT_TRUE(turn_until(base, &ups, 1));
    nulls = answers = 0;
    redis_command(r, (redis_reply_fn *)NULL, NULL, 1, ping, NULL);
    redis_command(r, count_reply, NULL, 1, ping, NULL);
    redis_reset(r, "test");
    CU_ASSERT_EQUAL(nulls, 1);
    CU_ASSERT_STRING_EQUAL(last_why, "test");
    CU_ASSERT_TRUE(turn_until(base, &ups, 2));
    redis_free(r);
    event_base_free(base);
}

static int
drop_reply(redisReply *reply, void *aux)
{
    unsigned *count = aux;

    freeReplyObject(reply);
    ++*count;
    return 0;
}

static int
feed(const char *text, size_t bound, unsigned *replies)
{
    struct resp *p = resp_new(bound);
    int err = 0;

    *replies = 0;
    for (size_t i = 0; text[i] && !err; i++) {
        err = resp_feed(p, text + i, 1, drop_reply, replies);
    }
    resp_free(p);
    return err;
}

static long
memory_kib(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static void
announced_sizes_take_no_memory(void)
{
    unsigned replies;
    long before = memory_kib();

    CU_ASSERT_EQUAL(feed("+OK\r\n:1\r\n$3\r\nabc\r\n*2\r\n$-1\r\n*-1\r\n", 1000, &replies), 0);
    CU_ASSERT_EQUAL(replies, 4);
    CU_ASSERT_EQUAL(feed("$1000000000\r\nabc", 1000, &replies), 0);
    CU_ASSERT_EQUAL(feed("*1048576\r\n", 64u << 20, &replies), 0);
    CU_ASSERT_EQUAL(feed("*1048577\r\n", 64u << 20, &replies), -EPROTO);
    CU_ASSERT_EQUAL(feed("*1048576\r\n*1\r\n", 64u << 20, &replies), -EPROTO);
    CU_ASSERT_EQUAL(feed("*250\r\n", 1000, &replies), 0);
    CU_ASSERT_EQUAL(feed("*251\r\n", 1000, &replies), -EPROTO);
    CU_ASSERT_EQUAL(feed("*2147483647\r\n", 1000, &replies), -EPROTO);
    CU_ASSERT_EQUAL(
        feed("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", 1000, &replies),
        -EPROTO);
    CU_ASSERT(memory_kib() - before < 64 << 10);
}

static void
bounds_hold_to_the_byte(void)
{
    char text[200];
    unsigned replies;

    /* 6 bytes of length line, 100 and 2 more: 108 in all, of which all but the
     * last are held while it is not whole. */
    snprintf(text, sizeof text, "$100\r\n%0100d\r\n", 0);
    CU_ASSERT_EQUAL(feed(text, 107, &replies), 0);
    CU_ASSERT_EQUAL(replies, 1);
    CU_ASSERT_EQUAL(feed(text, 106, &replies), -EPROTO);
    CU_ASSERT_EQUAL(replies, 0);
    snprintf(text, sizeof text, "$%0100d", 0);
    CU_ASSERT_EQUAL(feed(text, 1000, &replies), -EPROTO);
    size_t size = RESP_LINE_MAX + 2;
    char *line = malloc(size + 1);
    memset(line, 'a', size);
    line[size] = '\0';
    line[0] = '+';
    /* The '+' is read already. */
    line[size - 1] = '\0';
    CU_ASSERT_EQUAL(feed(line, 1u << 20, &replies), 0);
    line[size - 1] = 'a';
    CU_ASSERT_EQUAL(feed(line, 1u << 20, &replies), -EPROTO);
    free(line);
}

static void
server_starts(void)
{
    redis_server_start(&server);
    CU_ASSERT(server.pid > 0);
}

static void
server_stops(void)
{
    redis_server_kill(&server);
    CU_ASSERT_EQUAL(server.pid, 0);
}

static CU_TestInfo tests[] = {
    {"server_starts", server_starts},
    {"replies_come_in_order", replies_come_in_order},
    {"user_and_password_are_given", user_and_password_are_given},
    {"dead_server_is_told_to_who_waits_and_comes_back",
     dead_server_is_told_to_who_waits_and_comes_back},
    {"thin_line_is_given_its_time", thin_line_is_given_its_time},
    {"silence_times_out", silence_times_out},
    {"nonsense_resets_the_connection", nonsense_resets_the_connection},
    {"refused_connection_is_tried_again_with_pauses",
     refused_connection_is_tried_again_with_pauses},
    {"addresses_that_are_none_are_refused", addresses_that_are_none_are_refused},
    {"output_is_bounded", output_is_bounded},
    {"free_in_a_callback_is_allowed", free_in_a_callback_is_allowed},
    {"announced_sizes_take_no_memory", announced_sizes_take_no_memory},
    {"bounds_hold_to_the_byte", bounds_hold_to_the_byte},
    {"server_stops", server_stops},
    CU_TEST_INFO_NULL,
};

int
main(void)
{
    if (!redis_server_found()) {
        printf("no redis-server\n");
        return 77;
    }
    log_set_level(LOG_LEVEL_ERROR);
    return folder_run_suite("redis", tests);
}
