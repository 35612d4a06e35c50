/* courierexec.c - begins a command, feeds it, hears it, and ends it. */
#include "courierexec.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_NS (15 * NS_PER_S) /* Of a hook that names none. */
#define GRACE_NS (2 * NS_PER_S)    /* From SIGTERM to SIGKILL. */
#define PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static void
shut(int *fd)
{
    if (*fd > 0) {
        close(*fd);
    }
    *fd = 0;
}

void
courierexec_fini(struct courierexec *x)
{
    assert(!x->pid);
    free(x->output);
    x->output = NULL;
}

/* --- The beginning -------------------------------------------------------- */

static void
free_environment(char **env)
{
    for (size_t i = 0; env && env[i]; i++) {
        free(env[i]);
    }
    free(env);
}

static char **
make_environment(const struct hookform_request *r)
{
    char **env = calloc(r->header_count + 2, sizeof *env);
    bool good = env && (env[0] = strdup(PATH));

    for (size_t i = 0; good && i < r->header_count; i++) {
        good = asprintf(&env[i + 1], "%s=%s", r->headers[i].name, r->headers[i].value) >= 0;
        env[i + 1] = good ? env[i + 1] : NULL;
    }
    if (!good) {
        free_environment(env);
        env = NULL;
    }
    return env;
}

/* 0 or an errno: 'in' and 'out' become its standard input and both outputs. */
static int
spawn(pid_t *pid, const char *command, char **env, int in, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t none, all;
    char *name = strdup(command);
    char *const argv[] = {name, NULL};

    if (!name) {
        return ENOMEM;
    }
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&how);
    int err = posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    err = err ? err : posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    err = err ? err : posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
    err = err ? err : posix_spawn_file_actions_addclosefrom_np(&files, 3);
    err = err ? err : posix_spawn_file_actions_addchdir_np(&files, "/");
    err = err ? err : posix_spawnattr_setpgroup(&how, 0);
    err = err ? err : posix_spawnattr_setsigmask(&how, &none);
    err = err ? err : posix_spawnattr_setsigdefault(&how, &all);
    err = err ? err
              : posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                   POSIX_SPAWN_SETSIGDEF);
    err = err ? err : posix_spawn(pid, command, &files, &how, argv, env);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    free(name);
    return err;
}

/* Both ends are closed in children; ours does not block. */
static int
make_pipe(int fds[2], int ours)
{
    if (pipe2(fds, O_CLOEXEC)) {
        fds[0] = fds[1] = 0;
        return -errno;
    }
    return fcntl(fds[ours], F_SETFL, O_NONBLOCK) ? -errno : 0;
}

int
courierexec_start(struct courierexec *x, const struct inv_hook *hook,
                  const struct hookform_request *r, struct span mono)
{
    int in[2] = {0}, out[2] = {0};
    char *output = x->output ? x->output : malloc(COURIEREXEC_OUTPUT_MAX + 1);
    char **env = make_environment(r);

    assert(!x->pid);
    *x = (struct courierexec){.output = output, .body = r->body, .left = r->body_size};
    x->deadline.ns = mono.ns + (hook->timeout.ns ? hook->timeout.ns : TIMEOUT_NS);
    int err = output && env ? make_pipe(in, 1) : -ENOMEM;
    err = err ? err : make_pipe(out, 0);
    err = err ? err : -spawn(&x->pid, hook->command, env, in[0], out[1]);
    free_environment(env);
    shut(&in[0]);
    shut(&out[1]);
    if (err) {
        shut(&in[1]);
        shut(&out[0]);
        x->pid = 0;
        return err;
    }
    x->in = in[1];
    x->out = out[0];
    /* Without it its end is seen a little later. */
    int fd = pidfd_open(x->pid, 0);
    x->pid_fd = fd > 0 ? fd : 0;
    return 0;
}

/* --- While it runs -------------------------------------------------------- */

size_t
courierexec_fds(const struct courierexec *x, struct curl_waitfd out[COURIEREXEC_FDS])
{
    size_t n = 0;

    if (x->pid && x->in) {
        out[n++] = (struct curl_waitfd){.fd = x->in, .events = CURL_WAIT_POLLOUT};
    }
    if (x->pid && x->out) {
        out[n++] = (struct curl_waitfd){.fd = x->out, .events = CURL_WAIT_POLLIN};
    }
    if (x->pid && x->pid_fd) {
        out[n++] = (struct curl_waitfd){.fd = x->pid_fd, .events = CURL_WAIT_POLLIN};
    }
    return n;
}

/* A command that does not read what it is given may be a good one. */
static void
feed(struct courierexec *x)
{
    while (x->in && x->left) {
        ssize_t n = write(x->in, x->body, x->left);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        x->left = n < 0 ? 0 : x->left - (size_t)n;
        x->body += n < 0 ? 0 : n;
    }
    shut(&x->in);
}

/* Keeps the first of what it says, takes the rest so that it is not held up; not for ever at once.
 */
static void
hear(struct courierexec *x)
{
    char rest[4096];

    for (int i = 0; x->out && i < 64; i++) {
        size_t room = COURIEREXEC_OUTPUT_MAX - x->size;
        ssize_t n =
            room ? read(x->out, x->output + x->size, room) : read(x->out, rest, sizeof rest);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            shut(&x->out);
            return;
        }
        x->size += room ? (size_t)n : 0;
    }
}

/* Of what is not reaped yet: its group cannot be another's. */
static void
end_in_time(struct courierexec *x, struct span mono)
{
    if (mono.ns < x->deadline.ns) {
        return;
    }
    if (!x->timed_out) {
        x->timed_out = true;
        x->deadline.ns = mono.ns + GRACE_NS;
        kill(-x->pid, SIGTERM);
    } else if (!x->killed) {
        x->killed = true;
        kill(-x->pid, SIGKILL);
    }
}

static void
over(struct courierexec *x)
{
    shut(&x->in);
    shut(&x->out);
    shut(&x->pid_fd);
    x->pid = 0;
}

bool
courierexec_step(struct courierexec *x, struct span mono)
{
    siginfo_t info = {0};

    assert(x->pid);
    feed(x);
    hear(x);
    end_in_time(x, mono);
    if (waitid(P_PID, (id_t)x->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && !info.si_pid) {
        return false;
    }
    hear(x); /* What it said last. */
    if (x->timed_out) {
        kill(-x->pid, SIGKILL); /* Those of its group that it left behind. */
    }
    pid_t reaped = waitpid(x->pid, &x->status, 0);
    assert(reaped == x->pid);
    (void)reaped;
    over(x);
    return true;
}

struct hookform_answer
courierexec_answer(struct courierexec *x)
{
    struct hookform_answer a = {.body = x->output, .body_size = x->size};

    x->output[x->size] = '\0';
    if (x->timed_out) {
        a.error = "timed out";
    } else if (WIFSIGNALED(x->status)) {
        snprintf(x->error, sizeof x->error, "ended by signal %d", WTERMSIG(x->status));
        a.error = x->error;
    } else {
        a.status = WEXITSTATUS(x->status);
    }
    return a;
}

void
courierexec_cancel(struct courierexec *x)
{
    if (x->pid) {
        kill(-x->pid, SIGKILL);
        waitpid(x->pid, &x->status, 0);
        over(x);
    }
}
