"""All that speaks of one facing, put together: its plate, its tags, a camera, the lines of the till."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from math import comb

from edge_agent.contract.messages import Source
from edge_agent.readings import GapSeen
from edge_agent.stock import gap_evidence, tag_evidence
from edge_agent.stock.assortment import Assortment
from edge_agent.stock.carried import Carried
from edge_agent.stock.habits import Habits
from edge_agent.stock.pan import Pan
from edge_agent.stock.shelf_tags import ShelfTags
from edge_agent.stock.tag_evidence import Known, TagLikelihood

HEARD_SHARE = 0.95
"""Tags speak when a reader has heard this share of what is there."""
DOUBT = 0.1
"""With fewer tags in doubt than this it is clear which are there."""
OVERFULL = 0.05
"""A count beyond the capacity, against one that has room."""
SELDOM_TAGGED = 0.5
"""Where no plate weighs, tags count the facing if more than this share of its items have one."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Count to probability by all evidence, and by each sensor that spoke alone."""

    shares: dict[int, float]
    alone: dict[Source, dict[int, float]] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sensors that spoke."""
        return tuple(self.alone)


class Evidence:
    """Of all facings. `lying`: on which pan a facing lies, as which of its items."""

    def __init__(
        self, assortment: Assortment, lying: Mapping[str, tuple[Pan, int]], tags: ShelfTags, habits: Habits
    ) -> None:
        self._assortment, self._lying, self._tags, self._habits = assortment, lying, tags, habits
        self._gaps: dict[str, dict[str, tuple[GapSeen, float]]] = {}
        self.known: dict[str, Known] = {}
        self._counted_s: dict[str, float] = {}
        self.carried = {
            name: Carried(2 * facing.capacity)
            for name, facing in assortment.facings.items()
            if name not in lying
        }

    def saw(self, reading: GapSeen, at_s: float) -> None:
        """A camera's verdict; the last of each camera counts."""
        self._gaps.setdefault(reading.facing, {})[reading.device] = (reading, at_s)

    def forget_camera(self, device: str) -> None:
        """It sees nothing any more."""
        for verdicts in self._gaps.values():
            verdicts.pop(device, None)

    def aside(self, name: str) -> Evidence:
        """The same for one facing, to look at: nothing of it moves on."""
        found, carried = copy(self), self.carried.get(name)
        found.carried = {} if carried is None else {name: copy(carried)}
        found._counted_s = dict(self._counted_s)
        return found

    def of(self, name: str, at_s: float, *, believed: float = 1.0) -> Judgement | None:
        """What is to be believed now; None where nothing has ever spoken.

        `believed`: how far its scale is, that may be silent.
        """
        facing, alone = self._assortment.facings[name], dict[Source, dict[int, float]]()
        pan, index = self._lying.get(name, (None, 0))
        belief = pan.belief if pan is not None and pan.belief and pan.belief.hypotheses else None
        carried = self.carried.get(name)
        tags = self._tags_say(name, at_s, watched=believed == 1.0)
        flat = _anything(facing.capacity)
        if belief is not None:
            alone["weight"] = belief.distribution(index)
            shares = belief.with_tags(index, tags) if tags is not None else alone["weight"]
            known = [(belief.known(belief.hypotheses[0], index), 1.0)]
        else:
            by_hand = carried is not None and carried.shares and not self.counted_by_tags(name)
            shares = carried.now(at_s) if carried is not None and by_hand else flat
            known = self._still_known(name, at_s)
        says = partial(_mean, tags, known) if tags is not None else None
        if says is not None:
            alone["rfid"] = _normalised({n: says(n) for n in flat | shares})
            if belief is None:
                shares = {n: share * says(n) for n, share in shares.items()}
        if believed < 1.0:
            # By the silent scale's last word, or anything: the tags decide between the two as well.
            rest = {n: share * (says(n) if says is not None else 1.0) for n, share in flat.items()}
            shares = _mixed(shares, rest, believed)
        cameras = self._cameras_say(name, shares, at_s)
        if cameras is not None:
            alone["camera"] = _normalised(cameras)
            shares = {n: share * cameras[n] for n, share in shares.items()}
        if not alone and not (carried is not None and carried.shares):
            return None
        return Judgement(_normalised(shares), alone)

    def settle_tags(self, name: str, at_s: float) -> None:
        """The facing's plate is touched: what its tags said until now is taken in, if it is clear."""
        pan, index = self._lying[name]
        if pan.belief is None or not pan.belief.hypotheses:
            return
        heard = self._tags.heard(name, at_s)
        if heard.doubt > DOUBT or heard.unheard > DOUBT:
            return
        tags = self._tags_say(name, at_s, watched=True)
        if tags is not None:
            pan.belief.hear(index, tags, heard.there)

    def _still_known(self, name: str, at_s: float) -> list[tuple[Known, float]]:
        """What was counted by hand and is there yet, each possibility with its probability.

        Of the tagged items some have left since; of those without a tag as many of a hundred.
        """
        items, bare = self.known.get(name, (0, 0))
        there = self._tags.there_since(name, self._counted_s.setdefault(name, at_s))
        share = min(1.0, there / (items - bare)) if items > bare else 1.0
        return [
            ((there + left, left), comb(bare, left) * share**left * (1 - share) ** (bare - left))
            for left in range(bare + 1)
        ]

    def uncounted(self, name: str) -> Carried | None:
        """What is carried of a facing that no sensor counts; None of one that some does."""
        return None if self.counted_by_tags(name) else self.carried.get(name)

    def counted(self, name: str, on_hand: int, at_s: float) -> None:
        """Somebody counted: so many of these have no tag."""
        heard = self._tags.heard(name, at_s)
        if self._tags.covers(name) and self._tags.listened(name, at_s) >= HEARD_SHARE and heard.doubt < DOUBT:
            self.known[name] = (on_hand, max(0, on_hand - heard.there))
            self._counted_s[name] = at_s

    def doubt(self, name: str, at_s: float) -> float:
        """How many tags of the facing are neither surely there nor surely gone."""
        heard = self._tags.heard(name, at_s)
        return heard.doubt + (heard.unheard if heard.unheard > tag_evidence.MISSED else 0.0)

    def counted_by_tags(self, name: str) -> bool:
        """Whether tags alone could count the facing."""
        items, bare = self.known_tags(name)
        tagged = 1 - bare / items if items else self._assortment.product(name).tagged
        return self._tags.covers(name) and tagged > SELDOM_TAGGED

    def known_tags(self, name: str) -> Known:
        """Of so many items that lay there once it is known how many have no tag; (0, 0) where it is not."""
        pan, index = self._lying.get(name, (None, 0))
        belief = pan.belief if pan is not None and pan.belief and pan.belief.hypotheses else None
        return belief.known(belief.hypotheses[0], index) if belief else self.known.get(name, (0, 0))

    def tagged(self, name: str) -> float:
        """The share of its items that have a tag, as the planogram says."""
        return self._assortment.product(name).tagged

    def verdicts(self, name: str) -> list[tuple[GapSeen, float]]:
        """The last verdict of each camera, and when it came."""
        return list(self._gaps.get(name, {}).values())

    def _tags_say(self, name: str, at_s: float, *, watched: bool) -> TagLikelihood | None:
        tagged = self._assortment.product(name).tagged
        if not tagged or self._tags.listened(name, at_s) < HEARD_SHARE:
            return None
        likelihood = TagLikelihood(
            self._tags.heard(name, at_s, watched=watched),
            2 * self._assortment.facings[name].capacity,
            tagged=tagged * self._habits.readable,
            strays=self._habits.strays,
            power=self._habits.tag_power,
        )
        return None if likelihood.says_nothing else likelihood

    def _cameras_say(self, name: str, counts: Iterable[int], at_s: float) -> dict[int, float] | None:
        capacity, touched_s = self._assortment.facings[name].capacity, self._tags.touched_s(name)
        says: dict[int, float] | None = None
        for seen, seen_s in self._gaps.get(name, {}).values():
            if seen_s >= touched_s and at_s - seen_s <= gap_evidence.SPEAKS_FOR_S:
                says = says if says is not None else dict.fromkeys(counts, 1.0)
                for n in says:
                    says[n] *= gap_evidence.likelihood(n, capacity, gap=seen.gap, fill=seen.fill)
        return says


def _anything(capacity: int) -> dict[int, float]:
    """Any count that has room is as probable as another; more than the capacity is rare."""
    return _normalised({n: 1.0 if n <= capacity else OVERFULL for n in range(2 * capacity + 1)})


def _mean(tags: TagLikelihood, known: Sequence[tuple[Known, float]], on_hand: int) -> float:
    return sum(share * tags(on_hand, one) for one, share in known)


def _mixed(a: Mapping[int, float], b: Mapping[int, float], share: float) -> dict[int, float]:
    return {n: share * a.get(n, 0.0) + (1.0 - share) * b.get(n, 0.0) for n in {**a, **b}}


def _normalised(shares: Mapping[int, float]) -> dict[int, float]:
    whole = sum(shares.values()) or 1.0
    return {n: share / whole for n, share in shares.items()}
