/* metrics_help.c - what each counter means, for whoever reads a dashboard. */
#include <stddef.h>
#include <string.h>

#include "metrics.h"

static const struct {
    const char *group, *name, *help; /* Group "": of any group. */
} texts[] = {
    {"sender", "reply_short", "Replies too short to be one; not taken."},
    {"sender", "reply_overlong", "Replies longer than a reply can be; not taken."},
    {"sender", "reply_bad_tlv", "Replies taken without their extensions, which were malformed."},
    {"sender", "reply_stranger", "Packets from where no session sends to; not taken."},
    {"sender", "reply_unknown_ssid", "Replies of no session of ours; not taken."},
    {"sender", "reply_bad_error_estimate",
     "Replies whose error estimate says nothing; taken, without a bound of the clock."},
    {"sender", "reply_wrong_key", "Replies signed with none of the session's keys; not taken."},
    {"sender", "reply_unauthenticated", "Unsigned replies to a session that has keys; not taken."},
    {"sender", "reply_bad_tlv_integrity",
     "Replies taken without their extensions, which are not signed as they must be."},
    {"sender", "sends_skipped", "Packets not sent because the timing thread came too late."},
    {"sender", "events_lost", "Events for which the ring had no room; their packets are unknown."},
    {"reflector", "short", "Requests too short to be one; not answered."},
    {"reflector", "overlong", "Requests longer than one can be; not answered."},
    {"reflector", "bad_error_estimate", "Requests whose error estimate says nothing."},
    {"reflector", "bad_tlv", "Requests with malformed extensions; answered, and marked so."},
    {"reflector", "stranger", "Requests from addresses that are nobody's; not answered."},
    {"reflector", "wrong_key", "Requests signed with none of the link's keys; not answered."},
    {"reflector", "unauthenticated", "Unsigned requests on a link that has keys; not answered."},
    {"reflector", "unknown_key", "Signed requests on a link that has no keys; not answered."},
    {"reflector", "bad_tlv_integrity",
     "Requests whose extensions are not signed as they must be; answered, and marked so."},
    {"reflector", "nat_moved", "Sessions behind NAT that came from another address or port."},
    {"reflector", "nat_limited",
     "Signed requests from nobody's address, while too many such came; not answered."},
    {"reflector", "duplicate", "Repeated requests; not answered twice."},
    {"reflector", "replayed", "Requests that look like old ones; not answered."},
    {"reflector", "rate_limited", "Requests over the rate of one sender; not answered."},
    {"reflector", "full", "Requests for which there was no room for a session; not answered."},
    {"reflector", "expired", "Sessions forgotten after silence."},
    {"reflector", "sender_began_anew", "Sessions whose sender began anew."},
    {"reflector", "follow_up_lost", "Exact send times for which there was no reply to ride in."},
    {"reflector", "requests", "Requests received, whatever they were."},
    {"reflector", "replies", "Replies that the kernel took."},
    {"", "kernel_drops", "Packets that the kernel dropped because the receive buffer was full."},
    {"", "rx_unstamped", "Packets that came without the kernel's timestamp."},
    {"", "tx_stamp_missing", "Packets for which no transmit timestamp came."},
    {"", "tx_stamp_forgotten", "Transmit timestamps that came too late to be used."},
    {"", "tx_stamp_unknown", "Transmit timestamps of no packet of ours."},
    {"", "tx_stamp_bad", "Transmit timestamps that cannot be true."},
    {"", "send_errors", "Packets that the kernel refused to send."},
    {"", "tx_id_resets", "Times that the numbering of transmit timestamps was begun anew."},
    {"", "tx_stamps_given_up", "Sockets that gave up on the kernel's transmit timestamps."},
    {"timing", "clock_steps", "Jumps of the realtime clock over 1 ms."},
    {"timing", "late_over_1ms", "Rounds of the timing thread that sent over 1 ms late."},
    {"match", "reply_unknown", "Replies to packets that were not sent, or are long final."},
    {"match", "t1_unknown", "Transmit timestamps of packets that were not sent, or are final."},
    {"match", "t1_missing", "Packets final without the kernel's transmit timestamp."},
    {"match", "t3_missing", "Packets received without the reflector's exact send time."},
    {"match", "bad_reflector_time", "Replies whose reflector's timestamps cannot be true."},
    {"match", "ttl_changed", "Packets whose TTL was another than that of the packet before."},
    {"match", "remarked", "Packets that came back with another DSCP, or got there so."},
    {"match", "remarked_fwd", "Packets that got there with another DSCP."},
    {"match", "remarked_bwd", "Replies that came back with another DSCP than they left with."},
    {"match", "below_rt_floor", "Round trips under the link's rt_floor: a clock lies."},
    {"match", "far_epoch", "Times that the reflector began anew."},
    {"match", "clock_step", "Jumps of the clock that a session saw."},
    {"match", "overrun", "Stretches of which events or packets were lost here."},
    {"assemble", "summaries", "Summaries of a delta-t taken."},
    {"assemble", "tombstones", "Records that were lost before they could be sent."},
    {"assemble", "epochs", "Times that the source began an epoch."},
    {"assemble", "epoch_unlinked", "Epochs that name no epoch before that is known here."},
    {"assemble", "refused_trust", "Summaries of links that are not this source's; refused."},
    {"assemble", "refused_ahead", "Summaries over 60 s ahead of this clock; refused."},
    {"assemble", "refused_old", "Summaries from before 2000; refused."},
    {"assemble", "refused_late", "Summaries from before what was said to be final; refused."},
    {"assemble", "refused_repeated", "Summaries of a delta-t that came before; refused."},
    {"assemble", "refused_no_session", "Summaries whose session's description was lost; refused."},
    {"assemble", "held_full", "Times that a source had to wait because too much was undecided."},
    {"source", "batches", "Entries of the stream taken."},
    {"source", "rows", "Rows written."},
    {"source", "commits", "Transactions committed."},
    {"source", "claims", "Times that this collector took the source."},
    {"source", "releases", "Times that this collector let go of the source."},
    {"source", "gaps", "Times that the stream was not continuous and was asked for again."},
    {"source", "fence_refused",
     "Commits that were another collector's to make; they changed nothing."},
    {"source", "quarantined", "Entries that do not decode, kept in quarantine."},
    {"source", "newer_format", "Entries of a newer release, for which the source waits."},
    {"source", "commits_refused", "Commits that PostgreSQL refused; the source waits."},
    {"source", "unreadable", "Times that the stream could not be read at all; the source waits."},
    {"worker", "far_judged", "Delta-t for which a far end's word was found."},
    {"worker", "postgresql_lost", "Connections to PostgreSQL lost."},
    {"worker", "redis_lost", "Connections to Redis lost."},
    {"worker", "redis_refused", "Commands that Redis refused."},
    {"stream", "resends", "Entries sent again."},
    {"stream", "refused_out_of_memory", "Entries that Redis had no memory for; they wait."},
    {"stream", "want_obeyed", "Times that a collector asked again for what was sent before."},
    {"stream", "conflicts", "Epochs begun anew because Redis held entries that are not ours."},
    {"stream", "full", "Times that the stream had reached its bound; the spool keeps the rest."},
    {"stream", "bad_acks", "Values of the ack key that could not be read."},
};

const char *
metrics_help(const char *group, const char *name)
{
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(texts[i].name, name) == 0 &&
            (texts[i].group[0] == '\0' || strcmp(texts[i].group, group) == 0)) {
            return texts[i].help;
        }
    }
    return NULL;
}
