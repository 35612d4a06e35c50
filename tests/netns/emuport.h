/* emuport.h - one end of an emulated link: a packet socket on one interface that
 * gives each frame the kernel's own receive and transmit stamps.
 *
 * After nstime.h, before linkemu.c.  Frames begin with a struct virtio_net_hdr,
 * so that a checksum which the sender left to its card stays right on the way. */
#ifndef PLUMBLINE_EMUPORT_H
#define PLUMBLINE_EMUPORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "nstime.h"

/* Enough for the header and any frame. */
#define EMUPORT_FRAME_MAX 66000

/* What stands before the Ethernet header. */
#define EMUPORT_PREFIX 10

struct emuport {
    int fd;
    uint32_t next_id; /* The kernel's number of the next frame sent. */
    uint64_t dropped; /* Frames that the socket's buffer had no room for. */
};

/* Takes over interface 'name': promiscuous, frames in both ways.  0 or negative
 * errno. */
int emuport_open(struct emuport *p, const char *name);
void emuport_close(struct emuport *p);

/* The next frame into 'buf' of EMUPORT_FRAME_MAX bytes: its size with the prefix,
 * and when the kernel received it.  -EAGAIN when there is none. */
ssize_t emuport_receive(struct emuport *p, void *buf, struct instant *rx);

/* Sends a frame as emuport_receive() gave it.  0, and the number under which its
 * stamp will come; or negative errno: then the numbers are not to be trusted
 * until emuport_renumber(). */
int emuport_send(struct emuport *p, const void *frame, size_t size, uint32_t *id);

/* Takes one transmit stamp.  1, or 0 when none is there. */
int emuport_stamp(struct emuport *p, uint32_t *id, struct instant *tx);

/* Numbers begin at 0 again.  Call it when all stamps have been taken. */
int emuport_renumber(struct emuport *p);

/* Brings 'dropped' up to date. */
void emuport_count_dropped(struct emuport *p);

#endif
