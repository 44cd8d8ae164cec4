"""The way for commands beside a running process: one JSON line each way over a socket in its folder.

The socket is opened through its folder's descriptor, since a socket's path must be short and a folder's need
not be.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

SOCKET: Final = "control.sock"
_TIMEOUT_S: Final = 10.0
_LINE_BYTES: Final = 64 * 1024 * 1024


@contextlib.asynccontextmanager
async def listening(
    folder: Path, answer: Callable[[bytes], Awaitable[dict[str, Any]]]
) -> AsyncIterator[None]:
    """`answer` each line; a socket file found here is a dead one's. OSError when it cannot be."""
    (folder / SOCKET).unlink(missing_ok=True)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_TIMEOUT_S):
                line = await reader.readline()
                writer.write(json.dumps(await answer(line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    with _short(folder) as path:
        server = await asyncio.start_unix_server(serve, path)
        (folder / SOCKET).chmod(0o600)
        try:
            yield
        finally:
            server.close()
            (folder / SOCKET).unlink(missing_ok=True)


async def ask(folder: Path, question: dict[str, Any]) -> dict[str, Any] | None:
    """The running process' answer, None when none runs here, empty when it is just stopping.

    TimeoutError and OSError as they come.
    """
    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(_short(folder))
            reader, writer = await asyncio.open_unix_connection(path, limit=_LINE_BYTES)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                writer.write(json.dumps(question).encode() + b"\n")
                line = await reader.readline()
        finally:
            writer.close()
    answer: dict[str, Any] = json.loads(line) if line else {}
    return answer


@contextlib.contextmanager
def _short(folder: Path) -> Iterator[str]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)
