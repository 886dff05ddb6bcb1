# SPDX-License-Identifier: Apache-2.0
"""The emulator in the kernel's place: PCR 10 of a software TPM follows a measurement list."""

import hashlib
import os
import subprocess

import pytest
from conftest import SLOW, wait_until
from test_ima import Kernel, add, encoded, policy


class List(Kernel):
    """A list that nobody but the emulator extends."""

    def append(self, line, value):
        with open(self.path, "ab") as f:
            f.write(line + b"\n")
        self.count += 1


def replay(path, bank):
    """PCR 10 as the list makes it."""
    pcr = bytes(hashlib.new(bank).digest_size)
    for line in path.read_bytes().splitlines():
        fields = line.split(b" ", 4)
        digest = bytes.fromhex(fields[3].split(b":")[1].decode())
        value = b"\xff" * len(pcr) if set(fields[1]) == {ord("0")} else hashlib.new(bank, encoded(digest, fields[4])).digest()
        pcr = hashlib.new(bank, pcr + value).digest()
    return pcr.hex()


@pytest.fixture
def listed(lab):
    lab.start_tpm()
    made = List(lab)
    made.boot("/bin/a", "/bin/b")
    return made


def emulate(lab, kernel, *args, code=0, **env):
    run = subprocess.run([str(lab.bin / "quicklime-ima-emulator"), "-f", str(kernel.path), "--once", *args],
                         env=dict(os.environ, **{"TCTI": lab.tcti, **env}), capture_output=True, text=True, timeout=60 * SLOW)
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout + run.stderr


def test_every_bank_named_follows_the_list(lab, listed):
    listed.violate("/var/log/wtmp")
    out = emulate(lab, listed, "-a", "sha256", "-a", "sha1")
    assert lab.pcr(10, "sha256") == replay(listed.path, "sha256")
    assert lab.pcr(10, "sha1") == replay(listed.path, "sha1")
    assert out.count("extending hash ") == 8
    assert f"extending hash {hashlib.sha256(encoded(hashlib.sha256(b'good').digest(), b'/bin/b')).hexdigest()} for /bin/b" in out


def test_what_was_extended_before_is_not_extended_again(lab, listed):
    emulate(lab, listed, "-a", "sha256")
    assert "extending" not in emulate(lab, listed, "-a", "sha256")
    listed.run("/bin/c")
    assert emulate(lab, listed, "-a", "sha256").count("extending") == 1
    assert lab.pcr(10, "sha256") == replay(listed.path, "sha256")
    # a bank that comes later catches up alone
    assert emulate(lab, listed, "-a", "sha256", "-a", "sha384").count("extending") == 4
    assert lab.pcr(10, "sha384") == replay(listed.path, "sha384")
    assert lab.pcr(10, "sha256") == replay(listed.path, "sha256")


def test_it_goes_on_as_the_list_grows_until_it_is_ended(lab, listed):
    p = lab.spawn("emulator", [lab.bin / "quicklime-ima-emulator", "-a", "sha256", "-f", listed.path],
                  env={"TCTI": lab.tcti})
    p.wait_for("/bin/b")
    listed.run("/bin/c")
    p.wait_for("/bin/c")
    wait_until(lambda: lab.pcr(10, "sha256") == replay(listed.path, "sha256"))
    assert p.stop() == 0


def test_a_pcr_that_fits_no_place_is_refused_before_anything_is_extended(lab, listed):
    lab.extend(10)
    before = lab.pcr(10, "sha1")
    assert "fits no place" in emulate(lab, listed, "-a", "sha1", "-a", "sha256", code=1)
    assert lab.pcr(10, "sha1") == before


@pytest.mark.parametrize("line, words", [
    (b"garbage", "entry 4 is not one"),
    (b"10 " + b"a" * 40 + b" ima-none sha256:" + b"b" * 64 + b" /x", "entry 4 is not one"),
    (b"10 " + b"a" * 40 + b" ima-ng sha256:" + b"b" * 64 + b" /x", "template hash"),
])
def test_a_list_that_is_damaged_ends_it(lab, listed, line, words):
    with open(listed.path, "ab") as f:
        f.write(line + b"\n")
    assert words in emulate(lab, listed, "-a", "sha256", code=1)


def test_wrong_usage_is_said(lab, listed):
    assert "TCTI" in emulate(lab, listed, code=2, TCTI="")
    assert "sha9" in emulate(lab, listed, "-a", "sha9", code=1)
    assert "No such file" in emulate(lab, listed, "-f", "/nonexistent", code=1)


def test_a_node_whose_list_is_emulated_is_attested(lab):
    lab.start_tpm()
    lab.start_verifier(plugins=["tpm-policy", "ima"])
    lab.start_registrar()
    kernel = List(lab)
    kernel.boot("/bin/a")
    lab.start_agent(plugins=["ima"], ima_ml_path=str(kernel.path))
    emulator = lab.spawn("emulator", [lab.bin / "quicklime-ima-emulator", "-a", "sha256", "-f", kernel.path],
                         env={"TCTI": lab.tcti})
    emulator.wait_for("/bin/a")
    add(lab, policy("/bin/a", "/bin/b"))
    lab.wait_attested(2)
    kernel.run("/bin/b")
    lab.wait_attested(2)
    kernel.run("/bin/unknown")
    assert lab.wait_state(9)["last_event_id"] == "ima.validation.ima-ng.not_in_allowlist"
