#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a verifier pays for an attestation: CPU, memory and punctuality with a simulated fleet, beside bare limits.

Starts quicklime-verifier from QL_BUILD_DIR (default build/release) and bench_fleet_agents in a temporary folder, on
loopback alone, and stops both. Exit code 1: the fleet's count and the verifier's differ, a liar passed, or --max-ratio
was exceeded. Needs the Python standard library only.
"""

import argparse
import http.client
import json
import mmap
import os
import pathlib
import re
import shutil
import signal
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("QL_BUILD_DIR", ROOT / "build" / "release")).resolve()
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
ROW, STAMPS = 2048, 251  # fleet/board.h
MASK = 0x8000
PCR_15 = "10" * 32  # fleet/signer.h
GET_QUOTE, INVALID_QUOTE = 3, 9


class Trouble(Exception):
    """The run says nothing; the text says why."""


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise Trouble(f"{what} within {seconds:.0f} s")


# ---- processes ----


def stat_of(pid):
    """Fields of /proc/PID/stat from the third on; None when it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text[text.rindex(")") + 2:].split()


def tree(root):
    """The process and all its descendants."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_of(name)
            if fields:
                children.setdefault(int(fields[1]), []).append(int(name))
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return sorted(found)


class Usage:
    """CPU that a tree of processes has used so far."""

    def __init__(self, root):
        self.pids = tree(root)
        self.user = self.system = 0.0
        self.threads = {}
        for pid in self.pids:
            fields = stat_of(pid)
            if not fields:
                continue
            # utime, stime, and the same of children that have ended: a worker that was replaced is in there
            user, system, ended_user, ended_system = (int(x) for x in fields[11:15])
            self.user += (user + ended_user) / TICK
            self.system += (system + ended_system) / TICK
            self.threads.update(run_times(pid))

    @property
    def total(self):
        return self.user + self.system

    def since(self, before):
        """Seconds of CPU between two looks: to the nanosecond while no thread came or went, else by clock ticks."""
        if self.threads.keys() == before.threads.keys():
            exact = sum(self.threads.values()) - sum(before.threads.values())
            if abs(exact - (self.total - before.total)) <= 2 * (len(self.pids) + 1) / TICK:
                return exact, "run time"
        return self.total - before.total, "ticks"


def run_times(pid):
    """Seconds on a CPU by thread, where the kernel tells."""
    times = {}
    try:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            times[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return {}
    return times


def memory(pid):
    """RSS and proportional share, bytes; nothing of a process that has just ended."""
    rss = pss = 0
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0, 0
    for line in text.splitlines():
        if line.startswith("Rss:"):
            rss = int(line.split()[1]) * 1024
        elif line.startswith("Pss:"):
            pss = int(line.split()[1]) * 1024
    return rss, pss


class Program:
    """A child with its log."""

    def __init__(self, folder, name, argv, stdin=subprocess.DEVNULL):
        self.name, self.log_path = name, folder / f"{name}.log"
        if not pathlib.Path(argv[0]).exists():
            raise Trouble(f"{argv[0]} is not there: build it, or set QL_BUILD_DIR")
        with open(self.log_path, "wb") as log:
            self.popen = subprocess.Popen([str(a) for a in argv], stdin=stdin, stdout=log, stderr=log)

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_for(self, condition, seconds, what):
        def met():
            if self.popen.poll() is not None:
                raise Trouble(f"{self.name} has ended:\n{self.log[-3000:]}")
            return condition()
        return wait_for(met, seconds, what)

    def stop(self, seconds=30):
        if self.popen.stdin:
            self.popen.stdin.close()
        elif self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise Trouble(f"{self.name} did not end within {seconds} s") from None


# ---- the two sides ----


class Fleet:
    """Simulated agents and what they have counted."""

    def __init__(self, folder, options, ca):
        argv = [BUILD / "bench" / "bench_fleet_agents", "--dir", folder, "--ca", ca, "--agents", options.agents,
                "--ak", options.ak, "--keys", options.keys, "--bad", options.bad, "--seconds", options.limit]
        self.program = Program(folder, "agents", argv, stdin=subprocess.PIPE)
        facts = folder / "fleet.json"
        self.program.wait_for(facts.exists, 60, "agents listen")
        self.facts = json.loads(facts.read_text())
        self.agents = self.facts["agents"]
        with open(folder / "board", "rb") as f:
            self.board = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)

    def column(self, at):
        return [struct.unpack_from("=Q", self.board, i * ROW + at * 8)[0] for i in range(len(self.agents))]

    def quotes(self):
        return self.column(0)

    def lies(self):
        return self.column(1)

    def others(self):
        return [a + b for a, b in zip(self.column(2), self.column(3))]

    def stamps(self, agent, begin_ns, end_ns):
        """When quotes were asked for, within the window."""
        row = struct.unpack_from(f"={5 + STAMPS}q", self.board, agent * ROW)
        count = row[4]
        kept = [row[5 + i % STAMPS] for i in range(max(0, count - STAMPS), count)]
        return [s for s in kept if begin_ns <= s < end_ns]


def libconfig(rows):
    def text(v):
        if isinstance(v, bool):
            return "true" if v else "false"
        if isinstance(v, list):
            return "[" + ", ".join(text(x) for x in v) + "]"
        return json.dumps(v)
    return "".join(f"  {k} = {text(v)};\n" for k, v in rows.items())


class Verifier:
    """The program under measurement."""

    def __init__(self, folder, options):
        state = folder / "server"
        state.mkdir()
        rows = {"port": 0, "plugin_dir": str(BUILD / "plugins"), "worker_path": str(BUILD / "bin" / "quicklime-worker"),
                "quote_interval": float(options.interval), "start_rate": options.start_rate, "max_retries": 3,
                "retry_interval": 1.0, "exponential_backoff": False}
        (folder / "verifier.conf").write_text("verifier = {\n" + libconfig(rows) + "};\n")
        argv = [BUILD / "bin" / "quicklime-verifier", "--config-dir", folder, "--state-dir", state]
        for setting in options.set:
            argv += ["--set", setting]
        self.ca = state / "cv_ca"
        self.program = Program(folder, "verifier", argv)
        self.program.wait_for(lambda: "ready" in self.program.log, 60, "verifier is ready")
        self.port = int(re.search(r"port[= ](\d+)", self.program.log).group(1))
        self.connection = None

    def call(self, method, path, body=None):
        if self.connection is None:
            context = ssl.create_default_context(cafile=self.ca / "cacert.crt")
            context.check_hostname = False
            context.load_cert_chain(self.ca / "client-cert.crt", self.ca / "client-private.pem")
            self.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=120)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            self.connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except OSError:
            self.connection = None
            raise
        if answer.status != 200:
            raise Trouble(f"{method} {path}: {answer.status} {text[:500]}")
        return json.loads(text)["results"]

    def add(self, agent_id, agent, facts):
        self.call("POST", f"/v2.6/agents/{agent_id}", {
            "v": None, "cloudagent_ip": agent["ip"], "cloudagent_port": facts["port"], "verifier_ip": "127.0.0.1",
            "verifier_port": str(self.port), "tpm_policy": json.dumps({"15": [PCR_15], "mask": hex(MASK)}),
            "runtime_policy": "", "runtime_policy_name": "", "runtime_policy_key": "", "mb_policy": None,
            "mb_policy_name": "", "ima_sign_verification_keys": "", "metadata": "{}", "revocation_key": "",
            "accept_tpm_hash_algs": ["sha512", "sha384", "sha256"], "accept_tpm_encryption_algs": ["ecc", "rsa"],
            "accept_tpm_signing_algs": ["ecdsa", "rsassa"], "ak_tpm": agent["ak"], "mtls_cert": facts["cert"],
            "supported_version": "2.6"})

    def agents(self):
        return self.call("GET", "/v2.6/agents/?bulk=1")


def agent_id(number):
    return f"f1ee0000-0000-4000-8000-{number:012d}"


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
                          "--interval-ms", str(int(options.interval * 1000)), "--seconds", str(int(options.seconds))],
                         capture_output=True, text=True, check=False)
    found = re.search(r"([0-9.]+) us CPU/poll, ([0-9.]+) polls/s", out.stdout)
    if out.returncode != 0 or not found:
        raise Trouble(f"bench_fleet_floor: {out.stdout}{out.stderr}")
    return float(found.group(1)), float(found.group(2))


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def lateness(fleet, options, begin_ns, end_ns):
    """Milliseconds behind each agent's own grid, which its most punctual quote of the window defines; polls left out."""
    interval = options.interval * 1e9
    late, missed = [], 0
    for number, agent in enumerate(fleet.agents):
        stamps = fleet.stamps(number, begin_ns, end_ns)
        if agent["liar"] or len(stamps) < 2:
            continue
        steps = [round((s - stamps[0]) / interval) for s in stamps]
        off = [s - stamps[0] - k * interval for s, k in zip(stamps, steps)]
        late += [(o - min(off)) / 1e6 for o in off]
        missed += steps[-1] + 1 - len(stamps)
    return late, missed


def compare(fleet, verifier):
    """Each honest agent: state and count; each liar: found out at its first lie. Returns the sentences of complaint."""
    before = fleet.quotes()
    seen = verifier.agents()
    after, lies, bad_after = fleet.quotes(), fleet.lies(), fleet.facts["bad_after"]
    wrong = []
    for number, agent in enumerate(fleet.agents):
        record = seen[agent_id(number)]
        state, count = record["operational_state"], record["attestation_count"]
        if agent["liar"]:
            if (state, count, lies[number]) != (INVALID_QUOTE, bad_after, 1):
                wrong.append(f"agent {number} lied {lies[number]} times: state {state}, count {count} of {bad_after}")
        elif state != GET_QUOTE or not before[number] - 1 <= count <= after[number]:
            wrong.append(f"agent {number}: state {state}, count {count}, quotes {before[number]} to {after[number]}, "
                         f"last event {record['last_event_id']}")
    return wrong


def enrol(fleet, verifier):
    begin = time.monotonic()
    for number, agent in enumerate(fleet.agents):
        verifier.add(agent_id(number), agent, fleet.facts)
    return time.monotonic() - begin


def warm_up(fleet, verifier, options):
    """Every honest agent has been asked three times and every liar has lied; then some more seconds."""
    def warm():
        quotes, lies = fleet.quotes(), fleet.lies()
        return all(lies[i] if a["liar"] else quotes[i] >= 3 for i, a in enumerate(fleet.agents))
    seconds = 60 + 10 * options.interval + options.agents / 20
    verifier.program.wait_for(warm, seconds, "every agent is asked three times")
    time.sleep(options.warm)


def perf_of(verifier, options, folder):
    """A profile of the whole tree during the window, when asked for."""
    if not options.perf:
        return None
    pids = ",".join(str(p) for p in tree(verifier.program.popen.pid))
    return subprocess.Popen(["perf", "record", "-q", "-F", "999", "-g", "-o", str(options.perf), "-p", pids, "--",
                             "sleep", str(options.seconds)], stderr=open(folder / "perf.log", "wb"))


def measure(fleet, verifier, options, folder):
    verifier_pid, fleet_pid = verifier.program.popen.pid, fleet.program.popen.pid
    profile = perf_of(verifier, options, folder)
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
    late, missed = lateness(fleet, options, begin_ns, end_ns) if options.interval > 0 else ([], 0)
    used = {pid: memory(pid) for pid in cpu1.pids}
    return {
        "seconds": wall, "attestations": count, "rate": count / wall,
        "cpu_us": cpu / count * 1e6, "cpu_by": by, 
        "cpu_loop_us": threads.get(verifier_pid, 0) / count * 1e6,
        "cpu_threads_us": (sum(threads.values()) - threads.get(verifier_pid, 0)) / count * 1e6,
        "user_us": (cpu1.user - cpu0.user) / count * 1e6, "system_us": (cpu1.system - cpu0.system) / count * 1e6,
        "cores": cpu / wall, "fleet_cores": fleet1.since(fleet0)[0] / wall, "processes": len(cpu1.pids),
        "rss_main": used[verifier_pid][0], "rss": sum(u[0] for u in used.values()),
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
        verifier = Verifier(folder, options)
        fleet = Fleet(folder, options, verifier.ca / "cacert.crt")
        result["liars"] = sum(a["liar"] for a in fleet.agents)
        result["enrol_s"] = enrol(fleet, verifier)
        warm_up(fleet, verifier, options)
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
        ("memory", f"RSS main {r['rss_main'] / mib:.1f} MiB, {r['processes']} processes {r['rss'] / mib:.1f} MiB, "
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
