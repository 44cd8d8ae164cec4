"""Cables, hubs and scales fail in every way: it is seen within 5 s, the others never notice, nothing is lost."""

from __future__ import annotations

import asyncio
import random
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from device_sims.links import PtyLink

GTIN, UNIT_G = "06901234567892", 352.0
STORE = "store-0042"
VISIBLE_WITHIN_S = 5.0


class Scale:
    """A scale of MT-SICS level 0, from the manual's text, with the ways in which it may fail."""

    def __init__(self, number: int) -> None:
        self.number, self.count = number, 10
        self.mute = self.over = self.babbles = False
        self.asked_s: list[float] = []
        self._line = b""

    def power_on(self) -> bytes:
        self._line = b""
        return self._who()

    def feed(self, received: bytes) -> bytes:
        *lines, self._line = (self._line + received).split(b"\r\n")
        return b"".join(map(self._answer, lines))

    def tick(self) -> bytes:
        return random.randbytes(40) if self.babbles else b""

    def _answer(self, command: bytes) -> bytes:
        if command == b"SI":
            self.asked_s.append(time.monotonic())
        if self.mute or self.babbles:
            return b""
        if command in (b"@", b"I4"):
            return self._who()
        if command != b"SI":
            return b"ES\r\n"
        weight_g = self.count * UNIT_G + random.gauss(0, 0.15)
        return b"S +\r\n" if self.over else b"S S %10.2f g\r\n" % weight_g

    def _who(self) -> bytes:
        return b'I4 A "%08d"\r\n' % self.number


class Hub:
    """A USB hub with scales, each a pty behind a name that stays."""

    def __init__(self, folder: Path, size: int) -> None:
        self.scales = [Scale(number) for number in range(size)]
        self._links = [PtyLink(scale, folder / f"usb-scale-{scale.number:02}") for scale in self.scales]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._ticking = asyncio.run_coroutine_threadsafe(self._tick(), self._loop)
        self.plug()

    def plug(self, *numbers: int) -> None:
        self._each(PtyLink.replug, numbers)

    def unplug(self, *numbers: int) -> None:
        self._each(PtyLink.unplug, numbers)

    def end(self) -> None:
        self.unplug()
        self._ticking.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def store(self) -> str:
        """The scales, their facings and their product as `store.yaml` lines."""
        numbers = [scale.number for scale in self.scales]
        return "\n".join(
            [
                f"products: [{{gtin: '{GTIN}', name: Cola, unit_weight_g: {UNIT_G}, tagged: 1}}]",
                "facings:",
                *[f"  - {{id: A1-{n:02}, gtin: '{GTIN}', capacity: 24, reorder_point: 3}}" for n in numbers],
                "devices:",
                *[
                    f"  - {{id: scale-{n:02}, driver: mt-sics, port: '{link.address}', facings: [A1-{n:02}]}}"
                    for n, link in zip(numbers, self._links, strict=True)
                ],
                "",
            ]
        )

    def _each(self, act: Callable[[PtyLink], Coroutine[Any, Any, None]], numbers: tuple[int, ...]) -> None:
        async def all_of_them() -> None:
            for number in numbers or range(len(self._links)):
                await act(self._links[number])

        asyncio.run_coroutine_threadsafe(all_of_them(), self._loop).result(10)

    async def _tick(self) -> None:
        while True:
            for link in self._links:
                link.tick()
            await asyncio.sleep(0.05)


@pytest.fixture
def make_hub(tmp_path: Path) -> Iterator[Callable[[int], Hub]]:
    made: list[Hub] = []

    def make(size: int) -> Hub:
        made.append(Hub(tmp_path, size))
        return made[-1]

    yield make
    for hub in made:
        hub.end()


def at_agent(world: Any) -> dict[str, tuple[str, str]]:
    return {d["device"]: (d["status"], d["reason"] or "") for d in world.status()["devices"]}


def at_hq(world: Any) -> dict[str, tuple[str, str]]:
    found = world.hq(f"/v1/stores/{STORE}/devices")["items"]
    return {d["device"]: (d["status"], d["reason"] or "") for d in found}


def metric(world: Any, name: str) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{world.edge_port}/metrics", timeout=5) as answer:
        found = re.findall(rf'^{name}{{device="(.+?)"}} (\S+)$', answer.read().decode(), re.MULTILINE)
    return {device: float(value) for device, value in found}


def lines_about(world: Any, word: str) -> list[str]:
    """The log's lines on devices."""
    return [
        line
        for line in world.log("agent").splitlines()
        if "edge_agent.pipeline" in line and word in line and "debug" not in line
    ]


def on_hand(world: Any) -> list[int | None]:
    return [f["on_hand"] for f in world.status()["facings"]]


def test_trouble_is_seen_everywhere_within_five_seconds_and_the_others_keep_their_rhythm(
    world: Any, make_hub: Callable[[int], Hub], wait_for: Any
) -> None:
    hub = make_hub(8)
    world.write_store(hub.store())
    world.start_hq()
    world.start_agent()
    wait_for(lambda: on_hand(world) == [10] * 8, what="all counts")
    wait_for(lambda: len(at_hq(world)) == 8, what="all devices at HQ")
    began = time.monotonic()
    hub.unplug(0)
    hub.scales[1].mute = hub.scales[2].over = hub.scales[3].babbles = True
    expected = {
        "scale-00": ("offline", "E-LINK-LOST"),
        "scale-01": ("offline", "E-DEVICE-SILENT"),
        "scale-02": ("degraded", "overload"),
        "scale-03": ("offline", "E-DEVICE-SILENT"),
    }
    seen: dict[str, dict[str, float]] = {"agent": {}, "HQ": {}, "metrics": {}}

    def look() -> bool:
        up = metric(world, "edge_device_up")
        for place, told in (("agent", at_agent(world)), ("HQ", at_hq(world))):
            for device, (status, reason) in expected.items():
                if told[device][0] == status and reason in told[device][1]:
                    seen[place].setdefault(device, time.monotonic() - began)
        for device in expected:
            if up[device] == 0:
                seen["metrics"].setdefault(device, time.monotonic() - began)
        return all(len(devices) == len(expected) for devices in seen.values())

    wait_for(look, what=f"all trouble seen: {seen}")
    assert max(max(devices.values()) for devices in seen.values()) < VISIBLE_WITHIN_S, seen
    ended = time.monotonic()
    sound = [f"scale-0{n}" for n in range(4, 8)]
    assert {at_hq(world)[device] for device in sound} == {("online", "")}
    for scale in hub.scales[4:]:
        asked = [t for t in scale.asked_s if began <= t <= ended]
        gaps = [after - before for before, after in pairwise(asked)]
        assert max(gaps) < 1.0
        assert len(asked) > 5 * (ended - began)
    assert metric(world, "edge_link_bytes_skipped")["scale-03"] > 40
    assert metric(world, "edge_device_silence_seconds")["scale-01"] > 2
    hub.plug(0)
    hub.scales[1].mute = hub.scales[2].over = hub.scales[3].babbles = False
    wait_for(lambda: {s for s, _ in at_hq(world).values()} == {"online"}, seconds=40, what="all back at HQ")
    wait_for(lambda: on_hand(world) == [10] * 8, what="all counts again")
    assert "Traceback" not in world.log("agent")


def test_a_hub_that_goes_and_returns_is_one_line_each_and_loses_nothing(
    world: Any, make_hub: Callable[[int], Hub], wait_for: Any
) -> None:
    hub = make_hub(24)
    world.write_store(hub.store())
    world.start_hq()
    world.start_agent()
    wait_for(lambda: on_hand(world) == [10] * 24, what="all counts")
    [start] = wait_for(lambda: lines_about(world, "online"), what="the line of the start")
    assert "24 devices are online: scale-00, scale-01, scale-02 and 21 more" in start
    wait_for(world.caught_up, what="HQ has every row")
    told = len(world.events("stock.changed"))
    hub.unplug()
    gone_s = time.monotonic()
    wait_for(
        lambda: {s for s, _ in at_hq(world).values()} == {"offline"},
        seconds=VISIBLE_WITHIN_S,
        what="all are offline at HQ",
    )
    wait_for(lambda: lines_about(world, "offline"), what="the line of the outage")
    wait_for(lambda: time.monotonic() - gone_s > 5.5, what="an outage longer than blind time")
    assert on_hand(world) == [10] * 24
    restarts = [d["restarts"] for d in world.status()["devices"]]
    assert max(restarts) <= 14, "back-off"
    hub.plug()
    back_s = time.monotonic()
    wait_for(lambda: {s for s, _ in at_agent(world).values()} == {"online"}, what="all are back")
    assert time.monotonic() - back_s < 3.0
    wait_for(lambda: len(lines_about(world, "online")) == 2, what="the line of the return")
    [gone], [_, back] = lines_about(world, "offline"), lines_about(world, "online")
    assert "24 devices are offline (E-LINK-LOST): scale-00, scale-01, scale-02 and 21 more." in gone
    assert "24 devices are online" in back
    wait_for(world.caught_up, what="HQ has every row")
    assert {f["on_hand"] for f in world.facings().values()} == {10}
    assert len(world.events("stock.changed")) == told
    changes = [(e["data"]["device"], e["data"]["status"]) for e in world.events("device.changed")]
    assert {changes.count((f"scale-{n:02}", "online")) for n in range(24)} == {2}
    assert "Traceback" not in world.log("agent")
    world.bridge("audit")
