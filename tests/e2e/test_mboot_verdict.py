# SPDX-License-Identifier: Apache-2.0
"""Boot logs judged: the capture of a real Secure Boot machine one-shot, and policy scripts that a verifier imports."""

import base64
import json
import subprocess

import pytest
from conftest import BUILD, ROOT, SHARED, Lab

VM = SHARED / "vectors" / "vm" / "secureboot-ima-ng"
pytestmark = pytest.mark.skipif(not VM.exists(), reason="no vectors")

SCRIPT = """return { kind = "mb-policy", name = "site", relevant_pcrs = {0, 4, 7},
  prepare = function(ref)
    if ref.allowed == nil then error("allowed: wanted true or false", 0) end
    return ref.allowed and mb.accept() or mb.reject("not today")
  end }"""


def reference(tmp_path):
    out = tmp_path / "ref.json"
    subprocess.run([BUILD / "bin" / "quicklime-policy", "create", "measured-boot", "-e", VM / "bios.bin", "-o", out],
                   check=True)
    return json.loads(out.read_text())


def judge(tmp_path, log="bios.bin", policy=None, settings=(), bank="sha256", **data):
    summary = json.loads((VM / "summary.json").read_text())
    body = {"type": "tpm", "data": {
        "quote": (VM / f"quote-{bank}.keylime").read_text().strip(), "nonce_hex": summary["quotes"][bank]["nonce_hex"],
        "hash_alg": bank, "tpm_ek": "any", "tpm_ak": base64.b64encode((VM / "ak.tpm2b").read_bytes()).decode(),
        # The capture quotes PCR 10, too, which wants its own judge.
        "runtime_policy": (VM / "runtime-policy.json").read_text(), "ima_measurement_list": (VM / "ima.txt").read_text(),
        "mb_policy": json.dumps(policy), "mb_log": base64.b64encode((VM / log).read_bytes()).decode() if log else "", **data}}
    path = tmp_path / "capture.json"
    path.write_text(json.dumps(body))
    argv = [BUILD / "bin" / "quicklime-verify", "--plugin-dir", BUILD / "plugins"]
    for s in settings:
        argv += ["--set", s]
    done = subprocess.run([*argv, path], capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return [f["type"] for f in json.loads(done.stdout).get("failures", [])]


def test_the_machine_attests_with_secure_boot_and_fails_when_one_component_is_another(tmp_path):
    ref = reference(tmp_path)
    example = ["mboot.measured_boot_policy_name=example"]
    assert judge(tmp_path, policy=ref, settings=example) == []
    assert judge(tmp_path, policy=ref, mb_policy_name="example") == []
    other = json.loads(json.dumps(ref))
    other["kernels"][0]["kernel_cmdline"] = "quiet"
    assert judge(tmp_path, policy=other, settings=example) == ["measured_boot.policy_example"]
    assert judge(tmp_path, policy=other) == []  # accept-all
    assert judge(tmp_path, policy=other, mb_policy_name="example") == ["measured_boot.policy_example"]
    assert judge(tmp_path, policy=ref, mb_policy_name="strict") == ["measured_boot.policy_strict"]
    assert judge(tmp_path, policy=ref, mb_policy_name="no/such") == ["measured_boot.policy_reject-all"]


def test_forged_broken_and_missing_logs_fail_under_any_policy(tmp_path):
    for forged in ("bios-forged-cmdline.bin", "bios-forged-securebootvar.bin"):
        assert judge(tmp_path, log=forged, policy={"a": 1}) == ["measured_boot.parser.digest_mismatch"]
    assert judge(tmp_path, policy={"a": 1}, mb_log="AAAA") == ["measured_boot.parser.tpm2_eventlog.error"]
    assert judge(tmp_path, policy={"a": 1}, mb_log="!!!") == ["measured_boot.parser.log.base64decode"]
    assert judge(tmp_path, policy=None) == ["pcr_validation.invalid_mb_policy"]
    assert judge(tmp_path, policy={}, tpm_policy='{"mask": "0x1"}') == []


def test_a_verifier_imports_scripts_and_refuses_policies_that_do_not_fit(tmp_path):
    lab = Lab(str(tmp_path))
    try:
        script = tmp_path / "site.lua"
        script.write_text(SCRIPT)
        lab.start_verifier(plugins=["tpm-policy", "mboot"], measured_boot_policy_name="site",
                           measured_boot_imports=[str(script)])
        answer = lab.verifier("POST", "/v2.6/mbpolicies/a", {"mb_policy": '{"b": 1}'})
        assert answer.status == 400 and "allowed: wanted" in answer.json["status"]
        assert lab.verifier("POST", "/v2.6/mbpolicies/a", {"mb_policy": '{"allowed": true}'}).status == 201
    finally:
        lab.close()


def test_the_guides_script_judges(tmp_path):
    guide = (ROOT / "docs" / "boot-policy-scripts.md").read_text()
    begin = guide.index("    local GLOBAL")
    text = guide[begin:guide.index("The function is there")]
    script = tmp_path / "known-programs.lua"
    script.write_text("\n".join(line[4:] for line in text.splitlines()))
    settings = [f"mboot.measured_boot_imports={script}", "mboot.measured_boot_policy_name=known-programs"]
    kernel = reference(tmp_path)["kernels"][0]
    programs = [kernel[f"{p}_authcode_sha256"] for p in ("shim", "grub", "kernel")]
    assert judge(tmp_path, policy={"programs": programs}, settings=settings) == []
    assert judge(tmp_path, policy={"programs": programs[:2]}, settings=settings) == ["measured_boot.policy_known-programs"]
