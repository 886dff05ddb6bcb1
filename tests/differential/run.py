#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads cases, has `quicklime-policy check` judge each and writes results (see README.md)."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

EVENT = re.compile(r"^((?:ima|pcr_validation)\.[A-Za-z0-9_.-]+): ")


def judge(tool, case):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "policy").write_text(json.dumps(case["policy"]), encoding="utf-8")
        (folder / "log").write_text(case["log"], encoding="utf-8")
        more = ["--fail-on-violations"] if case["violations"] == "fail" else []
        answer = subprocess.run([tool, "check", "policy", "-m", "log", "--bank", case["bank"], "--pcr", case["pcr10"], *more],
                                cwd=folder, capture_output=True, check=False, timeout=120)
    lines = answer.stdout.decode("utf-8", "replace").split("\n")
    events = [found[1] for found in map(EVENT.match, lines) if found]
    if any(re.fullmatch(r"\d+ entries fail", line) for line in lines):
        verdict = "pass" if answer.returncode == 0 else "fail"
    elif any(line.startswith("error: ") for line in lines):
        verdict = "refused"
    else:
        raise SystemExit(f"{case['id']}: exit {answer.returncode}: {answer.stderr.decode(errors='replace')}")
    return {"id": case["id"], "verdict": verdict, "events": events}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("tool", help="path of quicklime-policy")
    tool = str(pathlib.Path(options.parse_args().tool).resolve())
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in pool.map(lambda line: judge(tool, json.loads(line)), sys.stdin):
            print(json.dumps(result))


if __name__ == "__main__":
    main()
