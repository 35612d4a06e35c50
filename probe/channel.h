/* channel.h - messages and open files from one process to another, over one socket.
 *
 * Before successor.h and predecessor.h, which know what the messages mean.  A message is
 * whole or not there (SOCK_SEQPACKET); its first octet is its kind.  What is larger than a
 * message goes as a file in memory. */
#ifndef PLUMBLINE_CHANNEL_H
#define PLUMBLINE_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "nstime.h"

enum channel_kind {
    CHANNEL_HELLO = 'H', /* be16 oldest, be16 newest format, be32 process id, then the release. */
    CHANNEL_FILES = 'F', /* Sockets, in the order of the state that comes. */
    CHANNEL_STATE = 'S', /* One file: the state (handover.h). */
    CHANNEL_READY = 'R', /* The successor lacks nothing but the last state. */
    CHANNEL_TAKEN = 'T', /* It sends and reflects, but not the sessions of these indexes (be32). */
    CHANNEL_EVENTS = 'E' /* Records of events (handover.h). */
};

enum { CHANNEL_FILES_MAX = 128, CHANNEL_SIZE_MAX = 65536 };

struct channel_message {
    uint8_t kind; /* 0: the other end is gone. */
    size_t size;  /* Of what follows the kind. */
    uint8_t bytes[CHANNEL_SIZE_MAX];
    unsigned file_count; /* The receiver's, to close. */
    int files[CHANNEL_FILES_MAX];
};

/* Two ends, both closed by exec. */
int channel_open(int ends[2]);

/* 0 or negative errno; -EAGAIN: there is no room now. */
int channel_send(int fd, enum channel_kind kind, const void *bytes, size_t size, const int *files,
                 unsigned count);

/* Waits for a message at most so long.  0 (also of kind 0), -ETIMEDOUT, -EMSGSIZE, or
 * another negative errno. */
int channel_receive(int fd, struct span patience, struct channel_message *out);

/* CHANNEL_FILES as often as need be, and CHANNEL_STATE. */
int channel_send_state(int fd, const void *bytes, size_t size, const int *files, size_t count);

/* What is in 'file': '*bytes' is the caller's to free().  0 or negative errno. */
int channel_read_file(int file, uint8_t **bytes, size_t *size);

#endif
