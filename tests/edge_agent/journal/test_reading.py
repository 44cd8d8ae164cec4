"""Looking into a journal from outside: beside its agent, without one, and when one is started meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_agent.contract.errors import JournalError
from edge_agent.journal import Journal, published
from edge_agent.journal.published import PUBLISHED, read_published
from edge_agent.journal.reading import reading


def files(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_stopped_journal_is_read_without_leaving_a_file_beside_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.remember(PUBLISHED, "{}").result(10)
    journal.close()
    before = files(tmp_path)
    with reading(journal.path) as db:
        assert db.execute("select value from identity where key = ?", (PUBLISHED,)).fetchone() == ("{}",)
    assert read_published(tmp_path).revision == 0
    assert files(tmp_path) == before
    assert not {name for name in before if name.endswith(("-wal", "-shm"))}


def test_what_only_the_log_of_a_killed_agent_holds_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.remember("k", "in the log").result(10)
    with reading(journal.path) as db:
        assert db.execute("select value from identity where key = 'k'").fetchone() == ("in the log",)
    killed = tmp_path / "killed"
    killed.mkdir()
    for suffix in ("", "-wal", "-shm"):
        (killed / f"journal.db{suffix}").write_bytes(Path(f"{journal.path}{suffix}").read_bytes())
    journal.close()
    with reading(killed / "journal.db") as db:
        assert db.execute("select value from identity where key = 'k'").fetchone() == ("in the log",)


def test_an_agent_that_is_started_while_it_is_read_is_noticed(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    with pytest.raises(JournalError, match="written while"), reading(tmp_path / "journal.db") as db:  # noqa: PT012  # at the end
        db.execute("select * from identity").fetchall()
        journal = Journal(tmp_path)
    journal.remember("k", "v").result(10)
    journal.close()
    with pytest.raises(JournalError, match="written while"), reading(tmp_path / "journal.db"):  # noqa: PT012  # at the end
        journal = Journal(tmp_path)
        journal.remember("k", "w").result(10)
        journal.close()


def test_an_error_is_not_the_journals_where_an_agent_was_started_meanwhile(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    with pytest.raises(JournalError, match="written while"), reading(tmp_path / "journal.db") as db:  # noqa: PT012  # at the end
        journal = Journal(tmp_path)
        db.execute("select * from no_such")
    journal.close()
    with pytest.raises(sqlite3.OperationalError, match="no such table"), reading(journal.path) as db:
        db.execute("select * from no_such")


def test_what_hq_published_is_found_where_an_agent_begins_its_journal_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def begun(path: Path) -> Iterator[sqlite3.Connection]:
        monkeypatch.setattr(published, "reading", reading)
        with reading(path) as db:
            agents.append(Journal(tmp_path))
            agents[0].remember(PUBLISHED, '{"reset_of": 7}').result(10)
            yield db

    agents: list[Journal] = []
    (tmp_path / "journal.db").touch()
    monkeypatch.setattr(published, "reading", begun)
    assert read_published(tmp_path).reset_of == 7
    agents[0].close()
