"""How a walking body holds its joints: one gait cycle, in fractions of body height.

Segment lengths follow Drillis and Contini (1966); the hip and knee curves have the shape of Winter's normal
gait (hip flexed at heel strike, two knee waves, heel up before toe-off), written as smooth periodic bumps.
"""

from __future__ import annotations

import math
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

THIGH, SHIN, UPPER_ARM, FOREARM, HAND = 0.245, 0.246, 0.186, 0.146, 0.085
SOLE = 0.018


class Joint(IntEnum):
    """Rows of the array that `joints` returns; the left limb follows the right one in the same order."""

    PELVIS = 0
    WAIST = 1
    NECK = 2
    CHIN = 3
    CROWN = 4
    HIP = 5
    KNEE = 6
    ANKLE = 7
    HEEL = 8
    TOE = 9
    SHOULDER = 10
    ELBOW = 11
    WRIST = 12
    FINGERS = 13
    LEFT_HIP = 14
    LEFT_KNEE = 15
    LEFT_ANKLE = 16
    LEFT_HEEL = 17
    LEFT_TOE = 18
    LEFT_SHOULDER = 19
    LEFT_ELBOW = 20
    LEFT_WRIST = 21
    LEFT_FINGERS = 22


def stride_length(speed_mps: float, height_m: float) -> float:
    """Metres covered by one full cycle (two steps) at a walking speed."""
    return 0.74 * height_m * math.sqrt(max(speed_mps, 0.2) / 1.3)


def joints(phase: float, stride: float) -> Floats:
    """Joint places (23, 3) as (right, forward, up), body height 1, sole of the lower foot at 0.

    `phase` in radians, 0 at the right heel strike; `stride` is the cycle's length over the body height.
    """
    swing = 1.2 * math.asin(min(stride / 4 / (THIGH + SHIN), 0.6))  # feet that stand must not slide
    places = np.zeros((len(Joint), 3))
    twist = 0.10 * math.cos(phase) * swing / 0.4
    sway = 0.012 * math.sin(phase)
    places[Joint.PELVIS] = (sway, 0.0, 0.0)
    places[Joint.WAIST] = (sway * 0.6, 0.004, 0.110)
    places[Joint.NECK] = (0.0, 0.020, 0.315)
    places[Joint.CHIN] = (0.0, 0.032, 0.345)
    places[Joint.CROWN] = (0.0, 0.040, 0.478)
    for side, offset, leg_phase in ((1.0, 0, phase), (-1.0, Joint.LEFT_HIP - Joint.HIP, phase + math.pi)):
        _leg(places, offset, side, leg_phase, swing, twist)
        _arm(places, offset, side, leg_phase, swing, twist)
    lowest = min(places[j, 2] for j in (Joint.HEEL, Joint.TOE, Joint.LEFT_HEEL, Joint.LEFT_TOE))
    places[:, 2] -= lowest - SOLE
    return places


def _leg(places: Floats, offset: int, side: float, phase: float, swing: float, twist: float) -> None:
    hip = 0.06 + swing * math.cos(phase)
    knee = 0.06 + 0.22 * _bump(phase, 0.9, 6) + 2.2 * swing * _bump(phase, 4.5, 3)
    pitch = 0.28 * _bump(phase, 0.0, 8) - 0.95 * _bump(phase, 3.95, 4)
    start = places[Joint.PELVIS] + (side * 0.050, side * 0.05 * twist, 0.005)
    places[Joint.HIP + offset] = start
    places[Joint.KNEE + offset] = start + THIGH * _below(hip, 0.0)
    ankle = places[Joint.KNEE + offset] + SHIN * _below(hip - knee, -side * 0.03)
    places[Joint.ANKLE + offset] = ankle
    forward = np.array([side * 0.12, math.cos(pitch), math.sin(pitch)])
    under = np.array([0.0, math.sin(pitch), -math.cos(pitch)])
    places[Joint.HEEL + offset] = ankle - 0.030 * forward + 0.022 * under
    places[Joint.TOE + offset] = ankle + 0.112 * forward + 0.026 * under


def _arm(places: Floats, offset: int, side: float, phase: float, swing: float, twist: float) -> None:
    shoulder = 0.05 - 0.70 * swing * math.cos(phase)
    elbow = 0.26 + 0.7 * swing * max(0.0, -math.cos(phase))
    start = places[Joint.NECK] + (side * 0.104, -side * 0.104 * twist * 1.4, -0.036)
    places[Joint.SHOULDER + offset] = start
    places[Joint.ELBOW + offset] = start + UPPER_ARM * _below(shoulder, side * 0.16)
    places[Joint.WRIST + offset] = places[Joint.ELBOW + offset] + FOREARM * _below(
        shoulder + elbow, side * 0.06
    )
    places[Joint.FINGERS + offset] = places[Joint.WRIST + offset] + HAND * _below(shoulder + elbow + 0.1, 0.0)


def _below(angle: float, outward: float) -> NDArray[np.float64]:
    """A unit vector that hangs down, swung forward by `angle` and outward to the right, in radians."""
    return np.array(
        [math.sin(outward), math.sin(angle) * math.cos(outward), -math.cos(angle) * math.cos(outward)]
    )


def _bump(phase: float, centre: float, sharpness: float) -> float:
    return math.exp(sharpness * (math.cos(phase - centre) - 1.0))
