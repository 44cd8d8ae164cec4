"""A microcontroller that prints what it measures, one line each time."""

from __future__ import annotations

from collections.abc import Callable


class TextSensor:
    """`line` is asked for the text each `every_s`; no I/O here. It says hello when it gets power."""

    def __init__(self, line: Callable[[], str], *, clock: Callable[[], float], every_s: float = 1.0) -> None:
        self._line, self._clock, self._every_s = line, clock, every_s
        self._next_s = 0.0

    def power_on(self) -> bytes:
        """What a boot loader prints."""
        self._next_s = self._clock()
        return b"sensor ready\r\n"

    def feed(self, received: bytes) -> bytes:  # noqa: ARG002  # every device is fed
        """It does not listen."""
        return b""

    def tick(self) -> bytes:
        """The next line when it is due."""
        now_s = self._clock()
        if now_s < self._next_s:
            return b""
        self._next_s = now_s + self._every_s
        return self._line().encode() + b"\r\n"
