/* successor.h - the new process that a running probe starts to take its place, seen from
 * the old one.
 *
 * After handover.h (the state) and channel.h (messages), before main.c.  In turn:
 *   successor  HELLO   has read its configuration
 *   probe      FILES, STATE   sockets and sessions; it goes on sending and reflecting
 *   successor  READY   has made its plan and can begin
 *   probe      STATE   has stopped sending and reflecting; all that changed
 *   successor  TAKEN   sends and reflects
 *   successor  EVENTS  what happens to the packets of both, until the channel closes
 *   probe      closes the channel: the spool is the successor's.
 * Until TAKEN whatever goes wrong leaves the probe as it was, and the successor ends.
 * Descriptors on both sides are the same sockets; one process reads them at a time. */
#ifndef PLUMBLINE_SUCCESSOR_H
#define PLUMBLINE_SUCCESSOR_H

#include <sys/types.h>

#include <event2/event.h>

#include "handover.h"

struct successor;

/* In its environment: the number of that file.  Whoever it has become may not open it. */
#define SUCCESSOR_CPU_LATENCY "PLUMBLINE_CPU_LATENCY_FD"

struct successor_config {
    struct event_base *base;
    const char *program; /* Its file, which may be another by now. */
    const char *config_path;
    int cpu_latency; /* A file that it inherits (cpulatency.h), or -1. */

    /* Fills 'h' while all goes on.  0 or negative errno. */
    int (*offer)(struct handover *h, void *aux);
    /* Stops, and fills 'h' whole. */
    int (*leave)(struct handover *h, void *aux);
    /* Nobody took over ('left': after leave()): goes on.  'why' is for the log. */
    void (*failed)(bool left, const char *why, void *aux);
    void (*taken)(pid_t successor, const char *release, void *aux);
    /* After taken(): the successor does not have this session. */
    void (*dropped)(uint32_t index, void *aux);
    void (*event)(const struct exchange *e, void *aux);
    /* After taken(): it has ended. */
    void (*gone)(void *aux);
    void *aux;
};

/* Starts it.  0 or negative errno: nothing has happened.  After failed() or gone() there is
 * nothing to do but to free it, from there or later. */
int successor_start(struct successor **out, const struct successor_config *config);

/* Closes the channel: the successor may have what this process had.  NULL is fine. */
void successor_free(struct successor *s);

#endif
