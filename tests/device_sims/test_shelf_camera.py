from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import aiohttp
import numpy as np
import pytest
from numpy.typing import NDArray

from device_sims.shelf_camera import ShelfCamera
from device_sims.shelf_layout import Spot

SPOTS = [
    Spot("A1-01", "A1-S1", 0.0, 180.0, 12, "06901234100013"),
    Spot("A1-02", "A1-S1", 180.0, 180.0, 12, "06901234101386"),
]
FULL = {"A1-01": 12, "A1-02": 12}


async def pictures(url: str) -> AsyncGenerator[NDArray[np.uint8], None]:
    import cv2

    async with aiohttp.ClientSession() as session, session.get(url) as reply:
        assert reply.content_type == "multipart/x-mixed-replace"
        while True:
            assert await reply.content.readline() == b"--frame\r\n"
            head = await reply.content.readuntil(b"\r\n\r\n")
            jpeg = await reply.content.readexactly(int(head.split(b"Content-Length:")[1].split()[0]))
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
            yield np.asarray(picture, np.uint8)
            assert await reply.content.readline() == b"\r\n"


async def some(stream: AsyncGenerator[NDArray[np.uint8], None], count: int, *, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        for _ in range(count):
            await anext(stream)


def place(camera: ShelfCamera, facing: str, picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    (left, top), _, (right, bottom), _ = camera.polygon(facing)
    return picture[top:bottom, left:right].astype(np.int64)


async def test_the_stream_shows_what_the_counts_say() -> None:
    counts = dict(FULL)
    camera = ShelfCamera(1, SPOTS, lambda: counts, fps=10, size=(640, 360))
    async with camera.serving() as url, asyncio.timeout(20):
        assert url.endswith("/shelf.mjpeg")
        async with aclosing(pictures(url)) as stream:
            before = await anext(stream)
            assert before.shape == (360, 640, 3)
            counts["A1-02"] = 0
            async for picture in stream:
                gone = np.abs(place(camera, "A1-02", picture) - place(camera, "A1-02", before))
                if gone.mean() > 20:
                    break
            kept = np.abs(place(camera, "A1-01", picture) - place(camera, "A1-01", before))
            assert kept.mean() < 8


async def test_a_paused_camera_sends_nothing_and_then_goes_on() -> None:
    camera = ShelfCamera(1, SPOTS, lambda: FULL, fps=20, size=(640, 360))
    async with camera.serving() as url:
        async with aclosing(pictures(url)) as stream:
            await anext(stream)
            camera.paused = True
            with pytest.raises(TimeoutError):
                await some(stream, 3, within_s=0.5)
        camera.paused = False
        async with aclosing(pictures(url)) as stream, asyncio.timeout(10):
            await anext(stream)


async def test_two_cameras_film_at_once() -> None:
    one, other = (ShelfCamera(seed, SPOTS, lambda: FULL, fps=5, size=(320, 240)) for seed in (1, 2))
    async with (
        asyncio.timeout(20),
        one.serving() as url,
        other.serving() as other_url,
        aclosing(pictures(url)) as stream,
        aclosing(pictures(other_url)) as other_stream,
    ):
        assert not np.array_equal(await anext(stream), await anext(other_stream))
