"""Devices are kept running; one that keeps crashing is given up, the rest goes on."""

from __future__ import annotations

import asyncio

import pytest

from edge_agent import supervisor
from edge_agent.contract.errors import LinkLost, ModelError
from edge_agent.readings import Emit
from edge_agent.supervisor import KeptDevice, backoff_s, keep_running


class Scripted:
    """A driver whose lives end as scripted, the last one never."""

    def __init__(self, *ends: Exception) -> None:
        self.ends = list(ends)
        self.lives = 0
        self.steady = asyncio.Event()

    async def run(self, emit: Emit) -> None:
        self.lives += 1
        if self.ends:
            raise self.ends.pop(0)
        self.steady.set()
        await asyncio.Event().wait()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "backoff_s", lambda _attempt: 0.0)


async def emit(readings: object) -> None:
    """Nobody reads."""


async def test_a_lost_device_is_tried_again_and_each_loss_has_its_reason() -> None:
    driver, lost = Scripted(LinkLost("cable"), ModelError("no model")), list[tuple[str, str]]()

    async def note(device: str, reason: str) -> None:
        lost.append((device, reason))

    task = asyncio.create_task(KeptDevice("s1", lambda: driver, note).run(emit))
    async with asyncio.timeout(5):
        await driver.steady.wait()
    task.cancel()
    assert lost == [("s1", "cable [E-LINK-LOST]"), ("s1", "no model [E-MODEL]")]


async def test_a_crashing_driver_is_given_up_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    crashing, sound = Scripted(*[ValueError("bug")] * 50), Scripted()
    given_up = asyncio.Event()

    async def note(device: str, reason: str) -> None:
        if reason.startswith("failed"):
            given_up.set()

    devices = [KeptDevice("bad", lambda: crashing, note), KeptDevice("good", lambda: sound, note)]
    task = asyncio.create_task(keep_running(devices, emit))
    async with asyncio.timeout(5):
        await sound.steady.wait()
        await given_up.wait()
    assert crashing.lives == supervisor.CRASHES
    assert not task.done()
    assert sum("unexpected error" in r.message for r in caplog.records) == supervisor.CRASHES
    task.cancel()


@pytest.mark.parametrize("attempt", [0, 3, 40])
def test_back_off_is_fully_jittered_and_bounded(attempt: int) -> None:
    delays = [backoff_s(attempt) for _ in range(500)]
    limit = min(60.0, 0.5 * 2**attempt)
    assert 0 <= min(delays) < 0.1 * limit
    assert 0.9 * limit < max(delays) <= limit
