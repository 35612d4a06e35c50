#!/usr/bin/env python3
"""sold.py - what a judge said of services beside the emulator's log (truth.py).

compare  `plumbline sla --json` and `explain --json` beside a judgement of its own:
         availability, loss and verdicts, made anew from what the emulator did to
         each packet; adds the outcome to truth.py's result, status 1 if they differ
table    that outcome, for people, and the last word

A service is NAME:LINK+LINK (all are needed) or NAME:LINK/LINK (one of them is).
Written from doc/sla.md, without a look at the judge: the window forward, C, W,
qualified packets, Clopper and Pearson's interval.
"""
import argparse
import collections
import datetime
import json
import math
import sys

import truth

C_PERCENT = 50
WAYS = ("fwd", "bwd")


def instant(text):
    return int(datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()) * 10**9


def count(requests, comparison, args):
    """(link, way) -> delta-t -> [sent, lost], of the first end's sessions of the class."""
    parts = collections.defaultdict(list)
    for r in requests:
        if r.end == 0 and comparison.class_of.get(r.session(), ("",))[0] == args.class_name:
            parts[r.link, r.t1 // args.dt].append(r)
    out = collections.defaultdict(dict)
    for (link, k), mine in parts.items():
        # The far end was not there yet: that is no loss, nobody knows.
        undetermined = any(r.fate() == "unanswered" for r in mine)
        for way in WAYS:
            row = truth.true_row(mine, way, comparison.undirected)
            out[link, way][k] = [0, 0] if undetermined else [row["sent"], row["lost"]]
    return out


def states(counted, n):
    """A(k), by the window that looks forward."""
    first, last = min(counted), max(counted)
    bad = {k: s > 0 and lost * 100 > C_PERCENT * s for k, (s, lost) in counted.items()}
    good = {k: s > 0 and not bad[k] for k, (s, _) in counted.items()}
    available, out = True, {}
    for k in range(first, last + 1):
        window = range(k, k + n)
        if available and all(bad.get(i) for i in window):
            available = False
        elif not available and all(good.get(i) for i in window):
            available = True
        out[k] = available
    return out


def tail(part, whole, p, least):
    """P(X >= part) if 'least', else P(X <= part), of whole trials."""
    ks = range(part, whole + 1) if least else range(part + 1)
    return sum(math.exp(math.lgamma(whole + 1) - math.lgamma(k + 1) - math.lgamma(whole - k + 1)
                        + k * math.log(p) + (whole - k) * math.log1p(-p)) for k in ks)


def ratio_verdict(lost, sent, limit_milli):
    """By the 95 % interval; and too few packets cannot show that it is kept."""
    p = limit_milli / 100_000
    if sent and tail(lost, sent, p, True) < 0.025:
        return "missed"
    return "met" if sent * p >= 3 and tail(lost, sent, p, False) < 0.025 else "not decidable"


class Service:
    def __init__(self, spec):
        self.name, links = spec.split(":")
        self.any = "/" in links
        self.links = links.split("/" if self.any else "+")

    def available(self, a, k):
        up = [all(a[link, way].get(k, True) for way in WAYS) for link in self.links]
        return any(up) if self.any else all(up)

    def judge(self, o, counted, a, inside):
        """(verdict, part, whole) of an objective; None where the log cannot tell."""
        if o["metric"] == "availability":
            up = sum(self.available(a, k) for k in inside)
            return "met" if up * 100_000 >= o["limit_value"] * len(inside) else "missed", up, len(inside)
        if o["metric"] != "flr":
            return None
        ways = []
        for link in self.links:
            for way in WAYS:
                mine = [counted[link, way].get(k, [0, 0]) for k in inside if a[link, way].get(k, True)]
                sent, lost = sum(m[0] for m in mine), sum(m[1] for m in mine)
                ways.append((ratio_verdict(lost, sent, o["limit_value"]), lost, sent))
        order = ("missed", "not decidable", "met")
        return min(ways, key=lambda w: (order.index(w[0]), -w[1] / max(1, w[2])))


def compare(args):
    with open(args.add_to, encoding="utf-8") as f:
        out = json.load(f)
    with open(args.sla, encoding="utf-8") as f:
        objectives = json.load(f)["objectives"]
    with open(args.explain, encoding="utf-8") as f:
        explained = json.load(f)
    requests, _ = truth.load_log(args.log)
    comparison = truth.Comparison(requests, {})
    for s in truth.load_samples(args):
        comparison.add(s, [])
    counted = count(requests, comparison, args)
    a = {key: states(mine, args.n) for key, mine in counted.items()}
    services = {s.name: s for s in map(Service, args.service)}
    problems, rows = [], []
    for o in objectives:
        inside = range(-(-instant(o["judged_from"]) // args.dt), instant(o["period_end"]) // args.dt)
        true = services[o["service"]].judge(o, counted, a, inside)
        judged = (o["verdict"], o["part"], o["whole"])
        equal = o["published"] and (true is None or true == judged)
        rows.append({**o, "equal": equal, "true": true and dict(zip(("verdict", "part", "whole"), true))})
        if not equal:
            problems.append(f"{o['service']} {o['metric']}: judged {judged}, in truth {true}"
                            + ("" if o["published"] else "; it is not published"))
    if len(rows) != args.objectives:
        problems.append(f"there are {len(rows)} verdicts, not {args.objectives}")
    out["services"], out["explained"] = rows, explained
    out["problems"] += problems
    out["equal"] = not out["problems"]
    with open(args.add_to, "w", encoding="utf-8") as f:
        json.dump(out, f, indent=1)
    return 0 if out["equal"] else 1


def table(args):
    with open(args.file, encoding="utf-8") as f:
        out = json.load(f)
    head = "{:<14}{:<14}{:<15}{:<15}{:>10}{:>10}{:>10}{:>10}  {}"
    print("\nVerdicts beside one made from the emulator's log (j: judged, t: true)")
    print(head.format("service", "metric", "verdict j", "verdict t", "part j", "part t", "of j", "of t", ""))
    for r in out["services"]:
        t = r["true"] or dict.fromkeys(("verdict", "part", "whole"), "-")
        print(head.format(r["service"], r["metric"], r["verdict"], t["verdict"], r["part"], t["part"], r["whole"],
                          t["whole"], "" if not r["true"] else "equal" if r["equal"] else "DIFFERS"))
    print("\n" + truth.last_word(out))
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    p = verbs.add_parser("compare")
    p.add_argument("--log", action="append", required=True, help="the emulator's")
    p.add_argument("--samples", action="append", default=[], help="a probe's sample log")
    p.add_argument("--sla", required=True, help="`plumbline sla --json`")
    p.add_argument("--explain", required=True, help="`plumbline explain --json`")
    p.add_argument("--service", action="append", required=True, help="NAME:LINK+LINK or NAME:LINK/LINK")
    p.add_argument("--objectives", type=int, required=True, help="how many verdicts there are to be")
    p.add_argument("--class", dest="class_name", default="gold")
    p.add_argument("--dt", type=int, default=10**9, help="ns")
    p.add_argument("--n", type=int, required=True, help="delta-t that turn the state")
    p.add_argument("--add-to", required=True, metavar="FILE", help="truth.py's result")
    p.set_defaults(since=None, until=None)
    p = verbs.add_parser("table")
    p.add_argument("file")
    args = parser.parse_args()
    return {"compare": compare, "table": table}[args.verb](args)


if __name__ == "__main__":
    sys.exit(main())
