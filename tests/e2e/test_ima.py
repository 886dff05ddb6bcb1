# SPDX-License-Identifier: Apache-2.0
"""Runtime integrity end to end: a measurement list in a file, PCR 10 of a software TPM extended as a kernel would."""

import base64
import hashlib
import http.client
import json
import ssl
import struct

import pytest
from conftest import AGENT_ID, SLOW, wait_until

GOOD = hashlib.sha256(b"good").digest()
EVIL = hashlib.sha256(b"evil").digest()


def encoded(digest, name):
    """Template data of ima-ng."""
    field = b"sha256:\0" + digest
    text = name + b"\0"
    return struct.pack("<I", len(field)) + field + struct.pack("<I", len(text)) + text


class Kernel:
    """Measures into a list and into PCR 10."""

    def __init__(self, lab):
        self.lab, self.path = lab, lab.dir / "measurements"
        self.path.write_bytes(b"")
        self.count = 0

    def append(self, line, value):
        with open(self.path, "ab") as f:
            f.write(line + b"\n")
        self.lab.extend(10, value.hex())
        self.count += 1

    def run(self, name, digest=GOOD):
        name = name if isinstance(name, bytes) else name.encode()
        data = encoded(digest, name)
        column = hashlib.sha1(data).hexdigest()
        self.append(f"10 {column} ima-ng sha256:{digest.hex()} ".encode() + name, hashlib.sha256(data).digest())

    def violate(self, name):
        self.append(f"10 {'0' * 40} ima-ng sha256:{'0' * 64} {name}".encode(), b"\xff" * 32)

    def boot(self, *names):
        self.path.write_bytes(b"")
        self.count = 0
        self.run("boot_aggregate")
        for name in names:
            self.run(name)


def policy(*names, **changes):
    made = {"meta": {"version": 1, "generator": 3}, "release": 0,
            "digests": {name: [GOOD.hex()] for name in ("boot_aggregate",) + names}, "excludes": [], "keyrings": {},
            "ima": {"ignored_keyrings": [], "log_hash_alg": "sha1", "dm_policy": None}, "ima-buf": {},
            "verification-keys": ""}
    made.update(changes)
    return made


def addition(lab, runtime_policy, **changes):
    known = lab.registrar("GET", f"/v2.6/agents/{AGENT_ID}", tls=True).results
    body = {"v": None, "cloudagent_ip": "127.0.0.1", "cloudagent_port": lab.ports["agent"], "verifier_ip": "127.0.0.1",
            "verifier_port": str(lab.ports["verifier"]), "tpm_policy": '{"mask": "0x400"}',
            "runtime_policy": base64.b64encode(json.dumps(runtime_policy).encode()).decode(),
            "runtime_policy_name": "", "runtime_policy_key": "", "mb_policy": None, "mb_policy_name": "",
            "ima_sign_verification_keys": "", "metadata": "{}", "revocation_key": "",
            "accept_tpm_hash_algs": ["sha512", "sha384", "sha256"], "accept_tpm_encryption_algs": ["ecc", "rsa"],
            "accept_tpm_signing_algs": ["ecschnorr", "rsassa"], "ak_tpm": known["aik_tpm"],
            "mtls_cert": known["mtls_cert"], "supported_version": "2.2"}
    body.update(changes)
    return body


def add(lab, runtime_policy, **changes):
    answer = lab.verifier("POST", f"/v2.6/agents/{AGENT_ID}", addition(lab, runtime_policy, **changes))
    assert answer.status == 200, answer.body


def start(lab, ima=None, own_row=False):
    """Everything runs; the node has booted and measured two files."""
    lab.start_tpm()
    # retries enough for a node that boots anew
    lab.start_verifier(plugins=["tpm-policy", "ima"], groups={"ima": ima} if ima else None, max_retries=100)
    lab.start_registrar()
    kernel = Kernel(lab)
    if own_row:
        lab.start_agent(plugins=["ima"], groups={"ima": {"ima_ml_path": str(kernel.path)}})
    else:
        lab.start_agent(plugins=["ima"], ima_ml_path=str(kernel.path))
    kernel.boot("/bin/a", "/bin/b")
    return kernel


def quote(lab, entry):
    """What the agent answers to a verifier; its certificate is its own."""
    context = lab.context()
    context.verify_mode = ssl.CERT_NONE
    conn = http.client.HTTPSConnection("127.0.0.1", lab.ports["agent"], context=context, timeout=20 * SLOW)
    try:
        conn.request("GET", f"/v2.2/quotes/integrity?nonce=abc&mask=0x400&partial=1&ima_ml_entry={entry}")
        return json.loads(conn.getresponse().read())["results"]
    finally:
        conn.close()


def failed(lab, event):
    status = lab.wait_state(9)
    assert status["last_event_id"] == event, status["last_event_id"]
    return status


def test_a_node_that_runs_known_files_is_attested_on_and_on(lab):
    kernel = start(lab)
    add(lab, policy("/bin/a", "/bin/b", "/bin/c"))
    lab.wait_attested(2)
    kernel.run("/bin/c")
    lab.wait_attested(3)
    kernel.run("/bin/a")
    assert lab.wait_attested(3)["attestation_status"] == "PASS"


def test_a_quote_asks_for_what_is_new_alone(lab):
    kernel = start(lab, own_row=True)
    add(lab, policy("/bin/a", "/bin/b"))
    lab.wait_attested(2)
    answer = quote(lab, 2)
    assert answer["ima_measurement_list_entry"] == 2
    assert answer["ima_measurement_list"] == kernel.path.read_text().splitlines(keepends=True)[2]
    answer = quote(lab, 9)
    assert answer["ima_measurement_list_entry"] == 0
    assert answer["ima_measurement_list"] == kernel.path.read_text()


def test_a_name_that_is_no_text_is_attested(lab):
    kernel = start(lab)
    add(lab, policy("/bin/a", "/bin/b", "/bin/\udcff\udcc3"))
    kernel.run(b"/bin/\xff\xc3")
    assert lab.wait_attested(3)["attestation_status"] == "PASS"
    kernel.run(b"/bin/\xfe")
    failed(lab, "ima.validation.ima-ng.not_in_allowlist")


def test_an_unknown_file_fails_the_node_and_is_named(lab):
    kernel = start(lab)
    add(lab, policy("/bin/a", "/bin/b"))
    lab.wait_attested(2)
    kernel.run("/tmp/evil", EVIL)
    failed(lab, "ima.validation.ima-ng.not_in_allowlist")
    lab.processes[1].wait_for("/tmp/evil")


def test_a_known_file_with_other_contents_fails_the_node(lab):
    kernel = start(lab)
    add(lab, policy("/bin/a", "/bin/b"))
    lab.wait_attested(1)
    kernel.run("/bin/a", EVIL)
    failed(lab, "ima.validation.ima-ng.runtime_policy_hash")


def test_an_excluded_file_may_have_any_contents(lab):
    kernel = start(lab)
    add(lab, policy("/bin/a", "/bin/b", excludes=["/var/.*"]))
    kernel.run("/var/x", EVIL)
    lab.wait_attested(2)


def test_a_file_that_changed_while_measured_is_counted_and_logged(lab):
    kernel = start(lab)
    add(lab, policy("/bin/a", "/bin/b"))
    lab.wait_attested(1)
    kernel.violate("/var/log/wtmp")
    status = lab.wait_attested(3)
    assert status["facts"] == {"ima.list": {"entries": 4, "violations": 1, "weak_signatures": 0}}
    lab.processes[1].wait_for("/var/log/wtmp changed while it was measured")


def test_a_file_that_changed_while_measured_fails_where_the_option_says_so(lab):
    kernel = start(lab, ima={"ima_violations": "fail"})
    add(lab, policy("/bin/a", "/bin/b"))
    lab.wait_attested(1)
    kernel.violate("/var/log/wtmp")
    failed(lab, "ima.validation.tomtou")


def test_a_list_without_an_entry_that_was_measured_fails(lab):
    kernel = start(lab)
    add(lab, policy("/bin/a", "/bin/b"))
    lab.wait_attested(1)
    lab.extend(10)
    failed(lab, "ima.pcr_mismatch")
    assert kernel.count == 3


def test_a_list_that_became_shorter_fails(lab):
    kernel = start(lab)
    add(lab, policy("/bin/a", "/bin/b"))
    lab.wait_attested(2)
    lines = kernel.path.read_bytes().splitlines(keepends=True)
    kernel.path.write_bytes(b"".join(lines[:2]))
    failed(lab, "ima.pcr_mismatch")


def test_a_list_that_is_gone_fails(lab):
    lab.start_tpm()
    lab.start_verifier(plugins=["tpm-policy", "ima"])
    lab.start_registrar()
    agent = lab.start_agent(plugins=["ima"], ima_ml_path=str(lab.dir / "nothing"))
    add(lab, policy())
    status = lab.wait_state(9)
    assert status["last_event_id"] in ("pcr_validation.unused_pcr_10", "ima.missing_evidence")
    agent.wait_for("No such file")


def test_a_node_with_ima_switched_off_fails(lab):
    lab.start_tpm()
    lab.start_verifier(plugins=["tpm-policy", "ima"])
    lab.start_registrar()
    kernel = Kernel(lab)
    lab.start_agent(plugins=["ima"], ima_ml_path=str(kernel.path))
    add(lab, policy())
    failed(lab, "ima.disabled")


def test_after_a_reboot_the_whole_list_is_attested_anew(lab):
    kernel = start(lab)
    add(lab, policy("/bin/a", "/bin/b"))
    lab.wait_attested(2)
    tpm, agent = lab.processes[0], lab.processes[3]
    agent.stop()
    lab.tpm2("shutdown", "-c")
    tpm.stop()
    wait_until(lambda: not (lab.dir / "tpm.sock").exists() or (lab.dir / "tpm.sock").unlink() is None)
    tpm.start()
    wait_until((lab.dir / "tpm.sock").exists, 10, "socket of the software TPM")
    kernel.boot("/bin/b")
    agent.start()
    agent.wait_for("ready", 40)
    status = lab.wait_attested(2)
    assert status["attestation_status"] == "PASS" and status["operational_state"] == 3


def test_a_policy_that_is_none_is_refused_with_its_place(lab):
    start(lab)
    answer = lab.verifier("POST", f"/v2.6/agents/{AGENT_ID}", addition(lab, policy(excludes=["/tmp/(x"])))
    assert answer.status == 400
    assert b"element 1" in answer.body and b"character" in answer.body


@pytest.mark.parametrize("text", ["", "[]", '{"pubkeys": [], "keyids": []}'])
def test_an_agent_may_bring_keys_or_none(lab, text):
    start(lab)
    add(lab, policy("/bin/a", "/bin/b"), ima_sign_verification_keys=text)
    lab.wait_attested(1)


def test_a_large_policy_that_many_agents_use_is_there_once_and_judges_each(lab):
    kernel = start(lab)
    big = policy("/bin/a", "/bin/b")
    big["digests"].update({f"/usr/lib/file-{i}": [f"{i:064x}"] for i in range(20000)})
    text = json.dumps(big)
    upload = {"runtime_policy": base64.b64encode(text.encode()).decode(), "tpm_policy": "", "runtime_policy_key": ""}
    assert lab.verifier("POST", "/v2.6/allowlists/big", upload).status == 201
    body = {**addition(lab, {}), "runtime_policy": "", "runtime_policy_name": "big"}
    agents = [f"{AGENT_ID[:-2]}{n:02x}" for n in range(20)]
    for agent in agents:
        assert lab.verifier("POST", f"/v2.6/agents/{agent}", body).status == 200
    assert lab.store.rows("SELECT count(*), sum(length(content)) FROM policy_contents") == [["1", str(len(text))]]
    for agent in agents:
        assert lab.verifier("GET", f"/v2.6/agents/{agent}/policies").results["runtime_policy"] == text
        wait_until(lambda a=agent: lab.verifier("GET", f"/v2.6/agents/{a}").results["attestation_count"] > 0, 30, agent)
    # One that is named while the policy is in nobody's use any more.
    for agent in agents:
        assert lab.verifier("DELETE", f"/v2.6/agents/{agent}").status in (200, 202)
    assert lab.verifier("POST", f"/v2.6/agents/{AGENT_ID}", body).status == 200
    lab.wait_attested(1)
    kernel.run("/bin/unknown", EVIL)
    failed(lab, "ima.validation.ima-ng.not_in_allowlist")
