# SPDX-License-Identifier: Apache-2.0
"""quicklime-policy as its users call it: known answers, walks, images, signatures, offline judgement."""

import base64
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import tarfile

import pytest
from conftest import BUILD, SHARED, SLOW, vectors

TOOL = BUILD / "bin" / "quicklime-policy"
ANSWERS = SHARED / "vectors/ima/tools.json"
KNOWN = json.loads(ANSWERS.read_text()) if ANSWERS.exists() else {"cases": []}
NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="files of root and of others can only be made by root")


def run(*args, cwd, program="quicklime-policy"):
    if program != "quicklime-policy":
        link = cwd / program
        if not link.exists():
            link.symlink_to(TOOL)
        tool = link
    else:
        tool = TOOL
    return subprocess.run([tool, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=60 * SLOW)


def lay_out(folder):
    """The folder that the known answers were made in."""
    for name, text in KNOWN["files"].items():
        (folder / name).write_text(text)
    for name, text in KNOWN["root_tree"].items():
        path = folder / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "root/usr/bin/link").symlink_to("tool")
    (folder / "root/usr/bin/notroot").write_text("n")
    if os.geteuid() == 0:
        os.chown(folder / "root/usr/bin/notroot", 1000, 1000)
    (folder / "boot").mkdir()
    for name, data in KNOWN["boot_files_b64"].items():
        (folder / "boot" / name).write_bytes(base64.b64decode(data))


def known_cases():
    return [pytest.param(case, id=case["id"], marks=[NEEDS_ROOT] if "rootfs" in case["id"] else [])
            for case in KNOWN["cases"]]


@pytest.mark.parametrize("case", known_cases())
def test_known_answers(case, tmp_path):
    lay_out(tmp_path)
    program = "quicklime-policy" if case["tool"] == "keylime-policy" else case["tool"]
    answer = run(*case["args"], cwd=tmp_path, program=program)
    assert answer.returncode == case["exit"], answer.stderr
    if "output" in case:
        made = json.loads((tmp_path / "out").read_text())
        if "timestamp" in made["meta"]:
            made["meta"]["timestamp"] = "<now>"
        assert made == case["output"]
        assert list(made) == case["output_key_order"]
    if "output_text" in case:
        assert (tmp_path / "out").read_text() == case["output_text"]
    if "envelope" in case:
        envelope = json.loads((tmp_path / "out").read_text())
        assert base64.b64decode(envelope["payload"]).decode() == case["envelope"]["payload_text"]
        assert envelope["payloadType"] == case["envelope"]["payloadType"]


def policy(**digests):
    return {"meta": {"version": 1, "generator": 3}, "release": 0, "digests": digests, "excludes": [], "keyrings": {},
            "ima": {"ignored_keyrings": [], "log_hash_alg": "sha1", "dm_policy": None}, "ima-buf": {},
            "verification-keys": ""}


@NEEDS_ROOT
def test_a_walk_hashes_every_file_of_root_and_follows_no_link(tmp_path):
    root = tmp_path / "r"
    (root / "usr/bin").mkdir(parents=True)
    for i in range(200):
        (root / f"usr/bin/f{i}").write_bytes(os.urandom(i * 997))
    (root / "usr/out").symlink_to("/etc")
    os.mkfifo(root / "usr/pipe")
    (root / os.fsdecode(b"usr/bin/n\xff")).write_text("odd")
    answer = run("create", "runtime", "--rootfs", root, "-o", "out", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    digests = json.loads((tmp_path / "out").read_text())["digests"]
    assert len(digests) == 201
    for i in range(200):
        data = (root / f"usr/bin/f{i}").read_bytes()
        assert digests[f"/usr/bin/f{i}"] == [hashlib.sha256(data).hexdigest()]
    assert digests["/usr/bin/n\udcff"] == [hashlib.sha256(b"odd").hexdigest()]
    assert run("check", "out", cwd=tmp_path).returncode == 0
    # Names that are no UTF-8 survive a policy that is read again.
    assert run("create", "runtime", "-p", "out", "-o", "again", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "again").read_text())["digests"] == digests


@NEEDS_ROOT
def test_what_cannot_be_read_is_counted(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "x").write_text("x")
    answer = run("create", "runtime", "--rootfs", tmp_path / "nowhere", "-o", "out", cwd=tmp_path)
    assert answer.returncode == 1 and "nowhere is no folder" in answer.stderr


def test_check_names_what_is_wrong(tmp_path):
    bad = policy(**{"/a": ["zz"]})
    (tmp_path / "p").write_text(json.dumps(bad))
    answer = run("check", "p", cwd=tmp_path)
    assert answer.returncode == 1
    assert "'digests': '/a': element 1: 'zz' does not match" in answer.stdout
    (tmp_path / "p").write_text(json.dumps({**policy(), "excludes": ["/ok", "/a("]}))
    answer = run("check", "p", cwd=tmp_path)
    assert answer.returncode == 1 and "element 2: at character 3" in answer.stdout
    (tmp_path / "p").write_text(json.dumps(policy(**{"/a": ["a" * 40], "/b": ["b" * 64]})))
    answer = run("check", "p", cwd=tmp_path)
    assert answer.returncode == 0
    assert "warning: digests of 2 lengths: 1 of 160 bits, 1 of 256 bits" in answer.stdout
    assert "warning: no boot_aggregate" in answer.stdout


def test_check_judges_a_list_offline(tmp_path):
    case = next(c for c in vectors("ima/log_cases.json")["cases"]
                if c["steps"][0]["expect"]["verdict"] == "fail" and not c["policy"]["ima"]["dm_policy"]
                and any("not_in_allowlist" in e["id"] for e in c["steps"][0]["expect"]["events"]))
    step = case["steps"][0]
    (tmp_path / "p").write_text(json.dumps(case["policy"]))
    (tmp_path / "log").write_text(step["log"])
    answer = run("check", "p", "-m", "log", "--bank", case["pcr_bank"], "--pcr", step["pcr10"], cwd=tmp_path)
    assert answer.returncode == 1
    for event in step["expect"]["events"]:
        assert event["id"] in answer.stdout
    good = next(c for c in vectors("ima/log_cases.json")["cases"]
                if c["steps"][0]["expect"]["verdict"] == "pass" and c["steps"][0]["log"].count("\n") > 2
                and "boot_aggregate" in c["steps"][0]["log"].split("\n")[0] and not c.get("boot_aggregates"))
    (tmp_path / "p").write_text(json.dumps(good["policy"]))
    (tmp_path / "log").write_text(good["steps"][0]["log"])
    args = ("--bank", good["pcr_bank"], "--pcr", good["steps"][0]["pcr10"])
    answer = run("check", "p", "-m", "log", *args, cwd=tmp_path)
    assert answer.returncode == 0, answer.stdout
    assert "0 entries fail" in answer.stdout
    answer = run("check", "p", "-m", "log", "--bank", good["pcr_bank"], "--pcr",
                 "11" * (len(args[3]) // 2), cwd=tmp_path)
    assert answer.returncode == 1 and "ima.pcr_mismatch" in answer.stdout


def test_diff_tells_each_digest(tmp_path):
    (tmp_path / "a").write_text(json.dumps(policy(**{"/x": ["a" * 64], "/y": ["b" * 64]})))
    (tmp_path / "b").write_text(json.dumps({**policy(**{"/x": ["c" * 64], "/y": ["b" * 64]}), "excludes": ["/tmp"]}))
    answer = run("diff", "a", "b", cwd=tmp_path)
    assert answer.returncode == 1
    assert answer.stdout.splitlines() == [f'- digests "/x" {"a" * 64}', f'+ digests "/x" {"c" * 64}',
                                          '+ excludes "/tmp"']
    assert run("diff", "a", "a", cwd=tmp_path).returncode == 0
    assert run("diff", "a", cwd=tmp_path).returncode == 2


def test_a_new_key_is_private_and_never_written_over(tmp_path):
    (tmp_path / "p").write_text(json.dumps(policy()))
    assert run("sign", "runtime", "-r", "p", "-p", "key", "-o", "out", cwd=tmp_path).returncode == 0
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "key").read_text()
    answer = run("sign", "runtime", "-r", "p", "-p", "key", "-o", "out", cwd=tmp_path)
    assert answer.returncode == 1 and "key" in answer.stderr
    assert (tmp_path / "key").read_text() == before
    answer = run("sign", "runtime", "-r", "p", "-k", "key", "-b", "x509", "-c", "crt", "-o", "out2", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    subject = subprocess.run(["openssl", "x509", "-in", "crt", "-noout", "-subject", "-ext", "subjectAltName"],
                             cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert "dsse_lib" in subject


def test_images_of_every_compression_give_the_same_files(tmp_path):
    archive = b"".join(entry(name, data, mode) for name, data, mode in [
        ("init", b"#!/bin/sh\n", 0o100755), ("dir", b"", 0o040755), ("dir/a file", b"x" * 300000, 0o100644),
        ("link", b"init", 0o120777), ("TRAILER!!!", b"", 0)]) + bytes(512)
    early = entry("kernel/microcode", b"m" * 99, 0o100644) + entry("TRAILER!!!", b"", 0) + bytes(1024)
    wanted = {"/init": [hashlib.sha256(b"#!/bin/sh\n").hexdigest()],
              "/dir/a_file": [hashlib.sha256(b"x" * 300000).hexdigest()]}
    commands = {"plain": ["cat"], "gz": ["gzip", "-c"], "xz": ["xz", "--check=crc32", "-c"], "bz2": ["bzip2", "-c"],
                "zst": ["zstd", "-c"], "lz4": ["lz4", "-c"], "lz4-old": ["lz4", "-l", "-c"], "lzo": ["lzop", "-c"]}
    tried = 0
    for name, command in commands.items():
        if not shutil.which(command[0]):
            continue
        packed = subprocess.run(command, input=archive, capture_output=True, check=True).stdout
        for front in (b"", early, early + early):
            shutil.rmtree(tmp_path / "boot", ignore_errors=True)
            (tmp_path / "boot").mkdir()
            (tmp_path / "boot" / "initrd.img").write_bytes(front + packed)
            answer = run("create", "runtime", "--ramdisk-dir", "boot", "-o", "out", cwd=tmp_path)
            if "not in this build" in answer.stderr:
                break
            assert answer.returncode == 0 and not answer.stderr, name + answer.stderr
            assert json.loads((tmp_path / "out").read_text())["digests"] == wanted, name
        if "not in this build" in answer.stderr:
            continue
        answer = run("create", "runtime", "--ramdisk-dir", "boot", "--all-segments", "-o", "out", cwd=tmp_path)
        assert "/kernel/microcode" in json.loads((tmp_path / "out").read_text())["digests"]
        (tmp_path / "boot" / "initrd.img").write_bytes(packed[:len(packed) // 2])
        answer = run("create", "runtime", "--ramdisk-dir", "boot", "-o", "out", cwd=tmp_path)
        assert "initrd.img: " in answer.stderr
        tried += 1
    assert tried >= 3


def entry(name, data, mode):
    """One entry of a newc archive."""
    text = name.encode() + b"\0"
    fields = [0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(text), 0]
    head = b"070701" + b"".join(b"%08x" % f for f in fields) + text
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def rpm_package(files):
    """A package of just a header; files: {path: hex digest or ''}."""
    dirs = sorted({p.rsplit("/", 1)[0] + "/" for p in files})
    texts = {1035: [d for d in files.values()], 1117: [p.rsplit("/", 1)[1] for p in files], 1118: dirs}
    store, index = b"", b""
    for tag, values in texts.items():
        index += struct.pack(">IIII", tag, 8, len(store), len(values))
        store += b"".join(v.encode() + b"\0" for v in values)
    store += bytes(-len(store) % 4)
    index += struct.pack(">IIII", 1116, 4, len(store), len(files))
    store += b"".join(struct.pack(">I", dirs.index(p.rsplit("/", 1)[0] + "/")) for p in files)
    magic = b"\x8e\xad\xe8\x01" + bytes(4)
    signature = magic + struct.pack(">II", 1, 5) + struct.pack(">IIII", 1000, 7, 0, 5) + b"12345" + bytes(3)
    return b"\xed\xab\xee\xdb" + bytes(92) + signature + magic + struct.pack(">II", 4, len(store)) + index + store


def deb(folder, name, files, compression, links=()):
    """A package made by dpkg-deb."""
    root = folder / f"{name}.root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: m <m@example.org>\nDescription: d\n")
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    for new, old in links:
        os.link(root / old, root / new)
    os.symlink("b", root / "usr" / "bin" / "symbolic")
    subprocess.run(["dpkg-deb", f"-Z{compression}", "--root-owner-group", "--build", root, folder / f"{name}.deb"], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    return folder / f"{name}.deb"


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="Debian's dpkg-deb makes the packages")
def test_files_of_debian_packages_are_hashed(tmp_path):
    repo = tmp_path / "repo" / "pool"
    repo.mkdir(parents=True)
    big = os.urandom(3 << 20)

    def sha(data, alg="sha256"):
        return [hashlib.new(alg, data).hexdigest()]

    answer = run("create", "runtime", "--local-deb-repo", tmp_path / "repo", "-o", "out", cwd=tmp_path)
    assert answer.returncode == 1 and "no Debian packages" in answer.stderr
    wanted = {"/bin/a": sha(b"a\n"), "/usr/bin/a": sha(b"a\n"), "/usr/bin/b": sha(big), "/usr/bin/c": sha(big),
              "/etc/my_conf": sha(b"")}
    for compression in ("none", "gzip", "xz", "zstd"):
        whole = deb(repo, "one", {"bin/a": b"a\n", "usr/bin/b": big, "etc/my conf": b""}, compression,
                    [("usr/bin/c", "usr/bin/b")])
        answer = run("create", "runtime", "--local-deb-repo", tmp_path / "repo", "-o", "out", cwd=tmp_path)
        assert answer.returncode == 0, answer.stderr
        assert "signatures of the repository are not checked here" in answer.stderr
        assert json.loads((tmp_path / "out").read_text())["digests"] == wanted, compression

    # Two versions of a file are both allowed; the algorithm is that of the command line or the other sources.
    deb(repo, "two", {"usr/bin/b": b"second"}, "xz")
    answer = run("create", "runtime", "--local-deb-repo", tmp_path / "repo", "--algo", "sha1", "-o", "out", cwd=tmp_path)
    digests = json.loads((tmp_path / "out").read_text())["digests"]
    assert digests["/usr/bin/b"] == sorted(sha(big, "sha1") + sha(b"second", "sha1"))
    (repo / "two.deb").unlink()

    # What cannot be read to its end adds nothing, and is told.
    data = whole.read_bytes()
    bad = {"empty": b"", "text": b"no package\n", "rpm": rpm_package({"/usr/bin/z": "d" * 64}), "half": data[:len(data) // 2],
           "end": data[:-100], "flip": data[:-2000] + bytes(b ^ 0x55 for b in data[-2000:-1900]) + data[-1900:],
           "magic": b"!<arch>\n" + b"other           " + data[24:]}
    for name, content in bad.items():
        (repo / f"{name}.deb").write_bytes(content)
    os.symlink("/dev/zero", repo / "zero.deb")  # not followed
    (repo / "folder.deb").mkdir()
    answer = run("create", "runtime", "--local-deb-repo", tmp_path / "repo", "-o", "out", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert f"{len(bad)} packages could not be read" in answer.stderr, answer.stderr
    for name in bad:
        assert f"{name}.deb: " in answer.stderr, answer.stderr
    assert json.loads((tmp_path / "out").read_text())["digests"] == wanted


def tar_of(entries):
    """(name, type, link, data) as an uncompressed tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as t:
        for name, kind, link, data in entries:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(data)
            t.addfile(info, io.BytesIO(data))
    return out.getvalue()


def ar_of(members):
    out = b"!<arch>\n"
    for name, data in members:
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode() + data + b"\n" * (len(data) % 2)
    return out


@pytest.mark.parametrize("entries,words", [
    ([("./usr/../../etc/passwd", tarfile.REGTYPE, "", b"x")], "a name that is no path"),
    ([("usr/bin/x", tarfile.REGTYPE, "", b"x")], "a name that is no path"),
    ([("./usr//x", tarfile.REGTYPE, "", b"x")], "a name that is no path"),
    ([("./usr/..", tarfile.REGTYPE, "", b"x")], "a name that is no path"),
    ([("./" + "a" * 5000, tarfile.REGTYPE, "", b"x")], "a name that is no path"),
    ([("./usr/y", tarfile.LNKTYPE, "./usr/x", b""), ("./usr/x", tarfile.REGTYPE, "", b"x")], "did not come before"),
])
def test_debian_packages_with_hostile_names_add_nothing(tmp_path, entries, words):
    entries = [("./usr/good", tarfile.REGTYPE, "", b"good")] + entries
    (tmp_path / "h.deb").write_bytes(ar_of([("debian-binary", b"2.0\n"), ("control.tar", tar_of([])),
                                            ("data.tar", tar_of(entries))]))
    answer = run("create", "runtime", "--local-deb-repo", tmp_path, "-o", "out", cwd=tmp_path)
    assert answer.returncode == 0 and words in answer.stderr, answer.stderr
    assert json.loads((tmp_path / "out").read_text())["digests"] == {}
    (tmp_path / "h.deb").write_bytes(ar_of([("debian-binary", b"2.0\n"), ("data.tar", tar_of(entries[:1]))]))
    answer = run("create", "runtime", "--local-deb-repo", tmp_path, "-o", "out", cwd=tmp_path)
    assert json.loads((tmp_path / "out").read_text())["digests"] == {"/usr/good": [hashlib.sha256(b"good").hexdigest()]}


def test_headers_of_rpm_packages_give_their_files(tmp_path):
    repo = tmp_path / "repo"
    (repo / "repodata").mkdir(parents=True)
    (repo / "p").mkdir()
    (repo / "p" / "a.rpm").write_bytes(rpm_package({"/usr/bin/a": "a" * 64, "/usr/bin": "", "/etc/my conf": "b" * 64,
                                                    "/var/log/ghost": "0" * 64}) + b"payload")
    (repo / "p" / "b.rpm").write_bytes(rpm_package({"/usr/bin/a": "c" * 64}))
    answer = run("create", "runtime", "--local-rpm-repo", repo, "-o", "out", cwd=tmp_path)
    assert answer.returncode == 1 and "no repodata/repomd.xml" in answer.stderr
    (repo / "repodata" / "repomd.xml").write_text("<repomd/>")
    whole = rpm_package({"/usr/bin/z": "d" * 64})
    for cut in (0, 50, 100, 120, len(whole) - 1):
        (repo / "p" / f"cut{cut}.rpm").write_bytes(whole[:cut])
    answer = run("create", "runtime", "--local-rpm-repo", repo, "-o", "out", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "the repository is not signed" in answer.stderr and "signatures of the packages are not checked" in answer.stderr
    assert "5 packages could not be read" in answer.stderr
    assert json.loads((tmp_path / "out").read_text())["digests"] == {
        "/usr/bin/a": ["a" * 64, "c" * 64], "/etc/my_conf": ["b" * 64]}
