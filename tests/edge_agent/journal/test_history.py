"""One facing's past, out of rows of many."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_agent.contract.messages import StockChanged
from edge_agent.journal import Capture, Journal
from edge_agent.journal import history as journal_history
from edge_agent.journal.history import changes_of, lines_since, looked_back_to
from edge_agent.lines import Line
from edge_agent.stock.effects import Effects

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
NAMES = ("A1", "A1-01", "A1-011", "A2")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Forty changes, of four facings in turn."""
    made = Journal(tmp_path)
    for number in range(40):
        effects = Effects()
        body = StockChanged(
            facing=NAMES[number % 4], gtin="06901234567892", on_hand=number, change=-1, confidence=0.9,
            status="ok", cause="pick", sources=["weight"], observed_at=None,
        )  # fmt: skip
        effects.tell("stock.changed", body, NOW + timedelta(seconds=number))
        made.submit(Capture(effects)).result()
    return made


def counts(journal: Journal, facing: str) -> list[int | None]:
    return [body.on_hand for _, body in changes_of(journal, facing)]


def test_the_newest_come_first_across_looks_and_of_this_facing_only(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_history, "SLICE", 7)
    assert counts(journal, "A1-01") == [37, 33, 29, 25, 21, 17, 13, 9, 5, 1]
    assert counts(journal, "A1") == [36, 32, 28, 24, 20, 16, 12, 8, 4, 0]
    assert counts(journal, "A") == []
    assert looked_back_to(journal) == "2026-11-22T10:00:00.000Z"
    journal.close()


def test_no_more_rows_are_read_than_agreed(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_history, "SLICE", 4)
    monkeypatch.setattr(journal_history, "LOOK_BACK", 10)
    looks: list[int] = []
    look = journal.look
    monkeypatch.setattr(journal, "look", lambda question: looks.append(1) or look(question))
    assert counts(journal, "A1-01") == [37, 33]
    assert len(looks) == 3
    assert looked_back_to(journal) == "2026-11-22T10:00:30.000Z"
    journal.close()


def test_what_was_forgotten_is_not_looked_for(journal: Journal) -> None:
    journal.acknowledged("b", applied=40, safe=40).result()
    journal.prune(36).result()
    assert counts(journal, "A1-01") == [37]
    assert looked_back_to(journal) == "2026-11-22T10:00:36.000Z"
    journal.prune(40).result()
    assert (counts(journal, "A1-01"), looked_back_to(journal)) == ([], None)
    journal.close()


def test_lines_come_newest_first_and_say_since_when_that_is_all(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        journal.submit(Capture(lines=[Line("sale", "r", str(number), f"g {number}")])).result()
    journal.submit(Capture(lines=[Line("command", "c", "", "recount")])).result()
    lines, since = lines_since(journal, "2026")
    assert [content for _, content, _ in lines] == ["g 3", "g 2", "g 1", "g 0"]
    assert since == "2026"
    monkeypatch.setattr(journal_history, "LINES", 2)
    lines, since = lines_since(journal, "2026")
    assert [content for _, content, _ in lines] == ["g 3", "g 2"]
    assert since == lines[-1][2]
    assert lines_since(journal, "9999") == ([], "9999")
    journal.close()


def test_the_lines_since_a_time_are_found_by_it_and_not_by_reading_them_all(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def look(question: Callable[[sqlite3.Connection], Any]) -> Any:
        with closing(sqlite3.connect(journal.path)) as db:
            db.set_trace_callback(asked.append)
            return question(db)

    monkeypatch.setattr(journal, "look", look)
    lines_since(journal, "2026")
    with closing(sqlite3.connect(journal.path)) as db:
        plan = [row[3] for row in db.execute(f"explain query plan {asked[-1]}")]
    assert plan == ["SEARCH line USING INDEX line_by_time (taken_at>?)"]
    journal.close()
