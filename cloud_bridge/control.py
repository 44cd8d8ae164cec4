"""The way for commands beside a running bridge: one JSON line each way over a socket in `data_dir`.

The socket is opened through its directory's descriptor, since a socket's path must be short and a
`data_dir` need not be.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cloud_bridge.admin import Admin, Answer
from cloud_bridge.errors import DataDirBusy, DataDirUnusable
from edge_agent.contract.errors import ShelfEdgeError

SOCKET: Final = "control.sock"
LOCK: Final = "lock"
_TIMEOUT_S: Final = 10.0
_LINE_BYTES: Final = 64 * 1024 * 1024


class CommandRefused(ShelfEdgeError):
    """The running bridge refused a command; code and hint are its own."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.remote_code = code

    def __str__(self) -> str:
        return f"{self.message} [{self.remote_code}]"


def prepare(data_dir: Path) -> None:
    """Make the data directory, for its owner only; DataDirUnusable says why it cannot be."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _unusable(data_dir, error) from error


@contextlib.contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Own `data_dir` until the end of the block; DataDirBusy when another process does."""
    try:
        descriptor = os.open(data_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(data_dir, error) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataDirBusy(
                f"{data_dir} is in use by another cloud-bridge",
                hint="stop it first, or give another data_dir",
            ) from error
        yield
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def listening(data_dir: Path, admin: Admin) -> Any:
    """Answer commands on the socket; the lock says that a socket file found here is a dead one."""
    (data_dir / SOCKET).unlink(missing_ok=True)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(_TIMEOUT_S):
                line = await reader.readline()
                writer.write(json.dumps(await _answer(admin, line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    with _short(data_dir) as path:
        server = await asyncio.start_unix_server(answer, path)
        (data_dir / SOCKET).chmod(0o600)
        try:
            yield
        finally:
            server.close()
            (data_dir / SOCKET).unlink(missing_ok=True)


async def ask(data_dir: Path, command: str, arguments: dict[str, str]) -> Answer | None:
    """The running bridge's answer, None when none runs here. CommandRefused carries its refusal."""
    with contextlib.ExitStack() as stack:
        try:
            path = stack.enter_context(_short(data_dir))
            reader, writer = await asyncio.open_unix_connection(path, limit=_LINE_BYTES)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise _unusable(data_dir, error) from error
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                writer.write(json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
                line = await reader.readline()
        except (TimeoutError, ConnectionError) as error:
            raise DataDirBusy("the running bridge does not answer", hint="see its log") from error
        finally:
            writer.close()
    if not line:
        raise DataDirBusy("the running bridge is stopping", hint="try again in a moment")
    reply = json.loads(line)
    if "error" in reply:
        raise CommandRefused(**reply["error"])
    answer: Answer = reply["answer"]
    return answer


async def _answer(admin: Admin, line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
        return {"answer": await admin.run(request["command"], request["arguments"])}
    except ShelfEdgeError as error:
        return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}
    except (ValueError, KeyError, TypeError) as error:
        return {"error": {"code": "E-BAD-REQUEST", "message": f"not a command: {error}", "hint": ""}}


@contextlib.contextmanager
def _short(data_dir: Path) -> Iterator[str]:
    descriptor = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}"
    finally:
        os.close(descriptor)


def _unusable(data_dir: Path, error: OSError) -> DataDirUnusable:
    return DataDirUnusable(
        f"{data_dir}: {error.strerror}", hint="give a data_dir that this user may write, in bridge.yaml"
    )
