/* successor.c - starts a process, and leaves everything to it. */
#include "successor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel.h"
#include "handover_event.h"
#include "service.h"

/* Reading a large inventory and opening sockets takes seconds at most. */
#define PREPARE_S 60

/* With everything ready, a few milliseconds; meanwhile nobody sends or reflects. */
#define TAKE_NS (10 * NS_PER_S)

/* Messages of events a turn, so that timers get theirs. */
enum { EVENTS_A_TURN = 32 };

enum stage { STAGE_STARTED, STAGE_OFFERED, STAGE_TAKEN, STAGE_OVER };

struct successor {
    struct successor_config config;
    enum stage stage;
    int fd;
    pid_t pid; /* As it says. */
    char release[64];
    struct event *readable, *deadline;
    struct channel_message in; /* Large. */
};

/* --- The process. --- */

/* In the child of a child, so that whoever started us is its parent once that has ended,
 * and is told when it ends. */
static void
become(const struct successor_config *c, int fd)
{
    char number[16];
    char option[] = "--config", successor[] = "--successor";
    char *argv[] = {(char *)(uintptr_t)c->program,
                    option,
                    (char *)(uintptr_t)c->config_path,
                    successor,
                    number,
                    NULL};

    snprintf(number, sizeof number, "%d", c->cpu_latency);
    if (c->cpu_latency >= 0) {
        (void)setenv(SUCCESSOR_CPU_LATENCY, number, 1);
    }
    snprintf(number, sizeof number, "%d", fd);
    (void)service_keep_over_exec();
    (void)unsetenv("WATCHDOG_PID"); /* It was ours. */
    (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    if (fcntl(fd, F_SETFD, 0) == 0 &&
        (c->cpu_latency < 0 || fcntl(c->cpu_latency, F_SETFD, 0) == 0)) {
        execv(c->program, argv);
    }
    fprintf(stderr, "plumbline-probe: %s: %s\n", c->program, strerror(errno));
    _exit(127);
}

static int
start_process(const struct successor_config *c, int fd)
{
    pid_t pid = fork();
    int status;

    if (pid < 0) {
        return -errno;
    }
    if (pid == 0) {
        pid = fork();
        if (pid == 0) {
            become(c, fd);
        }
        _exit(pid < 0);
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return -errno;
        }
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EAGAIN;
}

/* --- What it says. --- */

static void
fail(struct successor *s, bool left, const char *why)
{
    s->stage = STAGE_OVER;
    event_del(s->readable);
    event_del(s->deadline);
    close(s->fd);
    s->fd = -1;
    s->config.failed(left, why, s->config.aux);
}

static int
send_state(struct successor *s, struct handover *h, bool files)
{
    size_t count = files ? h->timing.socket_count : 0;
    int *fds = calloc(count + 1, sizeof *fds);
    uint8_t *bytes = NULL;
    size_t size;
    int err = fds ? handover_format(h, &bytes, &size) : -ENOMEM;

    for (size_t i = 0; !err && i < count; i++) {
        fds[i] = h->timing.sockets[i].fd;
    }
    if (!err) {
        err = channel_send_state(s->fd, bytes, size, fds, count);
    }
    free(bytes);
    free(fds);
    return err;
}

/* false: it cannot be spoken with. */
static bool
take_hello(struct successor *s, struct channel_message *m)
{
    struct rd r = rd_of(m->bytes, m->size);
    uint16_t oldest = rd_be16(&r), newest = rd_be16(&r);

    s->pid = (pid_t)rd_be32(&r);
    size_t n = r.left < sizeof s->release - 1 ? r.left : sizeof s->release - 1;
    rd_copy(&r, s->release, n);
    return rd_ok(&r) && s->pid > 1 && oldest <= HANDOVER_FORMAT_NEWEST &&
           newest >= HANDOVER_FORMAT_OLDEST;
}

static void
on_hello(struct successor *s)
{
    struct handover h = {.sessions = NULL};
    int err;

    if (!take_hello(s, &s->in)) {
        fail(s, false,
             "it does not read the state that this release writes; restart the service instead");
        return;
    }
    err = s->config.offer(&h, s->config.aux);
    if (!err) {
        err = send_state(s, &h, true);
    }
    handover_fini(&h);
    s->stage = STAGE_OFFERED;
    if (err) {
        fail(s, false, strerror(-err));
    }
}

/* It must not have the sockets when we go on with them. */
static void
end_process(struct successor *s)
{
    int err;

    kill(s->pid, SIGKILL);
    do {
        err = channel_receive(s->fd, span_of_ns(TAKE_NS), &s->in);
    } while (!err && s->in.kind != 0);
}

static void
on_ready(struct successor *s)
{
    struct handover h = {.sessions = NULL};
    int err = s->config.leave(&h, s->config.aux);

    if (!err) {
        err = send_state(s, &h, false);
    }
    handover_fini(&h);
    if (!err) {
        err = channel_receive(s->fd, span_of_ns(TAKE_NS), &s->in);
    }
    if (!err && s->in.kind == CHANNEL_TAKEN) {
        s->stage = STAGE_TAKEN;
        event_del(s->deadline);
        s->config.taken(s->pid, s->release, s->config.aux);
        for (struct rd r = rd_of(s->in.bytes, s->in.size); r.left >= 4;) {
            s->config.dropped(rd_be32(&r), s->config.aux);
        }
        return;
    }
    end_process(s);
    fail(s, true, err ? strerror(-err) : "it ended while it took over");
}

static void
on_events(struct successor *s)
{
    struct rd r = rd_of(s->in.bytes, s->in.size);
    struct exchange e;

    while (s->config.event && handover_event_parse(&r, &e)) {
        s->config.event(&e, s->config.aux);
    }
}

static void
on_end(struct successor *s, const char *why)
{
    if (s->stage == STAGE_TAKEN) {
        s->stage = STAGE_OVER;
        event_del(s->readable);
        s->config.gone(s->config.aux);
    } else {
        fail(s, false, why);
    }
}

static void
on_message(struct successor *s)
{
    if (s->in.kind == CHANNEL_HELLO && s->stage == STAGE_STARTED) {
        on_hello(s);
    } else if (s->in.kind == CHANNEL_READY && s->stage == STAGE_OFFERED) {
        on_ready(s);
    } else if (s->in.kind == CHANNEL_EVENTS && s->stage == STAGE_TAKEN) {
        on_events(s);
    } else if (s->in.kind == 0) {
        on_end(s, "it ended before it was ready; its messages say why");
    }
    for (unsigned i = 0; i < s->in.file_count; i++) {
        close(s->in.files[i]);
    }
}

static void
on_readable(evutil_socket_t fd, short what, void *aux)
{
    struct successor *s = aux;

    (void)fd;
    (void)what;
    for (int i = 0; i < EVENTS_A_TURN && s->stage != STAGE_OVER; i++) {
        int err = channel_receive(s->fd, span_of_ns(0), &s->in);
        if (err == -ETIMEDOUT) {
            break;
        }
        if (err) {
            on_end(s, strerror(-err));
        } else {
            on_message(s);
        }
    }
}

static void
on_deadline(evutil_socket_t fd, short what, void *aux)
{
    (void)fd;
    (void)what;
    fail(aux, false, "it was not ready in time");
}

int
successor_start(struct successor **out, const struct successor_config *config)
{
    const struct timeval patience = {.tv_sec = PREPARE_S};
    struct successor *s = calloc(1, sizeof *s);
    int ends[2];
    int err = s ? channel_open(ends) : -ENOMEM;

    if (err) {
        free(s);
        return err;
    }
    s->config = *config;
    s->fd = ends[0];
    s->readable = event_new(config->base, s->fd, EV_READ | EV_PERSIST, on_readable, s);
    s->deadline = event_new(config->base, -1, 0, on_deadline, s);
    err = s->readable && s->deadline ? start_process(config, ends[1]) : -ENOMEM;
    close(ends[1]);
    if (err) {
        successor_free(s);
        return err;
    }
    event_add(s->readable, NULL);
    event_add(s->deadline, &patience);
    *out = s;
    return 0;
}

void
successor_free(struct successor *s)
{
    if (!s) {
        return;
    }
    if (s->readable) {
        event_free(s->readable);
    }
    if (s->deadline) {
        event_free(s->deadline);
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    free(s);
}
