# SPDX-License-Identifier: Apache-2.0
"""The daemons on PostgreSQL and MariaDB: a life with an outage, and servers that cannot be used."""

import base64
import concurrent.futures
import contextlib
import hashlib
import json
import re
import socket
import struct
import subprocess
import threading

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


# What a server of another age says first, until the client knows its version.
def greet_as_postgresql(connection, version):
    def message(kind, body):
        return kind + struct.pack(">I", len(body) + 4) + body

    connection.recv(4096)  # user and database
    settings = {"server_version": version, "server_encoding": "UTF8", "client_encoding": "UTF8", "standard_conforming_strings": "on"}
    connection.sendall(message(b"R", bytes(4)) + b"".join(
        message(b"S", f"{k}\0{v}\0".encode()) for k, v in settings.items()) + message(b"K", bytes(8)) + message(b"Z", b"I"))
    if connection.recv(4096)[:1] == b"Q":  # whether it can be written: the client itself asks those before version 14
        connection.sendall(message(b"T", struct.pack(">H", 1) + b"a\0" + struct.pack(">IHIhih", 0, 0, 25, -1, -1, 0)) +
                           message(b"D", struct.pack(">HI", 1, 3) + b"off") + message(b"C", b"SHOW\0") + message(b"Z", b"I"))


def greet_as_mysql(connection, version):
    def packet(number, body):
        return struct.pack("<I", len(body))[:3] + bytes([number]) + body

    abilities = 0x0FA2FF & ~0x0800  # all of the time but TLS
    connection.sendall(packet(0, b"\x0a" + version.encode() + b"\0" + struct.pack("<I", 7) + b"12345678\0" +
                              struct.pack("<HBHHB", abilities & 0xFFFF, 33, 2, abilities >> 16, 21) + bytes(10) +
                              b"123456789012\0mysql_native_password\0"))
    connection.recv(4096)  # user, password's hash, database
    connection.sendall(packet(2, b"\0\0\0\2\0\0\0"))


def test_a_server_that_is_too_old_is_refused_with_its_version(lab):
    store = lab.store
    greet, version, words = {"postgresql": (greet_as_postgresql, "9.6.24", "version 9.6.24, at least 14"),
                             "mysql": (greet_as_mysql, "5.7.44", "MySQL 5.7, at least 8.0")}[store.kind]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve():
            with contextlib.suppress(OSError):  # of the listener that is closed at the end
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        greet(connection, version)
                        connection.recv(4096)

        threading.Thread(target=serve, daemon=True).start()
        scheme = store.options("verifier")["database_url"].split("://")[0]
        refused(lab, f"{scheme}://ql:geheim@127.0.0.1:{listener.getsockname()[1]}/db", words)
        listener.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def small_database(server):
    """URL of a database with little room, and what gives it more. Skips the test where that cannot be made."""
    def mount(*args):
        return subprocess.run(["mount", *map(str, args)], capture_output=True, check=False).returncode == 0

    server.count += 1
    name = f"small{server.count}"
    if server.scheme == "postgresql":
        folder, size = server.dir / name, "24m"  # an empty database takes 8 MB of it
        folder.mkdir()
    else:
        server.create(name)
        folder, size = server.dir / "data" / name, "8m"
    if not mount("-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", folder):
        pytest.skip("a file system of its own needs the right to mount")
    try:
        if server.scheme == "postgresql":
            subprocess.run(["chown", f"--reference={server.dir}/data", folder], check=True)
            server.sql(f"CREATE TABLESPACE {name} LOCATION '{folder}'")
            server.sql(f"CREATE DATABASE {name} OWNER ql TABLESPACE {name}")
        yield server.url(name), lambda: mount("-o", "remount,size=256m", folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def test_a_server_without_room_takes_nothing_more_and_loses_nothing(lab):
    def policy(n):
        digests = {f"/bin/{n}-{i}": [hashlib.sha512(b"%d %d" % (n, i)).hexdigest()] for i in range(4000)}
        return json.dumps({"meta": {"version": 1, "generator": 3}, "release": 0, "digests": digests, "excludes": [], "keyrings": {},
                           "ima": {"ignored_keyrings": [], "log_hash_alg": "sha1", "dm_policy": None}, "ima-buf": {},
                           "verification-keys": ""}).encode()

    def upload(n):
        return lab.verifier("POST", f"/v2.6/allowlists/p{n}", {
            "runtime_policy": base64.b64encode(policy(n)).decode(), "tpm_policy": "", "runtime_policy_key": ""})

    server = stores.servers.KINDS[lab.store.kind]()  # some do not survive this
    try:
        with small_database(server) as (url, more_room):
            lab.store.urls["verifier"] = url
            verifier = lab.start_verifier(plugins=["tpm-policy", "ima"], max_retries=1000)
            taken = 0
            while (answer := upload(taken)).status == 201:
                taken += 1
                assert taken < 60, "it has no end"
            assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0 and taken > 0
            assert more_room()
            if server.process.poll() is not None:
                server.start()
            else:
                assert re.search("No space left|is full", verifier.log), verifier.log
            wait_until(lambda: upload(taken).status in (201, 409), 30, "room for one more")
            for n in range(taken + 1):
                kept = lab.verifier("GET", f"/v2.6/allowlists/p{n}").results["runtime_policy"]
                assert kept.encode() == policy(n), n
            assert verifier.alive() and verifier.stop() == 0
    finally:
        server.close()
