# SPDX-License-Identifier: Apache-2.0
"""The daemons on PostgreSQL and MariaDB: a life with an outage, and servers that cannot be used."""

import concurrent.futures
import re
import subprocess

import pytest

import stores
from conftest import AGENT_ID, SLOW, Lab, wait_until

KINDS = ["postgresql", "mysql"]


@pytest.fixture(params=KINDS)
def lab(request, tmp_path):
    made = Lab(tmp_path)
    made.store = stores.store(made, request.param)
    yield made
    made.close()



def test_an_outage_loses_nothing_and_attestation_goes_on(lab):
    verifier, registrar, _ = lab.start_all(max_retries=1000)
    agent = f"/v2.6/agents/{AGENT_ID}"
    lab.add("--tpm_policy", '{"15": ["%s"]}' % lab.pcr(15))
    before = lab.wait_attested(1)

    # Away for a moment: a request waits and nobody notices.
    lab.store.server.stop()
    lab.store.server.start()
    assert lab.wait_attested(1)["operational_state"] == 3

    with lab.store.away():
        lab.extend(15)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            asked = [pool.submit(lab.verifier, "PUT", agent + "/stop"),
                     pool.submit(lab.registrar, "DELETE", agent, tls=True)]
            for answer in (a.result() for a in asked):
                assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
        journal = lab.server / "failures.journal"
        wait_until(lambda: journal.stat().st_size > 0, 20, "the failure in the journal")
        assert "failed, stopping polling" in verifier.log

    def known():
        answer = lab.verifier("GET", agent)
        assert answer.status in (200, 503)
        return answer.status == 200 and answer.results["operational_state"] == 9
    wait_until(known, 20, "the failure in the database")
    wait_until(lambda: journal.stat().st_size == 0, 10, "an empty journal")
    assert lab.agent_status()["attestation_count"] >= before["attestation_count"]
    assert verifier.stop() == 0 and registrar.stop() == 0
    verifier.start()
    verifier.wait_for("ready: HTTPS port")
    status = lab.agent_status()
    assert status["operational_state"] == 9 and status["last_event_id"] == "pcr_validation.invalid_pcr_15"
    registrar.start()
    registrar.wait_for("ready")
    assert lab.registrar("GET", agent, tls=True).results["regcount"] == 1
    assert stores.servers.QUOTED not in verifier.log and stores.servers.PASSWORD not in verifier.log


def refused(lab, url, *words, code=1, **groups):
    """A verifier on this URL ends at once, with these words and without the password."""
    p = lab.start_verifier(wait=False, database_url=url, groups=groups)
    assert p.popen.wait(timeout=30 * SLOW) == code, p.log
    for word in words:
        assert word in p.log, p.log
    assert stores.servers.QUOTED not in p.log and stores.servers.PASSWORD not in p.log and "geheim" not in p.log
    return p.log


def test_a_server_that_cannot_be_used_is_refused_with_the_reason(lab):
    store = lab.store
    url = store.options("verifier")["database_url"]
    name, port = url.rsplit("/", 1)[1], store.server.port
    kind, start = store.kind, url.split("://")[0]
    address = f"127.0.0.1:{port}"

    refused(lab, url.replace(stores.servers.QUOTED, "geheim"), "ql", "denied" if kind == "mysql" else "authentication")
    refused(lab, f"{start}://ql:geheim@127.0.0.1:1/{name}", "cannot be reached")
    refused(lab, url.rsplit("/", 1)[0], "names no database")
    refused(lab, f"{start}://ql:geheim%zz@{address}/{name}", "%25")
    refused(lab, f"{start}://ql:ge@heim@{address}/{name}", "%40")
    refused(lab, url + "?nosuch=geheim", "nosuch")
    refused(lab, url + "?sslmode=verify-full", "offers no TLS")
    refused(lab, url.replace("127.0.0.1", "localhost.localdomain.invalid"), "cannot be reached")

    # A password file instead: read at every connect, only when others cannot.
    file = lab.server / "db.password"
    file.write_text(stores.servers.PASSWORD + "\n")
    file.chmod(0o644)
    bare = url.replace(":" + stores.servers.QUOTED, "")
    refused(lab, bare, "must be a regular file that others cannot read", **{kind: {"password_file": "db.password"}})
    file.chmod(0o600)
    p = lab.start_verifier(database_url=bare, groups={kind: {"password_file": "db.password"}})
    show = subprocess.run([str(a) for a in lab.argv("verifier", lab.server, "--show-config")], capture_output=True,
                          text=True, check=True).stdout
    assert stores.servers.PASSWORD not in show and bare not in show
    assert p.stop() == 0

    # Whose tables are they?
    store.write("UPDATE quicklime_schema SET version = 99, oldest_reader = 99")
    refused(lab, url, "is newer than this program", "99")
    store.write("UPDATE quicklime_schema SET version = 1, oldest_reader = 1")
    store.write("ALTER TABLE outbox DROP COLUMN pending")
    refused(lab, url, "is damaged", "outbox.pending")
    store.write("DROP TABLE outbox")
    refused(lab, url, "is damaged", "table outbox")
    store.write("UPDATE quicklime_schema SET name = 'other'")
    refused(lab, url, '\\"other\\"', "left as it is")
    foreign = store.server.url()
    store.server.sql("CREATE TABLE verifiermain (id INT)", foreign.rsplit("/", 1)[1])
    refused(lab, foreign, "belongs to another program", "verifiermain")


def test_no_rights_are_said_so(lab):
    server = lab.store.server
    server.count += 1
    name = f"bare{server.count}"
    if lab.store.kind == "postgresql":
        server.sql(f"CREATE DATABASE {name}")
    else:
        server.sql(f"CREATE DATABASE {name}; GRANT SELECT ON {name}.* TO ql@'127.0.0.1'")
    url = server.url("x").rsplit("/", 1)[0] + "/" + name
    log = refused(lab, url, 'user \\"ql\\" lacks rights')
    assert re.search("permission denied|command denied", log)


def test_the_line_is_encrypted_and_the_server_checked(lab):
    server = stores.servers.KINDS[lab.store.kind](tls=True)
    try:
        url, ca = server.url(), f"&sslrootcert={server.dir}/ca.crt"
        server.dir.chmod(0o755)
        seen = {"postgresql": "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND usename = 'ql'",
                "mysql": "SELECT 0"}[lab.store.kind]
        p = lab.start_verifier(database_url=url + "?sslmode=verify-full" + ca)
        assert lab.store.kind == "mysql" or server.sql(seen).strip() == "1"
        assert p.stop() == 0
        if lab.store.kind == "mysql":
            server.sql("ALTER USER ql@'127.0.0.1' REQUIRE SSL")
            refused(lab, url + "?sslmode=disable", "denied")
        p = lab.start_verifier(database_url=url + "?sslmode=require")
        assert p.stop() == 0
        # A CA in the options is used even on this machine; the certificate is not for the other name.
        words = "certificate|verif"
        assert re.search(words, refused(lab, url, **{lab.store.kind: {"tls": "verify-full"}}), re.I)
        named = url.replace("127.0.0.1", "localhost")
        assert re.search("does not match|verif|valid", refused(lab, named, **{lab.store.kind: {
            "tls_ca": f"{server.dir}/ca.crt"}}), re.I)
    finally:
        server.close()
