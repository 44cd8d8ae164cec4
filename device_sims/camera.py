"""The door camera of the simulated store: drawn visitors as a live stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import numpy as np
from numpy.typing import NDArray

from device_sims.door_scene import DoorScene, Line
from device_sims.film import Film, Shot
from device_sims.walk import Direction, Walk, random_walk

PATH = "/door.mjpeg"


class DoorCamera:
    """Draws the entrance in real time, whether or not anyone watches.

    The same seed and the same calls at the same times give the same pictures. `on_crossing` is called in
    the event loop with "entered" or "exited" at the moment the feet cross the line: it is the truth that a
    counter is scored against, and nothing of it is in the stream.
    """

    def __init__(self, seed: int, *, fps: float = 10.0, size: tuple[int, int] = (640, 480)) -> None:
        self.on_crossing: Callable[[str], None] = _nobody_asks
        self._scene = DoorScene(seed, size=size)
        self._film = Film(self._stage, path=PATH, fps=fps)
        self._random = Random(seed)
        self._walks: list[Walk] = []
        self._crossings: set[asyncio.TimerHandle] = set()

    @property
    def line(self) -> Line:
        """The counting line ((x1, y1), (x2, y2)) in pixels, `from` first: downwards over it is *entered*."""
        return self._scene.line

    @property
    def paused(self) -> bool:
        """While True no frame is sent; connections stay open and people walk on."""
        return self._film.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._film.paused = paused

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
        try:
            async with self._film.serving(host, port) as url:
                yield url
        finally:
            self._walks.clear()
            for handle in self._crossings:
                handle.cancel()
            self._crossings.clear()

    def _now_s(self) -> float:
        return self._film.now_s()

    def _stage(self, t_s: float) -> Shot:
        self._walks = [walk for walk in self._walks if walk.ends_at_s > t_s]
        return partial(self._scene.render, t_s, tuple(self._walks))


def _nobody_asks(direction: str) -> None:
    del direction
