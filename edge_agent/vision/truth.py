"""Compares what was counted with a hand-made truth file: crossings by time and direction, or visits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge_agent.config.cameras import CountingLine
from edge_agent.contract.errors import ConfigError
from edge_agent.vision.footfall import Crossing, Direction

_NEEDED = "it needs clip, line, window_s, tolerance_s and events; or clip and visits with from_s and to_s"


class TrueCrossing(BaseModel):
    """One crossing as it really was."""

    t_s: float
    direction: Literal["entered", "exited"]


class Truth(BaseModel):
    """What a person saw in a clip: crossings of `line` within `window_s`, exact to `tolerance_s`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    clip: str
    line: Annotated[list[float], Field(min_length=4, max_length=4)]
    anchor: Literal["feet", "centre"] = "feet"
    window_s: Annotated[list[float], Field(min_length=2, max_length=2)]
    tolerance_s: float
    events: list[TrueCrossing]

    @model_validator(mode="after")
    def _has_a_line(self) -> Self:
        _ = self.counting_line  # its ValidationError is a ValueError
        return self

    @property
    def counting_line(self) -> CountingLine:
        """The line as it stands in the configuration of a camera."""
        x1, y1, x2, y2 = self.line
        return CountingLine.model_validate(
            {"id": "truth", "from": [x1, y1], "to": [x2, y2], "anchor": self.anchor}
        )


class TrueVisit(BaseModel):
    """One person was in the picture."""

    from_s: float
    to_s: float


class VisitTruth(BaseModel):
    """Who was in the picture of a clip, and from when to when."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    clip: str
    visits: list[TrueVisit]


@dataclass(frozen=True, slots=True)
class VisitAgreement:
    """How many of the `true` visits were seen as one each; `dwell_error_s` is the mean of those."""

    hits: int
    true: int
    false: int
    dwell_error_s: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a count agrees. Totals hide errors that cancel, so both are given.

    `total_error` is the share by which the number of crossings is off.
    """

    hits: int
    missed: int
    false: int
    total_error: float
    missed_crossings: tuple[TrueCrossing, ...] = ()
    false_crossings: tuple[Crossing, ...] = ()

    @property
    def precision(self) -> float:
        """Share of the counted crossings that happened."""
        return self.hits / (self.hits + self.false) if self.hits + self.false else 1.0

    @property
    def recall(self) -> float:
        """Share of the true crossings that were counted."""
        return self.hits / (self.hits + self.missed) if self.hits + self.missed else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        of = 2 * self.hits + self.missed + self.false
        return 2 * self.hits / of if of else 1.0


def read_truth(path: Path) -> Truth:
    """The truth file at `path`. ConfigError when it cannot be read or has no crossings in it."""
    truth = read_any_truth(path)
    if isinstance(truth, VisitTruth):
        raise ConfigError(f"{path}: is not a truth file of crossings", hint=_NEEDED)
    return truth


def read_any_truth(path: Path) -> Truth | VisitTruth:
    """The truth file at `path`, of crossings or of visits. ConfigError when it is neither."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(document, dict) and "visits" in document:
            return VisitTruth.model_validate(document)
        return Truth.model_validate(document)
    except (OSError, ValueError, ValidationError) as error:
        raise ConfigError(f"{path}: is not a truth file", hint=_NEEDED) from error


def compare(crossings: Sequence[Crossing], truth: Truth) -> Agreement:
    """Each true crossing is hit at most once, by the nearest counted one of its direction."""
    from_s, to_s = truth.window_s
    counted = [(c.at_s, c.direction) for c in crossings]
    true = [(e.t_s, e.direction) for e in truth.events]
    hit_counted, hit_true = _pair(counted, true, truth.tolerance_s)
    false = [
        index
        for index, (at_s, _) in enumerate(counted)
        if index not in hit_counted and from_s <= at_s <= to_s
    ]
    hits, total = len(hit_true), len(hit_counted) + len(false)
    error = abs(total - len(true)) / len(true) if true else float(total)
    return Agreement(
        hits,
        len(true) - hits,
        len(false),
        error,
        tuple(event for index, event in enumerate(truth.events) if index not in hit_true),
        tuple(crossings[index] for index in false),
    )


def compare_visits(counted: Sequence[tuple[float, float]], truth: VisitTruth) -> VisitAgreement:
    """`counted` are (from, to) in seconds. A visit is hit when one counted one, and no second one, lies in it
    for the most part of its own time; those that hit none are false."""
    inside = [
        [number for number, span in enumerate(counted) if _mostly_in(span, visit)] for visit in truth.visits
    ]
    errors = [
        abs(counted[found[0]][1] - counted[found[0]][0] - (visit.to_s - visit.from_s))
        for found, visit in zip(inside, truth.visits, strict=True)
        if len(found) == 1
    ]
    false = len(counted) - len({number for found in inside for number in found})
    mean_s = sum(errors) / len(errors) if errors else None
    return VisitAgreement(len(errors), len(truth.visits), false, mean_s)


def _mostly_in(span: tuple[float, float], visit: TrueVisit) -> bool:
    common_s = min(span[1], visit.to_s) - max(span[0], visit.from_s)
    return common_s > 0 and common_s >= (span[1] - span[0]) / 2


def _pair(
    counted: Sequence[tuple[float, Direction]], true: Sequence[tuple[float, Direction]], tolerance_s: float
) -> tuple[set[int], set[int]]:
    near = sorted(
        (abs(at_s - t_s), i, j)
        for i, (at_s, direction) in enumerate(counted)
        for j, (t_s, wanted) in enumerate(true)
        if direction == wanted and abs(at_s - t_s) <= tolerance_s
    )
    hit_counted: set[int] = set()
    hit_true: set[int] = set()
    for _, i, j in near:
        if i not in hit_counted and j not in hit_true:
            hit_counted.add(i)
            hit_true.add(j)
    return hit_counted, hit_true
