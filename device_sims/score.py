"""HQ's picture of a store against the ground truth: each check can fail, all must pass."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from device_sims.hq import EventSeen, Seen, StockSeen, reading_hq
from device_sims.match import Happening, Matched, Sighting, match
from device_sims.truth import Cause, Truth, read_truth

EXACT_SHARE = 0.95
EVENT_F1 = 0.90
FOOTFALL_ERROR = 0.10
PRESENT_WITHIN_S = 10.0

Verdict = Literal["pass", "fail", "not scored"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the score. `verdict` is None for a line that informs and never decides."""

    name: str
    truth: str
    seen: str
    result: str
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """All checks; `measures` has the bare figures for programs."""

    store: str
    checks: list[Check]
    measures: dict[str, Any]

    @property
    def passed(self) -> bool:
        """Nothing failed, and what decides was measured at all."""
        verdicts = [check.verdict for check in self.checks]
        return "fail" not in verdicts and "pass" in verdicts


async def score_at_hq(url: str, token: str, truth_path: Path, *, store: str | None = None) -> Score:
    """Read the truth file and HQ at `url`, then compare. Our errors when either cannot be read."""
    truth = await asyncio.to_thread(read_truth, truth_path)
    async with reading_hq(url, token) as hq:
        until = datetime.now(UTC)
        seen = await hq.everything(store or truth.opened.store, since=truth.opened.occurred_at, until=until)
    return score(truth, seen)


def score(truth: Truth, seen: Seen) -> Score:
    """Compare; both arguments are complete, `seen` was read after the store came to rest."""
    stock = [(event, body) for event in seen.events if (body := event.stock()) is not None]
    matched: dict[Cause, Matched] = {
        cause: match(_happenings(truth, cause), _sightings(truth, stock, cause))
        for cause in ("pick", "return", "restock")
    }
    checks = [
        _on_hand(truth, seen),
        _events("picks", matched["pick"], decides=True),
        _events("returns", matched["return"], decides=True),
        _events("restocks", matched["restock"], decides=False),
        _footfall(truth, seen),
        _ledger(seen, stock),
        _present_again(truth, stock),
        _emptied(truth, stock),
    ]
    latency_s = _latency_s(truth, list(matched.values()))
    if latency_s:
        p50, p95 = _quantile(latency_s, 0.5), _quantile(latency_s, 0.95)
        checks.append(
            Check("move to HQ, p50/p95", "", f"{len(latency_s)} moves", f"{p50:.1f} s / {p95:.1f} s")
        )
    measures: dict[str, Any] = {
        f"{cause}_f1": None if found.f1 is None else round(found.f1, 4) for cause, found in matched.items()
    }
    measures |= {
        "exact_share": round(_exact_share(truth, seen), 4),
        "footfall": {"truth": _crossings(truth), "seen": {"entered": seen.entered, "exited": seen.exited}},
        "latency_p50_s": round(_quantile(latency_s, 0.5), 3) if latency_s else None,
        "latency_p95_s": round(_quantile(latency_s, 0.95), 3) if latency_s else None,
        "ledger_faults": _ledger_faults(seen, stock),
        "present_again_s": _present_again_s(truth, stock),
    }
    return Score(truth.opened.store, checks, measures)


def _verdict(good: bool) -> Verdict:
    return "pass" if good else "fail"


# --- on-hand -----------------------------------------------------------------------------------


def _exact_share(truth: Truth, seen: Seen) -> float:
    final, found = truth.final_on_hand(), {facing.facing: facing.on_hand for facing in seen.facings}
    return sum(found.get(facing) == on_hand for facing, on_hand in final.items()) / len(final)


def _on_hand(truth: Truth, seen: Seen) -> Check:
    final, found = truth.final_on_hand(), {facing.facing: facing.on_hand for facing in seen.facings}
    share = _exact_share(truth, seen)
    wrong = [
        f"{facing} {on_hand}, seen {'-' if found.get(facing) is None else found[facing]}"
        for facing, on_hand in final.items()
        if found.get(facing) != on_hand
    ]
    result = f"{share:.1%} exact" + (f": {'; '.join(wrong)}" if wrong else "")
    items = f"{sum(final.values())} on {len(final)}"
    return Check(
        "on-hand",
        items,
        str(sum(found.get(facing) or 0 for facing in final)),
        result,
        _verdict(share >= EXACT_SHARE),
    )


# --- events ------------------------------------------------------------------------------------


def _happenings(truth: Truth, cause: Cause) -> list[Happening]:
    return [
        Happening((m.facing, m.cause), m.quantity, m.started_at, m.occurred_at, m.at_rest_at)
        for m in truth.moved
        if m.cause == cause
    ]


def _sightings(truth: Truth, stock: Sequence[tuple[EventSeen, StockSeen]], cause: Cause) -> list[Sighting]:
    return [
        Sighting((body.facing, body.cause), abs(body.change), event.occurred_at, event.received_at)
        for event, body in stock
        if body.cause == cause and event.occurred_at >= truth.opened.occurred_at
    ]


def _events(name: str, found: Matched, *, decides: bool) -> Check:
    happened, seen = found.hit + found.missed, found.hit + found.invented
    if found.f1 is None:
        return Check(name, "0", "0", "none happened", "not scored" if decides else None)
    result = f"F1 {found.f1:.3f}" + (
        f": {found.missed} missed, {found.invented} not so" if found.f1 < 1 else ""
    )
    return Check(name, str(happened), str(seen), result, _verdict(found.f1 >= EVENT_F1) if decides else None)


def _emptied(truth: Truth, stock: Sequence[tuple[EventSeen, StockSeen]]) -> Check:
    happened = [
        Happening(m.facing, 1, m.started_at, m.occurred_at, m.at_rest_at)
        for m in truth.moved
        if m.on_hand == 0
    ]
    seen = [
        Sighting(body.facing, 1, event.occurred_at, event.received_at)
        for event, body in stock
        if body.on_hand == 0 and event.occurred_at >= truth.opened.occurred_at
    ]
    found = match(happened, seen)
    if found.f1 is None:
        return Check("out of stock", "0", "0", "none happened")
    shares = ["-" if share is None else f"{share:.0%}" for share in (found.precision, found.recall)]
    return Check("out of stock", str(len(happened)), str(len(seen)), f"{shares[0]} right, {shares[1]} found")


def _latency_s(truth: Truth, matched: Sequence[Matched]) -> list[float]:
    """Seconds from the last item's move to HQ, of what happened while the line was whole."""
    calm = timedelta(seconds=PRESENT_WITHIN_S)
    outages = [(cut - timedelta(seconds=5), back + calm) for cut, back in truth.outages() if back is not None]
    return sorted(
        (sighting.received_at - happening.moved_at).total_seconds()
        for found in matched
        for happening, sighting in found.pairs
        if not any(start <= happening.moved_at <= end for start, end in outages)
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


# --- people ------------------------------------------------------------------------------------


def _crossings(truth: Truth) -> dict[str, int] | None:
    if not truth.opened.door:
        return None
    entered = sum(crossed.direction == "entered" for crossed in truth.crossed)
    return {"entered": entered, "exited": len(truth.crossed) - entered}


def _footfall(truth: Truth, seen: Seen) -> Check:
    """The error is summed over both directions, so that one person missed each way does not cancel out."""
    counted, known = f"{seen.entered}/{seen.exited}", _crossings(truth)
    if known is None:
        return Check("footfall in/out", "-", counted, "not scored: no truth for this video", "not scored")
    off = abs(seen.entered - known["entered"]) + abs(seen.exited - known["exited"])
    people = known["entered"] + known["exited"]
    good = off <= FOOTFALL_ERROR * people
    result = f"{off} of {people} off" if off else "exact"
    return Check("footfall in/out", f"{known['entered']}/{known['exited']}", counted, result, _verdict(good))


# --- nothing lost, nothing twice -----------------------------------------------------------------


def _ledger_faults(seen: Seen, stock: Sequence[tuple[EventSeen, StockSeen]]) -> list[str]:
    faults = [f"eid {eid} {n} times" for eid, n in Counter(e.eid for e in seen.events).items() if n > 1]
    seqs = Counter(event.seq for event in seen.events if event.seq is not None)
    faults += [f"seq {seq} {n} times" for seq, n in seqs.items() if n > 1]
    summed: Counter[str] = Counter()
    for _, body in stock:
        summed[body.facing] += body.change
    faults += [
        f"{facing.facing} has {facing.on_hand}, its changes add up to {summed[facing.facing]}"
        for facing in seen.facings
        if (facing.on_hand or 0) != summed[facing.facing]
    ]
    if seen.catching_up:
        faults.append("HQ is still catching up")
    if seen.pending is None:
        faults.append("HQ does not say how much is pending")
    elif seen.pending:
        faults.append(f"{seen.pending} events still pending")
    return faults


def _ledger(seen: Seen, stock: Sequence[tuple[EventSeen, StockSeen]]) -> Check:
    faults = _ledger_faults(seen, stock)
    result = "; ".join(faults[:3]) + (f"; {len(faults) - 3} more" if len(faults) > 3 else "")
    return Check(
        "nothing lost or doubled",
        "",
        f"{len(seen.events)} events",
        result or "every sum fits",
        _verdict(not faults),
    )


# --- after a cut -------------------------------------------------------------------------------


def _present_again(truth: Truth, stock: Sequence[tuple[EventSeen, StockSeen]]) -> Check:
    waited_s = _present_again_s(truth, stock)
    outages = truth.outages()
    length = ", ".join(
        "not back" if back is None else f"{(back - cut).total_seconds():.0f} s" for cut, back in outages
    )
    name = "present after a cut"
    if waited_s is None:
        return Check(name, length, "-", "nothing moved while the line was cut", "not scored")
    if waited_s == "never":
        return Check(name, length, "-", "never", "fail")
    if waited_s == "not cut":
        return Check(name, length, "-", "HQ heard of events while the line was cut", "fail")
    return Check(name, length, "", f"{waited_s:.1f} s", _verdict(waited_s <= PRESENT_WITHIN_S))


def _present_again_s(
    truth: Truth, stock: Sequence[tuple[EventSeen, StockSeen]]
) -> float | Literal["never", "not cut"] | None:
    """Seconds from the line's return until HQ had every facing that moved in the cut; None without any."""
    waits_s: list[float] = []
    for cut, back in truth.outages():
        last = {
            m.facing: m
            for m in truth.moved
            if m.occurred_at >= cut and (back is None or m.occurred_at <= back)
        }
        if back is None:
            return "never"
        if any(cut + timedelta(seconds=1) < event.received_at < back for event, _ in stock):
            return "not cut"
        for facing, moved in last.items():
            told = [
                event.received_at
                for event, body in stock
                if body.facing == facing and event.occurred_at >= moved.started_at
            ]
            if not told:
                return "never"
            waits_s.append(round((min(told) - back).total_seconds(), 3))
    return max(waits_s) if waits_s else None
