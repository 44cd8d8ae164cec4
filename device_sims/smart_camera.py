"""A camera that judges its shelf itself and publishes how full each place looks, as JSON.

The shape is nobody's: one message for all places in view, `fill` from 0 to 1, null where it sees nothing of
a place.
"""

from __future__ import annotations

from collections.abc import Mapping

from device_sims.mqtt_link import Publication


class SmartCamera:
    """One camera, on topics of its own. `at_ns` is its clock, since 1970."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.birth = Publication(f"cameras/{name}/state", "online", retained=True)
        self.will = Publication(f"cameras/{name}/state", "offline", retained=True)

    def places(self, fills: Mapping[str, float | None], *, at_ns: int) -> Publication:
        """What it says of every place at this moment."""
        said = [{"facing": facing, "fill": fill} for facing, fill in fills.items()]
        return Publication(f"cameras/{self._name}/places", {"ts": at_ns // 1_000_000, "places": said})
