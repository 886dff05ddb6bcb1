#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""cuts.py postgresql|mysql WRITER PLUGIN_DIR: connections to a server that are cut again and again, at any place of a
transaction, commits included. Each transaction must take place exactly once. Before, undisturbed: a policy of 20 MB."""

import pathlib
import random
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "faults"))
import proxy  # noqa: E402
import servers  # noqa: E402

COUNT = 20


def main():
    kind, writer, plugins = sys.argv[1:]
    if not servers.KINDS[kind].program():
        print(f"no server for {kind} is installed")
        return 77
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    server = servers.KINDS[kind]()
    far = proxy.Proxy([("127.0.0.1", server.port)])
    try:
        url = server.url()
        name = url.rsplit("/", 1)[1]
        host, port = far.ports[0]
        with tempfile.TemporaryDirectory(prefix="ql-cuts-") as folder:
            subprocess.run([writer, plugins, url, folder, "policies"], check=True)
        stored = [server.sql(f"SELECT {what} FROM policy_contents", name) for what in ("count(*)", "length(content)")]
        assert [int(n) for n in stored] == [1, 20 << 20]  # under twenty names it was stored once, and stays for the last
        with tempfile.TemporaryDirectory(prefix="ql-cuts-") as folder:
            run = subprocess.Popen([writer, plugins, url.replace(f"127.0.0.1:{server.port}", f"{host}:{port}"), folder,
                                    str(COUNT)], stdout=subprocess.PIPE, text=True)
            assert run.stdout.readline() == "0\n", "the first one goes undisturbed"
            far.set(0.004)  # what was sent stays under way for a while
            cuts, end = 0, time.monotonic() + 90
            while run.poll() is None and time.monotonic() < end:
                time.sleep(chance.uniform(0.02, 0.5))
                far.set("cut")
                far.set(0.004)
                cuts += 1
            told = [0] + [int(line) for line in run.stdout]
            assert run.wait(30) == 0, "the writer failed"
        assert told == list(range(COUNT)), told
        rows = server.sql("SELECT count(*) FROM agents", name).strip()
        counter = server.sql("SELECT value FROM counters WHERE name = 'written'", name).strip()
        assert (rows, counter) == (str(COUNT), str(COUNT)), (rows, counter)
        print(f"{COUNT} transactions, {cuts} cuts")
        assert cuts > 2
        return 0
    finally:
        far.close()
        server.close()


if __name__ == "__main__":
    sys.exit(main())
