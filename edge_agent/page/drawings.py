"""Keeps what was drawn: checked like `store.yaml`, written beside the journal, applied at once."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from edge_agent.config.cameras import Camera
from edge_agent.config.drawn import DrawnCamera, drawn_cameras, over, patch_path
from edge_agent.config.store import StoreSettings
from edge_agent.contract.errors import ConfigError

_HEADER = """\
# Drawn at the camera page. edge-agent lays it over store.yaml:
# what is here counts, what is not here stays as it is there.
# To keep it in store.yaml, copy it there, restart the agent, then discard it at the page.
"""


class Drawings:
    """The drawings of one store's cameras. `redrawn` is told each camera whose settings changed.

    `settings` are those of the file, without the patch.
    """

    def __init__(self, settings: StoreSettings, redrawn: Callable[[Camera], None]) -> None:
        self.path = patch_path(settings)
        self._written = {device.id: device for device in settings.devices if isinstance(device, Camera)}
        self._drawn = drawn_cameras(settings)
        self._redrawn = redrawn
        self._saving = asyncio.Lock()

    @property
    def cameras(self) -> list[str]:
        """The ids of all cameras, in the order of the file."""
        return list(self._written)

    def is_drawn(self, camera: str) -> bool:
        """Whether the patch says something of the camera."""
        return camera in self._drawn

    def camera(self, camera: str) -> Camera:
        """The camera's settings as they are used now."""
        written = self._written[camera]
        return over(written, self._drawn[camera]) if camera in self._drawn else written

    def shapes(self, camera: str) -> dict[str, Any]:
        """What can be drawn, as it is now: `masks`, `footfall.lines`, `shelf_gap.facings`."""
        return self._shapes(self.camera(camera))

    def revision(self, camera: str) -> str:
        """Another one whenever the shapes are others."""
        return hashlib.sha256(repr(self.shapes(camera)).encode()).hexdigest()[:16]

    def text(self) -> str:
        """The patch as it is, or would be, in its file; empty when nothing is drawn."""
        return _text(self._drawn)

    def check(self, drawn: DrawnCamera) -> None:
        """ValidationError when the drawing does not go with what the file says of the camera."""
        over(self._written[drawn.id], drawn)

    async def save(self, drawn: DrawnCamera, revision: str) -> bool:
        """Write to the patch what of the drawing differs from the file, then have the camera follow it.

        False when what is drawn is no longer of that `revision`, ConfigError when it cannot be written; then
        nothing has changed.
        """
        file = self._written[drawn.id]
        written = {**self._shapes(file), "drawn_on": file.drawn_on}
        same = {key for key, value in _dumped(drawn).items() if key != "id" and value == written[key]}
        kept = DrawnCamera.model_validate(drawn.model_dump(by_alias=True, exclude_unset=True, exclude=same))
        if not kept.model_fields_set - {"id", "drawn_on"}:
            return await self._keep(drawn.id, None, revision)
        return await self._keep(drawn.id, kept, revision)

    async def discard(self, camera: str) -> bool:
        """Go back to what the file said of the camera at the start. ConfigError as for `save`."""
        return await self._keep(camera, None, None)

    async def _keep(self, camera: str, drawn: DrawnCamera | None, revision: str | None) -> bool:
        async with self._saving:
            if revision is not None and revision != self.revision(camera):
                return False
            others = {key: value for key, value in self._drawn.items() if key != camera}
            all_drawn = {**others, camera: drawn} if drawn is not None else others
            try:
                await asyncio.to_thread(_write, self.path, _text(all_drawn))
            except OSError as error:
                raise ConfigError(
                    f"{self.path}: cannot be written: {error.strerror}", hint="see agent.data_dir"
                ) from error
            self._drawn = all_drawn
        self._redrawn(self.camera(camera))
        return True

    @staticmethod
    def _shapes(camera: Camera) -> dict[str, Any]:
        values = camera.model_dump(mode="json", by_alias=True)
        footfall, shelf_gap = values["footfall"] or {}, values["shelf_gap"] or {}
        return {
            "masks": values["masks"],
            "footfall": {"lines": footfall.get("lines", [])},
            "shelf_gap": {"facings": shelf_gap.get("facings", {})},
        }


def _dumped(drawn: DrawnCamera) -> dict[str, Any]:
    return drawn.model_dump(mode="json", by_alias=True, exclude_none=True)


def _text(drawn: dict[str, DrawnCamera]) -> str:
    """YAML as people write it: a point in one line, whole pixels without a fraction."""
    if not drawn:
        return ""
    devices = [
        one.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
        for one in drawn.values()
    ]
    plain = _whole({"devices": devices})
    return _HEADER + yaml.safe_dump(
        plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _write(path: Path, text: str) -> None:
    """Whole or not at all, through a loss of power. No text: no file."""
    if not text:
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        with beside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
