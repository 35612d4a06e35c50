/* redis.c - one connection to Redis on a libevent base: up and down, who waits for what,
 * and where it goes next.
 *
 * On redis_nodes.h (where to), redis_link.h (bytes) and redis_queue.h (who waits); before
 * redis_call.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/util.h>

#include "redis_link.h"
#include "redis_parts.h"
#include "resp.h"

#define REPLY_BYTES (64u << 20)
/* More in a row wait as failures do: the cluster does not agree with itself. */
#define REDIRECTS_AT_ONCE 3u
#define BACKOFF_MIN (100 * NS_PER_MS)
#define BACKOFF_MAX (5 * NS_PER_S)

static void redis_connect(struct redis *r);
static void redis_destroy(struct redis *r);

struct timeval
redis_timeval(struct span s)
{
    int64_t us = s.ns > 0 ? (s.ns + NS_PER_US - 1) / NS_PER_US : 0;
    return (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
}

void
redis_enter(struct redis *r)
{
    r->busy++;
}

bool
redis_leave(struct redis *r)
{
    r->busy--;
    if (r->busy == 0 && r->doomed) {
        redis_destroy(r);
        return false;
    }
    return true;
}

static void
tell(struct redis *r, enum redis_state state, const char *why)
{
    if (r->state == state) {
        return;
    }
    r->state = state;
    if (r->on_state && !r->doomed) {
        r->on_state(r, state, why, r->aux);
    }
}

/* When the oldest reply is overdue: not while a thin line still moves bytes. */
static struct span
reply_due(const struct redis *r)
{
    const struct redis_pending *p = redis_queue_first(&r->pending);
    struct span since = p->since.ns > r->moved.ns ? p->since : r->moved;
    return span_of_ns(since.ns + r->timeout.ns);
}

static void
deadline_set(struct redis *r)
{
    const struct redis_pending *p = redis_queue_first(&r->pending);
    struct span due = r->connect_by;

    if (r->state != REDIS_CONNECTING) {
        if (!p || r->state == REDIS_DOWN) {
            event_del(r->deadline);
            return;
        }
        due = reply_due(r);
    }
    struct timeval tv = redis_timeval(span_of_ns(due.ns - mono_now().ns));
    event_add(r->deadline, &tv);
}

/* Takes the connection down, tells all who wait, and sets the time to try
 * again. */
static void
take_down(struct redis *r, const char *why)
{
    struct redis_pending *p;
    char text[256];
    uint16_t jitter = 0;

    if (r->state == REDIS_DOWN) {
        return;
    }
    snprintf(text, sizeof text, "%s", why);
    redis_enter(r);
    r->in_multi = false;
    if (!r->going) {
        r->asking = false;
        r->redirects = 0;
        redis_nodes_go_on(&r->nodes);
    }
    if (r->bev) {
        bufferevent_free(r->bev);
        r->bev = NULL;
    }
    r->state = REDIS_DOWN;
    while ((p = redis_queue_take(&r->pending)) != NULL) {
        if (p->call) {
            p->call->done = true;
            p->call->again = r->going;
        } else if (p->fn && !r->doomed) {
            p->fn(r, NULL, p->aux);
        }
        free(p);
    }
    if (!r->doomed) {
        event_del(r->deadline);
        /* 75 to 125 %, so that many do not come back at once. */
        evutil_secure_rng_get_bytes(&jitter, sizeof jitter);
        struct timeval tv =
            redis_timeval(span_of_ns(r->backoff.ns * 3 / 4 + r->backoff.ns / 2 * jitter / 65536));
        if (r->going && r->redirects <= REDIRECTS_AT_ONCE) {
            tv = redis_timeval(span_of_ns(0));
        }
        event_add(r->retry, &tv);
        r->backoff.ns = r->backoff.ns * 2 < BACKOFF_MAX ? r->backoff.ns * 2 : BACKOFF_MAX;
        if (r->on_state) {
            r->on_state(r, REDIS_DOWN, text, r->aux);
        }
    }
    redis_leave(r);
}

/* Its reply tells nothing: what follows it is moved on if the slot is not there. */
static void
on_asking(struct redis *r, const redisReply *reply, void *aux)
{
    (void)r;
    (void)reply;
    (void)aux;
}

/* Whether 'reply' sends us elsewhere; then we are on our way. */
static bool
redirected(struct redis *r, const redisReply *reply)
{
    struct resp_redirect to;
    char why[320];

    if (reply->type != REDIS_REPLY_ERROR || !resp_redirect(reply->str, &to)) {
        return false;
    }
    if (r->on_redirect) {
        r->on_redirect(r, &to, r->aux);
        return false;
    }
    if (r->nodes.is_unix) {
        return false;
    }
    snprintf(why, sizeof why, "%s", reply->str);
    const struct redis_node *here = redis_nodes_here(&r->nodes);
    if (!redis_nodes_go(&r->nodes, to.host_length ? to.host : here->host,
                        to.host_length ? to.host_length : strlen(here->host), to.port)) {
        return false;
    }
    r->asking = to.ask;
    r->redirects++;
    r->going = true;
    take_down(r, why);
    r->going = false;
    return true;
}

static int
on_reply(redisReply *reply, void *aux)
{
    struct redis *r = aux;
    struct redis_pending *p;

    if (redis_queue_first(&r->pending) && redirected(r, reply)) {
        freeReplyObject(reply);
        return 1;
    }
    p = redis_queue_take(&r->pending);
    if (!p) {
        freeReplyObject(reply);
        take_down(r, "a reply that nobody asked for");
        return 1;
    }
    r->unsent = SIZE_MAX;
    r->answered = true;
    if (r->state == REDIS_UP && p->fn != on_asking) {
        r->backoff.ns = BACKOFF_MIN;
        r->redirects = reply->type == REDIS_REPLY_STATUS ? r->redirects : 0;
    }
    if (p->call) {
        p->call->reply = reply;
        p->call->done = true;
        reply = NULL;
    } else if (p->fn) {
        p->fn(r, reply, p->aux);
    }
    free(p);
    if (reply) {
        freeReplyObject(reply);
    }
    return r->doomed || r->state == REDIS_DOWN;
}

static void
on_read(struct bufferevent *bev, void *aux)
{
    struct redis *r = aux;
    struct evbuffer *input = bufferevent_get_input(bev);
    int err = 0;
    size_t size;

    r->moved = mono_now();
    redis_enter(r);
    while (!err && (size = evbuffer_get_contiguous_space(input)) > 0) {
        const unsigned char *bytes = evbuffer_pullup(input, (ev_ssize_t)size);
        err = resp_feed(r->resp, bytes, size, on_reply, r);
        if (!err) {
            evbuffer_drain(input, size);
        }
    }
    /* After a stop 'bev' is gone already. */
    if (err < 0) {
        take_down(r, resp_error(r->resp));
    }
    if (redis_leave(r) && r->state != REDIS_DOWN) {
        deadline_set(r);
    }
}

static void
on_auth(struct redis *r, const redisReply *reply, void *aux)
{
    (void)aux;
    if (!reply) {
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        char why[160];
        snprintf(why, sizeof why, "AUTH: %s", reply->str);
        take_down(r, why);
        return;
    }
    tell(r, REDIS_UP, "connected");
}

static int
queue_one(struct redis *r, redis_reply_fn *fn, void *aux, struct redis_call *call, size_t argc,
          const char *const *argv, const size_t *sizes)
{
    int err = redis_queue_add(&r->pending, bufferevent_get_output(r->bev), fn, aux, call, argc,
                              argv, sizes);

    if (!err && r->pending.count == 1) {
        deadline_set(r);
    }
    return err;
}

static bool
is_word(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && strncasecmp(text, word, size) == 0;
}

int
redis_submit(struct redis *r, redis_reply_fn *fn, void *aux, struct redis_call *call, size_t argc,
             const char *const *argv, const size_t *sizes)
{
    const char *asking[1] = {"ASKING"};
    size_t size = sizes ? sizes[0] : strlen(argv[0]);
    int err = 0;

    if (r->asking && r->state == REDIS_UP && !r->in_multi) {
        err = queue_one(r, on_asking, NULL, NULL, 1, asking, NULL);
        if (err) {
            return err;
        }
    }
    err = queue_one(r, fn, aux, call, argc, argv, sizes);
    if (!err && is_word(argv[0], size, "MULTI")) {
        r->in_multi = true;
    } else if (!err && (is_word(argv[0], size, "EXEC") || is_word(argv[0], size, "DISCARD"))) {
        r->in_multi = false;
    }
    return err;
}

static int
read_password(const char *path, char *out, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return -errno;
    }
    ssize_t size = read(fd, out, room - 1);
    int err = size < 0 ? -errno : 0;
    close(fd);
    while (size > 0 && (out[size - 1] == '\n' || out[size - 1] == '\r')) {
        size--;
    }
    out[size > 0 ? size : 0] = '\0';
    return err;
}

static void
authenticate(struct redis *r)
{
    char password[1024] = "";
    const char *argv[3] = {"AUTH", r->user, password};
    int err = r->password_file ? read_password(r->password_file, password, sizeof password) : 0;

    if (!err) {
        err = redis_submit(r, on_auth, NULL, NULL, 3, argv, NULL);
    }
    explicit_bzero(password, sizeof password);
    if (err) {
        char why[160];
        snprintf(why, sizeof why, "password file: %s", strerror(-err));
        take_down(r, why);
    }
}

/* A server of TLS 1.3 looks at our certificate when we think that all is well: up
 * is after its first answer, also where no user is to be told. */
static void
on_ping(struct redis *r, const redisReply *reply, void *aux)
{
    (void)aux;
    if (reply) {
        tell(r, REDIS_UP, "connected");
    }
}

static void
say_hello(struct redis *r)
{
    const char *ping[1] = {"PING"};

    if (r->user) {
        authenticate(r);
    } else if (!r->tls.ca_file) {
        tell(r, REDIS_UP, "connected");
    } else if (redis_submit(r, on_ping, NULL, NULL, 1, ping, NULL) != 0) {
        take_down(r, "out of memory");
    }
}

static void
on_event(struct bufferevent *bev, short what, void *aux)
{
    struct redis *r = aux;

    redis_enter(r);
    if (what & BEV_EVENT_CONNECTED) {
        redis_link_ready(bev, r->nodes.is_unix);
        say_hello(r);
    } else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
        char why[200];
        redis_link_why(r->bev, &r->tls, r->answered, what, why, sizeof why);
        take_down(r, why);
    }
    if (redis_leave(r) && r->state != REDIS_DOWN) {
        deadline_set(r);
    }
}

/* Whether bytes went out since this was asked last: what is queued here and in
 * the kernel has become less. */
static bool
output_moves(struct redis *r)
{
    size_t unsent = redis_link_unsent(r->bev);
    bool first = r->unsent == SIZE_MAX;
    bool moves = first ? unsent > 0 : unsent < r->unsent;
    r->unsent = unsent;
    return moves;
}

/* Whether there is a connection, but no TLS on it yet. */
static bool
waits_for_tls(const struct redis *r)
{
    return r->tls.ca_file && !redis_queue_first(&r->pending) && redis_link_is_there(r->bev);
}

static void
on_deadline(evutil_socket_t fd, short what, void *aux)
{
    struct redis *r = aux;
    struct span now = mono_now();

    (void)fd;
    (void)what;
    if (r->state == REDIS_CONNECTING && now.ns >= r->connect_by.ns) {
        take_down(r, waits_for_tls(r) ? "TLS: no answer to our hello (does the server speak TLS "
                                        "on this port?)"
                                      : "connecting timed out");
    } else if (r->state == REDIS_UP && redis_queue_first(&r->pending) &&
               now.ns >= reply_due(r).ns) {
        if (!output_moves(r)) {
            take_down(r, "a reply timed out");
            return;
        }
        r->moved = now;
        deadline_set(r);
    } else {
        deadline_set(r);
    }
}

static void
redis_connect(struct redis *r)
{
    char why[200] = "out of memory";

    resp_free(r->resp);
    r->resp = resp_new(r->reply_bytes);
    r->answered = false;
    r->bev = r->resp ? redis_link_new(r->base, &r->tls, redis_nodes_here(&r->nodes)->host, why,
                                      sizeof why)
                     : NULL;
    r->connect_by = span_of_ns(mono_now().ns + r->timeout.ns);
    r->moved.ns = 0;
    r->unsent = SIZE_MAX;
    redis_enter(r);
    tell(r, REDIS_CONNECTING, "connecting");
    if (r->doomed) {
        redis_leave(r);
        return;
    }
    deadline_set(r);
    if (!r->bev) {
        take_down(r, why);
    } else {
        bufferevent_setcb(r->bev, on_read, NULL, on_event, r);
        bufferevent_enable(r->bev, EV_READ | EV_WRITE);
        if (redis_link_connect(r->bev, &r->dns, &r->nodes) != 0 && r->state != REDIS_DOWN) {
            take_down(r, strerror(errno));
        }
    }
    redis_leave(r);
}

static void
on_retry(evutil_socket_t fd, short what, void *aux)
{
    (void)fd;
    (void)what;
    redis_connect(aux);
}

/* A server that dies must not take us with it, whether or not main thought of
 * it. */
static void
ignore_sigpipe(void)
{
    struct sigaction old;

    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler == SIG_DFL) {
        signal(SIGPIPE, SIG_IGN);
    }
}

struct redis *
redis_new(struct event_base *base, const struct redis_config *config, redis_state_fn *on_state,
          void *aux)
{
    struct redis *r = calloc(1, sizeof(*r));

    if (!r) {
        return NULL;
    }
    ignore_sigpipe();
    r->base = base;
    r->timeout = config->timeout;
    r->reply_bytes = config->reply_bytes ? config->reply_bytes : REPLY_BYTES;
    r->on_state = on_state;
    r->on_redirect = config->on_redirect;
    r->aux = aux;
    r->backoff.ns = BACKOFF_MIN;
    redis_queue_init(&r->pending);
    r->user = config->user ? strdup(config->user) : NULL;
    r->password_file = config->password_file ? strdup(config->password_file) : NULL;
    r->retry = evtimer_new(base, on_retry, r);
    r->deadline = evtimer_new(base, on_deadline, r);
    if (!r->retry || !r->deadline || (config->user && !r->user) ||
        (config->password_file && !r->password_file) || !tls_config_copy(&r->tls, &config->tls) ||
        !redis_nodes_parse(&r->nodes, config->address) || (r->nodes.is_unix && r->tls.ca_file)) {
        redis_destroy(r);
        return NULL;
    }
    /* From the loop, so that no callback comes before redis_new() is back. */
    struct timeval now = {0, 0};
    event_add(r->retry, &now);
    return r;
}

static void
redis_destroy(struct redis *r)
{
    struct redis_pending *p;

    if (r->bev) {
        bufferevent_free(r->bev);
    }
    if (r->dns) {
        evdns_base_free(r->dns, 0);
    }
    while ((p = redis_queue_take(&r->pending)) != NULL) {
        if (p->call) {
            p->call->done = true;
        }
        free(p);
    }
    if (r->retry) {
        event_free(r->retry);
    }
    if (r->deadline) {
        event_free(r->deadline);
    }
    resp_free(r->resp);
    redis_nodes_fini(&r->nodes);
    free(r->user);
    free(r->password_file);
    tls_config_fini(&r->tls);
    free(r);
}

void
redis_free(struct redis *r)
{
    if (!r) {
        return;
    }
    if (r->busy > 0) {
        r->doomed = true;
        return;
    }
    redis_destroy(r);
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
    if (r->state != REDIS_UP) {
        return -ENOTCONN;
    }
    return redis_submit(r, fn, aux, NULL, argc, argv, sizes);
}

void
redis_reset(struct redis *r, const char *why)
{
    take_down(r, why);
}
