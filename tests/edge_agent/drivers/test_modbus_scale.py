"""The Modbus driver on real ptys and TCP: pymodbus' own servers, a shared line, silence, refusals, unplug and replug."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_agent.config.devices import ModbusScale
from edge_agent.contract.errors import ConfigError, DeviceSilent, LinkDenied, LinkLost
from edge_agent.drivers import Resources, make_driver
from edge_agent.drivers.modbus_line import ModbusPort
from edge_agent.drivers.modbus_scale import ModbusScaleDecoder, ModbusScaleDriver
from edge_agent.drivers.tap import Heard
from edge_agent.readings import DeviceAnswered, DeviceDegraded, EnvironmentReading, Reading, WeightReading
from edge_agent.supervisor import KeptDevice

Running = Callable[[object], AbstractAsyncContextManager[asyncio.Task[None]]]

LAUMAS = [0x0800, 0, 1250, 0, 1250, 0, 1250, 0x0106]
"""40007 to 40014: stable, 1250 divisions of 1 g."""


@dataclass
class Module:
    """A pymodbus device whose registers the test may change, and whose answers it may withhold."""

    station: int
    first: int
    words: list[int]
    refusal: ExcCodes | None = None
    mute: bool = False
    asked: list[tuple[int, int, int]] = field(default_factory=list)
    _was_asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_asked(self, times: int) -> None:
        """Wait until it has been asked `times` times more."""
        enough = len(self.asked) + times
        while len(self.asked) < enough:
            self._was_asked.clear()
            await self._was_asked.wait()

    def simulated(self) -> SimDevice:
        data = [SimData(self.first, values=list(self.words), datatype=DataType.REGISTERS)]
        return SimDevice(self.station, simdata=data, action=self._answer)

    async def _answer(
        self, function: int, start: int, address: int, count: int, current: list[int], _set: object
    ) -> ExcCodes | None:
        self.asked.append((function, address, count))
        self._was_asked.set()
        if address < self.first or address + count > self.first + len(self.words):
            return ExcCodes.ILLEGAL_ADDRESS
        for index, word in enumerate(self.words):
            current[self.first - start + index] = word
        return self.refusal


class Wire:
    """Two ptys, wired master to master, so that pymodbus' serial server sits at the far end of a real tty."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.garble: Callable[[bytes], bytes] = lambda raw: raw
        self.carried = b""

    def plug(self) -> str:
        """Connect; returns the far end's tty."""
        (self._near, near), (self._far, far) = pty.openpty(), pty.openpty()
        self._slaves = near, far
        for slave in self._slaves:
            tty.setraw(slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(near))
        loop = asyncio.get_running_loop()
        loop.add_reader(self._near, self._carry, self._near, self._far)
        loop.add_reader(self._far, self._carry, self._far, self._near)
        return os.ttyname(far)

    def unplug(self) -> None:
        loop = asyncio.get_running_loop()
        for master in (self._near, self._far):
            loop.remove_reader(master)
        for descriptor in (*self._slaves, self._near, self._far):
            os.close(descriptor)
        self.link.unlink(missing_ok=True)

    def _carry(self, source: int, sink: int) -> None:
        with contextlib.suppress(OSError):
            raw = os.read(source, 4096)
            if source == self._far:
                raw = self.garble(raw)
                self.carried += raw
            os.write(sink, raw)


def withholding(modules: Sequence[Module]) -> Callable[[bool, bytes], bytes]:
    """A trace hook of pymodbus that sends nothing for a mute module on a serial line."""
    mute = {module.station: module for module in modules}
    return lambda sending, raw: b"" if sending and mute[raw[0]].mute else raw


@contextlib.asynccontextmanager
async def serial(tmp_path: Path, *modules: Module) -> AsyncIterator[Wire]:
    wire = Wire(tmp_path / "rs485")
    server = ModbusSerialServer(
        [module.simulated() for module in modules],
        port=wire.plug(),
        baudrate=115200,
        ignore_missing_devices=True,
        trace_packet=withholding(modules),
    )
    await server.serve_forever(background=True)
    try:
        yield wire
    finally:
        await server.shutdown()
        with contextlib.suppress(OSError):
            wire.unplug()


@contextlib.asynccontextmanager
async def tcp(*modules: Module) -> AsyncIterator[tuple[str, ModbusTcpServer]]:
    server = ModbusTcpServer([module.simulated() for module in modules], address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    try:
        yield f"tcp://127.0.0.1:{port}", server
    finally:
        await server.shutdown()


def settings(port: object, **changes: Any) -> ModbusScale:
    given = {
        "id": "m1",
        "driver": "modbus-scale",
        "port": str(port),
        "baudrate": 115200,
        "poll_hz": 50,
        "response_timeout_s": 0.1,
    }
    return ModbusScale.model_validate(given | changes)


def driver(port: object, shared: ModbusPort | None = None, **changes: Any) -> ModbusScaleDriver:
    return ModbusScaleDriver(settings(port, **changes), shared or ModbusPort())


def weights(readings: Sequence[Reading], device: str = "m1") -> list[float | None]:
    return [r.weight_g for r in readings if isinstance(r, WeightReading) and r.device == device]


def degraded(readings: Sequence[Reading]) -> str:
    return readings[-1].reason if readings and isinstance(readings[-1], DeviceDegraded) else ""


async def test_weighs_against_pymodbus_on_a_pty(tmp_path: Path, emitted: Any, running: Running) -> None:
    module = Module(1, 6, list(LAUMAS))
    async with serial(tmp_path, module) as wire, running(driver(wire.link).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 3)
        assert emitted.readings[0] == DeviceAnswered("m1")
        assert emitted.readings[1] == WeightReading("m1", None, 1250.0, True)
        module.words[0] |= 0x0080
        await emitted.until(lambda rs: weights(rs)[-1] == -1250.0)
    assert module.asked[:3] == [(3, 6, 5), (3, 13, 1), (3, 6, 5)]
    assert module.asked.count((3, 13, 1)) == 1, "what changes once in a year is not asked every round"


async def test_weighs_against_pymodbus_over_modbus_tcp(emitted: Any, running: Running) -> None:
    async with tcp(Module(1, 6, list(LAUMAS))) as (port, _), running(driver(port).run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 3)
    assert set(weights(emitted.readings)) == {1250.0}


async def test_rtu_behind_a_port_server(emitted: Any, running: Running) -> None:
    from pymodbus.framer import FramerType

    server = ModbusTcpServer(
        [Module(1, 6, list(LAUMAS)).simulated()], address=("127.0.0.1", 0), framer=FramerType.RTU
    )
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    async with running(driver(f"socket://127.0.0.1:{port}").run(emitted)):
        await emitted.until(lambda rs: len(weights(rs)) >= 3)
    await server.shutdown()


async def test_unit_and_decimals_are_known_before_the_first_weight(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    module = Module(1, 6, [*LAUMAS[:7], 0x000F])  # kg, thousandths
    async with serial(tmp_path, module) as wire, running(driver(wire.link).run(emitted)):
        await emitted.until(weights)
    assert weights(emitted.readings)[0] == 1250.0


async def test_a_module_that_refuses_its_scale_gives_no_weight_but_a_reason(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    module = Module(1, 6, LAUMAS[:5])
    async with serial(tmp_path, module) as wire, running(driver(wire.link).run(emitted)):
        await emitted.until(degraded)
    assert degraded(emitted.readings) == (
        "refuses registers 40014 to 40014: exception 2: illegal data address"
    )
    assert weights(emitted.readings) == []


async def test_given_unit_and_decimals_such_a_module_weighs(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    module = Module(1, 6, LAUMAS[:5])
    in_kilograms = {"unit": "kg", "decimals": 2}
    async with serial(tmp_path, module) as wire, running(driver(wire.link, **in_kilograms).run(emitted)):
        await emitted.until(weights)
    assert weights(emitted.readings)[0] == 12_500.0


async def test_an_exception_degrades_with_its_meaning_and_a_weight_ends_it(
    emitted: Any, running: Running
) -> None:
    module = Module(1, 6, list(LAUMAS), refusal=ExcCodes.DEVICE_FAILURE)
    async with tcp(module) as (port, _), running(driver(port).run(emitted)):
        await emitted.until(degraded)
        assert "exception 4: device failure" in degraded(emitted.readings)
        assert isinstance(emitted.readings[0], DeviceAnswered), "it is there"
        module.refusal = None
        await emitted.until(lambda rs: weights(rs)[-3:] == [1250.0] * 3)


async def test_a_gateway_that_gets_no_answer_means_a_silent_module(emitted: Any) -> None:
    module = Module(1, 6, list(LAUMAS), refusal=ExcCodes.GATEWAY_NO_RESPONSE)
    async with tcp(module) as (port, _):
        with pytest.raises(DeviceSilent, match="station 1 on tcp://"):
            await driver(port).run(emitted)


async def test_a_lasting_overload_degrades_the_module(
    tmp_path: Path, emitted: Any, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_agent.drivers.plate_watch.DEGRADED_AFTER_S", 0.2)
    module = Module(1, 6, [0x0808, *LAUMAS[1:]])
    async with serial(tmp_path, module) as wire, running(driver(wire.link).run(emitted)):
        await emitted.until(degraded)
        assert degraded(emitted.readings) == "over 110 % of full scale"
        assert WeightReading("m1", None, None, None, ("over", "error")) in emitted.readings
        module.words[0] = 0x0800
        await emitted.until(lambda rs: weights(rs)[-1:] == [1250.0])


async def test_plates_and_climate_share_one_line_with_their_profiles(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    shelf = Module(1, 0, [0, 100, 0xFFFF, 0xFFFF, *[0] * 28])
    fridge = Module(2, 1, [0xFFCE, 800])
    port = ModbusPort()
    async with serial(tmp_path, shelf, fridge) as wire:
        plates = driver(wire.link, port, profile="load-cell-16")
        climate = driver(wire.link, port, id="m2", unit_id=2, profile="sht20")
        async with running(plates.run(emitted)), running(climate.run(emitted)):
            await emitted.until(
                lambda rs: len(weights(rs)) >= 32 and any(isinstance(r, EnvironmentReading) for r in rs)
            )
    first = [r for r in emitted.readings if isinstance(r, WeightReading)][:16]
    assert [(r.channel, r.weight_g) for r in first[:3]] == [(1, 100.0), (2, -1.0), (3, 0.0)]
    assert EnvironmentReading("m2", "temperature_c", "°C", -5.0) in emitted.readings
    assert EnvironmentReading("m2", "humidity_pct", "%", 80.0) in emitted.readings
    assert set(shelf.asked) == {(3, 0, 32)}
    assert set(fridge.asked) == {(4, 1, 2)}


async def test_a_silent_module_is_told_within_four_seconds_at_the_default_patience(
    tmp_path: Path, emitted: Any
) -> None:
    module = Module(1, 6, list(LAUMAS))
    async with serial(tmp_path, module) as wire:
        device = driver(wire.link, response_timeout_s=0.3, poll_hz=5)
        task = asyncio.ensure_future(device.run(emitted))
        await emitted.until(weights)
        module.mute = True
        began = asyncio.get_running_loop().time()
        with pytest.raises(DeviceSilent, match=r"station 1 on .* does not answer") as raised:
            await task
        assert asyncio.get_running_loop().time() - began < 4
    assert "baud rate" in raised.value.hint


async def test_one_lost_answer_is_no_silence(tmp_path: Path, emitted: Any, running: Running) -> None:
    module = Module(1, 6, list(LAUMAS))
    async with serial(tmp_path, module) as wire, running(driver(wire.link).run(emitted)):
        await emitted.until(weights)
        module.mute = True
        await module.until_asked(2)
        module.mute = False
        seen = len(weights(emitted.readings))
        await emitted.until(lambda rs: len(weights(rs)) > seen + 3)


async def test_a_broken_checksum_is_no_weight_and_noise_before_an_answer_costs_nothing(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    module = Module(1, 6, list(LAUMAS))
    device = driver(tmp_path / "rs485")
    async with serial(tmp_path, module) as wire, running(device.run(emitted)):
        await emitted.until(weights)
        wire.garble = lambda raw: b"\xff\x01\x03\xfa" + raw
        seen = len(weights(emitted.readings))
        await emitted.until(lambda rs: len(weights(rs)) > seen + 3)
        module.words[2] = 99
        wire.garble = lambda raw: raw[:-1] + bytes([raw[-1] ^ 1])
        await module.until_asked(2)
        assert 99.0 not in weights(emitted.readings)
        wire.garble = lambda raw: raw
        await emitted.until(lambda rs: weights(rs)[-1] == 99.0)
    assert device.skipped_bytes > 2 * 15, "what was no answer is counted"


async def test_garbled_answers_are_told_apart_from_none(tmp_path: Path, emitted: Any) -> None:
    async with serial(tmp_path, Module(1, 6, list(LAUMAS))) as wire:
        wire.garble = lambda raw: bytes(byte ^ 0x40 for byte in raw)
        with pytest.raises(DeviceSilent, match="nothing that can be read") as raised:
            await driver(wire.link).run(emitted)
    assert "parity" in raised.value.hint


async def test_an_adapter_that_echoes_the_question_is_understood(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    module = Module(1, 6, list(LAUMAS))
    echo = bytes.fromhex("01030006000565c8")
    async with (
        serial(tmp_path, module) as wire,
        running(driver(wire.link, unit="g", decimals=0).run(emitted)),
    ):
        wire.garble = lambda raw: echo + raw
        await emitted.until(lambda rs: len(weights(rs)) >= 5)
    assert set(weights(emitted.readings)) == {1250.0}


async def test_a_late_answer_of_another_station_is_not_taken(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    module = Module(1, 6, list(LAUMAS))
    foreign = bytes.fromhex("02030a0800000000630000006350f3")
    async with serial(tmp_path, module) as wire, running(driver(wire.link).run(emitted)):
        wire.garble = lambda raw: foreign + raw
        await emitted.until(lambda rs: len(weights(rs)) >= 5)
    assert set(weights(emitted.readings)) == {1250.0}


async def test_unplugged_is_lost_once_for_each_even_who_rests_and_replugged_the_line_is_opened_once(
    tmp_path: Path, emitted: Any
) -> None:
    modules = [Module(station, 6, list(LAUMAS)) for station in (1, 2, 3)]
    port = ModbusPort()

    def life(station: int) -> asyncio.Future[None]:
        link = tmp_path / "rs485"
        poll_hz = 0.1 if station == 3 else 50
        device = driver(link, port, id=f"m{station}", unit_id=station, poll_hz=poll_hz)
        return asyncio.ensure_future(device.run(emitted))

    def all_weigh(readings: Sequence[Reading]) -> bool:
        return all(weights(readings, f"m{station}") for station in (1, 2, 3))

    async with serial(tmp_path, *modules) as wire:
        lives = [life(station) for station in (1, 2, 3)]
        await emitted.until(all_weigh)
        wire.unplug()
        async with asyncio.timeout(2):
            ends = await asyncio.gather(*lives, return_exceptions=True)
        assert [type(end) for end in ends] == [LinkLost] * 3
        with pytest.raises(LinkLost, match="is absent"):
            await driver(wire.link, port).run(emitted)
    async with serial(tmp_path, *modules) as wire:
        emitted.readings.clear()
        lives = [life(station) for station in (1, 2, 3)]
        await emitted.until(all_weigh)
        assert _times_open(wire.link) == 2, "the test's own end, and one for all three"
        for one in lives:
            one.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        assert _times_open(wire.link) == 1, "the last one out closes it"


def _times_open(link: Path) -> int:
    """How many descriptors of this process lead to the tty behind `link`."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(descriptor.readlink())
    return found.count(link.resolve())


async def test_a_broken_tcp_connection_is_lost_at_once(emitted: Any) -> None:
    async with tcp(Module(1, 6, list(LAUMAS))) as (port, server):
        task = asyncio.ensure_future(driver(port).run(emitted))
        await emitted.until(weights)
        await server.shutdown()
        with pytest.raises(LinkLost):
            await task
        with pytest.raises(LinkLost, match="cannot be reached"):
            await driver(port).run(emitted)


async def test_a_port_that_another_program_holds_is_denied_to_all_by_one_try(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    async with serial(tmp_path, Module(1, 6, list(LAUMAS))) as wire, running(driver(wire.link).run(emitted)):
        await emitted.until(weights)
        port = ModbusPort()
        tries = [driver(wire.link, port, id=f"m{n}", unit_id=n).run(emitted) for n in (1, 2, 3)]
        ends = await asyncio.gather(*tries, return_exceptions=True)
        assert [type(end) for end in ends] == [LinkDenied] * 3
        assert ends[0] is ends[1] is ends[2]


async def test_devices_of_one_line_agree_about_it(tmp_path: Path, emitted: Any, running: Running) -> None:
    port = ModbusPort()
    async with (
        serial(tmp_path, Module(1, 6, list(LAUMAS))) as wire,
        running(driver(wire.link, port).run(emitted)),
    ):
        await emitted.until(weights)
        with pytest.raises(ConfigError, match="baudrate 115200 and 9600"):
            await driver(wire.link, port, id="m2", unit_id=2, baudrate=9600).run(emitted)


async def test_the_tap_hears_each_device_alone_and_the_decoder_reads_it_back(
    tmp_path: Path, emitted: Any, running: Running
) -> None:
    resources = Resources()
    shelf, scale = Module(1, 0, [0, 7, *[0] * 30]), Module(2, 6, list(LAUMAS))
    heard: dict[str, list[Heard]] = {"m1": [], "m2": []}
    async with serial(tmp_path, shelf, scale) as wire:
        kinds = [
            settings(wire.link, profile="load-cell-16"),
            settings(wire.link, id="m2", unit_id=2),
        ]
        with resources.taps.listen("m1", heard["m1"].append), resources.taps.listen("m2", heard["m2"].append):
            first, second = (make_driver(kind, resources) for kind in kinds)
            async with running(first.run(emitted)), running(second.run(emitted)):
                await emitted.until(lambda rs: len(weights(rs)) >= 48 and len(weights(rs, "m2")) >= 5)
    for kind in kinds:
        decoder = ModbusScaleDecoder(kind, {})
        read = [item for piece in heard[kind.id] for item in decoder.feed(piece)]
        live = [r for r in emitted.readings if isinstance(r, WeightReading) and r.device == kind.id]
        assert all(isinstance(item, WeightReading) for item in read), "nothing of the neighbour, no noise"
        assert read[: len(live)] == live
        stations = {piece.chunk[0] for piece in heard[kind.id] if piece.direction == "out"}
        assert stations == {kind.unit_id}


async def test_a_dead_module_takes_little_from_the_others_of_its_line(tmp_path: Path, emitted: Any) -> None:
    modules = [Module(station, 6, list(LAUMAS)) for station in range(1, 9)]
    modules[3].mute = True
    lost: list[str] = []
    third_loss = asyncio.Event()

    async def note(device: str, reason: str, *, hint: str) -> None:
        lost.append(device)
        if len(lost) == 3:
            third_loss.set()

    resources = Resources()
    async with serial(tmp_path, *modules) as wire:
        began = asyncio.get_running_loop().time()
        kinds = [settings(wire.link, id=f"m{m.station}", unit_id=m.station, poll_hz=10) for m in modules]
        kept = [KeptDevice(kind.id, partial(make_driver, kind, resources), note) for kind in kinds]
        lives = [asyncio.ensure_future(one.run(emitted)) for one in kept]
        async with asyncio.timeout(30):
            await third_loss.wait()
        lasted = asyncio.get_running_loop().time() - began
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
    told = [len(weights(emitted.readings, one.device)) for one in kept]
    assert set(lost) == {"m4"}
    assert told.pop(3) == 0
    assert max(told) - min(told) <= 2, "each gets its turn"
    assert min(told) > 0.7 * 10 * lasted
    assert len(modules[3].asked) == 3 + 1 + 1, "one question a try, once it is known to be silent"


async def test_a_line_that_lost_its_power_is_told_soon_for_all_its_modules(
    tmp_path: Path, emitted: Any
) -> None:
    modules = [Module(station, 6, list(LAUMAS)) for station in range(1, 17)]
    shared = ModbusPort()
    async with serial(tmp_path, *modules) as wire:
        kinds = [settings(wire.link, id=f"m{m.station}", unit_id=m.station, poll_hz=5) for m in modules]
        lives = [asyncio.ensure_future(ModbusScaleDriver(kind, shared).run(emitted)) for kind in kinds]
        await emitted.until(lambda readings: all(weights(readings, kind.id) for kind in kinds))
        for module in modules:
            module.mute = True
            module.asked.clear()
        ends = await asyncio.gather(*lives, return_exceptions=True)
    assert all(isinstance(end, DeviceSilent) for end in ends)
    asked = [len(module.asked) for module in modules]
    assert max(asked) <= 3
    assert sum(asked) <= len(modules) + 4, "most are asked once: three in a row are silent, so the line is"
