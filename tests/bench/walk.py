#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`quicklime-policy create runtime --rootfs` beside `sha256sum` and `openssl dgst` (which knows more instructions) over the same
files with as many processes as cores, by turns, after one turn of each that fills the page cache. QL_BUILD_DIR names another build than build/release."""

import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("QL_BUILD_DIR", ROOT / "build" / "release"))


def timed(argv, **options):
    """Wall and CPU seconds of a command and its children."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(argv, check=True, **options)
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default="/usr")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-ratio", type=float, help="fail above this ratio")
    args = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="ql-bench-") as folder:
        names = pathlib.Path(folder) / "names"
        with open(names, "wb") as out:
            subprocess.run(["find", args.folder, "-xdev", "-type", "f", "-print0"], check=True, stdout=out)
        files = names.read_bytes().rstrip(b"\0").split(b"\0")
        size = sum(os.stat(f).st_size for f in files)
        print(f"{len(files):,} files, {size / 1e6:,.0f} MB, {cores} cores")
        ours = [BUILD / "bin" / "quicklime-policy", "create", "runtime", "--rootfs", args.folder, "-o", f"{folder}/policy"]
        many = ["xargs", "-0", "-P", str(cores), "-n", "256", "-a", names]
        programs = {"sha256sum": [*many, "sha256sum"], "openssl dgst": [*many, "openssl", "dgst", "-sha256"],
                    "quicklime-policy": ours}
        best = {}
        for turn in range(args.rounds + 1):
            for name, argv in programs.items():
                figures = timed(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                if turn > 0:
                    best[name] = min(best.get(name, figures), figures)
        for name, (wall, cpu) in best.items():
            print(f"  {name:17s} {wall:7.2f} s, {size / 1e6 / wall:6.0f} MB/s, {cpu:7.2f} s of CPU")
        ratio = best["quicklime-policy"][0] / min(best["sha256sum"][0], best["openssl dgst"][0])
        print(f"  ratio of our time to the better of the others {ratio:.2f}")
    return 1 if args.max_ratio is not None and ratio > args.max_ratio else 0


if __name__ == "__main__":
    sys.exit(main())
