#!/usr/bin/env python3
"""Judges a probe that was upgraded, by packet and by delta-t, and plays a successor that fails.

upgrade.py packets SAMPLE_LOG FROM_NS UNTIL_NS OBJECT,...
upgrade.py spool FOLDER FROM_NS UNTIL_NS OBJECT,...
upgrade.py notify SOCKET: what is told to systemd, and by which process
upgrade.py newer|late --config FILE --successor FD
"""
import array
import collections
import glob
import os
import socket
import struct
import sys


# --- What each packet's fate was. ---

def packets(path, first, last, objects):
    """Of the sessions of these objects, of what was sent in [first, last): prints sessions,
    packets, and how many of them were missing, twice, not received, late, repeated, or
    stamped by other than the kernel or in an impossible order."""
    seen, before = collections.defaultdict(list), collections.defaultdict(set)
    bad = collections.Counter()
    total = 0
    with open(path) as log:
        for line in log:
            if line.startswith("#"):
                continue
            f = line.rstrip("\n").split("\t")
            if f[0] not in objects:
                continue
            seen[tuple(f[:4])].append(int(f[4]))
            sent = int(f[8])
            if sent < last:
                before[tuple(f[:4])].add(int(f[4]))
            if not first <= sent < last:
                continue
            total += 1
            t1, t2, t3, t4 = (int(f[i]) for i in (9, 11, 13, 15))
            bad["not_received"] += f[5] != "received"
            bad["late"] += f[6] != "0"
            bad["repeated"] += f[7] != "0"
            if f[5] == "received":
                bad["user_stamps"] += "user" in (f[10], f[12], f[14], f[16])
                order = (sent, t1, t4) if f[0] == "echo" else (sent, t1, t2, t3, t4)
                bad["impossible"] += list(order) != sorted(order)
    bad["twice"] = sum(len(s) - len(set(s)) for s in seen.values())
    for distinct in before.values():
        bad["missing"] += max(distinct) - min(distinct) + 1 - len(distinct)
    names = ("missing", "twice", "not_received", "late", "repeated", "user_stamps", "impossible")
    print(len(seen), total, " ".join("%s=%d" % (n, bad[n]) for n in names))


# --- What is in the spool. ---

def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at


def fields(data):
    """(number, value) of a Protocol Buffers message."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = struct.unpack_from("<q", data, at)[0], at + 8
        elif kind == 2:
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            value, at = struct.unpack_from("<I", data, at)[0], at + 4
        yield key >> 3, value


def batches(folder):
    """(epoch, sequence, batch) of each record, in order."""
    for path in sorted(glob.glob(os.path.join(folder, "*.seg"))):
        data = open(path, "rb").read()
        epoch, at = struct.unpack_from("<Q", data, 16)[0], 64
        while at + 44 <= len(data):
            sequence = struct.unpack_from("<Q", data, at + 8)[0]
            size = struct.unpack_from("<I", data, at + 32)[0]
            yield epoch, sequence, list(fields(data[at + 44:at + 44 + size]))
            at += 44 + size


def numbers_of_proto(name):
    """Field numbers of a message, from the description itself."""
    top = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib/telemetry.proto")
    inside, found = False, {}
    for line in open(top):
        words = line.split()
        if words[:2] == ["message", name]:
            inside = True
        elif inside and line.startswith("}"):
            break
        elif inside and "=" in words:
            found[words[words.index("=") - 1]] = int(words[words.index("=") + 1].rstrip(";"))
    return found


def spool(folder, first, last, objects):
    """Of the sessions of these objects: prints epochs, sessions, delta-t in [first, last), and
    how many of them are missing, twice, or not as they should be; seconds of liveness, and
    how many of them are missing, twice, or not both sending and reflecting; and watermarks
    that went back, and delta-t that came after the watermark had passed them."""
    batch, one, session, life = (numbers_of_proto(n) for n in ("Batch", "Summary", "Session", "Liveness"))
    names, starts, seconds = {}, collections.defaultdict(list), []
    epochs, bad, until = set(), collections.Counter(), 0
    for epoch, _, content in batches(folder):
        epochs.add(epoch)
        told = dict(content).get(batch["final_until_ns"], until)
        bad["watermark"] += told < until
        for number, value in content:
            if number == batch["sessions"]:
                s = dict(fields(value))
                names[s[session["session_id"]]] = (s[session["object"]].decode(), s[session["dt_ns"]])
            elif number == batch["liveness"]:
                v = dict(fields(value))
                n = v.get(life["seconds"], 0) or 1
                seconds += range(v[life["second"]], v[life["second"]] + n)
                whole = v.get(life["sending"]) and v.get(life["reflecting"])
                bad["not_alive"] += 0 if whole else n
        for number, value in content:
            if number == batch["summaries"]:
                s = dict(fields(value))
                who = s[one["session_id"]]
                object_, dt = names[who]
                start = s[one["dt_number"]] * dt
                bad["after_watermark"] += start < until
                if object_ not in objects:
                    continue
                starts[who].append(s[one["dt_number"]])
                if first <= start and start + dt <= last:
                    bad["delta_t"] += 1
                    wrong = ("lost_fwd", "lost_bwd", "lost_undirected", "unknown", "late",
                             "duplicate_fwd", "duplicate_bwd", "stamped_user")
                    bad["wrong"] += any(s.get(one[w], 0) for w in wrong) or \
                        s.get(one["sent"], 0) != s.get(one["received"], 0)
        until = max(until, told)
    for numbers in starts.values():
        distinct = set(numbers)
        bad["dt_twice"] += len(numbers) - len(distinct)
        bad["dt_missing"] += max(distinct) - min(distinct) + 1 - len(distinct)
    alive = [s for s in seconds if first <= s * 10**9 and (s + 1) * 10**9 <= last]
    bad["second_twice"] = len(seconds) - len(set(seconds))
    bad["second_missing"] = max(alive) - min(alive) + 1 - len(set(alive)) if alive else -1
    shown = ("dt_missing", "dt_twice", "wrong", "second_missing", "second_twice", "not_alive",
             "watermark", "after_watermark")
    print(len(epochs), len(starts), bad["delta_t"], len(alive), " ".join("%s=%d" % (n, bad[n]) for n in shown))


# --- A successor that fails. ---

def receive(channel):
    """Kind of the next message; what came with it is closed."""
    data, extra, _, _ = channel.recvmsg(65537, socket.CMSG_SPACE(128 * 4))
    for level, kind, content in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            files = array.array("i")
            files.frombytes(content[:len(content) // 4 * 4])
            for fd in files:
                os.close(fd)
    return data[:1]


def successor(mode, fd):
    """'newer' reads other formats only; 'late' ends when it should take over."""
    channel = socket.socket(fileno=fd)
    channel.setblocking(True)
    oldest = 0x7000 if mode == "newer" else 1
    channel.send(b"H" + struct.pack(">HHI", oldest, 0x7001, os.getpid()) + b"9.9-test")
    if mode == "newer":
        receive(channel)
        return
    while receive(channel) != b"S":
        pass
    channel.send(b"R")
    while receive(channel) != b"S":
        pass


def notify(path):
    """Stands for systemd: prints process id and line of each notification."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    listener.bind(path)
    os.chmod(path, 0o666)
    while True:
        data, extra, _, _ = listener.recvmsg(4096, socket.CMSG_SPACE(12))
        pid = struct.unpack("iii", extra[0][2])[0]
        for line in data.decode().splitlines():
            print(pid, line, flush=True)


def main():
    verb, arguments = sys.argv[1], sys.argv[2:]
    if verb in ("packets", "spool"):
        path, first, last, objects = arguments
        {"packets": packets, "spool": spool}[verb](path, int(first), int(last), set(objects.split(",")))
    elif verb == "notify":
        notify(arguments[0])
    else:
        successor(verb, int(arguments[arguments.index("--successor") + 1]))


main()
