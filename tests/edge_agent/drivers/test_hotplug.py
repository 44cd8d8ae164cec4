"""Real scales on real ptys and sockets, kept by the real supervisor, through every kind of absence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

from edge_agent import supervisor
from edge_agent.config.devices import ModbusScale, MtSics
from edge_agent.drivers import Resources, make_driver
from edge_agent.drivers.mt_sics import MtSicsDriver
from edge_agent.drivers.port import mark_of
from edge_agent.readings import Reading, WeightReading
from edge_agent.supervisor import KeptDevice, keep_running


def settings(port: Path | str, name: str = "s") -> MtSics:
    return MtSics(id=name, driver="mt-sics", port=str(port))


class Told:
    """The losses, with their times."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self._changed = asyncio.Event()

    async def __call__(self, device: str, reason: str, *, hint: str) -> None:
        assert hint, "every loss says what to do"
        self.reasons.append(reason)
        self._changed.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.reasons) < count:
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def kept(devices: list[MtSics], told: Told, emitted: Any, **options: float) -> AsyncIterator[None]:
    running = [
        KeptDevice(one.id, lambda one=one: MtSicsDriver(one, **options), told, one.port)  # type: ignore[misc]
        for one in devices
    ]
    task = asyncio.create_task(keep_running(running, emitted))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def weighed(readings: list[Any]) -> set[str]:
    return {reading.device for reading in readings if isinstance(reading, WeightReading)}


@pytest.fixture
def _long_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every back-off is at its longest, as after an outage of five minutes."""
    monkeypatch.setattr(supervisor, "backoff_s", lambda _attempt, **_: 60.0)


@pytest.mark.usefixtures("_long_outage")
async def test_a_hub_that_returns_after_a_long_outage_is_read_within_two_seconds(
    scale: Any, emitted: Any, tmp_path: Path
) -> None:
    hub = [scale] + [type(scale)(tmp_path / f"scale-{i}") for i in range(1, 24)]
    told = Told()
    scale.unplug()
    async with kept([settings(s.link, s.link.name) for s in hub], told, emitted):
        await told.until(24)
        began = time.monotonic()
        for one in hub:
            one.plug()
        await emitted.until(lambda readings: len(weighed(readings)) == 24)
        assert time.monotonic() - began < 2.0
        for one in hub:
            one.unplug()
        await told.until(48)
    assert len(told.reasons) == 48, "one try for each that was away, one for each that returned"


@pytest.mark.usefixtures("_long_outage")
async def test_a_device_that_became_another_tty_before_the_old_one_was_gone_is_read_at_once(
    scale: Any, emitted: Any
) -> None:
    old = type(scale)(scale.link)
    told = Told()
    async with kept([settings(scale.link)], told, emitted):
        await emitted.until(weighed)
        old._master, old._slave, scale._master = scale._master, scale._slave, -1
        scale.weight = "S S     200.00 g"
        scale.plug()  # the name now points to another tty; the old one is still open
        old.link = old.link.with_name("nothing")
        old.unplug()
        await emitted.until(lambda readings: readings[-1] == WeightReading("s", None, 200.0, True))
    assert ["E-LINK-LOST" in reason for reason in told.reasons] == [True]


async def test_the_mark_of_a_port_is_new_each_time_it_is_plugged_in_and_none_while_it_is_away(
    scale: Any,
) -> None:
    marks = list[object]()
    for _ in range(3):
        marks.append(mark_of(str(scale.link)))
        assert mark_of(str(scale.link)) == marks[-1]
        scale.unplug()
        assert mark_of(str(scale.link)) is None
        await asyncio.sleep(0.02)  # the kernel's file times move by the tick
        scale.plug()
    assert len(set(marks)) == 3
    assert None not in marks


async def test_a_defect_with_one_module_of_a_line_leaves_the_others_on_it_alone(
    scale: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One traceback, five restarts, then it is failed and the line belongs to the rest."""
    monkeypatch.setattr(supervisor, "backoff_s", lambda _attempt, **_: 0.0)
    framer = FramerRTU(DecodePDU(is_server=True))

    def answer() -> None:
        question = os.read(scale._master, 4096)
        registers = [0] * int.from_bytes(question[4:6], "big")
        reply = ReadHoldingRegistersResponse(registers=registers, dev_id=question[0])
        os.write(scale._master, framer.buildFrame(reply))

    asyncio.get_running_loop().remove_reader(scale._master)
    asyncio.get_running_loop().add_reader(scale._master, answer)
    told, resources, heard = Told(), Resources(), list[str]()
    failed = asyncio.Event()

    async def emit(readings: Sequence[Reading]) -> None:
        if readings[0].device == "bad":
            raise ValueError("a defect")
        heard.append(readings[0].device)
        if "failed: " in str(told.reasons):
            failed.set()

    line = {"driver": "modbus-scale", "port": str(scale.link)}
    devices = [
        ModbusScale.model_validate({"id": id_, "unit_id": n, **line}) for n, id_ in ((1, "bad"), (2, "good"))
    ]
    keeping = [KeptDevice(one.id, partial(make_driver, one, resources), told, one.port) for one in devices]
    task = asyncio.create_task(keep_running(keeping, emit))
    async with asyncio.timeout(20):
        await failed.wait()
        before = len(heard)
        while len(heard) < before + 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(told.reasons) == 1 + supervisor.CRASHES
    assert told.reasons[-1] == "failed: ValueError: a defect"
    assert sum(record.exc_info is not None for record in caplog.records) == 1
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]


async def _says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(100):
        pass


async def _takes_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def _hangs_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _drips(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not writer.is_closing():
        writer.write(b"7")
        await asyncio.sleep(0.02)


async def _floods(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(bytes(range(256)) * 64)
            await writer.drain()


async def _resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
    )
    writer.transport.abort()


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (_says_nothing, "E-DEVICE-SILENT"),
        (_takes_nothing, "E-DEVICE-SILENT"),
        (_hangs_up, "E-LINK-LOST"),
        (_drips, "E-DEVICE-SILENT"),
        (_floods, "E-DEVICE-SILENT"),
        (_resets, "E-LINK-LOST"),
    ],
)
async def test_a_port_server_in_any_trouble_is_lost_in_time_while_the_scale_beside_it_is_read(
    scale: Any, emitted: Any, behaviour: Behaviour, code: str
) -> None:
    """Questions wait a tenth of a second here instead of one: silence is three of them."""
    serving = set[asyncio.Task[Any]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await behaviour(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    told, began = Told(), time.monotonic()
    devices = [settings(scale.link, "beside"), settings(f"socket://127.0.0.1:{port}", "far")]
    async with server, kept(devices, told, emitted, reply_timeout_s=0.1):
        await told.until(1)
        lost_s = time.monotonic() - began
        await emitted.until(lambda readings: weighed(readings) == {"beside"})
        for task in serving:
            task.cancel()
        await asyncio.wait(serving)
    assert code in told.reasons[0]
    assert lost_s < 1.5
