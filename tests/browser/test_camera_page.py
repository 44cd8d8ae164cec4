"""The camera page in a real browser, at a real agent that watches a simulated door."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from device_sims.camera import DoorCamera
from tests.browser.conftest import DEADLINE_S, wait_until


class Door:
    """A simulated door that is filmed, with people on their way, in a thread of its own."""

    def __init__(self) -> None:
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._film()])
        self._thread.start()
        assert self._up.wait(DEADLINE_S)

    async def _film(self) -> None:
        self._camera, self._over = DoorCamera(3, fps=8), asyncio.Event()
        async with self._camera.serving() as self.url:
            self._up.set()
            await self._over.wait()

    def walk(self) -> None:
        """Somebody comes in."""
        self._loop.call_soon_threadsafe(self._camera.walk_through, "entered")

    def end(self) -> None:
        """Film no longer."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(DEADLINE_S)
        self._loop.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Agent:
    """`edge-agent run` with a camera that has no line yet."""

    def __init__(self, folder: Path, source: str) -> None:
        self.config, self.patch = folder / "store.yaml", folder / "var/cameras.patch.yaml"
        self.log = folder / "agent.log"
        self.api, self.page = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        ports = [int(url.rpartition(":")[2]) for url in (self.api, self.page)]
        agent = {"http": {"port": ports[0]}, "camera_page": {"enabled": True, "port": ports[1]}}
        values = {
            "store": {"id": "s1"},
            "agent": {"data_dir": "./var", **agent},
            "devices": [{"id": "cam-door", "driver": "camera", "source": source}],
        }
        self.config.write_text(yaml.safe_dump(values))

    def start(self) -> None:
        program = Path(sys.executable).parent / "edge-agent"
        with self.log.open("a") as log:
            self.process = subprocess.Popen([program, "run", "-c", self.config], stderr=log)
        wait_until(lambda: self.status()["devices"][0]["status"] == "online", "the camera to be online")

    def status(self) -> Any:
        try:
            with urllib.request.urlopen(f"{self.api}/v1/status", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            assert self.process.poll() is None, self.log.read_text()
            return {"devices": [{"status": "unknown"}]}

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(DEADLINE_S) == 0


@pytest.fixture
def door() -> Iterator[Door]:
    door = Door()
    yield door
    door.end()


@pytest.fixture
def agent(tmp_path: Path, door: Door) -> Iterator[Agent]:
    agent = Agent(tmp_path, door.url)
    agent.start()
    yield agent
    if agent.process.poll() is None:
        agent.stop()


def drag(page: Page, *points: tuple[float, float]) -> None:
    """With the mouse over the picture; points are shares of its width and height."""
    box = page.locator(".overlay").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place)
    page.mouse.up()


def test_a_line_drawn_with_the_mouse_is_kept_counted_with_and_there_after_a_restart(
    browser: Browser, agent: Agent, door: Door
) -> None:
    page = browser.new_page(locale="en-GB", viewport={"width": 1000, "height": 800})
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda told: complaints.append(told.text) if "Content Security" in told.text else None)
    page.goto(agent.page)
    expect(page.locator(".link.live")).to_be_visible(timeout=DEADLINE_S * 1000)
    picture = "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, 640, 480).data).size"
    assert page.locator("canvas").evaluate(picture) > 50, "the canvas has a picture"

    page.get_by_role("button", name="Line", exact=True).click()
    drag(page, (0.1, 0.5), (0.4, 0.52), (0.9, 0.55))
    expect(page.locator(".shape.line text").first).to_have_text("in")
    page.get_by_label("Name of the line").fill("front")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    (kept,) = yaml.safe_load(agent.patch.read_text())["devices"]
    (line,) = kept["footfall"]["lines"]
    assert line["id"] == "front"
    drawn = [*line["from"], *line["to"]]
    assert drawn == pytest.approx([64, 240, 576, 264], abs=2), "in pixels of the frame, not of the screen"

    expect(page.locator(".status.online")).to_be_visible()
    door.walk()
    expect(page.locator(".followed .box").first).to_be_visible(timeout=DEADLINE_S * 1000)
    expect(page.locator(".count")).to_have_text("1 in, 0 out", timeout=DEADLINE_S * 1000)
    assert re.search(r"cam-door drawn by 127\.0\.0\.1", agent.log.read_text())
    assert re.search(r"cam-door is shown to 127\.0\.0\.1", agent.log.read_text())

    agent.stop()
    agent.start()
    page.reload()
    expect(page.get_by_label("Name of the line")).to_have_value("front")
    expect(page.locator(".link.live")).to_be_visible(timeout=DEADLINE_S * 1000)
    page.close()
    assert complaints == []
