# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy between a verifier and its agents that cuts, swallows and delays. Loopback only."""

import asyncio
import threading

LISTEN = "127.77.0.{}"  # one address an agent, apart from the simulated agents' own


class Proxy:
    """One listener an agent. `mode`: "pass"; "cut": connections are reset; "hole": nothing passes; seconds: a delay."""

    def __init__(self, targets):
        """targets: list of (address, port)"""
        self.mode, self.targets, self.writers = "pass", targets, set()
        self.loop = asyncio.new_event_loop()
        self.ports = []
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        self.ready.wait(10)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._listen())
        self.ready.set()
        self.loop.run_forever()

    async def _listen(self):
        for number, target in enumerate(self.targets):
            server = await asyncio.start_server(lambda r, w, t=target: self._serve(r, w, t), LISTEN.format(number + 1), 0)
            self.ports.append(server.sockets[0].getsockname())

    async def _serve(self, reader, writer, target):
        if self.mode == "cut":
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*target)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, far_writer}
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self.writers -= {writer, far_writer}

    async def _pump(self, reader, writer):
        try:
            while data := await reader.read(65536):
                while self.mode == "hole":
                    await asyncio.sleep(0.05)
                if isinstance(self.mode, float):
                    await asyncio.sleep(self.mode)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def set(self, mode):
        self.mode = mode
        if mode == "cut":
            self.loop.call_soon_threadsafe(lambda: [w.transport.abort() for w in self.writers])

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
