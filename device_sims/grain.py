"""Sensor noise of a simulated camera: new for every frame, the same for the same seed and time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NOISE_SD = 3.0
GRAIN_FRAMES = 4


class Grain:
    """Gaussian noise, drawn once and shifted from frame to frame."""

    def __init__(self, seed: int, *, size: tuple[int, int]) -> None:
        width, height = size
        self._seed = seed
        noise = np.random.default_rng(seed).normal(0, NOISE_SD, (GRAIN_FRAMES, height, width, 3))
        self._frames = np.round(noise).astype(np.int16)

    def add(self, picture: NDArray[np.uint8], t_s: float) -> NDArray[np.uint8]:
        """The BGR picture with the noise of `t_s`, exact to a millisecond."""
        import cv2

        frame = np.random.default_rng((self._seed, round(t_s * 1000)))
        grain = self._frames[frame.integers(GRAIN_FRAMES)]
        shifted = np.roll(grain, int(frame.integers(grain.shape[0])), axis=0)
        return np.asarray(cv2.add(picture, shifted, dtype=cv2.CV_8U), np.uint8)
