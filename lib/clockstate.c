/* clockstate.c - the clock daemon, adjtimex, and steps of CLOCK_REALTIME. */
#include "clockstate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <unistd.h>

#include "wire.h"

/* Chrony's command protocol, version 6: a request is as long as its answer. */
enum {
    CHRONY_VERSION = 6,
    CHRONY_REQUEST = 1,
    CHRONY_REPLY = 2,
    CHRONY_COMMAND_TRACKING = 33,
    CHRONY_REPLY_TRACKING = 5,
    CHRONY_TRACKING_SIZE = 104,
    CHRONY_LEAP_UNSYNCHRONISED = 3
};

/* Kernel clocks are within this of what the daemon said, for each second since. */
#define CLOCK_DRIFT_PPM 15

void
clockstate_read(struct clockstate *out)
{
    struct timex tx = {.modes = 0};
    int state = adjtimex(&tx);

    *out = (struct clockstate){.error_ns = UINT64_MAX, .authority = CLOCK_AUTHORITY_KERNEL};
    if (state < 0) {
        return;
    }
    out->synchronised = state != TIME_ERROR && !(tx.status & STA_UNSYNC);
    out->error_ns = tx.maxerror >= 0 ? (uint64_t)tx.maxerror * 1000 : UINT64_MAX;
    out->tai_offset_s = tx.tai;
}

void
clockdaemon_open(struct clockdaemon *d, uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    *d = (struct clockdaemon){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (d->fd >= 0 && connect(d->fd, (const struct sockaddr *)&to, sizeof to) < 0) {
        clockdaemon_close(d);
    }
}

void
clockdaemon_close(struct clockdaemon *d)
{
    if (d->fd >= 0) {
        close(d->fd);
    }
    d->fd = -1;
}

/* A signed 7-bit exponent and a signed 25-bit coefficient, in seconds:
 * coefficient * 2^(exponent - 25).  Yields its magnitude in nanoseconds. */
static uint64_t
float_magnitude_ns(uint32_t bits)
{
    int32_t exponent = (int32_t)(bits >> 25), coefficient = (int32_t)(bits & 0x1ffffff);

    exponent = exponent >= 64 ? exponent - 128 : exponent;
    coefficient = coefficient >= 1 << 24 ? coefficient - (1 << 25) : coefficient;
    uint64_t ns = (uint64_t)(coefficient < 0 ? -coefficient : coefficient) * 1000000000u;
    int32_t shift = exponent - 25;
    if (shift >= 0) {
        return shift < 9 ? ns << shift : UINT64_MAX / 4;
    }
    return -shift < 64 ? (ns >> -shift) + 1 : 1;
}

bool
clockdaemon_parse(const void *bytes, size_t size, uint32_t sequence, bool *synchronised,
                  uint64_t *error_ns)
{
    struct rd r = rd_of(bytes, size);
    uint8_t version = rd_u8(&r), type = rd_u8(&r);

    rd_skip(&r, 2);
    uint16_t command = rd_be16(&r), reply = rd_be16(&r), status = rd_be16(&r);
    rd_skip(&r, 6);
    uint32_t answers = rd_be32(&r);
    rd_skip(&r, 8 + 4 + 20 + 2); /* Rest of the header, reference, its address, stratum. */
    uint16_t leap = rd_be16(&r);
    rd_skip(&r, 12); /* Reference time. */
    uint64_t correction = float_magnitude_ns(rd_be32(&r));
    rd_skip(&r, 5 * 4);
    uint64_t root_delay = float_magnitude_ns(rd_be32(&r));
    uint64_t root_dispersion = float_magnitude_ns(rd_be32(&r));

    if (!rd_ok(&r) || version != CHRONY_VERSION || type != CHRONY_REPLY || status != 0 ||
        command != CHRONY_COMMAND_TRACKING || reply != CHRONY_REPLY_TRACKING ||
        answers != sequence) {
        return false;
    }
    *synchronised = leap != CHRONY_LEAP_UNSYNCHRONISED;
    *error_ns = correction + root_dispersion + root_delay / 2;
    return true;
}

static void
take_answers(struct clockdaemon *d)
{
    uint8_t bytes[512];
    ssize_t size;

    /* A refused connection says that no daemon listens; it may yet come. */
    while ((size = recv(d->fd, bytes, sizeof bytes, 0)) >= 0) {
        if (clockdaemon_parse(bytes, (size_t)size, d->sequence, &d->synchronised, &d->error_ns)) {
            d->answered = d->asked;
        }
    }
}

static void
ask(struct clockdaemon *d)
{
    uint8_t bytes[CHRONY_TRACKING_SIZE];
    struct wr w = wr_of(bytes, sizeof bytes);

    wr_u8(&w, CHRONY_VERSION);
    wr_u8(&w, CHRONY_REQUEST);
    wr_be16(&w, 0);
    wr_be16(&w, CHRONY_COMMAND_TRACKING);
    wr_be16(&w, 0);
    wr_be32(&w, ++d->sequence);
    wr_zero(&w, w.left);
    d->asked = mono_now();
    ssize_t sent = send(d->fd, bytes, sizeof bytes, MSG_NOSIGNAL);
    (void)sent; /* Not answered is all that it can come to. */
}

void
clockdaemon_read(struct clockdaemon *d, struct clockstate *out)
{
    clockstate_read(out);
    if (d->fd < 0) {
        return;
    }
    take_answers(d);
    int64_t age = mono_now().ns - d->answered.ns;
    if (d->answered.ns && age < CLOCKDAEMON_FRESH_NS) {
        out->authority = CLOCK_AUTHORITY_CHRONY;
        out->synchronised = d->synchronised;
        out->error_ns = d->error_ns + (uint64_t)(age / 1000000 * CLOCK_DRIFT_PPM);
    }
    ask(d);
}

struct span
clockstep_check(struct clockstep_watch *w, struct span threshold)
{
    struct span before = mono_now();
    struct instant real = instant_now();
    struct span after = mono_now();
    /* Read between two looks at the monotonic clock, so that being preempted
     * between them does not look like a step. */
    int64_t offset = real.ns - (before.ns + (after.ns - before.ns) / 2);
    int64_t moved = offset - w->offset_ns;

    if (after.ns - before.ns > threshold.ns / 2) {
        return span_of_ns(0);
    }
    if (!w->begun) {
        w->begun = true;
        w->offset_ns = offset;
        return span_of_ns(0);
    }
    w->offset_ns = offset;
    return span_of_ns(moved > threshold.ns || moved < -threshold.ns ? moved : 0);
}
