"""The simulated MT-SICS scale, asked as the manual words it by a client that knows nothing of our drivers."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import serial

from device_sims.indicator import Indication
from device_sims.links import PtyLink, TcpLink, plugged_in
from device_sims.mt_sics import MtSicsScale

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "devices.json").read_text())["vectors"]
DOCUMENTED = [
    line + "\r\n"
    for vector in GOLDEN
    if vector["protocol"] == "mt-sics"
    for line in vector["in"]["text"].split("\r\n")
    if line
]
NOT_OURS = {
    "SI S 0.0 g",  # of another simulator: the manual answers SI with S
    "M28 B 1 0.0", "M28 A 2 0.0", "M28 A 1 --.-",  # temperature probes
}  # fmt: skip


class Display:
    """What stands on the scale's display is the test's to say."""

    max_g = 15_000.0

    def __init__(self, weight_g: float = 1234.5) -> None:
        self.shown = Indication(weight_g, stable=True, load="in range")
        self.looked_at = threading.Event()

    def read(self, _now_s: float) -> Indication:
        self.looked_at.set()
        return self.shown

    def moving(self, weight_g: float) -> None:
        self.shown = Indication(weight_g, stable=False, load="in range")

    def still(self, weight_g: float) -> None:
        self.shown = Indication(weight_g, stable=True, load="in range")


class Bench(MtSicsScale):
    """A scale whose clock the test winds on, and which counts what its link asks of it."""

    def __init__(self, display: Display, *, decimals: int = 1) -> None:
        self.now_s, self.display = 0.0, display
        super().__init__(display, serial="B0001", decimals=decimals, clock=lambda: self.now_s)  # type: ignore[arg-type]  # reads alike
        self._ticked = threading.Semaphore(0)

    def tick(self) -> bytes:
        self.now_s += 1 / 30
        said = super().tick()
        self._ticked.release()
        return said

    def wait(self, *, ticks: int) -> None:
        while self._ticked.acquire(blocking=False):
            pass
        for _ in range(ticks):
            assert self._ticked.acquire(timeout=3)


class Client:
    """Lines out, lines in; pyserial carries them over a tty or a socket alike."""

    def __init__(self, address: str) -> None:
        self._port = serial.serial_for_url(address, baudrate=9600, timeout=3)

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._port.write(piece)
            self._port.flush()

    def line(self) -> str:
        line: bytes = self._port.read_until(b"\r\n")
        assert line.endswith(b"\r\n"), line
        return line[:-2].decode("ascii")

    def ask(self, command: str) -> str:
        self.send(command.encode("ascii") + b"\r\n")
        return self.line()

    def weight(self, command: str) -> tuple[str, str, float]:
        """Identification, status and grams of a reply with a weight, column by column."""
        reply = self.ask(command)
        found = re.fullmatch(r"(S|T|TI|TA) ([SDA]) ( *-?\d+\.\d) g", reply)
        assert found, reply
        assert len(found[3]) == 10
        return found[1], found[2], float(found[3])

    def close(self) -> None:
        self._port.close()


@asynccontextmanager
async def on_a_wire(kind: str, scale: Bench, folder: Path) -> AsyncIterator[Client]:
    link = PtyLink(scale, folder / "scale") if kind == "pty" else TcpLink(scale)
    async with plugged_in(link), asyncio.timeout(20):
        client = await asyncio.to_thread(Client, link.address)
        yield client
        client.close()


Talk = Callable[[Client, Bench], None]


@pytest.fixture(params=["pty", "tcp"])
def hold(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Talk], None]:
    """Run a conversation, in a thread, with a scale at the end of a wire."""

    def run(talk: Talk) -> None:
        async def both_ends() -> None:
            scale = Bench(Display())
            async with on_a_wire(request.param, scale, tmp_path) as client:
                await asyncio.to_thread(talk, client, scale)

        asyncio.run(both_ends())

    return run


def test_it_tells_who_it_is_and_what_it_weighs(hold: Callable[[Talk], None]) -> None:
    def talk(client: Client, scale: Bench) -> None:
        assert client.ask("@") == 'I4 A "B0001"'
        assert re.fullmatch(r'I1 A( "[^"]*"){5}', client.ask("I1"))
        for name in ("I2", "I3"):
            assert re.fullmatch(rf'{name} A "[^"]+"', client.ask(name))
        assert client.weight("S") == client.weight("SI") == ("S", "S", 1234.5)
        scale.display.still(-0.04)  # no minus before zero
        assert client.ask("SI") == "S S        0.0 g"
        scale.display.moving(-12.3)
        assert client.weight("SI") == ("S", "D", -12.3)

    hold(talk)


def test_it_does_whatever_it_lists(hold: Callable[[Talk], None]) -> None:
    def talk(client: Client, _scale: Bench) -> None:
        listed = [client.ask("I0")]
        while listed[-1].startswith("I0 B "):
            listed.append(client.line())
        assert listed[-1].startswith("I0 A ")
        for line in listed:
            found = re.fullmatch(r'I0 [AB] [0-3] "([A-Z0-9@]+)"', line)
            assert found, line
            if found[1] not in ("I0", "SIR"):
                assert client.ask(found[1]) not in ("ES", "ET", "EL")

    hold(talk)


def test_s_t_and_z_wait_for_a_plate_at_rest_or_give_up(hold: Callable[[Talk], None]) -> None:
    def talk(client: Client, scale: Bench) -> None:
        for command, done in (("S", "S S      800.0 g"), ("T", "T S      800.0 g"), ("Z", "Z A")):
            scale.display.moving(900)
            scale.display.looked_at.clear()
            client.send(command.encode() + b"\r\n")
            assert scale.display.looked_at.wait(3)
            scale.display.still(800)
            assert client.line() == done
            scale.display.moving(900)
            scale.display.looked_at.clear()
            client.send(command.encode() + b"\r\n")
            assert scale.display.looked_at.wait(3)
            scale.now_s += 60
            assert client.line() == f"{command} I"

    hold(talk)


def test_sir_repeats_and_only_a_weighing_command_or_a_reset_ends_it(hold: Callable[[Talk], None]) -> None:
    def talk(client: Client, scale: Bench) -> None:
        for last in ("SI", "S", "@"):
            assert client.ask("SIR") == "S S     1234.5 g"
            assert [client.line() for _ in range(3)] == ["S S     1234.5 g"] * 3
            client.send(b"I3\r\n")
            while (line := client.line()) != 'I3 A "1.00 SIM"':
                assert line == "S S     1234.5 g"
            assert client.line() == "S S     1234.5 g"
            client.send(last.encode() + b"\r\nI2\r\n")
            while not (line := client.line()).startswith("I2 "):
                assert line in ("S S     1234.5 g", 'I4 A "B0001"')
            scale.wait(ticks=6)
            assert client.ask("I4") == 'I4 A "B0001"'

    hold(talk)


def test_zero_tare_and_tare_memory(hold: Callable[[Talk], None]) -> None:
    def talk(client: Client, scale: Bench) -> None:
        assert client.weight("T") == ("T", "S", 1234.5)
        assert client.weight("SI") == ("S", "S", 0.0)
        assert client.weight("TA") == ("TA", "A", 1234.5)
        scale.display.still(1000)
        assert client.weight("S") == ("S", "S", -234.5)
        assert client.ask("TAC") == "TAC A"
        assert client.weight("TA 200.5 g") == ("TA", "A", 200.5)
        assert client.weight("S") == ("S", "S", 799.5)
        scale.display.moving(1100)
        assert client.weight("TI") == ("TI", "D", 1100)
        assert client.ask("ZI") == "ZI D"
        assert client.weight("SI") == ("S", "D", 0.0)
        scale.display.still(1050)
        assert client.ask("Z") == "Z A"
        assert client.weight("TA") == ("TA", "A", 0.0)
        assert client.ask("@") == 'I4 A "B0001"'
        assert client.weight("SI") == ("S", "S", 0.0)  # a reset is no new zero

    hold(talk)


def test_what_it_refuses_and_how(hold: Callable[[Talk], None]) -> None:
    def talk(client: Client, scale: Bench) -> None:
        assert client.ask("HELLO") == client.ask("si") == "ES"
        assert client.ask("SI 5") == "EL"
        for wrong in ("TA -5 g", "TA 99999 g", "TA ten g", "TA 5"):
            assert client.ask(wrong) == "TA L"
        client.send(b"S\xc9\r\n")
        assert client.line() == "ET"
        for load, sign in (("over", "+"), ("under", "-")):
            scale.display.shown = Indication(0.0, stable=True, load=load)  # type: ignore[arg-type]  # both known
            for command, heard in (
                ("S", "S"),
                ("SI", "S"),
                ("T", "T"),
                ("TI", "TI"),
                ("Z", "Z"),
                ("ZI", "ZI"),
            ):
                assert client.ask(command) == f"{heard} {sign}"

    hold(talk)


def test_a_line_too_long_is_one_error_whatever_it_begins_with(hold: Callable[[Talk], None]) -> None:
    def talk(client: Client, _scale: Bench) -> None:
        assert client.ask("SI" + " " * 62 + "X" * 1000) == "ES"
        assert client.ask("T" * 5000) == "ES"
        assert client.weight("SI") == ("S", "S", 1234.5)

    hold(talk)


def test_a_command_in_pieces_and_two_in_one(hold: Callable[[Talk], None]) -> None:
    def talk(client: Client, _scale: Bench) -> None:
        client.send(b"S", b"I", b"\r", b"\n")
        assert client.line() == "S S     1234.5 g"
        client.send(b"I2\r\nI4\r\nS", b"I\r\n")
        assert client.line().startswith("I2 A ")
        assert client.line() == 'I4 A "B0001"'
        assert client.line() == "S S     1234.5 g"

    hold(talk)


@pytest.mark.parametrize(
    ("command", "decimals", "weight_g", "stable", "documented"),
    [
        ("S", 2, 100.0, True, "S S     100.00 g\r\n"),
        ("SI", 2, 129.07, False, "S D     129.07 g\r\n"),
        ("S", 4, 99.0, True, "S S    99.0000 g\r\n"),
        ("SI", 4, 12.0, True, "S S    12.0000 g\r\n"),
        ("T", 4, 25.0, True, "T S    25.0000 g\r\n"),
        ("TI", 4, 25.0, True, "TI S    25.0000 g\r\n"),
    ],
)
def test_documented_weights_byte_for_byte(
    command: str, decimals: int, weight_g: float, stable: bool, documented: str
) -> None:
    display = Display()
    display.shown = Indication(weight_g, stable, "in range")
    assert documented in DOCUMENTED
    assert Bench(display, decimals=decimals).feed(command.encode() + b"\r\n").decode() == documented


def shape(line: str) -> str:
    """A reply with every text, number and unit replaced by one of its kind."""
    line = re.sub(r'"[^"]*"', '"…"', line.strip())
    return re.sub(r" +-?\d+\.\d+(?: (?:kg|g))?$", lambda value: " 0.0 g" if "g" in value[0] else " 0.0", line)


def test_every_documented_kind_of_reply_can_be_provoked() -> None:
    display = Display()
    scale = Bench(display)
    states = [Indication(100.0, True, "in range"), Indication(100.0, False, "in range")]
    states += [Indication(0.0, True, "over"), Indication(0.0, True, "under")]
    said = ""
    commands = ("S", "SI", "T", "TI", "TA", "TA 5", "TAC", "Z", "ZI", "I1", "I2", "@", "NO")
    for display.shown, command in itertools.product(states, commands):
        said += scale.feed(command.encode() + b"\r\n").decode()
        scale.now_s += 60
        said += scale.tick().decode()
    provoked = {shape(line) for line in said.splitlines()}
    assert {shape(line) for line in DOCUMENTED} - provoked == NOT_OURS
