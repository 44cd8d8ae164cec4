"""A place that is weighed: one plate, or several that share a facing and tell only together what is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edge_agent.moment import Moment
from edge_agent.readings import WeightReading
from edge_agent.stock import kept
from edge_agent.stock.assortment import Assortment
from edge_agent.stock.effects import PlatePosition
from edge_agent.stock.habits import Habits
from edge_agent.stock.hypothesis import Hypothesis
from edge_agent.stock.plate_belief import PlateBelief
from edge_agent.stock.settle import Plate
from edge_agent.stock.spread import Spread
from edge_agent.stock.turns import Lean

BLIND_S = 5.0
"""A change found after at least this long without a reading is a correction: nobody saw who did it."""
LONGEST_S = 60.0
"""A longer gap is no rhythm."""

PlateKey = tuple[str, int | None]


@dataclass(slots=True)
class Pan:
    """`plates`: their settle detectors; `names`: the facings that lie there, `wired`: on which plates;
    `belief`: what lies there, if a weight can tell."""

    plates: dict[PlateKey, Plate]
    names: list[str]
    wired: Mapping[PlateKey, list[str]]
    belief: PlateBelief | None
    rested_s: float = 0.0
    """When its weight was last evidence."""
    unseen: bool = False
    """Something may have happened while nobody looked."""
    changed_g: float | None = None
    """What its weight changed by when it was touched last."""
    before: list[Hypothesis] = field(default_factory=list)
    """What was believed before that, as long as a neighbour may still say something of it."""
    positions: dict[PlateKey, PlatePosition] = field(default_factory=dict)
    _weighed_g: float | None = None
    _said: list[Lean] = field(default_factory=list)
    _moved_g: Sequence[float | None] = ()
    _spreads: list[Spread] = field(default_factory=list)
    _rests_g: dict[PlateKey, float] = field(default_factory=dict)
    _viewed: dict[PlateKey, tuple[float, float]] = field(default_factory=dict)

    @property
    def moving(self) -> bool:
        """Whether somebody touches it."""
        return any(plate.moving for plate in self.plates.values())

    @property
    def rest_g(self) -> float | None:
        """What lies there in grams when it is at rest, on all plates together."""
        total_g = 0.0
        for plate in self.plates.values():
            if plate.moving or plate.rest_g is None:
                return None
            total_g += plate.rest_g
        return total_g

    def feed(self, key: PlateKey, reading: WeightReading, now: Moment) -> float | None:
        """One reading of one plate; the weight, once each time the whole comes to rest."""
        plate = self.plates[key]
        self._view(key, plate, now.mono_s)
        if reading.weight_g is None or "over" in reading.flags or "under" in reading.flags:
            plate.disturb()
            return None
        if plate.feed(now.mono_s, reading.weight_g, stable=reading.stable) is None or self.moving:
            return None
        for other in self.plates.values():
            if other is not plate:
                other.rest_anew()
        return self.rest_g

    def weigh(self, rest_g: float, at_s: float, leans: Sequence[Lean]) -> None:
        """It came to rest: what lies there now."""
        if self.belief is None:
            return
        seen = bool(self._rests_g) and not self.unseen
        self.changed_g = rest_g - sum(self._rests_g.values()) if seen else None
        self._said = list(leans)
        self._moved_g = self._places() if seen and len(self.plates) > 1 else ()
        self.before, self._weighed_g = self.belief.hypotheses if seen else [], rest_g
        self._spreads = [replace(spread) for spread in self.belief.spreads]
        self.belief.weigh(rest_g, at_s, unseen=self.unseen, leans=leans, places=self._moved_g)
        self.unseen = False
        self._rested(at_s)

    def rest(self, rest_g: float, at_s: float) -> None:
        """It is still at rest: what changed is drift."""
        if self.belief is not None:
            self.belief.rest(rest_g, at_s)
        self.before, self._spreads, self.changed_g = [], [], None
        self._rested(at_s)

    def weigh_again(self, leans: Sequence[Lean]) -> None:
        """A neighbour came to rest that was touched with it: the last change seen in the light of that."""
        if self.belief is None or not self.before or self._weighed_g is None or self.changed_g is None:
            return
        self._said += leans
        self.belief.hypotheses = self.before
        self.belief.spreads = [replace(spread) for spread in self._spreads]
        self.belief.weigh(self._weighed_g, self.rested_s, leans=self._said, places=self._moved_g)

    def _rested(self, at_s: float) -> None:
        self.rested_s = at_s
        self._rests_g = {key: plate.rest_g or 0.0 for key, plate in self.plates.items()}

    def _places(self) -> list[float | None]:
        """For each item, what changed on the plates where nothing else lies."""
        found: list[float | None] = []
        for item in self.belief.items if self.belief is not None else ():
            own = [key for key in self.plates if self.wired[key] == [item.facing]]
            changes = [(self.plates[key].rest_g or 0.0) - self._rests_g[key] for key in own]
            found.append(sum(changes) if own else None)
        return found

    def position(self, key: PlateKey, weight_g: float, now: Moment) -> PlatePosition:
        """The durable word of one plate; the first one's holds what is believed of them all."""
        first = key == next(iter(self.plates))
        text = kept.write(self.belief) if first and self.belief and self.belief.hypotheses else ""
        self.positions[key] = position = PlatePosition(key[0], key[1], weight_g, now.at, text)
        return position

    def at_rest(self, now: Moment) -> list[PlatePosition]:
        """The durable words of all its plates."""
        return [self.position(key, one.rest_g or 0.0, now) for key, one in self.plates.items()]

    def restore(self, position: PlatePosition, now: Moment) -> None:
        """Put back a plate's last durable word; the plate itself has to come to rest anew."""
        key = (position.device, position.channel)
        self.positions[key] = position
        if self.belief is not None and position.belief:
            age_s = max(0.0, (now.at - position.observed_at).total_seconds())
            kept.read(position.belief, self.belief, now.mono_s - age_s)

    def _view(self, key: PlateKey, plate: Plate, mono_s: float) -> None:
        """Mark as unseen when a plate's last reading is older than its usual rhythm allows.

        It must settle anew: that ends the doubt of the silence, and what came in it is told as unseen.
        """
        last_s, rhythm_s = self._viewed.get(key, (float("-inf"), 0.0))
        gap_s = mono_s - last_s
        if gap_s > max(BLIND_S, 3 * rhythm_s):
            self.unseen = True
            plate.disturb()
        usual_s = rhythm_s if gap_s == float("inf") else rhythm_s + 0.2 * (min(gap_s, LONGEST_S) - rhythm_s)
        self._viewed[key] = (mono_s, usual_s)


def pans(plates: Mapping[PlateKey, list[str]], assortment: Assortment, habits: Habits) -> dict[PlateKey, Pan]:
    """Each plate to what it belongs to."""
    found: dict[PlateKey, Pan] = {}
    for keys in _together(plates):
        names = list(dict.fromkeys(name for key in keys for name in plates[key]))
        many = len(keys) ** 0.5
        own = replace(
            habits,
            plate_sd_g=habits.plate_sd_g * many,
            drift_g_per_sqrt_h=habits.drift_g_per_sqrt_h * many,
            rest_sd_g=habits.rest_sd_g * many,
        )
        items = assortment.items(names)
        belief = PlateBelief(items, assortment.neighbours(names), own) if items else None
        pan = Pan({key: Plate(assortment.step_g(names)) for key in keys}, names, plates, belief)
        found |= dict.fromkeys(keys, pan)
    return found


def _together(plates: Mapping[PlateKey, list[str]]) -> list[list[PlateKey]]:
    """Plates in groups that share no facing with each other."""
    groups: list[tuple[list[PlateKey], set[str]]] = []
    for key, names in plates.items():
        keys, facings = [key], set(names)
        for group in [group for group in groups if group[1] & facings]:
            groups.remove(group)
            keys, facings = group[0] + keys, facings | group[1]
        groups.append((keys, facings))
    return [keys for keys, _ in groups]
