/* config.h - the local configuration of each program: /etc/plumbline/<program>.yaml.
 *
 * After yaml.h; read by main.c of each program.  One table a program: key, type,
 * range, unit, default, offset.  Strings stay the configuration's; freed whole.
 * Errors are found all at once, file:line:column and what was expected. */
#ifndef PLUMBLINE_CONFIG_H
#define PLUMBLINE_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "address.h"
#include "log.h"
#include "nstime.h"
#include "tls.h"

struct config_redis {
    const char
        *address;              /* "host:port", "[v6]:port", several with commas, "unix:/path".
                                * redis.address; required, but       for the command line: 127.0.0.1:6379. */
    const char *user;          /* NULL.  redis.user */
    const char *password_file; /* NULL.  redis.password_file */
    struct tls_config tls;     /* All NULL: plain.  redis.tls */
    struct span timeout;       /* 5s.  redis.timeout */
};

struct config_postgresql {
    const char *conninfo;      /* libpq's key=value text, no password in it.  postgresql.conninfo;
                                * required, but for the command line: dbname=plumbline. */
    const char *password_file; /* NULL.  postgresql.password_file */
};

struct config_metrics {
    const char *listen; /* "address:port", "[v6]:port", numbers.  NULL: no /metrics.
                         * metrics.listen */
};

/* Of a link whose packets are authenticated. */
struct config_link_key {
    const char *link;          /* Its key in the inventory. */
    const char *key_file;      /* Current. */
    const char *key_file_next; /* NULL: none. */
    bool send_next;            /* This probe sends with the next one. */
};

/* plumbline-probe: probe.yaml */
struct probe_config {
    const char *probe;     /* This probe's key in the inventory; required. */
    const char *inventory; /* File or folder; required. */
    struct config_redis redis;
    struct {
        const char *folder;    /* /var/lib/plumbline/spool */
        struct span keep;      /* 24h */
        uint64_t keep_size;    /* 1GiB */
        uint64_t segment_size; /* 8MiB */
        uint64_t memory_size;  /* 16MiB */
        uint64_t disk_size;    /* 0: the disk's */
    } spool;
    uint64_t stream_size; /* 16MiB: bound of what waits in the stream; 0: none. */
    uint16_t source_port; /* 50000: flow n sends from this + n. */
    uint16_t port;        /* 862: where this probe reflects. */
    uint16_t priority;    /* 40: SCHED_FIFO priority of the timing thread where allowed; 0: none. */
    struct span cpu_latency; /* CPULATENCY_ANY_NS: processors sleep as they like (cpulatency.h). */
    struct {
        const struct prefix *allow; /* Whom it serves; none: there is no server. */
        size_t allow_count;
        struct address address; /* To listen on; none: any, of both families. */
        uint16_t port;          /* 862, TCP */
        uint32_t connections;   /* 16 */
        uint32_t sessions;      /* 64 */
        struct span timeout;    /* 15m */
    } twamp_control;
    const char *key_folder; /* /etc/plumbline/keys: of the files that a link's 'auth' names. */
    struct config_link_key *link_keys; /* In the place of those. */
    size_t link_key_count;
    const char *sample_log; /* NULL.  A line of TSV for each packet's fate: evidence for tests. */
    bool trace;             /* true: follow the paths of links, by ICMP (doc/problems.md). */
    const char *user; /* NULL: stay.  service_drop_to() to this user before any thread starts. */
    struct config_metrics metrics;
    enum log_level log_level;
};

/* plumbline-collector: collector.yaml */
struct collector_config {
    const char *collector; /* Name in heartbeats; default: the host's name. */
    const char *inventory; /* Required. */
    struct config_redis redis;
    struct config_postgresql postgresql;
    uint32_t workers;          /* 1..64, default 1. */
    struct span source_expiry; /* 8d */
    struct {                   /* How long rows are kept; 0: for ever. */
        struct span interval;  /* 90d.  Rows of the inventory's interval, and liveness. */
        struct span quarter;   /* 400d */
        struct span day;       /* 0 */
        struct span problem;   /* 400d.  Problems that are over, and what is of them. */
        struct span trace;     /* 40d.  Paths of no problem. */
    } retention;
    struct span
        gather; /* 2s.  Alarms of one cause that come within it are one problem from the start. */
    struct span hold;        /* 5m.  What is raised again within it is the same episode. */
    const char *hook_folder; /* /etc/plumbline/hooks: of the files that hooks name. */
    const char *user;
    struct config_metrics metrics;
    enum log_level log_level;
};

/* plumbline: plumbline.yaml */
struct cli_config {
    const char *inventory; /* NULL if not given. */
    struct config_redis redis;
    struct config_postgresql postgresql;
};

/* Each returns 0 and a configuration that is the caller's, or -EINVAL after
 * writing all errors to 'errors', or another negative errno when 'path' cannot
 * be read (also told). */
int probe_config_load(const char *path, FILE *errors, struct probe_config **out);
void probe_config_free(struct probe_config *c);
int collector_config_load(const char *path, FILE *errors, struct collector_config **out);
void collector_config_free(struct collector_config *c);
int cli_config_load(const char *path, FILE *errors, struct cli_config **out);
void cli_config_free(struct cli_config *c);

/* The same, for whoever wants the faults themselves: adds them to 'faults'. */
struct faults;
int probe_config_load_into(const char *path, struct faults *faults, struct probe_config **out);
int collector_config_load_into(const char *path, struct faults *faults,
                               struct collector_config **out);
int cli_config_load_into(const char *path, struct faults *faults, struct cli_config **out);

#endif
