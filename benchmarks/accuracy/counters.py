"""What is compared on the same readings: the product's estimator, and what one would do without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.accuracy.frames import Count, Told
from benchmarks.accuracy.gateway import Arrived
from edge_agent.config.store import StoreSettings
from edge_agent.contract.messages import StockChanged
from edge_agent.moment import Moment
from edge_agent.readings import Delivery, GapSeen, Reading, Recount, Sale, TagRead, WeightReading
from edge_agent.stock.effects import Effects
from edge_agent.stock.estimate import Estimator
from edge_agent.stock.habits import USUAL, Habits
from edge_agent.stock.presence import Presence
from edge_agent.stock.settle import Plate
from edge_agent.wiring import wiring


@dataclass(slots=True)
class Ours:
    """The estimator that runs in stores; `habits` other than the usual ones where it is told more."""

    settings: StoreSettings
    habits: Habits = USUAL
    told: list[Told] = field(default_factory=list)
    _estimator: Estimator = field(init=False)

    def __post_init__(self) -> None:
        known = wiring(self.settings.devices)
        self._estimator = Estimator(self.settings.planogram, known, habits=self.habits)

    def read(self, arrived: Arrived, now: Moment) -> None:
        """As the pipeline does."""
        if not arrived:
            self._note(self._estimator.tick(now))
        for reading in arrived:
            self._note(self._fold(reading, now))

    def counts(self) -> dict[str, Count]:
        """As on the agent's own page."""
        return {name: (b.on_hand, b.confidence) for name, b in self._estimator.beliefs.items()}

    def _fold(self, reading: Reading | Recount, now: Moment) -> Effects | None:
        match reading:
            case WeightReading():
                return self._estimator.weight(reading, now)
            case TagRead():
                return self._estimator.tag(reading, now)
            case GapSeen():
                return self._estimator.gap(reading, now)
            case Sale():
                return self._estimator.sale(reading, now)
            case Delivery():
                return self._estimator.delivery(reading, now)
            case Recount():
                return self._estimator.recount(reading, now)
            case _:
                return None

    def _note(self, effects: Effects | None) -> None:
        for event in effects.events if effects is not None else ():
            if isinstance(body := event.body, StockChanged):
                self.told.append(Told(event.occurred_at, body.facing, body.on_hand, body.change, body.cause))


class Weighed:
    """Plain division, and the sum of rounded changes, of what each plate weighs at rest.

    Only a plate with one kind of item can be divided, and only where nothing of that kind lies beside it.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._unit_g = {
            facing.id: settings.planogram.product(facing.gtin).unit_weight_g or 0.0
            for facing in settings.facings
        }
        plates = wiring(settings.devices).plates
        times = Counter(name for names in plates.values() for name in names)
        self._alone = {
            key: names[0] for key, names in plates.items() if len(names) == 1 and times[names[0]] == 1
        }
        self.plates = {key: Plate(self._unit_g[name]) for key, name in self._alone.items()}
        self._rest_g: dict[str, float] = {}
        self.divided: dict[str, int] = {}
        self.summed: dict[str, int] = {}

    def read(self, arrived: Arrived, now: Moment) -> None:
        """Weights at rest."""
        for reading in arrived:
            if not isinstance(reading, WeightReading) or reading.weight_g is None:
                continue
            key = (reading.device, reading.channel)
            name = self._alone.get(key)
            if name is None:
                continue
            rest_g = self.plates[key].feed(now.mono_s, reading.weight_g, stable=reading.stable)
            if rest_g is None:
                continue
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
        covered = set(self._antennas.values())
        self.present: dict[str, int] = {f.id: 0 for f in settings.facings if f.id in covered}

    def read(self, arrived: Arrived, now: Moment) -> None:
        """First sight counts one, long silence takes it away."""
        moves = [] if arrived else self._presence.departures(now.mono_s)
        for reading in arrived:
            if isinstance(reading, TagRead):
                facing = self._antennas.get((reading.device, reading.antenna))
                if facing is not None:
                    moves += self._presence.seen(
                        epc=reading.epc, device=reading.device, facing=facing,
                        rssi_dbm=reading.rssi_dbm, mono_s=now.mono_s,
                    )  # fmt: skip
        for move in moves:
            self.present[move.facing] += 1 if move.arrived else -1


class Ledger:
    """What a stock ledger says: counted once, then sold and delivered. One facing for each item here."""

    def __init__(self, settings: StoreSettings) -> None:
        self._facing = {facing.gtin: facing.id for facing in settings.facings}
        self.book: dict[str, int] = {}

    def read(self, arrived: Arrived, now: Moment) -> None:
        """The lines of tills and goods-in."""
        del now
        for reading in arrived:
            match reading:
                case Recount(facing=facing, on_hand=on_hand):
                    self.book[facing] = on_hand
                case Sale(gtin=gtin, quantity=quantity) if self._facing.get(gtin) in self.book:
                    self.book[self._facing[gtin]] -= quantity
                case Delivery(facing=str(facing), quantity=quantity) if facing in self.book:
                    self.book[facing] += quantity
                case _:
                    pass


class Counters:
    """All of them, fed with the same readings. `told`: the estimator that knows the generator's parameters."""

    def __init__(self, settings: StoreSettings, told: StoreSettings, habits: Habits, *, desks: bool) -> None:
        self.ours, self._informed = Ours(settings), Ours(told, habits)
        self._weighed, self._tags, self._ledger = Weighed(settings), TagCount(settings), Ledger(settings)
        self._desks = desks

    def read(self, arrived: Arrived, now: Moment) -> None:
        """Feed everyone."""
        for one in (self.ours, self._informed, self._weighed, self._tags, self._ledger):
            one.read(arrived, now)

    def asked(self) -> dict[str, dict[str, Count]]:
        """Counter to facing to what it says now."""
        return {
            "ours": self.ours.counts(),
            "informed": self._informed.counts(),
            "division": _unsure(self._weighed.divided),
            "sum of changes": _unsure(self._ledger.book if self._desks else self._weighed.summed),
            "tag count": _unsure(self._tags.present),
        }


def _unsure(counts: Mapping[str, int]) -> dict[str, Count]:
    return {name: (n, 0.0) for name, n in counts.items()}
