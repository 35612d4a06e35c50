#!/usr/bin/env python3
"""truth_test.py TRUTH FOLDER - makes a log, samples and rows that agree, then
changes one thing at a time (test-truth.sh)."""
import copy
import json
import os
import subprocess
import sys

BASE = 1_700_000_000 * 10**9
MS = 10**6
LOG = ("link dir rx_ns action due_ns tx_ns dup_tx_ns reordered src sport dst dport ip_id dscp ttl size kind seq ssid "
       "t1_ns sender_seq").split()
SAMPLE = ("object class flow observer_end sequence fate late duplicates_bwd t1_packet t1 t1_source t2 t2_source t3 "
          "t3_source t4 t4_source").split()
ROW = ("object observer_end direction class flow start_ns sent received lost lost_undirected duplicate unknown_dt "
       "unknown").split()


def packet(seq, fate):
    """Log lines and the sample of one packet, 10 a second, 1 ms there and 2 ms back."""
    t1 = BASE + seq * 100 * MS
    common = {"link": "a-b", "reordered": 0, "src": "10.0.0.1", "dst": "10.0.0.2", "ip_id": 1, "dscp": 46, "ttl": 255,
              "size": 128, "seq": seq, "ssid": 1, "t1_ns": t1, "sender_seq": seq, "dup_tx_ns": 0}
    out = [{**common, "dir": "fwd", "kind": "request", "sport": 50000, "dport": 862, "rx_ns": t1 + 100,
            "due_ns": t1 + 100 + MS, "tx_ns": 0 if fate == "lost_fwd" else t1 + 100 + MS, "action": "lost" if fate == "lost_fwd" else "pass"}]
    t3 = t1 + 2 * MS
    if fate != "lost_fwd":
        out.append({**common, "dir": "bwd", "kind": "reply", "sport": 862, "dport": 50000, "rx_ns": t3 + 100,
                    "due_ns": t3 + 100 + 2 * MS, "tx_ns": 0 if fate == "lost_bwd" else t3 + 100 + 2 * MS,
                    "action": "cut" if fate == "lost_bwd" else "pass"})
    sample = {"object": "a-b", "class": "gold", "flow": 0, "observer_end": 0, "sequence": seq, "fate": fate, "late": 0,
              "duplicates_bwd": 0, "t1_packet": t1}
    for i, t in enumerate((t1, t1 + 200 + MS, t3, t3 + 200 + 2 * MS), 1):
        sample[f"t{i}"], sample[f"t{i}_source"] = t, "kernel"
    return out, sample


def scene():
    """100 packets of one row: 5 lost there, 3 back, one duplicate each way."""
    log, samples = [], []
    for seq in range(100):
        fate = "lost_fwd" if 10 <= seq < 15 else "lost_bwd" if 20 <= seq < 23 else "received"
        out, sample = packet(seq, fate)
        if seq == 30:
            out[0]["dup_tx_ns"] = out[0]["tx_ns"] + 1000
        if seq == 31:
            out[1]["dup_tx_ns"] = out[1]["tx_ns"] + 1000
            sample["duplicates_bwd"] = 1
        log += out
        samples.append(sample)
    row = {"object": "a-b", "observer_end": 0, "class": "gold", "flow": 0, "start_ns": BASE, "lost_undirected": 0,
           "unknown_dt": 0, "unknown": 0, "duplicate": 1}
    rows = [{**row, "direction": "fwd", "sent": 100, "received": 95, "lost": 5},
            {**row, "direction": "bwd", "sent": 95, "received": 92, "lost": 3}]
    return log, samples, rows


def write(path, names, records):
    with open(path, "w", encoding="ascii") as f:
        f.write("#" + "\t".join(names) + "\n")
        for r in records:
            f.write("\t".join(str(r[n]) for n in names) + "\n")


def judge(truth, folder, parts, *options):
    for name, names, records in zip(("log", "samples", "rows"), (LOG, SAMPLE, ROW), parts):
        write(os.path.join(folder, name), names, records)
    done = subprocess.run(
        [sys.executable, truth, "compare", "--log", f"{folder}/log", "--samples", f"{folder}/samples", "--rows",
         f"{folder}/rows", "--final", "gold:1000000000:5000000000", "--min-kernel", "95", "--p50-us", "10",
         "--p99-us", "50", *options], stdout=subprocess.PIPE, check=False)
    return done.returncode, json.loads(done.stdout)


def say(good, sentence):
    print(f"{'ok' if good else 'failed'}\t{sentence}")


def lies():
    """Sentence, and what changes the scene."""
    def at(part, index, **change):
        return lambda s: s[part][index].update(change)

    yield "a wrong direction of loss", at(1, 11, fate="lost_bwd")
    yield "a lost packet called received", at(1, 21, fate="received")
    yield "a received packet called lost", at(1, 40, fate="lost_fwd")
    yield "a loss called undirected though a report told of it", at(1, 11, fate="lost_undirected")
    yield "a packet called unknown", at(1, 40, fate="unknown")
    yield "a packet that was never sent", at(1, 99, sequence=100)
    yield "a packet that is not told of", lambda s: s[1].pop(50)
    yield "a duplicate that is not told of", at(1, 31, duplicates_bwd=0)
    yield "a row with one loss less", at(2, 0, lost=4, received=96)
    yield "a row without the duplicate", at(2, 1, duplicate=0)
    yield "a row with an unknown delta-t", at(2, 1, unknown_dt=1)
    yield "no rows at all", lambda s: s[2].clear()
    yield "user stamps on a tenth of the samples", lambda s: [p.update(t3_source="user") for p in s[1][::10]]
    yield "packets that are 51 us early, which no quantile shows", (
        lambda s: [p.update(t2=p["t2"] - 51000) for p in s[1][40:43]])
    yield "a p50 that is 11 us off", lambda s: [p.update(t2=p["t2"] + 11000) for p in s[1]]


def main():
    truth, folder = sys.argv[1:]
    scenes = scene()
    status, out = judge(truth, folder, scenes)
    say(status == 0 and out["equal"], "equal is equal")
    for sentence, change in lies():
        told = copy.deepcopy(scenes)
        change(told)
        status, out = judge(truth, folder, told)
        say(status == 1 and out["problems"], f"found: {sentence}")
    # Cut both ways from packet 20 on, for good: the reports never come.
    log, samples, _ = scene()
    told = [log[:0], [], []]
    for seq in range(100):
        out, sample = packet(seq, "received" if seq < 20 else "lost_fwd")
        if seq >= 20:
            sample["fate"] = "lost_undirected"
        told[0] += out
        told[1].append(sample)
    told[2] = [{"object": "a-b", "observer_end": 0, "class": "gold", "flow": 0, "start_ns": BASE, "unknown_dt": 0,
                "unknown": 0, "duplicate": 0, "direction": "fwd", "sent": 100, "received": 20, "lost": 80,
                "lost_undirected": 80}]
    told[2].append({**told[2][0], "direction": "bwd"})
    status, out = judge(truth, folder, told)
    say(status == 0 and out["undirected"] == 80, "undirected is right where nobody could know")
    # The first two of a session, before the reflector has seen any of it.
    told = [[], [], []]
    for seq in range(100):
        out, sample = packet(seq, "lost_fwd" if seq < 2 else "received")
        if seq < 2:
            sample["fate"] = "lost_undirected"
        told[0] += out
        told[1].append(sample)
    told[2] = [{"object": "a-b", "observer_end": 0, "class": "gold", "flow": 0, "start_ns": BASE, "unknown_dt": 0,
                "unknown": 0, "duplicate": 0, "direction": d, "sent": 100, "received": 98, "lost": 2,
                "lost_undirected": 2} for d in ("fwd", "bwd")]
    status, out = judge(truth, folder, told)
    say(status == 0 and out["undirected"] == 2, "undirected is right before the reflector saw the session")
    # The first two, before there was a far probe: that delta-t is unknown.
    told = [[], [], []]
    for seq in range(100):
        out, sample = packet(seq, "received")
        if seq < 2:
            out.pop()
            sample["fate"] = "lost_undirected"
        told[0] += out
        told[1].append(sample)
    told[2] = [{"object": "a-b", "observer_end": 0, "class": "gold", "flow": 0, "start_ns": BASE, "unknown_dt": 1,
                "unknown": 0, "duplicate": 0, "direction": d, "sent": 90, "received": 90, "lost": 0,
                "lost_undirected": 0} for d in ("fwd", "bwd")]
    status, out = judge(truth, folder, told, "--start", "gold:1000000000")
    say(status == 0 and out["equal"], "unknown is right before there was a far probe")
    status, out = judge(truth, folder, told)
    say(status == 1 and out["rows_differ"] == 2, "where nobody said that probes begin, it is not")
    for row in told[2]:
        row.update(sent=100, received=100, unknown_dt=0)
    status, out = judge(truth, folder, told, "--start", "gold:1000000000")
    say(status == 1 and out["rows_differ"] == 2, "and a delta-t that is known there is found")


if __name__ == "__main__":
    main()
