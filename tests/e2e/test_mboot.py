# SPDX-License-Identifier: Apache-2.0
"""Measured boot: a log in a software TPM, its agent, the verifier's policies; and a real machine's boot, judged offline."""

import base64
import copy
import json
import pathlib
import subprocess
import sys

import pytest
from conftest import AGENT_ID, SHARED, SLOW, vectors

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "fixtures"))
import boot_log  # noqa: E402

PLUGINS = ["tpm-policy", "mboot"]


def tool(lab, *args, code=0):
    run = subprocess.run([lab.bin / "quicklime-policy", *args], capture_output=True, text=True, timeout=60 * SLOW)
    assert run.returncode == code, f"exit {run.returncode}\n{run.stdout}\n{run.stderr}"
    return run.stdout + run.stderr


def boot(lab, log):
    """What firmware and boot loaders do: measure, and leave the log."""
    lab.start_tpm()
    lab.tpm2("pcrextend", *(f"{pcr}:{bank}={digest}" for pcr, bank, digest in log.extends))
    (lab.dir / "log").write_bytes(log.data)


def start(lab, log=None, **agent_options):
    boot(lab, log or boot_log.machine())
    verifier = lab.start_verifier(plugins=PLUGINS, measured_boot_policy_name="example")
    lab.start_registrar()
    lab.start_agent(plugins=["mboot"], **{"measuredboot_ml_path": str(lab.dir / "log"), **agent_options})
    tool(lab, "create", "measured-boot", "-e", str(lab.dir / "log"), "-o", str(lab.dir / "good.json"))
    return verifier


def changed(lab, name, change):
    state = json.loads((lab.dir / "good.json").read_text())
    change(state)
    (lab.dir / name).write_text(json.dumps(state))
    return str(lab.dir / name)


def test_a_policy_that_forbids_what_booted_fails_the_node_until_it_is_repaired(lab):
    verifier = start(lab)
    good = str(lab.dir / "good.json")
    lab.tenant("-c", "addmbpolicy", "--mb-policy", good, "--mb-policy-name", "fleet")
    lab.add("--mb-policy-name", "fleet")
    status = lab.wait_attested(2)
    assert status["has_mb_refstate"] == 1
    assert json.loads(status["tpm_policy"])["mask"] == "0xfbff"

    # The kernel of this node is no longer wanted anywhere.
    other = changed(lab, "other.json", lambda s: s["kernels"][0].update(kernel_authcode_sha256="0x" + "00" * 32))
    assert "201" in lab.tenant("-c", "updatembpolicy", "--mb-policy", other, "--mb-policy-name", "fleet")
    status = lab.wait_state(9)
    assert status["last_event_id"] == "measured_boot.policy_example"
    assert "measured_boot.policy_example" in verifier.log and "bsas: none of" in verifier.log
    answer = lab.verifier("DELETE", "/v2.6/mbpolicies/fleet")
    assert answer.status == 409 and "currently in use" in answer.json["status"]

    # What stands in the policy again is attested again.
    lab.tenant("-c", "updatembpolicy", "--mb-policy", good, "--mb-policy-name", "fleet")
    assert lab.agent_status()["operational_state"] == 9
    lab.tenant("-c", "reactivate", "-u", AGENT_ID)
    lab.wait_attested(2)

    # Something extends a PCR behind the log's back.
    lab.extend(4)
    status = lab.wait_state(9)
    assert status["last_event_id"] == "measured_boot.invalid_pcr_4"


def test_without_a_log_the_node_fails_and_its_pcrs_are_named(lab):
    start(lab, measuredboot_ml_path=str(lab.dir / "nothing"))
    lab.add("--mb-policy", str(lab.dir / "good.json"))
    status = lab.wait_state(9)
    assert status["last_event_id"] == "pcr_validation.unused_pcr_0"
    # The same node under a policy that does not look at the boot.
    (lab.dir / "empty.json").write_text("{}")
    lab.tenant("-c", "update", "-t", "127.0.0.1", "-u", AGENT_ID, "--mb-policy", str(lab.dir / "empty.json"))
    lab.wait_attested(2)


def test_a_policy_with_a_flaw_is_refused_at_upload_with_its_place(lab):
    lab.start_verifier(plugins=PLUGINS, measured_boot_policy_name="example")
    good = vectors("mboot/refstate/keylime-mb_log.json")
    cases = [("kernels", None), ("scrtm_and_bios", 7), ("has_secureboot", "yes"), ("dbx", [{}])]
    for key, value in cases:
        state = {**good, key: value}
        if value is None:
            del state[key]
        answer = lab.verifier("POST", "/v2.6/mbpolicies/x", {"mb_policy": json.dumps(state)})
        assert answer.status == 400 and "Measured boot policy is malformatted" in answer.json["status"], answer.json
        assert key in answer.json["status"]
    for pattern in ("(?=x)", "(a", r"\1"):
        state = copy.deepcopy(good)
        state["kernels"][0]["kernel_cmdline"] = pattern
        answer = lab.verifier("POST", "/v2.6/mbpolicies/x", {"mb_policy": json.dumps(state)})
        assert answer.status == 400 and "position" in answer.json["status"], answer.json
    assert lab.verifier("GET", "/v2.6/mbpolicies/").results == {"mbpolicy names": []}
    assert lab.verifier("POST", "/v2.6/mbpolicies/x", {"mb_policy": json.dumps(good)}).status == 201


# ---- a real machine with Secure Boot, judged offline ----

VM = SHARED / "vectors" / "vm" / "secureboot-ima-ng"


@pytest.fixture(scope="module")
def capture():
    """(judge, reference state): judge(state, log, bank, policy) → (exit code, failures by id)"""
    if not VM.exists():
        pytest.skip(f"no vectors at {VM}")
    from conftest import BUILD
    import tempfile
    with tempfile.TemporaryDirectory(prefix="ql-e2e-") as name:
        folder = pathlib.Path(name)
        subprocess.run([BUILD / "bin/quicklime-policy", "create", "measured-boot", "-p", "strict", "-e", VM / "bios.bin", "-o",
                        folder / "state.json"], check=True, timeout=60 * SLOW)
        summary = json.loads((VM / "summary.json").read_text())

        def judge(state, log="bios.bin", bank="sha256", policy="example"):
            data = {"quote": (VM / f"quote-{bank}.keylime").read_text().strip(), "hash_alg": bank, "tpm_ek": "any",
                    "nonce_hex": summary["quotes"][bank]["nonce_hex"], "measured_boot_policy_name": policy,
                    "tpm_ak": base64.b64encode((VM / "ak.tpm2b").read_bytes()).decode(),
                    # PCR 10 is in the quote, too.
                    "runtime_policy": (VM / "runtime-policy.json").read_text(), "ima_measurement_list": (VM / "ima.txt").read_text(),
                    "tpm_policy": "", "mb_policy": state if isinstance(state, str) else json.dumps(state)}
            if log:
                data["mb_log"] = base64.b64encode((VM / log).read_bytes()).decode()
            (folder / "case.json").write_text(json.dumps({"type": "tpm", "data": data}))
            run = subprocess.run([BUILD / "bin/quicklime-verify", "--plugin-dir", BUILD / "plugins", folder / "case.json"],
                                 capture_output=True, text=True, timeout=60 * SLOW)
            assert run.returncode in (0, 1), run.stderr
            failures = {f["type"]: f for f in json.loads(run.stdout)["failures"]}
            assert bool(failures) == (run.returncode == 1)
            return run.returncode, failures

        yield judge, json.loads((folder / "state.json").read_text())


def test_the_machine_passes_with_secure_boot_required(capture):
    judge, state = capture
    assert state["has_secureboot"] is True
    for policy in ("example", "strict", "accept-all"):
        assert judge(state, policy=policy)[0] == 0, policy
    assert set(judge(state, policy="reject-all")[1]) == {"measured_boot.policy_reject-all"}


COMPONENTS = ["kernels/0/shim_authcode_sha256", "kernels/0/grub_authcode_sha256", "kernels/0/kernel_authcode_sha256",
              "kernels/0/initrd_plain_sha256", "kernels/0/kernel_cmdline", "scrtm_and_bios/0/scrtm/sha256",
              "scrtm_and_bios/0/platform_firmware/0/sha256", "scrtm_and_bios/0/platform_firmware/1/sha256",
              "pk/0/SignatureData", "kek/0/SignatureData", "db/0/SignatureData", "dbx/0/SignatureData",
              "mokdig/0/sha256", "mokxdig/0/sha256", "has_secureboot"]


@pytest.mark.parametrize("path", COMPONENTS)
def test_it_fails_when_the_reference_value_of_one_component_changes(capture, path):
    judge, state = capture
    state = copy.deepcopy(state)
    *way, last = [int(p) if p.isdigit() else p for p in path.split("/")]
    at = state
    for step in way:
        at = at[step]
    value = at[last]
    if value is True:
        at[last] = False
        state["kernels"][0]["vmlinuz_plain_sha256"] = "0x" + "00" * 32
    elif last == "kernel_cmdline":
        at[last] = value + "x"
    else:
        at[last] = value[:-1] + ("1" if value[-1] == "0" else "0")
    for policy in ("example", "strict"):
        if policy == "example" or path != "has_secureboot":  # else it is refused as it is no reference state for strict
            assert set(judge(state, policy=policy)[1]) == {f"measured_boot.policy_{policy}"}


def test_forged_logs_and_missing_ones_fail(capture):
    judge, state = capture
    for log in ("bios-forged-cmdline.bin", "bios-forged-securebootvar.bin"):
        for policy in ("accept-all", "example", "strict"):
            assert "measured_boot.parser.digest_mismatch" in judge(state, log, policy=policy)[1]
    assert "pcr_validation.unused_pcr_0" in judge(state, None)[1]
    assert "measured_boot.parser.tpm2_eventlog.error" in judge(state, "ima.bin")[1]
