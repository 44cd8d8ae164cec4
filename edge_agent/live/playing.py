"""Plays a recorded device on a pty, so that a real agent can be pointed at it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import struct
import termios
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from edge_agent.config.devices import SerialDevice
from edge_agent.contract.errors import ConfigError
from edge_agent.live.recording import Piece, read_recording

QUESTION_WAIT_S = 3.0
"""How long the next question may take until the device speaks on without it; so long it also waits for its
last words to be read."""
_LOOK_EVERY_S = 0.02


async def act(path: Path, say: Callable[[str], object]) -> None:
    """Print the tty's path, wait until it is opened, then answer as the device did; once, to the end.

    Where the recording has a question, the answer waits for the agent's own; what came unasked comes after
    the recorded pause. ConfigError for a file that is no recording of a serial device.
    """
    try:
        lines = (await asyncio.to_thread(path.read_bytes)).splitlines(keepends=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    recording = read_recording(lines)
    if not isinstance(recording.settings, SerialDevice):
        raise ConfigError(
            f"{recording.settings.id} has no serial port", hint="replay it without --pty: no tty is needed"
        )
    async with _stage(say) as (master, asked):
        before_s = 0.0
        for piece in recording.pieces:
            if not isinstance(piece, Piece):
                continue
            if piece.heard.direction == "out":
                await _question(asked)
            else:
                await asyncio.sleep(max(0.0, piece.t_s - before_s))
                await _speak(master, piece.heard.chunk)
            before_s = piece.t_s


@asynccontextmanager
async def _stage(say: Callable[[str], object]) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A raw pty once somebody has opened it: the device's end, and whether something was asked since it was
    looked at. Its last words are read before it closes: closing discards them."""
    loop, asked = asyncio.get_running_loop(), asyncio.Event()
    master, slave = os.openpty()

    def hear() -> None:
        os.read(master, 4096)
        asked.set()

    with ExitStack() as stack:
        stack.callback(os.close, master)
        tty.setraw(slave)
        os.set_blocking(master, False)
        path = os.ttyname(slave)
        os.close(slave)
        say(path)
        await _opened(master)
        # Open here too from now on: without anybody the master hangs up, which wakes the loop without end.
        slave = os.open(path, os.O_RDWR | os.O_NOCTTY)
        stack.callback(os.close, slave)
        loop.add_reader(master, hear)
        stack.callback(loop.remove_reader, master)
        yield master, asked
        await _read_by_the_agent(slave)


async def _opened(master: int) -> None:
    """A pty's master hangs up until somebody opens the other end."""
    poll = select.poll()
    poll.register(master, select.POLLHUP)
    while poll.poll(0):  # noqa: ASYNC110  # no event tells of an opening
        await asyncio.sleep(_LOOK_EVERY_S)


async def _speak(master: int, chunk: bytes) -> None:
    """All of `chunk`, as fast as the agent makes room for it."""
    while chunk:
        try:
            chunk = chunk[os.write(master, chunk) :]
        except BlockingIOError:
            await asyncio.sleep(_LOOK_EVERY_S)


async def _read_by_the_agent(slave: int) -> None:
    for _ in range(int(QUESTION_WAIT_S / _LOOK_EVERY_S)):
        await asyncio.sleep(_LOOK_EVERY_S)
        (waiting,) = struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, bytes(4)))
        if not waiting:
            return


async def _question(asked: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(QUESTION_WAIT_S):
            await asked.wait()
    except TimeoutError:
        return
    asked.clear()
