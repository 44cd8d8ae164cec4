"""The camera page in a real browser: a real agent watches a simulated door, a line is drawn with the mouse."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from playwright.sync_api import expect

from device_sims.camera import DoorCamera
from tests.browser.conftest import DEADLINE_S, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TOKEN = "a-token-of-this-test-only"
IS_LIT = """canvas => {
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return data.filter((shade, n) => n % 4 < 3 && shade > 60).length > data.length / 10;
}"""


class Door:
    """A filmed door in a thread of its own: Playwright needs this one."""

    def __init__(self) -> None:
        self.camera = DoorCamera(5, fps=10)
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._is_up, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._film(),))

    def __enter__(self) -> Door:
        self._thread.start()
        assert self._is_up.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    def enter(self) -> None:
        """Somebody comes in from the street."""
        self._loop.call_soon_threadsafe(self.camera.walk_through, "entered")

    async def _film(self) -> None:
        async with self.camera.serving() as self.url:
            self._is_up.set()
            await self._stop.wait()


class Agent:
    """`edge-agent run` as its own process, with the camera page on one port."""

    def __init__(self, folder: Path, source: str) -> None:
        self.folder, self.config = folder, folder / "store.yaml"
        with socket.socket() as probe, socket.socket() as other:
            for one in (probe, other):
                one.bind(("127.0.0.1", 0))
            self.port, self._http = probe.getsockname()[1], other.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._source = source

    def write(self, **page: object) -> None:
        """A store with one camera that is to do nothing yet."""
        camera = {"id": "cam-door", "driver": "camera", "source": self._source, "model": {"name": "coco-ssd"}}
        agent = {
            "data_dir": "./var",
            "http": {"port": self._http},
            "camera_page": {"enabled": True, "port": self.port, **page},
        }
        self.config.write_text(yaml.safe_dump({"store": {"id": "s1"}, "agent": agent, "devices": [camera]}))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Until the block ends, by SIGTERM."""
        command = [str(Path(sys.executable).parent / "edge-agent"), "run", "-c", str(self.config)]
        with (self.folder / "agent.log").open("a") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                wait_until(self._answers, "the camera page")
                yield
                process.terminate()
                assert process.wait(DEADLINE_S) == 0
            finally:
                process.kill()
                process.wait()

    @property
    def log(self) -> str:
        """What it said until now."""
        return (self.folder / "agent.log").read_text()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A tab that must not report an error, the policy's refusals among them."""
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
    page, complaints = context.new_page(), list[str]()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield page
    context.close()
    gone = ("ERR_CONNECTION_REFUSED", "401 (Unauthorized)", "WebSocket")  # stopped, and not logged in yet
    assert [text for text in complaints if not any(word in text for word in gone)] == []


def drag(page: Page, line: tuple[tuple[float, float], tuple[float, float]], size: tuple[int, int]) -> float:
    """Draw with the mouse from one point of the frame to the other; how many pixels one of the frame is."""
    box = page.locator("svg.overlay").bounding_box()
    assert box is not None
    scale = box["width"] / size[0]
    (x1, y1), (x2, y2) = ((box["x"] + x * scale, box["y"] + y * box["height"] / size[1]) for x, y in line)
    page.mouse.move(x1, y1)
    page.mouse.down()
    page.mouse.move((x1 + x2) / 2, (y1 + y2) / 2)
    page.mouse.move(x2, y2)
    page.mouse.up()
    return scale


def test_a_line_drawn_with_the_mouse_counts_at_once_and_after_a_restart(tab: Page, tmp_path: Path) -> None:
    token = tmp_path / "page.token"
    token.write_text(TOKEN)
    patch = tmp_path / "var/cameras.patch.yaml"
    with Door() as door:
        agent = Agent(tmp_path, door.url)
        agent.write()
        with agent.running():
            tab.goto(agent.url)
            expect(tab.locator(".status")).to_have_text("Online", timeout=15_000)
            tab.wait_for_function(f"({IS_LIT})(document.querySelector('.stage canvas'))")
            tab.get_by_role("button", name="Line", exact=True).click()
            scale = drag(tab, door.camera.line, (640, 480))
            assert abs(scale - 1) > 0.1, "shown in another size than the frame's"
            tab.get_by_label("Name of the line").fill("entrance")
            tab.get_by_role("button", name="Save").click()
            expect(tab.locator(".save .said")).to_have_text("Saved. The camera follows it now.")
            (drawn,) = yaml.safe_load(patch.read_text())["devices"]
            assert (drawn["id"], drawn["drawn_on"]) == ("cam-door", [640, 480])
            (line,) = drawn["footfall"]["lines"]
            assert line["id"] == "entrance"
            assert [line["from"], line["to"]] == [pytest.approx(point, abs=1) for point in door.camera.line]

            expect(tab.locator(".shape.line text").first).to_be_visible()
            door.enter()
            expect(tab.locator(".seen rect").first).to_be_visible(timeout=15_000)
            expect(tab.locator(".followed .box").first).to_be_visible(timeout=15_000)
            expect(tab.locator(".count")).to_have_text("1 in, 0 out", timeout=15_000)

        agent.write(token_file=str(token))
        with agent.running():
            tab.goto(agent.url)
            tab.get_by_label("Token of the camera page").fill(TOKEN)
            tab.get_by_role("button", name="Log in").click()
            expect(tab.get_by_label("Name of the line")).to_have_value("entrance")
            expect(tab.locator(".shape.line text").first).to_be_visible(timeout=15_000)
            assert TOKEN not in tab.url
    said = agent.log
    assert len(re.findall(r"cam-door is shown to 127\.0\.0\.1", said)) == 2
    assert len(re.findall(r"cam-door was shown to 127\.0\.0\.1", said)) == 2
    assert "drawn by 127.0.0.1" in said
    assert TOKEN not in said
