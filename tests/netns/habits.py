#!/usr/bin/env python3
"""Reflectors with bad habits, for tests of foreign far ends.

habits.py LOG ADDRESS:PORT:HABIT[+HABIT ...] ...

Each holds a packet for HOLD seconds and stamps T2 and T3 around that.  Habits:
  size=N       replies have N octets (else as many as the request)
  stateless    its sequence is the sender's
  nossid       the SSID does not come back
  zero         no T2, no T3
  unix         times since 1970 where NTP's since 1900 are due
  tai          37 s ahead, as TAI is
  ptp          stamps in truncated PTPv2 ...
  z            ... and gives back the sender's Z bit
  sync         claims to be synchronised, within a microsecond
  port=N       answers packets from this port only
  garbage      padding is whatever was in memory
  lossy        loses packets 20..24 of each session unreceived, 40..44 unanswered
The log has a line a request: address, source port, sequence, octets, fate.
"""
import heapq
import select
import socket
import struct
import sys
import time

HOLD = 0.005
NTP = 2208988800


def habits_of(text):
    found = {}
    for word in text.split("+"):
        name, _, value = word.partition("=")
        found[name] = int(value) if value else True
    return found


def stamp(habits, now_ns):
    now_ns += 37 * 10**9 if "tai" in habits else 0
    seconds, ns = divmod(now_ns, 10**9)
    if "zero" in habits:
        return bytes(8)
    if "ptp" in habits:
        return struct.pack(">II", seconds & 0xffffffff, ns)
    epoch = 0 if "unix" in habits else NTP
    return struct.pack(">II", (seconds + epoch) & 0xffffffff, (ns << 32) // 10**9)


def reply(habits, own, q, t2):
    z = q[12] & 0x40 if "z" in habits else 0x40 if "ptp" in habits else 0
    error = bytes([(0x80 if "sync" in habits else 0) | z | 12, 1])
    ssid = bytes(2) if "nossid" in habits else q[14:16]
    sequence = q[:4] if "stateless" in habits else struct.pack(">I", own)
    t3 = stamp(habits, time.time_ns())
    a = sequence + t3 + error + ssid + t2 + q[:14] + bytes(2) + b"\xfe" + bytes(3)
    size = habits.get("size", len(q))
    filler = b"\x5a" if "garbage" in habits else b"\0"
    return (a + filler * max(0, size - len(a)))[:size]


def fate_of(habits, sequence):
    if "lossy" in habits and 20 <= sequence < 25:
        return "fwd"
    if "lossy" in habits and 40 <= sequence < 45:
        return "bwd"
    return "answered"


def main():
    log = open(sys.argv[1], "w", buffering=1, encoding="ascii")
    sockets, counts, waiting = {}, {}, []
    for argument in sys.argv[2:]:
        address, port, text = argument.rsplit(":", 2)
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        s.bind((address, int(port)))
        sockets[s.fileno()] = (s, address, habits_of(text))
    poll = select.poll()
    for fd in sockets:
        poll.register(fd, select.POLLIN)
    print("ready", flush=True)
    while True:
        wait = max(0, waiting[0][0] - time.monotonic()) if waiting else 1
        for fd, _ in poll.poll(wait * 1000):
            s, address, habits = sockets[fd]
            q, sender = s.recvfrom(9000)
            t2 = stamp(habits, time.time_ns())
            sequence = struct.unpack(">I", q[:4])[0]
            fate = "wrong port" if habits.get("port", sender[1]) != sender[1] else fate_of(habits, sequence)
            log.write(f"{address}\t{sender[1]}\t{sequence}\t{len(q)}\t{fate}\n")
            if fate in ("fwd", "wrong port"):
                continue
            own = counts.get((fd, sender), 0)
            counts[fd, sender] = own + 1
            if fate == "answered":
                heapq.heappush(waiting, (time.monotonic() + HOLD, fd, own, q, t2, sender))
        while waiting and waiting[0][0] <= time.monotonic():
            _, fd, own, q, t2, sender = heapq.heappop(waiting)
            s, address, habits = sockets[fd]
            s.sendto(reply(habits, own, q, t2), sender)


main()
