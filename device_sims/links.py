"""The wires of simulated devices, with their faults: a pty behind a stable name, or a TCP port."""

from __future__ import annotations

import asyncio
import logging
import os
import tty
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Protocol

log = logging.getLogger(__name__)

_TICK_S = 1 / 30
_ROUNDS_TO_ACCEPT = 3
"""To make the transport, to tell its protocol, to call back."""


class Dialogue(Protocol):
    """A device's half of its protocol, without I/O."""

    def power_on(self) -> bytes:
        """What it says unasked when it gets power."""
        ...

    def feed(self, received: bytes) -> bytes:
        """Its answers to `received`."""
        ...

    def tick(self) -> bytes:
        """What it sends by itself now."""
        ...


class Link(Protocol):
    """A wire with a device at its end."""

    @property
    def address(self) -> str:
        """What to write as `port:` into the agent's settings; stays the same through unplug and replug."""
        ...

    async def replug(self) -> None:
        """Connect the device and give it power. Nothing to do while it is plugged in."""
        ...

    async def unplug(self) -> None:
        """Pull the cable. Nothing to do while it is out."""
        ...


class PtyLink:
    """A serial port as Linux shows a USB adapter: a tty that vanishes when unplugged and comes back as
    another tty behind the same symbolic link."""

    def __init__(self, dialogue: Dialogue, path: Path) -> None:
        self._dialogue, self._path = dialogue, path
        self._master: int | None = None
        self._slave: int | None = None

    @property
    def address(self) -> str:
        """The symbolic link."""
        return str(self._path)

    async def replug(self) -> None:
        """A new tty appears behind the link."""
        if self._master is not None:
            return
        self._master, self._slave = os.openpty()
        # Raw, or the line discipline rewrites CR and LF and echoes. The slave stays open here, so that
        # the master does not hang up while no program has the port open.
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._path.symlink_to(os.ttyname(self._slave))
        asyncio.get_running_loop().add_reader(self._master, self._read)
        self._send(self._dialogue.power_on())

    async def unplug(self) -> None:
        """The tty and its link are gone; whoever has it open gets a hang-up."""
        if self._master is None or self._slave is None:
            return
        asyncio.get_running_loop().remove_reader(self._master)
        self._path.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)
        self._master = self._slave = None

    def tick(self) -> None:
        """Send what the device says by itself."""
        if self._master is not None:
            self._send(self._dialogue.tick())

    def _read(self) -> None:
        if self._master is None:
            return
        try:
            received = os.read(self._master, 4096)
        except BlockingIOError:
            return
        self._send(self._dialogue.feed(received))

    def _send(self, data: bytes) -> None:
        if not data or self._master is None:
            return
        try:
            os.write(self._master, data)
        except BlockingIOError:
            log.debug("%s: nobody reads, %d bytes lost as on a real wire", self._path.name, len(data))


class TcpLink:
    """A device behind a serial-to-network box: one port on loopback, any number of clients."""

    def __init__(self, dialogue: Dialogue, *, port: int = 0) -> None:
        self._dialogue, self._port = dialogue, port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """`socket://127.0.0.1:port`."""
        return f"socket://127.0.0.1:{self._port}"

    async def replug(self) -> None:
        """Listen again, on the port of before."""
        if self._server is not None:
            return
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        self._dialogue.power_on()

    async def unplug(self) -> None:
        """Connections break, new ones are refused."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await stop_accepting(server)
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        if self._serving:
            await asyncio.wait(self._serving)

    def tick(self) -> None:
        """Send what the device says by itself."""
        said = self._dialogue.tick() if self._writers else b""
        if said:
            for writer in self._writers:
                writer.write(said)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.create_task(self._serve(reader, writer), name="link connection")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while received := await reader.read(4096):
                writer.write(self._dialogue.feed(received))
        except ConnectionError:
            log.debug("client of %s is gone", self.address)
        finally:
            self._writers.discard(writer)
            writer.close()


async def stop_accepting(server: asyncio.Server) -> None:
    """To be awaited before `server.close()`: who is just being accepted reaches its callback first.

    asyncio of Python 3.11 loses such a connection: closed between accepting and making the transport, the
    server fails an assertion, and the connection stays open until it is collected.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(_ROUNDS_TO_ACCEPT):
        await asyncio.sleep(0)


@asynccontextmanager
async def plugged_in(*links: PtyLink | TcpLink) -> AsyncIterator[None]:
    """All of `links` with power and their own clockwork; unplugged at the end."""
    async with AsyncExitStack() as stack:
        for link in links:
            stack.push_async_callback(link.unplug)
            await link.replug()
        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(_tick(links), name="links tick")
            try:
                yield
            finally:
                ticking.cancel()


async def _tick(links: tuple[PtyLink | TcpLink, ...]) -> None:
    while True:
        for link in links:
            link.tick()
        await asyncio.sleep(_TICK_S)
