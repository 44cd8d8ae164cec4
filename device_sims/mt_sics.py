"""A scale that speaks MT-SICS (Mettler-Toledo Standard Interface Command Set, levels 0 and 1).

Written from the text of the MT-SICS reference manual (11780711): a command is one line of ASCII ended by
CR LF; a reply is `ID status [value unit]`, the value right-aligned in ten characters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from device_sims.indicator import Indication, Indicator

_STABLE_TIMEOUT_S = 10.0
_STREAM_EVERY_S = 1 / 15
_LONGEST_LINE = 64
_LEVEL_0 = ("@", "I0", "I1", "I2", "I3", "I4", "S", "SI", "SIR", "Z", "ZI")
_LEVEL_1 = ("T", "TA", "TAC", "TI")
_END_STREAM = ("@", "S", "SI", "SIR")
"""All other commands leave a repeated SIR running."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A command that answers as soon as the plate is at rest."""

    command: str
    until_s: float


class MtSicsScale:
    """One scale's side of the dialogue. `clock` returns seconds; bytes in, bytes out, no I/O here."""

    def __init__(
        self, indicator: Indicator, *, serial: str, decimals: int, clock: Callable[[], float]
    ) -> None:
        self._indicator, self.serial, self._clock = indicator, serial, clock
        self.worn_serial: str | None = None
        """The number of another scale, when one of that number took its place."""
        self._decimals = decimals
        self._line = bytearray()
        self._zero_g = self._tare_g = 0.0
        self._waiting: _Waiting | None = None
        self._stream_next_s: float | None = None

    def power_on(self) -> bytes:
        """The banner that the scale sends unasked when it starts; its memory is empty again."""
        self._line.clear()
        self._zero_g = 0.0
        self._reset()
        return self._inquiry("I4")

    def feed(self, received: bytes) -> bytes:
        """The answers to what arrived, complete lines only."""
        replies = b""
        for byte in received:
            if byte == 0x0A:
                line, self._line = bytes(self._line).removesuffix(b"\r"), bytearray()
                replies += self._execute(line)
            elif len(self._line) <= _LONGEST_LINE:
                self._line.append(byte)  # one more than fits, to know a line that does not
        return replies

    def tick(self) -> bytes:
        """What the scale sends by itself now: a stream, or the late answer to a waiting command."""
        now_s = self._clock()
        if self._waiting is not None:
            return self._finish_waiting(self._waiting, now_s)
        if self._stream_next_s is None or now_s < self._stream_next_s:
            return b""
        self._stream_next_s = now_s + _STREAM_EVERY_S
        return self._weight_now("S")

    def _reset(self) -> None:
        self._tare_g = 0.0
        self._waiting = None
        self._stream_next_s = None

    def _execute(self, line: bytes) -> bytes:
        if any(byte & 0x80 for byte in line):
            return b"ET\r\n"
        if len(line) > _LONGEST_LINE:
            return b"ES\r\n"
        words = line.decode("ascii").split()
        if not words:
            return b""
        command, parameters = words[0], words[1:]
        if command not in _LEVEL_0 + _LEVEL_1:
            return b"ES\r\n"
        if parameters and command != "TA":
            return b"EL\r\n"
        self._waiting = None
        if command in _END_STREAM:
            self._stream_next_s = None
        if command == "@":
            self._reset()
            return self._inquiry("I4")
        if command.startswith("I"):
            return self._inquiry(command)
        if command.startswith("TA"):
            return self._tare_memory(command, parameters)
        return self._weigh(command)

    def _weigh(self, command: str) -> bytes:
        if command == "SI":
            return self._weight_now("S")
        if command == "SIR":
            self._stream_next_s = self._clock()
            return self.tick()
        if command in ("TI", "ZI"):
            return self._at_once(command)
        self._waiting = _Waiting(command, self._clock() + _STABLE_TIMEOUT_S)
        return self.tick()

    def _finish_waiting(self, waiting: _Waiting, now_s: float) -> bytes:
        shown = self._indicator.read(now_s)
        if shown.load == "in range" and not shown.stable:
            if now_s < waiting.until_s:
                return b""
            self._waiting = None
            return f"{waiting.command} I\r\n".encode()
        self._waiting = None
        if shown.load != "in range":
            return _out_of_range(waiting.command, shown)
        if waiting.command == "Z":
            self._zero_g, self._tare_g = shown.weight_g, 0.0
            return b"Z A\r\n"
        if waiting.command == "T":
            self._tare_g = shown.weight_g - self._zero_g
            return self._value("T S", self._tare_g)
        return self._value("S S", self._net_g(shown))

    def _at_once(self, command: str) -> bytes:
        shown = self._indicator.read(self._clock())
        if shown.load != "in range":
            return _out_of_range(command, shown)
        status = "S" if shown.stable else "D"
        if command == "ZI":
            self._zero_g, self._tare_g = shown.weight_g, 0.0
            return f"ZI {status}\r\n".encode()
        self._tare_g = shown.weight_g - self._zero_g
        return self._value(f"TI {status}", self._tare_g)

    def _weight_now(self, answer: str) -> bytes:
        shown = self._indicator.read(self._clock())
        if shown.load != "in range":
            return _out_of_range(answer, shown)
        return self._value(f"{answer} {'S' if shown.stable else 'D'}", self._net_g(shown))

    def _tare_memory(self, command: str, parameters: list[str]) -> bytes:
        if command == "TAC":
            self._tare_g = 0.0
            return b"TAC A\r\n"
        if parameters:
            preset_g = _grams(parameters)
            if preset_g is None or not 0 <= preset_g <= self._indicator.max_g:
                return b"TA L\r\n"
            self._tare_g = preset_g
        return self._value("TA A", self._tare_g)

    def _inquiry(self, command: str) -> bytes:
        if command == "I0":
            listed = [(0, name) for name in _LEVEL_0] + [(1, name) for name in _LEVEL_1]
            last = len(listed) - 1
            lines = [
                f'I0 {"A" if i == last else "B"} {level} "{name}"' for i, (level, name) in enumerate(listed)
            ]
            return "".join(line + "\r\n" for line in lines).encode()
        said = {
            "I1": '"01" "2.30" "2.20" "" ""',
            "I2": f'"SIM-SHELF {self._indicator.max_g / 1000:.2f} kg"',
            "I3": '"1.00 SIM"',
            "I4": f'"{self.worn_serial or self.serial}"',
        }
        return f"{command} A {said[command]}\r\n".encode()

    def _net_g(self, shown: Indication) -> float:
        return shown.weight_g - self._zero_g - self._tare_g

    def _value(self, head: str, weight_g: float) -> bytes:
        shown = round(weight_g, self._decimals) + 0.0  # a scale shows no minus before zero
        return f"{head} {shown:10.{self._decimals}f} g\r\n".encode()


def _out_of_range(command: str, shown: Indication) -> bytes:
    return f"{command} {'+' if shown.load == 'over' else '-'}\r\n".encode()


def _grams(parameters: list[str]) -> float | None:
    if len(parameters) != 2 or parameters[1] != "g":
        return None
    try:
        return float(parameters[0])
    except ValueError:
        return None
