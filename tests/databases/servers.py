#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Database servers for tests: a PostgreSQL or MariaDB of its own in a temporary folder, on a port of loopback.

As a program: servers.py postgresql|mysql COMMAND ARG...
starts a server, runs the command with {url} in its arguments replaced by the URL of an empty database, stops it, and
ends as the command did; 77 when no server is installed.
"""

import ctypes
import glob
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fixtures"))
from ports import free_port  # noqa: E402

PASSWORD = "it's a p%w/d"  # what a URL, a shell or SQL might trip over
QUOTED = "it's%20a%20p%25w%2Fd"


def find(program, *places):
    """Path of a program; places beside PATH as patterns, the newest version first."""
    found = shutil.which(program)
    for place in places:
        found = found or next(iter(sorted(glob.glob(f"{place}/{program}"), reverse=True)), None)
    return found


def end_with_parent():
    """A test that is killed must not leave its server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Server:
    """Common to both kinds: folder, user, start, stop."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="ql-db-", dir="/tmp"))
        self.port = free_port()
        self.process = None
        self.count = 0
        # Servers refuse to run as root; everything of theirs then belongs to nobody.
        self.user = {}
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.dir, nobody.pw_uid, nobody.pw_gid)
            self.user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def make_certificate(self):
        """A CA, and a certificate for 127.0.0.1 and no name."""
        (self.dir / "san").write_text("subjectAltName=IP:127.0.0.1\n")
        new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        self.run(*new, "-x509", "-days", "30", "-subj", "/CN=Database CA", "-keyout", self.dir / "ca.key", "-out",
                 self.dir / "ca.crt")
        self.run(*new, "-subj", "/CN=database", "-keyout", self.dir / "server.key", "-out", self.dir / "server.csr")
        self.run("openssl", "x509", "-req", "-in", self.dir / "server.csr", "-CA", self.dir / "ca.crt", "-CAkey",
                 self.dir / "ca.key", "-CAcreateserial", "-days", "30", "-extfile", self.dir / "san", "-out",
                 self.dir / "server.crt")
        (self.dir / "server.key").chmod(0o600)

    def run(self, *argv):
        done = subprocess.run([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=self.dir, env=self.env(), **self.user)
        assert done.returncode == 0, f"{argv[0]}: {done.stdout}"
        return done.stdout

    def env(self):
        return {"PATH": os.environ["PATH"], "HOME": str(self.dir), "LC_ALL": "C"}

    def start(self):
        log = open(self.dir / "server.log", "ab")
        self.process = subprocess.Popen([str(a) for a in self.argv()], stdout=log, stderr=log, cwd=self.dir,
                                        stdin=subprocess.DEVNULL, env=self.env(), preexec_fn=end_with_parent,
                                        **self.user)
        end = time.monotonic() + 60
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.03)

    def stop(self, sig=None):
        """End the server; `sig`: SIGKILL takes all of it down at once."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig or self.gentle)
            self.process.wait(60)

    def state(self):
        code = self.process.poll()
        return "running" if code is None else f"ended with {code}"

    def log(self):
        return (self.dir / "server.log").read_text(errors="replace")[-3000:]

    def close(self):
        self.stop(self.fast)
        shutil.rmtree(self.dir, ignore_errors=True)

    def url(self, database=None):
        """URL of a database, a new and empty one unless named."""
        if database is None:
            self.count += 1
            database = f"ql{self.count}"
            self.create(database)
        return f"{self.scheme}://ql:{QUOTED}@127.0.0.1:{self.port}/{database}"


class Session:
    """A transaction beside the daemons': statements one after the other on one connection."""

    def __init__(self, server, database):
        self.popen = subprocess.Popen([str(a) for a in server.client(database)], stdin=subprocess.PIPE, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=server.dir, env=server.env(),
                                      **server.user)
        self.number = 0

    def run(self, sql):
        """Until it is done; what it wrote."""
        self.number += 1
        mark = f"done-{self.number}"
        self.popen.stdin.write(f"{sql};\nSELECT '{mark}';\n")
        self.popen.stdin.flush()
        said = []
        for line in self.popen.stdout:
            if line.strip() == mark:
                return said
            said.append(line.strip())
        raise AssertionError(f"the client ended: {said}")

    def close(self):
        self.popen.stdin.close()
        self.popen.wait(30)


class Postgresql(Server):
    scheme, gentle, fast = "postgresql", signal.SIGINT, signal.SIGQUIT

    def __init__(self, *settings, tls=False):
        self.bin = os.path.dirname(os.path.realpath(self.program()))
        super().__init__()
        self.settings = list(settings)
        if tls:
            self.make_certificate()
            self.settings += ["ssl=on", f"ssl_cert_file={self.dir}/server.crt", f"ssl_key_file={self.dir}/server.key"]
        (self.dir / "pw").write_text("admin\n")
        self.run(f"{self.bin}/initdb", "-D", self.dir / "data", "-U", "admin", "-A", "scram-sha-256",
                 f"--pwfile={self.dir}/pw", "--no-sync", "-E", "UTF8", "--no-locale")
        self.start()
        self.sql(f"CREATE ROLE ql LOGIN PASSWORD '{PASSWORD.replace(chr(39), chr(39) * 2)}'")

    @staticmethod
    def program():
        return find("postgres", "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")

    def env(self):
        return dict(super().env(), PGPASSWORD="admin", PGCONNECT_TIMEOUT="5")

    def argv(self):
        given = [f"port={self.port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={self.dir}", "fsync=off",
                 "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=40",
                 *self.settings]
        return [f"{self.bin}/postgres", "-D", self.dir / "data", *(a for s in given for a in ("-c", s))]

    def answers(self):
        return subprocess.run([f"{self.bin}/pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]).returncode == 0

    def client(self, database):
        return [f"{self.bin}/psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.dir, "-p", self.port,
                "-U", "admin", "-d", database]

    def sql(self, text, database="postgres"):
        """Run SQL as administrator; unaligned rows."""
        return self.run(*self.client(database), "-c", text)

    def create(self, database):
        self.sql(f"CREATE DATABASE {database} OWNER ql")


class Mysql(Server):
    scheme, gentle, fast = "mysql+pymysql", signal.SIGTERM, signal.SIGKILL

    def __init__(self, *settings, tls=False):
        super().__init__()
        self.settings = list(settings)
        if tls:
            self.make_certificate()
            self.settings += [f"--ssl-cert={self.dir}/server.crt", f"--ssl-key={self.dir}/server.key"]
        me = pwd.getpwuid(self.user.get("user", os.getuid())).pw_name
        self.run(find("mariadb-install-db", "/usr/bin"), "--no-defaults", f"--datadir={self.dir}/data",
                 f"--auth-root-authentication-method=normal", "--skip-test-db", f"--user={me}",
                 "--innodb-log-file-size=8M", "--innodb-flush-method=nosync")
        self.start()
        quoted = PASSWORD.replace("'", "''")
        self.sql("DELETE FROM mysql.global_priv WHERE User=''; FLUSH PRIVILEGES;"
                 f"CREATE USER ql@'127.0.0.1' IDENTIFIED BY '{quoted}'")

    @staticmethod
    def program():
        return find("mariadbd", "/usr/sbin", "/usr/libexec") or find("mysqld", "/usr/sbin", "/usr/libexec")

    def argv(self):
        return [self.program(), "--no-defaults", f"--datadir={self.dir}/data", f"--socket={self.dir}/sock",
                f"--port={self.port}", "--bind-address=127.0.0.1", f"--pid-file={self.dir}/pid", "--skip-name-resolve",
                "--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--innodb-log-file-size=8M",
                "--innodb-buffer-pool-size=32M", "--performance-schema=off", "--max-allowed-packet=64M",
                f"--log-error={self.dir}/server.log", *self.settings]

    def client(self, database):
        return [find("mariadb") or find("mysql"), "--no-defaults", "-u", "root", "-S", f"{self.dir}/sock", "-N", "-B",
                "-n", "-D", database]

    def answers(self):
        return subprocess.run([find("mariadb") or find("mysql"), "--no-defaults", "-u", "root", "-S", f"{self.dir}/sock", "-e", "SELECT 1"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0

    def sql(self, text, database="mysql"):
        return self.run(*self.client(database), "-e", text)

    def create(self, database):
        self.sql(f"CREATE DATABASE {database}; GRANT ALL ON {database}.* TO ql@'127.0.0.1'")


KINDS = {"postgresql": Postgresql, "mysql": Mysql}


def main():
    kind, command = KINDS[sys.argv[1]], sys.argv[2:]
    if not kind.program():
        print(f"no server for {sys.argv[1]} is installed")
        return 77
    server = kind()
    try:
        url = server.url()
        code = subprocess.run([a.replace("{url}", url) for a in command]).returncode
        if code:
            print(f"# exit {code}; the server ({server.state()}) wrote:\n{server.log()}")
        return code
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
