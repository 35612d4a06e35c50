/* timing_kept.c - what is left to a successor, and what it goes on with. */
#include "timing_kept.h"

#include <errno.h>
#include <stdlib.h>

static int
keep_socket(const struct tstamp *from, bool whole, struct timing_kept *out,
            struct timing_socket *to)
{
    uint32_t id = from->oldest;
    struct tstamp_waiting w;

    to->fd = from->fd;
    if (!whole) { /* The thread goes on counting. */
        to->is.kept.oldest = to->is.kept.next = to->is.kept.drops = 0;
    }
    to->waiting_first = (uint32_t)out->waiting_count;
    while (whole && tstamp_next_waiting(from, &id, &w)) {
        void *more = reallocarray(out->waiting, out->waiting_count + 1, sizeof w);
        if (!more) {
            return -ENOMEM;
        }
        out->waiting = (struct tstamp_waiting *)more;
        out->waiting[out->waiting_count++] = w;
        to->waiting_count++;
    }
    out->socket_count++;
    return 0;
}

static int
keep_sockets(const struct sender *sender, const struct reflector *reflector, bool whole,
             struct timing_kept *out)
{
    unsigned slots = sender_socket_count(sender);
    const struct tstamp *reflecting = reflector_socket(reflector);
    int err = 0;

    out->sockets = (struct timing_socket *)calloc(slots + 1, sizeof *out->sockets);
    if (!out->sockets) {
        return -ENOMEM;
    }
    for (unsigned i = 0; !err && i < slots; i++) {
        struct timing_socket *to = &out->sockets[out->socket_count];
        const struct tstamp *from = sender_socket(sender, i, &to->is);
        err = from ? keep_socket(from, whole, out, to) : 0;
    }
    if (!err && reflecting->fd >= 0) {
        struct timing_socket *to = &out->sockets[out->socket_count];
        to->reflector = true;
        tstamp_keep(reflecting, &to->is.kept);
        err = keep_socket(reflecting, whole, out, to);
    }
    return err;
}

static int
keep_reflected(const struct reflector *reflector, struct timing_kept *out)
{
    uint32_t from = 0, count = reflector_sessions(reflector);

    reflector_keep_epoch(reflector, &out->epoch, &out->begun_again);
    out->reflected = (struct reflector_kept *)calloc((size_t)count + 1, sizeof *out->reflected);
    if (!out->reflected) {
        return -ENOMEM;
    }
    while (out->reflected_count < count &&
           reflector_keep(reflector, &from, &out->reflected[out->reflected_count])) {
        out->reflected_count++;
    }
    return 0;
}

static int
keep_sessions(const struct sender *sender, struct timing_kept *out)
{
    uint32_t count = sender_index_count(sender);

    out->sessions = (struct sender_progress *)calloc((size_t)count + 1, sizeof *out->sessions);
    if (!out->sessions) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        out->session_count += sender_progress(sender, i, &out->sessions[out->session_count]);
    }
    return 0;
}

int
timing_kept_take(struct timing_kept *out, const struct sender *sender,
                 const struct reflector *reflector, bool whole)
{
    int err;

    *out = (struct timing_kept){.sockets = NULL};
    err = keep_sockets(sender, reflector, whole, out);
    if (!err && whole) {
        err = keep_sessions(sender, out);
    }
    if (!err && whole) {
        err = keep_reflected(reflector, out);
    }
    return err;
}

void
timing_kept_fini(struct timing_kept *k)
{
    free(k->sockets);
    free(k->waiting);
    free(k->sessions);
    free(k->reflected);
    *k = (struct timing_kept){.sockets = NULL};
}

static int
resume_socket(struct tstamp *to, const struct timing_socket *s, const struct timing_kept *k)
{
    int err = tstamp_resume(to, &s->is.kept);

    for (uint32_t i = 0; !err && i < s->waiting_count; i++) {
        err = tstamp_expect(to, &k->waiting[s->waiting_first + i]);
    }
    return err;
}

int
timing_kept_resume(const struct timing_kept *k, struct sender *sender, struct reflector *reflector)
{
    unsigned slot = 0;
    int err = 0;

    for (size_t i = 0; !err && i < k->socket_count; i++) {
        const struct timing_socket *s = &k->sockets[i];
        struct sender_socket unused;
        struct tstamp *to =
            s->reflector ? reflector_socket(reflector) : sender_socket(sender, slot++, &unused);
        /* It may be closed by now, or another: the plan did not want it. */
        if (to && to->fd >= 0 && to->port == s->is.kept.port) {
            err = resume_socket(to, s, k);
        }
    }
    if (err) {
        return err;
    }
    sender_resume(sender, k->sessions, k->session_count);
    reflector_resume(reflector, k->epoch, k->begun_again, k->reflected, k->reflected_count);
    return 0;
}
