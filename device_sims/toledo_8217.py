"""Counter scales: Toledo 8217, and NCI SCP-01, written from the texts of their manuals.

8217 (Mettler-Toledo DIVA service manual, §6.1.3): one-letter commands without an end; replies `STX … CR`. NCI
(same manual, §6.1.1; Weigh-Tronix SCP-01): commands end with CR; replies `LF … CR ETX`. Both have 7 data bits
and even parity: `parity.py` shows that bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from device_sims.indicator import Indicator

Unit = Literal["kg", "lb"]

_UNIT_G = {"kg": 1000.0, "lb": 453.59237}
_DECIMALS = {"kg": 3, "lb": 2}
_TARE_ANSWER_S = 0.15
_ZERO_RANGE = 0.02
"""Share of the capacity within which Z may set zero."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """The display: net weight in units, and the lamps beside it."""

    weight: float
    moving: bool
    over: bool
    under: bool
    center_of_zero: bool
    outside_zero_range: bool
    net: bool


class _Counter:
    """Zero, tare and divisions of one scale."""

    def __init__(
        self, indicator: Indicator, *, clock: Callable[[], float], unit: Unit, division: float
    ) -> None:
        self.unit, self.clock = unit, clock
        self._indicator, self._division = indicator, division
        self.zero_g = self.tare_g = 0.0

    def read(self) -> _Shown:
        raw = self._indicator.read(self.clock())
        gross_g = raw.weight_g - self.zero_g
        divisions = round((gross_g - self.tare_g) / _UNIT_G[self.unit] / self._division)
        return _Shown(
            weight=divisions * self._division + 0.0,
            moving=not raw.stable,
            over=raw.load == "over",
            under=divisions < 0,
            center_of_zero=abs(gross_g) < self._division * _UNIT_G[self.unit] / 4,
            outside_zero_range=abs(raw.weight_g) > _ZERO_RANGE * self._indicator.max_g,
            net=self.tare_g != 0,
        )

    def zero(self) -> None:
        shown = self.read()
        if not (shown.moving or shown.net or shown.outside_zero_range):
            self.zero_g = self._indicator.read(self.clock()).weight_g

    def tare(self, preset_g: float | None = None) -> None:
        shown = self.read()
        if preset_g is not None:
            self.tare_g = preset_g
        elif not (shown.moving or shown.over):
            self.tare_g = self._indicator.read(self.clock()).weight_g - self.zero_g

    def text(self, shown: _Shown) -> str:
        """The weight with all its leading zeros: WW.WWW kg, WW.WW lb."""
        decimals = _DECIMALS[self.unit]
        return f"{shown.weight:0{decimals + 3}.{decimals}f}"


class Toledo8217Scale:
    """One 8217. `always_one` sets bits 5 and 6 of every status, as Rice Lake does."""

    def __init__(
        self,
        indicator: Indicator,
        *,
        clock: Callable[[], float],
        unit: Unit = "kg",
        division: float = 0.005,
        always_one: bool = False,
    ) -> None:
        self._counter = _Counter(indicator, clock=clock, unit=unit, division=division)
        self._always_one = always_one
        self._echoing = self._tested = False
        self._tare_digits: str | None = None
        self._tare_since_s = 0.0

    def power_on(self) -> bytes:
        """Such a scale starts without a word; zero and tare are gone."""
        self._echoing = self._tested = False
        self._tare_digits = None
        self._counter.zero_g = self._counter.tare_g = 0.0
        return b""

    def feed(self, received: bytes) -> bytes:
        """The answers to what arrived: every byte is a command, but CR and LF between them."""
        return b"".join(self._hear(byte & 0x7F) for byte in received)

    def tick(self) -> bytes:
        """A T without digits is answered 150 ms later."""
        if self._tare_digits is None or self._counter.clock() - self._tare_since_s < _TARE_ANSWER_S:
            return b""
        return self._tare()

    def _hear(self, byte: int) -> bytes:
        letter = chr(byte)
        if self._echoing:
            self._echoing = letter != "F"
            return bytes([byte]) if self._echoing else b""
        if self._tare_digits is not None:
            if letter.isdigit() and len(self._tare_digits) < 5:
                self._tare_digits += letter
                return self._tare() if len(self._tare_digits) == 5 else b""
            return self._tare() + self._hear(byte)
        return b"" if letter in "\r\n" else self._command(letter)

    def _command(self, letter: str) -> bytes:
        if letter == "W":
            return self._weight()
        if letter == "E":
            self._echoing = True
            return b"\x02E\r"
        if letter == "A":
            self._tested = True
            return b"\x02\r"
        if letter == "B":
            passed, self._tested = self._tested, False
            return b"\x02?@\r" if passed else b"\x02?\0\r"
        if letter == "T":
            self._tare_digits, self._tare_since_s = "", self._counter.clock()
            return b""
        if letter == "Z":
            self._counter.zero()
        elif letter == "C":
            self._counter.tare_g = 0.0
        else:
            return self._status(refused=True)
        return self._status()

    def _tare(self) -> bytes:
        digits, self._tare_digits = self._tare_digits, None
        share = 1000 if self._counter.unit == "kg" else 100
        preset_g = int(digits) / share * _UNIT_G[self._counter.unit] if digits else None
        self._counter.tare(preset_g)
        return self._status()

    def _weight(self) -> bytes:
        shown = self._counter.read()
        if shown.moving or shown.over or shown.under:
            return self._status()
        return f"\x02{self._counter.text(shown)}{'N' if shown.net else ''}\r".encode()

    def _status(self, *, refused: bool = False) -> bytes:
        shown = self._counter.read()
        lamps = (
            shown.moving,
            shown.over,
            shown.under,
            shown.outside_zero_range,
            shown.center_of_zero,
            shown.net or self._always_one,
            refused or self._always_one,
        )
        return b"\x02?" + bytes([sum(lit << bit for bit, lit in enumerate(lamps))]) + b"\r"


class NciScale:
    """One NCI scale. `prefix` is what stands before the status bytes: `S` at Ohaus and Mettler."""

    def __init__(
        self,
        indicator: Indicator,
        *,
        clock: Callable[[], float],
        unit: Unit = "kg",
        division: float = 0.005,
        prefix: str = "S",
    ) -> None:
        self._counter = _Counter(indicator, clock=clock, unit=unit, division=division)
        self._prefix = prefix
        self._line = bytearray()

    def power_on(self) -> bytes:
        """It starts without a word."""
        self._line.clear()
        self._counter.zero_g = self._counter.tare_g = 0.0
        return b""

    def feed(self, received: bytes) -> bytes:
        """The answers to the commands that are complete."""
        replies = ""
        for byte in received:
            if byte & 0x7F == 0x0D:
                replies += self._command(self._line.decode("ascii").strip("\n "))
                self._line.clear()
            else:
                self._line.append(byte & 0x7F)
        return replies.encode()

    def tick(self) -> bytes:
        """It says nothing by itself."""
        return b""

    def _command(self, command: str) -> str:
        if command not in ("W", "S", "Z", "T"):
            return "\n?\r\x03"
        if command == "Z":
            self._counter.zero()
        if command == "T":
            self._counter.tare()
        shown = self._counter.read()
        status = f"\n{self._prefix}{self._status(shown)}\r\x03"
        if command != "W" or shown.moving or shown.over or shown.under:
            return status
        return f"\n{self._counter.text(shown)}{self._counter.unit.upper()}\r{status}"

    def _status(self, shown: _Shown) -> str:
        first = 0x30 | shown.moving | shown.center_of_zero << 1
        second = 0x30 | shown.under | shown.over << 1 | shown.net << 6
        return chr(first) + chr(second) + (chr(0x34) if shown.net else "")
