# SPDX-License-Identifier: Apache-2.0
"""The main job: agents are attested, found out when a PCR changes, reactivated, stopped and removed."""

import base64
import json
import re
import signal
import time

import pytest
from conftest import AGENT_ID, SLOW, wait_until


def addition(lab, **changes):
    """Body of an addition as the tenant sends it, from what the registrar knows."""
    known = lab.registrar("GET", f"/v2.6/agents/{AGENT_ID}", tls=True).results
    body = {"v": None, "cloudagent_ip": "127.0.0.1", "cloudagent_port": lab.ports["agent"], "verifier_ip": "127.0.0.1",
            "verifier_port": str(lab.ports["verifier"]), "tpm_policy": '{"mask": "0x0"}', "runtime_policy": "",
            "runtime_policy_name": "", "runtime_policy_key": "", "mb_policy": None, "mb_policy_name": "",
            "ima_sign_verification_keys": "", "metadata": "{}", "revocation_key": "",
            "accept_tpm_hash_algs": ["sha512", "sha384", "sha256"], "accept_tpm_encryption_algs": ["ecc", "rsa"],
            "accept_tpm_signing_algs": ["ecschnorr", "rsassa"], "ak_tpm": known["aik_tpm"],
            "mtls_cert": known["mtls_cert"], "supported_version": "2.2"}
    body.update(changes)
    return body


def policy(lab, number):
    """A tpm_policy that wants the PCR to stay as it is."""
    return json.dumps({str(number): [lab.pcr(number)], "mask": hex(1 << number)})


def add(lab, **changes):
    answer = lab.verifier("POST", f"/v2.6/agents/{AGENT_ID}", addition(lab, **changes))
    assert answer.status == 200, answer.body
    assert answer.json == {"code": 200, "status": "Success", "results": {}}


def put(lab, order):
    return lab.verifier("PUT", f"/v2.6/agents/{AGENT_ID}/{order}")


@pytest.fixture
def attested(lab):
    """Everything runs; the agent's PCR 15 is pinned; it has passed twice."""
    lab.start_all()
    add(lab, tpm_policy=policy(lab, 15))
    lab.wait_attested(2)
    return lab


def test_an_agent_is_attested_again_and_again(attested):
    first = attested.agent_status()
    assert first["operational_state"] == 3
    assert first["attestation_status"] == "PASS"
    assert (first["hash_alg"], first["enc_alg"], first["sign_alg"]) == ("sha256", "rsa", "rsassa")
    assert first["severity_level"] is None and first["last_event_id"] is None
    assert first["v"] is None
    later = attested.wait_attested(3)
    assert later["last_successful_attestation"] >= first["last_successful_attestation"] > 0


def test_a_changed_pcr_is_an_invalid_quote_and_ends_polling(attested):
    attested.extend(15)
    failed = attested.wait_state(9)
    assert failed["last_event_id"] == "pcr_validation.invalid_pcr_15"
    assert failed["severity_level"] == 6
    assert failed["attestation_status"] == "FAIL"
    verifier = attested.processes[1]
    verifier.wait_for(f"Agent {AGENT_ID} failed, stopping polling")
    verifier.wait_for("area=revocation")
    event = next(line for line in verifier.log.splitlines() if "area=revocation" in line)
    assert "event=pcr_validation.invalid_pcr_15" in event and "severity=emergency" in event
    assert attested.agent_status()["attestation_count"] == failed["attestation_count"]


def test_a_failed_agent_can_be_reactivated_and_fails_again_while_the_cause_is_there(attested):
    attested.extend(15)
    before = attested.wait_state(9)["last_received_quote"]
    wait_until(lambda: int(time.time()) > before, 5, "next second")
    answer = put(attested, "reactivate")
    assert answer.status == 200 and answer.json["results"] == {}
    wait_until(lambda: attested.agent_status()["last_received_quote"] > before, 10, "another quote")
    assert attested.wait_state(9)["last_event_id"] == "pcr_validation.invalid_pcr_15"


def test_after_repair_severity_and_event_stay_for_the_record(lab):
    lab.start_all()
    add(lab, tpm_policy=policy(lab, 23))
    lab.wait_attested(1)
    lab.extend(23)
    lab.wait_state(9)
    lab.tpm2("pcrreset", "23")
    assert put(lab, "reactivate").status == 200
    status = lab.wait_attested(2)
    assert status["operational_state"] == 3 and status["attestation_status"] == "PASS"
    assert status["severity_level"] == 6
    assert status["last_event_id"] == "pcr_validation.invalid_pcr_23"


def test_a_stopped_agent_is_not_polled_and_can_be_reactivated(attested):
    assert put(attested, "stop").status == 200
    stopped = attested.agent_status()
    assert stopped["operational_state"] == 10 and stopped["attestation_status"] == "FAIL"
    assert put(attested, "stop").status == 200, "twice is fine"
    assert attested.agent_status()["attestation_count"] == stopped["attestation_count"]
    assert put(attested, "reactivate").status == 200
    assert attested.wait_attested(2)["operational_state"] == 3


def test_reactivating_a_polled_agent_does_not_poll_it_twice(attested):
    for _ in range(5):
        assert put(attested, "reactivate").status == 200
    began = time.time()
    attested.wait_attested(4)
    assert time.time() - began > 3 * 0.3, "four attestations need three intervals"
    assert attested.agent_status()["operational_state"] == 3


def test_a_removed_agent_is_gone_with_its_policies(attested):
    names = attested.verifier("GET", "/v2.6/allowlists/").results["runtimepolicy names"]
    assert names == [AGENT_ID]
    assert attested.verifier("GET", f"/v2.6/mbpolicies/{AGENT_ID}").results == {"name": AGENT_ID, "mb_policy": None}
    answer = attested.verifier("DELETE", f"/v2.6/agents/{AGENT_ID}")
    assert answer.status in (200, 202)
    wait_until(lambda: attested.verifier("GET", f"/v2.6/agents/{AGENT_ID}").status == 404, 10, "404")
    assert attested.verifier("GET", "/v2.6/allowlists/").results == {"runtimepolicy names": []}
    assert attested.verifier("GET", "/v2.6/mbpolicies/").results == {"mbpolicy names": []}
    add(attested, tpm_policy=policy(attested, 15))
    attested.wait_attested(1)


def test_a_wrong_pcr_fails_at_the_first_quote(lab):
    lab.start_all()
    add(lab, tpm_policy=json.dumps({"15": ["ab" * 32], "mask": "0x8000"}))
    failed = lab.wait_state(9)
    assert failed["last_event_id"] == "pcr_validation.invalid_pcr_15"
    assert failed["attestation_count"] == 0 and failed["last_successful_attestation"] == 0


def test_a_pcr_of_the_policy_is_asked_for_even_if_the_mask_leaves_it_out(lab):
    lab.start_all()
    add(lab, tpm_policy=json.dumps({"15": ["ab" * 32], "mask": "0x0"}))
    assert lab.wait_state(9)["last_event_id"] == "pcr_validation.invalid_pcr_15"


def test_an_algorithm_that_is_not_accepted_fails(lab):
    lab.start_all()
    add(lab, accept_tpm_hash_algs=["sha1"])
    assert lab.wait_state(9)["last_event_id"] == "qoute_validation.invalid_hash_alg"


def test_an_agent_that_cannot_be_reached_fails_after_its_retries(lab):
    lab.start_all()
    lab.processes[3].stop()
    add(lab)
    failed = lab.wait_state(7, seconds=30)
    assert failed["last_event_id"] == "internal.verifier.not_reachable"
    assert failed["attestation_status"] == "FAIL"
    assert failed["attestation_count"] == 0


def test_an_agent_with_another_certificate_is_not_trusted(lab):
    """The pin is the one certificate that was handed over with the addition."""
    lab.start_all()
    other = (lab.ca / "server-cert.crt").read_text()
    add(lab, mtls_cert=other)
    assert lab.wait_state(7, seconds=30)["last_event_id"] == "internal.verifier.not_reachable"


def test_a_lost_agent_comes_back_within_its_retries(lab):
    lab.start_all(max_retries=50, retry_interval=0.3)
    add(lab)
    lab.wait_attested(1)
    agent = lab.processes[3]
    agent.stop()
    wait_until(lambda: "retry=2/50" in lab.processes[1].log, 20, "second retry")
    lab.start_agent()
    lab.wait_attested(2)
    assert lab.agent_status()["operational_state"] == 3


def test_v_is_delivered_and_never_shown(lab):
    lab.start_all()
    v = base64.b64encode(bytes(range(32))).decode()
    add(lab, v=v)
    lab.wait_attested(2)
    assert lab.agent_status()["v"] is None
    assert v not in lab.verifier("GET", "/v2.6/agents/?bulk=1").body.decode()
    stored = lab.store.everything()
    assert bytes(range(32)) not in stored and v.encode() not in stored
    assert v not in lab.processes[1].log


def test_a_severity_below_the_top_goes_on_polling_and_recovers(lab):
    lab.start_all(severity_labels=["low", "high"],
                  severity_policy=[{"event_id": "pcr_validation\\..*", "severity_label": "low"}])
    add(lab, tpm_policy=policy(lab, 23))
    lab.wait_attested(1)
    lab.extend(23)
    failed = lab.wait_state(9)
    assert failed["severity_level"] == 0
    assert failed["last_event_id"] == "pcr_validation.invalid_pcr_23"
    lab.tpm2("pcrreset", "23")
    status = lab.wait_attested(2)
    assert status["operational_state"] == 3
    assert status["severity_level"] == 0
    assert len(re.findall("area=revocation", lab.processes[1].log)) == 1


def test_an_agent_that_speaks_an_older_version_is_asked_in_it(lab):
    lab.start_all()
    add(lab, supported_version="2.0")
    lab.wait_attested(2)


def test_agents_can_be_listed(attested):
    assert attested.verifier("GET", "/v2.6/agents/").results == {"uuids": [[AGENT_ID]]}
    assert attested.verifier("GET", "/v2.6/agents/?verifier=default").results == {"uuids": [[AGENT_ID]]}
    assert attested.verifier("GET", "/v2.6/agents/?verifier=other").results == {"uuids": []}
    for bulk in ("True", "False", "x"):
        answer = attested.verifier("GET", f"/v2.6/agents/?bulk={bulk}&verifier=")
        assert list(answer.results) == [AGENT_ID]
        assert answer.results[AGENT_ID]["operational_state"] == 3
    assert attested.verifier("GET", "/v2.6/agents/?bulk=").results == {"uuids": [[AGENT_ID]]}


def test_certificates_and_workers_are_replaced_by_a_hangup_without_losing_a_beat(attested):
    attested.processes[1].popen.send_signal(signal.SIGHUP)
    attested.processes[1].wait_for("reloaded")
    status = attested.wait_attested(3)
    assert status["operational_state"] == 3 and status["last_event_id"] is None


def test_a_stop_drains_and_exits_with_0(attested):
    assert attested.processes[1].stop() == 0
    assert "stopped" in attested.processes[1].log


def test_two_verifiers_on_one_state_folder_are_refused(lab):
    lab.start_verifier()
    second = lab.spawn("second", lab.argv("verifier", lab.server))
    second.popen.wait(timeout=20 * SLOW)
    assert second.popen.returncode == 1
