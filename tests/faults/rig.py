# SPDX-License-Identifier: Apache-2.0
"""A verifier under load that something happens to, and what must be true of it afterwards."""

import json
import os
import pathlib
import random
import re
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from simulation import (BUILD, GET_QUOTE, INVALID_QUOTE, Fleet, Trouble, Verifier, agent_id, lateness, memory,  # noqa: E402
                        percentile, tree, wait_for)

START, STOPPED = 1, 10
INTERVAL = 0.5
# A ghost is an agent that nobody answers for: it costs retries, never a verdict.
GHOST_PORT = 9


class Ledger:
    """API writes on ghosts, one after the other, and which of them were acknowledged."""

    def __init__(self, rig, seed):
        self.rig, self.random = rig, random.Random(seed)
        self.sure = {}       # ghost -> "there", "stopped" or "gone", by the last acknowledged write
        self.unsure = set()  # ghosts whose last write got no answer
        self.acknowledged = self.unanswered = 0
        self.ending = threading.Event()
        self.connection = None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _send(self, method, path, body=None):
        """Status, or None: no answer."""
        try:
            if self.connection is None:
                self.connection = self.rig.verifier.connect(timeout=20)
            self.connection.request(method, path, None if body is None else json.dumps(body),
                                    {"Content-Type": "application/json"} if body is not None else {})
            answer = self.connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, ValueError) as e:
            self.last_error = e
        except Exception as e:  # http.client's own: the answer was cut short
            self.last_error = e
        self.connection = None
        return None

    def _step(self):
        number = self.random.randrange(60)
        ghost = f"ghost-{number:04d}"
        state = self.sure.get(ghost, "gone")
        if state == "gone":
            method, path, then = "POST", f"/v2.6/agents/{ghost}", "there"
            body = self.rig.verifier.addition(self.rig.fleet.agents[0], self.rig.fleet.facts, cloudagent_ip="127.0.0.1",
                                              cloudagent_port=GHOST_PORT)
        elif state == "there" and self.random.random() < 0.3:
            method, path, then, body = "PUT", f"/v2.6/agents/{ghost}/stop", "stopped", None
        else:
            method, path, then, body = "DELETE", f"/v2.6/agents/{ghost}", "gone", None
        status = self._send(method, path, body)
        if status == 200 or (status == 202 and method == "DELETE"):
            self.sure[ghost] = then
            self.unsure.discard(ghost)
            self.acknowledged += 1
        elif status is None or status >= 500:
            self.unsure.add(ghost)
            self.unanswered += 1
            time.sleep(0.02)
        elif ghost in self.unsure:
            # The write without an answer was done after all (409, 404): the next look settles it.
            self.sure[ghost] = "there" if status == 409 else "gone"
        else:
            raise Trouble(f"{method} {path}: {status}")

    def _run(self):
        try:
            while not self.ending.is_set():
                self._step()
                time.sleep(self.random.random() * 0.02)
        except Exception as e:  # told by end()
            self.failed = e

    failed = None
    last_error = None

    def end(self):
        self.ending.set()
        self.thread.join(30)
        if self.failed:
            raise Trouble(f"an API write was refused: {self.failed}")

    def complaints(self, seen):
        wrong = []
        for ghost, state in sorted(self.sure.items()):
            if ghost in self.unsure:
                continue
            record = seen.get(ghost)
            if (record is not None) != (state != "gone"):
                wrong.append(f"{ghost}: acknowledged as {state}, {'not ' if record is None else ''}there")
            elif state == "stopped" and record["operational_state"] != STOPPED:
                wrong.append(f"{ghost}: acknowledged as stopped, state {record['operational_state']}")
        return wrong


class Rig:
    """Verifier, simulated fleet with liars, and a ledger."""

    def __init__(self, folder, seed, agents=40, bad=10, proxied=False, env=None, state=None, ledger=True, **options):
        self.folder, self.random = folder, random.Random(seed)
        rows = {"quote_interval": INTERVAL, "retry_interval": 0.3, "max_retries": 1000, "request_timeout": 5.0}
        rows.update(options)
        self.verifier = Verifier(folder, env=env, state=state, **rows)
        self.fleet = Fleet(folder, self.verifier.ca / "cacert.crt", agents, "p256", 4, bad)
        self.liars = [n for n, a in enumerate(self.fleet.agents) if a["liar"]]
        self.honest = [n for n, a in enumerate(self.fleet.agents) if not a["liar"]]
        self.proxy = None
        self.failures = 0  # seen by the API, one a liar and addition
        if proxied:
            from proxy import Proxy
            self.proxy = Proxy([(a["ip"], self.fleet.facts["port"]) for a in self.fleet.agents])
        for n in range(agents):
            self.add(n)
        self.await_rounds(2)
        self.note_failures()
        self.ledger = Ledger(self, seed) if ledger else None
        time.sleep(1)
        self.before = self.usage()

    def add(self, n, **changes):
        if self.proxy:
            address, port = self.proxy.ports[n]
            changes.update(cloudagent_ip=address, cloudagent_port=port)
        self.verifier.add(agent_id(n), self.fleet.agents[n], self.fleet.facts, **changes)

    def await_rounds(self, rounds, seconds=40, agents=None):
        """Every honest agent is asked that many times more: none is stuck."""
        agents = self.honest if agents is None else agents
        start = self.fleet.quotes()

        def met():
            now = self.fleet.quotes()
            return all(now[n] >= start[n] + rounds for n in agents)
        try:
            self.verifier.program.wait_for(met, seconds, "")
        except Trouble as e:
            if self.verifier.program.popen.poll() is not None:
                raise
            now = self.fleet.quotes()
            stuck = [n for n in agents if now[n] < start[n] + rounds]
            raise Trouble(f"agents {stuck[:10]} ({len(stuck)}) were not asked {rounds} times in {seconds} s") from e

    def note_failures(self):
        """Every liar that was added has been found out."""
        def found():
            seen = self.verifier.agents()
            return all(agent_id(n) in seen and seen[agent_id(n)]["operational_state"] == INVALID_QUOTE for n in self.liars)
        self.verifier.program.wait_for(found, 40, "every liar fails")
        self.failures += len(self.liars)

    def readd_liars(self):
        """Liars lie at once from now on: as many failures as there are of them."""
        for n in self.liars:
            self.verifier.call("DELETE", f"/v2.6/agents/{agent_id(n)}")
            self.add(n)

    def usage(self):
        """Descriptors and bytes of memory of the main process, and its process id."""
        pid = self.verifier.program.pid
        return pid, len(os.listdir(f"/proc/{pid}/fd")), memory(pid)[0]

    def workers(self):
        return [pid for pid in tree(self.verifier.program.pid)
                if pid != self.verifier.program.pid and "worker" in name_of(pid)]

    def kill_and_restart(self):
        self.verifier.program.kill()
        self.verifier.restart()

    def check_records(self, may_start=False):
        """The records as they stand now against what is known. may_start: the first poll may be yet to come."""
        fine = (START, GET_QUOTE) if may_start else (GET_QUOTE,)
        seen = self.verifier.agents()
        wrong = self.ledger.complaints(seen) if self.ledger else []
        for n in self.liars:
            record = seen.get(agent_id(n))
            if record is None or record["operational_state"] != INVALID_QUOTE:
                wrong.append(f"liar {n}: {record and record['operational_state']}, not failed")
        for n in self.honest:
            record = seen.get(agent_id(n))
            if record is None or record["operational_state"] not in fine:
                wrong.append(f"agent {n}: {record and (record['operational_state'], record['last_event_id'])}")
        return wrong

    def check(self, rounds=2, seconds=60):
        """All that must be true once the fault is over. Returns complaints."""
        if self.ledger:
            self.ledger.end()
        self.await_rounds(rounds, seconds)
        wrong = self.check_records()
        try:
            wait_for(lambda: not self.untold(), 30, "everybody who can hear is told")
        except Trouble as e:
            wrong.append(f"{e}: {self.untold()[:3]}")
        told = len(re.findall(r'area=revocation msg="agent=f1ee\S* address=', self.verifier.program.whole_log))
        if told < self.failures:
            wrong.append(f"{self.failures} failures, {told} notifications")
        pid, fds, rss = self.usage()
        if pid == self.before[0]:
            if fds > self.before[1] + 4:
                wrong.append(f"{fds} descriptors, {self.before[1]} before")
            if rss > self.before[2] * 1.25 + 8 * 1024 * 1024:
                wrong.append(f"{rss >> 10} KiB of memory, {self.before[2] >> 10} before")
        code = self.verifier.program.stop(60)
        if code != 0:
            wrong.append(f"the verifier ended with {code}")
        return wrong + self.check_database()

    def database(self):
        return self.verifier.state / "cv_data.sqlite"

    def untold(self):
        """What is left in the outbox, but for ghosts: nobody answers for them until their messages expire."""
        with sqlite3.connect(f"file:{self.database()}?mode=ro", uri=True, timeout=10) as db:
            rows = [json.loads(row[0] or "null") for row in db.execute("select pending from outbox")]
        return [p for p in rows if not isinstance(p, dict) or set(p) != {"agent"} or not isinstance(p["agent"], list)
                or not all(name.startswith("ghost-") for name in p["agent"])]

    def check_database(self):
        with sqlite3.connect(f"file:{self.database()}?mode=ro", uri=True, timeout=10) as db:
            found = [row[0] for row in db.execute("pragma integrity_check")]
        return [] if found == ["ok"] else [f"database: {found[:3]}"]

    def close(self):
        if self.ledger:
            self.ledger.ending.set()
        if self.verifier.program.popen.poll() is None:
            self.verifier.program.kill()
        self.fleet.program.stop()
        if self.proxy:
            self.proxy.close()


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


class Tmpfs:
    """A small file system of its own, so that it can be full or read-only. Needs the right to mount."""

    def __init__(self, folder, size="16m"):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)], check=True)

    def fill(self):
        """Nothing more fits."""
        with open(self.folder / "filler", "wb", buffering=0) as f:
            block = bytes(65536)
            while len(block):
                try:
                    if f.write(block) < len(block):
                        block = block[:len(block) // 2]
                except OSError:
                    block = block[:len(block) // 2]

    def empty(self):
        (self.folder / "filler").unlink()

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.folder)], check=True)

    def close(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=False)


def can_mount(folder):
    try:
        Tmpfs(folder / "probe", "1m").close()
        return True
    except (OSError, subprocess.SubprocessError):
        return False
