"""What is wrong between a device and its port: a dialogue whose answers suffer on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random

from device_sims.links import Dialogue

WIRE_FAULTS = frozenset(
    ("mute", "half-frame", "garbage", "wrong-checksum", "slow-drip", "late-reply", "duplicate", "drop")
)


class Wire:
    """A dialogue with the faults of its line. `clock` returns seconds; no I/O here.

    `spoiled` makes the checks of all frames in some bytes wrong; None where the protocol has no check. Faults
    add up; those of one name do not.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        *,
        clock: Callable[[], float],
        seed: str = "",
        spoiled: Callable[[bytes], bytes] | None = None,
    ) -> None:
        self._dialogue, self._clock, self._spoiled = dialogue, clock, spoiled
        self._rng = Random(f"{seed}/wire")
        self._faults: dict[str, float] = {}
        self._halved = False
        self._answers = 0
        self._under_way: deque[tuple[float, bytes]] = deque()

    def begin(self, fault: str, amount: float = 0.0) -> None:
        """The fault is there from now on; ValueError for one that such a line cannot have."""
        if fault not in WIRE_FAULTS or (fault == "wrong-checksum" and self._spoiled is None):
            raise ValueError(f"{fault} cannot befall this line")
        self._faults[fault] = amount
        self._halved = False

    def end(self, fault: str) -> None:
        """It is gone; what is still under way arrives."""
        self._faults.pop(fault, None)

    def power_on(self) -> bytes:
        """A new beginning of the device; the faults of the line stay."""
        self._under_way.clear()
        self._halved = False
        return self._carried(self._dialogue.power_on())

    def feed(self, received: bytes) -> bytes:
        """What has arrived of its answers by now."""
        return self._carried(self._dialogue.feed(received))

    def tick(self) -> bytes:
        """What arrives now of what it says by itself or said before."""
        return self._carried(self._dialogue.tick())

    def _carried(self, said: bytes) -> bytes:
        if not self._faults and not self._under_way:
            return said
        if said:
            self._send(self._suffered(said))
        return self._arrived()

    def _suffered(self, said: bytes) -> bytes:
        faults = self._faults
        if "mute" in faults or ("half-frame" in faults and self._halved):
            return b""
        if "drop" in faults and self._rng.random() < faults["drop"]:
            return b""
        self._answers += 1
        if "wrong-checksum" in faults and self._spoiled is not None:
            said = self._spoiled(said)
        if "half-frame" in faults:
            self._halved = True
            return said[: max(1, len(said) // 2)]
        if "garbage" in faults:
            if self._answers % 2 == 0:
                place = self._rng.randrange(len(said))
                said = said[:place] + self._noise() + said[place:]
            said = self._noise() + said
        return said * 2 if "duplicate" in faults else said

    def _noise(self) -> bytes:
        return self._rng.randbytes(self._rng.randint(1, 12))

    def _send(self, said: bytes) -> None:
        now_s = self._clock()
        starts_s = now_s + self._faults.get("late-reply", 0.0)
        every_s = self._faults.get("slow-drip")
        if every_s is None:
            self._under_way.append((starts_s, said))
            return
        if self._under_way:
            starts_s = max(starts_s, self._under_way[-1][0])
        self._under_way += [(starts_s + n * every_s, said[n : n + 1]) for n in range(len(said))]

    def _arrived(self) -> bytes:
        now_s, arrived = self._clock(), b""
        while self._under_way and self._under_way[0][0] <= now_s:
            arrived += self._under_way.popleft()[1]
        return arrived


class SharedLine:
    """Several devices on one RS-485 line: all hear every question, whoever is meant answers."""

    def __init__(self, dialogues: list[Wire]) -> None:
        self._dialogues = dialogues

    def power_on(self) -> bytes:
        """All of them."""
        return b"".join(dialogue.power_on() for dialogue in self._dialogues)

    def feed(self, received: bytes) -> bytes:
        """The answer of the one that was asked."""
        return b"".join(dialogue.feed(received) for dialogue in self._dialogues)

    def tick(self) -> bytes:
        """What any of them says by itself or late."""
        return b"".join(dialogue.tick() for dialogue in self._dialogues)
