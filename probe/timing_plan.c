/* timing_plan.c - a plan, as sender and reflector want it. */
#include "timing_plan.h"

#include <errno.h>
#include <stdlib.h>

#include "reflector.h"

int
timing_plan_sessions(const struct timing_plan *plan, struct sender *sender)
{
    struct sender_session *s;
    int err;

    s = (struct sender_session *)calloc(plan->session_count + 1, sizeof *s);
    if (!s) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < plan->session_count; i++) {
        const struct timing_session *from = &plan->sessions[i];
        s[i] = (struct sender_session){
            .index = from->index,
            .protocol = from->protocol,
            .foreign = from->foreign,
            .ptp = from->ptp,
            .whole = from->whole,
            .source = from->source,
            .destination = from->destination,
            .source_port = from->source_port,
            .destination_port = from->destination_port,
            .ssid = from->ssid,
            .dscp = from->dscp,
            .size = from->size,
            .period = from->period,
            .interface = from->interface,
            .begin = from->begin,
            .dt = from->dt,
            .keys = from->keys,
        };
    }
    err = sender_set(sender, s, plan->session_count, sender_clock_now());
    free(s);
    return err;
}

int
timing_plan_peers(const struct timing_plan *plan, struct reflector *reflector)
{
    struct reflector_peer *p;
    int err;

    p = (struct reflector_peer *)calloc(plan->peer_count + 1, sizeof *p);
    if (!p) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < plan->peer_count; i++) {
        p[i] = (struct reflector_peer){.local = plan->peers[i].local,
                                       .remote = plan->peers[i].remote,
                                       .remote_bits =
                                           (uint8_t)(8 * address_size(&plan->peers[i].remote)),
                                       .interface = plan->peers[i].interface,
                                       .dscps = plan->peers[i].dscps,
                                       .keys = plan->peers[i].keys,
                                       .nat = plan->peers[i].nat};
    }
    err = reflector_allow(reflector, p, plan->peer_count);
    free(p);
    return err;
}
