/* netpair.h - two nameless network namespaces joined by a veth pair, for tests
 * that need a real link.  They vanish with the process. */
#ifndef PLUMBLINE_NETPAIR_H
#define PLUMBLINE_NETPAIR_H

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct netpair {
    int ns[2]; /* 10.99.0.1 and fd99::1 on "left", 10.99.0.2 and fd99::2 on "right". */
};

static void
netpair_enter(const struct netpair *p, unsigned side)
{
    if (setns(p->ns[side], CLONE_NEWNET) < 0) {
        perror("setns");
        exit(EXIT_FAILURE);
    }
}

static int
netpair_ns(void)
{
    if (unshare(CLONE_NEWNET) < 0) {
        return -1;
    }
    return open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* Exits with 77 (skipped) where namespaces are not permitted. */
static void
netpair_open(struct netpair *p)
{
    char command[512];

    p->ns[0] = netpair_ns();
    p->ns[1] = netpair_ns();
    if (p->ns[0] < 0 || p->ns[1] < 0) {
        printf("network namespaces are not permitted here\n");
        exit(77);
    }
    /* We are on the right. */
    snprintf(command, sizeof command,
             "ip link set lo up && "
             "ip link add right type veth peer name left netns /proc/%d/fd/%d && "
             "ip addr add 10.99.0.2/24 dev right && ip addr add fd99::2/64 dev right nodad && "
             "ip link set right up",
             (int)getpid(), p->ns[0]);
    if (system(command) != 0) {
        printf("no veth pair could be made\n");
        exit(77);
    }
    netpair_enter(p, 0);
    if (system("ip link set lo up && ip addr add 10.99.0.1/24 dev left && "
               "ip addr add 10.99.0.3/24 dev left && "
               "ip addr add fd99::1/64 dev left nodad && ip link set left up") != 0) {
        printf("the veth pair could not be set up\n");
        exit(EXIT_FAILURE);
    }
    /* The kernel drops what is sent before it has found the carrier, a second later on
     * a busy machine, and a sender without a single stamp by then gives them up. */
    for (unsigned i = 0; i < 2; i++) {
        netpair_enter(p, i);
        if (system("for i in $(seq 1200); do ip -o link show type veth | grep -q 'state UP' && "
                   "exit 0; sleep 0.05; done; exit 1") != 0) {
            printf("the veth pair did not come up\n");
            exit(EXIT_FAILURE);
        }
    }
    netpair_enter(p, 0);
}

#endif
