# SPDX-License-Identifier: Apache-2.0
"""The boot log as evidence: a real agent with the plugin mboot hands it out beside its quotes."""

import base64
import http.client

from conftest import SLOW, Answer

NONCE = "0123456789abcdefghij"
LOG = bytes(range(256)) * 100


def quote(lab, mask, extra=""):
    context = lab.context()
    context.load_verify_locations(lab.dir / "agent" / "server-cert.crt")
    conn = http.client.HTTPSConnection("127.0.0.1", lab.ports["agent"], context=context, timeout=20 * SLOW)
    conn.request("GET", f"/v2.6/quotes/integrity?nonce={NONCE}&mask={mask}&partial=1{extra}")
    answer = Answer(conn.getresponse())
    conn.close()
    assert answer.status == 200, answer.body
    return answer.results


def start(lab, **options):
    lab.start_tpm()
    lab.start_verifier()  # makes the CA
    lab.start_registrar()
    return lab.start_agent(plugins=["mboot"], **options)


def test_the_agent_hands_out_the_boot_log_with_pcr_0(lab):
    (lab.dir / "log").write_bytes(LOG)
    start(lab, measuredboot_ml_path=str(lab.dir / "log"))  # under the agent's own name, as Keylime's configuration has it
    assert base64.b64decode(quote(lab, "0x1")["mb_measurement_list"]) == LOG
    assert base64.b64decode(quote(lab, "0xf3ff")["mb_measurement_list"]) == LOG
    assert "mb_measurement_list" not in quote(lab, "0x400")
    named = quote(lab, "0x1", "&evidence=mboot:0")
    assert named["evidence"]["mboot"] == {"data": base64.b64encode(LOG).decode(), "cursor": 0, "from": 0}
    assert "mb_measurement_list" not in named


def test_the_plugins_own_path_wins_over_the_agents(lab):
    (lab.dir / "log").write_bytes(LOG)
    (lab.dir / "other").write_bytes(b"other")
    start(lab, measuredboot_ml_path=str(lab.dir / "other"), groups={"mboot": {"measuredboot_ml_path": str(lab.dir / "log")}})
    assert base64.b64decode(quote(lab, "0x1")["mb_measurement_list"]) == LOG


def test_a_log_that_is_absent_is_left_out_and_the_reason_logged(lab):
    agent = start(lab, measuredboot_ml_path=str(lab.dir / "nothing"))
    results = quote(lab, "0x1")
    assert results["quote"] and "mb_measurement_list" not in results
    agent.wait_for("evidence mboot is left out of the answer")
    assert str(lab.dir / "nothing") in agent.log
    (lab.dir / "nothing").write_bytes(b"\0" * (4 * 1024 * 1024 + 1))
    assert "mb_measurement_list" not in quote(lab, "0x1")
    agent.wait_for("has more than 4194304 bytes")
