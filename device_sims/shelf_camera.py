"""The shelf camera of the simulated store: a drawn rack as a live stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from device_sims.film import Film, Shot
from device_sims.shelf_layout import Spot
from device_sims.shelf_scene import Corner, ShelfScene

PATH = "/shelf.mjpeg"


class ShelfCamera:
    """Draws a rack in real time with as many items as `counts` says, whether or not anyone watches.

    `counts` is called in the event loop for every frame: items of each facing, see `ShelfScene.render`.
    """

    def __init__(
        self,
        seed: int,
        spots: Sequence[Spot],
        counts: Callable[[], Mapping[str, int]],
        *,
        fps: float = 2.0,
        size: tuple[int, int] = (1280, 720),
    ) -> None:
        self._scene = ShelfScene(seed, spots, size)
        self._counts = counts
        self._film = Film(self._stage, path=PATH, fps=fps)

    @property
    def paused(self) -> bool:
        """While True no frame is sent; connections stay open."""
        return self._film.paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._film.paused = paused

    def polygon(self, facing: str) -> list[Corner]:
        """The corners of a facing's place in pixels, clockwise from the top left. KeyError if it has none."""
        return self._scene.polygon(facing)

    @asynccontextmanager
    async def serving(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Film and serve until the block ends; gives the stream's URL. `port` 0 takes a free one."""
        async with self._film.serving(host, port) as url:
            yield url

    def _stage(self, t_s: float) -> Shot:
        return partial(self._scene.render, t_s, dict(self._counts()))
