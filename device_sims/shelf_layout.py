"""Where everything stands on a rack, in millimetres: boards, the place of each facing, the items in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from device_sims.product_look import STACKABLE, ProductLook, look_of

BOARD_DEPTH_MM = 420.0
RAIL_MM = 42.0
"""Height of a board's front with the price tags on it."""
FRAME_MM, HEADER_MM, BASE_MM = 46.0, 96.0, 110.0
"""The frame on both sides, the sign above the topmost bay, what the lowest rail stands on."""
HEADROOM_MM = 46.0
_LEAST_CLEAR_MM = 190.0
_STACKED_MM = 270.0
_TURNS = 3


@dataclass(frozen=True, slots=True)
class Spot:
    """One facing on a rack, as the planogram has it; `x_mm` counts from the left end of the shelf."""

    facing: str
    shelf: str
    x_mm: float
    width_mm: float
    capacity: int
    gtin: str


@dataclass(frozen=True, slots=True)
class Item:
    """Where one item stands in its place, and how it differs from the next one.

    `x_mm` is its middle, `depth_mm` how far behind the front of the board, `lift_mm` how high above it;
    row 0 is the front.
    """

    row: int
    x_mm: float
    depth_mm: float
    lift_mm: float
    tone: float
    turn: int


@dataclass(frozen=True, slots=True)
class Place:
    """A facing's room on its board; `items` are in the order in which they are put there."""

    spot: Spot
    look: ProductLook
    size: float
    floor_mm: float
    clear_mm: float
    items: tuple[Item, ...]

    @property
    def front(self) -> int:
        """How many items stand in the front row, which is what can be seen of a full place."""
        return sum(item.row == 0 for item in self.items)


@dataclass(frozen=True, slots=True)
class Board:
    """A shelf: its top lies at `floor_mm`, with `clear_mm` of room above."""

    floor_mm: float
    clear_mm: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The rack, boards from the top; x from the left end of the shelves, z from the lowest board up."""

    places: tuple[Place, ...]
    boards: tuple[Board, ...]
    left_mm: float
    right_mm: float
    top_mm: float

    @property
    def outline_mm(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the whole rack with its frame, sign and base."""
        return (
            self.left_mm - FRAME_MM,
            self.top_mm + HEADER_MM,
            self.right_mm + FRAME_MM,
            -RAIL_MM - BASE_MM,
        )


def lay_out(seed: int, spots: Sequence[Spot]) -> Layout:
    """One board for each distinct shelf, in the order given. ValueError without spots or for one twice."""
    if not spots or len({spot.facing for spot in spots}) != len(spots):
        raise ValueError("a rack needs spots, each of another facing")
    shelves: dict[str, list[Spot]] = {}
    for spot in spots:
        shelves.setdefault(spot.shelf, []).append(spot)
    boards: list[Board] = []
    places: list[Place] = []
    floor_mm = 0.0
    for on_board in reversed(shelves.values()):
        grids = [_Grid.of(spot) for spot in on_board]
        clear_mm = max(_LEAST_CLEAR_MM, *(grid.height_mm + HEADROOM_MM for grid in grids))
        boards.append(Board(floor_mm, clear_mm))
        places += [
            Place(grid.spot, grid.look, grid.size, floor_mm, clear_mm, grid.items(seed)) for grid in grids
        ]
        floor_mm += clear_mm + RAIL_MM
    return Layout(
        places=tuple(places),
        boards=tuple(reversed(boards)),
        left_mm=min(spot.x_mm for spot in spots),
        right_mm=max(spot.x_mm + spot.width_mm for spot in spots),
        top_mm=floor_mm,
    )


@dataclass(frozen=True, slots=True)
class _Grid:
    """Columns side by side, layers on top of each other, rows behind each other."""

    spot: Spot
    look: ProductLook
    size: float
    columns: int
    layers: int
    rows: int

    @classmethod
    def of(cls, spot: Spot) -> _Grid:
        """As wide as the place allows, as deep as the board, stacked only where that is not enough."""
        look = look_of(spot.gtin)
        columns = max(1, round(spot.width_mm / (look.width_mm * 1.05)))
        size = min(max(spot.width_mm / columns * 0.95 / look.width_mm, 0.3), 1.2)
        deep = max(1, int(BOARD_DEPTH_MM / (look.depth_mm * size)))
        layers = 1
        if look.kind in STACKABLE:
            highest = max(int(_STACKED_MM / (look.height_mm * size)), 1)
            layers = min(max(math.ceil(spot.capacity / (columns * deep)), 1), highest)
        return cls(spot, look, size, columns, layers, math.ceil(spot.capacity / (columns * layers)))

    @property
    def height_mm(self) -> float:
        return self.look.height_mm * self.size * self.layers

    def items(self, seed: int) -> tuple[Item, ...]:
        """The back row first, each column from the bottom up; what is put last is taken first."""
        random = Random(f"{seed}/{self.spot.facing}/items")
        column_mm = self.spot.width_mm / self.columns
        row_mm = min(self.look.depth_mm * self.size * 1.04, BOARD_DEPTH_MM / self.rows)
        slack_mm = max(column_mm - self.look.width_mm * self.size, 2.0) / 2
        stands = []
        for row in reversed(range(self.rows)):
            columns = random.sample(range(self.columns), k=self.columns)
            stands += [(column, layer, row) for layer in range(self.layers) for column in columns]
        in_row = self.columns * self.layers
        missing_behind = len(stands) - self.spot.capacity
        return tuple(
            Item(
                row=row,
                x_mm=self.spot.x_mm + (column + 0.5) * column_mm + random.uniform(-slack_mm, slack_mm),
                depth_mm=row * row_mm + random.uniform(4, 14),
                lift_mm=layer * self.look.height_mm * self.size,
                tone=min(max(random.gauss(1.0, 0.035), 0.9), 1.08),
                turn=random.randrange(_TURNS),
            )
            for column, layer, row in stands[: in_row - missing_behind] + stands[in_row:]
        )
