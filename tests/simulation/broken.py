"""Rules of the protocol, each broken: worlds that the checker must not find well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cloud_bridge.rows import ReadyBatch
from cloud_bridge.store.lines import Head
from cloud_bridge.store.sqlite import writer as hq_writer
from cloud_bridge.store.sqlite.history import is_known
from edge_agent.contract.messages import CHAIN_START, Hello, Position
from edge_agent.journal import SyncPosition
from tests.simulation.gateway import Gateway, ResumableUplink
from tests.simulation.hq import Hq
from tests.simulation.net import CALM
from tests.simulation.world import World
from tests.simulation.writers import HqWriter, _next

Break = Callable[[pytest.MonkeyPatch], type[World]]
"""Breaks one rule while the test lasts and says which world lives with it."""

BATCH, GREETING = "cloud_bridge.store.sqlite.batch", "cloud_bridge.store.sqlite.hello"


class SnapshotWorld(World):
    """Machines are put back with their memory again and again: two histories meet in one session."""

    def __init__(self, seed: int, folder: Path) -> None:
        super().__init__(seed, folder)
        self.fates = CALM

    weights = World.weights | {
        "capture": 50, "copy_disk": 12, "restore_machine": 12, "forget": 12, "back_up_hq": 8, "clone": 0,
        "kill_agent": 0, "kill_hq": 0, "restore_hq": 0, "lose_hq": 0, "restore_disk": 0, "reimage": 0,
    }  # fmt: skip


# --- HQ compares numbers, not chains -----------------------------------------------------------


def trust_numbers(patch: pytest.MonkeyPatch) -> type[World]:
    """A store goes on at the head of its branch, and whatever is above the head by its number is new."""

    def head(db: Any, store: str, hello: Hello) -> tuple[int, bytes] | None:
        found = db.execute(
            "select head_seq, head_chain from branch join store using (store, branch) where store = ?",
            (store,),
        ).fetchone()
        return (0, CHAIN_START) if found is None else (found[0], found[1])

    def fresh_rows(_db: Any, _store: str, head: Head, batch: ReadyBatch) -> list[Any]:
        return [row for row in batch.rows if row.seq > head.seq]

    patch.setattr(f"{GREETING}.merge_base", head)
    patch.setattr(f"{BATCH}._fresh_rows", fresh_rows)
    return World


# --- a fork restarts at what was applied ---------------------------------------------------------


class ForgetfulUplink(ResumableUplink):
    """Names no row above the one that HQ said it has."""

    def _hello_message(self, seqs: Sequence[int]) -> Hello:
        at: SyncPosition = self._journal.position
        return super()._hello_message([seq for seq in seqs if seq <= max(at.applied, at.base_seq)])


class ForgetfulGateway(Gateway):
    uplink_of = ForgetfulUplink


class ForgetfulWorld(World):
    gateway_of = ForgetfulGateway


def no_merge_base(patch: pytest.MonkeyPatch) -> type[World]:
    """HQ asks for no denser locator."""

    def newest_named(db: Any, store: str, hello: Hello) -> tuple[int, bytes] | None:
        places = [(p.seq, bytes.fromhex(p.chain)) for p in hello.locator]
        return next((place for place in places if is_known(db, store, *place)), None)

    patch.setattr(f"{GREETING}.merge_base", newest_named)
    return ForgetfulWorld


# --- gateways forget what HQ may lose ------------------------------------------------------------


class CarelessHq(Hq):
    """Calls safe what is committed, whatever its backup holds."""

    def safe_up_to(self, store: str, branch: str, head: int) -> int:
        return head


class CarelessWorld(World):
    hq_of = CarelessHq


def prune_at_applied(_: pytest.MonkeyPatch) -> type[World]:
    return CarelessWorld


class SteadyWorld(World):
    """What is committed at HQ stays there: to call it safe is right."""

    hq_of = CarelessHq
    weights = World.weights | {"restore_hq": 0, "lose_hq": 0, "kill_hq": 6, "forget": 10}


# --- HQ answers before its commit ----------------------------------------------------------------


class HastyWriter(HqWriter):
    """Answers out of an open transaction, which is committed a while later."""

    def _commit_waiting(self) -> None:
        self._due = None
        group = []
        while (waiting := _next(self._waiting)) is not None:
            group.append(waiting)
        if not group:
            return
        if not self._connection.in_transaction:
            self._connection.execute("begin immediate")
            self._loop.call_later(2, self._commit_at_last)
        (last_n,) = self._connection.execute("select coalesce(max(n), 0) from feed").fetchone()
        tx = hq_writer.Transaction(self._connection, self._epoch, last_n + 1)
        self._deliver([(w.future, *self._attempt(w.operation, tx)) for w in group], [])

    def kill(self) -> None:
        super().kill()
        self.is_dead = True

    is_dead = False

    def _commit_at_last(self) -> None:
        if not self.is_dead:
            self._connection.execute("commit")


class HastyHq(CarelessHq):
    writer_of = HastyWriter


class HastyWorld(SteadyWorld):
    hq_of = HastyHq


def answer_before_commit(_: pytest.MonkeyPatch) -> type[World]:
    return HastyWorld


# --- the agent believes whatever HQ says that it has -----------------------------------------------


class TrustingUplink(ResumableUplink):
    def _check_own_chain(self, applied: Position) -> None:
        """Not compared."""


class TrustingGateway(Gateway):
    uplink_of = TrustingUplink


class TrustingWorld(SnapshotWorld):
    gateway_of = TrustingGateway


def agent_does_not_compare(_: pytest.MonkeyPatch) -> type[World]:
    return TrustingWorld
