"""What `store.yaml` says of a camera: its source, its lines, its places, its model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, PositiveInt, ValidationInfo, model_validator

from edge_agent.config.devices import Device
from edge_agent.contract.planogram import Identifier
from edge_agent.service.settings import FilePath, Settings

Pixel = Annotated[float, Field(ge=-100_000, le=100_000, allow_inf_nan=False)]
Point = Annotated[list[Pixel], Field(min_length=2, max_length=2)]
Outline = Annotated[list[Point], Field(min_length=3)]
"""The corners of a polygon, in pixels of the source's frame."""
PictureSize = Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]
"""Width and height in pixels."""


def _in_shades(sd: float) -> float:
    if not 1 <= sd <= 255:
        raise ValueError(f"found {sd:g}; sd is in shades, from 1 to 255: multiply one for 0..1 by 255")
    return sd


Shade = Annotated[float, Field(ge=0, le=255)]
Spread = Annotated[float, AfterValidator(_in_shades)]
Score = Annotated[float, Field(ge=0.1, le=1)]
"""Detectors tell no box below 0.1."""
Side = Annotated[int, Field(ge=32, le=4096)]

Family = Literal["yolox", "nanodet", "ssd", "yolov8", "yolov9", "yolo11", "rf-detr", "d-fine"]
FAMILIES: tuple[Family, ...] = get_args(Family)


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


class WatchedZone(Settings):
    """A part of the floor: who stands in it, and for how long."""

    id: Identifier
    polygon: Outline


class HeatGrid(Settings):
    """Into how many cells the picture is divided to tell where people stand."""

    columns: Annotated[int, Field(ge=1, le=32)] = 16
    rows: Annotated[int, Field(ge=1, le=18)] = 9


def distinct_lines(lines: Sequence[CountingLine], zones: Sequence[WatchedZone] = ()) -> None:
    """ValueError when two lines or zones of one camera have the same id."""
    ids = [("line", line.id) for line in lines] + [("zone", zone.id) for zone in zones]
    seen = set[str]()
    for what, one in ids:
        if one in seen:
            raise ValueError(f"{what} id {one!r} is used twice; ids are unique on a camera")
        seen.add(one)


class Footfall(Settings):
    """Counting people over lines, in zones and in the cells of a heat map. `motion_gate`: do not ask the
    detector about pictures in which nothing moves while nobody is followed."""

    lines: list[CountingLine] = []
    zones: list[WatchedZone] = []
    heat_map: HeatGrid | None = None
    detections_per_s: Annotated[float, Field(ge=1, le=10)] = 5.0
    motion_gate: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        distinct_lines(self.lines, self.zones)
        if not self.lines and not self.zones and self.heat_map is None:
            raise ValueError("has nothing to count; give it lines, zones or a heat_map")
        return self


class ShelfGap(Settings):
    """Watching a shelf for gaps: facing to the polygon of its place in the picture.

    About every `every_s` the shelf is looked at while nobody stands before it. `baseline` is a photo of the
    stocked shelf by this camera; without one each place that looks stocked becomes its own baseline.
    """

    facings: Annotated[dict[Identifier, Outline], Field(min_length=1)]
    every_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    baseline: FilePath | None = None


class Normalisation(Settings):
    """What a model wants its shades to be: (shade - mean) / sd for each channel, shades from 0 to 255."""

    mean: tuple[Shade, Shade, Shade]
    sd: tuple[Spread, Spread, Spread]
    channels: Literal["rgb", "bgr"]
    """Their order in the model's input, which is that of `mean` and `sd` too."""


class Scores(Settings):
    """From which scores on the tracker believes a model's boxes; each model has a scale of its own."""

    doubtful: Score
    """May be somebody who is known already, half hidden."""
    sure: Score
    """Is somebody."""
    new: Score
    """Is so surely somebody that a new person starts with it."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.doubtful <= self.sure <= self.new:
            raise ValueError("doubtful, sure and new must rise in this order")
        return self


class VisionModel(Settings):
    """Which detector: a packed one by name, or any ONNX file of a known output family."""

    name: Literal["coco-ssd", "nanodet"] | None = None
    path: FilePath | None = None
    family: Family | None = None
    person_class: Annotated[int, Field(ge=0)] | None = None
    """Index of people among the model's classes; None: what the family has from COCO."""
    input_size: tuple[Side, Side] | None = None
    """Width and height, for a model that takes any."""
    normalisation: Normalisation | None = None
    scores: Scores | None = None
    checked: bool = True
    """Whether the model must find the people of the packed golden frame; if not, the operator vouches."""

    @model_validator(mode="after")
    def _named_or_given(self) -> Self:
        if self.path is None:
            for setting in ("family", "person_class", "input_size", "normalisation", "checked"):
                if getattr(self, setting) != VisionModel.model_fields[setting].default:
                    raise ValueError(f"{setting} says how to read the file of path, and there is no path")
        elif self.name is not None:
            raise ValueError("name and path are two models; keep one")
        elif self.family is None:
            raise ValueError(f"path needs family: one of {', '.join(FAMILIES)}")
        return self


def _camera_source(source: str, info: ValidationInfo) -> str:
    scheme, _, rest = source.partition(":")
    if scheme in ("rtsp", "rtsps", "http", "https") and rest.startswith("//"):
        if not _is_readable(source):  # never quoted: it may hold a password
            raise ValueError(
                "the address cannot be read; write / ? # @ of a user or a password as %2F %3F %23 %40"
            )
        return source
    if scheme == "usb":
        if not rest.isdecimal():
            raise ValueError(f"found {source!r}; a USB camera is usb:0, usb:1, ...")
        return source
    if "://" in source:
        raise ValueError(f"found {scheme}://; use rtsp://, http://, https://, usb:0 or a video file")
    return str(Path((info.context or {}).get("base", "."), source))


def _is_readable(address: str) -> bool:
    """Whether host and port can be told apart from user and password."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0 and ("@" in parts.netloc or "@" not in address)
    except ValueError:
        return False


class Camera(Device):
    """A camera: `source` is an RTSP or HTTP URL, a video file, or a USB index like `usb:0`.

    `masks` are burnt in before anything sees a frame. `drawn_on` is the width and height of the picture on
    which masks, lines and places were drawn; without it, that of the first frame of every connection. A live
    picture that repeats to the last bit for `frozen_after_s` is frozen.
    """

    silence_s: ClassVar[float | None] = 10.0

    driver: Literal["camera"]
    source: Annotated[str, AfterValidator(_camera_source)]
    masks: list[Outline] = []
    drawn_on: PictureSize | None = None
    frozen_after_s: Annotated[float, Field(ge=1)] = 30.0
    footfall: Footfall | None = None
    shelf_gap: ShelfGap | None = None
    model: VisionModel = VisionModel()

    @property
    def frames_per_s(self) -> float:
        """How many frames a second are looked at."""
        return self.footfall.detections_per_s if self.footfall is not None else 1.0
