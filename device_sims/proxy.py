"""The line to HQ, which can be cut: a TCP proxy on loopback."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

from device_sims.links import stop_accepting

log = logging.getLogger(__name__)

Mode = Literal["open", "silent", "refused", "slow", "reset", "half_closed", "truncated", "error_500"]
SLOW_S = 0.3
"""How long each piece waits on a slow line."""
CUT_WITHIN_BYTES = 1_500
"""A request or an answer that is cut loses what is behind some byte before this one."""
_ERROR_500 = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class UplinkProxy:
    """Forwards to one address. `open` passes all; `silent` swallows every byte and sends no FIN, takes new
    connections and leaves them dead for ever, as a broken line with a stateful box before it does;
    `refused` breaks connections and closes the port.

    Those who answer, but badly: `slow` holds each piece back for SLOW_S; `reset` breaks a connection in the
    middle of what is asked, `truncated` in the middle of the answer; `half_closed` passes what is asked and
    ends the answering side before a byte of it; `error_500` stands in for a broken proxy before HQ.
    """

    def __init__(self, host: str, port: int, *, chance: random.Random | None = None) -> None:
        """`chance` says where connections are cut."""
        self._chance = chance or random.Random(0)
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._mode: Mode = "open"
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._swallowed_bytes = 0

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return self._port

    @property
    def mode(self) -> Mode:
        """What it does with bytes now."""
        return self._mode

    @property
    def swallowed_bytes(self) -> int:
        """How much has been lost in silence so far."""
        return self._swallowed_bytes

    @asynccontextmanager
    async def running(self, *, port: int = 0) -> AsyncIterator[UplinkProxy]:
        """Listen until the end of the block."""
        self._port = port
        await self._listen()
        try:
            yield self
        finally:
            await self._close()
            if self._serving:
                await asyncio.wait(self._serving)

    async def set_mode(self, mode: Mode) -> None:
        """Change the line at once. Connections that lost bytes stay dead in every mode."""
        self._mode = mode
        if mode == "refused":
            await self._close()
        elif self._server is None:
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            await stop_accepting(server)
            server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.create_task(self._serve(reader, writer), name="line connection")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._mode == "silent":
                await self._swallow(reader)
            elif self._mode == "error_500":
                await _answer_500(reader, writer)
            else:
                await self._forward(reader, writer)
        except OSError as error:
            log.debug("a connection through the line ended: %s", error)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._upstream)
        self._writers.add(upstream_writer)
        lost = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                up = self._pump(reader, upstream_writer, lost, cut_in="reset")
                down = self._pump(upstream_reader, writer, lost, cut_in="truncated")
                group.create_task(up, name="line up")
                group.create_task(down, name="line down")
        except* OSError as errors:
            log.debug("a connection through the line broke: %s", errors.exceptions[0])
        finally:
            self._writers.discard(upstream_writer)
            upstream_writer.close()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event, *, cut_in: Mode
    ) -> None:
        """Both directions share `lost`: a connection that missed one byte never works again."""
        while received := await reader.read(65536):
            if self._mode == "silent":
                lost.set()
            if lost.is_set():
                self._swallowed_bytes += len(received)
                continue
            if self._mode == "slow":
                await asyncio.sleep(SLOW_S)
            if self._mode == cut_in:
                writer.write(received[: self._chance.randrange(CUT_WITHIN_BYTES)])
                with suppress(OSError):
                    await writer.drain()
                raise ConnectionAbortedError("cut in the middle")
            if self._mode == "half_closed" and cut_in == "truncated":
                writer.write_eof()
                continue
            if not writer.is_closing():
                writer.write(received)
                await writer.drain()
        if self._mode == "silent" or lost.is_set():
            return  # not even the end is told
        writer.close()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        while received := await reader.read(65536):
            self._swallowed_bytes += len(received)


async def _answer_500(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if await reader.read(65536):
        writer.write(_ERROR_500)
        await writer.drain()
