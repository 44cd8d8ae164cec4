from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from random import Random
from typing import Any

import aiohttp
import numpy as np
import pytest

from device_sims.camera import DoorCamera
from device_sims.door_scene import DoorScene
from device_sims.walk import Direction, Walk, random_walk

SCENE = DoorScene(1)


def walks(seed: int, count: int) -> list[Walk]:
    random, coming = Random(seed), []
    for index in range(count):
        direction: Direction = "entered" if index % 2 == 0 else "exited"
        coming.append(random_walk(random, direction, index * 0.7, coming))
    return coming


def right_of_line(scene: DoorScene, x: float, y: float) -> float:
    """(to - from) x (p - from): positive on the right, as the interface defines it."""
    (x1, y1), (x2, y2) = scene.line
    return (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)


def test_the_same_seed_and_time_give_the_same_bytes() -> None:
    again = DoorScene(1)
    for t_s in (0.0, 2.5, 4.1):
        assert np.array_equal(SCENE.render(t_s, walks(8, 3)), again.render(t_s, walks(8, 3)))
    assert not np.array_equal(SCENE.render(2.5, walks(8, 3)), SCENE.render(2.5, walks(9, 3)))


def test_an_empty_entrance_still_has_sensor_noise() -> None:
    one, other = SCENE.render(0.0, []).astype(int), SCENE.render(0.1, []).astype(int)
    assert one.shape == (480, 640, 3)
    assert 1.0 < np.abs(one - other).mean() < 8.0


@pytest.mark.parametrize("seed", range(8))
def test_the_feet_are_on_the_line_at_the_true_crossing_and_on_its_right_sides_around_it(seed: int) -> None:
    for walk in walks(seed, 4):
        sides = []
        for t_s in (walk.crosses_at_s - 0.5, walk.crosses_at_s, walk.crosses_at_s + 0.5):
            x, y = SCENE.view.pixel(*walk.place(t_s))
            assert SCENE.line[0][0] < x < SCENE.line[1][0]
            sides.append((right_of_line(SCENE, x, y), abs(y - SCENE.line[0][1])))
        (before, _), (_, off_line_px), (after, _) = sides
        assert off_line_px <= 1.0
        assert (before < 0 < after) if walk.direction == "entered" else (after < 0 < before)


@pytest.mark.parametrize("seed", range(8))
def test_every_walk_begins_and_ends_out_of_sight(seed: int) -> None:
    for walk in walks(seed, 4):
        seen = [
            np.abs(SCENE.render(t_s, [walk]).astype(int) - SCENE.render(t_s, []).astype(int)).max()
            for t_s in (walk.starts_at_s, walk.ends_at_s - 0.01)
        ]
        shop_end = seen[1] if walk.direction == "entered" else seen[0]
        assert shop_end == 0


def test_a_visitor_changes_only_the_part_of_the_picture_around_them() -> None:
    walk = walks(5, 1)[0]
    t_s = walk.crosses_at_s
    changed = np.argwhere((SCENE.render(t_s, [walk]) != SCENE.render(t_s, [])).any(axis=2))
    (top, left), (bottom, right) = changed.min(axis=0), changed.max(axis=0)
    assert 80 < bottom - top < 260
    assert 20 < right - left < 200


def test_two_people_at_once_keep_apart() -> None:
    for seed in range(12):
        first, second = walks(seed, 2)
        together = np.linspace(second.starts_at_s, min(first.ends_at_s, second.ends_at_s), 50)
        apart = np.hypot(*(first.places(together) - second.places(together)).T)
        assert apart.min() > 0.45


async def frames(url: str) -> AsyncGenerator[bytes, None]:
    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        assert reply.content_type == "multipart/x-mixed-replace"
        while True:
            assert await reply.content.readline() == b"--frame\r\n"
            head = await reply.content.readuntil(b"\r\n\r\n")
            length = int(head.split(b"Content-Length:")[1].split()[0])
            yield await reply.content.readexactly(length)
            assert await reply.content.readline() == b"\r\n"


async def some(stream: AsyncGenerator[bytes, None], count: int, *, within_s: float) -> list[bytes]:
    async with asyncio.timeout(within_s):
        return [await anext(stream) for _ in range(count)]


def watch(url: str, wanted: int) -> list[tuple[int, ...]]:
    import cv2

    video = cv2.VideoCapture(url)
    shapes: list[Any] = []
    while len(shapes) < wanted:
        good, picture = video.read()
        assert good
        shapes.append(picture.shape)
    video.release()
    return shapes


async def test_opencv_reads_the_stream_and_the_truth_comes_at_the_crossing() -> None:
    camera = DoorCamera(3, fps=10)
    crossings: asyncio.Queue[str] = asyncio.Queue()
    camera.on_crossing = crossings.put_nowait
    async with camera.serving() as url:
        assert not camera.busy
        camera.walk_through("exited")
        assert camera.busy
        walk = camera._walks[0]
        shapes = await asyncio.to_thread(watch, url, 20)
        assert shapes == [(480, 640, 3)] * 20
        async with asyncio.timeout(10):
            assert await crossings.get() == "exited"
        assert camera._now_s() == pytest.approx(walk.crosses_at_s, abs=0.25)
        assert camera.busy
    assert not camera.busy


async def test_all_watchers_get_the_same_frames_at_the_frame_rate() -> None:
    camera = DoorCamera(3, fps=20)
    async with camera.serving() as url, asyncio.timeout(10):
        async with aclosing(frames(url)) as one, aclosing(frames(url)) as other:
            both = [(await anext(one), await anext(other)) for _ in range(12)]
        mine, theirs = ({pair[side] for pair in both} for side in (0, 1))
        assert len(mine) == 12
        assert len(mine & theirs) >= 10


async def test_a_paused_camera_sends_nothing_and_then_goes_on() -> None:
    camera = DoorCamera(3, fps=20)
    async with camera.serving() as url:
        async with aclosing(frames(url)) as stream:
            await anext(stream)
            camera.paused = True
            with pytest.raises(TimeoutError):
                await some(stream, 3, within_s=0.5)
        camera.paused = False
        async with aclosing(frames(url)) as stream, asyncio.timeout(5):
            assert (await anext(stream)).startswith(b"\xff\xd8")


async def test_nobody_walks_before_the_camera_films() -> None:
    with pytest.raises(RuntimeError, match="serving"):
        DoorCamera(3).walk_through("entered")
