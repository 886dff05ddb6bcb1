# SPDX-License-Identifier: Apache-2.0
"""Where the daemons under test keep their tables: QL_STORE=sqlite (default), postgresql or mysql.

One server of a kind serves all tests of a run; each installation has databases of its own on it.
"""

import atexit
import contextlib
import os
import pathlib
import sqlite3
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "databases"))
import servers  # noqa: E402

KIND = os.environ.get("QL_STORE", "sqlite")
running = {}


def server(kind):
    """The run's server of a kind; the test is skipped where none is installed."""
    if not servers.KINDS[kind].program():
        pytest.skip(f"no server for {kind} is installed")
    if kind not in running:
        running[kind] = servers.KINDS[kind]()
        atexit.register(running[kind].close)
    return running[kind]


class Sqlite:
    kind = "sqlite"

    def __init__(self, lab):
        self.lab = lab

    def options(self, daemon):
        """What the daemon's configuration says about it."""
        return {}

    @property
    def path(self):
        return self.lab.server / "cv_data.sqlite"

    def rows(self, sql):
        """Rows of the verifier's database, values as text."""
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)) as db:
            return [[str(v) for v in row] for row in db.execute(sql)]

    def write(self, sql):
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as db, db:
            db.execute(sql)

    @contextlib.contextmanager
    def away(self):
        """While inside, nothing can be written."""
        with contextlib.closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute("ROLLBACK")

    def everything(self):
        """All bytes that are kept."""
        return b"".join(p.read_bytes() for p in self.lab.server.glob("cv_data.sqlite*"))


class OnServer:
    def __init__(self, lab, kind):
        self.kind, self.server, self.urls = kind, server(kind), {}

    def options(self, daemon):
        if daemon not in self.urls:
            self.urls[daemon] = self.server.url()
        return {"database_url": self.urls[daemon]}

    def sql(self, text):
        return self.server.sql(text, self.options("verifier")["database_url"].rsplit("/", 1)[1])

    def rows(self, sql):
        return [line.split("|" if self.kind == "postgresql" else "\t") for line in self.sql(sql).splitlines()]

    def write(self, sql):
        self.sql(sql)

    def session(self):
        return servers.Session(self.server, self.options("verifier")["database_url"].rsplit("/", 1)[1])

    @contextlib.contextmanager
    def away(self):
        self.server.stop()
        try:
            yield
        finally:
            self.server.start()

    def everything(self):
        return b"".join(p.read_bytes() for p in (self.server.dir / "data").rglob("*") if p.is_file())


def shared_url():
    """A database of its own for several verifiers; None: they are to share a file of SQLite."""
    return None if KIND == "sqlite" else server(KIND).url()


def store(lab, kind=KIND):
    return Sqlite(lab) if kind == "sqlite" else OnServer(lab, kind)
