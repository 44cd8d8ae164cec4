"""Serial RFID readers on real ptys and TCP: batches, antennas, silence, half frames, echo, stop, scan mode."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from device_sims import m100, r2000, uhfreader18
from device_sims.links import PtyLink, TcpLink, plugged_in
from device_sims.m100 import M100Module
from device_sims.r2000 import R2000Reader
from device_sims.reader_field import ReaderFaults, TagInView
from device_sims.uhfreader18 import UhfReader
from device_sims.wire import Wire
from edge_agent.config.store import DEVICE_KINDS
from edge_agent.contract.errors import DeviceSilent, LinkLost
from edge_agent.drivers import Resources, make_driver
from edge_agent.drivers.rfid_serial import SerialReaderDriver
from edge_agent.drivers.tap import Taps
from edge_agent.readings import DeviceAnswered, DeviceDegraded, Reading, TagRead

Running = Callable[[object], AbstractAsyncContextManager[asyncio.Task[None]]]

EPC = bytes.fromhex("3034257bf7194e4000001a85")
FOREIGN = bytes.fromhex("e200471bb0006013")
SHELVES = {1: [TagInView(EPC, -55), TagInView(FOREIGN, -71)], 2: [TagInView(EPC, -64)]}
WHO = {"r2000": "R2000 8.2", "uhfreader18": "UHFReader18 0.22", "m100": "M100 26dBm V1.0"}
DRIVERS = sorted(WHO)


def field(antenna: int) -> Sequence[TagInView]:
    return SHELVES.get(antenna, ())


def reader_of(driver: str, **options: Any) -> Any:
    made: dict[str, Any] = {"r2000": R2000Reader, "uhfreader18": UhfReader, "m100": M100Module}
    return made[driver](options.pop("field", field), faults=ReaderFaults(), **options)


def wire_of(driver: str, reader: Any) -> Wire:
    modules = {"r2000": r2000, "uhfreader18": uhfreader18, "m100": m100}
    return Wire(reader, clock=time.monotonic, spoiled=modules[driver].spoiled)


def driver_of(name: str, port: str, *, timeout_s: float | None = 0.3, **settings: Any) -> SerialReaderDriver:
    settings = {"antennas": {"1": "A1-01"}, "poll_hz": 50, **settings}
    device = DEVICE_KINDS[name].model_validate({"id": "r1", "driver": name, "port": port, **settings})
    driver = make_driver(device, Resources())
    assert isinstance(driver, SerialReaderDriver)
    driver._timeout_s = timeout_s
    return driver


@asynccontextmanager
async def on_a_pty(reader: Any, folder: Path) -> AsyncIterator[PtyLink]:
    link = PtyLink(reader, folder / "reader")
    async with plugged_in(link):
        yield link


def seen(readings: Sequence[Reading]) -> set[tuple[int | None, str, float | None]]:
    return {(r.antenna, r.epc, r.rssi_dbm) for r in readings if isinstance(r, TagRead)}


def reasons(readings: Sequence[Reading]) -> list[str]:
    return [r.reason for r in readings if isinstance(r, DeviceDegraded)]


@pytest.mark.parametrize("name", DRIVERS)
async def test_answers_then_says_what_lies_there(
    name: str, tmp_path: Path, emitted: Any, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with on_a_pty(reader_of(name), tmp_path) as link:
        async with running(driver_of(name, link.address).run(emitted)):
            await emitted.until(lambda rs: len(seen(rs)) >= 2)
        assert emitted.readings[0] == DeviceAnswered("r1")
        assert f"r1: {WHO[name]}" in caplog.text
    strengths = (None, None) if name == "uhfreader18" else (-55.0, -71.0)
    assert seen(emitted.readings) == {(1, EPC.hex(), strengths[0]), (1, FOREIGN.hex(), strengths[1])}
    assert not reasons(emitted.readings)


@pytest.mark.parametrize("name", DRIVERS)
async def test_a_reader_of_many_tags_emits_by_the_inventory(
    name: str, tmp_path: Path, running: Running
) -> None:
    many = [TagInView(bytes((0x30, n)) * 6) for n in range(70)]
    batches: list[int] = []
    enough = asyncio.Event()

    async def emit(readings: Sequence[Reading]) -> None:
        batches.append(sum(isinstance(r, TagRead) for r in readings))
        if len(batches) > 4:
            enough.set()

    async with (
        on_a_pty(reader_of(name, field=lambda _: many), tmp_path) as link,
        running(driver_of(name, link.address).run(emit)),
        asyncio.timeout(10),
    ):
        await enough.wait()
    assert batches[0] == 0
    assert all(size >= 70 for size in batches[1:5]), batches


@pytest.mark.parametrize("name", DRIVERS)
async def test_empty_shelves_are_a_living_reader(
    name: str, tmp_path: Path, emitted: Any, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.drivers.rfid_serial.ALIVE_EVERY_S", 0.1)
    async with (
        on_a_pty(reader_of(name, field=lambda _: []), tmp_path) as link,
        running(driver_of(name, link.address).run(emitted)),
    ):
        await emitted.until(lambda rs: len(rs) >= 3)
    assert emitted.readings == [DeviceAnswered("r1")] * 3


@pytest.mark.parametrize("name", DRIVERS)
async def test_a_reader_that_never_answers_is_silent_with_a_hint(
    name: str, tmp_path: Path, emitted: Any
) -> None:
    wire = wire_of(name, reader_of(name))
    wire.begin("mute")
    async with on_a_pty(wire, tmp_path) as link:
        with pytest.raises(DeviceSilent) as raised:
            await driver_of(name, link.address, timeout_s=0.05).run(emitted)
    assert raised.value.retry
    assert "baud rate" in raised.value.hint
    assert emitted.readings == []


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("fault", ["mute", "wrong-checksum", "half-frame"])
async def test_a_reader_that_falls_silent_is_noticed(
    name: str, fault: str, tmp_path: Path, emitted: Any
) -> None:
    wire = wire_of(name, reader_of(name, field=lambda _: [TagInView(EPC)]))
    async with on_a_pty(wire, tmp_path) as link:
        working = asyncio.ensure_future(driver_of(name, link.address, timeout_s=0.1).run(emitted))
        await emitted.until(seen)
        wire.begin(fault)
        with pytest.raises(DeviceSilent):
            async with asyncio.timeout(5):
                await working
    assert {epc for _, epc, _ in seen(emitted.readings)} == {EPC.hex()}


async def test_silence_is_noticed_within_4_s_by_the_slowest(tmp_path: Path, emitted: Any) -> None:
    name = "uhfreader18"  # its inventory may take a second longer than its heartbeat
    wire = wire_of(name, reader_of(name))
    async with on_a_pty(wire, tmp_path) as link:
        working = asyncio.ensure_future(driver_of(name, link.address, timeout_s=None).run(emitted))
        await emitted.until(seen)
        wire.begin("mute")
        started = asyncio.get_running_loop().time()
        with pytest.raises(DeviceSilent):
            await working
    assert asyncio.get_running_loop().time() - started < 4


@pytest.mark.parametrize("name", DRIVERS)
async def test_unplugged_is_lost_and_replugged_reads_again(name: str, tmp_path: Path, emitted: Any) -> None:
    async with on_a_pty(reader_of(name), tmp_path) as link:
        working = asyncio.ensure_future(driver_of(name, link.address).run(emitted))
        await emitted.until(seen)
        await link.unplug()
        with pytest.raises(LinkLost, match="is gone"):
            await working
        await link.replug()
        before = len(emitted.readings)
        again = asyncio.ensure_future(driver_of(name, link.address).run(emitted))
        await emitted.until(lambda rs: seen(rs[before:]))
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


async def test_what_was_read_before_the_plug_was_pulled_is_emitted(tmp_path: Path, emitted: Any) -> None:
    """An M100's round ends with silence only: the plug is pulled while it is under way."""
    heard, taps = asyncio.Event(), Taps()
    device = DEVICE_KINDS["m100"].model_validate(
        {"id": "r1", "driver": "m100", "port": str(tmp_path / "reader"), "antennas": {"1": "A1-01"}}
    )
    async with on_a_pty(reader_of("m100"), tmp_path) as link:
        working = asyncio.ensure_future(make_driver(device, Resources(taps=taps)).run(emitted))
        with taps.listen("r1", lambda said: heard.set() if FOREIGN in said.chunk else None):
            await heard.wait()
        assert not seen(emitted.readings)
        await link.unplug()
        with pytest.raises(LinkLost, match="is gone"):
            await working
    assert {epc for _, epc, _ in seen(emitted.readings)} == {EPC.hex(), FOREIGN.hex()}


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize("model", [18, 288])
async def test_an_echoing_line_with_noise_between_frames_reads_the_same(
    name: str, model: int, tmp_path: Path, emitted: Any, running: Running
) -> None:
    reader = reader_of(name, **({"model": model} if name == "uhfreader18" else {}))
    reader.faults.echo, reader.faults.noise = True, b"\x00\xff\xa0\x05\xbb\x01"
    async with (
        on_a_pty(reader, tmp_path) as link,
        running(driver_of(name, link.address).run(emitted)),
    ):
        await emitted.until(lambda rs: len([r for r in rs if isinstance(r, TagRead)]) >= 10)
    assert {epc for _, epc, _ in seen(emitted.readings)} == {EPC.hex(), FOREIGN.hex()}
    assert not reasons(emitted.readings)


@pytest.mark.parametrize(
    ("name", "options"), [("r2000", {}), ("uhfreader18", {"model": 288})], ids=["r2000", "288"]
)
async def test_a_missing_antenna_degrades_and_the_others_go_on(
    name: str, options: dict[str, Any], tmp_path: Path, emitted: Any, running: Running
) -> None:
    reader = reader_of(name, **options)
    reader.faults.missing_antennas = {2}
    both = {"1": "A1-01", "2": "A1-02"}
    async with (
        on_a_pty(reader, tmp_path) as link,
        running(driver_of(name, link.address, antennas=both).run(emitted)),
    ):
        await emitted.until(reasons)
        assert reasons(emitted.readings) == ["antenna 2: antenna is missing"]
        start = len(emitted.readings)
        await emitted.until(lambda rs: len(seen(rs[start:])) == 2 and reasons(rs[start:]))
        # A batch ends with its trouble, so that the reads before it do not clear it.
        assert isinstance(emitted.readings[-1], DeviceDegraded)
        reader.faults.missing_antennas = set()
        await emitted.until(lambda rs: 2 in {antenna for antenna, _, _ in seen(rs)})
        start = len(emitted.readings)
        await emitted.until(lambda rs: len(rs) > start + 6)
        assert not reasons(emitted.readings[start:])


async def test_eight_antennas_are_read_each_at_its_number(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    reader = reader_of("r2000", antennas=8, field=lambda n: [TagInView(bytes((0, n)), -50 - n)])
    antennas = {str(n): f"A{n}" for n in range(1, 9)}
    async with on_a_pty(reader, tmp_path) as link:
        driver = driver_of("r2000", link.address, antennas=antennas, high_antenna_in_rssi=True)
        async with running(driver.run(emitted)):
            await emitted.until(lambda rs: len(seen(rs)) == 8)
    assert seen(emitted.readings) == {(n, f"00{n:02x}", float(-50 - n)) for n in range(1, 9)}


async def test_the_antennas_over_the_back_room_are_read_too(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    reader = reader_of("r2000", antennas=4, field=lambda n: [TagInView(bytes((0, n)), -50 - n)])
    async with on_a_pty(reader, tmp_path) as link:
        driver = driver_of("r2000", link.address, antennas={"2": "A"}, back_room=[4, 1])
        async with running(driver.run(emitted)):
            await emitted.until(lambda rs: len(seen(rs)) == 3)
    assert {antenna for antenna, _, _ in seen(emitted.readings)} == {1, 2, 4}


async def test_an_antenna_that_the_reader_does_not_have_is_said(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    async with (
        on_a_pty(reader_of("r2000", antennas=1), tmp_path) as link,
        running(driver_of("r2000", link.address, antennas={"1": "A", "4": "B"}).run(emitted)),
    ):
        await emitted.until(reasons)
    assert reasons(emitted.readings)[0] == "antenna 4: the reader has no such antenna"


async def test_a_288_is_known_by_its_type_and_asked_by_antenna(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    both = {"1": "A1-01", "2": "A1-02"}
    async with (
        on_a_pty(reader_of("uhfreader18", model=288), tmp_path) as link,
        running(driver_of("uhfreader18", link.address, antennas=both).run(emitted)),
    ):
        await emitted.until(lambda rs: len(seen(rs)) == 3)
    assert seen(emitted.readings) == {
        (1, EPC.hex(), None),
        (1, FOREIGN.hex(), None),
        (2, EPC.hex(), None),
    }


async def test_a_wrong_model_is_said(tmp_path: Path, emitted: Any, running: Running) -> None:
    async with (
        on_a_pty(reader_of("uhfreader18", model=288), tmp_path) as link,
        running(driver_of("uhfreader18", link.address, model=18).run(emitted)),
    ):
        await emitted.until(reasons)
    assert "set `model`" in reasons(emitted.readings)[0]


async def test_a_reader_in_scan_mode_is_listened_to(tmp_path: Path, emitted: Any, running: Running) -> None:
    async with (
        on_a_pty(reader_of("uhfreader18", scanning=True), tmp_path) as link,
        running(driver_of("uhfreader18", link.address).run(emitted)),
    ):
        await emitted.until(lambda rs: len([r for r in rs if isinstance(r, TagRead)]) >= 40)
    assert {epc for _, epc, _ in seen(emitted.readings)} == {EPC.hex(), FOREIGN.hex()}
    assert not reasons(emitted.readings)


async def test_scan_mode_over_empty_shelves_is_degraded_not_dead(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    reader = reader_of("uhfreader18", scanning=True, field=lambda _: [])
    async with (
        on_a_pty(reader, tmp_path) as link,
        running(driver_of("uhfreader18", link.address).run(emitted)),
    ):
        await emitted.until(reasons)
    assert reasons(emitted.readings)[0] == "answers, yet gives no inventory"


async def test_what_ran_before_is_stopped_and_what_we_started_too(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    module = reader_of("m100")
    module.polls_left = 60_000
    async with on_a_pty(module, tmp_path) as link:
        async with running(driver_of("m100", link.address).run(emitted)):
            await emitted.until(seen)
            assert module.asked[0].hex() == "bb00280000287e"
        assert module.polls_left == 0
        assert module.asked[-1].hex() == "bb00280000287e"


@pytest.mark.parametrize("name", DRIVERS)
async def test_the_configured_power_is_set(name: str, tmp_path: Path, emitted: Any, running: Running) -> None:
    reader = reader_of(name)
    async with (
        on_a_pty(reader, tmp_path) as link,
        running(driver_of(name, link.address, power_dbm=23).run(emitted)),
    ):
        await emitted.until(seen)
    assert reader.power_dbm == 23


async def test_a_power_kept_in_flash_is_not_written_again(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    reader = reader_of("uhfreader18")
    async with (
        on_a_pty(reader, tmp_path) as link,
        running(driver_of("uhfreader18", link.address, power_dbm=30).run(emitted)),
    ):
        await emitted.until(seen)
    assert {asked[2] for asked in reader.asked} == {0x21, 0x01}


@pytest.mark.parametrize("name", DRIVERS)
async def test_reads_over_tcp_at_a_bounded_rate(name: str, emitted: Any, running: Running) -> None:
    reader = reader_of(name)
    link = TcpLink(reader)
    inventory = {"r2000": 0x89, "uhfreader18": 0x01, "m100": 0x27}[name]
    place = 3 if name == "r2000" else 2
    async with plugged_in(link):
        started = asyncio.get_running_loop().time()
        async with running(driver_of(name, link.address, poll_hz=5).run(emitted)):
            await emitted.until(lambda rs: len([r for r in rs if isinstance(r, TagRead)]) >= 8)
        elapsed_s = asyncio.get_running_loop().time() - started
    assert sum(asked[place] == inventory for asked in reader.asked) <= 5 * elapsed_s + 1


def test_a_reader_with_one_antenna_takes_one() -> None:
    for name, settings in (("m100", {}), ("uhfreader18", {"model": 18})):
        both = {"1": "A", "2": "B"}
        with pytest.raises(ValueError, match="antenna"):
            DEVICE_KINDS[name].model_validate(
                {"id": "r", "driver": name, "port": "p", "antennas": both} | settings
            )


def test_antennas_beyond_four_need_the_flag_that_tells_them_apart() -> None:
    settings = {"id": "r", "driver": "r2000", "port": "p", "antennas": {"5": "A"}}
    with pytest.raises(ValueError, match="high_antenna_in_rssi"):
        DEVICE_KINDS["r2000"].model_validate(settings)
    DEVICE_KINDS["r2000"].model_validate(settings | {"high_antenna_in_rssi": True})
