/* couriersecret.c - reads a hook's files, and wipes them from memory. */
#include "couriersecret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)256 << 10)

enum { AUTH, SECRET, TEMPLATE };

/* The whole of 'fd', with a NUL behind it. */
static int
read_all(int fd, char **text, size_t *size)
{
    char *buf = malloc(FILE_MAX + 1);
    size_t n = 0;
    ssize_t got = 0;

    if (!buf) {
        return -ENOMEM;
    }
    while (n <= FILE_MAX && (got = read(fd, buf + n, FILE_MAX + 1 - n)) > 0) {
        n += (size_t)got;
    }
    int err = got < 0 ? -errno : n > FILE_MAX ? -EFBIG : 0;
    if (!err) {
        *size = n;
        *text = malloc(n + 1);
        err = *text ? 0 : -ENOMEM;
    }
    if (!err) {
        memcpy(*text, buf, n);
        (*text)[n] = '\0';
    }
    explicit_bzero(buf, n);
    free(buf);
    return err;
}

static int
read_file(struct couriersecret *s, int which, const char *folder, const char *name, char *why,
          size_t why_size)
{
    char path[PATH_MAX];
    struct stat st;

    if (!name) {
        return 0;
    }
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = length < (int)sizeof path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    int err = fd < 0 ? -errno : 0;
    if (!err && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
        err = -EINVAL;
    }
    if (!err) {
        err = read_all(fd, &s->files[which], &s->sizes[which]);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (!err && which != TEMPLATE && (st.st_mode & S_IROTH)) {
        s->readable = name;
    }
    if (err) {
        snprintf(why, why_size, "%s: %s", path, strerror(-err));
    }
    return err;
}

int
couriersecret_read(struct couriersecret *s, const char *folder, const struct inv_hook *hook,
                   char *why, size_t why_size)
{
    *s = (struct couriersecret){0};
    int err = read_file(s, AUTH, folder, hook->auth_file, why, why_size);
    if (!err) {
        err = read_file(s, SECRET, folder, hook->secret_file, why, why_size);
    }
    if (!err) {
        err = read_file(s, TEMPLATE, folder, hook->template_file, why, why_size);
    }
    if (err) {
        couriersecret_wipe(s);
        return err;
    }
    /* An editor ends a file with a line end, which is not of the secret. */
    char *auth = s->files[AUTH];
    if (auth) {
        auth[strcspn(auth, "\r\n")] = '\0';
    }
    s->secrets = (struct hookform_secrets){.auth = auth,
                                           .secret = s->files[SECRET],
                                           .secret_size = s->sizes[SECRET],
                                           .template_ = s->files[TEMPLATE]};
    return 0;
}

void
couriersecret_wipe(struct couriersecret *s)
{
    for (int i = 0; i < 3; i++) {
        if (s->files[i]) {
            explicit_bzero(s->files[i], s->sizes[i] + 1);
            free(s->files[i]);
        }
    }
    *s = (struct couriersecret){0};
}
