#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An agent that answers badly, on a loopback address: slow, huge, twice, junk, endless or with somebody else's evidence.

  bad_agent.py KIND HOST PORT --cert FILE --key FILE [--answer FILE] --seconds S
"""

import argparse
import ssl
import socket
import sys
import threading
import time


def head(length, extra=b""):
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n" % (length, extra)


def slow(sock, answer):
    for byte in head(len(answer)) + answer:
        sock.sendall(bytes([byte]))
        time.sleep(0.5)


def huge(sock, answer):
    block = b'"' + b"a" * 65535
    sock.sendall(head(1 << 34) + b'{"results": {"quote": ')
    while True:
        sock.sendall(block)


def endless(sock, answer):
    sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        sock.sendall(b"1\r\n \r\n" * 1000)


def twice(sock, answer):
    sock.sendall((head(len(answer)) + answer) * 2)


def junk(sock, answer):
    sock.sendall(b"\x00\xff" * 3000)


def headers(sock, answer):
    sock.sendall(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"b" * 1000) for n in range(5000)))


def deep(sock, answer):
    body = b'{"code": 200, "status": "Success", "results": ' + b"[" * 200000 + b"]" * 200000 + b"}"
    sock.sendall(head(len(body)) + body)


def foreign(sock, answer):
    sock.sendall(head(len(answer)) + answer)


def silent(sock, answer):
    time.sleep(60)


KINDS = {f.__name__: f for f in (slow, huge, endless, twice, junk, headers, deep, foreign, silent)}


def serve(sock, context, kind, answer):
    try:
        with context.wrap_socket(sock, server_side=True) as tls:
            while tls.recv(65536):
                kind(tls, answer)
    except OSError:
        pass


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("kind", choices=sorted(KINDS))
    p.add_argument("host")
    p.add_argument("port", type=int)
    p.add_argument("--cert", required=True)
    p.add_argument("--key", required=True)
    p.add_argument("--answer", help="file with the body to give")
    p.add_argument("--seconds", type=float, default=60)
    options = p.parse_args()
    if not options.host.startswith("127."):
        p.error("loopback only")
    answer = b"{}"
    if options.answer:
        with open(options.answer, "rb") as f:
            answer = f.read()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)
    listener = socket.create_server((options.host, options.port))
    listener.settimeout(0.5)
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        try:
            sock, _ = listener.accept()
        except TimeoutError:
            continue
        threading.Thread(target=serve, args=(sock, context, KINDS[options.kind], answer), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
