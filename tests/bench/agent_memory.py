#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory and time of an agent whose measurement list grows to a million entries: it is asked for a quote with the last ten
at each length. QL_BUILD_DIR names another build than build/release."""

import argparse
import hashlib
import http.client
import json
import pathlib
import re
import ssl
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from conftest import Lab  # noqa: E402

LENGTHS = (1_000, 100_000, 1_000_000)


def grow(path, begin, end):
    """Entries begin..end-1, as long as a kernel's are; their digests fit no policy, and nobody looks at them here."""
    with open(path, "a", encoding="ascii") as out:
        for first in range(begin, end, 1000):
            out.writelines(
                f"10 {hashlib.sha1(b'%d' % n).hexdigest()} ima-ng sha256:{hashlib.sha256(b'%d' % n).hexdigest()} "
                f"/usr/lib/x86_64-linux-gnu/package-{n // 40}/file-{n}.so\n" for n in range(first, min(first + 1000, end)))


def status(process, key):
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M).group(1)) * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-bytes", type=float, help="fail above this many bytes an entry")
    args = parser.parse_args()
    worst = 0
    with tempfile.TemporaryDirectory(prefix="ql-bench-") as folder:
        lab = Lab(folder)
        measured = lab.dir / "list"
        measured.touch()
        try:
            lab.start_tpm()
            lab.start_verifier()
            lab.start_registrar()
            agent = lab.start_agent(plugins=["ima"], ima_ml_path=str(measured))
            context = lab.context()
            context.verify_mode = ssl.CERT_NONE  # the agent's certificate is its own; nothing that is told here needs it

            def ask(entry):
                begin = time.monotonic()
                conn = http.client.HTTPSConnection("127.0.0.1", lab.ports["agent"], context=context, timeout=120)
                conn.request("GET", f"/v2.2/quotes/integrity?nonce=abcdefghij&mask=0x400&partial=1&ima_ml_entry={entry}")
                got = json.load(conn.getresponse())["results"]
                conn.close()
                return got["ima_measurement_list"].count("\n"), time.monotonic() - begin

            have, base = 0, None
            for length in LENGTHS:
                grow(measured, have, length)
                have = length
                lines, first = ask(length - 10)
                assert lines == 10, f"{lines} entries instead of 10"
                again = min(ask(length - 10)[1] for _ in range(5))
                rss, peak = status(agent, "VmRSS"), status(agent, "VmHWM")
                base = base or rss
                each = (rss - base) / (length - LENGTHS[0]) if length > LENGTHS[0] else 0
                worst = max(worst, each)
                print(f"{length:9,d} entries, {measured.stat().st_size / 1e6:6.1f} MB: quote with the last ten {first * 1e3:6.1f} ms, "
                      f"then {again * 1e3:.1f} ms; RSS {rss / 2**20:.1f} MiB (peak {peak / 2**20:.1f}), "
                      f"{each:.2f} bytes an entry", flush=True)
        finally:
            lab.close()
    return 1 if args.max_bytes is not None and worst > args.max_bytes else 0


if __name__ == "__main__":
    sys.exit(main())
