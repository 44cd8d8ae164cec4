"""How well the packed gap net finds empty places on photos and drawings that it was not trained on."""

from __future__ import annotations

from benchmarks.gaps.run import main

__all__ = ["main"]
