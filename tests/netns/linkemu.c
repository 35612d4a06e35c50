/* linkemu.c - emulated links between pairs of interfaces, and a log of what was
 * truly done to every UDP packet.
 *
 * Stands on emuport.h (frames with kernel stamps), impair.h (fates) and emulog.h
 * (the log).  It sits in a network namespace between two veth ends a link.  UDP
 * is delayed, lost, duplicated and reordered as told; everything else (ARP
 * first) passes at once and unharmed.  Its own slowness does not matter to who
 * compares with its log: delay = transmit stamp - receive stamp, both the
 * kernel's.
 *
 * One thread, one heap of held packets ordered by when they are due. */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cpulatency.h"
#include "emulog.h"
#include "emuport.h"
#include "impair.h"

#define LINKS_MAX 32
#define NAME_MAX_BYTES 64
#define HELD_MAX 65536
#define FLIGHT_MAX 4096 /* A power of two. */
#define CLIENTS_MAX 16
#define RECEIVE_BURST 64
#define STAMP_PATIENCE_NS NS_PER_S
#define IDLE_NS (200 * NS_PER_MS)
/* How long before a packet is due somebody prompt is awake: what waking up takes, with room. */
#define EARLY_NS (200 * NS_PER_US)
#define MESSAGE_MAX 4096

struct packet {
    struct link *link;
    unsigned bwd;     /* 1: from the second interface to the first. */
    unsigned pending; /* Copies whose stamp is awaited. */
    bool is_udp;
    struct impair_fate fate;
    struct instant rx, tx[2];
    struct span due; /* Monotonic, so that a clock step delays nothing. */
    uint64_t order;
    struct emulog_packet head;
    size_t size;
    uint8_t frame[];
};

/* A copy that was sent and has no stamp yet. */
struct flight {
    struct packet *packet;
    unsigned copy;
    uint32_t id;
    struct span sent; /* Monotonic. */
};

struct counts {
    uint64_t received, passed, lost, duplicated, other, stampless, refused, full;
};

struct end {
    struct emuport port;
    struct flight flights[FLIGHT_MAX];
    uint32_t oldest; /* No flight has an older number. */
};

struct link {
    char name[NAME_MAX_BYTES];
    struct end ends[2]; /* fwd comes in at 0 and goes out at 1. */
    struct impair directions[2];
    struct counts counts[2];
    struct span last_due[2]; /* Monotonic, of what keeps its order. */
};

struct emulator {
    struct link *links[LINKS_MAX];
    size_t link_count;
    struct packet **heap;
    size_t held;
    uint64_t order;
    FILE *log;
    uint16_t reflector_port;
    bool prompt, stop;
    int epoll, signals, listener;
    int clients[CLIENTS_MAX]; /* -1: free. */
    const char *control;
    struct span flushed;
};

/* What an epoll event is about: the kind above, the index below. */
enum about { ABOUT_SIGNAL, ABOUT_LISTENER, ABOUT_CLIENT, ABOUT_END };

static uint64_t
about(enum about kind, size_t index)
{
    return (uint64_t)kind << 32 | (uint64_t)index;
}

/* --- The heap of held packets --- */

static bool
earlier(const struct packet *a, const struct packet *b)
{
    return a->due.ns != b->due.ns ? a->due.ns < b->due.ns : a->order < b->order;
}

static void
heap_push(struct emulator *e, struct packet *p)
{
    size_t at = e->held++;

    while (at > 0 && earlier(p, e->heap[(at - 1) / 2])) {
        e->heap[at] = e->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    e->heap[at] = p;
}

static struct packet *
heap_pop(struct emulator *e)
{
    struct packet *top = e->heap[0], *last = e->heap[--e->held];
    size_t at = 0;

    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= e->held) {
            break;
        }
        if (child + 1 < e->held && earlier(e->heap[child + 1], e->heap[child])) {
            child++;
        }
        if (!earlier(e->heap[child], last)) {
            break;
        }
        e->heap[at] = e->heap[child];
        at = child;
    }
    e->heap[at] = last;
    return top;
}

/* --- The end of a packet's way --- */

/* Logs 'p' with what became of it, and frees it. */
static void
packet_finish(struct emulator *e, struct packet *p, const char *action)
{
    struct emulog_deed deed = {.link = p->link->name,
                               .bwd = p->bwd,
                               .action = action,
                               .rx = p->rx,
                               .due = p->fate.due,
                               .tx = p->tx[0],
                               .duplicate_tx = p->tx[1],
                               .reordered = p->fate.reordered};

    if (p->is_udp && e->log) {
        emulog_line(e->log, &deed, &p->head);
    }
    free(p);
}

static void
flight_end(struct emulator *e, struct flight *f, struct instant tx)
{
    struct packet *p = f->packet;

    f->packet = NULL;
    p->tx[f->copy] = tx;
    if (tx.ns == 0) {
        p->link->counts[p->bwd].stampless++;
    }
    if (--p->pending == 0) {
        packet_finish(e, p, "pass");
    }
}

static void
take_stamps(struct emulator *e, struct end *end)
{
    struct instant tx;
    uint32_t id;

    while (emuport_stamp(&end->port, &id, &tx)) {
        struct flight *f = &end->flights[id & (FLIGHT_MAX - 1)];
        if (f->packet && f->id == id) {
            flight_end(e, f, tx);
        }
    }
}

/* Lets go of flights whose stamp has not come for too long; all of them when
 * 'now' is the end of time. */
static void
give_up(struct emulator *e, struct end *end, struct span now)
{
    for (; end->oldest != end->port.next_id; end->oldest++) {
        struct flight *f = &end->flights[end->oldest & (FLIGHT_MAX - 1)];
        if (f->packet && f->id == end->oldest) {
            if (now.ns - f->sent.ns < STAMP_PATIENCE_NS) {
                return;
            }
            flight_end(e, f, instant_of_ns(0));
        }
    }
}

static void
send_failed(struct emulator *e, struct end *out)
{
    take_stamps(e, out);
    give_up(e, out, span_of_ns(INT64_MAX));
    emuport_renumber(&out->port);
    out->oldest = 0;
}

/* Sends one copy; false if the kernel refused it. */
static bool
send_copy(struct emulator *e, struct packet *p, unsigned copy, struct span now)
{
    struct end *out = &p->link->ends[p->bwd ? 0 : 1];
    struct flight *f;
    uint32_t id;

    if (emuport_send(&out->port, p->frame, p->size, &id) != 0) {
        p->link->counts[p->bwd].refused++;
        send_failed(e, out);
        return false;
    }
    f = &out->flights[id & (FLIGHT_MAX - 1)];
    if (f->packet) {
        flight_end(e, f, instant_of_ns(0));
    }
    *f = (struct flight){.packet = p, .copy = copy, .id = id, .sent = now};
    p->pending++;
    return true;
}

static void
depart(struct emulator *e, struct packet *p, struct span now)
{
    struct counts *c = &p->link->counts[p->bwd];
    struct end *out = &p->link->ends[p->bwd ? 0 : 1];
    bool sent;

    p->pending = 1; /* Ours, until both copies are on their way. */
    sent = send_copy(e, p, 0, now);
    if (sent && p->is_udp) {
        c->passed++;
        if (p->fate.duplicate && send_copy(e, p, 1, now)) {
            c->duplicated++;
        }
    }
    if (--p->pending == 0) {
        packet_finish(e, p, sent ? "pass" : "refused");
    }
    take_stamps(e, out);
}

/* --- Frames that come --- */

static void
arrive(struct emulator *e, struct packet *p, struct span now, struct instant wall)
{
    struct counts *c = &p->link->counts[p->bwd];

    if (!p->is_udp) {
        c->other++;
        depart(e, p, now);
        return;
    }
    c->received++;
    p->fate = impair_decide(&p->link->directions[p->bwd], p->rx, p->head.dscp);
    if (p->fate.action != IMPAIR_PASS) {
        c->lost++;
        packet_finish(e, p, impair_action_name(p->fate.action));
        return;
    }
    if (e->held == HELD_MAX) {
        c->full++;
        packet_finish(e, p, "full");
        return;
    }
    p->due.ns = p->fate.due.ns - wall.ns + now.ns;
    if (!p->fate.reordered) {
        struct span *last = &p->link->last_due[p->bwd];
        if (p->due.ns < last->ns) {
            p->fate.due.ns += last->ns - p->due.ns;
            p->due = *last;
        }
        *last = p->due;
    }
    p->order = e->order++;
    heap_push(e, p);
}

/* Both clocks at one moment: again if we were interrupted in between. */
static void
read_clocks(struct span *mono, struct instant *wall)
{
    for (unsigned i = 0; i < 4; i++) {
        struct span before = mono_now();
        *wall = instant_now();
        *mono = mono_now();
        if (mono->ns - before.ns < 2 * NS_PER_US) {
            return;
        }
    }
}

/* Takes what is there, up to a bound, so that nobody waits for one busy end. */
static void
receive(struct emulator *e, struct link *l, unsigned bwd)
{
    static uint8_t buffer[EMUPORT_FRAME_MAX];
    struct instant wall;
    struct span now;

    read_clocks(&now, &wall);
    for (unsigned i = 0; i < RECEIVE_BURST; i++) {
        struct instant rx;
        ssize_t n = emuport_receive(&l->ends[bwd].port, buffer, &rx);
        struct packet *p;
        if (n <= EMUPORT_PREFIX) {
            return;
        }
        p = malloc(sizeof *p + (size_t)n);
        if (!p) {
            l->counts[bwd].full++;
            continue;
        }
        *p = (struct packet){.link = l, .bwd = bwd, .rx = rx, .size = (size_t)n};
        memcpy(p->frame, buffer, (size_t)n);
        p->is_udp = emulog_parse(p->frame + EMUPORT_PREFIX, (size_t)n - EMUPORT_PREFIX,
                                 e->reflector_port, &p->head);
        arrive(e, p, now, wall);
    }
}

static void
send_due(struct emulator *e)
{
    while (e->held > 0) {
        struct span now = mono_now();
        if (e->heap[0]->due.ns > now.ns) {
            return;
        }
        depart(e, heap_pop(e), now);
    }
}

/* --- Control --- */

static size_t
print_status(struct emulator *e, char *reply, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < e->link_count * 2 && used < size; i++) {
        struct link *l = e->links[i / 2];
        struct counts *c = &l->counts[i % 2];
        struct emuport *in = &l->ends[i % 2].port;
        int n;
        emuport_count_dropped(in);
        n = snprintf(reply + used, size - used,
                     "%s\t%s\treceived=%" PRIu64 "\tpassed=%" PRIu64 "\tlost=%" PRIu64
                     "\tduplicated=%" PRIu64 "\tother=%" PRIu64 "\tstampless=%" PRIu64
                     "\trefused=%" PRIu64 "\tfull=%" PRIu64 "\tdropped=%" PRIu64 "\n",
                     l->name, i % 2 ? "bwd" : "fwd", c->received, c->passed, c->lost, c->duplicated,
                     c->other, c->stampless, c->refused, c->full, in->dropped);
        used += n > 0 ? (size_t)n : 0;
    }
    return used < size ? used : size - 1;
}

/* "@NAME COMMAND" is for one link, "COMMAND" for all. */
static int
command_links(struct emulator *e, const char *text, char *error, size_t error_size)
{
    const char *name = NULL;
    size_t length = 0;
    bool found = false;

    if (*text == '@') {
        name = text + 1;
        length = strcspn(name, " ");
        text = name + length;
    }
    for (size_t i = 0; i < e->link_count; i++) {
        struct link *l = e->links[i];
        if (!name || (strlen(l->name) == length && memcmp(l->name, name, length) == 0)) {
            int err = impair_command(l->directions, text, error, error_size);
            if (err) {
                return err;
            }
            found = true;
        }
    }
    if (!found) {
        snprintf(error, error_size, "there is no link '%.*s'", (int)length, name);
    }
    return found ? 0 : -ENOENT;
}

/* Obeys a line and writes the answer: "ok <instant>", the status, or "error ...". */
static size_t
obey(struct emulator *e, const char *text, char *reply, size_t size)
{
    char error[256] = "";

    if (strcmp(text, "status") == 0) {
        return print_status(e, reply, size);
    }
    if (strcmp(text, "sync") == 0) {
        if (e->log) {
            fflush(e->log);
        }
    } else if (command_links(e, text, error, sizeof error) != 0) {
        snprintf(reply, size, "error %s\n", error);
        return strlen(reply);
    }
    snprintf(reply, size, "ok %" PRId64 "\n", instant_now().ns);
    return strlen(reply);
}

static int
watch(const struct emulator *e, int fd, uint64_t data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

    return epoll_ctl(e->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void
client_accept(struct emulator *e)
{
    int fd = accept4(e->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        return;
    }
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (e->clients[i] < 0 && watch(e, fd, about(ABOUT_CLIENT, i)) == 0) {
            e->clients[i] = fd;
            return;
        }
    }
    close(fd);
}

static void
client_serve(struct emulator *e, size_t index)
{
    char text[MESSAGE_MAX], reply[MESSAGE_MAX];
    ssize_t n = recv(e->clients[index], text, sizeof text - 1, 0);

    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n > 0) {
        text[n] = '\0';
        text[strcspn(text, "\r\n")] = '\0';
        if (send(e->clients[index], reply, obey(e, text, reply, sizeof reply), MSG_NOSIGNAL) < 0) {
            perror("linkemu: reply");
        }
    }
    close(e->clients[index]);
    e->clients[index] = -1;
}

static int
control_address(const char *path, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof out->sun_path) {
        return -ENAMETOOLONG;
    }
    strcpy(out->sun_path, path);
    return 0;
}

static int
control_open(struct emulator *e)
{
    struct sockaddr_un addr;
    int err;

    if (!e->control) {
        return 0;
    }
    err = control_address(e->control, &addr);
    if (err) {
        return err;
    }
    e->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    unlink(e->control);
    if (e->listener < 0 || bind(e->listener, (const struct sockaddr *)&addr, sizeof addr) < 0 ||
        listen(e->listener, CLIENTS_MAX) < 0) {
        return -errno;
    }
    return watch(e, e->listener, about(ABOUT_LISTENER, 0));
}

/* `linkemu tell PATH WORD ...`: sends one command and prints the answer. */
static int
tell(int argc, char **argv)
{
    struct sockaddr_un addr;
    char text[MESSAGE_MAX] = "";
    size_t used = 0;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    ssize_t n;

    if (argc < 4 || fd < 0 || control_address(argv[2], &addr) != 0) {
        fputs("usage: linkemu tell PATH COMMAND ...\n", stderr);
        return 2;
    }
    for (int i = 3; i < argc && used < sizeof text; i++) {
        int w = snprintf(text + used, sizeof text - used, "%s%s", i > 3 ? " " : "", argv[i]);
        used += w > 0 ? (size_t)w : 0;
    }
    if (connect(fd, (const struct sockaddr *)&addr, sizeof addr) < 0 ||
        send(fd, text, strlen(text), MSG_NOSIGNAL) < 0) {
        fprintf(stderr, "linkemu: %s: %s\n", argv[2], strerror(errno));
        return 3;
    }
    n = recv(fd, text, sizeof text - 1, 0);
    close(fd);
    if (n <= 0) {
        fprintf(stderr, "linkemu: %s: no answer\n", argv[2]);
        return 3;
    }
    text[n] = '\0';
    fputs(text, stdout);
    return strncmp(text, "error", 5) == 0 ? 1 : 0;
}

/* --- The loop --- */

static void
handle(struct emulator *e, const struct epoll_event *event)
{
    size_t index = (size_t)(event->data.u64 & UINT32_MAX);

    switch ((enum about)(event->data.u64 >> 32)) {
    case ABOUT_SIGNAL:
        e->stop = true;
        break;
    case ABOUT_LISTENER:
        client_accept(e);
        break;
    case ABOUT_CLIENT:
        client_serve(e, index);
        break;
    case ABOUT_END:
        take_stamps(e, &e->links[index / 2]->ends[index % 2]);
        receive(e, e->links[index / 2], (unsigned)(index % 2));
        break;
    }
}

static void
tidy(struct emulator *e, struct span now)
{
    if (now.ns - e->flushed.ns < NS_PER_S) {
        return;
    }
    e->flushed = now;
    if (e->log) {
        fflush(e->log);
    }
    for (size_t i = 0; i < e->link_count * 2; i++) {
        give_up(e, &e->links[i / 2]->ends[i % 2], now);
    }
}

static void
run(struct emulator *e)
{
    struct epoll_event events[LINKS_MAX * 2];

    while (!e->stop) {
        struct span now = mono_now();
        int64_t wait = e->held > 0 ? e->heap[0]->due.ns - now.ns : IDLE_NS;
        struct timespec timeout;
        int n;

        if (e->prompt && e->held > 0) {
            wait -= EARLY_NS;
        }
        wait = wait < 0 ? 0 : wait < IDLE_NS ? wait : IDLE_NS;
        timeout = (struct timespec){.tv_sec = 0, .tv_nsec = (long)wait};
        n = epoll_pwait2(e->epoll, events, sizeof events / sizeof events[0], &timeout, NULL);
        for (int i = 0; i < n; i++) {
            handle(e, &events[i]);
        }
        send_due(e);
        tidy(e, mono_now());
    }
}

/* What is still held is said so; then totals, as remarks. */
static void
finish(struct emulator *e)
{
    char text[MESSAGE_MAX];

    while (e->held > 0) {
        packet_finish(e, heap_pop(e), "held");
    }
    for (size_t i = 0; i < e->link_count * 2; i++) {
        struct end *end = &e->links[i / 2]->ends[i % 2];
        take_stamps(e, end);
        give_up(e, end, span_of_ns(INT64_MAX));
    }
    print_status(e, text, sizeof text);
    for (char *save = NULL, *l = strtok_r(text, "\n", &save); l && e->log;
         l = strtok_r(NULL, "\n", &save)) {
        fprintf(e->log, "#total\t%s\n", l);
    }
    if (e->log) {
        fclose(e->log);
    }
    for (size_t i = 0; i < e->link_count; i++) {
        emuport_close(&e->links[i]->ends[0].port);
        emuport_close(&e->links[i]->ends[1].port);
        free(e->links[i]);
    }
    if (e->control) {
        unlink(e->control);
    }
    free(e->heap);
}

/* --- Start --- */

/* "NAME:IF0:IF1" */
static int
link_open(struct emulator *e, char *text, uint64_t seed)
{
    char *save = NULL, *name = strtok_r(text, ":", &save), *ifs[2];
    struct link *l;

    ifs[0] = strtok_r(NULL, ":", &save);
    ifs[1] = strtok_r(NULL, ":", &save);
    if (!name || !ifs[0] || !ifs[1] || strlen(name) >= NAME_MAX_BYTES ||
        e->link_count == LINKS_MAX) {
        return -EINVAL;
    }
    l = calloc(1, sizeof *l);
    if (!l) {
        return -ENOMEM;
    }
    strcpy(l->name, name);
    e->links[e->link_count++] = l;
    l->ends[0].port.fd = l->ends[1].port.fd = -1;
    for (unsigned i = 0; i < 2; i++) {
        int err = emuport_open(&l->ends[i].port, ifs[i]);
        if (!err) {
            err = watch(e, l->ends[i].port.fd, about(ABOUT_END, (e->link_count - 1) * 2 + i));
        }
        if (err) {
            fprintf(stderr, "linkemu: %s: %s\n", ifs[i], strerror(-err));
            return err;
        }
        impair_init(&l->directions[i], (seed + e->link_count) * 2 + i);
    }
    return 0;
}

static int
emulator_open(struct emulator *e)
{
    sigset_t set;

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        e->clients[i] = -1;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    if (e->prompt &&
        sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1})) {
        fprintf(stderr, "linkemu: no real-time priority: %s; packets may leave late\n",
                strerror(errno));
    }
    if (e->prompt) {
        /* For as long as we are there; where there is no such file, packets may leave late. */
        (void)cpulatency_open(CPULATENCY_FILE, span_of_ns(0));
    }
    e->heap = calloc(HELD_MAX, sizeof e->heap[0]);
    e->epoll = epoll_create1(EPOLL_CLOEXEC);
    e->signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (!e->heap || e->epoll < 0 || e->signals < 0) {
        return -errno;
    }
    return watch(e, e->signals, about(ABOUT_SIGNAL, 0));
}

static void
usage(FILE *to)
{
    fputs("usage: linkemu [OPTION ...] NAME:IF0:IF1 ...\n"
          "       linkemu tell PATH [@NAME] COMMAND ...\n\n"
          "  --log FILE      what was done to each packet (emulog.h)\n"
          "  --control PATH  UNIX socket that takes commands (impair.h), `status`, `sync`\n"
          "  --seed N        of the generator (default 1)\n"
          "  --port N        UDP port of the reflectors (default 862)\n"
          "  --prompt        send packets when they are due, whatever else the machine does:\n"
          "                  real-time, awake before that, and no processor sleeps\n",
          to);
}

static int
parse_options(struct emulator *e, int argc, char **argv, uint64_t *seed)
{
    static const struct option options[] = {{"log", required_argument, NULL, 'l'},
                                            {"control", required_argument, NULL, 'c'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"port", required_argument, NULL, 'p'},
                                            {"prompt", no_argument, NULL, 'P'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'l':
            e->log = fopen(optarg, "we");
            if (!e->log) {
                perror(optarg);
                return 3;
            }
            emulog_head(e->log);
            break;
        case 'c':
            e->control = optarg;
            break;
        case 's':
            *seed = strtoull(optarg, NULL, 10);
            break;
        case 'p':
            e->reflector_port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'P':
            e->prompt = true;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            usage(stderr);
            return 2;
        }
    }
    return optind < argc ? 0 : (usage(stderr), 2);
}

int
main(int argc, char **argv)
{
    static struct emulator e = {.reflector_port = 862, .listener = -1};
    uint64_t seed = 1;
    int status;

    if (argc > 1 && strcmp(argv[1], "tell") == 0) {
        return tell(argc, argv);
    }
    status = parse_options(&e, argc, argv, &seed);
    if (status != 0) {
        return status;
    }
    if (emulator_open(&e) != 0) {
        perror("linkemu");
        return 3;
    }
    for (int i = optind; i < argc; i++) {
        if (link_open(&e, argv[i], seed) != 0) {
            fprintf(stderr, "linkemu: cannot open link %s\n", argv[i]);
            return 3;
        }
    }
    if (control_open(&e) != 0) {
        fprintf(stderr, "linkemu: %s: %s\n", e.control, strerror(errno));
        return 3;
    }
    run(&e);
    finish(&e);
    return 0;
}
