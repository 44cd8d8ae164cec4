"""The simulated Modbus modules, asked by pymodbus' own clients on a pty and over TCP."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from device_sims.indicator import Indicator
from device_sims.links import PtyLink, TcpLink, plugged_in
from device_sims.modbus_scale import (
    ModbusModules,
    Station,
    baykon,
    dini_argeo,
    laumas,
    load_cell_16,
    sht20,
)
from device_sims.noise import Noise
from device_sims.plate import Plate

STILL = Noise(sample_sd_g=(0.0, 0.0), drift_g_per_sqrt_h=0, creep_share=0, temperature_swing_c=0)


def plate(grams: float) -> Plate:
    plate = Plate(STILL, "b")
    plate.lay(grams)
    return plate


def indicator(grams: float) -> Indicator:
    return Indicator(plate(grams), max_g=15_000)


def line(*stations: Station) -> ModbusModules:
    return ModbusModules(stations, clock=lambda: 1.0)


@contextlib.asynccontextmanager
async def asked_over_tcp(*stations: Station) -> AsyncIterator[AsyncModbusTcpClient]:
    link = TcpLink(ModbusModules(stations, clock=lambda: 1.0, over="tcp"))
    async with plugged_in(link):
        host, port = link.address.removeprefix("socket://").split(":")
        client = AsyncModbusTcpClient(host, port=int(port), timeout=0.2, retries=0)
        assert await client.connect()
        yield client
        client.close()


async def test_pymodbus_reads_a_laumas_transmitter_on_a_pty(tmp_path: Path) -> None:
    link = PtyLink(line(Station(1, laumas(indicator(-35)))), tmp_path / "rs485")
    async with plugged_in(link):
        client = AsyncModbusSerialClient(link.address, timeout=0.5, retries=0)
        assert await client.connect()
        answer = await client.read_holding_registers(6, count=8, device_id=1)
        client.close()
    assert answer.registers == [0x0980, 0, 35, 0, 35, 0, 35, 0x0106]


def test_the_answers_to_known_questions_byte_for_byte() -> None:
    ask = bytes.fromhex("01030006000565c8")
    assert line(Station(1, laumas(indicator(1250)))).feed(ask).hex() == "01030a0800000004e2000004e2de47"
    refusing = line(Station(1, laumas(indicator(1250)), fault="refuses"))
    assert refusing.feed(ask).hex() == "018302c0f1"


def test_a_question_in_two_pieces_is_answered_once() -> None:
    module = line(Station(1, laumas(indicator(1250))))
    assert module.feed(bytes.fromhex("010300")) == b""
    assert len(module.feed(bytes.fromhex("06000565c8"))) == 15


def test_only_the_station_that_is_asked_answers() -> None:
    modules = line(Station(2, laumas(indicator(1250))), Station(3, laumas(indicator(99))))
    assert modules.feed(bytes.fromhex("01030006000565c8")) == b""
    assert modules.feed(bytes.fromhex("02030006000565fb"))[0] == 2
    assert modules.feed(bytes.fromhex("030300060005642a"))[0] == 3


async def test_kilograms_decimals_net_and_over(tmp_path: Path) -> None:
    stations = [
        Station(1, laumas(indicator(1250), unit="kg", decimals=3)),
        Station(2, laumas(indicator(1250), tare_g=1000)),
        Station(3, laumas(indicator(17_000))),
    ]
    async with asked_over_tcp(*stations) as client:
        first, second, third = [
            await client.read_holding_registers(6, count=8, device_id=n) for n in (1, 2, 3)
        ]
    assert first.registers[2] == 1250
    assert first.registers[7] == 0x000F
    assert (second.registers[0] & 0x0400, second.registers[4]) == (0x0400, 250)
    assert third.registers[0] & 0x000C == 0x000C


async def test_the_other_makers_maps() -> None:
    stations = [
        Station(1, baykon(indicator(-125))),
        Station(2, dini_argeo([indicator(0), indicator(-7), indicator(16_000)])),
        Station(3, load_cell_16([indicator(70_000), indicator(-1)])),
        Station(4, sht20(lambda _now_s: (-20.5, 54.6)), function=4),
    ]
    async with asked_over_tcp(*stations) as client:
        signed = await client.read_holding_registers(0, count=3, device_id=1)
        four = await client.read_holding_registers(201, count=9, device_id=2)
        sixteen = await client.read_holding_registers(0, count=32, device_id=3)
        climate = await client.read_input_registers(1, count=2, device_id=4)
    assert signed.registers == [0xFFFF, 0xFF83, 0x0002]
    assert four.registers == [0x0012, 0, 0, 0x0003, 0, 7, 0x000A, 0, 16_000]
    assert sixteen.registers[:5] == [1, 4464, 0xFFFF, 0xFFFF, 0]
    assert climate.registers == [0xFF33, 546]


async def test_what_a_module_does_not_have_it_refuses() -> None:
    station = Station(1, laumas(indicator(1)), max_registers=32)
    async with asked_over_tcp(station) as client:
        assert (await client.read_input_registers(6, count=1, device_id=1)).exception_code == 1
        assert (await client.read_holding_registers(5, count=5, device_id=1)).exception_code == 2
        assert (await client.read_holding_registers(6, count=33, device_id=1)).exception_code == 3
        station.fault = "busy"
        assert (await client.read_holding_registers(6, count=5, device_id=1)).exception_code == 6
