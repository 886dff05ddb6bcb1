#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile peers against each port while honest agents are attested: does anybody else notice?

  hostile.py                    every scene, short
  hostile.py --full             up to 10,000 connections
  hostile.py --only verifier    one port

Loopback and a temporary folder only; bounded in number and time. Exit code 1: a scene found something, which is told.
"""

import argparse
import http.client
import json
import pathlib
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bench"), str(HERE.parent / "e2e")]
from simulation import (INVALID_QUOTE, Fleet, Trouble, Verifier, agent_id, lateness, memory,  # noqa: E402
                        percentile)

INTERVAL = 0.5
KIB = 1024
# Moves of p99 that are the machine's: three times the worst of the quiet windows. Short runs share the machine with
# builds and tests: there it must be less than an interval, so that no poll is left out.
SLACK = 3.0
CONNECTION_MAX = 64 * KIB


class Scale:
    def __init__(self, full):
        self.agents = 200 if full else 40
        self.seconds = 20 if full else 4
        self.idle = 10000 if full else 400      # connections that do little
        self.busy = 500 if full else 50         # connections that send as much as they can
        self.slack_ms = 25 if full else INTERVAL * 1000


def attack(kind, host, port, connections, seconds, *more):
    """The attacker runs at the lowest priority: it is the port that is tried, not the two cores."""
    return subprocess.Popen(["nice", "-n", "19", sys.executable, str(HERE / "attacker.py"), kind, host, str(port),
                             "--connections", str(connections), "--seconds", str(seconds), *more],
                            stdout=subprocess.PIPE, text=True)


def outcome(process, seconds):
    text, _ = process.communicate(timeout=seconds + 60)
    if process.returncode != 0:
        raise Trouble(f"the attacker ended with {process.returncode}")
    return json.loads(text)


def certificates(folder, ca):
    """Certificates that must not open anything: of nobody's CA, expired, of a CA with the right name."""
    made = {}
    for name, subject, days in (("foreign", "/CN=client", "30"), ("named", "/CN=Keylime Certificate Authority", "30")):
        key, cert = folder / f"{name}.key", folder / f"{name}.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", key, "-out", cert, "-subj", subject, "-days", days], check=True, capture_output=True)
        made[name] = ["--cert", str(cert), "--key", str(key)]
    return made


# Scenes: name, kind, TLS, share of the connections, certificate
LINES = [
    ("silent TCP", "silent", False, "idle", None), ("silent TLS", "silent", True, "idle", None),
    ("one byte a second", "trickle", True, "idle", None), ("one byte a second, body", "trickled_body", True, "idle", None),
    ("half closed", "half_closed", True, "idle", None), ("endless header", "endless_header", True, "busy", None),
    ("endless request line", "endless_line", True, "busy", None), ("endless body", "endless_body", True, "busy", None),
    ("oversized body", "oversized", True, "busy", None), ("garbage", "garbage", False, "busy", None),
    ("garbage in TLS", "garbage", True, "busy", None), ("handshakes", "handshakes", True, "busy", None),
    ("foreign certificate", "handshakes", True, "busy", "foreign"),
    ("certificate of a CA of the same name", "handshakes", True, "busy", "named"),
    ("pipelined", "pipelined", True, "busy", None), ("smuggled", "smuggled", True, "busy", None),
    ("never reads", "never_reads", True, "busy", None),
]


def judge(name, quiet, late, note, rows, wrong, scale):
    limit = max(SLACK * quiet, quiet + scale.slack_ms)
    rows.append(f"{name:38} p99 {late:6.1f} ms (quiet {quiet:.1f})  {note}")
    if late > limit:
        wrong.append(f"{name}: p99 {late:.1f} ms, quiet {quiet:.1f} ms")


# ---- the verifier's port ----


class Honest:
    """A verifier and its simulated agents."""

    def __init__(self, folder, scale, **options):
        self.verifier = Verifier(folder, quote_interval=INTERVAL, max_retries=1000, **options)
        self.fleet = Fleet(folder, self.verifier.ca / "cacert.crt", scale.agents, "p256", 4)
        for n, agent in enumerate(self.fleet.agents):
            self.verifier.add(agent_id(n), agent, self.fleet.facts)
        time.sleep(2)

    def p99(self, seconds):
        begin = time.monotonic_ns()
        time.sleep(seconds)
        late, missed = lateness(self.fleet, INTERVAL, begin, time.monotonic_ns(), range(len(self.fleet.agents)))
        if not late:
            raise Trouble("nobody was asked")
        return percentile(late, 0.99) + missed * INTERVAL * 1000 / len(late)

    def all_pass(self):
        seen = self.verifier.agents()
        return [f"agent {n}: {seen[agent_id(n)]['operational_state']}" for n in range(len(self.fleet.agents))
                if seen[agent_id(n)]["operational_state"] != 3]

    def close(self):
        if self.verifier.program.popen.poll() is None:
            self.verifier.program.kill()
        self.fleet.program.stop()


def verifier(folder, scale):
    honest = Honest(folder, scale)
    rows, wrong = [], []
    try:
        certs = certificates(folder, honest.verifier.ca)
        pid, seconds = honest.verifier.program.pid, scale.seconds
        quiet = max(honest.p99(seconds), honest.p99(seconds))
        for name, kind, tls, share, cert in LINES:
            before = memory(pid)[0]
            count = getattr(scale, share)
            more = (["--tls"] if tls else []) + certs.get(cert, [])
            ramp = count / 1500
            attacker = attack(kind, "127.0.0.1", honest.verifier.port, count, seconds + ramp, *more)
            time.sleep(ramp)
            late = honest.p99(seconds)
            each = max(0, memory(pid)[0] - before) / count
            told = outcome(attacker, seconds)
            judge(name, quiet, late, f"{told['opened']} opened, {told['answers']} answers, {each / KIB:.1f} KiB each",
                  rows, wrong, scale)
            if each > CONNECTION_MAX + 16 * 1024 * KIB / count:
                wrong.append(f"{name}: {each / KIB:.0f} KiB a connection")
        wrong += honest.all_pass()
        code = honest.verifier.program.stop(60)
        if code != 0:
            wrong.append(f"the verifier ended with {code}")
    finally:
        honest.close()
    return rows, wrong


# ---- agents that answer badly ----


def agents(folder, scale):
    honest = Honest(folder, scale, request_timeout=3.0)
    rows, wrong, servers = [], [], []
    try:
        certificate = certificates(folder, honest.verifier.ca)["foreign"]
        quiet = max(honest.p99(scale.seconds), honest.p99(scale.seconds))
        answer = folder / "answer.json"
        stolen = capture(honest)
        answer.write_bytes(stolen)
        text = pathlib.Path(certificate[1]).read_text()
        before = memory(honest.verifier.program.pid)[0]
        for number, kind in enumerate(("slow", "huge", "endless", "twice", "junk", "headers", "deep", "foreign", "silent")):
            host, port = f"127.9.0.{number + 1}", 19002
            servers.append(subprocess.Popen(["nice", "-n", "19", sys.executable, str(HERE / "bad_agent.py"), kind, host,
                                             str(port), *certificate, "--answer", str(answer), "--seconds",
                                             str(scale.seconds + 40)]))
            time.sleep(0.3)
            bad = f"bad-{kind}"
            body = honest.verifier.addition(honest.fleet.agents[0], honest.fleet.facts, cloudagent_ip=host,
                                            cloudagent_port=port, mtls_cert=text)
            honest.verifier.call("POST", f"/v2.6/agents/{bad}", body)
            late = honest.p99(scale.seconds)
            record = honest.verifier.call("GET", f"/v2.6/agents/{bad}")
            judge(f"agent: {kind}", quiet, late, f"state {record['operational_state']}, {record['last_event_id']}, "
                  f"count {record['attestation_count']}", rows, wrong, scale)
            if record["attestation_count"] != 0:
                wrong.append(f"agent: {kind}: passed {record['attestation_count']} times")
            if kind == "foreign" and record["operational_state"] != INVALID_QUOTE:
                wrong.append(f"agent: {kind}: state {record['operational_state']}")
        for server in servers:
            server.kill()
        rows.append(f"{'bad agents: memory':38} grew by {(memory(honest.verifier.program.pid)[0] - before) // KIB} KiB")
        # What large answers took is given back when none came for half a minute to a minute.
        grown = until_below(64 * 1024 * KIB, lambda: memory(honest.verifier.program.pid)[0] - before, 75)
        rows[-1] += f", of which {grown // KIB} KiB are kept"
        if grown > 64 * 1024 * KIB:
            wrong.append(f"bad agents: memory grew by {grown // KIB} KiB")
        wrong += honest.all_pass()
    finally:
        for server in servers:
            server.kill()
        honest.close()
    return rows, wrong


def until_below(limit, measure, seconds):
    """Look until it is below the limit, or for so long; what it was last."""
    end = time.monotonic() + seconds
    while (value := measure()) > limit and time.monotonic() < end:
        time.sleep(1)
    return value


def capture(honest):
    """A good answer of an honest agent, to be given by another."""
    agent, facts = honest.fleet.agents[1], honest.fleet.facts
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(honest.verifier.ca / "client-cert.crt", honest.verifier.ca / "client-private.pem")
    connection = http.client.HTTPSConnection(agent["ip"], facts["port"], context=context, timeout=10)
    connection.request("GET", "/v2.6/quotes/integrity?nonce=abcdefghijklmnopqrst&mask=0x8000&partial=0")
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise Trouble(f"an honest agent answered {answer.status} {text[:200]}")
    return text


# ---- the ports of registrar and agent ----


class Probe:
    """Requests on a connection of its own, one after the other, and how long each took."""

    def __init__(self, lab, port, tls, client):
        self.lab, self.port, self.tls, self.client = lab, port, tls, client
        self.times, self.errors = [], []
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _connect(self):
        here = ("127.0.0.2", 0)
        if not self.tls:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20, source_address=here)
        context = self.lab.context(self.client)
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20, source_address=here)

    def _run(self):
        connection = None
        while not self.ending.is_set():
            begin = time.monotonic()
            try:
                connection = connection or self._connect()
                connection.request("GET", "/version")
                connection.getresponse().read()
                self.times.append((begin, (time.monotonic() - begin) * 1000))
            except (OSError, http.client.HTTPException) as e:
                self.errors.append(f"{type(e).__name__}: {e}")
                connection = None
            time.sleep(0.02)

    def p99(self, seconds):
        begin = time.monotonic()
        time.sleep(seconds)
        return percentile([t for at, t in self.times if at >= begin], 0.99)

    def end(self):
        self.ending.set()
        self.thread.join(30)


def port_scenes(lab, process, label, port, tls, client, scale, certs):
    rows, wrong = [], []
    probe = Probe(lab, port, tls, client)
    try:
        quiet = max(probe.p99(scale.seconds), probe.p99(scale.seconds))
        for name, kind, needs_tls, share, cert in LINES:
            if (needs_tls and not tls and name in ("garbage in TLS", "handshakes")) or (cert and not tls):
                continue
            count = getattr(scale, share)
            more = (["--tls"] if needs_tls and tls else []) + certs.get(cert, [])
            before, ramp = memory(process.pid)[0], count / 1500
            attacker = attack(kind, "127.0.0.1", port, count, scale.seconds + ramp, *more)
            time.sleep(ramp)
            late = probe.p99(scale.seconds)
            each = max(0, memory(process.pid)[0] - before) / count
            told = outcome(attacker, scale.seconds)
            judge(f"{label}: {name}", quiet, late, f"{told['opened']} opened, {told['answers']} answers, "
                  f"{each / KIB:.1f} KiB each", rows, wrong, scale)
        if probe.errors:
            wrong.append(f"{label}: {len(probe.errors)} honest requests failed: {probe.errors[0]}")
    finally:
        probe.end()
    return rows, wrong


def registrar(folder, scale):
    from conftest import Lab
    lab = Lab(folder)
    try:
        lab.start_verifier().stop()
        process = lab.start_registrar()
        certs = certificates(folder, lab.ca)
        rows, wrong = port_scenes(lab, process, "registrar HTTP", lab.ports["registrar"], False, False, scale, certs)
        more = port_scenes(lab, process, "registrar HTTPS", lab.ports["registrar_tls"], True, True, scale, certs)
        flood(lab, scale, rows, wrong)
        code = process.stop()
        if code != 0:
            wrong.append(f"the registrar ended with {code}")
        return rows + more[0], wrong + more[1]
    finally:
        lab.close()


def flood(lab, scale, rows, wrong):
    """Registrations of nothing much, as many as come through."""
    probe = Probe(lab, lab.ports["registrar"], False, False)
    body = json.dumps({"ekcert": None, "aik_tpm": "AAAA", "ek_tpm": "AAAA", "ip": "127.0.0.1", "port": 1})
    quiet = max(probe.p99(scale.seconds), probe.p99(scale.seconds))
    sent, ending = [0] * 4, threading.Event()

    def run(n):
        connection = http.client.HTTPConnection("127.0.0.1", lab.ports["registrar"], timeout=20)
        while not ending.is_set():
            try:
                connection.request("POST", f"/v2.6/agents/flood-{n}-{sent[n]}", body, {"Content-Type": "application/json"})
                connection.getresponse().read()
                sent[n] += 1
            except (OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", lab.ports["registrar"], timeout=20)
    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(4)]
    for t in threads:
        t.start()
    late = probe.p99(scale.seconds)
    ending.set()
    for t in threads:
        t.join(30)
    probe.end()
    # This flood shares the interpreter with the probe: its own noise is many times the quiet one.
    judge("registrar: registrations", max(quiet, 50), late, f"{sum(sent) / scale.seconds:.0f} a second", rows, wrong, scale)


def agent(folder, scale):
    from conftest import Lab
    lab = Lab(folder)
    try:
        lab.start_all()
        process = lab.processes[-1]
        return port_scenes(lab, process, "agent", lab.ports["agent"], True, True, scale, certificates(folder, lab.ca))
    finally:
        lab.close()


SCENES = [verifier, agents, registrar, agent]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--full", action="store_true", help="full numbers")
    p.add_argument("--only", choices=[s.__name__ for s in SCENES], action="append")
    options = p.parse_args()
    bad = 0
    for scene in [s for s in SCENES if not options.only or s.__name__ in options.only]:
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"ql-hostile-{scene.__name__}-"))
        rows, wrong = [], []
        try:
            rows, wrong = scene(folder, Scale(options.full))
        except (Trouble, AssertionError, OSError, subprocess.SubprocessError) as e:
            wrong = [f"{scene.__name__}: {type(e).__name__}: {e}"]
        if wrong:
            for log in sorted(folder.glob("*.log")):
                print(f"---- {log.name}\n{log.read_text(errors='replace')[-2000:]}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        for row in rows:
            print(row)
        for line in wrong[:20]:
            print(f"FOUND {line}", flush=True)
        bad += bool(wrong)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
