#!/usr/bin/env python3
"""packets.py - sends STAMP-shaped packets, echoes them, and compares the
emulator's log with what both ends saw (test-linkemu.sh).

send    writes a line a packet: phase, sequence, time sent, and a line a reply
echo    answers every copy that comes, and writes a line for it
compare prints "ok<TAB>sentence" or "failed<TAB>sentence"
"""
import argparse
import collections
import signal
import socket
import struct
import time

NTP_UNIX = 2208988800
SO_TIMESTAMPNS = 35


def ntp(ns):
    return (ns // 10**9 + NTP_UNIX) << 32 | ((ns % 10**9) << 32) // 10**9


def address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def stamped(sock):
    """One datagram and the kernel's stamp of it; None when there is none in time."""
    try:
        data, cmsgs, _, peer = sock.recvmsg(2048, 128)
    except (TimeoutError, BlockingIOError):
        return None
    for level, kind, value in cmsgs:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, ns = struct.unpack("qq", value[:16])
            return data, peer, seconds * 10**9 + ns
    return data, peer, time.time_ns()


def send(args):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.connect(address(args.to))
    begin = time.monotonic_ns()
    with open(args.out, "a", encoding="ascii") as out:
        for seq in range(args.count):
            due = begin + seq * 10**9 // args.pps
            while (left := due - time.monotonic_ns()) > 0:
                time.sleep(left / 1e9)
            now = time.time_ns()
            # Sequence, T1, error estimate, SSID = phase; the rest of 44 octets is zero.
            packet = struct.pack(">IQHH", seq, ntp(now), 1, args.phase).ljust(44, b"\0")
            try:
                sock.send(packet)
                out.write(f"sent\t{args.phase}\t{seq}\t{now}\n")
            except ConnectionRefusedError:
                pass
        sock.settimeout(0.3)
        while (got := stamped(sock)) is not None:
            data, _, rx = got
            out.write(f"reply\t{struct.unpack_from('>H', data, 14)[0]}\t"
                      f"{struct.unpack_from('>I', data, 24)[0]}\t{rx}\n")


def echo(args):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.bind(address(args.bind))
    sock.settimeout(0.2)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    print("ready", flush=True)
    replies = 0
    with open(args.out, "w", encoding="ascii") as out:
        while not stop:
            got = stamped(sock)
            if got is None:
                continue
            data, peer, rx = got
            seq, t1, estimate, ssid = struct.unpack_from(">IQHH", data)
            out.write(f"{ssid}\t{seq}\t{rx}\n")
            reply = struct.pack(">IQHHQIQHHB", replies, ntp(time.time_ns()), 1, ssid, ntp(rx), seq, t1,
                                estimate, 0, 255).ljust(44, b"\0")
            replies += 1
            sock.sendto(reply, peer)


def rows(path, names=None):
    with open(path, encoding="ascii") as lines:
        for line in lines:
            fields = line.rstrip("\n").split("\t")
            if line.startswith("#link"):
                fields[0] = "link"
                names = fields
            elif not line.startswith("#"):
                yield dict(zip(names, fields))


def say(good, sentence):
    print(f"{'ok' if good else 'failed'}\t{sentence}")


def compare_direction(log, seen, direction):
    """'log' of one direction; 'seen': (phase, seq) -> kernel stamps at the receiver."""
    wanted = collections.Counter()
    ahead = []
    for r in log:
        key = int(r["ssid"]), int(r["sender_seq"])
        if r["action"] == "pass":
            wanted[key] += 2 if r["dup_tx_ns"] != "0" else 1
            if r["dup_tx_ns"] == "0" and len(seen[key]) == 1:
                ahead.append(seen[key][0] - int(r["tx_ns"]))
    got = collections.Counter({k: len(v) for k, v in seen.items()})
    say(wanted == got, f"{direction}: each packet arrived as often as the log says ({sum(got.values())})")
    ahead.sort()
    say(bool(ahead) and 0 <= ahead[0] and ahead[len(ahead) // 2] < 50000,
        f"{direction}: arrival follows the logged departure (us: least {ahead[0] / 1e3:.1f}, "
        f"median {ahead[len(ahead) // 2] / 1e3:.1f})")


def phase_of(log, number):
    return [r for r in log if int(r["ssid"]) == number]


def share(log, test):
    return sum(1 for r in log if test(r)) / max(1, len(log))


def compare_settings(fwd, bwd):
    """What was asked for is what was done; tolerances are five standard deviations."""
    near = lambda got, p, n: abs(got - p) <= 5 * (p * (1 - p) / n) ** 0.5
    lost = lambda r: r["action"] == "lost"
    held = lambda r: int(r["due_ns"]) - int(r["rx_ns"])
    passed = lambda log: [r for r in log if r["action"] == "pass"]
    say(not any(r["action"] != "pass" for r in phase_of(fwd, 1) + phase_of(bwd, 1)), "a clean link loses nothing")
    p = phase_of(fwd, 2)
    say(len(p) == 2000 and near(share(p, lost), 0.10, 2000), f"fwd loss of 10 %: {share(p, lost):.3%}")
    delays = [held(r) for r in passed(p)]
    say(3e6 <= min(delays) and max(delays) <= 12e6 and max(delays) - min(delays) > 3e6,
        f"fwd delay of 5 ms and jitter of 2 ms: {min(delays)}..{max(delays)} ns")
    order = [int(r["seq"]) for r in sorted(passed(p), key=lambda r: int(r["tx_ns"]))]
    say(order == sorted(order), "jitter keeps the order")
    p = phase_of(bwd, 2)
    say(near(share(p, lost), 0.05, len(p)), f"bwd loss of 5 %: {share(p, lost):.3%}")
    say(all(held(r) >= 9e6 for r in passed(p)), "bwd delay of 9 ms")
    twice = lambda r: r["dup_tx_ns"] != "0"
    p = phase_of(fwd, 3)
    say(near(share(p, twice), 0.05, len(p)), f"fwd duplicates of 5 %: {share(p, twice):.3%}")
    late = [int(r["tx_ns"]) - int(r["due_ns"]) for r in passed(fwd)]
    say(min(late) > -100000, f"nothing leaves before it is due ({min(late)} ns)")
    p = phase_of(fwd, 4)
    behind = share(p, lambda r: r["reordered"] == "1")
    order = [int(r["seq"]) for r in sorted(p, key=lambda r: int(r["tx_ns"]))]
    overtaken = sum(1 for i, s in enumerate(order) if i and s < max(order[:i]))
    say(near(behind, 0.05, len(p)) and overtaken > 0, f"fwd reordering of 5 %: {behind:.3%}, {overtaken} overtaken")
    say({r["action"] for r in phase_of(fwd, 5)} == {"cut"} and not phase_of(bwd, 5), "cut fwd loses all requests")
    say({r["action"] for r in phase_of(bwd, 6)} == {"cut"} and len(passed(phase_of(fwd, 6))) == 300,
        "cut bwd loses all replies, no request")
    burst = [int(r["seq"]) for r in phase_of(fwd, 7) if r["action"] == "burst"]
    say(burst == list(range(128)), "lose fwd 128 loses the next 128 in a row")
    burst = [int(r["sender_seq"]) for r in phase_of(bwd, 7) if r["action"] == "burst"]
    say(burst == list(range(128, 192)), "lose bwd 64 loses the next 64 replies")


def compare(args):
    log = list(rows(args.log))
    fwd = [r for r in log if r["dir"] == "fwd"]
    bwd = [r for r in log if r["dir"] == "bwd"]
    say(all(r["kind"] == "request" for r in fwd) and all(r["kind"] == "reply" for r in bwd),
        "requests go fwd, replies bwd")
    sent = {}
    replies = collections.defaultdict(list)
    for r in rows(args.sent, ["what", "phase", "seq", "at"]):
        key = int(r["phase"]), int(r["seq"])
        if r["what"] == "sent":
            sent[key] = int(r["at"])
        else:
            replies[key].append(int(r["at"]))
    echoed = collections.defaultdict(list)
    for r in rows(args.echo, ["phase", "seq", "at"]):
        echoed[int(r["phase"]), int(r["seq"])].append(int(r["at"]))
    ingress = {(int(r["ssid"]), int(r["seq"])): r for r in fwd}
    say(len(fwd) == len(sent) and ingress.keys() == sent.keys(), f"each packet sent is in the log once ({len(sent)})")
    say(all(abs(int(r["t1_ns"]) - sent[k]) <= 1 for k, r in ingress.items()), "the sender's timestamp is in the log")
    say(len(bwd) == sum(len(v) for v in echoed.values()), f"each reply sent is in the log once ({len(bwd)})")
    compare_direction(fwd, echoed, "fwd")
    compare_direction(bwd, replies, "bwd")
    compare_settings(fwd, bwd)


def main():
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    p = verbs.add_parser("send")
    p.add_argument("--to", required=True)
    p.add_argument("--count", type=int, required=True)
    p.add_argument("--pps", type=int, required=True)
    p.add_argument("--phase", type=int, required=True)
    p.add_argument("--out", required=True)
    p = verbs.add_parser("echo")
    p.add_argument("--bind", required=True)
    p.add_argument("--out", required=True)
    p = verbs.add_parser("compare")
    p.add_argument("--log", required=True)
    p.add_argument("--sent", required=True)
    p.add_argument("--echo", required=True)
    args = parser.parse_args()
    {"send": send, "echo": echo, "compare": compare}[args.verb](args)


if __name__ == "__main__":
    main()
