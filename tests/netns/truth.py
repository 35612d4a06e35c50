#!/usr/bin/env python3
"""truth.py - the emulator's log (emulog.h) as truth, and what was measured
beside it.

report   what happened to the test packets of each session, as JSON
compare  the probes' sample logs (probe.yaml: sample_log) and the rows of
         plumbline.v_interval beside it, packet for packet; status 1 if they differ
table    what compare printed, for people
get      one value out of such JSON, for scripts: get FILE links.a-b.fwd.lost

A session is (link, observer_end, dscp, source port); its directions are its own:
fwd is sender to reflector.  A *link's* fwd goes from its first end to its second:
it is the session's bwd where the observer is the second end.

A request's true fate:
  received    a reply to it left the emulator
  lost_fwd    the emulator did not let it through
  lost_bwd    the emulator let none of its replies through
  unanswered  it went through, and no reply ever came to the emulator
Time filters (--from, --until, ns of UTC) are on the sender's timestamp in the
packet, to which a delta-t and a row belong as well.

One-way delays are compared twice: each packet's own with the emulator's, and p50 and
p99 of what was measured with those of the log.
"""
import argparse
import collections
import json
import sys

FATES = ("received", "lost_fwd", "lost_bwd", "unanswered")
# A timestamp in the packet is a binary fraction of a second: up to 1 ns is cut off.
T1_SLACK_NS = 2


class Request:
    """One test packet: its way there, and the replies to it."""

    __slots__ = ("link", "end", "dscp", "sport", "ssid", "seq", "t1", "rx", "action", "tx", "dup_tx", "replies")

    def __init__(self, f):
        self.link, self.end = f["link"], 0 if f["dir"] == "fwd" else 1
        self.dscp, self.sport, self.ssid, self.seq = (int(f[k]) for k in ("dscp", "sport", "ssid", "seq"))
        self.t1, self.rx, self.tx, self.dup_tx = (int(f[k]) for k in ("t1_ns", "rx_ns", "tx_ns", "dup_tx_ns"))
        self.action = f["action"]
        self.replies = []

    def session(self):
        return self.link, self.end, self.dscp, self.sport

    def fate(self):
        if self.action != "pass":
            return "lost_fwd"
        if not self.replies:
            return "unanswered"
        return "received" if self.first_reply() else "lost_bwd"

    def first_reply(self):
        passed = [r for r in self.replies if r[0] == "pass"]
        return min(passed, key=lambda r: r[2]) if passed else None

    def duplicates(self, direction):
        if direction == "fwd":
            return 1 if self.dup_tx else 0
        copies = sum(2 if r[3] else 1 for r in self.replies if r[0] == "pass")
        return max(0, copies - 1)

    def delay(self, direction):
        """True one-way delay in ns, or None where a kernel stamp is missing."""
        if direction == "fwd":
            return self.tx - self.rx if self.tx else None
        reply = self.first_reply()
        return reply[2] - reply[1] if reply and reply[2] else None



def lines(path):
    """Rows of a TSV file whose first line names the columns, as dicts."""
    names = None
    with open(path, encoding="utf-8") as f:
        for line in f:
            fields = line.rstrip("\n").split("\t")
            if names is None:
                fields[0] = fields[0].lstrip("#")
                names = fields
            elif not line.startswith("#") and len(fields) == len(names):
                yield dict(zip(names, fields))


def load_log(paths):
    """All requests, with their replies joined to them; and replies that answer nothing."""
    requests, replies, strays = {}, [], 0
    for path in paths:
        for f in lines(path):
            if f["kind"] == "request":
                r = Request(f)
                requests[r.link, r.end, r.ssid, r.seq, r.t1] = r
            elif f["kind"] == "reply":
                replies.append(f)
    for f in replies:
        end = 1 if f["dir"] == "fwd" else 0
        r = requests.get((f["link"], end, int(f["ssid"]), int(f["sender_seq"]), int(f["t1_ns"])))
        if r is None:
            strays += 1
        else:
            r.replies.append((f["action"], int(f["rx_ns"]), int(f["tx_ns"]), int(f["dup_tx_ns"])))
    return list(requests.values()), strays


def quantile(values, per_mille):
    """Nearest rank."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * per_mille // 1000) - 1)] if ordered else None


def link_direction(end, direction):
    """A session's direction in the link's frame, and back."""
    return direction if end == 0 else {"fwd": "bwd", "bwd": "fwd"}[direction]


def within(args, t1):
    return (args.since is None or t1 >= args.since) and (args.until is None or t1 < args.until)


def summarise(requests):
    fates = collections.Counter(r.fate() for r in requests)
    out = {"sent": len(requests), **{f: fates[f] for f in FATES}}
    for d in ("fwd", "bwd"):
        delays = [x for x in (r.delay(d) for r in requests if r.fate() == "received") if x is not None]
        out[f"duplicate_{d}"] = sum(r.duplicates(d) for r in requests)
        out[f"{d}_p50_ns"], out[f"{d}_p99_ns"] = quantile(delays, 500), quantile(delays, 990)
    return out


def report(args):
    requests, strays = load_log(args.log)
    sessions = collections.defaultdict(list)
    for r in requests:
        if within(args, r.t1):
            sessions[r.session()].append(r)
    out = {"stray_replies": strays, "sessions": []}
    for key in sorted(sessions):
        session = dict(zip(("link", "observer_end", "dscp", "source_port"), key), **summarise(sessions[key]))
        if args.dt:
            parts = collections.defaultdict(list)
            for r in sessions[key]:
                parts[r.t1 // args.dt * args.dt].append(r)
            session["dt"] = [{"start_ns": start, **summarise(parts[start])} for start in sorted(parts)]
        out["sessions"].append(session)
    json.dump(out, sys.stdout, indent=1)
    print()
    return 0


class Knowledge:
    """What a sender could know of the direction of a loss when it had to tell."""

    REPORT = 128  # Packets before the one replied to, of which a reply tells.

    def __init__(self, requests, times):
        self.times = times  # class -> (dt, how long after its end a summary waits)
        self.order = collections.defaultdict(list)
        for r in requests:
            self.order[r.session(), r.ssid].append(r)
        self.place = {}
        for mine in self.order.values():
            mine.sort(key=lambda r: r.t1)
            self.place.update((id(r), i) for i, r in enumerate(mine))

    def could_tell(self, r, class_name):
        """Whether a reply told of 'r' in time; half a second either way is nobody's fault."""
        if class_name not in self.times:
            return True
        dt, wait = self.times[class_name]
        final = (r.t1 // dt + 1) * dt + wait - 500_000_000
        mine, at = self.order[r.session(), r.ssid], self.place[id(r)]
        # A reflector that has seen nothing of a session yet may as well not have been there.
        if r.fate() == "lost_fwd" and all(m.action != "pass" for m in mine[:at]):
            return False
        for i in range(at + 1, len(mine)):
            if mine[i].fate() == "received" and mine[i].first_reply()[2] <= final:
                return i - at <= self.REPORT or self.one_way_whole(mine, at, i)
            if mine[i].t1 > final:
                break
        return False

    def one_way_whole(self, mine, at, told_by):
        """Whether the run around 'at' that is older than the report fell one way whole."""
        first = at
        while first > 0 and mine[first - 1].fate() != "received":
            first -= 1
        return len({mine[i].fate() for i in range(first, told_by - self.REPORT)}) == 1


class Comparison:
    """Measured packets beside the true ones."""

    def __init__(self, requests, times):
        self.knowledge = Knowledge(requests, times)
        self.undirected = set()  # Where nobody could know.
        self.index = collections.defaultdict(list)
        for r in requests:
            self.index[r.link, r.end, r.seq].append(r)
        self.told = set()
        self.fates = collections.defaultdict(collections.Counter)
        self.delays = collections.defaultdict(list)  # (link, link's direction) -> (measured, true)
        self.stamps = collections.Counter()
        self.wrong = []
        self.class_of = {}  # (link, end, dscp, sport) -> (class, flow)

    def find(self, sample):
        key = sample["object"], int(sample["observer_end"]), int(sample["sequence"])
        t1 = int(sample["t1_packet"])
        for r in self.index.get(key, ()):
            if abs(r.t1 - t1) <= T1_SLACK_NS:
                return r
        return None

    def add(self, sample, allowed):
        r = self.find(sample)
        fate = sample["fate"]
        if r is None:
            self.wrong.append({"what": "not in the emulator's log", **sample})
            return
        true = r.fate()
        self.told.add(id(r))
        self.class_of[r.session()] = sample["class"], int(sample["flow"])
        self.fates[r.link, r.end][true, fate] += 1
        if fate == "lost_undirected" and self.may_be_undirected(r, true, sample["class"]):
            self.undirected.add(id(r))
        elif fate != true and fate not in allowed:
            self.wrong.append({"what": f"is {true}", **sample})
        if fate == "received" == true:
            self.add_delays(sample, r)
            if int(sample["duplicates_bwd"]) != r.duplicates("bwd"):
                self.wrong.append({"what": f"has {r.duplicates('bwd')} bwd duplicates", **sample})

    def may_be_undirected(self, r, true, class_name):
        if true == "unanswered":
            return True
        return true.startswith("lost") and not self.knowledge.could_tell(r, class_name)

    def add_delays(self, sample, r):
        sources = {sample[f"t{i}_source"] for i in range(1, 5)}
        self.stamps["all"] += 1
        if not sources <= {"kernel", "hardware"}:
            return
        self.stamps["kernel"] += 1
        t = [None] + [int(sample[f"t{i}"]) for i in range(1, 5)]
        for d, measured in (("fwd", t[2] - t[1]), ("bwd", t[4] - t[3])):
            true = r.delay(d)
            if true is not None:
                self.delays[r.link, link_direction(r.end, d)].append((measured, true))

    def accuracy(self, link, direction):
        pairs = self.delays[link, direction]
        out = {"samples": len(pairs)}
        for name, per_mille in (("p50", 500), ("p99", 990)):
            measured, true = (quantile([p[i] for p in pairs], per_mille) for i in (0, 1))
            out[f"{name}_measured_ns"], out[f"{name}_true_ns"] = measured, true
            out[f"{name}_error_ns"] = measured - true if pairs else None
            out[f"packet_error_{name}_ns"] = quantile([abs(m - t) for m, t in pairs], per_mille)
        return out


def count_directions(requests):
    """Per (link, link's direction): sent into it, lost, duplicated."""
    out = collections.defaultdict(lambda: {"sent": 0, "lost": 0, "duplicate": 0})
    for r in requests:
        for d in ("fwd", "bwd"):
            c = out[r.link, link_direction(r.end, d)]
            c["lost"] += r.fate() == f"lost_{d}"
            c["duplicate"] += r.duplicates(d)
            c["sent"] += 1 if d == "fwd" else bool(r.replies)
    return out


def true_row(mine, direction, undirected):
    """What a row of the session's 'direction' should say (doc/wire-format.md, rows)."""
    fates = collections.Counter("undirected" if id(r) in undirected else r.fate() for r in mine)
    lost = fates[f"lost_{direction}"] + fates["undirected"]
    sent = len(mine) if direction == "fwd" else fates["received"] + lost
    return {"sent": sent, "received": sent - lost, "lost": lost, "lost_undirected": fates["undirected"],
            "duplicate": sum(r.duplicates(direction) for r in mine)}


def before_the_far_probe(mine, dt):
    """Beginnings of the delta-t in which a packet of the session met nobody, for the far probe was not there yet."""
    first = min((r.t1 for r in mine if r.replies), default=None)
    return {r.t1 // dt * dt for r in mine if not r.replies and r.action == "pass" and (first is None or r.t1 < first)}


def compare_rows(path, requests, comparison, interval, start):
    """v_interval beside the truth, summed over the intervals that a session has rows of."""
    measured = collections.defaultdict(collections.Counter)
    covered = collections.defaultdict(set)
    for f in lines(path):
        key = f["object"], int(f["observer_end"]), f["class"], int(f["flow"])
        covered[key].add(int(f["start_ns"]))
        for name in ("sent", "received", "lost", "duplicate", "lost_undirected", "unknown_dt", "unknown"):
            measured[key, f["direction"]][name] += int(f[name] or 0)
    out, differ = [], 0
    for key in sorted(covered):
        link, end, class_name, flow = key
        mine = [r for r in requests
                if r.link == link and r.end == end and comparison.class_of.get(r.session()) == (class_name, flow)
                and r.t1 // interval * interval in covered[key]]
        absent = before_the_far_probe(mine, start[class_name]) if class_name in start else set()
        mine = [r for r in mine if not absent or r.t1 // start[class_name] * start[class_name] not in absent]
        for d in ("fwd", "bwd"):
            m = measured[key, link_direction(end, d)]
            true = true_row(mine, d, comparison.undirected)
            equal = m["unknown"] == 0 and m["unknown_dt"] == len(absent) and all(m[k] == true[k] for k in true)
            differ += not equal
            out.append({"link": link, "observer_end": end, "class": class_name, "flow": flow,
                        "direction": link_direction(end, d), "rows": len(covered[key]), "equal": equal,
                        "measured": dict(m), "true": true})
    return out, differ


def load_samples(args):
    for path in args.samples:
        for s in lines(path):
            if within(args, int(s["t1_packet"])):
                yield s


def judge(args, out, comparison):
    """What is not as promised, in words."""
    problems = []
    if out["packets_wrong"]:
        problems.append(f"{out['packets_wrong']} packets have another fate than in the emulator's log")
    if out["packets_untold"]:
        problems.append(f"{out['packets_untold']} packets of the emulator's log were never told of")
    if out["rows_differ"]:
        problems.append(f"{out['rows_differ']} sums of rows differ from the emulator's log")
    if args.rows and not out["rows"]:
        problems.append("there are no rows")
    if not out["samples"]:
        problems.append("there are no samples")
    share = comparison.stamps["kernel"] / max(1, comparison.stamps["all"])
    if args.min_kernel is not None and share * 100 < args.min_kernel:
        problems.append(f"only {share:.1%} of samples have all four kernel stamps")
    for link, directions in out["links"].items():
        for d, v in directions.items():
            problems += [f"{link} {d}: {p}" for p in judge_delay(args, v["delay"])]
    return problems


def judge_delay(args, delay):
    """Of one direction of a link."""
    problems = []
    for name, limit in (("p50", args.p50_us), ("p99", args.p99_us)):
        if limit is None:
            continue
        for error, what in ((delay[f"{name}_error_ns"], f"one-way {name} is {{}} off"),
                            (delay[f"packet_error_{name}_ns"], f"{name} of what packets are off each is {{}}")):
            if error is None:
                problems.append(what.format("nobody knows how far"))
            elif abs(error) > limit * 1000:
                problems.append(what.format(f"{error} ns"))
    return problems


def compare(args):
    requests, strays = load_log(args.log)
    comparison = Comparison(requests, dict(args.final))
    samples = 0
    for s in load_samples(args):
        comparison.add(s, args.allow)
        samples += 1
    inside = [r for r in requests if within(args, r.t1)]
    untold = [r for r in inside if id(r) not in comparison.told]
    rows, rows_differ = [], 0
    if args.rows:
        rows, rows_differ = compare_rows(args.rows, requests, comparison, args.interval, dict(args.start))
    links = collections.defaultdict(dict)
    for (link, d), counts in sorted(count_directions(inside).items()):
        links[link][d] = {"true": counts, "delay": comparison.accuracy(link, d)}
    out = {"samples": samples, "undirected": len(comparison.undirected),
           "kernel_stamped": comparison.stamps["kernel"], "received": comparison.stamps["all"],
           "stray_replies": strays, "packets_wrong": len(comparison.wrong), "packets_untold": len(untold),
           "fates": [{"link": k[0], "observer_end": k[1], "true": t, "measured": m, "count": n}
                     for k, c in sorted(comparison.fates.items()) for (t, m), n in sorted(c.items())],
           "links": links, "rows": rows, "rows_differ": rows_differ, "wrong": comparison.wrong[:20],
           "untold": [{"link": r.link, "observer_end": r.end, "dscp": r.dscp, "sequence": r.seq, "t1_ns": r.t1,
                       "fate": r.fate()} for r in untold[:20]]}
    for name, value in args.extra:
        out[name] = json.loads(value)
    out["problems"] = judge(args, out, comparison)
    out["equal"] = not out["problems"]
    json.dump(out, sys.stdout, indent=1)
    print()
    return 0 if out["equal"] else 1


def microseconds(ns):
    return "-" if ns is None else f"{ns / 1000:.1f}"


def last_word(out):
    return "\n".join(["Measured differs from truth:"] + ["  " + p for p in out["problems"]]
                     if out["problems"] else ["Measured equals truth."])


def table(args):
    """A comparison as people read it."""
    with open(args.file, encoding="utf-8") as f:
        out = json.load(f)
    if out["rows"]:
        head = "{:<12}{:<7}{:<6}{:<5}{:>9}{:>9}{:>7}{:>7}{:>7}{:>7}  {}"
        print("\nRows in PostgreSQL beside the emulator's log (m: measured, t: true)")
        print(head.format("link", "from", "class", "way", "sent m", "sent t", "lost m", "lost t", "dup m", "dup t", ""))
        for r in out["rows"]:
            m, t = r["measured"], r["true"]
            print(head.format(r["link"], ("first", "second")[r["observer_end"]], r["class"], r["direction"],
                              m["sent"], t["sent"], m["lost"], t["lost"], m["duplicate"], t["duplicate"],
                              "equal" if r["equal"] else "DIFFERS"))
    head = "{:<12}{:<5}{:>9}{:>12}{:>12}{:>9}{:>12}{:>12}{:>9}{:>11}"
    print("\nOne-way delay on samples with four kernel stamps, us (e: error)")
    print(head.format("link", "way", "samples", "p50 m", "p50 t", "p50 e", "p99 m", "p99 t", "p99 e", "packet p99"))
    for link, ways in sorted(out["links"].items()):
        for way, v in sorted(ways.items(), reverse=True):
            d = v["delay"]
            print(head.format(link, way, d["samples"], *(microseconds(d[k]) for k in (
                "p50_measured_ns", "p50_true_ns", "p50_error_ns", "p99_measured_ns", "p99_true_ns", "p99_error_ns",
                "packet_error_p99_ns"))))
    print(f"\n{out['samples']} packets told one by one, {out['packets_wrong']} with another fate than in the "
          f"emulator's log, {out['packets_untold']} not told of; four kernel stamps on "
          f"{out['kernel_stamped']} of {out['received']} samples.")
    if not args.more:
        print(last_word(out))
    return 0


def get(args):
    with open(args.file, encoding="utf-8") as f:
        value = json.load(f)
    for name in args.path.split("."):
        value = value[int(name)] if isinstance(value, list) else value[name]
    print(json.dumps(value) if isinstance(value, (dict, list, bool)) else value)
    return 0


def final_time(text):
    """CLASS:DT:WAIT, both in ns."""
    name, dt, wait = text.split(":")
    return name, (int(dt), int(wait))


def start_time(text):
    """CLASS:DT, in ns."""
    name, dt = text.split(":")
    return name, int(dt)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in ("report", "compare"):
        p = verbs.add_parser(name)
        p.add_argument("--log", action="append", required=True, help="the emulator's")
        p.add_argument("--from", dest="since", type=int)
        p.add_argument("--until", type=int)
        if name == "report":
            p.add_argument("--dt", type=int, help="ns: summarise each delta-t as well")
            continue
        p.add_argument("--samples", action="append", default=[], help="a probe's sample log")
        p.add_argument("--rows", help="TSV of v_interval with its head: object, observer_end, direction, class, flow, start_ns, ...")
        p.add_argument("--interval", type=int, default=10**10, help="ns, of a row")
        p.add_argument("--allow", action="append", default=[], help="a measured fate that is never called wrong")
        p.add_argument("--min-kernel", type=float, help="percent of samples with four kernel stamps")
        p.add_argument("--p50-us", type=float, help="greatest error of one-way p50")
        p.add_argument("--p99-us", type=float)
        p.add_argument("--final", type=final_time, action="append", default=[], metavar="CLASS:DT:WAIT",
                       help="ns: a delta-t is told of WAIT after its end; what nobody could know by then may be undirected")
        p.add_argument("--start", type=start_time, action="append", default=[], metavar="CLASS:DT",
                       help="ns: rows begin with the probes: a delta-t is unknown if in it a packet met no far probe yet")
        p.add_argument("--extra", nargs=2, action="append", default=[], metavar=("NAME", "JSON"),
                       help="also put this into the result")
    p = verbs.add_parser("get")
    p.add_argument("file")
    p.add_argument("path")
    p = verbs.add_parser("table")
    p.add_argument("file")
    p.add_argument("--more", action="store_true", help="more follows: leave the last word out")
    args = parser.parse_args()
    return {"report": report, "compare": compare, "get": get, "table": table}[args.verb](args)


if __name__ == "__main__":
    sys.exit(main())
