"""Verdicts of smart cameras on places of a shelf, in mapped messages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from edge_agent.config.mappings import GapMapping
from edge_agent.drivers import said
from edge_agent.drivers.json_path import JsonPath, items, json_path
from edge_agent.drivers.topic import Understood
from edge_agent.readings import GapSeen


class GapVerdicts:
    """What one camera says of its places; nothing of a place before which somebody stands."""

    def __init__(self, device: str, mapping: GapMapping) -> None:
        self._device, self._each = device, json_path(mapping.each)
        self._facing, self._fill = JsonPath(mapping.facing), JsonPath(mapping.fill)
        self._gap, self._time = json_path(mapping.gap), json_path(mapping.time)
        self._scale, self._gap_below = mapping.scale, mapping.gap_below
        self._names = {name.casefold(): facing for name, facing in mapping.facing_names.items()}

    def read(self, whole: Any, _names: Mapping[str, str], at: datetime | None, into: Understood) -> None:
        """A reading for each place with a verdict, a fault for each that makes no sense."""
        for key, item in items(self._each, whole):
            place = self._facing.of(item)
            place = key if place is None else place
            if place is None:
                continue
            name = said.name(place)
            if name is None:
                into.faults.append(f"facing is no name: {place!r:.60}")
                continue
            facing = self._names.get(name.casefold()) if self._names else name
            if facing is None:
                continue  # a camera may see more places than are ours
            try:
                verdict = self._verdict(item)
            except ValueError as error:
                into.faults.append(f"{name:.40}: {error}")
                continue
            if verdict is None:
                into.others += 1
                continue
            own = said.moment(self._time.of(item)) if self._time is not None else None
            into.readings.append(GapSeen(self._device, facing, *verdict, own or at))

    def _verdict(self, item: Any) -> tuple[float, bool] | None:
        """Stocked share and whether it is a gap; of a camera that says only yes or no the share is 0 or 1."""
        shown, word = self._fill.of(item), self._gap.of(item) if self._gap is not None else None
        gap = said.truth(word)
        if word is not None and gap is None:
            raise ValueError(f"gap is neither true nor false: {word!r:.40}")
        if shown is None:
            return None if gap is None else (float(not gap), gap)
        found = said.number(shown)
        fill = None if found is None else round(found * self._scale, 9)
        if fill is None or not 0 <= fill <= 1:
            raise ValueError(f"fill is no share from 0 to 1: {shown!r:.40}")
        return fill, fill < self._gap_below if gap is None else gap
