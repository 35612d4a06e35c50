/* scrape.c - serves /metrics to Prometheus over HTTP. */
#include "scrape.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <event2/http.h>
#include <event2/listener.h>
#include <event2/util.h>

#include "log.h"
#include "nstime.h"

#define TIMEOUT_S 10
#define HEADERS_MAX 8192
#define BODY_MAX 1024
#define AGAIN_S 5
#define PAGE_AGE_NS NS_PER_S

struct scrape {
    struct event_base *base;
    struct evhttp *http;
    struct event *again;
    char *listen, *program;
    struct sockaddr_storage address;
    int address_size;
    bool told; /* That somebody else is there. */
    scrape_fill_fn *fill;
    void *aux;
    struct evbuffer *page;
    struct span made; /* Monotonic; 0: never. */
};

static bool
parse(const char *listen, struct sockaddr_storage *address, int *size)
{
    union {
        struct sockaddr_storage *storage;
        struct sockaddr *any;
        struct sockaddr_in *v4;
        struct sockaddr_in6 *v6;
    } to = {.storage = address};

    *size = (int)sizeof *address;
    memset(address, 0, sizeof *address);
    if (evutil_parse_sockaddr_port(listen, to.any, size) != 0) {
        return false;
    }
    return (to.any->sa_family == AF_INET ? to.v4->sin_port : to.v6->sin6_port) != 0;
}

/* The page, made anew if it is older than a second: asking often costs the
 * daemon nothing. */
static int
refresh(struct scrape *s)
{
    struct span now = mono_now();

    if (s->made.ns && now.ns - s->made.ns < PAGE_AGE_NS) {
        return 0;
    }
    struct metrics *m = metrics_new(s->program);
    struct evbuffer *page = evbuffer_new();
    int err = -ENOMEM;
    if (m && page) {
        s->fill(m, s->aux);
        err = metrics_format(m, page);
    }
    metrics_free(m);
    if (err) {
        if (page) {
            evbuffer_free(page);
        }
        return err;
    }
    if (s->page) {
        evbuffer_free(s->page);
    }
    s->page = page;
    s->made = now;
    return 0;
}

static void
on_metrics(struct evhttp_request *request, void *aux)
{
    struct scrape *s = aux;
    struct evbuffer *body = evbuffer_new();
    size_t size;

    if (refresh(s) || !body) {
        evhttp_send_error(request, HTTP_INTERNAL, "out of memory");
    } else {
        size = evbuffer_get_length(s->page);
        evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
                          METRICS_CONTENT_TYPE);
        if (evbuffer_add(body, evbuffer_pullup(s->page, -1), size) != 0) {
            evhttp_send_error(request, HTTP_INTERNAL, "out of memory");
        } else {
            evhttp_send_reply(request, HTTP_OK, "OK", body);
        }
    }
    if (body) {
        evbuffer_free(body);
    }
}

static void
on_other(struct evhttp_request *request, void *aux)
{
    (void)aux;
    evhttp_send_error(request, HTTP_NOTFOUND, "there is only /metrics");
}

static void
listen_on(struct scrape *s)
{
    const struct timeval later = {.tv_sec = AGAIN_S};
    union {
        struct sockaddr_storage *storage;
        struct sockaddr *any;
    } address = {.storage = &s->address};
    struct evconnlistener *l = evconnlistener_new_bind(
        s->base, NULL, NULL, LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 64,
        address.any, s->address_size);

    if (l && evhttp_bind_listener(s->http, l)) {
        log_info("metrics on http://%s/metrics", s->listen);
        return;
    }
    int err = errno;
    if (l) {
        evconnlistener_free(l);
    }
    if (!s->told) {
        s->told = true;
        errno = err;
        log_warn("metrics.listen %s: no metrics yet, tried again each %d s", s->listen, AGAIN_S);
    }
    event_add(s->again, &later);
}

static void
on_again(evutil_socket_t fd, short what, void *aux)
{
    (void)fd;
    (void)what;
    listen_on(aux);
}

int
scrape_new(struct scrape **out, struct event_base *base, const char *listen, const char *program,
           scrape_fill_fn *fill, void *aux)
{
    struct scrape *s = calloc(1, sizeof *s);

    if (!s) {
        return -ENOMEM;
    }
    s->base = base;
    s->fill = fill;
    s->aux = aux;
    if (!parse(listen, &s->address, &s->address_size)) {
        free(s);
        return -EINVAL;
    }
    s->listen = strdup(listen);
    s->program = strdup(program);
    s->http = evhttp_new(base);
    s->again = evtimer_new(base, on_again, s);
    if (!s->listen || !s->program || !s->http || !s->again) {
        scrape_free(s);
        return -ENOMEM;
    }
    evhttp_set_timeout(s->http, TIMEOUT_S);
    evhttp_set_max_headers_size(s->http, HEADERS_MAX);
    evhttp_set_max_body_size(s->http, BODY_MAX);
    evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_cb(s->http, "/metrics", on_metrics, s);
    evhttp_set_gencb(s->http, on_other, s);
    listen_on(s);
    *out = s;
    return 0;
}

void
scrape_free(struct scrape *s)
{
    if (!s) {
        return;
    }
    if (s->http) {
        evhttp_free(s->http);
    }
    if (s->again) {
        event_free(s->again);
    }
    if (s->page) {
        evbuffer_free(s->page);
    }
    free(s->listen);
    free(s->program);
    free(s);
}
