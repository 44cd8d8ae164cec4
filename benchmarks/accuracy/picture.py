"""Draws a belief over a day as SVG: a shade for the probability of each count, the truth, what was told, how sure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

WIDTH, LEFT, RIGHT = 960.0, 58.0, 934.0
COUNTS_TOP, COUNTS_BOTTOM = 74.0, 392.0
SURE_TOP, SURE_BOTTOM = 424.0, 500.0
HEIGHT = 552.0
STEPS = 50
"""Probabilities are drawn in so many steps."""
LEGEND = (0.05, 0.25, 0.5, 1.0)
BLUE, ORANGE, INK, GREY = "#2f6fb5", "#e8710a", "#1b1f24", "#57606a"


@dataclass(frozen=True, slots=True)
class Look:
    """At one moment: what is believed, and what is so. `shares`: count to probability."""

    hour: float
    truth: int
    on_hand: int | None
    confidence: float
    shares: dict[int, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened from one hour to another, in two lines of words."""

    begins: float
    ends: float
    first: str
    second: str


class Drawing:
    """One picture. `most`: the highest count on the axis; `opens`: the hour of day in which the looks begin."""

    def __init__(self, looks: Sequence[Look], *, most: int, opens: int) -> None:
        self._looks, self._most, self._opens = looks, most, opens
        self._step = looks[1].hour - looks[0].hour
        self._hours = round(looks[-1].hour)
        self._row = (COUNTS_BOTTOM - COUNTS_TOP) / (most + 1)

    def svg(self, marks: Sequence[Mark], caption: str) -> str:
        """The file's text."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
            f'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif" font-size="13" fill="{INK}">'
        )
        parts = [
            head,
            f"<title>{caption}</title>",
            f'<rect width="{WIDTH:g}" height="{HEIGHT:g}" fill="#fff"/>',
            *(part for mark in marks for part in self._mark(mark)),
            *self._grid(),
            *self._shades(),
            self._line([(look.hour, look.on_hand or 0) for look in self._looks], self._y, ORANGE, 4.5),
            self._line([(look.hour, look.truth) for look in self._looks], self._y, INK, 1.5),
            self._confidence(),
            *self._axes(),
            *self._legend(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _x(self, hour: float) -> float:
        return LEFT + (RIGHT - LEFT) * hour / self._hours

    def _y(self, on_hand: float) -> float:
        """The middle of a count's row."""
        return COUNTS_BOTTOM - self._row * (on_hand + 0.5)

    def _sure(self, share: float) -> float:
        return SURE_BOTTOM - (SURE_BOTTOM - SURE_TOP) * share

    def _shades(self) -> Iterator[str]:
        for on_hand in range(self._most + 1):
            shares = [(look.hour, round(look.shares.get(on_hand, 0.0) * STEPS)) for look in self._looks]
            for step, run in groupby(shares, key=lambda pair: pair[1]):
                hours = [hour for hour, _ in run]
                if step:
                    x, width = self._x(hours[0]), self._x(hours[-1] + self._step) - self._x(hours[0])
                    y = self._y(on_hand) - self._row / 2
                    yield _box(x, y, width, self._row, BLUE, _shade(step / STEPS))

    def _line(
        self, points: Sequence[tuple[float, float]], y: Callable[[float], float], colour: str, width: float
    ) -> str:
        path = f"M{self._x(points[0][0]):.1f} {y(points[0][1]):.1f}"
        for (_, before), (hour, value) in pairwise(points):
            if value != before:
                path += f"H{self._x(hour):.1f}V{y(value):.1f}"
        path += f"H{self._x(points[-1][0] + self._step):.1f}"
        return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width:g}" stroke-linejoin="round"/>'

    def _confidence(self) -> str:
        points = [(look.hour, look.confidence) for look in self._looks]
        return self._line(points, self._sure, ORANGE, 2)

    def _mark(self, mark: Mark) -> Iterator[str]:
        left, right = self._x(mark.begins), self._x(mark.ends)
        if right > left:
            yield _box(left, COUNTS_TOP, right - left, SURE_BOTTOM - COUNTS_TOP, "#d8dee4", 0.55)
        else:
            yield (
                f'<path d="M{left:.1f} {COUNTS_TOP:g}V{SURE_BOTTOM:g}" stroke="{GREY}" stroke-dasharray="2 3"/>'
            )
        for line, text in enumerate((mark.first, mark.second)):
            yield _text((left + right) / 2, COUNTS_TOP - 22 + 15 * line, text, "middle")

    def _grid(self) -> Iterator[str]:
        for on_hand in range(0, self._most + 1, 4):
            y = self._y(on_hand)
            yield f'<path d="M{LEFT:g} {y:.1f}H{RIGHT:g}" stroke="#d0d7de" stroke-width="0.7"/>'
            yield _text(LEFT - 8, y + 4.5, str(on_hand), "end")
        for share in (0.0, 0.5, 1.0):
            y = self._sure(share)
            yield f'<path d="M{LEFT:g} {y:.1f}H{RIGHT:g}" stroke="#d0d7de" stroke-width="0.7"/>'
            yield _text(LEFT - 8, y + 4.5, f"{share:.0%}".replace("%", " %"), "end")

    def _axes(self) -> Iterator[str]:
        for top, bottom in ((COUNTS_TOP, COUNTS_BOTTOM), (SURE_TOP, SURE_BOTTOM)):
            yield f'<path d="M{LEFT:g} {top:g}V{bottom:g}H{RIGHT:g}" fill="none" stroke="{GREY}"/>'
        for hour in range(self._hours + 1):
            x = self._x(hour)
            yield f'<path d="M{x:.1f} {SURE_BOTTOM:g}v5" stroke="{GREY}"/>'
            if hour % 2 == 0:
                yield _text(x, SURE_BOTTOM + 20, f"{self._opens + hour}:00", "middle")
        yield _text(LEFT, SURE_TOP - 10, "how sure the agent is of the count that it told", "start")
        yield _text(RIGHT, HEIGHT - 12, "simulated store, one look a minute", "end")

    def _legend(self) -> Iterator[str]:
        x, y = LEFT, 18.0
        yield _text(x, y + 4.5, "items on the facing:", "start")
        for name, colour, width in (("truth", INK, 1.5), ("told", ORANGE, 4.5)):
            x += 136 if colour == INK else 80
            yield f'<path d="M{x:g} {y:g}h24" stroke="{colour}" stroke-width="{width:g}"/>'
            yield _text(x + 30, y + 4.5, name, "start")
        x += 92
        yield _text(x, y + 4.5, "probability of a count:", "start")
        x += 150
        for share in LEGEND:
            yield _box(x, y - 7, 24, 14, BLUE, _shade(share))
            yield f'<rect x="{x:g}" y="{y - 7:g}" width="24" height="14" fill="none" stroke="#afb8c1" stroke-width="0.7"/>'
            yield _text(x + 30, y + 4.5, f"{share:.0%}".replace("%", " %"), "start")
            x += 78


def _shade(share: float) -> float:
    """Small probabilities must be seen too; the legend shows the scale."""
    return 0.85 * share**0.6


def _box(x: float, y: float, width: float, height: float, colour: str, opacity: float) -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}" '
        f'fill-opacity="{opacity:.2f}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
