"""The kinds of simulated stores whose counts are scored: how they are sensed, what goes wrong there."""

from __future__ import annotations

from dataclasses import dataclass, replace

HOURS = 3.0
ACTS_PER_FACING = 60
"""As many as in half a day, in three hours; so are bags and drift."""
FACINGS = 24

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Unfamiliar:
    """Ranges of which the estimator knows nothing. One store draws its own value from each of them, one
    product its own from the last three; pieces of all its products vary alike."""

    unit_cv: Range
    drift_g: Range = (5.0, 30.0)
    bags: Range = (0.0, 0.03)
    sample_sd_g: tuple[Range, Range] = ((0.05, 0.15), (0.15, 0.5))
    settling_s: tuple[Range, Range] = ((0.4, 1.5), (1.5, 4.0))
    tag_read_per_s: tuple[Range, Range] = ((0.05, 0.2), (0.3, 0.8))
    """Of a range, the lowest and the highest value."""
    unit_bias: Range = (-0.03, 0.03)
    tagged: Range = (0.5, 1.0)
    tagged_off: Range = (-0.1, 0.1)
    """The planogram's `tagged` is so far from the truth."""
    without_spread: float = 0.5
    """Share of the products of which the planogram has no `unit_weight_sd_g`."""


@dataclass(frozen=True, slots=True)
class StoreKind:
    """`drift_g` is the random walk of a plate's zero over the whole run; shares are of acts.

    `wide`: two facings side by side lie on three plates, each on a half of its own and on the one between them.
    `counted_at_s`: staff count every facing then. `desks`: a till, goods-in and a camera for each shelf.
    `stores`: so many a seed.
    """

    name: str
    unit_cv: float
    unit_bias: float
    drift_g: float
    tagged: float
    bags: float = 0.0
    bag_stays_h: Range = (1 / 60, 1 / 9)
    """In hours of a run that lasts one: one to seven acts of a facing."""
    misplaces: float = 0.0
    per_plate: int = 1
    weighed: bool = True
    wide: bool = False
    lays_across: float = 0.0
    counted_at_s: float | None = None
    desks: bool = False
    steals: float = 0.0
    unscanned: float = 0.0
    unfamiliar: Unfamiliar | None = None
    stores: int = 1

    @property
    def counted_by_sensors(self) -> bool:
        """Whether plates or tags count what lies there: the estimator has habits for those."""
        return self.weighed or self.tagged > 0

    @property
    def bag_stays_s(self) -> Range:
        """How long a bag lies there."""
        low, high = self.bag_stays_h
        return low * HOURS * 3600, high * HOURS * 3600


_TYPICAL = StoreKind("typical", unit_cv=0.01, unit_bias=0.01, drift_g=14, tagged=0.95, bags=0.01)
_COUNTED_BY_TAGS = replace(_TYPICAL, name="rfid-only", bags=0.0, weighed=False)
_OF_CANS = Unfamiliar(unit_cv=(0.003, 0.04))
_OF_FRUIT = Unfamiliar(unit_cv=(0.05, 0.15), unit_bias=(-0.06, 0.06))

KINDS = (
    StoreKind("easy", unit_cv=0.01, unit_bias=0.005, drift_g=7, tagged=1.0),
    _TYPICAL,
    replace(_TYPICAL, name="sticky", bag_stays_h=(1.1, 1.9)),
    StoreKind("hard", unit_cv=0.03, unit_bias=0.02, drift_g=28, tagged=0.90, bags=0.03, misplaces=0.02),
    StoreKind("produce", unit_cv=0.10, unit_bias=0.05, drift_g=14, tagged=0.0, bags=0.01),
    replace(_TYPICAL, name="mixed", per_plate=2),
    replace(_TYPICAL, name="wide", wide=True),
    replace(_TYPICAL, name="neighbours", lays_across=0.05),
    replace(_TYPICAL, name="misplaced", tagged=0.0, bags=0.0, misplaces=0.10),
    replace(_TYPICAL, name="unfamiliar", unfamiliar=_OF_CANS, stores=2),
    replace(_TYPICAL, name="unfamiliar-produce", tagged=0.0, unfamiliar=_OF_FRUIT, stores=2),
    StoreKind(
        "camera-only", unit_cv=0.01, unit_bias=0.01, drift_g=14, tagged=0.0, weighed=False, desks=True,
        steals=0.05, unscanned=0.02, counted_at_s=1.0,
    ),
    _COUNTED_BY_TAGS,
    replace(_COUNTED_BY_TAGS, name="rfid-counted", counted_at_s=55.0),
)  # fmt: skip
