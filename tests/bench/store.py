#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench_store on each store: SQLite in a temporary folder, PostgreSQL and MariaDB that are started for it and sync at
every commit, as in earnest. QL_BUILD_DIR names another build than build/release."""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "databases"))
import servers  # noqa: E402

DURABLE = {"postgresql": ("fsync=on", "synchronous_commit=on", "full_page_writes=on", "shared_buffers=128MB"),
           "mysql": ("--innodb-flush-log-at-trx-commit=1", "--innodb-flush-method=fsync", "--innodb-log-file-size=96M",
                     "--innodb-buffer-pool-size=128M")}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=5000)
    parser.add_argument("--rate", type=int, default=5000, help="rows a second into the queue")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("stores", nargs="*", default=["sqlite", "postgresql", "mysql"])
    args = parser.parse_args()
    build = pathlib.Path(os.environ.get("QL_BUILD_DIR", ROOT / "build" / "release"))
    for kind in args.stores:
        server = None
        if kind != "sqlite":
            if not servers.KINDS[kind].program():
                print(f"{kind}: no server is installed")
                continue
            server = servers.KINDS[kind](*DURABLE[kind])
        try:
            with tempfile.TemporaryDirectory(prefix="ql-bench-") as folder:
                print(kind, flush=True)
                subprocess.run([build / "bench" / "bench_store", build / "plugins", server.url() if server else "sqlite",
                                folder, str(args.agents), str(args.rate), str(args.seconds)], check=True)
        finally:
            if server:
                server.close()


if __name__ == "__main__":
    main()
