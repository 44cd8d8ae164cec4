"""HQ's database is read from outside without a trace, and what was read while HQ started is not believed."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import ExitStack, closing, nullcontext
from pathlib import Path

import pytest

from cloud_bridge.doctor import database, place, stores
from cloud_bridge.errors import Unavailable
from cloud_bridge.store.sqlite.audit import audit
from cloud_bridge.store.sqlite.condition import damage
from cloud_bridge.store.sqlite.looking import looking
from cloud_bridge.store.sqlite.schema import FILE_NAME, open_writer
from edge_agent.contract.times import utc_now

FILL = (
    "with recursive n(i) as (select ? union all select i + 1 from n where i < ? + 3000)"
    " insert into filler select i, hex(randomblob(40)) from n"
)


@pytest.fixture
def path(tmp_path):
    """The database of a stopped HQ, of some hundred pages."""
    path = tmp_path / FILE_NAME
    with closing(open_writer(path)) as writer:
        writer.execute("create table filler (a integer primary key, b text unique)")
        writer.execute(FILL, (1, 1))
    return path


def start(path):
    """A bridge that starts, moves rows about and checkpoints them; its writer."""
    writer = open_writer(path)
    writer.execute("delete from filler where a % 3 = 0")
    writer.execute(FILL, (10_000, 10_000))
    writer.execute("pragma wal_checkpoint(truncate)")
    return writer


@pytest.mark.parametrize("kept_open", [nullcontext, closing], ids=["runs on", "has stopped again"])
def test_a_sound_database_is_not_called_damaged_when_hq_starts_meanwhile(path, monkeypatch, kept_open):
    started, told = [], []

    def meanwhile(connection, *, within_s):
        with kept_open(start(path)) as writer:
            started.append(writer)
        told.append(damage(connection, within_s=within_s))
        return told[-1]

    monkeypatch.setattr(database, "damage", meanwhile)
    [found] = database.examine(path)
    assert told[0] != []
    assert (found.level, found.what, found.hint) == ("warn", "database", "HQ was started; ask again")
    started[0].close()
    monkeypatch.undo()
    assert {finding.level for finding in database.examine(path)} == {"ok"}


def test_an_error_while_hq_starts_is_not_believed_either(path):
    def fail(meanwhile):
        with looking(path) as connection:
            meanwhile()
            connection.execute("select * from nothing_of_this_name")

    with pytest.raises(Unavailable):
        fail(lambda: start(path).close())
    with pytest.raises(sqlite3.OperationalError):
        fail(lambda: None)


def test_what_hq_has_committed_meanwhile_and_not_checkpointed_counts_as_written(path):
    def commit(running):
        with looking(path):
            writer = running.enter_context(closing(open_writer(path)))
            writer.execute("insert into store (store, added_at) values ('s1', 'then')")

    before = path.stat().st_mtime_ns
    with ExitStack() as running:
        with pytest.raises(Unavailable):
            commit(running)
        assert path.stat().st_mtime_ns == before


def test_stores_are_not_judged_by_what_was_read_while_hq_started(path, monkeypatch):
    condition = stores.condition

    def meanwhile(connection, *, moved_since):
        start(path).close()
        return condition(connection, moved_since=moved_since)

    monkeypatch.setattr(stores, "condition", meanwhile)
    [found] = stores.examine(path, safe="applied", running=None, now=utc_now())
    assert (found.level, found.what, "ask again" in found.hint) == ("warn", "stores", True)


def test_an_audit_leaves_no_file_beside_a_stopped_hq(path):
    audit(path)
    assert [file.name for file in path.parent.iterdir()] == [FILE_NAME]


def test_beside_a_running_hq_what_it_has_not_checkpointed_is_read(path):
    with closing(open_writer(path)) as writer:
        writer.execute("insert into store (store, added_at) values ('s1', 'then')")
        assert [result.store for result in audit(path)] == ["s1"]


def test_a_wal_that_goes_after_it_was_seen_is_no_error(path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: True)
    monkeypatch.setattr(Path, "exists", lambda _: True)
    found = [*place.examine(path), *database.examine(path)]
    assert {f.what for f in found if f.level != "ok"} <= {"disk"}


def test_reading_the_pages_ends_in_time(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("create table large (a integer primary key, b blob)")
        writer.execute(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < 40000)"
            " insert into large select i, zeroblob(900) from n"
        )
    with looking(path) as connection:
        began = time.monotonic()
        assert None in [damage(connection, within_s=seconds) for seconds in (0.001, 0.003, 0.01)]
        assert time.monotonic() - began < 2
        assert damage(connection, within_s=60) == []
