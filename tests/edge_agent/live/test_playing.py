"""`replay --pty`: a recorded device on a tty says everything that it said, and costs nothing while it waits."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from edge_agent.config.text_devices import AsciiScale
from edge_agent.contract.times import utc_now
from edge_agent.drivers.tap import Heard
from edge_agent.live import playing
from edge_agent.live.follower import as_lines
from edge_agent.live.recording import Piece, header_json, piece_json


def recorded(file: Path, chunks: list[bytes]) -> Path:
    scale = AsciiScale(id="s1", driver="ascii-scale", port="tty", preset="st-gs")
    pieces = [piece_json(Piece(0.0, Heard("in", chunk))) for chunk in chunks]
    file.write_bytes(as_lines([header_json(scale, utc_now()), *pieces]))
    return file


async def the_tty(said: list[str]) -> str:
    async with asyncio.timeout(5):
        while not said:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return said[0]


async def test_an_agent_that_reads_late_gets_every_byte_the_last_ones_too(tmp_path: Path) -> None:
    chunks = [b"ST,GS,+%7d g\r\n" % number for number in range(2000)]
    said: list[str] = []
    stage = asyncio.create_task(playing.act(recorded(tmp_path / "r.jsonl", chunks), said.append))
    tty = os.open(await the_tty(said), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    heard = b""
    try:
        async with asyncio.timeout(10):
            while len(heard) < len(b"".join(chunks)):
                await asyncio.sleep(0.01)
                try:
                    heard += os.read(tty, 1024)
                except BlockingIOError:
                    continue
            await stage
    finally:
        os.close(tty)
    assert heard == b"".join(chunks)


async def test_nothing_is_read_while_nobody_has_the_tty_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    read = os.read
    monkeypatch.setattr(playing.os, "read", lambda fd, count: (reads.append(fd), read(fd, count))[1])
    said: list[str] = []
    stage = asyncio.create_task(playing.act(recorded(tmp_path / "r.jsonl", [b"x"]), said.append))
    await the_tty(said)
    for _ in range(100):
        await asyncio.sleep(0)
    stage.cancel()
    await asyncio.wait({stage})
    assert reads == []
