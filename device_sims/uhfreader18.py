"""A reader of the UHFReader18 family (or, as `model=288`, of the UHFReader288 family), after their manuals.

A block is Len, Adr, reCmd, Status, Data and CRC-16; Len counts the bytes behind it, the CRC (polynomial
0x8408, preset 0xFFFF) goes low byte first. The inventory of the 18 answers Num and EPC length, EPC of each
tag; that of the 288 Ant (a bit mask), Num and EPC length, EPC, RSSI of each. In scan mode tags are sent
unasked.
"""

from __future__ import annotations

from device_sims.reader_field import Field, ReaderFaults, TagInView, spoiled_checks

_TAGS_A_BLOCK = 3
_ALL_READERS = 0xFF


def crc16(block: bytes) -> bytes:
    """The manual's checksum, in the order of the line."""
    crc = 0xFFFF
    for byte in block:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x8408 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


def block(address: int, command: int, content: bytes) -> bytes:
    """One block with its length and CRC; `content` begins with the status where a reader answers."""
    body = bytes([4 + len(content), address, command]) + content
    return body + crc16(body)


def spoiled(said: bytes) -> bytes:
    """Blocks whose CRC is wrong; the network module's sign of life has none."""
    return said if said[:1] == b"\x56" else spoiled_checks(said, size=lambda rest: rest[0] + 1, check=-1)


class UhfReader:
    """One reader's side of the dialogue. Bytes in, bytes out, no I/O here."""

    def __init__(
        self,
        field: Field,
        *,
        model: int = 18,
        address: int = 0,
        scanning: bool = False,
        faults: ReaderFaults | None = None,
    ) -> None:
        self.faults = faults or ReaderFaults()
        self.asked: list[bytes] = []
        self.power_dbm = 30
        self.scanning = scanning
        self._field, self._model, self._address = field, model, address
        self._received = b""

    def power_on(self) -> bytes:
        """It starts in silence."""
        self._received = b""
        return b""

    def tick(self) -> bytes:
        """In scan mode: the tags that are there now, and the network module's sign of life when none is."""
        if not self.scanning:
            return b""
        blocks = [block(self._address, 0xEE, b"\x00" + self._pushed(tag)) for tag in self._field(1)]
        return self.faults.spoil(b"", blocks or [b"\x56\x00\x00\x00\x00\x00"])

    def feed(self, received: bytes) -> bytes:
        """The answers to the whole blocks that have arrived."""
        self._received += received
        said = b""
        while self._received and len(self._received) > self._received[0]:
            size = self._received[0] + 1
            asked, self._received = self._received[:size], self._received[size:]
            self.asked.append(asked)
            said += self.faults.spoil(asked, self._answer(asked))
        return said

    def _answer(self, asked: bytes) -> list[bytes]:
        if len(asked) < 5:
            return []
        address, command, content = asked[1], asked[2], asked[3:-2]
        if crc16(asked[:-2]) != asked[-2:] or address not in (self._address, _ALL_READERS):
            return []
        match command:
            case 0x21:
                kind = 0x09 if self._model == 18 else 0x0C
                about = bytes([0, 22, kind, 0x03, 0x4E, 0x00, self.power_dbm, 10])
                return [self._reply(command, 0, about + bytes([1, 0, 0, 0] if self._model == 288 else []))]
            case 0x2F if content:
                self.power_dbm = content[0]
                return [self._reply(command, 0)]
            case 0x01 if self.scanning:
                return []  # in scan mode only reader-defined commands are answered
            case 0x01:
                return self._inventory(content)
            case _:
                return [self._reply(0, 0xFE)]

    def _inventory(self, content: bytes) -> list[bytes]:
        antenna = 1
        if self._model == 288:
            if len(content) < 9 or content[7] & 0x7F > 7:
                return [self._reply(1, 0xFF)]
            antenna = (content[7] & 0x7F) + 1
        elif content:
            return [self._reply(1, 0xFD)]
        if antenna in self.faults.missing_antennas:
            return [self._reply(1, 0xF8, self._listed(antenna, []))]
        tags = list(self._field(antenna))
        groups = [tags[i : i + _TAGS_A_BLOCK] for i in range(0, len(tags), _TAGS_A_BLOCK)]
        seen = [self._reply(1, 3, self._listed(antenna, group)) for group in groups]
        return [*seen, self._reply(1, 1, self._listed(antenna, []))]

    def _listed(self, antenna: int, tags: list[TagInView]) -> bytes:
        mask = b"" if self._model == 18 else bytes([1 << antenna - 1])
        return mask + bytes([len(tags)]) + b"".join(map(self._listed_tag, tags))

    def _listed_tag(self, tag: TagInView) -> bytes:
        # The manuals give no unit of RSSI; 150 above dBm keeps it in the range that captures show.
        strength = b"" if self._model == 18 else bytes([tag.rssi_dbm + 150])
        return bytes([len(tag.epc)]) + tag.epc + strength

    def _pushed(self, tag: TagInView) -> bytes:
        return tag.epc if self._model == 18 else b"\x01" + self._listed_tag(tag)

    def _reply(self, command: int, status: int, content: bytes = b"") -> bytes:
        return block(self._address, command, bytes([status]) + content)
