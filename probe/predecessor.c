/* predecessor.c - takes the place of a running probe. */
#include "predecessor.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel.h"
#include "handover_event.h"
#include "log.h"

/* The other one answers at once, or stops its thread and writes down what it has. */
#define ANSWER_NS (30 * NS_PER_S)

/* A message of events; and how many of them may wait for the other one, which are some
 * seconds of 10,000 packets a second. */
enum { EVENTS_SIZE = 32768, CHUNKS_MAX = 512 };

struct chunk {
    struct chunk *next;
    size_t size;
    uint8_t bytes[EVENTS_SIZE];
};

struct predecessor {
    int fd;
    struct event *readable;
    void (*on_end)(void *aux);
    void *aux;
    struct instant lost_since; /* Events that found no room; 0: none. */
    struct chunk *front, *back;
    unsigned chunk_count;
    struct channel_message in; /* Large. */
};

static void
close_files(struct channel_message *m)
{
    for (unsigned i = 0; i < m->file_count; i++) {
        close(m->files[i]);
    }
    m->file_count = 0;
}

/* Descriptors that came before the state. */
struct files {
    int *fds;
    size_t count;
};

static int
add_files(struct files *f, struct channel_message *m)
{
    void *more = reallocarray(f->fds, f->count + m->file_count + 1, sizeof *f->fds);

    if (!more) {
        return -ENOMEM;
    }
    f->fds = more;
    memcpy(f->fds + f->count, m->files, m->file_count * sizeof *f->fds);
    f->count += m->file_count;
    m->file_count = 0;
    return 0;
}

static int
parse(const struct channel_message *m, struct handover *h)
{
    uint8_t *bytes;
    size_t size;
    int err = m->file_count == 1 ? channel_read_file(m->files[0], &bytes, &size) : -EPROTO;

    if (err) {
        return err;
    }
    enum handover_verdict v = handover_parse(bytes, size, h);
    free(bytes);
    if (v != HANDOVER_OK) {
        log_errorx("the state of the running probe is %s; restart the service instead",
                   handover_verdict_names[v]);
    }
    return v == HANDOVER_OK ? 0 : -EPROTO;
}

/* Into the sockets of the state that they belong to; none of them stays with 'f'. */
static int
give_files(struct files *f, struct handover *h)
{
    int err = f->count == 0 || f->count == h->timing.socket_count ? 0 : -EPROTO;

    for (size_t i = 0; i < f->count; i++) {
        if (err) {
            close(f->fds[i]);
        } else {
            h->timing.sockets[i].fd = f->fds[i];
        }
    }
    free(f->fds);
    return err;
}

/* The next state, and what belongs to it. */
static int
receive_state(struct predecessor *p, struct handover *h)
{
    struct files files = {.fds = NULL};
    int err;

    do {
        err = channel_receive(p->fd, span_of_ns(ANSWER_NS), &p->in);
        if (!err && p->in.kind == CHANNEL_FILES) {
            err = add_files(&files, &p->in);
        } else if (!err && p->in.kind != CHANNEL_STATE) {
            err = p->in.kind == 0 ? -ECONNRESET : -EPROTO;
        }
    } while (!err && p->in.kind != CHANNEL_STATE);
    *h = (struct handover){.sessions = NULL};
    if (!err) {
        err = parse(&p->in, h);
    }
    close_files(&p->in);
    int other = give_files(&files, h);
    if (!err && other) {
        handover_fini(h);
        err = other;
    }
    return err;
}

int
predecessor_greet(struct predecessor **out, int fd, const char *release, struct handover *h)
{
    struct predecessor *p = calloc(1, sizeof *p);
    uint8_t hello[256];
    struct wr w = wr_of(hello, sizeof hello);
    int err;

    if (!p) {
        return -ENOMEM;
    }
    p->fd = fd;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    wr_be16(&w, HANDOVER_FORMAT_OLDEST);
    wr_be16(&w, HANDOVER_FORMAT_NEWEST);
    wr_be32(&w, (uint32_t)getpid());
    wr_copy(&w, release, strlen(release));
    err = channel_send(fd, CHANNEL_HELLO, hello, wr_size(&w), NULL, 0);
    if (!err) {
        err = receive_state(p, h);
    }
    if (err) {
        errno = -err;
        log_error("the running probe did not hand over its sockets; it goes on");
        predecessor_free(p);
        return err;
    }
    *out = p;
    return 0;
}

int
predecessor_ready(struct predecessor *p, struct handover *h)
{
    int err = channel_send(p->fd, CHANNEL_READY, NULL, 0, NULL, 0);

    if (!err) {
        err = receive_state(p, h);
    }
    if (err) {
        errno = -err;
        log_error("the running probe did not hand over; it goes on");
    }
    return err;
}

static void
on_readable(evutil_socket_t fd, short what, void *aux)
{
    struct predecessor *p = aux;
    int err = channel_receive(p->fd, span_of_ns(0), &p->in);

    (void)fd;
    (void)what;
    close_files(&p->in);
    if (err == -ETIMEDOUT || (!err && p->in.kind != 0)) {
        return; /* It has nothing more to say but that it is gone. */
    }
    event_del(p->readable);
    p->on_end(p->aux);
}

int
predecessor_taken(struct predecessor *p, const uint32_t *gone, size_t gone_count,
                  struct event_base *base, void (*on_end)(void *aux), void *aux)
{
    struct wr w = wr_of(p->in.bytes, sizeof p->in.bytes);

    for (size_t i = 0; i < gone_count; i++) {
        wr_be32(&w, gone[i]);
    }
    assert(wr_ok(&w));
    p->on_end = on_end;
    p->aux = aux;
    p->readable = event_new(base, p->fd, EV_READ | EV_PERSIST, on_readable, p);
    if (!p->readable || event_add(p->readable, NULL)) {
        return -ENOMEM;
    }
    return channel_send(p->fd, CHANNEL_TAKEN, p->in.bytes, wr_size(&w), NULL, 0);
}

static void
drop_front(struct predecessor *p)
{
    struct chunk *c = p->front;

    p->front = c->next;
    p->back = p->front ? p->back : NULL;
    p->chunk_count--;
    free(c);
}

/* Sends what there is, as far as there is room.  Nobody there: it is not wanted. */
static void
flush(struct predecessor *p)
{
    while (p->front) {
        int err = channel_send(p->fd, CHANNEL_EVENTS, p->front->bytes, p->front->size, NULL, 0);
        if (err == -EAGAIN) {
            return;
        }
        drop_front(p);
    }
}

/* A chunk with room for one more event; NULL: there is none. */
static struct chunk *
room(struct predecessor *p)
{
    struct chunk *c = p->back;

    if (c && sizeof c->bytes - c->size >= HANDOVER_EVENT_MAX) {
        return c;
    }
    c = p->chunk_count < CHUNKS_MAX ? malloc(sizeof *c) : NULL;
    if (!c) {
        return NULL;
    }
    c->next = NULL;
    c->size = 0;
    if (p->back) {
        p->back->next = c;
    } else {
        p->front = c;
    }
    p->back = c;
    p->chunk_count++;
    return c;
}

static bool
put(struct predecessor *p, const struct exchange *e)
{
    struct chunk *c = room(p);

    if (!c) {
        return false;
    }
    struct wr w = wr_of(c->bytes + c->size, sizeof c->bytes - c->size);
    handover_event_format(e, &w);
    c->size += wr_size(&w);
    return true;
}

void
predecessor_tell(struct predecessor *p, const struct exchange *e)
{
    if (!e) {
        flush(p);
        return;
    }
    if (p->lost_since.ns) {
        const struct exchange lost = {
            .kind = EXCHANGE_OVERRUN, .session = UINT32_MAX, .at = e->at, .since = p->lost_since};
        if (!put(p, &lost)) {
            return;
        }
        p->lost_since = instant_of_ns(0);
    }
    if (!put(p, e)) {
        p->lost_since = e->at;
    }
}

void
predecessor_free(struct predecessor *p)
{
    if (!p) {
        return;
    }
    if (p->readable) {
        event_free(p->readable);
    }
    while (p->front) {
        drop_front(p);
    }
    close(p->fd);
    free(p);
}
