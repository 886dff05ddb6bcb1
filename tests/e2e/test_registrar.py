# SPDX-License-Identifier: Apache-2.0
"""The registrar over its two ports: what is refused, what is kept, who may look (spec/server.md 9, decision 26)."""

import pytest
from conftest import AGENT_ID, Lab, vectors

TLS_DIR = {"tls_dir": "generate"}
WRONG_TAG = "0" * 96


@pytest.fixture
def registrar(lab):
    lab.ca = lab.dir / "registrar" / "reg_ca"
    lab.start_registrar(tls_dir="generate", trusted_client_ca=[str(lab.ca / "cacert.crt")])
    # A CA made by the registrar has no client certificate: administration is tried with the verifier's layout elsewhere.
    return lab


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """One registrar for the whole file, with the verifier's CA, so that there is an administrator."""
    lab = Lab(tmp_path_factory.mktemp("site"))
    lab.start_verifier().stop()
    lab.start_registrar()
    yield lab
    lab.close()


@pytest.fixture
def both(site):
    """The site without registrations."""
    for agent_id in site.registrar("GET", "/v2.6/agents/", tls=True).results["uuids"]:
        assert site.registrar("DELETE", f"/v2.6/agents/{agent_id}", tls=True).status == 200
    return site


def registration(n=0):
    case = vectors("agent/registration.json")["cases"][n]
    return case, dict(case["register_request"])


def register(lab, body, agent_id=AGENT_ID, **kw):
    return lab.registrar("POST", f"/v2.6/agents/{agent_id}", body, **kw)


def test_version_is_told_on_both_ports(both):
    for tls in (False, True):
        answer = both.registrar("GET", "/version", tls=tls, client=False)
        assert answer.status == 200
        assert answer.results["current_version"] == "2.6"
        assert answer.results["supported_versions"][0] == "1.0"
    assert both.registrar("GET", "/versions").status == 404


@pytest.mark.parametrize("n", range(5))
def test_each_kind_of_key_gets_a_challenge(both, n):
    case, body = registration(n)
    answer = register(both, body)
    assert answer.status == 200, answer.body
    assert len(answer.results["blob"]) == len(case["register_response"]["results"]["blob"])


def test_a_registration_is_seen_by_administrators_only(both):
    _, body = registration()
    assert register(both, body).status == 200
    assert both.registrar("GET", "/v2.6/agents/").status == 400
    denied = both.registrar("GET", "/v2.6/agents/", tls=True, client=False)
    assert denied.status == 403
    assert denied.json == {"errors": [{"status": "403", "title": "Forbidden", "detail":
                           "Action list_registrations requires admin authentication (mTLS certificate)"}]}
    listed = both.registrar("GET", "/v2.6/agents/", tls=True)
    assert listed.results == {"uuids": [AGENT_ID]}
    shown = both.registrar("GET", f"/v2.6/agents/{AGENT_ID}", tls=True)
    assert shown.status == 404
    assert shown.json["status"] == f"Agent with ID '{AGENT_ID}' has not been activated"


def test_a_wrong_tag_deletes_nothing_and_five_void_the_challenge(both):
    _, body = registration()
    assert register(both, body).status == 200
    path = f"/v2.6/agents/{AGENT_ID}"
    for _ in range(5):
        answer = both.registrar("PUT", path, {"auth_tag": WRONG_TAG})
        assert answer.status == 400
        assert "does not match expected value" in answer.json["status"]
        assert answer.body.count(WRONG_TAG.encode()) == 1
    gone = both.registrar("PUT", path, {"auth_tag": WRONG_TAG})
    assert gone.status == 404
    assert gone.json["status"] == f"Agent with ID '{AGENT_ID}' not found"


@pytest.mark.parametrize("path", ["", "/activate"])
def test_activation_without_a_tag_is_an_empty_400(both, path):
    _, body = registration()
    register(both, body)
    for request in ({}, {"auth_tag": None}, {"auth_tag": 5}):
        answer = both.registrar("PUT", f"/v2.6/agents/{AGENT_ID}{path}", request)
        assert (answer.status, answer.body) == (400, b"")


@pytest.mark.parametrize("change", [
    {"aik_tpm": None}, {"ek_tpm": None, "ekcert": None}, {"aik_tpm": "AAAA"}, {"aik_tpm": "!"}, {"aik_tpm": 5}, {"aik_tpm": ""},
    {"ek_tpm": "AAAA"}, {"ekcert": "AAAA"}, {"port": "x"}, {"port": 0}, {"port": 65536}, {"port": -1}, {"port": 1.5},
    {"ip": 5}, {"ip": "a" * 256}, {"mtls_cert": 5}, {"mtls_cert": "junk"}, {"iak_tpm": "AAAA"},
])
def test_unfit_fields_are_refused_and_leave_nothing(both, change):
    _, body = registration()
    body.update(change)
    answer = register(both, body)
    assert answer.status == 400, answer.body
    assert answer.json == {"code": 400, "status": "Could not register agent with invalid data", "results": {}}
    assert both.registrar("GET", "/v2.6/agents/", tls=True).results == {"uuids": []}


def test_a_certificate_of_another_key_is_refused(both):
    certified = next(n for n in range(5) if registration(n)[1].get("ekcert"))
    other = next(n for n in range(5) if registration(n)[1]["ek_tpm"] != registration(certified)[1]["ek_tpm"])
    body = registration(other)[1]
    body["ekcert"] = registration(certified)[1]["ekcert"]
    assert register(both, body).status == 400


@pytest.mark.parametrize("case", vectors("agent/ak_attributes.json")["cases"], ids=lambda c: c["name"])
def test_attestation_keys_need_the_right_attributes(both, case):
    _, body = registration()
    body["aik_tpm"] = case["aik_tpm"]
    assert register(both, body).status == (200 if case["required"]["accept"] else 400)


def test_the_same_id_with_another_tpm_is_forbidden(both):
    assert register(both, registration(0)[1]).status == 200
    other = next(b for b in (registration(n)[1] for n in range(1, 5)) if b["aik_tpm"] != registration(0)[1]["aik_tpm"])
    answer = register(both, other)
    assert answer.status == 403
    assert answer.json["status"] == ("Agent re-registration with different TPM identity is forbidden for security "
                                     "reasons")
    assert register(both, registration(0)[1]).status == 200


@pytest.mark.parametrize("agent_id", ["a%20b", "a" * 81, "a%0a", "ü".encode().hex() + "!"])
def test_odd_ids_are_refused(both, agent_id):
    assert register(both, registration()[1], agent_id=agent_id).status == 400


@pytest.mark.parametrize("body", [b"", b"{bad", b"[]", b"null", b'{"a":1,"a":2}', b"[" * 100 + b"]" * 100, b"\xff\xfe",
                                  b'{"aik_tpm": "\\u0000"}'])
def test_malformed_bodies_get_an_empty_400(both, body):
    answer = both.registrar("POST", f"/v2.6/agents/{AGENT_ID}", body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.body) == (400, b"")


def test_routes_that_do_not_exist(both):
    assert both.registrar("GET", "/nosuch").status == 404
    assert both.registrar("GET", "/v9.9/agents/", tls=True).status == 404
    assert both.registrar("PUT", "/v2.6/agents/", {}, tls=True).status == 405
    assert both.registrar("HEAD", "/v2.6/agents/", tls=True).status == 405


def test_deletion_takes_active_and_waiting_records(both):
    register(both, registration()[1])
    assert both.registrar("DELETE", f"/v2.6/agents/{AGENT_ID}", tls=True).status == 200
    assert both.registrar("DELETE", f"/v2.6/agents/{AGENT_ID}", tls=True).status == 404
    assert both.registrar("DELETE", f"/v2.6/agents/{AGENT_ID}", tls=True, client=False).status == 403


def test_it_serves_on_after_its_worker_was_killed(both):
    import os
    import signal
    import subprocess

    registrar = both.processes[-1]
    workers = subprocess.run(["pgrep", "-P", str(registrar.pid)], capture_output=True, text=True).stdout.split()
    assert workers
    for pid in workers:
        os.kill(int(pid), signal.SIGKILL)
    assert register(both, registration()[1]).status == 200


def test_it_stops_on_sigterm_and_refuses_a_second_instance(registrar):
    import subprocess

    argv = [str(a) for a in registrar.processes[-1].argv]
    second = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert "in use by another process" in second.stderr
    assert registrar.processes[-1].stop() == 0
