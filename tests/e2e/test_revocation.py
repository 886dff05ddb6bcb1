# SPDX-License-Identifier: Apache-2.0
"""A node fails and the others cut it off: messages, signatures, replays, actions of all kinds."""

import base64
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
from conftest import AGENT_ID, BUILD, ROOT, SLOW, Answer, free_port, wait_until

PEER_ID = "5c3a1f0e-7d24-4b8e-9a61-2f0c4d7e8b91"


class Notifier:
    """A revocation key with its certificate, as a tenant would make it."""

    def __init__(self, folder, name="revocation"):
        self.key, self.cert = folder / f"{name}.pem", folder / f"{name}.crt"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=RevocationNotifier",
                        "-days", "30", "-keyout", self.key, "-out", self.cert], check=True, capture_output=True)

    def sign(self, msg, salt="max"):
        out = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key, "-sigopt", "rsa_padding_mode:pss",
                              "-sigopt", f"rsa_pss_saltlen:{salt}"], input=msg.encode(), check=True, capture_output=True)
        return base64.b64encode(out.stdout).decode()


def message(agent_id=AGENT_ID, when=None, **changes):
    """Text of a message about an agent; each one differs in its context."""
    fields = {"type": "revocation", "ip": "127.0.0.1", "agent_id": agent_id, "port": 9002, "tpm_policy": "{}",
              "meta_data": "{}", "event_time": time.strftime("%a %b %d %H:%M:%S %Y", when or time.localtime()),
              "event_id": "pcr_validation.invalid_pcr_15", "severity_label": "emergency",
              "context": json.dumps({"n": os.urandom(4).hex()})}
    fields.update(changes)
    return json.dumps(fields)


def write_action(folder, name, text, mode=0o755):
    folder.mkdir(exist_ok=True, mode=0o755)
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return path


class Node:
    """One agent whose revocations are sent by hand."""

    def __init__(self, lab):
        self.lab = lab
        self.actions = lab.dir / "actions"
        self.actions.mkdir(mode=0o755)
        self.notifier = Notifier(lab.dir)
        self.state = lab.dir / "agent"

    def start(self, **options):
        rows = {"revocation_cert": str(self.notifier.cert), "revocation_actions_dir": str(self.actions)}
        rows.update(options)
        self.process = self.lab.start_agent(**rows)
        return self.process

    def call(self, method, path, body=None):
        """One request, by a client that the verifier's CA made."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.state / "server-cert.crt")
        context.load_cert_chain(self.lab.ca / "client-cert.crt", self.lab.ca / "client-private.pem")
        conn = http.client.HTTPSConnection("127.0.0.1", self.lab.ports["agent"], context=context, timeout=30 * SLOW)
        try:
            conn.request(method, path, body=body, headers={"Content-Type": "application/json"})
            return Answer(conn.getresponse())
        finally:
            conn.close()

    def post(self, body):
        return self.call("POST", "/v2.2/notifications/revocation",
                         body if isinstance(body, (str, bytes)) else json.dumps(body))

    def send(self, msg=None, signature=None, code=200):
        msg = msg or message()
        answer = self.post({"msg": msg, "signature": self.notifier.sign(msg) if signature is None else signature})
        assert answer.status == code, answer.body
        return msg

    def done(self, count=1, seconds=20):
        wait_until(lambda: self.process.log.count(" actions run, ") >= count, seconds, f"{count} messages acted on")


@pytest.fixture
def node(lab):
    lab.start_tpm()
    lab.start_verifier()
    lab.start_registrar()
    return Node(lab)


# ---- a fleet of two ----


class Fleet:
    """Two attested agents; the second one is the peer of the first."""

    def __init__(self, lab, verifier=None, **peer):
        self.lab = lab
        lab.start_tpm("tpm2")
        tpm2 = lab.tcti
        lab.start_tpm()
        self.notifier = Notifier(lab.dir)
        self.verifier = lab.start_verifier(**(verifier or {}))
        lab.start_registrar()
        self.agent = lab.start_agent(revocation_cert=str(self.notifier.cert))
        self.peer = lab.start_agent(name="agent2", uuid=PEER_ID, tcti=tpm2, revocation_cert=str(self.notifier.cert),
                                    **peer)
        for agent_id, port in ((AGENT_ID, "agent"), (PEER_ID, "agent2")):
            self.add(agent_id, port)
        for agent_id in (AGENT_ID, PEER_ID):
            wait_until(lambda: lab.agent_status(agent_id)["attestation_count"] >= 1, 20, "first attestation")

    def add(self, agent_id, port, metadata="{}"):
        lab = self.lab
        known = lab.registrar("GET", f"/v2.6/agents/{agent_id}", tls=True).results
        pcr = lab.pcr(15)
        body = {"v": None, "cloudagent_ip": "127.0.0.1", "cloudagent_port": lab.ports[port], "verifier_ip": "127.0.0.1",
                "verifier_port": str(lab.ports["verifier"]), "runtime_policy": "", "runtime_policy_name": "",
                "tpm_policy": json.dumps({"15": [pcr], "mask": "0x8000"}), "runtime_policy_key": "", "mb_policy": None,
                "mb_policy_name": "", "ima_sign_verification_keys": "", "metadata": metadata,
                "revocation_key": self.notifier.key.read_text(), "accept_tpm_hash_algs": ["sha256"],
                "accept_tpm_encryption_algs": ["rsa"], "accept_tpm_signing_algs": ["rsassa"],
                "ak_tpm": known["aik_tpm"], "mtls_cert": known["mtls_cert"], "supported_version": "2.2"}
        answer = lab.verifier("POST", f"/v2.6/agents/{agent_id}", body)
        assert answer.status == 200, answer.body


def stock(lab, name):
    """A stock action where an administrator would put it: writable by its owner alone."""
    return write_action(lab.dir / "stock", name, (ROOT / "plugins" / "revocation-actions" / name).read_text(), 0o644)


def ssh_settings(lab):
    """Options of a peer that runs the stock action, and its authorized_keys file."""
    action = stock(lab, "remove-ssh-key.lua")
    home = lab.dir / "home"
    home.mkdir(mode=0o700)
    keys = home / "authorized_keys"
    keys.write_text("# administrators\nssh-ed25519 AAAAadmin admin@example\n"
                    f"ssh-ed25519 AAAAnode node@{AGENT_ID}\nssh-ed25519 AAAApeer node@{PEER_ID}\n")
    keys.chmod(0o640)
    return keys, {"revocation_actions_dir": str(action.parent), "revocation_actions": ["remove-ssh-key"],
                  "action_files": [str(home)], "revocation_action_settings": [f"remove-ssh-key.file={keys}"]}


def test_a_node_that_fails_loses_its_key_at_its_peer(lab):
    keys, options = ssh_settings(lab)
    fleet = Fleet(lab, **options)
    start = time.monotonic()
    lab.extend(15)
    wait_until(lambda: AGENT_ID not in keys.read_text(), 20, "key removed")
    print(f"from tampering to cut-off: {time.monotonic() - start:.2f} s")
    assert "admin@example" in keys.read_text() and PEER_ID in keys.read_text()
    assert keys.stat().st_mode & 0o777 == 0o640
    # The one that failed is told, too; nothing is left waiting.
    fleet.agent.wait_for("0 of 0 actions run")
    wait_until(lambda: not outbox(lab), 20, "empty outbox")


def test_what_is_sent_has_the_form_of_keylime(lab):
    record = lab.dir / "actions"
    write_action(record, "record", f"#!/bin/sh\ncp \"$1\" {lab.dir}/event.json\n")
    fleet = Fleet(lab, revocation_actions_dir=str(record), revocation_actions=["record"])
    lab.extend(15)
    fleet.peer.wait_for("action=record: done")
    event = json.loads((lab.dir / "event.json").read_text())
    assert list(event) == ["type", "ip", "agent_id", "port", "tpm_policy", "meta_data", "event_time", "event_id",
                           "severity_label", "context"]
    assert event["agent_id"] == AGENT_ID and event["event_id"] == "pcr_validation.invalid_pcr_15"


def test_every_peer_is_told_although_the_verifier_is_killed(lab):
    record = lab.dir / "actions"
    write_action(record, "count", f"#!/bin/sh\necho x >>{lab.dir}/runs\n")
    fleet = Fleet(lab, revocation_actions_dir=str(record), revocation_actions=["count"])
    fleet.peer.popen.send_signal(signal.SIGSTOP)  # it does not answer now
    lab.extend(15)
    fleet.verifier.wait_for("revocation")
    fleet.agent.wait_for("actions run")
    fleet.verifier.kill()
    fleet.verifier.start()
    fleet.verifier.wait_for("ready")
    fleet.peer.popen.send_signal(signal.SIGCONT)
    fleet.peer.wait_for("actions run", 40)
    for _ in range(3):
        fleet.verifier.kill()
        fleet.verifier.start()
        fleet.verifier.wait_for("ready")
    time.sleep(1)
    assert (lab.dir / "runs").read_text() == "x\n"


def outbox(lab):
    """Whom the rows of the outbox still wait for."""
    return [json.loads(pending) for (pending,) in lab.store.rows("SELECT coalesce(pending, 'null') FROM outbox")]


def test_a_message_that_cannot_be_delivered_expires(lab):
    fleet = Fleet(lab, verifier={"groups": {"revocations": {"outbox_expiry": 12 * SLOW}}})
    fleet.peer.kill()
    lab.extend(15)
    fleet.verifier.wait_for("attempt=2: not told yet")
    # What is left to do is stored, so that a restart does not tell everybody again.
    wait_until(lambda: outbox(lab) and all(row == {"agent": [PEER_ID]} for row in outbox(lab)), 11,
               "the one that is missing is listed")
    fleet.verifier.wait_for("notification expired; agents not told: 1", 30)
    assert not outbox(lab) or wait_until(lambda: not outbox(lab), 10, "empty outbox")


def test_a_peer_that_is_deleted_is_waited_for_no_longer(lab):
    fleet = Fleet(lab)
    fleet.peer.popen.send_signal(signal.SIGSTOP)
    lab.extend(15)
    fleet.agent.wait_for("actions run")
    assert outbox(lab) != []
    lab.verifier("DELETE", f"/v2.6/agents/{PEER_ID}")
    wait_until(lambda: not outbox(lab), 20, "empty outbox")


def test_kills_during_delivery_lose_nothing_and_repeat_nothing(lab):
    """QL_KILLS [6] failures; each time the verifier is killed while it tells the agents, a little later each time."""
    record = lab.dir / "actions"
    runs = lab.dir / "runs"
    write_action(record, "count", f"#!/bin/sh\nsha256sum <\"$1\" >>{runs}\n")
    fleet = Fleet(lab, revocation_actions_dir=str(record), revocation_actions=["count"])
    kills = int(os.environ.get("QL_KILLS", 6))
    for n in range(1, kills + 1):
        lab.extend(15)
        fleet.verifier.wait_for("stopping polling")
        time.sleep((n % 8) * 0.003)
        fleet.verifier.kill()
        fleet.verifier.start()
        fleet.verifier.wait_for("ready")
        wait_until(lambda: runs.exists() and len(runs.read_text().splitlines()) >= n, 40, f"message {n}")
        lab.verifier("DELETE", f"/v2.6/agents/{AGENT_ID}")
        wait_until(lambda: lab.verifier("GET", f"/v2.6/agents/{AGENT_ID}").status == 404, 20, "agent deleted")
        fleet.add(AGENT_ID, "agent")
        wait_until(lambda: lab.agent_status(AGENT_ID)["attestation_count"] >= 1, 20, "attested again")
    lines = runs.read_text().splitlines()
    assert len(lines) == kills and len(set(lines)) == kills


# ---- webhook, ZeroMQ, actions of the verifier ----


class Failing:
    """One agent that fails, at a verifier with the notifiers under test."""

    def __init__(self, lab, plugin_dir=None, **revocations):
        self.lab = lab
        lab.start_tpm()
        self.notifier = Notifier(lab.dir)
        options = {"plugin_dir": str(plugin_dir)} if plugin_dir else {}
        self.verifier = lab.start_verifier(groups={"revocations": revocations}, **options)
        lab.start_registrar()
        self.agent = lab.start_agent(revocation_cert=str(self.notifier.cert))
        Fleet.add(self, AGENT_ID, "agent")
        lab.wait_attested(1)

    def fail(self):
        self.lab.extend(15)
        self.verifier.wait_for("stopping polling")

    def is_signed(self, notice):
        (self.lab.dir / "msg").write_text(notice["msg"])
        (self.lab.dir / "sig").write_bytes(base64.b64decode(notice["signature"]))
        key = subprocess.run(["openssl", "x509", "-in", self.notifier.cert, "-pubkey", "-noout"], check=True,
                             capture_output=True).stdout
        (self.lab.dir / "pub").write_bytes(key)
        run = subprocess.run(["openssl", "dgst", "-sha256", "-verify", self.lab.dir / "pub", "-signature",
                              self.lab.dir / "sig", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:222",
                              self.lab.dir / "msg"], capture_output=True)
        return run.returncode == 0


class Hook(http.server.ThreadingHTTPServer):
    """A webhook over HTTPS that answers as told, then with 200."""

    def __init__(self, folder, answers=()):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=hook", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "hook.pem",
                        "-out", folder / "hook.crt"], check=True, capture_output=True)
        super().__init__(("127.0.0.1", 0), HookHandler)
        self.answers, self.got = list(answers), []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "hook.crt", folder / "hook.pem")
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server_address[1]}/hook?a=1"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class HookHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


def test_a_webhook_is_told_until_it_says_yes(lab):
    hook = Hook(lab.dir, [500, 404])
    failing = Failing(lab, enabled_revocation_notifications=["webhook"], webhook_ca=[str(lab.dir / "hook.crt")],
                      webhook_url=hook.url.replace("https", "http"))  # HTTPS all the same
    failing.fail()
    failing.verifier.wait_for("action=webhook agent=")
    failing.verifier.wait_for(": done", 20)
    path, kind, body = hook.got[0]
    assert path == "/hook?a=1" and kind == "application/json" and len(hook.got) == 3
    assert {g[2] for g in hook.got} == {body}
    notice = json.loads(body)
    assert list(notice) == ["msg", "signature"] and body.decode() == json.dumps(notice)
    assert json.loads(notice["msg"])["agent_id"] == AGENT_ID and failing.is_signed(notice)
    assert "127.0.0.1" not in failing.agent.log or "revocation" not in failing.agent.log.split("ready")[1]


def test_a_webhook_with_a_foreign_certificate_is_told_nothing(lab):
    hook = Hook(lab.dir)
    failing = Failing(lab, enabled_revocation_notifications=["webhook"], webhook_url=hook.url)
    failing.fail()
    failing.verifier.wait_for("to be tried again")
    time.sleep(1)
    assert hook.got == []


def subscribe(port):
    """A subscriber of ZMTP 3.0 with the mechanism NULL; returns its socket."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=20 * SLOW)
    sock.sendall(b"\xff" + b"\0" * 8 + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" * 32)
    read_exactly(sock, 64)
    ready = b"\x05READY\x0bSocket-Type\0\0\0\x03SUB"
    sock.sendall(b"\x04" + bytes([len(ready)]) + ready)
    read_frame(sock)
    sock.sendall(b"\x00\x01\x01")  # everything
    return sock


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece
        data += piece
    return data


def read_frame(sock):
    flags = read_exactly(sock, 1)[0]
    length = int.from_bytes(read_exactly(sock, 8 if flags & 2 else 1), "big")
    return flags, read_exactly(sock, length)


def test_subscribers_of_zeromq_are_told(lab):
    if not (lab.plugins / "zeromq.so").exists():
        pytest.skip("built without libzmq")
    port = free_port()
    failing = Failing(lab, enabled_revocation_notifications=["zeromq", "agent"], zmq_port=port)
    sock = subscribe(port)
    failing.fail()
    flags, body = read_frame(sock)
    notice = json.loads(body)
    assert flags & 1 == 0 and list(notice) == ["msg", "signature"]
    assert json.loads(notice["msg"])["agent_id"] == AGENT_ID and failing.is_signed(notice)
    failing.agent.wait_for("received")
    # The process is kept: killed, it comes back.
    sock.close()
    for child in subprocess.run(["pgrep", "-P", str(failing.verifier.pid), "-f", "actionrunner"], capture_output=True,
                                text=True).stdout.split():
        os.kill(int(child), signal.SIGKILL)
    failing.verifier.wait_for("its process ended")
    wait_until(lambda: can_subscribe(port), 20, "ZeroMQ again")


def can_subscribe(port):
    try:
        subscribe(port).close()
        return True
    except OSError:
        return False


def test_actions_of_the_verifier_run_apart_from_each_other(lab):
    """One that hangs and one that always crashes hold up neither a good one nor the verifier."""
    plugins = lab.dir / "plugins"
    shutil.copytree(lab.plugins, plugins)
    plugins.chmod(0o755)
    head = "return {kind = 'action', name = 'x', sites = {'verifier'}, run = function(event) "
    write_action(plugins, "good.lua", head + f"ql.file.write('{lab.dir}/good', event.type .. event.settings.word) end}}",
                 0o644)
    write_action(plugins, "hangs.lua", head + "ql.exec({'/bin/sleep', '500'}, {timeout = 500}) end}", 0o644)
    write_action(plugins, "again.lua", head + f"if event.attempt < 3 then return 'again' end "
                 f"ql.file.write('{lab.dir}/again', tostring(event.attempt)) end}}", 0o644)
    write_action(plugins, "kills.lua", head + "ql.exec({'/bin/sh', '-c', 'kill -9 $PPID'}) end}", 0o644)
    failing = Failing(lab, plugins, actions=["hangs", "kills", "again", "good"], action_timeout=2,
                      action_files=[str(lab.dir)], action_exec=["/bin/sleep", "/bin/sh"],
                      action_settings=["good.word=!"])
    failing.fail()
    good = lab.dir / "good"  # of the registration first
    wait_until(lambda: good.exists() and good.read_text() == "revocation!", 10, "the good action")
    wait_until((lab.dir / "again").exists, 20, "the third attempt")
    failing.verifier.wait_for("action=kills agent=", 40)
    failing.verifier.wait_for("given up: its process ended 3 times", 40)
    failing.verifier.wait_for("action=hangs", 40)
    assert lab.verifier("GET", "/version").status == 200


def test_actions_of_the_verifier_hear_of_more_than_failures(lab):
    plugins = lab.dir / "plugins"
    shutil.copytree(lab.plugins, plugins)
    plugins.chmod(0o755)
    write_action(plugins, "journal.lua", "return {kind = 'action', name = 'journal', sites = {'verifier'}, "
                 "run = function(event) "
                 f"ql.file.replace('{lab.dir}/journal', function(t) return (t or '') .. event.type .. ' ' .. "
                 "event.event_id .. ' ' .. event.agent_id .. '\\n' end) end}", 0o644)
    failing = Failing(lab, plugins, actions=["journal"], action_files=[str(lab.dir)])
    failing.fail()
    for order in ("reactivate", "stop"):
        time.sleep(0.3)
        assert lab.verifier("PUT", f"/v2.6/agents/{AGENT_ID}/{order}").status == 200
    lab.verifier("DELETE", f"/v2.6/agents/{AGENT_ID}")
    want = ["registration agent.added", "revocation pcr_validation.invalid_pcr_15", "recovery agent.reactivated",
            "state_change agent.stopped", "state_change agent.deleted"]
    wait_until(lambda: (lab.dir / "journal").exists() and "agent.deleted" in (lab.dir / "journal").read_text(), 20,
               "the last event")
    lines = (lab.dir / "journal").read_text().splitlines()
    # Reactivated with the same policy, it may have failed once more before it was stopped.
    assert [line for n, line in enumerate(lines) if line not in lines[:n]] == [f"{w} {AGENT_ID}" for w in want]


def test_an_action_that_is_not_there_stops_the_start(lab):
    for rows in ({"actions": ["nowhere"]}, {"enabled_revocation_notifications": ["webhook"]}):
        verifier = lab.start_verifier(wait=False, groups={"revocations": rows})
        verifier.popen.wait(20 * SLOW)
        assert verifier.popen.returncode == 1
        assert "nowhere" in verifier.log or "webhook_url is empty" in verifier.log


# ---- what is not believed ----


def test_only_messages_of_the_notifier_are_acted_on(node):
    write_action(node.actions, "act", f"#!/bin/sh\necho run >>{node.lab.dir}/runs\n")
    node.start(revocation_actions=["act"])
    other = Notifier(node.lab.dir, "other")
    msg = message()
    good = node.notifier.sign(msg)
    refused = {
        "no signature": "", "the word none": "none", "no base64": "***", "a foreign key": other.sign(msg),
        "a short salt": node.notifier.sign(msg, "digest"), "another message": node.notifier.sign(message()),
        "cut": good[:-8], "longer than any": "A" * 4000,
    }
    for what, signature in refused.items():
        assert node.post({"msg": msg, "signature": signature}).status == 200, what
    for old in (time.gmtime(time.time() - 8.5 * 86400), time.gmtime(0)):
        node.send(message(when=old))
    for text in ("[]", "no JSON", "{}", message(agent_id="../x"), message(event_time="yesterday")):
        node.send(text)
    assert node.process.log.count("dropped: ") == len(refused) + 7
    assert not (node.lab.dir / "runs").exists()
    node.send(msg)
    node.done()
    assert (node.lab.dir / "runs").read_text() == "run\n"


def test_bodies_that_are_no_messages_are_refused(node):
    node.start()
    bad = [{}, {"msg": "x"}, {"signature": "x"}, {"msg": 1, "signature": "x"}, {"msg": "x", "signature": None},
           {"msg": "x" * (3 << 20), "signature": ""}, [], "text"]
    for body in bad:
        assert node.post(json.dumps(body)).status in (400, 413), str(body)[:80]
    assert node.post(b"{\"msg\": \"\xff\", \"signature\": \"\"}").status == 400
    assert node.process.alive()


def test_without_a_certificate_nothing_is_believed(node):
    node.notifier.cert.unlink()
    node.start()
    node.send()
    node.process.wait_for("no revocation certificate is loaded")


def test_a_message_is_acted_on_once_also_after_a_restart(node):
    write_action(node.actions, "act", f"#!/bin/sh\necho run >>{node.lab.dir}/runs\n")
    node.start(revocation_actions=["act"])
    msg = node.send()
    node.done()
    node.send(msg)
    node.process.wait_for("acted on before")
    node.process.kill()
    node.process.start()
    node.process.wait_for("ready")
    node.send(msg)
    node.process.wait_for("acted on before")
    assert (node.lab.dir / "runs").read_text() == "run\n"


def test_what_waits_survives_a_crash_and_what_ran_is_not_repeated(node):
    runs = node.lab.dir / "runs"
    write_action(node.actions, "slow", f"#!/bin/sh\necho $$ >{runs}.pid\necho start >>{runs}\nexec sleep 600\n")
    node.start(revocation_actions=["slow"], revocation_action_timeout=3600)
    first, second = node.send(), node.send()
    wait_until(runs.exists, 10, "first action")
    write_action(node.actions, "slow", f"#!/bin/sh\necho other >>{runs}\n")
    node.process.kill()
    os.kill(int((node.lab.dir / "runs.pid").read_text()), signal.SIGKILL)  # it outlives an agent that is killed
    node.process.start()
    node.process.wait_for("action=slow: cut short")
    node.done()
    assert runs.read_text() == "start\nother\n"
    node.process.wait_for("ready")
    for msg in (first, second):
        node.send(msg)
    wait_until(lambda: node.process.log.count("acted on before") == 2, 10, "both known")


# ---- actions ----


def test_actions_are_looked_up_as_documented(node):
    runs = node.lab.dir / "runs"
    payload = node.state / "secure" / "unzipped"
    payload.mkdir(parents=True)
    lua = ("return {kind = 'action', name = 'x', sites = {'agent'}, run = function(event)\n"
           f"ql.file.replace('{runs}', function(t) return (t or '') .. '%s\\n' end) end}}\n")
    write_action(node.actions, "program", f"#!/bin/sh\necho program >>{runs}\n")
    write_action(node.actions, "local_action_script.lua", lua % "script", 0o644)
    write_action(node.actions, "both", f"#!/bin/sh\necho configured >>{runs}\n")
    write_action(payload, "both", f"#!/bin/sh\necho payload >>{runs}\n")
    write_action(payload, "local_action_own.lua", lua % "own", 0o644)
    write_action(node.actions, "shim.py", f"#!/usr/bin/python3\nimport os, sys\nopen('{runs}', 'a').write("
                 "' '.join([sys.argv[1], os.environ['PYTHONPATH']]) + '\\n')\n")
    write_action(node.actions, "snake.py", "async def execute(event): pass\n", 0o644)
    (node.actions / "out").symlink_to("/bin/true")
    write_action(node.actions, "open", "#!/bin/sh\n", 0o777)
    write_action(node.actions, "plain", "#!/bin/sh\n", 0o644)
    (payload / "action_list").write_text("local_action_own, ../../bin/true\n/bin/true\t.hidden missing\n")
    node.start(revocation_actions=["program", "local_action_script, both", "snake", "out", "open", "plain"],
               python_actions=True, revocation_actions_continue=True, action_files=[str(node.lab.dir)])
    node.send()
    node.done(seconds=40)
    assert runs.read_text() == f"program\nscript\nconfigured\nsnake {node.actions}\nown\n"
    log = node.process.log
    for text in ("a link that leaves its folder", "only its owner may write it", "plain is not executable",
                 "no action missing in", "action=../../bin/true: name of an action", "action=/bin/true: name",
                 "action=.hidden: name", "12 of 12 actions run, 7 failed"):
        assert text in log, f"{text}\n{log[-6000:]}"


def test_payload_actions_are_run_only_where_allowed(node):
    payload = node.state / "secure" / "unzipped"
    payload.mkdir(parents=True)
    write_action(payload, "own", f"#!/bin/sh\ntouch {node.lab.dir}/own\n")
    (payload / "action_list").write_text("own")
    node.start(allow_payload_revocation_actions=False, revocation_actions=["own"])
    node.send()
    node.process.wait_for("payload actions are not allowed")
    node.done()
    assert not (node.lab.dir / "own").exists()


def test_the_first_action_that_fails_ends_the_list(node):
    write_action(node.actions, "bad", "#!/bin/sh\nexit 3\n")
    write_action(node.actions, "next", f"#!/bin/sh\ntouch {node.lab.dir}/next\n")
    node.start(revocation_actions=["bad", "next"])
    node.send()
    node.process.wait_for("action=bad: exit status 3")
    node.process.wait_for("1 further actions are not run")
    assert not (node.lab.dir / "next").exists()


def test_an_executable_gets_what_the_rust_agent_gives_it(node):
    out = node.lab.dir / "seen"
    write_action(node.actions, "look", f"#!/bin/sh\n{{ echo \"$#\"; pwd; stat -c %a \"$1\"; cat; cat \"$1\"; "
                                       f"echo; echo \"$FROM_OUTSIDE\"; ls /proc/self/fd | wc -l; }} >{out}\n"
                                       "echo to stdout\necho to stderr >&2\n")
    os.environ["FROM_OUTSIDE"] = "inherited"
    try:
        node.start(revocation_actions=["look"])
    finally:
        del os.environ["FROM_OUTSIDE"]
    msg = node.send()
    node.done()
    lines = out.read_text().splitlines()
    assert lines[0] == "1" and lines[1] == str(node.state) and lines[2] == "600"
    assert json.loads(lines[3]) == json.loads(msg)
    assert lines[4] == "inherited" and int(lines[5]) <= 4
    assert "look: to stdout" in node.process.log and "look: to stderr" in node.process.log
    assert [p.name for p in (node.state / "revocations").iterdir()] == ["seen"]


@pytest.mark.parametrize("name,text,outcome", [
    ("hangs", "#!/bin/sh\nsleep 1000\n", "killed at its time limit"),
    ("forks", "#!/bin/sh\nsleep 1000 &\nsleep 1000 &\nexit 0\n", "done"),
    ("prints", "#!/bin/sh\nhead -c 20000000 /dev/zero | tr '\\0' 'x'\nhead -c 20000000 /dev/zero >&2\n", "done"),
    ("crashes", "#!/bin/sh\nkill -SEGV $$\n", "killed by signal 11"),
    ("no-interpreter", "#!/no/such/thing\n", "No such file"),
    ("loops.lua", "return {kind='action', name='x', sites={'agent'}, run=function() while true do end end}", "exit status 1"),
    ("eats.lua", "return {kind='action', name='x', sites={'agent'}, run=function() local t = {} while true do "
                 "t[#t+1] = ('x'):rep(100000) end end}", "exit status 1"),
    ("wrong.lua", "return {kind='action', name='x', sites={'agent'}, run=function() error('no') end}", "exit status 1"),
    ("elsewhere.lua", "return {kind='action', name='x', sites={'verifier'}, run=function() end}", "exit status 1"),
    ("not-granted.lua", "return {kind='action', name='x', sites={'agent'}, run=function() ql.exec({'/bin/true'}) end}",
     "exit status 1"),
])
def test_actions_that_misbehave_leave_the_agent_serving(node, name, text, outcome):
    write_action(node.actions, name, text, 0o644 if name.endswith(".lua") else 0o755)
    node.start(revocation_actions=[name], revocation_action_timeout=3 if name == "hangs" else 90)
    node.send()
    node.done(seconds=100)
    log = node.process.log
    assert f"action={name}: " in log and outcome in log.split(f"action={name}: ")[1].split("\n")[0], log[-3000:]
    assert len(log) < 400_000
    left = subprocess.run(["pgrep", "-f", str(node.actions)], capture_output=True, text=True).stdout
    assert left == ""
    node.send()
    node.done(2, seconds=100)
    assert node.call("GET", "/version").status == 200


def test_an_action_is_tried_without_effect(node, tmp_path):
    keys, options = ssh_settings(node.lab)
    before = keys.read_text()
    node.start(**options)
    event = node.lab.dir / "event.json"
    for text in (message(), json.dumps({"msg": message(), "signature": ""})):
        event.write_text(text)
        run = subprocess.run([BUILD / "bin" / "quicklime-agent", "--config-dir", node.lab.dir / "agent.d", "--state-dir",
                              node.state, "--test-action", node.lab.dir / "stock" / "remove-ssh-key.lua", event], capture_output=True,
                             text=True)
        assert run.returncode == 0, run.stderr
        assert f"would write {keys}" in run.stderr and f"1 keys of {AGENT_ID} removed" in run.stderr
    assert keys.read_text() == before
    event.write_text("{}")
    run = subprocess.run([BUILD / "bin" / "quicklime-agent", "--config-dir", node.lab.dir / "agent.d", "--state-dir",
                          node.state, "--test-action", node.lab.dir / "stock" / "remove-ssh-key.lua", event], capture_output=True)
    assert run.returncode == 1


# ---- as root ----


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="privileged actions need root")


class Actiond:
    """quicklime-actiond, spoken to as an agent that was taken over might."""

    def __init__(self, lab, **setup):
        self.ours, theirs = socket.socketpair()
        self.notifier = Notifier(lab.dir)
        self.actions = lab.dir / "actions"
        first = {"actions": ["act"], "dir": str(self.actions), "memory": str(lab.dir / "actiond"),
                 "cert": str(self.notifier.cert),
                 "runner": str(lab.bin / "quicklime-actionrunner"), "timeout_s": 2}
        first.update(setup)

        def put_at_3():
            os.dup2(theirs.fileno(), 3)

        self.log = open(lab.dir / "actiond.log", "wb")
        self.popen = subprocess.Popen([lab.bin / "quicklime-actiond"], preexec_fn=put_at_3, close_fds=False,
                                      stderr=self.log, stdin=subprocess.DEVNULL)
        theirs.close()
        self.ours.settimeout(30 * SLOW)
        self.write(first)

    def write(self, value):
        data = json.dumps(value).encode()
        self.ours.sendall(len(data).to_bytes(4, "big") + data)

    def ask(self, name, msg, signature=None):
        notice = {"msg": msg, "signature": self.notifier.sign(msg) if signature is None else signature}
        self.write({"name": name, "body": json.dumps(notice)})
        length = int.from_bytes(read_exactly(self.ours, 4), "big")
        return json.loads(read_exactly(self.ours, length))

    def close(self):
        self.ours.close()
        code = self.popen.wait(20 * SLOW)
        self.log.close()
        return code


@as_root
def test_actiond_looks_again(lab):
    runs = lab.dir / "runs"
    actions = lab.dir / "actions"
    write_action(actions, "act", f"#!/bin/sh\nid -u >>{runs}\n")
    write_action(actions, "other", f"#!/bin/sh\necho other >>{runs}\n")
    d = Actiond(lab)
    msg = message()
    for name in ("other", "../act", "/bin/true", "", "act.lua"):
        assert "not among" in d.ask(name, msg)["text"], name
    assert "signature" in d.ask("act", msg, Notifier(lab.dir, "foreign").sign(msg))["text"]
    assert "not signed" in d.ask("act", msg, "")["text"]
    assert "older than" in d.ask("act", message(when=time.gmtime(time.time() - 9 * 86400)))["text"]
    assert not runs.exists()
    assert d.ask("act", msg) == {"code": 0, "text": ""}
    assert "before" in d.ask("act", msg)["text"]
    assert runs.read_text() == "0\n"
    d.notifier.cert.chmod(0o666)
    assert "nobody else may write" in d.ask("act", message())["text"]
    d.notifier.cert.chmod(0o644)
    os.chown(d.notifier.cert, 65534, 65534)
    assert "nobody else may write" in d.ask("act", message())["text"]
    os.chown(d.notifier.cert, 0, 0)
    actions.chmod(0o777)
    assert "nobody else may write" in d.ask("act", message())["text"]
    actions.chmod(0o755)
    write_action(actions, "act", "#!/bin/sh\nsleep 100\n")
    assert "time limit" in d.ask("act", message())["text"]
    d.ours.sendall(b"\xff\xff\xff\xff")
    assert d.close() == 1
    assert runs.read_text() == "0\n"


@as_root
def test_actiond_remembers_over_its_restarts(lab):
    runs = lab.dir / "runs"
    write_action(lab.dir / "actions", "act", f"#!/bin/sh\necho run >>{runs}\n")
    write_action(lab.dir / "actions", "also", f"#!/bin/sh\necho also >>{runs}\n")
    d = Actiond(lab)
    msg = message()
    assert d.ask("act", msg)["code"] == 0
    assert d.close() == 0
    d = Actiond(lab, actions=["act", "also"])
    assert "before" in d.ask("act", msg)["text"]
    assert d.ask("also", msg)["code"] == 0  # another action for it is not the same
    d.popen.kill()
    d.close()
    d = Actiond(lab, actions=["act", "also"])
    assert "before" in d.ask("also", msg)["text"]
    assert runs.read_text() == "run\nalso\n"
    assert d.close() == 0


@as_root
@pytest.mark.parametrize("spoil, why", [
    (lambda folder: folder.chmod(0o777), "nobody else may write"),
    (lambda folder: os.chown(folder, 65534, 65534), "nobody else may write"),
    (lambda folder: (folder / "seen").write_bytes(b"something else"), "no list of revocations seen"),
    (lambda folder: (folder.rmdir(), folder.write_text("")), "is not a folder"),
])
def test_actiond_that_cannot_remember_runs_nothing(lab, spoil, why):
    runs = lab.dir / "runs"
    write_action(lab.dir / "actions", "act", f"#!/bin/sh\necho run >>{runs}\n")
    folder = lab.dir / "actiond"
    folder.mkdir(mode=0o700)
    spoil(folder)
    d = Actiond(lab)
    assert d.popen.wait(20 * SLOW) == 1
    text = (lab.dir / "actiond.log").read_text()
    assert "no privileged action is run" in text and why in text
    d.close()
    assert not runs.exists()


@as_root
def test_two_of_actiond_do_not_share_a_memory(lab):
    write_action(lab.dir / "actions", "act", "#!/bin/sh\ntrue\n")
    d = Actiond(lab)
    assert d.ask("act", message())["code"] == 0
    second = Actiond(lab)
    assert second.popen.wait(20 * SLOW) == 1
    assert "used by another quicklime-actiond" in (lab.dir / "actiond.log").read_text()
    second.close()
    assert d.ask("act", message())["code"] == 0
    assert d.close() == 0


@as_root
def test_privileged_actions_run_by_actiond(node):
    keys, options = ssh_settings(node.lab)
    node.start(privileged_actions=["remove-ssh-key"], **options)
    node.send()
    node.process.wait_for("action=remove-ssh-key: done, as root")
    assert AGENT_ID not in keys.read_text() and "admin" in keys.read_text()
    pid = subprocess.run(["pgrep", "-P", str(node.process.pid), "-f", "quicklime-actiond"], capture_output=True,
                         text=True).stdout.strip()
    os.kill(int(pid), signal.SIGKILL)
    node.process.wait_for("quicklime-actiond has ended")
    node.send()
    node.done(2)
    assert node.call("GET", "/version").status == 200


def test_without_privileged_actions_nothing_runs_as_root(node):
    node.start()
    assert subprocess.run(["pgrep", "-P", str(node.process.pid)], capture_output=True, text=True).stdout == ""


@as_root
def test_the_example_of_the_documentation_works_as_printed(node):
    text = (ROOT / "docs" / "revocation.md").read_text()
    config = text[text.index("# /etc/quicklime/agent.conf.d/revocation.conf"):text.index("The file belongs to another user")]
    event = text[text.index('{"type": "revocation"'):text.index("# quicklime-agent --test-action")]
    home = node.lab.dir / "ssh"
    home.mkdir(mode=0o700)
    keys = home / "authorized_keys"
    keys.write_text(f"ssh-ed25519 AAAA1 admin\nssh-ed25519 AAAA2 node@{AGENT_ID}\n")
    os.chown(keys, 1234, 1234)
    action = stock(node.lab, "remove-ssh-key.lua")
    for printed, here in (("/etc/quicklime/RevocationNotifier-cert.crt", node.notifier.cert), ("/home/sync/.ssh", home),
                          ("/usr/share/quicklime/revocation-actions", action.parent)):
        assert printed in config
        config = config.replace(printed, str(here))
    more = node.lab.dir / "agent.d" / "agent.conf.d"
    more.mkdir(parents=True)
    (more / "revocation.conf").write_text(config)
    node.process = node.lab.start_agent()
    (node.lab.dir / "event.json").write_text(event)
    run = subprocess.run([BUILD / "bin" / "quicklime-agent", "--config-dir", node.lab.dir / "agent.d", "--state-dir",
                          node.state, "--test-action", action, node.lab.dir / "event.json"], capture_output=True, text=True)
    assert run.returncode == 0 and f"remove-ssh-key: 1 keys of {AGENT_ID} removed" in run.stderr, run.stderr
    node.send()
    node.process.wait_for("action=remove-ssh-key: done, as root")
    assert keys.read_text() == "ssh-ed25519 AAAA1 admin\n" and keys.stat().st_uid == 1234
