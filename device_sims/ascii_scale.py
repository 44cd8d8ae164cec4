"""Scales that send lines of text, each maker's format from its manual.

`and`: A&D EK-L §9-2, commands Q, S, SI, SIR, C, T; `st-gs`: Tiger TI-02-P p. 21, 18 bytes; `sartorius`: SBI
with 16 or 22 characters, `ESC P`; `adam`: `P`; `ohaus`: Defender 5000 p. 51, `P`, `IP`, `CP`;
`sma`: SCP-0499, `LF W CR`; `hx711`: a sketch that prints a number, `w`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from device_sims.indicator import Indication, Indicator

Format = Literal["and", "st-gs", "sartorius", "sartorius-22", "adam", "ohaus", "sma", "hx711"]

_STREAM_EVERY_S = 0.1
_LONGEST_COMMAND = 32


@dataclass(frozen=True, slots=True)
class _Display:
    """What stands there: net weight as digits without a sign, the sign, and the lamps."""

    digits: str
    negative: bool
    stable: bool
    net: bool
    load: Literal["in range", "over", "under"]


class AsciiScale:
    """One scale of one maker. `clock` returns seconds; bytes in, bytes out, no I/O here.

    `streams`: it sends ten lines a second by itself from power-on; else it is asked. Weights are in grams.
    """

    def __init__(
        self,
        indicator: Indicator,
        *,
        maker: Format,
        clock: Callable[[], float],
        decimals: int = 1,
        streams: bool = True,
    ) -> None:
        self._indicator, self._format, self._clock = indicator, maker, clock
        self._decimals, self._streams_at_start = decimals, streams
        self._tare_g = 0.0
        self._heard = bytearray()
        self._next_s: float | None = None
        self._waits = False

    def power_on(self) -> bytes:
        """No banner; the tare is forgotten."""
        self._tare_g = 0.0
        self._heard.clear()
        self._waits = False
        self._next_s = self._clock() if self._streams_at_start else None
        return b""

    def feed(self, received: bytes) -> bytes:
        """The answers to complete commands."""
        replies = b""
        for byte in received:
            if byte in b"\r\n" or (self._format == "hx711" and byte in b"wt"):
                word = bytes(self._heard) if byte in b"\r\n" else bytes([byte])
                replies += self._execute(word) if word else b""
                self._heard.clear()
            elif len(self._heard) < _LONGEST_COMMAND:
                self._heard.append(byte)
        return replies

    def tick(self) -> bytes:
        """What it sends by itself now."""
        now_s = self._clock()
        if self._waits:
            return self._line_at_rest()
        if self._next_s is None or now_s < self._next_s:
            return b""
        self._next_s = now_s + _STREAM_EVERY_S
        return self._line()

    def tare(self) -> None:
        """Somebody presses T."""
        self._tare_g = self._indicator.read(self._clock()).weight_g

    def _execute(self, command: bytes) -> bytes:
        self._waits = False
        if self._format == "sma":
            self._next_s = None  # it repeats until it hears another command
        if command in _STREAM[self._format]:
            self._next_s = self._clock()
            return b""
        if command in _ASK[self._format]:
            return self._line()
        if command == _ASK_AT_REST.get(self._format):
            self._waits = True
            return self._line_at_rest()
        if command in (b"T", b"t", b"\x1bT"):
            self.tare()
            return self._line() if self._format == "sma" else b""
        if command == b"C":
            self._next_s = None
        return b"\n?\r" if self._format == "sma" else b""

    def _line_at_rest(self) -> bytes:
        self._waits = not self._indicator.read(self._clock()).stable
        return b"" if self._waits else self._line()

    def _line(self) -> bytes:
        return _LINES[self._format](self._display(self._indicator.read(self._clock()))).encode("ascii")

    def _display(self, shown: Indication) -> _Display:
        net_g = shown.weight_g - self._tare_g
        digits = f"{abs(net_g):.{self._decimals}f}"
        negative = net_g < 0 and float(digits) != 0
        return _Display(digits, negative, shown.stable, self._tare_g != 0, shown.load)


def _and(d: _Display) -> str:
    if d.load != "in range":
        return f"OL,{'+' if d.load == 'over' else '-'}999999.9  g\r\n"
    return f"{'ST' if d.stable else 'US'},{'-' if d.negative else '+'}{d.digits:0>8}  g\r\n"


def _st_gs(d: _Display) -> str:
    mode = "NT" if d.net else "GS"
    if d.load != "in range":
        return f"OL,{mode},{'+' if d.load == 'over' else '-'}        g\r\n"
    return f"{'ST' if d.stable else 'US'},{mode},{'-' if d.negative else '+'}{d.digits:>7} g\r\n"


def _sartorius(d: _Display) -> str:
    if d.load != "in range":
        return f"      {'H' if d.load == 'over' else 'L'}       \r\n"
    unit = "g  " if d.stable else "   "
    return f"{'-' if d.negative else '+'} {d.digits:>8} {unit}\r\n"


def _sartorius_22(d: _Display) -> str:
    if d.load != "in range":
        return f"Stat        {'H' if d.load == 'over' else 'L'}       \r\n"
    return f"{'N' if d.net else 'G':<6}{_sartorius(d)}"


def _adam(d: _Display) -> str:
    return f"{'-' if d.negative else '+'}{d.digits:>8} g\r\n"


def _ohaus(d: _Display) -> str:
    weight = f"{'-' if d.negative else ''}{d.digits}"
    return f"{weight:>11} g     {' ' if d.stable else '?'} {'N' if d.net else 'G'}\r\n"


def _sma(d: _Display) -> str:
    status = {"over": "O", "under": "U", "in range": " "}[d.load]
    if status == " " and float(d.digits) == 0:
        status = "Z"
    weight = f"{'-' if d.negative else ''}{d.digits}"
    return f"\n{status}1{'N' if d.net else 'G'}{' ' if d.stable else 'M'} {weight:>10}g  \r"


def _hx711(d: _Display) -> str:
    return f"{'-' if d.negative else ''}{d.digits}\r\n"


_LINES: dict[Format, Callable[[_Display], str]] = {
    "and": _and,
    "st-gs": _st_gs,
    "sartorius": _sartorius,
    "sartorius-22": _sartorius_22,
    "adam": _adam,
    "ohaus": _ohaus,
    "sma": _sma,
    "hx711": _hx711,
}
_ASK: dict[Format, tuple[bytes, ...]] = {
    "and": (b"Q", b"SI"),
    "st-gs": (b"R", b"READ"),
    "sartorius": (b"\x1bP",),
    "sartorius-22": (b"\x1bP",),
    "adam": (b"P",),
    "ohaus": (b"P", b"IP"),
    "sma": (b"W",),
    "hx711": (b"w",),
}
_ASK_AT_REST: dict[Format, bytes] = {"and": b"S", "sma": b"P"}
"""Answered once the plate is at rest."""
_STREAM: dict[Format, tuple[bytes, ...]] = {
    "and": (b"SIR",),
    "st-gs": (),
    "sartorius": (),
    "sartorius-22": (),
    "adam": (),
    "ohaus": (b"CP",),
    "sma": (b"R",),
    "hx711": (),
}
