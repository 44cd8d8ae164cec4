"""What is compared on the same readings: the product's estimator, and what one would do without it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from edge_agent.config.store import StoreSettings
from edge_agent.contract.messages import StockChanged
from edge_agent.moment import Moment
from edge_agent.readings import Reading, TagRead, WeightReading
from edge_agent.stock.effects import Effects
from edge_agent.stock.estimate import Estimator
from edge_agent.stock.presence import Presence
from edge_agent.stock.settle import Plate
from edge_agent.wiring import wiring

Counted = tuple[int | None, float]
"""A count and the probability that it is right; baselines claim nothing: 0."""


@dataclass(frozen=True, slots=True)
class Told:
    """One change that HQ would be told."""

    at: datetime
    facing: str
    change: int
    cause: str


@dataclass(slots=True)
class Ours:
    """The estimator that runs in stores."""

    settings: StoreSettings
    told: list[Told] = field(default_factory=list)
    _estimator: Estimator = field(init=False)

    def __post_init__(self) -> None:
        self._estimator = Estimator(self.settings.planogram, wiring(self.settings.devices))

    def read(self, readings: list[Reading], now: Moment) -> None:
        """As the pipeline does."""
        if not readings:
            self._note(self._estimator.tick(now))
        for reading in readings:
            if isinstance(reading, WeightReading):
                self._note(self._estimator.weight(reading, now))
            elif isinstance(reading, TagRead):
                self._note(self._estimator.tag(reading, now))

    def counts(self) -> dict[str, Counted]:
        """As on the agent's own page."""
        return {name: (b.on_hand, b.confidence) for name, b in self._estimator.beliefs.items()}

    def _note(self, effects: Effects | None) -> None:
        for event in effects.events if effects is not None else ():
            if isinstance(body := event.body, StockChanged):
                self.told.append(Told(event.occurred_at, body.facing, body.change, body.cause))


class Weighed:
    """Plain division, and the sum of rounded changes, of what each plate weighs at rest."""

    def __init__(self, settings: StoreSettings) -> None:
        self._wiring = wiring(settings.devices)
        self._unit_g = {
            facing.id: settings.planogram.product(facing.gtin).unit_weight_g or 0.0
            for facing in settings.facings
        }
        self._plates = {
            key: Plate(min(self._unit_g[name] for name in names))
            for key, names in self._wiring.plates.items()
        }
        self._rest_g: dict[str, float] = {}
        self.divided: dict[str, int] = {}
        self.summed: dict[str, int] = {}

    def read(self, readings: list[Reading], now: Moment) -> None:
        """Only plates with one kind of item can be divided."""
        for reading in readings:
            if not isinstance(reading, WeightReading) or reading.weight_g is None:
                continue
            key = (reading.device, reading.channel)
            rest_g = self._plates[key].feed(now.mono_s, reading.weight_g, stable=reading.stable)
            names = self._wiring.plates[key]
            if rest_g is None or len(names) != 1:
                continue
            name = names[0]
            self.divided[name] = max(0, round(rest_g / self._unit_g[name]))
            if name not in self.summed:
                self.summed[name] = self.divided[name]
            else:
                self.summed[name] += round((rest_g - self._rest_g[name]) / self._unit_g[name])
            self._rest_g[name] = rest_g


class TagCount:
    """The tags that are present."""

    def __init__(self, settings: StoreSettings) -> None:
        self._antennas = wiring(settings.devices).antennas
        self._presence = Presence()
        self.present: dict[str, int] = {facing.id: 0 for facing in settings.facings}

    def read(self, readings: list[Reading], now: Moment) -> None:
        """First sight counts one, long silence takes it away."""
        moves = [] if readings else self._presence.departures(now.mono_s)
        for reading in readings:
            if isinstance(reading, TagRead):
                facing = self._antennas.get((reading.device, reading.antenna))
                if facing is not None:
                    moves += self._presence.seen(
                        epc=reading.epc, device=reading.device, facing=facing,
                        rssi_dbm=reading.rssi_dbm, mono_s=now.mono_s,
                    )  # fmt: skip
        for move in moves:
            self.present[move.facing] += 1 if move.arrived else -1
