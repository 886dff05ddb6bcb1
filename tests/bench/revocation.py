#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a fleet waits to hear of a failure: from the verdict to each agent's receipt, beside the bare client pool.

Starts quicklime-verifier from QL_BUILD_DIR (default build/release) and bench_fleet_agents in a temporary folder, on
loopback alone, and stops both. One agent more than the fleet needs is added with a policy that it cannot meet: it fails at its
first quote, and all are told; then it is deleted, again and again. Meanwhile the others are polled. Exit code 1: an agent was
not told, or --max-ratio (of the 99th percentiles) or --min-share (of the pool's rate) is not reached.
Needs the Python standard library and openssl.
"""

import argparse
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import datetime

from simulation import BUILD, Fleet, Trouble, Verifier, agent_id, lateness, percentile, wait_for

WRONG = json.dumps({"15": ["ff" * 32], "mask": "0x8000"})


def mono_of(stamp):
    """CLOCK_MONOTONIC, ns, of a time in the log."""
    wall = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() * 1e9
    return wall - (time.time_ns() - time.monotonic_ns())


def told_ms(fleet, since_ns, numbers):
    """Milliseconds from a moment until each agent was told."""
    stamps = fleet.revoked_ns()
    return [(stamps[n] - since_ns) / 1e6 for n in numbers]


def wait_told(fleet, before, numbers, seconds):
    def told():
        now = fleet.revocations()
        return all(now[n] > before[n] for n in numbers)
    wait_for(told, seconds, "every agent is told")


def pool_rounds(options, fleet, ca, folder, numbers):
    """The bare pool's rounds: milliseconds to each agent, and posts per second."""
    (folder / "fleet.pem").write_text(fleet.facts["cert"])
    (folder / "body.json").write_text(json.dumps({"msg": "x" * 600, "signature": "A" * 344}))
    program = subprocess.Popen([BUILD / "bench" / "bench_fleet_pool", "--dir", folder, "--ca", folder / "fleet.pem", "--cert",
                                ca / "client-cert.crt", "--key", ca / "client-private.pem", "--body", folder / "body.json",
                                "--rounds", str(options.rounds)], stdout=subprocess.PIPE, text=True)
    waits, rates = [], []
    for line in program.stdout:
        start, end = (int(x) for x in line.split())
        waits += told_ms(fleet, start, numbers)
        rates.append(len(fleet.agents) / ((end - start) / 1e9))
    if program.wait() != 0 or not rates:
        raise Trouble("bench_fleet_pool failed")
    return waits, sum(rates) / len(rates)


def verifier_rounds(options, fleet, verifier, numbers, key):
    """The verifier's rounds: milliseconds from verdict, and from the quote that gave it away; posts per second."""
    from_verdict, from_quote, rates = [], [], []
    victim = len(fleet.agents) - 1
    for _ in range(options.rounds):
        time.sleep(1)
        before, mark = fleet.revocations(), len(verifier.program.log)
        verifier.add(agent_id(victim), fleet.agents[victim], fleet.facts, tpm_policy=WRONG, revocation_key=key)
        wait_told(fleet, before, numbers, 60 + len(fleet.agents) / 50)
        log = verifier.program.log[mark:]
        failed = re.search(rf"time=(\S+) .*Agent {agent_id(victim)} failed", log)
        verdict = mono_of(failed.group(1))
        waits = told_ms(fleet, verdict, numbers)
        from_verdict += waits
        quote = fleet.stamps(victim, 0, 1 << 62)[-1]
        from_quote += told_ms(fleet, quote, numbers)
        rates.append(len(numbers) / (max(waits) / 1e3))
        verifier.call("DELETE", f"/v2.6/agents/{agent_id(victim)}")
        wait_for(lambda: agent_id(victim) not in verifier.agents(), 30, "the agent is deleted")
    return from_verdict, from_quote, sum(rates) / len(rates)


def run(options, folder):
    subprocess.run(["openssl", "genrsa", "-out", folder / "revocation.pem", "2048"], check=True, capture_output=True)
    key = (folder / "revocation.pem").read_text()
    verifier = Verifier(folder, quote_interval=float(options.interval))
    fleet = Fleet(folder, verifier.ca / "cacert.crt", agents=options.agents + 1, ak="p256")
    numbers = range(options.agents)
    try:
        for n in numbers:
            verifier.add(agent_id(n), fleet.agents[n], fleet.facts)
        wait_for(lambda: all(fleet.quotes()[n] >= 2 for n in numbers), 120 + options.agents / 10, "every agent is polled")
        pool, pool_rate = pool_rounds(options, fleet, verifier.ca, folder, numbers)
        begin = time.monotonic_ns()
        ours, quote, rate = verifier_rounds(options, fleet, verifier, numbers, key)
        late, missed = lateness(fleet, options.interval, begin, time.monotonic_ns(), set(numbers))
        rss = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{verifier.program.pid}/status").read_text()).group(1))
    finally:
        verifier.program.stop()
        fleet.program.stop()
    for name, values in (("bare pool, from start", pool), ("verifier, from verdict", ours),
                         ("verifier, from the quote", quote)):
        print(f"{name:26} p50 {percentile(values, .5):8.1f}  p90 {percentile(values, .9):8.1f}  "
              f"p99 {percentile(values, .99):8.1f}  max {max(values):8.1f} ms")
    ratio = percentile(ours, .99) / percentile(pool, .99)
    print(f"posts per second: pool {pool_rate:.0f}, verifier {rate:.0f} ({rate / pool_rate:.2f} of it)")
    print(f"polls meanwhile: p99 {percentile(late, .99):.0f} ms late, {missed} left out; verifier's memory {rss // 1024} MiB")
    print(f"{options.agents} agents, {options.rounds} rounds: p99 is {ratio:.2f} times the pool's")
    return ratio <= options.max_ratio and rate / pool_rate >= options.min_share


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between quotes [2]")
    parser.add_argument("--max-ratio", type=float, default=float("inf"))
    parser.add_argument("--min-share", type=float, default=0.0)
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ql-bench-"))
    try:
        return 0 if run(options, folder) else 1
    except Trouble as why:
        print(f"revocation.py: {why}", file=sys.stderr)
        return 1
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
