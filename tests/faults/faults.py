#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Faults under load: what dies, fills up, stops or goes astray, and what must be true afterwards.

  faults.py                  every scene, short
  faults.py --full           every scene at full numbers
  faults.py --only kills     one scene
  faults.py --seed 7         the choices of that run again

Everything is on loopback and in a temporary folder. Exit code 1: a scene found something, which is told.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from rig import (BUILD, GET_QUOTE, INTERVAL, Rig, Tmpfs, Trouble, agent_id, can_mount, lateness, percentile,
                 wait_for)
from sharing import Group

BAD = BUILD / "tests" / "sdk" / "bad"


def sleep_until_batch(rig, seconds):
    """Return while the store is writing: its log has just grown."""
    wal = pathlib.Path(str(rig.database()) + "-wal")
    end = time.monotonic() + seconds

    def size():
        try:
            return wal.stat().st_mtime_ns
        except OSError:
            return 0
    before = size()
    while time.monotonic() < end and size() == before:
        pass


# ---- scenes: each takes a folder, a seed and a scale, and returns complaints and a line for the table ----


def kills(folder, seed, full):
    """The verifier dies at random moments, half of them inside a store batch, under API writes and failures."""
    rounds = 200 if full else 20
    rig = Rig(folder, seed)
    wrong = []
    try:
        for n in range(rounds):
            if n % 10 == 5:
                # Between deletion and addition of a liar a kill would leave it out: these are told one by one.
                rig.readd_liars()
                rig.note_failures()
            time.sleep(rig.random.random() * 0.4)
            if rig.random.random() < 0.5:
                sleep_until_batch(rig, 0.3)
            rig.kill_and_restart()
            found = [w for w in rig.check_records(may_start=True) if "ghost" not in w]
            wrong += [f"after kill {n + 1}: {w}" for w in found]
            if found:
                break
        wrong += rig.check()
        return wrong, f"{rounds} kills, {rig.ledger.acknowledged} writes acknowledged, {rig.failures} failures"
    finally:
        rig.close()


def worker_kills(folder, seed, full):
    """Workers die at random moments: their jobs are judged again, nobody fails."""
    rounds = 200 if full else 20
    rig = Rig(folder, seed)
    try:
        for _ in range(rounds):
            time.sleep(rig.random.random() * 0.3)
            workers = rig.workers()
            if workers:
                try:
                    os.kill(rig.random.choice(workers), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        return rig.check(), f"{rounds} kills, {rig.ledger.acknowledged} writes acknowledged"
    finally:
        rig.close()


def registrar_kills(folder, seed, full):
    """The registrar dies while agents register; what it acknowledged to an agent is there."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
    from conftest import Lab
    rounds, chance, wrong = (100 if full else 6), random.Random(seed), []
    lab = Lab(folder)
    try:
        lab.start_tpm()
        lab.start_verifier().stop()
        registrar = lab.start_registrar()
        ids = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(rounds)]
        for number, uuid in enumerate(ids):
            agent = lab.start_agent(wait=False, uuid=uuid)
            time.sleep(chance.random() * 0.5)
            registrar.kill()
            registrar.start()
            registrar.wait_for("ready")
            agent.wait_for("ready", 60)
            agent.stop()
            registrar.kill()
            registrar.start()
            registrar.wait_for("ready")
            listed = lab.registrar("GET", "/v2.6/agents/", tls=True).results["uuids"]
            wrong += [f"{u} was activated and is not there" for u in ids[:number + 1] if u not in listed]
        return wrong, f"{2 * rounds} kills, {rounds} activations"
    finally:
        lab.close()


def full_disk(folder, seed, full):
    """No room for the database: what cannot be kept is not acknowledged; all goes on when there is room again."""
    disk = Tmpfs(folder / "disk")
    rig = None
    try:
        rig = Rig(folder, seed, state=disk.folder)
        for _ in range(3 if full else 1):
            disk.fill()
            time.sleep(10 if full else 3)
            disk.empty()
            rig.await_rounds(2)
        rig.readd_liars()
        rig.note_failures()
        return rig.check(), f"{rig.ledger.acknowledged} writes acknowledged, {rig.ledger.unanswered} not"
    finally:
        if rig:
            rig.close()
        disk.close()


def read_only_disk(folder, seed, full):
    """The file system of the database is read-only at a start: the verifier refuses and says so, and loses nothing."""
    disk = Tmpfs(folder / "disk")
    rig, wrong = None, []
    try:
        rig = Rig(folder, seed, state=disk.folder)
        program = rig.verifier.program
        for _ in range(3 if full else 1):
            program.kill()
            disk.remount("ro")
            program.start()
            code = program.popen.wait(30)
            if code == 0 or "read-only" not in program.log.lower():
                wrong.append(f"started on a read-only file system: exit {code}: {program.log[-300:]}")
            disk.remount("rw")
            rig.verifier.restart()
            rig.await_rounds(2)
        return wrong + rig.check(), f"{rig.ledger.acknowledged} writes acknowledged, {rig.ledger.unanswered} not"
    finally:
        if rig:
            rig.close()
        disk.close()


def no_descriptors(folder, seed, full):
    """The verifier may open nothing more for a while."""
    rig = Rig(folder, seed)
    try:
        pid = rig.verifier.program.pid
        old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        for _ in range(3 if full else 1):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")) - 5, old[1]))
            for worker in rig.workers()[:1]:
                os.kill(worker, signal.SIGKILL)
            time.sleep(10 if full else 3)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
            rig.await_rounds(2)
        return rig.check(), f"{rig.ledger.acknowledged} writes acknowledged, {rig.ledger.unanswered} not"
    finally:
        rig.close()


def clock_steps(folder, seed, full):
    """The wall clock of the verifier jumps by hours and days, forward and back: the pace of polls does not change."""
    clock = folder / "clock"
    clock.write_bytes(struct.pack("=q", 0))
    env = {"QL_CLOCK_FILE": str(clock), "LD_PRELOAD": str(BUILD / "tests" / "clockstep.so")}
    rig = Rig(folder, seed, env=env)
    wrong, steps = [], (3600, -7200, 86400 * 30, -86400 * 60, 1)
    try:
        for step in steps * (3 if full else 1):
            with open(clock, "r+b") as f:
                f.write(struct.pack("=q", step * 10**9))
            begin, before = time.monotonic(), sum(rig.fleet.quotes()[n] for n in rig.honest)
            time.sleep(3)
            rate = (sum(rig.fleet.quotes()[n] for n in rig.honest) - before) / (time.monotonic() - begin)
            want = len(rig.honest) / INTERVAL
            if not 0.7 * want <= rate <= 1.15 * want:
                wrong.append(f"{rate:.1f} polls a second after a step of {step} s, {want:.1f} are due")
        return wrong + rig.check(), f"steps of {', '.join(str(s) for s in steps)} s"
    finally:
        rig.close()


def stops(folder, seed, full):
    """Verifier, then a worker, do nothing for a while: nobody fails, polls are not made up for."""
    seconds = 60 if full else 4
    rig = Rig(folder, seed, worker_wall_ms=2000)
    wrong = []
    try:
        for pid in [rig.verifier.program.pid, *rig.workers()[:1]]:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(seconds)
            os.kill(pid, signal.SIGCONT)
            before, begin = sum(rig.fleet.quotes()[n] for n in rig.honest), time.monotonic()
            time.sleep(2)
            due = len(rig.honest) * ((time.monotonic() - begin) / INTERVAL + 2)
            asked = sum(rig.fleet.quotes()[n] for n in rig.honest) - before
            if asked > due:
                wrong.append(f"{asked} polls within 2 s of going on, {due:.0f} are due")
            rig.await_rounds(2)
        return wrong + rig.check(), f"{seconds} s each"
    finally:
        rig.close()


def network(folder, seed, full):
    """Connections between verifier and agents are cut, swallowed and delayed: nobody fails for it."""
    rig = Rig(folder, seed, proxied=True, agents=20, request_timeout=2.0)
    try:
        for _ in range(5 if full else 1):
            for mode in ("cut", "hole", 0.3, "pass"):
                rig.proxy.set(mode)
                time.sleep(rig.random.uniform(2, 4))
            rig.await_rounds(2, 60)
        return rig.check(seconds=90), "cut, swallowed, delayed by 0.3 s"
    finally:
        rig.close()


def bad_evidence(folder, seed, full):
    """One agent's judge dies, hangs or eats memory each time: that agent fails, the others keep their pace."""
    plugins = folder / "plugins"
    plugins.mkdir()
    for file in (*BAD.glob("crash-in-validate.so"), *BAD.glob("endless.so"), *BAD.glob("memory-hog.so"),
                 *(BUILD / "plugins").glob("*.so")):
        shutil.copy(file, plugins)
    rig = Rig(folder, seed, agents=1000 if full else 60, bad=1, ledger=False, plugin_dir=str(plugins),
              plugins=["tpm-policy", "crash-in-validate", "endless", "memory-hog"], worker_cpu_ms=1000,
              worker_memory_max=256 * 1024 * 1024)
    wrong, notes = [], []
    try:
        honest = set(rig.honest)

        def p99(seconds):
            begin = time.monotonic_ns()
            time.sleep(seconds)
            return percentile(lateness(rig.fleet, INTERVAL, begin, time.monotonic_ns(), honest)[0], 0.99)
        quiet = max(p99(6), p99(6))
        for name in ("crash-in-validate", "endless", "memory-hog"):
            victim = rig.honest[rig.random.randrange(len(rig.honest))]
            rig.verifier.call("DELETE", f"/v2.6/agents/{agent_id(victim)}")
            honest.discard(victim)
            rig.honest.remove(victim)
            begin = time.monotonic()
            rig.add(victim, policies={name: {}})
            late = p99(6)

            def failed():
                record = rig.verifier.call("GET", f"/v2.6/agents/{agent_id(victim)}")
                return record["operational_state"] == 9 and record["last_event_id"]
            event = wait_for(failed, 30, f"the agent with {name} fails")
            took = time.monotonic() - begin
            notes.append(f"{name}: p99 {late:.0f} ms")
            rig.failures += 1
            if event != "qoute_validation.worker_limit":
                wrong.append(f"{name}: {event}")
            if name == "crash-in-validate" and took > 6 + 2 * INTERVAL + 2:
                wrong.append(f"{name}: failed after {took:.1f} s")
        return wrong + rig.check(), f"p99 of the others {quiet:.0f} ms before; " + ", ".join(notes)
    finally:
        rig.close()


def take_over(group, random_kill, full):
    """Kill one verifier. Returns the seconds after which each of its agents was asked again, and complaints."""
    running = group.running()
    victim = running[random_kill.randrange(len(running))]
    mark = f":{victim.port}#"
    held = [n for n, name in group.holders().items() if name and mark in name]
    begin_ns = time.monotonic_ns()
    victim.program.kill()
    gaps = group.await_rounds(1, 4 * (group.lease + group.interval) + 30, held)
    group.await_shares(len(running) - 1)
    victim.restart()
    group.await_shares(len(running), 60)
    if full:
        group.await_rounds(1, 60)
    # One more for each time that it changed hands: it is asked at once then.
    crowded = group.crowded(begin_ns, time.monotonic_ns(), 3)
    return gaps, [f"agent {n} asked {times} times, {allowed:.0f} allowed" for n, times, allowed in crowded[:5]]


def takeovers(folder, seed, full):
    """One of three verifiers on one database dies, again and again: the others go on with its agents, nobody twice."""
    rounds, agents = (50, 3000) if full else (3, 60)
    choice = random.Random(seed)
    group = Group(folder, 3, agents, interval=10.0 if full else 0.5, lease=15.0 if full else 5.0,
                  url=os.environ.get("QL_DATABASE_URL"))
    gaps, wrong = [], []
    try:
        group.enrol()
        group.await_shares(3, 60)
        group.await_rounds(2, 120)
        for n in range(rounds):
            times, found = take_over(group, choice, full)
            gaps += times
            wrong += [f"kill {n + 1}: {w}" for w in found]
        limit = group.lease + group.interval
        if max(gaps) > limit:
            wrong.append(f"{sum(g > limit for g in gaps)} of {len(gaps)} agents waited longer than {limit} s: {max(gaps):.1f}")
        records = group.running()[0].agents()
        lost = [n for n in range(agents) if records.get(agent_id(n), {}).get("operational_state") != GET_QUOTE]
        if lost:
            wrong.append(f"{len(lost)} agents are not polled: {lost[:5]}")
        return wrong, (f"{rounds} kills, {agents} agents: asked again after {percentile(gaps, 0.5):.1f} s (median), "
                       f"{percentile(gaps, 0.99):.1f} s (p99), {max(gaps):.1f} s (longest of {len(gaps)}), limit {limit} s")
    finally:
        group.close()


def lease_outage(folder, seed, full):
    """The database that three verifiers share is away for longer than their leases: nobody polls, then all go on as before."""
    outages = (10, 60, 3600) if full else (8,)
    group = Group(folder, 3, 24, url=os.environ.get("QL_DATABASE_URL"))
    wrong = []
    try:
        group.enrol()
        group.await_shares(3)
        group.await_rounds(2)
        for seconds in outages:
            before = group.holders()
            with group.database.away():
                time.sleep(seconds - 2)
                quotes = group.fleet.quotes()
                time.sleep(2)
                asked = sum(group.fleet.quotes()) - sum(quotes)
            if asked:
                wrong.append(f"{asked} quotes asked {seconds} s into an outage, when all leases had run out")
            group.await_rounds(2, 40)
            time.sleep(2 * group.lease)
            moved = sum(before[n] != name for n, name in group.holders().items())
            if moved:
                wrong.append(f"{moved} agents changed hands over an outage of {seconds} s that all had")
        lost = [n for n, r in group.running()[0].agents().items() if r["operational_state"] != GET_QUOTE]
        return wrong + [f"{n} is not polled" for n in lost[:5]], f"outages of {', '.join(map(str, outages))} s"
    finally:
        group.close()


SCENES = [kills, worker_kills, registrar_kills, full_disk, read_only_disk, no_descriptors, clock_steps, stops, network,
          bad_evidence, takeovers, lease_outage]
NEED_MOUNT = (full_disk, read_only_disk)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--full", action="store_true", help="full numbers")
    p.add_argument("--only", choices=[s.__name__ for s in SCENES], action="append")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--json", type=pathlib.Path, help="write the outcome to this file")
    options = p.parse_args()
    if "asan" in BUILD.name and not options.only:
        print("faults: sanitizer builds keep other limits on memory and descriptors; use another build", file=sys.stderr)
        return 2
    chosen = [s for s in SCENES if not options.only or s.__name__ in options.only]
    outcome, bad = [], 0
    for scene in chosen:
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"ql-{scene.__name__}-"))
        begin, wrong, note = time.monotonic(), [], ""
        try:
            if scene in NEED_MOUNT and not can_mount(folder):
                note = "not run: needs the right to mount"
            else:
                wrong, note = scene(folder, options.seed, options.full)
        except (Trouble, AssertionError, OSError, subprocess.SubprocessError) as e:
            wrong = [f"{type(e).__name__}: {e}"]
        if wrong:
            for log in sorted(folder.rglob("*.log")):
                print(f"---- {log.name}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        seconds = time.monotonic() - begin
        print(f"{scene.__name__:16} {'FOUND' if wrong else 'ok':5} {seconds:6.1f} s  seed {options.seed}  {note}", flush=True)
        for line in wrong[:20]:
            print(f"    {line}")
        bad += bool(wrong)
        outcome.append({"scene": scene.__name__, "seconds": seconds, "seed": options.seed, "note": note, "wrong": wrong})
    if options.json:
        options.json.write_text(json.dumps(outcome, indent=1) + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
