"""What a browser gets of a camera, how many may look, and that each look is logged."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import numpy as np
import pytest

from edge_agent.contract.times import utc_now
from edge_agent.page.viewing import LEFT_OUT, MOST_WATCHERS
from edge_agent.readings import DeviceDegraded, GapSeen, LineCrossing
from edge_agent.service import metrics
from edge_agent.vision.view import WIDEST_PX, CameraView
from tests.edge_agent.page.conftest import seen, until

if TYPE_CHECKING:
    from tests.edge_agent.page.conftest import Page, Running


def view_of(http: aiohttp.ClientSession, page: Page, camera: str = "cam-door") -> Any:
    return http.ws_connect(f"{page.url}/v1/cameras/{camera}/view", headers=page.origin)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def picture_of(socket: aiohttp.ClientWebSocketResponse) -> tuple[dict[str, Any], np.ndarray]:
    """The next frame's facts and its decoded picture."""
    import cv2

    async with asyncio.timeout(5):
        facts = await socket.receive_json()
        while facts["kind"] != "frame":
            facts = await socket.receive_json()
        return facts, cv2.imdecode(np.frombuffer(await socket.receive_bytes(), np.uint8), cv2.IMREAD_COLOR)


async def test_each_frame_comes_with_what_was_seen_in_that_very_frame(running: Running) -> None:
    async with running() as page, aiohttp.ClientSession() as http, view_of(http, page) as socket:
        view = page.views.of("cam-door")
        crossing = LineCrossing("cam-door", "door", "entered", utc_now())
        view.show(seen(boxes=2), [crossing, GapSeen("cam-door", "A1-01", 0.25, True)])
        facts, picture = await picture_of(socket)
        assert facts["size"] == [100, 80]
        assert picture.shape == (80, 100, 3)
        assert [track["id"] for track in facts["tracks"]] == [1, 2]
        assert facts["boxes"][0][:4] == [10, 20, 30, 70]
        assert facts["crossed"] == {"door": [1, 0]}
        assert facts["places"] == {"A1-01": {"gap": True, "fill": 0.25}}


async def test_who_is_slower_than_the_camera_gets_the_newest_frame_next(running: Running) -> None:
    async with running() as page, aiohttp.ClientSession() as http, view_of(http, page) as socket:
        view = page.views.of("cam-door")
        view.show(seen(), [])
        assert (await picture_of(socket))[0]["number"] == 1
        for _ in range(20):
            view.show(seen(), [])
        assert (await picture_of(socket))[0]["number"] == 21


async def test_a_wide_picture_is_shown_smaller_and_its_coordinates_stay_the_frames(running: Running) -> None:
    async with running() as page, aiohttp.ClientSession() as http, view_of(http, page) as socket:
        page.views.of("cam-door").show(seen(width=1920, height=1080), [])
        facts, picture = await picture_of(socket)
        assert facts["size"] == [1920, 1080]
        assert picture.shape == (720, WIDEST_PX, 3)


async def test_each_view_is_logged_at_its_start_and_end_and_counted(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    counted = ("edge_camera_views_total", {"device": "cam-door"})
    before = metrics.REGISTRY.get_sample_value(*counted) or 0
    async with running() as page, aiohttp.ClientSession() as http:
        async with view_of(http, page) as socket:
            for _ in range(3):
                page.views.of("cam-door").show(seen(), [])
                await picture_of(socket)
        await until(lambda: not page.views.watchers)
    said = [r.getMessage() for r in caplog.records if r.name == "edge_agent.page.viewing"]
    who = "127.0.0.1 (session without a token)"
    assert said[0] == f"camera page: cam-door is shown to {who}"
    assert re.fullmatch(re.escape(f"camera page: cam-door was shown to {who}") + r" for \d+ s", said[1])
    assert len(said) == 2, "one line at the start, one at the end, none for each frame"
    assert (metrics.REGISTRY.get_sample_value(*counted) or 0) == before + 1


async def test_four_may_look_and_the_fifth_is_told_so(running: Running) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        sockets = [await view_of(http, page, camera) for camera in ("cam-door", "cam-a") * 2]
        for socket in sockets:
            assert (await socket.receive_json())["kind"] == "state"
        assert page.views.watchers == MOST_WATCHERS
        async with view_of(http, page) as fifth:
            assert (await fifth.receive()).data == LEFT_OUT
        await sockets[0].close()
        await until(lambda: page.views.watchers < MOST_WATCHERS)
        async with view_of(http, page) as again:
            assert (await again.receive_json())["kind"] == "state"
        for socket in sockets:
            await socket.close()


async def test_a_camera_without_frames_shows_its_state_and_a_change_of_it(running: Running) -> None:
    async with running() as page, aiohttp.ClientSession() as http, view_of(http, page) as socket:
        assert await socket.receive_json() == {"kind": "state", "status": "online", "reason": None}
        lost = replace(page.conditions["cam-door"], status="offline", reason="no frame")
        page.conditions["cam-door"] = lost
        async with asyncio.timeout(5):
            assert await socket.receive_json() == {"kind": "state", "status": "offline", "reason": "no frame"}


async def test_a_stop_says_goodbye_to_those_who_look(running: Running) -> None:
    async with aiohttp.ClientSession() as http:
        async with running() as page:
            socket = await view_of(http, page)
            await socket.receive_json()
        async with asyncio.timeout(5):
            assert (await socket.receive()).data == aiohttp.WSCloseCode.GOING_AWAY


async def test_nothing_is_encoded_while_nobody_looks_and_once_for_all_who_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import cv2

    encode, encoded = cv2.imencode, list[int]()
    monkeypatch.setattr(cv2, "imencode", lambda *given: (encoded.append(1), encode(*given))[1])
    view = CameraView()
    for _ in range(5):
        view.show(seen(), [])
    assert encoded == []
    look = await view.after(0)
    one, other = await asyncio.gather(view.jpeg(look), view.jpeg(look))
    assert one == other
    assert encoded == [1]


async def test_nothing_that_was_shown_is_in_any_file(running: Running, tmp_path: Path) -> None:
    async with running() as page, aiohttp.ClientSession() as http, view_of(http, page) as socket:
        page.views.of("cam-door").show(seen(), [])
        await picture_of(socket)
    assert files(tmp_path) == []


async def test_a_cleared_view_shows_nothing_until_the_next_frame() -> None:
    """What a new mask hides may be in the old frame."""
    view = CameraView()
    view.show(seen(), [])
    view.clear()
    assert view.newest is None
    waiting = asyncio.ensure_future(view.after(0))
    await asyncio.sleep(0)
    assert not waiting.done()
    view.show(seen(), [])
    assert (await waiting).number == 2


async def test_what_a_driver_of_before_a_new_mask_still_has_is_never_shown() -> None:
    view = CameraView()
    old = view.shower()
    old(seen(), [])
    look = await view.after(0)
    view.clear()
    old(seen(), [])
    assert view.newest is None
    assert await view.jpeg(look) is None
    view.shower()(seen(), [])
    assert view.newest is not None


def test_a_degraded_camera_shows_no_verdicts_of_before() -> None:
    view = CameraView()
    view.show(seen(), [GapSeen("cam-a", "A1-01", 0.9, gap=False)])
    assert view.places
    view.show(seen(), [DeviceDegraded("cam-a", "the camera has been moved")])
    assert view.places == {}
