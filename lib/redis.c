/* redis.c - one connection to Redis on a libevent base. */
#include "redis.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/dns.h>
#include <event2/util.h>

#include "resp.h"

#define OUTPUT_MAX (32u << 20)
#define PENDING_MAX 65536u
#define REPLY_BYTES (64u << 20)
/* More in a row wait as failures do: the cluster does not agree with itself. */
#define REDIRECTS_AT_ONCE 3u
#define BACKOFF_MIN (100 * NS_PER_MS)
#define BACKOFF_MAX (5 * NS_PER_S)

/* A command that waits for its reply. */
struct pending {
    STAILQ_ENTRY(pending) entry;
    redis_reply_fn *fn;
    void *aux;
    struct call *call; /* Of redis_call(). */
    struct span since; /* Monotonic. */
};

STAILQ_HEAD(pending_list, pending);

struct call {
    redisReply *reply;
    bool done, again; /* again: it was not carried out, another node is to be asked. */
};

/* So many of a cluster are kept in mind: those of the configuration, and the last
 * that were heard of. */
#define NODES_MAX 32u

struct node {
    char *host;
    uint16_t port;
};

struct redis {
    struct event_base *base;
    char *user, *password_file;
    struct node nodes[NODES_MAX];
    unsigned node_count, node_given, node; /* In the configuration; the one in use. */
    unsigned redirects;                    /* In a row, without a reply of another kind. */
    bool going;                            /* The connection is taken down to go to another node. */
    bool asking, in_multi;
    bool is_unix;
    struct tls_config tls; /* Strings are ours. */
    bool answered;         /* The connection that is up has brought a reply. */
    struct span timeout;
    size_t reply_bytes;
    redis_state_fn *on_state;
    void (*on_redirect)(struct redis *r, const struct resp_redirect *to, void *aux);
    void *aux;

    enum redis_state state;
    struct bufferevent *bev;
    struct evdns_base *dns;
    struct resp *resp;
    struct event *retry;    /* Connects again. */
    struct event *deadline; /* Of connecting, or of the oldest reply. */
    struct span connect_by; /* Monotonic. */
    struct span moved;      /* Monotonic: when bytes were last seen to move. */
    size_t unsent;          /* Bytes that the peer did not have then; SIZE_MAX: not looked. */
    struct span backoff;
    struct pending_list pending;
    unsigned pending_count;

    unsigned busy; /* Callbacks under way. */
    bool doomed;   /* redis_free() was called in one. */
};

static void redis_connect(struct redis *r);
static void redis_destroy(struct redis *r);

static struct timeval
to_timeval(struct span s)
{
    int64_t us = s.ns > 0 ? (s.ns + NS_PER_US - 1) / NS_PER_US : 0;
    return (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
}

static void
enter(struct redis *r)
{
    r->busy++;
}

/* Ends a stretch in which callbacks may have called redis_free(); false if they
 * did and 'r' is no more. */
static bool
leave(struct redis *r)
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
    const struct pending *p = STAILQ_FIRST(&r->pending);
    struct span since = p->since.ns > r->moved.ns ? p->since : r->moved;
    return span_of_ns(since.ns + r->timeout.ns);
}

static void
deadline_set(struct redis *r)
{
    const struct pending *p = STAILQ_FIRST(&r->pending);
    struct span due = r->connect_by;

    if (r->state != REDIS_CONNECTING) {
        if (!p || r->state == REDIS_DOWN) {
            event_del(r->deadline);
            return;
        }
        due = reply_due(r);
    }
    struct timeval tv = to_timeval(span_of_ns(due.ns - mono_now().ns));
    event_add(r->deadline, &tv);
}

/* Takes the connection down, tells all who wait, and sets the time to try
 * again. */
static void
take_down(struct redis *r, const char *why)
{
    struct pending *p;
    char text[256];
    uint16_t jitter = 0;

    if (r->state == REDIS_DOWN) {
        return;
    }
    snprintf(text, sizeof text, "%s", why);
    enter(r);
    r->in_multi = false;
    if (!r->going) {
        r->asking = false;
        r->redirects = 0;
        r->node = (r->node + 1) % r->node_count;
    }
    if (r->bev) {
        bufferevent_free(r->bev);
        r->bev = NULL;
    }
    r->state = REDIS_DOWN;
    while ((p = STAILQ_FIRST(&r->pending)) != NULL) {
        STAILQ_REMOVE_HEAD(&r->pending, entry);
        r->pending_count--;
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
            to_timeval(span_of_ns(r->backoff.ns * 3 / 4 + r->backoff.ns / 2 * jitter / 65536));
        if (r->going && r->redirects <= REDIRECTS_AT_ONCE) {
            tv = to_timeval(span_of_ns(0));
        }
        event_add(r->retry, &tv);
        r->backoff.ns = r->backoff.ns * 2 < BACKOFF_MAX ? r->backoff.ns * 2 : BACKOFF_MAX;
        if (r->on_state) {
            r->on_state(r, REDIS_DOWN, text, r->aux);
        }
    }
    leave(r);
}

/* Its reply tells nothing: what follows it is moved on if the slot is not there. */
static void
on_asking(struct redis *r, const redisReply *reply, void *aux)
{
    (void)r;
    (void)reply;
    (void)aux;
}

/* The node of that address among those in mind; the oldest that was only heard of
 * gives way.  false: out of memory. */
static bool
go_to(struct redis *r, const char *host, size_t length, uint16_t port)
{
    for (unsigned i = 0; i < r->node_count; i++) {
        if (r->nodes[i].port == port && strlen(r->nodes[i].host) == length &&
            memcmp(r->nodes[i].host, host, length) == 0) {
            r->node = i;
            return true;
        }
    }
    char *copy = strndup(host, length);
    if (!copy) {
        return false;
    }
    unsigned at = r->node_count;
    if (at == NODES_MAX) {
        at = r->node_given < NODES_MAX ? r->node_given : NODES_MAX - 1;
        free(r->nodes[at].host);
        memmove(&r->nodes[at], &r->nodes[at + 1], (NODES_MAX - 1 - at) * sizeof r->nodes[0]);
        at = NODES_MAX - 1;
    } else {
        r->node_count++;
    }
    r->nodes[at] = (struct node){copy, port};
    r->node = at;
    return true;
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
    if (r->is_unix) {
        return false;
    }
    snprintf(why, sizeof why, "%s", reply->str);
    const struct node *here = &r->nodes[r->node];
    if (!go_to(r, to.host_length ? to.host : here->host,
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
    struct pending *p = STAILQ_FIRST(&r->pending);

    if (p && redirected(r, reply)) {
        freeReplyObject(reply);
        return 1;
    }

    if (!p) {
        freeReplyObject(reply);
        take_down(r, "a reply that nobody asked for");
        return 1;
    }
    STAILQ_REMOVE_HEAD(&r->pending, entry);
    r->pending_count--;
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
    enter(r);
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
    if (leave(r) && r->state != REDIS_DOWN) {
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
queue_one(struct redis *r, redis_reply_fn *fn, void *aux, struct call *call, size_t argc,
          const char *const *argv, const size_t *sizes)
{
    char *bytes = NULL;
    /* hiredis takes a pointer to pointers that it does not write through. */
    union {
        const char *const *from;
        const char **to;
    } args = {.from = argv};
    struct evbuffer *output = bufferevent_get_output(r->bev);
    size_t queued = evbuffer_get_length(output);

    for (size_t i = 0; i < argc; i++) {
        queued += sizes ? sizes[i] : strlen(argv[i]);
    }
    if (r->pending_count >= PENDING_MAX || queued > OUTPUT_MAX) {
        return -EAGAIN;
    }
    struct pending *p = malloc(sizeof(*p));
    int size = p ? redisFormatCommandArgv(&bytes, (int)argc, args.to, sizes) : -1;
    if (size < 0 || evbuffer_add(output, bytes, (size_t)size) != 0) {
        free(bytes);
        free(p);
        return -ENOMEM;
    }
    free(bytes);
    *p = (struct pending){.fn = fn, .aux = aux, .call = call, .since = mono_now()};
    STAILQ_INSERT_TAIL(&r->pending, p, entry);
    if (r->pending_count++ == 0) {
        deadline_set(r);
    }
    return 0;
}

static bool
is_word(const char *text, size_t size, const char *word)
{
    return size == strlen(word) && strncasecmp(text, word, size) == 0;
}

/* While a slot moves, each command and each MULTI asks for it. */
static int
queue_command(struct redis *r, redis_reply_fn *fn, void *aux, struct call *call, size_t argc,
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
        err = queue_command(r, on_auth, NULL, NULL, 3, argv, NULL);
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
    } else if (queue_command(r, on_ping, NULL, NULL, 1, ping, NULL) != 0) {
        take_down(r, "out of memory");
    }
}

/* Why a connection ended by itself. */
static void
say_why(struct redis *r, short what, char *why, size_t size)
{
    int err = EVUTIL_SOCKET_ERROR(), dns = bufferevent_socket_get_dns_error(r->bev);
    struct ssl_st *ssl = r->tls.ca_file ? bufferevent_openssl_get_ssl(r->bev) : NULL;

    if (ssl && tls_failure(ssl, bufferevent_get_openssl_error(r->bev), why, size)) {
        return;
    }
    if (dns) {
        snprintf(why, size, "%s", evutil_gai_strerror(dns));
    } else if (ssl && !r->answered && ((what & BEV_EVENT_EOF) || tls_is_up(ssl))) {
        /* Its alert is lost when it closes with our bytes unread. */
        snprintf(why, size, "TLS: the server ended the connection%s",
                 r->tls.cert_file ? "; does it trust our cert_file, and is that still valid?"
                                  : "; it wants a client certificate: cert_file and key_file");
    } else if (what & BEV_EVENT_EOF) {
        snprintf(why, size, "closed by the server");
    } else {
        snprintf(why, size, "%s", evutil_socket_error_to_string(err));
    }
}

static void
on_event(struct bufferevent *bev, short what, void *aux)
{
    struct redis *r = aux;

    enter(r);
    if (what & BEV_EVENT_CONNECTED) {
        evutil_socket_t fd = bufferevent_getfd(bev);
        int one = 1;
        if (!r->is_unix) {
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        }
        say_hello(r);
    } else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
        char why[200];
        say_why(r, what, why, sizeof why);
        take_down(r, why);
    }
    if (leave(r) && r->state != REDIS_DOWN) {
        deadline_set(r);
    }
}

/* Whether bytes went out since this was asked last: what is queued here and in
 * the kernel has become less. */
static bool
output_moves(struct redis *r)
{
    size_t unsent = evbuffer_get_length(bufferevent_get_output(r->bev));
    int kernel = 0;

    if (ioctl(bufferevent_getfd(r->bev), SIOCOUTQ, &kernel) == 0 && kernel > 0) {
        unsent += (size_t)kernel;
    }
    bool first = r->unsent == SIZE_MAX;
    bool moves = first ? unsent > 0 : unsent < r->unsent;
    r->unsent = unsent;
    return moves;
}

/* Whether there is a connection, but no TLS on it yet. */
static bool
waits_for_tls(const struct redis *r)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    union {
        struct sockaddr_storage *storage;
        struct sockaddr *any;
    } to = {.storage = &peer};

    return r->tls.ca_file && STAILQ_EMPTY(&r->pending) &&
           getpeername(bufferevent_getfd(r->bev), to.any, &size) == 0;
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
    } else if (r->state == REDIS_UP && !STAILQ_EMPTY(&r->pending) && now.ns >= reply_due(r).ns) {
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

static int
start_connect(struct redis *r)
{
    if (r->is_unix) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        union {
            const struct sockaddr_un *un;
            const struct sockaddr *any;
        } address = {.un = &un};
        union {
            const struct sockaddr *from;
            struct sockaddr *to;
        } unconst = {.from = address.any};
        memcpy(un.sun_path, r->nodes[r->node].host, strlen(r->nodes[r->node].host) + 1);
        return bufferevent_socket_connect(r->bev, unconst.to, (int)sizeof un);
    }
    struct in6_addr ip;
    bool numeric = inet_pton(AF_INET, r->nodes[r->node].host, &ip) == 1 ||
                   inet_pton(AF_INET6, r->nodes[r->node].host, &ip) == 1;
    if (!numeric && !r->dns) {
        r->dns = evdns_base_new(r->base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
                                             EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    }
    return bufferevent_socket_connect_hostname(r->bev, numeric ? NULL : r->dns, AF_UNSPEC,
                                               r->nodes[r->node].host, r->nodes[r->node].port);
}

/* NULL, and why. */
static struct bufferevent *
new_bufferevent(struct redis *r, char *why, size_t size)
{
    struct bufferevent *bev;

    snprintf(why, size, "out of memory");
    if (!r->tls.ca_file) {
        return bufferevent_socket_new(r->base, -1, BEV_OPT_CLOSE_ON_FREE);
    }
    struct ssl_st *ssl = tls_session(&r->tls, r->nodes[r->node].host, why, size);
    if (!ssl) {
        return NULL;
    }
    bev = bufferevent_openssl_socket_new(r->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING,
                                         BEV_OPT_CLOSE_ON_FREE);
    if (bev) {
        /* Redis does not say goodbye. */
        bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
    }
    return bev;
}

static void
redis_connect(struct redis *r)
{
    char why[200] = "out of memory";

    resp_free(r->resp);
    r->resp = resp_new(r->reply_bytes);
    r->answered = false;
    r->bev = r->resp ? new_bufferevent(r, why, sizeof why) : NULL;
    r->connect_by = span_of_ns(mono_now().ns + r->timeout.ns);
    r->moved.ns = 0;
    r->unsent = SIZE_MAX;
    enter(r);
    tell(r, REDIS_CONNECTING, "connecting");
    if (r->doomed) {
        leave(r);
        return;
    }
    deadline_set(r);
    if (!r->bev) {
        take_down(r, why);
    } else {
        bufferevent_setcb(r->bev, on_read, NULL, on_event, r);
        bufferevent_enable(r->bev, EV_READ | EV_WRITE);
        if (start_connect(r) != 0 && r->state != REDIS_DOWN) {
            take_down(r, strerror(errno));
        }
    }
    leave(r);
}

static void
on_retry(evutil_socket_t fd, short what, void *aux)
{
    (void)fd;
    (void)what;
    redis_connect(aux);
}

/* "host:port" or "[v6]:port", of that length. */
static bool
parse_node(struct redis *r, const char *host, size_t length)
{
    const char *colon = memrchr(host, ':', length);
    unsigned long port = 0;

    if (!colon || colon == host || r->node_count == NODES_MAX) {
        return false;
    }
    for (const char *c = colon + 1; c < host + length; c++) {
        if (*c < '0' || *c > '9' || port > UINT16_MAX) {
            return false;
        }
        port = port * 10 + (unsigned long)(*c - '0');
    }
    if (port == 0 || port > UINT16_MAX) {
        return false;
    }
    length = (size_t)(colon - host);
    if (*host == '[' && length > 2 && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    return go_to(r, host, length, (uint16_t)port);
}

/* "unix:/path", or nodes with commas between. */
static bool
parse_address(struct redis *r, const char *address)
{
    struct sockaddr_un un;

    if (strncmp(address, "unix:", 5) == 0) {
        r->is_unix = true;
        return address[5] == '/' && strlen(address + 5) < sizeof un.sun_path &&
               go_to(r, address + 5, strlen(address + 5), 0);
    }
    for (;;) {
        size_t length = strcspn(address, ",");
        if (!parse_node(r, address, length)) {
            return false;
        }
        if (address[length] == '\0') {
            break;
        }
        address += length + 1;
    }
    r->node_given = r->node_count;
    r->node = 0;
    return true;
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

static bool
copy_text(const char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return !from || *to;
}

static bool
copy_tls(struct tls_config *to, const struct tls_config *from)
{
    return copy_text(&to->ca_file, from->ca_file) && copy_text(&to->cert_file, from->cert_file) &&
           copy_text(&to->key_file, from->key_file) &&
           copy_text(&to->server_name, from->server_name);
}

static void
free_text(const char *text)
{
    union {
        const char *from;
        char *to;
    } unconst = {.from = text};
    free(unconst.to);
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
    STAILQ_INIT(&r->pending);
    r->user = config->user ? strdup(config->user) : NULL;
    r->password_file = config->password_file ? strdup(config->password_file) : NULL;
    r->retry = evtimer_new(base, on_retry, r);
    r->deadline = evtimer_new(base, on_deadline, r);
    if (!r->retry || !r->deadline || (config->user && !r->user) ||
        (config->password_file && !r->password_file) || !copy_tls(&r->tls, &config->tls) ||
        !parse_address(r, config->address) || (r->is_unix && r->tls.ca_file)) {
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
    struct pending *p;

    if (r->bev) {
        bufferevent_free(r->bev);
    }
    if (r->dns) {
        evdns_base_free(r->dns, 0);
    }
    while ((p = STAILQ_FIRST(&r->pending)) != NULL) {
        STAILQ_REMOVE_HEAD(&r->pending, entry);
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
    for (unsigned i = 0; i < r->node_count; i++) {
        free(r->nodes[i].host);
    }
    free(r->user);
    free(r->password_file);
    free_text(r->tls.ca_file);
    free_text(r->tls.cert_file);
    free_text(r->tls.key_file);
    free_text(r->tls.server_name);
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
    return queue_command(r, fn, aux, NULL, argc, argv, sizes);
}

void
redis_reset(struct redis *r, const char *why)
{
    take_down(r, why);
}

static void
on_call_timeout(evutil_socket_t fd, short what, void *aux)
{
    bool *late = aux;

    (void)fd;
    (void)what;
    *late = true;
}

redisReply *
redis_call(struct redis *r, struct span timeout, size_t argc, const char *const *argv,
           const size_t *sizes)
{
    struct call call;
    bool late = false;
    struct timeval tv = to_timeval(timeout);
    struct event *timer = evtimer_new(r->base, on_call_timeout, &late);

    if (!timer) {
        return NULL;
    }
    event_add(timer, &tv);
    enter(r);
    do {
        call = (struct call){NULL, false, false};
        while (r->state != REDIS_UP && !late && !r->doomed) {
            event_base_loop(r->base, EVLOOP_ONCE);
        }
        if (late || r->doomed || queue_command(r, NULL, NULL, &call, argc, argv, sizes) != 0) {
            break;
        }
        while (!call.done && !late && !r->doomed) {
            event_base_loop(r->base, EVLOOP_ONCE);
        }
        struct pending *p;
        STAILQ_FOREACH(p, &r->pending, entry)
        {
            p->call = p->call == &call ? NULL : p->call;
        }
    } while (call.again && !late && !r->doomed);
    event_free(timer);
    leave(r);
    return call.reply;
}
