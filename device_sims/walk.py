"""One visitor's way through the door: a smooth path over the floor at a steady pace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from device_sims.body import Body, dress
from device_sims.looks import random_looks

Direction = Literal["entered", "exited"]
Floats = NDArray[np.float64]

DOOR_Y_M = 7.6
LINE_Y_M = 4.7
LANES_M = (-0.85, -0.3, 0.3, 0.85)
"""Where along the counting line people cross it."""
FAR_M = 1.2
"""More room than this between two people is as good as an empty shop."""


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """A visitor on the way: where they are at each time of the camera's clock."""

    direction: Direction
    starts_at_s: float
    speed_mps: float
    body: Body
    path: Floats  # (n, 2) floor points, metres
    covered_m: Floats  # (n,) way from the start to each point

    @property
    def ends_at_s(self) -> float:
        """When the visitor has left the picture."""
        return self.starts_at_s + float(self.covered_m[-1]) / self.speed_mps

    @property
    def crosses_at_s(self) -> float:
        """When the point between the feet passes over the counting line."""
        depth = self.path[:, 1]
        passed = np.flatnonzero(np.diff(np.sign(depth - LINE_Y_M)))[0]
        share = (LINE_Y_M - depth[passed]) / (depth[passed + 1] - depth[passed])
        covered = self.covered_m[passed] + share * (self.covered_m[passed + 1] - self.covered_m[passed])
        return self.starts_at_s + float(covered) / self.speed_mps

    def under_way(self, t_s: float) -> bool:
        """Whether the visitor is somewhere between street and shop at `t_s`."""
        return self.starts_at_s <= t_s < self.ends_at_s

    def place(self, t_s: float) -> tuple[float, float]:
        """Floor point between the feet at `t_s`, metres."""
        x, y = self.places(np.array([t_s]))[0]
        return float(x), float(y)

    def places(self, t_s: Floats) -> Floats:
        """Floor points (n, 2) at the times `t_s` (n,)."""
        covered = (t_s - self.starts_at_s) * self.speed_mps
        return np.stack([np.interp(covered, self.covered_m, self.path[:, axis]) for axis in (0, 1)], axis=1)

    def corners(self, t_s: float) -> Floats:
        """The body's mesh in the world at `t_s`, as `Body.pose` gives it."""
        covered = (t_s - self.starts_at_s) * self.speed_mps
        here, before, after = self.places(t_s + np.array([0.0, -0.05, 0.05]))
        way = after - before
        return self.body.pose(covered, self.speed_mps, (here[0], here[1]), way / (np.hypot(*way) + 1e-9))


def random_walk(random: Random, direction: Direction, starts_at_s: float, others: Sequence[Walk]) -> Walk:
    """A visitor who starts now, on the way of a few tried that stays farthest from `others`."""
    body = dress(random_looks(random))
    speed = min(max(random.gauss(1.2, 0.15), 0.85), 1.6)
    lanes = random.sample(LANES_M * 2, k=2 * len(LANES_M))
    ways = [
        Walk(direction, starts_at_s, speed, body, path, _covered(path))
        for path in (_path(random, direction, lane + random.uniform(-0.12, 0.12)) for lane in lanes)
    ]
    return max(ways, key=lambda way: min([_room(way, other) for other in others], default=0.0))


def _path(random: Random, direction: Direction, lane_m: float) -> Floats:
    path = _smooth(_stations(random, lane_m))
    return path if direction == "entered" else path[::-1]


def _covered(path: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])


def _room(walk: Walk, other: Walk) -> float:
    """The least distance of two visitors, metres; sideways counts most, as the camera sees it."""
    start, end = max(walk.starts_at_s, other.starts_at_s), min(walk.ends_at_s, other.ends_at_s)
    if end <= start:
        return FAR_M
    times = np.linspace(start, end, 24)
    apart = np.abs(walk.places(times) - other.places(times))
    return min(float(np.hypot(apart[:, 0], 0.3 * apart[:, 1]).min()), FAR_M)


def _stations(random: Random, lane_m: float) -> list[tuple[float, float]]:
    """Floor points on the way in: street, door, line, shop."""
    at_door = min(max(lane_m * 0.8 + random.uniform(-0.1, 0.1), -0.8), 0.8)
    side = random.choice((-1.0, 0.0, 1.0))
    street = (side * 2.6, DOOR_Y_M + 1.2) if side else (at_door + random.uniform(-0.5, 0.5), DOOR_Y_M + 3.5)
    turn = (
        random.choice((-1.0, 0.0, 0.0, 1.0)) if abs(lane_m) < 0.5 else random.choice((0.0, np.sign(lane_m)))
    )
    inside = (lane_m + turn * 0.5, 2.8)
    shop = (lane_m + turn * 1.4, 0.4)
    return [
        street,
        (at_door, DOOR_Y_M + 0.3),
        (at_door * 0.6 + lane_m * 0.4, 6.4),
        (lane_m, LINE_Y_M),
        inside,
        shop,
    ]


def _smooth(stations: Sequence[tuple[float, float]]) -> Floats:
    """A Catmull-Rom curve through the stations, (n, 2)."""
    points = np.array([stations[0], *stations, stations[-1]])
    share = np.linspace(0, 1, 24, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(points, points[1:], points[2:], points[3:], strict=False):
        pieces.append(
            0.5
            * (
                2 * b
                + (c - a) * share
                + (2 * a - 5 * b + 4 * c - d) * share**2
                + (3 * b - a - 3 * c + d) * share**3
            )
        )
    return np.concatenate([*pieces, points[-1:]])
