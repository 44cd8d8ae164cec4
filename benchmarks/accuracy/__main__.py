"""`make accuracy`: every kind of store over held-out seeds, as the table of docs/accuracy.md.

ACCURACY_SEEDS (101,102), ACCURACY_HOURS (1), and names of stores as arguments.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.accuracy.run import Ran, run
from benchmarks.accuracy.scoring import SURE, Sample, calibration_error, event_f1, reliability, share_of
from benchmarks.accuracy.stores import ACTS_PER_FACING, FACINGS, HOURS, KINDS, StoreKind

PAGE = Path(__file__).parents[2] / "docs" / "accuracy.md"
OTHERS = ("division", "sum of changes", "tag count")


def main() -> None:
    seeds = [int(seed) for seed in os.environ.get("ACCURACY_SEEDS", "101,102").split(",")]
    hours = float(os.environ.get("ACCURACY_HOURS", str(HOURS)))
    wanted = sys.argv[1:]
    runs: list[tuple[StoreKind, list[Ran]]] = []
    for kind in KINDS:
        if wanted and kind.name not in wanted:
            continue
        began = time.monotonic()
        runs.append((kind, [run(kind, seed, seconds=hours * 3600) for seed in seeds]))
        print(f"{kind.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    page = "\n".join(_page(runs, seeds, hours)) + "\n"
    if wanted:
        print(page)
    else:
        PAGE.write_text(page, encoding="utf-8")
        print(f"written: {PAGE}")


def _page(runs: Sequence[tuple[StoreKind, list[Ran]]], seeds: Sequence[int], hours: float) -> Iterator[str]:
    yield "# How right the counts are (simulated)"
    yield ""
    yield f"Written by `make accuracy`: {FACINGS} facings a store, {hours:g} h with as much in it as in half a day (about"
    yield f"{ACTS_PER_FACING} changes a facing, that much drift), seeds {', '.join(map(str, seeds))}, on which nothing was tuned. Bytes of simulated devices go through the agent's"
    yield "own decoders into its estimator; it knows the planogram, not the simulator. Counts are asked for every 20 s where"
    yield "nobody touches the facing. In brackets: 95 % interval, drawn over facings. Simulated is not real."
    yield ""
    yield "| store | exact | within ±1 | called ≥ 95 % sure | of those right | ECE | event F1 | told / moved | division | sum of changes | tag count |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for kind, ran in runs:
        yield _row(kind, ran)
    yield ""
    yield "`division`: weight by unit weight; `sum of changes`: rounded changes added up; `tag count`: tags seen lately; all on"
    yield "the same readings. `told / moved`: changes of a count told for each thing that was moved. ECE: expected calibration error."
    yield ""
    yield "| store | is |"
    yield "| --- | --- |"
    for kind, _ in runs:
        yield f"| {kind.name} | {_is(kind)} |"
    yield ""
    yield "## Confidence and truth"
    yield ""
    yield "All stores together: of the counts in each row, how sure they were called and how many were right."
    yield ""
    yield "| confidence | counts | mean | right |"
    yield "| --- | --- | --- | --- |"
    for name, count, mean, right in reliability(
        [one for _, ran in runs for each in ran for one in each.samples]
    ):
        yield f"| {name} | {count:,} | {mean:.3f} | {right:.3f} |"


def _row(kind: StoreKind, ran: Sequence[Ran]) -> str:
    samples = [one for each in ran for one in each.samples]
    sure = [one for one in samples if one.ours[1] >= SURE]
    f1 = [found for each in ran if (found := event_f1(each.told, each.truth)) is not None]
    told = sum(sum(1 for one in each.told if one.change) for each in ran)
    cells = [
        kind.name,
        _share(samples, lambda one: one.ours[0] == one.truth),
        f"{sum(abs((one.ours[0] or 0) - one.truth) <= 1 for one in samples) / max(1, len(samples)):.3f}",
        f"{len(sure) / max(1, len(samples)):.3f}",
        _share(sure, lambda one: one.ours[0] == one.truth),
        f"{calibration_error(samples):.3f}",
        f"{sum(f1) / len(f1):.3f}" if f1 else "–",
        f"{told / max(1, sum(each.moves for each in ran)):.2f}",
    ]
    for other in OTHERS:
        known = [one for one in samples if one.others[other] is not None]
        cells.append(
            f"{sum(one.others[other] == one.truth for one in known) / len(known):.3f}" if known else "–"
        )
    return f"| {' | '.join(cells)} |"


def _share(samples: Sequence[Sample], hit: Callable[[Sample], bool]) -> str:
    found = share_of([((one.seed, one.facing), hit(one)) for one in samples])
    return str(found) if found is not None else "–"


def _is(kind: StoreKind) -> str:
    parts = [f"pieces vary by {kind.unit_cv:.1%}, printed weights are off by {kind.unit_bias:.1%}"]
    parts.append(f"zero drifts by {kind.drift_g:g} g" if kind.weighed else "no scales")
    parts.append(f"{kind.tagged:.0%} tagged" if kind.tagged else "no tags")
    if kind.bags:
        low, high = kind.bag_stays_s
        parts.append(
            f"a bag on the plate after {kind.bags:.0%} of acts for {low / 60:.0f} to {high / 60:.0f} min"
        )
    if kind.misplaces:
        parts.append(f"{kind.misplaces:.0%} of returns onto a wrong facing")
    if kind.per_plate > 1:
        parts.append(f"{kind.per_plate} kinds of item a plate")
    return ", ".join(parts)


main()
