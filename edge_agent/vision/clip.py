"""Counts people over lines in a recorded video: the clip's own time, every due frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from edge_agent.config.cameras import CountingLine, VisionModel
from edge_agent.vision.detectors import load_checked
from edge_agent.vision.families import Picture
from edge_agent.vision.footfall import Crossing, LineCounter
from edge_agent.vision.source import Polygon, frames
from edge_agent.vision.track import Track, Tracker
from edge_agent.vision.video import Video

OnFrame = Callable[[Picture, float, Sequence[Track], Sequence[Crossing]], None]
"""The picture, its time in seconds, the tracks seen in it, and the crossings that became certain."""


def count_video(
    path: Path,
    lines: Sequence[CountingLine],
    *,
    model: VisionModel | None = None,
    detections_per_s: float = 5.0,
    masks: Sequence[Polygon] = (),
    until_s: float | None = None,
    on_frame: OnFrame | None = None,
) -> list[Crossing]:
    """All crossings of `lines` in the video at `path`, up to `until_s`; times count from its first frame.

    Raises LinkLost when the file cannot be read, ConfigError for a line outside of the picture, ModelError or
    AssetsMissing for the model.
    """
    detector = load_checked(model or VisionModel())
    tracker, counter = Tracker(detector.rules), None
    crossings: list[Crossing] = []
    first_s: float | None = None
    with closing(Video(str(path))) as video:
        for clock_s, picture in frames(video, per_s=detections_per_s, masks=masks):
            first_s = clock_s if first_s is None else first_s
            at_s = clock_s - first_s
            if until_s is not None and at_s > until_s:
                break
            if picture is None:
                continue
            if counter is None:
                height, width = picture.shape[:2]
                counter = LineCounter(lines, (width, height))
            tracks = tracker.update(detector.people(picture), at_s)
            crossed = counter.update(tracks, at_s)
            crossings += crossed
            if on_frame is not None:
                on_frame(picture, at_s, tracks, crossed)
    return crossings
