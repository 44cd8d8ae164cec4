"""What stands in the way of `edge-agent outbox`: other files, a full disk, an agent that starts."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent import cli_planogram, outbox
from edge_agent.config.published import Published
from edge_agent.contract.errors import ConfigError, JournalError
from edge_agent.contract.messages import OutboxRow, PlanogramOrder
from edge_agent.journal import Journal, writer
from edge_agent.journal.outbox import Stretch, slices
from edge_agent.journal.published import PUBLISHED, to_text
from edge_agent.service.terminal import reader_may_leave
from tests.edge_agent.test_outbox import keep, settings


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """Twelve rows, seven of them at HQ."""
    made = Journal(tmp_path / "var")
    keep(made, 12)
    made.acknowledged("b1", applied=7, safe=5).result(10)
    return made


def test_a_copy_replaces_no_file_and_says_where_it_cannot_be_written(
    tmp_path: Path, journal: Journal
) -> None:
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(ConfigError, match="there already"):
        outbox.export(settings(tmp_path), "kept", to=str(tmp_path / "copy"))
    assert (tmp_path / "copy").read_text() == "mine"
    with pytest.raises(ConfigError, match="cannot be written"):
        outbox.export(settings(tmp_path), "kept", to=str(tmp_path / "nowhere/copy"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "token", "var"]
    journal.close()


def test_a_copy_that_does_not_fit_leaves_nothing(tmp_path: Path, journal: Journal) -> None:
    journal.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(ConfigError, match=r"/copy cannot be written: .*File too large"):
            outbox.export(settings(tmp_path), "kept", to=str(tmp_path / "copy"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["token", "var"]


def test_a_stdout_that_is_full_is_told_and_one_that_nobody_reads_ends_quietly(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w") as full:  # to close it would fail if rows still waited for it
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(ConfigError, match=r"stdout cannot be written: .*No space left"):
            outbox.export(settings(tmp_path), "kept", to="-")
    reader, writing = os.pipe()
    os.close(reader)
    with os.fdopen(writing, "w") as left:
        monkeypatch.setattr(sys, "stdout", left)
        with pytest.raises(SystemExit) as ended, reader_may_leave():
            outbox.export(settings(tmp_path), "kept", to="-")
    assert ended.value.code == 0
    journal.close()


@pytest.mark.parametrize("has_links", [True, False])
def test_copies_of_one_name_do_not_mix_and_the_first_stays(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("Operation not permitted")

    def slowly(db: sqlite3.Connection, stretch: Stretch) -> Iterator[list[OutboxRow]]:
        for rows in slices(db, stretch):
            monkeypatch.setattr(outbox, "slices", slices)
            facts.append(outbox.export(settings(tmp_path), "waiting", to=str(copy)))
            yield rows

    facts: list[dict[str, Any]] = []
    copy, mine = tmp_path / "copy", tmp_path / "copy.part"
    mine.write_text("mine")
    if not has_links:
        monkeypatch.setattr("os.link", refused)
    monkeypatch.setattr(outbox, "slices", slowly)
    with pytest.raises(ConfigError, match="there already"):
        outbox.export(settings(tmp_path), "kept", to=str(copy))
    seqs = [json.loads(line)["seq"] for line in copy.read_text(encoding="utf-8").splitlines()]
    assert (seqs, facts[0]["count"]) == ([8, 9, 10, 11, 12], 5)
    assert mine.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "copy.part", "token", "var"]
    journal.close()


def test_no_copy_is_left_of_a_journal_that_an_agent_began_to_write(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(db: sqlite3.Connection, stretch: Stretch) -> Iterator[list[OutboxRow]]:
        yield from slices(db, stretch)
        agents.append(Journal(tmp_path / "var"))

    agents: list[Journal] = []
    journal.close()
    monkeypatch.setattr(outbox, "slices", started)
    with pytest.raises(JournalError, match="written while it was read"):
        outbox.export(settings(tmp_path), "kept", to=str(tmp_path / "copy"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["token", "var"]
    agents[0].close()


@pytest.mark.parametrize("command", ["outbox resync", "planogram reset"])
def test_a_write_to_a_stopped_agents_journal_ends_when_the_disk_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def fill_up(journal: Journal) -> None:
        journal._db.execute("pragma max_page_count = 1")
        journal._db.execute("insert into identity values('much', hex(zeroblob(99999)))")

    order = PlanogramOrder(revision=1, products=[], facings=[])
    made = Journal(tmp_path / "var")
    made.remember(PUBLISHED, to_text(Published(order))).result(10)
    made.close()
    (tmp_path / "var/ballast").write_bytes(b"of the agent")
    monkeypatch.setattr(Journal, "flush", fill_up)
    monkeypatch.setattr(writer, "PATIENCE_S", 0.05)
    ask = outbox.resync if command == "outbox resync" else cli_planogram._reset
    with pytest.raises(JournalError, match=r"has not taken it in 0\.05 s") as error:
        asyncio.run(ask(settings(tmp_path)))
    assert "room" in error.value.hint
    assert (tmp_path / "var/ballast").read_bytes() == b"of the agent"
