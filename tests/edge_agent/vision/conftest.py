"""Real video: the clips of the outside data, and the one that Debian's opencv-doc ships."""

from __future__ import annotations

from pathlib import Path

import pytest

_VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")


@pytest.fixture
def one_by_one(outside_data: Path) -> Path:
    """Six people come one after another, look at a shelf for a while, and leave to the right."""
    return outside_data / "video" / "one-by-one-person-detection.mp4"


@pytest.fixture
def vtest() -> Path:
    """Small people cross a square, up to ten in view, behind a sign and behind each other."""
    if not _VTEST.exists():
        pytest.skip("vtest.avi is not there: install Debian's package opencv-doc")
    return _VTEST
