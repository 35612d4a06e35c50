/* tstamp_kept.c - a socket that another process goes on with: what it must know of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tstamp.h"

void
tstamp_keep(const struct tstamp *s, struct tstamp_kept *out)
{
    *out = (struct tstamp_kept){.port = s->port,
                                .family = s->family,
                                .kind = s->kind,
                                .dual = s->dual,
                                .raw = s->raw,
                                .tx_kernel = s->tx == TS_KERNEL,
                                .tx_seen = s->tx_seen,
                                .flight_size = s->flight_size,
                                .oldest = s->oldest,
                                .next = s->next,
                                .drops = s->drops};
}

bool
tstamp_next_waiting(const struct tstamp *s, uint32_t *from, struct tstamp_waiting *out)
{
    for (uint32_t id = *from; id - s->oldest < s->next - s->oldest; id++) {
        const struct tstamp_flight *f = &s->flight[id % s->flight_size];
        if (f->user_ns != 0) {
            *out = (struct tstamp_waiting){.id = id, .cookie = f->cookie, .user_ns = f->user_ns};
            *from = id + 1;
            return true;
        }
    }
    return false;
}

static bool
can_keep(const struct tstamp_kept *k)
{
    return (k->family == 4 || k->family == 6) && k->flight_size >= TSTAMP_FLIGHT_LEAST &&
           k->flight_size <= TSTAMP_FLIGHT && (k->flight_size & (k->flight_size - 1)) == 0 &&
           k->next - k->oldest <= k->flight_size;
}

int
tstamp_adopt(struct tstamp *s, int fd, const struct tstamp_kept *k, struct counter *counters)
{
    if (!can_keep(k)) {
        return -EINVAL;
    }
    *s = (struct tstamp){.counters = counters,
                         .fd = fd,
                         .port = k->port,
                         .family = k->family,
                         .kind = k->kind,
                         .dual = k->dual,
                         .raw = k->raw,
                         .flight_size = k->flight_size};
    s->flight = (struct tstamp_flight *)calloc(s->flight_size, sizeof *s->flight);
    if (!s->flight) {
        s->fd = -1;
        return -ENOMEM;
    }
    return tstamp_resume(s, k);
}

int
tstamp_resume(struct tstamp *s, const struct tstamp_kept *k)
{
    if (!can_keep(k) || k->port != s->port || k->family != s->family || k->kind != s->kind ||
        k->flight_size != s->flight_size) {
        return -EINVAL;
    }
    memset(s->flight, 0, s->flight_size * sizeof *s->flight);
    s->tx = k->tx_kernel ? TS_KERNEL : TS_USER;
    s->tx_seen = k->tx_seen;
    s->sent = 0;
    s->retry_at_ns = 0; /* Where stamps were given up, they are tried again at once. */
    s->oldest = k->oldest;
    s->next = k->next;
    s->outstanding = 0;
    s->drops = k->drops;
    return 0;
}

int
tstamp_expect(struct tstamp *s, const struct tstamp_waiting *w)
{
    struct tstamp_flight *f = &s->flight[w->id % s->flight_size];

    if (w->id - s->oldest >= s->next - s->oldest || f->user_ns != 0 || w->user_ns == 0) {
        return -EINVAL;
    }
    *f = (struct tstamp_flight){.cookie = w->cookie, .user_ns = w->user_ns};
    s->outstanding++;
    return 0;
}
