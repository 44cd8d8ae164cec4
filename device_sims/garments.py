"""The shapes and colours of a clothed body: rings of tubes around the bones of `gait`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from device_sims.gait import Joint
from device_sims.looks import Bgr, Looks

SIDES = 12
"""Corners of every ring; counted so that faces look outward."""


class Ring(NamedTuple):
    """A ring `along` a bone (0 start, 1 end), moved `ahead`, with half axes across and forward."""

    start: Joint
    end: Joint
    along: float
    across: float
    forth: float
    material: str
    ahead: float = 0.0


def tubes_of(looks: Looks) -> list[list[Ring]]:
    """Every tube of the body; its rings go from start to end of their bones, so that faces look outward."""
    return list(_all_tubes(looks))


def colour_of(looks: Looks, tube: list[Ring], index: int, side: int) -> Bgr:
    """Colour of the face at corner `side` between rings `index` and `index + 1` of a tube."""
    ring = tube[index]
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
    if looks.stripes and ring.material == "top" and index % 2:
        return _mixed(colour, (225, 225, 225), 0.7)
    return colour


def _all_tubes(looks: Looks) -> Iterable[list[Ring]]:
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
        (-0.60, 0.012, 0.004),
        (-0.55, 0.044, 0.016),
        (-0.20, 0.052, 0.026),
        (0.20, 0.054, 0.034),
        (0.60, 0.050, 0.036),
        (0.80, 0.020, 0.020),
    )
    return [Ring(Joint.CHIN, Joint.CROWN, *ring, "hair", -0.030) for ring in profile]


def _skirt(build: float) -> list[Ring]:
    profile = (
        (-1.75, 0.060, 0.060),
        (-1.70, 0.128, 0.128),
        (-0.90, 0.120, 0.106),
        (-0.30, 0.108, 0.084),
        (0.10, 0.098, 0.072),
    )
    return [
        Ring(Joint.PELVIS, Joint.WAIST, along, across * build, forth * build, "bottom")
        for along, across, forth in profile
    ]


def _backpack() -> list[Ring]:
    profile = (
        (-0.12, 0.002, 0.002),
        (-0.1, 0.02, 0.02),
        (-0.05, 0.075, 0.045),
        (0.4, 0.082, 0.05),
        (0.85, 0.07, 0.04),
        (0.95, 0.03, 0.02),
        (0.97, 0.002, 0.002),
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
        (3.38, 0.02, 0.06),
        (3.4, 0.002, 0.004),
    )
    return [Ring(*bone, along, across, forth, "bag") for along, across, forth in profile]


def _leg(looks: Looks, side: int) -> list[Ring]:
    thigh, shin = _bone(Joint.HIP, Joint.KNEE, side), _bone(Joint.KNEE, Joint.ANKLE, side)
    covered = {"trousers": 11, "shorts": 6, "skirt": 0}[looks.legwear]
    loose = 0.006 if looks.legwear == "trousers" else 0.0
    profile = (
        (thigh, -0.05, 0.034, 0.040),
        (thigh, 0.10, 0.044, 0.052),
        (thigh, 0.25, 0.047, 0.055),
        (thigh, 0.45, 0.047, 0.052),
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
        (-0.16, 0.002, 0.003),
        (-0.14, 0.016, 0.018),
        (-0.06, 0.022, 0.025),
        (0.2, 0.025, 0.034),
        (0.6, 0.029, 0.023),
        (0.95, 0.024, 0.015),
        (1.05, 0.010, 0.008),
        (1.07, 0.001, 0.001),
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


def _right(side: int) -> float:
    return float(np.cos((side + 0.5) * 2 * np.pi / SIDES))


def _head_colour(looks: Looks, along: float, forward: float, sideways: float) -> Bgr:
    """Hair, face, brows and mouth: a hint of a face that is nobody's."""
    hairline = -0.55 if along < 0.2 else 0.05 if along < 0.6 else 0.62 if along < 0.72 else 2.0
    if forward < hairline:
        return looks.hair
    if 0.48 <= along < 0.6 and 0.2 < sideways < 0.6:
        return _mixed(looks.skin, (30, 34, 40), 0.35)
    if 0.12 <= along < 0.28 and sideways < 0.25:
        return _mixed(looks.skin, (70, 60, 150), 0.45)
    return looks.skin


def _mixed(a: Bgr, b: Bgr, share: float) -> Bgr:
    blue, green, red = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return blue, green, red
