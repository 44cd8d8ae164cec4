"""What `store.yaml` says of a camera: its source, its lines, its places, its model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, model_validator

from edge_agent.config.devices import Device
from edge_agent.contract.planogram import Identifier
from edge_agent.service.settings import FilePath, Settings

Point = Annotated[list[float], Field(min_length=2, max_length=2)]
Outline = Annotated[list[Point], Field(min_length=3)]
"""The corners of a polygon, in pixels of the source's frame."""


class CountingLine(Settings):
    """Who crosses from the left side to the right side, seen walking `from` -> `to`, has entered."""

    model_config = ConfigDict(populate_by_name=True)

    id: Identifier
    start: Annotated[Point, Field(alias="from")]
    end: Annotated[Point, Field(alias="to")]
    anchor: Literal["feet", "centre"] = "feet"

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.start == self.end:
            raise ValueError("from and to are the same point")
        return self


class Footfall(Settings):
    """Counting people over lines."""

    lines: Annotated[list[CountingLine], Field(min_length=1)]
    detections_per_s: Annotated[float, Field(gt=0, le=10)] = 5.0

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        ids = [line.id for line in self.lines]
        for line in ids:
            if ids.count(line) > 1:
                raise ValueError(f"line id {line!r} is used twice; ids are unique on a camera")
        return self


class ShelfGap(Settings):
    """Watching a shelf for gaps: facing to the polygon of its place in the picture.

    About every `every_s` the shelf is looked at while nobody stands before it. `baseline` is a photo of the
    stocked shelf by this camera; without one each place that looks stocked becomes its own baseline.
    """

    facings: Annotated[dict[Identifier, Outline], Field(min_length=1)]
    every_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    baseline: FilePath | None = None


class VisionModel(Settings):
    """Which detector: a packed one by name, or any ONNX file of a known output family."""

    name: Literal["coco-ssd", "nanodet"] | None = None
    path: FilePath | None = None
    family: Literal["yolox", "nanodet", "ssd"] | None = None

    @model_validator(mode="after")
    def _named_or_given(self) -> Self:
        if self.path is not None and self.family is None:
            raise ValueError("path needs family: one of yolox, nanodet, ssd")
        return self


def _camera_source(source: str, info: ValidationInfo) -> str:
    scheme, _, rest = source.partition(":")
    if scheme in ("rtsp", "rtsps", "http", "https") and rest.startswith("//"):
        return source
    if scheme == "usb":
        if not rest.isdecimal():
            raise ValueError(f"found {source!r}; a USB camera is usb:0, usb:1, ...")
        return source
    if "://" in source:
        raise ValueError(f"found {scheme}://; use rtsp://, http://, https://, usb:0 or a video file")
    return str(Path((info.context or {}).get("base", "."), source))


class Camera(Device):
    """A camera: `source` is an RTSP or HTTP URL, a video file, or a USB index like `usb:0`.

    `masks` are burnt in before anything sees a frame.
    """

    silence_s: ClassVar[float | None] = 10.0

    driver: Literal["camera"]
    source: Annotated[str, AfterValidator(_camera_source)]
    masks: list[Outline] = []
    footfall: Footfall | None = None
    shelf_gap: ShelfGap | None = None
    model: VisionModel = VisionModel()

    @property
    def frames_per_s(self) -> float:
        """How many frames a second are looked at."""
        return self.footfall.detections_per_s if self.footfall is not None else 1.0
