# SPDX-License-Identifier: Apache-2.0
"""Real processes in a folder of their own: software TPM, registrar, verifier, agent, tenant.

Programs come from QL_BUILD_DIR (default build/release); QL_STORE says where daemons keep their tables (stores.py). Nothing but the standard library and pytest is needed.
"""

import http.client
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time

import pytest

import softtpm
import stores

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "fixtures"))
from ports import free_port  # noqa: E402

BUILD = pathlib.Path(os.environ.get("QL_BUILD_DIR", ROOT / "build" / "release"))
SHARED = ROOT.parent / "shared"
AGENT_ID = "d432fbb3-d2f1-4a97-9ef7-75bd81c00000"
SLOW = 3 if "asan" in BUILD.name else 1
SANITIZED = "asan" in BUILD.name


def vectors(name):
    """Known answers; the test is skipped where the folder is absent."""
    path = SHARED / "vectors" / name
    if not path.exists():
        pytest.skip(f"no vectors at {path}")
    return json.loads(path.read_text())


def wait_until(condition, seconds=15, what="condition"):
    """Poll until `condition()` is true and return its value."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what} did not come true within {seconds * SLOW} s"
        time.sleep(0.05)


def libconfig(value):
    """A Python value as libconfig spells it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], dict):
            groups = (" ".join(f"{k} = {libconfig(v)};" for k, v in g.items()) for g in value)
            return "( " + ", ".join("{ " + g + " }" for g in groups) + " )"
        return "[ " + ", ".join(libconfig(v) for v in value) + " ]"
    if isinstance(value, str):
        return json.dumps(value)
    return repr(value)


class Answer:
    """Status, headers and body of an HTTP answer."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def results(self):
        return self.json["results"]


class Process:
    """A program under test with its log file."""

    def __init__(self, name, argv, log, env=None, **kw):
        self.name, self.argv, self.log_path, self.env, self.kw = name, argv, log, env, kw
        self.popen = None
        self.start()

    def start(self):
        self.log_file = open(self.log_path, "ab")
        self.mark = self.log_path.stat().st_size
        env = dict(os.environ, **(self.env or {}))
        self.popen = subprocess.Popen([str(a) for a in self.argv], stdout=self.log_file, stderr=self.log_file,
                                      stdin=subprocess.DEVNULL, env=env, **self.kw)

    @property
    def log(self):
        """What it has written since its last start."""
        with open(self.log_path, "rb") as f:
            f.seek(self.mark)
            return f.read().decode(errors="replace")

    @property
    def pid(self):
        return self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def wait_for(self, text, seconds=20):
        def seen():
            assert text in self.log or self.alive(), f"{self.name} ended:\n{self.log[-3000:]}"
            return text in self.log
        wait_until(seen, seconds, f"'{text}' in the log of {self.name}:\n{self.log[-1500:]}\n")

    def kill(self, sig=signal.SIGKILL):
        if self.alive():
            self.popen.send_signal(sig)
        self.popen.wait(timeout=30 * SLOW)
        self.log_file.close()
        return self.popen.returncode

    def stop(self):
        """SIGTERM; returns the exit code."""
        return self.kill(signal.SIGTERM)


class Lab:
    """One installation in a temporary folder."""

    def __init__(self, folder):
        self.dir = pathlib.Path(folder)
        self.bin, self.plugins = BUILD / "bin", BUILD / "plugins"
        self.processes = []
        self.ports = {name: free_port() for name in ("verifier", "registrar", "registrar_tls", "agent", "agent2")}
        self.server = self.dir / "server"
        self.ca = self.server / "cv_ca"
        self.server.mkdir()
        self.store = stores.store(self)

    # ---- configuration ----

    def write_config(self, program, options, **groups):
        text = f"{program} = {{\n" + "".join(f"  {k} = {libconfig(v)};\n" for k, v in options.items()) + "};\n"
        for name, rows in groups.items():
            text += f"{name} = {{\n" + "".join(f"  {k} = {libconfig(v)};\n" for k, v in rows.items()) + "};\n"
        (self.dir / f"{program}.conf").write_text(text)

    def argv(self, program, state, *more):
        return [self.bin / f"quicklime-{program}", "--config-dir", self.dir, "--state-dir", state, *more]

    def spawn(self, name, argv, **kw):
        p = Process(name, argv, self.dir / f"{name}.log", **kw)
        self.processes.append(p)
        return p

    # ---- parts ----

    def start_tpm(self, name="tpm"):
        folder = self.dir / name
        folder.mkdir(exist_ok=True)
        sock = self.dir / f"{name}.sock"
        p = self.spawn(name, softtpm.command(folder, sock))
        wait_until(lambda: softtpm.listens(sock), 10, "software TPM that listens")
        self.tcti = f"swtpm:path={sock}"
        return p

    def tpm2(self, tool, *args):
        """Run a tool of tpm2-tools against the software TPM; returns its output."""
        env = dict(os.environ, TPM2TOOLS_TCTI=self.tcti)
        return subprocess.run([f"tpm2_{tool}", *args], env=env, check=True, capture_output=True, text=True).stdout

    def pcr(self, number, bank="sha256"):
        out = self.tpm2("pcrread", f"{bank}:{number}")
        return out.split("0x")[1].split()[0].lower()

    def extend(self, number, digest="11" * 32, bank="sha256"):
        self.tpm2("pcrextend", f"{number}:{bank}={digest}")

    def start_verifier(self, wait=True, groups=None, **options):
        rows = {"port": self.ports["verifier"], "plugin_dir": str(self.plugins), "quote_interval": 0.3,
                "worker_path": str(self.bin / "quicklime-worker"), "retry_interval": 0.2, "max_retries": 3,
                "exponential_backoff": False, **self.store.options("verifier")}
        rows.update(options)
        groups = dict(groups or {})
        groups["revocations"] = {"action_runner_path": str(self.bin / "quicklime-actionrunner"),
                                 **groups.get("revocations", {})}
        self.write_config("verifier", rows, **groups)
        p = self.spawn("verifier", self.argv("verifier", self.server))
        if wait:
            p.wait_for("ready")
        return p

    def start_registrar(self, wait=True, groups=None, **options):
        state = self.dir / "registrar"
        state.mkdir(exist_ok=True)
        rows = {"port": self.ports["registrar"], "tls_port": self.ports["registrar_tls"],
                "plugin_dir": str(self.plugins), "worker_path": str(self.bin / "quicklime-worker"),
                "tls_dir": str(self.ca), "trusted_client_ca": [str(self.ca / "cacert.crt")],
                **self.store.options("registrar")}
        rows.update(options)
        self.write_config("registrar", rows, **(groups or {}))
        p = self.spawn("registrar", self.argv("registrar", state))
        if wait:
            p.wait_for("ready")
        return p

    def start_agent(self, wait=True, name="agent", groups=None, **options):
        state = self.dir / name
        state.mkdir(exist_ok=True)
        rows = {"uuid": AGENT_ID, "port": self.ports[name], "contact_port": self.ports[name],
                "registrar_port": self.ports["registrar"], "tcti": self.tcti,
                "trusted_client_ca": [str(self.ca / "cacert.crt")], "plugin_dir": str(self.plugins), "run_as": "",
                "action_runner_path": str(self.bin / "quicklime-actionrunner"),
                "actiond_path": str(self.bin / "quicklime-actiond"), "actiond_dir": str(self.dir / "actiond"),
                "unpack_path": str(self.bin / "quicklime-unpack"),
                "payloadd_path": str(self.bin / "quicklime-payloadd"), "enable_insecure_storage": True}
        rows.update(options)
        folder = self.dir / f"{name}.d"
        folder.mkdir(exist_ok=True)
        self.write_config("agent", rows, **(groups or {}))
        shutil.move(self.dir / "agent.conf", folder / "agent.conf")
        p = self.spawn(name, [self.bin / "quicklime-agent", "--config-dir", folder, "--state-dir", state])
        if wait:
            p.wait_for("ready", 40)
        return p

    def start_all(self, **verifier_options):
        self.start_tpm()
        verifier = self.start_verifier(**verifier_options)
        registrar = self.start_registrar()
        agent = self.start_agent()
        return verifier, registrar, agent

    # ---- talking ----

    def context(self, client=True):
        ctx = ssl.create_default_context(cafile=self.ca / "cacert.crt")
        ctx.check_hostname = False
        if client:
            ctx.load_cert_chain(self.ca / "client-cert.crt", self.ca / "client-private.pem")
        return ctx

    def call(self, port, method, path, body=None, tls=True, client=True, headers=None, timeout=20):
        """One request on a connection of its own. `body`: bytes, text, or a value that is sent as JSON."""
        if tls:
            conn = http.client.HTTPSConnection("127.0.0.1", port, context=self.context(client), timeout=timeout * SLOW)
        else:
            conn = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout * SLOW)
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        try:
            conn.request(method, path, body=body, headers=headers)
            return Answer(conn.getresponse())
        finally:
            conn.close()

    def verifier(self, method, path, body=None, **kw):
        return self.call(self.ports["verifier"], method, path, body, **kw)

    def registrar(self, method, path, body=None, tls=False, **kw):
        port = self.ports["registrar_tls" if tls else "registrar"]
        return self.call(port, method, path, body, tls=tls, **kw)

    def tenant(self, *args, code=0, **options):
        """Run the tenant; its standard output. `code`: the exit code that must come back."""
        rows = {"verifier_port": self.ports["verifier"], "registrar_port": self.ports["registrar_tls"],
                "require_ek_cert": False, "max_retries": 3, "retry_interval": 0.2}
        rows.update(options)
        self.write_config("tenant", rows)
        run = subprocess.run([str(a) for a in self.argv("tenant", self.server)] + list(args), capture_output=True,
                             text=True, timeout=120 * SLOW)
        assert run.returncode == code, f"exit {run.returncode}\n{run.stdout}\n{run.stderr}"
        return run.stdout + run.stderr

    def add(self, *args, agent_id=AGENT_ID, **kw):
        return self.tenant("-c", "add", "-t", "127.0.0.1", "-u", agent_id, *args, **kw)

    def agent_status(self, agent_id=AGENT_ID):
        """The verifier's record of an agent."""
        answer = self.verifier("GET", f"/v2.6/agents/{agent_id}")
        assert answer.status == 200, answer.body
        return answer.results

    def wait_state(self, state, agent_id=AGENT_ID, seconds=15):
        wait_until(lambda: self.agent_status(agent_id)["operational_state"] == state, seconds, f"state {state}")
        return self.agent_status(agent_id)

    def wait_attested(self, count=2, agent_id=AGENT_ID):
        """Wait for `count` further attestations."""
        want = self.agent_status(agent_id)["attestation_count"] + count
        wait_until(lambda: self.agent_status(agent_id)["attestation_count"] >= want, 20, f"attestation {want}")
        return self.agent_status(agent_id)

    def close(self):
        for p in reversed(self.processes):
            if p.alive():
                p.kill()


@pytest.fixture
def lab(request):
    folder = tempfile.mkdtemp(prefix="ql-e2e-")
    made = Lab(folder)
    yield made
    made.close()
    if getattr(request.node, "has_failed", False):
        for log in sorted(made.dir.glob("*.log")):
            print(f"---- {log.name}\n{log.read_text(errors='replace')[-4000:]}")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    item.has_failed = getattr(item, "has_failed", False) or outcome.get_result().failed
