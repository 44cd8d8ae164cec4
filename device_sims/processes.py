"""Programs that we start and that never outlive us."""

from __future__ import annotations

import asyncio
import ctypes
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from edge_agent.service.stop import stop_event

T = TypeVar("T")

_PR_SET_PDEATHSIG = 1
_STOP_S = 12.0


class Interrupted(Exception):  # it is no error
    """A person or a service manager asked us to stop."""


async def until_stopped(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; at SIGTERM or Ctrl-C it is cancelled, cleans up, and Interrupted is raised."""
    stop = stop_event()
    working = asyncio.create_task(work, name="work")
    waiting = asyncio.create_task(stop.wait(), name="wait for stop")
    try:
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
            if working.cancelled():
                raise Interrupted
        return await working
    finally:
        waiting.cancel()
        working.cancel()


def free_port(preferred: int = 0) -> int:
    """`preferred` on loopback when it is free, else any port that is."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on loopback")


@asynccontextmanager
async def child_process(
    command: Sequence[str], *, log: Path, talks: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`command` running, with its stderr in `log`; SIGTERM at the end of the block, SIGKILL 12 s later.

    With `talks` its stdin and stdout are pipes, else stdout goes to `log` too. It gets a session of its
    own, so that Ctrl-C reaches only us, and on Linux it dies with us even when we are killed.
    """
    pipe = asyncio.subprocess.PIPE
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=pipe if talks else asyncio.subprocess.DEVNULL,
            stdout=pipe if talks else sink,
            stderr=sink,
            start_new_session=True,
            preexec_fn=_dies_with_parent(),
        )
    try:
        yield process
    finally:
        await asyncio.shield(_stop(process))


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
    await process.wait()


def _dies_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask_kernel
