#!/usr/bin/env python3
"""twamp.py - a TWAMP client of our own for test-twamp.sh: Control (RFC 5357 in
open mode, RFC 6038) and Test packets, against the addresses given.

session   a whole dialogue; "ok<TAB>sentence" or "failed<TAB>sentence" a line
stranger  succeeds if the server ends the connection without a word
"""
import argparse
import socket
import struct
import sys
import time

NTP_UNIX = 2208988800
OPEN, REFLECT, SYMMETRICAL = 1, 32, 64
WAIT = 30.0
LATE = 99  # Sequence of what is sent after the stop.

failures = 0


def say(good, sentence, why=""):
    global failures
    failures += not good
    print(f"{'ok' if good else 'failed'}\t{sentence}{'' if good else f': {why}'}")


def ntp(now=None):
    ns = time.time_ns() if now is None else now
    return (ns // 10**9 + NTP_UNIX) << 32 | ((ns % 10**9) << 32) // 10**9


def version(address):
    return 6 if ":" in address else 4


def packed(address):
    """An address as a request has it."""
    if version(address) == 6:
        return socket.inet_pton(socket.AF_INET6, address)
    return socket.inet_aton(address) + bytes(12)


def unix(raw):
    return (raw >> 32) - NTP_UNIX + (raw & 0xFFFFFFFF) / 2**32


class Control:
    def __init__(self, source, server, modes):
        self.tcp = socket.create_connection((server, 862), WAIT, (source, 0))
        self.modes = modes
        greeting = self.read(64)
        self.offered = struct.unpack_from(">I", greeting, 12)[0]
        self.count = struct.unpack_from(">I", greeting, 48)[0]
        self.tcp.sendall(struct.pack(">I", modes) + bytes(160))
        self.accept = self.read(48)[15]

    def read(self, size):
        data = b""
        while len(data) < size:
            more = self.tcp.recv(size - len(data))
            if not more:
                raise EOFError(f"the server hung up after {len(data)} of {size} octets")
            data += more
        return data

    def request(self, source, server, port, padding, dscp, timeout):
        reflect = min(padding, 20) if self.modes & REFLECT else 0
        self.tcp.sendall(
            struct.pack(">BBHIIHH", 5, version(source), 0, 0, 0, port, 862)
            + packed(source) + packed(server) + bytes(16)
            + struct.pack(">IQQI", padding, ntp(), int(timeout * 2**32), dscp << 24)
            + struct.pack(">HH", 0xBEEF if reflect else 0, reflect) + bytes(20))
        answer = self.read(48)
        return answer[0], struct.unpack_from(">H", answer, 2)[0], answer[4:20], struct.unpack_from(">HH", answer, 20)

    def start(self):
        self.tcp.sendall(bytes([2]) + bytes(31))
        return self.read(32)[0]

    def stop(self, sessions):
        self.tcp.sendall(struct.pack(">BBHI", 3, 0, 0, sessions) + bytes(24))


class Test:
    """One session's packets."""

    def __init__(self, source, server, modes, padding, dscp):
        six = version(source) == 6
        self.udp = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((source, 0))
        level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
        self.udp.setsockopt(level, socket.IPV6_UNICAST_HOPS if six else socket.IP_TTL, 255)
        self.udp.setsockopt(level, socket.IPV6_TCLASS if six else socket.IP_TOS, dscp << 2)
        self.udp.setsockopt(level, socket.IPV6_RECVTCLASS if six else socket.IP_RECVTOS, 1)
        self.udp.settimeout(WAIT)
        self.server, self.modes, self.dscp = server, modes, dscp
        self.pad = bytes((7 * i + 13) & 0xFF for i in range(padding))
        self.port = self.udp.getsockname()[1]
        self.reflector_port = 0

    def packet(self, sequence):
        head = struct.pack(">IQH", sequence, ntp(), 0x0A01)
        return head + (bytes(27) if self.modes & SYMMETRICAL else b"") + self.pad

    def send(self, data):
        self.udp.sendto(data, (self.server, self.reflector_port))

    def receive(self):
        data, cmsgs, _, peer = self.udp.recvmsg(10000, 64)
        tos = next((v[0] for level, kind, v in cmsgs if kind in (socket.IP_TOS, socket.IPV6_TCLASS)), None)
        return data, tos, peer

    def wrong(self, sent, reply, expected):
        """What is wrong with the reply, or nothing."""
        data, tos, peer = reply
        sequence, t3, error, _, t2, sender, t1, sender_error, _, ttl = struct.unpack_from(">IQHHQIQHHB", data)
        if len(data) != max(len(sent), 41):
            return f"{len(data)} octets for {len(sent)}"
        if sequence != expected:
            return f"sequence {sequence}, not {expected}"
        if data[24:38] != sent[:14]:
            return "sequence, T1 or error estimate of the sender are not given back"
        if ttl != 255 or tos is None or tos >> 2 != self.dscp:
            return f"TTL {ttl}, TOS {tos}"
        if error & 0xFF == 0 or error & 0x4000:
            return f"error estimate {error:04x}"
        if not unix(t1) - 0.001 <= unix(t2) <= unix(t3) <= time.time() + 0.001:
            return f"T1 {unix(t1)} T2 {unix(t2)} T3 {unix(t3)}"
        pad = self.pad if self.modes & SYMMETRICAL else self.pad[: max(0, len(self.pad) - 27)]
        return "" if data[41:] == pad else "the padding is not reflected"


def exchange(tests, packets):
    for n in range(packets):
        for t in tests:
            sent = t.packet(n)
            t.send(sent)
            why = t.wrong(sent, t.receive(), n)
            if why:
                return f"packet {n}: {why}"
    return ""


def silent(t, seconds):
    """Whether nothing is answered any more, at the latest after 'seconds'."""
    t.udp.settimeout(0.2)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        t.send(t.packet(LATE))
        try:
            t.receive()
            time.sleep(0.02)
        except TimeoutError:
            return True
    return False


def session(a):
    name = f"IPv{version(a.source)}, mode {a.modes}, padding {a.padding}"
    c = Control(a.source, a.server, a.modes)
    say(c.offered == OPEN | REFLECT | SYMMETRICAL and c.count >= 1024, f"{name}: the greeting offers open, reflect, symmetrical", c.offered)
    say(c.accept == 0, f"{name}: the mode is accepted", c.accept)
    tests = [Test(a.source, a.server, a.modes, a.padding, a.dscp) for _ in range(a.sessions)]
    sids = set()
    for t in tests:
        accept, t.reflector_port, sid, (octets, _) = c.request(a.source, a.server, t.port, a.padding, a.dscp, 0.5)
        say(accept == 0 and t.reflector_port == 862, f"{name}: a session is accepted", (accept, t.reflector_port))
        say(octets == (0xBEEF if a.modes & REFLECT and a.padding else 0), f"{name}: octets are reflected as asked", octets)
        sids.add(sid)
    say(len(sids) == a.sessions, f"{name}: each session has an id of its own")
    say(c.start() == 0, f"{name}: the sessions start")
    why = exchange(tests, a.packets)
    say(not why, f"{name}: every packet is reflected as the RFC has it", why)
    again = tests[0].packet(a.packets - 1)
    tests[0].send(again)
    why = tests[0].wrong(again, tests[0].receive(), a.packets)
    say(not why, f"{name}: a duplicate is answered too", why)
    c.stop(a.sessions)
    say(all(silent(t, WAIT) for t in tests), f"{name}: after the stop and its time-out nobody answers")
    t = Test(a.source, a.server, a.modes, a.padding, a.dscp)
    accept, t.reflector_port, _, _ = c.request(a.source, a.server, t.port, a.padding, a.dscp, 0)
    say(accept == 0 and c.start() == 0, f"{name}: the same connection takes another session", accept)
    why = exchange([t], 3)
    say(not why, f"{name}: it counts from 0 again", why)
    c.stop(1)
    say(silent(t, WAIT), f"{name}: and is over at once without a time-out")
    c.tcp.close()
    return failures > 0


def stranger(a):
    try:
        with socket.create_connection((a.server, 862), WAIT, (a.source, 0)) as tcp:
            return len(tcp.recv(1)) > 0
    except ConnectionResetError:
        return False


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("verb", choices=["session", "stranger"])
    p.add_argument("--source", required=True)
    p.add_argument("--server", required=True)
    p.add_argument("--modes", type=int, default=1)
    p.add_argument("--sessions", type=int, default=1)
    p.add_argument("--packets", type=int, default=20)
    p.add_argument("--padding", type=int, default=0)
    p.add_argument("--dscp", type=int, default=0)
    a = p.parse_args()
    return session(a) if a.verb == "session" else stranger(a)


if __name__ == "__main__":
    sys.exit(main())
