#!/usr/bin/env python3
"""Reads what daemons show at /metrics.

  metrics.py get URL                  the page
  metrics.py value FILE SERIES        one sample's value: name, or name{label="x"}
  metrics.py unknown RULES DASHBOARD PAGE ...
                                      names in rules and dashboard that no page has
  metrics.py repeated PAGE            series that stand there twice
"""
import json
import re
import sys
import urllib.request

NAME = re.compile(r"\bplumbline_[a-zA-Z0-9_]+")


def samples(path):
    with open(path, encoding="utf-8") as page:
        for line in page:
            if line.strip() and not line.startswith("#"):
                yield line.rsplit(" ", 1)


def names_in(path):
    with open(path, encoding="utf-8") as file:
        if not path.endswith(".json"):
            return set(NAME.findall("".join(l for l in file if not l.lstrip().startswith("#"))))
        dashboard = json.load(file)
    queries = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
    queries += [v["query"] for v in dashboard["templating"]["list"]]
    return set(NAME.findall("\n".join(queries)))


def main(verb, *args):
    if verb == "get":
        with urllib.request.urlopen(args[0], timeout=20) as answer:
            sys.stdout.write(answer.read().decode("utf-8"))
    elif verb == "value":
        print(next(value.strip() for series, value in samples(args[0]) if series == args[1]))
    elif verb == "unknown":
        known = {series.split("{")[0] for page in args[2:] for series, _ in samples(page)}
        asked = names_in(args[0]) | names_in(args[1])
        assert len(asked) > 30, asked
        print("\n".join(sorted(asked - known)))
    elif verb == "repeated":
        seen = [series for series, _ in samples(args[0])]
        print("\n".join(sorted({s for s in seen if seen.count(s) > 1})))


main(*sys.argv[1:])
