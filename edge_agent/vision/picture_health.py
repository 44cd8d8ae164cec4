"""Whether pictures can be trusted: a camera may go on sending when it sees nothing, or no more."""

from __future__ import annotations

import numpy as np

from edge_agent.vision.families import Picture

BLACK_AFTER_S = 5.0
FROZEN_AFTER_S = 30.0
"""Longer than the interval of key frames that cameras use by default: between two of them, a still scene
may be coded as "nothing has changed", and is then the same picture to the last bit."""
_DARK = 32
_BRIGHT_SHARE = 0.02
"""A date and a name that the camera writes into the picture are bright, and smaller than this."""
_SAMPLES_ACROSS = 100


class PictureHealth:
    """Looks at one camera's pictures, as they come from it: not scaled, and before masks.

    `problem` is to be asked of every picture that is used, in order; `at_s` is its time in seconds.
    """

    def __init__(self, *, frozen_after_s: float = FROZEN_AFTER_S) -> None:
        self._frozen_after_s = frozen_after_s
        self._sample = b""
        self._sum: int | None = None
        self._changed_s = 0.0
        self._light_s: float | None = None

    def problem(self, picture: Picture, at_s: float) -> str | None:
        """Why this BGR picture (height, width, 3) tells nothing, for people to read; None when it is good."""
        sample = _sample(picture)
        if self._light_s is None or np.count_nonzero(sample >= _DARK) > _BRIGHT_SHARE * sample.size:
            self._light_s = at_s
        if not self._repeats(picture, sample.tobytes()):
            self._changed_s = at_s
        if at_s - self._light_s >= BLACK_AFTER_S:
            return "the picture is black"
        if at_s - self._changed_s >= self._frozen_after_s:
            return f"frozen: the same picture for {self._frozen_after_s:g} s, to the last bit"
        return None

    def _repeats(self, picture: Picture, sample: bytes) -> bool:
        """Whether no bit has changed. A moving camera costs its sample only, a still one its sum too."""
        if sample != self._sample:
            self._sample, self._sum = sample, None
            return False
        before, self._sum = self._sum, _sum(picture)
        return self._sum == before


def _sample(picture: Picture) -> Picture:
    """Every n-th pixel of every n-th row."""
    step = max(picture.shape[1] // _SAMPLES_ACROSS, 1)
    return np.ascontiguousarray(picture[::step, ::step])


def _sum(picture: Picture) -> int:
    flat = np.ascontiguousarray(picture).reshape(-1)
    words = flat.size // 8 * 8
    return int(flat[:words].view(np.uint64).sum()) + int(flat[words:].sum())
