"""`devices --scan`: every simulated device on a pty is found for what it is; the line can be pasted."""

from __future__ import annotations

import asyncio
import os
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from device_sims.ascii_scale import AsciiScale
from device_sims.broker import available_brokers, running_broker
from device_sims.indicator import Indicator
from device_sims.links import Dialogue, PtyLink, plugged_in
from device_sims.m100 import M100Module
from device_sims.modbus_scale import ModbusModules, Station, laumas
from device_sims.mqtt_link import Publication, on_broker
from device_sims.mt_sics import MtSicsScale
from device_sims.noise import Noise
from device_sims.plate import Plate
from device_sims.r2000 import R2000Reader
from device_sims.toledo_8217 import NciScale, Toledo8217Scale
from device_sims.uhfreader18 import UhfReader
from edge_agent.config.store import Mqtt, StoreSettings
from edge_agent.contract.errors import LinkLost
from edge_agent.drivers import scan
from edge_agent.drivers.link import open_link
from edge_agent.drivers.scan import recognise
from edge_agent.live.scanning import scan_ports, scan_topics, stable_names


def on_a_plate() -> Indicator:
    plate = Plate(Noise(), "scan")
    plate.lay(352.0)
    return Indicator(plate, max_g=15_000)


CLOCK = time.monotonic
SPEEDS = {9600: termios.B9600, 57600: termios.B57600, 115200: termios.B115200, 2400: termios.B2400}
DEVICES: dict[str, tuple[int, Callable[[], Dialogue]]] = {
    "mt-sics": (9600, lambda: MtSicsScale(on_a_plate(), serial="B021", decimals=1, clock=CLOCK)),
    "toledo-8217": (9600, lambda: Toledo8217Scale(on_a_plate(), clock=CLOCK)),
    "toledo-8217 nci": (9600, lambda: NciScale(on_a_plate(), clock=CLOCK)),
    "modbus-scale": (9600, lambda: ModbusModules([Station(1, laumas(on_a_plate()))], clock=CLOCK)),
    "r2000": (115200, lambda: R2000Reader(lambda _: [])),
    "uhfreader18": (57600, lambda: UhfReader(lambda _: [])),
    "m100": (115200, lambda: M100Module(lambda _: [])),
    "ascii-scale": (9600, lambda: AsciiScale(on_a_plate(), maker="st-gs", clock=CLOCK, streams=True)),
    "ascii-scale asked": (2400, lambda: AsciiScale(on_a_plate(), maker="and", clock=CLOCK, streams=False)),
}


class AtItsSpeed:
    """A device that makes no sense of another speed, as on a real wire; a pty would carry it all."""

    def __init__(self, dialogue: Dialogue, path: Path, baudrate: int) -> None:
        self._dialogue, self._path, self._baudrate = dialogue, path, baudrate

    def power_on(self) -> bytes:
        return self._dialogue.power_on()

    def feed(self, received: bytes) -> bytes:
        return self._dialogue.feed(received) if self._same() else b""

    def tick(self) -> bytes:
        said = self._dialogue.tick()
        return said if self._same() else bytes(byte ^ 0xA5 for byte in said)

    def _same(self) -> bool:
        fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY)
        speed = termios.tcgetattr(fd)[4]
        os.close(fd)
        return bool(speed == SPEEDS[self._baudrate])


def pasted(line: str) -> Any:
    """The line as it works in a store file."""
    (device,) = yaml.safe_load(line)
    return StoreSettings.model_validate(
        {"store": {"id": "s1"}, "mqtt": {"url": "mqtt://127.0.0.1"}, "devices": [device]}
    ).devices[0]


async def test_every_device_is_found_on_its_port_at_the_same_time_within_seconds(tmp_path: Path) -> None:
    links: dict[str, PtyLink] = {}
    for name, (baudrate, make) in DEVICES.items():
        path = tmp_path / name.replace(" ", "-")
        links[name] = PtyLink(AtItsSpeed(make(), path, baudrate), path)
    async with plugged_in(*links.values()):
        began_s = time.monotonic()
        found = {f.port: f for f in await scan_ports([link.address for link in links.values()])}
        assert time.monotonic() - began_s < 20
    for name, link in links.items():
        assert found[link.address].driver == name.split()[0], name
        device = pasted(found[link.address].line or "")
        place = (device.driver, device.port, device.baudrate)
        assert place == (name.split()[0], link.address, DEVICES[name][0])
    assert found[links["mt-sics"].address].identity == "B021"
    assert found[links["toledo-8217 nci"].address].settings == {"dialect": "nci"}
    assert pasted(found[links["ascii-scale asked"].address].line or "").command == "Q\r\n"


async def test_a_port_that_is_held_or_absent_says_so_and_a_mute_one_is_no_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = scan.attempts()[:2]
    monkeypatch.setattr(scan, "attempts", lambda: few)
    master, slave = os.openpty()
    tty.setraw(slave)
    other, held = os.openpty()
    tty.setraw(held)
    async with open_link(os.ttyname(held)):
        ports = [os.ttyname(slave), os.ttyname(held), str(tmp_path / "nothing")]
        by_port = {f.port: f for f in await scan_ports(ports)}
    mute, taken, absent = (by_port[port] for port in ports)
    assert (mute.driver, mute.problem, mute.line) == (None, None, None)
    assert "held by" in (taken.problem or "")
    assert "absent" in (absent.problem or "")
    for fd in (master, slave, other, held):
        os.close(fd)


@pytest.mark.parametrize(
    "heard",
    [b"", b"\x00\xff\x80garbage", b"hello world\r\n", b"W\r", b"I4\r\n", bytes.fromhex("010300000001840a")],
)
def test_noise_and_our_own_questions_are_no_device(heard: bytes) -> None:
    assert recognise(heard) is None


def test_names_that_survive_a_reboot_come_first_by_serial_number(tmp_path: Path) -> None:
    device = tmp_path / "ttyUSB0"
    device.touch()
    for kind, name in (("by-path", "pci-usb-0"), ("by-id", "usb-FTDI_A1")):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / name).symlink_to(device)
    names = stable_names(tmp_path)[str(device.resolve())]
    assert [Path(name).name for name in names] == ["usb-FTDI_A1", "pci-usb-0"]


async def test_topics_that_a_driver_reads_are_listed_with_a_line_to_paste(tmp_path: Path) -> None:
    if not available_brokers():
        pytest.skip("no broker is installed: apt install mosquitto")
    impinj = {"eventType": "tagInventory", "tagInventoryEvent": {"epcHex": "3034257bf400b7800004cb2f"}}
    zebra = {"data": {"idHex": "3034257BF400B7800004CB2F", "eventNum": 1, "format": "epc"}, "type": "CUSTOM"}
    said = {
        "rfid/impinj": impinj,
        "rfid/zebra": zebra,
        "shelf/1": {"weight": 1.25, "unit": "kg"},
        "chatter": {"hello": "world"},
    }
    async with (
        running_broker(tmp_path) as broker,
        on_broker(broker.port_311, client_id="things", user=broker.reader) as wire,
    ):

        async def publish() -> None:
            while True:
                for topic, message in said.items():
                    wire.publish(Publication(topic, message))
                await asyncio.sleep(0.05)

        publishing = asyncio.create_task(publish())
        mqtt = Mqtt(url=broker.url, username="agent", password_file=broker.agent_password_file)
        found = {f.topic: f for f in await scan_topics(mqtt, seconds=1.0)}
        publishing.cancel()
    assert {topic: f.driver for topic, f in found.items()} == {
        "rfid/impinj": "impinj-r700",
        "rfid/zebra": "zebra-iotc",
        "shelf/1": "mqtt-json",
    }
    assert pasted(found["shelf/1"].line).weight.unit == "kg"
    assert pasted(found["rfid/zebra"].line).topic == "rfid/zebra"


async def test_a_broker_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LinkLost):
        await scan_topics(Mqtt(url="mqtt://127.0.0.1:1"), seconds=0.1)
