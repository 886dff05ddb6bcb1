#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a verifier pays for an attestation: CPU, memory and punctuality with a simulated fleet, beside bare limits.

Starts quicklime-verifier from QL_BUILD_DIR (default build/release) and bench_fleet_agents in a temporary folder, on
loopback alone, and stops both. Exit code 1: the fleet's count and the verifier's differ, a liar passed, or --max-ratio
was exceeded. Needs the Python standard library only.
"""

import argparse
import json
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from simulation import (BUILD, Fleet, Trouble, Usage, Verifier, compare, enrol, lateness, memory, percentile, run_times,
                        tree, warm_up)


# ---- limits ----


def limits(options):
    """Microseconds: a bare signature check with the key held, and a bare keep-alive request, client's side."""
    bench = BUILD / "bench"
    connections = min(options.agents, 1000)
    quote = subprocess.run([bench / "bench_quote", "5", "20"], capture_output=True, text=True, check=True).stdout
    web = subprocess.run([bench / "bench_http", str(connections), "10000"], capture_output=True, text=True,
                         check=True).stdout
    kind = "RSA-2048" if options.ak == "rsa" else "P-256"
    verify = re.search(rf"^{kind}, 2 PCRs .*bare verify +([0-9.]+) us", quote, re.M)
    request = re.search(r"^bare +server +bare +client: .*client +([0-9.]+) us CPU/req", web, re.M)
    ours = re.search(r"^our +server +our +client: .*client +([0-9.]+) us CPU/req", web, re.M)
    if not verify or not request or not ours:
        raise Trouble(f"limits are not told in a form that is known here:\n{quote}{web}")
    return {"verify_us": float(verify.group(1)), "request_us": float(request.group(1)),
            "own_request_us": float(ours.group(1))}


# ---- the run ----


def floor(options, fleet, ca, folder):
    """Microseconds of a bare poll of the same agents at the same pace, with one signature check; the verifier rests."""
    cert = folder / "fleet.pem"
    cert.write_text(fleet.facts["cert"])
    out = subprocess.run([BUILD / "bench" / "bench_fleet_floor", "--dir", folder, "--ca", cert, "--cert",
                          ca / "client-cert.crt", "--key", ca / "client-private.pem", "--ak", options.ak,
                          "--interval-ms", str(int(options.interval * 1000)), "--seconds",
                          str(int(min(options.seconds, 60)))],
                         capture_output=True, text=True, check=False)
    found = re.search(r"([0-9.]+) us CPU/poll, ([0-9.]+) polls/s", out.stdout)
    if out.returncode != 0 or not found:
        raise Trouble(f"bench_fleet_floor: {out.stdout}{out.stderr}")
    return float(found.group(1)), float(found.group(2))


def perf_of(verifier, options, folder):
    """A profile of the whole tree during the window, when asked for."""
    if not options.perf:
        return None
    pids = ",".join(str(p) for p in tree(verifier.program.pid))
    return subprocess.Popen(["perf", "record", "-q", "-F", "999", "-g", "-o", str(options.perf), "-p", pids, "--",
                             "sleep", str(options.seconds)], stderr=open(folder / "perf.log", "wb"))


def measure(fleet, verifier, options, folder):
    verifier_pid, fleet_pid = verifier.program.pid, fleet.program.pid
    profile = perf_of(verifier, options, folder)
    rss0 = memory(verifier_pid)[0]
    begin_ns, cpu0, fleet0, quotes0 = time.monotonic_ns(), Usage(verifier_pid), Usage(fleet_pid), sum(fleet.quotes())
    time.sleep(options.seconds)
    quotes1, cpu1, fleet1, end_ns = sum(fleet.quotes()), Usage(verifier_pid), Usage(fleet_pid), time.monotonic_ns()
    if profile:
        profile.wait(60)
    if verifier.program.popen.poll() is not None or fleet.program.popen.poll() is not None:
        raise Trouble(f"a program has ended:\n{verifier.program.log[-2000:]}\n{fleet.program.log[-2000:]}")
    wall, count = (end_ns - begin_ns) / 1e9, quotes1 - quotes0
    if count == 0:
        raise Trouble("no quote was asked for in the window")
    cpu, by = cpu1.since(cpu0)
    threads = {t: cpu1.threads[t] - cpu0.threads[t] for t in run_times(verifier_pid)
               if t in cpu0.threads and t in cpu1.threads}
    late, missed = lateness(fleet, options.interval, begin_ns, end_ns) if options.interval > 0 else ([], 0)
    used = {pid: memory(pid) for pid in cpu1.pids}
    return {
        "seconds": wall, "attestations": count, "rate": count / wall,
        "cpu_us": cpu / count * 1e6, "cpu_by": by, 
        "cpu_loop_us": threads.get(verifier_pid, 0) / count * 1e6,
        "cpu_threads_us": (sum(threads.values()) - threads.get(verifier_pid, 0)) / count * 1e6,
        "user_us": (cpu1.user - cpu0.user) / count * 1e6, "system_us": (cpu1.system - cpu0.system) / count * 1e6,
        "cores": cpu / wall, "fleet_cores": fleet1.since(fleet0)[0] / wall, "processes": len(cpu1.pids),
        "rss_before": rss0, "rss_main": used[verifier_pid][0], "rss": sum(u[0] for u in used.values()),
        "pss": sum(u[1] for u in used.values()),
        "late_p50_ms": percentile(late, 0.5), "late_p99_ms": percentile(late, 0.99),
        "late_max_ms": max(late, default=0.0), "missed": missed,
    }


def run(options, folder):
    result = {"ak": options.ak, "agents": options.agents, "interval": options.interval, "bad": options.bad}
    for program in ("bench_quote", "bench_http", "bench_fleet_agents", "bench_fleet_floor"):
        if not (BUILD / "bench" / program).exists():
            raise Trouble(f"{BUILD}/bench/{program} is not there: build it, or set QL_BUILD_DIR")
    rounds = [limits(options)]
    verifier = fleet = None
    try:
        verifier = Verifier(folder, options.set, quote_interval=float(options.interval), start_rate=options.start_rate)
        fleet = Fleet(folder, verifier.ca / "cacert.crt", options.agents, options.ak, options.keys, options.bad,
                      options.limit)
        result["liars"] = sum(a["liar"] for a in fleet.agents)
        result["enrol_s"] = enrol(fleet, verifier)
        warm_up(fleet, verifier, options.interval)
        time.sleep(options.warm)
        result.update(measure(fleet, verifier, options, folder))
        result["wrong"] = compare(fleet, verifier)
        result["others"] = sum(fleet.others())
        result["exit_code"] = verifier.program.stop()
        result["retries"] = len(re.findall(r" retry=\d+/", verifier.program.log))
        result["paced_us"], result["paced_rate"] = floor(options, fleet, verifier.ca, folder)
    finally:
        if verifier and verifier.program.popen.poll() is None:
            verifier.program.stop()
        if fleet:
            fleet.program.stop()
    if result["exit_code"] != 0:
        result["wrong"].append(f"the verifier ended with {result['exit_code']}")
    rounds.append(limits(options))
    for key in rounds[0]:
        result[key] = statistics.mean(r[key] for r in rounds)
    result["limits"] = rounds
    result["ratio"] = result["cpu_us"] / (result["verify_us"] + result["request_us"])
    result["paced_ratio"] = result["cpu_us"] / result["paced_us"]
    return result


def table(r):
    mib = 1024 * 1024
    workers = r["cpu_us"] - r["cpu_loop_us"] - r["cpu_threads_us"]
    asked = f"every {r['interval']:g} s" if r["interval"] > 0 else "without pause"
    rows = [
        ("fleet", f"{r['agents']} agents ({r['liars']} liars), {r['ak']}, {asked}; enrolled in {r['enrol_s']:.1f} s"),
        ("window", f"{r['seconds']:.1f} s, {r['attestations']} attestations, {r['rate']:.1f} a second"),
        ("CPU per attestation", f"{r['cpu_us']:.1f} us ({r['cpu_by']}): loop {r['cpu_loop_us']:.1f}, other "
         f"threads {r['cpu_threads_us']:.1f}, workers {workers:.1f}; user {r['user_us']:.1f}, system {r['system_us']:.1f}"),
        ("cores", f"verifier {r['cores']:.3f}, agents {r['fleet_cores']:.3f}"),
        ("limit: signature check", f"{r['verify_us']:.1f} us"),
        ("limit: request", f"{r['request_us']:.1f} us (own client {r['own_request_us']:.1f} us)"),
        ("ratio", f"{r['ratio']:.2f} to the sum of both"),
        ("bare poll at this pace", f"{r['paced_us']:.1f} us ({r['paced_rate']:.1f} a second); ratio {r['paced_ratio']:.2f}"),
        ("memory", f"RSS main {r['rss_before'] / mib:.1f} to {r['rss_main'] / mib:.1f} MiB, {r['processes']} processes {r['rss'] / mib:.1f} MiB, "
         f"shared counted once {r['pss'] / mib:.1f} MiB"),
        ("lateness", f"p50 {r['late_p50_ms']:.2f} ms, p99 {r['late_p99_ms']:.2f} ms, most {r['late_max_ms']:.1f} ms; "
         f"{r['missed']} polls left out" if r["interval"] > 0 else "no schedule"),
        ("counts", "agree" if not r["wrong"] else f"{len(r['wrong'])} WRONG"),
        ("retries, other requests", f"{r['retries']}, {r['others']}"),
    ]
    return "\n".join(f"{name:24} {text}" for name, text in rows)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--agents", type=int, default=100)
    p.add_argument("--interval", type=float, default=1.0, help="quote_interval, seconds; 0: as fast as it goes")
    p.add_argument("--ak", choices=("rsa", "p256"), default="rsa")
    p.add_argument("--keys", type=int, default=8, help="attestation keys that the agents share")
    p.add_argument("--bad", type=int, default=1, help="per cent of the agents that lie after a while")
    p.add_argument("--seconds", type=float, default=20, help="length of the window")
    p.add_argument("--warm", type=float, default=3, help="seconds between the last agent's third quote and the window")
    p.add_argument("--start-rate", type=int, default=400, help="start_rate of the verifier")
    p.add_argument("--set", action="append", default=[], metavar="GROUP.OPTION=VALUE", help="for the verifier")
    p.add_argument("--max-ratio", type=float, help="fail above this ratio")
    p.add_argument("--json", type=pathlib.Path, help="write the figures to this file")
    p.add_argument("--perf", type=pathlib.Path, help="record a profile of the verifier into this file")
    p.add_argument("--keep", action="store_true", help="keep the temporary folder")
    p.add_argument("--limit", type=int, default=1800, help="seconds after which the agents end by themselves")
    options = p.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="ql-fleet-"))
    try:
        result = run(options, folder)
    except (Trouble, OSError, subprocess.SubprocessError) as e:
        for log in sorted(folder.glob("*.log")):
            print(f"---- {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        print(f"fleet: {e}", file=sys.stderr)
        return 1
    finally:
        if options.keep:
            print(folder, file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(table(result))
    for line in result["wrong"][:20]:
        print(line)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    too_much = options.max_ratio is not None and result["ratio"] > options.max_ratio
    return 1 if result["wrong"] or too_much else 0


if __name__ == "__main__":
    sys.exit(main())
