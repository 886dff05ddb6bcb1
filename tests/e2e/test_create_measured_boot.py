# SPDX-License-Identifier: Apache-2.0
"""quicklime-policy create measured-boot: reference states of logs, one or several, and the older tool's name."""

import json
import subprocess
import sys

import pytest
from conftest import BUILD, ROOT, SHARED

TOOL = BUILD / "bin" / "quicklime-policy"
MAKE = ROOT / "tests" / "fixtures" / "boot_log.py"


def create(*args, code=0):
    run = subprocess.run([TOOL, "create", "measured-boot", *map(str, args)], capture_output=True, timeout=60)
    assert run.returncode == code, run.stderr.decode()
    return run.stdout.decode() if code == 0 else run.stderr.decode()


def make_log(path, *options):
    subprocess.run([sys.executable, MAKE, "log", path, *options], check=True)
    return path


def test_known_logs_give_the_recorded_reference_states():
    states = sorted((SHARED / "vectors/mboot/refstate").glob("*.json"))
    if not states:
        pytest.skip("no vectors")
    seen = 0
    for path in states:
        want = json.loads(path.read_text())
        if "kernels" not in want:
            continue
        assert json.loads(create("-i", "-e", SHARED / "vectors/mboot/logs" / f"{path.stem}.bin")) == want
        seen += 1
    assert seen > 10


def test_several_nodes_become_one_policy(tmp_path):
    one = make_log(tmp_path / "one", "--kernel", "vmlinuz-6.1")
    two = make_log(tmp_path / "two", "--kernel", "vmlinuz-6.6")
    both = json.loads(create("-e", one, "-e", two))
    alone = [json.loads(create("-e", log)) for log in (one, two)]
    assert both["kernels"] == alone[0]["kernels"] + alone[1]["kernels"]
    assert both["dbx"] == alone[0]["dbx"] and both["scrtm_and_bios"] == alone[0]["scrtm_and_bios"]
    off = make_log(tmp_path / "off", "--no-secure-boot")
    assert "one log is with Secure Boot and another without" in create("-i", "-e", one, "-e", off, code=1)


def test_what_no_node_could_pass_is_not_written(tmp_path):
    out = tmp_path / "out"
    uki = make_log(tmp_path / "uki", "--uki", "--no-secure-boot")
    off = make_log(tmp_path / "off", "--no-secure-boot")
    assert "Secure Boot is off" in create("-e", off, "-o", out, code=1)
    assert not out.exists()
    create("-i", "-e", off, "-o", out)
    assert json.loads(out.read_text())["has_secureboot"] is False and not out.read_text().endswith("\n")
    assert str(uki) in create("-e", uki, code=1)
    forged = tmp_path / "forged"
    forged.write_bytes(off.read_bytes().replace(b"kernel_cmdline: /vmlinuz-6.1 root=/dev/sda2", b"kernel_cmdline: /vmlinuz-6.1 root=/dev/sdb2"))
    assert "the sha256 digest is not that of the data" in create("-i", "-e", forged, code=1)
    create(code=2)


def test_the_older_tool_is_the_same_program(tmp_path):
    log = make_log(tmp_path / "log")
    old = tmp_path / "create_mb_refstate"
    old.symlink_to(TOOL)
    subprocess.run([old, log, tmp_path / "out"], check=True, timeout=60)
    assert json.loads((tmp_path / "out").read_text()) == json.loads(create("-e", log))
    assert subprocess.run([old, log], capture_output=True, timeout=60).returncode == 2
