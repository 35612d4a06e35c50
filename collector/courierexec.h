/* courierexec.h - one run of a hook's command: the event on standard input, its output, its end.
 *
 * After hookform.h; before courier.c, which waits on courierexec_fds().  The command has an
 * environment of the request's headers and a PATH, nothing of ours, and a process group of its own.
 * It is ended at its time-out, first by SIGTERM, then by SIGKILL.  Nobody's SIGCHLD is touched. */
#ifndef PLUMBLINE_COURIEREXEC_H
#define PLUMBLINE_COURIEREXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <curl/curl.h>

#include "hookform.h"
#include "inventory_sold.h"
#include "nstime.h"

#define COURIEREXEC_OUTPUT_MAX ((size_t)64 << 10)
#define COURIEREXEC_FDS 3

/* Zero-initialised is fine. */
struct courierexec {
    pid_t pid; /* 0: none runs. */
    int pid_fd, in, out;
    const char *body;
    size_t left;
    char *output; /* COURIEREXEC_OUTPUT_MAX + 1. */
    size_t size;
    struct span deadline;
    bool timed_out, killed;
    int status;
    char error[96];
};

void courierexec_fini(struct courierexec *x);

/* 'r' is borrowed until the end.  0 or a negative errno: it did not begin. */
int courierexec_start(struct courierexec *x, const struct inv_hook *hook,
                      const struct hookform_request *r, struct span mono);

/* What to wait for; how many of 'out'. */
size_t courierexec_fds(const struct courierexec *x, struct curl_waitfd out[COURIEREXEC_FDS]);

/* Writes, reads, and ends it in time.  Whether it is over. */
bool courierexec_step(struct courierexec *x, struct span mono);

/* Of what is over; valid until the next start. */
struct hookform_answer courierexec_answer(struct courierexec *x);

/* Ends it by force; one that does not run is fine. */
void courierexec_cancel(struct courierexec *x);

#endif
