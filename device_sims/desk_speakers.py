"""Tills, goods-in and smart cameras: when each has something to say of what occurs in the world."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from device_sims.goods_in import GoodsIn
from device_sims.mqtt_link import Publication
from device_sims.sight import Sight
from device_sims.smart_camera import SmartCamera
from device_sims.till import Till
from device_sims.world import Delivered, Left, Moved, Occurrence, World

DESK_EVERY_S = 0.2


@dataclass(slots=True)
class Turn:
    """Of several like desks each takes every `among`-th, beginning with its own number from 0."""

    number: int
    among: int
    _came: int = 0

    def comes(self) -> bool:
        """Whether the next one is for this desk."""
        mine = self._came % self.among == self.number
        self._came += 1
        return mine


class TillSpeaker:
    """A till: a receipt for each shopper who pays, without the lines that were not scanned."""

    every_s = DESK_EVERY_S

    def __init__(self, till: Till, world: World, *, missed: float, turn: Turn, seed: str) -> None:
        self._till, self._missed, self._turn = till, missed, turn
        self._rng = Random(f"{seed}/till")
        self._paid: deque[list[tuple[str, int]]] = deque()
        self.birth: Publication | None = till.birth
        self.will: Publication | None = till.will
        world.listeners.append(self._note)

    def speak(self, now_s: float, elapsed_s: float, at_ns: int) -> Iterator[Publication]:
        """The receipts since it was asked last."""
        del now_s, elapsed_s
        while self._paid:
            yield self._till.receipt(self._paid.popleft(), at_ns=at_ns)

    def _note(self, occurred: Occurrence) -> None:
        if not isinstance(occurred, Left) or not occurred.paid or not occurred.items:
            return
        if not self._turn.comes():
            return
        scanned = [line for line in occurred.items.items() if self._rng.random() >= self._missed]
        if scanned:
            self._paid.append(scanned)


class GoodsInSpeaker:
    """Goods-in: every delivery is scanned, and every filling of a facing but those that are missed."""

    every_s = DESK_EVERY_S

    def __init__(self, desk: GoodsIn, world: World, *, missed: float, turn: Turn, seed: str) -> None:
        self._desk, self._missed, self._turn = desk, missed, turn
        self._rng = Random(f"{seed}/goods-in")
        self._came: deque[tuple[str, int, str | None]] = deque()
        self.birth: Publication | None = desk.birth
        self.will: Publication | None = desk.will
        world.listeners.append(self._note)

    def speak(self, now_s: float, elapsed_s: float, at_ns: int) -> Iterator[Publication]:
        """What was scanned since it was asked last."""
        del now_s, elapsed_s
        while self._came:
            gtin, quantity, facing = self._came.popleft()
            yield self._desk.scanned(gtin, quantity, facing=facing, at_ns=at_ns)

    def _note(self, occurred: Occurrence) -> None:
        match occurred:
            case Delivered(gtin=gtin, quantity=quantity) if self._turn.comes():
                self._came.append((gtin, quantity, None))
            case Moved(cause="restock", gtin=gtin, quantity=quantity, facing=facing) if self._turn.comes():
                if self._rng.random() >= self._missed:
                    self._came.append((gtin, quantity, facing))


class SmartCameraSpeaker:
    """A smart camera: how full each of its places looks."""

    def __init__(
        self, camera: SmartCamera, world: World, sights: Mapping[str, Sight], *, every_s: float
    ) -> None:
        self._camera, self._world, self._sights, self.every_s = camera, world, dict(sights), every_s
        self.birth: Publication | None = camera.birth
        self.will: Publication | None = camera.will

    def speak(self, now_s: float, elapsed_s: float, at_ns: int) -> Iterator[Publication]:
        """Its verdicts."""
        del elapsed_s
        fills = {
            facing: sight.look(
                now_s,
                self._world.in_view(facing),
                hand_until_s=max(one.hand_until_s for one in self._world.plates_under(facing)),
            )
            for facing, sight in self._sights.items()
        }
        yield self._camera.places(fills, at_ns=at_ns)
