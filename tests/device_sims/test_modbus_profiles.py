"""Every simulated weighing module in every state, asked on an RS-485 line by pymodbus' own client.

What the words mean is written here from the makers' register tables; pymodbus puts two words together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from pymodbus.client import AsyncModbusSerialClient

from device_sims.indicator import Indication
from device_sims.links import PtyLink, plugged_in
from device_sims.modbus_scale import (
    ModbusModules,
    Registers,
    Station,
    baykon,
    dini_argeo,
    laumas,
    load_cell_16,
    sht20,
)

DATATYPE = AsyncModbusSerialClient.DATATYPE
STATES = {
    "at rest": Indication(1250.0, True, "in range"),
    "negative": Indication(-35.0, True, "in range"),
    "moving": Indication(1250.0, False, "in range"),
    "empty": Indication(0.0, True, "in range"),
    "over": Indication(17_000.0, True, "over"),
    "under": Indication(-400.0, True, "under"),
    "beyond a word": Indication(70_000.0, True, "in range"),
}


class Display:
    """One state for the whole test."""

    max_g = 15_000.0

    def __init__(self, shown: Indication) -> None:
        self._shown = shown

    def read(self, _now_s: float) -> Indication:
        return self._shown


class Told(NamedTuple):
    """What a module says; None is what its table has no bit for."""

    grams: float
    stable: bool | None = None
    over: bool | None = None
    under: bool | None = None
    zero: bool | None = None


def long(words: list[int], *, signed: bool) -> int:
    kind = DATATYPE.INT32 if signed else DATATYPE.UINT32
    value = AsyncModbusSerialClient.convert_from_registers(words, kind)
    assert isinstance(value, int)
    return value


def bit(word: int, number: int) -> bool:
    return bool(word >> number & 1)


def laumas_told(words: list[int]) -> Told:
    """40007: bit 7 gross below zero, 8 net below zero, 11 stable, 12 within ±¼ division, 2 over the range."""
    status, gross, net = words[0], long(words[1:3], signed=False), long(words[3:5], signed=False)
    assert (gross, bit(status, 7)) == (net, bit(status, 8))  # no tare
    assert not bit(status, 10)
    grams = -gross if bit(status, 7) else gross
    return Told(grams, bit(status, 11), bit(status, 2), None, bit(status, 12))


def baykon_told(words: list[int]) -> Told:
    """40003: D1 data ok, D2 one while the load moves, D13 to D15 what is wrong (2 over, 3 under)."""
    status, error = words[2], words[2] >> 13
    assert bit(status, 1) == (error == 0)
    return Told(long(words[:2], signed=True), not bit(status, 2), error == 2, error == 3)


def dini_told(words: list[int]) -> Told:
    """Status: bit 0 below zero, 1 stable, 2 under, 3 over, 4 centre of zero; then the magnitude."""
    status, gross = words[0], long(words[1:3], signed=False)
    grams = -gross if bit(status, 0) else gross
    return Told(grams, bit(status, 1), bit(status, 3), bit(status, 2), bit(status, 4))


def channel_told(words: list[int]) -> Told:
    """A signed weight, and nothing about it."""
    return Told(long(words[:2], signed=True))


class Module(NamedTuple):
    """A table of registers: where it begins, how long it is, and what it means."""

    registers: Callable[[Display], Registers]
    first: int
    count: int
    told: Callable[[list[int]], Told]


MODULES = {
    "laumas": Module(laumas, 6, 8, laumas_told),  # type: ignore[arg-type]  # reads alike
    "baykon": Module(baykon, 0, 3, baykon_told),  # type: ignore[arg-type]  # reads alike
    "dini-argeo": Module(lambda d: dini_argeo([d]), 201, 3, dini_told),  # type: ignore[list-item]  # reads alike
    "load-cell-16": Module(lambda d: load_cell_16([d]), 0, 32, channel_told),  # type: ignore[list-item]  # reads alike
}


async def asked(folder: Path, *questions: tuple[Station, int, int]) -> list[list[int]]:
    """Each station asked once over one line: its registers from an address on."""
    modules = ModbusModules([station for station, _, _ in questions], clock=lambda: 1.0)
    link = PtyLink(modules, folder / "rs485")
    async with plugged_in(link), asyncio.timeout(10):
        client = AsyncModbusSerialClient(link.address, baudrate=9600, timeout=2, retries=0)
        assert await client.connect()
        answers = []
        for station, first, count in questions:
            ask = client.read_holding_registers if station.function == 3 else client.read_input_registers
            answers.append(list((await ask(first, count=count, device_id=station.address)).registers))
        client.close()
    return answers


@pytest.mark.parametrize("state", STATES)
async def test_all_makers_tell_the_same_plate_on_one_line(state: str, tmp_path: Path) -> None:
    display, shown = Display(STATES[state]), STATES[state]
    asking = [
        (Station(address, module.registers(display)), module.first, module.count)
        for address, module in enumerate(MODULES.values(), 1)
    ]
    for name, words in zip(MODULES, await asked(tmp_path, *asking), strict=True):
        told = MODULES[name].told(words)
        assert told.grams == shown.weight_g, name
        assert told.stable in (None, shown.stable), name
        assert told.over in (None, shown.load == "over"), name
        assert told.under in (None, shown.load == "under"), name
        assert told.zero in (None, shown.weight_g == 0), name
    sixteen = words
    assert sixteen[2:] == [0] * 30  # the channels without a cell


@pytest.mark.parametrize(
    ("unit", "decimals", "coded"), [("g", 0, 0x0106), ("kg", 3, 0x000F), ("g", 1, 0x0109)]
)
async def test_a_laumas_tells_its_unit_division_net_and_the_sign_of_each(
    unit: str, decimals: int, coded: int, tmp_path: Path
) -> None:
    display = Display(STATES["at rest"])
    registers = laumas(display, unit=unit, decimals=decimals, tare_g=2000)  # type: ignore[arg-type]  # reads alike
    (words,) = await asked(tmp_path, (Station(1, registers), 6, 8))
    scale = {"g": 1.0, "kg": 1000.0}[unit] / 10**decimals
    assert long(words[1:3], signed=False) * scale == 1250
    assert long(words[3:5], signed=False) * scale == 750
    assert (bit(words[0], 7), bit(words[0], 8), bit(words[0], 10)) == (False, True, True)
    assert words[7] == coded


async def test_four_scales_of_a_dini_argeo_and_sixteen_channels_each_in_their_place(tmp_path: Path) -> None:
    displays = [Display(Indication(-1000.0 + 300 * n, n % 2 == 0, "in range")) for n in range(16)]
    four, sixteen = await asked(
        tmp_path,
        (Station(1, dini_argeo(displays[:4])), 201, 12),  # type: ignore[arg-type]  # reads alike
        (Station(2, load_cell_16(displays)), 0, 32),  # type: ignore[arg-type]  # reads alike
    )
    assert [dini_told(four[at : at + 3])[:2] for at in (0, 3, 6, 9)] == [
        (-1000, True), (-700, False), (-400, True), (-100, False),
    ]  # fmt: skip
    assert [channel_told(sixteen[at : at + 2]).grams for at in range(0, 32, 2)] == [
        -1000 + 300 * n for n in range(16)
    ]


@pytest.mark.parametrize(("celsius", "percent"), [(-20.5, 54.6), (0.0, 0.0), (-0.1, 100.0), (38.2, 12.3)])
async def test_an_sht20_tells_tenths_with_a_sign(celsius: float, percent: float, tmp_path: Path) -> None:
    station = Station(9, sht20(lambda _now_s: (celsius, percent)), function=4)
    ((warm, humid),) = await asked(tmp_path, (station, 1, 2))
    signed = AsyncModbusSerialClient.convert_from_registers([warm], DATATYPE.INT16)
    assert (signed, humid) == (round(celsius * 10), round(percent * 10))
