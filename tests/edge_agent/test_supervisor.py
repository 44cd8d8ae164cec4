"""Devices are kept running; one that keeps crashing is given up, the rest goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from edge_agent import supervisor
from edge_agent.config.devices import Llrp, SerialDevice
from edge_agent.config.store import DEVICE_KINDS
from edge_agent.contract.errors import LinkLost, ModelError
from edge_agent.drivers import Driver, Framed, Resources, make_driver
from edge_agent.readings import Emit
from edge_agent.supervisor import KeptDevice, backoff_s, keep_running, nudge_neighbours


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
    monkeypatch.setattr(supervisor, "backoff_s", lambda _attempt, **_: 0.0)


async def emit(readings: object) -> None:
    """Nobody reads."""


class Told:
    """Who is told of losses."""

    def __init__(self) -> None:
        self.lost: list[tuple[str, str, str]] = []
        self.first = asyncio.Event()
        self.given_up = asyncio.Event()

    async def __call__(self, device: str, reason: str, *, hint: str) -> None:
        self.lost.append((device, reason, hint))
        self.first.set()
        if reason.startswith("failed"):
            self.given_up.set()


async def test_a_lost_device_is_tried_again_and_each_loss_has_its_reason_and_what_to_do() -> None:
    driver, told = Scripted(LinkLost("cable", hint="plug"), ModelError("no model", hint="make")), Told()
    task = asyncio.create_task(KeptDevice("s1", lambda: driver, told).run(emit))
    async with asyncio.timeout(5):
        await driver.steady.wait()
    task.cancel()
    assert told.lost == [("s1", "cable [E-LINK-LOST]", "plug"), ("s1", "no model [E-MODEL]", "make")]


async def test_a_crashing_driver_is_given_up_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """One traceback, five restarts, then it is failed."""
    crashing, sound, told = Scripted(*[ValueError("bug")] * 50), Scripted(), Told()
    devices = [KeptDevice("bad", lambda: crashing, told), KeptDevice("good", lambda: sound, told)]
    task = asyncio.create_task(keep_running(devices, emit))
    async with asyncio.timeout(5):
        await sound.steady.wait()
        await told.given_up.wait()
    assert crashing.lives == 1 + supervisor.CRASHES
    assert told.lost[-1][:2] == ("bad", "failed: ValueError: bug")
    assert not task.done()
    assert sum(r.exc_info is not None for r in caplog.records) == 1
    task.cancel()


async def test_crashes_at_different_places_each_have_their_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def here() -> Exception:
        try:
            raise ValueError("here")
        except ValueError as error:
            return error

    driver = Scripted(here(), ValueError("there"), here(), ValueError("there"))
    task = asyncio.create_task(KeptDevice("s1", lambda: driver, Told()).run(emit))
    async with asyncio.timeout(5):
        await driver.steady.wait()
    task.cancel()
    assert sum(r.exc_info is not None for r in caplog.records) == 2


@pytest.mark.parametrize(
    ("inside", "reason", "tracebacks"),
    [
        ([LinkLost("cable")], "cable [E-LINK-LOST]", 0),
        ([LinkLost("cable"), ExceptionGroup("inner", [LinkLost("other")])], "cable [E-LINK-LOST]", 0),
        ([LinkLost("cable"), ValueError("bug")], "ValueError: bug", 1),
    ],
)
async def test_a_group_of_errors_is_what_is_inside_it(
    caplog: pytest.LogCaptureFixture, inside: list[Exception], reason: str, tracebacks: int
) -> None:
    """A driver with a task group of its own loses its cable inside it."""
    driver, told = Scripted(ExceptionGroup("tasks", inside)), Told()
    task = asyncio.create_task(KeptDevice("s1", lambda: driver, told).run(emit))
    async with asyncio.timeout(5):
        await driver.steady.wait()
    task.cancel()
    assert [r for _, r, _ in told.lost] == [reason]
    assert sum(r.exc_info is not None for r in caplog.records) == tracebacks


async def test_what_does_not_fit_is_counted_over_all_lives_of_a_driver() -> None:
    class Noisy(Scripted):
        skipped_bytes = 7

    drivers = [Noisy(LinkLost("cable")), Noisy()]
    steady = drivers[1].steady
    kept = KeptDevice("s1", lambda: drivers.pop(0), Told())
    task = asyncio.create_task(kept.run(emit))
    async with asyncio.timeout(5):
        await steady.wait()
    assert kept.skipped_bytes == 14
    task.cancel()
    await asyncio.wait([task])
    assert kept.skipped_bytes == 14


WIRED = [name for name, kind in DEVICE_KINDS.items() if issubclass(kind, SerialDevice | Llrp)]


@pytest.mark.parametrize("name", WIRED)
def test_every_driver_on_a_wire_counts_what_does_not_fit(name: str) -> None:
    place = {"address": "127.0.0.1"} if name == "llrp" else {"port": "/dev/none"}
    device = DEVICE_KINDS[name].model_validate({"id": "d", "driver": name, **place})
    driver = make_driver(device, Resources())
    assert isinstance(driver, Framed)
    assert driver.skipped_bytes == 0


class Fleet:
    """Devices whose ports may be away, and the tries at each."""

    def __init__(self, folder: Path, *, count: int, address: Callable[[int], str] | None = None) -> None:
        self.ports = [folder / f"scale-{i}" for i in range(count)]
        self.tries = [0] * count
        self.is_back = [asyncio.Event() for _ in range(count)]
        self.told = Told()
        self.kept = [
            KeptDevice(
                f"s{i}", partial(self._driver, i), self.told, address(i) if address else str(self.ports[i])
            )
            for i in range(count)
        ]

    def plug(self) -> None:
        for port in self.ports:
            port.write_text("")

    def unplug(self) -> None:
        for port in self.ports:
            port.unlink()

    def _driver(self, index: int) -> Driver:
        fleet, port = self, self.ports[index]

        class Attached:
            async def run(self, emit: Emit) -> None:
                fleet.tries[index] += 1
                if not port.exists():
                    raise LinkLost("absent")
                fleet.is_back[index].set()
                nudge_neighbours(fleet.kept, f"s{index}")
                while port.exists():  # noqa: ASYNC110  # the file is the cable
                    await asyncio.sleep(0.005)
                raise LinkLost("pulled")

        return Attached()

    async def all_back(self) -> float:
        began = time.monotonic()
        async with asyncio.timeout(10):
            for event in self.is_back:
                await event.wait()
        return time.monotonic() - began


async def test_what_is_plugged_in_again_after_a_long_outage_is_tried_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every back-off is at its longest; nothing is tried before the ports are there, all within 1.5 s then."""
    monkeypatch.setattr(supervisor, "backoff_s", lambda _attempt, **_: 60.0)
    fleet = Fleet(tmp_path, count=24)
    task = asyncio.create_task(keep_running(fleet.kept, emit))
    while sum(fleet.tries) < 24:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await asyncio.sleep(3 * supervisor.LOOK_EVERY_S)
    assert fleet.tries == [1] * 24
    fleet.plug()
    assert await fleet.all_back() < supervisor.LOOK_EVERY_S + supervisor.SPREAD_S + 0.5
    assert fleet.tries == [2] * 24
    task.cancel()


async def test_a_port_that_comes_and_goes_is_tried_once_for_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "backoff_s", lambda _attempt, **_: 60.0)
    monkeypatch.setattr(supervisor, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(supervisor, "SPREAD_S", 0.01)
    fleet = Fleet(tmp_path, count=1)
    task = asyncio.create_task(keep_running(fleet.kept, emit))
    for _ in range(20):
        fleet.is_back[0].clear()
        fleet.plug()
        await fleet.all_back()
        fleet.unplug()
        await asyncio.sleep(0.06)
    assert 20 <= fleet.tries[0] <= 41
    task.cancel()


async def test_a_port_server_that_is_back_for_one_is_tried_by_all_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be seen of it but by trying: the first that gets through wakes the others, not strangers."""
    monkeypatch.setattr(supervisor, "backoff_s", lambda _attempt, **_: 60.0)
    hosts = ["10.0.0.5"] * 8 + ["10.0.0.6"]
    fleet = Fleet(tmp_path, count=9, address=lambda i: f"socket://{hosts[i]}:{4001 + i}")
    task = asyncio.create_task(keep_running(fleet.kept, emit))
    while sum(fleet.tries) < 9:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    fleet.plug()
    fleet.kept[3].nudge()  # its back-off is over
    stranger = fleet.is_back.pop()
    assert await fleet.all_back() < 2 * (supervisor.LOOK_EVERY_S + supervisor.SPREAD_S) + 0.5
    assert not stranger.is_set()
    task.cancel()


@pytest.mark.parametrize(
    ("port", "least", "most"), [("socket://10.0.0.5:1", 60, 240), ("/dev/no-such-port", 300, 800)]
)
async def test_an_outage_of_an_hour_is_a_bounded_number_of_tries(
    monkeypatch: pytest.MonkeyPatch, port: str, least: int, most: int
) -> None:
    """Full jitter up to 60 s: about two tries a minute for each device; eight at a port of this machine."""
    now, told = [0.0], Told()
    monkeypatch.undo()  # the real back-off

    async def pass_time(seconds: float) -> None:
        now[0] += seconds
        if now[0] > 3600:
            raise asyncio.CancelledError

    monkeypatch.setattr(supervisor.asyncio, "sleep", pass_time)
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: now[0])
    kept = KeptDevice("s1", lambda: Scripted(LinkLost("absent")), told, port)
    with pytest.raises(asyncio.CancelledError):
        await kept.run(emit)
    assert least < kept.restarts < most


@pytest.mark.parametrize("attempt", [0, 3, 40])
def test_back_off_is_fully_jittered_and_bounded(attempt: int) -> None:
    delays = [backoff_s(attempt) for _ in range(500)]
    limit = min(60.0, 0.5 * 2**attempt)
    assert 0 <= min(delays) < 0.1 * limit
    assert 0.9 * limit < max(delays) <= limit


async def test_a_device_with_new_settings_goes_on_at_once_and_is_not_lost() -> None:
    first, second, told = Scripted(), Scripted(), Told()
    kept = KeptDevice("cam", lambda: first, told)
    task = asyncio.create_task(kept.run(emit))
    async with asyncio.timeout(5):
        await first.steady.wait()
        kept.remake(lambda: second)
        kept.remake(lambda: second)  # twice in a row ends one life, not two
        await second.steady.wait()
    assert (first.lives, second.lives, told.lost, kept.restarts) == (1, 1, [], 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_new_settings_end_the_wait_of_a_lost_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "backoff_s", lambda _attempt, **_: 60.0)
    monkeypatch.setattr(supervisor, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(supervisor, "SPREAD_S", 0.0)
    lost, mended, told = Scripted(LinkLost("gone")), Scripted(), Told()
    kept = KeptDevice("cam", lambda: lost, told)
    task = asyncio.create_task(kept.run(emit))
    async with asyncio.timeout(5):
        await told.first.wait()
        kept.remake(lambda: mended)
        await mended.steady.wait()
    task.cancel()
