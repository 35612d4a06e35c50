#!/usr/bin/env python3
"""rtt_error.py - how far a tool's round-trip times are from what two captures saw.

usage: rtt_error.py NEAR.tsv FAR.tsv|- TOOL.tsv

NEAR and FAR are capture's lines at the sender's and the reflector's interface; TOOL has lines `sequence<TAB>rtt in ns`.
The truth of a packet is (reply - request) at the near end, minus (reply - request) at the far end: the reflector's own
time.  FAR is '-' when the tool's figure contains that time (ICMP echo).  Prints `count p50 p99` of |error| in us.
"""
import sys


def passed(path):
    """sequence -> (request, reply), first of each"""
    seen = {}
    with open(path) as lines:
        for line in lines:
            at, kind, sequence = line.split()
            seen.setdefault(int(sequence), {}).setdefault(kind, int(at))
    return {s: (v["request"], v["reply"]) for s, v in seen.items() if len(v) == 2}


def rank(values, per_mille):
    return values[max(0, -(-len(values) * per_mille // 1000) - 1)]


def main():
    near = passed(sys.argv[1])
    far = passed(sys.argv[2]) if sys.argv[2] != "-" else None
    errors = []
    with open(sys.argv[3]) as lines:
        for line in lines:
            sequence, rtt = (int(x) for x in line.split())
            if sequence not in near or (far is not None and sequence not in far):
                continue
            truth = near[sequence][1] - near[sequence][0]
            if far is not None:
                truth -= far[sequence][1] - far[sequence][0]
            errors.append(abs(rtt - truth))
    if not errors:
        sys.exit("rtt_error: no packet is in both captures and in the tool's output")
    errors.sort()
    print(f"{len(errors)} {rank(errors, 500) / 1000:.2f} {rank(errors, 990) / 1000:.2f}")


main()
