/* plan.h - from the inventory to what this probe does: the sessions it sends,
 * the peers it answers, the links it serves.
 *
 * After inventory.h, config.h, linkkeys.h and timing_plan.h; before timing.h (which sends) and
 * agent.h (which summarises).  A plan is made whole and replaced whole.  Does no I/O. */
#ifndef PLUMBLINE_PLAN_H
#define PLUMBLINE_PLAN_H

#include "config.h"
#include "hops.h"
#include "inventory.h"
#include "linkkeys.h"
#include "series.h"
#include "timing_plan.h"

/* sessions[i] is sent as timing.sessions[i]. */
struct plan_session {
    struct session_key key;
    int64_t id;   /* session_id_of(&key) */
    uint32_t mtu; /* IP octets of its packets, which only look whether they pass; 0: measured. */
    struct span rt_floor; /* The link's; 0: none. */
    uint32_t large;       /* Index of the one that does so for this link; UINT32_MAX: none. */
};

/* The way of a link's test packets from this end, for tracer.h: those of its first class and flow,
 * or the replies to them where this end sends none; these go to our own source_port, as if the far
 * end's were the same.  'way.mute' is set unless we send and the far end, a probe, answers what is
 * not signed. */
struct plan_path {
    const char *object; /* The plan's, as all names here. */
    char class_name[SERIES_NAME_MAX + 1];
    uint16_t flow;
    struct hops_way way;   /* 'near' of family 0: the route's. */
    const char *interface; /* NULL: routed. */
    uint8_t dscp;
};

struct plan {
    struct plan_session *sessions; /* timing.session_count of them. */
    struct timing_plan timing;
    char **objects; /* Links on which this probe reflects, sorted. */
    size_t object_count;
    struct plan_path *paths; /* Of links, sorted by object: but for those tested by ICMP
                                or behind NAT, whose far end could not tell who asks. */
    size_t path_count;
    int64_t serving_id; /* Hash of 'objects'; never 0. */
    int64_t generation; /* The inventory's. */
};

/* Makes the plan of config->probe.  A session that 'old' (may be NULL) has too
 * keeps its index, SSID and begin, if its packets go the same way (addresses,
 * ports, interface, protocol, signed or not); a new one takes the next index from '*next_index' on
 * that neither plan has, and begins at the first delta-t that does not start before 'not_before'.
 * Interface names are copied.  Rings of 'keys' are taken on with a reference of the plan's own.
 * 0 and a plan that is the caller's; -ENOENT: the inventory does not have this probe;
 * -ENOMEM; -EUSERS: more sessions, those of 'old' that end with it among them, than there are
 * SSIDs; -EMSGSIZE: a class of a link that has keys is too short for them (stampauth_size());
 * -EPROTONOSUPPORT: the far end of one speaks a protocol in which nothing is signed. */
int plan_make(struct plan **out, const struct inventory *inv, const struct probe_config *config,
              const struct linkkeys *keys, const struct plan *old, uint32_t *next_index,
              struct instant not_before);
void plan_free(struct plan *p);

/* NULL: there is no such link here. */
const struct plan_path *plan_path(const struct plan *p, const char *object);

#endif
