# SPDX-License-Identifier: Apache-2.0
"""The differential test's own parts: cases of a seed, our runner, and a comparer that misses no difference."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("cryptography")
ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "differential"
TOOL = pathlib.Path(os.environ.get("QL_BUILD_DIR", ROOT / "build" / "debug")) / "bin" / "quicklime-policy"


def script(name, *args, text=None):
    return subprocess.run([sys.executable, FOLDER / name, *map(str, args)], input=text, capture_output=True, text=True,
                          check=False, timeout=120)


def rows(text):
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module", name="run")
def fixture_run():
    cases = script("generate.py", "--seed", 1, "--cases", 40)
    assert cases.returncode == 0, cases.stderr
    ours = script("run.py", TOOL, text=cases.stdout)
    assert ours.returncode == 0, ours.stderr
    return rows(cases.stdout), rows(ours.stdout)


def compare(folder, cases, ours, other):
    for name, content in {"cases": cases, "ours": ours, "other": other}.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    return script("compare.py", *(folder / name for name in ("cases", "ours", "other")))


def test_cases_pass_and_fail_as_they_were_made(run):
    cases, ours = run
    verdicts = {row["verdict"] for row in ours}
    assert {"pass", "fail"} <= verdicts
    for case, row in zip(cases, ours):
        assert case["id"] == row["id"]
        if "buffer-digest" in case["tags"] and row["verdict"] != "refused":
            assert "ima.validation.ima-buf.digest_mismatch" in row["events"]
        if "pcr" in case["tags"] and row["verdict"] != "refused":
            assert "ima.pcr_mismatch" in row["events"]


def test_equal_results_are_equal(run, tmp_path):
    cases, ours = run
    answer = compare(tmp_path, cases, ours, ours)
    assert answer.returncode == 0 and "40 equal" in answer.stdout, answer.stdout


def test_a_difference_that_no_rule_explains_is_named(run, tmp_path):
    cases, ours = run
    passed = next(row for row in ours if row["verdict"] == "pass")
    other = [dict(row, verdict="fail", events=["ima.pcr_mismatch"]) if row is passed else row for row in ours]
    answer = compare(tmp_path, cases, ours, other)
    assert answer.returncode == 1 and passed["id"] in answer.stdout and "1 unexplained" in answer.stdout


def test_a_rule_explains_only_what_it_names(run, tmp_path):
    cases, ours = run
    mismatch = "ima.validation.ima-buf.digest_mismatch"
    case = dict(cases[0], tags=["buffer-digest"])
    mine = dict(ours[0], verdict="fail", events=[mismatch])
    answer = compare(tmp_path, [case], [mine], [dict(mine, verdict="pass", events=[])])
    assert answer.returncode == 0 and "1 buffer-digest" in answer.stdout
    answer = compare(tmp_path, [case], [mine], [dict(mine, events=["ima.pcr_mismatch"])])
    assert answer.returncode == 1
    answer = compare(tmp_path, [dict(case, tags=[])], [mine], [dict(mine, verdict="pass", events=[])])
    assert answer.returncode == 1


def test_a_missing_result_is_an_error(run, tmp_path):
    cases, ours = run
    assert compare(tmp_path, cases, ours, ours[1:]).returncode == 1
