"""An RFID module with the 0xBB protocol, after the M100 firmware manual.

A frame is BB, type (0 command, 1 response, 2 notice), command, two bytes of parameter length, parameters,
the sum of the bytes from the type on, and 7E. A poll answers each tag with a notice (RSSI, PC, EPC, CRC)
and, when there is none, with error 15.
"""

from __future__ import annotations

from device_sims.reader_field import Field, ReaderFaults, TagInView, spoiled_checks

_NO_TAG, _UNKNOWN_COMMAND = 0x15, 0x17


def frame(kind: int, command: int, parameters: bytes = b"") -> bytes:
    """One frame with its length and sum."""
    body = bytes([kind, command]) + len(parameters).to_bytes(2) + parameters
    return b"\xbb" + body + bytes([sum(body) % 256]) + b"\x7e"


def tag_crc(words: bytes) -> bytes:
    """A Gen2 tag's CRC-16 over PC and EPC (ISO 18000-63: 0x1021, preset FFFF, inverted)."""
    crc = 0xFFFF
    for byte in words:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return (crc ^ 0xFFFF).to_bytes(2)


def spoiled(said: bytes) -> bytes:
    """Frames whose sums are wrong."""
    return spoiled_checks(said, size=lambda rest: 7 + int.from_bytes(rest[3:5]), check=-2)


class M100Module:
    """One module's side of the dialogue. Bytes in, bytes out; a multiple poll goes on with each tick."""

    def __init__(
        self, field: Field, *, version: str = "M100 26dBm V1.0", faults: ReaderFaults | None = None
    ) -> None:
        self.faults = faults or ReaderFaults()
        self.asked: list[bytes] = []
        self.power_dbm = 26.0
        self.polls_left = 0
        self._field, self._version = field, version
        self._received = b""

    def power_on(self) -> bytes:
        """It starts in silence."""
        self._received, self.polls_left = b"", 0
        return b""

    def tick(self) -> bytes:
        """One more poll of a multiple poll."""
        if not self.polls_left:
            return b""
        self.polls_left -= 1
        return self.faults.spoil(b"", self._poll())

    def feed(self, received: bytes) -> bytes:
        """The answers to the whole frames that have arrived."""
        self._received = _from_its_head(self._received + received)
        said = b""
        while len(self._received) >= 7:
            size = 7 + int.from_bytes(self._received[3:5])
            if len(self._received) < size:
                break
            asked, self._received = self._received[:size], _from_its_head(self._received[size:])
            self.asked.append(asked)
            said += self.faults.spoil(asked, self._answer(asked))
        return said

    def _answer(self, asked: bytes) -> list[bytes]:
        command, parameters = asked[2], asked[5:-2]
        if asked[0] != 0xBB or asked[-1] != 0x7E or sum(asked[1:-2]) % 256 != asked[-2]:
            return []
        match command:
            case 0x28:
                self.polls_left = 0
                return [frame(1, command, b"\x00")]
            case _ if self.polls_left:
                return []
            case 0x03:
                return [frame(1, command, b"\x00" + self._version.encode())]
            case 0xB6:
                self.power_dbm = int.from_bytes(parameters) / 100
                return [frame(1, command, b"\x00")]
            case 0x22:
                return self._poll()
            case 0x27:
                self.polls_left = int.from_bytes(parameters[1:]) - 1
                return self._poll()
            case _:
                return [frame(1, 0xFF, bytes([_UNKNOWN_COMMAND]))]

    def _poll(self) -> list[bytes]:
        return [self._notice(tag) for tag in self._field(1)] or [frame(1, 0xFF, bytes([_NO_TAG]))]

    @staticmethod
    def _notice(tag: TagInView) -> bytes:
        words = tag.pc + tag.epc
        return frame(2, 0x22, tag.rssi_dbm.to_bytes(1, signed=True) + words + tag_crc(words))


def _from_its_head(received: bytes) -> bytes:
    """What was meant for another device is passed over: a module waits for BB."""
    return received[received.find(b"\xbb") :] if b"\xbb" in received else b""
