/* tracer.c - the queue of what to follow, the sockets, and the clock of one path. */
#include "tracer.h"

#include <assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

/* Of SOL_RAW, with a mask of the types that are not wanted; linux/icmp.h, which has it, does not go
 * together with net/if.h. */
#define RAW_ICMP_FILTER 1

/* Between the packets of one path: routers answer few at a time. */
#define PACE_NS (20 * NS_PER_MS)
/* For the answer to the last of them. */
#define PATIENCE_NS (2 * NS_PER_S)
/* After the start, and from one round of all links to the next. */
#define FIRST_NS (5 * NS_PER_S)
#define ROUND_NS (300 * NS_PER_S) /* A reflector forgets whom it has not heard for 600 s. */
/* From one path to the next, at least. */
#define BETWEEN_NS (NS_PER_S / 2)
/* Of ways that change: so many at once, then one in so long. */
#define CHANGES_MAX 16
#define CHANGE_NS (10 * NS_PER_S)
/* Of the numbers of paths: so long, at least, is between two of them on average. */
#define NUMBER_NS (250 * NS_PER_MS)
#define QUEUE_MAX 64u
#define ANSWERED_MAX 64u

struct tracer {
    struct tracer_config config;
    struct event *timer, *on_udp, *on_icmp;
    int udp, icmp;
    bool busy;
    struct tracer_wanted now, queue[QUEUE_MAX];
    unsigned queued;
    uint64_t answered[ANSWERED_MAX]; /* Requests, the newest ones. */
    unsigned answered_next;
    size_t next_path;                  /* Of the round. */
    struct span next_due, next_packet; /* Monotonic. */
    uint32_t number;                   /* Of the last path (hops.h). */
    struct log_bucket changes;
    struct hops hops;
    char error[128];
    bool failed, told_no_right;
    struct counter counters[TRACER_COUNTS];
};

static const char *const count_names[TRACER_COUNTS] = {"paths", "asked", "bad_request", "failed"};

static void
arm(struct tracer *t, struct span at)
{
    int64_t wait = at.ns - mono_now().ns;
    struct timeval tv;

    wait = wait < 0 ? 0 : wait;
    tv = (struct timeval){.tv_sec = wait / NS_PER_S, .tv_usec = wait % NS_PER_S / 1000};
    event_add(t->timer, &tv);
}

/* --- Sockets ------------------------------------------------------------------ */

static socklen_t
sockaddr_of(const struct address *a, const char *interface, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (a->family == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)out;
        in->sin_family = AF_INET;
        in->sin_addr = a->v4;
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    in6->sin6_family = AF_INET6;
    in6->sin6_addr = a->v6;
    in6->sin6_scope_id = address_is_link_local(a) && interface ? if_nametoindex(interface) : 0;
    return sizeof *in6;
}

static struct address
address_of(const struct sockaddr_storage *s)
{
    return s->ss_family == AF_INET ? address_of_v4(((const struct sockaddr_in *)s)->sin_addr)
                                   : address_of_v6(&((const struct sockaddr_in6 *)s)->sin6_addr);
}

/* A raw UDP socket hears all of UDP: the kernel keeps from us what is no answer to a path.  A
 * packet begins with its IP header in family 4, with its UDP header in family 6. */
static int
filter_replies(int fd, const struct hops_way *way)
{
    bool v4 = way->near.family == 4;
    struct sock_filter code[] = {
        v4 ? (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0)
           : (struct sock_filter)BPF_STMT(BPF_LDX | BPF_IMM, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, way->far_port, 0, 5),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, way->near_port, 0, 3),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, HOPS_UDP_HEADER + 14), /* SSID. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, HOPS_SSID, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 512),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};

    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static int
open_icmp(uint8_t family)
{
    int fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    int err;

    if (fd < 0) {
        return -errno;
    }
    if (family == 4) {
        const uint32_t no = ~((1u << ICMP_DEST_UNREACH) | (1u << ICMP_TIME_EXCEEDED));
        err = setsockopt(fd, SOL_RAW, RAW_ICMP_FILTER, &no, sizeof no);
    } else {
        struct icmp6_filter f;
        ICMP6_FILTER_SETBLOCKALL(&f);
        ICMP6_FILTER_SETPASS(ICMP6_DST_UNREACH, &f);
        ICMP6_FILTER_SETPASS(ICMP6_TIME_EXCEEDED, &f);
        err = setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &f, sizeof f);
    }
    if (err) {
        err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

/* Bound and connected as the link's packets go; 'way->near' is known then. */
static int
open_udp(const struct plan_path *path, struct hops_way *way)
{
    struct sockaddr_storage a;
    bool v4 = way->far.family == 4;
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
    int tos = path->dscp << 2, err = 0;
    socklen_t size = sizeof a;

    if (fd < 0) {
        return -errno;
    }
    way->near.family = way->far.family;
    if (filter_replies(fd, way) ||
        (path->interface && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, path->interface,
                                       (socklen_t)strlen(path->interface))) ||
        setsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos,
                   sizeof tos) ||
        (address_is_set(&path->way.near) &&
         bind(fd, (const struct sockaddr *)&a,
              sockaddr_of(&path->way.near, path->interface, &a))) ||
        connect(fd, (const struct sockaddr *)&a, sockaddr_of(&way->far, path->interface, &a)) ||
        getsockname(fd, (struct sockaddr *)&a, &size)) {
        err = -errno;
        close(fd);
        return err;
    }
    way->near = address_of(&a);
    return fd;
}

static void
close_sockets(struct tracer *t)
{
    if (t->on_udp) {
        event_free(t->on_udp);
    }
    if (t->on_icmp) {
        event_free(t->on_icmp);
    }
    t->on_udp = t->on_icmp = NULL;
    if (t->udp >= 0) {
        close(t->udp);
    }
    if (t->icmp >= 0) {
        close(t->icmp);
    }
    t->udp = t->icmp = -1;
}

/* --- One path ----------------------------------------------------------------- */

static bool
tell(struct tracer *t, const struct plan_path *path)
{
    Plumbline__Telemetry__Trace m;
    Plumbline__Telemetry__Trace__Hop hops[HOPS_MAX], *list[HOPS_MAX];
    char object[2 * SERIES_NAME_MAX + 2], class_name[SERIES_NAME_MAX + 1];

    plumbline__telemetry__trace__init(&m);
    snprintf(object, sizeof object, "%s", path->object);
    snprintf(class_name, sizeof class_name, "%s", path->class_name);
    m.request = t->now.request;
    m.object = object;
    m.class_name = class_name;
    m.flow = path->flow;
    m.at_ns = t->hops.begun.ns;
    m.reached = t->hops.reached;
    m.error = t->error;
    m.n_hops = hops_told(&t->hops);
    m.hops = list;
    for (size_t i = 0; i < m.n_hops; i++) {
        struct hop *h = &t->hops.hops[i];
        plumbline__telemetry__trace__hop__init(&hops[i]);
        list[i] = &hops[i];
        hops[i].ttl = (uint32_t)i + 1;
        hops[i].address.len = address_size(&h->address);
        hops[i].address.data = h->address.v6.s6_addr;
        hops[i].rt_us = h->rt.ns > 0 ? (uint32_t)((h->rt.ns + 500) / 1000) : 0;
    }
    return t->config.tell(&m, t->config.aux);
}

/* It may be asked for again. */
static void
forget(struct tracer *t, uint64_t request)
{
    for (unsigned i = 0; i < ANSWERED_MAX; i++) {
        t->answered[i] = t->answered[i] == request ? 0 : t->answered[i];
    }
}

/* What nobody asked for is told if it can be compared with: followed to where it can be. */
static bool
is_worth_telling(const struct tracer *t, const struct plan_path *path)
{
    return t->now.request || (!t->failed && (path->way.mute || t->hops.reached));
}

static void
end(struct tracer *t)
{
    const struct plan_path *path = plan_path(t->config.plan(t->config.aux), t->now.object);

    close_sockets(t);
    t->busy = false;
    if (path) {
        if (is_worth_telling(t, path) && !tell(t, path) && t->now.request) {
            forget(t, t->now.request);
        }
        counter_add(&t->counters[TRACER_PATHS], 1);
        counter_add(&t->counters[TRACER_ASKED], t->now.request != 0);
    }
    t->next_due = span_of_ns(mono_now().ns + BETWEEN_NS);
}

static void
fail(struct tracer *t, int err)
{
    counter_add(&t->counters[TRACER_FAILED], 1);
    t->failed = true;
    snprintf(t->error, sizeof t->error, "%s",
             err == -EPERM || err == -EACCES ? "it needs CAP_NET_RAW" : strerror(-err));
    if (!t->told_no_right && (err == -EPERM || err == -EACCES)) {
        t->told_no_right = true;
        log_warnx("paths of links cannot be followed: that needs CAP_NET_RAW");
    }
}

static void
on_answer(evutil_socket_t fd, short what, void *aux)
{
    struct tracer *t = aux;
    uint8_t buf[1024];
    struct sockaddr_storage from;
    bool v4 = t->hops.way.near.family == 4;

    (void)what;
    for (int i = 0; i < 64; i++) {
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &length);
        if (n < 0) {
            break; /* Empty; or an error that the next packet will tell of. */
        }
        size_t size = (size_t)n, header = v4 && size > 0 ? (size_t)(buf[0] & 15) * 4 : 0;
        struct address a = address_of(&from);
        struct span now = mono_now();
        if (header > size) {
            continue;
        }
        if (fd == t->icmp) {
            hops_take_icmp(&t->hops, &a, buf + header, size - header, now);
        } else {
            hops_take_udp(&t->hops, &a, buf + header, size - header, now);
        }
    }
}

/* 0 or a negative errno. */
static int
open_sockets(struct tracer *t, const struct plan_path *path)
{
    struct hops_way way = path->way;

    t->icmp = open_icmp(way.far.family);
    if (t->icmp < 0) {
        return t->icmp;
    }
    t->udp = open_udp(path, &way);
    if (t->udp < 0) {
        return t->udp;
    }
    t->on_icmp = event_new(t->config.base, t->icmp, EV_READ | EV_PERSIST, on_answer, t);
    t->on_udp = event_new(t->config.base, t->udp, EV_READ | EV_PERSIST, on_answer, t);
    if (!t->on_icmp || !t->on_udp || event_add(t->on_icmp, NULL) || event_add(t->on_udp, NULL)) {
        return -ENOMEM;
    }
    uint32_t number = (uint32_t)(instant_now().ns / NUMBER_NS);
    t->number = (int32_t)(number - t->number) > 0 ? number : t->number + 1;
    hops_begin(&t->hops, &way, t->number, instant_now(), mono_now());
    return 0;
}

static void
send_next(struct tracer *t)
{
    uint8_t buf[HOPS_SIZE_MAX], ttl;
    bool v4 = t->hops.way.near.family == 4;
    size_t size = hops_packet(&t->hops, buf, mono_now(), &ttl);
    int value = ttl;

    if (setsockopt(t->udp, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_UNICAST_HOPS, &value,
                   sizeof value) ||
        send(t->udp, buf, size, 0) < 0) {
        /* What an earlier packet's ICMP left on the socket is no failure of this one. */
        if (send(t->udp, buf, size, 0) < 0) {
            fail(t, -errno);
            t->hops.last = t->hops.count;
        }
    }
    t->next_packet = span_of_ns(mono_now().ns + PACE_NS);
}

static void
begin(struct tracer *t)
{
    const struct plan_path *path = plan_path(t->config.plan(t->config.aux), t->now.object);

    if (!path) {
        return; /* It went with a reload. */
    }
    t->busy = true;
    t->failed = false;
    t->error[0] = '\0';
    memset(&t->hops, 0, sizeof t->hops);
    t->hops.begun = instant_now();
    int err = open_sockets(t, path);
    if (err) {
        fail(t, err);
        end(t);
        return;
    }
    if (path->way.mute) {
        snprintf(t->error, sizeof t->error, "the far end does not answer these packets");
    }
    t->next_packet = mono_now();
}

/* --- What to do next ------------------------------------------------------------ */

/* What was asked for first, then the next of the round. */
static bool
choose(struct tracer *t)
{
    const struct plan *plan = t->config.plan(t->config.aux);

    if (t->queued) {
        t->now = t->queue[0];
        memmove(t->queue, t->queue + 1, --t->queued * sizeof t->queue[0]);
        return true;
    }
    if (!plan || plan->path_count == 0 || mono_now().ns < t->next_due.ns) {
        return false;
    }
    t->now.request = 0;
    snprintf(t->now.object, sizeof t->now.object, "%s",
             plan->paths[t->next_path++ % plan->path_count].object);
    return true;
}

/* When the next of the round is due; the first round is quick. */
static void
pace(struct tracer *t, struct span now)
{
    const struct plan *plan = t->config.plan(t->config.aux);

    if (t->now.request == 0 && plan && plan->path_count) {
        int64_t each =
            t->next_path < plan->path_count ? BETWEEN_NS : ROUND_NS / (int64_t)plan->path_count;
        t->next_due = span_of_ns(now.ns + (each < BETWEEN_NS ? BETWEEN_NS : each));
    }
}

static void
on_timer(evutil_socket_t fd, short what, void *aux)
{
    struct tracer *t = aux;
    struct span now = mono_now();

    (void)fd;
    (void)what;
    if (!t->busy && choose(t)) {
        begin(t);
        pace(t, now);
    }
    if (t->busy && hops_wants(&t->hops) && now.ns >= t->next_packet.ns) {
        send_next(t);
    }
    if (t->busy && hops_is_done(&t->hops, mono_now(), span_of_ns(PATIENCE_NS))) {
        struct span due = t->next_due;
        end(t);
        t->next_due = due.ns > t->next_due.ns ? due : t->next_due;
    }
    arm(t, span_of_ns(now.ns + (t->busy || t->queued ? PACE_NS : NS_PER_S / 4)));
}

static bool
is_known(const struct tracer *t, uint64_t request)
{
    for (unsigned i = 0; i < ANSWERED_MAX; i++) {
        if (t->answered[i] == request) {
            return true;
        }
    }
    return false;
}

static bool
is_queued(const struct tracer *t, const char *object)
{
    for (unsigned i = 0; i < t->queued; i++) {
        if (strcmp(t->queue[i].object, object) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether there was room. */
static bool
add(struct tracer *t, const struct tracer_wanted *w)
{
    if (t->queued == QUEUE_MAX) {
        return false;
    }
    t->queue[t->queued++] = *w;
    return true;
}

bool
tracer_read(const char **at, const char *end, struct tracer_wanted *out)
{
    const char *p = *at;
    struct tracer_wanted w = {.request = 0};
    size_t n = 0;

    while (p < end && *p >= '0' && *p <= '9' && w.request <= (UINT64_MAX - 9) / 10) {
        w.request = w.request * 10 + (uint64_t)(*p++ - '0');
    }
    if (w.request == 0 || p == end || *p++ != ':') {
        return false;
    }
    while (p < end && *p != ',' && *p != '\0' && n + 1 < sizeof w.object) {
        w.object[n++] = *p++;
    }
    if (n == 0 || (p < end && *p++ != ',')) {
        return false;
    }
    *at = p;
    *out = w;
    return true;
}

void
tracer_ask(struct tracer *t, const char *text, size_t size)
{
    const char *at = text, *stop = text + size;

    while (at < stop) {
        struct tracer_wanted w;
        if (!tracer_read(&at, stop, &w)) {
            counter_add(&t->counters[TRACER_BAD_ASK], 1);
            return;
        }
        if (is_known(t, w.request)) {
            continue;
        }
        bool ours = plan_path(t->config.plan(t->config.aux), w.object);
        if (ours && !add(t, &w)) {
            return; /* They come again with the next ack. */
        }
        counter_add(&t->counters[TRACER_BAD_ASK], !ours);
        t->answered[t->answered_next++ % ANSWERED_MAX] = w.request;
    }
}

void
tracer_want(struct tracer *t, const char *object)
{
    struct tracer_wanted w = {.request = 0};

    if (is_queued(t, object) || t->queued >= QUEUE_MAX / 2 ||
        !plan_path(t->config.plan(t->config.aux), object) ||
        !log_bucket_pass(&t->changes, mono_now())) {
        return;
    }
    snprintf(w.object, sizeof w.object, "%s", object);
    (void)add(t, &w);
}

void
tracer_replan(struct tracer *t)
{
    close_sockets(t);
    if (t->busy && t->now.request) {
        (void)add(t, &t->now);
    }
    t->busy = false;
    t->next_path = 0;
}

struct tracer *
tracer_new(const struct tracer_config *config)
{
    struct tracer *t = calloc(1, sizeof *t);

    if (!t) {
        return NULL;
    }
    t->config = *config;
    t->changes = (struct log_bucket){.burst = CHANGES_MAX, .every = span_of_ns(CHANGE_NS)};
    t->udp = t->icmp = -1;
    t->timer = event_new(config->base, -1, 0, on_timer, t);
    if (!t->timer) {
        free(t);
        return NULL;
    }
    t->next_due = span_of_ns(mono_now().ns + FIRST_NS);
    arm(t, span_of_ns(mono_now().ns + NS_PER_S / 4));
    return t;
}

void
tracer_free(struct tracer *t)
{
    if (!t) {
        return;
    }
    close_sockets(t);
    event_free(t->timer);
    free(t);
}

struct counter_group
tracer_counters(const struct tracer *t)
{
    return (struct counter_group){.name = "tracer",
                                  .names = count_names,
                                  .counters = (struct counter *)(uintptr_t)t->counters,
                                  .count = TRACER_COUNTS};
}
