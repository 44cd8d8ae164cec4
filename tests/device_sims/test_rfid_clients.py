"""The simulated R2000 and M100 readers on a tty, read by frame readers written from the protocols' texts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import serial

from device_sims.links import Dialogue, PtyLink, plugged_in
from device_sims.m100 import M100Module
from device_sims.r2000 import R2000Reader
from device_sims.reader_field import ReaderFaults, TagInView

EPCS = (
    bytes.fromhex("3034257bf400b7800004cb2f"),
    bytes.fromhex("a07ebb000000000000a07ebb"),  # heads and ends of frames inside
    bytes.fromhex("e200"),
    bytes.fromhex("1fb41f712ac9c37ab79d618173188324001a"),
)
OVER = {1: [TagInView(epc, -40 - 10 * n) for n, epc in enumerate(EPCS)], 4: [TagInView(EPCS[0], -90)]}


class Read(NamedTuple):
    antenna: int
    epc: bytes
    rssi_dbm: int


def on_a_tty(reader: Dialogue, folder: Path, talk: Callable[[serial.Serial], None]) -> None:
    async def both_ends() -> None:
        link = PtyLink(reader, folder / "reader")
        async with plugged_in(link), asyncio.timeout(10):
            port = await asyncio.to_thread(serial.Serial, link.address, 115200, timeout=3)
            await asyncio.to_thread(talk, port)
            port.close()

    asyncio.run(both_ends())


class R2000:
    """Head A0, length of the rest, address, command, content; the sum of all bytes is 0."""

    def __init__(self, port: serial.Serial, address: int) -> None:
        self._port, self._address = port, address

    def ask(self, command: int, *content: int) -> None:
        packet = [0xA0, 3 + len(content), self._address, command, *content]
        self._port.write(bytes([*packet, -sum(packet) & 0xFF]))

    def answer(self, command: int) -> bytes:
        start = self._port.read(2)
        rest = self._port.read(start[1])
        assert start[0] == 0xA0
        assert (sum(start) + sum(rest)) % 256 == 0
        assert (rest[0], rest[1]) == (1, command)  # its own address, though it may be asked as FF
        return bytes(rest[2:-1])

    def inventory(self, command: int, *content: int) -> tuple[list[Read], int]:
        """The tags and how many the end counts; or none and the error."""
        self.ask(command, *content)
        reads = []
        while len(answer := self.answer(command)) != 7:
            if len(answer) == 1:
                return reads, answer[0]
            length = (int.from_bytes(answer[1:3]) >> 11) * 2
            assert len(answer) == 1 + 2 + length + 1
            reads.append(Read((answer[0] & 3) + 1, answer[3:-1], answer[-1] - 129))
        return reads, int.from_bytes(answer[3:])


def test_an_r2000_client_chooses_antennas_sets_the_power_and_reads_the_tags(tmp_path: Path) -> None:
    def talk(port: serial.Serial) -> None:
        for address in (0x01, 0xFF):
            reader = R2000(port, address)
            reader.ask(0x72)
            assert len(reader.answer(0x72)) == 2
            reader.ask(0x76, 20)
            assert reader.answer(0x76) == b"\x10"
            reader.ask(0x77)
            assert reader.answer(0x77) == b"\x14"
            for antenna in (1, 2, 3, 4):
                reader.ask(0x74, antenna - 1)
                assert reader.answer(0x74) == b"\x10"
                reader.ask(0x75)
                assert reader.answer(0x75) == bytes([antenna - 1])
                for question in ((0x89, 1), (0x8B, 1, 0, 1)):
                    wanted = [Read(antenna, tag.epc, tag.rssi_dbm) for tag in OVER.get(antenna, [])]
                    count = 0x22 if antenna == 3 else len(wanted)
                    assert reader.inventory(*question) == (wanted, count)

    faults = ReaderFaults(missing_antennas={3})
    on_a_tty(R2000Reader(lambda antenna: OVER.get(antenna, []), faults=faults), tmp_path, talk)


class M100:
    """BB, type, command, length, parameters, the sum from the type on, 7E."""

    def __init__(self, port: serial.Serial) -> None:
        self._port = port

    def ask(self, command: int, parameters: bytes = b"") -> None:
        body = bytes([0, command]) + len(parameters).to_bytes(2) + parameters
        self._port.write(b"\xbb" + body + bytes([sum(body) & 0xFF, 0x7E]))

    def answer(self) -> tuple[int, int, bytes]:
        head, kind, command, high, low = self._port.read(5)
        parameters = self._port.read(high << 8 | low)
        check, end = self._port.read(2)
        assert (head, end) == (0xBB, 0x7E)
        assert check == (kind + command + high + low + sum(parameters)) & 0xFF
        return kind, command, bytes(parameters)

    def tag(self) -> Read:
        kind, command, told = self.answer()
        assert (kind, command) == (2, 0x22)
        length = (int.from_bytes(told[1:3]) >> 11) * 2
        assert len(told) == 1 + 2 + length + 2
        assert gen2_residue(told[1:]) == 0x1D0F
        return Read(1, told[3:-2], int.from_bytes(told[:1], signed=True))


def gen2_residue(words: bytes) -> int:
    """What a Gen2 CRC-16 register holds after PC, EPC and their CRC: 1D0F when they are whole."""
    register = 0xFFFF
    for bit in (byte >> shift & 1 for byte in words for shift in range(7, -1, -1)):
        register = (register << 1 & 0xFFFF) ^ (0x1021 if (register >> 15) ^ bit else 0)
    return register


def test_an_m100_client_polls_once_polls_on_and_stops(tmp_path: Path) -> None:
    in_view = list(OVER[1])
    wanted = [Read(1, tag.epc, tag.rssi_dbm) for tag in in_view]

    def talk(port: serial.Serial) -> None:
        module = M100(port)
        module.ask(0x03, b"\x00")
        kind, command, told = module.answer()
        assert (kind, command, told[:1]) == (1, 0x03, b"\x00")
        assert told[1:].isascii()
        module.ask(0xB6, (2000).to_bytes(2))
        assert module.answer() == (1, 0xB6, b"\x00")
        module.ask(0x22)
        assert [module.tag() for _ in wanted] == wanted
        module.ask(0x27, b"\x22" + (1000).to_bytes(2))
        assert [module.tag() for _ in range(3 * len(wanted))] == wanted * 3
        module.ask(0x28)
        while (answer := module.answer())[0] == 2:
            pass
        assert answer == (1, 0x28, b"\x00")
        in_view.clear()
        module.ask(0x22)
        assert module.answer() == (1, 0xFF, b"\x15")

    on_a_tty(M100Module(lambda _: in_view), tmp_path, talk)
