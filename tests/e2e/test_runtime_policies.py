# SPDX-License-Identifier: Apache-2.0
"""Stored runtime policies: the tenant's commands, what is refused at upload, signatures and whose keys count."""

import base64
import hashlib
import json
import shutil
import subprocess
import tempfile

import pytest
from conftest import AGENT_ID, BUILD, Lab, vectors

PLUGINS = ["tpm-policy", "ima"]


def policy(**changes):
    made = {"meta": {"version": 1, "generator": 3}, "release": 0, "digests": {"/bin/a": ["a" * 64]}, "excludes": [],
            "keyrings": {}, "ima": {"ignored_keyrings": [], "log_hash_alg": "sha1", "dm_policy": None},
            "ima-buf": {}, "verification-keys": ""}
    made.update(changes)
    return made


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def upload(lab, name, text, method="POST", **more):
    body = {"runtime_policy": b64(text), "tpm_policy": "", "runtime_policy_key": "", **more}
    return lab.verifier(method, f"/v2.6/allowlists/{name}", body)


@pytest.fixture(scope="module")
def verifier():
    folder = tempfile.mkdtemp(prefix="ql-e2e-")
    lab = Lab(folder)
    try:
        lab.start_verifier(plugins=PLUGINS)
        yield lab
        assert lab.processes[0].alive(), lab.processes[0].log[-3000:]
    finally:
        lab.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_tenants_commands_store_show_list_replace_and_delete(verifier):
    file = verifier.dir / "policy.json"
    file.write_text(json.dumps(policy()))
    named = ("--runtime-policy-name", "p-1")
    out = verifier.tenant("-c", "addruntimepolicy", "--runtime-policy", str(file), *named)
    assert out.splitlines()[-1] == "{'code': 201, 'status': 'Created', 'results': {}}"
    out = verifier.tenant("-c", "addruntimepolicy", "--runtime-policy", str(file), *named, code=1)
    assert "Runtime policy with name p-1 already exists" in out.splitlines()[-1]
    assert "ERROR" in out.splitlines()[-1]
    out = verifier.tenant("-c", "showruntimepolicy", *named)
    assert "Show allowlist command response: 200." in out and "/bin/a" in out
    out = verifier.tenant("-c", "listruntimepolicy")
    assert "list command response: 200." in out and "'runtimepolicy names': ['p-1']" in out
    file.write_text(json.dumps(policy(digests={"/bin/b": ["b" * 64]})))
    verifier.tenant("-c", "updateruntimepolicy", "--runtime-policy", str(file), *named)
    assert "/bin/b" in verifier.tenant("-c", "showallowlist", *named)
    assert verifier.tenant("-c", "deleteruntimepolicy", *named).splitlines()[-1] == "{}"
    out = verifier.tenant("-c", "deleteruntimepolicy", *named, code=1)
    assert "Runtime policy p-1 not found" in out
    for command, words in [("addruntimepolicy", "runtime_policy_name is required to add"),
                           ("showruntimepolicy", "--allowlist_name or --runtime_policy_name is required to show"),
                           ("deleteruntimepolicy", "is required to delete a runtime policy")]:
        more = ("--runtime-policy", str(file)) if command == "addruntimepolicy" else ()
        assert words in verifier.tenant("-c", command, *more, code=1)


def test_what_does_not_go_together_is_wrong_use(verifier):
    for args, words in [(("-c", "addruntimepolicy", "--runtime-policy-name", "x"), "is required to add a runtime policy"),
                        (("--exclude", "f"), "--exclude"),
                        (("--runtime-policy", "f", "--allowlist", "g"), "only one of"),
                        (("--runtime-policy-url", "http://x/"), "--runtime-policy-checksum"),
                        (("--runtime-policy-checksum", "00"), "--runtime-policy-checksum")]:
        assert words in verifier.tenant(*args, code=2)


def test_an_allowlist_with_excludes_is_converted(verifier):
    (verifier.dir / "list").write_text("a" * 64 + "  /usr/bin/my tool\n" + "b" * 64 + " %keyring:.ima\n")
    (verifier.dir / "excl").write_text("# what changes\n/tmp/.*\n")
    verifier.tenant("-c", "addallowlist", "--allowlist", str(verifier.dir / "list"), "--exclude",
                    str(verifier.dir / "excl"), "--allowlist-name", "old")
    stored = json.loads(verifier.verifier("GET", "/v2.6/allowlists/old").results["runtime_policy"])
    assert stored["digests"] == {"/usr/bin/my tool": ["a" * 64]}
    assert stored["keyrings"] == {".ima": ["b" * 64]} and stored["excludes"] == ["/tmp/.*"]
    verifier.verifier("DELETE", "/v2.6/allowlists/old")


def test_a_policy_with_a_flaw_is_refused_with_its_place(verifier):
    for text, words in [
            ("{", "Runtime policy is not valid JSON!"), ("[]", "Runtime policy is not valid JSON!"),
            (json.dumps({}), "Runtime policy is malformatted: 'meta' is a required property"),
            (json.dumps(policy(excludes=["/ok", "/a("])),
             "Runtime policy is malformatted: Exclude list regex is misformatted: 'excludes': element 2: at character 3: "
             "missing )"),
            (json.dumps(policy(excludes=[r"/\Qx\E"])), "element 1: at character 3: bad escape"),
            (json.dumps(policy(digests={"/x": ["AA" * 32]})), "'digests': '/x': element 1: 'AAAA"),
            (json.dumps(policy(digests={"/x": []})), "'/x' is too short"),
            (json.dumps(policy(release="1")), "'release' is not an integer"),
            ('{"x":' + "[" * 70000, "nested deeper than 64")]:
        answer = upload(verifier, "bad", text)
        assert answer.status == 400 and words in answer.json["status"], answer.json
    assert verifier.verifier("GET", "/v2.6/allowlists/bad").status == 404


def test_a_large_policy_is_taken_and_its_generator_known(verifier):
    digests = {f"/usr/lib/file-{i}": [f"{i:064x}"] for i in range(20000)}
    answer = upload(verifier, "large", json.dumps(policy(digests=digests)))
    assert answer.status == 201
    assert len(json.loads(verifier.verifier("GET", "/v2.6/allowlists/large").results["runtime_policy"])["digests"]) == 20000
    assert upload(verifier, "large", json.dumps(policy(digests=digests, release=-1)), "PUT").status == 400
    assert verifier.verifier("DELETE", "/v2.6/allowlists/large").status == 204


def test_without_the_option_signatures_are_not_looked_at(verifier):
    for case in vectors("ima/dsse.json")["envelopes"]:
        wanted = case["verdict_signature_not_required"]
        answer = upload(verifier, "env", case["envelope"], runtime_policy_key=b64(case["key_pem"] or ""))
        if case["name"] in ("payload-changed", "payload-empty"):  # what is in it is no policy
            assert answer.status == 400 and "is malformatted" in answer.json["status"]
        elif wanted == "ok":
            assert answer.status == 201, case["name"] + str(answer.json)
            assert verifier.verifier("GET", "/v2.6/allowlists/env").results["runtime_policy"] == case["envelope"]
            verifier.verifier("DELETE", "/v2.6/allowlists/env")
        else:
            assert answer.status == 400, case["name"]


def test_with_the_option_a_good_signature_is_needed(lab):
    lab.start_verifier(plugins=PLUGINS, require_allow_list_signatures=True, allow_uploaded_policy_keys=True)
    keys = lab.server / "signing_keys"
    for case in vectors("ima/dsse.json")["envelopes"]:
        shutil.rmtree(keys, ignore_errors=True)
        answer = upload(lab, "env", case["envelope"], runtime_policy_key=b64(case["key_pem"] or ""))
        wanted = case["verdict_signature_required"]
        if wanted == "ok":
            assert answer.status == 201, case["name"] + str(answer.json)
            lab.verifier("DELETE", "/v2.6/allowlists/env")
            name = hashlib.sha256(case["key_pem"].encode()).hexdigest()
            assert (keys / f"{name}.pub").read_text() == case["key_pem"]
        elif wanted.startswith("exception"):
            assert answer.status in (400, 401), case["name"]
        else:
            assert f"{answer.status} {answer.json['status']}" == wanted, case["name"]
    answer = upload(lab, "env", json.dumps(policy()), runtime_policy_sig="xx")
    assert answer.status == 400 and "Detached signatures" in answer.json["status"]


def test_only_keys_of_the_operator_count(lab):
    tool = BUILD / "bin" / "quicklime-policy"
    lab.start_verifier(plugins=PLUGINS, require_allow_list_signatures=True)
    (lab.dir / "p").write_text(json.dumps(policy()))
    for name in ("good", "other"):
        subprocess.run([tool, "sign", "runtime", "-r", "p", "-p", f"{name}.key", "-o", f"{name}.json"], cwd=lab.dir, check=True)
        subprocess.run(["openssl", "pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub"], cwd=lab.dir, check=True)
    keys = lab.server / "signing_keys"
    keys.mkdir(mode=0o700)
    pem = (lab.dir / "good.pub").read_bytes()
    (keys / (hashlib.sha256(pem).hexdigest() + ".pub")).write_bytes(pem)
    (keys / "other.pub").write_bytes((lab.dir / "other.pub").read_bytes())  # not a name that a key id can be
    # The tenant verifies before it sends, and sends the key along.
    args = ("-c", "addruntimepolicy", "--runtime-policy", str(lab.dir / "good.json"), "--runtime-policy-name", "a")
    assert "--runtime-policy-sig-key is needed" in lab.tenant(*args, code=1)
    assert "none of 1 signatures" in lab.tenant(*args, "--runtime-policy-sig-key", str(lab.dir / "other.pub"), code=1)
    lab.tenant(*args, "--runtime-policy-sig-key", str(lab.dir / "good.pub"))
    # By the key id alone.
    assert upload(lab, "b", (lab.dir / "good.json").read_text()).status == 201
    # A key that only the sender knows.
    answer = upload(lab, "c", (lab.dir / "other.json").read_text(), runtime_policy_key=b64((lab.dir / "other.pub").read_bytes()))
    assert answer.status == 401 and "allow_uploaded_policy_keys" in answer.json["status"]
    answer = upload(lab, "c", (lab.dir / "other.json").read_text())
    assert (answer.status, answer.json["status"]) == (
        401, "Runtime policy signature verification required but no key was given!")
    envelope = json.loads((lab.dir / "other.json").read_text())
    envelope["signatures"][0]["keyid"] = "../signing_keys/other"
    assert upload(lab, "c", json.dumps(envelope)).status == 401
    # The same for a policy that comes with an agent.
    case = next(c for c in vectors("server/verifier_agents_flow.json") if c["note"] == "add ok")
    full = {**case["request"]["body"], "runtime_policy": b64((lab.dir / "p").read_bytes()), "tpm_policy": '{"mask": "0x400"}'}
    answer = lab.verifier("POST", f"/v2.6/agents/{AGENT_ID}", full)
    assert (answer.status, answer.json["status"]) == (
        401, "Runtime policy signature verification required but no key was given!")
