"""Makes tests/golden/recordings: the real `edge-agent record` of each simulated device, and what it replays to.

`python tests/edge_agent/live/record_all.py [NAME …]` writes `<name>.jsonl` and `<name>.readings.jsonl`; a name is that
of a driver, or of another device that it reads. Made anew only when a device or the format changes on purpose: an
old recording that still replays is the test.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from device_sims.ascii_scale import AsciiScale
from device_sims.broker import running_broker
from device_sims.goods_in import GoodsIn
from device_sims.impinj import R700
from device_sims.indicator import Indicator
from device_sims.links import Dialogue, PtyLink, plugged_in
from device_sims.m100 import M100Module
from device_sims.modbus_scale import ModbusModules, Station, laumas
from device_sims.mqtt_json import HomieShelf
from device_sims.mqtt_link import Publication, on_broker
from device_sims.mt_sics import MtSicsScale
from device_sims.noise import Noise
from device_sims.plate import Plate
from device_sims.r2000 import R2000Reader
from device_sims.radio import Radio
from device_sims.reader_field import TagInView
from device_sims.sight import Eye, Sight
from device_sims.smart_camera import SmartCamera
from device_sims.till import Till
from device_sims.toledo_8217 import Toledo8217Scale
from device_sims.uhfreader18 import UhfReader
from device_sims.world import Tag
from device_sims.zebra import IotcReader

RECORDINGS = Path(__file__).parents[2] / "golden" / "recordings"
SECONDS = 2.5
EPCS = [bytes.fromhex("3034257bf400b7800004cb2f"), bytes.fromhex("3034257bf400b7800004cb30")]

Bench = AbstractAsyncContextManager[dict[str, Any]]
"""A device at work; yields what the store file says beside its id and driver."""


def scale(make: Callable[[Indicator], Dialogue], **settings: Any) -> Callable[[Path], Bench]:
    @asynccontextmanager
    async def bench(folder: Path) -> AsyncIterator[dict[str, Any]]:
        plate = Plate(Noise(), "recorded")
        plate.lay(704.0)

        async def customer() -> None:
            while True:
                for load_g in (704.0, 352.0, 0.0):
                    plate.lay(load_g)
                    await asyncio.sleep(SECONDS / 2)

        visiting = asyncio.create_task(customer())
        async with plugged_in(PtyLink(make(Indicator(plate, max_g=15_000)), folder / "tty")):
            yield {"port": "tty", **settings}
        visiting.cancel()

    return bench


def reader(make: Callable[[Any], Dialogue], **settings: Any) -> Callable[[Path], Bench]:
    def field(antenna: int) -> list[TagInView]:
        return [TagInView(epc, -50 - 7 * antenna) for epc in EPCS] if antenna < 2 else []

    @asynccontextmanager
    async def bench(folder: Path) -> AsyncIterator[dict[str, Any]]:
        async with plugged_in(PtyLink(make(field), folder / "tty")):
            yield {"port": "tty", **settings}

    return bench


@asynccontextmanager
async def llrp(_folder: Path) -> AsyncIterator[dict[str, Any]]:
    from llrpkit.emulator import EmulatedTag

    from device_sims.llrp import LlrpReader

    emulator = LlrpReader([EmulatedTag(epc, (1,), -55) for epc in EPCS], reads_per_s=20)
    await emulator.start()
    yield {"address": f"127.0.0.1:{emulator.port}"}
    await emulator.stop()


def on_the_broker(events: Callable[[int], list[tuple[str, str]]], **settings: Any) -> Callable[[Path], Bench]:
    @asynccontextmanager
    async def bench(folder: Path) -> AsyncIterator[dict[str, Any]]:
        async with (
            running_broker(folder / "broker") as broker,
            on_broker(broker.port_311, client_id="r", user=broker.reader) as wire,
        ):

            async def publish() -> None:
                for number in range(100):
                    for topic, payload in events(number):
                        wire.publish(Publication(topic, payload))
                    await asyncio.sleep(0.1)

            publishing = asyncio.create_task(publish())
            mqtt = {"url": broker.url, "username": "agent", "password_file": str(broker.agent_password_file)}
            yield {"mqtt": mqtt, **settings}
            publishing.cancel()

    return bench


class OneShelf:
    """A world of two tags that are nearly always read."""

    def tags(self, facing: str) -> list[Tag]:
        sgtins = [epc.hex() for epc in EPCS] if facing == "A1" else []
        return [Tag(epc=epc, read_per_s=0.999, rssi_offset_db=0.0) for epc in sgtins]


def seen_by(make: Callable[..., Any], topic: str) -> Callable[[int], list[tuple[str, str]]]:
    reader = make(Radio(OneShelf(), ["A1", "A2"], Noise(), seed="1"))
    return lambda _: [(topic, json.dumps(event)) for event in reader.look(0.5, time.time_ns())]


def homie(number: int) -> list[tuple[str, str]]:
    weighed = HomieShelf("shelf01", ("1", "2")).mass("12"[number % 2], 352.0 * (number // 5))
    return [(weighed.topic, weighed.payload)]


TILL, GOODS, GTINS = Till("till-1"), GoodsIn("goods-1"), ("06901234567892", "04012345678901")
SIGHT = Sight(Eye(misses=0.3, false_gaps=0.3, hidden=0.2, lasts_s=1.0), front=3, seed="recorded")


def receipts(number: int) -> list[tuple[str, str]]:
    bought = [(gtin, 1 + (number + n) % 3) for n, gtin in enumerate(GTINS[: 1 + number % 2])]
    return said(TILL.receipt(bought, at_ns=time.time_ns()))


def scans(number: int) -> list[tuple[str, str]]:
    facing = "A1" if number % 2 else None
    return said(GOODS.scanned(GTINS[number % 2], 6 + number, facing=facing, at_ns=time.time_ns()))


def places(number: int) -> list[tuple[str, str]]:
    fill = SIGHT.look(time.monotonic(), number % 4, hand_until_s=0.0)
    return said(SmartCamera("cam-1").places({"A1": fill, "A2": 1.0}, at_ns=time.time_ns()))


def said(publication: Publication) -> list[tuple[str, str]]:
    return [(publication.topic, publication.body.decode())]


BENCHES: dict[str, Callable[[Path], Bench]] = {
    "mt-sics": scale(lambda on: MtSicsScale(on, serial="B021002593", decimals=1, clock=time.monotonic)),
    "toledo-8217": scale(lambda on: Toledo8217Scale(on, clock=time.monotonic)),
    "ascii-scale": scale(
        lambda on: AsciiScale(on, maker="st-gs", clock=time.monotonic, streams=True), preset="st-gs"
    ),
    "modbus-scale": scale(
        lambda on: ModbusModules([Station(1, laumas(on))], clock=time.monotonic), profile="laumas"
    ),
    "r2000": reader(R2000Reader, antennas={"1": "A1", "2": "A2"}),
    "uhfreader18": reader(UhfReader, antennas={"1": "A1"}),
    "m100": reader(M100Module, antennas={"1": "A1"}),
    "llrp": llrp,
    "impinj-r700": on_the_broker(seen_by(R700, "rfid/impinj-a/events"), topic="rfid/impinj-a/events"),
    "zebra-iotc": on_the_broker(seen_by(IotcReader, "rfid/fx9600-b/d-evt"), topic="rfid/fx9600-b/d-evt"),
    "mqtt-json-till": on_the_broker(
        receipts, driver="mqtt-json", topic="tills/till-1/receipts", sale={"each": "lines"}, time="ts"
    ),
    "mqtt-json-goods-in": on_the_broker(
        scans,
        driver="mqtt-json",
        topic="goods-in/goods-1/scans",
        delivery={"each": "lines", "facing": "facing"},
        time="ts",
    ),
    "mqtt-json-camera": on_the_broker(
        places, driver="mqtt-json", topic="cameras/cam-1/places", gap={"each": "places"}, time="ts"
    ),
    "mqtt-json": on_the_broker(
        homie,
        topic="homie/shelf01/scales/{channel}/mass",
        weight={"unit": "kg"},
        channels={"1": [], "2": []},
    ),
}


async def record(name: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        async with BENCHES[name](folder) as place:
            mqtt, kind = place.pop("mqtt", None), place.pop("driver", name)
            facings = [
                {"id": facing, "gtin": "06901234567892", "capacity": 9}
                for facing in dict(place.get("antennas", {})).values()
            ]
            store = {
                "store": {"id": "recorded"},
                "agent": {"http": {"port": 0}},
                "products": [{"gtin": "06901234567892", "name": "cola", "unit_weight_g": 352.0}],
                "facings": facings,
                "devices": [{"id": f"{name}-1", "driver": kind, **place}],
            }
            (folder / "store.yaml").write_text(yaml.safe_dump(store | ({"mqtt": mqtt} if mqtt else {})))
            recording = RECORDINGS / f"{name}.jsonl"
            words = ["record", f"{name}-1", "-o", str(recording), "--force", "--seconds", str(SECONDS)]
            await agent(*words, folder=folder)
    out = await agent("replay", str(recording), folder=RECORDINGS)
    (RECORDINGS / f"{name}.readings.jsonl").write_bytes(out)
    print(f"{name}: {len(out.splitlines())} readings")


async def agent(*words: str, folder: Path) -> bytes:
    command = [sys.executable, "-m", "edge_agent", *words]
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return out


async def main(names: list[str]) -> None:
    RECORDINGS.mkdir(parents=True, exist_ok=True)
    for name in names or BENCHES:
        await record(name)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
