# SPDX-License-Identifier: Apache-2.0
"""quicklime-policy dump-eventlog: a boot log as YAML, as JSON and in words."""

import json
import subprocess
import sys

import pytest
from conftest import BUILD, ROOT, SHARED

TOOL = BUILD / "bin" / "quicklime-policy"
MAKE = ROOT / "tests" / "fixtures" / "boot_log.py"


def dump(*args, code=0, **kw):
    run = subprocess.run([TOOL, "dump-eventlog", *map(str, args)], capture_output=True, timeout=60, **kw)
    assert run.returncode == code, run.stderr.decode()
    return run


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "boot"
    subprocess.run([sys.executable, MAKE, "log", path, "--banks", "sha1,sha256"], check=True)
    return path


def without_last_nul(value):
    """One NUL at the end of a text is dropped in the tree; tpm2_eventlog prints it."""
    if isinstance(value, dict):
        return {str(k): without_last_nul(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_last_nul(v) for v in value]
    return value[:-1] if isinstance(value, str) and value.endswith("\0") else value


def test_what_is_printed_is_the_tree_when_read_as_yaml(log):
    yaml = pytest.importorskip("yaml")
    tree = json.loads(dump("--json", log).stdout)
    text = yaml.safe_load(dump(log).stdout)
    assert list(text) == ["version", "events", "pcrs"]
    assert without_last_nul(text["events"]) == without_last_nul(tree["events"])
    assert {b: {str(k): v for k, v in values.items()} for b, values in text["pcrs"].items()} == {
        b: {k: int(v, 16) for k, v in values.items()} for b, values in tree["pcrs"].items()}


def test_every_recorded_tree_is_printed():
    trees = sorted((SHARED / "vectors/mboot/tree").glob("*.json"))
    if not trees:
        pytest.skip("no vectors")
    seen = 0
    for path in trees:
        if json.loads((SHARED / "vectors/mboot/expect" / path.name).read_text())["expect"]["parse"] != "ok":
            continue
        assert json.loads(dump("-j", SHARED / "vectors/mboot/logs" / f"{path.stem}.bin").stdout) == json.loads(path.read_text())
        seen += 1
    assert seen > 10


def test_one_bank_alone_says_what_is_verified(log):
    tree = json.loads(dump("-j", "-b", "sha256", log).stdout)
    assert list(tree["pcrs"]) == ["sha256"]
    events = tree["events"][1:]
    assert all(len(e["Digests"]) == 1 for e in events)
    assert {e["EventType"]: e["verified"] for e in events}["EV_EFI_BOOT_SERVICES_APPLICATION"] is False
    assert {e["EventType"]: e["verified"] for e in events}["EV_SEPARATOR"] is True
    assert b"the log has no bank sha512" in dump("-b", "sha512", log, code=1).stderr


def test_events_are_listed_in_words(log):
    lines = dump("--list", log).stdout.decode().splitlines()
    assert len(lines) == len(json.loads(dump("-j", log).stdout)["events"])
    assert any(line.endswith("verified    PCR 7, variable SecureBoot: on") for line in lines)
    assert any("kernel_cmdline: /vmlinuz-6.1 root=/dev/sda2 ro quiet" in line for line in lines)


def test_altered_data_is_named(log, tmp_path):
    forged = tmp_path / "forged"
    forged.write_bytes(log.read_bytes().replace(b"kernel_cmdline: /vmlinuz-6.1 root=/dev/sda2", b"kernel_cmdline: /vmlinuz-6.1 root=/dev/sdb2"))
    run = dump("--list", forged)
    assert run.stderr.count(b"digest is not that of the data") == 2  # a bank each
    assert sum("MISMATCH" in line for line in run.stdout.decode().splitlines()) == 1


def test_a_log_that_is_none_is_refused_with_the_place(log, tmp_path):
    cut = tmp_path / "cut"
    cut.write_bytes(log.read_bytes()[:-1])
    run = dump(cut, code=1)
    assert run.stdout == b"" and b"event " in run.stderr and b"at byte" in run.stderr and str(cut).encode() in run.stderr
    assert str(tmp_path / "nothing").encode() in dump(tmp_path / "nothing", code=1).stderr
    assert dump("-", input=log.read_bytes()).stdout == dump(log).stdout
    dump(code=2)
    dump("-j", "-l", log, code=2)
