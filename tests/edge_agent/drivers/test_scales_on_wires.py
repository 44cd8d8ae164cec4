"""Every scale driver against its simulated device on a pty and over TCP, with the faults of real wires."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from device_sims import links
from device_sims.indicator import Indicator
from device_sims.links import Dialogue, PtyLink, TcpLink, plugged_in
from device_sims.mt_sics import MtSicsScale
from device_sims.noise import Noise
from device_sims.parity import EvenParity
from device_sims.plate import Plate
from device_sims.toledo_8217 import NciScale, Toledo8217Scale
from edge_agent.config.devices import MtSics, Toledo8217
from edge_agent.contract.errors import DeviceSilent, LinkLost
from edge_agent.drivers.mt_sics import MtSicsDriver
from edge_agent.drivers.toledo_8217 import Toledo8217Driver
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Reading, WeightReading

Running = Callable[[object], AbstractAsyncContextManager[asyncio.Task[None]]]

STILL = Noise(sample_sd_g=(0.0, 0.0), drift_g_per_sqrt_h=0, creep_share=0, temperature_swing_c=0)
KINDS = ("mt-sics", "mt-sics stream", "8217", "nci")
LOAD_G = 1250.0
TIMEOUT_S = 0.3
"""For one reply; a real one has 1 s."""


class Wire:
    """What stands between a device and its link: garbage, torn replies, silence, drops."""

    def __init__(self, device: Dialogue) -> None:
        self.device = device
        self.before = b""
        self.torn = 0
        self.mute = False
        self.drip = False
        self._drops = bytearray()

    def power_on(self) -> bytes:
        return self.device.power_on()

    def feed(self, received: bytes) -> bytes:
        return self._carried(self.device.feed(received))

    def tick(self) -> bytes:
        said = self._carried(self.device.tick())
        if self._drops:
            said += bytes([self._drops.pop(0)])
        return said

    def _carried(self, reply: bytes) -> bytes:
        if self.mute or not reply:
            return b""
        reply = self.before + reply
        if self.torn:
            self.torn -= 1
            reply = reply[:5]
        if not self.drip:
            return reply
        self._drops += reply
        return b""


class Bench:
    """One scale of a kind with its plate, its wire and its link."""

    def __init__(self, kind: str, link: str, folder: Path) -> None:
        self.kind = kind
        self.plate = Plate(STILL, "b")
        self.plate.lay(LOAD_G)
        indicator = Indicator(self.plate, max_g=15_000)
        device: Dialogue
        if kind == "8217":
            device = Toledo8217Scale(indicator, clock=time.monotonic)
        elif kind == "nci":
            device = NciScale(indicator, clock=time.monotonic)
        else:
            device = MtSicsScale(indicator, serial="B0001", decimals=1, clock=time.monotonic)
        self.wire = Wire(device)
        self.link = PtyLink(self.wire, folder / "scale") if link == "pty" else TcpLink(self.wire)

    def driver(self, **settings: Any) -> MtSicsDriver | Toledo8217Driver:
        where = {"id": "s1", "port": self.link.address}
        if self.kind in ("8217", "nci"):
            given = {"driver": "toledo-8217", "dialect": self.kind, "poll_hz": 20}
            return Toledo8217Driver(
                Toledo8217.model_validate(where | given | settings), reply_timeout_s=TIMEOUT_S
            )
        given = {"driver": "mt-sics", "stream": "stream" in self.kind, "poll_hz": 50}
        return MtSicsDriver(MtSics.model_validate(where | given | settings), reply_timeout_s=TIMEOUT_S)


@pytest.fixture(params=["pty", "tcp"])
def wire_kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=KINDS)
async def bench(request: pytest.FixtureRequest, wire_kind: str, tmp_path: Path) -> AsyncIterator[Bench]:
    bench = Bench(request.param, wire_kind, tmp_path)
    async with plugged_in(bench.link):
        yield bench


def weights(readings: Sequence[Reading]) -> list[float | None]:
    return [reading.weight_g for reading in readings if isinstance(reading, WeightReading)]


async def test_says_that_it_is_there_then_weighs(bench: Bench, emitted: Any, running: Running) -> None:
    async with running(bench.driver().run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 3)
    assert isinstance(emitted.readings[0], DeviceAnswered)
    assert emitted.readings[1] == WeightReading("s1", None, LOAD_G, True)


async def test_unplugged_is_lost_at_once_and_replugged_weighs_again(bench: Bench, emitted: Any) -> None:
    first = asyncio.ensure_future(bench.driver().run(emitted))
    await emitted.until(weights)
    await bench.link.unplug()
    with pytest.raises(LinkLost):
        async with asyncio.timeout(2):
            await first
    with pytest.raises(LinkLost):
        await bench.driver().run(emitted)
    await bench.link.replug()
    seen = len(emitted.readings)
    again = asyncio.ensure_future(bench.driver().run(emitted))
    await emitted.until(lambda rs: weights(rs[seen:]))
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_garbage_before_every_reply_changes_no_weight(
    bench: Bench, emitted: Any, running: Running
) -> None:
    bench.wire.before = b"\x00\xff\x02\x0201.2\n9KG\r\x03S S 1\r\n\x7f"
    driver = bench.driver()
    async with running(driver.run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 10)
    assert set(weights(emitted.readings)) == {LOAD_G}
    assert driver.skipped_bytes > 0


async def test_nothing_but_half_replies_is_a_silent_scale(bench: Bench, emitted: Any) -> None:
    weighing = asyncio.ensure_future(bench.driver().run(emitted))
    await emitted.until(weights)
    bench.wire.torn = 1_000_000
    with pytest.raises(DeviceSilent):
        async with asyncio.timeout(5 * TIMEOUT_S):
            await weighing
    assert set(weights(emitted.readings)) == {LOAD_G}


async def test_half_a_reply_once_is_forgotten(bench: Bench, emitted: Any, running: Running) -> None:
    async with running(bench.driver().run(emitted)):
        await emitted.until(weights)
        bench.wire.torn = 1
        seen = len(emitted.readings)
        await emitted.until(lambda rs: len(weights(rs[seen:])) >= 3)
    assert set(weights(emitted.readings)) == {LOAD_G}


async def test_a_byte_every_ten_milliseconds_is_slow_not_silent(
    bench: Bench, emitted: Any, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "_TICK_S", 0.01)
    async with running(bench.driver().run(emitted)):
        await emitted.until(weights)
        bench.wire.drip = True
        seen = len(emitted.readings)
        await emitted.until(lambda rs: len(weights(rs[seen:])) >= 3)
    assert set(weights(emitted.readings)) == {LOAD_G}


async def test_overload_is_a_flag_then_a_degraded_scale_and_a_weight_ends_it(
    bench: Bench, emitted: Any, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.drivers.plate_watch.DEGRADED_AFTER_S", 0.1)
    async with running(bench.driver().run(emitted)):
        await emitted.until(weights)
        bench.plate.lay(16_000.0)
        await emitted.until(lambda rs: isinstance(rs[-1], DeviceDegraded))
        assert "overload" in emitted.readings[-1].reason
        flagged = [r for r in emitted.readings if isinstance(r, WeightReading) and "over" in r.flags]
        assert flagged
        assert all(reading.weight_g is None for reading in flagged)
        bench.plate.lay(500.0)
        await emitted.until(lambda rs: isinstance(rs[-1], WeightReading) and rs[-1].weight_g == 500.0)


async def test_parity_bits_on_a_wire_of_eight_bits_are_no_part_of_the_weight(
    bench: Bench, emitted: Any, running: Running
) -> None:
    bench.wire.device = EvenParity(bench.wire.device)
    async with running(bench.driver(serial_format="7E1").run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 3)
    assert set(weights(emitted.readings)) == {LOAD_G}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_mute_scale_is_lost_after_three_questions(kind: str, tmp_path: Path, emitted: Any) -> None:
    bench = Bench(kind, "pty", tmp_path)
    bench.wire.mute = True
    async with plugged_in(bench.link):
        with pytest.raises(DeviceSilent, match="no scale answers") as raised:
            async with asyncio.timeout(5 * TIMEOUT_S):
                await bench.driver().run(emitted)
    assert raised.value.hint
    assert emitted.readings == []


@pytest.mark.parametrize(("device", "dialect"), [("nci", "8217"), ("8217", "nci")])
async def test_the_wrong_dialect_is_named(device: str, dialect: str, tmp_path: Path, emitted: Any) -> None:
    bench = Bench(device, "pty", tmp_path)
    async with plugged_in(bench.link):
        with pytest.raises(DeviceSilent) as raised:
            await bench.driver(dialect=dialect).run(emitted)
    assert emitted.readings == []
    assert device == "nci" or "dialect" in raised.value.hint
