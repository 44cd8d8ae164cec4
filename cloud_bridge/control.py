"""The commands beside a running bridge: who owns `data_dir`, and what its owner is asked to do."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

from cloud_bridge.admin import Admin, Answer
from cloud_bridge.errors import DataDirBusy, DataDirUnusable
from edge_agent.contract.errors import ShelfEdgeError
from edge_agent.service import command_socket

LOCK: Final = "lock"


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


def listening(data_dir: Path, admin: Admin) -> AbstractAsyncContextManager[None]:
    """Answer commands on the socket; the lock says that a socket file found here is a dead one."""
    return command_socket.listening(data_dir, lambda line: _answer(admin, line))


async def ask(data_dir: Path, command: str, arguments: dict[str, str]) -> Answer | None:
    """The running bridge's answer, None when none runs here. CommandRefused carries its refusal."""
    try:
        reply = await command_socket.ask(data_dir, {"command": command, "arguments": arguments})
    except (TimeoutError, ConnectionError) as error:
        raise DataDirBusy("the running bridge does not answer", hint="see its log") from error
    except OSError as error:
        raise _unusable(data_dir, error) from error
    if reply is None:
        return None
    if not reply:
        raise DataDirBusy("the running bridge is stopping", hint="try again in a moment")
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


def _unusable(data_dir: Path, error: OSError) -> DataDirUnusable:
    return DataDirUnusable(
        f"{data_dir}: {error.strerror}", hint="give a data_dir that this user may write, in bridge.yaml"
    )
