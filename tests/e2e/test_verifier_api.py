# SPDX-License-Identifier: Apache-2.0
"""The verifier's REST API: recorded answers, generated bad input, who may do what (spec/server.md 1, 2, 8)."""

import copy
import http.client
import json
import shutil
import socket
import ssl
import tempfile
import time

import pytest
from conftest import AGENT_ID, SHARED, SLOW, Answer, Lab, vectors



@pytest.fixture(scope="module")
def verifier():
    """One verifier for all tests of this file; they leave it as they found it."""
    folder = tempfile.mkdtemp(prefix="ql-e2e-")
    lab = Lab(folder)
    try:
        lab.start_verifier(max_retries=1000, retry_interval=5.0, http_body_ms=3000)
        yield lab
        assert lab.processes[0].alive(), lab.processes[0].log[-3000:]
    finally:
        lab.close()
        shutil.rmtree(folder, ignore_errors=True)


def recorded(name, keep=lambda case: True):
    """Recorded cases as parameters; none where the folder is absent."""
    path = SHARED / "vectors" / "server" / f"{name}.json"
    cases = json.loads(path.read_text()) if path.exists() else []
    return [pytest.param(c, id=f"{n}: {c['note']}") for n, c in enumerate(cases) if keep(c)]


def replay(lab, case):
    """Send a recorded request."""
    request = case["request"]
    body, headers = request.get("body"), dict(request.get("headers") or {})
    if body is not None and not isinstance(body, str):
        body = json.dumps(body)
    headers.setdefault("Content-Type", "application/json")
    return lab.verifier(request["method"], request["path"], body, client=request["client_cert"], headers=headers)


def same(answer, response):
    """Code and body are those that were recorded."""
    assert answer.status == response["code"], answer.body
    if "json" in response:
        assert answer.json == response["json"]
        assert list(answer.json) == list(response["json"]), "keys come in the order of the wire"
    else:
        assert answer.body == response["text"].encode()
    if response.get("location"):
        assert answer.headers["Location"] == response["location"]
    if response["code"] != 204 and answer.body:
        assert answer.headers["Content-Type"] == response["content_type"]


# ---- recorded: surface ----

# Probes of an API version, and what it has no service for: ours answers what clients can use.
PROBES = {"/v2.6/": 200, "/v2/": 200, "/v2.6": 200, "/v3.0/": 200, "/v3.0/agents/": 404}


@pytest.mark.parametrize("case", recorded("verifier_surface"))
def test_surface_is_as_recorded(verifier, case):
    if "code" not in case["response"]:
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            verifier.call(verifier.ports["verifier"], "GET", "/version", tls=False)
        return
    request = case["request"]
    if request.get("body") is None:
        answer = verifier.verifier(request["method"], request["path"], client=request["client_cert"])
    else:
        answer = replay(verifier, case)
    if case["response"]["code"] == 500:
        assert answer.status == PROBES[request["path"]]
        return
    same(answer, case["response"])


def test_a_probe_of_version_2_gets_an_envelope_and_of_version_3_nothing(verifier):
    assert verifier.verifier("GET", "/v2.6/").json == {"code": 200, "status": "Success", "results": {}}
    assert verifier.verifier("GET", "/v3.0/").body == b""


# ---- recorded: additions that are refused ----

# Policies of a kind that no loaded plugin judges are refused as such.
NEEDS_PLUGIN = ("named and inline, name taken", "runtime policy no meta", "left-over policies after failed adds")


@pytest.mark.parametrize("case", recorded("verifier_agents_invalid", lambda c: not any(n in c["note"] for n in NEEDS_PLUGIN)))
def test_refused_additions_are_as_recorded(verifier, case):
    if "named mb" in case["note"]:
        assert verifier.verifier("POST", "/v2.6/mbpolicies/mb1", {"mb_policy": "{}"}).status == 201
    try:
        same(replay(verifier, case), case["response"])
    finally:
        if "named mb" in case["note"]:
            assert verifier.verifier("DELETE", "/v2.6/mbpolicies/mb1").status == 204


def test_a_refused_addition_leaves_no_policy_behind(verifier):
    for change in ({"ak_tpm": "AAAA"}, {"mtls_cert": "junk"}, {"runtime_policy_name": "nope"}, {"tpm_policy": "{\"15\": 3}"}):
        answer = add(verifier, **change)
        assert answer.status in (400, 404), (change, answer.body)
    assert verifier.verifier("GET", "/v2.6/allowlists/").results == {"runtimepolicy names": []}
    assert verifier.verifier("GET", "/v2.6/mbpolicies/").results == {"mbpolicy names": []}


def test_a_policy_for_a_validator_that_is_not_loaded_is_refused_with_its_name(verifier):
    case = next(c for c in vectors("server/verifier_agents_flow.json") if c["note"] == "add ok")
    answer = replay(verifier, case)
    assert answer.status == 400
    assert "ima" in answer.json["status"]
    for name in ("not-there", "x" * 32):
        answer = add(verifier, policies={name: {"a": 1}})
        assert answer.status == 400 and name in answer.json["status"]
    answer = verifier.verifier("POST", "/v2.6/allowlists/list1",
                               {"runtime_policy": case["request"]["body"]["runtime_policy"], "tpm_policy": ""})
    assert answer.status == 400 and "ima" in answer.json["status"]
    answer = verifier.verifier("POST", "/v2.6/mbpolicies/mb1", {"mb_policy": '{"a": 1}'})
    assert answer.status == 400 and "mboot" in answer.json["status"]


# ---- status ----

def good(**changes):
    """An addition that would be accepted; the agent is never there."""
    case = next(c for c in vectors("server/verifier_agents_flow.json") if c["note"] == "add ok")
    body = copy.deepcopy(case["request"]["body"])
    body.update({"runtime_policy": "", "tpm_policy": '{"mask": "0x0"}', "cloudagent_port": 9})
    body.update(changes)
    return body


def add(lab, agent_id=AGENT_ID, **changes):
    return lab.verifier("POST", f"/v2.6/agents/{agent_id}", good(**changes))


@pytest.fixture
def added(verifier):
    answer = add(verifier)
    assert answer.status == 200, answer.body
    yield verifier
    assert verifier.verifier("DELETE", f"/v2.6/agents/{AGENT_ID}").status in (200, 202)


def test_status_has_the_keys_of_the_wire_in_their_order(added):
    case = next(c for c in vectors("server/verifier_agents_flow.json") if c["note"] == "polling")
    recorded = case["response"]["json"]["results"]
    status = added.agent_status()
    assert list(status) == list(recorded)
    for key in ("ip", "meta_data", "accept_tpm_hash_algs", "accept_tpm_encryption_algs", "verifier_id", "verifier_ip",
                "accept_tpm_signing_algs", "severity_level", "last_event_id", "verifier_port"):
        assert status[key] == recorded[key], key
    for key, value in recorded.items():
        if key not in ("v", "severity_level", "last_event_id"):
            assert type(status[key]) is type(value), key
    assert status["operational_state"] in (1, 3)
    assert status["v"] is None, "half of a key is for nobody's eyes"
    assert status["has_runtime_policy"] == 0 and status["has_mb_refstate"] == 0
    assert status["attestation_period"] == "0s" and status["maximum_attestation_interval"] == "1s"


def test_an_agent_is_added_once(added):
    answer = add(added)
    assert answer.status == 409
    assert answer.json["status"] == f"Agent of uuid {AGENT_ID} already exists. Please use delete or update."


def test_policies_in_use_cannot_be_removed(added):
    answer = added.verifier("DELETE", f"/v2.6/allowlists/{AGENT_ID}")
    assert answer.status == 409
    assert answer.json["status"] == f"Can't delete allowlist as it's currently in use by agent {AGENT_ID}"
    answer = added.verifier("DELETE", f"/v2.6/mbpolicies/{AGENT_ID}")
    assert answer.status == 409
    assert answer.json["status"] == f"Can't delete mb_policy as it's currently in use by agent {AGENT_ID}"


def test_a_json_content_type_with_an_empty_body_is_refused_without_words(added):
    for order in ("stop", "reactivate"):
        answer = added.verifier("PUT", f"/v2.6/agents/{AGENT_ID}/{order}", b"",
                                headers={"Content-Type": "application/json"})
        assert answer.status == 400 and answer.body == b""


def test_every_minor_version_and_a_trailing_slash_are_served(added):
    for version in ("2", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6"):
        for slash in ("", "/"):
            assert added.verifier("GET", f"/v{version}/agents/{AGENT_ID}{slash}").status == 200
    for version in ("1.0", "2.7", "02.6", "9.9", "4"):
        answer = added.verifier("GET", f"/v{version}/agents/{AGENT_ID}")
        assert answer.status == 404 and answer.body == b""


def test_the_request_id_comes_back_cleaned(verifier):
    answer = verifier.verifier("GET", "/version", headers={"X-Request-ID": "a-b c;d" + "e" * 60})
    assert answer.headers["X-Request-ID"] == "abcd" + "e" * 32


# ---- rights ----

ADMIN_ROUTES = [("GET", "/agents/", "list_agents"), ("GET", f"/agents/{AGENT_ID}", "read_agent"),
                ("POST", f"/agents/{AGENT_ID}", "create_agent"), ("DELETE", f"/agents/{AGENT_ID}", "delete_agent"),
                ("PUT", f"/agents/{AGENT_ID}/stop", "stop_agent"),
                ("PUT", f"/agents/{AGENT_ID}/reactivate", "reactivate_agent"),
                ("GET", "/allowlists/", "list_runtime_policies"), ("GET", "/allowlists/x", "read_runtime_policy"),
                ("POST", "/allowlists/x", "create_runtime_policy"), ("PUT", "/allowlists/x", "update_runtime_policy"),
                ("DELETE", "/allowlists/x", "delete_runtime_policy"), ("GET", "/mbpolicies/", "list_mb_policies"),
                ("GET", "/mbpolicies/x", "read_mb_policy"), ("POST", "/mbpolicies/x", "create_mb_policy"),
                ("PUT", "/mbpolicies/x", "update_mb_policy"), ("DELETE", "/mbpolicies/x", "delete_mb_policy")]


@pytest.mark.parametrize("method,path,action", ADMIN_ROUTES)
def test_administration_needs_a_client_certificate(verifier, method, path, action):
    body = None if method in ("GET", "DELETE") else {}
    for kw in ({"client": False}, {"headers": {"Authorization": ""}}):
        answer = verifier.verifier(method, "/v2.6" + path, body, **kw)
        assert answer.status == 403, (kw, answer.body)
        assert answer.json == {"errors": [{"status": "403", "title": "Forbidden", "detail":
                               f"Action {action} requires admin authentication (mTLS certificate)"}]}


@pytest.mark.parametrize("value,detail", [("Bearer junk", "Invalid authentication token"),
                                          ("Bearer ", "Invalid Authorization header format"),
                                          ("bearer junk", "Invalid Authorization header format"),
                                          ("Basic QTpC", "Invalid Authorization header format")])
@pytest.mark.parametrize("path,status", [("/v2.6/agents/", 401), ("/version", 401), ("/nowhere", 404)])
def test_a_bad_authorization_header_is_refused_whatever_the_certificate(verifier, value, detail, path, status):
    answer = verifier.verifier("GET", path, headers={"Authorization": value})
    assert answer.status == status
    if status == 401:
        assert answer.json == {"errors": [{"status": "401", "title": "Unauthorized", "detail": detail}]}


def test_a_certificate_of_another_ca_fails_the_handshake(verifier, tmp_path):
    other = Lab(tmp_path)
    try:
        other.start_verifier()
        ctx = verifier.context(client=False)
        ctx.load_cert_chain(other.ca / "client-cert.crt", other.ca / "client-private.pem")
        conn = http.client.HTTPSConnection("127.0.0.1", verifier.ports["verifier"], context=ctx, timeout=10 * SLOW)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            conn.request("GET", "/version")
            conn.getresponse()
    finally:
        other.close()


# ---- generated bad input (decision 44) ----

TEXT = ["tpm_policy", "metadata", "ima_sign_verification_keys", "ak_tpm", "revocation_key"]
LISTS = ["accept_tpm_hash_algs", "accept_tpm_encryption_algs", "accept_tpm_signing_algs"]
NEEDED = TEXT + LISTS + ["cloudagent_ip", "cloudagent_port", "mb_policy", "mb_policy_name"]
LONG = {"tpm_policy": 1048577, "metadata": 1048577, "ima_sign_verification_keys": 1048577, "ak_tpm": 1048577,
        "revocation_key": 1048577, "cloudagent_ip": 256, "mtls_cert": 1048577, "runtime_policy_name": 256,
        "mb_policy_name": 256, "v": 5469, "supported_version": 1048577, "verifier_ip": 1048577}


@pytest.mark.parametrize("field", NEEDED)
def test_a_missing_field_is_named(verifier, field):
    body = good()
    del body[field]
    answer = verifier.verifier("POST", f"/v2.6/agents/{AGENT_ID}", body)
    assert answer.status == 400
    assert answer.json == {"code": 400, "status": f"Exception error: '{field}'", "results": {}}


@pytest.mark.parametrize("field", NEEDED + [
    "v", "runtime_policy", "runtime_policy_name", "mtls_cert", "supported_version", "verifier_ip", "verifier_port",
    "policies"])
@pytest.mark.parametrize("value", [7, 1.5, True, {}, {"a": 1}, [], [1], [["a"]]], ids=repr)
def test_a_field_of_another_type_is_refused(verifier, field, value):
    if (isinstance(value, int) and not isinstance(value, bool) and "port" in field) or \
       (field in LISTS and value == []) or (field == "policies" and value == {}):
        pytest.skip("fits")
    answer = add(verifier, **{field: value})
    assert answer.status == 400, (field, value, answer.body)
    assert answer.json["results"] == {} and answer.json["status"] != ""


@pytest.mark.parametrize("field", sorted(LONG))
def test_a_text_one_byte_over_its_limit_is_refused(verifier, field):
    answer = add(verifier, **{field: "A" * LONG[field]})
    assert answer.status == 400, answer.body[:200]


@pytest.mark.parametrize("field", NEEDED + ["v", "mtls_cert", "runtime_policy", "policies"])
def test_null_is_refused_where_something_is_needed(verifier, field):
    answer = add(verifier, **{field: None})
    if field in ("mb_policy", "mb_policy_name", "v", "revocation_key", "policies"):
        assert answer.status == 200, answer.body
        verifier.verifier("DELETE", f"/v2.6/agents/{AGENT_ID}")
    else:
        assert answer.status == 400, answer.body


@pytest.mark.parametrize("field", ["tpm_policy", "metadata", "ak_tpm", "cloudagent_ip", "cloudagent_port", "mtls_cert"])
def test_empty_text_is_refused_where_something_is_needed(verifier, field):
    assert add(verifier, **{field: ""}).status == 400


@pytest.mark.parametrize("port", [0, -1, 65536, "0", "65536", "1e3", " 9", "0x10", 2 ** 63, "9" * 400])
def test_a_port_outside_of_its_range_is_refused(verifier, port):
    assert add(verifier, cloudagent_port=port).status == 400
    assert add(verifier, verifier_port=port).status == 400


@pytest.mark.parametrize("policy", ["", "nonsense", "[]", "null", "7", '{"mask": 1024}', '{"mask": "zz"}',
                                    '{"mask": "0x1000000"}', '{"mask": "0x100000000"}', '{"24": ["00"]}', '{"x": ["00"]}',
                                    '{"15": []}', '{"15": ["zz"]}', '{"15": ["00"]}', '{"15": {}}', '{"15": 1}',
                                    '{"mask": "0x0", "mask": "0x1"}', "{" * 5000])
def test_a_tpm_policy_is_checked_when_it_comes(verifier, policy):
    answer = add(verifier, tpm_policy=policy)
    assert answer.status == 400, answer.body
    assert "tpm" in answer.json["status"]


@pytest.mark.parametrize("address", ["a b", "127.0.0.1/x", "x\ny", "a@b", "ä", "\u0000"])
def test_an_address_that_is_none_is_refused(verifier, address):
    answer = add(verifier, cloudagent_ip=address)
    assert answer.status == 400


RAW = {"cut short": b'{"v": nu', "array": b"[]", "number": b"7", "two documents": b"{}{}",
       "invalid UTF-8": b'{"tpm_policy": "\xff"}', "duplicate key": b'{"a": 1, "a": 2}', "NUL": b'{"a": "\\u0000"}',
       "deep": b"[" * 100000, "byte order mark": b"\xef\xbb\xbf{}"}


@pytest.mark.parametrize("name", sorted(RAW))
@pytest.mark.parametrize("path", [f"/v2.6/agents/{AGENT_ID}", "/v2.6/allowlists/x", "/v2.6/mbpolicies/x"])
def test_a_body_that_is_no_object_is_refused(verifier, path, name):
    answer = verifier.verifier("POST", path, RAW[name], headers={"Content-Type": "application/json"})
    assert answer.status == 400 and answer.body == b"", answer.body
    answer = verifier.verifier("POST", path, RAW[name])
    assert answer.status == 400
    assert answer.json["status"].startswith("Exception error: ")


@pytest.mark.parametrize("path", [f"/v2.6/agents/{AGENT_ID}", "/v2.6/allowlists/x", "/v2.6/mbpolicies/x",
                                  "/v2.6/verify/evidence"])
def test_an_empty_body_without_content_type_gets_a_text(verifier, path):
    answer = verifier.verifier("POST", path, b"")
    assert answer.status == 400
    assert answer.json == {"code": 400, "status": "Expected non zero content length", "results": {}}


def test_a_large_body_is_read_like_a_small_one(verifier):
    padded = good(metadata=json.dumps({"pad": "x" * 200000}))
    answer = verifier.verifier("POST", f"/v2.6/agents/{AGENT_ID}", padded)
    assert answer.status == 200, answer.body
    assert json.loads(verifier.agent_status()["meta_data"]) == {"pad": "x" * 200000}
    assert verifier.verifier("DELETE", f"/v2.6/agents/{AGENT_ID}").status == 200
    del padded["ak_tpm"]
    answer = verifier.verifier("POST", f"/v2.6/agents/{AGENT_ID}", padded)
    assert answer.json["status"] == "Exception error: 'ak_tpm'"
    broken = json.dumps(padded)[:-1].encode()
    assert verifier.verifier("POST", f"/v2.6/agents/{AGENT_ID}", broken).status == 400


@pytest.mark.parametrize("agent_id", ["a" * 81, "a%20b", "a;b", "a'b", "..%2f", "a+b"])
@pytest.mark.parametrize("method,tail", [("GET", ""), ("POST", ""), ("DELETE", ""), ("PUT", "/stop"),
                                         ("PUT", "/reactivate")])
def test_an_id_out_of_other_characters_is_refused_on_every_route(verifier, method, tail, agent_id):
    answer = verifier.verifier(method, f"/v2.6/agents/{agent_id}{tail}")
    assert answer.status == 400, answer.body
    if answer.body:
        assert answer.json["status"] == "agent_id not not valid"


@pytest.mark.parametrize("agent_id", ["a", "a" * 80, "A.b_c-9", ".", ".."])
def test_ids_within_the_rule_are_taken(verifier, agent_id):
    assert verifier.verifier("GET", f"/v2.6/agents/{agent_id}").status == 404
    assert add(verifier, agent_id=agent_id).status == 200
    assert verifier.verifier("DELETE", f"/v2.6/agents/{agent_id}").status == 200


def test_an_attestation_key_that_a_tpm_would_not_hold_is_refused(verifier):
    for ak in ("@@", "AAAA", "QQ==", "ARgAAQALAAUAcgAAABAAFAALCAAAAAAAAQA="):
        answer = add(verifier, ak_tpm=ak)
        assert answer.status == 400 and "ak_tpm" in answer.json["status"]


# ---- one-shot checks ----

@pytest.mark.parametrize("case", recorded("verifier_agents_flow",
                                          lambda c: "identity" in c["note"] and c["response"]["code"] != 200))
def test_identity_checks_that_are_refused_are_as_recorded(verifier, case):
    request = case["request"]
    answer = verifier.verifier(request["method"], request["path"], client=request["client_cert"])
    same(answer, case["response"])


def test_identity_is_judged_by_the_stored_key(verifier):
    cases = {c["note"]: c for c in vectors("server/verifier_agents_flow.json")}
    assert add(verifier).status == 200
    try:
        for note, valid in (("identity ok", 1), ("identity wrong nonce", 0), ("identity wrong alg", 0),
                            ("identity unknown alg", 0), ("identity junk quote", 0)):
            answer = verifier.verifier("GET", cases[note]["request"]["path"], client=False)
            assert answer.status == 200, answer.body
            assert answer.results["valid"] == valid, note
            assert type(answer.results["valid"]) is int
            assert ("reason" in answer.results) == (valid == 0)
    finally:
        verifier.verifier("DELETE", f"/v2.6/agents/{AGENT_ID}")


# Runtime and boot policies need their plugins; what is refused before them does not.
EVIDENCE = ("missing quote", "missing nonce",
            "missing hash_alg", "missing tpm_ek", "missing tpm_ak", "no policy", "unknown type", "missing type",
            "missing data", "bad json", "GET")


@pytest.mark.parametrize("note", EVIDENCE)
def test_evidence_is_judged_as_recorded(verifier, note):
    case = next(c for c in vectors("server/verifier_evidence.json") if c["note"] == note)
    answer = replay(verifier, case)
    assert answer.status == case["response"]["code"], answer.body
    recorded = case["response"].get("json")
    if recorded and "valid" in recorded["results"]:
        assert answer.results["valid"] == recorded["results"]["valid"]
        assert [f["type"] for f in answer.results.get("failures", [])] == \
               [f["type"] for f in recorded["results"].get("failures", [])]
    elif recorded:
        assert answer.json == recorded
    else:
        assert answer.body == b""


@pytest.mark.parametrize("note,failures", [("tpm policy ok", []), ("tpm policy mismatch", ["pcr_validation.invalid_pcr_22"]),
                                           ("policy pcr not in quote", ["pcr_validation.missing_pcrs"])])
def test_pcrs_of_evidence_are_judged_without_a_runtime_policy(verifier, note, failures):
    case = copy.deepcopy(next(c for c in vectors("server/verifier_evidence.json") if c["note"] == note))
    del case["request"]["body"]["data"]["runtime_policy"]
    answer = replay(verifier, case)
    assert answer.status == 200
    assert [f["type"] for f in answer.results.get("failures", [])] == failures
    assert answer.results["valid"] is (failures == [])


def test_evidence_extensions_are_for_administrators(verifier):
    case = next(c for c in vectors("server/verifier_evidence.json") if c["note"] == "tpm policy ok")
    body = copy.deepcopy(case["request"]["body"])
    body["data"]["evidence"] = {}
    assert verifier.verifier("POST", "/v2.6/verify/evidence", body, client=False).status == 400


def test_a_body_over_8_mib_is_refused(verifier):
    conn = http.client.HTTPSConnection("127.0.0.1", verifier.ports["verifier"], context=verifier.context(False))
    conn.putrequest("POST", "/v2.6/verify/evidence")
    conn.putheader("Content-Length", str(8 * 1024 * 1024 + 1))
    conn.endheaders()
    assert Answer(conn.getresponse()).status == 413
    conn.close()


@pytest.mark.parametrize("mode,public,client", [("public", 400, 400), ("mtls", 403, 400), ("off", 404, 404)])
def test_evidence_can_be_kept_for_clients_or_switched_off(lab, mode, public, client):
    lab.start_verifier(verify_evidence=mode)
    assert lab.verifier("POST", "/v2.6/verify/evidence", {}, client=False).status == public
    assert lab.verifier("POST", "/v2.6/verify/evidence", {}).status == client


# ---- policies ----

def test_empty_policies_are_kept_without_a_validator(verifier):
    for policy in (None, "{}", ""):
        assert verifier.verifier("POST", "/v2.6/mbpolicies/mb1", {"mb_policy": policy}).status == 201
        assert verifier.verifier("POST", "/v2.6/mbpolicies/mb1", {"mb_policy": policy}).status == 409
        assert verifier.verifier("PUT", "/v2.6/mbpolicies/mb1", {"mb_policy": policy}).status == 201
        answer = verifier.verifier("GET", "/v2.6/mbpolicies/mb1")
        assert answer.results == {"name": "mb1", "mb_policy": policy}
        assert verifier.verifier("GET", "/v2.6/mbpolicies").results == {"mbpolicy names": ["mb1"]}
        gone = verifier.verifier("DELETE", "/v2.6/mbpolicies/mb1")
        assert gone.status == 204 and gone.body == b""


def refused_policy_call(case):
    return (case["response"]["code"] in (400, 404, 405) or case["note"] == "update unknown") and \
        "runtime_policy" not in str(case["request"].get("body"))


@pytest.mark.parametrize("case", recorded("verifier_policies", refused_policy_call))
def test_refused_policy_calls_are_as_recorded(verifier, case):
    same(replay(verifier, case), case["response"])


@pytest.mark.parametrize("body", [{}, {"runtime_policy": None}, {"runtime_policy": "@@"}, {"runtime_policy": "ew=="},
                                  {"runtime_policy": "W10="}, {"runtime_policy": ""}, {"runtime_policy": 7}])
def test_a_runtime_policy_that_is_no_json_is_refused(verifier, body):
    answer = verifier.verifier("POST", "/v2.6/allowlists/x", body)
    assert answer.status == 400
    assert answer.json["status"] == "Runtime policy is not valid JSON!"


def test_a_name_of_256_bytes_is_refused(verifier):
    assert verifier.verifier("GET", "/v2.6/allowlists/" + "x" * 255).status == 404
    assert verifier.verifier("GET", "/v2.6/allowlists/" + "x" * 256).status == 400


# ---- the connection itself ----

def test_a_thousand_idle_connections_hold_up_nobody(verifier):
    idle = []
    try:
        for _ in range(500):
            idle.append(socket.create_connection(("127.0.0.1", verifier.ports["verifier"])))
        assert verifier.verifier("GET", "/version", timeout=10).status == 200
    finally:
        for s in idle:
            s.close()


def test_answers_come_without_the_delay_of_small_packets(verifier):
    conn = http.client.HTTPSConnection("127.0.0.1", verifier.ports["verifier"], context=verifier.context())
    conn.request("GET", "/version")
    Answer(conn.getresponse())
    took = []
    for _ in range(20):
        began = time.monotonic()
        conn.request("GET", "/version")
        Answer(conn.getresponse())
        took.append(time.monotonic() - began)
    conn.close()
    assert sorted(took)[10] < 0.030 * SLOW


# ---- start ----

@pytest.mark.parametrize("options,words", [
    ({"severity_labels": []}, "severity_labels"), ({"leases": True, "keep_v": False}, "keep_v"), ({"mode": "push"}, "mode"),
    ({"durable_attestation_import": "x"}, "durable_attestation_import"), ({"plugins": ["nope"]}, "nope"),
    ({"quote_interval": -1.0}, "quote_interval"), ({"no_such_option": 1}, "no_such_option"),
    ({"severity_policy": [{"event_id": "(", "severity_label": "x"}]}, "severity_policy"),
    ({"trusted_client_ca": ["all"]}, "trusted_client_ca"), ({"database_url": "nosuch://x"}, "nosuch")])
def test_a_start_that_cannot_be_right_is_refused_with_the_reason(lab, options, words):
    p = lab.start_verifier(wait=False, **options)
    assert p.popen.wait(timeout=60 * SLOW) == 1
    assert words in p.log, p.log
