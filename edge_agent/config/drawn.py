"""What was drawn at the camera page: a patch of lines, places and masks over `store.yaml`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from pydantic import ValidationError, ValidationInfo, model_validator

from edge_agent.config.cameras import Camera, CountingLine, Outline, PictureSize, distinct_lines
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import ConfigError
from edge_agent.contract.planogram import Identifier
from edge_agent.service.settings import Place, Settings, invalid, load

PATCH_NAME: Final = "cameras.patch.yaml"
"""In `agent.data_dir`: `store.yaml` belongs to whoever keeps it, and is never written."""


class DrawnFootfall(Settings):
    """Lines in the place of all lines of the file. Unlike there, none means that nobody is counted."""

    lines: list[CountingLine]

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        distinct_lines(self.lines)
        return self


class DrawnShelfGap(Settings):
    """Places in the place of all places of the file."""

    facings: dict[Identifier, Outline]


class DrawnCamera(Settings):
    """One camera's drawing. What is absent stays as the file says."""

    id: Identifier
    masks: list[Outline] | None = None
    drawn_on: PictureSize | None = None
    footfall: DrawnFootfall | None = None
    shelf_gap: DrawnShelfGap | None = None


class DrawnFile(Settings):
    """The whole patch. Validated with `facings` in the context: the ids of the planogram."""

    devices: list[DrawnCamera] = []

    @model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        known, seen, problems = (info.context or {}).get("facings", ()), set[str](), list[tuple[Place, str]]()
        for index, camera in enumerate(self.devices):
            if camera.id in seen:
                problems.append((("devices", index, "id"), f"{camera.id!r} is used twice; ids are unique"))
            seen.add(camera.id)
            for facing in camera.shelf_gap.facings if camera.shelf_gap else ():
                if facing not in known:
                    place = ("devices", index, "shelf_gap", "facings", facing)
                    problems.append((place, f"facing {facing!r} is not in facings"))
        if problems:
            raise invalid(problems)
        return self


def patch_path(settings: StoreSettings) -> Path:
    """Where the patch of this store lies, whether or not there is one."""
    return settings.agent.data_dir / PATCH_NAME


def drawn_cameras(settings: StoreSettings) -> dict[str, DrawnCamera]:
    """The drawings of the patch by camera; none without a patch. ConfigError with its own file:line:col."""
    path = patch_path(settings)
    if not path.exists():
        return {}
    context = {"facings": {facing.id for facing in settings.facings}}
    drawn = load(path, DrawnFile, env_prefix="", environ={}, context=context)
    return {camera.id: camera for camera in drawn.devices}


def with_drawn(settings: StoreSettings) -> StoreSettings:
    """The settings of the file with the patch, where there is one, over them."""
    drawn = drawn_cameras(settings)
    if not drawn:
        return settings
    try:
        devices = [
            over(device, drawn[device.id]) if isinstance(device, Camera) and device.id in drawn else device
            for device in settings.devices
        ]
    except ValidationError as error:
        told = "; ".join(item["msg"].removeprefix("Value error, ") for item in error.errors())
        raise ConfigError(
            f"{patch_path(settings)}: {told}", hint="rename one, or delete the patch"
        ) from error
    return settings.model_copy(update={"devices": devices})


def over(camera: Camera, drawn: DrawnCamera) -> Camera:
    """The camera with its drawing. A duty with nothing drawn for it is no longer one, but zones and heat map
    of the file stay. ValidationError for a line with the id of a zone."""
    values = camera.model_dump(by_alias=True, exclude_unset=True)
    changes = drawn.model_dump(by_alias=True, exclude_unset=True, exclude_none=True, exclude={"id"})
    values.update({key: changes[key] for key in ("masks", "drawn_on") if key in changes})
    for duty in ("footfall", "shelf_gap"):
        if duty in changes:
            both = {**(values.get(duty) or {}), **changes[duty]}
            values[duty] = both if _has_shapes(both) else None
    return Camera.model_validate(values)


@dataclass(frozen=True, slots=True)
class Note:
    """One camera of the patch: whether its drawing is used, and a sentence of it."""

    camera: str
    is_used: bool
    text: str


def drawn_notes(settings: StoreSettings) -> Iterator[Note]:
    """What the patch does, camera by camera. ConfigError as for `drawn_cameras`."""
    cameras = {device.id for device in settings.devices if isinstance(device, Camera)}
    path = patch_path(settings)
    for camera, drawn in drawn_cameras(settings).items():
        if camera not in cameras:
            yield Note(camera, False, f"{path}: no camera {camera!r} is configured, its drawing is not used")
            continue
        what = ", ".join(_WHAT[key] for key in _WHAT if getattr(drawn, key) is not None)
        yield Note(camera, True, f"{camera}: {what} come from {path}, drawn at the camera page")


_WHAT: Final = {"masks": "masks", "footfall": "lines", "shelf_gap": "places"}


def _has_shapes(duty: dict[str, Any]) -> bool:
    return (
        any(duty.get(shapes) for shapes in ("lines", "zones", "facings")) or duty.get("heat_map") is not None
    )
