"""A clothed body as a mesh of tubes around the joints of `gait`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from device_sims.gait import Joint, joints, stride_length
from device_sims.looks import Bgr, Looks

Floats = NDArray[np.float64]

SIDES = 12
"""Corners of every ring; corner 0 points to the body's right, corner SIDES / 4 forward."""


class Ring(NamedTuple):
    """A ring `along` a bone (0 start, 1 end), moved `ahead`, with half axes across and forward."""

    start: Joint
    end: Joint
    along: float
    across: float
    forth: float
    material: str
    ahead: float = 0.0


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
        across = np.cross(forth, along)
        across *= np.where(across[:, 0:1] < 0, -1.0, 1.0)
        return across, forth


def dress(looks: Looks) -> Body:
    """Build the body that `looks` describes."""
    tubes = list(_tubes(looks))
    rings = [ring for tube in tubes for ring in tube]
    links, faces, colours, first = [], [], [], 0
    for tube in tubes:
        for index in range(len(tube) - 1):
            links.append(first + index)
            for side in range(SIDES):
                low, after = (first + index) * SIDES, (side + 1) % SIDES
                faces.append((low + side, low + after, low + SIDES + after, low + SIDES + side))
                colours.append(_colour(looks, tube[index], tube[index + 1], side))
        first += len(tube)
    return Body(
        looks=looks,
        start=np.array([ring.start for ring in rings]),
        end=np.array([ring.end for ring in rings]),
        along=np.array([[ring.along] for ring in rings]),
        axes=np.array([[ring.across, ring.forth, ring.ahead] for ring in rings]),
        foot=np.array([ring.start in (Joint.HEEL, Joint.LEFT_HEEL) for ring in rings]),
        links=tuple(links),
        faces=np.array(faces),
        colours=np.array(colours, dtype=float),
    )


def _tubes(looks: Looks) -> Iterable[list[Ring]]:
    yield _torso(looks.build)
    yield _head(looks)
    if looks.hair_cut == "long":
        yield _mane()
    if looks.legwear == "skirt":
        yield _skirt(looks.build)
    if looks.carries == "backpack":
        yield _backpack()
    for side in (0, Joint.LEFT_HIP - Joint.HIP):
        yield _leg(looks, side)
        yield _shoe(side)
        yield _arm(looks, side)
    if looks.carries == "tote":
        yield _tote()


def _torso(build: float) -> list[Ring]:
    lower, upper = (Joint.PELVIS, Joint.WAIST), (Joint.WAIST, Joint.NECK)
    profile = (
        (lower, -0.52, 0.030, 0.030, "bottom"),
        (lower, -0.40, 0.076, 0.060, "bottom"),
        (lower, -0.16, 0.094, 0.070, "bottom"),
        (lower, -0.14, 0.102, 0.076, "top"),
        (lower, 0.20, 0.099, 0.072, "top"),
        (lower, 0.60, 0.090, 0.064, "top"),
        (upper, 0.00, 0.084, 0.060, "top"),
        (upper, 0.25, 0.089, 0.063, "top"),
        (upper, 0.50, 0.098, 0.066, "top"),
        (upper, 0.68, 0.104, 0.064, "top"),
        (upper, 0.82, 0.106, 0.056, "top"),
        (upper, 0.90, 0.099, 0.047, "top"),
        (upper, 0.96, 0.070, 0.041, "top"),
        (upper, 1.00, 0.036, 0.036, "skin"),
        (upper, 1.22, 0.031, 0.033, "skin"),
    )
    return [
        Ring(
            *bone, along, across * (build if along < 1 else 1), forth * (build if along < 1 else 1), material
        )
        for bone, along, across, forth, material in profile
    ]


def _head(looks: Looks) -> list[Ring]:
    profile = (
        (-0.06, 0.010, 0.014, 0.004),
        (0.00, 0.022, 0.028, 0.006),
        (0.12, 0.033, 0.042, 0.003),
        (0.28, 0.040, 0.051, 0.001),
        (0.40, 0.043, 0.054, 0.0),
        (0.48, 0.045, 0.056, 0.0),
        (0.60, 0.046, 0.057, 0.0),
        (0.72, 0.045, 0.056, 0.0),
        (0.84, 0.039, 0.049, -0.002),
        (0.94, 0.026, 0.033, -0.004),
        (1.00, 0.004, 0.005, -0.006),
    )
    bulk = 1.06 if looks.hair_cut == "long" else 1.0
    return [
        Ring(Joint.CHIN, Joint.CROWN, along, across * bulk, forth * bulk, "head", ahead)
        for along, across, forth, ahead in profile
    ]


def _mane() -> list[Ring]:
    profile = (
        (0.80, 0.020, 0.02),
        (0.6, 0.050, 0.036),
        (0.2, 0.054, 0.034),
        (-0.2, 0.052, 0.026),
        (-0.55, 0.044, 0.016),
    )
    return [
        Ring(Joint.CHIN, Joint.CROWN, along, across, forth, "hair", -0.030)
        for along, across, forth in profile
    ]


def _skirt(build: float) -> list[Ring]:
    profile = ((0.45, 0.096, 0.070), (-0.1, 0.108, 0.082), (-0.9, 0.122, 0.104), (-1.7, 0.132, 0.130))
    return [
        Ring(Joint.PELVIS, Joint.WAIST, along, across * build, forth * build, "bottom")
        for along, across, forth in profile
    ]


def _backpack() -> list[Ring]:
    profile = (
        (-0.1, 0.02, 0.02),
        (-0.05, 0.075, 0.045),
        (0.4, 0.082, 0.05),
        (0.85, 0.07, 0.04),
        (0.95, 0.03, 0.02),
    )
    return [
        Ring(Joint.WAIST, Joint.NECK, along, across, forth, "bag", -0.10) for along, across, forth in profile
    ]


def _tote() -> list[Ring]:
    bone = (Joint.WRIST, Joint.FINGERS)
    profile = (
        (0.9, 0.004, 0.03),
        (1.5, 0.006, 0.05),
        (1.55, 0.026, 0.075),
        (3.3, 0.034, 0.085),
        (3.4, 0.02, 0.06),
    )
    return [Ring(*bone, along, across, forth, "bag") for along, across, forth in profile]


def _leg(looks: Looks, side: int) -> list[Ring]:
    thigh, shin = _bone(Joint.HIP, Joint.KNEE, side), _bone(Joint.KNEE, Joint.ANKLE, side)
    covered = {"trousers": 10, "shorts": 5, "skirt": 0}[looks.legwear]
    loose = 0.006 if looks.legwear == "trousers" else 0.0
    profile = (
        (thigh, -0.08, 0.030, 0.034),
        (thigh, 0.05, 0.052, 0.060),
        (thigh, 0.35, 0.050, 0.056),
        (thigh, 0.72, 0.042, 0.046),
        (thigh, 0.84, 0.038, 0.041),
        (shin, -0.04, 0.034, 0.038),
        (shin, 0.12, 0.033, 0.036),
        (shin, 0.30, 0.034, 0.038),
        (shin, 0.65, 0.027, 0.029),
        (shin, 0.92, 0.023, 0.025),
        (shin, 1.02, 0.022, 0.027),
    )
    return [
        Ring(*bone, along, across + loose, forth + loose, "bottom" if index < covered else "skin")
        for index, (bone, along, across, forth) in enumerate(profile)
    ]


def _shoe(side: int) -> list[Ring]:
    bone = _bone(Joint.HEEL, Joint.TOE, side)
    profile = (
        (-0.12, 0.010, 0.014),
        (-0.06, 0.022, 0.024),
        (0.2, 0.025, 0.034),
        (0.6, 0.029, 0.023),
        (0.95, 0.024, 0.015),
        (1.05, 0.01, 0.008),
    )
    return [Ring(*bone, along, across, forth, "shoe") for along, across, forth in profile]


def _arm(looks: Looks, side: int) -> list[Ring]:
    upper = _bone(Joint.SHOULDER, Joint.ELBOW, side)
    lower, hand = _bone(Joint.ELBOW, Joint.WRIST, side), _bone(Joint.WRIST, Joint.FINGERS, side)
    covered = 9 if looks.sleeves == "long" else 4
    loose = 0.005 * looks.build if looks.sleeves == "long" else 0.002
    profile = (
        (upper, -0.07, 0.008, 0.010),
        (upper, -0.02, 0.025, 0.028),
        (upper, 0.14, 0.034, 0.037),
        (upper, 0.55, 0.030, 0.033),
        (upper, 0.95, 0.026, 0.028),
        (lower, 0.15, 0.026, 0.028),
        (lower, 0.55, 0.022, 0.024),
        (lower, 0.90, 0.018, 0.020),
        (lower, 1.00, 0.018, 0.021),
        (hand, 0.15, 0.013, 0.019),
        (hand, 0.50, 0.014, 0.025),
        (hand, 0.90, 0.012, 0.020),
        (hand, 1.05, 0.003, 0.006),
    )
    return [
        Ring(
            *bone,
            along,
            across + (loose if index < covered else 0),
            forth + (loose if index < covered else 0),
            "top" if index < covered else "skin",
        )
        for index, (bone, along, across, forth) in enumerate(profile)
    ]


def _bone(start: Joint, end: Joint, side: int) -> tuple[Joint, Joint]:
    return Joint(start + side), Joint(end + side)


def _colour(looks: Looks, ring: Ring, upper: Ring, side: int) -> Bgr:
    if ring.material == "head":
        return _head_colour(
            looks, ring.along, float(np.sin((side + 0.5) * 2 * np.pi / SIDES)), abs(_right(side))
        )
    palette: dict[str, Bgr] = {
        "skin": looks.skin,
        "hair": looks.hair,
        "top": looks.top,
        "bottom": looks.bottom,
        "shoe": looks.shoe,
        "bag": looks.bag,
    }
    colour = palette[ring.material]
    if looks.stripes and ring.material == "top" and upper.material == "top" and ring.along * 10 % 2 < 1:
        return _mixed(colour, (225, 225, 225), 0.7)
    return colour


def _right(side: int) -> float:
    return float(np.cos((side + 0.5) * 2 * np.pi / SIDES))


def _head_colour(looks: Looks, along: float, forward: float, sideways: float) -> Bgr:
    """Hair, face, brows and mouth: a hint of a face that is nobody's."""
    hairline = -0.55 if along < 0.2 else 0.05 if along < 0.6 else 0.62 if along < 0.72 else 2.0
    if forward < hairline:
        return looks.hair
    if 0.48 <= along < 0.6 and 0.2 < sideways < 0.6:
        return _mixed(looks.skin, (30, 34, 40), 0.45)
    if 0.12 <= along < 0.28 and sideways < 0.25:
        return _mixed(looks.skin, (70, 60, 150), 0.45)
    return looks.skin


def _mixed(a: Bgr, b: Bgr, share: float) -> Bgr:
    blue, green, red = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return blue, green, red
