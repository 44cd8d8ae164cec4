"""Who listens to a device, byte for byte (`record`); nearly free while nobody does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

Direction = Literal["in", "out"]
"""`in` came from the device, `out` went to it."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One piece of a device's talk, cut where the link cut it; an MQTT message has its `topic`."""

    direction: Direction
    chunk: bytes
    topic: str | None = None


Listener = Callable[[Heard], None]
Tap = Callable[[Heard], None]
"""What a link tells of everything that it carries. It must not block."""


class Taps:
    """The listeners of each device."""

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}
        self.attended = False
        """Whether anybody listens to any device: what a busy session asks before it tells."""

    def of(self, device: str) -> Tap:
        """The tap of one device, for its link."""
        listeners = self._listeners.setdefault(device, [])

        def tell(heard: Heard) -> None:
            for listener in listeners:
                listener(heard)

        return tell

    @contextmanager
    def listen(self, device: str, listener: Listener) -> Iterator[None]:
        """Hear the device while the block lasts."""
        listeners = self._listeners.setdefault(device, [])
        listeners.append(listener)
        self.attended = True
        try:
            yield
        finally:
            listeners.remove(listener)
            self.attended = any(self._listeners.values())


def deaf(_heard: Heard) -> None:
    """The tap of a link that nobody can listen to."""


def printable(raw: bytes, limit: int = 120) -> str:
    """Bytes as one short line of text."""
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)[:limit]
