"""Drawings over the page's own API: checked, kept as a patch, told to the camera, taken back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from edge_agent.config.drawn import with_drawn
from tests.edge_agent.page.conftest import DOOR, seen, store

if TYPE_CHECKING:
    from tests.edge_agent.page.conftest import Page, Running

SLANTED = {"id": "slanted", "from": [1, 2], "to": [90.5, 70], "anchor": "centre"}
PLACE = [[1, 1], [20, 1], [20, 30], [1, 30]]


def patch(folder: Path) -> Path:
    return folder / "var/cameras.patch.yaml"


async def shapes_of(http: aiohttp.ClientSession, page: Page, camera: str = "cam-door") -> dict[str, Any]:
    async with http.get(f"{page.url}/v1/cameras/{camera}") as answer:
        assert answer.status == 200
        drawing: dict[str, Any] = await answer.json()
        return drawing


async def put(
    http: aiohttp.ClientSession,
    page: Page,
    shapes: Any,
    *,
    camera: str = "cam-door",
    revision: str | None = None,
) -> tuple[int, dict[str, Any]]:
    revision = revision or (await shapes_of(http, page, camera))["revision"]
    url, headers = f"{page.url}/v1/cameras/{camera}/drawing", {**page.origin, "If-Match": revision}
    sent = {"data": shapes} if isinstance(shapes, bytes) else {"json": shapes}
    async with http.put(url, headers=headers, **sent) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_drawn_line_is_kept_in_the_patch_and_the_camera_goes_on_with_it(
    running: Running, tmp_path: Path
) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        shapes = (await shapes_of(http, page))["shapes"]
        shapes["footfall"]["lines"].append(SLANTED)
        status, answer = await put(http, page, shapes)
    assert status == 200
    assert answer["is_drawn"]
    (camera,) = page.redrawn
    assert [(line.id, line.end, line.anchor) for line in camera.footfall.lines] == [
        ("door", [100, 50], "feet"),
        ("slanted", [90.5, 70], "centre"),
    ]
    assert camera.footfall.detections_per_s == 8, "what cannot be drawn stays as the file says"
    assert camera.source == DOOR["source"]
    kept = yaml.safe_load(patch(tmp_path).read_text())
    assert kept == {
        "devices": [
            {
                "id": "cam-door",
                "footfall": {
                    "lines": [{"id": "door", "from": [0, 50], "to": [100, 50], "anchor": "feet"}, SLANTED]
                },
            }
        ]
    }, "only what differs from the file"
    assert "secret" not in patch(tmp_path).read_text()
    (door, _) = with_drawn(store(tmp_path)).devices
    assert door == camera, "a restart finds it"


async def test_the_patch_says_on_what_size_of_picture_it_was_drawn(running: Running, tmp_path: Path) -> None:
    """So a camera that comes back with another size is fitted, and not counted at the wrong place."""
    async with running() as page, aiohttp.ClientSession() as http:
        page.views.of("cam-door").show(seen(), [])
        lines = {"footfall": {"lines": [SLANTED]}}
        status, answer = await put(http, page, {**lines, "drawn_on": [100, 79]})
        assert status == 422
        assert "100x80 now" in answer["detail"]
        assert (await put(http, page, {**lines, "drawn_on": [100, 80]}))[0] == 200
        assert page.redrawn[0].drawn_on == [100, 80]
        kept = yaml.safe_load(patch(tmp_path).read_text())["devices"][0]
        assert kept == {"id": "cam-door", "drawn_on": [100, 80], **lines}
        as_in_the_file = {"footfall": {"lines": DOOR["footfall"]["lines"]}, "drawn_on": [100, 80]}
        assert not (await put(http, page, as_in_the_file))[1]["is_drawn"], "a size alone is no drawing"


async def test_places_and_masks_are_kept_too_and_drawing_nothing_ends_the_duty(
    running: Running, tmp_path: Path
) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        drawn = {"masks": [], "footfall": {"lines": []}, "shelf_gap": {"facings": {"A1-02": PLACE}}}
        assert (await put(http, page, drawn))[0] == 200
    (camera,) = page.redrawn
    assert camera.footfall is None
    assert camera.masks == []
    assert camera.shelf_gap is not None
    assert camera.shelf_gap.facings == {"A1-02": PLACE}
    assert "- [20, 30]" in patch(tmp_path).read_text(), "a point in one line"


async def test_zones_of_the_file_outlive_all_lines_and_lend_a_line_no_id(
    running: Running, tmp_path: Path
) -> None:
    zone = {"id": "till", "polygon": PLACE}
    door = {**DOOR, "footfall": {**DOOR["footfall"], "zones": [zone]}}
    async with running(devices=[door]) as page, aiohttp.ClientSession() as http:
        status, answer = await put(http, page, {"footfall": {"lines": [{**SLANTED, "id": "till"}]}})
        assert (status, answer["detail"]) == (
            422,
            "zone id 'till' is used twice; ids are unique on a camera",
        )
        assert not patch(tmp_path).exists()
        assert (await put(http, page, {"footfall": {"lines": []}}))[0] == 200
    (camera,) = page.redrawn
    assert camera.footfall is not None
    assert ([zone.id for zone in camera.footfall.zones], camera.footfall.lines) == (["till"], [])


async def test_what_is_as_in_the_file_again_leaves_the_patch(running: Running, tmp_path: Path) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        before = (await shapes_of(http, page))["shapes"]
        assert (await put(http, page, {**before, "masks": []}))[0] == 200
        assert patch(tmp_path).exists()
        status, answer = await put(http, page, before)
        assert status == 200
        assert not answer["is_drawn"]
        assert not patch(tmp_path).exists()


async def test_a_discarded_drawing_leaves_those_of_other_cameras(running: Running, tmp_path: Path) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        for camera in ("cam-door", "cam-a"):
            drawn = {"masks": [PLACE], "footfall": {"lines": [SLANTED]}, "shelf_gap": {"facings": {}}}
            assert (await put(http, page, drawn, camera=camera))[0] == 200
        url = f"{page.url}/v1/cameras/cam-door/drawing"
        async with http.delete(url, headers=page.origin) as answer:
            assert answer.status == 200
            assert (await answer.json())["shapes"]["footfall"]["lines"][0]["id"] == "door"
    assert [device["id"] for device in yaml.safe_load(patch(tmp_path).read_text())["devices"]] == ["cam-a"]
    assert page.redrawn[-1] == store(tmp_path).devices[0]


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        ({"footfall": {"lines": [SLANTED, SLANTED]}}, "used twice"),
        ({"footfall": {"lines": [{"id": "a b", "from": [1, 2], "to": [3, 4]}]}}, "footfall.lines.0.id"),
        ({"footfall": {"lines": [{"id": "a", "from": [1, 2], "to": [1, 2]}]}}, "the same point"),
        ({"footfall": {"lines": [{"id": "a", "from": [1, 2], "to": [101, 4]}]}}, "outside the picture"),
        ({"footfall": {"lines": [{"id": "a", "from": [1, 2], "to": [3, -1]}]}}, "outside the picture"),
        ({"shelf_gap": {"facings": {"B9-99": PLACE}}}, "'B9-99' is not in facings"),
        ({"shelf_gap": {"facings": {"A1-01": PLACE[:2]}}}, "shelf_gap.facings.A1-01"),
        ({"masks": [[[0, 0], [5, 5]]]}, "masks.0"),
        ({"source": "file:///etc/passwd"}, "source"),
        ({"id": "cam-a", "extra": 1}, "extra"),
        ([], "valid dictionary"),
        (b"{", "valid dictionary"),
        (b'{"masks": [[[NaN, 0], [1, 1], [2, 2]]]}', "valid dictionary"),
        ({"masks": [[[1e999, 0], [1, 1], [2, 2]]]}, "dictionary"),
    ],
)
async def test_what_would_be_wrong_in_the_file_is_refused_and_changes_nothing(
    running: Running, tmp_path: Path, shapes: Any, why: str
) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        page.views.of("cam-door").show(seen(), [])
        status, answer = await put(http, page, shapes)
        assert status == 422
        assert why in answer["detail"]
        assert page.redrawn == []
        assert not patch(tmp_path).exists()


async def test_who_drew_on_an_older_picture_of_things_is_told(running: Running) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        old = (await shapes_of(http, page))["revision"]
        assert (await put(http, page, {"masks": [PLACE]}, revision=old))[0] == 200
        assert (await put(http, page, {"masks": []}, revision=old))[0] == 412
        assert len(page.redrawn) == 1


async def test_a_drawing_that_is_too_large_is_refused_before_it_is_read_whole(running: Running) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        assert (await put(http, page, b"[" * 70_000))[0] == 413


async def test_where_the_patch_cannot_be_written_nothing_changes(running: Running, tmp_path: Path) -> None:
    (tmp_path / "var").write_text("no folder")
    async with running() as page, aiohttp.ClientSession() as http:
        before = await shapes_of(http, page)
        status, answer = await put(http, page, {"masks": []})
        assert status == 503
        assert "cannot be written" in answer["detail"]
        assert await shapes_of(http, page) == before
        assert page.redrawn == []


async def test_a_file_left_by_a_loss_of_power_is_no_patch(running: Running, tmp_path: Path) -> None:
    """The patch is written beside its place and moved there whole."""
    (tmp_path / "var").mkdir()
    patch(tmp_path).with_suffix(".new").write_text("devices: [{id: cam-d")
    assert with_drawn(store(tmp_path)) == store(tmp_path)
    async with running() as page, aiohttp.ClientSession() as http:
        assert (await put(http, page, {"masks": []}))[0] == 200
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["cameras.patch.yaml"]


async def test_the_list_tells_neither_sources_nor_secrets(running: Running) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        for path in ("/v1/cameras", "/v1/cameras/cam-door"):
            async with http.get(page.url + path) as answer:
                assert "rtsp" not in await answer.text()


async def test_of_two_who_save_at_once_the_second_is_told(running: Running) -> None:
    async with running() as page, aiohttp.ClientSession() as http:
        revision = (await shapes_of(http, page))["revision"]
        answers = await asyncio.gather(
            *(put(http, page, {"masks": [[[0, 0], [x, 0], [x, 9]]]}, revision=revision) for x in (10, 20))
        )
        assert sorted(status for status, _ in answers) == [200, 412]
