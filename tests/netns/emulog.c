/* emulog.c - reads frames for the log, writes its lines. */
#include "emulog.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <string.h>

#include "wire.h"

#define ETHERTYPE_V4 0x0800
#define ETHERTYPE_V6 0x86dd
#define NTP_UNIX_S INT64_C(2208988800)

/* A STAMP timestamp by its error estimate's Z bit: NTP or truncated PTPv2. */
static struct instant
stamp_instant(uint64_t stamp, uint16_t error_estimate)
{
    int64_t seconds = (int64_t)(stamp >> 32);
    uint64_t part = stamp & UINT32_MAX;

    if (stamp == 0) {
        return instant_of_ns(0);
    }
    if (error_estimate & 0x4000) {
        return instant_of_ns(seconds * NS_PER_S + (int64_t)part);
    }
    return instant_of_ns((seconds - NTP_UNIX_S) * NS_PER_S +
                         (int64_t)((part * (uint64_t)NS_PER_S) >> 32));
}

/* Layouts: doc/wire-format.md, unauthenticated packets. */
static void
parse_stamp(struct rd r, struct emulog_packet *p)
{
    uint64_t stamp;
    uint16_t estimate;

    p->seq = p->sender_seq = rd_be32(&r);
    stamp = rd_be64(&r);
    estimate = rd_be16(&r);
    p->ssid = rd_be16(&r);
    if (p->kind == EMULOG_REPLY) {
        rd_skip(&r, 8);
        p->sender_seq = rd_be32(&r);
        stamp = rd_be64(&r);
        estimate = rd_be16(&r);
    }
    if (rd_ok(&r)) {
        p->t1 = stamp_instant(stamp, estimate);
    }
}

static void
parse_udp(struct rd *r, uint16_t reflector_port, struct emulog_packet *p)
{
    uint16_t length;

    p->sport = rd_be16(r);
    p->dport = rd_be16(r);
    length = rd_be16(r);
    rd_skip(r, 2);
    p->size = length >= 8 ? (uint16_t)(length - 8) : 0;
    if (p->dport == reflector_port) {
        p->kind = EMULOG_REQUEST;
    } else if (p->sport == reflector_port) {
        p->kind = EMULOG_REPLY;
    }
    if (p->kind != EMULOG_OTHER && rd_ok(r)) {
        parse_stamp(*r, p);
    }
}

static bool
parse_v4(struct rd *r, uint16_t reflector_port, struct emulog_packet *p)
{
    uint8_t version = rd_u8(r), tos = rd_u8(r), protocol;
    uint16_t fragment;

    p->family = 4;
    p->dscp = tos >> 2;
    rd_skip(r, 2);
    p->ip_id = rd_be16(r);
    fragment = rd_be16(r);
    p->ttl = rd_u8(r);
    protocol = rd_u8(r);
    rd_skip(r, 2);
    rd_copy(r, p->src, 4);
    rd_copy(r, p->dst, 4);
    if (!rd_ok(r) || version >> 4 != 4 || (version & 15) < 5 || protocol != IPPROTO_UDP) {
        return false;
    }
    rd_skip(r, (size_t)((version & 15) - 5) * 4);
    if ((fragment & 0x1fff) == 0) {
        parse_udp(r, reflector_port, p);
    }
    return true;
}

static bool
parse_v6(struct rd *r, uint16_t reflector_port, struct emulog_packet *p)
{
    uint32_t head = rd_be32(r);
    uint8_t next;

    p->family = 6;
    p->dscp = (uint8_t)(head >> 22 & 63);
    rd_skip(r, 2);
    next = rd_u8(r);
    p->ttl = rd_u8(r);
    rd_copy(r, p->src, 16);
    rd_copy(r, p->dst, 16);
    if (!rd_ok(r) || head >> 28 != 6 || next != IPPROTO_UDP) {
        return false;
    }
    parse_udp(r, reflector_port, p);
    return true;
}

bool
emulog_parse(const void *frame, size_t size, uint16_t reflector_port, struct emulog_packet *out)
{
    struct rd r = rd_of(frame, size);
    struct emulog_packet p = {.kind = EMULOG_OTHER};
    uint16_t type;
    bool is_udp = false;

    rd_skip(&r, 12);
    type = rd_be16(&r);
    if (type == ETHERTYPE_V4) {
        is_udp = parse_v4(&r, reflector_port, &p);
    } else if (type == ETHERTYPE_V6) {
        is_udp = parse_v6(&r, reflector_port, &p);
    }
    if (is_udp) {
        *out = p;
    }
    return is_udp;
}

void
emulog_head(FILE *to)
{
    fputs("#link\tdir\trx_ns\taction\tdue_ns\ttx_ns\tdup_tx_"
          "ns\treordered\tsrc\tsport\tdst\tdport\tip_id\tdscp\t"
          "ttl\tsize\tkind\tseq\tssid\tt1_ns\tsender_seq\n",
          to);
}

void
emulog_line(FILE *to, const struct emulog_deed *deed, const struct emulog_packet *p)
{
    static const char *const kinds[] = {"other", "request", "reply"};
    char src[INET6_ADDRSTRLEN] = "?", dst[INET6_ADDRSTRLEN] = "?";
    int family = p->family == 6 ? AF_INET6 : AF_INET;

    inet_ntop(family, p->src, src, sizeof src);
    inet_ntop(family, p->dst, dst, sizeof dst);
    fprintf(to, "%s\t%s\t%" PRId64 "\t%s\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%d\t", deed->link,
            deed->bwd ? "bwd" : "fwd", deed->rx.ns, deed->action, deed->due.ns, deed->tx.ns,
            deed->duplicate_tx.ns, deed->reordered);
    fprintf(to, "%s\t%u\t%s\t%u\t%u\t%u\t%u\t%u\t", src, p->sport, dst, p->dport, p->ip_id, p->dscp,
            p->ttl, p->size);
    fprintf(to, "%s\t%" PRIu32 "\t%u\t%" PRId64 "\t%" PRIu32 "\n", kinds[p->kind], p->seq, p->ssid,
            p->t1.ns, p->sender_seq);
}
