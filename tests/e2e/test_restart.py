# SPDX-License-Identifier: Apache-2.0
"""What a killed verifier has acknowledged is there after its next start, and is polled (design section 10)."""

import base64
import json
import signal

import pytest
from conftest import AGENT_ID, wait_until
from test_attestation import add, addition, policy


def restart(lab, sig=signal.SIGKILL):
    lab.processes[1].kill(sig)
    lab.processes[1].start()
    lab.processes[1].wait_for("ready")


def others(lab, count):
    """Additions of agents that nobody answers for."""
    body = addition(lab, cloudagent_port=9)
    ids = [f"agent-{n:04d}" for n in range(count)]
    for agent_id in ids:
        answer = lab.verifier("POST", f"/v2.6/agents/{agent_id}", body)
        assert answer.status == 200, answer.body
    return ids


def test_a_killed_verifier_polls_its_agents_again(lab):
    lab.start_all()
    add(lab, tpm_policy=policy(lab, 15))
    before = lab.wait_attested(3)
    restart(lab)
    after = lab.wait_attested(2)
    assert after["operational_state"] == 3
    assert after["attestation_count"] >= before["attestation_count"]
    lab.extend(15)
    assert lab.wait_state(9)["last_event_id"] == "pcr_validation.invalid_pcr_15"


@pytest.mark.parametrize("round", range(3))
def test_acknowledged_additions_survive_a_kill(lab, round):
    lab.start_all(max_retries=1000, retry_interval=1.0)
    ids = others(lab, 10 + 20 * round)
    restart(lab)
    listed = [entry[0] for entry in lab.verifier("GET", "/v2.6/agents/").results["uuids"]]
    assert listed == ids
    bulk = lab.verifier("GET", "/v2.6/agents/?bulk=1").results
    assert {a["operational_state"] for a in bulk.values()} <= {1, 3}
    wait_until(lambda: lab.processes[1].log.count("retry=1/") >= len(ids), 20, "a poll of each")


def test_acknowledged_orders_survive_a_kill(lab):
    lab.start_all(max_retries=1000, retry_interval=1.0)
    ids = others(lab, 3)
    assert lab.verifier("PUT", f"/v2.6/agents/{ids[0]}/stop").status == 200
    assert lab.verifier("DELETE", f"/v2.6/agents/{ids[1]}").status == 200
    restart(lab)
    assert lab.agent_status(ids[0])["operational_state"] == 10
    assert lab.verifier("GET", f"/v2.6/agents/{ids[1]}").status == 404
    assert lab.agent_status(ids[2])["operational_state"] in (1, 3)
    assert lab.verifier("GET", "/v2.6/allowlists/").results["runtimepolicy names"] == [ids[0], ids[2]]
    assert lab.verifier("PUT", f"/v2.6/agents/{ids[0]}/reactivate").status == 200
    assert lab.agent_status(ids[0])["operational_state"] in (1, 3)


def test_a_failed_agent_stays_failed(lab):
    lab.start_all()
    add(lab, tpm_policy=json.dumps({"15": ["ab" * 32], "mask": "0x8000"}))
    failed = lab.wait_state(9)
    restart(lab)
    assert lab.agent_status() == failed
    assert "0 agents" in lab.processes[1].log
    assert lab.agent_status()["last_received_quote"] == failed["last_received_quote"]


def test_below_the_top_severity_polling_goes_on_after_a_restart(lab):
    lab.start_all(severity_labels=["low", "high"], severity_policy=[{"event_id": ".*", "severity_label": "low"}])
    add(lab, tpm_policy=policy(lab, 23))
    lab.wait_attested(1)
    lab.extend(23)
    lab.wait_state(9)
    restart(lab)
    assert lab.agent_status()["operational_state"] == 9
    lab.tpm2("pcrreset", "23")
    assert lab.wait_attested(2)["operational_state"] == 3


def test_a_deletion_cut_short_is_finished_at_the_next_start(lab):
    lab.start_all(max_retries=1000, retry_interval=1.0)
    ids = others(lab, 2)
    lab.processes[1].kill()
    lab.store.write(f"UPDATE agents SET operational_state = 8 WHERE agent_id = '{ids[0]}'")
    lab.processes[1].start()
    lab.processes[1].wait_for("1 deletions finished")
    lab.processes[1].wait_for("ready")
    assert lab.verifier("GET", f"/v2.6/agents/{ids[0]}").status == 404
    assert lab.verifier("GET", "/v2.6/allowlists/").results["runtimepolicy names"] == [ids[1]]


def test_agents_of_another_verifier_are_shown_but_not_touched(lab):
    lab.start_all(max_retries=1000, retry_interval=1.0)
    ids = others(lab, 1)
    lab.processes[1].kill()
    lab.start_verifier(uuid="second")
    assert "0 agents" in lab.processes[-1].log
    assert lab.verifier("GET", "/v2.6/agents/").results == {"uuids": [ids]}
    assert lab.agent_status(ids[0])["verifier_id"] == "default"
    answer = lab.verifier("DELETE", f"/v2.6/agents/{ids[0]}")
    assert answer.status == 404 and answer.json["status"] == "agent id associated to this verifier"
    for order in ("stop", "reactivate"):
        assert lab.verifier("PUT", f"/v2.6/agents/{ids[0]}/{order}").status == 400
    assert lab.agent_status(ids[0])["operational_state"] in (1, 3)


@pytest.mark.parametrize("keep", [True, False])
def test_v_is_sent_again_after_a_restart_if_it_is_kept(lab, keep):
    lab.start_all(keep_v=keep, log_level="debug", max_retries=50)
    add(lab, v=base64.b64encode(b"v" * 32).decode())
    lab.wait_attested(2)
    agent = lab.processes[3]
    agent.stop()
    lab.start_agent(log_level="debug")
    restart(lab)
    lab.wait_attested(2)
    assert lab.store.rows("SELECT count(v) FROM agents") == [[str(int(keep))]]
    assert ("vkey" in lab.processes[-1].log) == keep


def test_a_failure_that_the_database_cannot_take_is_in_the_journal_and_survives_a_kill(lab):
    lab.start_all()
    add(lab, tpm_policy=policy(lab, 15))
    lab.wait_attested(1)
    with lab.store.away():
        lab.extend(15)
        journal = lab.server / "failures.journal"
        wait_until(lambda: journal.stat().st_size > 0, 90, "a record in the journal")
        record = json.loads(journal.read_text().splitlines()[0])
        assert record["agent_id"] == AGENT_ID and record["event_id"] == "pcr_validation.invalid_pcr_15"
        lab.processes[1].kill()
    lab.processes[1].start()
    lab.processes[1].wait_for("failure of the journal stored")
    lab.processes[1].wait_for("area=revocation")
    failed = lab.agent_status()
    assert failed["operational_state"] == 9
    assert failed["last_event_id"] == "pcr_validation.invalid_pcr_15"
    assert journal.stat().st_size == 0


def test_a_failure_is_stored_when_the_database_comes_back(lab):
    lab.start_all()
    add(lab, tpm_policy=policy(lab, 15))
    lab.wait_attested(1)
    with lab.store.away():
        lab.extend(15)
        journal = lab.server / "failures.journal"
        wait_until(lambda: journal.stat().st_size > 0, 90, "a record in the journal")
    failed = lab.wait_state(9, seconds=40)
    assert failed["last_event_id"] == "pcr_validation.invalid_pcr_15"
    wait_until(lambda: journal.stat().st_size == 0, 10, "an empty journal")
    assert lab.processes[1].log.count("area=revocation") == 1


def test_the_store_key_and_its_folder_are_private(lab):
    lab.start_verifier()
    assert (lab.server / "store.key").stat().st_mode & 0o777 == 0o600
    assert (lab.server / "failures.journal").stat().st_mode & 0o777 == 0o600
    assert lab.ca.stat().st_mode & 0o777 == 0o700
    assert lab.processes[0].stop() == 0
