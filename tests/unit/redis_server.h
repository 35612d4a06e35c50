/* redis_server.h - a Redis server of a test's own on a unix socket in the test's
 * folder, and a plain blocking connection to it. */
#ifndef PLUMBLINE_TEST_REDIS_SERVER_H
#define PLUMBLINE_TEST_REDIS_SERVER_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <hiredis/hiredis.h>

#include "folder.h"

struct redis_server {
    pid_t pid;
    redisContext *c;
};

/* Whether there is a server to start at all. */
static inline int
redis_server_found(void)
{
    return access("/usr/bin/redis-server", X_OK) == 0 ||
           access("/usr/local/bin/redis-server", X_OK) == 0;
}

static inline const char *
redis_server_address(void)
{
    static char address[160];
    snprintf(address, sizeof address, "unix:%s/redis/socket", folder_path);
    return address;
}

/* Starts one on the data of the folder "redis"; the user "pop-a" has what the
 * design gives to a source and nothing more. */
static inline void
redis_server_start(struct redis_server *s)
{
    mkdir(in_folder("redis"), 0700);
    FILE *f = fopen(in_folder("redis/redis.conf"), "w");
    if (!f) {
        abort();
    }
    fprintf(f,
            "port 0\nunixsocket %s\ndir %s\nappendonly yes\nappendfsync everysec\nsave \"\"\n"
            "maxmemory-policy noeviction\nlogfile \"\"\nloglevel warning\n"
            "user pop-a on >secret resetchannels %%RW~pl:{pop-a}:t %%R~pl:{pop-a}:ack -@all +xadd "
            "+xinfo +get +multi +exec +ping +auth +hello\n",
            in_folder("redis/socket"), in_folder("redis"));
    fclose(f);
    unlink(in_folder("redis/socket"));
    write_whole(in_folder("password"), "secret\n", 7);
    fflush(stdout);
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        execlp("redis-server", "redis-server", in_folder("redis/redis.conf"), (char *)NULL);
        _exit(127);
    }
    s->c = NULL;
    for (int i = 0; i < 1000; i++) {
        usleep(10000);
        if (s->c) {
            redisFree(s->c);
        }
        s->c = redisConnectUnix(in_folder("redis/socket"));
        if (s->c && !s->c->err) {
            redisReply *r = redisCommand(s->c, "PING");
            int up = r && r->type == REDIS_REPLY_STATUS;
            freeReplyObject(r);
            if (up) {
                return;
            }
        }
    }
    fprintf(stderr, "no Redis\n");
    abort();
}

static inline void
redis_server_kill(struct redis_server *s)
{
    if (s->pid > 0) {
        kill(s->pid, SIGKILL);
        waitpid(s->pid, NULL, 0);
        s->pid = 0;
    }
    if (s->c) {
        redisFree(s->c);
        s->c = NULL;
    }
}

__attribute__((format(printf, 2, 3))) static inline redisReply *
redis_do(struct redis_server *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    redisReply *r = redisvCommand(s->c, format, args);
    va_end(args);
    if (!r) {
        fprintf(stderr, "Redis: %s\n", s->c->errstr);
        abort();
    }
    return r;
}

#define redis_run(...) freeReplyObject(redis_do(__VA_ARGS__))

#endif
