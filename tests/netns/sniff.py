#!/usr/bin/env python3
"""sniff.py INTERFACE OUT - a line for each UDP packet that comes or goes there:
in|out, family, source, port, destination, port, DSCP, TTL, DF, UDP payload octets,
first word of it (a test packet's sequence).  Fragments after the first have no
ports; they are told as such."""
import socket
import struct
import sys

ETH_P_ALL = 3
UDP = 17


def parse4(ip):
    header = (ip[0] & 15) * 4
    fragment = struct.unpack(">H", ip[6:8])[0]
    source, to = (socket.inet_ntop(socket.AF_INET, ip[i:i + 4]) for i in (12, 16))
    return ip[9], header, source, to, ip[1] >> 2, ip[8], int(bool(fragment & 0x4000)), fragment & 0x1fff


def parse6(ip):
    tclass = struct.unpack(">H", ip[:2])[0] >> 4 & 255
    source, to = (socket.inet_ntop(socket.AF_INET6, ip[i:i + 16]) for i in (8, 24))
    return ip[6], 40, source, to, tclass >> 2, ip[7], 1, 0


def main():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.bind((sys.argv[1], ETH_P_ALL))
    out = open(sys.argv[2], "w", buffering=1, encoding="ascii")
    print("ready", flush=True)
    while True:
        frame, where = s.recvfrom(65535)
        kind, ip = struct.unpack(">H", frame[12:14])[0], frame[14:]
        if kind not in (0x0800, 0x86dd):
            continue
        family = 4 if kind == 0x0800 else 6
        protocol, header, source, to, dscp, ttl, df, offset = (parse4 if family == 4 else parse6)(ip)
        if protocol != UDP:
            continue
        way = "out" if where[2] == socket.PACKET_OUTGOING else "in"
        if offset:
            print(way, family, source, "fragment", to, sep="\t", file=out)
            continue
        udp = ip[header:]
        sport, dport, size = struct.unpack(">HHH", udp[:6])
        first = struct.unpack(">I", udp[8:12])[0] if len(udp) >= 12 else 0
        print(way, family, source, sport, to, dport, dscp, ttl, df, size - 8, first, sep="\t", file=out)


main()
