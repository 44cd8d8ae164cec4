"""The simulated text scales, read on a tty by the columns that each maker's manual draws."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import serial

from device_sims.ascii_scale import AsciiScale, Format
from device_sims.indicator import Indication
from device_sims.links import PtyLink, plugged_in

VECTORS = json.loads((Path(__file__).parents[1] / "golden" / "devices.json").read_text())["vectors"]
DOCUMENTED = [v["in"]["text"] for v in VECTORS if v["protocol"] == "ascii-stream"]


class Display:
    """What stands on the scale's display is the test's to say."""

    max_g = 5_000.0

    def __init__(self) -> None:
        self.looked_at = threading.Event()
        self.shows(1234.5)

    def read(self, _now_s: float) -> Indication:
        self.looked_at.set()
        return self.shown

    def shows(self, weight_g: float, *, stable: bool = True) -> None:
        load = "over" if weight_g > self.max_g else "under" if weight_g < -100 else "in range"
        self.shown = Indication(weight_g, stable, load)  # type: ignore[arg-type]  # one of the three


class Told(NamedTuple):
    """One line, taken apart; None is what a maker's line does not tell."""

    grams: float | None
    stable: bool | None = None
    net: bool | None = None
    load: str = "in range"


def number(field: str) -> float:
    """A field of digits, right-aligned; the sign may stand apart."""
    assert re.fullmatch(r"[-+ ]? *-?[0-9]+(\.[0-9]+)?", field), field
    return float(field.replace(" ", ""))


def a_and_d(line: str) -> Told:
    """Header 2, comma, sign and 8 digits with zeros before, unit 3, to the right."""
    assert len(line) == 17
    assert (line[2], line[12:15], line[15:]) == (",", "  g", "\r\n")
    header, data = line[:2], line[3:12]
    if header == "OL":
        assert data[1:] == "999999.9"
        return Told(None, load={"+": "over", "-": "under"}[data[0]])
    assert re.fullmatch(r"[-+][0-9]{6}\.[0-9]", data)
    return Told(float(data), {"ST": True, "US": False}[header])


def tiger(line: str) -> Told:
    """18 bytes: header 2, comma, gross or net 2, comma, sign, 7 digits, unit 2."""
    assert len(line) == 18
    assert (line[2], line[5], line[14:16], line[16:]) == (",", ",", " g", "\r\n")
    net = {"GS": False, "NT": True}[line[3:5]]
    if line[:2] == "OL":
        return Told(None, None, net, {"+": "over", "-": "under"}[line[6]])
    return Told(number(line[6:14]), {"ST": True, "US": False}[line[:2]], net)


def sartorius_16(line: str) -> Told:
    """Sign; a space and 8 digits; a space; the unit in 3, which is missing while the plate moves."""
    assert len(line) == 16
    assert line[14:] == "\r\n"
    if line[6] in "HL":
        assert line[:14].strip() == line[6]
        return Told(None, load={"H": "over", "L": "under"}[line[6]])
    assert line[0] in "+-"
    assert line[1] == line[10] == " "
    return Told(number(line[0:10]), {"g  ": True, "   ": False}[line[11:14]])


def sartorius_22(line: str) -> Told:
    """Six characters that say what it is, then the sixteen."""
    assert len(line) == 22
    told = sartorius_16(line[6:])
    if line.startswith("Stat"):
        assert told.grams is None
        return told
    return told._replace(net={"G     ": False, "N     ": True}[line[:6]])


def adam(line: str) -> Told:
    """Sign, 8 digits, a space, the unit; the plate's rest is not told."""
    found = re.fullmatch(r"([-+][ 0-9.]{8}) g\r\n", line)
    assert found, line
    return Told(number(found[1]))


def ohaus(line: str) -> Told:
    """11 digits with the sign, a space, unit 5, a space, `?` while it moves, a space, G or N."""
    assert line[11:18] == " g     "
    assert line[20:] in ("G\r\n", "N\r\n")
    return Told(number(line[:11]), {" ": True, "?": False}[line[18]], line[20] == "N")


def sma(line: str) -> Told:
    """LF, status, range, gross or net, motion, one kept free, 10 digits, unit 3, CR."""
    assert len(line) == 20
    assert (line[0], line[2], line[5], line[16:19], line[19]) == ("\n", "1", " ", "g  ", "\r")
    load = {" ": "in range", "Z": "in range", "O": "over", "U": "under"}[line[1]]
    weight_g = number(line[6:16])
    assert (line[1] == "Z") == (weight_g == 0)
    return Told(weight_g, {" ": True, "M": False}[line[4]], {"G": False, "N": True}[line[3]], load)


def sketch(line: str) -> Told:
    """A number and a line end."""
    return Told(float(line))


class Maker(NamedTuple):
    """How a line is read, asked for, tared, and where it ends."""

    read: Callable[[str], Told]
    ask: bytes
    tare: bytes | None
    end: bytes = b"\r\n"


MAKERS: dict[Format, Maker] = {
    "and": Maker(a_and_d, b"Q\r\n", b"T\r\n"),
    "st-gs": Maker(tiger, b"READ\r\n", b"T\r\n"),
    "sartorius": Maker(sartorius_16, b"\x1bP\r\n", b"\x1bT\r\n"),
    "sartorius-22": Maker(sartorius_22, b"\x1bP\r\n", b"\x1bT\r\n"),
    "adam": Maker(adam, b"P\r\n", b"T\r\n"),
    "ohaus": Maker(ohaus, b"IP\r\n", b"T\r\n"),
    "sma": Maker(sma, b"\nW\r", None, b"\r"),
    "hx711": Maker(sketch, b"<w>", b"<t>"),
}


class Client:
    """A serial port and the maker's way to read it."""

    def __init__(self, address: str, maker: Maker) -> None:
        self._port = serial.Serial(address, 9600, timeout=3)
        self._maker = maker

    def send(self, command: bytes) -> None:
        self._port.write(command)

    def line(self) -> str:
        return bytes(self._port.read_until(self._maker.end)).decode("ascii")

    def told(self) -> Told:
        return self._maker.read(self.line())

    def ask(self) -> Told:
        self.send(self._maker.ask)
        return self.told()

    def close(self) -> None:
        self._port.close()


def on_a_tty(
    name: Format, folder: Path, talk: Callable[[Client, Display], None], *, streams: bool = False
) -> None:
    async def both_ends() -> None:
        display = Display()
        scale = AsciiScale(display, maker=name, clock=time.monotonic, streams=streams)  # type: ignore[arg-type]  # reads alike
        link = PtyLink(scale, folder / "scale")
        async with plugged_in(link), asyncio.timeout(20):
            client = await asyncio.to_thread(Client, link.address, MAKERS[name])
            await asyncio.to_thread(talk, client, display)
            client.close()

    asyncio.run(both_ends())


@pytest.mark.parametrize("name", MAKERS)
def test_each_makers_columns_hold_what_the_display_shows(name: Format, tmp_path: Path) -> None:
    def talk(client: Client, display: Display) -> None:
        for weight_g in (1234.5, 0.0, -30.5, 7.3, 4999.9):
            for stable in (True, False):
                display.shows(weight_g, stable=stable)
                told = client.ask()
                assert told.grams == weight_g
                assert told.stable in (None, stable)
                assert not told.net
        for weight_g, load in ((6_000, "over"), (-200, "under")):
            display.shows(weight_g)
            told = client.ask()
            assert (
                told.load in (load, "in range") if name in ("adam", "ohaus", "hx711") else told.load == load
            )

    on_a_tty(name, tmp_path, talk)


@pytest.mark.parametrize("name", [name for name, maker in MAKERS.items() if maker.tare])
def test_a_tare_by_wire_makes_the_weight_net(name: Format, tmp_path: Path) -> None:
    def talk(client: Client, display: Display) -> None:
        display.shows(200)
        client.send(MAKERS[name].tare or b"")
        assert client.ask()[0] == 0.0
        display.shows(150)
        assert client.ask()[0] == -50.0
        assert client.ask().net in (None, True)

    on_a_tty(name, tmp_path, talk)


@pytest.mark.parametrize("name", MAKERS)
def test_a_stream_is_whole_lines_from_power_on(name: Format, tmp_path: Path) -> None:
    def talk(client: Client, _display: Display) -> None:
        client.line()  # may have begun before the port was open
        assert [client.told().grams for _ in range(4)] == [1234.5] * 4

    on_a_tty(name, tmp_path, talk, streams=True)


@pytest.mark.parametrize(("name", "command"), [("and", b"S\r\n"), ("sma", b"\nP\r")])
def test_some_commands_are_answered_only_at_rest(name: Format, command: bytes, tmp_path: Path) -> None:
    def talk(client: Client, display: Display) -> None:
        display.shows(100, stable=False)
        display.looked_at.clear()
        client.send(command)
        assert display.looked_at.wait(3)
        display.shows(200)
        assert client.told()[:2] == (200.0, True)
        assert client.ask().grams == 200.0

    on_a_tty(name, tmp_path, talk)


def test_an_and_scale_streams_from_sir_to_c(tmp_path: Path) -> None:
    def talk(client: Client, display: Display) -> None:
        client.send(b"SIR\r\n")
        assert [client.told().grams for _ in range(3)] == [1234.5] * 3
        client.send(b"C\r\nQ\r\n")
        client.told()  # to the question, or the last of the stream
        display.shows(10)
        client.send(b"Q\r\n")
        while (told := client.told()).grams == 1234.5:
            pass
        assert told.grams == 10

    on_a_tty("and", tmp_path, talk)


def test_an_sma_scale_answers_a_tare_and_repeats_until_the_next_command(tmp_path: Path) -> None:
    def talk(client: Client, display: Display) -> None:
        display.shows(200)
        client.send(b"\nT\r")
        assert client.told() == Told(0.0, True, net=True)
        client.send(b"\nR\r")
        assert [client.told().grams for _ in range(3)] == [0.0] * 3
        client.send(b"\nX\r")
        while (line := client.line()) != "\n?\r":
            assert sma(line).grams == 0.0
        display.shows(300)
        assert client.ask().grams == 100.0

    on_a_tty("sma", tmp_path, talk)
    now_s = 1.0
    scale = AsciiScale(Display(), maker="sma", clock=lambda: now_s, streams=False)  # type: ignore[arg-type]  # reads alike
    scale.feed(b"\nR\r")
    assert sma(scale.tick().decode()).grams == 1234.5
    scale.feed(b"\nX\r")
    now_s = 60.0
    assert scale.tick() == b""


@pytest.mark.parametrize(
    ("name", "weight_g", "decimals", "documented", "in_kg"),
    [
        ("and", 1234.5, 1, "ST,+001234.5  g\r\n", False),
        ("and", 9_999.0, 1, "OL,+999999.9  g\r\n", False),
        ("st-gs", 4.876, 3, "ST,GS,+  4.876kg\r\n", True),
        ("adam", 0.5, 3, "+   0.500 kg\r\n", True),
    ],
)
def test_documented_lines_byte_for_byte(
    name: Format, weight_g: float, decimals: int, documented: str, in_kg: bool
) -> None:
    """Ours tell grams: of a documented line in kilograms, all but the unit."""
    assert documented in DOCUMENTED
    display = Display()
    display.shows(weight_g)
    scale = AsciiScale(display, maker=name, clock=lambda: 1.0, decimals=decimals)  # type: ignore[arg-type]  # reads alike
    line = scale.feed(MAKERS[name].ask).decode()
    assert line == (documented.replace("kg", " g" if name == "st-gs" else "g") if in_kg else documented)
