"""The door camera of the simulated store: drawn visitors as a live MJPEG stream over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from random import Random

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

from device_sims.door_scene import DoorScene, Line
from device_sims.walk import Direction, Walk, random_walk

JPEG_QUALITY = 80
PATH = "/door.mjpeg"
BOUNDARY = "frame"

log = logging.getLogger(__name__)


class DoorCamera:
    """Draws the entrance in real time, whether or not anyone watches.

    The same seed and the same calls at the same times give the same pictures. `on_crossing` is called in
    the event loop with "entered" or "exited" at the moment the feet cross the line: it is the truth that a
    counter is scored against, and nothing of it is in the stream.
    """

    def __init__(self, seed: int, *, fps: float = 10.0, size: tuple[int, int] = (640, 480)) -> None:
        self.on_crossing: Callable[[str], None] = _nobody_asks
        self.paused = False
        """While True no frame is sent; connections stay open and people walk on."""
        self._fps = fps
        self._scene = DoorScene(seed, size=size)
        self._random = Random(seed)
        self._walks: list[Walk] = []
        self._crossings: set[asyncio.TimerHandle] = set()
        self._newest: tuple[int, bytes] = (-1, b"")
        self._published = asyncio.Condition()
        self._zero_s: float | None = None

    @property
    def line(self) -> Line:
        """The counting line ((x1, y1), (x2, y2)) in pixels, `from` first: downwards over it is *entered*."""
        return self._scene.line

    @property
    def busy(self) -> bool:
        """Whether anyone is on the way between street and shop."""
        return any(walk.under_way(self._now_s()) for walk in self._walks)

    def walk_through(self, direction: Direction) -> None:
        """Send one person on the way now. RuntimeError unless the camera is serving."""
        now = self._now_s()
        walk = random_walk(self._random, direction, now, self._walks)
        self._walks.append(walk)
        loop = asyncio.get_running_loop()

        def crossed() -> None:
            self._crossings.discard(handle)
            self.on_crossing(direction)

        handle = loop.call_later(walk.crosses_at_s - now, crossed)
        self._crossings.add(handle)

    def render(self, t_s: float) -> NDArray[np.uint8]:
        """The BGR picture (height, width, 3) at `t_s` of the camera's clock."""
        return self._scene.render(t_s, self._walks)

    @asynccontextmanager
    async def serving(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Film and serve until the block ends; gives the stream's URL. `port` 0 takes a free one."""
        application = web.Application()
        application.router.add_get(PATH, self._stream)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
            bound = runner.addresses[0][1]
            self._zero_s = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as tasks:
                film = tasks.create_task(self._film(), name="door-camera-film")
                try:
                    yield f"http://{host}:{bound}{PATH}"
                finally:
                    film.cancel()
        finally:
            await self._stop()
            await runner.cleanup()

    async def _stop(self) -> None:
        self._zero_s = None
        async with self._published:
            self._published.notify_all()
        self._walks.clear()
        for handle in self._crossings:
            handle.cancel()
        self._crossings.clear()

    def _now_s(self) -> float:
        if self._zero_s is None:
            raise RuntimeError("the camera does not film; use it inside `async with camera.serving()`")
        return asyncio.get_running_loop().time() - self._zero_s

    async def _film(self) -> None:
        """Draw, encode once for all watchers, publish; a late frame is left out."""
        import cv2

        cv2.setNumThreads(1)  # for these small pieces OpenCV's workers cost more than they save
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix="door-camera") as drawing:
            while True:
                number = int(self._now_s() * self._fps) + 1
                await asyncio.sleep(number / self._fps - self._now_s())
                now = number / self._fps
                self._walks = [walk for walk in self._walks if walk.ends_at_s > now]
                if self.paused:
                    continue
                jpeg = await loop.run_in_executor(drawing, self._shoot, now, tuple(self._walks))
                async with self._published:
                    self._newest = (number, jpeg)
                    self._published.notify_all()

    def _shoot(self, t_s: float, walks: Sequence[Walk]) -> bytes:
        import cv2

        done, jpeg = cv2.imencode(
            ".jpg", self._scene.render(t_s, walks), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        if not done:
            raise RuntimeError("OpenCV could not encode a JPEG")
        return jpeg.tobytes()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Every new frame to one watcher; a slow one gets the newest and misses those between."""
        response = web.StreamResponse(
            headers={
                "Content-Type": f"multipart/x-mixed-replace; boundary={BOUNDARY}",
                "Cache-Control": "no-store",
                "Connection": "close",
            }
        )
        await response.prepare(request)
        sent = -1
        try:
            while frame := await self._next_frame(sent):
                sent, jpeg = frame
                head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                await response.write(head.encode() + jpeg + b"\r\n")
        except ConnectionResetError:
            log.debug("a watcher of the door camera left")
        return response

    async def _next_frame(self, after: int) -> tuple[int, bytes] | None:
        """The newest frame as soon as its number is beyond `after`; None when filming has ended."""
        async with self._published:
            await self._published.wait_for(lambda: self._newest[0] > after or self._zero_s is None)
            return self._newest if self._zero_s is not None else None


def _nobody_asks(direction: str) -> None:
    del direction
