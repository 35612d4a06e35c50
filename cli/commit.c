/* commit.c - runs git, without a shell. */
#include "commit.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Runs it with standard output into 'out', cut to 'size'; standard error goes
 * nowhere.  Whether it ended well. */
static bool
run(const char *const argv[], char *out, size_t size)
{
    posix_spawn_file_actions_t actions;
    int ends[2], status = -1;
    size_t used = 0;
    pid_t pid;

    out[0] = '\0';
    if (pipe2(ends, O_CLOEXEC)) {
        return false;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int err = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    while (!err) {
        char rest[512];
        char *to = used + 1 < size ? out + used : rest;
        ssize_t n = read(ends[0], to, used + 1 < size ? size - 1 - used : sizeof rest);
        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            break;
        }
        used += n > 0 && to != rest ? (size_t)n : 0;
    }
    close(ends[0]);
    out[used] = '\0';
    while (!err && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return !err && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void
commit_of(const char *path, struct commit *out)
{
    char folder[PATH_MAX], whole[PATH_MAX], line[512];
    struct stat st;

    *out = (struct commit){.dirty = false};
    if (!realpath(path, whole) || stat(whole, &st)) {
        return;
    }
    snprintf(folder, sizeof folder, "%s", whole);
    char *in = S_ISDIR(st.st_mode) ? folder : dirname(folder);
    const char *const log[] = {"git", "-C", in, "log", "-1", "--format=%H%n%an <%ae>", NULL};
    if (!run(log, line, sizeof line)) {
        return;
    }
    char *author = strchr(line, '\n');
    if (!author || author - line >= (ptrdiff_t)sizeof out->hash) {
        return;
    }
    *author++ = '\0';
    author[strcspn(author, "\n")] = '\0';
    snprintf(out->hash, sizeof out->hash, "%.*s", (int)sizeof out->hash - 1, line);
    snprintf(out->author, sizeof out->author, "%.*s", (int)sizeof out->author - 1, author);
    const char *const changes[] = {"git", "-C", in, "status", "--porcelain", "--", whole, NULL};
    out->dirty = !run(changes, line, sizeof line) || line[0];
}
