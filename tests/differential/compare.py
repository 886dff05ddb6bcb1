#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares two files of results; each difference must be one of known.json (see README.md)."""
import argparse
import collections
import json
import pathlib
import sys


def read(path):
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    results = {row["id"]: row for row in rows}
    if len(results) != len(rows):
        raise SystemExit(f"{path}: a case has two results")
    return results


def explains(rule, case, ours, other):
    """A rule may speak for a case when the verdicts are as it says, and the tags and those of our events that it asks for are there."""
    when = rule["when"]
    return (ours["verdict"] == when.get("ours", ours["verdict"])
            and other["verdict"] == when.get("other", other["verdict"])
            and set(when.get("tags", [])) <= set(case["tags"])
            and set(when.get("has", [])) <= set(ours["events"]))


def explanation(known, case, ours, other):
    """The rules that together name every event which only one side has; None when an event is left over."""
    more = set(collections.Counter(ours["events"]) - collections.Counter(other["events"]))
    less = set(collections.Counter(other["events"]) - collections.Counter(ours["events"]))
    used = []
    for rule in (r for r in known if explains(r, case, ours, other)):
        mine, theirs = set(rule["when"].get("only_ours", [])), set(rule["when"].get("only_other", []))
        if "*" in mine:
            mine = set(more)
        if more & mine or less & theirs or not (more or less or used):
            used.append(rule["id"])
        more, less = more - mine, less - theirs
    return " + ".join(used) if used and not more and not less else None


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("cases")
    options.add_argument("ours")
    options.add_argument("other")
    options.add_argument("--known", default=pathlib.Path(__file__).with_name("known.json"))
    asked = options.parse_args()
    cases, ours, other = read(asked.cases), read(asked.ours), read(asked.other)
    with open(asked.known, encoding="utf-8") as text:
        known = json.load(text)["known"]
    if not cases or set(cases) != set(ours) or set(cases) != set(other):
        raise SystemExit("the files are not about the same cases")
    seen, unexplained = collections.Counter(), 0
    for name, case in cases.items():
        a, b = ours[name], other[name]
        if a["verdict"] == b["verdict"] and collections.Counter(a["events"]) == collections.Counter(b["events"]):
            seen["equal"] += 1
            continue
        why = explanation(known, case, a, b)
        if why:
            seen[why] += 1
            continue
        unexplained += 1
        print(f"{name} {case['tags']}: ours {a['verdict']} {a['events']}, other {b['verdict']} {b['events']}")
    for name, count in sorted(seen.items()):
        print(f"{count:7} {name}")
    print(f"{unexplained:7} unexplained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
