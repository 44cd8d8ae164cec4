"""Where two histories meet: what a hello leads to, whatever database holds HQ's side of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from cloud_bridge.errors import Unavailable
from cloud_bridge.picture import Picture
from cloud_bridge.store.lines import Place, Segment
from cloud_bridge.store.records import Want, Welcome
from edge_agent.contract.messages import CHAIN_START, Hello

RESTATED_ABOVE_ROWS: Final = 500
"""An agent with a larger backlog sends its state right after hello: until then the old one stays shown."""
REFOLD_WAIT_S: Final = 2.0
"""Less than an agent waits for its hello."""
_ATTEMPTS: Final = 5
_FOLDS_A_STORE: Final = 2


@dataclass(frozen=True, slots=True)
class Refolded:
    """The picture at a merge base, made outside the transaction: history up to there never changes."""

    merge: Place
    picture: Picture


@dataclass(frozen=True, slots=True)
class NeedsRefold:
    """The store moves to another line of history; come back with the picture at `merge`."""

    merge: Place
    segments: list[Segment]


@dataclass(frozen=True, slots=True)
class Decision:
    """The branch to continue (None: open one), its head or start, and why."""

    branch: int | None
    parent: int | None
    merge: Place
    reason: Literal["continue", "first", "fork", "switch", "unknown_base"]

    @property
    def moves(self) -> bool:
        """Whether the store leaves the line of history that it was on."""
        return self.reason in ("fork", "switch", "unknown_base")


def places(hello: Hello) -> list[Place]:
    """The positions that an agent names, newest first."""
    base = (hello.base_seq, bytes.fromhex(hello.base_chain))
    return sorted({base, *((p.seq, bytes.fromhex(p.chain)) for p in hello.locator)}, reverse=True)


def merge_base(hello: Hello, is_known: Callable[[Place], bool], roots: Iterable[int]) -> Place | Want | None:
    """The newest position both sides hold, Want when the locator is too sparse, None when there is none.

    Known positions are closed towards the past, but for `roots` (where branches without a parent start) that
    began above an unknown base: each root above the newest known place is asked for before that place counts.
    """
    newer, found = hello.last_seq + 1, None
    for place in places(hello):
        if is_known(place):
            found = place
            break
        newer = place[0]
    above = hello.base_seq if found is None else found[0]
    asked = {hello.base_seq, *(p.seq for p in hello.locator)}
    unasked = sorted({seq for seq in roots if above < seq <= hello.last_seq} - asked)
    if unasked:
        return Want(unasked[0], unasked[-1] + 1)
    if found is not None and newer - found[0] > 1:
        return Want(found[0], min(newer, hello.last_seq) + 1)
    return found


def decide(
    hello: Hello, merge: Place | None, *, current: int | None, ending: int | None, holder: int | None
) -> Decision:
    """How a store goes on behind `merge`.

    `current` is the branch that it was on, `ending` one whose head is `merge`, `holder` the one whose own row
    is there; None where there is none.
    """
    if merge is None:
        return Decision(None, None, (hello.base_seq, bytes.fromhex(hello.base_chain)), "unknown_base")
    if ending is not None:
        return Decision(ending, None, merge, "continue" if ending == current else "switch")
    is_first = current is None and merge == (0, CHAIN_START)
    return Decision(None, holder, merge, "first" if is_first else "fork")


class Refolds:
    """Histories that are being folded again: once for each merge base, however often an agent asks.

    A store has at most two at a time, for two gateways that use its token in turn.
    """

    def __init__(self) -> None:
        self._folds: dict[str, dict[Place, asyncio.Future[Picture]]] = {}

    def all(self) -> list[asyncio.Future[Picture]]:
        """Those that run, or that no hello has asked for yet."""
        return [running for folds in self._folds.values() for running in folds.values()]

    async def greeted(
        self,
        store: str,
        attempt: Callable[[Refolded | None], Awaitable[Want | Welcome | NeedsRefold]],
        fold: Callable[[list[Segment]], Awaitable[Picture]],
    ) -> Want | Welcome:
        """The answer to a hello. A fold is made outside its transaction, so the head may move meanwhile."""
        refolded: Refolded | None = None
        for _ in range(_ATTEMPTS):
            answer = await attempt(refolded)
            if refolded is not None:
                self._forget(store, refolded.merge)
            if not isinstance(answer, NeedsRefold):
                return answer
            refolded = await self._folded(store, answer, fold)
        raise Unavailable("the store's history keeps moving", hint="say hello again")

    async def _folded(
        self, store: str, need: NeedsRefold, fold: Callable[[list[Segment]], Awaitable[Picture]]
    ) -> Refolded:
        """A long one is answered at a later hello."""
        running = self._folds.get(store, {}).get(need.merge)
        if running is None:
            self._make_room(store)
            running = asyncio.ensure_future(fold(need.segments))
            running.add_done_callback(_heard_of)
            self._folds.setdefault(store, {})[need.merge] = running
        done, _ = await asyncio.wait({running}, timeout=REFOLD_WAIT_S)
        if not done:
            raise Unavailable("this store's history is still being read", hint="say hello again")
        if running.exception() is not None:
            self._forget(store, need.merge)
        return Refolded(need.merge, running.result())

    def _make_room(self, store: str) -> None:
        """One that nobody came back for goes; Unavailable while all of them run."""
        folds = self._folds.get(store, {})
        if len(folds) < _FOLDS_A_STORE:
            return
        done = next((merge for merge, running in folds.items() if running.done()), None)
        if done is None:
            raise Unavailable("this store's histories are still being read", hint="say hello again")
        self._forget(store, done)

    def _forget(self, store: str, merge: Place) -> None:
        folds = self._folds.get(store, {})
        folds.pop(merge, None)
        if not folds:
            self._folds.pop(store, None)


def _heard_of(running: asyncio.Future[Picture]) -> None:
    """An error is told to the hello that asks; nobody may ask any more."""
    if not running.cancelled():
        running.exception()
