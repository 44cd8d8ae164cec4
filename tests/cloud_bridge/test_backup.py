"""Backups of a running HQ: verified, never half, and what stores may forget because of them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from cloud_bridge.app import restore
from cloud_bridge.errors import BackupRefused, BackupUnsound, BadRequest, DataDirBusy, DataDirUnusable
from cloud_bridge.store.sqlite.audit import audit
from cloud_bridge.store.sqlite.backup import verify, verify_and_audit
from cloud_bridge.store.sqlite.schema import FILE_NAME
from edge_agent.contract.errors import SchemaTooNew


@pytest.fixture
async def hq(start_hq, tmp_path):
    async with start_hq(tmp_path / "hq", safe="backup") as running:
        yield running


async def heartbeat(store):
    return await store.send(store.applied + 1, store.applied)


async def test_what_the_last_backup_holds_is_safe_and_what_came_later_is_not(hq, store, make, tmp_path):
    assert (await store.tell(*(make.stock("A1", n) for n in range(1, 6))))["safe"] == 0
    facts = await hq.backup(tmp_path / "one.sqlite3")
    assert (facts["stores"], facts["rows"], facts["size"]) == (
        1,
        5,
        (tmp_path / "one.sqlite3").stat().st_size,
    )
    assert (await heartbeat(store))["safe"] == 5
    later = await store.tell(make.stock("A1", 9))
    assert (later["applied"][0], later["safe"]) == (6, 5)
    assert (await store.hello())["safe"] == 5
    await hq.backup(tmp_path)
    assert (await heartbeat(store))["safe"] == 6


async def test_a_branch_that_no_backup_holds_is_safe_as_far_as_its_parent_is(hq, store, make, tmp_path):
    await store.tell(*(make.stock("A1", n) for n in range(1, 6)))
    await hq.backup(tmp_path)
    await store.tell(*(make.stock("A1", n) for n in range(6, 9)))
    for upto, safe in ((3, 3), (7, 5)):
        wire = await hq.same_store(store, store.outbox.copy(upto))
        wire.outbox.add(make.stock("A1", 20))
        hello = await wire.hello()
        assert (hello["branch"] != store.branch, hello["safe"]) == (True, safe)
        assert (await wire.send())["safe"] == safe
        deeper = await hq.same_store(store, wire.outbox.copy())
        assert (await deeper.hello())["safe"] == safe


async def test_a_root_that_no_backup_holds_is_not_safe_at_all(hq, store, make, tmp_path):
    await store.tell(make.stock("A1", 1))
    await hq.backup(tmp_path)
    strange = make.Outbox(base=(40, bytes(15) + b"x"))
    strange.add(make.stock("A1", 2))
    stranger = await hq.same_store(store, strange)
    assert (await stranger.hello())["safe"] == 0
    assert (await stranger.send())["safe"] == 0


async def test_where_applied_is_safe_a_backup_changes_nothing(start_hq, tmp_path, make):
    async with start_hq(tmp_path / "hq") as hq:
        store = await hq.new_store()
        assert (await store.hello())["safe"] == 0
        assert (await store.tell(make.stock("A1", 1)))["safe"] == 1


async def test_safe_survives_a_restart(start_hq, tmp_path, make):
    async with start_hq(tmp_path / "hq", safe="backup") as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.stock("A1", 1))
        await hq.backup(tmp_path)
        await store.tell(make.stock("A1", 2))
    async with start_hq(tmp_path / "hq", safe="backup") as hq:
        again = await hq.again(store)
        hello = await again.hello()
        assert (hello["applied"][0], hello["safe"]) == (2, 1)


async def test_a_backup_beside_batches_is_one_moment_of_them(hq, store, make, tmp_path):
    """What it holds folds to what it shows, and its rows were all acknowledged by then."""
    backups = asyncio.create_task(hq.backup(tmp_path / "busy.sqlite3"))
    while not backups.done():
        await store.tell(*(make.stock(f"A{n}", len(store.outbox.rows) % 20) for n in range(20)))
    held = (await backups)["rows"]
    assert held % 20 == 0
    assert held <= store.applied
    assert verify_and_audit(tmp_path / "busy.sqlite3").rows == held
    assert (await heartbeat(store))["safe"] == held


async def test_a_backup_overwrites_nothing_and_needs_a_folder(hq, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    for destination in (taken, tmp_path / "nowhere" / "x"):
        with pytest.raises(BackupRefused):
            await hq.backup(destination)
    assert taken.read_text() == "mine"
    await hq.backup(tmp_path / "free")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["free", "hq", "taken"]


async def test_a_copy_that_does_not_fold_is_no_backup(hq, store, make, tmp_path):
    await store.tell(*(make.stock("A1", n) for n in range(1, 6)))
    await hq.backup(tmp_path / "good")
    await hq.engine.writer.submit(
        lambda tx: tx.connection.execute("update ledger set body = '{}' where seq = 4")
    )
    with pytest.raises(BackupUnsound, match="row 4 does not follow"):
        await hq.backup(tmp_path / "bad")
    assert not [path for path in tmp_path.iterdir() if "bad" in path.name]
    assert (await hq.engine.newest_backup()).path == str(tmp_path / "good")


async def test_another_databases_backup_is_not_taken_for_one_of_this(start_hq, hq, tmp_path):
    async with start_hq(tmp_path / "other") as other:
        await other.backup(tmp_path / "other.sqlite3")
    with pytest.raises(BadRequest, match="no backup of this database"):
        await hq.engine.record_backup(tmp_path / "other.sqlite3", at=make_at())
    assert await hq.engine.newest_backup() is None


def make_at():
    return "2026-11-22T10:00:00.000Z"


async def test_restore_refuses_a_running_hq(hq, tmp_path):
    await hq.backup(tmp_path / "b")
    with pytest.raises(DataDirBusy) as refused:
        await asyncio.to_thread(restore, hq.bridge.settings, tmp_path / "b")
    assert "stop it first" in refused.value.hint


@pytest.mark.parametrize("offset", [0, 20, 4096, 9 * 4096])
async def test_a_damaged_backup_is_seen(start_hq, tmp_path, make, offset):
    async with start_hq(tmp_path / "hq") as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(*(make.stock(f"A{n}", n) for n in range(200)))
        await hq.backup(tmp_path / "b")
    verify(tmp_path / "b")
    with (tmp_path / "b").open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 4096)
    with pytest.raises((BackupUnsound, DataDirUnusable, SchemaTooNew)) as refused:
        verify(tmp_path / "b")
    assert refused.value.hint


async def test_what_cannot_be_restored_leaves_the_database_as_it_is(start_hq, tmp_path, make):
    async with start_hq(tmp_path / "hq") as hq:
        store = await hq.new_store()
        await store.hello()
        await store.tell(make.stock("A1", 1))
        settings = hq.bridge.settings
        await hq.backup(tmp_path / "b")
    before = (tmp_path / "hq" / FILE_NAME).read_bytes()
    for statement, says in (
        ("update facing set on_hand = 3", "shows"),
        ("pragma user_version = 999", "schema version 999"),
        ("pragma user_version = 0", "no database of HQ"),
    ):
        bad = tmp_path / "bad"
        bad.write_bytes((tmp_path / "b").read_bytes())
        with closing(sqlite3.connect(bad, isolation_level=None)) as connection:
            connection.execute(statement)
        with pytest.raises((BackupUnsound, BackupRefused, SchemaTooNew), match=says) as refused:
            restore(settings, bad)
        assert refused.value.hint
    with pytest.raises(BackupRefused, match="the database itself"):
        restore(settings, tmp_path / "hq" / FILE_NAME)
    assert (tmp_path / "hq" / FILE_NAME).read_bytes() == before
    assert not [path for path in (tmp_path / "hq").iterdir() if "restor" in path.name]
    assert [result.problems for result in audit(tmp_path / "hq" / FILE_NAME)] == [[]]
