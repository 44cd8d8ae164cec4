"""Weighing modules and sensors on one Modbus line, RTU or TCP.

Frames and messages are pymodbus'; the register maps are written from the makers' texts: Laumas TLU manual
p.30 and LCB manual p.3, Baykon MX08 manual rev 2.5 p.60, Dini Argeo DGT4X technical manual p.58, the register
table of the 16-channel RS-485 module, the data sheet of the SHT20 transmitter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pymodbus.exceptions import ModbusIOException
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse, ReadInputRegistersResponse

from device_sims.indicator import Indication, Indicator

Registers = Callable[[float], Mapping[int, int]]
"""Seconds to the words at the addresses of the wire, as they stand then."""
Unit = Literal["g", "kg"]
Refusal = Literal["refuses", "busy"]

_ILLEGAL_FUNCTION, _ILLEGAL_ADDRESS, _ILLEGAL_VALUE, _BUSY = 1, 2, 3, 6
_UNIT_G = {"g": 1.0, "kg": 1000.0}
_LONGEST = 300


@dataclass(slots=True)
class Station:
    """One module: its address on the line, its registers, and what it answers instead."""

    address: int
    registers: Registers
    function: int = 3
    max_registers: int = 125
    fault: Refusal | None = None


def spoiled(said: bytes) -> bytes:
    """An answer on RTU whose CRC is wrong."""
    return said[:-1] + bytes([said[-1] ^ 0xFF])


class ModbusModules:
    """All modules of a line as one `Dialogue`: whoever is asked answers. `clock` returns seconds."""

    def __init__(
        self, stations: Iterable[Station], *, clock: Callable[[], float], over: Literal["rtu", "tcp"] = "rtu"
    ) -> None:
        self._stations = {station.address: station for station in stations}
        self._clock = clock
        self._framer = (FramerRTU if over == "rtu" else FramerSocket)(DecodePDU(True))
        self._heard = b""

    def power_on(self) -> bytes:
        """A module speaks only when asked; half a question of before is forgotten."""
        self._heard = b""
        return b""

    def tick(self) -> bytes:
        """Nothing by itself."""
        return b""

    def feed(self, received: bytes) -> bytes:
        """The answers to the complete questions."""
        self._heard = (self._heard + received)[-_LONGEST:]
        said = b""
        while self._heard:
            try:
                used, question = self._framer.handleFrame(self._heard, 0, 0)
            except ModbusIOException:
                self._heard = b""
                break
            self._heard = self._heard[used:]
            if question is None:
                break
            said += self._answer(question)
        return said

    def _answer(self, question: ModbusPDU) -> bytes:
        station = self._stations.get(question.dev_id)
        if station is None:
            return b""
        answer = _reply(station, question, self._clock())
        answer.dev_id, answer.transaction_id = question.dev_id, question.transaction_id
        return self._framer.buildFrame(answer)


def laumas(indicator: Indicator, *, unit: Unit = "g", decimals: int = 0, tare_g: float = 0.0) -> Registers:
    """40007 status, 40008/9 gross, 40010/11 net, 40014 division and unit; magnitudes, the signs apart."""

    def registers(now_s: float) -> Mapping[int, int]:
        shown = indicator.read(now_s)
        gross = _count(shown.weight_g, unit, decimals)
        net = _count(shown.weight_g - tare_g, unit, decimals)
        status = _bits(
            {
                2: shown.load == "over",
                3: shown.weight_g > 1.1 * indicator.max_g,
                7: gross < 0,
                8: net < 0,
                10: tare_g != 0,
                11: shown.stable,
                12: gross == 0,
            }
        )
        division = {0: 6, 1: 9, 2: 12, 3: 15, 4: 18}[decimals]
        words = [status, *_long(abs(gross)), *_long(abs(net)), *_long(abs(gross))]
        return {**_from(6, words), 13: {"kg": 0, "g": 1}[unit] << 8 | division}

    return registers


def baykon(indicator: Indicator, *, unit: Unit = "g", decimals: int = 0) -> Registers:
    """40001/2 weight in two's complement, 40003 status: D1 data ok, D2 UNSTABLE, D13 to D15 error code."""

    def registers(now_s: float) -> Mapping[int, int]:
        shown = indicator.read(now_s)
        error = {"in range": 0, "over": 2, "under": 3}[shown.load]
        status = _bits({1: error == 0, 2: not shown.stable}) | error << 13
        return _from(0, [*_long(_count(shown.weight_g, unit, decimals)), status])

    return registers


def dini_argeo(indicators: Sequence[Indicator], *, unit: Unit = "g", decimals: int = 0) -> Registers:
    """From 40202 on three registers for each of four scales: status, gross (bit 0 of status is its sign)."""

    def scale(shown: Indication) -> list[int]:
        gross = _count(shown.weight_g, unit, decimals)
        loads = {2: shown.load == "under", 3: shown.load == "over"}
        return [_bits({0: gross < 0, 1: shown.stable, 4: gross == 0, **loads}), *_long(abs(gross))]

    def registers(now_s: float) -> Mapping[int, int]:
        words = [word for indicator in indicators for word in scale(indicator.read(now_s))]
        return _from(201, words + [0] * (12 - len(words)))

    return registers


def load_cell_16(indicators: Sequence[Indicator]) -> Registers:
    """Signed 32-bit weights at 0, 2, 4, … to 30; channels without a cell stand at 0."""

    def registers(now_s: float) -> Mapping[int, int]:
        counts = [_count(indicator.read(now_s).weight_g, "g", 0) for indicator in indicators]
        return _from(0, [word for count in (*counts, *[0] * (16 - len(counts))) for word in _long(count)])

    return registers


def sht20(climate: Callable[[float], tuple[float, float]]) -> Registers:
    """Input registers 1 temperature and 2 humidity, in tenths; `climate` gives °C and % at a moment."""

    def registers(now_s: float) -> Mapping[int, int]:
        celsius, percent = climate(now_s)
        return {1: round(celsius * 10) & 0xFFFF, 2: round(percent * 10)}

    return registers


def _reply(station: Station, question: ModbusPDU, now_s: float) -> ModbusPDU:
    function = question.function_code
    if station.fault == "refuses" or function != station.function:
        wrong = _ILLEGAL_ADDRESS if station.fault == "refuses" else _ILLEGAL_FUNCTION
        return ExceptionResponse(function, wrong)
    if station.fault == "busy":
        return ExceptionResponse(function, _BUSY)
    if question.count > station.max_registers:
        return ExceptionResponse(function, _ILLEGAL_VALUE)
    registers = station.registers(now_s)
    wanted = range(question.address, question.address + question.count)
    if any(address not in registers for address in wanted):
        return ExceptionResponse(function, _ILLEGAL_ADDRESS)
    kind = ReadHoldingRegistersResponse if function == 3 else ReadInputRegistersResponse
    return kind(registers=[registers[address] for address in wanted])


def _count(weight_g: float, unit: Unit, decimals: int) -> int:
    return round(weight_g / _UNIT_G[unit] * 10.0**decimals)


def _long(number: int) -> tuple[int, int]:
    word = number & 0xFFFFFFFF
    return word >> 16, word & 0xFFFF


def _bits(bits: Mapping[int, bool]) -> int:
    return sum(1 << bit for bit, is_set in bits.items() if is_set)


def _from(address: int, words: Sequence[int]) -> dict[int, int]:
    return dict(enumerate(words, address))
