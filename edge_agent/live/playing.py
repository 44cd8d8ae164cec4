"""Plays a recorded device on a pty, so that a real agent can be pointed at it."""

from __future__ import annotations

import asyncio
import os
import select
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from edge_agent.config.devices import SerialDevice
from edge_agent.contract.errors import ConfigError
from edge_agent.live.recording import Piece, read_recording

QUESTION_WAIT_S = 3.0
"""How long the next question may take until the device speaks on without it."""
_OPENED_EVERY_S = 0.02


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
    async with _stage() as (tty_path, master, asked):
        say(tty_path)
        await _opened(master)
        before_s = 0.0
        for piece in recording.pieces:
            if not isinstance(piece, Piece):
                continue
            if piece.heard.direction == "out":
                await _question(asked)
            else:
                await asyncio.sleep(max(0.0, piece.t_s - before_s))
                os.write(master, piece.heard.chunk)
            before_s = piece.t_s


@asynccontextmanager
async def _stage() -> AsyncIterator[tuple[str, int, asyncio.Event]]:
    """A raw pty: its path, the device's end, and whether something was asked since it was looked at."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    path, asked = os.ttyname(slave), asyncio.Event()
    os.close(slave)
    loop = asyncio.get_running_loop()

    def hear() -> None:
        try:
            os.read(master, 4096)
        except OSError:  # nobody has it open, or has no more
            return
        asked.set()

    try:
        loop.add_reader(master, hear)
        yield path, master, asked
    finally:
        loop.remove_reader(master)
        os.close(master)


async def _opened(master: int) -> None:
    """A pty's master hangs up until somebody opens the other end."""
    poll = select.poll()
    poll.register(master, select.POLLHUP)
    while poll.poll(0):  # noqa: ASYNC110  # no event tells of an opening
        await asyncio.sleep(_OPENED_EVERY_S)


async def _question(asked: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(QUESTION_WAIT_S):
            await asked.wait()
    except TimeoutError:
        return
    asked.clear()
