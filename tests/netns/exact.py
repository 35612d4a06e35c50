#!/usr/bin/env python3
"""exact.py - every delta-t of every series exactly once, and its sums beside the emulator's log.

usage: exact.py --log EMU.tsv --dt DT.tsv [--rows ROWS.tsv] --dscp CLASS=N ... [--excuse OBSERVER:FROM:UNTIL] [--excuse-far FAR:FROM:UNTIL]
                [--series N] --from NS --until NS

DT is plumbline.v_delta_t, tab-separated with a heading: object observer direction class start_ns dt_ns state sent received
lost lost_undirected unknown.  A delta-t that is not 'measured' must lie in an excuse of its observer (it was
killed) or of its far end (it did not reflect).  What is measured must equal the log: sent, received, lost of
the packets whose timestamp falls into it.  A delta-t inside an excuse may be measured too, if it is then right.
Prints one JSON object; status 1 if anything is wrong.
"""
import argparse
import collections
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import truth  # noqa: E402


def spans(texts):
    """NAME:FROM:UNTIL -> name -> [(from, until)]"""
    out = collections.defaultdict(list)
    for text in texts:
        name, begin, end = text.split(":")
        out[name].append((int(begin), int(end)))
    return out


def within(spans_of, begin, length):
    return any(begin < end and begin + length > start for start, end in spans_of)


def truth_of(requests, dscp_of, dt_of):
    """(object, end, class, dt start) -> counts in the session's frame"""
    class_of = {dscp: name for name, dscp in dscp_of.items()}
    out = collections.defaultdict(collections.Counter)
    for r in requests:
        name = class_of.get(r.dscp)
        if name is None:
            continue
        start = r.t1 - r.t1 % dt_of[name]
        count = out[(r.link, r.end, name, start)]
        count["sent"] += 1
        count[r.fate()] += 1
        count["dup_fwd"] += r.duplicates("fwd")
        count["dup_bwd"] += r.duplicates("bwd")
    return out


def expected(count, direction):
    """What the row of this direction (the session's) says: sent, received, lost.  'unanswered' is a far end that was not there."""
    fwd, bwd, back = count["lost_fwd"], count["lost_bwd"] + count["unanswered"], count["received"]
    if direction == "fwd":
        return count["sent"], back + bwd, fwd
    if direction == "bwd":
        return count["sent"] - fwd, back, bwd
    return count["sent"], back, fwd + bwd


def duplicates(count, direction):
    return sum(count["dup_" + d] for d in (("fwd", "bwd") if direction == "rt" else (direction,)))


def judge_duplicates(judge, rows, truths, session_of):
    """Rows, not delta-t: a clean row says how many for all its delta-t at once.  What came a second time on the way there is
    known by number alone, from a later reply: it may count in the interval after its own, so over the window one may differ."""
    got, true = collections.Counter(), collections.Counter()
    for row in rows:
        key = tuple(row[k] for k in ("object", "observer", "direction", "class"))
        got[key] += int(row["duplicate"])
    for key in got:
        end, direction = session_of(key)
        true[key] = sum(duplicates(count, direction) for (link, e, name, start), count in truths.items()
                        if (link, e, name) == (key[0], end, key[3]) and judge.args.begin <= start < judge.args.until)
        if abs(got[key] - true[key]) > (0 if direction == "bwd" else 1):
            judge.complain("not the true number of duplicates", dict(zip(("object", "observer", "direction", "class"), key), start_ns=0),
                           true=true[key], got=got[key])
        judge.seen["duplicate"] += got[key] if key[2] == "rt" else 0


class Judge:
    def __init__(self, args):
        self.excused, self.far_excused = spans(args.excuse), spans(args.excuse_far)
        self.args = args
        self.wrong, self.seen = [], collections.Counter()

    def complain(self, what, line, **more):
        self.seen["wrong"] += 1
        if len(self.wrong) < 40:
            self.wrong.append(dict(what=what, delta_t=[line[k] for k in ("object", "observer", "direction", "class", "start_ns")], **more))

    def is_excused(self, line, far):
        start, length = int(line["start_ns"]), int(line["dt_ns"])
        return within(self.excused[line["observer"]], start, length) or within(self.far_excused[far], start, length)

    def judge(self, line, count, session_direction, far):
        self.seen[line["state"]] += 1
        if line["state"] != "measured":
            if not self.is_excused(line, far):
                self.complain("not measured, and nobody was killed", line, state=line["state"])
            return
        sent, received, lost = expected(count, session_direction)
        got = tuple(int(line[k]) for k in ("sent", "received", "lost"))
        undirected, unknown = int(line["lost_undirected"]), int(line["unknown"])
        if unknown and self.is_excused(line, far):
            # Its probe was told to end before all were decided.
            if got[0] > sent or got[1] > received or got[2] > lost or (line["direction"] == "rt" and got[0] + unknown != sent):
                self.complain("more than the truth", line, true=[sent, received, lost], got=list(got), unknown=unknown)
            return
        if undirected and session_direction != "rt":
            # Counted against both ways: right if the round trip's is.
            if got[2] < lost:
                self.complain("lost fewer than the truth", line, true=[sent, received, lost], got=list(got))
            self.seen["undirected"] += undirected
        elif got != (sent, received, lost):
            self.complain("differs from the truth", line, true=[sent, received, lost], got=list(got))
        self.seen["sent"] += got[0] if line["direction"] == "rt" else 0
        self.seen["lost"] += got[2] if line["direction"] == "rt" else 0


def read_lines(path):
    with open(path) as lines:
        names = next(lines).rstrip("\n").split("\t")
        for line in lines:
            yield dict(zip(names, line.rstrip("\n").split("\t")))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", action="append", required=True)
    parser.add_argument("--dt", required=True)
    parser.add_argument("--rows", help="object observer direction class start_ns duplicate; only without excuses")
    parser.add_argument("--dscp", action="append", required=True)
    parser.add_argument("--excuse", action="append", default=[])
    parser.add_argument("--excuse-far", action="append", default=[])
    parser.add_argument("--series", type=int, default=0, help="how many there must be")
    parser.add_argument("--from", dest="begin", type=int, required=True)
    parser.add_argument("--until", type=int, required=True)
    args = parser.parse_args()
    lines = [line for line in read_lines(args.dt) if args.begin <= int(line["start_ns"]) < args.until]
    dscp_of = {k: int(v) for k, v in (text.split("=") for text in args.dscp)}
    dt_of = {line["class"]: int(line["dt_ns"]) for line in lines}
    judge = Judge(args)
    requests, _ = truth.load_log(args.log)
    truths = truth_of(requests, dscp_of, dt_of)
    series = collections.defaultdict(list)
    ends = {}
    for line in lines:
        series[tuple(line[k] for k in ("object", "observer", "direction", "class"))].append(line)
        # A link's name is made of its ends' names, a probe's begins with its site.
        ends[line["object"]] = line["object"].split("-")

    def session_of(key):
        end = 0 if key[1].split("-")[0] == ends[key[0]][0] else 1
        return end, key[2] if end == 0 or key[2] == "rt" else {"fwd": "bwd", "bwd": "fwd"}[key[2]]

    for key, own in sorted(series.items()):
        first, second = ends[key[0]]
        end, direction = session_of(key)
        far = [p for p in {k[1] for k in series} | set(judge.far_excused) if p.split("-")[0] == (second, first)[end]]
        starts = [int(line["start_ns"]) for line in own]
        step = int(own[0]["dt_ns"])
        wanted = list(range(-(-args.begin // step) * step, args.until, step))
        if sorted(starts) != wanted:
            once = collections.Counter(starts)
            judge.complain("not every delta-t exactly once", own[0], missing=[s for s in wanted if s not in once][:5],
                           twice=[s for s, n in once.items() if n > 1][:5])
        for line in own:
            judge.judge(line, truths.get((key[0], end, key[3], int(line["start_ns"])), collections.Counter()),
                        direction, far[0] if far else "")
    if args.rows and not args.excuse and not args.excuse_far:
        rows = [row for row in read_lines(args.rows) if args.begin <= int(row["start_ns"]) < args.until]
        judge_duplicates(judge, rows, truths, session_of)
    out = dict(series=len(series), counted=dict(judge.seen), wrong=judge.wrong)
    json.dump(out, sys.stdout, indent=1)
    print()
    return 1 if judge.wrong or not series or (args.series and len(series) != args.series) else 0


sys.exit(main())
