# SPDX-License-Identifier: Apache-2.0
"""quicklime-agent over the wire: a software TPM, the real registrar, and a TLS client that plays tenant and verifier."""
import base64
import hashlib
import hmac
import http.client
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import uuid

import pytest

import softtpm
from conftest import free_port

BUILD = pathlib.Path(os.environ.get("QL_BUILD_DIR", pathlib.Path(__file__).parents[2] / "build" / "release"))
BIN = BUILD / "bin"
UUID = "d432fbb3-d2f1-4a97-9ef7-75bd81c00000"
NONCE = "Ab3dEf6hIj9kLm2nOp5q"

pytestmark = [
    pytest.mark.skipif(not shutil.which("swtpm"), reason="swtpm is not installed"),
    pytest.mark.skipif(not (BIN / "quicklime-agent").exists(), reason="quicklime-agent is not built"),
]


def wait_until(what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = what()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


class Process:
    """A daemon with its log in a file."""

    def __init__(self, args, log, env=None):
        self.log, self.begin = log, log.stat().st_size if log.exists() else 0
        with open(log, "ab") as out:
            self.child = subprocess.Popen([str(a) for a in args], stdout=out, stderr=out, env={**os.environ, **(env or {})})

    def text(self):
        return self.log.read_bytes()[self.begin:].decode(errors="replace")

    def wait_line(self, pattern, seconds=60):
        def look():
            if re.search(pattern, self.text()):
                return True
            if self.child.poll() is not None:
                raise AssertionError(f"ended with {self.child.returncode}:\n{self.text()}")
            return False

        try:
            wait_until(look, seconds)
        except AssertionError:
            self.stop()
            raise

    def wait(self, seconds=60):
        return self.child.wait(seconds)

    def stop(self):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(15)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode


def openssl(*args, data=None):
    return subprocess.run(["openssl", *map(str, args)], input=data, check=True, capture_output=True).stdout


class Pki:
    """A CA and two clients: one of the CA, one of nobody."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("ca", "stranger-ca"):
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj",
                    f"/CN={name}", "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt")
        self.client("client", "ca")
        self.client("stranger", "stranger-ca")

    def client(self, name, issuer):
        f = self.folder
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", f / f"{name}.key", "-out", f / f"{name}.csr")
        openssl("x509", "-req", "-in", f / f"{name}.csr", "-CA", f / f"{issuer}.crt", "-CAkey", f / f"{issuer}.key",
                "-CAcreateserial", "-days", 2, "-out", f / f"{name}.crt")


class Tpm:
    def __init__(self, folder):
        folder.mkdir()
        self.sock = folder / "sock"
        self.process = Process(softtpm.command(folder, self.sock), folder / "log")
        wait_until(lambda: softtpm.listens(self.sock))
        self.tcti = f"swtpm:path={self.sock}"


class Registrar:
    def __init__(self, folder, pki, port=None):
        (folder / "tpm_cert_store").mkdir(parents=True, exist_ok=True)
        shutil.copy(pki.folder / "ca.crt", folder / "tpm_cert_store" / "ca.pem")
        self.folder, self.pki, self.port, self.tls_port = folder, pki, port or free_port(), free_port()
        self.process = Process(
            [BIN / "quicklime-registrar", "--config-dir", folder, "--state-dir", folder,
             "--set", f"registrar.port={self.port}", "--set", f"registrar.tls_port={self.tls_port}",
             "--set", "registrar.tls_dir=generate", "--set", f"registrar.tpm_cert_store={folder}/tpm_cert_store",
             "--set", f"registrar.trusted_client_ca={pki.folder}/ca.crt", "--set", f"registrar.plugin_dir={BUILD}/plugins",
             "--set", f"registrar.worker_path={BIN}/quicklime-worker"], folder / "registrar.log")
        self.process.wait_line("ready")

    def admin(self, method, path):
        context = ssl.create_default_context(cafile=str(self.folder / "reg_ca" / "cacert.crt"))
        context.check_hostname = False
        context.load_cert_chain(str(self.pki.folder / "client.crt"), str(self.pki.folder / "client.key"))
        connection = http.client.HTTPSConnection("127.0.0.1", self.tls_port, context=context, timeout=20)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")


class Agent:
    """The agent under test and a client of it."""

    def __init__(self, folder, pki, tpm, registrar_port, options=(), ready=True, env=None):
        folder.mkdir(exist_ok=True)
        self.folder, self.pki, self.port = folder, pki, free_port()
        settings = {"uuid": UUID, "port": self.port, "contact_port": self.port, "registrar_port": registrar_port,
                    "run_as": "", "tcti": tpm.tcti if tpm else "device:/nonexistent",
                    "trusted_client_ca": pki.folder / "ca.crt", "exponential_backoff_initial_delay": 200,
                    "exponential_backoff_max_delay": 400, "enable_insecure_storage": "true",
                    **dict(options)}
        args = [BIN / "quicklime-agent", "--config-dir", folder, "--state-dir", folder]
        for name, value in settings.items():
            group = "" if "." in name else "agent."
            args += ["--set", f"{group}{name}={value}"]
        self.process = Process(args, folder / "agent.log", env)
        if ready:
            self.process.wait_line('msg="?ready|"ready"')

    def connect(self, client="client"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(str(self.folder / "server-cert.crt"))
        if client:
            context.load_cert_chain(str(self.pki.folder / f"{client}.crt"), str(self.pki.folder / f"{client}.key"))
        return http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=30)

    def raw(self, method, path, body=None, headers=None):
        connection = self.connect()
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer, text

    def call(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body is not None else {}
        answer, text = self.raw(method, path, json.dumps(body) if body is not None else None, headers)
        envelope = json.loads(text)
        assert list(envelope) == ["code", "status", "results"]
        assert envelope["code"] == answer.status
        return answer.status, envelope["status"], envelope["results"]

    def get(self, path):
        return self.call("GET", path)

    def results(self, path):
        code, status, results = self.get(path)
        assert (code, status) == (200, "Success")
        return results

    def quote(self, version="2.6", nonce=NONCE, mask="0x408400", partial="0", extra=""):
        return self.results(f"/v{version}/quotes/integrity?nonce={nonce}&mask={mask}&partial={partial}{extra}")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def tpm(tmp_path_factory):
    t = Tpm(tmp_path_factory.mktemp("node") / "tpm")
    yield t
    t.process.stop()


@pytest.fixture(scope="module")
def registrar(tmp_path_factory, pki):
    r = Registrar(tmp_path_factory.mktemp("registrar"), pki)
    yield r
    r.process.stop()


@pytest.fixture(scope="module")
def probe_files(tmp_path_factory):
    return tmp_path_factory.mktemp("probe")


@pytest.fixture(scope="module")
def agent(tmp_path_factory, pki, tpm, registrar, probe_files):
    """One agent for the tests that only ask; with the test plugin when it is built."""
    options = {}
    if (BUILD / "tests/agent-plugins/probe.so").exists():
        options = {"plugins": "probe", "plugin_dir": BUILD / "tests/agent-plugins",
                   **{f"probe.{name}": probe_files / name for name in ("note", "lines", "blob")}}
    a = Agent(tmp_path_factory.mktemp("agent"), pki, tpm, registrar.port, options)
    yield a
    assert a.process.stop() == 0, a.process.text()


@pytest.fixture
def other(tmp_path, pki):
    """Makes agents with a TPM of their own."""
    made, own_id = [], str(uuid.uuid4())

    def make(registrar_port, folder=None, **kw):
        if not any(isinstance(m, Tpm) for m in made):
            made.append(Tpm(tmp_path / "tpm"))
        node = next(m for m in made if isinstance(m, Tpm))
        options = {"uuid": own_id, **kw.pop("options", {})}
        a = Agent(folder or tmp_path / f"agent{len(made)}", pki, node, registrar_port, options, **kw)
        made.append(a)
        return a

    yield make
    for m in reversed(made):
        m.process.stop()


# ---- what a quote says, read by hand ----

def tpm2b(data, at):
    size = int.from_bytes(data[at:at + 2], "big")
    return data[at + 2:at + 2 + size], at + 2 + size


def modulus(aik_tpm):
    """Of a TPM2B_PUBLIC of an RSA key: after sizes, types, attributes, policy and scheme."""
    data = base64.b64decode(aik_tpm)
    assert data[2:4] == b"\x00\x01"
    return int.from_bytes(data[-256:], "big")


def check_quote(text, n, extra, bank="sha256"):
    """Signature, magic, qualifying data; returns the signed PCR numbers and the values."""
    assert text[0] == "r"
    attest, signature, pcrs = (base64.b64decode(part, validate=True) for part in text[1:].split(":"))
    prefix = bytes.fromhex("3031300d060960864801650304020105000420")
    want = b"\x00\x01" + b"\xff" * (256 - 3 - len(prefix) - 32) + b"\x00" + prefix + hashlib.sha256(attest).digest()
    assert pow(int.from_bytes(signature[6:], "big"), 65537, n) == int.from_bytes(want, "big")
    assert attest[:6] == bytes.fromhex("ff5443478018")
    _, at = tpm2b(attest, 6)
    data, at = tpm2b(attest, at)
    assert data == extra
    at += 17 + 8
    assert attest[at:at + 7] == bytes.fromhex("00000001000b03")
    mask = int.from_bytes(attest[at + 7:at + 10], "little")
    digest, at = tpm2b(attest, at + 10)
    assert at == len(attest)
    numbers = [i for i in range(24) if mask >> i & 1]
    assert len(pcrs) == 136 + 532 * ((len(numbers) + 7) // 8)
    values = {}
    for i, number in enumerate(numbers):
        place = 136 + i // 8 * 532 + 4 + i % 8 * 66
        values[number] = pcrs[place + 2:place + 2 + hashlib.new(bank).digest_size]
    assert hashlib.new(bank, b"".join(values[i] for i in numbers)).digest() == digest
    return numbers, values


@pytest.fixture(scope="module")
def ak(agent, registrar):
    status, answer = registrar.admin("GET", f"/v2.6/agents/{UUID}")
    assert status == 200
    return modulus(answer["results"]["aik_tpm"])


# ---- registration ----

def test_agent_is_registered_and_active(agent, registrar):
    status, answer = registrar.admin("GET", f"/v2.6/agents/{UUID}")
    assert status == 200
    record = answer["results"]
    assert record["ip"] == "127.0.0.1" and record["port"] == agent.port
    assert record["mtls_cert"] == (agent.folder / "server-cert.crt").read_text()
    assert "INSECURE:" in agent.process.text()


def test_certificate_has_the_profile_of_an_agent(agent):
    text = openssl("x509", "-in", agent.folder / "server-cert.crt", "-noout", "-text").decode()
    assert f"Subject: CN = {UUID}" in text and f"Issuer: CN = {UUID}" in text
    assert "DNS:localhost, DNS:localhost.domain, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1" in text
    assert "TLS Web Server Authentication" in text and "CA:TRUE" not in text and "prime256v1" in text
    assert not re.search(r"Serial Number: 0 ", text)


def test_files_are_private(agent):
    for name in ("server-private.pem", "payload-private.pem", "agent_data.json"):
        assert (agent.folder / name).stat().st_mode & 0o777 == 0o600, name


# ---- routes ----

def test_version_lists_2_1_to_2_6(agent):
    assert agent.results("/version") == {"supported_version": "2.6",
                                         "supported_versions": ["2.1", "2.2", "2.3", "2.4", "2.5", "2.6"]}


def test_info_names_id_algorithms_and_evidence(agent):
    info = agent.results("/v2.6/agent/info")
    assert info["agent_uuid"] == UUID
    assert (info["tpm_hash_alg"], info["tpm_enc_alg"], info["tpm_sign_alg"]) == ("sha256", "rsa2048", "rsassa")
    assert info["ak_handle"] >> 24 == 0x80
    assert isinstance(info["quicklime_evidence"], list)
    assert agent.results("/v2.4/agent/info")["tpm_enc_alg"] == "rsa"


@pytest.mark.parametrize("method,path,code,status", [
    ("GET", "/v2.1/agent/info", 400, "Not Implemented: Use /agent, /keys, or /quotes interfaces"),
    ("GET", "/v2.6/agent/x", 400, "URI not supported, only /info is supported for GET in /agent interface"),
    ("GET", "/v2.6/keys/x", 400,
     "URI not supported, only /pubkey and /verify are supported for GET in /keys interface"),
    ("POST", "/v2.6/keys/x", 400, "URI not supported, only /ukey and /vkey are supported for POST in /keys interface"),
    ("GET", "/v2.6/quotes/x", 400,
     "URI not supported, only /identity and /integrity are supported for GET in /quotes/ interface"),
    ("PUT", "/v2.6/quotes/x", 405, "Method is not supported in /quotes/ interface"),
    ("POST", "/v2.6/quotes/x", 405, "Method is not supported in /quotes/ interface"),
    ("POST", "/v2.6/notifications/x", 400,
     "URI not supported, only /revocation is supported for POST in /notifications/ interface"),
    ("GET", "/v2.6/x", 400, "Not Implemented: Use /agent, /keys, or /quotes interfaces"),
    ("POST", "/v2.6/x", 400, "Not Implemented: Use /keys or /notifications interfaces"),
    ("DELETE", "/v2.6/x", 405, "Method is not supported"),
    ("GET", "/x", 400, "Not Implemented: Use /2.1, /2.2, .. or /version interfaces"),
    ("GET", "/", 400, "Not Implemented: Use /2.1, /2.2, .. or /version interfaces"),
    ("GET", "/v2.0/quotes/identity?nonce=a", 400, "API version not supported: v2.0"),
    ("GET", "/v2.7/keys/pubkey", 400, "API version not supported: v2.7"),
    ("GET", "/v3.0/", 400, "API version not supported: v3.0"),
    ("GET", "/v500.440/some/tail", 400, "API version not supported: v500.440"),
    ("POST", "/v1.0/keys/ukey", 400, "API version not supported: v1.0"),
])
def test_paths_that_are_not_served_get_their_text(agent, method, path, code, status):
    assert agent.call(method, path, {} if method in ("POST", "PUT") else None) == (code, status, {})


@pytest.mark.parametrize("method,path,allow", [("POST", "/v2.6/quotes/identity", "GET"),
                                               ("GET", "/v2.6/keys/ukey", "GET, POST"),
                                               ("GET", "/v2.6/notifications/revocation", "POST")])
def test_known_path_with_wrong_method_is_405_without_body(agent, method, path, allow):
    answer, body = agent.raw(method, path)
    assert answer.status == 405 and body == b"" and answer.headers["Allow"] == allow


def test_revocation_is_taken_and_dropped_with_a_line(agent):
    assert agent.call("POST", "/v2.6/notifications/revocation", {"msg": "{}", "signature": ""}) == (200, "Success", None)
    assert "dropped: no revocation certificate is loaded" in agent.process.text()
    assert agent.call("POST", "/v2.6/notifications/revocation", {"msg": "{}"})[0] == 400
    assert agent.call("POST", "/v2.6/notifications/revocation", {"msg": 1, "signature": ""})[0] == 400
    assert agent.raw("POST", "/v2.6/notifications/revocation", "{}")[0].status == 400


# ---- TLS ----

@pytest.mark.parametrize("client", [None, "stranger"])
def test_only_clients_of_the_trusted_ca_are_answered(agent, client):
    connection = agent.connect(client)
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        connection.request("GET", "/version")
        connection.getresponse()
    assert agent.results("/version")


# ---- quotes ----

def test_identity_quote_is_signed_and_binds_the_payload_key(agent, ak):
    r = agent.results(f"/v2.6/quotes/identity?nonce={NONCE}")
    assert list(r) == ["quote", "hash_alg", "enc_alg", "sign_alg", "pubkey"]
    numbers, values = check_quote(r["quote"], ak, NONCE.encode())
    assert numbers == [16]
    digest = hashlib.sha256(r["pubkey"].encode()).digest()
    assert values[16] == hashlib.sha256(bytes(32) + digest).digest()
    assert r["pubkey"] == agent.results("/v2.6/keys/pubkey")["pubkey"]


@pytest.mark.parametrize("mask,numbers", [("0x408400", [10, 15, 16, 22]), ("0", [16]), ("10000", [16]),
                                          ("ffffff", list(range(24))), ("0x1ff", [*range(9), 16])])
def test_integrity_quote_holds_the_pcrs_of_the_mask_and_16(agent, ak, mask, numbers):
    assert check_quote(agent.quote(mask=mask)["quote"], ak, NONCE.encode())[0] == numbers


def test_pubkey_comes_with_partial_0_alone(agent):
    assert "pubkey" in agent.quote(partial="0")
    assert "pubkey" not in agent.quote(partial="1")


@pytest.mark.parametrize("version,enc", [("2.1", "rsa"), ("2.4", "rsa"), ("2.5", "rsa2048"), ("2.6", "rsa2048")])
def test_enc_alg_is_exact_from_2_5_on(agent, version, enc):
    r = agent.quote(version=version)
    assert (r["hash_alg"], r["enc_alg"], r["sign_alg"]) == ("sha256", enc, "rsassa")


LONG = "a" * 65


@pytest.mark.parametrize("query,code,status", [
    ("nonce=a-b&mask=0&partial=0", 400, "nonce should be strictly alphanumeric: a-b"),
    ("nonce=%C3%A4&mask=0&partial=0", 400, "nonce should be strictly alphanumeric: ä"),
    ("nonce=&mask=0&partial=0", 400, "nonce should be strictly alphanumeric: "),
    ("nonce=a&mask=0-1&partial=0", 400, "mask should be strictly alphanumeric: 0-1"),
    ("nonce=a&mask=xyz&partial=0", 400, "mask should be a hex encoded 32-bit integer: xyz"),
    ("nonce=a&mask=100000000&partial=0", 400, "mask should be a hex encoded 32-bit integer: 100000000"),
    ("nonce=a&mask=&partial=0", 400, "mask should be a hex encoded 32-bit integer: "),
    (f"nonce={LONG}&mask=0&partial=0", 400, f"Nonce is too long (max size: 64): {LONG}"),
    ("nonce=a&mask=0&partial=2", 400, "uri must contain key 'partial' and value '0' or '1'"),
    ("nonce=a&mask=0&partial=", 400, "uri must contain key 'partial' and value '0' or '1'"),
    ("nonce=a&mask=1000000&partial=0", 500, "Unable to retrieve quote"),
    ("mask=0&partial=0", 400, "Query deserialize error: missing field `nonce`"),
    ("nonce=a&partial=0", 400, "Query deserialize error: missing field `mask`"),
    ("nonce=a&mask=0", 400, "Query deserialize error: missing field `partial`"),
    ("nonce=a&nonce=b&mask=0&partial=0", 400, "Query deserialize error: duplicate field `nonce`"),
])
def test_unfit_quote_requests_are_refused(agent, query, code, status):
    assert agent.get(f"/v2.6/quotes/integrity?{query}") == (code, status, {})


def test_identity_names_parameters(agent):
    assert agent.get("/v2.6/quotes/identity?nonce=a-b")[1] == "Parameters should be strictly alphanumeric: a-b"


def test_quotes_asked_at_once_do_not_disturb_each_other(agent, ak):
    connections = [agent.connect() for _ in range(8)]
    for i, connection in enumerate(connections):
        connection.request("GET", f"/v2.6/quotes/integrity?nonce=n{i}&mask=0x400&partial=0")
    for i, connection in enumerate(connections):
        r = json.loads(connection.getresponse().read())["results"]
        _, values = check_quote(r["quote"], ak, f"n{i}".encode())
        assert values[16] == hashlib.sha256(bytes(32) + hashlib.sha256(r["pubkey"].encode()).digest()).digest()
        connection.close()


def test_peers_that_leave_before_their_quote_harm_nobody(agent, ak):
    for i in range(12):
        connection = agent.connect()
        connection.request("GET", f"/v2.6/quotes/integrity?nonce=gone{i}&mask=0x400&partial=0")
        connection.close()
    check_quote(agent.quote()["quote"], ak, NONCE.encode())


# ---- bootstrap keys ----

def oaep(agent, tmp_path, secret):
    pem = tmp_path / "nk.pem"
    pem.write_text(agent.results("/v2.6/keys/pubkey")["pubkey"])
    sealed = openssl("pkeyutl", "-encrypt", "-pubin", "-inkey", pem, "-pkeyopt", "rsa_padding_mode:oaep", data=secret)
    return base64.b64encode(sealed).decode()


def test_bootstrap_key_from_u_and_v(agent, tmp_path):
    k, v = os.urandom(32), os.urandom(32)
    u = bytes(a ^ b for a, b in zip(k, v))
    tag = hmac.new(k, UUID.encode(), "sha384").hexdigest()
    payload = base64.b64encode(os.urandom(100)).decode()
    sealed_u, sealed_v = oaep(agent, tmp_path, u), oaep(agent, tmp_path, v)

    assert agent.get("/v2.6/keys/verify?challenge=abc")[:2] == (400, "Bootstrap key not yet available.")
    assert agent.get("/v2.6/keys/verify?challenge=")[:2] == (400, "No challenge provided.")
    assert agent.get("/v2.6/keys/verify?challenge=a-c")[:2] == (400, "Parameters should be strictly alphanumeric: a-c")
    bad = [{"auth_tag": tag}, {"encrypted_key": sealed_u}, {"encrypted_key": sealed_u, "auth_tag": tag[:-2]},
           {"encrypted_key": sealed_u, "auth_tag": "zz" + tag[2:]}, {"encrypted_key": 1, "auth_tag": tag},
           {"encrypted_key": sealed_u, "auth_tag": tag, "payload": "?"}, []]
    for body in bad:
        assert agent.call("POST", "/v2.6/keys/ukey", body)[0] == 400, body
    for key in ("", "?", "AAAA", oaep(agent, tmp_path, b"31 bytes are not a key ........"),
                base64.b64encode(bytes(256)).decode()):
        for path, body in (("ukey", {"encrypted_key": key, "auth_tag": tag}), ("vkey", {"encrypted_key": key})):
            assert agent.call("POST", f"/v2.6/keys/{path}", body) == (400, "encrypted_key cannot be used", {})
    assert agent.raw("POST", "/v2.6/keys/vkey", json.dumps({"encrypted_key": sealed_v}))[0].status == 400

    assert agent.call("POST", "/v2.6/keys/vkey", {"encrypted_key": sealed_v}) == (200, "Success", None)
    assert agent.get("/v2.6/keys/verify?challenge=abc")[0] == 400
    assert agent.call("POST", "/v2.6/keys/ukey", {"encrypted_key": sealed_u, "auth_tag": tag.upper(),
                                                  "payload": payload}) == (200, "Success", None)
    assert agent.results("/v2.6/keys/verify?challenge=abc") == {"hmac": hmac.new(k, b"abc", "sha384").hexdigest()}
    log = agent.process.text()
    assert "payload of 100 bytes refused: it cannot be decrypted by its key" in log
    for secret in (k, u, v):
        assert secret.hex() not in log and base64.b64encode(secret).decode() not in log


def test_a_payload_fits_2_mib_of_body_and_no_more(agent, tmp_path):
    tag, key = "0" * 96, oaep(agent, tmp_path, os.urandom(32))
    body = {"encrypted_key": key, "auth_tag": tag, "payload": ""}
    room = 2 * 1024 * 1024 - len(json.dumps(body))
    body["payload"] = "A" * (room // 4 * 4)
    assert agent.call("POST", "/v2.6/keys/ukey", body) == (200, "Success", None)
    body["payload"] += "AAAA"
    try:
        answer, _ = agent.raw("POST", "/v2.6/keys/ukey", json.dumps(body), {"Content-Type": "application/json"})
        assert answer.status == 413
    except (ConnectionError, ssl.SSLError):
        pass  # refused by its Content-Length, and closed while we were still sending
    assert agent.results("/version")


# ---- evidence of plugins ----

def need_probe(agent):
    if not agent.results("/v2.6/agent/info")["quicklime_evidence"]:
        pytest.skip("the test plugin is not built")


def test_logs_of_plugins_stand_in_keylimes_members(agent, probe_files):
    need_probe(agent)
    (probe_files / "lines").write_text("10 aa\n10 bb\n")
    (probe_files / "blob").write_bytes(b"\x00\x01")
    r = agent.quote(mask="0x401", extra="&ima_ml_entry=1")
    assert list(r) == ["quote", "hash_alg", "enc_alg", "sign_alg", "pubkey", "ima_measurement_list",
                       "mb_measurement_list", "ima_measurement_list_entry"]
    assert (r["ima_measurement_list"], r["ima_measurement_list_entry"]) == ("10 bb\n", 1)
    assert base64.b64decode(r["mb_measurement_list"]) == b"\x00\x01"
    r = agent.quote(mask="0x400", extra="&ima_ml_entry=nonsense")
    assert (r["ima_measurement_list"], r["ima_measurement_list_entry"]) == ("10 aa\n10 bb\n", 0)
    assert "mb_measurement_list" not in r
    assert "ima_measurement_list" not in agent.results(f"/v2.6/quotes/identity?nonce={NONCE}")
    (probe_files / "lines").write_bytes(b"\xff\n")
    # A byte that is no UTF-8 travels as Python writes it: as a lone surrogate.
    r = agent.results(f"/v2.6/quotes/integrity?nonce={NONCE}&mask=0&partial=1")
    assert r["ima_measurement_list"] == "\udcff\n"
    (probe_files / "lines").write_text("")


def test_evidence_asked_by_name_is_bound_by_the_nonce(agent, ak, probe_files):
    need_probe(agent)
    (probe_files / "note").write_text("hello")
    (probe_files / "lines").write_text("10 aa\n10 bb\n")
    r = agent.quote(extra="&evidence=note:0,lines:1,unknown:0")
    assert r["evidence"] == {"note": {"data": base64.b64encode(b"hello").decode(), "cursor": 5, "from": 0},
                             "lines": {"data": base64.b64encode(b"10 bb\n").decode(), "cursor": 2, "from": 1}}
    assert "ima_measurement_list" not in r
    message = b"quicklime-evidence-1" + len(NONCE).to_bytes(2, "big") + NONCE.encode()
    item = b"\x00\x04note" + hashlib.sha256(b"hello").digest()
    check_quote(r["quote"], ak, hashlib.sha256(message + item).digest())
    # Nothing that is bound by the nonce: still the other form.
    r = agent.quote(extra="&evidence=lines:0")
    check_quote(r["quote"], ak, hashlib.sha256(message).digest())


@pytest.mark.parametrize("query", ["", "note", "note:", "note:-1", "note:0,", "note:0,note:1", "NOTE:0", "a" * 33 + ":0",
                                   ",".join(f"n{i}:0" for i in range(17)), "note:0&evidence=note:1"])
def test_unfit_evidence_queries_are_refused(agent, query):
    assert agent.get(f"/v2.6/quotes/integrity?nonce={NONCE}&mask=0&partial=1&evidence={query}")[0] == 400


# ---- life ----

def test_attestation_key_outlives_a_restart_and_its_loss_is_told(other, registrar):
    first = other(registrar.port)
    folder, kept = first.folder, (first.folder / "agent_data.json").read_text()
    assert json.loads(kept)["ak_sign_alg"] == "RsaSsa"
    assert first.process.stop() == 0
    second = other(registrar.port, folder)
    assert (folder / "agent_data.json").read_text() == kept
    assert second.process.stop() == 0
    (folder / "agent_data.json").unlink()
    third = other(registrar.port, folder, ready=False)
    assert third.process.wait() == 1
    assert "another key or TPM is registered under this id" in third.process.text()


def test_id_is_the_digest_of_the_ek(other, registrar, tmp_path):
    a = other(registrar.port, options={"uuid": "hash_ek"})
    own_id = a.results("/v2.6/agent/info")["agent_uuid"]
    assert re.fullmatch("[0-9a-f]{64}", own_id)
    assert bytes(json.loads((a.folder / "agent_data.json").read_text())["ek_hash"]).decode() == own_id
    assert f"CN = {own_id}" in openssl("x509", "-in", a.folder / "server-cert.crt", "-noout", "-subject").decode()


def test_elliptic_keys_and_older_versions(other, registrar):
    a = other(registrar.port, options={"tpm_encryption_alg": "ecc", "tpm_signing_alg": "ecdsa", "api_versions": "2.3,2.5",
                                       "tpm_hash_alg": "sha384"})
    assert a.results("/version")["supported_versions"] == ["2.3", "2.5"]
    assert a.get("/v2.6/keys/pubkey")[1] == "API version not supported: v2.6"
    assert a.quote("2.3")["enc_alg"] == "ecc"
    r = a.quote("2.5")
    assert (r["hash_alg"], r["enc_alg"], r["sign_alg"]) == ("sha384", "ecc256", "ecdsa")


def test_registrar_is_waited_for(other, pki, tmp_path):
    port = free_port()
    a = other(port, ready=False, options={"exponential_backoff_max_retries": 1000})
    a.process.wait_line("next try in")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", a.port), 1)
    late = Registrar(tmp_path / "late", pki, port)
    try:
        a.process.wait_line("ready")
        assert a.results("/version")
    finally:
        late.process.stop()


def test_registrar_that_never_comes_ends_the_agent(other):
    a = other(free_port(), ready=False, options={"exponential_backoff_max_retries": 2,
                                                 "exponential_backoff_initial_delay": 10})
    assert a.process.wait() == 1
    assert "given up after 3 tries" in a.process.text()


def test_state_folder_belongs_to_one_agent(agent, pki, tmp_path):
    second = Agent(agent.folder, pki, None, free_port(), ready=False)
    assert second.process.wait() == 1
    assert "lock" in second.process.text()
    assert agent.results("/version")


def test_reload_takes_a_new_ca_and_keeps_serving(other, registrar, pki, tmp_path):
    cas = tmp_path / "cas.crt"
    cas.write_text((pki.folder / "ca.crt").read_text())
    a = other(registrar.port, options={"trusted_client_ca": cas})
    cas.write_text((pki.folder / "stranger-ca.crt").read_text())
    a.process.child.send_signal(signal.SIGHUP)
    a.process.wait_line("reloaded")
    connection = a.connect("stranger")
    connection.request("GET", "/version")
    assert connection.getresponse().status == 200
    connection = a.connect("client")
    with pytest.raises((ssl.SSLError, ConnectionError, http.client.RemoteDisconnected)):
        connection.request("GET", "/version")
        connection.getresponse()
    cas.write_text("nothing")
    a.process.child.send_signal(signal.SIGHUP)
    a.process.wait_line("the certificates in use stay")
    connection = a.connect("stranger")
    connection.request("GET", "/version")
    assert connection.getresponse().status == 200


def test_certificate_that_names_another_id_is_renewed(other, registrar):
    a = other(registrar.port)
    folder, old = a.folder, (a.folder / "server-cert.crt").read_text()
    a.process.stop()
    b = other(registrar.port, folder, options={"uuid": "another-id"})
    assert (folder / "server-cert.crt").read_text() != old
    assert "must be added to its verifier again" in b.process.text()


class Recorder(http.server.BaseHTTPRequestHandler):
    """Takes one registration down and refuses it: how a certificate authority learns of a node's keys."""

    def answer(self, code):
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.answer(404)

    def do_POST(self):
        self.server.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(403)

    def log_message(self, *_):
        pass


def p256_pem(public):
    """SubjectPublicKeyInfo of a TPM2B_PUBLIC of a P-256 key."""
    data = base64.b64decode(public)
    point = b"\x04" + data[-66:-34] + data[-32:]
    der = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + point
    return b"-----BEGIN PUBLIC KEY-----\n" + base64.encodebytes(der) + b"-----END PUBLIC KEY-----\n"


def test_iak_and_idevid_vouch_for_the_attestation_key(other, registrar, pki, tmp_path):
    server = http.server.HTTPServer(("127.0.0.1", 0), Recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = {"enable_iak_idevid": "true", "iak_idevid_template": "H-2", "iak_cert": "", "idevid_cert": ""}
    first = other(server.server_port, ready=False, options=options)
    assert first.process.wait() == 1
    server.shutdown()
    body = server.body
    assert list(body) == ["aik_tpm", "ek_tpm", "iak_attest", "iak_cert", "iak_sign", "iak_tpm", "idevid_cert",
                          "idevid_tpm", "ip", "mtls_cert", "port"]
    assert body["iak_cert"] is None and body["idevid_cert"] is None

    for name in ("iak", "idevid"):
        pem, request = tmp_path / f"{name}.pem", pki.folder / "client.csr"
        pem.write_bytes(p256_pem(body[f"{name}_tpm"]))
        openssl("x509", "-req", "-in", request, "-force_pubkey", pem, "-CA", pki.folder / "ca.crt", "-CAkey",
                pki.folder / "ca.key", "-set_serial", 7, "-days", 2, "-outform", "DER", "-out", tmp_path / f"{name}.crt")
    options = {"enable_iak_idevid": "true", "iak_cert": tmp_path / "iak.crt", "idevid_cert": tmp_path / "idevid.crt"}
    a = other(registrar.port, options=options)
    own_id = a.results("/v2.6/agent/info")["agent_uuid"]
    assert registrar.admin("GET", f"/v2.6/agents/{own_id}")[0] == 200
    assert a.process.stop() == 0

    swapped = {**options, "iak_cert": tmp_path / "idevid.crt"}
    refused = other(registrar.port, ready=False, options=swapped)
    assert refused.process.wait() == 1
    assert "iak_cert: the certificate is not of the key in the TPM" in refused.process.text()


@pytest.mark.parametrize("options,words", [
    ({"uuid": "not an id"}, "is no agent id"),
    ({"enable_agent_mtls": "false"}, "payload_script"),
    ({"contact_ip": "a b"}, "contact_ip"),
    ({"ip": "-x"}, "ip"),
    ({"run_as": "quicklime"}, "run_as"),
    ({"tpm_encryption_alg": "rsa1024"}, "rsa1024"),
    ({"tpm_signing_alg": "ecdsa"}, "does not fit"),
    ({"ek_handle": "zz"}, "ek_handle"),
    ({"ek_handle": "0x81010016"}, "0x81010016"),
    ({"tpm_ownerpassword": "hex:1"}, "tpm_ownerpassword"),
    ({"trusted_client_ca": "/nonexistent/ca.crt"}, "trusted_client_ca"),
    ({"plugins": "nosuch"}, "nosuch"),
    ({"keylime_dir": "relative"}, "keylime_dir"),
])
def test_start_is_refused_with_the_reason(other, options, words):
    if "run_as" in options and os.geteuid() != 0:
        pytest.skip("only root changes its user")
    a = other(free_port(), ready=False, options=options)
    assert a.process.wait() == 1
    assert words in a.process.text()


def test_missing_tpm_is_named(pki, tmp_path):
    a = Agent(tmp_path / "agent", pki, None, free_port(), ready=False)
    assert a.process.wait() == 1
    assert "device:/nonexistent" in a.process.text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_root_is_dropped_for_good(pki, registrar, tmp_path):
    for folder in (tmp_path, *tmp_path.parents, pki.folder):
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)
    tpm = Tpm(tmp_path / "tpm")
    tpm.sock.parent.chmod(0o777)
    kept = tmp_path / "kept"
    options = {"uuid": str(uuid.uuid4()), "run_as": "nobody:nogroup", "keylime_dir": kept}
    a = Agent(tmp_path / "state", pki, tpm, registrar.port, options)
    try:
        status = pathlib.Path(f"/proc/{a.process.child.pid}/status").read_text()
        nobody = int(subprocess.run(["id", "-u", "nobody"], capture_output=True, text=True, check=True).stdout)
        assert re.search(rf"^Uid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}$", status, re.M)
        assert re.search(r"^CapPrm:\t0+$", status, re.M) and re.search(r"^CapEff:\t0+$", status, re.M)
        for task in pathlib.Path(f"/proc/{a.process.child.pid}/task").iterdir():
            assert re.search(rf"^Uid:\t{nobody}\t{nobody}\t{nobody}\t{nobody}$", (task / "status").read_text(), re.M)
        assert kept.stat().st_uid == nobody
        a.folder = kept
        assert a.quote()["quote"]
    finally:
        a.process.stop()
        tpm.process.stop()
