"""A real camera page on a free port, over views that the tests show frames to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_agent.config.cameras import Camera
from edge_agent.config.store import StoreSettings
from edge_agent.contract.times import utc_now
from edge_agent.health import Condition
from edge_agent.page.server import CameraPageServer
from edge_agent.vision.capture import Frame
from edge_agent.vision.people import Seen
from edge_agent.vision.track import Track
from edge_agent.vision.view import Views

TOKEN = "0123456789abcdef-token"
DOOR: dict[str, Any] = {
    "id": "cam-door",
    "driver": "camera",
    "source": "rtsp://user:secret@10.0.0.9/door",
    "masks": [[[0, 0], [10, 0], [10, 10]]],
    "footfall": {"lines": [{"id": "door", "from": [0, 50], "to": [100, 50]}], "detections_per_s": 8},
}


def store(folder: Path, page: dict[str, Any] | None = None, **more: Any) -> StoreSettings:
    """A store with two cameras and two facings."""
    cola = "06901234567892"
    values = {
        "store": {"id": "s1", "name": "<b>One</b>"},
        "agent": {
            "data_dir": str(folder / "var"),
            "camera_page": {"enabled": True, "port": 0, **(page or {})},
        },
        "products": [{"gtin": cola, "name": "Cola"}],
        "facings": [{"id": f, "gtin": cola, "capacity": 9} for f in ("A1-01", "A1-02")],
        "devices": [DOOR, {"id": "cam-a", "driver": "camera", "source": "usb:0"}],
    }
    return StoreSettings.model_validate({**values, **more})


def seen(*, width: int = 100, height: int = 80, boxes: int = 1) -> Seen:
    """A grey frame with people who are followed."""
    box = (10.0, 20.0, 30.0, 70.0)
    found = np.array([[*box, 0.9]] * boxes, np.float32).reshape(-1, 5)
    picture = np.full((height, width, 3), 90, np.uint8)
    tracks = [Track(n + 1, box, 0.0, confirmed=True) for n in range(boxes)]
    return Seen(Frame(picture, 0.0, utc_now()), found, tracks)


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for what another task makes true."""
    async with asyncio.timeout(5):
        while True:
            if is_true():
                return
            await asyncio.sleep(0.01)


@dataclass
class Page:
    """The running page and what it told of."""

    server: CameraPageServer
    views: Views
    conditions: dict[str, Condition]
    redrawn: list[Camera] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def origin(self) -> dict[str, str]:
        """What a browser says when a page of ours asks."""
        return {"Origin": self.url}


Running = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture
def running(tmp_path: Path) -> Running:
    """`async with running({"token_file": …}) as page`."""

    @asynccontextmanager
    async def run(page: dict[str, Any] | None = None, **more: Any) -> AsyncIterator[Page]:
        settings, views, redrawn = store(tmp_path, page, **more), Views(), list[Camera]()
        conditions = {d.id: Condition(d.id, "camera", "online", None, utc_now()) for d in settings.devices}
        server = CameraPageServer(settings, views, conditions=conditions, redrawn=redrawn.append)
        async with server:
            yield Page(server, views, conditions, redrawn)

    return run


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """The page's token."""
    path = tmp_path / "page.token"
    path.write_text(TOKEN + "\n")
    return path
