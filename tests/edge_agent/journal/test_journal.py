"""The journal: whole captures or nothing, one history, one owner."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from edge_agent.contract.errors import JournalError, JournalLocked, SchemaTooNew
from edge_agent.contract.messages import CHAIN_START, ItemMoved, fold_chain
from edge_agent.contract.times import utc_now
from edge_agent.health import Condition
from edge_agent.journal import Capture, Journal, writer
from edge_agent.stock.belief import Belief
from edge_agent.stock.effects import PlatePosition
from edge_agent.traffic import Bucket


def capture(epc: str = "ab", events: int = 1) -> Capture:
    made = Capture()
    for _ in range(events):
        made.effects.tell(
            "item.arrived", ItemMoved(epc=epc, gtin=None, serial=None, facing="A1", device="r1"), utc_now()
        )
    return made


def test_rows_are_contiguous_and_their_chain_is_the_documented_fold(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    waits = [journal.submit(capture(f"{n:04x}", events=1 + n % 3)) for n in range(200)]
    for wait in waits:
        wait.result(10)
    rows = journal.rows_after(0, limit=10_000)
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert fold_chain(CHAIN_START, rows) == journal.chain_at(rows[-1].seq)
    assert len({row.eid for row in rows}) == len(rows)
    assert journal.commits < len(waits)  # grouped
    journal.close()


def test_state_events_and_positions_come_back_after_a_restart(tmp_path: Path) -> None:
    now = utc_now().replace(microsecond=0)
    journal = Journal(tmp_path)
    made = capture()
    made.effects.beliefs.append(
        Belief("A1", "06901234567892", 5, 0.9, "low", ("weight",), ("stale",), now, now, taken=2)
    )
    made.effects.plates.append(PlatePosition("s1", None, 1760.5, now))
    made.conditions.append(Condition("s1", "mt-sics", "online", None, now, now))
    made.buckets.append(Bucket("cam", "door", now, 3, 1))
    journal.submit(made).result(10)
    agent_id, last = journal.agent_id, journal.last_chain
    journal.close()

    again = Journal(tmp_path)
    assert (again.agent_id, again.last_seq, again.last_chain) == (agent_id, 1, last)
    assert again.boot_id != journal.boot_id
    assert again.restored.beliefs == made.effects.beliefs
    assert again.restored.plates == made.effects.plates
    assert [(b.entered, b.exited) for b in again.restored.buckets] == [(3, 1)]
    assert [c.status for c in again.restored.conditions] == ["online"]
    again.close()


def test_every_commit_is_synchronous_full(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.durability == ("wal", "full")
    journal.close()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(JournalLocked):
        Journal(tmp_path)
    journal.close()


def test_pruning_never_passes_what_is_applied_and_safe(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for _ in range(10):
        journal.submit(capture()).result(10)
    journal.acknowledged("b1", applied=8, safe=6).result(10)
    chain = journal.chain_at(6)
    journal.prune(10).result(10)
    assert [row.seq for row in journal.rows_after(0, limit=100)] == [7, 8, 9, 10]
    assert (journal.position.base_seq, journal.position.base_chain) == (6, chain)
    journal.close()
    again = Journal(tmp_path)
    assert again.chain_at(6) == chain
    again.close()


def test_a_pruned_empty_outbox_goes_on_from_its_base(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.submit(capture()).result(10)
    journal.acknowledged("b1", applied=1, safe=1).result(10)
    journal.prune(1).result(10)
    journal.close()
    again = Journal(tmp_path)
    again.submit(capture()).result(10)
    [row] = again.rows_after(0, limit=10)
    assert row.seq == 2
    assert fold_chain(again.position.base_chain, [row]) == again.chain_at(2)
    again.close()


def test_a_damaged_file_is_moved_aside_and_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for n in range(500):
        journal.submit(capture(f"{n:04x}"))
    journal.submit(capture()).result(10)
    agent_id = journal.agent_id
    journal.close()
    damaged = bytearray(journal.path.read_bytes())
    damaged[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    journal.path.write_bytes(damaged)

    again = Journal(tmp_path)
    assert again.moved_aside is not None
    assert again.moved_aside.read_bytes() == damaged
    assert (again.last_seq, again.agent_id != agent_id) == (0, True)
    again.close()


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew):
        Journal(tmp_path)
    assert path.read_bytes() == before


def until(reached: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not reached():
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)


def fill(journal: Journal) -> list[Future[None]]:
    """More than there is room for; returns when the disk has refused."""
    journal.submit(capture()).result(10)
    journal.limit_pages(40)
    waits = [journal.submit(capture(f"{n:06x}", events=20)) for n in range(400)]
    until(lambda: journal.refusal)
    return waits


def test_who_waits_on_a_full_disk_waits_until_there_is_room_and_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "AGAIN_AFTER_S", 0.01)
    journal = Journal(tmp_path)
    waits = fill(journal)
    written = journal.durable_seq
    assert not any(wait.exception(0) for wait in waits if wait.done())
    assert sum(wait.done() for wait in waits) * 20 + 1 <= written < 8_001
    assert journal.chain_at(written) is not None
    journal.limit_pages(100_000)
    for wait in waits:
        wait.result(20)
    assert (journal.refusal, journal.failed) == (None, False)
    rows = journal.rows_after(0, limit=10_000)
    assert len({row.body for row in rows[1:]}) == 400
    assert fold_chain(CHAIN_START, rows) == journal.last_chain
    assert [r.levelname for r in caplog.records if "journal" in r.name] == ["ERROR", "WARNING"]
    journal.close()
    again = Journal(tmp_path)
    assert (again.last_seq, again.last_chain) == (8_001, journal.last_chain)
    again.close()


def test_a_journal_that_waits_for_room_closes_at_once_and_has_lost_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path)
    waits = fill(journal)
    began_s = time.monotonic()
    journal.close()
    assert time.monotonic() - began_s < 2
    done = [wait for wait in waits if wait.exception(0) is None]
    assert len(done) < len(waits)
    assert all(isinstance(wait.exception(0), JournalError) for wait in waits if wait not in done)
    with pytest.raises(JournalError):
        journal.submit(capture()).result(1)
    again = Journal(tmp_path)
    rows = again.rows_after(0, limit=100_000)
    assert len(rows) >= 1 + 20 * len(done)
    assert (len(rows) - 1) % 20 == 0  # captures are whole
    assert fold_chain(CHAIN_START, rows) == again.chain_at(again.last_seq)
    again.close()


def test_the_present_is_one_snapshot(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for n in range(1, 30):
        made = capture()
        made.effects.beliefs.append(Belief("A1", "06901234567892", n))
        journal.submit(made)
        seq, state = journal.present()
        if state.beliefs:
            assert state.beliefs[0].on_hand == seq
    journal.close()


async def test_a_cancelled_caller_neither_undoes_the_write_nor_harms_the_writer(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    waits = [asyncio.ensure_future(asyncio.wrap_future(journal.submit(capture()))) for _ in range(50)]
    await asyncio.sleep(0)
    for wait in waits:
        wait.cancel()
    await asyncio.gather(*waits, return_exceptions=True)
    journal.submit(capture()).result(10)
    assert journal.durable_seq == 51
    journal.close()
