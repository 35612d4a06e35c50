/* test_service.c - signals, notifications and privileges, each in a child process
 * of its own. */
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "harness.h"

#include "service.h"

/* A child that does not end by itself in this time fails its test. */
#define CHILD_SECONDS 10

/* Runs 'fn' in a child; returns its wait status. */
static int
in_child(int (*fn)(void))
{
    int status = 0;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(CHILD_SECONDS);
        _exit(fn());
    }
    CU_ASSERT_TRUE_FATAL(pid > 0);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    return status;
}

static bool
exits_with(int (*fn)(void), int code)
{
    int status = in_child(fn);

    if (WIFEXITED(status) && WEXITSTATUS(status) == code) {
        return true;
    }
    printf("(child: wait status 0x%x) ", (unsigned)status);
    return false;
}

struct heard {
    struct event_base *base;
    int stops, reloads;
};

static void
hear_stop(void *aux)
{
    struct heard *h = aux;
    h->stops++;
    event_base_loopbreak(h->base);
}

static void
hear_reload(void *aux)
{
    struct heard *h = aux;
    h->reloads++;
    event_base_loopbreak(h->base);
}

static struct service *
start(struct heard *h, service_fn *reload)
{
    struct service *s = NULL;

    h->base = event_base_new();
    const struct service_config config = {
        .base = h->base, .on_stop = hear_stop, .on_reload = reload, .aux = h};
    if (!h->base || service_new(&s, &config) != 0) {
        _exit(99);
    }
    return s;
}

static int
signals_child(void)
{
    struct heard h = {0};
    struct service *s = start(&h, hear_reload);

    raise(SIGPIPE);
    raise(SIGHUP);
    event_base_dispatch(h.base);
    if (h.reloads != 1 || h.stops != 0) {
        return 1;
    }
    raise(SIGTERM);
    event_base_dispatch(h.base);
    if (h.reloads != 1 || h.stops != 1) {
        return 2;
    }
    /* Who is stopping does not reload. */
    raise(SIGHUP);
    event_base_loop(h.base, EVLOOP_NONBLOCK);
    service_free(s);
    event_base_free(h.base);
    return h.reloads == 1 ? 0 : 3;
}

static void
term_stops_and_hup_reloads(void)
{
    CU_ASSERT_TRUE(exits_with(signals_child, 0));
}

static int
without_reload_child(void)
{
    struct heard h = {0};
    struct service *s = start(&h, NULL);

    raise(SIGHUP);
    event_base_loop(h.base, EVLOOP_NONBLOCK);
    raise(SIGINT);
    event_base_dispatch(h.base);
    service_free(s);
    event_base_free(h.base);
    return h.stops == 1 ? 0 : 1;
}

static void
hup_is_ignored_where_nothing_reloads(void)
{
    CU_ASSERT_TRUE(exits_with(without_reload_child, 0));
}

static int
impatient_child(void)
{
    struct heard h = {0};

    start(&h, NULL);
    raise(SIGTERM);
    event_base_dispatch(h.base);
    raise(SIGTERM);
    event_base_dispatch(h.base);
    return 0;
}

static void
the_second_signal_ends_the_process(void)
{
    int status = in_child(impatient_child);
    CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* The next message of systemd's socket as text. */
static const char *
receive(int fd, char *buf, size_t size)
{
    ssize_t n = recv(fd, buf, size - 1, 0);

    buf[n > 0 ? n : 0] = '\0';
    return buf;
}

static int
notify_child(void)
{
    struct heard h = {0};
    char folder[] = "/tmp/plumbline-test-XXXXXX", got[512];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval wait = {.tv_sec = 5};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), bad = 0;

    if (!mkdtemp(folder)) {
        return 98;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0) {
        return 97;
    }
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    setenv("WATCHDOG_USEC", "40000", 1);
    unsetenv("WATCHDOG_PID");
    struct service *s = start(&h, hear_reload);
    service_ready(s, "measuring");
    bad |= strcmp(receive(fd, got, sizeof got), "READY=1\nSTATUS=measuring") != 0;
    service_status(s, "3 links");
    bad |= (strcmp(receive(fd, got, sizeof got), "STATUS=3 links") != 0) << 1;
    service_reloading(s);
    bad |= (strncmp(receive(fd, got, sizeof got), "RELOADING=1\nMONOTONIC_USEC=", 27) != 0) << 2;
    service_reloaded(s, "kept the old one");
    bad |= (strcmp(receive(fd, got, sizeof got), "READY=1\nSTATUS=kept the old one") != 0) << 3;
    event_base_loop(h.base, EVLOOP_ONCE);
    bad |= (strcmp(receive(fd, got, sizeof got), "WATCHDOG=1") != 0) << 4;
    service_stopping(s);
    bad |= (strcmp(receive(fd, got, sizeof got), "STOPPING=1") != 0) << 5;
    service_free(s);
    bad |= (recv(fd, got, sizeof got, MSG_DONTWAIT) >= 0) << 6; /* Not told twice. */
    event_base_free(h.base);
    unlink(address.sun_path);
    rmdir(folder);
    return bad;
}

static void
systemd_hears_ready_reload_watchdog_and_stop(void)
{
    CU_ASSERT_TRUE(exits_with(notify_child, 0));
}

static int
drop_child(void)
{
    static const int keep[] = {CAP_NET_RAW, CAP_NET_BIND_SERVICE};
    bool had = service_can(CAP_NET_RAW) != 0;

    if (service_drop_to("nobody", keep, 2) != 0) {
        return 1;
    }
    if (getuid() == 0 || geteuid() == 0 || getgid() == 0 || getgroups(0, NULL) > 1) {
        return 2;
    }
    if ((service_can(CAP_NET_RAW) != 0) != had || service_can(CAP_SYS_ADMIN) ||
        service_can(CAP_SETUID) || service_can(CAP_DAC_OVERRIDE)) {
        return 3;
    }
    if (setuid(0) == 0 || seteuid(0) == 0) {
        return 4;
    }
    return prctl(PR_GET_NO_NEW_PRIVS, 0L, 0L, 0L, 0L) == 1 ? 0 : 5;
}

static void
a_dropped_process_keeps_only_what_was_named(void)
{
    if (geteuid() != 0 || !service_can(CAP_SETUID) || !service_can(CAP_SETGID)) {
        printf("(not root: only the limits are tested) ");
        return;
    }
    CU_ASSERT_TRUE(exits_with(drop_child, 0));
}

static int
limit_child(void)
{
    static const int keep[] = {CAP_NET_RAW};
    bool had = service_can(CAP_NET_RAW) != 0;

    if (service_drop_to(NULL, keep, 1) != 0) {
        return 1;
    }
    return (service_can(CAP_NET_RAW) != 0) == had && !service_can(CAP_NET_ADMIN) &&
                   !service_can(CAP_SYS_ADMIN)
               ? 0
               : 2;
}

static void
capabilities_are_limited_without_another_user_too(void)
{
    CU_ASSERT_TRUE(exits_with(limit_child, 0));
}

static int
no_more_child(void)
{
    static const int keep[] = {CAP_NET_RAW};

    /* What is gone cannot be kept, and asking for it is no error. */
    if (service_drop_to(NULL, NULL, 0) != 0 || service_can(CAP_NET_RAW)) {
        return 1;
    }
    return service_drop_to(NULL, keep, 1) == 0 && !service_can(CAP_NET_RAW) ? 0 : 2;
}

static void
what_was_given_up_stays_so(void)
{
    CU_ASSERT_TRUE(exits_with(no_more_child, 0));
}

static int
nobody_there_child(void)
{
    return service_drop_to("no-such-user-plumbline", NULL, 0) == -ENOENT ? 0 : 1;
}

static void
an_unknown_user_is_refused(void)
{
    CU_ASSERT_TRUE(exits_with(nobody_there_child, 0));
}

static int
files_child(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1;
    }
    limit.rlim_cur = 64;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 2;
    }
    if (service_raise_files(32) != 64 || service_raise_files(200) != 200) {
        return 3;
    }
    /* More than allowed: as far as it goes, and it says so. */
    uint64_t got = service_raise_files(UINT64_C(1) << 40);
    return got >= 200 && getrlimit(RLIMIT_NOFILE, &limit) == 0 && got == limit.rlim_cur ? 0 : 4;
}

static void
the_limit_of_files_is_raised_as_far_as_allowed(void)
{
    CU_ASSERT_TRUE(exits_with(files_child, 0));
}

int
main(void)
{
    static CU_TestInfo tests[] = {
        {"term_stops_and_hup_reloads", term_stops_and_hup_reloads},
        {"hup_is_ignored_where_nothing_reloads", hup_is_ignored_where_nothing_reloads},
        {"the_second_signal_ends_the_process", the_second_signal_ends_the_process},
        {"systemd_hears_ready_reload_watchdog_and_stop",
         systemd_hears_ready_reload_watchdog_and_stop},
        {"a_dropped_process_keeps_only_what_was_named",
         a_dropped_process_keeps_only_what_was_named},
        {"capabilities_are_limited_without_another_user_too",
         capabilities_are_limited_without_another_user_too},
        {"what_was_given_up_stays_so", what_was_given_up_stays_so},
        {"an_unknown_user_is_refused", an_unknown_user_is_refused},
        {"the_limit_of_files_is_raised_as_far_as_allowed",
         the_limit_of_files_is_raised_as_far_as_allowed},
        CU_TEST_INFO_NULL};
    return run_suite("service", tests);
}
