# SPDX-License-Identifier: Apache-2.0
"""quicklime-ca: commands, files, passwords, the revocation list over HTTP, and what OpenSSL says of it all."""

import http.client
import json
import re
import shutil
import subprocess
import zipfile

import pytest
from conftest import AGENT_ID, BUILD, ROOT, Process, vectors, wait_until

PASSWORD = "correct horse"


class Ca:
    """A folder that quicklime-ca works on."""

    def __init__(self, folder):
        self.dir = folder / "ca"
        self.config = folder / "conf"
        self.config.mkdir()
        self.settings()  # RSA keys take long; where they matter the test asks for them

    def settings(self, **options):
        rows = {"key_type": "p256", **options}
        (self.config / "ca.conf").write_text("ca = {" + "".join(f' {k} = "{v}";' for k, v in rows.items()) + " };\n")

    def argv(self, *args):
        return [BUILD / "bin" / "quicklime-ca", "--config-dir", self.config, "-d", self.dir, *args]

    def start(self, *args, password=PASSWORD, stdin=subprocess.DEVNULL):
        return subprocess.Popen(self.argv(*args), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                start_new_session=True, env={"QUICKLIME_CA_PASSWORD": password} if password else {})

    def run(self, *args, code=0, password=PASSWORD):
        p = self.start(*args, password=password)
        out, err = p.communicate(timeout=120)
        assert p.returncode == code, f"exit {p.returncode}\n{out}\n{err}"
        return out + err

    def openssl(self, *args, code=0):
        p = subprocess.run(["openssl", *args], cwd=self.dir, capture_output=True, text=True)
        assert p.returncode == code, p.stdout + p.stderr
        return p.stdout + p.stderr

    def verify(self, name, crl=True, code=0):
        more = ["-crl_check", "-CRLfile", "cacrl.pem"] if crl else []
        return self.openssl("verify", "-x509_strict", *more, "-CAfile", "cacert.crt", f"{name}-cert.crt", code=code)


@pytest.fixture
def ca(tmp_path):
    return Ca(tmp_path)


def test_commands_print_and_exit_as_keylimes_tool(ca):
    rows = {row["note"]: row for row in vectors("server/ca_cli.json")}

    def shape(text):
        text = re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", "<time>", text.strip(), flags=re.M)
        return text.replace(str(ca.dir), "<cwd>/ca2")

    for note in ("init", "create", "pkg", "revoke"):
        row = rows[note]
        args = [a for a in row["argv"] if a not in ("-d", "<cwd>/ca2")]
        assert shape(ca.run(*args)) == row["stdout"], note
    for note in ("no name", "no command", "import without serial"):
        row = rows[note]
        args = [a for a in row["argv"] if a not in ("-d", "<cwd>/ca2")]
        out = shape(ca.run(*args, code=row["exit"]))
        assert not row["stdout"] or out.splitlines()[0] == row["stdout"].splitlines()[0], note
    assert "Invalid command: bogus" in ca.run("-c", "bogus", code=255)


def test_openssl_agrees_with_what_was_made(ca):
    (ca.config / "ca.conf").unlink()  # all as it comes
    ca.run("init")
    ca.run("create", "-n", "web.example.org")
    assert "OK" in ca.verify("web.example.org")
    text = ca.openssl("x509", "-in", "cacert.crt", "-noout", "-text")
    assert "Version: 3" in text and "Serial Number: 1 " in text
    assert "Subject: C = US, CN = Keylime Certificate Authority, ST = MA, L = Lexington, O = Keylime, OU = 53" in text
    assert re.search(r"Basic Constraints: critical\s+CA:TRUE", text)
    assert re.search(r"Key Usage: critical\s+Certificate Sign, CRL Sign", text)
    assert "URI:http://localhost:38080/crl" in text and "Public-Key: (2048 bit)" in text
    text = ca.openssl("x509", "-in", "web.example.org-cert.crt", "-noout", "-text")
    assert "CN = web.example.org" in text and "Serial Number: 2 " in text
    assert "DNS:web.example.org" in text and re.search(r"Netscape Comment:\s+SSL Server", text)
    assert re.search(r"Basic Constraints: critical\s+CA:FALSE", text)
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in text

    ca.openssl("pkey", "-in", "web.example.org-private.pem", "-passin", f"pass:{PASSWORD}", "-noout")
    ca.openssl("pkey", "-in", "web.example.org-private.pem", "-passin", "pass:wrong", "-noout", code=1)
    ca.run("create", "-n", "clear", "-i")
    ca.openssl("pkey", "-in", "clear-private.pem", "-passin", "pass:", "-noout")

    ca.run("revoke", "-n", "web.example.org")
    assert "certificate revoked" in ca.verify("web.example.org", code=2)
    assert "OK" in ca.verify("clear")
    crl = ca.openssl("crl", "-in", "cacrl.der", "-inform", "DER", "-noout", "-text", "-CAfile", "cacert.crt")
    assert "verify OK" in crl and "Version 2" in crl and "Serial Number: 02" in crl
    assert re.search(r"X509v3 CRL Number:\s+2\n", crl)
    ca.run("crl")
    crl = ca.openssl("crl", "-in", "cacrl.pem", "-noout", "-text")
    assert re.search(r"X509v3 CRL Number:\s+3\n", crl)
    ca.run("revoke", "-s", "3")
    listed = ca.run("list", password=None)
    assert re.search(r"2  revoked .* web\.example\.org\n", listed) and re.search(r"3  revoked .* clear\n", listed)


def test_ecdsa_is_made_on_demand(ca):
    ca.run("init", "--key-type", "p256")
    ca.run("create", "-n", "leaf", "--key-type", "p384")
    ca.run("create", "-n", "RevocationNotifier", "--key-type", "p384")
    assert "OK" in ca.verify("leaf")
    assert "NIST CURVE: P-384" in ca.openssl("x509", "-in", "leaf-cert.crt", "-noout", "-text")
    assert "rsaEncryption" in ca.openssl("x509", "-in", "RevocationNotifier-cert.crt", "-noout", "-text")
    assert "none of rsa, p256, p384" in ca.run("create", "-n", "x", "--key-type", "dsa", code=1)


def test_package_holds_a_nodes_files_with_its_key_sealed(ca):
    ca.run("init")
    ca.run("create", "-n", "leaf")
    ca.run("pkg", "-n", "leaf")
    with zipfile.ZipFile(ca.dir / "leaf-pkg.zip") as z:
        assert z.namelist() == ["leaf-public.pem", "leaf-cert.crt", "leaf-private.pem", "cacert.crt", "cacrl.der", "cacrl.pem"]
        assert all(i.compress_type == zipfile.ZIP_STORED for i in z.infolist()) and z.testzip() is None
        assert b"ENCRYPTED" in z.read("leaf-private.pem")
    assert (ca.dir / "leaf-pkg.zip").stat().st_mode & 0o777 == 0o600
    assert "Unprotected private keys" in ca.run("pkg", "-n", "leaf", "-i")
    with zipfile.ZipFile(ca.dir / "leaf-pkg.zip") as z:
        assert b"BEGIN PRIVATE KEY" in z.read("leaf-private.pem")


def test_passwords_come_from_a_file_the_environment_or_standard_input(ca, tmp_path):
    word = tmp_path / "word"
    word.write_text(PASSWORD + "\nsecond line\n")
    ca.run("init", "--password-file", word, password=None)
    ca.run("create", "-n", "one")
    p = ca.start("create", "-n", "two", password=None, stdin=subprocess.PIPE)
    out, err = p.communicate(PASSWORD + "\n", timeout=60)
    assert p.returncode == 0, out + err
    assert "Please enter the password to decrypt your keystore" in out + err and PASSWORD not in out + err
    ca.settings(password_file=word)
    ca.run("create", "-n", "three", password=None)
    ca.settings()
    store = (ca.dir / "private.json").read_text()
    assert "Invalid password for keystore" in ca.run("create", "-n", "four", code=1, password="wrong")
    assert "You must specify a password" in ca.run("create", "-n", "four", code=1, password="")
    assert (ca.dir / "private.json").read_text() == store and not (ca.dir / "four-cert.crt").exists()


def test_a_damaged_store_is_refused_and_kept(ca):
    ca.run("init")
    path = ca.dir / "private.json"
    good = json.loads(path.read_text())
    first = "A" if good["priv"][0] != "A" else "B"
    for bad in (dict(good, salt="x" + good["salt"][1:]), dict(good, priv=first + good["priv"][1:]), {"priv": good["priv"]}, {}):
        path.write_text(json.dumps(bad))
        out = ca.run("create", "-n", "leaf", code=1)
        assert "private.json" in out and "ERROR" in out
        assert json.loads(path.read_text()) == bad
    assert "--force" in ca.run("init", code=1)
    assert not (ca.dir / "leaf-cert.crt").exists()
    path.write_text(json.dumps(good))
    ca.run("create", "-n", "leaf")


def test_runs_at_the_same_time_never_share_a_serial_number(ca):
    ca.run("init")
    runs = [ca.start("create", "-n", f"node{i}") for i in range(4)]
    for p in runs:
        out, err = p.communicate(timeout=120)
        assert p.returncode == 0, out + err
    serials = {ca.openssl("x509", "-in", f"node{i}-cert.crt", "-noout", "-serial") for i in range(4)}
    assert len(serials) == 4
    for i in range(4):
        assert "OK" in ca.verify(f"node{i}")


def test_the_list_is_handed_out_over_http(ca, tmp_path):
    ca.run("init")
    ca.run("create", "-n", "leaf")
    p = Process("ca", ca.argv("listen", "--port", "0"), tmp_path / "listen.log")
    try:
        p.wait_for("ready")
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/crl", p.log)[1])

        def get(path, method="GET"):
            conn = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            conn.request(method, path)
            answer = conn.getresponse()
            return answer.status, answer.getheader("Content-Type"), answer.read()

        assert get("/crl") == (200, "application/pkix-crl", (ca.dir / "cacrl.der").read_bytes())
        ca.run("revoke", "-n", "leaf")
        status, _, der = get("/crl")
        assert status == 200 and der == (ca.dir / "cacrl.der").read_bytes()
        (tmp_path / "got.der").write_bytes(der)
        assert "Serial Number: 02" in ca.openssl("crl", "-in", tmp_path / "got.der", "-inform", "DER", "-noout", "-text")
        assert get("/crl.pem")[2] == (ca.dir / "cacrl.pem").read_bytes()
        for path in ("/", "/private.json", "/crl/../private.json", "/leaf-private.pem"):
            assert get(path)[0] in (400, 404), path
        assert get("/crl", "POST")[0] == 405
        (ca.dir / "cacrl.der").unlink()
        assert get("/crl")[0] == 503
        assert p.stop() == 0
    finally:
        p.kill()


def test_a_ca_of_keylime_is_taken_over(ca):
    fixture = ROOT / "tests" / "unit" / "ca" / "keylime"
    ca.dir.mkdir()
    for name in ("private.yml", "cacert.crt"):
        shutil.copy(fixture / name, ca.dir)
    assert '"import" it first' in ca.run("create", "-n", "leaf", code=1, password="keylime")
    assert "Invalid password" in ca.run("import", code=1, password="other")
    assert "--force" in ca.run("init", code=1, password="keylime")
    assert "last serial number 2, 1 revoked" in ca.run("import", password="keylime")
    assert "--force replaces it" in ca.run("import", code=1, password="keylime")
    ca.run("create", "-n", "leaf", password="keylime")
    assert "serial=03" in ca.openssl("x509", "-in", "leaf-cert.crt", "-noout", "-serial")
    assert "OK" in ca.verify("leaf")
    assert "Serial Number: 02" in ca.openssl("crl", "-in", "cacrl.pem", "-noout", "-text")


def test_a_private_key_is_taken_over_with_its_certificate(ca):
    ca.dir.mkdir()
    ca.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cacert.crt", "-subj", "/CN=Own CA",
               "-days", "30")
    ca.run("import-priv", "-f", ca.dir / "key.pem", "-s", "41")
    ca.run("create", "-n", "leaf")
    assert "serial=2B" in ca.openssl("x509", "-in", "leaf-cert.crt", "-noout", "-serial")
    assert "OK" in ca.openssl("verify", "-crl_check", "-CRLfile", "cacrl.pem", "-CAfile", "cacert.crt", "leaf-cert.crt")
    ca.openssl("genrsa", "-out", "other.pem")
    assert "not that of its private key" in ca.run("import-priv", "-f", ca.dir / "other.pem", "-s", "1", "--force", code=1)


def test_names_and_folders_with_special_characters_do_no_harm(ca, tmp_path):
    ca.dir = tmp_path / "a folder; touch $(x) '\""
    ca.run("init")
    for name in ("../out", "a/b", "$(touch x)", "a b", "-n", "ca", ""):
        assert "no name for a certificate" in ca.run("create", "--name=" + name, code=1)
    ca.run("create", "-n", "leaf")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["conf", ca.dir.name])


# ---- the tenant's --cert ----

PEER_ID = "5c3a1f0e-7d24-4b8e-9a61-2f0c4d7e8b91"


@pytest.fixture
def site(lab):
    """A lab with the words of a CA, and a folder of files to include."""
    lab.write_config("ca", {"password": PASSWORD, "key_type": "p256"})
    extra = lab.dir / "extra"
    extra.mkdir()
    (extra / "action_list").write_text("note\n")
    (extra / "note").write_text(f"#!/bin/sh\ncat \"$1\" >>'{lab.dir}/noted'\n")
    (extra / "note").chmod(0o755)
    return lab


def test_nodes_get_certificates_and_believe_revocations_signed_by_the_cas_key(site):
    lab, own = site, site.dir / "node-ca"
    lab.start_tpm("tpm2")
    tpm2 = lab.tcti
    lab.start_tpm()
    lab.start_verifier()
    lab.start_registrar()
    lab.start_agent()
    peer = lab.start_agent(name="agent2", uuid=PEER_ID, tcti=tpm2)
    out = lab.add("--cert", str(own), "--include", str(lab.dir / "extra"), "--verify",
                  "--tpm_policy", json.dumps({"15": [lab.pcr(15)]}))
    assert "CA directory does not exist. Creating..." in out and "Successful key derivation" in out
    assert f"Created certificate for name {AGENT_ID} successfully in {own}" in out
    assert "Created certificate for name RevocationNotifier" in out and PASSWORD not in out
    unzipped = lab.dir / "agent" / "secure" / "unzipped"
    wait_until(lambda: (unzipped / "note").exists(), 20, "the payload's files")
    delivered = {p.name for p in unzipped.iterdir()}
    assert delivered >= {f"{AGENT_ID}-public.pem", f"{AGENT_ID}-cert.crt", f"{AGENT_ID}-private.pem", "cacert.crt", "cacrl.der",
                         "cacrl.pem", "RevocationNotifier-cert.crt", "action_list", "note"}
    assert not any("Notifier-private" in name for name in delivered)
    assert (unzipped / "note").stat().st_mode & 0o777 == 0o700
    text = subprocess.run(["openssl", "verify", "-CAfile", unzipped / "cacert.crt", unzipped / f"{AGENT_ID}-cert.crt",
                           unzipped / "RevocationNotifier-cert.crt"], capture_output=True, text=True)
    assert text.stdout.count(": OK") == 2, text
    pub = [subprocess.run(["openssl", *args], capture_output=True, check=True).stdout for args in
           (("pkey", "-in", unzipped / f"{AGENT_ID}-private.pem", "-passin", "pass:", "-pubout"),
            ("x509", "-in", unzipped / f"{AGENT_ID}-cert.crt", "-noout", "-pubkey"))]
    assert pub[0] == pub[1]
    assert json.loads(lab.agent_status()["meta_data"]) == {
        "cert_serial": 2, "subject": f"OU=53,O=Keylime,L=Lexington,ST=MA,CN={AGENT_ID},C=US"}
    assert "\"cert_serial\": 2, \"subject\"" in lab.agent_status()["meta_data"]

    # The second node: same CA, same pair.
    notifier = (own / "RevocationNotifier-cert.crt").read_bytes()
    lab.ports["agent"] = lab.ports["agent2"]
    out = lab.add("--cert", str(own), "--include", str(lab.dir / "extra"), "--verify", agent_id=PEER_ID)
    assert "RevocationNotifier successfully" not in out and "Creating..." not in out
    unzipped2 = lab.dir / "agent2" / "secure" / "unzipped"
    wait_until(lambda: (unzipped2 / "note").exists(), 20, "the peer's files")
    assert (unzipped2 / "RevocationNotifier-cert.crt").read_bytes() == notifier
    wait_until(lambda: lab.agent_status(PEER_ID)["attestation_count"] >= 1, 20, "first attestation")

    lab.extend(15)  # tpm2-tools talk to the first node's TPM
    noted = lab.dir / "noted"
    wait_until(lambda: noted.exists() and "cert_serial" in noted.read_text(), 20, "the peer's action")
    assert AGENT_ID in noted.read_text(), peer.log[-2000:]


def test_the_tenant_refuses_what_does_not_go_with_cert(site):
    lab = site
    lab.start_all()
    payload = lab.dir / "payload"
    payload.write_text("x")
    own = str(lab.dir / "node-ca")
    for more, text in ((("-f", str(payload)), "You must specify one of -k, -f, or --cert"),
                       (("--include", str(lab.dir / "none")), "none does not exist"),
                       (("--include", str(payload)), "payload: ")):
        assert text in lab.add("--cert", own, *more, code=1)
    assert "--include option is only valid when used with --cert" in lab.add("--include", str(lab.dir / "extra"), code=1)
    assert "is the CA of the servers" in lab.add("--cert", str(lab.ca), code=1)
    (lab.dir / "extra" / "cacert.crt").write_text("another CA's")
    assert "two files named cacert.crt" in lab.add("--cert", own, "--include", str(lab.dir / "extra"), code=1)
    lab.write_config("ca", {"password": "wrong"})
    assert "Invalid password for keystore" in lab.add("--cert", own, code=1)
    assert lab.verifier("GET", f"/v2.6/agents/{AGENT_ID}").status == 404
