/* emuport.c - packet socket with SO_TIMESTAMPING. */
#include "emuport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (8 << 20)
#define STAMPING_FLAGS                                                                             \
    (SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |     \
     SOF_TIMESTAMPING_OPT_TSONLY)

_Static_assert(sizeof(struct virtio_net_hdr) == EMUPORT_PREFIX,
               "the prefix is the kernel's header");

static int
set_int(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) < 0 ? -errno : 0;
}

static int
set_options(int fd, unsigned ifindex)
{
    struct packet_mreq all = {.mr_ifindex = (int)ifindex, .mr_type = PACKET_MR_PROMISC};
    int err = set_int(fd, SOL_PACKET, PACKET_VNET_HDR, 1);

    if (!err) {
        err = set_int(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    }
    if (!err) {
        err = set_int(fd, SOL_SOCKET, SO_TIMESTAMPING, STAMPING_FLAGS | SOF_TIMESTAMPING_OPT_ID);
    }
    if (!err && setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) < 0) {
        err = -errno;
    }
    if (!err && set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES) != 0) {
        err = set_int(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
    }
    return err;
}

int
emuport_open(struct emuport *p, const char *name)
{
    struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    unsigned ifindex = if_nametoindex(name);
    int err;

    if (ifindex == 0) {
        return -errno;
    }
    /* Protocol 0 receives nothing until bind(): no frame of another interface. */
    *p = (struct emuport){.fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (p->fd < 0) {
        return -errno;
    }
    addr.sll_ifindex = (int)ifindex;
    err = set_options(p->fd, ifindex);
    if (!err && bind(p->fd, (const struct sockaddr *)&addr, sizeof addr) < 0) {
        err = -errno;
    }
    if (err) {
        emuport_close(p);
    }
    return err;
}

void
emuport_close(struct emuport *p)
{
    if (p->fd >= 0) {
        close(p->fd);
        p->fd = -1;
    }
}

/* The software stamp of a message, or 0. */
static struct instant
software_stamp(struct msghdr *msg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPING) {
            struct scm_timestamping stamps;
            memcpy(&stamps, CMSG_DATA(c), sizeof stamps);
            return instant_of_timespec(stamps.ts[0]);
        }
    }
    return instant_of_ns(0);
}

ssize_t
emuport_receive(struct emuport *p, void *buf, struct instant *rx)
{
    _Alignas(struct cmsghdr) char control[256];
    struct iovec iov = {.iov_base = buf, .iov_len = EMUPORT_FRAME_MAX};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(p->fd, &msg, 0);
    struct virtio_net_hdr head;

    if (n < 0) {
        return -errno;
    }
    if ((size_t)n < sizeof head) {
        return -EBADMSG;
    }
    *rx = software_stamp(&msg);
    if (rx->ns == 0) {
        *rx = instant_now(); /* Queued before the kernel began to stamp. */
    }
    memcpy(&head, buf, sizeof head);
    head.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
    memcpy(buf, &head, sizeof head);
    return n;
}

int
emuport_send(struct emuport *p, const void *frame, size_t size, uint32_t *id)
{
    struct iovec iov = {.iov_len = size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    memcpy(&iov.iov_base, &frame, sizeof frame); /* sendmsg() only reads it. */
    if (sendmsg(p->fd, &msg, MSG_DONTWAIT) < 0) {
        return -errno;
    }
    *id = p->next_id++;
    return 0;
}

int
emuport_stamp(struct emuport *p, uint32_t *id, struct instant *tx)
{
    for (;;) {
        _Alignas(struct cmsghdr) char control[256];
        struct msghdr msg = {.msg_control = control, .msg_controllen = sizeof control};
        bool found = false;

        if (recvmsg(p->fd, &msg, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
            return 0;
        }
        *tx = software_stamp(&msg);
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
            struct sock_extended_err e;
            if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_TX_TIMESTAMP) {
                memcpy(&e, CMSG_DATA(c), sizeof e);
                *id = e.ee_data;
                found = e.ee_origin == SO_EE_ORIGIN_TIMESTAMPING;
            }
        }
        if (found && tx->ns != 0) {
            return 1;
        }
    }
}

int
emuport_renumber(struct emuport *p)
{
    int err = set_int(p->fd, SOL_SOCKET, SO_TIMESTAMPING, STAMPING_FLAGS);

    if (!err) {
        err = set_int(p->fd, SOL_SOCKET, SO_TIMESTAMPING, STAMPING_FLAGS | SOF_TIMESTAMPING_OPT_ID);
    }
    p->next_id = 0;
    return err;
}

void
emuport_count_dropped(struct emuport *p)
{
    struct tpacket_stats stats;
    socklen_t size = sizeof stats;

    if (getsockopt(p->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0) {
        p->dropped += stats.tp_drops;
    }
}
