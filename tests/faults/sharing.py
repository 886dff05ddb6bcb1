# SPDX-License-Identifier: Apache-2.0
"""Several verifiers on one database, and a simulated fleet that counts who was asked when."""

import collections
import contextlib
import pathlib
import re
import shutil
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from simulation import GET_QUOTE, INVALID_QUOTE, Fleet, Trouble, Verifier, agent_id, wait_for  # noqa: E402,F401
from proxy import Proxy  # noqa: E402


class Database:
    """What the verifiers share: a file of SQLite, or a server behind a proxy that can be cut."""

    def __init__(self, folder, url=None):
        """url: of a database on a server of loopback"""
        self.file, self.proxy = folder / "shared.sqlite", None
        self.url = f"sqlite:///{self.file}"
        if url:
            host, port = re.search(r"@([\d.]+):(\d+)/", url).groups()
            self.proxy = Proxy([(host, int(port))])
            address = "{}:{}".format(*self.proxy.ports[0])
            self.url = url.replace(f"@{host}:{port}/", f"@{address}/")

    @contextlib.contextmanager
    def away(self):
        if self.proxy:
            self.proxy.set("cut")
            yield
            self.proxy.set("pass")
            return
        with contextlib.closing(sqlite3.connect(self.file, isolation_level=None)) as db:
            db.execute("begin immediate")  # nobody else can write, or begin
            yield
            db.execute("rollback")

    def close(self):
        if self.proxy:
            self.proxy.close()


class Group:
    """Verifiers of one uuid. All have the first one's certificates and store key."""

    def __init__(self, folder, count=3, agents=24, bad=0, interval=0.5, lease=5.0, url=None, **options):
        self.folder, self.interval, self.lease, self.options = folder, interval, lease, options
        self.database = Database(folder, url)
        self.verifiers, self.started = [], 0
        self.fleet = None
        try:
            first = self.start()
            self.fleet = Fleet(folder, first.ca / "cacert.crt", agents, "p256", 4, bad, 2 * 3600)
            for _ in range(1, count):
                self.start()
        except BaseException:
            self.close()
            raise

    def folder_of_next(self):
        self.started += 1
        folder = self.folder / f"verifier{self.started}"
        (folder / "server").mkdir(parents=True)
        if self.verifiers:
            shutil.copytree(self.verifiers[0].ca, folder / "server" / "cv_ca")
            shutil.copy(self.verifiers[0].state / "store.key", folder / "server" / "store.key")
        return folder

    def start(self, **changes):
        """One more verifier."""
        rows = {"leases": True, "lease_time": self.lease, "quote_interval": self.interval, "database_url": self.database.url,
                "retry_interval": 0.3, "max_retries": 1000, "request_timeout": 5.0}
        rows.update(self.options)
        rows.update(changes)
        verifier = Verifier(self.folder_of_next(), **rows)
        self.verifiers.append(verifier)
        return verifier

    def running(self):
        return [v for v in self.verifiers if v.program.popen.poll() is None]

    def enrol(self):
        """Add the agents, each by another verifier."""
        running = self.running()
        for n, agent in enumerate(self.fleet.agents):
            running[n % len(running)].add(agent_id(n), agent, self.fleet.facts)

    def holders(self):
        """Number of an agent -> the process that polls it, None for one that nobody does."""
        records = self.running()[0].agents()
        return {n: record.get("polled_by") for n, record in enumerate(records.get(agent_id(n), {})
                                                                      for n in range(len(self.fleet.agents)))}

    def shares(self):
        return collections.Counter(self.holders().values())

    def await_shares(self, count, seconds=15):
        """Every agent belongs to one of `count` verifiers, and each of these has some."""
        def met():
            shares = self.shares()
            return len(shares) == count and None not in shares
        try:
            wait_for(met, seconds, "")
        except Trouble as e:
            raise Trouble(f"{count} shares expected, found {self.shares()}") from e

    def await_rounds(self, rounds, seconds=30, agents=None):
        """Every agent is asked that many times more. Returns the seconds until each was asked for the first time."""
        agents = range(len(self.fleet.agents)) if agents is None else agents
        begin, begin_ns = time.monotonic(), time.monotonic_ns()
        start = self.fleet.quotes()

        def met():
            now = self.fleet.quotes()
            return all(now[n] >= start[n] + rounds for n in agents)
        try:
            wait_for(met, seconds, "")
        except Trouble as e:
            now = self.fleet.quotes()
            stuck = [n for n in agents if now[n] < start[n] + rounds]
            raise Trouble(f"agents {stuck[:10]} ({len(stuck)}) not asked {rounds} times in {seconds} s") from e
        after = [self.fleet.stamps(n, begin_ns, 2 ** 62) for n in agents]
        return [(min(s) - begin_ns) / 1e9 if s else time.monotonic() - begin for s in after]

    def crowded(self, begin_ns, end_ns, more=0):
        """Agents asked more often in a window than one verifier asks: (agent, times, allowed)."""
        allowed = (end_ns - begin_ns) / 1e9 / self.interval + 2 + more
        counts = [(n, len(self.fleet.stamps(n, begin_ns, end_ns)), allowed) for n in range(len(self.fleet.agents))]
        return [c for c in counts if c[1] > c[2]]

    def close(self):
        for verifier in self.running():
            verifier.program.kill()
        if self.fleet:
            self.fleet.program.stop()
        self.database.close()
