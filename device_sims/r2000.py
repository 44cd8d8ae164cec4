"""An RFID reader around an R2000 module, as the "UHF RFID Reader Serial Interface Protocol" words it.

A packet is head 0xA0, the number of bytes behind the length byte, address, command, content and check byte;
the check byte is the two's complement of the sum of all bytes before it. Public address 0xFF reaches every
reader. RSSI is one byte, dBm plus 129.
"""

from __future__ import annotations

from device_sims.reader_field import Field, ReaderFaults, TagInView, spoiled_checks

_HEAD = 0xA0
_PUBLIC_ADDRESS = 0xFF
_SUCCESS, _FAIL, _ANTENNA_MISSING, _ANTENNA_OUT_OF_RANGE = 0x10, 0x11, 0x22, 0x47


def packet(address: int, command: int, content: bytes = b"") -> bytes:
    """One packet with its length and check byte."""
    body = bytes([_HEAD, 3 + len(content), address, command]) + content
    return body + bytes([(~sum(body) + 1) & 0xFF])


def spoiled(said: bytes) -> bytes:
    """Packets whose check bytes are wrong."""
    return spoiled_checks(said, size=lambda rest: rest[1] + 2, check=-1)


class R2000Reader:
    """One reader's side of the dialogue. Bytes in, bytes out, no I/O here."""

    def __init__(
        self,
        field: Field,
        *,
        address: int = 1,
        antennas: int = 4,
        firmware: tuple[int, int] = (8, 2),
        faults: ReaderFaults | None = None,
    ) -> None:
        self.faults = faults or ReaderFaults()
        self.asked: list[bytes] = []
        self.power_dbm = 30
        self._field, self._address, self._antennas = field, address, antennas
        self._firmware, self._antenna = firmware, 0
        self._received = b""

    def power_on(self) -> bytes:
        """It starts in silence, at its first antenna."""
        self._received, self._antenna = b"", 0
        return b""

    def tick(self) -> bytes:
        """It says nothing unasked."""
        return b""

    def feed(self, received: bytes) -> bytes:
        """The answers to the whole packets that have arrived."""
        self._received += received
        said = b""
        while len(self._received) >= 2 and len(self._received) >= self._received[1] + 2:
            size = self._received[1] + 2
            asked, self._received = self._received[:size], self._received[size:]
            self.asked.append(asked)
            said += self.faults.spoil(asked, self._answer(asked))
        return said

    def _answer(self, asked: bytes) -> list[bytes]:
        if len(asked) < 5:
            return []
        head, _, address, command, *content, _ = asked
        if head != _HEAD or sum(asked) % 256 or address not in (self._address, _PUBLIC_ADDRESS):
            return []
        match command:
            case 0x70:
                self.power_on()
                return []
            case 0x72:
                return [self._reply(command, *self._firmware)]
            case 0x74 if content:
                return [self._reply(command, self._select(content[0]))]
            case 0x75:
                return [self._reply(command, self._antenna)]
            case 0x66 | 0x76 if content:
                self.power_dbm = content[0]
                return [self._reply(command, _SUCCESS)]
            case 0x77:
                return [self._reply(command, self.power_dbm)]
            case 0x89 | 0x8B:
                return self._inventory(command)
            case _:
                return [self._reply(command, _FAIL)]

    def _select(self, antenna: int) -> int:
        if antenna >= self._antennas:
            return _ANTENNA_OUT_OF_RANGE
        self._antenna = antenna
        return _SUCCESS

    def _inventory(self, command: int) -> list[bytes]:
        if self._antenna + 1 in self.faults.missing_antennas:
            return [self._reply(command, _ANTENNA_MISSING)]
        tags = list(self._field(self._antenna + 1))
        count = len(tags)
        end = bytes([self._antenna]) + (count * 10).to_bytes(2) + count.to_bytes(4)
        seen = [self._reply(command, *self._tag(tag)) for tag in tags]
        return [*seen, self._reply(command, *end)]

    def _tag(self, tag: TagInView) -> bytes:
        low, high = self._antenna % 4, self._antenna // 4
        strength = tag.rssi_dbm + 129 | high << 7
        return bytes([tag.channel % 50 << 2 | low]) + tag.pc + tag.epc + bytes([strength])

    def _reply(self, command: int, *content: int) -> bytes:
        return packet(self._address, command, bytes(content))
