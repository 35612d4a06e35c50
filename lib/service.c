/* service.c - signals, notifications, privileges. */
#include "service.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "log.h"
#include "nstime.h"

struct service {
    struct event *term, *interrupt, *hangup, *upgrade, *watchdog;
    struct service_config config;
    int stops;
    int told_stopping;
};

static void
on_stop(evutil_socket_t number, short what, void *aux)
{
    struct service *s = aux;
    (void)what;

    if (s->stops++) {
        signal((int)number, SIG_DFL);
        raise((int)number);
        return;
    }
    log_info("stopping at signal %d", (int)number);
    service_stopping(s);
    s->config.on_stop(s->config.aux);
}

static void
on_reload(evutil_socket_t number, short what, void *aux)
{
    struct service *s = aux;
    (void)number;
    (void)what;

    if (s->config.on_reload && !s->stops) {
        s->config.on_reload(s->config.aux);
    }
}

static void
on_upgrade(evutil_socket_t number, short what, void *aux)
{
    struct service *s = aux;
    (void)number;
    (void)what;

    if (!s->stops) {
        s->config.on_upgrade(s->config.aux);
    }
}

static void
on_watchdog(evutil_socket_t fd, short what, void *aux)
{
    (void)fd;
    (void)what;
    (void)aux;
    sd_notify(0, "WATCHDOG=1");
}

static int
add_signal(struct event **event, struct event_base *base, int number, event_callback_fn fn,
           struct service *s)
{
    *event = evsignal_new(base, number, fn, s);
    return *event && event_add(*event, NULL) == 0 ? 0 : -ENOMEM;
}

static int
add_watchdog(struct service *s, struct event_base *base)
{
    uint64_t us = 0;

    if (sd_watchdog_enabled(0, &us) <= 0 || us < 2) {
        return 0;
    }
    us /= 2;
    struct timeval every = {.tv_sec = (time_t)(us / 1000000),
                            .tv_usec = (suseconds_t)(us % 1000000)};
    s->watchdog = event_new(base, -1, EV_PERSIST, on_watchdog, s);
    return s->watchdog && event_add(s->watchdog, &every) == 0 ? 0 : -ENOMEM;
}

int
service_new(struct service **out, const struct service_config *config)
{
    struct service *s = calloc(1, sizeof *s);

    if (!s) {
        return -ENOMEM;
    }
    s->config = *config;
    signal(SIGPIPE, SIG_IGN);
    if (add_signal(&s->term, config->base, SIGTERM, on_stop, s) ||
        add_signal(&s->interrupt, config->base, SIGINT, on_stop, s) ||
        add_signal(&s->hangup, config->base, SIGHUP, on_reload, s) ||
        (config->on_upgrade && add_signal(&s->upgrade, config->base, SIGUSR2, on_upgrade, s)) ||
        add_watchdog(s, config->base)) {
        s->told_stopping = 1;
        service_free(s);
        return -ENOMEM;
    }
    *out = s;
    return 0;
}

void
service_free(struct service *s)
{
    struct event *events[5];

    if (!s) {
        return;
    }
    service_stopping(s);
    events[0] = s->term;
    events[1] = s->interrupt;
    events[2] = s->hangup;
    events[3] = s->watchdog;
    events[4] = s->upgrade;
    for (size_t i = 0; i < 5; i++) {
        if (events[i]) {
            event_free(events[i]);
        }
    }
    free(s);
}

void
service_ready(struct service *s, const char *status)
{
    (void)s;
    sd_notifyf(0, "READY=1\nSTATUS=%s", status);
}

void
service_reloading(struct service *s)
{
    (void)s;
    sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reading the configuration",
               (long long)(mono_now().ns / NS_PER_US));
}

void
service_reloaded(struct service *s, const char *status)
{
    service_ready(s, status);
}

void
service_status(struct service *s, const char *status)
{
    (void)s;
    sd_notifyf(0, "STATUS=%s", status);
}

void
service_hand_on(struct service *s, pid_t successor)
{
    sd_notifyf(0, "MAINPID=%ld", (long)successor);
    s->told_stopping = 1;
    if (s->watchdog) {
        event_del(s->watchdog);
    }
}

void
service_stopping(struct service *s)
{
    if (!s->told_stopping) {
        s->told_stopping = 1;
        sd_notify(0, "STOPPING=1");
    }
}

struct caps {
    struct __user_cap_data_struct data[2];
};

static int
caps_get(struct caps *c)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    return syscall(SYS_capget, &header, c->data) == 0 ? 0 : -errno;
}

static int
caps_set(const struct caps *c)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    return syscall(SYS_capset, &header, c->data) == 0 ? 0 : -errno;
}

int
service_can(int capability)
{
    struct caps c;

    if (caps_get(&c) != 0) {
        return 0;
    }
    return (c.data[capability / 32].effective >> (capability % 32) & 1) != 0;
}

/* Only 'keep' of what is permitted stays, and is in force. */
static int
caps_limit(const int *keep, size_t count)
{
    struct caps now, wanted;
    int err = caps_get(&now);

    if (err) {
        return err;
    }
    memset(&wanted, 0, sizeof wanted);
    for (size_t i = 0; i < count; i++) {
        uint32_t bit = UINT32_C(1) << (keep[i] % 32);
        assert(keep[i] >= 0 && keep[i] < 64);
        wanted.data[keep[i] / 32].permitted |= now.data[keep[i] / 32].permitted & bit;
    }
    wanted.data[0].effective = wanted.data[0].permitted;
    wanted.data[1].effective = wanted.data[1].permitted;
    return caps_set(&wanted);
}

int
service_keep_over_exec(void)
{
    struct caps c;
    int err = caps_get(&c);

    if (err) {
        return err;
    }
    for (int i = 0; i < 2; i++) {
        c.data[i].inheritable = c.data[i].permitted;
    }
    err = caps_set(&c);
    for (int cap = 0; !err && cap < 64; cap++) {
        if ((c.data[cap / 32].permitted >> (cap % 32) & 1) != 0 &&
            prctl(PR_CAP_AMBIENT, (long)PR_CAP_AMBIENT_RAISE, (long)cap, 0L, 0L) != 0) {
            err = -errno;
        }
    }
    return err;
}

static int
become(const struct passwd *user)
{
    if (initgroups(user->pw_name, user->pw_gid) != 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0) {
        return -errno;
    }
    return 0;
}

int
service_drop_to(const char *user, const int *keep, size_t count)
{
    int err = 0;

    if (user) {
        errno = 0;
        const struct passwd *found = getpwnam(user);
        if (!found) {
            return errno && errno != ESRCH ? -errno : -ENOENT;
        }
        /* Already who it should be (systemd's User=): nothing to become. */
        if (found->pw_uid != geteuid() || found->pw_uid != getuid()) {
            if (prctl(PR_SET_KEEPCAPS, 1L, 0L, 0L, 0L) != 0) {
                return -errno;
            }
            err = become(found);
            (void)prctl(PR_SET_KEEPCAPS, 0L, 0L, 0L, 0L);
        }
    }
    if (err == 0) {
        err = caps_limit(keep, count);
    }
    if (err == 0 && prctl(PR_CAP_AMBIENT, (long)PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L) != 0) {
        err = -errno;
    }
    if (err == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) != 0) {
        err = -errno;
    }
    return err;
}

uint64_t
service_raise_files(uint64_t files)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 0;
    }
    struct rlimit wanted = limit;
    if (wanted.rlim_cur < files) {
        wanted.rlim_cur = files;
        if (wanted.rlim_max < files) {
            wanted.rlim_max = files;
        }
        if (setrlimit(RLIMIT_NOFILE, &wanted) != 0) {
            wanted.rlim_max = limit.rlim_max;
            wanted.rlim_cur = files < limit.rlim_max ? files : limit.rlim_max;
            (void)setrlimit(RLIMIT_NOFILE, &wanted);
        }
        if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
            return 0;
        }
    }
    return limit.rlim_cur;
}
