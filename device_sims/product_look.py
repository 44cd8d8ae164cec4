"""What a simulated product looks like: its package, drawn from its GTIN."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

from device_sims.looks import Bgr

Kind = Literal["bottle", "can", "bag", "box"]
Motif = Literal["disc", "band", "slope", "rays"]

STACKABLE: frozenset[Kind] = frozenset(("can", "box"))

PRINT: tuple[Bgr, ...] = (
    (44, 38, 196),
    (168, 84, 28),
    (72, 138, 40),
    (30, 176, 238),
    (34, 112, 232),
    (132, 52, 108),
    (188, 150, 44),
    (226, 226, 222),
    (52, 46, 44),
    (150, 110, 214),
)
LIQUID: tuple[Bgr, ...] = (
    (26, 24, 44),
    (52, 112, 178),
    (214, 208, 196),
    (40, 138, 226),
    (96, 178, 128),
    (224, 228, 230),
)
_SYLLABLES = ("LU", "NO", "KI", "RA", "MO", "VE", "TI", "SA", "BO", "ZU", "PE", "LI")
_SIZES: dict[Kind, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "bottle": ((60, 68), (205, 235), (60, 68)),
    "can": ((56, 66), (115, 155), (56, 66)),
    "bag": ((125, 165), (180, 225), (50, 60)),
    "box": ((62, 110), (130, 190), (40, 60)),
}
"""Width, height and depth in millimetres, each from and to."""


@dataclass(frozen=True, slots=True)
class ProductLook:
    """One product's package. Colours are BGR."""

    gtin: str
    kind: Kind
    width_mm: float
    height_mm: float
    depth_mm: float
    ground: Bgr
    accent: Bgr
    ink: Bgr
    liquid: Bgr
    brand: str
    motif: Motif

    @property
    def is_round(self) -> bool:
        """Whether it stands on a circle and can be turned."""
        return self.kind in ("bottle", "can")


def look_of(gtin: str) -> ProductLook:
    """The same GTIN always looks the same."""
    random = Random(f"{gtin}/look")
    kind: Kind = random.choice(("bottle", "bottle", "can", "bag", "box"))
    width, height, depth = (random.uniform(*limits) for limits in _SIZES[kind])
    ground, accent = random.sample(PRINT, k=2)
    return ProductLook(
        gtin=gtin,
        kind=kind,
        width_mm=width,
        height_mm=height,
        depth_mm=width if kind in ("bottle", "can") else depth,
        ground=ground,
        accent=accent,
        ink=(236, 240, 240) if _brightness(ground) < 150 else (48, 36, 34),
        liquid=random.choice(LIQUID),
        brand="".join(random.sample(_SYLLABLES, k=random.choice((2, 2, 3)))),
        motif=random.choice(("disc", "band", "slope", "rays")),
    )


def _brightness(colour: Bgr) -> float:
    blue, green, red = colour
    return 0.114 * blue + 0.587 * green + 0.299 * red
