"""docs/accuracy.md, from what came of all stores."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.accuracy.events import NEVER
from benchmarks.accuracy.goals import Goal, goals
from benchmarks.accuracy.results import INFORMED, Result
from benchmarks.accuracy.stores import ACTS_PER_FACING, FACINGS, HOURS, KINDS, StoreKind, Unfamiliar
from benchmarks.accuracy.tally import Share, reliability
from benchmarks.accuracy.why import WHY

USUAL = next(kind for kind in KINDS if kind.name == "typical")
BASELINES = ("division", "sum of changes", "tag count")
WIDTH = 125
NONE = "–"


def page(results: Mapping[str, Result], seeds: Sequence[int], hours: float) -> str:
    """The whole page."""
    return "\n".join([*_head(seeds, hours), *_counts(results), *_confidence(results), *_reliability(results),
                      *_goals(results), *_stores(results), ""])  # fmt: skip


def _head(seeds: Sequence[int], hours: float) -> Iterator[str]:
    yield "# How right the counts are (simulated)"
    yield ""
    cut = "" if hours == HOURS else f" of which the first {hours:g} h are shown,"
    yield from _wrapped(
        f"Simulated is not real: no figure here comes from a real store. Written by `make accuracy`: stores of "
        f"{FACINGS} facings, {HOURS:g} h with as much in it as in half a day (about {ACTS_PER_FACING} changes "
        f"a facing, that much drift),{cut} seeds {', '.join(map(str, seeds))}, on which nothing was tuned. A process that "
        "cannot import the simulator gets the bytes of its devices, decodes them with the agent's own drivers "
        "and counts with its estimator; it knows the planogram and nothing else of the store. Every 20 s it is "
        "asked for the count of each facing that nobody touches. In brackets: 95 % interval, drawn over facings."
    )


def _counts(results: Mapping[str, Result]) -> Iterator[str]:
    yield from _section("Counts")
    yield from _wrapped(
        "Share of counts that are exact. `told`: the same estimator, told the generator's parameters (not its "
        "draws): the room that is left; the next column is ours less that, in points. On the same readings: "
        "`division`, weight by unit weight; `sum of changes`, rounded changes of weight added up (without plates: "
        "counted once, less what was sold, and what was delivered); `tag count`, tags seen lately. `unit error`: "
        "items by which counts are off, of all items there."
    )
    yield ""
    yield from _header("store", "ours", "told", "ours less told", *BASELINES, "within ±1", "unit error")
    for name, one in results.items():
        ahead = one.ahead
        yield _row(
            name, _share(one.exact), _short(one.exact_by(INFORMED)), ahead.in_points if ahead else NONE,
            *(_short(one.exact_by(other)) for other in BASELINES), f"{one.near:.3f}", f"{one.unit_error:.2%}",
        )  # fmt: skip


def _confidence(results: Mapping[str, Result]) -> Iterator[str]:
    yield from _section("Confidence, events, time")
    yield from _wrapped(
        "`F1`: picks, returns and fillings told to HQ, in items, by facing, direction and time. `right item`: of "
        "items told that did move there or on a facing beside it, those told of the right facing. `changes told`: "
        "changes of a count (and all messages) for each thing that people did. `true after`: from rest until the told count "
        "is the true one, for 50 % and 95 % of changes; `never`: not before the next change. ECE: expected "
        "calibration error."
    )
    yield ""
    yield from _header(
        "store",
        "called ≥ 95 % sure",
        "of those right",
        "ECE",
        "F1",
        "right item",
        "changes told",
        "true after",
        "never",
    )
    for name, one in results.items():
        told = one.events
        yield _row(
            name, f"{one.sure:.3f}", _share(one.sure_right), f"{one.calibration_error:.3f}", _figure(told.f1),
            _figure(told.identity), f"{told.changes_each:.2f} ({told.messages_each:.2f})",
            f"{_seconds(told.delay_s(0.5))}, {_seconds(told.delay_s(0.95))}", f"{told.never:.1%}",
        )  # fmt: skip


def _reliability(results: Mapping[str, Result]) -> Iterator[str]:
    yield from _section("Confidence and truth")
    yield "Of the counts of all stores in each row: how sure they were called, and how many were right."
    yield ""
    yield from _header("confidence", "counts", "mean", "right")
    for name, one in reliability([tally for result in results.values() for tally in result.tallies]):
        mean, right = one.confidence / one.counts, one.right / one.counts
        yield _row(name, f"{one.counts:,}", f"{mean:.3f}", f"{right:.3f}")


def _goals(results: Mapping[str, Result]) -> Iterator[str]:
    yield from _section("Goals")
    found = list(goals(results))
    missed = [goal for goal in found if not goal.is_reached]
    yield f"{len(found) - len(missed)} of {len(found)} are reached." + (" Not:" if missed else "")
    yield ""
    if missed:
        yield from _header("store", "goal", "is", "short by", "why")
        for goal in missed:
            why = WHY.get((goal.store, goal.what), NONE)
            yield _row(goal.store, str(goal), _reached(goal.reached), _reached(-goal.by), why)
        yield ""
    names = dict.fromkeys(str(goal) for goal in found)
    yield from _wrapped(f"Reached: {'; '.join(filter(None, (_who(name, found) for name in names)))}.")


def _who(name: str, found: Sequence[Goal]) -> str:
    """The stores that reach a goal; the others where those are fewer."""
    there = [goal.store for goal in found if str(goal) == name and goal.is_reached]
    short = [goal.store for goal in found if str(goal) == name and not goal.is_reached]
    if len(there) > 3 and len(there) > len(short):
        return f"{name}: all that have it to reach" + (f" but {', '.join(short)}" if short else "")
    return f"{name}: {', '.join(there)}" if there else ""


def _stores(results: Mapping[str, Result]) -> Iterator[str]:
    yield from _section("The stores")
    usual = list(_parts(USUAL))
    yield from _wrapped(f"Unless it says otherwise: {', '.join(usual)}.")
    yield ""
    others = [f"**{name}**: {is_(one.kind)}" for name, one in results.items() if one.kind != USUAL]
    yield from _wrapped("; ".join(others) + ".")


def is_(kind: StoreKind) -> str:
    """How a store differs from the typical one, in words."""
    if kind.unfamiliar is not None:
        return _unfamiliar(kind.unfamiliar, kind)
    usual = set(_parts(USUAL))
    return ", ".join(part for part in _parts(kind) if part not in usual)


def _parts(kind: StoreKind) -> Iterator[str]:
    if kind.weighed:
        yield f"pieces vary by {kind.unit_cv:.1%}"
        yield f"printed weights are off by {kind.unit_bias:.1%}"
        yield f"zero drifts by {kind.drift_g:g} g"
    else:
        yield "no scales"
    yield f"{kind.tagged:.0%} tagged" if kind.tagged else "no tags"
    if kind.per_plate > 1:
        yield f"{kind.per_plate} kinds of item a plate"
    if kind.wide:
        yield "two facings lie on three plates, over their seams"
    if kind.desks:
        yield "a till, goods-in and a camera a shelf that says how full a front looks"
    if kind.counted_at_s is not None:
        yield "staff count each facing once, in the first minute"
    yield from _goes_wrong(kind)


def _goes_wrong(kind: StoreKind) -> Iterator[str]:
    if kind.bags:
        low, high = kind.bag_stays_s
        stays = f"for {low / 60:.0f} to {high / 60:.0f} min" if high < HOURS * 3600 else "to the end"
        yield f"a bag on the plate after {kind.bags:.0%} of acts, {stays}"
    elif kind.weighed:
        yield "no bags"
    if kind.misplaces:
        yield f"{kind.misplaces:.0%} of returns onto a wrong facing"
    if kind.lays_across:
        yield f"{kind.lays_across:.0%} of what is put back lies across to the next plate"
    if kind.steals:
        yield f"{kind.steals:.0%} of shoppers steal, {kind.unscanned:.0%} of lines are not scanned"


def _unfamiliar(of: Unfamiliar, kind: StoreKind) -> str:
    low, high = of.unit_cv
    parts = [
        f"drawn for each store: pieces vary by {low:.1%} to {high:.0%}",
        f"zero drifts by {of.drift_g[0]:g} to {of.drift_g[1]:g} g",
        f"a bag after {of.bags[0]:.0%} to {of.bags[1]:.0%} of acts",
        "noise, settling (0.4 to 4 s)" + (", read rates of tags" if kind.tagged else ""),
        f"for each product: printed weight off by up to {of.unit_bias[1]:.0%}",
        f"no printed spread for {of.without_spread:.0%}",
    ]
    if kind.tagged:
        low, high = of.tagged
        parts.append(
            f"{low:.0%} to {high:.0%} tagged, the planogram's share off by up to {of.tagged_off[1]:.0%}"
        )
    return ", ".join(parts)


def _reached(figure: float) -> str:
    return "never" if figure == NEVER else f"{figure:.3f}".rstrip("0").rstrip(".")


def _section(title: str) -> list[str]:
    return ["", f"## {title}", ""]


def _header(*names: str) -> list[str]:
    return [_row(*names), _row(*["---" for _ in names])]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _share(share: Share | None) -> str:
    return str(share) if share is not None else NONE


def _short(share: Share | None) -> str:
    return f"{share.share:.3f}" if share is not None else NONE


def _figure(number: float | None) -> str:
    return f"{number:.3f}" if number is not None else NONE


def _seconds(delay_s: float) -> str:
    return f"{delay_s:.1f} s" if delay_s < NEVER else "never"
