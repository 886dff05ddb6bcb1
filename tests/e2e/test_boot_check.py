# SPDX-License-Identifier: Apache-2.0
"""quicklime-policy check measured-boot and explain: what is wrong in a policy, and why a log passes or not."""

import json
import os
import pathlib
import pty
import subprocess
import sys

import pytest
from conftest import BUILD, SHARED, SLOW

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fixtures"))
import boot_log  # noqa: E402

TOOL = BUILD / "bin" / "quicklime-policy"
VM = SHARED / "vectors" / "vm" / "secureboot-ima-ng"


def run(*args, code=0, env=None):
    done = subprocess.run([TOOL, *map(str, args)], capture_output=True, text=True, timeout=60 * SLOW,
                          env={**os.environ, **(env or {})})
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture
def made(tmp_path):
    log = boot_log.machine()
    (tmp_path / "log").write_bytes(log.data)
    run("create", "measured-boot", "-e", tmp_path / "log", "-o", tmp_path / "good.json")
    return tmp_path


def state_with(made, name, change):
    state = json.loads((made / "good.json").read_text())
    change(state)
    (made / name).write_text(json.dumps(state))
    return made / name


def test_check_names_what_is_wrong_in_a_policy(made):
    assert run("check", "measured-boot", made / "good.json") == "policy is good\n"
    assert run("check", "mboot", "-r", made / "good.json") == "policy is good\n"
    for change, words in [(lambda s: s.pop("kernels"), "kernels"), (lambda s: s.update(has_secureboot=1), "has_secureboot"),
                          (lambda s: s["kernels"][0].update(kernel_cmdline="a("), "position"),
                          (lambda s: s["kernels"][0].update(grub_authcode_sha256="0xAB"), "kernels[0].grub_authcode_sha256")]:
        out = run("check", "measured-boot", state_with(made, "bad.json", change), code=1)
        assert out.startswith("error: ") and words in out
    for change, words in [(lambda s: s.update(kernels=[]), 'warning: "kernels" is empty: no node can pass'),
                          (lambda s: s["kernels"][0].update(kernel_cmdline=".*"), "accepts any command line"),
                          (lambda s: s.update(kernal=1), '"kernal" is no key that is looked at')]:
        assert words in run("check", "measured-boot", state_with(made, "odd.json", change))
    (made / "junk.json").write_text("{junk")
    assert "junk.json" in run("check", "measured-boot", made / "junk.json", code=1)
    assert "not-there" in run("check", "measured-boot", made / "not-there", code=1)
    assert "there is no measured boot policy nobodys" in run("check", "measured-boot", "-p", "nobodys", made / "good.json", code=1)
    run("check", "measured-boot", code=2)
    run("explain", made / "good.json", code=2)
    run("explain", made / "good.json", made / "log", "--color", "blue", code=2)


def test_check_judges_a_log(made):
    assert run("check", "measured-boot", made / "good.json", made / "log").startswith("accepted by example: ")
    assert "rejected: measured_boot.policy_reject-all: " in run(
        "check", "measured-boot", "-p", "reject-all", made / "good.json", made / "log", code=1)
    other = boot_log.machine(cmdline="root=/dev/sda2 rw init=/bin/sh")
    (made / "other").write_bytes(other.data)
    out = run("check", "measured-boot", made / "good.json", made / "other", code=1)
    assert "rejected: measured_boot.policy_example: " in out and "kernel_cmdlines" in out
    (made / "cut").write_bytes(other.data[:-1])
    assert "cut: " in run("check", "measured-boot", made / "good.json", made / "cut", code=1)
    assert "no bank sha384" in run("check", "measured-boot", "-b", "sha384", made / "good.json", made / "log", code=1)


def test_a_script_of_ones_own_is_tried_offline(made):
    script = made / "no-grub.lua"
    script.write_text("""
return {
  kind = "mb-policy", name = "no-grub",
  prepare = function(ref)
    return mb.field("events", mb.each(mb.any({
      mb.field("PCRIndex", mb.int(8)),
      mb.field("EventType", mb.re("EV_.*")),
    })))
  end,
}
""")
    assert run("check", "measured-boot", "-p", script, made / "good.json", made / "log").startswith("accepted by no-grub")
    script.write_text(script.read_text().replace("EV_.*", "EV_E.*"))
    assert "rejected: measured_boot.policy_no-grub: " in run(
        "check", "measured-boot", "-p", script, made / "good.json", made / "log", code=1)
    script.write_text("return {")
    assert "no-grub.lua" in run("check", "measured-boot", "-p", script, made / "good.json", code=1)


def test_a_reference_state_for_strict_holds_files_and_commands_too(made):
    (made / "newer").write_bytes(boot_log.machine(kernel="vmlinuz-6.9").data)
    (made / "other").write_bytes(boot_log.machine(cmdline="root=/dev/sda2 rw").data)
    run("create", "measured-boot", "-p", "strict", "-e", made / "log", "-e", made / "newer", "-o", made / "strict.json")
    state = json.loads((made / "strict.json").read_text())
    assert len(state["boot_files"]) == 4 and len(state["grub_commands"]) == 6
    judge = ("check", "measured-boot", "-p", "strict", made / "strict.json")
    assert run(*judge[:-1], judge[-1]) == "policy is good\n"
    assert run(*judge, made / "log").startswith("accepted by strict")
    assert run(*judge, made / "newer").startswith("accepted by strict")
    assert "rejected: measured_boot.policy_strict: " in run(*judge, made / "other", code=1)
    assert '"boot_files" is no key that is looked at' in run("check", "measured-boot", made / "strict.json")
    run("create", "measured-boot", "-p", "nonsense", "-e", made / "log", code=2)


def test_explain_says_of_each_event_what_it_was_compared_with(made):
    events = len(json.loads(run("dump-eventlog", "--json", made / "log"))["events"])
    out = run("explain", made / "good.json", made / "log")
    numbered = [line for line in out.splitlines() if line[:5].strip().isdigit()]
    assert [int(line[:5]) for line in numbered] == list(range(events))
    assert all(line[7:11].strip() == "ok" for line in numbered)
    assert out.splitlines()[-1].startswith("accepted by example: ")
    assert '"Yes"' in out  # what SecureBoot was compared with

    bad = state_with(made, "bad.json", lambda s: s.update(mokdig=[{"sha256": "0x" + "00" * 32}]))
    out = run("explain", bad, made / "log", code=1)
    failed = [line for line in out.splitlines() if line[7:11] == "FAIL"]
    assert len(failed) == 1 and "MokList" in failed[0]
    assert out.splitlines()[-1].startswith("rejected: measured_boot.policy_example: ")
    short = run("explain", "--failed", bad, made / "log", code=1).splitlines()
    assert short[0] == failed[0] and len([line for line in short if line[:5].strip().isdigit()]) == 1

    altered = (made / "log").read_bytes().replace(b"kernel_cmdline: /vmlinuz", b"kernel_cmdline: /vmlinux")
    (made / "altered").write_bytes(altered)
    out = run("explain", "--failed", made / "good.json", made / "altered", code=1)
    assert "kernel_cmdline" in out and "its data is not what its digest was made of" in out
    assert "rejected: measured_boot.parser.digest_mismatch: " in out


def test_colours_are_for_terminals_alone(made):
    assert "\x1b" not in run("explain", made / "good.json", made / "log")
    assert "\x1b[32mok" in run("explain", "--color", "always", made / "good.json", made / "log")

    def at_terminal(*args, **env):
        master, slave = pty.openpty()
        child = subprocess.Popen([TOOL, *map(str, args)], stdout=slave, stdin=subprocess.DEVNULL,
                                 env={**os.environ, "TERM": "xterm", **env})
        os.close(slave)
        out = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            out += piece
        os.close(master)
        assert child.wait(timeout=60 * SLOW) == 0
        return out

    args = ("explain", made / "good.json", made / "log")
    assert b"\x1b[32mok" in at_terminal(*args)
    assert b"\x1b" not in at_terminal(*args, NO_COLOR="1")
    assert b"\x1b" in at_terminal(*args, NO_COLOR="")
    assert b"\x1b" not in at_terminal(*args, TERM="dumb")
    assert b"\x1b" not in at_terminal(*args, "--color", "never")
    assert b"\x1b" in at_terminal(*args, "--color=always", NO_COLOR="1")


def test_values_of_the_tpm_are_compared_with_the_log(tmp_path):
    if not VM.exists():
        pytest.skip(f"no vectors at {VM}")
    state, log, pcrs = tmp_path / "state.json", VM / "bios.bin", VM / "pcrs.yaml"
    run("create", "measured-boot", "-e", log, "-o", state)
    assert "they give the PCRs" in run("check", "measured-boot", "-P", pcrs, state, log)
    assert "PCRs were not compared" in run("check", "measured-boot", state, log)
    lines = pcrs.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if "sha256" in line)
    other = tmp_path / "pcrs"
    other.write_text("\n".join(line if i < at or not line.strip().startswith("4 :") else line[:-1] + "x"
                               for i, line in enumerate(lines)))
    assert "PCR values: line" in run("check", "measured-boot", "-P", other, state, log, code=1)
    value = next(line for line in lines[at:] if line.strip().startswith("4 :"))
    other.write_text(pcrs.read_text().replace(value, value[:-1] + ("0" if value[-1] != "0" else "1")))
    out = run("check", "measured-boot", "-P", other, state, log, code=1)
    assert "rejected: measured_boot.invalid_pcr_4: the log does not give the value of PCR 4" in out
    other.write_text(pcrs.read_text().replace(value + "\n", "", 1))
    out = run("check", "measured-boot", "-P", other, state, log, code=1)
    assert "rejected: measured_boot.missing_pcrs: no value was given of PCR 4" in out


def test_verdicts_are_those_of_the_vectors(tmp_path):
    """Each log with its own reference state; upstream's verdict where it has one."""
    seen = 0
    for file in sorted((SHARED / "vectors/mboot/expect").glob("*.json")):
        expected = json.loads(file.read_text())
        state, log = (SHARED / "vectors/mboot" / kind / (file.stem + end) for kind, end in (("refstate", ".json"), ("logs", ".bin")))
        for policy, verdict in expected.get("verdict", {}).items():
            if not state.exists():
                continue
            good = verdict == "accept" if isinstance(verdict, str) else verdict["verdict"] == "accept"
            bank = [] if "sha256" in expected["expect"].get("banks", ["sha256"]) else ["-b", "sha1"]
            out = run("check", "measured-boot", "-p", policy, *bank, state, log, code=0 if good else 1)
            assert ("accepted by" in out) == good
            seen += 1
    if not seen:
        pytest.skip("no vectors")
