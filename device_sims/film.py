"""A drawn scene as a live MJPEG stream over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import numpy as np
from aiohttp import web
from numpy.typing import NDArray

JPEG_QUALITY = 80
BOUNDARY = "frame"

Pixels = NDArray[np.uint8]
Shot = Callable[[], Pixels]
"""Draws one BGR picture; called in a thread of the film."""

log = logging.getLogger(__name__)


class Film:
    """Draws a scene in real time, whether or not anyone watches; all watchers get the same frames.

    `stage` is called in the event loop with the film's time in seconds and takes what it needs of the state
    there; the shot that it returns is drawn beside the loop.
    """

    def __init__(self, stage: Callable[[float], Shot], *, path: str, fps: float) -> None:
        self.paused = False
        """While True no frame is sent; connections stay open and time goes on."""
        self._stage = stage
        self._path = path
        self._name = path.strip("/")
        self._fps = fps
        self._newest: tuple[int, bytes] = (-1, b"")
        self._published = asyncio.Condition()
        self._zero_s: float | None = None

    def now_s(self) -> float:
        """Seconds since filming began. RuntimeError unless it is being served."""
        if self._zero_s is None:
            raise RuntimeError("the camera does not film; use it inside `async with camera.serving()`")
        return asyncio.get_running_loop().time() - self._zero_s

    @asynccontextmanager
    async def serving(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Film and serve until the block ends; gives the stream's URL. `port` 0 takes a free one."""
        application = web.Application()
        application.router.add_get(self._path, self._stream)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, host, port)
            await site.start()
            bound = runner.addresses[0][1]
            self._zero_s = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as tasks:
                film = tasks.create_task(self._film(), name=f"film-{self._name}")
                try:
                    yield f"http://{host}:{bound}{self._path}"
                finally:
                    film.cancel()
        finally:
            await self._stop()
            await runner.cleanup()

    async def _stop(self) -> None:
        self._zero_s = None
        async with self._published:
            self._published.notify_all()

    async def _film(self) -> None:
        """Draw, encode once for all watchers, publish; a late frame is left out."""
        import cv2

        cv2.setNumThreads(1)  # for these small pieces OpenCV's workers cost more than they save
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, thread_name_prefix=f"film-{self._name}") as drawing:
            while True:
                number = int(self.now_s() * self._fps) + 1
                await asyncio.sleep(number / self._fps - self.now_s())
                shot = self._stage(number / self._fps)
                if self.paused:
                    continue
                jpeg = await loop.run_in_executor(drawing, _shoot, shot)
                async with self._published:
                    self._newest = (number, jpeg)
                    self._published.notify_all()

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
            log.debug("a watcher of %s left", self._name)
        return response

    async def _next_frame(self, after: int) -> tuple[int, bytes] | None:
        """The newest frame as soon as its number is beyond `after`; None when filming has ended."""
        async with self._published:
            await self._published.wait_for(lambda: self._newest[0] > after or self._zero_s is None)
            return self._newest if self._zero_s is not None else None


def _shoot(shot: Shot) -> bytes:
    import cv2

    done, jpeg = cv2.imencode(".jpg", shot(), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise RuntimeError("OpenCV could not encode a JPEG")
    return jpeg.tobytes()
