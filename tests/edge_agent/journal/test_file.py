"""Opening the journal where the disk or the power has misbehaved: nothing is lost, nothing is a traceback."""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path

import pytest

from edge_agent.contract.errors import JournalError
from edge_agent.contract.messages import DeviceChanged, ItemMoved
from edge_agent.contract.times import rfc3339, utc_now
from edge_agent.health import Condition
from edge_agent.journal import Capture, Journal
from edge_agent.journal import schema as journal_schema
from edge_agent.stock.belief import Belief

GTIN, OTHER = "06901234567892", "06901234567885"


def keep(journal: Journal, rows: int, *, days_old: float = 0.0) -> None:
    waits: list[Future[None]] = []
    for number in range(rows):
        made = Capture()
        body = ItemMoved(epc=f"{number:024x}", gtin=None, serial=None, facing="A1", device="r1")
        made.effects.tell("item.arrived", body, utc_now() - timedelta(days=days_old))
        waits.append(journal.submit(made))
    for wait in waits:
        wait.result(30)


def test_a_power_cut_while_the_first_file_is_made_leaves_one_that_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(journal_schema, "MIGRATIONS", (journal_schema.MIGRATIONS[0] + "; no statement",))
        with pytest.raises(JournalError):
            Journal(tmp_path)
    Journal(tmp_path).close()


def test_a_file_that_cannot_be_opened_just_now_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)
    keep(journal, 3)
    journal.close()

    def no_room(*_: object, **__: object) -> sqlite3.Connection:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", no_room)
        with pytest.raises(JournalError):
            Journal(tmp_path)
    again = Journal(tmp_path)
    assert (again.moved_aside, again.last_seq) == (None, 3)
    again.close()


def test_a_folder_that_cannot_be_made_is_told_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file, not a folder")
    with pytest.raises(JournalError) as told:
        Journal(tmp_path / "var" / "store-1")
    assert told.value.hint


def test_a_folder_name_with_marks_of_an_address_opens(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "store #1?%41")
    keep(journal, 1)
    assert len(journal.rows_after(0, limit=9)) == 1
    journal.close()


def test_a_capture_that_cannot_be_written_fails_its_future_and_the_journal(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    made = Capture()
    made.effects.tell(
        "item.arrived", DeviceChanged(device="\ud800", driver="x", status="online", reason=None), utc_now()
    )
    with pytest.raises(JournalError):
        journal.submit(made).result(5)
    assert journal.failed
    with pytest.raises(JournalError):
        journal.submit(Capture()).result(5)
    journal.close()


def test_retention_forgets_old_rows_that_hq_has_and_no_others(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    keep(journal, 10, days_old=5)
    keep(journal, 5)
    before = rfc3339(utc_now() - timedelta(days=3))
    assert journal.newest_seq_before(before) == 0  # HQ has none
    journal.acknowledged("b", applied=8, safe=15).result(5)
    assert journal.newest_seq_before(before) == 8
    journal.acknowledged("b", applied=15, safe=15).result(5)
    assert journal.newest_seq_before(before) == 10
    journal.prune(10).result(5)
    assert [row.seq for row in journal.rows_after(0, limit=99)] == [11, 12, 13, 14, 15]
    assert journal.newest_seq_before(before) == 10
    journal.close()


def test_forgotten_rows_no_longer_count_against_the_quota(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    keep(journal, 3_000)
    full = journal.used_bytes()
    journal.acknowledged("b", applied=3_000, safe=3_000).result(5)
    journal.prune(3_000).result(5)
    assert journal.used_bytes() < full / 4
    journal.close()


def test_what_the_configuration_no_longer_names_leaves_the_state(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    made = Capture()
    made.effects.beliefs += [Belief("A1", GTIN, 5), Belief("A2", GTIN, 5), Belief("A3", GTIN, 5)]
    made.conditions += [Condition(name, "x", "online", None, utc_now()) for name in ("s1", "s2")]
    journal.submit(made).result(5)
    journal.forget_others(facings={"A1": GTIN, "A3": OTHER}, devices={"s1"}).result(5)
    _, state = journal.present()
    assert [b.facing for b in state.beliefs] == ["A1"]
    assert [c.device for c in state.conditions] == ["s1"]
    journal.close()
