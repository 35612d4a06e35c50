/* service.h - what every daemon needs of its host: signals, systemd, privileges,
 * file limits.
 *
 * After log.h; used by main.c of each daemon.  SIGTERM and SIGINT stop, SIGHUP
 * reloads, SIGUSR2 upgrades; all arrive as calls in the event base's thread.  Without systemd
 * (NOTIFY_SOCKET not set) the notifications do nothing. */
#ifndef PLUMBLINE_SERVICE_H
#define PLUMBLINE_SERVICE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <event2/event.h>

struct service;

typedef void service_fn(void *aux);

struct service_config {
    struct event_base *base; /* Outlives the service. */
    service_fn *on_stop;     /* First SIGTERM or SIGINT; at the second the process ends by it. */
    service_fn *on_reload;   /* SIGHUP; NULL: ignored. */
    service_fn *on_upgrade;  /* SIGUSR2; NULL: as without this service. */
    void *aux;
};

/* Takes these signals of this process into the base, ignores SIGPIPE, and
 * feeds systemd's watchdog from the base if it asks for that, so that a loop that
 * hangs is restarted.  'config' is copied.  0 or negative errno. */
int service_new(struct service **out, const struct service_config *config);
void service_free(struct service *s);

/* READY=1, with a line for `systemctl status`. */
void service_ready(struct service *s, const char *status);

/* Around a reload: RELOADING=1, then READY=1 whether it went well or not (the
 * old configuration goes on); 'status' says which. */
void service_reloading(struct service *s);
void service_reloaded(struct service *s, const char *status);

/* STATUS=... */
void service_status(struct service *s, const char *status);

/* MAINPID=: 'successor' is the service now, feeds the watchdog, and is told of signals; this
 * process tells systemd nothing more. */
void service_hand_on(struct service *s, pid_t successor);

/* In a child, before exec: the program that comes gets the capabilities that there are now
 * (which service_drop_to() would not let it have).  0 or negative errno. */
int service_keep_over_exec(void);

/* STOPPING=1.  Called by service_free() too. */
void service_stopping(struct service *s);

/* Becomes 'user' (a name; NULL: stays who it is) with that user's groups,
 * keeping of its capabilities only 'keep' (CAP_NET_RAW and the like), and never
 * gains others by exec.  Before any thread starts: capabilities belong to
 * threads.  What was not there before cannot be kept.  0; -ENOENT: no such user;
 * another negative errno: the process is in between and must end. */
int service_drop_to(const char *user, const int *keep, size_t count);

/* Raises RLIMIT_NOFILE to 'files', or as far as allowed.  Returns what it is. */
uint64_t service_raise_files(uint64_t files);

/* Whether the process has this capability in force. */
int service_can(int capability);

#endif
