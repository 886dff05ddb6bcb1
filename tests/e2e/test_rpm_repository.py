# SPDX-License-Identifier: Apache-2.0
"""quicklime-policy create runtime --remote-rpm-repo: repositories on a web server of the test, good ones and hostile ones."""

import bz2
import contextlib
import gzip
import hashlib
import http.server
import json
import lzma
import os
import shutil
import ssl
import subprocess
import threading

import pytest
from test_policy_tool import rpm_package, run

NS = "http://linux.duke.edu/metadata"
ONE, TWO, THREE = "a" * 64, "b" * 64, "c" * 64


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` (path: bytes, or what a handler is called with), knows ranges or does not, remembers what was asked."""

    daemon_threads = True

    def __init__(self, files, ranges=True, context=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.ranges, self.asked = files, ranges, []
        self.url = f"{'https' if context else 'http'}://localhost:{self.server_port}/repo"
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    def handle_error(self, request, client_address):
        """Clients that go away early are the point of some tests."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        found = self.server.files.get(self.path)
        if callable(found):
            found(self)
            return
        asked = self.headers.get("Range") if self.server.ranges else None
        status = 404 if found is None else 200
        body = found or b""
        if found is not None and asked:
            begin, end = asked.removeprefix("bytes=").split("-")
            status, body = 206, body[int(begin):int(end) + 1]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def serving(files, **options):
    server = Server({f"/repo/{path}": body for path, body in files.items()}, **options)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def listed(kind, href, body, algorithm="sha256"):
    return (f'<data type="{kind}"><checksum type="{algorithm}">{hashlib.new(algorithm, body).hexdigest()}</checksum>'
            f'<location href="{href}"/><size>{len(body)}</size></data>')


def index(*data):
    return f'<?xml version="1.0"?><repomd xmlns="{NS}/repo" xmlns:rpm="{NS}/rpm"><revision>1</revision>{"".join(data)}</repomd>'.encode()


def primary(packages, ends=()):
    text = "".join(
        f'<package type="rpm"><name>n</name><description>{"long " * 9000}</description><location href="{href}"/><format>'
        + (f'<rpm:header-range start="1" end="{ends[i]}"/>' if i < len(ends) else "") + "</format></package>"
        for i, href in enumerate(packages))
    return f'<metadata xmlns="{NS}/common" xmlns:rpm="{NS}/rpm" packages="{len(packages)}">{text}</metadata>'.encode()


def filelists(files):
    text = "".join(f'<file hash="{digest}">{path}</file>' if digest else f"<file>{path}</file>" for path, digest in files)
    return (f'<filelists-ext xmlns="{NS}/filelists-ext" packages="1"><package pkgid="1"><checksum type="sha256"/>{text}'
            "</package></filelists-ext>").encode()


def repository(packages, ends=(), pack=gzip.compress):
    body = pack(primary(packages, ends))
    return {"repodata/repomd.xml": index(listed("primary", "repodata/p.xml", body)), "repodata/p.xml": body, **packages}


def create(folder, url, *more, code=0):
    answer = run("create", "runtime", "--remote-rpm-repo", url, "-o", "out", *more, cwd=folder)
    assert answer.returncode == code, answer.stderr
    return (json.loads((folder / "out").read_text())["digests"] if code == 0 else None), answer.stderr


def big_package():
    """Its header is longer than what is fetched at first."""
    files = {f"/usr/share/data/file-{n}": hashlib.sha256(b"%d" % n).hexdigest() for n in range(1000)}
    return files, rpm_package(files)


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "whole-files"])
def test_headers_of_a_servers_packages_give_their_files(tmp_path, ranges):
    files, big = big_package()
    small = rpm_package({"/usr/bin/a": ONE, "/etc/my conf": TWO, "/var/ghost": "0" * 64})
    packages = {"p/small.rpm": small + bytes(1 << 20), "big%20one.rpm": big + bytes(1 << 20), "p/hinted.rpm": big}
    with serving(repository({**packages}, ends=(0, 0, len(big))), ranges=ranges) as server:
        server.files["/repo/p/bad.rpm"] = b"no package"
        got, said = create(tmp_path, server.url)
    assert got == {"/usr/bin/a": [ONE], "/etc/my_conf": [TWO], **{path: [digest] for path, digest in files.items()}}
    assert "is not signed" in said
    asked = [path for path, _ in server.asked]
    assert asked.count("/repo/p/small.rpm") == 1 and asked.count("/repo/p/hinted.rpm") == 1
    assert asked.count("/repo/big%20one.rpm") > 1


def test_packages_that_cannot_be_read_are_named_and_counted(tmp_path):
    packages = {"good.rpm": rpm_package({"/usr/bin/a": ONE}), "text.rpm": b"no package\n" * 50,
                "cut.rpm": rpm_package({"/usr/bin/z": TWO})[:-1]}
    files = repository({**packages, "absent.rpm": b""})
    del files["absent.rpm"]
    with serving(files) as server:
        got, said = create(tmp_path, server.url)
        assert got == {"/usr/bin/a": [ONE]}
        assert "3 packages could not be read" in said
        for name, why in {"text.rpm": "no RPM package", "cut.rpm": "cut short", "absent.rpm": "no such file"}.items():
            assert f"{server.url}/{name}: " in said and why in said
        del server.files["/repo/good.rpm"]
        _, said = create(tmp_path, server.url, code=1)
        assert "none of 4 packages could be read" in said


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress], ids=["plain", "gzip", "xz", "bzip2"])
def test_a_list_of_all_files_is_enough(tmp_path, pack):
    body = pack(filelists([("/usr/bin/a", ONE), ("/usr/bin", None), ("/etc/my conf", TWO), ("/usr/bin/a", THREE)]))
    files = {"repodata/repomd.xml": index(listed("primary", "repodata/none", b""), listed("filelists-ext", "repodata/f", body)),
             "repodata/f": body}
    with serving(files) as server:
        got, _ = create(tmp_path, f"{server.url}/")
        assert got == {"/usr/bin/a": [ONE, THREE], "/etc/my_conf": [TWO]}
        assert [path for path, _ in server.asked] == ["/repo/repodata/repomd.xml", "/repo/repodata/repomd.xml.asc", "/repo/repodata/f"]


# ---- signatures ----

@pytest.fixture(scope="module", name="pgp")
def fixture_pgp(tmp_path_factory):
    """Two OpenPGP keys, and signing by the first."""
    if not shutil.which("gpg") or not shutil.which("gpgv"):
        pytest.skip("gpg and gpgv make and check these signatures")
    home = tmp_path_factory.mktemp("gnupg")
    home.chmod(0o700)
    env = dict(os.environ, GNUPGHOME=str(home))

    def gpg(*args, data=None):
        return subprocess.run(["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", *args],
                              env=env, input=data, capture_output=True, check=True).stdout

    for name in ("owner@example.org", "other@example.org"):
        gpg("--quick-gen-key", name, "ed25519", "sign", "never")
    keys = [gpg("--armor", "--export", name) for name in ("owner@example.org", "other@example.org")]
    yield keys, lambda data, *form: gpg(*form, "--local-user", "owner@example.org", "--detach-sign", data=data)
    subprocess.run(["gpgconf", "--kill", "all"], env=env, check=False)


def test_the_index_must_be_what_its_owner_signed(tmp_path, pgp):
    (owner, other), sign = pgp
    files = repository({"a.rpm": rpm_package({"/usr/bin/a": ONE})})
    signed = files["repodata/repomd.xml"]
    (tmp_path / "owner").write_bytes(owner)
    (tmp_path / "other").write_bytes(other)
    with serving(files) as server:
        beside = server.files
        _, said = create(tmp_path, server.url, "--rpm-repo-key", "owner", code=1)
        assert "is not signed" in said
        for signature in (sign(signed, "--armor"), sign(signed)):
            beside["/repo/repodata/repomd.xml.asc"] = signature
            got, _ = create(tmp_path, server.url, "--rpm-repo-key", "owner")
            assert got == {"/usr/bin/a": [ONE]}
        _, said = create(tmp_path, server.url, "--rpm-repo-key", "other", code=1)
        assert "signature is not good" in said
        _, said = create(tmp_path, server.url, code=1)
        assert "repomd.xml.key is not" in said
        beside["/repo/repodata/repomd.xml.key"] = owner
        _, said = create(tmp_path, server.url)
        assert "--rpm-repo-key" in said
        beside["/repo/repodata/repomd.xml.key"] = other
        create(tmp_path, server.url, code=1)
        beside["/repo/repodata/repomd.xml.key"] = owner
        beside["/repo/repodata/repomd.xml"] = signed.replace(b"<revision>1", b"<revision>2")
        _, said = create(tmp_path, server.url, code=1)
        assert "signature is not good" in said
        for broken in (b"", b"junk", sign(signed)[:-3], b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n"):
            beside["/repo/repodata/repomd.xml"] = signed
            beside["/repo/repodata/repomd.xml.asc"] = broken
            create(tmp_path, server.url, code=1)


def test_a_folders_index_is_checked_as_a_servers(tmp_path, pgp):
    (owner, _), sign = pgp
    repo = tmp_path / "repo" / "repodata"
    repo.mkdir(parents=True)
    (repo / "repomd.xml").write_bytes(index())
    (repo.parent / "a.rpm").write_bytes(rpm_package({"/usr/bin/a": ONE}))
    (tmp_path / "owner").write_bytes(owner)
    args = ("create", "runtime", "--local-rpm-repo", repo.parent, "-o", "out", "--rpm-repo-key", "owner")
    assert run(*args, cwd=tmp_path).returncode == 1
    (repo / "repomd.xml.asc").write_bytes(sign(index()))
    answer = run(*args, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    (repo / "repomd.xml").write_bytes(index() + b"\n")
    answer = run(*args, cwd=tmp_path)
    assert answer.returncode == 1 and "signature is not good" in answer.stderr


def test_a_pem_key_signs_too(tmp_path):
    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=tmp_path, check=True, capture_output=True)

    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "private")
    openssl("ec", "-in", "private", "-pubout", "-out", "public")
    files = repository({"a.rpm": rpm_package({"/usr/bin/a": ONE})})
    (tmp_path / "data").write_bytes(files["repodata/repomd.xml"])
    openssl("dgst", "-sha256", "-sign", "private", "-out", "signature", "data")
    files["repodata/repomd.xml.asc"] = (tmp_path / "signature").read_bytes()
    with serving(files) as server:
        got, _ = create(tmp_path, server.url, "--rpm-repo-key", "public")
        assert got == {"/usr/bin/a": [ONE]}
        server.files["/repo/repodata/repomd.xml"] += b"\n"
        create(tmp_path, server.url, "--rpm-repo-key", "public", code=1)
        _, said = create(tmp_path, server.url, "--rpm-repo-key", "private", code=1)
        assert "neither OpenPGP's nor a PEM public key" in said


# ---- TLS ----

def test_the_servers_certificate_is_verified(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key", "-out", "cert"],
                   cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    files = repository({"a.rpm": rpm_package({"/usr/bin/a": ONE})})
    with serving(files, context=context) as server, serving(files) as plain:
        _, said = create(tmp_path, server.url, code=1)
        assert "certificate" in said and not server.asked
        got, _ = create(tmp_path, server.url, "--repo-ca-file", "cert")
        assert got == {"/usr/bin/a": [ONE]}

        def elsewhere(handler):
            handler.send_response(302)
            handler.send_header("Location", f"{plain.url}/repodata/repomd.xml")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        server.files["/repo/repodata/repomd.xml"] = elsewhere
        create(tmp_path, server.url, "--repo-ca-file", "cert", code=1)
        assert not plain.asked


# ---- hostile ones ----

def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    with contextlib.suppress(OSError):
        while True:
            handler.wfile.write(b"<repomd>" * 8192)


def in_circles(handler):
    handler.send_response(302)
    handler.send_header("Location", handler.path)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def failing(handler):
    handler.send_response(500)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


BOMB = '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "x"><!ENTITY b "&a;&a;">]>'.encode() + index()
GOOD = rpm_package({"/usr/bin/a": ONE})
P = primary({"a.rpm": GOOD})


@pytest.mark.parametrize("document,words", [
    (endless, "more than 16777216 bytes"), (in_circles, "redirect"), (failing, "status 500"), (b"", "empty"),
    (BOMB, "document type"), (b"<repomd/>", "another document"), (index()[:-3], "XML: line"), (b"\xff\xfe junk", "damaged"),
    (index(), "lists no packages"), (f'<repomd xmlns="{NS}/repo">{"<a>" * 100}'.encode(), "nested too deeply"),
    (f'<repomd xmlns="{NS}/repo">{listed("primary", "p", P)}{listed("primary", "p", P)}</repomd>'.encode(), "listed twice"),
    (index(listed("primary", "p", P + b" ")), "not the checksum"), (index(listed("primary", "p", P, "sha1")), "proves nothing"),
    (index(listed("primary", "http://127.0.0.2:1/p", P)), "no file of this server"),
    (index(listed("primary", "file:///etc/passwd", P)), "no file of this server"),
    (index('<data type="primary"><location href="p"/></data>'), "proves nothing"),
    (index(f'<data type="primary"><location href="{"p" * 5000}"/></data>'), "location of more than"),
    (f'<repomd xmlns="{NS}/repo" a="{"p" * 2000000}"></repomd>'.encode(), "tag of more than"),
], ids=lambda value: None if not isinstance(value, str) else value.replace(" ", "-")[:20] or "no-xml")
def test_a_hostile_index_is_refused(tmp_path, document, words):
    with serving({"repodata/repomd.xml": document, "p": P, "a.rpm": GOOD}) as server:
        _, said = create(tmp_path, server.url, code=1)
        assert words in said, said
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("href,words", [("http://127.0.0.2:1/a.rpm", "no file of this server"), ("", "no location")])
def test_packages_of_other_servers_are_not_fetched(tmp_path, href, words):
    with serving(repository({"a.rpm": GOOD, href: GOOD})) as server:
        _, said = create(tmp_path, server.url, code=1)
    assert words in said, said
    assert "/repo/a.rpm" not in [path for path, _ in server.asked]


def test_passwords_in_a_url_are_not_shown(tmp_path):
    with serving({"repodata/repomd.xml": failing}) as server:
        _, said = create(tmp_path, server.url.replace("://", "://user:secret@"), code=1)
    assert "status 500" in said and "secret" not in said
    _, said = create(tmp_path, "ftp://user:secret@localhost/", code=1)
    assert "http or https" in said and "secret" not in said
