"""The simulated counter scales, read by a till: single bytes out, the patterns that tills match replies with."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import serial

from device_sims.indicator import Indication
from device_sims.links import Dialogue, PtyLink, plugged_in
from device_sims.parity import EvenParity
from device_sims.toledo_8217 import NciScale, Toledo8217Scale

VECTORS = json.loads((Path(__file__).parents[1] / "golden" / "devices.json").read_text())["vectors"]
MEASURE = re.compile(rb"\x02\s*([0-9.]+)N?\r")
"""What a widely used till matches the weight of an 8217 with."""
MOTION, OVER, UNDER, NET, REFUSED = 0x01, 0x02, 0x04, 0x20, 0x40


class Display:
    """What stands on the scale's display is the test's to say."""

    max_g = 15_000.0

    def __init__(self) -> None:
        self.shows(1250)

    def read(self, _now_s: float) -> Indication:
        return self.shown

    def shows(self, weight_g: float, *, stable: bool = True) -> None:
        load = "over" if weight_g > self.max_g else "under" if weight_g < -0.02 * self.max_g else "in range"
        self.shown = Indication(weight_g, stable, load)  # type: ignore[arg-type]  # one of the three

    def toledo(self, **options: object) -> Toledo8217Scale:
        return Toledo8217Scale(self, clock=time.monotonic, **options)  # type: ignore[arg-type]  # reads alike

    def nci(self, **options: object) -> NciScale:
        return NciScale(self, clock=time.monotonic, **options)  # type: ignore[arg-type]  # reads alike


class Till:
    """A till's serial port, 9600 baud, 7 data bits and even parity, as the scales' manuals set it."""

    def __init__(self, address: str) -> None:
        self._port = serial.Serial(
            address, 9600, bytesize=serial.SEVENBITS, parity=serial.PARITY_EVEN, timeout=3
        )

    def ask(self, command: bytes) -> tuple[float, bool] | int:
        """Weight and whether it is net, or the status byte."""
        self._port.write(command)
        return self.reply()

    def reply(self) -> tuple[float, bool] | int:
        """Byte by byte: behind `?` stands one byte, whatever it is, and then the end."""
        assert self._port.read(1) == b"\x02"
        first = self._port.read(1)
        if first == b"?":
            status, end = self._port.read(2)
            assert end == 0x0D
            return status
        whole = b"\x02" + first + self._port.read_until(b"\r")
        found = MEASURE.fullmatch(whole)
        assert found, whole
        return float(found[1]), b"N" in whole

    def raw(self, command: bytes, *, until: bytes) -> bytes:
        self._port.write(command)
        return bytes(self._port.read_until(until))

    def close(self) -> None:
        self._port.close()


def at_the_till(scale: Dialogue, folder: Path, talk: Callable[[Till], None]) -> None:
    async def both_ends() -> None:
        link = PtyLink(scale, folder / "scale")
        async with plugged_in(link), asyncio.timeout(20):
            till = await asyncio.to_thread(Till, link.address)
            await asyncio.to_thread(talk, till)
            till.close()

    asyncio.run(both_ends())


def test_a_till_reads_weight_net_and_why_there_is_none(tmp_path: Path) -> None:
    display = Display()

    def talk(till: Till) -> None:
        assert till.ask(b"W") == (1.25, False)
        display.shows(1253)
        assert till.ask(b"W\r\n") == (1.255, False)  # the line end is no second command
        display.shows(1253, stable=False)
        assert till.ask(b"W") & 0x07 == MOTION
        display.shows(15_001)
        assert till.ask(b"W") & 0x07 == OVER
        display.shows(-100)
        assert till.ask(b"W") & 0x07 == UNDER
        display.shows(200)
        assert till.ask(b"T00200") & (NET | 0x07) == NET
        display.shows(1450)
        assert till.ask(b"W") == (1.25, True)
        display.shows(100)
        assert till.ask(b"W") & (NET | 0x07) == NET | UNDER
        assert till.ask(b"C") & NET == 0
        assert till.ask(b"W") == (0.1, False)
        assert till.ask(b"q") & REFUSED
        assert till.ask(b"W") == (0.1, False)

    at_the_till(display.toledo(), tmp_path, talk)


def test_a_status_that_looks_like_the_end_or_a_new_line_is_one_byte(tmp_path: Path) -> None:
    display = Display()

    def talk(till: Till) -> None:
        display.shows(-400, stable=False)
        assert till.ask(b"W") == 0x0D  # motion, under, outside the zero range
        display.shows(16_000)
        assert till.ask(b"W") == 0x0A  # over, outside the zero range
        display.shows(1250)
        assert till.ask(b"WW") == (1.25, False)
        assert till.reply() == (1.25, False)

    at_the_till(display.toledo(), tmp_path, talk)


def test_a_tare_key_zero_and_the_tests_of_the_line(tmp_path: Path) -> None:
    display = Display()

    def talk(till: Till) -> None:
        display.shows(200)
        assert till.ask(b"T") & (NET | 0x07) == NET
        assert till.ask(b"W") == (0.0, True)
        assert till.ask(b"C") & NET == 0
        display.shows(50)
        assert till.ask(b"Z") & 0x07 == 0
        assert till.ask(b"W") == (0.0, False)
        assert till.raw(b"A", until=b"\r") == b"\x02\r"
        assert till.ask(b"B") == 0x40
        assert till.raw(b"Ehello", until=b"hello") == b"\x02E\rhello"
        assert till.ask(b"FW") == (0.0, False)

    at_the_till(display.toledo(), tmp_path, talk)


def test_with_parity_on_the_wire_every_byte_has_even_ones(tmp_path: Path) -> None:
    def talk(till: Till) -> None:
        heard = till.raw(b"W", until=b"\x8d")  # CR has three ones
        assert all(byte.bit_count() % 2 == 0 for byte in heard)
        assert MEASURE.fullmatch(bytes(byte & 0x7F for byte in heard))[1] == b"01.250"  # type: ignore[index]  # it matched

    at_the_till(EvenParity(Display().toledo()), tmp_path, talk)


@pytest.mark.parametrize(
    "vector",
    [v for v in VECTORS if v["protocol"] == "toledo-8217" and v["in"].get("request_hex")],
    ids=lambda vector: vector["in"]["hex"],
)
def test_the_answers_of_a_known_dialogue(vector: dict[str, dict[str, str]]) -> None:
    """Weights byte for byte; of a status the bits on which all makers agree, and net."""
    display, said = Display(), bytes.fromhex(vector["in"]["hex"])
    tare, weight_g, stable = {
        "0230312e3235350d": (b"", 1253, True),
        "0230312e3235300d": (b"", 1250, True),
        "023f020d": (b"", 15_001, True),
        "023f230d": (b"T00200", 16_000, False),
        "023f040d": (b"", -100, True),
        "023f240d": (b"T00200", 100, True),
        "0230302e3030300d": (b"", 0, True),
    }[vector["in"]["hex"]]
    display.shows(weight_g, stable=stable)
    scale = display.toledo()
    scale.feed(tare)
    answer = scale.feed(bytes.fromhex(vector["in"]["request_hex"]))
    if said[1:2] != b"?":
        assert answer == said
    else:
        assert (answer[:2], answer[3:]) == (said[:2], said[3:])
        assert answer[2] & (NET | 0x07) == said[2] & (NET | 0x07)


NCI_WEIGHT = re.compile(rb"\n([ -]?\d+\.\d+)(LB|KG)\r")
NCI_STATUS = re.compile(rb"\nS?([\x30-\x3f])([\x30-\x7f])([\x30-\x3f])?\r\x03")


@pytest.mark.parametrize("prefix", ["S", ""])
def test_a_till_reads_nci(prefix: str, tmp_path: Path) -> None:
    display = Display()

    def talk(till: Till) -> None:
        def ask() -> tuple[float | None, int, int, int]:
            heard = till.raw(b"W\r", until=b"\x03")
            weighed = NCI_WEIGHT.match(heard)
            status = NCI_STATUS.fullmatch(heard, weighed.end() if weighed else 0)
            assert status, heard
            assert heard.startswith(b"\nS") == (prefix == "S" and not weighed)
            first, second, third = (part[0] & 0x4F if part else 0 for part in status.groups())
            assert bool(second & 0x40) == (status[3] is not None)  # bit 6: a third byte follows
            return float(weighed[1]) if weighed else None, first, second, third & 0x0F

        assert ask() == (1.25, 0, 0, 0)
        display.shows(0)
        assert ask() == (0.0, 2, 0, 0)  # at zero
        display.shows(1250, stable=False)
        assert ask() == (None, 1, 0, 0)
        display.shows(15_001)
        assert ask() == (None, 0, 2, 0)
        display.shows(-100)
        assert ask() == (None, 0, 1, 0)
        display.shows(200)
        till.raw(b"T\r", until=b"\x03")
        display.shows(1450)
        assert ask() == (1.25, 0, 0x40, 4)  # net
        assert till.raw(b"Q\r", until=b"\x03") == b"\n?\r\x03"

    at_the_till(display.nci(prefix=prefix), tmp_path, talk)


@pytest.mark.parametrize(
    ("command", "weight_g", "stable", "documented"),
    [
        (b"S\r", 0, True, "0a5332300d03"),
        (b"W\r", 1250, False, "0a5331300d03"),
        (b"W\r", 15_001, True, "0a5330320d03"),
        (b"?\r", 0, True, "0a3f0d03"),
    ],
)
def test_documented_nci_replies_byte_for_byte(
    command: bytes, weight_g: float, stable: bool, documented: str
) -> None:
    assert documented in {v["in"]["hex"] for v in VECTORS if v["protocol"] == "nci-scp01"}
    display = Display()
    display.shows(weight_g, stable=stable)
    assert display.nci().feed(command).hex() == documented
