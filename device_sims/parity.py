"""A device with 7 data bits and even parity on a wire that carries 8 bits, as ptys and port servers do."""

from __future__ import annotations

from device_sims.links import Dialogue


def with_even_parity(text: bytes) -> bytes:
    """Seven-bit text with bit 7 set so that the number of ones is even."""
    return bytes(byte | (byte.bit_count() % 2) << 7 for byte in text)


class EvenParity:
    """A dialogue whose replies show their parity bit; it hears commands with or without one."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue

    def power_on(self) -> bytes:
        """As the device, with parity."""
        return with_even_parity(self._dialogue.power_on())

    def feed(self, received: bytes) -> bytes:
        """As the device, with parity."""
        return with_even_parity(self._dialogue.feed(bytes(byte & 0x7F for byte in received)))

    def tick(self) -> bytes:
        """As the device, with parity."""
        return with_even_parity(self._dialogue.tick())
