# SPDX-License-Identifier: Apache-2.0
"""Databases of Keylime become ours: rows keep their state, agents go on without registering again."""

import base64
import json
import re
import sqlite3
import subprocess
import sys

import pytest

import stores
from conftest import AGENT_ID, ROOT, vectors, wait_until

sys.path.insert(0, str(ROOT / "tests" / "fixtures"))
sys.path.insert(0, str(ROOT / "tests" / "databases"))
import keylime_db  # noqa: E402
from servers import KINDS  # noqa: E402

EMPTY_POLICY = {"meta": {"version": 1, "generator": 1}, "release": 0, "digests": {}, "excludes": [], "keyrings": {},
                "ima": {"ignored_keyrings": [], "log_hash_alg": "sha1", "dm_policy": None}, "ima-buf": {},
                "verification-keys": ""}


@pytest.fixture
def lab(lab):
    """Whatever the run's store is, these look into a file of SQLite."""
    lab.store = stores.store(lab, "sqlite")
    return lab


def run_import(lab, url, *args, code=0, state=None):
    argv = [lab.bin / "quicklime-tenant", "import-db", url, "--state-dir", state or lab.server, "--plugin-dir", lab.plugins]
    run = subprocess.run([str(a) for a in [*argv, *args]], capture_output=True, text=True, timeout=60)
    assert run.returncode == code, f"exit {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run.stdout + run.stderr


def rows_of(lab, table="agents"):
    with sqlite3.connect(lab.server / "cv_data.sqlite") as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"select * from {table}")]


def test_a_rehearsal_counts_and_writes_no_row(lab):
    url = keylime_db.verifier(lab.dir / "k.sqlite", [
        ("allowlists", {"id": 1, "name": "good", "ima_policy": json.dumps(EMPTY_POLICY), "generator": 3}),
        ("allowlists", {"id": 2, "name": "x" * 300, "ima_policy": "{}", "generator": 0}),
        ("mbpolicies", {"id": 1, "name": "boot", "mb_policy": '{"a": 1}'}),
        ("verifiermain", keylime_db.agent("one", ima_policy_id=1, mb_policy_id=1)),
        ("verifiermain", keylime_db.agent("pushes", ip=None, port=None, operational_state=None)),
        ("verifiermain", keylime_db.agent("lost-policy", ima_policy_id=2)),
        ("verifiermain", keylime_db.agent("bad/id")),
        ("verifiermain", keylime_db.agent("bad-ak", ak_tpm="!!")),
        ("verifiermain", keylime_db.agent("bad-list", accept_tpm_hash_algs="[")),
        ("attestations", {"agent_id": "pushes", "index": 0}),
    ])
    said = run_import(lab, url, code=3)
    assert re.search(r"agents +1 of 6", said) and re.search(r"runtime policies +1 of 2", said), said
    assert re.search(r"measured boot policies +1 of 1", said)
    for words in ("agent pushes: it has no address", "agent lost-policy: its policy number 2", "agent bad/id: its id",
                  "agent bad-ak: column ak_tpm", "agent bad-list: column accept_tpm_hash_algs", "allowlists number 2",
                  "table attestations: 1 rows", "next_ima_ml_entry", "nothing was written"):
        assert words in said, f"{words}\n{said}"
    assert rows_of(lab) == [] and rows_of(lab, "policy_names") == []

    run_import(lab, url, "--apply", code=3)
    assert [row["agent_id"] for row in rows_of(lab)] == ["one"]
    again = run_import(lab, url, "--apply", code=3)
    assert "agent one: it is there already" in again and re.search(r"policies there already +2", again)
    assert len(rows_of(lab)) == 1

    other = keylime_db.verifier(lab.dir / "other.sqlite", [
        ("allowlists", {"id": 1, "name": "good", "ima_policy": "{}", "generator": 0}),
        ("verifiermain", keylime_db.agent("two", ima_policy_id=1))])
    said = run_import(lab, other, "--apply", code=3)
    assert "runtime policy good: there is one of this name with another content" in said
    assert "agent two: a policy of its is not taken" in said and len(rows_of(lab)) == 1


def test_recorded_rows_keep_what_they_say(lab):
    known = vectors("server/db_rows.json")
    url = keylime_db.verifier(lab.dir / "k.sqlite", [
        ("allowlists", known["allowlists"]), ("mbpolicies", {"id": 3, "name": "boot", "mb_policy": None}),
        ("verifiermain", known["verifiermain"])])
    run_import(lab, url, "--apply")
    row, seen = known["verifiermain"], rows_of(lab)[0]
    for column in ("ip", "port", "operational_state", "public_key", "meta_data", "accept_tpm_hash_algs", "hash_alg",
                   "enc_alg", "sign_alg", "verifier_id", "mtls_cert", "attestation_count", "last_received_quote",
                   "last_successful_attestation", "tpm_clockinfo", "supported_version", "severity_level"):
        assert seen[column] == row[column], column
    assert json.loads(seen["tpm_policy"]) == {"mask": "0x400"} and seen["mask"] == 0x400
    assert seen["ak_tpm"] == base64.b64decode(row["ak_tpm"])
    assert seen["v"] and base64.b64decode(row["v"]) not in seen["v"], "V is sealed"
    assert json.loads(seen["policies"])["ima"]["name"] == row["agent_id"]

    lab.start_verifier(enable_agent_mtls=True, max_retries=100)
    status = lab.agent_status()
    assert status["attestation_count"] == 3 and status["has_runtime_policy"] == 1 and status["has_mb_refstate"] == 0
    policy = lab.verifier("GET", f"/v2.6/allowlists/{AGENT_ID}").results["runtime_policy"]
    assert json.loads(policy) == json.loads(known["allowlists"]["ima_policy"])

    registrar = keylime_db.registrar(lab.dir / "r.sqlite", [("registrarmain", known["registrarmain"]),
                                                            ("registrarmain", {"agent_id": "never", "active": 0})])
    state = lab.dir / "registrar"
    state.mkdir()
    said = run_import(lab, registrar, "--apply", code=3, state=state)
    assert re.search(r"registrations +1 of 2", said) and "agent never: it was never activated" in said
    lab.start_registrar()
    record = lab.registrar("GET", f"/v2.6/agents/{AGENT_ID}", tls=True).results
    assert record["aik_tpm"] == known["registrarmain"]["aik_tpm"] and record["regcount"] == 1
    pem = "".join(record["mtls_cert"].split("-----")[2].split())
    assert pem == known["registrarmain"]["mtls_cert"]


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_databases_of_servers_are_read_and_written(lab, kind):
    if not KINDS[kind].program():
        pytest.skip(f"no server for {kind} is installed")
    known = vectors("server/db_rows.json")
    server = KINDS[kind]()
    try:
        source, ours = server.url(), server.url()
        rows = [("allowlists", known["allowlists"]), ("mbpolicies", {"id": 3, "name": "boot", "mb_policy": None}),
                ("verifiermain", known["verifiermain"])]
        server.sql(keylime_db.statements(keylime_db.VERIFIER, "alembic_version_cloud_verifier", rows, kind),
                   source.rsplit("/", 1)[1])
        (lab.dir / "source").write_text(source)
        (lab.dir / "ours").write_text(ours)
        args = (f"file:{lab.dir}/source", "--into", f"file:{lab.dir}/ours")
        assert "nothing was written" in run_import(lab, *args)
        assert re.search(r"agents +1 of 1", run_import(lab, *args, "--apply"))
        found = server.sql("select agent_id, attestation_count, hash_alg from agents", ours.rsplit("/", 1)[1])
        assert found.replace("|", " ").split() == [AGENT_ID, "3", "sha256"]

        registered = server.url()
        server.sql(keylime_db.statements(keylime_db.REGISTRAR, "alembic_version_registrar",
                                         [("registrarmain", known["registrarmain"])], kind), registered.rsplit("/", 1)[1])
        (lab.dir / "registered").write_text(registered)
        assert re.search(r"registrations +1 of 1", run_import(lab, f"file:{lab.dir}/registered"))
    finally:
        server.close()


def test_an_agent_goes_on_where_keylimes_verifier_left_it(lab):
    lab.start_all()
    lab.tpm2("pcrreset", "23")
    record = lab.registrar("GET", f"/v2.6/agents/{AGENT_ID}", tls=True).results
    lab.processes[1].stop()
    (lab.server / "cv_data.sqlite").unlink()
    policy = json.dumps(json.dumps({"23": ["00" * 32], "mask": "0x800000"}))
    row = keylime_db.agent(AGENT_ID, port=lab.ports["agent"], ak_tpm=record["aik_tpm"], mtls_cert=record["mtls_cert"],
                           tpm_policy=policy, supported_version="2.6", attestation_count=41, hash_alg="", enc_alg="")
    (lab.dir / "url").write_text(keylime_db.verifier(lab.dir / "k.sqlite", [("verifiermain", row)]) + "\n")
    run_import(lab, f"file:{lab.dir / 'url'}", "--apply")
    lab.start_verifier()
    wait_until(lambda: lab.agent_status()["attestation_count"] >= 43, 20, "two more attestations")
    assert lab.agent_status()["operational_state"] == 3
    lab.extend(23)
    assert lab.wait_state(9)["last_event_id"] == "pcr_validation.invalid_pcr_23"


@pytest.mark.parametrize("what,words", [
    ("schema", "bring the database up to date"), ("foreign", "not one of Keylime's"), ("absent", "unable to open"),
    ("words", "not a URL"), ("running", "is in use by another process"), ("folder", "does not exist")])
def test_what_cannot_be_imported_is_refused_with_the_reason(lab, what, words):
    url, args = f"sqlite:///{lab.dir}/k.sqlite", []
    if what == "schema":
        keylime_db.verifier(lab.dir / "k.sqlite", [], schema="0123456789ab")
    elif what == "foreign":
        with sqlite3.connect(lab.dir / "k.sqlite") as db:
            db.execute("create table x (y)")
    elif what == "words":
        url = "oracle://x"
    elif what in ("running", "folder"):
        keylime_db.verifier(lab.dir / "k.sqlite", [])
    if what == "running":
        lab.start_verifier()
    if what == "folder":
        args = ["--state-dir", str(lab.dir / "nowhere")]
    assert words in run_import(lab, url, *args, code=1)
    if what == "running":
        return
    assert not (lab.server / "cv_data.sqlite").exists()
