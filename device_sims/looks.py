"""What a simulated visitor wears: drawn from a seed, like nobody in particular."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

Bgr = tuple[int, int, int]

SKIN: tuple[Bgr, ...] = (
    (188, 208, 236),
    (158, 186, 222),
    (122, 154, 200),
    (86, 118, 168),
    (58, 82, 124),
    (42, 58, 92),
)
HAIR: tuple[Bgr, ...] = ((24, 24, 28), (30, 38, 52), (40, 62, 92), (92, 140, 176), (150, 150, 152))
TOP: tuple[Bgr, ...] = (
    (52, 44, 150),
    (128, 74, 34),
    (62, 58, 56),
    (66, 104, 62),
    (54, 126, 196),
    (216, 214, 208),
    (140, 94, 120),
    (164, 146, 70),
    (40, 42, 46),
    (120, 60, 40),
)
BOTTOM: tuple[Bgr, ...] = (
    (88, 58, 38),
    (44, 40, 40),
    (112, 84, 60),
    (96, 120, 146),
    (62, 66, 72),
    (70, 44, 34),
)
SHOE: tuple[Bgr, ...] = ((30, 30, 34), (186, 190, 194), (40, 56, 84), (120, 118, 116))
BAG: tuple[Bgr, ...] = ((40, 46, 52), (40, 72, 128), (94, 60, 38), (168, 190, 206))


@dataclass(frozen=True, slots=True)
class Looks:
    """One visitor's appearance. Colours are BGR, `build` widens the body (1 is average)."""

    height_m: float
    build: float
    skin: Bgr
    hair: Bgr
    top: Bgr
    bottom: Bgr
    shoe: Bgr
    bag: Bgr
    hair_cut: Literal["short", "long"]
    sleeves: Literal["short", "long"]
    legwear: Literal["trousers", "shorts", "skirt"]
    carries: Literal["nothing", "backpack", "tote"]
    stripes: bool


def random_looks(random: Random) -> Looks:
    """A visitor; the same state of `random` gives the same one."""
    long_hair = random.random() < 0.45
    return Looks(
        height_m=random.gauss(1.66 if long_hair else 1.75, 0.06),
        build=random.uniform(0.95, 1.2),
        skin=random.choice(SKIN),
        hair=random.choice(HAIR),
        top=random.choice(TOP),
        bottom=random.choice(BOTTOM),
        shoe=random.choice(SHOE),
        bag=random.choice(BAG),
        hair_cut="long" if long_hair else "short",
        sleeves=random.choice(("short", "long", "long")),
        legwear=random.choice(
            ("trousers", "trousers", "trousers", "shorts", "skirt" if long_hair else "trousers")
        ),
        carries=random.choice(("nothing", "nothing", "backpack", "tote")),
        stripes=random.random() < 0.2,
    )
