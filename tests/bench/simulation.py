# SPDX-License-Identifier: Apache-2.0
"""A verifier and a simulated fleet as real processes on loopback: what the benchmark, the fault rig and the hostile rig share.

Programs come from QL_BUILD_DIR (default build/release). Needs the Python standard library only.
"""

import http.client
import json
import mmap
import os
import pathlib
import re
import signal
import ssl
import struct
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("QL_BUILD_DIR", ROOT / "build" / "release")).resolve()
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
ROW, STAMPS = 2048, 249  # fleet/board.h
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
    """A child with its log, which goes on over restarts."""

    def __init__(self, folder, name, argv, stdin=subprocess.DEVNULL, env=None):
        self.name, self.log_path, self.stdin, self.env = name, folder / f"{name}.log", stdin, env
        self.argv = [str(a) for a in argv]
        if not pathlib.Path(self.argv[0]).exists():
            raise Trouble(f"{self.argv[0]} is not there: build it, or set QL_BUILD_DIR")
        self.start()

    def start(self):
        with open(self.log_path, "ab") as log:
            self.mark = log.tell()
            env = dict(os.environ, **self.env) if self.env else None
            self.popen = subprocess.Popen(self.argv, stdin=self.stdin, stdout=log, stderr=log, env=env)

    @property
    def pid(self):
        return self.popen.pid

    @property
    def whole_log(self):
        return self.log_path.read_text(errors="replace")

    @property
    def log(self):
        """What it has written since its last start."""
        with open(self.log_path, "rb") as f:
            f.seek(self.mark)
            return f.read().decode(errors="replace")

    def wait_for(self, condition, seconds, what):
        def met():
            if self.popen.poll() is not None:
                raise Trouble(f"{self.name} has ended:\n{self.log[-3000:]}")
            return condition()
        return wait_for(met, seconds, what)

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def stop(self, seconds=30):
        if self.popen.stdin:
            self.popen.stdin.close()
        elif self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Trouble(f"{self.name} did not end within {seconds} s") from None


# ---- the two sides ----


class Fleet:
    """Simulated agents and what they have counted."""

    def __init__(self, folder, ca, agents=100, ak="rsa", keys=8, bad=0, limit=1800):
        """bad: per cent that lie after a while; limit: seconds after which they end by themselves"""
        argv = [BUILD / "bench" / "bench_fleet_agents", "--dir", folder, "--ca", ca, "--agents", agents, "--ak", ak,
                "--keys", keys, "--bad", bad, "--seconds", limit]
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

    def revocations(self):
        return self.column(5 + STAMPS)

    def revoked_ns(self):
        """When each agent was last told of a failure; 0: never."""
        return self.column(6 + STAMPS)

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
    """quicklime-verifier with the state of its folder."""

    def __init__(self, folder, settings=(), env=None, state=None, **options):
        """settings: of --set; options: of the group verifier; state: folder of its state, if not one below folder"""
        self.state = state or folder / "server"
        self.state.mkdir(exist_ok=True)
        rows = {"port": 0, "plugin_dir": str(BUILD / "plugins"), "worker_path": str(BUILD / "bin" / "quicklime-worker"),
                "max_retries": 3, "retry_interval": 1.0, "exponential_backoff": False}
        rows.update(options)
        (folder / "verifier.conf").write_text("verifier = {\n" + libconfig(rows) + "};\n")
        argv = [BUILD / "bin" / "quicklime-verifier", "--config-dir", folder, "--state-dir", self.state]
        for setting in settings:
            argv += ["--set", setting]
        self.ca = self.state / "cv_ca"
        self.connection, self.used = None, 0
        self.program = Program(folder, "verifier", argv, env=env)
        self.await_ready()

    def await_ready(self):
        self.program.wait_for(lambda: "ready" in self.program.log, 60, "verifier is ready")
        self.port = int(re.search(r"port[= ](\d+)", self.program.log).group(1))

    def restart(self):
        """Start it again after it was killed or has stopped."""
        self.connection = None
        self.program.start()
        self.await_ready()

    def connect(self, timeout=120):
        context = ssl.create_default_context(cafile=self.ca / "cacert.crt")
        context.check_hostname = False
        context.load_cert_chain(self.ca / "client-cert.crt", self.ca / "client-private.pem")
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=timeout)

    def call(self, method, path, body=None):
        if self.connection is None or time.monotonic() > self.used + 30:  # the server closes what is idle for long
            self.connection = self.connect()
        self.used = time.monotonic()
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

    def addition(self, agent, facts, **changes):
        """Body of an agent's addition."""
        return dict({
            "v": None, "cloudagent_ip": agent["ip"], "cloudagent_port": facts["port"], "verifier_ip": "127.0.0.1",
            "verifier_port": str(self.port), "tpm_policy": json.dumps({"15": [PCR_15], "mask": hex(MASK)}),
            "runtime_policy": "", "runtime_policy_name": "", "runtime_policy_key": "", "mb_policy": None,
            "mb_policy_name": "", "ima_sign_verification_keys": "", "metadata": "{}", "revocation_key": "",
            "accept_tpm_hash_algs": ["sha512", "sha384", "sha256"], "accept_tpm_encryption_algs": ["ecc", "rsa"],
            "accept_tpm_signing_algs": ["ecdsa", "rsassa"], "ak_tpm": agent["ak"], "mtls_cert": facts["cert"],
            "supported_version": "2.6"}, **changes)

    def add(self, agent_id, agent, facts, **changes):
        self.call("POST", f"/v2.6/agents/{agent_id}", self.addition(agent, facts, **changes))

    def agents(self):
        return self.call("GET", "/v2.6/agents/?bulk=1")


def agent_id(number):
    return f"f1ee0000-0000-4000-8000-{number:012d}"


# ---- punctuality and counts ----


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * part))] if values else 0.0


def lateness(fleet, interval_s, begin_ns, end_ns, agents=None):
    """Milliseconds behind each agent's own grid, which its most punctual quote of the window defines; polls left out."""
    interval = interval_s * 1e9
    late, missed = [], 0
    for number, agent in enumerate(fleet.agents):
        if agents is not None and number not in agents:
            continue
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


def warm_up(fleet, verifier, interval_s):
    """Every honest agent has been asked three times and every liar has lied."""
    def warm():
        quotes, lies = fleet.quotes(), fleet.lies()
        return all(lies[i] if a["liar"] else quotes[i] >= 3 for i, a in enumerate(fleet.agents))
    seconds = 60 + 10 * interval_s + len(fleet.agents) / 20
    verifier.program.wait_for(warm, seconds, "every agent is asked three times")
