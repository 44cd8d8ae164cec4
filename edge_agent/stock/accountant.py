"""Makes the account of one facing when somebody asks. It only looks: what is believed stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, sqrt

from edge_agent.contract.messages import Source
from edge_agent.moment import Moment
from edge_agent.stock import gap_evidence
from edge_agent.stock.account import (
    Account,
    Chance,
    Opinion,
    PlateAccount,
    PlateRef,
    Stranger,
    TagAccount,
    Verdict,
    WeighedItem,
)
from edge_agent.stock.belief import Belief
from edge_agent.stock.evidence import HEARD_SHARE, Evidence, Judgement
from edge_agent.stock.hypothesis import ACROSS, FOREIGN, OTHER, Hypothesis
from edge_agent.stock.pan import Pan
from edge_agent.stock.plate_belief import PlateBelief
from edge_agent.stock.sensors import Sensors
from edge_agent.stock.shelf_tags import ShelfTags

ALTERNATIVES, LEAST = 6, 0.001
"""So many counts are told, and none that is less probable."""


class Accountant:
    """Of all facings. `lying`: on which pan a facing lies, as which of its items."""

    def __init__(
        self, evidence: Evidence, tags: ShelfTags, sensors: Sensors, lying: Mapping[str, tuple[Pan, int]]
    ) -> None:
        self._evidence, self._tags, self._sensors, self._lying = evidence, tags, sensors, lying

    def of(self, belief: Belief, now: Moment) -> Account:
        """What is believed of one facing, why, and what else it may be."""
        name, at_s, state = belief.facing, now.mono_s, belief.state()
        place = self._lying.get(name)
        believed = self._sensors.limit(name, at_s) if place else 1.0
        found = self._judgement(name, at_s, believed)
        return Account(
            facing=name,
            gtin=belief.gtin,
            on_hand=belief.on_hand,
            confidence=belief.confidence,
            interval=belief.interval,
            status=belief.status,
            sources=state.sources,
            reasons=list(belief.reasons),
            changed_at=state.changed_at,
            observed_at=state.observed_at,
            reorder_due_at=state.reorder_due_at,
            counts=_counts(found.shares),
            alone=[_opinion(source, alone, belief.on_hand) for source, alone in found.alone.items()],
            plate=_plate(*place, belief.on_hand) if place else None,
            tags=self._heard(name, at_s, watched=believed == 1.0) if self._tags.covers(name) else None,
            in_back_room=self._tags.in_back_room(belief.gtin),
            cameras=self._seen(name, at_s),
        )

    def _judgement(self, name: str, at_s: float, believed: float) -> Judgement:
        """The evidence now, without letting what is carried move on in time."""
        return self._evidence.aside(name).of(name, at_s, believed=believed) or Judgement({})

    def _heard(self, name: str, at_s: float, *, watched: bool) -> TagAccount:
        heard, (items, bare) = self._tags.heard(name, at_s, watched=watched), self._evidence.known_tags(name)
        return TagAccount(
            readers=sorted(self._tags.readers(name)),
            listening=self._tags.listened(name, at_s) >= HEARD_SHARE,
            tagged=self._evidence.tagged(name),
            heard=heard.sure,
            silent=len(heard.silent),
            doubt=round(heard.doubt, 2),
            known_items=items,
            without_tag=bare,
        )

    def _seen(self, name: str, at_s: float) -> list[Verdict]:
        touched_s = self._tags.touched_s(name)
        return [
            Verdict(
                device=seen.device,
                gap=seen.gap,
                fill=round(seen.fill, 2),
                age_s=round(at_s - seen_s, 1),
                speaks=seen_s >= touched_s and at_s - seen_s <= gap_evidence.SPEAKS_FOR_S,
            )
            for seen, seen_s in self._evidence.verdicts(name)
        ]


def _counts(shares: Mapping[int, float]) -> list[Chance]:
    best = sorted(shares.items(), key=lambda pair: (-pair[1], pair[0]))[:ALTERNATIVES]
    return [Chance(on_hand=n, probability=round(share, 4)) for n, share in best if share >= LEAST]


def _opinion(source: Source, alone: Mapping[int, float], believed: int | None) -> Opinion:
    best = max(alone, key=lambda n: alone[n])
    return Opinion(
        source=source,
        on_hand=best,
        probability=round(alone[best], 3),
        of_believed=round(alone.get(best if believed is None else believed, 0.0), 3),
    )


def _plate(pan: Pan, index: int, on_hand: int | None) -> PlateAccount:
    belief = pan.belief
    fits = _fitting(belief, index, on_hand) if belief else []
    items = _items(belief, max(fits, key=lambda one: one.log_weight)) if belief and fits else []
    drift_g = belief.drift_g() if belief and fits else 0.0
    expected_g = sum(item.on_hand * item.unit_g for item in items) + drift_g
    weight_g = pan.rest_g
    return PlateAccount(
        plates=[PlateRef(device=device, channel=channel) for device, channel in pan.plates],
        moving=pan.moving,
        weight_g=None if weight_g is None else round(weight_g, 1),
        expected_g=round(expected_g, 1) if items else None,
        drift_g=round(drift_g, 1),
        items=items,
        foreign=_strangers(fits),
        foreign_g=round(_foreign_g(fits), 1),
    )


def _fitting(belief: PlateBelief, index: int, on_hand: int | None) -> list[Hypothesis]:
    """The hypotheses with the count that is believed (by all evidence); all of them where none has it."""
    return [one for one in belief.hypotheses if one.counts[index] == on_hand] or belief.hypotheses


def _items(belief: PlateBelief, best: Hypothesis) -> list[WeighedItem]:
    return [
        WeighedItem(
            facing=item.facing,
            gtin=item.gtin,
            on_hand=best.counts[index],
            printed_g=item.unit_weight_g,
            printed_sd_g=round(item.unit_sd_g, 2),
            unit_g=round(belief.unit_weight_g(index), 2),
            unit_sd_g=round(sqrt(belief.spreads[index].variance), 2),
        )
        for index, item in enumerate(belief.items)
    ]


def _strangers(fits: Sequence[Hypothesis]) -> list[Stranger]:
    """What is foreign there, the most probable first."""
    shares: dict[str, float] = {}
    for one in fits:
        if one.foreign is not None:
            shares[one.foreign] = shares.get(one.foreign, 0.0) + exp(one.log_weight)
    whole = sum(exp(one.log_weight) for one in fits)
    return [
        Stranger(gtin=None if what in (OTHER, ACROSS) else what, probability=round(share / whole, 3))
        for what, share in sorted(shares.items(), key=lambda pair: -pair[1])
        if share >= LEAST * whole
    ]


def _foreign_g(fits: Sequence[Hypothesis]) -> float:
    """What is foreign there weighs so much, where it is there."""
    alien = [(exp(one.log_weight), one.state.mean[FOREIGN]) for one in fits if one.foreign is not None]
    whole = sum(share for share, _ in alien)
    return sum(share * mass_g for share, mass_g in alien) / whole if whole else 0.0
