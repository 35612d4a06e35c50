#!/usr/bin/env python3
"""stamp_error.py - where the error of a round-trip time comes from, stamp by stamp.

usage: stamp_error.py NEAR.tsv FAR.tsv SAMPLES.tsv

NEAR and FAR are capture's lines, SAMPLES a probe's sample log.  Prints how far each of the four stamps is from the
capture's at the same interface, p50 and p99 in us.  A capture stamps a packet that leaves before it copies it, the
driver after that: T1 and T3 are later by what the capture itself costs, T2 and T4 are the same stamp.
"""
import sys


def passed(path):
    """(kind, sequence) -> instant, first of each"""
    seen = {}
    with open(path) as lines:
        for line in lines:
            at, kind, sequence = line.split()
            seen.setdefault((kind, int(sequence)), int(at))
    return seen


def rank(values, per_mille):
    return sorted(values)[max(0, -(-len(values) * per_mille // 1000) - 1)] / 1000


def main():
    near, far = passed(sys.argv[1]), passed(sys.argv[2])
    taps = {"T1": (near, "request"), "T2": (far, "request"), "T3": (far, "reply"), "T4": (near, "reply")}
    off = {name: [] for name in taps}
    with open(sys.argv[3]) as lines:
        for line in lines:
            field = line.split("\t")
            if field[5] != "received":
                continue
            for name, at, source in zip(taps, field[9:16:2], field[10:17:2]):
                tap, kind = taps[name]
                truth = tap.get((kind, int(field[4])))
                if truth is not None and source.strip() == "kernel":
                    off[name].append(abs(int(at) - truth))
    print("off the capture's stamp, p50/p99 us:",
          ", ".join(f"{n} {rank(v, 500):.2f}/{rank(v, 990):.2f}" for n, v in off.items() if v))


main()
