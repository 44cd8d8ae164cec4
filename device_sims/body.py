"""A clothed body as a mesh of tubes around the joints of `gait`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device_sims.gait import Joint, joints, stride_length
from device_sims.garments import SIDES, colour_of, tubes_of
from device_sims.looks import Looks

Floats = NDArray[np.float64]
OUTER_M = 0.05


@dataclass(frozen=True, slots=True)
class Body:
    """One visitor's tubes, ready to be posed: R rings of SIDES corners, F faces; lengths in body heights."""

    looks: Looks
    start: NDArray[np.intp]  # (R,) joints
    end: NDArray[np.intp]
    along: Floats  # (R, 1)
    axes: Floats  # (R, 3): half axis across, half axis forward, shift forward
    foot: NDArray[np.bool_]  # (R,) rings whose forward axis points up
    links: tuple[int, ...]  # rings that a tube joins to the following ring
    faces: NDArray[np.intp]  # (F, 4) corners
    colours: Floats  # (F, 3) BGR
    outer: Floats  # (F,) metres by which outer garments hang in front of what is under them

    def pose(
        self, distance_m: float, speed_mps: float, place: tuple[float, float], heading: Floats
    ) -> Floats:
        """Corners in the world (R * SIDES, 3) after `distance_m` of walking; `heading` is a unit (x, y)."""
        height = self.looks.height_m
        stride = stride_length(speed_mps, height)
        local = joints(2 * np.pi * distance_m / stride, stride / height)
        a, b = local[self.start], local[self.end]
        centres = a + (b - a) * self.along
        across, forth = self._frames(local, b - a)
        angle = np.arange(SIDES) * (2 * np.pi / SIDES)
        centres += forth * self.axes[:, 2:3]
        rim = (
            centres[:, None]
            + np.cos(angle)[None, :, None] * (across * self.axes[:, 0:1])[:, None]
            + np.sin(angle)[None, :, None] * (forth * self.axes[:, 1:2])[:, None]
        )
        corners = rim.reshape(-1, 3) * height
        forward, right = heading, np.array([heading[1], -heading[0]])
        world: Floats = np.empty_like(corners)
        world[:, :2] = place + corners[:, 0:1] * right + corners[:, 1:2] * forward
        world[:, 2] = corners[:, 2]
        return world

    def _frames(self, local: Floats, bones: Floats) -> tuple[Floats, Floats]:
        """Unit vectors across and forward of each ring, square to its bone."""
        turn = local[Joint.SHOULDER] - local[Joint.LEFT_SHOULDER]
        forward = np.array([-turn[1], turn[0], 0.0]) / np.hypot(turn[0], turn[1])
        along = bones / np.linalg.norm(bones, axis=1, keepdims=True)
        wanted = np.where(self.foot[:, None], np.array([0.0, 0.0, 1.0]), forward)
        forth = wanted - along * np.sum(wanted * along, axis=1, keepdims=True)
        forth /= np.linalg.norm(forth, axis=1, keepdims=True)
        return np.cross(forth, along), forth


def dress(looks: Looks) -> Body:
    """Build the body that `looks` describes."""
    tubes = tubes_of(looks)
    rings = [ring for tube in tubes for ring in tube]
    links, faces, colours, outer, first = [], [], [], [], 0
    for tube in tubes:
        for index in range(len(tube) - 1):
            links.append(first + index)
            for side in range(SIDES):
                low, after = (first + index) * SIDES, (side + 1) % SIDES
                faces.append((low + side, low + after, low + SIDES + after, low + SIDES + side))
                outer.append(
                    OUTER_M if tube[0].start is Joint.PELVIS and tube[index].material != "skin" else 0.0
                )
                colours.append(colour_of(looks, tube, index, side))
        first += len(tube)
    folds = np.random.default_rng(round(looks.height_m * 1e6)).normal(1.0, 0.035, (len(colours), 1))
    return Body(
        looks=looks,
        start=np.array([ring.start for ring in rings]),
        end=np.array([ring.end for ring in rings]),
        along=np.array([[ring.along] for ring in rings]),
        axes=np.array([[ring.across, ring.forth, ring.ahead] for ring in rings]),
        foot=np.array([ring.start in (Joint.HEEL, Joint.LEFT_HEEL) for ring in rings]),
        links=tuple(links),
        faces=np.array(faces),
        colours=np.array(colours, dtype=float) * folds,
        outer=np.array(outer),
    )
